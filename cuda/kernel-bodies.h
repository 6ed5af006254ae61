/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kernels of inference: what thread i does, index arithmetic included, the same source on
 * the device (kernels.cu) and on the host (tests). */

#include "cuda/kernel-vector.h"
#include "nn/pack-math.h"

static inline NN_HOST_DEVICE void
nn_k_finish_at (const NnFinishArgs *a, uint32_t i)
{
  const NnWindow *w = &a->window;
  const uint32_t channel = i % a->channels, pixel = i / a->channels;
  const uint32_t col = pixel % w->out_cols, row = pixel / w->out_cols % w->out_rows;
  const uint32_t sample = pixel / w->out_cols / w->out_rows;
  const float bias = a->bias ? a->bias[channel] : 0;
  float best = 0;
  int found = 0;

  for (uint32_t r = 0; r < w->size[0]; r++) {
    const uint32_t y = row * w->strides[0] + r - w->pad[0]; /* wraps where above the first */

    for (uint32_t c = 0; c < w->size[1]; c++) {
      const uint32_t x = col * w->strides[1] + c - w->pad[1];
      uint32_t at;
      float value;

      if (y >= w->in_rows || x >= w->in_cols)
        continue;
      at = y * w->in_cols + x;
      value = nn_load (a->src, a->src_type,
          (uint64_t) (sample * w->in_rows * w->in_cols + at) * a->src_stride + channel);
      value = nn_function (a->f1, value + bias);
      value = nn_function (a->f2, nn_normalize (&a->norm, at * a->channels + channel, value));
      if (!found || value > best)
        best = value;
      found = 1;
    }
  }
  nn_store (a->dst, a->dst_type, (uint64_t) pixel * a->dst_stride + channel, best);
}

static inline NN_HOST_DEVICE void
nn_k_sample_at (const NnSampleArgs *a, uint32_t i)
{
  const NnSampleEntry *entry = &a->entries[i / a->pixels];
  const uint32_t pixel = i % a->pixels;

  if (entry->pack)
    nn_pack_pixel ((const uint8_t *) entry->pack, entry->sample, pixel % a->columns,
        pixel / a->columns, a->dst + (uint64_t) i * a->channels);
}

static inline NN_HOST_DEVICE void
nn_k_picture_at (const NnPictureArgs *a, uint32_t i)
{
  const NnSampleEntry *entry = &a->entries[i / a->pixels];
  const uint8_t *pack = (const uint8_t *) entry->pack;
  const uint32_t pixel = i % a->pixels;
  unsigned char bytes[3] = { 0 };

  if (!pack)
    return;
  nn_pack_bytes (pack, nn_pack_get_sample (pack, entry->sample), pixel % a->columns,
      pixel / a->columns, bytes);
  for (uint32_t ch = 0; ch < a->channels; ch++)
    a->dst[(uint64_t) i * a->channels + ch] = bytes[ch];
}

static inline NN_HOST_DEVICE void
nn_k_affine_at (const NnAffineArgs *a, uint32_t i)
{
  const double s = (a->gamma ? a->gamma[i] : 1) / sqrt ((double) a->variance[i] + a->epsilon);

  a->scale[i] = (float) s;
  a->shift[i] = (float) ((a->beta ? a->beta[i] : 0) - a->mean[i] * s);
}

static inline NN_HOST_DEVICE void
nn_k_mean_at (const NnMeanArgs *a, uint32_t i)
{
  const uint32_t channel = i % a->channels, sample = i / a->channels;
  float sum = 0;

  for (uint32_t p = 0; p < a->pixels; p++)
    sum += nn_load (
        a->src, a->src_type, ((uint64_t) sample * a->pixels + p) * a->stride + channel);
  nn_store (a->dst, a->dst_type, i, sum / (float) a->pixels);
}

static inline NN_HOST_DEVICE void
nn_k_shift_at (const NnShiftArgs *a, uint32_t i)
{
  const uint32_t channel = i % a->channels, pixel = i / a->channels;
  const uint32_t x = pixel % a->dst_cols - (uint32_t) a->offset[1];
  const uint32_t y = pixel / a->dst_cols % a->dst_rows - (uint32_t) a->offset[0];
  const uint32_t sample = pixel / a->dst_cols / a->dst_rows;
  float value = 0;

  if (y < a->src_rows && x < a->src_cols)
    value = nn_load (a->src, a->type,
        ((uint64_t) (sample * a->src_rows + y) * a->src_cols + x) * a->channels + channel);
  nn_store (a->dst, a->type, i, value);
}

static inline NN_HOST_DEVICE void
nn_k_conv_at (const NnConvArgs *a, uint32_t i)
{
  const uint32_t filter = i % a->filters, pixel = i / a->filters;
  const uint32_t col = pixel % a->out_cols, row = pixel / a->out_cols % a->out_rows;
  const uint32_t sample = pixel / a->out_cols / a->out_rows;
  double sum = 0; /* exact enough for any length */

  for (uint32_t r = 0; r < a->kernel[0]; r++) {
    const uint32_t y = row * a->strides[0] + r * a->dilation[0] - a->pad[0];

    for (uint32_t s = 0; s < a->kernel[1] && y < a->in_rows; s++) {
      const uint32_t x = col * a->strides[1] + s * a->dilation[1] - a->pad[1];
      const uint64_t from
          = ((uint64_t) (sample * a->in_rows + y) * a->in_cols + x) * a->in_stride;
      const uint64_t with
          = ((uint64_t) (filter * a->kernel[0] + r) * a->kernel[1] + s) * a->in_stride;

      for (uint32_t c = 0; c < a->channels && x < a->in_cols; c++)
        sum += (double) nn_load (a->x, a->type, from + c) * nn_load (a->w, a->type, with + c);
    }
  }
  nn_store (a->dst, a->dst_type, (uint64_t) pixel * a->out_stride + filter, (float) sum);
}

/* --- blocks ------------------ */

/* What the threads of a block share. A kernel's rounds: each thread leaves its part in a
 * (and b), which are added up pairwise down to `width` values; then thread 0 keeps a[0]. */
typedef struct
{
  double a[NN_BLOCK], b[NN_BLOCK];
  double result[3];
} NnShared;

static inline NN_HOST_DEVICE void
nn_shared_combine (NnShared *s, uint32_t thread, uint32_t step, int is_max)
{
  if (thread >= step)
    return;
  if (is_max) {
    s->a[thread] = s->a[thread + step] > s->a[thread] ? s->a[thread + step] : s->a[thread];
    return;
  }
  s->a[thread] += s->a[thread + step];
  s->b[thread] += s->b[thread + step];
}

static inline NN_HOST_DEVICE uint32_t
nn_k_softmax_width (const NnSoftmaxArgs *a)
{
  return 1;
}

static inline NN_HOST_DEVICE int
nn_k_softmax_is_max (uint32_t round)
{
  return round == 0;
}

static inline NN_HOST_DEVICE void
nn_k_softmax_part (
    const NnSoftmaxArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const uint64_t first = (uint64_t) block * a->n;
  double part = round == 0 ? -INFINITY : 0;

  for (uint32_t i = thread; i < a->n; i += NN_BLOCK) {
    const float x = nn_load (a->src, a->src_type, first + i);

    if (round == 0)
      part = x > part ? x : part;
    else
      part += expf (x - (float) s->result[0]);
  }
  s->a[thread] = part;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_softmax_last (const NnSoftmaxArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  const uint64_t first = (uint64_t) block * a->n;

  for (uint32_t i = thread; i < a->n; i += NN_BLOCK)
    a->dst[first + i] = expf (nn_load (a->src, a->src_type, first + i) - (float) s->result[0])
        / (float) s->result[1];
}

static inline NN_HOST_DEVICE uint32_t
nn_k_views_width (const NnViewsArgs *a)
{
  return 1;
}

static inline NN_HOST_DEVICE int
nn_k_views_is_max (uint32_t round)
{
  return round == 0;
}

/* of output @i: added up in the order of the views, in the host's type */
static inline NN_HOST_DEVICE double
nn_views_mean_at (const NnViewsArgs *a, const NnViewGroup *group, uint32_t i)
{
  const float *src = a->src + (uint64_t) group->first * a->n + i;
  double logits = 0;
  float sum = 0;

  for (uint32_t v = 0; v < group->n; v++, src += a->n) {
    if (group->of_logits)
      logits += nn_view_logit (a->end, *src);
    else
      sum += *src;
  }
  return group->of_logits ? logits / group->n : sum / (float) group->n;
}

/* largest of the means, sum of their exp: for softmax of mean logits */
static inline NN_HOST_DEVICE void
nn_k_views_part (
    const NnViewsArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const NnViewGroup *group = &a->groups[block];
  double part = round == 0 ? -INFINITY : 0;

  if (group->of_logits && a->end == NN_VIEW_SOFTMAX) {
    for (uint32_t i = thread; i < a->n; i += NN_BLOCK) {
      const double x = nn_views_mean_at (a, group, i);

      if (round == 0)
        part = x > part ? x : part;
      else
        part += exp (x - s->result[0]);
    }
  }
  s->a[thread] = part;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_views_last (const NnViewsArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  const NnViewGroup *group = &a->groups[block];

  for (uint32_t i = thread; i < a->n && group->n > 0; i += NN_BLOCK) {
    const double x = nn_views_mean_at (a, group, i);

    a->dst[(uint64_t) block * a->n + i] = group->of_logits
        ? nn_view_output (a->end, x, s->result[0], s->result[1])
        : (float) x;
  }
}
