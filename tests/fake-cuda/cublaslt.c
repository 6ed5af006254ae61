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
  cublasComputeType_t compute;
  cublasLtEpilogue_t epilogue;
  const float *bias;
} Desc;

typedef struct
{
  cudaDataType type;
  uint64_t rows, cols;
  int64_t ld;
} Layout;

/* in the heuristics' order; a product is split along what is added up */
typedef struct
{
  int id;
  uint32_t scheme; /* how its parts are added up */
  unsigned splits;
  double milliseconds;
  cublasStatus_t state;
} Algorithm;

static const Algorithm algorithms[] = {
  { 10, CUBLASLT_REDUCTION_SCHEME_NONE, 1, 3, CUBLAS_STATUS_SUCCESS },
  { 11, CUBLASLT_REDUCTION_SCHEME_NONE, 1, 0.1, CUBLAS_STATUS_NOT_SUPPORTED },
  { 12, CUBLASLT_REDUCTION_SCHEME_INPLACE, 3, 0.2, CUBLAS_STATUS_SUCCESS },
  { 13, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 3, 2, CUBLAS_STATUS_SUCCESS },
  { 14, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 2, 1, CUBLAS_STATUS_SUCCESS },
};

#define N_ALGORITHMS (int) (sizeof algorithms / sizeof *algorithms)

typedef struct
{
  size_t workspace;
  uint32_t schemes;
} Preference;

typedef struct
{
  Desc desc;
  Layout a, b, d;
  const void *pa, *pb;
  void *pd;
  const Algorithm *algorithm;
  float *parts; /* (splits, cols, rows) of the result */
} Product;

static char the_handle;

/* whether $@variable is the algorithm's number */
static int
is_named (const Algorithm *algorithm, const char *variable)
{
  const char *id = getenv (variable);

  return id && atoi (id) == algorithm->id;
}

/* whether products of this kind are what $FAKE_CUDA_REFUSED_PRODUCTS names */
static int
is_refused (const Desc *desc)
{
  const char *kinds = getenv ("FAKE_CUDA_REFUSED_PRODUCTS");

  return kinds
      && ((strstr (kinds, "tf32") && desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32)
          || (strstr (kinds, "epilogue") && desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT));
}

static size_t
workspace_of (const Algorithm *algorithm, const Layout *d)
{
  return algorithm->splits > 1 ? algorithm->splits * d->rows * d->cols * sizeof (float) : 256;
}

static double
get (const Layout *l, const void *p, uint64_t row, uint64_t col)
{
  return nn_load (p,
      l->type == CUDA_R_32F      ? NN_TYPE_F32
          : l->type == CUDA_R_16F ? NN_TYPE_F16
                                  : NN_TYPE_BF16,
      row + col * (uint64_t) l->ld);
}

/* of terms @from to @to - 1 */
static double
dot (const Product *p, uint64_t m, uint64_t n, uint64_t from, uint64_t to)
{
  double sum = 0;

  for (uint64_t i = from; i < to; i++)
    sum += (p->desc.trans_a ? get (&p->a, p->pa, i, m) : get (&p->a, p->pa, m, i))
        * (p->desc.trans_b ? get (&p->b, p->pb, n, i) : get (&p->b, p->pb, i, n));
  return sum;
}

static void
run_product (void *data)
{
  const Product *p = data;
  const uint64_t k = p->desc.trans_a ? p->a.rows : p->a.cols, splits = p->algorithm->splits;
  const int with_bias = p->desc.epilogue == CUBLASLT_EPILOGUE_BIAS
      || p->desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
  const int with_relu = p->desc.epilogue == CUBLASLT_EPILOGUE_RELU
      || p->desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;

  for (uint64_t m = 0; m < p->d.rows; m++) {
    for (uint64_t n = 0; n < p->d.cols; n++) {
      double sum = with_bias ? p->desc.bias[m] : 0;

      for (uint64_t s = 0; s < splits; s++) {
        double part = dot (p, m, n, s * k / splits, (s + 1) * k / splits);

        if (splits > 1)
          part = p->parts[(s * p->d.cols + n) * p->d.rows + m] = (float) part;
        sum += part;
      }
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

size_t
cublasLtGetVersion (void)
{
  return 130000;
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
  d->compute = compute;
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
  Preference *p = calloc (1, sizeof *p);

  p->schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  *preference = (cublasLtMatmulPreference_t) p;
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
  Preference *p = (Preference *) preference;

  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && size == sizeof p->workspace)
    memcpy (&p->workspace, value, size);
  else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK && size == sizeof p->schemes)
    memcpy (&p->schemes, value, size);
  else
    return CUBLAS_STATUS_INVALID_VALUE;
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
  const Preference *p = (Preference *) preference;

  *n = 0;
  if (!agrees ((Desc *) desc, (Layout *) a, (Layout *) b, (Layout *) d))
    abort (); /* our mistake */
  if (getenv ("FAKE_CUDA_NO_ALGORITHM") || is_refused ((Desc *) desc))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  for (int i = 0; i < N_ALGORITHMS && *n < wanted; i++) {
    const Algorithm *algorithm = &algorithms[i];
    const size_t workspace = workspace_of (algorithm, (Layout *) d);

    if ((algorithm->scheme & ~p->schemes) != 0 || workspace > p->workspace
        || is_named (algorithm, "FAKE_CUDA_LACKS"))
      continue;
    memset (&results[*n], 0, sizeof *results);
    results[*n].algo.data[0] = (uint64_t) i;
    results[*n].workspaceSize = workspace;
    results[*n].state = algorithm->state;
    ++*n;
  }
  return *n > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t
cublasLtMatmulAlgoConfigGetAttribute (const cublasLtMatmulAlgo_t *algo,
    cublasLtMatmulAlgoConfigAttributes_t attribute, void *value, size_t size, size_t *written)
{
  if (attribute != CUBLASLT_ALGO_CONFIG_ID || size != sizeof (int32_t))
    return CUBLAS_STATUS_INVALID_VALUE;
  memcpy (value, &algorithms[algo->data[0]].id, size);
  *written = size;
  return CUBLAS_STATUS_SUCCESS;
}

/* what the heuristics took for granted */
static int
is_aligned (const void *p)
{
  return (uintptr_t) p % 256 == 0;
}

cublasStatus_t
cublasLtMatmul (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
    const void *pa, cublasLtMatrixLayout_t a, const void *pb, cublasLtMatrixLayout_t b,
    const void *beta, const void *pc, cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t d,
    const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size, cudaStream_t stream)
{
  const Algorithm *algorithm = &algorithms[algo->data[0]];
  const Product product = { *(Desc *) desc, *(Layout *) a, *(Layout *) b, *(Layout *) d, pa, pb,
    pd, algorithm, workspace };

  if (*(const float *) alpha != 1 || *(const float *) beta != 0 || !workspace
      || workspace_size < workspace_of (algorithm, (Layout *) d) || algorithm->state
      || !is_aligned (pa) || !is_aligned (pb) || !is_aligned (pd) || !is_aligned (workspace))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (is_named (algorithm, "FAKE_CUDA_REFUSES"))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  fake_cuda_spend (algorithm->milliseconds);
  fake_cuda_submit ((CUstream) stream, run_product, &product, sizeof product);
  return CUBLAS_STATUS_SUCCESS;
}
