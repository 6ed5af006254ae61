/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keras's legacy HDF5 layout.
 *
 *   /                    attributes model_config, training_config, keras_version, backend
 *   /model_weights       of a whole model; in a weights file its content is at the root:
 *     attributes layer_names, backend, keras_version
 *     conv2d_1           a group for every layer; attribute weight_names
 *       conv2d_1/kernel:0    float32, named by weight_names
 *   /optimizer_weights   attribute weight_names
 *
 * The order of layers is that of layer_names, the order of weights that of
 * weight_names; what the groups hold beside them is not looked at. */

#include "nn/keras-file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/hdf5-read.h"
#include "nn/keras-private.h"
#include "nn/labels.h"
#include "nn/layer.h"
#include "nn/log.h"
#include "nn/model-private.h"
#include "nn/text.h"

#define SAVE_AS_H5 \
  "save it as legacy HDF5 instead: model.save (\"x.h5\") in Keras 2, tf.keras or Keras 3"

/* --- what kind of file -------------------------------------------------- */

typedef enum
{
  KIND_UNKNOWN,
  KIND_JSON,
  KIND_HDF5,
  KIND_KERAS, /* a zip archive */
} Kind;

static gboolean
identify (const char *path, Kind *kind, GError **error)
{
  static const guint8 signature[] = { 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n' };
  guint8 head[2048 + sizeof signature];
  gsize size, i = 0;

  *kind = KIND_UNKNOWN;
  if (!nn_file_peek (path, head, sizeof head, &size, error))
    return FALSE;
  if (size == 0)
    return nn_keras_fail (error, NN_ERROR_FORMAT, path,
        "expected a Keras model (HDF5 or JSON), found an empty file");
  if (size >= 4 && memcmp (head, "PK\3\4", 4) == 0) {
    *kind = KIND_KERAS;
    return TRUE;
  }
  /* A user block may stand before the superblock. */
  for (gsize offset = 0; offset + sizeof signature <= size;
       offset = offset == 0 ? 512 : offset * 2) {
    if (memcmp (head + offset, signature, sizeof signature) == 0) {
      *kind = KIND_HDF5;
      return TRUE;
    }
  }
  while (i < size && (g_ascii_isspace (head[i]) || head[i] == 0))
    i++;
  if (i < size && (head[i] == '{' || head[i] == '['))
    *kind = KIND_JSON;
  else if (size >= 12 && memcmp (head, "version http", 12) == 0)
    return nn_keras_fail (error, NN_ERROR_FORMAT, path,
        "expected a Keras model, found a Git LFS pointer: fetch the file itself (git lfs pull)");
  else if (size >= 8 && memcmp (head + 4, "TFL3", 4) == 0)
    return nn_keras_fail (error, NN_ERROR_UNSUPPORTED, path,
        "this is a TensorFlow Lite model, which is not supported: " SAVE_AS_H5);
  return TRUE;
}

gboolean
nn_keras_check_is_hdf5 (const char *path, GError **error)
{
  Kind kind;

  if (!identify (path, &kind, error))
    return FALSE;
  switch (kind) {
    case KIND_HDF5:
      return TRUE;
    case KIND_KERAS:
      return nn_keras_fail (error, NN_ERROR_UNSUPPORTED, path,
          "expected a Keras HDF5 file, found a .keras archive");
    case KIND_JSON:
      return nn_keras_fail (error, NN_ERROR_FORMAT, path,
          "expected a Keras HDF5 file, found JSON: is it the network, given as weights?");
    default:
      return nn_keras_fail (error, NN_ERROR_FORMAT, path,
          "expected a Keras HDF5 file, found something else (no HDF5 signature)");
  }
}

/* --- labels and pre-processing ------------------------------------------ */

/* What our files have beside Keras's. Kept apart until all was read. */
typedef struct
{
  char **labels;
  NnPreprocess preprocess;
  gboolean has_preprocess;
  double temperature;
  GHashTable *extra;
} Additions;

static void
additions_clear (Additions *additions)
{
  g_strfreev (additions->labels);
  g_clear_pointer (&additions->extra, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Additions, additions_clear)

static gboolean
read_labels (NnH5 *h5, Additions *additions, GError **error)
{
  g_autoptr (GError) local = NULL;

  additions->labels = nn_h5_get_long_strings (h5, "/", NN_KERAS_LABELS, &local);
  if (additions->labels == NULL)
    g_set_error (error, local->domain, local->code,
        "%s: a labels-file can name the classes instead", local->message);
  return additions->labels != NULL;
}

/* @with_labels: FALSE where others are given. */
static gboolean
read_additions (NnH5 *h5, const char *file, const NnModel *model, gboolean with_labels,
    Additions *additions, GError **error)
{
  g_auto (GStrv) names = nn_h5_list_attributes (h5, NN_KERAS_PREFIX, error);

  if (names == NULL)
    return FALSE;
  additions->temperature = 1;
  additions->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; names[i] != NULL; i++) {
    g_autofree char *text = NULL;

    if (nn_keras_is_labels (names[i])) {
      if (with_labels && additions->labels == NULL && !read_labels (h5, additions, error))
        return FALSE;
      continue;
    }
    text = nn_keras_get_string (h5, "/", names[i], error);
    if (text == NULL)
      return FALSE;
    if (strcmp (names[i], NN_KERAS_PREPROCESS) == 0) {
      if (!nn_keras_parse_preprocess (text, file, model, &additions->preprocess, error))
        return FALSE;
      additions->has_preprocess = TRUE;
    } else if (strcmp (names[i], NN_KERAS_TEMPERATURE) == 0) {
      char *end;

      additions->temperature = g_ascii_strtod (text, &end);
      if (end == text || *end != '\0' || !(additions->temperature >= 1e-3)
          || !(additions->temperature <= 1e3))
        return nn_keras_fail (error, NN_ERROR_FORMAT, file,
            "attribute '" NN_KERAS_TEMPERATURE "' should be a number from 0.001 to 1000, found "
            "\"%.40s\"; classify calibrate writes it anew", text);
    } else {
      g_hash_table_insert (additions->extra, g_strdup (names[i]), g_steal_pointer (&text));
    }
  }
  if (additions->labels != NULL
      && g_strv_length (additions->labels) != nn_model_get_n_classes (model))
    return nn_keras_fail (error, NN_ERROR_SHAPE, file,
        "the network tells %u classes, found %u labels in '" NN_KERAS_LABELS "'",
        nn_model_get_n_classes (model), g_strv_length (additions->labels));
  return TRUE;
}

static void
take_additions (NnModel *model, Additions *additions)
{
  GHashTableIter iter;
  gpointer key, value;

  if (additions->labels != NULL) {
    g_strfreev (model->labels);
    model->labels = nn_labels_clean ((const char *const *) additions->labels, model->origin);
  }
  if (additions->has_preprocess) {
    model->preprocess = additions->preprocess;
    model->has_preprocess = TRUE;
  }
  model->temperature = additions->temperature;
  g_hash_table_iter_init (&iter, additions->extra);
  while (g_hash_table_iter_next (&iter, &key, &value))
    g_hash_table_insert (model->extra, g_strdup (key), g_strdup (value));
}

/* --- loading ------------------------------------------------------------ */

static gboolean
load_weights (NnH5 *h5, const char *path, NnModel *model, NnWeightsMatch match,
    gboolean with_labels, guint *n_matched, GError **error)
{
  g_auto (Additions) additions = { NULL };
  g_autoptr (GPtrArray) copies = nn_keras_copies_new ();
  const gsize size = nn_model_get_n_values (model) * sizeof (float);
  /* a model that has no parameters yet is read into at once: there is no second block */
  const gboolean is_new = model->values == NULL && model->owner == NULL;
  float *values = NULL;
  gboolean ok;
  guint n = 0;

  if (!nn_keras_plan_weights (h5, path, model, match, copies, &n, error)
      || !read_additions (h5, path, model, with_labels, &additions, error)
      || (is_new ? !nn_model_alloc_params (model, error)
                 : !(values = nn_model_new_values (model, error))))
    return FALSE;
  if (is_new)
    values = model->values;
  /* By name, layers that the file does not know keep what they have. */
  if (match == NN_WEIGHTS_BY_NAME && model->has_weights)
    memcpy (values, model->values, size);
  ok = (match != NN_WEIGHTS_BY_NAME || model->has_weights
           || nn_model_fill_initial (model, 0, values, error))
      && nn_keras_read_weights (h5, path, copies, values, error);
  if (ok && !is_new) /* copied, not swapped: who has looked at a parameter keeps a valid pointer */
    memcpy (model->values, values, size);
  if (!is_new)
    free (values);
  else if (!ok)
    nn_model_free_params (model);
  if (!ok)
    return FALSE;
  model->has_weights = TRUE;
  take_additions (model, &additions);
  if (n_matched != NULL)
    *n_matched = n;
  return TRUE;
}

/* The architecture of a whole-model file. */
static NnModel *
load_architecture (NnH5 *h5, const char *path, GError **error)
{
  g_autofree char *json = NULL, *version = NULL;

  if (!nn_h5_has_attribute (h5, "/", "model_config")) {
    if (nn_h5_get_damage (h5, error))
      return NULL;
    if (nn_keras_has_list (h5, "/", "layer_names"))
      nn_keras_fail (error, NN_ERROR_FORMAT, path,
          "expected a whole model, found weights only: give the network's JSON"
          " (model.to_json ()) as the model and this file as the weights");
    else
      nn_keras_fail (error, NN_ERROR_FORMAT, path,
          "expected a whole model, found no \"model_config\" in it: is it weights only? Give the"
          " network's JSON (model.to_json ()) as the model and this file as the weights");
    return NULL;
  }
  json = nn_keras_get_string (h5, "/", "model_config", error);
  if (json == NULL)
    return NULL;
  if (nn_h5_has_attribute (h5, "/", "keras_version"))
    version = nn_keras_get_string (h5, "/", "keras_version", NULL);
  return nn_model_new_from_keras (json, -1, nn_keras_parse_version (version), path, error);
}

static NnModel *
load_model (const char *path, gboolean with_weights, gboolean with_labels, GError **error)
{
  g_autoptr (NnH5) h5 = nn_h5_open (path, error);
  g_autoptr (NnModel) model = NULL;

  if (h5 == NULL)
    return NULL;
  model = load_architecture (h5, path, error);
  if (model == NULL)
    return NULL;
  if (with_weights) {
    if (!load_weights (h5, path, model, NN_WEIGHTS_BY_ORDER, with_labels, NULL, error))
      return NULL;
  } else {
    g_auto (Additions) additions = { NULL };

    if (!read_additions (h5, path, model, with_labels, &additions, error))
      return NULL;
    take_additions (model, &additions);
  }
  return g_steal_pointer (&model);
}

/* --- .keras ------------------------------------------------------------- */

typedef struct
{
  const char *path;
  NnModel *model;
  GError *error;
} Opening;

/* The archive's config was read: the network tells how many bytes its weights can have. Optimizers
 * keep up to three numbers of 8 bytes for each. */
static guint64
limit_weights (const NnKerasArchive *archive, gpointer user_data)
{
  Opening *opening = user_data;

  opening->model = nn_model_new_from_keras (archive->config, (gssize) archive->config_size,
      archive->keras ? archive->keras : 3, opening->path, &opening->error);
  if (opening->model == NULL)
    return 0;
  return (guint64) nn_model_get_n_values (opening->model) * 32 + ((guint64) 64 << 20);
}

static guint64
limit_for_model (const NnKerasArchive *archive, gpointer user_data)
{
  return (guint64) nn_model_get_n_values (user_data) * 32 + ((guint64) 64 << 20);
}

static NnModel *
load_archive (const char *path, gboolean with_weights, GError **error)
{
  Opening opening = { path, NULL, NULL };
  g_auto (NnKerasArchive) archive = { .fd = -1 };
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnH5) h5 = NULL;
  GError *failure = NULL;
  gboolean ok = nn_keras_archive_read (path, limit_weights, &opening, &archive, &failure);

  model = opening.model;
  if (opening.error) {
    g_clear_error (&failure);
    g_propagate_error (error, opening.error);
    return NULL;
  }
  if (!ok) {
    g_propagate_error (error, failure);
    return NULL;
  }
  if (!with_weights)
    return g_steal_pointer (&model);
  h5 = nn_h5_open (archive.weights, error);
  if (h5 == NULL
      || !load_weights (h5, path, model, NN_WEIGHTS_BY_ORDER, TRUE, NULL, error))
    return NULL;
  return g_steal_pointer (&model);
}

NnModel *
nn_model_load (const char *path, GError **error)
{
  Kind kind;

  if (!identify (path, &kind, error))
    return NULL;
  if (kind == KIND_KERAS)
    return load_archive (path, TRUE, error);
  return nn_keras_check_is_hdf5 (path, error) ? load_model (path, TRUE, TRUE, error) : NULL;
}

static gboolean
load_weights_file (NnModel *model, const char *path, NnWeightsMatch match, gboolean with_labels,
    guint *n_matched, GError **error)
{
  g_auto (NnKerasArchive) archive = { .fd = -1 };
  g_autoptr (NnH5) h5 = NULL;
  Kind kind;

  if (!identify (path, &kind, error))
    return FALSE;
  if (kind == KIND_KERAS) {
    if (!nn_keras_archive_read (path, limit_for_model, model, &archive, error))
      return FALSE;
  } else if (!nn_keras_check_is_hdf5 (path, error)) {
    return FALSE;
  }
  h5 = nn_h5_open (kind == KIND_KERAS ? archive.weights : path, error);
  return h5 != NULL && load_weights (h5, path, model, match, with_labels, n_matched, error);
}

static NnModel *
open_model (const char *path, const char *weights_path, gboolean with_labels, GError **error)
{
  g_autoptr (NnModel) model = NULL;
  Kind kind;

  if (!identify (path, &kind, error))
    return NULL;
  if (kind == KIND_JSON)
    model = nn_model_new_from_json_file (path, error);
  else if (kind == KIND_KERAS)
    model = load_archive (path, weights_path == NULL, error);
  else if (nn_keras_check_is_hdf5 (path, error))
    model = load_model (path, weights_path == NULL, with_labels, error);
  if (model == NULL)
    return NULL;
  if (weights_path != NULL
      && !load_weights_file (model, weights_path, NN_WEIGHTS_BY_ORDER, with_labels, NULL, error))
    return NULL;
  return g_steal_pointer (&model);
}

NnModel *
nn_model_open (const char *path, const char *weights_path, GError **error)
{
  return open_model (path, weights_path, TRUE, error);
}

NnModel *
nn_model_open_labelled (const char *path, const char *weights_path, const char *labels_path,
    GError **error)
{
  g_autoptr (NnModel) model = open_model (path, weights_path, FALSE, error);
  g_auto (GStrv) labels = model ? nn_labels_load (labels_path, error) : NULL;

  if (labels == NULL)
    return NULL;
  if (!nn_model_set_labels (model, (const char *const *) labels, error)) {
    g_prefix_error (error, "%s: ", labels_path);
    return NULL;
  }
  return g_steal_pointer (&model);
}

gboolean
nn_model_load_weights (NnModel *model, const char *path, NnWeightsMatch match, guint *n_matched,
    GError **error)
{
  /* by name, the file may be of other classes */
  return load_weights_file (
      model, path, match, match == NN_WEIGHTS_BY_ORDER, n_matched, error);
}
