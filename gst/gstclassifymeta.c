/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/gstclassifymeta.h"

#include <math.h>

/* The rectangle of a result, by its number. Elements hand metas without tags on as they
 * are, and those with the tags of GstVideoRegionOfInterestMeta only if they can tell where
 * things go. A result outlives more than its place does, so the place has a meta of its
 * own, in front of it on the buffer. */
#define PLACE_META_NAME "GstVideoClassifyPlace"

/* --- rectangles ----------------------------------------------------------------------- */

static gboolean
get_rectangle (const GstStructure *structure, GstVideoRectangle *r)
{
  return gst_structure_get (structure, "x", G_TYPE_INT, &r->x, "y", G_TYPE_INT, &r->y, "width",
      G_TYPE_INT, &r->w, "height", G_TYPE_INT, &r->h, NULL);
}

static void
set_rectangle (GstStructure *structure, const GstVideoRectangle *r)
{
  gst_structure_set (structure, "x", G_TYPE_INT, r->x, "y", G_TYPE_INT, r->y, "width", G_TYPE_INT,
      r->w, "height", G_TYPE_INT, r->h, NULL);
}

/* Whether the picture fills the other one. Where the two differ in shape, elements put
 * borders around it or stretch it, and "gst-video-scale" does not tell which; a border of
 * a pixel is rounding. */
static gboolean
is_filled (const GstVideoInfo *in, const GstVideoInfo *out)
{
  const double aspect = (double) in->width * in->par_n * out->par_d
                        / ((double) in->height * in->par_d * out->par_n);
  const double height = out->width / aspect, width = out->height * aspect;

  return height <= out->height ? out->height - floor (height) <= 1
                               : out->width - floor (width) <= 1;
}

static gboolean
scale_rectangle (GstVideoRectangle *r, const GstVideoMetaTransform *scale)
{
  const gint64 from_width = scale->in_info->width, to_width = scale->out_info->width;
  const gint64 from_height = scale->in_info->height, to_height = scale->out_info->height;

  if (from_width <= 0 || from_height <= 0 || !is_filled (scale->in_info, scale->out_info))
    return FALSE;
  *r = (GstVideoRectangle){ (int) (r->x * to_width / from_width),
    (int) (r->y * to_height / from_height), (int) MAX (r->w * to_width / from_width, 1),
    (int) MAX (r->h * to_height / from_height, 1) };
  return TRUE;
}

/* Moves @r as the picture is. FALSE: it is not told where to. *@is_turned: the picture is
 * mirrored or turned. */
static gboolean
move_rectangle (GstVideoRectangle *r, GQuark type, gpointer data, gboolean *is_turned)
{
  *is_turned = FALSE;
  if (GST_META_TRANSFORM_IS_COPY (type))
    return TRUE;
  if (GST_VIDEO_META_TRANSFORM_IS_SCALE (type))
    return scale_rectangle (r, data);
#if GST_CHECK_VERSION(1, 28, 0)
  if (GST_VIDEO_META_TRANSFORM_IS_MATRIX (type)) {
    const GstVideoMetaTransformMatrix *matrix = data;

    *is_turned = !(matrix->matrix[0][0] > 0 && matrix->matrix[1][1] > 0);
    return gst_video_meta_transform_matrix_rectangle (matrix, r);
  }
#endif
  return FALSE;
}

/* --- metas ---------------------------------------------------------------------------- */

static gboolean
copy_field (GQuark field, const GValue *value, gpointer user_data)
{
  gst_structure_id_set_value (user_data, field, value);
  return TRUE;
}

static GstStructure *
add_structure (GstBuffer *buffer, const char *name, const GstStructure *fields)
{
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, name);
  GstStructure *structure = gst_custom_meta_get_structure (meta);

  gst_structure_foreach (fields, copy_field, structure);
  return structure;
}

static const GstStructure *
iterate (GstBuffer *buffer, const char *name, gpointer *state)
{
  const GstMetaInfo *info = gst_meta_get_info (name);
  GstMeta *meta = gst_buffer_iterate_meta_filtered (buffer, state, info->api);

  return meta ? gst_custom_meta_get_structure ((GstCustomMeta *) meta) : NULL;
}

static gboolean
find_place (GstBuffer *buffer, guint number, GstVideoRectangle *r)
{
  const GstStructure *place;
  gpointer state = NULL;
  guint n;

  while ((place = iterate (buffer, PLACE_META_NAME, &state)))
    if (gst_structure_get_uint (place, "number", &n) && n == number)
      return get_rectangle (place, r);
  return FALSE;
}

/* For the place and the heat map, which are nothing without their rectangle. */
static gboolean
transform_rectangle (GstBuffer *to, GstCustomMeta *meta, GstBuffer *from, GQuark type,
    gpointer data, gpointer name)
{
  const GstStructure *fields = gst_custom_meta_get_structure (meta);
  const gboolean is_map = g_str_equal (name, GST_CLASSIFY_HEAT_MAP_META_NAME);
  GstVideoRectangle r;
  gboolean is_turned;

  if (!get_rectangle (fields, &r) || !move_rectangle (&r, type, data, &is_turned)
      || (is_turned && is_map))
    return FALSE;
  set_rectangle (add_structure (to, name, fields), &r);
  return TRUE;
}

/* The result goes on, whatever is done to the picture; where it lies is where its place
 * has come to, which is on @to already if it has come along. */
static gboolean
transform_result (GstBuffer *to, GstCustomMeta *meta, GstBuffer *from, GQuark type, gpointer data,
    gpointer name)
{
  GstStructure *structure = add_structure (to, name, gst_custom_meta_get_structure (meta));
  GstVideoRectangle r;
  guint number;

  if (!gst_structure_get_uint (structure, "place", &number)) {
    return TRUE;
  } else if (find_place (to, number, &r)) {
    set_rectangle (structure, &r);
  } else {
    gst_structure_remove_fields (structure, "place", "x", "y", "width", "height", NULL);
    gst_structure_set (structure, "moved", G_TYPE_BOOLEAN, TRUE, NULL);
  }
  return TRUE;
}

void
gst_video_classify_meta_register (void)
{
  static const char *no_tags[] = { NULL }; /* 1.22 does not take a NULL pointer */
  static const char *place_tags[] = { GST_META_TAG_VIDEO_STR, GST_META_TAG_VIDEO_ORIENTATION_STR,
    GST_META_TAG_VIDEO_SIZE_STR, NULL };
  static const struct {
    const char *name, **tags;
    GstCustomMetaTransformFunction transform;
  } metas[] = {
    { PLACE_META_NAME, place_tags, transform_rectangle },
    { GST_CLASSIFY_META_NAME, no_tags, transform_result },
    { GST_CLASSIFY_HEAT_MAP_META_NAME, place_tags, transform_rectangle },
  };
  static gsize once;

  if (g_once_init_enter (&once)) {
    for (guint i = 0; i < G_N_ELEMENTS (metas); i++)
      if (!gst_meta_get_info (metas[i].name))
        gst_meta_register_custom (
            metas[i].name, metas[i].tags, metas[i].transform, (char *) metas[i].name, NULL);
    g_once_init_leave (&once, 1);
  }
}

/* --- on buffers ----------------------------------------------------------------------- */

static const GstStructure *
get_structure (GstBuffer *buffer, const char *name)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, name);

  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

const GstStructure *
gst_buffer_get_video_classify (GstBuffer *buffer)
{
  return get_structure (buffer, GST_CLASSIFY_META_NAME);
}

const GstStructure *
gst_buffer_get_video_classify_heat_map (GstBuffer *buffer)
{
  return get_structure (buffer, GST_CLASSIFY_HEAT_MAP_META_NAME);
}

const GstStructure *
gst_buffer_iterate_video_classify (GstBuffer *buffer, gpointer *state)
{
  return iterate (buffer, GST_CLASSIFY_META_NAME, state);
}

GstStructure *
gst_buffer_add_video_classify (
    GstBuffer *buffer, const GstStructure *result, const GstVideoRectangle *rectangle)
{
  static gint last_number;
  const guint number = (guint) g_atomic_int_add (&last_number, 1);
  GstStructure *structure;

  if (!rectangle)
    return add_structure (buffer, GST_CLASSIFY_META_NAME, result);
  structure = gst_custom_meta_get_structure (gst_buffer_add_custom_meta (buffer, PLACE_META_NAME));
  gst_structure_set (structure, "number", G_TYPE_UINT, number, NULL);
  set_rectangle (structure, rectangle);
  structure = add_structure (buffer, GST_CLASSIFY_META_NAME, result);
  gst_structure_set (structure, "place", G_TYPE_UINT, number, NULL);
  set_rectangle (structure, rectangle);
  return structure;
}

GstStructure *
gst_buffer_add_video_classify_heat_map (GstBuffer *buffer, const GstStructure *map)
{
  return add_structure (buffer, GST_CLASSIFY_HEAT_MAP_META_NAME, map);
}
