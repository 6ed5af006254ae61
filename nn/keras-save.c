/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writes Keras's legacy HDF5 layout; see keras-file.c. */

#include <string.h>

#include "nn/error.h"
#include "nn/hdf5-write.h"
#include "nn/keras-private.h"
#include "nn/model-private.h"

/* What our files claim to be: the first version whose readers all take the
 * dictionary form of a Sequential. */
#define KERAS_VERSION "2.2.4-tf"

static gboolean
write_layer (NnH5Writer *writer, const char *group, const NnLayer *layer, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint k = 0; k < layer->n_params; k++)
    g_ptr_array_add (names, g_strdup_printf ("%s/%s:0", layer->name, layer->params[k].name));
  g_ptr_array_add (names, NULL);
  if (!nn_h5_writer_add_group (writer, group, error)
      || !nn_h5_writer_set_strings (writer, group, "weight_names",
          (const char *const *) names->pdata, error))
    return FALSE;
  for (guint k = 0; k < layer->n_params; k++) {
    g_autofree char *path = g_strconcat (group, "/", names->pdata[k], NULL);

    if (!nn_h5_writer_add_floats (writer, path, &layer->params[k].shape, layer->params[k].data,
            error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_versions (NnH5Writer *writer, const char *group, GError **error)
{
  /* Fixed length: Keras 2.0 to 2.3 decodes what h5py gives for these two, and
   * h5py 3 gives bytes only for fixed lengths. */
  return nn_h5_writer_set_string (writer, group, "backend", "tensorflow", TRUE, error)
      && nn_h5_writer_set_string (writer, group, "keras_version", KERAS_VERSION, TRUE, error);
}

static gboolean
write_weights (NnH5Writer *writer, const char *root, const NnModel *model, GError **error)
{
  g_autofree const char **names = g_new0 (const char *, model->n_layers + 1);
  const char *group = root[0] ? root : "/";
  guint n = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    if (nn_model_is_listed (model, i))
      names[n++] = model->layers[i].name;
  }
  if (!nn_h5_writer_set_strings (writer, group, "layer_names", names, error)
      || !write_versions (writer, group, error))
    return FALSE;
  for (guint i = 0; i < model->n_layers; i++) {
    g_autofree char *layer_group = g_strconcat (root, "/", model->layers[i].name, NULL);

    if (nn_model_is_listed (model, i)
        && !write_layer (writer, layer_group, &model->layers[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_additions (NnH5Writer *writer, const NnModel *model, GError **error)
{
  g_autofree char *preprocess = nn_keras_format_preprocess (&model->preprocess);
  GHashTableIter iter;
  gpointer key, value;

  if (model->labels != NULL
      && !nn_h5_writer_set_strings (writer, "/", NN_KERAS_LABELS,
          (const char *const *) model->labels, error))
    return FALSE;
  /* Not where the network takes what no picture gives. */
  if (nn_keras_count_channels (model->preprocess.channels)
          == nn_model_get_input_shape (model)->dims[2]
      && !nn_h5_writer_set_string (writer, "/", NN_KERAS_PREPROCESS, preprocess, FALSE, error))
    return FALSE;
  if (model->temperature != 1) {
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_ascii_formatd (number, sizeof number, "%.9g", model->temperature);
    if (!nn_h5_writer_set_string (writer, "/", NN_KERAS_TEMPERATURE, number, FALSE, error))
      return FALSE;
  }
  g_hash_table_iter_init (&iter, model->extra);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    if (g_str_has_prefix (key, NN_KERAS_PREFIX) && !nn_keras_is_labels (key)
        && strcmp (key, NN_KERAS_PREPROCESS) != 0
        && !nn_h5_writer_set_string (writer, "/", key, value, FALSE, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_has_weights (const NnModel *model, const char *path, GError **error)
{
  if (!model->has_weights)
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: the model has no weights to save", path);
  return model->has_weights;
}

/* Parameters, twice more for an optimizer, names and texts: rather too much
 * than too little. */
static gsize
estimate_size (const NnModel *model, const NnOptimizer *optimizer)
{
  gsize longest = 0, texts = strlen (model->json) + 65536;
  GHashTableIter iter;
  gpointer value;
  guint n = 0;

  for (; model->labels != NULL && model->labels[n] != NULL; n++)
    longest = MAX (longest, strlen (model->labels[n]));
  g_hash_table_iter_init (&iter, model->extra);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    texts += strlen (value);
  return nn_model_get_n_values (model) * sizeof (float) * (optimizer ? 4 : 1)
      + (gsize) model->n_layers * 8192 + 2 * texts + 2 * n * longest;
}

gboolean
nn_model_save (const NnModel *model, const char *path, const NnOptimizer *optimizer,
    const char *loss, GError **error)
{
  g_autoptr (NnH5Writer) writer = NULL;
  g_autofree char *json = NULL;

  if (!check_has_weights (model, path, error))
    return FALSE;
  json = nn_model_json_for_file (model, error);
  writer = json ? nn_h5_writer_new (estimate_size (model, optimizer), error) : NULL;
  if (writer == NULL || !write_versions (writer, "/", error)
      || !nn_h5_writer_set_string (writer, "/", "model_config", json, FALSE, error)
      || !nn_h5_writer_add_group (writer, "/model_weights", error)
      || !write_weights (writer, "/model_weights", model, error)
      || !write_additions (writer, model, error))
    goto failed;
  if (optimizer != NULL && !nn_keras_write_optimizer (writer, model, optimizer, loss, error))
    goto failed;
  return nn_h5_writer_save (writer, path, error);

failed:
  g_prefix_error (error, "%s: ", path);
  return FALSE;
}

gboolean
nn_model_save_weights (const NnModel *model, const char *path, GError **error)
{
  g_autoptr (NnH5Writer) writer = NULL;

  if (!check_has_weights (model, path, error))
    return FALSE;
  writer = nn_h5_writer_new (estimate_size (model, NULL), error);
  if (writer == NULL || !write_weights (writer, "", model, error)
      || !write_additions (writer, model, error)) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  return nn_h5_writer_save (writer, path, error);
}
