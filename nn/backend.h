/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/loss.h"
#include "nn/model.h"
#include "nn/optimizer.h"

G_BEGIN_DECLS

/* NnBackend: a device that can run models. NnPlan: a model compiled for a
 * back end, precision, batch and mode. Backends are shared and thread-safe;
 * a plan belongs to one thread at a time. */

typedef struct _NnBackend NnBackend;
typedef struct _NnPlan NnPlan;

typedef enum
{
  NN_PRECISION_AUTO, /* the back end's: CPU: fp32 */
  NN_PRECISION_FP32,
  NN_PRECISION_TF32, /* CUDA only */
  NN_PRECISION_FP16, /* CUDA only */
  NN_PRECISION_BF16, /* CPU: bf16 weights and products where that is the faster way, fp32 sums */
} NnPrecision;

const char *nn_precision_to_string (NnPrecision precision);
gboolean nn_precision_from_string (const char *string, NnPrecision *precision);

/* @device: "cpu", "cuda", "cuda:N" or "auto" (the first CUDA device that
 * works, else the CPU with one warning that says why).
 * (transfer full): or NULL with NN_ERROR_BACKEND and the reason. */
NnBackend *nn_backend_open (const char *device, GError **error);

/* What the driver calls a context (CUDA: a CUcontext), made by somebody else. */
typedef struct
{
  gpointer handle;
  guint index; /* of its device: "cuda:0" has 0 */
  /* what keeps it alive */
  gpointer owner;
  gpointer (*owner_ref) (gpointer owner);
  void (*owner_unref) (gpointer owner);
} NnContext;

/* nn_backend_open() with all that the back end has on the device in @context, where that is of a
 * device that @device allows ("auto" and "cuda" allow each) and not NULL; else in a context that
 * the process shares (CUDA: the device's primary one). Opened twice in one context it is the same
 * back end. */
NnBackend *nn_backend_open_in (const char *device, const NnContext *context, GError **error);

/* Whether @device, the name of a GPU or "auto", allows the one with this @index. */
gboolean nn_backend_allows (const char *device, guint index);

/* Whether @device may be a GPU: this machine has such a one; nothing is opened. */
gboolean nn_backend_has_gpu (const char *device);

NnBackend *nn_backend_ref (NnBackend *backend);
void nn_backend_unref (NnBackend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnBackend, nn_backend_unref)

/* "cpu", "cuda:0". (transfer none) */
const char *nn_backend_get_device (const NnBackend *backend);
/* The driver's context, which lives as long as the back end does, and its device's index; NULL:
 * it has none, as the CPU. */
gpointer nn_backend_get_context (const NnBackend *backend, guint *index);
/* For people: "oneDNN 2.6.3, AVX-512". (transfer none) */
const char *nn_backend_get_description (const NnBackend *backend);

typedef struct
{
  char *device;      /* "cpu", "cuda:0"; a back end that cannot be used: "cuda" */
  char *description; /* what it is */
  char *reason;      /* why it cannot be used, NULL if it can */
} NnDeviceInfo;

/* Every device, usable or not, for `classify devices`. (transfer full)
 * (element-type NnDeviceInfo), freed by g_ptr_array_unref(). */
GPtrArray *nn_backend_list_devices (void);

typedef struct
{
  NnPrecision precision; /* training: the CPU has fp32 only; fp16 and bf16 are mixed precision */
  guint batch;    /* the most samples a run has, >= 1 */
  gboolean training;
  guint threads;  /* CPU: threads in use while running, the caller's included; 0 = all cores */
  /* Training only: */
  NnLoss loss;
  gboolean bessel_moving_variance; /* moving_variance gets N/(N-1-eps) * var: Keras 2.1.4 to 2.3.1;
                                    * FALSE: the biased one, as in 2.1.2 and Keras 3 */
} NnPlanOptions;

/* Compiles. All memory that running needs is taken here.
 * @model is kept by reference; its parameters must not change while an
 * inference plan of it exists (a training plan writes them, see below).
 * NN_ERROR_UNSUPPORTED names the layer; NN_ERROR_NO_MEMORY. */
NnPlan *nn_plan_new (NnBackend *backend, NnModel *model, const NnPlanOptions *options,
    GError **error);
void nn_plan_free (NnPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnPlan, nn_plan_free)

NnModel *nn_plan_get_model (const NnPlan *plan); /* (transfer none) */
guint nn_plan_get_batch (const NnPlan *plan);
guint nn_plan_get_threads (const NnPlan *plan);

/* Host memory for the input, (batch, H, W, C) floats: sample i starts at
 * i * H * W * C. Filled by the caller before a run. (transfer none) */
float *nn_plan_get_input (NnPlan *plan);

/* Inference on the first @n samples of the input, 1 <= n <= batch.
 * Returns: (transfer none): (n, n_outputs) floats, valid until the next run;
 * NULL with NN_ERROR_RUN. Allocates nothing. On a training plan: inference
 * with the present parameters and moving statistics (validation). */
const float *nn_plan_run (NnPlan *plan, guint n, GError **error);

/* Rows of a frame's plane that are in a device's memory already (that of another device or
 * another context of the driver, too), and their place in the pack. */
typedef struct
{
  guint number;       /* of the frame's planes */
  const guint8 *rows; /* on the device: the first byte */
  gsize pitch;        /* bytes from row to row there */
  gsize n_bytes;      /* of each row */
  guint n_rows;
  gsize at, stride; /* bytes, in the pack */
} NnPackPlane;

/* NnStaging: where a pack waits: memory of the host that the device reads fast, and the pack's
 * place on the device. One thread at a time; it may outlive every plan. */
typedef struct _NnStaging NnStaging;

/* What is to be taken of the outputs of several views. */
typedef enum
{
  NN_MEAN_PROBABILITIES,
  NN_MEAN_LOGITS, /* what softmax and sigmoid are of; a geometric mean of probabilities */
} NnMean;

/* Samples of a pack (nn/frame-pack.h), which the device makes itself. */
typedef struct
{
  NnStaging *staging; /* has it; not touched until the run is over */
  gsize size;
  guint first, n;            /* of its samples */
  guint n_views;             /* of each so many samples one output comes back, their mean;
                              * 0: of each sample its own */
  NnMean mean;
  gboolean is_drawn; /* the samples are draws of an augmentation: in no run with others */
  const NnPackPlane *planes; /* NULL: the host's memory has all */
  guint n_planes;
  gsize tables_size; /* with planes: what the host's memory has, the tables in front of them */
  guint64 tables_id; /* ... the same ones as those of other packs with this number */
  gpointer stream;   /* with planes: the driver's that writes to them; NULL: they are there.
                      * CUDA's default one: CU_STREAM_LEGACY */
} NnPack;

/* FALSE: the host must make the input. */
gboolean nn_plan_takes_packs (const NnPlan *plan);
/* Inference on the samples of all @packs one after the other, at most the batch, in place of
 * the input; otherwise as nn_plan_run(). Allocates for the first drawn ones, then nothing. */
const float *nn_plan_run_packs (
    NnPlan *plan, const NnPack *packs, guint n_packs, GError **error);

/* Of a back end whose plans take packs. (transfer full) */
NnStaging *nn_staging_new (NnBackend *backend);
void nn_staging_free (NnStaging *staging); /* waits as nn_staging_wait() does */
/* For each pack: room for its @size bytes, of which the host makes the first @host_size, after
 * waiting as nn_staging_wait() does. Returns the host's memory, aligned to 16 bytes,
 * (transfer none); NULL with NN_ERROR_NO_MEMORY. Allocates only where there was less before. */
guint8 *nn_staging_reserve (NnStaging *staging, gsize host_size, gsize size, GError **error);
/* Begins to bring @pack to the device and returns, so that it comes there while something else
 * runs. Without it the run brings it, which is the quicker way where that follows at once. */
gboolean nn_staging_send (NnStaging *staging, const NnPack *pack, GError **error);
/* Sends @pack, where it was not, and waits for the means over the cells of a grid of @size x @size
 * of its first sample, as the input has it. @means: room for (size, size, 3), filled as (size,
 * size, channels). Not of drawn samples. */
gboolean nn_staging_thumbnail (
    NnStaging *staging, const NnPack *pack, guint size, float *means, GError **error);
/* Until what was sent is there, and with it what of planes on a device is read. A run that
 * succeeded has waited. */
void nn_staging_wait (NnStaging *staging);

/* One training step on the first step->n samples of the input: forward with
 * batch statistics and dropout, loss, backward, optimizer, moving statistics;
 * optimizer->iterations is incremented and optimizer->ema, where there is one,
 * updated. The model's parameters and @optimizer's state are up to date on the host
 * only after nn_plan_sync() (at once on the CPU).
 * Dropout draws from (step->seed, NN_STREAM_DROPOUT, (iterations << 16) | layer).
 * Bitwise reproducible on the CPU for any number of threads. */
gboolean nn_plan_train_step (NnPlan *plan, const NnStep *step, NnOptimizer *optimizer,
    NnStepResult *result, GError **error);

/* Pictures of (rows, columns, channels) each. */
typedef struct
{
  const guint8 *bytes;
  gsize n;
} NnPictures;

/* Gives a training plan pictures to make its input of, step by step (NnStep.entries), numbered
 * through all @sets, of (form->source_rows, form->source_columns, form->channels). The device
 * keeps a copy. FALSE with NN_ERROR_UNSUPPORTED where it wants its input from the host, as the CPU
 * does, or NN_ERROR_NO_MEMORY. */
gboolean nn_plan_set_pictures (NnPlan *plan, const NnAugmentForm *form, const NnPictures *sets,
    guint n_sets, GError **error);

/* nn_plan_run() with the averaged parameters of optimizer->ema (NULL: with the present ones)
 * on a training plan, which goes on from the present ones. @entries: NULL, or (n) of the plan's
 * pictures, of which the input is made. */
const float *nn_plan_run_averaged (NnPlan *plan, NnOptimizer *optimizer,
    const NnAugmentEntry *entries, guint n, GError **error);

/* To be called when the host's parameters were changed by something other than
 * the plan: by nn_ema_swap(), say. Training plans only. */
void nn_plan_params_changed (NnPlan *plan);

/* Brings the host's parameters, optimizer slots and average up to date; @optimizer NULL: only the
 * parameters, which is a third of the work. */
gboolean nn_plan_sync (NnPlan *plan, NnOptimizer *optimizer, GError **error);

/* What was chosen for each primitive, one per line: "conv2d_2 forward:
 * winograd 4x4 + jit:avx512". For logs and tests. (transfer full) */
char *nn_plan_describe (const NnPlan *plan);

G_END_DECLS
