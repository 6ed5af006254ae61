/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/params.h"

G_BEGIN_DECLS

/* What all inference plans of one model, in one type of operands, on one device read and none
 * writes: parameters, and what stages made of them. The first plan fills it, the last one's end
 * gives it back.
 * Thread-safety: safe, but for what is said of the lock. */
typedef struct _NnCudaWeights NnCudaWeights;

/* (transfer full) */
NnCudaWeights *nn_cuda_weights_new (const NnCudaDevice *device, NnModel *model, NnType type);
void nn_cuda_weights_unref (NnCudaWeights *weights); /* inside nn_cuda_enter() */

/* While a plan is built: one at a time. */
void nn_cuda_weights_lock (NnCudaWeights *weights);
void nn_cuda_weights_unlock (NnCudaWeights *weights);

/* All below are called with the lock held. (transfer none): float32, on the device */
const NnCudaParams *nn_cuda_weights_get_params (NnCudaWeights *weights, GError **error);

/* Memory of layer @layer for what @what names. *@is_new: it is to be filled, in any stream.
 * (transfer none) */
void *nn_cuda_weights_get (NnCudaWeights *weights, guint layer, const char *what, gsize bytes,
    gboolean *is_new, GError **error);

/* All memory is filled. In 16 bits the float32 kernels, which nobody reads any more, are given
 * back. */
void nn_cuda_weights_finish (NnCudaWeights *weights);

G_END_DECLS
