/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/lateness.h"

void
lateness_reset (Lateness *self)
{
  *self = (Lateness){ 0 };
}

gboolean
lateness_is_behind (Lateness *self, GstClockTime running_time, GstClockTimeDiff late_by)
{
  /* in the stream's time: a frame that takes long is no reason to forget */
  if (!self->has_begun || running_time < self->began
      || running_time - self->began >= 2 * LATENESS_WINDOW) {
    self->has_begun = TRUE;
    self->began = running_time;
    self->least = late_by;
    self->previous = G_MAXINT64;
  } else if (running_time - self->began >= LATENESS_WINDOW) {
    self->began = running_time;
    self->previous = self->least;
    self->least = late_by;
  } else {
    self->least = MIN (self->least, late_by);
  }
  return late_by > (GstClockTimeDiff)LATENESS_TOLERANCE
         && late_by - (GstClockTimeDiff)LATENESS_TOLERANCE > MIN (self->least, self->previous);
}
