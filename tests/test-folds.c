/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cross-validation: how pictures are dealt out, and the command from end to end. */

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "tests/pictures.h"
#include "train/folds.h"

#define N 101

/* Each picture in one fold, of each class and of all as many in each as can be. */
static void
test_assign (void)
{
  static char *classes[] = { (char *) "a", (char *) "b", (char *) "c", NULL };
  guint labels[N], folds[N], same[N], other[N];
  const Dataset data = { .n = N, .labels = labels, .classes = classes, .n_classes = 3 };
  guint n_other = 0;

  for (guint i = 0; i < N; i++)
    labels[i] = i < 13 ? 0 : i < 40 ? 1 : 2;
  for (guint k = 2; k <= 13; k++) {
    guint counts[3][13] = { { 0 } }, totals[13] = { 0 };
    const guint sizes[3] = { 13, 27, 61 };

    g_assert_true (folds_assign (&data, N, k, 7, folds, NULL));
    for (guint i = 0; i < N; i++) {
      g_assert_cmpuint (folds[i], <, k);
      counts[labels[i]][folds[i]]++;
      totals[folds[i]]++;
    }
    for (guint f = 0; f < k; f++) {
      g_assert_cmpuint (totals[f], >=, N / k);
      g_assert_cmpuint (totals[f], <=, (N + k - 1) / k);
      for (guint c = 0; c < 3; c++) {
        g_assert_cmpuint (counts[c][f], >=, sizes[c] / k);
        g_assert_cmpuint (counts[c][f], <=, (sizes[c] + k - 1) / k);
      }
    }
  }
  folds_assign (&data, N, 5, 7, folds, NULL);
  folds_assign (&data, N, 5, 7, same, NULL);
  folds_assign (&data, N, 5, 8, other, NULL);
  g_assert_cmpmem (folds, sizeof folds, same, sizeof same);
  for (guint i = 0; i < N; i++)
    n_other += folds[i] != other[i];
  g_assert_cmpuint (n_other, >, N / 2);
  /* and not one after the other */
  for (guint i = 1, runs = 0; i < N; i++) {
    runs += folds[i] == (folds[i - 1] + 1) % 5 || folds[i - 1] == (folds[i] + 1) % 5;
    g_assert_cmpuint (runs, <, N * 2 / 3);
  }
}

static void
test_too_few (void)
{
  static char *classes[] = { (char *) "a", (char *) "b", NULL };
  guint labels[] = { 0, 0, 1, 1, 1 }, folds[5];
  const Dataset data = { .n = 5, .labels = labels, .classes = classes, .n_classes = 2 };
  g_autoptr (GError) error = NULL;

  g_assert_false (folds_assign (&data, 5, 3, 1, folds, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "\"a\" has 2"));
}

static void
test_names (void)
{
  static const char *const rows[][2] = { { "m.h5", "m-fold2.h5" }, { "a.b/m", "a.b/m-fold2" },
    { "a.b/m.x.h5", "a.b/m.x-fold2.h5" }, { "a/.h5", "a/.h5-fold2" } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *name = folds_name (rows[i][0], 2);

    g_assert_cmpstr (name, ==, rows[i][1]);
  }
}

static void
test_spread (void)
{
  const double values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
  double mean, deviation;

  folds_get_spread (values, 8, &mean, &deviation);
  g_assert_cmpfloat_with_epsilon (mean, 5, 1e-12);
  g_assert_cmpfloat_with_epsilon (deviation, sqrt (32. / 7), 1e-12);
  folds_get_spread (values, 1, &mean, &deviation);
  g_assert_cmpfloat (deviation, ==, 0);
}

/* --- the command -------------------------------------------------------------------- */

static const char recipe_text[]
    = "[data]\nlayout=prefix\n[network]\nfile=net.json\n[schedule]\nepochs=2\n"
      "learning_rate=0.01\n[training]\nbatch_size=4\nseed=3\n";

static const char network[] = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", "
    "\"layers\": [{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", "
    "\"batch_input_shape\": [null, 4, 4, 3]}}, {\"class_name\": \"Dense\", \"config\": {\"name\": "
    "\"d\", \"units\": 1, \"activation\": \"sigmoid\"}}]}}";

/* its standard output; @argv begins behind the command */
static char *
classify (const char *dir, int expected, const char *const *argv)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autofree char *err = NULL;
  g_autoptr (GError) error = NULL;
  char *out = NULL;
  int status;

  g_ptr_array_add (words, (char *) g_getenv ("CLASSIFY_EXE"));
  for (; *argv; argv++)
    g_ptr_array_add (words, (char *) *argv);
  g_ptr_array_add (words, NULL);
  g_assert_true (g_spawn_sync (dir, (char **) words->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL,
      &out, &err, &status, &error));
  g_assert_no_error (error);
  if (!WIFEXITED (status) || WEXITSTATUS (status) != expected)
    g_error ("exit status %d: %s%s", WEXITSTATUS (status), out, err);
  return out;
}

static char *
file_in (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

/* Three trainings on 8 of 12 pictures each; again with --resume nothing is done, a fold that
 * is missing alone; its numbers are those of the log. */
static void
test_command (void)
{
  const char *const train[] = { "train", "r.ini", "--data", "p", "--device", "cpu", "-t", "1",
    "-o", "m.h5", "-l", "log.csv", "--folds", "3", "--resume", NULL };
  const char *const one[] = { "train", "r.ini", "--data", "p", "--device", "cpu", "-t", "1", "-q",
    "-o", "x.h5", "--folds", "3", "--fold", "2", NULL };
  const char *const many[] = { "train", "r.ini", "--data", "p", "--device", "cpu", "--folds", "9",
    NULL };
  const char *const wrong[] = { "train", "r.ini", "--data", "p", "--folds", "1", NULL };
  g_autofree char *dir = make_dir (), *first = NULL, *second = NULL, *removed = NULL;
  g_autofree char *third = NULL, *alone = NULL, *a = NULL, *b = NULL;
  double sum = 0, mean;
  char *line;

  for (guint i = 0; i < 12; i++) {
    g_autofree char *name = g_strdup_printf ("p/%s.%u.png", i % 2 ? "cat" : "dog", i);

    g_free (make_picture (dir, name, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i));
  }
  for (guint i = 0; i < 2; i++) {
    g_autofree char *path = g_build_filename (dir, i ? "net.json" : "r.ini", NULL);

    g_assert_true (g_file_set_contents (path, i ? network : recipe_text, -1, NULL));
  }
  first = classify (dir, 0, train);
  g_assert_nonnull (strstr (first, "Found 8 images belonging to 2 classes (cat, dog), 4 to "
                                   "validate with"));
  for (guint fold = 1; fold <= 3; fold++) {
    g_autofree char *name = g_strdup_printf ("log-fold%u.csv", fold), *log = file_in (dir, name);
    g_autofree char *start = g_strdup_printf ("fold %u of 3: validation accuracy ", fold);
    g_auto (GStrv) lines = NULL, fields = NULL;

    g_assert_nonnull (log);
    lines = g_strsplit (log, "\n", -1);
    fields = g_strsplit (lines[2], ",", -1);
    line = strstr (first, start);
    g_assert_nonnull (line);
    g_assert_cmpfloat_with_epsilon (g_ascii_strtod (line + strlen (start), NULL),
        g_ascii_strtod (fields[6], NULL), 1e-4);
    sum += g_ascii_strtod (fields[6], NULL);
  }
  line = strstr (first, "3 folds: mean ");
  g_assert_nonnull (line);
  mean = g_ascii_strtod (line + strlen ("3 folds: mean "), NULL);
  g_assert_cmpfloat_with_epsilon (mean, sum / 3, 1e-4);

  second = classify (dir, 0, train);
  g_assert_null (strstr (second, "epoch"));
  g_assert_nonnull (strstr (second, line));
  removed = g_build_filename (dir, "m-fold2.h5", NULL);
  a = file_in (dir, "m-fold1.h5");
  g_remove (removed);
  third = classify (dir, 0, train);
  g_assert_nonnull (strstr (third, "fold 2 of 3\n"));
  g_assert_null (strstr (third, "fold 1 of 3\n"));
  g_assert_nonnull (strstr (third, line));
  alone = classify (dir, 0, one);
  {
    g_autofree char *x = g_build_filename (dir, "x-fold2.h5", NULL), *mine = NULL, *theirs = NULL;
    gsize n, m;

    g_assert_true (g_file_get_contents (x, &mine, &n, NULL));
    g_assert_true (g_file_get_contents (removed, &theirs, &m, NULL));
    g_assert_cmpmem (mine, n, theirs, m);
  }
  g_free (classify (dir, 2, many));
  g_free (classify (dir, 1, wrong));
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/folds/assign", test_assign);
  g_test_add_func ("/folds/too-few", test_too_few);
  g_test_add_func ("/folds/names", test_names);
  g_test_add_func ("/folds/spread", test_spread);
  if (g_getenv ("CLASSIFY_EXE"))
    g_test_add_func ("/folds/command", test_command);
  return g_test_run ();
}
