/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "gst/results.h"
#include "gst/videoclassify-settings.h"

G_BEGIN_DECLS

/* Publisher: what is known of the stream by its newest results, and what of a new one is news.
 * Tasks and heat maps carry the generation that they were begun in; those of an earlier one are
 * of a stream, or of a model, that is over, and are turned away.
 *
 * Thread-safety: safe. */
typedef struct _Publisher Publisher;

Publisher *publisher_new (void);
void publisher_free (Publisher *publisher);

/* For results of @n_classes from now on; begins a generation. What was published stays. */
void publisher_prepare (Publisher *publisher, guint n_classes);
/* All that is known of the stream; begins a generation. */
void publisher_forget (Publisher *publisher);
guint64 publisher_get_generation (Publisher *publisher);

/* --- results --- */

typedef struct {
  Result *result;       /* (transfer full) */
  gboolean is_changed;  /* another label than that of the region's last result */
  gboolean is_due;      /* "message-interval" has passed */
  gboolean has_numbers; /* FALSE: the network gave NaN or infinity */
} News;

/* The results of a task that was run, and averaged, are the newest from now on. One task at a
 * time. @news: room for task->n_regions. FALSE: of an earlier generation, nothing is done. */
gboolean publisher_take (Publisher *publisher, const Task *task, const Settings *settings,
    GstClockTime inference_time, News *news);
gboolean publisher_has_results (Publisher *publisher);
/* Of the first region. (transfer full)(nullable) */
Result *publisher_get_result (Publisher *publisher);
/* Each region of the frame gets the newest result, and heat map, that is about it. */
void publisher_attach (
    Publisher *publisher, GstBuffer *buffer, guint64 frame, const Region *regions, guint n);

/* --- heat maps --- */

/* @map: (transfer full). FALSE: of an earlier generation. */
gboolean publisher_take_heat_map (Publisher *publisher, HeatMap *map);

/* --- pictures to collect --- */

/* "collect-rate" allows one of a frame at @pts. */
gboolean publisher_is_collection_due (
    Publisher *publisher, GstClockTime pts, const Settings *settings);
/* The same, of @task; if so the next one is counted from here. */
gboolean publisher_begin_collection (
    Publisher *publisher, const Task *task, const Settings *settings);

G_END_DECLS
