/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The small dense layers that a network ends in, with what lies between them, for a few samples:
 * a block a sample, activations in what its threads share, in float32. A launch takes longer than
 * any of these layers. For host and device. */

#include "cuda/kernel-vector.h"

#define NN_TAIL_SHARES 4 /* threads that have a part of one unit's sum */

typedef struct
{
  float x[2][NN_TAIL_VALUES]; /* a layer's input and its output in turn */
  float parts[NN_TAIL_SHARES][NN_TAIL_VALUES];
} NnTailShared;

static inline NN_HOST_DEVICE float
nn_tail_pass (const NnTailPass *p, uint32_t i, float x)
{
  x = nn_function (p->f1, x + (p->bias ? p->bias[i] : 0));
  return nn_function (p->f2, nn_normalize (&p->norm, i, x));
}

/* A share of the sum of @unit; @lanes: a constant that divides layer->in. */
static inline NN_HOST_DEVICE float
nn_tail_sum (const NnTailLayer *layer, NnType type, uint32_t unit, uint32_t share,
    const float *x, const int lanes)
{
  float sum = 0;

  for (uint32_t k = share * lanes; k < layer->in; k += NN_TAIL_SHARES * lanes) {
    float w[NN_MAX_LANES];

    nn_load_lanes (layer->w, type, (uint64_t) unit * layer->in + k, lanes, w);
    NN_EACH_LANE (l, lanes)
      sum += w[l] * x[k + (uint32_t) l];
  }
  return sum;
}

static inline NN_HOST_DEVICE void
nn_tail_add (const NnTailLayer *layer, NnType type, uint32_t thread, const float *x,
    float (*parts)[NN_TAIL_VALUES])
{
  const uint32_t share = thread % NN_TAIL_SHARES;

  for (uint32_t u = thread / NN_TAIL_SHARES; u < layer->units; u += NN_BLOCK / NN_TAIL_SHARES) {
    if (type != NN_TYPE_F32 && layer->in % 8 == 0)
      parts[share][u] = nn_tail_sum (layer, type, u, share, x, 8);
    else if (type == NN_TYPE_F32 && layer->in % 4 == 0)
      parts[share][u] = nn_tail_sum (layer, type, u, share, x, 4);
    else
      parts[share][u] = nn_tail_sum (layer, type, u, share, x, 1);
  }
}

/* Adds the shares up; @dst: NULL but for the network's output. */
static inline NN_HOST_DEVICE void
nn_tail_end (const NnTailLayer *layer, const NnTailPass *pass, uint32_t thread,
    float (*parts)[NN_TAIL_VALUES], float *x, float *dst)
{
  for (uint32_t u = thread; u < layer->units; u += NN_BLOCK) {
    float sum = layer->bias ? layer->bias[u] : 0;

    for (uint32_t s = 0; s < NN_TAIL_SHARES; s++)
      sum += parts[s][u];
    sum = nn_tail_pass (pass, u, nn_function (layer->relu ? NN_FN_RELU : NN_FN_LINEAR, sum));
    x[u] = sum;
    if (dst)
      dst[u] = sum;
  }
}

/* A thread a value: each goes through all of them, which are few. */
static inline NN_HOST_DEVICE void
nn_tail_softmax (uint32_t n, uint32_t thread, const float *x, float *dst)
{
  float most = x[0], sum = 0;

  for (uint32_t i = 1; i < n; i++)
    most = x[i] > most ? x[i] : most;
  for (uint32_t i = 0; i < n; i++)
    sum += expf (x[i] - most);
  for (uint32_t i = thread; i < n; i += NN_BLOCK)
    dst[i] = expf (x[i] - most) / sum;
}

static inline NN_HOST_DEVICE uint32_t
nn_tail_phases (const NnTailArgs *a)
{
  return 1 + 2 * a->n_layers + a->is_softmax;
}

static inline NN_HOST_DEVICE void
nn_k_tail_phase (
    const NnTailArgs *a, uint32_t block, uint32_t thread, uint32_t phase, NnTailShared *s)
{
  const uint32_t l = (phase - 1) / 2, last = a->n_layers - 1;
  float *dst = a->dst + (uint64_t) block * a->layers[last].units;

  if (phase == 0) {
    for (uint32_t i = thread; i < a->layers[0].in; i += NN_BLOCK)
      s->x[0][i] = nn_tail_pass (
          &a->first, i, a->src[(uint64_t) block * a->layers[0].in + i]);
  } else if (l > last) {
    nn_tail_softmax (a->layers[last].units, thread, s->x[(last + 1) % 2], dst);
  } else if (phase % 2 == 1) {
    nn_tail_add (&a->layers[l], a->type, thread, s->x[l % 2], s->parts);
  } else {
    nn_tail_end (&a->layers[l], &a->layers[l].after, thread, s->parts, s->x[(l + 1) % 2],
        l == last && !a->is_softmax ? dst : (float *) 0);
  }
}
