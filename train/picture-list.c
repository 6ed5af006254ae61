/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/picture-list.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"

#define MAX_FILE_SIZE ((gsize) 1 << 30)
#define SOFT "probability:"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* --- CSV ------------------------------------------------------------------------- */

static void
csv_row_free (gpointer data)
{
  CsvRow *row = data;

  g_strfreev (row->fields);
  g_free (row);
}

/* One field from @at on; NULL where its quotes do not end, or not at its end. */
static const char *
parse_field (const char *at, GString *field, guint *line)
{
  g_string_truncate (field, 0);
  if (*at != '"') {
    gsize n = strcspn (at, ",\r\n");

    g_string_append_len (field, at, (gssize) n);
    return at + n;
  }
  for (at++; *at; at++) {
    if (*at == '"' && at[1] != '"')
      return strchr (",\r\n", at[1]) ? at + 1 : NULL; /* finds the NUL as well */
    if (*at == '"')
      at++;
    *line += *at == '\n';
    g_string_append_c (field, *at);
  }
  return NULL;
}

GPtrArray *
csv_parse (const char *path, const char *text, GError **error)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (csv_row_free);
  g_autoptr (GString) field = g_string_new (NULL);
  const char *at = text;
  guint line = 1;

  if (g_str_has_prefix (at, BYTE_ORDER_MARK)) /* as spreadsheets write it */
    at += 3;
  while (*at) {
    GPtrArray *fields;
    CsvRow *row;

    if (*at == '\r' || *at == '\n') {
      line += *at++ == '\n';
      continue;
    }
    row = g_new0 (CsvRow, 1);
    row->line = line;
    fields = g_ptr_array_new ();
    g_ptr_array_add (rows, row);
    for (;;) {
      at = parse_field (at, field, &line);
      if (at)
        g_ptr_array_add (fields, g_strdup (field->str));
      if (!at || *at != ',')
        break;
      at++;
    }
    g_ptr_array_add (fields, NULL);
    row->fields = (char **) g_ptr_array_free (fields, FALSE);
    if (!at) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s:%u: a field in quotes does not end with one: write \"\" for a quote in it", path,
          row->line);
      return NULL;
    }
  }
  return g_steal_pointer (&rows);
}

void
csv_append (GString *csv, const char *field)
{
  if (!strpbrk (field, ",\"\r\n") && !g_str_has_prefix (field, BYTE_ORDER_MARK)) {
    g_string_append (csv, field);
    return;
  }
  g_string_append_c (csv, '"');
  for (; *field; field++) {
    if (*field == '"')
      g_string_append_c (csv, '"');
    g_string_append_c (csv, *field);
  }
  g_string_append_c (csv, '"');
}

/* --- list --------------------------------------------------------------------------- */

char *
picture_list_name (const char *list_dir, const char *path)
{
  g_autofree char *dir = g_canonicalize_filename (list_dir, NULL);
  g_autofree char *full = g_canonicalize_filename (path, NULL);
  const gsize n = strlen (dir);

  if (g_str_has_prefix (full, dir) && full[n] == '/')
    return g_strdup (full + n + 1);
  return g_steal_pointer (&full);
}

static int
find_column (char **header, const char *name)
{
  for (int i = 0; header[i]; i++)
    if (strcmp (header[i], name) == 0)
      return i;
  return -1;
}

/* What the header has; @soft: (out) the columns of list->classes. */
static gboolean
read_header (PictureList *list, const char *path, char **header, int *file, int *label,
    GArray *soft, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  GPtrArray *classes = g_ptr_array_new ();

  *file = find_column (header, "file");
  *label = find_column (header, "label");
  for (int i = 0; header[i]; i++) {
    if (g_str_has_prefix (header[i], SOFT)) {
      g_ptr_array_add (classes, g_strdup (header[i] + strlen (SOFT)));
      g_array_append_val (soft, i);
    }
  }
  g_ptr_array_add (classes, NULL);
  list->classes = (char **) g_ptr_array_free (classes, FALSE);
  if (*file < 0 || (*label < 0 && soft->len == 0)) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: no list of labelled pictures: expected a first line \"file,label\", or one with "
        "columns \"" SOFT "CLASS\"",
        path);
    return FALSE;
  }
  for (guint i = 0; i < soft->len; i++) {
    if (!g_hash_table_add (seen, list->classes[i])) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s:1: two columns \"" SOFT "%s\"", path,
          list->classes[i]);
      return FALSE;
    }
  }
  return TRUE;
}

/* each from 0 to 1, together 1 but for what printing rounds */
static gboolean
read_probabilities (const CsvRow *row, const GArray *soft, const char *path, float *p,
    GError **error)
{
  double sum = 0;

  for (guint i = 0; i < soft->len; i++) {
    const char *text = row->fields[g_array_index (soft, int, i)];
    char *end;
    double value = g_ascii_strtod (text, &end);

    if (end == text || *end != '\0' || !(value >= 0 && value <= 1)) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s:%u: \"%s\" is no probability: expected 0 to 1", path, row->line, text);
      return FALSE;
    }
    p[i] = (float) value;
    sum += value;
  }
  if (fabs (sum - 1) > 0.01) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s:%u: the probabilities sum to %g: expected 1", path, row->line, sum);
    return FALSE;
  }
  for (guint i = 0; i < soft->len; i++)
    p[i] = (float) (p[i] / sum);
  return TRUE;
}

/* Every row is as wide as the first and names a file: what the file says is told before
 * memory is taken for rows times columns, which then are no more than its bytes. */
static gboolean
check_rows (const GPtrArray *rows, const char *path, int file, guint n_columns, GError **error)
{
  for (guint i = 1; i < rows->len; i++) {
    const CsvRow *row = g_ptr_array_index (rows, i);

    if (g_strv_length (row->fields) == n_columns && row->fields[file][0] != '\0')
      continue;
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s:%u: expected %u fields as in the first line, and a file among them", path, row->line,
        n_columns);
    return FALSE;
  }
  return TRUE;
}

static gboolean
take_memory (PictureList *list, const char *path, guint n_rows, guint n_soft, GError **error)
{
  list->paths = g_try_new0 (char *, n_rows);
  if (n_soft)
    list->probabilities = g_try_new (float, (gsize) n_rows * n_soft);
  else
    list->labels = g_try_new0 (char *, n_rows);
  if (list->paths && (list->probabilities || list->labels))
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "%s: not enough memory for its %u pictures",
      path, n_rows - 1);
  return FALSE;
}

PictureList *
picture_list_load (const char *path, GError **error)
{
  g_autoptr (PictureList) list = g_new0 (PictureList, 1);
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (GArray) soft = g_array_new (FALSE, FALSE, sizeof (int));
  g_autofree char *text = NULL, *dir = g_path_get_dirname (path);
  const CsvRow *header;
  int file, label;
  guint n_columns;
  gsize size;

  text = nn_file_read (path, MAX_FILE_SIZE, "a list of pictures", &size, error);
  if (!text)
    return NULL;
  if (strlen (text) != size) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: no list of labelled pictures: it has bytes that no text has", path);
    return NULL;
  }
  rows = csv_parse (path, text, error);
  if (!rows)
    return NULL;
  header = rows->len ? g_ptr_array_index (rows, 0) : &(CsvRow) { 1, (char *[]) { NULL } };
  if (!read_header (list, path, header->fields, &file, &label, soft, error))
    return NULL;
  n_columns = g_strv_length (header->fields);
  if (!check_rows (rows, path, file, n_columns, error)
      || !take_memory (list, path, rows->len, soft->len, error))
    return NULL;
  list->n = rows->len - 1;
  for (guint i = 0; i < list->n; i++) {
    const CsvRow *row = g_ptr_array_index (rows, i + 1);

    list->paths[i] = g_path_is_absolute (row->fields[file])
        ? g_strdup (row->fields[file])
        : g_build_filename (dir, row->fields[file], NULL);
    if (!soft->len)
      list->labels[i] = g_strdup (row->fields[label]);
    else if (!read_probabilities (row, soft, path, list->probabilities + (gsize) i * soft->len,
                 error))
      return NULL;
  }
  return g_steal_pointer (&list);
}

void
picture_list_free (PictureList *list)
{
  if (!list)
    return;
  g_strfreev (list->paths);
  g_strfreev (list->labels);
  g_strfreev (list->classes);
  g_free (list->probabilities);
  g_free (list);
}
