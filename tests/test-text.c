/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The text pad of videoclassify among other elements: muxers with ordinary queues, files that
 * were not finished, streams that follow each other, sinks that refuse. */

#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <string.h>

#include "tests/pictures.h"
#include "tests/two-colors.h"

static char *dir, *model_path;

static gboolean
have (const char *const *elements)
{
  for (; *elements; elements++) {
    GstElementFactory *factory = gst_element_factory_find (*elements);

    if (!factory) {
      g_test_skip (*elements);
      return FALSE;
    }
    gst_object_unref (factory);
  }
  return TRUE;
}

static GstElement *
launch (const char *line)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error);

  g_assert_no_error (error);
  return pipeline;
}

static void
run_to_end (GstElement *pipeline)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    g_autoptr (GError) error = NULL;

    gst_message_parse_error (message, &error, NULL);
    g_error ("%s", error->message);
  }
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}

/* red frames: a camera that sees the same all the time */
static void
push_frames (GstElement *pipeline, guint first, guint n)
{
  GstElement *src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  GstFlowReturn flow;

  for (guint i = first; i < first + n; i++) {
    GstBuffer *buffer = frame_of (RED, RED, i * FRAME);

    g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
    g_assert_cmpint (flow, ==, GST_FLOW_OK);
    gst_buffer_unref (buffer);
  }
  gst_object_unref (src);
}

static char *
labelled_line (const char *properties, const char *rest)
{
  return g_strdup_printf ("appsrc name=src format=time block=true max-buffers=20 caps=\"" CAPS "\" "
                          "! videoclassify name=c device=cpu threads=1 model=\"%s\" %s ! jpegenc "
                          "! %s",
      model_path, properties, rest);
}

static gpointer
feed (gpointer pipeline)
{
  GstElement *src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  GstFlowReturn flow;

  push_frames (pipeline, 0, 100);
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  gst_object_unref (src);
  return NULL;
}

typedef struct {
  guint n;
  GstClockTime end, longest;
  gboolean is_whole; /* each begins where the one before ends */
} Subtitles;

static void
take_subtitle (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user_data)
{
  Subtitles *subtitles = user_data;
  g_autofree char *text = NULL;
  gpointer data;
  gsize size;

  gst_buffer_extract_dup (buffer, 0, gst_buffer_get_size (buffer), &data, &size);
  text = g_strndup (data, size);
  g_free (data);
  if (size < 3) /* mp4: nothing is shown */
    return;
  g_assert_true (g_str_has_prefix (text, "red "));
  if (GST_CLOCK_DIFF (subtitles->end, GST_BUFFER_PTS (buffer)) > GST_MSECOND
      || GST_CLOCK_DIFF (GST_BUFFER_PTS (buffer), subtitles->end) > GST_MSECOND)
    subtitles->is_whole = FALSE;
  subtitles->end = GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer);
  subtitles->longest = MAX (subtitles->longest, GST_BUFFER_DURATION (buffer));
  subtitles->n++;
}

/* what a file holds; it may end in the middle */
static void
read_subtitles (const char *path, const char *demuxer, Subtitles *subtitles)
{
  g_autofree char *line = g_strdup_printf ("filesrc location=\"%s\" ! %s name=d d.subtitle_0 ! "
                                           "queue ! fakesink name=text sync=false "
                                           "signal-handoffs=true",
      path, demuxer);
  GstElement *pipeline = launch (line);
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "text");
  GstBus *bus = gst_element_get_bus (pipeline);

  *subtitles = (Subtitles){ .is_whole = TRUE };
  g_signal_connect (sink, "handoff", G_CALLBACK (take_subtitle), subtitles);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_message_unref (gst_bus_timed_pop_filtered (
      bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
}

/* The documented pipeline with the queues as they come, and a label that never changes: it
 * plays to its end and the subtitles leave nothing out. */
static void
test_muxers (void)
{
  static const struct {
    const char *elements[4], *properties, *rest, *demuxer;
  } rows[] = {
    { { "jpegenc", "matroskamux", "matroskademux" }, "",
        "queue ! m. c.text ! queue ! m. matroskamux name=m ! filesink location=\"%s\"",
        "matroskademux" },
    { { "jpegenc", "matroskamux", "matroskademux" }, "mode=async",
        "queue ! m. c.text ! queue ! m. matroskamux name=m ! filesink location=\"%s\"",
        "matroskademux" },
    { { "jpegenc", "qtmux", "qtdemux" }, "",
        "queue ! m. c.text ! queue ! m. qtmux name=m ! filesink location=\"%s\"", "qtdemux" },
    { { "jpegenc", "splitmuxsink", "matroskademux" }, "",
        "queue ! m.video c.text ! queue ! m.subtitle_0 splitmuxsink name=m muxer=matroskamux "
        "location=\"%s\"",
        "matroskademux" },
    /* longer than the queues hold: found out, and kept to */
    { { "jpegenc", "matroskamux", "matroskademux" }, "text-max-duration=3000000000",
        "queue ! m. c.text ! queue ! m. matroskamux name=m ! filesink location=\"%s\"",
        "matroskademux" },
    /* none at all */
    { { "jpegenc", "matroskamux", "matroskademux" }, "",
        "m. c.text ! m. matroskamux name=m ! filesink location=\"%s\"", "matroskademux" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *name = g_strdup_printf ("muxed%u", i);
    g_autofree char *path = g_build_filename (dir, name, NULL), *rest = NULL, *line = NULL;
    GstElement *pipeline;
    Subtitles subtitles;
    GThread *thread;

    if (!have (rows[i].elements))
      continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    rest = g_strdup_printf (rows[i].rest, path);
#pragma GCC diagnostic pop
    line = labelled_line (rows[i].properties, rest);
    pipeline = launch (line);
    thread = g_thread_new ("feed", feed, gst_object_ref (pipeline));
    run_to_end (pipeline);
    g_thread_join (thread);
    gst_object_unref (pipeline);
    read_subtitles (path, rows[i].demuxer, &subtitles);
    g_test_message ("%u: %u subtitles up to %" GST_TIME_FORMAT, i, subtitles.n,
        GST_TIME_ARGS (subtitles.end));
    if (i != 1) { /* the first frames have no result yet */
      g_assert_true (subtitles.is_whole);
      g_assert_cmpuint (subtitles.end + FRAME, >=, 100 * FRAME);
    }
    g_assert_cmpuint (subtitles.n, >=, 2);
  }
}

/* Where nothing waits for the text cues are long; they have a bound all the same. */
static void
test_longest_cue (void)
{
  g_autofree char *line = g_strdup_printf (
      "appsrc name=src format=time caps=\"" CAPS "\" ! videoclassify name=c device=cpu threads=1 "
      "model=\"%s\" inference-interval=1000 ! fakesink c.text ! queue ! text/x-raw ! fakesink "
      "name=text async=false signal-handoffs=true",
      model_path);
  GstElement *pipeline = launch (line);
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "text");
  GstElement *src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  Subtitles subtitles = { .is_whole = TRUE };
  GstFlowReturn flow;

  g_signal_connect (sink, "handoff", G_CALLBACK (take_subtitle), &subtitles);
  push_frames (pipeline, 0, 625);
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  gst_object_unref (src);
  run_to_end (gst_object_ref (pipeline));
  g_assert_cmpuint (subtitles.n, >=, 3);
  g_assert_cmpuint (subtitles.longest, <=, 10 * GST_SECOND + FRAME);
  g_assert_cmpuint (subtitles.end, ==, 625 * FRAME);
  g_assert_true (subtitles.is_whole);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
}

static GstPadProbeReturn
count_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer n)
{
  g_atomic_int_inc ((gint *)n);
  return GST_PAD_PROBE_OK;
}

/* A recording that nobody ends: what there is of the file can be read, and what waits in the
 * queues is a small part. */
static void
test_unfinished_recording (void)
{
  static const char *const elements[] = { "jpegenc", "matroskamux", "matroskademux", NULL };
  g_autofree char *path = g_build_filename (dir, "unfinished.mkv", NULL);
  g_autofree char *rest
      = g_strdup_printf ("queue name=q max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! m. "
                         "c.text ! queue ! m. matroskamux name=m min-cluster-duration=1000000000 "
                         "! filesink buffer-mode=unbuffered location=\"%s\"",
          path);
  g_autofree char *line = labelled_line ("", rest), *data = NULL;
  g_autofree char *copy = g_build_filename (dir, "killed.mkv", NULL);
  GstElement *pipeline, *queue, *mux;
  Subtitles subtitles;
  gint n_video = 0;
  GstPad *pad;
  guint level;
  gsize size;

  if (!have (elements))
    return;
  pipeline = launch (line);
  mux = gst_bin_get_by_name (GST_BIN (pipeline), "m");
  queue = gst_bin_get_by_name (GST_BIN (pipeline), "q");
  pad = gst_element_get_static_pad (queue, "src");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, count_buffer, &n_video, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  push_frames (pipeline, 0, 500);
  while (g_atomic_int_get (&n_video) < 480) /* 20 s without the last piece of a cue */
    g_usleep (1000);
  g_object_get (queue, "current-level-buffers", &level, NULL);
  g_assert_cmpuint (level, <=, 20);
  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  g_assert_true (g_file_set_contents (copy, data, (gssize)size, NULL));
  read_subtitles (copy, "matroskademux", &subtitles);
  g_assert_cmpuint (subtitles.n, >=, 50);
  g_assert_true (subtitles.is_whole);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pad);
  gst_object_unref (queue);
  gst_object_unref (mux);
  gst_object_unref (pipeline);
}

/* --- streams, sinks --------------------------------------------------------------------- */

static GstHarness *
harness_new (const char *cues, GstHarness **text, const char *caps)
{
  GstElement *element = gst_element_factory_make ("videoclassify", "c");
  GstHarness *h;

  g_object_set (element, "model", model_path, "device", "cpu", "threads", 1, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "text-cues", cues);
  h = gst_harness_new_with_element (element, "sink", "src");
  if (text) {
    *text = gst_harness_new_with_element (element, NULL, "text");
    gst_harness_set_sink_caps_str (*text, caps);
  }
  gst_harness_set_src_caps_str (h, CAPS);
  gst_object_unref (element);
  return h;
}

static void
push (GstHarness *h, guint n)
{
  gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)));
}

/* The stream ends and another one begins, as with gapless playback: the text goes on with it. */
static void
test_next_stream (void)
{
  GstHarness *text, *h = harness_new ("frames", &text, "text/x-raw");
  guint n_streams = 0;
  GstEvent *event;

  for (guint round = 0; round < 3; round++) {
    GstEvent *stream = gst_event_new_stream_start (round == 1 ? "second" : "other");
    g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);
    GstSegment segment;

    gst_event_set_group_id (stream, 40 + round);
    gst_event_set_stream_flags (stream, GST_STREAM_FLAG_SELECT);
    gst_harness_push_event (h, stream);
    gst_harness_push_event (h, gst_event_new_caps (caps));
    gst_segment_init (&segment, GST_FORMAT_TIME);
    gst_harness_push_event (h, gst_event_new_segment (&segment));
    for (guint n = 0; n < 4; n++) {
      push (h, n);
      gst_buffer_unref (gst_harness_pull (text));
    }
    if (round < 2)
      gst_harness_push_event (h, gst_event_new_eos ());
  }
  while ((event = gst_harness_try_pull_event (text))) {
    GstStreamFlags flags;
    const char *id;
    guint group;

    if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START) {
      gst_event_parse_stream_flags (event, &flags);
      gst_event_parse_stream_start (event, &id);
      if (gst_event_parse_group_id (event, &group) && group >= 40 && group < 43) {
        g_assert_cmpuint (group, ==, 40 + n_streams);
        n_streams++;
        g_assert_cmpint (flags, ==, GST_STREAM_FLAG_SELECT | GST_STREAM_FLAG_SPARSE);
        g_assert_nonnull (strstr (id, group == 41 ? "second" : "other"));
      }
    }
    gst_event_unref (event);
  }
  g_assert_cmpuint (n_streams, ==, 3);
  gst_harness_teardown (text);
  gst_harness_teardown (h);
}

/* A pad that is asked for in the middle of a stream has its segment. */
static void
test_late_pad (void)
{
  GstHarness *text, *h = harness_new ("frames", NULL, NULL);
  const GstSegment *got;
  GstSegment segment;
  GstEvent *event;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = segment.position = 60 * GST_SECOND;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push (h, 1500);
  text = gst_harness_new_with_element (h->element, NULL, "text");
  gst_harness_set_sink_caps_str (text, "text/x-raw");
  push (h, 1501);
  gst_buffer_unref (gst_harness_pull (text));
  event = gst_pad_get_sticky_event (text->sinkpad, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (event, &got);
  g_assert_cmpuint (
      gst_segment_to_running_time (got, GST_FORMAT_TIME, 1501 * FRAME), ==, FRAME);
  gst_event_unref (event);
  gst_harness_teardown (text);
  gst_harness_teardown (h);
}

/* A pad that is linked while the stream runs is asked again what it takes. */
static void
test_relink (void)
{
  GstHarness *text, *h = harness_new ("frames", NULL, NULL);
  GstElement *element = gst_harness_find_element (h, "videoclassify");
  GstPad *pad = gst_element_request_pad_simple (element, "text");
  GstBuffer *buffer;
  GstMapInfo map;

  for (guint n = 0; n < 3; n++) /* to nobody: text */
    push (h, n);
  gst_object_unref (pad);
  text = gst_harness_new_with_element (element, NULL, "text");
  gst_harness_set_sink_caps_str (text, "application/x-json");
  push (h, 3);
  buffer = gst_harness_pull (text);
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  g_assert_cmpint (map.data[0], ==, '{');
  gst_buffer_unmap (buffer, &map);
  gst_buffer_unref (buffer);
  gst_harness_teardown (text);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

typedef struct {
  GstFlowReturn flow;
  gint n;
} Refusal;

static GstFlowReturn
refuse (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  Refusal *refusal = pad->chaindata;

  gst_buffer_unref (buffer);
  g_atomic_int_inc (&refusal->n);
  return refusal->flow;
}

/* Who refuses the text is told of once; the video goes on. */
static void
test_refused (void)
{
  static const GstFlowReturn flows[]
      = { GST_FLOW_NOT_NEGOTIATED, GST_FLOW_ERROR, GST_FLOW_EOS, GST_FLOW_FLUSHING };

  for (guint i = 0; i < G_N_ELEMENTS (flows); i++) {
    GstHarness *h = harness_new ("frames", NULL, NULL);
    GstElement *element = gst_object_ref (h->element);
    GstPad *src = gst_element_request_pad_simple (element, "text");
    GstPad *sink = gst_object_ref_sink (gst_pad_new ("sink", GST_PAD_SINK));
    const gboolean is_told = i < 2, is_repeated = i == 3;
    Refusal refusal = { flows[i], 0 };
    GstBus *bus = gst_bus_new ();
    GstMessage *message;
    guint n = 0;

    gst_element_set_bus (element, bus);
    gst_pad_set_chain_function_full (sink, refuse, &refusal, NULL);
    gst_pad_set_active (sink, TRUE);
    g_assert_cmpint (gst_pad_link (src, sink), ==, GST_PAD_LINK_OK);
    while (g_atomic_int_get (&refusal.n) < (is_repeated ? 3 : 1))
      push (h, n++);
    for (guint m = 0; m < 20; m++)
      push (h, n++);
    if (is_told) {
      g_autoptr (GError) error = NULL;

      message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_WARNING);
      gst_message_parse_warning (message, &error, NULL);
      g_assert_nonnull (strstr (error->message, "text"));
      gst_message_unref (message);
    }
    gst_element_release_request_pad (element, src);
    if (!is_repeated)
      g_assert_cmpint (refusal.n, ==, 1);
    while ((message = gst_bus_pop (bus))) {
      g_assert_cmpint (GST_MESSAGE_TYPE (message), !=, GST_MESSAGE_WARNING);
      gst_message_unref (message);
    }
    gst_element_set_bus (element, NULL);
    gst_object_unref (bus);
    gst_object_unref (src);
    gst_object_unref (sink);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }
}

static guint
count_upstream (GstHarness *h, GstEventType type)
{
  guint n = 0;
  GstEvent *event;

  while ((event = gst_harness_try_pull_upstream_event (h))) {
    n += GST_EVENT_TYPE (event) == type;
    gst_event_unref (event);
  }
  return n;
}

/* What a sink behind the text says of its own data does not reach the video's source, a seek of
 * the pipeline reaches it once, and the latency is that of the video. */
static void
test_upstream_events (void)
{
  GstHarness *text, *h = harness_new ("frames", &text, "text/x-raw");
  GstElement *element = h->element;
  GstClockTime min, max;
  GstEvent *seek;
  GstQuery *query;
  gboolean live;

  push (h, 0);
  gst_buffer_unref (gst_harness_pull (text));
  count_upstream (h, GST_EVENT_QOS);
  gst_harness_push_upstream_event (
      text, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2, GST_SECOND, FRAME));
  gst_harness_push_upstream_event (text, gst_event_new_reconfigure ());
  g_assert_cmpuint (gst_harness_upstream_events_in_queue (h), ==, 0);
  for (guint order = 0; order < 2; order++) {
    seek = gst_event_new_seek (1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
        GST_SEEK_TYPE_NONE, 0);
    gst_harness_push_upstream_event (order ? text : h, gst_event_ref (seek));
    gst_harness_push_upstream_event (order ? h : text, seek);
    g_assert_cmpuint (count_upstream (h, GST_EVENT_SEEK), ==, 1);
  }
  gst_harness_set_upstream_latency (h, 70 * GST_MSECOND);
  query = gst_query_new_latency ();
  {
    GstPad *pad = gst_element_get_static_pad (element, "text");

    g_assert_true (gst_pad_query (pad, query));
    gst_object_unref (pad);
  }
  gst_query_parse_latency (query, &live, &min, &max);
  g_assert_true (live);
  g_assert_cmpuint (min, ==, 70 * GST_MSECOND);
  gst_query_unref (query);
  gst_harness_teardown (text);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = make_dir ();
  model_path = g_build_filename (dir, "color.h5", NULL);
  write_color_model (model_path, labels);
  g_test_add_func ("/text/muxers", test_muxers);
  g_test_add_func ("/text/longest-cue", test_longest_cue);
  g_test_add_func ("/text/unfinished-recording", test_unfinished_recording);
  g_test_add_func ("/text/next-stream", test_next_stream);
  g_test_add_func ("/text/late-pad", test_late_pad);
  g_test_add_func ("/text/relink", test_relink);
  g_test_add_func ("/text/refused", test_refused);
  g_test_add_func ("/text/upstream-events", test_upstream_events);
  status = g_test_run ();
  remove_dir (dir);
  g_free (model_path);
  g_free (dir);
  return status;
}
