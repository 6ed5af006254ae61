/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/train-private.h"

#include <string.h>

#include "nn/error.h"
#include "nn/log.h"

#define DENSE_CHUNK 4096 /* rows of a dense layer's weights in one task */
#define GEMM_BLOCK 256   /* rows of a matrix that stay in the cache */

void
nn_cpu_dense_ops_clear (DenseOps *ops)
{
  for (int i = 0; i < 2; i++) {
    g_clear_pointer (&ops->forward[i], nn_dnnl_op_free);
    g_clear_pointer (&ops->dweights[i], nn_dnnl_op_free);
    g_clear_pointer (&ops->dinput[i], nn_dnnl_op_free);
  }
  ops->n = 0;
  ops->is_own = FALSE;
}

/* The three products of chunk number @i: 0 all but the last, 1 the last. */
static gboolean
make_products (Op *op, DenseOps *ops, gsize m, guint i, GError **error)
{
  NnDnnl *dnnl = op->train->dnnl;
  const gsize k = i == 0 ? op->chunk : op->in - (op->n_chunks - 1) * op->chunk;

  if (i == 1 && k == op->chunk)
    return TRUE;
  return (ops->forward[i] = nn_dnnl_matmul_new (
              dnnl, m, op->units, k, op->in, 1, op->units, 1, op->units, error))
      && (ops->dweights[i] = nn_dnnl_matmul_new (
              dnnl, k, op->units, m, 1, op->in, op->units, 1, op->units, error))
      && (!op->dx
          || (ops->dinput[i] = nn_dnnl_matmul_new (
                  dnnl, m, k, op->units, op->units, 1, 1, op->units, op->in, error)));
}

/* The products for @n samples; most steps have the full batch, the last one of
 * a pass fewer. */
gboolean
nn_cpu_dense_prepare (Op *op, guint n, GError **error)
{
  NnCpuTrain *train = op->train;
  DenseOps *ops = n == train->batch ? &op->full : &op->partial_batch;
  const gsize m = n * op->rows;

  op->ops = ops;
  if (ops->n == n)
    return TRUE;
  nn_cpu_dense_ops_clear (ops);
  ops->is_own = !train->dnnl;
  for (guint i = 0; i < 2 && !ops->is_own; i++) {
    g_autoptr (GError) reason = NULL;

    if (make_products (op, ops, m, i, &reason))
      continue;
    nn_cpu_dense_ops_clear (ops);
    if (!g_error_matches (reason, NN_ERROR, NN_ERROR_UNSUPPORTED)) {
      g_propagate_prefixed_error (
          error, g_steal_pointer (&reason), "layer \"%s\": ", op->layer->name);
      return FALSE;
    }
    nn_info ("%s: by our own kernels: %s", op->layer->name, reason->message);
    ops->is_own = TRUE;
  }
  ops->n = n;
  return TRUE;
}

char *
nn_cpu_dense_describe (const Op *op)
{
  const DenseOps *ops = &op->full;

  if (ops->is_own)
    return g_strdup_printf ("%s forward, backward: %s", op->layer->name, op->train->k->name);
  return g_strdup_printf ("%s forward: %s, weights: %s, data: %s", op->layer->name,
      nn_dnnl_op_get_implementation (ops->forward[0]),
      nn_dnnl_op_get_implementation (ops->dweights[0]),
      ops->dinput[0] ? nn_dnnl_op_get_implementation (ops->dinput[0]) : "none");
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

static gsize
chunk_size (const Op *op, guint chunk)
{
  return MIN (op->chunk, op->in - chunk * op->chunk);
}

/* C (m, n) = A (m, k) B (k, n) by our own kernel; rows of B and C are of @n. */
static void
multiply (const Op *op, gsize m, gsize k, const float *a, gsize rs, gsize cs, const float *b,
    float *c)
{
  for (gsize first = 0; first < k; first += GEMM_BLOCK) {
    const NnGemm g = {
      .m = m,
      .n = op->units,
      .n_segments = 1,
      .seg_k = MIN (GEMM_BLOCK, k - first),
      .a = a + first * cs,
      .rs = rs,
      .cs = cs,
      .b = b + first * op->units,
      .ldb = op->units,
      .c = c,
      .ldc = op->units,
      .accumulate = first > 0,
    };

    op->train->k->gemm (&g);
  }
}

static void
dense_forward_task (gpointer data, guint chunk, guint thread)
{
  Op *op = data;
  const float *w = nn_cpu_param (op->layer, "kernel")->data + chunk * op->chunk * op->units;
  float *y = op->n_chunks == 1
      ? op->y
      : op->partial + chunk * op->train->batch * op->rows * op->units;

  if (op->ops->is_own)
    multiply (op, op->train->n * op->rows, chunk_size (op, chunk),
        nn_cpu_op_x (op) + chunk * op->chunk, op->in, 1, w, y);
  else
    run_op (op, chunk_op (op, op->ops->forward, chunk), thread,
        nn_cpu_op_x (op) + chunk * op->chunk, w, y);
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

/* dx (m, chunk) = dy (m, units) W^T: each row of the weights is read once. */
static void
own_dinput (const Op *op, guint chunk)
{
  const gsize first = chunk * op->chunk, m = op->train->n * op->rows;
  const float *w = nn_cpu_param (op->layer, "kernel")->data + first * op->units;

  for (gsize i = 0; i < chunk_size (op, chunk); i++)
    for (gsize r = 0; r < m; r++)
      op->dx[r * op->in + first + i]
          = op->train->k->dot (op->units, op->dy + r * op->units, w + i * op->units);
}

static void
dense_backward_task (gpointer data, guint task, guint thread)
{
  Op *op = data;
  guint chunk = task % op->n_chunks;
  gsize first = chunk * op->chunk;

  if (op->ops->is_own && task < op->n_chunks)
    multiply (op, chunk_size (op, chunk), op->train->n * op->rows, nn_cpu_op_x (op) + first, 1,
        op->in, op->dy, nn_cpu_op_gradient (op, "kernel") + first * op->units);
  else if (op->ops->is_own)
    own_dinput (op, chunk);
  else if (task < op->n_chunks)
    run_op (op, chunk_op (op, op->ops->dweights, chunk), thread, nn_cpu_op_x (op) + first, op->dy,
        nn_cpu_op_gradient (op, "kernel") + first * op->units);
  else
    run_op (op, chunk_op (op, op->ops->dinput, chunk), thread, op->dy,
        nn_cpu_param (op->layer, "kernel")->data + first * op->units, op->dx + first);
}

static void
dense_backward (Op *op)
{
  NnCpuTrain *train = op->train;
  float *dbias = nn_cpu_op_gradient (op, "bias");

  for (guint i = 0; i < train->n; i++)
    nn_cpu_op_activation_gradient (
        op, op->units, op->y + i * op->out_size, op->dy + i * op->out_size);
  if (dbias) {
    memset (dbias, 0, op->units * sizeof (float));
    train->k->column_sums (train->n * op->rows, op->units, op->dy, dbias);
  }
  nn_crew_run (
      train->crew, (guint) op->n_chunks * (op->dx ? 2 : 1), dense_backward_task, op);
}

gboolean
nn_cpu_build_dense (Op *op, GError **error)
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
    op->partial = nn_cpu_train_buffer (
        train, op->n_chunks * train->batch * op->rows * op->units, op->layer->name, error);
  return op->n_chunks == 1 || op->partial;
}
