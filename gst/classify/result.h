/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#ifndef GST_CLASSIFY_API
#ifdef BUILDING_GST_CLASSIFY
#define GST_CLASSIFY_API GST_API_EXPORT
#else
#define GST_CLASSIFY_API GST_API_IMPORT
#endif
#endif

/**
 * GST_CLASSIFY_META_NAME:
 *
 * Name of the custom meta that videoclassify puts on buffers, one for each region
 * that it classified, and of its structure. Without tags, so that videoconvert,
 * videoscale, videocrop, videoflip and tee keep it. The fields:
 *
 * - `label`: string, the best label, #GST_CLASSIFY_UNKNOWN_LABEL below the threshold
 * - `index`: int, its class, -1 for the unknown
 * - `probability`: double, 0 to 1, of the best class; NaN where the network gave no numbers:
 *   the label is then "unknown"
 * - `labels`: array of strings, best first, top-k of them
 * - `probabilities`: array of doubles in the same order
 * - `age`: uint, frames since the classified one; 0: this frame itself
 * - `age-time`: uint64, ns, the same as a time
 * - `inference-time`: uint64, ns, pre-processing and network
 * - `views`: uint, test-time augmentation: views averaged
 * - `device`: string, "cpu", "cuda:0"
 * - `model`: string, name of the model file
 *
 * and only where there is something to tell:
 *
 * - `x`, `y`, `width`, `height`: int, pixels: the part of the frame that it is about;
 *   without them: the whole frame. They follow the picture through videoscale, videoconvert
 *   and encoders
 * - `moved`: boolean, true: it is about a part, but an element that does not tell where things
 *   go, as videoflip and videocrop, came after; then without these four
 * - `place`: uint, number of the meta `GstVideoClassifyPlace` that keeps these four up to date
 * - `region`: int, id of its GstVideoRegionOfInterestMeta
 * - `region-label`: string, what the detector called it
 * - `raw-label`: string, best label of this classification before smoothing
 * - `raw-probability`: double, its probability
 *
 * Rectangles in metas are in pixels of the picture that the buffer holds, as those of
 * GstVideoRegionOfInterestMeta are: where there is a GstVideoCropMeta subtract its x and y to
 * have them in the picture that is seen, as messages, the signal and #GstClassifyResult have.
 *
 * Since: 0.1
 */
#define GST_CLASSIFY_META_NAME "GstVideoClassifyMeta"

/**
 * GST_CLASSIFY_MESSAGE_NAME:
 *
 * Name of the structure of videoclassify's element messages and of its signal
 * `classified`: the fields of #GST_CLASSIFY_META_NAME without `age` and `age-time`,
 * and `timestamp`, `stream-time`, `running-time`, `duration` (uint64, ns) of the
 * frame that was classified.
 *
 * Since: 0.1
 */
#define GST_CLASSIFY_MESSAGE_NAME "videoclassify"

/**
 * GST_CLASSIFY_UNKNOWN_LABEL:
 *
 * The label where no class is as probable as the element's threshold wants.
 *
 * Since: 0.1
 */
#define GST_CLASSIFY_UNKNOWN_LABEL "unknown"

/**
 * GstClassifyResult:
 *
 * What was found out about a frame, or about a region of it. Counted by reference
 * and never changed once made: any thread may read it.
 *
 * Since: 0.1
 */
typedef struct _GstClassifyResult GstClassifyResult;

#define GST_TYPE_CLASSIFY_RESULT (gst_classify_result_get_type ())

GST_CLASSIFY_API
GType gst_classify_result_get_type (void);

GST_CLASSIFY_API
GList *gst_classify_buffer_get_results (GstBuffer *buffer);

GST_CLASSIFY_API
GstClassifyResult *gst_classify_buffer_get_result (GstBuffer *buffer);

GST_CLASSIFY_API
GstClassifyResult *gst_classify_result_from_message (GstMessage *message);

GST_CLASSIFY_API
GstClassifyResult *gst_classify_result_from_structure (const GstStructure *structure);

GST_CLASSIFY_API
GstClassifyResult *gst_classify_result_ref (GstClassifyResult *result);

GST_CLASSIFY_API
void gst_classify_result_unref (GstClassifyResult *result);

GST_CLASSIFY_API
const gchar *gst_classify_result_get_label (const GstClassifyResult *result);

GST_CLASSIFY_API
gint gst_classify_result_get_index (const GstClassifyResult *result);

GST_CLASSIFY_API
gboolean gst_classify_result_is_known (const GstClassifyResult *result);

GST_CLASSIFY_API
gdouble gst_classify_result_get_probability (const GstClassifyResult *result);

GST_CLASSIFY_API
const gchar *const *gst_classify_result_get_labels (const GstClassifyResult *result);

GST_CLASSIFY_API
const gdouble *gst_classify_result_get_probabilities (
    const GstClassifyResult *result, gsize *n_probabilities);

GST_CLASSIFY_API
const gchar *gst_classify_result_get_raw_label (const GstClassifyResult *result);

GST_CLASSIFY_API
gdouble gst_classify_result_get_raw_probability (const GstClassifyResult *result);

GST_CLASSIFY_API
gboolean gst_classify_result_get_rectangle (
    const GstClassifyResult *result, gint *x, gint *y, gint *width, gint *height);

GST_CLASSIFY_API
gint gst_classify_result_get_region_id (const GstClassifyResult *result);

GST_CLASSIFY_API
const gchar *gst_classify_result_get_region_label (const GstClassifyResult *result);

GST_CLASSIFY_API
const gchar *gst_classify_result_get_model (const GstClassifyResult *result);

GST_CLASSIFY_API
const gchar *gst_classify_result_get_device (const GstClassifyResult *result);

GST_CLASSIFY_API
guint gst_classify_result_get_views (const GstClassifyResult *result);

GST_CLASSIFY_API
guint gst_classify_result_get_age (const GstClassifyResult *result);

GST_CLASSIFY_API
GstClockTime gst_classify_result_get_age_time (const GstClassifyResult *result);

GST_CLASSIFY_API
GstClockTime gst_classify_result_get_inference_time (const GstClassifyResult *result);

GST_CLASSIFY_API
GstClockTime gst_classify_result_get_timestamp (const GstClassifyResult *result);

GST_CLASSIFY_API
GstClockTime gst_classify_result_get_duration (const GstClassifyResult *result);

GST_CLASSIFY_API
GstClockTime gst_classify_result_get_stream_time (const GstClassifyResult *result);

GST_CLASSIFY_API
GstClockTime gst_classify_result_get_running_time (const GstClassifyResult *result);

GST_CLASSIFY_API
const GstStructure *gst_classify_result_get_structure (const GstClassifyResult *result);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstClassifyResult, gst_classify_result_unref)

G_END_DECLS
