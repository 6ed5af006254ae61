/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* Which of several ways to the same result takes a device the least time. */

/* The memory that a way is tried on, as the libraries' calls have it. */
enum
{
  NN_TRIED_A,
  NN_TRIED_B,
  NN_TRIED_DST,
  NN_TRIED_BIAS,
  NN_TRIED_WORKSPACE,
  NN_N_TRIED
};

/* Puts way number @way into the stream. */
typedef gboolean (*NnCudaTry) (
    gpointer data, guint way, void *const memory[NN_N_TRIED], GError **error);

/* Runs each of @n_ways on zeroed memory of @sizes bytes, which is given back.
 * @time: (out): milliseconds that the fastest takes; negative where none could be measured.
 * Returns: its number, the first of equals; 0 where none could be measured. */
guint nn_cuda_fastest (NnCudaContext *c, guint n_ways, const gsize sizes[NN_N_TRIED],
    NnCudaTry try_way, gpointer data, float *time);

/* Runs way @way once so. FALSE: it fails; TRUE also where there is no memory to try it on. */
gboolean nn_cuda_try (NnCudaContext *c, guint way, const gsize sizes[NN_N_TRIED],
    NnCudaTry try_way, gpointer data);

G_END_DECLS
