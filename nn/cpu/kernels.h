/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "nn/model.h"

G_BEGIN_DECLS

/* The arithmetic of the CPU back end: one source (kernels-impl.c) compiled
 * once per instruction set into a table of functions. Matrices are row-major
 * float32, strides count floats. Nothing here allocates or knows of threads. */

#define NN_LANES 16 /* widest vector, in floats; padded matrices are padded to this */

/* Affine step after an activation, y * scale + shift: one pair a row
 * (BatchNormalization over rows) or one a channel. */
typedef enum
{
  NN_AFFINE_NONE,
  NN_AFFINE_ROW,
  NN_AFFINE_CHANNEL,
} NnAffineKind;

typedef struct
{
  NnAffineKind kind;
  const float *scale, *shift;
} NnAffine;

/* Matrix product whose left matrix comes in segments, which makes a
 * convolution over NHWC memory of it: row m of segment s starts at
 * a + offsets[s] + m * rs.
 *   C[m][j] = (accumulate ? C[m][j] : bias ? bias[j] : 0)
 *             + sum over s, k < seg_k of A[s][m][k] * B[s * seg_k + k][j] */
typedef struct
{
  gsize m, n;
  gsize n_segments, seg_k;
  const gsize *offsets; /* n_segments, or NULL: one segment at 0 */
  const float *a;
  gsize rs; /* from row m to m + 1 */
  gsize cs; /* from k to k + 1: 1, or a row length where A is a transposed matrix */
  const float *b;
  gsize ldb;
  gboolean b_padded; /* rows of B (and bias) are readable up to a multiple of NN_LANES */
  const float *bias;
  float *c;
  gsize ldc;
  gboolean accumulate;
  gboolean relu;
} NnGemm;

/* A block of Winograd F(4x4, 3x3) tiles: tile rows [tile_row, tile_row +
 * n_tile_rows) of a (height, width, channels) image. Transformed data is
 * (36, tiles, channels). channels: multiple of NN_LANES. */
typedef struct
{
  gsize height, width, channels; /* of the image that is read or written */
  gsize tile_row, n_tile_rows, n_tile_cols;
  gsize pad; /* input transform: tile (r, c) starts at pixel (4 r - pad, 4 c - pad) */
} NnWinoBlock;

typedef struct
{
  const float *bias; /* channels, or NULL */
  gboolean relu;
  NnAffine affine;
  gboolean pool; /* 2x2 max pooling of the result: dst is (height / 2, width / 2, channels) */
} NnWinoEpilogue;

typedef struct
{
  const char *name;

  void (*gemm) (const NnGemm *g);
  /* y[n][units] += x[n][k] * w[k][units] for n <= 8; w is read once. bfloat16 w if w_bf16. */
  void (*gemv) (gsize n, gsize k, gsize units, const float *x, gsize ldx, const void *w,
      gboolean w_bf16, float *y, gsize ldy);

  void (*wino_input) (const NnWinoBlock *block, const float *src, float *v);
  void (*wino_output) (const NnWinoBlock *block, const float *m, const NnWinoEpilogue *epilogue,
      float *dst);
  /* gradient of the output, 4x4 tiles to 6x6: A dY A^T */
  void (*wino_doutput) (const NnWinoBlock *block, const float *dy, float *dm);

  /* dst = src * scale + shift */
  void (*affine) (gsize n, const float *src, float scale, float shift, float *dst);
  void (*affine_channels) (gsize n_pixels, gsize channels, const float *src, const float *scale,
      const float *shift, float *dst);
  /* affine, then 2x2 max: two rows of 2 * n_out pixels or more to one of n_out.
   * `row`: index of row0 in the affine's row tables. */
  void (*affine_pool_rows) (gsize n_out, gsize channels, const float *row0, const float *row1,
      const NnAffine *affine, gsize row, float *dst);
  /* max over the pixels at src + window[i], i < n_window */
  void (*max_window) (gsize channels, const float *src, const gsize *window, gsize n_window,
      float *dst);

  void (*activation) (NnActivation kind, gsize n, const float *src, float *dst);
  /* dst = dy * f'(x), from the output y = f (x) */
  void (*activation_backward) (NnActivation kind, gsize n, const float *y, const float *dy,
      float *dst);
  void (*softmax) (gsize n_rows, gsize n, const float *src, float *dst);
  void (*softmax_backward) (gsize n_rows, gsize n, const float *y, const float *dy, float *dst);

  /* BatchNormalization over one run of n values that share mean and variance */
  void (*moments) (gsize n, const float *x, double *mean, double *m2); /* m2: sum (x - mean)^2 */
  void (*bn_sums) (gsize n, const float *x, const float *dy, float mean, float inv_std,
      double *sum_dy, double *sum_dy_xhat); /* added to */
  /* dx = k1 * (dy - k2 - (x - mean) * k3), 0 where relu and x <= 0 */
  void (*bn_dx) (gsize n, const float *x, const float *dy, float mean, float k1, float k2,
      float k3, gboolean relu, float *dx);
  /* ... and over pixels of `channels` values each, one mean and variance a channel */
  void (*moments_channels) (gsize n_pixels, gsize channels, const float *x, double *mean,
      double *m2);
  void (*bn_sums_channels) (gsize n_pixels, gsize channels, const float *x, const float *dy,
      const float *mean, const float *inv_std, double *sum_dy, double *sum_dy_xhat);
  void (*bn_dx_channels) (gsize n_pixels, gsize channels, const float *x, const float *dy,
      const float *mean, const float *k1, const float *k2, const float *k3, gboolean relu,
      float *dx);

  /* Backward of affine_pool_rows from its inputs: the gradient goes to the first of equal
   * maxima in scan order; the other cells, and columns beyond 2 * n_out, get 0. */
  void (*unpool_rows) (gsize n_out, gsize width, gsize channels, const float *row0,
      const float *row1, const NnAffine *affine, gsize row, const float *dpool, float *d0,
      float *d1);

  void (*column_sums) (gsize n_rows, gsize n, const float *x, float *sum); /* added to */
  void (*add) (gsize n, const float *x, float *y);                         /* y += x */
  float (*dot) (gsize n, const float *x, const float *y);
  void (*to_bf16) (gsize n, const float *src, guint16 *dst);               /* to nearest even */
  void (*adam) (gsize n, float *w, float *m, float *v, const float *g, float rate, float beta_1,
      float beta_2, float epsilon, float l1, float l2);
  void (*sgd) (gsize n, float *w, float *m, const float *g, float rate, float momentum,
      gboolean nesterov, float l1, float l2);
} NnCpuKernels;

/* The best table for this CPU; $CLASSIFY_CPU_ISA = "avx512", "avx2" or "c"
 * picks a lesser one (for tests). */
const NnCpuKernels *nn_cpu_kernels_get (void);

/* Winograd's weight transforms, in double inside.
 * @kernel: (3, 3, in, out); @u: (36, in, out).
 * @flip: for the gradient of the input: turned by 180 degrees, in and out
 * exchanged: @u is (36, out, in). */
void nn_wino_weights (gsize in, gsize out, const float *kernel, gboolean flip, float *u);
/* dkernel (3, 3, in, out) = G^T dU G of dU (36, in, out) */
void nn_wino_dweights (gsize in, gsize out, const float *du, float *dkernel);

G_END_DECLS
