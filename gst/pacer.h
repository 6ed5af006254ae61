/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Takes so many frames a second, on average, of a stream that has more: of 30 frames with a
 * rate of 20 the 1st, 3rd, 4th, 6th, ... */
typedef struct {
  gboolean has_begun;
  GstClockTime last; /* that was taken */
  double due;        /* ns: when the next one is */
} Pacer;

/* The next frame is the first one. */
void pacer_reset (Pacer *pacer);
/* Whether a frame at @pts is to be taken. TRUE where it has no time stamp, or one before the
 * last. @rate: frames a second, 0 = all. */
gboolean pacer_is_due (const Pacer *pacer, GstClockTime pts, double rate);
/* It was taken. */
void pacer_take (Pacer *pacer, GstClockTime pts, double rate);

G_END_DECLS
