/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/device.h"

#include <string.h>

#include "nn/error.h"

extern const unsigned char nn_cuda_fatbin[]; /* kernels.cu, compiled */

static const char *const kernel_names[] = {
#define X(name, ...) #name,
  NN_ELEMENT_KERNELS (X) NN_BLOCK_KERNELS (X) NN_PHASE_KERNELS (X) NN_LANE_KERNELS (X)
#undef X
};

static CUdeviceptr
address (const void *p)
{
  return (CUdeviceptr) (guintptr) p;
}

/* --- the device ------------------ */

static gboolean
load_kernels (NnCudaDevice *device, GError **error)
{
  const int code = NN_ERROR_BACKEND;
  int major = 0, minor = 0;

  if (!NN_CU (cuDeviceGetAttribute, code, error, &major,
          CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device->device)
      || !NN_CU (cuDeviceGetAttribute, code, error, &minor,
          CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device->device))
    return FALSE;
  device->arch = 10 * major + minor;
  if (!NN_CU (cuModuleLoadData, code, error, &device->module, nn_cuda_fatbin))
    return FALSE;
  for (guint i = 0; i < NN_N_KERNELS; i++)
    if (!NN_CU (cuModuleGetFunction, code, error, &device->kernels[i], device->module,
            kernel_names[i]))
      return FALSE;
  return NN_BLASLT (cublasLtCreate, code, error, &device->blas);
}

NnCudaDevice *
nn_cuda_device_new (const NnHost *host, guint index, CUcontext context, GError **error)
{
  NnCudaDevice *device = g_new0 (NnCudaDevice, 1);
  gboolean ok;

  device->host = host;
  device->index = index;
  device->context = context;
  device->is_primary = context == NULL;
  if (!NN_CU (cuDeviceGet, NN_ERROR_BACKEND, error, &device->device, (int) index)
      || (!context
          && !NN_CU (cuDevicePrimaryCtxRetain, NN_ERROR_BACKEND, error, &device->context,
              device->device))) {
    g_prefix_error (error, "device %u cannot be opened: ", index);
    g_free (device);
    return NULL;
  }
  ok = nn_cuda_enter (device, NN_ERROR_BACKEND, error);
  if (ok) {
    ok = load_kernels (device, error);
    nn_cuda_leave ();
  }
  if (ok)
    return device;
  g_prefix_error (error, "device %u cannot be opened: ", index);
  nn_cuda_device_free (device);
  return NULL;
}

void
nn_cuda_device_free (NnCudaDevice *device)
{
  if (nn_cuda_enter (device, NN_ERROR_BACKEND, NULL)) {
    if (device->blas)
      nn_api.cublasLtDestroy (device->blas);
    if (device->module)
      nn_api.cuModuleUnload (device->module);
    nn_cuda_leave ();
  }
  if (device->is_primary)
    nn_api.cuDevicePrimaryCtxRelease (device->device);
  nn_cuda_choices_free (device->choices);
  g_free (device);
}

gboolean
nn_cuda_enter (const NnCudaDevice *device, int code, GError **error)
{
  return NN_CU (cuCtxPushCurrent, code, error, device->context);
}

void
nn_cuda_leave (void)
{
  CUcontext context;

  nn_api.cuCtxPopCurrent (&context);
}

/* --- a plan's context ------------------ */

gboolean
nn_cuda_memory_init (NnCudaContext *c, const NnCudaDevice *device, GError **error)
{
  c->device = device;
  c->blocks = g_ptr_array_new ();
  c->pinned = g_ptr_array_new ();
  return NN_CU (cuStreamCreate, NN_ERROR_BACKEND, error, &c->stream, CU_STREAM_NON_BLOCKING);
}

gboolean
nn_cuda_context_init (NnCudaContext *c, const NnCudaDevice *device, GError **error)
{
  const int code = NN_ERROR_BACKEND;

  return nn_cuda_memory_init (c, device, error)
      && NN_CUDNN (cudnnCreate, code, error, &c->dnn)
      && NN_CUDNN (cudnnSetStream, code, error, c->dnn, c->stream);
}

void
nn_cuda_context_clear (NnCudaContext *c)
{
  if (!c->device)
    return;
  if (c->stream)
    nn_api.cuStreamSynchronize (c->stream);
  if (c->dnn)
    nn_api.cudnnDestroy (c->dnn);
  for (guint i = 0; i < NN_N_TRIED; i++)
    if (c->tried[i])
      nn_api.cuMemFree (address (c->tried[i]));
  for (guint i = 0; i < c->blocks->len; i++)
    nn_api.cuMemFree (address (c->blocks->pdata[i]));
  for (guint i = 0; i < c->pinned->len; i++)
    nn_api.cuMemFreeHost (c->pinned->pdata[i]);
  g_ptr_array_unref (c->blocks);
  g_ptr_array_unref (c->pinned);
  if (c->stream)
    nn_api.cuStreamDestroy (c->stream);
  memset (c, 0, sizeof *c);
}

static void
prefix (NnCudaContext *c, gsize bytes, const char *what, GError **error)
{
  size_t free_bytes = 0, total = 0;

  nn_api.cuMemGetInfo (&free_bytes, &total);
  g_prefix_error (error,
      "%s: %.1f MiB wanted, %.1f MiB taken before, %.1f of %.1f MiB free (a smaller batch needs "
      "less): ",
      what, (double) bytes / (1 << 20), (double) c->n_bytes / (1 << 20),
      (double) free_bytes / (1 << 20), (double) total / (1 << 20));
}

void *
nn_cuda_new (NnCudaContext *c, gsize bytes, const char *what, GError **error)
{
  CUdeviceptr block = 0;

  bytes = MAX (bytes, 16);
  if (!NN_CU (cuMemAlloc, NN_ERROR_NO_MEMORY, error, &block, bytes)) {
    prefix (c, bytes, what, error);
    return NULL;
  }
  g_ptr_array_add (c->blocks, (gpointer) (guintptr) block);
  c->n_bytes += bytes;
  return nn_cuda_clear (c, (gpointer) (guintptr) block, bytes, error)
      ? (gpointer) (guintptr) block
      : NULL;
}

void
nn_cuda_release (NnCudaContext *c, void *memory, gsize bytes)
{
  if (!memory || !g_ptr_array_remove_fast (c->blocks, memory))
    return;
  nn_api.cuMemFree (address (memory));
  c->n_bytes -= MAX (bytes, 16);
}

void *
nn_cuda_new_pinned (NnCudaContext *c, gsize bytes, const char *what, GError **error)
{
  void *block = NULL;

  bytes = MAX (bytes, 16);
  if (!NN_CU (cuMemAllocHost, NN_ERROR_NO_MEMORY, error, &block, bytes)) {
    prefix (c, bytes, what, error);
    return NULL;
  }
  g_ptr_array_add (c->pinned, block);
  memset (block, 0, bytes);
  return block;
}

gboolean
nn_cuda_upload (NnCudaContext *c, void *to, const void *from, gsize bytes, GError **error)
{
  return NN_CU (cuMemcpyHtoDAsync, NN_ERROR_RUN, error, address (to), from, bytes, c->stream);
}

gboolean
nn_cuda_download (NnCudaContext *c, void *to, const void *from, gsize bytes, GError **error)
{
  return NN_CU (cuMemcpyDtoHAsync, NN_ERROR_RUN, error, to, address (from), bytes, c->stream);
}

gboolean
nn_cuda_clear (NnCudaContext *c, void *to, gsize bytes, GError **error)
{
  return bytes == 0
      || NN_CU (cuMemsetD8Async, NN_ERROR_RUN, error, address (to), 0, bytes, c->stream);
}

gboolean
nn_cuda_sync (NnCudaContext *c, GError **error)
{
  return NN_CU (cuStreamSynchronize, NN_ERROR_RUN, error, c->stream);
}

/* --- parameters ------------------ */

static void
transpose (gsize rows, gsize cols, const float *from, float *to)
{
  for (gsize r = 0; r < rows; r += 32)
    for (gsize c = 0; c < cols; c += 32)
      for (gsize i = r; i < MIN (r + 32, rows); i++)
        for (gsize j = c; j < MIN (c + 32, cols); j++)
          to[j * rows + i] = from[i * cols + j];
}

static void
fail_host (NnCudaContext *c, const char *what, gsize bytes, GError **error)
{
  g_set_error (error, c->device->host->error_domain, NN_ERROR_NO_MEMORY,
      "no memory for a copy of a %s of %.1f MiB", what, (double) bytes / (1 << 20));
}

gboolean
nn_cuda_put_param (
    NnCudaContext *c, const NnParam *param, const float *values, float *to, GError **error)
{
  const gsize bytes = param->n_values * sizeof (float);
  const gsize out = param->shape.n_dims ? param->shape.dims[param->shape.n_dims - 1] : 1;
  g_autofree float *turned = NULL;

  if (param->shape.n_dims > 1) {
    if (!(turned = g_try_malloc (bytes))) {
      fail_host (c, param->name, bytes, error);
      return FALSE;
    }
    transpose (param->n_values / out, out, values, turned);
    values = turned;
  }
  return nn_cuda_upload (c, to, values, bytes, error) && nn_cuda_sync (c, error);
}

gboolean
nn_cuda_get_param (
    NnCudaContext *c, const NnParam *param, const float *from, float *values, GError **error)
{
  const gsize bytes = param->n_values * sizeof (float);
  const gsize out = param->shape.n_dims ? param->shape.dims[param->shape.n_dims - 1] : 1;
  g_autofree float *turned = param->shape.n_dims > 1 ? g_try_malloc (bytes) : NULL;

  if (param->shape.n_dims > 1 && !turned) {
    fail_host (c, param->name, bytes, error);
    return FALSE;
  }
  if (!nn_cuda_download (c, turned ? turned : values, from, bytes, error)
      || !nn_cuda_sync (c, error))
    return FALSE;
  if (turned)
    transpose (out, param->n_values / out, turned, values);
  return TRUE;
}

/* --- launching ------------------ */

gboolean
nn_cuda_launch (NnCudaContext *c, NnKernel kernel, guint blocks, const void *args, GError **error)
{
  void *params[] = { (void *) args };

  return nn_cu_check (nn_api.cuLaunchKernel (c->device->kernels[kernel], blocks, 1, 1, NN_BLOCK, 1,
                          1, 0, c->stream, params, NULL),
      kernel_names[kernel], NN_ERROR_RUN, error);
}

CUgraphExec
nn_cuda_capture (NnCudaContext *c, NnCudaRecord record, gpointer data, GError **error)
{
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  gboolean ok;

  if (!NN_CU (cuStreamBeginCapture, NN_ERROR_RUN, error, c->stream,
          CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
    return NULL;
  ok = record (data, error);
  /* an end is needed in any case; its own error only where there was none before */
  if (!NN_CU (cuStreamEndCapture, NN_ERROR_RUN, ok ? error : NULL, c->stream, &graph) || !ok)
    goto out;
  if (!NN_CU (cuGraphInstantiate, NN_ERROR_RUN, error, &exec, graph, 0))
    exec = NULL;

out:
  if (graph)
    nn_api.cuGraphDestroy (graph);
  return exec;
}
