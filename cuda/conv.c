/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/conv.h"

#include "cuda/measure.h"
#include "nn/error.h"

/* A graph of one convolution, or of convolution, bias and relu, is described; heuristics
 * list engines for it, best first; the first that are precise enough are made into plans
 * and, if asked for, measured, unless what came of that is known (cuda/choices.h). */

#define MAX_CONFIGS 16  /* asked of a heuristic */
#define MAX_MEASURED 6
#define MAX_WORKSPACE ((gint64) 512 << 20)
/* Plans of few samples are many: one of each stream. Engines that want more memory are taken where
 * there is no other. */
#define FEW_SAMPLES 8
#define FEW_WORKSPACE ((gint64) 64 << 20)

/* cuDNN 9.19 marks the names of these two as deprecated, older ones cannot do without; the
 * others are not in headers before 9.8 */
#define ATTR_GRAPH_HANDLE ((cudnnBackendAttributeName_t) 800)
#define ATTR_PLAN_HANDLE ((cudnnBackendAttributeName_t) 400)
#define ATTR_PLAN_PROFILE ((cudnnBackendAttributeName_t) 407)
#define ATTR_HEUR_PROFILE ((cudnnBackendAttributeName_t) 204)

static const cudnnBackendHeurMode_t modes[]
    = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK }; /* in which engines are asked for */

enum
{
  UID_X = 1,
  UID_W,
  UID_Y,
  UID_BIAS,
  UID_CONV,
  UID_SUM
};

struct _NnCudaConv
{
  NnConvShape shape;
  GPtrArray *descriptors; /* all but the plan's own */
  cudnnBackendDescriptor_t plan;
  NnCudaChoice choice; /* of the plan */
  gint64 workspace;
  char *how;
};

/* --- descriptors ------------------ */

static cudnnDataType_t
data_type (NnType type)
{
  return type == NN_TYPE_F32 ? CUDNN_DATA_FLOAT
      : type == NN_TYPE_F16  ? CUDNN_DATA_HALF
                             : CUDNN_DATA_BFLOAT16;
}

static cudnnBackendDescriptor_t
descriptor_new (NnCudaConv *conv, cudnnBackendDescriptorType_t type, GError **error)
{
  cudnnBackendDescriptor_t d = NULL;

  if (!NN_CUDNN (cudnnBackendCreateDescriptor, NN_ERROR_BACKEND, error, type, &d))
    return NULL;
  g_ptr_array_add (conv->descriptors, d);
  return d;
}

static gboolean
set (cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
    gint64 n, const void *values, GError **error)
{
  return NN_CUDNN (
      cudnnBackendSetAttribute, NN_ERROR_BACKEND, error, d, name, type, n, (void *) values);
}

static gboolean
finalize (cudnnBackendDescriptor_t d, GError **error)
{
  return NN_CUDNN (cudnnBackendFinalize, NN_ERROR_BACKEND, error, d);
}

/* (n, c, h, w) in cuDNN's order of axes, in NHWC's order of memory */
static cudnnBackendDescriptor_t
tensor_new (NnCudaConv *conv, gint64 uid, const gint64 dims[4], cudnnDataType_t type,
    gboolean is_virtual, GError **error)
{
  cudnnBackendDescriptor_t d = descriptor_new (conv, CUDNN_BACKEND_TENSOR_DESCRIPTOR, error);
  const gint64 strides[4] = { dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1] };
  const gint64 alignment = 16;
  const _Bool virtually = is_virtual;

  return d && set (d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid, error)
          && set (d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, error)
          && set (d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims, error)
          && set (d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides, error)
          && set (d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment, error)
          && (!is_virtual
              || set (d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &virtually, error))
          && finalize (d, error)
      ? d
      : NULL;
}

/* y = mode (x [, b]) */
static cudnnBackendDescriptor_t
pointwise_new (NnCudaConv *conv, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x,
    cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y, GError **error)
{
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  cudnnBackendDescriptor_t what
      = descriptor_new (conv, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, error);
  cudnnBackendDescriptor_t op = what
      ? descriptor_new (conv, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, error)
      : NULL;

  return op && set (what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode, error)
          && set (what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type, error)
          && finalize (what, error)
          && set (op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR,
              1, &what, error)
          && set (op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x,
              error)
          && (!b
              || set (op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &b, error))
          && set (op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y,
              error)
          && finalize (op, error)
      ? op
      : NULL;
}

static cudnnBackendDescriptor_t
convolution_new (NnCudaConv *conv, GError **error)
{
  const NnConvArgs *s = &conv->shape.sizes;
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const gint64 n_dims = 2, strides[2] = { s->strides[0], s->strides[1] };
  const gint64 dilation[2] = { s->dilation[0], s->dilation[1] }, pad[2] = { s->pad[0], s->pad[1] };
  cudnnBackendDescriptor_t d = descriptor_new (conv, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, error);

  return d && set (d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &n_dims, error)
          && set (d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, error)
          && set (d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, error)
          && set (d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad, error)
          && set (d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad, error)
          && set (d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation, error)
          && set (d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides, error)
          && finalize (d, error)
      ? d
      : NULL;
}

/* names of an operation's attributes: x or dx, w or dw, y or dy */
static const struct
{
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
} operations[] = {
  { CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y },
  { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY },
  { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY },
};

/* The graph of operations; NULL with @error. */
static cudnnBackendDescriptor_t
graph_new (NnCudaConv *conv, NnCudaContext *c, GError **error)
{
  const NnConvShape *shape = &conv->shape;
  const NnConvArgs *s = &shape->sizes;
  const cudnnDataType_t type = data_type (s->type);
  const gint64 x_dims[4] = { s->samples, s->channels, s->in_rows, s->in_cols };
  const gint64 w_dims[4] = { s->filters, s->channels, s->kernel[0], s->kernel[1] };
  const gint64 y_dims[4] = { s->samples, s->filters, s->out_rows, s->out_cols };
  const gint64 bias_dims[4] = { 1, s->filters, 1, 1 };
  const float one = 1, zero = 0;
  const gboolean fused = shape->bias;
  cudnnBackendDescriptor_t ops[3], graph, x, w, y, convolution, op;
  gint64 n_ops = 1;

  if (!(x = tensor_new (conv, UID_X, x_dims, type, FALSE, error))
      || !(w = tensor_new (conv, UID_W, w_dims, type, FALSE, error))
      || !(y = tensor_new (conv, fused ? UID_CONV : UID_Y, y_dims, fused ? CUDNN_DATA_FLOAT : type,
               fused, error))
      || !(convolution = convolution_new (conv, error))
      || !(op = descriptor_new (conv, operations[shape->kind].type, error)))
    return NULL;
  if (!set (op, operations[shape->kind].conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &convolution, error)
      || !set (op, operations[shape->kind].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x, error)
      || !set (op, operations[shape->kind].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w, error)
      || !set (op, operations[shape->kind].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y, error)
      || !set (op, operations[shape->kind].alpha, CUDNN_TYPE_FLOAT, 1, &one, error)
      || !set (op, operations[shape->kind].beta, CUDNN_TYPE_FLOAT, 1, &zero, error)
      || !finalize (op, error))
    return NULL;
  ops[0] = op;
  if (fused) {
    cudnnBackendDescriptor_t bias = tensor_new (conv, UID_BIAS, bias_dims, type, FALSE, error);
    cudnnBackendDescriptor_t sum = bias
        ? tensor_new (conv, shape->relu ? UID_SUM : UID_Y, y_dims,
            shape->relu ? CUDNN_DATA_FLOAT : type, shape->relu, error)
        : NULL;

    if (!sum || !(ops[n_ops++] = pointwise_new (conv, CUDNN_POINTWISE_ADD, y, bias, sum, error)))
      return NULL;
    if (shape->relu) {
      cudnnBackendDescriptor_t out = tensor_new (conv, UID_Y, y_dims, type, FALSE, error);

      if (!out
          || !(ops[n_ops++]
              = pointwise_new (conv, CUDNN_POINTWISE_RELU_FWD, sum, NULL, out, error)))
        return NULL;
    }
  }
  graph = descriptor_new (conv, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, error);
  return graph
          && set (graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_ops, ops,
              error)
          && (c->profile
              || set (graph, ATTR_GRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &c->dnn, error))
          && finalize (graph, error)
      ? graph
      : NULL;
}

/* --- engines ------------------ */

/* Whether an engine computes as precisely as was asked, and the same each time; its number. */
static gboolean
is_precise (NnCudaConv *conv, cudnnBackendDescriptor_t config, gint64 *number)
{
  const gboolean wide = conv->shape.sizes.type == NN_TYPE_F32;
  cudnnBackendDescriptor_t engine
      = descriptor_new (conv, CUDNN_BACKEND_ENGINE_DESCRIPTOR, NULL);
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  gint64 n = 0;

  if (!engine
      || nn_api.cudnnBackendGetAttribute (config, CUDNN_ATTR_ENGINECFG_ENGINE,
             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine)
          != CUDNN_STATUS_SUCCESS
      || nn_api.cudnnBackendGetAttribute (
             engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, number)
          != CUDNN_STATUS_SUCCESS
      || nn_api.cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
             CUDNN_TYPE_NUMERICAL_NOTE, G_N_ELEMENTS (notes), &n, notes)
          != CUDNN_STATUS_SUCCESS)
    return FALSE;
  for (gint64 i = 0; i < MIN (n, (gint64) G_N_ELEMENTS (notes)); i++) {
    if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC
        || notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION
        || notes[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13)
      return FALSE;
    /* float32 on tensor cores is tf32 */
    if (wide && !conv->shape.tf32
        && (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE
            || notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS))
      return FALSE;
    if (!wide && notes[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD)
      return FALSE;
  }
  return TRUE;
}

/* An executable plan of @config, or NULL where this device does not do it. */
static cudnnBackendDescriptor_t
plan_new (
    NnCudaContext *c, cudnnBackendDescriptor_t config, gint64 most, gint64 *workspace)
{
  cudnnBackendDescriptor_t plan = NULL;
  gint64 n = 0;

  if (nn_api.cudnnBackendCreateDescriptor (CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan)
      != CUDNN_STATUS_SUCCESS)
    return NULL;
  if ((c->profile ? set (plan, ATTR_PLAN_PROFILE,
                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c->profile, NULL)
                  : set (plan, ATTR_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &c->dnn, NULL))
      && set (plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
          &config, NULL)
      && finalize (plan, NULL)
      && nn_api.cudnnBackendGetAttribute (plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
             CUDNN_TYPE_INT64, 1, &n, workspace)
          == CUDNN_STATUS_SUCCESS
      && *workspace <= most)
    return plan;
  nn_api.cudnnBackendDestroyDescriptor (plan);
  return NULL;
}

static gboolean
execute (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t plan, void *x, void *w,
    void *y, void *bias, void *workspace, GError **error)
{
  const gint64 uids[] = { UID_X, UID_W, UID_Y, UID_BIAS };
  void *pointers[] = { x, w, y, bias };
  const gint64 n = conv->shape.bias ? 4 : 3;
  cudnnBackendDescriptor_t pack = NULL;
  gboolean ok;

  if (!NN_CUDNN (cudnnBackendCreateDescriptor, NN_ERROR_RUN, error,
          CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack))
    return FALSE;
  ok = set (pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids, error)
      && set (pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, pointers, error)
      && set (pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, error)
      && finalize (pack, error)
      && NN_CUDNN (cudnnBackendExecute, NN_ERROR_RUN, error, c->dnn, plan, pack);
  nn_api.cudnnBackendDestroyDescriptor (pack);
  return ok;
}

typedef struct
{
  NnCudaConv *conv;
  NnCudaContext *c;
  cudnnBackendDescriptor_t *plans;
} Trial;

static gboolean
try_plan (gpointer data, guint way, void *const memory[NN_N_TRIED], GError **error)
{
  const Trial *t = data;

  return execute (t->conv, t->c, t->plans[way], memory[NN_TRIED_A], memory[NN_TRIED_B],
      memory[NN_TRIED_DST], memory[NN_TRIED_BIAS], memory[NN_TRIED_WORKSPACE], error);
}

static void
get_sizes (const NnCudaConv *conv, gint64 workspace, gsize sizes[NN_N_TRIED])
{
  const NnConvArgs *s = &conv->shape.sizes;
  const gsize bytes = s->type == NN_TYPE_F32 ? 4 : 2;

  sizes[NN_TRIED_A] = (gsize) s->samples * s->in_rows * s->in_cols * s->channels * bytes;
  sizes[NN_TRIED_B] = (gsize) s->filters * s->kernel[0] * s->kernel[1] * s->channels * bytes;
  sizes[NN_TRIED_DST] = (gsize) s->samples * s->out_rows * s->out_cols * s->filters * bytes;
  sizes[NN_TRIED_BIAS] = (gsize) s->filters * 4;
  sizes[NN_TRIED_WORKSPACE] = (gsize) workspace;
}

/* The fastest of @plans, which are in the heuristics' order. */
static guint
fastest (NnCudaConv *conv, NnCudaContext *c, GPtrArray *plans, const gint64 *workspaces,
    float *time)
{
  Trial trial = { conv, c, plans->pdata };
  gsize sizes[NN_N_TRIED];
  gint64 workspace = 0;

  for (guint i = 0; i < plans->len; i++)
    workspace = MAX (workspace, workspaces[i]);
  get_sizes (conv, workspace, sizes);
  return nn_cuda_fastest (c, plans->len, sizes, try_plan, &trial, time);
}

/* Some engines have a plan and fail when they are to run it. */
static gboolean
works (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t plan, gint64 workspace)
{
  gpointer plans[] = { plan };
  Trial trial = { conv, c, plans };
  gsize sizes[NN_N_TRIED];

  get_sizes (conv, workspace, sizes);
  return c->profile || nn_cuda_try (c, 0, sizes, try_plan, &trial);
}

/* Configurations of engines as heuristic number @mode lists them; how many. */
static guint
list_configs (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t graph, guint mode,
    cudnnBackendDescriptor_t configs[MAX_CONFIGS])
{
  cudnnBackendDescriptor_t heuristics
      = descriptor_new (conv, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, NULL);
  gint64 n = 0;

  if (!heuristics
      || !set (heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
          &graph, NULL)
      || !set (heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &modes[mode], NULL)
      || (c->profile
          && !set (heuristics, ATTR_HEUR_PROFILE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c->profile,
              NULL))
      || !finalize (heuristics, NULL))
    return 0;
  for (guint i = 0; i < MAX_CONFIGS; i++)
    if (!(configs[i] = descriptor_new (conv, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, NULL)))
      return 0;
  if (nn_api.cudnnBackendGetAttribute (heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
          CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_CONFIGS, &n, configs)
      != CUDNN_STATUS_SUCCESS)
    return 0;
  return (guint) MIN (n, MAX_CONFIGS);
}

/* All that the time of an engine depends on, but the device. */
static char *
key_of (const NnConvShape *shape)
{
  static const char *const kinds[] = { "forward", "data", "filter" };
  static const char *const types[] = { "fp32", "fp16", "bf16" };
  const NnConvArgs *s = &shape->sizes;

  return g_strdup_printf ("%s-%s%s%s-n%u-%ux%ux%u-%ux%ux%u-k%ux%u-s%ux%u-d%ux%u-p%ux%u",
      kinds[shape->kind], shape->tf32 && s->type == NN_TYPE_F32 ? "tf32" : types[s->type],
      shape->bias ? "-bias" : "", shape->relu ? "-relu" : "", s->samples, s->in_rows, s->in_cols,
      s->channels, s->out_rows, s->out_cols, s->filters, s->kernel[0], s->kernel[1], s->strides[0],
      s->strides[1], s->dilation[0], s->dilation[1], s->pad[0], s->pad[1]);
}

/* The plan of an engine's configuration, if it is one that may be taken. */
static gboolean
take (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t config,
    const NnCudaChoice *wanted)
{
  gint64 engine = -1;

  if (!is_precise (conv, config, &engine) || engine != wanted->engine)
    return FALSE;
  conv->plan = plan_new (c, config, MAX_WORKSPACE, &conv->workspace);
  if (conv->plan && !works (conv, c, conv->plan, conv->workspace)) {
    nn_api.cudnnBackendDestroyDescriptor (conv->plan);
    conv->plan = NULL;
  }
  return conv->plan != NULL;
}

/* The engine that was measured to be the fastest before. */
static gboolean
choose_known (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t graph, const char *key)
{
  cudnnBackendDescriptor_t configs[MAX_CONFIGS];
  g_autofree char *words = NULL;

  if (!nn_cuda_choices_find (c->device->choices, key, &conv->choice))
    return FALSE;
  if (conv->choice.mode < G_N_ELEMENTS (modes)
      && conv->choice.place < list_configs (conv, c, graph, conv->choice.mode, configs)
      && take (conv, c, configs[conv->choice.place], &conv->choice)) {
    conv->how = g_strdup_printf (
        "cuDNN engine %d, the fastest when it was measured", (int) conv->choice.engine);
    return TRUE;
  }
  words = g_strdup_printf ("CUDA: %s: the engine that was measured is not there any more", key);
  c->device->host->log (NN_LOG_DEBUG, words);
  return FALSE;
}

/* The engine of the same convolution of another number of samples. */
static gboolean
choose_like (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t graph)
{
  const NnCudaConv *like = conv->shape.like;
  cudnnBackendDescriptor_t configs[MAX_CONFIGS];
  guint n;

  if (!like || !like->plan)
    return FALSE;
  conv->choice = like->choice;
  n = list_configs (conv, c, graph, like->choice.mode, configs);
  for (guint i = 0; i < n && !conv->plan; i++)
    take (conv, c, configs[i], &like->choice);
  if (conv->plan)
    conv->how = g_strdup_printf ("cuDNN engine %d, as of %u samples", (int) conv->choice.engine,
        like->shape.sizes.samples);
  return conv->plan != NULL;
}

static void
choose (NnCudaConv *conv, NnCudaContext *c, cudnnBackendDescriptor_t graph)
{
  const guint wanted = conv->shape.measure ? MAX_MEASURED : 1;
  g_autofree char *key = key_of (&conv->shape);
  g_autoptr (GPtrArray) plans = g_ptr_array_new ();
  NnCudaChoice choices[MAX_MEASURED];
  gint64 workspaces[MAX_MEASURED];
  float time = -1;
  guint chosen = 0;

  if (conv->shape.measure
      && (choose_known (conv, c, graph, key) || choose_like (conv, c, graph)))
    return;
  for (guint k = 0; k < 2 * G_N_ELEMENTS (modes) && plans->len == 0; k++) {
    cudnnBackendDescriptor_t configs[MAX_CONFIGS];
    const guint m = k % G_N_ELEMENTS (modes);
    const gboolean is_few = conv->shape.sizes.samples <= FEW_SAMPLES;
    const gint64 most = k == m && is_few ? FEW_WORKSPACE : MAX_WORKSPACE;
    const guint n = k == m || is_few ? list_configs (conv, c, graph, m, configs) : 0;

    for (guint i = 0; i < n && plans->len < wanted; i++) {
      gint64 engine = -1, *workspace = &workspaces[plans->len];
      cudnnBackendDescriptor_t plan = is_precise (conv, configs[i], &engine)
          ? plan_new (c, configs[i], most, workspace)
          : NULL;

      if (!plan)
        continue;
      if (wanted == 1 && !works (conv, c, plan, *workspace)) {
        nn_api.cudnnBackendDestroyDescriptor (plan);
        continue;
      }
      choices[plans->len] = (NnCudaChoice) { m, i, engine };
      g_ptr_array_add (plans, plan);
    }
  }
  if (plans->len > 1)
    chosen = fastest (conv, c, plans, workspaces, &time);
  while (wanted > 1 && time < 0 && chosen < plans->len
      && !works (conv, c, plans->pdata[chosen], workspaces[chosen]))
    chosen++;
  for (guint i = 0; i < plans->len; i++)
    if (i != chosen)
      nn_api.cudnnBackendDestroyDescriptor (plans->pdata[i]);
  if (chosen >= plans->len)
    return;
  conv->plan = plans->pdata[chosen];
  conv->workspace = workspaces[chosen];
  conv->choice = choices[chosen];
  conv->how = time >= 0
      ? g_strdup_printf ("cuDNN engine %d, choice %u of %u measured, %.0f us",
          (int) choices[chosen].engine, chosen + 1, plans->len, time * 1000)
      : g_strdup_printf ("cuDNN engine %d", (int) choices[chosen].engine);
  /* an only one is not worth measuring, but making plans to find that out takes time, too */
  if (time >= 0 || (conv->shape.measure && plans->len == 1))
    nn_cuda_choices_add (c->device->choices, key, &choices[chosen]);
}

/* --- the convolution ------------------ */

NnCudaConv *
nn_cuda_conv_new (NnCudaContext *c, const NnConvShape *shape, GError **error)
{
  NnCudaConv *conv = g_new0 (NnCudaConv, 1);
  g_autoptr (GError) reason = NULL;
  cudnnBackendDescriptor_t graph;

  conv->shape = *shape;
  conv->descriptors = g_ptr_array_new ();
  graph = graph_new (conv, c, &reason);
  if (graph)
    choose (conv, c, graph);
  if (conv->plan)
    return conv;
  if (shape->bias) {
    nn_cuda_conv_free (conv);
    return NULL;
  }
  conv->how = g_strdup_printf (
      "plain loops: %s", reason ? reason->message : "cuDNN has no engine that is precise enough");
  return conv;
}

void
nn_cuda_conv_free (NnCudaConv *conv)
{
  if (!conv)
    return;
  if (conv->plan)
    nn_api.cudnnBackendDestroyDescriptor (conv->plan);
  for (guint i = conv->descriptors->len; i-- > 0;)
    nn_api.cudnnBackendDestroyDescriptor (conv->descriptors->pdata[i]);
  g_ptr_array_unref (conv->descriptors);
  g_free (conv->how);
  g_free (conv);
}

gboolean
nn_cuda_conv_run (NnCudaConv *conv, NnCudaContext *c, const void *a, const void *b,
    const void *bias, void *dst, GError **error)
{
  NnConvArgs s = conv->shape.sizes;
  void *x = (void *) a, *w = (void *) b, *y = dst;

  s.dst = dst;
  s.in_stride = s.channels;
  s.out_stride = s.filters;
  s.dst_type = s.type;
  s.x = a;
  s.w = b;
  switch (conv->shape.kind) {
    case NN_CONV_FORWARD:
      s.count = s.samples * s.out_rows * s.out_cols * s.filters;
      return conv->plan
          ? execute (conv, c, conv->plan, x, w, y, (void *) bias, c->workspace, error)
          : nn_k_conv_launch (c, &s, error);
    case NN_CONV_DATA:
      s.dy = a;
      s.count = s.samples * s.in_rows * s.in_cols * s.channels;
      return conv->plan
          ? execute (conv, c, conv->plan, dst, w, x, NULL, c->workspace, error)
          : nn_k_conv_data_launch (c, &s, error);
    default:
      s.dy = b;
      s.count = s.filters * s.kernel[0] * s.kernel[1] * s.channels;
      return conv->plan
          ? execute (conv, c, conv->plan, x, dst, w, NULL, c->workspace, error)
          : nn_k_conv_filter_launch (c, &s, error);
  }
}

gsize
nn_cuda_conv_get_workspace (const NnCudaConv *conv)
{
  return (gsize) conv->workspace;
}

const char *
nn_cuda_conv_describe (const NnCudaConv *conv)
{
  return conv->how;
}
