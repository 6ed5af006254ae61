/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the CUDA back end keeps on disk of cuDNN's engines and cuBLASLt's algorithms, on the
 * stand-ins of fake-cuda/, which count how many times anything is measured and whose engine 3
 * is the fastest, and of the algorithms 14; 13 and 10 follow. Our own kernel is faster, where
 * rows or channels are few, unless $FAKE_CUDA_SLOW_KERNELS is set. */

#include <dlfcn.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/keras-file.h"

#define BATCH 3
#define MANY 12

static const char small_network[]
    = "{\"class_name\": \"Sequential\", \"config\": ["
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c1\", \"filters\": 8, "
      "\"kernel_size\": [3, 3], \"activation\": \"relu\", "
      "\"batch_input_shape\": [null, 9, 8, 3]}}, "
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c2\", \"filters\": 4, "
      "\"kernel_size\": [2, 2]}}, "
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 1, "
      "\"activation\": \"sigmoid\"}}]}";

/* of 2160 values, two of what a block's threads read at once */
static const char long_network[]
    = "{\"class_name\": \"Sequential\", \"config\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", "
      "\"batch_input_shape\": [null, 9, 8, 30]}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"l1\", \"units\": 5, "
      "\"activation\": \"relu\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"l2\", \"units\": 1, "
      "\"activation\": \"sigmoid\"}}]}";

/* what one pass does behind the first convolution, and cuDNN itself behind the second */
static const char pooled_network[]
    = "{\"class_name\": \"Sequential\", \"config\": ["
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"p1\", \"filters\": 8, "
      "\"kernel_size\": [3, 3], \"activation\": \"relu\", "
      "\"batch_input_shape\": [null, 23, 21, 3]}}, "
      "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"n\", \"axis\": 1}}, "
      "{\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"m\"}}, "
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"p2\", \"filters\": 8, "
      "\"kernel_size\": [3, 3], \"activation\": \"relu\"}}, "
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 1, "
      "\"activation\": \"sigmoid\"}}]}";

static const char *network = small_network;
static int (*count_measured) (void);
static size_t (*count_bytes) (void);

/* --- helpers ------------------ */

/* A folder of its own for each test, named to the back end. */
static char *
new_folder (void)
{
  char *folder = g_dir_make_tmp ("classify-choices-XXXXXX", NULL);

  g_assert_nonnull (folder);
  g_setenv ("CLASSIFY_CUDA_CACHE", folder, TRUE);
  return folder;
}

static void
remove_folder (char *folder)
{
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", folder);

  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (folder);
}

/* the only file of @folder, or NULL */
static char *
only_file (const char *folder)
{
  GDir *dir = g_dir_open (folder, 0, NULL);
  const char *name = dir ? g_dir_read_name (dir) : NULL;
  char *path = name ? g_build_filename (folder, name, NULL) : NULL;

  if (name)
    g_assert_null (g_dir_read_name (dir));
  if (dir)
    g_dir_close (dir);
  return path;
}

static char *
read_text (const char *path)
{
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static NnBackend *
open_backend (void)
{
  GError *error = NULL;
  NnBackend *backend = nn_backend_open ("cuda", &error);

  g_assert_no_error (error);
  return backend;
}

/* How many times something was measured to make a plan. @sum: (out)(optional): of its outputs. */
static int
count_of (NnBackend *backend, NnPrecision precision, guint batch, gboolean training, double *sum,
    char **description)
{
  const int before = count_measured ();
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (network, -1, NULL, &error);
  const NnPlanOptions options
      = { .precision = precision, .batch = batch, .training = training };
  NnPlan *plan;
  const float *outputs;
  int after;

  g_assert_no_error (error);
  nn_model_init_params (model, 3, &error);
  g_assert_no_error (error);
  plan = nn_plan_new (backend, model, &options, &error);
  g_assert_no_error (error);
  after = count_measured ();
  for (gsize i = 0; i < batch * nn_shape_count (nn_model_get_input_shape (model)); i++)
    nn_plan_get_input (plan)[i] = (float) (i % 17) / 17;
  outputs = nn_plan_run (plan, batch, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < batch && sum; i++)
    *sum += outputs[i];
  if (description)
    *description = nn_plan_describe (plan);
  nn_plan_free (plan);
  nn_model_unref (model);
  g_assert_cmpint (count_measured (), ==, after); /* nothing when frames come */
  return after - before;
}

/* the same with a back end opened for it: as a new process would */
static int
start (NnPrecision precision, guint batch)
{
  NnBackend *backend = open_backend ();
  const int n = count_of (backend, precision, batch, FALSE, NULL, NULL);

  nn_backend_unref (backend);
  return n;
}

/* --- tests ------------------ */

static void
test_second_start (void)
{
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  g_autofree char *first = NULL, *second = NULL, *path = NULL, *text = NULL;
  double sums[2] = { 0 };

  g_assert_cmpint (count_of (backend, NN_PRECISION_TF32, BATCH, FALSE, &sums[0], &first), >, 0);
  nn_backend_unref (backend);
  path = only_file (folder);
  text = read_text (path);
  g_test_message ("%s: %s", path, text);
  g_assert_nonnull (strstr (first, "cuDNN engine 3, choice 2 of 2 measured"));
  g_assert_nonnull (strstr (text, "forward-tf32-bias-relu-n3-9x8x3-7x6x8-k3x3-s1x1-d1x1-p0x0="
                                  "0;3;3;"));
  backend = open_backend ();
  g_assert_cmpint (count_of (backend, NN_PRECISION_TF32, BATCH, FALSE, &sums[1], &second), ==, 0);
  /* nor by another plan of the same back end */
  g_assert_cmpint (count_of (backend, NN_PRECISION_TF32, BATCH, FALSE, NULL, NULL), ==, 0);
  nn_backend_unref (backend);
  g_assert_nonnull (strstr (second, "cuDNN engine 3, the fastest when it was measured"));
  g_assert_cmpfloat (sums[0], ==, sums[1]);
  remove_folder (folder);
}

/* what the time may depend on is part of the key; fp32 takes the heuristics' order */
static void
test_keys (void)
{
  char *folder = new_folder ();
  NnBackend *backend;

  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH + 2), >, 0);
  g_assert_cmpint (start (NN_PRECISION_FP16, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_BF16, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_FP32, BATCH), ==, 0);
  backend = open_backend ();
  g_assert_cmpint (count_of (backend, NN_PRECISION_TF32, BATCH, TRUE, NULL, NULL), >, 0);
  nn_backend_unref (backend);
  g_setenv ("FAKE_CUDA_ARCH", "80", TRUE);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), ==, 0);
  g_unsetenv ("FAKE_CUDA_ARCH");
  /* and all of them are kept beside each other */
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), ==, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH + 2), ==, 0);
  g_assert_cmpint (start (NN_PRECISION_FP16, BATCH), ==, 0);
  g_assert_cmpint (start (NN_PRECISION_BF16, BATCH), ==, 0);
  backend = open_backend ();
  g_assert_cmpint (count_of (backend, NN_PRECISION_TF32, BATCH, TRUE, NULL, NULL), ==, 0);
  nn_backend_unref (backend);
  remove_folder (folder);
}

/* two at once: neither's choices are lost */
static void
test_two_at_once (void)
{
  char *folder = new_folder ();
  NnBackend *backends[2] = { open_backend (), open_backend () };

  g_assert_cmpint (count_of (backends[0], NN_PRECISION_FP16, BATCH, FALSE, NULL, NULL), >, 0);
  g_assert_cmpint (count_of (backends[1], NN_PRECISION_TF32, BATCH, FALSE, NULL, NULL), >, 0);
  nn_backend_unref (backends[0]);
  nn_backend_unref (backends[1]);
  g_assert_cmpint (start (NN_PRECISION_FP16, BATCH), ==, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), ==, 0);
  remove_folder (folder);
}

/* The file of a start with @from made @to: measured again, and right from then on. */
static void
check_changed (guint batch, const char *from, const char *to)
{
  char *folder = new_folder ();
  g_autofree char *path = NULL, *text = NULL, *changed = NULL, *after = NULL;
  g_auto (GStrv) pieces = NULL;

  g_assert_cmpint (start (NN_PRECISION_TF32, batch), >, 0);
  path = only_file (folder);
  text = read_text (path);
  pieces = g_strsplit (text, from, -1);
  g_assert_cmpuint (g_strv_length (pieces), >, 1);
  changed = g_strjoinv (to, pieces);
  g_assert_true (g_file_set_contents (path, changed, -1, NULL));
  g_assert_cmpint (start (NN_PRECISION_TF32, batch), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, batch), ==, 0);
  after = read_text (path);
  g_assert_null (strstr (after, to));
  remove_folder (folder);
}

static void
test_stale (void)
{
  /* measured with others */
  check_changed (BATCH, ", driver ", ", driver 9");
  check_changed (BATCH, ", cuDNN 9", ", cuDNN 8");
  check_changed (BATCH, ", cuBLAS 1", ", cuBLAS 2");
  check_changed (BATCH, ", format 2", ", format 1");
  check_changed (BATCH, "no device, only loops", "NVIDIA");
  /* another engine has this place now; there are not so many; no such heuristic; one that is
   * not allowed */
  check_changed (BATCH, "=0;3;3;", "=0;3;4;");
  check_changed (BATCH, "=0;3;3;", "=0;15;3;");
  check_changed (BATCH, "=0;3;3;", "=7;3;3;");
  check_changed (BATCH, "=0;3;3;", "=0;1;1;");
  check_changed (BATCH, "=0;3;3;", "=0;-3;3;");
  check_changed (BATCH, "=0;3;3;", "=0;4;");
  check_changed (BATCH, "=0;3;3;", "=what;is;this;");
  /* the same of algorithms */
  check_changed (MANY, "=0;3;14;", "=0;3;13;");
  check_changed (MANY, "=0;3;14;", "=0;9;14;");
  check_changed (MANY, "=0;3;14;", "=1;3;14;");
  check_changed (MANY, "=0;3;14;", "=0;1;11;");
  check_changed (MANY, "=0;3;14;", "=0;;");
  /* and of our own kernel */
  check_changed (BATCH, "=1;0;0;", "=1;0;1;");
  check_changed (BATCH, "=1;0;0;", "=1;1;0;");
  check_changed (BATCH, "=1;0;0;", "=2;0;0;");
}

/* A plan in a process of its own; how many times something was measured. */
static int
describe (NnPrecision precision, guint batch, gboolean training, char **description)
{
  NnBackend *backend = open_backend ();
  int n;

  g_clear_pointer (description, g_free);
  n = count_of (backend, precision, batch, training, NULL, description);
  nn_backend_unref (backend);
  g_test_message ("%s", *description);
  return n;
}

/* Dense layers: measured once, found again by place and number, one that fails passed over. */
static void
test_dense (void)
{
  char *folder = new_folder ();
  g_autofree char *words = NULL, *path = NULL, *text = NULL;

  g_assert_cmpint (describe (NN_PRECISION_TF32, MANY, FALSE, &words), >, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 14, choice 3 of 3 measured, 1000.0 us"));
  path = only_file (folder);
  text = read_text (path);
  g_assert_nonnull (strstr (text, "dense-forward-tf32-fp32-bias-n12-120-1=0;3;14;"));
  g_assert_cmpint (describe (NN_PRECISION_TF32, MANY, FALSE, &words), ==, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 14, the fastest when it was measured"));

  /* not there any more, nor ever again missed */
  g_setenv ("FAKE_CUDA_LACKS", "14", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_TF32, MANY, FALSE, &words), >, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 13, choice 2 of 2 measured"));
  g_assert_cmpint (describe (NN_PRECISION_TF32, MANY, FALSE, &words), ==, 0);
  g_unsetenv ("FAKE_CUDA_LACKS");

  /* listed, but it does not run */
  g_setenv ("FAKE_CUDA_REFUSES", "14", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_BF16, MANY, FALSE, &words), >, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 13, choice 2 of 3 measured"));
  g_unsetenv ("FAKE_CUDA_REFUSES");

  /* parts of a result of 16 bits are not rounded each */
  g_assert_cmpint (describe (NN_PRECISION_FP16, MANY, TRUE, &words), >, 0);
  g_assert_nonnull (strstr (words, "d forward: cuBLASLt algorithm 14, the fastest when"));
  g_assert_nonnull (strstr (words, "d data: cuBLASLt algorithm 13, choice 2 of 2 measured"));
  g_assert_nonnull (strstr (words, "d weights: cuBLASLt algorithm 14, choice 3 of 3 measured"));
  remove_folder (folder);
}

/* Our own kernel is measured among them, and taken where there is no algorithm. */
static void
test_few_rows (void)
{
  char *folder = new_folder ();
  g_autofree char *words = NULL, *path = NULL, *text = NULL;

  g_assert_cmpint (describe (NN_PRECISION_TF32, BATCH, FALSE, &words), >, 0);
  g_assert_nonnull (strstr (words, "d: kernel for few rows, parts: 1, choice 4 of 4 measured"));
  path = only_file (folder);
  text = read_text (path);
  g_assert_nonnull (strstr (text, "dense-forward-tf32-fp32-bias-n3-120-1=1;0;0;"));
  g_assert_cmpint (describe (NN_PRECISION_TF32, BATCH, FALSE, &words), ==, 0);
  g_assert_nonnull (strstr (words, "d: kernel for few rows, parts: 1, the fastest when"));
  g_setenv ("FAKE_CUDA_SLOW_KERNELS", "1", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_FP16, BATCH, FALSE, &words), >, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 14, choice 3 of 4 measured"));
  g_unsetenv ("FAKE_CUDA_SLOW_KERNELS");

  /* nothing is measured in fp32, which takes the first, or ours where there is none */
  g_assert_cmpint (describe (NN_PRECISION_FP32, MANY, FALSE, &words), ==, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 10: "));
  g_assert_cmpint (describe (NN_PRECISION_FP32, BATCH, FALSE, &words), ==, 0);
  g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm 10: "));
  g_setenv ("FAKE_CUDA_NO_ALGORITHM", "1", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_FP32, BATCH, FALSE, &words), ==, 0);
  g_assert_nonnull (strstr (words, "d: kernel for few rows, parts: 1: "));
  g_assert_cmpint (describe (NN_PRECISION_FP32, MANY, FALSE, &words), ==, 0);
  g_assert_nonnull (strstr (words, "d: plain loops: "));
  g_unsetenv ("FAKE_CUDA_NO_ALGORITHM");
  remove_folder (folder);
}

/* Long rows by some blocks each, which make what the library makes. */
static void
test_long_rows (void)
{
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  g_autofree char *words = NULL;
  double sums[2] = { 0 };

  network = long_network;
  count_of (backend, NN_PRECISION_TF32, BATCH, FALSE, &sums[0], &words);
  g_assert_nonnull (strstr (words, "l1: kernel for few rows, parts: 2, choice 4 of 4 measured"));
  g_assert_nonnull (strstr (words, "l2: kernel for few rows, parts: 1, choice 4 of 4 measured"));
  count_of (backend, NN_PRECISION_FP32, BATCH, FALSE, &sums[1], NULL);
  g_assert_cmpfloat (fabs (sums[0] - sums[1]), <, 1e-5);
  network = small_network;
  nn_backend_unref (backend);
  remove_folder (folder);
}

/* An engine that has a plan and fails when it runs it is passed over: when engines are measured,
 * where it was the fastest before, and where none is measured. */
static void
test_failing (void)
{
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  char *descriptions[4] = { NULL };
  double sums[4] = { 0 };

  count_of (backend, NN_PRECISION_TF32, BATCH, FALSE, &sums[0], &descriptions[0]);
  count_of (backend, NN_PRECISION_FP32, BATCH, FALSE, &sums[1], &descriptions[1]);
  nn_backend_unref (backend);
  g_assert_nonnull (strstr (descriptions[0], "cuDNN engine 3"));
  g_assert_nonnull (strstr (descriptions[1], "cuDNN engine 3"));
  g_setenv ("FAKE_CUDA_FAILING_ENGINE", "3", TRUE);
  backend = open_backend ();
  g_assert_cmpint (
      count_of (backend, NN_PRECISION_TF32, BATCH, FALSE, &sums[2], &descriptions[2]), >, 0);
  count_of (backend, NN_PRECISION_FP32, BATCH, FALSE, &sums[3], &descriptions[3]);
  nn_backend_unref (backend);
  g_unsetenv ("FAKE_CUDA_FAILING_ENGINE");
  g_test_message ("%s\n%s", descriptions[2], descriptions[3]);
  g_assert_null (strstr (descriptions[2], "cuDNN engine 3"));
  g_assert_nonnull (strstr (descriptions[2], "cuDNN engine 0"));
  g_assert_null (strstr (descriptions[3], "cuDNN engine"));
  g_assert_nonnull (strstr (descriptions[3], "plain loops"));
  for (guint i = 0; i < 4; i++) {
    g_assert_cmpfloat_with_epsilon (sums[i], sums[0], 1e-5);
    g_free (descriptions[i]);
  }
  remove_folder (folder);
}

/* Of many numbers of samples engines are measured for the most and for one. */
static void
test_sizes (void)
{
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  g_autofree char *path = NULL, *text = NULL;

  count_of (backend, NN_PRECISION_TF32, 40, FALSE, NULL, NULL);
  nn_backend_unref (backend);
  path = only_file (folder);
  text = read_text (path);
  g_assert_nonnull (strstr (text, "forward-tf32-bias-relu-n40-"));
  g_assert_nonnull (strstr (text, "forward-tf32-bias-relu-n1-"));
  g_assert_null (strstr (text, "forward-tf32-bias-relu-n20-"));
  g_assert_null (strstr (text, "forward-tf32-bias-relu-n3-"));
  g_assert_null (strstr (text, "forward-tf32-n40-")); /* what is done in one is not tried apart */
  remove_folder (folder);
}

/* A convolution of few channels and the pass behind it by our kernel, where that is faster. */
static void
test_tiles (void)
{
  static const struct
  {
    NnPrecision precision;
    const char *name;
  } narrow[] = { { NN_PRECISION_FP16, "fp16" }, { NN_PRECISION_BF16, "bf16" } };
  char *folder = new_folder ();
  g_autofree char *words = NULL, *path = NULL, *text = NULL, *changed = NULL;
  g_auto (GStrv) pieces = NULL;

  network = pooled_network;
  for (guint i = 0; i < G_N_ELEMENTS (narrow); i++) {
    g_autofree char *key = g_strdup_printf (
        "tiles-%s-n3-23x21x3-21x19x8-k3x3-p0x0-10x9-bias-relu-norm=1;0;0;", narrow[i].name);
    double sums[2] = { 0 };

    for (guint slow = 0; slow < 2; slow++) {
      NnBackend *backend;

      if (slow) {
        g_setenv ("FAKE_CUDA_SLOW_KERNELS", "tiles", TRUE);
        g_setenv ("CLASSIFY_CUDA_CACHE", "", TRUE);
      }
      backend = open_backend ();
      g_assert_cmpint (
          count_of (backend, narrow[i].precision, BATCH, FALSE, &sums[slow], NULL), >, 0);
      nn_backend_unref (backend);
    }
    g_unsetenv ("FAKE_CUDA_SLOW_KERNELS");
    g_setenv ("CLASSIFY_CUDA_CACHE", folder, TRUE);
    g_assert_cmpfloat (fabs (sums[0] - sums[1]), <, 1e-2);
    g_clear_pointer (&path, g_free);
    g_clear_pointer (&text, g_free);
    path = only_file (folder);
    text = read_text (path);
    g_assert_nonnull (strstr (text, key));
    g_assert_null (strstr (text, "tiles-fp32"));
    g_assert_cmpint (describe (narrow[i].precision, BATCH, FALSE, &words), ==, 0);
    g_assert_nonnull (strstr (words, "p1: kernel for few channels, the faster when it was "
                                     "measured: bias + relu + n + max pooling\n"
                                     "p2: cuDNN engine 3"));
  }
  /* a choice of another kind than there is */
  pieces = g_strsplit (text, "-norm=1;0;0;", -1);
  changed = g_strjoinv ("-norm=2;0;0;", pieces);
  g_assert_true (g_file_set_contents (path, changed, -1, NULL));
  g_assert_cmpint (describe (NN_PRECISION_FP16, BATCH, FALSE, &words), >, 0);
  g_assert_nonnull (
      strstr (words, "p1: kernel for few channels, the faster of two measured, 250.0 us: bias"));

  g_setenv ("FAKE_CUDA_SLOW_KERNELS", "tiles", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_FP16, BATCH + 1, FALSE, &words), >, 0);
  g_assert_nonnull (strstr (words, "p1: cuDNN engine 3, choice 2 of 2 measured"));
  g_assert_nonnull (strstr (words, "p1: kernel: bias + relu + n + max pooling"));
  g_unsetenv ("FAKE_CUDA_SLOW_KERNELS");
  /* without tensor cores of its kind; and wide numbers */
  g_setenv ("FAKE_CUDA_ARCH", "75", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_FP16, BATCH, FALSE, &words), >, 0);
  g_assert_null (strstr (words, "few channels"));
  g_unsetenv ("FAKE_CUDA_ARCH");
  g_assert_cmpint (describe (NN_PRECISION_TF32, BATCH, FALSE, &words), >, 0);
  g_assert_null (strstr (words, "few channels"));
  network = small_network;
  remove_folder (folder);
}

static void
test_garbage (void)
{
  static const char *const contents[]
      = { "", "\x01\x02\xff", "[device", "[device]\nmeasured=\\x\n",
          "[engines]\nforward=0;3;3;\n" };
  char *folder = new_folder ();
  g_autofree char *path = NULL, *big = g_strnfill (2 << 20, '#');

  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  path = only_file (folder);
  for (guint i = 0; i <= G_N_ELEMENTS (contents); i++) {
    g_assert_true (g_file_set_contents (
        path, i < G_N_ELEMENTS (contents) ? contents[i] : big, -1, NULL));
    g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
    g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), ==, 0);
  }
  /* neither waited for nor opened */
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (mkfifo (path, 0600), ==, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (g_unlink (path), ==, 0);
  /* a folder is in its place: nothing can be kept */
  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  remove_folder (folder);
}

static void
test_not_writable (void)
{
  char *folder = new_folder ();
  g_autofree char *file = g_build_filename (folder, "file", NULL);
  g_autofree char *below = g_build_filename (file, "cache", NULL), *path = NULL;

  /* not even by root */
  g_assert_true (g_file_set_contents (file, "x", 1, NULL));
  g_setenv ("CLASSIFY_CUDA_CACHE", below, TRUE);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  path = only_file (folder);
  g_assert_cmpstr (path, ==, file);
  remove_folder (folder);
}

static void
test_off (void)
{
  char *folder = new_folder ();

  g_setenv ("CLASSIFY_CUDA_CACHE", "", TRUE);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_null (only_file (folder));
  remove_folder (folder);
}

static void
test_default_folder (void)
{
  g_autofree char *folder = g_build_filename (g_get_user_cache_dir (), "classify", NULL);
  g_autofree char *path = NULL, *name = NULL;

  g_unsetenv ("CLASSIFY_CUDA_CACHE");
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), >, 0);
  g_assert_cmpint (start (NN_PRECISION_TF32, BATCH), ==, 0);
  path = only_file (folder);
  name = g_path_get_basename (path);
  g_assert_true (g_str_has_prefix (name, "cuda-engines-no-device"));
  for (const char *c = name; *c; c++)
    g_assert_true (g_ascii_isalnum (*c) || strchr ("-_.", *c));
}

/* One of twelve layers that no graph can have would cost the whole network its graph. */
static void
test_uncaptured (void)
{
  char *folder = new_folder ();
  g_autofree char *words = NULL;

  g_setenv ("FAKE_CUDA_UNCAPTURED_ENGINE", "3", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_TF32, BATCH, FALSE, &words), >, 0);
  g_assert_null (strstr (words, "cuDNN engine 3"));
  g_assert_nonnull (strstr (words, "cuDNN engine "));
  g_unsetenv ("FAKE_CUDA_UNCAPTURED_ENGINE");
  remove_folder (folder);
}

/* Training takes the libraries' own first choices, which are the same each time, unless asked. */
static void
test_training (void)
{
  char *folder = new_folder ();
  g_autofree char *words = NULL;

  g_unsetenv ("CLASSIFY_CUDA_MEASURE");
  g_assert_cmpint (describe (NN_PRECISION_TF32, BATCH, TRUE, &words), ==, 0);
  g_assert_null (strstr (words, "measured"));
  g_setenv ("CLASSIFY_CUDA_MEASURE", "training", TRUE);
  g_assert_cmpint (describe (NN_PRECISION_TF32, BATCH, TRUE, &words), >, 0);
  remove_folder (folder);
}

/* What the library does not have in one call it may have in two, and without tf32. */
static void
test_refused_products (void)
{
  static const char *const refused[] = { "tf32", "epilogue", "tf32 epilogue" };
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  double right = 0;

  count_of (backend, NN_PRECISION_FP32, MANY, FALSE, &right, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autofree char *words = NULL;
    double sum = 0;

    g_setenv ("FAKE_CUDA_REFUSED_PRODUCTS", refused[i], TRUE);
    count_of (backend, NN_PRECISION_TF32, MANY, FALSE, &sum, &words);
    g_assert_null (strstr (words, "plain loops"));
    g_assert_nonnull (strstr (words, "d: cuBLASLt algorithm"));
    g_assert_cmpint (strstr (words, "bias and relu apart") != NULL, ==, i > 0);
    g_assert_cmpfloat_with_epsilon (sum, right, 1e-2);
  }
  g_unsetenv ("FAKE_CUDA_REFUSED_PRODUCTS");
  nn_backend_unref (backend);
  remove_folder (folder);
}

static NnModel *
new_model (const char *json)
{
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 3, &error));
  return model;
}

/* Plans of one model read the same weights; in 16 bits nobody has the float32 kernels. */
static void
test_shared_weights (void)
{
  static const NnPrecision of[]
      = { NN_PRECISION_TF32, NN_PRECISION_FP32, NN_PRECISION_FP16, NN_PRECISION_FP16 };
  const char *json = "{\"class_name\": \"Sequential\", \"config\": ["
                     "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", "
                     "\"batch_input_shape\": [null, 20, 20, 3]}}, "
                     "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", "
                     "\"units\": 500, "
                     "\"activation\": \"softmax\"}}]}";
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  NnModel *model = new_model (json);
  const gsize weights = 20 * 20 * 3 * 500 * sizeof (float), before = count_bytes ();
  NnPlan *plans[G_N_ELEMENTS (of)];
  gsize taken[G_N_ELEMENTS (of)];
  const float *first = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (of); i++) {
    const NnPlanOptions options = { .precision = of[i], .batch = 1 };
    GError *error = NULL;
    const gsize was = count_bytes ();
    const float *outputs;

    plans[i] = nn_plan_new (backend, model, &options, &error);
    g_assert_no_error (error);
    taken[i] = count_bytes () - was;
    for (guint k = 0; k < 1200; k++)
      nn_plan_get_input (plans[i])[k] = (float) (k % 17) / 17;
    outputs = nn_plan_run (plans[i], 1, &error);
    g_assert_no_error (error);
    first = first ? first : outputs;
    for (guint k = 0; k < 500; k++)
      g_assert_cmpfloat_with_epsilon (outputs[k], first[k], 1e-3);
    g_test_message ("plan %u takes %.2f MiB", i, (double) taken[i] / (1 << 20));
  }
  g_assert_cmpuint (taken[0], >, weights);
  g_assert_cmpuint (taken[1], <, weights / 10);
  g_assert_cmpuint (taken[2], <, weights * 6 / 10); /* half of it */
  g_assert_cmpuint (taken[3], <, weights / 10);
  /* those that are left work when the first has gone, and the last one takes all with it */
  for (guint i = 0; i < G_N_ELEMENTS (of); i++) {
    GError *error = NULL;

    g_assert_nonnull (nn_plan_run (plans[i], 1, &error));
    nn_plan_free (plans[i]);
  }
  g_assert_cmpuint (count_bytes (), ==, before);
  nn_model_unref (model);
  nn_backend_unref (backend);
  remove_folder (folder);
}

/* What fp16 has no numbers for is an error that says so, not NaN. */
static void
test_too_large (void)
{
  char *folder = new_folder ();
  NnBackend *backend = open_backend ();
  NnModel *model = new_model (small_network);

  for (guint k = 0; k < 3; k++) {
    const NnPrecision precisions[] = { NN_PRECISION_TF32, NN_PRECISION_FP16, NN_PRECISION_BF16 };
    const NnPlanOptions options = { .precision = precisions[k], .batch = 1 };
    g_autoptr (GError) error = NULL;
    NnParam *param = &model->layers[1].params[0];
    const float *outputs;
    NnPlan *plan;

    for (gsize i = 0; k == 0 && i < param->n_values; i++)
      param->data[i] = i % 2 ? 60000.f : -50000.f;
    for (gsize i = 0; k == 0 && i < model->layers[2].params[0].n_values; i++)
      model->layers[2].params[0].data[i] *= 1e-3f * (i % 2 ? 1 : -1);
    plan = nn_plan_new (backend, model, &options, &error);
    g_assert_no_error (error);
    for (guint i = 0; i < 9 * 8 * 3; i++)
      nn_plan_get_input (plan)[i] = (float) (i % 7);
    outputs = nn_plan_run (plan, 1, &error);
    if (precisions[k] == NN_PRECISION_FP16) {
      g_assert_null (outputs);
      g_assert_error (error, NN_ERROR, NN_ERROR_RUN);
      g_assert_nonnull (strstr (error->message, "too large for fp16: use precision bf16 or tf32"));
    } else {
      g_assert_no_error (error);
      g_assert_true (isfinite (outputs[0]));
    }
    nn_plan_free (plan);
    if (precisions[k] == NN_PRECISION_FP16) {
      g_clear_error (&error);
      param->data[5] = 70000;
      g_assert_null (nn_plan_new (backend, model, &options, &error));
      g_assert_nonnull (strstr (error->message, "layer \"c1\" has weights beyond 65504"));
    }
    g_clear_error (&error);
  }
  nn_model_unref (model);
  nn_backend_unref (backend);
  remove_folder (folder);
}

int
main (int argc, char **argv)
{
  g_autofree char *driver = g_strndup (g_getenv ("CLASSIFY_CUDA_PATH"),
      strcspn (g_getenv ("CLASSIFY_CUDA_PATH"), ":"));
  g_autofree char *file = g_build_filename (driver, "libcuda.so.1", NULL);
  char *home = g_dir_make_tmp ("classify-choices-XXXXXX", NULL);
  void *library = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  int status;

  g_setenv ("XDG_CACHE_HOME", home, TRUE);
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* plain loops warn */
  g_assert_nonnull (library);
  count_measured = (int (*) (void)) dlsym (library, "fake_cuda_count_measured");
  count_bytes = (size_t (*) (void)) dlsym (library, "fake_cuda_count_bytes");
  g_assert_true (count_measured && count_bytes);
  g_setenv ("CLASSIFY_CUDA_MEASURE", "training", TRUE);
  g_test_add_func ("/cuda/choices/second-start", test_second_start);
  g_test_add_func ("/cuda/choices/keys", test_keys);
  g_test_add_func ("/cuda/choices/two-at-once", test_two_at_once);
  g_test_add_func ("/cuda/choices/stale", test_stale);
  g_test_add_func ("/cuda/choices/dense", test_dense);
  g_test_add_func ("/cuda/choices/few-rows", test_few_rows);
  g_test_add_func ("/cuda/choices/long-rows", test_long_rows);
  g_test_add_func ("/cuda/choices/failing", test_failing);
  g_test_add_func ("/cuda/choices/sizes", test_sizes);
  g_test_add_func ("/cuda/choices/tiles", test_tiles);
  g_test_add_func ("/cuda/choices/garbage", test_garbage);
  g_test_add_func ("/cuda/choices/not-writable", test_not_writable);
  g_test_add_func ("/cuda/choices/off", test_off);
  g_test_add_func ("/cuda/choices/uncaptured", test_uncaptured);
  g_test_add_func ("/cuda/choices/training", test_training);
  g_test_add_func ("/cuda/choices/refused-products", test_refused_products);
  g_test_add_func ("/cuda/choices/shared-weights", test_shared_weights);
  g_test_add_func ("/cuda/choices/too-large", test_too_large);
  g_test_add_func ("/cuda/choices/default-folder", test_default_folder);
  status = g_test_run ();
  remove_folder (home);
  return status;
}
