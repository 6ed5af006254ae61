/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Class names from text files, good and bad. */

#include <glib/gstdio.h>
#include <string.h>

#include "nn/error.h"
#include "nn/label-name.h"
#include "nn/labels.h"
#include "nn/memory.h"
#include "nn/text.h"

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
    /* Teachable Machine's numbers, and names that only look like them */
    { "0 Cat\n1 Dog\r\n2  Big bird\n", "Cat|Dog|Big bird" },
    { "0 Cat\n1 Dog\n3 Bird\n", "0 Cat|1 Dog|3 Bird" },
    { "1 Cat\n2 Dog\n", "1 Cat|2 Dog" },
    { "0\n1\n", "0|1" },
    { "0 Cat\nDog\n", "0 Cat|Dog" },
    { "0cat\n1dog\n", "0cat|1dog" },
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

/* Names of files: safe, of no more than 255 bytes, different where labels are, and back. */
static void
test_names (void)
{
  static const struct
  {
    const char *label, *name, *prefix;
  } rows[] = {
    { "tabby cat", "tabby cat", "tabby cat" },
    { "d\xc3\xb6g", "d\xc3\xb6g", "d\xc3\xb6g" },
    { "a_b", "a_b", "a_b" },
    { "a/b", "a%2Fb", "a%2Fb" },
    { "a\\b", "a%5Cb", "a%5Cb" },
    { "..", "%2E%2E", "%2E%2E" },
    { ".", "%2E", "%2E" },
    { ".hidden.x", "%2Ehidden.x", "%2Ehidden%2Ex" },
    { "-rf", "%2Drf", "%2Drf" },
    { "", "%00", "%00" },
    { "_", "_", "_" },
    { " a ", "%20a%20", "%20a%20" },
    { "100 %", "100 %", "100 %" },
    { "%2F", "%252F", "%252F" },
    { "%00", "%2500", "%2500" },
    { "a\n\033[31mb\177", "a%0A%1B[31mb%7F", "a%0A%1B[31mb%7F" },
    { "\xe2\x80\xaex\xe2\x80\xa8", "%E2%80%AEx%E2%80%A8", "%E2%80%AEx%E2%80%A8" },
    { "class-12", "class-12", "class%2D12" },
    { "class_12", "class_12", "class%5F12" },
    { "\xff", "%FF", "%FF" },
  };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *name = nn_label_to_name (rows[i].label, FALSE);
    g_autofree char *prefix = nn_label_to_name (rows[i].label, TRUE);
    g_autofree char *back = nn_label_from_name (name), *back2 = nn_label_from_name (prefix);

    g_assert_cmpstr (name, ==, rows[i].name);
    g_assert_cmpstr (prefix, ==, rows[i].prefix);
    if (!g_utf8_validate (rows[i].label, -1, NULL))
      continue;
    g_assert_cmpstr (back, ==, rows[i].label);
    g_assert_cmpstr (back2, ==, rows[i].label);
  }
  for (guint i = 0; i < 400; i++) { /* long ones, that differ at their ends or nowhere else */
    g_autofree char *fill = g_strnfill (150 + i, 'x');
    g_autofree char *more = g_strconcat (fill, "/\xc3\xb6", NULL);
    const char *const labels[] = { fill, more };

    for (guint k = 0; k < 2; k++) {
      g_autofree char *name = nn_label_to_name (labels[k], FALSE), *again = NULL;

      g_assert_cmpuint (strlen (name), <=, NN_LABEL_NAME_MAX);
      g_assert_true (g_utf8_validate (name, -1, NULL));
      g_assert_null (strstr (name, "%~"));
      again = nn_label_to_name (name, FALSE); /* a label that looks like one that was cut */
      if (g_hash_table_contains (seen, name))
        g_error ("%s", name);
      if (strcmp (again, name) != 0 && g_hash_table_contains (seen, again))
        g_error ("%s", again);
      g_hash_table_add (seen, g_strdup (name));
      if (strcmp (again, name) != 0)
        g_hash_table_add (seen, g_steal_pointer (&again));
    }
  }
  { /* names that nothing of ours made are labels as they are */
    static const char *const names[] = { "50%20off", "100%", "%zz", "a%2fb", "%2E%2E%2E.", "x." };

    for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
      g_autofree char *label = nn_label_from_name (names[i]);

      g_assert_cmpstr (label, ==, names[i]);
    }
  }
}

static void
test_printable (void)
{
  static const struct
  {
    const char *text, *shown;
  } rows[] = {
    { "", "" },
    { "d\xc3\xb6g \xe7\x8c\xab", "d\xc3\xb6g \xe7\x8c\xab" },
    { "a\nb\tc\x7f", "a\\x0a" "b\\x09" "c\\x7f" },
    { "\x1b]0;x\a", "\\x1b]0;x\\x07" },
    { "\xc2\x9b" "31m", "\\x9b31m" },
    { "\xe2\x80\xae" "gpj.exe", "\\u202egpj.exe" },
    { "\xe2\x81\xa6|\xe2\x80\xa8|\xe2\x80\xa9", "\\u2066|\\u2028|\\u2029" },
    { "x\xff\xc3", "x\\xff\\xc3" },
    { "\xf3\xa0\x81\x81", "\\U000e0041" },
  };
  g_autofree char *nul = nn_text_printable ("a\0b", 3);

  g_assert_cmpstr (nul, ==, "a\\x00b");
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *shown = nn_text_printable (rows[i].text, -1);

    g_assert_cmpstr (shown, ==, rows[i].shown);
  }
}

static void
test_clean (void)
{
  static const struct
  {
    const char *label, *clean;
  } rows[] = {
    { "cat", "cat" },
    { " a cat ", " a cat " }, /* a folder's name may have blanks */
    { "", "1" },
    { "  ", "1" },
    { "\n\xe2\x80\xae", "1" },
    { "a\n\n2\n00:00:00.000 --> 99:00:00.000\n<b>", "a 2 00:00:00.000 --> 99:00:00.000 <b>" },
    { "a\r\n", "a" },
    { "\xe2\x80\xa9" "a\xe2\x80\xa8" "b", "a b" },
    { "a\xc2\x85" "b", "a b" },
    { "x\xffy", "x\xef\xbf\xbdy" },
  };
  g_autofree char *longest = g_strnfill (4095, 'x');
  g_autofree char *two = g_strconcat (longest, "\xc3\xb6", NULL);
  g_autofree char *cut = nn_label_clean (two, 0), *fits = NULL;
  const char *const hostile[] = { "a\nb", "a b", NULL };
  g_auto (GStrv) labels = NULL;

  g_assert_cmpstr (cut, ==, longest);
  two[4095] = 'y';
  two[4096] = '\0';
  fits = nn_label_clean (two, 0);
  g_assert_cmpstr (fits, ==, two);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *clean = nn_label_clean (rows[i].label, 1);

    g_assert_cmpstr (clean, ==, rows[i].clean);
  }
  g_test_expect_message ("nn", G_LOG_LEVEL_WARNING, "m.h5: 1 labels*\"a?x0ab\"*\"a b\"");
  labels = nn_labels_clean (hostile, "m.h5");
  g_test_assert_expected_messages ();
  g_assert_cmpstr (labels[0], ==, "a b");
  g_assert_cmpstr (labels[1], ==, "a b");
  g_assert_null (labels[2]);
}

/* more than there is: told, with both numbers, and not taken */
static void
test_memory (void)
{
  const guint64 available = nn_memory_get_available ();
  g_autoptr (GError) error = NULL;

  g_assert_true (nn_memory_check (0, "x", NULL));
  g_assert_true (nn_memory_check (1 << 20, "x", NULL));
  if (available == G_MAXUINT64) {
    g_test_skip ("the machine does not tell");
    return;
  }
  g_assert_cmpuint (available, >, 1 << 20);
  g_assert_false (nn_memory_check ((guint64) 1 << 60, "the model's parameters", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NO_MEMORY);
  g_assert_nonnull (strstr (error->message,
      "the model's parameters: 1152921504606.8 MB are needed, "));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/labels/good", test_good);
  g_test_add_func ("/labels/bad", test_bad);
  g_test_add_func ("/labels/files", test_files);
  g_test_add_func ("/labels/names", test_names);
  g_test_add_func ("/labels/clean", test_clean);
  g_test_add_func ("/labels/printable", test_printable);
  g_test_add_func ("/labels/memory", test_memory);
  return g_test_run ();
}
