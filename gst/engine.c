/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/engine.h"

#include <string.h>

/* A client that has not sent a job for this long is not waited for. */
#define ACTIVE_US (250 * G_TIME_SPAN_MILLISECOND)

enum {
  IDLE,
  QUEUED,
  RUNNING,
};

struct _GstVideoClassifyEnginePool {
  GObject parent;
  GMutex lock; /* never held while a plan is made */
  GCond made;
  GList *engines; /* shared ones that are being made or usable, not owned */
};

struct _Engine {
  EnginePool *pool; /* shared engines only */
  guint n_users;    /* this and the next two under the pool's lock; with those that wait */
  gboolean is_being_made;
  GError *error; /* why it is not usable */

  NnModel *model;
  NnBackend *backend;
  NnPlan *plan;
  EngineOptions options;   /* without the strings */
  gsize in_size, out_size; /* floats a sample */

  GThread *thread;
  GMutex lock;
  GCond work, idle;
  GList *clients; /* the one whose turn it is first */
  gboolean quit;
  guint64 n_runs, n_samples;
  guint n_clients;
};

struct _EngineClient {
  Engine *engine;
  GQueue jobs;  /* waiting; under the engine's lock */
  guint n_busy; /* jobs that run or whose done() does */
  gint64 last_submit;
};

/* --- pool ------------------------------------------------------------------------ */

G_DEFINE_TYPE (GstVideoClassifyEnginePool, engine_pool, G_TYPE_OBJECT)

static void
engine_pool_finalize (GObject *object)
{
  EnginePool *pool = ENGINE_POOL (object);

  g_assert (!pool->engines); /* each holds a reference */
  g_mutex_clear (&pool->lock);
  g_cond_clear (&pool->made);
  G_OBJECT_CLASS (engine_pool_parent_class)->finalize (object);
}

static void
engine_pool_class_init (GstVideoClassifyEnginePoolClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = engine_pool_finalize;
}

static void
engine_pool_init (EnginePool *pool)
{
  g_mutex_init (&pool->lock);
  g_cond_init (&pool->made);
}

EnginePool *
engine_pool_get_default (void)
{
  static gsize pool;

  if (g_once_init_enter (&pool))
    g_once_init_leave (&pool, (gsize)g_object_new (ENGINE_TYPE_POOL, NULL));
  return g_object_ref ((EnginePool *)pool);
}

/* --- engine ----------------------------------------------------------------------- */

static gpointer engine_main (gpointer user_data);

/* Without its plan yet. @backend: (transfer full) */
static Engine *
engine_new (NnBackend *backend, NnModel *model, const EngineOptions *options)
{
  Engine *engine = g_new0 (Engine, 1);

  engine->n_users = 1;
  engine->backend = backend;
  engine->options = *options;
  engine->options.device = NULL;
  engine->options.context = NULL;
  engine->model = nn_model_ref (model);
  engine->in_size = nn_shape_count (nn_model_get_input_shape (model));
  engine->out_size = nn_model_get_n_outputs (model);
  g_mutex_init (&engine->lock);
  g_cond_init (&engine->work);
  g_cond_init (&engine->idle);
  return engine;
}

/* May take seconds. FALSE: engine->error. */
static gboolean
engine_make (Engine *engine)
{
  const EngineOptions *options = &engine->options;
  NnPlanOptions plan_options
      = { .precision = options->precision, .batch = options->batch, .threads = options->threads };

  engine->plan = nn_plan_new (engine->backend, engine->model, &plan_options, &engine->error);
  if (engine->plan && options->kind != ENGINE_DIRECT)
    engine->thread = g_thread_try_new ("classify", engine_main, engine, &engine->error);
  return engine->error == NULL;
}

static void
engine_free (Engine *engine)
{
  if (engine->thread) {
    g_mutex_lock (&engine->lock);
    engine->quit = TRUE;
    g_cond_broadcast (&engine->work);
    g_mutex_unlock (&engine->lock);
    g_thread_join (engine->thread);
  }
  g_assert (!engine->clients);
  g_clear_pointer (&engine->plan, nn_plan_free);
  g_clear_pointer (&engine->backend, nn_backend_unref);
  nn_model_unref (engine->model);
  g_mutex_clear (&engine->lock);
  g_cond_clear (&engine->work);
  g_cond_clear (&engine->idle);
  g_clear_error (&engine->error);
  g_clear_object (&engine->pool);
  g_free (engine);
}

/* Parts and resized views of one model are equal where they take and give the same. */
static gboolean
is_same_network (const NnModel *a, const NnModel *b)
{
  const NnModel *root_a = a, *root_b = b;

  if (a == b)
    return TRUE;
  while (root_a->owner)
    root_a = root_a->owner;
  while (root_b->owner)
    root_b = root_b->owner;
  return root_a == root_b && a->owner && b->owner && a->n_layers == b->n_layers
         && nn_shape_equal (nn_model_get_input_shape (a), nn_model_get_input_shape (b))
         && nn_shape_equal (&a->layers[a->output].out_shape, &b->layers[b->output].out_shape);
}

static gboolean
is_match (const Engine *engine, const NnBackend *backend, const NnModel *model,
    const EngineOptions *options)
{
  return is_same_network (engine->model, model) && engine->backend == backend
         && engine->options.precision == options->precision
         && engine->options.threads == options->threads && engine->options.batch == options->batch;
}

static void
engine_release (Engine *engine)
{
  if (engine->pool) {
    gboolean is_last;

    g_mutex_lock (&engine->pool->lock);
    is_last = --engine->n_users == 0;
    if (is_last)
      engine->pool->engines = g_list_remove (engine->pool->engines, engine);
    g_mutex_unlock (&engine->pool->lock);
    if (!is_last)
      return;
  }
  engine_free (engine);
}

/* One that another client has opened, or is opening: then this waits for it. Else one of our
 * own, which others find, and wait for, while its plan is made. @backend: (transfer full) */
static Engine *
engine_get_shared (
    EnginePool *pool, NnBackend *backend, NnModel *model, const EngineOptions *options)
{
  Engine *engine;

  g_mutex_lock (&pool->lock);
  for (GList *l = pool->engines; l; l = l->next) {
    engine = l->data;
    if (!is_match (engine, backend, model, options))
      continue;
    engine->n_users++;
    while (engine->is_being_made)
      g_cond_wait (&pool->made, &pool->lock);
    g_mutex_unlock (&pool->lock);
    nn_backend_unref (backend);
    return engine;
  }
  engine = engine_new (backend, model, options);
  engine->pool = g_object_ref (pool);
  engine->is_being_made = TRUE;
  pool->engines = g_list_prepend (pool->engines, engine);
  g_mutex_unlock (&pool->lock);
  engine_make (engine);
  g_mutex_lock (&pool->lock);
  engine->is_being_made = FALSE;
  if (engine->error) /* who comes later tries again */
    pool->engines = g_list_remove (pool->engines, engine);
  g_cond_broadcast (&pool->made);
  g_mutex_unlock (&pool->lock);
  return engine;
}

static Engine *
engine_get (EnginePool *pool, NnModel *model, const EngineOptions *options, GError **error)
{
  NnBackend *backend = nn_backend_open_in (options->device, options->context, error);
  Engine *engine;

  if (!backend)
    return NULL;
  if (options->kind == ENGINE_SHARED) {
    engine = engine_get_shared (pool, backend, model, options);
  } else {
    engine = engine_new (backend, model, options);
    engine_make (engine);
  }
  if (!engine->error)
    return engine;
  g_propagate_error (error, g_error_copy (engine->error));
  engine_release (engine);
  return NULL;
}

/* --- the engine's thread ------------------------------------------------------------ */

/* samples that wait, and whether a client that is expected has none waiting */
static guint
count_waiting (Engine *engine, gint64 now, gboolean *is_missing, gint64 *oldest)
{
  guint n = 0;

  *is_missing = FALSE;
  *oldest = G_MAXINT64;
  for (GList *l = engine->clients; l; l = l->next) {
    EngineClient *client = l->data;

    for (GList *k = client->jobs.head; k; k = k->next) {
      EngineJob *job = k->data;

      n += job->n;
      *oldest = MIN (*oldest, job->queued_at);
    }
    if (g_queue_is_empty (&client->jobs) && client->last_submit + ACTIVE_US > now)
      *is_missing = TRUE;
  }
  return n;
}

/* One job of each client in turn, as long as they fit. A job that alone is more
 * than a batch is taken alone. */
static void
take_jobs (Engine *engine, GPtrArray *jobs)
{
  guint n = 0;
  gboolean any = TRUE;

  while (any) {
    any = FALSE;
    for (guint i = 0; i < engine->n_clients; i++) {
      EngineClient *client = engine->clients->data;
      EngineJob *job = g_queue_peek_head (&client->jobs);
      GList *link;

      if (job && jobs->len > 0 && n + job->n > engine->options.batch)
        return; /* it stays the first */
      if (job) {
        g_queue_pop_head (&client->jobs);
        job->state = RUNNING;
        client->n_busy++;
        n += job->n;
        g_ptr_array_add (jobs, job);
        any = TRUE;
      }
      link = engine->clients; /* its turn is over */
      engine->clients = g_list_concat (g_list_remove_link (link, link), link);
    }
  }
}

/* A part of a job in a run: @n samples from @first on. */
typedef struct {
  EngineJob *job;
  guint first, n;
} Piece;

/* Jobs of one kind share a run. */
typedef enum {
  KIND_INPUT,
  KIND_PACK,
  KIND_DRAWN,
} Kind;

static Kind
get_kind (const EngineJob *job)
{
  return job->pack.size == 0 ? KIND_INPUT : job->pack.is_drawn ? KIND_DRAWN : KIND_PACK;
}

static const float *
run_pieces (Engine *engine, const Piece *pieces, guint n_pieces, GError **error)
{
  float *input = nn_plan_get_input (engine->plan);
  guint n = 0;

  if (get_kind (pieces[0].job) != KIND_INPUT) {
    NnPack *packs = g_newa (NnPack, n_pieces);

    for (guint i = 0; i < n_pieces; i++) {
      packs[i] = pieces[i].job->pack;
      packs[i].first = pieces[i].first;
      packs[i].n = pieces[i].n;
    }
    return nn_plan_run_packs (engine->plan, packs, n_pieces, error);
  }
  for (guint i = 0; i < n_pieces; n += pieces[i++].n) {
    const Piece *p = &pieces[i];
    float *to = input + n * engine->in_size;

    if (to != p->job->input)
      memcpy (
          to, p->job->input + p->first * engine->in_size, p->n * engine->in_size * sizeof (float));
  }
  return nn_plan_run (engine->plan, n, error);
}

/* What one output is of. */
static guint
get_n_views (const EngineJob *job)
{
  return MAX (job->pack.n_views, 1);
}

/* The next run's pieces, from the @kth sample of job @j on: at most a batch, and all views of
 * what they are of. */
static guint
take_pieces (Engine *engine, GPtrArray *jobs, guint *j, guint *k, Piece *pieces)
{
  const guint batch = engine->options.batch;
  guint n = 0, n_pieces = 0;

  while (*j < jobs->len) {
    EngineJob *job = g_ptr_array_index (jobs, *j);
    guint take = MIN (job->n - *k, batch - n);

    take -= take % get_n_views (job);
    if (take == 0 || (n_pieces > 0 && get_kind (job) != get_kind (pieces[n_pieces - 1].job)))
      break;
    pieces[n_pieces++] = (Piece){ job, *k, take };
    n += take;
    *k += take;
    if (*k == job->n) {
      ++*j;
      *k = 0;
    }
  }
  return n_pieces;
}

/* A run, from which the jobs get their outputs. */
static gboolean
run_and_deliver (Engine *engine, const Piece *pieces, guint n_pieces, GError **error)
{
  const float *output = run_pieces (engine, pieces, n_pieces, error);

  if (!output)
    return FALSE;
  g_mutex_lock (&engine->lock);
  engine->n_runs++;
  for (guint i = 0; i < n_pieces; i++)
    engine->n_samples += pieces[i].n;
  g_mutex_unlock (&engine->lock);
  for (guint i = 0; i < n_pieces; i++) {
    const Piece *p = &pieces[i];
    const guint views = get_n_views (p->job);
    const gsize n_floats = p->n / views * engine->out_size;

    memcpy (
        p->job->output + p->first / views * engine->out_size, output, n_floats * sizeof (float));
    output += n_floats;
  }
  return TRUE;
}

/* After a run that failed with @error: the pieces of several jobs are run again one by one, so
 * that only those fail whose fault it is. */
static void
run_one_by_one (Engine *engine, const Piece *pieces, guint n_pieces, const GError *error)
{
  for (guint i = 0; i < n_pieces; i++) {
    EngineJob *job = pieces[i].job;
    g_autoptr (GError) own = n_pieces == 1 ? g_error_copy (error) : NULL;

    if (!own && run_and_deliver (engine, &pieces[i], 1, &own))
      continue;
    g_clear_error (&job->error);
    job->error = g_steal_pointer (&own);
    if (job->staging) /* no run has waited */
      nn_staging_wait (job->staging);
  }
}

/* the samples of all jobs one after the other, in runs of at most a batch */
static void
run_jobs (Engine *engine, GPtrArray *jobs)
{
  const GstClockTime start = gst_util_get_timestamp ();
  Piece *pieces = g_newa (Piece, MIN (engine->options.batch, jobs->len));
  guint j = 0, k = 0; /* the next sample to run: the kth of job j */

  for (guint i = 0; i < jobs->len; i++) {
    EngineJob *job = g_ptr_array_index (jobs, i);

    if (job->prepare)
      job->prepare (job, job->user_data);
  }
  while (j < jobs->len) {
    g_autoptr (GError) error = NULL;
    const guint n_pieces = take_pieces (engine, jobs, &j, &k, pieces);

    if (run_and_deliver (engine, pieces, n_pieces, &error))
      continue;
    run_one_by_one (engine, pieces, n_pieces, error);
    if (k > 0 && pieces[n_pieces - 1].job->error) { /* the rest of it is of no use */
      j++;
      k = 0;
    }
  }
  for (guint i = 0; i < jobs->len; i++)
    ((EngineJob *)g_ptr_array_index (jobs, i))->run_time = gst_util_get_timestamp () - start;
}

static gpointer
engine_main (gpointer user_data)
{
  Engine *engine = user_data;
  const gint64 timeout = (gint64)GST_TIME_AS_USECONDS (engine->options.timeout);
  g_autoptr (GPtrArray) jobs = g_ptr_array_new ();

  g_mutex_lock (&engine->lock);
  while (!engine->quit) {
    gint64 oldest;
    gboolean is_missing;
    guint n = count_waiting (engine, g_get_monotonic_time (), &is_missing, &oldest);

    if (n == 0) {
      g_cond_wait (&engine->work, &engine->lock);
      continue;
    }
    if (n < engine->options.batch && is_missing && timeout > 0
        && oldest + timeout > g_get_monotonic_time ()) {
      g_cond_wait_until (&engine->work, &engine->lock, oldest + timeout);
      continue;
    }
    g_ptr_array_set_size (jobs, 0);
    take_jobs (engine, jobs);
    g_mutex_unlock (&engine->lock);
    run_jobs (engine, jobs);
    for (guint i = 0; i < jobs->len; i++) {
      EngineJob *job = g_ptr_array_index (jobs, i);
      EngineClient *client = job->client;

      if (job->done)
        job->done (job, job->user_data);
      g_mutex_lock (&engine->lock);
      job->state = IDLE;
      client->n_busy--;
      g_cond_broadcast (&engine->idle);
      g_mutex_unlock (&engine->lock);
    }
    g_mutex_lock (&engine->lock);
  }
  g_mutex_unlock (&engine->lock);
  return NULL;
}

/* --- clients and jobs ------------------------------------------------------------------ */

EngineClient *
engine_client_new (EnginePool *pool, NnModel *model, const EngineOptions *options, GError **error)
{
  Engine *engine = engine_get (pool, model, options, error);
  EngineClient *client;

  if (!engine)
    return NULL;
  client = g_new0 (EngineClient, 1);
  client->engine = engine;
  g_queue_init (&client->jobs);
  g_mutex_lock (&engine->lock);
  engine->clients = g_list_append (engine->clients, client);
  engine->n_clients++;
  g_mutex_unlock (&engine->lock);
  return client;
}

void
engine_client_free (EngineClient *client)
{
  Engine *engine = client->engine;
  EngineJob *job;

  g_mutex_lock (&engine->lock);
  while ((job = g_queue_pop_head (&client->jobs)))
    job->state = IDLE;
  while (client->n_busy > 0)
    g_cond_wait (&engine->idle, &engine->lock);
  engine->clients = g_list_remove (engine->clients, client);
  engine->n_clients--;
  g_cond_broadcast (&engine->work); /* it is not waited for any more */
  g_mutex_unlock (&engine->lock);
  engine_release (engine);
  g_free (client);
}

NnBackend *
engine_client_get_backend (EngineClient *client)
{
  return client->engine->backend;
}

NnPlan *
engine_client_get_plan (EngineClient *client)
{
  return client->engine->plan;
}

guint
engine_client_get_n_clients (EngineClient *client)
{
  guint n;

  g_mutex_lock (&client->engine->lock);
  n = client->engine->n_clients;
  g_mutex_unlock (&client->engine->lock);
  return n;
}

EngineJob *
engine_job_new (EngineClient *client, guint capacity)
{
  Engine *engine = client->engine;
  EngineJob *job = g_new0 (EngineJob, 1);

  job->client = client;
  job->capacity = capacity;
  if (engine->options.kind == ENGINE_DIRECT && capacity <= engine->options.batch) {
    job->input = nn_plan_get_input (engine->plan);
  } else {
    job->memory = g_new (float, capacity * engine->in_size);
    job->input = job->memory;
  }
  job->output = g_new0 (float, capacity * engine->out_size);
  return job;
}

void
engine_job_free (EngineJob *job)
{
  nn_staging_free (job->staging);
  g_free (job->memory);
  g_free (job->output);
  g_clear_error (&job->error);
  g_free (job);
}

gboolean
engine_client_takes_packs (EngineClient *client)
{
  return nn_plan_takes_packs (client->engine->plan);
}

guint8 *
engine_job_reserve_pack (EngineJob *job, gsize host_size, gsize size, GError **error)
{
  if (!job->staging)
    job->staging = nn_staging_new (job->client->engine->backend);
  job->pack.staging = job->staging;
  return nn_staging_reserve (job->staging, host_size, size, error);
}

gboolean
engine_job_takes_views (EngineJob *job, guint n_views)
{
  return n_views <= job->client->engine->options.batch;
}

static void
queue_job (EngineJob *job)
{
  EngineClient *client = job->client;

  g_assert (job->state == IDLE);
  g_clear_error (&job->error);
  job->state = QUEUED;
  job->queued_at = client->last_submit = g_get_monotonic_time ();
  g_queue_push_tail (&client->jobs, job);
  g_cond_broadcast (&client->engine->work);
}

static gboolean
run_here (EngineJob *job)
{
  gpointer data[] = { job };
  GPtrArray jobs = { data, 1 };

  g_clear_error (&job->error);
  run_jobs (job->client->engine, &jobs);
  return job->error == NULL;
}

gboolean
engine_job_run (EngineJob *job)
{
  Engine *engine = job->client->engine;

  if (engine->options.kind == ENGINE_DIRECT)
    return run_here (job);
  g_mutex_lock (&engine->lock);
  queue_job (job);
  while (job->state != IDLE)
    g_cond_wait (&engine->idle, &engine->lock);
  g_mutex_unlock (&engine->lock);
  return job->error == NULL;
}

void
engine_job_submit (EngineJob *job)
{
  Engine *engine = job->client->engine;

  g_assert (engine->thread);
  if (job->pack.size > 0) /* if it fails the run does it again and tells why */
    nn_staging_send (job->staging, &job->pack, NULL);
  g_mutex_lock (&engine->lock);
  queue_job (job);
  g_mutex_unlock (&engine->lock);
}

gboolean
engine_job_withdraw (EngineJob *job)
{
  Engine *engine = job->client->engine;
  gboolean was_queued;

  g_mutex_lock (&engine->lock);
  was_queued = job->state == QUEUED;
  if (was_queued) {
    g_queue_remove (&job->client->jobs, job);
    job->state = IDLE;
  }
  g_mutex_unlock (&engine->lock);
  if (was_queued && job->pack.size > 0)
    nn_staging_wait (job->staging);
  return was_queued;
}

gboolean
engine_job_is_idle (EngineJob *job)
{
  gboolean is_idle;

  g_mutex_lock (&job->client->engine->lock);
  is_idle = job->state == IDLE;
  g_mutex_unlock (&job->client->engine->lock);
  return is_idle;
}

void
engine_client_wait (EngineClient *client)
{
  Engine *engine = client->engine;

  g_mutex_lock (&engine->lock);
  while (client->n_busy > 0 || !g_queue_is_empty (&client->jobs))
    g_cond_wait (&engine->idle, &engine->lock);
  g_mutex_unlock (&engine->lock);
}

void
engine_client_get_load (EngineClient *client, guint *depth, guint64 *n_runs, guint64 *n_samples)
{
  Engine *engine = client->engine;

  g_mutex_lock (&engine->lock);
  *depth = 0;
  for (GList *l = engine->clients; l; l = l->next)
    *depth += ((EngineClient *)l->data)->jobs.length;
  *n_runs = engine->n_runs;
  *n_samples = engine->n_samples;
  g_mutex_unlock (&engine->lock);
}
