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

/* a block that every period of channels divides and that compilers turn into SIMD */
#define BLOCK_PIXELS 16
#define BLOCK_VALUES (3 * BLOCK_PIXELS)

static inline void
scale_block (const guint8 *restrict src, const float *restrict mean, const float *restrict scale,
    float *restrict dst)
{
  for (guint i = 0; i < BLOCK_VALUES; i++)
    dst[i] = (src[i] - mean[i]) * scale[i];
}

void
nn_preprocess_bytes (const NnPreprocess *pre, const guint8 *src, gboolean hflip, float *dst)
{
  const guint channels = nn_preprocess_get_n_channels (pre);
  const gsize line = (gsize) pre->width * channels;
  const guint pixels = BLOCK_VALUES / channels;
  float mean[BLOCK_VALUES], scale[BLOCK_VALUES];

  for (guint i = 0; i < BLOCK_VALUES; i++) {
    mean[i] = pre->mean[i % channels];
    scale[i] = pre->scale[i % channels];
  }
  for (guint y = 0; y < pre->height; y++, src += line, dst += line) {
    gsize i = 0;

    if (hflip) {
      for (; i + BLOCK_VALUES <= line; i += BLOCK_VALUES) {
        const guint8 *from = src + line - i;
        guint8 block[BLOCK_VALUES];

        for (guint x = 0; x < pixels; x++)
          for (guint c = 0; c < channels; c++)
            block[x * channels + c] = from[(gssize) c - (gssize) (x + 1) * channels];
        scale_block (block, mean, scale, dst + i);
      }
      for (; i < line; i += channels)
        for (guint c = 0; c < channels; c++)
          dst[i + c] = (src[line - i - channels + c] - mean[c]) * scale[c];
    } else {
      for (; i + BLOCK_VALUES <= line; i += BLOCK_VALUES)
        scale_block (src + i, mean, scale, dst + i);
      for (guint k = 0; i + k < line; k++)
        dst[i + k] = (src[i + k] - mean[k]) * scale[k];
    }
  }
}
