/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Labels that a model gives, written and trained with. Every picture has a colour
 * of its own, the models' answers follow from it by hand: a label that went to
 * another picture is seen. */

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "tests/pictures.h"
#include "train/feeder.h"
#include "train/picture-list.h"
#include "train/recipe.h"

static GPtrArray *warnings;

static void
collect_warning (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level == NN_LOG_WARNING)
    g_ptr_array_add (warnings, g_strdup (message));
}

static guint
count_warnings (const char *word)
{
  guint n = 0;

  for (guint i = 0; i < warnings->len; i++)
    n += strstr (g_ptr_array_index (warnings, i), word) != NULL;
  return n;
}

/* --- pictures, models, the command --------------------------------------------------------- */

static char *
make_plain (const char *dir, const char *name, guint32 color)
{
  char *path = g_build_filename (dir, name, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 8, 8);
  GError *error = NULL;

  gdk_pixbuf_fill (pixbuf, color << 8 | 255);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  gdk_pixbuf_save (pixbuf, path, "png", &error, NULL);
  g_assert_no_error (error);
  return path;
}

static guint32
read_color (const char *path)
{
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new_from_file (path, NULL);
  const guchar *p = gdk_pixbuf_read_pixels (pixbuf);

  return (guint32) (p[0] << 16 | p[1] << 8 | p[2]);
}

static void
write_text (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

#define NETWORK(units, activation) \
  "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": [" \
  "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": " \
  "[null, 4, 4, 3]}}," \
  "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": " units "," \
  "\"activation\": \"" activation "\"}}]}}"

/* two.h5: cat is blue, dog is red; three.h5: red, green, blue */
static void
make_models (const char *dir)
{
  static const char *const labels[][4] = { { "cat", "dog" }, { "red", "green", "blue" } };
  static const char *const networks[] = { NETWORK ("1", "sigmoid"), NETWORK ("3", "softmax") };
  static const char *const names[] = { "two.h5", "three.h5" };

  for (guint m = 0; m < 2; m++) {
    g_autofree char *path = g_build_filename (dir, names[m], NULL);
    GError *error = NULL;
    g_autoptr (NnModel) model = nn_model_new_from_json (networks[m], -1, NULL, &error);
    float *kernel;

    g_assert_no_error (error);
    g_assert_true (nn_model_init_params (model, 1, &error));
    kernel = model->layers[model->n_layers - 1].params[0].data;
    for (guint i = 0; i < 48; i++) {
      if (m == 0)
        kernel[i] = i % 3 == 0 ? 0.25f : i % 3 == 2 ? -0.25f : 0;
      for (guint k = 0; m == 1 && k < 3; k++)
        kernel[i * 3 + k] = i % 3 == k ? 0.25f : 0;
    }
    g_assert_true (nn_model_set_labels (model, labels[m], &error));
    g_assert_true (nn_model_save (model, path, NULL, NULL, &error));
    g_assert_no_error (error);
  }
}

static double
dog (guint32 color)
{
  return 1 / (1 + exp (-4 * ((int) (color >> 16) - (int) (color & 255)) / 255.));
}

/* the command with @arguments, blanks between them, in @dir; returns its exit status */
static int
run (const char *dir, const char *arguments, char **out, char **message)
{
  g_auto (GStrv) words = g_strsplit (arguments, " ", -1);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *own_out = NULL, *own_message = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  g_ptr_array_add (argv, (gpointer) g_getenv ("CLASSIFY_EXE"));
  for (guint i = 0; words[i]; i++)
    g_ptr_array_add (argv, words[i]);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (dir, (char **) argv->pdata, NULL, 0, NULL, NULL, out ? out : &own_out,
      message ? message : &own_message, &status, &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

static void
run_well (const char *dir, const char *arguments, char **out)
{
  g_autofree char *message = NULL;

  if (run (dir, arguments, out, &message) != 0)
    g_error ("%s: %s", arguments, message);
}

static gboolean
has_exe (void)
{
  if (!g_getenv ("CLASSIFY_EXE"))
    g_test_skip ("CLASSIFY_EXE does not name the command");
  return g_getenv ("CLASSIFY_EXE") != NULL;
}

#define N 41

static const char *const odd_names[] = { "u/a, b.png", "u/q\"uote\".png", "u/nl\n.png",
  "u/sub/deep/u3.png", "u/Grüße.png" };

static guint
shuffled (guint i)
{
  return i * 17 % N; /* coprime */
}

/* N pictures made in another order than their names have, neither that of the
 * colours; names[i] (transfer full) is the one of colours[i] */
static void
make_unlabelled (const char *dir, char **names, guint32 *colors)
{
  for (guint i = 0; i < N; i++) {
    const guint k = shuffled (i);

    colors[i] = k * 6 << 16 | (250 - k * 6);
    names[i] = i < G_N_ELEMENTS (odd_names) ? g_strdup (odd_names[i])
                                            : g_strdup_printf ("u/u%u.png", i * 29 % N);
    g_free (make_plain (dir, names[i], colors[i]));
  }
}

static int
index_of (char **names, const char *dir, const char *path)
{
  for (guint i = 0; i < N; i++) {
    g_autofree char *full = g_build_filename (dir, names[i], NULL);

    if (strcmp (full, path) == 0)
      return (int) i;
  }
  return -1;
}

static void
clear_names (char **names)
{
  for (guint i = 0; i < N; i++)
    g_free (names[i]);
}

/* --- which label goes to which picture ----------------------------------------------------- */

static void
test_pairs (void)
{
  g_autofree char *dir = make_dir (), *list_path = g_build_filename (dir, "l.csv", NULL);
  g_autoptr (GError) error = NULL;
  char *names[N];
  guint32 colors[N];

  if (!has_exe ())
    return;
  make_models (dir);
  make_unlabelled (dir, names, colors);
  write_text (dir, "u/m.png", "no picture");
  for (guint soft = 0; soft < 2; soft++) {
    for (guint t = 0; t < 3; t++) {
      const double thresholds[] = { 0, 0.75, 1 };
      g_autofree char *out = NULL;
      g_autofree char *command = g_strdup_printf (
          "pseudo-label two.h5 -u u -o l.csv --threshold %g --%s --device cpu", thresholds[t],
          soft ? "soft" : "hard");
      g_autoptr (PictureList) list = NULL;
      guint n_expected = 0;

      run_well (dir, command, &out);
      g_assert_nonnull (strstr (out, "u: 41 pictures labelled by two.h5\n"
                                     "left out: 1 unreadable\n"));
      list = picture_list_load (list_path, &error);
      g_assert_no_error (error);
      g_assert_true ((list->labels == NULL) == soft);
      for (guint i = 0; i < N; i++)
        n_expected += MAX (dog (colors[i]), 1 - dog (colors[i])) >= thresholds[t];
      g_assert_cmpuint (list->n, ==, n_expected);
      g_assert_cmpuint (n_expected, ==, t == 0 ? N : t == 2 ? 0 : n_expected);
      for (guint i = 0; i < list->n; i++) {
        int k = index_of (names, dir, list->paths[i]);
        double p;

        g_assert_cmpint (k, >=, 0);
        p = dog (colors[k]);
        if (soft) {
          g_assert_cmpfloat_with_epsilon (list->probabilities[2 * i], 1 - p, 2e-6);
          g_assert_cmpfloat_with_epsilon (list->probabilities[2 * i + 1], p, 2e-6);
        } else {
          g_assert_cmpstr (list->labels[i], ==, p > 0.5 ? "dog" : "cat");
        }
      }
    }
  }
  clear_names (names);
  remove_dir (dir);
}

static void
test_three_classes (void)
{
  static const guint32 colors[] = { 0xff8040, 0x20ff60, 0x0000ff, 0x808180, 0xa0a000 };
  g_autofree char *dir = make_dir (), *list_path = g_build_filename (dir, "out/l.csv", NULL);
  g_autofree char *out = g_build_filename (dir, "out", NULL);
  g_autoptr (PictureList) list = NULL;
  g_autoptr (GError) error = NULL;

  if (!has_exe ())
    return;
  make_models (dir);
  g_assert_cmpint (g_mkdir (out, 0755), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (colors); i++) {
    g_autofree char *name = g_strdup_printf ("out/u/%c.png", "zkaqb"[i]);

    g_free (make_plain (dir, name, colors[i]));
  }
  run_well (dir, "pseudo-label three.h5 -u out/u -o out/l.csv --threshold 0 --soft --device cpu",
      NULL);
  list = picture_list_load (list_path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (list->n, ==, G_N_ELEMENTS (colors));
  g_assert_cmpstr (list->classes[0], ==, "red");
  for (guint i = 0; i < list->n; i++) {
    const guint32 color = read_color (list->paths[i]);
    double e[3], sum = 0;

    for (guint k = 0; k < 3; k++)
      sum += e[k] = exp (4 * (color >> (16 - 8 * k) & 255) / 255.);
    for (guint k = 0; k < 3; k++)
      g_assert_cmpfloat_with_epsilon (list->probabilities[3 * i + k], e[k] / sum, 2e-6);
  }
  { /* below the list's folder a name is relative */
    g_autofree char *text = NULL;

    g_file_get_contents (list_path, &text, NULL, NULL);
    g_assert_true (g_str_has_prefix (
        text, "file,label,confidence,probability:red,probability:green,probability:blue\nu/a.png,"
              "blue,0."));
  }
  remove_dir (dir);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return x < y ? 1 : x > y ? -1 : 0;
}

/* as many of each class, the surest of both */
static void
test_balance (void)
{
  g_autofree char *dir = make_dir (), *list_path = g_build_filename (dir, "l.csv", NULL);
  g_autoptr (PictureList) list = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *out = NULL;
  double sure[2][64];
  guint n[2] = { 0 }, m, n_listed[2] = { 0 };

  if (!has_exe ())
    return;
  make_models (dir);
  for (guint i = 0; i < 30; i++) { /* few cats, many dogs */
    guint k = i * 11 % 30;
    guint32 color = (20 + k * 8) << 16 | 90;
    g_autofree char *name = g_strdup_printf ("u/%02u.png", i);
    guint is_dog = dog (color) > 0.5;

    g_free (make_plain (dir, name, color));
    if (MAX (dog (color), 1 - dog (color)) >= 0.6)
      sure[is_dog][n[is_dog]++] = MAX (dog (color), 1 - dog (color));
  }
  g_assert_cmpuint (n[0], >, 2);
  g_assert_cmpuint (n[1], >, n[0] + 5);
  m = n[0];
  for (guint k = 0; k < 2; k++)
    qsort (sure[k], n[k], sizeof (double), compare_doubles);
  run_well (dir, "pseudo-label two.h5 -u u -o l.csv --threshold 0.6 --balance --device cpu", &out);
  list = picture_list_load (list_path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (list->n, ==, 2 * m);
  for (guint i = 0; i < list->n; i++) {
    const double p = dog (read_color (list->paths[i]));
    const guint k = p > 0.5;

    n_listed[k]++;
    g_assert_cmpstr (list->labels[i], ==, k ? "dog" : "cat");
    g_assert_cmpfloat (MAX (p, 1 - p), >=, sure[k][m - 1] - 1e-9);
  }
  g_assert_cmpuint (n_listed[0], ==, m);
  {
    g_autofree char *line = g_strdup_printf (
        "\n%u of 30 taken: confidence 0.6 or more, as many of each class\n", 2 * m);

    g_assert_nonnull (strstr (out, line));
  }
  remove_dir (dir);
}

/* --- links and moves ----------------------------------------------------------------------- */

static guint
count_pictures (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GPtrArray) all = g_file_test (path, G_FILE_TEST_IS_DIR) ? pictures_list (path, NULL)
                                                                    : NULL;

  return all ? all->len : 0;
}

/* the folder can be trained on: each picture is in the class of its colour */
static void
test_links (void)
{
  g_autofree char *dir = make_dir (), *message = NULL;
  char *names[N];
  guint32 colors[N];

  if (!has_exe ())
    return;
  make_models (dir);
  make_unlabelled (dir, names, colors);
  for (guint layout = 0; layout < 2; layout++) {
    const DatasetOptions options = { layout ? LAYOUT_PREFIX : LAYOUT_FOLDERS, 0, 0, NULL, 2 };
    g_autofree char *folder = g_build_filename (dir, layout ? "flat" : "tree", NULL);
    g_autofree char *command = g_strdup_printf (
        "pseudo-label two.h5 -u u -o %s --links --layout %s --threshold 0 --device cpu",
        layout ? "flat" : "tree", layout ? "prefix" : "folders");
    g_autoptr (Dataset) data = NULL;
    g_autoptr (GError) error = NULL;
    NnPreprocess pre;

    nn_preprocess_init (&pre, 4, 4);
    run_well (dir, command, NULL);
    data = dataset_load (folder, &options, &pre, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (data->n, ==, N);
    for (guint i = 0; i < N; i++) {
      g_assert_true (g_file_test (data->paths[i], G_FILE_TEST_IS_SYMLINK));
      g_assert_cmpuint (data->labels[i], ==, dog (read_color (data->paths[i])) > 0.5);
    }
    /* once more: nothing is overwritten, nothing added */
    g_assert_cmpint (run (dir, command, NULL, layout ? &message : NULL), ==, 2);
    g_assert_cmpuint (count_pictures (dir, layout ? "flat" : "tree"), ==, N);
  }
  g_assert_nonnull (strstr (message, ": exists already, no place for u/"));
  for (guint i = 0; i < N; i++) {
    g_autofree char *path = g_build_filename (dir, names[i], NULL);

    g_assert_cmpuint (read_color (path), ==, colors[i]);
  }
  clear_names (names);
  remove_dir (dir);
}

/* The post's own step, and back. */
static void
test_move (void)
{
  g_autofree char *dir = make_dir (), *old = NULL, *message = NULL, *blocked = NULL, *log = NULL;
  guint n_sure = 0;
  char *names[N];
  guint32 colors[N];

  if (!has_exe ())
    return;
  make_models (dir);
  make_unlabelled (dir, names, colors);
  for (guint i = 0; i < N; i++)
    n_sure += MAX (dog (colors[i]), 1 - dog (colors[i])) >= 0.9;
  old = make_plain (dir, "train/cat/cat.1.png", 0x010203);
  g_free (make_plain (dir, "train/dog/dog.1.png", 0x030201));
  log = g_build_filename (dir, "train", "pseudo-label-moves.csv", NULL);

  /* a file in the way of one picture: nothing is done at all */
  for (guint i = 5; i < N && !blocked; i++) {
    if (dog (colors[i]) < 0.05) {
      g_autofree char *name = g_strdup_printf ("train/cat/%s", names[i] + 2);

      blocked = make_plain (dir, name, 0x123456);
    }
  }
  g_assert_cmpint (run (dir, "pseudo-label two.h5 -u u -o train --move --device cpu", NULL,
                       &message),
      ==, 2);
  g_assert_nonnull (strstr (message, ": exists already, no place for u/"));
  g_assert_cmpuint (count_pictures (dir, "u"), ==, N);
  g_assert_cmpuint (count_pictures (dir, "train"), ==, 3);
  g_assert_cmpuint (read_color (blocked), ==, 0x123456);
  g_assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
  g_remove (blocked);

  /* twice, the log goes on */
  run_well (dir, "pseudo-label two.h5 -u u -o train --move --list l.csv --device cpu", NULL);
  g_assert_cmpuint (count_pictures (dir, "u"), ==, N - n_sure);
  g_assert_cmpuint (count_pictures (dir, "train"), ==, 2 + n_sure);
  run_well (dir, "pseudo-label two.h5 -u u -o train --move --threshold 0 --device cpu", NULL);
  g_assert_cmpuint (count_pictures (dir, "u"), ==, 0);
  for (guint i = 0; i < N; i++) {
    const char *label = dog (colors[i]) > 0.5 ? "dog" : "cat";
    g_autofree char *to = g_build_filename (dir, "train", label, names[i] + 2, NULL);

    g_assert_cmpuint (read_color (to), ==, colors[i]);
  }
  { /* the list says where they are now */
    g_autofree char *path = g_build_filename (dir, "l.csv", NULL);
    g_autoptr (PictureList) list = picture_list_load (path, NULL);

    g_assert_cmpuint (list->n, ==, n_sure);
    for (guint i = 0; i < list->n; i++)
      g_assert_cmpstr (list->labels[i], ==,
          dog (read_color (list->paths[i])) > 0.5 ? "dog" : "cat");
  }

  run_well (dir, "pseudo-label --undo train/pseudo-label-moves.csv", NULL);
  g_assert_cmpuint (count_pictures (dir, "train"), ==, 2);
  g_assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
  for (guint i = 0; i < N; i++) {
    g_autofree char *path = g_build_filename (dir, names[i], NULL);

    g_assert_cmpuint (read_color (path), ==, colors[i]);
  }
  g_assert_cmpuint (read_color (old), ==, 0x010203);
  clear_names (names);
  remove_dir (dir);
}

/* A log of moves that were only half done, and one whose place was taken. */
static void
test_undo (void)
{
  g_autofree char *dir = make_dir (), *log = g_build_filename (dir, "m.csv", NULL);
  g_autofree char *a = make_plain (dir, "in/a.png", 0xa), *b = make_plain (dir, "out/b.png", 0xb);
  g_autofree char *c = make_plain (dir, "in/c.png", 0xc), *d = make_plain (dir, "out/c.png", 0xd);
  g_autofree char *back = g_build_filename (dir, "in/b.png", NULL);
  g_autofree char *text = g_strdup_printf (
      "from,to\n%s/in/a.png,%s/out/a.png\n%s,%s\n%s,%s\n", dir, dir, back, b, c, d);
  g_autofree char *out = NULL, *message = NULL;

  if (!has_exe ())
    return;
  write_text (dir, "m.csv", text);
  g_assert_cmpint (run (dir, "pseudo-label --undo m.csv", &out, &message), ==, 2);
  g_assert_cmpstr (out, ==, "moved back 1 picture\n");
  g_assert_nonnull (strstr (message, "out/c.png: cannot be moved to "));
  g_assert_nonnull (strstr (message, "m.csv: 1 could not be moved back, the log is kept"));
  g_assert_cmpuint (read_color (a), ==, 0xa);
  g_assert_cmpuint (read_color (back), ==, 0xb);
  g_assert_cmpuint (read_color (c), ==, 0xc);
  g_assert_cmpuint (read_color (d), ==, 0xd);
  g_remove (d);
  g_assert_cmpint (g_rename (c, d), ==, 0);
  run_well (dir, "pseudo-label --undo m.csv", NULL);
  g_assert_cmpuint (read_color (c), ==, 0xc);
  g_assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
  remove_dir (dir);
}

/* --- the report ---------------------------------------------------------------------------- */

static void
test_report (void)
{
  /* four dogs of which one is named a cat, three cats of which one is named a dog, one unnamed */
  static const struct
  {
    const char *name;
    guint32 color;
  } pictures[] = { { "u/unknown/dog.1.png", 0xfe0001 }, { "u/unknown/dog.2.png", 0xf00010 },
    { "u/unknown/cat.3.png", 0xd00000 }, { "u/unknown/dog.4.png", 0x901010 },
    { "u/unknown/cat.5.png", 0x0000ff }, { "u/unknown/dog.6.png", 0x0000f0 },
    { "u/unknown/cat.7.png", 0x100020 }, { "u/unknown/who.png", 0x0100ff } };
  g_autofree char *dir = make_dir (), *out = NULL, *same = NULL;

  if (!has_exe ())
    return;
  make_models (dir);
  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++)
    g_free (make_plain (dir, pictures[i].name, pictures[i].color));
  run_well (dir, "pseudo-label two.h5 -u u --check --dry-run --device cpu", &out);
  g_assert_cmpstr (out, ==,
      "u: 8 pictures labelled by two.h5\n"
      "\n"
      "confidence    pictures  right\n"
      "0.99 to 1.00         0\n"
      "0.95 to 0.99         6        3 of 5       0.6000\n"
      "0.90 to 0.95         0\n"
      "0.80 to 0.90         1        1 of 1       1.0000\n"
      "0.70 to 0.80         0\n"
      "0.60 to 0.70         0\n"
      "0.50 to 0.60         1        1 of 1       1.0000\n"
      "\n"
      "class            said      sure     taken  right of those taken\n"
      "cat                 4         3         3        1 of 2       0.5000\n"
      "dog                 4         3         3        2 of 3       0.6667\n"
      "all                 8         6         6        3 of 5       0.6000\n"
      "\n"
      "6 of 8 taken: confidence 0.9 or more; nothing written\n"
      "right: 0.7143 of all, 0.6000 of those taken\n");
  /* dry: not even with a place to write to */
  run_well (dir, "pseudo-label two.h5 -u u -o t --move --list l.csv -n --device cpu", NULL);
  g_assert_cmpuint (count_pictures (dir, "u"), ==, 8);
  same = g_build_filename (dir, "t", NULL);
  g_assert_false (g_file_test (same, G_FILE_TEST_EXISTS));
  g_free (same);
  same = g_build_filename (dir, "l.csv", NULL);
  g_assert_false (g_file_test (same, G_FILE_TEST_EXISTS));
  remove_dir (dir);
}

/* what is labelled already is not labelled again, by content */
static void
test_data (void)
{
  g_autofree char *dir = make_dir (), *out = NULL, *list_path = NULL;
  g_autoptr (PictureList) list = NULL;

  if (!has_exe ())
    return;
  make_models (dir);
  g_free (make_plain (dir, "d/train/cat/1.png", 0x0000f1));
  g_free (make_plain (dir, "d/train/dog/1.png", 0xf10000));
  g_free (make_plain (dir, "d/validate/dog/1.png", 0xf20000));
  g_free (make_plain (dir, "d/unlabelled/a.png", 0xf00000));
  g_free (make_plain (dir, "d/unlabelled/b.png", 0xf10000));
  g_free (make_plain (dir, "d/unlabelled/c.png", 0xf20000));
  g_free (make_plain (dir, "d/unlabelled/d.png", 0x0000f1));
  run_well (dir, "pseudo-label two.h5 --data d -o l.csv --device cpu", &out);
  g_assert_nonnull (strstr (out, "d/unlabelled: 1 picture labelled by two.h5\n"
                                 "left out: 2 that d has with their labels\n"
                                 "left out: 1 that d has to validate with\n"));
  list_path = g_build_filename (dir, "l.csv", NULL);
  list = picture_list_load (list_path, NULL);
  g_assert_cmpuint (list->n, ==, 1);
  g_assert_true (g_str_has_suffix (list->paths[0], "/a.png"));
  remove_dir (dir);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *arguments;
    int status;
    const char *message;
  } cases[] = {
    { "two.h5", 1, "--unlabelled is missing" },
    { "two.h5 -u u", 1, "--output is missing: name the list to write" },
    { "two.h5 -u u --links", 1, "--output is missing: name the folder for links" },
    { "two.h5 -u u -o x.png", 1, "x.png: a list is a CSV file" },
    { "two.h5 -u u -o x.csv --threshold 1.5", 1, "--threshold 1.5: expected 0 to 1" },
    { "two.h5 -u u -o x.csv --hard --soft", 1, "--hard and --soft: choose one" },
    { "two.h5 -u u -o x --links --move", 1, "--links and --move: choose one" },
    { "two.h5 -u u -o x --links --soft", 1, "--soft: only a list holds probabilities" },
    { "two.h5 -u none -o x.csv", 2, "none: cannot list this folder" },
    { "two.h5 -u empty -o x.csv", 2, "empty: no picture found" },
    { "two.h5 -u u -o u/x --links", 2, "u/x: lies in the folder of unlabelled pictures" },
    { "two.h5 -u u -o no/x.csv", 2, "no/x.csv: cannot" },
    { "--undo u/a.png", 2, "u/a.png" },
  };
  g_autofree char *dir = make_dir (), *empty = g_build_filename (dir, "empty", NULL);

  if (!has_exe ())
    return;
  make_models (dir);
  g_mkdir (empty, 0755);
  g_free (make_plain (dir, "u/a.png", 0xf00000));
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *command = g_strdup_printf ("pseudo-label %s --device cpu", cases[i].arguments);
    g_autofree char *message = NULL;
    int status = run (dir, command, NULL, &message);

    if (status != cases[i].status || !strstr (message, cases[i].message))
      g_error ("%s: status %d: %s", command, status, message);
  }
  remove_dir (dir);
}

/* --- lists --------------------------------------------------------------------------------- */

static void
test_csv (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows
      = csv_parse ("x", "\xef\xbb\xbf" "a,b\r\n\n\"c,\n\"\"d\",\n,\"\"\n\"e\"", &error);
  static const char *const expected[][3]
      = { { "a", "b" }, { "c,\n\"d", "" }, { "", "" }, { "e" } };
  static const guint lines[] = { 1, 3, 5, 6 };
  static const char *const fields[] = { "", "plain", "a,b", "\"", "x\ny", "\r", "Grüße" };
  g_autoptr (GString) csv = g_string_new (NULL);
  g_autoptr (GPtrArray) again = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (rows->len, ==, 4);
  for (guint i = 0; i < 4; i++) {
    const CsvRow *row = g_ptr_array_index (rows, i);

    g_assert_cmpuint (row->line, ==, lines[i]);
    g_assert_true (g_strv_equal ((const char *const *) row->fields, expected[i]));
  }
  g_assert_null (csv_parse ("x.csv", "a\n\"b\nc", &error));
  g_assert_nonnull (strstr (error->message, "x.csv:2: a field in quotes does not end"));
  g_clear_error (&error);
  g_assert_null (csv_parse ("x.csv", "\"b\"c\n", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_clear_error (&error);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++) {
    csv_append (csv, fields[i]);
    g_string_append (csv, i + 1 < G_N_ELEMENTS (fields) ? "," : "\n");
  }
  again = csv_parse ("x", csv->str, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    g_assert_cmpstr (((CsvRow *) g_ptr_array_index (again, 0))->fields[i], ==, fields[i]);
}

static void
test_list_errors (void)
{
  static const struct
  {
    const char *text, *message;
  } cases[] = {
    { "", "" },
    { "\n", "l.csv: no list of labelled pictures: expected a first line \"file,label\"" },
    { "a.png,cat\n", "l.csv: no list of labelled pictures" },
    { "file,confidence\na.png,1\n", "l.csv: no list of labelled pictures" },
    { "file,label\na.png\n", "l.csv:2: expected 2 fields" },
    { "file,label\na.png,cat\n\n,dog\n", "l.csv:4: expected 2 fields" },
    { "file,probability:a,probability:b\nx,0.5,0.6\n", "l.csv:2: the probabilities sum to 1.1" },
    { "file,probability:a,probability:b\nx,1.5,-0.5\n", "l.csv:2: \"1.5\" is no probability" },
    { "file,probability:a,probability:b\nx,nan,1\n", "l.csv:2: \"nan\" is no probability" },
    { "file,probability:a,probability:b\nx,,1\n", "l.csv:2: \"\" is no probability" },
    { "file,probability:a,probability:a\nx,0,1\n", "two columns \"probability:a\"" },
  };
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "l.csv", NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    write_text (dir, "l.csv", cases[i].text);
    g_assert_null (picture_list_load (path, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    if (!strstr (error->message, cases[i].message))
      g_error ("%s: %s", cases[i].text, error->message);
    g_clear_error (&error);
  }
  g_assert_true (g_file_set_contents (path, "file,label\na\0b,c\n", 17, NULL));
  g_assert_null (picture_list_load (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_clear_error (&error);
  g_remove (path);
  g_assert_null (picture_list_load (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  remove_dir (dir);
}

static Dataset *
load_with_lists (const char *dir, const char *first, const char *second, GError **error)
{
  g_autofree char *one = g_build_filename (dir, first, NULL);
  g_autofree char *two = second ? g_build_filename (dir, second, NULL) : NULL;
  g_autofree char *train = g_build_filename (dir, "train", NULL);
  char *lists[] = { one, two, NULL };
  const DatasetOptions options = { LAYOUT_FOLDERS, 0, 0, NULL, 2, lists };
  NnPreprocess pre;

  nn_preprocess_init (&pre, 4, 4);
  g_ptr_array_set_size (warnings, 0);
  return dataset_load (train, &options, &pre, error);
}

/* the folder's pictures, then a hard list's, then a soft one's; all their targets */
static void
test_dataset (void)
{
  static const float expected[][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 0, 1 },
    { 1, 0, 0 }, { 0.25f, 0.125f, 0.625f }, { 0, 1, 0 } };
  static const guint32 colors[] = { 1, 2, 3, 4, 5, 6, 7 };
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL, hard = NULL, none = NULL;

  g_free (make_plain (dir, "train/a/1.png", 1));
  g_free (make_plain (dir, "train/b/2.png", 2));
  g_free (make_plain (dir, "train/c/3.png", 3));
  for (guint i = 4; i < 8; i++) {
    g_autofree char *name = g_strdup_printf ("more/%u.png", i);

    g_free (make_plain (dir, name, i));
  }
  write_text (dir, "more/bad.png", "no picture");
  write_text (dir, "h.csv", "label,note,file\nc,x,more/4.png\na,,more/gone.png\na,y,more/5.png\n");
  write_text (dir, "more/s.csv", "probability:c,file,probability:a,probability:b\n"
                                 "0.625,6.png,0.25,0.125\n0.5,bad.png,0.5,0\n0,7.png,0,1\n");
  data = load_with_lists (dir, "h.csv", "more/s.csv", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n, ==, 7);
  g_assert_cmpuint (data->n_listed, ==, 4);
  g_assert_cmpuint (data->n_unreadable, ==, 2);
  g_assert_cmpuint (count_warnings ("more/gone.png: "), ==, 1);
  g_assert_cmpuint (count_warnings ("more/bad.png: "), ==, 1);
  for (guint i = 0; i < 7; i++) {
    guint best = 0;

    g_assert_cmpuint (data->bytes[i * data->sample_size + 2], ==, colors[i]);
    for (guint k = 0; k < 3; k++) {
      g_assert_cmpfloat (data->targets[3 * i + k], ==, expected[i][k]);
      best = expected[i][k] > expected[i][best] ? k : best;
    }
    g_assert_cmpuint (data->labels[i], ==, best);
  }
  hard = load_with_lists (dir, "h.csv", NULL, &error);
  g_assert_no_error (error);
  g_assert_null (hard->targets);
  g_assert_cmpuint (hard->labels[3], ==, 2);

  write_text (dir, "e.csv", "file,label\n");
  none = load_with_lists (dir, "e.csv", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (none->n, ==, 3);
  g_assert_cmpuint (count_warnings ("e.csv: names no picture"), ==, 1);
  write_text (dir, "e.csv", "file,label\nmore/4.png,a\nmore/5.png,bird\n");
  g_assert_null (load_with_lists (dir, "e.csv", NULL, &error));
  g_assert_nonnull (strstr (error->message, "class \"bird\" is not one of those known: a, b, c"));
  g_clear_error (&error);
  write_text (dir, "e.csv", "file,probability:a,probability:b\nmore/4.png,0,1\n");
  g_assert_null (load_with_lists (dir, "e.csv", NULL, &error));
  g_assert_nonnull (strstr (error->message, "has probabilities of 2 classes, there are 3"));
  g_clear_error (&error);
  write_text (dir, "e.csv", "file,label\n4.png,a\n5.png,a\n");
  g_assert_null (load_with_lists (dir, "e.csv", NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "none of the 2 pictures that it names is there"));
  remove_dir (dir);
}

/* what the network is trained towards: smoothed, weighted, one output or many */
static void
test_targets (void)
{
  static float soft[] = { 0.75f, 0.25f, 0, 1, 0.125f, 0.875f };
  static const double class_weights[] = { 1, 3 };
  static guint labels[] = { 0, 1, 1 };
  guint8 bytes[3 * 48];
  Dataset data = { .n = 3, .labels = labels, .targets = soft, .n_classes = 2, .height = 4,
    .width = 4, .sample_size = 48, .bytes = bytes };
  NnAugment augment;
  NnPreprocess pre;

  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i / 48);
  nn_augment_init (&augment);
  nn_preprocess_init (&pre, 4, 4);
  for (guint n_outputs = 1; n_outputs <= 2; n_outputs++) {
    FeederOptions options = { .data = &data, .pre = &pre, .augment = &augment,
      .label_smoothing = 0.1, .class_weights = class_weights, .order = { 3, 3, 5 },
      .n_outputs = n_outputs, .threads = 1 };
    Feeder *feeder = feeder_new (&options, 0, 0, 1, NULL);
    const Batch *batch = feeder_next (feeder);

    for (guint i = 0; i < 3; i++) {
      const guint s = (guint) lroundf (batch->input[i * 48] * 255);

      for (guint k = 0; k < n_outputs; k++)
        g_assert_cmpfloat_with_epsilon (batch->targets[i * n_outputs + k],
            soft[2 * s + (n_outputs == 1 ? 1 : k)] * 0.9 + 0.05, 1e-6);
      g_assert_cmpfloat_with_epsilon (
          batch->weights[i], soft[2 * s] + 3 * soft[2 * s + 1], 1e-6);
    }
    feeder_free (feeder);
  }
}

/* --- recipes and runs ---------------------------------------------------------------------- */

static const char recipe_text[]
    = "[data]\n%s\n[network]\nfile=net.json\n[schedule]\nepochs=%u\nlearning_rate=1e-2\n"
      "[training]\nbatch_size=4\n";

static void
write_recipe (const char *dir, const char *name, const char *data, guint epochs)
{
  g_autofree char *text = g_strdup_printf (recipe_text, data, epochs);

  write_text (dir, name, text);
}

static void
test_recipe (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *list = g_build_filename (dir, "sub/b.csv", NULL);
  g_autofree char *sub = g_build_filename (dir, "sub", NULL);
  g_autofree char *before = NULL, *both = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Recipe) plain = NULL, one = NULL, again = NULL;

  g_mkdir (sub, 0755);
  write_text (dir, "a.csv", "file,label\nx,a\n");
  write_text (dir, "sub/b.csv", "file,label\ny,a\n");
  write_recipe (dir, "r.ini", "train=t", 1);
  plain = recipe_load (path, NULL, &error);
  g_assert_no_error (error);
  g_assert_null (plain->lists);
  g_assert_true (recipe_add_list (plain, list, &error));
  g_assert_cmpstr (plain->lists[0], ==, list);
  write_recipe (dir, "r.ini", "train=t\nlist = a.csv; sub/b.csv ;", 1);
  one = recipe_load (path, "elsewhere", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (one->lists), ==, 2);
  g_assert_cmpstr (one->lists[1], ==, list);
  g_assert_cmpstr (one->fingerprint, !=, plain->fingerprint);
  write_text (dir, "a.csv", "file,label\nx,b\n"); /* what a list says decides the numbers */
  again = recipe_load (path, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (one->fingerprint, !=, again->fingerprint);
  g_remove (list);
  g_assert_null (recipe_load (path, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_clear_error (&error);

  { /* settings for one run: as if the file said so */
    char *settings[] = { "schedule.epochs=3;4", "data.list=a.csv", "training.ema=0.5",
      "training.batch_size=", "mixing.mixup=", NULL };
    char *wrong[] = { "epochs=3", NULL }, *unknown[] = { "schedule.epoch=3", NULL };
    g_autoptr (Recipe) set = recipe_load_with (path, NULL, settings, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (set->n_stages, ==, 2);
    g_assert_cmpuint (set->stages[1].epochs, ==, 4);
    g_assert_cmpuint (g_strv_length (set->lists), ==, 1);
    g_assert_cmpfloat (set->ema, ==, 0.5);
    g_assert_cmpuint (set->batch_size, ==, 32);
    g_assert_null (recipe_load_with (path, NULL, wrong, &error));
    g_assert_cmpstr (error->message, ==,
        "setting \"epochs=3\": expected GROUP.KEY=VALUE, as schedule.epochs=20");
    g_clear_error (&error);
    g_assert_null (recipe_load_with (path, NULL, unknown, &error));
    g_assert_nonnull (strstr (error->message, "[schedule] epoch: there is no such key"));
  }
  remove_dir (dir);
}

static NnModel *
load_model (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  NnModel *model = nn_model_open (path, NULL, NULL);

  g_assert_nonnull (model);
  return model;
}

static gboolean
have_equal_weights (const NnModel *a, const NnModel *b)
{
  return memcmp (a->layers[a->n_layers - 1].params[0].data,
             b->layers[b->n_layers - 1].params[0].data, 48 * sizeof (float))
      == 0;
}

/* A list of all pictures and one that says the same with probabilities train the same weights, one
 * that says otherwise others; with labels from two.h5 the network becomes like it. */
static void
test_training (void)
{
  g_autofree char *dir = make_dir (), *out = NULL;
  g_autoptr (GString) hard = g_string_new ("file,label\n");
  g_autoptr (GString) wrong = g_string_new (hard->str);
  g_autoptr (GString) soft = g_string_new ("file,probability:cat,probability:dog\n");
  g_autoptr (NnModel) a = NULL, b = NULL, c = NULL;
  char *names[N];
  guint32 colors[N];

  if (!has_exe ())
    return;
  make_models (dir);
  make_unlabelled (dir, names, colors);
  g_free (make_plain (dir, "train/cat/1.png", 0x0000f1));
  g_free (make_plain (dir, "train/dog/1.png", 0xf10000));
  write_text (dir, "net.json", NETWORK ("1", "sigmoid"));
  for (guint i = 5; i < N; i++) {
    const gboolean is_dog = dog (colors[i]) > 0.5;

    g_string_append_printf (hard, "%s,%s\n", names[i], is_dog ? "dog" : "cat");
    g_string_append_printf (soft, "%s,%d,%d\n", names[i], !is_dog, is_dog);
    g_string_append_printf (wrong, "%s,%s\n", names[i], is_dog ? "cat" : "dog");
  }
  write_text (dir, "hard.csv", hard->str);
  write_text (dir, "soft.csv", soft->str);
  write_text (dir, "wrong.csv", wrong->str);
  write_recipe (dir, "a.ini", "train=train\nlist=hard.csv", 3);
  write_recipe (dir, "b.ini", "train=train", 3);
  run_well (dir, "train a.ini -o a.h5 --device cpu", &out);
  g_assert_nonnull (strstr (out, "Found 38 images belonging to 2 classes (cat, dog), 36 of them "
                                 "named by lists, decoded"));
  run_well (dir, "train b.ini -o b.h5 --list soft.csv --device cpu", NULL);
  run_well (dir, "train b.ini -o c.h5 --list wrong.csv --device cpu", NULL);
  a = load_model (dir, "a.h5");
  b = load_model (dir, "b.h5");
  c = load_model (dir, "c.h5");
  g_assert_true (have_equal_weights (a, b));
  g_assert_false (have_equal_weights (a, c));

  /* the whole way: label, train on what was labelled, label again: the same labels */
  {
    g_autofree char *first = NULL, *text = NULL, *path = g_build_filename (dir, "l.csv", NULL);
    g_autoptr (PictureList) list = NULL;
    guint n_equal = 0;

    run_well (dir, "pseudo-label two.h5 -u u -o p.csv --threshold 0.6 --soft --device cpu", NULL);
    write_recipe (dir, "b.ini", "train=train", 40);
    run_well (dir, "train b.ini -o d.h5 -q --list p.csv --device cpu", NULL);
    run_well (dir, "pseudo-label d.h5 -u u -o l.csv --threshold 0 --device cpu", NULL);
    list = picture_list_load (path, NULL);
    g_assert_cmpuint (list->n, ==, N);
    for (guint i = 0; i < N; i++)
      n_equal += (dog (read_color (list->paths[i])) > 0.5) == (list->labels[i][0] == 'd');
    g_assert_cmpuint (n_equal, >=, N - 3);
  }
  clear_names (names);
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  warnings = g_ptr_array_new_with_free_func (g_free);
  nn_log_set_sink (collect_warning, NULL);
  g_test_add_func ("/pseudo-label/pairs", test_pairs);
  g_test_add_func ("/pseudo-label/three-classes", test_three_classes);
  g_test_add_func ("/pseudo-label/balance", test_balance);
  g_test_add_func ("/pseudo-label/links", test_links);
  g_test_add_func ("/pseudo-label/move", test_move);
  g_test_add_func ("/pseudo-label/undo", test_undo);
  g_test_add_func ("/pseudo-label/report", test_report);
  g_test_add_func ("/pseudo-label/data", test_data);
  g_test_add_func ("/pseudo-label/refused", test_refused);
  g_test_add_func ("/list/csv", test_csv);
  g_test_add_func ("/list/errors", test_list_errors);
  g_test_add_func ("/list/dataset", test_dataset);
  g_test_add_func ("/list/targets", test_targets);
  g_test_add_func ("/list/recipe", test_recipe);
  g_test_add_func ("/list/training", test_training);
  status = g_test_run ();
  g_ptr_array_unref (warnings);
  return status;
}
