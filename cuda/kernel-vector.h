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

/* function (..., type, lanes), both constants */
#define NN_BY_TYPE(function, t, ...) \
  do { \
    if ((t) == NN_TYPE_F32) \
      function (__VA_ARGS__, NN_TYPE_F32, 4); \
    else if ((t) == NN_TYPE_F16) \
      function (__VA_ARGS__, NN_TYPE_F16, 8); \
    else \
      function (__VA_ARGS__, NN_TYPE_BF16, 8); \
  } while (0)

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

/* Two 16-bit numbers as they lie side by side. */
static inline NN_HOST_DEVICE uint32_t
nn_pack_two (NnType type, float low, float high)
{
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
  uint32_t word;

  if (type == NN_TYPE_F16)
    asm ("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  else
    asm ("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
#else
  return type == NN_TYPE_F16
      ? nn_float_to_half (low) | (uint32_t) nn_float_to_half (high) << 16
      : nn_float_to_bf16 (low) | (uint32_t) nn_float_to_bf16 (high) << 16;
#endif
}

static inline NN_HOST_DEVICE float
nn_unpack_one (NnType type, uint32_t word, uint32_t high)
{
  const uint16_t h = (uint16_t) (high ? word >> 16 : word);

  return type == NN_TYPE_F16 ? nn_half_to_float (h) : nn_bf16_to_float (h);
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
        x[2 * k] = nn_unpack_one (type, words[k], 0);
        x[2 * k + 1] = nn_unpack_one (type, words[k], 1);
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
        words[k] = nn_pack_two (type, x[2 * k], x[2 * k + 1]);
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

/* Four of the @n values of p from i on, a multiple of 4; those beyond the last are 0. */
static inline NN_HOST_DEVICE void
nn_load_four (const void *p, NnType type, uint32_t i, uint32_t n, float x[4])
{
  if (i + 4 <= n)
    nn_load_lanes (p, type, i, 4, x);
  else
    NN_EACH_LANE (k, 4)
      x[k] = i + (uint32_t) k < n ? nn_load (p, type, i + (uint32_t) k) : 0;
}

static inline NN_HOST_DEVICE void
nn_function_lanes (NnKernelFunction f, const int lanes, float *x)
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
nn_slope_lanes (NnKernelFunction f, const int lanes, const float *y, float *d)
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
