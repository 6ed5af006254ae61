/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

#include <math.h>
#include <string.h>

/* Axes as a bit mask: bit i is axis i of the sample. */

static const char *const kinds[] = { "sum", "mean", "max", "min" };

static gboolean
infer (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape;
  const guint axes = inputs->attrs->reduce.axes;

  if (axes == 0 || axes >> x->n_dims != 0)
    return nn_op_fail (error, "axes that its input does not have");
  *out = (NnShape){ 0 };
  for (guint i = 0; i < x->n_dims; i++) {
    if (!(axes >> i & 1))
      out->dims[out->n_dims++] = x->dims[i];
    else if (inputs->attrs->reduce.keepdims)
      out->dims[out->n_dims++] = 1;
  }
  return TRUE;
}

/* Where each value of @shape goes when the axes of the mask are taken away. */
static gsize
reduced_index (const NnShape *shape, guint axes, gsize index)
{
  gsize at[NN_MAX_DIMS], result = 0;

  for (guint i = shape->n_dims; i-- > 0; index /= shape->dims[i])
    at[i] = index % shape->dims[i];
  for (guint i = 0; i < shape->n_dims; i++)
    if (!(axes >> i & 1))
      result = result * shape->dims[i] + at[i];
  return result;
}

static void
reference (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *x = &inputs->in[0]->shape;
  const NnReduce kind = inputs->attrs->reduce.kind;
  const gsize n = nn_shape_count (shape), n_in = nn_shape_count (x);

  for (gsize i = 0; i < n; i++)
    out[i] = kind == NN_REDUCE_MAX ? -INFINITY : kind == NN_REDUCE_MIN ? INFINITY : 0;
  for (gsize i = 0; i < n_in; i++) {
    double *to = &out[reduced_index (x, inputs->attrs->reduce.axes, i)];

    if (kind == NN_REDUCE_MAX)
      *to = nn_binary_apply (NN_BINARY_MAXIMUM, in[0][i], *to);
    else if (kind == NN_REDUCE_MIN)
      *to = nn_binary_apply (NN_BINARY_MINIMUM, in[0][i], *to);
    else
      *to += in[0][i];
  }
  for (gsize i = 0; i < n && kind == NN_REDUCE_MEAN; i++)
    out[i] /= (double) (n_in / n);
}

static void
describe (const NnAttrs *a, GString *text)
{
  g_string_append_printf (text, " %s axes=%x", kinds[a->reduce.kind], a->reduce.axes);
}

const NnOp nn_op_reduce = { .name = "reduce",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer,
  .reference = reference,
  .describe = describe };

/* (x - mean) / sqrt (variance + epsilon), mean and variance over the axes of the mask. */

static gboolean
infer_normalize (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const guint axes = inputs->attrs->normalize.axes;

  *out = inputs->in[0]->shape;
  return axes != 0 && axes >> out->n_dims == 0
             ? TRUE
             : nn_op_fail (error, "axes that its input does not have");
}

static void
reference_normalize (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const guint axes = inputs->attrs->normalize.axes;
  const gsize n = nn_shape_count (shape);
  g_autofree double *mean = g_new0 (double, n), *m2 = g_new0 (double, n);
  gsize n_groups = 1;

  for (guint i = 0; i < shape->n_dims; i++)
    if (!(axes >> i & 1))
      n_groups *= shape->dims[i];
  for (gsize i = 0; i < n; i++)
    mean[reduced_index (shape, axes, i)] += in[0][i] * (double) n_groups / (double) n;
  for (gsize i = 0; i < n; i++) {
    const gsize g = reduced_index (shape, axes, i);

    m2[g] += (in[0][i] - mean[g]) * (in[0][i] - mean[g]);
  }
  for (gsize i = 0; i < n; i++) {
    const gsize g = reduced_index (shape, axes, i);

    out[i] = (in[0][i] - mean[g])
             / sqrt (m2[g] * (double) n_groups / (double) n + inputs->attrs->normalize.epsilon);
  }
}

const NnOp nn_op_normalize = { .name = "normalize",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_normalize,
  .reference = reference_normalize };

/* BatchNormalization at inference: gamma (x - mean) / sqrt (variance + epsilon) + beta, each a
 * vector along one axis. */

static gboolean
infer_batch_norm (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const guint axis = inputs->attrs->batch_norm.axis;

  *out = inputs->in[0]->shape;
  if (axis >= out->n_dims)
    return nn_op_fail (error, "an axis that its input does not have");
  for (guint i = 1; i < inputs->n_in; i++)
    if (inputs->in[i]
        && (inputs->in[i]->producer != NN_NO_VALUE || inputs->in[i]->shape.n_dims != 1
            || inputs->in[i]->shape.dims[0] != out->dims[axis]))
      return nn_op_fail (error, "its statistics should have %" G_GSIZE_FORMAT " values",
          out->dims[axis]);
  return TRUE;
}

static void
reference_batch_norm (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnAxis a = nn_op_axis (shape, inputs->attrs->batch_norm.axis);

  for (gsize i = 0; i < nn_shape_count (shape); i++) {
    const gsize k = i / a.inner % a.n;

    out[i] = (in[0][i] - in[1][k]) / sqrt (in[2][k] + inputs->attrs->batch_norm.epsilon)
                 * (in[3] ? in[3][k] : 1)
             + (in[4] ? in[4][k] : 0);
  }
}

const NnOp nn_op_batch_norm = { .name = "batch-norm",
  .min_inputs = 3,
  .max_inputs = 5,
  .infer = infer_batch_norm,
  .reference = reference_batch_norm };

static gboolean
infer_softmax (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  *out = inputs->in[0]->shape;
  return inputs->attrs->softmax.axis < out->n_dims
             ? TRUE
             : nn_op_fail (error, "an axis that its input does not have");
}

static void
reference_softmax (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnAxis a = nn_op_axis (shape, inputs->attrs->softmax.axis);

  for (gsize o = 0; o < a.outer; o++)
    for (gsize i = 0; i < a.inner; i++) {
      const double *x = in[0] + o * a.n * a.inner + i;
      double *y = out + o * a.n * a.inner + i, max = x[0], sum = 0;

      for (gsize k = 1; k < a.n; k++)
        max = nn_binary_apply (NN_BINARY_MAXIMUM, x[k * a.inner], max);
      for (gsize k = 0; k < a.n; k++)
        sum += exp (x[k * a.inner] - max);
      for (gsize k = 0; k < a.n; k++)
        y[k * a.inner] = inputs->attrs->softmax.is_log ? x[k * a.inner] - max - log (sum)
                                                       : exp (x[k * a.inner] - max) / sum;
    }
}

const NnOp nn_op_softmax = { .name = "softmax",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_softmax,
  .reference = reference_softmax };
