/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kernels of inference: what thread i does, index arithmetic included, the same source on
 * the device (kernels.cu) and on the host (tests). */

#include "cuda/kernel-conv.h"
#include "cuda/kernel-rows.h"
#include "cuda/kernel-tail.h"
#include "nn/pack-math.h"

/* @lanes values of element @element of a sample and those behind it. */
static inline NN_HOST_DEVICE void
nn_finish_normalize (const NnFinishArgs *a, uint32_t element, const int lanes, float *x)
{
  const uint32_t run = nn_divide (&a->inner, element);
  const uint32_t i = run - nn_divide (&a->n, run) * a->n.by;

  if (!a->norm.scale)
    return;
  if (a->inner.by == 1) { /* an index a value */
    float scale[NN_MAX_LANES], shift[NN_MAX_LANES];

    nn_load_lanes (a->norm.scale, NN_TYPE_F32, i, lanes, scale);
    nn_load_lanes (a->norm.shift, NN_TYPE_F32, i, lanes, shift);
    NN_EACH_LANE (k, lanes)
      x[k] = x[k] * scale[k] + shift[k];
  } else {
    const float scale = a->norm.scale[i], shift = a->norm.shift[i];

    NN_EACH_LANE (k, lanes)
      x[k] = x[k] * scale + shift;
  }
}

/* @simple: functions are linear or relu. A constant, as @lanes */
static inline NN_HOST_DEVICE void
nn_finish_values (const NnFinishArgs *a, uint32_t at, uint32_t channel, const float *bias,
    const int lanes, const int simple, float *x)
{
  NN_EACH_LANE (k, lanes)
    x[k] += bias[k];
  nn_function_lanes (simple && a->f1 != NN_FN_LINEAR ? NN_FN_RELU : a->f1, lanes, x);
  nn_finish_normalize (a, at * a->channels + channel, lanes, x);
  nn_function_lanes (simple && a->f2 != NN_FN_LINEAR ? NN_FN_RELU : a->f2, lanes, x);
}

/* @lanes, @wide (src is float32) and @pairs are constants. Where windows are pairs all values of
 * one are on their way before the first is looked at. */
static inline NN_HOST_DEVICE void
nn_finish_by (const NnFinishArgs *a, uint32_t i, const int lanes, const int wide, const int pairs)
{
  const NnWindow *w = &a->window;
  const NnType type = wide      ? NN_TYPE_F32
      : a->src_type == NN_TYPE_F16 ? NN_TYPE_F16
                                   : NN_TYPE_BF16;
  const uint32_t pixel = nn_divide_off (&a->groups, &i), channel = i * lanes;
  uint32_t col = pixel, row = nn_divide_off (&a->cols, &col);
  const uint32_t sample = nn_divide_off (&a->rows, &row), base = sample * w->in_rows * w->in_cols;
  float bias[NN_MAX_LANES] = { 0 }, best[NN_MAX_LANES] = { 0 };
  int found = 0;

  if (a->bias)
    nn_load_lanes (a->bias, NN_TYPE_F32, channel, lanes, bias);
  if (pairs) {
    float values[4][NN_MAX_LANES];

    NN_EACH_LANE (q, 4)
      nn_load_lanes (a->src, type,
          (uint64_t) (base + (2 * row + q / 2) * w->in_cols + 2 * col + q % 2) * a->src_stride
              + channel,
          lanes, values[q]);
    NN_EACH_LANE (q, 4)
    {
      nn_finish_values (
          a, (2 * row + q / 2) * w->in_cols + 2 * col + q % 2, channel, bias, lanes, 1, values[q]);
      NN_EACH_LANE (k, lanes)
        best[k] = q == 0 || values[q][k] > best[k] ? values[q][k] : best[k];
    }
    nn_store_lanes (a->dst, a->dst_type, (uint64_t) pixel * a->dst_stride + channel, lanes, best);
    return;
  }
  for (uint32_t r = 0; r < w->size[0]; r++) {
    const uint32_t y = row * w->strides[0] + r - w->pad[0]; /* wraps where above the first */

    for (uint32_t c = 0; c < w->size[1]; c++) {
      const uint32_t x = col * w->strides[1] + c - w->pad[1];
      const uint32_t at = y * w->in_cols + x;
      float value[NN_MAX_LANES];

      if (y >= w->in_rows || x >= w->in_cols)
        continue;
      nn_load_lanes (a->src, type, (uint64_t) (base + at) * a->src_stride + channel, lanes, value);
      nn_finish_values (a, at, channel, bias, lanes, 0, value);
      NN_EACH_LANE (k, lanes)
        best[k] = !found || value[k] > best[k] ? value[k] : best[k];
      found = 1;
    }
  }
  nn_store_lanes (a->dst, a->dst_type, (uint64_t) pixel * a->dst_stride + channel, lanes, best);
}

static inline NN_HOST_DEVICE void
nn_finish_pixel (const NnFinishArgs *a, uint32_t i)
{
  uint32_t pixel = i;
  float x[NN_MAX_LANES] = { 0 };

  pixel -= nn_divide (&a->rows, nn_divide (&a->cols, i)) * a->rows.by * a->cols.by;
  NN_EACH_CHANNEL (a, ch)
  {
    float value = nn_load (a->src, a->src_type, (uint64_t) i * a->src_stride + ch);

    value = nn_function (a->f1, value + (a->bias ? a->bias[ch] : 0));
    x[ch] = nn_function (a->f2, nn_normalize (&a->norm, pixel * a->channels + ch, value));
  }
  nn_store_lanes (a->dst, a->dst_type, (uint64_t) i * NN_MAX_LANES, NN_MAX_LANES, x);
}

static inline NN_HOST_DEVICE void
nn_k_finish_lanes_at (const NnFinishArgs *a, uint32_t i)
{
  const int wide = a->src_type == NN_TYPE_F32;

  if (a->lanes == 0)
    nn_finish_pixel (a, i);
  else if (a->lanes == 8 && !wide && a->pairs)
    nn_finish_by (a, i, 8, 0, 1);
  else if (a->lanes == 8 && !wide)
    nn_finish_by (a, i, 8, 0, 0);
  else if (a->lanes == 8)
    nn_finish_by (a, i, 8, 1, 0);
  else if (a->lanes == 4 && wide && a->pairs)
    nn_finish_by (a, i, 4, 1, 1);
  else if (a->lanes == 4 && wide)
    nn_finish_by (a, i, 4, 1, 0);
  else if (wide)
    nn_finish_by (a, i, 1, 1, 0);
  else
    nn_finish_by (a, i, 1, 0, 0);
}

static inline NN_HOST_DEVICE void
nn_k_sample_at (const NnSampleArgs *a, uint32_t i)
{
  uint32_t pixel = i, column;
  const uint32_t sample = nn_divide_off (&a->pixels, &pixel);
  const NnSampleEntry *entry = a->entries ? &a->entries[sample] : &a->few[sample];
  const uint32_t element = pixel * a->channels;
  float x[NN_MAX_LANES] = { 0 };

  if (!entry->pack)
    return;
  column = pixel;
  pixel = nn_divide_off (&a->columns, &column); /* the row */
  nn_pack_pixel (
      (const uint8_t *) entry->pack, entry->planes, entry->sample, column, pixel, x);
  NN_EACH_CHANNEL (a, ch)
    x[ch] = nn_normalize (&a->norm, element + ch, x[ch]);
  if (a->stride == 8) {
    nn_store_lanes (a->dst, a->dst_type, (uint64_t) i * 8, 8, x);
    return;
  }
  NN_EACH_CHANNEL (a, ch)
    nn_store (a->dst, a->dst_type, (uint64_t) i * a->stride + ch, x[ch]);
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
  nn_pack_bytes (pack, entry->planes, nn_pack_get_sample (pack, entry->sample),
      pixel % a->columns, pixel / a->columns, bytes);
  NN_EACH_CHANNEL (a, ch)
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

/* thread: one of 32 channels, and one of eight to share the pixels */
static inline NN_HOST_DEVICE void
nn_k_pixel_mean_part (
    const NnPixelMeanArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const uint32_t channel = block % a->groups * 32 + thread % 32;
  const uint64_t first = (uint64_t) (block / a->groups) * a->pixels;
  float sum = 0;

  for (uint32_t p = thread / 32; p < a->pixels && channel < a->channels; p += NN_BLOCK / 32)
    sum += nn_load (a->src, a->src_type, (first + p) * a->stride + channel);
  s->a[thread] = sum;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_pixel_mean_last (
    const NnPixelMeanArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  const uint32_t channel = block % a->groups * 32 + thread;

  if (thread < 32 && channel < a->channels)
    a->dst[(uint64_t) (block / a->groups) * a->channels + channel]
        = (float) (s->a[thread] / a->pixels);
}

static inline NN_HOST_DEVICE void
nn_k_thumbnail_part (
    const NnThumbnailArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  uint32_t top, left;
  const uint32_t rows = nn_thumbnail_cell (block / a->size, a->size, a->rows, &top);
  const uint32_t columns = nn_thumbnail_cell (block % a->size, a->size, a->columns, &left);
  double sum = 0;

  for (uint32_t i = thread; i < rows * columns && round < a->channels; i += NN_BLOCK) {
    float x[3] = { 0 };

    nn_pack_pixel ((const uint8_t *) a->entry.pack, a->entry.planes, a->entry.sample,
        left + i % columns, top + i / columns, x);
    sum += round == 0 ? x[0] : round == 1 ? x[1] : x[2];
  }
  s->a[thread] = sum;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_thumbnail_last (
    const NnThumbnailArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  uint32_t first;

  if (thread < a->channels)
    a->dst[block * a->channels + thread] = (float) (s->result[thread]
        / nn_thumbnail_cell (block / a->size, a->size, a->rows, &first)
        / nn_thumbnail_cell (block % a->size, a->size, a->columns, &first));
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
