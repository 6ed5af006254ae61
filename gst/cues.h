/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Results as timed text: one cue for each span of time in which the label stays
 * the same, known when it ends. One thread at a time. */
typedef struct _Cues Cues;

Cues *cues_new (void);
void cues_free (Cues *cues);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Cues, cues_free)

/* A result for the time from @pts on; what came before ends there. Returns the
 * cue that is complete (transfer full), or NULL. A span longer than @max is told
 * in pieces of that length (0 = whole). The text is the label with the highest
 * probability of the span in percent: "cat 97 %". */
GstBuffer *cues_push (Cues *cues, const char *label, double probability, GstClockTime pts,
    GstClockTime duration, GstClockTime max);

/* The last cue, which ends where its last frame did. (transfer full)(nullable) */
GstBuffer *cues_finish (Cues *cues);

/* Forgets what was not told. */
void cues_reset (Cues *cues);

G_END_DECLS
