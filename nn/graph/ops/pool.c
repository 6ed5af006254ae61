/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

#include <math.h>

/* Over windows of rows and columns. What lies outside of the picture is no cell: it is neither a
 * maximum nor counted in a mean. */

static gboolean
infer (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape;
  const NnAttrs *a = inputs->attrs;

  if (x->n_dims != 3)
    return nn_op_fail (error, "its input should be (height, width, channels), found %u axes",
        x->n_dims);
  *out = *x;
  for (guint i = 0; i < 2; i++) {
    const gsize n = x->dims[i] + a->pool.pad_begin[i] + a->pool.pad_end[i];

    if (a->pool.size[i] == 0 || a->pool.strides[i] == 0 || n < a->pool.size[i]
        || a->pool.pad_begin[i] >= a->pool.size[i] || a->pool.pad_end[i] >= a->pool.size[i])
      return nn_op_fail (error,
          "its window has %" G_GSIZE_FORMAT " cells, its input only %" G_GSIZE_FORMAT,
          a->pool.size[i], n);
    out->dims[i] = (n - a->pool.size[i]) / a->pool.strides[i] + 1;
  }
  return TRUE;
}

static double
pool_window (const NnOpInputs *inputs, const double *in, gsize y, gsize x, gsize c)
{
  const NnShape *shape = &inputs->in[0]->shape;
  const NnAttrs *a = inputs->attrs;
  double sum = 0, max = -INFINITY;
  gsize n = 0;

  for (gsize i = 0; i < a->pool.size[0]; i++)
    for (gsize j = 0; j < a->pool.size[1]; j++) {
      const gsize row = y * a->pool.strides[0] + i - a->pool.pad_begin[0];
      const gsize column = x * a->pool.strides[1] + j - a->pool.pad_begin[1];
      double value;

      if (row >= shape->dims[0] || column >= shape->dims[1])
        continue;
      value = in[(row * shape->dims[1] + column) * shape->dims[2] + c];
      sum += value;
      if (isnan (value) || value > max)
        max = value;
      n++;
    }
  return a->pool.is_mean ? sum / (double) n : max;
}

static void
reference (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  for (gsize y = 0; y < shape->dims[0]; y++)
    for (gsize x = 0; x < shape->dims[1]; x++)
      for (gsize c = 0; c < shape->dims[2]; c++)
        *out++ = pool_window (inputs, in[0], y, x, c);
}

static void
describe (const NnAttrs *a, GString *text)
{
  g_string_append_printf (text, " %s %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT,
      a->pool.is_mean ? "mean" : "max", a->pool.size[0], a->pool.size[1]);
}

const NnOp nn_op_pool = { .name = "pool",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer,
  .reference = reference,
  .describe = describe };
