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
#include "nn/hdf5-file.h"
#include "nn/keras-config.h"
#include "nn/layer.h"
#include "nn/log.h"
#include "nn/model-private.h"

#define LABELS "classify_labels"
#define PREPROCESS "classify_preprocess"
#define PREFIX "classify_"

/* What our files claim to be: the first version whose readers all take the
 * dictionary form of a Sequential. */
#define KERAS_VERSION "2.2.4-tf"

#define SAVE_AS_H5 "save it as legacy HDF5 instead: model.save (\"x.h5\") in Keras 2, tf.keras or Keras 3"

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

static gboolean
check_is_hdf5 (const char *path, GError **error)
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
list_stored (NnH5 *h5, const char *root, GError **error)
{
  g_autoptr (GPtrArray) layers = g_ptr_array_new_with_free_func ((GDestroyNotify) stored_free);
  const char *group = root[0] ? root : "/";
  g_auto (GStrv) names = nn_h5_get_long_strings (h5, group, "layer_names", error);

  if (names == NULL)
    return NULL;
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

/* Reads all weights into a block of nn_model_new_values(). */
static gboolean
read_weights (NnH5 *h5, const char *file, const NnModel *model, NnWeightsMatch match,
    float *values, guint *n_matched, GError **error)
{
  const char *root = find_weights (h5, file, error);
  g_autoptr (GPtrArray) stored = NULL;
  g_autoptr (GPtrArray) copies = g_ptr_array_new_with_free_func ((GDestroyNotify) copy_free);
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
  stored = list_stored (h5, root, error);
  if (stored == NULL || !read_dialect (h5, root, &dialect, error))
    return FALSE;
  if (match == NN_WEIGHTS_BY_NAME
          ? !plan_by_name (h5, file, model, stored, &dialect, copies, n_matched, error)
          : !plan_by_order (h5, file, model, stored, &dialect, copies, n_matched, error))
    return FALSE;
  for (guint i = 0; i < copies->len; i++) {
    const Copy *copy = copies->pdata[i];

    if (!read_copy (h5, file, copy, values + copy->offset, error))
      return FALSE;
    warn_of_nan (file, copy, values + copy->offset);
  }
  return TRUE;
}

/* --- labels and pre-processing ------------------------------------------ */

static const char *const channels_names[] = { [NN_CHANNELS_RGB] = "rgb",
  [NN_CHANNELS_BGR] = "bgr", [NN_CHANNELS_GRAY] = "gray", NULL };
static const char *const resize_names[] = { [NN_RESIZE_NEAREST] = "nearest",
  [NN_RESIZE_BILINEAR] = "bilinear", [NN_RESIZE_AREA] = "area", NULL };

static guint
count_channels (NnChannels channels)
{
  return channels == NN_CHANNELS_GRAY ? 1 : 3;
}

static gboolean
get_choice (JsonObject *object, const char *key, const char *const *names, guint *index)
{
  const char *name = nn_json_get_string (object, key);

  for (guint i = 0; name != NULL && names[i] != NULL; i++) {
    if (strcmp (names[i], name) == 0) {
      *index = i;
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean
get_floats (JsonObject *object, const char *key, guint n, float *values)
{
  JsonArray *array = nn_json_get_array (object, key);

  if (array == NULL || json_array_get_length (array) != n)
    return FALSE;
  for (guint i = 0; i < n; i++) {
    double value;

    if (!nn_json_node_get_double (json_array_get_element (array, i), &value))
      return FALSE;
    values[i] = (float) value;
    if (!isfinite (values[i]))
      return FALSE;
  }
  return TRUE;
}

static gboolean
parse_preprocess (const char *text, const char *file, const NnModel *model, NnPreprocess *pre,
    GError **error)
{
  const NnShape *input = nn_model_get_input_shape (model);
  g_autoptr (JsonParser) parser = nn_json_parse (text, -1, error);
  JsonNode *root = parser ? json_parser_get_root (parser) : NULL;
  JsonObject *object = root && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  gint64 width, height;
  guint channels, resize;

  if (parser == NULL) {
    g_prefix_error (error, "%s: attribute '" PREPROCESS "': ", file);
    return FALSE;
  }
  memset (pre, 0, sizeof *pre);
  if (object == NULL || !nn_json_node_get_int (nn_json_get (object, "width"), &width)
      || !nn_json_node_get_int (nn_json_get (object, "height"), &height)
      || !get_choice (object, "channels", channels_names, &channels)
      || !get_choice (object, "resize", resize_names, &resize)
      || !get_floats (object, "mean", count_channels (channels), pre->mean)
      || !get_floats (object, "scale", count_channels (channels), pre->scale))
    return fail (error, NN_ERROR_FORMAT, file,
        "attribute '" PREPROCESS "' should be {\"width\", \"height\", \"channels\": rgb, bgr or"
        " gray, \"resize\": nearest, bilinear or area, \"mean\": [..], \"scale\": [..]}");
  if (width < 1 || (guint64) width != input->dims[1] || height < 1
      || (guint64) height != input->dims[0] || count_channels (channels) != input->dims[2])
    return fail (error, NN_ERROR_SHAPE, file,
        "attribute '" PREPROCESS "' makes %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
        " pixels of %u channels, the network takes %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT
        " of %" G_GSIZE_FORMAT,
        width, height, count_channels (channels), input->dims[1], input->dims[0], input->dims[2]);
  pre->width = (guint) width;
  pre->height = (guint) height;
  pre->channels = channels;
  pre->resize = resize;
  return TRUE;
}

static char *
format_preprocess (const NnPreprocess *pre)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text,
      "{\"width\": %u, \"height\": %u, \"channels\": \"%s\", \"resize\": \"%s\"", pre->width,
      pre->height, channels_names[pre->channels], resize_names[pre->resize]);
  for (guint list = 0; list < 2; list++) {
    g_string_append_printf (text, ", \"%s\": [", list ? "scale" : "mean");
    for (guint i = 0; i < count_channels (pre->channels); i++) {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      /* nine digits tell any two floats apart */
      g_ascii_formatd (number, sizeof number, "%.9g", list ? pre->scale[i] : pre->mean[i]);
      g_string_append_printf (text, "%s%s", i ? ", " : "", number);
    }
    g_string_append_c (text, ']');
  }
  g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

/* What our files have beside Keras's. Kept apart until all was read. */
typedef struct
{
  char **labels;
  NnPreprocess preprocess;
  gboolean has_preprocess;
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
is_labels (const char *name)
{
  const char *rest = name + strlen (LABELS);

  return g_str_has_prefix (name, LABELS) && strspn (rest, "0123456789") == strlen (rest);
}

static gboolean
read_additions (NnH5 *h5, const char *file, const NnModel *model, Additions *additions,
    GError **error)
{
  g_auto (GStrv) names = nn_h5_list_attributes (h5, PREFIX, error);

  if (names == NULL)
    return FALSE;
  additions->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; names[i] != NULL; i++) {
    g_autofree char *text = NULL;

    if (is_labels (names[i])) {
      if (additions->labels == NULL
          && (additions->labels = nn_h5_get_long_strings (h5, "/", LABELS, error)) == NULL)
        return FALSE;
      continue;
    }
    text = get_string (h5, "/", names[i], error);
    if (text == NULL)
      return FALSE;
    if (strcmp (names[i], PREPROCESS) == 0) {
      if (!parse_preprocess (text, file, model, &additions->preprocess, error))
        return FALSE;
      additions->has_preprocess = TRUE;
    } else {
      g_hash_table_insert (additions->extra, g_strdup (names[i]), g_steal_pointer (&text));
    }
  }
  if (additions->labels != NULL
      && g_strv_length (additions->labels) != nn_model_get_n_classes (model))
    return fail (error, NN_ERROR_SHAPE, file,
        "the network tells %u classes, found %u labels in '" LABELS "'",
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
    model->labels = g_steal_pointer (&additions->labels);
  }
  if (additions->has_preprocess) {
    model->preprocess = additions->preprocess;
    model->has_preprocess = TRUE;
  }
  g_hash_table_iter_init (&iter, additions->extra);
  while (g_hash_table_iter_next (&iter, &key, &value))
    g_hash_table_insert (model->extra, g_strdup (key), g_strdup (value));
}

/* --- loading ------------------------------------------------------------ */

static gboolean
load_weights (NnH5 *h5, const char *path, NnModel *model, NnWeightsMatch match, guint *n_matched,
    GError **error)
{
  g_auto (Additions) additions = { NULL };
  float *values = nn_model_new_values (model, error);
  gsize size = nn_model_get_n_values (model) * sizeof (float);
  guint n = 0;

  if (values == NULL)
    return FALSE;
  /* By name, layers that the file does not know keep what they have. */
  if (match == NN_WEIGHTS_BY_NAME) {
    if (model->has_weights)
      memcpy (values, model->values, size);
    else if (!nn_model_fill_initial (model, 0, values, error))
      goto failed;
  }
  if (!read_weights (h5, path, model, match, values, &n, error)
      || !read_additions (h5, path, model, &additions, error)
      || !nn_model_alloc_params (model, error))
    goto failed;
  /* Copied, not swapped: who has looked at a parameter keeps a valid pointer. */
  memcpy (model->values, values, size);
  free (values);
  model->has_weights = TRUE;
  take_additions (model, &additions);
  if (n_matched != NULL)
    *n_matched = n;
  return TRUE;

failed:
  free (values);
  return FALSE;
}

/* The architecture of a whole-model file. */
static NnModel *
load_architecture (NnH5 *h5, const char *path, GError **error)
{
  g_autofree char *json = NULL;

  if (!nn_h5_has_attribute (h5, "/", "model_config")) {
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
load_model (const char *path, gboolean with_weights, GError **error)
{
  g_autoptr (NnH5) h5 = nn_h5_open (path, error);
  g_autoptr (NnModel) model = NULL;

  if (h5 == NULL)
    return NULL;
  model = load_architecture (h5, path, error);
  if (model == NULL)
    return NULL;
  if (with_weights) {
    if (!load_weights (h5, path, model, NN_WEIGHTS_BY_ORDER, NULL, error))
      return NULL;
  } else {
    g_auto (Additions) additions = { NULL };

    if (!read_additions (h5, path, model, &additions, error))
      return NULL;
    take_additions (model, &additions);
  }
  return g_steal_pointer (&model);
}

NnModel *
nn_model_load (const char *path, GError **error)
{
  return check_is_hdf5 (path, error) ? load_model (path, TRUE, error) : NULL;
}

NnModel *
nn_model_open (const char *path, const char *weights_path, GError **error)
{
  g_autoptr (NnModel) model = NULL;
  Kind kind;

  if (!identify (path, &kind, error))
    return NULL;
  if (kind == KIND_JSON)
    model = nn_model_new_from_json_file (path, error);
  else if (check_is_hdf5 (path, error))
    model = load_model (path, weights_path == NULL, error);
  if (model == NULL)
    return NULL;
  if (weights_path != NULL
      && !nn_model_load_weights (model, weights_path, NN_WEIGHTS_BY_ORDER, NULL, error))
    return NULL;
  return g_steal_pointer (&model);
}

gboolean
nn_model_load_weights (NnModel *model, const char *path, NnWeightsMatch match, guint *n_matched,
    GError **error)
{
  g_autoptr (NnH5) h5 = NULL;

  if (!check_is_hdf5 (path, error))
    return FALSE;
  h5 = nn_h5_open (path, error);
  return h5 != NULL && load_weights (h5, path, model, match, n_matched, error);
}

/* --- saving ------------------------------------------------------------- */

static gboolean
write_layer (NnH5 *h5, const char *group, const NnLayer *layer, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint k = 0; k < layer->n_params; k++)
    g_ptr_array_add (names, g_strdup_printf ("%s/%s:0", layer->name, layer->params[k].name));
  g_ptr_array_add (names, NULL);
  if (!nn_h5_make_group (h5, group, error)
      || !nn_h5_set_strings (h5, group, "weight_names", (const char *const *) names->pdata, error))
    return FALSE;
  for (guint k = 0; k < layer->n_params; k++) {
    g_autofree char *path = g_strconcat (group, "/", names->pdata[k], NULL);

    if (!nn_h5_write_floats (h5, path, &layer->params[k].shape, layer->params[k].data, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_versions (NnH5 *h5, const char *group, GError **error)
{
  /* Fixed length: Keras 2.0 to 2.3 decodes what h5py gives for these two, and
   * h5py 3 gives bytes only for fixed lengths. */
  return nn_h5_set_string (h5, group, "backend", "tensorflow", TRUE, error)
      && nn_h5_set_string (h5, group, "keras_version", KERAS_VERSION, TRUE, error);
}

static gboolean
write_weights (NnH5 *h5, const char *root, const NnModel *model, GError **error)
{
  g_autofree const char **names = g_new0 (const char *, model->n_layers + 1);
  const char *group = root[0] ? root : "/";
  guint n = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    if (nn_model_is_listed (model, i))
      names[n++] = model->layers[i].name;
  }
  if (!nn_h5_set_strings (h5, group, "layer_names", names, error)
      || !write_versions (h5, group, error))
    return FALSE;
  for (guint i = 0; i < model->n_layers; i++) {
    g_autofree char *layer_group = g_strconcat (root, "/", model->layers[i].name, NULL);

    if (nn_model_is_listed (model, i)
        && !write_layer (h5, layer_group, &model->layers[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_additions (NnH5 *h5, const NnModel *model, GError **error)
{
  g_autofree char *preprocess = format_preprocess (&model->preprocess);
  GHashTableIter iter;
  gpointer key, value;

  if (model->labels != NULL
      && !nn_h5_set_strings (h5, "/", LABELS, (const char *const *) model->labels, error))
    return FALSE;
  /* Not where the network takes what no picture gives. */
  if (count_channels (model->preprocess.channels) == nn_model_get_input_shape (model)->dims[2]
      && !nn_h5_set_string (h5, "/", PREPROCESS, preprocess, FALSE, error))
    return FALSE;
  g_hash_table_iter_init (&iter, model->extra);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    if (g_str_has_prefix (key, PREFIX) && !is_labels (key) && strcmp (key, PREPROCESS) != 0
        && !nn_h5_set_string (h5, "/", key, value, FALSE, error))
      return FALSE;
  }
  return TRUE;
}

/* {"optimizer_config": {...}, "loss": ..}, with the keys that tf.keras 2.x and
 * Keras 3 both take; without "is_legacy_optimizer" tf.keras 2.11 and later
 * take the optimizer that matches the order of optimizer_weights below. */
static char *
format_training_config (const NnOptimizer *optimizer, const char *loss)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  gboolean is_adam = optimizer->kind == NN_OPTIMIZER_ADAM;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "optimizer_config");
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "class_name");
  json_builder_add_string_value (builder, is_adam ? "Adam" : "SGD");
  json_builder_set_member_name (builder, "config");
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "name");
  json_builder_add_string_value (builder, is_adam ? "Adam" : "SGD");
  json_builder_set_member_name (builder, "learning_rate");
  json_builder_add_double_value (builder, optimizer->learning_rate);
  if (optimizer->decay != 0) { /* Keras 3 warns of it */
    json_builder_set_member_name (builder, "decay");
    json_builder_add_double_value (builder, optimizer->decay);
  }
  if (is_adam) {
    json_builder_set_member_name (builder, "beta_1");
    json_builder_add_double_value (builder, optimizer->beta_1);
    json_builder_set_member_name (builder, "beta_2");
    json_builder_add_double_value (builder, optimizer->beta_2);
    json_builder_set_member_name (builder, "epsilon");
    json_builder_add_double_value (builder, optimizer->epsilon);
    json_builder_set_member_name (builder, "amsgrad");
    json_builder_add_boolean_value (builder, FALSE);
  } else {
    json_builder_set_member_name (builder, "momentum");
    json_builder_add_double_value (builder, optimizer->momentum);
    json_builder_set_member_name (builder, "nesterov");
    json_builder_add_boolean_value (builder, FALSE);
  }
  json_builder_end_object (builder);
  json_builder_end_object (builder);
  json_builder_set_member_name (builder, "loss");
  if (loss != NULL)
    json_builder_add_string_value (builder, loss);
  else
    json_builder_add_null_value (builder);
  json_builder_set_member_name (builder, "metrics");
  json_builder_begin_array (builder);
  json_builder_add_string_value (builder, "accuracy");
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "weighted_metrics");
  json_builder_add_null_value (builder);
  json_builder_set_member_name (builder, "sample_weight_mode");
  json_builder_add_null_value (builder);
  json_builder_set_member_name (builder, "loss_weights");
  json_builder_add_null_value (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

/* tf.keras's OptimizerV2 (2.0 to 2.10, from 2.11 as the legacy optimizers):
 * the step count, all m, then all v; SGD: momentum where there is one. */
static gboolean
write_optimizer (NnH5 *h5, const NnModel *model, const NnOptimizer *optimizer, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  gboolean is_adam = optimizer->kind == NN_OPTIMIZER_ADAM;
  const char *name = is_adam ? "Adam" : "SGD";
  guint n_kinds = is_adam ? 2 : optimizer->momentum != 0 ? 1 : 0;
  static const char group[] = "/optimizer_weights";
  g_autofree char *first = NULL;

  g_ptr_array_add (names, g_strdup_printf ("%s/iter:0", name));
  first = g_strconcat (group, "/", names->pdata[0], NULL);
  if (!nn_h5_make_group (h5, group, error)
      || !nn_h5_write_int (h5, first, optimizer->iterations, error))
    return FALSE;
  for (guint kind = 0; kind < n_kinds; kind++) {
    guint slot = 0;

    for (guint i = 0; i < model->n_layers; i++) {
      const NnLayer *layer = &model->layers[i];

      for (guint k = 0; k < layer->n_params; k++) {
        const NnParam *param = &layer->params[k];
        g_autofree char *path = NULL;

        if (!param->trainable)
          continue;
        g_return_val_if_fail (
            slot < optimizer->n_slots && optimizer->sizes[slot] == param->n_values, FALSE);
        g_ptr_array_add (names, g_strdup_printf ("%s/%s/%s/%s:0", name, layer->name, param->name,
            !is_adam ? "momentum" : kind == 0 ? "m" : "v"));
        path = g_strconcat (group, "/", names->pdata[names->len - 1], NULL);
        if (!nn_h5_write_floats (h5, path, &param->shape,
                (kind == 0 ? optimizer->m : optimizer->v)[slot++], error))
          return FALSE;
      }
    }
  }
  g_ptr_array_add (names, NULL);
  return nn_h5_set_strings (h5, group, "weight_names", (const char *const *) names->pdata, error);
}

static gboolean
check_has_weights (const NnModel *model, const char *path, GError **error)
{
  if (!model->has_weights)
    return fail (error, NN_ERROR_WRITE, path, "the model has no weights to save");
  return TRUE;
}

/* Parameters, twice more for an optimizer, and names. */
static gsize
estimate_size (const NnModel *model, const NnOptimizer *optimizer)
{
  return nn_model_get_n_values (model) * sizeof (float) * (optimizer ? 3 : 1)
      + (gsize) model->n_layers * 8192 + 65536;
}

gboolean
nn_model_save (const NnModel *model, const char *path, const NnOptimizer *optimizer,
    const char *loss, GError **error)
{
  g_autoptr (NnH5) h5 = NULL;
  g_autofree char *json = NULL, *training = NULL;

  if (!check_has_weights (model, path, error))
    return FALSE;
  json = nn_model_json_for_file (model, error);
  h5 = json ? nn_h5_new (estimate_size (model, optimizer), error) : NULL;
  if (h5 == NULL || !write_versions (h5, "/", error)
      || !nn_h5_set_string (h5, "/", "model_config", json, FALSE, error)
      || !nn_h5_make_group (h5, "/model_weights", error)
      || !write_weights (h5, "/model_weights", model, error)
      || !write_additions (h5, model, error))
    goto failed;
  if (optimizer != NULL) {
    training = format_training_config (optimizer, loss);
    if (!nn_h5_set_string (h5, "/", "training_config", training, FALSE, error)
        || !write_optimizer (h5, model, optimizer, error))
      goto failed;
  }
  return nn_h5_save (h5, path, error);

failed:
  g_prefix_error (error, "%s: ", path);
  return FALSE;
}

gboolean
nn_model_save_weights (const NnModel *model, const char *path, GError **error)
{
  g_autoptr (NnH5) h5 = NULL;

  if (!check_has_weights (model, path, error))
    return FALSE;
  h5 = nn_h5_new (estimate_size (model, NULL), error);
  if (h5 == NULL || !write_weights (h5, "", model, error) || !write_additions (h5, model, error)) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  return nn_h5_save (h5, path, error);
}

/* --- the optimizer ------------------------------------------------------ */

/* The trainable parameters: (element-type NnParam), in the order of slots. */
static GPtrArray *
list_trainable (const NnModel *model)
{
  GPtrArray *params = g_ptr_array_new ();

  for (guint i = 0; i < model->n_layers; i++) {
    for (guint k = 0; k < model->layers[i].n_params; k++) {
      if (model->layers[i].params[k].trainable)
        g_ptr_array_add (params, (gpointer) &model->layers[i].params[k]);
    }
  }
  return params;
}

/* tf.keras 2.11 to 2.15 and Keras 3 write m and v of each parameter together;
 * everyone else all m, then all v. */
static gboolean
is_interleaved (char **names, guint n)
{
  return n > 1
      && (strstr (names[1], "/v/") != NULL || g_str_has_suffix (names[1], "_velocity")
          || g_str_has_suffix (names[1], "/velocity"));
}

static gboolean
load_slots (NnH5 *h5, char **names, gboolean interleaved, GPtrArray *params, guint n_kinds,
    float **slots, GError **error)
{
  for (guint kind = 0; kind < n_kinds; kind++) {
    for (guint i = 0; i < params->len; i++) {
      const NnParam *param = params->pdata[i];
      guint index = interleaved ? i * n_kinds + kind : kind * params->len + i;
      g_autofree char *path = g_strconcat ("/optimizer_weights/", names[index], NULL);
      NnShape shape;

      /* looked at before memory is taken for it */
      if (!nn_h5_get_shape (h5, path, &shape, error))
        return FALSE;
      slots[kind * params->len + i] = g_try_new (float, param->n_values);
      if (slots[kind * params->len + i] == NULL) {
        g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for '%s'", path);
        return FALSE;
      }
      if (!nn_h5_read_floats (h5, path, &param->shape, slots[kind * params->len + i], error))
        return FALSE;
    }
  }
  return TRUE;
}

gboolean
nn_optimizer_load (NnOptimizer *optimizer, const NnModel *model, const char *path, GError **error)
{
  g_autoptr (NnH5) h5 = NULL;
  g_autoptr (GPtrArray) params = list_trainable (model);
  g_auto (GStrv) names = NULL;
  g_autofree char *first = NULL;
  float **slots;
  char **rest;
  guint n = params->len, n_rest, n_kinds = optimizer->kind == NN_OPTIMIZER_ADAM ? 2 : 1;
  gint64 iterations;
  gboolean ok;

  g_return_val_if_fail (optimizer->n_slots == n, FALSE);
  if (!check_is_hdf5 (path, error) || (h5 = nn_h5_open (path, error)) == NULL)
    return FALSE;
  if (!nn_h5_has (h5, "/optimizer_weights"))
    return fail (error, NN_ERROR_NOT_FOUND, path,
        "the file holds no optimizer state (\"optimizer_weights\"): it was saved without, or"
        " before the first step");
  names = nn_h5_get_long_strings (h5, "/optimizer_weights", "weight_names", error);
  if (names == NULL)
    return FALSE;
  if (names[0] == NULL)
    return fail (error, NN_ERROR_FORMAT, path, "the optimizer state is empty");
  first = g_strconcat ("/optimizer_weights/", names[0], NULL);
  if (!nn_h5_read_int (h5, first, &iterations, error))
    return FALSE;
  if (iterations < 0)
    return fail (error, NN_ERROR_FORMAT, path,
        "'%s' should be a number of steps, found %" G_GINT64_FORMAT, first, iterations);

  rest = names + 1;
  if (rest[0] != NULL && strstr (rest[0], "learning_rate") != NULL) /* Keras 3 */
    rest++;
  n_rest = g_strv_length (rest);
  if (n_kinds == 1 && n_rest == 0)
    n_kinds = 0; /* SGD without momentum */
  /* Keras 2.1.3 to 2.3 append vhat, of which Adam without amsgrad has no use. */
  if (n_rest != n_kinds * n && !(n_kinds == 2 && n_rest == 3 * n))
    return fail (error, NN_ERROR_SHAPE, path,
        "the optimizer state should have %u arrays beside the step count, found %u: it belongs to"
        " another network or optimizer",
        n_kinds * n, n_rest);

  slots = g_new0 (float *, 2 * (gsize) n + 1);
  ok = load_slots (h5, rest, n_rest == 2 * n && is_interleaved (rest, n_rest), params, n_kinds,
      slots, error);
  for (guint i = 0; i < n_kinds * n; i++) {
    if (ok)
      memcpy ((i < n ? optimizer->m : optimizer->v)[i % n], slots[i],
          optimizer->sizes[i % n] * sizeof (float));
    g_free (slots[i]);
  }
  g_free (slots);
  if (ok)
    optimizer->iterations = iterations;
  return ok;
}
