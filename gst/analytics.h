/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Adds the result as GstAnalyticsClsMtd too, where GStreamer has it (1.24 and
 * newer); does nothing elsewhere. @quarks and @confidences: @n, best first. */
void gst_video_classify_add_analytics (GstBuffer *buffer, guint n, const float *confidences,
    const GQuark *quarks);

G_END_DECLS
