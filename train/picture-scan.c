/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/picture-scan.h"

#include <string.h>

static guint
be16 (const guint8 *p)
{
  return (guint) p[0] << 8 | p[1];
}

static guint
be32 (const guint8 *p)
{
  return be16 (p) << 16 | be16 (p + 2);
}

static guint
le16 (const guint8 *p)
{
  return (guint) p[1] << 8 | p[0];
}

static guint
le32 (const guint8 *p)
{
  return le16 (p + 2) << 16 | le16 (p);
}

/* From marker to marker until EOI (ITU T.81 annex B). In a scan's data a 0xff
 * is followed by 0 or a restart marker; thumbnails lie inside of segments. */
static void
scan_jpeg (const guint8 *data, gsize size, PictureScan *scan)
{
  gsize at = 2;

  scan->is_jpeg = TRUE;
  scan->cut = "its end marker is missing";
  for (;;) {
    const guint8 *ff = memchr (data + at, 0xff, size - at);
    guint8 marker;
    guint length;

    if (!ff)
      return;
    for (at = (gsize) (ff - data); at < size && data[at] == 0xff; at++) /* fill bytes */
      ;
    if (at == size)
      return;
    marker = data[at++];
    if (marker == 0xd9) { /* EOI */
      scan->cut = NULL;
      return;
    }
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) /* without a length */
      continue;
    if (size - at < 2)
      return;
    length = MAX (be16 (data + at), 2);
    if (size - at < length)
      return;
    /* SOF0 to SOF15, which DHT, JPG and DAC lie among */
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
        && length >= 8) {
      scan->is_progressive = marker == 0xc2;
      scan->height = be16 (data + at + 3);
      scan->width = be16 (data + at + 5);
    }
    at += length;
  }
}

/* GIF: blocks with their length in front, up to one of length 0 */
static gboolean
skip_gif_blocks (const guint8 *data, gsize size, gsize *at)
{
  while (*at < size) {
    guint length = data[*at];

    *at += 1 + length;
    if (length == 0)
      return TRUE;
  }
  return FALSE;
}

static gsize
gif_table_size (guint8 flags)
{
  return flags & 0x80 ? (gsize) 3 << ((flags & 7) + 1) : 0;
}

/* up to the end of the first picture, which is the one that is taken */
static void
scan_gif (const guint8 *data, gsize size, PictureScan *scan)
{
  gsize at = 13;

  scan->cut = "the end of its first picture is missing";
  if (size < at)
    return;
  scan->width = le16 (data + 6);
  scan->height = le16 (data + 8);
  at += gif_table_size (data[10]);
  while (at < size) {
    switch (data[at]) {
      case 0x21: /* an extension */
        at += 2;
        if (!skip_gif_blocks (data, size, &at))
          return;
        break;
      case 0x2c: /* a picture */
        if (size - at < 11)
          return;
        at += 11 + gif_table_size (data[at + 9]);
        if (skip_gif_blocks (data, size, &at))
          scan->cut = NULL;
        return;
      default: /* the decoder has a word for it */
        scan->cut = NULL;
        return;
    }
  }
}

static void
scan_bmp (const guint8 *data, gsize size, PictureScan *scan)
{
  const gboolean is_old = size >= 26 && le32 (data + 14) == 12;
  guint64 row, stride, rest;
  guint bits, offset;

  if (!is_old && size < 34)
    return;
  offset = le32 (data + 10);
  if (is_old) {
    scan->width = le16 (data + 18);
    scan->height = le16 (data + 20);
    bits = le16 (data + 24);
  } else {
    scan->width = le32 (data + 18);
    scan->height = le32 (data + 22);
    if (scan->height > G_MAXINT) /* negative: from top to bottom */
      scan->height = -scan->height;
    bits = le16 (data + 28);
  }
  if (!is_old && le32 (data + 30) != 0 && le32 (data + 30) != 3)
    return; /* run lengths: no size is known beforehand */
  if (scan->width == 0 || scan->height == 0 || bits == 0 || bits > 32)
    return;
  row = ((guint64) scan->width * bits + 7) / 8;
  stride = (row + 3) / 4 * 4;
  rest = size > offset ? size - offset : 0;
  /* the last row's padding may be left out */
  if (rest < row || (rest - row) / stride < scan->height - 1)
    scan->cut = "some of its rows are missing";
}

void
picture_scan (const guint8 *data, gsize size, PictureScan *scan)
{
  static const guint8 png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };

  memset (scan, 0, sizeof *scan);
  if (size >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff) {
    scan_jpeg (data, size, scan);
  } else if (size >= 6 && memcmp (data, "GIF8", 4) == 0) {
    scan_gif (data, size, scan);
  } else if (size >= 2 && memcmp (data, "BM", 2) == 0) {
    scan_bmp (data, size, scan);
  } else if (size >= 24 && memcmp (data, png, sizeof png) == 0) {
    scan->width = be32 (data + 16);
    scan->height = be32 (data + 20);
  }
}
