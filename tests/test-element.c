/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The element videoclassify in a GstHarness and in pipelines. The models are
 * tiny networks with random weights; what the element says is compared with
 * the plan run by hand on the same pixels, and the pixels with GStreamer's own
 * conversion. */

#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/keras-file.h"

#define META "GstVideoClassifyMeta"
#define N_CLASSES 3

static char *dir;        /* of this run */
static char *model_path; /* 8x6, RGB, nearest */

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"tiny\", \"layers\": ["
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\","
      " \"batch_input_shape\": [null, 6, 8, 3], \"filters\": 4,"
      " \"kernel_size\": [3, 3], \"activation\": \"relu\"}},"
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 3,"
      " \"activation\": \"softmax\"}}]}}";

static NnModel *
make_model (guint64 seed)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (network, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, seed, &error);
  g_assert_no_error (error);
  nn_model_set_labels (model, labels, &error);
  g_assert_no_error (error);
  nn_preprocess_init (&model->preprocess, 8, 6);
  model->has_preprocess = TRUE;
  return model;
}

static char *
save_model (NnModel *model, const char *name)
{
  GError *error = NULL;
  char *path = g_build_filename (dir, name, NULL);

  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  return path;
}

/* --- helpers ----------------------------------------------------------------------- */

static GstHarness *
harness_new (const char *properties, const char *caps)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu threads=1 model=\"%s\" %s", model_path, properties);
  GstHarness *h = gst_harness_new_parse (line);

  gst_harness_set_src_caps_str (h, caps);
  return h;
}

static GstElement *
element_of (GstHarness *h)
{
  if (GST_IS_BIN (h->element))
    return gst_bin_get_by_name (GST_BIN (h->element), "c");
  return gst_object_ref (h->element);
}

/* a frame of noise for @caps, time @n / 25 s */
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
    map.data[i] = (guint8) g_rand_int (rand);
  if (GST_VIDEO_INFO_COMP_DEPTH (&info, 0) == 10 && info.finfo->shift[0] == 0)
    for (gsize i = 1; i < map.size; i += 2)
      map.data[i] &= 3; /* no more than ten bits */
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = n * 40 * GST_MSECOND;
  GST_BUFFER_DURATION (buffer) = 40 * GST_MSECOND;
  return buffer;
}

static const GstStructure *
result_of (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, META);

  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

/* probability of each class by its place in the model, out of the sorted arrays */
static void
probabilities_of (const GstStructure *result, double p[N_CLASSES])
{
  static const char *const labels[] = { "red", "green", "blue" };
  const GValue *names = gst_structure_get_value (result, "labels");
  const GValue *values = gst_structure_get_value (result, "probabilities");

  g_assert_cmpuint (gst_value_array_get_size (names), ==, N_CLASSES);
  for (guint i = 0; i < N_CLASSES; i++) {
    const char *name = g_value_get_string (gst_value_array_get_value (names, i));

    for (guint c = 0; c < N_CLASSES; c++)
      if (g_str_equal (labels[c], name))
        p[c] = g_value_get_double (gst_value_array_get_value (values, i));
  }
}

/* the plan by hand on an RGB frame of the network's size */
static void
expect_probabilities (const guint8 *rgb, gsize stride, gboolean flip, float p[N_CLASSES])
{
  GError *error = NULL;
  NnModel *model = nn_model_load (model_path, &error);
  NnBackend *backend = nn_backend_open ("cpu", &error);
  NnPlanOptions options = { .batch = 1, .threads = 1 };
  NnPlan *plan = nn_plan_new (backend, model, &options, &error);
  float *input = nn_plan_get_input (plan);
  const float *outputs;

  g_assert_no_error (error);
  for (gsize y = 0; y < 6; y++)
    for (gsize x = 0; x < 8; x++)
      for (gsize c = 0; c < 3; c++)
        input[(y * 8 + x) * 3 + c] = rgb[y * stride + (flip ? 7 - x : x) * 3 + c] / 255.f;
  outputs = nn_plan_run (plan, 1, &error);
  g_assert_no_error (error);
  memcpy (p, outputs, N_CLASSES * sizeof (float));
  nn_plan_free (plan);
  nn_backend_unref (backend);
  nn_model_unref (model);
}

#define RGB_CAPS "video/x-raw,format=RGB,width=8,height=6,framerate=25/1"

/* --- results -------------------------------------------------------------------------- */

static void
test_result_equals_plan (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstElement *element = element_of (h);

  for (guint n = 0; n < 5; n++) {
    GstBuffer *in = noise_frame (RGB_CAPS, n), *out;
    GstMapInfo map;
    float expected[N_CLASSES];
    double got[N_CLASSES], probability;
    int index, best = 0;
    g_autofree char *label = NULL;

    gst_buffer_map (in, &map, GST_MAP_READ);
    expect_probabilities (map.data, 24, FALSE, expected);
    gst_buffer_unmap (in, &map);
    out = gst_harness_push_and_pull (h, in);
    probabilities_of (result_of (out), got);
    for (guint c = 0; c < N_CLASSES; c++) {
      g_assert_cmpfloat_with_epsilon (got[c], expected[c], 1e-6);
      if (expected[c] > expected[best])
        best = (int) c;
    }
    gst_structure_get_int (result_of (out), "index", &index);
    gst_structure_get_double (result_of (out), "probability", &probability);
    g_assert_cmpint (index, ==, best);
    g_assert_cmpfloat_with_epsilon (probability, expected[best], 1e-6);
    g_object_get (element, "label", &label, NULL);
    g_assert_cmpstr (label, ==, gst_structure_get_string (result_of (out), "label"));
    gst_buffer_unref (out);
  }
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static void
test_tta_is_mean_of_views (void)
{
  GstHarness *h = harness_new ("tta=flip", RGB_CAPS);
  GstBuffer *in = noise_frame (RGB_CAPS, 7), *out;
  float plain[N_CLASSES], mirrored[N_CLASSES];
  double got[N_CLASSES];
  GstMapInfo map;

  gst_buffer_map (in, &map, GST_MAP_READ);
  expect_probabilities (map.data, 24, FALSE, plain);
  expect_probabilities (map.data, 24, TRUE, mirrored);
  gst_buffer_unmap (in, &map);
  out = gst_harness_push_and_pull (h, in);
  probabilities_of (result_of (out), got);
  for (guint c = 0; c < N_CLASSES; c++)
    g_assert_cmpfloat_with_epsilon (got[c], (plain[c] + mirrored[c]) / 2, 1e-6);
  g_assert_cmpfloat (fabs (plain[0] - mirrored[0]), >, 1e-5); /* or the test says nothing */
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* Every format of the pad template: the result equals that of the RGB frame
 * that GStreamer's converter makes of it, within its rounding. */
static void
test_padded_strides_and_crop (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstBuffer *plain = noise_frame (RGB_CAPS, 3), *padded, *out;
  gsize offset[GST_VIDEO_MAX_PLANES] = { 13 };
  gint stride[GST_VIDEO_MAX_PLANES] = { 40 };
  GstMapInfo from, to;
  float expected[N_CLASSES];
  double got[N_CLASSES];

  padded = gst_buffer_new_allocate (NULL, 13 + 6 * 40, NULL);
  gst_buffer_map (plain, &from, GST_MAP_READ);
  gst_buffer_map (padded, &to, GST_MAP_WRITE);
  memset (to.data, 255, to.size);
  for (guint y = 0; y < 6; y++)
    memcpy (to.data + 13 + y * 40, from.data + y * 24, 24);
  expect_probabilities (from.data, 24, FALSE, expected);
  gst_buffer_unmap (plain, &from);
  gst_buffer_unmap (padded, &to);
  gst_buffer_add_video_meta_full (
      padded, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGB, 8, 6, 1, offset, stride);
  out = gst_harness_push_and_pull (h, padded);
  probabilities_of (result_of (out), got);
  for (guint c = 0; c < N_CLASSES; c++)
    g_assert_cmpfloat_with_epsilon (got[c], expected[c], 1e-6);
  gst_buffer_unref (out);
  gst_harness_teardown (h);

  /* the same picture as a crop of a larger one: the caps tell what is seen, the
   * GstVideoMeta what the buffer holds */
#define LARGE_CAPS "video/x-raw,format=RGB,width=20,height=16,framerate=25/1"
  h = harness_new ("", RGB_CAPS);
  padded = noise_frame (LARGE_CAPS, 5);
  gst_buffer_add_video_meta (padded, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGB, 20, 16);
  gst_buffer_map (plain, &from, GST_MAP_READ);
  gst_buffer_map (padded, &to, GST_MAP_WRITE);
  for (guint y = 0; y < 6; y++)
    memcpy (to.data + (y + 7) * 60 + 5 * 3, from.data + y * 24, 24);
  gst_buffer_unmap (plain, &from);
  gst_buffer_unmap (padded, &to);
  {
    GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta (padded);

    crop->x = 5;
    crop->y = 7;
    crop->width = 8;
    crop->height = 6;
  }
  out = gst_harness_push_and_pull (h, padded);
  probabilities_of (result_of (out), got);
  for (guint c = 0; c < N_CLASSES; c++)
    g_assert_cmpfloat_with_epsilon (got[c], expected[c], 1e-6);
  gst_buffer_unref (out);
  gst_buffer_unref (plain);
  gst_harness_teardown (h);
}

/* --- the stream is not touched --------------------------------------------------------- */

/* What stands downstream answers to the ALLOCATION query. */
typedef struct {
  gboolean is_answered;
  GType (*metas[4]) (void);
  gboolean has_params, has_pool;
} Downstream;

static gboolean
answer_allocation (GstPad *pad, GstObject *parent, GstQuery *query)
{
  const Downstream *downstream = g_object_get_data (G_OBJECT (pad), "downstream");

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return gst_pad_query_default (pad, parent, query);
  for (guint i = 0; i < G_N_ELEMENTS (downstream->metas) && downstream->metas[i]; i++) {
    GstStructure *params
        = downstream->has_params
              ? gst_structure_new ("params", "number", G_TYPE_UINT, i, NULL)
              : NULL;

    gst_query_add_allocation_meta (query, downstream->metas[i](), params);
    if (params)
      gst_structure_free (params);
  }
  if (downstream->has_pool) {
    GstAllocationParams params = { .align = 31, .padding = 7 };

    gst_query_add_allocation_param (query, NULL, &params);
    gst_query_add_allocation_pool (query, NULL, 144, 3, 5);
  }
  return downstream->is_answered;
}

/* What @query was answered by whatever lies behind @pad. */
static char *
ask_allocation (GstPad *pad, GstCaps *caps, gboolean need_pool)
{
  GstQuery *query = gst_query_new_allocation (caps, need_pool);
  GString *text = g_string_new (gst_pad_peer_query (pad, query) ? "yes" : "no");
  guint size, min, max;

  for (guint i = 0; i < gst_query_get_n_allocation_metas (query); i++) {
    const GstStructure *params;
    const GType api = gst_query_parse_nth_allocation_meta (query, i, &params);
    g_autofree char *described = params ? gst_structure_to_string (params) : NULL;

    g_string_append_printf (text, " %s(%s)", g_type_name (api), described ? described : "");
  }
  for (guint i = 0; i < gst_query_get_n_allocation_pools (query); i++) {
    gst_query_parse_nth_allocation_pool (query, i, NULL, &size, &min, &max);
    g_string_append_printf (text, " pool(%u,%u,%u)", size, min, max);
  }
  for (guint i = 0; i < gst_query_get_n_allocation_params (query); i++) {
    GstAllocationParams params;

    gst_query_parse_nth_allocation_param (query, i, NULL, &params);
    g_string_append_printf (text, " params(%zu,%zu)", params.align, params.padding);
  }
  gst_query_unref (query);
  return g_string_free (text, FALSE);
}

static char *
allocation_through (const char *line, const Downstream *downstream, gboolean need_pool)
{
  GstHarness *h = gst_harness_new_parse (line);
  g_autoptr (GstCaps) caps = gst_caps_from_string (RGB_CAPS);
  char *answer;

  g_object_set_data (G_OBJECT (h->sinkpad), "downstream", (gpointer) downstream);
  gst_pad_set_query_function (h->sinkpad, answer_allocation);
  gst_harness_set_src_caps_str (h, RGB_CAPS);
  gst_buffer_unref (gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 0)));
  answer = ask_allocation (h->srcpad, caps, need_pool);
  gst_harness_teardown (h);
  return answer;
}

/* Whatever is downstream is told of as it tells of itself: nothing is promised in its
 * name but the regions' meta, which nobody has to understand. */
static void
test_allocation (void)
{
  static const Downstream cases[] = {
    { .is_answered = FALSE },
    { .is_answered = TRUE },
    { TRUE, { gst_video_meta_api_get_type } },
    { TRUE, { gst_video_crop_meta_api_get_type, gst_video_meta_api_get_type } },
    { TRUE, { gst_video_region_of_interest_meta_api_get_type } },
    { TRUE,
        { gst_video_meta_api_get_type, gst_video_crop_meta_api_get_type,
            gst_video_region_of_interest_meta_api_get_type,
            gst_video_overlay_composition_meta_api_get_type },
        TRUE, TRUE },
    { FALSE, { gst_video_meta_api_get_type }, TRUE, TRUE },
  };
  static const char regions[] = "GstVideoRegionOfInterestMetaAPI";
  static const char added[] = " GstVideoRegionOfInterestMetaAPI()";
  g_autofree char *classify = g_strdup_printf (
      "videoclassify device=cpu threads=1 model=\"%s\"", model_path);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (gboolean need_pool = FALSE; need_pool <= TRUE; need_pool++) {
      g_autofree char *expected = allocation_through ("identity", &cases[i], need_pool);
      g_autofree char *got = allocation_through (classify, &cases[i], need_pool);

      if (g_str_has_prefix (expected, "yes") && !strstr (expected, regions)) {
        g_auto (GStrv) parts = g_strsplit (got, added, 2);

        g_assert_cmpuint (g_strv_length (parts), ==, 2);
        g_free (got);
        got = g_strconcat (parts[0], parts[1], NULL);
      }
      g_assert_cmpstr (got, ==, expected);
    }
}

/* The element that draws has nothing to add. */
static void
test_allocation_of_overlay (void)
{
  static const Downstream cases[] = {
    { .is_answered = FALSE },
    { .is_answered = TRUE },
    { TRUE, { gst_video_crop_meta_api_get_type, gst_video_meta_api_get_type }, TRUE, TRUE },
  };
  g_autoptr (GstElementFactory) factory = gst_element_factory_find ("classifyoverlay");

  if (!factory) {
    g_test_skip ("there is no classifyoverlay");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *expected = allocation_through ("identity", &cases[i], TRUE);
    g_autofree char *got = allocation_through ("classifyoverlay", &cases[i], TRUE);

    g_assert_cmpstr (got, ==, expected);
  }
}

static void
test_buffer_is_untouched (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstBuffer *in = noise_frame (RGB_CAPS, 9), *out;
  GstMemory *memory = gst_buffer_peek_memory (in, 0);
  g_autofree guint8 *copy = g_malloc (144);
  GstMapInfo map;

  gst_buffer_extract (in, 0, copy, 144);
  GST_BUFFER_OFFSET (in) = 1234;
  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_DISCONT | GST_BUFFER_FLAG_MARKER);
  out = gst_harness_push_and_pull (h, in);
  g_assert_true (gst_buffer_peek_memory (out, 0) == memory);
  gst_buffer_map (out, &map, GST_MAP_READ);
  g_assert_cmpmem (map.data, map.size, copy, 144);
  gst_buffer_unmap (out, &map);
  g_assert_cmpuint (GST_BUFFER_PTS (out), ==, 9 * 40 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (out), ==, 40 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_OFFSET (out), ==, 1234);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_DISCONT));
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_MARKER));
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* a shared buffer gets a new header, not new pixels; the other holder sees no meta */
static void
test_shared_buffer (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstBuffer *in = noise_frame (RGB_CAPS, 9), *out;

  out = gst_harness_push_and_pull (h, gst_buffer_ref (in));
  g_assert_true (out != in);
  g_assert_true (gst_buffer_peek_memory (out, 0) == gst_buffer_peek_memory (in, 0));
  g_assert_null (result_of (in));
  g_assert_nonnull (result_of (out));
  gst_buffer_unref (out);
  gst_buffer_unref (in);
  gst_harness_teardown (h);
}

static void
check_meta_survives (const char *after)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify device=cpu threads=1 model=\"%s\" ! %s", model_path, after);
  GstHarness *h = gst_harness_new_parse (line);
  static const char caps[] = "video/x-raw,format=I420,width=32,height=24,framerate=25/1";
  GstBuffer *out;

  gst_harness_set_src_caps_str (h, caps);
  out = gst_harness_push_and_pull (h, noise_frame (caps, 1));
  if (!out || !result_of (out))
    g_error ("the result did not survive %s", after);
  g_assert_nonnull (gst_structure_get_string (result_of (out), "label"));
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

static void
test_meta_survives (void)
{
  check_meta_survives ("videoconvert ! capsfilter caps=\"video/x-raw,format=RGBA\"");
  check_meta_survives ("videoscale ! capsfilter caps=\"video/x-raw,width=16,height=18\"");
  check_meta_survives ("videocrop left=4 top=2");
  check_meta_survives ("tee ! queue");
  check_meta_survives ("videoconvert ! videoscale ! videocrop top=2 ! capsfilter "
                       "caps=\"video/x-raw,format=NV12,width=20,height=20\"");
}

/* --- properties ---------------------------------------------------------------------------- */

static void
test_threshold (void)
{
  GstHarness *h = harness_new ("threshold=1.0 post-messages=all", RGB_CAPS);
  GstElement *element = element_of (h);
  GstBuffer *out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 1));
  int index;
  double p[N_CLASSES];

  g_assert_cmpstr (gst_structure_get_string (result_of (out), "label"), ==, "unknown");
  gst_structure_get_int (result_of (out), "index", &index);
  g_assert_cmpint (index, ==, -1);
  probabilities_of (result_of (out), p); /* the raw values are there */
  g_assert_cmpfloat_with_epsilon (p[0] + p[1] + p[2], 1, 1e-5);
  gst_buffer_unref (out);
  g_object_set (element, "threshold", 0.0, NULL); /* while playing */
  out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 1));
  g_assert_cmpstr (gst_structure_get_string (result_of (out), "label"), !=, "unknown");
  gst_buffer_unref (out);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static void
test_interval_and_top_k (void)
{
  GstHarness *h = harness_new ("inference-interval=3 top-k=2", RGB_CAPS);
  GstElement *element = element_of (h);
  guint64 frames, classified;

  for (guint n = 0; n < 10; n++) {
    GstBuffer *out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, n));
    guint age;

    gst_structure_get_uint (result_of (out), "age", &age);
    g_assert_cmpuint (age, ==, n % 3);
    g_assert_cmpuint (
        gst_value_array_get_size (gst_structure_get_value (result_of (out), "labels")), ==, 2);
    gst_buffer_unref (out);
  }
  g_object_get (element, "frames", &frames, "classified", &classified, NULL);
  g_assert_cmpuint (frames, ==, 10);
  g_assert_cmpuint (classified, ==, 4);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static guint
count_messages (GstBus *bus, const GstStructure **last)
{
  static GstMessage *kept;
  GstMessage *message;
  guint n = 0;

  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT))) {
    g_assert_true (gst_message_has_name (message, "videoclassify"));
    gst_clear_message (&kept);
    kept = message;
    *last = gst_message_get_structure (message);
    n++;
  }
  return n;
}

static void
on_classified (GstElement *element, const GstStructure *result, guint *n)
{
  g_assert_true (gst_structure_has_name (result, "videoclassify"));
  g_assert_true (gst_structure_has_field (result, "running-time"));
  ++*n;
}

/* two pictures that the model tells apart, found by trying */
static void
find_different (GstHarness *h, guint *a, guint *b)
{
  const char *first = NULL;

  for (guint n = 0; n < 2000; n++) {
    GstBuffer *out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, n));
    const char *label = g_intern_string (gst_structure_get_string (result_of (out), "label"));

    gst_buffer_unref (out);
    if (!first) {
      first = label;
      *a = n;
    } else if (label != first) {
      *b = n;
      return;
    }
  }
  g_error ("the test model gives one label to everything");
}

static void
test_messages_and_signal (void)
{
  GstHarness *h = harness_new ("post-messages=none", RGB_CAPS);
  GstElement *element = element_of (h);
  GstBus *bus = gst_bus_new ();
  const GstStructure *last = NULL;
  guint a = 0, b = 0, n_signals = 0;
  static const char order[] = "aabbba";
  static const struct
  {
    const char *post;
    guint expected;
  } cases[] = { { "none", 0 }, { "all", 6 }, { "changes", 3 } };

  gst_element_set_bus (element, bus);
  find_different (h, &a, &b);
  g_signal_connect (element, "classified", G_CALLBACK (on_classified), &n_signals);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    gst_util_set_object_arg (G_OBJECT (element), "post-messages", cases[i].post);
    gst_harness_push_event (h, gst_event_new_flush_start ());
    gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
    {
      GstSegment segment;

      gst_segment_init (&segment, GST_FORMAT_TIME);
      gst_harness_push_event (h, gst_event_new_segment (&segment));
    }
    count_messages (bus, &last);
    n_signals = 0;
    for (guint k = 0; order[k]; k++)
      gst_buffer_unref (
          gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, order[k] == 'a' ? a : b)));
    g_assert_cmpuint (count_messages (bus, &last), ==, cases[i].expected);
    g_assert_cmpuint (n_signals, ==, 6);
  }
  {
    guint64 timestamp, stream_time, running_time, duration, inference_time;

    g_assert_true (gst_structure_get (last, "timestamp", G_TYPE_UINT64, &timestamp, "stream-time",
        G_TYPE_UINT64, &stream_time, "running-time", G_TYPE_UINT64, &running_time, "duration",
        G_TYPE_UINT64, &duration, "inference-time", G_TYPE_UINT64, &inference_time, NULL));
    g_assert_cmpuint (timestamp, ==, a * 40 * GST_MSECOND);
    g_assert_cmpuint (stream_time, ==, timestamp);
    g_assert_cmpuint (running_time, ==, timestamp);
    g_assert_cmpuint (duration, ==, 40 * GST_MSECOND);
    g_assert_cmpuint (inference_time, >, 0);
  }
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* --- time ------------------------------------------------------------------------------------ */

static void
test_late_frames_skip_inference (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstElement *element = element_of (h);
  GstBus *bus = gst_bus_new ();
  GstMessage *message;
  GstFormat format;
  guint64 late, processed, dropped;
  guint age;
  GstBuffer *out;

  gst_element_set_bus (element, bus);
  gst_buffer_unref (gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 0)));
  /* the sink says: the frame of 0 ms came 50 ms late: nothing up to 100 ms need be classified */
  gst_harness_push_upstream_event (
      h, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 1.5, 50 * GST_MSECOND, 0));
  for (guint n = 1; n <= 4; n++) {
    out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, n)); /* 40, 80, 120, 160 ms */
    gst_structure_get_uint (result_of (out), "age", &age);
    g_assert_cmpuint (age, ==, n <= 2 ? n : 0);
    gst_buffer_unref (out);
  }
  g_object_get (element, "skipped-late", &late, NULL);
  g_assert_cmpuint (late, ==, 2);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_QOS);
  g_assert_nonnull (message);
  gst_message_parse_qos_stats (message, &format, &processed, &dropped);
  g_assert_cmpuint (processed, ==, 1);
  g_assert_cmpuint (dropped, ==, 1);
  gst_message_unref (message);

  g_object_set (element, "skip-late", FALSE, NULL);
  gst_harness_push_upstream_event (
      h, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 1.5, GST_SECOND, 0));
  out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 5));
  gst_structure_get_uint (result_of (out), "age", &age);
  g_assert_cmpuint (age, ==, 0);
  gst_buffer_unref (out);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static void
test_flush_forgets (void)
{
  GstHarness *h = harness_new ("inference-interval=100", RGB_CAPS);
  GstSegment segment;
  GstBuffer *out;
  guint age;

  for (guint n = 0; n < 3; n++)
    gst_buffer_unref (gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, n)));
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  out = gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 50));
  gst_structure_get_uint (result_of (out), "age", &age);
  g_assert_cmpuint (age, ==, 0);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

static void
test_latency (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstElement *element = element_of (h);

  gst_harness_set_upstream_latency (h, 10 * GST_MSECOND);
  gst_buffer_unref (gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 0)));
  g_assert_cmpuint (gst_harness_query_latency (h), ==, 10 * GST_MSECOND);
  g_object_set (element, "report-latency", TRUE, NULL);
  gst_buffer_unref (gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, 1)));
  g_assert_cmpuint (gst_harness_query_latency (h), >, 10 * GST_MSECOND);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* --- caps and states --------------------------------------------------------------------- */

static void
test_caps_change (void)
{
  static const char *const caps[] = {
    "video/x-raw,format=NV12,width=64,height=48,framerate=25/1",
    "video/x-raw,format=RGB,width=8,height=6,framerate=25/1",
    "video/x-raw,format=YUY2,width=33,height=17,framerate=0/1",
    "video/x-raw,format=GRAY8,width=1,height=1,framerate=25/1",
    "video/x-raw,format=I420,width=5,height=3,framerate=25/1,colorimetry=bt2020",
    "video/x-raw,format=BGRA,width=4000,height=2,framerate=240/1",
  };
  GstHarness *h = harness_new ("", caps[0]);

  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < G_N_ELEMENTS (caps); i++) {
      GstBuffer *out;

      gst_harness_set_src_caps_str (h, caps[i]);
      out = gst_harness_push_and_pull (h, noise_frame (caps[i], i));
      g_assert_nonnull (result_of (out));
      gst_buffer_unref (out);
    }
  }
  gst_harness_teardown (h);
}

static void
test_unknown_caps_are_refused (void)
{
  g_autofree char *line
      = g_strdup_printf ("videoclassify device=cpu model=\"%s\"", model_path);
  GstHarness *h = gst_harness_new_parse (line);
  static const char *const refused[] = {
    "video/x-h264",
    "image/jpeg",
    "audio/x-raw",
  };

  gst_harness_play (h);
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autoptr (GstCaps) caps = gst_caps_from_string (refused[i]);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (h->element, "sink");

    g_assert_false (gst_pad_query_accept_caps (pad, caps));
  }
  gst_harness_teardown (h);
}

static void
test_states (void)
{
  GstElement *element = gst_element_factory_make ("videoclassify", NULL);

  g_object_set (element, "model", model_path, "device", "cpu", NULL);
  for (guint i = 0; i < 20; i++) {
    g_assert_cmpint (
        gst_element_set_state (element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (
        gst_element_set_state (element, GST_STATE_PLAYING), ==, GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (gst_element_set_state (element, i % 2 ? GST_STATE_NULL : GST_STATE_READY), ==,
        GST_STATE_CHANGE_SUCCESS);
  }
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}

static void
test_two_elements (void)
{
  GstHarness *a = harness_new ("", RGB_CAPS), *b = harness_new ("tta=flip", RGB_CAPS);

  for (guint n = 0; n < 5; n++) {
    GstBuffer *first = gst_harness_push_and_pull (a, noise_frame (RGB_CAPS, n));
    GstBuffer *second = gst_harness_push_and_pull (b, noise_frame (RGB_CAPS, n));

    g_assert_nonnull (result_of (first));
    g_assert_nonnull (result_of (second));
    gst_buffer_unref (first);
    gst_buffer_unref (second);
  }
  gst_harness_teardown (a);
  gst_buffer_unref (gst_harness_push_and_pull (b, noise_frame (RGB_CAPS, 9)));
  gst_harness_teardown (b);
}

/* --- errors ------------------------------------------------------------------------------ */

/* READY to PAUSED must fail with this domain and code, the message naming each of @words */
static void
check_error (GstElement *element, GQuark domain, int code, const char *const *words)
{
  GstBus *bus = gst_bus_new ();
  g_autoptr (GError) error = NULL;
  GstMessage *message;

  for (guint round = 0; round < 2; round++) {
    gst_element_set_bus (element, bus);
    g_assert_cmpint (
        gst_element_set_state (element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    g_assert_nonnull (message);
    g_clear_error (&error);
    gst_message_parse_error (message, &error, NULL);
    g_assert_error (error, domain, code);
    for (guint i = 0; words[i]; i++)
      if (!strstr (error->message, words[i]))
        g_error ("\"%s\" does not say \"%s\"", error->message, words[i]);
    gst_message_unref (message);
    gst_element_set_state (element, GST_STATE_NULL);
  }
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
}

static GstElement *
element_with (const char *model, const char *property, const char *value)
{
  GstElement *element = gst_element_factory_make ("videoclassify", NULL);

  g_object_set (element, "device", "cpu", "model", model, NULL);
  if (property)
    gst_util_set_object_arg (G_OBJECT (element), property, value);
  return element;
}

static void
test_errors (void)
{
  g_autofree char *empty = g_build_filename (dir, "empty.h5", NULL);
  g_autofree char *broken = g_build_filename (dir, "broken.h5", NULL);
  g_autofree char *json = g_build_filename (dir, "net.json", NULL);
  g_autofree char *labels = g_build_filename (dir, "labels.txt", NULL);
  g_autofree char *data = NULL;
  gsize size;

  g_file_set_contents (empty, "", 0, NULL);
  g_file_get_contents (model_path, &data, &size, NULL);
  g_file_set_contents (broken, data, (gssize) size / 2, NULL);
  g_file_set_contents (json, network, -1, NULL);
  g_file_set_contents (labels, "one\ntwo\n", -1, NULL);

  check_error (element_with (NULL, NULL, NULL), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      (const char *const[]) { "model", NULL });
  check_error (element_with ("/does/not/exist.h5", NULL, NULL), GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, (const char *const[]) { "/does/not/exist.h5", NULL });
  check_error (element_with (dir, NULL, NULL), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
      (const char *const[]) { dir, NULL });
  check_error (element_with (empty, NULL, NULL), GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      (const char *const[]) { empty, NULL });
  check_error (element_with (broken, NULL, NULL), GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      (const char *const[]) { broken, NULL });
  check_error (element_with (json, NULL, NULL), GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      (const char *const[]) { json, "weights", NULL });
  check_error (element_with (model_path, "labels-file", labels), GST_STREAM_ERROR,
      GST_STREAM_ERROR_FORMAT, (const char *const[]) { labels, "2", "3", NULL });
  check_error (element_with (model_path, "device", "cuda:77"), GST_LIBRARY_ERROR,
      GST_LIBRARY_ERROR_INIT, (const char *const[]) { "cuda:77", NULL });
  check_error (element_with (model_path, "device", "toaster"), GST_LIBRARY_ERROR,
      GST_LIBRARY_ERROR_INIT, (const char *const[]) { "toaster", "cpu", NULL });
  check_error (element_with (model_path, "precision", "fp16"), GST_LIBRARY_ERROR,
      GST_LIBRARY_ERROR_INIT, (const char *const[]) { "fp16", "bf16", NULL });
}

/* a frame whose memory is too small for its caps is an error message, not a crash */
static void
test_short_buffer (void)
{
  GstHarness *h = harness_new ("", RGB_CAPS);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 100, NULL);

  GST_BUFFER_PTS (buffer) = 0;
  g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_ERROR);
  gst_harness_teardown (h);
}

/* --- a whole pipeline -------------------------------------------------------------------- */

static void
test_pipeline_seek_and_eos (void)
{
  g_autofree char *line
      = g_strdup_printf ("videotestsrc num-buffers=200 ! video/x-raw,width=32,height=24 ! "
                         "videoclassify name=c device=cpu threads=2 model=\"%s\" ! fakesink name=s",
          model_path);
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstElement) element = NULL;
  GstBus *bus;
  GstMessage *message;
  guint64 classified;

  g_assert_no_error (error);
  element = gst_bin_get_by_name (GST_BIN (pipeline), "c");
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  gst_element_get_state (pipeline, NULL, NULL, 10 * GST_SECOND);
  for (guint i = 0; i < 5; i++) {
    g_assert_true (gst_element_seek_simple (pipeline, GST_FORMAT_TIME,
        GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, i * 100 * GST_MSECOND));
    gst_element_get_state (pipeline, NULL, NULL, 10 * GST_SECOND);
  }
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  g_object_get (element, "classified", &classified, NULL);
  g_assert_cmpuint (classified, >=, 100);
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}

static gsize
resident_pages (void)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) fields = NULL;

  if (!g_file_get_contents ("/proc/self/statm", &text, NULL, NULL))
    return 0;
  fields = g_strsplit (text, " ", -1);
  return (gsize) g_ascii_strtoull (fields[1], NULL, 10);
}

/* 100,000 frames (5,000 under a sanitizer, which keeps what was freed) in flat memory */
static void
test_soak (void)
{
  const guint n_frames = g_getenv ("CLASSIFY_TEST_FRAMES")
      ? (guint) g_ascii_strtoull (g_getenv ("CLASSIFY_TEST_FRAMES"), NULL, 10)
      : 100000;
  GstHarness *h = harness_new ("post-messages=none", RGB_CAPS);
  gsize before = 0, after;

  for (guint n = 0; n < n_frames; n++) {
    if (n == n_frames / 10)
      before = resident_pages ();
    gst_buffer_unref (gst_harness_push_and_pull (h, noise_frame (RGB_CAPS, n % 64)));
  }
  after = resident_pages ();
  g_test_message ("%u frames: %" G_GSIZE_FORMAT " pages before, %" G_GSIZE_FORMAT " after",
      n_frames, before, after);
  gst_harness_teardown (h);
#ifdef __SANITIZE_ADDRESS__
  g_test_skip ("a sanitizer keeps what was freed for a while: memory says nothing here");
#else
  if (!g_getenv ("CLASSIFY_TEST_FRAMES"))
    g_assert_cmpuint (after, <=, before + 256); /* one MiB in 90,000 frames */
#endif
}

int
main (int argc, char **argv)
{
  int status;
  NnModel *model;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("classify-element-XXXXXX", NULL);
  model = make_model (5);
  model_path = save_model (model, "tiny.h5");
  nn_model_unref (model);

  g_test_add_func ("/element/result-equals-plan", test_result_equals_plan);
  g_test_add_func ("/element/tta-is-mean-of-views", test_tta_is_mean_of_views);
  g_test_add_func ("/element/padded-strides-and-crop", test_padded_strides_and_crop);
  g_test_add_func ("/element/allocation", test_allocation);
  g_test_add_func ("/element/allocation-of-overlay", test_allocation_of_overlay);
  g_test_add_func ("/element/buffer-is-untouched", test_buffer_is_untouched);
  g_test_add_func ("/element/shared-buffer", test_shared_buffer);
  g_test_add_func ("/element/meta-survives", test_meta_survives);
  g_test_add_func ("/element/threshold", test_threshold);
  g_test_add_func ("/element/interval-and-top-k", test_interval_and_top_k);
  g_test_add_func ("/element/messages-and-signal", test_messages_and_signal);
  g_test_add_func ("/element/late-frames-skip-inference", test_late_frames_skip_inference);
  g_test_add_func ("/element/flush-forgets", test_flush_forgets);
  g_test_add_func ("/element/latency", test_latency);
  g_test_add_func ("/element/caps-change", test_caps_change);
  g_test_add_func ("/element/unknown-caps-are-refused", test_unknown_caps_are_refused);
  g_test_add_func ("/element/states", test_states);
  g_test_add_func ("/element/two-elements", test_two_elements);
  g_test_add_func ("/element/errors", test_errors);
  g_test_add_func ("/element/short-buffer", test_short_buffer);
  g_test_add_func ("/element/pipeline-seek-and-eos", test_pipeline_seek_and_eos);
  g_test_add_func ("/element/soak", test_soak);
  status = g_test_run ();

  {
    g_autoptr (GDir) handle = g_dir_open (dir, 0, NULL);
    const char *name;

    while (handle && (name = g_dir_read_name (handle))) {
      g_autofree char *path = g_build_filename (dir, name, NULL);

      g_unlink (path);
    }
  }
  g_rmdir (dir);
  return status;
}
