/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Decodes a JPEG out of memory to RGB, gray and CMYK ones too.
 * @shift: 0..3: at a half, a quarter or an eighth of its size.
 * @has_end: whether the file has its end marker; of one that has not the decoder must have
 * seen all of the pixels.
 * Returns: (transfer full): (height, width, 3) bytes, each row padded to jpeg_get_stride().
 * NN_ERROR_FORMAT (cut off, too), _NO_MEMORY; the messages are without a path. */
guint8 *jpeg_decode (const guint8 *data, gsize size, guint shift, gboolean has_end, guint *width,
    guint *height, GError **error);

/* Bytes from row to row: a multiple of 4, as gdk-pixbuf's own pictures have it. It copies whole
 * strides of its own when it flips one. */
static inline gsize
jpeg_get_stride (guint width)
{
  return ((gsize) width * 3 + 3) & ~(gsize) 3;
}

G_END_DECLS
