/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:result
 * @title: GstClassifyResult
 * @short_description: what videoclassify found out, for applications
 *
 * The element videoclassify tells its results as structures: in metas on buffers, in
 * messages on the bus and in its signal `classified`. Here they are read into one type:
 * gst_classify_buffer_get_results() from a buffer, gst_classify_result_from_message()
 * from a message, gst_classify_result_from_structure() from the signal.
 *
 * |[<!-- language="C" -->
 * static void
 * on_message (GstBus *bus, GstMessage *message, gpointer user_data)
 * {
 *   g_autoptr (GstClassifyResult) result = gst_classify_result_from_message (message);
 *
 *   if (result)
 *     g_print ("%s %.2f\n", gst_classify_result_get_label (result),
 *         gst_classify_result_get_probability (result));
 * }
 * ]|
 *
 * Since: 0.1
 */

#include <gst/classify/classify.h>
#include <gst/video/gstvideometa.h>

struct _GstClassifyResult {
  gatomicrefcount ref_count;
  GstStructure *structure; /* owns the strings */
  const char *label, *raw_label, *region_label, *model, *device;
  int index, region_id, x, y, width, height;
  double probability, raw_probability;
  guint n, age, views;
  const char **labels; /* n, then NULL */
  double *probabilities;
  gboolean has_rectangle;
  GstClockTime age_time, inference_time, timestamp, duration, stream_time, running_time;
};

G_DEFINE_BOXED_TYPE (
    GstClassifyResult, gst_classify_result, gst_classify_result_ref, gst_classify_result_unref)

static GstClockTime
time_of (const GstStructure *structure, const char *name, GstClockTime otherwise)
{
  guint64 time = otherwise;

  gst_structure_get_uint64 (structure, name, &time);
  return time;
}

/* As many as both arrays have: a class is told by a label and a probability. */
static void
read_classes (GstClassifyResult *self)
{
  const GValue *labels = gst_structure_get_value (self->structure, "labels");
  const GValue *probabilities = gst_structure_get_value (self->structure, "probabilities");
  guint n = 0;

  if (labels && probabilities && GST_VALUE_HOLDS_ARRAY (labels)
      && GST_VALUE_HOLDS_ARRAY (probabilities))
    n = MIN (gst_value_array_get_size (labels), gst_value_array_get_size (probabilities));
  self->labels = g_new0 (const char *, (gsize)n + 1);
  self->probabilities = g_new0 (double, n);
  for (guint i = 0; i < n; i++) {
    const GValue *label = gst_value_array_get_value (labels, i);
    const GValue *probability = gst_value_array_get_value (probabilities, i);

    if (!G_VALUE_HOLDS_STRING (label) || !g_value_get_string (label)
        || !G_VALUE_HOLDS_DOUBLE (probability))
      break;
    self->labels[i] = g_value_get_string (label);
    self->probabilities[i] = g_value_get_double (probability);
    self->n = i + 1;
  }
}

/* NULL where @structure has nothing that could be a result. */
static GstClassifyResult *
result_new (const GstStructure *structure)
{
  GstClassifyResult *self;
  GstStructure *s;
  double probability;

  if (!gst_structure_get_string (structure, "label")
      || !gst_structure_get_double (structure, "probability", &probability))
    return NULL;
  self = g_new0 (GstClassifyResult, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->structure = s = gst_structure_copy (structure);
  self->label = gst_structure_get_string (s, "label");
  self->raw_label = gst_structure_get_string (s, "raw-label");
  self->region_label = gst_structure_get_string (s, "region-label");
  self->model = gst_structure_get_string (s, "model");
  self->device = gst_structure_get_string (s, "device");
  self->probability = probability;
  gst_structure_get_double (s, "raw-probability", &self->raw_probability);
  self->index = self->region_id = -1;
  gst_structure_get_int (s, "index", &self->index);
  gst_structure_get_int (s, "region", &self->region_id);
  self->has_rectangle = gst_structure_get (s, "x", G_TYPE_INT, &self->x, "y", G_TYPE_INT, &self->y,
      "width", G_TYPE_INT, &self->width, "height", G_TYPE_INT, &self->height, NULL);
  self->views = 1;
  gst_structure_get_uint (s, "views", &self->views);
  gst_structure_get_uint (s, "age", &self->age);
  self->age_time = time_of (s, "age-time", 0);
  self->inference_time = time_of (s, "inference-time", GST_CLOCK_TIME_NONE);
  self->timestamp = time_of (s, "timestamp", GST_CLOCK_TIME_NONE);
  self->duration = time_of (s, "duration", GST_CLOCK_TIME_NONE);
  self->stream_time = time_of (s, "stream-time", GST_CLOCK_TIME_NONE);
  self->running_time = time_of (s, "running-time", GST_CLOCK_TIME_NONE);
  read_classes (self);
  return self;
}

/* The next of @buffer that is a result. */
static GstClassifyResult *
next_of_buffer (GstBuffer *buffer, const GstMetaInfo *info, gpointer *state)
{
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, state, info->api))) {
    GstClassifyResult *self = result_new (gst_custom_meta_get_structure ((GstCustomMeta *)meta));

    if (self) {
      if (crop && self->has_rectangle) {
        self->x -= (int)crop->x;
        self->y -= (int)crop->y;
      }
      self->timestamp = GST_BUFFER_PTS (buffer);
      self->duration = GST_BUFFER_DURATION (buffer);
      return self;
    }
  }
  return NULL;
}

/**
 * gst_classify_buffer_get_results:
 * @buffer: a #GstBuffer
 *
 * The results on @buffer: one for the frame, or one for each of its regions. Free them with
 * `g_list_free_full (results, (GDestroyNotify) gst_classify_result_unref)`.
 *
 * Returns: (transfer full) (nullable) (element-type GstClassifyResult): the results in the
 *   order in which they were added, %NULL if there is none
 *
 * Since: 0.1
 */
GList *
gst_classify_buffer_get_results (GstBuffer *buffer)
{
  const GstMetaInfo *info = gst_meta_get_info (GST_CLASSIFY_META_NAME);
  GstClassifyResult *result;
  gpointer state = NULL;
  GList *results = NULL;

  g_return_val_if_fail (GST_IS_BUFFER (buffer), NULL);
  while (info && (result = next_of_buffer (buffer, info, &state)))
    results = g_list_prepend (results, result);
  return g_list_reverse (results);
}

/**
 * gst_classify_buffer_get_result:
 * @buffer: a #GstBuffer
 *
 * The first result on @buffer, which is the only one unless regions are classified.
 *
 * Returns: (transfer full) (nullable): the result, %NULL if there is none
 *
 * Since: 0.1
 */
GstClassifyResult *
gst_classify_buffer_get_result (GstBuffer *buffer)
{
  const GstMetaInfo *info = gst_meta_get_info (GST_CLASSIFY_META_NAME);
  gpointer state = NULL;

  g_return_val_if_fail (GST_IS_BUFFER (buffer), NULL);
  return info ? next_of_buffer (buffer, info, &state) : NULL;
}

/**
 * gst_classify_result_from_message:
 * @message: any #GstMessage
 *
 * Reads an element message of videoclassify.
 *
 * Returns: (transfer full) (nullable): the result, %NULL if @message is another one
 *
 * Since: 0.1
 */
GstClassifyResult *
gst_classify_result_from_message (GstMessage *message)
{
  g_return_val_if_fail (GST_IS_MESSAGE (message), NULL);
  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_ELEMENT
      || !gst_message_has_name (message, GST_CLASSIFY_MESSAGE_NAME))
    return NULL;
  return result_new (gst_message_get_structure (message));
}

/**
 * gst_classify_result_from_structure:
 * @structure: any #GstStructure
 *
 * Reads the structure that the signal `classified` hands out, or that of a meta or message.
 *
 * Returns: (transfer full) (nullable): the result, %NULL if @structure is none of these
 *
 * Since: 0.1
 */
GstClassifyResult *
gst_classify_result_from_structure (const GstStructure *structure)
{
  g_return_val_if_fail (structure != NULL, NULL);
  if (!gst_structure_has_name (structure, GST_CLASSIFY_MESSAGE_NAME)
      && !gst_structure_has_name (structure, GST_CLASSIFY_META_NAME))
    return NULL;
  return result_new (structure);
}

/**
 * gst_classify_result_ref: (skip)
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer full): @result
 *
 * Since: 0.1
 */
GstClassifyResult *
gst_classify_result_ref (GstClassifyResult *result)
{
  g_atomic_ref_count_inc (&result->ref_count);
  return result;
}

/**
 * gst_classify_result_unref: (skip)
 * @result: (transfer full): a #GstClassifyResult
 *
 * Since: 0.1
 */
void
gst_classify_result_unref (GstClassifyResult *result)
{
  if (!g_atomic_ref_count_dec (&result->ref_count))
    return;
  gst_structure_free (result->structure);
  g_free (result->labels);
  g_free (result->probabilities);
  g_free (result);
}

/**
 * gst_classify_result_get_label:
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer none): the best label, #GST_CLASSIFY_UNKNOWN_LABEL where its probability
 *   is below the element's threshold
 *
 * Since: 0.1
 */
const gchar *
gst_classify_result_get_label (const GstClassifyResult *result)
{
  return result->label;
}

/**
 * gst_classify_result_get_index:
 * @result: a #GstClassifyResult
 *
 * Returns: the number of the best label in the model, from 0; -1 where it is unknown
 *
 * Since: 0.1
 */
gint
gst_classify_result_get_index (const GstClassifyResult *result)
{
  return result->index;
}

/**
 * gst_classify_result_is_known:
 * @result: a #GstClassifyResult
 *
 * Returns: whether the best label is as probable as the element's threshold wants
 *
 * Since: 0.1
 */
gboolean
gst_classify_result_is_known (const GstClassifyResult *result)
{
  return result->index >= 0;
}

/**
 * gst_classify_result_get_probability:
 * @result: a #GstClassifyResult
 *
 * Returns: the probability of the best label, known or not, from 0 to 1
 *
 * Since: 0.1
 */
gdouble
gst_classify_result_get_probability (const GstClassifyResult *result)
{
  return result->probability;
}

/**
 * gst_classify_result_get_labels:
 * @result: a #GstClassifyResult
 *
 * The element's property `top-k` says how many there are at most.
 *
 * Returns: (transfer none) (array zero-terminated=1): the labels, best first
 *
 * Since: 0.1
 */
const gchar *const *
gst_classify_result_get_labels (const GstClassifyResult *result)
{
  return result->labels;
}

/**
 * gst_classify_result_get_probabilities:
 * @result: a #GstClassifyResult
 * @n_probabilities: (out) (optional): how many there are
 *
 * Returns: (transfer none) (array length=n_probabilities): the probabilities of
 *   gst_classify_result_get_labels(), in the same order
 *
 * Since: 0.1
 */
const gdouble *
gst_classify_result_get_probabilities (const GstClassifyResult *result, gsize *n_probabilities)
{
  if (n_probabilities)
    *n_probabilities = result->n;
  return result->probabilities;
}

/**
 * gst_classify_result_get_raw_label:
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer none) (nullable): the best label of this one classification where the
 *   result was smoothed over time, %NULL where it was not
 *
 * Since: 0.1
 */
const gchar *
gst_classify_result_get_raw_label (const GstClassifyResult *result)
{
  return result->raw_label;
}

/**
 * gst_classify_result_get_raw_probability:
 * @result: a #GstClassifyResult
 *
 * Returns: the probability of gst_classify_result_get_raw_label(), 0 where that is %NULL
 *
 * Since: 0.1
 */
gdouble
gst_classify_result_get_raw_probability (const GstClassifyResult *result)
{
  return result->raw_probability;
}

/**
 * gst_classify_result_get_rectangle:
 * @result: a #GstClassifyResult
 * @x: (out) (optional): left edge in pixels
 * @y: (out) (optional): upper edge in pixels
 * @width: (out) (optional): width in pixels
 * @height: (out) (optional): height in pixels
 *
 * The part of the frame that @result is about, in pixels of the frame as it is seen: of a
 * buffer with a GstVideoCropMeta, of what that shows. It may lie outside where the frame was
 * cropped afterwards.
 *
 * Returns: %FALSE where that is the whole frame, or where an element has moved the picture
 *   without telling where to; the numbers are 0 then
 *
 * Since: 0.1
 */
gboolean
gst_classify_result_get_rectangle (
    const GstClassifyResult *result, gint *x, gint *y, gint *width, gint *height)
{
  const gboolean has = result->has_rectangle;

  if (x)
    *x = has ? result->x : 0;
  if (y)
    *y = has ? result->y : 0;
  if (width)
    *width = has ? result->width : 0;
  if (height)
    *height = has ? result->height : 0;
  return has;
}

/**
 * gst_classify_result_get_region_id:
 * @result: a #GstClassifyResult
 *
 * Returns: id of the GstVideoRegionOfInterestMeta that @result is about, -1 for none
 *
 * Since: 0.1
 */
gint
gst_classify_result_get_region_id (const GstClassifyResult *result)
{
  return result->region_id;
}

/**
 * gst_classify_result_get_region_label:
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer none) (nullable): what the detector called the region
 *
 * Since: 0.1
 */
const gchar *
gst_classify_result_get_region_label (const GstClassifyResult *result)
{
  return result->region_label;
}

/**
 * gst_classify_result_get_model:
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer none) (nullable): the model file's name, without its folder
 *
 * Since: 0.1
 */
const gchar *
gst_classify_result_get_model (const GstClassifyResult *result)
{
  return result->model;
}

/**
 * gst_classify_result_get_device:
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer none) (nullable): what it was computed on: "cpu", "cuda:0"
 *
 * Since: 0.1
 */
const gchar *
gst_classify_result_get_device (const GstClassifyResult *result)
{
  return result->device;
}

/**
 * gst_classify_result_get_views:
 * @result: a #GstClassifyResult
 *
 * Returns: views of the frame whose probabilities were averaged, 1 without test-time
 *   augmentation
 *
 * Since: 0.1
 */
guint
gst_classify_result_get_views (const GstClassifyResult *result)
{
  return result->views;
}

/**
 * gst_classify_result_get_age:
 * @result: a #GstClassifyResult
 *
 * How old the result on a buffer is, where not every frame is classified or frames do not
 * wait for their results.
 *
 * Returns: frames since the classified one, 0 for this frame itself
 *
 * Since: 0.1
 */
guint
gst_classify_result_get_age (const GstClassifyResult *result)
{
  return result->age;
}

/**
 * gst_classify_result_get_age_time:
 * @result: a #GstClassifyResult
 *
 * Returns: the age as a time
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_result_get_age_time (const GstClassifyResult *result)
{
  return result->age_time;
}

/**
 * gst_classify_result_get_inference_time:
 * @result: a #GstClassifyResult
 *
 * Returns: how long pre-processing and network took
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_result_get_inference_time (const GstClassifyResult *result)
{
  return result->inference_time;
}

/**
 * gst_classify_result_get_timestamp:
 * @result: a #GstClassifyResult
 *
 * Returns: presentation time of the frame that @result came with; of its buffer, or with
 *   messages and the signal of the classified frame. %GST_CLOCK_TIME_NONE if not known
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_result_get_timestamp (const GstClassifyResult *result)
{
  return result->timestamp;
}

/**
 * gst_classify_result_get_duration:
 * @result: a #GstClassifyResult
 *
 * Returns: duration of the frame, %GST_CLOCK_TIME_NONE if not known
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_result_get_duration (const GstClassifyResult *result)
{
  return result->duration;
}

/**
 * gst_classify_result_get_stream_time:
 * @result: a #GstClassifyResult
 *
 * The time to show to people: where in the file or stream.
 *
 * Returns: stream time of the classified frame, %GST_CLOCK_TIME_NONE if not known: on a buffer
 *   only its segment tells
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_result_get_stream_time (const GstClassifyResult *result)
{
  return result->stream_time;
}

/**
 * gst_classify_result_get_running_time:
 * @result: a #GstClassifyResult
 *
 * Returns: running time of the classified frame, %GST_CLOCK_TIME_NONE if not known: on a
 *   buffer only its segment tells
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_result_get_running_time (const GstClassifyResult *result)
{
  return result->running_time;
}

/**
 * gst_classify_result_get_structure:
 * @result: a #GstClassifyResult
 *
 * Returns: (transfer none): all fields as the element wrote them, also those that this version
 *   of the library does not know; see #GST_CLASSIFY_META_NAME
 *
 * Since: 0.1
 */
const GstStructure *
gst_classify_result_get_structure (const GstClassifyResult *result)
{
  return result->structure;
}
