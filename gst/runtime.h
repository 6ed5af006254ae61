/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "gst/engine.h"
#include "gst/explainer.h"
#include "gst/frame-copy.h"
#include "gst/regions.h"
#include "nn/frame-pack.h"
#include "nn/tta.h"

G_BEGIN_DECLS

/* Everything of an element that comes with a model: exchanged as a whole when
 * the model is. */

typedef struct {
  const char *model, *weights, *labels_file; /* paths; the latter two may be NULL */
  const char *device;
  NnContext context; /* of the pipeline; handle NULL: none */
  NnPrecision precision;
  guint threads;
  NnTta tta;         /* the views of each region */
  guint max_regions; /* of each frame */
  guint batch;       /* > 1: an engine shared with other elements */
  GstClockTime batch_timeout;
  gboolean is_async;
  gboolean explain;
} RuntimeOptions;

typedef struct _Runtime Runtime;

/* What samplers and packers are made for: they are made anew when the serial number differs. */
typedef struct {
  guint serial;
  const NnImageInfo *image;
} FrameFormat;

/* Of one rectangle of frames of one format. */
typedef struct {
  NnViewSampler *sampler; /* NULL until it is needed */
  NnRect rect;
  guint format;
} Sampler;

/* One frame on its way through the engine. */
typedef struct {
  Runtime *runtime;
  EngineJob *job;
  gpointer owner; /* the element */
  guint64 generation, frame;
  GstClockTime pts, duration, stream_time, running_time;
  GstClockTime started;     /* gst_util_get_timestamp() */
  GstClockTime sample_time; /* that pre-processing took */
  guint n_views, n_regions;
  NnRect visible;     /* of the picture in the buffer */
  NnOrientation orientation; /* in which the network sees it */
  gboolean is_cut;    /* the first frame of a scene */
  GstBuffer *picture; /* NULL, or the frame for the collector */
  GstVideoInfo info;  /* its */
  GstVideoFrame frame_on_device;
  gboolean has_frame_on_device; /* mapped until the run is over */
  Region *regions;              /* max_regions */
  /* where the engine's thread samples: what of the frame, and a sampler for each region */
  FrameCopy copy;
  Sampler *samplers; /* max_regions */
  float *probabilities; /* (max_regions, n_classes), by task_average() */
} Task;

#define RUNTIME_N_TASKS 2

struct _Runtime {
  NnModel *model;
  NnViews *views;
  EngineClient *client;
  Explainer *explainer; /* NULL: not asked for, or explain_error tells why not */
  GError *explain_error;
  guint n_classes, max_views, max_regions;
  gsize in_size, out_size;              /* floats a sample of the views' network */
  const char *model_name, *device_name; /* interned */
  const char **labels;                  /* n_classes, the model's */
  GQuark *quarks;                       /* of those that runtime_get_label() has told, else 0 */
  Sampler sampler; /* the streaming thread's, as the following */
  NnPacker *packer; /* for packer_rects and packer_views */
  NnRect *packer_rects;
  guint n_packer_rects, packer_views, packer_format;
  gboolean cannot_pack; /* views that the host makes, of frames of packer_format */
  Task tasks[RUNTIME_N_TASKS];
};

/* @done is called with the task in the engine's thread (is_async only), @explained
 * with @owner. */
Runtime *runtime_new (EnginePool *pool, const RuntimeOptions *options, gpointer owner,
    EngineDone done, ExplainerDone explained, GError **error);
/* Drops what waits, waits for what runs. */
void runtime_free (Runtime *runtime);

/* Of a class, interned. It stays for as long as the process, so only what is told of a result is
 * asked for here, not all the labels that a model may have. One thread at a time. */
const char *runtime_get_label (Runtime *runtime, guint index);

/* A task to fill: an idle one, else the one that waits, taken back; NULL: all run.
 * *@was_waiting tells which. */
Task *runtime_take_task (Runtime *runtime, gboolean *was_waiting);

/* The job's input, made at once. Streaming thread; one task of a runtime at a time. */
gboolean task_sample (
    Task *task, const FrameFormat *format, const NnImagePlanes *planes, GError **error);
/* Copies what of @frame is needed, unless it was unpacked to task->copy, and leaves the sampling to
 * the thread that runs the job, where no frame waits for it. */
gboolean task_sample_later (
    Task *task, const FrameFormat *format, const GstVideoFrame *frame, GError **error);
/* For the task's regions and views, of a client that takes packs. NULL: the host must make the
 * input; @error tells why, once for a format. Streaming thread. (transfer none) */
const NnPacker *task_get_packer (
    const Task *task, const FrameFormat *format, NnPackLayout kind, GError **error);

/* Unmaps the frame on the device, if there is one. */
void task_release_frame (Task *task);

/* The means over the views of each region, of a task that was run without error;
 * job->error tells what fails. One task of a runtime at a time. */
gboolean task_average (Task *task);

G_END_DECLS
