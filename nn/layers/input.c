/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* The shape is read by keras-json.c: Keras also gives it where no InputLayer
 * is listed. */

static gboolean
infer (NnLayer *layer, GError **error)
{
  layer->out_shape = layer->in_shape;
  return TRUE;
}

const NnLayerClass nn_input_class = {
  .kind = NN_LAYER_INPUT,
  .name = "InputLayer",
  .infer = infer,
};
