/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "gst/runtime.h"

G_BEGIN_DECLS

/* What was found out about one region of one frame. Never changed once made, so
 * that threads may share it. */
typedef struct {
  gint ref_count;
  Region region;
  guint64 frame;           /* number of the classified one */
  GstClockTime pts;        /* its */
  GstStructure *structure; /* the meta's fields, without age, age-time and rectangle */
  guint n_top;
  float *confidences; /* n_top, best first */
  GQuark *quarks;
} Result;

typedef struct {
  guint top_k;
  double threshold;
  GstClockTime inference_time;
  const float *probabilities; /* n_classes: what the result says */
  int index;                  /* its class; -1 = that of the highest probability */
  const float *raw;           /* NULL, or before smoothing */
} ResultValues;

/* Where the probabilities are no numbers (result_has_numbers()) the label is "unknown" and the
 * lists are empty. */
Result *result_new (const Task *task, const Region *region, const ResultValues *values);
Result *result_ref (Result *result);
void result_unref (Result *result);

/* Whether all of @n probabilities are finite. */
gboolean result_has_numbers (const float *probabilities, guint n);

const char *result_get_label (const Result *result); /* interned */
double result_get_probability (const Result *result); /* NaN: no numbers */

/* Adds the metas to @buffer, which is frame number @frame with time stamp @pts, for @region of it.
 */
void result_attach (
    const Result *result, GstBuffer *buffer, const Region *region, guint64 frame, GstClockTime pts);

/* The structure of message and signal. (transfer full) */
GstStructure *result_to_structure (const Result *result, const Task *task);

G_END_DECLS
