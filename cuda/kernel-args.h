/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What each kernel is given, one struct by value, and the list of kernels. For C,
 * for CUDA C++ and for tests: no GLib, no CUDA header.
 *
 * Activations are (samples, rows, columns, channels) with `stride` values from one
 * pixel to the next (>= channels: 16-bit tensors are padded for the tensor cores).
 * Counts are 32-bit: no tensor of a plan has 2^31 values. */

#include <stdint.h>

#include "nn/augment-math.h"
#include "nn/pack-math.h"
#include "nn/views-math.h"

#define NN_BLOCK 256      /* threads of a block */
#define NN_CHUNK 4096     /* parameters in an optimizer's chunk */
#define NN_CHUNK_LANES (NN_CHUNK / 4) /* threads of it, four values each */

typedef enum
{
  NN_TYPE_F32,
  NN_TYPE_F16,
  NN_TYPE_BF16,
} NnType;

/* Values that a thread takes side by side, where a kernel takes several. */
#define NN_LANES(type) ((type) == NN_TYPE_F32 ? 4 : 8)

/* as NnActivation has them, which needs GLib */
typedef enum
{
  NN_FN_LINEAR,
  NN_FN_RELU,
  NN_FN_SIGMOID,
  NN_FN_TANH,
} NnKernelFunction;

/* What nn_divide() needs to divide by `by`. */
typedef struct
{
  uint32_t by, magic, shift;
} NnDivisor;

/* q = x * (2^(31 + l) / by + 1) / 2^(31 + l), l = ceil (log2 (by)): exact below 2^31, since the
 * factor is too large by 1 at most, 2^-31 of it. @by: 1 to 2^31. Granlund and Montgomery 1994. */
static inline NnDivisor
nn_divisor (uint32_t by)
{
  NnDivisor d = { by, 0, 0 };

  while ((uint64_t) 1 << d.shift < by)
    d.shift++;
  d.magic = (uint32_t) (((uint64_t) 1 << (31 + d.shift)) / by + 1);
  return d;
}

/* A window over rows and columns; 1x1 where there is none. */
typedef struct
{
  uint32_t in_rows, in_cols, out_rows, out_cols;
  uint32_t size[2], strides[2];
  uint32_t pad[2]; /* before the first row and column */
} NnWindow;

/* Whether each cell has a window of its own: a size of 1 alone may have strides. */
static inline int
nn_window_is_none (const NnWindow *w)
{
  return w->size[0] == 1 && w->size[1] == 1 && w->out_rows == w->in_rows
      && w->out_cols == w->in_cols;
}

/* BatchNormalization's index of element e of a sample: e / inner % n. */
typedef struct
{
  const float *scale, *shift; /* n; NULL: none */
  uint32_t n, inner;
} NnNorm;

/* dst = max over the window of f2 (norm (f1 (src + bias))): a thread `lanes` channels. All
 * addresses are such as the driver allocates. Channels beyond `channels`, up to dst_stride, are 0
 * before and after. */
typedef struct
{
  uint32_t count; /* values of dst, samples * out_rows * out_cols * channels; prepared: threads */
  const void *src;
  void *dst; /* may be src where the window is 1x1 and types and strides are equal */
  NnType src_type, dst_type;
  uint32_t channels, src_stride, dst_stride;
  NnWindow window;
  const float *bias; /* a value a channel, or NULL */
  NnKernelFunction f1, f2;
  NnNorm norm;
  /* of nn_finish_prepare() */
  uint32_t lanes;    /* 0: a thread a pixel of at most 3 channels, with the zeros behind them */
  uint32_t pairs; /* windows of 2x2 side by side, no padding; functions linear or relu */
  NnDivisor groups, cols, rows, inner, n;
} NnFinishArgs;

/* The most channels that a thread can take at a time, 16 bytes of the narrower type. */
static inline void
nn_finish_prepare (NnFinishArgs *a)
{
  const uint32_t inner = a->norm.scale ? a->norm.inner : 1, n = a->norm.scale ? a->norm.n : 8;
  const int wide = a->src_type == NN_TYPE_F32;

  a->lanes = wide && a->dst_type == NN_TYPE_F32 ? 4 : 8;
  while (a->lanes > 1
         && (a->channels % a->lanes || a->src_stride % a->lanes || a->dst_stride % a->lanes
             || (inner == 1 ? n : inner) % a->lanes))
    a->lanes = a->lanes == 8 && wide ? 4 : 1;
  if (a->channels <= 3 && a->dst_stride == 8 && nn_window_is_none (&a->window))
    a->lanes = 0;
  a->count /= a->lanes ? a->lanes : a->channels;
  a->pairs = a->window.size[0] == 2 && a->window.size[1] == 2 && a->window.strides[0] == 2
      && a->window.strides[1] == 2 && a->window.pad[0] == 0 && a->window.pad[1] == 0
      && a->window.out_rows * 2 <= a->window.in_rows
      && a->window.out_cols * 2 <= a->window.in_cols && a->f1 <= NN_FN_RELU
      && a->f2 <= NN_FN_RELU;
  a->groups = nn_divisor (a->lanes ? a->channels / a->lanes : 1);
  a->cols = nn_divisor (a->window.out_cols);
  a->rows = nn_divisor (a->window.out_rows);
  a->inner = nn_divisor (inner);
  a->n = nn_divisor (n);
}

/* gamma (x - mean) / sqrt (variance + epsilon) + beta as x * scale + shift */
typedef struct
{
  uint32_t count;
  const float *gamma, *beta; /* or NULL */
  const float *mean, *variance;
  double epsilon;
  float *scale, *shift;
} NnAffineArgs;

/* Softmax over rows of n values: a block a row. */
typedef struct
{
  uint32_t blocks;
  uint32_t n;
  const void *src;
  NnType src_type;
  float *dst;
} NnSoftmaxArgs;

#define NN_TAIL_LAYERS 4    /* at most */
#define NN_TAIL_VALUES 1024 /* that a layer has at most, in and out */
#define NN_TAIL_SAMPLES 8   /* that it is worth while for */

/* f2 (norm (f1 (x + bias))) of each value */
typedef struct
{
  const float *bias; /* or NULL */
  NnKernelFunction f1, f2;
  NnNorm norm;
} NnTailPass;

typedef struct
{
  const void *w;     /* (units, in) */
  const float *bias; /* or NULL */
  uint32_t in, units;
  int32_t relu;
  NnTailPass after;
} NnTailLayer;

/* The dense layers that a network ends in: a block a sample. */
typedef struct
{
  uint32_t blocks;
  uint32_t n_layers, is_softmax;
  NnType type; /* of the weights */
  const float *src;
  float *dst;
  NnTailPass first;
  NnTailLayer layers[NN_TAIL_LAYERS];
} NnTailArgs;

/* dst = y * (dy - sum (y * dy)) */
typedef struct
{
  uint32_t blocks;
  uint32_t n;
  const float *y, *dy;
  void *dst;
  NnType dst_type;
} NnSoftmaxBackwardArgs;

/* Mean over the pixels of a sample: a block 32 channels of it. */
typedef struct
{
  uint32_t blocks; /* samples * groups */
  uint32_t groups; /* ceil (channels / 32) */
  uint32_t pixels, channels, stride;
  const void *src;
  NnType src_type;
  float *dst; /* (samples, channels) */
} NnPixelMeanArgs;

/* dst (rows, cols) = src moved by `offset`, zero where src has nothing */
typedef struct
{
  uint32_t count;
  uint32_t channels; /* the stride of both, padding included */
  uint32_t src_rows, src_cols, dst_rows, dst_cols;
  int32_t offset[2]; /* dst (y, x) = src (y - offset[0], x - offset[1]) */
  const void *src;
  void *dst;
  NnType type;
} NnShiftArgs;

/* Convolution by plain loops, where cuDNN has no engine for a shape. Kernel
 * (filters, kernel rows, kernel columns, channels). */
typedef struct
{
  uint32_t count;
  uint32_t samples;
  uint32_t in_rows, in_cols, channels, in_stride;
  uint32_t out_rows, out_cols, filters, out_stride;
  uint32_t kernel[2], strides[2], dilation[2], pad[2];
  NnType type, dst_type; /* of the operands; of dst */
  const void *x, *w, *dy; /* forward: x, w; data: dy, w; filter: x, dy */
  void *dst;
} NnConvArgs;

#define NN_ROWS_UNITS 4 /* of a block */
#define NN_MAX_ROWS 8

/* y (rows, units) = x (rows, in) w^T [+ bias] [, relu], w (units, in), for 1 to NN_MAX_ROWS rows.
 * nn_k_row for one, nn_k_rows for more: a block some units and one of `parts` of `in`. One part:
 * dst; else sums, which nn_k_rows_total adds up. */
typedef struct
{
  uint32_t count;  /* rows * units: of nn_k_rows_total */
  uint32_t blocks; /* parts * ceil (units / NN_ROWS_UNITS): of the others */
  uint32_t rows, in, units, parts;
  const void *x, *w;
  NnType type; /* of both */
  const float *bias; /* or NULL */
  int32_t relu;
  float *sums; /* (parts, rows, units) */
  void *dst;
  NnType dst_type;
} NnRowsArgs;

#define NN_TILE_COLS 8     /* of a warp's tile, which has two rows of them */
#define NN_TILE_FILTERS 32 /* that a warp makes of it */
#define NN_TILE_CHANNELS 4 /* at most */
#define NN_TILE_STEPS 4    /* of 16 products each, at most */
#define NN_STRIP_VALUES 6144
#define NN_STRIPS_WANTED 256 /* two blocks for each multiprocessor of a large device */

/* what a normalisation's index depends on in a tile's row of pixels; none is one of rows */
typedef enum
{
  NN_TILE_BY_ROW,
  NN_TILE_BY_PIXEL,
  NN_TILE_BY_FILTER,
} NnTileAxis;

/* A convolution of few channels by ones, and what nn_k_finish makes of its result, without that
 * result in memory: a block a strip of tiles. Each row of the kernel is one of (columns, channels)
 * values side by side, taken by pairs. */
typedef struct
{
  uint32_t count;  /* words of `weights`: of nn_k_tile_weights */
  uint32_t blocks; /* samples * strips: of nn_k_tiles, or with all steps nn_k_deep_tiles */
  NnType type;     /* of src and of what finish makes: of 16 bits */
  uint32_t in_rows, in_cols, channels, in_stride;
  uint32_t filters, kernel[2], pad[2];
  const void *src;
  const float *w;    /* (filters, kernel rows, kernel columns, channels) */
  uint32_t *weights; /* (8 * steps, 32 * parts): a pair of a filter each */
  NnFinishArgs finish; /* of the convolution's result: its src is not looked at */
  /* of nn_tiles_prepare() */
  NnTileAxis axis;
  uint32_t parts, steps;  /* of the filters, of the products */
  uint32_t strip[2];      /* tiles of one, down and across */
  uint32_t width;         /* values of a row of what a strip reads */
  NnDivisor pixels;       /* of a row of it */
  NnDivisor pairs;        /* of a row of the kernel */
  NnDivisor tiles, cols, rows; /* across a strip; strips across and down a sample */
} NnTilesArgs;

/* Chooses the strips: rather many than large ones, where there are too few for a device. Returns:
 * whether nn_k_tiles does what @a asks for. */
static inline int
nn_tiles_prepare (NnTilesArgs *a, uint32_t samples)
{
  NnFinishArgs *f = &a->finish;
  const NnWindow *w = &f->window;
  const uint32_t pairs = (a->kernel[1] * a->channels + 1) / 2, products = pairs * a->kernel[0];
  const uint32_t rows = (w->out_rows * w->size[0] + 1) / 2;
  const uint32_t cols = (w->out_cols * w->size[1] + NN_TILE_COLS - 1) / NN_TILE_COLS;

  nn_finish_prepare (f);
  if (a->type == NN_TYPE_F32 || f->dst_type != a->type || f->dst_stride % 2 != 0
      || a->channels > NN_TILE_CHANNELS || a->in_stride % NN_TILE_CHANNELS != 0
      || a->filters % 8 != 0 || a->filters > 2 * NN_TILE_FILTERS || f->channels != a->filters
      || products > 8 * NN_TILE_STEPS || f->f1 > NN_FN_RELU || f->f2 > NN_FN_RELU
      || (!f->pairs && !nn_window_is_none (w))
      || (f->norm.scale && f->norm.inner % a->filters != 0
          && (f->norm.inner != 1 || f->norm.n != a->filters)))
    return 0;
  a->axis = !f->norm.scale || f->norm.inner % (w->in_cols * a->filters) == 0 ? NN_TILE_BY_ROW
      : f->norm.inner % a->filters == 0                                    ? NN_TILE_BY_PIXEL
                                                                           : NN_TILE_BY_FILTER;
  a->parts = a->filters > NN_TILE_FILTERS ? 2 : 1;
  a->steps = products > 16 ? NN_TILE_STEPS : NN_TILE_STEPS / 2;
  a->count = 8 * a->steps * NN_TILE_FILTERS * a->parts;
  a->strip[0] = 4;
  a->strip[1] = cols;
  for (;;) {
    const uint32_t pixels = NN_TILE_COLS * a->strip[1] + a->kernel[1] - 1;
    const uint32_t down = (rows + a->strip[0] - 1) / a->strip[0];
    const uint32_t across = (cols + a->strip[1] - 1) / a->strip[1];
    int is_large;

    a->width = (pixels * a->channels + 2) / 2 * 2; /* and what the last pair may lack */
    a->blocks = samples * down * across;
    a->pixels = nn_divisor (pixels);
    a->tiles = nn_divisor (a->strip[1]);
    a->cols = nn_divisor (across);
    a->rows = nn_divisor (down);
    is_large = (2 * a->strip[0] + a->kernel[0] - 1) * a->width > NN_STRIP_VALUES;
    if (!is_large && a->blocks >= NN_STRIPS_WANTED)
      break;
    if (a->strip[0] > 1 && !(is_large && a->strip[1] > 16))
      a->strip[0] /= 2;
    else if (a->strip[1] > 8 || (is_large && a->strip[1] > 1))
      a->strip[1] = (a->strip[1] + 1) / 2;
    else if (is_large)
      return 0;
    else
      break;
  }
  a->pairs = nn_divisor (pairs);
  return 1;
}

/* One sample of the network's input, to be made of a pack (nn/pack-math.h) on the device. */
typedef struct
{
  const void *pack;
  uint32_t sample;      /* of the pack's */
  NnPackRows planes[3]; /* in place of the header's */
} NnSampleEntry;

#define NN_FEW_SAMPLES 16

/* All samples of a batch, normalised: a thread a pixel. Samples without a pack stay as they are.
 * Channels beyond `channels`, up to `stride`, are 0 before and after. */
typedef struct
{
  uint32_t count; /* samples * pixels */
  uint32_t channels, stride;
  NnDivisor columns, pixels;    /* of the input; pixels: rows * columns */
  const NnSampleEntry *entries; /* NULL: few */
  NnNorm norm;
  void *dst;
  NnType dst_type;
  NnSampleEntry few[NN_FEW_SAMPLES]; /* which need no way to the device of their own */
} NnSampleArgs;

/* Means over the cells of a grid of size x size, of a sample that is no draw: a block a cell, and
 * a round of it a channel. A grid finer than the picture repeats its rows. */
typedef struct
{
  uint32_t blocks; /* size * size */
  uint32_t size, rows, columns, channels;
  NnSampleEntry entry;
  float *dst; /* (size, size, channels) */
} NnThumbnailArgs;

/* The pictures that a batch's draws are of, in bytes, one after the other. */
typedef struct
{
  uint32_t count; /* pictures * pixels */
  uint32_t columns, pixels, channels; /* of a picture */
  const NnSampleEntry *entries;
  uint8_t *dst;
} NnPictureArgs;

/* Outputs of which a mean is wanted: those of @n samples from @first on; 0: no group. */
typedef struct
{
  uint32_t first, n;
  uint32_t of_logits;
} NnViewGroup;

/* A block a group, whose mean is output number group of dst. */
typedef struct
{
  uint32_t blocks;
  uint32_t n; /* outputs of a sample */
  NnViewEnd end;
  const NnViewGroup *groups;
  const float *src; /* (samples, n) */
  float *dst;       /* (groups, n) */
} NnViewsArgs;

/* --- training ------------------ */

/* What changes from step to step: in device memory, so that a captured step stays valid. */
typedef struct
{
  uint64_t seed;
  int64_t iterations;
  uint32_t samples; /* of the batch that take part; the others' gradients are 0 */
  int32_t is_sgd, nesterov;
  float rate, beta_1, beta_2, epsilon, momentum;
  float keep; /* 1 - rate * weight decay; 1: none */
  float average_rate; /* of the moving average of the parameters */
} NnStepParams;

/* The gradient of a mean over pixels: dst (samples, pixels, channels) = src / pixels */
typedef struct
{
  uint32_t count; /* of dst's values, by lanes */
  uint32_t lanes; /* a thread's */
  NnDivisor groups, pixels; /* of lanes in a pixel; of pixels in a sample */
  const void *src;
  NnType src_type;
  void *dst;
  NnType dst_type;
} NnMeanBackwardArgs;

typedef struct
{
  uint32_t count; /* groups of four values: ceil (values / 4) */
  uint32_t values;
  const NnStepParams *step;
  uint32_t layer;
  uint64_t least; /* random word that keeps a value: rate * 2^32, rounded up */
  float scale;    /* 1 / (1 - rate) */
  const void *src;
  void *dst;
  NnType type;
} NnDropoutArgs;

/* The gradient that comes into a value before a max pooling: the sum over the windows of
 * which it is the first maximum. With `pooled` NULL it is dy itself. */
typedef struct
{
  const void *pooled; /* gradient behind the pooling, or NULL */
  const void *dy;     /* or NULL */
  NnType type;
  NnWindow window;
  uint32_t channels;
} NnIncoming;

typedef enum
{
  NN_AXIS_CHANNELS,
  NN_AXIS_COLUMNS,
  NN_AXIS_ROWS,
} NnAxis;

/* Windows of 2x2 values side by side; see kernel-bodies-lanes.h. */
typedef struct
{
  NnAxis axis;                /* that is normalised */
  NnDivisor groups, cols, rows; /* of NN_LANES() in a pixel, of cells in a row and column */
} NnCells;

typedef enum
{
  NN_SUMS_MOMENTS,  /* x and x^2 */
  NN_SUMS_GRADIENT, /* dy and dy * (x - mean) * inv_std */
  NN_SUMS_PLAIN,    /* x */
} NnSumsKind;

/* Sums for each index i of a normalised axis over the samples that take part, in `parts`
 * parts each, to be added up in order by the kernel that follows: sums[i * parts + part],
 * and the second kind behind all of the first.
 * nn_k_sums, inner > 1: a block an index and part. inner == 1: a block 32 indices and a part.
 * nn_k_sums_lanes: likewise, but inner == 1: `width` times NN_LANES() indices.
 * nn_k_sums_cells: a block the same of channels, or a row or column of cells, and a part. */
typedef struct
{
  uint32_t blocks;
  NnSumsKind kind;
  uint32_t outer, n, inner, parts;
  const NnStepParams *step;
  const void *x;
  NnType type; /* of x */
  const float *mean, *inv_std; /* of the gradient's sums */
  NnNorm norm;                 /* of the pooling's maxima */
  NnIncoming incoming;
  double *sums; /* (2, n, parts) */
  NnDivisor width;   /* of nn_k_sums_lanes and _cells: a power of 2 */
  NnDivisor vectors; /* of nn_k_sums_lanes: in inner */
  NnCells cells;
} NnSumsArgs;

/* From sums to scale and shift, and the moving statistics. */
typedef struct
{
  uint32_t count; /* n */
  uint32_t parts, per_sample; /* values of an index in a sample */
  const NnStepParams *step;
  int32_t frozen, bessel;
  float momentum, epsilon;
  const double *sums;
  const float *gamma, *beta;
  float *moving_mean, *moving_variance;
  float *mean, *inv_std, *scale, *shift;
  float *variance; /* or NULL; else the moving statistics are left to nn_k_bn_move */
} NnBnForwardArgs;

typedef struct
{
  uint32_t count;
  uint32_t parts, per_sample;
  const NnStepParams *step;
  int32_t frozen;
  const double *sums;
  const float *gamma, *inv_std;
  float *dgamma, *dbeta; /* or NULL */
  float *k1, *k2, *k3;
} NnBnBackwardArgs;

/* dx = k1 * (dy - k2 - (x - mean) * k3) * f'(x), x = f (what came before) */
typedef struct
{
  uint32_t count;
  uint32_t sample_size;
  const NnStepParams *step;
  const void *x;
  NnNorm norm;
  NnIncoming incoming;
  const float *mean, *k1, *k2, *k3;
  NnKernelFunction before;
  void *dx;
  NnType type;        /* of x and dx */
  NnDivisor inner, n; /* of nn_k_bn_dx_lanes: the norm's */
  NnCells cells;      /* of nn_k_bn_dx_cells */
} NnBnDxArgs;

/* dx = the gradient through a pooling of x */
typedef struct
{
  uint32_t count;
  const void *x;
  NnIncoming incoming;
  void *dx;
  NnType type;   /* of x and dx */
  NnCells cells; /* of nn_k_unpool_cells */
} NnUnpoolArgs;

/* dst = dy * f'(x), from y = f (x) */
typedef struct
{
  uint32_t count; /* groups of `lanes` values, the last perhaps not whole */
  uint32_t values, lanes;
  NnKernelFunction function;
  const void *y, *dy;
  void *dst;
  NnType type, dst_type; /* of y and dy; of dst */
} NnSlopeArgs;

/* dst (rows, cols) = src moved by `offset`, zero where src has nothing: rows, columns or, at
 * the end, channels */
typedef struct
{
  uint32_t count; /* of dst, what pads its channels included, by lanes */
  uint32_t lanes, src_lanes;    /* a thread's; the same or 1, where src does not allow it */
  NnDivisor groups, cols, rows; /* of lanes in a pixel of dst; dst's */
  uint32_t channels, src_stride, dst_stride;
  uint32_t src_rows, src_cols, dst_rows, dst_cols;
  int32_t offset[2]; /* dst (y, x) = src (y - offset[0], x - offset[1]) */
  const void *src;
  void *dst;
  NnType src_type, dst_type;
} NnLayArgs;

/* What float16's gradients are multiplied by, so that the small ones do not vanish: halved
 * after a step in which one was not finite, which changes nothing else; doubled after so many
 * good ones. */
typedef struct
{
  float scale;
  uint32_t good, interval; /* steps since it was changed; after so many it is doubled */
  uint32_t overflow;       /* in the present step */
  uint32_t skipped;        /* the last one was */
} NnLossScale;

#define NN_LOSS_SCALE_MIN (1 / 65536.f)
#define NN_LOSS_SCALE_MAX 16777216.f

/* sums (n, parts) to gradient (n) */
typedef struct
{
  uint32_t count;
  uint32_t parts;
  const double *sums;
  float *dst;
} NnTotalArgs;

/* Loss and its gradient before the last activation, as nn/loss.h has them: a thread a sample. */
typedef struct
{
  uint32_t count; /* samples of the whole batch */
  uint32_t outputs;
  int32_t binary;
  const NnStepParams *step;
  const NnLossScale *scale; /* or NULL */
  const float *y, *targets, *weights;
  float *gradient;
  double *loss;     /* a sample's, not weighted */
  uint32_t *right;
} NnLossArgs;

typedef struct
{
  float *w, *m;
  float *v; /* NULL: SGD */
  float *g;
  void *copy; /* of w for a library, or NULL */
  NnType copy_type;
  uint32_t n;
  int32_t decays;
  float l1, l2;
} NnChunk;

typedef struct
{
  uint32_t count; /* chunks * NN_CHUNK_LANES */
  const NnChunk *chunks;
  const NnStepParams *step;
  const NnLossScale *scale; /* or NULL */
} NnOptimizerArgs;

/* Notes in scale->overflow where a gradient is not finite. */
typedef struct
{
  uint32_t count; /* chunks * NN_CHUNK_LANES */
  const NnChunk *chunks;
  NnLossScale *scale;
} NnCheckArgs;

/* The moving statistics, where nothing overflowed. */
typedef struct
{
  uint32_t count; /* n */
  float momentum;
  const NnLossScale *scale;
  const float *mean, *variance;
  float *moving_mean, *moving_variance;
} NnBnMoveArgs;

/* The end of a step for the scale. */
typedef struct
{
  uint32_t count; /* 1 */
  NnLossScale *scale;
} NnScaleArgs;

/* A piece of a parameter and of its moving average. */
typedef struct
{
  float *w, *average;
  uint32_t n;
} NnAverageChunk;

/* average += rate * (w - average), or both change places */
typedef struct
{
  uint32_t count; /* chunks * NN_CHUNK_LANES */
  int32_t swap;
  const NnAverageChunk *chunks;
  const NnStepParams *step;
  const NnLossScale *scale; /* or NULL */
} NnAverageArgs;

/* l1 |w| + l2 w^2 of each chunk: a block a chunk */
typedef struct
{
  uint32_t blocks;
  const NnChunk *chunks;
  double *sums;
} NnPenaltyArgs;

/* What a training step sees, of the pictures on the device. count: samples x pixels. The pixels
 * are finished where no change of the recipe needs the whole picture, else by a block a sample. */
typedef struct
{
  uint32_t count, blocks;
  uint32_t needs_wholes;
  NnAugmentForm form;
  const uint8_t *pictures;
  const NnAugmentEntry *entries;
  float *dst; /* (samples, rows, columns, channels) */
} NnAugmentArgs;

/* Pairs of samples, first and last, second and last but one, mixed. count: pairs x pixels */
typedef struct
{
  uint32_t count, samples;
  NnAugmentForm form;
  const NnMixEntry *mixes;
  float *dst;
} NnMixArgs;

/* --- the list ------------------ */

/* X (name, arguments): a thread an element */
#define NN_ELEMENT_KERNELS(X) \
  X (nn_k_finish_lanes, NnFinishArgs) \
  X (nn_k_affine, NnAffineArgs) \
  X (nn_k_sample, NnSampleArgs) \
  X (nn_k_picture, NnPictureArgs) \
  X (nn_k_mean_backward, NnMeanBackwardArgs) \
  X (nn_k_rows_total, NnRowsArgs) \
  X (nn_k_tile_weights, NnTilesArgs) \
  X (nn_k_shift, NnShiftArgs) \
  X (nn_k_conv, NnConvArgs) \
  X (nn_k_conv_data, NnConvArgs) \
  X (nn_k_conv_filter, NnConvArgs) \
  X (nn_k_dropout, NnDropoutArgs) \
  X (nn_k_bn_forward, NnBnForwardArgs) \
  X (nn_k_bn_backward, NnBnBackwardArgs) \
  X (nn_k_bn_dx, NnBnDxArgs) \
  X (nn_k_bn_dx_lanes, NnBnDxArgs) \
  X (nn_k_bn_dx_cells, NnBnDxArgs) \
  X (nn_k_unpool, NnUnpoolArgs) \
  X (nn_k_unpool_cells, NnUnpoolArgs) \
  X (nn_k_slope, NnSlopeArgs) \
  X (nn_k_lay, NnLayArgs) \
  X (nn_k_total, NnTotalArgs) \
  X (nn_k_loss, NnLossArgs) \
  X (nn_k_optimizer, NnOptimizerArgs) \
  X (nn_k_average, NnAverageArgs) \
  X (nn_k_check, NnCheckArgs) \
  X (nn_k_bn_move, NnBnMoveArgs) \
  X (nn_k_scale, NnScaleArgs) \
  X (nn_k_augment, NnAugmentArgs) \
  X (nn_k_mix, NnMixArgs)

/* X (name, arguments a, rounds of reduction, how many of them, the first ones, are for the largest
 * value and not for sums, values that are left of a round): a block of NN_BLOCK threads an item */
#define NN_BLOCK_KERNELS(X) \
  X (nn_k_softmax, NnSoftmaxArgs, 2, 1, 1) \
  X (nn_k_pixel_mean, NnPixelMeanArgs, 1, 0, 32) \
  X (nn_k_thumbnail, NnThumbnailArgs, 3, 0, 1) \
  X (nn_k_views, NnViewsArgs, 2, 1, 1) \
  X (nn_k_softmax_backward, NnSoftmaxBackwardArgs, 1, 0, 1) \
  X (nn_k_sums, NnSumsArgs, 1, 0, nn_sums_width (a)) \
  X (nn_k_penalty, NnPenaltyArgs, 1, 0, 1) \
  X (nn_k_augment_wholes, NnAugmentArgs, 3, 2, 1)

/* X (name, arguments a, what a block shares, how many phases): a block of NN_BLOCK threads an item,
 * in phases at whose ends its threads wait for each other */
#define NN_PHASE_KERNELS(X) \
  X (nn_k_row, NnRowsArgs, NnRowShared, 3) \
  X (nn_k_rows, NnRowsArgs, NnRowsShared, 3) \
  X (nn_k_tail, NnTailArgs, NnTailShared, nn_tail_phases (a)) \
  X (nn_k_tiles, NnTilesArgs, NnTilesShared, 2) \
  X (nn_k_deep_tiles, NnTilesArgs, NnTilesShared, 2)

/* X (name, arguments): a block an item, sums of several values a thread in two rounds */
#define NN_LANE_KERNELS(X) \
  X (nn_k_sums_lanes, NnSumsArgs) \
  X (nn_k_sums_cells, NnSumsArgs)
