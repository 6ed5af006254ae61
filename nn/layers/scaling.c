/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

#include <math.h>

/* Layers that scale: by constants of the file, or by what the values themselves are. */

/* Numbers of a config: one, or a list that may nest. At most NN_MAX_SIZE. */
static gboolean
get_numbers (NnLayer *layer, JsonNode *node, const char *key, GArray *numbers, GError **error)
{
  double value;

  if (node && JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++)
      if (!get_numbers (layer, json_array_get_element (array, i), key, numbers, error))
        return FALSE;
    return TRUE;
  }
  if (nn_json_node_get_double (node, &value) && numbers->len < NN_MAX_SIZE) {
    const float number = (float) value;

    g_array_append_val (numbers, number);
    return TRUE;
  }
  return nn_layer_error (layer, error, NN_ERROR_FORMAT, "'%s' should be numbers", key);
}

/* A constant of one number or one for each of the last axis. */
static guint
emit_numbers (NnEmit *e, guint x, const float *numbers, gsize n)
{
  const NnShape shape = nn_emit_shape (e, x);

  if (n != 1 && (shape.n_dims == 0 || n != shape.dims[shape.n_dims - 1]))
    return nn_emit_fail (e, NN_ERROR_SHAPE,
        "it has %" G_GSIZE_FORMAT " numbers, its input's last axis has another size", n);
  return nn_emit_constant (e, 1, &n, numbers);
}

/* --- Rescaling: x * scale + offset ----------------------------------------------------- */

#define MAX_NUMBERS 1024 /* channels that a picture may have here */

typedef struct
{
  guint n[2];
  float numbers[2][MAX_NUMBERS];
} Rescaling;

static gboolean
parse_rescaling (NnLayer *layer, JsonObject *config, GError **error)
{
  static const char *const keys[] = { "scale", "offset" };
  Rescaling *r = layer->data;

  r->n[0] = r->n[1] = 1;
  r->numbers[0][0] = 1;
  for (guint i = 0; i < 2; i++) {
    JsonNode *node = nn_json_get (config, keys[i]);
    g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (float));

    /* Keras 3 may write a NumPy array as {"class_name": "__numpy__", "config": {"value": ..}} */
    if (node && JSON_NODE_HOLDS_OBJECT (node)) {
      JsonObject *inner = nn_json_get_object (json_node_get_object (node), "config");

      node = inner ? nn_json_get (inner, "value") : NULL;
    }
    if (node == NULL && nn_json_get (config, keys[i]) == NULL)
      continue;
    if (!get_numbers (layer, node, keys[i], numbers, error))
      return FALSE;
    if (numbers->len < 1 || numbers->len > MAX_NUMBERS)
      return nn_layer_error (layer, error, NN_ERROR_FORMAT, "'%s' should have 1 to %d numbers",
          keys[i], MAX_NUMBERS);
    r->n[i] = numbers->len;
    for (guint k = 0; k < numbers->len; k++)
      r->numbers[i][k] = g_array_index (numbers, float, k);
  }
  return TRUE;
}

static guint
emit_rescaling (NnEmit *e, const guint *in)
{
  const Rescaling *r = e->layer->data;
  guint x = in[0];

  if (r->n[0] == 1 && r->n[1] == 1)
    return nn_emit_linear (e, x, r->numbers[0][0], r->numbers[1][0]);
  x = nn_emit_binary (e, NN_BINARY_MULTIPLY, x, emit_numbers (e, x, r->numbers[0], r->n[0]));
  return nn_emit_binary (e, NN_BINARY_ADD, x, emit_numbers (e, in[0], r->numbers[1], r->n[1]));
}

const NnLayerClass nn_rescaling_class = { .kind = NN_LAYER_OTHER, .name = "Rescaling",
  .data_size = sizeof (Rescaling), .parse = parse_rescaling, .emit = emit_rescaling };

/* --- Normalization: (x - mean) / max (sqrt (variance), 1e-7) ---------------------------- */

#define NORMALIZATION_EPSILON 1e-7

typedef struct
{
  gboolean has_axis, invert, is_given;
  guint axis;
  guint n;
  float mean[MAX_NUMBERS], variance[MAX_NUMBERS]; /* is_given */
} Normalization;

static gboolean
parse_given (NnLayer *layer, JsonObject *config, GError **error)
{
  static const char *const keys[] = { "mean", "variance" };
  Normalization *n = layer->data;

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (float));

    if (!get_numbers (layer, nn_json_get (config, keys[i]), keys[i], numbers, error))
      return FALSE;
    if (numbers->len < 1 || numbers->len > MAX_NUMBERS || (i == 1 && numbers->len != n->n))
      return nn_layer_error (layer, error, NN_ERROR_FORMAT,
          "'mean' and 'variance' should have as many numbers, 1 to %d", MAX_NUMBERS);
    n->n = numbers->len;
    for (guint k = 0; k < n->n; k++)
      (i == 0 ? n->mean : n->variance)[k] = g_array_index (numbers, float, k);
  }
  n->is_given = TRUE;
  return TRUE;
}

static gboolean
parse_normalization (NnLayer *layer, JsonObject *config, GError **error)
{
  Normalization *n = layer->data;
  JsonNode *node = nn_json_get (config, "axis");
  const gint64 rank = layer->in_shape.n_dims;
  gint64 axis = -1;

  /* absent: the last; null: one mean for all */
  n->has_axis = node != NULL || !json_object_has_member (config, "axis");
  if (node && JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *axes = json_node_get_array (node);

    if (json_array_get_length (axes) == 0)
      n->has_axis = FALSE;
    else if (json_array_get_length (axes) > 1)
      return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
          "'axis' has several axes, only one is supported");
    else
      node = json_array_get_element (axes, 0);
  }
  if (n->has_axis && node && !JSON_NODE_HOLDS_ARRAY (node) && !nn_json_node_get_int (node, &axis))
    return nn_layer_error (layer, error, NN_ERROR_FORMAT, "'axis' should be a whole number");
  if (n->has_axis && (axis == 0 || axis < -rank || axis > rank))
    return nn_layer_error (layer, error, NN_ERROR_SHAPE, "its input has no such 'axis'");
  n->axis = n->has_axis ? (guint) (axis < 0 ? axis + rank : axis - 1) : 0;
  if (!nn_config_get_boolean (layer, config, "invert", &n->invert, error))
    return FALSE;
  if (nn_json_get (config, "mean") != NULL)
    return parse_given (layer, config, error);
  return nn_layer_add_param (layer, config, "mean", "mean", FALSE, NN_INIT_ZEROS, error)
      && nn_layer_add_param (layer, config, "variance", "variance", FALSE, NN_INIT_ONES, error)
      && nn_layer_add_param (layer, config, "count", "count", FALSE, NN_INIT_ZEROS, error);
}

static guint
emit_normalization (NnEmit *e, const guint *in)
{
  const Normalization *n = e->layer->data;
  const NnShape shape = nn_emit_shape (e, in[0]);
  const gsize size = n->has_axis ? shape.dims[n->axis] : 1;
  NnShape as = { .n_dims = shape.n_dims };
  guint mean, deviation;

  for (guint i = 0; i < shape.n_dims; i++)
    as.dims[i] = n->has_axis && i == n->axis ? size : 1;
  if (n->is_given) {
    if (n->n != 1 && n->n != size)
      return nn_emit_fail (e, NN_ERROR_SHAPE, "it has %u means for an axis of %" G_GSIZE_FORMAT,
          n->n, size);
    if (n->n == 1)
      as = (NnShape) { 1, { 1 } };
    mean = nn_graph_add_constant (e->graph, &as, n->mean);
    deviation = nn_graph_add_constant (e->graph, &as, n->variance);
  } else {
    mean = nn_emit_param (e, 0, n->has_axis, &size, &as);
    deviation = nn_emit_param (e, 1, n->has_axis, &size, &as);
    nn_emit_param (e, 2, 0, NULL, NULL);
  }
  deviation = nn_emit_function (e, deviation, &(NnFunction) { NN_FUNCTION_SQRT, 0, 0, 0 });
  deviation = nn_emit_function (
      e, deviation, &(NnFunction) { NN_FUNCTION_CLIP, NORMALIZATION_EPSILON, INFINITY, 0 });
  if (n->invert)
    return nn_emit_binary (e, NN_BINARY_ADD,
        nn_emit_binary (e, NN_BINARY_MULTIPLY, in[0], deviation), mean);
  return nn_emit_binary (e, NN_BINARY_DIVIDE,
      nn_emit_binary (e, NN_BINARY_SUBTRACT, in[0], mean), deviation);
}

const NnLayerClass nn_normalization_class = { .kind = NN_LAYER_OTHER, .name = "Normalization",
  .data_size = sizeof (Normalization), .parse = parse_normalization, .emit = emit_normalization };

/* --- Layer-, Group-, Unit- and RMSNormalization: of each sample by itself --------------- */

typedef struct
{
  guint axes; /* bit mask */
  gint64 groups, axis;
  double epsilon;
  gboolean center, scale, is_rms;
} Norm;

/* "axis": one or several, as a mask; counted with the batch as 0. */
static gboolean
get_axes (NnLayer *layer, JsonObject *config, guint *axes, GError **error)
{
  JsonNode *node = nn_json_get (config, "axis");
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  const gint64 rank = layer->in_shape.n_dims;
  gint64 axis = -1;

  for (guint i = 0; i < (array ? json_array_get_length (array) : 1); i++) {
    if (node && !nn_json_node_get_int (array ? json_array_get_element (array, i) : node, &axis))
      return nn_layer_error (layer, error, NN_ERROR_FORMAT, "'axis' should be whole numbers");
    if (axis == 0 || axis < -rank || axis > rank)
      return nn_layer_error (layer, error, NN_ERROR_SHAPE, "its input has no such 'axis'");
    *axes |= 1u << (axis < 0 ? axis + rank : axis - 1);
  }
  return TRUE;
}

static gboolean
add_affine (NnLayer *layer, JsonObject *config, const Norm *norm, GError **error)
{
  return (!norm->scale
             || nn_layer_add_param (layer, config, "gamma", "gamma", TRUE, NN_INIT_ONES, error))
      && (!norm->center
          || nn_layer_add_param (layer, config, "beta", "beta", TRUE, NN_INIT_ZEROS, error));
}

static gboolean
parse_layer_norm (NnLayer *layer, JsonObject *config, GError **error)
{
  Norm *norm = layer->data;

  norm->center = norm->scale = TRUE;
  norm->epsilon = 1e-3;
  if (!get_axes (layer, config, &norm->axes, error)
      || !nn_config_get_double (layer, config, "epsilon", 0, 1e30, &norm->epsilon, error)
      || !nn_config_get_boolean (layer, config, "center", &norm->center, error)
      || !nn_config_get_boolean (layer, config, "scale", &norm->scale, error)
      || !nn_config_get_boolean (layer, config, "rms_scaling", &norm->is_rms, error))
    return FALSE;
  if (norm->is_rms) { /* Keras: gamma alone */
    norm->center = FALSE;
    norm->scale = TRUE;
  }
  return add_affine (layer, config, norm, error);
}

/* x / sqrt (mean of squares + epsilon) */
static guint
emit_rms (NnEmit *e, guint x, guint axes, double epsilon)
{
  guint norm = nn_emit_function (e, x, &(NnFunction) { NN_FUNCTION_SQUARE, 0, 0, 0 });

  norm = nn_emit_linear (e, nn_emit_reduce (e, norm, NN_REDUCE_MEAN, axes, TRUE), 1, epsilon);
  norm = nn_emit_function (e, norm, &(NnFunction) { NN_FUNCTION_RSQRT, 0, 0, 0 });
  return nn_emit_binary (e, NN_BINARY_MULTIPLY, x, norm);
}

static guint
emit_affine (NnEmit *e, guint x, const Norm *norm, guint n_dims, const gsize *dims,
    const NnShape *as)
{
  guint index = 0;

  if (norm->scale)
    x = nn_emit_binary (e, NN_BINARY_MULTIPLY, x, nn_emit_param (e, index++, n_dims, dims, as));
  if (norm->center)
    x = nn_emit_binary (e, NN_BINARY_ADD, x, nn_emit_param (e, index, n_dims, dims, as));
  return x;
}

static guint
emit_normalize (NnEmit *e, guint x, guint axes, double epsilon)
{
  const NnAttrs attrs = { .normalize = { axes, epsilon } };

  return nn_emit (e, NN_OP_NORMALIZE, &attrs, 1, &x);
}

static guint
emit_layer_norm (NnEmit *e, const guint *in)
{
  const Norm *norm = e->layer->data;
  const NnShape shape = nn_emit_shape (e, in[0]);
  NnShape as = shape;
  gsize dims[NN_MAX_DIMS];
  guint n = 0, x;

  for (guint i = 0; i < shape.n_dims; i++) {
    if (norm->axes >> i & 1)
      dims[n++] = shape.dims[i];
    else
      as.dims[i] = 1;
  }
  x = norm->is_rms ? emit_rms (e, in[0], norm->axes, norm->epsilon)
                   : emit_normalize (e, in[0], norm->axes, norm->epsilon);
  return emit_affine (e, x, norm, n, dims, &as);
}

const NnLayerClass nn_layer_normalization_class = { .kind = NN_LAYER_OTHER,
  .name = "LayerNormalization", .data_size = sizeof (Norm), .parse = parse_layer_norm,
  .emit = emit_layer_norm };

static gboolean
parse_rms_norm (NnLayer *layer, JsonObject *config, GError **error)
{
  Norm *norm = layer->data;

  norm->is_rms = norm->scale = TRUE;
  norm->epsilon = 1e-6;
  return get_axes (layer, config, &norm->axes, error)
      && nn_config_get_double (layer, config, "epsilon", 0, 1e30, &norm->epsilon, error)
      && nn_layer_add_param (layer, config, "scale", "scale", TRUE, NN_INIT_ONES, error);
}

const NnLayerClass nn_rms_normalization_class = { .kind = NN_LAYER_OTHER,
  .name = "RMSNormalization", .data_size = sizeof (Norm), .parse = parse_rms_norm,
  .emit = emit_layer_norm };

static gboolean
parse_group_norm (NnLayer *layer, JsonObject *config, GError **error)
{
  Norm *norm = layer->data;
  const gint64 rank = layer->in_shape.n_dims;

  norm->groups = 32;
  norm->axis = -1;
  norm->center = norm->scale = TRUE;
  norm->epsilon = 1e-3;
  if (!nn_config_get_int (layer, config, "groups", -1, (gint64) NN_MAX_SIZE, &norm->groups, error)
      || !nn_config_get_int (layer, config, "axis", -NN_MAX_DIMS, NN_MAX_DIMS, &norm->axis, error)
      || !nn_config_get_double (layer, config, "epsilon", 0, 1e30, &norm->epsilon, error)
      || !nn_config_get_boolean (layer, config, "center", &norm->center, error)
      || !nn_config_get_boolean (layer, config, "scale", &norm->scale, error))
    return FALSE;
  if (norm->axis != -1 && norm->axis != rank)
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
        "'axis' should be the last one, no other is supported");
  return add_affine (layer, config, norm, error);
}

static guint
emit_group_norm (NnEmit *e, const guint *in)
{
  const Norm *norm = e->layer->data;
  const NnShape shape = nn_emit_shape (e, in[0]);
  const gsize n = shape.n_dims > 0 ? shape.dims[shape.n_dims - 1] : 0;
  const gsize groups = norm->groups == -1 ? n : (gsize) norm->groups;
  gsize dims[3];
  guint x;

  if (n == 0 || groups == 0 || n % groups != 0)
    return nn_emit_fail (e, NN_ERROR_SHAPE,
        "%" G_GSIZE_FORMAT " channels cannot be taken in %" G_GSIZE_FORMAT " groups", n, groups);
  dims[0] = nn_shape_count (&shape) / n;
  dims[1] = groups;
  dims[2] = n / groups;
  x = emit_normalize (e, nn_emit_reshape (e, in[0], 3, dims), 5, norm->epsilon);
  return emit_affine (e, nn_emit_reshape (e, x, shape.n_dims, shape.dims), norm, 1, &n, NULL);
}

const NnLayerClass nn_group_normalization_class = { .kind = NN_LAYER_OTHER,
  .name = "GroupNormalization", .data_size = sizeof (Norm), .parse = parse_group_norm,
  .emit = emit_group_norm };

static gboolean
parse_unit_norm (NnLayer *layer, JsonObject *config, GError **error)
{
  return get_axes (layer, config, &((Norm *) layer->data)->axes, error);
}

/* x / sqrt (max (sum of squares, 1e-12)) */
static guint
emit_unit_norm (NnEmit *e, const guint *in)
{
  guint norm = nn_emit_function (e, in[0], &(NnFunction) { NN_FUNCTION_SQUARE, 0, 0, 0 });

  norm = nn_emit_reduce (
      e, norm, NN_REDUCE_SUM, ((const Norm *) e->layer->data)->axes, TRUE);
  norm = nn_emit_function (e, norm, &(NnFunction) { NN_FUNCTION_CLIP, 1e-12, INFINITY, 0 });
  norm = nn_emit_function (e, norm, &(NnFunction) { NN_FUNCTION_RSQRT, 0, 0, 0 });
  return nn_emit_binary (e, NN_BINARY_MULTIPLY, in[0], norm);
}

const NnLayerClass nn_unit_normalization_class = { .kind = NN_LAYER_OTHER,
  .name = "UnitNormalization", .data_size = sizeof (Norm), .parse = parse_unit_norm,
  .emit = emit_unit_norm };

/* --- LayerScale of keras.applications' ConvNeXt: a factor for each channel --------------- */

static gboolean
parse_layer_scale (NnLayer *layer, JsonObject *config, GError **error)
{
  return nn_layer_add_param (layer, config, "gamma", "gamma", TRUE, NN_INIT_ONES, error);
}

static guint
emit_layer_scale (NnEmit *e, const guint *in)
{
  const NnShape shape = nn_emit_shape (e, in[0]);

  if (shape.n_dims == 0)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input has no axis");
  return nn_emit_binary (e, NN_BINARY_MULTIPLY, in[0],
      nn_emit_param (e, 0, 1, &shape.dims[shape.n_dims - 1], NULL));
}

const NnLayerClass nn_layer_scale_class = { .kind = NN_LAYER_OTHER, .name = "LayerScale",
  .parse = parse_layer_scale, .emit = emit_layer_scale };
