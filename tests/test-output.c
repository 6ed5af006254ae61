/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the command writes, and onto what it does not: files that it reads, files of another
 * kind, one file twice; and standard output that cannot be written. */

#include <fcntl.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "tests/command.h"
#include "tests/pictures.h"
#include "train/output.h"
#include "train/progress.h"

static const char recipe_text[]
    = "[network]\nfile=net.json\n[preprocess]\nresize=area\n[schedule]\nepochs=1\n"
      "learning_rate=0.01\n[training]\nbatch_size=4\nseed=3\nkeep=best\n";

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", \"batch_input_shape\": "
      "[null, 4, 4, 3], \"filters\": 3, \"kernel_size\": [3, 3], \"padding\": \"same\"}}, "
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 2, "
      "\"activation\": \"softmax\"}}]}}";

static char *run_dir; /* with a trained m.h5, its log m.csv, pictures in D; CPU only */

static void
write_text (const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (run_dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static char *
read_text (const char *name, gsize *size)
{
  g_autofree char *path = g_build_filename (run_dir, name, NULL);
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, size, NULL));
  return text;
}

static void
make_run (void)
{
  run_dir = make_dir ();
  for (guint i = 0; i < 8; i++) {
    g_autofree char *train = g_strdup_printf ("D/train/%c/%u.png", 'a' + i % 2, i / 2);
    g_autofree char *validate = g_strdup_printf ("D/validate/%c/%u.png", 'a' + i % 2, i / 2);
    g_autofree char *more = g_strdup_printf ("D/unlabelled/%u.png", i);

    g_free (make_picture (run_dir, train, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i));
    g_free (make_picture (run_dir, validate, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i + 50));
    g_free (make_picture (run_dir, more, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i + 100));
  }
  g_free (make_picture (run_dir, "photo.png", 6, 6, 0x2050c0, 1000));
  write_text ("r.ini", recipe_text);
  write_text ("net.json", network);
  write_text ("labels.txt", "a\nb\n");
  write_text ("l.csv", "file,label\nD/unlabelled/0.png,a\n");
  write_text ("notes.txt", "not to be lost");
  g_free (run_command (run_dir, 0, "train r.ini --data D --device cpu -q -o m.h5 -l m.csv"));
}

/* @arguments is refused with @message, and @names, up to a NULL, keep their bytes */
static void
keeps (const char *arguments, int expected, const char *message, const char *const *names)
{
  g_autoptr (GPtrArray) before = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  gsize size;

  for (guint i = 0; names[i]; i++) {
    char *text = read_text (names[i], &size);

    g_ptr_array_add (before, g_bytes_new_take (text, size));
  }
  expect_message (run_dir, expected, arguments, message);
  for (guint i = 0; names[i]; i++) {
    g_autofree char *after = read_text (names[i], &size);
    gsize n;
    const void *old = g_bytes_get_data (g_ptr_array_index (before, i), &n);

    g_assert_cmpmem (old, n, after, size);
  }
}

#define TRAIN "train r.ini --data D --device cpu -q --overwrite "

static void
test_overwriting (void)
{
  static const struct
  {
    const char *arguments;
    int status;
    const char *message, *kept;
  } cases[] = {
    { TRAIN "-o r.ini", 2, "r.ini: is read", "r.ini" },
    { TRAIN "-o net.json", 2, "net.json: is read", "net.json" },
    { TRAIN "-o D/train/a/1.png", 2, "D/train/a/1.png: is read", "D/train/a/1.png" },
    { TRAIN "-o D/validate/a/1.png", 2, "D/validate/a/1.png: is read", "D/validate/a/1.png" },
    { TRAIN "-o m.h5 --init m.h5", 2, "m.h5: is read", "m.h5" },
    { TRAIN "-o hard.h5 --init m.h5", 2, "hard.h5: is read (as m.h5)", "m.h5" },
    { TRAIN "-o n.h5 --log net.json", 2, "net.json: is read", "net.json" },
    { TRAIN "-o n.h5 --log m.h5", 2, "m.h5: is there and is no log of a training", "m.h5" },
    { TRAIN "-o n.h5 --log n.h5", 2, "--output and --log would be one file", NULL },
    { TRAIN "-o n.h5 --log ./n.checkpoint.h5", 2, "the checkpoint of --output and --log", NULL },
    { TRAIN "-o n.h5 --log D/../n.best.h5", 2, "the best epoch of --output and --log", NULL },
    { TRAIN "-o n.h5 --list l.csv --log l.csv", 2, "l.csv: is read", "l.csv" },
    { TRAIN "-o D/unlabelled/0.png --list l.csv", 2, "D/unlabelled/0.png: is read",
        "D/unlabelled/0.png" },
    { TRAIN "-o D/unlabelled/3.png --set unlabelled.batch_size=2", 2, "is read",
        "D/unlabelled/3.png" },
    { TRAIN "-o notes.txt", 2, "notes.txt: is there and is no Keras model file", "notes.txt" },
    { TRAIN "-o other.h5", 2, "other.h5: is there and is no Keras model file", "other.h5" },
    { TRAIN "-o n.keras", 1, "choose a name that ends in .h5", NULL },
    { TRAIN "-o n.KERAS", 1, "choose a name that ends in .h5", NULL },
    { "preview r.ini --data D -o D/train/a/1.png", 2, "is read", "D/train/a/1.png" },
    { "preview r.ini --data D -o photo.png", 2, "a picture that classify did not draw",
        "photo.png" },
    { "predict m.h5 --device cpu --sheet photo.png D/train/a/1.png", 2,
        "photo.png: is there and is a picture that classify did not draw", "photo.png" },
    { "predict m.h5 --device cpu D --sheet D/train/a/1.png", 2, "is read", "D/train/a/1.png" },
    { "predict m.h5 --device cpu D --sheet link.png", 2, "link.png: is read (as m.h5)", "m.h5" },
    { "predict net.json -w m.h5 --device cpu D --sheet link.png", 2, "is read", "m.h5" },
    { "explain m.h5 --device cpu -o photo.png D", 2, "did not draw", "photo.png" },
    { "report m.h5 D/validate --device cpu -o photo.png", 1, "ends in .html", "photo.png" },
    { "report m.h5 D/validate --device cpu -o index.html", 2, "no page that classify wrote",
        "index.html" },
    { "report m.h5 D/validate --device cpu --recipe r.html -o r.html", 2, "is read", "r.html" },
    { "calibrate m.h5 D/validate --device cpu -o r.ini", 2, "no Keras model file", "r.ini" },
    { "calibrate m.h5 D/validate --device cpu -o n.keras", 1, "ends in .h5", NULL },
    { "calibrate net.json D/validate --device cpu -w m.h5", 2, "no Keras model file", "net.json" },
    { "pseudo-label m.h5 -u D/unlabelled --device cpu --threshold 0 -o m.csv", 2,
        "m.csv: is there and is no list of pictures", "m.csv" },
    { "pseudo-label m.h5 -u D/unlabelled --device cpu --labels-file labels.csv -o labels.csv", 2,
        "is read", "labels.csv" },
    { "curve m.csv m.csv", 1, "ends in .png or .svg", "m.csv" },
    { "curve m.csv photo.png", 2, "did not draw", "photo.png" },
    { "curve m.csv drawing.svg", 2, "no SVG file that classify drew", "drawing.svg" },
  };

  g_autofree char *link_path = g_build_filename (run_dir, "link.png", NULL);
  g_autofree char *hard = g_build_filename (run_dir, "hard.h5", NULL);
  g_autofree char *model = g_build_filename (run_dir, "m.h5", NULL);

  write_text ("index.html", "<!DOCTYPE html>\n<title>mine</title>");
  write_text ("r.html", "<!DOCTYPE html>\n");
  write_text ("labels.csv", "a\nb\n");
  write_text ("drawing.svg", "<?xml version=\"1.0\"?>\n<svg/>");
  write_text ("other.h5", "\x89HDF\r\n\x1a\n and then");
  g_assert_cmpint (symlink ("m.h5", link_path), ==, 0);
  g_assert_cmpint (link (model, hard), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    keeps (cases[i].arguments, cases[i].status, cases[i].message,
        (const char *const[]) { cases[i].kept, NULL });
}

/* Its own like is replaced, an empty file as well. */
static void
test_replacing (void)
{
  static const char *const commands[] = {
    "preview r.ini --data D -o p.png",
    "predict m.h5 --device cpu D --sheet s.png",
    "explain m.h5 --device cpu D -o e.png",
    "report m.h5 D/validate --device cpu -o page.html",
    "calibrate m.h5 D/validate --device cpu -o c.h5",
    "calibrate c.h5 D/validate --device cpu",
    "calibrate c.h5 D/validate --device cpu -o ./c.h5",
    "pseudo-label m.h5 -u D/unlabelled --device cpu --threshold 0 -o made.csv",
    "curve m.csv c.png",
    "curve m.csv c.svg",
    TRAIN "-o t.h5 -l t.csv",
  };

  write_text ("s.png", "");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_free (run_command (run_dir, 0, commands[i]));
    g_free (run_command (run_dir, 0, commands[i]));
  }
}

/* The mark that tells our pictures is a chunk that readers of PNG take. */
static void
test_mark (void)
{
  g_autofree char *path = g_build_filename (run_dir, "photo.png", NULL);
  g_autofree char *marked_path = g_build_filename (run_dir, "marked.png", NULL), *text = NULL;
  g_autoptr (GByteArray) png = g_byte_array_new ();
  g_autoptr (GdkPixbuf) plain = NULL, marked = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  text = read_text ("photo.png", &size);
  g_byte_array_append (png, (const guint8 *) text, (guint) size);
  output_mark_png (png);
  g_assert_true (g_file_set_contents (marked_path, (const char *) png->data, png->len, NULL));
  plain = gdk_pixbuf_new_from_file (path, &error);
  marked = gdk_pixbuf_new_from_file (marked_path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (gdk_pixbuf_get_option (marked, "tEXt::Software"), ==, "classify");
  g_assert_cmpmem (gdk_pixbuf_read_pixels (plain), gdk_pixbuf_get_byte_length (plain),
      gdk_pixbuf_read_pixels (marked), gdk_pixbuf_get_byte_length (marked));
}

static void
to_full_device (gpointer data)
{
  int fd = open ("/dev/full", O_WRONLY);

  dup2 (fd, STDOUT_FILENO);
}

static void
to_nothing (gpointer data)
{
  close (STDOUT_FILENO);
}

static void
to_gone_reader (gpointer data)
{
  int ends[2];

  if (pipe (ends) == 0) {
    dup2 (ends[1], STDOUT_FILENO);
    close (ends[0]);
    close (ends[1]);
  }
  signal (SIGPIPE, SIG_IGN);
}

static char *
run_with (const char *arguments, GSpawnChildSetupFunc setup, int *status)
{
  g_autoptr (GPtrArray) words = command_words (arguments);
  GError *error = NULL;
  char *err;

  /* LEAVE_DESCRIPTORS: what @setup made of standard output stays */
  g_spawn_sync (run_dir, (char **) words->pdata, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, setup, NULL,
      NULL, &err, status, &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (*status));
  *status = WEXITSTATUS (*status);
  return err;
}

static void
test_standard_output (void)
{
  static const char *const commands[] = { "predict m.h5 D --device cpu",
    "predict m.h5 D --device cpu -f csv", "predict m.h5 D --device cpu -f json",
    "evaluate m.h5 D/validate --device cpu", "evaluate m.h5 D/validate --device cpu -f json",
    "summary m.h5", "devices", TRAIN "-o s.h5", "--help", "--version", "train --help",
    "preview r.ini --data D -o sp.png", "calibrate m.h5 D/validate --device cpu -o sc.h5",
    "pseudo-label m.h5 -u D/unlabelled --device cpu -o spl.csv" };

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_autofree char *full = NULL, *closed = NULL, *gone = NULL;
    g_autofree char *command = g_strdup (commands[i]);
    char *quiet = strstr (command, " -q");
    int status;

    if (quiet)
      memcpy (quiet, "   ", 3);
    full = run_with (command, to_full_device, &status);
    if (status != 2 || !strstr (full, "standard output cannot be written"))
      g_error ("%s > /dev/full: %d, %s", command, status, full);
    closed = run_with (command, to_nothing, &status);
    if (status != 2 || !strstr (closed, "standard output cannot be written"))
      g_error ("%s >&-: %d, %s", command, status, closed);
    gone = run_with (command, to_gone_reader, &status);
    if (status != 2 || strstr (gone, "standard output"))
      g_error ("%s | true: %d, %s", command, status, gone);
  }
}

/* With standard output closed the next file that is opened is not standard output. */
static void
test_closed_and_quiet (void)
{
  g_autofree char *err = NULL, *model = NULL;
  int status;
  gsize size;

  err = run_with (TRAIN "-o closed.h5 -l closed.csv", to_nothing, &status);
  g_assert_cmpint (status, ==, 0);
  model = read_text ("closed.h5", &size);
  g_assert_true (size > 8 && memcmp (model, "\x89HDF\r\n\x1a\n", 8) == 0);
}

static void
test_usage (void)
{
  expect_message (run_dir, 0, "train --help", "\n  classify train [OPTION");
  expect_message (run_dir, 0, "train --help", "] RECIPE");
  expect_message (run_dir, 0, "pseudo-label --help", "] MODEL\n");
  expect_message (run_dir, 1, "--data D train r.ini",
      "--data: options stand behind the command: classify COMMAND --data ...");
}

/* What cannot be stored is refused before the training. */
static void
test_names (void)
{
  g_autofree char *from = g_build_filename (run_dir, "D/train/a", NULL);
  g_autofree char *to = g_build_filename (run_dir, "D/train/caf\xe9", NULL);
  g_autofree char *model = g_build_filename (run_dir, "u.h5", NULL);
  g_autofree char *name = g_strnfill (252, 'n');
  g_autofree char *command = g_strdup_printf (TRAIN "-o %s.h5", name);

  g_assert_cmpint (g_rename (from, to), ==, 0);
  expect_message (run_dir, 2,
      "train r.ini --data D/train --device cpu -o u.h5 --set training.keep=last",
      "is not UTF-8 text and cannot be stored in a model file: rename it");
  g_assert_cmpint (g_rename (to, from), ==, 0);
  g_assert_false (g_file_test (model, G_FILE_TEST_EXISTS));
  expect_message (run_dir, 2, command, "a name of more than 255 bytes");
}

/* exit status and outputs of the command with @words, up to a NULL */
static int
run_words (const char *const *words, char **out, char **err)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  GError *error = NULL;
  int status;

  g_ptr_array_add (argv, (char *) g_getenv ("CLASSIFY_EXE"));
  for (; *words; words++)
    g_ptr_array_add (argv, (char *) *words);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (run_dir, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, out, err,
      &status, &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

#define HOSTILE "x\x1b]0;t\a\n\xe2\x80\xae\xc2\x9by"
#define SHOWN "x\\x1b]0;t\\x07\\x0a\\u202e\\x9by"
#define IN_JSON "x\\u001b]0;t\\u0007\\n\\u202e\\u009by"

/* Names that would act on a terminal do not, wherever they are shown. */
static void
test_terminal (void)
{
  g_autofree char *json = g_strdup (network), *from = g_build_filename (run_dir, "D", NULL);
  g_autofree char *to = g_build_filename (run_dir, HOSTILE, NULL);
  g_autofree char *picture = g_build_filename (run_dir, HOSTILE ".png", NULL);
  g_autofree char *photo = g_build_filename (run_dir, "photo.png", NULL);
  g_auto (GStrv) parts = g_strsplit (json, "\"d\"", -1);
  g_autofree char *hostile_network = g_strjoinv ("\"" IN_JSON "\"", parts);
  const struct
  {
    const char *words[12];
    int status;
  } rows[] = {
    { { "predict", "m.h5", HOSTILE ".png", "--device", "cpu" }, 0 },
    { { "predict", "m.h5", HOSTILE "missing", "--device", "cpu" }, 2 },
    { { "summary", "h.json" }, 0 },
    { { "summary", HOSTILE }, 2 },
    { { HOSTILE }, 1 },
    { { "evaluate", "m.h5", HOSTILE "/unlabelled", "--device", "cpu" }, 2 },
    { { "evaluate", "m.h5", "D", "--device", HOSTILE }, 3 },
    { { "train", "r.ini", "--data", HOSTILE, "--device", "cpu", "-o", HOSTILE ".h5" }, 0 },
    { { "pseudo-label", "m.h5", "-u", HOSTILE "/unlabelled", "-o", "h.csv", "--device", "cpu" },
        0 },
    { { "preview", "r.ini", "--data", HOSTILE, "-o", HOSTILE ".sheet.png" }, 0 },
  };
  const char *csv[] = { "predict", "m.h5", HOSTILE ".png", "--device", "cpu", "-f", "csv", NULL };
  g_autofree char *exact = NULL;

  write_text ("h.json", hostile_network);
  g_assert_cmpint (g_rename (from, to), ==, 0);
  g_assert_cmpint (link (photo, picture), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *out = NULL, *err = NULL, *all = NULL;
    const int status = run_words (rows[i].words, &out, &err);

    all = g_strconcat (out, err, NULL);
    if (status != rows[i].status || !strstr (all, SHOWN) || strpbrk (all, "\x1b\a")
        || strstr (all, "\xe2\x80\xae") || strstr (all, "\xc2\x9b"))
      g_error ("row %u: %d: %s", i, status, all);
    if (strcmp (rows[i].words[0], "predict") == 0)
      g_assert_true (strchr (all, '\n') == all + strlen (all) - 1);
  }
  g_assert_cmpint (run_words (csv, &exact, NULL), ==, 0);
  g_assert_true (g_str_has_prefix (exact, "file,label,probability\n"));
  g_assert_nonnull (strstr (exact, "\"" HOSTILE ".png\","));
  g_assert_cmpint (g_rename (to, from), ==, 0);
  expect_message (run_dir, 0, "predict m.h5 photo.png --device cpu -f csv -k 9",
      "file,label,probability,label_2,probability_2\n");
}

/* Parts of the line are there as a whole or not at all, what matters most is longest. */
static void
test_progress (void)
{
  static const char *const parts[] = { "epoch 5/90", "4:20:31 left", "120/500", "loss 0.6931",
    "accuracy 0.5123", "431 pictures/s", "[####                ]" }; /* by importance */
  ProgressEpoch e = { 5, 90, FALSE, 120, 500, 0.69314, 0.51234, 431, 15631 };
  g_autofree char *all = progress_format_epoch (&e, 200), *validating = NULL;
  guint before = 0;

  g_assert_cmpstr (all, ==, "epoch 5/90  [####                ]  120/500  loss 0.6931  "
                            "accuracy 0.5123  431 pictures/s  4:20:31 left");
  for (guint width = 1; width <= 120; width++) {
    g_autofree char *text = progress_format_epoch (&e, width);
    guint n = 0, n_columns = 0;

    for (; n < G_N_ELEMENTS (parts) && strstr (text, parts[n]); n++)
      n_columns += (guint) strlen (parts[n]) + (n ? 2 : 0);
    g_assert_cmpuint (n_columns, ==, strlen (text)); /* nothing else */
    g_assert_true (n == 1 || n_columns <= width);
    g_assert_cmpuint (n, >=, before);
    before = n;
    if (width == 59) /* a terminal of 60 columns */
      g_assert_cmpuint (n, >=, 4);
  }
  g_assert_cmpuint (before, ==, G_N_ELEMENTS (parts));
  e.is_validating = TRUE;
  e.speed = 0;
  validating = progress_format_epoch (&e, 79);
  g_assert_cmpstr (validating, ==,
      "epoch 5/90  validating 120/500  loss 0.6931  accuracy 0.5123  4:20:31 left");
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  if (!g_getenv ("CLASSIFY_EXE"))
    return 77;
  make_run ();
  g_test_add_func ("/output/overwriting", test_overwriting);
  g_test_add_func ("/output/replacing", test_replacing);
  g_test_add_func ("/output/mark", test_mark);
  g_test_add_func ("/output/standard-output", test_standard_output);
  g_test_add_func ("/output/closed-and-quiet", test_closed_and_quiet);
  g_test_add_func ("/output/usage", test_usage);
  g_test_add_func ("/output/names", test_names);
  g_test_add_func ("/output/terminal", test_terminal);
  g_test_add_func ("/output/progress", test_progress);
  status = g_test_run ();
  remove_dir (run_dir);
  g_free (run_dir);
  return status;
}
