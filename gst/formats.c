/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/formats.h"

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
};

GstCaps *
gst_video_classify_make_caps (void)
{
  GstCaps *caps = gst_caps_new_empty ();
  GValue list = G_VALUE_INIT;
  GstStructure *structure = gst_structure_new ("video/x-raw", "width", GST_TYPE_INT_RANGE, 1,
      MAX_SIZE, "height", GST_TYPE_INT_RANGE, 1, MAX_SIZE, "framerate", GST_TYPE_FRACTION_RANGE, 0,
      1, G_MAXINT, 1, NULL);

  g_value_init (&list, GST_TYPE_LIST);
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    GValue format = G_VALUE_INIT;

    g_value_init (&format, G_TYPE_STRING);
    g_value_set_static_string (&format, gst_video_format_to_string (formats[i].video));
    gst_value_list_append_and_take_value (&list, &format);
  }
  gst_structure_take_value (structure, "format", &list);
  /* frames that carry an overlay to be blended later are passed on with it */
  gst_caps_append_structure_full (caps, gst_structure_copy (structure),
      gst_caps_features_new (GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY,
          GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION, NULL));
  gst_caps_append_structure (caps, gst_structure_copy (structure));
  gst_caps_append_structure_full (caps, gst_structure_copy (structure),
      gst_caps_features_new (
          CUDA_MEMORY_FEATURE, GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION, NULL));
  gst_caps_append_structure_full (
      caps, structure, gst_caps_features_new (CUDA_MEMORY_FEATURE, NULL));
  return caps;
}

gboolean
gst_video_classify_image_info (const GstVideoInfo *video, NnImageInfo *image)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    if (formats[i].video != GST_VIDEO_INFO_FORMAT (video))
      continue;
    *image = (NnImageInfo) {
      .format = formats[i].pixel,
      .width = (guint) GST_VIDEO_INFO_WIDTH (video),
      .height = (guint) GST_VIDEO_INFO_HEIGHT (video),
      .full_range = video->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255,
      .pixel_aspect = (double) GST_VIDEO_INFO_PAR_N (video) / GST_VIDEO_INFO_PAR_D (video),
    };
    switch (video->colorimetry.matrix) {
      case GST_VIDEO_COLOR_MATRIX_BT709:
      case GST_VIDEO_COLOR_MATRIX_SMPTE240M: /* within two levels of BT.709 */
        image->matrix = NN_MATRIX_BT709;
        break;
      case GST_VIDEO_COLOR_MATRIX_BT2020:
        image->matrix = NN_MATRIX_BT2020;
        break;
      default:
        image->matrix = NN_MATRIX_BT601;
        break;
    }
    return TRUE;
  }
  return FALSE;
}
