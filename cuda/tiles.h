/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* A convolution of few channels and the pass behind it as one kernel of ours, where that is
 * faster than cuDNN's and nn_k_finish. */

/* The library's way into the same memory, for comparison. */
typedef gboolean (*NnCudaTilesOther) (gpointer data, guint size, GError **error);

/* Whether the kernel does what @args, not prepared, ask for. */
gboolean nn_cuda_tiles_fit (const NnCudaDevice *device, const NnTilesArgs *args);

/* The weights, for @args->weights of as many words as this. */
gsize nn_cuda_tiles_count_words (const NnTilesArgs *args);
gboolean nn_cuda_tiles_put_weights (NnCudaContext *c, const NnTilesArgs *args, GError **error);

/* @samples of them; @args: not prepared */
gboolean nn_cuda_tiles_run (
    NnCudaContext *c, const NnTilesArgs *args, guint samples, GError **error);

/* Whether @args are the faster way for @samples, measured on their own memory unless it is known
 * (cuda/choices.h). @size is handed to @other. @how: (out): on what grounds. (transfer full) */
gboolean nn_cuda_tiles_choose (NnCudaContext *c, const NnTilesArgs *args, guint samples,
    NnCudaTilesOther other, gpointer data, guint size, char **how);

G_END_DECLS
