/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "gst/gstclassifymeta.h"
#include "gst/json-lines.h"
#include "gst/videoclassify-private.h"

/* What was known of a region that has not been seen for this long is forgotten. */
#define TRACK_TIMEOUT (5 * GST_SECOND)

static guint classified_signal;

void
video_classify_install_signals (GObjectClass *klass)
{
  /**
   * GstVideoClassify::classified:
   * @element: the element
   * @result: a #GstStructure, as in the element message
   *
   * A frame was classified. Emitted in the streaming thread, with mode=async in
   * that of the engine.
   */
  classified_signal = g_signal_new ("classified", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);
}

/* --- what is remembered ------------------------------------------------------------- */

static void
clear_track (gpointer track)
{
  g_clear_pointer (&((Track *)track)->smoother, smoother_free);
}

void
video_classify_init_results (GstVideoClassify *self)
{
  g_mutex_init (&self->results_lock);
  self->results = g_ptr_array_new_with_free_func ((GDestroyNotify)result_unref);
  self->tracks = g_array_new (FALSE, FALSE, sizeof (Track));
  g_array_set_clear_func (self->tracks, clear_track);
  self->cues = cues_new ();
  self->last_collected = GST_CLOCK_TIME_NONE;
}

void
video_classify_clear_results (GstVideoClassify *self)
{
  g_ptr_array_unref (self->results);
  g_array_unref (self->tracks);
  cues_free (self->cues);
  g_mutex_clear (&self->results_lock);
}

void
video_classify_forget_results (GstVideoClassify *self)
{
  g_mutex_lock (&self->results_lock);
  self->generation++;
  g_ptr_array_set_size (self->results, 0);
  g_array_set_size (self->tracks, 0);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  self->last_collected = GST_CLOCK_TIME_NONE;
  cues_reset (self->cues);
  g_mutex_unlock (&self->results_lock);
}

void
video_classify_prepare_results (GstVideoClassify *self)
{
  g_mutex_lock (&self->results_lock);
  g_free (self->smoothed);
  self->smoothed = g_new0 (float, self->runtime->n_classes);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  for (guint i = 0; i < self->tracks->len; i++) /* of another number of classes, perhaps */
    g_clear_pointer (&g_array_index (self->tracks, Track, i).smoother, smoother_free);
  g_mutex_unlock (&self->results_lock);
}

/* Under the results' lock. */
static Track *
find_track (GstVideoClassify *self, const Region *region, const Task *task)
{
  const GstClockTime now = task->pts;
  Track *track;

  for (guint i = 0; i < self->tracks->len; i++) {
    track = &g_array_index (self->tracks, Track, i);
    if (GST_CLOCK_TIME_IS_VALID (now) && GST_CLOCK_TIME_IS_VALID (track->seen_at)
        && now > track->seen_at + TRACK_TIMEOUT) {
      g_array_remove_index_fast (self->tracks, i--);
      continue;
    }
    if (track->frame != task->frame && region_matches (&track->region, region))
      goto found;
  }
  g_array_set_size (self->tracks, self->tracks->len + 1);
  track = &g_array_index (self->tracks, Track, self->tracks->len - 1);
  *track = (Track){ .posted_at = GST_CLOCK_TIME_NONE };
found:
  track->region = *region;
  track->seen_at = now;
  track->frame = task->frame;
  return track;
}

typedef struct {
  Result *result;
  gboolean is_changed, is_due; /* the label; a message of POST_INTERVAL */
} News;

/* Under the results' lock. */
static News
make_news (GstVideoClassify *self, Task *task, guint r, const Settings *settings,
    GstClockTime inference_time)
{
  const Region *region = &task->regions[r];
  Track *track = find_track (self, region, task);
  ResultValues values = { .top_k = settings->top_k,
    .threshold = settings->threshold,
    .inference_time = inference_time,
    .index = -1,
    .probabilities = task->probabilities + r * task->runtime->n_classes };
  const SmootherOptions *smoothing = &settings->smoothing;
  const char *label;
  News news;

  if (smoothing->method != SMOOTHING_NONE || smoothing->hysteresis > 0 || smoothing->hold > 0) {
    if (!track->smoother)
      track->smoother = smoother_new (task->runtime->n_classes);
    if (task->is_cut)
      smoother_reset (track->smoother);
    values.index = (int)smoother_push (
        track->smoother, smoothing, task->pts, values.probabilities, self->smoothed);
    values.raw = values.probabilities;
    values.probabilities = self->smoothed;
  }
  news.result = result_new (task, region, &values);
  label = result_get_label (news.result);
  news.is_changed = label != track->posted;
  news.is_due = !GST_CLOCK_TIME_IS_VALID (track->posted_at) || !GST_CLOCK_TIME_IS_VALID (task->pts)
                || task->pts < track->posted_at
                || task->pts - track->posted_at >= settings->message_interval;
  track->posted = label;
  if (news.is_due)
    track->posted_at = task->pts;
  return news;
}

/* --- where it goes ------------------------------------------------------------------ */

static void
publish (GstVideoClassify *self, const Task *task, const News *news, const Settings *settings)
{
  const gboolean post = settings->post == POST_ALL
                        || (settings->post == POST_CHANGES && news->is_changed)
                        || (settings->post == POST_INTERVAL && news->is_due);
  const gboolean emit = g_signal_has_handler_pending (self, classified_signal, 0, FALSE);
  GstStructure *structure;

  if (!post && !emit)
    return;
  structure = result_to_structure (news->result, task);
  if (emit)
    g_signal_emit (self, classified_signal, 0, structure);
  if (post)
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
  else
    gst_structure_free (structure);
}

GstClassifyTextPad *
video_classify_get_text_pad (GstVideoClassify *self)
{
  GstClassifyTextPad *pad;

  GST_OBJECT_LOCK (self);
  pad = self->text_pad ? gst_object_ref (self->text_pad) : NULL;
  GST_OBJECT_UNLOCK (self);
  return pad;
}

/* What the text pad is sent of the results of a frame. */
static void
send_text (GstVideoClassify *self, const Task *task, const News *news, const Settings *settings)
{
  GstClassifyTextPad *pad = video_classify_get_text_pad (self);
  GstBuffer *cue;

  if (!pad)
    return;
  if (gst_classify_text_pad_is_json (pad)) {
    for (guint r = 0; r < task->n_regions; r++) {
      GstStructure *structure = result_to_structure (news[r].result, task);
      char *line = json_line_from_structure (structure);
      GstBuffer *buffer = gst_buffer_new_wrapped (line, strlen (line));

      GST_BUFFER_PTS (buffer) = task->pts;
      GST_BUFFER_DURATION (buffer) = task->duration;
      gst_classify_text_pad_push (pad, buffer);
      gst_structure_free (structure);
    }
  } else if (settings->cues == CUES_SPANS && task->n_regions > 0) {
    g_mutex_lock (&self->results_lock);
    cue = cues_push (self->cues, result_get_label (news[0].result),
        result_get_probability (news[0].result), task->pts, task->duration, 0);
    g_mutex_unlock (&self->results_lock);
    if (cue)
      gst_classify_text_pad_push (pad, cue);
  }
  gst_object_unref (pad);
}

void
video_classify_end_cue (GstVideoClassify *self, GstClassifyTextPad *pad)
{
  GstBuffer *cue;

  g_mutex_lock (&self->results_lock);
  cue = cues_finish (self->cues);
  g_mutex_unlock (&self->results_lock);
  if (cue && pad)
    gst_classify_text_pad_push (pad, cue);
  else if (cue)
    gst_buffer_unref (cue);
}

void
video_classify_send_frame_text (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  GstClassifyTextPad *pad = video_classify_get_text_pad (self);
  const GstClockTime pts = GST_BUFFER_PTS (buffer), duration = GST_BUFFER_DURATION (buffer);
  g_autoptr (Cues) cues = NULL;
  gboolean has_result;

  if (!pad)
    return;
  gst_classify_text_pad_begin (pad, pts);
  g_mutex_lock (&self->results_lock);
  has_result = self->results->len > 0;
  if (has_result && settings->cues == CUES_FRAMES) {
    const Result *result = g_ptr_array_index (self->results, 0);

    cues = cues_new ();
    cues_push (cues, result_get_label (result), result_get_probability (result), pts,
        GST_CLOCK_TIME_IS_VALID (duration) ? duration : 1, 0);
  }
  g_mutex_unlock (&self->results_lock);
  if (gst_classify_text_pad_is_json (pad)) {
    gst_classify_text_pad_advance (pad, pts);
  } else if (cues) {
    GstBuffer *cue = cues_finish (cues);

    if (cue)
      gst_classify_text_pad_push (pad, cue);
  } else if (!has_result) {
    gst_classify_text_pad_advance (pad, pts);
  }
  gst_object_unref (pad);
}

/* --- a task that was run ------------------------------------------------------------- */

gboolean
video_classify_is_collection_due (
    const GstVideoClassify *self, GstClockTime pts, const Settings *settings)
{
  const GstClockTime last = self->last_collected;

  return settings->collect_rate <= 0 || !GST_CLOCK_TIME_IS_VALID (pts)
         || !GST_CLOCK_TIME_IS_VALID (last) || pts < last
         || pts - last >= GST_SECOND / settings->collect_rate;
}

/* What the network itself says decides, not what smoothing makes of it. Under the
 * results' lock. */
static void
collect (
    GstVideoClassify *self, const Task *task, guint r, GstBuffer *picture, const Settings *settings)
{
  const Runtime *runtime = task->runtime;
  const float *probabilities = task->probabilities + r * runtime->n_classes;
  guint best;

  nn_top_k (probabilities, runtime->n_classes, 1, &best);
  if ((double)probabilities[best] < settings->collect_min
      || (double)probabilities[best] > settings->collect_max
      || !video_classify_is_collection_due (self, task->pts, settings))
    return;
  self->last_collected = task->pts;
  collector_push (self->collector, picture, &task->info, &task->regions[r].rect,
      runtime->labels[best], settings->collect_limit);
}

/* What is reported has 5 % head-room and follows when it is off by a quarter. */
static void
update_latency (GstVideoClassify *self, GstClockTime delay)
{
  const GstClockTime wanted = delay + delay / 20;
  gboolean announce = FALSE;

  GST_OBJECT_LOCK (self);
  if (self->report_latency
      && (wanted > self->reported_latency + self->reported_latency / 4
          || wanted < self->reported_latency - self->reported_latency / 4)) {
    self->reported_latency = wanted;
    announce = TRUE;
  }
  GST_OBJECT_UNLOCK (self);
  if (announce)
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

void
video_classify_finish_task (GstVideoClassify *self, Task *task)
{
  const GstClockTime delay = gst_util_get_timestamp () - task->started;
  const GstClockTime inference_time
      = self->is_async ? task->sample_time + task->job->run_time : delay;
  g_autoptr (GstBuffer) picture = g_steal_pointer (&task->picture);
  g_autofree News *news = NULL;
  gboolean has_label_changed = FALSE;
  Settings settings;

  task_release_frame (task);
  if (task->job->error || !task_average (task)) {
    gboolean was_told;

    g_mutex_lock (&self->results_lock);
    was_told = self->has_failed;
    self->has_failed = TRUE;
    g_mutex_unlock (&self->results_lock);
    if (!was_told)
      video_classify_post_error (self, task->job->error);
    return;
  }
  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);

  g_mutex_lock (&self->results_lock);
  if (task->generation != self->generation) {
    g_mutex_unlock (&self->results_lock);
    return;
  }
  news = g_new (News, task->n_regions);
  g_ptr_array_set_size (self->results, 0);
  for (guint r = 0; r < task->n_regions; r++) {
    news[r] = make_news (self, task, r, &settings, inference_time);
    g_ptr_array_add (self->results, result_ref (news[r].result));
    if (picture)
      collect (self, task, r, picture, &settings);
  }
  g_mutex_unlock (&self->results_lock);

  GST_OBJECT_LOCK (self);
  self->counts.classified++;
  self->counts.regions += task->n_regions;
  self->inference_time = inference_time;
  stats_add (&self->stats, inference_time);
  if (task->n_regions > 0) {
    const double view_time = (double)task->job->run_time / task->job->n;
    const char *label = result_get_label (news[0].result);

    self->view_time = self->view_time > 0 ? 0.8 * self->view_time + 0.2 * view_time : view_time;
    has_label_changed = label != self->label;
    self->label = label;
    self->probability = result_get_probability (news[0].result);
  }
  GST_OBJECT_UNLOCK (self);
  if (has_label_changed)
    g_object_notify (G_OBJECT (self), "label");
  send_text (self, task, news, &settings);
  for (guint r = 0; r < task->n_regions; r++) {
    publish (self, task, &news[r], &settings);
    GST_LOG_OBJECT (self, "%" GST_PTR_FORMAT, news[r].result->structure);
    result_unref (news[r].result);
  }
  if (!self->is_async)
    update_latency (self, delay);
}

void
video_classify_take_heat_map (HeatMap *map, const GError *error, gpointer element)
{
  GstVideoClassify *self = element;

  if (!map) {
    GST_ELEMENT_WARNING (
        self, STREAM, FAILED, ("property \"explain\": %s", error->message), (NULL));
    return;
  }
  g_mutex_lock (&self->results_lock);
  if (map->generation == self->generation) {
    g_clear_pointer (&self->heat_map, heat_map_unref);
    self->heat_map = map;
    map = NULL;
  }
  g_mutex_unlock (&self->results_lock);
  if (map) {
    heat_map_unref (map);
    return;
  }
  GST_OBJECT_LOCK (self);
  self->counts.explained++;
  GST_OBJECT_UNLOCK (self);
}

void
video_classify_attach_results (
    GstVideoClassify *self, GstBuffer *buffer, const Region *regions, guint n)
{
  g_mutex_lock (&self->results_lock);
  for (guint r = 0; r < n; r++)
    for (guint i = 0; i < self->results->len; i++) {
      const Result *result = g_ptr_array_index (self->results, i);

      if (!region_matches (&result->region, &regions[r]))
        continue;
      result_attach (result, buffer, &regions[r], self->frame, GST_BUFFER_PTS (buffer));
      break;
    }
  for (guint r = 0; self->heat_map && r < n; r++)
    if (region_matches (&self->heat_map->region, &regions[r])) {
      heat_map_attach (self->heat_map, buffer, self->frame, GST_BUFFER_PTS (buffer));
      break;
    }
  g_mutex_unlock (&self->results_lock);
}
