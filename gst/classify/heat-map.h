/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/classify/result.h>

G_BEGIN_DECLS

/**
 * GST_CLASSIFY_HEAT_MAP_META_NAME:
 *
 * Name of the custom meta that videoclassify puts on buffers with `explain=cam`, and of
 * its structure: a map of what in the picture spoke for its label. With the tags of
 * GstVideoRegionOfInterestMeta: videoscale and videoconvert move its rectangle, elements that
 * do not tell what becomes of the picture (as videoflip does) drop it. The fields:
 *
 * - `label`: string, the class that is explained
 * - `index`: int, its number
 * - `probability`: double, 0 to 1, of it, of the frame as it is, without views and smoothing
 * - `method`: string, "cam" (Zhou et al. 2016) or "grad-cam" (Selvaraju et al. 2017)
 * - `rows`, `columns`: uint, size of the map
 * - `map`: #GBytes, rows x columns bytes, row by row; 255 at the largest value, all 0
 *   where nothing speaks for the class
 * - `x`, `y`, `width`, `height`: int, pixels that the map covers, counted as in
 *   #GST_CLASSIFY_META_NAME; they may lie outside of the frame
 * - `age`, `age-time`: as in #GST_CLASSIFY_META_NAME
 *
 * and only where there is something to tell:
 *
 * - `region`: int, id of its GstVideoRegionOfInterestMeta
 *
 * Since: 0.1
 */
#define GST_CLASSIFY_HEAT_MAP_META_NAME "GstVideoClassifyHeatMap"

/**
 * GstClassifyHeatMap:
 *
 * What in a picture speaks for its label. Counted by reference and never changed once
 * made: any thread may read it.
 *
 * Since: 0.1
 */
typedef struct _GstClassifyHeatMap GstClassifyHeatMap;

#define GST_TYPE_CLASSIFY_HEAT_MAP (gst_classify_heat_map_get_type ())

GST_CLASSIFY_API
GType gst_classify_heat_map_get_type (void);

GST_CLASSIFY_API
GstClassifyHeatMap *gst_classify_buffer_get_heat_map (GstBuffer *buffer);

GST_CLASSIFY_API
GstClassifyHeatMap *gst_classify_heat_map_ref (GstClassifyHeatMap *map);

GST_CLASSIFY_API
void gst_classify_heat_map_unref (GstClassifyHeatMap *map);

GST_CLASSIFY_API
const gchar *gst_classify_heat_map_get_label (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
gint gst_classify_heat_map_get_index (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
gdouble gst_classify_heat_map_get_probability (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
const gchar *gst_classify_heat_map_get_method (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
guint gst_classify_heat_map_get_rows (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
guint gst_classify_heat_map_get_columns (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
const guint8 *gst_classify_heat_map_get_values (const GstClassifyHeatMap *map, gsize *n_values);

GST_CLASSIFY_API
gboolean gst_classify_heat_map_get_rectangle (
    const GstClassifyHeatMap *map, gint *x, gint *y, gint *width, gint *height);

GST_CLASSIFY_API
gint gst_classify_heat_map_get_region_id (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
guint gst_classify_heat_map_get_age (const GstClassifyHeatMap *map);

GST_CLASSIFY_API
GstClockTime gst_classify_heat_map_get_age_time (const GstClassifyHeatMap *map);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstClassifyHeatMap, gst_classify_heat_map_unref)

G_END_DECLS
