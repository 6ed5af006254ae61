/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "gst/regions.h"

G_BEGIN_DECLS

/* GStreamer's own analytics metas (1.24 and newer); nothing happens elsewhere. */

/* Adds a result as GstAnalyticsClsMtd, part of the object detection with the id
 * @mtd if that is not REGION_NO_MTD. @quarks and @confidences: @n, best first. */
void gst_video_classify_add_analytics (
    GstBuffer *buffer, guint mtd, guint n, const float *confidences, const GQuark *quarks);

/* Appends the object detections on @buffer to @regions, of Region. */
void gst_video_classify_get_detections (GstBuffer *buffer, GArray *regions);

G_END_DECLS
