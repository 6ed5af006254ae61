/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How kernels of training go through their tensors, found on the host from sizes and types:
 * fills in what of their arguments has to do with that. For train-ops.c and for tests. */

#include <math.h>
#include <stddef.h>

#include "cuda/kernel-args.h"

/* Which of a kernel's variants. */
typedef enum
{
  NN_WAY_ELEMENTS,
  NN_WAY_LANES,
  NN_WAY_CELLS,
} NnWay;

#define NN_SUMS_BLOCKS 1024 /* that a reduction is cut into, about */
#define NN_MAX_PARTS 64

/* Whether the windows behind x are cells: all of its values belong to one at most. @norm: NULL
 * or what is between. */
static inline int
nn_cells_fit (const NnIncoming *in, NnType type, const NnNorm *norm, NnCells *cells)
{
  const NnWindow *w = &in->window;
  const uint32_t lanes = NN_LANES (type);

  if (!in->pooled || in->type != type || in->channels % lanes != 0 || w->size[0] != 2
      || w->size[1] != 2 || w->strides[0] != 2 || w->strides[1] != 2 || w->pad[0] != 0
      || w->pad[1] != 0)
    return 0;
  if (!norm || (norm->inner == 1 && norm->n == in->channels))
    cells->axis = NN_AXIS_CHANNELS;
  else if (norm->inner == in->channels && norm->n == w->in_cols)
    cells->axis = NN_AXIS_COLUMNS;
  else if (norm->inner == in->channels * w->in_cols && norm->n == w->in_rows)
    cells->axis = NN_AXIS_ROWS;
  else
    return 0;
  cells->groups = nn_divisor (in->channels / lanes);
  cells->cols = nn_divisor ((w->in_cols + 1) / 2);
  cells->rows = nn_divisor ((w->in_rows + 1) / 2);
  return 1;
}

static inline uint32_t
nn_cells_count (const NnCells *cells, uint32_t samples)
{
  return samples * cells->rows.by * cells->cols.by * cells->groups.by;
}

/* a->count: values */
static inline NnWay
nn_unpool_shape (NnUnpoolArgs *a)
{
  const NnWindow *w = &a->incoming.window;
  const uint32_t size = w->in_rows * w->in_cols * a->incoming.channels;

  if (!nn_cells_fit (&a->incoming, a->type, NULL, &a->cells))
    return NN_WAY_ELEMENTS;
  a->count = nn_cells_count (&a->cells, a->count / size);
  return NN_WAY_CELLS;
}

/* a->count: values */
static inline NnWay
nn_bn_dx_shape (NnBnDxArgs *a)
{
  const uint32_t lanes = NN_LANES (a->type);

  if (nn_cells_fit (&a->incoming, a->type, &a->norm, &a->cells)) {
    a->count = nn_cells_count (&a->cells, a->count / a->sample_size);
    return NN_WAY_CELLS;
  }
  if (a->incoming.pooled || a->incoming.type != a->type
      || (a->norm.inner == 1 ? a->norm.n : a->norm.inner) % lanes != 0)
    return NN_WAY_ELEMENTS;
  a->inner = nn_divisor (a->norm.inner);
  a->n = nn_divisor (a->norm.n);
  a->count /= lanes;
  return NN_WAY_LANES;
}

/* All but step, what is read and what is written being set; a->parts: the most that may be, or
 * 0. @samples: of the batch. */
static inline NnWay
nn_sums_shape (NnSumsArgs *a, uint32_t samples)
{
  const uint32_t lanes = NN_LANES (a->type), by_channel = a->inner == 1;
  const int is_gradient = a->kind == NN_SUMS_GRADIENT;
  uint32_t units = by_channel ? (a->n + 31) / 32 : a->n, width = 1, parts;
  uint32_t threads = by_channel ? NN_BLOCK / 32 : NN_BLOCK, each = 16;
  uint64_t items = (uint64_t) samples * a->outer * a->inner; /* of a unit or an index */
  NnWay way = NN_WAY_ELEMENTS;

  if (is_gradient && nn_cells_fit (&a->incoming, a->type, &a->norm, &a->cells)) {
    const NnWindow *w = &a->incoming.window;

    /* those without a window add nothing */
    a->cells.cols = nn_divisor (w->out_cols);
    a->cells.rows = nn_divisor (w->out_rows);
    units = (a->n + 1) / 2;
    items = (uint64_t) samples * a->cells.groups.by
        * (a->cells.axis == NN_AXIS_ROWS ? w->out_cols : w->out_rows);
    if (by_channel)
      items = (uint64_t) samples * w->out_rows * w->out_cols;
    way = NN_WAY_CELLS;
  } else if ((by_channel ? a->n : a->inner) % lanes == 0
      && (!is_gradient || (!a->incoming.pooled && a->incoming.type == a->type))) {
    a->vectors = nn_divisor (by_channel ? 1 : a->inner / lanes);
    items = (uint64_t) samples * a->outer * a->vectors.by;
    way = NN_WAY_LANES;
  }
  if (way != NN_WAY_ELEMENTS) {
    while (by_channel && width < 32 && width < a->n / lanes)
      width *= 2;
    units = by_channel ? (a->n / lanes + width - 1) / width : units;
    threads = NN_BLOCK / width;
    each = 4;
  }
  a->width = nn_divisor (width);
  parts = (NN_SUMS_BLOCKS + units - 1) / units;
  if (items / (threads * each) < parts)
    parts = (uint32_t) (items / (threads * each));
  a->parts = parts < 1 ? 1 : parts > NN_MAX_PARTS ? NN_MAX_PARTS : parts;
  a->blocks = units * a->parts;
  return way;
}

/* What a thread takes of values in a row of @n, of one tensor's type and another's. */
static inline uint32_t
nn_lanes_of (uint32_t n, NnType a, NnType b)
{
  uint32_t lanes = NN_LANES (a) > NN_LANES (b) ? NN_LANES (a) : NN_LANES (b);

  if (n % lanes != 0)
    lanes = 4;
  return n % lanes == 0 ? lanes : 1;
}

static inline void
nn_mean_backward_shape (
    NnMeanBackwardArgs *a, uint32_t samples, uint32_t pixels, uint32_t channels)
{
  a->lanes = nn_lanes_of (channels, a->src_type, a->dst_type);
  a->groups = nn_divisor (channels / a->lanes);
  a->pixels = nn_divisor (pixels);
  a->count = samples * pixels * a->groups.by;
}

static inline void
nn_slope_shape (NnSlopeArgs *a, uint32_t values)
{
  a->values = values;
  a->lanes = nn_lanes_of (0, a->type, a->dst_type);
  a->count = (values + a->lanes - 1) / a->lanes;
}

static inline void
nn_dropout_shape (NnDropoutArgs *a, uint32_t values, double rate)
{
  a->values = values;
  a->count = (values + 3) / 4;
  a->least = (uint64_t) ceil (rate * 4294967296.0);
  a->scale = (float) (1 / (1 - rate));
}

/* All but the sizes being set. @pixels: of dst. */
static inline void
nn_lay_shape (NnLayArgs *a, uint32_t pixels)
{
  /* as they lie: one long row */
  if (a->channels == a->src_stride && a->channels == a->dst_stride && a->src_rows == a->dst_rows
      && a->src_cols == a->dst_cols && a->offset[0] == 0 && a->offset[1] == 0) {
    a->channels = a->src_stride = a->dst_stride = pixels * a->channels;
    a->src_rows = a->src_cols = a->dst_rows = a->dst_cols = pixels = 1;
  }
  a->lanes = nn_lanes_of (a->dst_stride, a->src_type, a->dst_type);
  a->src_lanes = a->src_stride % a->lanes == 0 ? a->lanes : 1;
  a->groups = nn_divisor (a->dst_stride / a->lanes);
  a->cols = nn_divisor (a->dst_cols);
  a->rows = nn_divisor (a->dst_rows);
  a->count = pixels * a->groups.by;
}
