/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every raw format through the element, against GStreamer's own conversion of the same frame: what
 * the network is given (dump-input) by format, colorimetry, pixel aspect, stride and memory; and
 * what is refused, in which words. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <gst/allocators/gstdmabuf.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gst/formats.h"
#include "nn/input-dump.h"
#include "nn/keras-file.h"
#include "tests/folders.h"

/* of 255: half for the rounding, the rest for what is cut off beyond 10 bits */
#define TOLERANCE 1.25

static char *dir;

/* --- models, frames, harnesses ------------------------------------------------------ */

/* of @width x @height pixels, nearest, values 0..255; (transfer full): its path */
static char *
make_model (guint width, guint height, NnAspect aspect)
{
  g_autofree char *json = g_strdup_printf (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"p\", \"layers\": ["
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\","
      " \"batch_input_shape\": [null, %u, %u, 3]}},"
      "{\"class_name\": \"Activation\", \"config\": {\"name\": \"a\","
      " \"activation\": \"softmax\"}}]}}",
      height, width);
  g_autofree char *name = g_strdup_printf ("%ux%u-%d.h5", width, height, aspect);
  char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_alloc_params (model, &error);
  g_assert_no_error (error);
  nn_preprocess_init (&model->preprocess, width, height);
  for (guint c = 0; c < 3; c++)
    model->preprocess.scale[c] = 1;
  model->preprocess.aspect = aspect;
  model->preprocess.pad = 7;
  model->has_preprocess = TRUE;
  model->has_weights = TRUE;
  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  return path;
}

typedef struct
{
  GstHarness *h;
  GstBus *bus;
  char *folder;
  guint n; /* frames pushed */
} Stream;

static void
stream_open (Stream *s, const char *model, const char *properties)
{
  static guint n;
  g_autofree char *line = NULL;

  s->folder = g_strdup_printf ("%s/dump%u", dir, n++);
  line = g_strdup_printf ("videoclassify name=c device=cpu threads=1 model=\"%s\" "
      "dump-input=\"%s\" dump-limit=100000 %s", model, s->folder, properties);
  s->h = gst_harness_new_parse (line);
  s->bus = gst_bus_new ();
  gst_element_set_bus (s->h->element, s->bus);
  s->n = 0;
}

static void
stream_close (Stream *s)
{
  gst_element_set_bus (s->h->element, NULL);
  gst_object_unref (s->bus);
  gst_harness_teardown (s->h);
  g_free (s->folder);
}

/* Pushes @buffer of @caps; (transfer full): what the network was given. */
static NnInputDump *
stream_push (Stream *s, const GstVideoInfo *info, GstBuffer *buffer)
{
  g_autofree char *name = g_strdup_printf (".frame-%06u.h5", ++s->n), *path = NULL;
  g_autoptr (GError) error = NULL;
  NnInputDump *dump;

  gst_harness_set_src_caps (s->h, gst_video_info_to_caps (info));
  g_assert_cmpint (gst_harness_push (s->h, buffer), ==, GST_FLOW_OK);
  gst_buffer_unref (gst_harness_pull (s->h));
  path = find_file (s->folder, name);
  g_assert_nonnull (path);
  dump = nn_input_dump_read (path, &error);
  g_assert_no_error (error);
  return dump;
}

/* (transfer full): the text of the first error on the bus */
static char *
error_of (GstBus *bus)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  return g_strdup (error->message);
}

static GstBuffer *
convert (GstBuffer *src, const GstVideoInfo *from, const GstVideoInfo *to)
{
  GstBuffer *dst = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (to), NULL);
  GstVideoConverter *converter = gst_video_converter_new (from, to,
      gst_structure_new ("o", GST_VIDEO_CONVERTER_OPT_CHROMA_MODE, GST_TYPE_VIDEO_CHROMA_MODE,
          GST_VIDEO_CHROMA_MODE_NONE, GST_VIDEO_CONVERTER_OPT_DITHER_METHOD,
          GST_TYPE_VIDEO_DITHER_METHOD, GST_VIDEO_DITHER_NONE, NULL));
  GstVideoFrame a, b;

  g_assert_nonnull (converter);
  gst_buffer_memset (dst, 0, 0, GST_VIDEO_INFO_SIZE (to));
  gst_video_frame_map (&a, from, src, GST_MAP_READ);
  gst_video_frame_map (&b, to, dst, GST_MAP_WRITE);
  gst_video_converter_frame (converter, &a, &b);
  gst_video_frame_unmap (&a);
  gst_video_frame_unmap (&b);
  gst_video_converter_free (converter);
  return dst;
}

/* Colours in blocks of 4x4 pixels, saturated ones among them, and a little noise. */
static GstBuffer *
make_rgb (const GstVideoInfo *info, guint seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  guint8 colours[16][3];
  GstVideoFrame frame;

  for (guint i = 0; i < 16; i++)
    for (guint c = 0; c < 3; c++)
      colours[i][c]
          = (guint8) (20 + (i < 8 ? (int) (i >> c & 1) * 200 : g_rand_int_range (rand, 0, 200)));
  gst_video_frame_map (&frame, info, buffer, GST_MAP_WRITE);
  for (int y = 0; y < GST_VIDEO_INFO_HEIGHT (info); y++)
    for (int x = 0; x < GST_VIDEO_INFO_WIDTH (info); x++)
      for (guint c = 0; c < 3; c++)
        ((guint8 *) GST_VIDEO_FRAME_PLANE_DATA (
            &frame, 0))[y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0) + 3 * x + (int) c]
            = (guint8) (colours[(x / 4 * 5 + y / 4 * 3) % 16][c] + g_rand_int_range (rand, 0, 6));
  gst_video_frame_unmap (&frame);
  return buffer;
}

static void
set_info (GstVideoInfo *info, GstVideoFormat format, guint width, guint height,
    const char *colorimetry)
{
  gst_video_info_set_format (info, format, width, height);
  info->fps_n = 25;
  info->fps_d = 1;
  if (colorimetry)
    g_assert_true (gst_video_colorimetry_from_string (&info->colorimetry, colorimetry));
}

/* R'G'B' 0..255 of a pixel that GStreamer unpacked to 16 bits a component. */
static void
get_rgb (const GstVideoInfo *info, const guint16 *pixel, double rgb[3])
{
  const guint depth = GST_VIDEO_INFO_COMP_DEPTH (info, 0);
  const double top = (1 << depth) - 1, unit = depth > 8 ? 1 << (depth - 8) : 1;
  gint offset[4], scale[4];
  double kr, kb, v[3];

  for (guint c = 0; c < 3; c++)
    rgb[c] = pixel[c] / 257.;
  if (GST_VIDEO_INFO_IS_RGB (info))
    return;
  g_assert_true (gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb));
  gst_video_color_range_offsets (info->colorimetry.range,
      gst_video_format_get_info (GST_VIDEO_FORMAT_AYUV), offset, scale);
  for (guint c = 0; c < 3; c++) {
    const double value = pixel[c] >> (16 - depth); /* as it was */
    const gboolean is_full = info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;

    v[c] = c > 0 && is_full ? (value - (top + 1) / 2) / top
        : is_full           ? value / top
                            : (value / unit - offset[c]) / scale[c];
  }
  rgb[0] = 255 * (v[0] + 2 * (1 - kr) * v[2]);
  rgb[2] = 255 * (v[0] + 2 * (1 - kb) * v[1]);
  rgb[1] = (255 * v[0] - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb);
  for (guint c = 0; c < 3; c++)
    rgb[c] = CLAMP (rgb[c], 0, 255);
}

/* What the network was given is what @frame holds, as GStreamer unpacks it. */
static void
compare (const NnInputDump *dump, const GstVideoInfo *info, GstBuffer *frame, const char *what)
{
  const guint height = (guint) dump->shape.dims[0], width = (guint) dump->shape.dims[1];
  const gboolean is_rgb = GST_VIDEO_INFO_IS_RGB (info);
  g_autoptr (GstBuffer) deep = NULL;
  GstVideoInfo deep_info;
  GstVideoFrame pixels;

  g_assert_cmpint ((int) width, ==, GST_VIDEO_INFO_WIDTH (info));
  g_assert_cmpint ((int) height, ==, GST_VIDEO_INFO_HEIGHT (info));
  set_info (&deep_info, is_rgb ? GST_VIDEO_FORMAT_ARGB64 : GST_VIDEO_FORMAT_AYUV64, width, height,
      NULL);
  deep_info.colorimetry = info->colorimetry;
  deep = convert (frame, info, &deep_info);
  gst_video_frame_map (&pixels, &deep_info, deep, GST_MAP_READ);
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++) {
      const guint8 *row = (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&pixels, 0)
          + (int) y * GST_VIDEO_FRAME_PLANE_STRIDE (&pixels, 0);
      const float *value = dump->values + (y * width + x) * 3;
      double rgb[3];

      get_rgb (info, (const guint16 *) (gconstpointer) row + 4 * x + 1, rgb);
      for (guint c = 0; c < 3; c++)
        if (fabs ((double) value[c] - rgb[c]) > TOLERANCE)
          g_error ("%s: pixel %u,%u is %g %g %g, expected %g %g %g", what, x, y,
              (double) value[0], (double) value[1], (double) value[2], rgb[0], rgb[1], rgb[2]);
    }
  gst_video_frame_unmap (&pixels);
}

/* --- formats ------------------------------------------------------------------------ */

/* One stream whose colorimetry changes: against the conversion of the same frame. */
static void
check_format (GstVideoFormat format, guint width, guint height, const char *model)
{
  static const char *const colorimetries[] = { NULL, "bt601", "bt709", "bt2020", "smpte240m",
    "1:4:0:0", "1:3:0:0", "1:6:0:0" };
  const GstVideoFormatInfo *finfo = gst_video_format_get_info (format);
  GstVideoInfo info, rgb_info;
  Stream s;

  stream_open (&s, model, "");
  set_info (&rgb_info, GST_VIDEO_FORMAT_RGB, width, height, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (colorimetries); i++) {
    g_autofree char *what = NULL;
    g_autoptr (GstBuffer) noise = NULL, frame = NULL;
    g_autoptr (NnInputDump) dump = NULL;

    if (colorimetries[i] && GST_VIDEO_FORMAT_INFO_IS_RGB (finfo))
      continue;
    if (GST_VIDEO_FORMAT_INFO_IS_GRAY (finfo) && i > 0 && i < 5)
      continue;
    set_info (&info, format, width, height, colorimetries[i]);
    what = g_strdup_printf ("%s %ux%u, %s", gst_video_format_to_string (format), width, height,
        colorimetries[i] ? colorimetries[i] : "default");
    noise = make_rgb (&rgb_info, i + 1);
    frame = convert (noise, &rgb_info, &info);
    dump = stream_push (&s, &info, gst_buffer_ref (frame));
    compare (dump, &info, frame, what);
  }
  stream_close (&s);
}

static void
test_formats (void)
{
  static const guint sizes[][2] = { { 16, 12 }, { 13, 7 }, { 1, 1 } };
  guint n_formats, n = 0;
  const GstVideoFormat *formats = gst_video_formats_raw (&n_formats);

  for (guint k = 0; k < G_N_ELEMENTS (sizes); k++) {
    g_autofree char *model = make_model (sizes[k][0], sizes[k][1], NN_ASPECT_STRETCH);

    for (guint i = 0; i < n_formats; i++) {
      GstVideoInfo info;
      NnImageInfo image;

      gst_video_info_set_format (&info, formats[i], 16, 12);
      if (!gst_video_classify_image_info (&info, &image)) {
        g_test_message ("%s is not read", gst_video_format_to_string (formats[i]));
        continue;
      }
      n++;
      check_format (formats[i], sizes[k][0], sizes[k][1], model);
    }
  }
  /* of GStreamer 1.22 all that it names */
  g_assert_cmpuint (n, >=, 3 * 111);
}

/* A row of every plane that begins elsewhere and is longer than it must be. */
static void
test_padded (void)
{
  const guint width = 16, height = 12;
  g_autofree char *model = make_model (width, height, NN_ASPECT_STRETCH);
  guint n_formats;
  const GstVideoFormat *formats = gst_video_formats_raw (&n_formats);

  for (guint i = 0; i < n_formats; i++) {
    g_autoptr (GstBuffer) noise = NULL, frame = NULL;
    g_autoptr (NnInputDump) dump = NULL;
    GstVideoInfo info, padded, rgb_info;
    GstVideoAlignment align;
    GstVideoFrame from, to;
    GstBuffer *other;
    NnImageInfo image;
    Stream s;

    set_info (&info, formats[i], width, height, NULL);
    set_info (&rgb_info, GST_VIDEO_FORMAT_RGB, width, height, NULL);
    if (!gst_video_classify_image_info (&info, &image)
        || GST_VIDEO_FORMAT_INFO_IS_TILED (info.finfo))
      continue;
    padded = info;
    gst_video_alignment_reset (&align);
    align.padding_left = align.padding_right = 48;
    align.padding_top = align.padding_bottom = 16;
    if (!gst_video_info_align (&padded, &align))
      continue;
    stream_open (&s, model, "");
    noise = make_rgb (&rgb_info, 3);
    frame = convert (noise, &rgb_info, &info);
    other = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&padded), NULL);
    gst_buffer_memset (other, 0, 0xa5, GST_VIDEO_INFO_SIZE (&padded));
    gst_buffer_add_video_meta_full (other, GST_VIDEO_FRAME_FLAG_NONE, formats[i], width, height,
        GST_VIDEO_INFO_N_PLANES (&padded), padded.offset, padded.stride);
    gst_video_frame_map (&from, &info, frame, GST_MAP_READ);
    gst_video_frame_map (&to, &info, other, GST_MAP_WRITE);
    g_assert_true (gst_video_frame_copy (&to, &from));
    gst_video_frame_unmap (&from);
    gst_video_frame_unmap (&to);
    dump = stream_push (&s, &info, other);
    compare (dump, &info, frame, gst_video_format_to_string (formats[i]));
    stream_close (&s);
  }
}

/* In the engine's thread, of a copy; a crop of it; and in a region of interest. */
static void
test_unpacked_elsewhere (void)
{
  static const char *const formats[] = { "A420", "v210", "ARGB64", "GRAY16_LE", "RGB8P", "YUV9",
    "NV12_4L4", "I420", "AYUV" };
  static const char *const modes[] = { "mode=sync", "mode=async", "mode=async tta=crops5:0.5",
    "mode=async tta=flip explain=cam", "batch-size=2" };
  g_autofree char *model = make_model (8, 6, NN_ASPECT_STRETCH);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    double expected = -1;

    for (guint m = 0; m < G_N_ELEMENTS (modes); m++) {
      const GstVideoFormat format = gst_video_format_from_string (formats[i]);
      g_autofree char *line = g_strdup_printf ("videoclassify name=c device=cpu threads=1 "
          "model=\"%s\" crop=10,11,20,13 %s", model, modes[m]);
      GstHarness *h = gst_harness_new_parse (line);
      g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (h->element), "c");
      g_autoptr (GstBuffer) noise = NULL;
      GstVideoInfo info, rgb_info;
      double probability;

      set_info (&rgb_info, GST_VIDEO_FORMAT_RGB, 64, 48, NULL);
      set_info (&info, format, 64, 48, NULL);
      noise = make_rgb (&rgb_info, 3);
      gst_harness_set_src_caps (h, gst_video_info_to_caps (&info));
      g_assert_cmpint (
          gst_harness_push (h, convert (noise, &rgb_info, &info)), ==, GST_FLOW_OK);
      gst_buffer_unref (gst_harness_pull (h));
      gst_harness_push_event (h, gst_event_new_eos ()); /* waits for what is on its way */
      g_object_get (element, "probability", &probability, NULL);
      g_assert_cmpfloat (probability, >, 0);
      if (m == 0)
        expected = probability;
      if (m == 1 || m == 4)
        g_assert_cmpfloat_with_epsilon (probability, expected, 1e-6);
      gst_clear_object (&element);
      gst_harness_teardown (h);
    }
  }
}

/* --- caps --------------------------------------------------------------------------- */

/* Pixels twice as wide as high make a square frame a wide picture. */
static void
test_pixel_aspect (void)
{
  static const struct
  {
    int n, d;
    guint width, height, first, end; /* rows of the picture, or columns where high */
  } rows[] = { { 1, 1, 64, 64, 0, 16 }, { 2, 1, 64, 64, 4, 12 }, { 1, 1, 64, 32, 4, 12 },
    { 1, 2, 64, 32, 0, 16 } };
  g_autofree char *model = make_model (16, 16, NN_ASPECT_LETTERBOX);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (NnInputDump) dump = NULL;
    GstVideoInfo info;
    GstBuffer *frame;
    Stream s;

    stream_open (&s, model, "");
    set_info (&info, GST_VIDEO_FORMAT_RGB, rows[i].width, rows[i].height, NULL);
    info.par_n = rows[i].n;
    info.par_d = rows[i].d;
    frame = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
    gst_buffer_memset (frame, 0, 200, GST_VIDEO_INFO_SIZE (&info));
    dump = stream_push (&s, &info, frame);
    for (guint y = 0; y < 16; y++)
      for (guint k = 0; k < 16 * 3; k++)
        g_assert_cmpfloat (
            dump->values[y * 48 + k], ==, y >= rows[i].first && y < rows[i].end ? 200 : 7);
    stream_close (&s);
  }
}

/* What cannot be read is named, with what to do, whether it comes first or in mid-stream. */
static void
test_refused (void)
{
  static const char *const rows[][2] = {
    { "video/x-raw(format:Interlaced),format=I420,width=32,height=32,framerate=25/1,"
      "interlace-mode=alternate",
        "put deinterlace in front" },
    { "video/x-raw(memory:NVMM),format=NV12,width=32,height=32,framerate=25/1",
        "video/x-raw(memory:NVMM), format=NV12: videoclassify does not read frames in such memory: "
        "put nvvideoconvert in front" },
    { "video/x-raw(memory:Nobody),format=NV12,width=32,height=32,framerate=25/1",
        "put an element that copies it to system memory in front" },
    { "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=NV12:0x0100000000000002,width=32,"
      "height=32,framerate=25/1",
        "drm-format=NV12:0x0100000000000002" },
    { "video/x-raw,format=NEW42,width=32,height=32,framerate=25/1",
        "video/x-raw, format=NEW42 is not a format that videoclassify reads: put videoconvert in "
        "front" },
    { "video/x-raw,format=ENCODED,width=32,height=32,framerate=25/1", "format=ENCODED" },
    { "video/x-raw,format=I420,width=40000,height=2,framerate=25/1",
        "frames of 40000x2 pixels are larger than" },
  };
  g_autofree char *model = make_model (8, 6, NN_ASPECT_STRETCH);

  for (guint i = 0; i < 2 * G_N_ELEMENTS (rows); i++) {
    const gboolean is_later = i % 2;
    g_autofree char *text = NULL;
    GstVideoInfo info;
    Stream s;

    stream_open (&s, model, "");
    if (is_later) {
      set_info (&info, GST_VIDEO_FORMAT_I420, 32, 32, NULL);
      nn_input_dump_free (stream_push (
          &s, &info, gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL)));
    }
    gst_harness_set_src_caps_str (s.h, rows[i / 2][0]);
    g_assert_cmpint (gst_harness_push (s.h, gst_buffer_new_allocate (NULL, 32 * 32 * 3 / 2, NULL)),
        ==, GST_FLOW_NOT_NEGOTIATED);
    text = error_of (s.bus);
    if (!strstr (text, rows[i / 2][1]))
      g_error ("%s: \"%s\" does not say \"%s\"", rows[i / 2][0], text, rows[i / 2][1]);
    stream_close (&s);
  }
}

/* A file itself. */
static void
test_without_caps (void)
{
  g_autofree char *model = make_model (8, 6, NN_ASPECT_STRETCH);
  g_autofree char *line = g_strdup_printf ("filesrc location=\"%s\" ! videoclassify device=cpu "
      "threads=1 model=\"%s\" ! fakesink", model, model);
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR);
  gst_message_parse_error (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, "put decodebin in front"));
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* I420, then what has to be unpacked, then I420 of another size. */
static void
test_caps_change (void)
{
  static const char *const formats[] = { "I420", "A420", "ARGB64", "NV12", "GRAY16_LE", "I420" };
  g_autofree char *model = make_model (16, 12, NN_ASPECT_STRETCH);
  Stream s;

  stream_open (&s, model, "");
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autoptr (GstBuffer) noise = NULL, frame = NULL;
    g_autoptr (NnInputDump) dump = NULL;
    GstVideoInfo info, rgb_info;

    set_info (&rgb_info, GST_VIDEO_FORMAT_RGB, 16, 12, NULL);
    set_info (&info, gst_video_format_from_string (formats[i]), 16, 12, NULL);
    noise = make_rgb (&rgb_info, i);
    frame = convert (noise, &rgb_info, &info);
    dump = stream_push (&s, &info, gst_buffer_ref (frame));
    compare (dump, &info, frame, formats[i]);
  }
  stream_close (&s);
}

/* An upstream that can make frames in system memory is asked for these, one that cannot for what
 * it has. */
static void
test_choice (void)
{
  static const char *const rows[][2] = {
    { "video/x-raw(memory:VAMemory),format=NV12;video/x-raw,format={NV12,P010_10LE}",
        "video/x-raw,format={NV12,P010_10LE}" },
    { "video/x-raw(memory:VAMemory),format=NV12", "video/x-raw(memory:VAMemory),format=NV12" },
    { "video/x-raw(memory:CUDAMemory),format=NV12;video/x-raw,format=NV12",
        "video/x-raw(memory:CUDAMemory),format=NV12;video/x-raw,format=NV12" },
    { "video/x-raw(memory:NVMM),format=NV12;video/x-raw(memory:DMABuf),format=NV12",
        "video/x-raw(memory:DMABuf),format=NV12" },
    { "video/x-raw(memory:NVMM),format=NV12", "video/x-raw(memory:NVMM),format=NV12" },
  };
  g_autoptr (GstElement) element = gst_element_factory_make ("videoclassify", NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "sink");
  g_autoptr (GstCaps) all = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GstCaps) filter = gst_caps_from_string (rows[i][0]);
    g_autoptr (GstCaps) wanted = gst_caps_from_string (rows[i][1]);
    g_autoptr (GstCaps) got = gst_pad_query_caps (pad, filter);
    g_autofree char *text = gst_caps_to_string (got);

    g_test_message ("%s: %s", rows[i][0], text);
    g_assert_true (gst_caps_is_subset (got, wanted));
    g_assert_cmpuint (gst_caps_get_size (got), ==, gst_caps_get_size (wanted));
  }
  all = gst_pad_query_caps (pad, NULL);
  g_assert_true (gst_caps_features_is_any (
      gst_caps_get_features (all, gst_caps_get_size (all) - 1)));
}

/* --- memory ------------------------------------------------------------------------- */

/* Frames in a file descriptor that can be mapped, with the feature and without. */
static void
test_dmabuf (void)
{
  static const char *const features[] = { "", "(memory:DMABuf)" };
  g_autofree char *model = make_model (16, 12, NN_ASPECT_STRETCH);
  g_autoptr (GstAllocator) allocator = gst_dmabuf_allocator_new ();

  for (guint i = 0; i < G_N_ELEMENTS (features); i++) {
    g_autofree char *caps = g_strdup_printf (
        "video/x-raw%s,format=RGB,width=16,height=12,framerate=25/1", features[i]);
    g_autoptr (GstBuffer) rgb = NULL;
    g_autofree char *path = NULL;
    g_autoptr (NnInputDump) dump = NULL;
    g_autoptr (GError) error = NULL;
    GstBuffer *frame = gst_buffer_new ();
    GstVideoInfo info;
    GstMapInfo map;
    Stream s;
    int fd = memfd_create ("frame", MFD_CLOEXEC);

    set_info (&info, GST_VIDEO_FORMAT_RGB, 16, 12, NULL);
    rgb = make_rgb (&info, 1);
    gst_buffer_map (rgb, &map, GST_MAP_READ);
    g_assert_cmpint (write (fd, map.data, map.size), ==, (gssize) map.size);
    gst_buffer_append_memory (frame, gst_dmabuf_allocator_alloc (allocator, fd, map.size));
    gst_buffer_unmap (rgb, &map);
    stream_open (&s, model, "");
    gst_harness_set_src_caps_str (s.h, caps);
    g_assert_cmpint (gst_harness_push (s.h, frame), ==, GST_FLOW_OK);
    path = find_file (s.folder, ".frame-000001.h5");
    g_assert_nonnull (path);
    dump = nn_input_dump_read (path, &error);
    g_assert_no_error (error);
    compare (dump, &info, rgb, caps);
    stream_close (&s);
  }
}

/* One that cannot be mapped is told by its type, with what to put in front. */
static void
test_unmappable (void)
{
  g_autofree char *model = make_model (16, 12, NN_ASPECT_STRETCH), *text = NULL;
  g_autoptr (GstAllocator) allocator = gst_dmabuf_allocator_new ();
  GstBuffer *frame = gst_buffer_new ();
  int fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
  Stream s;

  gst_buffer_append_memory (frame, gst_dmabuf_allocator_alloc (allocator, fd, 16 * 12 * 3));
  stream_open (&s, model, "");
  gst_harness_set_src_caps_str (
      s.h, "video/x-raw(memory:DMABuf),format=RGB,width=16,height=12,framerate=25/1");
  g_assert_cmpint (gst_harness_push (s.h, frame), ==, GST_FLOW_ERROR);
  text = error_of (s.bus);
  g_assert_nonnull (strstr (text, "\"dmabuf\""));
  g_assert_nonnull (strstr (text, "put vapostproc"));
  stream_close (&s);
}

/* --- README ------------------------------------------------------------------------- */

/* It names the formats that are read where they lie, in backquotes between two words. */
static void
test_readme (void)
{
  g_autofree char *text = NULL;
  g_autoptr (GHashTable) told = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  const char *begin, *end;
  g_auto (GStrv) parts = NULL;
  guint n, n_direct = 0;
  const GstVideoFormat *formats = gst_video_formats_raw (&n);

  g_assert_true (g_file_get_contents (SOURCE_ROOT "/README.md", &text, NULL, NULL));
  begin = strstr (text, "Read where they lie");
  g_assert_nonnull (begin);
  end = strstr (begin, "every other");
  g_assert_nonnull (end);
  *(char *) end = '\0';
  parts = g_strsplit (begin, "`", -1);
  for (guint i = 1; parts[i] && parts[i + 1]; i += 2)
    g_hash_table_add (told, g_strdup (parts[i]));
  for (guint i = 0; i < n; i++) {
    const char *name = gst_video_format_to_string (formats[i]);

    if (gst_video_classify_is_direct (formats[i]) != g_hash_table_contains (told, name))
      g_error ("README and gst/formats.c disagree about %s", name);
    n_direct += gst_video_classify_is_direct (formats[i]);
  }
  g_assert_cmpuint (g_hash_table_size (told), ==, n_direct);
}

int
main (int argc, char **argv)
{
  int status;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  dir = make_dir ();
  g_test_add_func ("/formats/all", test_formats);
  g_test_add_func ("/formats/padded", test_padded);
  g_test_add_func ("/formats/unpacked-elsewhere", test_unpacked_elsewhere);
  g_test_add_func ("/formats/pixel-aspect", test_pixel_aspect);
  g_test_add_func ("/formats/refused", test_refused);
  g_test_add_func ("/formats/without-caps", test_without_caps);
  g_test_add_func ("/formats/caps-change", test_caps_change);
  g_test_add_func ("/formats/choice", test_choice);
  g_test_add_func ("/formats/dmabuf", test_dmabuf);
  g_test_add_func ("/formats/unmappable", test_unmappable);
  g_test_add_func ("/formats/readme", test_readme);
  status = g_test_run ();
  remove_dir (dir);
  g_free (dir);
  return status;
}
