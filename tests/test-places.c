/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where results lie, behind elements that move the picture: a rectangle goes where that of a
 * GstVideoRegionOfInterestMeta goes, or goes away where nobody tells. Judged by the
 * region's meta on the same buffer, and by the pixels that classifyoverlay draws. */

#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/classify/classify.h>
#include <gst/video/video.h>
#include <string.h>

#include "tests/two-colors.h"

#define WIDTH 64
#define HEIGHT 48
#define I420 "video/x-raw,format=I420,width=64,height=48,framerate=25/1"
#define RGB "video/x-raw,format=RGB,width=64,height=48,framerate=25/1"

typedef enum {
  STAYS,  /* as it was */
  MOVES,  /* as the region's meta does */
  GOES,   /* the result stays, its rectangle does not */
  SPLITS, /* GOES where the region's meta goes, as in GStreamer up to 1.26; else MOVES */
} Fate;

static char *dir, *model_path;

static gboolean
has_elements (const char *names)
{
  g_auto (GStrv) list = g_strsplit (names, " ", -1);

  for (guint i = 0; list[i]; i++) {
    g_autoptr (GstElementFactory) factory = gst_element_factory_find (list[i]);

    if (!factory)
      return FALSE;
  }
  return TRUE;
}

static GstBuffer *
noise_frame (const char *caps_string, guint n)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (caps_string);
  g_autoptr (GRand) rand = g_rand_new_with_seed (n + 1);
  GstVideoInfo info;
  GstBuffer *buffer;
  GstMapInfo map;

  g_assert_true (gst_video_info_from_caps (&info, caps));
  buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8)g_rand_int (rand);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = n * FRAME;
  GST_BUFFER_DURATION (buffer) = FRAME;
  return buffer;
}

static GstHarness *
harness_new (const char *properties, const char *after, const char *caps)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu threads=1 model=\"%s\" %s %s", model_path, properties,
      after);
  GstHarness *h = gst_harness_new_parse (line);

  gst_harness_set_src_caps_str (h, caps);
  return h;
}

/* What comes out for a frame with such regions; the last of several, for encoders. */
static GstBuffer *
push (GstHarness *h, GstBuffer *frame, const GstVideoRectangle *regions, guint n)
{
  for (guint i = 0; i < n; i++)
    gst_buffer_add_video_region_of_interest_meta (frame, "thing", (guint)regions[i].x,
        (guint)regions[i].y, (guint)regions[i].w, (guint)regions[i].h)
        ->id
        = 7 + (int)i;
  g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  gst_harness_push_event (h, gst_event_new_eos ());
  return gst_harness_pull (h);
}

static gboolean
get_rectangle (const GstStructure *s, GstVideoRectangle *r)
{
  return gst_structure_get (s, "x", G_TYPE_INT, &r->x, "y", G_TYPE_INT, &r->y, "width", G_TYPE_INT,
      &r->w, "height", G_TYPE_INT, &r->h, NULL);
}

static const GstStructure *
next_result (GstBuffer *buffer, gpointer *state)
{
  GstMeta *meta = gst_buffer_iterate_meta_filtered (
      buffer, state, gst_meta_get_info (GST_CLASSIFY_META_NAME)->api);

  return meta ? gst_custom_meta_get_structure ((GstCustomMeta *)meta) : NULL;
}

static void
expect_rectangle (const GstStructure *s, const GstVideoRectangle *expected)
{
  GstVideoRectangle r;

  g_assert_true (get_rectangle (s, &r));
  g_assert_cmpint (r.x, ==, expected->x);
  g_assert_cmpint (r.y, ==, expected->y);
  g_assert_cmpint (r.w, ==, expected->w);
  g_assert_cmpint (r.h, ==, expected->h);
}

static void
expect_fate (GstBuffer *out, const GstStructure *s, int id, const GstVideoRectangle *before,
    Fate fate)
{
  GstVideoRegionOfInterestMeta *roi = gst_buffer_get_video_region_of_interest_meta_id (out, id);
  GstVideoRectangle now = *before;

  if (fate == MOVES) {
    g_assert_nonnull (roi);
    now = (GstVideoRectangle){ (int)roi->x, (int)roi->y, MAX ((int)roi->w, 1),
      MAX ((int)roi->h, 1) }; /* less than a pixel is one */
  }
  if (fate == GOES) {
    g_assert_false (get_rectangle (s, &now));
    g_assert_false (gst_structure_has_field (s, "width"));
  } else {
    expect_rectangle (s, &now);
  }
}

static const struct {
  const char *needs, *line;
  Fate fate;
} ways[] = {
  { "queue tee", "! tee ! queue", STAYS },
  { "videobalance", "! videobalance hue=0.5", STAYS },
  { "identity", "! identity", STAYS },
  { "videoconvert", "! videoconvert ! capsfilter caps=\"video/x-raw,format=RGB\"", STAYS },
  { "videoscale", "! videoscale ! capsfilter caps=\"video/x-raw,width=32,height=24\"", MOVES },
  { "videoscale", "! videoscale ! capsfilter caps=\"video/x-raw,width=96,height=36\"", MOVES },
  { "videoscale", "! videoscale ! capsfilter caps=\"video/x-raw,width=43\"", MOVES },
  { "videoscale videoconvert",
      "! videoconvert ! videoscale ! capsfilter caps=\"video/x-raw,format=BGRx,width=256\" ! "
      "videoconvert ! videoscale ! capsfilter caps=\"video/x-raw,format=NV12,width=128\"",
      MOVES },
  { "avenc_mpeg4 avdec_mpeg4", "! avenc_mpeg4 ! avdec_mpeg4", STAYS },
  { "jpegenc jpegdec videoscale",
      "! videoscale ! capsfilter caps=\"video/x-raw,width=32,height=24\" ! jpegenc ! jpegdec",
      MOVES },
  /* the region's meta is in the wrong place here: it knows nothing of the borders */
  { "videoscale",
      "! videoscale add-borders=true ! "
      "capsfilter caps=\"video/x-raw,width=64,height=96,pixel-aspect-ratio=1/1\"",
      GOES },
  { "videocrop", "! videocrop left=4 top=2", SPLITS },
  { "videocrop", "! videocrop right=4", SPLITS },
  { "videobox", "! videobox left=-6", SPLITS },
  { "videoflip", "! videoflip video-direction=90r", SPLITS },
  { "videoflip", "! videoflip video-direction=180", SPLITS },
  { "videoflip", "! videoflip video-direction=90l", SPLITS },
  { "videoflip", "! videoflip video-direction=horiz", SPLITS },
  { "videoflip", "! videoflip video-direction=vert", SPLITS },
  { "videoflip", "! videoflip video-direction=ul-lr", SPLITS },
  { "videoflip", "! videoflip video-direction=ur-ll", SPLITS },
  { "videoscale videoflip",
      "! videoscale ! capsfilter caps=\"video/x-raw,width=32,height=24\" ! "
      "videoflip video-direction=horiz ! videoscale ! capsfilter caps=\"video/x-raw,width=64\"",
      SPLITS },
};

/* What is expected of way number @i: of GStreamer 1.28 on videoscale tells of its borders. */
static Fate
fate_of (guint i, GstBuffer *out)
{
  guint major, minor, micro, nano;

  gst_version (&major, &minor, &micro, &nano);
  if (ways[i].fate == SPLITS)
    return gst_buffer_get_video_region_of_interest_meta (out) ? MOVES : GOES;
  return ways[i].fate == GOES && minor >= 28 ? MOVES : ways[i].fate;
}

/* A part of the frame, in pixels: the region's meta of the same rectangle is not looked at by
 * the element, but goes the same way. */
static void
test_crop (void)
{
  static const GstVideoRectangle part = { 21, 10, 33, 25 };

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++) {
    gpointer state = NULL;
    const GstStructure *s;
    GstHarness *h;
    GstBuffer *out;
    gboolean moved = FALSE;

    if (!has_elements (ways[i].needs)) {
      g_test_message ("skipped: %s", ways[i].line);
      continue;
    }
    g_test_message ("%s", ways[i].line);
    h = harness_new ("crop=\"21,10,33,25\"", ways[i].line, I420);
    out = push (h, noise_frame (I420, 0), &part, 1);
    s = next_result (out, &state);
    g_assert_nonnull (s);
    g_assert_nonnull (gst_structure_get_string (s, "label"));
    expect_fate (out, s, 7, &part, fate_of (i, out));
    gst_structure_get_boolean (s, "moved", &moved);
    g_assert_true (moved == (fate_of (i, out) == GOES));
    g_assert_null (next_result (out, &state));
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* Detected things: each of the results is where its region is. */
static void
test_regions (void)
{
  static const GstVideoRectangle things[]
      = { { 0, 0, 40, 40 }, { 21, 13, 27, 31 }, { 63, 47, 1, 1 }, { 5, 3, 17, 9 } };

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++) {
    gpointer state = NULL;
    const GstStructure *s;
    GstHarness *h;
    GstBuffer *out;
    guint n = 0;
    int id;

    if (!has_elements (ways[i].needs))
      continue;
    g_test_message ("%s", ways[i].line);
    h = harness_new ("inference-region=roi-list", ways[i].line, I420);
    out = push (h, noise_frame (I420, 0), things, G_N_ELEMENTS (things));
    for (; (s = next_result (out, &state)); n++) {
      g_assert_true (gst_structure_get_int (s, "region", &id));
      g_assert_cmpstr (gst_structure_get_string (s, "region-label"), ==, "thing");
      expect_fate (out, s, id, &things[id - 7], fate_of (i, out));
    }
    g_assert_cmpuint (n, ==, G_N_ELEMENTS (things));
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* A result of the whole frame stays one; a heat map moves or goes away. */
static void
test_whole_frame (void)
{
  static const GstVideoRectangle all = { 0, 0, WIDTH, HEIGHT };

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++) {
    gpointer state = NULL;
    const GstStructure *s;
    GstVideoRectangle r;
    GstCustomMeta *map;
    GstHarness *h;
    GstBuffer *out;

    if (!has_elements (ways[i].needs))
      continue;
    g_test_message ("%s", ways[i].line);
    h = harness_new ("explain=cam", ways[i].line, I420);
    out = push (h, noise_frame (I420, 0), &all, 1);
    s = next_result (out, &state);
    g_assert_nonnull (s);
    g_assert_false (get_rectangle (s, &r));
    g_assert_false (gst_structure_has_field (s, "moved"));
    map = gst_buffer_get_custom_meta (out, GST_CLASSIFY_HEAT_MAP_META_NAME);
    if (ways[i].fate != SPLITS || fate_of (i, out) == GOES) /* one that is turned goes, too */
      g_assert_true ((map != NULL) == (fate_of (i, out) != GOES));
    if (map)
      expect_fate (out, gst_custom_meta_get_structure (map), 7, &all, fate_of (i, out));
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* Copies of a buffer, and two elements in a row that tell of the same part. */
static void
test_copies (void)
{
  static const GstVideoRectangle part = { 21, 10, 33, 25 };
  g_autofree char *second = g_strdup_printf (
      "! videoclassify device=cpu threads=1 model=\"%s\" crop=\"0,0,10,10\"", model_path);
  GstHarness *h = harness_new ("crop=\"21,10,33,25\"", second, I420);
  GstBuffer *out = push (h, noise_frame (I420, 0), NULL, 0);
  GstBuffer *copies[]
      = { gst_buffer_copy (out), gst_buffer_copy_deep (out), gst_buffer_new () };

  gst_buffer_copy_into (copies[2], out, GST_BUFFER_COPY_METADATA, 0, (gsize)-1);
  for (guint i = 0; i < G_N_ELEMENTS (copies); i++) {
    gpointer state = NULL;

    expect_rectangle (next_result (copies[i], &state), &part);
    expect_rectangle (next_result (copies[i], &state), &(GstVideoRectangle){ 0, 0, 10, 10 });
    g_assert_null (next_result (copies[i], &state));
    gst_buffer_unref (copies[i]);
  }
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* --- crops that a meta tells ------------------------------------------------------------- */

static GstHarness *
crop_harness_new (const char *line, const char *caps, gboolean by_meta)
{
  GstHarness *h = gst_harness_new_parse (line);

  if (by_meta) {
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_META_API_TYPE, NULL);
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_CROP_META_API_TYPE, NULL);
  }
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

/* the pixels that are seen, packed */
static GBytes *
visible_bytes (GstHarness *h, GstBuffer *buffer)
{
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (h->sinkpad);
  GByteArray *bytes = g_byte_array_new ();
  GstVideoFrame frame;
  GstVideoInfo info;

  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  for (int y = 0; y < info.height; y++)
    g_byte_array_append (bytes,
        (guint8 *)GST_VIDEO_FRAME_PLANE_DATA (&frame, 0)
            + (y + (crop ? (int)crop->y : 0)) * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0)
            + (crop ? (int)crop->x : 0) * 3,
        (guint)info.width * 3);
  gst_video_frame_unmap (&frame);
  return g_byte_array_free_to_bytes (bytes);
}

/* A detector: a thing at 9,7 of the picture that is seen. */
static GstPadProbeReturn
detect (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstBuffer *buffer = gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);

  gst_buffer_add_video_region_of_interest_meta (
      buffer, "thing", (crop ? crop->x : 0) + 9, (crop ? crop->y : 0) + 7, 20, 15);
  info->data = buffer;
  return GST_PAD_PROBE_OK;
}

typedef struct {
  GstStructure *result, *message;
  GBytes *bytes;
  GstVideoRectangle of_buffer, of_message; /* as the library tells */
} Outcome;

static Outcome
crop_and_classify (const char *crop, const char *properties, gboolean by_meta)
{
  g_autofree char *line = g_strdup_printf ("%s ! videoclassify name=c device=cpu threads=1 "
                                           "post-messages=all model=\"%s\" %s ! classifyoverlay",
      crop, model_path, properties);
  GstHarness *h = crop_harness_new (line, RGB, by_meta);
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (h->element), "c");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "sink");
  g_autoptr (GstClassifyResult) of_buffer = NULL, of_message = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBus) bus = gst_bus_new ();
  Outcome outcome = { 0 };
  gpointer state = NULL;
  GstBuffer *out;

  gst_element_set_bus (element, bus);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, detect, NULL, NULL);
  g_assert_cmpint (gst_harness_push (h, noise_frame (RGB, 1)), ==, GST_FLOW_OK);
  out = gst_harness_pull (h);
  g_assert_true ((gst_buffer_get_video_crop_meta (out) != NULL) == by_meta);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT);
  outcome.result = gst_structure_copy (next_result (out, &state));
  outcome.message = gst_structure_copy (gst_message_get_structure (message));
  outcome.bytes = visible_bytes (h, out);
  of_buffer = gst_classify_buffer_get_result (out);
  of_message = gst_classify_result_from_message (message);
  gst_classify_result_get_rectangle (of_buffer, &outcome.of_buffer.x, &outcome.of_buffer.y,
      &outcome.of_buffer.w, &outcome.of_buffer.h);
  gst_classify_result_get_rectangle (of_message, &outcome.of_message.x, &outcome.of_message.y,
      &outcome.of_message.w, &outcome.of_message.h);
  gst_buffer_unref (out);
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
  return outcome;
}

static void
outcome_clear (Outcome *outcome)
{
  gst_structure_free (outcome->result);
  gst_structure_free (outcome->message);
  g_bytes_unref (outcome->bytes);
}

static double
probability_of (const GstStructure *s)
{
  double probability = -1;

  gst_structure_get_double (s, "probability", &probability);
  return probability;
}

/* What the element and its neighbours make of a crop is the same whether it comes as pixels
 * or as a meta: label, probability, message, the picture that is drawn on; only in the
 * buffer's meta the rectangle counts from where those of the regions' metas do. */
static void
test_crop_meta (void)
{
  static const struct {
    const char *crop;
    int left, top;
  } crops[] = {
    { "videocrop left=10 top=4", 10, 4 },
    { "videocrop left=11 top=5 right=7 bottom=3", 11, 5 },
    { "videocrop right=7 bottom=3", 0, 0 },
    { "videocrop left=3 ! videocrop top=9 left=8", 11, 9 },
  };
  static const char *const properties[] = { "", "crop=\"5,3,12,20\"", "crop=\"0.5,0.25,0.5,0.5\"",
    "inference-region=roi-list", "inference-region=roi-list crop=\"0,0,20,20\"", "explain=cam",
    "explain=cam crop=\"5,3,12,20\"", "tta=crops5:0.5", "batch-size=4 batch-timeout=0" };

  if (!has_elements ("videocrop classifyoverlay")) {
    g_test_skip ("there is no videocrop, or no classifyoverlay");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (crops); i++)
    for (guint j = 0; j < G_N_ELEMENTS (properties); j++) {
      Outcome pixels = crop_and_classify (crops[i].crop, properties[j], FALSE);
      Outcome meta = crop_and_classify (crops[i].crop, properties[j], TRUE);
      GstVideoRectangle r, moved;

      g_test_message ("%s %s", crops[i].crop, properties[j]);
      g_assert_true (get_rectangle (pixels.result, &r) == get_rectangle (meta.result, &moved));
      if (gst_structure_has_field (pixels.result, "x")) {
        r.x += crops[i].left;
        r.y += crops[i].top;
        expect_rectangle (meta.result, &r);
        get_rectangle (pixels.message, &r);
        expect_rectangle (meta.message, &r);
        g_assert_cmpmem (&meta.of_buffer, sizeof r, &r, sizeof r);
        g_assert_cmpmem (&meta.of_message, sizeof r, &r, sizeof r);
      }
      g_assert_cmpstr (gst_structure_get_string (pixels.result, "label"), ==,
          gst_structure_get_string (meta.result, "label"));
      g_assert_cmpfloat_with_epsilon (
          probability_of (pixels.result), probability_of (meta.result), 1e-6);
      g_assert_true (g_bytes_equal (pixels.bytes, meta.bytes));
      outcome_clear (&pixels);
      outcome_clear (&meta);
    }
}

/* A crop by meta behind the element: the rectangle stays where the region's meta stays, and
 * the box is drawn where the thing is. */
static void
test_crop_meta_after (void)
{
  static const GstVideoRectangle part = { 21, 10, 33, 25 };
  static const char *const properties[]
      = { "crop=\"21,10,33,25\"", "inference-region=roi-list", "explain=cam" };

  if (!has_elements ("videocrop classifyoverlay")) {
    g_test_skip ("there is no videocrop, or no classifyoverlay");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    g_autofree char *line = g_strdup_printf ("videoclassify device=cpu threads=1 model=\"%s\" %s ! "
                                             "videocrop left=6 top=5 right=4 bottom=8 ! "
                                             "classifyoverlay heat-map=1 opacity=1",
        model_path, properties[i]);
    GstHarness *h = crop_harness_new (line, RGB, TRUE);
    GstBuffer *out = push (h, noise_frame (RGB, 1), &part, 1);
    g_autoptr (GstClassifyResult) result = gst_classify_buffer_get_result (out);
    g_autoptr (GstClassifyHeatMap) map = gst_classify_buffer_get_heat_map (out);
    GstVideoRectangle r = { 0 };
    gpointer state = NULL;

    if (i < 2) {
      expect_rectangle (next_result (out, &state), &part);
      g_assert_true (gst_classify_result_get_rectangle (result, &r.x, &r.y, &r.w, &r.h));
      g_assert_cmpint (r.x, ==, 15);
      g_assert_cmpint (r.y, ==, 5);
    } else {
      g_assert_nonnull (map);
      g_assert_true (gst_classify_heat_map_get_rectangle (map, &r.x, &r.y, &r.w, &r.h));
      g_assert_cmpint (r.x, ==, -6);
      g_assert_cmpint (r.y, ==, -5);
      g_assert_cmpint (r.w, ==, WIDTH);
      g_assert_cmpint (r.h, ==, HEIGHT);
    }
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* --- drawn ------------------------------------------------------------------------------- */

/* A picture of one colour is the same at any size, so what is drawn behind videoscale is what
 * is drawn where the part of the small picture was classified. */
static void
test_drawn_behind_scale (void)
{
  static const char *const lines[]
      = { "videoclassify %s crop=\"160,120,80,60\" ! videoscale ! "
          "capsfilter caps=\"video/x-raw,width=320,height=240\" ! classifyoverlay",
          "videoscale ! capsfilter caps=\"video/x-raw,width=320,height=240\" ! "
          "videoclassify %s crop=\"80,60,40,30\" ! classifyoverlay" };
  static const char caps[] = "video/x-raw,format=RGB,width=640,height=480,framerate=25/1";
  GBytes *bytes[2];

  if (!has_elements ("videoscale classifyoverlay")) {
    g_test_skip ("there is no videoscale, or no classifyoverlay");
    return;
  }
  for (guint i = 0; i < 2; i++) {
    g_autofree char *element
        = g_strdup_printf ("device=cpu threads=1 model=\"%s\" explain=cam", model_path);
    g_auto (GStrv) parts = g_strsplit (lines[i], "%s", 2);
    g_autofree char *line = g_strconcat (parts[0], element, parts[1], NULL);
    GstHarness *h = crop_harness_new (line, caps, FALSE);
    GstBuffer *frame = gst_buffer_new_allocate (NULL, 640 * 480 * 3, NULL), *out;

    gst_buffer_memset (frame, 0, 100, 640 * 480 * 3);
    GST_BUFFER_PTS (frame) = 0;
    out = push (h, frame, NULL, 0);
    bytes[i] = visible_bytes (h, out);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
  g_assert_true (g_bytes_equal (bytes[0], bytes[1]));
  for (gsize i = 0, n = 0; i < 320 * 240 * 3; i++) {
    n += ((const guint8 *)g_bytes_get_data (bytes[0], NULL))[i] != 100;
    g_assert_true (i + 1 < 320 * 240 * 3 || n > 100); /* something was drawn */
  }
  g_bytes_unref (bytes[0]);
  g_bytes_unref (bytes[1]);
}

int
main (int argc, char **argv)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("classify-test-XXXXXX", NULL);
  model_path = g_build_filename (dir, "color.h5", NULL);
  write_color_model (model_path, labels);
  g_test_add_func ("/places/crop", test_crop);
  g_test_add_func ("/places/regions", test_regions);
  g_test_add_func ("/places/whole-frame", test_whole_frame);
  g_test_add_func ("/places/copies", test_copies);
  g_test_add_func ("/places/crop-meta", test_crop_meta);
  g_test_add_func ("/places/crop-meta-after", test_crop_meta_after);
  g_test_add_func ("/places/drawn-behind-scale", test_drawn_behind_scale);
  status = g_test_run ();
  g_unlink (model_path);
  g_rmdir (dir);
  g_free (model_path);
  g_free (dir);
  return status;
}
