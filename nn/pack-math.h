/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A pack (nn/frame-pack.h) as it lies in memory, and the arithmetic that makes a pixel of the
 * network's input of it: the sampler's own, for host and device, equal to it to the bit. For C
 * and CUDA C++: no GLib. Offsets are bytes from the pack's beginning. */

#include <stdint.h>

#include "nn/augment-math.h"
#include "nn/pixel-math.h"

/* The rows of a plane, which may lie elsewhere in a device's memory: added to the pack's address
 * modulo 2^64. */
typedef struct
{
  uint64_t offset;
  uint32_t stride; /* bytes */
} NnPackRows;

typedef struct
{
  uint32_t n_samples, samples; /* NnPackSample, n_samples of them */
  uint32_t draws; /* 0, or NnPackDraws: the samples are pictures in bytes, to be drawn from */
  NnPackRows planes[3];
} NnPackHeader;

typedef struct
{
  NnAugmentForm form;
  uint32_t n, entries; /* NnAugmentEntry, n of them; their picture: a sample of the pack */
} NnPackDraws;

typedef struct
{
  uint32_t geometry; /* NnPackGeometry */
  uint32_t flip;
} NnPackSample;

typedef enum
{
  NN_PACK_NEAREST,
  NN_PACK_BILINEAR,
  NN_PACK_AREA,
} NnPackMethod;

/* A row of an area resize; see NnAreaRows. first_share and what follows: where there are more
 * rows than 16 bits can add up, n_whole is negative then. */
typedef struct
{
  uint32_t first, last; /* rows of the pack */
  int32_t n_whole;
  uint32_t up;
  uint16_t whole_weight, first_weight, last_weight, bias;
  float first_share, last_share, inverse;
} NnPackAreaRow;

typedef struct
{
  uint32_t method;
  uint32_t plane;
  uint32_t offset, step; /* samples, of the first pixel and from pixel to pixel */
  /* nearest and bilinear: uint32 pixels and rows, float shares of the second */
  uint32_t columns, columns_2, column_shares, rows, rows_2, row_shares;
  /* area: NnPackAreaRow; first samples, weights (n_lanes of int16) and factors of columns */
  uint32_t area_rows, first, weights, factors, n_lanes;
} NnPackComponent;

typedef struct
{
  uint32_t width, height, channels; /* of the input */
  uint32_t is_gray, is_bgr;         /* neither: RGB */
  uint32_t x, y, columns, rows;     /* where in it the picture is */
  uint32_t extend, pad;             /* its outermost pixels around it, or bars of pad */
  uint32_t n_components, is_rgb;
  uint32_t sample_size, shift, depth; /* bytes, bits */
  NnYuvMatrix matrix;
  float mean[3], scale[3];
  NnPackComponent components[3];
} NnPackGeometry;

#define NN_PACK_UNIT 128 /* NN_AREA_UNIT */

/* A product that no compiler joins with a sum: the bits of the CPU's. */
static inline NN_HOST_DEVICE float
nn_pack_product (float a, float b)
{
#ifdef __CUDA_ARCH__
  return __fmul_rn (a, b);
#else
  return a * b;
#endif
}

static inline NN_HOST_DEVICE uint32_t
nn_pack_raw (const NnPackGeometry *g, const uint8_t *row, uint32_t i)
{
  return g->sample_size == 1
      ? row[i]
      : (uint32_t) (row[2 * i] | row[2 * i + 1] << 8) >> g->shift;
}

static inline NN_HOST_DEVICE float
nn_pack_sample (const NnPackGeometry *g, const uint8_t *row, uint32_t i)
{
  const uint32_t raw = nn_pack_raw (g, row, i);

  return g->sample_size == 1 ? (float) raw
                             : nn_pack_product ((float) raw, 1.f / (1 << (g->depth - 8)));
}

static inline NN_HOST_DEVICE float
nn_pack_bilinear (const uint8_t *pack, const NnPackGeometry *g, const NnPackComponent *c,
    const uint8_t *pixels, uint32_t stride, uint32_t x, uint32_t y)
{
  const uint8_t *top = pixels + (uint64_t) ((const uint32_t *) (pack + c->rows))[y] * stride;
  const uint8_t *bottom = pixels + (uint64_t) ((const uint32_t *) (pack + c->rows_2))[y] * stride;
  const uint32_t i = ((const uint32_t *) (pack + c->columns))[x] * c->step + c->offset;
  const uint32_t j = ((const uint32_t *) (pack + c->columns_2))[x] * c->step + c->offset;
  const float fx = ((const float *) (pack + c->column_shares))[x];
  const float fy = ((const float *) (pack + c->row_shares))[y];
  const float a = nn_pack_sample (g, top, i), b = nn_pack_sample (g, top, j);
  const float d = nn_pack_sample (g, bottom, i), e = nn_pack_sample (g, bottom, j);
  const float above = a + nn_pack_product (b - a, fx);
  const float below = d + nn_pack_product (e - d, fx);

  return above + nn_pack_product (below - above, fy);
}

/* The mean over the rows of one column, 0..255 in 1 / NN_PACK_UNIT, of the values in the @first and
 * @last of them and the sum of those between. */
static inline NN_HOST_DEVICE int32_t
nn_pack_area_mean (const NnPackGeometry *g, const NnPackAreaRow *r, uint32_t first, uint32_t last,
    uint32_t sum)
{
  const uint32_t up = 16 - g->depth;

  if (r->n_whole < 0)
    return (int16_t) (nn_pack_product ((float) sum
                              + nn_pack_product ((float) first, r->first_share)
                              + nn_pack_product ((float) last, r->last_share),
                          r->inverse)
        + 0.5f);
  return (int16_t) (((sum << r->up) * r->whole_weight >> 16)
      + ((first << up) * r->first_weight >> 16) + ((last << up) * r->last_weight >> 16)
      + r->bias);
}

#define NN_PACK_COLUMNS 4 /* that are read at a time: each by itself is a wait for memory */

static inline NN_HOST_DEVICE float
nn_pack_area (const uint8_t *pack, const NnPackGeometry *g, const NnPackComponent *c,
    const uint8_t *pixels, uint32_t stride, uint32_t x, uint32_t y)
{
  const NnPackAreaRow r = ((const NnPackAreaRow *) (pack + c->area_rows))[y];
  const int16_t *weights = (const int16_t *) (pack + c->weights) + (uint64_t) x * c->n_lanes;
  const uint32_t at = ((const uint32_t *) (pack + c->first))[x], mask = (1u << g->depth) - 1;
  const uint32_t n_whole = (uint32_t) (r.n_whole < 0 ? -r.n_whole : r.n_whole);
  const uint8_t *top = pixels + (uint64_t) r.first * stride;
  const uint8_t *bottom = pixels + (uint64_t) r.last * stride;
  int32_t sum = 0;

  for (uint32_t k = 0; k < c->n_lanes; k += NN_PACK_COLUMNS) {
    uint32_t first[NN_PACK_COLUMNS] = { 0 }, last[NN_PACK_COLUMNS] = { 0 };
    uint32_t between[NN_PACK_COLUMNS] = { 0 };
    int32_t weight[NN_PACK_COLUMNS];
    const uint8_t *row = top + stride;

    NN_UNROLL for (uint32_t l = 0; l < NN_PACK_COLUMNS; l++) {
      weight[l] = k + l < c->n_lanes ? weights[k + l] : 0;
      if (weight[l] != 0) { /* where it is 0 there may be no column */
        first[l] = nn_pack_raw (g, top, at + k + l) & mask;
        last[l] = nn_pack_raw (g, bottom, at + k + l) & mask;
      }
    }
    for (uint32_t i = 0; i < n_whole; i++, row += stride)
      NN_UNROLL for (uint32_t l = 0; l < NN_PACK_COLUMNS; l++)
        if (weight[l] != 0)
          between[l] += nn_pack_raw (g, row, at + k + l) & mask;
    NN_UNROLL for (uint32_t l = 0; l < NN_PACK_COLUMNS; l++)
      sum += nn_pack_area_mean (g, &r, first[l], last[l], between[l]) * weight[l];
  }
  return nn_pack_product ((float) sum, ((const float *) (pack + c->factors))[x]);
}

static inline NN_HOST_DEVICE float
nn_pack_component (const uint8_t *pack, const NnPackRows planes[3], const NnPackGeometry *g,
    const NnPackComponent *c, uint32_t x, uint32_t y)
{
  /* no index, which arguments of a kernel are copied for */
  const NnPackRows plane = c->plane == 0 ? planes[0] : c->plane == 1 ? planes[1] : planes[2];
  const uint8_t *pixels = (const uint8_t *) ((uintptr_t) pack + (uintptr_t) plane.offset);
  const uint32_t stride = plane.stride;

  if (c->method == NN_PACK_AREA)
    return nn_pack_area (pack, g, c, pixels, stride, x, y);
  if (c->method == NN_PACK_BILINEAR)
    return nn_pack_bilinear (pack, g, c, pixels, stride, x, y);
  return nn_pack_sample (g,
      pixels + (uint64_t) ((const uint32_t *) (pack + c->rows))[y] * stride,
      ((const uint32_t *) (pack + c->columns))[x] * c->step + c->offset);
}

static inline NN_HOST_DEVICE const NnPackSample *
nn_pack_get_sample (const uint8_t *pack, uint32_t sample)
{
  return (const NnPackSample *) (pack + ((const NnPackHeader *) pack)->samples) + sample;
}

/* All channels of pixel (@x, @y) of sample @s. @planes: the header's, or where they are instead. */
static inline NN_HOST_DEVICE void
nn_pack_bytes (const uint8_t *pack, const NnPackRows planes[3], const NnPackSample *s, uint32_t x,
    uint32_t y, unsigned char bytes[3])
{
  const NnPackGeometry *g = (const NnPackGeometry *) (pack + s->geometry);

  if (s->flip)
    x = g->width - 1 - x;
  if (!g->extend && (x < g->x || y < g->y || x >= g->x + g->columns || y >= g->y + g->rows)) {
    bytes[0] = bytes[1] = bytes[2] = (unsigned char) g->pad;
  } else {
    float v[3];

    x = x < g->x ? 0 : x >= g->x + g->columns ? g->columns - 1 : x - g->x;
    y = y < g->y ? 0 : y >= g->y + g->rows ? g->rows - 1 : y - g->y;
    NN_UNROLL for (uint32_t c = 0; c < 3; c++) /* else v is no set of registers */
      v[c] = c < g->n_components ? nn_pack_component (pack, planes, g, &g->components[c], x, y) : 0;
    if (g->n_components == 1) {
      v[0] = nn_pack_product (v[0] - g->matrix.y_offset, g->matrix.y_scale);
      v[1] = v[2] = v[0];
    } else if (!g->is_rgb) {
      const float luma = nn_pack_product (v[0] - g->matrix.y_offset, g->matrix.y_scale);
      const float cb = v[1] - 128, cr = v[2] - 128;

      v[0] = luma + nn_pack_product (g->matrix.rv, cr);
      v[1] = luma + nn_pack_product (g->matrix.gu, cb) + nn_pack_product (g->matrix.gv, cr);
      v[2] = luma + nn_pack_product (g->matrix.bu, cb);
    }
    for (uint32_t c = 0; c < 3; c++)
      bytes[c] = nn_round_byte (g->is_bgr ? v[2 - c] : v[c]);
    if (g->is_gray)
      bytes[0] = nn_gray (bytes[0], bytes[1], bytes[2]);
  }
}

/* As the network's input has them, of sample @sample. */
static inline NN_HOST_DEVICE void
nn_pack_pixel (const uint8_t *pack, const NnPackRows planes[3], uint32_t sample, uint32_t x,
    uint32_t y, float *dst)
{
  const NnPackSample *s = nn_pack_get_sample (pack, sample);
  const NnPackGeometry *g = (const NnPackGeometry *) (pack + s->geometry);
  unsigned char bytes[3];

  nn_pack_bytes (pack, planes, s, x, y, bytes);
  NN_EACH_CHANNEL (g, c)
    dst[c] = nn_pack_product ((float) bytes[c] - g->mean[c], g->scale[c]);
}

/* Of a grid of @size cells over @n rows or columns, repeated where the grid is finer: cell @cell's,
 * from *@first on. Returns how many there are. */
static inline NN_HOST_DEVICE uint32_t
nn_thumbnail_cell (uint32_t cell, uint32_t size, uint32_t n, uint32_t *first)
{
  const uint32_t end = (cell + 1) * n / size;

  *first = cell * n / size;
  return end > *first ? end - *first : 1;
}
