/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"
#include "nn/log.h"

/* Training: kept with probability 1 - rate and scaled by 1 / (1 - rate);
 * inference: nothing. */

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  JsonNode *noise_shape = nn_json_get (config, "noise_shape");
  double rate = 0;

  /* "p": Keras 1 */
  if (!nn_config_get_double (layer, config, "p", 0, 0.999999, &rate, error)
      || !nn_config_get_double (layer, config, "rate", 0, 0.999999, &rate, error))
    return FALSE;
  if (noise_shape != NULL)
    nn_warning ("layer '%s': noise_shape is not supported: training drops single values",
        layer->name);
  layer->config.dropout.rate = (float) rate;
  return TRUE;
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
  return in[0];
}

const NnLayerClass nn_dropout_class = {
  .kind = NN_LAYER_DROPOUT,
  .name = "Dropout",
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
