/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/gstclassifymeta.h"
#include "gst/videoclassify-private.h"

enum {
  PROP_0,
  PROP_MODEL,
  PROP_WEIGHTS,
  PROP_LABELS_FILE,
  PROP_WATCH,
  PROP_DEVICE,
  PROP_PRECISION,
  PROP_THREADS,
  PROP_MODE,
  PROP_BATCH_SIZE,
  PROP_BATCH_TIMEOUT,
  PROP_TOP_K,
  PROP_THRESHOLD,
  PROP_INFERENCE_REGION,
  PROP_CROP,
  PROP_ROI_LABELS,
  PROP_MAX_REGIONS,
  PROP_INFERENCE_INTERVAL,
  PROP_MAX_RATE,
  PROP_CHANGE_THRESHOLD,
  PROP_SMOOTHING,
  PROP_SMOOTHING_TIME,
  PROP_HYSTERESIS,
  PROP_HOLD_TIME,
  PROP_SCENE_CUT,
  PROP_TTA,
  PROP_MIN_VIEWS,
  PROP_EXPLAIN,
  PROP_EXPLAIN_INTERVAL,
  PROP_COLLECT,
  PROP_COLLECT_LAYOUT,
  PROP_COLLECT_FORMAT,
  PROP_COLLECT_MIN,
  PROP_COLLECT_MAX,
  PROP_COLLECT_RATE,
  PROP_COLLECT_LIMIT,
  PROP_DUMP_INPUT,
  PROP_DUMP_LIMIT,
  PROP_POST_MESSAGES,
  PROP_MESSAGE_INTERVAL,
  PROP_TEXT_CUES,
  PROP_TEXT_MAX_DURATION,
  PROP_SKIP_LATE,
  PROP_REPORT_LATENCY,
  PROP_LABEL,
  PROP_PROBABILITY,
  PROP_INFERENCE_TIME,
  PROP_FRAMES,
  PROP_CLASSIFIED,
  PROP_SKIPPED_LATE,
  PROP_STATS,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

/* Where the value of a property is, by the type of its GParamSpec; 0: made when asked
 * for. Under the object's lock. */
#define FIELD(name) G_STRUCT_OFFSET (GstVideoClassify, name)
static const glong fields[N_PROPERTIES] = {
  [PROP_MODEL] = FIELD (model_path),
  [PROP_WEIGHTS] = FIELD (weights_path),
  [PROP_LABELS_FILE] = FIELD (labels_path),
  [PROP_WATCH] = FIELD (watch),
  [PROP_DEVICE] = FIELD (device),
  [PROP_PRECISION] = FIELD (precision),
  [PROP_THREADS] = FIELD (threads),
  [PROP_MODE] = FIELD (mode),
  [PROP_BATCH_SIZE] = FIELD (batch_size),
  [PROP_BATCH_TIMEOUT] = FIELD (batch_timeout),
  [PROP_TOP_K] = FIELD (settings.top_k),
  [PROP_THRESHOLD] = FIELD (settings.threshold),
  [PROP_INFERENCE_REGION] = FIELD (settings.region),
  [PROP_CROP] = FIELD (crop),
  [PROP_ROI_LABELS] = FIELD (roi_labels),
  [PROP_MAX_REGIONS] = FIELD (max_regions),
  [PROP_INFERENCE_INTERVAL] = FIELD (settings.interval),
  [PROP_MAX_RATE] = FIELD (settings.max_rate),
  [PROP_CHANGE_THRESHOLD] = FIELD (settings.change_threshold),
  [PROP_SMOOTHING] = FIELD (settings.smoothing.method),
  [PROP_SMOOTHING_TIME] = FIELD (settings.smoothing.time),
  [PROP_HYSTERESIS] = FIELD (settings.smoothing.hysteresis),
  [PROP_HOLD_TIME] = FIELD (settings.smoothing.hold),
  [PROP_SCENE_CUT] = FIELD (settings.scene_cut),
  [PROP_MIN_VIEWS] = FIELD (settings.min_views),
  [PROP_EXPLAIN] = FIELD (explain),
  [PROP_EXPLAIN_INTERVAL] = FIELD (settings.explain_interval),
  [PROP_COLLECT] = FIELD (collect),
  [PROP_COLLECT_LAYOUT] = FIELD (collect_layout),
  [PROP_COLLECT_FORMAT] = FIELD (collect_format),
  [PROP_COLLECT_MIN] = FIELD (settings.collect_min),
  [PROP_COLLECT_MAX] = FIELD (settings.collect_max),
  [PROP_COLLECT_RATE] = FIELD (settings.collect_rate),
  [PROP_COLLECT_LIMIT] = FIELD (settings.collect_limit),
  [PROP_DUMP_INPUT] = FIELD (dump_input),
  [PROP_DUMP_LIMIT] = FIELD (dump_limit),
  [PROP_POST_MESSAGES] = FIELD (settings.post),
  [PROP_MESSAGE_INTERVAL] = FIELD (settings.message_interval),
  [PROP_TEXT_CUES] = FIELD (settings.cues),
  [PROP_TEXT_MAX_DURATION] = FIELD (settings.max_cue),
  [PROP_SKIP_LATE] = FIELD (settings.skip_late),
  [PROP_REPORT_LATENCY] = FIELD (report_latency),
  [PROP_LABEL] = FIELD (label),
  [PROP_PROBABILITY] = FIELD (probability),
  [PROP_INFERENCE_TIME] = FIELD (inference_time),
  [PROP_FRAMES] = FIELD (counts.frames),
  [PROP_CLASSIFIED] = FIELD (counts.classified),
  [PROP_SKIPPED_LATE] = FIELD (counts.late),
};

/* --- enums -------------------------------------------------------------------------- */

#define DEFINE_ENUM(name, type_name, ...)                                                          \
  static GType name (void)                                                                         \
  {                                                                                                \
    static gsize type;                                                                             \
    static const GEnumValue values[] = { __VA_ARGS__, { 0, NULL, NULL } };                         \
    if (g_once_init_enter (&type))                                                                 \
      g_once_init_leave (&type, g_enum_register_static (type_name, values));                       \
    return type;                                                                                   \
  }

DEFINE_ENUM (precision_get_type, "GstVideoClassifyPrecision",
    { PRECISION_AUTO, "The device's usual one: fp32 on the CPU", "auto" },
    { PRECISION_FP32, "32-bit floats throughout", "fp32" },
    { PRECISION_TF32, "TensorFloat-32 products (CUDA)", "tf32" },
    { PRECISION_FP16, "16-bit floats, 32-bit sums (CUDA)", "fp16" },
    { PRECISION_BF16, "bfloat16 where that is faster, 32-bit sums", "bf16" })
DEFINE_ENUM (mode_get_type, "GstVideoClassifyMode",
    { MODE_SYNC, "A frame waits for its own result", "sync" },
    { MODE_ASYNC, "Frames never wait; they carry the newest result with its age", "async" })
DEFINE_ENUM (region_get_type, "GstVideoClassifyRegion",
    { REGION_FULL_FRAME, "The frame, or the part of it in \"crop\"", "full-frame" },
    { REGION_ROI_LIST, "Each region that a detector attached to the frame", "roi-list" })
DEFINE_ENUM (explain_get_type, "GstVideoClassifyExplain", { EXPLAIN_NONE, "Nothing", "none" },
    { EXPLAIN_CAM, "Class activation map: Grad-CAM on the last feature maps", "cam" })
DEFINE_ENUM (collect_layout_get_type, "GstVideoClassifyCollectLayout",
    { COLLECT_BY_LABEL, "A folder for each label", "by-label" },
    { COLLECT_FLAT, "One folder, names begin with the label", "flat" })
DEFINE_ENUM (collect_format_get_type, "GstVideoClassifyCollectFormat",
    { COLLECT_JPEG, "JPEG (needs jpegenc)", "jpeg" },
    { COLLECT_PNG, "PNG, without loss (needs pngenc)", "png" })
DEFINE_ENUM (post_get_type, "GstVideoClassifyPost", { POST_NONE, "No messages", "none" },
    { POST_CHANGES, "When the label changes", "changes" }, { POST_ALL, "Every result", "all" },
    { POST_INTERVAL, "The newest result every \"message-interval\"", "interval" })
DEFINE_ENUM (smoothing_get_type, "GstVideoClassifySmoothing",
    { SMOOTHING_NONE, "Each result as it is", "none" },
    { SMOOTHING_EXPONENTIAL, "Exponential mean, \"smoothing-time\" is its time constant",
        "exponential" },
    { SMOOTHING_MAJORITY, "The label of most results in the last \"smoothing-time\"", "majority" })
DEFINE_ENUM (cues_get_type, "GstVideoClassifyCues",
    { CUES_SPANS, "One for each span of time with the same label, sent when it is over", "spans" },
    { CUES_FRAMES, "One for each frame, sent with it", "frames" })

/* --- values --------------------------------------------------------------------------- */

static void
set_field (gpointer field, const GValue *value)
{
  switch (G_TYPE_FUNDAMENTAL (G_VALUE_TYPE (value))) {
    case G_TYPE_STRING:
      g_free (*(char **)field);
      *(char **)field = g_value_dup_string (value);
      break;
    case G_TYPE_BOOLEAN:
      *(gboolean *)field = g_value_get_boolean (value);
      break;
    case G_TYPE_ENUM:
      *(gint *)field = g_value_get_enum (value);
      break;
    case G_TYPE_UINT:
      *(guint *)field = g_value_get_uint (value);
      break;
    case G_TYPE_UINT64:
      *(guint64 *)field = g_value_get_uint64 (value);
      break;
    case G_TYPE_DOUBLE:
      *(double *)field = g_value_get_double (value);
      break;
    default:
      g_assert_not_reached ();
  }
}

static void
get_field (gconstpointer field, GValue *value)
{
  switch (G_TYPE_FUNDAMENTAL (G_VALUE_TYPE (value))) {
    case G_TYPE_STRING:
      g_value_set_string (value, *(char *const *)field);
      break;
    case G_TYPE_BOOLEAN:
      g_value_set_boolean (value, *(const gboolean *)field);
      break;
    case G_TYPE_ENUM:
      g_value_set_enum (value, *(const gint *)field);
      break;
    case G_TYPE_UINT:
      g_value_set_uint (value, *(const guint *)field);
      break;
    case G_TYPE_UINT64:
      g_value_set_uint64 (value, *(const guint64 *)field);
      break;
    case G_TYPE_DOUBLE:
      g_value_set_double (value, *(const double *)field);
      break;
    default:
      g_assert_not_reached ();
  }
}

static void
set_crop (GstVideoClassify *self, const char *string)
{
  g_autoptr (GError) error = NULL;
  Crop crop;

  if (!crop_parse (string, &crop, &error)) {
    g_warning ("%s: %s", GST_OBJECT_NAME (self), error->message);
    return;
  }
  GST_OBJECT_LOCK (self);
  g_free (self->crop);
  self->crop = g_strdup (string);
  self->settings.crop = crop;
  GST_OBJECT_UNLOCK (self);
}

static void
set_tta (GstVideoClassify *self, const char *string)
{
  g_autoptr (GError) error = NULL;
  NnTta tta;

  if (!nn_tta_parse (string, &tta, &error)) {
    g_warning ("%s: %s", GST_OBJECT_NAME (self), error->message);
    return;
  }
  GST_OBJECT_LOCK (self);
  self->tta = tta;
  GST_OBJECT_UNLOCK (self);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  if (id == PROP_CROP) {
    set_crop (self, g_value_get_string (value));
  } else if (id == PROP_TTA) {
    set_tta (self, g_value_get_string (value));
  } else if (fields[id] > 0) {
    GST_OBJECT_LOCK (self);
    set_field (G_STRUCT_MEMBER_P (self, fields[id]), value);
    GST_OBJECT_UNLOCK (self);
  } else {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  if (id == PROP_MODEL || id == PROP_WEIGHTS || id == PROP_LABELS_FILE)
    loader_request (self->loader);
  else if (id == PROP_WATCH)
    loader_set_watch (self->loader, g_value_get_boolean (value));
}

static GstStructure *
make_stats (GstVideoClassify *self)
{
  static const double percents[] = { 50, 95, 99 };
  GstClockTime times[G_N_ELEMENTS (percents)];
  guint64 n_runs = 0, n_samples = 0, text_dropped = 0, collected = 0, collect_dropped = 0;
  guint depth = 0, n_clients = 0;
  GstClassifyTextPad *pad = NULL;
  GstStructure *structure;
  Counts c;

  GST_OBJECT_LOCK (self);
  if (self->runtime) {
    engine_client_get_load (self->runtime->client, &depth, &n_runs, &n_samples);
    n_clients = engine_client_get_n_clients (self->runtime->client);
  }
  if (self->collector)
    collector_get_counts (self->collector, &collected, &collect_dropped);
  c = self->counts;
  stats_get_percentiles (&self->stats, percents, times, G_N_ELEMENTS (percents));
  if (self->text_pad)
    pad = gst_object_ref (self->text_pad);
  GST_OBJECT_UNLOCK (self);
  if (pad) {
    text_dropped = gst_classify_text_pad_get_n_dropped (pad);
    gst_object_unref (pad);
  }
  structure
      = gst_structure_new ("videoclassify-stats", "frames", G_TYPE_UINT64, c.frames, "classified",
          G_TYPE_UINT64, c.classified, "regions", G_TYPE_UINT64, c.regions, "skipped-late",
          G_TYPE_UINT64, c.late, "skipped-interval", G_TYPE_UINT64, c.interval, "skipped-rate",
          G_TYPE_UINT64, c.rate, "skipped-gap", G_TYPE_UINT64, c.gaps, "skipped-no-region",
          G_TYPE_UINT64, c.outside, "skipped-unchanged", G_TYPE_UINT64, c.unchanged, "dropped-busy",
          G_TYPE_UINT64, c.dropped, "on-device", G_TYPE_UINT64, c.on_device, "explained",
          G_TYPE_UINT64, c.explained, "text-dropped", G_TYPE_UINT64, text_dropped, NULL);
  gst_structure_set (structure, "inference-time-p50", G_TYPE_UINT64, times[0], "inference-time-p95",
      G_TYPE_UINT64, times[1], "inference-time-p99", G_TYPE_UINT64, times[2], "queue-depth",
      G_TYPE_UINT, depth, "engine-runs", G_TYPE_UINT64, n_runs, "engine-samples", G_TYPE_UINT64,
      n_samples, "engine-clients", G_TYPE_UINT, n_clients, "collected", G_TYPE_UINT64, collected,
      "collect-dropped", G_TYPE_UINT64, collect_dropped, NULL);
  return structure;
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  if (id == PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == PROP_TTA)
    g_value_take_string (value, nn_tta_to_string (&self->tta));
  else if (fields[id] > 0)
    get_field (G_STRUCT_MEMBER_P (self, fields[id]), value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (self);
}

void
video_classify_init_properties (GstVideoClassify *self)
{
  for (guint id = 1; id < N_PROPERTIES; id++)
    if (fields[id] > 0 && (properties[id]->flags & G_PARAM_WRITABLE))
      set_field (
          G_STRUCT_MEMBER_P (self, fields[id]), g_param_spec_get_default_value (properties[id]));
  nn_tta_parse ("none", &self->tta, NULL);
}

void
video_classify_clear_properties (GstVideoClassify *self)
{
  for (guint id = 1; id < N_PROPERTIES; id++)
    if (G_IS_PARAM_SPEC_STRING (properties[id]) && (properties[id]->flags & G_PARAM_WRITABLE)
        && fields[id] > 0)
      g_clear_pointer ((char **)G_STRUCT_MEMBER_P (self, fields[id]), g_free);
}

/* --- what gst-inspect tells ------------------------------------------------------------- */

#define READY (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define PLAYING (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define READ_ONLY (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

static void
install_model_properties (void)
{
  properties[PROP_MODEL] = g_param_spec_string ("model", "Model",
      "Keras model file (HDF5), or a network's JSON with its weights in \"weights\". Class labels "
      "and pre-processing are read from it where it names them. Named while playing it is loaded "
      "beside the stream and takes over between two frames; one that cannot be used is warned of "
      "and the old one stays",
      NULL, PLAYING);
  properties[PROP_WEIGHTS] = g_param_spec_string ("weights", "Weights",
      "Keras weights file (HDF5) for a model without weights, or instead of the model's own", NULL,
      PLAYING);
  properties[PROP_LABELS_FILE] = g_param_spec_string ("labels-file", "Labels file",
      "Text file of class names, one a line in the order of the outputs (NULL = the model's own, "
      "else numbers)",
      NULL, PLAYING);
  properties[PROP_WATCH] = g_param_spec_boolean ("watch", "Watch",
      "Load the model's files again when they have changed, as if \"model\" had been set", FALSE,
      PLAYING);
  properties[PROP_DEVICE] = g_param_spec_string ("device", "Device",
      "What to run on: auto (the device of the pipeline's CUDA context, else the first CUDA device "
      "that works, else the CPU), cpu, cuda or cuda:N. "
      "Once started, the message fields and the meta tell which it is",
      "auto", READY);
  properties[PROP_PRECISION] = g_param_spec_enum ("precision", "Precision",
      "Arithmetic of the network", precision_get_type (), PRECISION_AUTO, READY);
  properties[PROP_THREADS] = g_param_spec_uint ("threads", "Threads",
      "CPU threads in use while a frame is classified, the streaming thread included "
      "(0 = one for each core)",
      0, 1024, 0, READY);
  properties[PROP_MODE] = g_param_spec_enum (
      "mode", "Mode", "Whether frames wait for their results", mode_get_type (), MODE_SYNC, READY);
  properties[PROP_BATCH_SIZE] = g_param_spec_uint ("batch-size", "Batch size",
      "Pictures (frames, regions, views) that are classified at once. More than 1: elements of "
      "equal model, device, precision, threads and batch-size share one engine, which gathers "
      "from all of them in turn",
      1, 1024, 1, READY);
  properties[PROP_BATCH_TIMEOUT] = g_param_spec_uint64 ("batch-timeout", "Batch timeout",
      "How long a frame waits at most for others to share its batch, in nanoseconds; it does not "
      "wait when every stream has one waiting",
      0, G_MAXINT64, (10 * GST_MSECOND), READY);
}

void
video_classify_install_properties (GObjectClass *klass)
{
  klass->set_property = set_property;
  klass->get_property = get_property;
  install_model_properties ();
  properties[PROP_TOP_K] = g_param_spec_uint (
      "top-k", "Top K", "How many labels a result lists, best first", 1, 1000, 5, PLAYING);
  properties[PROP_THRESHOLD] = g_param_spec_double ("threshold", "Threshold",
      "Probability that the best label must reach; below it the result's label is "
      "\"" GST_CLASSIFY_UNKNOWN_LABEL "\" and its index -1",
      0, 1, 0.0, PLAYING);
  properties[PROP_INFERENCE_REGION] = g_param_spec_enum ("inference-region", "Inference region",
      "What of a frame is classified", region_get_type (), REGION_FULL_FRAME, READY);
  properties[PROP_CROP] = g_param_spec_string ("crop", "Crop",
      "Part of the frame to classify, or to look for regions in, as x,y,width,height in pixels "
      "(100,0,720,720) or in fractions of the frame (0.25,0,0.5,1.0 or 25%,0%,50%,100%); "
      "NULL = all of it",
      NULL, PLAYING);
  properties[PROP_ROI_LABELS] = g_param_spec_string ("roi-labels", "ROI labels",
      "With inference-region=roi-list: classify only regions that the detector gave one of these "
      "labels, separated by commas (NULL = any)",
      NULL, READY);
  properties[PROP_MAX_REGIONS] = g_param_spec_uint ("max-regions", "Maximum of regions",
      "With inference-region=roi-list: how many regions of a frame are classified at most, the "
      "largest ones",
      1, 256, 16, READY);
  properties[PROP_INFERENCE_INTERVAL]
      = g_param_spec_uint ("inference-interval", "Inference interval",
          "Classify every Nth frame; the others carry the last result with its age in frames", 1,
          G_MAXINT, 1, PLAYING);
  properties[PROP_MAX_RATE] = g_param_spec_double ("max-rate", "Maximum rate",
      "Classify at most so many frames a second of stream time (0 = no limit)", 0, 1e6, 0.0,
      PLAYING);
  properties[PROP_CHANGE_THRESHOLD] = g_param_spec_double ("change-threshold", "Change threshold",
      "Do not classify a frame that looks like the last classified one: mean difference of "
      "16x16 averages of what the network sees, 0..1, below which it does (0 = classify all; "
      "0.005 passes over camera noise). With inference-region=full-frame",
      0, 1, 0.0, PLAYING);
  properties[PROP_SMOOTHING] = g_param_spec_enum ("smoothing", "Smoothing",
      "How results are made steady over time; what they were before is in the fields raw-label "
      "and raw-probability",
      smoothing_get_type (), SMOOTHING_NONE, PLAYING);
  properties[PROP_SMOOTHING_TIME] = g_param_spec_uint64 ("smoothing-time", "Smoothing time",
      "Time constant or window of \"smoothing\", in nanoseconds of stream time", 0, G_MAXINT64,
      GST_SECOND, PLAYING);
  properties[PROP_HYSTERESIS] = g_param_spec_double ("hysteresis", "Hysteresis",
      "By how much another label must lead before it replaces the present one: in probability, "
      "with smoothing=majority in share of the results",
      0, 1, 0.0, PLAYING);
  properties[PROP_HOLD_TIME] = g_param_spec_uint64 ("hold-time", "Hold time",
      "How long a label stays at least, in nanoseconds of stream time", 0, G_MAXINT64, 0, PLAYING);
  properties[PROP_SCENE_CUT] = g_param_spec_double ("scene-cut", "Scene cut",
      "Mean difference of 16x16 averages of two frames, 0..1, above which a new scene begins and "
      "what smoothing remembers is forgotten (0 = never)",
      0, 1, 0.15, PLAYING);
  properties[PROP_TEXT_CUES] = g_param_spec_enum ("text-cues", "Text cues",
      "What the buffers of the text pad stand for, where it is not JSON: spans for subtitles in a "
      "file, frames for textoverlay",
      cues_get_type (), CUES_SPANS, PLAYING);
  properties[PROP_TEXT_MAX_DURATION] = g_param_spec_uint64 ("text-max-duration",
      "Text maximum duration",
      "Longest cue of text-cues=spans, in nanoseconds; a longer span is told in pieces. A cue is "
      "sent when it is over, until then a muxer holds back the video: give its queues more room "
      "than this (0 = automatic: 10 s, and 0.25 s where the text goes into an element that has "
      "other inputs, which ordinary queues hold)",
      0, G_MAXINT64, 0, PLAYING);
  properties[PROP_TTA] = g_param_spec_string ("tta", "Test-time augmentation",
      "Views of each frame that are averaged: none, flip, crops5[:PART], crops10[:PART], "
      "scales:S,..., random:N[,SEED] (the augmentation of the training), features:SIZE (windows "
      "of the maps of the frame enlarged); joined by + with flip, logits",
      "none", READY);
  properties[PROP_MIN_VIEWS] = g_param_spec_uint ("tta-min-views", "Minimum of views",
      "With mode=async: use only so many of the views as there is time for, but at least these "
      "(0 = always all)",
      0, 1024, 0, PLAYING);
  properties[PROP_EXPLAIN] = g_param_spec_enum ("explain", "Explain",
      "Attach a map of what in the frame speaks for its label (the meta GstVideoClassifyHeatMap, "
      "which classifyoverlay draws); of several regions the first",
      explain_get_type (), EXPLAIN_NONE, READY);
  properties[PROP_EXPLAIN_INTERVAL] = g_param_spec_uint64 ("explain-interval", "Explain interval",
      "Stream time between two maps, in nanoseconds; each stays on the frames until the next "
      "(0 = every frame that is classified)",
      0, G_MAXINT64, (500 * GST_MSECOND), PLAYING);
  properties[PROP_COLLECT] = g_param_spec_string ("collect", "Collect",
      "Folder to write frames (or regions) into as pictures for training, where their label is as "
      "probable as collect-min and collect-max say (NULL = none)",
      NULL, READY);
  properties[PROP_COLLECT_LAYOUT] = g_param_spec_enum ("collect-layout", "Collect layout",
      "How collected pictures lie in their folder, as in a recipe's layout: by-label is folders, "
      "flat is prefix",
      collect_layout_get_type (), COLLECT_BY_LABEL, READY);
  properties[PROP_COLLECT_FORMAT] = g_param_spec_enum ("collect-format", "Collect format",
      "Format of collected pictures", collect_format_get_type (), COLLECT_JPEG, READY);
  properties[PROP_COLLECT_MIN] = g_param_spec_double ("collect-min", "Collect minimum",
      "Collect only where the best label is at least so probable: 0.95 for pictures that can be "
      "trained with as they are labelled",
      0, 1, 0.0, PLAYING);
  properties[PROP_COLLECT_MAX] = g_param_spec_double ("collect-max", "Collect maximum",
      "Collect only where the best label is at most so probable: 0.7 for pictures that a person "
      "should label",
      0, 1, 1.0, PLAYING);
  properties[PROP_COLLECT_RATE] = g_param_spec_double ("collect-rate", "Collect rate",
      "Pictures to collect a second of the stream, at most (0 = no limit)", 0, G_MAXDOUBLE, 1.0,
      PLAYING);
  properties[PROP_COLLECT_LIMIT] = g_param_spec_uint64 ("collect-limit", "Collect limit",
      "Bytes that the pictures in the folder may have, with those that it held before (0 = no "
      "limit)",
      0, G_MAXUINT64, ((guint64)1 << 30), PLAYING);
  properties[PROP_DUMP_INPUT] = g_param_spec_string ("dump-input", "Dump input",
      "Folder to write what the network is given into, an HDF5 file for each frame that is "
      "classified, which classify predict --tensor reads (NULL = none; for looking for a fault: "
      "each frame waits for the disk)",
      NULL, READY);
  properties[PROP_DUMP_LIMIT] = g_param_spec_uint ("dump-limit", "Dump limit",
      "Files that dump-input writes before it stops (0 = no limit)", 0, G_MAXUINT, 100, READY);
  properties[PROP_POST_MESSAGES] = g_param_spec_enum ("post-messages", "Post messages",
      "Which results are posted on the bus as element messages", post_get_type (), POST_CHANGES,
      PLAYING);
  properties[PROP_MESSAGE_INTERVAL] = g_param_spec_uint64 ("message-interval", "Message interval",
      "With post-messages=interval: stream time between two messages, in nanoseconds", 0,
      G_MAXINT64, GST_SECOND, PLAYING);
  properties[PROP_SKIP_LATE] = g_param_spec_boolean ("skip-late", "Skip late",
      "Do not classify frames that downstream reports as late (QoS); the frames themselves are "
      "never dropped",
      TRUE, PLAYING);
  properties[PROP_REPORT_LATENCY] = g_param_spec_boolean ("report-latency", "Report latency",
      "With mode=sync: add the measured time of a classification to the latency of live pipelines",
      FALSE, PLAYING);
  properties[PROP_LABEL] = g_param_spec_string (
      "label", "Label", "Label of the last result (notified on change)", NULL, READ_ONLY);
  properties[PROP_PROBABILITY] = g_param_spec_double (
      "probability", "Probability", "Probability of the best label", 0, 1, 0, READ_ONLY);
  properties[PROP_INFERENCE_TIME] = g_param_spec_uint64 ("inference-time", "Inference time",
      "Time that the last classification took, pre-processing included, in nanoseconds", 0,
      G_MAXUINT64, 0, READ_ONLY);
  properties[PROP_FRAMES] = g_param_spec_uint64 (
      "frames", "Frames", "Frames that came since the start", 0, G_MAXUINT64, 0, READ_ONLY);
  properties[PROP_CLASSIFIED] = g_param_spec_uint64 ("classified", "Classified",
      "Frames classified since the start", 0, G_MAXUINT64, 0, READ_ONLY);
  properties[PROP_SKIPPED_LATE] = g_param_spec_uint64 ("skipped-late", "Skipped late",
      "Frames passed on without classification because they were late", 0, G_MAXUINT64, 0,
      READ_ONLY);
  properties[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Counters since the start: frames, classified, regions, skipped-late, -interval, -rate, "
      "-gap, -no-region, -unchanged and dropped-busy (uint64, by reason), on-device (frames that "
      "the device pre-processed itself); inference-time-p50, -p95, -p99 of the last 1024 (uint64, "
      "ns); queue-depth, engine-clients (uint), engine-runs, engine-samples, text-dropped, "
      "explained, collected, collect-dropped (uint64)",
      GST_TYPE_STRUCTURE, READ_ONLY);
  g_object_class_install_properties (klass, N_PROPERTIES, properties);

  gst_type_mark_as_plugin_api (precision_get_type (), 0);
  gst_type_mark_as_plugin_api (mode_get_type (), 0);
  gst_type_mark_as_plugin_api (region_get_type (), 0);
  gst_type_mark_as_plugin_api (collect_layout_get_type (), 0);
  gst_type_mark_as_plugin_api (collect_format_get_type (), 0);
  gst_type_mark_as_plugin_api (explain_get_type (), 0);
  gst_type_mark_as_plugin_api (post_get_type (), 0);
  gst_type_mark_as_plugin_api (smoothing_get_type (), 0);
  gst_type_mark_as_plugin_api (cues_get_type (), 0);
}
