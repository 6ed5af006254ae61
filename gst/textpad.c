/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/textpad.h"

#include <gst/base/gstdataqueue.h>

#define GAP_INTERVAL (500 * GST_MSECOND)

struct _GstClassifyTextPad {
  GstPad parent;

  GstDataQueue *queue;
  /* under the object lock */
  GstSegment segment;
  gboolean is_started, is_json, has_segment;
  GstClockTime position; /* of the last item */
  guint64 n_dropped;
  /* the task's */
  GstFlowReturn flow;
};

G_DEFINE_TYPE (GstClassifyTextPad, gst_classify_text_pad, GST_TYPE_PAD)

static void
destroy_item (gpointer data)
{
  GstDataQueueItem *item = data;

  gst_mini_object_unref (item->object);
  g_free (item);
}

/* @object: (transfer full) */
static void
enqueue (GstClassifyTextPad *self, gpointer object)
{
  GstDataQueueItem *item = g_new0 (GstDataQueueItem, 1);

  item->object = object;
  item->visible = GST_IS_BUFFER (object);
  item->destroy = destroy_item;
  if (!gst_data_queue_push_force (self->queue, item)) /* flushing */
    destroy_item (item);
}

static gboolean
is_never_full (GstDataQueue *queue, guint visible, guint bytes, guint64 time, gpointer user_data)
{
  return FALSE;
}

static void
push_items (gpointer user_data)
{
  GstClassifyTextPad *self = user_data;
  GstDataQueueItem *item;
  GstMiniObject *object;

  if (!gst_data_queue_pop (self->queue, &item)) {
    gst_pad_pause_task (GST_PAD (self));
    return;
  }
  object = item->object;
  g_free (item);
  if (GST_IS_EVENT (object)) {
    gst_pad_push_event (GST_PAD (self), GST_EVENT (object));
  } else if (self->flow == GST_FLOW_OK || self->flow == GST_FLOW_NOT_LINKED) {
    self->flow = gst_pad_push (GST_PAD (self), GST_BUFFER (object));
    if (self->flow != GST_FLOW_OK)
      GST_DEBUG_OBJECT (self, "downstream returned %s", gst_flow_get_name (self->flow));
  } else { /* who has had enough or failed gets no more, the video goes on */
    gst_mini_object_unref (object);
  }
}

static gboolean
activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstClassifyTextPad *self = GST_CLASSIFY_TEXT_PAD (pad);

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  if (active) {
    self->flow = GST_FLOW_OK;
    GST_OBJECT_LOCK (self);
    self->is_started = self->has_segment = FALSE;
    self->position = GST_CLOCK_TIME_NONE;
    GST_OBJECT_UNLOCK (self);
    gst_data_queue_set_flushing (self->queue, FALSE);
    return gst_pad_start_task (pad, push_items, self, NULL);
  }
  gst_data_queue_set_flushing (self->queue, TRUE);
  gst_data_queue_flush (self->queue);
  return gst_pad_stop_task (pad);
}

static void
gst_classify_text_pad_finalize (GObject *object)
{
  g_object_unref (GST_CLASSIFY_TEXT_PAD (object)->queue);
  G_OBJECT_CLASS (gst_classify_text_pad_parent_class)->finalize (object);
}

static void
gst_classify_text_pad_class_init (GstClassifyTextPadClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_classify_text_pad_finalize;
}

static void
gst_classify_text_pad_init (GstClassifyTextPad *self)
{
  self->queue = gst_data_queue_new (is_never_full, NULL, NULL, self);
  gst_data_queue_set_flushing (self->queue, TRUE); /* until it is active */
  gst_segment_init (&self->segment, GST_FORMAT_TIME);
}

GstPad *
gst_classify_text_pad_new (GstPadTemplate *templ, const char *name)
{
  GstPad *pad = g_object_new (
      GST_TYPE_CLASSIFY_TEXT_PAD, "name", name, "direction", GST_PAD_SRC, "template", templ, NULL);

  gst_pad_set_activatemode_function (pad, activate_mode);
  gst_pad_use_fixed_caps (pad);
  return pad;
}

/* what downstream likes of the template, its first where it takes anything */
static GstCaps *
choose_caps (GstClassifyTextPad *self)
{
  GstCaps *templ = gst_pad_get_pad_template_caps (GST_PAD (self));
  GstCaps *peer = gst_pad_peer_query_caps (GST_PAD (self), templ);
  GstCaps *caps = gst_caps_intersect_full (peer, templ, GST_CAPS_INTERSECT_FIRST);

  gst_caps_unref (peer);
  if (gst_caps_is_empty (caps)) { /* linking said otherwise: downstream will refuse it itself */
    gst_caps_unref (caps);
    caps = gst_caps_ref (templ);
  }
  gst_caps_unref (templ);
  return gst_caps_fixate (caps);
}

/* what every stream begins with */
static void
start (GstClassifyTextPad *self)
{
  gboolean is_started, is_json;
  GstCaps *caps;

  GST_OBJECT_LOCK (self);
  is_started = self->is_started;
  self->is_started = TRUE;
  GST_OBJECT_UNLOCK (self);
  if (is_started)
    return;
  {
    GstElement *element = gst_pad_get_parent_element (GST_PAD (self));
    g_autofree char *id = gst_pad_create_stream_id (GST_PAD (self), element, GST_PAD_NAME (self));
    GstEvent *event = gst_event_new_stream_start (id);

    gst_event_set_stream_flags (event, GST_STREAM_FLAG_SPARSE);
    enqueue (self, event);
    gst_object_unref (element);
  }
  caps = choose_caps (self);
  is_json = gst_structure_has_name (gst_caps_get_structure (caps, 0), "application/x-json");
  enqueue (self, gst_event_new_caps (caps));
  gst_caps_unref (caps);
  GST_OBJECT_LOCK (self);
  self->is_json = is_json;
  GST_OBJECT_UNLOCK (self);
}

void
gst_classify_text_pad_set_segment (GstClassifyTextPad *self, const GstSegment *segment)
{
  start (self);
  GST_OBJECT_LOCK (self);
  self->segment = *segment;
  self->has_segment = TRUE;
  self->position = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
  enqueue (self, gst_event_new_segment (segment));
}

gboolean
gst_classify_text_pad_is_json (GstClassifyTextPad *self)
{
  gboolean is_json;

  start (self);
  GST_OBJECT_LOCK (self);
  is_json = self->is_json;
  GST_OBJECT_UNLOCK (self);
  return is_json;
}

void
gst_classify_text_pad_push (GstClassifyTextPad *self, GstBuffer *buffer)
{
  GstDataQueueSize level;
  gboolean is_full, has_segment;

  start (self);
  GST_OBJECT_LOCK (self);
  has_segment = self->has_segment;
  GST_OBJECT_UNLOCK (self);
  if (!has_segment) /* asked for in the middle of a stream */
    gst_classify_text_pad_set_segment (self, &self->segment);
  gst_data_queue_get_level (self->queue, &level);
  is_full = level.visible >= TEXT_PAD_MAX_ITEMS;
  GST_OBJECT_LOCK (self);
  if (is_full)
    self->n_dropped++;
  else if (GST_BUFFER_PTS_IS_VALID (buffer))
    self->position = GST_BUFFER_PTS (buffer)
                     + (GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0);
  GST_OBJECT_UNLOCK (self);
  if (is_full)
    gst_buffer_unref (buffer);
  else
    enqueue (self, buffer);
}

void
gst_classify_text_pad_begin (GstClassifyTextPad *self, GstClockTime position)
{
  gboolean is_first;

  if (!GST_CLOCK_TIME_IS_VALID (position))
    return;
  start (self);
  GST_OBJECT_LOCK (self);
  is_first = self->has_segment && !GST_CLOCK_TIME_IS_VALID (self->position);
  if (is_first)
    self->position = position;
  GST_OBJECT_UNLOCK (self);
  if (is_first)
    enqueue (self, gst_event_new_gap (position, 0));
}

void
gst_classify_text_pad_advance (GstClassifyTextPad *self, GstClockTime position)
{
  GstClockTime last;
  gboolean is_due;

  if (!GST_CLOCK_TIME_IS_VALID (position))
    return;
  start (self);
  GST_OBJECT_LOCK (self);
  last = self->position;
  is_due = self->has_segment && GST_CLOCK_TIME_IS_VALID (last) && position >= last + GAP_INTERVAL;
  if (is_due)
    self->position = position;
  GST_OBJECT_UNLOCK (self);
  if (is_due)
    enqueue (self, gst_event_new_gap (last, position - last));
}

void
gst_classify_text_pad_eos (GstClassifyTextPad *self)
{
  start (self);
  enqueue (self, gst_event_new_eos ());
}

void
gst_classify_text_pad_flush_start (GstClassifyTextPad *self)
{
  gst_data_queue_set_flushing (self->queue, TRUE);
  gst_data_queue_flush (self->queue);
  gst_pad_push_event (GST_PAD (self), gst_event_new_flush_start ());
  gst_pad_pause_task (GST_PAD (self)); /* it has left push_items() when this returns */
}

void
gst_classify_text_pad_flush_stop (GstClassifyTextPad *self, gboolean reset_time)
{
  gst_pad_push_event (GST_PAD (self), gst_event_new_flush_stop (reset_time));
  self->flow = GST_FLOW_OK;
  GST_OBJECT_LOCK (self);
  self->position = GST_CLOCK_TIME_NONE;
  self->has_segment = FALSE;
  GST_OBJECT_UNLOCK (self);
  gst_data_queue_set_flushing (self->queue, FALSE);
  gst_pad_start_task (GST_PAD (self), push_items, self, NULL);
}

guint64
gst_classify_text_pad_get_n_dropped (GstClassifyTextPad *self)
{
  guint64 n;

  GST_OBJECT_LOCK (self);
  n = self->n_dropped;
  GST_OBJECT_UNLOCK (self);
  return n;
}
