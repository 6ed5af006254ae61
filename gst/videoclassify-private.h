/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The element videoclassify, which several files make:
 *
 *   gstvideoclassify.c          its class, start and stop, events, queries, pads
 *   videoclassify-properties.c  properties and statistics
 *   videoclassify-errors.c      errors on the bus
 *   videoclassify-models.c      models: loaded, watched, exchanged between two frames
 *   videoclassify-frame.c       a frame: whether, when, what of it is classified
 *   videoclassify-results.c     what is made of a result, and where it goes
 *
 * Threads: the streaming thread, that of the loader, with mode=async that of the
 * engine, and any that sets properties. There is one lock here, the object's; components have
 * theirs inside and take no other. */

#include <gst/base/gstbasetransform.h>
#include <gst/video/video.h>

#include "gst/captioner.h"
#include "gst/collector.h"
#include "gst/gstvideoclassify.h"
#include "gst/lateness.h"
#include "gst/loader.h"
#include "gst/orientation-tags.h"
#include "gst/pacer.h"
#include "gst/publisher.h"
#include "gst/stats.h"
#include "gst/thumbnail.h"
#include "gst/videoclassify-settings.h"

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (video_classify_debug);
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

typedef struct {
  guint64 frames, classified, regions;
  guint64 late, interval, rate, gaps, outside, unchanged; /* not classified, by reason */
  guint64 explained, on_device;                           /* made of packs */
  guint64 dropped; /* async: queued, then replaced by a newer one */
} Counts;

struct _GstVideoClassify {
  GstBaseTransform parent;

  /* under the object lock */
  char *model_path, *weights_path, *labels_path, *device, *crop, *roi_labels, *tta_text, *collect,
      *dump_input;
  GError *crop_error, *tta_error; /* of a wrong value, until the start */
  GstVideoClassifyPrecision precision;
  NnTta tta;
  GstVideoClassifyExplain explain;
  GstVideoClassifyCollectLayout collect_layout;
  GstVideoClassifyCollectFormat collect_format;
  GstVideoClassifyMode mode;
  GstVideoClassifyRegion region; /* settings.region from the next start on */
  guint threads, max_regions, batch_size, dump_limit;
  GstClockTime batch_timeout;
  gboolean report_latency, watch, qos;
  gboolean is_running; /* start() has read the properties */
  guint64 told_late;   /* a bit for each property that was said to take effect at the next start */
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
  Runtime *runtime;         /* this and the next: changed under the lock by start(), stop() and the
                             * streaming thread, which read them without */
  Collector *collector;     /* or NULL; of start() to stop() */
  gboolean has_failed, has_told_numbers;
  gboolean knows_latency, is_live; /* of upstream */
  GstClockTime upstream_latency;   /* its minimum */

  /* set by start(), then the loader's and the streaming thread's */
  EnginePool *pool;
  RuntimeOptions options; /* strings owned */
  gboolean is_async;
  char *dump_dir, *dump_run; /* or NULL; of start() to stop(). The latter is in the names */
  guint n_dumped, max_dumped;

  /* of the element's whole life, each with its own lock */
  Loader *loader;
  Publisher *publisher;
  Captioner *captioner;

  /* streaming thread only */
  GstVideoInfo info;
  OrientationTags orientation_tags;
  NnOrientation told_orientation; /* by them, unless an element in front has turned the frames */
  NnRect picture;    /* in the buffers, of which the caps tell what is seen; at 0,0 */
  NnRect visible;    /* that, in pixels of the picture; of this frame */
  Crop outside;      /* is_set: nothing of frames of outside_width x outside_height is in it */
  double outside_width, outside_height;
  NnImageInfo image; /* the picture, turned as the network sees it */
  gboolean is_cuda_memory; /* by the caps */
  guint format;            /* serial number of image */
  char **roi_label_list;
  guint64 frame;                /* number of the last */
  guint until_next;             /* frames to pass before the next classification */
  Pacer pacer;                  /* of "max-rate" */
  Lateness lateness;
  GstClockTimeDiff behind_by; /* of this frame of a live stream, 0 = it is in time */
  guint64 n_behind;           /* frames that were not classified for that reason */
  GstClockTime last_explained;
  Thumbnail classified, before; /* the last frame that was classified, and that was sampled */
  gboolean has_thumbnails;
};

/* --- videoclassify-properties.c ----------------------------------------------------- */

/* Properties with their defaults, and what gst-inspect says of the enums. */
void video_classify_install_properties (GObjectClass *klass);
void video_classify_init_properties (GstVideoClassify *self);
void video_classify_clear_properties (GstVideoClassify *self);
/* FALSE: one was set to what it cannot be, which is posted. */
gboolean video_classify_check_properties (GstVideoClassify *self);

/* --- videoclassify-errors.c ---------------------------------------------------------- */

/* Posts @error in the domain that fits it. Never with a lock held. */
void video_classify_post_error (GstVideoClassify *self, const GError *error);

/* --- videoclassify-contexts.c -------------------------------------------------------- */

/* What is shared with other elements, by GstContexts. */

/* Of one that the element was given. */
void video_classify_take_context (GstVideoClassify *self, const GstContext *context);
/* TRUE where the query is for a context that the element has. */
gboolean video_classify_answer_context (GstVideoClassify *self, GstQuery *query);
/* Whose engines are shared: those of a context that the application, a bin or a
 * neighbour has, else the process's, told to the others. (transfer full) */
EnginePool *video_classify_find_pool (GstVideoClassify *self);
/* Where "device" may be a GPU: the pipeline gets a GstCudaContext if it has none. */
void video_classify_share_cuda_context (GstVideoClassify *self);
/* The pipeline's, with its owner a reference; handle NULL: it has none for "device". */
void video_classify_find_cuda_context (GstVideoClassify *self, NnContext *native);

/* --- videoclassify-models.c ---------------------------------------------------------- */

/* Makes runtimes from self->options and the files that the properties name. */
Loader *video_classify_new_loader (GstVideoClassify *self);
/* Streaming thread: the model that was loaded beside, if any, from this frame on. */
void video_classify_exchange_runtime (GstVideoClassify *self);

/* --- videoclassify-frame.c ----------------------------------------------------------- */

/* What upstream answered to a LATENCY query. */
void video_classify_take_latency (GstVideoClassify *self, GstQuery *query);
GstFlowReturn video_classify_transform_ip (GstBaseTransform *trans, GstBuffer *buffer);

/* --- videoclassify-results.c --------------------------------------------------------- */

/* The signal "classified". */
void video_classify_install_signals (GObjectClass *klass);

/* A task that was run becomes results: in the streaming thread (sync) or in the
 * engine's (async). */
void video_classify_finish_task (GstVideoClassify *self, Task *task);
/* From the explainer, in its thread or the streaming thread: an ExplainerDone. */
void video_classify_take_heat_map (HeatMap *map, const GError *error, gpointer element);
/* Streaming thread: all results are forgotten and the stream goes on: the open cue ends and the
 * properties tell of nothing. */
void video_classify_lose_results (GstVideoClassify *self);
/* What the text pad is sent for each frame, before and after it is classified. */
void video_classify_begin_frame_text (GstVideoClassify *self, GstBuffer *buffer);
void video_classify_end_frame_text (
    GstVideoClassify *self, GstBuffer *buffer, const Settings *settings);
/* (transfer full)(nullable) */
GstClassifyTextPad *video_classify_get_text_pad (GstVideoClassify *self);

G_END_DECLS
