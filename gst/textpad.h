/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* A source pad for sparse data beside the video. What is sent goes through a
 * queue and a task of the pad's own, so that whoever reads it, or does not,
 * never holds up the video. When TEXT_PAD_MAX_ITEMS wait, newer data is dropped
 * and counted; events never are. Thread-safe. */

#define TEXT_PAD_MAX_ITEMS 10000

#define GST_TYPE_CLASSIFY_TEXT_PAD (gst_classify_text_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstClassifyTextPad, gst_classify_text_pad, GST, CLASSIFY_TEXT_PAD, GstPad)

GstPad *gst_classify_text_pad_new (GstPadTemplate *templ, const char *name);

/* The segment of what follows; queued. */
void gst_classify_text_pad_set_segment (GstClassifyTextPad *pad, const GstSegment *segment);
/* Whether downstream takes JSON lines instead of text; asked when the stream starts. */
gboolean gst_classify_text_pad_is_json (GstClassifyTextPad *pad);
/* @buffer: (transfer full) */
void gst_classify_text_pad_push (GstClassifyTextPad *pad, GstBuffer *buffer);
/* Where the stream begins: lets sinks preroll before there is anything to send. Does
 * nothing the second time. */
void gst_classify_text_pad_begin (GstClassifyTextPad *pad, GstClockTime position);
/* Tells downstream, at most twice a second, that there is nothing up to @position. */
void gst_classify_text_pad_advance (GstClassifyTextPad *pad, GstClockTime position);
void gst_classify_text_pad_eos (GstClassifyTextPad *pad);
/* Between both everything that is sent is dropped. */
void gst_classify_text_pad_flush_start (GstClassifyTextPad *pad);
void gst_classify_text_pad_flush_stop (GstClassifyTextPad *pad, gboolean reset_time);
guint64 gst_classify_text_pad_get_n_dropped (GstClassifyTextPad *pad);

G_END_DECLS
