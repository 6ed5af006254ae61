/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* BatchNormalization's and max pooling's backward pass and sums as kernel-bodies-train.h has
 * them, by NN_LANES() channels a thread, for shapes that allow it (kernel-shapes.h). Where
 * windows of 2x2 lie side by side a thread takes a whole one, a cell: it loads its four pixels
 * once and finds its maximum once. */

#include "cuda/kernel-bodies-train.h"

/* --- cells ------------------ */

typedef struct
{
  uint32_t sample, row, col; /* of the cell */
  uint32_t channel;
  uint32_t at[4]; /* its pixels in x, row by row; those beyond the end are not in `has` */
  uint32_t has;   /* bits */
  uint32_t pooled; /* where its gradient is, if is_pooled */
  uint32_t is_pooled;
} NnCell;

static inline NN_HOST_DEVICE void
nn_cell_init (NnCell *c, const NnIncoming *in, uint32_t sample, uint32_t row, uint32_t col,
    uint32_t channel)
{
  const NnWindow *w = &in->window;
  const uint32_t has_col = 2 * col + 1 < w->in_cols, has_row = 2 * row + 1 < w->in_rows;
  const uint32_t line = w->in_cols * in->channels;

  c->sample = sample;
  c->row = row;
  c->col = col;
  c->channel = channel;
  c->at[0] = ((sample * w->in_rows + 2 * row) * w->in_cols + 2 * col) * in->channels + channel;
  c->at[1] = c->at[0] + in->channels;
  c->at[2] = c->at[0] + line;
  c->at[3] = c->at[1] + line;
  c->has = 1 | has_col << 1 | has_row << 2 | (has_col & has_row) << 3;
  c->is_pooled = row < w->out_rows && col < w->out_cols;
  c->pooled = ((sample * w->out_rows + row) * w->out_cols + col) * in->channels + channel;
}

/* number @i of those that kernel-shapes.h counts */
static inline NN_HOST_DEVICE void
nn_cell_of (NnCell *c, const NnCells *cells, const NnIncoming *in, uint32_t i, const int lanes)
{
  uint32_t group = i, col, row, sample;

  col = nn_divide_off (&cells->groups, &group);
  row = nn_divide_off (&cells->cols, &col);
  sample = nn_divide_off (&cells->rows, &row);
  nn_cell_init (c, in, sample, row, col, group * (uint32_t) lanes);
}

static inline NN_HOST_DEVICE void
nn_cell_load (
    const NnCell *c, const void *x, const NnType type, const int lanes, float (*to)[NN_MAX_LANES])
{
  NN_EACH_LANE (q, 4)
  {
    if (c->has >> q & 1)
      nn_load_lanes (x, type, c->at[q], lanes, to[q]);
    else
      NN_EACH_LANE (k, lanes)
        to[q][k] = 0;
  }
}

/* A table's values for a cell: of its channels, or of its four pixels. */
static inline NN_HOST_DEVICE void
nn_cell_table (const NnCell *c, const NnCells *cells, const float *table, uint32_t n,
    const int by_channel, const int lanes, float *t)
{
  if (by_channel) {
    nn_load_lanes (table, NN_TYPE_F32, c->channel, lanes, t);
  } else {
    const int by_row = cells->axis == NN_AXIS_ROWS;
    const uint32_t i = 2 * (by_row ? c->row : c->col);
    const float first = table[i], second = table[i + 1 < n ? i + 1 : i];

    t[0] = first;
    t[1] = by_row ? first : second;
    t[2] = by_row ? second : first;
    t[3] = second;
  }
}

/* Which pixel of a channel is the first maximum, by the arithmetic that found it. */
static inline NN_HOST_DEVICE uint32_t
nn_cell_first (const NnCell *c, float (*x)[NN_MAX_LANES], const int k, const int normed,
    const int by_channel, const float *scale, const float *shift)
{
  uint32_t first = 0;
  float best = 0;

  NN_EACH_LANE (q, 4)
  {
    const int t = by_channel ? k : q;
    const float value = normed ? x[q][k] * scale[t] + shift[t] : x[q][k];

    if (q == 0 || (c->has >> q & 1 && value > best)) {
      best = value;
      first = (uint32_t) q;
    }
  }
  return first;
}

static inline NN_HOST_DEVICE void
nn_unpool_cells (const NnUnpoolArgs *a, uint32_t i, const NnType type, const int lanes)
{
  float x[4][NN_MAX_LANES], dy[NN_MAX_LANES] = { 0 };
  uint32_t first[NN_MAX_LANES];
  NnCell cell;

  nn_cell_of (&cell, &a->cells, &a->incoming, i, lanes);
  nn_cell_load (&cell, a->x, type, lanes, x);
  if (cell.is_pooled)
    nn_load_lanes (a->incoming.pooled, type, cell.pooled, lanes, dy);
  NN_EACH_LANE (k, lanes)
    first[k] = nn_cell_first (&cell, x, k, 0, 0, NULL, NULL);
  NN_EACH_LANE (q, 4)
  {
    float d[NN_MAX_LANES];

    NN_EACH_LANE (k, lanes)
      d[k] = first[k] == (uint32_t) q ? dy[k] : 0;
    if (cell.has >> q & 1)
      nn_store_lanes (a->dx, type, cell.at[q], lanes, d);
  }
}

static inline NN_HOST_DEVICE void
nn_k_unpool_cells_at (const NnUnpoolArgs *a, uint32_t i)
{
  NN_BY_TYPE (nn_unpool_cells, a->type, a, i);
}

/* --- BatchNormalization's dx ------------------ */

static inline NN_HOST_DEVICE void
nn_bn_dx_cells (
    const NnBnDxArgs *a, uint32_t i, const int by_channel, const NnType type, const int lanes)
{
  float x[4][NN_MAX_LANES], dy[NN_MAX_LANES] = { 0 };
  float s[NN_MAX_LANES], t[NN_MAX_LANES];
  float mean[NN_MAX_LANES], k1[NN_MAX_LANES], k2[NN_MAX_LANES], k3[NN_MAX_LANES];
  uint32_t first[NN_MAX_LANES];
  NnCell cell;

  nn_cell_of (&cell, &a->cells, &a->incoming, i, lanes);
  if (cell.sample >= a->step->samples) {
    NN_EACH_LANE (q, 4)
      if (cell.has >> q & 1)
        nn_store_lanes (a->dx, type, cell.at[q], lanes, dy);
    return;
  }
  nn_cell_load (&cell, a->x, type, lanes, x);
  if (cell.is_pooled)
    nn_load_lanes (a->incoming.pooled, type, cell.pooled, lanes, dy);
  nn_cell_table (&cell, &a->cells, a->norm.scale, a->norm.n, by_channel, lanes, s);
  nn_cell_table (&cell, &a->cells, a->norm.shift, a->norm.n, by_channel, lanes, t);
  NN_EACH_LANE (k, lanes)
    first[k] = nn_cell_first (&cell, x, k, 1, by_channel, s, t);
  nn_cell_table (&cell, &a->cells, a->mean, a->norm.n, by_channel, lanes, mean);
  nn_cell_table (&cell, &a->cells, a->k1, a->norm.n, by_channel, lanes, k1);
  nn_cell_table (&cell, &a->cells, a->k2, a->norm.n, by_channel, lanes, k2);
  nn_cell_table (&cell, &a->cells, a->k3, a->norm.n, by_channel, lanes, k3);
  NN_EACH_LANE (q, 4)
  {
    float d[NN_MAX_LANES];

    NN_EACH_LANE (k, lanes)
    {
      const int j = by_channel ? k : q;

      d[k] = first[k] == (uint32_t) q ? dy[k] : 0;
      d[k] = k1[j] * (d[k] - k2[j] - (x[q][k] - mean[j]) * k3[j]);
    }
    nn_slope_lanes (a->before, lanes, x[q], d);
    if (cell.has >> q & 1)
      nn_store_lanes (a->dx, type, cell.at[q], lanes, d);
  }
}

static inline NN_HOST_DEVICE void
nn_k_bn_dx_cells_at (const NnBnDxArgs *a, uint32_t i)
{
  if (a->cells.axis == NN_AXIS_CHANNELS)
    NN_BY_TYPE (nn_bn_dx_cells, a->type, a, i, 1);
  else
    NN_BY_TYPE (nn_bn_dx_cells, a->type, a, i, 0);
}

static inline NN_HOST_DEVICE void
nn_bn_dx_lanes (
    const NnBnDxArgs *a, uint32_t v, const int by_channel, const NnType type, const int lanes)
{
  const uint32_t e = v * (uint32_t) lanes;
  const int n = by_channel ? lanes : 1;
  float x[NN_MAX_LANES], d[NN_MAX_LANES] = { 0 };
  float mean[NN_MAX_LANES], k1[NN_MAX_LANES], k2[NN_MAX_LANES], k3[NN_MAX_LANES];
  uint32_t i = by_channel ? e : nn_divide (&a->inner, e);

  nn_divide_off (&a->n, &i);
  if (e < a->step->samples * a->sample_size) {
    nn_load_lanes (a->x, type, e, lanes, x);
    nn_load_lanes (a->incoming.dy, type, e, lanes, d);
    nn_load_lanes (a->mean, NN_TYPE_F32, i, n, mean);
    nn_load_lanes (a->k1, NN_TYPE_F32, i, n, k1);
    nn_load_lanes (a->k2, NN_TYPE_F32, i, n, k2);
    nn_load_lanes (a->k3, NN_TYPE_F32, i, n, k3);
    NN_EACH_LANE (k, lanes)
    {
      const int j = by_channel ? k : 0;

      d[k] = k1[j] * (d[k] - k2[j] - (x[k] - mean[j]) * k3[j]);
    }
    nn_slope_lanes (a->before, lanes, x, d);
  }
  nn_store_lanes (a->dx, type, e, lanes, d);
}

static inline NN_HOST_DEVICE void
nn_k_bn_dx_lanes_at (const NnBnDxArgs *a, uint32_t i)
{
  if (a->norm.inner == 1)
    NN_BY_TYPE (nn_bn_dx_lanes, a->type, a, i, 1);
  else
    NN_BY_TYPE (nn_bn_dx_lanes, a->type, a, i, 0);
}

/* --- sums ------------------ */

/* What a thread adds up: of its channels, of the cell's two rows or columns, or of one index. */
typedef struct
{
  double first[NN_MAX_LANES], second[NN_MAX_LANES];
} NnLaneSums;

/* Those of a block's threads are added up pairwise down to `width` of them, in two rounds. */
typedef struct
{
  double a[NN_MAX_LANES][NN_BLOCK];
} NnLaneShared;

static inline NN_HOST_DEVICE void
nn_lanes_put (
    NnLaneShared *s, uint32_t thread, uint32_t round, uint32_t kept, const NnLaneSums *sums)
{
  NN_EACH_LANE (k, NN_MAX_LANES)
    if ((uint32_t) k < kept)
      s->a[k][thread] = round == 0 ? sums->first[k] : sums->second[k];
}

static inline NN_HOST_DEVICE void
nn_lanes_combine (NnLaneShared *s, uint32_t thread, uint32_t step, uint32_t kept)
{
  if (thread >= step)
    return;
  NN_EACH_LANE (k, NN_MAX_LANES)
    if ((uint32_t) k < kept)
      s->a[k][thread] += s->a[k][thread + step];
}

static inline NN_HOST_DEVICE float
nn_lanes_total (const int lanes, const float *x)
{
  const float four = (x[0] + x[1]) + (x[2] + x[3]);

  return lanes == 4 ? four : four + ((x[4] + x[5]) + (x[6] + x[7]));
}

/* Doubles are slow where a GPU is not made for them. So a few vectors are added up in float
 * first, and moments are taken around the index's first value, not 0: what float loses is then
 * 2^-24 of the variance and not of the mean's square, and nothing where all values are equal. */
static inline NN_HOST_DEVICE void
nn_sums_lanes (const NnSumsArgs *a, uint32_t block, uint32_t thread, const NnSumsKind kind,
    const int by_channel, NnLaneSums *s, const NnType type, const int lanes)
{
  enum { MOST = 4 };
  const int run = kind == NN_SUMS_GRADIENT ? MOST / 2 : MOST, n = by_channel ? lanes : 1;
  const uint32_t unit = block / a->parts, part = block % a->parts;
  uint32_t lane = thread, count = 0, i, end;
  const uint32_t row = nn_divide_off (&a->width, &lane), rows = NN_BLOCK / a->width.by;
  const uint32_t step = a->parts * rows;
  float from[NN_MAX_LANES] = { 0 };

  NN_EACH_LANE (k, NN_MAX_LANES)
    s->first[k] = s->second[k] = 0;
  i = by_channel ? (unit * a->width.by + lane) * (uint32_t) lanes : unit;
  if (i >= a->n)
    return;
  if (kind == NN_SUMS_MOMENTS)
    nn_load_lanes (a->x, type, by_channel ? i : i * a->inner, n, from);
  if (kind == NN_SUMS_GRADIENT)
    nn_load_lanes (a->mean, NN_TYPE_F32, i, n, from);
  end = a->step->samples * a->outer * (by_channel ? 1 : a->vectors.by);
  for (uint32_t v = part * rows + row; v < end; v += (uint32_t) run * step) {
    float x[MOST][NN_MAX_LANES], dy[MOST][NN_MAX_LANES];
    float first[NN_MAX_LANES] = { 0 }, second[NN_MAX_LANES] = { 0 };

    NN_EACH_LANE (u, run)
    {
      uint32_t at = v + (uint32_t) u * step;

      if (at < end) {
        if (by_channel) {
          at = at * a->n + i;
        } else {
          const uint32_t line = nn_divide_off (&a->vectors, &at);

          at = (line * a->n + i) * a->inner + at * (uint32_t) lanes;
        }
        nn_load_lanes (a->x, type, at, lanes, x[u]);
        if (kind == NN_SUMS_GRADIENT)
          nn_load_lanes (a->incoming.dy, type, at, lanes, dy[u]);
        count++;
      } else {
        NN_EACH_LANE (k, lanes)
        {
          x[u][k] = from[by_channel ? k : 0];
          dy[u][k] = 0;
        }
      }
    }
    NN_EACH_LANE (u, run)
    {
      NN_EACH_LANE (k, lanes)
      {
        const float d = x[u][k] - from[by_channel ? k : 0];

        first[k] += kind == NN_SUMS_GRADIENT ? dy[u][k] : d;
        second[k] += kind == NN_SUMS_GRADIENT ? dy[u][k] * d : d * d;
      }
    }
    if (by_channel) {
      NN_EACH_LANE (k, lanes)
      {
        s->first[k] += first[k];
        if (kind != NN_SUMS_PLAIN)
          s->second[k] += second[k];
      }
    } else {
      s->first[0] += nn_lanes_total (lanes, first);
      if (kind != NN_SUMS_PLAIN)
        s->second[0] += nn_lanes_total (lanes, second);
    }
  }
  NN_EACH_LANE (k, n)
  {
    const double values = (double) count * (by_channel ? 1 : lanes);

    if (kind == NN_SUMS_GRADIENT)
      s->second[k] *= a->inv_std[i + (uint32_t) k];
    if (kind == NN_SUMS_MOMENTS) {
      s->second[k] += (2 * s->first[k] + values * from[k]) * from[k];
      s->first[k] += values * from[k];
    }
  }
}

static inline NN_HOST_DEVICE void
nn_sums_lanes_of_kind (const NnSumsArgs *a, uint32_t block, uint32_t thread, const int by_channel,
    NnLaneSums *s)
{
  if (a->kind == NN_SUMS_MOMENTS)
    NN_BY_TYPE (nn_sums_lanes, a->type, a, block, thread, NN_SUMS_MOMENTS, by_channel, s);
  else if (a->kind == NN_SUMS_PLAIN)
    NN_BY_TYPE (nn_sums_lanes, a->type, a, block, thread, NN_SUMS_PLAIN, by_channel, s);
  else
    NN_BY_TYPE (nn_sums_lanes, a->type, a, block, thread, NN_SUMS_GRADIENT, by_channel, s);
}

static inline NN_HOST_DEVICE void
nn_k_sums_lanes_part (const NnSumsArgs *a, uint32_t block, uint32_t thread, NnLaneSums *s)
{
  if (a->inner == 1)
    nn_sums_lanes_of_kind (a, block, thread, 1, s);
  else
    nn_sums_lanes_of_kind (a, block, thread, 0, s);
}

/* The gradient's, of cells: only a maximum adds anything. */
static inline NN_HOST_DEVICE void
nn_sums_cells (const NnSumsArgs *a, uint32_t block, uint32_t thread, const int by_channel,
    NnLaneSums *s, const NnType type, const int lanes)
{
  enum { RUN = 4 };
  const int by_row = a->cells.axis == NN_AXIS_ROWS, n = by_channel ? lanes : 2;
  const uint32_t unit = block / a->parts, part = block % a->parts, samples = a->step->samples;
  uint32_t lane = thread, i, end;
  const uint32_t row = nn_divide_off (&a->width, &lane), rows = NN_BLOCK / a->width.by;
  const uint32_t step = a->parts * rows;
  const NnDivisor across = by_row || by_channel ? a->cells.cols : a->cells.rows;
  const NnDivisor inside = by_channel ? a->cells.rows : a->cells.groups;
  float scale[NN_MAX_LANES], shift[NN_MAX_LANES], mean[NN_MAX_LANES];
  NnCell cell;

  NN_EACH_LANE (k, NN_MAX_LANES)
    s->first[k] = s->second[k] = 0;
  i = by_channel ? (unit * a->width.by + lane) * (uint32_t) lanes : 2 * unit;
  if (i >= a->n)
    return;
  nn_cell_init (&cell, &a->incoming, 0, unit, unit, i);
  nn_cell_table (&cell, &a->cells, a->norm.scale, a->n, by_channel, lanes, scale);
  nn_cell_table (&cell, &a->cells, a->norm.shift, a->n, by_channel, lanes, shift);
  nn_cell_table (&cell, &a->cells, a->mean, a->n, by_channel, lanes, mean);
  end = samples * across.by * inside.by;
  if (!by_channel && unit >= (by_row ? a->cells.rows.by : a->cells.cols.by))
    end = 0; /* the last row or column, without a window */
  for (uint32_t v = part * rows + row; v < end;) {
    float first[NN_MAX_LANES] = { 0 }, second[NN_MAX_LANES] = { 0 };

    for (int u = 0; u < RUN && v < end; u++, v += step) {
      float x[4][NN_MAX_LANES], dy[NN_MAX_LANES];
      uint32_t low = v, middle, high;

      if (by_channel) {
        middle = nn_divide_off (&across, &low);
        high = nn_divide_off (&inside, &middle);
        nn_cell_init (&cell, &a->incoming, high, middle, low, i);
      } else {
        middle = nn_divide_off (&inside, &low);
        high = nn_divide_off (&across, &middle);
        nn_cell_init (&cell, &a->incoming, high, by_row ? unit : middle, by_row ? middle : unit,
            low * (uint32_t) lanes);
      }
      nn_cell_load (&cell, a->x, type, lanes, x);
      nn_load_lanes (a->incoming.pooled, type, cell.pooled, lanes, dy);
      NN_EACH_LANE (k, lanes)
      {
        const uint32_t q = nn_cell_first (&cell, x, k, 1, by_channel, scale, shift);
        const float value = q == 0 ? x[0][k] : q == 1 ? x[1][k] : q == 2 ? x[2][k] : x[3][k];

        if (by_channel) {
          first[k] += dy[k];
          second[k] += dy[k] * (value - mean[k]);
        } else {
          const int is_second = by_row ? q >= 2 : (int) (q & 1);
          const float product = dy[k] * (value - (is_second ? mean[3] : mean[0]));

          first[0] += is_second ? 0 : dy[k];
          first[1] += is_second ? dy[k] : 0;
          second[0] += is_second ? 0 : product;
          second[1] += is_second ? product : 0;
        }
      }
    }
    NN_EACH_LANE (k, n)
    {
      s->first[k] += first[k];
      s->second[k] += second[k];
    }
  }
  NN_EACH_LANE (k, n)
    s->second[k] *= i + (uint32_t) k < a->n ? a->inv_std[i + (uint32_t) k] : 0;
}

static inline NN_HOST_DEVICE void
nn_k_sums_cells_part (const NnSumsArgs *a, uint32_t block, uint32_t thread, NnLaneSums *s)
{
  if (a->cells.axis == NN_AXIS_CHANNELS)
    NN_BY_TYPE (nn_sums_cells, a->type, a, block, thread, 1, s);
  else
    NN_BY_TYPE (nn_sums_cells, a->type, a, block, thread, 0, s);
}

/* how many sums of each kind a thread has, and of how many kinds */
static inline NN_HOST_DEVICE uint32_t
nn_k_sums_lanes_kept (const NnSumsArgs *a)
{
  return a->inner == 1 ? NN_LANES (a->type) : 1;
}

static inline NN_HOST_DEVICE uint32_t
nn_k_sums_cells_kept (const NnSumsArgs *a)
{
  return a->inner == 1 ? NN_LANES (a->type) : 2;
}

static inline NN_HOST_DEVICE uint32_t
nn_lane_rounds (const NnSumsArgs *a)
{
  return a->kind == NN_SUMS_PLAIN ? 1 : 2;
}

static inline NN_HOST_DEVICE uint32_t
nn_lane_width (const NnSumsArgs *a)
{
  return a->width.by;
}

static inline NN_HOST_DEVICE void
nn_lanes_last (const NnSumsArgs *a, uint32_t block, uint32_t thread, uint32_t round,
    uint32_t kept, const NnLaneShared *s)
{
  const uint32_t i = (block / a->parts * a->width.by + thread) * kept;

  if (thread >= a->width.by)
    return;
  NN_EACH_LANE (k, NN_MAX_LANES)
    if ((uint32_t) k < kept && i + (uint32_t) k < a->n)
      a->sums[(round * a->n + i + (uint32_t) k) * a->parts + block % a->parts] = s->a[k][thread];
}
