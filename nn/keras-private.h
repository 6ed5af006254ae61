/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/hdf5-write.h"
#include "nn/keras-file.h"

G_BEGIN_DECLS

/* Shared by the files that know Keras's HDF5 layout. */

/* Root attributes of ours. */
#define NN_KERAS_PREFIX "classify_"
#define NN_KERAS_LABELS "classify_labels"
#define NN_KERAS_PREPROCESS "classify_preprocess"
#define NN_KERAS_TEMPERATURE "classify_temperature" /* a number as text */

/* Is it the labels' attribute, or a part of it ("classify_labels0")? */
gboolean nn_keras_is_labels (const char *attribute);

/* Pre-processing as JSON text; it must make what @model takes. */
gboolean nn_keras_parse_preprocess (const char *text, const char *file, const NnModel *model,
    NnPreprocess *pre, GError **error);
char *nn_keras_format_preprocess (const NnPreprocess *pre);
guint nn_keras_count_channels (NnChannels channels);

/* NN_ERROR_FORMAT or _UNSUPPORTED with what @path is instead, and the remedy. */
gboolean nn_keras_check_is_hdf5 (const char *path, GError **error);

/* The root attribute training_config and the group optimizer_weights. */
gboolean nn_keras_write_optimizer (NnH5Writer *writer, const NnModel *model,
    const NnOptimizer *optimizer, const char *loss, GError **error);

G_END_DECLS
