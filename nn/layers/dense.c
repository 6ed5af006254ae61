/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* y = x W + b over the last axis, kernel (in, units). */

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  NnDenseConfig *dense = &layer->config.dense;

  dense->use_bias = TRUE;
  return nn_config_get_size (layer, config, "units", NN_MAX_SIZE, &dense->units, error)
      && nn_config_get_activation (layer, config, "activation", &dense->activation, error)
      && nn_config_get_boolean (layer, config, "use_bias", &dense->use_bias, error)
      && nn_layer_add_param (layer, config, "kernel", "kernel", TRUE, NN_INIT_SCALING_UNIFORM,
          error)
      && (!dense->use_bias
          || nn_layer_add_param (layer, config, "bias", "bias", TRUE, NN_INIT_ZEROS, error));
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  NnDenseConfig *dense = &layer->config.dense;
  NnShape out = layer->in_shape;
  gsize kernel[2];

  if (out.n_dims == 0)
    return nn_layer_error (layer, error, NN_ERROR_SHAPE, "its input has no axis");
  kernel[0] = out.dims[out.n_dims - 1];
  kernel[1] = dense->units;
  out.dims[out.n_dims - 1] = dense->units;
  return nn_layer_set_shape (layer, "the output", &layer->out_shape, out.n_dims, out.dims, error)
      && nn_param_set_shape (layer, 0, 2, kernel, error)
      && (!dense->use_bias || nn_param_set_shape (layer, 1, 1, &kernel[1], error));
}

const NnLayerClass nn_dense_class = {
  .kind = NN_LAYER_DENSE,
  .name = "Dense",
  .parse = parse,
  .infer = infer,
};
