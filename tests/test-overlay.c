/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The element classifyoverlay in a GstHarness. What is blended into a frame is
 * compared with the image that the same element attaches where downstream
 * takes overlays, composed here in double precision. */

#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#define META "GstVideoClassifyMeta"
#define TAKES_OVERLAYS "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition)"

/* --- helpers ---------------------------------------------------------------------------- */

static GstHarness *
harness_new (const char *properties, const char *caps)
{
  g_autofree char *line = g_strdup_printf ("classifyoverlay name=o %s", properties);
  GstHarness *h = gst_harness_new_parse (line);

  gst_harness_set_src_caps_str (h, caps);
  return h;
}

/* one whose sink draws overlays itself */
static GstHarness *
attaching_harness_new (const char *properties, const char *caps)
{
  g_autofree char *line = g_strdup_printf ("classifyoverlay name=o %s", properties);
  GstHarness *h = gst_harness_new_parse (line);

  gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_set_sink_caps_str (h, TAKES_OVERLAYS);
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

static void
set_property (GstHarness *h, const char *name, const char *value)
{
  if (GST_IS_BIN (h->element)) {
    g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (h->element), "o");

    gst_util_set_object_arg (G_OBJECT (element), name, value);
  } else {
    gst_util_set_object_arg (G_OBJECT (h->element), name, value);
  }
}

static char *
make_caps (const char *format, int width, int height)
{
  return g_strdup_printf (
      "video/x-raw,format=%s,width=%d,height=%d,framerate=25/1", format, width, height);
}

static void
info_of (const char *caps_string, GstVideoInfo *info)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (caps_string);

  g_assert_true (gst_video_info_from_caps (info, caps));
}

/* a frame of noise, the padding of its lines too */
static GstBuffer *
noise_frame (const char *caps, guint n)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (n + 1);
  GstVideoInfo info;
  GstBuffer *buffer;
  GstMapInfo map;

  info_of (caps, &info);
  buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8)g_rand_int (rand);
  if (GST_VIDEO_INFO_FORMAT (&info) == GST_VIDEO_FORMAT_P010_10LE)
    for (gsize i = 0; i < map.size; i += 2)
      map.data[i] &= 0xc0; /* the lower six bits are none */
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = n * 40 * GST_MSECOND;
  GST_BUFFER_DURATION (buffer) = 40 * GST_MSECOND;
  return buffer;
}

/* a frame of one colour, through GStreamer's converter */
static GstBuffer *
plain_frame (const char *caps, guint32 rgb)
{
  GstVideoInfo from, to;
  GstVideoFrame src, dst;
  GstBuffer *buffer;
  g_autoptr (GstBuffer) pixel = NULL;
  GstVideoConverter *converter;

  info_of (caps, &to);
  gst_video_info_set_format (&from, GST_VIDEO_FORMAT_BGRA, (guint)to.width, (guint)to.height);
  from.fps_n = to.fps_n;
  pixel = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&from), NULL);
  buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&to), NULL);
  gst_buffer_memset (buffer, 0, 0, GST_VIDEO_INFO_SIZE (&to));
  gst_video_frame_map (&src, &from, pixel, GST_MAP_WRITE);
  for (int i = 0; i < to.width * to.height; i++) {
    const guint8 bgra[] = { rgb & 255, rgb >> 8 & 255, rgb >> 16 & 255, 255 };

    memcpy ((guint8 *)GST_VIDEO_FRAME_PLANE_DATA (&src, 0) + i * 4, bgra, 4);
  }
  gst_video_frame_map (&dst, &to, buffer, GST_MAP_WRITE);
  converter = gst_video_converter_new (&from, &to, NULL);
  gst_video_converter_frame (converter, &src, &dst);
  gst_video_converter_free (converter);
  gst_video_frame_unmap (&src);
  gst_video_frame_unmap (&dst);
  GST_BUFFER_PTS (buffer) = 0;
  return buffer;
}

/* fields as videoclassify sets them; @labels ends with NULL, the best first */
static GstStructure *
add_result (GstBuffer *buffer, int index, const char *const *labels, const double *probabilities)
{
  GstStructure *result = gst_custom_meta_get_structure (gst_buffer_add_custom_meta (buffer, META));
  GValue names = G_VALUE_INIT, values = G_VALUE_INIT;

  gst_structure_set (result, "label", G_TYPE_STRING, index < 0 ? "unknown" : labels[0], "index",
      G_TYPE_INT, index, "probability", G_TYPE_DOUBLE, probabilities[0], NULL);
  g_value_init (&names, GST_TYPE_ARRAY);
  g_value_init (&values, GST_TYPE_ARRAY);
  for (guint i = 0; labels[i]; i++) {
    GValue name = G_VALUE_INIT, value = G_VALUE_INIT;

    g_value_init (&name, G_TYPE_STRING);
    g_value_set_string (&name, labels[i]);
    gst_value_array_append_and_take_value (&names, &name);
    g_value_init (&value, G_TYPE_DOUBLE);
    g_value_set_double (&value, probabilities[i]);
    gst_value_array_append_and_take_value (&values, &value);
  }
  gst_structure_take_value (result, "labels", &names);
  gst_structure_take_value (result, "probabilities", &values);
  return result;
}

static const char *const animals[] = { "dog", "cat", "fox", NULL };
static const double chances[] = { 0.875, 0.1, 0.025 };

static GstStructure *
add_animals (GstBuffer *buffer)
{
  return add_result (buffer, 1, animals, chances);
}

static GstStructure *
add_label (GstBuffer *buffer, int index, const char *label, double probability)
{
  const char *const labels[] = { label, NULL };

  return add_result (buffer, index, labels, &probability);
}

static void
add_region (GstStructure *result, int x, int y, int width, int height)
{
  gst_structure_set (result, "x", G_TYPE_INT, x, "y", G_TYPE_INT, y, "width", G_TYPE_INT, width,
      "height", G_TYPE_INT, height, NULL);
}

/* --- the images that are attached --------------------------------------------------------- */

typedef struct {
  int x, y, width, height;
  guint seqnum;  /* of the composition */
  guint32 *argb; /* premultiplied, native-endian */
} Image;

static void
image_clear (Image *image)
{
  g_clear_pointer (&image->argb, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Image, image_clear)

static guint
n_images (GstBuffer *buffer)
{
  GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta (buffer);

  return meta ? gst_video_overlay_composition_n_rectangles (meta->overlay) : 0;
}

static void
get_image (GstBuffer *buffer, guint n, Image *image)
{
  GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta (buffer);
  GstVideoOverlayRectangle *rectangle;
  GstBuffer *pixels;
  guint width, height;

  g_assert_nonnull (meta);
  rectangle = gst_video_overlay_composition_get_rectangle (meta->overlay, n);
  g_assert_nonnull (rectangle);
  gst_video_overlay_rectangle_get_render_rectangle (
      rectangle, &image->x, &image->y, &width, &height);
  image->width = (int)width;
  image->height = (int)height;
  image->seqnum = gst_video_overlay_composition_get_seqnum (meta->overlay);
  pixels = gst_video_overlay_rectangle_get_pixels_unscaled_argb (
      rectangle, GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
  image->argb = g_new (guint32, (gsize)width * height);
  gst_buffer_extract (pixels, 0, image->argb, (gsize)width * height * 4);
}

/* what the element attaches for the only result of @buffer (taken); FALSE: nothing */
static gboolean
attached_image (const char *properties, const char *caps, GstBuffer *buffer, Image *image)
{
  GstHarness *h = attaching_harness_new (properties, caps);
  GstBuffer *out = gst_harness_push_and_pull (h, buffer);
  const gboolean any = n_images (out) > 0;

  g_assert_cmpuint (n_images (out), <=, 1);
  if (any)
    get_image (out, 0, image);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
  return any;
}

static guint32
pixel_at (const Image *image, int x, int y)
{
  return image->argb[y * image->width + x];
}

static gboolean
same_pixels (const Image *a, const Image *b)
{
  return a->width == b->width && a->height == b->height
         && memcmp (a->argb, b->argb, (gsize)a->width * (gsize)a->height * 4) == 0;
}

static gboolean
is_bright (guint32 argb)
{
  return (argb >> 16 & 255) > 140 && (argb >> 8 & 255) > 140 && (argb & 255) > 140;
}

/* --- what is blended ----------------------------------------------------------------------- */

/* Sets the bytes of the pixels within the image to zero, also those of shared chroma. */
static void
blank_box (GstBuffer *buffer, const GstVideoInfo *info, const Image *box)
{
  GstVideoFrame frame;

  gst_video_frame_map (&frame, info, buffer, GST_MAP_READWRITE);
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++) {
    const guint shift_x = info->finfo->w_sub[c], shift_y = info->finfo->h_sub[c];
    int bytes = GST_VIDEO_FRAME_COMP_DEPTH (&frame, c) > 8 ? 2 : 1;

    if (GST_VIDEO_FRAME_FORMAT (&frame) == GST_VIDEO_FORMAT_BGRx && c == 2)
      bytes = 4; /* B comes first: the byte that is none too */
    if (GST_VIDEO_FRAME_FORMAT (&frame) == GST_VIDEO_FORMAT_P010_10LE && c == 1)
      bytes = 4; /* V too, whose offset GStreamer's table does not tell rightly */
    for (int y = box->y; y < box->y + box->height; y++)
      for (int x = box->x; x < box->x + box->width; x++)
        memset ((guint8 *)GST_VIDEO_FRAME_COMP_DATA (&frame, c)
                    + (y >> shift_y) * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c)
                    + (x >> shift_x) * GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c),
            0, (gsize)bytes);
  }
  gst_video_frame_unmap (&frame);
}

static gboolean
same_bytes (GstBuffer *a, GstBuffer *b)
{
  GstMapInfo map;
  gboolean same;

  gst_buffer_map (a, &map, GST_MAP_READ);
  same = gst_buffer_get_size (b) == map.size && gst_buffer_memcmp (b, 0, map.data, map.size) == 0;
  gst_buffer_unmap (a, &map);
  return same;
}

/* Only the box is touched, byte for byte, and it is. Returns whether there is one. */
static gboolean
check_outside (const char *properties, const char *format, int width, int height)
{
  g_autofree char *caps = make_caps (format, width, height);
  GstHarness *h = harness_new (properties, caps);
  g_autoptr (GstBuffer) before = noise_frame (caps, 3);
  GstBuffer *in = gst_buffer_copy_deep (before), *out, *marked = gst_buffer_copy_deep (before);
  g_auto (Image) image = { 0 };
  GstVideoInfo info;
  gboolean any;

  info_of (caps, &info);
  add_animals (in);
  add_animals (marked);
  any = attached_image (properties, caps, marked, &image);
  out = gst_harness_push_and_pull (h, in);
  g_test_message ("%s %dx%d %s", format, width, height, properties);
  g_assert_true (same_bytes (before, out) == !any);
  if (any) {
    g_assert_cmpint (image.x, >=, 0);
    g_assert_cmpint (image.y, >=, 0);
    g_assert_cmpint (image.x + image.width, <=, width);
    g_assert_cmpint (image.y + image.height, <=, height);
    out = gst_buffer_make_writable (out);
    blank_box (out, &info, &image);
    blank_box (before, &info, &image);
    g_assert_true (same_bytes (before, out));
  }
  gst_buffer_unref (out);
  gst_harness_teardown (h);
  return any;
}

/* Some of many cases of a kind, where each takes long. */
static gboolean
is_quick (void)
{
  return g_getenv ("CLASSIFY_TEST_QUICK") != NULL;
}

static void
test_outside_untouched (void)
{
  static const char *const formats[] = { "I420", "NV12", "BGRx", "YUY2", "P010_10LE" };
  static const char *const positions[] = { "position=top-left", "position=top-right",
    "position=bottom-left", "position=bottom-right" };
  static const int sizes[][2] = { { 1, 1 }, { 2, 2 }, { 7, 5 }, { 1, 300 }, { 300, 1 }, { 33, 31 },
    { 64, 48 }, { 127, 101 }, { 320, 240 }, { 641, 479 }, { 1279, 719 } };

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      for (guint p = 0; p < G_N_ELEMENTS (positions); p++) {
        const int width = sizes[s][0], height = sizes[s][1];

        if (!is_quick () || p == (f + s) % G_N_ELEMENTS (positions))
          g_assert_cmpint (check_outside (positions[p], formats[f], width, height), ==,
              width >= 8 && height >= 8);
      }
  g_assert_true (check_outside ("", "NV12", 3840, 2160));
}

/* --- every format ---------------------------------------------------------------------------- */

static guint8 *
to_bgra (GstBuffer *buffer, const GstVideoInfo *info)
{
  GstVideoInfo bgra;
  GstVideoFrame src, dst;
  g_autoptr (GstBuffer) converted = NULL;
  GstVideoConverter *converter;
  const gsize size = (gsize)info->width * (gsize)info->height * 4;
  guint8 *pixels = g_malloc (size);

  gst_video_info_set_format (&bgra, GST_VIDEO_FORMAT_BGRA, (guint)info->width, (guint)info->height);
  bgra.fps_n = info->fps_n;
  converted = gst_buffer_new_allocate (NULL, size, NULL);
  gst_video_frame_map (&src, info, buffer, GST_MAP_READ);
  gst_video_frame_map (&dst, &bgra, converted, GST_MAP_WRITE);
  converter = gst_video_converter_new (info, &bgra,
      gst_structure_new ("o", GST_VIDEO_CONVERTER_OPT_CHROMA_MODE, GST_TYPE_VIDEO_CHROMA_MODE,
          GST_VIDEO_CHROMA_MODE_NONE, NULL));
  gst_video_converter_frame (converter, &src, &dst);
  gst_video_converter_free (converter);
  gst_video_frame_unmap (&src);
  gst_video_frame_unmap (&dst);
  gst_buffer_extract (converted, 0, pixels, size);
  return pixels;
}

/* The mean difference that GStreamer's blending makes of itself. */
static double
error_of (const char *format)
{
  static const struct {
    const char *format;
    double error;
  } coarse[] = {
    /* five bits */
    { "RGB16", 6 },
    { "BGR16", 6 },
    { "RGB15", 6 },
    { "BGR15", 6 },
    /* studio range written into what is read as full range */
    { "GRAY8", 12 },
    { "GRAY16_LE", 12 },
    { "GRAY16_BE", 12 },
    { "GRAY10_LE32", 12 },
    { "GRAY10_LE16", 12 },
    /* two bits of alpha, three quarters where they are full */
    { "RGB10A2_LE", 15 },
    { "BGR10A2_LE", 15 },
    { "Y410", 9 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (coarse); i++)
    if (g_str_equal (format, coarse[i].format))
      return coarse[i].error;
  return 3;
}

/* On a plain frame the picture becomes image + (1 - alpha) x frame, within what the format's
 * subsampling and depth take from it; beside the image nothing changes. */
static void
check_format (const char *format)
{
  /* the matrix that GStreamer blends with; grey labels, as chroma has fewer samples */
  const gboolean is_rgb = GST_VIDEO_FORMAT_INFO_IS_RGB (
      gst_video_format_get_info (gst_video_format_from_string (format)));
  const gboolean is_gray = GST_VIDEO_FORMAT_INFO_IS_GRAY (
      gst_video_format_get_info (gst_video_format_from_string (format)));
  g_autofree char *size = make_caps (format, 256, 144);
  g_autofree char *caps
      = g_strdup_printf ("%s%s", size, is_rgb || is_gray ? "" : ",colorimetry=bt709");
  GstHarness *h = harness_new ("colors=dog=#c0c0c0", caps);
  g_autoptr (GstBuffer) before = plain_frame (caps, 0x808080);
  GstBuffer *in = gst_buffer_copy_deep (before), *out, *marked = gst_buffer_copy_deep (before);
  g_autofree guint8 *was = NULL, *is = NULL;
  g_auto (Image) image = { 0 };
  double sum = 0;
  int outside = 0;
  GstVideoInfo info;

  info_of (caps, &info);
  was = to_bgra (before, &info);
  add_animals (in);
  add_animals (marked);
  g_assert_true (attached_image ("colors=dog=#c0c0c0", caps, marked, &image));
  out = gst_harness_push_and_pull (h, in);
  is = to_bgra (out, &info);
  for (int y = 0; y < info.height; y++)
    for (int x = 0; x < info.width; x++) {
      const guint8 *w = was + (y * info.width + x) * 4, *i = is + (y * info.width + x) * 4;
      const int ix = x - image.x, iy = y - image.y;

      if (ix < 0 || iy < 0 || ix >= image.width || iy >= image.height) {
        outside += memcmp (w, i, 4) != 0;
      } else {
        const guint32 argb = pixel_at (&image, ix, iy);

        for (int c = 0; c < 3; c++)
          sum += fabs ((argb >> (8 * c) & 255) + w[c] * (255. - (argb >> 24)) / 255 - i[c]);
      }
    }
  sum /= 3. * image.width * image.height;
  g_test_message ("%s: %d pixels outside, mean difference inside %.2f", format, outside, sum);
  g_assert_cmpint (outside, ==, 0);
  g_assert_cmpfloat (sum, <, error_of (format));
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* all pixels as GStreamer unpacks them, eight or sixteen bits each of four components */
static guint8 *
unpack (GstBuffer *buffer, const GstVideoInfo *info, gsize *line)
{
  const GstVideoFormatInfo *format = info->finfo;
  const gsize bytes
      = (gsize)GST_VIDEO_FORMAT_INFO_BITS (gst_video_format_get_info (format->unpack_format)) / 2;
  GstVideoFrame frame;
  guint8 *pixels;

  *line = bytes * (gsize)info->width;
  pixels = g_malloc (*line * (gsize)info->height);
  gst_video_frame_map (&frame, info, buffer, GST_MAP_READ);
  for (int y = 0; y < info->height; y++)
    format->unpack_func (format, GST_VIDEO_PACK_FLAG_NONE, pixels + (gsize)y * *line, frame.data,
        frame.info.stride, 0, y, info->width);
  gst_video_frame_unmap (&frame);
  return pixels;
}

/* Noise stays what it is beside the image, in every pixel. */
static void
check_format_outside (const char *format)
{
  g_autofree char *caps = make_caps (format, 258, 146);
  GstHarness *h = harness_new ("position=bottom-right", caps);
  g_autoptr (GstBuffer) before = noise_frame (caps, 5);
  GstBuffer *in = gst_buffer_copy_deep (before), *out, *marked = gst_buffer_copy_deep (before);
  g_autofree guint8 *was = NULL, *is = NULL;
  g_auto (Image) image = { 0 };
  gsize line, bytes;
  GstVideoInfo info;

  info_of (caps, &info);
  was = unpack (before, &info, &line);
  bytes = line / (gsize)info.width;
  add_animals (in);
  add_animals (marked);
  g_assert_true (attached_image ("position=bottom-right", caps, marked, &image));
  out = gst_harness_push_and_pull (h, in);
  is = unpack (out, &info, &line);
  g_assert_cmpmem (was, line * (gsize)image.y, is, line * (gsize)image.y);
  for (int y = image.y; y < info.height; y++) {
    const gsize start = line * (gsize)y;
    const gsize left = bytes * (gsize)image.x, right = bytes * (gsize)(image.x + image.width);

    g_assert_cmpmem (was + start, left, is + start, left);
    if (y < image.y + image.height)
      g_assert_true (memcmp (was + start + left, is + start + left, right - left) != 0);
    else
      g_assert_cmpmem (was + start + left, right - left, is + start + left, right - left);
    g_assert_cmpmem (was + start + right, line - right, is + start + right, line - right);
  }
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

static void
test_every_format (void)
{
  GstElementFactory *factory = gst_element_factory_find ("classifyoverlay");
  const GList *template = gst_element_factory_get_static_pad_templates (factory);
  g_autoptr (GstCaps) caps = gst_static_pad_template_get_caps (template->data);
  const GValue *list = gst_structure_get_value (gst_caps_get_structure (caps, 0), "format");
  const guint n = gst_value_list_get_size (list);

  g_assert_cmpuint (n, >=, 90);
  for (guint i = 0; i < n; i++) {
    const char *format = g_value_get_string (gst_value_list_get_value (list, i));

    g_assert_cmpstr (format, !=, "RGB8P");
    if (!is_quick () || i % 3 == 0) {
      check_format (format);
      check_format_outside (format);
    }
  }
  gst_object_unref (factory);
}

/* --- the bar -------------------------------------------------------------------------------------
 */

/* the longest run of pixels in the colour of the class */
static int
bar_length (const Image *image)
{
  int longest = 0;

  for (int y = 0; y < image->height; y++)
    for (int x = 0, run = 0; x < image->width; x++) {
      run = pixel_at (image, x, y) == 0xffff00ff ? run + 1 : 0;
      longest = MAX (longest, run);
    }
  return longest;
}

/* In the row where @full has its bar, the bar and what is left of it, in @image. */
static int
track_length (const Image *full, const Image *image)
{
  int y = 0, n = 0;

  while (pixel_at (full, full->width / 2, y) != 0xffff00ff)
    y++;
  for (int x = 0; x < image->width; x++)
    n += pixel_at (image, x, y) == pixel_at (image, image->width / 2, y);
  return n;
}

static void
test_bar_is_proportional (void)
{
  static const struct {
    const char *caps;
    int error;
  } rows[] = {
    { "video/x-raw,format=BGRx,width=320,height=240,framerate=25/1", 1 },
    { "video/x-raw,format=BGRx,width=1920,height=1080,framerate=25/1", 1 },
    { "video/x-raw,format=I420,width=720,height=576,pixel-aspect-ratio=16/11,framerate=25/1", 1 },
  };
  static const double values[] = { 0.1, 0.25, 0.333, 0.5, 0.75, 0.9, 0.999 };

  for (guint r = 0; r < G_N_ELEMENTS (rows); r++) {
    g_auto (Image) full = { 0 }, none = { 0 };
    GstBuffer *buffer = noise_frame (rows[r].caps, 0);
    int stripe, whole;

    add_label (buffer, 0, "x", 1);
    g_assert_true (attached_image ("colors=x=#ff00ff", rows[r].caps, buffer, &full));
    buffer = noise_frame (rows[r].caps, 0);
    add_label (buffer, 0, "x", 0);
    g_assert_true (attached_image ("colors=x=#ff00ff", rows[r].caps, buffer, &none));
    stripe = bar_length (&none);
    whole = bar_length (&full);
    g_assert_cmpint (stripe, <, full.width / 10);
    g_assert_cmpint (whole, >, full.width * 8 / 10);
    g_assert_cmpint (whole, ==, track_length (&full, &none));
    for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
      g_auto (Image) image = { 0 };

      buffer = noise_frame (rows[r].caps, 0);
      add_label (buffer, 0, "x", values[i]);
      g_assert_true (attached_image ("colors=x=#ff00ff", rows[r].caps, buffer, &image));
      g_assert_cmpfloat (fabs (bar_length (&image) - values[i] * whole), <=, rows[r].error);
      image_clear (&image);
      buffer = noise_frame (rows[r].caps, 0);
      add_label (buffer, 0, "x", values[i]);
      g_assert_true (
          attached_image ("show-bar=false colors=x=#ff00ff", rows[r].caps, buffer, &image));
      g_assert_cmpint (bar_length (&image), ==, stripe);
    }
  }
}

/* The same bar, seen in a frame that it was blended into. */
static void
test_bar_in_the_frame (void)
{
  static const double values[] = { 0.25, 0.5, 1 };
  const char *caps = "video/x-raw,format=BGRx,width=640,height=480,framerate=25/1";
  int lengths[G_N_ELEMENTS (values)] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    GstHarness *h = harness_new ("colors=x=#00ff80 top-k=1", caps);
    GstBuffer *in = plain_frame (caps, 0), *out;
    GstMapInfo map;

    add_label (in, 0, "x", values[i]);
    out = gst_harness_push_and_pull (h, in);
    gst_buffer_map (out, &map, GST_MAP_READ);
    for (int y = 0; y < 480; y++)
      for (int x = 0, run = 0; x < 640; x++) {
        const guint8 *p = map.data + (y * 640 + x) * 4;

        run = p[0] == 0x80 && p[1] == 0xff && p[2] == 0 ? run + 1 : 0;
        lengths[i] = MAX (lengths[i], run);
      }
    gst_buffer_unmap (out, &map);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
  g_assert_cmpint (lengths[2], >, 100);
  g_assert_cmpint (ABS (lengths[1] * 2 - lengths[2]), <=, 2);
  g_assert_cmpint (ABS (lengths[0] * 4 - lengths[2]), <=, 4);
}

/* --- when it is drawn
 * ------------------------------------------------------------------------------ */

#define CAPS_240 "video/x-raw,format=I420,width=320,height=240,framerate=25/1"

static guint
push_for_seqnum (GstHarness *h, const char *caps, guint n, const char *label, double probability)
{
  GstBuffer *buffer = noise_frame (caps, n);
  g_auto (Image) image = { 0 };

  if (label)
    add_label (buffer, 0, label, probability);
  buffer = gst_harness_push_and_pull (h, buffer);
  if (n_images (buffer) > 0)
    get_image (buffer, 0, &image);
  gst_buffer_unref (buffer);
  return image.seqnum;
}

static void
test_drawn_once (void)
{
  static const char *const changes[][2] = { { "position", "top-right" }, { "show-bar", "false" },
    { "scale", "1.5" }, { "opacity", "0.5" }, { "font", "Serif" }, { "colors", "a=#123456" } };
  const char *larger = "video/x-raw,format=I420,width=640,height=480,framerate=25/1";
  GstHarness *h = attaching_harness_new ("", CAPS_240);
  const guint first = push_for_seqnum (h, CAPS_240, 0, "a", 0.5);
  guint before, now;

  g_assert_cmpuint (push_for_seqnum (h, CAPS_240, 1, "a", 0.5), ==, first);
  g_assert_cmpuint (push_for_seqnum (h, CAPS_240, 2, "a", 0.5 + 1e-6), ==, first);
  g_assert_cmpuint (push_for_seqnum (h, CAPS_240, 3, NULL, 0), ==, 0);
  g_assert_cmpuint (push_for_seqnum (h, CAPS_240, 4, "a", 0.5), ==, first);
  before = push_for_seqnum (h, CAPS_240, 5, "a", 0.6);
  g_assert_cmpuint (before, !=, first);
  now = push_for_seqnum (h, CAPS_240, 6, "b", 0.6);
  g_assert_cmpuint (now, !=, before);
  before = push_for_seqnum (h, CAPS_240, 7, "a", 0.6);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    set_property (h, changes[i][0], changes[i][1]);
    now = push_for_seqnum (h, CAPS_240, 8, "a", 0.6);
    g_test_message ("%s", changes[i][0]);
    g_assert_cmpuint (now, !=, before);
    g_assert_cmpuint (push_for_seqnum (h, CAPS_240, 9, "a", 0.6), ==, now);
    before = now;
  }
  gst_harness_set_src_caps_str (h, larger);
  now = push_for_seqnum (h, larger, 10, "a", 0.6);
  g_assert_cmpuint (now, !=, before);
  g_assert_cmpuint (push_for_seqnum (h, larger, 11, "a", 0.6), ==, now);
  gst_harness_teardown (h);
}

static void
test_nothing_without_a_result (void)
{
  GstHarness *h = harness_new ("", CAPS_240);
  g_autoptr (GstBuffer) before = noise_frame (CAPS_240, 0);
  GstBuffer *in = gst_buffer_copy_deep (before), *out;
  GstMemory *memory = gst_buffer_peek_memory (in, 0);

  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_GAP);
  out = gst_harness_push_and_pull (h, gst_buffer_ref (in)); /* shared: to copy it would show */
  g_assert_true (gst_buffer_peek_memory (out, 0) == memory);
  g_assert_true (same_bytes (before, out));
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_GAP));
  g_assert_cmpuint (n_images (out), ==, 0);
  gst_buffer_unref (out);
  gst_buffer_unref (in);

  /* a meta without a label is no result */
  in = noise_frame (CAPS_240, 0);
  gst_buffer_add_custom_meta (in, META);
  out = gst_harness_push_and_pull (h, in);
  g_assert_true (same_bytes (before, out));
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* A frame that somebody else looks at too is copied before it is drawn on. */
static void
test_shared_frame (void)
{
  GstHarness *h = harness_new ("", CAPS_240);
  g_autoptr (GstBuffer) before = noise_frame (CAPS_240, 0);
  GstBuffer *in = gst_buffer_copy_deep (before), *out;

  add_animals (in);
  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_GAP);
  out = gst_harness_push_and_pull (h, gst_buffer_ref (in));
  g_assert_true (same_bytes (before, in));
  g_assert_false (same_bytes (before, out));
  g_assert_false (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_GAP));
  g_assert_cmpuint (GST_BUFFER_PTS (out), ==, GST_BUFFER_PTS (in));
  gst_buffer_unref (in);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

static gboolean
is_drawn (GstHarness *h, guint n, gboolean with_result)
{
  GstBuffer *buffer = noise_frame (CAPS_240, n);
  g_autoptr (GstBuffer) before = gst_buffer_copy_deep (buffer);
  gboolean drawn;

  if (with_result)
    add_animals (buffer);
  buffer = gst_harness_push_and_pull (h, buffer);
  drawn = !same_bytes (before, buffer);
  gst_buffer_unref (buffer);
  return drawn;
}

static void
test_hold (void)
{
  GstHarness *h = harness_new ("", CAPS_240); /* frames are 40 ms apart */
  GstBuffer *timeless = noise_frame (CAPS_240, 0);
  g_autoptr (GstBuffer) before = gst_buffer_copy_deep (timeless);
  GstSegment segment;

  g_assert_true (is_drawn (h, 0, TRUE));
  g_assert_false (is_drawn (h, 1, FALSE));
  set_property (h, "hold", "80");
  g_assert_true (is_drawn (h, 2, FALSE));
  g_assert_false (is_drawn (h, 3, FALSE));
  g_assert_true (is_drawn (h, 4, TRUE));
  g_assert_true (is_drawn (h, 5, FALSE));
  g_assert_true (is_drawn (h, 6, FALSE)); /* from its own time on, not from the last frame's */
  g_assert_false (is_drawn (h, 7, FALSE));
  g_assert_true (is_drawn (h, 8, TRUE));
  g_assert_false (is_drawn (h, 7, FALSE)); /* back in time */
  g_assert_true (is_drawn (h, 9, FALSE));
  set_property (h, "hold", "20");
  g_assert_false (is_drawn (h, 9, FALSE));

  set_property (h, "hold", "1000");
  GST_BUFFER_PTS (timeless) = GST_CLOCK_TIME_NONE;
  timeless = gst_harness_push_and_pull (h, timeless);
  g_assert_true (same_bytes (before, timeless));
  gst_buffer_unref (timeless);

  g_assert_true (is_drawn (h, 10, TRUE));
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  g_assert_false (is_drawn (h, 11, FALSE)); /* another place of the video */
  gst_harness_teardown (h);
}

/* --- attached or blended
 * --------------------------------------------------------------------------- */

static gboolean
has_feature (GstHarness *h)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (h->sinkpad);

  return gst_caps_features_contains (
      gst_caps_get_features (caps, 0), GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION);
}

static void
test_attached (void)
{
  GstHarness *h = attaching_harness_new ("", CAPS_240);
  g_autoptr (GstBuffer) before = noise_frame (CAPS_240, 0);
  GstBuffer *buffer = gst_buffer_copy_deep (before);

  add_animals (buffer);
  buffer = gst_harness_push_and_pull (h, buffer);
  g_assert_true (has_feature (h));
  g_assert_true (same_bytes (before, buffer));
  g_assert_cmpuint (n_images (buffer), ==, 1);
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

/* A sink that takes any caps but does not know of overlays would show none. */
static void
test_blended_for_a_sink_of_any_caps (void)
{
  static const char *const sinks[] = { "ANY", TAKES_OVERLAYS "; video/x-raw", "video/x-raw" };

  for (guint i = 0; i < G_N_ELEMENTS (sinks); i++) {
    GstHarness *h = gst_harness_new_parse ("classifyoverlay name=o");
    g_autoptr (GstBuffer) before = noise_frame (CAPS_240, 0);
    GstBuffer *buffer = gst_buffer_copy_deep (before);

    gst_harness_set_sink_caps_str (h, sinks[i]);
    gst_harness_set_src_caps_str (h, CAPS_240);
    add_animals (buffer);
    buffer = gst_harness_push_and_pull (h, buffer);
    g_assert_false (has_feature (h));
    g_assert_false (same_bytes (before, buffer));
    g_assert_cmpuint (n_images (buffer), ==, 0);
    gst_buffer_unref (buffer);
    gst_harness_teardown (h);
  }
}

/* A sink that comes to draw overlays itself, and one that no longer does. */
static void
test_sink_changes_its_mind (void)
{
  GstHarness *h = gst_harness_new_parse ("classifyoverlay name=o");

  gst_harness_set_sink_caps_str (h, TAKES_OVERLAYS "; video/x-raw");
  gst_harness_set_src_caps_str (h, CAPS_240);
  g_assert_true (is_drawn (h, 0, TRUE));
  gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_push_upstream_event (h, gst_event_new_reconfigure ());
  g_assert_false (is_drawn (h, 1, TRUE));
  g_assert_true (has_feature (h));
  gst_harness_set_sink_caps_str (h, "video/x-raw");
  gst_harness_push_upstream_event (h, gst_event_new_reconfigure ());
  g_assert_true (is_drawn (h, 2, TRUE));
  g_assert_false (has_feature (h));
  gst_harness_teardown (h);
}

/* What upstream attached stays, below ours. */
static void
test_overlay_of_upstream (void)
{
  const char *caps = TAKES_OVERLAYS ",format=I420,width=320,height=240,framerate=25/1";
  GstHarness *h = attaching_harness_new ("", caps);
  GstBuffer *pixels = gst_buffer_new_allocate (NULL, 16 * 4, NULL);
  GstVideoOverlayRectangle *rectangle;
  GstVideoOverlayComposition *composition;
  guint seqnum = 0;

  gst_buffer_memset (pixels, 0, 255, 16 * 4);
  gst_buffer_add_video_meta (
      pixels, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, 4, 4);
  rectangle = gst_video_overlay_rectangle_new_raw (
      pixels, 100, 200, 4, 4, GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE);
  composition = gst_video_overlay_composition_new (rectangle);
  for (guint n = 0; n < 3; n++) {
    GstBuffer *buffer = noise_frame (CAPS_240, n);
    g_auto (Image) theirs = { 0 }, ours = { 0 };

    gst_buffer_add_video_overlay_composition_meta (buffer, composition);
    add_animals (buffer);
    buffer = gst_harness_push_and_pull (h, buffer);
    g_assert_cmpuint (n_images (buffer), ==, 2);
    get_image (buffer, 0, &theirs);
    get_image (buffer, 1, &ours);
    g_assert_cmpint (theirs.x, ==, 100);
    g_assert_cmpint (theirs.y, ==, 200);
    g_assert_cmpint (ours.x, <, 10);
    if (n > 0)
      g_assert_cmpuint (ours.seqnum, ==, seqnum);
    seqnum = ours.seqnum;
    gst_buffer_unref (buffer);
  }
  g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (composition), ==, 1);
  gst_video_overlay_composition_unref (composition);
  gst_video_overlay_rectangle_unref (rectangle);
  gst_buffer_unref (pixels);
  gst_harness_teardown (h);
}

/* Frames in memory that nobody can write to pass if the sink draws, not else. */
static void
test_other_memory (void)
{
  const char *gl = "video/x-raw(memory:GLMemory),format=RGBA,width=64,height=64,framerate=25/1";
  GstHarness *h = gst_harness_new_parse ("classifyoverlay name=o");
  g_autoptr (GstCaps) caps = gst_caps_from_string (gl), none = NULL, some = NULL;
  g_autoptr (GstPad) pad = gst_element_get_static_pad (h->element, "sink");

  gst_harness_set_sink_caps_str (h, "video/x-raw(memory:GLMemory)");
  none = gst_pad_query_caps (pad, caps);
  g_assert_true (gst_caps_is_empty (none));
  gst_harness_set_sink_caps_str (
      h, "video/x-raw(memory:GLMemory, meta:GstVideoOverlayComposition)");
  some = gst_pad_query_caps (pad, caps);
  g_assert_true (gst_caps_is_equal (some, caps));
  gst_harness_teardown (h);
}

/* --- what is drawn
 * --------------------------------------------------------------------------------- */

static void
image_of_label (const char *properties, const char *caps, int index, const char *label,
    double probability, Image *image)
{
  GstBuffer *buffer = noise_frame (caps, 0);

  add_label (buffer, index, label, probability);
  g_assert_true (attached_image (properties, caps, buffer, image));
}

#define CAPS_480 "video/x-raw,format=I420,width=640,height=480,framerate=25/1"

static void
test_labels_are_no_markup (void)
{
  static const char *const labels[]
      = { "<b>cat</b>", "<i>cat", "cat & dog", "&amp;", "</span>", "cat <", "Kätzchen", "猫",
          "القط", "🐱", "e\xcc\x81\xcc\x81\xcc\x81", "%s %n %d", "", " ", "\t" };
  g_auto (Image) plain = { 0 };

  image_of_label ("", CAPS_480, 0, "cat", 0.5, &plain);
  for (guint i = 0; i < G_N_ELEMENTS (labels); i++) {
    g_auto (Image) image = { 0 };

    image_of_label ("", CAPS_480, 0, labels[i], 0.5, &image);
    g_assert_false (same_pixels (&plain, &image));
    g_assert_cmpint (image.x + image.width, <=, 640);
    g_assert_cmpint (image.y + image.height, <=, 480);
  }
}

/* One line, whatever is in it. */
static void
test_line_breaks_and_broken_text (void)
{
  static const char *const list[] = { "dog", "caf\xe9 \xff\xfe", "a\nb\r\nc\n\nd", NULL };
  GstBuffer *buffer = noise_frame (CAPS_480, 0), *broken = noise_frame (CAPS_480, 0);
  g_auto (Image) normal = { 0 }, image = { 0 };

  add_animals (buffer);
  g_assert_true (attached_image ("", CAPS_480, buffer, &normal));
  add_result (broken, 0, list, chances);
  g_assert_true (attached_image ("", CAPS_480, broken, &image));
  g_assert_cmpint (ABS (image.height - normal.height), <=, 8);
}

/* The end of a long label is told by an ellipsis, before the column of the percents. */
static void
test_long_labels (void)
{
  static const char *const sizes[]
      = { CAPS_240, CAPS_480, "video/x-raw,format=I420,width=96,height=64,framerate=25/1",
          "video/x-raw,format=I420,width=48,height=480,framerate=25/1",
          "video/x-raw,format=I420,width=3840,height=2160,framerate=25/1" };

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    g_autofree char *longer = g_strnfill (100000, 'W'), *shorter = g_strnfill (300, 'W');
    g_autofree char *almost = g_strnfill (300, 'W');
    g_auto (Image) a = { 0 }, b = { 0 }, c = { 0 };
    GstVideoInfo info;

    almost[299] = '\0';
    info_of (sizes[s], &info);
    image_of_label ("top-k=1", sizes[s], 0, longer, 1, &a);
    image_of_label ("top-k=1", sizes[s], 0, shorter, 1, &b);
    image_of_label ("top-k=1", sizes[s], 0, almost, 1, &c);
    g_assert_true (same_pixels (&a, &b));
    g_assert_true (same_pixels (&a, &c));
    g_assert_cmpint (a.x + a.width, <=, info.width);
    /* no text at the edge: nothing was cut there */
    for (int y = 0; y < a.height; y++)
      for (int x = a.width - 2; x < a.width; x++)
        g_assert_false (is_bright (pixel_at (&a, x, y)));
  }
}

/* Where the label ends and the percents begin there is a gap, so both can be read. */
static void
test_label_does_not_run_into_the_percents (void)
{
  g_autofree char *label = g_strnfill (200, 'W');
  g_auto (Image) image = { 0 };
  int gap = 0, run = 0, text = 0;

  image_of_label ("top-k=1 show-bar=false", CAPS_480, 0, label, 1, &image);
  for (int x = 8; x < image.width; x++) {
    gboolean empty = TRUE;

    for (int y = 0; y < image.height; y++)
      empty = empty && !is_bright (pixel_at (&image, x, y));
    if (empty) {
      run++;
    } else {
      if (text > 0)
        gap = MAX (gap, run);
      run = 0;
      text++;
    }
  }
  g_assert_cmpint (text, >, image.width / 2);
  g_assert_cmpint (gap, >=, 8); /* a letter's space is narrower */
}

/* @n of the list's lines: each makes the panel higher by one. */
static void
test_top_k (void)
{
  static const char *const labels[] = { "a", "b", "c", "d", "e", NULL };
  static const double values[] = { 0.5, 0.2, 0.15, 0.1, 0.05 };
  int heights[8];

  for (guint k = 1; k <= 7; k++) {
    g_autofree char *properties = g_strdup_printf ("top-k=%u", k);
    GstBuffer *buffer = noise_frame (CAPS_480, 0);
    g_auto (Image) image = { 0 };

    add_result (buffer, 0, labels, values);
    g_assert_true (attached_image (properties, CAPS_480, buffer, &image));
    heights[k] = image.height;
    if (k > 1 && k <= 5)
      g_assert_cmpint (heights[k] - heights[k - 1], >=, 12);
    if (k > 5) /* there are no more */
      g_assert_cmpint (heights[k], ==, heights[5]);
  }
}

/* Below the threshold the best label stands in the list. */
static void
test_unknown (void)
{
  GstBuffer *known = noise_frame (CAPS_480, 0), *unknown = noise_frame (CAPS_480, 0);
  g_auto (Image) a = { 0 }, b = { 0 };

  add_animals (known);
  add_result (unknown, -1, animals, chances);
  g_assert_true (attached_image ("top-k=10", CAPS_480, known, &a));
  g_assert_true (attached_image ("top-k=10", CAPS_480, unknown, &b));
  g_assert_cmpint (b.height - a.height, >=, 12); /* three below instead of two */
}

/* the colour of the stripe at the panel's left */
static guint32
stripe_of (const Image *image)
{
  return pixel_at (image, 1, image->height / 2);
}

static void
test_colors (void)
{
  guint32 colors[7];

  for (int i = 0; i < 14; i++) {
    g_auto (Image) image = { 0 };

    image_of_label (
        "colors=\"cat = #112233;a=b=#445566; dog=#778899 ;\"", CAPS_480, i, "x", 0.5, &image);
    if (i < 7) {
      colors[i] = stripe_of (&image);
      g_assert_cmphex (colors[i] >> 24, ==, 255);
      for (int j = 0; j < i; j++)
        g_assert_cmphex (colors[i], !=, colors[j]);
    } else {
      g_assert_cmphex (stripe_of (&image), ==, colors[i - 7]);
    }
  }
  {
    static const struct {
      const char *label;
      guint32 color;
    } named[] = { { "cat", 0xff112233 }, { "a=b", 0xff445566 }, { "dog", 0xff778899 } };

    for (guint i = 0; i < G_N_ELEMENTS (named); i++) {
      g_auto (Image) image = { 0 };

      image_of_label ("colors=\"cat = #112233;a=b=#445566; dog=#778899 ;\"", CAPS_480, 3,
          named[i].label, 0.5, &image);
      g_assert_cmphex (stripe_of (&image), ==, named[i].color);
    }
  }
}

static void
test_wrong_colors (void)
{
  static const struct {
    const char *colors, *named;
  } rows[] = { { "cat=#12345", "\"cat=#12345\"" }, { "dog=#010203;orange", "\"orange\"" },
    { "cat=red;dog=blue", "\"cat=red\"" }, { "cat=#1234567", "\"cat=#1234567\"" },
    { "cat=#+12345", "\"cat=#+12345\"" } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GstHarness *h = harness_new ("", CAPS_240);
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (h->element, bus);
    set_property (h, "colors", rows[i].colors);
    g_assert_true (is_drawn (h, 0, TRUE));
    g_assert_true (is_drawn (h, 1, TRUE));
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
    g_assert_nonnull (message);
    gst_message_parse_warning (message, &error, NULL);
    g_assert_nonnull (strstr (error->message, rows[i].named));
    g_assert_null (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING)); /* once */
    gst_element_set_bus (h->element, NULL);
    gst_harness_teardown (h);
  }
}

static void
test_opacity (void)
{
  g_auto (Image) full = { 0 }, half = { 0 };
  double ratio = 0;

  image_of_label ("", CAPS_480, 0, "x", 0.5, &full);
  image_of_label ("opacity=0.5", CAPS_480, 0, "x", 0.5, &half);
  g_assert_cmpint (full.width, ==, half.width);
  for (int i = 0; i < full.width * full.height; i++)
    ratio = MAX (ratio, fabs ((full.argb[i] >> 24) * 0.5 - (half.argb[i] >> 24)));
  g_assert_cmpfloat (ratio, <=, 1.5);
}

/* --- sizes
 * --------------------------------------------------------------------------------------------- */

/* rows of the panel that have text in them, from the first to the last */
static int
text_rows (const Image *image)
{
  int first = -1, last = -2;

  for (int y = 0; y < image->height; y++)
    for (int x = image->width / 10; x < image->width; x++)
      if (is_bright (pixel_at (image, x, y))) {
        if (first < 0)
          first = y;
        last = y;
      }
  return last - first + 1;
}

/* Text grows with the frame and is no smaller than can be read: a capital is some 0.73 of
 * the font's size. */
static void
test_text_size (void)
{
  static const struct {
    const char *properties;
    int width, height;
    double size;
  } rows[] = {
    { "", 3840, 2160, 77 },
    { "", 1920, 1080, 39 },
    { "", 320, 240, 12 },
    { "", 64, 48, 12 },
    { "scale=2", 1920, 1080, 77 },
    { "scale=0.1", 1920, 1080, 12 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *caps = make_caps ("I420", rows[i].width, rows[i].height);
    g_autofree char *properties
        = g_strdup_printf ("show-bar=false top-k=1 font=\"DejaVu Sans\" %s", rows[i].properties);
    g_auto (Image) image = { 0 };
    int height;

    image_of_label (properties, caps, 0, "H", 1, &image);
    height = text_rows (&image);
    g_test_message (
        "%dx%d %s: %d rows of text", rows[i].width, rows[i].height, rows[i].properties, height);
    g_assert_cmpfloat (height, >=, 0.65 * rows[i].size);
    g_assert_cmpfloat (height, <=, 0.9 * rows[i].size + 2);
  }
}

/* A picture that is shown twice as wide gets a panel, and a text, half as wide. */
static void
test_pixel_aspect (void)
{
  static const struct {
    const char *aspect;
    double ratio;
  } rows[] = { { "2/1", 2 }, { "1/2", 0.5 }, { "16/11", 16. / 11 } };
  g_auto (Image) square = { 0 };
  int square_text = 0;

  image_of_label ("top-k=1 show-bar=false", CAPS_480, 0, "label", 0.5, &square);
  for (int x = square.width / 10; x < square.width / 2; x++)
    for (int y = 0; y < square.height; y++)
      if (is_bright (pixel_at (&square, x, y)))
        square_text = x;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *caps = g_strdup_printf ("%s,pixel-aspect-ratio=%s", CAPS_480, rows[i].aspect);
    g_auto (Image) image = { 0 };
    int text = 0;

    image_of_label ("top-k=1 show-bar=false", caps, 0, "label", 0.5, &image);
    for (int x = image.width / 10; x < image.width / 2; x++)
      for (int y = 0; y < image.height; y++)
        if (is_bright (pixel_at (&image, x, y)))
          text = x;
    g_assert_cmpint (image.height, ==, square.height);
    g_assert_cmpfloat (fabs (image.width * rows[i].ratio - square.width), <=, 4 * rows[i].ratio);
    g_assert_cmpfloat (fabs (text * rows[i].ratio - square_text), <=, 3 * rows[i].ratio);
  }
}

static void
test_caps_change (void)
{
  static const char *const formats[] = { "I420", "BGRx", "NV12", "P010_10LE", "YUY2" };
  static const int sizes[][2] = { { 320, 240 }, { 641, 479 }, { 1, 1 }, { 1280, 720 }, { 99, 55 } };
  GstHarness *h = harness_new ("", CAPS_240);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *caps = make_caps (formats[i], sizes[i][0], sizes[i][1]);
    g_autoptr (GstBuffer) before = noise_frame (caps, i);
    GstBuffer *buffer = gst_buffer_copy_deep (before);

    gst_harness_set_src_caps_str (h, caps);
    add_animals (buffer);
    buffer = gst_harness_push_and_pull (h, buffer);
    g_assert_true (same_bytes (before, buffer) == (sizes[i][0] == 1));
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (h);
}

static void
test_interlaced (void)
{
  static const char *const modes[] = { "interleaved", "mixed", "fields" };

  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_autofree char *caps = g_strdup_printf ("%s,interlace-mode=%s", CAPS_240, modes[i]);
    GstHarness *h = harness_new ("", caps);

    g_assert_true (is_drawn (h, 0, TRUE));
    gst_harness_teardown (h);
  }
}

/* The corner is that of the picture within the crop, not of the buffer. */
static void
test_crop (void)
{
  const char *padded = "video/x-raw,format=I420,width=352,height=272,framerate=25/1";
  GstHarness *h = harness_new ("", CAPS_240);
  g_autoptr (GstBuffer) before = noise_frame (padded, 0);
  GstBuffer *in = gst_buffer_copy_deep (before), *out, *marked = noise_frame (CAPS_240, 0);
  GstVideoCropMeta *crop;
  g_auto (Image) image = { 0 };
  GstVideoInfo info;

  info_of (padded, &info);
  add_animals (marked);
  g_assert_true (attached_image ("", CAPS_240, marked, &image));
  image.x += 17;
  image.y += 20;
  gst_buffer_add_video_meta_full (
      in, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_I420, 352, 272, 3, info.offset, info.stride);
  crop = gst_buffer_add_video_crop_meta (in);
  crop->x = 17;
  crop->y = 20;
  crop->width = 320;
  crop->height = 240;
  add_animals (in);
  out = gst_harness_push_and_pull (h, in);
  g_assert_false (same_bytes (before, out));
  out = gst_buffer_make_writable (out);
  blank_box (out, &info, &image);
  blank_box (before, &info, &image);
  g_assert_true (same_bytes (before, out));
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* A buffer that is too small is told of, not written beyond. */
static void
test_small_buffer (void)
{
  GstHarness *h = harness_new ("", CAPS_240);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 1000, NULL);

  gst_element_set_bus (h->element, bus);
  add_animals (buffer);
  g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_ERROR);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

/* --- several results
 * ------------------------------------------------------------------------------------- */

static gboolean
overlap (const Image *a, const Image *b)
{
  return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height
         && b->y < a->y + a->height;
}

/* Two of the whole frame lie one beside the other, the first nearer to the corner. */
static void
test_two_results (void)
{
  for (guint bottom = 0; bottom < 2; bottom++) {
    GstHarness *h
        = attaching_harness_new (bottom ? "position=bottom-left" : "position=top-left", CAPS_480);
    GstBuffer *buffer = noise_frame (CAPS_480, 0);
    g_auto (Image) first = { 0 }, second = { 0 };

    add_animals (buffer);
    add_label (buffer, 4, "room", 0.7);
    buffer = gst_harness_push_and_pull (h, buffer);
    g_assert_cmpuint (n_images (buffer), ==, 2);
    get_image (buffer, 0, &first);
    get_image (buffer, 1, &second);
    g_assert_cmpint (first.x, ==, second.x);
    g_assert_false (overlap (&first, &second));
    g_assert_true ((first.y > second.y) == bottom);
    gst_buffer_unref (buffer);
    gst_harness_teardown (h);
  }
}

/* More than the frame has room for: those that fit. */
static void
test_many_results (void)
{
  GstHarness *h = attaching_harness_new ("", CAPS_240);
  GstBuffer *buffer = noise_frame (CAPS_240, 0);

  for (guint i = 0; i < 100; i++)
    add_animals (buffer);
  buffer = gst_harness_push_and_pull (h, buffer);
  g_assert_cmpuint (n_images (buffer), >=, 2);
  g_assert_cmpuint (n_images (buffer), <=, 10);
  for (guint i = 0; i < n_images (buffer); i++) {
    g_auto (Image) a = { 0 };

    get_image (buffer, i, &a);
    g_assert_cmpint (a.y + a.height, <=, 240);
    for (guint j = 0; j < i; j++) {
      g_auto (Image) b = { 0 };

      get_image (buffer, j, &b);
      g_assert_false (overlap (&a, &b));
    }
  }
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

/* A result about a part of the frame: four lines along its edge, and the panel by it. */
static void
test_regions (void)
{
  static const struct {
    int x, y, width, height;
    int seen[4]; /* of it, in the frame; no width: not drawn */
  } rows[] = {
    { 200, 200, 100, 80, { 200, 200, 100, 80 } },
    { 201, 203, 33, 27, { 201, 203, 33, 27 } },
    { 0, 0, 640, 480, { 0, 0, 640, 480 } },
    { -50, -20, 120, 60, { 0, 0, 70, 40 } },
    { 600, 460, 100, 100, { 600, 460, 40, 20 } },
    { 100, 100, 1, 1, { 100, 100, 1, 1 } },
    { 640, 0, 10, 10, { 0 } },
    { -10, 10, 10, 10, { 0 } },
    { 10, 10, 0, 10, { 0 } },
    { 10, 10, -5, 10, { 0 } },
    { G_MAXINT - 5, G_MAXINT - 5, G_MAXINT, G_MAXINT, { 0 } },
    { G_MININT, G_MININT, G_MAXINT, G_MAXINT, { 0 } },
    { 10, 12, G_MAXINT, G_MAXINT, { 10, 12, 630, 468 } },
  };

  for (guint p = 0; p < 4; p++)
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
      g_autofree char *properties = g_strdup_printf ("position=%u colors=dog=#ff00ff", p);
      GstHarness *h = attaching_harness_new (properties, CAPS_480);
      GstBuffer *buffer = noise_frame (CAPS_480, 0);
      const int *seen = rows[i].seen;
      int left = 640, top = 480, right = 0, bottom = 0;
      g_auto (Image) panel = { 0 };

      add_region (add_animals (buffer), rows[i].x, rows[i].y, rows[i].width, rows[i].height);
      buffer = gst_harness_push_and_pull (h, buffer);
      if (seen[2] == 0) {
        g_assert_cmpuint (n_images (buffer), ==, 0);
      } else {
        const guint n = n_images (buffer);

        g_assert_cmpuint (n, >=, 2);
        for (guint l = 0; l < n - 1; l++) {
          g_auto (Image) line = { 0 };

          get_image (buffer, l, &line);
          for (int k = 0; k < line.width * line.height; k++)
            g_assert_cmphex (line.argb[k], ==, 0xffff00ff);
          left = MIN (left, line.x);
          top = MIN (top, line.y);
          right = MAX (right, line.x + line.width);
          bottom = MAX (bottom, line.y + line.height);
        }
        g_assert_cmpint (left, ==, seen[0]);
        g_assert_cmpint (top, ==, seen[1]);
        g_assert_cmpint (right - left, ==, seen[2]);
        g_assert_cmpint (bottom - top, ==, seen[3]);
        get_image (buffer, n - 1, &panel);
        g_assert_cmpint (panel.x, >=, 0);
        g_assert_cmpint (panel.y, >=, 0);
        g_assert_cmpint (panel.x + panel.width, <=, 640);
        g_assert_cmpint (panel.y + panel.height, <=, 480);
        /* it touches the region, to four pixels */
        g_assert_cmpint (panel.x, <=, right + 4);
        g_assert_cmpint (panel.x + panel.width, >=, left - 4);
        g_assert_cmpint (panel.y, <=, bottom + 4);
        g_assert_cmpint (panel.y + panel.height, >=, top - 4);
      }
      gst_buffer_unref (buffer);
      gst_harness_teardown (h);
    }
}

/* Blended, a region of odd corners touches no other pixel than when it is attached. */
static void
test_region_in_the_frame (void)
{
  static const char *const formats[] = { "I420", "NV12", "BGRx", "YUY2", "P010_10LE" };
  static const int regions[][4]
      = { { 101, 203, 77, 55 }, { -9, 11, 30, 30 }, { 300, 225, 50, 50 }, { 319, 239, 1, 1 } };

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
    for (guint r = 0; r < G_N_ELEMENTS (regions); r++) {
      const int *region = regions[r];
      g_autofree char *caps = make_caps (formats[f], 320, 240);
      GstHarness *blending = harness_new ("", caps), *attaching = attaching_harness_new ("", caps);
      g_autoptr (GstBuffer) before = noise_frame (caps, r);
      GstBuffer *blended = gst_buffer_copy_deep (before), *attached;
      GstVideoInfo info;

      info_of (caps, &info);
      add_region (add_animals (blended), region[0], region[1], region[2], region[3]);
      attached = gst_harness_push_and_pull (attaching, gst_buffer_copy_deep (blended));
      blended = gst_harness_push_and_pull (blending, blended);
      g_assert_false (same_bytes (before, blended));
      blended = gst_buffer_make_writable (blended);
      for (guint i = 0; i < n_images (attached); i++) {
        g_auto (Image) image = { 0 };

        get_image (attached, i, &image);
        blank_box (blended, &info, &image);
        blank_box (before, &info, &image);
      }
      g_assert_true (same_bytes (before, blended));
      gst_buffer_unref (blended);
      gst_buffer_unref (attached);
      gst_harness_teardown (blending);
      gst_harness_teardown (attaching);
    }
}

/* A region that moves takes its panel along without a new drawing. */
static void
test_moving_region (void)
{
  GstHarness *h = attaching_harness_new ("", CAPS_480);
  GstBuffer *kept = NULL;
  int x = 0;

  for (int n = 0; n < 3; n++) {
    GstBuffer *buffer = noise_frame (CAPS_480, (guint)n), *pixels;
    GstVideoOverlayCompositionMeta *meta;
    GstVideoOverlayRectangle *rectangle;
    g_auto (Image) panel = { 0 };

    add_region (add_animals (buffer), 100 + 40 * n, 200, 150, 100);
    buffer = gst_harness_push_and_pull (h, buffer);
    get_image (buffer, 4, &panel);
    meta = gst_buffer_get_video_overlay_composition_meta (buffer);
    rectangle = gst_video_overlay_composition_get_rectangle (meta->overlay, 4);
    pixels = gst_video_overlay_rectangle_get_pixels_unscaled_raw (
        rectangle, GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
    if (n > 0) {
      g_assert_true (pixels == kept);
      g_assert_cmpint (panel.x, ==, x + 40);
    }
    kept = pixels;
    x = panel.x;
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (h);
}

/* Fields of other kinds than videoclassify sets, and values that are none. */
static void
test_strange_results (void)
{
  GstHarness *h = harness_new ("", CAPS_240);
  static const double nothing[] = { NAN, -INFINITY, -1 }, all[] = { INFINITY, 2, 1e300 };
  g_auto (Image) none = { 0 }, full = { 0 };

  image_of_label ("", CAPS_480, G_MAXINT, "x", 0, &none);
  image_of_label ("", CAPS_480, G_MAXINT, "x", 1, &full);
  for (guint i = 0; i < G_N_ELEMENTS (nothing); i++) {
    g_auto (Image) a = { 0 }, b = { 0 };

    image_of_label ("", CAPS_480, G_MAXINT, "x", nothing[i], &a);
    image_of_label ("", CAPS_480, G_MAXINT, "x", all[i], &b);
    g_assert_true (same_pixels (&a, &none));
    g_assert_true (same_pixels (&b, &full));
  }
  {
    GstBuffer *buffer = noise_frame (CAPS_240, 0);
    GstStructure *result = add_animals (buffer);

    gst_structure_set (result, "labels", G_TYPE_INT, 3, "index", G_TYPE_STRING, "1", "probability",
        G_TYPE_FLOAT, 0.5f, "x", G_TYPE_STRING, "left", NULL);
    gst_buffer_unref (gst_harness_push_and_pull (h, buffer));
  }
  {
    GstBuffer *buffer = noise_frame (CAPS_240, 0);
    GstStructure *result = add_animals (buffer);
    GValue array = G_VALUE_INIT, item = G_VALUE_INIT;

    g_value_init (&array, GST_TYPE_ARRAY);
    g_value_init (&item, G_TYPE_INT);
    gst_value_array_append_value (&array, &item);
    gst_structure_set_value (result, "labels", &array);
    gst_structure_set_value (result, "probabilities", &array);
    g_value_unset (&array);
    gst_buffer_unref (gst_harness_push_and_pull (h, buffer));
  }
  gst_harness_teardown (h);
}

/* --- heat maps ------------------------------------------------------------------------------- */

static GstStructure *
add_heat (GstBuffer *buffer, guint rows, guint columns, const guint8 *values, gsize n)
{
  GstStructure *heat = gst_custom_meta_get_structure (
      gst_buffer_add_custom_meta (buffer, "GstVideoClassifyHeatMap"));
  g_autoptr (GBytes) bytes = g_bytes_new (values, n);

  gst_structure_set (heat, "rows", G_TYPE_UINT, rows, "columns", G_TYPE_UINT, columns, "map",
      G_TYPE_BYTES, bytes, NULL);
  return heat;
}

/* One column clear, the other hot: grey beside the first's middle, half red beyond the
 * other's, in between neither; the panel lies above it. */
static void
test_heat_map (void)
{
  static const guint8 values[] = { 0, 255 };
  g_autofree char *caps = make_caps ("BGRA", 320, 240);
  const struct
  {
    const char *properties;
    int x, y, width, height; /* 0: the whole */
    int clear, hot, other;   /* columns to look at in row 200; -1: none */
  } rows[] = {
    { "", 0, 0, 0, 0, 40, 300, -1 },
    { "heat-map=0", 0, 0, 0, 0, 300, -1, -1 },
    { "heat-map=0.5", 100, 120, 100, 120, 110, 195, 300 },
    { "", -320, 0, 480, 240, -1, 159, 170 }, /* reaches beyond the frame */
  };

  for (guint r = 0; r < G_N_ELEMENTS (rows); r++) {
    GstHarness *h = harness_new (rows[r].properties, caps);
    GstBuffer *buffer = plain_frame (caps, 0x808080);
    GstStructure *heat = add_heat (buffer, 1, 2, values, 2);
    GstVideoInfo info;
    GstMapInfo map;
    const guint8 *line;

    add_animals (buffer);
    if (rows[r].width > 0)
      add_region (heat, rows[r].x, rows[r].y, rows[r].width, rows[r].height);
    buffer = gst_harness_push_and_pull (h, buffer);
    info_of (caps, &info);
    gst_buffer_map (buffer, &map, GST_MAP_READ);
    line = map.data + 200 * GST_VIDEO_INFO_PLANE_STRIDE (&info, 0);
    if (rows[r].clear >= 0)
      g_assert_cmpuint (line[rows[r].clear * 4 + 2], ==, 0x80);
    if (rows[r].other >= 0)
      g_assert_cmpuint (line[rows[r].other * 4 + 2], ==, 0x80);
    if (rows[r].hot >= 0) { /* 0.5 * 255 + 0.5 * 128 of red, half of the others */
      g_assert_cmpint (abs (line[rows[r].hot * 4 + 2] - 191), <=, 2);
      g_assert_cmpint (abs (line[rows[r].hot * 4 + 1] - 64), <=, 10);
      g_assert_cmpint (abs (line[rows[r].hot * 4] - 64), <=, 2);
    }
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
    gst_harness_teardown (h);
  }
}

/* Maps that are none leave the panel alone. */
static void
test_broken_heat_map (void)
{
  static const guint8 values[6] = { 255, 255, 255, 255, 255, 255 };
  g_autofree char *caps = make_caps ("BGRA", 320, 240);
  const struct
  {
    guint rows, columns;
    gsize n;
    int width, height;
  } broken[] = { { 2, 3, 5, 0, 0 }, { 0, 0, 0, 0, 0 }, { G_MAXUINT, G_MAXUINT, 6, 0, 0 },
    { 2, 3, 6, -5, 10 }, { 2, 3, 6, G_MAXINT, G_MAXINT }, { 65536, 65536, 6, 0, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (broken); i++) {
    GstHarness *h = harness_new ("", caps), *plain = harness_new ("", caps);
    GstBuffer *buffer = plain_frame (caps, 0x808080), *same = gst_buffer_copy_deep (buffer);
    GstStructure *heat = add_heat (buffer, broken[i].rows, broken[i].columns, values, broken[i].n);

    if (broken[i].width != 0)
      add_region (heat, 0, 0, broken[i].width, broken[i].height);
    add_animals (buffer);
    add_animals (same);
    buffer = gst_harness_push_and_pull (h, buffer);
    same = gst_harness_push_and_pull (plain, same);
    g_assert_true (same_bytes (buffer, same));
    gst_buffer_unref (buffer);
    gst_buffer_unref (same);
    gst_harness_teardown (h);
    gst_harness_teardown (plain);
  }
}

int
main (int argc, char **argv)
{
  GstElementFactory *factory;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  factory = gst_element_factory_find ("classifyoverlay");
  g_assert_nonnull (factory);
  gst_object_unref (gst_object_ref_sink (gst_element_factory_create (factory, NULL)));
  gst_object_unref (factory);

  g_test_add_func ("/overlay/outside-untouched", test_outside_untouched);
  g_test_add_func ("/overlay/every-format", test_every_format);
  g_test_add_func ("/overlay/bar-is-proportional", test_bar_is_proportional);
  g_test_add_func ("/overlay/bar-in-the-frame", test_bar_in_the_frame);
  g_test_add_func ("/overlay/drawn-once", test_drawn_once);
  g_test_add_func ("/overlay/nothing-without-a-result", test_nothing_without_a_result);
  g_test_add_func ("/overlay/shared-frame", test_shared_frame);
  g_test_add_func ("/overlay/hold", test_hold);
  g_test_add_func ("/overlay/attached", test_attached);
  g_test_add_func ("/overlay/heat-map", test_heat_map);
  g_test_add_func ("/overlay/broken-heat-map", test_broken_heat_map);
  g_test_add_func ("/overlay/blended-for-a-sink-of-any-caps", test_blended_for_a_sink_of_any_caps);
  g_test_add_func ("/overlay/sink-changes-its-mind", test_sink_changes_its_mind);
  g_test_add_func ("/overlay/overlay-of-upstream", test_overlay_of_upstream);
  g_test_add_func ("/overlay/other-memory", test_other_memory);
  g_test_add_func ("/overlay/labels-are-no-markup", test_labels_are_no_markup);
  g_test_add_func ("/overlay/line-breaks-and-broken-text", test_line_breaks_and_broken_text);
  g_test_add_func ("/overlay/long-labels", test_long_labels);
  g_test_add_func ("/overlay/label-and-percents-apart", test_label_does_not_run_into_the_percents);
  g_test_add_func ("/overlay/top-k", test_top_k);
  g_test_add_func ("/overlay/unknown", test_unknown);
  g_test_add_func ("/overlay/colors", test_colors);
  g_test_add_func ("/overlay/wrong-colors", test_wrong_colors);
  g_test_add_func ("/overlay/opacity", test_opacity);
  g_test_add_func ("/overlay/text-size", test_text_size);
  g_test_add_func ("/overlay/pixel-aspect", test_pixel_aspect);
  g_test_add_func ("/overlay/caps-change", test_caps_change);
  g_test_add_func ("/overlay/interlaced", test_interlaced);
  g_test_add_func ("/overlay/crop", test_crop);
  g_test_add_func ("/overlay/small-buffer", test_small_buffer);
  g_test_add_func ("/overlay/two-results", test_two_results);
  g_test_add_func ("/overlay/many-results", test_many_results);
  g_test_add_func ("/overlay/regions", test_regions);
  g_test_add_func ("/overlay/region-in-the-frame", test_region_in_the_frame);
  g_test_add_func ("/overlay/moving-region", test_moving_region);
  g_test_add_func ("/overlay/strange-results", test_strange_results);
  return g_test_run ();
}
