/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who makes the network's input of a frame: the streaming thread, the engine's thread of a copy
 * or, with $CLASSIFY_TEST_DEVICE, a CUDA device (or what stands in for one) of a pack, or of a
 * frame in its own memory, where GStreamer's cudaupload has put it. All say the same of each
 * frame, format by format. */

#include <dlfcn.h>
#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include "nn/augment.h"
#include "nn/keras-file.h"

/* every pixel and channel has a weight of its own: nothing may be anywhere else */
static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"n\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
      " \"batch_input_shape\": [null, 9, 14, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 4,"
      " \"activation\": \"softmax\"}}]}}";

static char *model_path;
static const char *gpu; /* $CLASSIFY_TEST_DEVICE */

static void
write_model (NnResize resize, NnAspect aspect)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, &error);
  NnAugment augment;

  g_assert_no_error (error);
  nn_model_init_params (model, 3, &error);
  nn_preprocess_init (&model->preprocess, 14, 9);
  model->preprocess.resize = resize;
  model->preprocess.aspect = aspect;
  model->preprocess.pad = 90;
  model->preprocess.mean[1] = 100;
  model->preprocess.scale[2] = 1 / 300.f;
  model->has_preprocess = TRUE;
  nn_augment_init (&augment);
  augment.rotation_range = 40;
  augment.zoom_range[0] = 0.7;
  augment.channel_shift_range = 20;
  augment.contrast = augment.saturation = 0.4;
  g_hash_table_replace (
      model->extra, g_strdup (NN_AUGMENT_ATTRIBUTE), nn_augment_to_json (&augment));
  nn_model_save (model, model_path, NULL, NULL, &error);
  g_assert_no_error (error);
}

static GstBuffer *
noise (const GstVideoInfo *info, guint seed)
{
  const gsize size = GST_VIDEO_INFO_SIZE (info);
  guint8 *data = g_malloc (size);
  GRand *rand = g_rand_new_with_seed (seed);
  GstBuffer *buffer;

  for (gsize i = 0; i < size; i++)
    data[i] = (guint8)g_rand_int (rand);
  g_rand_free (rand);
  buffer = gst_buffer_new_wrapped (data, size);
  GST_BUFFER_PTS (buffer) = seed * 40 * GST_MSECOND;
  GST_BUFFER_DURATION (buffer) = 40 * GST_MSECOND;
  return buffer;
}

static GstElement *
get_element (GstHarness *h)
{
  return GST_IS_BIN (h->element) ? gst_bin_get_by_name (GST_BIN (h->element), "c")
                                 : gst_object_ref (h->element);
}

static void
read_probabilities (const GstStructure *result, double values[4])
{
  const GValue *array = gst_structure_get_value (result, "probabilities");
  const GValue *labels = gst_structure_get_value (result, "labels");

  for (guint i = 0; i < 4; i++) {
    const char *label = g_value_get_string (gst_value_array_get_value (labels, i));

    values[g_ascii_strtoull (label, NULL, 10)]
        = g_value_get_double (gst_value_array_get_value (array, i));
  }
}

static void
probabilities_of (GstBuffer *buffer, double values[4])
{
  read_probabilities (
      gst_custom_meta_get_structure (gst_buffer_get_custom_meta (buffer, "GstVideoClassifyMeta")),
      values);
}

#define N_FRAMES 3

static const GstVideoFormat formats[] = { GST_VIDEO_FORMAT_NV12, GST_VIDEO_FORMAT_I420,
  GST_VIDEO_FORMAT_P010_10LE, GST_VIDEO_FORMAT_YUY2, GST_VIDEO_FORMAT_RGB, GST_VIDEO_FORMAT_BGR,
  GST_VIDEO_FORMAT_RGBx, GST_VIDEO_FORMAT_ARGB, GST_VIDEO_FORMAT_BGRA, GST_VIDEO_FORMAT_GRAY8,
  GST_VIDEO_FORMAT_I420_10LE, GST_VIDEO_FORMAT_Y444 };

static guint64
stat_of (GstElement *element, const char *name)
{
  GstStructure *stats;
  guint64 n;

  g_object_get (element, "stats", &stats, NULL);
  g_assert_true (gst_structure_get_uint64 (stats, name, &n));
  gst_structure_free (stats);
  return n;
}

#define UPLOAD "cudaupload ! video/x-raw(memory:CUDAMemory) ! "

static GstContext *app_context; /* what the application gives the pipelines, or NULL */

/* of frames of @format, @width x @height, that come through @front; returns how many were made by
 * the device */
static guint64
run_behind (const char *front, const char *device, const char *properties, GstVideoFormat format,
    guint width, guint height, double values[N_FRAMES][4])
{
  g_autofree char *line = g_strdup_printf (
      "%svideoclassify name=c device=%s precision=fp32 threads=1 model=\"%s\" %s", front, device,
      model_path, properties);
  g_autofree char *caps = g_strdup_printf ("video/x-raw,format=%s,width=%u,height=%u,"
                                           "framerate=25/1",
      gst_video_format_to_string (format), width, height);
  GstHarness *h = gst_harness_new_parse (line);
  GstElement *element = get_element (h);
  GstVideoInfo info;
  guint64 n;

  if (app_context) {
    gst_element_set_state (h->element, GST_STATE_NULL);
    gst_element_set_context (h->element, app_context);
    gst_harness_play (h);
  }
  gst_video_info_set_format (&info, format, width, height);
  gst_harness_set_src_caps_str (h, caps);
  for (guint i = 0; i < N_FRAMES; i++) {
    GstBuffer *out = gst_harness_push_and_pull (h, noise (&info, i));

    g_assert_nonnull (out);
    probabilities_of (out, values[i]);
    gst_buffer_unref (out);
  }
  n = stat_of (element, "on-device");
  gst_object_unref (element);
  gst_harness_teardown (h);
  return n;
}

static guint64
run (const char *device, const char *properties, GstVideoFormat format, guint width, guint height,
    double values[N_FRAMES][4])
{
  return run_behind ("", device, properties, format, width, height, values);
}

static void
compare (
    const char *properties, GstVideoFormat format, guint width, guint height, gboolean on_device)
{
  double expected[N_FRAMES][4], got[N_FRAMES][4];

  g_assert_cmpuint (run ("cpu", properties, format, width, height, expected), ==, 0);
  g_assert_cmpuint (
      run (gpu, properties, format, width, height, got), ==, on_device ? N_FRAMES : 0);
  for (guint i = 0; i < N_FRAMES; i++)
    for (guint k = 0; k < 4; k++)
      g_assert_cmpfloat_with_epsilon (got[i][k], expected[i][k], 2e-6);
}

static void
test_formats (void)
{
  static const NnResize resizes[] = { NN_RESIZE_NEAREST, NN_RESIZE_BILINEAR, NN_RESIZE_AREA };

  for (guint r = 0; r < G_N_ELEMENTS (resizes); r++) {
    write_model (resizes[r], (NnAspect)r);
    for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
      compare ("", formats[f], 53, 31, TRUE);
  }
}

static void
test_properties (void)
{
  static const char *const properties[] = { "tta=crops10:0.8", "tta=scales:1,0.8+flip+logits",
    "crop=5,3,20,17", "batch-size=4 batch-timeout=0", "batch-size=4 batch-timeout=0 tta=crops10",
    "explain=none inference-interval=1", "tta=random:4", "tta=random:5,3+logits crop=5,3,20,17",
    "batch-size=3 batch-timeout=0 tta=random:4", "change-threshold=0.001",
    "smoothing=exponential scene-cut=0.32", "smoothing=exponential scene-cut=0.01 tta=crops5",
    "video-direction=90r crop=5,3,20,17", "video-direction=ur-ll tta=crops10:0.8",
    "video-direction=horiz tta=random:4", "video-direction=180 change-threshold=0.001" };

  write_model (NN_RESIZE_AREA, NN_ASPECT_LETTERBOX);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++)
    compare (properties[i], GST_VIDEO_FORMAT_NV12, 64, 48, TRUE);
  /* what has to be unpacked first */
  compare ("", GST_VIDEO_FORMAT_A420, 53, 31, TRUE);
  compare ("tta=flip video-direction=90l", GST_VIDEO_FORMAT_ARGB64, 64, 48, TRUE);
  compare ("crop=5,3,20,17", GST_VIDEO_FORMAT_GRAY16_LE, 64, 48, TRUE);
  /* where the host looks at the input too */
  compare ("change-threshold=0.001 tta=random:2", GST_VIDEO_FORMAT_NV12, 64, 48, FALSE);
}

/* Of frames of which each comes three times in a row: those that are classified. */
static guint64
count_classified (const char *front, const char *device, const char *properties)
{
  g_autofree char *line
      = g_strdup_printf ("%svideoclassify name=c device=%s precision=fp32 model=\"%s\" %s", front,
          device, model_path, properties);
  GstHarness *h = gst_harness_new_parse (line);
  GstElement *element = get_element (h);
  GstVideoInfo info;
  guint64 n;

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_NV12, 64, 48);
  gst_harness_set_src_caps_str (h, "video/x-raw,format=NV12,width=64,height=48,framerate=25/1");
  for (guint i = 0; i < 12; i++)
    gst_buffer_unref (gst_harness_push_and_pull (h, noise (&info, i / 3)));
  gst_harness_push_event (h, gst_event_new_eos ()); /* waits for the results */
  n = stat_of (element, "classified");
  g_assert_cmpuint (
      n + stat_of (element, "skipped-unchanged") + stat_of (element, "dropped-busy"), ==, 12);
  if (strcmp (device, "cpu") == 0)
    g_assert_cmpuint (stat_of (element, "on-device"), ==, 0);
  else
    g_assert_cmpuint (stat_of (element, "on-device"), >=, n);
  gst_object_unref (element);
  gst_harness_teardown (h);
  return n;
}

/* Frames that look the same are known on the device, too. */
static void
check_unchanged (const char *front)
{
  write_model (NN_RESIZE_BILINEAR, NN_ASPECT_STRETCH);
  g_assert_cmpuint (count_classified ("", "cpu", "change-threshold=0.01"), ==, 4);
  g_assert_cmpuint (count_classified (front, gpu, "change-threshold=0.01"), ==, 4);
  g_assert_cmpuint (count_classified (front, gpu, "change-threshold=1"), ==, 1);
  g_assert_cmpuint (count_classified (front, gpu, "change-threshold=0.01 mode=async"), <=, 12);
}

static void
test_unchanged (void)
{
  check_unchanged ("");
}

static void
take_result (GstElement *element, const GstStructure *result, GstStructure **last)
{
  if (*last)
    gst_structure_free (*last);
  *last = gst_structure_copy (result);
}

static void
remove_folder (const char *path)
{
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *file = g_build_filename (path, name, NULL);

    g_unlink (file);
  }
  g_dir_close (dir);
  g_rmdir (path);
}

/* A frame made by the device (of its own memory, with @front) and one made by the host that
 * wait for each other, and are run one after the other. */
static void
check_mixed (const char *front)
{
  g_autofree char *dumps = NULL;
  double expected[N_FRAMES][4];
  GstHarness *h[2];
  GstElement *c[2];
  GstStructure *last[2] = { NULL, NULL };
  GstVideoInfo info;
  guint n;

  write_model (NN_RESIZE_AREA, NN_ASPECT_STRETCH);
  run ("cpu", "", GST_VIDEO_FORMAT_RGB, 40, 30, expected);
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_RGB, 40, 30);
  dumps = g_dir_make_tmp ("classify-dumps-XXXXXX", NULL); /* what the host has to make */
  for (guint i = 0; i < 2; i++) {
    g_autofree char *line
        = g_strdup_printf ("%svideoclassify name=c mode=async device=%s precision=fp32 "
                           "model=\"%s\" batch-size=2 batch-timeout=500000000 %s%s",
            i ? "" : front, gpu, model_path, i ? "dump-input=" : "", i ? dumps : "");

    h[i] = gst_harness_new_parse (line);
    c[i] = get_element (h[i]);
    g_signal_connect (c[i], "classified", G_CALLBACK (take_result), &last[i]);
    gst_harness_set_src_caps_str (h[i], "video/x-raw,format=RGB,width=40,height=30,framerate=25/1");
  }
  for (n = 0; n < 20; n++) {
    for (guint i = 0; i < 2; i++)
      gst_buffer_unref (gst_harness_push_and_pull (h[i], noise (&info, (n + i) % N_FRAMES)));
  }
  for (guint i = 0; i < 2; i++)
    gst_harness_push_event (h[i], gst_event_new_eos ()); /* waits for the results */
  g_assert_cmpuint (stat_of (c[0], "on-device"), >, 0);
  g_assert_cmpuint (stat_of (c[1], "on-device"), ==, 0);
  g_assert_cmpuint (stat_of (c[0], "engine-samples"), ==, stat_of (c[0], "engine-runs"));
  for (guint i = 0; i < 2; i++) {
    double best = 0, got;
    guint64 pts;

    gst_object_unref (c[i]);
    gst_harness_teardown (h[i]); /* no signal any more */
    g_assert_true (gst_structure_get_uint64 (last[i], "timestamp", &pts));
    for (guint k = 0; k < 4; k++)
      best = MAX (best, expected[pts / (40 * GST_MSECOND)][k]);
    gst_structure_get_double (last[i], "probability", &got);
    g_assert_cmpfloat_with_epsilon (got, best, 2e-6);
    gst_structure_free (last[i]);
  }
  remove_folder (dumps);
}

static void
test_mixed (void)
{
  check_mixed ("");
}

/* the stand-in counts; a real driver does not, and -1 is as good as any number then */
static int
count (const char *name)
{
  void *library = dlopen ("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  int (*function) (void) = NULL;
  int result;

  if (library) {
    void *symbol = dlsym (library, name);

    memcpy (&function, &symbol, sizeof function);
  }
  result = function ? function () : -1;
  if (library)
    dlclose (library);
  return result;
}

static int
count_downloads (void)
{
  return count ("fake_cuda_count_downloads");
}

/* A frame is on its way to the device while the one before is being run. */
static void
test_sent_ahead (void)
{
  g_autofree char *line = NULL;
  GstHarness *h;
  GstVideoInfo info;
  int n_before;

  write_model (NN_RESIZE_AREA, NN_ASPECT_STRETCH);
  line = g_strdup_printf ("videoclassify name=c mode=async device=%s precision=fp32 "
                          "tta=crops10 model=\"%s\"",
      gpu, model_path);
  h = gst_harness_new_parse (line);
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_RGB, 640, 480);
  gst_harness_set_src_caps_str (h, "video/x-raw,format=RGB,width=640,height=480,framerate=25/1");
  gst_buffer_unref (gst_harness_push_and_pull (h, noise (&info, 0)));
  n_before = count ("fake_cuda_count_overlaps");
  if (n_before < 0)
    g_test_skip ("no stand-in that counts");
  while (n_before >= 0 && count ("fake_cuda_count_overlaps") == n_before)
    gst_buffer_unref (gst_harness_push_and_pull (h, noise (&info, 0)));
  gst_harness_teardown (h);
}

typedef struct {
  GMutex lock;
  GCond is_there;
  gboolean is_new;
  double values[4];
} Taken;

/* In the engine's thread. */
static void
take_probabilities (GstElement *element, const GstStructure *result, Taken *taken)
{
  g_mutex_lock (&taken->lock);
  read_probabilities (result, taken->values);
  taken->is_new = TRUE;
  g_cond_signal (&taken->is_there);
  g_mutex_unlock (&taken->lock);
}

static void
compare_async (const char *front, const char *device, const char *properties, GstVideoFormat format,
    guint width, guint height)
{
  g_autofree char *all = g_strdup_printf (
      "%svideoclassify name=c mode=async device=%s precision=fp32 threads=1 model=\"%s\" %s", front,
      device, model_path, properties);
  g_autofree char *caps
      = g_strdup_printf ("video/x-raw,format=%s,width=%u,height=%u,framerate=25/1",
          gst_video_format_to_string (format), width, height);
  double expected[N_FRAMES][4];
  Taken taken = { 0 };
  GstHarness *h = gst_harness_new_parse (all);
  GstElement *element = get_element (h);
  GstVideoInfo info;

  run ("cpu", properties, format, width, height, expected);
  gst_video_info_set_format (&info, format, width, height);
  gst_harness_set_src_caps_str (h, caps);
  g_signal_connect (element, "classified", G_CALLBACK (take_probabilities), &taken);
  for (guint i = 0; i < N_FRAMES; i++) {
    /* the frame itself is gone when it is sampled */
    gst_buffer_unref (gst_harness_push_and_pull (h, noise (&info, i)));
    g_mutex_lock (&taken.lock);
    while (!taken.is_new)
      g_cond_wait (&taken.is_there, &taken.lock);
    taken.is_new = FALSE;
    for (guint k = 0; k < 4; k++)
      g_assert_cmpfloat_with_epsilon (taken.values[k], expected[i][k], 2e-6);
    g_mutex_unlock (&taken.lock);
  }
  gst_object_unref (element);
  gst_harness_teardown (h);
}

/* Several views of a frame that never waits. */
static void
test_async (void)
{
  static const NnResize resizes[] = { NN_RESIZE_NEAREST, NN_RESIZE_BILINEAR, NN_RESIZE_AREA };

  for (guint r = 0; r < G_N_ELEMENTS (resizes); r++) {
    write_model (resizes[r], (NnAspect)r);
    for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
      compare_async ("", "cpu", "tta=crops10:0.8", formats[f], 53, 31);
      compare_async ("", "cpu", "tta=flip crop=\"11,7,30,19\"", formats[f], 64, 48);
      compare_async ("", "cpu", "tta=scales:1,1.3,0.7 crop=\"3,13,50,20\"", formats[f], 64, 48);
      compare_async ("", "cpu", "tta=random:4 crop=\"0,29,63,19\"", formats[f], 64, 48);
    }
  }
}

/* --- frames in the device's memory ----------------------------------------------------- */

static void
compare_uploaded (const char *device, const char *properties, GstVideoFormat format, guint width,
    guint height, gboolean on_device)
{
  double expected[N_FRAMES][4], got[N_FRAMES][4];
  const int n_downloads = count_downloads ();

  run ("cpu", properties, format, width, height, expected);
  g_assert_cmpuint (run_behind (UPLOAD, device, properties, format, width, height, got), ==,
      on_device ? N_FRAMES : 0);
  for (guint i = 0; i < N_FRAMES; i++)
    for (guint k = 0; k < 4; k++)
      g_assert_cmpfloat_with_epsilon (got[i][k], expected[i][k], 2e-6);
  if (on_device)
    g_assert_cmpint (count_downloads (), ==, n_downloads);
}

static void
test_memory_formats (void)
{
  static const NnResize resizes[] = { NN_RESIZE_NEAREST, NN_RESIZE_BILINEAR, NN_RESIZE_AREA };

  for (guint r = 0; r < G_N_ELEMENTS (resizes); r++) {
    write_model (resizes[r], (NnAspect)r);
    for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
      if (formats[f] != GST_VIDEO_FORMAT_GRAY8) /* which cudaupload does not take */
        compare_uploaded (gpu, "", formats[f], 54, 32, TRUE);
  }
}

static void
test_memory_properties (void)
{
  static const char *const properties[] = { "tta=crops10:0.8", "tta=scales:1,0.8+flip+logits",
    "crop=\"5,3,20,17\"", "batch-size=4 batch-timeout=0 tta=crops10", "tta=random:4" };

  write_model (NN_RESIZE_AREA, NN_ASPECT_LETTERBOX);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++)
    compare_uploaded (gpu, properties[i], GST_VIDEO_FORMAT_NV12, 64, 48, TRUE);
  compare_async (UPLOAD, gpu, "tta=flip crop=\"11,7,30,19\"", GST_VIDEO_FORMAT_NV12, 64, 48);
  /* a pool's memory, which belongs to no context */
  g_setenv ("FAKE_CUDA_POOL", "1", TRUE);
  compare_uploaded (gpu, "", GST_VIDEO_FORMAT_NV12, 64, 48, TRUE);
  g_unsetenv ("FAKE_CUDA_POOL");
}

/* Where the host must look at the frame. */
static void
test_memory_downloads (void)
{
  static const char *const properties[] = { "tta=random:2 change-threshold=0.001" };
  const int n_downloads = count_downloads ();

  write_model (NN_RESIZE_BILINEAR, NN_ASPECT_STRETCH);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++)
    compare_uploaded (gpu, properties[i], GST_VIDEO_FORMAT_I420, 64, 48, FALSE);
  compare_uploaded ("cpu", "", GST_VIDEO_FORMAT_RGBx, 64, 48, FALSE);
  if (n_downloads >= 0)
    g_assert_cmpint (count_downloads (), >, n_downloads);
}

/* Frames that are turned are downloaded, and sent as those in the host's memory are. */
static void
test_memory_turned (void)
{
  static const char *const properties[]
      = { "video-direction=90r", "video-direction=180 tta=crops10", "video-direction=ul-lr" };
  const int n_downloads = count_downloads ();

  write_model (NN_RESIZE_AREA, NN_ASPECT_LETTERBOX);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    double expected[N_FRAMES][4], got[N_FRAMES][4];

    run ("cpu", properties[i], GST_VIDEO_FORMAT_NV12, 64, 48, expected);
    g_assert_cmpuint (
        run_behind (UPLOAD, gpu, properties[i], GST_VIDEO_FORMAT_NV12, 64, 48, got), ==, N_FRAMES);
    for (guint f = 0; f < N_FRAMES; f++)
      for (guint k = 0; k < 4; k++)
        g_assert_cmpfloat_with_epsilon (got[f][k], expected[f][k], 2e-6);
  }
  if (n_downloads >= 0)
    g_assert_cmpint (count_downloads (), >, n_downloads);
}

static void
test_memory_unchanged (void)
{
  const int n_downloads = count_downloads ();

  check_unchanged (UPLOAD);
  compare_uploaded (gpu, "smoothing=exponential scene-cut=0.32", GST_VIDEO_FORMAT_NV12, 64, 48,
      TRUE);
  g_assert_cmpint (count_downloads (), ==, n_downloads);
}

static void
test_memory_mixed (void)
{
  check_mixed (UPLOAD);
}

/* copies on a device, of frames behind @front, counted by @counter */
static int
count_copies (const char *counter, const char *front, const char *device)
{
  const int n = count (counter);
  double expected[N_FRAMES][4], got[N_FRAMES][4];

  run ("cpu", "", GST_VIDEO_FORMAT_NV12, 64, 48, expected);
  g_assert_cmpuint (
      run_behind (front, device, "", GST_VIDEO_FORMAT_NV12, 64, 48, got), ==, N_FRAMES);
  for (guint i = 0; i < N_FRAMES; i++)
    for (guint k = 0; k < 4; k++)
      g_assert_cmpfloat_with_epsilon (got[i][k], expected[i][k], 2e-6);
  return count (counter) - n;
}

static int
count_peer_copies (const char *front, const char *device)
{
  return count_copies ("fake_cuda_count_peer_copies", front, device);
}

/* One that GStreamer itself makes, as its elements do where they find none. (transfer full) */
static GstContext *
make_context (guint device)
{
  void *library = dlopen ("libgstcuda-1.0.so.0", RTLD_LAZY);
  gpointer (*new_context) (guint device);
  GstContext *(*wrap) (gpointer context);
  gpointer cuda_context;
  GstContext *context;
  void *symbol;

  g_assert_nonnull (library);
  symbol = dlsym (library, "gst_cuda_context_new");
  memcpy (&new_context, &symbol, sizeof symbol);
  symbol = dlsym (library, "gst_context_new_cuda_context");
  memcpy (&wrap, &symbol, sizeof symbol);
  cuda_context = new_context (device);
  g_assert_nonnull (cuda_context);
  context = wrap (cuda_context);
  gst_object_unref (cuda_context);
  dlclose (library); /* the element has made it stay */
  return context;
}

/* Frames and model lie in one context, whoever made it. */
static void
test_memory_context (void)
{
  write_model (NN_RESIZE_BILINEAR, NN_ASPECT_STRETCH);
  g_assert_cmpint (count_peer_copies (UPLOAD, gpu), ==, 0);
  g_assert_cmpint (count_peer_copies (UPLOAD, "auto"), ==, 0);
  app_context = make_context (0);
  g_assert_cmpint (count_peer_copies (UPLOAD, gpu), ==, 0);
  g_assert_cmpint (count_peer_copies (UPLOAD, "cuda:0"), ==, 0);
  g_clear_pointer (&app_context, gst_context_unref);
  if (count_downloads () < 0) /* the stand-in has two devices */
    return;
  g_assert_cmpint (count_peer_copies (UPLOAD, "cuda:1"), ==, 0);
  /* planes are read where they are, but for those of a pool */
  g_assert_cmpint (count_copies ("fake_cuda_count_row_copies", UPLOAD, gpu), ==, 0);
  g_setenv ("FAKE_CUDA_POOL", "1", TRUE);
  g_assert_cmpint (count_copies ("fake_cuda_count_row_copies", UPLOAD, gpu), ==, 2 * N_FRAMES);
  g_unsetenv ("FAKE_CUDA_POOL");
  app_context = make_context (1);
  g_assert_cmpint (count_peer_copies (UPLOAD, "auto"), ==, 0);
  g_assert_cmpint (count_peer_copies ("cudaupload cuda-device-id=1 ! video/x-raw(memory:CUDAMemory)"
                                      " ! ",
                       "cuda:0"),
      ==, 2 * N_FRAMES);
  g_clear_pointer (&app_context, gst_context_unref);
}

static gpointer
get_context (GstHarness *h)
{
  GstElement *element = get_element (h);
  GstContext *context = gst_element_get_context (element, "gst.cuda.context");
  const GstStructure *fields = context ? gst_context_get_structure (context) : NULL;
  gpointer object
      = fields ? g_value_get_object (gst_structure_get_value (fields, "gst.cuda.context")) : NULL;

  gst_object_unref (element);
  if (context)
    gst_context_unref (context);
  return object;
}

/* The context that the element makes is one for all pipelines and stays as long as it is used. */
static void
test_memory_shared (void)
{
  g_autofree char *classify = NULL, *line = NULL, *on_cpu = NULL;
  GstHarness *h[3];
  GstVideoInfo info;
  GstBuffer *out;
  gpointer context;

  write_model (NN_RESIZE_BILINEAR, NN_ASPECT_STRETCH);
  classify = g_strdup_printf ("videoclassify name=c model=\"%s\"", model_path);
  line = g_strdup_printf (UPLOAD "%s device=%s", classify, gpu);
  on_cpu = g_strdup_printf ("%s device=cpu", classify);
  h[0] = gst_harness_new_parse (line);
  h[1] = gst_harness_new_parse (line);
  h[2] = gst_harness_new_parse (on_cpu);
  context = get_context (h[0]);
  g_assert_nonnull (context);
  g_assert_true (get_context (h[1]) == context);
  g_assert_null (get_context (h[2]));
  gst_harness_teardown (h[2]);
  gst_harness_teardown (h[1]);
  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_NV12, 64, 48);
  gst_harness_set_src_caps_str (h[0], "video/x-raw,format=NV12,width=64,height=48,framerate=25/1");
  out = gst_harness_push_and_pull (h[0], noise (&info, 0));
  gst_harness_teardown (h[0]);
  gst_buffer_unref (out); /* in that context */
}

/* A device that GStreamer's elements can use as well. */
static gboolean
has_cuda_elements (void)
{
  GstPlugin *plugin = gst_registry_find_plugin (gst_registry_get (), "nvcodec");
  g_autoptr (GstElementFactory) factory = NULL;

  /* the registry may be of a time without the device */
  if (plugin) {
    GstPlugin *loaded = gst_plugin_load_file (gst_plugin_get_filename (plugin), NULL);

    g_clear_object (&loaded);
    gst_object_unref (plugin);
  }
  factory = gst_element_factory_find ("cudaupload");
  return factory != NULL;
}

static void
skip_memory (void)
{
  g_test_skip ("no cudaupload: GStreamer's nvcodec plugin has found no device or is not there");
}

int
main (int argc, char **argv)
{
  g_autofree char *dir = NULL;
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("classify-test-XXXXXX", NULL);
  model_path = g_build_filename (dir, "model.h5", NULL);
  gpu = g_getenv ("CLASSIFY_TEST_DEVICE");
  if (gpu) {
    g_test_add_func ("/frames/device/formats", test_formats);
    g_test_add_func ("/frames/device/properties", test_properties);
    g_test_add_func ("/frames/device/mixed", test_mixed);
    g_test_add_func ("/frames/device/unchanged", test_unchanged);
    g_test_add_func ("/frames/device/sent-ahead", test_sent_ahead);
    if (has_cuda_elements ()) {
      g_test_add_func ("/frames/memory/formats", test_memory_formats);
      g_test_add_func ("/frames/memory/properties", test_memory_properties);
      g_test_add_func ("/frames/memory/downloads", test_memory_downloads);
      g_test_add_func ("/frames/memory/turned", test_memory_turned);
      g_test_add_func ("/frames/memory/mixed", test_memory_mixed);
      g_test_add_func ("/frames/memory/unchanged", test_memory_unchanged);
      g_test_add_func ("/frames/memory/context", test_memory_context);
      g_test_add_func ("/frames/memory/shared", test_memory_shared);
    } else {
      g_test_add_func ("/frames/memory", skip_memory);
    }
  } else {
    g_test_add_func ("/frames/async", test_async);
  }
  status = g_test_run ();
  g_unlink (model_path);
  g_rmdir (dir);
  g_free (model_path);
  return status;
}
