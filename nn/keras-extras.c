/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What our files have beside Keras's: labels and pre-processing. */

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/keras-config.h"
#include "nn/keras-private.h"
#include "nn/model-private.h"

static gboolean G_GNUC_PRINTF (4, 5)
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

static const char *const channels_names[] = { [NN_CHANNELS_RGB] = "rgb",
  [NN_CHANNELS_BGR] = "bgr", [NN_CHANNELS_GRAY] = "gray", NULL };
static const char *const resize_names[] = { [NN_RESIZE_NEAREST] = "nearest",
  [NN_RESIZE_BILINEAR] = "bilinear", [NN_RESIZE_AREA] = "area", NULL };

guint
nn_keras_count_channels (NnChannels channels)
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

/* files of before there was a policy have neither */
static gboolean
get_aspect (JsonObject *object, NnPreprocess *pre)
{
  const char *aspect = nn_json_get_string (object, "aspect");
  gint64 pad = 0;

  if (nn_json_get (object, "aspect") != NULL
      && (aspect == NULL || !nn_aspect_from_string (aspect, &pre->aspect)))
    return FALSE;
  if (nn_json_get (object, "pad") != NULL
      && (!nn_json_node_get_int (nn_json_get (object, "pad"), &pad) || pad < 0 || pad > 255))
    return FALSE;
  pre->pad = (guint8) pad;
  return TRUE;
}

/* what transparent pixels are laid on, or nothing */
static gboolean
get_background (JsonObject *object, NnPreprocess *pre)
{
  float values[3];

  if (nn_json_get (object, "background") == NULL)
    return TRUE;
  if (!get_floats (object, "background", 3, values))
    return FALSE;
  for (guint c = 0; c < 3; c++) {
    if (!(values[c] >= 0 && values[c] <= 255))
      return FALSE;
    pre->background[c] = (guint8) values[c];
  }
  pre->has_background = TRUE;
  return TRUE;
}

gboolean
nn_keras_parse_preprocess (const char *text, const char *file, const NnModel *model,
    NnPreprocess *pre, GError **error)
{
  const NnShape *input = nn_model_get_input_shape (model);
  g_autoptr (JsonParser) parser = nn_json_parse (text, -1, error);
  JsonNode *root = parser ? json_parser_get_root (parser) : NULL;
  JsonObject *object = root && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  gint64 width, height;
  guint channels, resize;

  if (parser == NULL) {
    g_prefix_error (error, "%s: attribute '" NN_KERAS_PREPROCESS "': ", file);
    return FALSE;
  }
  memset (pre, 0, sizeof *pre);
  if (object == NULL || !nn_json_node_get_int (nn_json_get (object, "width"), &width)
      || !nn_json_node_get_int (nn_json_get (object, "height"), &height)
      || !get_choice (object, "channels", channels_names, &channels)
      || !get_choice (object, "resize", resize_names, &resize)
      || !get_floats (object, "mean", nn_keras_count_channels (channels), pre->mean)
      || !get_floats (object, "scale", nn_keras_count_channels (channels), pre->scale)
      || !get_aspect (object, pre) || !get_background (object, pre))
    return fail (error, NN_ERROR_FORMAT, file,
        "attribute '" NN_KERAS_PREPROCESS "' should be {\"width\", \"height\", \"channels\": rgb,"
        " bgr or gray, \"resize\": nearest, bilinear or area, \"mean\": [..], \"scale\": [..]},"
        " and may have \"aspect\": stretch, letterbox or center-crop, \"pad\": 0 to 255,"
        " \"background\": three of 0 to 255");
  if (width < 1 || (guint64) width != input->dims[1] || height < 1
      || (guint64) height != input->dims[0] || nn_keras_count_channels (channels) != input->dims[2])
    return fail (error, NN_ERROR_SHAPE, file,
        "attribute '" NN_KERAS_PREPROCESS "' makes %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
        " pixels of %u channels, the network takes %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT
        " of %" G_GSIZE_FORMAT,
        width, height, nn_keras_count_channels (channels), input->dims[1], input->dims[0],
        input->dims[2]);
  pre->width = (guint) width;
  pre->height = (guint) height;
  pre->channels = channels;
  pre->resize = resize;
  return TRUE;
}

char *
nn_keras_format_preprocess (const NnPreprocess *pre)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text,
      "{\"width\": %u, \"height\": %u, \"channels\": \"%s\", \"resize\": \"%s\"", pre->width,
      pre->height, channels_names[pre->channels], resize_names[pre->resize]);
  for (guint list = 0; list < 2; list++) {
    g_string_append_printf (text, ", \"%s\": [", list ? "scale" : "mean");
    for (guint i = 0; i < nn_keras_count_channels (pre->channels); i++) {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      /* nine digits tell any two floats apart */
      g_ascii_formatd (number, sizeof number, "%.9g", list ? pre->scale[i] : pre->mean[i]);
      g_string_append_printf (text, "%s%s", i ? ", " : "", number);
    }
    g_string_append_c (text, ']');
  }
  if (pre->aspect != NN_ASPECT_STRETCH)
    g_string_append_printf (text, ", \"aspect\": \"%s\"", nn_aspect_to_string (pre->aspect));
  if (pre->pad != 0)
    g_string_append_printf (text, ", \"pad\": %u", pre->pad);
  if (pre->has_background)
    g_string_append_printf (text, ", \"background\": [%u, %u, %u]", pre->background[0],
        pre->background[1], pre->background[2]);
  g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

gboolean
nn_keras_is_labels (const char *name)
{
  const char *rest = name + strlen (NN_KERAS_LABELS);

  return g_str_has_prefix (name, NN_KERAS_LABELS) && strspn (rest, "0123456789") == strlen (rest);
}
