/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loader of back ends against modules that are good, old, foreign or broken,
 * and plans in several threads. */

#include <glib/gstdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/log.h"

static NnModel *
two_class_model (void)
{
  static const char json[]
      = "{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Conv2D\", \"config\": "
        "{\"name\": \"c\", \"batch_input_shape\": [null, 20, 20, 3], \"filters\": 16, "
        "\"kernel_size\": [3, 3], \"activation\": \"relu\"}}, {\"class_name\": \"Conv2D\", "
        "\"config\": {\"name\": \"c2\", \"filters\": 16, \"kernel_size\": [3, 3]}}, "
        "{\"class_name\": \"Flatten\", \"config\": "
        "{\"name\": \"f\"}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", "
        "\"units\": 2, "
        "\"activation\": \"softmax\"}}]}";
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  g_assert_no_error (error);
  return model;
}

static char *folder; /* of this run: one folder a mock, each with a nn-backend-cuda.so */

static void
use_module (const char *name)
{
  g_autofree char *dir = g_build_filename (folder, name, NULL);

  g_setenv ("CLASSIFY_BACKEND_PATH", dir, TRUE);
}

static void
lay_out_mocks (gboolean make)
{
  static const char *const names[] = { "good", "old-abi", "small", "name", "refuses", "no-device",
    "fails", "no-entry" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *dir = g_build_filename (folder, names[i], NULL);
    g_autofree char *link = g_build_filename (dir, "nn-backend-cuda.so", NULL);
    g_autofree char *mock = g_strdup_printf ("%s/mock-%s.so", MOCK_DIR, names[i]);

    if (make) {
      g_mkdir (dir, 0700);
      g_assert_cmpint (symlink (mock, link), ==, 0);
    } else {
      g_unlink (link);
      g_rmdir (dir);
    }
  }
}

/* opening @device fails with a message that has all of @words */
static void
check_refused (const char *device, const char *const *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (nn_backend_open (device, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_BACKEND);
  for (; *words; words++)
    if (!strstr (error->message, *words))
      g_error ("\"%s\" does not say \"%s\"", error->message, *words);
}

static void
test_good (void)
{
  GError *error = NULL;
  NnModel *model = two_class_model ();
  NnPlanOptions options = { .batch = 2 };
  NnBackend *backend;
  NnPlan *plan;
  const float *out;

  use_module ("good");
  for (guint i = 0; i < 2; i++) {
    backend = nn_backend_open (i ? "cuda:0" : "cuda", &error);
    g_assert_no_error (error);
    g_assert_cmpstr (nn_backend_get_device (backend), ==, "cuda:0");
    g_assert_cmpstr (nn_backend_get_description (backend), ==, "mock device 0");
    plan = nn_plan_new (backend, model, &options, &error);
    g_assert_no_error (error);
    nn_backend_unref (backend); /* the plan keeps it */
    out = nn_plan_run (plan, 2, &error);
    g_assert_cmpfloat (out[3], ==, 0.75f);
    nn_plan_free (plan);
  }
  backend = nn_backend_open ("auto", &error);
  g_assert_cmpstr (nn_backend_get_device (backend), ==, "cuda:0");
  options.training = TRUE; /* which the mock has no entry for */
  g_assert_null (nn_plan_new (backend, model, &options, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  nn_backend_unref (backend);
  nn_model_unref (model);
  check_refused ("cuda:1", (const char *const[]) { "cuda:1", "1 such device", NULL });
}

static gpointer
ref_count (gpointer count)
{
  ++*(guint *) count;
  return count;
}

static void
unref_count (gpointer count)
{
  --*(guint *) count;
}

/* What is open in one context is one back end, and keeps a context that is somebody's. */
static void
test_contexts (void)
{
  g_autoptr (NnBackend) own = NULL, cpu = NULL;
  NnBackend *other, *again;
  int somebodys;
  guint n_owners = 0, index;
  NnContext context = { .handle = &somebodys,
    .owner = &n_owners,
    .owner_ref = ref_count,
    .owner_unref = unref_count };

  use_module ("good");
  own = nn_backend_open ("cuda", NULL);
  cpu = nn_backend_open ("cpu", NULL);
  other = nn_backend_open_in ("auto", &context, NULL);
  g_assert_true (nn_backend_get_context (other, &index) == &somebodys);
  g_assert_cmpuint (index, ==, 0);
  g_assert_null (nn_backend_get_context (cpu, &index));
  g_assert_cmpuint (n_owners, ==, 1);
  again = nn_backend_open_in ("cuda:0", &context, NULL);
  g_assert_true (again == other);
  g_assert_cmpuint (n_owners, ==, 1);
  nn_backend_unref (other);
  g_assert_cmpuint (n_owners, ==, 1);
  nn_backend_unref (again);
  g_assert_cmpuint (n_owners, ==, 0);
  for (guint i = 0; i < 3; i++) {
    again = nn_backend_open (i == 0 ? "auto" : i == 1 ? "cuda:0" : "cpu", NULL);
    g_assert_true (again == (i < 2 ? own : cpu));
    nn_backend_unref (again);
  }
  context.index = 1; /* of another device */
  again = nn_backend_open_in ("cuda:0", &context, NULL);
  g_assert_true (again == own);
  nn_backend_unref (again);
  context.index = 0; /* the back end's own */
  context.handle = nn_backend_get_context (own, &index);
  again = nn_backend_open_in ("cuda", &context, NULL);
  g_assert_true (again == own);
  nn_backend_unref (again);
  g_assert_cmpuint (n_owners, ==, 0);
}

static void
test_has_gpu (void)
{
  use_module ("good");
  g_assert_true (nn_backend_has_gpu ("auto"));
  g_assert_true (nn_backend_has_gpu ("cuda"));
  g_assert_true (nn_backend_has_gpu ("cuda:0"));
  g_assert_false (nn_backend_has_gpu ("cuda:1"));
  g_assert_false (nn_backend_has_gpu ("cpu"));
  g_assert_false (nn_backend_has_gpu ("toaster"));
  g_assert_false (nn_backend_has_gpu (NULL));
  use_module ("no-device");
  g_assert_false (nn_backend_has_gpu ("auto"));
}

static void
test_refusals (void)
{
  static const struct
  {
    const char *folder, *words[4];
  } cases[] = {
    { "old-abi", { "nn-backend-cuda.so", "another version", "ABI", NULL } },
    { "small", { "nn-backend-cuda.so", "another version", NULL } },
    { "name", { "toaster", "cuda", NULL } },
    { "refuses", { "nn-backend-cuda.so", "refuses", NULL } },
    { "no-device", { "the mock finds no device", NULL } },
    { "fails", { "the mock cannot open device 0", NULL } },
    { "no-entry", { "nn-backend-cuda.so", "nn_backend_module_query", NULL } },
    { "does-not-exist", { "nn-backend-cuda.so", "not installed", NULL } },
  };
  g_autofree char *dir = g_dir_make_tmp ("classify-backend-XXXXXX", NULL);
  g_autofree char *garbage = g_build_filename (dir, "nn-backend-cuda.so", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    use_module (cases[i].folder);
    check_refused ("cuda", (const char *const *) cases[i].words);
  }
  g_file_set_contents (garbage, "not a library", -1, NULL);
  g_setenv ("CLASSIFY_BACKEND_PATH", dir, TRUE);
  check_refused ("cuda", (const char *const[]) { garbage, "cannot be opened", NULL });
  /* not from where the process happens to be */
  g_setenv ("CLASSIFY_BACKEND_PATH", ".", TRUE);
  check_refused ("cuda", (const char *const[]) { "CLASSIFY_BACKEND_PATH", "absolute", NULL });
  g_unlink (garbage);
  g_rmdir (dir);
}

static void
test_device_names (void)
{
  static const char *const wrong[]
      = { "gpu", "", "cuda:", "cuda:x", "cuda:-1", "cuda:99999999999", "cpu:0", "CUDA" };

  use_module ("good");
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    check_refused (wrong[i], (const char *const[]) { "auto, cpu, cuda", NULL });
  check_refused (NULL, (const char *const[]) { "auto, cpu, cuda", NULL });
}

static guint n_told;

/* a warning where there is a driver, else an information */
static void
count_told (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level <= NN_LOG_INFO && g_str_has_prefix (message, "using the CPU: ")
      && strstr (message, "the mock finds no device"))
    n_told++;
}

static void
test_auto_falls_back (void)
{
  GError *error = NULL;

  use_module ("no-device");
  nn_log_set_sink (count_told, NULL);
  for (guint i = 0; i < 3; i++) {
    NnBackend *backend = nn_backend_open ("auto", &error);

    g_assert_no_error (error);
    g_assert_cmpstr (nn_backend_get_device (backend), ==, "cpu");
    nn_backend_unref (backend);
  }
  nn_log_set_sink (NULL, NULL);
  g_assert_cmpuint (n_told, ==, 1); /* once in the life of a process */
}

static struct
{
  GMutex lock;
  GCond cond;
  gboolean is_opening, may_go;
} slow;

/* The mock tells that it is being opened, and waits. */
static void
hold_up (NnLogLevel level, const char *message, gpointer user_data)
{
  if (!strstr (message, "the mock was opened"))
    return;
  g_mutex_lock (&slow.lock);
  slow.is_opening = TRUE;
  g_cond_broadcast (&slow.cond);
  while (!slow.may_go)
    g_cond_wait (&slow.cond, &slow.lock);
  g_mutex_unlock (&slow.lock);
}

static gpointer
open_slowly (gpointer user_data)
{
  return nn_backend_open ("cuda", NULL);
}

/* Who gives a device back does not wait for a driver that is busy with another. */
static void
test_slow_device (void)
{
  NnBackend *backend = nn_backend_open ("cpu", NULL), *other;
  GThread *thread;

  use_module ("good");
  nn_log_set_sink (hold_up, NULL);
  thread = g_thread_new ("open", open_slowly, NULL);
  g_mutex_lock (&slow.lock);
  while (!slow.is_opening)
    g_cond_wait (&slow.cond, &slow.lock);
  g_mutex_unlock (&slow.lock);
  nn_backend_unref (backend);
  g_mutex_lock (&slow.lock);
  slow.may_go = TRUE;
  g_cond_broadcast (&slow.cond);
  g_mutex_unlock (&slow.lock);
  backend = g_thread_join (thread);
  nn_log_set_sink (NULL, NULL);
  other = nn_backend_open ("cuda", NULL); /* it is found */
  g_assert_true (other == backend);
  nn_backend_unref (other);
  nn_backend_unref (backend);
}

static void
test_list (void)
{
  static const struct
  {
    const char *folder, *device, *reason;
  } cases[] = { { "good", "cuda:0", NULL }, { "fails", "cuda:0", "cannot open" },
    { "no-device", "cuda", "finds no device" } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) devices = NULL;
    const NnDeviceInfo *info;

    use_module (cases[i].folder);
    devices = nn_backend_list_devices ();
    g_assert_cmpuint (devices->len, ==, 2);
    info = g_ptr_array_index (devices, 0);
    g_assert_cmpstr (info->device, ==, "cpu");
    g_assert_null (info->reason);
    info = g_ptr_array_index (devices, 1);
    g_assert_cmpstr (info->device, ==, cases[i].device);
    if (cases[i].reason)
      g_assert_nonnull (strstr (info->reason, cases[i].reason));
    else
      g_assert_null (info->reason);
  }
}

/* What the installed cuda module says of this machine: it works, or it tells why not. */
static void
test_real_module (void)
{
  g_autoptr (GError) error = NULL;
  NnBackend *backend;

  g_setenv ("CLASSIFY_BACKEND_PATH", CUDA_DIR, TRUE);
  backend = nn_backend_open ("cuda", &error);
  if (backend) {
    nn_backend_unref (backend);
    return;
  }
  g_assert_error (error, NN_ERROR, NN_ERROR_BACKEND);
  g_assert_null (strstr (error->message, "nn-backend-cuda.so")); /* it was found and asked */
  g_test_message ("%s", error->message);
}

static void
test_precisions (void)
{
  static const char *const names[] = { "auto", "fp32", "tf32", "fp16", "bf16" };
  NnPrecision precision;
  NnModel *model = two_class_model ();
  GError *error = NULL;
  NnBackend *backend = nn_backend_open ("cpu", &error);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    NnPlanOptions options = { .batch = 1 };
    NnPlan *plan;

    g_assert_true (nn_precision_from_string (names[i], &precision));
    g_assert_cmpstr (nn_precision_to_string (precision), ==, names[i]);
    options.precision = precision;
    plan = nn_plan_new (backend, model, &options, &error);
    if (precision == NN_PRECISION_TF32 || precision == NN_PRECISION_FP16) {
      g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);
      g_clear_error (&error);
    } else {
      g_assert_no_error (error);
      nn_plan_free (plan);
    }
  }
  g_assert_false (nn_precision_from_string ("double", &precision));
  nn_backend_unref (backend);
  nn_model_unref (model);
}

/* --- plans in threads ------------------------------------------------------------------- */

typedef struct
{
  NnModel *model;
  guint threads;
  float result[2];
} Worker;

static gpointer
run_worker (gpointer data)
{
  Worker *worker = data;
  GError *error = NULL;
  NnBackend *backend = nn_backend_open ("cpu", &error);
  NnPlanOptions options = { .batch = 1, .threads = worker->threads };
  NnPlan *plan = nn_plan_new (backend, worker->model, &options, &error);
  float *input;

  g_assert_no_error (error);
  input = nn_plan_get_input (plan);
  for (gsize i = 0; i < 20 * 20 * 3; i++)
    input[i] = (float) (i % 7) / 7;
  for (guint i = 0; i < 200; i++)
    memcpy (worker->result, nn_plan_run (plan, 1, &error), sizeof worker->result);
  nn_plan_free (plan);
  nn_backend_unref (backend);
  return NULL;
}

static void
test_plans_in_threads (void)
{
  NnModel *model = two_class_model ();
  Worker workers[4];
  GThread *threads[4];

  for (guint i = 0; i < 4; i++) {
    workers[i] = (Worker) { .model = model, .threads = 1 + i % 3 };
    threads[i] = g_thread_new (NULL, run_worker, &workers[i]);
  }
  for (guint i = 0; i < 4; i++)
    g_thread_join (threads[i]);
  for (guint i = 1; i < 4; i++)
    g_assert_cmpmem (
        workers[0].result, sizeof (float[2]), workers[i].result, sizeof (float[2]));
  nn_model_unref (model);
}

static guint
list_threads (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  guint n = 0;

  while (dir && g_dir_read_name (dir))
    n++;
  return n;
}

/* One that has been joined is listed for a moment still. */
static void
wait_for_threads (guint n)
{
  while (list_threads () > n)
    g_usleep (1000);
  g_assert_cmpuint (list_threads (), ==, n);
}

static gpointer
get_id (gpointer data)
{
  return GINT_TO_POINTER (syscall (SYS_gettid));
}

/* a plan of N threads has N - 1 of its own, and no library adds any while it runs */
static void
test_thread_count (void)
{
  NnModel *model = two_class_model ();
  GError *error = NULL;
  NnBackend *backend = nn_backend_open ("cpu", &error);
  g_autofree char *first = NULL;
  guint before;

  /* a sanitizer may start a thread of its own beside the first one */
  first = g_strdup_printf ("/proc/self/task/%d",
      GPOINTER_TO_INT (g_thread_join (g_thread_new (NULL, get_id, NULL))));
  while (g_file_test (first, G_FILE_TEST_EXISTS))
    g_usleep (1000);
  before = list_threads ();
  for (guint n = 1; n <= 4; n++) {
    NnPlanOptions options = { .batch = 4, .training = TRUE, .threads = n,
      .loss = NN_LOSS_CATEGORICAL_CROSSENTROPY };
    NnPlan *plan = nn_plan_new (backend, model, &options, &error);
    NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
    const float targets[8] = { 1, 0, 0, 1, 1, 0, 0, 1 };
    NnStepResult result;

    g_assert_no_error (error);
    g_assert_cmpuint (nn_plan_get_threads (plan), ==, n);
    nn_plan_run (plan, 4, &error);
    nn_plan_train_step (plan, &(NnStep) { .n = 4, .targets = targets, .seed = 1 }, optimizer,
        &result, &error);
    g_assert_no_error (error);
    wait_for_threads (before + n - 1);
    nn_optimizer_free (optimizer);
    nn_plan_free (plan);
  }
  nn_backend_unref (backend);
  nn_model_unref (model);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("classify-mocks-XXXXXX", NULL);
  lay_out_mocks (TRUE);
  g_test_add_func ("/backend/thread-count", test_thread_count);
  g_test_add_func ("/backend/good", test_good);
  g_test_add_func ("/backend/contexts", test_contexts);
  g_test_add_func ("/backend/has-gpu", test_has_gpu);
  g_test_add_func ("/backend/refusals", test_refusals);
  g_test_add_func ("/backend/device-names", test_device_names);
  g_test_add_func ("/backend/auto-falls-back", test_auto_falls_back);
  g_test_add_func ("/backend/slow-device", test_slow_device);
  g_test_add_func ("/backend/list", test_list);
  g_test_add_func ("/backend/real-module", test_real_module);
  g_test_add_func ("/backend/precisions", test_precisions);
  g_test_add_func ("/backend/plans-in-threads", test_plans_in_threads);
  status = g_test_run ();
  lay_out_mocks (FALSE);
  g_rmdir (folder);
  return status;
}
