/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

/* y = x W + b over the last axis. */

static gboolean
infer (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape, *kernel = &inputs->in[1]->shape;

  if (x->n_dims == 0 || kernel->n_dims != 2 || kernel->dims[0] != x->dims[x->n_dims - 1])
    return nn_op_fail (error, "the last axis of its input does not fit its weights");
  if (inputs->in[2]
      && (inputs->in[2]->shape.n_dims != 1 || inputs->in[2]->shape.dims[0] != kernel->dims[1]))
    return nn_op_fail (error, "the bias should have %" G_GSIZE_FORMAT " values", kernel->dims[1]);
  *out = *x;
  out->dims[x->n_dims - 1] = kernel->dims[1];
  return TRUE;
}

static void
reference (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const gsize n_k = inputs->in[1]->shape.dims[0], n = inputs->in[1]->shape.dims[1];

  for (gsize r = 0; r < nn_shape_count (shape) / n; r++)
    for (gsize j = 0; j < n; j++) {
      double sum = in[2] ? in[2][j] : 0;

      for (gsize k = 0; k < n_k; k++)
        sum += in[0][r * n_k + k] * in[1][k * n + j];
      out[r * n + j] = sum;
    }
}

const NnOp nn_op_dense = { .name = "dense",
  .min_inputs = 2,
  .max_inputs = 3,
  .infer = infer,
  .reference = reference };

/* Products of the last two axes; the axes before them are the same in both. */

static gboolean
infer_matmul (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *a = &inputs->in[0]->shape, *b = &inputs->in[1]->shape;
  const guint n = a->n_dims;
  const gboolean ta = inputs->attrs->matmul.transpose_a, tb = inputs->attrs->matmul.transpose_b;

  if (n < 2 || b->n_dims != n)
    return nn_op_fail (error, "matrices of %u and %u axes cannot be multiplied", n, b->n_dims);
  if (a->dims[ta ? n - 2 : n - 1] != b->dims[tb ? n - 1 : n - 2])
    return nn_op_fail (error, "the sizes of the matrices do not fit");
  for (guint i = 0; i + 2 < n; i++)
    if (a->dims[i] != b->dims[i])
      return nn_op_fail (error, "there are not as many matrices on both sides");
  *out = *a;
  out->dims[n - 2] = a->dims[ta ? n - 1 : n - 2];
  out->dims[n - 1] = b->dims[tb ? n - 2 : n - 1];
  return TRUE;
}

static void
reference_matmul (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *a = &inputs->in[0]->shape;
  const gboolean ta = inputs->attrs->matmul.transpose_a, tb = inputs->attrs->matmul.transpose_b;
  const guint last = shape->n_dims - 1;
  const gsize m = shape->dims[last - 1], n = shape->dims[last];
  const gsize n_k = a->dims[ta ? last - 1 : last];

  for (gsize b = 0; b < nn_shape_count (shape) / (m * n); b++)
    for (gsize i = 0; i < m; i++)
      for (gsize j = 0; j < n; j++) {
        const double *x = in[0] + b * m * n_k, *y = in[1] + b * n * n_k;
        double sum = 0;

        for (gsize k = 0; k < n_k; k++)
          sum += x[ta ? k * m + i : i * n_k + k] * y[tb ? j * n_k + k : k * n + j];
        *out++ = sum;
      }
}

const NnOp nn_op_matmul = { .name = "matmul",
  .min_inputs = 2,
  .max_inputs = 2,
  .infer = infer_matmul,
  .reference = reference_matmul };
