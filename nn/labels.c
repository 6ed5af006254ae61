/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/labels.h"

#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/log.h"
#include "nn/text.h"

#define MAX_FILE_SIZE ((gsize) 64 << 20)
#define MAX_LABEL 4096
#define MAX_LABELS 1000000

/* "0 Cat", "1 Dog", as Teachable Machine numbers them: without the numbers, where every line
 * has its own, and something behind it. */
static void
strip_indices (GPtrArray *labels)
{
  for (guint pass = 0; pass < 2; pass++) {
    for (guint i = 0; i < labels->len; i++) {
      char *label = g_ptr_array_index (labels, i), *rest;
      const guint64 index = g_ascii_strtoull (label, &rest, 10);

      if (pass == 1)
        g_strchug (memmove (label, rest, strlen (rest) + 1));
      else if (!g_ascii_isdigit (label[0]) || index != i || *rest != ' ' || rest - label > 7)
        return;
    }
  }
}

char *
nn_label_clean (const char *label, guint index)
{
  GString *text = g_string_new (NULL);
  gboolean changed = FALSE, blank = TRUE;

  for (const char *c = label; *c;) {
    const gunichar u = g_utf8_get_char_validated (c, -1);
    const gboolean is_valid = u != (gunichar) -1 && u != (gunichar) -2;
    const char *next = is_valid ? g_utf8_next_char (c) : c + 1;

    changed |= !is_valid || nn_text_is_control (u);
    blank &= is_valid && (nn_text_is_control (u) || g_unichar_isspace (u));
    if (!is_valid)
      g_string_append (text, "\xef\xbf\xbd"); /* U+FFFD */
    else if (!nn_text_is_control (u))
      g_string_append_len (text, c, next - c);
    else if (text->len > 0 && text->str[text->len - 1] != ' ')
      g_string_append_c (text, ' ');
    c = next;
  }
  if (text->len > MAX_LABEL)
    g_string_truncate (
        text, (gsize) (g_utf8_find_prev_char (text->str, text->str + MAX_LABEL + 1) - text->str));
  if (blank) {
    g_string_free (text, TRUE);
    return g_strdup_printf ("%u", index);
  }
  label = g_string_free (text, FALSE);
  return changed ? g_strstrip ((char *) label) : (char *) label;
}

char **
nn_labels_clean (const char *const *labels, const char *origin)
{
  const guint n = g_strv_length ((char **) labels);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  char **clean = g_new0 (char *, (gsize) n + 1);
  guint n_changed = 0, n_twice = 0, changed = 0, twice = 0;

  for (guint i = 0; i < n; i++) {
    clean[i] = nn_label_clean (labels[i], i);
    if (strcmp (clean[i], labels[i]) != 0 && n_changed++ == 0)
      changed = i;
    if (!g_hash_table_add (known, clean[i]) && n_twice++ == 0)
      twice = i;
  }
  if (n_changed > 0 && origin)
    nn_warning ("%s: %u labels cannot be shown as they are: \"%.200s\", class %u, is now "
        "\"%.200s\"", origin, n_changed, labels[changed], changed, clean[changed]);
  if (n_twice > 0 && origin)
    nn_info ("%s: \"%.200s\" is the label of more than one class: results do not tell which",
        origin, clean[twice]);
  return clean;
}

char **
nn_labels_parse (const char *text, gsize size, const char *origin, GError **error)
{
  g_autoptr (GPtrArray) labels = g_ptr_array_new_null_terminated (16, g_free, TRUE);
  const char *end = text + size;
  guint line = 0;

  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
    text += 3;
  while (text < end) {
    const char *newline = memchr (text, '\n', end - text);
    gsize length = (newline ? newline : end) - text;
    const char *bad;
    g_autofree char *label = NULL;

    line++;
    /* also refuses NUL bytes */
    if (!g_utf8_validate (text, length, &bad)) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: line %u: expected class names as UTF-8 text, found the byte 0x%02x", origin, line,
          (guint8) *bad);
      return NULL;
    }
    label = g_strstrip (g_strndup (text, length));
    text += length + 1;
    if (label[0] == '\0' || label[0] == '#')
      continue;
    if (strlen (label) > MAX_LABEL) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: line %u: expected a class name of at most %d bytes, found %" G_GSIZE_FORMAT, origin,
          line, MAX_LABEL, strlen (label));
      return NULL;
    }
    if (labels->len == MAX_LABELS) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: more than %d class names", origin,
          MAX_LABELS);
      return NULL;
    }
    g_ptr_array_add (labels, g_steal_pointer (&label));
  }
  if (labels->len == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: expected class names, one a line, found none", origin);
    return NULL;
  }
  strip_indices (labels);
  return nn_labels_clean ((const char *const *) labels->pdata, origin);
}

char **
nn_labels_load (const char *path, GError **error)
{
  gsize size;
  g_autofree char *text = nn_file_read (path, MAX_FILE_SIZE, "class names, one a line", &size,
      error);

  return text ? nn_labels_parse (text, size, path, error) : NULL;
}
