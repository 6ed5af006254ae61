/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/analytics.h"

#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>

void
gst_video_classify_add_analytics (
    GstBuffer *buffer, guint mtd, guint n, const float *confidences, const GQuark *quarks)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsClsMtd cls;

  if (!meta)
    meta = gst_buffer_add_analytics_relation_meta (buffer);
  if (!gst_analytics_relation_meta_add_cls_mtd (
          meta, n, (gfloat *)confidences, (GQuark *)quarks, &cls))
    return;
  if (mtd != REGION_NO_MTD)
    gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_CONTAIN, mtd, cls.id);
}

void
gst_video_classify_get_detections (GstBuffer *buffer, GArray *regions)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);
  gpointer state = NULL;
  GstAnalyticsODMtd od;

  while (meta
         && gst_analytics_relation_meta_iterate (
             meta, &state, gst_analytics_od_mtd_get_mtd_type (), (GstAnalyticsMtd *)&od)) {
    int x, y, width, height;
    float confidence;

    if (gst_analytics_od_mtd_get_location (&od, &x, &y, &width, &height, &confidence)) {
      const Region region = { .id = -1,
        .mtd = od.id,
        .label = gst_analytics_od_mtd_get_obj_type (&od),
        .rect = { x, y, width, height } };

      g_array_append_val (regions, region);
    }
  }
}
#else
void
gst_video_classify_add_analytics (
    GstBuffer *buffer, guint mtd, guint n, const float *confidences, const GQuark *quarks)
{
}

void
gst_video_classify_get_detections (GstBuffer *buffer, GArray *regions)
{
}
#endif
