/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/augment.h"
#include "cuda/plan.h"

G_BEGIN_DECLS

/* Training steps, each but the first one launch of a CUDA graph; what
 * changes from step to step lies in device memory. */
typedef struct _NnCudaTrain NnCudaTrain;

/* @input: the plan's, on the device. @precision: not AUTO. FP16 and BF16: mixed precision, with
 * float32 parameters, and for FP16 a loss scale that the device keeps; a step that overflows
 * changes nothing but the scale, and @optimizer->iterations stays. */
NnCudaTrain *nn_cuda_train_new (NnCudaContext *c, const NnCudaParams *params,
    const NnPlanOptions *options, NnPrecision precision, float *input, GError **error);
void nn_cuda_train_free (NnCudaTrain *train);

/* @host_input: pinned, or @step has entries, of @pictures. The optimizer's state is taken from
 * the host where it is not the one that the last step left. */
gboolean nn_cuda_train_step (NnCudaTrain *train, const float *host_input,
    NnCudaPictures *pictures, const NnStep *step, NnOptimizer *optimizer, NnStepResult *result,
    GError **error);

/* The parameters and the average of @optimizer, which has one, change places, with nothing
 * else running: to be called again when something has been run. */
gboolean nn_cuda_train_swap_average (NnCudaTrain *train, NnOptimizer *optimizer, GError **error);

/* Parameters and @optimizer's state (NULL: not that) to the host, if steps changed them. */
gboolean nn_cuda_train_sync (NnCudaTrain *train, NnOptimizer *optimizer, GError **error);
/* The host's parameters have been uploaded over the device's. */
void nn_cuda_train_params_changed (NnCudaTrain *train);
void nn_cuda_train_describe (const NnCudaTrain *train, GString *text);

G_END_DECLS
