/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The precision of training, from recipe and command line: mixed precision on the stand-ins of
 * fake-cuda/, with averaged weights, changing sizes and pictures without labels; killed and
 * gone on with to the same file; refused by the CPU. */

#include <math.h>
#include <signal.h>
#include <string.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/optimizer.h"
#include "tests/child.h"
#include "tests/pictures.h"

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": ["
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", \"filters\": 6, "
      "\"kernel_size\": [3, 3], \"padding\": \"same\", \"activation\": \"relu\", "
      "\"batch_input_shape\": [null, 12, 12, 3]}}, "
      "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"b\", \"axis\": -1, "
      "\"momentum\": 0.8}}, "
      "{\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"p\"}}, "
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 1, "
      "\"activation\": \"sigmoid\"}}]}";

static const char recipe[]
    = "[network]\nfile=net.json\n[data]\npicture_size=14\n"
      "[optimizer]\nname=adamw\n[schedule]\nepochs=2;3\nlearning_rate=3e-2\nsize=8;12\n"
      "[training]\nbatch_size=6\nema=0.7\n"
      "[unlabelled]\nbatch_size=4\nthreshold=0.6\nstart_epoch=1\nramp_epochs=1\n"
      "[strong_augmentation]\nhorizontal_flip=true\n";

/* so long that it cannot end while its output is not read (child.h) */
#define LONGER "schedule.epochs=2;9"

static char *dir;

static void
start (Child *child, const char *output, const char *const *more)
{
  g_autofree char *path = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *out = g_build_filename (dir, output, NULL);
  g_autofree char *log = g_strconcat (out, ".csv", NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  const char *const first[] = { g_getenv ("CLASSIFY_EXE"), "train", path, "--data", dir, "-o", out,
    "-l", log };

  for (guint i = 0; i < G_N_ELEMENTS (first); i++)
    g_ptr_array_add (argv, (char *) first[i]);
  /* a test that runs with several settings writes onto what it wrote before */
  if (!g_strv_contains (more, "--resume"))
    g_ptr_array_add (argv, (char *) "--overwrite");
  for (; *more; more++)
    g_ptr_array_add (argv, (char *) *more);
  g_ptr_array_add (argv, NULL);
  child_start (child, NULL, (const char *const *) argv->pdata, NULL);
}

static int
run (const char *output, const char *const *more, char **said)
{
  Child child;
  int status;

  start (&child, output, more);
  child_end (&child, 0, FALSE, &status, said);
  return status;
}

/* Starts a training (@resume: with --resume) and ends it with a signal, in the midst of it or
 * at any time. The exit status, or -1 where the signal has ended it; counts those,
 * and those that went on with what a training before them had done. */
static int
start_and_kill (const char *output, const char *const *more, gboolean resume, guint attempt,
    guint *n_kills, guint *n_resumed)
{
  int signal = attempt % 2 ? SIGKILL : SIGINT, status;
  Child child;

  start (&child, output, more);
  if (attempt % 4 < 2) {
    g_autofree char *line = child_wait_line (&child, "epoch ");

    *n_resumed += resume && line && !g_str_has_prefix (line, "epoch 1/");
  } else {
    g_usleep (20000 + attempt * 23000 % 170000);
  }
  *n_kills += child_end (&child, signal, FALSE, &status, NULL);
  return status;
}

static char *
read_file (const char *name, gsize *size)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, size, NULL));
  return text;
}

/* column @column of the last line of the log beside @output */
static double
last_of (const char *output, guint column)
{
  g_autofree char *name = g_strconcat (output, ".csv", NULL), *text = read_file (name, NULL);
  g_auto (GStrv) lines = g_strsplit (g_strchomp (text), "\n", -1);
  g_auto (GStrv) fields = g_strsplit (lines[g_strv_length (lines) - 1], ",", -1);

  return g_ascii_strtod (fields[column], NULL);
}

/* --- tests ------------------ */

/* every precision learns what fp32 on the CPU does */
static void
test_learns (void)
{
  static const char *const precisions[] = { "fp32", "tf32", "bf16", "fp16" };
  const char *const on_cpu[] = { "--device", "cpu", NULL };
  double loss, accuracy;

  g_assert_cmpint (run ("cpu.h5", on_cpu, NULL), ==, 0);
  loss = last_of ("cpu.h5", 5);
  accuracy = last_of ("cpu.h5", 6);
  g_test_message ("cpu: val_loss %g, val_accuracy %g", loss, accuracy);
  g_assert_cmpfloat (accuracy, >, 0.9);
  g_assert_cmpfloat (last_of ("cpu.h5", 7), >, 0.2); /* learnt from unlabelled pictures too */
  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    const char *const on_cuda[] = { "--device", "cuda", "-p", precisions[i], NULL };
    g_autofree char *output = g_strconcat (precisions[i], ".h5", NULL);

    g_assert_cmpint (run (output, on_cuda, NULL), ==, 0);
    g_test_message ("%s: val_loss %g, val_accuracy %g", precisions[i], last_of (output, 5),
        last_of (output, 6));
    g_assert_cmpfloat (fabs (last_of (output, 5) - loss), <=, i < 2 ? 0.01 : 0.05);
    g_assert_cmpfloat (last_of (output, 6), >, 0.9);
  }
}

/* killed where it stands, again and again, in either mixed precision */
static void
test_resume (gconstpointer precision)
{
  g_autofree char *setting = g_strdup_printf ("training.precision=%s", (const char *) precision);
  const char *const whole[] = { "--device", "cuda", "--set", setting, "--set", LONGER, NULL };
  const char *const resumed[] = { "--device", "cuda", "--set", setting, "--set", LONGER, "--resume",
    NULL };
  const char *const other[] = { "--device", "cuda", "--set", setting, "--set", LONGER, "--resume",
    "-p", "fp32", NULL };
  g_autofree char *checkpoint = g_build_filename (dir, "b.checkpoint.h5", NULL);
  g_autofree char *first = NULL, *second = NULL, *said = NULL;
  gsize n_first, n_second;
  guint n_kills = 0, n_resumed = 0;
  int status = -1;

  g_assert_cmpint (run ("a.h5", whole, NULL), ==, 0);
  for (guint attempt = 0; attempt < 60 && status != 0; attempt++) {
    const gboolean resume = g_file_test (checkpoint, G_FILE_TEST_EXISTS);

    if (n_kills < 8)
      status = start_and_kill ("b.h5", resume ? resumed : whole, resume, attempt, &n_kills,
          &n_resumed);
    else
      status = run ("b.h5", resume ? resumed : whole, NULL);
    /* a checkpoint of one precision is not gone on with in another */
    if (g_file_test (checkpoint, G_FILE_TEST_EXISTS) && !said) {
      g_assert_cmpint (run ("b.h5", other, &said), ==, 2);
      g_assert_nonnull (strstr (said, "other settings"));
    }
  }
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpuint (n_kills, >, 0);
  g_assert_cmpuint (n_resumed, >, 0);
  g_assert_nonnull (said);
  first = read_file ("a.h5", &n_first);
  second = read_file ("b.h5", &n_second);
  g_assert_cmpmem (first, n_first, second, n_second);
}

/* The device augments the pictures, with @unlabelled ones beside them or without, or, where they
 * do not fit, the CPU, or the device after it was killed some times: to the same weights. */
static void
test_augmentation (gconstpointer unlabelled)
{
  static const char alone[]
      = "[network]\nfile=net.json\n[data]\npicture_size=400\n"
        "[augmentation]\nrotation_range=40\nwidth_shift_range=0.2\nzoom_range=0.2\n"
        "horizontal_flip=true\nvertical_flip=true\nfill_mode=reflect\ninterpolation_order=1\n"
        "random_resized_crop=0.4;1\nchannel_shift_range=20\nbrightness=0.3\nsaturation=0.4\n"
        "random_erasing=0.5\n"
        "[optimizer]\nname=adam\n[schedule]\nepochs=2;9\nlearning_rate=1e-2\nsize=8;12\n"
        "[training]\nbatch_size=7\nema=0.7\n[mixing]\nmixup=0.4\ncutmix=0.7\n";
  static const char beside[] = "[unlabelled]\nbatch_size=5\nthreshold=0.5\nstart_epoch=1\n"
                               "[strong_augmentation]\nrotation_range=90\nfill_mode=constant\n"
                               "cval=120\nbrightness=0.4\nrandom_erasing=1\n";
  g_autofree char *text = g_strconcat (alone, unlabelled ? beside : "", NULL);
  const char *const fp32[] = { "--device", "cuda", "-p", "fp32", NULL };
  const char *const resumed[] = { "--device", "cuda", "-p", "fp32", "--resume", NULL };
  g_autofree char *path = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *checkpoint = g_build_filename (dir, "again.checkpoint.h5", NULL);
  g_autofree char *on_device = NULL, *on_host = NULL, *first = NULL, *second = NULL, *third = NULL;
  gsize n_first, n_second, n_third;
  guint n_kills = 0, n_resumed = 0;
  int status = -1;

  g_file_set_contents (path, text, -1, NULL);
  g_assert_cmpint (run ("on-device.h5", fp32, &on_device), ==, 0);
  g_assert_null (strstr (on_device, "the CPU augments"));
  if (unlabelled)
    g_assert_cmpfloat (last_of ("on-device.h5", 7), >, 0);
  /* 24 pictures of 400x400 take 11.5 MB, everything else less than that */
  g_setenv ("FAKE_CUDA_MEMORY", "5000000", TRUE);
  g_assert_cmpint (run ("on-host.h5", fp32, &on_host), ==, 0);
  g_unsetenv ("FAKE_CUDA_MEMORY");
  g_assert_nonnull (strstr (on_host, "the CPU augments the pictures: "));
  first = read_file ("on-device.h5", &n_first);
  second = read_file ("on-host.h5", &n_second);
  g_assert_cmpmem (first, n_first, second, n_second);
  for (guint attempt = 0; attempt < 20 && status != 0; attempt++) {
    const gboolean resume = g_file_test (checkpoint, G_FILE_TEST_EXISTS);

    if (attempt < 6)
      status = start_and_kill ("again.h5", resume ? resumed : fp32, resume, attempt, &n_kills,
          &n_resumed);
    else
      status = run ("again.h5", resume ? resumed : fp32, NULL);
  }
  g_assert_cmpuint (n_kills, >, 0);
  g_assert_cmpuint (n_resumed, >, 0);
  g_assert_cmpint (status, ==, 0);
  third = read_file ("again.h5", &n_third);
  g_assert_cmpmem (first, n_first, third, n_third);
  g_file_set_contents (path, recipe, -1, NULL);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *args[6];
    int status;
    const char *words;
  } cases[] = {
    { { "--device", "cpu", "-p", "bf16" }, 2, "trains in fp32 only, not in bf16" },
    { { "--device", "cpu", "--precision", "fp16" }, 2, "trains in fp32 only, not in fp16" },
    { { "--device", "cpu", "--set", "training.precision=tf32" }, 2, "not in tf32" },
    { { "-p", "half" }, 1, "--precision half: expected auto, fp32, tf32, bf16 or fp16" },
    { { "--set", "training.precision=int8" }, 2,
        "[training] precision=int8: expected one of auto, fp32, tf32, fp16, bf16" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *said = NULL;

    g_assert_cmpint (run ("refused.h5", cases[i].args, &said), ==, cases[i].status);
    g_assert_nonnull (strstr (said, cases[i].words));
  }
  g_setenv ("FAKE_CUDA_ARCH", "75", TRUE);
  {
    const char *const args[] = { "--device", "cuda", "-p", "bf16", NULL };
    g_autofree char *said = NULL;

    g_assert_cmpint (run ("refused.h5", args, &said), ==, 2);
    g_assert_nonnull (strstr (said, "has no bf16"));
  }
  g_unsetenv ("FAKE_CUDA_ARCH");
}

/* weights that no loss scale can help end the training, with words */
static void
test_hopeless (void)
{
  g_autofree char *path = g_build_filename (dir, "huge.h5", NULL);
  const char *const args[] = { "--device", "cuda", "-p", "fp16", "--init", path, "--set",
    "schedule.epochs=20;20", NULL };
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, &error);
  g_autofree char *said = NULL;

  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  g_assert_no_error (error);
  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      for (gsize i = 0; i < model->layers[l].params[p].n_values; i++)
        model->layers[l].params[p].data[i] = 60000; /* a half, whose products are infinite */
  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (run ("hopeless.h5", args, &said), ==, 3);
  g_assert_nonnull (strstr (said, "gradients overflowed in 100 steps in a row"));
  g_assert_nonnull (strstr (said, "train with precision=bf16 or tf32"));
}

/* a checkpoint's loss scale: kept as it is, absent where there is none, refused where it cannot
 * be one; what was there before stays then */
static void
test_scale_kept (void)
{
  static const struct
  {
    double scale;
    guint good;
    const char *words; /* NULL: as it should be */
  } cases[] = {
    { 0, 0, NULL },
    { 65536, 1999, NULL },
    { 1 / 65536., 3, NULL },
    { 1e12, 0, "should be a scale and a number of steps, found 1e+12 and 0" },
    { INFINITY, 0, "found inf" },
    { 1024, 5000000, "found 1024 and 5e+06" },
  };
  g_autofree char *path = g_build_filename (dir, "scale.h5", NULL);
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (NnOptimizer) saved = nn_optimizer_new (NN_OPTIMIZER_SGD, model, &error);
    g_autoptr (NnOptimizer) loaded = nn_optimizer_new (NN_OPTIMIZER_SGD, model, &error);
    const gboolean good = !cases[i].words;

    saved->iterations = 7;
    saved->loss_scale = cases[i].scale;
    saved->loss_scale_good = cases[i].good;
    loaded->loss_scale = 5;
    nn_model_save (model, path, saved, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpint (nn_optimizer_load (loaded, model, path, &error), ==, good);
    g_assert_cmpfloat (loaded->loss_scale, ==, good ? cases[i].scale : 5);
    g_assert_cmpuint (loaded->loss_scale_good, ==, good ? cases[i].good : 0);
    g_assert_cmpint (loaded->iterations, ==, good ? 7 : 0);
    if (!good) {
      g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
      g_assert_nonnull (strstr (error->message, cases[i].words));
    }
    g_clear_error (&error);
  }
}

int
main (int argc, char **argv)
{
  g_autofree char *net = NULL, *ini = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  dir = make_dir ();
  net = g_build_filename (dir, "net.json", NULL);
  ini = g_build_filename (dir, "r.ini", NULL);
  g_file_set_contents (net, network, -1, NULL);
  g_file_set_contents (ini, recipe, -1, NULL);
  for (guint i = 0; i < 24; i++) {
    static const guint32 colors[] = { 0x30a040, 0x9040b0 };
    g_autofree char *train = g_strdup_printf ("train/%c/%u.png", 'a' + i % 2, i);
    g_autofree char *validate = g_strdup_printf ("validate/%c/%u.png", 'a' + i % 2, i);
    g_autofree char *unlabelled = g_strdup_printf ("unlabelled/%u.png", i);

    g_free (make_picture (dir, train, 16, 14, colors[i % 2], i));
    g_free (make_picture (dir, validate, 14, 16, colors[i % 2], i + 100));
    g_free (make_picture (dir, unlabelled, 14, 14, colors[i % 2], i + 200));
  }
  g_test_add_func ("/precision/learns", test_learns);
  g_test_add_data_func ("/precision/resume/fp16", "fp16", test_resume);
  g_test_add_data_func ("/precision/resume/bf16", "bf16", test_resume);
  g_test_add_data_func ("/precision/augmentation/alone", NULL, test_augmentation);
  g_test_add_data_func ("/precision/augmentation/unlabelled", "yes", test_augmentation);
  g_test_add_func ("/precision/refused", test_refused);
  g_test_add_func ("/precision/hopeless", test_hopeless);
  g_test_add_func ("/precision/scale-kept", test_scale_kept);
  status = g_test_run ();
  remove_dir (dir);
  g_free (dir);
  return status;
}
