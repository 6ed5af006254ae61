/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-videoclassify
 * @title: videoclassify
 * @short_description: classifies video frames with a trained network
 *
 * Gives every frame the labels and probabilities of an image classifier: a
 * Keras model file (HDF5), or one that the command `classify train` wrote. The
 * frames pass through untouched, in whatever raw format they have; the
 * pre-processing is the one stored in the model file.
 *
 * Results are on every buffer as the custom meta `GstVideoClassifyMeta`, on the
 * bus as element messages named `videoclassify`, in the signal
 * #GstVideoClassify::classified and in the properties `label` and
 * `probability`. The structure of message and signal has the fields label
 * (string), index (int), probability (double), labels and probabilities
 * (arrays, best first), timestamp, stream-time, running-time, duration,
 * inference-time (uint64, ns), views (uint), device and model (string).
 *
 * When the frames come faster than they can be classified downstream says so
 * (QoS), and the element skips the classification of late frames, never the
 * frames: these carry the last result with its age.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -m filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 ! fakesink
 * ]| Prints a message each time the label changes.
 * |[
 * gst-launch-1.0 v4l2src ! videoclassify model=cats-dogs.h5 post-messages=all tta=flip ! \
 *   videoconvert ! autovideosink
 * ]| Classifies a camera, averaging each frame and its mirror image.
 *
 * Since: 0.1
 */

#include "gst/gstvideoclassify.h"

#include <gst/video/video.h>
#include <string.h>

#include "gst/analytics.h"
#include "gst/formats.h"
#include "gst/gstclassifymeta.h"
#include "gst/model-cache.h"
#include "nn/backend.h"
#include "nn/error.h"

GST_DEBUG_CATEGORY_STATIC (video_classify_debug);
#define GST_CAT_DEFAULT video_classify_debug

#define UNKNOWN_LABEL "unknown"

typedef enum
{
  PRECISION_AUTO,
  PRECISION_FP32,
  PRECISION_TF32,
  PRECISION_FP16,
  PRECISION_BF16,
} GstVideoClassifyPrecision;

typedef enum
{
  TTA_NONE,
  TTA_FLIP,
} GstVideoClassifyTta;

typedef enum
{
  POST_NONE,
  POST_CHANGES,
  POST_ALL,
} GstVideoClassifyPost;

#define DEFAULT_DEVICE "auto"
#define DEFAULT_PRECISION PRECISION_AUTO
#define DEFAULT_THREADS 0
#define DEFAULT_TOP_K 5
#define DEFAULT_THRESHOLD 0.0
#define DEFAULT_INTERVAL 1
#define DEFAULT_TTA TTA_NONE
#define DEFAULT_POST POST_CHANGES
#define DEFAULT_SKIP_LATE TRUE
#define DEFAULT_REPORT_LATENCY FALSE

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_WEIGHTS,
  PROP_LABELS_FILE,
  PROP_DEVICE,
  PROP_PRECISION,
  PROP_THREADS,
  PROP_TOP_K,
  PROP_THRESHOLD,
  PROP_INFERENCE_INTERVAL,
  PROP_TTA,
  PROP_POST_MESSAGES,
  PROP_SKIP_LATE,
  PROP_REPORT_LATENCY,
  PROP_LABEL,
  PROP_PROBABILITY,
  PROP_INFERENCE_TIME,
  PROP_FRAMES,
  PROP_CLASSIFIED,
  PROP_SKIPPED_LATE,
  N_PROPERTIES,
};

enum
{
  SIGNAL_CLASSIFIED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

typedef struct
{
  guint top_k, interval;
  double threshold;
  GstVideoClassifyPost post;
  gboolean skip_late;
} Settings;

struct _GstVideoClassify
{
  GstBaseTransform parent;

  /* under the object lock */
  char *model_path, *weights_path, *labels_path, *device;
  GstVideoClassifyPrecision precision;
  GstVideoClassifyTta tta;
  guint threads;
  gboolean report_latency;
  Settings settings;
  GstClockTime earliest_time; /* running time before which frames are too late */
  const char *label;          /* of the last result; interned */
  double probability;
  GstClockTime inference_time, reported_latency;
  guint64 n_frames, n_classified, n_late;

  /* between start() and stop(), streaming thread only */
  NnModel *model;
  NnBackend *backend;
  NnPlan *plan;
  guint n_views, n_classes;
  const char *model_name, *device_name; /* interned */
  const char **labels;                  /* n_classes, interned */
  GQuark *quarks, *top_quarks;
  float *probabilities, *view, *top_confidences;
  guint *order;

  GstVideoInfo info;
  NnImageInfo image;
  NnSampler *sampler;
  NnRect crop; /* what the sampler was made for */

  GstStructure *result; /* of the last classification: what the meta holds; NULL: none yet */
  guint age;            /* frames since it */
  guint until_next;     /* frames to pass before the next classification */
  const char *posted;   /* label of the last message; interned */
};

G_DEFINE_TYPE (GstVideoClassify, gst_video_classify, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (
    videoclassify, "videoclassify", GST_RANK_NONE, GST_TYPE_VIDEO_CLASSIFY)

/* --- enums ---------------------------------------------------------------------- */

#define DEFINE_ENUM(name, type_name, ...) \
  static GType name (void) \
  { \
    static gsize type; \
    static const GEnumValue values[] = { __VA_ARGS__, { 0, NULL, NULL } }; \
    if (g_once_init_enter (&type)) \
      g_once_init_leave (&type, g_enum_register_static (type_name, values)); \
    return type; \
  }

DEFINE_ENUM (precision_get_type, "GstVideoClassifyPrecision",
    { PRECISION_AUTO, "The device's usual one: fp32 on the CPU", "auto" },
    { PRECISION_FP32, "32-bit floats throughout", "fp32" },
    { PRECISION_TF32, "TensorFloat-32 products (CUDA)", "tf32" },
    { PRECISION_FP16, "16-bit floats, 32-bit sums (CUDA)", "fp16" },
    { PRECISION_BF16, "bfloat16 where that is faster, 32-bit sums", "bf16" })
DEFINE_ENUM (tta_get_type, "GstVideoClassifyTta", { TTA_NONE, "The frame as it is", "none" },
    { TTA_FLIP, "Mean over the frame and its mirror image", "flip" })
DEFINE_ENUM (post_get_type, "GstVideoClassifyPost", { POST_NONE, "No messages", "none" },
    { POST_CHANGES, "When the label changes", "changes" },
    { POST_ALL, "Every result", "all" })

/* --- properties -------------------------------------------------------------------- */

static void
set_string (GstVideoClassify *self, char **field, const GValue *value)
{
  g_free (*field);
  *field = g_value_dup_string (value);
}

static void
gst_video_classify_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_MODEL:
      set_string (self, &self->model_path, value);
      break;
    case PROP_WEIGHTS:
      set_string (self, &self->weights_path, value);
      break;
    case PROP_LABELS_FILE:
      set_string (self, &self->labels_path, value);
      break;
    case PROP_DEVICE:
      set_string (self, &self->device, value);
      break;
    case PROP_PRECISION:
      self->precision = g_value_get_enum (value);
      break;
    case PROP_THREADS:
      self->threads = g_value_get_uint (value);
      break;
    case PROP_TOP_K:
      self->settings.top_k = g_value_get_uint (value);
      break;
    case PROP_THRESHOLD:
      self->settings.threshold = g_value_get_double (value);
      break;
    case PROP_INFERENCE_INTERVAL:
      self->settings.interval = g_value_get_uint (value);
      break;
    case PROP_TTA:
      self->tta = g_value_get_enum (value);
      break;
    case PROP_POST_MESSAGES:
      self->settings.post = g_value_get_enum (value);
      break;
    case PROP_SKIP_LATE:
      self->settings.skip_late = g_value_get_boolean (value);
      break;
    case PROP_REPORT_LATENCY:
      self->report_latency = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_video_classify_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_MODEL:
      g_value_set_string (value, self->model_path);
      break;
    case PROP_WEIGHTS:
      g_value_set_string (value, self->weights_path);
      break;
    case PROP_LABELS_FILE:
      g_value_set_string (value, self->labels_path);
      break;
    case PROP_DEVICE:
      g_value_set_string (value, self->device);
      break;
    case PROP_PRECISION:
      g_value_set_enum (value, self->precision);
      break;
    case PROP_THREADS:
      g_value_set_uint (value, self->threads);
      break;
    case PROP_TOP_K:
      g_value_set_uint (value, self->settings.top_k);
      break;
    case PROP_THRESHOLD:
      g_value_set_double (value, self->settings.threshold);
      break;
    case PROP_INFERENCE_INTERVAL:
      g_value_set_uint (value, self->settings.interval);
      break;
    case PROP_TTA:
      g_value_set_enum (value, self->tta);
      break;
    case PROP_POST_MESSAGES:
      g_value_set_enum (value, self->settings.post);
      break;
    case PROP_SKIP_LATE:
      g_value_set_boolean (value, self->settings.skip_late);
      break;
    case PROP_REPORT_LATENCY:
      g_value_set_boolean (value, self->report_latency);
      break;
    case PROP_LABEL:
      g_value_set_static_string (value, self->label);
      break;
    case PROP_PROBABILITY:
      g_value_set_double (value, self->probability);
      break;
    case PROP_INFERENCE_TIME:
      g_value_set_uint64 (value, self->inference_time);
      break;
    case PROP_FRAMES:
      g_value_set_uint64 (value, self->n_frames);
      break;
    case PROP_CLASSIFIED:
      g_value_set_uint64 (value, self->n_classified);
      break;
    case PROP_SKIPPED_LATE:
      g_value_set_uint64 (value, self->n_late);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

/* --- start and stop ------------------------------------------------------------------- */

/* Never called with a lock held. */
static void
post_error (GstVideoClassify *self, const GError *error)
{
  GST_ERROR_OBJECT (self, "%s", error->message);
  if (g_error_matches (error, NN_ERROR, NN_ERROR_NOT_FOUND))
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_READ))
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_NO_MEMORY))
    GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_BACKEND)
      || g_error_matches (error, NN_ERROR, NN_ERROR_UNSUPPORTED))
    GST_ELEMENT_ERROR (self, LIBRARY, INIT, ("%s", error->message), (NULL));
  else if (g_error_matches (error, NN_ERROR, NN_ERROR_RUN))
    GST_ELEMENT_ERROR (self, LIBRARY, FAILED, ("%s", error->message), (NULL));
  else
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, ("%s", error->message), (NULL));
}

static void
forget_stream (GstVideoClassify *self)
{
  g_clear_pointer (&self->result, gst_structure_free);
  self->age = 0;
  self->until_next = 0;
  self->posted = NULL;
  GST_OBJECT_LOCK (self);
  self->earliest_time = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_video_classify_stop (GstBaseTransform *trans)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);

  forget_stream (self);
  g_clear_pointer (&self->sampler, nn_sampler_free);
  g_clear_pointer (&self->plan, nn_plan_free);
  g_clear_pointer (&self->backend, nn_backend_unref);
  g_clear_pointer (&self->model, model_cache_release);
  g_clear_pointer (&self->labels, g_free);
  g_clear_pointer (&self->quarks, g_free);
  g_clear_pointer (&self->top_quarks, g_free);
  g_clear_pointer (&self->top_confidences, g_free);
  g_clear_pointer (&self->probabilities, g_free);
  g_clear_pointer (&self->view, g_free);
  g_clear_pointer (&self->order, g_free);
  return TRUE;
}

static gboolean
load (GstVideoClassify *self, const char *path, const char *weights, const char *labels_file,
    const char *device, const NnPlanOptions *options, GError **error)
{
  g_autofree char *description = NULL, *pre = NULL, *name = NULL;

  self->model = model_cache_get (path, weights, labels_file, error);
  if (!self->model)
    return FALSE;
  if (!self->model->has_weights) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: a network without weights: name a Keras weights file in the property \"weights\"",
        path);
    return FALSE;
  }
  self->backend = nn_backend_open (device, error);
  if (!self->backend)
    return FALSE;
  self->plan = nn_plan_new (self->backend, self->model, options, error);
  if (!self->plan) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }

  self->n_classes = nn_model_get_n_classes (self->model);
  self->labels = g_new0 (const char *, self->n_classes);
  self->quarks = g_new0 (GQuark, self->n_classes);
  self->top_quarks = g_new0 (GQuark, self->n_classes);
  self->top_confidences = g_new0 (float, self->n_classes);
  self->probabilities = g_new0 (float, self->n_classes);
  self->view = g_new0 (float, self->n_classes);
  self->order = g_new0 (guint, self->n_classes);
  for (guint i = 0; i < self->n_classes; i++) {
    self->labels[i] = g_intern_string (nn_model_get_label (self->model, i));
    self->quarks[i] = g_quark_from_string (self->labels[i]);
  }
  name = g_path_get_basename (weights ? weights : path);
  self->model_name = g_intern_string (name);
  self->device_name = g_intern_string (nn_backend_get_device (self->backend));
  description = nn_plan_describe (self->plan);
  pre = nn_preprocess_to_string (&self->model->preprocess);
  GST_INFO_OBJECT (self, "model %s, %u classes, device %s (%s), %u threads", path, self->n_classes,
      self->device_name, nn_backend_get_description (self->backend),
      nn_plan_get_threads (self->plan));
  GST_INFO_OBJECT (self, "pre-processing: %s%s", pre,
      self->model->has_preprocess ? "" : " (the file names none: defaults)");
  GST_INFO_OBJECT (self, "plan:\n%s", description);
  return TRUE;
}

static gboolean
gst_video_classify_start (GstBaseTransform *trans)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  g_autofree char *path = NULL, *weights = NULL, *labels_file = NULL, *device = NULL;
  g_autoptr (GError) error = NULL;
  NnPlanOptions options = { 0 };
  static const NnPrecision precisions[] = { NN_PRECISION_AUTO, NN_PRECISION_FP32, NN_PRECISION_TF32,
    NN_PRECISION_FP16, NN_PRECISION_BF16 };

  GST_OBJECT_LOCK (self);
  path = g_strdup (self->model_path);
  weights = g_strdup (self->weights_path);
  labels_file = g_strdup (self->labels_path);
  device = g_strdup (self->device);
  options.precision = precisions[self->precision];
  options.threads = self->threads;
  self->n_views = self->tta == TTA_FLIP ? 2 : 1;
  self->n_frames = self->n_classified = self->n_late = 0;
  self->inference_time = self->reported_latency = 0;
  self->label = NULL;
  self->probability = 0;
  GST_OBJECT_UNLOCK (self);
  options.batch = self->n_views;

  if (!path || !*path) {
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND,
        ("no model: set the property \"model\" to a Keras model file, as in "
         "videoclassify model=cats-dogs.h5"),
        (NULL));
    return FALSE;
  }
  if (!load (self, path, weights, labels_file, device, &options, &error)) {
    gst_video_classify_stop (trans);
    post_error (self, error);
    return FALSE;
  }
  forget_stream (self);
  return TRUE;
}

/* --- negotiation ------------------------------------------------------------------------- */

/* @crop: NULL = the whole frame */
static gboolean
make_sampler (GstVideoClassify *self, const NnRect *crop)
{
  g_autoptr (GError) error = NULL;
  NnSampler *sampler
      = nn_sampler_new (&self->image, crop, &self->model->preprocess, &error);

  if (!sampler) {
    post_error (self, error);
    return FALSE;
  }
  nn_sampler_free (self->sampler);
  self->sampler = sampler;
  self->crop = crop ? *crop : (NnRect) { 0, 0, self->image.width, self->image.height };
  return TRUE;
}

static gboolean
gst_video_classify_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);

  if (!gst_video_info_from_caps (&self->info, incaps)
      || !gst_video_classify_image_info (&self->info, &self->image)) {
    GST_ERROR_OBJECT (self, "cannot work with caps %" GST_PTR_FORMAT, incaps);
    return FALSE;
  }
  GST_DEBUG_OBJECT (self, "caps %" GST_PTR_FORMAT, incaps);
  return make_sampler (self, NULL);
}

static gboolean
gst_video_classify_propose_allocation (GstBaseTransform *trans, GstQuery *decide, GstQuery *query)
{
  if (!GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)
           ->propose_allocation (trans, decide, query))
    return FALSE;
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  gst_query_add_allocation_meta (query, GST_VIDEO_CROP_META_API_TYPE, NULL);
  return TRUE;
}

/* --- events and queries ---------------------------------------------------------------------- */

static gboolean
gst_video_classify_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_STOP:
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT:
      forget_stream (self);
      break;
    default:
      break;
  }
  return GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->sink_event (trans, event);
}

static gboolean
gst_video_classify_src_event (GstBaseTransform *trans, GstEvent *event)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);

  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS) {
    GstQOSType type;
    GstClockTimeDiff diff;
    GstClockTime timestamp;

    gst_event_parse_qos (event, &type, NULL, &diff, &timestamp);
    if (GST_CLOCK_TIME_IS_VALID (timestamp)) {
      GST_OBJECT_LOCK (self);
      /* twice the lateness, to catch up and not only to keep the distance */
      if (diff > 0)
        self->earliest_time = timestamp + 2 * (GstClockTime) diff;
      else
        self->earliest_time = GST_CLOCK_TIME_NONE;
      GST_OBJECT_UNLOCK (self);
    }
  }
  return GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->src_event (trans, event);
}

static gboolean
gst_video_classify_query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  gboolean is_live, ok;
  GstClockTime min, max, own;

  ok = GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->query (trans, direction, query);
  if (!ok || direction != GST_PAD_SRC || GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return ok;
  GST_OBJECT_LOCK (self);
  own = self->report_latency ? self->reported_latency : 0;
  GST_OBJECT_UNLOCK (self);
  if (own > 0) {
    gst_query_parse_latency (query, &is_live, &min, &max);
    min += own;
    if (GST_CLOCK_TIME_IS_VALID (max))
      max += own;
    gst_query_set_latency (query, is_live, min, max);
  }
  return TRUE;
}

/* What is reported has 5 % head-room and follows when it is off by a quarter. */
static void
update_latency (GstVideoClassify *self, GstClockTime inference_time)
{
  const GstClockTime wanted = inference_time + inference_time / 20;
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
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

/* --- one frame --------------------------------------------------------------------------- */

static void
set_interned (GstStructure *structure, const char *name, const char *string)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_interned_string (&value, string);
  gst_structure_take_value (structure, name, &value);
}

static void
take_string_array (GstStructure *structure, const char *name, const char *const *labels,
    const guint *order, guint n)
{
  GValue array = G_VALUE_INIT, item = G_VALUE_INIT;

  g_value_init (&array, GST_TYPE_ARRAY);
  for (guint i = 0; i < n; i++) {
    g_value_init (&item, G_TYPE_STRING);
    g_value_set_interned_string (&item, labels[order[i]]); /* copies are free */
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

/* the structure of the meta: everything but the stream's times */
static GstStructure *
make_result (GstVideoClassify *self, const Settings *settings, GstClockTime inference_time)
{
  const guint top_k = MIN (settings->top_k, self->n_classes);
  const double probability = self->probabilities[self->order[0]];
  const gboolean is_known = probability >= settings->threshold;
  GstStructure *result = gst_structure_new_empty (GST_VIDEO_CLASSIFY_META_NAME);

  set_interned (result, "label",
      is_known ? self->labels[self->order[0]] : g_intern_static_string (UNKNOWN_LABEL));
  gst_structure_set (result, "index", G_TYPE_INT, is_known ? (int) self->order[0] : -1,
      "probability", G_TYPE_DOUBLE, probability, "age", G_TYPE_UINT, 0, "inference-time",
      G_TYPE_UINT64, inference_time, "views", G_TYPE_UINT, self->n_views, NULL);
  set_interned (result, "device", self->device_name);
  set_interned (result, "model", self->model_name);
  take_string_array (result, "labels", self->labels, self->order, top_k);
  take_double_array (result, "probabilities", self->probabilities, self->order, top_k);
  return result;
}

static gboolean
classify (GstVideoClassify *self, GstBuffer *buffer, GstClockTime *inference_time)
{
  const gsize size = nn_shape_count (nn_model_get_input_shape (self->model));
  const gsize n_outputs = nn_model_get_n_outputs (self->model);
  GstVideoCropMeta *crop_meta = gst_buffer_get_video_crop_meta (buffer);
  NnRect crop = { 0, 0, self->image.width, self->image.height };
  NnImagePlanes planes = { 0 };
  g_autoptr (GError) error = NULL;
  GstVideoFrame frame;
  const float *outputs;
  GstClockTime start = gst_util_get_timestamp ();

  if (crop_meta && crop_meta->width > 0 && crop_meta->height > 0)
    crop = (NnRect) { crop_meta->x, crop_meta->y, crop_meta->width, crop_meta->height };
  if (memcmp (&crop, &self->crop, sizeof crop) != 0 && !make_sampler (self, &crop))
    return FALSE;
  if (!gst_video_frame_map (
          &frame, &self->info, buffer, GST_MAP_READ | GST_VIDEO_FRAME_MAP_FLAG_NO_REF)) {
    GST_ELEMENT_ERROR (self, RESOURCE, READ,
        ("cannot read the frame: its memory does not hold a %s picture of %dx%d pixels",
            GST_VIDEO_INFO_NAME (&self->info), GST_VIDEO_INFO_WIDTH (&self->info),
            GST_VIDEO_INFO_HEIGHT (&self->info)),
        ("%" GST_PTR_FORMAT, buffer));
    return FALSE;
  }
  for (guint i = 0; i < MIN (GST_VIDEO_FRAME_N_PLANES (&frame), 3); i++) {
    planes.planes[i] = GST_VIDEO_FRAME_PLANE_DATA (&frame, i);
    planes.strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE (&frame, i);
  }
  for (guint v = 0; v < self->n_views; v++)
    nn_sampler_run (self->sampler, &planes, v == 1, nn_plan_get_input (self->plan) + v * size);
  gst_video_frame_unmap (&frame);

  outputs = nn_plan_run (self->plan, self->n_views, &error);
  if (!outputs) {
    post_error (self, error);
    return FALSE;
  }
  memset (self->probabilities, 0, self->n_classes * sizeof (float));
  for (guint v = 0; v < self->n_views; v++) {
    nn_model_get_probabilities (self->model, outputs + v * n_outputs, self->view);
    for (guint i = 0; i < self->n_classes; i++)
      self->probabilities[i] += self->view[i] / (float) self->n_views;
  }
  nn_top_k (self->probabilities, self->n_classes, self->n_classes, self->order);
  *inference_time = gst_util_get_timestamp () - start;
  return TRUE;
}

/* message, signal and properties of a new result */
static void
publish (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings,
    GstClockTime inference_time)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  const char *label = g_intern_string (gst_structure_get_string (self->result, "label"));
  const gboolean changed = label != self->posted;
  const gboolean post = settings->post == POST_ALL || (settings->post == POST_CHANGES && changed);
  const gboolean emit = g_signal_has_handler_pending (self, signals[SIGNAL_CLASSIFIED], 0, FALSE);
  const GstClockTime pts = GST_BUFFER_PTS (buffer);

  GST_OBJECT_LOCK (self);
  self->label = label;
  self->probability = self->probabilities[self->order[0]];
  self->inference_time = inference_time;
  self->n_classified++;
  GST_OBJECT_UNLOCK (self);
  if (changed)
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LABEL]);
  self->posted = label;
  if (!post && !emit)
    return;

  {
    GstStructure *structure = gst_structure_copy (self->result);

    gst_structure_set_name (structure, "videoclassify");
    gst_structure_remove_field (structure, "age");
    gst_structure_set (structure, "timestamp", G_TYPE_UINT64, pts, "stream-time", G_TYPE_UINT64,
        gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts), "running-time", G_TYPE_UINT64,
        gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts), "duration", G_TYPE_UINT64,
        GST_BUFFER_DURATION (buffer), NULL);
    if (emit)
      g_signal_emit (self, signals[SIGNAL_CLASSIFIED], 0, structure);
    if (post)
      gst_element_post_message (
          GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
    else
      gst_structure_free (structure);
  }
}

static void
post_qos (GstVideoClassify *self, GstBuffer *buffer, GstClockTime running_time, guint64 processed,
    guint64 dropped)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  GstMessage *message = gst_message_new_qos (GST_OBJECT (self), FALSE, running_time,
      gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer)),
      GST_BUFFER_PTS (buffer), GST_BUFFER_DURATION (buffer));

  /* "dropped" are classifications: no frame is */
  gst_message_set_qos_stats (message, GST_FORMAT_BUFFERS, processed, dropped);
  gst_element_post_message (GST_ELEMENT (self), message);
}

/* Whether the frame would come too late; counts and tells if so. */
static gboolean
is_late (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  GstClockTime running_time, earliest;
  guint64 processed, dropped;

  GST_OBJECT_LOCK (self);
  earliest = self->earliest_time;
  GST_OBJECT_UNLOCK (self);
  if (!settings->skip_late || !GST_CLOCK_TIME_IS_VALID (earliest)
      || !GST_BUFFER_PTS_IS_VALID (buffer) || segment->format != GST_FORMAT_TIME)
    return FALSE;
  running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (running_time) || running_time > earliest)
    return FALSE;
  GST_OBJECT_LOCK (self);
  processed = self->n_classified;
  dropped = ++self->n_late;
  GST_OBJECT_UNLOCK (self);
  post_qos (self, buffer, running_time, processed, dropped);
  return TRUE;
}

static GstFlowReturn
gst_video_classify_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  Settings settings;
  gboolean due;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  self->n_frames++;
  GST_OBJECT_UNLOCK (self);

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP)) /* nothing to see: keep the last */
    due = FALSE;
  else if (self->until_next > 0)
    due = --self->until_next == 0;
  else
    due = TRUE;
  if (due && self->result && is_late (self, buffer, &settings)) {
    self->until_next = 1; /* the next frame that is in time */
    due = FALSE;
  }
  if (due) {
    GstClockTime inference_time;

    if (!classify (self, buffer, &inference_time))
      return GST_FLOW_ERROR;
    g_clear_pointer (&self->result, gst_structure_free);
    self->result = make_result (self, &settings, inference_time);
    self->age = 0;
    self->until_next = settings.interval > 1 ? settings.interval : 0;
    publish (self, buffer, &settings, inference_time);
    update_latency (self, inference_time);
    GST_LOG_OBJECT (self, "%" GST_PTR_FORMAT, self->result);
  } else if (self->result) {
    self->age++;
  }
  if (self->result) {
    const guint top_k = MIN (settings.top_k, self->n_classes);

    gst_structure_set (self->result, "age", G_TYPE_UINT, self->age, NULL);
    gst_buffer_add_video_classify (buffer, self->result);
    for (guint i = 0; i < top_k; i++) {
      self->top_confidences[i] = self->probabilities[self->order[i]];
      self->top_quarks[i] = self->quarks[self->order[i]];
    }
    gst_video_classify_add_analytics (buffer, top_k, self->top_confidences, self->top_quarks);
  }
  return GST_FLOW_OK;
}

/* --- class ------------------------------------------------------------------------------- */

static void
gst_video_classify_finalize (GObject *object)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  g_free (self->model_path);
  g_free (self->weights_path);
  g_free (self->labels_path);
  g_free (self->device);
  G_OBJECT_CLASS (gst_video_classify_parent_class)->finalize (object);
}

static void
gst_video_classify_init (GstVideoClassify *self)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);

  self->device = g_strdup (DEFAULT_DEVICE);
  self->precision = DEFAULT_PRECISION;
  self->threads = DEFAULT_THREADS;
  self->tta = DEFAULT_TTA;
  self->report_latency = DEFAULT_REPORT_LATENCY;
  self->settings = (Settings) {
    .top_k = DEFAULT_TOP_K,
    .interval = DEFAULT_INTERVAL,
    .threshold = DEFAULT_THRESHOLD,
    .post = DEFAULT_POST,
    .skip_late = DEFAULT_SKIP_LATE,
  };
  self->earliest_time = GST_CLOCK_TIME_NONE;
  gst_base_transform_set_in_place (trans, TRUE);
  gst_base_transform_set_qos_enabled (trans, FALSE); /* it would drop whole frames */
}

#define READY (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define PLAYING (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define READ_ONLY (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

static void
install_properties (GObjectClass *klass)
{
  properties[PROP_MODEL] = g_param_spec_string ("model", "Model",
      "Keras model file (HDF5), or a network's JSON with its weights in \"weights\". Class labels "
      "and pre-processing are read from it where it names them",
      NULL, READY);
  properties[PROP_WEIGHTS] = g_param_spec_string ("weights", "Weights",
      "Keras weights file (HDF5) for a model without weights, or instead of the model's own", NULL,
      READY);
  properties[PROP_LABELS_FILE] = g_param_spec_string ("labels-file", "Labels file",
      "Text file of class names, one a line in the order of the outputs (NULL = the model's own, "
      "else numbers)",
      NULL, READY);
  properties[PROP_DEVICE] = g_param_spec_string ("device", "Device",
      "What to run on: auto (the first CUDA device that works, else the CPU), cpu, cuda or cuda:N. "
      "Once started, the message fields and the meta tell which it is",
      DEFAULT_DEVICE, READY);
  properties[PROP_PRECISION] = g_param_spec_enum ("precision", "Precision",
      "Arithmetic of the network", precision_get_type (), DEFAULT_PRECISION, READY);
  properties[PROP_THREADS] = g_param_spec_uint ("threads", "Threads",
      "CPU threads in use while a frame is classified, the streaming thread included "
      "(0 = one for each core)",
      0, 1024, DEFAULT_THREADS, READY);
  properties[PROP_TOP_K] = g_param_spec_uint ("top-k", "Top K",
      "How many labels a result lists, best first", 1, 1000, DEFAULT_TOP_K, PLAYING);
  properties[PROP_THRESHOLD] = g_param_spec_double ("threshold", "Threshold",
      "Probability that the best label must reach; below it the result's label is \"" UNKNOWN_LABEL
      "\" and its index -1",
      0, 1, DEFAULT_THRESHOLD, PLAYING);
  properties[PROP_INFERENCE_INTERVAL] = g_param_spec_uint ("inference-interval",
      "Inference interval",
      "Classify every Nth frame; the others carry the last result with its age in frames", 1,
      G_MAXINT, DEFAULT_INTERVAL, PLAYING);
  properties[PROP_TTA] = g_param_spec_enum ("tta", "Test-time augmentation",
      "Views of each frame whose probabilities are averaged", tta_get_type (), DEFAULT_TTA, READY);
  properties[PROP_POST_MESSAGES] = g_param_spec_enum ("post-messages", "Post messages",
      "Which results are posted on the bus as element messages", post_get_type (), DEFAULT_POST,
      PLAYING);
  properties[PROP_SKIP_LATE] = g_param_spec_boolean ("skip-late", "Skip late",
      "Do not classify frames that downstream reports as late (QoS); the frames themselves are "
      "never dropped",
      DEFAULT_SKIP_LATE, PLAYING);
  properties[PROP_REPORT_LATENCY] = g_param_spec_boolean ("report-latency", "Report latency",
      "Add the measured time of a classification to the latency of live pipelines",
      DEFAULT_REPORT_LATENCY, PLAYING);
  properties[PROP_LABEL] = g_param_spec_string ("label", "Label",
      "Label of the last result (notified on change)", NULL, READ_ONLY);
  properties[PROP_PROBABILITY] = g_param_spec_double (
      "probability", "Probability", "Probability of the best label", 0, 1, 0, READ_ONLY);
  properties[PROP_INFERENCE_TIME] = g_param_spec_uint64 ("inference-time", "Inference time",
      "Time that the last classification took, pre-processing included, in nanoseconds", 0,
      G_MAXUINT64, 0, READ_ONLY);
  properties[PROP_FRAMES] = g_param_spec_uint64 ("frames", "Frames",
      "Frames that came since the start", 0, G_MAXUINT64, 0, READ_ONLY);
  properties[PROP_CLASSIFIED] = g_param_spec_uint64 ("classified", "Classified",
      "Frames classified since the start", 0, G_MAXUINT64, 0, READ_ONLY);
  properties[PROP_SKIPPED_LATE] = g_param_spec_uint64 ("skipped-late", "Skipped late",
      "Frames passed on without classification because they were late", 0, G_MAXUINT64, 0,
      READ_ONLY);
  g_object_class_install_properties (klass, N_PROPERTIES, properties);
}

static void
gst_video_classify_class_init (GstVideoClassifyClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  GstCaps *caps = gst_video_classify_make_caps ();

  GST_DEBUG_CATEGORY_INIT (video_classify_debug, "videoclassify", 0, "video classifier");
  object_class->set_property = gst_video_classify_set_property;
  object_class->get_property = gst_video_classify_get_property;
  object_class->finalize = gst_video_classify_finalize;
  install_properties (object_class);

  /**
   * GstVideoClassify::classified:
   * @element: the element
   * @result: a #GstStructure, as in the element message
   *
   * A frame was classified. Emitted in the streaming thread.
   */
  signals[SIGNAL_CLASSIFIED] = g_signal_new ("classified", G_TYPE_FROM_CLASS (klass),
      G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
      GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);

  gst_element_class_set_static_metadata (element_class, "Video classifier",
      "Filter/Analyzer/Video",
      "Labels video frames with a network trained in Keras or by the command classify",
      "the classify authors");
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_caps_unref (caps);

  trans_class->start = GST_DEBUG_FUNCPTR (gst_video_classify_start);
  trans_class->stop = GST_DEBUG_FUNCPTR (gst_video_classify_stop);
  trans_class->set_caps = GST_DEBUG_FUNCPTR (gst_video_classify_set_caps);
  trans_class->propose_allocation = GST_DEBUG_FUNCPTR (gst_video_classify_propose_allocation);
  trans_class->sink_event = GST_DEBUG_FUNCPTR (gst_video_classify_sink_event);
  trans_class->src_event = GST_DEBUG_FUNCPTR (gst_video_classify_src_event);
  trans_class->query = GST_DEBUG_FUNCPTR (gst_video_classify_query);
  trans_class->transform_ip = GST_DEBUG_FUNCPTR (gst_video_classify_transform_ip);
  trans_class->transform_ip_on_passthrough = FALSE;

  gst_type_mark_as_plugin_api (precision_get_type (), 0);
  gst_type_mark_as_plugin_api (tta_get_type (), 0);
  gst_type_mark_as_plugin_api (post_get_type (), 0);
}
