/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

/* Cross-correlation, as Keras's convolutions are. Channels and filters are in `groups` groups that
 * do not see each other; one group for each channel is a depthwise convolution. */

static gboolean
check_bias (const NnValue *bias, gsize n, GError **error)
{
  if (!bias || (bias->shape.n_dims == 1 && bias->shape.dims[0] == n))
    return TRUE;
  return nn_op_fail (error, "the bias should have %" G_GSIZE_FORMAT " values", n);
}

static gboolean
infer (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape, *kernel = &inputs->in[1]->shape;
  const NnAttrs *a = inputs->attrs;

  if (x->n_dims != 3)
    return nn_op_fail (error, "its input should be (height, width, channels), found %u axes",
        x->n_dims);
  if (kernel->n_dims != 4 || a->conv.groups == 0 || kernel->dims[2] * a->conv.groups != x->dims[2]
      || kernel->dims[3] % a->conv.groups != 0)
    return nn_op_fail (error,
        "%" G_GSIZE_FORMAT " channels cannot be taken in %" G_GSIZE_FORMAT " groups by this kernel",
        x->dims[2], a->conv.groups);
  *out = (NnShape){ .n_dims = 3 };
  for (guint i = 0; i < 2; i++) {
    const gsize span = (kernel->dims[i] - 1) * a->conv.dilation[i] + 1;
    const gsize n = x->dims[i] + a->conv.pad_begin[i] + a->conv.pad_end[i];

    if (n < span || a->conv.strides[i] == 0)
      return nn_op_fail (error,
          "its kernel covers %" G_GSIZE_FORMAT " cells, its input has only %" G_GSIZE_FORMAT, span,
          n);
    out->dims[i] = (n - span) / a->conv.strides[i] + 1;
  }
  out->dims[2] = kernel->dims[3];
  return check_bias (inputs->in[2], out->dims[2], error);
}

static double
sum_window (const NnOpInputs *inputs, const double *const *in, gsize y, gsize x, gsize f)
{
  const NnShape *shape = &inputs->in[0]->shape, *kernel = &inputs->in[1]->shape;
  const NnAttrs *a = inputs->attrs;
  const gsize n_in = kernel->dims[2], filters = kernel->dims[3];
  const gsize first = f / (filters / a->conv.groups) * n_in;
  double sum = in[2] ? in[2][f] : 0;

  for (gsize i = 0; i < kernel->dims[0]; i++)
    for (gsize j = 0; j < kernel->dims[1]; j++) {
      const gsize row = y * a->conv.strides[0] + i * a->conv.dilation[0] - a->conv.pad_begin[0];
      const gsize column = x * a->conv.strides[1] + j * a->conv.dilation[1] - a->conv.pad_begin[1];

      if (row >= shape->dims[0] || column >= shape->dims[1]) /* below 0 wraps */
        continue;
      for (gsize c = 0; c < n_in; c++)
        sum += in[0][(row * shape->dims[1] + column) * shape->dims[2] + first + c]
               * in[1][((i * kernel->dims[1] + j) * n_in + c) * filters + f];
    }
  return sum;
}

static void
reference (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  for (gsize y = 0; y < shape->dims[0]; y++)
    for (gsize x = 0; x < shape->dims[1]; x++)
      for (gsize f = 0; f < shape->dims[2]; f++)
        *out++ = sum_window (inputs, in, y, x, f);
}

static void
describe (const NnAttrs *a, GString *text)
{
  g_string_append_printf (text,
      " strides=%" G_GSIZE_FORMAT ",%" G_GSIZE_FORMAT " groups=%" G_GSIZE_FORMAT,
      a->conv.strides[0], a->conv.strides[1], a->conv.groups);
}

const NnOp nn_op_conv = { .name = "conv",
  .min_inputs = 2,
  .max_inputs = 3,
  .infer = infer,
  .reference = reference,
  .describe = describe };

/* The transposed one: each input cell adds the kernel times its value to the window of the result
 * that begins at strides * cell - pad_begin. Kernel (kh, kw, F, C). */

static gboolean
infer_transpose (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape, *kernel = &inputs->in[1]->shape;
  const NnAttrs *a = inputs->attrs;

  if (x->n_dims != 3 || kernel->n_dims != 4 || kernel->dims[3] != x->dims[2])
    return nn_op_fail (error, "its input should be (height, width, channels of the kernel)");
  *out = (NnShape){ 3, { a->conv.out[0], a->conv.out[1], kernel->dims[2] } };
  return check_bias (inputs->in[2], kernel->dims[2], error);
}

static void
reference_transpose (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *x = &inputs->in[0]->shape, *kernel = &inputs->in[1]->shape;
  const NnAttrs *a = inputs->attrs;
  const gsize filters = shape->dims[2];

  for (gsize i = 0; i < nn_shape_count (shape); i++)
    out[i] = in[2] ? in[2][i % filters] : 0;
  for (gsize y = 0; y < x->dims[0]; y++)
    for (gsize u = 0; u < x->dims[1]; u++)
      for (gsize i = 0; i < kernel->dims[0]; i++)
        for (gsize j = 0; j < kernel->dims[1]; j++) {
          const gsize row = y * a->conv.strides[0] + i * a->conv.dilation[0] - a->conv.pad_begin[0];
          const gsize column
              = u * a->conv.strides[1] + j * a->conv.dilation[1] - a->conv.pad_begin[1];

          if (row >= shape->dims[0] || column >= shape->dims[1])
            continue;
          for (gsize f = 0; f < filters; f++)
            for (gsize c = 0; c < x->dims[2]; c++)
              out[(row * shape->dims[1] + column) * filters + f]
                  += in[0][(y * x->dims[1] + u) * x->dims[2] + c]
                     * in[1][((i * kernel->dims[1] + j) * filters + f) * x->dims[2] + c];
        }
}

const NnOp nn_op_conv_transpose = { .name = "conv-transpose",
  .min_inputs = 2,
  .max_inputs = 3,
  .infer = infer_transpose,
  .reference = reference_transpose,
  .describe = describe };
