/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cuda-context.h"
#include "gst/videoclassify-private.h"

/* Has the neighbours, the bins or the application set it, where they have one. */
static void
ask (GstVideoClassify *self, const char *type)
{
  GstQuery *query = gst_query_new_context (type);
  GstContext *context = NULL;

  if (gst_pad_peer_query (GST_BASE_TRANSFORM_SRC_PAD (self), query)
      || gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
    gst_query_parse_context (query, &context);
  if (context)
    gst_element_set_context (GST_ELEMENT (self), context);
  else
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_need_context (GST_OBJECT (self), type));
  gst_query_unref (query);
}

/* @context: (transfer full) */
static void
tell (GstVideoClassify *self, GstContext *context)
{
  gst_element_set_context (GST_ELEMENT (self), context);
  gst_element_post_message (
      GST_ELEMENT (self), gst_message_new_have_context (GST_OBJECT (self), context));
}

static EnginePool *
get_pool (GstVideoClassify *self)
{
  EnginePool *pool;

  GST_OBJECT_LOCK (self);
  pool = self->context_pool ? g_object_ref (self->context_pool) : NULL;
  GST_OBJECT_UNLOCK (self);
  return pool;
}

EnginePool *
video_classify_find_pool (GstVideoClassify *self)
{
  EnginePool *pool = get_pool (self);
  GstContext *context;

  if (pool)
    return pool;
  ask (self, ENGINE_POOL_CONTEXT);
  pool = get_pool (self);
  if (pool)
    return pool;
  pool = engine_pool_get_default ();
  context = gst_context_new (ENGINE_POOL_CONTEXT, TRUE);
  gst_structure_set (
      gst_context_writable_structure (context), "pool", ENGINE_TYPE_POOL, pool, NULL);
  tell (self, context);
  return pool;
}

static char *
get_device (GstVideoClassify *self)
{
  char *device;

  GST_OBJECT_LOCK (self);
  device = g_strdup (self->device);
  GST_OBJECT_UNLOCK (self);
  return device;
}

void
video_classify_find_cuda_context (GstVideoClassify *self, NnContext *native)
{
  g_autofree char *device = get_device (self);
  GstContext *context = gst_element_get_context (GST_ELEMENT (self), CUDA_CONTEXT);

  *native = (NnContext){ .handle = NULL };
  if (context && nn_backend_has_gpu (device))
    cuda_context_read (context, device, native);
  if (context)
    gst_context_unref (context);
}

static gboolean
has_cuda_context (GstVideoClassify *self)
{
  NnContext native;

  video_classify_find_cuda_context (self, &native);
  g_clear_object (&native.owner);
  return native.handle != NULL;
}

void
video_classify_share_cuda_context (GstVideoClassify *self)
{
  g_autofree char *device = get_device (self);
  GstContext *context;

  if (!nn_backend_has_gpu (device) || has_cuda_context (self))
    return;
  ask (self, CUDA_CONTEXT);
  if (has_cuda_context (self))
    return;
  context = cuda_context_new (device);
  if (context)
    tell (self, context);
}

void
video_classify_take_context (GstVideoClassify *self, const GstContext *context)
{
  EnginePool *pool = NULL, *old;

  if (!gst_context_has_context_type (context, ENGINE_POOL_CONTEXT))
    return;
  gst_structure_get (gst_context_get_structure (context), "pool", ENGINE_TYPE_POOL, &pool, NULL);
  if (!pool)
    return;
  GST_OBJECT_LOCK (self);
  old = self->context_pool;
  self->context_pool = pool;
  GST_OBJECT_UNLOCK (self);
  g_clear_object (&old);
}

gboolean
video_classify_answer_context (GstVideoClassify *self, GstQuery *query)
{
  static const char *const types[] = { ENGINE_POOL_CONTEXT, CUDA_CONTEXT, NULL };
  const char *type;
  GstContext *context;

  gst_query_parse_context_type (query, &type);
  context
      = g_strv_contains (types, type) ? gst_element_get_context (GST_ELEMENT (self), type) : NULL;
  if (!context)
    return FALSE;
  gst_query_set_context (query, context);
  gst_context_unref (context);
  return TRUE;
}
