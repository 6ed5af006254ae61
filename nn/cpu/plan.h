/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend-module.h"
#include "nn/cpu/conv2d.h"
#include "nn/cpu/crew.h"
#include "nn/cpu/dnnl.h"
#include "nn/cpu/kernels.h"

G_BEGIN_DECLS

/* Inference: the layers from the input to the output, fused into stages that
 * run one after the other, each as tasks for a crew. Reads the model's
 * parameters only in nn_cpu_infer_refresh(). */
typedef struct _NnCpuInfer NnCpuInfer;

NnCpuInfer *nn_cpu_infer_new (const NnCpuKernels *k, NnCrew *crew, NnModel *model,
    NnPrecision precision, guint batch, GError **error);
void nn_cpu_infer_free (NnCpuInfer *infer);
/* (Re)packs weights: after construction it has been done once. */
void nn_cpu_infer_refresh (NnCpuInfer *infer);
/* @input: (n, H, W, C), n <= batch; @output: (n, n_outputs). */
gboolean nn_cpu_infer_run (
    NnCpuInfer *infer, const float *input, guint n, float *output, GError **error);
void nn_cpu_infer_describe (const NnCpuInfer *infer, GString *text);

/* Training: one step after the other on the model's own parameters. */
typedef struct _NnCpuTrain NnCpuTrain;

NnCpuTrain *nn_cpu_train_new (const NnCpuKernels *k, NnCrew *crew, NnModel *model,
    const NnPlanOptions *options, GError **error);
void nn_cpu_train_free (NnCpuTrain *train);
gboolean nn_cpu_train_step (NnCpuTrain *train, const float *input, const NnStep *step,
    NnOptimizer *optimizer, NnStepResult *result, GError **error);
void nn_cpu_train_describe (const NnCpuTrain *train, GString *text);

/* Indices of the layers from the input to the output: layers that lead nowhere
 * are left out. (transfer full) */
guint *nn_cpu_layer_chain (const NnModel *model, guint *n);

/* For each output pixel the float offsets of the input pixels in its window
 * (at most size[0] * size[1] entries a pixel) and their number. */
void nn_cpu_pool_windows (const NnPoolConfig *config, const NnShape *in, const NnShape *out,
    gsize *windows, guint32 *sizes);
gboolean nn_cpu_is_2x2_pool (const NnLayer *layer); /* MaxPooling2D, 2x2, stride 2, valid */

const NnParam *nn_cpu_param (const NnLayer *layer, const char *name); /* or NULL */

G_END_DECLS
