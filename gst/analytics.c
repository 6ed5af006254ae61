/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/analytics.h"

#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>

void
gst_video_classify_add_analytics (GstBuffer *buffer, guint n, const float *confidences,
    const GQuark *quarks)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsClsMtd mtd;

  if (!meta)
    meta = gst_buffer_add_analytics_relation_meta (buffer);
  gst_analytics_relation_meta_add_cls_mtd (
      meta, n, (gfloat *) confidences, (GQuark *) quarks, &mtd);
}
#else
void
gst_video_classify_add_analytics (GstBuffer *buffer, guint n, const float *confidences,
    const GQuark *quarks)
{
}
#endif
