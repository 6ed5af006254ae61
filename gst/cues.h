/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Results as timed text: one cue for each span of time in which the label stays
 * the same, known when it ends. Frames move the time, results set the label from
 * their time on. The text is the label with the highest probability of the span in
 * percent: "cat 97 %". One thread at a time. */
typedef struct _Cues Cues;

Cues *cues_new (void);
void cues_free (Cues *cues);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Cues, cues_free)

/* The stream has come to a frame at @pts, before what is found out about it.
 * @duration: GST_CLOCK_TIME_NONE = not known. Where the time went back, or the stream
 * has a hole before the frame, the span that ends there is returned (transfer full). */
GstBuffer *cues_begin_frame (Cues *cues, GstClockTime pts, GstClockTime duration);

/* A result for the time from @pts on, or from the end of the last cue if that is later.
 * Returns the cue that ends there (transfer full), or NULL. @probability: not finite =
 * the text is the label alone. */
GstBuffer *cues_push (Cues *cues, const char *label, double probability, GstClockTime pts);

/* The label of the frame is the last result's. When the span has become @max long it is
 * returned, with this frame (transfer full); what follows is another cue. */
GstBuffer *cues_end_frame (Cues *cues, GstClockTime max);

/* What is known of the open span, however short. (transfer full)(nullable) */
GstBuffer *cues_cut (Cues *cues);

/* Whether a label is known. */
gboolean cues_is_open (const Cues *cues);

/* Length of what cues_cut() would return; 0 where there is none. */
GstClockTime cues_get_length (const Cues *cues);

/* The last cue, which ends where its last frame did. (transfer full)(nullable) */
GstBuffer *cues_finish (Cues *cues);

/* Forgets what was not told. */
void cues_reset (Cues *cues);

/* The text of a cue: plain text of one line. Control characters, line and paragraph
 * separators become spaces. Subtitle formats have no way to write <, >, {, } and & so
 * that every player shows them; characters that look alike take their place. A label of
 * more than CUE_MAX_LABEL characters is cut. (transfer full) */
char *cues_make_text (const char *label, double probability);

#define CUE_MAX_LABEL 256

G_END_DECLS
