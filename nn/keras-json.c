/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keras's architecture JSON to a model:
 *
 *   {"class_name": "Sequential", "config": [LAYER, ...]}               Keras <= 2.2.2
 *   {"class_name": "Sequential", "config": {"name", "layers": [...]}}  later
 *   {"class_name": "Model" or "Functional", "config": {"name", "layers": [...],
 *     "input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 0]]}}
 *
 * LAYER is {"class_name", "config"}; in a functional model also "name" and
 * "inbound_nodes", one node per call of the layer, in two forms:
 *   [[["conv", 0, 0, {}]]]                                    Keras 2 and tf.keras
 *   [{"args": [{"class_name": "__keras_tensor__", "config":
 *       {"keras_history": ["conv", 0, 0]}}], "kwargs": {}}]   Keras 3 */

#include <math.h>
#include <string.h>

#include "nn/file.h"
#include "nn/keras-config.h"
#include "nn/layer.h"
#include "nn/model-private.h"
#include "nn/text.h"

#define MAX_JSON_SIZE ((gsize) 64 << 20)
#define MAX_DEPTH 64 /* Keras 3's deepest nodes have about 20 levels */

/* A layer as the JSON lists it, before it has a place in the model. */
typedef struct
{
  const char *name;
  const NnLayerClass *klass;
  JsonObject *config; /* not owned */
  GArray *inputs;     /* guint, indices into the list */
  guint n_waiting;    /* inputs that have no place yet, while sorting */
} Listed;

typedef struct
{
  GArray *layers;      /* Listed */
  GHashTable *by_name; /* name -> index + 1 */
} List;

static void
clear_listed (gpointer data)
{
  g_clear_pointer (&((Listed *) data)->inputs, g_array_unref);
}

static void
list_free (List *list)
{
  g_array_unref (list->layers);
  g_hash_table_unref (list->by_name);
  g_free (list);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (List, list_free)

static List *
list_new (void)
{
  List *list = g_new0 (List, 1);

  list->layers = g_array_new (FALSE, TRUE, sizeof (Listed));
  g_array_set_clear_func (list->layers, clear_listed);
  list->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  return list;
}

static Listed *
list_get (List *list, guint index)
{
  return &g_array_index (list->layers, Listed, index);
}

static gboolean G_GNUC_PRINTF (3, 4)
fail (GError **error, NnErrorCode code, const char *format, ...)
{
  va_list args;
  g_autofree char *message = NULL;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, NN_ERROR, code, message);
  nn_text_make_printable (error);
  return FALSE;
}

/* --- text --------------------------------------------------------------- */

/* json-glib recurses for each level and reads comments that JSON does not
 * have; both are settled before it sees the text. */
static gboolean
check_text (const char *json, gsize length, GError **error)
{
  gboolean in_string = FALSE, in_fraction = FALSE;
  guint depth = 0, line = 1, n_digits = 0;

  if (length > MAX_JSON_SIZE)
    return fail (error, NN_ERROR_FORMAT,
        "expected JSON of at most %" G_GSIZE_FORMAT " bytes, found %" G_GSIZE_FORMAT,
        MAX_JSON_SIZE, length);
  if (!g_utf8_validate (json, length, NULL))
    return fail (error, NN_ERROR_FORMAT, "expected JSON, found bytes that are not UTF-8 text");

  for (gsize i = 0; i < length; i++) {
    char c = json[i];

    if (c == '\n')
      line++;
    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = FALSE;
    } else if (c == '"') {
      in_string = TRUE;
    } else if (c == '{' || c == '[') {
      if (++depth > MAX_DEPTH)
        return fail (error, NN_ERROR_FORMAT,
            "line %u: nested deeper than %d levels, which no Keras model is", line, MAX_DEPTH);
    } else if (c == '}' || c == ']') {
      if (depth > 0)
        depth--;
    } else if (g_ascii_isdigit (c)) {
      /* json-glib wraps whole numbers that do not fit 64 bits */
      if (!in_fraction && ++n_digits > 18)
        return fail (error, NN_ERROR_FORMAT, "line %u: a number has too many digits", line);
      continue;
    } else if (!g_ascii_isalnum (c) && !g_ascii_isspace (c) && strchr (",:+-.", c) == NULL) {
      return fail (error, NN_ERROR_FORMAT, "line %u: expected JSON, found '%.*s'", line,
          (int) (g_utf8_next_char (json + i) - (json + i)), json + i);
    }
    n_digits = 0;
    in_fraction = c == '.';
  }
  return TRUE;
}

static gboolean
check_string (const char *text, GError **error)
{
  return g_utf8_validate (text, -1, NULL)
      || fail (error, NN_ERROR_FORMAT,
          "a text has half a character (\\ud800 to \\udfff without its other half): \"%s\"", text);
}

/* json-glib makes bytes that are not UTF-8 of an escape sequence such as "\ud800" alone; they
 * could be written into a file, and not be read again. As deep as check_text() allows. */
static gboolean
check_strings (JsonNode *node, GError **error)
{
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObjectIter iter;
    const char *name;
    JsonNode *member;

    json_object_iter_init (&iter, json_node_get_object (node));
    while (json_object_iter_next (&iter, &name, &member))
      if (!check_string (name, error) || !check_strings (member, error))
        return FALSE;
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++)
      if (!check_strings (json_array_get_element (array, i), error))
        return FALSE;
  } else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING) {
    return check_string (json_node_get_string (node), error);
  }
  return TRUE;
}

JsonParser *
nn_json_parse (const char *json, gssize length, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  GError *json_error = NULL;
  gsize size = length < 0 ? strlen (json) : (gsize) length;

  if (!check_text (json, size, error))
    return NULL;
  parser = json_parser_new_immutable ();
  if (!json_parser_load_from_data (parser, json, size, &json_error)) {
    /* "<data>:3:14: Parse error: ..." */
    const char *message = json_error->message;

    if (g_str_has_prefix (message, "<data>:"))
      message += strlen ("<data>:");
    fail (error, NN_ERROR_FORMAT, "not well-formed JSON: %s", message);
    g_error_free (json_error);
    return NULL;
  }
  if (json_parser_get_root (parser) == NULL) {
    fail (error, NN_ERROR_FORMAT, "expected JSON, found an empty text");
    return NULL;
  }
  if (!check_strings (json_parser_get_root (parser), error))
    return NULL;
  return g_steal_pointer (&parser);
}

/* --- layers as listed --------------------------------------------------- */

static gboolean
list_append (List *list, JsonNode *node, gboolean is_functional, GError **error)
{
  guint index = list->layers->len;
  Listed listed = { NULL };
  JsonObject *object;
  const char *class_name;

  if (index == NN_MAX_LAYERS)
    return fail (error, NN_ERROR_FORMAT, "more than %d layers", NN_MAX_LAYERS);
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (error, NN_ERROR_FORMAT, "layer %u of the list is not an object", index + 1);
  object = json_node_get_object (node);
  class_name = nn_json_get_string (object, "class_name");
  listed.config = nn_json_get_object (object, "config");
  if (class_name == NULL || listed.config == NULL)
    return fail (error, NN_ERROR_FORMAT,
        "layer %u of the list should have a \"class_name\" and a \"config\"", index + 1);

  if (is_functional)
    listed.name = nn_json_get_string (object, "name");
  if (listed.name == NULL)
    listed.name = nn_json_get_string (listed.config, "name");
  if (listed.name == NULL || listed.name[0] == '\0')
    return fail (error, NN_ERROR_FORMAT, "layer %u of the list (%s) has no name", index + 1,
        class_name);

  listed.klass = nn_layer_class_find (class_name);
  if (listed.klass == NULL) {
    gboolean is_model = strcmp (class_name, "Sequential") == 0
        || strcmp (class_name, "Functional") == 0 || strcmp (class_name, "Model") == 0;

    return fail (error, NN_ERROR_UNSUPPORTED,
        is_model ? "layer '%s' is itself a model (%s), which is not supported: list its layers"
                   " in one model"
                 : "layer '%s' is a %s, a kind of layer that is not supported",
        listed.name, class_name);
  }
  if (!g_hash_table_insert (list->by_name, (gpointer) listed.name, GUINT_TO_POINTER (index + 1)))
    return fail (error, NN_ERROR_FORMAT, "two layers have the name '%s'", listed.name);
  listed.inputs = g_array_new (FALSE, FALSE, sizeof (guint));
  g_array_append_val (list->layers, listed);
  return TRUE;
}

/* --- nodes of a functional model ---------------------------------------- */

/* ["conv", 0, 0, {}]: adds the layer to @index's inputs. */
static gboolean
add_history (List *list, guint index, JsonArray *history, GError **error)
{
  Listed *listed = list_get (list, index);
  guint n = json_array_get_length (history), input;
  JsonNode *first = n > 0 ? json_array_get_element (history, 0) : NULL;
  const char *name = first != NULL && JSON_NODE_HOLDS_VALUE (first)
          && json_node_get_value_type (first) == G_TYPE_STRING
      ? json_node_get_string (first)
      : NULL;
  gint64 node, tensor;

  if (name == NULL || n < 3 || n > 4
      || !nn_json_node_get_int (json_array_get_element (history, 1), &node)
      || !nn_json_node_get_int (json_array_get_element (history, 2), &tensor))
    return fail (error, NN_ERROR_FORMAT,
        "layer '%s': an inbound node should be [\"layer\", node, tensor], it is not",
        listed->name);
  input = GPOINTER_TO_UINT (g_hash_table_lookup (list->by_name, name));
  if (input == 0 || tensor != 0)
    return fail (error, NN_ERROR_FORMAT,
        "layer '%s' takes its input from '%s' (node %" G_GINT64_FORMAT ", tensor %" G_GINT64_FORMAT
        "), which does not exist",
        listed->name, name, node, tensor);
  if (node != 0)
    return fail (error, NN_ERROR_UNSUPPORTED,
        "layer '%s' takes its input from call %" G_GINT64_FORMAT
        " of '%s': layers that are used more than once are not supported",
        listed->name, node + 1, name);
  input--;
  g_array_append_val (listed->inputs, input);
  return TRUE;
}

/* Keyword arguments of a call: only training=True changes what is computed. */
static gboolean
check_kwargs (const Listed *listed, JsonNode *node, GError **error)
{
  JsonNode *training;

  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return TRUE;
  training = nn_json_get (json_node_get_object (node), "training");
  if (training != NULL
      && !(JSON_NODE_HOLDS_VALUE (training)
          && json_node_get_value_type (training) == G_TYPE_BOOLEAN
          && !json_node_get_boolean (training)))
    return fail (error, NN_ERROR_UNSUPPORTED,
        "layer '%s' is called with training=True, which is not supported", listed->name);
  return TRUE;
}

/* Keras 3: finds the tensors among positional arguments; lists (of merging
 * layers) may nest. The depth is bounded by that of the text. */
static gboolean
add_keras3_args (List *list, guint index, JsonNode *node, GError **error)
{
  Listed *listed = list_get (list, index);

  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++) {
      if (!add_keras3_args (list, index, json_array_get_element (array, i), error))
        return FALSE;
    }
    return TRUE;
  }
  if (JSON_NODE_HOLDS_OBJECT (node)
      && g_strcmp0 (nn_json_get_string (json_node_get_object (node), "class_name"),
             "__keras_tensor__")
          == 0) {
    JsonObject *config = nn_json_get_object (json_node_get_object (node), "config");
    JsonArray *history = config ? nn_json_get_array (config, "keras_history") : NULL;

    if (history == NULL)
      return fail (error, NN_ERROR_FORMAT, "layer '%s': a tensor has no \"keras_history\"",
          listed->name);
    return add_history (list, index, history, error);
  }
  return fail (error, NN_ERROR_UNSUPPORTED,
      "layer '%s' is called with something that is not another layer's output", listed->name);
}

static gboolean
add_node (List *list, guint index, JsonNode *node, GError **error)
{
  Listed *listed = list_get (list, index);

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_node_get_object (node);
    JsonArray *args = nn_json_get_array (object, "args");

    if (args == NULL)
      return fail (error, NN_ERROR_FORMAT, "layer '%s': an inbound node has no \"args\"",
          listed->name);
    return check_kwargs (listed, nn_json_get (object, "kwargs"), error)
        && add_keras3_args (list, index, json_object_get_member (object, "args"), error);
  }
  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *tensors = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (tensors); i++) {
      JsonNode *tensor = json_array_get_element (tensors, i);
      JsonArray *history = JSON_NODE_HOLDS_ARRAY (tensor) ? json_node_get_array (tensor) : NULL;

      if (history == NULL)
        return fail (error, NN_ERROR_FORMAT, "layer '%s': an inbound node is not a list",
            listed->name);
      if (!add_history (list, index, history, error)
          || (json_array_get_length (history) == 4
              && !check_kwargs (listed, json_array_get_element (history, 3), error)))
        return FALSE;
    }
    return TRUE;
  }
  return fail (error, NN_ERROR_FORMAT, "layer '%s': an inbound node is no list", listed->name);
}

static gboolean
add_nodes (List *list, guint index, JsonObject *layer, GError **error)
{
  Listed *listed = list_get (list, index);
  JsonArray *nodes = nn_json_get_array (layer, "inbound_nodes");
  guint n_nodes = nodes ? json_array_get_length (nodes) : 0;

  if (listed->klass->kind == NN_LAYER_INPUT) {
    if (n_nodes != 0)
      return fail (error, NN_ERROR_FORMAT, "layer '%s' is an input and has inputs itself",
          listed->name);
    return TRUE;
  }
  if (n_nodes > 1)
    return fail (error, NN_ERROR_UNSUPPORTED,
        "layer '%s' is used %u times: layers that are used more than once are not supported",
        listed->name, n_nodes);
  if (n_nodes == 1 && !add_node (list, index, json_array_get_element (nodes, 0), error))
    return FALSE;
  /* None of the layers known so far merges; the first that does brings its
   * own number. */
  if (listed->inputs->len != 1)
    return fail (error, NN_ERROR_FORMAT, "layer '%s' (%s) should have one input, found %u",
        listed->name, listed->klass->name, listed->inputs->len);
  return TRUE;
}

/* "output_layers": [["y", 0, 0]], ["y", 0, 0] or {"key": ["y", 0, 0]}. */
static gboolean
find_end (List *list, JsonObject *config, const char *key, guint *index, GError **error)
{
  const char *what = key[0] == 'i' ? "input" : "output";
  JsonNode *node = nn_json_get (config, key);
  g_autoptr (GList) values = NULL;
  const char *name = NULL;
  guint found;

  if (node != NULL && JSON_NODE_HOLDS_OBJECT (node)) {
    values = json_object_get_values (json_node_get_object (node));
    if (g_list_length (values) > 1)
      return fail (error, NN_ERROR_UNSUPPORTED, "the model has %u %ss, only one is supported",
          g_list_length (values), what);
    node = values ? values->data : NULL;
  } else if (node != NULL && JSON_NODE_HOLDS_ARRAY (node)
      && json_array_get_length (json_node_get_array (node)) > 0
      && JSON_NODE_HOLDS_ARRAY (json_array_get_element (json_node_get_array (node), 0))) {
    JsonArray *ends = json_node_get_array (node);

    if (json_array_get_length (ends) > 1)
      return fail (error, NN_ERROR_UNSUPPORTED, "the model has %u %ss, only one is supported",
          json_array_get_length (ends), what);
    node = json_array_get_element (ends, 0);
  }
  if (node != NULL && JSON_NODE_HOLDS_ARRAY (node)
      && json_array_get_length (json_node_get_array (node)) >= 3) {
    JsonNode *first = json_array_get_element (json_node_get_array (node), 0);

    if (JSON_NODE_HOLDS_VALUE (first) && json_node_get_value_type (first) == G_TYPE_STRING)
      name = json_node_get_string (first);
  }
  if (name == NULL)
    return fail (error, NN_ERROR_FORMAT, "\"%s\" should be [[\"layer\", 0, 0]], it is not", key);
  found = GPOINTER_TO_UINT (g_hash_table_lookup (list->by_name, name));
  if (found == 0)
    return fail (error, NN_ERROR_FORMAT, "\"%s\" names '%s', a layer that does not exist", key,
        name);
  *index = found - 1;
  return TRUE;
}

/* --- order -------------------------------------------------------------- */

static int
compare_indices (gconstpointer a, gconstpointer b)
{
  return *(const guint *) a < *(const guint *) b ? -1 : 1;
}

/* @order: every layer after its inputs, else as listed (Keras lists them so
 * already, and weights are matched in that order). */
static gboolean
sort (List *list, guint output, GArray *order, GError **error)
{
  guint n = list->layers->len;
  g_autoptr (GPtrArray) consumers = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  g_autoptr (GArray) ready = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autofree gboolean *is_used = g_new0 (gboolean, n);

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (consumers, g_array_new (FALSE, FALSE, sizeof (guint)));
  for (guint i = 0; i < n; i++) {
    Listed *listed = list_get (list, i);

    listed->n_waiting = listed->inputs->len;
    for (guint k = 0; k < listed->inputs->len; k++)
      g_array_append_val (consumers->pdata[g_array_index (listed->inputs, guint, k)], i);
    if (listed->n_waiting == 0)
      g_array_append_val (ready, i);
  }
  while (ready->len > 0) {
    guint index = g_array_index (ready, guint, 0);
    GArray *next = consumers->pdata[index];

    g_array_remove_index (ready, 0);
    g_array_append_val (order, index);
    for (guint k = 0; k < next->len; k++) {
      guint consumer = g_array_index (next, guint, k);

      if (--list_get (list, consumer)->n_waiting == 0)
        g_array_append_val (ready, consumer);
    }
    if (next->len > 0)
      g_array_sort (ready, compare_indices);
  }
  if (order->len < n) {
    for (guint i = 0; i < n; i++) {
      if (list_get (list, i)->n_waiting > 0)
        return fail (error, NN_ERROR_FORMAT,
            "layer '%s' depends on its own output: the graph has a cycle",
            list_get (list, i)->name);
    }
  }

  is_used[output] = TRUE;
  for (guint k = n; k-- > 0;) {
    guint index = g_array_index (order, guint, k);
    Listed *listed = list_get (list, index);

    if (!is_used[index])
      return fail (error, NN_ERROR_FORMAT, "layer '%s' does not lead to the output", listed->name);
    for (guint i = 0; i < listed->inputs->len; i++)
      is_used[g_array_index (listed->inputs, guint, i)] = TRUE;
  }
  return TRUE;
}

/* --- shapes ------------------------------------------------------------- */

/* [null, 200, 200, 3] */
static gboolean
parse_input_shape (JsonNode *node, const char *name, NnShape *shape, GError **error)
{
  g_autofree char *found = nn_json_describe (node);
  JsonArray *array;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node)
      || json_array_get_length (json_node_get_array (node)) != 4)
    return fail (error, NN_ERROR_UNSUPPORTED,
        "layer '%s': the input shape should be [null, height, width, channels], found %s", name,
        found);
  array = json_node_get_array (node);
  shape->n_dims = 3;
  for (guint i = 0; i < 3; i++) {
    JsonNode *size = json_array_get_element (array, i + 1);
    gint64 number;

    if (JSON_NODE_HOLDS_NULL (size))
      return fail (error, NN_ERROR_UNSUPPORTED,
          "layer '%s': the input shape %s leaves the %s open: a fixed size is needed, build the"
          " model with one",
          name, found, i == 0 ? "height" : i == 1 ? "width" : "number of channels");
    if (!nn_json_node_get_int (size, &number) || number < 1 || number > (gint64) NN_MAX_SIZE)
      return fail (error, NN_ERROR_FORMAT,
          "layer '%s': the input shape should have sizes from 1 to %" G_GSIZE_FORMAT ", found %s",
          name, NN_MAX_SIZE, found);
    shape->dims[i] = (gsize) number;
  }
  return TRUE;
}

/* Where Keras's versions keep it. */
static JsonNode *
find_input_shape (JsonObject *config)
{
  JsonNode *node = nn_json_get (config, "batch_input_shape");

  return node ? node : nn_json_get (config, "batch_shape");
}

static gboolean
infer_layer (NnModel *model, guint index, GError **error)
{
  NnLayer *layer = &model->layers[index];

  if (layer->n_inputs > 0)
    layer->in_shape = model->layers[layer->inputs[0]].out_shape;
  return layer->klass->infer (layer, error);
}

gboolean
nn_model_infer_shapes (NnModel *model, guint first, GError **error)
{
  for (guint i = first; i < model->n_layers; i++) {
    if (!infer_layer (model, i, error))
      return FALSE;
  }
  return TRUE;
}

/* --- the whole ---------------------------------------------------------- */

static gboolean
init_input (NnModel *model, const char *name, JsonNode *shape, GError **error)
{
  NnLayer *layer = &model->layers[0];

  layer->klass = nn_layer_class_find ("InputLayer");
  layer->kind = layer->klass->kind;
  layer->name = g_strdup (name);
  layer->trainable = TRUE;
  model->n_layers = 1;
  if (!parse_input_shape (shape, name, &layer->in_shape, error))
    return FALSE;
  return nn_layer_set_shape (layer, "the input", &layer->in_shape, 3, layer->in_shape.dims, error)
      && infer_layer (model, 0, error);
}

static gboolean
append_layer (NnModel *model, const Listed *listed, guint n_inputs, guint *inputs, GError **error)
{
  NnLayer *layer = &model->layers[model->n_layers++];

  layer->klass = listed->klass;
  layer->kind = listed->klass->kind;
  layer->name = g_strdup (listed->name);
  layer->trainable = TRUE;
  layer->n_inputs = n_inputs;
  layer->inputs = inputs;
  layer->in_shape = model->layers[inputs[0]].out_shape;
  return nn_config_get_boolean (layer, listed->config, "trainable", &layer->trainable, error)
      && (layer->klass->parse == NULL || layer->klass->parse (layer, listed->config, error))
      && infer_layer (model, model->n_layers - 1, error);
}

static gboolean
build_sequential (NnModel *model, JsonNode *config, JsonObject *root, GError **error)
{
  g_autoptr (List) list = list_new ();
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (config) ? json_node_get_object (config) : NULL;
  JsonArray *layers = object ? nn_json_get_array (object, "layers")
                             : JSON_NODE_HOLDS_ARRAY (config) ? json_node_get_array (config) : NULL;
  JsonNode *shape;
  JsonObject *build;
  Listed *first;
  guint n, skip;

  model->is_sequential = TRUE;
  model->name = g_strdup (object ? nn_json_get_string (object, "name") : NULL);
  if (model->name == NULL)
    model->name = g_strdup ("sequential");
  if (layers == NULL || json_array_get_length (layers) == 0)
    return fail (error, NN_ERROR_FORMAT, "the Sequential model lists no layers");
  n = json_array_get_length (layers);
  for (guint i = 0; i < n; i++) {
    if (!list_append (list, json_array_get_element (layers, i), FALSE, error))
      return FALSE;
    if (i > 0 && list_get (list, i)->klass->kind == NN_LAYER_INPUT)
      return fail (error, NN_ERROR_FORMAT, "layer '%s' is an input in the middle of the model",
          list_get (list, i)->name);
  }

  first = list_get (list, 0);
  skip = first->klass->kind == NN_LAYER_INPUT ? 1 : 0;
  model->has_implicit_input = !skip;
  shape = find_input_shape (first->config);
  if (shape == NULL && object != NULL)
    shape = nn_json_get (object, "build_input_shape");
  if (shape == NULL && (build = nn_json_get_object (root, "build_config")) != NULL)
    shape = nn_json_get (build, "input_shape");
  if (shape == NULL)
    return fail (error, NN_ERROR_FORMAT,
        "the model has no input shape: its first layer '%s' needs a \"batch_input_shape\"",
        first->name);
  if (n == skip)
    return fail (error, NN_ERROR_FORMAT, "the Sequential model has an input and no layers");

  model->layers = g_new0 (NnLayer, n + 1 - skip);
  if (skip) {
    if (!init_input (model, first->name, shape, error))
      return FALSE;
  } else {
    g_autofree char *name = g_strconcat (first->name, "_input", NULL);

    if (!init_input (model, name, shape, error))
      return FALSE;
  }
  for (guint i = skip; i < n; i++) {
    guint *inputs = g_new (guint, 1);

    inputs[0] = model->n_layers - 1;
    if (!append_layer (model, list_get (list, i), 1, inputs, error))
      return FALSE;
  }
  model->output = model->n_layers - 1;
  return TRUE;
}

static gboolean
build_functional (NnModel *model, JsonNode *node, GError **error)
{
  g_autoptr (List) list = list_new ();
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autofree guint *places = NULL;
  JsonObject *config = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonArray *layers = config ? nn_json_get_array (config, "layers") : NULL;
  guint n, input, output, n_inputs = 0;
  JsonNode *shape;

  if (layers == NULL || json_array_get_length (layers) == 0)
    return fail (error, NN_ERROR_FORMAT, "the functional model lists no layers");
  model->name = g_strdup (nn_json_get_string (config, "name"));
  if (model->name == NULL)
    model->name = g_strdup ("model");
  n = json_array_get_length (layers);
  for (guint i = 0; i < n; i++) {
    if (!list_append (list, json_array_get_element (layers, i), TRUE, error))
      return FALSE;
    n_inputs += list_get (list, i)->klass->kind == NN_LAYER_INPUT;
  }
  if (n_inputs != 1)
    return n_inputs == 0
        ? fail (error, NN_ERROR_FORMAT, "the functional model has no InputLayer")
        : fail (error, NN_ERROR_UNSUPPORTED, "the model has %u inputs, only one is supported",
              n_inputs);
  for (guint i = 0; i < n; i++) {
    if (!add_nodes (list, i, json_array_get_object_element (layers, i), error))
      return FALSE;
  }
  if (!find_end (list, config, "input_layers", &input, error)
      || !find_end (list, config, "output_layers", &output, error)
      || !sort (list, output, order, error))
    return FALSE;
  if (list_get (list, input)->klass->kind != NN_LAYER_INPUT)
    return fail (error, NN_ERROR_FORMAT, "\"input_layers\" names '%s', which is no InputLayer",
        list_get (list, input)->name);

  /* The one layer without inputs comes first. */
  shape = find_input_shape (list_get (list, input)->config);
  model->layers = g_new0 (NnLayer, n);
  if (!init_input (model, list_get (list, input)->name, shape, error))
    return FALSE;
  places = g_new0 (guint, n);
  for (guint k = 1; k < n; k++) {
    guint index = g_array_index (order, guint, k);
    Listed *listed = list_get (list, index);
    guint *inputs = g_new (guint, listed->inputs->len);

    places[index] = k;
    for (guint i = 0; i < listed->inputs->len; i++)
      inputs[i] = places[g_array_index (listed->inputs, guint, i)];
    if (!append_layer (model, listed, listed->inputs->len, inputs, error))
      return FALSE;
  }
  model->output = places[output];
  return TRUE;
}

static gboolean
build (NnModel *model, JsonNode *root, GError **error)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  const char *class_name = object ? nn_json_get_string (object, "class_name") : NULL;
  JsonNode *config = object ? nn_json_get (object, "config") : NULL;

  if (class_name == NULL || config == NULL)
    return fail (error, NN_ERROR_FORMAT,
        "expected a Keras network (the JSON of model.to_json(), an object with \"class_name\""
        " and \"config\"), found other JSON");
  if (strcmp (class_name, "Sequential") == 0)
    return build_sequential (model, config, object, error);
  if (strcmp (class_name, "Model") == 0 || strcmp (class_name, "Functional") == 0)
    return build_functional (model, config, error);
  return fail (error, NN_ERROR_UNSUPPORTED,
      "the model is a %s, only Sequential and functional models are supported", class_name);
}

NnModel *
nn_model_new_from_json (const char *json, gssize length, const char *origin, GError **error)
{
  g_autoptr (NnModel) model = nn_model_new_empty (origin);
  g_autoptr (JsonParser) parser = NULL;
  const NnShape *shape;

  if (length < 0)
    length = strlen (json);
  parser = nn_json_parse (json, length, error);
  if (parser == NULL || !build (model, json_parser_get_root (parser), error)) {
    if (origin != NULL)
      g_prefix_error (error, "%s: ", origin);
    return NULL;
  }
  model->json = g_strndup (json, length);
  shape = nn_model_get_input_shape (model);
  model->preprocess.height = (guint) shape->dims[0];
  model->preprocess.width = (guint) shape->dims[1];
  if (shape->dims[2] == 1)
    model->preprocess.channels = NN_CHANNELS_GRAY;
  return g_steal_pointer (&model);
}

NnModel *
nn_model_new_from_json_file (const char *path, GError **error)
{
  gsize size;
  g_autofree char *json = nn_file_read (path, MAX_JSON_SIZE, "a Keras network as JSON", &size,
      error);

  return json ? nn_model_new_from_json (json, size, path, error) : NULL;
}

/* --- changing the text -------------------------------------------------- */

/* A tree that may be changed, of a text that was read before. */
static JsonParser *
parse_again (const char *json, GError **error)
{
  g_autoptr (JsonParser) checked = nn_json_parse (json, -1, error);
  g_autoptr (JsonParser) parser = NULL;

  if (checked == NULL)
    return NULL;
  parser = json_parser_new ();
  return json_parser_load_from_data (parser, json, -1, error) ? g_steal_pointer (&parser) : NULL;
}

static JsonNode *
make_input_layer (const NnModel *model)
{
  const NnShape *shape = nn_model_get_input_shape (model);
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new (), *config = json_object_new ();
  JsonArray *sizes = json_array_new ();

  json_array_add_null_element (sizes);
  for (guint i = 0; i < shape->n_dims; i++)
    json_array_add_int_element (sizes, shape->dims[i]);
  json_object_set_array_member (config, "batch_input_shape", sizes);
  json_object_set_string_member (config, "dtype", "float32");
  json_object_set_boolean_member (config, "sparse", FALSE);
  json_object_set_string_member (config, "name", model->layers[0].name);
  json_object_set_string_member (object, "class_name", "InputLayer");
  json_object_set_object_member (object, "config", config);
  json_node_take_object (node, object);
  return node;
}

char *
nn_model_json_for_file (const NnModel *model, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (JsonNode) root = NULL;
  JsonObject *old, *object, *config;
  JsonNode *node, *copy;
  JsonArray *layers, *all;

  if (!model->is_sequential || !model->has_implicit_input)
    return g_strdup (model->json);
  parser = parse_again (model->json, error);
  if (parser == NULL)
    return NULL;
  old = json_node_get_object (json_parser_get_root (parser));
  node = json_object_get_member (old, "config");
  layers = JSON_NODE_HOLDS_ARRAY (node)
      ? json_node_get_array (node)
      : nn_json_get_array (json_node_get_object (node), "layers");
  all = json_array_new ();
  json_array_add_element (all, make_input_layer (model));
  for (guint i = 0; i < json_array_get_length (layers); i++) {
    copy = json_node_copy (json_array_get_element (layers, i));
    if (i == 0) {
      JsonObject *first = nn_json_get_object (json_node_get_object (copy), "config");

      if (json_object_has_member (first, "batch_input_shape"))
        json_object_remove_member (first, "batch_input_shape");
    }
    json_array_add_element (all, copy);
  }
  config = json_object_new ();
  json_object_set_string_member (config, "name", model->name);
  json_object_set_array_member (config, "layers", all);
  object = json_object_new ();
  json_object_set_string_member (object, "class_name", "Sequential");
  json_object_set_object_member (object, "config", config);
  root = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (root, object);
  return json_to_string (root, FALSE);
}

char *
nn_model_json_set_units (const char *json, const char *name, guint units, GError **error)
{
  g_autoptr (JsonParser) parser = parse_again (json, error);
  JsonNode *node;
  JsonArray *layers;

  if (parser == NULL)
    return NULL;
  node = json_object_get_member (json_node_get_object (json_parser_get_root (parser)), "config");
  layers = JSON_NODE_HOLDS_ARRAY (node)
      ? json_node_get_array (node)
      : nn_json_get_array (json_node_get_object (node), "layers");
  for (guint i = 0; i < json_array_get_length (layers); i++) {
    JsonObject *layer = json_array_get_object_element (layers, i);
    JsonObject *config = nn_json_get_object (layer, "config");
    const char *layer_name = nn_json_get_string (layer, "name");

    if (g_strcmp0 (layer_name ? layer_name : nn_json_get_string (config, "name"), name) == 0)
      json_object_set_int_member (config, "units", units);
  }
  return json_to_string (json_parser_get_root (parser), FALSE);
}
