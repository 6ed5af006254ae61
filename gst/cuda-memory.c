/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cuda-memory.h"

#include <gmodule.h>

#include "gst/frame-copy.h"

/* Of libgstcuda's interface; its headers want NVIDIA's and differ from release to release. */
#define MEMORY_TYPE "gst.cuda.memory"                           /* GST_CUDA_MEMORY_TYPE_NAME */
#define MAP_READ_CUDA (GST_MAP_READ | (GST_MAP_FLAG_LAST << 1)) /* GST_MAP_CUDA */

gboolean
cuda_memory_is_in_caps (const GstCaps *caps)
{
  const GstCapsFeatures *features = gst_caps_get_features (caps, 0);

  return features && gst_caps_features_contains (features, CUDA_MEMORY_FEATURE);
}

/* Of GStreamer 1.24 and later, where memory comes before its stream is done with it; before 1.24
 * who makes it waits. */
typedef struct {
  void (*sync) (GstMemory *memory);
  gpointer (*get_stream) (GstMemory *memory); /* a GstCudaStream, which has it; (transfer none) */
  gpointer (*get_handle) (gpointer stream);
} Library;

static gpointer
look_up (GModule *module, const char *name)
{
  gpointer symbol;

  return g_module_symbol (module, name, &symbol) ? symbol : NULL;
}

static const Library *
get_library (void)
{
  static Library library;
  static gsize is_done;

  if (g_once_init_enter (&is_done)) {
    GModule *module = g_module_open ("libgstcuda-1.0.so.0", G_MODULE_BIND_LAZY);

    if (module) {
      g_module_make_resident (module); /* its types are registered */
      library.sync = look_up (module, "gst_cuda_memory_sync");
      library.get_stream = look_up (module, "gst_cuda_memory_get_stream");
      library.get_handle = look_up (module, "gst_cuda_stream_get_handle");
    }
    g_once_init_leave (&is_done, 1);
  }
  return &library;
}

/* (transfer none): the memory keeps it */
static gpointer
get_stream (GstMemory *memory)
{
  const Library *library = get_library ();
  gpointer stream = library->get_stream ? library->get_stream (memory) : NULL;

  stream = stream && library->get_handle ? library->get_handle (stream) : NULL;
  if (!stream && library->sync) /* of the default stream, say */
    library->sync (memory);
  return stream;
}

gboolean
cuda_memory_map (
    GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer, gpointer *stream)
{
  GstMemory *memory = gst_buffer_n_memory (buffer) == 1 ? gst_buffer_peek_memory (buffer, 0) : NULL;
  GstBuffer *shared;
  gboolean ok;

  if (!memory || !gst_memory_is_type (memory, MEMORY_TYPE))
    return FALSE;
  shared = frame_share (buffer);
  ok = gst_video_frame_map (frame, info, shared, (GstMapFlags)MAP_READ_CUDA);
  gst_buffer_unref (shared);
  *stream = ok ? get_stream (memory) : NULL;
  return ok;
}
