/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pictures that videoclassify collects: which, where, what is in them, that the
 * trainer reads them, and what a bad folder or a full one is told. */

#include <gst/check/gstharness.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tests/pictures.h"
#include "tests/two-colors.h"
#include "train/dataset.h"

static char *dir, *model_path;

static GstHarness *
harness_new (const char *folder, const char *properties)
{
  g_autofree char *line
      = g_strdup_printf ("videoclassify name=c device=cpu threads=1 model=\"%s\" collect=\"%s\" %s",
          model_path, folder, properties);
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

static guint64
stat_of (GstElement *element, const char *name)
{
  GstStructure *stats;
  guint64 value = 0;

  g_object_get (element, "stats", &stats, NULL);
  g_assert_true (gst_structure_get_uint64 (stats, name, &value));
  gst_structure_free (stats);
  return value;
}

static void
push (GstHarness *h, guint32 left, guint32 right, guint n)
{
  gst_buffer_unref (gst_harness_push_and_pull (h, frame_of (left, right, n * FRAME)));
}

/* the same, and the writer is given the time for @written pictures until now */
static void
push_wait (GstHarness *h, guint32 left, guint32 right, guint n, guint64 written)
{
  GstElement *element = element_of (h);

  push (h, left, right, n);
  while (stat_of (element, "collected") < written)
    g_usleep (1000);
  gst_object_unref (element);
}

/* paths of the pictures below @path */
static GPtrArray *
list (const char *path)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *files = pictures_list (path, &error);

  g_assert_no_error (error);
  return files;
}

static char *
make_folder (const char *name)
{
  return g_build_filename (dir, name, NULL);
}

/* a folder for each label, what is in them as it was in the stream, to the bit */
static void
test_by_label (void)
{
  static const char *const classes[] = { "blue", "green", "red", NULL };
  g_autofree char *folder = make_folder ("by/label"); /* made with its parent */
  GstHarness *h = harness_new (folder, "collect-rate=0 collect-format=png");
  const DatasetOptions options = { .layout = LAYOUT_FOLDERS, .classes = classes, .threads = 1 };
  g_autoptr (Dataset) data = NULL;
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;

  push (h, RED, RED, 0);
  push (h, BLUE, BLUE, 1);
  push (h, GREEN, GREEN, 2);
  push (h, RED, 0x800000, 3);
  gst_harness_teardown (h); /* writes what waits */
  nn_preprocess_init (&pre, 32, 16);
  data = dataset_load (folder, &options, &pre, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n, ==, 4);
  for (guint i = 0; i < data->n; i++) {
    const guint8 *first = data->bytes + i * data->sample_size, *last = first + 31 * 3;
    const guint channel = 2 - data->labels[i]; /* blue, green, red */

    for (guint c = 0; c < 3; c++) {
      g_assert_cmpuint (first[c], ==, c == channel ? 255 : 0);
      if (c != channel)
        g_assert_cmpuint (last[c], ==, 0);
    }
  }
  g_assert_cmpuint (data->bytes[(3 * 512 + 31) * 3], ==, 0x80); /* the last of red, its right */
}

/* Pictures are upright, as the network saw the frames: of a phone held upright the left of the
 * frame is its upper side. Of a crop, too. */
static void
test_turned (void)
{
  static const char *const properties[]
      = { "collect-rate=0 collect-format=png", "collect-rate=0 collect-format=png crop=8,0,12,16" };
  static const int sizes[][3] = { { 16, 32, 16 }, { 16, 12, 8 } }; /* the last: rows of red */

  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    g_autofree char *name = g_strdup_printf ("turned%u", i), *folder = make_folder (name);
    GstHarness *h = harness_new (folder, properties[i]);
    GstTagList *tags
        = gst_tag_list_new (GST_TAG_IMAGE_ORIENTATION, "rotate-90", NULL);
    g_autoptr (GdkPixbuf) picture = NULL;
    g_autoptr (GPtrArray) files = NULL;
    g_autoptr (GError) error = NULL;

    gst_harness_push_event (h, gst_event_new_tag (tags));
    push (h, RED, BLUE, 0);
    gst_harness_teardown (h); /* writes what waits */
    files = list (folder);
    g_assert_cmpuint (files->len, ==, 1);
    picture = gdk_pixbuf_new_from_file (files->pdata[0], &error);
    g_assert_no_error (error);
    g_assert_cmpint (gdk_pixbuf_get_width (picture), ==, sizes[i][0]);
    g_assert_cmpint (gdk_pixbuf_get_height (picture), ==, sizes[i][1]);
    for (int y = 0; y < sizes[i][1]; y++)
      for (int x = 0; x < sizes[i][0]; x++) {
        const guint8 *pixel = gdk_pixbuf_read_pixels (picture)
            + y * gdk_pixbuf_get_rowstride (picture) + 3 * x;

        g_assert_cmpuint (pixel[0], ==, y < sizes[i][2] ? 255 : 0);
        g_assert_cmpuint (pixel[2], ==, y < sizes[i][2] ? 0 : 255);
      }
  }
}

/* Frames of a pool, as cameras and decoders have them: they go on with their results, though
 * their pictures are still to be written. */
static void
test_pool (void)
{
  g_autofree char *folder = make_folder ("pool");
  GstBufferPool *pool = gst_buffer_pool_new ();
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, NULL, 32 * 16 * 3, 2, 0);
  g_assert_true (gst_buffer_pool_set_config (pool, config));
  gst_buffer_pool_set_active (pool, TRUE);
  for (guint async = 0; async < 2; async++) {
    GstHarness *h = harness_new (
        folder, async ? "collect-rate=0 mode=async" : "collect-rate=0 mode=sync");

    for (guint i = 0; i < 8; i++) {
      GstBuffer *frame = frame_of (RED, BLUE, i * FRAME), *out;
      GstMapInfo map;

      g_assert_cmpint (
          gst_buffer_pool_acquire_buffer (pool, &out, NULL), ==, GST_FLOW_OK);
      gst_buffer_map (frame, &map, GST_MAP_READ);
      gst_buffer_fill (out, 0, map.data, map.size);
      gst_buffer_unmap (frame, &map);
      GST_BUFFER_PTS (out) = GST_BUFFER_PTS (frame);
      gst_buffer_unref (frame);
      out = gst_harness_push_and_pull (h, out); /* criticals are fatal */
      g_assert_true (gst_buffer_is_writable (out));
      gst_buffer_unref (out);
    }
    gst_harness_teardown (h);
  }
  gst_buffer_pool_set_active (pool, FALSE);
  gst_object_unref (pool);
}

/* JPEG of a part of the frame, flat: the trainer's other layout */
static void
test_flat_crop (void)
{
  static const char *const classes[] = { "blue", "red", NULL };
  g_autofree char *folder = make_folder ("flat");
  GstHarness *h = harness_new (folder, "collect-rate=0 collect-layout=flat crop=\"16,0,16,16\"");
  const DatasetOptions options = { .layout = LAYOUT_PREFIX, .classes = classes, .threads = 1 };
  g_autoptr (Dataset) data = NULL;
  g_autoptr (GPtrArray) files = NULL;
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;

  push (h, GREEN, RED, 0);
  push (h, GREEN, BLUE, 1);
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, ==, 2);
  for (guint i = 0; i < files->len; i++) {
    g_autoptr (Picture) picture = picture_open (g_ptr_array_index (files, i), &error);
    guint width, height;

    g_assert_no_error (error);
    picture_get_size (picture, &width, &height);
    g_assert_cmpuint (width, ==, 16);
    g_assert_cmpuint (height, ==, 16);
    g_assert_true (g_str_has_suffix (g_ptr_array_index (files, i), ".jpg"));
  }
  nn_preprocess_init (&pre, 1, 1);
  data = dataset_load (folder, &options, &pre, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n, ==, 2);
  for (guint i = 0; i < 2; i++)
    for (guint c = 0; c < 3; c++)
      g_assert_cmpint (
          abs (data->bytes[3 * i + c] - (c == (data->labels[i] ? 0 : 2) ? 255 : 0)), <=, 8);
}

/* p (red) of so much red beside blue */
static double
chance (double red)
{
  return exp (4 * red) / (exp (4 * red) + exp (4 * (1 - red)) + 1);
}

/* only what is neither sure nor unsure */
static void
test_range (void)
{
  g_autofree char *folder = make_folder ("range"), *properties = NULL;
  g_autoptr (GPtrArray) files = NULL;
  GstHarness *h;

  g_assert_cmpfloat (chance (0.75), >, 0.6);
  g_assert_cmpfloat (chance (0.75), <, 0.9);
  properties = g_strdup ("collect-rate=0 collect-min=0.6 collect-max=0.9 smoothing=exponential");
  h = harness_new (folder, properties);
  push (h, RED, RED, 0);      /* 0.96 */
  push (h, RED, BLUE, 1);     /* 0.47 */
  push (h, RED, 0x80007f, 2); /* 0.85: three quarters */
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, ==, 1);
}

/* by the stream's time; anew after a seek */
static void
test_rate (void)
{
  g_autofree char *folder = make_folder ("rate");
  g_autoptr (GPtrArray) files = NULL;
  GstHarness *h = harness_new (folder, "collect-rate=5"); /* every fifth frame */

  for (guint n = 0; n < 21; n++) {
    push_wait (h, RED, RED, n, n / 5 + 1);
  }
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, ==, 5);
}

/* Frames do not wait: what the writer does not manage is dropped and counted. */
static void
test_async_full (void)
{
  g_autofree char *folder = make_folder ("async");
  g_autoptr (GPtrArray) files = NULL;
  GstHarness *h = harness_new (folder, "collect-rate=0");
  GstElement *element = element_of (h);
  guint64 dropped = 0;
  guint n_pushed;

  for (n_pushed = 0; n_pushed < 200 || dropped == 0; n_pushed++) {
    push (h, RED, RED, n_pushed);
    dropped = stat_of (element, "collect-dropped");
  }
  gst_object_unref (element);
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, ==, n_pushed - dropped);
  g_clear_pointer (&files, g_ptr_array_unref);

  /* results that come later than their frame has gone */
  h = harness_new (folder, "collect-rate=0 mode=async collect-layout=flat");
  for (guint n = 0; n < 20; n++) {
    push (h, BLUE, BLUE, n);
    g_usleep (2000);
  }
  gst_harness_push_event (h, gst_event_new_eos ());
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, >, n_pushed - dropped);
  g_assert_nonnull (strstr (g_ptr_array_index (files, 0), "blue."));
}

static GstBus *
bus_of (GstElement *element)
{
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (element, bus);
  return bus;
}

/* the one warning, naming @what; the stream goes on */
static void
expect_warning (GstBus *bus, const char *what)
{
  g_autoptr (GstMessage) message
      = gst_bus_timed_pop_filtered (bus, 10 * GST_SECOND, GST_MESSAGE_WARNING);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, "\"collect\""));
  g_assert_nonnull (strstr (error->message, what));
}

/* what was there before counts; nothing beyond it is written */
static void
test_limit (void)
{
  g_autofree char *folder = make_folder ("limit"), *before = NULL;
  g_autofree char *content = g_strnfill (3000, 'x');
  g_autoptr (GPtrArray) files = NULL;
  GstHarness *h;
  GstElement *element;
  GstBus *bus;

  g_mkdir (folder, 0777);
  before = g_build_filename (folder, "before.jpg", NULL);
  g_assert_true (g_file_set_contents (before, content, 3000, NULL));
  h = harness_new (folder, "collect-rate=0 collect-limit=5000");
  element = element_of (h);
  bus = bus_of (element);
  for (guint n = 0; n < 2; n++)
    push_wait (h, RED, BLUE, n, n + 1);
  for (guint n = 2; n < 40; n++)
    push (h, RED, BLUE, n);
  expect_warning (bus, "collect-limit (5000 bytes)");
  for (guint n = 40; n < 50; n++)
    push (h, RED, BLUE, n);
  gst_element_set_state (element, GST_STATE_NULL);                 /* the writer has ended */
  g_assert_null (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING)); /* once */
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, >=, 2);
  {
    goffset total = 0;

    for (guint i = 0; i < files->len; i++) {
      GStatBuf info;

      g_stat (g_ptr_array_index (files, i), &info);
      total += info.st_size;
    }
    g_assert_cmpint (total, <=, 5000);
  }
}

/* a file where the folder should be; labels that would lead out of it */
static void
test_bad_folder (void)
{
  static const char *const labels[] = { "../out", "a/b", ".hidden", NULL };
  g_autofree char *folder = make_folder ("good"), *out = make_folder ("out");
  g_autofree char *hostile = g_build_filename (dir, "hostile.h5", NULL), *kept = model_path;
  g_autoptr (GPtrArray) files = NULL;
  GstElement *element;
  GstHarness *h;
  GstBus *bus;

  element = gst_element_factory_make ("videoclassify", NULL);
  gst_object_ref_sink (element);
  bus = bus_of (element);
  g_object_set (element, "model", model_path, "device", "cpu", "collect", model_path, NULL);
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_src_caps_str (h, CAPS);
  push (h, RED, RED, 0);
  expect_warning (bus, model_path);
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);

  write_color_model (hostile, labels);
  model_path = hostile;
  h = harness_new (folder, "collect-rate=0");
  push_wait (h, RED, RED, 0, 1);
  push_wait (h, GREEN, GREEN, 1, 2);
  push (h, BLUE, BLUE, 2);
  gst_harness_teardown (h);
  model_path = g_steal_pointer (&kept);
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
  files = list (folder);
  g_assert_cmpuint (files->len, ==, 3);
}

/* Labels that are no names of files: each has a folder of its own, and the trainer reads its name
 * back. */
static void
test_awkward_labels (void)
{
  static const guint32 colors[] = { RED, GREEN, BLUE };
  g_autofree char *longer = g_strnfill (300, 'x');
  const char *const labels[] = { "a/b", "a_b", longer, NULL };
  g_autofree char *model = g_build_filename (dir, "awkward.h5", NULL), *cut = NULL;
  NnPreprocess pre;

  write_color_model (model, labels);
  nn_preprocess_init (&pre, 1, 1);
  for (guint flat = 0; flat < 2; flat++) {
    g_autofree char *folder = make_folder (flat ? "awkward-flat" : "awkward");
    g_autofree char *properties = g_strdup_printf (
        "collect-rate=0 model=\"%s\" collect-layout=%s", model, flat ? "flat" : "by-label");
    const DatasetOptions options
        = { .layout = flat ? LAYOUT_PREFIX : LAYOUT_FOLDERS, .threads = 1 };
    GstHarness *h = harness_new (folder, properties);
    g_autoptr (Dataset) data = NULL;
    g_autoptr (GError) error = NULL;

    for (guint n = 0; n < 6; n++)
      push_wait (h, colors[n % 3], colors[n % 3], n, n + 1);
    gst_harness_teardown (h);
    data = dataset_load (folder, &options, &pre, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (data->n, ==, 6);
    g_assert_cmpuint (g_strv_length (data->classes), ==, 3);
    g_assert_cmpstr (data->classes[0], ==, "a/b");
    g_assert_cmpstr (data->classes[1], ==, "a_b");
    g_assert_true (g_str_has_prefix (data->classes[2], "xxx")); /* cut */
  }
}

/* A class whose folder is a link, or cannot be made, is told of once; the others go on. */
static void
test_class_folders (void)
{
  g_autofree char *folder = make_folder ("links"), *elsewhere = make_folder ("elsewhere");
  g_autofree char *red = g_build_filename (folder, "red", NULL);
  g_autofree char *green = g_build_filename (folder, "green", NULL);
  g_autofree char *blue = g_build_filename (folder, "blue", NULL);
  g_autoptr (GPtrArray) files = NULL, outside = NULL;
  GstHarness *h;
  GstElement *element;
  GstBus *bus;

  g_mkdir (folder, 0777);
  g_mkdir (elsewhere, 0777);
  g_assert_cmpint (symlink (elsewhere, red), ==, 0);
  g_assert_true (g_file_set_contents (green, "", 0, NULL));
  h = harness_new (folder, "collect-rate=0");
  element = element_of (h);
  bus = bus_of (element);
  for (guint n = 0; n < 4; n++) {
    push (h, RED, RED, 3 * n);
    push (h, GREEN, GREEN, 3 * n + 1);
    push_wait (h, BLUE, BLUE, 3 * n + 2, n + 1);
  }
  expect_warning (bus, "links/red: is a link");
  expect_warning (bus, "links/green");
  g_assert_null (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING)); /* once each */
  gst_element_set_bus (element, NULL);
  gst_object_unref (bus);
  gst_object_unref (element);
  gst_harness_teardown (h);
  outside = list (elsewhere);
  g_assert_cmpuint (outside->len, ==, 0);
  files = list (blue);
  g_assert_cmpuint (files->len, ==, 4);
}

/* Nothing is sure of what is no number. */
static void
test_no_numbers (void)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  g_autofree char *folder = make_folder ("numbers");
  g_autofree char *path = g_build_filename (dir, "broken.h5", NULL);
  g_autofree char *properties
      = g_strdup_printf ("collect-rate=0 collect-min=0.9 model=\"%s\"", path);
  g_autoptr (GPtrArray) files = NULL;
  GstHarness *h;

  write_broken_model (path, labels);
  h = harness_new (folder, properties);
  for (guint n = 0; n < 3; n++)
    push (h, CYAN, CYAN, n);
  push_wait (h, RED, RED, 3, 1);
  gst_harness_teardown (h);
  files = list (folder);
  g_assert_cmpuint (files->len, ==, 1);
  g_assert_nonnull (strstr (g_ptr_array_index (files, 0), "/red/"));
}

/* --- an encoder that hangs ------------------------------------------------------------- */

static GMutex hang_lock;
static GCond hang_cond;
static gboolean is_hanging, is_released, has_ended;

static GstFlowReturn
hang (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  gst_buffer_unref (buffer);
  g_mutex_lock (&hang_lock);
  is_hanging = TRUE;
  g_cond_broadcast (&hang_cond);
  while (!is_released)
    g_cond_wait (&hang_cond, &hang_lock);
  has_ended = TRUE;
  g_cond_broadcast (&hang_cond);
  g_mutex_unlock (&hang_lock);
  return GST_FLOW_ERROR;
}

typedef GstElement HangingEncoder;
typedef GstElementClass HangingEncoderClass;
static GType hanging_encoder_get_type (void);
G_DEFINE_TYPE (HangingEncoder, hanging_encoder, GST_TYPE_ELEMENT)

static GstStaticPadTemplate hang_sink = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS ("video/x-raw"));
static GstStaticPadTemplate hang_src = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS ("image/jpeg"));

static void
hanging_encoder_class_init (HangingEncoderClass *klass)
{
  gst_element_class_set_static_metadata (klass, "hangs", "Codec/Encoder/Image", "hangs", "test");
  gst_element_class_add_static_pad_template (klass, &hang_sink);
  gst_element_class_add_static_pad_template (klass, &hang_src);
}

static void
hanging_encoder_init (HangingEncoder *self)
{
  GstPad *pad = gst_pad_new_from_static_template (&hang_sink, "sink");

  gst_pad_set_chain_function (pad, hang);
  gst_element_add_pad (self, pad);
  gst_element_add_pad (self, gst_pad_new_from_static_template (&hang_src, "src"));
}

/* The element stops though a picture is never written; nothing of it is used afterwards. */
static void
test_hanging_encoder (void)
{
  g_autofree char *folder = make_folder ("hanging");
  GstElementFactory *factory;
  GstHarness *h;

  gst_element_register (NULL, "hangingenc", GST_RANK_PRIMARY + 100, hanging_encoder_get_type ());
  h = harness_new (folder, "collect-rate=0");
  push (h, RED, RED, 0);
  g_mutex_lock (&hang_lock);
  while (!is_hanging)
    g_cond_wait (&hang_cond, &hang_lock);
  g_mutex_unlock (&hang_lock);
  for (guint n = 1; n < 4; n++)
    push (h, RED, RED, n);
  gst_harness_teardown (h);
  g_mutex_lock (&hang_lock);
  g_assert_false (has_ended);
  is_released = TRUE;
  g_cond_broadcast (&hang_cond);
  while (!has_ended)
    g_cond_wait (&hang_cond, &hang_lock);
  g_mutex_unlock (&hang_lock);
  factory = gst_element_factory_find ("hangingenc");
  gst_plugin_feature_set_rank (GST_PLUGIN_FEATURE (factory), GST_RANK_NONE);
  gst_object_unref (factory);
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
  g_test_add_func ("/collect/by-label", test_by_label);
  g_test_add_func ("/collect/turned", test_turned);
  g_test_add_func ("/collect/pool", test_pool);
  g_test_add_func ("/collect/flat-crop", test_flat_crop);
  g_test_add_func ("/collect/range", test_range);
  g_test_add_func ("/collect/rate", test_rate);
  g_test_add_func ("/collect/async-full", test_async_full);
  g_test_add_func ("/collect/limit", test_limit);
  g_test_add_func ("/collect/bad-folder", test_bad_folder);
  g_test_add_func ("/collect/awkward-labels", test_awkward_labels);
  g_test_add_func ("/collect/class-folders", test_class_folders);
  g_test_add_func ("/collect/no-numbers", test_no_numbers);
  g_test_add_func ("/collect/hanging-encoder", test_hanging_encoder);
  status = g_test_run ();
  remove_dir (dir);
  g_free (model_path);
  g_free (dir);
  return status;
}
