/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* Frames in a CUDA device's memory, as GStreamer's decoders and cudaupload make them. libgstcuda
 * is neither linked nor needed to be installed: who made such memory has loaded it. */

#define CUDA_MEMORY_FEATURE "memory:CUDAMemory" /* GST_CAPS_FEATURE_MEMORY_CUDA_MEMORY */

gboolean cuda_memory_is_in_caps (const GstCaps *caps);

/* Maps @buffer's memory, not @buffer itself, so that the planes of @frame are addresses of the
 * device. *@stream is the driver's stream that may still be writing to them, or NULL where all is
 * written. FALSE where @buffer is not one block of CUDA memory: mapped as any other it is
 * downloaded. Undone by gst_video_frame_unmap(), by any thread. */
gboolean cuda_memory_map (
    GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer, gpointer *stream);

G_END_DECLS
