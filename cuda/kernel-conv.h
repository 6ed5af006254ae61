/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A convolution of few channels with activation, normalisation and pooling, by tensor cores. Its
 * time is that of reading its input and writing its output: products are few. For host and device.
 *
 * A tile is the 16 rows of m16n8k16's A: 2 rows of 8 pixels of the result, so that a pooling's
 * larger of two rows is a thread's own and that of two columns its neighbour's. Products go by
 * pairs of values that lie side by side in a row of the input, which is shared twice, once moved
 * by a value: then each pair is a word. A row of the kernel with an odd number of values has one
 * of weight 0 behind it: where that is infinite the result is NaN, as beside it. */

#include "cuda/kernel-vector.h"

#define NN_TILE_GROUPS (NN_TILE_FILTERS / 8) /* that an instruction makes eight filters of */
#define NN_STRIP_ROOM (NN_STRIP_VALUES + 32) /* the second copy's banks are not the first's */
#define NN_AT_ONCE 4 /* pixels that a thread has on their way */

/* What lanes of a warp do: each on the device its own, and all one after the other on the host. */
#ifdef __CUDA_ARCH__
#define NN_WARP_LANES 1
#else
#define NN_WARP_LANES 32
#endif
#define NN_EACH_WARP_LANE(l) NN_EACH_LANE (l, NN_WARP_LANES)

/* What a strip reads, and the same moved by a value. */
typedef union
{
  uint16_t values[2][NN_STRIP_ROOM];
  uint32_t words[NN_STRIP_ROOM];
} NnTilesShared;

typedef struct
{
  uint32_t pixel, pair; /* lane / 4, lane % 4: of A and C; `pixel` is B's filter */
  uint32_t at[NN_TILE_STEPS][2]; /* words of the first tile's pairs */
  uint32_t out;  /* its first word in the result's row */
  uint32_t *dst; /* ... of the present tile */
  uint32_t a[4], b[NN_TILE_STEPS][NN_TILE_GROUPS][2];
  float bias[NN_TILE_GROUPS][2];
  float c[NN_TILE_GROUPS][4]; /* two filters of a pixel of the first row, of the second */
} NnTileLane;

/* A warp's run of tiles side by side. */
typedef struct
{
  uint32_t row, col; /* of the convolution's result: the present tile's */
  uint32_t words;    /* of a row of what is written */
  float scale[2], shift[2];
} NnTileRun;

/* --- numbers and warps ------------------ */

/* NaN stays NaN */
static inline NN_HOST_DEVICE float
nn_tile_relu (float x)
{
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
  float y;

  asm ("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(y) : "f"(x));
  return y;
#else
  return x < 0 ? 0 : x;
#endif
}

/* c[group] += a b[step][group] of a whole warp: m16n8k16 as PTX lays it out. Not before
 * compute capability 8.0, where nobody asks for it. */
static inline NN_HOST_DEVICE void
nn_warp_multiply (NnTileLane *lanes, const NnType type, const int step, const int group)
{
#ifdef __CUDA_ARCH__
#if __CUDA_ARCH__ >= 800
  const uint32_t *a = lanes->a, *b = lanes->b[step][group];
  float *c = lanes->c[group];

  if (type == NN_TYPE_F16)
    asm volatile ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                  "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                  : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                  "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                  : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
#else
  float a[16][16], b[16][8];

  for (uint32_t k = 0; k < 16; k++) {
    for (uint32_t row = 0; row < 16; row++)
      a[row][k] = nn_unpack_one (
          type, lanes[row % 8 * 4 + k % 8 / 2].a[row / 8 + k / 8 * 2], k % 2);
    for (uint32_t col = 0; col < 8; col++)
      b[k][col] = nn_unpack_one (type, lanes[col * 4 + k % 8 / 2].b[step][group][k / 8], k % 2);
  }
  for (uint32_t lane = 0; lane < 32; lane++)
    for (uint32_t i = 0; i < 4; i++)
      for (uint32_t k = 0; k < 16; k++)
        lanes[lane].c[group][i] += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
#endif
}

/* dst = src of the lane whose pixel is the other one of two */
static inline NN_HOST_DEVICE void
nn_warp_swap (const float *src, float *dst)
{
#ifdef __CUDA_ARCH__
  *dst = __shfl_xor_sync (0xffffffffu, *src, 4);
#else
  for (uint32_t lane = 0; lane < 32; lane++)
    dst[lane] = src[lane ^ 4];
#endif
}

/* --- weights ------------------ */

static inline NN_HOST_DEVICE void
nn_k_tile_weights_at (const NnTilesArgs *a, uint32_t i)
{
  const uint32_t across = NN_TILE_FILTERS * a->parts, filter = i % across;
  uint32_t pair = i / across;
  const uint32_t row = nn_divide_off (&a->pairs, &pair), n = a->kernel[1] * a->channels;
  const float *w = a->w + (filter * a->kernel[0] + row) * n + 2 * pair;
  const int is_there = filter < a->filters && row < a->kernel[0];

  a->weights[i] = nn_pack_two (
      a->type, is_there ? w[0] : 0, is_there && 2 * pair + 1 < n ? w[1] : 0);
}

/* --- what a strip reads ------------------ */

/* A block's place: its sample, and its first tile down and across. */
static inline NN_HOST_DEVICE uint32_t
nn_strip_place (const NnTilesArgs *a, uint32_t block, uint32_t *row, uint32_t *col)
{
  *col = block;
  *row = nn_divide_off (&a->cols, col);
  block = nn_divide_off (&a->rows, row);
  *row *= a->strip[0];
  *col *= a->strip[1];
  return block;
}

/* Values beyond the channels are those that pad them. Outside of the input: zeros. */
static inline NN_HOST_DEVICE void
nn_strip_load (const NnTilesArgs *a, uint32_t sample, uint32_t y, uint32_t x, uint32_t words[2])
{
  words[0] = words[1] = 0;
  if (y < a->in_rows && x < a->in_cols) { /* above the first they wrap */
    const uint16_t *from = (const uint16_t *) a->src
        + (uint64_t) ((sample * a->in_rows + y) * a->in_cols + x) * a->in_stride;

#ifdef __CUDA_ARCH__
    const uint2 two = *(const uint2 *) from;

    words[0] = two.x;
    words[1] = two.y;
#else
    memcpy (words, from, 2 * sizeof *words);
#endif
  }
}

static inline NN_HOST_DEVICE void
nn_strip_read (const NnTilesArgs *a, uint32_t block, uint32_t thread, NnTilesShared *s)
{
  uint32_t top, left;
  const uint32_t sample = nn_strip_place (a, block, &top, &left);
  const uint32_t rows = 2 * a->strip[0] + a->kernel[0] - 1, n = rows * a->pixels.by;

  for (uint32_t first = thread; first < n; first += NN_AT_ONCE * NN_BLOCK) {
    uint32_t words[NN_AT_ONCE][2], at[NN_AT_ONCE];

    NN_EACH_LANE (k, NN_AT_ONCE)
    {
      uint32_t x = first + (uint32_t) k * NN_BLOCK;
      const uint32_t y = nn_divide_off (&a->pixels, &x);

      at[k] = y * a->width + x * a->channels;
      /* what lies behind the last is not kept */
      nn_strip_load (a, sample, 2 * top + y - a->pad[0], NN_TILE_COLS * left + x - a->pad[1],
          words[k]);
    }
    NN_EACH_LANE (k, NN_AT_ONCE)
    {
      if (first + (uint32_t) k * NN_BLOCK >= n)
        break;
      NN_EACH_LANE (c, NN_TILE_CHANNELS)
      {
        if ((uint32_t) c < a->channels)
          s->values[0][at[k] + (uint32_t) c] = s->values[1][at[k] + (uint32_t) c + 1]
              = (uint16_t) (words[k][c / 2] >> c % 2 * 16);
      }
    }
  }
  if (thread < rows) {
    const uint32_t end = thread * a->width + a->pixels.by * a->channels;

    s->values[0][end] = s->values[1][end + 1] = 0;
  }
}

/* --- tiles ------------------ */

/* @steps, @type and what else says so below: constants */
static inline NN_HOST_DEVICE void
nn_tile_begin (
    const NnTilesArgs *a, uint32_t lane, uint32_t part, const int steps, NnTileLane *s)
{
  const uint32_t first = part * NN_TILE_FILTERS, last = a->kernel[0] * a->pairs.by - 1;
  const uint32_t stride = a->finish.dst_stride;
  uint32_t is_odd;

  s->pixel = lane / 4;
  s->pair = lane % 4;
  is_odd = s->pixel * a->channels % 2;
  s->out = first + 2 * s->pair;
  s->out += a->finish.pairs ? s->pixel / 2 * stride + s->pixel % 2 * 8 : s->pixel * stride;
  s->out /= 2;
  NN_EACH_LANE (i, 2 * steps)
  {
    const uint32_t k = 4 * (uint32_t) i + s->pair;
    uint32_t pair = k < last ? k : last; /* those behind the last have no weight */
    const uint32_t row = nn_divide_off (&a->pairs, &pair);

    s->at[i / 2][i % 2] = is_odd * (NN_STRIP_ROOM / 2) + row * (a->width / 2)
        + (s->pixel * a->channels + is_odd) / 2 + pair;
    NN_EACH_LANE (j, NN_TILE_GROUPS)
      s->b[i / 2][j][i % 2]
          = a->weights[k * NN_TILE_FILTERS * a->parts + first + 8 * (uint32_t) j + s->pixel];
  }
  NN_EACH_LANE (j, 2 * NN_TILE_GROUPS)
  {
    const uint32_t filter = first + 8 * (uint32_t) (j / 2) + 2 * s->pair + (uint32_t) j % 2;

    s->bias[j / 2][j % 2] = a->finish.bias && filter < a->filters ? a->finish.bias[filter] : 0;
  }
}

/* The convolution of the tile whose first word is @words. */
static inline NN_HOST_DEVICE void
nn_tile_multiply (const NnTilesArgs *a, const uint32_t *words, const NnType type, const int steps,
    NnTileLane *lanes)
{
  const uint32_t *below = words + a->width / 2;

  NN_EACH_WARP_LANE (l)
  {
    NN_EACH_LANE (i, 4 * NN_TILE_GROUPS)
      lanes[l].c[i / 4][i % 4] = lanes[l].bias[i / 4][i % 2];
  }
  NN_EACH_LANE (step, steps)
  {
    NN_EACH_WARP_LANE (l)
    {
      NN_EACH_LANE (i, 2)
      {
        lanes[l].a[2 * i] = words[lanes[l].at[step][i]];
        lanes[l].a[2 * i + 1] = below[lanes[l].at[step][i]];
      }
    }
    NN_EACH_LANE (j, NN_TILE_GROUPS)
      nn_warp_multiply (lanes, type, step, j);
  }
}

static inline NN_HOST_DEVICE void
nn_tile_function (NnKernelFunction f, NnTileLane *s)
{
  if (f == NN_FN_LINEAR)
    return;
  NN_EACH_LANE (i, 4 * NN_TILE_GROUPS)
    s->c[i / 4][i % 4] = nn_tile_relu (s->c[i / 4][i % 4]);
}

static inline NN_HOST_DEVICE void
nn_tile_find_norm (const NnFinishArgs *f, uint32_t row, uint32_t col, float *scale, float *shift)
{
  const uint32_t run = nn_divide (&f->inner, (row * f->window.in_cols + col) * f->channels);
  const uint32_t i = run - nn_divide (&f->n, run) * f->n.by;

  *scale = f->norm.scale[i];
  *shift = f->norm.shift[i];
}

/* @filter: the part's first one */
static inline NN_HOST_DEVICE void
nn_tile_normalize (const NnTilesArgs *a, const NnTileRun *run, uint32_t filter, NnTileLane *s)
{
  const NnFinishArgs *f = &a->finish;
  float scale[2] = { run->scale[0], run->scale[1] }, shift[2] = { run->shift[0], run->shift[1] };

  if (a->axis == NN_TILE_BY_FILTER) {
    NN_EACH_LANE (i, 2 * NN_TILE_GROUPS)
    {
      const uint32_t at = filter + 8 * (uint32_t) (i / 2) + 2 * s->pair + (uint32_t) i % 2;

      if (at < a->filters) {
        NN_EACH_LANE (r, 2)
          s->c[i / 2][2 * r + i % 2]
              = s->c[i / 2][2 * r + i % 2] * f->norm.scale[at] + f->norm.shift[at];
      }
    }
    return;
  }
  if (a->axis == NN_TILE_BY_PIXEL) {
    NN_EACH_LANE (r, 2) /* beyond the last it is some index */
      nn_tile_find_norm (f, run->row + (uint32_t) r, run->col + s->pixel, &scale[r], &shift[r]);
  }
  NN_EACH_LANE (i, 4 * NN_TILE_GROUPS)
    s->c[i / 4][i % 4] = s->c[i / 4][i % 4] * scale[i % 4 / 2] + shift[i % 4 / 2];
}

static inline NN_HOST_DEVICE void
nn_tile_write (const NnTilesArgs *a, const NnTileRun *run, uint32_t filter, const NnType type,
    const NnTileLane *s)
{
  if (run->col + s->pixel >= a->finish.window.out_cols)
    return;
  NN_EACH_LANE (r, 2)
  {
    if (run->row + (uint32_t) r < a->finish.window.out_rows) {
      NN_EACH_LANE (j, NN_TILE_GROUPS)
      {
        if (filter + 8 * (uint32_t) j < a->filters)
          s->dst[(uint32_t) r * run->words + 4 * (uint32_t) j]
              = nn_pack_two (type, s->c[j][2 * r], s->c[j][2 * r + 1]);
      }
    }
  }
}

/* Of two groups of filters a lane with an even pixel ends with the first, its neighbour with the
 * second, so that 32 bytes side by side are written at a time. */
static inline NN_HOST_DEVICE void
nn_tile_pool (const NnTilesArgs *a, const NnTileRun *run, uint32_t filter, const NnType type,
    const NnTileLane *lanes)
{
  NN_EACH_LANE (j, NN_TILE_GROUPS / 2)
  {
    float best[2][NN_WARP_LANES];

    NN_EACH_LANE (i, 2)
    {
      float given[NN_WARP_LANES], got[NN_WARP_LANES];

      NN_EACH_WARP_LANE (l)
      {
        const float (*c)[4] = &lanes[l].c[2 * j];
        const float first = fmaxf (c[0][i], c[0][2 + i]), second = fmaxf (c[1][i], c[1][2 + i]);

        best[i][l] = lanes[l].pixel % 2 ? second : first;
        given[l] = lanes[l].pixel % 2 ? first : second;
      }
      nn_warp_swap (given, got);
      NN_EACH_WARP_LANE (l)
        best[i][l] = fmaxf (best[i][l], got[l]);
    }
    NN_EACH_WARP_LANE (l)
    {
      const uint32_t pixel = lanes[l].pixel;

      if (run->col / 2 + pixel / 2 < a->finish.window.out_cols
          && filter + 8 * (2 * (uint32_t) j + pixel % 2) < a->filters)
        lanes[l].dst[8 * j] = nn_pack_two (type, best[0][l], best[1][l]);
    }
  }
}

/* At @row and @col of the convolution's result. */
static inline NN_HOST_DEVICE void
nn_run_begin (const NnTilesArgs *a, uint32_t sample, uint32_t row, uint32_t col, NnTileRun *run,
    NnTileLane *lanes)
{
  const NnFinishArgs *f = &a->finish;
  const uint32_t first = sample * f->window.out_rows + (row >> f->pairs);

  run->row = row;
  run->col = col;
  run->words = f->window.out_cols * (f->dst_stride / 2);
  NN_EACH_WARP_LANE (l)
    lanes[l].dst = (uint32_t *) f->dst + (uint64_t) first * run->words
        + (col >> f->pairs) * (f->dst_stride / 2) + lanes[l].out;
  NN_EACH_LANE (r, 2)
  {
    run->scale[r] = 1;
    run->shift[r] = 0;
    if (a->axis == NN_TILE_BY_ROW && f->norm.scale)
      nn_tile_find_norm (f, row + (uint32_t) r, 0, &run->scale[r], &run->shift[r]);
  }
}

/* A warp's share of a strip: tiles that lie side by side as far as there are such. */
static inline NN_HOST_DEVICE void
nn_tiles_make (const NnTilesArgs *a, uint32_t block, uint32_t thread, const NnType type,
    const int steps, const NnTilesShared *shared)
{
  const NnFinishArgs *f = &a->finish;
  const uint32_t warps = NN_BLOCK / 32 / a->parts, warp = thread / 32 / a->parts;
  const uint32_t part = thread / 32 % a->parts, filter = part * NN_TILE_FILTERS;
  const uint32_t rows = f->window.out_rows << f->pairs, cols = f->window.out_cols << f->pairs;
  const uint32_t tiles = a->strip[0] * a->strip[1], end = tiles * (warp + 1) / warps;
  uint32_t top, left, tile = tiles * warp / warps;
  const uint32_t sample = nn_strip_place (a, block, &top, &left);
  NnTileLane lanes[NN_WARP_LANES];
  NnTileRun run;

  NN_EACH_WARP_LANE (l)
    nn_tile_begin (a, thread % 32 + (uint32_t) l, part, steps, &lanes[l]);
  while (tile < end) {
    uint32_t x = tile, n;
    const uint32_t y = nn_divide_off (&a->tiles, &x);
    const uint32_t *words = shared->words + y * a->width + x * (NN_TILE_COLS / 2) * a->channels;

    n = a->strip[1] - x < end - tile ? a->strip[1] - x : end - tile;
    tile += n;
    if (2 * (top + y) >= rows)
      break;
    nn_run_begin (a, sample, 2 * (top + y), NN_TILE_COLS * (left + x), &run, lanes);
    for (; n > 0 && run.col < cols; n--) {
      nn_tile_multiply (a, words, type, steps, lanes);
      NN_EACH_WARP_LANE (l)
      {
        nn_tile_function (f->f1, &lanes[l]);
        nn_tile_normalize (a, &run, filter, &lanes[l]);
        nn_tile_function (f->f2, &lanes[l]);
        if (!f->pairs)
          nn_tile_write (a, &run, filter, type, &lanes[l]);
      }
      if (f->pairs)
        nn_tile_pool (a, &run, filter, type, lanes);
      NN_EACH_WARP_LANE (l)
        lanes[l].dst += f->dst_stride / 2 * NN_TILE_COLS >> f->pairs;
      words += NN_TILE_COLS / 2 * a->channels;
      run.col += NN_TILE_COLS;
    }
  }
}

static inline NN_HOST_DEVICE void
nn_tiles_phase (const NnTilesArgs *a, uint32_t block, uint32_t thread, uint32_t phase,
    const int steps, NnTilesShared *s)
{
  if (phase == 0)
    nn_strip_read (a, block, thread, s);
  else if (thread % NN_WARP_LANES == 0 && a->type == NN_TYPE_F16)
    nn_tiles_make (a, block, thread, NN_TYPE_F16, steps, s);
  else if (thread % NN_WARP_LANES == 0)
    nn_tiles_make (a, block, thread, NN_TYPE_BF16, steps, s);
}

static inline NN_HOST_DEVICE void
nn_k_tiles_phase (
    const NnTilesArgs *a, uint32_t block, uint32_t thread, uint32_t phase, NnTilesShared *s)
{
  nn_tiles_phase (a, block, thread, phase, NN_TILE_STEPS / 2, s);
}

static inline NN_HOST_DEVICE void
nn_k_deep_tiles_phase (
    const NnTilesArgs *a, uint32_t block, uint32_t thread, uint32_t phase, NnTilesShared *s)
{
  nn_tiles_phase (a, block, thread, phase, NN_TILE_STEPS, s);
}
