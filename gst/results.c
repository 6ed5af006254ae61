/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/results.h"

#include <gst/video/gstvideometa.h>
#include <math.h>

#include "gst/analytics.h"
#include "gst/gstclassifymeta.h"

static void
set_interned (GstStructure *structure, const char *name, const char *string)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_interned_string (&value, string);
  gst_structure_take_value (structure, name, &value);
}

static void
take_labels (GstStructure *structure, const char *name, Runtime *runtime, const guint *order,
    guint n)
{
  GValue array = G_VALUE_INIT, item = G_VALUE_INIT;

  g_value_init (&array, GST_TYPE_ARRAY);
  for (guint i = 0; i < n; i++) {
    g_value_init (&item, G_TYPE_STRING);
    g_value_set_interned_string (&item, runtime_get_label (runtime, order[i])); /* free to copy */
    gst_value_array_append_and_take_value (&array, &item);
  }
  gst_structure_take_value (structure, name, &array);
}

static void
take_double_array (
    GstStructure *structure, const char *name, const float *values, const guint *order, guint n)
{
  GValue array = G_VALUE_INIT, item = G_VALUE_INIT;

  g_value_init (&array, GST_TYPE_ARRAY);
  for (guint i = 0; i < n; i++) {
    g_value_init (&item, G_TYPE_DOUBLE);
    g_value_set_double (&item, values[order[i]]);
    gst_value_array_append_and_take_value (&array, &item);
  }
  gst_structure_take_value (structure, name, &array);
}

/* The whole pixels that the region lies in. */
static GstVideoRectangle
get_rectangle (const Region *region)
{
  const NnRect *r = &region->rect;
  const double x = floor (r->x), y = floor (r->y);

  return (GstVideoRectangle){ (int)x, (int)y, (int)(ceil (r->x + r->width) - x),
    (int)(ceil (r->y + r->height) - y) };
}

static void
set_region (GstStructure *structure, const Region *region)
{
  if (region->is_whole)
    return;
  if (region->id >= 0)
    gst_structure_set (structure, "region", G_TYPE_INT, region->id, NULL);
  if (region->label)
    set_interned (structure, "region-label", g_quark_to_string (region->label));
}

gboolean
result_has_numbers (const float *probabilities, guint n)
{
  for (guint i = 0; i < n; i++)
    if (!isfinite (probabilities[i]))
      return FALSE;
  return TRUE;
}

/* The classes, best first; the one that @values names before all. */
static void
sort_classes (const ResultValues *values, guint n, guint *order)
{
  guint k = 0;

  nn_top_k (values->probabilities, n, n, order);
  if (values->index < 0)
    return;
  while (order[k] != (guint)values->index)
    k++;
  for (; k > 0; k--)
    order[k] = order[k - 1];
  order[0] = (guint)values->index;
}

Result *
result_new (const Task *task, const Region *region, const ResultValues *values)
{
  Runtime *runtime = task->runtime;
  const guint n = runtime->n_classes;
  const gboolean has_numbers = result_has_numbers (values->probabilities, n);
  const guint top_k = has_numbers ? MIN (values->top_k, n) : 0;
  g_autofree guint *order = g_new (guint, n);
  Result *result = g_new0 (Result, 1);
  GstStructure *s = gst_structure_new_empty (GST_CLASSIFY_META_NAME);
  double probability = NAN;
  gboolean is_known = FALSE;

  if (has_numbers) {
    sort_classes (values, n, order);
    probability = values->probabilities[order[0]];
    is_known = probability >= values->threshold;
  }
  set_interned (s, "label",
      is_known ? runtime_get_label (runtime, order[0])
               : g_intern_static_string (GST_CLASSIFY_UNKNOWN_LABEL));
  gst_structure_set (s, "index", G_TYPE_INT, is_known ? (int)order[0] : -1, "probability",
      G_TYPE_DOUBLE, probability, "age", G_TYPE_UINT, 0, "age-time", G_TYPE_UINT64, (guint64)0,
      "inference-time", G_TYPE_UINT64, values->inference_time, "views", G_TYPE_UINT, task->n_views,
      NULL);
  set_interned (s, "device", runtime->device_name);
  set_interned (s, "model", runtime->model_name);
  take_labels (s, "labels", runtime, order, top_k);
  take_double_array (s, "probabilities", values->probabilities, order, top_k);
  if (values->raw && has_numbers) {
    guint best;

    nn_top_k (values->raw, n, 1, &best);
    set_interned (s, "raw-label", runtime_get_label (runtime, best));
    gst_structure_set (s, "raw-probability", G_TYPE_DOUBLE, (double)values->raw[best], NULL);
  }
  set_region (s, region);

  result->ref_count = 1;
  result->region = *region;
  result->frame = task->frame;
  result->pts = task->pts;
  result->structure = s;
  result->n_top = top_k;
  result->confidences = g_new (float, top_k);
  result->quarks = g_new (GQuark, top_k);
  for (guint i = 0; i < top_k; i++) {
    result->confidences[i] = values->probabilities[order[i]];
    result->quarks[i] = runtime->quarks[order[i]]; /* their labels were told above */
  }
  return result;
}

Result *
result_ref (Result *result)
{
  g_atomic_int_inc (&result->ref_count);
  return result;
}

void
result_unref (Result *result)
{
  if (!g_atomic_int_dec_and_test (&result->ref_count))
    return;
  gst_structure_free (result->structure);
  g_free (result->confidences);
  g_free (result->quarks);
  g_free (result);
}

const char *
result_get_label (const Result *result)
{
  return g_intern_string (gst_structure_get_string (result->structure, "label"));
}

double
result_get_probability (const Result *result)
{
  double probability = 0;

  gst_structure_get_double (result->structure, "probability", &probability);
  return probability;
}

/* what readers of gvaclassify's results look for */
static void
add_roi_param (const Result *result, GstBuffer *buffer, int id)
{
  GstVideoRegionOfInterestMeta *roi = gst_buffer_get_video_region_of_interest_meta_id (buffer, id);

  if (roi && isfinite (result_get_probability (result)))
    gst_video_region_of_interest_meta_add_param (
        roi, gst_structure_new ("classification", "label", G_TYPE_STRING, result_get_label (result),
                 "confidence", G_TYPE_DOUBLE, result_get_probability (result), NULL));
}

void
result_attach (
    const Result *result, GstBuffer *buffer, const Region *region, guint64 frame, GstClockTime pts)
{
  const GstVideoRectangle rectangle = get_rectangle (region);
  GstStructure *s = gst_buffer_add_video_classify (
      buffer, result->structure, region->is_whole ? NULL : &rectangle);

  if (frame != result->frame) {
    const gboolean has_times = GST_CLOCK_TIME_IS_VALID (pts)
                               && GST_CLOCK_TIME_IS_VALID (result->pts) && pts > result->pts;

    gst_structure_set (s, "age", G_TYPE_UINT, (guint)(frame - result->frame), "age-time",
        G_TYPE_UINT64, has_times ? pts - result->pts : (guint64)0, NULL);
    set_region (s, region); /* where it is now */
  }
  if (!region->is_whole)
    add_roi_param (result, buffer, region->id);
  if (result->n_top > 0)
    gst_video_classify_add_analytics (
        buffer, region->mtd, result->n_top, result->confidences, result->quarks);
}

GstStructure *
result_to_structure (const Result *result, const Task *task)
{
  GstStructure *structure = gst_structure_copy (result->structure);
  const GstVideoRectangle r = get_rectangle (&result->region);

  if (!result->region.is_whole)
    gst_structure_set (structure, "x", G_TYPE_INT, r.x - (int)task->visible.x, "y", G_TYPE_INT,
        r.y - (int)task->visible.y, "width", G_TYPE_INT, r.w, "height", G_TYPE_INT, r.h, NULL);
  gst_structure_set_name (structure, GST_CLASSIFY_MESSAGE_NAME);
  gst_structure_remove_fields (structure, "age", "age-time", NULL);
  gst_structure_set (structure, "timestamp", G_TYPE_UINT64, task->pts, "stream-time", G_TYPE_UINT64,
      task->stream_time, "running-time", G_TYPE_UINT64, task->running_time, "duration",
      G_TYPE_UINT64, task->duration, NULL);
  return structure;
}
