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
#include "nn/keras-build.h"
#include "nn/keras-config.h"
#include "nn/model-private.h"
#include "nn/text.h"

#define MAX_JSON_SIZE ((gsize) 64 << 20)
#define MAX_DEPTH 64 /* Keras 3's deepest nodes have about 20 levels */

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

/* --- the whole ---------------------------------------------------------- */

NnModel *
nn_model_new_from_json (const char *json, gssize length, const char *origin, GError **error)
{
  return nn_model_new_from_keras (json, length, 0, origin, error);
}

NnModel *
nn_model_new_from_keras (
    const char *json, gssize length, guint keras, const char *origin, GError **error)
{
  g_autoptr (NnModel) model = nn_model_new_empty (origin);
  g_autoptr (JsonParser) parser = NULL;
  const NnShape *shape;

  if (length < 0)
    length = strlen (json);
  parser = nn_json_parse (json, length, error);
  if (parser == NULL || !nn_keras_build (model, json_parser_get_root (parser), keras, error)) {
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

      if (first && json_object_has_member (first, "batch_input_shape"))
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

/* In a list of layers and those of models inside; returns how many have the name. */
static guint
set_units (JsonNode *config, const char *name, guint units)
{
  guint n = 0;
  JsonArray *layers = JSON_NODE_HOLDS_ARRAY (config) ? json_node_get_array (config)
      : JSON_NODE_HOLDS_OBJECT (config)
      ? nn_json_get_array (json_node_get_object (config), "layers")
      : NULL;

  for (guint i = 0; layers && i < json_array_get_length (layers); i++) {
    JsonNode *node = json_array_get_element (layers, i);
    JsonObject *layer = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    JsonNode *inner = layer ? nn_json_get (layer, "config") : NULL;
    JsonObject *object = inner && JSON_NODE_HOLDS_OBJECT (inner) ? json_node_get_object (inner)
                                                                 : NULL;
    const char *layer_name = layer ? nn_json_get_string (layer, "name") : NULL;

    if (layer_name == NULL && object)
      layer_name = nn_json_get_string (object, "name");
    if (inner && (!object || json_object_has_member (object, "layers")))
      n += set_units (inner, name, units);
    else if (object && g_strcmp0 (layer_name, name) == 0) {
      json_object_set_int_member (object, "units", units);
      n++;
    }
  }
  return n;
}

char *
nn_model_json_set_units (const char *json, const char *name, guint units, GError **error)
{
  g_autoptr (JsonParser) parser = parse_again (json, error);
  JsonNode *config;

  if (parser == NULL)
    return NULL;
  config = json_object_get_member (json_node_get_object (json_parser_get_root (parser)), "config");
  if (set_units (config, name, units) != 1) {
    fail (error, NN_ERROR_UNSUPPORTED,
        "the number of classes of layer '%s' cannot be set: the network has it several times",
        name);
    return NULL;
  }
  return json_to_string (json_parser_get_root (parser), FALSE);
}
