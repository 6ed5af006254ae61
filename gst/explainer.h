/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

#include "gst/regions.h"
#include "nn/cam.h"

G_BEGIN_DECLS

/* Explainer: class activation maps of frames, at their own rate. Threaded ones
 * have a thread that makes them beside the stream, one at a time. */
typedef struct _Explainer Explainer;

/* What spoke for the label of one region of one frame. Never changed once made. */
typedef struct {
  gint ref_count;
  Region region;
  guint64 generation, frame; /* of the task */
  GstClockTime pts;
  GstStructure *structure; /* the meta's fields, without age and age-time */
} HeatMap;

typedef struct {
  Region region;
  guint64 generation, frame;
  GstClockTime pts;
  NnImageInfo image;
} ExplainerJob;

/* In the explainer's thread, or of one that has none in explainer_run(); @map is
 * (transfer full), or NULL with @error. */
typedef void (*ExplainerDone) (HeatMap *map, const GError *error, gpointer user_data);

/* NN_ERROR_UNSUPPORTED where the network does not allow it, and the errors of a plan. */
Explainer *explainer_new (NnModel *model, NnBackend *backend, guint threads, gboolean is_threaded,
    ExplainerDone done, gpointer user_data, GError **error);
/* Waits for the map that is being made. */
void explainer_free (Explainer *explainer);

/* FALSE while a map is being made. */
gboolean explainer_is_idle (Explainer *explainer);
/* Samples the region of @job, an idle explainer's, and has the map made. */
gboolean explainer_run (
    Explainer *explainer, const ExplainerJob *job, const NnImagePlanes *planes, GError **error);

HeatMap *heat_map_ref (HeatMap *map);
void heat_map_unref (HeatMap *map);
/* Adds the meta to @buffer, which is frame number @frame with time stamp @pts, for @region of
 * it. */
void heat_map_attach (
    const HeatMap *map, GstBuffer *buffer, const Region *region, guint64 frame, GstClockTime pts);

G_END_DECLS
