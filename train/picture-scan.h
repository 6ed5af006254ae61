/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/picture-kind.h"

G_BEGIN_DECLS

/* What a picture file's bytes tell without being decoded. */
typedef struct
{
  PictureKind kind;
  guint width, height; /* as stored, of several pictures the largest; 0 where not known */
  const char *cut;     /* of a file that is cut off: what is missing; else NULL. A JPEG without
                        * its end marker may have all of its pixels: its decoder knows */
  const guint8 *exif;  /* EXIF data of a JPEG, PNG or WebP, in the file's bytes, or NULL */
  gsize exif_size;
  gboolean has_clear;  /* of a GIF's first picture: it has a transparent colour, */
  guint8 clear[3];     /* this */
} PictureScan;

/* Files that are cut off are decoded with the rest grey or black, and no word of it, by many
 * decoders: here it is told. Of those whose decoders tell it themselves (TIFF) at most
 * the size is looked at. What follows the picture's end does not matter. Nothing is read
 * outside of the bytes, whatever they say. */
void picture_scan (const guint8 *data, gsize size, PictureScan *scan);

G_END_DECLS
