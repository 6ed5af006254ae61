/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:heat-map
 * @title: GstClassifyHeatMap
 * @short_description: what in a picture spoke for its label, for applications
 *
 * With `explain=cam` the element videoclassify attaches a class activation map to its
 * buffers: gst_classify_buffer_get_heat_map() reads it. The element classifyoverlay draws it.
 *
 * Since: 0.1
 */

#include <gst/classify/classify.h>
#include <gst/video/gstvideometa.h>

struct _GstClassifyHeatMap {
  gatomicrefcount ref_count;
  char *label, *method;
  int index, region_id, x, y, width, height;
  double probability;
  guint rows, columns, age;
  GBytes *values;
  gboolean has_rectangle;
  GstClockTime age_time;
};

G_DEFINE_BOXED_TYPE (GstClassifyHeatMap, gst_classify_heat_map, gst_classify_heat_map_ref,
    gst_classify_heat_map_unref)

/**
 * gst_classify_buffer_get_heat_map:
 * @buffer: a #GstBuffer
 *
 * The map on @buffer: of the frame, or of one of its regions.
 *
 * Returns: (transfer full) (nullable): the map, %NULL if there is none
 *
 * Since: 0.1
 */
GstClassifyHeatMap *
gst_classify_buffer_get_heat_map (GstBuffer *buffer)
{
  const GstVideoCropMeta *crop;
  GstCustomMeta *meta = NULL;
  GstClassifyHeatMap *self;
  const GstStructure *s;
  const GValue *value;
  guint rows, columns;
  int x, y, width, height;

  g_return_val_if_fail (GST_IS_BUFFER (buffer), NULL);
  if (gst_meta_get_info (GST_CLASSIFY_HEAT_MAP_META_NAME))
    meta = gst_buffer_get_custom_meta (buffer, GST_CLASSIFY_HEAT_MAP_META_NAME);
  if (!meta)
    return NULL;
  s = gst_custom_meta_get_structure (meta);
  value = gst_structure_get_value (s, "map");
  if (!value || !G_VALUE_HOLDS (value, G_TYPE_BYTES) || !g_value_get_boxed (value)
      || !gst_structure_get_uint (s, "rows", &rows)
      || !gst_structure_get_uint (s, "columns", &columns) || rows == 0 || columns == 0
      || g_bytes_get_size (g_value_get_boxed (value)) != (guint64)rows * columns)
    return NULL;
  self = g_new0 (GstClassifyHeatMap, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->label = g_strdup (gst_structure_get_string (s, "label"));
  self->method = g_strdup (gst_structure_get_string (s, "method"));
  self->rows = rows;
  self->columns = columns;
  self->values = g_value_dup_boxed (value);
  self->index = self->region_id = -1;
  gst_structure_get_int (s, "index", &self->index);
  gst_structure_get_int (s, "region", &self->region_id);
  gst_structure_get_double (s, "probability", &self->probability);
  gst_structure_get_uint (s, "age", &self->age);
  gst_structure_get_uint64 (s, "age-time", &self->age_time);
  self->has_rectangle = gst_structure_get (s, "x", G_TYPE_INT, &x, "y", G_TYPE_INT, &y, "width",
      G_TYPE_INT, &width, "height", G_TYPE_INT, &height, NULL);
  if (self->has_rectangle) {
    crop = gst_buffer_get_video_crop_meta (buffer);
    self->x = x - (crop ? (int)crop->x : 0);
    self->y = y - (crop ? (int)crop->y : 0);
    self->width = width;
    self->height = height;
  }
  return self;
}

/**
 * gst_classify_heat_map_ref: (skip)
 * @map: a #GstClassifyHeatMap
 *
 * Returns: (transfer full): @map
 *
 * Since: 0.1
 */
GstClassifyHeatMap *
gst_classify_heat_map_ref (GstClassifyHeatMap *map)
{
  g_atomic_ref_count_inc (&map->ref_count);
  return map;
}

/**
 * gst_classify_heat_map_unref: (skip)
 * @map: (transfer full): a #GstClassifyHeatMap
 *
 * Since: 0.1
 */
void
gst_classify_heat_map_unref (GstClassifyHeatMap *map)
{
  if (!g_atomic_ref_count_dec (&map->ref_count))
    return;
  g_bytes_unref (map->values);
  g_free (map->label);
  g_free (map->method);
  g_free (map);
}

/**
 * gst_classify_heat_map_get_label:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: (nullable): the class that is explained
 *
 * Since: 0.1
 */
const gchar *
gst_classify_heat_map_get_label (const GstClassifyHeatMap *map)
{
  return map->label;
}

/**
 * gst_classify_heat_map_get_index:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: the number of that class among the outputs of the network, -1 if not told
 *
 * Since: 0.1
 */
gint
gst_classify_heat_map_get_index (const GstClassifyHeatMap *map)
{
  return map->index;
}

/**
 * gst_classify_heat_map_get_probability:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: the probability of that class, 0 to 1: of the frame as it is, without test-time
 *   augmentation and smoothing
 *
 * Since: 0.1
 */
gdouble
gst_classify_heat_map_get_probability (const GstClassifyHeatMap *map)
{
  return map->probability;
}

/**
 * gst_classify_heat_map_get_method:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: (nullable): "cam" (Zhou et al. 2016) or "grad-cam" (Selvaraju et al. 2017)
 *
 * Since: 0.1
 */
const gchar *
gst_classify_heat_map_get_method (const GstClassifyHeatMap *map)
{
  return map->method;
}

/**
 * gst_classify_heat_map_get_rows:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: the height of the map in values, at least 1
 *
 * Since: 0.1
 */
guint
gst_classify_heat_map_get_rows (const GstClassifyHeatMap *map)
{
  return map->rows;
}

/**
 * gst_classify_heat_map_get_columns:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: the width of the map in values, at least 1
 *
 * Since: 0.1
 */
guint
gst_classify_heat_map_get_columns (const GstClassifyHeatMap *map)
{
  return map->columns;
}

/**
 * gst_classify_heat_map_get_values:
 * @map: a #GstClassifyHeatMap
 * @n_values: (out): rows x columns
 *
 * The map, row by row from the top: 255 where most speaks for the class, 0 where nothing
 * does. Values are those of the middle of their part of the picture: what enlarges the map
 * should interpolate.
 *
 * Returns: (array length=n_values) (transfer none): the values, valid as long as @map is
 *
 * Since: 0.1
 */
const guint8 *
gst_classify_heat_map_get_values (const GstClassifyHeatMap *map, gsize *n_values)
{
  return g_bytes_get_data (map->values, n_values);
}

/**
 * gst_classify_heat_map_get_rectangle:
 * @map: a #GstClassifyHeatMap
 * @x: (out) (optional): left edge in pixels
 * @y: (out) (optional): upper edge in pixels
 * @width: (out) (optional): width in pixels
 * @height: (out) (optional): height in pixels
 *
 * The part of the frame that the map covers, which may reach beyond it, in pixels of the frame
 * as it is seen: of a buffer with a GstVideoCropMeta, of what that shows.
 *
 * Returns: %FALSE where it is not told; the numbers are 0 then
 *
 * Since: 0.1
 */
gboolean
gst_classify_heat_map_get_rectangle (
    const GstClassifyHeatMap *map, gint *x, gint *y, gint *width, gint *height)
{
  if (x)
    *x = map->x;
  if (y)
    *y = map->y;
  if (width)
    *width = map->width;
  if (height)
    *height = map->height;
  return map->has_rectangle;
}

/**
 * gst_classify_heat_map_get_region_id:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: the id of the GstVideoRegionOfInterestMeta that it is about, -1 if none
 *
 * Since: 0.1
 */
gint
gst_classify_heat_map_get_region_id (const GstClassifyHeatMap *map)
{
  return map->region_id;
}

/**
 * gst_classify_heat_map_get_age:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: frames since the one that the map was made of
 *
 * Since: 0.1
 */
guint
gst_classify_heat_map_get_age (const GstClassifyHeatMap *map)
{
  return map->age;
}

/**
 * gst_classify_heat_map_get_age_time:
 * @map: a #GstClassifyHeatMap
 *
 * Returns: the same as a time, in nanoseconds
 *
 * Since: 0.1
 */
GstClockTime
gst_classify_heat_map_get_age_time (const GstClassifyHeatMap *map)
{
  return map->age_time;
}
