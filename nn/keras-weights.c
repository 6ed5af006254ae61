/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parameters of Keras's HDF5 files: of the legacy layout (see keras-file.c) and of that of
 * .keras and .weights.h5:
 *
 *   /layers/conv2d/vars/0                           an array; numbered in the layer's order
 *   /layers/functional/layers/conv2d_1/vars/0       of a model inside the model
 *
 * In the legacy layout a model inside the model is one layer of the outermost: its arrays are those
 * of all its layers, first what is trained, then the rest. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/error.h"
#include "nn/keras-groups.h"
#include "nn/keras-private.h"
#include "nn/layer.h"
#include "nn/log.h"
#include "nn/model-private.h"
#include "nn/text.h"

/* --- where the weights are ---------------------------------------------- */

gboolean
nn_keras_fail (GError **error, NnErrorCode code, const char *path, const char *format, ...)
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

gboolean
nn_keras_has_list (NnH5 *h5, const char *path, const char *name)
{
  g_autofree char *first = g_strconcat (name, "0", NULL);

  return nn_h5_has_attribute (h5, path, name) || nn_h5_has_attribute (h5, path, first);
}

/* "" or "/model_weights" */
static const char *
find_weights (NnH5 *h5, const char *path, GError **error)
{
  if (nn_keras_has_list (h5, "/", "layer_names"))
    return "";
  if (nn_h5_has (h5, "/model_weights"))
    return "/model_weights";
  if (nn_h5_get_damage (h5, error))
    return NULL;
  nn_keras_fail (error, NN_ERROR_FORMAT, path,
      "an HDF5 file, but not Keras's: it has neither \"layer_names\" nor \"model_weights\"");
  return NULL;
}

/* A weightless layer may have no group at all where a hand made the file. */
static char **
get_weight_names (NnH5 *h5, const char *group, GError **error)
{
  return nn_h5_get_long_strings (h5, group, "weight_names", error);
}

char *
nn_keras_get_string (NnH5 *h5, const char *path, const char *name, GError **error)
{
  g_auto (GStrv) strings = nn_h5_get_strings (h5, path, name, error);

  return strings ? g_strdup (strings[0] ? strings[0] : "") : NULL;
}

guint
nn_keras_parse_version (const char *version)
{
  return version && version[0] >= '1' && version[0] <= '9' ? (guint) (version[0] - '0') : 0;
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
    nn_keras_fail (error, NN_ERROR_FORMAT, file, "lists %u layers, at most %d can be",
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

/* Whether @found holds as many values in the same order of axes but for sizes of 1. */
static gboolean
is_same_but_ones (const NnShape *found, const NnShape *wanted)
{
  guint i = 0, k = 0;

  while (i < found->n_dims || k < wanted->n_dims) {
    if (i < found->n_dims && found->dims[i] == 1)
      i++;
    else if (k < wanted->n_dims && wanted->dims[k] == 1)
      k++;
    else if (i < found->n_dims && k < wanted->n_dims && found->dims[i] == wanted->dims[k])
      i++, k++;
    else
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_kernel (const NnLayer *layer, const NnParam *param)
{
  return param->shape.n_dims == 4
      && (layer->kind == NN_LAYER_CONV2D || strcmp (param->name, "kernel") == 0);
}

/* Where array @path of the file goes; takes @path. */
static gboolean
plan_copy (NnH5 *h5, const char *file, char *path, const NnModel *model, const NnLayer *layer,
    guint index, const Dialect *dialect, GPtrArray *copies, GError **error)
{
  /* Keras tries the first on any convolution whose shape is not as expected. */
  static const guint keras_order[] = { 3, 2, 0, 1 }, keras_1_order[] = { 2, 3, 1, 0 };
  const NnParam *param = &layer->params[index];
  const gboolean can_turn = is_kernel (layer, param);
  g_autofree char *wanted = NULL, *found = NULL;
  Copy *copy = g_new0 (Copy, 1);

  g_ptr_array_add (copies, copy);
  copy->path = path;
  copy->param = param;
  copy->offset = get_offset (model, layer, index);
  if (!nn_h5_get_shape (h5, copy->path, &copy->shape, error))
    return FALSE;
  copy->flip = can_turn && dialect->flip;
  if (fits (&copy->shape, NULL, &param->shape))
    return TRUE;
  if (can_turn && dialect->keras_1 && fits (&copy->shape, keras_1_order, &param->shape)) {
    copy->order = keras_1_order;
    return TRUE;
  }
  if (can_turn && fits (&copy->shape, keras_order, &param->shape)) {
    copy->order = keras_order;
    return TRUE;
  }
  if (!can_turn && is_same_but_ones (&copy->shape, &param->shape))
    return TRUE;
  wanted = nn_shape_to_string (&param->shape);
  found = nn_shape_to_string (&copy->shape);
  return nn_keras_fail (error, NN_ERROR_SHAPE, file,
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
    return nn_keras_fail (error, NN_ERROR_NO_MEMORY, file, "no memory for '%s'", copy->path);
  if (!nn_h5_read_floats (h5, copy->path, &copy->shape, theirs, error))
    return FALSE;
  rearrange (copy, theirs, values);
  return TRUE;
}

/* --- matching layers ---------------------------------------------------- */

/* "a/block_1/kernel:0": "block_1/kernel" */
static char *
get_tail (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);
  const guint n = g_strv_length (parts);
  char *colon;

  if (n < 2)
    return NULL;
  colon = strrchr (parts[n - 1], ':');
  if (colon)
    *colon = '\0';
  return g_strconcat (parts[n - 2], "/", parts[n - 1], NULL);
}

/* Which array each slot takes, by the names of layers and parameters. FALSE: they do not tell. */
static gboolean
order_by_names (const NnKerasGroup *group, const Stored *stored, guint *order)
{
  g_autoptr (GHashTable) by_tail = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < stored->n_weights; i++) {
    char *tail = get_tail (stored->weights[i]);

    if (tail == NULL || !g_hash_table_insert (by_tail, tail, GUINT_TO_POINTER (i + 1)))
      return FALSE;
  }
  for (guint i = 0; i < group->slots->len; i++) {
    const NnKerasSlot *slot = nn_keras_group_get (group, i);
    g_autofree char *tail
        = g_strconcat (slot->layer->name, "/", slot->layer->params[slot->index].name, NULL);
    const guint found = GPOINTER_TO_UINT (g_hash_table_lookup (by_tail, tail));

    if (found == 0)
      return FALSE;
    order[i] = found - 1;
  }
  return TRUE;
}

static gboolean
plan_slots (NnH5 *h5, const char *file, const NnModel *model, const NnKerasGroup *group,
    const Stored *stored, const guint *order, const Dialect *dialect, GPtrArray *copies,
    GError **error)
{
  for (guint i = 0; i < group->slots->len; i++) {
    const NnKerasSlot *slot = nn_keras_group_get (group, i);
    char *path = g_strconcat (stored->group, "/", stored->weights[order ? order[i] : i], NULL);

    if (!plan_copy (h5, file, path, model, slot->layer, slot->index, dialect, copies, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
plan_group (NnH5 *h5, const char *file, const NnModel *model, const NnKerasGroup *group,
    const Stored *stored, const Dialect *dialect, GPtrArray *copies, GError **error)
{
  g_autofree guint *order = NULL;
  const guint n_before = copies->len;

  if (stored->n_weights != group->slots->len)
    return nn_keras_fail (error, NN_ERROR_SHAPE, file,
        "layer '%s' (%s) has %u arrays, found %u in the file's layer '%s': the file belongs to"
        " another network",
        group->name,
        group->is_model ? "a model" : nn_keras_group_get (group, 0)->layer->klass->name,
        group->slots->len, stored->n_weights, stored->name);
  if (!group->is_model)
    return plan_slots (h5, file, model, group, stored, NULL, dialect, copies, error);
  order = g_new0 (guint, group->slots->len);
  if (order_by_names (group, stored, order))
    return plan_slots (h5, file, model, group, stored, order, dialect, copies, error);
  nn_keras_group_sort (group, order);
  if (plan_slots (h5, file, model, group, stored, order, dialect, copies, NULL))
    return TRUE;
  /* a model that was frozen as a whole: layer by layer */
  g_ptr_array_set_size (copies, (gint) n_before);
  return plan_slots (h5, file, model, group, stored, NULL, dialect, copies, error);
}

static gboolean
plan_by_order (NnH5 *h5, const char *file, const NnModel *model, GPtrArray *stored,
    const Dialect *dialect, GPtrArray *copies, guint *n_matched, GError **error)
{
  g_autoptr (GPtrArray) groups = nn_keras_list_groups (model, FALSE);

  if (groups->len != stored->len)
    return nn_keras_fail (error, NN_ERROR_SHAPE, file,
        "the network has %u layers with weights, found %u in the file: it belongs to another"
        " network",
        groups->len, stored->len);
  for (guint i = 0; i < groups->len; i++)
    if (!plan_group (
            h5, file, model, groups->pdata[i], stored->pdata[i], dialect, copies, error))
      return FALSE;
  *n_matched = groups->len;
  return TRUE;
}

static gboolean
plan_by_name (NnH5 *h5, const char *file, const NnModel *model, GPtrArray *stored,
    const Dialect *dialect, GPtrArray *copies, guint *n_matched, GError **error)
{
  g_autoptr (GPtrArray) groups = nn_keras_list_groups (model, FALSE);
  g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);

  *n_matched = 0;
  for (guint i = 0; i < groups->len; i++) {
    NnKerasGroup *group = groups->pdata[i];

    g_hash_table_insert (by_name, (gpointer) group->name, group);
  }
  for (guint i = 0; i < stored->len; i++) {
    const Stored *theirs = stored->pdata[i];
    const NnKerasGroup *group = g_hash_table_lookup (by_name, theirs->name);

    if (group == NULL)
      continue;
    if (!plan_group (h5, file, model, group, theirs, dialect, copies, error))
      return FALSE;
    (*n_matched)++;
  }
  if (*n_matched == 0)
    nn_warning ("%s: no layer has the name of one of the network's, nothing was loaded", file);
  return TRUE;
}

/* How the file writes "layers/" in the places of arrays: tf.keras 2.12 to 2.14 had another name,
 * and tf.keras on Windows made one name of two. NULL: it is not Keras 3's layout. */
static const char *
find_stores (NnH5 *h5, const NnModel *model)
{
  static const char *const names[] = { "layers/", "_layer_checkpoint_dependencies/", "layers\\" };

  for (guint l = 0; l < model->n_layers; l++) {
    if (model->layers[l].n_params == 0 || model->layers[l].store == NULL)
      continue;
    for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
      g_auto (GStrv) parts = g_strsplit (model->layers[l].store, "layers/", -1);
      g_autofree char *store = g_strjoinv (names[i], parts), *path = g_strconcat ("/", store, NULL);

      if (nn_h5_has (h5, path))
        return names[i];
    }
  }
  return nn_h5_has (h5, "/layers") ? names[0] : NULL;
}

/* Keras 3's layout, in which names of classes and their numbers tell the place. */
static gboolean
plan_stores (NnH5 *h5, const char *file, const NnModel *model, const char *layers,
    GPtrArray *copies, guint *n_matched, GError **error)
{
  static const Dialect plain = { FALSE, FALSE };

  *n_matched = 0;
  for (guint l = 0; l < model->n_layers; l++) {
    const NnLayer *layer = &model->layers[l];
    g_auto (GStrv) parts = g_strsplit (layer->store ? layer->store : "", "layers/", -1);
    g_autofree char *store = g_strjoinv (layers, parts);
    const char *last = NULL;
    guint n = 0;

    for (guint k = 0; k < layer->n_params; k++) {
      const char *inner = layer->params[k].store;
      char *path;

      n = g_strcmp0 (inner, last) == 0 ? n : 0;
      last = inner;
      path = inner ? g_strdup_printf ("/%s/%s/vars/%u", store, inner, n++)
                   : g_strdup_printf ("/%s/vars/%u", store, n++);
      if (inner && !nn_h5_has (h5, path)) { /* tf.keras kept it under its private name */
        g_free (path);
        path = g_strdup_printf ("/%s/_%s/vars/%u", store, inner, n - 1);
      }
      if (!plan_copy (h5, file, path, model, layer, k, &plain, copies, error))
        return FALSE;
    }
    *n_matched += layer->n_params > 0;
  }
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
      && (backend = nn_keras_get_string (h5, group, "backend", error)) == NULL)
    return FALSE;
  if (nn_h5_has_attribute (h5, group, "keras_version")
      && (version = nn_keras_get_string (h5, group, "keras_version", error)) == NULL)
    return FALSE;
  dialect->flip = g_strcmp0 (backend, "theano") == 0;
  dialect->keras_1 = version == NULL || version[0] == '1';
  return TRUE;
}

static gboolean
plan_legacy (NnH5 *h5, const char *file, const NnModel *model, NnWeightsMatch match,
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
      return nn_keras_fail (error, NN_ERROR_UNSUPPORTED, file,
          "the model has weights outside of its layers ('%s'), which is not supported", names[0]);
  }
  stored = list_stored (h5, file, root, error);
  if (stored == NULL || !read_dialect (h5, root, &dialect, error))
    return FALSE;
  return match == NN_WEIGHTS_BY_NAME
      ? plan_by_name (h5, file, model, stored, &dialect, copies, n_matched, error)
      : plan_by_order (h5, file, model, stored, &dialect, copies, n_matched, error);
}

GPtrArray *
nn_keras_copies_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) copy_free);
}

gboolean
nn_keras_plan_weights (NnH5 *h5, const char *file, const NnModel *model, NnWeightsMatch match,
    GPtrArray *copies, guint *n_matched, GError **error)
{
  const gboolean is_legacy
      = nn_keras_has_list (h5, "/", "layer_names") || nn_h5_has (h5, "/model_weights");
  const char *layers = is_legacy ? NULL : find_stores (h5, model);

  if (layers && match == NN_WEIGHTS_BY_NAME)
    return nn_keras_fail (error, NN_ERROR_UNSUPPORTED, file,
        "weights in Keras 3's own layout have no names of layers: they cannot be matched by name");
  return layers ? plan_stores (h5, file, model, layers, copies, n_matched, error)
                : plan_legacy (h5, file, model, match, copies, n_matched, error);
}

gboolean
nn_keras_read_weights (
    NnH5 *h5, const char *file, GPtrArray *copies, float *values, GError **error)
{
  for (guint i = 0; i < copies->len; i++) {
    const Copy *copy = copies->pdata[i];

    if (!read_copy (h5, file, copy, values + copy->offset, error))
      return FALSE;
    warn_of_nan (file, copy, values + copy->offset);
  }
  return TRUE;
}
