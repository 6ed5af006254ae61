/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a run finds where it starts: a checkpoint of its own or of another run, files that would
 * be lost, another process; and how it stops. */

#include <stdlib.h>

#include "nn/keras-file.h"
#include "nn/log.h"
#include "tests/command.h"
#include "tests/pictures.h"
#include "train/checkpoint.h"
#include "train/loop.h"

#define TRAIN "train r.ini --data D --device cpu -t 1 "
/* so long that it is stopped, however fast the machine */
#define LONG TRAIN "--set schedule.epochs=900000 -o m.h5 "

static const char recipe_text[]
    = "[network]\nfile=net.json\n[preprocess]\nresize=area\n[schedule]\nepochs=2\n"
      "learning_rate=0.01\n[training]\nbatch_size=4\nseed=3\nema=0.5\nkeep=best\n";

#define NETWORK(activation) \
  "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": [" \
  "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": " \
  "[null, 4, 4, 3]}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"h\", \"units\": 3, " \
  "\"activation\": \"" activation "\"}}, {\"class_name\": \"Dense\", \"config\": {\"name\": " \
  "\"d\", \"units\": 1, \"activation\": \"sigmoid\"}}]}}"

static void
write_text (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static char *
read_text (const char *dir, const char *name, gsize *size)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, size, NULL);
  return text;
}

static gboolean
is_there (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static void
move (const char *dir, const char *from, const char *to)
{
  g_autofree char *a = g_build_filename (dir, from, NULL), *b = g_build_filename (dir, to, NULL);

  g_assert_cmpint (g_rename (a, b), ==, 0);
}

static void
copy (const char *dir, const char *from, const char *to)
{
  g_autofree char *b = g_build_filename (dir, to, NULL), *text = NULL;
  gsize size;

  text = read_text (dir, from, &size);
  g_assert_true (g_file_set_contents (b, text, (gssize) size, NULL));
}

static char *
make_run (void)
{
  char *dir = make_dir ();

  for (guint i = 0; i < 12; i++) {
    g_autofree char *train = g_strdup_printf ("D/train/%c/%u.png", 'a' + i % 2, i / 2);
    g_autofree char *validate = g_strdup_printf ("D/validate/%c/%u.png", 'a' + i % 2, i / 2);
    g_autofree char *more = g_strdup_printf ("more/%u.png", i);

    g_free (make_picture (dir, train, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i));
    g_free (make_picture (dir, validate, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i + 50));
    g_free (make_picture (dir, more, 6, 6, i % 2 ? 0x2050c0 : 0xc05020, i + 100));
  }
  write_text (dir, "r.ini", recipe_text);
  write_text (dir, "net.json", NETWORK ("relu"));
  write_text (dir, "l.csv", "file,label\nmore/0.png,a\nmore/1.png,b\n");
  return dir;
}

/* stops after an epoch; what it printed */
static char *
start_and_stop (const char *dir, const char *arguments)
{
  static const int signals[] = { SIGTERM, 0 };
  int status;
  char *out = stop_command (dir, arguments, NULL, signals, &status);

  if (!WIFEXITED (status) || WEXITSTATUS (status) != 130)
    g_error ("classify %s: status %x: %s", arguments, status, out);
  return out;
}

static void
refuse_resume (const char *dir, const char *arguments, const char *message)
{
  gsize n, m;
  g_autofree char *before = read_text (dir, "m.checkpoint.h5", &n), *after = NULL;
  g_autofree char *all = g_strconcat (arguments, " --resume", NULL);

  expect_message (dir, 2, all, message);
  after = read_text (dir, "m.checkpoint.h5", &m);
  g_assert_cmpmem (before, n, after, m);
}

/* All that decides the bits: named, with both values. */
static void
test_settings (void)
{
  g_autofree char *dir = make_run (), *text = NULL;

  g_free (start_and_stop (dir, LONG "--list l.csv"));
  refuse_resume (dir, LONG "--list l.csv --set training.batch_size=3",
      "m.checkpoint.h5: belongs to a run with other settings: training.batch_size was 4, is 3 now");
  refuse_resume (dir, LONG "--list l.csv --set optimizer.beta_1=0.8",
      "optimizer.beta_1 was 0.9, is 0.8 now");
  refuse_resume (dir, LONG "--list l.csv --set augmentation.rotation_range=1",
      "augmentation.rotation_range was 0, is 1 now (restore that, or start anew with --overwrite)");
  refuse_resume (dir, LONG "--list l.csv -p fp32", "training.precision was auto, is fp32 now");
  refuse_resume (dir, TRAIN "-o m.h5 --list l.csv", "schedule.epochs was 900000, is 2 now");
  refuse_resume (dir, LONG, "list of pictures");
  write_text (dir, "l.csv", "file,label\nmore/0.png,a\nmore/1.png,a\n");
  refuse_resume (dir, LONG "--list l.csv", "list of pictures");
  write_text (dir, "l.csv", "file,label\nmore/0.png,a\nmore/1.png,b\n");

  write_text (dir, "net.json", NETWORK ("tanh"));
  refuse_resume (dir, LONG "--list l.csv", "net.json holds another network now");
  {
    g_auto (GStrv) parts = g_strsplit (NETWORK ("relu"), ", ", -1); /* laid out anew: the same */
    g_autofree char *network = g_strjoinv (",\n  ", parts);

    write_text (dir, "net.json", network);
  }
  text = start_and_stop (dir, LONG "--list l.csv --resume");
  remove_dir (dir);
}

/* Never another class by an old name, never other pictures without a word, and no spinning
 * where an epoch has fewer steps than were done. */
static void
test_pictures (void)
{
  g_autofree char *dir = make_run (), *text = NULL;

  g_free (start_and_stop (dir, LONG));
  move (dir, "D/train/a", "D/train/z");
  move (dir, "D/validate/a", "D/validate/z");
  refuse_resume (dir, LONG, "was trained for the classes a, b; D/train has b, z");
  move (dir, "D/train/z", "D/train/aa"); /* the order stays, the name does not */
  move (dir, "D/validate/z", "D/validate/aa");
  refuse_resume (dir, LONG, "was trained for the classes a, b; D/train has aa, b");
  move (dir, "D/train/aa", "D/train/a");
  move (dir, "D/validate/aa", "D/validate/a");

  move (dir, "D/train/a/3.png", "kept.png");
  refuse_resume (dir, LONG, "class \"a\" of D/train had 6 pictures, has 5 now");
  copy (dir, "more/7.png", "D/train/a/3.png");
  refuse_resume (dir, LONG, "class \"a\" of D/train: some of its 6 pictures are not those");
  move (dir, "kept.png", "D/train/a/3.png");
  move (dir, "D/train/b/2.png", "D/train/b/9.png"); /* another order is another training */
  refuse_resume (dir, LONG, "class \"b\" of D/train: some of its 6 pictures are not those");
  move (dir, "D/train/b/9.png", "D/train/b/2.png");
  copy (dir, "more/7.png", "D/validate/b/77.png");
  refuse_resume (dir, LONG, "class \"b\" of D/validate had 6 pictures, has 7 now");
  move (dir, "D/validate/b/77.png", "more/77.png");
  move (dir, "D/validate", "V");
  refuse_resume (dir, LONG, "validation pictures were given, are not given now");
  move (dir, "V", "D/validate");

  /* harmless: said */
  move (dir, "D", "E");
  move (dir, "E/train/b/2.png", "E/train/b/2x.png");
  text = start_and_stop (dir,
      "train r.ini --data E --device cpu -t 1 --set schedule.epochs=900000 -o m.h5 --resume");
  g_assert_nonnull (strstr (text, "the training pictures are read from "));
  g_assert_nonnull (strstr (text, "/E/train now, before from "));
  g_assert_nonnull (strstr (text, "some training pictures have other names"));
  remove_dir (dir);
}

static void
test_unlabelled (void)
{
  g_autofree char *dir = make_run ();

  write_text (dir, "l.csv", "file,label\n");
  for (guint i = 0; i < 4; i++) {
    g_autofree char *name = g_strdup_printf ("D/unlabelled/%u.png", i);

    g_free (make_picture (dir, name, 6, 6, 0x2050c0, i + 300));
  }
  g_free (start_and_stop (dir, LONG "--set unlabelled.batch_size=2"));
  copy (dir, "more/7.png", "D/unlabelled/2.png");
  refuse_resume (
      dir, LONG "--set unlabelled.batch_size=2", "D/unlabelled: its pictures are others");
  remove_dir (dir);
}

/* Weights that a run begins with: others are refused, none is said. */
static void
test_init (void)
{
  g_autofree char *dir = make_run (), *text = NULL, *gone = NULL;

  g_free (run_command (dir, 0, TRAIN "-q -o a.h5"));
  g_free (run_command (dir, 0, TRAIN "-q -o b.h5 --set training.seed=8"));
  g_free (start_and_stop (dir, LONG "--init a.h5"));
  refuse_resume (dir, LONG "--init b.h5", "b.h5: not the weights that it began with");
  text = start_and_stop (dir, LONG "--resume");
  g_assert_nonnull (strstr (text, "goes on with the checkpoint's weights"));
  move (dir, "a.h5", "c.h5");
  gone = start_and_stop (dir, LONG "--init a.h5 --resume");
  g_assert_nonnull (strstr (gone, "a.h5 cannot be read, and is not needed"));
  g_free (start_and_stop (dir, LONG "--init c.h5 --resume"));
  refuse_resume (dir, LONG "--init b.h5", "b.h5: not the weights that it began with");
  remove_dir (dir);
}

/* the same file with one attribute of ours changed or, NULL, taken away */
static void
edit_checkpoint (const char *dir, const char *name, const char *value)
{
  g_autofree char *path = g_build_filename (dir, "m.checkpoint.h5", NULL);
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_load (path, &error);
  NnOptimizer *optimizer;

  g_assert_no_error (error);
  optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
  optimizer->ema = nn_ema_new (model, 0.5, &error);
  nn_optimizer_load (optimizer, model, path, &error);
  g_assert_no_error (error);
  if (value)
    g_hash_table_replace (model->extra, g_strdup (name), g_strdup (value));
  else
    g_hash_table_remove (model->extra, name);
  nn_model_save (model, path, optimizer, "binary_crossentropy", &error);
  g_assert_no_error (error);
  nn_optimizer_free (optimizer);
}

/* Places that the run does not have: an error at once. */
static void
test_places (void)
{
  static const char *const places[] = { "0 900000 0", "0 3 4", "0 3 4000000000", "2 0 0", "1 0 1",
    "1 1 0", "4294967295 0 0" };
  g_autofree char *dir = make_run ();

  g_free (start_and_stop (dir, LONG));
  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *place = g_strconcat (places[i], " 0x0p+0 0 0 0 0", NULL);

    edit_checkpoint (dir, "classify_position", place);
    refuse_resume (dir, LONG, "stands at a place that the run does not have");
  }
  edit_checkpoint (dir, "classify_position", "0 1 0 nan 0 0 0 0");
  refuse_resume (dir, LONG, "stands at a place that the run does not have");
  edit_checkpoint (dir, "classify_position", "0 1");
  refuse_resume (dir, LONG, "its attribute classify_position is damaged");
  edit_checkpoint (dir, "classify_circumstances", NULL);
  refuse_resume (dir, LONG, "made by an older version of classify");
  expect_message (dir, 2, LONG, "m.checkpoint.h5 is there, but cannot be gone on from");
  remove_dir (dir);
}

/* The best epoch's weights lie in a file of their own: missed at the start, not at the end. */
static void
test_best (void)
{
  g_autofree char *dir = make_run ();

  g_free (start_and_stop (dir, LONG));
  move (dir, "m.best.h5", "kept.h5");
  refuse_resume (dir, LONG, "m.best.h5: should hold the weights of the best epoch");
  move (dir, "kept.h5", "m.best.h5");
  g_free (start_and_stop (dir, LONG "--resume"));
  remove_dir (dir);
}

/* Nothing is lost that was not asked for. */
static void
test_start (void)
{
  g_autofree char *dir = make_run (), *text = NULL, *link_path = NULL;
  gsize n, m;
  g_autofree char *before = NULL, *after = NULL;

  expect_message (dir, 2, LONG "--resume", "m.checkpoint.h5: no such file: there is nothing to "
                                           "resume; start without --resume");
  g_free (start_and_stop (dir, LONG "-l log.csv"));
  before = read_text (dir, "m.checkpoint.h5", &n);
  expect_message (dir, 2, TRAIN "-o m.h5",
      "is there: --resume goes on from it, --overwrite starts anew");
  expect_message (dir, 2, TRAIN "-o other.h5 -l log.csv",
      "log.csv: is there already: choose another name, or replace it with --overwrite");
  expect_message (dir, 1, TRAIN "-o m.h5 --overwrite --resume", "choose one");
  after = read_text (dir, "m.checkpoint.h5", &m);
  g_assert_cmpmem (before, n, after, m);

  link_path = g_build_filename (dir, "link.csv", NULL);
  g_assert_cmpint (symlink ("log.csv", link_path), ==, 0);
  g_free (run_command (dir, 0, TRAIN "-o m.h5 -l link.csv --overwrite"));
  g_assert_true (g_file_test (link_path, G_FILE_TEST_IS_SYMLINK));
  text = read_text (dir, "log.csv", NULL);
  g_assert_true (g_str_has_prefix (text, "epoch,"));
  g_assert_false (is_there (dir, "m.checkpoint.h5"));
  g_assert_false (is_there (dir, "m.best.h5"));
  g_assert_false (is_there (dir, ".m.checkpoint.h5.lock"));
  expect_message (dir, 2, TRAIN "-o m.h5", "m.h5: is there already");
  expect_message (dir, 2, TRAIN "-o m.h5 --resume",
      "m.h5: is finished, there is nothing to resume; to train on: --init m.h5");
  copy (dir, "m.h5", "n.best.h5"); /* a model of that name, of another run */
  expect_message (dir, 2, TRAIN "-o n.h5", "n.best.h5: is there already");
  remove_dir (dir);
}

/* Started anew over a checkpoint, killed at once: the old one is not gone on from with the new
 * one's best weights. */
static void
test_overwrite (void)
{
  static const int kill_it[] = { SIGKILL, 0 };
  g_autofree char *dir = make_run (), *name = NULL;
  GError *error = NULL;
  Checkpoint checkpoint = { 0 };
  int status;

  g_free (start_and_stop (dir, LONG));
  g_free (start_and_stop (dir, LONG "--resume"));
  g_free (stop_command (dir, LONG "--set training.seed=4 --overwrite", NULL, kill_it, &status));
  name = g_build_filename (dir, "m.checkpoint.h5", NULL);
  if (is_there (dir, "m.checkpoint.h5")) {
    checkpoint_load (&checkpoint, name, &error);
    g_assert_no_error (error);
    g_assert_nonnull (strstr (checkpoint.facts.deciding, "setting.training.seed=4\n"));
  }
  checkpoint_clear (&checkpoint);
  remove_dir (dir);
}

/* Killed between the last checkpoint and the log: the line is not lost. */
static void
test_log (void)
{
  g_autofree char *dir = make_run (), *log = NULL, *again = NULL;

  g_free (start_and_stop (dir, LONG "-l log.csv"));
  log = read_text (dir, "log.csv", NULL);
  write_text (dir, "log.csv", "epoch,stage\n");
  edit_checkpoint (dir, "classify_position", "1 0 0 0x0p+0 0 0 0 0");
  g_free (run_command (dir, 0, LONG "-l log.csv --resume"));
  again = read_text (dir, "log.csv", NULL);
  g_assert_cmpstr (again, ==, log);
  remove_dir (dir);
}

static void
ignore_hangup (gpointer data)
{
  signal (SIGHUP, SIG_IGN);
}

static void
test_signals (void)
{
  static const int hangup[] = { SIGHUP, 0 }, both[] = { SIGHUP, SIGTERM, 0 };
  g_autofree char *dir = make_run (), *saved = NULL, *ignored = NULL;
  int status;

  saved = stop_command (dir, LONG, NULL, hangup, &status);
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 130);
  g_assert_nonnull (strstr (saved, "interrupted by SIGHUP in epoch "));
  /* as under nohup */
  ignored = stop_command (dir, LONG "--resume", ignore_hangup, both, &status);
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 130);
  g_assert_nonnull (strstr (ignored, "interrupted by SIGTERM in epoch "));
  remove_dir (dir);
}

static void
on_own_signal (int number)
{
}

/* A program that trains has its own handlers back afterwards. */
static void
test_handlers (void)
{
  g_autofree char *dir = make_run (), *recipe_path = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *data = g_build_filename (dir, "D", NULL);
  g_autofree char *output = g_build_filename (dir, "h.h5", NULL);
  GError *error = NULL;
  g_autoptr (Recipe) recipe = recipe_load (recipe_path, data, &error);
  const TrainOptions options
      = { .output = output, .device = "cpu", .threads = 1, .quiet = TRUE };
  struct sigaction found;

  g_assert_no_error (error);
  signal (SIGTERM, on_own_signal);
  signal (SIGHUP, SIG_IGN);
  g_assert_cmpint (train_run (recipe, &options, &error), ==, TRAIN_DONE);
  g_assert_no_error (error);
  sigaction (SIGTERM, NULL, &found);
  g_assert_true (found.sa_handler == on_own_signal);
  sigaction (SIGHUP, NULL, &found);
  g_assert_true (found.sa_handler == SIG_IGN);
  sigaction (SIGINT, NULL, &found);
  g_assert_true (found.sa_handler == SIG_DFL);
  signal (SIGTERM, SIG_DFL);
  signal (SIGHUP, SIG_DFL);
  remove_dir (dir);
}

/* Two runs into one output, or one log. */
static void
test_two_runs (void)
{
  g_autofree char *dir = make_run ();
  g_autoptr (GPtrArray) words = command_words (LONG "-l log.csv");
  GError *error = NULL;
  GPid pid;
  int status;

  g_spawn_async (dir, (char **) words->pdata, NULL,
      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid, &error);
  g_assert_no_error (error);
  while (!is_there (dir, "log.csv"))
    g_usleep (10000);
  expect_message (dir, 2, LONG "--resume", "m.checkpoint.h5: another process is writing it");
  expect_message (dir, 2, TRAIN "-o n.h5 -l log.csv --overwrite",
      "log.csv: another process is writing it");
  kill (pid, SIGKILL);
  waitpid (pid, &status, 0);
  g_assert_true (WIFSIGNALED (status));
  g_free (start_and_stop (dir, LONG "-l log.csv --resume"));
  g_assert_false (is_there (dir, ".m.checkpoint.h5.lock"));
  remove_dir (dir);
}

/* --resume of folds: those that are finished stay where they are of just this run. */
static void
test_folds (void)
{
  g_autofree char *dir = make_run ();
  gsize n, m;
  g_autofree char *before = NULL, *after = NULL;

  g_free (run_command (dir, 0, TRAIN "-q -o m.h5 --folds 3"));
  before = read_text (dir, "m-fold2.h5", &n);
  expect_message (dir, 2, TRAIN "-q -o m.h5 --folds 3", "m-fold1.h5: is there already");
  expect_message (dir, 2, TRAIN "-q -o m.h5 --folds 3 --resume --set training.batch_size=5",
      "m-fold1.h5: belongs to a run with other settings: training.batch_size was 4, is 5 now");
  expect_message (dir, 2, TRAIN "-q -o m.h5 --folds 2 --resume", "fold was 1 of 3, is 1 of 2 now");
  move (dir, "D/train/a/3.png", "kept.png");
  expect_message (dir, 2, TRAIN "-q -o m.h5 --folds 3 --resume", "class \"a\" of D/");
  move (dir, "kept.png", "D/train/a/3.png");
  expect_message (dir, 0, TRAIN "-q -o m.h5 --folds 3 --resume", "3 folds: mean ");
  after = read_text (dir, "m-fold2.h5", &m);
  g_assert_cmpmem (before, n, after, m);
  remove_dir (dir);
}

static void
ignore_log (NnLogLevel level, const char *message, gpointer user_data)
{
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  nn_log_set_sink (ignore_log, NULL); /* of how few pictures there are */
  g_test_add_func ("/resume/handlers", test_handlers);
  if (!g_getenv ("CLASSIFY_EXE"))
    return g_test_run ();
  g_test_add_func ("/resume/settings", test_settings);
  g_test_add_func ("/resume/pictures", test_pictures);
  g_test_add_func ("/resume/unlabelled", test_unlabelled);
  g_test_add_func ("/resume/init", test_init);
  g_test_add_func ("/resume/places", test_places);
  g_test_add_func ("/resume/best", test_best);
  g_test_add_func ("/resume/start", test_start);
  g_test_add_func ("/resume/overwrite", test_overwrite);
  g_test_add_func ("/resume/log", test_log);
  g_test_add_func ("/resume/signals", test_signals);
  g_test_add_func ("/resume/two-runs", test_two_runs);
  g_test_add_func ("/resume/folds", test_folds);
  return g_test_run ();
}
