/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"
#include "nn/optimizer.h"

G_BEGIN_DECLS

/* Keras's legacy HDF5 files: model.save ("x.h5") and model.save_weights ("x.h5").
 * Every function is safe on hostile files: reading goes without libhdf5
 * (nn/hdf5-read.h), sizes are checked against the model before a byte is
 * copied. Writing takes a process-wide lock, as libhdf5 is not thread-safe in
 * Debian.
 *
 * Root attributes of ours, which Keras ignores, beside Keras's own:
 *   classify_labels      1-D strings, class order of the outputs
 *   classify_preprocess  JSON: {"width","height","channels":"rgb"|"bgr"|"gray",
 *                        "resize":"nearest"|"bilinear"|"area",
 *                        "mean":[..],"scale":[..]}: value = (pixel - mean) * scale;
 *                        and, where it is not stretched: "aspect":"letterbox"|
 *                        "center-crop","pad":0..255
 *   classify_...         NnModel.extra, strings */

/* Loads a whole-model file: architecture, weights, labels, pre-processing.
 * A weights-only file gives NN_ERROR_FORMAT that says to name the network
 * JSON as `model` and this file as `weights`; `.keras` and `.weights.h5`
 * give NN_ERROR_UNSUPPORTED that says what to save instead. */
NnModel *nn_model_load (const char *path, GError **error);

/* As a user means it: @path is a Keras JSON file, or a whole-model HDF5 file
 * (told apart by content); @weights_path may be NULL, and replaces the
 * weights of @path where both hold some. A network without weights comes back
 * with has_weights FALSE. */
NnModel *nn_model_open (const char *path, const char *weights_path, GError **error);

/* The same with the class names of the file @labels_path (nn/labels.h); those that the model's
 * file has are not read, so that broken ones do no harm. */
NnModel *nn_model_open_labelled (const char *path, const char *weights_path,
    const char *labels_path, GError **error);

typedef enum
{
  NN_WEIGHTS_BY_ORDER, /* Keras's load_weights(): k-th with k-th, names ignored */
  NN_WEIGHTS_BY_NAME,  /* by_name=True: layers of equal name; others keep what they have */
} NnWeightsMatch;

/* Loads the weights of a weights file or a whole-model file into @model
 * (allocating its parameters); pre-processing and, by order, labels, where the
 * file has them, too. On error the model's weights are unchanged.
 * @n_matched: (out)(optional): layers that got weights. */
gboolean nn_model_load_weights (NnModel *model, const char *path, NnWeightsMatch match,
    guint *n_matched, GError **error);

/* Writes a whole model that Keras opens, with labels and pre-processing;
 * @optimizer (nullable) adds training_config and optimizer_weights, and @loss
 * ("binary_crossentropy", nullable) its loss. Atomic: written beside @path,
 * synced and renamed, so that @path always is the old or the new file. */
gboolean nn_model_save (const NnModel *model, const char *path, const NnOptimizer *optimizer,
    const char *loss, GError **error);

/* Writes a weights file (save_weights), with the same extra attributes. */
gboolean nn_model_save_weights (const NnModel *model, const char *path, GError **error);

/* Restores what nn_model_save() stored of the optimizer: iterations, m, v.
 * @optimizer must have been made for the same model (nn_optimizer_new). */
gboolean nn_optimizer_load (NnOptimizer *optimizer, const NnModel *model, const char *path,
    GError **error);

G_END_DECLS
