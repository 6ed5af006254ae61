/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/api.h"
#include "cuda/choices.h"
#include "cuda/kernel-args.h"

G_BEGIN_DECLS

/* A device opened: a context on it, and our kernels there. Immutable, used by any thread. */

typedef enum
{
#define X(name, ...) NN_KERNEL_##name,
  NN_ELEMENT_KERNELS (X) NN_BLOCK_KERNELS (X) NN_PHASE_KERNELS (X) NN_LANE_KERNELS (X)
#undef X
  NN_N_KERNELS
} NnKernel;

typedef struct
{
  const NnHost *host;
  guint index;
  CUdevice device;
  int arch; /* 90: compute capability 9.0 */
  CUcontext context;
  gboolean is_primary; /* the context, which we hold */
  CUmodule module;
  CUfunction kernels[NN_N_KERNELS];
  cublasLtHandle_t blas;
  NnCudaChoices *choices; /* or NULL. Owned */
} NnCudaDevice;

/* @context: somebody's, who keeps it until nn_cuda_device_free(), or NULL: the device's primary
 * one, which PyTorch and other users of the process share. */
NnCudaDevice *nn_cuda_device_new (
    const NnHost *host, guint index, CUcontext context, GError **error);
void nn_cuda_device_free (NnCudaDevice *device);

/* Makes the device's context the calling thread's, until left. */
gboolean nn_cuda_enter (const NnCudaDevice *device, int code, GError **error);
void nn_cuda_leave (void);

/* The memory that ways to the same result are tried on (cuda/measure.h), as the libraries' calls
 * have it. */
enum
{
  NN_TRIED_A,
  NN_TRIED_B,
  NN_TRIED_DST,
  NN_TRIED_BIAS,
  NN_TRIED_WORKSPACE,
  NN_N_TRIED
};

/* What a plan has on a device: a stream, cuDNN's handle, memory. One thread at a time,
 * inside nn_cuda_enter(). */
typedef struct
{
  const NnCudaDevice *device;
  CUstream stream;
  cudnnHandle_t dnn;
  cudnnBackendDescriptor_t profile; /* of a device that is not here, in place of the handle:
                                     * plans can be made for it, not run */
  GPtrArray *blocks, *pinned;
  gsize n_bytes; /* on the device */
  void *workspace; /* of the libraries: one call at a time */
  gsize workspace_size;
  void *tried[NN_N_TRIED];
  gsize tried_sizes[NN_N_TRIED];
} NnCudaContext;

gboolean nn_cuda_context_init (NnCudaContext *context, const NnCudaDevice *device, GError **error);
/* ... without cuDNN: memory and a stream for copies */
gboolean nn_cuda_memory_init (NnCudaContext *context, const NnCudaDevice *device, GError **error);
void nn_cuda_context_clear (NnCudaContext *context); /* also after a failed init */

/* Zeroed memory that lives as long as the context: on the device, or pinned on the host.
 * NN_ERROR_NO_MEMORY says for what and how much. */
void *nn_cuda_new (NnCudaContext *context, gsize bytes, const char *what, GError **error);
/* Gives back @memory of nn_cuda_new() before the context's end. It stops the device. */
void nn_cuda_release (NnCudaContext *context, void *memory, gsize bytes);
void *nn_cuda_new_pinned (NnCudaContext *context, gsize bytes, const char *what, GError **error);

/* Copies in the stream's order; the host's memory must stay until it is synchronised,
 * as it is after nn_cuda_sync(). */
gboolean nn_cuda_upload (NnCudaContext *c, void *to, const void *from, gsize bytes, GError **error);
gboolean nn_cuda_download (
    NnCudaContext *c, void *to, const void *from, gsize bytes, GError **error);
gboolean nn_cuda_clear (NnCudaContext *c, void *to, gsize bytes, GError **error);
gboolean nn_cuda_sync (NnCudaContext *c, GError **error);

/* A parameter to and from the device, at once. A kernel (..., in, out) lies there transposed,
 * (out, ..., in): cuDNN's NHWC order, and the one that cuBLASLt likes best. */
gboolean nn_cuda_put_param (
    NnCudaContext *c, const NnParam *param, const float *values, float *to, GError **error);
gboolean nn_cuda_get_param (
    NnCudaContext *c, const NnParam *param, const float *from, float *values, GError **error);

/* Runs what @record puts into the stream as a graph from then on. */
typedef gboolean (*NnCudaRecord) (gpointer data, GError **error);
CUgraphExec nn_cuda_capture (
    NnCudaContext *c, NnCudaRecord record, gpointer data, GError **error);

gboolean nn_cuda_launch (NnCudaContext *c, NnKernel kernel, guint blocks, const void *args,
    GError **error);

/* nn_k_affine_launch (context, &args, error) and so on */
#define X(name, Args) \
  static inline gboolean name##_launch (NnCudaContext *c, const Args *args, GError **error) \
  { \
    return nn_cuda_launch ( \
        c, NN_KERNEL_##name, (args->count + NN_BLOCK - 1) / NN_BLOCK, args, error); \
  }
NN_ELEMENT_KERNELS (X)
#undef X
#define X(name, Args, ...) \
  static inline gboolean name##_launch (NnCudaContext *c, const Args *args, GError **error) \
  { \
    return nn_cuda_launch (c, NN_KERNEL_##name, args->blocks, args, error); \
  }
NN_BLOCK_KERNELS (X)
NN_PHASE_KERNELS (X)
NN_LANE_KERNELS (X)
#undef X

/* @args: not prepared */
static inline gboolean
nn_k_finish_launch (NnCudaContext *c, const NnFinishArgs *args, GError **error)
{
  NnFinishArgs prepared = *args;

  nn_finish_prepare (&prepared);
  return nn_k_finish_lanes_launch (c, &prepared, error);
}

G_END_DECLS
