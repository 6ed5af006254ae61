/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/cpu/kernels.h"

G_BEGIN_DECLS

/* One Conv2D layer on the CPU, in two ways:
 *   direct:   a matrix product whose left matrix is the NHWC image itself (rows
 *             of it, shifted), bias and ReLU in registers; any shape.
 *   Winograd: F(4x4, 3x3); kernel 3x3, stride 1, dilation 1, channels in
 *             multiples of NN_LANES. A quarter of the multiplications.
 * Everything works on one sample; scratch comes from the caller. */
typedef struct
{
  const NnCpuKernels *k;
  const NnConv2dConfig *config;
  gsize height, width, in;      /* input */
  gsize out_height, out_width, out;
  gboolean winograd;
  gboolean relu;

  gsize n_segments, seg_k; /* how a row of the kernel lies in memory */
  gsize *offsets;          /* in the (padded) image */
  gsize padded_width;
  gboolean is_padded;

  float *weights; /* direct: (kh * kw * in, out padded); Winograd: (36, in, out) */
  float *bias;    /* out padded to NN_LANES; zeros without bias */
  float *dgrad_weights; /* training. direct: (out, kh * kw * in padded); Winograd: (36, out, in) */
} NnCpuConv;

NnCpuConv *nn_cpu_conv_new (const NnCpuKernels *k, const NnLayer *layer, gboolean training,
    GError **error);
void nn_cpu_conv_free (NnCpuConv *conv);

/* Packs kernel and bias, multiplied by @scale and shifted (out values each, or
 * NULL): the place where a BatchNormalization folds in. */
void nn_cpu_conv_pack (NnCpuConv *conv, const float *kernel, const float *bias, const float *scale,
    const float *shift);
void nn_cpu_conv_pack_dgrad (NnCpuConv *conv, const float *kernel);

typedef struct
{
  NnAffine affine;
  gboolean pool; /* 2x2, stride 2 */
} NnConvEpilogue;

/* Work is cut into units: a Winograd tile row is 4 output rows, a direct unit 2. */
gsize nn_cpu_conv_count_units (const NnCpuConv *conv);
/* Units a task should have so that its scratch stays in the second-level cache. */
gsize nn_cpu_conv_units_per_task (const NnCpuConv *conv);
gsize nn_cpu_conv_scratch_size (const NnCpuConv *conv, gsize units); /* floats */

/* Output rows of units [unit, unit + n_units) of src (H, W, in) to dst, the
 * whole output of the sample: (OH, OW, out), or pooled (OH/2, OW/2, out). */
void nn_cpu_conv_forward (const NnCpuConv *conv, const float *src, gsize unit, gsize n_units,
    const NnConvEpilogue *epilogue, float *scratch, float *dst);

/* Gradients from dy (OH, OW, out), the activation's gradient already in it.
 * Winograd takes a sample at a time, direct a few rows (see below). */
gsize nn_cpu_conv_dweights_size (const NnCpuConv *conv); /* floats of an accumulator */
gsize nn_cpu_conv_backward_scratch_size (const NnCpuConv *conv);
/* acc += gradient of one sample; dx (nullable): its gradient */
void nn_cpu_conv_backward_winograd (const NnCpuConv *conv, const float *src, const float *dy,
    float *scratch, float *acc, float *dx);
/* The same for one output row, dy (OW, out). dx (nullable) is added to.
 * products (nullable): for each of the kernel's rows the sum over kernel and
 * gradient of their elementwise product, (kh): see train.c. */
void nn_cpu_conv_backward_row (const NnCpuConv *conv, const float *src, gsize row, const float *dy,
    const float *kernel, float *scratch, float *acc, float *dx, double *products);
/* accumulator to (kh, kw, in, out) */
void nn_cpu_conv_finish_weights (const NnCpuConv *conv, const float *acc, float *dkernel);

/* 64-byte aligned, zeroed; NULL and NN_ERROR_NO_MEMORY. Freed by nn_aligned_free(). */
float *nn_aligned_new (gsize n_floats, const char *what, GError **error);
void nn_aligned_free (gpointer mem);

G_END_DECLS
