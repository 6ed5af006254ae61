/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* Which of several ways to the same result takes a device the least time. */

/* Puts way number @way into the stream. */
typedef gboolean (*NnCudaTry) (
    gpointer data, guint way, void *const memory[NN_N_TRIED], GError **error);

/* Runs each of @n_ways on zeroed memory of @sizes bytes, which the context keeps for the next
 * trials until nn_cuda_end_trials(). A way that a graph cannot have loses to any that it can.
 * @time: (out): milliseconds that the fastest takes; negative where none could be measured.
 * Returns: its number, the first of equals; 0 where none could be measured. */
guint nn_cuda_fastest (NnCudaContext *c, guint n_ways, const gsize sizes[NN_N_TRIED],
    NnCudaTry try_way, gpointer data, float *time);

/* Runs way @way once so. FALSE: it fails; TRUE also where there is no memory to try it on. */
gboolean nn_cuda_try (NnCudaContext *c, guint way, const gsize sizes[NN_N_TRIED],
    NnCudaTry try_way, gpointer data);

/* Gives back what trials were run on. */
void nn_cuda_end_trials (NnCudaContext *c);

/* Whether training plans measure ($CLASSIFY_CUDA_MEASURE is "training"). By default they take the
 * libraries' own first choices: times differ from run to run, and with another choice the same
 * seed gives other weights. */
gboolean nn_cuda_measures_training (void);

G_END_DECLS
