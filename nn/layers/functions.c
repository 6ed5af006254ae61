/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

#include <math.h>

/* Layers that are a function of each value. */

static guint
emit_function (NnEmit *e, const guint *in)
{
  return nn_emit_function (e, in[0], &e->layer->function);
}

/* the first of @keys that is there */
static gboolean
get_number (NnLayer *layer, JsonObject *config, const char *const *keys, double *value,
    GError **error)
{
  for (; *keys; keys++)
    if (nn_json_get (config, *keys) != NULL)
      return nn_config_get_double (layer, config, *keys, -1e30, 1e30, value, error);
  return TRUE;
}

static gboolean
parse_relu (NnLayer *layer, JsonObject *config, GError **error)
{
  NnFunction *f = &layer->function;
  static const char *const max[] = { "max_value", NULL };
  static const char *const slope[] = { "negative_slope", NULL };
  static const char *const threshold[] = { "threshold", NULL };

  return get_number (layer, config, max, &f->a, error)
      && get_number (layer, config, slope, &f->b, error)
      && get_number (layer, config, threshold, &f->c, error);
}

const NnLayerClass nn_relu_class = { .kind = NN_LAYER_OTHER, .name = "ReLU",
  .function = { NN_FUNCTION_RELU, INFINITY, 0, 0 }, .parse = parse_relu, .emit = emit_function };

static gboolean
parse_leaky_relu (NnLayer *layer, JsonObject *config, GError **error)
{
  static const char *const slope[] = { "negative_slope", "alpha", NULL };

  return get_number (layer, config, slope, &layer->function.b, error);
}

const NnLayerClass nn_leaky_relu_class = { .kind = NN_LAYER_OTHER, .name = "LeakyReLU",
  .function = { NN_FUNCTION_RELU, INFINITY, 0.3, 0 }, .parse = parse_leaky_relu,
  .emit = emit_function };

static gboolean
parse_threshold (NnLayer *layer, JsonObject *config, GError **error)
{
  static const char *const theta[] = { "theta", NULL };

  return get_number (layer, config, theta, &layer->function.a, error);
}

/* x > theta: x, else 0 */
const NnLayerClass nn_thresholded_relu_class = { .kind = NN_LAYER_OTHER, .name = "ThresholdedReLU",
  .function = { NN_FUNCTION_THRESHOLD, 1, 0, 0 }, .parse = parse_threshold,
  .emit = emit_function };

static gboolean
parse_elu (NnLayer *layer, JsonObject *config, GError **error)
{
  static const char *const alpha[] = { "alpha", NULL };

  return get_number (layer, config, alpha, &layer->function.a, error);
}

const NnLayerClass nn_elu_class = { .kind = NN_LAYER_OTHER, .name = "ELU",
  .function = { NN_FUNCTION_ELU, 1, 1, 0 }, .parse = parse_elu, .emit = emit_function };

/* --- PReLU: a slope for each value, shared along some axes ----------------------------- */

static gboolean
parse_prelu (NnLayer *layer, JsonObject *config, GError **error)
{
  guint *shared = layer->data;
  JsonNode *node = nn_json_get (config, "shared_axes");
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    gint64 axis;

    if (!nn_json_node_get_int (json_array_get_element (array, i), &axis) || axis < 1
        || axis > NN_MAX_DIMS)
      return nn_layer_error (layer, error, NN_ERROR_FORMAT,
          "'shared_axes' should be axes from 1 to %d", NN_MAX_DIMS);
    *shared |= 1u << (axis - 1);
  }
  return nn_layer_add_param (layer, config, "alpha", "alpha", TRUE, NN_INIT_ZEROS, error);
}

static guint
emit_prelu (NnEmit *e, const guint *in)
{
  const guint shared = *(const guint *) e->layer->data;
  NnShape shape = nn_emit_shape (e, in[0]);

  for (guint i = 0; i < shape.n_dims; i++)
    if (shared >> i & 1)
      shape.dims[i] = 1;
  return nn_emit_binary (e, NN_BINARY_PRELU, in[0],
      nn_emit_param (e, 0, shape.n_dims, shape.dims, NULL));
}

const NnLayerClass nn_prelu_class = { .kind = NN_LAYER_OTHER, .name = "PReLU",
  .data_size = sizeof (guint), .parse = parse_prelu, .emit = emit_prelu };

/* --- Softmax --------------------------------------------------------------------------- */

static gboolean
parse_softmax (NnLayer *layer, JsonObject *config, GError **error)
{
  gint64 *axis = layer->data;

  *axis = -1;
  return nn_config_get_int (layer, config, "axis", -NN_MAX_DIMS, NN_MAX_DIMS, axis, error);
}

static guint
emit_softmax (NnEmit *e, const guint *in)
{
  const gint64 axis = *(const gint64 *) e->layer->data, n = nn_emit_shape (e, in[0]).n_dims;

  if (axis == 0 || axis < -n || axis > n)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input has no axis %" G_GINT64_FORMAT, axis);
  return nn_emit_softmax (e, in[0], (guint) (axis < 0 ? axis + n : axis - 1), FALSE);
}

const NnLayerClass nn_softmax_class = { .kind = NN_LAYER_OTHER, .name = "Softmax",
  .data_size = sizeof (gint64), .parse = parse_softmax, .emit = emit_softmax };

/* --- nothing at inference --------------------------------------------------------------- */

static guint
emit_nothing (NnEmit *e, const guint *in)
{
  return in[0];
}

static const char *const identity_names[] = { "GaussianNoise", "GaussianDropout",
  "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "ActivityRegularization",
  "StochasticDepth", "DropPath", "FixedDropout", "RandomFlip", "RandomRotation", "RandomZoom",
  "RandomTranslation", "RandomContrast", "RandomBrightness", "RandomHue", "RandomSaturation",
  "RandomSharpness", "RandomColorJitter", "RandomColorDegeneration", "RandomGrayscale",
  "RandomGaussianBlur", "RandomErasing", "RandomHeight", "RandomWidth", "RandomInvert",
  "RandomPosterization", "RandomShear", "RandomPerspective", "RandomElasticTransform", "MixUp",
  "CutMix", "RandAugment", "AugMix", NULL };

/* What Keras does to pictures while it trains, and other layers that change nothing after. */
const NnLayerClass nn_identity_class = { .kind = NN_LAYER_OTHER, .name = "Identity",
  .aliases = identity_names, .emit = emit_nothing };
