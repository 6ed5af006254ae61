/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/staging.h"
#include "cuda/weights.h"

G_BEGIN_DECLS

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
NnKernelFunction nn_cuda_function (NnActivation activation);

/* Where a run's input comes from and what of its outputs goes to the host. */
typedef enum
{
  NN_CUDA_FROM_HOST,
  NN_CUDA_FROM_DEVICE, /* it is there */
  NN_CUDA_FROM_PACKS,
  NN_CUDA_MEANS_FROM_PACKS,
  NN_CUDA_DRAWS_FROM_PACKS, /* means of them */
  NN_CUDA_N_WAYS
} NnCudaWay;

/* The network's input made of packs on the device. */
typedef struct
{
  NnCudaContext *c;
  guint batch;
  NnSampleArgs sample;    /* but for the count */
  guint8 *table, *device; /* the three lists below; table is pinned */
  gsize table_size;
  NnSampleEntry *entries; /* in the table: batch of each. Of draws: the pictures */
  NnViewGroup *groups;
  NnAugmentEntry *draws;
  const NnSampleEntry *device_entries;
  const NnViewGroup *device_groups;
  NnAugmentArgs augment; /* from the first drawn pack on, but for the counts */
  guint8 *pictures;      /* room for the batch's */
} NnCudaPacks;

/* @input: on the device, (batch, rows, columns, channels) of @shape */
gboolean nn_cuda_packs_init (NnCudaPacks *packs, NnCudaContext *c, guint batch,
    const NnShape *shape, float *input, GError **error);
/* Has the stream wait for the packs of @list and fills the table. *@n: how many samples they have,
 * at most the batch; *@way: whether means are wanted. Allocates at the first drawn pack. */
gboolean nn_cuda_packs_put (NnCudaPacks *packs, const NnPack *list, guint n_packs, guint *n,
    NnCudaWay *way, GError **error);
/* Puts the table's upload and the launches for @n draws into the stream: part of a graph. */
gboolean nn_cuda_packs_record (const NnCudaPacks *packs, guint n, GError **error);
/* The launch for @n samples that are no draws, in front of a graph: while it runs the graph is on
 * its way, and few samples need no table on the device. @finish: NULL, or what is done to the
 * samples on their way, a normalisation and a cast alone, in place of the input then. */
gboolean nn_cuda_packs_launch (const NnCudaPacks *packs, NnCudaWay way, guint n,
    const NnFinishArgs *finish, GError **error);

/* Inference: the layers fused into stages, captured as a graph for each of a few batch
 * sizes (the whole batch and its halves). Reads parameters in nn_cuda_infer_refresh(). */
typedef struct _NnCudaInfer NnCudaInfer;

typedef struct
{
  NnPrecision precision; /* not AUTO */
  guint batch;
  gboolean halves;  /* graphs for smaller batches too */
  NnCudaWeights *weights; /* locked, shared with other plans; NULL: the plan's own */
  gboolean measure; /* take what is the fastest, not the libraries' first choices */
  float *input;     /* on the device: (batch, H, W, C) */
  const float *host_input; /* both pinned, which a device can write into */
  float *host_output;
  const NnCudaPacks *packs; /* NULL: all comes from the host */
} NnCudaInferOptions;

NnCudaInfer *nn_cuda_infer_new (NnCudaContext *c, const NnCudaParams *params,
    const NnCudaInferOptions *options, GError **error);
void nn_cuda_infer_free (NnCudaInfer *infer);
gboolean nn_cuda_infer_refresh (NnCudaInfer *infer, GError **error);
/* Captures the graphs of @way, which otherwise its first run does. */
gboolean nn_cuda_infer_capture (NnCudaInfer *infer, NnCudaWay way, GError **error);
/* Puts the first @n samples' run into the stream: a graph where it could be captured. */
gboolean nn_cuda_infer_run (NnCudaInfer *infer, NnCudaWay way, guint n, GError **error);
void nn_cuda_infer_describe (const NnCudaInfer *infer, GString *text);

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
    const NnPictures *sets, guint n_sets, GError **error);
void nn_cuda_plan_params_changed (gpointer plan);
gboolean nn_cuda_plan_sync (gpointer plan, NnOptimizer *optimizer, GError **error);
const float *nn_cuda_plan_run_averaged (
    gpointer plan, NnOptimizer *optimizer, const NnAugmentEntry *entries, guint n, GError **error);

G_END_DECLS
