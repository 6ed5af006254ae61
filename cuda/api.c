/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/api.h"

#include <dlfcn.h>

#include "nn/error.h"

NnApi nn_api;

GQuark nn_api_domain;

#define NAME(f) #f
#define ROW(f) { NAME (f), (void **) &nn_api.f },

static const struct
{
  const char *name;
  void **function;
} cu_functions[] = { NN_CU_FUNCTIONS (ROW) }, cudnn_functions[] = { NN_CUDNN_FUNCTIONS (ROW) },
  blaslt_functions[] = { NN_BLASLT_FUNCTIONS (ROW) };

#define LOAD(functions, library, what) \
  for (guint i = 0; i < G_N_ELEMENTS (functions); i++) { \
    *functions[i].function = dlsym (library, functions[i].name); \
    if (!*functions[i].function) { \
      g_set_error (error, nn_api_domain, NN_ERROR_BACKEND, \
          "%s has no function %s: it is older than this build of classify", what, \
          functions[i].name); \
      return FALSE; \
    } \
  }

gboolean
nn_api_load (const NnHost *host, const NnCudaLibraries *libraries, GError **error)
{
  nn_api_domain = host->error_domain;
  LOAD (cu_functions, libraries->driver, "the NVIDIA driver");
  LOAD (cudnn_functions, libraries->cudnn, "cuDNN");
  LOAD (blaslt_functions, libraries->cublaslt, "cuBLAS");
  return TRUE;
}

gboolean
nn_cu_check (CUresult status, const char *call, int code, GError **error)
{
  const char *name = NULL, *words = NULL;

  if (status == CUDA_SUCCESS)
    return TRUE;
  if (status == CUDA_ERROR_OUT_OF_MEMORY) {
    g_set_error (error, nn_api_domain, NN_ERROR_NO_MEMORY, "out of memory (%s)", call);
    return FALSE;
  }
  nn_api.cuGetErrorName (status, &name);
  nn_api.cuGetErrorString (status, &words);
  g_set_error (error, nn_api_domain, code, "CUDA: %s: %s (%s)", call,
      words ? words : "unknown error", name ? name : "?");
  return FALSE;
}

gboolean
nn_cudnn_check (cudnnStatus_t status, const char *call, int code, GError **error)
{
  if (status == CUDNN_STATUS_SUCCESS)
    return TRUE;
  g_set_error (
      error, nn_api_domain, code, "cuDNN: %s: %s", call, nn_api.cudnnGetErrorString (status));
  return FALSE;
}

gboolean
nn_blaslt_check (cublasStatus_t status, const char *call, int code, GError **error)
{
  if (status == CUBLAS_STATUS_SUCCESS)
    return TRUE;
  g_set_error (error, nn_api_domain, code, "cuBLAS: %s: %s", call,
      nn_api.cublasLtGetStatusString (status));
  return FALSE;
}
