/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <gst/gst.h>

#include "gst/gstclassifymeta.h"
#include "gst/gstclassifyoverlay.h"
#include "gst/gstvideoclassify.h"
#include "nn/log.h"

GST_DEBUG_CATEGORY_STATIC (nn_debug_category);

/* what nn/ and its back ends have to say joins GStreamer's log */
static void
log_to_gst (NnLogLevel level, const char *message, gpointer user_data)
{
  static const GstDebugLevel levels[] = { GST_LEVEL_WARNING, GST_LEVEL_INFO, GST_LEVEL_DEBUG };

  GST_CAT_LEVEL_LOG (nn_debug_category, levels[level], NULL, "%s", message);
}

static gboolean
plugin_init (GstPlugin *plugin)
{
  GST_DEBUG_CATEGORY_INIT (
      nn_debug_category, "videoclassify-nn", 0, "networks and back ends of classify");
  nn_log_set_sink (log_to_gst, NULL);
  gst_video_classify_meta_register ();
  if (!GST_ELEMENT_REGISTER (videoclassify, plugin))
    return FALSE;
#ifdef HAVE_CLASSIFY_OVERLAY
  if (!GST_ELEMENT_REGISTER (classifyoverlay, plugin))
    return FALSE;
#endif
  return TRUE;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, classify,
    "Classifies video with networks trained in Keras or by the command classify", plugin_init,
    CLASSIFY_VERSION, "LGPL", "classify",
    GST_PACKAGE_ORIGIN)
