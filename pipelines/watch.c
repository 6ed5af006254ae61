/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plays a film or a stream and tells what is seen in it whenever that changes:
 *
 *   watch MODEL.h5 FILE|URI
 *
 * An application of its own needs only the header and
 *
 *   cc watch.c $(pkg-config --cflags --libs gstreamer-classify-1.0) -o watch */

#include <glib-unix.h>
#include <gst/classify/classify.h>
#include <gst/gst.h>

typedef struct
{
  GMainLoop *loop;
  int status;
} Watch;

static gboolean
on_signal (gpointer user_data)
{
  g_main_loop_quit (((Watch *) user_data)->loop);
  return G_SOURCE_REMOVE;
}

static void
print_result (const GstClassifyResult *result)
{
  const GstClockTime time = gst_classify_result_get_stream_time (result);

  g_print ("%" GST_TIME_FORMAT "  %-12s %.3f", GST_TIME_ARGS (time),
      gst_classify_result_get_label (result), gst_classify_result_get_probability (result));
  if (gst_classify_result_get_region_label (result))
    g_print ("  (%s)", gst_classify_result_get_region_label (result));
  g_print ("\n");
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer user_data)
{
  g_autoptr (GstClassifyResult) result = gst_classify_result_from_message (message);
  g_autoptr (GError) error = NULL;
  Watch *watch = user_data;

  if (result) {
    print_result (result);
  } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS) {
    g_main_loop_quit (watch->loop);
  } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("watch: %s\n", error->message);
    watch->status = 1;
    g_main_loop_quit (watch->loop);
  }
  return G_SOURCE_CONTINUE;
}

/* the picture goes through the classifier, sound is left out */
static void
on_pad (GstElement *source, GstPad *pad, gpointer classifier)
{
  GstPad *sink = gst_element_get_static_pad (classifier, "sink");
  GstCaps *caps = gst_pad_query_caps (pad, NULL);

  if (!gst_pad_is_linked (sink)
      && g_str_has_prefix (gst_structure_get_name (gst_caps_get_structure (caps, 0)), "video/"))
    gst_pad_link (pad, sink);
  gst_caps_unref (caps);
  gst_object_unref (sink);
}

int
main (int argc, char **argv)
{
  Watch watch = { NULL, 0 };
  GstElement *pipeline, *source, *classifier, *sink;
  g_autofree char *uri = NULL;
  g_autoptr (GError) error = NULL;
  GstBus *bus;

  gst_init (&argc, &argv);
  if (argc != 3) {
    g_printerr ("usage: watch MODEL.h5 FILE|URI\n");
    return 1;
  }
  uri = gst_uri_is_valid (argv[2]) ? g_strdup (argv[2]) : gst_filename_to_uri (argv[2], &error);
  source = gst_element_factory_make ("uridecodebin", NULL);
  classifier = gst_element_factory_make ("videoclassify", NULL);
  sink = gst_element_factory_make ("fakesink", NULL);
  if (!uri || !source || !classifier || !sink) {
    g_printerr ("watch: %s\n", error ? error->message
                                     : "no videoclassify: is its folder in GST_PLUGIN_PATH?");
    return 1;
  }
  pipeline = gst_pipeline_new (NULL);
  g_object_set (source, "uri", uri, NULL);
  g_object_set (classifier, "model", argv[1], "smoothing-time", (guint64) GST_SECOND / 2, NULL);
  gst_util_set_object_arg (G_OBJECT (classifier), "smoothing", "exponential");
  g_object_set (sink, "sync", TRUE, NULL);
  gst_bin_add_many (GST_BIN (pipeline), source, classifier, sink, NULL);
  gst_element_link (classifier, sink);
  g_signal_connect (source, "pad-added", G_CALLBACK (on_pad), classifier);

  watch.loop = g_main_loop_new (NULL, FALSE);
  bus = gst_element_get_bus (pipeline);
  gst_bus_add_watch (bus, on_message, &watch);
  g_unix_signal_add (SIGINT, on_signal, &watch);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_main_loop_run (watch.loop);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  g_main_loop_unref (watch.loop);
  return watch.status;
}
