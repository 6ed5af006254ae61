/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

#include <math.h>
#include <string.h>

/* Functions called on tensors: TFOpLambda and SlicingOpLambda of tf.keras ("math.truediv"), the
 * operations of Keras 3 (class "TrueDivide" of a module "...ops..."), and TensorFlowOpLayer where
 * they are one of these. */

#define MAX_ARGUMENTS 4
#define MAX_NUMBERS 16

typedef enum
{
  OP_BINARY,
  OP_FUNCTION,
  OP_SOFTMAX,
  OP_REDUCE,
  OP_RESHAPE,
  OP_FLIP, /* x[..., ::-1], and parts */
  OP_CLIP,
  OP_NOTHING,
} What;

static const struct
{
  const char *names; /* Keras 3's, then TensorFlow's, by spaces */
  What what;
  int which; /* NnBinary, NnReduce */
  NnFunction function;
} operations[] = {
  { "Add math.add __operators__.add nn.bias_add", OP_BINARY, NN_BINARY_ADD, { 0 } },
  { "Subtract math.subtract", OP_BINARY, NN_BINARY_SUBTRACT, { 0 } },
  { "Multiply math.multiply", OP_BINARY, NN_BINARY_MULTIPLY, { 0 } },
  { "Divide TrueDivide math.truediv math.divide", OP_BINARY, NN_BINARY_DIVIDE, { 0 } },
  { "Maximum math.maximum", OP_BINARY, NN_BINARY_MAXIMUM, { 0 } },
  { "Minimum math.minimum", OP_BINARY, NN_BINARY_MINIMUM, { 0 } },
  { "Power math.pow", OP_BINARY, NN_BINARY_POWER, { 0 } },
  { "Relu nn.relu", OP_FUNCTION, 0, { NN_FUNCTION_RELU, INFINITY, 0, 0 } },
  { "Relu6 nn.relu6", OP_FUNCTION, 0, { NN_FUNCTION_RELU, 6, 0, 0 } },
  { "Sigmoid math.sigmoid nn.sigmoid", OP_FUNCTION, 0, { NN_FUNCTION_SIGMOID, 0, 0, 0 } },
  { "Tanh math.tanh nn.tanh", OP_FUNCTION, 0, { NN_FUNCTION_TANH, 0, 0, 0 } },
  { "Silu Swish nn.silu nn.swish", OP_FUNCTION, 0, { NN_FUNCTION_SWISH, 0, 0, 0 } },
  { "HardSigmoid", OP_FUNCTION, 0, { NN_FUNCTION_HARD_SIGMOID, 1. / 6, 0.5, 0 } },
  { "HardSilu HardSwish", OP_FUNCTION, 0, { NN_FUNCTION_HARD_SWISH, 0, 0, 0 } },
  { "Elu nn.elu", OP_FUNCTION, 0, { NN_FUNCTION_ELU, 1, 1, 0 } },
  { "Selu nn.selu", OP_FUNCTION, 0,
      { NN_FUNCTION_ELU, 1.6732632423543772, 1.0507009873554805, 0 } },
  { "Softplus math.softplus nn.softplus", OP_FUNCTION, 0, { NN_FUNCTION_SOFTPLUS, 0, 0, 0 } },
  { "Softsign nn.softsign", OP_FUNCTION, 0, { NN_FUNCTION_SOFTSIGN, 0, 0, 0 } },
  { "Exp math.exp", OP_FUNCTION, 0, { NN_FUNCTION_EXP, 0, 0, 0 } },
  { "Log math.log", OP_FUNCTION, 0, { NN_FUNCTION_LOG, 0, 0, 0 } },
  { "Abs Absolute math.abs", OP_FUNCTION, 0, { NN_FUNCTION_ABS, 0, 0, 0 } },
  { "Square math.square", OP_FUNCTION, 0, { NN_FUNCTION_SQUARE, 0, 0, 0 } },
  { "Sqrt math.sqrt", OP_FUNCTION, 0, { NN_FUNCTION_SQRT, 0, 0, 0 } },
  { "Rsqrt math.rsqrt", OP_FUNCTION, 0, { NN_FUNCTION_RSQRT, 0, 0, 0 } },
  { "Reciprocal math.reciprocal", OP_FUNCTION, 0, { NN_FUNCTION_RECIPROCAL, 0, 0, 0 } },
  { "Negative math.negative", OP_FUNCTION, 0, { NN_FUNCTION_LINEAR, -1, 0, 0 } },
  { "LeakyRelu nn.leaky_relu", OP_FUNCTION, 0, { NN_FUNCTION_RELU, INFINITY, 0.2, 0 } },
  { "Gelu", OP_FUNCTION, 0, { NN_FUNCTION_GELU_TANH, 0, 0, 0 } },
  { "nn.gelu", OP_FUNCTION, 0, { NN_FUNCTION_GELU, 0, 0, 0 } },
  { "Softmax nn.softmax", OP_SOFTMAX, FALSE, { 0 } },
  { "LogSoftmax nn.log_softmax", OP_SOFTMAX, TRUE, { 0 } },
  { "Mean math.reduce_mean", OP_REDUCE, NN_REDUCE_MEAN, { 0 } },
  { "Sum math.reduce_sum", OP_REDUCE, NN_REDUCE_SUM, { 0 } },
  { "Max math.reduce_max", OP_REDUCE, NN_REDUCE_MAX, { 0 } },
  { "Min math.reduce_min", OP_REDUCE, NN_REDUCE_MIN, { 0 } },
  { "Reshape reshape", OP_RESHAPE, 0, { 0 } },
  { "GetItem __operators__.getitem", OP_FLIP, 0, { 0 } },
  { "Clip clip_by_value", OP_CLIP, 0, { 0 } },
  { "Cast cast identity stop_gradient StopGradient", OP_NOTHING, 0, { 0 } },
};

typedef struct
{
  guint operation;
  gboolean is_first; /* the constant stands before the input: 1 - x */
  guint n;           /* numbers of the constant */
  float numbers[MAX_NUMBERS];
  guint axes;        /* reduce; bit mask of the sample */
  gboolean keepdims;
  guint n_dims;
  gint64 dims[NN_MAX_DIMS]; /* reshape */
  gboolean flips[NN_MAX_DIMS];
} Config;

static gint
find_operation (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (operations); i++) {
    g_auto (GStrv) names = g_strsplit (operations[i].names, " ", -1);

    if (g_strv_contains ((const char *const *) names, name))
      return (gint) i;
  }
  return -1;
}

static gboolean
has_operation (const char *name)
{
  return find_operation (name) >= 0;
}

static gboolean
add_numbers (NnLayer *layer, JsonNode *node, GError **error)
{
  Config *c = layer->data;
  double value;

  if (node && JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++)
      if (!add_numbers (layer, json_array_get_element (array, i), error))
        return FALSE;
    return TRUE;
  }
  if (!nn_json_node_get_double (node, &value) || c->n == MAX_NUMBERS)
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
        "it is called with a constant that is not one of 1 to %d numbers", MAX_NUMBERS);
  c->numbers[c->n++] = (float) value;
  return TRUE;
}

/* A constant may be wrapped: {"class_name": "__tensor__", "config": {"value": ..}} */
static JsonNode *
unwrap (JsonNode *node)
{
  JsonObject *config = node && JSON_NODE_HOLDS_OBJECT (node)
      ? nn_json_get_object (json_node_get_object (node), "config") : NULL;

  return config && nn_json_get (config, "value") ? nn_json_get (config, "value") : node;
}

static gboolean
take_axes (NnLayer *layer, JsonNode *node, GError **error)
{
  Config *c = layer->data;
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  const gint64 rank = layer->in_shape.n_dims;

  for (guint i = 0; i < (array ? json_array_get_length (array) : 1); i++) {
    gint64 axis;

    if (!nn_json_node_get_int (array ? json_array_get_element (array, i) : node, &axis) || axis == 0
        || axis < -rank || axis > rank)
      return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
          "its axes should be some of its input's without the batch");
    c->axes |= 1u << (axis < 0 ? axis + rank : axis - 1);
  }
  return TRUE;
}

/* [batch, a, b, ...] */
static gboolean
take_shape (NnLayer *layer, JsonNode *node, GError **error)
{
  Config *c = layer->data;
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  if (!array || json_array_get_length (array) < 1
      || json_array_get_length (array) > NN_MAX_DIMS + 1)
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
        "its shape should be a list of 1 to %d whole numbers", NN_MAX_DIMS + 1);
  c->n_dims = json_array_get_length (array) - 1;
  for (guint i = 0; i < c->n_dims; i++)
    if (!nn_json_node_get_int (json_array_get_element (array, i + 1), &c->dims[i])
        || c->dims[i] == 0 || c->dims[i] < -1 || c->dims[i] > (gint64) NN_MAX_VALUES)
      return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
          "its shape should be whole numbers");
  return TRUE;
}

/* What Keras 3's operations were made with. */
static gboolean
take_config (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;
  NnFunction *f = &layer->function;
  gboolean approximate = f->kind == NN_FUNCTION_GELU_TANH;
  gint64 axis = -1;

  switch (operations[c->operation].what) {
    case OP_REDUCE:
      return nn_config_get_boolean (layer, config, "keepdims", &c->keepdims, error)
          && (nn_json_get (config, "axis") == NULL
              || take_axes (layer, nn_json_get (config, "axis"), error));
    case OP_RESHAPE:
      return nn_json_get (config, "newshape") == NULL
          || take_shape (layer, nn_json_get (config, "newshape"), error);
    case OP_CLIP:
      return nn_json_get (config, "x_min") == NULL
          || (add_numbers (layer, nn_json_get (config, "x_min"), error)
              && add_numbers (layer, nn_json_get (config, "x_max"), error));
    case OP_SOFTMAX:
      if (!nn_config_get_int (layer, config, "axis", -NN_MAX_DIMS, NN_MAX_DIMS, &axis, error))
        return FALSE;
      return axis == -1 || axis == (gint64) layer->in_shape.n_dims ? TRUE
          : nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
                "only its last 'axis' is supported");
    case OP_FUNCTION:
      if (f->kind == NN_FUNCTION_ELU && f->b == 1)
        return nn_config_get_double (layer, config, "alpha", -1e30, 1e30, &f->a, error);
      if (f->kind == NN_FUNCTION_RELU)
        return nn_config_get_double (layer, config, "negative_slope", -1e30, 1e30, &f->b, error);
      if (f->kind == NN_FUNCTION_GELU_TANH
          && !nn_config_get_boolean (layer, config, "approximate", &approximate, error))
        return FALSE;
      if (f->kind == NN_FUNCTION_GELU_TANH && !approximate)
        f->kind = NN_FUNCTION_GELU;
      return TRUE;
    default:
      return TRUE;
  }
}

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;
  const char *function = nn_json_get_string (config, "function");
  gint found;

  /* the class of one of Keras 3 is the operation's name, put here by who reads the list */
  if (function == NULL)
    function = layer->operation;
  if (function == NULL) /* SlicingOpLambda */
    function = "__operators__.getitem";
  if (g_str_has_prefix (function, "tf."))
    function += 3;
  found = find_operation (function);
  if (found < 0)
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
        "the function '%s' is not supported", function);
  c->operation = (guint) found;
  layer->function = operations[found].function;
  return take_config (layer, config, error);
}

/* Whole axes, each as it is or backwards: x[..., ::-1], which makes BGR of RGB. */
static gboolean
take_slices (NnLayer *layer, JsonNode *node, GError **error)
{
  Config *c = layer->data;
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint n = array ? json_array_get_length (array) : 0, axis = 0;

  for (guint i = 0; i < n; i++) {
    JsonNode *item = json_array_get_element (array, i);
    JsonObject *object = JSON_NODE_HOLDS_OBJECT (item) ? json_node_get_object (item) : NULL;
    const char *class_name = object ? nn_json_get_string (object, "class_name") : NULL;
    JsonObject *slice = object;
    JsonNode *step;
    gint64 number = 1;

    if ((JSON_NODE_HOLDS_VALUE (item) && json_node_get_value_type (item) == G_TYPE_STRING)
        || g_strcmp0 (class_name, "__ellipsis__") == 0) { /* "..." */
      axis = layer->in_shape.n_dims + 1 - (n - i - 1);
      continue;
    }
    if (object && nn_json_get_object (object, "config"))
      slice = nn_json_get_object (object, "config");
    step = slice ? nn_json_get (slice, "step") : NULL;
    if (!slice || (step && !nn_json_node_get_int (step, &number)) || ABS (number) != 1
        || nn_json_get (slice, "start") != NULL || nn_json_get (slice, "stop") != NULL
        || axis > layer->in_shape.n_dims || (axis == 0 && number != 1))
      return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
          "parts of a tensor are not supported, only whole axes, also backwards");
    if (axis > 0)
      c->flips[axis - 1] = number == -1;
    axis++;
  }
  return n > 0 ? TRUE : nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
      "it takes a part of a tensor that is not told as slices");
}

static gboolean
is_ignored (const NnArgument *argument)
{
  static const char *const names[] = { "name", "dtype", "data_format", NULL };

  return argument->name && g_strv_contains (names, argument->name);
}

static gboolean
take_argument (NnLayer *layer, const NnArgument *argument, guint position, GError **error)
{
  Config *c = layer->data;
  JsonNode *node = unwrap (argument->constant);

  switch (operations[c->operation].what) {
    case OP_BINARY:
      c->is_first = position == 0;
      return add_numbers (layer, node, error);
    case OP_CLIP:
      return add_numbers (layer, node, error);
    case OP_REDUCE:
      if (g_strcmp0 (argument->name, "keepdims") == 0 || position == 2) {
        c->keepdims = JSON_NODE_HOLDS_VALUE (node)
            && json_node_get_value_type (node) == G_TYPE_BOOLEAN && json_node_get_boolean (node);
        return TRUE;
      }
      return take_axes (layer, node, error);
    case OP_RESHAPE:
      return take_shape (layer, node, error);
    case OP_FLIP:
      return take_slices (layer, node, error);
    case OP_SOFTMAX: {
      gint64 axis;

      if (nn_json_node_get_int (node, &axis)
          && (axis == -1 || axis == (gint64) layer->in_shape.n_dims))
        return TRUE;
      break;
    }
    case OP_NOTHING:
      return TRUE;
    default:
      break;
  }
  return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
      "it is called with an argument%s%s that is not supported", argument->name ? " " : "",
      argument->name ? argument->name : "");
}

static gboolean
parse_call (NnLayer *layer, const NnArgument *arguments, guint n, GError **error)
{
  for (guint i = 0; i < n; i++) {
    const NnArgument *argument = &arguments[i];

    if (argument->is_input || is_ignored (argument) || argument->constant == NULL
        || JSON_NODE_HOLDS_NULL (argument->constant))
      continue;
    if (!take_argument (layer, argument, i, error))
      return FALSE;
  }
  return TRUE;
}

static guint
emit_flips (NnEmit *e, guint x)
{
  const Config *c = e->layer->data;
  const NnShape shape = nn_emit_shape (e, x);
  NnAttrs attrs = { 0 };

  for (guint i = 0; i < shape.n_dims; i++) {
    attrs.slice.size[i] = shape.dims[i];
    attrs.slice.step[i] = c->flips[i] ? -1 : 1;
    attrs.slice.begin[i] = c->flips[i] ? shape.dims[i] - 1 : 0;
  }
  return nn_emit (e, NN_OP_SLICE, &attrs, 1, &x);
}

static guint
emit_shape (NnEmit *e, guint x)
{
  const Config *c = e->layer->data;
  const gsize n = nn_emit_count (e, x);
  gsize dims[NN_MAX_DIMS], known = 1;

  for (guint i = 0; i < c->n_dims; i++)
    if (c->dims[i] > 0 && known <= n)
      known *= (gsize) c->dims[i];
  for (guint i = 0; i < c->n_dims; i++)
    dims[i] = c->dims[i] > 0 ? (gsize) c->dims[i] : known > 0 && n % known == 0 ? n / known : 0;
  return nn_emit_reshape (e, x, c->n_dims, dims);
}

static guint
emit_with_constant (NnEmit *e, NnBinary kind, guint x)
{
  const Config *c = e->layer->data;
  const NnShape shape = nn_emit_shape (e, x);
  const gsize n = c->n;
  guint constant;

  if (n == 0)
    return nn_emit_fail (e, NN_ERROR_UNSUPPORTED, "it has no second operand");
  if (n > 1 && (shape.n_dims == 0 || shape.dims[shape.n_dims - 1] != n))
    return nn_emit_fail (e, NN_ERROR_UNSUPPORTED,
        "its constant should be one number or one for each of the last axis");
  constant = nn_emit_constant (e, 1, &n, c->numbers);
  return c->is_first ? nn_emit_binary (e, kind, constant, x)
                     : nn_emit_binary (e, kind, x, constant);
}

static guint
emit (NnEmit *e, const guint *in)
{
  const Config *c = e->layer->data;
  const guint n_dims = nn_emit_shape (e, in[0]).n_dims;

  switch (operations[c->operation].what) {
    case OP_BINARY:
      return e->layer->n_inputs == 2
          ? nn_emit_binary (e, (NnBinary) operations[c->operation].which, in[0], in[1])
          : emit_with_constant (e, (NnBinary) operations[c->operation].which, in[0]);
    case OP_FUNCTION:
      return nn_emit_function (e, in[0], &e->layer->function);
    case OP_SOFTMAX:
      return nn_emit_softmax (e, in[0], n_dims - 1, operations[c->operation].which);
    case OP_REDUCE:
      return nn_emit_reduce (e, in[0], (NnReduce) operations[c->operation].which,
          c->axes ? c->axes : (1u << n_dims) - 1, c->keepdims);
    case OP_RESHAPE:
      return emit_shape (e, in[0]);
    case OP_FLIP:
      return emit_flips (e, in[0]);
    case OP_CLIP:
      if (c->n != 2)
        return nn_emit_fail (e, NN_ERROR_UNSUPPORTED, "it should have two bounds");
      return nn_emit_function (e, in[0],
          &(NnFunction) { NN_FUNCTION_CLIP, c->numbers[0], c->numbers[1], 0 });
    default:
      return in[0];
  }
}

static const char *const aliases[] = { "SlicingOpLambda", NULL };

const NnLayerClass nn_operation_class = { .kind = NN_LAYER_OTHER, .name = "TFOpLambda",
  .aliases = aliases, .has_operation = has_operation, .max_inputs = 2,
  .data_size = sizeof (Config), .parse = parse,
  .parse_call = parse_call, .emit = emit };
