/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A rectangle in pixels; fractions allowed. */
typedef struct
{
  double x, y, width, height;
} NnRect;

/* How an image that lies in memory is turned to be shown upright. The numbers are
 * GstVideoOrientationMethod's. */
typedef enum
{
  NN_ORIENTATION_IDENTITY,
  NN_ORIENTATION_90R, /* clockwise by 90 degrees */
  NN_ORIENTATION_180,
  NN_ORIENTATION_90L, /* counter-clockwise by 90 degrees */
  NN_ORIENTATION_HORIZ, /* left and right change places */
  NN_ORIENTATION_VERT,  /* top and bottom change places */
  NN_ORIENTATION_UL_LR, /* across the diagonal from upper left to lower right */
  NN_ORIENTATION_UR_LL, /* across the other diagonal */
  NN_N_ORIENTATIONS,
} NnOrientation;

/* A plane's pixels or samples as the image is shown: (x, y) is at
 * first + x * pitch_x + y * pitch_y. */
typedef struct
{
  const guint8 *first;
  gssize pitch_x, pitch_y; /* bytes */
} NnTurnedPlane;

/* @pixels: of @width x @height in memory, @step bytes from one to the next. */
NnTurnedPlane nn_turn_plane (NnOrientation orientation, const guint8 *pixels, gssize stride,
    gssize step, guint width, guint height);

/* Width and height change places. */
gboolean nn_orientation_is_transposed (NnOrientation orientation);
/* What turns back. */
NnOrientation nn_orientation_invert (NnOrientation orientation);
/* @rect of an image of @width x @height, in pixels of the turned image. */
NnRect nn_orientation_turn_rect (NnOrientation orientation, double width, double height,
    const NnRect *rect);
/* @src: (height, width) pixels of @size bytes; @dst: the turned image. Strides in bytes. */
void nn_orientation_turn_pixels (NnOrientation orientation, const guint8 *src, gssize src_stride,
    guint width, guint height, guint size, guint8 *dst, gssize dst_stride);

G_END_DECLS
