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
      scan->height = be16 (data + at + 3);
      scan->width = be16 (data + at + 5);
    }
    if (marker == 0xe1 && length >= 8 && memcmp (data + at + 2, "Exif\0", 6) == 0) {
      scan->exif = data + at + 8;
      scan->exif_size = length - 8;
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
  int clear = -1; /* index of the transparent colour */
  gsize at = 13, table = 13;
  guint8 flags;

  scan->cut = "the end of its first picture is missing";
  if (size < at)
    return;
  scan->width = le16 (data + 6);
  scan->height = le16 (data + 8);
  flags = data[10];
  at += gif_table_size (flags);
  while (at < size) {
    switch (data[at]) {
      case 0x21: /* an extension */
        if (size - at >= 8 && data[at + 1] == 0xf9 && (data[at + 3] & 1))
          clear = data[at + 6];
        at += 2;
        if (!skip_gif_blocks (data, size, &at))
          return;
        break;
      case 0x2c: /* a picture */
        if (size - at < 11)
          return;
        if (data[at + 9] & 0x80) { /* it has a table of its own */
          flags = data[at + 9];
          table = at + 10;
        }
        at += 11 + gif_table_size (data[at + 9]);
        if (clear >= 0 && (gsize) clear * 3 < gif_table_size (flags)
            && table + (gsize) clear * 3 + 3 <= size) {
          scan->has_clear = TRUE;
          memcpy (scan->clear, data + table + clear * 3, 3);
        }
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

/* --- where EXIF data is ------------------------------------------------------------- */

static void
scan_png (const guint8 *data, gsize size, PictureScan *scan)
{
  if (size < 24)
    return;
  scan->width = be32 (data + 16);
  scan->height = be32 (data + 20);
  scan->cut = "its IEND chunk is missing";
  /* from chunk to chunk: length, name, data, checksum */
  for (gsize at = 8; size - at >= 12;) {
    const gsize length = be32 (data + at);

    if (length > size - at - 12)
      return;
    if (memcmp (data + at + 4, "IEND", 4) == 0) {
      scan->cut = NULL;
      return;
    }
    if (memcmp (data + at + 4, "eXIf", 4) == 0) {
      scan->exif = data + at + 8;
      scan->exif_size = length;
    }
    at += length + 12;
  }
}

/* RIFF: chunks of a name, a length and data, which is padded to an even number */
static void
scan_webp (const guint8 *data, gsize size, PictureScan *scan)
{
  const guint64 end = (guint64) le32 (data + 4) + 8;

  if (end > size)
    scan->cut = "the end of its RIFF chunk is missing";
  for (gsize at = 12; size - at >= 8;) {
    const gsize length = le32 (data + at + 4);
    const guint8 *body = data + at + 8;

    if (length > size - at - 8) {
      scan->cut = "the end of one of its chunks is missing";
      return;
    }
    if (memcmp (data + at, "VP8X", 4) == 0 && length >= 10) {
      scan->width = 1 + (le16 (body + 4) | (guint) body[6] << 16);
      scan->height = 1 + (le16 (body + 7) | (guint) body[9] << 16);
    } else if (memcmp (data + at, "VP8 ", 4) == 0 && length >= 10 && scan->width == 0) {
      scan->width = le16 (body + 6) & 0x3fff;
      scan->height = le16 (body + 8) & 0x3fff;
    } else if (memcmp (data + at, "VP8L", 4) == 0 && length >= 5 && scan->width == 0) {
      scan->width = 1 + (le32 (body + 1) & 0x3fff);
      scan->height = 1 + (le32 (body + 1) >> 14 & 0x3fff);
    } else if (memcmp (data + at, "EXIF", 4) == 0) {
      scan->exif = body;
      scan->exif_size = length;
    }
    if (length + (length & 1) > size - at - 8)
      return;
    at += 8 + length + (length & 1);
  }
}

/* ISO 14496-12: boxes in boxes. The size of each picture in the file, tiles and the whole,
 * is in an ispe box of meta/iprp/ipco. */
static void
scan_boxes (const guint8 *data, gsize size, guint depth, PictureScan *scan)
{
  gboolean has_meta = FALSE;
  gsize at = 0;

  while (size - at >= 8) {
    const guint8 *box = data + at;
    guint64 length = be32 (box);
    gsize header = 8;

    if (length == 1 && size - at >= 16) {
      length = (guint64) be32 (box + 8) << 32 | be32 (box + 12);
      header = 16;
    } else if (length == 0) { /* up to the end */
      length = size - at;
    }
    if (length < header || length > size - at) {
      if (depth == 0)
        scan->cut = "the end of one of its boxes is missing";
      return;
    }
    if (memcmp (box + 4, "ispe", 4) == 0 && length >= header + 12) {
      const guint width = be32 (box + header + 4), height = be32 (box + header + 8);

      if ((guint64) width * height > (guint64) scan->width * scan->height) {
        scan->width = width;
        scan->height = height;
      }
    } else if (depth < 4
        && (memcmp (box + 4, "iprp", 4) == 0 || memcmp (box + 4, "ipco", 4) == 0)) {
      scan_boxes (box + header, length - header, depth + 1, scan);
    } else if (depth < 4 && memcmp (box + 4, "meta", 4) == 0 && length >= header + 4) {
      has_meta = TRUE;
      scan_boxes (box + header + 4, length - header - 4, depth + 1, scan);
    }
    at += length;
  }
  if (depth == 0 && (at < size || !has_meta))
    scan->cut = at < size ? "the end of one of its boxes is missing" : "its meta box is missing";
}

/* --- others ---------------------------------------------------------------------------- */

/* The first directory: entries of 12 bytes, a tag, a type, a count and a value. */
static void
scan_tiff (const guint8 *data, gsize size, PictureScan *scan)
{
  const gboolean is_little = data[0] == 'I';
  guint (*const get16) (const guint8 *) = is_little ? le16 : be16;
  guint (*const get32) (const guint8 *) = is_little ? le32 : be32;
  const gsize at = size >= 8 ? get32 (data + 4) : 0;
  guint n;

  if (at < 8 || at > size || size - at < 2)
    return;
  n = get16 (data + at);
  for (guint i = 0; i < n && size - at - 2 >= (gsize) (i + 1) * 12; i++) {
    const guint8 *entry = data + at + 2 + i * 12;
    const guint value = get16 (entry + 2) == 3 ? get16 (entry + 8) : get32 (entry + 8);

    if (get16 (entry) == 256)
      scan->width = value;
    else if (get16 (entry) == 257)
      scan->height = value;
  }
}

/* numbers of a PNM header, comments between them skipped */
static gboolean
read_pnm (const guint8 *data, gsize size, gsize *at, guint *value)
{
  guint64 number = 0;
  gsize start;

  while (*at < size && (g_ascii_isspace (data[*at]) || data[*at] == '#')) {
    if (data[*at] == '#')
      while (*at < size && data[*at] != '\n')
        ++*at;
    else
      ++*at;
  }
  for (start = *at; *at < size && g_ascii_isdigit (data[*at]) && number < G_MAXUINT32; ++*at)
    number = number * 10 + (data[*at] - '0');
  *value = (guint) MIN (number, G_MAXUINT32);
  return *at > start;
}

static void
scan_pnm (const guint8 *data, gsize size, PictureScan *scan)
{
  const gboolean is_bitmap = data[1] == '1' || data[1] == '4', is_raw = data[1] >= '4';
  const guint channels = data[1] == '3' || data[1] == '6' ? 3 : 1;
  guint max = 1;
  guint64 row;
  gsize at = 2;

  scan->cut = "the end of its header is missing";
  if (!read_pnm (data, size, &at, &scan->width) || !read_pnm (data, size, &at, &scan->height)
      || (!is_bitmap && !read_pnm (data, size, &at, &max)) || at >= size)
    return;
  scan->cut = NULL;
  row = is_bitmap ? ((guint64) scan->width + 7) / 8
                  : (guint64) scan->width * channels * (max > 255 ? 2 : 1);
  if (is_raw && row > 0 && (size - at - 1) / row < scan->height)
    scan->cut = "some of its rows are missing";
}

static void
scan_tga (const guint8 *data, gsize size, PictureScan *scan)
{
  const guint64 map = data[1] ? (guint64) le16 (data + 5) * ((data[7] + 7) / 8) : 0;
  const guint64 start = 18 + data[0] + map;

  scan->width = le16 (data + 12);
  scan->height = le16 (data + 14);
  if (data[2] < 4 /* not in run lengths, whose decoder tells it */
      && start + (guint64) scan->width * scan->height * ((data[16] + 7) / 8) > size)
    scan->cut = "some of its rows are missing";
}

static void
scan_ico (const guint8 *data, gsize size, PictureScan *scan)
{
  const guint n = le16 (data + 4);

  scan->cut = "the end of its list of pictures is missing";
  if (size < 6 + (gsize) n * 16)
    return;
  scan->cut = NULL;
  for (guint i = 0; i < n; i++) {
    const guint8 *entry = data + 6 + i * 16;
    const guint64 at = le32 (entry + 12), length = le32 (entry + 8);

    if (at + length > size) {
      scan->cut = "the end of one of its pictures is missing";
      return;
    }
    /* its own header says how large it is, in twice the rows: those of the mask */
    if (length >= 40 && le32 (data + at) >= 40 && le32 (data + at) < 256) {
      scan->width = MAX (scan->width, le32 (data + at + 4));
      scan->height = MAX (scan->height, le32 (data + at + 8) / 2);
    }
  }
}

void
picture_scan (const guint8 *data, gsize size, PictureScan *scan)
{
  memset (scan, 0, sizeof *scan);
  scan->kind = picture_kind_guess (data, size);
  switch (scan->kind) {
    case PICTURE_JPEG:
      scan_jpeg (data, size, scan);
      break;
    case PICTURE_PNG:
      scan_png (data, size, scan);
      break;
    case PICTURE_GIF:
      scan_gif (data, size, scan);
      break;
    case PICTURE_BMP:
      scan_bmp (data, size, scan);
      break;
    case PICTURE_TIFF:
      scan_tiff (data, size, scan);
      break;
    case PICTURE_WEBP:
      scan_webp (data, size, scan);
      break;
    case PICTURE_AVIF:
    case PICTURE_HEIC:
      scan_boxes (data, size, 0, scan);
      break;
    case PICTURE_PNM:
      scan_pnm (data, size, scan);
      break;
    case PICTURE_TGA:
      scan_tga (data, size, scan);
      break;
    case PICTURE_ICO:
      scan_ico (data, size, scan);
      break;
    default:
      break;
  }
}
