/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/error.h"
#include "nn/layer.h"
#include "nn/model-private.h"

gboolean
nn_model_init_params (NnModel *model, guint64 seed, GError **error)
{
  if (!nn_model_alloc_params (model, error)
      || !nn_model_fill_initial (model, seed, model->values, error))
    return FALSE;
  model->has_weights = TRUE;
  return TRUE;
}

gboolean
nn_model_set_n_classes (NnModel *model, guint n_classes, GError **error)
{
  const char *origin = model->origin ? model->origin : "model";
  guint index = model->output;
  NnLayer *last = &model->layers[index], *dense = last;
  g_autofree char *json = NULL;
  gsize old;

  if (dense->kind == NN_LAYER_ACTIVATION) {
    index = dense->inputs[0];
    dense = &model->layers[index];
  }
  if (dense->kind != NN_LAYER_DENSE
      || nn_model_get_n_outputs (model) != dense->config.dense.units) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: to set the number of classes the network must end in a Dense layer (an Activation"
        " may follow), it ends in '%s' (%s)",
        origin, dense->name, dense->klass->name);
    return FALSE;
  }
  if (n_classes == nn_model_get_n_classes (model))
    return TRUE;
  if (nn_model_get_n_classes (model) != nn_model_get_n_outputs (model)) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: the network ends in one sigmoid unit, which tells 2 classes, not %u: let it end in"
        " softmax",
        origin, n_classes);
    return FALSE;
  }
  if (n_classes < 2 || n_classes > NN_MAX_SIZE) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE, "%s: a network cannot tell %u classes", origin,
        n_classes);
    return FALSE;
  }
  if (model->values != NULL) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: the network has weights for %u classes, not %u", origin,
        nn_model_get_n_classes (model), n_classes);
    return FALSE;
  }

  json = nn_model_json_set_units (model->json, dense->name, n_classes, error);
  if (json == NULL)
    return FALSE;
  old = dense->config.dense.units;
  dense->config.dense.units = n_classes;
  if (!nn_model_infer_shapes (model, index, error)) {
    dense->config.dense.units = old;
    nn_model_infer_shapes (model, index, NULL);
    return FALSE;
  }
  g_free (model->json);
  model->json = g_steal_pointer (&json);
  g_clear_pointer (&model->labels, g_strfreev);
  g_clear_pointer (&model->numbers, g_strfreev);
  return TRUE;
}

NnModel *
nn_model_new_resized (NnModel *model, gsize height, gsize width, GError **error)
{
  g_autofree char *size = NULL;
  NnModel *view;

  g_return_val_if_fail (model->values != NULL && model->json != NULL, NULL);
  if (model->channels_first || model->layers[0].out_shape.n_dims != 3) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: its input is not (height, width, channels): the network cannot take another size",
        model->origin ? model->origin : "model");
    return NULL;
  }
  view = nn_model_new_from_keras (model->json, -1, model->keras, model->origin, error);
  if (!view)
    return NULL;
  size = g_strdup_printf ("at %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT " pixels", height, width);
  view->owner = nn_model_ref (model);
  view->has_weights = model->has_weights;
  view->layers[0].in_shape.dims[0] = view->input_shape.dims[0] = height;
  view->layers[0].in_shape.dims[1] = view->input_shape.dims[1] = width;
  if (!nn_model_infer_shapes (view, 0, error)) {
    g_prefix_error (error, "%s: ", size);
    nn_model_unref (view);
    return NULL;
  }
  for (guint i = 0; i < view->n_layers; i++) {
    view->layers[i].trainable = model->layers[i].trainable;
    for (guint k = 0; k < view->layers[i].n_params; k++) {
      NnParam *param = &view->layers[i].params[k], *owned = &model->layers[i].params[k];

      if (!nn_shape_equal (&param->shape, &owned->shape)) {
        g_autofree char *found = nn_shape_to_string (&param->shape);
        g_autofree char *expected = nn_shape_to_string (&owned->shape);

        g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
            "%s: %s of layer '%s' would be %s, it is %s: the network cannot take another size",
            size, param->name, view->layers[i].name, found, expected);
        nn_model_unref (view);
        return NULL;
      }
      param->data = owned->data;
      param->trainable = owned->trainable;
    }
  }
  return view;
}
