/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "nn/pixel-math.h"

G_BEGIN_DECLS

/* The sampler's inner loops, one table per instruction set. All give the same
 * bits: sums are of integers, floats are never contracted. Rows are read to
 * their last sample and no further.
 *
 * An area resize is two steps: rows to one row of means, 0..255 in 1/128
 * (0..32640, 16 bits with a sign), then dot products along that row. */

#define NN_AREA_UNIT 128

/* One output row of a plane: rows first, first + 1, ..., first + n_whole, last.
 *   dst = (sample (first) * first_weight + sum (whole rows) * whole_weight
 *          + sample (last) * last_weight) * NN_AREA_UNIT
 * in products of 16 by 16 bits of which the upper 16 are kept. */
typedef struct
{
  const guint8 *first, *last;
  gssize stride;           /* bytes from row to row */
  guint n_whole;           /* between first and last; at most NN_AREA_MAX_WHOLE (depth) */
  guint n_ahead;           /* rows after last that the next output row will read */
  guint up;                /* the sum of whole rows is shifted left by this before the product */
  guint16 whole_weight, first_weight, last_weight;
  guint16 bias;            /* makes up for what products lose */
  guint down;              /* 10 bits: a sample's lowest bit in its 16 */
} NnAreaRows;

/* so many samples of their depth, 8 or 10, can be added up in 16 bits */
#define NN_AREA_MAX_WHOLE(depth) (1u << (16 - (depth)))

/* One output row of a component:
 *   dst[x] = scale[x] * sum over k < n_lanes of row[first[x] + k] * weights[x * n_lanes + k]
 * n and what x counts are padded to a multiple of NN_AREA_OUTPUTS: scale 0. */
typedef struct
{
  guint n, n_lanes; /* n_lanes: a multiple of NN_AREA_LANES; weight 0 beyond the last tap */
  const guint32 *first;
  const gint16 *weights;
  const float *scale;
} NnAreaColumns;

#define NN_AREA_OUTPUTS 4
#define NN_AREA_LANES 8

#define NN_SCALE_PERIOD 48 /* a multiple of 1 and 3 channels and of a vector */

typedef struct
{
  const char *name;

  /* @n: samples. @sums: scratch of as many. */
  void (*area_rows_8) (const NnAreaRows *rows, gsize n, guint16 *sums, gint16 *dst);
  void (*area_rows_10) (const NnAreaRows *rows, gsize n, guint16 *sums, gint16 *dst);
  void (*area_columns) (const NnAreaColumns *columns, const gint16 *row, float *dst);

  /* in place: a = Y -> R, b = U -> G, c = V -> B, not yet clamped */
  void (*yuv_to_rgb) (const NnYuvMatrix *matrix, guint n, float *a, float *b, float *c);
  /* dst[3 * i] = nn_round_byte (a[i]) and so on: 3 * n bytes and none behind them */
  void (*pack) (guint n, const float *a, const float *b, const float *c, guint8 *dst);
  /* dst[i] = (src[i] - mean[i % NN_SCALE_PERIOD]) * scale[i % NN_SCALE_PERIOD] */
  void (*scale) (gsize n, const guint8 *src, const float *mean, const float *scale, float *dst);
} NnSamplerKernels;

/* The best for this CPU; $CLASSIFY_CPU_ISA = "avx512", "avx2" or "c" picks a
 * lesser one. "c" is ORC's code where it has a function, which $ORC_CODE =
 * "backup" makes plain C in turn. */
const NnSamplerKernels *nn_sampler_kernels_get (void);

G_END_DECLS
