/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/model-cache.h"
#include "gst/videoclassify-private.h"
#include "nn/error.h"

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

static gpointer
make (gpointer element, GError **error)
{
  GstVideoClassify *self = element;
  RuntimeOptions options = self->options;
  Runtime *runtime = NULL;
  char *paths[3];

  copy_paths (self, &options, paths);
  if (options.model && *options.model)
    runtime = runtime_new (
        self->pool, &options, self, engine_done, video_classify_take_heat_map, error);
  else
    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
        "no model: set the property \"model\" to a Keras model file, as in "
        "videoclassify model=cats-dogs.h5");
  if (runtime)
    describe (self, runtime, options.model);
  clear_paths (paths);
  return runtime;
}

static void
failed (const GError *error, gpointer element)
{
  GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS,
      ("%s: the model before it stays in use", error->message), (NULL));
}

static char *
make_key (gpointer element)
{
  RuntimeOptions options;
  char *paths[3], *key;

  copy_paths (element, &options, paths);
  key = model_cache_make_key (options.model, options.weights, options.labels_file);
  clear_paths (paths);
  return key;
}

Loader *
video_classify_new_loader (GstVideoClassify *self)
{
  static const LoaderFuncs funcs = { .make = make,
    .free = (GDestroyNotify)runtime_free,
    .failed = failed,
    .make_key = make_key,
    .interval = 250 * G_TIME_SPAN_MILLISECOND };

  return loader_new (&funcs, self);
}

void
video_classify_exchange_runtime (GstVideoClassify *self)
{
  Runtime *next = loader_take (self->loader), *old;

  if (!next)
    return;
  publisher_prepare (self->publisher, next->n_classes); /* what the old one is at comes too late */
  GST_OBJECT_LOCK (self);
  old = self->runtime;
  self->runtime = next;
  self->view_time = 0;
  GST_OBJECT_UNLOCK (self);
  loader_retire (self->loader, old);
  self->has_thumbnails = FALSE;
  self->until_next = 0; /* the first frame that the new one sees is this */
  pacer_reset (&self->pacer);
  self->last_explained = GST_CLOCK_TIME_NONE;
  GST_INFO_OBJECT (self, "model %s is in use from frame %" G_GUINT64_FORMAT " on",
      self->runtime->model_name, self->frame);
}
