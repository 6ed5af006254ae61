/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/image.h"

void
nn_preprocess_init (NnPreprocess *pre, guint width, guint height)
{
  *pre = (NnPreprocess) {
    .width = width,
    .height = height,
    .channels = NN_CHANNELS_RGB,
    .resize = NN_RESIZE_NEAREST,
    .scale = { 1 / 255.f, 1 / 255.f, 1 / 255.f },
  };
}

guint
nn_preprocess_get_n_channels (const NnPreprocess *pre)
{
  return pre->channels == NN_CHANNELS_GRAY ? 1 : 3;
}

gboolean
nn_preprocess_equal (const NnPreprocess *a, const NnPreprocess *b)
{
  if (a->width != b->width || a->height != b->height || a->channels != b->channels
      || a->resize != b->resize)
    return FALSE;
  for (guint c = 0; c < nn_preprocess_get_n_channels (a); c++)
    if (a->mean[c] != b->mean[c] || a->scale[c] != b->scale[c])
      return FALSE;
  return TRUE;
}

char *
nn_preprocess_to_string (const NnPreprocess *pre)
{
  static const char *const channels[] = { "RGB", "BGR", "gray" };
  static const char *const resizes[] = { "nearest", "bilinear", "area" };
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "%ux%u %s, resize %s, ", pre->width, pre->height,
      channels[pre->channels], resizes[pre->resize]);
  g_string_append (text, "value = (pixel 0..255 - mean) * scale, mean");
  for (guint c = 0; c < nn_preprocess_get_n_channels (pre); c++)
    g_string_append_printf (text, " %g", pre->mean[c]);
  g_string_append (text, ", scale");
  for (guint c = 0; c < nn_preprocess_get_n_channels (pre); c++)
    g_string_append_printf (text, " %g", pre->scale[c]);
  return g_string_free (text, FALSE);
}

void
nn_preprocess_bytes (const NnPreprocess *pre, const guint8 *src, gboolean hflip, float *dst)
{
  const guint channels = nn_preprocess_get_n_channels (pre);
  const gsize line = (gsize) pre->width * channels;

  for (guint y = 0; y < pre->height; y++, src += line, dst += line) {
    if (hflip) {
      for (guint x = 0; x < pre->width; x++)
        for (guint c = 0; c < channels; c++)
          dst[x * channels + c]
              = (src[(pre->width - 1 - x) * channels + c] - pre->mean[c]) * pre->scale[c];
    } else if (channels == 1) {
      for (gsize i = 0; i < line; i++)
        dst[i] = (src[i] - pre->mean[0]) * pre->scale[0];
    } else {
      for (guint x = 0; x < pre->width; x++) {
        dst[3 * x] = (src[3 * x] - pre->mean[0]) * pre->scale[0];
        dst[3 * x + 1] = (src[3 * x + 1] - pre->mean[1]) * pre->scale[1];
        dst[3 * x + 2] = (src[3 * x + 2] - pre->mean[2]) * pre->scale[2];
      }
    }
  }
}
