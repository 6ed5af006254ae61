/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/formats.h"

#include <string.h>

#include "gst/cuda-memory.h"

#define MAX_SIZE 32768

static const struct
{
  GstVideoFormat video;
  NnPixelFormat pixel;
} formats[] = {
  { GST_VIDEO_FORMAT_NV12, NN_PIXEL_NV12 },
  { GST_VIDEO_FORMAT_I420, NN_PIXEL_I420 },
  { GST_VIDEO_FORMAT_YV12, NN_PIXEL_YV12 },
  { GST_VIDEO_FORMAT_NV21, NN_PIXEL_NV21 },
  { GST_VIDEO_FORMAT_YUY2, NN_PIXEL_YUY2 },
  { GST_VIDEO_FORMAT_UYVY, NN_PIXEL_UYVY },
  { GST_VIDEO_FORMAT_YVYU, NN_PIXEL_YVYU },
  { GST_VIDEO_FORMAT_Y42B, NN_PIXEL_Y42B },
  { GST_VIDEO_FORMAT_Y444, NN_PIXEL_Y444 },
  { GST_VIDEO_FORMAT_I420_10LE, NN_PIXEL_I420_10LE },
  { GST_VIDEO_FORMAT_I422_10LE, NN_PIXEL_I422_10LE },
  { GST_VIDEO_FORMAT_P010_10LE, NN_PIXEL_P010_10LE },
  { GST_VIDEO_FORMAT_RGB, NN_PIXEL_RGB },
  { GST_VIDEO_FORMAT_BGR, NN_PIXEL_BGR },
  { GST_VIDEO_FORMAT_RGBx, NN_PIXEL_RGBX },
  { GST_VIDEO_FORMAT_RGBA, NN_PIXEL_RGBX },
  { GST_VIDEO_FORMAT_BGRx, NN_PIXEL_BGRX },
  { GST_VIDEO_FORMAT_BGRA, NN_PIXEL_BGRX },
  { GST_VIDEO_FORMAT_xRGB, NN_PIXEL_XRGB },
  { GST_VIDEO_FORMAT_ARGB, NN_PIXEL_XRGB },
  { GST_VIDEO_FORMAT_xBGR, NN_PIXEL_XBGR },
  { GST_VIDEO_FORMAT_ABGR, NN_PIXEL_XBGR },
  { GST_VIDEO_FORMAT_GRAY8, NN_PIXEL_GRAY8 },
  { GST_VIDEO_FORMAT_Y444_10LE, NN_PIXEL_Y444_10LE },
  { GST_VIDEO_FORMAT_NV16, NN_PIXEL_NV16 },
  { GST_VIDEO_FORMAT_GBR, NN_PIXEL_GBR },
  { GST_VIDEO_FORMAT_AYUV, NN_PIXEL_AYUV },
};

/* What others are unpacked to; ARGB64 is made ARGB then. */
static const struct
{
  GstVideoFormat unpacked;
  NnPixelFormat pixel;
} unpacked_formats[] = {
  { GST_VIDEO_FORMAT_AYUV, NN_PIXEL_AYUV },
  { GST_VIDEO_FORMAT_ARGB, NN_PIXEL_XRGB },
  { GST_VIDEO_FORMAT_AYUV64, NN_PIXEL_AYUV64 },
  { GST_VIDEO_FORMAT_ARGB64, NN_PIXEL_XRGB },
};

/* Memory that can be mapped, on most machines. */
static const char *const mappable[] = { "memory:DMABuf", "memory:VAMemory", "memory:GLMemory" };

static const struct
{
  const char *memory, *element;
} downloaders[] = {
  { "GLMemory", "gldownload" },
  { "GLMemoryEGL", "gldownload" },
  { "GLMemoryPBO", "gldownload" },
  { "VAMemory", "vapostproc" },
  { "VASurface", "vaapipostproc" },
  { "DMABuf", "vapostproc, or glupload ! gldownload," },
  { "dmabuf", "vapostproc, or glupload ! gldownload," },
  { "CUDAMemory", "cudadownload" },
  { "gst.cuda.memory", "cudadownload" },
  { "NVMM", "nvvideoconvert" },
  { "VulkanImage", "vulkandownload" },
  { "D3D11Memory", "d3d11download" },
  { "D3D12Memory", "d3d12download" },
};

static NnPixelFormat
find_direct (GstVideoFormat format)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].video == format)
      return formats[i].pixel;
  return NN_PIXEL_UNKNOWN;
}

static NnPixelFormat
find_unpacked (GstVideoFormat format)
{
  const GstVideoFormatInfo *info = gst_video_format_get_info (format);

  if (!info || !info->unpack_func || GST_VIDEO_FORMAT_INFO_N_PLANES (info) == 0)
    return NN_PIXEL_UNKNOWN;
  for (guint i = 0; i < G_N_ELEMENTS (unpacked_formats); i++)
    if (unpacked_formats[i].unpacked == info->unpack_format)
      return unpacked_formats[i].pixel;
  return NN_PIXEL_UNKNOWN;
}

gboolean
gst_video_classify_is_direct (GstVideoFormat format)
{
  return find_direct (format) != NN_PIXEL_UNKNOWN;
}

/* --- caps ------------------------------------------------------------------------- */

static void
append_format (GValue *list, GstVideoFormat format)
{
  GValue name = G_VALUE_INIT;

  g_value_init (&name, G_TYPE_STRING);
  g_value_set_static_string (&name, gst_video_format_to_string (format));
  gst_value_list_append_and_take_value (list, &name);
}

/* Those of the table first. */
static GstStructure *
make_structure (void)
{
  GstStructure *structure = gst_structure_new ("video/x-raw", "width", GST_TYPE_INT_RANGE, 1,
      MAX_SIZE, "height", GST_TYPE_INT_RANGE, 1, MAX_SIZE, "framerate", GST_TYPE_FRACTION_RANGE, 0,
      1, G_MAXINT, 1, NULL);
  GValue list = G_VALUE_INIT;
  const GstVideoFormat *all;
  guint n;

  g_value_init (&list, GST_TYPE_LIST);
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    append_format (&list, formats[i].video);
  all = gst_video_formats_raw (&n);
  for (guint i = 0; i < n; i++)
    if (!gst_video_classify_is_direct (all[i]) && find_unpacked (all[i]) != NN_PIXEL_UNKNOWN)
      append_format (&list, all[i]);
  gst_structure_take_value (structure, "format", &list);
  return structure;
}

/* With an overlay to be blended later, which is passed on, and without. */
static void
append_memory (GstCaps *caps, const GstStructure *structure, const char *memory)
{
  gst_caps_append_structure_full (caps, gst_structure_copy (structure),
      gst_caps_features_new (memory, GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION, NULL));
  gst_caps_append_structure_full (
      caps, gst_structure_copy (structure), gst_caps_features_new (memory, NULL));
}

/* Whose frames are read as they are meant to be. */
static GstCaps *
make_first_choice (void)
{
  g_autoptr (GstStructure) structure = make_structure ();
  GstCaps *caps = gst_caps_new_empty ();

  append_memory (caps, structure, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY);
  append_memory (caps, structure, CUDA_MEMORY_FEATURE);
  return caps;
}

static GstCaps *
make_second_choice (void)
{
  g_autoptr (GstStructure) structure = make_structure ();
  GstCaps *caps = gst_caps_new_empty ();

  for (guint i = 0; i < G_N_ELEMENTS (mappable); i++)
    append_memory (caps, structure, mappable[i]);
  return caps;
}

GstCaps *
gst_video_classify_make_caps (void)
{
  GstCaps *caps = make_first_choice ();

  gst_caps_append (caps, make_second_choice ());
  gst_caps_append_structure_full (
      caps, gst_structure_new_empty ("video/x-raw"), gst_caps_features_new_any ());
  return caps;
}

GstCaps *
gst_video_classify_choose_caps (const GstCaps *caps)
{
  GstCaps *choices[] = { make_first_choice (), make_second_choice () };
  GstCaps *chosen = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (choices); i++) {
    GstCaps *both = chosen
        ? NULL
        : gst_caps_intersect_full ((GstCaps *) caps, choices[i], GST_CAPS_INTERSECT_FIRST);

    if (both && !gst_caps_is_empty (both))
      chosen = g_steal_pointer (&both);
    gst_clear_caps (&both);
    gst_caps_unref (choices[i]);
  }
  return chosen ? chosen : gst_caps_copy (caps);
}

/* --- refusals --------------------------------------------------------------------- */

const char *
gst_video_classify_get_downloader (const char *memory)
{
  for (guint i = 0; i < G_N_ELEMENTS (downloaders); i++)
    if (strcmp (downloaders[i].memory, memory) == 0)
      return downloaders[i].element;
  return "an element that copies it to system memory";
}

static gboolean
is_readable_feature (const char *feature)
{
  return g_str_has_prefix (feature, "meta:")
      || strcmp (feature, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY) == 0
      || strcmp (feature, CUDA_MEMORY_FEATURE) == 0
      || strcmp (feature, mappable[0]) == 0 || strcmp (feature, mappable[1]) == 0
      || strcmp (feature, mappable[2]) == 0;
}

/* What of @features is in the way, or NULL. */
static const char *
find_unreadable (const GstCapsFeatures *features)
{
  for (guint i = 0; features && i < gst_caps_features_get_size (features); i++) {
    const char *feature = gst_caps_features_get_nth (features, i);

    if (!is_readable_feature (feature))
      return feature;
  }
  return NULL;
}

char *
gst_video_classify_refuse_caps (const GstCaps *caps)
{
  const GstStructure *structure = gst_caps_get_structure (caps, 0);
  const char *feature = find_unreadable (gst_caps_get_features (caps, 0));
  const char *format = gst_structure_get_string (structure, "format");
  NnImageInfo image;
  g_autofree char *text = NULL;
  GstVideoInfo info;

  if (!format)
    format = "(none)";
  if (g_strcmp0 (feature, GST_CAPS_FEATURE_FORMAT_INTERLACED) == 0)
    return g_strdup_printf ("video/x-raw(%s), format=%s: videoclassify reads whole frames, these "
        "are single fields: put deinterlace in front", feature, format);
  if (feature)
    return g_strdup_printf ("video/x-raw(%s), format=%s: videoclassify does not read frames in "
        "such memory: put %s in front", feature, format,
        gst_video_classify_get_downloader (
            g_str_has_prefix (feature, "memory:") ? feature + strlen ("memory:") : feature));
  if (strcmp (format, "DMA_DRM") == 0)
    return g_strdup_printf ("video/x-raw, format=DMA_DRM, drm-format=%s is laid out as only a "
        "graphics device reads it: put %s in front",
        gst_structure_get_string (structure, "drm-format"),
        gst_video_classify_get_downloader ("DMABuf"));
  if (find_unpacked (gst_video_format_from_string (format)) == NN_PIXEL_UNKNOWN)
    return g_strdup_printf ("video/x-raw, format=%s is not a format that videoclassify reads: put "
        "videoconvert in front", format);
  if (!gst_video_info_from_caps (&info, caps) || !gst_video_classify_image_info (&info, &image)) {
    text = gst_caps_to_string (caps);
    return g_strdup_printf ("%s: not the caps of raw video", text);
  }
  if (info.width > MAX_SIZE || info.height > MAX_SIZE)
    return g_strdup_printf ("frames of %dx%d pixels are larger than the %dx%d that videoclassify "
        "reads: put videoscale in front", info.width, info.height, MAX_SIZE, MAX_SIZE);
  return NULL;
}

/* --- what the sampler is told ------------------------------------------------------- */

static NnColorMatrix
get_matrix (const GstVideoInfo *video)
{
  switch (video->colorimetry.matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT709:
      return NN_MATRIX_BT709;
    case GST_VIDEO_COLOR_MATRIX_SMPTE240M:
      return NN_MATRIX_SMPTE240M;
    case GST_VIDEO_COLOR_MATRIX_BT2020:
      return NN_MATRIX_BT2020;
    case GST_VIDEO_COLOR_MATRIX_FCC:
      return NN_MATRIX_FCC;
    default:
      return NN_MATRIX_BT601;
  }
}

gboolean
gst_video_classify_image_info (const GstVideoInfo *video, NnImageInfo *image)
{
  NnPixelFormat pixel = find_direct (GST_VIDEO_INFO_FORMAT (video));

  if (pixel == NN_PIXEL_UNKNOWN)
    pixel = find_unpacked (GST_VIDEO_INFO_FORMAT (video));
  if (pixel == NN_PIXEL_UNKNOWN)
    return FALSE;
  *image = (NnImageInfo) {
    .format = pixel,
    .width = (guint) GST_VIDEO_INFO_WIDTH (video),
    .height = (guint) GST_VIDEO_INFO_HEIGHT (video),
    .matrix = get_matrix (video),
    .full_range = video->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255,
    .pixel_aspect = (double) GST_VIDEO_INFO_PAR_N (video) / GST_VIDEO_INFO_PAR_D (video),
  };
  return TRUE;
}
