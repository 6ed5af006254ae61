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
fail (GError **error, NnErrorCode code, const char *path, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

static gboolean
fail (GError **error, NnErrorCode code, const char *path, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NN_ERROR, code, "%s: %s", path, message);
  nn_text_make_printable (error);
  return FALSE;
}

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
    return fail (error, NN_ERROR_FORMAT, path,
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
    return fail (error, NN_ERROR_FORMAT, path,
        "expected a Keras model, found a Git LFS pointer: fetch the file itself (git lfs pull)");
  else if (size >= 8 && memcmp (head + 4, "TFL3", 4) == 0)
    return fail (error, NN_ERROR_UNSUPPORTED, path,
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
      return fail (error, NN_ERROR_UNSUPPORTED, path,
          "this is a .keras archive, which is not supported yet: " SAVE_AS_H5);
    case KIND_JSON:
      return fail (error, NN_ERROR_FORMAT, path,
          "expected a Keras HDF5 file, found JSON: is it the network, given as weights?");
    default:
      return fail (error, NN_ERROR_FORMAT, path,
          "expected a Keras HDF5 file, found something else (no HDF5 signature)");
  }
}

/* --- where the weights are ---------------------------------------------- */

static gboolean
has_list (NnH5 *h5, const char *path, const char *name)
{
  g_autofree char *first = g_strconcat (name, "0", NULL);

  return nn_h5_has_attribute (h5, path, name) || nn_h5_has_attribute (h5, path, first);
}

/* "" or "/model_weights" */
static const char *
find_weights (NnH5 *h5, const char *path, GError **error)
{
  if (has_list (h5, "/", "layer_names"))
    return "";
  if (nn_h5_has (h5, "/model_weights"))
    return "/model_weights";
  if (nn_h5_get_damage (h5, error))
    return NULL;
  if (nn_h5_has (h5, "/layers") || nn_h5_has (h5, "/_layer_checkpoint_dependencies"))
    fail (error, NN_ERROR_UNSUPPORTED, path,
        "this is a .weights.h5 file of Keras 3, which is not supported yet: " SAVE_AS_H5
        ", or with save_weights (\"x.h5\") in Keras 2");
  else
    fail (error, NN_ERROR_FORMAT, path,
        "an HDF5 file, but not Keras's: it has neither \"layer_names\" nor \"model_weights\"");
  return NULL;
}

/* A weightless layer may have no group at all where a hand made the file. */
static char **
get_weight_names (NnH5 *h5, const char *group, GError **error)
{
  return nn_h5_get_long_strings (h5, group, "weight_names", error);
}

static char *
get_string (NnH5 *h5, const char *path, const char *name, GError **error)
{
  g_auto (GStrv) strings = nn_h5_get_strings (h5, path, name, error);

  return strings ? g_strdup (strings[0] ? strings[0] : "") : NULL;
}

/* A layer of the file that has weights. */
typedef struct
{
  char *name;
  char *group;
  char **weights;
  guint n_weights;
} Stored;

static void
stored_free (Stored *stored)
{
  g_free (stored->name);
  g_free (stored->group);
  g_strfreev (stored->weights);
  g_free (stored);
}

/* (element-type Stored): the layers that have weights, in the file's order. */
static GPtrArray *
list_stored (NnH5 *h5, const char *file, const char *root, GError **error)
{
  g_autoptr (GPtrArray) layers = g_ptr_array_new_with_free_func ((GDestroyNotify) stored_free);
  const char *group = root[0] ? root : "/";
  g_auto (GStrv) names = nn_h5_get_long_strings (h5, group, "layer_names", error);

  if (names == NULL)
    return NULL;
  if (g_strv_length (names) > NN_MAX_LAYERS) {
    fail (error, NN_ERROR_FORMAT, file, "lists %u layers, at most %d can be",
        g_strv_length (names), NN_MAX_LAYERS);
    return NULL;
  }
  for (guint i = 0; names[i] != NULL; i++) {
    Stored *stored = g_new0 (Stored, 1);

    stored->name = g_strdup (names[i]);
    stored->group = g_strconcat (root, "/", names[i], NULL);
    stored->weights = get_weight_names (h5, stored->group, error);
    if (stored->weights == NULL) {
      stored_free (stored);
      return NULL;
    }
    stored->n_weights = g_strv_length (stored->weights);
    if (stored->n_weights > 0)
      g_ptr_array_add (layers, stored);
    else
      stored_free (stored);
  }
  return g_steal_pointer (&layers);
}

/* --- one array ---------------------------------------------------------- */

/* How the file's kernels differ from ours. */
typedef struct
{
  gboolean flip;    /* Theano: convolution instead of cross-correlation */
  gboolean keras_1; /* (out, in, rows, columns) where channels came first */
} Dialect;

/* One array of the file and where it goes. */
typedef struct
{
  char *path;
  const NnParam *param;
  gsize offset; /* of the parameter in the block */
  NnShape shape; /* in the file */
  gboolean flip;
  const guint *order; /* ours[i] = theirs[order[i]], NULL = as they are */
} Copy;

static void
copy_free (Copy *copy)
{
  g_free (copy->path);
  g_free (copy);
}

static gboolean
fits (const NnShape *found, const guint *order, const NnShape *wanted)
{
  if (found->n_dims != wanted->n_dims)
    return FALSE;
  for (guint i = 0; i < wanted->n_dims; i++) {
    if (found->dims[order ? order[i] : i] != wanted->dims[i])
      return FALSE;
  }
  return TRUE;
}

static gboolean
plan_copy (NnH5 *h5, const char *file, const Stored *stored, guint index, const NnLayer *layer,
    const Dialect *dialect, Copy *copy, GError **error)
{
  /* Keras tries the first on any convolution whose shape is not as expected. */
  static const guint keras_order[] = { 3, 2, 0, 1 }, keras_1_order[] = { 2, 3, 1, 0 };
  const NnParam *param = &layer->params[index];
  gboolean is_kernel = layer->kind == NN_LAYER_CONV2D && param->shape.n_dims == 4;
  g_autofree char *wanted = NULL, *found = NULL;

  copy->path = g_strconcat (stored->group, "/", stored->weights[index], NULL);
  copy->param = param;
  if (!nn_h5_get_shape (h5, copy->path, &copy->shape, error))
    return FALSE;
  copy->flip = is_kernel && dialect->flip;
  if (fits (&copy->shape, NULL, &param->shape))
    return TRUE;
  if (is_kernel && dialect->keras_1 && fits (&copy->shape, keras_1_order, &param->shape)) {
    copy->order = keras_1_order;
    return TRUE;
  }
  if (is_kernel && fits (&copy->shape, keras_order, &param->shape)) {
    copy->order = keras_order;
    return TRUE;
  }
  wanted = nn_shape_to_string (&param->shape);
  found = nn_shape_to_string (&copy->shape);
  return fail (error, NN_ERROR_SHAPE, file,
      "%s of layer '%s' should have the shape %s, found %s in '%s': the file belongs to another"
      " network or input size",
      param->name, layer->name, wanted, found, copy->path);
}

/* @theirs (copy->shape) to @ours (param->shape). Flipping goes first and over
 * all but the file's last two axes, as in Keras. */
static void
rearrange (const Copy *copy, const float *theirs, float *ours)
{
  const gsize *dims = copy->shape.dims, *out = copy->param->shape.dims;
  const gsize steps[4] = { dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1 };
  gsize at[4], i = 0;

  for (at[0] = 0; at[0] < out[0]; at[0]++) {
    for (at[1] = 0; at[1] < out[1]; at[1]++) {
      for (at[2] = 0; at[2] < out[2]; at[2]++) {
        for (at[3] = 0; at[3] < out[3]; at[3]++) {
          gsize source = 0;

          for (guint k = 0; k < 4; k++) {
            guint axis = copy->order ? copy->order[k] : k;

            source += steps[axis]
                * (copy->flip && axis < 2 ? dims[axis] - 1 - at[k] : at[k]);
          }
          ours[i++] = theirs[source];
        }
      }
    }
  }
}

static gboolean
read_copy (NnH5 *h5, const char *file, const Copy *copy, float *values, GError **error)
{
  g_autofree float *theirs = NULL;

  if (!copy->flip && copy->order == NULL)
    return nn_h5_read_floats (h5, copy->path, &copy->shape, values, error);
  theirs = g_try_new (float, copy->param->n_values);
  if (theirs == NULL)
    return fail (error, NN_ERROR_NO_MEMORY, file, "no memory for '%s'", copy->path);
  if (!nn_h5_read_floats (h5, copy->path, &copy->shape, theirs, error))
    return FALSE;
  rearrange (copy, theirs, values);
  return TRUE;
}

/* --- matching layers ---------------------------------------------------- */

static gsize
get_offset (const NnModel *model, const NnLayer *wanted, guint index)
{
  gsize offset = 0;

  for (const NnLayer *layer = model->layers; layer < wanted; layer++) {
    for (guint k = 0; k < layer->n_params; k++)
      offset += nn_param_get_stride (&layer->params[k]);
  }
  for (guint k = 0; k < index; k++)
    offset += nn_param_get_stride (&wanted->params[k]);
  return offset;
}

static gboolean
plan_layer (NnH5 *h5, const char *file, const NnModel *model, const NnLayer *layer,
    const Stored *stored, const Dialect *dialect, GPtrArray *copies, GError **error)
{
  if (stored->n_weights != layer->n_params)
    return fail (error, NN_ERROR_SHAPE, file,
        "layer '%s' (%s) has %u arrays, found %u in the file's layer '%s': the file belongs to"
        " another network",
        layer->name, layer->klass->name, layer->n_params, stored->n_weights, stored->name);
  for (guint k = 0; k < layer->n_params; k++) {
    Copy *copy = g_new0 (Copy, 1);

    g_ptr_array_add (copies, copy);
    if (!plan_copy (h5, file, stored, k, layer, dialect, copy, error))
      return FALSE;
    copy->offset = get_offset (model, layer, k);
  }
  return TRUE;
}

static gboolean
plan_by_order (NnH5 *h5, const char *file, const NnModel *model, GPtrArray *stored,
    const Dialect *dialect, GPtrArray *copies, guint *n_matched, GError **error)
{
  guint n = 0, i = 0;

  for (guint l = 0; l < model->n_layers; l++)
    n += model->layers[l].n_params > 0;
  if (n != stored->len)
    return fail (error, NN_ERROR_SHAPE, file,
        "the network has %u layers with weights, found %u in the file: it belongs to another"
        " network",
        n, stored->len);
  for (guint l = 0; l < model->n_layers; l++) {
    if (model->layers[l].n_params > 0
        && !plan_layer (h5, file, model, &model->layers[l], stored->pdata[i++], dialect, copies,
            error))
      return FALSE;
  }
  *n_matched = n;
  return TRUE;
}

static gboolean
plan_by_name (NnH5 *h5, const char *file, const NnModel *model, GPtrArray *stored,
    const Dialect *dialect, GPtrArray *copies, guint *n_matched, GError **error)
{
  g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);

  *n_matched = 0;
  for (guint l = 0; l < model->n_layers; l++)
    g_hash_table_insert (by_name, model->layers[l].name, &model->layers[l]);
  for (guint i = 0; i < stored->len; i++) {
    const Stored *theirs = stored->pdata[i];
    const NnLayer *layer = g_hash_table_lookup (by_name, theirs->name);

    if (layer == NULL)
      continue;
    if (!plan_layer (h5, file, model, layer, theirs, dialect, copies, error))
      return FALSE;
    (*n_matched)++;
  }
  if (*n_matched == 0)
    nn_warning ("%s: no layer has the name of one of the network's, nothing was loaded", file);
  return TRUE;
}

static void
warn_of_nan (const char *file, const Copy *copy, const float *values)
{
  for (gsize i = 0; i < copy->param->n_values; i++) {
    if (!isfinite (values[i])) {
      nn_warning ("%s: '%s' holds values that are no numbers: training may have diverged", file,
          copy->path);
      return;
    }
  }
}

static gboolean
read_dialect (NnH5 *h5, const char *root, Dialect *dialect, GError **error)
{
  const char *group = root[0] ? root : "/";
  g_autofree char *backend = NULL, *version = NULL;

  if (nn_h5_has_attribute (h5, group, "backend")
      && (backend = get_string (h5, group, "backend", error)) == NULL)
    return FALSE;
  if (nn_h5_has_attribute (h5, group, "keras_version")
      && (version = get_string (h5, group, "keras_version", error)) == NULL)
    return FALSE;
  dialect->flip = g_strcmp0 (backend, "theano") == 0;
  dialect->keras_1 = version == NULL || version[0] == '1';
  return TRUE;
}

/* What is to be read, of @copies: shapes and places are looked at, and no memory is taken. */
static gboolean
plan_weights (NnH5 *h5, const char *file, const NnModel *model, NnWeightsMatch match,
    GPtrArray *copies, guint *n_matched, GError **error)
{
  const char *root = find_weights (h5, file, error);
  g_autoptr (GPtrArray) stored = NULL;
  g_autofree char *top = NULL;
  Dialect dialect;

  if (root == NULL)
    return FALSE;
  top = g_strconcat (root, "/top_level_model_weights", NULL);
  if (nn_h5_has (h5, top)) {
    g_auto (GStrv) names = get_weight_names (h5, top, error);

    if (names == NULL)
      return FALSE;
    if (names[0] != NULL)
      return fail (error, NN_ERROR_UNSUPPORTED, file,
          "the model has weights outside of its layers ('%s'), which is not supported", names[0]);
  }
  stored = list_stored (h5, file, root, error);
  if (stored == NULL || !read_dialect (h5, root, &dialect, error))
    return FALSE;
  return match == NN_WEIGHTS_BY_NAME
      ? plan_by_name (h5, file, model, stored, &dialect, copies, n_matched, error)
      : plan_by_order (h5, file, model, stored, &dialect, copies, n_matched, error);
}

/* Into a block of nn_model_new_values(). */
static gboolean
read_weights (NnH5 *h5, const char *file, GPtrArray *copies, float *values, GError **error)
{
  for (guint i = 0; i < copies->len; i++) {
    const Copy *copy = copies->pdata[i];

    if (!read_copy (h5, file, copy, values + copy->offset, error))
      return FALSE;
    warn_of_nan (file, copy, values + copy->offset);
  }
  return TRUE;
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
    text = get_string (h5, "/", names[i], error);
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
        return fail (error, NN_ERROR_FORMAT, file,
            "attribute '" NN_KERAS_TEMPERATURE "' should be a number from 0.001 to 1000, found "
            "\"%.40s\"; classify calibrate writes it anew", text);
    } else {
      g_hash_table_insert (additions->extra, g_strdup (names[i]), g_steal_pointer (&text));
    }
  }
  if (additions->labels != NULL
      && g_strv_length (additions->labels) != nn_model_get_n_classes (model))
    return fail (error, NN_ERROR_SHAPE, file,
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
  g_autoptr (GPtrArray) copies = g_ptr_array_new_with_free_func ((GDestroyNotify) copy_free);
  const gsize size = nn_model_get_n_values (model) * sizeof (float);
  /* a model that has no parameters yet is read into at once: there is no second block */
  const gboolean is_new = model->values == NULL && model->owner == NULL;
  float *values = NULL;
  gboolean ok;
  guint n = 0;

  if (!plan_weights (h5, path, model, match, copies, &n, error)
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
      && read_weights (h5, path, copies, values, error);
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
  g_autofree char *json = NULL;

  if (!nn_h5_has_attribute (h5, "/", "model_config")) {
    if (nn_h5_get_damage (h5, error))
      return NULL;
    if (has_list (h5, "/", "layer_names"))
      fail (error, NN_ERROR_FORMAT, path,
          "expected a whole model, found weights only: give the network's JSON"
          " (model.to_json ()) as the model and this file as the weights");
    else if (find_weights (h5, path, error) != NULL)
      fail (error, NN_ERROR_FORMAT, path,
          "expected a whole model, found no \"model_config\" in it");
    return NULL;
  }
  json = get_string (h5, "/", "model_config", error);
  return json ? nn_model_new_from_json (json, -1, path, error) : NULL;
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

NnModel *
nn_model_load (const char *path, GError **error)
{
  return nn_keras_check_is_hdf5 (path, error) ? load_model (path, TRUE, TRUE, error) : NULL;
}

static gboolean
load_weights_file (NnModel *model, const char *path, NnWeightsMatch match, gboolean with_labels,
    guint *n_matched, GError **error)
{
  g_autoptr (NnH5) h5 = NULL;

  if (!nn_keras_check_is_hdf5 (path, error))
    return FALSE;
  h5 = nn_h5_open (path, error);
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
