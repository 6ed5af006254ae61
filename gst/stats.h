/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* The times of the last STATS_WINDOW classifications; one thread at a time. */

#define STATS_WINDOW 1024

typedef struct {
  GstClockTime times[STATS_WINDOW];
  guint64 n;
} Stats;

void stats_add (Stats *stats, GstClockTime time);
/* Nearest-rank percentiles of @percents (0..100), ns; 0 where there is nothing yet. */
void stats_get_percentiles (
    const Stats *stats, const double *percents, GstClockTime *times, guint n);

G_END_DECLS
