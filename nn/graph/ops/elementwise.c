/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

static gboolean
infer_unary (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  *out = inputs->in[0]->shape;
  return TRUE;
}

static void
reference_unary (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  for (gsize i = 0; i < nn_shape_count (shape); i++)
    out[i] = nn_function_apply (&inputs->attrs->unary, in[0][i]);
}

static void
describe_unary (const NnAttrs *a, GString *text)
{
  g_string_append_printf (text, " %s(%g, %g, %g)", nn_function_get_name (a->unary.kind),
      a->unary.a, a->unary.b, a->unary.c);
}

const NnOp nn_op_unary = { .name = "unary",
  .min_inputs = 1,
  .max_inputs = 1,
  .infer = infer_unary,
  .reference = reference_unary,
  .describe = describe_unary };

static gboolean
infer_binary (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  const NnValue *a = inputs->in[0], *b = inputs->in[1];

  if (!nn_op_broadcast (&a->shape, &b->shape, out)) {
    g_autofree char *left = nn_shape_to_string (&a->shape);
    g_autofree char *right = nn_shape_to_string (&b->shape);

    return nn_op_fail (error, "its inputs of %s and %s do not fit each other", left, right);
  }
  return TRUE;
}

static void
reference_binary (
    const NnOpInputs *inputs, const double *const *in, const NnShape *shape, double *out)
{
  gsize a[NN_MAX_DIMS], b[NN_MAX_DIMS];

  nn_op_broadcast_steps (&inputs->in[0]->shape, shape, a);
  nn_op_broadcast_steps (&inputs->in[1]->shape, shape, b);
  for (gsize i = 0; i < nn_shape_count (shape); i++) {
    gsize rest = i, at_a = 0, at_b = 0;

    for (guint k = shape->n_dims; k-- > 0; rest /= shape->dims[k]) {
      at_a += rest % shape->dims[k] * a[k];
      at_b += rest % shape->dims[k] * b[k];
    }
    out[i] = nn_binary_apply (inputs->attrs->binary, in[0][at_a], in[1][at_b]);
  }
}

static void
describe_binary (const NnAttrs *a, GString *text)
{
  static const char *const names[NN_BINARY_N_KINDS]
      = { "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "prelu" };

  g_string_append_printf (text, " %s", names[a->binary]);
}

const NnOp nn_op_binary = { .name = "binary",
  .min_inputs = 2,
  .max_inputs = 2,
  .infer = infer_binary,
  .reference = reference_binary,
  .describe = describe_binary };
