/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Shapes of layers: by the class's own infer(), or by the operations that it emits. */

#include "nn/layer.h"
#include "nn/model-private.h"

gboolean
nn_layer_infer (NnLayer *layer, NnLayer *owner, const NnShape *shapes, GError **error)
{
  if (shapes)
    layer->in_shape = shapes[0];
  if (layer->klass->infer && !layer->channels_first && owner == layer)
    return layer->klass->infer (layer, error);
  return nn_emit_infer (layer, owner, shapes, error);
}

gboolean
nn_model_infer_shapes (NnModel *model, guint first, GError **error)
{
  for (guint i = first; i < model->n_layers; i++) {
    NnLayer *layer = &model->layers[i];
    g_autofree NnShape *shapes = g_new (NnShape, MAX (layer->n_inputs, 1));

    for (guint k = 0; k < layer->n_inputs; k++)
      shapes[k] = model->layers[layer->inputs[k]].out_shape;
    if (!nn_layer_infer (layer, &model->layers[nn_layer_get_owner (model, i)],
            layer->n_inputs > 0 ? shapes : NULL, error))
      return FALSE;
  }
  return TRUE;
}
