/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void
stats_add (Stats *stats, GstClockTime time)
{
  stats->times[stats->n++ % STATS_WINDOW] = time;
}

static int
compare (gconstpointer a, gconstpointer b)
{
  const GstClockTime x = *(const GstClockTime *)a, y = *(const GstClockTime *)b;

  return (x > y) - (x < y);
}

void
stats_get_percentiles (const Stats *stats, const double *percents, GstClockTime *times, guint n)
{
  const guint count = (guint)MIN (stats->n, STATS_WINDOW);
  GstClockTime sorted[STATS_WINDOW];

  memcpy (sorted, stats->times, count * sizeof *sorted);
  qsort (sorted, count, sizeof *sorted, compare);
  for (guint i = 0; i < n; i++) {
    const guint rank = (guint)ceil (percents[i] / 100 * count);

    times[i] = count == 0 ? 0 : sorted[MAX (rank, 1) - 1];
  }
}
