/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* A source pad for sparse data beside the video. What is sent goes through a
 * queue and a task of the pad's own, so that whoever reads it, or does not,
 * never holds up the video. When TEXT_PAD_MAX_ITEMS wait, newer data is dropped
 * and counted; of events only those stay that the next data needs. Thread-safe. */

#define TEXT_PAD_MAX_ITEMS 10000

#define GST_TYPE_CLASSIFY_TEXT_PAD (gst_classify_text_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstClassifyTextPad, gst_classify_text_pad, GST, CLASSIFY_TEXT_PAD, GstPad)

/* Nothing has come for TEXT_PAD_STALL, or four frames, after gst_classify_text_pad_touch():
 * downstream may be waiting for text. In the pad's task, once until the next touch. */
typedef void (*GstClassifyTextPadStalled) (GstClassifyTextPad *pad, GstElement *element);

#define TEXT_PAD_STALL GST_SECOND

/* @stalled: (nullable) */
GstPad *gst_classify_text_pad_new (
    GstPadTemplate *templ, const char *name, GstClassifyTextPadStalled stalled);

/* Another stream begins: what is sent next is preceded by the events that a stream has,
 * made from those on the element's sink pad. Also after EOS. */
void gst_classify_text_pad_new_stream (GstClassifyTextPad *pad);
/* The segment of what follows; queued. A pad that nobody tells it takes that of the
 * element's sink pad. */
void gst_classify_text_pad_set_segment (GstClassifyTextPad *pad, const GstSegment *segment);
/* Whether downstream takes JSON lines instead of text; asked when the stream starts and
 * when the pad is linked anew. */
gboolean gst_classify_text_pad_is_json (GstClassifyTextPad *pad);
/* Whether the text meets other streams downstream, as in a muxer, which then wait for it. */
gboolean gst_classify_text_pad_is_joined (GstClassifyTextPad *pad);
/* Only queues, once one of both above has been asked. @buffer: (transfer full) */
void gst_classify_text_pad_push (GstClassifyTextPad *pad, GstBuffer *buffer);
/* Where the stream begins: lets sinks preroll before there is anything to send. Does
 * nothing the second time. */
void gst_classify_text_pad_begin (GstClassifyTextPad *pad, GstClockTime position);
/* Tells downstream that there is nothing up to @position, if that is @interval later than
 * what was sent last. */
void gst_classify_text_pad_advance (
    GstClassifyTextPad *pad, GstClockTime position, GstClockTime interval);
/* @is_open: something is known of a frame of @duration that is not sent yet, so that it is
 * worth to call when no other frame comes. */
void gst_classify_text_pad_touch (
    GstClassifyTextPad *pad, gboolean is_open, GstClockTime duration);
void gst_classify_text_pad_eos (GstClassifyTextPad *pad);
/* Between both everything that is sent is dropped. */
void gst_classify_text_pad_flush_start (GstClassifyTextPad *pad);
void gst_classify_text_pad_flush_stop (GstClassifyTextPad *pad, gboolean reset_time);
/* The same seek comes from each sink of a pipeline. TRUE: @seek came already, on the
 * other one of this pad (@is_own) and the video's. */
gboolean gst_classify_text_pad_is_second_seek (
    GstClassifyTextPad *pad, GstEvent *seek, gboolean is_own);
guint64 gst_classify_text_pad_get_n_dropped (GstClassifyTextPad *pad);
/* Items that wait. */
guint gst_classify_text_pad_get_level (GstClassifyTextPad *pad);

G_END_DECLS
