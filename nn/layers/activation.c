/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  if (nn_json_get (config, "activation") == NULL)
    return nn_layer_error (layer, error, NN_ERROR_FORMAT, "it has no 'activation'");
  return nn_config_get_activation (layer, config, "activation",
      &layer->config.activation.activation, error);
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  layer->out_shape = layer->in_shape;
  return TRUE;
}

static guint
emit (NnEmit *e, const guint *in)
{
  return nn_emit_activation (e, in[0], e->layer->config.activation.activation);
}

const NnLayerClass nn_activation_class = {
  .kind = NN_LAYER_ACTIVATION,
  .name = "Activation",
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
