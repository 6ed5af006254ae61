/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/dense.h"

#include "nn/error.h"

/* cuBLASLt sees row-major matrices transposed: its D is our result's (columns, rows), so
 * that forward is D (units, rows) = W^T X with W (in, units) and X (in, rows) in its
 * column-major order. */

#define WORKSPACE ((gsize) 32 << 20)

struct _NnCudaDense
{
  NnDenseShape shape;
  cublasLtMatmulDesc_t desc;
  cublasLtMatrixLayout_t a, b, d;
  cublasLtMatmulAlgo_t algo;
  gsize workspace;
  gboolean by_loops; /* no algorithm: our own plain kernel */
};

static cudaDataType
data_type (NnType type)
{
  return type == NN_TYPE_F32 ? CUDA_R_32F : type == NN_TYPE_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

static gboolean
describe_product (NnCudaDense *dense, GError **error)
{
  const NnDenseShape *s = &dense->shape;
  const int code = NN_ERROR_BACKEND;
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const cublasLtEpilogue_t epilogue = s->bias ? (s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                                         : CUBLASLT_EPILOGUE_BIAS)
      : s->relu ? CUBLASLT_EPILOGUE_RELU
                : CUBLASLT_EPILOGUE_DEFAULT;
  const gsize m = s->kind == NN_DENSE_FORWARD ? s->units : s->in;
  const gsize n = s->kind == NN_DENSE_FILTER ? s->units : s->rows;

  /* A: w (in, units); x (in, rows) for the filter. B: x (in, rows); dy (units, rows) */
  return NN_BLASLT (cublasLtMatmulDescCreate, code, error, &dense->desc,
             s->tf32 && s->type == NN_TYPE_F32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                               : CUBLAS_COMPUTE_32F,
             CUDA_R_32F)
      && (s->kind != NN_DENSE_FORWARD
          || NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
              CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed))
      && (s->kind != NN_DENSE_FILTER
          || NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
              CUBLASLT_MATMUL_DESC_TRANSB, &transposed, sizeof transposed))
      && NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
          CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue)
      && (!s->bias
          || NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
              CUBLASLT_MATMUL_DESC_BIAS_POINTER, &s->bias, sizeof s->bias))
      && NN_BLASLT (cublasLtMatrixLayoutCreate, code, error, &dense->a, data_type (s->type),
          s->in, s->kind == NN_DENSE_FILTER ? s->rows : s->units, (gint64) s->in)
      && NN_BLASLT (cublasLtMatrixLayoutCreate, code, error, &dense->b, data_type (s->type),
          s->kind == NN_DENSE_FORWARD ? s->in : s->units, s->rows,
          (gint64) (s->kind == NN_DENSE_FORWARD ? s->in : s->units))
      && NN_BLASLT (cublasLtMatrixLayoutCreate, code, error, &dense->d, data_type (s->dst_type),
          m, n, (gint64) m);
}

/* The heuristics' first choice: in NVIDIA's order of expected time. */
static gboolean
choose (NnCudaDense *dense, NnCudaContext *c, GError **error)
{
  const int code = NN_ERROR_BACKEND;
  const gsize workspace = WORKSPACE;
  cublasLtMatmulPreference_t preference = NULL;
  cublasLtMatmulHeuristicResult_t result = { 0 };
  int n = 0;
  gboolean ok = NN_BLASLT (cublasLtMatmulPreferenceCreate, code, error, &preference)
      && NN_BLASLT (cublasLtMatmulPreferenceSetAttribute, code, error, preference,
          CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);

  if (ok) {
    cublasStatus_t status = nn_api.cublasLtMatmulAlgoGetHeuristic (c->device->blas, dense->desc,
        dense->a, dense->b, dense->d, dense->d, preference, 1, &result, &n);

    dense->by_loops = status != CUBLAS_STATUS_SUCCESS || n < 1
        || result.state != CUBLAS_STATUS_SUCCESS;
    dense->algo = result.algo;
    dense->workspace = dense->by_loops ? 0 : result.workspaceSize;
  }
  if (preference)
    nn_api.cublasLtMatmulPreferenceDestroy (preference);
  return ok;
}

NnCudaDense *
nn_cuda_dense_new (NnCudaContext *c, const NnDenseShape *shape, GError **error)
{
  NnCudaDense *dense = g_new0 (NnCudaDense, 1);

  dense->shape = *shape;
  if (describe_product (dense, error) && choose (dense, c, error))
    return dense;
  nn_cuda_dense_free (dense);
  return NULL;
}

void
nn_cuda_dense_free (NnCudaDense *dense)
{
  if (!dense)
    return;
  if (dense->a)
    nn_api.cublasLtMatrixLayoutDestroy (dense->a);
  if (dense->b)
    nn_api.cublasLtMatrixLayoutDestroy (dense->b);
  if (dense->d)
    nn_api.cublasLtMatrixLayoutDestroy (dense->d);
  if (dense->desc)
    nn_api.cublasLtMatmulDescDestroy (dense->desc);
  g_free (dense);
}

/* the same as convolutions of 1x1 pixels */
static gboolean
run_loops (NnCudaDense *dense, NnCudaContext *c, const void *a, const void *b, void *dst,
    GError **error)
{
  const NnDenseShape *s = &dense->shape;
  const uint32_t rows = (uint32_t) s->rows, in = (uint32_t) s->in, units = (uint32_t) s->units;
  NnConvArgs conv = {
    .samples = rows,
    .in_rows = 1,
    .in_cols = 1,
    .channels = in,
    .in_stride = in,
    .out_rows = 1,
    .out_cols = 1,
    .filters = units,
    .out_stride = units,
    .kernel = { 1, 1 },
    .strides = { 1, 1 },
    .dilation = { 1, 1 },
    .type = s->type,
    .dst_type = s->dst_type,
    .dst = dst,
  };
  NnFinishArgs finish = {
    .count = rows * units,
    .src = dst,
    .dst = dst,
    .src_type = s->dst_type,
    .dst_type = s->dst_type,
    .channels = units,
    .src_stride = units,
    .dst_stride = units,
    .window = { 1, rows, 1, rows, { 1, 1 }, { 1, 1 }, { 0, 0 } },
    .bias = s->bias,
    .f1 = s->relu ? NN_FN_RELU : NN_FN_LINEAR,
  };

  if (s->kind == NN_DENSE_FILTER) {
    conv.count = units * in;
    conv.x = a;
    conv.dy = b;
    return nn_k_conv_filter_launch (c, &conv, error);
  }
  conv.w = b;
  if (s->kind == NN_DENSE_DATA) {
    conv.count = rows * in;
    conv.dy = a;
    return nn_k_conv_data_launch (c, &conv, error);
  }
  conv.count = rows * units;
  conv.x = a;
  return nn_k_conv_launch (c, &conv, error)
      && ((!s->bias && !s->relu) || nn_k_finish_launch (c, &finish, error));
}

gboolean
nn_cuda_dense_run (
    NnCudaDense *dense, NnCudaContext *c, const void *a, const void *b, void *dst, GError **error)
{
  const float one = 1, zero = 0;
  /* their A is w in both uses of it */
  const void *first = dense->shape.kind == NN_DENSE_FILTER ? a : b;
  const void *second = dense->shape.kind == NN_DENSE_FILTER ? b : a;

  if (dense->by_loops)
    return run_loops (dense, c, a, b, dst, error);
  return NN_BLASLT (cublasLtMatmul, NN_ERROR_RUN, error, c->device->blas, dense->desc, &one, first,
      dense->a, second, dense->b, &zero, dst, dense->d, dst, dense->d, &dense->algo, c->workspace,
      dense->workspace, (cudaStream_t) c->stream);
}

gsize
nn_cuda_dense_get_workspace (const NnCudaDense *dense)
{
  return dense->workspace;
}

const char *
nn_cuda_dense_describe (const NnCudaDense *dense)
{
  return dense->by_loops ? "plain loops" : "cuBLASLt";
}
