/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/pacer.h"

/* Time stamps are rounded, to milliseconds by some containers. */
#define TOLERANCE ((double)GST_MSECOND)

void
pacer_reset (Pacer *self)
{
  *self = (Pacer){ 0 };
}

gboolean
pacer_is_due (const Pacer *self, GstClockTime pts, double rate)
{
  if (rate <= 0 || !self->has_begun || !GST_CLOCK_TIME_IS_VALID (pts) || pts < self->last)
    return TRUE;
  /* the rate may have become a higher one */
  return (double)pts + TOLERANCE >= MIN (self->due, (double)self->last + GST_SECOND / rate);
}

void
pacer_take (Pacer *self, GstClockTime pts, double rate)
{
  const double interval = rate > 0 ? GST_SECOND / rate : 0;

  if (!GST_CLOCK_TIME_IS_VALID (pts))
    return;
  /* after a pause nothing is made up for */
  if (!self->has_begun || pts < self->last || (double)pts > self->due + interval)
    self->due = (double)pts + interval;
  else
    self->due += interval;
  self->last = pts;
  self->has_begun = TRUE;
}
