/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/train-private.h"

#include <math.h>
#include <string.h>

static void
bn_moments_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const NnCpuKernels *k = op->train->k;
  const float *x = nn_cpu_op_x (op) + sample * op->in_size;

  if (op->by_channel) {
    k->moments_channels (
        op->outer, op->n, x, op->means + sample * op->n, op->m2s + sample * op->n);
    return;
  }
  for (gsize o = 0; o < op->outer; o++) {
    for (gsize i = 0; i < op->n; i++) {
      gsize at = (sample * op->outer + o) * op->n + i;

      k->moments (op->inner, x + (o * op->n + i) * op->inner, &op->means[at], &op->m2s[at]);
    }
  }
}

static void
bn_normalize_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const NnCpuKernels *k = op->train->k;
  const float *x = nn_cpu_op_x (op) + sample * op->in_size;
  float *y = op->y + sample * op->out_size;

  if (op->pool) {
    const NnShape *in = &op->pool->in_shape, *out = &op->pool->out_shape;
    gsize line = in->dims[1] * in->dims[2], out_line = out->dims[1] * out->dims[2];

    for (gsize r = 0; r < out->dims[0]; r++)
      k->affine_pool_rows (out->dims[1], in->dims[2], x + 2 * r * line, x + (2 * r + 1) * line,
          &op->affine, 2 * r, y + r * out_line);
  } else if (op->by_channel) {
    k->affine_channels (op->outer, op->n, x, op->scale, op->shift, y);
  } else {
    for (gsize o = 0; o < op->outer; o++) {
      for (gsize i = 0; i < op->n; i++) {
        gsize at = (o * op->n + i) * op->inner;

        k->affine (op->inner, x + at, op->scale[i], op->shift[i], y + at);
      }
    }
  }
}

static void
bn_forward (Op *op)
{
  NnCpuTrain *train = op->train;
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  const NnParam *gamma = nn_cpu_param (op->layer, "gamma");
  const NnParam *beta = nn_cpu_param (op->layer, "beta");
  float *moving_mean = nn_cpu_param (op->layer, "moving_mean")->data;
  float *moving_variance = nn_cpu_param (op->layer, "moving_variance")->data;
  const gsize n_runs = train->n * (op->by_channel ? 1 : op->outer);
  const double count = op->by_channel ? op->outer : op->inner, total = count * n_runs;
  gboolean taken = op > train->ops && op[-1].bn_next == op && !op->by_channel;

  if (!op->frozen && !taken)
    nn_crew_run (train->crew, train->n, bn_moments_task, op);
  for (gsize i = 0; i < op->n; i++) {
    double mean = moving_mean[i], var = moving_variance[i], scale;

    if (!op->frozen) {
      double m2 = 0;

      mean = 0;
      for (gsize s = 0; s < n_runs; s++)
        mean += op->means[s * op->n + i];
      mean /= n_runs;
      for (gsize s = 0; s < n_runs; s++) {
        double d = op->means[s * op->n + i] - mean;

        m2 += op->m2s[s * op->n + i] + count * d * d;
      }
      var = m2 / total;
      moving_mean[i] = moving_mean[i] * c->momentum + (float) mean * (1 - c->momentum);
      if (train->bessel && total > 1 + c->epsilon)
        moving_variance[i] = moving_variance[i] * c->momentum
            + (float) (var * total / (total - (1 + c->epsilon))) * (1 - c->momentum);
      else
        moving_variance[i] = moving_variance[i] * c->momentum + (float) var * (1 - c->momentum);
    }
    op->mean[i] = (float) mean;
    op->inv_std[i] = (float) (1 / sqrt (var + c->epsilon));
    scale = (gamma ? gamma->data[i] : 1) / sqrt (var + c->epsilon);
    op->scale[i] = (float) scale;
    op->shift[i] = (float) ((beta ? beta->data[i] : 0) - mean * scale);
  }
  nn_crew_run (train->crew, train->n, bn_normalize_task, op);
}

/* The gradient that comes into rows `row` and `row + 1` of a pooled sample. */
static const float *
bn_unpooled_rows (const Op *op, guint sample, gsize row, float *scratch)
{
  const NnShape *in = &op->pool->in_shape, *out = &op->pool->out_shape;
  const gsize line = in->dims[1] * in->dims[2], out_line = out->dims[1] * out->dims[2];
  const float *x = nn_cpu_op_x (op) + sample * op->in_size + row * line;

  if (row / 2 < out->dims[0])
    op->train->k->unpool_rows (out->dims[1], in->dims[1], in->dims[2], x, x + line, &op->affine,
        row, op->dy + sample * op->out_size + row / 2 * out_line, scratch, scratch + line);
  else
    memset (scratch, 0, line * sizeof (float));
  return scratch;
}

static void
bn_sums_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const NnCpuKernels *k = op->train->k;
  const gsize n_runs = op->by_channel ? 1 : op->outer;
  const float *x = nn_cpu_op_x (op) + sample * op->in_size;
  double *sums = op->sums_dy + sample * n_runs * op->n;
  double *sums_xhat = op->sums_dy_xhat + sample * n_runs * op->n;

  memset (sums, 0, n_runs * op->n * sizeof (double));
  memset (sums_xhat, 0, n_runs * op->n * sizeof (double));
  if (op->pool) {
    const gsize width = op->pool->in_shape.dims[1], channels = op->pool->in_shape.dims[2];
    const gsize line = width * channels;

    for (gsize row = 0; row + 2 <= op->pool->in_shape.dims[0]; row += 2) {
      const float *d = bn_unpooled_rows (op, sample, row, op->train->scratch[thread]);

      for (gsize i = 0; i < 2; i++) {
        if (op->by_channel)
          k->bn_sums_channels (width, channels, x + (row + i) * line, d + i * line, op->mean,
              op->inv_std, sums, sums_xhat);
        else
          k->bn_sums (line, x + (row + i) * line, d + i * line, op->mean[row + i],
              op->inv_std[row + i], &sums[row + i], &sums_xhat[row + i]);
      }
    }
  } else if (op->by_channel) {
    k->bn_sums_channels (op->outer, op->n, x, op->dy + sample * op->out_size, op->mean,
        op->inv_std, sums, sums_xhat);
  } else {
    for (gsize at = 0; at < op->outer * op->n; at++) {
      gsize i = at % op->n;

      k->bn_sums (op->inner, x + at * op->inner, op->dy + sample * op->out_size + at * op->inner,
          op->mean[i], op->inv_std[i], &sums[at], &sums_xhat[at]);
    }
  }
}

/* Rows [row, end) of one sample (H, W, C), to dx of the first of them; @row is even where there
 * is a pooling. Of a BatchNormalization by row or by channel. */
void
nn_cpu_bn_dx_rows (const Op *op, guint sample, gsize row, gsize end, float *scratch, float *dx)
{
  const NnCpuKernels *k = op->train->k;
  const NnShape *in = &op->layer->in_shape;
  const gsize line = op->in_size / in->dims[0];
  const float *x = nn_cpu_op_x (op) + sample * op->in_size + row * line;
  const float *dy = op->pool ? NULL : op->dy + sample * op->out_size + row * line;

  for (gsize r = row; r < end; r++, x += line, dx += line) {
    if (op->pool && r % 2 == 0)
      dy = bn_unpooled_rows (op, sample, r, scratch);
    if (op->by_channel)
      k->bn_dx_channels (line / op->n, op->n, x, dy, op->mean, op->k1, op->k2, op->k3,
          op->relu_before, dx);
    else
      k->bn_dx (line, x, dy, op->mean[r], op->k1[r], op->k2[r], op->k3[r], op->relu_before, dx);
    dy += line;
  }
}

static void
bn_dx_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const gsize inner = op->inner;
  float *dx = op->dx + sample * op->in_size;

  if (op->by_channel && !op->pool) {
    op->train->k->bn_dx_channels (op->outer, op->n, nn_cpu_op_x (op) + sample * op->in_size,
        op->dy + sample * op->out_size, op->mean, op->k1, op->k2, op->k3, op->relu_before, dx);
    return;
  }
  if (op->pool) {
    nn_cpu_bn_dx_rows (op, sample, 0, op->layer->in_shape.dims[0], op->train->scratch[thread], dx);
    return;
  }
  for (gsize at = 0; at < op->outer * op->n; at++) {
    gsize i = at % op->n;

    op->train->k->bn_dx (inner, nn_cpu_op_x (op) + sample * op->in_size + at * inner,
        op->dy + sample * op->out_size + at * inner, op->mean[i], op->k1[i], op->k2[i], op->k3[i],
        op->relu_before, dx + at * inner);
  }
}

static void
bn_backward (Op *op)
{
  NnCpuTrain *train = op->train;
  const NnParam *gamma = nn_cpu_param (op->layer, "gamma");
  const gsize n_runs = train->n * (op->by_channel ? 1 : op->outer);
  const double total = (double) n_runs * (op->by_channel ? op->outer : op->inner);
  float *dgamma = nn_cpu_op_gradient (op, "gamma"), *dbeta = nn_cpu_op_gradient (op, "beta");

  if (op + 1 == train->ops + train->n_ops || op[1].bn_first != op)
    nn_crew_run (train->crew, train->n, bn_sums_task, op);
  for (gsize i = 0; i < op->n; i++) {
    double sum = 0, sum_xhat = 0;

    for (gsize s = 0; s < n_runs; s++) {
      sum += op->sums_dy[s * op->n + i];
      sum_xhat += op->sums_dy_xhat[s * op->n + i];
    }
    if (dgamma)
      dgamma[i] = (float) sum_xhat;
    if (dbeta)
      dbeta[i] = (float) sum;
    op->k1[i] = (gamma ? gamma->data[i] : 1) * op->inv_std[i];
    op->k2[i] = op->frozen ? 0 : (float) (sum / total);
    op->k3[i] = op->frozen ? 0 : (float) (op->inv_std[i] * sum_xhat / total);
  }
  if (op->dx && !(op > train->ops && op[-1].bn_next == op)) /* else the convolution does it */
    nn_crew_run (train->crew, train->n, bn_dx_task, op);
}

gboolean
nn_cpu_build_bn (Op *op, GError **error)
{
  NnCpuTrain *train = op->train;
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  const gboolean by_channel = nn_layer_get_norm (op->layer) == NN_NORM_CHANNELS;
  const gsize n_runs = train->batch * (by_channel ? 1 : c->outer);
  float **tables[]
      = { &op->mean, &op->inv_std, &op->scale, &op->shift, &op->k1, &op->k2, &op->k3 };
  double **sums[] = { &op->means, &op->m2s, &op->sums_dy, &op->sums_dy_xhat };

  op->forward = bn_forward;
  op->backward = bn_backward;
  op->n = c->n;
  op->inner = c->inner;
  op->outer = c->outer;
  op->by_channel = by_channel;
  op->frozen = !op->layer->trainable;
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (!(*tables[i] = nn_cpu_train_buffer (train, op->n, op->layer->name, error)))
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (sums); i++)
    if (!(*sums[i] = nn_cpu_train_doubles (train, n_runs * op->n, op->layer->name, error)))
      return FALSE;
  op->affine = (NnAffine) { op->by_channel ? NN_AFFINE_CHANNEL : NN_AFFINE_ROW, op->scale,
    op->shift };
  if (op->pool) {
    op->out_size = nn_shape_count (&op->pool->out_shape);
    train->scratch_size = MAX (
        train->scratch_size, 2 * op->pool->in_shape.dims[1] * op->pool->in_shape.dims[2]);
  }
  return TRUE;
}
