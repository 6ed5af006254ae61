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
  &nn_depthwise_conv2d_class,
  &nn_separable_conv2d_class,
  &nn_conv2d_transpose_class,
  &nn_conv1d_class,
  &nn_average_pooling2d_class,
  &nn_max_pooling1d_class,
  &nn_average_pooling1d_class,
  &nn_global_max_pooling2d_class,
  &nn_global_max_pooling1d_class,
  &nn_global_average_pooling1d_class,
  &nn_zero_padding2d_class,
  &nn_cropping2d_class,
  &nn_up_sampling2d_class,
  &nn_resizing_class,
  &nn_center_crop_class,
  &nn_add_class,
  &nn_subtract_class,
  &nn_multiply_class,
  &nn_average_class,
  &nn_maximum_class,
  &nn_minimum_class,
  &nn_concatenate_class,
  &nn_dot_class,
  &nn_custom_scale_class,
  &nn_reshape_class,
  &nn_permute_class,
  &nn_repeat_vector_class,
  &nn_relu_class,
  &nn_leaky_relu_class,
  &nn_thresholded_relu_class,
  &nn_elu_class,
  &nn_prelu_class,
  &nn_softmax_class,
  &nn_identity_class,
  &nn_rescaling_class,
  &nn_normalization_class,
  &nn_layer_normalization_class,
  &nn_rms_normalization_class,
  &nn_group_normalization_class,
  &nn_unit_normalization_class,
  &nn_layer_scale_class,
  &nn_multi_head_attention_class,
  &nn_operation_class,
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

const NnLayerClass *
nn_layer_class_find_operation (const char *name)
{
  return nn_operation_class.has_operation (name) ? &nn_operation_class : NULL;
}
