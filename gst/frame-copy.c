/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/frame-copy.h"

#include <math.h>
#include <string.h>

#include "gst/formats.h"

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
    rows.end = (bottom + (1u << h_sub) - 1) >> h_sub;
    if (h_sub > 0) { /* upside down an odd number of rows begins with half a row of chroma */
      rows.first -= MIN (rows.first, 1);
      rows.end++;
    }
    rows.end = MIN (rows.end, (guint)GST_VIDEO_FRAME_COMP_HEIGHT (frame, c));
    rows.n_bytes = MAX (rows.n_bytes, (gsize)GST_VIDEO_FRAME_COMP_WIDTH (frame, c)
                                          * (gsize)GST_VIDEO_FRAME_COMP_PSTRIDE (frame, c));
  }
  return rows;
}

static void
reserve (FrameCopy *copy, gsize size)
{
  if (size <= copy->size)
    return;
  g_free (copy->memory);
  copy->memory = g_malloc (size);
  copy->size = size;
}

static void
find_rows (const Region *regions, guint n_regions, guint *first, guint *end)
{
  double top = regions[0].rect.y, bottom = top + regions[0].rect.height;

  for (guint r = 1; r < n_regions; r++) {
    top = MIN (top, regions[r].rect.y);
    bottom = MAX (bottom, regions[r].rect.y + regions[r].rect.height);
  }
  *first = (guint)floor (top);
  *end = (guint)ceil (bottom);
}

/* ARGB of 16 bits to 8, to the nearest. */
static void
narrow (const guint16 *src, gsize n, guint8 *dst)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = (guint8)((src[i] * 255u + 32767) / 65535);
}

/* What the sampler reads as NN_PIXEL_AYUV64. */
static void
make_little_endian (guint16 *values, gsize n)
{
  for (gsize i = 0; G_BYTE_ORDER == G_BIG_ENDIAN && i < n; i++)
    values[i] = GUINT16_TO_LE (values[i]);
}

#define SLACK 64 /* pixels: functions that unpack work on groups of them */

static void
unpack (FrameCopy *copy, const GstVideoFrame *frame, const Region *regions, guint n_regions)
{
  const GstVideoFormatInfo *format = frame->info.finfo;
  const gboolean is_deep = format->unpack_format == GST_VIDEO_FORMAT_AYUV64;
  const gboolean is_narrowed = format->unpack_format == GST_VIDEO_FORMAT_ARGB64;
  const gsize width = (gsize)GST_VIDEO_FRAME_WIDTH (frame), pixel = is_deep ? 8 : 4;
  /* ORC's functions misread rows that are not aligned */
  const gsize stride = (width + SLACK - 1) / SLACK * SLACK * pixel;
  /* limited range: 235 of 8 bits is 235 * 4 of 10, with nothing below; of the full one 1023 is
   * 255 */
  const GstVideoPackFlags flags = frame->info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255
                                          || GST_VIDEO_FORMAT_INFO_IS_RGB (format)
                                      ? GST_VIDEO_PACK_FLAG_NONE
                                      : GST_VIDEO_PACK_FLAG_TRUNCATE_RANGE;
  g_autofree guint16 *line = is_narrowed ? g_new (guint16, 4 * (width + SLACK)) : NULL;
  guint first, end;
  guint8 *dst;

  find_rows (regions, n_regions, &first, &end);
  reserve (copy, (end - first) * stride + SLACK * pixel);
  dst = copy->memory;
  copy->planes = (NnImagePlanes){ 0 };
  copy->planes.strides[0] = (gssize)stride;
  copy->planes.planes[0] = (const guint8 *)((guintptr)dst - (guintptr)first * stride);
  for (guint y = first; y < end; y++, dst += stride) {
    format->unpack_func (format, flags, line ? (gpointer)line : (gpointer)dst,
        (const gpointer *)frame->data, frame->info.stride, 0, (gint)y, (gint)width);
    if (is_narrowed)
      narrow (line, 4 * width, dst);
    else if (is_deep)
      make_little_endian ((guint16 *)(gpointer)dst, 4 * width);
  }
}

void
frame_copy_take (
    FrameCopy *copy, const GstVideoFrame *frame, const Region *regions, guint n_regions)
{
  const guint n_planes = MIN (GST_VIDEO_FRAME_N_PLANES (frame), 3);
  guint first, end;
  Rows rows[3];
  gsize size = 0;
  guint8 *dst;

  if (!gst_video_classify_is_direct (GST_VIDEO_FRAME_FORMAT (frame))) {
    unpack (copy, frame, regions, n_regions);
    return;
  }
  find_rows (regions, n_regions, &first, &end);
  for (guint p = 0; p < n_planes; p++) {
    rows[p] = rows_of (frame, p, first, end);
    size += (rows[p].end - rows[p].first) * rows[p].n_bytes;
  }
  reserve (copy, size);
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
