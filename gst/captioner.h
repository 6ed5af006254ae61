/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "gst/textpad.h"

G_BEGIN_DECLS

/* What a text pad is sent as timed text: a cue for each span of a label, or for each
 * frame. For JSON lines it tells how far the stream has come. Frames come in one thread,
 * results may come in another.
 *
 * Thread-safety: safe. */
typedef struct _Captioner Captioner;

/* Longest cue where nothing waits for the text, and where a muxer does. Its queues hold a
 * second by default, and mp4mux wants two cues and its interleave-time in advance. */
#define CAPTIONER_MAX_CUE (10 * GST_SECOND)
#define CAPTIONER_MAX_JOINED_CUE (250 * GST_MSECOND)

typedef struct {
  GstClockTime pts, duration;
  const char *label; /* of the newest result; NULL = there is none */
  double probability;
} CaptionerFrame;

Captioner *captioner_new (void);
void captioner_free (Captioner *captioner);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Captioner, captioner_free)

/* A frame has come, before it is classified. */
void captioner_begin_frame (Captioner *captioner, GstClassifyTextPad *pad, GstClockTime pts,
    GstClockTime duration);
/* A result, for the spans; of a stream before @generation of captioner_reset() it is none. */
void captioner_push (Captioner *captioner, GstClassifyTextPad *pad, const char *label,
    double probability, GstClockTime pts, guint64 generation);
/* The frame is about to be pushed. @is_span: FALSE = a cue of its own. @max: longest span,
 * 0 = as above. */
void captioner_end_frame (Captioner *captioner, GstClassifyTextPad *pad,
    const CaptionerFrame *frame, gboolean is_span, GstClockTime max);
/* The open span ends with its last frame. @pad: (nullable) */
void captioner_finish (Captioner *captioner, GstClassifyTextPad *pad);
/* What is known of the open span is sent, because downstream may be waiting for it. If
 * frames come again at once, later spans are kept shorter. @may_learn: the stream runs. */
void captioner_unblock (Captioner *captioner, GstClassifyTextPad *pad, gboolean may_learn);
/* Forgets what was not sent. */
void captioner_reset (Captioner *captioner, guint64 generation);
/* Forgets what was learned of downstream. */
void captioner_start (Captioner *captioner);

G_END_DECLS
