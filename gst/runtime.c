/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/runtime.h"

#include <string.h>

#include "gst/formats.h"
#include "gst/model-cache.h"
#include "nn/error.h"

/* more samples than this in one run win nothing and cost memory */
#define MAX_BATCH 64

static gboolean
fill (Runtime *self, EnginePool *pool, const RuntimeOptions *options, GError **error)
{
  g_autofree char *name = NULL;
  EngineOptions engine = { .device = options->device,
    .context = options->context.handle ? &options->context : NULL,
    .precision = options->precision,
    .threads = options->threads,
    .timeout = options->batch_timeout };

  self->model = model_cache_get (options->model, options->weights, options->labels_file, error);
  if (!self->model)
    return FALSE;
  if (!self->model->has_weights) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: a network without weights: name a Keras weights file in the property \"weights\"",
        options->model);
    return FALSE;
  }
  self->views = nn_views_new (self->model, &options->tta, error);
  if (!self->views) {
    g_prefix_error (error, "%s: property \"tta\": ", options->model);
    return FALSE;
  }
  self->max_views = nn_views_get_n (self->views);
  if (options->batch > 1) {
    engine.kind = ENGINE_SHARED;
    engine.batch = options->batch;
  } else {
    engine.kind = options->is_async ? ENGINE_THREADED : ENGINE_DIRECT;
    engine.batch = MIN (self->max_views * options->max_regions, MAX_BATCH);
  }
  self->client = engine_client_new (pool, nn_views_get_network (self->views), &engine, error);
  if (!self->client
      || !nn_views_prepare (self->views, engine_client_get_backend (self->client), error)) {
    g_prefix_error (error, "%s: ", options->model);
    return FALSE;
  }
  self->n_classes = nn_model_get_n_classes (self->model);
  self->in_size = nn_shape_count (nn_model_get_input_shape (nn_views_get_network (self->views)));
  self->max_regions = options->max_regions;
  self->out_size = nn_model_get_n_outputs (nn_views_get_network (self->views));
  self->labels = g_new0 (const char *, self->n_classes);
  self->quarks = g_new0 (GQuark, self->n_classes);
  for (guint i = 0; i < self->n_classes; i++)
    self->labels[i] = nn_model_get_label (self->model, i);
  name = g_path_get_basename (options->weights ? options->weights : options->model);
  self->model_name = g_intern_string (name);
  self->device_name
      = g_intern_string (nn_backend_get_device (engine_client_get_backend (self->client)));
  return TRUE;
}

Runtime *
runtime_new (EnginePool *pool, const RuntimeOptions *options, gpointer owner, EngineDone done,
    ExplainerDone explained, GError **error)
{
  Runtime *self = g_new0 (Runtime, 1);

  if (!fill (self, pool, options, error)) {
    runtime_free (self);
    return NULL;
  }
  if (options->explain)
    self->explainer = explainer_new (self->model, engine_client_get_backend (self->client),
        options->threads, options->is_async, explained, owner, &self->explain_error);
  for (guint i = 0; i < RUNTIME_N_TASKS; i++) {
    Task *task = &self->tasks[i];

    task->runtime = self;
    task->owner = owner;
    task->regions = g_new0 (Region, options->max_regions);
    task->samplers = g_new0 (Sampler, options->max_regions);
    task->probabilities = g_new0 (float, options->max_regions * self->n_classes);
    task->job = engine_job_new (self->client, self->max_views * options->max_regions);
    task->job->user_data = task;
    if (options->is_async)
      task->job->done = done;
    else
      break; /* one is enough */
  }
  return self;
}

void
runtime_free (Runtime *self)
{
  g_clear_pointer (&self->explainer, explainer_free);
  g_clear_error (&self->explain_error);
  g_clear_pointer (&self->client, engine_client_free);
  for (guint i = 0; i < RUNTIME_N_TASKS; i++) {
    g_clear_pointer (&self->tasks[i].job, engine_job_free);
    for (guint r = 0; self->tasks[i].samplers && r < self->max_regions; r++)
      nn_view_sampler_free (self->tasks[i].samplers[r].sampler);
    g_free (self->tasks[i].samplers);
    frame_copy_clear (&self->tasks[i].copy);
    task_release_frame (&self->tasks[i]);
    g_free (self->tasks[i].regions);
    g_free (self->tasks[i].probabilities);
    gst_clear_buffer (&self->tasks[i].picture);
  }
  nn_view_sampler_free (self->sampler.sampler);
  nn_packer_free (self->packer);
  g_free (self->packer_rects);
  g_clear_pointer (&self->views, nn_views_free);
  g_clear_pointer (&self->model, model_cache_release);
  g_free (self->labels);
  g_free (self->quarks);
  g_free (self);
}

const char *
runtime_get_label (Runtime *self, guint index)
{
  if (self->quarks[index] == 0)
    self->quarks[index] = g_quark_from_string (self->labels[index]);
  return g_quark_to_string (self->quarks[index]);
}

Task *
runtime_take_task (Runtime *self, gboolean *was_waiting)
{
  *was_waiting = FALSE;
  for (guint i = 0; i < RUNTIME_N_TASKS; i++)
    if (self->tasks[i].job && engine_job_withdraw (self->tasks[i].job)) {
      *was_waiting = TRUE;
      gst_clear_buffer (&self->tasks[i].picture);
      task_release_frame (&self->tasks[i]);
      return &self->tasks[i];
    }
  for (guint i = 0; i < RUNTIME_N_TASKS; i++)
    if (self->tasks[i].job && engine_job_is_idle (self->tasks[i].job))
      return &self->tasks[i];
  return NULL;
}

/* --- a frame to the network's input -------------------------------------------------- */

/* Makes it where it is for another format or rectangle. */
static gboolean
sampler_prepare (Sampler *self, const NnViews *views, const FrameFormat *format,
    const NnRect *rect, GError **error)
{
  NnRect shown;

  if (self->sampler && self->format == format->serial
      && memcmp (&self->rect, rect, sizeof *rect) == 0)
    return TRUE;
  g_clear_pointer (&self->sampler, nn_view_sampler_free);
  shown = nn_image_turn_rect (format->image, rect);
  self->sampler = nn_view_sampler_new (views, format->image, &shown, error);
  self->rect = *rect;
  self->format = format->serial;
  return self->sampler != NULL;
}

gboolean
task_sample (Task *task, const FrameFormat *format, const NnImagePlanes *planes, GError **error)
{
  Runtime *runtime = task->runtime;

  for (guint r = 0; r < task->n_regions; r++) {
    float *input = task->job->input + r * task->n_views * runtime->in_size;

    if (!sampler_prepare (
            &runtime->sampler, runtime->views, format, &task->regions[r].rect, error))
      return FALSE;
    nn_view_sampler_run (runtime->sampler.sampler, planes, task->n_views, input);
  }
  return TRUE;
}

/* Whoever runs the job. */
static void
sample_copy (EngineJob *job, gpointer user_data)
{
  const Task *task = user_data;

  for (guint r = 0; r < task->n_regions; r++)
    nn_view_sampler_run (task->samplers[r].sampler, &task->copy.planes, task->n_views,
        job->input + r * task->n_views * task->runtime->in_size);
}

gboolean
task_sample_later (
    Task *task, const FrameFormat *format, const GstVideoFrame *frame, GError **error)
{
  for (guint r = 0; r < task->n_regions; r++)
    if (!sampler_prepare (&task->samplers[r], task->runtime->views, format, &task->regions[r].rect,
            error))
      return FALSE;
  if (gst_video_classify_is_direct (GST_VIDEO_FRAME_FORMAT (frame)))
    frame_copy_take (&task->copy, frame, task->regions, task->n_regions);
  task->job->prepare = sample_copy;
  return TRUE;
}

static gboolean
is_packer_for (const Runtime *self, const Task *task)
{
  if (!self->packer || self->n_packer_rects != task->n_regions
      || self->packer_views != task->n_views)
    return FALSE;
  for (guint r = 0; r < task->n_regions; r++)
    if (memcmp (&self->packer_rects[r], &task->regions[r].rect, sizeof (NnRect)) != 0)
      return FALSE;
  return TRUE;
}

const NnPacker *
task_get_packer (const Task *task, const FrameFormat *format, NnPackLayout kind, GError **error)
{
  Runtime *self = task->runtime;
  NnRect *shown;

  if (self->packer_format != format->serial) {
    g_clear_pointer (&self->packer, nn_packer_free);
    self->cannot_pack = FALSE;
    self->packer_format = format->serial;
  }
  if (self->cannot_pack || is_packer_for (self, task))
    return self->packer;
  g_clear_pointer (&self->packer, nn_packer_free);
  g_free (self->packer_rects);
  self->packer_rects = g_new (NnRect, task->n_regions);
  self->n_packer_rects = task->n_regions;
  self->packer_views = task->n_views;
  for (guint r = 0; r < task->n_regions; r++)
    self->packer_rects[r] = task->regions[r].rect;
  shown = g_newa (NnRect, task->n_regions);
  for (guint r = 0; r < task->n_regions; r++)
    shown[r] = nn_image_turn_rect (format->image, &self->packer_rects[r]);
  self->packer = nn_packer_new (
      self->views, format->image, shown, task->n_regions, task->n_views, kind, error);
  self->cannot_pack = self->packer == NULL;
  return self->packer;
}

void
task_release_frame (Task *task)
{
  if (task->has_frame_on_device)
    gst_video_frame_unmap (&task->frame_on_device);
  task->has_frame_on_device = FALSE;
}

gboolean
task_average (Task *task)
{
  const Runtime *runtime = task->runtime;
  const guint n = task->n_views / MAX (task->job->pack.n_views, 1); /* of the device: one mean */

  for (guint r = 0; r < task->n_regions; r++)
    if (!nn_views_mean (runtime->views, task->job->output + r * n * runtime->out_size, n,
            task->probabilities + r * runtime->n_classes, &task->job->error))
      return FALSE;
  return TRUE;
}
