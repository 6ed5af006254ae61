/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Class names from text files, good and bad. */

#include <glib/gstdio.h>
#include <string.h>

#include "nn/error.h"
#include "nn/labels.h"

static void
test_good (void)
{
  static const struct
  {
    const char *text, *joined;
  } rows[] = {
    { "cat\ndog\n", "cat|dog" },
    { "cat\r\ndog", "cat|dog" },
    { "\xef\xbb\xbf# the classes\n\n  tabby cat \t\n#x\nd\xc3\xb6g\n\n", "tabby cat|d\xc3\xb6g" },
    { "crane\ncrane\n", "crane|crane" }, /* ImageNet has two */
    { "a#b\n", "a#b" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GError *error = NULL;
    g_auto (GStrv) labels = nn_labels_parse (rows[i].text, strlen (rows[i].text), "x", &error);
    g_autofree char *joined = NULL;

    g_assert_no_error (error);
    joined = g_strjoinv ("|", labels);
    g_assert_cmpstr (joined, ==, rows[i].joined);
  }
}

static void
test_bad (void)
{
  static const struct
  {
    const char *text;
    gsize size;
    const char *part;
  } rows[] = {
    { "", 0, "found none" },
    { "\n# only words\n", 14, "found none" },
    { "cat\ndo\xffg\n", 9, "line 2: expected class names as UTF-8 text, found the byte 0xff" },
    { "cat\0dog\n", 8, "line 1: expected class names as UTF-8 text, found the byte 0x00" },
    { "\x89HDF\r\n\x1a\n", 8, "line 1" },
    { "\xc3", 1, "line 1" },
  };
  g_autofree char *longest = g_strnfill (4097, 'x');

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (nn_labels_parse (rows[i].text, rows[i].size, "labels.txt", &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    g_assert_true (g_str_has_prefix (error->message, "labels.txt: "));
    g_assert_nonnull (strstr (error->message, rows[i].part));
  }
  {
    g_autoptr (GError) error = NULL;
    g_auto (GStrv) labels = nn_labels_parse (longest, 4096, "x", &error);

    g_assert_no_error (error);
    g_assert_cmpuint (g_strv_length (labels), ==, 1);
    g_assert_null (nn_labels_parse (longest, 4097, "x", &error));
    g_assert_nonnull (strstr (error->message, "at most 4096"));
  }
}

static void
test_files (void)
{
  g_autofree char *path = NULL;
  GError *error = NULL;
  g_auto (GStrv) labels = NULL;
  int fd = g_file_open_tmp ("labels-XXXXXX", &path, &error);

  g_assert_no_error (error);
  g_close (fd, NULL);
  g_assert_null (nn_labels_load (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "empty file"));
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (path, "a\nb\nc", -1, NULL));
  labels = nn_labels_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (labels), ==, 3);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_null (nn_labels_load (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (nn_labels_load ("/", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_READ);
  g_clear_error (&error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/labels/good", test_good);
  g_test_add_func ("/labels/bad", test_bad);
  g_test_add_func ("/labels/files", test_files);
  return g_test_run ();
}
