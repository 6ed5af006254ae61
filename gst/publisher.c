/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/publisher.h"

#include "gst/pacer.h"

/* What was known of a region that has not been seen for this long is forgotten. */
#define TRACK_TIMEOUT (5 * GST_SECOND)

/* what is remembered of a region from one result to the next */
typedef struct {
  Region region;
  const char *posted; /* label of the last message; interned */
  GstClockTime posted_at, seen_at;
  guint64 frame;      /* the last that it was in */
  Smoother *smoother; /* NULL until it is needed */
} Track;

struct _Publisher {
  GMutex lock;
  guint64 generation;
  GPtrArray *results; /* of the newest frame that was classified */
  GArray *tracks;
  HeatMap *heat_map; /* the newest, or NULL */
  Pacer pacer; /* of "collect-rate" */
  float *smoothed; /* n_classes: of one region */
};

static void
clear_track (gpointer track)
{
  g_clear_pointer (&((Track *)track)->smoother, smoother_free);
}

Publisher *
publisher_new (void)
{
  Publisher *self = g_new0 (Publisher, 1);

  g_mutex_init (&self->lock);
  self->results = g_ptr_array_new_with_free_func ((GDestroyNotify)result_unref);
  self->tracks = g_array_new (FALSE, FALSE, sizeof (Track));
  g_array_set_clear_func (self->tracks, clear_track);
  return self;
}

void
publisher_free (Publisher *self)
{
  g_ptr_array_unref (self->results);
  g_array_unref (self->tracks);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  g_free (self->smoothed);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
publisher_forget (Publisher *self)
{
  g_mutex_lock (&self->lock);
  self->generation++;
  g_ptr_array_set_size (self->results, 0);
  g_array_set_size (self->tracks, 0);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  pacer_reset (&self->pacer);
  g_mutex_unlock (&self->lock);
}

void
publisher_prepare (Publisher *self, guint n_classes)
{
  g_mutex_lock (&self->lock);
  self->generation++;
  g_free (self->smoothed);
  self->smoothed = g_new0 (float, n_classes);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  for (guint i = 0; i < self->tracks->len; i++) /* of another number of classes, perhaps */
    g_clear_pointer (&g_array_index (self->tracks, Track, i).smoother, smoother_free);
  g_mutex_unlock (&self->lock);
}

guint64
publisher_get_generation (Publisher *self)
{
  guint64 generation;

  g_mutex_lock (&self->lock);
  generation = self->generation;
  g_mutex_unlock (&self->lock);
  return generation;
}

/* --- results ------------------------------------------------------------------------- */

/* With the lock held. */
static Track *
find_track (Publisher *self, const Region *region, const Task *task)
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

/* With the lock held. */
static News
make_news (Publisher *self, const Task *task, guint r, const Settings *settings,
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

  news.has_numbers = result_has_numbers (values.probabilities, task->runtime->n_classes);
  if (news.has_numbers
      && (smoothing->method != SMOOTHING_NONE || smoothing->hysteresis > 0
          || smoothing->hold > 0)) {
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

gboolean
publisher_take (Publisher *self, const Task *task, const Settings *settings,
    GstClockTime inference_time, News *news)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (task->generation != self->generation)
    return FALSE;
  g_ptr_array_set_size (self->results, 0);
  for (guint r = 0; r < task->n_regions; r++) {
    news[r] = make_news (self, task, r, settings, inference_time);
    g_ptr_array_add (self->results, result_ref (news[r].result));
  }
  return TRUE;
}

gboolean
publisher_has_results (Publisher *self)
{
  gboolean has;

  g_mutex_lock (&self->lock);
  has = self->results->len > 0;
  g_mutex_unlock (&self->lock);
  return has;
}

Result *
publisher_get_result (Publisher *self)
{
  Result *result = NULL;

  g_mutex_lock (&self->lock);
  if (self->results->len > 0)
    result = result_ref (g_ptr_array_index (self->results, 0));
  g_mutex_unlock (&self->lock);
  return result;
}

void
publisher_attach (
    Publisher *self, GstBuffer *buffer, guint64 frame, const Region *regions, guint n)
{
  const GstClockTime pts = GST_BUFFER_PTS (buffer);

  g_mutex_lock (&self->lock);
  for (guint r = 0; r < n; r++)
    for (guint i = 0; i < self->results->len; i++) {
      const Result *result = g_ptr_array_index (self->results, i);

      if (!region_matches (&result->region, &regions[r]))
        continue;
      result_attach (result, buffer, &regions[r], frame, pts);
      break;
    }
  for (guint r = 0; self->heat_map && r < n; r++)
    if (region_matches (&self->heat_map->region, &regions[r])) {
      heat_map_attach (self->heat_map, buffer, &regions[r], frame, pts);
      break;
    }
  g_mutex_unlock (&self->lock);
}

gboolean
publisher_take_heat_map (Publisher *self, HeatMap *map)
{
  HeatMap *unused = map;

  g_mutex_lock (&self->lock);
  if (map->generation == self->generation) {
    unused = self->heat_map;
    self->heat_map = map;
  }
  g_mutex_unlock (&self->lock);
  if (unused)
    heat_map_unref (unused);
  return unused != map;
}

/* --- pictures -------------------------------------------------------------------------- */

gboolean
publisher_is_collection_due (Publisher *self, GstClockTime pts, const Settings *settings)
{
  gboolean is_due;

  g_mutex_lock (&self->lock);
  is_due = pacer_is_due (&self->pacer, pts, settings->collect_rate);
  g_mutex_unlock (&self->lock);
  return is_due;
}

gboolean
publisher_begin_collection (Publisher *self, const Task *task, const Settings *settings)
{
  gboolean is_due;

  g_mutex_lock (&self->lock);
  is_due = task->generation == self->generation
           && pacer_is_due (&self->pacer, task->pts, settings->collect_rate);
  if (is_due)
    pacer_take (&self->pacer, task->pts, settings->collect_rate);
  g_mutex_unlock (&self->lock);
  return is_due;
}
