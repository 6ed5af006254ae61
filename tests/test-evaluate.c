/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A model on a folder, as text and as JSON. */

#include <json-glib/json-glib.h>

#include "nn/error.h"
#include "nn/log.h"
#include "tests/colors.h"
#include "tests/many-classes.h"
#include "train/evaluate.h"

static const char *const two[] = { "blau", "rötlich", NULL };
static const char *const three[] = { "blue", "grey", "red", NULL };

static void
ignore_log (NnLogLevel level, const char *message, gpointer user_data)
{
}

static Evaluation *
evaluate (Classifier *classifier, const char *dir)
{
  const DatasetOptions options = { .threads = 1 };
  GError *error = NULL;
  Evaluation *evaluation = evaluation_new (classifier, dir, &options, &error);

  g_assert_no_error (error);
  return evaluation;
}

/* with 5 of 6 right: a red one is too blue */
static char *
make_two (void)
{
  char *dir = make_dir ();

  make_color (dir, "blau/1.png", 0, 0, 255);
  make_color (dir, "blau/2.png", 51, 9, 204);
  make_color (dir, "rötlich/1.png", 255, 0, 0);
  make_color (dir, "rötlich/2.png", 204, 99, 0);
  make_color (dir, "rötlich/3.png", 153, 0, 51);
  make_color (dir, "rötlich/4.png", 0, 0, 51);
  return dir;
}

static void
test_text (void)
{
  static const double z[] = { -1, -0.6, 1, 0.8, 0.4, -0.2 };
  g_autofree char *models = make_dir (), *dir = make_two ();
  g_autofree char *path = make_color_model (models, "m.h5", 1, 3, two);
  g_autoptr (Classifier) classifier = open_model (path);
  g_autoptr (Evaluation) evaluation = evaluate (classifier, dir);
  g_autofree char *text = evaluation_to_text (evaluation, classifier->model), *first = NULL;
  double loss = 0;

  for (guint i = 0; i < 6; i++) {
    double p = 1 / (1 + exp (-3 * z[i]));

    g_assert_cmpfloat_with_epsilon (evaluation->probabilities[2 * i + 1], p, 1e-6);
    loss -= log (i < 2 ? 1 - p : p) / 6;
  }
  first = g_strdup_printf ("6 pictures, loss %.4f, accuracy 0.8333 (5 right)\n"
                           "is \\ said       blau   rötlich\n"
                           "blau               2         0\n"
                           "rötlich            1         3\n"
                           "\n"
                           "accuracy 0.4365 to 0.9699 (95%% interval), ROC AUC 1.0000, Brier ",
      loss);
  g_assert_true (g_str_has_prefix (text, first));
  g_assert_nonnull (strstr (text, "class     pictures  precision  recall      F1\n"
                                  "blau             2     0.6667  1.0000  0.8000\n"
                                  "rötlich          4     1.0000  0.7500  0.8571\n"));
  /* sigmoid (0.6) is said of the wrong one */
  g_assert_nonnull (strstr (text, "0.600 to 0.667          1  0.6457  0.0000\n"));
  remove_dir (dir);
  remove_dir (models);
}

/* No line is longer than a screen is wide: with many classes, or long names, the commonest
 * confusions are told instead of the matrix. */
static void
test_text_many (void)
{
  static const struct
  {
    guint n, n_wrong;
    const char *told;
  } rows[] = {
    { 15, 15, "\nclass 0001           0          0          2 " },
    { 20, 2, "\nConfusions\npictures  is          said\n"
             "       2  class 0001  class 0002\n"
             "       1  class 0000  class 0001\n\naccuracy" },
    { 40, 0, "\n\naccuracy 0.99" },
    { 40, 40, "\nThe 20 commonest confusions of 40 (--format json has all)\n"
              "pictures  is          said\n"
              "      40  class 0039  class 0000\n"
              "      39  class 0038  class 0039\n" },
    { 1500, 1500, "\nThe 20 commonest confusions of 1500 (--format json has all)\n" },
  };
  g_autofree char *models = make_dir ();

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Classifier) classifier = make_many_classifier (models, rows[i].n);
    g_autoptr (Evaluation) e = make_many_classes (rows[i].n, rows[i].n_wrong);
    g_autofree char *text = evaluation_to_text (e, classifier->model);
    g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

    g_assert_nonnull (strstr (text, rows[i].told));
    for (guint l = 0; lines[l]; l++)
      g_assert_cmpuint (strlen (lines[l]), <=, 200);
  }
  remove_dir (models);
}

/* An accuracy that the commonest class alone would reach is told of as such. */
static void
test_chance (void)
{
  static const struct
  {
    guint n[2], n_right[2];
    const char *told;
  } rows[] = {
    { { 40, 40 }, { 20, 23 }, "this may be chance: always saying \"class 0000\" would be right "
                              "for 50.0 %, which is within the interval" },
    { { 10, 90 }, { 5, 86 }, "this may be chance: always saying \"class 0001\" would be right "
                             "for 90.0 %, which is within the interval" },
    { { 40, 40 }, { 10, 10 },
        "worse than chance: always saying \"class 0000\" would be right for 50.0 %" },
    { { 40, 40 }, { 35, 36 }, NULL },
    { { 0, 40 }, { 0, 36 }, NULL }, /* one class: chance says nothing */
  };
  g_autofree char *models = make_dir ();
  g_autoptr (Classifier) classifier = make_many_classifier (models, 2);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Evaluation) e = make_many_classes (2, 0);
    g_autofree char *told = NULL, *text = NULL;
    Metrics *m = e->metrics;

    m->n = m->n_right = 0;
    for (guint k = 0; k < 2; k++) {
      m->classes[k].n = rows[i].n[k];
      m->n += rows[i].n[k];
      m->n_right += rows[i].n_right[k];
    }
    metrics_wilson (m->n_right, m->n, &m->accuracy_low, &m->accuracy_high);
    told = evaluation_describe_chance (e, classifier->model);
    g_assert_cmpstr (told, ==, rows[i].told);
    text = evaluation_to_text (e, classifier->model);
    g_assert_true (strstr (text, " chance: ") ? told != NULL : told == NULL);
  }
  remove_dir (models);
}

static double
get_number (JsonObject *object, const char *name)
{
  g_assert_true (json_object_has_member (object, name));
  return json_object_get_double_member (object, name);
}

static void
test_json (void)
{
  g_autofree char *models = make_dir (), *dir = make_dir ();
  g_autofree char *path = make_color_model (models, "m.h5", 3, -4, three), *text = NULL;
  g_autoptr (Classifier) classifier = open_model (path);
  g_autoptr (Evaluation) evaluation = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *root, *object;
  JsonArray *rows;
  GError *error = NULL;

  make_color (dir, "blue/1.png", 0, 0, 255);
  make_color (dir, "blue/2.png", 0, 0, 102);
  make_color (dir, "grey/1.png", 100, 100, 100); /* a tie: the first class is said */
  make_color (dir, "red/1.png", 0, 0, 255);
  evaluation = evaluate (classifier, dir);
  text = evaluation_to_json (evaluation, classifier->model);
  g_assert_null (strchr (text, '\n'));
  g_assert_true (json_parser_load_from_data (parser, text, -1, &error));
  g_assert_no_error (error);
  root = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (json_object_get_string_member (root, "model"), ==, path);
  g_assert_cmpstr (json_object_get_string_member (root, "folder"), ==, dir);
  g_assert_cmpint (json_object_get_int_member (root, "pictures"), ==, 4);
  g_assert_cmpint (json_object_get_int_member (root, "unreadable"), ==, 0);
  g_assert_cmpint (json_object_get_int_member (root, "right"), ==, 2);
  g_assert_cmpfloat (get_number (root, "accuracy"), ==, 0.5);
  g_assert_cmpfloat (get_number (root, "loss"), ==, evaluation->metrics->nll);
  g_assert_cmpfloat (get_number (root, "roc_auc"), ==, evaluation->metrics->auc);
  g_assert_cmpfloat (get_number (root, "brier"), ==, evaluation->metrics->brier);
  g_assert_cmpfloat (get_number (root, "ece"), ==, evaluation->metrics->ece);
  g_assert_cmpfloat (get_number (root, "macro_f1"), ==, evaluation->metrics->macro_f1);
  rows = json_object_get_array_member (root, "accuracy_interval");
  g_assert_cmpfloat (
      json_array_get_double_element (rows, 0), ==, evaluation->metrics->accuracy_low);
  g_assert_cmpfloat (
      json_array_get_double_element (rows, 1), ==, evaluation->metrics->accuracy_high);
  rows = json_object_get_array_member (root, "confusion");
  g_assert_cmpint (json_array_get_int_element (json_array_get_array_element (rows, 0), 0), ==, 2);
  g_assert_cmpint (json_array_get_int_element (json_array_get_array_element (rows, 2), 0), ==, 1);
  rows = json_object_get_array_member (root, "classes");
  g_assert_cmpuint (json_array_get_length (rows), ==, 3);
  object = json_array_get_object_element (rows, 2);
  g_assert_cmpstr (json_object_get_string_member (object, "label"), ==, "red");
  g_assert_true (json_object_get_null_member (object, "precision")); /* never said */
  g_assert_cmpfloat (get_number (object, "recall"), ==, 0);
  rows = json_object_get_array_member (root, "reliability");
  g_assert_cmpuint (json_array_get_length (rows), ==, METRICS_N_BINS);
  g_assert_true (
      json_object_get_null_member (json_array_get_object_element (rows, 0), "confidence"));
  object = json_array_get_object_element (rows, 14);
  g_assert_cmpint (json_object_get_int_member (object, "pictures"), ==, 2);
  g_assert_cmpfloat (get_number (object, "accuracy"), ==, 0.5);
  g_assert_cmpfloat_with_epsilon (
      get_number (object, "confidence"), 1 / (1 + exp (-4) + exp (-8)), 1e-6);
  g_assert_cmpfloat_with_epsilon (get_number (object, "above"), 14 / 15., 1e-12);
  remove_dir (dir);
  remove_dir (models);
}

/* more pictures than one run takes; the model's order of the classes, not the folder's */
static void
test_many (void)
{
  static const char *const labels[] = { "warm", "cold", NULL };
  g_autofree char *models = make_dir (), *dir = make_dir ();
  g_autofree char *path = make_color_model (models, "m.h5", 1, -2, labels);
  g_autoptr (Classifier) classifier = open_model (path);
  g_autoptr (Evaluation) evaluation = NULL;

  for (guint i = 0; i < 41; i++) {
    g_autofree char *name = g_strdup_printf ("%s/%u.png", i % 3 ? "warm" : "cold", i * 6);

    make_color (dir, name, i * 6, 0, 0);
  }
  evaluation = evaluate (classifier, dir);
  g_assert_cmpuint (evaluation->data->n, ==, 41);
  for (guint i = 0; i < 41; i++) {
    g_autofree char *name = g_path_get_basename (evaluation->data->paths[i]);
    const guint red = (guint)g_ascii_strtoull (name, NULL, 10);

    g_assert_cmpuint (evaluation->data->labels[i], ==, red / 6 % 3 ? 0 : 1);
    g_assert_cmpfloat_with_epsilon (
        evaluation->probabilities[2 * i], 1 / (1 + exp (-2. * red / 255)), 1e-6);
  }
  g_assert_cmpuint (evaluation->metrics->n_right, ==, 27); /* all are called warm */
  remove_dir (dir);
  remove_dir (models);
}

static void
test_errors (void)
{
  g_autofree char *models = make_dir (), *dir = make_two ();
  g_autofree char *path = make_color_model (models, "m.h5", 3, 1, three);
  g_autoptr (Classifier) classifier = open_model (path);
  const DatasetOptions options = { .threads = 1 };
  g_autoptr (GError) error = NULL;

  g_assert_null (evaluation_new (classifier, dir, &options, &error));
  g_assert_cmpuint (error->domain, ==, NN_ERROR);
  g_assert_true (g_str_has_prefix (error->message, dir));
  remove_dir (dir);
  remove_dir (models);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  nn_log_set_sink (ignore_log, NULL);
  g_test_add_func ("/evaluate/text", test_text);
  g_test_add_func ("/evaluate/text-many", test_text_many);
  g_test_add_func ("/evaluate/chance", test_chance);
  g_test_add_func ("/evaluate/json", test_json);
  g_test_add_func ("/evaluate/many", test_many);
  g_test_add_func ("/evaluate/errors", test_errors);
  return g_test_run ();
}
