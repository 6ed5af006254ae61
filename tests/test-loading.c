/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Models and plans on their way: who asks meanwhile is heard, who has to do with other files or
 * other engines does not wait; and runs that fail. Linked so that nn_model_open(), nn_plan_new()
 * and nn_plan_run() are ours. */

#include <string.h>

#include "gst/engine.h"
#include "gst/loader.h"
#include "gst/model-cache.h"

/* --- what can be held up ---------------------------------------------------------------- */

/* Who passes it waits for gate_open(), once gate_close() was called. */
static struct {
  GMutex lock;
  GCond cond;
  gboolean is_closed;
  guint n_waiting;
} gate;

static void
gate_close (void)
{
  g_mutex_lock (&gate.lock);
  gate.is_closed = TRUE;
  g_mutex_unlock (&gate.lock);
}

static void
gate_open (void)
{
  g_mutex_lock (&gate.lock);
  gate.is_closed = FALSE;
  g_cond_broadcast (&gate.cond);
  g_mutex_unlock (&gate.lock);
}

static void
gate_pass (void)
{
  g_mutex_lock (&gate.lock);
  gate.n_waiting++;
  g_cond_broadcast (&gate.cond);
  while (gate.is_closed)
    g_cond_wait (&gate.cond, &gate.lock);
  gate.n_waiting--;
  g_mutex_unlock (&gate.lock);
}

static void
gate_wait_for (guint n)
{
  g_mutex_lock (&gate.lock);
  while (gate.n_waiting < n)
    g_cond_wait (&gate.cond, &gate.lock);
  g_mutex_unlock (&gate.lock);
}

static gint n_opened, n_planned; /* atomic */

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"t\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
      " \"batch_input_shape\": [null, 1, 1, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 2,"
      " \"activation\": \"linear\"}}]}}";

NnModel *__wrap_nn_model_open (const char *path, const char *weights, GError **error);
NnPlan *__real_nn_plan_new (
    NnBackend *backend, NnModel *model, const NnPlanOptions *options, GError **error);
NnPlan *__wrap_nn_plan_new (
    NnBackend *backend, NnModel *model, const NnPlanOptions *options, GError **error);

const float *__real_nn_plan_run (NnPlan *plan, guint n, GError **error);
const float *__wrap_nn_plan_run (NnPlan *plan, guint n, GError **error);

#define BAD 666.0f

/* Fails where a sample begins with BAD. */
const float *
__wrap_nn_plan_run (NnPlan *plan, guint n, GError **error)
{
  for (guint i = 0; i < n; i++)
    if (nn_plan_get_input (plan)[3 * i] == BAD) {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "bad sample");
      return NULL;
    }
  return __real_nn_plan_run (plan, n, error);
}

/* A path that begins with "slow" is held up; one that ends with "bad" is an error. */
NnModel *
__wrap_nn_model_open (const char *path, const char *weights, GError **error)
{
  g_atomic_int_inc (&n_opened);
  if (g_str_has_prefix (path, "slow"))
    gate_pass ();
  if (!g_str_has_suffix (path, "bad"))
    return nn_model_new_from_json (network, -1, NULL, error);
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: is bad", path);
  return NULL;
}

/* Of a batch of 7: held up; of 8: held up, then an error. */
NnPlan *
__wrap_nn_plan_new (
    NnBackend *backend, NnModel *model, const NnPlanOptions *options, GError **error)
{
  g_atomic_int_inc (&n_planned);
  if (options->batch >= 7)
    gate_pass ();
  if (options->batch != 8)
    return __real_nn_plan_new (backend, model, options, error);
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "no plan");
  return NULL;
}

/* --- the loader -------------------------------------------------------------------------- */

typedef struct {
  Loader *loader;
  GMutex lock;
  GCond cond;
  guint n_made, n_freed, n_failed, n_keys;
  guint fails;              /* number of the make() that fails; 0: none */
  guint requests;           /* number of the make() that asks for another, as set_property() may */
  const char *const *keys;  /* that make_key() tells one after the other; the last stays */
  guint made_at_key[4];     /* n_keys when it was made */
} Maker;

static Maker maker;

static gpointer
make (gpointer user_data, GError **error)
{
  guint n;

  g_assert_true (user_data == &maker);
  g_mutex_lock (&maker.lock);
  n = ++maker.n_made;
  if (n <= G_N_ELEMENTS (maker.made_at_key))
    maker.made_at_key[n - 1] = maker.n_keys;
  g_cond_broadcast (&maker.cond);
  g_mutex_unlock (&maker.lock);
  if (n == maker.requests)
    loader_request (maker.loader);
  if (n != maker.fails)
    return GUINT_TO_POINTER (n);
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "number %u fails", n);
  return NULL;
}

static void
free_made (gpointer made)
{
  g_mutex_lock (&maker.lock);
  maker.n_freed++;
  g_cond_broadcast (&maker.cond);
  g_mutex_unlock (&maker.lock);
}

static void
make_failed (const GError *error, gpointer user_data)
{
  g_assert_true (user_data == &maker);
  g_assert_cmpstr (error->message, ==, "number 2 fails");
  g_mutex_lock (&maker.lock);
  maker.n_failed++;
  g_cond_broadcast (&maker.cond);
  g_mutex_unlock (&maker.lock);
}

static char *
make_key (gpointer user_data)
{
  char *key;

  g_mutex_lock (&maker.lock);
  key = g_strdup (maker.keys ? maker.keys[0] : "key");
  if (maker.keys && maker.keys[1])
    maker.keys++;
  maker.n_keys++;
  g_mutex_unlock (&maker.lock);
  return key;
}

static const LoaderFuncs funcs = { make, free_made, make_failed, make_key, 1 };

static void
maker_init (void)
{
  maker = (Maker){ .loader = loader_new (&funcs, &maker) };
}

static void
wait_until (const guint *counter, guint n)
{
  g_mutex_lock (&maker.lock);
  while (*counter < n)
    g_cond_wait (&maker.cond, &maker.lock);
  g_mutex_unlock (&maker.lock);
}

static guint
wait_for_next (void)
{
  gpointer next;

  while (!(next = loader_take (maker.loader)))
    g_usleep (1000);
  return GPOINTER_TO_UINT (next);
}

static void
test_loader (void)
{
  g_autoptr (GError) error = NULL;

  maker_init ();
  loader_request (maker.loader); /* not started: nothing happens */
  g_assert_cmpuint (GPOINTER_TO_UINT (loader_start (maker.loader, &error)), ==, 1);
  g_assert_null (loader_take (maker.loader));
  maker.fails = 2;
  loader_request (maker.loader);
  wait_until (&maker.n_failed, 1);
  g_assert_null (loader_take (maker.loader));
  loader_request (maker.loader);
  g_assert_cmpuint (wait_for_next (), ==, 3);
  loader_retire (maker.loader, GUINT_TO_POINTER (1));
  wait_until (&maker.n_freed, 1);
  loader_request (maker.loader);
  wait_until (&maker.n_made, 4); /* and is never taken */
  loader_stop (maker.loader);
  g_assert_cmpuint (maker.n_freed, ==, 2);
  loader_request (maker.loader);

  /* anew; what was asked for before is forgotten */
  maker.fails = 5;
  g_assert_null (loader_start (maker.loader, &error));
  g_assert_cmpstr (error->message, ==, "number 5 fails");
  loader_request (maker.loader);
  maker.fails = 0;
  g_assert_cmpuint (GPOINTER_TO_UINT (loader_start (maker.loader, NULL)), ==, 6);
  loader_free (maker.loader);
  g_assert_cmpuint (maker.n_made, ==, 6);
  g_assert_cmpuint (maker.n_freed, ==, 2); /* 1 and 4; who took 3 and 6 has them */
}

/* A model that is named while the first is being read is not lost. */
static void
test_request_while_starting (void)
{
  maker_init ();
  maker.requests = 1;
  g_assert_cmpuint (GPOINTER_TO_UINT (loader_start (maker.loader, NULL)), ==, 1);
  g_assert_cmpuint (wait_for_next (), ==, 2);
  loader_free (maker.loader);
}

/* Files that are being written are let alone until they have stayed the same for a while. */
static void
test_watch (void)
{
  static const char *const keys[] = { "a", "a", "b", "c", "c", NULL };

  maker_init ();
  maker.keys = keys;
  loader_set_watch (maker.loader, TRUE);
  g_assert_cmpuint (GPOINTER_TO_UINT (loader_start (maker.loader, NULL)), ==, 1);
  g_assert_cmpuint (wait_for_next (), ==, 2);
  /* the first key is start's, the fifth is "c" for the second time, the sixth the new one's */
  g_assert_cmpuint (maker.made_at_key[1], ==, 6);
  loader_set_watch (maker.loader, FALSE);
  loader_free (maker.loader);
  g_assert_cmpuint (maker.n_made, ==, 2);
}

/* --- models ---------------------------------------------------------------------------------- */

typedef struct {
  const char *path;
  NnModel *model;
  GError *error;
} Opening;

static gpointer
open_model (gpointer data)
{
  Opening *opening = data;

  opening->model = model_cache_get (opening->path, NULL, NULL, &opening->error);
  return NULL;
}

/* While one file is read others are opened, given back and found. Who wants the same one waits
 * for it and shares it, or its error. */
static void
test_cache (void)
{
  Opening slow[] = { { "slow" }, { "slow" }, { "slow-bad" }, { "slow-bad" } };
  GThread *threads[G_N_ELEMENTS (slow)];
  NnModel *a, *b;

  a = model_cache_get ("a", NULL, NULL, NULL);
  gate_close ();
  g_atomic_int_set (&n_opened, 0);
  for (guint i = 0; i < G_N_ELEMENTS (slow); i++)
    threads[i] = g_thread_new ("open", open_model, &slow[i]);
  gate_wait_for (2); /* one of either */
  b = model_cache_get ("a", NULL, NULL, NULL);
  g_assert_true (a == b);
  model_cache_release (a);
  model_cache_release (b);
  a = model_cache_get ("a", NULL, NULL, NULL); /* it was freed */
  model_cache_release (a);
  gate_open ();
  for (guint i = 0; i < G_N_ELEMENTS (slow); i++)
    g_thread_join (threads[i]);
  g_assert_nonnull (slow[0].model);
  g_assert_true (slow[0].model == slow[1].model);
  for (guint i = 2; i < 4; i++) {
    g_assert_null (slow[i].model);
    g_assert_cmpstr (slow[i].error->message, ==, "slow-bad: is bad");
    g_clear_error (&slow[i].error);
  }
  g_assert_cmpint (g_atomic_int_get (&n_opened), >=, 3); /* a failed one may be tried again */
  g_assert_cmpint (g_atomic_int_get (&n_opened), <=, 4);
  model_cache_release (slow[0].model);
  model_cache_release (slow[1].model);
}

/* --- engines --------------------------------------------------------------------------------- */

typedef struct {
  EnginePool *pool;
  NnModel *model;
  guint batch;
  EngineClient *client;
  GError *error;
} Asking;

static gpointer
ask_for_engine (gpointer data)
{
  Asking *asking = data;
  const EngineOptions options
      = { .kind = ENGINE_SHARED, .device = "cpu", .threads = 1, .batch = asking->batch };

  asking->client = engine_client_new (asking->pool, asking->model, &options, &asking->error);
  return NULL;
}

/* The same of engines that are made of a plan. */
static void
test_engines (void)
{
  g_autoptr (EnginePool) pool = g_object_new (ENGINE_TYPE_POOL, NULL);
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, NULL);
  Asking quick = { pool, model, 2 }, again = { pool, model, 2 };
  Asking slow[]
      = { { pool, model, 7 }, { pool, model, 7 }, { pool, model, 8 }, { pool, model, 8 } };
  GThread *threads[G_N_ELEMENTS (slow)];

  g_assert_true (nn_model_init_params (model, 5, NULL));
  ask_for_engine (&quick);
  g_assert_no_error (quick.error);
  gate_close ();
  g_atomic_int_set (&n_planned, 0);
  for (guint i = 0; i < G_N_ELEMENTS (slow); i++)
    threads[i] = g_thread_new ("ask", ask_for_engine, &slow[i]);
  gate_wait_for (2);
  ask_for_engine (&again);
  g_assert_cmpuint (engine_client_get_n_clients (again.client), ==, 2);
  engine_client_free (again.client);
  engine_client_free (quick.client);
  gate_open ();
  for (guint i = 0; i < G_N_ELEMENTS (slow); i++)
    g_thread_join (threads[i]);
  g_assert_no_error (slow[0].error);
  g_assert_no_error (slow[1].error);
  g_assert_cmpuint (engine_client_get_n_clients (slow[0].client), ==, 2);
  for (guint i = 2; i < 4; i++) {
    g_assert_null (slow[i].client);
    g_assert_cmpstr (slow[i].error->message, ==, "no plan");
    g_clear_error (&slow[i].error);
  }
  g_assert_cmpint (g_atomic_int_get (&n_planned), >=, 2);
  g_assert_cmpint (g_atomic_int_get (&n_planned), <=, 3);
  engine_client_free (slow[0].client);
  engine_client_free (slow[1].client);
}

static void
wait_at_gate (EngineJob *job, gpointer user_data)
{
  gate_pass ();
}

static void
fill (EngineJob *job, guint n, guint bad)
{
  job->n = n;
  for (guint i = 0; i < 3 * n; i++)
    job->input[i] = (float) (i % 7) / 8;
  if (bad < n)
    job->input[3 * bad] = BAD;
}

/* Jobs that share a run with one that fails, or come after it, do not. */
static void
test_failed_run (void)
{
  static const struct {
    guint n, bad; /* samples; number of the bad one, if it is less */
  } rows[] = { { 1, 9 }, { 1, 0 }, { 2, 9 }, { 11, 5 }, { 11, 0 }, { 11, 10 }, { 11, 99 } };
  g_autoptr (EnginePool) pool = g_object_new (ENGINE_TYPE_POOL, NULL);
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, NULL);
  const EngineOptions options
      = { .kind = ENGINE_SHARED, .device = "cpu", .threads = 1, .batch = 4 };
  const EngineOptions alone = { .kind = ENGINE_DIRECT, .device = "cpu", .threads = 1, .batch = 1 };
  EngineClient *clients[G_N_ELEMENTS (rows)], *other;
  EngineJob *jobs[G_N_ELEMENTS (rows)], *first, *expected;

  g_assert_true (nn_model_init_params (model, 5, NULL));
  other = engine_client_new (pool, model, &alone, NULL);
  expected = engine_job_new (other, 11);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    clients[i] = engine_client_new (pool, model, &options, NULL);
    jobs[i] = engine_job_new (clients[i], 11);
  }
  first = engine_job_new (clients[0], 1);
  first->done = wait_at_gate;
  for (guint round = 0; round < 2; round++) { /* the second time they are all good */
    gate_close ();
    fill (first, 1, 9);
    engine_job_submit (first);
    gate_wait_for (1);
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
      fill (jobs[i], rows[i].n, round == 0 ? rows[i].bad : 99);
      engine_job_submit (jobs[i]);
    }
    gate_open ();
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
      engine_client_wait (clients[i]);
      if (round == 0 && rows[i].bad < rows[i].n) {
        g_assert_error (jobs[i]->error, G_FILE_ERROR, G_FILE_ERROR_FAILED);
        continue;
      }
      g_assert_no_error (jobs[i]->error);
      fill (expected, rows[i].n, 99);
      g_assert_true (engine_job_run (expected));
      for (guint k = 0; k < 2 * rows[i].n; k++)
        g_assert_cmpfloat_with_epsilon (jobs[i]->output[k], expected->output[k], 1e-6);
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    engine_client_free (clients[i]);
  engine_client_free (other);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    engine_job_free (jobs[i]);
  engine_job_free (first);
  engine_job_free (expected);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loading/loader", test_loader);
  g_test_add_func ("/loading/request-while-starting", test_request_while_starting);
  g_test_add_func ("/loading/watch", test_watch);
  g_test_add_func ("/loading/cache", test_cache);
  g_test_add_func ("/loading/engines", test_engines);
  g_test_add_func ("/loading/failed-run", test_failed_run);
  return g_test_run ();
}
