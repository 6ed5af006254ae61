/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* (h, w, c) in C order: index = (h * W + w) * C + c. */

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  return nn_config_check_data_format (layer, config, error);
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  gsize count = nn_shape_count (&layer->in_shape);

  return nn_layer_set_shape (layer, "the output", &layer->out_shape, 1, &count, error);
}

static guint
emit (NnEmit *e, const guint *in)
{
  const guint x = nn_emit_channels_last (e, in[0]); /* as Keras: the values in (H, W, C) order */
  const gsize count = nn_emit_count (e, x);

  return nn_emit_reshape (e, x, 1, &count);
}

const NnLayerClass nn_flatten_class = {
  .kind = NN_LAYER_FLATTEN,
  .name = "Flatten",
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
