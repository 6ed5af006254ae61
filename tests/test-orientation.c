/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The orientation of a stream: what the network is given of frames with the tag is, to the bit,
 * what it is given behind videoflip; what stays in the frame's pixels does; and the command says
 * the same of a picture with EXIF. */

#define _GNU_SOURCE /* memmem */
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/input-dump.h"
#include "nn/keras-file.h"
#include "tests/folders.h"

#define WIDTH 10 /* of the network's input */
#define HEIGHT 12
#define N_WAYS 8

/* the tag, and what videoflip calls it */
static const struct
{
  const char *tag, *direction;
  guint exif;
  gboolean is_transposed;
} ways[N_WAYS] = {
  { "rotate-0", "identity", 1, FALSE },
  { "rotate-90", "90r", 6, TRUE },
  { "rotate-180", "180", 3, FALSE },
  { "rotate-270", "90l", 8, TRUE },
  { "flip-rotate-0", "horiz", 2, FALSE },
  { "flip-rotate-180", "vert", 4, FALSE },
  { "flip-rotate-270", "ul-lr", 5, TRUE },
  { "flip-rotate-90", "ur-ll", 7, TRUE },
};

static char *dir, *models[NN_N_ASPECTS];
static const char *classify_exe;

/* --- helpers ------------------------------------------------------------------------ */

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"o\", \"layers\": ["
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\","
      " \"batch_input_shape\": [null, 12, 10, 3], \"filters\": 4,"
      " \"kernel_size\": [3, 3], \"activation\": \"relu\"}},"
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\"}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 3,"
      " \"activation\": \"softmax\"}}]}}";

static char *
make_model (NnAspect aspect)
{
  g_autofree char *name = g_strdup_printf ("%d.h5", aspect);
  char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, &error);
  NnAugment augment;

  g_assert_no_error (error);
  nn_model_init_params (model, 3, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 3 * 4; i++) /* far from one half */
    model->layers[model->output].params[0].data[i] *= 20;
  nn_preprocess_init (&model->preprocess, WIDTH, HEIGHT);
  model->preprocess.resize = aspect == NN_ASPECT_STRETCH ? NN_RESIZE_AREA
      : aspect == NN_ASPECT_LETTERBOX                    ? NN_RESIZE_BILINEAR
                                                         : NN_RESIZE_NEAREST;
  model->preprocess.aspect = aspect;
  model->has_preprocess = TRUE;
  nn_augment_init (&augment);
  augment.rotation_range = 30;
  augment.zoom_range[0] = 0.6;
  augment.source_height = HEIGHT + 5;
  augment.source_width = WIDTH + 3;
  g_hash_table_replace (
      model->extra, g_strdup (NN_AUGMENT_ATTRIBUTE), nn_augment_to_json (&augment));
  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  return path;
}

static GstBuffer *
make_frame (const GstVideoInfo *info, guint seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8) g_rand_int (rand);
  if (GST_VIDEO_INFO_COMP_DEPTH (info, 0) > 8)
    for (gsize i = 1; i < map.size; i += 2)
      map.data[i] &= 3;
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = 0;
  GST_BUFFER_DURATION (buffer) = 40 * GST_MSECOND;
  return buffer;
}

static GstEvent *
make_tag (const char *value, GstTagScope scope)
{
  GstTagList *list = gst_tag_list_new_empty ();

  gst_tag_list_set_scope (list, scope);
  if (value)
    gst_tag_list_add (list, GST_TAG_MERGE_REPLACE, GST_TAG_IMAGE_ORIENTATION, value, NULL);
  else
    gst_tag_list_add (list, GST_TAG_MERGE_REPLACE, GST_TAG_TITLE, "nothing", NULL);
  return gst_event_new_tag (list);
}

/* @line with what all elements here have in place of %s. */
static GstHarness *
open_line (const char *before, NnAspect aspect, const char *properties)
{
  g_autofree char *line = g_strdup_printf (
      "%s videoclassify name=c device=cpu threads=1 model=\"%s\" %s", before, models[aspect],
      properties);

  return gst_harness_new_parse (line);
}

/* The first frame through @before and the element; (transfer full): it as it comes out. */
static GstBuffer *
run (const char *before, NnAspect aspect, const char *properties, const GstVideoInfo *info,
    const char *tag)
{
  GstHarness *h = open_line (before, aspect, properties);
  GstBuffer *out;

  gst_harness_set_src_caps (h, gst_video_info_to_caps (info));
  if (tag)
    g_assert_true (gst_harness_push_event (h, make_tag (tag, GST_TAG_SCOPE_STREAM)));
  out = gst_harness_push_and_pull (h, make_frame (info, 1));
  g_assert_nonnull (out);
  gst_harness_teardown (h);
  return out;
}

/* What the network is given of that frame; (transfer full). */
static NnInputDump *
dump (const char *before, NnAspect aspect, const char *properties, const GstVideoInfo *info,
    const char *tag)
{
  static guint n;
  g_autofree char *folder = g_strdup_printf ("%s/dump%u", dir, n++);
  g_autofree char *all = g_strdup_printf ("dump-input=\"%s\" %s", folder, properties);
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  NnInputDump *values;

  gst_buffer_unref (run (before, aspect, all, info, tag));
  path = find_file (folder, ".frame-000001.h5");
  g_assert_nonnull (path);
  values = nn_input_dump_read (path, &error);
  g_assert_no_error (error);
  return values;
}

static void
expect_equal (const NnInputDump *a, const NnInputDump *b, const char *what)
{
  const gsize n = (gsize) a->n_regions * a->n_views * nn_shape_count (&a->shape);

  g_assert_cmpuint (a->n_regions, ==, b->n_regions);
  g_assert_cmpuint (a->n_views, ==, b->n_views);
  for (gsize i = 0; i < n; i++)
    if (a->values[i] != b->values[i])
      g_error ("%s: value %zu of %zu is %g, behind videoflip %g", what, i, n,
          (double) a->values[i], (double) b->values[i]);
}

static const GstStructure *
structure_of (GstBuffer *buffer, const char *meta)
{
  GstCustomMeta *found = gst_buffer_get_custom_meta (buffer, meta);

  g_assert_nonnull (found);
  return gst_custom_meta_get_structure (found);
}

static double
probability_of (GstBuffer *buffer)
{
  double p;

  g_assert_true (gst_structure_get_double (
      structure_of (buffer, "GstVideoClassifyMeta"), "probability", &p));
  return p;
}

/* x, y, width and height of a result or a heat map */
static GstVideoRectangle
place_of (const GstStructure *s)
{
  GstVideoRectangle r;

  g_assert_true (gst_structure_get_int (s, "x", &r.x) && gst_structure_get_int (s, "y", &r.y)
      && gst_structure_get_int (s, "width", &r.w) && gst_structure_get_int (s, "height", &r.h));
  return r;
}

/* @r of a frame of @width x @height, turned by way @w */
static GstVideoRectangle
turn (guint w, int width, int height, GstVideoRectangle r)
{
  const int right = width - r.x - r.w, below = height - r.y - r.h;
  const GstVideoRectangle turned[N_WAYS] = {
    r,
    { below, r.x, r.h, r.w },
    { right, below, r.w, r.h },
    { r.y, right, r.h, r.w },
    { right, r.y, r.w, r.h },
    { r.x, below, r.w, r.h },
    { r.y, r.x, r.h, r.w },
    { below, right, r.h, r.w },
  };

  return turned[w];
}

static char *
flip_line (guint w)
{
  return g_strdup_printf ("videoflip video-direction=%s !", ways[w].direction);
}

/* --- the input ---------------------------------------------------------------------- */

/* every orientation x format x shape, all views and aspects in turn */
static void
test_input (void)
{
  static const char *const views[] = { "none", "flip", "crops5:0.6", "scales:1,1.3,0.8+flip",
    "random:3", "features:20" };
  static const GstVideoFormat formats[] = { GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_NV12,
    GST_VIDEO_FORMAT_RGB, GST_VIDEO_FORMAT_BGRx, GST_VIDEO_FORMAT_GRAY8, GST_VIDEO_FORMAT_Y444,
    GST_VIDEO_FORMAT_I420_10LE, GST_VIDEO_FORMAT_AYUV, GST_VIDEO_FORMAT_GRAY16_LE,
    GST_VIDEO_FORMAT_I420_12LE };
  static const guint sizes[][4] = { { 64, 48, 1, 1 }, { 37, 53, 1, 1 }, { 40, 40, 2, 1 } };
  guint i = 0;

  for (guint w = 0; w < N_WAYS; w++)
    for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
      for (guint k = 0; k < G_N_ELEMENTS (sizes); k++, i++) {
        const NnAspect aspect = (NnAspect) (i % NN_N_ASPECTS);
        g_autofree char *flip = flip_line (w);
        g_autofree char *properties = g_strdup_printf ("tta=%s", views[i % 6]);
        g_autofree char *what = g_strdup_printf ("%s, %s %ux%u, aspect %d, %s", ways[w].tag,
            gst_video_format_to_string (formats[f]), sizes[k][0], sizes[k][1], aspect,
            properties);
        g_autoptr (NnInputDump) turned = NULL, expected = NULL;
        GstVideoInfo info;

        /* videoflip moves the chroma of an odd size by half of its sample, unpacking does not */
        if (formats[f] == GST_VIDEO_FORMAT_I420_12LE && sizes[k][0] % 2)
          continue;
        gst_video_info_set_format (&info, formats[f], sizes[k][0], sizes[k][1]);
        info.par_n = (gint) sizes[k][2];
        info.par_d = (gint) sizes[k][3];
        turned = dump ("", aspect, properties, &info, ways[w].tag);
        expected = dump (flip, aspect, properties, &info, NULL);
        expect_equal (turned, expected, what);
      }
}

/* However the frame goes to the network, it says the same. */
static void
test_modes (void)
{
  static const char *const modes[] = { "mode=async", "batch-size=2", "change-threshold=0.01",
    "mode=async tta=crops5:0.6", "mode=async tta=flip batch-size=4" };
  static const GstVideoFormat formats[] = { GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_A420 };

  for (guint w = 0; w < N_WAYS; w++)
    for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
      for (guint m = 0; m < G_N_ELEMENTS (modes); m++) {
        const char *tta = strstr (modes[m], "tta=");
        g_autofree char *alone
            = g_strdup (tta ? tta : ""); /* batch-size behind it changes nothing */
        GstHarness *h = open_line ("", NN_ASPECT_STRETCH, modes[m]);
        g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (h->element), "c");
        g_autoptr (GstBuffer) sync = NULL;
        GstVideoInfo info;
        double probability;

        gst_video_info_set_format (&info, formats[f], 37, 53);
        sync = run ("", NN_ASPECT_STRETCH, alone, &info, ways[w].tag);
        gst_harness_set_src_caps (h, gst_video_info_to_caps (&info));
        gst_harness_push_event (h, make_tag (ways[w].tag, GST_TAG_SCOPE_STREAM));
        gst_buffer_unref (gst_harness_push_and_pull (h, make_frame (&info, 1)));
        gst_harness_push_event (h, gst_event_new_eos ()); /* waits for what is on its way */
        g_object_get (element, "probability", &probability, NULL);
        g_assert_cmpfloat_with_epsilon (probability, probability_of (sync), 1e-6);
        gst_clear_object (&element);
        gst_harness_teardown (h);
      }
}

/* --- the frame's pixels ------------------------------------------------------------- */

static void
test_crop (void)
{
  const GstVideoRectangle crop = { 5, 20, 17, 22 };

  for (guint w = 0; w < N_WAYS; w++) {
    const GstVideoRectangle to = turn (w, 40, 64, crop);
    g_autofree char *flip = flip_line (w);
    g_autofree char *there = g_strdup_printf ("crop=%d,%d,%d,%d", to.x, to.y, to.w, to.h);
    g_autoptr (NnInputDump) turned = NULL, expected = NULL;
    g_autoptr (GstBuffer) out = NULL;
    GstVideoRectangle place;
    GstVideoInfo info;

    gst_video_info_set_format (&info, GST_VIDEO_FORMAT_I420, 40, 64);
    turned = dump ("", NN_ASPECT_LETTERBOX, "crop=5,20,17,22", &info, ways[w].tag);
    expected = dump (flip, NN_ASPECT_LETTERBOX, there, &info, NULL);
    expect_equal (turned, expected, ways[w].tag);
    out = run ("", NN_ASPECT_LETTERBOX, "crop=5,20,17,22", &info, ways[w].tag);
    place = place_of (structure_of (out, "GstVideoClassifyMeta"));
    g_assert_cmpmem (&place, sizeof place, &crop, sizeof crop);
  }
}

/* Regions that a detector found in the frame. */
static void
test_regions (void)
{
  const GstVideoRectangle roi = { 3, 10, 22, 31 };

  for (guint w = 0; w < N_WAYS; w++) {
    GstHarness *h = open_line ("", NN_ASPECT_STRETCH, "inference-region=roi-list");
    g_autoptr (GstBuffer) out = NULL, cropped = NULL;
    GstVideoRectangle place;
    GstVideoInfo info;
    GstBuffer *frame;

    gst_video_info_set_format (&info, GST_VIDEO_FORMAT_NV12, 40, 64);
    gst_harness_set_src_caps (h, gst_video_info_to_caps (&info));
    gst_harness_push_event (h, make_tag (ways[w].tag, GST_TAG_SCOPE_GLOBAL));
    frame = make_frame (&info, 1);
    gst_buffer_add_video_region_of_interest_meta (
        frame, "face", (guint) roi.x, (guint) roi.y, (guint) roi.w, (guint) roi.h);
    out = gst_harness_push_and_pull (h, frame);
    place = place_of (structure_of (out, "GstVideoClassifyMeta"));
    g_assert_cmpmem (&place, sizeof place, &roi, sizeof roi);
    cropped = run ("", NN_ASPECT_STRETCH, "crop=3,10,22,31", &info, ways[w].tag);
    g_assert_cmpfloat (probability_of (out), ==, probability_of (cropped));
    gst_harness_teardown (h);
  }
}

/* What speaks for the label lies where it is in the frame. */
static void
test_heat_map (void)
{
  static const NnAspect aspects[] = { NN_ASPECT_STRETCH, NN_ASPECT_LETTERBOX };

  for (guint w = 0; w < N_WAYS; w++)
    for (guint a = 0; a < G_N_ELEMENTS (aspects); a++) {
      g_autofree char *flip = flip_line (w);
      g_autoptr (GstBuffer) out = NULL, behind = NULL;
      const GstStructure *map, *expected;
      GstVideoRectangle place, there;
      guint rows, columns, n_rows, n_columns;
      const guint8 *values, *turned;
      GstVideoInfo info;
      gsize size;

      gst_video_info_set_format (&info, GST_VIDEO_FORMAT_RGB, 40, 64);
      out = run ("", aspects[a], "explain=cam", &info, ways[w].tag);
      behind = run (flip, aspects[a], "explain=cam", &info, NULL);
      map = structure_of (out, "GstVideoClassifyHeatMap");
      expected = structure_of (behind, "GstVideoClassifyHeatMap");
      place = turn (w, 40, 64, place_of (map));
      there = place_of (expected);
      g_assert_cmpint (ABS (place.x - there.x), <=, 1); /* rounded on either side */
      g_assert_cmpint (ABS (place.y - there.y), <=, 1);
      g_assert_cmpint (place.w, ==, there.w);
      g_assert_cmpint (place.h, ==, there.h);
      gst_structure_get (
          map, "rows", G_TYPE_UINT, &rows, "columns", G_TYPE_UINT, &columns, NULL);
      gst_structure_get (
          expected, "rows", G_TYPE_UINT, &n_rows, "columns", G_TYPE_UINT, &n_columns, NULL);
      g_assert_cmpuint (ways[w].is_transposed ? columns : rows, ==, n_rows);
      g_assert_cmpuint (ways[w].is_transposed ? rows : columns, ==, n_columns);
      values = g_bytes_get_data (g_value_get_boxed (gst_structure_get_value (map, "map")), &size);
      turned
          = g_bytes_get_data (g_value_get_boxed (gst_structure_get_value (expected, "map")), &size);
      for (guint y = 0; y < rows; y++)
        for (guint x = 0; x < columns; x++) {
          const GstVideoRectangle to = turn (
              w, (int) columns, (int) rows, (GstVideoRectangle) { (int) x, (int) y, 1, 1 });

          g_assert_cmpuint (
              values[y * columns + x], ==, turned[(guint) to.y * n_columns + (guint) to.x]);
        }
    }
}

/* --- rules -------------------------------------------------------------------------- */

/* The stream's tag goes before the global one, a list without it takes it back, a new stream has
 * none; the property goes before all. */
static void
test_rules (void)
{
  enum { STREAM, GLOBAL, NEW_STREAM, SAME_STREAM, FLUSH, PROPERTY };
  static const struct
  {
    guint what;
    const char *value;
    guint way; /* then in force */
  } steps[] = { { STREAM, "rotate-90", 1 }, { SAME_STREAM, NULL, 1 }, { FLUSH, NULL, 1 },
    { GLOBAL, "rotate-180", 1 }, { STREAM, NULL, 2 }, { STREAM, "flip-rotate-0", 4 },
    { GLOBAL, NULL, 4 }, { STREAM, NULL, 0 }, { GLOBAL, "rotate-270", 3 },
    { PROPERTY, "vert", 5 }, { STREAM, "rotate-90", 5 }, { PROPERTY, "identity", 0 },
    { PROPERTY, "custom", 1 }, { NEW_STREAM, NULL, 0 }, { GLOBAL, "flip-rotate-90", 7 },
    { NEW_STREAM, NULL, 0 }, { STREAM, "rotate-17", 0 } };
  g_autofree char *folder = g_build_filename (dir, "rules", NULL);
  g_autofree char *properties = g_strdup_printf ("dump-input=\"%s\"", folder);
  GstHarness *h = open_line ("", NN_ASPECT_STRETCH, properties);
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (h->element), "c");
  GstVideoInfo info;
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_I420, 40, 64);
  gst_harness_set_src_caps (h, gst_video_info_to_caps (&info));
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    g_autofree char *name = g_strdup_printf (".frame-%06u.h5", i + 1), *path = NULL;
    g_autofree char *flip = flip_line (steps[i].way);
    g_autofree char *what = g_strdup_printf ("step %u", i);
    g_autofree char *stream_id = g_strdup_printf ("stream%u", i);
    g_autoptr (NnInputDump) got = NULL, expected = NULL;

    switch (steps[i].what) {
      case STREAM:
      case GLOBAL:
        gst_harness_push_event (h, make_tag (steps[i].value,
            steps[i].what == GLOBAL ? GST_TAG_SCOPE_GLOBAL : GST_TAG_SCOPE_STREAM));
        break;
      case PROPERTY:
        gst_util_set_object_arg (G_OBJECT (element), "video-direction", steps[i].value);
        break;
      case FLUSH:
        gst_harness_push_event (h, gst_event_new_flush_start ());
        gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
        gst_harness_push_event (h, gst_event_new_segment (&segment));
        break;
      default: /* the first one's name is the harness's own */
        if (steps[i].what == SAME_STREAM) {
          g_autoptr (GstEvent) first
              = gst_pad_get_sticky_event (h->srcpad, GST_EVENT_STREAM_START, 0);
          const char *same;

          gst_event_parse_stream_start (first, &same);
          gst_harness_push_event (h, gst_event_new_stream_start (same));
        } else {
          gst_harness_push_event (h, gst_event_new_stream_start (stream_id));
        }
        gst_harness_set_src_caps (h, gst_video_info_to_caps (&info));
        gst_harness_push_event (h, gst_event_new_segment (&segment));
    }
    gst_buffer_unref (gst_harness_push_and_pull (h, make_frame (&info, 1)));
    path = find_file (folder, name);
    g_assert_nonnull (path);
    got = nn_input_dump_read (path, NULL);
    g_assert_nonnull (got);
    expected = dump (flip, NN_ASPECT_STRETCH, "", &info, NULL);
    expect_equal (got, expected, what);
  }
  gst_clear_object (&element);
  gst_harness_teardown (h);
}

/* Frames that an element in front has turned are not turned again, whatever it does to the tag. */
static void
test_turned_before (void)
{
  static const char *const lines[] = { "videoflip video-direction=auto !",
    "videoflip video-direction=auto ! queue ! identity !",
    "( videoflip video-direction=auto ! identity ) !",
    "videoflip video-direction=%s !" };
  static const char *const behind[] = { "queue ! videoflip video-direction=identity !",
    "identity !" };

  for (guint w = 1; w < N_WAYS; w++) {
    g_autofree char *flip = flip_line (w);
    g_autoptr (NnInputDump) expected = NULL;
    GstVideoInfo info;

    gst_video_info_set_format (&info, GST_VIDEO_FORMAT_I420, 40, 64);
    expected = dump (flip, NN_ASPECT_CENTER_CROP, "video-direction=identity", &info, NULL);
    for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
      g_autoptr (NnInputDump) got = dump (i == 3 ? flip : lines[i], NN_ASPECT_CENTER_CROP, "",
          &info, ways[w].tag);

      expect_equal (got, expected, lines[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS (behind); i++) {
      g_autoptr (NnInputDump) got
          = dump (behind[i], NN_ASPECT_CENTER_CROP, "", &info, ways[w].tag);

      expect_equal (got, expected, behind[i]);
    }
  }
}

/* The frame itself and the tag go on as they came. */
static void
test_untouched (void)
{
  GstHarness *h = open_line ("", NN_ASPECT_STRETCH, "");
  g_autoptr (GstBuffer) out = NULL, frame = NULL;
  gboolean has_tag = FALSE;
  GstVideoInfo info;
  GstMapInfo a, b;
  GstEvent *event;

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_I420, 40, 64);
  gst_harness_set_src_caps (h, gst_video_info_to_caps (&info));
  gst_harness_push_event (h, make_tag ("rotate-90", GST_TAG_SCOPE_STREAM));
  frame = make_frame (&info, 1);
  out = gst_harness_push_and_pull (h, make_frame (&info, 1));
  gst_buffer_map (frame, &a, GST_MAP_READ);
  gst_buffer_map (out, &b, GST_MAP_READ);
  g_assert_cmpmem (a.data, a.size, b.data, b.size);
  gst_buffer_unmap (frame, &a);
  gst_buffer_unmap (out, &b);
  while ((event = gst_harness_try_pull_event (h))) {
    g_autofree char *value = NULL;
    GstTagList *list;

    if (GST_EVENT_TYPE (event) == GST_EVENT_TAG) {
      gst_event_parse_tag (event, &list);
      has_tag |= gst_tag_list_get_string (list, GST_TAG_IMAGE_ORIENTATION, &value)
          && g_str_equal (value, "rotate-90");
    }
    gst_event_unref (event);
  }
  g_assert_true (has_tag);
  gst_harness_teardown (h);
}

/* --- the command -------------------------------------------------------------------- */

/* What is said of the last frame of the pipeline @line; FALSE where an element is missing. */
static gboolean
play (const char *line, char label[8], double *probability)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline
      = gst_parse_launch_full (line, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
  g_autoptr (GstBus) bus = NULL;
  gboolean is_over = FALSE;

  if (!pipeline) {
    g_test_skip (error->message);
    return FALSE;
  }
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!is_over) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop (bus, GST_CLOCK_TIME_NONE);
    const GstStructure *s = gst_message_get_structure (message);

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
      gst_message_parse_error (message, &error, NULL);
    g_assert_no_error (error);
    is_over = GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ELEMENT
        && gst_structure_has_name (s, "videoclassify")) {
      g_strlcpy (label, gst_structure_get_string (s, "label"), 8);
      gst_structure_get_double (s, "probability", probability);
    }
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return TRUE;
}

static void
predict (const char *path, char label[8], double *probability)
{
  const char *argv[] = { classify_exe, "predict", "--device", "cpu", "--format", "csv",
    models[NN_ASPECT_CENTER_CROP], path, NULL };
  g_autofree char *out = NULL, *err = NULL;
  const char *fields;
  int status;

  g_assert_true (g_spawn_sync (
      NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, NULL));
  if (status != 0)
    g_error ("classify predict: %s", err);
  fields = strstr (out, path);
  g_assert_nonnull (fields);
  fields += strlen (path) + 1;
  g_strlcpy (label, fields, strcspn (fields, ",") + 1);
  *probability = g_ascii_strtod (fields + strcspn (fields, ",") + 1, NULL);
}

static void
expect_same_answer (const char *line, const char *path, double tolerance)
{
  double expected = -1, got = -1;
  char label[8] = "", said[8] = "";

  if (!play (line, label, &got))
    return;
  predict (path, said, &expected);
  if (strcmp (label, said) != 0 || !(fabs (got - expected) <= tolerance))
    g_error ("%s: the element says %s %f, the command %s %f", line, label, got, said, expected);
}

/* Blocks of 16x16 pixels, which every decoder makes alike; FALSE where there is no encoder. */
static gboolean
make_jpeg (const char *path, GstVideoFormat format, gboolean is_transposed)
{
  g_autoptr (GstCaps) jpeg = gst_caps_new_empty_simple ("image/jpeg"), caps = NULL;
  g_autoptr (GstSample) sample = NULL, encoded = NULL;
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autoptr (GstBuffer) buffer = NULL;
  g_autoptr (GError) error = NULL;
  GstVideoInfo info;
  GstVideoFrame frame;
  GstMapInfo map;

  gst_video_info_set_format (&info, format, is_transposed ? 16 * HEIGHT : 16 * WIDTH,
      is_transposed ? 16 * WIDTH : 16 * HEIGHT);
  buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
  gst_video_frame_map (&frame, &info, buffer, GST_MAP_WRITE);
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++) {
    const int block = c == 0 ? 16 : 8, columns = GST_VIDEO_FRAME_COMP_WIDTH (&frame, c) / block;
    guint8 *pixels = GST_VIDEO_FRAME_COMP_DATA (&frame, c);
    guint8 values[16 * 16];

    for (guint i = 0; i < G_N_ELEMENTS (values); i++)
      values[i] = (guint8) g_rand_int_range (rand, c == 0 ? 40 : 90, c == 0 ? 216 : 166);
    for (int y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&frame, c); y++)
      for (int x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&frame, c); x++)
        pixels[y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c) + x]
            = values[y / block * columns + x / block];
  }
  gst_video_frame_unmap (&frame);
  caps = gst_video_info_to_caps (&info);
  sample = gst_sample_new (buffer, caps, NULL, NULL);
  encoded = gst_video_convert_sample (sample, jpeg, GST_CLOCK_TIME_NONE, &error);
  if (!encoded) {
    g_test_skip (error->message);
    return FALSE;
  }
  gst_buffer_map (gst_sample_get_buffer (encoded), &map, GST_MAP_READ);
  g_assert_true (g_file_set_contents (path, (char *) map.data, (gssize) map.size, NULL));
  gst_buffer_unmap (gst_sample_get_buffer (encoded), &map);
  return TRUE;
}

/* The JPEG @path with an EXIF orientation; (transfer full): its path. */
static char *
set_exif (const char *path, guint orientation)
{
  const guint8 exif[] = { 0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,
    0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (guint8) orientation, 0, 0, 0, 0, 0, 0 };
  char *turned = g_strdup_printf ("%s-%u.jpg", path, orientation);
  g_autofree char *data = NULL;
  g_autoptr (GByteArray) all = g_byte_array_new ();
  gsize size;

  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  g_byte_array_append (all, (guint8 *) data, 2); /* the picture's begin, then this */
  g_byte_array_append (all, exif, sizeof exif);
  g_byte_array_append (all, (guint8 *) data + 2, (guint) size - 2);
  g_assert_true (g_file_set_contents (turned, (char *) all->data, all->len, NULL));
  return turned;
}

/* One JPEG in its eight orientations: grey to the last digit, colours as far as the two decoders
 * round alike. */
static void
test_jpeg (void)
{
  static const GstVideoFormat formats[] = { GST_VIDEO_FORMAT_GRAY8, GST_VIDEO_FORMAT_I420 };

  if (!classify_exe) {
    g_test_skip ("built without the command");
    return;
  }
  for (guint w = 0; w < N_WAYS; w++)
    for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
      g_autofree char *path = g_strdup_printf ("%s/way%u-%u.jpg", dir, w, f);
      g_autofree char *line = NULL, *turned = NULL;

      if (!make_jpeg (path, formats[f], ways[w].is_transposed))
        return;
      turned = set_exif (path, ways[w].exif);
      line = g_strdup_printf ("filesrc location=\"%s\" ! jpegparse ! jpegdec idct-method=islow ! "
          "videoclassify device=cpu threads=1 post-messages=all model=\"%s\" ! fakesink",
          turned, models[NN_ASPECT_CENTER_CROP]);
      expect_same_answer (line, turned, f == 0 ? 2e-6 : 0.02);
    }
}

/* The matrix of the only track's header. */
static void
set_matrix (const char *path, const gint32 matrix[4], const char *to)
{
  g_autofree char *data = NULL;
  char *place;
  gsize size;

  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  place = memmem (data, size, "tkhd", 4);
  g_assert_nonnull (place);
  for (guint i = 0; i < 4; i++) {
    const guint32 number = GUINT32_TO_BE ((guint32) matrix[i] << 16);

    memcpy (place + 44 + 4 * (i < 2 ? i : i + 1), &number, sizeof number); /* at any address */
  }
  g_assert_true (g_file_set_contents (to, data, (gssize) size, NULL));
}

/* A film that was taken with the camera on its side. */
static void
test_film (void)
{
  static const struct
  {
    guint way;
    gint32 matrix[4];
  } films[] = { { 0, { 1, 0, 0, 1 } }, { 1, { 0, 1, -1, 0 } }, { 2, { -1, 0, 0, -1 } },
    { 3, { 0, -1, 1, 0 } } };
  g_autofree char *path = g_build_filename (dir, "film.mov", NULL);
  g_autofree char *make = g_strdup_printf ("videotestsrc num-buffers=3 pattern=smpte ! "
      "video/x-raw,format=GRAY8,width=96,height=64,framerate=25/1 ! jpegenc ! qtmux ! "
      "filesink location=\"%s\"", path);
  double unused;
  char label[8];

  if (!classify_exe) {
    g_test_skip ("built without the command");
    return;
  }
  if (!play (make, label, &unused))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (films); i++) {
    g_autofree char *turned = g_strdup_printf ("%s/film%u.mov", dir, i);
    g_autofree char *picture = g_strdup_printf ("%s/film%u.png", dir, i);
    g_autofree char *line = g_strdup_printf ("filesrc location=\"%s\" ! qtdemux ! jpegdec ! "
        "videoclassify device=cpu threads=1 post-messages=all model=\"%s\" ! fakesink", turned,
        models[NN_ASPECT_CENTER_CROP]);
    g_autofree char *frame = g_strdup_printf ("filesrc location=\"%s\" ! qtdemux ! jpegdec ! "
        "videoflip video-direction=%s ! pngenc ! multifilesink location=\"%s\"", path,
        ways[films[i].way].direction, picture);

    set_matrix (path, films[i].matrix, turned);
    if (!play (frame, label, &unused))
      return;
    expect_same_answer (line, picture, 2e-6);
  }
}

int
main (int argc, char **argv)
{
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  classify_exe = argc > 1 ? argv[1] : NULL;
  dir = make_dir ();
  for (guint i = 0; i < NN_N_ASPECTS; i++)
    models[i] = make_model ((NnAspect) i);
  g_test_add_func ("/orientation/input", test_input);
  g_test_add_func ("/orientation/modes", test_modes);
  g_test_add_func ("/orientation/crop", test_crop);
  g_test_add_func ("/orientation/regions", test_regions);
  g_test_add_func ("/orientation/heat-map", test_heat_map);
  g_test_add_func ("/orientation/rules", test_rules);
  g_test_add_func ("/orientation/turned-before", test_turned_before);
  g_test_add_func ("/orientation/untouched", test_untouched);
  g_test_add_func ("/orientation/jpeg", test_jpeg);
  g_test_add_func ("/orientation/film", test_film);
  status = g_test_run ();
  remove_dir (dir);
  for (guint i = 0; i < NN_N_ASPECTS; i++)
    g_free (models[i]);
  g_free (dir);
  return status;
}
