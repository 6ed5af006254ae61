/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of the element, each alone: against formulas in double precision and
 * sequences made by hand. */

#include <gst/video/gstvideometa.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "gst/captioner.h"
#include "gst/cues.h"
#include "gst/engine.h"
#include "gst/json-lines.h"
#include "gst/publisher.h"
#include "gst/regions.h"
#include "gst/smoother.h"
#include "gst/stats.h"
#include "gst/textpad.h"
#include "gst/thumbnail.h"

#define FRAME (40 * GST_MSECOND)

/* --- smoothing ------------------------------------------------------------------------- */

static void
test_exponential (void)
{
  const SmootherOptions options = { SMOOTHING_EXPONENTIAL, 500 * GST_MSECOND, 0, 0 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  Smoother *smoother = smoother_new (2);
  double expected = 0;
  GstClockTime time = 5 * GST_SECOND;

  for (guint i = 0; i < 200; i++) {
    const double p = g_rand_double (rand);
    const float in[2] = { (float)p, (float)(1 - p) };
    const GstClockTime dt = (GstClockTime)g_rand_int_range (rand, 1, 300) * GST_MSECOND;
    float out[2];
    guint label;

    time += i ? dt : 0;
    expected = i == 0 ? p : expected + (1 - exp (-(double)dt / 5e8)) * (p - expected);
    label = smoother_push (smoother, &options, time, in, out);
    g_assert_cmpfloat_with_epsilon (out[0], expected, 1e-5);
    g_assert_cmpfloat_with_epsilon (out[1], 1 - expected, 1e-5);
    g_assert_cmpuint (label, ==, out[0] < out[1]);
  }
  smoother_free (smoother);
}

/* A step is passed after the same time at 10 and at 100 frames a second. */
static void
test_exponential_does_not_know_the_rate (void)
{
  const SmootherOptions options = { SMOOTHING_EXPONENTIAL, GST_SECOND, 0, 0 };

  for (guint rate = 10; rate <= 100; rate *= 10) {
    Smoother *smoother = smoother_new (2);
    const float before[2] = { 1, 0 }, after[2] = { 0, 1 };
    float out[2];
    guint n = 0;

    smoother_push (smoother, &options, 0, before, out);
    while (smoother_push (smoother, &options, ++n * GST_SECOND / rate, after, out) == 0)
      g_assert_cmpuint (n, <, 1000);
    g_assert_cmpfloat (fabs ((double)n / rate - log (2)), <=, 1.0 / rate);
    smoother_free (smoother);
  }
}

static void
test_majority (void)
{
  const SmootherOptions options = { SMOOTHING_MAJORITY, 5 * FRAME, 0, 0 };
  static const guint in[] = { 0, 1, 0, 0, 1, 1, 1, 2, 2, 1, 1, 1, 1 };
  /* of the last five, equals to the newest */
  static const guint expected[] = { 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
  Smoother *smoother = smoother_new (3);
  float out[3];

  for (guint i = 0; i < G_N_ELEMENTS (in); i++) {
    float p[3] = { 0.1f, 0.1f, 0.1f };

    p[in[i]] = 0.8f;
    g_assert_cmpuint (smoother_push (smoother, &options, i * FRAME, p, out), ==, expected[i]);
    if (i == 6) /* 0 1 1 1 of 3..6 and 0 of 3: {0, 0, 1, 1, 1} of 2..6 */
      g_assert_cmpfloat_with_epsilon (out[1], (3 * 0.8 + 2 * 0.1) / 5, 1e-6);
  }
  /* a window longer than the ring loses its oldest only */
  for (guint i = 0; i < 3 * SMOOTHER_WINDOW; i++) {
    const SmootherOptions forever = { SMOOTHING_MAJORITY, G_MAXINT64, 0, 0 };
    const float p[3] = { 0, 0, 1 };

    smoother_push (smoother, &forever, (100 + i) * FRAME, p, out);
  }
  g_assert_cmpfloat_with_epsilon (out[2], 1, 1e-5);
  smoother_free (smoother);
}

static void
test_hysteresis_and_hold (void)
{
  const SmootherOptions hysteresis = { SMOOTHING_NONE, 0, 0.2, 0 };
  const SmootherOptions hold = { SMOOTHING_NONE, 0, 0, 3 * FRAME };
  static const float p[] = { 0.6f, 0.45f, 0.55f, 0.41f, 0.35f, 0.55f, 0.9f };
  static const guint steady[] = { 0, 0, 0, 0, 1, 1, 0 };
  static const guint held[] = { 0, 0, 0, 1, 1, 1, 0 };
  Smoother *a = smoother_new (2), *b = smoother_new (2);
  float out[2];

  for (guint i = 0; i < G_N_ELEMENTS (p); i++) {
    const float in[2] = { p[i], 1 - p[i] };

    g_assert_cmpuint (smoother_push (a, &hysteresis, i * FRAME, in, out), ==, steady[i]);
    g_assert_cmpuint (smoother_push (b, &hold, i * FRAME, in, out), ==, held[i]);
    g_assert_cmpfloat (out[0], ==, p[i]);
  }
  smoother_reset (a); /* nothing is remembered */
  g_assert_cmpuint (smoother_push (a, &hysteresis, 0, (const float[]){ 0.49f, 0.51f }, out), ==, 1);
  smoother_free (a);
  smoother_free (b);
}

static void
test_smoother_times (void)
{
  const SmootherOptions options = { SMOOTHING_EXPONENTIAL, FRAME, 0, 0 };
  Smoother *smoother = smoother_new (2);
  const float a[2] = { 1, 0 }, b[2] = { 0, 1 };
  float out[2];

  /* no times at all: a usual step each; time running backwards likewise */
  smoother_push (smoother, &options, GST_CLOCK_TIME_NONE, a, out);
  smoother_push (smoother, &options, GST_CLOCK_TIME_NONE, b, out);
  g_assert_cmpfloat_with_epsilon (out[0], exp (-1), 1e-6);
  smoother_push (smoother, &options, 0, b, out);
  g_assert_cmpfloat_with_epsilon (out[0], exp (-2), 1e-6);
  smoother_free (smoother);
}

/* --- thumbnails -------------------------------------------------------------------------- */

static void
test_thumbnail (void)
{
  NnPreprocess pre;
  g_autofree float *input = g_new (float, 50 * 37 * 3);
  Thumbnail a, b;

  nn_preprocess_init (&pre, 50, 37);
  for (guint c = 0; c < 3; c++) {
    pre.mean[c] = 100 + 10 * (float)c;
    pre.scale[c] = 0.02f * (float)(c + 1);
  }
  for (guint fill = 0; fill <= 255; fill += 51) {
    for (guint i = 0; i < 50 * 37; i++)
      for (guint c = 0; c < 3; c++)
        input[3 * i + c] = ((float)fill - pre.mean[c]) * pre.scale[c];
    thumbnail_make (&a, input, &pre);
    for (guint i = 0; i < G_N_ELEMENTS (a.cells); i++)
      g_assert_cmpfloat_with_epsilon (a.cells[i], fill / 255.0, 1e-5);
  }
  /* white: its left half black afterwards */
  b = a;
  for (guint y = 0; y < 37; y++)
    for (guint x = 0; x < 25; x++)
      for (guint c = 0; c < 3; c++)
        input[3 * (50 * y + x) + c] = (0 - pre.mean[c]) * pre.scale[c];
  thumbnail_make (&a, input, &pre);
  g_assert_cmpfloat_with_epsilon (thumbnail_compare (&a, &b), 0.5, 1e-5);
  g_assert_cmpfloat (thumbnail_compare (&a, &a), ==, 0);
  /* a picture smaller than the grid */
  nn_preprocess_init (&pre, 5, 3);
  for (guint i = 0; i < 5 * 3 * 3; i++)
    input[i] = 0.25f;
  thumbnail_make (&a, input, &pre);
  for (guint i = 0; i < G_N_ELEMENTS (a.cells); i++)
    g_assert_cmpfloat_with_epsilon (a.cells[i], 0.25, 1e-5);
  /* another colour of the same lightness is another picture */
  b = a;
  for (guint i = 0; i < G_N_ELEMENTS (a.cells); i++)
    b.cells[i] = i % 3 == 0 ? 0.75f : 0;
  g_assert_cmpfloat_with_epsilon (thumbnail_compare (&a, &b), (0.5 + 0.25 + 0.25) / 3, 1e-5);
}

/* --- text ------------------------------------------------------------------------------------ */

static void
expect_cue (GstBuffer *cue, const char *text, GstClockTime start, GstClockTime end)
{
  GstMapInfo map;

  g_assert_nonnull (cue);
  gst_buffer_map (cue, &map, GST_MAP_READ);
  g_assert_cmpmem (map.data, map.size, text, strlen (text));
  gst_buffer_unmap (cue, &map);
  g_assert_cmpuint (GST_BUFFER_PTS (cue), ==, start);
  g_assert_cmpuint (GST_BUFFER_PTS (cue) + GST_BUFFER_DURATION (cue), ==, end);
  gst_buffer_unref (cue);
}

/* frames of FRAME and a result for each, as with mode=sync */
static GstBuffer *
cue_frame (Cues *cues, const char *label, double probability, guint n, GstClockTime max)
{
  GstBuffer *back = cues_begin_frame (cues, n * FRAME, FRAME), *cue, *piece;

  cue = cues_push (cues, label, probability, n * FRAME);
  piece = cues_end_frame (cues, max);
  g_assert_cmpuint (!!back + !!cue + !!piece, <=, 1);
  return back ? back : cue ? cue : piece;
}

/* Spans have whole frames, and the highest probability that they had. */
static void
test_cues (void)
{
  Cues *cues = cues_new ();
  const GstClockTime none = GST_CLOCK_TIME_NONE;

  g_assert_null (cue_frame (cues, "cat", 0.7, 0, none));
  g_assert_null (cue_frame (cues, "cat", 0.9951, 1, none));
  g_assert_null (cue_frame (cues, "cat", 0.8, 2, none));
  expect_cue (cue_frame (cues, "dog", 0.6, 3, none), "cat 99 %", 0, 3 * FRAME);
  g_assert_null (cues_push (cues, "cow", 0.6, GST_CLOCK_TIME_NONE));
  g_assert_null (cues_begin_frame (cues, 4 * FRAME, FRAME));
  /* of that frame nothing is known yet */
  g_assert_cmpuint (cues_get_length (cues), ==, FRAME);
  expect_cue (cues_finish (cues), "dog 60 %", 3 * FRAME, 4 * FRAME);
  g_assert_null (cues_finish (cues));
  cues_free (cues);
}

/* A long span is told in pieces that leave nothing out; frames without a result of their own
 * belong to it. */
static void
test_cues_pieces (void)
{
  Cues *cues = cues_new ();
  GstClockTime end = 0;

  for (guint n = 0; n < 1005; n++) {
    GstBuffer *cue = NULL;

    if (n % 100 == 0) {
      cue = cue_frame (cues, "cat", n == 0 ? 0.9 : 0.5, n, 10 * FRAME);
    } else {
      g_assert_null (cues_begin_frame (cues, n * FRAME, FRAME - 1)); /* rounded */
      cue = cues_end_frame (cues, 10 * FRAME);
    }
    if (!cue)
      continue;
    g_assert_cmpuint (GST_BUFFER_PTS (cue), ==, end);
    g_assert_cmpuint (GST_BUFFER_DURATION (cue), <=, 11 * FRAME);
    end += GST_BUFFER_DURATION (cue);
    gst_buffer_unref (cue);
  }
  g_assert_cmpuint (end, >=, 994 * FRAME);
  /* the first piece had the result of 90 %, later ones theirs */
  expect_cue (cues_finish (cues), "cat 50 %", end, 1005 * FRAME - 1);
  cues_free (cues);
}

/* Results that come late, time that goes back, and a hole in the stream. */
static void
test_cues_times (void)
{
  Cues *cues = cues_new ();

  for (guint n = 0; n < 10; n++) {
    GstBuffer *cue = cue_frame (cues, "cat", 0.9, n, 10 * FRAME);

    if (n == 9)
      expect_cue (cue, "cat 90 %", 0, 10 * FRAME);
    else
      g_assert_null (cue);
  }
  /* mode=async: a result of frame 7 when frame 11 has come; what was told stays */
  g_assert_null (cues_begin_frame (cues, 10 * FRAME, FRAME));
  g_assert_null (cues_end_frame (cues, GST_CLOCK_TIME_NONE));
  g_assert_null (cues_push (cues, "dog", 0.8, 7 * FRAME));
  g_assert_null (cues_begin_frame (cues, 11 * FRAME, FRAME));
  g_assert_null (cues_end_frame (cues, GST_CLOCK_TIME_NONE));
  /* a hole of a minute */
  expect_cue (cues_begin_frame (cues, 60 * GST_SECOND, FRAME), "dog 80 %", 10 * FRAME, 12 * FRAME);
  g_assert_null (cues_push (cues, "dog", 0.7, 60 * GST_SECOND));
  g_assert_null (cues_end_frame (cues, GST_CLOCK_TIME_NONE));
  /* back to the start, without a flush */
  expect_cue (
      cues_begin_frame (cues, FRAME, FRAME), "dog 70 %", 60 * GST_SECOND, 60 * GST_SECOND + FRAME);
  g_assert_null (cues_push (cues, "cat", 1, FRAME));
  g_assert_null (cues_end_frame (cues, GST_CLOCK_TIME_NONE));
  expect_cue (cues_finish (cues), "cat 100 %", FRAME, 2 * FRAME);
  /* a slide show: no durations, no rate */
  g_assert_null (cues_begin_frame (cues, 0, GST_CLOCK_TIME_NONE));
  g_assert_null (cues_push (cues, "cat", 1, 0));
  g_assert_null (cues_end_frame (cues, GST_CLOCK_TIME_NONE));
  g_assert_null (cues_begin_frame (cues, 5 * GST_SECOND, GST_CLOCK_TIME_NONE));
  expect_cue (cues_push (cues, "dog", 1, 5 * GST_SECOND), "cat 100 %", 0, 5 * GST_SECOND);
  cues_free (cues);
}

/* What a label may hold and a subtitle may not: each is one line of plain text. */
static void
test_cue_text (void)
{
  static const struct {
    const char *label;
    double probability;
    const char *text;
  } rows[] = {
    { "cat", 0.5, "cat 50 %" },
    { "a\n\n2\n00:00:00.000 --> 99:00:00.000\n<script>x</script>", 0.99,
        "a  2 00:00:00.000 --\342\200\272 99:00:00.000 "
        "\342\200\271script\342\200\272x\342\200\271/script\342\200\272 99 %" },
    { "\033]0;x\a\r\tb\177", 1, "]0;x   b 100 %" },
    { "a\302\205b\342\200\250c\342\200\251d", 1, "a b c d 100 %" }, /* NEL, LS, PS */
    { "\342\200\256abc\342\201\246", 1, "abc 100 %" },             /* bidi */
    { "{\\an8}R&D &lt; a & b", 1, "(\\an8)R\357\274\206D \357\274\206lt; a & b 100 %" },
    { "\xff?", 0.25, "\357\277\275? 25 %" },
    { "", 0.25, "25 %" },
    { "unknown", NAN, "unknown" },
    { "unknown", INFINITY, "unknown" },
  };
  g_autofree char *longer = g_strnfill (30000, 'x'), *text = cues_make_text (longer, 1);

  g_assert_cmpint (g_utf8_strlen (text, -1), ==, CUE_MAX_LABEL + 1 + 6);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *got = cues_make_text (rows[i].label, rows[i].probability);

    g_assert_cmpstr (got, ==, rows[i].text);
  }
}

/* --- text pad --------------------------------------------------------------------------- */

static GstPad *
text_pad_new (void)
{
  GstCaps *caps = gst_caps_from_string ("text/x-raw, format=utf8");
  GstPadTemplate *templ = gst_pad_template_new ("text", GST_PAD_SRC, GST_PAD_REQUEST, caps);
  GstPad *pad = gst_object_ref_sink (gst_classify_text_pad_new (templ, "text", NULL));

  gst_caps_unref (caps);
  gst_object_unref (templ);
  return pad;
}

static GstPadProbeReturn
block (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  return GST_PAD_PROBE_OK;
}

/* Nobody reads: what waits has a bound, whatever it is, and what the stream needs is there. */
static void
test_text_pad_is_bounded (void)
{
  GstElement *element = gst_element_factory_make ("identity", NULL);
  GstPad *pad = text_pad_new ();
  GstClassifyTextPad *text = GST_CLASSIFY_TEXT_PAD (pad);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_element_add_pad (element, pad);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM, block, NULL, NULL);
  gst_pad_set_active (pad, TRUE);
  gst_classify_text_pad_set_segment (text, &segment);
  gst_classify_text_pad_begin (text, 0);
  for (guint n = 1; n < 100000; n++)
    gst_classify_text_pad_advance (text, n * GST_SECOND, GST_SECOND);
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), <=, 5);
  for (guint n = 0; n < TEXT_PAD_MAX_ITEMS + 100; n++) {
    GstBuffer *buffer = gst_buffer_new ();

    GST_BUFFER_PTS (buffer) = (100000 + n) * GST_SECOND;
    GST_BUFFER_DURATION (buffer) = GST_SECOND / 2;
    gst_classify_text_pad_push (text, buffer); /* with a gap behind each */
    gst_classify_text_pad_advance (text, (100001 + n) * GST_SECOND, GST_MSECOND);
  }
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), <=, TEXT_PAD_MAX_ITEMS);
  g_assert_cmpuint (gst_classify_text_pad_get_n_dropped (text), >, TEXT_PAD_MAX_ITEMS / 3);
  for (guint n = 0; n < 1000; n++) {
    gst_classify_text_pad_eos (text);
    gst_classify_text_pad_new_stream (text);
    for (guint i = 0; i < 3; i++) {
      gst_classify_text_pad_set_segment (text, &segment);
      gst_classify_text_pad_begin (text, 0);
      gst_classify_text_pad_advance (text, GST_SECOND, GST_SECOND);
    }
  }
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), <=, TEXT_PAD_MAX_ITEMS + 4);
  gst_pad_set_active (pad, FALSE);
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), ==, 0);
  gst_object_unref (pad);
  gst_object_unref (element);
}

/* What was under way when the stream ended says nothing of the next one; what downstream is
 * seen to wait for is sent, and later pieces are kept as short. */
static void
test_captioner (void)
{
  GstElement *element = gst_element_factory_make ("identity", NULL);
  GstPad *pad = text_pad_new ();
  GstClassifyTextPad *text = GST_CLASSIFY_TEXT_PAD (pad);
  Captioner *captioner = captioner_new ();
  CaptionerFrame frame = { .duration = FRAME, .label = "cat", .probability = 0.5 };
  GstSegment segment;
  guint level;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_element_add_pad (element, pad);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM, block, NULL, NULL);
  gst_pad_set_active (pad, TRUE);
  gst_classify_text_pad_set_segment (text, &segment);
  gst_classify_text_pad_begin (text, 0);
  while ((level = gst_classify_text_pad_get_level (text)) > 3)
    g_usleep (1000); /* the task takes the first, and waits */

  captioner_start (captioner);
  captioner_reset (captioner, 5);
  captioner_push (captioner, text, "dog", 0.5, 0, 4);
  captioner_finish (captioner, text);
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), ==, level);
  for (guint n = 0; n < 3; n++, frame.pts += FRAME) {
    captioner_begin_frame (captioner, text, frame.pts, FRAME);
    captioner_push (captioner, text, "cat", 0.5, frame.pts, 5);
    captioner_unblock (captioner, text, TRUE); /* not of a frame that is being classified */
    captioner_end_frame (captioner, text, &frame, TRUE, 0);
  }
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), ==, level);
  captioner_unblock (captioner, text, TRUE);
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), ==, level + 1);
  captioner_unblock (captioner, text, TRUE);
  g_assert_cmpuint (gst_classify_text_pad_get_level (text), ==, level + 1);
  captioner_free (captioner);
  gst_pad_set_active (pad, FALSE);
  gst_object_unref (pad);
  gst_object_unref (element);
}

static void
test_json (void)
{
  GValue array = G_VALUE_INIT, item = G_VALUE_INIT;
  GstStructure *structure = gst_structure_new ("videoclassify", "label", G_TYPE_STRING,
      "a \"quoted\"\n\\ label \xc3\xa9", "index", G_TYPE_INT, -1, "probability", G_TYPE_DOUBLE,
      0.1 + 0.2, "timestamp", G_TYPE_UINT64, GST_CLOCK_TIME_NONE, "duration", G_TYPE_UINT64,
      (guint64)1 << 62, "views", G_TYPE_UINT, 3u, "bad", G_TYPE_DOUBLE, (double)NAN, "off",
      G_TYPE_BOOLEAN, FALSE, NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *line = NULL;
  GError *error = NULL;
  JsonObject *object;

  g_value_init (&array, GST_TYPE_ARRAY);
  for (guint i = 0; i < 3; i++) {
    g_value_init (&item, G_TYPE_DOUBLE);
    g_value_set_double (&item, i / 3.0);
    gst_value_array_append_and_take_value (&array, &item);
  }
  gst_structure_take_value (structure, "probabilities", &array);
  line = json_line_from_structure (structure);
  g_assert_cmpuint (strcspn (line, "\n"), ==, strlen (line) - 1); /* one line */
  json_parser_load_from_data (parser, line, -1, &error);
  g_assert_no_error (error);
  object = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (
      json_object_get_string_member (object, "label"), ==, "a \"quoted\"\n\\ label \xc3\xa9");
  g_assert_cmpint (json_object_get_int_member (object, "index"), ==, -1);
  g_assert_cmpfloat (json_object_get_double_member (object, "probability"), ==, 0.1 + 0.2);
  g_assert_true (json_object_get_null_member (object, "timestamp"));
  g_assert_cmpint (json_object_get_int_member (object, "duration"), ==, (gint64)1 << 62);
  g_assert_true (json_object_get_null_member (object, "bad"));
  g_assert_false (json_object_get_boolean_member (object, "off"));
  g_assert_cmpfloat (
      json_array_get_double_element (json_object_get_array_member (object, "probabilities"), 1), ==,
      1 / 3.0);
  gst_structure_free (structure);
}

/* --- regions -----------------------------------------------------------------------------------
 */

static void
test_crop (void)
{
  static const struct {
    const char *string;
    gboolean ok;
    double x, y, width, height; /* of an area at 10,20 of 200x100 */
  } cases[] = {
    { NULL, TRUE, 10, 20, 200, 100 },
    { "", TRUE, 10, 20, 200, 100 },
    { "1,2,30,40", TRUE, 11, 22, 30, 40 },
    { " 1, 2, 30, 4000", TRUE, 11, 22, 30, 98 },
    { "0.25,0,0.5,1", TRUE, 60, 20, 100, 100 },
    { "25%,0%,50%,100%", TRUE, 60, 20, 100, 100 },
    { "0.9,0.9,0.5,0.5", TRUE, 190, 110, 20, 10 },
    { "1,2,3", FALSE },
    { "1,2,3,4,5", FALSE },
    { "-1,0,5,5", FALSE },
    { "0,0,0,5", FALSE },
    { "0.5,0,2,1", FALSE },
    { "nan,0,5,5", FALSE },
    { "a,b,c,d", FALSE },
    { "1,2,3,4x", FALSE },
  };
  const NnRect area = { 10, 20, 200, 100 };
  NnRect rect;
  Crop crop;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_cmpint (crop_parse (cases[i].string, &crop, &error), ==, cases[i].ok);
    if (!cases[i].ok) {
      g_assert_nonnull (strstr (error->message, cases[i].string));
      continue;
    }
    g_assert_true (crop_apply (&crop, &area, &rect));
    g_assert_cmpfloat_with_epsilon (rect.x, cases[i].x, 1e-9);
    g_assert_cmpfloat_with_epsilon (rect.y, cases[i].y, 1e-9);
    g_assert_cmpfloat_with_epsilon (rect.width, cases[i].width, 1e-9);
    g_assert_cmpfloat_with_epsilon (rect.height, cases[i].height, 1e-9);
  }
  crop_parse ("500,0,10,10", &crop, NULL);
  g_assert_false (crop_apply (&crop, &area, &rect));
}

static void
test_regions (void)
{
  GstBuffer *buffer = gst_buffer_new ();
  static const char *const cats[] = { "cat", NULL };
  const NnRect area = { 0, 0, 100, 100 };
  Region regions[8];

  gst_buffer_add_video_region_of_interest_meta (buffer, "cat", 10, 10, 20, 20)->id = 7;
  gst_buffer_add_video_region_of_interest_meta (buffer, "dog", 0, 0, 50, 50)->id = 8;
  gst_buffer_add_video_region_of_interest_meta (buffer, "cat", 90, 90, 60, 60)->id = 9;
  gst_buffer_add_video_region_of_interest_meta (buffer, "cat", 200, 0, 60, 60)->id = 10;
  g_assert_cmpuint (regions_collect (buffer, &area, NULL, 8, regions), ==, 3);
  g_assert_cmpint (regions[0].id, ==, 8); /* the largest first */
  g_assert_cmpint (regions[1].id, ==, 7);
  g_assert_cmpint (regions[2].id, ==, 9); /* what of it is in the picture */
  g_assert_cmpfloat (regions[2].rect.width, ==, 10);
  g_assert_cmpuint (regions_collect (buffer, &area, cats, 8, regions), ==, 2);
  g_assert_cmpint (regions[0].id, ==, 7);
  g_assert_cmpstr (g_quark_to_string (regions[0].label), ==, "cat");
  g_assert_cmpuint (regions_collect (buffer, &area, NULL, 1, regions), ==, 1);
  g_assert_cmpint (regions[0].id, ==, 8);
  gst_buffer_unref (buffer);

  buffer = gst_buffer_new (); /* thousands, the largest at the end */
  for (int i = 0; i < 5000; i++)
    gst_buffer_add_video_region_of_interest_meta (
        buffer, i % 2 ? "cat" : "dog", 0, 0, 1 + i / 100, 1 + i % 100)
        ->id = i;
  g_assert_cmpuint (regions_collect (buffer, &area, cats, 8, regions), ==, 8);
  g_assert_cmpint (regions[0].id, ==, 4999);
  gst_buffer_unref (buffer);

  regions[0] = (Region){ .id = 3, .rect = { 0, 0, 10, 10 } };
  regions[1] = (Region){ .id = 3, .rect = { 50, 50, 10, 10 } };
  regions[2] = (Region){ .id = -1, .rect = { 1, 1, 10, 10 } };
  regions[3] = (Region){ .id = -1, .rect = { 8, 8, 10, 10 } };
  regions[4] = (Region){ .is_whole = TRUE, .id = -1, .rect = { 0, 0, 10, 10 } };
  g_assert_true (region_matches (&regions[0], &regions[1]));
  g_assert_true (region_matches (&regions[0], &regions[2]));
  g_assert_false (region_matches (&regions[0], &regions[3]));
  g_assert_false (region_matches (&regions[0], &regions[4]));
  g_assert_true (region_matches (&regions[4], &regions[4]));
}

static void
test_stats (void)
{
  static const double percents[] = { 50, 95, 99, 100 };
  g_autofree Stats *stats = g_new0 (Stats, 1);
  GstClockTime times[4];

  stats_get_percentiles (stats, percents, times, 4);
  g_assert_cmpuint (times[0], ==, 0);
  stats_add (stats, 42);
  stats_get_percentiles (stats, percents, times, 4);
  g_assert_cmpuint (times[0], ==, 42);
  g_assert_cmpuint (times[2], ==, 42);
  for (guint i = 0; i < 3 * STATS_WINDOW; i++) /* 1..1024 remain, in disorder */
    stats_add (stats, 1 + (i * 421u) % STATS_WINDOW);
  stats_get_percentiles (stats, percents, times, 4);
  g_assert_cmpuint (times[0], ==, 512);
  g_assert_cmpuint (times[1], ==, 973); /* ceil (0.95 * 1024) */
  g_assert_cmpuint (times[2], ==, 1014);
  g_assert_cmpuint (times[3], ==, 1024);
}

/* --- publisher ------------------------------------------------------------------------- */

static Settings
make_settings (void)
{
  const Settings settings = { .top_k = 2,
    .message_interval = GST_SECOND,
    .collect_rate = 1,
    .smoothing = { SMOOTHING_NONE, 0, 0.3, 0 } };

  return settings;
}

/* What a task of @n_regions regions of two classes is to the publisher. */
static void
fill_task (Task *task, Publisher *publisher, guint n_regions, GstClockTime pts)
{
  task->generation = publisher_get_generation (publisher);
  task->frame++;
  task->pts = task->running_time = task->stream_time = pts;
  task->duration = FRAME;
  task->n_regions = n_regions;
  task->n_views = 1;
}

static void
unref_results (News *news, guint n)
{
  for (guint i = 0; i < n; i++)
    result_unref (news[i].result);
}

/* What was under way when a generation ended is turned away and changes nothing. */
static void
test_publisher_generations (void)
{
  static const char *labels[] = { "cat", "dog" };
  static GQuark quarks[2];
  Runtime runtime = { .n_classes = 2, .labels = labels, .quarks = quarks, .model_name = "m" };
  Region region = { .is_whole = TRUE, .id = -1 };
  float probabilities[] = { 0.75f, 0.25f };
  Task task = { .runtime = &runtime, .regions = &region, .probabilities = probabilities };
  const Settings settings = make_settings ();
  HeatMap map = { .ref_count = 4, .region = region };
  Publisher *publisher = publisher_new ();
  Result *result;
  News news;

  runtime.device_name = "d";
  publisher_prepare (publisher, 2);
  for (guint how = 0; how < 2; how++) {
    fill_task (&task, publisher, 1, how * GST_SECOND);
    map.generation = task.generation;
    if (how == 0)
      publisher_forget (publisher);
    else
      publisher_prepare (publisher, 2);
    g_assert_false (publisher_take (publisher, &task, &settings, 0, &news));
    g_assert_false (publisher_has_results (publisher));
    g_assert_false (publisher_begin_collection (publisher, &task, &settings));
    g_assert_false (publisher_take_heat_map (publisher, &map));
  }
  g_assert_cmpint (map.ref_count, ==, 2);

  fill_task (&task, publisher, 1, 0);
  g_assert_true (publisher_take (publisher, &task, &settings, 0, &news));
  g_assert_true (news.is_changed && news.is_due);
  g_assert_true (publisher_begin_collection (publisher, &task, &settings));
  unref_results (&news, 1);
  fill_task (&task, publisher, 1, GST_SECOND / 2);
  g_assert_true (publisher_take (publisher, &task, &settings, 0, &news));
  g_assert_false (news.is_changed || news.is_due);
  g_assert_false (publisher_is_collection_due (publisher, task.pts, &settings));
  unref_results (&news, 1);

  map.generation = task.generation;
  g_assert_true (publisher_take_heat_map (publisher, &map));
  g_assert_cmpint (map.ref_count, ==, 2);
  publisher_forget (publisher); /* all of that */
  g_assert_cmpint (map.ref_count, ==, 1);
  g_assert_false (publisher_has_results (publisher));
  g_assert_null (publisher_get_result (publisher));
  g_assert_true (publisher_is_collection_due (publisher, task.pts, &settings));
  fill_task (&task, publisher, 1, GST_SECOND / 2);
  g_assert_true (publisher_take (publisher, &task, &settings, 0, &news));
  g_assert_true (news.is_changed && news.is_due);
  unref_results (&news, 1);

  publisher_prepare (publisher, 2); /* another model: its results come, the last one stays */
  result = publisher_get_result (publisher);
  g_assert_cmpstr (result_get_label (result), ==, "cat");
  result_unref (result);
  publisher_free (publisher);
}

/* The label is the steady one; what the network itself said is told beside it, and each region
 * has a memory of its own. */
static void
test_publisher_raw_label (void)
{
  static const char *labels[] = { "cat", "dog" };
  static GQuark quarks[2];
  Runtime runtime = { .n_classes = 2, .labels = labels, .quarks = quarks };
  Region regions[] = { { .id = 1, .rect = { 0, 0, 8, 8 } }, { .id = 2, .rect = { 8, 8, 8, 8 } } };
  float probabilities[] = { 0.9f, 0.1f, 0.1f, 0.9f };
  Task task = { .runtime = &runtime, .regions = regions, .probabilities = probabilities };
  const Settings settings = make_settings ();
  Publisher *publisher = publisher_new ();
  const char *expected[] = { "cat", "dog" };
  News news[2];

  runtime.model_name = runtime.device_name = "m";
  publisher_prepare (publisher, 2);
  for (guint frame = 0; frame < 2; frame++) {
    if (frame == 1) { /* not by enough to change the labels */
      probabilities[0] = probabilities[3] = 0.4375f;
      probabilities[1] = probabilities[2] = 0.5625f;
    }
    fill_task (&task, publisher, 2, frame * FRAME);
    g_assert_true (publisher_take (publisher, &task, &settings, 0, news));
    for (guint r = 0; r < 2; r++) {
      const GstStructure *s = news[r].result->structure;
      double raw = 0;

      g_assert_cmpstr (gst_structure_get_string (s, "label"), ==, expected[r]);
      g_assert_cmpstr (
          gst_structure_get_string (s, "raw-label"), ==, expected[frame == 0 ? r : 1 - r]);
      g_assert_true (gst_structure_get_double (s, "raw-probability", &raw));
      g_assert_cmpfloat (raw, ==, (double)(frame == 0 ? 0.9f : 0.5625f));
    }
    unref_results (news, 2);
  }
  publisher_free (publisher);
}

/* --- engine
 * ---------------------------------------------------------------------------------------- */

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"t\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
      " \"batch_input_shape\": [null, 1, 1, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 2,"
      " \"activation\": \"linear\"}}]}}";

static NnModel *
make_model (void)
{
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (network, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, 5, &error);
  g_assert_no_error (error);
  return model;
}

static void
expect_outputs (NnModel *model, const EngineJob *job)
{
  const NnLayer *layer = &model->layers[model->output];

  for (guint s = 0; s < job->n; s++)
    for (guint u = 0; u < 2; u++) {
      double sum = layer->params[1].data[u];

      for (guint i = 0; i < 3; i++)
        sum += (double)job->input[3 * s + i] * layer->params[0].data[2 * i + u];
      g_assert_cmpfloat_with_epsilon (job->output[2 * s + u], sum, 1e-5);
    }
}

static void
fill (EngineJob *job, guint n, GRand *rand)
{
  job->n = n;
  for (guint i = 0; i < 3 * n; i++)
    job->input[i] = (float)g_rand_double (rand);
}

/* jobs smaller and larger than a batch, in engines of every kind */
static void
test_engine_runs (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autoptr (EnginePool) pool = engine_pool_get_default ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint kind = ENGINE_DIRECT; kind <= ENGINE_SHARED; kind++) {
    const EngineOptions options
        = { .kind = kind, .device = "cpu", .threads = 1, .batch = 4, .timeout = 0 };
    GError *error = NULL;
    EngineClient *client = engine_client_new (pool, model, &options, &error);
    EngineJob *small, *large;
    guint64 n_runs, n_samples;
    guint depth;

    g_assert_no_error (error);
    small = engine_job_new (client, 3);
    large = engine_job_new (client, 11);
    for (guint round = 0; round < 20; round++) {
      fill (small, 1 + round % 3, rand);
      g_assert_true (engine_job_run (small));
      expect_outputs (model, small);
      fill (large, 1 + round % 11, rand);
      g_assert_true (engine_job_run (large));
      expect_outputs (model, large);
    }
    engine_client_get_load (client, &depth, &n_runs, &n_samples);
    g_assert_cmpuint (depth, ==, 0);
    g_assert_cmpuint (n_samples, ==, 39 + 111);
    engine_client_free (client);
    engine_job_free (small);
    engine_job_free (large);
  }
}

typedef struct {
  GMutex lock;
  GCond cond;
  gboolean may_go;
  guint n_done;
} Gate;

static void
on_done (EngineJob *job, gpointer user_data)
{
  Gate *gate = user_data;

  g_mutex_lock (&gate->lock);
  gate->n_done++;
  g_cond_broadcast (&gate->cond);
  while (!gate->may_go)
    g_cond_wait (&gate->cond, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

/* A job that waits can be taken back; one that runs, or whose done() does, cannot. */
static void
test_engine_withdraw (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autoptr (EnginePool) pool = engine_pool_get_default ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  const EngineOptions options
      = { .kind = ENGINE_THREADED, .device = "cpu", .threads = 1, .batch = 1 };
  GError *error = NULL;
  EngineClient *client = engine_client_new (pool, model, &options, &error);
  EngineJob *a = engine_job_new (client, 1), *b = engine_job_new (client, 1);
  Gate gate = { .n_done = 0 };

  g_mutex_init (&gate.lock);
  g_cond_init (&gate.cond);
  a->done = b->done = on_done;
  a->user_data = b->user_data = &gate;
  fill (a, 1, rand);
  fill (b, 1, rand);
  engine_job_submit (a);
  g_mutex_lock (&gate.lock);
  while (gate.n_done == 0)
    g_cond_wait (&gate.cond, &gate.lock);
  g_mutex_unlock (&gate.lock);
  g_assert_false (engine_job_is_idle (a));
  g_assert_false (engine_job_withdraw (a));
  engine_job_submit (b);
  g_assert_true (engine_job_withdraw (b));
  g_assert_true (engine_job_is_idle (b));
  engine_job_submit (b);
  g_mutex_lock (&gate.lock);
  gate.may_go = TRUE;
  g_cond_broadcast (&gate.cond);
  g_mutex_unlock (&gate.lock);
  engine_client_wait (client);
  g_assert_cmpuint (gate.n_done, ==, 2);
  expect_outputs (model, a);
  expect_outputs (model, b);
  engine_job_submit (a); /* may be dropped, is never left behind */
  engine_client_free (client);
  engine_job_free (a);
  engine_job_free (b);
  g_mutex_clear (&gate.lock);
  g_cond_clear (&gate.cond);
}

enum {
  N_STREAMS = 5,
  N_ROUNDS = 6,
};

typedef struct {
  Gate gate;
  guint order[N_STREAMS * N_ROUNDS], n;
  guint64 runs;
} Log;

typedef struct {
  Log *log;
  guint stream;
} Entry;

static void
on_logged (EngineJob *job, gpointer user_data)
{
  Entry *entry = user_data;
  Log *log = entry->log;

  g_mutex_lock (&log->gate.lock);
  log->order[log->n++] = entry->stream;
  g_mutex_unlock (&log->gate.lock);
}

/* While the engine is held up every stream queues its jobs, the first all of its
 * before the others: they are served in turn none the less, a full batch each. */
static void
test_engine_is_fair (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autoptr (EnginePool) pool = g_object_new (ENGINE_TYPE_POOL, NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  const EngineOptions options = { .kind = ENGINE_SHARED,
    .device = "cpu",
    .threads = 1,
    .batch = 2 * N_STREAMS,
    .timeout = G_MAXINT64 / 2 };
  EngineClient *clients[N_STREAMS], *silent;
  EngineJob *jobs[N_STREAMS][N_ROUNDS], *first;
  Entry entries[N_STREAMS];
  Log log = { .n = 0 };
  guint64 n_runs, n_samples;
  GError *error = NULL;
  guint depth;

  g_mutex_init (&log.gate.lock);
  g_cond_init (&log.gate.cond);
  for (guint i = 0; i < N_STREAMS; i++) {
    entries[i] = (Entry){ &log, i };
    clients[i] = engine_client_new (pool, model, &options, &error);
    g_assert_no_error (error);
    for (guint k = 0; k < N_ROUNDS; k++) {
      jobs[i][k] = engine_job_new (clients[i], 2);
      jobs[i][k]->done = on_logged;
      jobs[i][k]->user_data = &entries[i];
      fill (jobs[i][k], 2, rand);
    }
  }
  silent = engine_client_new (pool, model, &options, &error); /* never sends: not waited for */
  g_assert_cmpuint (engine_client_get_n_clients (silent), ==, N_STREAMS + 1);
  first = engine_job_new (clients[0], 1);
  first->done = on_done;
  first->user_data = &log.gate;
  fill (first, 1, rand);
  engine_job_submit (first);
  g_mutex_lock (&log.gate.lock);
  while (log.gate.n_done == 0)
    g_cond_wait (&log.gate.cond, &log.gate.lock);
  g_mutex_unlock (&log.gate.lock);
  for (guint i = 0; i < N_STREAMS; i++)
    for (guint k = 0; k < N_ROUNDS; k++)
      engine_job_submit (jobs[i][k]);
  engine_client_get_load (silent, &depth, &n_runs, &n_samples);
  g_assert_cmpuint (depth, ==, N_STREAMS * N_ROUNDS);
  g_mutex_lock (&log.gate.lock);
  log.gate.may_go = TRUE;
  g_cond_broadcast (&log.gate.cond);
  g_mutex_unlock (&log.gate.lock);
  for (guint i = 0; i < N_STREAMS; i++)
    engine_client_wait (clients[i]);

  g_assert_cmpuint (log.n, ==, N_STREAMS * N_ROUNDS);
  for (guint round = 0; round < N_ROUNDS; round++) {
    guint seen = 0;

    for (guint i = 0; i < N_STREAMS; i++)
      seen |= 1u << log.order[round * N_STREAMS + i];
    g_assert_cmpuint (seen, ==, (1u << N_STREAMS) - 1);
  }
  engine_client_get_load (silent, &depth, &n_runs, &n_samples);
  g_assert_cmpuint (n_runs, ==, 1 + N_ROUNDS);
  g_assert_cmpuint (n_samples, ==, 1 + 2 * N_STREAMS * N_ROUNDS);
  engine_client_free (silent);
  for (guint i = 0; i < N_STREAMS; i++) {
    for (guint k = 0; k < N_ROUNDS; k++)
      expect_outputs (model, jobs[i][k]);
    engine_client_free (clients[i]);
    for (guint k = 0; k < N_ROUNDS; k++)
      engine_job_free (jobs[i][k]);
  }
  engine_job_free (first);
  g_mutex_clear (&log.gate.lock);
  g_cond_clear (&log.gate.cond);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/parts/smoother/exponential", test_exponential);
  g_test_add_func ("/parts/smoother/rate", test_exponential_does_not_know_the_rate);
  g_test_add_func ("/parts/smoother/majority", test_majority);
  g_test_add_func ("/parts/smoother/hysteresis-and-hold", test_hysteresis_and_hold);
  g_test_add_func ("/parts/smoother/times", test_smoother_times);
  g_test_add_func ("/parts/thumbnail", test_thumbnail);
  g_test_add_func ("/parts/cues", test_cues);
  g_test_add_func ("/parts/cues-pieces", test_cues_pieces);
  g_test_add_func ("/parts/cues-times", test_cues_times);
  g_test_add_func ("/parts/cue-text", test_cue_text);
  g_test_add_func ("/parts/text-pad-is-bounded", test_text_pad_is_bounded);
  g_test_add_func ("/parts/captioner", test_captioner);
  g_test_add_func ("/parts/json", test_json);
  g_test_add_func ("/parts/crop", test_crop);
  g_test_add_func ("/parts/regions", test_regions);
  g_test_add_func ("/parts/stats", test_stats);
  g_test_add_func ("/parts/publisher/generations", test_publisher_generations);
  g_test_add_func ("/parts/publisher/raw-label", test_publisher_raw_label);
  g_test_add_func ("/parts/engine/runs", test_engine_runs);
  g_test_add_func ("/parts/engine/fair", test_engine_is_fair);
  g_test_add_func ("/parts/engine/withdraw", test_engine_withdraw);
  return g_test_run ();
}
