/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of operations, and what several of them ask. */

#include "nn/graph/ops.h"

#include <math.h>

#include "nn/model-private.h"

const NnOp *const nn_ops[NN_OP_N_KINDS] = {
  [NN_OP_INPUT] = &nn_op_input,
  [NN_OP_CONV] = &nn_op_conv,
  [NN_OP_CONV_TRANSPOSE] = &nn_op_conv_transpose,
  [NN_OP_DENSE] = &nn_op_dense,
  [NN_OP_MATMUL] = &nn_op_matmul,
  [NN_OP_POOL] = &nn_op_pool,
  [NN_OP_REDUCE] = &nn_op_reduce,
  [NN_OP_BATCH_NORM] = &nn_op_batch_norm,
  [NN_OP_NORMALIZE] = &nn_op_normalize,
  [NN_OP_UNARY] = &nn_op_unary,
  [NN_OP_BINARY] = &nn_op_binary,
  [NN_OP_SOFTMAX] = &nn_op_softmax,
  [NN_OP_CONCAT] = &nn_op_concat,
  [NN_OP_SLICE] = &nn_op_slice,
  [NN_OP_PAD] = &nn_op_pad,
  [NN_OP_RESHAPE] = &nn_op_reshape,
  [NN_OP_TRANSPOSE] = &nn_op_transpose,
  [NN_OP_RESIZE] = &nn_op_resize,
};

gboolean
nn_op_fail (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, NN_ERROR, NN_ERROR_SHAPE, message);
  return FALSE;
}

gboolean
nn_op_check_size (const NnShape *shape, GError **error)
{
  guint64 count = 1;

  for (guint i = 0; i < shape->n_dims; i++) {
    if (shape->dims[i] == 0)
      return nn_op_fail (error, "an axis of the result would be empty");
    if (shape->dims[i] > NN_MAX_VALUES / count)
      return nn_op_fail (error, "the result would have more than %" G_GUINT64_FORMAT " values",
          (guint64) NN_MAX_VALUES);
    count *= shape->dims[i];
  }
  return TRUE;
}

NnAxis
nn_op_axis (const NnShape *shape, guint axis)
{
  NnAxis a = { 1, shape->dims[axis], 1 };

  for (guint i = 0; i < shape->n_dims; i++) {
    if (i < axis)
      a.outer *= shape->dims[i];
    else if (i > axis)
      a.inner *= shape->dims[i];
  }
  return a;
}

gboolean
nn_op_broadcast (const NnShape *a, const NnShape *b, NnShape *out)
{
  const NnShape *longer = a->n_dims >= b->n_dims ? a : b, *shorter = longer == a ? b : a;
  const guint skip = longer->n_dims - shorter->n_dims;

  *out = *longer;
  for (guint i = 0; i < shorter->n_dims; i++) {
    const gsize n = shorter->dims[i], m = longer->dims[skip + i];

    if (n != m && n != 1 && m != 1)
      return FALSE;
    out->dims[skip + i] = MAX (n, m);
  }
  return TRUE;
}

void
nn_op_broadcast_steps (const NnShape *shape, const NnShape *out, gsize steps[NN_MAX_DIMS])
{
  const guint skip = out->n_dims - shape->n_dims;
  gsize step = 1;

  for (guint i = 0; i < NN_MAX_DIMS; i++)
    steps[i] = 0;
  for (guint i = shape->n_dims; i-- > 0;) {
    if (shape->dims[i] > 1)
      steps[skip + i] = step;
    step *= shape->dims[i];
  }
}

NnResizeCell
nn_op_resize_cell (NnInterpolate interpolate, gsize n, gsize n_out, gsize i)
{
  const double scale = (double) n / (double) n_out;
  double at = ((double) i + 0.5) * scale;
  NnResizeCell cell = { 0 };

  if (interpolate == NN_INTERPOLATE_NEAREST) {
    cell.first = cell.next = MIN ((gsize) at, n - 1);
    return cell;
  }
  at = CLAMP (at - 0.5, 0, (double) (n - 1));
  cell.first = (gsize) at;
  cell.next = MIN (cell.first + 1, n - 1);
  cell.share = at - (double) cell.first;
  return cell;
}

double
nn_binary_apply (NnBinary kind, double a, double b)
{
  switch (kind) {
    case NN_BINARY_ADD:
      return a + b;
    case NN_BINARY_SUBTRACT:
      return a - b;
    case NN_BINARY_MULTIPLY:
      return a * b;
    case NN_BINARY_DIVIDE:
      return a / b;
    case NN_BINARY_MAXIMUM:
      return isnan (a) || a > b ? a : b;
    case NN_BINARY_MINIMUM:
      return isnan (a) || a < b ? a : b;
    case NN_BINARY_POWER:
      return pow (a, b);
    default: /* NN_BINARY_PRELU */
      return a >= 0 ? a : a * b;
  }
}
