/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cues.h"

#include <math.h>
#include <string.h>

struct _Cues {
  char *label; /* NULL: no span has begun */
  double probability;
  GstClockTime start, end;
};

Cues *
cues_new (void)
{
  return g_new0 (Cues, 1);
}

void
cues_free (Cues *self)
{
  if (!self)
    return;
  cues_reset (self);
  g_free (self);
}

void
cues_reset (Cues *self)
{
  g_clear_pointer (&self->label, g_free);
}

static GstBuffer *
make_cue (const Cues *self, GstClockTime end)
{
  g_autofree char *label = g_utf8_make_valid (self->label, -1);
  char *text = g_strdup_printf ("%s %.0f %%", label, floor (100 * self->probability));
  const gsize length = strlen (text);
  GstBuffer *buffer = gst_buffer_new_wrapped (text, length);

  GST_BUFFER_PTS (buffer) = self->start;
  GST_BUFFER_DURATION (buffer) = end - self->start;
  return buffer;
}

GstBuffer *
cues_push (Cues *self, const char *label, double probability, GstClockTime pts,
    GstClockTime duration, GstClockTime max)
{
  GstBuffer *cue = NULL;

  if (!GST_CLOCK_TIME_IS_VALID (pts))
    return NULL;
  if (self->label
      && (!g_str_equal (self->label, label) || pts < self->start
          || (max > 0 && pts - self->start >= max))) {
    if (pts > self->start)
      cue = make_cue (self, pts);
    cues_reset (self);
  }
  if (!self->label) {
    self->label = g_strdup (label);
    self->start = pts;
    self->probability = 0;
  }
  self->probability = MAX (self->probability, probability);
  self->end = pts + (GST_CLOCK_TIME_IS_VALID (duration) ? duration : 0);
  return cue;
}

GstBuffer *
cues_finish (Cues *self)
{
  GstBuffer *cue = NULL;

  if (self->label && self->end > self->start)
    cue = make_cue (self, self->end);
  cues_reset (self);
  return cue;
}
