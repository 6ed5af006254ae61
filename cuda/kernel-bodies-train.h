/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kernels of training: unpadded, but for nn_k_lay. See kernel-bodies.h. */

#include "cuda/kernel-bodies.h"

/* --- convolution by plain loops ------------------ */

static inline NN_HOST_DEVICE void
nn_k_conv_data_at (const NnConvArgs *a, uint32_t i)
{
  const uint32_t channel = i % a->channels, pixel = i / a->channels;
  const uint32_t col = pixel % a->in_cols, row = pixel / a->in_cols % a->in_rows;
  const uint32_t sample = pixel / a->in_cols / a->in_rows;
  double sum = 0;

  for (uint32_t r = 0; r < a->kernel[0]; r++) {
    const uint32_t y = row + a->pad[0] - r * a->dilation[0]; /* wraps where negative */

    if (y % a->strides[0] != 0 || y / a->strides[0] >= a->out_rows || y > row + a->pad[0])
      continue;
    for (uint32_t s = 0; s < a->kernel[1]; s++) {
      const uint32_t x = col + a->pad[1] - s * a->dilation[1];
      uint64_t at, with;

      if (x % a->strides[1] != 0 || x / a->strides[1] >= a->out_cols || x > col + a->pad[1])
        continue;
      at = ((uint64_t) (sample * a->out_rows + y / a->strides[0]) * a->out_cols
               + x / a->strides[1])
          * a->filters;
      with = (uint64_t) (r * a->kernel[1] + s) * a->channels + channel;
      for (uint32_t f = 0; f < a->filters; f++)
        sum += (double) nn_load (a->dy, a->type, at + f)
            * nn_load (a->w, a->type,
                with + (uint64_t) f * a->kernel[0] * a->kernel[1] * a->channels);
    }
  }
  nn_store (a->dst, a->dst_type, i, (float) sum);
}

static inline NN_HOST_DEVICE void
nn_k_conv_filter_at (const NnConvArgs *a, uint32_t i)
{
  const uint32_t channel = i % a->channels, s = i / a->channels % a->kernel[1];
  const uint32_t r = i / a->channels / a->kernel[1] % a->kernel[0];
  const uint32_t filter = i / a->channels / a->kernel[1] / a->kernel[0];
  double sum = 0;

  for (uint32_t n = 0; n < a->samples; n++) {
    for (uint32_t row = 0; row < a->out_rows; row++) {
      const uint32_t y = row * a->strides[0] + r * a->dilation[0] - a->pad[0];
      float line = 0;

      for (uint32_t col = 0; col < a->out_cols && y < a->in_rows; col++) {
        const uint32_t at = col * a->strides[1] + s * a->dilation[1] - a->pad[1];

        if (at < a->in_cols)
          line += nn_load (a->x, a->type,
                      ((uint64_t) (n * a->in_rows + y) * a->in_cols + at) * a->channels + channel)
              * nn_load (a->dy, a->type,
                  ((uint64_t) (n * a->out_rows + row) * a->out_cols + col) * a->filters + filter);
      }
      sum += line;
    }
  }
  nn_store (a->dst, a->dst_type, i, (float) sum);
}

/* --- gradients through a max pooling ------------------ */

/* What comes back into element @e (of the whole batch) of x, @norm being between x and the
 * maxima. The maxima are found again by the arithmetic that found them: first of equals. */
static inline NN_HOST_DEVICE float
nn_incoming (
    const NnIncoming *in, const void *x, NnType type, const NnNorm *norm, uint32_t e)
{
  const NnWindow *w = &in->window;
  uint32_t channel, col, row, base;
  float sum = 0;

  if (!in->pooled)
    return nn_load (in->dy, in->type, e);
  channel = e % in->channels;
  col = e / in->channels % w->in_cols;
  row = e / in->channels / w->in_cols % w->in_rows;
  base = e / in->channels / w->in_cols / w->in_rows; /* the sample */
  for (uint32_t r = 0; r < w->size[0]; r++) {
    const uint32_t oy = row + w->pad[0] - r;

    if (oy > row + w->pad[0] || oy % w->strides[0] != 0 || oy / w->strides[0] >= w->out_rows)
      continue;
    for (uint32_t c = 0; c < w->size[1]; c++) {
      const uint32_t ox = col + w->pad[1] - c;
      uint32_t first = 0;
      float best = 0;
      int found = 0;

      if (ox > col + w->pad[1] || ox % w->strides[1] != 0 || ox / w->strides[1] >= w->out_cols)
        continue;
      for (uint32_t k = 0; k < w->size[0]; k++) {
        const uint32_t y = oy + k - w->pad[0];

        for (uint32_t l = 0; l < w->size[1]; l++) {
          const uint32_t at = ox + l - w->pad[1];
          uint32_t inside;
          float value;

          if (y >= w->in_rows || at >= w->in_cols)
            continue;
          inside = (y * w->in_cols + at) * in->channels + channel;
          value = nn_normalize (norm, inside,
              nn_load (x, type, base * w->in_rows * w->in_cols * in->channels + inside));
          if (!found || value > best) {
            best = value;
            first = inside;
          }
          found = 1;
        }
      }
      if (first == (row * w->in_cols + col) * in->channels + channel)
        sum += nn_load (in->pooled, in->type,
            ((base * w->out_rows + oy / w->strides[0]) * w->out_cols + ox / w->strides[1])
                    * in->channels
                + channel);
    }
  }
  return sum;
}

static inline NN_HOST_DEVICE void
nn_k_unpool_at (const NnUnpoolArgs *a, uint32_t i)
{
  const NnNorm none = { NULL, NULL, 1, 1 };

  nn_store (a->dx, a->type, i, nn_incoming (&a->incoming, a->x, a->type, &none, i));
}

/* --- BatchNormalization ------------------ */

static inline NN_HOST_DEVICE uint32_t
nn_sums_width (const NnSumsArgs *a)
{
  return a->inner == 1 ? 32 : 1;
}

static inline NN_HOST_DEVICE void
nn_sums_add (const NnSumsArgs *a, uint32_t i, uint32_t e, double *first, double *second)
{
  const float x = nn_load (a->x, a->type, e);

  if (a->kind == NN_SUMS_GRADIENT) {
    const float dy = nn_incoming (&a->incoming, a->x, a->type, &a->norm, e);

    *first += dy;
    *second += (double) dy * (x - a->mean[i]) * a->inv_std[i];
  } else {
    *first += x;
    *second += (double) x * x;
  }
}

static inline NN_HOST_DEVICE void
nn_k_sums_part (const NnSumsArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const uint32_t part = block % a->parts, samples = a->step->samples;
  double first = 0, second = 0;

  if (a->inner == 1) {
    /* thread: one of 32 indices, and a row of those that this part has */
    const uint32_t i = block / a->parts * 32 + thread % 32, rows = samples * a->outer;

    for (uint32_t r = part * (NN_BLOCK / 32) + thread / 32; r < rows && i < a->n;
         r += a->parts * (NN_BLOCK / 32))
      nn_sums_add (a, i, r * a->n + i, &first, &second);
  } else {
    const uint32_t i = block / a->parts, runs = samples * a->outer;

    for (uint32_t k = part * NN_BLOCK + thread; k < runs * a->inner; k += a->parts * NN_BLOCK)
      nn_sums_add (
          a, i, (k / a->inner * a->n + i) * a->inner + k % a->inner, &first, &second);
  }
  s->a[thread] = first;
  s->b[thread] = second;
}

static inline NN_HOST_DEVICE void
nn_k_sums_last (const NnSumsArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  const uint32_t width = nn_sums_width (a), i = block / a->parts * width + thread;

  if (thread >= width || i >= a->n)
    return;
  a->sums[i * a->parts + block % a->parts] = s->a[thread];
  a->sums[(a->n + i) * a->parts + block % a->parts] = s->b[thread];
}

static inline NN_HOST_DEVICE double
nn_total (const double *sums, uint32_t parts)
{
  double total = 0;

  for (uint32_t p = 0; p < parts; p++)
    total += sums[p];
  return total;
}

static inline NN_HOST_DEVICE void
nn_move (float *moving, float momentum, float value)
{
  const float moved = *moving * momentum;

  *moving = moved + value * (1 - momentum);
}

static inline NN_HOST_DEVICE void
nn_k_bn_forward_at (const NnBnForwardArgs *a, uint32_t i)
{
  const double total = (double) a->step->samples * a->per_sample;
  double mean = a->moving_mean[i], var = a->moving_variance[i], scale;

  if (!a->frozen) {
    double unbiased;

    mean = nn_total (a->sums + i * a->parts, a->parts) / total;
    var = nn_total (a->sums + (a->count + i) * a->parts, a->parts) / total - mean * mean;
    var = var > 0 ? var : 0;
    unbiased = a->bessel && total > 1 + a->epsilon ? var * total / (total - (1 + a->epsilon)) : var;
    if (a->variance) {
      a->variance[i] = (float) unbiased;
    } else {
      nn_move (&a->moving_mean[i], a->momentum, (float) mean);
      nn_move (&a->moving_variance[i], a->momentum, (float) unbiased);
    }
  }
  scale = (a->gamma ? a->gamma[i] : 1) / sqrt (var + a->epsilon);
  a->mean[i] = (float) mean;
  a->inv_std[i] = (float) (1 / sqrt (var + a->epsilon));
  a->scale[i] = (float) scale;
  a->shift[i] = (float) ((a->beta ? a->beta[i] : 0) - mean * scale);
}

static inline NN_HOST_DEVICE void
nn_k_bn_backward_at (const NnBnBackwardArgs *a, uint32_t i)
{
  const double total = (double) a->step->samples * a->per_sample;
  const double sum = nn_total (a->sums + i * a->parts, a->parts);
  const double sum_xhat = nn_total (a->sums + (a->count + i) * a->parts, a->parts);

  if (a->dgamma)
    a->dgamma[i] = (float) sum_xhat;
  if (a->dbeta)
    a->dbeta[i] = (float) sum;
  a->k1[i] = (a->gamma ? a->gamma[i] : 1) * a->inv_std[i];
  a->k2[i] = a->frozen ? 0 : (float) (sum / total);
  a->k3[i] = a->frozen ? 0 : (float) (a->inv_std[i] * sum_xhat / total);
}

static inline NN_HOST_DEVICE void
nn_k_bn_dx_at (const NnBnDxArgs *a, uint32_t e)
{
  const uint32_t i = e % a->sample_size / a->norm.inner % a->norm.n;
  const float x = nn_load (a->x, a->type, e);
  float d = 0;

  if (e / a->sample_size < a->step->samples)
    d = a->k1[i]
        * (nn_incoming (&a->incoming, a->x, a->type, &a->norm, e) - a->k2[i]
            - (x - a->mean[i]) * a->k3[i])
        * nn_slope (a->before, x);
  nn_store (a->dx, a->type, e, d);
}

/* --- the rest ------------------ */

static inline NN_HOST_DEVICE void
nn_k_softmax_backward_part (
    const NnSoftmaxBackwardArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const uint64_t first = (uint64_t) block * a->n;
  double dot = 0;

  for (uint32_t i = thread; i < a->n; i += NN_BLOCK)
    dot += (double) a->y[first + i] * a->dy[first + i];
  s->a[thread] = dot;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_softmax_backward_last (
    const NnSoftmaxBackwardArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  const uint64_t first = (uint64_t) block * a->n;

  for (uint32_t i = thread; i < a->n; i += NN_BLOCK)
    nn_store (a->dst, a->dst_type, first + i,
        a->y[first + i] * (a->dy[first + i] - (float) s->result[0]));
}

static inline NN_HOST_DEVICE void
nn_mean_backward_lanes (const NnMeanBackwardArgs *a, uint32_t i, const int lanes)
{
  uint32_t group = i, sample;
  float x[NN_MAX_LANES];

  sample = nn_divide (&a->pixels, nn_divide_off (&a->groups, &group));
  nn_load_lanes (
      a->src, a->src_type, (sample * a->groups.by + group) * (uint32_t) lanes, lanes, x);
  NN_EACH_LANE (k, lanes)
    x[k] /= (float) a->pixels.by;
  nn_store_lanes (a->dst, a->dst_type, i * (uint32_t) lanes, lanes, x);
}

static inline NN_HOST_DEVICE void
nn_k_mean_backward_at (const NnMeanBackwardArgs *a, uint32_t i)
{
  if (a->lanes == 8)
    nn_mean_backward_lanes (a, i, 8);
  else if (a->lanes == 4)
    nn_mean_backward_lanes (a, i, 4);
  else
    nn_mean_backward_lanes (a, i, 1);
}

static inline NN_HOST_DEVICE void
nn_slope_values (const NnSlopeArgs *a, uint32_t i, const int lanes)
{
  float y[NN_MAX_LANES], dy[NN_MAX_LANES];

  nn_load_lanes (a->y, a->type, i, lanes, y);
  nn_load_lanes (a->dy, a->type, i, lanes, dy);
  nn_slope_lanes (a->function, lanes, y, dy);
  nn_store_lanes (a->dst, a->dst_type, i, lanes, dy);
}

static inline NN_HOST_DEVICE void
nn_k_slope_at (const NnSlopeArgs *a, uint32_t i)
{
  const uint32_t first = i * a->lanes, rest = a->values - first;

  if (rest < a->lanes)
    for (uint32_t k = 0; k < rest; k++)
      nn_slope_values (a, first + k, 1);
  else if (a->lanes == 8)
    nn_slope_values (a, first, 8);
  else
    nn_slope_values (a, first, 4);
}

static inline NN_HOST_DEVICE void
nn_lay_lanes (const NnLayArgs *a, uint32_t i, const int lanes)
{
  uint32_t channel = i, col, row, sample, y, x;
  float value[NN_MAX_LANES] = { 0 };

  col = nn_divide_off (&a->groups, &channel);
  row = nn_divide_off (&a->cols, &col);
  sample = nn_divide_off (&a->rows, &row);
  channel *= (uint32_t) lanes;
  y = row - (uint32_t) a->offset[0];
  x = col - (uint32_t) a->offset[1];
  if (y < a->src_rows && x < a->src_cols && channel < a->channels) {
    const uint64_t from
        = ((uint64_t) (sample * a->src_rows + y) * a->src_cols + x) * a->src_stride + channel;

    if (a->src_lanes != 1 && channel + (uint32_t) lanes <= a->channels)
      nn_load_lanes (a->src, a->src_type, from, lanes, value);
    else
      NN_EACH_LANE (k, lanes)
        if (channel + (uint32_t) k < a->channels)
          value[k] = nn_load (a->src, a->src_type, from + (uint32_t) k);
  }
  nn_store_lanes (a->dst, a->dst_type, (uint64_t) i * (uint32_t) lanes, lanes, value);
}

static inline NN_HOST_DEVICE void
nn_k_lay_at (const NnLayArgs *a, uint32_t i)
{
  if (a->lanes == 8)
    nn_lay_lanes (a, i, 8);
  else if (a->lanes == 4)
    nn_lay_lanes (a, i, 4);
  else
    nn_lay_lanes (a, i, 1);
}

static inline NN_HOST_DEVICE void
nn_k_total_at (const NnTotalArgs *a, uint32_t i)
{
  a->dst[i] = (float) nn_total (a->sums + i * a->parts, a->parts);
}

/* Words of (seed, NN_STREAM_DROPOUT, iterations << 8 | layer), one a value: nn/backend.h. */
static inline NN_HOST_DEVICE void
nn_k_dropout_at (const NnDropoutArgs *a, uint32_t i)
{
  const uint32_t first = 4 * i;
  float x[4];
  NnRng rng;

  nn_rng_init (
      &rng, a->step->seed, NN_STREAM_DROPOUT, (uint64_t) a->step->iterations << 16 | a->layer);
  rng.counter[0] = i;
  nn_philox (rng.counter, rng.key, rng.block);
  nn_load_four (a->src, a->type, first, a->values, x);
  NN_EACH_LANE (k, 4)
    x[k] = rng.block[k] >= a->least ? x[k] * a->scale : 0;
  if (first + 4 <= a->values)
    nn_store_lanes (a->dst, a->type, first, 4, x);
  else
    NN_EACH_LANE (k, 4)
      if (first + (uint32_t) k < a->values)
        nn_store (a->dst, a->type, first + (uint32_t) k, x[k]);
}

static inline NN_HOST_DEVICE void
nn_k_loss_at (const NnLossArgs *a, uint32_t sample)
{
  const float *y = a->y + (uint64_t) sample * a->outputs;
  const float *target = a->targets + (uint64_t) sample * a->outputs;
  float *gradient = a->gradient + (uint64_t) sample * a->outputs;
  const double scale = a->weights[sample]
      / ((double) a->step->samples * (a->binary ? a->outputs : 1))
      * (a->scale ? a->scale->scale : 1);
  double sum = 0;
  uint32_t best = 0, wanted = 0, right = 1;

  for (uint32_t i = 0; i < a->outputs; i++) {
    const double p = y[i] < 1e-7 ? 1e-7 : y[i] > 1 - 1e-7 ? 1 - 1e-7 : (double) y[i];

    if (sample >= a->step->samples) {
      gradient[i] = 0;
      continue;
    }
    if (a->binary) {
      sum -= (target[i] * log (p) + (1 - target[i]) * log1p (-p)) / a->outputs;
      right &= (y[i] > 0.5f) == (target[i] > 0.5f);
    } else {
      if (target[i] != 0)
        sum -= target[i] * log (p);
      best = y[i] > y[best] ? i : best;
      wanted = target[i] > target[wanted] ? i : wanted;
    }
    gradient[i] = (float) (((double) y[i] - target[i]) * scale);
  }
  a->loss[sample] = sum;
  a->right[sample] = a->binary ? right : best == wanted;
}

static inline NN_HOST_DEVICE float
nn_regularized (float g, float w, float l1, float l2)
{
  return g + 2 * l2 * w + (w > 0 ? l1 : w < 0 ? -l1 : 0);
}

/* Of an address that lies in memory the compiler does not know by itself that it is no shared or
 * local one, for which the instructions would be others. */
static inline NN_HOST_DEVICE void *
nn_global (void *p)
{
#ifdef __CUDA_ARCH__
  __builtin_assume (__isGlobal (p));
#endif
  return p;
}

/* Chunks begin at multiples of 16 bytes: by four values, and one by one at the end. */
static inline NN_HOST_DEVICE void
nn_optimize_lanes (
    const NnChunk *c, const NnStepParams *s, float unscaled, uint32_t i, const int lanes)
{
  void *const to_w = nn_global (c->w), *const to_m = nn_global (c->m);
  void *const to_v = c->v, *const copy = c->copy;
  const NnType copy_type = c->copy_type;
  float w[4], g[4], m[4], v[4];

  nn_load_lanes (to_w, NN_TYPE_F32, i, lanes, w);
  nn_load_lanes (nn_global (c->g), NN_TYPE_F32, i, lanes, g);
  nn_load_lanes (to_m, NN_TYPE_F32, i, lanes, m);
  if (!s->is_sgd)
    nn_load_lanes (nn_global (to_v), NN_TYPE_F32, i, lanes, v);
  NN_EACH_LANE (k, lanes)
  {
    g[k] = nn_regularized (g[k] * unscaled, w[k], c->l1, c->l2);
    if (c->decays)
      w[k] *= s->keep;
    if (s->is_sgd) {
      const float move = s->rate * g[k];

      m[k] = s->momentum * m[k] - move;
      w[k] += s->nesterov ? s->momentum * m[k] - move : m[k];
    } else {
      m[k] = s->beta_1 * m[k] + (1 - s->beta_1) * g[k];
      v[k] = s->beta_2 * v[k] + (1 - s->beta_2) * g[k] * g[k];
      w[k] -= s->rate * m[k] / (sqrtf (v[k]) + s->epsilon);
    }
  }
  nn_store_lanes (to_m, NN_TYPE_F32, i, lanes, m);
  if (!s->is_sgd)
    nn_store_lanes (nn_global (to_v), NN_TYPE_F32, i, lanes, v);
  nn_store_lanes (to_w, NN_TYPE_F32, i, lanes, w);
  if (copy)
    nn_store_lanes (nn_global (copy), copy_type, i, lanes, w);
}

static inline NN_HOST_DEVICE void
nn_k_optimizer_at (const NnOptimizerArgs *a, uint32_t i)
{
  const NnChunk *c = &a->chunks[i / NN_CHUNK_LANES];
  const NnStepParams s = *a->step; /* copied: none of the stores is into it */
  const float unscaled = a->scale ? 1 / a->scale->scale : 1;
  uint32_t k = 4 * (i % NN_CHUNK_LANES);

  if (a->scale && a->scale->overflow)
    return;
  if (k + 4 <= c->n)
    nn_optimize_lanes (c, &s, unscaled, k, 4);
  else
    for (; k < c->n; k++)
      nn_optimize_lanes (c, &s, unscaled, k, 1);
}

static inline NN_HOST_DEVICE void
nn_average_lanes (
    const NnAverageChunk *c, int32_t swap, float rate, uint32_t i, const int lanes)
{
  float w[4], average[4];

  nn_load_lanes (c->w, NN_TYPE_F32, i, lanes, w);
  nn_load_lanes (c->average, NN_TYPE_F32, i, lanes, average);
  if (swap) {
    nn_store_lanes (c->w, NN_TYPE_F32, i, lanes, average);
    nn_store_lanes (c->average, NN_TYPE_F32, i, lanes, w);
    return;
  }
  NN_EACH_LANE (k, lanes)
    average[k] += rate * (w[k] - average[k]);
  nn_store_lanes (c->average, NN_TYPE_F32, i, lanes, average);
}

static inline NN_HOST_DEVICE void
nn_k_average_at (const NnAverageArgs *a, uint32_t i)
{
  const NnAverageChunk c = a->chunks[i / NN_CHUNK_LANES];
  const float rate = a->step->average_rate;
  uint32_t k = 4 * (i % NN_CHUNK_LANES);

  if (!a->swap && a->scale && a->scale->overflow)
    return;
  if (k + 4 <= c.n)
    nn_average_lanes (&c, a->swap, rate, k, 4);
  else
    for (; k < c.n; k++)
      nn_average_lanes (&c, a->swap, rate, k, 1);
}

static inline NN_HOST_DEVICE void
nn_k_check_at (const NnCheckArgs *a, uint32_t i)
{
  const NnChunk *c = &a->chunks[i / NN_CHUNK_LANES];
  const uint32_t k = 4 * (i % NN_CHUNK_LANES);
  float g[4];

  nn_load_four (c->g, NN_TYPE_F32, k, c->n, g);
  if (!isfinite (g[0]) || !isfinite (g[1]) || !isfinite (g[2]) || !isfinite (g[3]))
    a->scale->overflow = 1; /* whoever comes first: all write the same */
}

static inline NN_HOST_DEVICE void
nn_k_bn_move_at (const NnBnMoveArgs *a, uint32_t i)
{
  if (a->scale->overflow)
    return;
  nn_move (&a->moving_mean[i], a->momentum, a->mean[i]);
  nn_move (&a->moving_variance[i], a->momentum, a->variance[i]);
}

static inline NN_HOST_DEVICE void
nn_k_scale_at (const NnScaleArgs *a, uint32_t i)
{
  NnLossScale *s = a->scale;

  s->skipped = s->overflow;
  if (s->overflow) {
    s->scale = s->scale / 2 > NN_LOSS_SCALE_MIN ? s->scale / 2 : NN_LOSS_SCALE_MIN;
    s->good = 0;
  } else if (++s->good >= s->interval) {
    s->scale = s->scale * 2 < NN_LOSS_SCALE_MAX ? s->scale * 2 : NN_LOSS_SCALE_MAX;
    s->good = 0;
  }
  s->overflow = 0;
}

static inline NN_HOST_DEVICE void
nn_k_penalty_part (
    const NnPenaltyArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const NnChunk *c = &a->chunks[block];
  const uint32_t n = c->l1 != 0 || c->l2 != 0 ? c->n : 0;
  float sum = 0, squares = 0; /* of 16 values at most */

  for (uint32_t k = 4 * thread; k < n; k += 4 * NN_BLOCK) {
    float w[4];

    nn_load_four (c->w, NN_TYPE_F32, k, n, w);
    NN_EACH_LANE (j, 4)
    {
      sum += fabsf (w[j]);
      squares += w[j] * w[j];
    }
  }
  s->a[thread] = (double) c->l1 * sum + (double) c->l2 * squares;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_penalty_last (const NnPenaltyArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  if (thread == 0)
    a->sums[block] = s->result[0];
}

/* --- augmentation ------------------ */

static inline NN_HOST_DEVICE void
nn_k_augment_at (const NnAugmentArgs *a, uint32_t i)
{
  const NnAugmentForm *f = &a->form;
  const uint32_t pixels = f->rows * f->columns, row = i % pixels / f->columns;
  const uint32_t column = i % f->columns;
  const NnAugmentEntry *e = &a->entries[i / pixels];
  const uint64_t size = (uint64_t) f->source_rows * f->source_columns * f->channels;
  float pixel[3] = { 0 };

  nn_augment_source_pixel (f, e, a->pictures + e->picture * size, row, column, pixel);
  if (!a->needs_wholes) {
    nn_augment_light (f, e, 0, 0, pixel);
    nn_augment_finish (f, e, 0, row, column, pixel);
  }
  NN_EACH_CHANNEL (f, ch)
    a->dst[(uint64_t) i * f->channels + ch] = pixel[ch];
}

/* the highest value, the lowest's negative, the sum of the luma */
static inline NN_HOST_DEVICE void
nn_k_augment_wholes_part (
    const NnAugmentArgs *a, uint32_t block, uint32_t thread, uint32_t round, NnShared *s)
{
  const NnAugmentForm *f = &a->form;
  const NnAugmentEntry *e = &a->entries[block];
  const uint32_t pixels = f->rows * f->columns;
  const float *src = a->dst + (uint64_t) block * pixels * f->channels;
  const uint32_t wanted = round < 2 ? NN_CHANGE_SHIFT : NN_CHANGE_CONTRAST;
  double part = round < 2 ? -1e30 : 0;

  for (uint32_t i = thread; i < pixels && e->changes & wanted; i += NN_BLOCK) {
    float pixel[3] = { 0 };

    NN_EACH_CHANNEL (f, ch) {
      const double value = round == 0 ? src[i * f->channels + ch] : -src[i * f->channels + ch];

      pixel[ch] = src[i * f->channels + ch];
      if (round < 2)
        part = value > part ? value : part;
    }
    if (round == 2) {
      nn_augment_light (f, e, (float) -s->result[1], (float) s->result[0], pixel);
      part += nn_augment_luma (f, pixel);
    }
  }
  s->a[thread] = part;
  s->b[thread] = 0;
}

static inline NN_HOST_DEVICE void
nn_k_augment_wholes_last (
    const NnAugmentArgs *a, uint32_t block, uint32_t thread, const NnShared *s)
{
  const NnAugmentForm *f = &a->form;
  const NnAugmentEntry *e = &a->entries[block];
  const uint32_t pixels = f->rows * f->columns;
  float *dst = a->dst + (uint64_t) block * pixels * f->channels;

  for (uint32_t i = thread; i < pixels; i += NN_BLOCK) {
    float *pixel = dst + i * f->channels;

    nn_augment_light (f, e, (float) -s->result[1], (float) s->result[0], pixel);
    nn_augment_finish (
        f, e, (float) (s->result[2] / pixels), i / f->columns, i % f->columns, pixel);
  }
}

static inline NN_HOST_DEVICE void
nn_k_mix_at (const NnMixArgs *a, uint32_t i)
{
  const NnAugmentForm *f = &a->form;
  const uint32_t pixels = f->rows * f->columns, pair = i / pixels, pixel = i % pixels;
  const uint32_t row = pixel / f->columns, column = pixel % f->columns;
  const NnMixEntry *m = &a->mixes[pair];
  float *x = a->dst + ((uint64_t) pair * pixels + pixel) * f->channels;
  float *y = a->dst + ((uint64_t) (a->samples - 1 - pair) * pixels + pixel) * f->channels;

  if (!m->is_mixed
      || (m->is_cut
          && (row < m->top || row >= m->bottom || column < m->left || column >= m->right)))
    return;
  NN_EACH_CHANNEL (f, ch)
    nn_augment_blend (m->is_cut ? 0 : m->lambda, x + ch, y + ch);
}
