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

static guint
emit (NnEmit *e, const guint *in)
{
  const NnDenseConfig *dense = &e->layer->config.dense;
  const NnShape x = nn_emit_shape (e, in[0]);
  guint operands[3] = { in[0], NN_NO_VALUE, NN_NO_VALUE };
  gsize kernel[2] = { 0, dense->units };

  if (x.n_dims == 0)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input has no axis");
  kernel[0] = x.dims[x.n_dims - 1];
  operands[1] = nn_emit_param (e, 0, 2, kernel, NULL);
  if (dense->use_bias)
    operands[2] = nn_emit_param (e, 1, 1, &kernel[1], NULL);
  return nn_emit_activation (e, nn_emit (e, NN_OP_DENSE, NULL, 3, operands), dense->activation);
}

const NnLayerClass nn_dense_class = {
  .kind = NN_LAYER_DENSE,
  .name = "Dense",
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
