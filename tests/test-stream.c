/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The element over time and beside other streams: modes, regions, rates,
 * smoothing, text, shared engines, models that change. The model tells which of
 * red, green and blue is the strongest, so that every result is known from the
 * colour of a frame. */

#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "nn/keras-file.h"
#include "tests/two-colors.h"

#define META "GstVideoClassifyMeta"

static char *dir, *model_path;

static char *
write_model (const char *name, const char *const *labels)
{
  char *path = g_build_filename (dir, name, NULL);

  write_color_model (path, labels);
  return path;
}

static GstHarness *
harness_new (const char *properties)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu threads=1 model=\"%s\" %s", model_path, properties);
  GstHarness *h = gst_harness_new_parse (line);

  gst_harness_set_src_caps_str (h, CAPS);
  return h;
}

static GstElement *
element_of (GstHarness *h)
{
  return GST_IS_BIN (h->element) ? gst_bin_get_by_name (GST_BIN (h->element), "c")
                                 : gst_object_ref (h->element);
}

static const GstStructure *
result_of (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, META);

  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

static void
expect_label (GstBuffer *buffer, const char *label)
{
  g_assert_nonnull (result_of (buffer));
  g_assert_cmpstr (gst_structure_get_string (result_of (buffer), "label"), ==, label);
  gst_buffer_unref (buffer);
}

static guint64
stat_of (GstElement *element, const char *name)
{
  GstStructure *stats;
  guint64 value = G_MAXUINT64;
  guint small;

  g_object_get (element, "stats", &stats, NULL);
  if (!gst_structure_get_uint64 (stats, name, &value)
      && gst_structure_get_uint (stats, name, &small))
    value = small;
  gst_structure_free (stats);
  return value;
}

static GstBus *
bus_of (GstElement *element)
{
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (element, bus);
  return bus;
}

static guint
count_results (GstBus *bus)
{
  GstMessage *message;
  guint n = 0;

  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT))) {
    n += gst_message_has_name (message, "videoclassify");
    gst_message_unref (message);
  }
  return n;
}

/* --- asynchronous --------------------------------------------------------------------------- */

typedef struct {
  GMutex lock;
  GCond cond;
  gboolean is_shut;
  guint n;
} Gate;

static void
gate_init (Gate *gate)
{
  *gate = (Gate){ .is_shut = TRUE };
  g_mutex_init (&gate->lock);
  g_cond_init (&gate->cond);
}

static void
gate_clear (Gate *gate)
{
  g_mutex_clear (&gate->lock);
  g_cond_clear (&gate->cond);
}

static void
gate_open (Gate *gate)
{
  g_mutex_lock (&gate->lock);
  gate->is_shut = FALSE;
  g_cond_broadcast (&gate->cond);
  g_mutex_unlock (&gate->lock);
}

/* in the engine's thread, which is busy as long as this takes */
static void
on_classified (GstElement *element, const GstStructure *result, Gate *gate)
{
  g_mutex_lock (&gate->lock);
  gate->n++;
  g_cond_broadcast (&gate->cond);
  while (gate->is_shut)
    g_cond_wait (&gate->cond, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

static void
gate_wait (Gate *gate, guint n)
{
  g_mutex_lock (&gate->lock);
  while (gate->n < n)
    g_cond_wait (&gate->cond, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

/* An engine that is stuck holds up no frame; of those that came meanwhile only
 * the newest is classified; what frames carry is the newest result and its age. */
static void
test_async (void)
{
  GstHarness *h = harness_new ("mode=async");
  GstElement *element = element_of (h);
  GstBuffer *out;
  Gate gate;
  guint age;
  guint64 age_time;

  gate_init (&gate);
  g_signal_connect (element, "classified", G_CALLBACK (on_classified), &gate);
  out = gst_harness_push_and_pull (h, frame_of (RED, RED, 0));
  gst_buffer_unref (out);
  gate_wait (&gate, 1);
  for (guint n = 1; n <= 50; n++) {
    const guint32 color = n < 50 ? GREEN : BLUE;

    out = gst_harness_push_and_pull (h, frame_of (color, color, n * FRAME));
    g_assert_cmpstr (gst_structure_get_string (result_of (out), "label"), ==, "red");
    gst_structure_get_uint (result_of (out), "age", &age);
    gst_structure_get_uint64 (result_of (out), "age-time", &age_time);
    g_assert_cmpuint (age, ==, n);
    g_assert_cmpuint (age_time, ==, n * FRAME);
    gst_buffer_unref (out);
  }
  g_assert_cmpuint (stat_of (element, "queue-depth"), ==, 1);
  g_assert_cmpuint (stat_of (element, "dropped-busy"), ==, 49);
  gate_open (&gate);
  gate_wait (&gate, 2);
  out = frame_of (RED, RED, 51 * FRAME);
  GST_BUFFER_FLAG_SET (out, GST_BUFFER_FLAG_GAP); /* not classified itself */
  expect_label (gst_harness_push_and_pull (h, out), "blue");
  gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, 52 * FRAME)));
  /* end of stream: what is on its way comes first */
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpuint (stat_of (element, "classified"), ==, 3);
  g_assert_cmpuint (stat_of (element, "frames"), ==, 53);
  gst_object_unref (element);
  gst_harness_teardown (h);
  gate_clear (&gate);
}

/* What was under way when the stream was flushed is not heard of any more. */
static void
test_async_flush (void)
{
  GstHarness *h = harness_new ("mode=async");
  GstElement *element = element_of (h);
  GstSegment segment;
  GstBuffer *out;
  Gate gate;

  gate_init (&gate);
  g_signal_connect (element, "classified", G_CALLBACK (on_classified), &gate);
  gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, 0)));
  gate_wait (&gate, 1);
  gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (GREEN, GREEN, FRAME)));
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gate_open (&gate);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  out = gst_harness_push_and_pull (h, frame_of (BLUE, BLUE, 0));
  if (result_of (out)) /* its own, if it was quick */
    g_assert_cmpstr (gst_structure_get_string (result_of (out), "label"), ==, "blue");
  gst_buffer_unref (out);
  gate_wait (&gate, 2);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpuint (stat_of (element, "classified"), ==, 2); /* red and blue */
  gst_object_unref (element);
  gst_harness_teardown (h);
  gate_clear (&gate);
}

/* Stopped in the middle of everything, many times. */
static void
test_async_stop (void)
{
  for (guint i = 0; i < 50; i++) {
    GstHarness *h = harness_new (i % 2 ? "mode=async batch-size=4" : "mode=async");

    for (guint n = 0; n < i % 7; n++)
      gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)));
    gst_harness_teardown (h);
  }
}

/* --- what and when ------------------------------------------------------------------------------
 */

static void
test_crop (void)
{
  static const char *const crops[] = { "0,0,16,16", "50%,0%,50%,100%", NULL };
  GstHarness *h = harness_new ("");
  GstElement *element = element_of (h);

  for (guint i = 0; crops[i]; i++) {
    GstBuffer *out;
    int x, width;

    g_object_set (element, "crop", crops[i], NULL);
    out = gst_harness_push_and_pull (h, frame_of (RED, GREEN, i * FRAME));
    g_assert_true (gst_structure_get (
        result_of (out), "x", G_TYPE_INT, &x, "width", G_TYPE_INT, &width, NULL));
    g_assert_cmpint (x, ==, i * 16);
    g_assert_cmpint (width, ==, 16);
    expect_label (out, i ? "green" : "red");
  }
  g_object_set (element, "crop", "1,2,3", NULL); /* the old one stays */
  expect_label (gst_harness_push_and_pull (h, frame_of (RED, GREEN, 5 * FRAME)), "green");
  g_object_set (element, "crop", "100,100,5,5", NULL); /* nothing of the frame: no result */
  {
    GstBuffer *out = gst_harness_push_and_pull (h, frame_of (RED, GREEN, 6 * FRAME));

    g_assert_null (result_of (out));
    gst_buffer_unref (out);
  }
  g_assert_cmpuint (stat_of (element, "skipped-no-region"), ==, 1);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static void
expect_outside (GstBus *bus, const char *text)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
  g_autoptr (GError) error = NULL;

  if (!text) {
    g_assert_null (message);
    return;
  }
  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_true (g_str_has_prefix (error->message, text));
}

/* Said once for each crop and size of frame; what was known is known no more, and comes back. */
static void
test_crop_outside (void)
{
  static const struct {
    const char *crop, *text;
  } steps[] = {
    { "0,0,16,16", NULL },
    { "1000,0,10,10", "crop 1000,0 10x10 lies outside of the 32x16 frame" },
    { "0,16,10,10", "crop 0,16 10x10 lies outside of the 32x16 frame" },
    { "0,0,16,16", NULL },
    { "0,16,10,10", "crop 0,16 10x10 lies outside of the 32x16 frame" },
    { "1.0,0.5,1.0,1.0", "crop 32,8 32x16 lies outside of the 32x16 frame" },
  };

  for (guint async = 0; async < 2; async++) {
    GstHarness *h
        = harness_new (async ? "change-threshold=0.1 mode=async" : "change-threshold=0.1");
    GstElement *element = element_of (h);
    g_autoptr (GstBus) bus = gst_bus_new ();

    gst_element_set_bus (element, bus);
    for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
      g_autofree char *label = NULL;

      g_object_set (element, "crop", steps[i].crop, NULL);
      for (guint n = 0; steps[i].text ? n < 3 : !label; n++) {
        GstBuffer *out = gst_harness_push_and_pull (h, frame_of (RED, GREEN, 0));

        if (steps[i].text)
          g_assert_null (result_of (out));
        gst_buffer_unref (out);
        g_free (label);
        g_object_get (element, "label", &label, NULL);
        g_assert_true (!steps[i].text || !label);
      }
      expect_outside (bus, steps[i].text);
      expect_outside (bus, NULL);
    }
    gst_element_set_bus (element, NULL);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }
}

static GstBuffer *
with_regions (GstBuffer *buffer)
{
  gst_buffer_add_video_region_of_interest_meta (buffer, "cat", 0, 0, 14, 16)->id = 5;
  gst_buffer_add_video_region_of_interest_meta (buffer, "dog", 16, 0, 16, 16)->id = 6;
  gst_buffer_add_video_region_of_interest_meta (buffer, "tree", 0, 0, 2, 2)->id = 7;
  return buffer;
}

static void
expect_regions (GstBuffer *buffer, const char *const labels[2])
{
  gpointer state = NULL;
  GstMeta *meta;
  guint n = 0;

  while (
      (meta = gst_buffer_iterate_meta_filtered (buffer, &state, gst_meta_get_info (META)->api))) {
    const GstStructure *s = gst_custom_meta_get_structure ((GstCustomMeta *)meta);
    const char *label = gst_structure_get_string (s, "label");
    GstVideoRegionOfInterestMeta *roi;
    GstStructure *param;
    int id, x;

    g_assert_true (gst_structure_get (s, "region", G_TYPE_INT, &id, "x", G_TYPE_INT, &x, NULL));
    g_assert_cmpint (id, >=, 5);
    g_assert_cmpint (id, <=, 6);
    g_assert_cmpstr (label, ==, labels[id - 5]);
    g_assert_cmpstr (gst_structure_get_string (s, "region-label"), ==, id == 5 ? "cat" : "dog");
    g_assert_cmpint (x, ==, id == 5 ? 0 : 16);
    roi = gst_buffer_get_video_region_of_interest_meta_id (buffer, id);
    param = gst_video_region_of_interest_meta_get_param (roi, "classification");
    g_assert_nonnull (param);
    g_assert_cmpstr (gst_structure_get_string (param, "label"), ==, label);
    n++;
  }
  g_assert_cmpuint (n, ==, 2);
  gst_buffer_unref (buffer);
}

static void
test_regions (void)
{
  static const char *const labels[] = { "red", "blue" };
  GstHarness *h
      = harness_new ("inference-region=roi-list roi-labels=\"cat, dog\" post-messages=all");
  GstElement *element = element_of (h);
  GstBus *bus = bus_of (element);
  GstBuffer *out;

  expect_regions (gst_harness_push_and_pull (h, with_regions (frame_of (RED, BLUE, 0))), labels);
  g_assert_cmpuint (count_results (bus), ==, 2);
  g_assert_cmpuint (stat_of (element, "regions"), ==, 2);
  /* a frame that is not classified: each region keeps what is known of it */
  g_object_set (element, "inference-interval", 100, NULL);
  expect_regions (
      gst_harness_push_and_pull (h, with_regions (frame_of (RED, BLUE, FRAME))), labels);
  expect_regions (
      gst_harness_push_and_pull (h, with_regions (frame_of (GREEN, GREEN, 2 * FRAME))), labels);
  out = gst_harness_push_and_pull (h, frame_of (GREEN, GREEN, 3 * FRAME)); /* nothing to be about */
  g_assert_null (result_of (out));
  gst_buffer_unref (out);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static void
test_max_rate (void)
{
  GstHarness *h = harness_new ("max-rate=5");
  GstElement *element = element_of (h);

  for (guint n = 0; n < 101; n++) /* four seconds at 25/s */
    gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)));
  g_assert_cmpuint (stat_of (element, "classified"), ==, 21);
  g_assert_cmpuint (stat_of (element, "skipped-rate"), ==, 80);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* On average so many a second, also where it is no part of the frame rate. */
static void
test_max_rate_of_another (void)
{
  static const guint rates[] = { 7, 10, 15, 20, 24, 29, 30, 60 };

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++) {
    g_autofree char *properties = g_strdup_printf ("max-rate=%u", rates[i]);
    GstHarness *h = harness_new (properties);
    GstElement *element = element_of (h);

    for (guint n = 0; n < 300; n++) /* ten seconds at 30/s, in milliseconds as from Matroska */
      gst_buffer_unref (gst_harness_push_and_pull (
          h, frame_of (RED, RED, (n * 1000 + 15) / 30 * GST_MSECOND)));
    g_assert_cmpint (abs ((int)stat_of (element, "classified") - (int)MIN (10 * rates[i], 300)), <=,
        1);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }
}

static void
test_unchanged (void)
{
  GstHarness *h = harness_new ("change-threshold=0.02");
  GstElement *element = element_of (h);

  for (guint n = 0; n < 10; n++) /* noise of two levels of 255 */
    expect_label (
        gst_harness_push_and_pull (h, frame_of (0x800000 + n % 3, 0x800100, n * FRAME)), "red");
  g_assert_cmpuint (stat_of (element, "classified"), ==, 1);
  g_assert_cmpuint (stat_of (element, "skipped-unchanged"), ==, 9);
  expect_label (gst_harness_push_and_pull (h, frame_of (GREEN, GREEN, 10 * FRAME)), "green");
  /* a slow change is found too: the comparison is with the last classified */
  for (guint n = 0; n < 100; n++)
    gst_buffer_unref (
        gst_harness_push_and_pull (h, frame_of (GREEN + 2 * n, GREEN + 2 * n, (11 + n) * FRAME)));
  g_assert_cmpuint (stat_of (element, "classified"), >=, 2 + 200 / 3 / (0.02 * 255) - 1);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* --- steady answers
 * ------------------------------------------------------------------------------- */

static guint
count_changes (const char *properties)
{
  GstHarness *h = harness_new (properties);
  const char *last = NULL;
  guint n_changes = 0;

  /* red and green of nearly equal strength, one ahead in turn; then blue for good */
  for (guint n = 0; n < 100; n++) {
    const guint32 color = n >= 75 ? 0x8080ff : n % 2 ? 0x868000 : 0x808600;
    GstBuffer *out = gst_harness_push_and_pull (h, frame_of (color, color, n * FRAME));
    const char *label = g_intern_string (gst_structure_get_string (result_of (out), "label"));

    n_changes += last && label != last;
    last = label;
    if (*properties)
      g_assert_true (gst_structure_has_field (result_of (out), "raw-label"));
    gst_buffer_unref (out);
  }
  g_assert_cmpstr (last, ==, "blue"); /* a true change is not missed */
  gst_harness_teardown (h);
  return n_changes;
}

static void
test_smoothing (void)
{
  g_assert_cmpuint (count_changes (""), ==, 75);
  g_assert_cmpuint (count_changes ("hysteresis=0.1"), ==, 1);
  g_assert_cmpuint (count_changes ("hold-time=1000000000"), <=, 5);
  g_assert_cmpuint (count_changes ("smoothing=exponential hysteresis=0.02"), ==, 1);
  g_assert_cmpuint (
      count_changes ("smoothing=majority smoothing-time=400000000 hysteresis=0.3"), ==, 1);
}

/* A cut is believed at once; with scene-cut=0 the past lingers. */
static void
test_scene_cut (void)
{
  for (guint cut = 0; cut < 2; cut++) {
    GstHarness *h
        = harness_new (cut ? "smoothing=exponential smoothing-time=2000000000"
                           : "smoothing=exponential smoothing-time=2000000000 scene-cut=0");

    for (guint n = 0; n < 10; n++)
      expect_label (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)), "red");
    expect_label (
        gst_harness_push_and_pull (h, frame_of (BLUE, BLUE, 10 * FRAME)), cut ? "blue" : "red");
    gst_harness_teardown (h);
  }
}

static void
test_message_interval (void)
{
  GstHarness *h = harness_new ("post-messages=interval message-interval=1000000000");
  GstElement *element = element_of (h);
  GstBus *bus = bus_of (element);

  for (guint n = 0; n < 76; n++)
    gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME)));
  g_assert_cmpuint (count_results (bus), ==, 4); /* at 0, 1, 2, 3 s */
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* --- live --------------------------------------------------------------------------- */

static GstPadProbeReturn
answer_not_live (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  gst_query_set_latency (query, FALSE, 0, GST_CLOCK_TIME_NONE);
  return GST_PAD_PROBE_HANDLED;
}

typedef struct {
  const char *properties;
  gboolean is_live;
  guint cost, late_by, late_from; /* ms that a classification takes; that the source is late by,
                                   * from this frame on */
} LiveRow;

/* A camera of 25 frames a second, of which each waits until the one before has left, by a clock
 * of our own: how late they leave at most (ms), how many were classified. */
static guint
play_live (const LiveRow *row, GstHarness *h, guint *n_classified, guint *n_since)
{
  GstClockTime free_at = 0;
  guint worst = 0;

  *n_classified = *n_since = 0;
  for (guint n = 0; n < 500; n++) {
    const GstClockTime shown = n * FRAME + 30 * GST_MSECOND; /* the latency that it tells */
    const GstClockTime sent = shown + (n >= row->late_from ? row->late_by * GST_MSECOND : 0);
    const GstClockTime comes = MAX (sent, free_at);
    GstBuffer *buffer;
    guint age = 1;

    gst_harness_set_time (h, comes);
    buffer = gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME));
    g_assert_nonnull (buffer); /* no frame is lost */
    if (result_of (buffer))
      gst_structure_get_uint (result_of (buffer), "age", &age);
    gst_buffer_unref (buffer);
    free_at = comes;
    if (age == 0) {
      ++*n_classified;
      *n_since += n >= row->late_from + 125;
      free_at += row->cost * GST_MSECOND;
    }
    worst = MAX (worst, (guint)((free_at - shown) / GST_MSECOND));
  }
  return worst;
}

/* A live stream whose frames take longer than they last never falls behind by more than one of
 * them, though nothing downstream tells; what is not live, or late for another reason, is
 * classified. */
static void
test_live (void)
{
  static const LiveRow rows[] = {
    { "", TRUE, 100, 0, 1000 },
    { "inference-interval=2", TRUE, 100, 0, 1000 },
    { "max-rate=20", TRUE, 100, 0, 1000 },
    { "", TRUE, 700, 0, 1000 },
    { "", TRUE, 41, 0, 1000 },
    { "", TRUE, 39, 0, 1000 },
    { "skip-late=false", TRUE, 50, 0, 1000 },
    { "", FALSE, 50, 0, 1000 },
    { "", TRUE, 10, 500, 0 },
    { "", TRUE, 10, 500, 200 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const LiveRow *row = &rows[i];
    GstHarness *h = harness_new (row->properties);
    GstElement *element = element_of (h);
    GstBus *bus = bus_of (element);
    const gboolean skips = i < 5;
    GstMessage *message;
    guint worst, n_classified, n_since, n_warnings = 0;

    gst_harness_use_testclock (h);
    gst_harness_set_upstream_latency (h, 30 * GST_MSECOND);
    if (!row->is_live)
      gst_pad_add_probe (
          h->srcpad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM, answer_not_live, NULL, NULL);
    worst = play_live (row, h, &n_classified, &n_since);
    g_test_message ("%u: at most %u ms late, %u classified", i, worst, n_classified);
    while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING))) {
      g_autoptr (GError) error = NULL;

      gst_message_parse_warning (message, &error, NULL);
      g_assert_nonnull (strstr (error->message, "mode=async"));
      gst_message_unref (message);
      n_warnings++;
    }
    if (skips) {
      g_assert_cmpuint (worst, <=, row->cost + 20);
      /* at least half of what there is time for */
      g_assert_cmpuint (n_classified * MAX (2 * row->cost, 80), >=, 500 * 40 / 2);
      g_assert_cmpuint (stat_of (element, "skipped-late"), >, 0);
      g_assert_cmpuint (n_warnings, ==, stat_of (element, "skipped-late") >= 30);
    } else if (row->late_from != 200) {
      g_assert_cmpuint (n_classified, ==, 500);
      g_assert_cmpuint (n_warnings, ==, 0);
    } else { /* soon it is known that the source is to blame */
      g_assert_cmpuint (n_since, ==, 500 - 325);
    }
    gst_element_set_bus (element, NULL);
    gst_object_unref (bus);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }
}

/* --- text
 * -----------------------------------------------------------------------------------------------
 */

/* colours of 25 frames each through a pipeline; what the text pad gave */
static GPtrArray *
collect_text (const char *caps, const char *properties)
{
  g_autofree char *line = g_strdup_printf (
      "appsrc name=src format=time caps=\"" CAPS "\" ! videoclassify name=c device=cpu threads=1 "
      "model=\"%s\" %s ! fakesink c.text ! %s ! appsink name=text sync=false",
      model_path, properties, caps);
  static const guint32 colors[] = { RED, GREEN, GREEN, BLUE };
  GPtrArray *buffers = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_buffer_unref);
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error), *src, *sink;
  GstFlowReturn flow;
  GstSample *sample;

  g_assert_no_error (error);
  src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "text");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint n = 0; n < 100; n++) {
    GstBuffer *buffer = frame_of (colors[n / 25], colors[n / 25], n * FRAME);

    g_signal_emit_by_name (src, "push-buffer", buffer, &flow);
    g_assert_cmpint (flow, ==, GST_FLOW_OK);
    gst_buffer_unref (buffer);
  }
  g_signal_emit_by_name (src, "end-of-stream", &flow);
  for (;;) {
    g_signal_emit_by_name (sink, "pull-sample", &sample);
    if (!sample)
      break;
    g_ptr_array_add (buffers, gst_buffer_ref (gst_sample_get_buffer (sample)));
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (src);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
  return buffers;
}

static char *
text_of (GstBuffer *buffer)
{
  gsize size = gst_buffer_get_size (buffer);
  char *text = g_malloc0 (size + 1);

  gst_buffer_extract (buffer, 0, text, size);
  return text;
}

static void
test_text_spans (void)
{
  static const char *const labels[] = { "red", "green", "blue" };
  static const guint starts[] = { 0, 25, 75, 100 };

  for (guint mode = 0; mode < 2; mode++) {
    g_autoptr (GPtrArray) cues
        = collect_text ("text/x-raw", mode ? "mode=async batch-size=2" : "mode=sync");

    if (mode) /* which frames are classified is a matter of time: order and bounds */
      g_assert_cmpuint (cues->len, <=, 3);
    else
      g_assert_cmpuint (cues->len, ==, 3);
    for (guint i = 0; i < cues->len && !mode; i++) {
      GstBuffer *cue = g_ptr_array_index (cues, i);
      g_autofree char *text = text_of (cue);

      g_assert_true (g_str_has_prefix (text, labels[i]));
      g_assert_true (g_str_has_suffix (text, "96 %")); /* e^4 / (e^4 + 2) = 0.9647 */
      g_assert_cmpuint (GST_BUFFER_PTS (cue), ==, starts[i] * FRAME);
      g_assert_cmpuint (GST_BUFFER_DURATION (cue), ==, (starts[i + 1] - starts[i]) * FRAME);
    }
  }
}

static void
test_text_frames (void)
{
  g_autoptr (GPtrArray) cues = collect_text ("text/x-raw", "text-cues=frames");

  g_assert_cmpuint (cues->len, ==, 100);
  for (guint i = 0; i < cues->len; i++) {
    g_assert_cmpuint (GST_BUFFER_PTS (g_ptr_array_index (cues, i)), ==, i * FRAME);
    g_assert_cmpuint (GST_BUFFER_DURATION (g_ptr_array_index (cues, i)), ==, FRAME);
  }
}

static void
test_json_lines (void)
{
  g_autoptr (GPtrArray) lines = collect_text ("application/x-json", "");

  g_assert_cmpuint (lines->len, ==, 100);
  for (guint i = 0; i < lines->len; i++) {
    g_autofree char *text = text_of (g_ptr_array_index (lines, i));
    g_autoptr (JsonParser) parser = json_parser_new ();
    GError *error = NULL;
    JsonObject *object;

    g_assert_true (g_str_has_suffix (text, "}\n"));
    json_parser_load_from_data (parser, text, -1, &error);
    g_assert_no_error (error);
    object = json_node_get_object (json_parser_get_root (parser));
    g_assert_cmpint (json_object_get_int_member (object, "timestamp"), ==, i * FRAME);
    g_assert_cmpint (json_object_get_int_member (object, "stream-time"), ==, i * FRAME);
    g_assert_cmpstr (json_object_get_string_member (object, "label"), ==,
        i < 25   ? "red"
        : i < 75 ? "green"
                 : "blue");
    g_assert_cmpfloat_with_epsilon (
        json_object_get_double_member (object, "probability"), exp (4) / (exp (4) + 2), 1e-5);
  }
}

/* Nobody reads the text: the video goes on, memory has a bound. */
static void
test_text_unread (void)
{
  GstHarness *h = harness_new ("");
  GstElement *element = element_of (h);
  GstPad *pad = gst_element_request_pad_simple (element, "text");

  g_assert_nonnull (pad);
  for (guint n = 0; n < 50; n++)
    expect_label (
        gst_harness_push_and_pull (h, frame_of (n % 2 ? RED : BLUE, n % 2 ? RED : BLUE, n * FRAME)),
        n % 2 ? "red" : "blue");
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_element_release_request_pad (element, pad);
  gst_object_unref (pad);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* What is not a number is of no class, spoils nothing that is remembered, and is told of once. */
static void
test_no_numbers (void)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  static const char *const properties[] = { "", "smoothing=exponential hysteresis=0.1",
    "smoothing=majority", "hold-time=1000000", "threshold=0.5 tta=flip" };
  g_autofree char *path = g_build_filename (dir, "broken.h5", NULL);

  write_broken_model (path, labels);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    g_autofree char *all = g_strdup_printf ("model=\"%s\" %s", path, properties[i]);
    GstHarness *h = harness_new (all);
    GstElement *element = element_of (h);
    GstBus *bus = bus_of (element);
    GstMessage *message;
    guint n_warnings = 0;
    double probability;

    for (guint n = 0; n < 6; n++) {
      const gboolean is_bad = n % 3 == 1;
      const guint32 color = is_bad ? CYAN : RED;
      GstBuffer *buffer = gst_harness_push_and_pull (h, frame_of (color, color, n * FRAME));
      const GstStructure *result = result_of (buffer);
      const GValue *list = gst_structure_get_value (result, "labels");
      int index;

      gst_structure_get_int (result, "index", &index);
      g_assert_cmpint (index, ==, is_bad ? -1 : 0);
      g_assert_cmpuint (gst_value_array_get_size (list), ==, is_bad ? 0 : 3);
      gst_structure_get_double (result, "probability", &probability);
      g_assert_true (is_bad ? isnan (probability) : probability > 0.5);
      g_object_get (element, "probability", &probability, NULL);
      g_assert_true (is_bad ? probability == 0 : probability > 0.5);
      expect_label (buffer, is_bad ? "unknown" : "red");
    }
    while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING))) {
      g_autoptr (GError) error = NULL;

      gst_message_parse_warning (message, &error, NULL);
      g_assert_nonnull (strstr (error->message, "broken.h5 gives no numbers"));
      gst_message_unref (message);
      n_warnings++;
    }
    g_assert_cmpuint (n_warnings, ==, 1);
    gst_element_set_bus (element, NULL);
    gst_object_unref (bus);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }
}

/* --- many streams
 * ------------------------------------------------------------------------------------------ */

typedef struct {
  GstHarness *h;
  guint n;
  guint32 color;
  const char *label;
} Stream;

static gpointer
stream_main (gpointer user_data)
{
  Stream *stream = user_data;

  for (guint n = 0; n < stream->n; n++)
    expect_label (
        gst_harness_push_and_pull (stream->h, frame_of (stream->color, stream->color, n * FRAME)),
        stream->label);
  return NULL;
}

/* Streams of different length in one engine: each gets its own results, one that
 * ends or stops early does not hold up the others. */
static void
test_shared_engine (void)
{
  static const guint32 colors[] = { RED, GREEN, BLUE };
  static const char *const labels[] = { "red", "green", "blue" };
  Stream streams[6];
  GThread *threads[6];

  for (guint i = 0; i < 6; i++)
    streams[i] = (Stream){ harness_new (i == 4 ? "batch-size=4 tta=flip" : "batch-size=4"),
      20 + 30 * i, colors[i % 3], labels[i % 3] };
  {
    GstElement *element = element_of (streams[0].h);

    g_assert_cmpuint (stat_of (element, "engine-clients"), ==, 6);
    gst_object_unref (element);
  }
  for (guint i = 0; i < 6; i++)
    threads[i] = g_thread_new ("stream", stream_main, &streams[i]);
  for (guint i = 0; i < 6; i++) {
    g_thread_join (threads[i]);
    if (i < 5)
      gst_harness_teardown (streams[i].h);
  }
  {
    GstElement *element = element_of (streams[5].h);

    g_assert_cmpuint (stat_of (element, "engine-clients"), ==, 1);
    g_assert_cmpuint (stat_of (element, "engine-samples"), ==, 20 + 50 + 80 + 110 + 280 + 170);
    g_assert_cmpuint (stat_of (element, "classified"), ==, 170);
    gst_object_unref (element);
  }
  gst_harness_teardown (streams[5].h);
}

/* A pool handed to some elements in a context is theirs alone; the others find
 * the process's, and tell their neighbours. */
static void
test_context (void)
{
  const GType type = g_type_from_name ("GstVideoClassifyEnginePool");
  g_autoptr (GObject) pool = NULL;
  GstHarness *a = harness_new ("batch-size=2"), *b, *c;
  GstContext *context = gst_context_new ("gst.classify.engines", TRUE);
  GstElement *elements[3];
  GstMessage *message;
  GstBus *bus;

  g_assert_true (type != 0);
  pool = g_object_new (type, NULL);
  gst_structure_set (gst_context_writable_structure (context), "pool", type, pool, NULL);
  b = harness_new ("batch-size=2");
  c = harness_new ("batch-size=2");
  elements[0] = element_of (a);
  elements[1] = element_of (b);
  elements[2] = element_of (c);
  g_assert_cmpuint (stat_of (elements[0], "engine-clients"), ==, 3);
  gst_element_set_state (elements[2], GST_STATE_NULL);
  gst_element_set_context (elements[2], context);
  gst_element_set_state (elements[2], GST_STATE_PLAYING);
  g_assert_cmpuint (stat_of (elements[0], "engine-clients"), ==, 2);
  g_assert_cmpuint (stat_of (elements[2], "engine-clients"), ==, 1);

  {
    GstElement *alone = gst_element_factory_make ("videoclassify", NULL);

    bus = bus_of (alone);
    g_object_set (alone, "model", model_path, "device", "cpu", "batch-size", 2, NULL);
    gst_element_set_state (alone, GST_STATE_PAUSED);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_NEED_CONTEXT);
    g_assert_nonnull (message);
    gst_message_unref (message);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_HAVE_CONTEXT);
    g_assert_nonnull (message);
    gst_message_unref (message);
    gst_element_set_state (alone, GST_STATE_NULL);
    gst_element_set_bus (alone, NULL);
    gst_object_unref (bus);
    gst_object_unref (alone);
  }
  for (guint i = 0; i < 3; i++)
    gst_object_unref (elements[i]);
  gst_harness_teardown (a);
  gst_harness_teardown (b);
  gst_harness_teardown (c);
  gst_context_unref (context);
}

/* --- models that change
 * --------------------------------------------------------------------------------------- */

/* Frames one after the other until one has @label; each has a result. How long that takes is the
 * test runner's to limit, here and below. */
static guint
push_until (GstHarness *h, const char *label, guint n)
{
  for (;; n++) {
    GstBuffer *out = gst_harness_push_and_pull (h, frame_of (RED, RED, n * FRAME));
    const gboolean found = g_str_equal (gst_structure_get_string (result_of (out), "label"), label);

    gst_buffer_unref (out);
    if (found)
      return n + 1;
    g_usleep (2000);
  }
}

static void
expect_warning (GstBus *bus, const char *text)
{
  GstMessage *message = gst_bus_timed_pop_filtered (bus, 20 * GST_SECOND, GST_MESSAGE_WARNING);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, text));
  gst_message_unref (message);
}

static void
test_model_change (void)
{
  static const char *const other[] = { "rouge", "vert", "bleu", NULL };
  static const char *const third[] = { "rot", "gruen", "blau", NULL };
  static const char *const properties[]
      = { "", "mode=async", "batch-size=3", "smoothing=exponential" };
  g_autofree char *path = write_model ("other.h5", other);

  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    GstHarness *h = harness_new (properties[i]);
    GstElement *element = element_of (h);
    GstBus *bus = bus_of (element);
    guint n = 0;

    if (i == 1) { /* the first result has to be there */
      gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (RED, RED, 0)));
      while (stat_of (element, "classified") == 0)
        g_usleep (1000);
    }
    n = push_until (h, "red", n);
    g_object_set (element, "model", path, NULL);
    n = push_until (h, "rouge", n);
    g_object_set (element, "model", "/nowhere/x.h5", NULL);
    expect_warning (bus, "/nowhere/x.h5");
    n = push_until (h, "rouge", n);
    gst_element_set_bus (element, NULL);
    gst_object_unref (bus);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }

  /* watched: a new file in the old one's place, then a broken one, then a good one */
  {
    g_autofree char *line = g_strdup_printf ("model=\"%s\" watch=true", path);
    GstHarness *h = harness_new (line);
    GstElement *element = element_of (h);
    GstBus *bus = bus_of (element);
    guint n = push_until (h, "rouge", 0);

    g_free (write_model ("other.h5", third));
    n = push_until (h, "rot", n);
    g_file_set_contents (path, "not HDF5", -1, NULL);
    expect_warning (bus, "other.h5");
    n = push_until (h, "rot", n);
    g_free (write_model ("other.h5", other));
    push_until (h, "rouge", n);
    gst_element_set_bus (element, NULL);
    gst_object_unref (bus);
    gst_object_unref (element);
    gst_harness_teardown (h);
  }
}

/* softmax (4 * mean colour) of so much red and blue */
static double
red_of (double red)
{
  const double r = exp (4 * red), b = exp (4 * (1 - red));

  return r / (r + b + 1);
}

static double
probability_of (const GstStructure *structure, const char *label)
{
  const GValue *labels = gst_structure_get_value (structure, "labels");
  const GValue *probabilities = gst_structure_get_value (structure, "probabilities");

  for (guint i = 0; i < gst_value_array_get_size (labels); i++)
    if (strcmp (g_value_get_string (gst_value_array_get_value (labels, i)), label) == 0)
      return g_value_get_double (gst_value_array_get_value (probabilities, i));
  g_assert_not_reached ();
}

/* A frame red on the left and blue on the right: what a view sees of each is known. */
static void
test_tta (void)
{
  const double half = red_of (0.5), red = red_of (1), blue = red_of (0);
  const struct
  {
    const char *tta;
    double expected;
  } rows[] = {
    { "none", half },
    { "crops5:0.5", (half + 2 * red + 2 * blue) / 5 },
    { "crops10:0.5", (half + 2 * red + 2 * blue) / 5 },
    { "scales:1,2+flip", half },
    /* 8x16 cells, windows of 4x8 from columns 0, 4 and 8 on */
    { "features:8", (red + half + blue) / 3 },
  };
  const char *const modes[] = { "", "batch-size=4" };

  for (guint i = 0; i < G_N_ELEMENTS (rows) * G_N_ELEMENTS (modes); i++) {
    g_autofree char *properties = g_strdup_printf (
        "top-k=3 tta=\"%s\" %s", rows[i / 2].tta, modes[i % 2]);
    GstHarness *h = harness_new (properties), *twin = harness_new (properties);
    GstBuffer *out = gst_harness_push_and_pull (h, frame_of (RED, BLUE, 0));
    GstBuffer *same = gst_harness_push_and_pull (twin, frame_of (RED, BLUE, 0));
    double got, other;

    got = probability_of (result_of (out), "red");
    other = probability_of (result_of (same), "red");
    g_assert_cmpfloat_with_epsilon (got, rows[i / 2].expected, 1e-5);
    g_assert_cmpfloat (got, ==, other);
    gst_buffer_unref (out);
    gst_buffer_unref (same);
    gst_harness_teardown (h);
    gst_harness_teardown (twin);
  }
}

/* Views that the model does not allow end the start. */
static void
test_tta_refused (void)
{
  GstElement *element = gst_element_factory_make ("videoclassify", NULL);
  GstBus *bus = gst_bus_new ();
  g_autoptr (GError) error = NULL;
  GstMessage *message;

  gst_object_ref_sink (element);
  g_object_set (element, "model", model_path, "device", "cpu", NULL);
  g_object_set (element, "tta", "random:4", NULL);
  gst_element_set_bus (element, bus);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  gst_message_parse_error (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, "\"tta\""));
  g_assert_nonnull (strstr (error->message, "classify_augmentation"));
  gst_message_unref (message);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
}

/* The end of one stream while its frame waits for a batch to fill: the frame is classified,
 * and another stream of the same engine does not notice. */
static void
test_end_within_batch (void)
{
  static const char properties[] = "mode=async batch-size=8 batch-timeout=50000000";
  GstHarness *a = harness_new (properties), *b = harness_new (properties);
  GstElement *first = element_of (a), *second = element_of (b);

  for (guint n = 0; n < 3; n++) {
    gst_buffer_unref (gst_harness_push_and_pull (a, frame_of (RED, RED, n * FRAME)));
    gst_buffer_unref (gst_harness_push_and_pull (b, frame_of (BLUE, BLUE, n * FRAME)));
  }
  gst_harness_push_event (a, gst_event_new_eos ());
  g_assert_cmpuint (
      stat_of (first, "classified") + stat_of (first, "dropped-busy"), ==, 3);
  g_assert_cmpuint (stat_of (first, "classified"), >=, 1);
  gst_object_unref (first);
  gst_harness_teardown (a);
  for (guint n = 3; stat_of (second, "classified") < 3; n++) {
    gst_buffer_unref (gst_harness_push_and_pull (b, frame_of (BLUE, BLUE, n * FRAME)));
    g_usleep (2000);
  }
  gst_object_unref (second);
  gst_harness_teardown (b);
}

/* A thousand times from nothing to a classified frame and back. */
static void
test_cycling (void)
{
  static const char *const modes[] = { "", "mode=async", "batch-size=4", "mode=async explain=cam",
    "watch=true smoothing=majority" };
  GstElement *elements[G_N_ELEMENTS (modes)];

  for (guint m = 0; m < G_N_ELEMENTS (modes); m++) {
    g_autofree char *line = g_strdup_printf (
        "videotestsrc num-buffers=2 ! video/x-raw,width=32,height=16 ! videoclassify device=cpu "
        "threads=1 model=\"%s\" %s ! fakesink",
        model_path, modes[m]);

    elements[m] = gst_parse_launch (line, NULL);
    g_assert_nonnull (elements[m]);
  }
  for (guint i = 0; i < 1000; i++) {
    GstElement *pipeline = elements[i % G_N_ELEMENTS (modes)];
    const GstState up = i % 3 ? GST_STATE_PLAYING : GST_STATE_PAUSED;

    g_assert_cmpint (gst_element_set_state (pipeline, up), !=, GST_STATE_CHANGE_FAILURE);
    if (i % 4)
      g_assert_cmpint (gst_element_get_state (pipeline, NULL, NULL, 10 * GST_SECOND), ==,
          GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (gst_element_set_state (pipeline, i % 5 ? GST_STATE_NULL : GST_STATE_READY), ==,
        GST_STATE_CHANGE_SUCCESS);
  }
  for (guint m = 0; m < G_N_ELEMENTS (modes); m++) {
    gst_element_set_state (elements[m], GST_STATE_NULL);
    gst_object_unref (elements[m]);
  }
}

#define HEAT_MAP "GstVideoClassifyHeatMap"

static const GstStructure *
heat_of (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, HEAT_MAP);

  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

/* cells of 4 rows and 8 columns: 255 in those of @columns (bits, the leftmost the lowest) */
static void
expect_map (const GstStructure *heat, const char *label, guint columns)
{
  const guint8 *cells;
  guint n_rows, n_columns;
  gsize size;

  g_assert_nonnull (heat);
  g_assert_cmpstr (gst_structure_get_string (heat, "label"), ==, label);
  g_assert_cmpstr (gst_structure_get_string (heat, "method"), ==, "cam");
  g_assert_true (gst_structure_get_uint (heat, "rows", &n_rows));
  g_assert_true (gst_structure_get_uint (heat, "columns", &n_columns));
  g_assert_cmpuint (n_rows, ==, 4);
  g_assert_cmpuint (n_columns, ==, 8);
  cells = g_bytes_get_data (g_value_get_boxed (gst_structure_get_value (heat, "map")), &size);
  g_assert_cmpuint (size, ==, 32);
  for (guint i = 0; i < 32; i++)
    g_assert_cmpuint (cells[i], ==, columns >> i % 8 & 1 ? 255 : 0);
}

/* What speaks for red is where red is. */
static void
test_explain (void)
{
  GstHarness *h = harness_new ("explain=cam explain-interval=100000000");
  GstElement *element = element_of (h);
  GstSegment segment;
  GstBuffer *out;
  guint age;
  int x, width;

  for (guint n = 0; n < 6; n++) { /* at 0, 120 ms and 240 ms */
    out = gst_harness_push_and_pull (h, frame_of (n < 3 ? RED : 0, n < 3 ? 0 : BLUE, n * FRAME));
    expect_map (heat_of (out), n < 3 ? "red" : "blue", n < 3 ? 0x0f : 0xf0);
    gst_structure_get_uint (heat_of (out), "age", &age);
    g_assert_cmpuint (age, ==, n % 3);
    g_assert_true (gst_structure_get_int (heat_of (out), "x", &x));
    g_assert_true (gst_structure_get_int (heat_of (out), "width", &width));
    g_assert_cmpint (x, ==, 0);
    g_assert_cmpint (width, ==, 32);
    gst_buffer_unref (out);
  }
  g_assert_cmpuint (stat_of (element, "explained"), ==, 2);
  /* another scene after a flush: no map of before */
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  out = gst_harness_push_and_pull (h, frame_of (BLUE, 0, 0));
  expect_map (heat_of (out), "blue", 0x0f);
  gst_buffer_unref (out);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* Of a part of the frame; the map tells which. */
static void
test_explain_crop (void)
{
  GstHarness *h = harness_new ("explain=cam crop=\"8,0,16,16\"");
  GstBuffer *out = gst_harness_push_and_pull (h, frame_of (0, BLUE, 0));
  int x, width;

  expect_map (heat_of (out), "blue", 0xf0);
  g_assert_true (gst_structure_get_int (heat_of (out), "x", &x));
  g_assert_true (gst_structure_get_int (heat_of (out), "width", &width));
  g_assert_cmpint (x, ==, 8);
  g_assert_cmpint (width, ==, 16);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* Beside the stream: frames do not wait for their map, a later one has it. */
static void
test_explain_async (void)
{
  GstHarness *h = harness_new ("explain=cam explain-interval=0 mode=async");
  gboolean found = FALSE;

  for (guint n = 0; !found; n++) {
    GstBuffer *out = gst_harness_push_and_pull (h, frame_of (RED, 0, n * FRAME));

    found = heat_of (out) != NULL;
    if (found)
      expect_map (heat_of (out), "red", 0x0f);
    gst_buffer_unref (out);
    g_usleep (10000);
  }
  gst_harness_teardown (h);
}

/* A network without feature maps: a warning, and the stream goes on without. */
static void
test_explain_refused (void)
{
  static const char flat[] = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"n\", "
      "\"layers\": [{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", \"filters\": 2, "
      "\"kernel_size\": [4, 8], \"batch_input_shape\": [null, 4, 8, 3]}}, {\"class_name\": "
      "\"Activation\", \"config\": {\"name\": \"a\", \"activation\": \"softmax\"}}]}}";
  g_autoptr (NnModel) model = nn_model_new_from_json (flat, -1, NULL, NULL);
  g_autofree char *path = g_build_filename (dir, "flat.h5", NULL);
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu explain=cam model=\"%s\"", path);
  g_autoptr (GError) error = NULL;
  GstMessage *message;
  GstElement *element;
  GstHarness *h;
  GstBuffer *out;
  GstBus *bus = gst_bus_new ();

  nn_model_init_params (model, 1, &error);
  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  element = gst_parse_launch (line, &error);
  g_assert_no_error (error);
  gst_element_set_bus (element, bus);
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_src_caps_str (h, CAPS);
  out = gst_harness_push_and_pull (h, frame_of (RED, RED, 0));
  g_assert_nonnull (result_of (out));
  g_assert_null (heat_of (out));
  gst_buffer_unref (out);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, "\"explain\""));
  gst_message_unref (message);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  g_autoptr (GDir) handle = NULL;
  const char *name;
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("classify-stream-XXXXXX", NULL);
  model_path = write_model ("color.h5", labels);

  g_test_add_func ("/stream/async", test_async);
  g_test_add_func ("/stream/async-flush", test_async_flush);
  g_test_add_func ("/stream/async-stop", test_async_stop);
  g_test_add_func ("/stream/crop", test_crop);
  g_test_add_func ("/stream/crop-outside", test_crop_outside);
  g_test_add_func ("/stream/regions", test_regions);
  g_test_add_func ("/stream/max-rate", test_max_rate);
  g_test_add_func ("/stream/max-rate-of-another", test_max_rate_of_another);
  g_test_add_func ("/stream/unchanged", test_unchanged);
  g_test_add_func ("/stream/smoothing", test_smoothing);
  g_test_add_func ("/stream/scene-cut", test_scene_cut);
  g_test_add_func ("/stream/message-interval", test_message_interval);
  g_test_add_func ("/stream/live", test_live);
  g_test_add_func ("/stream/no-numbers", test_no_numbers);
  g_test_add_func ("/stream/text-spans", test_text_spans);
  g_test_add_func ("/stream/text-frames", test_text_frames);
  g_test_add_func ("/stream/json-lines", test_json_lines);
  g_test_add_func ("/stream/text-unread", test_text_unread);
  g_test_add_func ("/stream/shared-engine", test_shared_engine);
  g_test_add_func ("/stream/context", test_context);
  g_test_add_func ("/stream/model-change", test_model_change);
  g_test_add_func ("/stream/end-within-batch", test_end_within_batch);
  g_test_add_func ("/stream/cycling", test_cycling);
  g_test_add_func ("/stream/tta", test_tta);
  g_test_add_func ("/stream/tta-refused", test_tta_refused);
  g_test_add_func ("/stream/explain", test_explain);
  g_test_add_func ("/stream/explain-crop", test_explain_crop);
  g_test_add_func ("/stream/explain-async", test_explain_async);
  g_test_add_func ("/stream/explain-refused", test_explain_refused);
  status = g_test_run ();

  handle = g_dir_open (dir, 0, NULL);
  while (handle && (name = g_dir_read_name (handle))) {
    g_autofree char *path = g_build_filename (dir, name, NULL);

    g_unlink (path);
  }
  g_rmdir (dir);
  return status;
}
