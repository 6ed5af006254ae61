/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  PICTURE_OTHER, /* not known by its bytes */
  PICTURE_JPEG,
  PICTURE_PNG,
  PICTURE_GIF,
  PICTURE_BMP,
  PICTURE_TIFF,
  PICTURE_WEBP,
  PICTURE_AVIF,
  PICTURE_HEIC,
  PICTURE_PNM,
  PICTURE_TGA,
  PICTURE_ICO,
  PICTURE_ICNS,
  PICTURE_JXL,
  PICTURE_JPEG2000,
  PICTURE_PHOTOSHOP,
  PICTURE_DDS,
  PICTURE_XPM,
  PICTURE_SVG,
  PICTURE_NONE_HTML, /* from here on what is no picture */
  PICTURE_NONE_XML,
  PICTURE_NONE_TEXT,
  PICTURE_NONE_PDF,
  PICTURE_NONE_ARCHIVE,
  PICTURE_NONE_VIDEO,
  PICTURE_N_KINDS,
} PictureKind;

/* What a kind is called, who decodes it. Static data. */
typedef struct
{
  const char *name;       /* with its article: "a WebP picture" */
  const char *loaders[3]; /* gdk-pixbuf's names, best first; none: it is not read */
  const char *package;    /* of Debian, that has the loader; NULL: comes with gdk-pixbuf */
} PictureKindInfo;

/* Bytes of a file's beginning that picture_kind_guess() wants to see. */
#define PICTURE_KIND_BYTES 512

/* By the first bytes, never by the name. @size may be less than the file's. */
PictureKind picture_kind_guess (const guint8 *data, gsize size);
const PictureKindInfo *picture_kind_get_info (PictureKind kind);

/* Whether a file of a folder is to be read: a regular file (or a link to one) whose bytes
 * are a picture's, whatever its name, or whose name says so, or that cannot be read (the
 * reading tells why). Hidden files are nobody's pictures. */
gboolean picture_is_wanted (const char *path, const char *name);

G_END_DECLS
