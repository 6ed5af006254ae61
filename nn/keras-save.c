/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writes Keras's legacy HDF5 layout; see keras-file.c. */

#include <string.h>

#include "nn/error.h"
#include "nn/hdf5-write.h"
#include "nn/keras-groups.h"
#include "nn/keras-private.h"
#include "nn/model-private.h"

/* What our files claim to be: the first version whose readers all take the
 * dictionary form of a Sequential. */
#define KERAS_VERSION "2.2.4-tf"
/* ... and where the network was Keras 3's, whose names may mean another thing */
#define KERAS_3_VERSION "3.0.0"

/* A layer of the outermost model, a model inside included. */
static gboolean
write_group (NnH5Writer *writer, const char *path, const NnKerasGroup *group, GError **error)
{
  const guint n = group->slots->len;
  g_auto (GStrv) names = g_new0 (char *, n + 1);
  g_autofree guint *order = g_new0 (guint, MAX (n, 1));

  nn_keras_group_sort (group, order);
  for (guint i = 0; i < n; i++) {
    const NnKerasSlot *slot = nn_keras_group_get (group, i);
    const NnParam *param = &slot->layer->params[slot->index];

    /* "attention/query_dense/kernel:0": what is inside of the layer has a name of its own */
    names[order[i]] = g_strconcat (slot->layer->name, param->store ? "/" : "",
        param->store ? param->store : "", "/", param->name, ":0", NULL);
  }
  if (!nn_h5_writer_add_group (writer, path, error)
      || !nn_h5_writer_set_strings (
          writer, path, "weight_names", (const char *const *) names, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    const NnKerasSlot *slot = nn_keras_group_get (group, i);
    const NnParam *param = &slot->layer->params[slot->index];
    g_autofree char *array = g_strconcat (path, "/", names[order[i]], NULL);

    if (!nn_h5_writer_add_floats (writer, array, &param->shape, param->data, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_versions (NnH5Writer *writer, const char *group, const NnModel *model, GError **error)
{
  /* Fixed length: Keras 2.0 to 2.3 decodes what h5py gives for these two, and
   * h5py 3 gives bytes only for fixed lengths. */
  return nn_h5_writer_set_string (writer, group, "backend", "tensorflow", TRUE, error)
      && nn_h5_writer_set_string (writer, group, "keras_version",
          model->keras >= 3 ? KERAS_3_VERSION : KERAS_VERSION, TRUE, error);
}

static gboolean
write_weights (NnH5Writer *writer, const char *root, const NnModel *model, GError **error)
{
  g_autoptr (GPtrArray) groups = nn_keras_list_groups (model, TRUE);
  g_autofree const char **names = g_new0 (const char *, groups->len + 1);
  const char *group = root[0] ? root : "/";

  for (guint i = 0; i < groups->len; i++)
    names[i] = ((const NnKerasGroup *) groups->pdata[i])->name;
  if (!nn_h5_writer_set_strings (writer, group, "layer_names", names, error)
      || !write_versions (writer, group, model, error))
    return FALSE;
  for (guint i = 0; i < groups->len; i++) {
    g_autofree char *path = g_strconcat (root, "/", names[i], NULL);

    if (!write_group (writer, path, groups->pdata[i], error))
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
  if (writer == NULL || !write_versions (writer, "/", model, error)
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
