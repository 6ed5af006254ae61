/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cues.h"

#include <math.h>
#include <string.h>

/* Times are rounded: less than this between two of them is nothing. */
#define TOLERANCE GST_MSECOND
/* A hole in the stream: longer than any frame that is shown. */
#define MAX_HOLE GST_SECOND

struct _Cues {
  char *label; /* NULL: no span has begun */
  double probability;
  gboolean is_carried; /* the probability is of the span before */
  GstClockTime start;
  GstClockTime end; /* of the last frame whose label is known */
  /* of the last frame that came */
  GstClockTime frame_pts, frame_end;
  gboolean has_duration;
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
  self->end = self->frame_pts = self->frame_end = 0;
  self->has_duration = FALSE;
}

/* --- text ------------------------------------------------------------------------------ */

static gunichar
replace (gunichar c, const char *next)
{
  switch (c) {
    case '<':
      return 0x2039; /* ‹ */
    case '>':
      return 0x203a; /* › */
    case '{': /* "{\an8}" and the like place and colour text in SubRip */
      return '(';
    case '}':
      return ')';
    case '&': /* only what could be a character reference */
      return *next == '#' || g_ascii_isalpha (*next) ? 0xff06 : '&';
    default:
      break;
  }
  switch (g_unichar_type (c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
      return ' ';
    default:
      /* what turns the writing direction of all that follows */
      return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ? ' ' : c;
  }
}

char *
cues_make_text (const char *label, double probability)
{
  g_autofree char *valid = g_utf8_make_valid (label, -1);
  GString *text = g_string_new (NULL);
  guint n = 0;

  for (const char *p = valid; *p; p = g_utf8_next_char (p)) {
    if (n++ == CUE_MAX_LABEL) {
      g_string_append (text, "…");
      break;
    }
    g_string_append_unichar (text, replace (g_utf8_get_char (p), g_utf8_next_char (p)));
  }
  g_strstrip (text->str);
  g_string_set_size (text, strlen (text->str));
  if (isfinite (probability))
    g_string_append_printf (text, "%s%.0f %%", text->len > 0 ? " " : "", floor (100 * probability));
  return g_string_free (text, FALSE);
}

/* --- spans ----------------------------------------------------------------------------- */

/* [start, @end), NULL where that is nothing. The span goes on from @end. */
static GstBuffer *
cut_at (Cues *self, GstClockTime end)
{
  GstBuffer *buffer;
  char *text;

  if (end < self->start + TOLERANCE)
    return NULL;
  text = cues_make_text (self->label, self->probability);
  buffer = gst_buffer_new_wrapped (text, strlen (text));
  GST_BUFFER_PTS (buffer) = self->start;
  GST_BUFFER_DURATION (buffer) = end - self->start;
  self->start = end;
  self->is_carried = TRUE;
  return buffer;
}

GstBuffer *
cues_begin_frame (Cues *self, GstClockTime pts, GstClockTime duration)
{
  GstBuffer *cue = NULL;

  if (!GST_CLOCK_TIME_IS_VALID (pts))
    return NULL;
  if (self->label
      && (pts < self->frame_pts || (self->has_duration && pts > self->frame_end + MAX_HOLE))) {
    cue = cut_at (self, self->end);
    self->start = self->end = pts;
    self->is_carried = TRUE;
  }
  self->frame_pts = pts;
  self->has_duration = GST_CLOCK_TIME_IS_VALID (duration);
  self->frame_end = self->has_duration ? pts + duration : pts;
  return cue;
}

GstBuffer *
cues_push (Cues *self, const char *label, double probability, GstClockTime pts)
{
  GstBuffer *cue = NULL;

  if (!GST_CLOCK_TIME_IS_VALID (pts))
    return NULL;
  if (!self->label) {
    self->start = self->end = pts;
  } else if (!g_str_equal (self->label, label)) {
    /* what was told stays told: a result of an earlier frame may come late */
    cue = cut_at (self, pts);
  }
  if (!self->label || !g_str_equal (self->label, label)) {
    g_free (self->label);
    self->label = g_strdup (label);
    self->is_carried = TRUE;
  }
  if (self->is_carried || !(self->probability >= probability))
    self->probability = probability;
  self->is_carried = FALSE;
  return cue;
}

gboolean
cues_is_open (const Cues *self)
{
  return self->label != NULL;
}

GstClockTime
cues_get_length (const Cues *self)
{
  return self->label && self->end > self->start ? self->end - self->start : 0;
}

GstBuffer *
cues_end_frame (Cues *self, GstClockTime max)
{
  if (!self->label)
    return NULL;
  self->end = MAX (self->end, self->frame_end);
  return cues_get_length (self) + TOLERANCE >= max ? cues_cut (self) : NULL;
}

GstBuffer *
cues_cut (Cues *self)
{
  return cues_get_length (self) > 0 ? cut_at (self, self->end) : NULL;
}

GstBuffer *
cues_finish (Cues *self)
{
  GstBuffer *cue = cues_cut (self);

  cues_reset (self);
  return cue;
}
