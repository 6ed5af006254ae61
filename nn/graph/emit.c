/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/emit.h"

#include "nn/keras-config.h"
#include "nn/layer.h"

NnShape
nn_emit_shape (const NnEmit *e, guint value)
{
  return value == NN_NO_VALUE ? (NnShape){ 0 } : nn_graph_value (e->graph, value)->shape;
}

gsize
nn_emit_count (const NnEmit *e, guint value)
{
  const NnShape shape = nn_emit_shape (e, value);

  return nn_shape_count (&shape);
}

guint
nn_emit_fail (NnEmit *e, gint code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  if (*e->error == NULL)
    nn_layer_error (e->layer, e->error, code, "%s", message);
  return NN_NO_VALUE;
}

guint
nn_emit (NnEmit *e, NnOpKind kind, const NnAttrs *attrs, guint n_in, const guint *in)
{
  g_autoptr (GError) error = NULL;
  guint value;

  if (*e->error)
    return NN_NO_VALUE;
  value = nn_graph_add (e->graph, kind, attrs, n_in, in, e->layer, &error);
  return error ? nn_emit_fail (e, error->code, "%s", error->message) : value;
}

guint
nn_emit_param (NnEmit *e, guint index, guint n_dims, const gsize *dims, const NnShape *as)
{
  NnShape wanted = { .n_dims = n_dims };
  guint value;

  if (*e->error)
    return NN_NO_VALUE;
  for (guint i = 0; i < n_dims; i++)
    wanted.dims[i] = dims[i];
  if (e->infer && e->owner == e->layer) {
    if (!nn_param_set_shape (e->layer, index, n_dims, dims, e->error))
      return NN_NO_VALUE;
  } else if (!nn_shape_equal (&e->owner->params[index].shape, &wanted)) {
    g_autofree char *found = nn_shape_to_string (&wanted);
    g_autofree char *has = nn_shape_to_string (&e->owner->params[index].shape);

    return nn_emit_fail (e, NN_ERROR_SHAPE, "its %s is %s, this input wants %s",
        e->owner->params[index].name, has, found);
  }
  value = nn_graph_add_param (e->graph, &e->owner->params[index]);
  if (as)
    g_array_index (e->graph->values, NnValue, value).shape = *as;
  return value;
}

guint
nn_emit_constant (NnEmit *e, guint n_dims, const gsize *dims, const float *data)
{
  NnShape shape = { .n_dims = n_dims };

  for (guint i = 0; i < n_dims; i++)
    shape.dims[i] = dims[i];
  return nn_graph_add_constant (e->graph, &shape, data);
}

guint
nn_emit_function (NnEmit *e, guint x, const NnFunction *function)
{
  const NnAttrs attrs = { .unary = *function };

  return nn_function_is_identity (function) ? x : nn_emit (e, NN_OP_UNARY, &attrs, 1, &x);
}

guint
nn_emit_linear (NnEmit *e, guint x, double scale, double offset)
{
  return nn_emit_function (e, x, &(NnFunction){ NN_FUNCTION_LINEAR, scale, offset, 0 });
}

guint
nn_emit_softmax (NnEmit *e, guint x, guint axis, gboolean is_log)
{
  const NnAttrs attrs = { .softmax = { axis, is_log } };

  return nn_emit (e, NN_OP_SOFTMAX, &attrs, 1, &x);
}

guint
nn_emit_activation (NnEmit *e, guint x, NnActivation activation)
{
  NnFunction function = { NN_FUNCTION_LINEAR, 1, 0, 0 };

  switch (activation) {
    case NN_ACTIVATION_SOFTMAX:
    case NN_ACTIVATION_LOG_SOFTMAX:
      return nn_emit_softmax (e, x, nn_emit_shape (e, x).n_dims - 1,
          activation == NN_ACTIVATION_LOG_SOFTMAX);
    case NN_ACTIVATION_OTHER:
      function = e->layer->function;
      break;
    default:
      nn_function_from_keras (nn_activation_to_string (activation), 0, &function);
      break;
  }
  return nn_emit_function (e, x, &function);
}

guint
nn_emit_binary (NnEmit *e, NnBinary kind, guint a, guint b)
{
  const NnAttrs attrs = { .binary = kind };
  const guint in[2] = { a, b };

  return nn_emit (e, NN_OP_BINARY, &attrs, 2, in);
}

guint
nn_emit_reshape (NnEmit *e, guint x, guint n_dims, const gsize *dims)
{
  NnAttrs attrs = { .reshape = { .n_dims = n_dims } };

  for (guint i = 0; i < n_dims; i++)
    attrs.reshape.dims[i] = dims[i];
  if (x != NN_NO_VALUE && nn_shape_equal (&attrs.reshape, &nn_graph_value (e->graph, x)->shape))
    return x;
  return nn_emit (e, NN_OP_RESHAPE, &attrs, 1, &x);
}

guint
nn_emit_transpose (NnEmit *e, guint x, const guint8 *order)
{
  NnAttrs attrs = { 0 };

  for (guint i = 0; i < nn_emit_shape (e, x).n_dims; i++)
    attrs.transpose[i] = order[i];
  return nn_emit (e, NN_OP_TRANSPOSE, &attrs, 1, &x);
}

guint
nn_emit_reduce (NnEmit *e, guint x, NnReduce kind, guint axes, gboolean keepdims)
{
  const NnAttrs attrs = { .reduce = { kind, axes, keepdims } };

  return nn_emit (e, NN_OP_REDUCE, &attrs, 1, &x);
}

guint
nn_emit_slice (NnEmit *e, guint x, const gsize *begin, const gsize *size)
{
  NnAttrs attrs = { 0 };

  for (guint i = 0; i < nn_emit_shape (e, x).n_dims; i++) {
    attrs.slice.begin[i] = begin[i];
    attrs.slice.size[i] = size[i];
    attrs.slice.step[i] = 1;
  }
  return nn_emit (e, NN_OP_SLICE, &attrs, 1, &x);
}

guint
nn_emit_channels_last (NnEmit *e, guint x)
{
  static const guint8 order[] = { 1, 2, 0 };

  if (!e->layer->channels_first || nn_emit_shape (e, x).n_dims != 3)
    return x;
  return nn_emit_transpose (e, x, order);
}

guint
nn_emit_channels_back (NnEmit *e, guint x)
{
  static const guint8 order[] = { 2, 0, 1 };

  if (!e->layer->channels_first || nn_emit_shape (e, x).n_dims != 3)
    return x;
  return nn_emit_transpose (e, x, order);
}

gboolean
nn_emit_check_picture (NnEmit *e, guint x)
{
  if (*e->error)
    return FALSE;
  if (nn_emit_shape (e, x).n_dims == 3)
    return TRUE;
  nn_emit_fail (e, NN_ERROR_SHAPE, "its input should be (height, width, channels), found %u axes",
      nn_emit_shape (e, x).n_dims);
  return FALSE;
}

gboolean
nn_emit_windows (NnEmit *e, guint x, const gsize size[2], const gsize strides[2],
    const gsize dilation[2], NnPadding padding, gsize pad_begin[2], gsize pad_end[2])
{
  gsize out;

  if (!nn_emit_check_picture (e, x))
    return FALSE;
  for (guint i = 0; i < 2; i++)
    if (!nn_window (nn_emit_shape (e, x).dims[i], size[i], strides[i], dilation[i], padding, &out,
            &pad_begin[i], &pad_end[i])) {
      nn_emit_fail (e, NN_ERROR_SHAPE,
          "its window covers %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT
          " cells, its input has only %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT,
          (size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1,
          nn_emit_shape (e, x).dims[0], nn_emit_shape (e, x).dims[1]);
      return FALSE;
    }
  return TRUE;
}

gboolean
nn_emit_infer (NnLayer *layer, NnLayer *owner, const NnShape *shapes, GError **error)
{
  g_autoptr (NnGraph) graph = nn_graph_new_empty (&shapes[0]);
  g_autofree guint *in = g_new0 (guint, MAX (layer->n_inputs, 1));
  GError *failure = NULL;
  NnEmit e = { graph, layer, owner, TRUE, &failure };
  NnShape shape;
  guint out;

  /* the other inputs: any values of their shapes */
  for (guint i = 1; i < layer->n_inputs; i++) {
    const NnValue value = { .shape = shapes[i], .producer = 0 };

    in[i] = graph->values->len;
    g_array_append_val (graph->values, value);
  }
  out = layer->klass->emit (&e, in);
  if (failure) {
    g_propagate_error (error, failure);
    return FALSE;
  }
  shape = nn_emit_shape (&e, out);
  return nn_layer_set_shape (
      layer, "the output", &layer->out_shape, shape.n_dims, shape.dims, error);
}
