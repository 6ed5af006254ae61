/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* Any one axis; the sample is seen as (outer, n, inner). */

/* Keras counts the batch as axis 0 and allows negative axes; tf.keras writes a
 * built layer's axis as a list of one. */
static gboolean
parse_axis (NnLayer *layer, JsonObject *config, GError **error)
{
  JsonNode *node = nn_json_get (config, "axis");
  gint64 rank = layer->in_shape.n_dims, axis = -1;
  g_autofree char *found = NULL;

  if (node != NULL && JSON_NODE_HOLDS_ARRAY (node)
      && json_array_get_length (json_node_get_array (node)) == 1)
    node = json_array_get_element (json_node_get_array (node), 0);
  if (node == NULL || nn_json_node_get_int (node, &axis)) {
    gint64 index = axis < 0 ? axis + rank : axis - 1;

    /* the first comparison also keeps a huge axis from wrapping */
    if (axis >= -rank && index >= 0 && index < rank) {
      layer->config.batch_norm.axis = (guint) index;
      return TRUE;
    }
  }
  found = nn_json_describe (node);
  return nn_layer_error (layer, error, NN_ERROR_SHAPE,
      "'axis' should be one axis from 1 to %d or -1 to -%d of its input, found %s", (int) rank,
      (int) rank, found);
}

static gboolean
check_flag (NnLayer *layer, JsonObject *config, const char *key, GError **error)
{
  JsonNode *node = nn_json_get (config, key);

  if (node == NULL
      || (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN
          && !json_node_get_boolean (node)))
    return TRUE;
  return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED, "'%s' is not supported", key);
}

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  NnBatchNormConfig *bn = &layer->config.batch_norm;
  double momentum = 0.99, epsilon = 1e-3;

  bn->center = bn->scale = TRUE;
  if (!parse_axis (layer, config, error) || !check_flag (layer, config, "renorm", error)
      || !check_flag (layer, config, "virtual_batch_size", error)
      || !nn_config_get_double (layer, config, "momentum", 0, 1, &momentum, error)
      || !nn_config_get_double (layer, config, "epsilon", 0, 1e30, &epsilon, error)
      || !nn_config_get_boolean (layer, config, "center", &bn->center, error)
      || !nn_config_get_boolean (layer, config, "scale", &bn->scale, error))
    return FALSE;
  bn->momentum = (float) momentum;
  bn->epsilon = (float) epsilon;
  return (!bn->scale
             || nn_layer_add_param (layer, config, "gamma", "gamma", TRUE, NN_INIT_ONES, error))
      && (!bn->center
          || nn_layer_add_param (layer, config, "beta", "beta", TRUE, NN_INIT_ZEROS, error))
      && nn_layer_add_param (layer, config, "moving_mean", "moving_mean", FALSE, NN_INIT_ZEROS,
          error)
      && nn_layer_add_param (layer, config, "moving_variance", "moving_variance", FALSE,
          NN_INIT_ONES, error);
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  NnBatchNormConfig *bn = &layer->config.batch_norm;
  const NnShape *shape = &layer->in_shape;

  bn->n = shape->dims[bn->axis];
  bn->outer = bn->inner = 1;
  for (guint i = 0; i < shape->n_dims; i++) {
    if (i < bn->axis)
      bn->outer *= shape->dims[i];
    else if (i > bn->axis)
      bn->inner *= shape->dims[i];
  }
  layer->out_shape = *shape;
  for (guint i = 0; i < layer->n_params; i++) {
    if (!nn_param_set_shape (layer, i, 1, &bn->n, error))
      return FALSE;
  }
  return TRUE;
}

static guint
emit (NnEmit *e, const guint *in)
{
  const NnBatchNormConfig *bn = &e->layer->config.batch_norm;
  const NnAttrs attrs = { .batch_norm = { bn->axis, bn->epsilon } };
  const gsize n = nn_emit_shape (e, in[0]).dims[bn->axis];
  const guint first = bn->scale + bn->center;
  guint operands[5] = { in[0], NN_NO_VALUE, NN_NO_VALUE, NN_NO_VALUE, NN_NO_VALUE };

  if (bn->scale)
    operands[3] = nn_emit_param (e, 0, 1, &n, NULL);
  if (bn->center)
    operands[4] = nn_emit_param (e, bn->scale, 1, &n, NULL);
  operands[1] = nn_emit_param (e, first, 1, &n, NULL);
  operands[2] = nn_emit_param (e, first + 1, 1, &n, NULL);
  return nn_emit (e, NN_OP_BATCH_NORM, &attrs, 5, operands);
}

static const char *const aliases[] = { "BatchNormalizationV1", "BatchNormalizationV2", NULL };

const NnLayerClass nn_batch_normalization_class = {
  .kind = NN_LAYER_BATCH_NORMALIZATION,
  .name = "BatchNormalization",
  .aliases = aliases,
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
