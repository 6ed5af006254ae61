/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* The model's parameters on the device, float32, kernels transposed. */
typedef struct
{
  NnModel *model;
  float *(*values)[NN_MAX_PARAMS]; /* [layer][param]; NULL where no layer needs it */
} NnCudaParams;

gboolean nn_cuda_params_init (
    NnCudaParams *params, NnCudaContext *c, NnModel *model, GError **error);
void nn_cuda_params_clear (NnCudaParams *params);
gboolean nn_cuda_params_upload (NnCudaParams *params, NnCudaContext *c, GError **error);
/* of layer @layer, or NULL */
float *nn_cuda_params_get (const NnCudaParams *params, guint layer, const char *name);

/* Indices of the layers from the input to the output. (transfer full) */
guint *nn_cuda_layer_chain (const NnModel *model, guint *n);

/* A layer's output as kernels see it: (rows, columns, channels) a sample. */
typedef struct
{
  gsize rows, cols, channels;
} NnExtent;

NnExtent nn_cuda_extent (const NnShape *shape);
gsize nn_cuda_count (const NnShape *shape);
NnWindow nn_cuda_no_window (NnExtent extent);
NnWindow nn_cuda_pool_window (const NnLayer *layer);
/* Softmax is a kernel of its own: linear here. */
NnFunction nn_cuda_function (NnActivation activation);

/* Inference: the layers fused into stages, captured as a graph for each of a few batch
 * sizes (the whole batch and its halves). Reads parameters in nn_cuda_infer_refresh(). */
typedef struct _NnCudaInfer NnCudaInfer;

typedef struct
{
  NnPrecision precision; /* not AUTO */
  guint batch;
  gboolean halves;    /* graphs for smaller batches too */
  const float *input; /* on the device: (batch, H, W, C) */
} NnCudaInferOptions;

NnCudaInfer *nn_cuda_infer_new (NnCudaContext *c, const NnCudaParams *params,
    const NnCudaInferOptions *options, GError **error);
void nn_cuda_infer_free (NnCudaInfer *infer);
gboolean nn_cuda_infer_refresh (NnCudaInfer *infer, GError **error);
/* Puts the first @n samples' run into the stream: @host_input to the device (NULL: the input is
 * there already) and the result to @host_output, both pinned and the same in every call. */
gboolean nn_cuda_infer_run (
    NnCudaInfer *infer, guint n, const float *host_input, float *host_output, GError **error);
void nn_cuda_infer_describe (const NnCudaInfer *infer, GString *text);

/* Packs on their way to the device, and the network's input made of them there. */
typedef struct
{
  NnCudaContext *c;
  guint32 columns, pixels, channels; /* of the input */
  NnSampleEntry *entries;            /* pinned: batch of them */
  void *device_entries;
  guint8 *memory; /* on the device; grows with the packs */
  gsize size;
} NnCudaPacks;

/* @input: (rows, columns, channels) */
gboolean nn_cuda_packs_init (
    NnCudaPacks *packs, NnCudaContext *c, guint batch, const NnShape *input, GError **error);
/* Puts the upload of @list and one launch for all its samples into the stream; they go to
 * @input on the device. *@n: how many they are, which must not be more than the batch. @list's
 * memory must stay until the stream is synchronised. */
gboolean nn_cuda_packs_put (NnCudaPacks *packs, const NnPack *list, guint n_packs, float *input,
    guint *n, GError **error);

/* The entries of NnBackendClass. */
gpointer nn_cuda_plan_new (
    gpointer device, NnModel *model, const NnPlanOptions *options, GError **error);
void nn_cuda_plan_free (gpointer plan);
guint nn_cuda_plan_get_threads (gpointer plan);
float *nn_cuda_plan_get_input (gpointer plan);
const float *nn_cuda_plan_run (gpointer plan, guint n, GError **error);
const float *nn_cuda_plan_run_packs (
    gpointer plan, const NnPack *packs, guint n_packs, GError **error);
char *nn_cuda_plan_describe (gpointer plan);
gboolean nn_cuda_plan_train_step (gpointer plan, const NnStep *step, NnOptimizer *optimizer,
    NnStepResult *result, GError **error);
gboolean nn_cuda_plan_set_pictures (gpointer plan, const NnAugmentForm *form,
    const guint8 *bytes, gsize n_pictures, GError **error);
void nn_cuda_plan_params_changed (gpointer plan);
gboolean nn_cuda_plan_sync (gpointer plan, NnOptimizer *optimizer, GError **error);
const float *nn_cuda_plan_run_averaged (
    gpointer plan, NnOptimizer *optimizer, guint n, GError **error);

G_END_DECLS
