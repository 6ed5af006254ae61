/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cuda-memory.h"

#include "gst/cuda-library.h"
#include "gst/frame-copy.h"

#define MEMORY_TYPE "gst.cuda.memory"                           /* GST_CUDA_MEMORY_TYPE_NAME */
#define DEFAULT_STREAM 1                                        /* CU_STREAM_LEGACY */
#define MAP_READ_CUDA (GST_MAP_READ | (GST_MAP_FLAG_LAST << 1)) /* GST_MAP_CUDA */

gboolean
cuda_memory_is_in_caps (const GstCaps *caps)
{
  const GstCapsFeatures *features = gst_caps_get_features (caps, 0);

  return features && gst_caps_features_contains (features, CUDA_MEMORY_FEATURE);
}

/* (transfer none): the memory keeps it. NULL: nobody writes to it any more. */
static gpointer
get_stream (GstMemory *memory)
{
  const CudaLibrary *library = cuda_library_get ();
  gpointer stream = library->memory_get_stream ? library->memory_get_stream (memory) : NULL;

  if (!library->memory_get_stream)
    return NULL;
  return stream && library->stream_get_handle ? library->stream_get_handle (stream)
                                              : GSIZE_TO_POINTER (DEFAULT_STREAM);
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
