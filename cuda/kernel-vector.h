/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Several values side by side by one thread, so that memory and not arithmetic on indices sets
 * the pace: 16 bytes in one access, a division by a number known beforehand in three
 * instructions. For host and device. */

#include <stdlib.h>

#include "cuda/kernel-math.h"

#define NN_MAX_LANES 8

/* A thread's loop over its lanes, whose number is a constant where it is inlined. */
#define NN_EACH_LANE(k, lanes) NN_UNROLL for (int k = 0; k < (lanes); k++)

/* x / by, rounded down, for x below 2^31 */
static inline NN_HOST_DEVICE uint32_t
nn_divide (const NnDivisor *d, uint32_t x)
{
#ifdef __CUDA_ARCH__
  return __umulhi (x << 1, d->magic) >> d->shift;
#else
  return (uint32_t) ((uint64_t) (x << 1) * d->magic >> 32) >> d->shift;
#endif
}

/* ... and what remains of x */
static inline NN_HOST_DEVICE uint32_t
nn_divide_off (const NnDivisor *d, uint32_t *x)
{
  const uint32_t q = nn_divide (d, *x);

  *x -= q * d->by;
  return q;
}

/* Tests should stop where the device would: it has no access across 16 bytes. */
static inline void
nn_need_aligned (const void *p, NnType type, uint64_t i, int lanes)
{
  const uint64_t size = type == NN_TYPE_F32 ? 4 : 2, bytes = size * (uint64_t) lanes;

  if (lanes > 1 && ((uintptr_t) p + i * size) % (bytes < 16 ? bytes : 16) != 0)
    abort ();
}

/* @lanes: 1, 4 or 8, a constant. Values i to i + lanes - 1, of which the first lies at a multiple
 * of all their bytes, 16 at most. */
static inline NN_HOST_DEVICE void
nn_load_lanes (const void *p, NnType type, uint64_t i, const int lanes, float *x)
{
#ifdef __CUDA_ARCH__
  if (lanes >= 4) {
    if (type == NN_TYPE_F32) {
      NN_EACH_LANE (k, lanes / 4)
      {
        const float4 four = *(const float4 *) ((const float *) p + i + 4 * k);

        x[4 * k] = four.x;
        x[4 * k + 1] = four.y;
        x[4 * k + 2] = four.z;
        x[4 * k + 3] = four.w;
      }
    } else {
      uint32_t words[NN_MAX_LANES / 2];

      if (lanes == 8) {
        const uint4 four = *(const uint4 *) ((const uint16_t *) p + i);

        words[0] = four.x;
        words[1] = four.y;
        words[2] = four.z;
        words[3] = four.w;
      } else {
        const uint2 two = *(const uint2 *) ((const uint16_t *) p + i);

        words[0] = two.x;
        words[1] = two.y;
      }
      NN_EACH_LANE (k, lanes / 2)
      {
        const uint16_t low = (uint16_t) words[k], high = (uint16_t) (words[k] >> 16);

        x[2 * k] = type == NN_TYPE_F16 ? nn_half_to_float (low) : nn_bf16_to_float (low);
        x[2 * k + 1] = type == NN_TYPE_F16 ? nn_half_to_float (high) : nn_bf16_to_float (high);
      }
    }
    return;
  }
#else
  nn_need_aligned (p, type, i, lanes);
#endif
  NN_EACH_LANE (k, lanes)
    x[k] = nn_load (p, type, i + k);
}

static inline NN_HOST_DEVICE void
nn_store_lanes (void *p, NnType type, uint64_t i, const int lanes, const float *x)
{
#ifdef __CUDA_ARCH__
  if (lanes >= 4) {
    if (type == NN_TYPE_F32) {
      NN_EACH_LANE (k, lanes / 4)
        *(float4 *) ((float *) p + i + 4 * k)
            = make_float4 (x[4 * k], x[4 * k + 1], x[4 * k + 2], x[4 * k + 3]);
    } else {
      uint32_t words[NN_MAX_LANES / 2];

      NN_EACH_LANE (k, lanes / 2)
      {
        const uint32_t low = type == NN_TYPE_F16 ? nn_float_to_half (x[2 * k])
                                                 : nn_float_to_bf16 (x[2 * k]);
        const uint32_t high = type == NN_TYPE_F16 ? nn_float_to_half (x[2 * k + 1])
                                                  : nn_float_to_bf16 (x[2 * k + 1]);

        words[k] = low | high << 16;
      }
      if (lanes == 8)
        *(uint4 *) ((uint16_t *) p + i) = make_uint4 (words[0], words[1], words[2], words[3]);
      else
        *(uint2 *) ((uint16_t *) p + i) = make_uint2 (words[0], words[1]);
    }
    return;
  }
#else
  nn_need_aligned (p, type, i, lanes);
#endif
  NN_EACH_LANE (k, lanes)
    nn_store (p, type, i + k, x[k]);
}

static inline NN_HOST_DEVICE void
nn_function_lanes (NnFunction f, const int lanes, float *x)
{
  if (f == NN_FN_LINEAR)
    return;
  if (f == NN_FN_RELU) {
    NN_EACH_LANE (k, lanes)
      x[k] = x[k] < 0 ? 0 : x[k];
    return;
  }
  NN_EACH_LANE (k, lanes)
    x[k] = nn_function (f, x[k]);
}

/* d times the slopes at y */
static inline NN_HOST_DEVICE void
nn_slope_lanes (NnFunction f, const int lanes, const float *y, float *d)
{
  if (f == NN_FN_LINEAR)
    return;
  if (f == NN_FN_RELU) {
    NN_EACH_LANE (k, lanes)
      d[k] *= y[k] > 0 ? 1.f : 0.f;
    return;
  }
  NN_EACH_LANE (k, lanes)
    d[k] *= nn_slope (f, y[k]);
}
