/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/plan.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/loss.h"
#include "nn/rng.h"

/* One step = every op forwards, the loss, every op backwards, the optimizer.
 * Tasks are samples, or fixed pieces of a layer; sums over the batch are kept
 * per sample (or per group of samples) and added in a fixed order, so that the
 * weights after a step do not depend on the number of threads.
 *
 * Memory: a BatchNormalization after a convolution writes the gradient of its
 * input over that input, which is the largest buffer there is; with a 2x2 max
 * pooling behind it, its own output is never stored: the maxima are found again
 * from the input by the same arithmetic. */

#define GROUPS 16           /* samples whose weight gradients are added up in one buffer */
#define DENSE_CHUNK 4096    /* rows of a dense layer's weights in one task */
#define OPTIMIZER_CHUNK (1 << 18)
#define NN_CPU_MAX_KERNEL 32 /* rows of a kernel that bn_first_sums() takes */

typedef struct _Op Op;

typedef struct
{
  guint n; /* samples it was made for; 0: none yet */
  NnDnnlOp *forward[2], *dweights[2], *dinput[2]; /* full chunks, and the last one */
} DenseOps;

struct _Op
{
  NnCpuTrain *train;
  const NnLayer *layer;
  guint index; /* of the layer in the model */
  void (*forward) (Op *op);
  void (*backward) (Op *op);

  gsize in_size, out_size; /* floats a sample */
  const float *x;          /* (batch, in_size) */
  float *y;                /* (batch, out_size) */
  float *dy;               /* may be y itself, see above */
  float *dx;               /* the op before's dy; NULL: not needed */
  NnActivation activation;
  gboolean activation_done; /* its gradient is already in dy */
  float *dparams[NN_MAX_PARAMS];

  /* convolution */
  NnCpuConv *conv;
  gsize units_per_call, dweights_size;
  float *dweights, *dbias; /* (GROUPS, ...) */
  Op *bn_next;    /* the BatchNormalization behind: its passes over y are done with ours */
  Op *bn_first;   /* the one in front, if it is the first op: see bn_first_sums() */
  double *kernel_row_sums; /* (kh, out), for it */

  /* BatchNormalization. Tables of n values, and of (batch * outer, n) for the sums. */
  const NnLayer *pool; /* the 2x2 max pooling done with it */
  gboolean by_channel, frozen, relu_before;
  gsize n, inner, outer;
  double *means, *m2s, *sums_dy, *sums_dy_xhat;
  float *mean, *inv_std, *scale, *shift, *k1, *k2, *k3;
  NnAffine affine;

  /* dense */
  gsize rows, in, units, chunk, n_chunks;
  float *partial;
  DenseOps full, partial_batch;
  DenseOps *ops; /* of this step */

  /* pooling */
  gsize window_max;
  gsize *windows;
  guint32 *window_sizes;
};

struct _NnCpuTrain
{
  const NnCpuKernels *k;
  NnCrew *crew;
  NnDnnl *dnnl;
  NnModel *model;
  guint batch;
  NnLoss loss;
  gboolean bessel;

  guint n_ops;
  Op *ops;
  GPtrArray *buffers;
  float **scratch;
  gsize scratch_size;

  /* of the present step */
  guint n;
  const float *input;
  NnOptimizer *optimizer;
  guint64 seed;
  gint failed; /* atomic: a library call did not succeed */
  double rate;
  guint n_chunks;
  guint *chunk_slot; /* of each optimizer task */
  gsize *chunk_first;
  NnParam **slot_param;
  float **slot_gradient;
};

static guint
n_groups (const NnCpuTrain *train)
{
  return MIN (GROUPS, train->n);
}

static const float *
op_x (const Op *op)
{
  return op->x ? op->x : op->train->input;
}

static float *
gradient_of (Op *op, const char *name)
{
  for (guint i = 0; i < op->layer->n_params; i++)
    if (strcmp (op->layer->params[i].name, name) == 0)
      return op->dparams[i];
  return NULL;
}

/* --- convolution ------------------------------------------------------------- */

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

    nn_cpu_conv_forward (op->conv, op_x (op) + sample * op->in_size, u, n, &plain,
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

static void
activation_gradient (const Op *op, gsize channels, const float *y, float *dy)
{
  const NnCpuKernels *k = op->train->k;

  if (op->activation_done)
    return;
  if (op->activation == NN_ACTIVATION_SOFTMAX)
    k->softmax_backward (op->out_size / channels, channels, y, dy, dy);
  else if (op->activation != NN_ACTIVATION_LINEAR)
    k->activation_backward (op->activation, op->out_size, y, dy, dy);
}

static void bn_dx_rows (
    const Op *op, guint sample, gsize row, gsize end, float *scratch, float *dx);

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
  double products[NN_CPU_MAX_KERNEL];

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
      bn_dx_rows (op->bn_next, sample, row, end, unpooled, rows);
      dy = rows;
    }
    for (gsize r = row; r < end; r++, dy += line) {
      memset (column_sum, 0, conv->out * sizeof (float));
      train->k->column_sums (conv->out_width, conv->out, dy, column_sum);
      train->k->add (conv->out, column_sum, dbias);
      nn_cpu_conv_backward_row (conv, op_x (op) + sample * op->in_size, r, dy, kernel, rest,
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
  for (guint sample = group; sample < train->n; sample += n_groups (train)) {
    const float *y = op->y + sample * op->out_size;
    float *dy = op->dy + sample * op->out_size;
    float *sum = train->scratch[thread];

    activation_gradient (op, channels, y, dy);
    if (!op->conv->winograd) {
      conv_backward_rows (op, sample, train->scratch[thread], dweights, dbias);
      continue;
    }
    if (op->bn_next)
      bn_dx_rows (op->bn_next, sample, 0, op->conv->out_height, train->scratch[thread], dy);
    memset (sum, 0, channels * sizeof (float));
    train->k->column_sums (op->out_size / channels, channels, dy, sum);
    train->k->add (channels, sum, dbias);
    nn_cpu_conv_backward_winograd (op->conv, op_x (op) + sample * op->in_size, dy,
        train->scratch[thread], dweights, op->dx ? op->dx + sample * op->in_size : NULL);
  }
}

/* Whether the op in front is a BatchNormalization served by bn_first_sums(). */
static Op *
find_bn_first (Op *op)
{
  Op *first = &op->train->ops[0];
  const NnConv2dConfig *c = op->conv->config;

  return op == first + 1 && first->layer->kind == NN_LAYER_BATCH_NORMALIZATION
          && !first->by_channel && first->outer == 1 && !op->conv->winograd && !op->conv->is_padded
          && c->dilation[1] == 1 && c->kernel[0] <= NN_CPU_MAX_KERNEL && op->dx
          && bn_first_is_safe (first)
      ? first
      : NULL;
}

static void
conv_backward (Op *op)
{
  NnCpuTrain *train = op->train;
  float *dkernel = gradient_of (op, "kernel"), *dbias = gradient_of (op, "bias");

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
  nn_crew_run (train->crew, n_groups (train), conv_backward_task, op);
  for (guint g = 1; g < n_groups (train); g++) {
    train->k->add (op->dweights_size, op->dweights + g * op->dweights_size, op->dweights);
    train->k->add (op->conv->out, op->dbias + g * op->conv->out, op->dbias);
  }
  nn_cpu_conv_finish_weights (op->conv, op->dweights, dkernel);
  if (dbias)
    memcpy (dbias, op->dbias, op->conv->out * sizeof (float));
}

/* --- BatchNormalization --------------------------------------------------------- */

static void
bn_moments_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const NnCpuKernels *k = op->train->k;
  const float *x = op_x (op) + sample * op->in_size;

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
  const float *x = op_x (op) + sample * op->in_size;
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
  const float *x = op_x (op) + sample * op->in_size + row * line;

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
  const float *x = op_x (op) + sample * op->in_size;
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

/* Rows [row, end) of the first axis of one sample, to dx of the first of them;
 * @row is even where there is a pooling. */
static void
bn_dx_rows (const Op *op, guint sample, gsize row, gsize end, float *scratch, float *dx)
{
  const NnCpuKernels *k = op->train->k;
  const NnShape *in = &op->layer->in_shape;
  const gsize line = op->in_size / in->dims[0];
  const float *x = op_x (op) + sample * op->in_size + row * line;
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
    op->train->k->bn_dx_channels (op->outer, op->n, op_x (op) + sample * op->in_size,
        op->dy + sample * op->out_size, op->mean, op->k1, op->k2, op->k3, op->relu_before, dx);
    return;
  }
  if (op->by_channel || op->outer == 1) {
    bn_dx_rows (op, sample, 0, op->layer->in_shape.dims[0], op->train->scratch[thread], dx);
    return;
  }
  for (gsize at = 0; at < op->outer * op->n; at++) {
    gsize i = at % op->n;

    op->train->k->bn_dx (inner, op_x (op) + sample * op->in_size + at * inner,
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
  float *dgamma = gradient_of (op, "gamma"), *dbeta = gradient_of (op, "beta");

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

/* --- dense ------------------------------------------------------------------------- */

static void
dense_ops_clear (DenseOps *ops)
{
  for (int i = 0; i < 2; i++) {
    g_clear_pointer (&ops->forward[i], nn_dnnl_op_free);
    g_clear_pointer (&ops->dweights[i], nn_dnnl_op_free);
    g_clear_pointer (&ops->dinput[i], nn_dnnl_op_free);
  }
  ops->n = 0;
}

/* The products for @n samples; most steps have the full batch, the last one of
 * a pass fewer. */
static gboolean
dense_prepare (Op *op, guint n, GError **error)
{
  NnCpuTrain *train = op->train;
  DenseOps *ops = n == train->batch ? &op->full : &op->partial_batch;
  const gsize m = n * op->rows;

  op->ops = ops;
  if (ops->n == n)
    return TRUE;
  dense_ops_clear (ops);
  for (int i = 0; i < 2; i++) {
    gsize k = i == 0 ? op->chunk : op->in - (op->n_chunks - 1) * op->chunk;

    if (i == 1 && k == op->chunk)
      continue;
    if (!(ops->forward[i] = nn_dnnl_matmul_new (
              train->dnnl, m, op->units, k, op->in, 1, op->units, 1, op->units, error))
        || !(ops->dweights[i] = nn_dnnl_matmul_new (
                 train->dnnl, k, op->units, m, 1, op->in, op->units, 1, op->units, error))
        || (op->dx
            && !(ops->dinput[i] = nn_dnnl_matmul_new (
                     train->dnnl, m, k, op->units, op->units, 1, 1, op->units, op->in, error)))) {
      g_prefix_error (error, "layer \"%s\": ", op->layer->name);
      dense_ops_clear (ops);
      return FALSE;
    }
  }
  ops->n = n;
  return TRUE;
}

static NnDnnlOp *
chunk_op (const Op *op, NnDnnlOp *const ops[2], guint chunk)
{
  return chunk + 1 == op->n_chunks && ops[1] ? ops[1] : ops[0];
}

static void
run_op (const Op *op, NnDnnlOp *primitive, guint thread, const void *a, const void *b, void *c)
{
  if (!nn_dnnl_op_run (primitive, thread, a, b, c))
    g_atomic_int_set (&op->train->failed, 1);
}

static void
dense_forward_task (gpointer data, guint chunk, guint thread)
{
  Op *op = data;
  const float *w = nn_cpu_param (op->layer, "kernel")->data + chunk * op->chunk * op->units;
  float *y = op->n_chunks == 1
      ? op->y
      : op->partial + chunk * op->train->batch * op->rows * op->units;

  run_op (op, chunk_op (op, op->ops->forward, chunk), thread, op_x (op) + chunk * op->chunk, w, y);
}

static void
dense_forward (Op *op)
{
  NnCpuTrain *train = op->train;
  const NnParam *bias = nn_cpu_param (op->layer, "bias");
  const gsize rows = train->n * op->rows, n = rows * op->units;

  nn_crew_run (train->crew, (guint) op->n_chunks, dense_forward_task, op);
  if (op->n_chunks > 1) {
    memcpy (op->y, op->partial, n * sizeof (float));
    for (gsize c = 1; c < op->n_chunks; c++)
      train->k->add (n, op->partial + c * train->batch * op->rows * op->units, op->y);
  }
  for (gsize r = 0; bias && r < rows; r++)
    train->k->add (op->units, bias->data, op->y + r * op->units);
  if (op->activation == NN_ACTIVATION_SOFTMAX)
    train->k->softmax (rows, op->units, op->y, op->y);
  else
    train->k->activation (op->activation, n, op->y, op->y);
}

static void
dense_backward_task (gpointer data, guint task, guint thread)
{
  Op *op = data;
  guint chunk = task % op->n_chunks;
  gsize first = chunk * op->chunk;

  if (task < op->n_chunks)
    run_op (op, chunk_op (op, op->ops->dweights, chunk), thread, op_x (op) + first, op->dy,
        gradient_of (op, "kernel") + first * op->units);
  else
    run_op (op, chunk_op (op, op->ops->dinput, chunk), thread, op->dy,
        nn_cpu_param (op->layer, "kernel")->data + first * op->units, op->dx + first);
}

static void
dense_backward (Op *op)
{
  NnCpuTrain *train = op->train;
  float *dbias = gradient_of (op, "bias");

  for (guint i = 0; i < train->n; i++)
    activation_gradient (op, op->units, op->y + i * op->out_size, op->dy + i * op->out_size);
  if (dbias) {
    memset (dbias, 0, op->units * sizeof (float));
    train->k->column_sums (train->n * op->rows, op->units, op->dy, dbias);
  }
  nn_crew_run (
      train->crew, (guint) op->n_chunks * (op->dx ? 2 : 1), dense_backward_task, op);
}

/* --- poolings, activation, dropout ----------------------------------------------------- */

static void
pool_forward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const gsize channels = op->layer->out_shape.dims[2];

  for (gsize p = 0; p < op->out_size / channels; p++)
    op->train->k->max_window (channels, op_x (op) + sample * op->in_size,
        op->windows + p * op->window_max, op->window_sizes[p],
        op->y + sample * op->out_size + p * channels);
}

static void
pool_forward (Op *op)
{
  nn_crew_run (op->train->crew, op->train->n, pool_forward_task, op);
}

static void
pool_backward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const gsize channels = op->layer->out_shape.dims[2];
  const float *x = op_x (op) + sample * op->in_size;
  const float *y = op->y + sample * op->out_size, *dy = op->dy + sample * op->out_size;
  float *dx = op->dx + sample * op->in_size;

  memset (dx, 0, op->in_size * sizeof (float));
  for (gsize p = 0; p < op->out_size / channels; p++) {
    const gsize *window = op->windows + p * op->window_max;

    for (gsize c = 0; c < channels; c++) {
      for (gsize i = 0; i < op->window_sizes[p]; i++) {
        if (x[window[i] + c] == y[p * channels + c]) {
          dx[window[i] + c] += dy[p * channels + c];
          break;
        }
      }
    }
  }
}

static void
pool_backward (Op *op)
{
  if (op->dx)
    nn_crew_run (op->train->crew, op->train->n, pool_backward_task, op);
}

static void
global_pool_forward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const NnCpuKernels *k = op->train->k;
  const gsize n_pixels = op->in_size / op->out_size;
  float *y = op->y + sample * op->out_size;

  memset (y, 0, op->out_size * sizeof (float));
  k->column_sums (n_pixels, op->out_size, op_x (op) + sample * op->in_size, y);
  k->affine (op->out_size, y, 1 / (float) n_pixels, 0, y);
}

static void
global_pool_forward (Op *op)
{
  nn_crew_run (op->train->crew, op->train->n, global_pool_forward_task, op);
}

static void
global_pool_backward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const gsize n_pixels = op->in_size / op->out_size;
  float *dx = op->dx + sample * op->in_size;

  op->train->k->affine (
      op->out_size, op->dy + sample * op->out_size, 1 / (float) n_pixels, 0, dx);
  for (gsize p = 1; p < n_pixels; p++)
    memcpy (dx + p * op->out_size, dx, op->out_size * sizeof (float));
}

static void
global_pool_backward (Op *op)
{
  if (op->dx)
    nn_crew_run (op->train->crew, op->train->n, global_pool_backward_task, op);
}

static void
activation_forward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const float *x = op_x (op) + sample * op->in_size;
  float *y = op->y + sample * op->out_size;

  if (op->activation == NN_ACTIVATION_SOFTMAX)
    op->train->k->softmax (op->out_size / op->units, op->units, x, y);
  else
    op->train->k->activation (op->activation, op->out_size, x, y);
}

static void
activation_forward (Op *op)
{
  nn_crew_run (op->train->crew, op->train->n, activation_forward_task, op);
}

static void
activation_backward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  float *dy = op->dy + sample * op->out_size;

  activation_gradient (op, op->units, op->y + sample * op->out_size, dy);
  memcpy (op->dx + sample * op->in_size, dy, op->in_size * sizeof (float));
}

static void
activation_backward (Op *op)
{
  if (op->dx)
    nn_crew_run (op->train->crew, op->train->n, activation_backward_task, op);
}

/* dst = src / (1 - rate) where word i of the sample-major activation's stream,
 * as a fraction of 2^32, is at least rate; else 0 */
static void
dropout_apply (const Op *op, guint sample, const float *src, float *dst)
{
  const NnCpuTrain *train = op->train;
  const double rate = op->layer->config.dropout.rate;
  const float scale = (float) (1 / (1 - rate));
  NnRng rng;

  nn_rng_init (&rng, train->seed, NN_STREAM_DROPOUT,
      (guint64) train->optimizer->iterations << 8 | op->index);
  for (gsize i = 0; i < op->in_size; i++) {
    guint64 word = (guint64) sample * op->in_size + i;

    if (i == 0 || word % 4 == 0) {
      rng.counter[0] = (guint32) (word / 4);
      nn_philox (rng.counter, rng.key, rng.block);
    }
    dst[i] = rng.block[word % 4] / 4294967296.0 >= rate ? src[i] * scale : 0;
  }
}

static void
dropout_forward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;

  dropout_apply (
      op, sample, op_x (op) + sample * op->in_size, op->y + sample * op->out_size);
}

static void
dropout_forward (Op *op)
{
  nn_crew_run (op->train->crew, op->train->n, dropout_forward_task, op);
}

static void
dropout_backward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;

  dropout_apply (op, sample, op->dy + sample * op->out_size, op->dx + sample * op->in_size);
}

static void
dropout_backward (Op *op)
{
  if (op->dx)
    nn_crew_run (op->train->crew, op->train->n, dropout_backward_task, op);
}

/* --- the step ---------------------------------------------------------------------------- */

static void
optimizer_task (gpointer data, guint task, guint thread)
{
  NnCpuTrain *train = data;
  NnOptimizer *o = train->optimizer;
  guint slot = train->chunk_slot[task];
  gsize first = train->chunk_first[task];
  NnParam *param = train->slot_param[slot];
  gsize n = MIN (OPTIMIZER_CHUNK, param->n_values - first);
  float l1 = param->l1, l2 = param->l2;

  if (o->weight_decay != 0 && nn_param_decays (param)) {
    float *w = param->data + first, *g = train->slot_gradient[slot] + first;

    /* the regularizer's gradient is that of the weights before they decay */
    for (gsize i = 0; (l1 != 0 || l2 != 0) && i < n; i++)
      g[i] += 2 * l2 * w[i] + l1 * (float) ((w[i] > 0) - (w[i] < 0));
    l1 = l2 = 0;
    train->k->affine (n, w, (float) (1 - nn_optimizer_plain_rate (o) * o->weight_decay), 0, w);
  }
  if (o->kind != NN_OPTIMIZER_SGD)
    train->k->adam (n, param->data + first, o->m[slot] + first, o->v[slot] + first,
        train->slot_gradient[slot] + first, (float) train->rate, (float) o->beta_1,
        (float) o->beta_2, (float) o->epsilon, l1, l2);
  else
    train->k->sgd (n, param->data + first, o->m[slot] + first,
        train->slot_gradient[slot] + first, (float) train->rate, (float) o->momentum, o->nesterov,
        l1, l2);
}

static double
regularization_loss (const NnCpuTrain *train)
{
  double loss = 0;

  for (guint slot = 0; train->slot_param[slot]; slot++) {
    const NnParam *p = train->slot_param[slot];

    if (p->l1 == 0 && p->l2 == 0)
      continue;
    for (gsize i = 0; i < p->n_values; i++)
      loss += p->l1 * fabs (p->data[i]) + p->l2 * (double) p->data[i] * p->data[i];
  }
  return loss;
}

gboolean
nn_cpu_train_step (NnCpuTrain *train, const float *input, const NnStep *step,
    NnOptimizer *optimizer, NnStepResult *result, GError **error)
{
  const guint n = step->n;
  Op *last = &train->ops[train->n_ops - 1];

  for (guint i = 0; i < train->n_ops; i++)
    if (train->ops[i].layer->kind == NN_LAYER_DENSE && !dense_prepare (&train->ops[i], n, error))
      return FALSE;
  train->n = n;
  train->input = input;
  train->optimizer = optimizer;
  train->seed = step->seed;
  train->rate = nn_optimizer_step_rate (optimizer);
  g_atomic_int_set (&train->failed, 0);

  nn_crew_enter (train->crew);
  for (guint i = 0; i < train->n_ops; i++)
    train->ops[i].forward (&train->ops[i]);
  nn_loss_compute (train->loss, last->y, step, last->out_size, last->dy, result);
  result->sum_loss += result->sum_weights * regularization_loss (train);
  for (guint i = train->n_ops; i-- > 0;)
    train->ops[i].backward (&train->ops[i]);
  if (!g_atomic_int_get (&train->failed))
    nn_crew_run (train->crew, train->n_chunks, optimizer_task, train);
  nn_crew_leave (train->crew);
  if (g_atomic_int_get (&train->failed)) {
    g_set_error_literal (error, NN_ERROR, NN_ERROR_RUN, "oneDNN failed during a training step");
    return FALSE;
  }
  optimizer->iterations++;
  return TRUE;
}

/* --- building -------------------------------------------------------------------------------- */

static float *
new_buffer (NnCpuTrain *train, gsize n_floats, const char *what, GError **error)
{
  float *buffer = nn_aligned_new (MAX (n_floats, 1), what, error);

  if (buffer)
    g_ptr_array_add (train->buffers, buffer);
  return buffer;
}

static double *
new_doubles (NnCpuTrain *train, gsize n, const char *what, GError **error)
{
  return (double *) new_buffer (train, 2 * n, what, error);
}

static gboolean
build_conv (Op *op, GError **error)
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
  op->dweights = new_buffer (train, GROUPS * op->dweights_size, op->layer->name, error);
  op->dbias
      = op->dweights ? new_buffer (train, GROUPS * op->conv->out, op->layer->name, error) : NULL;
  op->kernel_row_sums = new_doubles (
      train, op->conv->n_segments * op->conv->out, op->layer->name, error);
  if (!op->kernel_row_sums)
    return FALSE;
  scratch = MAX (nn_cpu_conv_scratch_size (op->conv, op->units_per_call),
      nn_cpu_conv_backward_scratch_size (op->conv)
          + (4 * op->conv->out_width + 1) * op->conv->out);
  train->scratch_size = MAX (train->scratch_size, MAX (scratch, op->conv->out));
  return op->dbias != NULL;
}

static gboolean
build_bn (Op *op, GError **error)
{
  NnCpuTrain *train = op->train;
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  const gsize n_runs = train->batch * (c->inner == 1 ? 1 : c->outer);
  float **tables[]
      = { &op->mean, &op->inv_std, &op->scale, &op->shift, &op->k1, &op->k2, &op->k3 };
  double **sums[] = { &op->means, &op->m2s, &op->sums_dy, &op->sums_dy_xhat };

  op->forward = bn_forward;
  op->backward = bn_backward;
  op->n = c->n;
  op->inner = c->inner;
  op->outer = c->outer;
  op->by_channel = c->inner == 1;
  op->frozen = !op->layer->trainable;
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (!(*tables[i] = new_buffer (train, op->n, op->layer->name, error)))
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (sums); i++)
    if (!(*sums[i] = new_doubles (train, n_runs * op->n, op->layer->name, error)))
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

static gboolean
build_dense (Op *op, GError **error)
{
  NnCpuTrain *train = op->train;

  op->forward = dense_forward;
  op->backward = dense_backward;
  op->activation = op->layer->config.dense.activation;
  op->in = op->layer->in_shape.dims[op->layer->in_shape.n_dims - 1];
  op->rows = op->in_size / op->in;
  op->units = op->layer->config.dense.units;
  op->n_chunks = (op->in + DENSE_CHUNK - 1) / DENSE_CHUNK;
  op->chunk = ((op->in + op->n_chunks - 1) / op->n_chunks + NN_LANES - 1) / NN_LANES * NN_LANES;
  op->chunk = MIN (op->chunk, op->in);
  op->n_chunks = (op->in + op->chunk - 1) / op->chunk;
  if (op->n_chunks > 1)
    op->partial = new_buffer (
        train, op->n_chunks * train->batch * op->rows * op->units, op->layer->name, error);
  return op->n_chunks == 1 || op->partial;
}

static gboolean
build_pool (Op *op, GError **error)
{
  const NnPoolConfig *c = &op->layer->config.pool;
  const NnShape *in = &op->layer->in_shape, *out = &op->layer->out_shape;
  gsize n_pixels = out->dims[0] * out->dims[1];

  op->forward = pool_forward;
  op->backward = pool_backward;
  op->window_max = c->size[0] * c->size[1];
  op->windows = g_try_new (gsize, n_pixels * op->window_max);
  op->window_sizes = g_try_new0 (guint32, n_pixels);
  if (!op->windows || !op->window_sizes) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "not enough memory for layer \"%s\"",
        op->layer->name);
    return FALSE;
  }
  nn_cpu_pool_windows (c, in, out, op->windows, op->window_sizes);
  return TRUE;
}

static gboolean
build_op (Op *op, GError **error)
{
  switch (op->layer->kind) {
    case NN_LAYER_CONV2D:
      return build_conv (op, error);
    case NN_LAYER_BATCH_NORMALIZATION:
      return build_bn (op, error);
    case NN_LAYER_DENSE:
      return build_dense (op, error);
    case NN_LAYER_MAX_POOLING2D:
      return build_pool (op, error);
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      op->forward = global_pool_forward;
      op->backward = global_pool_backward;
      return TRUE;
    case NN_LAYER_ACTIVATION:
      op->forward = activation_forward;
      op->backward = activation_backward;
      op->activation = op->layer->config.activation.activation;
      op->units = op->layer->out_shape.dims[op->layer->out_shape.n_dims - 1];
      return TRUE;
    case NN_LAYER_DROPOUT:
      op->forward = dropout_forward;
      op->backward = dropout_backward;
      return TRUE;
    default:
      g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
          "the CPU back end cannot train layer \"%s\"", op->layer->name);
      return FALSE;
  }
}

/* Inputs, outputs and gradients. */
static gboolean
connect_ops (NnCpuTrain *train, GError **error)
{
  gboolean trainable = FALSE; /* something before that wants a gradient */

  for (guint i = 0; i < train->n_ops; i++) {
    Op *op = &train->ops[i], *before = i > 0 ? op - 1 : NULL;
    const char *name = op->layer->name;

    op->x = before ? before->y : NULL;
    if (op->layer->kind == NN_LAYER_BATCH_NORMALIZATION && before
        && (before->layer->kind == NN_LAYER_CONV2D || before->layer->kind == NN_LAYER_DENSE)
        && (before->activation == NN_ACTIVATION_RELU
            || before->activation == NN_ACTIVATION_LINEAR)) {
      before->dy = before->y; /* overwritten by the gradient */
      before->activation_done = TRUE;
      op->relu_before = before->activation == NN_ACTIVATION_RELU;
      if (before->layer->kind == NN_LAYER_CONV2D && (op->by_channel || op->outer == 1))
        before->bn_next = op;
    } else if (before && !(before->dy = new_buffer (
                               train, train->batch * before->out_size, name, error))) {
      return FALSE;
    }
    if (before && trainable)
      op->dx = before->dy;
    if (!(op->y = new_buffer (train, train->batch * op->out_size, name, error)))
      return FALSE;
    for (guint p = 0; p < op->layer->n_params; p++)
      trainable |= op->layer->params[p].trainable;
  }
  train->ops[train->n_ops - 1].dy = new_buffer (
      train, train->batch * train->ops[train->n_ops - 1].out_size, "the loss", error);
  return train->ops[train->n_ops - 1].dy != NULL;
}

/* Gradients of every parameter, and which of them the optimizer moves. */
static gboolean
build_gradients (NnCpuTrain *train, GError **error)
{
  g_autoptr (GPtrArray) params = g_ptr_array_new (), gradients = g_ptr_array_new ();
  g_autoptr (GArray) slots = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) firsts = g_array_new (FALSE, FALSE, sizeof (gsize));
  GHashTable *by_param = g_hash_table_new (NULL, NULL);
  gboolean ok = TRUE;

  for (guint i = 0; i < train->n_ops && ok; i++) {
    Op *op = &train->ops[i];

    for (guint p = 0; p < op->layer->n_params && ok; p++) {
      NnParam *param = (NnParam *) &op->layer->params[p];

      if (op->layer->kind == NN_LAYER_BATCH_NORMALIZATION && p >= op->layer->n_params - 2)
        continue; /* moving statistics */
      op->dparams[p] = new_buffer (train, param->n_values, op->layer->name, error);
      ok = op->dparams[p] != NULL;
      if (param->trainable)
        g_hash_table_insert (by_param, param, op->dparams[p]);
    }
  }
  /* slots as nn_optimizer_new() numbers them: every trainable parameter of the model */
  for (guint l = 0; l < train->model->n_layers && ok; l++) {
    NnLayer *layer = &train->model->layers[l];

    for (guint p = 0; p < layer->n_params; p++) {
      NnParam *param = &layer->params[p];
      guint slot = params->len;

      if (!param->trainable)
        continue;
      g_ptr_array_add (params, param);
      g_ptr_array_add (gradients, g_hash_table_lookup (by_param, param));
      if (!g_hash_table_contains (by_param, param))
        continue; /* leads to no output */
      for (gsize first = 0; first < param->n_values; first += OPTIMIZER_CHUNK) {
        g_array_append_val (slots, slot);
        g_array_append_val (firsts, first);
      }
    }
  }
  g_hash_table_unref (by_param);
  train->n_chunks = slots->len;
  g_ptr_array_add (params, NULL);
  g_ptr_array_add (gradients, NULL);
  train->slot_param = (NnParam **) g_ptr_array_steal (params, NULL);
  train->slot_gradient = (float **) g_ptr_array_steal (gradients, NULL);
  train->chunk_slot = (guint *) g_array_steal (slots, NULL);
  train->chunk_first = (gsize *) g_array_steal (firsts, NULL);
  return ok;
}

static gboolean
check_loss (NnCpuTrain *train, GError **error)
{
  Op *last = &train->ops[train->n_ops - 1];
  NnActivation wanted = train->loss == NN_LOSS_BINARY_CROSSENTROPY ? NN_ACTIVATION_SIGMOID
                                                                   : NN_ACTIVATION_SOFTMAX;
  gboolean ends_in_it = (last->layer->kind == NN_LAYER_DENSE || last->layer->kind == NN_LAYER_CONV2D
                            || last->layer->kind == NN_LAYER_ACTIVATION)
      && last->activation == wanted && last->layer->out_shape.n_dims == 1;

  if (!ends_in_it) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "layer \"%s\": a network trained with %s must end in a %s activation over one axis",
        last->layer->name,
        train->loss == NN_LOSS_BINARY_CROSSENTROPY ? "binary_crossentropy"
                                                   : "categorical_crossentropy",
        wanted == NN_ACTIVATION_SIGMOID ? "sigmoid" : "softmax");
    return FALSE;
  }
  last->activation_done = TRUE; /* nn_loss_compute() gives the gradient before it */
  return TRUE;
}

NnCpuTrain *
nn_cpu_train_new (const NnCpuKernels *k, NnCrew *crew, NnModel *model,
    const NnPlanOptions *options, GError **error)
{
  NnCpuTrain *train = g_new0 (NnCpuTrain, 1);
  guint n, n_threads = nn_crew_get_n_threads (crew);
  g_autofree guint *chain = nn_cpu_layer_chain (model, &n);

  train->k = k;
  train->crew = crew;
  train->model = model;
  train->batch = options->batch;
  train->loss = options->loss;
  train->bessel = options->bessel_moving_variance;
  train->buffers = g_ptr_array_new_with_free_func (nn_aligned_free);
  train->scratch = g_new0 (float *, n_threads);
  train->ops = g_new0 (Op, n);
  if (!(train->dnnl = nn_dnnl_new (n_threads, error)))
    goto fail;
  for (guint at = 1; at < n; at++) {
    const NnLayer *layer = &model->layers[chain[at]];
    Op *op = &train->ops[train->n_ops];

    if (layer->kind == NN_LAYER_FLATTEN
        || (layer->kind == NN_LAYER_ACTIVATION
            && layer->config.activation.activation == NN_ACTIVATION_LINEAR))
      continue;
    train->n_ops++;
    op->train = train;
    op->layer = layer;
    op->index = chain[at];
    op->in_size = nn_shape_count (&layer->in_shape);
    op->out_size = nn_shape_count (&layer->out_shape);
    if (layer->kind == NN_LAYER_BATCH_NORMALIZATION && at + 1 < n
        && nn_cpu_is_2x2_pool (&model->layers[chain[at + 1]])
        && (layer->config.batch_norm.inner == 1 || layer->config.batch_norm.outer == 1))
      op->pool = &model->layers[chain[++at]];
    if (!build_op (op, error))
      goto fail;
  }
  if (train->n_ops == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "the network has no layer to train");
    goto fail;
  }
  if (!check_loss (train, error) || !connect_ops (train, error) || !build_gradients (train, error))
    goto fail;
  for (guint i = 0; i < train->n_ops; i++)
    if (train->ops[i].layer->kind == NN_LAYER_DENSE
        && !dense_prepare (&train->ops[i], train->batch, error))
      goto fail;
  for (guint i = 0; i < n_threads; i++)
    if (!(train->scratch[i] = new_buffer (train, train->scratch_size, "scratch", error)))
      goto fail;
  return train;

fail:
  nn_cpu_train_free (train);
  return NULL;
}

void
nn_cpu_train_free (NnCpuTrain *train)
{
  if (!train)
    return;
  for (guint i = 0; i < train->n_ops; i++) {
    Op *op = &train->ops[i];

    nn_cpu_conv_free (op->conv);
    dense_ops_clear (&op->full);
    dense_ops_clear (&op->partial_batch);
    g_free (op->windows);
    g_free (op->window_sizes);
  }
  g_ptr_array_unref (train->buffers);
  nn_dnnl_free (train->dnnl);
  g_free (train->scratch);
  g_free (train->ops);
  g_free (train->slot_param);
  g_free (train->slot_gradient);
  g_free (train->chunk_slot);
  g_free (train->chunk_first);
  g_free (train);
}

void
nn_cpu_train_describe (const NnCpuTrain *train, GString *text)
{
  for (guint i = 0; i < train->n_ops; i++) {
    const Op *op = &train->ops[i];
    const char *name = op->layer->name;

    if (op->conv)
      g_string_append_printf (text, "%s forward, backward: %s %s\n", name,
          op->conv->winograd ? "Winograd 4x4" : "direct", train->k->name);
    else if (op->layer->kind == NN_LAYER_DENSE)
      g_string_append_printf (text, "%s forward: %s, weights: %s, data: %s\n", name,
          nn_dnnl_op_get_implementation (op->full.forward[0]),
          nn_dnnl_op_get_implementation (op->full.dweights[0]),
          op->full.dinput[0] ? nn_dnnl_op_get_implementation (op->full.dinput[0]) : "none");
    else
      g_string_append_printf (text, "%s: %s%s\n", name, train->k->name,
          op->pool ? " + 2x2 max pooling (fused)" : "");
  }
}
