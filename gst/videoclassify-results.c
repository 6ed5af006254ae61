/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "gst/gstclassifymeta.h"
#include "gst/json-lines.h"
#include "gst/videoclassify-private.h"

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
    captioner_push (self->captioner, pad, result_get_label (news[0].result),
        result_get_probability (news[0].result), task->pts, task->generation);
  }
  gst_object_unref (pad);
}

/* That of the buffer, else that of a frame at the rate of the caps. */
static GstClockTime
get_duration (const GstVideoClassify *self, GstBuffer *buffer)
{
  const int n = GST_VIDEO_INFO_FPS_N (&self->info), d = GST_VIDEO_INFO_FPS_D (&self->info);

  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    return GST_BUFFER_DURATION (buffer);
  return n > 0 ? gst_util_uint64_scale_int (GST_SECOND, d, n) : GST_CLOCK_TIME_NONE;
}

void
video_classify_lose_results (GstVideoClassify *self)
{
  g_autoptr (GstClassifyTextPad) pad = video_classify_get_text_pad (self);
  gboolean had_label;

  captioner_finish (self->captioner, pad);
  publisher_forget (self->publisher);
  captioner_reset (self->captioner, publisher_get_generation (self->publisher));
  GST_OBJECT_LOCK (self);
  had_label = self->label != NULL;
  self->label = NULL;
  self->probability = 0;
  GST_OBJECT_UNLOCK (self);
  if (had_label)
    g_object_notify (G_OBJECT (self), "label");
}

void
video_classify_begin_frame_text (GstVideoClassify *self, GstBuffer *buffer)
{
  GstClassifyTextPad *pad = video_classify_get_text_pad (self);

  if (!pad)
    return;
  captioner_begin_frame (
      self->captioner, pad, GST_BUFFER_PTS (buffer), get_duration (self, buffer));
  gst_object_unref (pad);
}

void
video_classify_end_frame_text (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  GstClassifyTextPad *pad = video_classify_get_text_pad (self);
  CaptionerFrame frame = { .pts = GST_BUFFER_PTS (buffer) };
  Result *result;

  if (!pad)
    return;
  frame.duration = get_duration (self, buffer);
  result = publisher_get_result (self->publisher);
  if (result) {
    frame.label = result_get_label (result); /* interned */
    frame.probability = result_get_probability (result);
    result_unref (result);
  }
  captioner_end_frame (
      self->captioner, pad, &frame, settings->cues == CUES_SPANS, settings->max_cue);
  gst_object_unref (pad);
}

/* --- a task that was run ------------------------------------------------------------- */

/* What the network itself says decides, not what smoothing makes of it. */
static void
collect (
    GstVideoClassify *self, const Task *task, guint r, GstBuffer *picture, const Settings *settings)
{
  const Runtime *runtime = task->runtime;
  const float *probabilities = task->probabilities + r * runtime->n_classes;
  guint best;

  if (!result_has_numbers (probabilities, runtime->n_classes))
    return;
  nn_top_k (probabilities, runtime->n_classes, 1, &best);
  if ((double)probabilities[best] >= settings->collect_min
      && (double)probabilities[best] <= settings->collect_max
      && publisher_begin_collection (self->publisher, task, settings))
    collector_push (self->collector, picture, &task->info, &task->regions[r].rect,
        task->orientation, runtime->labels[best], settings->collect_limit);
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

/* Once in each run. */
static void
warn_of_no_numbers (GstVideoClassify *self, const Task *task)
{
  gboolean was_told;

  GST_OBJECT_LOCK (self);
  was_told = self->has_told_numbers;
  self->has_told_numbers = TRUE;
  GST_OBJECT_UNLOCK (self);
  if (!was_told)
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("the network of %s gives no numbers (NaN or infinity): such results are \"unknown\" and "
         "never collected; its weights or its pre-processing are broken, or precision= is too "
         "narrow for it",
            task->runtime->model_name),
        (NULL));
}

/* FALSE: it has failed, which is told once, or is of a stream or a model that is over. */
static gboolean
check_task (GstVideoClassify *self, Task *task)
{
  gboolean was_told;

  if (task->generation != publisher_get_generation (self->publisher))
    return FALSE;
  if (!task->job->error && task_average (task))
    return TRUE;
  GST_OBJECT_LOCK (self);
  was_told = self->has_failed;
  self->has_failed = TRUE;
  GST_OBJECT_UNLOCK (self);
  if (!was_told)
    video_classify_post_error (self, task->job->error);
  return FALSE;
}

/* The properties that tell of the last result. */
static void
update_properties (
    GstVideoClassify *self, const Task *task, const News *news, GstClockTime inference_time)
{
  gboolean has_label_changed = FALSE;

  GST_OBJECT_LOCK (self);
  self->counts.classified++;
  self->counts.regions += task->n_regions;
  self->inference_time = inference_time;
  stats_add (&self->stats, inference_time);
  /* with the lock held: not after video_classify_lose_results() */
  if (task->n_regions > 0 && task->generation == publisher_get_generation (self->publisher)) {
    const double view_time = (double)task->job->run_time / task->job->n;
    const char *label = result_get_label (news[0].result);

    self->view_time = self->view_time > 0 ? 0.8 * self->view_time + 0.2 * view_time : view_time;
    has_label_changed = label != self->label;
    self->label = label;
    self->probability = news[0].has_numbers ? result_get_probability (news[0].result) : 0;
  }
  GST_OBJECT_UNLOCK (self);
  if (has_label_changed)
    g_object_notify (G_OBJECT (self), "label");
}

void
video_classify_finish_task (GstVideoClassify *self, Task *task)
{
  const GstClockTime delay = gst_util_get_timestamp () - task->started;
  const GstClockTime inference_time
      = self->is_async ? task->sample_time + task->job->run_time : delay;
  g_autoptr (GstBuffer) picture = g_steal_pointer (&task->picture);
  g_autofree News *news = NULL;
  Settings settings;

  task_release_frame (task);
  if (!check_task (self, task))
    return;
  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);
  news = g_new (News, task->n_regions);
  if (!publisher_take (self->publisher, task, &settings, inference_time, news))
    return;
  for (guint r = 0; picture && r < task->n_regions; r++)
    collect (self, task, r, picture, &settings);
  update_properties (self, task, news, inference_time);
  send_text (self, task, news, &settings);
  for (guint r = 0; r < task->n_regions; r++) {
    if (!news[r].has_numbers)
      warn_of_no_numbers (self, task);
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
  if (!publisher_take_heat_map (self->publisher, map))
    return;
  GST_OBJECT_LOCK (self);
  self->counts.explained++;
  GST_OBJECT_UNLOCK (self);
}
