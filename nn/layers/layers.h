/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/keras-config.h"
#include "nn/layer.h"
#include "nn/model-private.h"

extern const NnLayerClass nn_input_class;
extern const NnLayerClass nn_conv2d_class;
extern const NnLayerClass nn_dense_class;
extern const NnLayerClass nn_batch_normalization_class;
extern const NnLayerClass nn_max_pooling2d_class;
extern const NnLayerClass nn_global_average_pooling2d_class;
extern const NnLayerClass nn_flatten_class;
extern const NnLayerClass nn_dropout_class;
extern const NnLayerClass nn_activation_class;
