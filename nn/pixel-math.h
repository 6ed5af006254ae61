/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The arithmetic of a pixel's conversion, for host and device. */

#include "nn/rng.h" /* NN_HOST_DEVICE */

/* R'G'B' (0..255) of Y'CbCr. With Kr, Kb of the matrix (ITU-R BT.601: .299, .114;
 * BT.709: .2126, .0722; BT.2020: .2627, .0593), Kg = 1 - Kr - Kb:
 *   y = (Y - y_offset) * y_scale        limited range: 16, 255 / 219; full: 0, 1
 *   R = y + rv * (V - 128)              rv = 2 (1 - Kr) * c, c = 255 / 224 or 1
 *   G = y + gu * (U - 128) + gv * (V - 128)
 *   B = y + bu * (U - 128)
 * (ITU-R BT.601-7 2.5, BT.709-6 3, BT.2020-2 table 4.) */
typedef struct
{
  float y_offset, y_scale, rv, gu, gv, bu;
} NnYuvMatrix;

static inline NnYuvMatrix
nn_yuv_matrix (double kr, double kb, int full_range)
{
  const double kg = 1 - kr - kb, c = full_range ? 1 : 255. / 224;
  NnYuvMatrix m;

  m.y_offset = full_range ? 0 : 16;
  m.y_scale = (float) (full_range ? 1 : 255. / 219);
  m.rv = (float) (2 * (1 - kr) * c);
  m.gu = (float) (-2 * (1 - kb) * kb / kg * c);
  m.gv = (float) (-2 * (1 - kr) * kr / kg * c);
  m.bu = (float) (2 * (1 - kb) * c);
  return m;
}

/* to the nearest byte, halves up */
static inline NN_HOST_DEVICE unsigned char
nn_round_byte (float x)
{
  x = x < 0 ? 0 : x > 255 ? 255 : x;
  return (unsigned char) (int) (x + 0.5f);
}

/* Pillow's convert("L") */
static inline NN_HOST_DEVICE unsigned char
nn_gray (unsigned r, unsigned g, unsigned b)
{
  return (unsigned char) ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}
