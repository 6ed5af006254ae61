/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/orientation-tags.h"

G_STATIC_ASSERT ((int)NN_ORIENTATION_90R == (int)GST_VIDEO_ORIENTATION_90R);
G_STATIC_ASSERT ((int)NN_ORIENTATION_UR_LL == (int)GST_VIDEO_ORIENTATION_UR_LL);

static void
take_list (OrientationTags *tags, GstTagList *list)
{
  GstVideoOrientationMethod method = GST_VIDEO_ORIENTATION_IDENTITY;
  const gboolean is_told = gst_video_orientation_from_tag (list, &method);

  if (gst_tag_list_get_scope (list) == GST_TAG_SCOPE_GLOBAL) {
    tags->global = (NnOrientation)method;
  } else {
    tags->has_stream = is_told;
    tags->stream = (NnOrientation)method;
  }
}

void
orientation_tags_take (OrientationTags *tags, GstEvent *event)
{
  const char *stream_id;
  GstTagList *list;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_TAG:
      gst_event_parse_tag (event, &list);
      take_list (tags, list);
      break;
    case GST_EVENT_STREAM_START:
      gst_event_parse_stream_start (event, &stream_id);
      if (g_strcmp0 (stream_id, tags->stream_id) != 0) {
        orientation_tags_clear (tags);
        tags->stream_id = g_strdup (stream_id);
      }
      break;
    default:
      break;
  }
}

NnOrientation
orientation_tags_get (const OrientationTags *tags)
{
  return tags->has_stream ? tags->stream : tags->global;
}

void
orientation_tags_clear (OrientationTags *tags)
{
  g_free (tags->stream_id);
  *tags = (OrientationTags){ 0 };
}

static gboolean
is_turning (GstElement *element)
{
  GstVideoOrientationMethod method = GST_VIDEO_ORIENTATION_IDENTITY;

  if (GST_IS_VIDEO_DIRECTION (element))
    g_object_get (element, "video-direction", &method, NULL);
  return method != GST_VIDEO_ORIENTATION_IDENTITY;
}

/* The pad that feeds @pad: its peer, or beyond the wall of a bin. (transfer full)(nullable) */
static GstPad *
find_feeder (GstPad *pad)
{
  GstPad *peer = gst_pad_get_peer (pad);

  while (peer && (GST_IS_GHOST_PAD (peer) || GST_IS_PROXY_PAD (peer))) {
    GstPad *next = NULL;

    if (GST_IS_GHOST_PAD (peer)) { /* the end of a bin: into it */
      next = gst_ghost_pad_get_target (GST_GHOST_PAD (peer));
    } else { /* the inner side of a bin's beginning: out of it */
      g_autoptr (GstPad) outer = GST_PAD (gst_proxy_pad_get_internal (GST_PROXY_PAD (peer)));

      next = outer ? gst_pad_get_peer (outer) : NULL;
    }
    gst_object_unref (peer);
    peer = next;
  }
  return peer;
}

gboolean
orientation_is_done_before (GstPad *pad)
{
  GstPad *feeder = find_feeder (pad);
  gboolean is_done = FALSE;

  while (feeder && !is_done) {
    g_autoptr (GstElement) element = gst_pad_get_parent_element (feeder);
    g_autoptr (GstPad) sink = NULL;

    gst_clear_object (&feeder);
    if (!element)
      break;
    is_done = is_turning (element);
    GST_OBJECT_LOCK (element);
    if (element->numsinkpads == 1)
      sink = gst_object_ref (element->sinkpads->data);
    GST_OBJECT_UNLOCK (element);
    if (sink && !is_done)
      feeder = find_feeder (sink);
  }
  gst_clear_object (&feeder);
  return is_done;
}
