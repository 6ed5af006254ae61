/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The arithmetic that makes a training sample of a picture's bytes, for host and device: the
 * same source, so the same bits. For C and CUDA C++: no GLib. */

#include <stdint.h>

#include "nn/warp-math.h"

typedef enum
{
  NN_CHANGE_WARP = 1 << 0, /* by the matrix; without it the picture is as large as the sample */
  NN_CHANGE_HFLIP = 1 << 1,
  NN_CHANGE_VFLIP = 1 << 2,
  NN_CHANGE_SHIFT = 1 << 3, /* of channels, within the picture's extremes */
  NN_CHANGE_BRIGHTNESS = 1 << 4,
  NN_CHANGE_CONTRAST = 1 << 5, /* about the picture's mean */
  NN_CHANGE_SATURATION = 1 << 6,
} NnChange;

/* What of a whole picture must be known before one of its pixels can be finished. */
#define NN_CHANGES_OF_WHOLES (NN_CHANGE_SHIFT | NN_CHANGE_CONTRAST)

/* One sample: which picture, and what a draw (NnAugmentParams) changes of it. */
typedef struct
{
  uint64_t picture;
  double matrix[6]; /* row-major 2x3, (row, column, 1) of the output to the source */
  float shift[3], brightness, contrast, saturation; /* the last three: factors */
  float erase_color[3];
  uint32_t erase[4]; /* top, left, bottom, right; empty: nothing */
  uint32_t changes;
  NnWarpFill fill;
  uint32_t is_bilinear; /* else nearest */
  float cval;
} NnAugmentEntry;

/* How the pictures lie and what the samples are like. */
typedef struct
{
  uint32_t rows, columns, channels, is_bgr; /* of the samples */
  uint32_t source_rows, source_columns;
  float mean[3], scale[3];
} NnAugmentForm;

/* How a sample and its partner become two mixtures: lambda of the one and the rest of the other,
 * or an exchange of the pixels of a rectangle. */
typedef struct
{
  uint32_t is_mixed, is_cut;
  float lambda;
  uint32_t top, left, bottom, right;
} NnMixEntry;

/* One or three, in registers: an index that the compiler knows. */
#define NN_EACH_CHANNEL(f, ch) \
  for (uint32_t ch = 0; ch < 3; ch++) \
    if (ch < (f)->channels)

/* Products that no compiler joins with a sum: the bits of the CPU's. */
static inline NN_HOST_DEVICE double
nn_augment_product (double a, double b)
{
#ifdef __CUDA_ARCH__
  return __dmul_rn (a, b);
#else
  return a * b;
#endif
}

static inline NN_HOST_DEVICE float
nn_augment_product_f (float a, float b)
{
#ifdef __CUDA_ARCH__
  return __fmul_rn (a, b);
#else
  return a * b;
#endif
}

static inline NN_HOST_DEVICE float
nn_augment_clamp (float x, float lowest, float highest)
{
  return x > highest ? highest : x < lowest ? lowest : x;
}

/* The source at (@y, @x), 0..255, to @dst: as SciPy has it. */
static inline NN_HOST_DEVICE void
nn_augment_warp (const NnAugmentForm *f, const NnAugmentEntry *e, const uint8_t *src, double y,
    double x, float *dst)
{
  const int height = (int) f->source_rows, width = (int) f->source_columns;
  const int channels = (int) f->channels;
  const uint64_t line = (uint64_t) width * channels;

  y = nn_warp_coordinate (y, height, e->fill);
  x = nn_warp_coordinate (x, width, e->fill);
  if (e->fill == NN_WARP_CONSTANT && (y < 0 || x < 0)) {
    NN_EACH_CHANNEL (f, ch)
      dst[ch] = e->cval;
  } else if (!e->is_bilinear) {
    const int iy = nn_warp_index ((int) floor (y + 0.5), height, e->fill);
    const int ix = nn_warp_index ((int) floor (x + 0.5), width, e->fill);
    const uint8_t *p = src + iy * line + (uint64_t) ix * channels;

    NN_EACH_CHANNEL (f, ch)
      dst[ch] = p[ch];
  } else {
    const int fy = (int) floor (y), fx = (int) floor (x);
    const double wy = y - fy, wx = x - fx;
    const uint8_t *top = src + nn_warp_index (fy, height, e->fill) * line;
    const uint8_t *bottom = src + nn_warp_index (fy + 1, height, e->fill) * line;
    const int left = nn_warp_index (fx, width, e->fill) * channels;
    const int right = nn_warp_index (fx + 1, width, e->fill) * channels;

    NN_EACH_CHANNEL (f, ch) {
      double sum = nn_augment_product (top[left + ch] * (1 - wy), 1 - wx);

      sum += nn_augment_product (top[right + ch] * (1 - wy), wx);
      sum += nn_augment_product (bottom[left + ch] * wy, 1 - wx);
      sum += nn_augment_product (bottom[right + ch] * wy, wx);
      dst[ch] = (float) sum;
    }
  }
}

/* Pixel (@row, @column) of the sample, warped and flipped, 0..255. SciPy adds up the matrix's
 * offset, then the row's part, then the column's. */
static inline NN_HOST_DEVICE void
nn_augment_source_pixel (const NnAugmentForm *f, const NnAugmentEntry *e, const uint8_t *src,
    uint32_t row, uint32_t column, float *dst)
{
  const double *m = e->matrix;

  if (e->changes & NN_CHANGE_VFLIP)
    row = f->rows - 1 - row;
  if (e->changes & NN_CHANGE_HFLIP)
    column = f->columns - 1 - column;
  if (e->changes & NN_CHANGE_WARP) {
    const double y = m[2] + nn_augment_product (row, m[0]) + nn_augment_product (column, m[1]);
    const double x = m[5] + nn_augment_product (row, m[3]) + nn_augment_product (column, m[4]);

    nn_augment_warp (f, e, src, y, x, dst);
  } else {
    NN_EACH_CHANNEL (f, ch)
      dst[ch] = src[((uint64_t) row * f->columns + column) * f->channels + ch];
  }
}

/* ITU-R BT.601, as torchvision's rgb_to_grayscale has it; the middle channel is green in RGB and
 * BGR alike. */
static inline NN_HOST_DEVICE float
nn_augment_luma (const NnAugmentForm *f, const float *pixel)
{
  if (f->channels == 1)
    return pixel[0];
  return nn_augment_product_f (0.299f, f->is_bgr ? pixel[2] : pixel[0])
      + nn_augment_product_f (0.587f, pixel[1])
      + nn_augment_product_f (0.114f, f->is_bgr ? pixel[0] : pixel[2]);
}

static inline NN_HOST_DEVICE float
nn_augment_shift (const NnAugmentEntry *e, uint32_t channel, float x, float lowest, float highest)
{
  return nn_augment_clamp (x + e->shift[channel], lowest, highest);
}

static inline NN_HOST_DEVICE float
nn_augment_brighten (const NnAugmentEntry *e, float x)
{
  return nn_augment_clamp (x * e->brightness, 0, 255);
}

/* contrast about the mean luma, saturation about the pixel's own */
static inline NN_HOST_DEVICE float
nn_augment_spread (float x, float middle, float factor)
{
  return nn_augment_clamp (middle + nn_augment_product_f (x - middle, factor), 0, 255);
}

static inline NN_HOST_DEVICE void
nn_augment_saturate (const NnAugmentForm *f, const NnAugmentEntry *e, float *pixel)
{
  const float gray = nn_augment_luma (f, pixel);

  for (uint32_t ch = 0; ch < 3; ch++)
    pixel[ch] = nn_augment_spread (pixel[ch], gray, e->saturation);
}

static inline NN_HOST_DEVICE int
nn_augment_is_erased (const NnAugmentEntry *e, uint32_t row, uint32_t column)
{
  return row >= e->erase[0] && row < e->erase[2] && column >= e->erase[1] && column < e->erase[3];
}

/* What comes in front of the mean: @pixel shifted and brightened. */
static inline NN_HOST_DEVICE void
nn_augment_light (const NnAugmentForm *f, const NnAugmentEntry *e, float lowest, float highest,
    float *pixel)
{
  NN_EACH_CHANNEL (f, ch) {
    if (e->changes & NN_CHANGE_SHIFT)
      pixel[ch] = nn_augment_shift (e, ch, pixel[ch], lowest, highest);
    if (e->changes & NN_CHANGE_BRIGHTNESS)
      pixel[ch] = nn_augment_brighten (e, pixel[ch]);
  }
}

/* What comes after it, @mean, up to the network's input. */
static inline NN_HOST_DEVICE void
nn_augment_finish (const NnAugmentForm *f, const NnAugmentEntry *e, float mean, uint32_t row,
    uint32_t column, float *pixel)
{
  if (e->changes & NN_CHANGE_CONTRAST)
    NN_EACH_CHANNEL (f, ch)
      pixel[ch] = nn_augment_spread (pixel[ch], mean, e->contrast);
  if (e->changes & NN_CHANGE_SATURATION)
    nn_augment_saturate (f, e, pixel);
  NN_EACH_CHANNEL (f, ch) {
    if (nn_augment_is_erased (e, row, column))
      pixel[ch] = e->erase_color[ch];
    pixel[ch] = (pixel[ch] - f->mean[ch]) * f->scale[ch];
  }
}

/* One value of a sample (@a) and of its partner (@b). */
static inline NN_HOST_DEVICE void
nn_augment_blend (float lambda, float *a, float *b)
{
  const float x = *a, y = *b;

  *a = nn_augment_product_f (lambda, x) + nn_augment_product_f (1 - lambda, y);
  *b = nn_augment_product_f (lambda, y) + nn_augment_product_f (1 - lambda, x);
}
