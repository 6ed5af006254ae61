/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "nn/error.h"

typedef struct
{
  struct jpeg_error_mgr base;
  jmp_buf fail;
  gboolean has_hit_marker; /* data of a scan ended before its last block */
  char message[JMSG_LENGTH_MAX];
} ErrorManager;

typedef struct
{
  struct jpeg_decompress_struct info;
  ErrorManager errors;
  guint8 *pixels, *row; /* @row: of CMYK */
} Decoder;

static void
on_error (j_common_ptr common)
{
  ErrorManager *errors = (ErrorManager *) common->err;

  errors->base.format_message (common, errors->message);
  longjmp (errors->fail, 1);
}

static void
on_message (j_common_ptr common, int level)
{
  ErrorManager *errors = (ErrorManager *) common->err;

  if (level < 0 && errors->base.msg_code == JWRN_HIT_MARKER)
    errors->has_hit_marker = TRUE;
}

static void
ignore_output (j_common_ptr common)
{
}

/* Adobe's are inverted, and theirs are nearly all */
static void
cmyk_to_rgb (const guint8 *src, guint width, gboolean is_inverted, guint8 *dst)
{
  for (guint x = 0; x < width; x++, src += 4, dst += 3) {
    const guint k = is_inverted ? src[3] : 255u - src[3];

    for (guint c = 0; c < 3; c++)
      dst[c] = (guint8) (k * (is_inverted ? src[c] : 255u - src[c]) / 255);
  }
}

/* of a progressive one: every bit of every coefficient has come */
static gboolean
has_all_bits (const struct jpeg_decompress_struct *info)
{
  for (int c = 0; info->coef_bits && c < info->num_components; c++)
    for (int k = 0; k < DCTSIZE2; k++)
      if (info->coef_bits[c][k] != 0)
        return FALSE;
  return TRUE;
}

static void
begin (Decoder *d, const guint8 *data, gsize size, guint shift)
{
  struct jpeg_decompress_struct *info = &d->info;

  jpeg_create_decompress (info);
  jpeg_mem_src (info, data, (unsigned long) size);
  jpeg_read_header (info, TRUE);
  info->scale_num = 1;
  info->scale_denom = 1u << shift;
  info->out_color_space
      = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK ? JCS_CMYK
                                                                                 : JCS_RGB;
  jpeg_start_decompress (info);
}

static gboolean
read_rows (Decoder *d)
{
  struct jpeg_decompress_struct *info = &d->info;
  const gsize stride = jpeg_get_stride (info->output_width);

  d->pixels = g_try_malloc (stride * info->output_height);
  d->row = g_try_malloc ((gsize) info->output_width * 4);
  if (!d->pixels || !d->row)
    return FALSE;
  while (info->output_scanline < info->output_height) {
    guint8 *dst = d->pixels + info->output_scanline * stride;
    JSAMPROW row = info->out_color_space == JCS_CMYK ? d->row : dst;

    if (jpeg_read_scanlines (info, &row, 1) == 1 && info->out_color_space == JCS_CMYK)
      cmyk_to_rgb (d->row, info->output_width, info->saw_Adobe_marker, dst);
  }
  return TRUE;
}

/* zeros behind the last block would be taken for more of them */
static gsize
trim (const guint8 *data, gsize size)
{
  while (size > 0 && data[size - 1] == 0)
    size--;
  return size;
}

guint8 *
jpeg_decode (const guint8 *data, gsize size, guint shift, gboolean has_end, guint *width,
    guint *height, GError **error)
{
  Decoder d = { .errors = { .has_hit_marker = FALSE } };
  gboolean has_memory, is_whole;

  d.info.err = jpeg_std_error (&d.errors.base);
  d.errors.base.error_exit = on_error;
  d.errors.base.emit_message = on_message;
  d.errors.base.output_message = ignore_output;
  if (setjmp (d.errors.fail)) {
    jpeg_destroy_decompress (&d.info);
    g_free (d.pixels);
    g_free (d.row);
    g_set_error_literal (error, NN_ERROR, NN_ERROR_FORMAT,
        has_end ? d.errors.message : "the file is cut off: its end marker is missing");
    return NULL;
  }
  begin (&d, data, has_end ? size : trim (data, size), shift);
  has_memory = read_rows (&d);
  is_whole = has_end || (!d.errors.has_hit_marker && has_all_bits (&d.info));
  *width = d.info.output_width;
  *height = d.info.output_height;
  jpeg_destroy_decompress (&d.info);
  g_free (d.row);
  if (has_memory && is_whole)
    return d.pixels;
  g_free (d.pixels);
  if (!has_memory)
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "not enough memory for %ux%u pixels", *width,
        *height);
  else
    g_set_error_literal (error, NN_ERROR, NN_ERROR_FORMAT,
        "the file is cut off: its end marker is missing");
  return NULL;
}
