/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "nn/layers/layers.h"

static const NnLayerClass *const classes[] = {
  &nn_input_class,
  &nn_conv2d_class,
  &nn_dense_class,
  &nn_batch_normalization_class,
  &nn_max_pooling2d_class,
  &nn_global_average_pooling2d_class,
  &nn_flatten_class,
  &nn_dropout_class,
  &nn_activation_class,
};

const NnLayerClass *
nn_layer_class_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++) {
    if (strcmp (classes[i]->name, name) == 0)
      return classes[i];
    if (classes[i]->aliases != NULL && g_strv_contains (classes[i]->aliases, name))
      return classes[i];
  }
  return NULL;
}
