/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* The mean over rows and columns: (H, W, C) to (C), or to (1, 1, C). */

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  return nn_config_check_data_format (layer, config, error)
      && nn_config_get_boolean (layer, config, "keepdims", &layer->config.global_pool.keepdims,
          error);
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  const gsize out[3] = { 1, 1, layer->in_shape.dims[2] };

  if (layer->in_shape.n_dims != 3)
    return nn_layer_error (layer, error, NN_ERROR_SHAPE,
        "its input should be (height, width, channels), found %u axes", layer->in_shape.n_dims);
  return layer->config.global_pool.keepdims
      ? nn_layer_set_shape (layer, "the output", &layer->out_shape, 3, out, error)
      : nn_layer_set_shape (layer, "the output", &layer->out_shape, 1, out + 2, error);
}

static guint
emit (NnEmit *e, const guint *in)
{
  const guint x = nn_emit_channels_last (e, in[0]);

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  return nn_emit_channels_back (
      e, nn_emit_reduce (e, x, NN_REDUCE_MEAN, 3, e->layer->config.global_pool.keepdims));
}

static const char *const aliases[] = { "GlobalAvgPool2D", NULL };

const NnLayerClass nn_global_average_pooling2d_class = {
  .kind = NN_LAYER_GLOBAL_AVERAGE_POOLING2D,
  .name = "GlobalAveragePooling2D",
  .aliases = aliases,
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
