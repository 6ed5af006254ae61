/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/keras-config.h"

#include <math.h>
#include <string.h>

#include "nn/layer.h"
#include "nn/log.h"
#include "nn/model-private.h"
#include "nn/text.h"

static const char *const activation_names[] = {
  [NN_ACTIVATION_LINEAR] = "linear",
  [NN_ACTIVATION_RELU] = "relu",
  [NN_ACTIVATION_SIGMOID] = "sigmoid",
  [NN_ACTIVATION_TANH] = "tanh",
  [NN_ACTIVATION_SOFTMAX] = "softmax",
  [NN_ACTIVATION_LOG_SOFTMAX] = "log_softmax",
  [NN_ACTIVATION_OTHER] = "another function",
};

/* Initializers that are a VarianceScaling under another name. */
static const struct
{
  const char *class_name, *string;
  NnInit init;
  NnFan fan;
  float scale;
} scalings[] = {
  { "GlorotUniform", "glorot_uniform", NN_INIT_SCALING_UNIFORM, NN_FAN_AVG, 1 },
  { "GlorotNormal", "glorot_normal", NN_INIT_SCALING_NORMAL, NN_FAN_AVG, 1 },
  { "HeUniform", "he_uniform", NN_INIT_SCALING_UNIFORM, NN_FAN_IN, 2 },
  { "HeNormal", "he_normal", NN_INIT_SCALING_NORMAL, NN_FAN_IN, 2 },
  { "LecunUniform", "lecun_uniform", NN_INIT_SCALING_UNIFORM, NN_FAN_IN, 1 },
  { "LecunNormal", "lecun_normal", NN_INIT_SCALING_NORMAL, NN_FAN_IN, 1 },
};

gboolean
nn_layer_error (const NnLayer *layer, GError **error, NnErrorCode code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NN_ERROR, code, "layer '%s' (%s): %s", layer->name, layer->klass->name,
      message);
  nn_text_make_printable (error);
  return FALSE;
}

/* --- JSON --------------------------------------------------------------- */

JsonNode *
nn_json_get (JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member (object, key);

  return node == NULL || JSON_NODE_HOLDS_NULL (node) ? NULL : node;
}

static const char *
node_get_string (JsonNode *node)
{
  return node != NULL && JSON_NODE_HOLDS_VALUE (node)
          && json_node_get_value_type (node) == G_TYPE_STRING
      ? json_node_get_string (node)
      : NULL;
}

const char *
nn_json_get_string (JsonObject *object, const char *key)
{
  return node_get_string (nn_json_get (object, key));
}

JsonObject *
nn_json_get_object (JsonObject *object, const char *key)
{
  JsonNode *node = nn_json_get (object, key);

  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

JsonArray *
nn_json_get_array (JsonObject *object, const char *key)
{
  JsonNode *node = nn_json_get (object, key);

  return node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

gboolean
nn_json_node_get_double (JsonNode *node, double *value)
{
  GType type;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return FALSE;
  type = json_node_get_value_type (node);
  if (type == G_TYPE_INT64)
    *value = (double) json_node_get_int (node);
  else if (type == G_TYPE_DOUBLE)
    *value = json_node_get_double (node);
  else
    return FALSE;
  return isfinite (*value);
}

gboolean
nn_json_node_get_int (JsonNode *node, gint64 *value)
{
  double number;

  if (!nn_json_node_get_double (node, &number))
    return FALSE;
  if (json_node_get_value_type (node) == G_TYPE_INT64) {
    *value = json_node_get_int (node);
    return TRUE;
  }
  if (number != floor (number) || fabs (number) > 9007199254740992.0)
    return FALSE;
  *value = (gint64) number;
  return TRUE;
}

char *
nn_json_describe (JsonNode *node)
{
  g_autofree char *text = NULL, *head = NULL;

  if (node == NULL)
    return g_strdup ("nothing");
  text = json_to_string (node, FALSE);
  if (text == NULL || g_utf8_strlen (text, -1) <= 60)
    return g_steal_pointer (&text);
  head = g_utf8_substring (text, 0, 57);
  return g_strconcat (head, "...", NULL);
}

/* --- configs ------------------------------------------------------------ */

static gboolean
config_error (const NnLayer *layer, JsonObject *config, const char *key, GError **error,
    const char *expected)
{
  g_autofree char *found = nn_json_describe (json_object_get_member (config, key));

  return nn_layer_error (layer, error, NN_ERROR_FORMAT, "'%s' should be %s, found %s", key,
      expected, found);
}

static gboolean
node_get_size (JsonNode *node, gsize max, gsize *value)
{
  gint64 number;

  if (!nn_json_node_get_int (node, &number) || number < 1 || (guint64) number > max)
    return FALSE;
  *value = (gsize) number;
  return TRUE;
}

gboolean
nn_config_get_size (const NnLayer *layer, JsonObject *config, const char *key, gsize max,
    gsize *value, GError **error)
{
  g_autofree char *expected = NULL;
  JsonNode *node = nn_json_get (config, key);

  if ((node == NULL && *value != 0) || node_get_size (node, max, value))
    return TRUE;
  expected = g_strdup_printf ("a whole number from 1 to %" G_GSIZE_FORMAT, max);
  return config_error (layer, config, key, error, expected);
}

gboolean
nn_config_get_pair (const NnLayer *layer, JsonObject *config, const char *key, gsize max,
    gsize value[2], GError **error)
{
  g_autofree char *expected = NULL;
  JsonNode *node = nn_json_get (config, key);

  if (node == NULL && value[0] != 0)
    return TRUE;
  if (node != NULL && JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    if (json_array_get_length (array) == 2
        && node_get_size (json_array_get_element (array, 0), max, &value[0])
        && node_get_size (json_array_get_element (array, 1), max, &value[1]))
      return TRUE;
  } else if (node_get_size (node, max, &value[0])) {
    value[1] = value[0];
    return TRUE;
  }
  expected = g_strdup_printf ("two whole numbers from 1 to %" G_GSIZE_FORMAT, max);
  return config_error (layer, config, key, error, expected);
}

gboolean
nn_config_get_double (const NnLayer *layer, JsonObject *config, const char *key, double min,
    double max, double *value, GError **error)
{
  g_autofree char *expected = NULL;
  JsonNode *node = nn_json_get (config, key);
  double number;

  if (node == NULL)
    return TRUE;
  if (nn_json_node_get_double (node, &number) && number >= min && number <= max) {
    *value = number;
    return TRUE;
  }
  expected = g_strdup_printf ("a number from %g to %g", min, max);
  return config_error (layer, config, key, error, expected);
}

gboolean
nn_config_get_boolean (const NnLayer *layer, JsonObject *config, const char *key, gboolean *value,
    GError **error)
{
  JsonNode *node = nn_json_get (config, key);

  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_BOOLEAN)
    return config_error (layer, config, key, error, "true or false");
  *value = json_node_get_boolean (node);
  return TRUE;
}

/* A whole number from @min on. */
gboolean
nn_config_get_int (const NnLayer *layer, JsonObject *config, const char *key, gint64 min,
    gint64 max, gint64 *value, GError **error)
{
  g_autofree char *expected = NULL;
  JsonNode *node = nn_json_get (config, key);
  gint64 number;

  if (node == NULL)
    return TRUE;
  if (nn_json_node_get_int (node, &number) && number >= min && number <= max) {
    *value = number;
    return TRUE;
  }
  expected = g_strdup_printf (
      "a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, min, max);
  return config_error (layer, config, key, error, expected);
}

gboolean
nn_config_get_int_pair (const NnLayer *layer, JsonObject *config, const char *key, gint64 min,
    gint64 max, gint64 value[2], GError **error)
{
  g_autofree char *expected = NULL;
  JsonNode *node = nn_json_get (config, key);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  gint64 numbers[2];

  if (node == NULL)
    return TRUE;
  if (array ? json_array_get_length (array) == 2
              && nn_json_node_get_int (json_array_get_element (array, 0), &numbers[0])
              && nn_json_node_get_int (json_array_get_element (array, 1), &numbers[1])
            : nn_json_node_get_int (node, &numbers[0])) {
    if (!array)
      numbers[1] = numbers[0];
    if (MIN (numbers[0], numbers[1]) >= min && MAX (numbers[0], numbers[1]) <= max) {
      value[0] = numbers[0];
      value[1] = numbers[1];
      return TRUE;
    }
  }
  expected = g_strdup_printf (
      "one or two whole numbers from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, min, max);
  return config_error (layer, config, key, error, expected);
}

gboolean
nn_config_get_pair_from_zero (const NnLayer *layer, JsonObject *config, const char *key, gsize max,
    gsize value[2], GError **error)
{
  gint64 numbers[2] = { (gint64) value[0], (gint64) value[1] };

  if (!nn_config_get_int_pair (layer, config, key, 0, (gint64) max, numbers, error))
    return FALSE;
  value[0] = (gsize) numbers[0];
  value[1] = (gsize) numbers[1];
  return TRUE;
}

gboolean
nn_config_get_single (const NnLayer *layer, JsonObject *config, const char *key, gsize max,
    gsize *value, GError **error)
{
  g_autofree char *expected = NULL;
  JsonNode *node = nn_json_get (config, key);

  if (node != NULL && JSON_NODE_HOLDS_ARRAY (node)
      && json_array_get_length (json_node_get_array (node)) == 1)
    node = json_array_get_element (json_node_get_array (node), 0);
  if ((node == NULL && *value != 0) || (node != NULL && node_get_size (node, max, value)))
    return TRUE;
  expected = g_strdup_printf ("a whole number from 1 to %" G_GSIZE_FORMAT, max);
  return config_error (layer, config, key, error, expected);
}

/* A layer as an activation: {"class_name": "LeakyReLU", "config": {...}} */
static gboolean
get_layer_as_activation (NnLayer *layer, JsonObject *object, NnActivation *value, GError **error)
{
  const char *class_name = nn_json_get_string (object, "class_name");
  JsonObject *config = nn_json_get_object (object, "config");
  const NnLayerClass *klass = class_name ? nn_layer_class_find (class_name) : NULL;

  if (klass == NULL || config == NULL)
    return FALSE;
  if (strcmp (class_name, "Softmax") == 0) {
    *value = NN_ACTIVATION_SOFTMAX;
    return TRUE;
  }
  if (klass->function.kind == 0 && klass->function.a == 0)
    return FALSE;
  layer->function = klass->function;
  *value = NN_ACTIVATION_OTHER;
  return klass->parse == NULL || klass->parse (layer, config, error);
}

gboolean
nn_config_get_activation (NnLayer *layer, JsonObject *config, const char *key,
    NnActivation *value, GError **error)
{
  JsonNode *node = nn_json_get (config, key);
  g_autofree char *found = NULL;
  const char *name;
  GError *failure = NULL;

  if (node == NULL)
    return TRUE;
  /* Keras 3 may write a function as {"class_name": "function", "config": "relu"} */
  name = JSON_NODE_HOLDS_OBJECT (node) ? nn_json_get_string (json_node_get_object (node), "config")
                                       : node_get_string (node);
  if (name != NULL && strchr (name, '>') != NULL)
    name = strchr (name, '>') + 1;
  for (guint i = 0; name != NULL && i < NN_ACTIVATION_OTHER; i++) {
    if (strcmp (name, activation_names[i]) == 0) {
      *value = i;
      return TRUE;
    }
  }
  if (name != NULL && nn_function_from_keras (name, layer->keras, &layer->function)) {
    *value = NN_ACTIVATION_OTHER;
    return TRUE;
  }
  if (JSON_NODE_HOLDS_OBJECT (node)
      && get_layer_as_activation (layer, json_node_get_object (node), value, &failure))
    return TRUE;
  if (failure) {
    g_propagate_error (error, failure);
    return FALSE;
  }
  found = nn_json_describe (node);
  return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
      "the activation %s is not supported", found);
}

gboolean
nn_config_get_padding (const NnLayer *layer, JsonObject *config, NnPadding *value, GError **error)
{
  JsonNode *node = nn_json_get (config, "padding");
  const char *name = node_get_string (node);

  if (node == NULL)
    return TRUE;
  if (name != NULL && strcmp (name, "valid") == 0)
    *value = NN_PADDING_VALID;
  else if (name != NULL && strcmp (name, "same") == 0)
    *value = NN_PADDING_SAME;
  else
    return config_error (layer, config, "padding", error, "\"valid\" or \"same\"");
  return TRUE;
}

gboolean
nn_config_check_data_format (NnLayer *layer, JsonObject *config, GError **error)
{
  JsonNode *node = nn_json_get (config, "data_format");
  const char *name = node_get_string (node);

  layer->channels_first = name != NULL && strcmp (name, "channels_first") == 0;
  if (node == NULL || layer->channels_first || (name && strcmp (name, "channels_last") == 0))
    return TRUE;
  return config_error (layer, config, "data_format", error,
      "\"channels_last\" or \"channels_first\"");
}

/* --- parameters --------------------------------------------------------- */

static gboolean
is_called (const char *name, const char *class_name, const char *string)
{
  return strcmp (name, class_name) == 0 || strcmp (name, string) == 0;
}

static gboolean
get_scaling (const NnLayer *layer, JsonObject *config, NnParam *param, GError **error)
{
  const char *mode = nn_json_get_string (config, "mode");
  const char *distribution = nn_json_get_string (config, "distribution");
  double scale = 1;

  if (!nn_config_get_double (layer, config, "scale", 0, 1e6, &scale, error))
    return FALSE;
  param->init_scale = (float) scale;
  param->init_fan = g_strcmp0 (mode, "fan_avg") == 0 ? NN_FAN_AVG
      : g_strcmp0 (mode, "fan_out") == 0             ? NN_FAN_OUT
                                                     : NN_FAN_IN;
  if (g_strcmp0 (distribution, "uniform") == 0)
    param->init = NN_INIT_SCALING_UNIFORM;
  else if (g_strcmp0 (distribution, "untruncated_normal") == 0)
    param->init = NN_INIT_SCALING_UNTRUNCATED;
  else
    param->init = NN_INIT_SCALING_NORMAL;
  return TRUE;
}

static gboolean
get_initializer (const NnLayer *layer, JsonObject *config, const char *key, NnParam *param,
    GError **error)
{
  JsonNode *node = nn_json_get (config, key);
  g_autoptr (JsonObject) none = json_object_new ();
  JsonObject *settings = none;
  const char *name;
  double a, b;

  if (node == NULL)
    return TRUE;
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_node_get_object (node);

    name = nn_json_get_string (object, "class_name");
    if (nn_json_get_object (object, "config") != NULL)
      settings = nn_json_get_object (object, "config");
  } else {
    name = node_get_string (node);
  }
  if (name == NULL)
    return config_error (layer, config, key, error, "an initializer");

  for (guint i = 0; i < G_N_ELEMENTS (scalings); i++) {
    if (is_called (name, scalings[i].class_name, scalings[i].string)) {
      param->init = scalings[i].init;
      param->init_fan = scalings[i].fan;
      param->init_scale = scalings[i].scale;
      return TRUE;
    }
  }
  if (is_called (name, "Zeros", "zeros") || is_called (name, "Zero", "zero")) {
    param->init = NN_INIT_ZEROS;
  } else if (is_called (name, "Ones", "ones") || is_called (name, "One", "one")) {
    param->init = NN_INIT_ONES;
  } else if (is_called (name, "Constant", "constant")) {
    a = 0;
    if (!nn_config_get_double (layer, settings, "value", -1e30, 1e30, &a, error))
      return FALSE;
    param->init = NN_INIT_CONSTANT;
    param->init_scale = (float) a;
  } else if (is_called (name, "VarianceScaling", "variance_scaling")) {
    return get_scaling (layer, settings, param, error);
  } else if (is_called (name, "RandomUniform", "random_uniform")
      || is_called (name, "Uniform", "uniform")) {
    a = -0.05;
    b = 0.05;
    if (!nn_config_get_double (layer, settings, "minval", -1e30, 1e30, &a, error)
        || !nn_config_get_double (layer, settings, "maxval", -1e30, 1e30, &b, error))
      return FALSE;
    param->init = NN_INIT_UNIFORM;
    param->init_scale = (float) ((b - a) / 2);
    param->init_offset = (float) ((a + b) / 2);
  } else if (is_called (name, "RandomNormal", "random_normal")
      || is_called (name, "Normal", "normal")
      || is_called (name, "TruncatedNormal", "truncated_normal")) {
    gboolean truncated = g_ascii_strncasecmp (name, "trunc", 5) == 0;

    a = 0;
    b = 0.05;
    if (!nn_config_get_double (layer, settings, "mean", -1e30, 1e30, &a, error)
        || !nn_config_get_double (layer, settings, "stddev", 0, 1e30, &b, error))
      return FALSE;
    param->init = truncated ? NN_INIT_TRUNCATED_NORMAL : NN_INIT_NORMAL;
    param->init_scale = (float) b;
    param->init_offset = (float) a;
  } else {
    /* A loaded network needs no initializer: refused only where one is drawn from. */
    nn_debug ("layer '%s': initializer %s is not known", layer->name, name);
    param->init = NN_INIT_UNKNOWN;
  }
  return TRUE;
}

/* {"class_name": "L1L2", "config": {"l1": .., "l2": ..}}; L1 and L2 have one of the two. */
static gboolean
get_regularizer (const NnLayer *layer, JsonObject *config, const char *key, NnParam *param,
    GError **error)
{
  JsonNode *node = nn_json_get (config, key);
  JsonObject *object, *settings;
  const char *name;
  double l1 = 0, l2 = 0;

  if (node == NULL)
    return TRUE;
  object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  name = object ? nn_json_get_string (object, "class_name") : NULL;
  settings = object ? nn_json_get_object (object, "config") : NULL;
  if (name == NULL || settings == NULL)
    return config_error (layer, config, key, error, "a regularizer");
  if (strcmp (name, "L1L2") != 0 && strcmp (name, "L1") != 0 && strcmp (name, "L2") != 0) {
    nn_warning ("layer '%s': %s %s is not known: training will do without it", layer->name, key,
        name);
    return TRUE;
  }
  if (!nn_config_get_double (layer, settings, "l1", 0, 1e30, &l1, error)
      || !nn_config_get_double (layer, settings, "l2", 0, 1e30, &l2, error))
    return FALSE;
  param->l1 = (float) l1;
  param->l2 = (float) l2;
  return TRUE;
}

gboolean
nn_layer_add_param (NnLayer *layer, JsonObject *config, const char *name, const char *prefix,
    gboolean trainable, NnInit init, GError **error)
{
  NnParam *param = &layer->params[layer->n_params];
  g_autofree char *initializer = g_strconcat (prefix, "_initializer", NULL);
  g_autofree char *regularizer = g_strconcat (prefix, "_regularizer", NULL);
  g_autofree char *constraint = g_strconcat (prefix, "_constraint", NULL);

  g_return_val_if_fail (layer->n_params < NN_MAX_PARAMS, FALSE);
  param->name = name;
  param->trainable = trainable && layer->trainable;
  param->init = init;
  param->init_fan = NN_FAN_AVG;
  param->init_scale = 1;
  if (!get_initializer (layer, config, initializer, param, error)
      || !get_regularizer (layer, config, regularizer, param, error))
    return FALSE;
  if (nn_json_get (config, constraint) != NULL)
    nn_warning ("layer '%s': %s is not supported: training will do without it", layer->name,
        constraint);
  layer->n_params++;
  return TRUE;
}

/* --- shapes ------------------------------------------------------------- */

gboolean
nn_layer_set_shape (const NnLayer *layer, const char *what, NnShape *shape, guint n_dims,
    const gsize *dims, GError **error)
{
  NnShape wanted = { .n_dims = n_dims };
  guint64 count = 1;

  for (guint i = 0; i < n_dims; i++) {
    wanted.dims[i] = dims[i];
    if (dims[i] == 0 || dims[i] > NN_MAX_VALUES / count) {
      g_autofree char *text = NULL;

      for (i++; i < n_dims; i++)
        wanted.dims[i] = dims[i];
      text = nn_shape_to_string (&wanted);
      return nn_layer_error (layer, error, NN_ERROR_SHAPE,
          "%s would have the shape %s, more than the %" G_GUINT64_FORMAT " values that can be",
          what, text, (guint64) NN_MAX_VALUES);
    }
    count *= dims[i];
  }
  *shape = wanted;
  return TRUE;
}

gboolean
nn_param_set_shape (NnLayer *layer, guint index, guint n_dims, const gsize *dims, GError **error)
{
  NnParam *param = &layer->params[index];

  if (!nn_layer_set_shape (layer, param->name, &param->shape, n_dims, dims, error))
    return FALSE;
  param->n_values = nn_shape_count (&param->shape);
  return TRUE;
}

gboolean
nn_window (gsize n, gsize size, gsize stride, gsize dilation, NnPadding padding, gsize *out,
    gsize *pad_begin, gsize *pad_end)
{
  gsize span = (size - 1) * dilation + 1, needed;

  if (padding == NN_PADDING_VALID) {
    *pad_begin = *pad_end = 0;
    *out = n >= span ? (n - span) / stride + 1 : 0;
    return n >= span;
  }
  *out = (n - 1) / stride + 1;
  needed = (*out - 1) * stride + span;
  *pad_begin = needed > n ? (needed - n) / 2 : 0;
  *pad_end = needed > n ? needed - n - *pad_begin : 0;
  return TRUE;
}

const char *
nn_activation_to_string (NnActivation activation)
{
  return activation_names[activation];
}
