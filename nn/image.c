/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/image.h"

#include <math.h>
#include <string.h>

#include "nn/sampler-kernels.h"

static const char *const aspect_names[NN_N_ASPECTS] = { "stretch", "letterbox", "center-crop" };

const char *
nn_aspect_to_string (NnAspect aspect)
{
  return aspect_names[aspect];
}

gboolean
nn_aspect_from_string (const char *string, NnAspect *aspect)
{
  for (guint i = 0; i < NN_N_ASPECTS; i++) {
    if (strcmp (string, aspect_names[i]) == 0) {
      *aspect = (NnAspect) i;
      return TRUE;
    }
  }
  return FALSE;
}

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
      || a->resize != b->resize || a->aspect != b->aspect
      || (a->aspect == NN_ASPECT_LETTERBOX && a->pad != b->pad)
      || a->has_background != b->has_background
      || (a->has_background && memcmp (a->background, b->background, 3) != 0))
    return FALSE;
  for (guint c = 0; c < nn_preprocess_get_n_channels (a); c++)
    if (a->mean[c] != b->mean[c] || a->scale[c] != b->scale[c])
      return FALSE;
  return TRUE;
}

void
nn_preprocess_fit (const NnPreprocess *pre, const NnImageInfo *info, const NnRect *crop,
    NnRect *source, NnPlace *place)
{
  const double pixel = info->pixel_aspect > 0 ? info->pixel_aspect : 1;
  const double target = (double) pre->width / pre->height;
  double ratio;

  *source = crop ? *crop : (NnRect) { 0, 0, info->width, info->height };
  *place = (NnPlace) { 0, 0, pre->width, pre->height };
  ratio = source->width * pixel / source->height;
  if (pre->aspect == NN_ASPECT_CENTER_CROP) {
    const double width = MIN (source->width, source->height * target / pixel);
    const double height = MIN (source->height, source->width * pixel / target);

    /* at least the pixel that a sampler needs, never beyond the crop */
    if (width < source->width) {
      source->x += (source->width - MAX (width, 1)) / 2;
      source->width = MAX (width, 1);
    } else {
      source->y += (source->height - MAX (height, 1)) / 2;
      source->height = MAX (height, 1);
    }
  } else if (pre->aspect == NN_ASPECT_LETTERBOX) {
    if (ratio < target)
      place->width = (guint) CLAMP (round (pre->height * ratio), 1, pre->width);
    else
      place->height = (guint) CLAMP (round (pre->width / ratio), 1, pre->height);
    place->x = (pre->width - place->width) / 2;
    place->y = (pre->height - place->height) / 2;
  }
}

void
nn_image_turn (NnImageInfo *info, NnOrientation orientation)
{
  const guint width = info->width;

  info->orientation = orientation;
  if (!nn_orientation_is_transposed (orientation))
    return;
  info->width = info->height;
  info->height = width;
  if (info->pixel_aspect > 0)
    info->pixel_aspect = 1 / info->pixel_aspect;
}

NnRect
nn_image_turn_rect (const NnImageInfo *info, const NnRect *rect)
{
  if (nn_orientation_is_transposed (info->orientation))
    return nn_orientation_turn_rect (info->orientation, info->height, info->width, rect);
  return nn_orientation_turn_rect (info->orientation, info->width, info->height, rect);
}

NnRect
nn_image_turn_rect_back (const NnImageInfo *info, const NnRect *rect)
{
  return nn_orientation_turn_rect (
      nn_orientation_invert (info->orientation), info->width, info->height, rect);
}

char *
nn_preprocess_to_string (const NnPreprocess *pre)
{
  static const char *const channels[] = { "RGB", "BGR", "gray" };
  static const char *const resizes[] = { "nearest", "bilinear", "area" };
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "%ux%u %s, resize %s, ", pre->width, pre->height,
      channels[pre->channels], resizes[pre->resize]);
  /* a resumed training compares this text: stretch, the older, goes without saying */
  if (pre->aspect == NN_ASPECT_LETTERBOX)
    g_string_append_printf (text, "letterbox (pad %u), ", pre->pad);
  else if (pre->aspect != NN_ASPECT_STRETCH)
    g_string_append_printf (text, "%s, ", aspect_names[pre->aspect]);
  if (pre->has_background)
    g_string_append_printf (text, "background %u %u %u, ", pre->background[0], pre->background[1],
        pre->background[2]);
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
  const guint pixels = NN_SCALE_PERIOD / channels;
  const NnSamplerKernels *kernels = nn_sampler_kernels_get ();
  float mean[NN_SCALE_PERIOD], scale[NN_SCALE_PERIOD];

  for (guint i = 0; i < NN_SCALE_PERIOD; i++) {
    mean[i] = pre->mean[i % channels];
    scale[i] = pre->scale[i % channels];
  }
  if (!hflip) {
    kernels->scale (line * pre->height, src, mean, scale, dst);
    return;
  }
  for (guint y = 0; y < pre->height; y++, src += line, dst += line) {
    guint8 block[NN_SCALE_PERIOD];

    for (gsize x = 0; x < pre->width; x += pixels) {
      const guint n = (guint) MIN (pixels, pre->width - x);
      const guint8 *from = src + line - x * channels;

      for (guint i = 0; i < n; i++) {
        from -= channels;
        for (guint c = 0; c < channels; c++)
          block[i * channels + c] = from[c];
      }
      kernels->scale (n * channels, block, mean, scale, dst + x * channels);
    }
  }
}
