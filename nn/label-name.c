/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/label-name.h"

#include <string.h>

#define HASH_DIGITS 32
#define EMPTY "%00" /* no text has this byte */

static gboolean
is_escape (const char *text)
{
  return text[0] == '%' && g_ascii_isxdigit (text[1]) && g_ascii_isxdigit (text[2]);
}

/* "~HASH", as a name that was cut ends */
static gboolean
is_hash (const char *text)
{
  return text[0] == '~' && strspn (text + 1, "0123456789abcdef") == HASH_DIGITS
         && text[1 + HASH_DIGITS] == '\0';
}

static gboolean
is_number_at_end (const char *text)
{
  return (text[0] == '-' || text[0] == '_') && text[1] != '\0'
         && text[1 + strspn (text + 1, "0123456789")] == '\0';
}

/* Whether the character at @p of @label may stand in a name. */
static gboolean
is_safe (const char *label, const char *p, gunichar c, gboolean is_prefix)
{
  const gboolean is_first = p == label, is_last = *g_utf8_next_char (p) == '\0';

  switch (g_unichar_type (c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
      return FALSE;
    default:
      break;
  }
  if (c >= 0x80)
    return TRUE;
  switch (c) {
    case '/':
    case '\\':
    case ':':
    case '*':
    case '?':
    case '"':
    case '<':
    case '>':
    case '|':
      return FALSE;
    case '%':
      return !is_escape (p);
    case '.':
      return !is_prefix && !is_first && !is_last;
    case ' ':
      return !is_first && !is_last;
    case '-':
    case '_':
      return (!is_first || c == '_') && !(is_prefix && is_number_at_end (p));
    case '~':
      return !is_first && !is_hash (p);
    default:
      return TRUE;
  }
}

/* @name cut between two characters */
static void
cut (GString *name, const char *label)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, label, -1);
  gsize n = NN_LABEL_NAME_MAX - 1 - HASH_DIGITS;

  while (n > 0 && ((guchar) name->str[n] & 0xc0) == 0x80)
    n--;
  for (gsize i = n; i > 0 && i + 3 > n; i--) /* within an escape */
    if (is_escape (name->str + i - 1) && i + 2 > n) {
      n = i - 1;
      break;
    }
  g_string_truncate (name, n);
  g_string_append_printf (name, "~%.*s", HASH_DIGITS, hash);
}

char *
nn_label_to_name (const char *label, gboolean is_prefix)
{
  GString *name = g_string_new (NULL);
  const char *p = label;

  if (*label == '\0')
    g_string_append (name, EMPTY);
  while (*p) {
    const gunichar c = g_utf8_get_char_validated (p, -1);
    const gboolean is_valid = c != (gunichar) -1 && c != (gunichar) -2;
    const char *next = is_valid ? g_utf8_next_char (p) : p + 1;

    if (is_valid && is_safe (label, p, c, is_prefix))
      g_string_append_len (name, p, next - p);
    else
      for (const char *byte = p; byte < next; byte++)
        g_string_append_printf (name, "%%%02X", (guint8) *byte);
    p = next;
  }
  if (name->len > NN_LABEL_NAME_MAX)
    cut (name, label);
  return g_string_free (name, FALSE);
}

char *
nn_label_from_name (const char *name)
{
  g_autoptr (GString) label = g_string_new (NULL);

  if (strcmp (name, EMPTY) == 0)
    return g_strdup ("");
  for (const char *p = name; *p;) {
    if (is_escape (p)) {
      g_string_append_c (
          label, (char) (g_ascii_xdigit_value (p[1]) << 4 | g_ascii_xdigit_value (p[2])));
      p += 3;
    } else {
      g_string_append_c (label, *p++);
    }
  }
  for (guint is_prefix = 0; is_prefix < 2; is_prefix++) {
    g_autofree char *again = nn_label_to_name (label->str, is_prefix);

    if (strcmp (again, name) == 0 && g_utf8_validate (label->str, label->len, NULL))
      return g_strdup (label->str);
  }
  return g_strdup (name);
}
