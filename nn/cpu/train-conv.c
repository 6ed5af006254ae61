/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/train-private.h"

#include <math.h>
#include <string.h>

#define MAX_KERNEL 32 /* rows of a kernel that bn_first_sums() takes */

static void
conv_forward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const NnCpuKernels *k = op->train->k;
  const gsize units = nn_cpu_conv_count_units (op->conv);
  const gsize rows_per_unit = op->conv->winograd ? 4 : 2;
  const gsize line = op->conv->out_width * op->conv->out;
  const NnConvEpilogue plain = { 0 };
  float *y = op->y + sample * op->out_size;

  for (gsize u = 0; u < units; u += op->units_per_call) {
    gsize n = MIN (op->units_per_call, units - u);

    nn_cpu_conv_forward (op->conv, nn_cpu_op_x (op) + sample * op->in_size, u, n, &plain,
        op->train->scratch[thread], y);
    if (op->bn_next && !op->bn_next->by_channel) {
      gsize end = MIN ((u + n) * rows_per_unit, op->conv->out_height);

      for (gsize row = u * rows_per_unit; row < end; row++)
        k->moments (line, y + row * line, &op->bn_next->means[sample * op->bn_next->n + row],
            &op->bn_next->m2s[sample * op->bn_next->n + row]);
    }
  }
  if (op->activation == NN_ACTIVATION_SOFTMAX)
    k->softmax (op->out_size / op->conv->out, op->conv->out, y, y);
  else if (op->activation != NN_ACTIVATION_RELU)
    k->activation (op->activation, op->out_size, y, y);
}

static void
conv_forward (Op *op)
{
  const NnParam *kernel = nn_cpu_param (op->layer, "kernel");
  const NnParam *bias = nn_cpu_param (op->layer, "bias");

  nn_cpu_conv_pack (op->conv, kernel->data, bias ? bias->data : NULL, NULL, NULL);
  nn_crew_run (op->train->crew, op->train->n, conv_forward_task, op);
}

/* The first BatchNormalization wants of the gradient of its output only the
 * sums over each row h, of dX and of dX times that output Y. Both follow from
 * what the convolution behind it has anyway. With the kernel's row r applied
 * to image row h = stride * o + dilation * r by output row o:
 *   sum dX   = sum over r of < sum over (kw, in) of W[r], sum of dY over row o >
 *   sum dX Y = sum over r of < W[r], gradient of W[r] from row o >
 * and xhat = (Y - beta) / gamma. Saves the gradient of the image, a tenth of a
 * step of the post's network. Not where a gamma is near 0: returns FALSE. */
static gboolean
bn_first_is_safe (const Op *bn)
{
  const NnParam *gamma = nn_cpu_param (bn->layer, "gamma");

  for (gsize i = 0; gamma && i < bn->n; i++)
    if (fabsf (gamma->data[i]) < 0.05f)
      return FALSE;
  return TRUE;
}

static void
bn_first_sums (Op *op, guint sample, gsize row, const float *column_sum, const double *products)
{
  const NnConv2dConfig *c = op->conv->config;
  Op *bn = op->bn_first;
  const NnParam *gamma = nn_cpu_param (bn->layer, "gamma");
  const NnParam *beta = nn_cpu_param (bn->layer, "beta");

  for (gsize r = 0; r < c->kernel[0]; r++) {
    gsize h = row * c->strides[0] + r * c->dilation[0], at = sample * bn->n + h;
    const double *sums = op->kernel_row_sums + r * op->conv->out;
    double dx = 0;

    for (gsize o = 0; o < op->conv->out; o++)
      dx += sums[o] * column_sum[o];
    bn->sums_dy[at] += dx;
    bn->sums_dy_xhat[at]
        += (products[r] - (beta ? beta->data[h] : 0) * dx) / (gamma ? gamma->data[h] : 1);
  }
}

/* Direct convolutions go row by row, so that the gradient of a row is used
 * while it is in the first-level cache, and with a BatchNormalization behind
 * never written to memory. */
static void
conv_backward_rows (Op *op, guint sample, float *scratch, float *dweights, float *dbias)
{
  NnCpuTrain *train = op->train;
  const NnCpuConv *conv = op->conv;
  const gsize line = conv->out_width * conv->out;
  float *column_sum = scratch, *rows = column_sum + conv->out, *unpooled = rows + 2 * line;
  float *rest = unpooled + 2 * line, *dx = op->dx ? op->dx + sample * op->in_size : NULL;
  const float *kernel = nn_cpu_param (op->layer, "kernel")->data;
  double products[MAX_KERNEL];

  if (op->bn_first) {
    dx = NULL;
    memset (op->bn_first->sums_dy + sample * op->bn_first->n, 0, op->bn_first->n * sizeof (double));
    memset (op->bn_first->sums_dy_xhat + sample * op->bn_first->n, 0,
        op->bn_first->n * sizeof (double));
  }
  if (dx)
    memset (dx, 0, op->in_size * sizeof (float));
  for (gsize row = 0; row < conv->out_height; row += 2) {
    gsize end = MIN (row + 2, conv->out_height);
    const float *dy = op->dy + sample * op->out_size + row * line;

    if (op->bn_next) {
      nn_cpu_bn_dx_rows (op->bn_next, sample, row, end, unpooled, rows);
      dy = rows;
    }
    for (gsize r = row; r < end; r++, dy += line) {
      memset (column_sum, 0, conv->out * sizeof (float));
      train->k->column_sums (conv->out_width, conv->out, dy, column_sum);
      train->k->add (conv->out, column_sum, dbias);
      nn_cpu_conv_backward_row (conv, nn_cpu_op_x (op) + sample * op->in_size, r, dy, kernel, rest,
          dweights, dx, op->bn_first ? products : NULL);
      if (op->bn_first)
        bn_first_sums (op, sample, r, column_sum, products);
    }
  }
}

static void
conv_backward_task (gpointer data, guint group, guint thread)
{
  Op *op = data;
  NnCpuTrain *train = op->train;
  const gsize channels = op->conv->out;
  float *dweights = op->dweights + group * op->dweights_size;
  float *dbias = op->dbias + group * channels;

  memset (dweights, 0, op->dweights_size * sizeof (float));
  memset (dbias, 0, channels * sizeof (float));
  for (guint sample = group; sample < train->n; sample += nn_cpu_n_groups (train)) {
    const float *y = op->y + sample * op->out_size;
    float *dy = op->dy + sample * op->out_size;
    float *sum = train->scratch[thread];

    nn_cpu_op_activation_gradient (op, channels, y, dy);
    if (!op->conv->winograd) {
      conv_backward_rows (op, sample, train->scratch[thread], dweights, dbias);
      continue;
    }
    if (op->bn_next)
      nn_cpu_bn_dx_rows (op->bn_next, sample, 0, op->conv->out_height, train->scratch[thread], dy);
    memset (sum, 0, channels * sizeof (float));
    train->k->column_sums (op->out_size / channels, channels, dy, sum);
    train->k->add (channels, sum, dbias);
    nn_cpu_conv_backward_winograd (op->conv, nn_cpu_op_x (op) + sample * op->in_size, dy,
        train->scratch[thread], dweights, op->dx ? op->dx + sample * op->in_size : NULL);
  }
}

/* Whether the op in front is a BatchNormalization served by bn_first_sums(). */
static Op *
find_bn_first (Op *op)
{
  Op *first = &op->train->ops[0];
  const NnConv2dConfig *c = op->conv->config;

  return op == first + 1 && first->layer->kind == NN_LAYER_BATCH_NORMALIZATION && !first->pool
          && nn_layer_get_norm (first->layer) == NN_NORM_ROWS && !op->conv->winograd
          && !op->conv->is_padded
          && c->dilation[1] == 1 && c->kernel[0] <= MAX_KERNEL && op->dx
          && bn_first_is_safe (first)
      ? first
      : NULL;
}

static void
conv_backward (Op *op)
{
  NnCpuTrain *train = op->train;
  float *dkernel = nn_cpu_op_gradient (op, "kernel"), *dbias = nn_cpu_op_gradient (op, "bias");

  op->bn_first = find_bn_first (op);
  if (op->bn_first) {
    const float *kernel = nn_cpu_param (op->layer, "kernel")->data;
    gsize n = op->conv->seg_k, out = op->conv->out;

    memset (op->kernel_row_sums, 0, op->conv->n_segments * out * sizeof (double));
    for (gsize i = 0; i < op->conv->n_segments * n * out; i++)
      op->kernel_row_sums[i / (n * out) * out + i % out] += kernel[i];
  } else if (op->dx) {
    nn_cpu_conv_pack_dgrad (op->conv, nn_cpu_param (op->layer, "kernel")->data);
  }
  nn_crew_run (train->crew, nn_cpu_n_groups (train), conv_backward_task, op);
  for (guint g = 1; g < nn_cpu_n_groups (train); g++) {
    train->k->add (op->dweights_size, op->dweights + g * op->dweights_size, op->dweights);
    train->k->add (op->conv->out, op->dbias + g * op->conv->out, op->dbias);
  }
  nn_cpu_conv_finish_weights (op->conv, op->dweights, dkernel);
  if (dbias)
    memcpy (dbias, op->dbias, op->conv->out * sizeof (float));
}

gboolean
nn_cpu_build_conv (Op *op, GError **error)
{
  NnCpuTrain *train = op->train;
  gsize scratch;

  op->forward = conv_forward;
  op->backward = conv_backward;
  op->activation = op->layer->config.conv2d.activation;
  op->conv = nn_cpu_conv_new (train->k, op->layer, TRUE, error);
  if (!op->conv)
    return FALSE;
  op->units_per_call = nn_cpu_conv_units_per_task (op->conv);
  op->dweights_size = nn_cpu_conv_dweights_size (op->conv);
  op->dweights = nn_cpu_train_buffer (
      train, NN_CPU_GROUPS * op->dweights_size, op->layer->name, error);
  if (!op->dweights)
    return FALSE;
  op->dbias = nn_cpu_train_buffer (train, NN_CPU_GROUPS * op->conv->out, op->layer->name, error);
  if (!op->dbias)
    return FALSE;
  op->kernel_row_sums = nn_cpu_train_doubles (
      train, op->conv->n_segments * op->conv->out, op->layer->name, error);
  if (!op->kernel_row_sums)
    return FALSE;
  scratch = MAX (nn_cpu_conv_scratch_size (op->conv, op->units_per_call),
      nn_cpu_conv_backward_scratch_size (op->conv)
          + (4 * op->conv->out_width + 1) * op->conv->out);
  train->scratch_size = MAX (train->scratch_size, MAX (scratch, op->conv->out));
  return TRUE;
}
