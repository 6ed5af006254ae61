/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/labels.h"

#include <string.h>

#include "nn/error.h"
#include "nn/file.h"

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

char **
nn_labels_parse (const char *text, gsize size, const char *origin, GError **error)
{
  g_autoptr (GPtrArray) labels = g_ptr_array_new_with_free_func (g_free);
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
  g_ptr_array_add (labels, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&labels), FALSE);
}

char **
nn_labels_load (const char *path, GError **error)
{
  gsize size;
  g_autofree char *text = nn_file_read (path, MAX_FILE_SIZE, "class names, one a line", &size,
      error);

  return text ? nn_labels_parse (text, size, path, error) : NULL;
}
