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
 * With `mode=sync`, the default, a frame leaves with its own result. When the
 * frames come faster than they can be classified downstream says so (QoS), and
 * the element skips the classification of late frames, never the frames: these
 * carry the last result with its age. With `mode=async` frames leave at once and
 * the newest one is classified beside; each carries the newest result with its
 * age (fields age, in frames, and age-time).
 *
 * The whole frame is classified, or the part of it in #GstVideoClassify:crop, or
 * each region that a detector attached (#GstVideoClassify:inference-region): then
 * a buffer has a meta for each region, with the fields x, y, width, height, region
 * (id of the GstVideoRegionOfInterestMeta) and region-label, and the region's meta
 * gets a structure `classification` with label and confidence.
 *
 * The request pad `text` gives the results as timed text (`text/x-raw`: for
 * subtitles in a file, or with `text-cues=frames` for textoverlay) or as lines of
 * JSON (`application/x-json`), whichever is linked behind it. Sinks behind it want
 * `async=false` where the video's sink has it too.
 *
 * Elements of one process that name the same model and have the same `batch-size`
 * above 1 share one engine, which gathers the frames of all streams into batches.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -m filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 ! fakesink
 * ]| Prints a message each time the label changes.
 * |[
 * gst-launch-1.0 v4l2src ! videoclassify model=cats-dogs.h5 mode=async tta=flip \
 *   smoothing=exponential hysteresis=0.1 ! videoconvert ! autovideosink
 * ]| A camera that never waits: labels are steady, the mean of each frame and its mirror image.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify name=c model=cats-dogs.h5 text-cues=frames ! queue ! t.video_sink \
 *   c.text ! queue ! t.text_sink textoverlay name=t ! videoconvert ! autovideosink
 * ]| Writes the labels on the video.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 explain=cam explain-interval=200000000 ! \
 *   classifyoverlay ! videoconvert ! autovideosink
 * ]| Shows what in the picture speaks for its label, five times a second.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify name=c model=cats-dogs.h5 ! fakesink \
 *   c.text ! application/x-json ! filesink location=labels.jsonl
 * ]| Writes a line of JSON for each frame.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 collect=unsure collect-max=0.7 ! fakesink
 * ]| Writes a frame a second, of those that the model is unsure of, to unsure/cat and unsure/dog.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify name=c model=cats-dogs.h5 smoothing=exponential hysteresis=0.05 ! \
 *   videoconvert ! x264enc ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! mux. \
 *   c.text ! mux. matroskamux name=mux ! filesink location=labelled.mkv
 * ]| Subtitles: the queue holds the video of a span until its cue is known.
 *
 * Since: 0.1
 */

#include "gst/gstvideoclassify.h"

#include <errno.h>
#include <gst/video/video.h>
#include <string.h>

#include "gst/collector.h"
#include "gst/cues.h"
#include "gst/formats.h"
#include "gst/gstclassifymeta.h"
#include "gst/json-lines.h"
#include "gst/model-cache.h"
#include "gst/results.h"
#include "gst/smoother.h"
#include "gst/stats.h"
#include "gst/textpad.h"
#include "gst/thumbnail.h"
#include "nn/error.h"
#include "nn/input-dump.h"

GST_DEBUG_CATEGORY_STATIC (video_classify_debug);
#define GST_CAT_DEFAULT video_classify_debug

typedef enum {
  PRECISION_AUTO,
  PRECISION_FP32,
  PRECISION_TF32,
  PRECISION_FP16,
  PRECISION_BF16,
} GstVideoClassifyPrecision;

typedef enum {
  MODE_SYNC,
  MODE_ASYNC,
} GstVideoClassifyMode;

typedef enum {
  REGION_FULL_FRAME,
  REGION_ROI_LIST,
} GstVideoClassifyRegion;

typedef enum {
  EXPLAIN_NONE,
  EXPLAIN_CAM,
} GstVideoClassifyExplain;

typedef enum {
  COLLECT_BY_LABEL,
  COLLECT_FLAT,
} GstVideoClassifyCollectLayout;

typedef enum {
  COLLECT_JPEG,
  COLLECT_PNG,
} GstVideoClassifyCollectFormat;

typedef enum {
  POST_NONE,
  POST_CHANGES,
  POST_ALL,
  POST_INTERVAL,
} GstVideoClassifyPost;

typedef enum {
  CUES_SPANS,
  CUES_FRAMES,
} GstVideoClassifyCues;

#define DEFAULT_DEVICE "auto"
#define DEFAULT_PRECISION PRECISION_AUTO
#define DEFAULT_THREADS 0
#define DEFAULT_MODE MODE_SYNC
#define DEFAULT_TOP_K 5
#define DEFAULT_THRESHOLD 0.0
#define DEFAULT_INTERVAL 1
#define DEFAULT_MAX_RATE 0.0
#define DEFAULT_REGION REGION_FULL_FRAME
#define DEFAULT_MAX_REGIONS 16
#define DEFAULT_TTA "none"
#define DEFAULT_MIN_VIEWS 0
#define DEFAULT_BATCH_SIZE 1
#define DEFAULT_BATCH_TIMEOUT (10 * GST_MSECOND)
#define DEFAULT_POST POST_CHANGES
#define DEFAULT_MESSAGE_INTERVAL GST_SECOND
#define DEFAULT_SKIP_LATE TRUE
#define DEFAULT_REPORT_LATENCY FALSE
#define DEFAULT_WATCH FALSE
#define DEFAULT_CHANGE_THRESHOLD 0.0
#define DEFAULT_SMOOTHING SMOOTHING_NONE
#define DEFAULT_SMOOTHING_TIME GST_SECOND
#define DEFAULT_HYSTERESIS 0.0
#define DEFAULT_HOLD_TIME 0
#define DEFAULT_SCENE_CUT 0.15
#define DEFAULT_EXPLAIN EXPLAIN_NONE
#define DEFAULT_EXPLAIN_INTERVAL (500 * GST_MSECOND)
#define DEFAULT_COLLECT_LAYOUT COLLECT_BY_LABEL
#define DEFAULT_COLLECT_FORMAT COLLECT_JPEG
#define DEFAULT_COLLECT_MIN 0.0
#define DEFAULT_COLLECT_MAX 1.0
#define DEFAULT_COLLECT_RATE 1.0
#define DEFAULT_COLLECT_LIMIT ((guint64)1 << 30)
#define DEFAULT_DUMP_LIMIT 100
#define DEFAULT_TEXT_CUES CUES_SPANS

/* A model file that changed is read when it has stayed the same for this long. */
#define WATCH_INTERVAL (250 * G_TIME_SPAN_MILLISECOND)
/* What was known of a region that has not been seen for this long is forgotten. */
#define TRACK_TIMEOUT (5 * GST_SECOND)

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

enum {
  SIGNAL_CLASSIFIED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

/* what may change while playing: one copy a frame */
typedef struct {
  guint top_k, interval, min_views;
  double threshold, max_rate, change_threshold, scene_cut;
  double collect_min, collect_max, collect_rate;
  guint64 collect_limit;
  SmootherOptions smoothing;
  GstVideoClassifyPost post;
  GstVideoClassifyCues cues;
  GstClockTime message_interval, explain_interval;
  gboolean skip_late;
  Crop crop;
  GstVideoClassifyRegion region;
} Settings;

/* what is remembered of a region from one result to the next */
typedef struct {
  Region region;
  const char *posted; /* label of the last message; interned */
  GstClockTime posted_at, seen_at;
  guint64 frame;      /* the last that it was in */
  Smoother *smoother; /* NULL until it is needed */
} Track;

typedef struct {
  guint64 frames, classified, regions;
  guint64 late, interval, rate, gaps, outside, unchanged; /* not classified, by reason */
  guint64 explained;
  guint64 dropped; /* async: queued, then replaced by a newer one */
} Counts;

struct _GstVideoClassify {
  GstBaseTransform parent;

  /* under the object lock */
  char *model_path, *weights_path, *labels_path, *device, *crop, *roi_labels, *collect, *dump_input;
  GstVideoClassifyPrecision precision;
  NnTta tta;
  GstVideoClassifyExplain explain;
  GstVideoClassifyCollectLayout collect_layout;
  GstVideoClassifyCollectFormat collect_format;
  GstVideoClassifyMode mode;
  guint threads, max_regions, batch_size, dump_limit;
  GstClockTime batch_timeout;
  gboolean report_latency, watch;
  Settings settings;
  GstClockTime earliest_time; /* running time before which frames are too late */
  const char *label;          /* of the last result; interned */
  double probability;
  GstClockTime inference_time, reported_latency;
  Counts counts;
  Stats stats;
  double view_time; /* ns a view of a region takes, smoothed; 0: not known */
  GstClassifyTextPad *text_pad;
  EnginePool *context_pool; /* of a GstContext */

  /* set by start(), then the loader's and the streaming thread's */
  EnginePool *pool;
  RuntimeOptions options; /* strings owned */
  gboolean is_async;
  Collector *collector; /* or NULL; of start() to stop() */
  char *dump_dir;       /* or NULL; likewise */
  guint n_dumped;

  /* the thread that loads models while the stream runs; under the loader's lock */
  GMutex loader_lock;
  GCond loader_cond;
  GThread *loader;
  gboolean loader_quit, reload, is_started;
  char *first_key; /* of the files as start() found them */
  Runtime *next;   /* to be used from the next frame on */
  GList *retired;  /* to be freed */

  /* streaming thread only */
  Runtime *runtime;
  GstVideoInfo info;
  NnImageInfo image;
  NnViewSampler *sampler;
  NnRect sampler_rect;
  char **roi_label_list;
  guint64 frame;                /* number of the last */
  guint until_next;             /* frames to pass before the next classification */
  GstClockTime last_classified; /* time stamp */
  GstClockTime last_explained;
  Thumbnail classified, before; /* the last frame that was classified, and that was sampled */
  gboolean has_thumbnails;

  /* under the results' lock */
  GMutex results_lock;
  guint64 generation; /* results of tasks of another one are of a stream that is over */
  GPtrArray *results; /* of the newest frame that was classified */
  GArray *tracks;
  HeatMap *heat_map; /* the newest, or NULL */
  GstClockTime last_collected;
  float *smoothed; /* n_classes: of one region */
  Cues *cues;
  gboolean has_failed;
};

static void finish_task (GstVideoClassify *self, Task *task);
static void take_heat_map (HeatMap *map, const GError *error, gpointer element);
static void drain (GstVideoClassify *self);
static void loader_wake (GstVideoClassify *self);
static void wake_loader (GstVideoClassify *self);

G_DEFINE_TYPE (GstVideoClassify, gst_video_classify, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (videoclassify, "videoclassify", GST_RANK_NONE, GST_TYPE_VIDEO_CLASSIFY)

/* --- enums ---------------------------------------------------------------------- */

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

/* --- properties -------------------------------------------------------------------- */

static void
set_string (char **field, const GValue *value)
{
  g_free (*field);
  *field = g_value_dup_string (value);
}

/* A model, weights or labels named while playing are loaded beside the stream. */
static void
request_reload (GstVideoClassify *self)
{
  g_mutex_lock (&self->loader_lock);
  if (self->is_started) {
    self->reload = TRUE;
    loader_wake (self);
  }
  g_mutex_unlock (&self->loader_lock);
}

static void
set_crop (GstVideoClassify *self, const GValue *value)
{
  g_autoptr (GError) error = NULL;
  const char *string = g_value_get_string (value);
  Crop crop;

  if (!crop_parse (string, &crop, &error)) {
    g_warning ("%s: %s", GST_OBJECT_NAME (self), error->message);
    return;
  }
  GST_OBJECT_LOCK (self);
  set_string (&self->crop, value);
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
gst_video_classify_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  if (id == PROP_CROP) {
    set_crop (self, value);
    return;
  }
  if (id == PROP_TTA) {
    set_tta (self, g_value_get_string (value));
    return;
  }
  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_MODEL:
      set_string (&self->model_path, value);
      break;
    case PROP_WEIGHTS:
      set_string (&self->weights_path, value);
      break;
    case PROP_LABELS_FILE:
      set_string (&self->labels_path, value);
      break;
    case PROP_WATCH:
      self->watch = g_value_get_boolean (value);
      break;
    case PROP_DEVICE:
      set_string (&self->device, value);
      break;
    case PROP_PRECISION:
      self->precision = g_value_get_enum (value);
      break;
    case PROP_THREADS:
      self->threads = g_value_get_uint (value);
      break;
    case PROP_MODE:
      self->mode = g_value_get_enum (value);
      break;
    case PROP_BATCH_SIZE:
      self->batch_size = g_value_get_uint (value);
      break;
    case PROP_BATCH_TIMEOUT:
      self->batch_timeout = g_value_get_uint64 (value);
      break;
    case PROP_TOP_K:
      self->settings.top_k = g_value_get_uint (value);
      break;
    case PROP_THRESHOLD:
      self->settings.threshold = g_value_get_double (value);
      break;
    case PROP_INFERENCE_REGION:
      self->settings.region = g_value_get_enum (value);
      break;
    case PROP_ROI_LABELS:
      set_string (&self->roi_labels, value);
      break;
    case PROP_MAX_REGIONS:
      self->max_regions = g_value_get_uint (value);
      break;
    case PROP_INFERENCE_INTERVAL:
      self->settings.interval = g_value_get_uint (value);
      break;
    case PROP_MAX_RATE:
      self->settings.max_rate = g_value_get_double (value);
      break;
    case PROP_CHANGE_THRESHOLD:
      self->settings.change_threshold = g_value_get_double (value);
      break;
    case PROP_SMOOTHING:
      self->settings.smoothing.method = g_value_get_enum (value);
      break;
    case PROP_SMOOTHING_TIME:
      self->settings.smoothing.time = g_value_get_uint64 (value);
      break;
    case PROP_HYSTERESIS:
      self->settings.smoothing.hysteresis = g_value_get_double (value);
      break;
    case PROP_HOLD_TIME:
      self->settings.smoothing.hold = g_value_get_uint64 (value);
      break;
    case PROP_SCENE_CUT:
      self->settings.scene_cut = g_value_get_double (value);
      break;
    case PROP_TEXT_CUES:
      self->settings.cues = g_value_get_enum (value);
      break;
    case PROP_MIN_VIEWS:
      self->settings.min_views = g_value_get_uint (value);
      break;
    case PROP_POST_MESSAGES:
      self->settings.post = g_value_get_enum (value);
      break;
    case PROP_MESSAGE_INTERVAL:
      self->settings.message_interval = g_value_get_uint64 (value);
      break;
    case PROP_DUMP_INPUT:
      set_string (&self->dump_input, value);
      break;
    case PROP_DUMP_LIMIT:
      self->dump_limit = g_value_get_uint (value);
      break;
    case PROP_COLLECT:
      set_string (&self->collect, value);
      break;
    case PROP_COLLECT_LAYOUT:
      self->collect_layout = g_value_get_enum (value);
      break;
    case PROP_COLLECT_FORMAT:
      self->collect_format = g_value_get_enum (value);
      break;
    case PROP_COLLECT_MIN:
      self->settings.collect_min = g_value_get_double (value);
      break;
    case PROP_COLLECT_MAX:
      self->settings.collect_max = g_value_get_double (value);
      break;
    case PROP_COLLECT_RATE:
      self->settings.collect_rate = g_value_get_double (value);
      break;
    case PROP_COLLECT_LIMIT:
      self->settings.collect_limit = g_value_get_uint64 (value);
      break;
    case PROP_EXPLAIN:
      self->explain = g_value_get_enum (value);
      break;
    case PROP_EXPLAIN_INTERVAL:
      self->settings.explain_interval = g_value_get_uint64 (value);
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
  if (id == PROP_MODEL || id == PROP_WEIGHTS || id == PROP_LABELS_FILE)
    request_reload (self);
  else if (id == PROP_WATCH)
    wake_loader (self);
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

  g_mutex_lock (&self->loader_lock);
  if (self->runtime) {
    engine_client_get_load (self->runtime->client, &depth, &n_runs, &n_samples);
    n_clients = engine_client_get_n_clients (self->runtime->client);
  }
  if (self->collector)
    collector_get_counts (self->collector, &collected, &collect_dropped);
  g_mutex_unlock (&self->loader_lock);
  GST_OBJECT_LOCK (self);
  c = self->counts;
  stats_get_percentiles (&self->stats, percents, times, G_N_ELEMENTS (percents));
  if (self->text_pad)
    pad = gst_object_ref (self->text_pad);
  GST_OBJECT_UNLOCK (self);
  if (pad) {
    text_dropped = gst_classify_text_pad_get_n_dropped (pad);
    gst_object_unref (pad);
  }
  structure = gst_structure_new ("videoclassify-stats", "frames", G_TYPE_UINT64, c.frames,
      "classified", G_TYPE_UINT64, c.classified, "regions", G_TYPE_UINT64, c.regions,
      "skipped-late", G_TYPE_UINT64, c.late, "skipped-interval", G_TYPE_UINT64, c.interval,
      "skipped-rate", G_TYPE_UINT64, c.rate, "skipped-gap", G_TYPE_UINT64, c.gaps,
      "skipped-no-region", G_TYPE_UINT64, c.outside, "skipped-unchanged", G_TYPE_UINT64,
      c.unchanged, "dropped-busy", G_TYPE_UINT64, c.dropped, "explained", G_TYPE_UINT64,
      c.explained, "text-dropped", G_TYPE_UINT64, text_dropped, NULL);
  gst_structure_set (structure, "inference-time-p50", G_TYPE_UINT64, times[0], "inference-time-p95",
      G_TYPE_UINT64, times[1], "inference-time-p99", G_TYPE_UINT64, times[2], "queue-depth",
      G_TYPE_UINT, depth, "engine-runs", G_TYPE_UINT64, n_runs, "engine-samples", G_TYPE_UINT64,
      n_samples, "engine-clients", G_TYPE_UINT, n_clients, "collected", G_TYPE_UINT64, collected,
      "collect-dropped", G_TYPE_UINT64, collect_dropped, NULL);
  return structure;
}

static void
gst_video_classify_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  if (id == PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  }
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
    case PROP_WATCH:
      g_value_set_boolean (value, self->watch);
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
    case PROP_MODE:
      g_value_set_enum (value, self->mode);
      break;
    case PROP_BATCH_SIZE:
      g_value_set_uint (value, self->batch_size);
      break;
    case PROP_BATCH_TIMEOUT:
      g_value_set_uint64 (value, self->batch_timeout);
      break;
    case PROP_TOP_K:
      g_value_set_uint (value, self->settings.top_k);
      break;
    case PROP_THRESHOLD:
      g_value_set_double (value, self->settings.threshold);
      break;
    case PROP_INFERENCE_REGION:
      g_value_set_enum (value, self->settings.region);
      break;
    case PROP_CROP:
      g_value_set_string (value, self->crop);
      break;
    case PROP_ROI_LABELS:
      g_value_set_string (value, self->roi_labels);
      break;
    case PROP_MAX_REGIONS:
      g_value_set_uint (value, self->max_regions);
      break;
    case PROP_INFERENCE_INTERVAL:
      g_value_set_uint (value, self->settings.interval);
      break;
    case PROP_MAX_RATE:
      g_value_set_double (value, self->settings.max_rate);
      break;
    case PROP_CHANGE_THRESHOLD:
      g_value_set_double (value, self->settings.change_threshold);
      break;
    case PROP_SMOOTHING:
      g_value_set_enum (value, self->settings.smoothing.method);
      break;
    case PROP_SMOOTHING_TIME:
      g_value_set_uint64 (value, self->settings.smoothing.time);
      break;
    case PROP_HYSTERESIS:
      g_value_set_double (value, self->settings.smoothing.hysteresis);
      break;
    case PROP_HOLD_TIME:
      g_value_set_uint64 (value, self->settings.smoothing.hold);
      break;
    case PROP_SCENE_CUT:
      g_value_set_double (value, self->settings.scene_cut);
      break;
    case PROP_TEXT_CUES:
      g_value_set_enum (value, self->settings.cues);
      break;
    case PROP_TTA:
      g_value_take_string (value, nn_tta_to_string (&self->tta));
      break;
    case PROP_MIN_VIEWS:
      g_value_set_uint (value, self->settings.min_views);
      break;
    case PROP_POST_MESSAGES:
      g_value_set_enum (value, self->settings.post);
      break;
    case PROP_MESSAGE_INTERVAL:
      g_value_set_uint64 (value, self->settings.message_interval);
      break;
    case PROP_DUMP_INPUT:
      g_value_set_string (value, self->dump_input);
      break;
    case PROP_DUMP_LIMIT:
      g_value_set_uint (value, self->dump_limit);
      break;
    case PROP_COLLECT:
      g_value_set_string (value, self->collect);
      break;
    case PROP_COLLECT_LAYOUT:
      g_value_set_enum (value, self->collect_layout);
      break;
    case PROP_COLLECT_FORMAT:
      g_value_set_enum (value, self->collect_format);
      break;
    case PROP_COLLECT_MIN:
      g_value_set_double (value, self->settings.collect_min);
      break;
    case PROP_COLLECT_MAX:
      g_value_set_double (value, self->settings.collect_max);
      break;
    case PROP_COLLECT_RATE:
      g_value_set_double (value, self->settings.collect_rate);
      break;
    case PROP_COLLECT_LIMIT:
      g_value_set_uint64 (value, self->settings.collect_limit);
      break;
    case PROP_EXPLAIN:
      g_value_set_enum (value, self->explain);
      break;
    case PROP_EXPLAIN_INTERVAL:
      g_value_set_uint64 (value, self->settings.explain_interval);
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
      g_value_set_uint64 (value, self->counts.frames);
      break;
    case PROP_CLASSIFIED:
      g_value_set_uint64 (value, self->counts.classified);
      break;
    case PROP_SKIPPED_LATE:
      g_value_set_uint64 (value, self->counts.late);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

/* --- errors --------------------------------------------------------------------------- */

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

/* --- models: loading, watching, exchanging --------------------------------------------- */

static void
engine_done (EngineJob *job, gpointer task)
{
  finish_task (((Task *)task)->owner, task);
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

/* The loader's thread. A model that cannot be used leaves the old one running. */
static void
load_beside (GstVideoClassify *self)
{
  g_autoptr (GError) error = NULL;
  RuntimeOptions options = self->options;
  char *paths[3];
  Runtime *runtime = NULL;

  copy_paths (self, &options, paths);
  if (options.model && *options.model)
    runtime = runtime_new (self->pool, &options, self, engine_done, take_heat_map, &error);
  else
    g_set_error (&error, NN_ERROR, NN_ERROR_NOT_FOUND, "no model named");
  if (runtime) {
    describe (self, runtime, options.model);
    g_mutex_lock (&self->loader_lock);
    if (self->next)
      self->retired = g_list_prepend (self->retired, self->next);
    g_atomic_pointer_set (&self->next, runtime);
    g_mutex_unlock (&self->loader_lock);
  } else {
    GST_ELEMENT_WARNING (
        self, RESOURCE, SETTINGS, ("%s: the model before it stays in use", error->message), (NULL));
  }
  clear_paths (paths);
}

static char *
make_key (GstVideoClassify *self)
{
  RuntimeOptions options;
  char *paths[3], *key;

  copy_paths (self, &options, paths);
  key = model_cache_make_key (options.model, options.weights, options.labels_file);
  clear_paths (paths);
  return key;
}

static gboolean
is_watching (GstVideoClassify *self)
{
  gboolean watch;

  GST_OBJECT_LOCK (self);
  watch = self->watch;
  GST_OBJECT_UNLOCK (self);
  return watch;
}

static gpointer
loader_main (gpointer user_data)
{
  GstVideoClassify *self = user_data;
  char *loaded, *before;

  g_mutex_lock (&self->loader_lock);
  loaded = g_strdup (self->first_key);
  before = g_strdup (loaded);
  while (!self->loader_quit) {
    if (self->retired) {
      GList *retired = g_steal_pointer (&self->retired);

      g_mutex_unlock (&self->loader_lock);
      g_list_free_full (retired, (GDestroyNotify)runtime_free);
      g_mutex_lock (&self->loader_lock);
    } else if (self->reload) {
      self->reload = FALSE;
      g_mutex_unlock (&self->loader_lock);
      g_free (loaded);
      g_free (before);
      loaded = make_key (self);
      before = g_strdup (loaded);
      load_beside (self);
      g_mutex_lock (&self->loader_lock);
    } else if (is_watching (self)) {
      const gboolean woken = g_cond_wait_until (
          &self->loader_cond, &self->loader_lock, g_get_monotonic_time () + WATCH_INTERVAL);

      if (!woken) {
        char *now = make_key (self);

        /* who writes the file in place may not be done yet */
        if (!g_str_equal (now, loaded) && g_str_equal (now, before))
          self->reload = TRUE;
        g_free (before);
        before = now;
      }
    } else {
      g_cond_wait (&self->loader_cond, &self->loader_lock);
    }
  }
  g_mutex_unlock (&self->loader_lock);
  g_free (loaded);
  g_free (before);
  return NULL;
}

/* With the loader's lock held: starts the thread where there is none yet. */
static void
loader_wake (GstVideoClassify *self)
{
  if (!self->is_started)
    return;
  if (!self->loader)
    self->loader = g_thread_new ("classify-load", loader_main, self);
  g_cond_signal (&self->loader_cond);
}

static void
wake_loader (GstVideoClassify *self)
{
  const gboolean watch = is_watching (self);

  g_mutex_lock (&self->loader_lock);
  if (watch || self->loader)
    loader_wake (self);
  g_mutex_unlock (&self->loader_lock);
}

static void
stop_loader (GstVideoClassify *self)
{
  GThread *thread;

  g_mutex_lock (&self->loader_lock);
  self->is_started = FALSE;
  self->loader_quit = TRUE;
  self->reload = FALSE;
  thread = g_steal_pointer (&self->loader);
  g_cond_signal (&self->loader_cond);
  g_mutex_unlock (&self->loader_lock);
  if (thread)
    g_thread_join (thread);
  self->loader_quit = FALSE;
  g_clear_pointer (&self->first_key, g_free);
  g_clear_pointer (&self->next, runtime_free);
  g_list_free_full (g_steal_pointer (&self->retired), (GDestroyNotify)runtime_free);
}

static void
prepare_results (GstVideoClassify *self)
{
  g_mutex_lock (&self->results_lock);
  g_free (self->smoothed);
  self->smoothed = g_new0 (float, self->runtime->n_classes);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  for (guint i = 0; i < self->tracks->len; i++) /* of another number of classes, perhaps */
    g_clear_pointer (&g_array_index (self->tracks, Track, i).smoother, smoother_free);
  g_mutex_unlock (&self->results_lock);
}

/* Streaming thread: the model that was loaded beside, if any, from this frame on. */
static void
exchange_runtime (GstVideoClassify *self)
{
  if (!g_atomic_pointer_get (&self->next))
    return;
  g_mutex_lock (&self->results_lock);
  self->generation++; /* what the old one is still at comes too late */
  g_mutex_unlock (&self->results_lock);
  g_mutex_lock (&self->loader_lock);
  self->retired = g_list_prepend (self->retired, self->runtime);
  self->runtime = g_steal_pointer (&self->next);
  loader_wake (self);
  g_mutex_unlock (&self->loader_lock);
  prepare_results (self);
  GST_OBJECT_LOCK (self);
  self->view_time = 0;
  GST_OBJECT_UNLOCK (self);
  self->has_thumbnails = FALSE;
  self->until_next = 0; /* the first frame that the new one sees is this */
  self->last_classified = self->last_explained = GST_CLOCK_TIME_NONE;
  g_clear_pointer (&self->sampler, nn_view_sampler_free);
  GST_INFO_OBJECT (self, "model %s is in use from frame %" G_GUINT64_FORMAT " on",
      self->runtime->model_name, self->frame);
}

/* --- start and stop ---------------------------------------------------------------------- */

static void
forget_stream (GstVideoClassify *self)
{
  gboolean was_waiting;

  if (self->runtime && self->is_async)
    runtime_take_task (self->runtime, &was_waiting);
  g_mutex_lock (&self->results_lock);
  self->generation++;
  g_ptr_array_set_size (self->results, 0);
  g_array_set_size (self->tracks, 0);
  g_clear_pointer (&self->heat_map, heat_map_unref);
  self->last_collected = GST_CLOCK_TIME_NONE;
  cues_reset (self->cues);
  g_mutex_unlock (&self->results_lock);
  self->until_next = 0;
  self->last_classified = self->last_explained = GST_CLOCK_TIME_NONE;
  self->has_thumbnails = FALSE;
  GST_OBJECT_LOCK (self);
  self->earliest_time = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_video_classify_stop (GstBaseTransform *trans)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  Collector *collector;
  Runtime *runtime;

  stop_loader (self);
  g_mutex_lock (&self->loader_lock);
  runtime = g_steal_pointer (&self->runtime);
  g_mutex_unlock (&self->loader_lock);
  if (runtime)
    runtime_free (runtime); /* its thread reports to this element until here */
  g_mutex_lock (&self->loader_lock);
  collector = g_steal_pointer (&self->collector);
  g_mutex_unlock (&self->loader_lock);
  if (collector)
    collector_free (collector);
  forget_stream (self);
  g_clear_pointer (&self->sampler, nn_view_sampler_free);
  g_clear_pointer (&self->smoothed, g_free);
  g_clear_pointer (&self->dump_dir, g_free);
  g_clear_pointer (&self->roi_label_list, g_strfreev);
  g_free ((char *)g_steal_pointer (&self->options.device));
  g_clear_object (&self->pool);
  return TRUE;
}

/* Whose engines are shared: those of a context that the application, a bin or a
 * neighbour has, else the process's, told to the others. */
static EnginePool *
find_pool (GstVideoClassify *self)
{
  GstQuery *query;
  EnginePool *pool;
  GstContext *context;

  GST_OBJECT_LOCK (self);
  pool = self->context_pool ? g_object_ref (self->context_pool) : NULL;
  GST_OBJECT_UNLOCK (self);
  if (pool)
    return pool;
  query = gst_query_new_context (ENGINE_POOL_CONTEXT);
  if (gst_pad_peer_query (GST_BASE_TRANSFORM_SRC_PAD (self), query)
      || gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query)) {
    gst_query_parse_context (query, &context);
    gst_element_set_context (GST_ELEMENT (self), context);
  } else {
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_need_context (GST_OBJECT (self), ENGINE_POOL_CONTEXT));
  }
  gst_query_unref (query);
  GST_OBJECT_LOCK (self);
  pool = self->context_pool ? g_object_ref (self->context_pool) : NULL;
  GST_OBJECT_UNLOCK (self);
  if (pool)
    return pool;

  pool = engine_pool_get_default ();
  context = gst_context_new (ENGINE_POOL_CONTEXT, TRUE);
  gst_structure_set (
      gst_context_writable_structure (context), "pool", ENGINE_TYPE_POOL, pool, NULL);
  gst_element_set_context (GST_ELEMENT (self), context);
  gst_element_post_message (
      GST_ELEMENT (self), gst_message_new_have_context (GST_OBJECT (self), context));
  return pool;
}

static void
gst_video_classify_set_context (GstElement *element, GstContext *context)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (element);

  if (context && gst_context_has_context_type (context, ENGINE_POOL_CONTEXT)) {
    EnginePool *pool = NULL, *old;

    gst_structure_get (gst_context_get_structure (context), "pool", ENGINE_TYPE_POOL, &pool, NULL);
    if (pool) {
      GST_OBJECT_LOCK (self);
      old = self->context_pool;
      self->context_pool = pool;
      GST_OBJECT_UNLOCK (self);
      g_clear_object (&old);
    }
  }
  GST_ELEMENT_CLASS (gst_video_classify_parent_class)->set_context (element, context);
}

static void
collector_failed (const char *message, gpointer element)
{
  GST_ELEMENT_WARNING (element, RESOURCE, WRITE,
      ("property \"collect\": %s; no more pictures are collected", message), (NULL));
}

static void
start_collector (GstVideoClassify *self)
{
  static const char *const formats[] = { "image/jpeg", "image/png" };
  g_autofree char *directory = NULL;
  g_autoptr (GError) error = NULL;
  CollectorOptions options;
  Collector *collector;

  GST_OBJECT_LOCK (self);
  directory = g_strdup (self->collect);
  options = (CollectorOptions){ .directory = directory,
    .flat = self->collect_layout == COLLECT_FLAT,
    .format = formats[self->collect_format] };
  GST_OBJECT_UNLOCK (self);
  if (!directory || !*directory)
    return;
  collector = collector_new (&options, collector_failed, self, &error);
  if (!collector)
    collector_failed (error->message, self);
  g_mutex_lock (&self->loader_lock);
  self->collector = collector;
  g_mutex_unlock (&self->loader_lock);
}

static void
start_dump (GstVideoClassify *self)
{
  g_autofree char *dir = NULL;

  GST_OBJECT_LOCK (self);
  dir = g_strdup (self->dump_input);
  GST_OBJECT_UNLOCK (self);
  self->n_dumped = 0;
  if (!dir || !*dir)
    return;
  if (g_mkdir_with_parents (dir, 0777) == 0)
    self->dump_dir = g_steal_pointer (&dir);
  else
    GST_ELEMENT_WARNING (self, RESOURCE, OPEN_WRITE,
        ("property \"dump-input\": %s: cannot be made: %s", dir, g_strerror (errno)), (NULL));
}

/* What the network is about to see of the frame. */
static void
dump (GstVideoClassify *self, const Task *task)
{
  const Runtime *runtime = task->runtime;
  g_autofree NnRect *rects = g_new (NnRect, task->n_regions);
  g_autofree char *name = g_strdup_printf (
      "%s.frame-%06" G_GUINT64_FORMAT ".h5", GST_OBJECT_NAME (self), task->frame);
  g_autofree char *path = g_build_filename (self->dump_dir, name, NULL);
  const NnInputDump values = { .n_regions = task->n_regions,
    .n_views = task->n_views,
    .shape = *nn_model_get_input_shape (nn_views_get_network (runtime->views)),
    .values = task->job->input,
    .regions = rects,
    .model = (char *)runtime->model_name,
    .tta = self->options.tta,
    .pts = task->pts };
  g_autoptr (GError) error = NULL;

  for (guint r = 0; r < task->n_regions; r++)
    rects[r] = task->regions[r].rect;
  if (!nn_input_dump_write (&values, runtime->views, path, &error)) {
    GST_ELEMENT_WARNING (self, RESOURCE, WRITE,
        ("property \"dump-input\": %s; no more is dumped", error->message), (NULL));
    g_clear_pointer (&self->dump_dir, g_free);
  } else if (++self->n_dumped == self->dump_limit) {
    GST_INFO_OBJECT (self, "dump-input: %u files written, the limit", self->n_dumped);
    g_clear_pointer (&self->dump_dir, g_free);
  }
}

static gboolean
gst_video_classify_start (GstBaseTransform *trans)
{
  static const NnPrecision precisions[] = { NN_PRECISION_AUTO, NN_PRECISION_FP32, NN_PRECISION_TF32,
    NN_PRECISION_FP16, NN_PRECISION_BF16 };
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  g_autoptr (GError) error = NULL;
  Runtime *runtime;
  char *paths[3];
  gboolean ok = FALSE, watch;

  GST_OBJECT_LOCK (self);
  self->is_async = self->mode == MODE_ASYNC;
  self->options = (RuntimeOptions){
    .device = g_strdup (self->device),
    .precision = precisions[self->precision],
    .threads = self->threads,
    .tta = self->tta,
    .max_regions = self->settings.region == REGION_ROI_LIST ? self->max_regions : 1,
    .batch = self->batch_size,
    .batch_timeout = self->batch_timeout,
    .is_async = self->is_async,
    .explain = self->explain == EXPLAIN_CAM,
  };
  self->roi_label_list = self->roi_labels ? g_strsplit (self->roi_labels, ",", -1) : NULL;
  for (char **label = self->roi_label_list; label && *label; label++)
    g_strstrip (*label);
  self->counts = (Counts){ 0 };
  self->stats.n = 0;
  self->view_time = 0;
  self->inference_time = self->reported_latency = 0;
  self->label = NULL;
  self->probability = 0;
  watch = self->watch;
  GST_OBJECT_UNLOCK (self);
  self->frame = 0;
  self->has_failed = FALSE;

  copy_paths (self, &self->options, paths);
  if (!self->options.model || !*self->options.model) {
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND,
        ("no model: set the property \"model\" to a Keras model file, as in "
         "videoclassify model=cats-dogs.h5"),
        (NULL));
  } else {
    self->pool = self->options.batch > 1 ? find_pool (self) : engine_pool_get_default ();
    g_free (self->first_key);
    self->first_key = make_key (self);
    runtime = runtime_new (self->pool, &self->options, self, engine_done, take_heat_map, &error);
    g_mutex_lock (&self->loader_lock);
    self->runtime = runtime;
    g_mutex_unlock (&self->loader_lock);
    if (runtime) {
      describe (self, self->runtime, self->options.model);
      ok = TRUE;
    } else {
      post_error (self, error);
    }
  }
  clear_paths (paths);
  self->options.model = self->options.weights = self->options.labels_file = NULL;
  if (!ok) {
    gst_video_classify_stop (trans);
    return FALSE;
  }
  start_collector (self);
  start_dump (self);
  prepare_results (self);
  forget_stream (self);
  g_mutex_lock (&self->loader_lock);
  self->is_started = TRUE;
  if (watch)
    loader_wake (self);
  g_mutex_unlock (&self->loader_lock);
  return TRUE;
}

/* --- negotiation ------------------------------------------------------------------------- */

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
  g_clear_pointer (&self->sampler, nn_view_sampler_free);
  return TRUE;
}

static gboolean
gst_video_classify_propose_allocation (GstBaseTransform *trans, GstQuery *decide, GstQuery *query)
{
  if (!GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)
           ->propose_allocation (trans, decide, query))
    return FALSE;
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  gst_query_add_allocation_meta (query, GST_VIDEO_CROP_META_API_TYPE, NULL);
  gst_query_add_allocation_meta (query, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE, NULL);
  return TRUE;
}

/* --- events and queries ---------------------------------------------------------------------- */

/* (transfer full)(nullable) */
static GstClassifyTextPad *
get_text_pad (GstVideoClassify *self)
{
  GstClassifyTextPad *pad;

  GST_OBJECT_LOCK (self);
  pad = self->text_pad ? gst_object_ref (self->text_pad) : NULL;
  GST_OBJECT_UNLOCK (self);
  return pad;
}

static void
end_cue (GstVideoClassify *self, GstClassifyTextPad *pad)
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

static gboolean
gst_video_classify_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  GstClassifyTextPad *pad = get_text_pad (self);
  const GstSegment *segment;
  GstClockTime position;
  gboolean reset_time;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      if (pad)
        gst_classify_text_pad_flush_start (pad);
      break;
    case GST_EVENT_FLUSH_STOP:
      forget_stream (self);
      gst_event_parse_flush_stop (event, &reset_time);
      if (pad)
        gst_classify_text_pad_flush_stop (pad, reset_time);
      break;
    case GST_EVENT_STREAM_START:
      drain (self);
      forget_stream (self);
      break;
    case GST_EVENT_SEGMENT:
      drain (self);
      end_cue (self, pad);
      forget_stream (self);
      gst_event_parse_segment (event, &segment);
      if (pad && segment->format == GST_FORMAT_TIME)
        gst_classify_text_pad_set_segment (pad, segment);
      break;
    case GST_EVENT_GAP:
      gst_event_parse_gap (event, &position, NULL);
      if (pad)
        gst_classify_text_pad_advance (pad, position);
      break;
    case GST_EVENT_EOS:
      drain (self);
      end_cue (self, pad);
      if (pad)
        gst_classify_text_pad_eos (pad);
      break;
    default:
      break;
  }
  gst_clear_object (&pad);
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
        self->earliest_time = timestamp + 2 * (GstClockTime)diff;
      else
        self->earliest_time = GST_CLOCK_TIME_NONE;
      GST_OBJECT_UNLOCK (self);
    }
  }
  return GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->src_event (trans, event);
}

static gboolean
answer_context (GstVideoClassify *self, GstQuery *query)
{
  const char *type;
  GstContext *context;

  gst_query_parse_context_type (query, &type);
  if (!g_str_equal (type, ENGINE_POOL_CONTEXT))
    return FALSE;
  context = gst_element_get_context (GST_ELEMENT (self), ENGINE_POOL_CONTEXT);
  if (!context)
    return FALSE;
  gst_query_set_context (query, context);
  gst_context_unref (context);
  return TRUE;
}

static gboolean
gst_video_classify_query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  gboolean is_live, ok;
  GstClockTime min, max, own;

  if (GST_QUERY_TYPE (query) == GST_QUERY_CONTEXT && answer_context (self, query))
    return TRUE;
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
/* --- one frame: what is looked at ---------------------------------------------------------- */

/* The samples of all views of @region, from sample number @first of the task's on. */
static gboolean
sample_region (GstVideoClassify *self, Task *task, const Region *region,
    const NnImagePlanes *planes, guint first)
{
  const Runtime *runtime = task->runtime;
  float *input = task->job->input + first * runtime->in_size;
  g_autoptr (GError) error = NULL;

  if (!self->sampler || memcmp (&self->sampler_rect, &region->rect, sizeof (NnRect)) != 0) {
    NnViewSampler *sampler
        = nn_view_sampler_new (runtime->views, &self->image, &region->rect, &error);

    if (!sampler) {
      post_error (self, error);
      return FALSE;
    }
    nn_view_sampler_free (self->sampler);
    self->sampler = sampler;
    self->sampler_rect = region->rect;
  }
  nn_view_sampler_run (self->sampler, planes, task->n_views, input);
  return TRUE;
}

/* Has a map made of the first region, where one is due. */
static void
explain (
    GstVideoClassify *self, const Task *task, const NnImagePlanes *planes, const Settings *settings)
{
  Explainer *explainer = task->runtime->explainer;
  const ExplainerJob job = { .region = task->regions[0],
    .generation = task->generation,
    .frame = task->frame,
    .pts = task->pts,
    .image = self->image };
  g_autoptr (GError) error = NULL;

  if (!explainer || !explainer_is_idle (explainer)
      || (GST_CLOCK_TIME_IS_VALID (self->last_explained) && GST_CLOCK_TIME_IS_VALID (task->pts)
          && task->pts >= self->last_explained
          && task->pts - self->last_explained < settings->explain_interval))
    return;
  self->last_explained = task->pts;
  if (!explainer_run (explainer, &job, planes, &error))
    take_heat_map (NULL, error, self);
}

static gboolean
sample_frame (GstVideoClassify *self, Task *task, GstBuffer *buffer, const Settings *settings)
{
  NnImagePlanes planes = { 0 };
  GstVideoFrame frame;
  gboolean ok = TRUE;

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
  for (guint r = 0; r < task->n_regions && ok; r++)
    ok = sample_region (self, task, &task->regions[r], &planes, r * task->n_views);
  if (ok)
    explain (self, task, &planes, settings);
  gst_video_frame_unmap (&frame);
  task->job->n = task->n_regions * task->n_views;
  return ok;
}

/* The regions of the frame, at most self->options.max_regions. */
static guint
find_regions (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings, Region *regions)
{
  GstVideoCropMeta *crop_meta = gst_buffer_get_video_crop_meta (buffer);
  NnRect area = { 0, 0, self->image.width, self->image.height }, rect;

  if (crop_meta && crop_meta->width > 0 && crop_meta->height > 0)
    area = (NnRect){ crop_meta->x, crop_meta->y, crop_meta->width, crop_meta->height };
  if (!crop_apply (&settings->crop, &area, &rect))
    return 0;
  if (settings->region == REGION_ROI_LIST)
    return regions_collect (buffer, &rect, (const char *const *)self->roi_label_list,
        self->options.max_regions, regions);
  regions[0] = (Region){
    .is_whole = !settings->crop.is_set, .id = -1, .mtd = REGION_NO_MTD, .rect = rect
  };
  return 1;
}

/* --- results ------------------------------------------------------------------------------- */

typedef struct {
  Result *result;
  gboolean is_changed, is_due; /* the label; a message of POST_INTERVAL */
} News;

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

static void
publish (GstVideoClassify *self, const Task *task, const News *news, const Settings *settings)
{
  const gboolean post = settings->post == POST_ALL
                        || (settings->post == POST_CHANGES && news->is_changed)
                        || (settings->post == POST_INTERVAL && news->is_due);
  const gboolean emit = g_signal_has_handler_pending (self, signals[SIGNAL_CLASSIFIED], 0, FALSE);
  GstStructure *structure;

  if (!post && !emit)
    return;
  structure = result_to_structure (news->result, task);
  if (emit)
    g_signal_emit (self, signals[SIGNAL_CLASSIFIED], 0, structure);
  if (post)
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
  else
    gst_structure_free (structure);
}

/* What the text pad is sent of the results of a frame. */
static void
send_text (GstVideoClassify *self, const Task *task, const News *news, const Settings *settings)
{
  GstClassifyTextPad *pad = get_text_pad (self);
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

/* What it is sent for each frame: its cue, or how far the stream has come where
 * no cue is open. */
static void
send_frame_text (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  GstClassifyTextPad *pad = get_text_pad (self);
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

/* A task that was run becomes results: in the streaming thread (sync) or in the
 * engine's (async). */
/* TRUE: "collect-rate" allows a picture of a frame at @pts. Under the results' lock. */
static gboolean
is_collection_due (const GstVideoClassify *self, GstClockTime pts, const Settings *settings)
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
      || !is_collection_due (self, task->pts, settings))
    return;
  self->last_collected = task->pts;
  collector_push (self->collector, picture, &task->info, &task->regions[r].rect,
      runtime->labels[best], settings->collect_limit);
}

static void
finish_task (GstVideoClassify *self, Task *task)
{
  const GstClockTime delay = gst_util_get_timestamp () - task->started;
  const GstClockTime inference_time
      = self->is_async ? task->sample_time + task->job->run_time : delay;
  g_autoptr (GstBuffer) picture = g_steal_pointer (&task->picture);
  g_autofree News *news = NULL;
  gboolean has_label_changed = FALSE;
  Settings settings;

  if (task->job->error || !task_average (task)) {
    gboolean was_told;

    g_mutex_lock (&self->results_lock);
    was_told = self->has_failed;
    self->has_failed = TRUE;
    g_mutex_unlock (&self->results_lock);
    if (!was_told)
      post_error (self, task->job->error);
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
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LABEL]);
  send_text (self, task, news, &settings);
  for (guint r = 0; r < task->n_regions; r++) {
    publish (self, task, &news[r], &settings);
    GST_LOG_OBJECT (self, "%" GST_PTR_FORMAT, news[r].result->structure);
    result_unref (news[r].result);
  }
  if (!self->is_async)
    update_latency (self, delay);
}

/* From the explainer, in its thread or the streaming thread. */
static void
take_heat_map (HeatMap *map, const GError *error, gpointer element)
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

/* Each region of the frame gets the newest result that is about it. */
static void
attach_results (GstVideoClassify *self, GstBuffer *buffer, const Region *regions, guint n)
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

/* Waits for what is on its way: its results come before what follows. */
static void
drain (GstVideoClassify *self)
{
  if (self->runtime && self->is_async)
    engine_client_wait (self->runtime->client);
}

/* --- one frame: whether, when ----------------------------------------------------------------- */

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
  processed = self->counts.classified;
  dropped = ++self->counts.late;
  GST_OBJECT_UNLOCK (self);
  post_qos (self, buffer, running_time, processed, dropped);
  return TRUE;
}

static gboolean
is_too_soon (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  const GstClockTime pts = GST_BUFFER_PTS (buffer), last = self->last_classified;

  if (settings->max_rate <= 0 || !GST_CLOCK_TIME_IS_VALID (pts) || !GST_CLOCK_TIME_IS_VALID (last)
      || pts < last)
    return FALSE;
  /* half a frame early is nearer than half a frame late */
  return (double)(pts - last) + 1e-3 * GST_SECOND < GST_SECOND / settings->max_rate;
}

/* Whether the frame is to be classified; counts why not. */
static gboolean
is_due (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  guint64 *reason = NULL;
  gboolean has_result;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP)) /* nothing to see: keep the last */
    reason = &self->counts.gaps;
  else if (self->until_next > 0 && --self->until_next > 0)
    reason = &self->counts.interval;
  else if (is_too_soon (self, buffer, settings))
    reason = &self->counts.rate;
  if (reason) {
    GST_OBJECT_LOCK (self);
    ++*reason;
    GST_OBJECT_UNLOCK (self);
    return FALSE;
  }
  g_mutex_lock (&self->results_lock);
  has_result = self->results->len > 0;
  g_mutex_unlock (&self->results_lock);
  if (has_result && is_late (self, buffer, settings)) {
    self->until_next = 1; /* the next frame that is in time */
    return FALSE;
  }
  return TRUE;
}

/* As many views as there is time for until the next frame comes. */
static guint
choose_n_views (
    GstVideoClassify *self, const Settings *settings, GstBuffer *buffer, guint n_regions)
{
  const guint max = self->runtime->max_views;
  double period, view_time;

  GST_OBJECT_LOCK (self);
  view_time = self->view_time;
  GST_OBJECT_UNLOCK (self);
  if (!self->is_async || settings->min_views == 0 || settings->min_views >= max || view_time <= 0)
    return max;
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    period = (double)GST_BUFFER_DURATION (buffer);
  else if (GST_VIDEO_INFO_FPS_N (&self->info) > 0)
    period = (double)GST_SECOND * GST_VIDEO_INFO_FPS_D (&self->info)
             / GST_VIDEO_INFO_FPS_N (&self->info);
  else
    return max;
  period *= settings->interval;
  if (settings->max_rate > 0)
    period = MAX (period, GST_SECOND / settings->max_rate);
  return (guint)CLAMP (period / (view_time * n_regions), settings->min_views, max);
}

/* Whether the network would see what it saw last; marks the first frame of a scene. */
static gboolean
is_unchanged (GstVideoClassify *self, Task *task, const Settings *settings)
{
  const SmootherOptions *smoothing = &settings->smoothing;
  Thumbnail now;
  gboolean had, unchanged;

  task->is_cut = FALSE;
  if (settings->region == REGION_ROI_LIST
      || (settings->change_threshold <= 0
          && (settings->scene_cut <= 0
              || (smoothing->method == SMOOTHING_NONE && smoothing->hysteresis <= 0
                  && smoothing->hold == 0)))) {
    self->has_thumbnails = FALSE;
    return FALSE;
  }
  thumbnail_make (&now, task->job->input, nn_views_get_preprocess (task->runtime->views));
  had = self->has_thumbnails;
  task->is_cut = had && settings->scene_cut > 0
                 && thumbnail_compare (&now, &self->before) > settings->scene_cut;
  unchanged = had && settings->change_threshold > 0
              && thumbnail_compare (&now, &self->classified) < settings->change_threshold;
  self->before = now;
  if (!unchanged)
    self->classified = now;
  self->has_thumbnails = TRUE;
  return unchanged;
}

/* FALSE: the flow ends. */
static gboolean
classify (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings,
    const Region *regions, guint n_regions)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  gboolean was_waiting;
  Task *task = runtime_take_task (self->runtime, &was_waiting);

  if (was_waiting || !task) {
    GST_OBJECT_LOCK (self);
    self->counts.dropped++;
    GST_OBJECT_UNLOCK (self);
  }
  if (!task)
    return TRUE; /* all are being run: this frame goes without */

  task->started = gst_util_get_timestamp ();
  task->frame = self->frame;
  g_mutex_lock (&self->results_lock);
  task->generation = self->generation;
  g_mutex_unlock (&self->results_lock);
  task->pts = GST_BUFFER_PTS (buffer);
  task->duration = GST_BUFFER_DURATION (buffer);
  task->stream_time = task->running_time = GST_CLOCK_TIME_NONE;
  if (segment->format == GST_FORMAT_TIME) {
    task->stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, task->pts);
    task->running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, task->pts);
  }
  if (self->collector) {
    g_mutex_lock (&self->results_lock);
    if (is_collection_due (self, task->pts, settings))
      task->picture = gst_buffer_copy (buffer); /* shares the memory */
    g_mutex_unlock (&self->results_lock);
    task->info = self->info;
  }
  task->n_regions = n_regions;
  task->n_views = choose_n_views (self, settings, buffer, n_regions);
  memcpy (task->regions, regions, n_regions * sizeof *regions);
  if (!sample_frame (self, task, buffer, settings)) {
    gst_clear_buffer (&task->picture);
    return FALSE;
  }
  task->sample_time = gst_util_get_timestamp () - task->started;
  if (is_unchanged (self, task, settings) && !was_waiting) {
    gst_clear_buffer (&task->picture);
    GST_OBJECT_LOCK (self);
    self->counts.unchanged++;
    GST_OBJECT_UNLOCK (self);
    return TRUE;
  }
  self->last_classified = task->pts;
  if (self->dump_dir)
    dump (self, task);
  if (self->is_async) {
    engine_job_submit (task->job);
    return TRUE;
  }
  engine_job_run (task->job);
  finish_task (self, task);
  return task->job->error == NULL;
}

static gboolean
has_failed (GstVideoClassify *self)
{
  gboolean failed;

  g_mutex_lock (&self->results_lock);
  failed = self->has_failed;
  g_mutex_unlock (&self->results_lock);
  return failed;
}

static GstFlowReturn
gst_video_classify_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  Settings settings;
  Region *regions;
  guint n_regions;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  self->counts.frames++;
  GST_OBJECT_UNLOCK (self);
  self->frame++;
  if (has_failed (self)) /* in the engine's thread, which has told why */
    return GST_FLOW_ERROR;
  exchange_runtime (self);

  regions = g_newa (Region, self->options.max_regions);
  n_regions = find_regions (self, buffer, &settings, regions);
  if (is_due (self, buffer, &settings)) {
    if (n_regions == 0) {
      GST_OBJECT_LOCK (self);
      self->counts.outside++;
      GST_OBJECT_UNLOCK (self);
    } else if (!classify (self, buffer, &settings, regions, n_regions)) {
      return GST_FLOW_ERROR;
    }
    self->until_next = settings.interval > 1 ? settings.interval : 0;
  }
  attach_results (self, buffer, regions, n_regions);
  send_frame_text (self, buffer, &settings);
  return GST_FLOW_OK;
}

/* --- pads ------------------------------------------------------------------------------------- */

static GstPad *
gst_video_classify_request_new_pad (
    GstElement *element, GstPadTemplate *templ, const gchar *name, const GstCaps *caps)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (element);
  GstPad *pad = gst_classify_text_pad_new (templ, "text");
  gboolean is_second;

  GST_OBJECT_LOCK (self);
  is_second = self->text_pad != NULL;
  if (!is_second)
    self->text_pad = GST_CLASSIFY_TEXT_PAD (gst_object_ref (pad));
  GST_OBJECT_UNLOCK (self);
  if (is_second) {
    GST_WARNING_OBJECT (self, "there is one text pad already: put a tee behind it");
    gst_object_unref (gst_object_ref_sink (pad));
    return NULL;
  }
  gst_element_add_pad (element, pad);
  return pad;
}

static void
gst_video_classify_release_pad (GstElement *element, GstPad *pad)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (element);
  GstClassifyTextPad *text_pad = NULL;

  GST_OBJECT_LOCK (self);
  if (GST_PAD (self->text_pad) == pad)
    text_pad = g_steal_pointer (&self->text_pad);
  GST_OBJECT_UNLOCK (self);
  gst_clear_object (&text_pad);
  gst_pad_set_active (pad, FALSE);
  gst_element_remove_pad (element, pad);
}

/* --- class ------------------------------------------------------------------------------- */

static void
clear_track (gpointer track)
{
  g_clear_pointer (&((Track *)track)->smoother, smoother_free);
}

static void
gst_video_classify_finalize (GObject *object)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  g_free (self->model_path);
  g_free (self->weights_path);
  g_free (self->labels_path);
  g_free (self->device);
  g_free (self->crop);
  g_free (self->roi_labels);
  g_free (self->collect);
  g_free (self->dump_input);
  g_clear_object (&self->context_pool);
  gst_clear_object (&self->text_pad);
  g_ptr_array_unref (self->results);
  g_array_unref (self->tracks);
  cues_free (self->cues);
  g_mutex_clear (&self->results_lock);
  g_mutex_clear (&self->loader_lock);
  g_cond_clear (&self->loader_cond);
  G_OBJECT_CLASS (gst_video_classify_parent_class)->finalize (object);
}

static void
gst_video_classify_init (GstVideoClassify *self)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);

  self->device = g_strdup (DEFAULT_DEVICE);
  self->precision = DEFAULT_PRECISION;
  self->threads = DEFAULT_THREADS;
  self->mode = DEFAULT_MODE;
  nn_tta_parse (DEFAULT_TTA, &self->tta, NULL);
  self->max_regions = DEFAULT_MAX_REGIONS;
  self->batch_size = DEFAULT_BATCH_SIZE;
  self->batch_timeout = DEFAULT_BATCH_TIMEOUT;
  self->report_latency = DEFAULT_REPORT_LATENCY;
  self->watch = DEFAULT_WATCH;
  self->settings = (Settings){
    .top_k = DEFAULT_TOP_K,
    .interval = DEFAULT_INTERVAL,
    .min_views = DEFAULT_MIN_VIEWS,
    .threshold = DEFAULT_THRESHOLD,
    .max_rate = DEFAULT_MAX_RATE,
    .post = DEFAULT_POST,
    .message_interval = DEFAULT_MESSAGE_INTERVAL,
    .explain_interval = DEFAULT_EXPLAIN_INTERVAL,
    .collect_min = DEFAULT_COLLECT_MIN,
    .collect_max = DEFAULT_COLLECT_MAX,
    .collect_rate = DEFAULT_COLLECT_RATE,
    .collect_limit = DEFAULT_COLLECT_LIMIT,
    .skip_late = DEFAULT_SKIP_LATE,
    .region = DEFAULT_REGION,
    .cues = DEFAULT_TEXT_CUES,
    .change_threshold = DEFAULT_CHANGE_THRESHOLD,
    .scene_cut = DEFAULT_SCENE_CUT,
    .smoothing
    = { DEFAULT_SMOOTHING, DEFAULT_SMOOTHING_TIME, DEFAULT_HYSTERESIS, DEFAULT_HOLD_TIME },
  };
  self->earliest_time = GST_CLOCK_TIME_NONE;
  self->last_classified = GST_CLOCK_TIME_NONE;
  self->results = g_ptr_array_new_with_free_func ((GDestroyNotify)result_unref);
  self->tracks = g_array_new (FALSE, FALSE, sizeof (Track));
  self->last_explained = GST_CLOCK_TIME_NONE;
  self->explain = DEFAULT_EXPLAIN;
  self->last_collected = GST_CLOCK_TIME_NONE;
  self->dump_limit = DEFAULT_DUMP_LIMIT;
  self->collect_layout = DEFAULT_COLLECT_LAYOUT;
  self->collect_format = DEFAULT_COLLECT_FORMAT;
  g_array_set_clear_func (self->tracks, clear_track);
  self->cues = cues_new ();
  g_mutex_init (&self->results_lock);
  g_mutex_init (&self->loader_lock);
  g_cond_init (&self->loader_cond);
  gst_base_transform_set_in_place (trans, TRUE);
  gst_base_transform_set_qos_enabled (trans, FALSE); /* it would drop whole frames */
}

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
      "Load the model's files again when they have changed, as if \"model\" had been set",
      DEFAULT_WATCH, PLAYING);
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
  properties[PROP_MODE] = g_param_spec_enum ("mode", "Mode",
      "Whether frames wait for their results", mode_get_type (), DEFAULT_MODE, READY);
  properties[PROP_BATCH_SIZE] = g_param_spec_uint ("batch-size", "Batch size",
      "Pictures (frames, regions, views) that are classified at once. More than 1: elements of "
      "equal model, device, precision, threads and batch-size share one engine, which gathers "
      "from all of them in turn",
      1, 1024, DEFAULT_BATCH_SIZE, READY);
  properties[PROP_BATCH_TIMEOUT] = g_param_spec_uint64 ("batch-timeout", "Batch timeout",
      "How long a frame waits at most for others to share its batch, in nanoseconds; it does not "
      "wait when every stream has one waiting",
      0, G_MAXINT64, DEFAULT_BATCH_TIMEOUT, READY);
}

static void
install_properties (GObjectClass *klass)
{
  install_model_properties ();
  properties[PROP_TOP_K] = g_param_spec_uint ("top-k", "Top K",
      "How many labels a result lists, best first", 1, 1000, DEFAULT_TOP_K, PLAYING);
  properties[PROP_THRESHOLD] = g_param_spec_double ("threshold", "Threshold",
      "Probability that the best label must reach; below it the result's label is "
      "\"" GST_CLASSIFY_UNKNOWN_LABEL "\" and its index -1",
      0, 1, DEFAULT_THRESHOLD, PLAYING);
  properties[PROP_INFERENCE_REGION] = g_param_spec_enum ("inference-region", "Inference region",
      "What of a frame is classified", region_get_type (), DEFAULT_REGION, READY);
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
      1, 256, DEFAULT_MAX_REGIONS, READY);
  properties[PROP_INFERENCE_INTERVAL]
      = g_param_spec_uint ("inference-interval", "Inference interval",
          "Classify every Nth frame; the others carry the last result with its age in frames", 1,
          G_MAXINT, DEFAULT_INTERVAL, PLAYING);
  properties[PROP_MAX_RATE] = g_param_spec_double ("max-rate", "Maximum rate",
      "Classify at most so many frames a second of stream time (0 = no limit)", 0, 1e6,
      DEFAULT_MAX_RATE, PLAYING);
  properties[PROP_CHANGE_THRESHOLD] = g_param_spec_double ("change-threshold", "Change threshold",
      "Do not classify a frame that looks like the last classified one: mean difference of "
      "16x16 averages of what the network sees, 0..1, below which it does (0 = classify all; "
      "0.005 passes over camera noise). With inference-region=full-frame",
      0, 1, DEFAULT_CHANGE_THRESHOLD, PLAYING);
  properties[PROP_SMOOTHING] = g_param_spec_enum ("smoothing", "Smoothing",
      "How results are made steady over time; what they were before is in the fields raw-label "
      "and raw-probability",
      smoothing_get_type (), DEFAULT_SMOOTHING, PLAYING);
  properties[PROP_SMOOTHING_TIME] = g_param_spec_uint64 ("smoothing-time", "Smoothing time",
      "Time constant or window of \"smoothing\", in nanoseconds of stream time", 0, G_MAXINT64,
      DEFAULT_SMOOTHING_TIME, PLAYING);
  properties[PROP_HYSTERESIS] = g_param_spec_double ("hysteresis", "Hysteresis",
      "By how much another label must lead before it replaces the present one: in probability, "
      "with smoothing=majority in share of the results",
      0, 1, DEFAULT_HYSTERESIS, PLAYING);
  properties[PROP_HOLD_TIME] = g_param_spec_uint64 ("hold-time", "Hold time",
      "How long a label stays at least, in nanoseconds of stream time", 0, G_MAXINT64,
      DEFAULT_HOLD_TIME, PLAYING);
  properties[PROP_SCENE_CUT] = g_param_spec_double ("scene-cut", "Scene cut",
      "Mean difference of 16x16 averages of two frames, 0..1, above which a new scene begins and "
      "what smoothing remembers is forgotten (0 = never)",
      0, 1, DEFAULT_SCENE_CUT, PLAYING);
  properties[PROP_TEXT_CUES] = g_param_spec_enum ("text-cues", "Text cues",
      "What the buffers of the text pad stand for, where it is not JSON: spans for subtitles in a "
      "file, frames for textoverlay",
      cues_get_type (), DEFAULT_TEXT_CUES, PLAYING);
  properties[PROP_TTA] = g_param_spec_string ("tta", "Test-time augmentation",
      "Views of each frame that are averaged: none, flip, crops5[:PART], crops10[:PART], "
      "scales:S,..., random:N[,SEED] (the augmentation of the training), features:SIZE (windows "
      "of the maps of the frame enlarged); joined by + with flip, logits",
      DEFAULT_TTA, READY);
  properties[PROP_MIN_VIEWS] = g_param_spec_uint ("tta-min-views", "Minimum of views",
      "With mode=async: use only so many of the views as there is time for, but at least these "
      "(0 = always all)",
      0, 1024, DEFAULT_MIN_VIEWS, PLAYING);
  properties[PROP_EXPLAIN] = g_param_spec_enum ("explain", "Explain",
      "Attach a map of what in the frame speaks for its label (the meta GstVideoClassifyHeatMap, "
      "which classifyoverlay draws); of several regions the first",
      explain_get_type (), DEFAULT_EXPLAIN, READY);
  properties[PROP_EXPLAIN_INTERVAL] = g_param_spec_uint64 ("explain-interval", "Explain interval",
      "Stream time between two maps, in nanoseconds; each stays on the frames until the next "
      "(0 = every frame that is classified)",
      0, G_MAXINT64, DEFAULT_EXPLAIN_INTERVAL, PLAYING);
  properties[PROP_COLLECT] = g_param_spec_string ("collect", "Collect",
      "Folder to write frames (or regions) into as pictures for training, where their label is as "
      "probable as collect-min and collect-max say (NULL = none)",
      NULL, READY);
  properties[PROP_COLLECT_LAYOUT] = g_param_spec_enum ("collect-layout", "Collect layout",
      "How collected pictures lie in their folder, as in a recipe's layout: by-label is folders, "
      "flat is prefix",
      collect_layout_get_type (), DEFAULT_COLLECT_LAYOUT, READY);
  properties[PROP_COLLECT_FORMAT] = g_param_spec_enum ("collect-format", "Collect format",
      "Format of collected pictures", collect_format_get_type (), DEFAULT_COLLECT_FORMAT, READY);
  properties[PROP_COLLECT_MIN] = g_param_spec_double ("collect-min", "Collect minimum",
      "Collect only where the best label is at least so probable: 0.95 for pictures that can be "
      "trained with as they are labelled",
      0, 1, DEFAULT_COLLECT_MIN, PLAYING);
  properties[PROP_COLLECT_MAX] = g_param_spec_double ("collect-max", "Collect maximum",
      "Collect only where the best label is at most so probable: 0.7 for pictures that a person "
      "should label",
      0, 1, DEFAULT_COLLECT_MAX, PLAYING);
  properties[PROP_COLLECT_RATE] = g_param_spec_double ("collect-rate", "Collect rate",
      "Pictures to collect a second of the stream, at most (0 = no limit)", 0, G_MAXDOUBLE,
      DEFAULT_COLLECT_RATE, PLAYING);
  properties[PROP_COLLECT_LIMIT] = g_param_spec_uint64 ("collect-limit", "Collect limit",
      "Bytes that the pictures in the folder may have, with those that it held before (0 = no "
      "limit)",
      0, G_MAXUINT64, DEFAULT_COLLECT_LIMIT, PLAYING);
  properties[PROP_DUMP_INPUT] = g_param_spec_string ("dump-input", "Dump input",
      "Folder to write what the network is given into, an HDF5 file for each frame that is "
      "classified, which classify predict --tensor reads (NULL = none; for looking for a fault: "
      "each frame waits for the disk)",
      NULL, READY);
  properties[PROP_DUMP_LIMIT] = g_param_spec_uint ("dump-limit", "Dump limit",
      "Files that dump-input writes before it stops (0 = no limit)", 0, G_MAXUINT,
      DEFAULT_DUMP_LIMIT, READY);
  properties[PROP_POST_MESSAGES] = g_param_spec_enum ("post-messages", "Post messages",
      "Which results are posted on the bus as element messages", post_get_type (), DEFAULT_POST,
      PLAYING);
  properties[PROP_MESSAGE_INTERVAL] = g_param_spec_uint64 ("message-interval", "Message interval",
      "With post-messages=interval: stream time between two messages, in nanoseconds", 0,
      G_MAXINT64, DEFAULT_MESSAGE_INTERVAL, PLAYING);
  properties[PROP_SKIP_LATE] = g_param_spec_boolean ("skip-late", "Skip late",
      "Do not classify frames that downstream reports as late (QoS); the frames themselves are "
      "never dropped",
      DEFAULT_SKIP_LATE, PLAYING);
  properties[PROP_REPORT_LATENCY] = g_param_spec_boolean ("report-latency", "Report latency",
      "With mode=sync: add the measured time of a classification to the latency of live pipelines",
      DEFAULT_REPORT_LATENCY, PLAYING);
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
      "-gap, -no-region, -unchanged and dropped-busy (uint64, by reason); inference-time-p50, "
      "-p95, -p99 of "
      "the last 1024 (uint64, ns); queue-depth, engine-clients (uint), engine-runs, "
      "engine-samples, text-dropped (uint64)",
      GST_TYPE_STRUCTURE, READ_ONLY);
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
   * A frame was classified. Emitted in the streaming thread, with mode=async in
   * that of the engine.
   */
  signals[SIGNAL_CLASSIFIED]
      = g_signal_new ("classified", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
          NULL, G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);

  gst_element_class_set_static_metadata (element_class, "Video classifier", "Filter/Analyzer/Video",
      "Labels video frames with a network trained in Keras or by the command classify",
      "the classify authors");
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_caps_unref (caps);
  caps = gst_caps_from_string ("text/x-raw, format=(string)utf8; application/x-json");
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("text", GST_PAD_SRC, GST_PAD_REQUEST, caps));
  gst_caps_unref (caps);

  element_class->set_context = GST_DEBUG_FUNCPTR (gst_video_classify_set_context);
  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_video_classify_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_video_classify_release_pad);
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
  gst_type_mark_as_plugin_api (mode_get_type (), 0);
  gst_type_mark_as_plugin_api (region_get_type (), 0);
  gst_type_mark_as_plugin_api (collect_layout_get_type (), 0);
  gst_type_mark_as_plugin_api (collect_format_get_type (), 0);
  gst_type_mark_as_plugin_api (explain_get_type (), 0);
  gst_type_mark_as_plugin_api (post_get_type (), 0);
  gst_type_mark_as_plugin_api (smoothing_get_type (), 0);
  gst_type_mark_as_plugin_api (cues_get_type (), 0);
}
