/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a picture file's bytes tell without being decoded. */
typedef struct
{
  gboolean is_jpeg;
  gboolean is_progressive; /* a JPEG in several scans */
  guint width, height;     /* as stored; 0 where not known */
  const char *cut;         /* of a file that is cut off: what is missing; else NULL */
} PictureScan;

/* JPEG, GIF and BMP files that are cut off are decoded with the rest grey or
 * black, and no word of it: here it is told. Of PNG and others, whose decoders
 * tell it themselves, at most the size is looked at. What follows the
 * picture's end does not matter. */
void picture_scan (const guint8 *data, gsize size, PictureScan *scan);

G_END_DECLS
