/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "gst/regions.h"

G_BEGIN_DECLS

/* A buffer to map @buffer's frame by that keeps its memory, but not @buffer itself, to which metas
 * can go on being added: gst_buffer_copy() of GStreamer 1.24 and later keeps a pool's buffer.
 * (transfer full) */
GstBuffer *frame_share (GstBuffer *buffer);

/* The rows of a frame that some regions lie in: kept for another thread to sample, as copying
 * them takes less time than several views do, or unpacked where gst_video_classify_is_direct()
 * is FALSE (to what gst_video_classify_image_info() says). Zeroed: empty. */
typedef struct {
  NnImagePlanes planes; /* as of the whole frame: only the rows of the regions may be read */
  guint8 *memory;
  gsize size;
} FrameCopy;

void frame_copy_take (
    FrameCopy *copy, const GstVideoFrame *frame, const Region *regions, guint n_regions);
void frame_copy_clear (FrameCopy *copy);

G_END_DECLS
