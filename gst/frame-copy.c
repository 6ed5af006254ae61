/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/frame-copy.h"

#include <math.h>
#include <string.h>

GstBuffer *
frame_share (GstBuffer *buffer)
{
  GstVideoMeta *meta = gst_buffer_get_video_meta (buffer);
  GstBuffer *shared = gst_buffer_new ();

  for (guint i = 0; i < gst_buffer_n_memory (buffer); i++)
    gst_buffer_append_memory (shared, gst_buffer_get_memory (buffer, i));
  if (meta)
    gst_buffer_add_video_meta_full (shared, meta->flags, meta->format, meta->width, meta->height,
        meta->n_planes, meta->offset, meta->stride);
  return shared;
}

typedef struct {
  guint first, end; /* rows */
  gsize n_bytes;    /* of each */
} Rows;

/* What of plane @p the rows @top to @bottom of the frame lie in. */
static Rows
rows_of (const GstVideoFrame *frame, guint p, guint top, guint bottom)
{
  const GstVideoFormatInfo *format = frame->info.finfo;
  Rows rows = { 0 };

  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (frame); c++) {
    const guint h_sub = GST_VIDEO_FORMAT_INFO_H_SUB (format, c);

    if (GST_VIDEO_FORMAT_INFO_PLANE (format, c) != p)
      continue;
    rows.first = top >> h_sub;
    rows.end = MIN (
        (bottom + (1u << h_sub) - 1) >> h_sub, (guint)GST_VIDEO_FRAME_COMP_HEIGHT (frame, c));
    rows.n_bytes = MAX (rows.n_bytes, (gsize)GST_VIDEO_FRAME_COMP_WIDTH (frame, c)
                                          * (gsize)GST_VIDEO_FRAME_COMP_PSTRIDE (frame, c));
  }
  return rows;
}

void
frame_copy_take (
    FrameCopy *copy, const GstVideoFrame *frame, const Region *regions, guint n_regions)
{
  const guint n_planes = MIN (GST_VIDEO_FRAME_N_PLANES (frame), 3);
  double top = regions[0].rect.y, bottom = top + regions[0].rect.height;
  Rows rows[3];
  gsize size = 0;
  guint8 *dst;

  for (guint r = 1; r < n_regions; r++) {
    top = MIN (top, regions[r].rect.y);
    bottom = MAX (bottom, regions[r].rect.y + regions[r].rect.height);
  }
  for (guint p = 0; p < n_planes; p++) {
    rows[p] = rows_of (frame, p, (guint)floor (top), (guint)ceil (bottom));
    size += (rows[p].end - rows[p].first) * rows[p].n_bytes;
  }
  if (size > copy->size) {
    g_free (copy->memory);
    copy->memory = g_malloc (size);
    copy->size = size;
  }
  dst = copy->memory;
  for (guint p = 0; p < n_planes; p++) {
    const gssize stride = GST_VIDEO_FRAME_PLANE_STRIDE (frame, p);
    const guint8 *src = (const guint8 *)GST_VIDEO_FRAME_PLANE_DATA (frame, p);

    copy->planes.strides[p] = (gssize)rows[p].n_bytes;
    copy->planes.planes[p]
        = (const guint8 *)((guintptr)dst - (guintptr)rows[p].first * rows[p].n_bytes);
    for (guint y = rows[p].first; y < rows[p].end; y++, dst += rows[p].n_bytes)
      memcpy (dst, src + (gssize)y * stride, rows[p].n_bytes);
  }
}

void
frame_copy_clear (FrameCopy *copy)
{
  g_free (copy->memory);
  *copy = (FrameCopy){ 0 };
}
