/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/train-private.h"

#include <string.h>

#include "nn/error.h"
#include "nn/rng.h"

/* Poolings, activation, dropout. */

static void
pool_forward_task (gpointer data, guint sample, guint thread)
{
  Op *op = data;
  const gsize channels = op->layer->out_shape.dims[2];

  for (gsize p = 0; p < op->out_size / channels; p++)
    op->train->k->max_window (channels, nn_cpu_op_x (op) + sample * op->in_size,
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
  const float *x = nn_cpu_op_x (op) + sample * op->in_size;
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
  k->column_sums (n_pixels, op->out_size, nn_cpu_op_x (op) + sample * op->in_size, y);
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
  const float *x = nn_cpu_op_x (op) + sample * op->in_size;
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

  nn_cpu_op_activation_gradient (op, op->units, op->y + sample * op->out_size, dy);
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
      (guint64) train->optimizer->iterations << 16 | op->index);
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
      op, sample, nn_cpu_op_x (op) + sample * op->in_size, op->y + sample * op->out_size);
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

gboolean
nn_cpu_build_pool (Op *op, GError **error)
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

void
nn_cpu_build_global_pool (Op *op)
{
  op->forward = global_pool_forward;
  op->backward = global_pool_backward;
}

void
nn_cpu_build_activation (Op *op)
{
  op->forward = activation_forward;
  op->backward = activation_backward;
  op->activation = op->layer->config.activation.activation;
  op->units = op->layer->out_shape.dims[op->layer->out_shape.n_dims - 1];
}

void
nn_cpu_build_dropout (Op *op)
{
  op->forward = dropout_forward;
  op->backward = dropout_backward;
}
