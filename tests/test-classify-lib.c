/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* libgstclassify-1.0 on what the element really tells, and on what it does not. */

#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/classify/classify.h>
#include <math.h>
#include <string.h>

#include "tests/two-colors.h"

static char *dir, *model_path;
static GstClassifyResult *signalled;

static void
on_classified (GstElement *element, const GstStructure *structure)
{
  if (!signalled)
    signalled = gst_classify_result_from_structure (structure);
}

static void
expect_red (const GstClassifyResult *result)
{
  const char *const *labels = gst_classify_result_get_labels (result);
  /* RED and 0x80007f, a half each */
  const double red = exp (4 * (255 + 128) / 510.), blue = exp (4 * 127 / 510.);
  const double expected = red / (red + blue + 1);
  const double *probabilities;
  gsize n;

  g_assert_cmpstr (gst_classify_result_get_label (result), ==, "red");
  g_assert_cmpint (gst_classify_result_get_index (result), ==, 0);
  g_assert_true (gst_classify_result_is_known (result));
  g_assert_cmpfloat_with_epsilon (gst_classify_result_get_probability (result), expected, 1e-5);
  probabilities = gst_classify_result_get_probabilities (result, &n);
  g_assert_cmpuint (n, ==, 3);
  g_assert_cmpuint (g_strv_length ((char **)labels), ==, 3);
  g_assert_cmpstr (labels[1], ==, "blue");
  g_assert_cmpstr (labels[2], ==, "green");
  g_assert_cmpfloat_with_epsilon (probabilities[0], expected, 1e-5);
  g_assert_cmpfloat_with_epsilon (probabilities[0] + probabilities[1] + probabilities[2], 1, 1e-5);
  g_assert_cmpstr (gst_classify_result_get_model (result), ==, "color.h5");
  g_assert_cmpstr (gst_classify_result_get_device (result), ==, "cpu");
  g_assert_cmpuint (gst_classify_result_get_views (result), ==, 2);
  g_assert_cmpuint (gst_classify_result_get_inference_time (result), <, 60 * GST_SECOND);
  g_assert_cmpuint (gst_classify_result_get_timestamp (result), ==, 2 * FRAME);
  g_assert_cmpuint (gst_classify_result_get_duration (result), ==, FRAME);
}

/* the same from the buffer, the message and the signal */
static void
test_element (void)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify name=c device=cpu threads=1 model=\"%s\" tta=flip post-messages=all "
      "crop=\"0,0,32,12\" inference-interval=2",
      model_path);
  GstHarness *h = gst_harness_new_parse (line);
  GstElement *element = GST_IS_BIN (h->element) ? gst_bin_get_by_name (GST_BIN (h->element), "c")
                                                : gst_object_ref (h->element);
  GstBus *bus = gst_bus_new ();
  g_autoptr (GstClassifyResult) of_message = NULL, first = NULL, aged = NULL;
  g_autoptr (GstMessage) message = NULL;
  GstBuffer *out;
  GList *results;
  int x, y, width, height;

  gst_element_set_bus (element, bus);
  g_signal_connect (element, "classified", G_CALLBACK (on_classified), NULL);
  gst_harness_set_src_caps_str (h, CAPS);
  out = gst_harness_push_and_pull (h, frame_of (RED, 0x80007f, 2 * FRAME));
  results = gst_classify_buffer_get_results (out);
  g_assert_cmpuint (g_list_length (results), ==, 1);
  expect_red (results->data);
  g_assert_cmpuint (gst_classify_result_get_age (results->data), ==, 0);
  g_assert_true (gst_classify_result_get_rectangle (results->data, &x, &y, &width, &height));
  g_assert_cmpint (width, ==, 32);
  g_assert_cmpint (height, ==, 12);
  g_assert_cmpint (gst_classify_result_get_region_id (results->data), ==, -1);
  g_assert_null (gst_classify_result_get_region_label (results->data));
  first = gst_classify_buffer_get_result (out);
  g_list_free_full (results, (GDestroyNotify)gst_classify_result_unref);
  gst_buffer_unref (out);
  expect_red (first); /* outlives its buffer */

  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT);
  of_message = gst_classify_result_from_message (message);
  g_assert_nonnull (of_message);
  expect_red (of_message);
  g_assert_cmpuint (gst_classify_result_get_stream_time (of_message), ==, 2 * FRAME);
  g_assert_nonnull (signalled);
  expect_red (signalled);
  g_clear_pointer (&signalled, gst_classify_result_unref);

  out = gst_harness_push_and_pull (h, frame_of (BLUE, BLUE, 3 * FRAME));
  aged = gst_classify_buffer_get_result (out);
  g_assert_cmpstr (gst_classify_result_get_label (aged), ==, "red");
  g_assert_cmpuint (gst_classify_result_get_age (aged), ==, 1);
  g_assert_cmpuint (gst_classify_result_get_age_time (aged), ==, FRAME);
  gst_buffer_unref (out);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* structures of somebody else's, or with half of what they should have */
static void
test_strange (void)
{
  static const char *const none[] = { "videoclassify", "videoclassify, label=(string)a",
    "videoclassify, probability=(double)1", "videoclassify, label=(int)3, probability=(double)1" };
  g_autoptr (GstStructure) s = gst_structure_from_string (
      "videoclassify, label=(string)a, probability=(double)0.5, labels=(string)<a,b,c>, "
      "probabilities=(double)<0.5,0.25>, x=(int)1, index=(string)x",
      NULL);
  g_autoptr (GstClassifyResult) result = gst_classify_result_from_structure (s);
  GstMessage *other = gst_message_new_element (NULL, gst_structure_new_empty ("level"));
  GstMessage *eos = gst_message_new_eos (NULL);
  GstBuffer *empty = gst_buffer_new ();
  gsize n;
  int x;

  g_assert_nonnull (result);
  gst_classify_result_get_probabilities (result, &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpuint (g_strv_length ((char **)gst_classify_result_get_labels (result)), ==, 2);
  g_assert_false (gst_classify_result_get_rectangle (result, &x, &x, &x, &x));
  g_assert_cmpint (gst_classify_result_get_index (result), ==, -1);
  for (guint i = 0; i < G_N_ELEMENTS (none); i++) {
    g_autoptr (GstStructure) strange = gst_structure_from_string (none[i], NULL);

    g_assert_null (gst_classify_result_from_structure (strange));
  }
  g_assert_null (gst_classify_result_from_message (other));
  g_assert_null (gst_classify_result_from_message (eos));
  g_assert_null (gst_classify_buffer_get_results (empty));
  g_assert_null (gst_classify_buffer_get_result (empty));
  gst_message_unref (other);
  gst_message_unref (eos);
  gst_buffer_unref (empty);
}

/* what is red of the part of the frame that is looked at; the map outlives the buffer */
static void
test_heat_map (void)
{
  g_autofree char *line = g_strdup_printf (
      "videoclassify device=cpu threads=1 model=\"%s\" explain=cam crop=\"0,0,32,12\"", model_path);
  GstHarness *h = gst_harness_new_parse (line);
  GstBuffer *first, *second;
  g_autoptr (GstClassifyHeatMap) map = NULL, aged = NULL;
  const guint8 *values;
  int x, y, width, height;
  gsize n;

  gst_harness_set_src_caps_str (h, CAPS);
  first = gst_harness_push_and_pull (h, frame_of (RED, 0, 0));
  second = gst_harness_push_and_pull (h, frame_of (RED, 0, FRAME));
  map = gst_classify_buffer_get_heat_map (first);
  aged = gst_classify_buffer_get_heat_map (second);
  gst_buffer_unref (first);
  gst_buffer_unref (second);
  gst_harness_teardown (h);
  g_assert_nonnull (map);
  g_assert_cmpstr (gst_classify_heat_map_get_label (map), ==, "red");
  g_assert_cmpint (gst_classify_heat_map_get_index (map), ==, 0);
  g_assert_cmpfloat_with_epsilon (
      gst_classify_heat_map_get_probability (map), exp (2) / (exp (2) + 2), 1e-5);
  g_assert_cmpstr (gst_classify_heat_map_get_method (map), ==, "cam");
  g_assert_cmpuint (gst_classify_heat_map_get_rows (map), ==, 4);
  g_assert_cmpuint (gst_classify_heat_map_get_columns (map), ==, 8);
  values = gst_classify_heat_map_get_values (map, &n);
  g_assert_cmpuint (n, ==, 32);
  for (guint i = 0; i < n; i++)
    g_assert_cmpuint (values[i], ==, i % 8 < 4 ? 255 : 0);
  g_assert_true (gst_classify_heat_map_get_rectangle (map, &x, &y, &width, &height));
  g_assert_cmpint (x, ==, 0);
  g_assert_cmpint (y, ==, 0);
  g_assert_cmpint (width, ==, 32);
  g_assert_cmpint (height, ==, 12);
  g_assert_cmpint (gst_classify_heat_map_get_region_id (map), ==, -1);
  g_assert_cmpuint (gst_classify_heat_map_get_age (map), ==, 0);
  g_assert_cmpuint (gst_classify_heat_map_get_age (aged), ==, 1);
  g_assert_cmpuint (gst_classify_heat_map_get_age_time (aged), ==, FRAME);
}

/* metas of the name that are none, and maps with less in them than they say */
static void
test_strange_heat_map (void)
{
  static const guint sizes[][3]
      = { { 2, 3, 5 }, { 0, 0, 0 }, { 0, 5, 0 }, { 65536, 65536, 0 }, { 2, 3, 6 } };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    GstBuffer *buffer = gst_buffer_new ();
    GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, GST_CLASSIFY_HEAT_MAP_META_NAME);
    GstStructure *s = gst_custom_meta_get_structure (meta);
    g_autofree guint8 *zeros = g_malloc0 (8);
    g_autoptr (GBytes) bytes = g_bytes_new (zeros, sizes[i][2]);
    GstClassifyHeatMap *map;

    g_assert_null (gst_classify_buffer_get_heat_map (buffer));
    gst_structure_set (s, "rows", G_TYPE_UINT, sizes[i][0], "columns", G_TYPE_UINT, sizes[i][1],
        "map", G_TYPE_STRING, "none", NULL);
    g_assert_null (gst_classify_buffer_get_heat_map (buffer));
    gst_structure_set (s, "map", G_TYPE_BYTES, bytes, NULL);
    map = gst_classify_buffer_get_heat_map (buffer);
    g_assert_true ((map != NULL) == (i + 1 == G_N_ELEMENTS (sizes)));
    g_clear_pointer (&map, gst_classify_heat_map_unref);
    gst_buffer_unref (buffer);
  }
}

static void
test_version (void)
{
  g_assert_true (GST_CLASSIFY_CHECK_VERSION (0, 1, 0));
  g_assert_false (GST_CLASSIFY_CHECK_VERSION (99, 0, 0));
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
  g_test_add_func ("/classify-lib/element", test_element);
  g_test_add_func ("/classify-lib/strange", test_strange);
  g_test_add_func ("/classify-lib/heat-map", test_heat_map);
  g_test_add_func ("/classify-lib/strange-heat-map", test_strange_heat_map);
  g_test_add_func ("/classify-lib/version", test_version);
  status = g_test_run ();
  g_unlink (model_path);
  g_rmdir (dir);
  return status;
}
