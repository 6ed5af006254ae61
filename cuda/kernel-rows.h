/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A dense layer of few rows, whose time is that of reading the weights: a block reads a part of
 * some units' weights, once for all rows and 16 bytes at a time. Sums are of float32, each in an
 * order that is always the same. For host and device. */

#include "cuda/kernel-vector.h"

#define NN_ROWS_VALUES (NN_ROWS_UNITS * NN_MAX_ROWS)
#define NN_ROWS_RUNS (NN_BLOCK / NN_ROWS_VALUES) /* that a value's sums are added up in */

/* The threads' sums of a value, and behind them the runs': a width that spreads what a warp reads
 * over all banks. */
typedef float NnRowsSums[NN_BLOCK + NN_ROWS_RUNS];

typedef struct
{
  NnRowsSums sums[NN_ROWS_VALUES];
} NnRowsShared;

typedef struct
{
  NnRowsSums sums[NN_ROWS_UNITS];
} NnRowShared;

/* Values that a thread reads at once, where `in` is a multiple of them. */
static inline NN_HOST_DEVICE uint32_t
nn_rows_lanes (NnType type)
{
  return type == NN_TYPE_F32 ? 4 : 8;
}

static inline NN_HOST_DEVICE void
nn_rows_finish (const NnRowsArgs *a, uint32_t value, uint32_t unit, float sum)
{
  sum += a->bias ? a->bias[unit] : 0;
  nn_store (a->dst, a->dst_type, value, nn_function (a->relu ? NN_FN_RELU : NN_FN_LINEAR, sum));
}

/* @type, @lanes, @rows: constants; @rows at least those that there are. What there is too much
 * of units and rows repeats the last one. */
static inline NN_HOST_DEVICE void
nn_rows_add (const NnRowsArgs *a, uint32_t block, uint32_t thread, const NnType type,
    const int lanes, const int rows, NnRowsSums *shared)
{
  const uint32_t steps = a->in / (uint32_t) lanes; /* none is left: lanes divide `in` */
  const uint32_t of_part = (steps + a->parts - 1) / a->parts;
  const uint32_t first = block % a->parts * of_part, unit = block / a->parts * NN_ROWS_UNITS;
  const uint32_t end = first + of_part < steps ? first + of_part : steps;
  float sums[NN_ROWS_VALUES];

  NN_EACH_LANE (v, NN_ROWS_UNITS * rows)
    sums[v] = 0;
  for (uint32_t step = first + thread; step < end; step += NN_BLOCK) {
    const uint64_t at = (uint64_t) step * (uint32_t) lanes;
    float w[NN_ROWS_UNITS][NN_MAX_LANES];

    NN_EACH_LANE (u, NN_ROWS_UNITS)
    {
      const uint32_t of = unit + (uint32_t) u < a->units ? unit + (uint32_t) u : a->units - 1;

      nn_load_lanes (a->w, type, (uint64_t) of * a->in + at, lanes, w[u]);
    }
    NN_EACH_LANE (r, rows)
    {
      const uint32_t row = (uint32_t) r < a->rows ? (uint32_t) r : a->rows - 1;
      float x[NN_MAX_LANES];

      nn_load_lanes (a->x, type, (uint64_t) row * a->in + at, lanes, x);
      NN_EACH_LANE (u, NN_ROWS_UNITS)
      {
        NN_EACH_LANE (k, lanes)
          sums[r * NN_ROWS_UNITS + u] += x[k] * w[u][k];
      }
    }
  }
  NN_EACH_LANE (v, NN_ROWS_UNITS * rows)
    shared[v][thread] = sums[v];
}

/* Adds up what the threads left: phases 1 and 2. */
static inline NN_HOST_DEVICE void
nn_rows_end (
    const NnRowsArgs *a, uint32_t block, uint32_t thread, uint32_t phase, NnRowsSums *shared)
{
  const uint32_t value = phase == 1 ? thread / NN_ROWS_RUNS : thread;
  float sum = 0;

  if (value >= NN_ROWS_UNITS * a->rows)
    return;
  if (phase == 1) {
    const uint32_t run = thread % NN_ROWS_RUNS;

    for (uint32_t k = run; k < NN_BLOCK; k += NN_ROWS_RUNS)
      sum += shared[value][k];
    shared[value][NN_BLOCK + run] = sum;
  } else {
    const uint32_t row = value / NN_ROWS_UNITS;
    const uint32_t unit = block / a->parts * NN_ROWS_UNITS + value % NN_ROWS_UNITS;

    if (unit >= a->units)
      return;
    for (uint32_t run = 0; run < NN_ROWS_RUNS; run++)
      sum += shared[value][NN_BLOCK + run];
    if (a->parts == 1)
      nn_rows_finish (a, row * a->units + unit, unit, sum);
    else
      a->sums[((uint64_t) (block % a->parts) * a->rows + row) * a->units + unit] = sum;
  }
}

/* @single: one row, a constant; else as many as there are, or the next power of two */
static inline NN_HOST_DEVICE void
nn_rows_add_any (const NnRowsArgs *a, uint32_t block, uint32_t thread, const int single,
    NnRowsSums *shared, const NnType type, const int lanes)
{
  if (single)
    nn_rows_add (a, block, thread, type, lanes, 1, shared);
  else if (a->rows <= 2)
    nn_rows_add (a, block, thread, type, lanes, 2, shared);
  else if (a->rows <= 4)
    nn_rows_add (a, block, thread, type, lanes, 4, shared);
  else
    nn_rows_add (a, block, thread, type, lanes, NN_MAX_ROWS, shared);
}

static inline NN_HOST_DEVICE void
nn_rows_phase (const NnRowsArgs *a, uint32_t block, uint32_t thread, uint32_t phase,
    const int single, NnRowsSums *shared)
{
  if (phase > 0)
    nn_rows_end (a, block, thread, phase, shared);
  else if (a->in % nn_rows_lanes (a->type) != 0)
    nn_rows_add (a, block, thread, a->type, 1, single ? 1 : NN_MAX_ROWS, shared);
  else
    NN_BY_TYPE (nn_rows_add_any, a->type, a, block, thread, single, shared);
}

static inline NN_HOST_DEVICE void
nn_k_rows_phase (
    const NnRowsArgs *a, uint32_t block, uint32_t thread, uint32_t phase, NnRowsShared *s)
{
  nn_rows_phase (a, block, thread, phase, 0, s->sums);
}

/* The same for one row: fewer registers and less memory, so that more blocks read at a time. */
static inline NN_HOST_DEVICE void
nn_k_row_phase (
    const NnRowsArgs *a, uint32_t block, uint32_t thread, uint32_t phase, NnRowShared *s)
{
  nn_rows_phase (a, block, thread, phase, 1, s->sums);
}

static inline NN_HOST_DEVICE void
nn_k_rows_total_at (const NnRowsArgs *a, uint32_t i)
{
  float sum = 0;

  for (uint32_t part = 0; part < a->parts; part++)
    sum += a->sums[(uint64_t) part * a->count + i];
  nn_rows_finish (a, i, i % a->units, sum);
}
