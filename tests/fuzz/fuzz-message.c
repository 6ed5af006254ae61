/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A result with any texts and numbers as a line of JSON: valid, and one line. */

#include "tests/fuzz/fuzz.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "gst/json-lines.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  GstStructure *structure;
  double number = 0;

  fuzz_start ();
  gst_init (NULL, NULL);
  memcpy (&number, data, MIN (size, sizeof number));
  structure = gst_structure_new ("classify", "probability", G_TYPE_DOUBLE, number, "weight",
      G_TYPE_FLOAT, (float) number, "id", G_TYPE_INT64, (gint64) size, "label",
      G_TYPE_STRING, text, NULL);
  line = json_line_from_structure (structure);
  gst_structure_free (structure);
  g_assert (line[0] && strchr (line, '\n') == line + strlen (line) - 1);
  g_assert (g_utf8_validate (line, -1, NULL));
  json_parser_load_from_data (parser, line, -1, &error);
  g_assert_no_error (error);
  g_assert (JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)));
  return 0;
}
