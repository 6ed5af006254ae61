/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/keras-config.h"
#include "nn/layer.h"
#include "nn/model-private.h"

extern const NnLayerClass nn_input_class, nn_conv2d_class, nn_dense_class,
    nn_batch_normalization_class, nn_max_pooling2d_class, nn_global_average_pooling2d_class,
    nn_flatten_class, nn_dropout_class, nn_activation_class;

/* convolutions.c */
extern const NnLayerClass nn_depthwise_conv2d_class, nn_separable_conv2d_class,
    nn_conv2d_transpose_class, nn_conv1d_class;
/* poolings.c */
extern const NnLayerClass nn_average_pooling2d_class, nn_max_pooling1d_class,
    nn_average_pooling1d_class, nn_global_max_pooling2d_class, nn_global_max_pooling1d_class,
    nn_global_average_pooling1d_class;
/* spatial.c */
extern const NnLayerClass nn_zero_padding2d_class, nn_cropping2d_class, nn_up_sampling2d_class,
    nn_resizing_class, nn_center_crop_class;
/* merge.c */
extern const NnLayerClass nn_add_class, nn_subtract_class, nn_multiply_class, nn_average_class,
    nn_maximum_class, nn_minimum_class, nn_concatenate_class, nn_dot_class, nn_custom_scale_class;
/* arrange.c */
extern const NnLayerClass nn_reshape_class, nn_permute_class, nn_repeat_vector_class;
/* functions.c */
extern const NnLayerClass nn_relu_class, nn_leaky_relu_class, nn_thresholded_relu_class,
    nn_elu_class, nn_prelu_class, nn_softmax_class, nn_identity_class;
/* scaling.c */
extern const NnLayerClass nn_rescaling_class, nn_normalization_class, nn_layer_normalization_class,
    nn_rms_normalization_class, nn_group_normalization_class, nn_unit_normalization_class,
    nn_layer_scale_class;

extern const NnLayerClass nn_multi_head_attention_class;

/* operation.c */
extern const NnLayerClass nn_operation_class;
