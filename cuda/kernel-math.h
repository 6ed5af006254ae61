/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Numbers as kernels read and write them, for host and device. */

#include <math.h>
#include <string.h>

#include "cuda/kernel-args.h"
#include "nn/rng.h" /* NN_HOST_DEVICE */

static inline NN_HOST_DEVICE uint32_t
nn_float_bits (float x)
{
  uint32_t bits;

  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static inline NN_HOST_DEVICE float
nn_bits_float (uint32_t bits)
{
  float x;

  memcpy (&x, &bits, sizeof x);
  return x;
}

static inline NN_HOST_DEVICE float
nn_bf16_to_float (uint16_t h)
{
  return nn_bits_float ((uint32_t) h << 16);
}

/* to the nearest, halves to even; NaN stays NaN */
static inline NN_HOST_DEVICE uint16_t
nn_float_to_bf16 (float x)
{
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
  uint16_t h;

  asm ("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
#else
  const uint32_t b = nn_float_bits (x);

  if ((b & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t) (b >> 16 | 0x40);
  return (uint16_t) ((b + 0x7fff + (b >> 16 & 1)) >> 16);
#endif
}

static inline NN_HOST_DEVICE float
nn_half_to_float (uint16_t h)
{
#ifdef __CUDA_ARCH__
  float x;

  asm ("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
  return x;
#else
  const uint32_t sign = (uint32_t) (h & 0x8000) << 16, rest = h & 0x7fff;

  if (rest >= 0x7c00) /* infinite or NaN */
    return nn_bits_float (sign | 0x7f800000u | (rest & 0x3ff) << 13);
  if (rest < 0x400) /* zero or subnormal: rest * 2^-24, exact */
    return nn_bits_float (sign | nn_float_bits ((float) rest / 16777216.f));
  return nn_bits_float (sign | ((rest << 13) + (112u << 23)));
#endif
}

/* to the nearest, halves to even; beyond 65504 infinite */
static inline NN_HOST_DEVICE uint16_t
nn_float_to_half (float x)
{
#ifdef __CUDA_ARCH__
  uint16_t h;

  asm ("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
#else
  const uint32_t b = nn_float_bits (x), magnitude = b & 0x7fffffffu;
  const uint32_t sign = b >> 16 & 0x8000;

  if (magnitude > 0x7f800000u)
    return (uint16_t) (sign | 0x7e00);
  if (magnitude >= 0x477ff000u) /* 65520 and more */
    return (uint16_t) (sign | 0x7c00);
  if (magnitude < 0x38800000u) /* below 2^-14: the sum's own rounding does it */
    return (uint16_t) (sign
        | (nn_float_bits (nn_bits_float (magnitude) + 0.5f) - nn_float_bits (0.5f)));
  return (uint16_t) (sign | (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13);
#endif
}

static inline NN_HOST_DEVICE float
nn_load (const void *p, NnType type, uint64_t i)
{
  if (type == NN_TYPE_F32)
    return ((const float *) p)[i];
  return type == NN_TYPE_F16 ? nn_half_to_float (((const uint16_t *) p)[i])
                             : nn_bf16_to_float (((const uint16_t *) p)[i]);
}

static inline NN_HOST_DEVICE void
nn_store (void *p, NnType type, uint64_t i, float x)
{
  if (type == NN_TYPE_F32)
    ((float *) p)[i] = x;
  else
    ((uint16_t *) p)[i] = type == NN_TYPE_F16 ? nn_float_to_half (x) : nn_float_to_bf16 (x);
}

static inline NN_HOST_DEVICE float
nn_function (NnKernelFunction f, float x)
{
  switch (f) {
    case NN_FN_RELU:
      return x < 0 ? 0 : x;
    case NN_FN_SIGMOID:
      return 1 / (1 + expf (-x));
    case NN_FN_TANH:
      return tanhf (x);
    default:
      return x;
  }
}

/* f'(x) of y = f (x) */
static inline NN_HOST_DEVICE float
nn_slope (NnKernelFunction f, float y)
{
  switch (f) {
    case NN_FN_RELU:
      return y > 0 ? 1.f : 0.f;
    case NN_FN_SIGMOID:
      return y * (1 - y);
    case NN_FN_TANH:
      return 1 - y * y;
    default:
      return 1;
  }
}

static inline NN_HOST_DEVICE float
nn_normalize (const NnNorm *norm, uint32_t element, float x)
{
  uint32_t i;

  if (!norm->scale)
    return x;
  i = element / norm->inner % norm->n;
  return x * norm->scale[i] + norm->shift[i];
}
