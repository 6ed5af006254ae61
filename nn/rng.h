/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * The n-th number of a stream is a pure function of (seed, stream, n), so any
 * thread, any device and a resumed run get the same numbers with no state to
 * save. No GLib here: CUDA sources include this file. */

#include <stdint.h>

#ifdef __CUDACC__
#define NN_HOST_DEVICE __host__ __device__
#define NN_UNROLL _Pragma ("unroll")
#else
#define NN_HOST_DEVICE
#define NN_UNROLL
#endif

/* What a stream is for; combined with an index by nn_rng_init(). */
typedef enum
{
  NN_STREAM_INIT = 1,    /* index: parameter number */
  NN_STREAM_SHUFFLE = 2, /* index: pass over the data */
  NN_STREAM_AUGMENT = 3, /* index: draw number of the sample (epoch-wise) */
  NN_STREAM_MIX = 5,     /* index: draw number of a pair's first sample */
  NN_STREAM_DROPOUT = 4, /* index: (training step << 16) | layer */
  NN_STREAM_FOLDS = 6,   /* index: class */
  NN_STREAM_USER = 16,   /* tests and programs */
} NnStream;

typedef struct
{
  uint32_t key[2];
  uint32_t counter[4];
  uint32_t block[4]; /* the current four outputs */
  uint32_t used;     /* how many of them were handed out */
} NnRng;

/* out[4] = Philox4x32-10 (counter, key) */
static inline NN_HOST_DEVICE void
nn_philox (const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];

  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t) 0xD2511F53u * c0;
    uint64_t p1 = (uint64_t) 0xCD9E8D57u * c2;

    c0 = (uint32_t) (p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t) p1;
    c2 = (uint32_t) (p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t) p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

static inline NN_HOST_DEVICE void
nn_rng_init (NnRng *rng, uint64_t seed, NnStream stream, uint64_t index)
{
  rng->key[0] = (uint32_t) seed;
  rng->key[1] = (uint32_t) (seed >> 32);
  rng->counter[0] = 0;
  rng->counter[1] = (uint32_t) index;
  rng->counter[2] = (uint32_t) (index >> 32);
  rng->counter[3] = (uint32_t) stream;
  rng->used = 4;
}

static inline NN_HOST_DEVICE uint32_t
nn_rng_u32 (NnRng *rng)
{
  if (rng->used == 4) {
    nn_philox (rng->counter, rng->key, rng->block);
    rng->counter[0]++;
    rng->used = 0;
  }
  return rng->block[rng->used++];
}

/* [0, 1) with 53 bits, the way NumPy makes a double of two 32-bit words */
static inline NN_HOST_DEVICE double
nn_rng_double (NnRng *rng)
{
  uint32_t a = nn_rng_u32 (rng) >> 5, b = nn_rng_u32 (rng) >> 6;

  return (a * 67108864.0 + b) / 9007199254740992.0;
}

static inline NN_HOST_DEVICE double
nn_rng_uniform (NnRng *rng, double low, double high)
{
  return low + (high - low) * nn_rng_double (rng);
}

/* [0, n), n > 0, without bias */
static inline NN_HOST_DEVICE uint32_t
nn_rng_below (NnRng *rng, uint32_t n)
{
  uint32_t limit = (uint32_t) (-(int64_t) n) % n, x;

  do
    x = nn_rng_u32 (rng);
  while (x < limit);
  return x % n;
}
