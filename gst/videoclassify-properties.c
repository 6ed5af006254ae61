/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/gstclassifymeta.h"
#include "gst/videoclassify-private.h"

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

/* --- a row for each property ------------------------------------------------------------ */

/* When a value that is set counts. */
typedef enum {
  NOW,        /* from the next frame on */
  NEXT_START, /* READY to PAUSED; while the element runs it is told */
  READ_ONLY,
} When;

typedef struct {
  const char *name, *nick;
  When when;
  GType type;                     /* fundamental */
  GType (*get_type) (void);       /* of an enum or a boxed type */
  glong field;                    /* where its value is, by its type; under the object's lock */
  guint64 min, max, initial;      /* of numbers; of an enum and a boolean the last */
  double d_min, d_max, d_initial; /* of G_TYPE_DOUBLE */
  const char *text;               /* the initial one of a string */
  const char *blurb;

  /* or NULL, with the object's lock held: takes the value from its text, which stays in the field
   * too. FALSE: nothing has changed. A wrong one is an error at the start, kept in the field @error
   * until then; once the element runs the value before it stays, with a warning */
  gboolean (*parse) (GstVideoClassify *self, const char *text, GError **error);
  glong error;
  void (*changed) (GstVideoClassify *self); /* or NULL, no lock held: was set */
  void (*get) (GstVideoClassify *self, GValue *value); /* NULL: the field's; no lock held */
} Property;

#define FIELD(name) G_STRUCT_OFFSET (GstVideoClassify, name)
#define ROW(name_, nick_, field_, when_, type_, ...)                                               \
  {                                                                                                \
    .name = name_, .nick = nick_, .field = FIELD (field_), .when = when_, .type = type_,           \
    __VA_ARGS__                                                                                    \
  }
#define STRING(name, nick, field, when, initial_, blurb_, ...)                                     \
  ROW (name, nick, field, when, G_TYPE_STRING, .text = initial_, .blurb = blurb_, ##__VA_ARGS__)
#define BOOLEAN(name, nick, field, when, initial_, blurb_, ...)                                    \
  ROW (name, nick, field, when, G_TYPE_BOOLEAN, .initial = initial_, .blurb = blurb_,              \
      ##__VA_ARGS__)
#define ENUM(name, nick, field, when, get_type_, initial_, blurb_, ...)                            \
  ROW (name, nick, field, when, G_TYPE_ENUM, .get_type = get_type_, .initial = initial_,           \
      .blurb = blurb_, ##__VA_ARGS__)
#define UINT(name, nick, field, when, min_, max_, initial_, blurb_)                                \
  ROW (name, nick, field, when, G_TYPE_UINT, .min = min_, .max = max_, .initial = initial_,        \
      .blurb = blurb_)
#define UINT64(name, nick, field, when, min_, max_, initial_, blurb_)                              \
  ROW (name, nick, field, when, G_TYPE_UINT64, .min = min_, .max = max_, .initial = initial_,      \
      .blurb = blurb_)
#define DOUBLE(name, nick, field, when, min_, max_, initial_, blurb_)                              \
  ROW (name, nick, field, when, G_TYPE_DOUBLE, .d_min = min_, .d_max = max_,                       \
      .d_initial = initial_, .blurb = blurb_)
#define BOXED(name_, nick_, when_, type_, blurb_, ...)                                             \
  {                                                                                                \
    .name = name_, .nick = nick_, .when = when_, .type = G_TYPE_BOXED, .get_type = type_,          \
    .blurb = blurb_, __VA_ARGS__                                                                   \
  }

/* A model, weights or labels named while the element runs are loaded beside the stream. */
static void
load_beside (GstVideoClassify *self)
{
  loader_request (self->loader);
}

static void
watch (GstVideoClassify *self)
{
  gboolean is_watching;

  GST_OBJECT_LOCK (self);
  is_watching = self->watch;
  GST_OBJECT_UNLOCK (self);
  loader_set_watch (self->loader, is_watching);
}

static void
refuse_custom (GstVideoClassify *self)
{
  gboolean was_set;

  GST_OBJECT_LOCK (self);
  was_set = self->settings.direction == GST_VIDEO_ORIENTATION_CUSTOM;
  if (was_set)
    self->settings.direction = GST_VIDEO_ORIENTATION_AUTO;
  GST_OBJECT_UNLOCK (self);
  if (was_set)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("property \"video-direction\": custom does not tell a direction: auto is used"), (NULL));
}

/* GstBaseTransform's: it would drop whole frames. */
static void
refuse_qos (GstVideoClassify *self)
{
  gboolean was_set;

  GST_OBJECT_LOCK (self);
  was_set = self->qos;
  self->qos = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (was_set)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("property \"qos\": frames are never dropped; those that are late are not classified, see "
         "\"skip-late\""),
        (NULL));
}

static gboolean
parse_crop (GstVideoClassify *self, const char *text, GError **error)
{
  Crop crop;

  if (!crop_parse (text, &crop, error))
    return FALSE;
  self->settings.crop = crop;
  return TRUE;
}

static gboolean
parse_tta (GstVideoClassify *self, const char *text, GError **error)
{
  NnTta tta;

  if (!nn_tta_parse (text, &tta, error))
    return FALSE;
  self->tta = tta;
  return TRUE;
}

static void
get_stats (GstVideoClassify *self, GValue *value)
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
  g_value_take_boxed (value, structure);
}

static void
get_tta (GstVideoClassify *self, GValue *value)
{
  GST_OBJECT_LOCK (self);
  g_value_take_string (value, nn_tta_to_string (&self->tta));
  GST_OBJECT_UNLOCK (self);
}

/* All of them since 0.1: what gst-inspect-1.0 tells of each is its documentation. A later one says
 * so in a comment block of its own. */
static const Property properties[] = {
  STRING ("model", "Model", model_path, NOW, NULL,
      "Keras model file (HDF5), or a network's JSON with its weights in \"weights\". Class labels "
      "and pre-processing are read from it where it names them. Named while playing it is loaded "
      "beside the stream and takes over between two frames; one that cannot be used is warned of "
      "and the old one stays",
      .changed = load_beside),
  STRING ("weights", "Weights", weights_path, NOW, NULL,
      "Keras weights file (HDF5) for a model without weights, or instead of the model's own",
      .changed = load_beside),
  STRING ("labels-file", "Labels file", labels_path, NOW, NULL,
      "Text file of class names, one a line in the order of the outputs (NULL = the model's own, "
      "else numbers)",
      .changed = load_beside),
  BOOLEAN ("watch", "Watch", watch, NOW, FALSE,
      "Load the model's files again when they have changed, as if \"model\" had been set",
      .changed = watch),
  STRING ("device", "Device", device, NEXT_START, "auto",
      "What to run on: auto (the device of the pipeline's CUDA context, else the first CUDA device "
      "that works, else the CPU), cpu, cuda or cuda:N. "
      "Once started, the message fields and the meta tell which it is"),
  ENUM ("precision", "Precision", precision, NEXT_START, precision_get_type, PRECISION_AUTO,
      "Arithmetic of the network"),
  UINT ("threads", "Threads", threads, NEXT_START, 0, 1024, 0,
      "CPU threads in use while a frame is classified, the streaming thread included "
      "(0 = one for each core)"),
  ENUM ("mode", "Mode", mode, NEXT_START, mode_get_type, MODE_SYNC,
      "Whether frames wait for their results"),
  UINT ("batch-size", "Batch size", batch_size, NEXT_START, 1, 1024, 1,
      "Pictures (frames, regions, views) that are classified at once. More than 1: elements of "
      "equal model, device, precision, threads and batch-size share one engine, which gathers "
      "from all of them in turn"),
  UINT64 ("batch-timeout", "Batch timeout", batch_timeout, NEXT_START, 0, G_MAXINT64,
      (10 * GST_MSECOND),
      "How long a frame waits at most for others to share its batch, in nanoseconds; it does not "
      "wait when every stream has one waiting"),
  UINT ("top-k", "Top K", settings.top_k, NOW, 1, 1000, 5,
      "How many labels a result lists, best first"),
  DOUBLE ("threshold", "Threshold", settings.threshold, NOW, 0, 1, 0.0,
      "Probability that the best label must reach; below it the result's label is "
      "\"" GST_CLASSIFY_UNKNOWN_LABEL "\" and its index -1"),
  ENUM ("inference-region", "Inference region", region, NEXT_START, region_get_type,
      REGION_FULL_FRAME,
      "What of a frame is classified"),
  ENUM ("video-direction", "Video direction", settings.direction, NOW,
      gst_video_orientation_method_get_type, GST_VIDEO_ORIENTATION_AUTO,
      "How the network sees the frames, which themselves are not turned: auto = as the tag "
      "image-orientation says; the other values as videoflip has them",
      .changed = refuse_custom),
  STRING ("crop", "Crop", crop, NOW, NULL,
      "Part of the frame to classify, or to look for regions in, as x,y,width,height in pixels "
      "(100,0,720,720) or in fractions of the frame (0.25,0,0.5,1.0 or 25%,0%,50%,100%), whatever "
      "its orientation; NULL = all of it",
      .parse = parse_crop, .error = FIELD (crop_error)),
  STRING ("roi-labels", "ROI labels", roi_labels, NEXT_START, NULL,
      "With inference-region=roi-list: classify only regions that the detector gave one of these "
      "labels, separated by commas (NULL = any)"),
  UINT ("max-regions", "Maximum of regions", max_regions, NEXT_START, 1, 256, 16,
      "With inference-region=roi-list: how many regions of a frame are classified at most, the "
      "largest ones"),
  UINT ("inference-interval", "Inference interval", settings.interval, NOW, 1, G_MAXINT, 1,
      "Classify every Nth frame; the others carry the last result with its age in frames"),
  DOUBLE ("max-rate", "Maximum rate", settings.max_rate, NOW, 0, 1e6, 0.0,
      "Classify at most so many frames a second of stream time (0 = no limit)"),
  DOUBLE ("change-threshold", "Change threshold", settings.change_threshold, NOW, 0, 1, 0.0,
      "Do not classify a frame that looks like the last classified one: mean difference of "
      "16x16 averages of what the network sees, 0..1, below which it does (0 = classify all; "
      "0.005 passes over camera noise). With inference-region=full-frame"),
  ENUM ("smoothing", "Smoothing", settings.smoothing.method, NOW, smoothing_get_type,
      SMOOTHING_NONE,
      "How results are made steady over time; what they were before is in the fields raw-label "
      "and raw-probability"),
  UINT64 ("smoothing-time", "Smoothing time", settings.smoothing.time, NOW, 0, G_MAXINT64,
      GST_SECOND,
      "Time constant or window of \"smoothing\", in nanoseconds of stream time"),
  DOUBLE ("hysteresis", "Hysteresis", settings.smoothing.hysteresis, NOW, 0, 1, 0.0,
      "By how much another label must lead before it replaces the present one: in probability, "
      "with smoothing=majority in share of the results"),
  UINT64 ("hold-time", "Hold time", settings.smoothing.hold, NOW, 0, G_MAXINT64, 0,
      "How long a label stays at least, in nanoseconds of stream time"),
  DOUBLE ("scene-cut", "Scene cut", settings.scene_cut, NOW, 0, 1, 0.15,
      "Mean difference of 16x16 averages of two frames, 0..1, above which a new scene begins and "
      "what smoothing remembers is forgotten (0 = never)"),
  STRING ("tta", "Test-time augmentation", tta_text, NEXT_START, "none",
      "Views of each frame that are averaged: none, flip, crops5[:PART], crops10[:PART], "
      "scales:S,..., random:N[,SEED] (the augmentation of the training), features:SIZE (windows "
      "of the maps of the frame enlarged); joined by + with flip, logits",
      .parse = parse_tta, .error = FIELD (tta_error), .get = get_tta),
  UINT ("tta-min-views", "Minimum of views", settings.min_views, NOW, 0, 1024, 0,
      "With mode=async: use only so many of the views as there is time for, but at least these "
      "(0 = always all)"),
  ENUM ("explain", "Explain", explain, NEXT_START, explain_get_type, EXPLAIN_NONE,
      "Attach a map of what in the frame speaks for its label (the meta GstVideoClassifyHeatMap, "
      "which classifyoverlay draws); of several regions the first"),
  UINT64 ("explain-interval", "Explain interval", settings.explain_interval, NOW, 0, G_MAXINT64,
      (500 * GST_MSECOND),
      "Stream time between two maps, in nanoseconds; each stays on the frames until the next "
      "(0 = every frame that is classified)"),
  STRING ("collect", "Collect", collect, NEXT_START, NULL,
      "Folder to write frames (or regions) into as pictures for training, where their label is as "
      "probable as collect-min and collect-max say (NULL = none)"),
  ENUM ("collect-layout", "Collect layout", collect_layout, NEXT_START, collect_layout_get_type,
      COLLECT_BY_LABEL,
      "How collected pictures lie in their folder, as in a recipe's layout: by-label is folders, "
      "flat is prefix. What of a label cannot stand in a name is written as %XX, which the trainer "
      "reads back; names over 200 bytes are cut"),
  ENUM ("collect-format", "Collect format", collect_format, NEXT_START, collect_format_get_type,
      COLLECT_JPEG,
      "Format of collected pictures"),
  DOUBLE ("collect-min", "Collect minimum", settings.collect_min, NOW, 0, 1, 0.0,
      "Collect only where the best label is at least so probable: 0.95 for pictures that can be "
      "trained with as they are labelled"),
  DOUBLE ("collect-max", "Collect maximum", settings.collect_max, NOW, 0, 1, 1.0,
      "Collect only where the best label is at most so probable: 0.7 for pictures that a person "
      "should label"),
  DOUBLE ("collect-rate", "Collect rate", settings.collect_rate, NOW, 0, G_MAXDOUBLE, 1.0,
      "Pictures to collect a second of the stream, at most (0 = no limit)"),
  UINT64 ("collect-limit", "Collect limit", settings.collect_limit, NOW, 0, G_MAXUINT64,
      ((guint64)1 << 30),
      "Bytes that the pictures in the folder may have, with those that it held before (0 = no "
      "limit)"),
  STRING ("dump-input", "Dump input", dump_input, NEXT_START, NULL,
      "Folder to write what the network is given into, a new HDF5 file for each frame that is "
      "classified (NAME.RUN.frame-N.h5), which classify predict --tensor reads (NULL = none; for "
      "looking for a fault: each frame waits for the disk)"),
  UINT ("dump-limit", "Dump limit", dump_limit, NEXT_START, 0, G_MAXUINT, 100,
      "Files that dump-input writes before it stops (0 = no limit)"),
  ENUM ("post-messages", "Post messages", settings.post, NOW, post_get_type, POST_CHANGES,
      "Which results are posted on the bus as element messages"),
  UINT64 ("message-interval", "Message interval", settings.message_interval, NOW, 0, G_MAXINT64,
      GST_SECOND,
      "With post-messages=interval: stream time between two messages, in nanoseconds"),
  ENUM ("text-cues", "Text cues", settings.cues, NOW, cues_get_type, CUES_SPANS,
      "What the buffers of the text pad stand for, where it is not JSON: spans for subtitles in a "
      "file, frames for textoverlay"),
  UINT64 ("text-max-duration", "Text maximum duration", settings.max_cue, NOW, 0, G_MAXINT64, 0,
      "Longest cue of text-cues=spans, in nanoseconds; a longer span is told in pieces. A cue is "
      "sent when it is over, until then a muxer holds back the video: give its queues more room "
      "than this (0 = automatic: 10 s, and 0.25 s where the text goes into an element that has "
      "other inputs, which ordinary queues hold)"),
  BOOLEAN ("skip-late", "Skip late", settings.skip_late, NOW, TRUE,
      "Do not classify frames that come late: in a live pipeline by the element's own clock "
      "(mode=sync), elsewhere where downstream reports it (QoS). The frames themselves are never "
      "dropped"),
  BOOLEAN ("qos", "QoS", qos, NOW, FALSE,
      "Always FALSE: late frames are not classified (skip-late), no frame is dropped",
      .changed = refuse_qos),
  BOOLEAN ("report-latency", "Report latency", report_latency, NOW, FALSE,
      "With mode=sync: add the measured time of a classification to the latency of live pipelines"),
  STRING ("label", "Label", label, READ_ONLY, NULL,
      "Label of the last result (notified on change)"),
  DOUBLE ("probability", "Probability", probability, READ_ONLY, 0, 1, 0,
      "Probability of the best label"),
  UINT64 ("inference-time", "Inference time", inference_time, READ_ONLY, 0, G_MAXUINT64, 0,
      "Time that the last classification took, pre-processing included, in nanoseconds"),
  UINT64 ("frames", "Frames", counts.frames, READ_ONLY, 0, G_MAXUINT64, 0,
      "Frames that came since the start"),
  UINT64 ("classified", "Classified", counts.classified, READ_ONLY, 0, G_MAXUINT64, 0,
      "Frames classified since the start"),
  UINT64 ("skipped-late", "Skipped late", counts.late, READ_ONLY, 0, G_MAXUINT64, 0,
      "Frames passed on without classification because they were late"),
  BOXED ("stats", "Statistics", READ_ONLY, gst_structure_get_type,
      "Counters since the start: frames, classified, regions, skipped-late, -interval, -rate, "
      "-gap, -no-region, -unchanged and dropped-busy (uint64, by reason), on-device (frames that "
      "the device pre-processed itself); inference-time-p50, -p95, -p99 of the last 1024 (uint64, "
      "ns); queue-depth, engine-clients (uint), engine-runs, engine-samples, text-dropped, "
      "explained, collected, collect-dropped (uint64)",
      .get = get_stats),
};

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

static gpointer
get_place (GstVideoClassify *self, glong field)
{
  return G_STRUCT_MEMBER_P (self, field);
}

/* With the object's lock held. */
static gboolean
is_value (GstVideoClassify *self, const Property *p, const GValue *value, GParamSpec *pspec)
{
  GValue now = G_VALUE_INIT;
  gboolean is_equal;

  g_value_init (&now, G_VALUE_TYPE (value));
  get_field (get_place (self, p->field), &now);
  is_equal = g_param_values_cmp (pspec, &now, value) == 0;
  g_value_unset (&now);
  return is_equal;
}

/* With the object's lock held. FALSE: the value is wrong, and @error tells why, where it is not
 * kept for the start. */
static gboolean
take_value (GstVideoClassify *self, const Property *p, const GValue *value, GError **error)
{
  g_autoptr (GError) wrong = NULL;
  GError **kept = p->error > 0 ? get_place (self, p->error) : NULL;

  if (kept)
    g_clear_error (kept);
  if (!p->parse || p->parse (self, g_value_get_string (value), &wrong)) {
    set_field (get_place (self, p->field), value);
    return TRUE;
  }
  g_prefix_error (&wrong, "property \"%s\": ", p->name);
  g_propagate_error (self->is_running ? error : kept, g_steal_pointer (&wrong));
  return FALSE;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);
  const Property *p = &properties[id - 1];
  const guint64 bit = G_GUINT64_CONSTANT (1) << id;
  g_autoptr (GError) error = NULL;
  gboolean comes_late;

  GST_OBJECT_LOCK (self);
  comes_late = p->when == NEXT_START && self->is_running && !(self->told_late & bit)
               && !is_value (self, p, value, pspec);
  comes_late = take_value (self, p, value, &error) && comes_late;
  if (comes_late)
    self->told_late |= bit;
  GST_OBJECT_UNLOCK (self);
  if (error)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("%s; the value before it stays in use", error->message), (NULL));
  if (comes_late)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("property \"%s\": takes effect at the next start", p->name), (NULL));
  if (p->changed)
    p->changed (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);
  const Property *p = &properties[id - 1];

  if (p->get) {
    p->get (self, value);
    return;
  }
  GST_OBJECT_LOCK (self);
  get_field (get_place (self, p->field), value);
  GST_OBJECT_UNLOCK (self);
}

gboolean
video_classify_check_properties (GstVideoClassify *self)
{
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  for (guint i = 0; i < G_N_ELEMENTS (properties) && !error; i++)
    if (properties[i].error > 0) {
      const GError *kept = *(GError **)get_place (self, properties[i].error);

      error = kept ? g_error_copy (kept) : NULL;
    }
  GST_OBJECT_UNLOCK (self);
  if (error)
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS, ("%s", error->message), (NULL));
  return error == NULL;
}

/* --- installed ------------------------------------------------------------------------- */

static GParamSpec *
make_spec (const Property *p)
{
  static const GParamFlags flags[] = {
    [NOW] = G_PARAM_READWRITE | GST_PARAM_MUTABLE_PLAYING,
    [NEXT_START] = G_PARAM_READWRITE | GST_PARAM_MUTABLE_READY,
    [READ_ONLY] = G_PARAM_READABLE,
  };
  const GParamFlags f = flags[p->when] | G_PARAM_STATIC_STRINGS;

  switch (p->type) {
    case G_TYPE_STRING:
      return g_param_spec_string (p->name, p->nick, p->blurb, p->text, f);
    case G_TYPE_BOOLEAN:
      return g_param_spec_boolean (p->name, p->nick, p->blurb, (gboolean)p->initial, f);
    case G_TYPE_ENUM:
      return g_param_spec_enum (p->name, p->nick, p->blurb, p->get_type (), (gint)p->initial, f);
    case G_TYPE_UINT:
      return g_param_spec_uint (p->name, p->nick, p->blurb, (guint)p->min, (guint)p->max,
          (guint)p->initial, f);
    case G_TYPE_UINT64:
      return g_param_spec_uint64 (p->name, p->nick, p->blurb, p->min, p->max, p->initial, f);
    case G_TYPE_DOUBLE:
      return g_param_spec_double (
          p->name, p->nick, p->blurb, p->d_min, p->d_max, p->d_initial, f);
    default:
      return g_param_spec_boxed (p->name, p->nick, p->blurb, p->get_type (), f);
  }
}

void
video_classify_install_properties (GObjectClass *klass)
{
  G_STATIC_ASSERT (G_N_ELEMENTS (properties) < 64); /* told_late */

  klass->set_property = set_property;
  klass->get_property = get_property;
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    g_object_class_install_property (klass, i + 1, make_spec (&properties[i]));
    if (properties[i].type == G_TYPE_ENUM)
      gst_type_mark_as_plugin_api (properties[i].get_type (), 0);
  }
}

void
video_classify_init_properties (GstVideoClassify *self)
{
  GObjectClass *klass = G_OBJECT_GET_CLASS (self);

  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    const Property *p = &properties[i];
    GParamSpec *spec = g_object_class_find_property (klass, p->name);

    if (p->when != READ_ONLY)
      take_value (self, p, g_param_spec_get_default_value (spec), NULL);
  }
}

void
video_classify_clear_properties (GstVideoClassify *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    const Property *p = &properties[i];

    if (p->type == G_TYPE_STRING && p->when != READ_ONLY)
      g_clear_pointer ((char **)get_place (self, p->field), g_free);
    if (p->error > 0)
      g_clear_error ((GError **)get_place (self, p->error));
  }
}
