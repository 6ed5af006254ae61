/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Whether the frames of a live stream come later than they need to, because those before them
 * took too long: frames that wait come at once when they are let through, the next ones less
 * late than those before. What a source is always late by does not count; it is the least of
 * the last LATENESS_WINDOW to twice that. */
typedef struct {
  gboolean has_begun;
  GstClockTime began;               /* running time: of the window */
  GstClockTimeDiff least, previous; /* lateness in this window and in the one before */
} Lateness;

#define LATENESS_WINDOW (2 * GST_SECOND)
#define LATENESS_TOLERANCE (20 * GST_MSECOND)

void lateness_reset (Lateness *lateness);
/* For each frame. @late_by: its lateness against its running time and the latency upstream, ns.
 * TRUE: the stream is behind and can catch up. */
gboolean lateness_is_behind (
    Lateness *lateness, GstClockTime running_time, GstClockTimeDiff late_by);

G_END_DECLS
