/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* How to embed videoclassify in a program: plays a file or URI, prints each
 * change of the label with its time in the video, and, if a third argument is
 * given, writes the video with its labels drawn on it by classifyoverlay.
 *
 *   embed MODEL INPUT [OUTPUT.mp4]
 *
 * Results are taken twice, to show both ways: from the bus (in the main loop,
 * each change, for printing) and from the signal (in the streaming thread, of
 * each frame before it leaves the element, for counting). */

#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct
{
  GMainLoop *loop;
  GstElement *pipeline;
  int n_frames, n_unsure; /* atomic */
  int status;
} Program;

/* streaming thread: the frame has not left the classifier yet */
static void
on_classified (GstElement *classifier, const GstStructure *result, gpointer user_data)
{
  Program *program = user_data;
  double probability = 0;

  gst_structure_get_double (result, "probability", &probability);
  g_atomic_int_inc (&program->n_frames);
  if (probability < 0.5)
    g_atomic_int_inc (&program->n_unsure);
}

static void
print_result (const GstStructure *result)
{
  GstClockTime time = GST_CLOCK_TIME_NONE;
  double probability = 0;

  gst_structure_get_uint64 (result, "stream-time", &time);
  gst_structure_get_double (result, "probability", &probability);
  printf ("%02u:%02u:%06.3f  %-12s %.3f\n", (guint) (time / GST_SECOND / 3600),
      (guint) (time / GST_SECOND / 60 % 60), (double) (time % (60 * GST_SECOND)) / GST_SECOND,
      gst_structure_get_string (result, "label"), probability);
  fflush (stdout);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer user_data)
{
  Program *program = user_data;
  g_autoptr (GError) error = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_ELEMENT:
      if (gst_message_has_name (message, "videoclassify"))
        print_result (gst_message_get_structure (message));
      break;
    case GST_MESSAGE_ERROR:
      gst_message_parse_error (message, &error, NULL);
      fprintf (stderr, "%s: %s\n", GST_OBJECT_NAME (GST_MESSAGE_SRC (message)), error->message);
      program->status = EXIT_FAILURE;
      g_main_loop_quit (program->loop);
      break;
    case GST_MESSAGE_EOS:
      g_main_loop_quit (program->loop);
      break;
    default:
      break;
  }
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  static const char *const reading = "uridecodebin name=source ! videoclassify name=classifier ! ";
  static const char *const printing = "fakesink sync=false";
  static const char *const writing
      = "classifyoverlay ! videoconvert ! x264enc speed-preset=veryfast ! mp4mux ! "
        "filesink name=output sync=false";
  Program program = { 0 };
  g_autofree char *uri = NULL, *description = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) source = NULL, classifier = NULL;
  g_autoptr (GstBus) bus = NULL;

  gst_init (&argc, &argv);
  if (argc < 3 || argc > 4) {
    fprintf (stderr, "usage: %s MODEL INPUT [OUTPUT.mp4]\n", argv[0]);
    return EXIT_FAILURE;
  }
  uri = gst_uri_is_valid (argv[2]) ? g_strdup (argv[2]) : gst_filename_to_uri (argv[2], &error);
  description = g_strconcat (reading, argc == 4 ? writing : printing, NULL);
  if (uri)
    program.pipeline = gst_parse_launch (description, &error);
  if (!program.pipeline || error) {
    fprintf (stderr, "%s\n", error->message);
    return EXIT_FAILURE;
  }
  source = gst_bin_get_by_name (GST_BIN (program.pipeline), "source");
  classifier = gst_bin_get_by_name (GST_BIN (program.pipeline), "classifier");
  g_object_set (source, "uri", uri, NULL);
  g_object_set (classifier, "model", argv[1], NULL);
  if (argc == 4) {
    g_autoptr (GstElement) output = gst_bin_get_by_name (GST_BIN (program.pipeline), "output");

    g_object_set (output, "location", argv[3], NULL);
  }
  g_signal_connect (classifier, "classified", G_CALLBACK (on_classified), &program);

  program.loop = g_main_loop_new (NULL, FALSE);
  bus = gst_element_get_bus (program.pipeline);
  gst_bus_add_watch (bus, on_message, &program);
  gst_element_set_state (program.pipeline, GST_STATE_PLAYING);
  g_main_loop_run (program.loop);

  gst_element_set_state (program.pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  g_main_loop_unref (program.loop);
  printf ("%d frames, %d of them less sure than 0.5\n", program.n_frames, program.n_unsure);
  gst_object_unref (program.pipeline);
  return program.status;
}
