/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/json-lines.h"

#include <json-glib/json-glib.h>
#include <math.h>

static void
add_value (JsonBuilder *builder, const GValue *value)
{
  if (G_VALUE_HOLDS_STRING (value) && g_value_get_string (value)) {
    g_autofree char *valid = g_utf8_make_valid (g_value_get_string (value), -1);

    json_builder_add_string_value (builder, valid);
  } else if (G_VALUE_HOLDS_DOUBLE (value) && isfinite (g_value_get_double (value))) {
    json_builder_add_double_value (builder, g_value_get_double (value));
  } else if (G_VALUE_HOLDS_INT (value)) {
    json_builder_add_int_value (builder, g_value_get_int (value));
  } else if (G_VALUE_HOLDS_UINT (value)) {
    json_builder_add_int_value (builder, g_value_get_uint (value));
  } else if (G_VALUE_HOLDS_UINT64 (value) && g_value_get_uint64 (value) <= G_MAXINT64) {
    json_builder_add_int_value (builder, (gint64)g_value_get_uint64 (value));
  } else if (G_VALUE_HOLDS_BOOLEAN (value)) {
    json_builder_add_boolean_value (builder, g_value_get_boolean (value));
  } else if (GST_VALUE_HOLDS_ARRAY (value)) {
    json_builder_begin_array (builder);
    for (guint i = 0; i < gst_value_array_get_size (value); i++)
      add_value (builder, gst_value_array_get_value (value, i));
    json_builder_end_array (builder);
  } else {
    json_builder_add_null_value (builder);
  }
}

static gboolean
add_member (GQuark field, const GValue *value, gpointer builder)
{
  json_builder_set_member_name (builder, g_quark_to_string (field));
  add_value (builder, value);
  return TRUE;
}

char *
json_line_from_structure (const GstStructure *structure)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (builder);
  gst_structure_foreach (structure, add_member, builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  text = json_generator_to_data (generator, NULL);
  return g_strconcat (text, "\n", NULL);
}
