/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/dense.h"

#include "cuda/kernel-rows.h"
#include "cuda/measure.h"
#include "nn/error.h"

/* cuBLASLt sees row-major matrices transposed: its D is our result's (columns, rows), so
 * that forward is D (units, rows) = W^T X with W (in, units) and X (in, rows) in its
 * column-major order. */

#define WORKSPACE ((gsize) 32 << 20)
#define MAX_ALGORITHMS 8 /* asked of the heuristics */

/* Blocks that nn_k_row(s) is to have at least, if there is enough for them to read: some on each
 * multiprocessor of a device. The first is for those who do not measure. */
static const guint block_counts[] = { 512, 256, 1024 };

#define MAX_WAYS (MAX_ALGORITHMS + G_N_ELEMENTS (block_counts))

/* what the mode of a choice says */
enum
{
  BY_LIBRARY,
  BY_ROWS,  /* our own kernel for few rows */
  BY_LOOPS, /* neither: our own plain kernel */
};

typedef struct
{
  NnCudaChoice choice;
  cublasLtMatmulAlgo_t algo;
  uint32_t parts; /* by rows: NnRowsArgs has them */
  gsize workspace;
} Way;

struct _NnCudaDense
{
  NnDenseShape shape;
  gboolean tf32, fused; /* as the library has it: bias and relu in its call */
  cublasLtMatmulDesc_t desc;
  cublasLtMatrixLayout_t a, b, d;
  Way way;
  char *how;
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
  const cublasLtEpilogue_t epilogue = !dense->fused ? CUBLASLT_EPILOGUE_DEFAULT
      : s->bias                                       ? (s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                                         : CUBLASLT_EPILOGUE_BIAS)
      : s->relu ? CUBLASLT_EPILOGUE_RELU
                : CUBLASLT_EPILOGUE_DEFAULT;
  const gsize m = s->kind == NN_DENSE_FORWARD ? s->units : s->in;
  const gsize n = s->kind == NN_DENSE_FILTER ? s->units : s->rows;

  /* A: w (in, units); x (in, rows) for the filter. B: x (in, rows); dy (units, rows) */
  return NN_BLASLT (cublasLtMatmulDescCreate, code, error, &dense->desc,
             dense->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
             CUDA_R_32F)
      && (s->kind != NN_DENSE_FORWARD
          || NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
              CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed))
      && (s->kind != NN_DENSE_FILTER
          || NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
              CUBLASLT_MATMUL_DESC_TRANSB, &transposed, sizeof transposed))
      && NN_BLASLT (cublasLtMatmulDescSetAttribute, code, error, dense->desc,
          CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue)
      && (!s->bias || !dense->fused
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

/* --- running ------------------ */

static void
forget_product (NnCudaDense *dense)
{
  g_clear_pointer (&dense->a, nn_api.cublasLtMatrixLayoutDestroy);
  g_clear_pointer (&dense->b, nn_api.cublasLtMatrixLayoutDestroy);
  g_clear_pointer (&dense->d, nn_api.cublasLtMatrixLayoutDestroy);
  g_clear_pointer (&dense->desc, nn_api.cublasLtMatmulDescDestroy);
}

/* bias and relu of a result that has none yet */
static gboolean
run_finish (const NnDenseShape *s, NnCudaContext *c, void *dst, GError **error)
{
  const uint32_t rows = (uint32_t) s->rows, units = (uint32_t) s->units;
  const NnFinishArgs finish = {
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

  return (!s->bias && !s->relu) || nn_k_finish_launch (c, &finish, error);
}

/* the same as convolutions of 1x1 pixels */
static gboolean
run_loops (const NnCudaDense *dense, NnCudaContext *c, const void *a, const void *b, void *dst,
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
  return nn_k_conv_launch (c, &conv, error) && run_finish (s, c, dst, error);
}

static gboolean
run_rows (const NnDenseShape *s, uint32_t parts, NnCudaContext *c, const void *x, const void *w,
    void *dst, void *workspace, GError **error)
{
  const uint32_t units = (uint32_t) s->units;
  const NnRowsArgs args = {
    .count = (uint32_t) s->rows * units,
    .blocks = parts * ((units + NN_ROWS_UNITS - 1) / NN_ROWS_UNITS),
    .rows = (uint32_t) s->rows,
    .in = (uint32_t) s->in,
    .units = units,
    .parts = parts,
    .x = x,
    .w = w,
    .type = s->type,
    .bias = s->bias,
    .relu = s->relu,
    .sums = workspace,
    .dst = dst,
    .dst_type = s->dst_type,
  };

  return (s->rows == 1 ? nn_k_row_launch (c, &args, error) : nn_k_rows_launch (c, &args, error))
      && (parts == 1 || nn_k_rows_total_launch (c, &args, error));
}

static gboolean
run_way (const NnCudaDense *dense, const Way *way, NnCudaContext *c, const void *a, const void *b,
    void *dst, void *workspace, GError **error)
{
  const float one = 1, zero = 0;
  /* their A is w in both uses of it */
  const void *first = dense->shape.kind == NN_DENSE_FILTER ? a : b;
  const void *second = dense->shape.kind == NN_DENSE_FILTER ? b : a;

  if (way->choice.mode == BY_LOOPS)
    return run_loops (dense, c, a, b, dst, error);
  if (way->choice.mode == BY_ROWS)
    return run_rows (&dense->shape, way->parts, c, a, b, dst, workspace, error);
  return NN_BLASLT (cublasLtMatmul, NN_ERROR_RUN, error, c->device->blas, dense->desc, &one, first,
             dense->a, second, dense->b, &zero, dst, dense->d, dst, dense->d, &way->algo, workspace,
             way->workspace, (cudaStream_t) c->stream)
      && (dense->fused || run_finish (&dense->shape, c, dst, error));
}

/* --- choosing ------------------ */

/* The heuristics' choices, in NVIDIA's order of expected time. Where a product is split, parts
 * are added up in a step of its own: in place they come in the order in which blocks are done.
 * They are added up as float32, also for a result of 16 bits. */
static gboolean
list_algorithms (NnCudaDense *dense, NnCudaContext *c, int wanted, Way ways[MAX_WAYS],
    guint *n_ways, GError **error)
{
  const int code = NN_ERROR_BACKEND;
  const gsize workspace = WORKSPACE;
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
      | (dense->shape.dst_type == NN_TYPE_F32 ? CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE : 0);
  cublasLtMatmulPreference_t preference = NULL;
  cublasLtMatmulHeuristicResult_t results[MAX_ALGORITHMS];
  int n = 0;
  /* alignments need no word: 256 bytes is what they take for granted and cuMemAlloc() gives */
  gboolean ok = NN_BLASLT (cublasLtMatmulPreferenceCreate, code, error, &preference)
      && NN_BLASLT (cublasLtMatmulPreferenceSetAttribute, code, error, preference,
          CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace)
      && NN_BLASLT (cublasLtMatmulPreferenceSetAttribute, code, error, preference,
          CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes);

  if (ok
      && nn_api.cublasLtMatmulAlgoGetHeuristic (c->device->blas, dense->desc, dense->a, dense->b,
             dense->d, dense->d, preference, wanted, results, &n)
          != CUBLAS_STATUS_SUCCESS)
    n = 0;
  for (int i = 0; i < n; i++) {
    int32_t id = -1;
    size_t written;

    if (results[i].state == CUBLAS_STATUS_SUCCESS
        && nn_api.cublasLtMatmulAlgoConfigGetAttribute (&results[i].algo, CUBLASLT_ALGO_CONFIG_ID,
               &id, sizeof id, &written)
            == CUBLAS_STATUS_SUCCESS)
      ways[(*n_ways)++] = (Way) { .choice = { BY_LIBRARY, (guint) i, id },
        .algo = results[i].algo, .workspace = results[i].workspaceSize };
  }
  if (preference)
    nn_api.cublasLtMatmulPreferenceDestroy (preference);
  return ok;
}

/* Our own kernel, in each number of parts that differs. */
static void
list_rows (const NnDenseShape *s, gboolean all, Way ways[MAX_WAYS], guint *n_ways)
{
  const gsize steps = s->in / nn_rows_lanes (s->type);
  const gsize of_units = (s->units + NN_ROWS_UNITS - 1) / NN_ROWS_UNITS;
  uint32_t known[G_N_ELEMENTS (block_counts)];

  if (s->kind != NN_DENSE_FORWARD || s->rows > NN_MAX_ROWS)
    return;
  for (guint i = 0; i < (all ? G_N_ELEMENTS (block_counts) : 1); i++) {
    const gsize parts = (block_counts[i] + of_units - 1) / of_units;
    gboolean is_new = TRUE;

    /* each thread has something to read */
    known[i] = (uint32_t) MAX (MIN (parts, steps / NN_BLOCK), 1);
    for (guint k = 0; k < i; k++)
      is_new &= known[k] != known[i];
    if (is_new)
      ways[(*n_ways)++] = (Way) { .choice = { BY_ROWS, i, 0 }, .parts = known[i],
        .workspace = known[i] > 1 ? known[i] * s->rows * s->units * sizeof (float) : 0 };
  }
}

/* All that the time depends on, but the device. */
static char *
key_of (const NnDenseShape *s)
{
  static const char *const kinds[] = { "forward", "data", "filter" };
  static const char *const types[] = { "fp32", "fp16", "bf16" };

  return g_strdup_printf ("dense-%s-%s-%s%s%s-n%" G_GSIZE_FORMAT "-%" G_GSIZE_FORMAT
      "-%" G_GSIZE_FORMAT,
      kinds[s->kind], s->tf32 && s->type == NN_TYPE_F32 ? "tf32" : types[s->type],
      types[s->dst_type], s->bias ? "-bias" : "", s->relu ? "-relu" : "", s->rows, s->in,
      s->units);
}

typedef struct
{
  const NnCudaDense *dense;
  const Way *ways;
  NnCudaContext *c;
} Trial;

static gboolean
try_way (gpointer data, guint way, void *const memory[NN_N_TRIED], GError **error)
{
  const Trial *t = data;

  return run_way (t->dense, &t->ways[way], t->c, memory[NN_TRIED_A], memory[NN_TRIED_B],
      memory[NN_TRIED_DST], memory[NN_TRIED_WORKSPACE], error);
}

static guint
fastest (const NnCudaDense *dense, NnCudaContext *c, const Way *ways, guint n, float *time)
{
  const NnDenseShape *s = &dense->shape;
  const gsize bytes = s->type == NN_TYPE_F32 ? 4 : 2;
  const gsize dst_bytes = s->dst_type == NN_TYPE_F32 ? 4 : 2;
  const gsize x = s->rows * s->in, y = s->rows * s->units, w = s->units * s->in;
  Trial trial = { dense, ways, c };
  gsize sizes[NN_N_TRIED] = {
    [NN_TRIED_A] = (s->kind == NN_DENSE_DATA ? y : x) * bytes,
    [NN_TRIED_B] = (s->kind == NN_DENSE_FILTER ? y : w) * bytes,
    [NN_TRIED_DST] = (s->kind == NN_DENSE_FORWARD ? y : s->kind == NN_DENSE_DATA ? x : w)
        * dst_bytes,
  };

  for (guint i = 0; i < n; i++)
    sizes[NN_TRIED_WORKSPACE] = MAX (sizes[NN_TRIED_WORKSPACE], ways[i].workspace);
  return nn_cuda_fastest (c, n, sizes, try_way, &trial, time);
}

/* The place of what was measured to be the fastest before; -1: not known, or not there. */
static int
find_known (NnCudaContext *c, const char *key, const Way *ways, guint n)
{
  g_autofree char *words = NULL;
  NnCudaChoice known;

  if (!nn_cuda_choices_find (c->device->choices, key, &known))
    return -1;
  for (guint i = 0; i < n; i++)
    if (ways[i].choice.mode == known.mode && ways[i].choice.place == known.place
        && ways[i].choice.engine == known.engine)
      return (int) i;
  words = g_strdup_printf ("CUDA: %s: what was measured is not there any more", key);
  c->device->host->log (NN_LOG_DEBUG, words);
  return -1;
}

static char *
name_of (const NnCudaDense *dense, const Way *way)
{
  if (way->choice.mode == BY_LIBRARY && !dense->fused)
    return g_strdup_printf (
        "cuBLASLt algorithm %d, bias and relu apart", (int) way->choice.engine);
  return way->choice.mode == BY_LOOPS ? g_strdup ("plain loops")
      : way->choice.mode == BY_ROWS
      ? g_strdup_printf ("kernel for few rows, parts: %u", way->parts)
      : g_strdup_printf ("cuBLASLt algorithm %d", (int) way->choice.engine);
}

/* The library's ways, asked for less and less: what it does not have with tf32 it may have
 * without, and what not with bias and relu, without these. */
static gboolean
list_library (NnCudaDense *dense, NnCudaContext *c, Way ways[MAX_WAYS], guint *n, GError **error)
{
  const NnDenseShape *s = &dense->shape;
  const int wanted = s->measure ? MAX_ALGORITHMS : 1;
  const gboolean tf32 = s->tf32 && s->type == NN_TYPE_F32, has_more = s->bias || s->relu;

  for (guint i = 0; i < 3 && *n == 0; i++) {
    if ((i == 1 && !tf32) || (i == 2 && !has_more))
      continue;
    forget_product (dense);
    dense->tf32 = tf32 && i == 0;
    dense->fused = i < 2 || !has_more;
    if (!describe_product (dense, error)
        || !list_algorithms (dense, c, wanted, ways, n, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
choose (NnCudaDense *dense, NnCudaContext *c, GError **error)
{
  const gboolean measured = dense->shape.measure;
  g_autofree char *key = key_of (&dense->shape), *name = NULL;
  Way ways[MAX_WAYS];
  float time = -1;
  guint n = 0, chosen = 0;
  int known = -1;

  if (!list_library (dense, c, ways, &n, error))
    return FALSE;
  if (measured || n == 0)
    list_rows (&dense->shape, measured, ways, &n);
  if (n == 0) {
    g_autofree char *words = g_strdup_printf (
        "CUDA: %s: cuBLASLt has no algorithm: plain loops, which are slow", key);

    c->device->host->log (NN_LOG_WARNING, words);
    ways[n++] = (Way) { .choice = { .mode = BY_LOOPS } };
  }
  if (measured && n > 1) {
    known = find_known (c, key, ways, n);
    chosen = known >= 0 ? (guint) known : fastest (dense, c, ways, n, &time);
  }
  if (time >= 0)
    nn_cuda_choices_add (c->device->choices, key, &ways[chosen].choice);
  dense->way = ways[chosen];
  name = name_of (dense, &dense->way);
  dense->how = known >= 0 ? g_strdup_printf ("%s, the fastest when it was measured", name)
      : time >= 0
      ? g_strdup_printf ("%s, choice %u of %u measured, %.1f us", name, chosen + 1, n, time * 1000)
      : g_steal_pointer (&name);
  return TRUE;
}

/* --- the layer ------------------ */

NnCudaDense *
nn_cuda_dense_new (NnCudaContext *c, const NnDenseShape *shape, GError **error)
{
  NnCudaDense *dense = g_new0 (NnCudaDense, 1);

  dense->shape = *shape;
  if (choose (dense, c, error))
    return dense;
  nn_cuda_dense_free (dense);
  return NULL;
}

void
nn_cuda_dense_free (NnCudaDense *dense)
{
  if (!dense)
    return;
  forget_product (dense);
  g_free (dense->how);
  g_free (dense);
}

gboolean
nn_cuda_dense_run (
    NnCudaDense *dense, NnCudaContext *c, const void *a, const void *b, void *dst, GError **error)
{
  return run_way (dense, &dense->way, c, a, b, dst, c->workspace, error);
}

gsize
nn_cuda_dense_get_workspace (const NnCudaDense *dense)
{
  return dense->way.workspace;
}

const char *
nn_cuda_dense_describe (const NnCudaDense *dense)
{
  return dense->how;
}
