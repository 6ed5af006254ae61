/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "gst/regions.h"
#include "gst/smoother.h"

G_BEGIN_DECLS

typedef enum {
  REGION_FULL_FRAME,
  REGION_ROI_LIST,
} GstVideoClassifyRegion;

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

/* what may change while playing: one copy a frame */
typedef struct {
  guint top_k, interval, min_views;
  double threshold, max_rate, change_threshold, scene_cut;
  double collect_min, collect_max, collect_rate;
  guint64 collect_limit;
  SmootherOptions smoothing;
  GstVideoClassifyPost post;
  GstVideoClassifyCues cues;
  GstClockTime message_interval, explain_interval, max_cue;
  gboolean skip_late;
  Crop crop;
  GstVideoClassifyRegion region;
  GstVideoOrientationMethod direction; /* never CUSTOM */
} Settings;

G_END_DECLS
