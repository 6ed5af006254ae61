/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernels that cuda/kernel-args.h lists, made of the bodies that tests run on the host.
 * Compiled to a fat binary that module.c carries and the driver loads. */

#include "cuda/kernel-bodies-lanes.h"

#define ELEMENT_KERNEL(name, Args) \
  extern "C" __global__ void __launch_bounds__ (NN_BLOCK, 2) name (const Args args) \
  { \
    const uint32_t i = blockIdx.x * NN_BLOCK + threadIdx.x; \
\
    if (i < args.count) \
      name##_at (&args, i); \
  }

#define BLOCK_KERNEL(name, Args, rounds, maxima, width) \
  extern "C" __global__ void __launch_bounds__ (NN_BLOCK, 2) name (const Args args) \
  { \
    __shared__ NnShared shared; \
    const Args *const a = &args; \
\
    for (uint32_t round = 0; round < rounds; round++) { \
      name##_part (a, blockIdx.x, threadIdx.x, round, &shared); \
      for (uint32_t step = NN_BLOCK / 2; step >= (width); step /= 2) { \
        __syncthreads (); \
        nn_shared_combine (&shared, threadIdx.x, step, (int) round < maxima); \
      } \
      __syncthreads (); \
      if (threadIdx.x == 0) \
        shared.result[round] = shared.a[0]; \
      __syncthreads (); \
    } \
    name##_last (a, blockIdx.x, threadIdx.x, &shared); \
  }

#define PHASE_KERNEL(name, Args, Shared, phases) \
  extern "C" __global__ void __launch_bounds__ (NN_BLOCK) name (const Args args) \
  { \
    __shared__ Shared shared; \
    const Args *const a = &args; \
    const uint32_t n = phases; \
\
    _Pragma ("unroll 4") for (uint32_t phase = 0; phase < n; phase++) { \
      name##_phase (a, blockIdx.x, threadIdx.x, phase, &shared); \
      __syncthreads (); \
    } \
  }

#define LANE_KERNEL(name, Args) \
  extern "C" __global__ void __launch_bounds__ (NN_BLOCK, 2) name (const Args args) \
  { \
    __shared__ NnLaneShared shared; \
    const uint32_t kept = name##_kept (&args); \
    NnLaneSums sums; \
\
    name##_part (&args, blockIdx.x, threadIdx.x, &sums); \
    for (uint32_t round = 0; round < nn_lane_rounds (&args); round++) { \
      nn_lanes_put (&shared, threadIdx.x, round, kept, &sums); \
      for (uint32_t step = NN_BLOCK / 2; step >= nn_lane_width (&args); step /= 2) { \
        __syncthreads (); \
        nn_lanes_combine (&shared, threadIdx.x, step, kept); \
      } \
      nn_lanes_last (&args, blockIdx.x, threadIdx.x, round, kept, &shared); \
      __syncthreads (); \
    } \
  }

NN_ELEMENT_KERNELS (ELEMENT_KERNEL)
NN_BLOCK_KERNELS (BLOCK_KERNEL)
NN_PHASE_KERNELS (PHASE_KERNEL)
NN_LANE_KERNELS (LANE_KERNEL)
