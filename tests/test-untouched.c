/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The element in a pipeline is not there: behind what crops and pads frames, and in front of
 * what encodes, scales and shows them, each neighbour gets and makes the same bytes as with
 * `identity` in the element's place, and the result is that of the picture that is seen.
 *
 * Elements that are not installed are skipped, and counted. */

#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <math.h>
#include <signal.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <unistd.h>

#include "tests/two-colors.h"

/* Until a pipeline is known to stand still: without the element, and with it. */
#define TIMEOUT (60 * GST_SECOND)
#define LONG_TIMEOUT (300 * GST_SECOND)

static char *dir, *model_path;
static guint n_compared;

/* --- neighbours ----------------------------------------------------------------------- */

static const struct {
  const char *needs, *line;
} fronts[] = {
  { "videocrop", "videocrop left=100 top=40" },
  { "videocrop", "videocrop left=101 top=51 right=33 bottom=27" },
  { "videocrop", "videocrop right=35 bottom=17" },
  { "aspectratiocrop videocrop", "aspectratiocrop aspect-ratio=1/1" },
  { "theoraenc theoradec videocrop",
      "videocrop right=2 bottom=6 ! videoconvert ! theoraenc ! theoradec" },
  { "x264enc avdec_h264 videocrop",
      "videoconvert ! x264enc speed-preset=ultrafast tune=zerolatency threads=1 ! avdec_h264 ! "
      "videocrop left=7 top=3" },
  { "jpegenc jpegdec", "videocrop left=4 bottom=2 ! videoconvert ! jpegenc ! jpegdec" },
  { "videoscale", "videoscale ! capsfilter caps=\"video/x-raw,width=317,height=241\"" },
  { "queue videocrop", "videocrop left=100 top=40 ! queue" },
};

#define OUT " ! fakesink name=out sync=false"

/* What stands behind the element, begins with an element named "end", and may have one more
 * named "out" that gets what is made of the frames. */
static const struct {
  const char *needs, *format, *line;
} ends[] = {
  { "x264enc", "I420", "x264enc name=end speed-preset=ultrafast threads=1" OUT },
  { "jpegenc", "I420", "jpegenc name=end" OUT },
  { "vp8enc", "I420", "vp8enc name=end deadline=1000000 cpu-used=5 threads=1" OUT },
  { "theoraenc", "I420", "theoraenc name=end" OUT },
  { "openh264enc", "I420", "openh264enc name=end multi-thread=1" OUT },
  { "avenc_mpeg4", "I420", "avenc_mpeg4 name=end" OUT },
  { "avenc_ffv1", "I420", "avenc_ffv1 name=end" OUT },
  { "pngenc", "RGB", "pngenc name=end" OUT },
  { "compositor", "I420", "compositor name=end" OUT },
  { "videoscale", "NV12",
      "videoscale name=end ! capsfilter caps=\"video/x-raw,width=100,height=80\"" OUT },
  { "videoconvert", "I420",
      "videoconvert name=end ! capsfilter caps=\"video/x-raw,format=RGB\"" OUT },
  { "videocrop", "RGB", "videocrop name=end left=9 top=5" OUT },
  { "videoflip", "I420", "videoflip name=end video-direction=90r" OUT },
  { "videobalance jpegenc", "I420", "videobalance name=end hue=0.2 ! jpegenc" OUT },
  { "queue tee jpegenc", "I420", "tee name=end ! queue ! jpegenc" OUT },
  { "y4menc", "I420", "y4menc name=end" OUT },
  { "webpenc", "RGBA", "webpenc name=end" OUT },
  { "filesink", "RGB", "filesink name=end location=%s/file" },
  { "fakesink", "I420", "fakesink name=end" },
  { "appsink", "NV12", "appsink name=end sync=false" },
  { "shmsink", "RGB", "shmsink name=end wait-for-connection=false sync=false socket-path=%s/shm" },
  { "ximagesink", "BGRx", "ximagesink name=end sync=false" },
};

/* What the element is told to do meanwhile; the result is compared where it has to be on its
 * own frame. */
static const struct {
  const char *properties;
  gboolean is_steady;
} modes[] = {
  { "", TRUE },
  { "mode=async", FALSE },
  { "tta=crops10:0.8", TRUE },
  { "batch-size=4 batch-timeout=0", TRUE },
  { "inference-region=roi-list", TRUE },
  { "crop=10,6,60,40", TRUE },
  { "explain=cam explain-interval=0", TRUE },
  { "mode=async tta=crops5:0.7 crop=0.2,0.1,0.5,0.5", FALSE },
};

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

/* --- what is seen on the way ------------------------------------------------------------- */

typedef struct {
  GChecksum *in, *out;    /* of what the end gets and makes */
  guint n;                /* frames that it gets */
  GString *results;       /* label and probability of each of them */
  GArray *probabilities;  /* doubles */
  char *error;
} Record;

static void
record_clear (Record *record)
{
  g_checksum_free (record->in);
  g_checksum_free (record->out);
  g_string_free (record->results, TRUE);
  g_array_unref (record->probabilities);
  g_free (record->error);
}

static void
add_number (GChecksum *sum, guint64 number)
{
  g_checksum_update (sum, (const guchar *)&number, sizeof number);
}

/* The pixels that are seen, wherever they lie in the buffer. */
static void
add_visible (GChecksum *sum, GstBuffer *buffer, const GstVideoInfo *info)
{
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  const GstVideoFormatInfo *format = info->finfo;
  const int x = crop ? (int)crop->x : 0, y = crop ? (int)crop->y : 0;
  GstVideoFrame frame;

  g_assert_true (gst_video_frame_map (&frame, info, buffer, GST_MAP_READ));
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++) {
    const int x_sub = (int)GST_VIDEO_FORMAT_INFO_W_SUB (format, c);
    const int y_sub = (int)GST_VIDEO_FORMAT_INFO_H_SUB (format, c);
    const int step = GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c);
    const guint8 *data = GST_VIDEO_FRAME_COMP_DATA (&frame, c);

    for (int row = 0; row < GST_VIDEO_SUB_SCALE (y_sub, info->height); row++)
      for (int column = 0; column < GST_VIDEO_SUB_SCALE (x_sub, info->width); column++)
        g_checksum_update (sum,
            data + (row + (y >> y_sub)) * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c)
                + (column + (x >> x_sub)) * step,
            1);
  }
  gst_video_frame_unmap (&frame);
}

static GstPadProbeReturn
look_at_frame (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  const GstVideoMeta *meta = gst_buffer_get_video_meta (buffer);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  g_autofree char *text = gst_caps_to_string (caps);
  Record *record = user_data;
  GstCustomMeta *result = NULL;
  GstVideoInfo video;

  g_checksum_update (record->in, (const guchar *)text, -1);
  add_number (record->in, GST_BUFFER_PTS (buffer));
  add_number (record->in, gst_buffer_get_size (buffer));
  for (guint p = 0; meta && p < meta->n_planes; p++)
    add_number (record->in, (guint64)meta->stride[p]);
  if (crop) {
    add_number (record->in, crop->x);
    add_number (record->in, crop->y);
  }
  g_assert_true (gst_video_info_from_caps (&video, caps));
  add_visible (record->in, buffer, &video);
  record->n++;
  if (gst_meta_get_info ("GstVideoClassifyMeta"))
    result = gst_buffer_get_custom_meta (buffer, "GstVideoClassifyMeta");
  if (result) {
    const GstStructure *s = gst_custom_meta_get_structure (result);
    double probability = -1;

    gst_structure_get_double (s, "probability", &probability);
    g_array_append_val (record->probabilities, probability);
    g_string_append_printf (record->results, "%s ", gst_structure_get_string (s, "label"));
  }
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
look_at_output (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Record *record = user_data;
  GstMapInfo map;

  g_assert_true (gst_buffer_map (GST_PAD_PROBE_INFO_BUFFER (info), &map, GST_MAP_READ));
  g_checksum_update (record->out, map.data, (gssize)map.size);
  gst_buffer_unmap (GST_PAD_PROBE_INFO_BUFFER (info), &map);
  return GST_PAD_PROBE_OK;
}

/* A detector: a thing at 8,4 of the picture that is seen. */
static GstPadProbeReturn
detect (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstBuffer *buffer = gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);

  gst_buffer_add_video_region_of_interest_meta (
      buffer, "thing", (crop ? crop->x : 0) + 8, (crop ? crop->y : 0) + 4, 60, 50);
  info->data = buffer;
  return GST_PAD_PROBE_OK;
}

static void
add_probe (GstElement *pipeline, const char *name, const char *pad_name,
    GstPadProbeCallback callback, Record *record)
{
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (pipeline), name);
  g_autoptr (GstPad) pad = NULL;

  if (!element)
    return;
  pad = gst_element_get_static_pad (element, pad_name);
  if (!pad) /* compositor's, by request */
    pad = gst_element_get_static_pad (element, "sink_0");
  g_assert_nonnull (pad);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, callback, record, NULL);
}

/* appsink waits for somebody to take what it has. */
static void
take_samples (GstElement *pipeline)
{
  g_autoptr (GstElement) end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  GstSample *sample = NULL;

  if (!g_signal_lookup ("pull-sample", G_OBJECT_TYPE (end)))
    return;
  do {
    g_clear_pointer (&sample, gst_sample_unref);
    g_signal_emit_by_name (end, "pull-sample", &sample);
  } while (sample);
}

static Record
play (const char *front, const char *format, const char *element, const char *end)
{
  const gboolean is_waited_for = !g_str_has_prefix (element, "identity");
  g_autofree char *line = g_strdup_printf ("videotestsrc num-buffers=4 pattern=smpte ! "
                                           "video/x-raw,format=%s,width=320,height=240,"
                                           "framerate=25/1 ! %s ! videoconvert ! "
                                           "video/x-raw,format=%s ! %s ! %s",
      format, front, format, element, end);
  Record record = { .in = g_checksum_new (G_CHECKSUM_SHA256),
    .out = g_checksum_new (G_CHECKSUM_SHA256),
    .results = g_string_new (NULL),
    .probabilities = g_array_new (FALSE, FALSE, sizeof (double)) };
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBus) bus = NULL;

  g_assert_no_error (error);
  bus = gst_element_get_bus (pipeline);
  add_probe (pipeline, "e", "sink", detect, NULL);
  add_probe (pipeline, "end", "sink", look_at_frame, &record);
  add_probe (pipeline, "out", "sink", look_at_output, &record);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  take_samples (pipeline);
  message = gst_bus_timed_pop_filtered (bus, is_waited_for ? LONG_TIMEOUT : TIMEOUT,
      GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
  if (!message) {
    record.error = g_strdup ("it does not come to an end");
  } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    record.error = g_strdup (error->message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return record;
}

/* --- the tests --------------------------------------------------------------------------- */

/* What some elements make depends on bytes that nobody has written, those beyond the edge of
 * the picture; with a memory that is always filled it does not, save under TSan. */
static gboolean
is_memory_filled (void)
{
#if defined(__SANITIZE_THREAD__)
  return FALSE;
#elif defined(__SANITIZE_ADDRESS__)
  return strstr (g_getenv ("ASAN_OPTIONS") ? g_getenv ("ASAN_OPTIONS") : "", "max_malloc_fill_size")
         != NULL;
#elif defined(__GLIBC__)
  return mallopt (M_PERTURB, 0x5a) == 1;
#else
  return FALSE;
#endif
}

/* What the end gets and, where that can be compared, makes. */
static gboolean
is_same (const Record *a, const Record *b)
{
  return a->n == b->n
         && g_str_equal (g_checksum_get_string (a->in), g_checksum_get_string (b->in))
         && (!is_memory_filled ()
             || g_str_equal (g_checksum_get_string (a->out), g_checksum_get_string (b->out)));
}

/* Encoders and converters that read aligned memory before it is written make something else
 * each time. */
static gboolean
is_reproducible (guint f, guint e, const char *end, const Record *expected)
{
  gboolean same = TRUE;

  for (guint i = 0; i < 4 && same; i++) {
    Record again = play (fronts[f].line, ends[e].format, "identity name=e", end);

    same = !again.error && is_same (expected, &again);
    record_clear (&again);
  }
  return same;
}

static void
compare (guint f, guint e, guint m)
{
  g_autofree char *end = g_strdup_printf (ends[e].line, dir);
  g_autofree char *element = g_strdup_printf (
      "videoclassify name=e device=cpu threads=1 model=\"%s\" %s", model_path,
      modes[m].properties);
  Record expected = play (fronts[f].line, ends[e].format, "identity name=e", end);
  Record got = { 0 };

  g_test_message ("%s ! %s ! %s", fronts[f].line, modes[m].properties, end);
  if (expected.error) { /* a sink without a display, a picture too small for an encoder */
    g_test_message ("skipped: without the element, too: %s", expected.error);
    record_clear (&expected);
    return;
  }
  got = play (fronts[f].line, ends[e].format, element, end);
  if (got.error)
    g_error ("%s", got.error);
  g_assert_cmpuint (got.n, ==, expected.n);
  g_assert_cmpuint (got.n, >, 0);
  n_compared++;
  if (!is_same (&expected, &got)) {
    if (is_reproducible (f, e, end, &expected))
      g_error ("%s gets or makes something else than with identity", end);
    g_test_message ("skipped: something else each time, without the element, too");
    n_compared--;
  } else if (modes[m].is_steady) {
    /* fakesink answers no query: upstream hands out pixels */
    Record pixels = play (fronts[f].line, ends[e].format, element, "fakesink name=end");

    g_assert_null (pixels.error);
    g_assert_cmpuint (got.probabilities->len, ==, got.n);
    g_assert_cmpstr (got.results->str, ==, pixels.results->str);
    for (guint i = 0; i < got.n; i++)
      g_assert_cmpfloat_with_epsilon (g_array_index (got.probabilities, double, i),
          g_array_index (pixels.probabilities, double, i), 1e-6);
    record_clear (&pixels);
  }
  record_clear (&expected);
  record_clear (&got);
}

static void
test_end (gconstpointer user_data)
{
  const guint e = GPOINTER_TO_UINT (user_data);
  const gboolean is_quick = g_getenv ("CLASSIFY_TEST_QUICK") != NULL;

  if (!has_elements (ends[e].needs)) {
    g_test_skip ("not installed");
    return;
  }
  for (guint f = 0; f < G_N_ELEMENTS (fronts); f++)
    if (!has_elements (fronts[f].needs))
      g_test_message ("skipped: %s is not installed", fronts[f].needs);
    else if (!is_quick || f < 2)
      compare (f, e, (e + f) % G_N_ELEMENTS (modes));
}

/* Of pipelines, with all that is not installed or does not do the same twice left out. */
static void
test_number (void)
{
  g_test_message ("%u pipelines compared", n_compared);
  if (!has_elements ("videocrop jpegenc pngenc"))
    g_test_skip ("GStreamer's good plugins are not installed");
  else
    g_assert_cmpuint (n_compared, >=, g_getenv ("CLASSIFY_TEST_QUICK") ? 20 : 60);
}

/* All modes in front of one encoder and one sink. */
static void
test_modes (void)
{
  if (!has_elements ("videocrop jpegenc")) {
    g_test_skip ("not installed");
    return;
  }
  for (guint m = 0; m < G_N_ELEMENTS (modes); m++)
    for (guint f = 0; f < 2; f++) {
      compare (f, 1, m);
      compare (f, G_N_ELEMENTS (ends) - 1, m);
    }
}

/* --- a display --------------------------------------------------------------------------- */

/* The server does not outlive a test that fails. */
static void
die_with_parent (gpointer user_data)
{
#ifdef __linux__
  prctl (PR_SET_PDEATHSIG, SIGKILL);
#endif
}

/* One without a screen, where there is a program for it. */
static GSubprocess *
start_display (void)
{
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autofree char *program = g_find_program_in_path ("Xvfb"), *display = NULL;
  GSubprocess *server;
  char number[16] = "";
  gsize n = 0;
  int fds[2];

  if (!program || !g_unix_open_pipe (fds, FD_CLOEXEC, NULL))
    return NULL;
  launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_subprocess_launcher_set_child_setup (launcher, die_with_parent, NULL, NULL);
  g_subprocess_launcher_take_fd (launcher, fds[1], 3);
  server = g_subprocess_launcher_spawn (launcher, NULL, program, "-displayfd", "3", "-screen", "0",
      "640x480x24", "-nolisten", "tcp", "-noreset", NULL);
  g_subprocess_launcher_close (launcher);
  /* its number, when it is ready, and a line feed */
  while (server && n + 1 < sizeof number && !strchr (number, '\n')
         && read (fds[0], number + n, 1) == 1)
    n++;
  close (fds[0]);
  if (n == 0)
    return server;
  display = g_strconcat (":", g_strstrip (number), NULL);
  g_setenv ("DISPLAY", display, TRUE);
  return server;
}

static void
remove_files (void)
{
  static const char *const names[] = { "color.h5", "file", "shm" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (dir, names[i], NULL);

    g_unlink (path);
  }
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  static const char *const labels[] = { "red", "green", "blue", NULL };
  g_autoptr (GSubprocess) server = NULL;
  int status;

  is_memory_filled ();
  server = start_display ();
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("classify-test-XXXXXX", NULL);
  model_path = g_build_filename (dir, "color.h5", NULL);
  write_color_model (model_path, labels);
  for (guint e = 0; e < G_N_ELEMENTS (ends); e++) {
    g_auto (GStrv) names = g_strsplit (ends[e].needs, " ", 2);
    g_autofree char *path = g_strdup_printf ("/untouched/%s", names[0]);

    g_test_add_data_func (path, GUINT_TO_POINTER (e), test_end);
  }
  g_test_add_func ("/untouched/modes", test_modes);
  g_test_add_func ("/untouched/number", test_number);
  status = g_test_run ();
  remove_files ();
  if (server) {
    g_subprocess_force_exit (server);
    g_subprocess_wait (server, NULL, NULL);
  }
  g_free (model_path);
  g_free (dir);
  return status;
}
