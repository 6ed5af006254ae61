/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/text.h"

#include <string.h>

gboolean
nn_text_is_control (gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f
      || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff
      || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

char *
nn_text_printable (const char *text, gssize length)
{
  const char *end = text + (length < 0 ? (gssize) strlen (text) : length);
  GString *out = g_string_sized_new ((gsize) (end - text) + 1);

  while (text < end) {
    const gunichar c = g_utf8_get_char_validated (text, end - text);

    if (c == (gunichar) -1 || c == (gunichar) -2 || c == 0) {
      g_string_append_printf (out, "\\x%02x", (guint8) *text++);
      continue;
    }
    if (!nn_text_is_control (c))
      g_string_append_unichar (out, c);
    else if (c < 0x100)
      g_string_append_printf (out, "\\x%02x", c);
    else
      g_string_append_printf (out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    text = g_utf8_next_char (text);
  }
  return g_string_free (out, FALSE);
}

void
nn_text_make_printable (GError **error)
{
  char *message;

  if (!error || !*error)
    return;
  message = nn_text_printable ((*error)->message, -1);
  g_free ((*error)->message);
  (*error)->message = message;
}
