/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/kernel-math.h"
#include "tests/fake-cuda/fake.h"

#ifdef __clang__
#pragma clang diagnostic ignored "-Wmissing-prototypes"
#else
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#endif

/* The opaque structs hold ours. */
typedef struct
{
  int trans_a, trans_b;
  cublasLtEpilogue_t epilogue;
  const float *bias;
} Desc;

typedef struct
{
  cudaDataType type;
  uint64_t rows, cols;
  int64_t ld;
} Layout;

typedef struct
{
  Desc desc;
  Layout a, b, d;
  const void *pa, *pb;
  void *pd;
} Product;

static char the_handle;

static double
get (const Layout *l, const void *p, uint64_t row, uint64_t col)
{
  return nn_load (p,
      l->type == CUDA_R_32F      ? NN_TYPE_F32
          : l->type == CUDA_R_16F ? NN_TYPE_F16
                                  : NN_TYPE_BF16,
      row + col * (uint64_t) l->ld);
}

static void
run_product (void *data)
{
  const Product *p = data;
  const uint64_t k = p->desc.trans_a ? p->a.rows : p->a.cols;

  for (uint64_t m = 0; m < p->d.rows; m++) {
    for (uint64_t n = 0; n < p->d.cols; n++) {
      const int with_bias = p->desc.epilogue == CUBLASLT_EPILOGUE_BIAS
          || p->desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
      const int with_relu = p->desc.epilogue == CUBLASLT_EPILOGUE_RELU
          || p->desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
      double sum = with_bias ? p->desc.bias[m] : 0;

      for (uint64_t i = 0; i < k; i++)
        sum += (p->desc.trans_a ? get (&p->a, p->pa, i, m) : get (&p->a, p->pa, m, i))
            * (p->desc.trans_b ? get (&p->b, p->pb, n, i) : get (&p->b, p->pb, i, n));
      nn_store (p->pd,
          p->d.type == CUDA_R_32F      ? NN_TYPE_F32
              : p->d.type == CUDA_R_16F ? NN_TYPE_F16
                                        : NN_TYPE_BF16,
          m + n * (uint64_t) p->d.ld, with_relu && sum < 0 ? 0 : (float) sum);
    }
  }
}

cublasStatus_t
cublasLtCreate (cublasLtHandle_t *handle)
{
  *handle = (cublasLtHandle_t) &the_handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtDestroy (cublasLtHandle_t handle)
{
  return CUBLAS_STATUS_SUCCESS;
}

const char *
cublasLtGetStatusString (cublasStatus_t status)
{
  return "refused by the fake cuBLASLt";
}

cublasStatus_t
cublasLtMatmulDescCreate (
    cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType_t scale)
{
  Desc *d = calloc (1, sizeof *d);

  d->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  *desc = (cublasLtMatmulDesc_t) d;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulDescDestroy (cublasLtMatmulDesc_t desc)
{
  free (desc);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulDescSetAttribute (cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
    const void *value, size_t size)
{
  Desc *d = (Desc *) desc;

  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      d->trans_a = *(const cublasOperation_t *) value == CUBLAS_OP_T;
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      d->trans_b = *(const cublasOperation_t *) value == CUBLAS_OP_T;
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      d->epilogue = *(const cublasLtEpilogue_t *) value;
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      d->bias = *(const float *const *) value;
      return CUBLAS_STATUS_SUCCESS;
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t
cublasLtMatrixLayoutCreate (
    cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)
{
  Layout *l = malloc (sizeof *l);

  *l = (Layout) { type, rows, cols, ld };
  *layout = (cublasLtMatrixLayout_t) l;
  return ld >= (int64_t) rows ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t
cublasLtMatrixLayoutDestroy (cublasLtMatrixLayout_t layout)
{
  free (layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceCreate (cublasLtMatmulPreference_t *preference)
{
  *preference = malloc (sizeof **preference);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceDestroy (cublasLtMatmulPreference_t preference)
{
  free (preference);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute (cublasLtMatmulPreference_t preference,
    cublasLtMatmulPreferenceAttributes_t attribute, const void *value, size_t size)
{
  return CUBLAS_STATUS_SUCCESS;
}

/* whether the sizes of a product agree */
static int
agrees (const Desc *d, const Layout *a, const Layout *b, const Layout *out)
{
  const uint64_t m = d->trans_a ? a->cols : a->rows, ka = d->trans_a ? a->rows : a->cols;
  const uint64_t n = d->trans_b ? b->rows : b->cols, kb = d->trans_b ? b->cols : b->rows;

  return ka == kb && m == out->rows && n == out->cols && a->type == b->type;
}

cublasStatus_t
cublasLtMatmulAlgoGetHeuristic (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
    cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
    cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int wanted,
    cublasLtMatmulHeuristicResult_t results[], int *n)
{
  *n = 0;
  if (!agrees ((Desc *) desc, (Layout *) a, (Layout *) b, (Layout *) d))
    abort (); /* our mistake */
  if (getenv ("FAKE_CUDA_NO_ALGORITHM"))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  memset (results, 0, sizeof *results);
  results->workspaceSize = 256;
  *n = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmul (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
    const void *pa, cublasLtMatrixLayout_t a, const void *pb, cublasLtMatrixLayout_t b,
    const void *beta, const void *pc, cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t d,
    const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size, cudaStream_t stream)
{
  const Product product = { *(Desc *) desc, *(Layout *) a, *(Layout *) b, *(Layout *) d, pa, pb,
    pd };

  if (*(const float *) alpha != 1 || *(const float *) beta != 0 || !workspace
      || workspace_size < 256)
    return CUBLAS_STATUS_INVALID_VALUE;
  fake_cuda_submit ((CUstream) stream, run_product, &product, sizeof product);
  return CUBLAS_STATUS_SUCCESS;
}
