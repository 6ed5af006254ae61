/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/captioner.h"

#include "gst/cues.h"

/* A frame that comes so soon after the text was sent has waited for it. */
#define SOON (G_USEC_PER_SEC / 4)
/* How often it is told that there is no text. */
#define GAP_INTERVAL (500 * GST_MSECOND)

struct _Captioner {
  GMutex lock; /* also while the pad's queue is given something: its order is that of time */
  Cues *cues;
  guint64 generation;
  GstClockTime frame_end;  /* of the last frame */
  gboolean is_in_frame;    /* it is being classified */
  GstClockTime max_held;   /* what downstream was seen to hold */
  GstClockTime unblocked;  /* how much was sent last because downstream waits; 0 = none */
  gint64 unblocked_at;     /* monotonic time */
};

Captioner *
captioner_new (void)
{
  Captioner *self = g_new0 (Captioner, 1);

  g_mutex_init (&self->lock);
  self->cues = cues_new ();
  self->frame_end = self->max_held = GST_CLOCK_TIME_NONE;
  return self;
}

void
captioner_free (Captioner *self)
{
  if (!self)
    return;
  cues_free (self->cues);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* @cue: (transfer full)(nullable) */
static void
take_cue (GstClassifyTextPad *pad, GstBuffer *cue)
{
  if (cue && pad)
    gst_classify_text_pad_push (pad, cue);
  else if (cue)
    gst_buffer_unref (cue);
}

void
captioner_begin_frame (
    Captioner *self, GstClassifyTextPad *pad, GstClockTime pts, GstClockTime duration)
{
  gst_classify_text_pad_touch (pad, FALSE, duration);
  gst_classify_text_pad_is_json (pad);
  g_mutex_lock (&self->lock);
  if (self->unblocked > 0 && g_get_monotonic_time () - self->unblocked_at < SOON)
    self->max_held = MIN (self->max_held, MAX (self->unblocked * 3 / 4, 1));
  self->unblocked = 0;
  self->is_in_frame = TRUE;
  take_cue (pad, cues_begin_frame (self->cues, pts, duration));
  g_mutex_unlock (&self->lock);
}

void
captioner_push (Captioner *self, GstClassifyTextPad *pad, const char *label, double probability,
    GstClockTime pts, guint64 generation)
{
  g_mutex_lock (&self->lock);
  if (generation >= self->generation)
    take_cue (pad, cues_push (self->cues, label, probability, pts));
  g_mutex_unlock (&self->lock);
}

/* Under the lock. */
static void
send_frame_cue (Captioner *self, GstClassifyTextPad *pad, const CaptionerFrame *frame)
{
  g_autoptr (Cues) cues = cues_new ();

  take_cue (pad, cues_finish (self->cues)); /* of spans until now */
  cues_begin_frame (cues, frame->pts,
      GST_CLOCK_TIME_IS_VALID (frame->duration) ? MAX (frame->duration, GST_MSECOND) : GST_MSECOND);
  cues_push (cues, frame->label, frame->probability, frame->pts);
  cues_end_frame (cues, GST_CLOCK_TIME_NONE);
  take_cue (pad, cues_finish (cues));
}

void
captioner_end_frame (Captioner *self, GstClassifyTextPad *pad, const CaptionerFrame *frame,
    gboolean is_span, GstClockTime max)
{
  const gboolean is_json = gst_classify_text_pad_is_json (pad);
  const gboolean is_joined = gst_classify_text_pad_is_joined (pad);
  const GstClockTime end = GST_CLOCK_TIME_IS_VALID (frame->duration)
                                   && GST_CLOCK_TIME_IS_VALID (frame->pts)
                               ? frame->pts + frame->duration
                               : frame->pts;

  gst_classify_text_pad_begin (pad, frame->pts);
  if (max == 0)
    max = is_joined ? CAPTIONER_MAX_JOINED_CUE : CAPTIONER_MAX_CUE;
  g_mutex_lock (&self->lock);
  self->frame_end = end;
  self->is_in_frame = FALSE;
  if (is_joined)
    max = MIN (max, self->max_held);
  if (is_json || !frame->label) {
    gst_classify_text_pad_advance (pad, is_joined ? end : frame->pts, MIN (max, GAP_INTERVAL));
  } else if (is_span) {
    if (!cues_is_open (self->cues)) /* the pad is newer than the result */
      cues_push (self->cues, frame->label, frame->probability, frame->pts);
    take_cue (pad, cues_end_frame (self->cues, max));
  } else {
    send_frame_cue (self, pad, frame);
  }
  g_mutex_unlock (&self->lock);
  gst_classify_text_pad_touch (pad, !is_json, frame->duration);
}

void
captioner_finish (Captioner *self, GstClassifyTextPad *pad)
{
  g_mutex_lock (&self->lock);
  take_cue (pad, cues_finish (self->cues));
  g_mutex_unlock (&self->lock);
}

void
captioner_unblock (Captioner *self, GstClassifyTextPad *pad, gboolean may_learn)
{
  const gboolean is_joined = gst_classify_text_pad_is_joined (pad);
  GstClockTime length = 1;
  GstBuffer *cue;

  g_mutex_lock (&self->lock);
  if (self->is_in_frame) { /* it has come meanwhile */
    g_mutex_unlock (&self->lock);
    return;
  }
  cue = cues_end_frame (self->cues, 0);
  if (cue)
    length = GST_BUFFER_DURATION (cue);
  else if (is_joined && !cues_is_open (self->cues))
    gst_classify_text_pad_advance (pad, self->frame_end, 0);
  take_cue (pad, cue);
  if (is_joined && may_learn) {
    self->unblocked = length;
    self->unblocked_at = g_get_monotonic_time ();
  }
  g_mutex_unlock (&self->lock);
}

void
captioner_reset (Captioner *self, guint64 generation)
{
  g_mutex_lock (&self->lock);
  cues_reset (self->cues);
  self->generation = generation;
  self->frame_end = GST_CLOCK_TIME_NONE;
  self->is_in_frame = FALSE;
  self->unblocked = 0;
  g_mutex_unlock (&self->lock);
}

void
captioner_start (Captioner *self)
{
  g_mutex_lock (&self->lock);
  self->max_held = GST_CLOCK_TIME_NONE;
  g_mutex_unlock (&self->lock);
}
