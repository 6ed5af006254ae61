/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/model-cache.h"
#include "gst/videoclassify-private.h"
#include "nn/error.h"

/* A model file that changed is read when it has stayed the same for this long. */
#define WATCH_INTERVAL (250 * G_TIME_SPAN_MILLISECOND)

static void
engine_done (EngineJob *job, gpointer task)
{
  video_classify_finish_task (((Task *)task)->owner, task);
}

static void
copy_paths (GstVideoClassify *self, RuntimeOptions *options, char *copies[3])
{
  GST_OBJECT_LOCK (self);
  copies[0] = g_strdup (self->model_path);
  copies[1] = g_strdup (self->weights_path);
  copies[2] = g_strdup (self->labels_path);
  GST_OBJECT_UNLOCK (self);
  options->model = copies[0];
  options->weights = copies[1];
  options->labels_file = copies[2];
}

static void
clear_paths (char *copies[3])
{
  for (guint i = 0; i < 3; i++)
    g_clear_pointer (&copies[i], g_free);
}

static void
describe (GstVideoClassify *self, const Runtime *runtime, const char *path)
{
  NnPlan *plan = engine_client_get_plan (runtime->client);
  NnBackend *backend = engine_client_get_backend (runtime->client);
  g_autofree char *description = nn_plan_describe (plan);
  g_autofree char *pre = nn_preprocess_to_string (&runtime->model->preprocess);

  GST_INFO_OBJECT (self, "model %s, %u classes, device %s (%s), %u threads", path,
      runtime->n_classes, runtime->device_name, nn_backend_get_description (backend),
      nn_plan_get_threads (plan));
  GST_INFO_OBJECT (self, "pre-processing: %s%s", pre,
      runtime->model->has_preprocess ? "" : " (the file names none: defaults)");
  for (guint i = 0; i < runtime->max_views; i++) {
    g_autofree char *view = nn_views_describe (runtime->views, i);

    GST_INFO_OBJECT (self, "view %u of %u: %s", i + 1, runtime->max_views, view);
  }
  GST_INFO_OBJECT (self, "plan:\n%s", description);
  if (runtime->explain_error)
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("%s: property \"explain\": %s", path, runtime->explain_error->message), (NULL));
}

/* The loader's thread. A model that cannot be used leaves the old one running. */
static void
load_beside (GstVideoClassify *self)
{
  g_autoptr (GError) error = NULL;
  RuntimeOptions options = self->options;
  char *paths[3];
  Runtime *runtime = NULL;

  copy_paths (self, &options, paths);
  if (options.model && *options.model)
    runtime = runtime_new (
        self->pool, &options, self, engine_done, video_classify_take_heat_map, &error);
  else
    g_set_error (&error, NN_ERROR, NN_ERROR_NOT_FOUND, "no model named");
  if (runtime) {
    describe (self, runtime, options.model);
    g_mutex_lock (&self->loader_lock);
    if (self->next)
      self->retired = g_list_prepend (self->retired, self->next);
    g_atomic_pointer_set (&self->next, runtime);
    g_mutex_unlock (&self->loader_lock);
  } else {
    GST_ELEMENT_WARNING (
        self, RESOURCE, SETTINGS, ("%s: the model before it stays in use", error->message), (NULL));
  }
  clear_paths (paths);
}

static char *
make_key (GstVideoClassify *self)
{
  RuntimeOptions options;
  char *paths[3], *key;

  copy_paths (self, &options, paths);
  key = model_cache_make_key (options.model, options.weights, options.labels_file);
  clear_paths (paths);
  return key;
}

static gboolean
is_watching (GstVideoClassify *self)
{
  gboolean watch;

  GST_OBJECT_LOCK (self);
  watch = self->watch;
  GST_OBJECT_UNLOCK (self);
  return watch;
}

static gpointer
loader_main (gpointer user_data)
{
  GstVideoClassify *self = user_data;
  char *loaded, *before;

  g_mutex_lock (&self->loader_lock);
  loaded = g_strdup (self->first_key);
  before = g_strdup (loaded);
  while (!self->loader_quit) {
    if (self->retired) {
      GList *retired = g_steal_pointer (&self->retired);

      g_mutex_unlock (&self->loader_lock);
      g_list_free_full (retired, (GDestroyNotify)runtime_free);
      g_mutex_lock (&self->loader_lock);
    } else if (self->reload) {
      self->reload = FALSE;
      g_mutex_unlock (&self->loader_lock);
      g_free (loaded);
      g_free (before);
      loaded = make_key (self);
      before = g_strdup (loaded);
      load_beside (self);
      g_mutex_lock (&self->loader_lock);
    } else if (is_watching (self)) {
      const gboolean woken = g_cond_wait_until (
          &self->loader_cond, &self->loader_lock, g_get_monotonic_time () + WATCH_INTERVAL);

      if (!woken) {
        char *now = make_key (self);

        /* who writes the file in place may not be done yet */
        if (!g_str_equal (now, loaded) && g_str_equal (now, before))
          self->reload = TRUE;
        g_free (before);
        before = now;
      }
    } else {
      g_cond_wait (&self->loader_cond, &self->loader_lock);
    }
  }
  g_mutex_unlock (&self->loader_lock);
  g_free (loaded);
  g_free (before);
  return NULL;
}

/* With the loader's lock held: starts the thread where there is none yet. */
static void
loader_wake (GstVideoClassify *self)
{
  if (!self->is_started)
    return;
  if (!self->loader)
    self->loader = g_thread_new ("classify-load", loader_main, self);
  g_cond_signal (&self->loader_cond);
}

void
video_classify_watch_changed (GstVideoClassify *self)
{
  const gboolean watch = is_watching (self);

  g_mutex_lock (&self->loader_lock);
  if (watch || self->loader)
    loader_wake (self);
  g_mutex_unlock (&self->loader_lock);
}

/* A model, weights or labels named while playing are loaded beside the stream. */
void
video_classify_request_reload (GstVideoClassify *self)
{
  g_mutex_lock (&self->loader_lock);
  if (self->is_started) {
    self->reload = TRUE;
    loader_wake (self);
  }
  g_mutex_unlock (&self->loader_lock);
}

gboolean
video_classify_load (GstVideoClassify *self, GError **error)
{
  RuntimeOptions options = self->options;
  Runtime *runtime = NULL;
  char *paths[3];

  copy_paths (self, &options, paths);
  if (!options.model || !*options.model) {
    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
        "no model: set the property \"model\" to a Keras model file, as in "
        "videoclassify model=cats-dogs.h5");
  } else {
    self->first_key = model_cache_make_key (options.model, options.weights, options.labels_file);
    runtime = runtime_new (
        self->pool, &options, self, engine_done, video_classify_take_heat_map, error);
  }
  if (runtime) {
    g_mutex_lock (&self->loader_lock);
    self->runtime = runtime;
    g_mutex_unlock (&self->loader_lock);
    describe (self, runtime, options.model);
  }
  clear_paths (paths);
  return runtime != NULL;
}

void
video_classify_start_loader (GstVideoClassify *self)
{
  g_mutex_lock (&self->loader_lock);
  self->is_started = TRUE;
  if (is_watching (self))
    loader_wake (self);
  g_mutex_unlock (&self->loader_lock);
}

void
video_classify_stop_loader (GstVideoClassify *self)
{
  GThread *thread;

  g_mutex_lock (&self->loader_lock);
  self->is_started = FALSE;
  self->loader_quit = TRUE;
  self->reload = FALSE;
  thread = g_steal_pointer (&self->loader);
  g_cond_signal (&self->loader_cond);
  g_mutex_unlock (&self->loader_lock);
  if (thread)
    g_thread_join (thread);
  self->loader_quit = FALSE;
  g_clear_pointer (&self->first_key, g_free);
  g_clear_pointer (&self->next, runtime_free);
  g_list_free_full (g_steal_pointer (&self->retired), (GDestroyNotify)runtime_free);
}

void
video_classify_exchange_runtime (GstVideoClassify *self)
{
  if (!g_atomic_pointer_get (&self->next))
    return;
  g_mutex_lock (&self->results_lock);
  self->generation++; /* what the old one is still at comes too late */
  g_mutex_unlock (&self->results_lock);
  g_mutex_lock (&self->loader_lock);
  self->retired = g_list_prepend (self->retired, self->runtime);
  self->runtime = g_steal_pointer (&self->next);
  loader_wake (self);
  g_mutex_unlock (&self->loader_lock);
  video_classify_prepare_results (self);
  GST_OBJECT_LOCK (self);
  self->view_time = 0;
  GST_OBJECT_UNLOCK (self);
  self->has_thumbnails = FALSE;
  self->until_next = 0; /* the first frame that the new one sees is this */
  self->last_classified = self->last_explained = GST_CLOCK_TIME_NONE;
  GST_INFO_OBJECT (self, "model %s is in use from frame %" G_GUINT64_FORMAT " on",
      self->runtime->model_name, self->frame);
}
