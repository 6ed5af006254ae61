/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The functions of NVIDIA's libraries that we call, as tables filled at run time. The
 * driver's own interface is used throughout, so that no CUDA runtime is needed; names
 * of cuda.h that are macros (cuMemAlloc is cuMemAlloc_v2) become the right symbols. */

#include <cublasLt.h>
#include <cuda.h>
#include <cudnn_graph.h>

#include "cuda/loader.h"

G_BEGIN_DECLS

#define NN_CU_FUNCTIONS(X) \
  X (cuCtxPopCurrent) X (cuCtxPushCurrent) X (cuDeviceGet) X (cuDeviceGetAttribute) \
  X (cuDevicePrimaryCtxRelease) X (cuDevicePrimaryCtxRetain) X (cuEventCreate) \
  X (cuEventDestroy) X (cuEventElapsedTime) X (cuEventRecord) X (cuEventSynchronize) \
  X (cuGetErrorName) X (cuGetErrorString) X (cuGraphDestroy) X (cuGraphExecDestroy) \
  X (cuGraphInstantiate) X (cuGraphLaunch) X (cuLaunchKernel) X (cuMemAlloc) X (cuMemAllocHost) \
  X (cuMemFree) X (cuMemFreeHost) X (cuMemGetInfo) X (cuMemcpy2DAsync) X (cuMemcpy3DPeerAsync) \
  X (cuMemcpyDtoDAsync) X (cuMemcpyDtoHAsync) X (cuMemcpyHtoDAsync) X (cuMemsetD8Async) \
  X (cuModuleGetFunction) X (cuModuleLoadData) X (cuModuleUnload) X (cuPointerGetAttribute) \
  X (cuStreamBeginCapture) X (cuStreamCreate) X (cuStreamDestroy) X (cuStreamEndCapture) \
  X (cuStreamGetCtx) X (cuStreamSynchronize) X (cuStreamWaitEvent)

#define NN_CUDNN_FUNCTIONS(X) \
  X (cudnnBackendCreateDescriptor) X (cudnnBackendDestroyDescriptor) X (cudnnBackendExecute) \
  X (cudnnBackendFinalize) X (cudnnBackendGetAttribute) X (cudnnBackendSetAttribute) \
  X (cudnnCreate) X (cudnnDestroy) X (cudnnGetErrorString) X (cudnnSetStream)

#define NN_BLASLT_FUNCTIONS(X) \
  X (cublasLtCreate) X (cublasLtDestroy) X (cublasLtGetStatusString) X (cublasLtGetVersion) \
  X (cublasLtMatmul) X (cublasLtMatmulAlgoConfigGetAttribute) X (cublasLtMatmulAlgoGetHeuristic) \
  X (cublasLtMatmulDescCreate) X (cublasLtMatmulDescDestroy) \
  X (cublasLtMatmulDescSetAttribute) X (cublasLtMatmulPreferenceCreate) \
  X (cublasLtMatmulPreferenceDestroy) X (cublasLtMatmulPreferenceSetAttribute) \
  X (cublasLtMatrixLayoutCreate) X (cublasLtMatrixLayoutDestroy)

#define NN_API_MEMBER(f) __typeof__ (f) *f;
typedef struct
{
  NN_CU_FUNCTIONS (NN_API_MEMBER)
  NN_CUDNN_FUNCTIONS (NN_API_MEMBER)
  NN_BLASLT_FUNCTIONS (NN_API_MEMBER)
} NnApi;

extern NnApi nn_api;
extern GQuark nn_api_domain; /* of errors: the host's */

/* Fills the table. NN_ERROR_BACKEND names the function that a library lacks. */
gboolean nn_api_load (const NnHost *host, const NnCudaLibraries *libraries, GError **error);

/* TRUE where the call succeeded; else NN_ERROR_NO_MEMORY or @code with the call's name. */
gboolean nn_cu_check (CUresult status, const char *call, int code, GError **error);
gboolean nn_cudnn_check (cudnnStatus_t status, const char *call, int code, GError **error);
gboolean nn_blaslt_check (cublasStatus_t status, const char *call, int code, GError **error);

#define NN_CU(f, code, error, ...) nn_cu_check (nn_api.f (__VA_ARGS__), #f, code, error)
#define NN_CUDNN(f, code, error, ...) nn_cudnn_check (nn_api.f (__VA_ARGS__), #f, code, error)
#define NN_BLASLT(f, code, error, ...) nn_blaslt_check (nn_api.f (__VA_ARGS__), #f, code, error)

G_END_DECLS
