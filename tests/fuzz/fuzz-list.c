/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A CSV list of pictures, and CSV as such: what is written is read as the same. */

#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

#include "train/picture-list.h"

static void
check_list (const PictureList *list)
{
  guint n_classes = list->probabilities ? g_strv_length (list->classes) : 0;

  g_assert ((list->labels == NULL) == (list->probabilities != NULL));
  for (guint i = 0; i < list->n; i++) {
    g_autofree char *name = picture_list_name ("/proc/self", list->paths[i]);
    double sum = 0;

    g_assert (list->paths[i][0] != '\0' && name[0] != '\0');
    g_assert (!list->labels || list->labels[i]);
    for (guint k = 0; k < n_classes; k++) {
      float p = list->probabilities[(gsize) i * n_classes + k];

      g_assert (p >= 0 && p <= 1);
      sum += p;
    }
    g_assert (n_classes == 0 || fabs (sum - 1) < 1e-3);
  }
}

static void
check_rows (const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows = csv_parse ("fuzz", text, &error), again = NULL;
  g_autoptr (GString) csv = g_string_new (NULL);

  g_assert ((rows == NULL) == (error != NULL));
  for (guint i = 0; rows && i < rows->len; i++) {
    const CsvRow *row = g_ptr_array_index (rows, i);

    for (guint k = 0; row->fields[k]; k++) {
      if (k > 0)
        g_string_append_c (csv, ',');
      csv_append (csv, row->fields[k]);
    }
    /* a row of one empty field is an empty line, which is skipped */
    g_string_append (csv, row->fields[0][0] || row->fields[1] ? "\n" : "\"\"\n");
  }
  if (!rows)
    return;
  again = csv_parse ("again", csv->str, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (again->len, ==, rows->len);
  for (guint i = 0; i < rows->len; i++) {
    const CsvRow *a = g_ptr_array_index (rows, i), *b = g_ptr_array_index (again, i);

    g_assert (g_strv_equal ((const char *const *) a->fields, (const char *const *) b->fields));
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (PictureList) list = NULL;
  g_autofree char *text = g_strndup ((const char *) data, size);
  FuzzFile file;

  fuzz_start ();
  check_rows (text);
  if (!fuzz_file_open (&file, data, size))
    return 0;
  list = picture_list_load (file.path, &error);
  fuzz_file_close (&file);
  g_assert ((list == NULL) == (error != NULL));
  if (list)
    check_list (list);
  return 0;
}
