/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cuda-memory.h"

#include <gmodule.h>

/* Of libgstcuda's interface; its headers want NVIDIA's and differ from release to release. */
#define MEMORY_TYPE "gst.cuda.memory"                           /* GST_CUDA_MEMORY_TYPE_NAME */
#define MAP_READ_CUDA (GST_MAP_READ | (GST_MAP_FLAG_LAST << 1)) /* GST_MAP_CUDA */

typedef void (*MemorySync) (GstMemory *memory);

gboolean
cuda_memory_is_in_caps (const GstCaps *caps)
{
  const GstCapsFeatures *features = gst_caps_get_features (caps, 0);

  return features && gst_caps_features_contains (features, CUDA_MEMORY_FEATURE);
}

/* gst_cuda_memory_sync() of GStreamer 1.24 and later, where memory comes before its stream is
 * done with it; before 1.24 who makes it waits. */
static MemorySync
get_memory_sync (void)
{
  static MemorySync sync;
  static gsize is_done;

  if (g_once_init_enter (&is_done)) {
    GModule *module = g_module_open ("libgstcuda-1.0.so.0", G_MODULE_BIND_LAZY);
    gpointer symbol;

    if (module) {
      g_module_make_resident (module); /* its types are registered */
      if (g_module_symbol (module, "gst_cuda_memory_sync", &symbol))
        sync = (MemorySync)symbol;
    }
    g_once_init_leave (&is_done, 1);
  }
  return sync;
}

gboolean
cuda_memory_map (GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer)
{
  GstMemory *memory = gst_buffer_n_memory (buffer) == 1 ? gst_buffer_peek_memory (buffer, 0) : NULL;
  MemorySync sync;
  GstBuffer *copy;
  gboolean ok;

  if (!memory || !gst_memory_is_type (memory, MEMORY_TYPE))
    return FALSE;
  sync = get_memory_sync ();
  if (sync)
    sync (memory);
  copy = gst_buffer_copy (buffer); /* shares the memory; nobody writes into it meanwhile */
  ok = gst_video_frame_map (frame, info, copy, (GstMapFlags)MAP_READ_CUDA);
  gst_buffer_unref (copy);
  return ok;
}
