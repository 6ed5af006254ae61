/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

/* Operations that move values and compute nothing. */

static gboolean
infer_concat (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const guint axis = inputs->attrs->concat.axis;

  *out = inputs->all[0]->shape;
  if (axis >= out->n_dims)
    return nn_op_fail (error, "an axis that its inputs do not have");
  for (guint i = 1; i < inputs->n_in; i++) {
    const NnShape *x = inputs->all[i] ? &inputs->all[i]->shape : NULL;

    if (!x || x->n_dims != out->n_dims)
      return nn_op_fail (error, "its inputs do not have the same number of axes");
    for (guint k = 0; k < out->n_dims; k++)
      if (k != axis && x->dims[k] != out->dims[k])
        return nn_op_fail (error, "its inputs differ along axis %u, not only along axis %u", k + 1,
            axis + 1);
    out->dims[axis] += x->dims[axis];
  }
  return TRUE;
}

static void
reference_concat (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnAxis a = nn_op_axis (shape, inputs->attrs->concat.axis);

  for (gsize o = 0; o < a.outer; o++)
    for (guint i = 0; i < inputs->n_in; i++) {
      const gsize n = inputs->all[i]->shape.dims[inputs->attrs->concat.axis] * a.inner;

      for (gsize k = 0; k < n; k++)
        *out++ = in[i][o * n + k];
    }
}

const NnOp nn_op_concat = { .name = "concat",
  .min_inputs = 1,
  .infer = infer_concat,
  .reference = reference_concat };

static gboolean
infer_slice (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape;
  const NnAttrs *a = inputs->attrs;

  *out = *x;
  for (guint i = 0; i < x->n_dims; i++) {
    const gsize step = (gsize) ABS (a->slice.step[i]), reach = (a->slice.size[i] - 1) * step;

    if (a->slice.size[i] == 0 || step == 0 || a->slice.size[i] > x->dims[i]
        || a->slice.begin[i] >= x->dims[i]
        || (a->slice.step[i] > 0 ? reach > x->dims[i] - 1 - a->slice.begin[i]
                                 : reach > a->slice.begin[i]))
      return nn_op_fail (error, "a part that its input does not have");
    out->dims[i] = a->slice.size[i];
  }
  return TRUE;
}

static void
reference_slice (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *x = &inputs->in[0]->shape;
  const NnAttrs *a = inputs->attrs;

  for (gsize i = 0; i < nn_shape_count (shape); i++) {
    gsize rest = i, at = 0, step = 1;

    for (guint k = shape->n_dims; k-- > 0; rest /= shape->dims[k]) {
      at += (a->slice.begin[k] + rest % shape->dims[k] * (gsize) a->slice.step[k]) * step;
      step *= x->dims[k];
    }
    out[i] = in[0][at];
  }
}

const NnOp nn_op_slice = { .name = "slice",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_slice,
  .reference = reference_slice };

static gboolean
infer_pad (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnAttrs *a = inputs->attrs;

  *out = inputs->in[0]->shape;
  for (guint i = 0; i < out->n_dims; i++)
    out->dims[i] += a->pad.begin[i] + a->pad.end[i];
  return TRUE;
}

static void
reference_pad (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *x = &inputs->in[0]->shape;
  const NnAttrs *a = inputs->attrs;

  for (gsize i = 0; i < nn_shape_count (shape); i++) {
    gsize rest = i, at = 0, step = 1;
    gboolean is_inside = TRUE;

    for (guint k = shape->n_dims; k-- > 0; rest /= shape->dims[k]) {
      const gsize cell = rest % shape->dims[k] - a->pad.begin[k]; /* below 0 wraps */

      is_inside = is_inside && cell < x->dims[k];
      at += cell * step;
      step *= x->dims[k];
    }
    out[i] = is_inside ? in[0][at] : a->pad.value;
  }
}

const NnOp nn_op_pad = { .name = "pad",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_pad,
  .reference = reference_pad };

static gboolean
infer_reshape (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  *out = inputs->attrs->reshape;
  if (out->n_dims > NN_MAX_DIMS || !nn_op_check_size (out, error)
      || nn_shape_count (out) != nn_shape_count (&inputs->in[0]->shape)) {
    g_autofree char *from = nn_shape_to_string (&inputs->in[0]->shape);

    g_clear_error (error);
    return nn_op_fail (error, "the %s of its input cannot be arranged as it wants them", from);
  }
  return TRUE;
}

static void
reference_copy (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  for (gsize i = 0; i < nn_shape_count (shape); i++)
    out[i] = in[0][i];
}

const NnOp nn_op_reshape = { .name = "reshape",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_reshape,
  .reference = reference_copy };

static gboolean
infer_transpose (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnShape *x = &inputs->in[0]->shape;
  guint seen = 0;

  *out = *x;
  for (guint i = 0; i < x->n_dims; i++) {
    const guint axis = inputs->attrs->transpose[i];

    if (axis >= x->n_dims || seen >> axis & 1)
      return nn_op_fail (error, "not an order of its input's axes");
    seen |= 1u << axis;
    out->dims[i] = x->dims[axis];
  }
  return TRUE;
}

static void
reference_transpose (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *x = &inputs->in[0]->shape;

  for (gsize i = 0; i < nn_shape_count (shape); i++) {
    gsize rest = i, at[NN_MAX_DIMS] = { 0 }, index = 0;

    for (guint k = shape->n_dims; k-- > 0; rest /= shape->dims[k])
      at[inputs->attrs->transpose[k]] = rest % shape->dims[k];
    for (guint k = 0; k < x->n_dims; k++)
      index = index * x->dims[k] + at[k];
    out[i] = in[0][index];
  }
}

const NnOp nn_op_transpose = { .name = "transpose",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_transpose,
  .reference = reference_transpose };

static gboolean
infer_resize (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  *out = inputs->in[0]->shape;
  if (out->n_dims != 3)
    return nn_op_fail (error, "its input should be (height, width, channels), found %u axes",
        out->n_dims);
  out->dims[0] = inputs->attrs->resize.out[0];
  out->dims[1] = inputs->attrs->resize.out[1];
  return TRUE;
}

static void
reference_resize (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  const NnShape *x = &inputs->in[0]->shape;
  const gsize n = shape->dims[2];
  const NnInterpolate how = inputs->attrs->resize.interpolate;

  for (gsize i = 0; i < shape->dims[0]; i++)
    for (gsize j = 0; j < shape->dims[1]; j++) {
      const NnResizeCell r = nn_op_resize_cell (how, x->dims[0], shape->dims[0], i);
      const NnResizeCell c = nn_op_resize_cell (how, x->dims[1], shape->dims[1], j);

      for (gsize k = 0; k < n; k++) {
        const double *top = in[0] + r.first * x->dims[1] * n + k;
        const double *bottom = in[0] + r.next * x->dims[1] * n + k;
        const double above = top[c.first * n] + (top[c.next * n] - top[c.first * n]) * c.share;
        const double below
            = bottom[c.first * n] + (bottom[c.next * n] - bottom[c.first * n]) * c.share;

        *out++ = above + (below - above) * r.share;
      }
    }
}

const NnOp nn_op_resize = { .name = "resize",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_resize,
  .reference = reference_resize };
