/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The element under load, one JSON object a line: a live 1080p source of 60 frames a
 * second with a network that takes some 50 ms a frame, in async mode (with 16 views of each
 * frame, too) and in sync mode before a sink that tells of lateness; 16 live streams that
 * share one engine; an hour of stream time in async mode, as fast as it goes.
 *
 *   bench-load MODEL.h5 [SECONDS]                    of each part, 20
 *   bench-load MODEL.h5 SECONDS STREAMS DEVICE      only: so many streams of 1280x720 pixels at
 *                                                   30 frames a second, each classified before
 *                                                   it is shown; ends with 1 where one was late */

#include <glib/gstdio.h>
#include <gst/gst.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nn/keras-file.h"

#define N_STREAMS 16
#define MAX_STREAMS 256

static const char *model;
static guint seconds = 20;

static double
resident_mib (void)
{
  FILE *file = fopen ("/proc/self/statm", "r");
  unsigned long pages = 0;

  if (!file || fscanf (file, "%*u %lu", &pages) != 1)
    pages = 0;
  if (file)
    fclose (file);
  return (double) pages * (double) sysconf (_SC_PAGESIZE) / (1 << 20);
}

static GstElement *
launch (const char *format, ...) G_GNUC_PRINTF (1, 2);

static GstElement *
launch (const char *format, ...)
{
  g_autofree char *line = NULL;
  g_autoptr (GError) error = NULL;
  GstElement *pipeline;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  pipeline = gst_parse_launch (line, &error);
  if (!pipeline)
    g_error ("%s: %s", line, error->message);
  return pipeline;
}

/* plays for @time; ends the program where something fails */
static void
play (GstElement *pipeline, GstClockTime time)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message = gst_bus_timed_pop_filtered (bus, time, GST_MESSAGE_ERROR);

  if (message) {
    g_autoptr (GError) error = NULL;

    gst_message_parse_error (message, &error, NULL);
    g_error ("%s", error->message);
  }
  gst_object_unref (bus);
}

static guint64
stat_of (GstElement *element, const char *name)
{
  GstStructure *stats;
  guint64 value = 0;

  g_object_get (element, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, name, &value);
  gst_structure_free (stats);
  return value;
}

/* Convolutions that take some 50 ms on a core of 2020; never trained. */
static char *
write_slow_model (void)
{
  static const guint filters[] = { 48, 96, 160, 192, 192 };
  g_autoptr (GString) json = g_string_new (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"slow\", \"layers\": [");
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) net = NULL;
  char *path = g_build_filename (g_get_tmp_dir (), "classify-bench-XXXXXX.h5", NULL);
  int fd = g_mkstemp (path);

  for (guint i = 0; i < G_N_ELEMENTS (filters); i++) {
    g_string_append_printf (json,
        "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c%u\", \"filters\": %u, "
        "\"kernel_size\": [3, 3], \"padding\": \"same\", \"activation\": \"relu\"%s}}, ",
        i, filters[i], i ? "" : ", \"batch_input_shape\": [null, 224, 224, 3]");
    if (i % 2)
      g_string_append_printf (json,
          "{\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"m%u\"}}, ", i);
  }
  g_string_append (json,
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 2, "
      "\"activation\": \"softmax\"}}]}}");
  close (fd);
  net = nn_model_new_from_json (json->str, -1, NULL, &error);
  if (!net || !nn_model_init_params (net, 1, &error)
      || !nn_model_save (net, path, NULL, NULL, &error))
    g_error ("%s", error->message);
  return path;
}

/* --- how long frames stay in the element ------------------------------------------------- */

typedef struct
{
  GMutex lock;
  GHashTable *entered; /* PTS: when it came in */
  GArray *delays;      /* microseconds */
} Delays;

static GstPadProbeReturn
note (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Delays *delays = user_data;
  gint64 now = g_get_monotonic_time (), *key, *start;
  gint64 pts = (gint64) GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));

  g_mutex_lock (&delays->lock);
  if (GST_PAD_IS_SINK (pad)) {
    key = g_new (gint64, 2);
    key[0] = pts;
    key[1] = now;
    g_hash_table_replace (delays->entered, key, key);
  } else if ((start = g_hash_table_lookup (delays->entered, &pts))) {
    double delay = (double) (now - start[1]);

    g_array_append_val (delays->delays, delay);
    g_hash_table_remove (delays->entered, &pts);
  }
  g_mutex_unlock (&delays->lock);
  return GST_PAD_PROBE_OK;
}

static void
watch (GstElement *element, Delays *delays)
{
  g_mutex_init (&delays->lock);
  delays->entered = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  delays->delays = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint i = 0; i < 2; i++) {
    GstPad *pad = gst_element_get_static_pad (element, i ? "src" : "sink");

    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, note, delays, NULL);
    gst_object_unref (pad);
  }
}

static int
compare (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static double
percentile (const Delays *delays, double percent)
{
  const guint n = delays->delays->len;

  return n ? g_array_index (delays->delays, double, (guint) (percent / 100 * (n - 1))) : NAN;
}

static void
run_slow (const char *mode, const char *network, const char *element, const char *sink)
{
  GstElement *pipeline = launch (
      "videotestsrc is-live=true pattern=black ! "
      "video/x-raw,format=NV12,width=1920,height=1080,framerate=60/1 ! "
      "%s name=c %s%s ! fakesink name=s %s",
      element, *mode ? "device=cpu threads=1 post-messages=none mode=" : "", mode, sink);
  GstElement *c = gst_bin_get_by_name (GST_BIN (pipeline), "c");
  GstElement *s = gst_bin_get_by_name (GST_BIN (pipeline), "s");
  Delays delays;
  double before;
  GstStructure *stats = NULL;
  guint64 rendered = 0, dropped = 0;

  if (*mode)
    g_object_set (c, "model", network, NULL);
  watch (c, &delays);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  play (pipeline, seconds * GST_SECOND / 4);
  before = resident_mib ();
  play (pipeline, seconds * GST_SECOND * 3 / 4);
  g_mutex_lock (&delays.lock);
  g_array_sort (delays.delays, compare);
  g_object_get (s, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "rendered", &rendered);
  gst_structure_get_uint64 (stats, "dropped", &dropped);
  gst_structure_free (stats);
  printf ("{\"part\": \"%s%s%s\", \"source_frames_a_second\": 60, \"seconds\": %u, "
          "\"frames_through\": %u, \"rendered\": %" G_GUINT64_FORMAT
          ", \"dropped_by_sink\": %" G_GUINT64_FORMAT ", \"delay_us_p50\": %.0f, "
          "\"delay_us_p99\": %.0f, \"delay_us_max\": %.0f, \"mib_at_a_quarter\": %.1f, "
          "\"mib_at_the_end\": %.1f",
      element, *mode ? " mode=" : "", mode, seconds, delays.delays->len, rendered, dropped,
      percentile (&delays, 50), percentile (&delays, 99), percentile (&delays, 100), before,
      resident_mib ());
  g_mutex_unlock (&delays.lock);
  if (*mode)
    printf (", \"classified\": %" G_GUINT64_FORMAT ", \"skipped_late\": %" G_GUINT64_FORMAT
            ", \"inference_ms_p50\": %.1f",
        stat_of (c, "classified"), stat_of (c, "skipped-late"),
        (double) stat_of (c, "inference-time-p50") / 1e6);
  printf ("}\n");
  fflush (stdout);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_hash_table_unref (delays.entered);
  g_array_unref (delays.delays);
  g_mutex_clear (&delays.lock);
  gst_object_unref (c);
  gst_object_unref (s);
  gst_object_unref (pipeline);
}

/* --- many streams ------------------------------------------------------------------------ */

typedef struct {
  guint n, width, height;
  const char *element; /* properties of videoclassify */
  const char *sink;
} Streams;

/* Returns whether none was late, and next to all were classified. */
static gboolean
run_streams (const Streams *streams)
{
  GString *line = g_string_new (NULL);
  guint64 least = G_MAXUINT64, most = 0, total = 0, late = 0;
  GstElement *pipeline, *elements[MAX_STREAMS], *sinks[MAX_STREAMS];

  for (guint i = 0; i < streams->n; i++)
    g_string_append_printf (line,
        "videotestsrc is-live=true pattern=black ! "
        "video/x-raw,format=NV12,width=%u,height=%u,framerate=30/1 ! queue ! "
        "videoclassify name=c%u post-messages=none %s ! fakesink name=s%u %s ",
        streams->width, streams->height, i, streams->element, i, streams->sink);
  pipeline = launch ("%s", line->str);
  g_string_free (line, TRUE);
  for (guint i = 0; i < streams->n; i++) {
    g_autofree char *name = g_strdup_printf ("c%u", i);
    g_autofree char *sink = g_strdup_printf ("s%u", i);

    elements[i] = gst_bin_get_by_name (GST_BIN (pipeline), name);
    sinks[i] = gst_bin_get_by_name (GST_BIN (pipeline), sink);
    g_object_set (elements[i], "model", model, NULL);
  }
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  play (pipeline, seconds * GST_SECOND);
  for (guint i = 0; i < streams->n; i++) {
    const guint64 classified = stat_of (elements[i], "classified");

    least = MIN (least, classified);
    most = MAX (most, classified);
    total += classified;
    late += stat_of (elements[i], "skipped-late") + stat_of (sinks[i], "dropped");
  }
  printf ("{\"part\": \"%u streams of %ux%u\", \"element\": \"%s\", \"seconds\": %u, "
          "\"classified_a_second\": %.1f, \"least_of_a_stream\": %" G_GUINT64_FORMAT
          ", \"most_of_a_stream\": %" G_GUINT64_FORMAT
          ", \"least_by_most\": %.3f, \"late\": %" G_GUINT64_FORMAT ", \"mib\": %.1f}\n",
      streams->n, streams->width, streams->height, streams->element, seconds,
      (double) total / seconds, least, most, (double) least / (double) MAX (most, 1), late,
      resident_mib ());
  fflush (stdout);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  for (guint i = 0; i < streams->n; i++) {
    gst_object_unref (elements[i]);
    gst_object_unref (sinks[i]);
  }
  gst_object_unref (pipeline);
  return late == 0 && least >= seconds * 27;
}

/* Whether memory grows: after a tenth of an hour's frames, and after all. */
static void
run_hour (void)
{
  GstElement *pipeline
      = launch ("videotestsrc pattern=black num-buffers=216000 ! "
                "video/x-raw,format=I420,width=320,height=240,framerate=60/1 ! "
                "videoclassify name=c device=cpu threads=1 mode=async smoothing=exponential "
                "explain=cam ! fakesink");
  GstElement *c = gst_bin_get_by_name (GST_BIN (pipeline), "c");
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message = NULL;
  double tenth = 0;

  g_object_set (c, "model", model, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!message) {
    message = gst_bus_timed_pop_filtered (
        bus, 50 * GST_MSECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    if (tenth == 0 && stat_of (c, "frames") > 21600)
      tenth = resident_mib ();
  }
  printf ("{\"part\": \"an hour at 60 frames a second\", \"frames\": %" G_GUINT64_FORMAT
          ", \"classified\": %" G_GUINT64_FORMAT ", \"mib_at_a_tenth\": %.1f, "
          "\"mib_at_the_end\": %.1f}\n",
      stat_of (c, "frames"), stat_of (c, "classified"), tenth, resident_mib ());
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (c);
  gst_object_unref (pipeline);
}

int
main (int argc, char **argv)
{
  g_autofree char *slow = NULL;

  gst_init (&argc, &argv);
  model = argc > 1 ? argv[1] : MODEL;
  if (argc > 2)
    seconds = (guint) MAX (atoi (argv[2]), 1);
  if (argc > 4) {
    g_autofree char *element
        = g_strdup_printf ("device=%s batch-size=64 batch-timeout=2000000", argv[4]);

    return !run_streams (&(Streams) { (guint) CLAMP (atoi (argv[3]), 1, MAX_STREAMS), 1280, 720,
        element, "sync=true qos=true max-lateness=20000000" });
  }
  slow = write_slow_model ();
  run_slow ("", slow, "identity", "sync=false");
  run_slow ("async", slow, "videoclassify", "sync=false");
  run_slow ("async tta=scales:1,0.9,0.8,0.7,0.6,0.5,1.1,1.2+flip", slow, "videoclassify",
      "sync=false"); /* 16 views */
  run_slow ("sync", slow, "videoclassify", "sync=true qos=true");
  unlink (slow);
  for (guint n = 1; n <= N_STREAMS; n += N_STREAMS - 1)
    run_streams (&(Streams) { n, 640, 360, "device=cpu threads=2 batch-size=16 mode=async",
        "" });
  run_hour ();
  return 0;
}
