/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

#include <math.h>

/* Layers that take several inputs. */

/* Keras lets an input with fewer axes count as one with more, of size 1 behind the batch: which is
 * how shapes broadcast here. */

static guint
fold (NnEmit *e, const guint *in, NnBinary kind)
{
  guint x = in[0];

  for (guint i = 1; i < e->layer->n_inputs; i++)
    x = nn_emit_binary (e, kind, x, in[i]);
  return x;
}

static guint
emit_add (NnEmit *e, const guint *in)
{
  return fold (e, in, NN_BINARY_ADD);
}

static guint
emit_subtract (NnEmit *e, const guint *in)
{
  return fold (e, in, NN_BINARY_SUBTRACT);
}

static guint
emit_multiply (NnEmit *e, const guint *in)
{
  return fold (e, in, NN_BINARY_MULTIPLY);
}

static guint
emit_maximum (NnEmit *e, const guint *in)
{
  return fold (e, in, NN_BINARY_MAXIMUM);
}

static guint
emit_minimum (NnEmit *e, const guint *in)
{
  return fold (e, in, NN_BINARY_MINIMUM);
}

static guint
emit_average (NnEmit *e, const guint *in)
{
  return nn_emit_linear (e, fold (e, in, NN_BINARY_ADD), 1. / e->layer->n_inputs, 0);
}

const NnLayerClass nn_add_class = { .kind = NN_LAYER_OTHER, .name = "Add", .min_inputs = 1,
  .max_inputs = G_MAXUINT, .emit = emit_add };
const NnLayerClass nn_subtract_class = { .kind = NN_LAYER_OTHER, .name = "Subtract",
  .min_inputs = 2, .max_inputs = 2, .emit = emit_subtract };
const NnLayerClass nn_multiply_class = { .kind = NN_LAYER_OTHER, .name = "Multiply",
  .min_inputs = 1, .max_inputs = G_MAXUINT, .emit = emit_multiply };
const NnLayerClass nn_average_class = { .kind = NN_LAYER_OTHER, .name = "Average",
  .min_inputs = 1, .max_inputs = G_MAXUINT, .emit = emit_average };
const NnLayerClass nn_maximum_class = { .kind = NN_LAYER_OTHER, .name = "Maximum",
  .min_inputs = 1, .max_inputs = G_MAXUINT, .emit = emit_maximum };
const NnLayerClass nn_minimum_class = { .kind = NN_LAYER_OTHER, .name = "Minimum",
  .min_inputs = 1, .max_inputs = G_MAXUINT, .emit = emit_minimum };

/* --- Concatenate --------------------------------------------------------------------- */

static gboolean
parse_axis (NnLayer *layer, JsonObject *config, GError **error)
{
  gint64 *axis = layer->data;

  *axis = -1;
  return nn_config_get_int (layer, config, "axis", -NN_MAX_DIMS, NN_MAX_DIMS, axis, error);
}

static guint
emit_concatenate (NnEmit *e, const guint *in)
{
  const gint64 axis = *(const gint64 *) e->layer->data;
  const gint64 n = nn_emit_shape (e, in[0]).n_dims;
  NnAttrs attrs = { 0 };

  if (axis == 0 || axis < -n || axis > n)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its inputs have no axis %" G_GINT64_FORMAT, axis);
  attrs.concat.axis = (guint) (axis < 0 ? axis + n : axis - 1);
  if (e->layer->n_inputs == 1)
    return in[0];
  return nn_emit (e, NN_OP_CONCAT, &attrs, e->layer->n_inputs, in);
}

const NnLayerClass nn_concatenate_class = { .kind = NN_LAYER_OTHER, .name = "Concatenate",
  .min_inputs = 1, .max_inputs = G_MAXUINT, .data_size = sizeof (gint64), .parse = parse_axis,
  .emit = emit_concatenate };

/* --- Dot: sums over one axis of each ------------------------------------------------- */

typedef struct
{
  gint64 axes[2];
  gboolean normalize;
} Dot;

static gboolean
parse_dot (NnLayer *layer, JsonObject *config, GError **error)
{
  Dot *dot = layer->data;

  dot->axes[0] = dot->axes[1] = -1;
  return nn_config_get_int_pair (layer, config, "axes", -NN_MAX_DIMS, NN_MAX_DIMS, dot->axes, error)
      && nn_config_get_boolean (layer, config, "normalize", &dot->normalize, error);
}

/* x with the axis that is summed over at the end */
static guint
emit_operand (NnEmit *e, guint x, guint axis, gboolean normalize)
{
  const guint n = nn_emit_shape (e, x).n_dims;
  guint8 order[NN_MAX_DIMS];
  guint at = 0, norm;

  if (normalize) { /* x / sqrt (max (sum of squares, 1e-12)) */
    norm = nn_emit_function (e, x, &(NnFunction) { NN_FUNCTION_SQUARE, 0, 0, 0 });
    norm = nn_emit_reduce (e, norm, NN_REDUCE_SUM, 1u << axis, TRUE);
    norm = nn_emit_function (e, norm, &(NnFunction) { NN_FUNCTION_CLIP, 1e-12, INFINITY, 0 });
    norm = nn_emit_function (e, norm, &(NnFunction) { NN_FUNCTION_RSQRT, 0, 0, 0 });
    x = nn_emit_binary (e, NN_BINARY_MULTIPLY, x, norm);
  }
  if (axis + 1 == n)
    return x;
  for (guint i = 0; i < n; i++)
    if (i != axis)
      order[at++] = (guint8) i;
  order[at] = (guint8) axis;
  return nn_emit_transpose (e, x, order);
}

static guint
emit_dot (NnEmit *e, const guint *in)
{
  const Dot *dot = e->layer->data;
  const NnAttrs attrs = { .matmul = { FALSE, TRUE } };
  guint operands[2], y;
  gsize left[2], right[2], out[2 * NN_MAX_DIMS];
  guint n_out = 0;

  for (guint i = 0; i < 2; i++) {
    const gint64 n = nn_emit_shape (e, in[i]).n_dims, axis = dot->axes[i];

    if (axis == 0 || axis < -n || axis > n)
      return nn_emit_fail (e, NN_ERROR_SHAPE, "its inputs have no axis %" G_GINT64_FORMAT, axis);
    operands[i] = emit_operand (e, in[i], (guint) (axis < 0 ? axis + n : axis - 1), dot->normalize);
  }
  if (*e->error)
    return NN_NO_VALUE;
  for (guint i = 0; i < 2; i++) {
    const NnShape shape = nn_emit_shape (e, operands[i]);

    for (guint k = 0; k + 1 < shape.n_dims; k++)
      out[n_out++] = shape.dims[k];
    (i == 0 ? left : right)[1] = shape.dims[shape.n_dims - 1];
    (i == 0 ? left : right)[0] = nn_shape_count (&shape) / shape.dims[shape.n_dims - 1];
  }
  if (n_out == 0) /* Keras keeps one value */
    out[n_out++] = 1;
  if (n_out > NN_MAX_DIMS)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its result would have %u axes", n_out);
  operands[0] = nn_emit_reshape (e, operands[0], 2, left);
  operands[1] = nn_emit_reshape (e, operands[1], 2, right);
  y = nn_emit (e, NN_OP_MATMUL, &attrs, 2, operands);
  return nn_emit_reshape (e, y, n_out, out);
}

const NnLayerClass nn_dot_class = { .kind = NN_LAYER_OTHER, .name = "Dot", .min_inputs = 2,
  .max_inputs = 2, .data_size = sizeof (Dot), .parse = parse_dot, .emit = emit_dot };

/* --- CustomScaleLayer of keras.applications' InceptionResNetV2: a + scale * b --------- */

static gboolean
parse_scale (NnLayer *layer, JsonObject *config, GError **error)
{
  *(double *) layer->data = 1;
  return nn_config_get_double (layer, config, "scale", -1e30, 1e30, layer->data, error);
}

static guint
emit_scale (NnEmit *e, const guint *in)
{
  return nn_emit_binary (e, NN_BINARY_ADD, in[0],
      nn_emit_linear (e, in[1], *(const double *) e->layer->data, 0));
}

const NnLayerClass nn_custom_scale_class = { .kind = NN_LAYER_OTHER, .name = "CustomScaleLayer",
  .min_inputs = 2, .max_inputs = 2, .data_size = sizeof (double), .parse = parse_scale,
  .emit = emit_scale };
