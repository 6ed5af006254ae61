/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/gstclassifymeta.h"

void
gst_video_classify_meta_register (void)
{
  static const char *const names[]
      = { GST_CLASSIFY_META_NAME, GST_CLASSIFY_HEAT_MAP_META_NAME };
  static const gchar *no_tags[] = { NULL }; /* 1.22 does not take a NULL pointer */
  static gsize once;

  if (g_once_init_enter (&once)) {
    for (guint i = 0; i < G_N_ELEMENTS (names); i++)
      if (!gst_meta_get_info (names[i]))
        gst_meta_register_custom (names[i], no_tags, NULL, NULL, NULL);
    g_once_init_leave (&once, 1);
  }
}

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
  const GstMetaInfo *info = gst_meta_get_info (GST_CLASSIFY_META_NAME);
  GstMeta *meta = gst_buffer_iterate_meta_filtered (buffer, state, info->api);

  return meta ? gst_custom_meta_get_structure ((GstCustomMeta *)meta) : NULL;
}

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

GstStructure *
gst_buffer_add_video_classify (GstBuffer *buffer, const GstStructure *result)
{
  return add_structure (buffer, GST_CLASSIFY_META_NAME, result);
}

GstStructure *
gst_buffer_add_video_classify_heat_map (GstBuffer *buffer, const GstStructure *map)
{
  return add_structure (buffer, GST_CLASSIFY_HEAT_MAP_META_NAME, map);
}
