/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/image.h"

G_BEGIN_DECLS

/* A few means of what the network is about to see, to tell whether the
 * picture has changed or the scene has been cut. Made of the input itself, and
 * so the same for every pixel format. */

#define THUMBNAIL_SIZE 16

typedef struct {
  guint n_channels;
  float cells[3 * THUMBNAIL_SIZE * THUMBNAIL_SIZE]; /* (row, column, channel), 0..1 */
} Thumbnail;

/* Means over the cells of a grid of an input (pre->height, pre->width, channels). */
void thumbnail_make (Thumbnail *thumbnail, const float *input, const NnPreprocess *pre);
/* Of such means, (THUMBNAIL_SIZE, THUMBNAIL_SIZE, channels), in the input's values. */
void thumbnail_take (Thumbnail *thumbnail, const float *means, const NnPreprocess *pre);

/* Mean absolute difference, 0 (equal) to 1 (black and white). */
double thumbnail_compare (const Thumbnail *a, const Thumbnail *b);

G_END_DECLS
