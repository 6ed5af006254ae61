/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* From a network's JSON (see keras-json.c) to the layers of a model.
 *
 * A scope is one model of the JSON with its layers as listed and the calls of each. The outermost
 * one is expanded from its input on; a model inside is a scope of its own, expanded at each of its
 * calls. */

#include "nn/keras-build.h"

#include <math.h>
#include <string.h>

#include "nn/keras-config.h"
#include "nn/keras-private.h"
#include "nn/layer.h"
#include "nn/model-private.h"
#include "nn/text.h"

typedef struct _Scope Scope;

/* An argument of a call, as listed. */
typedef struct
{
  const char *name; /* NULL: by position */
  gboolean is_input;
  guint layer, node, tensor; /* is_input: whose output; layer is an index into the scope's list */
  JsonNode *constant;
} Argument;

typedef struct
{
  GArray *arguments; /* Argument */
  guint n_waiting;   /* inputs that have no value yet, while sorting */
  GArray *outputs;   /* guint, indices into the model's layers */
} Call;

typedef struct
{
  const char *name;
  const NnLayerClass *klass; /* NULL: a model */
  const char *operation;     /* a function of Keras 3 */
  JsonObject *config;        /* may have been translated from Keras 1: owned */
  Scope *scope;              /* of a model */
  GArray *calls;             /* Call */
  gboolean is_one_based;     /* its nodes are counted from 1 on, as those of models are */
  guint first;               /* layer that was made at its first call, + 1 */
  guint order;
  char *store;
} Listed;

struct _Scope
{
  GArray *layers;      /* Listed */
  GHashTable *by_name; /* name -> index + 1 */
  GHashTable *stores;  /* snake-case name -> how many there were */
  gboolean is_sequential;
  gboolean trainable;
  JsonObject *object; /* {"class_name", "config", ...} */
  JsonObject *config; /* NULL: a bare list of layers */
  char *store;        /* "": the outermost */
  const char *group;  /* NULL: the outermost */
  GArray *inputs;     /* guint: the input layers in their order */
  GArray *outputs;    /* Argument */
};

typedef struct
{
  NnModel *model;
  GArray *layers; /* NnLayer */
  guint keras;
  guint n_listed;     /* layers of all scopes */
  guint n_expanded;   /* scopes */
  GHashTable *unknown; /* class name -> Unknown */
  GHashTable *names;   /* of the layers so far, theirs */
} Builder;

typedef struct
{
  guint n;
  char *first; /* name of a layer */
} Unknown;

static gboolean scope_read (Builder *b, Scope *scope, GError **error);
static void scope_free (Scope *scope);
static gboolean expand (Builder *b, Scope *scope, const guint *inputs, guint n_inputs,
    GArray *outputs, GError **error);

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

static void
clear_call (gpointer data)
{
  Call *call = data;

  g_array_unref (call->arguments);
  g_array_unref (call->outputs);
}

static void
clear_listed (gpointer data)
{
  Listed *listed = data;

  g_clear_pointer (&listed->config, json_object_unref);
  g_clear_pointer (&listed->calls, g_array_unref);
  g_clear_pointer (&listed->scope, scope_free);
  g_free (listed->store);
}

static void
scope_free (Scope *scope)
{
  g_array_unref (scope->layers);
  g_array_unref (scope->inputs);
  g_array_unref (scope->outputs);
  g_hash_table_unref (scope->by_name);
  g_hash_table_unref (scope->stores);
  g_free (scope->store);
  g_free (scope);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scope, scope_free)

static Scope *
scope_new (JsonObject *object, const char *store, const char *group)
{
  Scope *scope = g_new0 (Scope, 1);

  scope->layers = g_array_new (FALSE, TRUE, sizeof (Listed));
  g_array_set_clear_func (scope->layers, clear_listed);
  scope->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  scope->stores = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  scope->inputs = g_array_new (FALSE, FALSE, sizeof (guint));
  scope->outputs = g_array_new (FALSE, FALSE, sizeof (Argument));
  scope->object = object;
  scope->store = g_strdup (store);
  scope->group = group;
  scope->trainable = TRUE;
  return scope;
}

static Listed *
get_listed (const Scope *scope, guint index)
{
  return &g_array_index (scope->layers, Listed, index);
}

static Call *
get_call (const Listed *listed, guint index)
{
  return &g_array_index (listed->calls, Call, index);
}

static gboolean
is_input (const Listed *listed)
{
  return listed->klass != NULL && listed->klass->kind == NN_LAYER_INPUT;
}

static gboolean
is_model (const char *class_name)
{
  static const char *const names[]
      = { "Sequential", "Functional", "Model", "Graph", "Container", "Network", NULL };

  return g_strv_contains (names, class_name);
}

/* --- Keras 1 ------------------------------------------------------------ */

static void
rename_member (JsonObject *config, const char *from, const char *to)
{
  JsonNode *node = json_object_get_member (config, from);

  if (node != NULL && !json_object_has_member (config, to))
    json_object_set_member (config, to, json_node_copy (node));
}

/* Two members that became a list. */
static void
join_members (JsonObject *config, const char *first, const char *second, const char *to)
{
  JsonArray *pair;

  if (!json_object_has_member (config, first) || !json_object_has_member (config, second)
      || json_object_has_member (config, to))
    return;
  pair = json_array_new ();
  json_array_add_element (pair, json_node_copy (json_object_get_member (config, first)));
  json_array_add_element (pair, json_node_copy (json_object_get_member (config, second)));
  json_object_set_array_member (config, to, pair);
}

/* A copy of @config in which Keras 1's names are those of Keras 2. (transfer full) */
static JsonObject *
translate (JsonObject *config)
{
  static const char *const names[][2] = {
    { "nb_filter", "filters" },
    { "output_dim", "units" },
    { "border_mode", "padding" },
    { "subsample", "strides" },
    { "subsample_length", "strides" },
    { "filter_length", "kernel_size" },
    { "pool_length", "pool_size" },
    { "stride", "strides" },
    { "atrous_rate", "dilation_rate" },
    { "bias", "use_bias" },
    { "p", "rate" },
    { "sigma", "stddev" },
    { "init", "kernel_initializer" },
    { "gamma_init", "gamma_initializer" },
    { "beta_init", "beta_initializer" },
    { "W_regularizer", "kernel_regularizer" },
    { "b_regularizer", "bias_regularizer" },
  };
  const char *ordering = nn_json_get_string (config, "dim_ordering");
  JsonObject *copy = json_object_new ();
  g_autoptr (GList) members = json_object_get_members (config);

  for (GList *l = members; l; l = l->next)
    json_object_set_member (
        copy, l->data, json_node_copy (json_object_get_member (config, l->data)));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    rename_member (copy, names[i][0], names[i][1]);
  join_members (copy, "nb_row", "nb_col", "kernel_size");
  if (ordering != NULL && !json_object_has_member (copy, "data_format")
      && (strcmp (ordering, "th") == 0 || strcmp (ordering, "tf") == 0))
    json_object_set_string_member (copy, "data_format",
        strcmp (ordering, "th") == 0 ? "channels_first" : "channels_last");
  return copy;
}

static gboolean
is_keras_1 (JsonObject *config)
{
  static const char *const names[] = { "nb_filter", "output_dim", "border_mode", "dim_ordering",
    "nb_row", "init", "gamma_init", "W_regularizer" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (json_object_has_member (config, names[i]))
      return TRUE;
  return FALSE;
}

/* --- layers as listed --------------------------------------------------- */

/* As Keras 3 names the groups of its weights: "Conv2D" is conv2d, "ReLU" is re_lu. */
static char *
to_snake_case (const char *class_name)
{
  static const char *const patterns[][2]
      = { { "\\W+", "" }, { "(.)([A-Z][a-z]+)", "\\1_\\2" }, { "([a-z])([A-Z])", "\\1_\\2" } };
  char *name = g_strdup (class_name);
  char *lower;

  for (guint i = 0; i < G_N_ELEMENTS (patterns); i++) {
    g_autoptr (GRegex) regex = g_regex_new (patterns[i][0], 0, 0, NULL);
    char *next = g_regex_replace (regex, name, -1, 0, patterns[i][1], 0, NULL);

    g_free (name);
    name = next;
  }
  lower = g_ascii_strdown (name, -1);
  g_free (name);
  return lower;
}

static char *
make_store (Scope *scope, const char *class_name)
{
  g_autofree char *name = to_snake_case (class_name);
  const guint n = GPOINTER_TO_UINT (g_hash_table_lookup (scope->stores, name));

  g_hash_table_insert (scope->stores, g_strdup (name), GUINT_TO_POINTER (n + 1));
  return n == 0 ? g_strdup_printf ("%slayers/%s", scope->store, name)
                : g_strdup_printf ("%slayers/%s_%u", scope->store, name, n);
}

static void
note_unknown (Builder *b, const char *class_name, const char *name)
{
  Unknown *unknown = g_hash_table_lookup (b->unknown, class_name);

  if (!unknown) {
    unknown = g_new0 (Unknown, 1);
    unknown->first = g_strdup (name);
    g_hash_table_insert (b->unknown, g_strdup (class_name), unknown);
  }
  unknown->n++;
}

static void
unknown_free (gpointer data)
{
  g_free (((Unknown *) data)->first);
  g_free (data);
}

/* All kinds that are not known, with their number. */
static gboolean
check_unknown (Builder *b, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GList) names = g_list_sort (g_hash_table_get_keys (b->unknown),
      (GCompareFunc) strcmp);

  if (!names)
    return TRUE;
  for (GList *l = names; l; l = l->next) {
    const Unknown *unknown = g_hash_table_lookup (b->unknown, l->data);

    g_string_append_printf (text, "%s%s (%u, the first '%s')", text->len ? ", " : "",
        (const char *) l->data, unknown->n, unknown->first);
    if (strcmp (l->data, "Lambda") == 0)
      g_string_append (text,
          ": Python code, which no file holds in a form that others can run; build the network"
          " with a layer in its place (Rescaling, Resizing, ...) and save it anew");
  }
  return fail (error, NN_ERROR_UNSUPPORTED, "kinds of layers that are not supported: %s",
      text->str);
}

/* A function of Keras 3's keras.ops, which is listed as layers are. In HDF5 files no module tells,
 * but a layer always has a "trainable". */
static gboolean
is_operation (JsonObject *object, const char *class_name)
{
  const char *module = nn_json_get_string (object, "module");
  JsonObject *config = nn_json_get_object (object, "config");

  if (module != NULL)
    return strstr (module, ".ops") != NULL;
  return config && !json_object_has_member (config, "trainable")
      && !json_object_has_member (config, "dtype")
      && nn_layer_class_find_operation (class_name) != NULL;
}

static const char *
get_class_name (JsonObject *object)
{
  const char *name = nn_json_get_string (object, "class_name");
  const char *package = name ? strchr (name, '>') : NULL;

  return package ? package + 1 : name; /* "Custom>LayerScale" */
}

static gboolean
read_class (Builder *b, Scope *scope, Listed *listed, JsonObject *object, const char *class_name,
    GError **error)
{
  if (is_model (class_name)) {
    listed->scope = scope_new (object, "", NULL);
    listed->is_one_based = TRUE;
    return TRUE;
  }
  if (is_operation (object, class_name)) {
    listed->operation = class_name;
    listed->klass = nn_layer_class_find_operation (class_name);
  } else {
    listed->klass = nn_layer_class_find (class_name);
  }
  if (listed->klass == NULL)
    note_unknown (b, class_name, listed->name);
  return TRUE;
}

static gboolean
append_listed (Builder *b, Scope *scope, JsonNode *node, GError **error)
{
  const guint index = scope->layers->len;
  Listed listed = { NULL };
  JsonObject *object, *config;
  const char *class_name;
  gboolean ok;

  if (++b->n_listed > NN_MAX_LAYERS)
    return fail (error, NN_ERROR_FORMAT, "more than %d layers", NN_MAX_LAYERS);
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (error, NN_ERROR_FORMAT, "layer %u of the list is not an object", index + 1);
  object = json_node_get_object (node);
  class_name = get_class_name (object);
  config = nn_json_get_object (object, "config");
  if (class_name == NULL
      || (config == NULL && !(is_model (class_name) && nn_json_get_array (object, "config"))))
    return fail (error, NN_ERROR_FORMAT,
        "layer %u of the list should have a \"class_name\" and a \"config\"", index + 1);
  if (!scope->is_sequential)
    listed.name = nn_json_get_string (object, "name");
  if (listed.name == NULL && config != NULL)
    listed.name = nn_json_get_string (config, "name");
  if (listed.name == NULL && config == NULL)
    listed.name = "sequential";
  if (listed.name == NULL || listed.name[0] == '\0')
    return fail (error, NN_ERROR_FORMAT, "layer %u of the list (%s) has no name", index + 1,
        class_name);
  if (g_hash_table_contains (scope->by_name, listed.name))
    return fail (error, NN_ERROR_FORMAT, "two layers have the name '%s'", listed.name);
  ok = read_class (b, scope, &listed, object, class_name, error);
  /* Keras 3 keeps no place for functions, and none for the input of a Sequential */
  if (listed.operation == NULL && !(scope->is_sequential && is_input (&listed)))
    listed.store = make_store (scope, class_name);
  listed.order = b->n_listed;
  listed.calls = g_array_new (FALSE, TRUE, sizeof (Call));
  g_array_set_clear_func (listed.calls, clear_call);
  if (config != NULL && listed.scope == NULL && is_keras_1 (config))
    listed.config = translate (config);
  else if (config != NULL)
    listed.config = json_object_ref (config);
  if (listed.scope) {
    g_free (listed.scope->store);
    listed.scope->store = g_strconcat (listed.store, "/", NULL);
    listed.scope->group = scope->group ? scope->group : listed.name;
  }
  g_hash_table_insert (scope->by_name, (gpointer) listed.name, GUINT_TO_POINTER (index + 1));
  g_array_append_val (scope->layers, listed);
  return ok && (listed.scope == NULL || scope_read (b, listed.scope, error));
}

/* --- calls --------------------------------------------------------------- */

static Call *
add_call (Listed *listed)
{
  Call call = { .arguments = g_array_new (FALSE, TRUE, sizeof (Argument)),
    .outputs = g_array_new (FALSE, TRUE, sizeof (guint)) };

  g_array_append_val (listed->calls, call);
  return get_call (listed, listed->calls->len - 1);
}

/* ["_CONSTANT_VALUE", -1, 1.0, {...}]: tf.keras's form of a call that begins with a number */
static JsonNode *
find_constant (JsonNode *node)
{
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  JsonNode *first = array && json_array_get_length (array) >= 3
      ? json_array_get_element (array, 0) : NULL;

  return first && JSON_NODE_HOLDS_VALUE (first)
          && json_node_get_value_type (first) == G_TYPE_STRING
          && strcmp (json_node_get_string (first), "_CONSTANT_VALUE") == 0
      ? json_array_get_element (array, 2)
      : NULL;
}

static gboolean
is_history (JsonNode *node)
{
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  JsonNode *first = array && json_array_get_length (array) >= 3
      ? json_array_get_element (array, 0) : NULL;
  gint64 number;

  return first && json_array_get_length (array) <= 4 && JSON_NODE_HOLDS_VALUE (first)
      && json_node_get_value_type (first) == G_TYPE_STRING
      && nn_json_node_get_int (json_array_get_element (array, 1), &number)
      && nn_json_node_get_int (json_array_get_element (array, 2), &number);
}

/* ["conv", 0, 0] of a call of @name. */
static gboolean
read_history (Scope *scope, const char *name, JsonArray *history, Argument *argument,
    GError **error)
{
  const char *from = json_array_get_string_element (history, 0);
  guint input = GPOINTER_TO_UINT (g_hash_table_lookup (scope->by_name, from));
  gint64 node, tensor;

  nn_json_node_get_int (json_array_get_element (history, 1), &node);
  nn_json_node_get_int (json_array_get_element (history, 2), &tensor);
  if (input == 0 || tensor < 0 || tensor > 1000 || node < 0 || node > NN_MAX_LAYERS)
    return fail (error, NN_ERROR_FORMAT,
        "layer '%s' takes its input from '%s' (node %" G_GINT64_FORMAT ", tensor %" G_GINT64_FORMAT
        "), which does not exist",
        name, from, node, tensor);
  argument->is_input = TRUE;
  argument->layer = input - 1;
  argument->node = (guint) node;
  argument->tensor = (guint) tensor;
  if (node == 0)
    get_listed (scope, input - 1)->is_one_based = FALSE;
  return TRUE;
}

/* Keyword arguments of a call: training=True changes what is computed. */
static gboolean
check_training (const char *name, JsonNode *node, GError **error)
{
  if (node == NULL || JSON_NODE_HOLDS_NULL (node)
      || (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN
          && !json_node_get_boolean (node)))
    return TRUE;
  return fail (error, NN_ERROR_UNSUPPORTED,
      "layer '%s' is called with training=True, which is not supported", name);
}

/* One value of a call: a tensor, a list of them, or a constant. */
static gboolean
read_value (Scope *scope, Listed *listed, Call *call, const char *name, JsonNode *node,
    GError **error)
{
  Argument argument = { .name = name, .constant = node };
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

  if (object && g_strcmp0 (nn_json_get_string (object, "class_name"), "__keras_tensor__") == 0) {
    JsonObject *config = nn_json_get_object (object, "config");
    JsonNode *history = config ? nn_json_get (config, "keras_history") : NULL;

    if (!is_history (history))
      return fail (error, NN_ERROR_FORMAT, "layer '%s': a tensor has no \"keras_history\"",
          listed->name);
    if (!read_history (scope, listed->name, json_node_get_array (history), &argument, error))
      return FALSE;
  } else if (find_constant (node)) {
    argument.constant = find_constant (node);
  } else if (is_history (node)) {
    if (!read_history (scope, listed->name, json_node_get_array (node), &argument, error))
      return FALSE;
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);
    JsonNode *first = json_array_get_length (array) ? json_array_get_element (array, 0) : NULL;
    const gboolean has_tensors = first
        && (is_history (first)
            || (JSON_NODE_HOLDS_OBJECT (first)
                && g_strcmp0 (nn_json_get_string (json_node_get_object (first), "class_name"),
                       "__keras_tensor__")
                    == 0));

    for (guint i = 0; has_tensors && i < json_array_get_length (array); i++)
      if (!read_value (scope, listed, call, name, json_array_get_element (array, i), error))
        return FALSE;
    if (has_tensors)
      return TRUE;
  }
  g_array_append_val (call->arguments, argument);
  return TRUE;
}

static gboolean
read_keywords (Scope *scope, Listed *listed, Call *call, JsonNode *node, GError **error)
{
  JsonObject *keywords = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  g_autoptr (GList) names = keywords ? json_object_get_members (keywords) : NULL;

  for (GList *l = names; l; l = l->next) {
    JsonNode *value = json_object_get_member (keywords, l->data);

    if (strcmp (l->data, "training") == 0) {
      if (!check_training (listed->name, value, error))
        return FALSE;
    } else if (!JSON_NODE_HOLDS_NULL (value)
        && !read_value (scope, listed, call, l->data, value, error)) {
      return FALSE;
    }
  }
  return TRUE;
}

/* {"args": [...], "kwargs": {...}}, or [["conv", 0, 0, {...}], ...] */
static gboolean
read_call (Scope *scope, Listed *listed, JsonNode *node, GError **error)
{
  Call *call = add_call (listed);
  JsonArray *tensors;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_node_get_object (node);
    JsonArray *args = nn_json_get_array (object, "args");

    if (args == NULL)
      return fail (error, NN_ERROR_FORMAT, "layer '%s': an inbound node has no \"args\"",
          listed->name);
    for (guint i = 0; i < json_array_get_length (args); i++)
      if (!read_value (scope, listed, call, NULL, json_array_get_element (args, i), error))
        return FALSE;
    return read_keywords (scope, listed, call, nn_json_get (object, "kwargs"), error);
  }
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return fail (error, NN_ERROR_FORMAT, "layer '%s': an inbound node is no list", listed->name);
  tensors = json_node_get_array (node);
  /* tf.keras writes a call of one tensor without the outer list, too */
  if (is_history (node) || find_constant (node)) {
    if (!read_value (scope, listed, call, NULL, node, error))
      return FALSE;
    return json_array_get_length (tensors) < 4
        || read_keywords (scope, listed, call, json_array_get_element (tensors, 3), error);
  }
  for (guint i = 0; i < json_array_get_length (tensors); i++) {
    JsonNode *tensor = json_array_get_element (tensors, i);

    if (!JSON_NODE_HOLDS_ARRAY (tensor))
      return fail (error, NN_ERROR_FORMAT, "layer '%s': an inbound node is not a list",
          listed->name);
    if (!is_history (tensor) && !find_constant (tensor))
      return fail (error, NN_ERROR_FORMAT,
          "layer '%s': an inbound node should be [\"layer\", node, tensor], it is not",
          listed->name);
    if (!read_value (scope, listed, call, NULL, tensor, error)
        || (json_array_get_length (json_node_get_array (tensor)) == 4
            && !read_keywords (scope, listed, call,
                json_array_get_element (json_node_get_array (tensor), 3), error)))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_calls (Scope *scope, guint index, JsonObject *layer, GError **error)
{
  Listed *listed = get_listed (scope, index);
  JsonArray *nodes = nn_json_get_array (layer, "inbound_nodes");
  const guint n_nodes = nodes ? json_array_get_length (nodes) : 0;

  if (is_input (listed)) {
    if (n_nodes != 0)
      return fail (error, NN_ERROR_FORMAT, "layer '%s' is an input and has inputs itself",
          listed->name);
    add_call (listed);
    return TRUE;
  }
  if (n_nodes == 0)
    return fail (error, NN_ERROR_FORMAT, "layer '%s' should have one input, found 0",
        listed->name);
  for (guint i = 0; i < n_nodes; i++)
    if (!read_call (scope, listed, json_array_get_element (nodes, i), error))
      return FALSE;
  return TRUE;
}

/* "output_layers": [["y", 0, 0]], ["y", 0, 0] or {"key": ["y", 0, 0]}, which may nest. */
static gboolean
read_ends (Scope *scope, JsonNode *node, const char *key, GArray *ends, GError **error)
{
  Argument end = { NULL };

  if (node != NULL && JSON_NODE_HOLDS_OBJECT (node)) {
    g_autoptr (GList) values = json_object_get_values (json_node_get_object (node));

    for (GList *l = values; l; l = l->next)
      if (!read_ends (scope, l->data, key, ends, error))
        return FALSE;
    return TRUE;
  }
  if (is_history (node)) {
    if (!g_hash_table_contains (
            scope->by_name, json_array_get_string_element (json_node_get_array (node), 0)))
      return fail (error, NN_ERROR_FORMAT, "\"%s\" names '%s', a layer that does not exist", key,
          json_array_get_string_element (json_node_get_array (node), 0));
    if (!read_history (scope, key, json_node_get_array (node), &end, error))
      return FALSE;
    g_array_append_val (ends, end);
    return TRUE;
  }
  if (node != NULL && JSON_NODE_HOLDS_ARRAY (node)
      && json_array_get_length (json_node_get_array (node)) > 0) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++)
      if (!read_ends (scope, json_array_get_element (array, i), key, ends, error))
        return FALSE;
    return TRUE;
  }
  return fail (error, NN_ERROR_FORMAT, "\"%s\" should be [[\"layer\", 0, 0]], it is not", key);
}

/* The call that an argument means. Nodes of models are counted from 1 on, since making a model is
 * its node 0; those of layers from 0 on. */
static Call *
find_call (Scope *scope, const Argument *argument, const char *name, GError **error)
{
  Listed *from = get_listed (scope, argument->layer);
  const guint index = argument->node - (from->is_one_based && argument->node > 0);

  if (index < from->calls->len)
    return get_call (from, index);
  fail (error, NN_ERROR_FORMAT, "layer '%s' takes its input from call %u of '%s', which has %u",
      name, index + 1, from->name, from->calls->len);
  return NULL;
}

static gboolean
read_functional (Builder *b, Scope *scope, JsonArray *layers, GError **error)
{
  g_autoptr (GArray) inputs = g_array_new (FALSE, FALSE, sizeof (Argument));

  for (guint i = 0; i < scope->layers->len; i++)
    if (!read_calls (scope, i, json_array_get_object_element (layers, i), error))
      return FALSE;
  if (!read_ends (scope, nn_json_get (scope->config, "input_layers"), "input_layers", inputs, error)
      || !read_ends (scope, nn_json_get (scope->config, "output_layers"), "output_layers",
          scope->outputs, error))
    return FALSE;
  for (guint i = 0; i < inputs->len; i++) {
    const guint layer = g_array_index (inputs, Argument, i).layer;

    if (!is_input (get_listed (scope, layer)))
      return fail (error, NN_ERROR_FORMAT, "\"input_layers\" names '%s', which is no InputLayer",
          get_listed (scope, layer)->name);
    g_array_append_val (scope->inputs, layer);
  }
  return TRUE;
}

static gboolean
scope_read (Builder *b, Scope *scope, GError **error)
{
  JsonNode *config = nn_json_get (scope->object, "config");
  JsonArray *layers;

  scope->is_sequential = g_strcmp0 (get_class_name (scope->object), "Sequential") == 0;
  scope->config = JSON_NODE_HOLDS_OBJECT (config) ? json_node_get_object (config) : NULL;
  layers = scope->config ? nn_json_get_array (scope->config, "layers")
      : scope->is_sequential && JSON_NODE_HOLDS_ARRAY (config) ? json_node_get_array (config)
                                                               : NULL;
  if (layers == NULL || json_array_get_length (layers) == 0)
    return fail (error, NN_ERROR_FORMAT, "the %s model lists no layers",
        scope->is_sequential ? "Sequential" : "functional");
  if (scope->config) {
    JsonNode *trainable = nn_json_get (scope->config, "trainable");

    if (trainable && JSON_NODE_HOLDS_VALUE (trainable)
        && json_node_get_value_type (trainable) == G_TYPE_BOOLEAN)
      scope->trainable = json_node_get_boolean (trainable);
  }
  for (guint i = 0; i < json_array_get_length (layers); i++) {
    if (!append_listed (b, scope, json_array_get_element (layers, i), error))
      return FALSE;
    if (scope->is_sequential && i > 0 && is_input (get_listed (scope, i)))
      return fail (error, NN_ERROR_FORMAT, "layer '%s' is an input in the middle of the model",
          get_listed (scope, i)->name);
  }
  return scope->is_sequential || read_functional (b, scope, layers, error);
}

/* --- layers of the model -------------------------------------------------- */

static NnLayer *
get_layer (const Builder *b, guint index)
{
  return &g_array_index (b->layers, NnLayer, index);
}

/* A name that no other layer has: of models inside, names may be the same. */
static char *
make_name (const Builder *b, const Scope *scope, const Listed *listed)
{
  g_autofree char *name = g_strdup (listed->name);

  for (guint n = 2; g_hash_table_contains (b->names, name); n++) {
    g_free (name);
    name = scope->group && n == 2 && listed->first == 0
        ? g_strdup_printf ("%s/%s", scope->group, listed->name)
        : g_strdup_printf ("%s#%u", listed->name, n);
  }
  return g_steal_pointer (&name);
}

static gboolean
check_n_inputs (const Listed *listed, guint n, GError **error)
{
  const guint min = MAX (listed->klass->min_inputs, 1);
  const guint max = MAX (listed->klass->max_inputs, 1);

  if (n >= min && n <= max)
    return TRUE;
  if (max == 1)
    return fail (error, NN_ERROR_FORMAT, "layer '%s' (%s) should have one input, found %u",
        listed->name, listed->klass->name, n);
  return fail (error, NN_ERROR_FORMAT, "layer '%s' (%s) should have at least %u inputs, found %u",
      listed->name, listed->klass->name, min, n);
}

static gboolean
infer_appended (Builder *b, NnLayer *layer, GError **error)
{
  g_autofree NnShape *shapes = g_new (NnShape, layer->n_inputs);
  NnLayer *owner = layer->shares ? get_layer (b, layer->shares - 1) : layer;

  for (guint i = 0; i < layer->n_inputs; i++)
    shapes[i] = get_layer (b, layer->inputs[i])->out_shape;
  return nn_layer_infer (layer, owner, shapes, error);
}

static gboolean
parse_layer (Builder *b, const Scope *scope, Listed *listed, NnLayer *layer, const Call *call,
    GError **error)
{
  const GArray *arguments = call ? call->arguments : NULL;
  g_autofree NnArgument *list = g_new0 (NnArgument, arguments ? MAX (arguments->len, 1) : 1);

  if (!nn_config_get_boolean (layer, listed->config, "trainable", &layer->trainable, error))
    return FALSE;
  layer->trainable = layer->trainable && scope->trainable;
  if (layer->klass->parse != NULL && !layer->klass->parse (layer, listed->config, error))
    return FALSE;
  for (guint i = 0; arguments && i < arguments->len; i++) {
    const Argument *argument = &g_array_index (arguments, Argument, i);

    list[i].name = argument->name;
    list[i].is_input = argument->is_input;
    list[i].constant = argument->constant;
  }
  return layer->klass->parse_call == NULL || arguments == NULL
      || layer->klass->parse_call (layer, list, arguments->len, error);
}

static gboolean
append_layer (Builder *b, const Scope *scope, Listed *listed, const Call *call,
    const guint *inputs, guint n_inputs, GError **error)
{
  NnLayer fresh = { 0 }, *layer;

  if (!check_n_inputs (listed, n_inputs, error))
    return FALSE;
  if (b->layers->len >= NN_MAX_LAYERS)
    return fail (error, NN_ERROR_FORMAT, "more than %d layers", NN_MAX_LAYERS);
  fresh.klass = listed->klass;
  fresh.kind = listed->klass->kind;
  fresh.name = make_name (b, scope, listed);
  g_hash_table_add (b->names, fresh.name);
  fresh.group = g_strdup (scope->group ? scope->group : listed->name);
  fresh.store = g_strdup (listed->store ? listed->store : "");
  fresh.operation = listed->operation;
  fresh.trainable = TRUE;
  fresh.n_inputs = n_inputs;
  fresh.inputs = g_memdup2 (inputs, n_inputs * sizeof (guint));
  fresh.in_shape = get_layer (b, inputs[0])->out_shape;
  fresh.function = listed->klass->function;
  fresh.order = listed->order;
  fresh.keras = b->keras;
  fresh.shares = listed->first;
  if (listed->klass->data_size > 0)
    fresh.data = g_atomic_rc_box_alloc0 (listed->klass->data_size);
  g_array_append_val (b->layers, fresh);
  layer = get_layer (b, b->layers->len - 1);
  if (!parse_layer (b, scope, listed, layer, call, error))
    return FALSE;
  layer->operation = NULL; /* it points into the JSON */
  if (layer->shares)
    layer->n_params = 0;
  else
    listed->first = b->layers->len;
  return infer_appended (b, layer, error);
}

/* --- a scope at one of its calls ------------------------------------------- */

static gboolean
apply (Builder *b, const Scope *scope, Listed *listed, const Call *call, const guint *inputs,
    guint n_inputs, GArray *outputs, GError **error)
{
  guint made;

  if (listed->scope) {
    if (!listed->scope->trainable || !scope->trainable)
      listed->scope->trainable = FALSE;
    return expand (b, listed->scope, inputs, n_inputs, outputs, error);
  }
  if (!append_layer (b, scope, listed, call, inputs, n_inputs, error))
    return FALSE;
  made = b->layers->len - 1;
  g_array_append_val (outputs, made);
  return TRUE;
}

static gboolean
expand_sequential (Builder *b, Scope *scope, const guint *inputs, guint n_inputs, GArray *outputs,
    GError **error)
{
  guint x = inputs[0];

  if (n_inputs != 1)
    return fail (error, NN_ERROR_FORMAT, "a Sequential model is called with %u inputs", n_inputs);
  for (guint i = 0; i < scope->layers->len; i++) {
    Listed *listed = get_listed (scope, i);
    g_autoptr (GArray) made = g_array_new (FALSE, FALSE, sizeof (guint));

    if (is_input (listed))
      continue;
    if (!apply (b, scope, listed, NULL, &x, 1, made, error))
      return FALSE;
    if (made->len != 1)
      return fail (error, NN_ERROR_UNSUPPORTED, "layer '%s' has %u outputs in a Sequential model",
          listed->name, made->len);
    x = g_array_index (made, guint, 0);
  }
  g_array_append_val (outputs, x);
  return TRUE;
}

/* One call of a layer, for sorting. */
typedef struct
{
  guint layer, call;
} Place;

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const Place *x = a, *y = b;

  return x->layer != y->layer ? (x->layer < y->layer ? -1 : 1)
      : x->call != y->call    ? (x->call < y->call ? -1 : 1)
                              : 0;
}

static gboolean
append_waiting (Scope *scope, GPtrArray *consumers, Place place, guint *n, GError **error)
{
  Listed *listed = get_listed (scope, place.layer);
  Call *call = get_call (listed, place.call);

  call->n_waiting = 0;
  g_array_set_size (call->outputs, 0);
  for (guint k = 0; k < call->arguments->len; k++) {
    const Argument *argument = &g_array_index (call->arguments, Argument, k);
    GArray *next;

    if (!argument->is_input)
      continue;
    if (!find_call (scope, argument, listed->name, error))
      return FALSE;
    call->n_waiting++;
    next = consumers->pdata[argument->layer];
    if (next->len == 0
        || compare_places (&g_array_index (next, Place, next->len - 1), &place) != 0)
      g_array_append_val (next, place);
  }
  (*n)++;
  return TRUE;
}

/* Runs a call whose inputs are there. */
static gboolean
run_call (Builder *b, Scope *scope, Place place, const guint *inputs, guint n_inputs,
    GError **error)
{
  Listed *listed = get_listed (scope, place.layer);
  Call *call = get_call (listed, place.call);
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (guint));

  if (is_input (listed)) {
    for (guint i = 0; i < scope->inputs->len && i < n_inputs; i++)
      if (g_array_index (scope->inputs, guint, i) == place.layer)
        g_array_append_val (call->outputs, inputs[i]);
    return call->outputs->len == 1 ? TRUE
        : fail (error, NN_ERROR_FORMAT, "the input '%s' gets %u values", listed->name,
              call->outputs->len);
  }
  for (guint k = 0; k < call->arguments->len; k++) {
    const Argument *argument = &g_array_index (call->arguments, Argument, k);
    const Call *from;

    if (!argument->is_input)
      continue;
    from = find_call (scope, argument, listed->name, error);
    if (argument->tensor >= from->outputs->len)
      return fail (error, NN_ERROR_FORMAT,
          "layer '%s' takes output %u of '%s', which has %u", listed->name, argument->tensor + 1,
          get_listed (scope, argument->layer)->name, from->outputs->len);
    g_array_append_val (values, g_array_index (from->outputs, guint, argument->tensor));
  }
  if (values->len == 0)
    return fail (error, NN_ERROR_FORMAT, "layer '%s' should have one input, found 0",
        listed->name);
  return apply (b, scope, listed, call, (const guint *) (gpointer) values->data, values->len,
      call->outputs, error);
}

/* Each call after those whose outputs it takes, else as listed. */
static gboolean
expand_functional (Builder *b, Scope *scope, const guint *inputs, guint n_inputs, GArray *outputs,
    GError **error)
{
  g_autoptr (GPtrArray) consumers = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  g_autoptr (GArray) ready = g_array_new (FALSE, FALSE, sizeof (Place));
  guint n = 0, n_run = 0;

  for (guint i = 0; i < scope->layers->len; i++)
    g_ptr_array_add (consumers, g_array_new (FALSE, FALSE, sizeof (Place)));
  for (guint i = 0; i < scope->layers->len; i++)
    for (guint k = 0; k < get_listed (scope, i)->calls->len; k++) {
      const Place place = { i, k };

      if (!append_waiting (scope, consumers, place, &n, error))
        return FALSE;
      if (get_call (get_listed (scope, i), k)->n_waiting == 0)
        g_array_append_val (ready, place);
    }
  while (ready->len > 0) {
    const Place place = g_array_index (ready, Place, 0);
    const GArray *next = consumers->pdata[place.layer];
    const guint n_ready = ready->len;

    g_array_remove_index (ready, 0);
    if (!run_call (b, scope, place, inputs, n_inputs, error))
      return FALSE;
    n_run++;
    for (guint k = 0; k < next->len; k++) {
      const Place to = g_array_index (next, Place, k);
      Listed *listed = get_listed (scope, to.layer);
      Call *call = get_call (listed, to.call);

      for (guint a = 0; a < call->arguments->len && call->n_waiting > 0; a++) {
        const Argument *argument = &g_array_index (call->arguments, Argument, a);

        if (argument->is_input && argument->layer == place.layer
            && find_call (scope, argument, listed->name, NULL)
                == get_call (get_listed (scope, place.layer), place.call)) {
          if (--call->n_waiting == 0)
            g_array_append_val (ready, to);
        }
      }
    }
    if (ready->len >= n_ready)
      g_array_sort (ready, compare_places);
  }
  for (guint i = 0; n_run < n && i < scope->layers->len; i++)
    for (guint k = 0; k < get_listed (scope, i)->calls->len; k++)
      if (get_call (get_listed (scope, i), k)->n_waiting > 0)
        return fail (error, NN_ERROR_FORMAT,
            "layer '%s' depends on its own output: the graph has a cycle",
            get_listed (scope, i)->name);
  for (guint i = 0; i < scope->outputs->len; i++) {
    const Argument *end = &g_array_index (scope->outputs, Argument, i);
    const Call *call = find_call (scope, end, "output_layers", error);

    if (call == NULL)
      return FALSE;
    if (end->tensor >= call->outputs->len)
      return fail (error, NN_ERROR_FORMAT, "\"output_layers\" takes output %u of '%s', it has %u",
          end->tensor + 1, get_listed (scope, end->layer)->name, call->outputs->len);
    g_array_append_val (outputs, g_array_index (call->outputs, guint, end->tensor));
  }
  return TRUE;
}

static gboolean
expand (Builder *b, Scope *scope, const guint *inputs, guint n_inputs, GArray *outputs,
    GError **error)
{
  if (++b->n_expanded > NN_MAX_LAYERS)
    return fail (error, NN_ERROR_FORMAT, "models inside the model are called more than %d times",
        NN_MAX_LAYERS);
  return scope->is_sequential ? expand_sequential (b, scope, inputs, n_inputs, outputs, error)
                              : expand_functional (b, scope, inputs, n_inputs, outputs, error);
}

/* --- the input ---------------------------------------------------------------- */

/* Where Keras's versions keep it. */
static JsonNode *
find_shape (JsonObject *config)
{
  JsonNode *node = config ? nn_json_get (config, "batch_input_shape") : NULL;

  return node || !config ? node : nn_json_get (config, "batch_shape");
}

/* The shape with batch of what goes into the scope; *@name: the layer that tells it. */
static JsonNode *
find_scope_shape (const Scope *scope, const char **name)
{
  const Listed *first = get_listed (scope, 0);
  JsonObject *build;
  JsonNode *shape;

  if (!scope->is_sequential)
    first = get_listed (scope, g_array_index (scope->inputs, guint, 0));
  *name = first->name;
  shape = find_shape (first->config);
  if (shape == NULL && scope->config)
    shape = nn_json_get (scope->config, "build_input_shape");
  if (shape == NULL && (build = nn_json_get_object (scope->object, "build_config")) != NULL)
    shape = nn_json_get (build, "input_shape");
  if (shape == NULL && first->scope)
    shape = find_scope_shape (first->scope, name);
  return shape;
}

static gboolean
has_channels_first (const Scope *scope)
{
  for (guint i = 0; i < scope->layers->len; i++) {
    const Listed *listed = get_listed (scope, i);

    if (listed->scope ? has_channels_first (listed->scope)
                      : g_strcmp0 (nn_json_get_string (listed->config, "data_format"),
                            "channels_first")
                == 0)
      return TRUE;
  }
  return FALSE;
}

/* [null, 200, 200, 3], or without height, width or channels */
static gboolean
parse_shape (JsonNode *node, const char *name, NnShape *shape, GError **error)
{
  g_autofree char *found = nn_json_describe (node);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  /* [[null, ..]]: Keras 3's form for lists of inputs */
  if (array && json_array_get_length (array) == 1
      && JSON_NODE_HOLDS_ARRAY (json_array_get_element (array, 0)))
    array = json_array_get_array_element (array, 0);
  if (!array || json_array_get_length (array) < 2 || json_array_get_length (array) > 4)
    return fail (error, NN_ERROR_UNSUPPORTED,
        "layer '%s': the input shape should be [null, height, width, channels], found %s", name,
        found);
  shape->n_dims = json_array_get_length (array) - 1;
  for (guint i = 0; i < shape->n_dims; i++) {
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

/* The pictures that the shape stands for: (C, H, W), (H, W) and (H * W) are told by what fits. */
static gboolean
find_picture (NnModel *model, const char *name, const NnShape *shape, GError **error)
{
  NnShape *picture = &model->input_shape;
  gsize side;

  picture->n_dims = 3;
  switch (shape->n_dims) {
    case 3:
      for (guint i = 0; i < 3; i++)
        picture->dims[i] = shape->dims[model->channels_first ? (i + 1) % 3 : i];
      return TRUE;
    case 2:
      picture->dims[0] = shape->dims[0];
      picture->dims[1] = shape->dims[1];
      picture->dims[2] = 1;
      return TRUE;
    default:
      for (gsize channels = 1; channels <= 3; channels += 2) {
        side = (gsize) (sqrt ((double) (shape->dims[0] / channels)) + 0.5);
        if (side * side * channels != shape->dims[0])
          continue;
        picture->dims[0] = picture->dims[1] = side;
        picture->dims[2] = channels;
        return TRUE;
      }
      return fail (error, NN_ERROR_UNSUPPORTED,
          "layer '%s': an input of %" G_GSIZE_FORMAT
          " values is neither a square grey picture nor a square coloured one",
          name, shape->dims[0]);
  }
}

static gboolean
append_input (Builder *b, const Scope *scope, GError **error)
{
  const char *name;
  JsonNode *node = find_scope_shape (scope, &name);
  NnLayer input = { 0 };

  if (node == NULL)
    return fail (error, NN_ERROR_FORMAT,
        "the model has no input shape: its first layer '%s' needs a \"batch_input_shape\"", name);
  input.klass = nn_layer_class_find ("InputLayer");
  input.kind = input.klass->kind;
  input.name = b->model->has_implicit_input ? g_strconcat (name, "_input", NULL) : g_strdup (name);
  input.group = g_strdup (input.name);
  input.store = g_strdup ("");
  input.trainable = TRUE;
  g_hash_table_add (b->names, input.name);
  g_array_append_val (b->layers, input);
  b->model->channels_first = has_channels_first (scope);
  return parse_shape (node, name, &get_layer (b, 0)->in_shape, error)
      && nn_layer_set_shape (get_layer (b, 0), "the input", &get_layer (b, 0)->in_shape,
          get_layer (b, 0)->in_shape.n_dims, get_layer (b, 0)->in_shape.dims, error)
      && nn_layer_infer (get_layer (b, 0), get_layer (b, 0), NULL, error)
      && find_picture (b->model, name, &get_layer (b, 0)->out_shape, error);
}

/* --- the whole -------------------------------------------------------------------- */

static gboolean
check_top (Builder *b, const Scope *scope, GError **error)
{
  guint n_inputs = 0;

  for (guint i = 0; i < scope->layers->len; i++)
    n_inputs += is_input (get_listed (scope, i));
  if (scope->is_sequential) {
    b->model->has_implicit_input = n_inputs == 0;
    return scope->layers->len > n_inputs ? TRUE
        : fail (error, NN_ERROR_FORMAT, "the Sequential model has an input and no layers");
  }
  if (n_inputs == 0)
    return fail (error, NN_ERROR_FORMAT, "the functional model has no InputLayer");
  if (n_inputs > 1 || scope->inputs->len > 1)
    return fail (error, NN_ERROR_UNSUPPORTED, "the model has %u inputs, only one is supported",
        MAX (n_inputs, scope->inputs->len));
  if (scope->outputs->len > 1) {
    g_autoptr (GString) names = g_string_new (NULL);

    for (guint i = 0; i < scope->outputs->len; i++)
      g_string_append_printf (names, "%s'%s'", i ? ", " : "",
          get_listed (scope, g_array_index (scope->outputs, Argument, i).layer)->name);
    return fail (error, NN_ERROR_UNSUPPORTED,
        "the model has %u outputs, only one is supported: %s", scope->outputs->len, names->str);
  }
  return TRUE;
}

/* Keras lists only what leads to the outputs. */
static gboolean
check_used (const Builder *b, GError **error)
{
  const guint n = b->layers->len;
  g_autofree gboolean *is_used = g_new0 (gboolean, n);

  is_used[b->model->output] = TRUE;
  for (guint i = n; i-- > 0;) {
    const NnLayer *layer = get_layer (b, i);

    if (!is_used[i] && i > 0 && layer->shares == 0 && strcmp (layer->group, layer->name) == 0)
      return fail (error, NN_ERROR_FORMAT, "layer '%s' does not lead to the output", layer->name);
    for (guint k = 0; k < layer->n_inputs; k++)
      is_used[layer->inputs[k]] = is_used[layer->inputs[k]] || is_used[i];
  }
  return TRUE;
}

static gboolean
build_top (Builder *b, Scope *scope, GError **error)
{
  g_autoptr (GArray) outputs = g_array_new (FALSE, FALSE, sizeof (guint));
  const guint input = 0;
  const char *name;

  if (!scope_read (b, scope, error) || !check_unknown (b, error))
    return FALSE;
  b->model->is_sequential = scope->is_sequential;
  name = scope->config ? nn_json_get_string (scope->config, "name") : NULL;
  b->model->name = g_strdup (name ? name : scope->is_sequential ? "sequential" : "model");
  if (!check_top (b, scope, error) || !append_input (b, scope, error)
      || !expand (b, scope, &input, 1, outputs, error))
    return FALSE;
  if (outputs->len != 1)
    return fail (error, NN_ERROR_UNSUPPORTED, "the model has %u outputs, only one is supported",
        outputs->len);
  b->model->output = g_array_index (outputs, guint, 0);
  return check_used (b, error);
}

gboolean
nn_keras_build (NnModel *model, JsonNode *root, guint keras, GError **error)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  const char *class_name = object ? nn_json_get_string (object, "class_name") : NULL;
  Builder b = { .model = model };
  g_autoptr (Scope) scope = NULL;
  gboolean ok;

  if (class_name == NULL || nn_json_get (object, "config") == NULL)
    return fail (error, NN_ERROR_FORMAT,
        "expected a Keras network (the JSON of model.to_json(), an object with \"class_name\""
        " and \"config\"), found other JSON");
  if (!is_model (class_name))
    return fail (error, NN_ERROR_UNSUPPORTED,
        "the model is a %s, only Sequential and functional models are supported", class_name);
  /* model.to_json() has it itself */
  if (keras == 0)
    keras = nn_keras_parse_version (nn_json_get_string (object, "keras_version"));
  model->keras = b.keras = keras;
  b.layers = g_array_new (FALSE, TRUE, sizeof (NnLayer));
  b.unknown = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, unknown_free);
  b.names = g_hash_table_new (g_str_hash, g_str_equal);
  scope = scope_new (object, "", NULL);
  ok = build_top (&b, scope, error);
  model->n_layers = b.layers->len;
  model->layers = (NnLayer *) (gpointer) g_array_free (b.layers, FALSE);
  g_hash_table_unref (b.unknown);
  g_hash_table_unref (b.names);
  return ok;
}
