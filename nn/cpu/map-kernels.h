/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/function.h"

G_BEGIN_DECLS

/* Arithmetic of graphs beside matrix products (nn/cpu/kernels.h): one source,
 * map-kernels-impl.c, compiled once per instruction set. Nothing allocates. */

/* One row of a depthwise convolution with one filter a channel. */
typedef struct
{
  gsize channels, width, out_width;
  gsize kernel[2], stride, dilation, pad; /* of columns */
  const float *const *rows; /* kernel[0] input rows; NULL: outside of the picture */
  const float *weights;     /* (kernel[0], kernel[1], channels) */
  const float *bias;        /* (channels) */
  float *dst;               /* (out_width, channels) */
} NnDepthwiseRow;

typedef struct
{
  const char *name;
  void (*depthwise_row) (const NnDepthwiseRow *row);
  /* dst[i] = f (src[i]); dst may be src */
  void (*function) (const NnFunction *function, gsize n, const float *src, float *dst);
  /* dst[i] = a[i] + b[i], a[i] * b[i]; dst may be one of them */
  void (*add) (gsize n, const float *a, const float *b, float *dst);
  void (*multiply) (gsize n, const float *a, const float *b, float *dst);
  /* sum[i] += x[i] over rows of n */
  void (*sum_rows) (gsize n_rows, gsize n, const float *x, float *sum);
} NnMapKernels;

/* The best table for this CPU; $CLASSIFY_CPU_ISA picks a lesser one, as for NnCpuKernels. */
const NnMapKernels *nn_map_kernels_get (void);

G_END_DECLS
