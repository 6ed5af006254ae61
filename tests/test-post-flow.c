/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* pipelines/post-flow.sh on a few small pictures: what its table says, against a count
 * by hand; killed again and again; what it refuses. */

#include <signal.h>
#include <string.h>

#include "tests/child.h"
#include "tests/pictures.h"
#include "train/picture-list.h"

static const char network_text[]
    = "{\"class_name\":\"Sequential\",\"config\":[{\"class_name\":\"Flatten\",\"config\":"
      "{\"name\":\"f\",\"batch_input_shape\":[null,8,8,3]}},{\"class_name\":\"Dense\","
      "\"config\":{\"name\":\"d\",\"units\":1,\"activation\":\"sigmoid\"}}]}";
static const char recipe_text[]
    = "[network]\nfile=net.json\n[augmentation]\nhorizontal_flip=true\nrotation_range=20\n"
      "[schedule]\nepochs=4;4\nlearning_rate=2e-3;1e-3\n[training]\nbatch_size=8\n";

static guint32
color_of (gboolean is_dog)
{
  return is_dog ? 0x904060 : 0x604090;
}

/* blue cats, red dogs; one of each eight validated with is the other, so that not all is right */
static void
make_data (const char *dir)
{
  g_autofree char *network = g_build_filename (dir, "net.json", NULL);
  g_autofree char *recipe = g_build_filename (dir, "r.ini", NULL);
  static const char *const names[] = { "cat", "dog" };

  for (guint i = 0; i < 32; i++) {
    const guint k = i % 2;
    g_autofree char *train = g_strdup_printf ("pets/train/%s.%u.png", names[k], i);
    g_autofree char *validate = g_strdup_printf ("pets/validate/%s.%u.png", names[k], i);
    g_autofree char *other = g_strdup_printf ("pets/unlabelled/%s.%u.png", names[k], i);

    g_free (make_picture (dir, train, 12, 10, color_of (k), i));
    g_free (make_picture (dir, validate, 10, 12, color_of (i % 16 < 2 ? !k : k), i + 100));
    g_free (make_picture (dir, other, 11, 11, color_of (k), i + 200));
  }
  g_assert_true (g_file_set_contents (network, network_text, -1, NULL));
  g_assert_true (g_file_set_contents (recipe, recipe_text, -1, NULL));
}

/* the script in @dir */
static void
start (Child *child, const char *dir, const char *arguments)
{
  g_auto (GStrv) words = g_strsplit (arguments, " ", -1);
  g_auto (GStrv) environment = g_get_environ ();
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();

  environment = g_environ_setenv (environment, "CLASSIFY", g_getenv ("CLASSIFY_EXE"), TRUE);
  g_ptr_array_add (argv, (gpointer) (SOURCE_ROOT "/pipelines/post-flow.sh"));
  for (guint i = 0; words[i]; i++)
    g_ptr_array_add (argv, words[i]);
  g_ptr_array_add (argv, NULL);
  child_start (child, dir, (const char *const *) argv->pdata, environment);
}

static char *
read_text (const char *dir, const char *name, gsize *size)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;
  char *text;

  g_file_get_contents (path, &text, size, &error);
  g_assert_no_error (error);
  return text;
}

/* the part of the pictures to validate with that @model names as their files are named */
static double
count_right (const char *dir, const char *model, const char *tta)
{
  const char *argv[] = { g_getenv ("CLASSIFY_EXE"), "predict", model, "pets/validate", "--format",
    "csv", "--tta", tta, "--device", "cpu", NULL };
  g_autofree char *out = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  guint n_right = 0;
  int status;

  g_assert_true (
      g_spawn_sync (dir, (char **) argv, NULL, 0, NULL, NULL, &out, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
  rows = csv_parse ("predict", out, NULL);
  for (guint i = 1; i < rows->len; i++) { /* behind the header */
    char **fields = ((CsvRow *) g_ptr_array_index (rows, i))->fields;
    g_autofree char *name = g_path_get_basename (fields[0]);

    n_right += strncmp (name, fields[1], 3) == 0;
  }
  return (double) n_right / (rows->len - 1);
}

static double
first_loss (const char *dir, const char *log)
{
  g_autofree char *text = read_text (dir, log, NULL);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_auto (GStrv) fields = g_strsplit (lines[1], ",", -1);

  return g_ascii_strtod (fields[3], NULL);
}

static void
check_results (const char *dir, const char *said)
{
  static const char *const pictures[]
      = { "a/preview.png", "a/first.png", "a/second.png", "a/sheet.png" };
  static const char *const models[] = { "a/first.h5", "a/second.h5" };
  g_autofree char *table = read_text (dir, "a/table.txt", NULL);
  g_autofree char *report = read_text (dir, "a/pseudo.txt", NULL);
  g_autofree char *log = read_text (dir, "a/second.csv", NULL);
  g_autofree char *found = NULL;
  g_autofree char *list_path = g_build_filename (dir, "a/pseudo.csv", NULL);
  g_autoptr (PictureList) list = picture_list_load (list_path, NULL);
  g_auto (GStrv) lines = g_strsplit (g_strchug (table), "\n", -1);
  g_auto (GStrv) epochs = g_strsplit (log, "\n", -1);

  for (guint i = 0; i < 4; i++) {
    const char *last = strrchr (lines[1 + i], ' ');
    g_autofree char *right = g_strdup_printf (
        "%.4f", count_right (dir, models[i / 2], i % 2 ? "flip" : "none"));

    g_assert_cmpstr (last + 1, ==, right);
    g_assert_cmpfloat (g_ascii_strtod (right, NULL), >, 0.6); /* it has learnt */
    g_assert_cmpfloat (g_ascii_strtod (right, NULL), <, 1);
  }
  g_assert_cmpuint (list->n, >, 8);
  for (guint i = 0; i < list->n; i++) {
    g_autofree char *name = g_path_get_basename (list->paths[i]);

    g_assert_true (strncmp (name, list->labels[i], 3) == 0);
  }
  g_assert_nonnull (strstr (report, "as many of each class\nright: 1.0000 of all"));
  /* trained on, with those labelled and from the weights that were there */
  found = g_strdup_printf ("Found %u images belonging to 2 classes (cat, dog), %u of them named by "
                           "lists, 32 to validate with",
      32 + list->n, list->n);
  g_assert_nonnull (strstr (said, found));
  g_assert_nonnull (strstr (said, "Weights of 1 layers from a/first.h5\n"));
  g_assert_cmpfloat (first_loss (dir, "a/second.csv"), <, 0.9 * first_loss (dir, "a/first.csv"));
  g_assert_cmpuint (g_strv_length (epochs), ==, 1 + 3 + 1);
  g_assert_true (g_str_has_prefix (epochs[1], "1,1,0.0005,"));
  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++) {
    g_autofree char *path = g_build_filename (dir, pictures[i], NULL);
    g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new_from_file (path, NULL);

    g_assert_nonnull (pixbuf);
  }
}

#define SETTINGS " RECIPE=r.ini EPOCHS_ON=3 RATE_ON=5e-4 THRESHOLD=0.55 DEVICE=cpu THREADS=1"

static void
test_flow (void)
{
  static const char *const files[] = { "first.h5", "second.h5", "pseudo.csv", "table.txt" };
  g_autofree char *dir = make_dir (), *said = NULL, *message = NULL;
  guint n_kills = 0, n_resumed = 0;
  int status = -1;
  Child child;

  if (!g_getenv ("CLASSIFY_EXE")) {
    g_test_skip ("CLASSIFY_EXE does not name the command");
    remove_dir (dir);
    return;
  }
  make_data (dir);
  start (&child, dir, "pets OUT=a" SETTINGS);
  child_end (&child, 0, FALSE, &status, &said);
  g_assert_cmpint (status, ==, 0);
  check_results (dir, said);

  /* The script alone is asked to end, or it and what it runs are killed, in the midst of a
   * training or at any time. */
  status = -1;
  for (guint attempt = 0; attempt < 40 && status != 0; attempt++) {
    const gboolean all = attempt % 2;
    int signal = 0;

    start (&child, dir, "pets OUT=b" SETTINGS);
    if (n_kills < 10) {
      signal = all ? SIGKILL : SIGTERM;
      if (attempt % 4 < 2) {
        g_autofree char *line = child_wait_line (&child, "epoch ");

        n_resumed += attempt > 0 && line && !g_str_has_prefix (line, "epoch 1/8 ");
      } else {
        g_usleep (60000 + attempt * 70000 % 400000);
      }
    }
    n_kills += child_end (&child, signal, all, &status, NULL);
  }
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpuint (n_kills, >, 0);
  g_assert_cmpuint (n_resumed, >, 0);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *one = g_build_filename ("a", files[i], NULL);
    g_autofree char *two = g_build_filename ("b", files[i], NULL);
    gsize n_one, n_two;
    g_autofree char *a = read_text (dir, one, &n_one), *b = read_text (dir, two, &n_two);

    g_assert_cmpmem (a, n_one, b, n_two);
  }

  /* what is there was made with other settings */
  start (&child, dir, "pets OUT=a" SETTINGS " LABELS=soft");
  child_end (&child, 0, FALSE, &status, &message);
  g_assert_cmpint (status, !=, 0);
  g_assert_nonnull (strstr (message, "> LABELS=soft"));
  g_assert_nonnull (strstr (message, "a: was begun with other settings"));
  remove_dir (dir);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *arguments, *message;
  } cases[] = {
    { "--frob pets", "--frob: no such option" },
    { "pets PATH=/", "PATH=/: no such option" },
    { "none", "none/train: no such folder" },
    { "pets pets", "one folder is enough" },
    { "OUT=x", "usage: " },
    { "pets BALANCE=maybe", "BALANCE=maybe: expected yes or no" },
    { "pets LABELS=$(false)", "LABELS=$(false): expected hard or soft" },
  };
  g_autofree char *dir = make_dir ();
  Child child;

  if (!g_getenv ("CLASSIFY_EXE")) {
    g_test_skip ("CLASSIFY_EXE does not name the command");
    remove_dir (dir);
    return;
  }
  make_data (dir);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *message = NULL;
    int status;

    start (&child, dir, cases[i].arguments);
    child_end (&child, 0, FALSE, &status, &message);
    if (status == 0 || !strstr (message, cases[i].message))
      g_error ("%s: %s", cases[i].arguments, message);
  }
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/post-flow/refused", test_refused);
  g_test_add_func ("/post-flow/flow", test_flow);
  return g_test_run ();
}
