/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every kernel of cuda/kernel-args.h as run_NAME (blocks, args), on the host: its threads one
 * after the other, between two waits for each other all of a block's. What they share begins as
 * rubbish. */

#include <string.h>

#include "cuda/kernel-bodies-lanes.h"

#define ELEMENT_KERNEL(name, Args) \
  static void run_##name (unsigned blocks, const void *args) \
  { \
    const Args *a = args; \
\
    for (uint32_t i = 0; i < blocks * NN_BLOCK; i++) \
      if (i < a->count) \
        name##_at (a, i); \
  }

#define BLOCK_KERNEL(name, Args, rounds, maxima, width) \
  static void run_##name (unsigned blocks, const void *args) \
  { \
    const Args *a = args; \
    NnShared s; \
\
    for (uint32_t block = 0; block < blocks; block++) { \
      memset (&s, 0xff, sizeof s); \
      for (uint32_t round = 0; round < rounds; round++) { \
        for (uint32_t t = 0; t < NN_BLOCK; t++) \
          name##_part (a, block, t, round, &s); \
        for (uint32_t step = NN_BLOCK / 2; step >= (width); step /= 2) \
          for (uint32_t t = 0; t < NN_BLOCK; t++) \
            nn_shared_combine (&s, t, step, (int) round < maxima); \
        s.result[round] = s.a[0]; \
      } \
      for (uint32_t t = 0; t < NN_BLOCK; t++) \
        name##_last (a, block, t, &s); \
    } \
  }

/* every other block's threads from the last one on: what they do in a phase has no order */
#define PHASE_KERNEL(name, Args, Shared, phases) \
  static void run_##name (unsigned blocks, const void *args) \
  { \
    const Args *a = args; \
    Shared s; \
\
    for (uint32_t block = 0; block < blocks; block++) { \
      memset (&s, 0xff, sizeof s); \
      for (uint32_t phase = 0; phase < (uint32_t) (phases); phase++) \
        for (uint32_t t = 0; t < NN_BLOCK; t++) \
          name##_phase (a, block, block % 2 ? NN_BLOCK - 1 - t : t, phase, &s); \
    } \
  }

#define LANE_KERNEL(name, Args) \
  static void run_##name (unsigned blocks, const void *args) \
  { \
    const Args *a = args; \
    const uint32_t kept = name##_kept (a); \
    NnLaneSums sums[NN_BLOCK]; \
    NnLaneShared s; \
\
    for (uint32_t block = 0; block < blocks; block++) { \
      memset (&s, 0xff, sizeof s); \
      for (uint32_t t = 0; t < NN_BLOCK; t++) \
        name##_part (a, block, t, &sums[t]); \
      for (uint32_t round = 0; round < nn_lane_rounds (a); round++) { \
        for (uint32_t t = 0; t < NN_BLOCK; t++) \
          nn_lanes_put (&s, t, round, kept, &sums[t]); \
        for (uint32_t step = NN_BLOCK / 2; step >= nn_lane_width (a); step /= 2) \
          for (uint32_t t = 0; t < NN_BLOCK; t++) \
            nn_lanes_combine (&s, t, step, kept); \
        for (uint32_t t = 0; t < NN_BLOCK; t++) \
          nn_lanes_last (a, block, t, round, kept, &s); \
      } \
    } \
  }

NN_ELEMENT_KERNELS (ELEMENT_KERNEL)
NN_BLOCK_KERNELS (BLOCK_KERNEL)
NN_PHASE_KERNELS (PHASE_KERNEL)
NN_LANE_KERNELS (LANE_KERNEL)

#undef ELEMENT_KERNEL
#undef BLOCK_KERNEL
#undef PHASE_KERNEL
#undef LANE_KERNEL
