/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a warped pixel comes from: SciPy's ndimage.affine_transform, which
 * Keras calls for each channel. No GLib here: CUDA sources include this file. */

#include <math.h>

#include "nn/rng.h" /* NN_HOST_DEVICE */

typedef enum
{
  NN_WARP_NEAREST,
  NN_WARP_CONSTANT,
  NN_WARP_REFLECT,
  NN_WARP_WRAP,
} NnWarpFill;

/* further out no period can be told from the next, and an int overflows */
#define NN_WARP_FAR 1e9

/* Moves coordinate @x of an axis of @n pixels into the image; -1 where the
 * constant is to be taken instead. A reflected coordinate may lie in (-1, 0):
 * nn_warp_index() brings its neighbours home. Any @x will do, NaN too. */
static inline NN_HOST_DEVICE double
nn_warp_coordinate (double x, int n, NnWarpFill fill)
{
  if (x >= 0 && x <= n - 1)
    return x;
  switch (fill) {
    case NN_WARP_NEAREST:
      return x < 0 ? 0 : n - 1;
    case NN_WARP_REFLECT:
      if (n <= 1 || !(fabs (x) < NN_WARP_FAR))
        return 0;
      if (x < 0) {
        if (x < -2.0 * n)
          x += 2.0 * n * (int) (-x / (2.0 * n));
        return x < -n ? x + 2.0 * n : (x > -1e-15 ? 1e-15 : -x) - 1;
      }
      x -= 2.0 * n * (int) (x / (2.0 * n));
      return x >= n ? 2.0 * n - x - 1 : x;
    case NN_WARP_WRAP:
      if (n <= 1 || !(fabs (x) < NN_WARP_FAR))
        return 0;
      if (x < 0)
        return x + (n - 1) * ((int) (-x / (n - 1)) + 1);
      return x - (n - 1) * (int) (x / (n - 1));
    default:
      return -1;
  }
}

/* A neighbour's index: of nn_warp_coordinate()'s result, or one more. */
static inline NN_HOST_DEVICE int
nn_warp_index (int i, int n, NnWarpFill fill)
{
  if (i >= 0 && i < n)
    return i;
  if (n <= 1)
    return 0;
  if (fill == NN_WARP_REFLECT)
    return i < 0 ? -i - 1 : 2 * n - i - 1;
  return i < 0 ? -i : 2 * n - 2 - i; /* its weight is 0 */
}
