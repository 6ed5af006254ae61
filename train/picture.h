/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/image.h"

G_BEGIN_DECLS

typedef struct
{
  guint8 sha256[32];
} PictureDigest;

/* A decoded picture file, to be looked at in several sizes: upright, as its EXIF
 * orientation or its container says. Transparent parts have the colours that the file
 * stores, until picture_flatten(). A JPEG of more than 2^25 pixels is decoded at a half, a
 * quarter or an eighth of its size, such pictures one at a time. The file is read once.
 * NN_ERROR_READ, _FORMAT (cut off, too; no loader for its kind), _SHAPE (of more than 2^28
 * pixels), _NO_MEMORY; the messages tell the reason without the path. */
typedef struct _Picture Picture;
Picture *picture_open (const char *path, GError **error);
/* The same, and the digest of the file. */
Picture *picture_open_with_digest (const char *path, PictureDigest *digest, GError **error);
void picture_free (Picture *picture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Picture, picture_free)

/* Lays it on the background of @pre, where that has one. */
void picture_flatten (Picture *picture, const NnPreprocess *pre);

void picture_get_size (const Picture *picture, guint *width, guint *height);
/* Its pixels, for samplers; @planes are the picture's. */
void picture_get_image (const Picture *picture, NnImageInfo *info, NnImagePlanes *planes);

/* @dst: (H, W, C) bytes of @pre. Does not flatten. */
gboolean picture_sample (const Picture *picture, const NnPreprocess *pre, guint8 *dst,
    GError **error);

/* Opens, flattens and samples; messages begin with the path.
 * @digest: (out) (nullable). */
gboolean picture_load (const char *path, const NnPreprocess *pre, guint8 *dst, GError **error);
gboolean picture_load_with_digest (const char *path, const NnPreprocess *pre, guint8 *dst,
    PictureDigest *digest, GError **error);

/* Of a file's bytes, without decoding them. NN_ERROR_READ, _FORMAT; messages begin with the
 * path. */
gboolean picture_digest (const char *path, PictureDigest *digest, GError **error);

G_END_DECLS
