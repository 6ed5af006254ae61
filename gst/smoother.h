/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Steady answers: probabilities smoothed over time and a label that does not
 * flicker. One thread at a time; no allocation after smoother_new(). */

typedef enum {
  SMOOTHING_NONE,
  SMOOTHING_EXPONENTIAL, /* s += (1 - exp (-dt / time)) * (p - s): the same whatever the rate */
  SMOOTHING_MAJORITY,    /* mean over the results of the last `time`; the label that most of
                          * them had, of equals the newest */
} Smoothing;

typedef struct {
  Smoothing method;
  GstClockTime time; /* time constant or window */
  double hysteresis; /* by how much a label must lead the present one to take its place:
                      * in probability, with SMOOTHING_MAJORITY in share of the window */
  GstClockTime hold; /* how long a label stays at least */
} SmootherOptions;

/* Results that a window has at most: older ones leave it early. */
#define SMOOTHER_WINDOW 128

typedef struct _Smoother Smoother;

Smoother *smoother_new (guint n_classes);
void smoother_free (Smoother *smoother);
void smoother_reset (Smoother *smoother);

/* @p, @smoothed: n_classes probabilities, not the same memory. @time: of the
 * frame; GST_CLOCK_TIME_NONE or one before the last counts as one usual step
 * later. Returns the label's class. */
guint smoother_push (Smoother *smoother, const SmootherOptions *options, GstClockTime time,
    const float *p, float *smoothed);

G_END_DECLS
