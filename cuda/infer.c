/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "cuda/conv.h"
#include "cuda/dense.h"
#include "cuda/plan.h"
#include "cuda/tiles.h"
#include "nn/error.h"

/* Stages: convolutions and dense layers are the libraries'; everything between two of them
 * (bias, activation, BatchNormalization, activation, max pooling, cast, padding) is one pass
 * of nn_k_finish where it comes in that order. In 16 bits a convolution's channels are padded
 * to eights, which its tensor-core engines want: with zeros, in data and weights. One of few
 * channels may be a kernel of our own, together with the pass behind it. */

#define MAX_SIZES 24  /* batch sizes that have a graph */
#define FEW_SAMPLES 8 /* that engines are taken for as for one */

typedef enum
{
  STAGE_SHIFT,
  STAGE_CONV,
  STAGE_DENSE,
  STAGE_FINISH,
  STAGE_SOFTMAX,
  STAGE_MEAN,
} StageKind;

typedef struct
{
  void *data;
  NnType type;
  NnExtent extent;
  gsize stride;
} Tensor;

/* counts in the arguments are those of one sample */
typedef struct
{
  StageKind kind;
  const NnLayer *layer;
  const char *how;
  const void *src;
  void *dst, *weights;
  void *bias; /* convolution, when fused */
  NnConvShape shape;
  NnCudaConv *conv[MAX_SIZES];
  NnCudaDense *dense[MAX_SIZES];
  NnFinishArgs finish;
  NnShiftArgs shift;
  NnSoftmaxArgs softmax;
  NnPixelMeanArgs mean;
  NnTilesArgs tiles; /* convolution, where they fit: there are weights then */
  gboolean is_tiled[MAX_SIZES]; /* done by them: a convolution and the finish behind it */
  char *tiled_how; /* of the whole batch */
} Stage;

/* weights as a stage wants them */
typedef struct
{
  gboolean is_affine;
  NnFinishArgs cast;
  NnAffineArgs affine;
  const Stage *tiled; /* or NULL: the others */
} Refresh;

struct _NnCudaInfer
{
  NnCudaContext *c;
  const NnCudaParams *params;
  NnCudaInferOptions options;
  NnType type; /* of activations */
  GPtrArray *stages;
  GArray *refreshes;
  guint n_sizes, sizes[MAX_SIZES]; /* the whole batch first */
  CUgraphExec graphs[NN_CUDA_N_WAYS][MAX_SIZES];
  gboolean is_captured[NN_CUDA_N_WAYS];
  NnCudaWay way; /* that is being captured, and the index of its size */
  guint size;
  NnViewEnd end; /* what the network ends in */
  guint tail;    /* the stage from which few samples are run in one; 0: none */
  NnTailArgs tail_args; /* but for the count and dst */

  /* while building */
  Tensor now;      /* what the last stage left */
  gboolean pending; /* ... and what nn_k_finish is still to do to it */
  guint level;     /* 0 bias, 1 activation, 2 normalisation, 3 activation, 4 pooling */
  NnFinishArgs todo;
  Tensor todo_dst;  /* extent of its result */
  const NnLayer *todo_layer;
  GString *todo_words;
  gsize output_size;
};

static gsize
type_bytes (NnType type)
{
  return type == NN_TYPE_F32 ? 4 : 2;
}

static gsize
extent_count (NnExtent e)
{
  return e.rows * e.cols * e.channels;
}

static Stage *
stage_new (NnCudaInfer *infer, StageKind kind, const NnLayer *layer, const char *how)
{
  Stage *stage = g_new0 (Stage, 1);

  stage->kind = kind;
  stage->layer = layer;
  stage->how = how;
  stage->src = infer->now.data;
  g_ptr_array_add (infer->stages, stage);
  return stage;
}

static void
stage_free (gpointer data)
{
  Stage *stage = data;

  for (guint i = 0; i < MAX_SIZES; i++) {
    nn_cuda_conv_free (stage->conv[i]);
    nn_cuda_dense_free (stage->dense[i]);
  }
  g_free (stage->tiled_how);
  g_free (stage);
}

/* A tensor for the whole batch. */
static gboolean
tensor_new (NnCudaInfer *infer, NnExtent extent, gsize stride, NnType type, const NnLayer *layer,
    Tensor *tensor, GError **error)
{
  const gsize values = infer->options.batch * extent.rows * extent.cols * stride;

  if (values >= (gsize) 1 << 31) {
    g_set_error (error, infer->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
        "layer \"%s\": %" G_GSIZE_FORMAT " values of a batch are too many for the CUDA back end: "
        "use a smaller batch",
        layer->name, values);
    return FALSE;
  }
  *tensor = (Tensor) { NULL, type, extent, stride };
  tensor->data = nn_cuda_new (infer->c, values * type_bytes (type), layer->name, error);
  return tensor->data != NULL;
}

/* Memory of layer @index that a refresh fills, if *@is_new; what plans of one model share. */
static void *
weights_new (NnCudaInfer *infer, guint index, const char *what, gsize bytes, gboolean *is_new,
    GError **error)
{
  *is_new = TRUE;
  return infer->options.weights
      ? nn_cuda_weights_get (infer->options.weights, index, what, bytes, is_new, error)
      : nn_cuda_new (infer->c, bytes, infer->params->model->layers[index].name, error);
}

static guint
index_of (const NnCudaInfer *infer, const NnLayer *layer)
{
  return (guint) (layer - infer->params->model->layers);
}

static void
add_cast (NnCudaInfer *infer, gsize n, gsize channels, const float *src, void *dst, gsize stride)
{
  Refresh refresh = { .cast = {
    .count = (uint32_t) n,
    .src = src,
    .dst = dst,
    .src_type = NN_TYPE_F32,
    .dst_type = infer->type,
    .channels = (uint32_t) channels,
    .src_stride = (uint32_t) channels,
    .dst_stride = (uint32_t) stride,
    .window = nn_cuda_no_window ((NnExtent) { 1, n / channels, channels }),
  } };

  g_array_append_val (infer->refreshes, refresh);
}

/* --- what is left to do between library calls ------------------ */

static void
begin_todo (NnCudaInfer *infer, const NnLayer *layer)
{
  if (infer->pending)
    return;
  infer->pending = TRUE;
  infer->level = 0;
  infer->todo_layer = layer;
  infer->todo_dst = infer->now;
  g_string_truncate (infer->todo_words, 0);
  infer->todo = (NnFinishArgs) {
    .src = infer->now.data,
    .src_type = infer->now.type,
    .channels = (uint32_t) infer->now.extent.channels,
    .src_stride = (uint32_t) infer->now.stride,
    .window = nn_cuda_no_window (infer->now.extent),
    .norm = { NULL, NULL, 1, 1 },
  };
}

/* The convolution of a stage for each number of samples. Engines are measured for the most of them
 * and for one, or a first start would take too long. */
static gboolean
make_convs (NnCudaInfer *infer, Stage *stage, const NnConvShape *shape)
{
  const guint last = infer->n_sizes - 1;
  gboolean ok = TRUE;

  for (guint k = 0; k < infer->n_sizes && ok; k++) {
    const guint i = k == 0 ? 0 : k == 1 ? last : k - 1; /* the most, one, those between */
    NnConvShape s = *shape;

    s.sizes.samples = infer->sizes[i];
    s.like = k < 2 ? NULL : stage->conv[infer->sizes[i] < FEW_SAMPLES ? last : 0];
    stage->conv[i] = nn_cuda_conv_new (infer->c, &s, NULL);
    ok = stage->conv[i] != NULL;
  }
  for (guint i = 0; i < infer->n_sizes && !ok; i++)
    g_clear_pointer (&stage->conv[i], nn_cuda_conv_free);
  return ok;
}

/* The convolution before does bias and relu itself, if that is all and engines have it. */
static gboolean
try_fused (NnCudaInfer *infer, gsize stride, NnType type)
{
  Stage *stage
      = infer->stages->len ? infer->stages->pdata[infer->stages->len - 1] : NULL;
  const NnConv2dConfig *config;
  NnConvShape shape;
  gboolean is_new;
  void *bias;

  if (!stage || stage->kind != STAGE_CONV || infer->level > 1 || !infer->todo.bias
      || infer->todo.f1 > NN_FN_RELU || infer->todo.f2 != NN_FN_LINEAR || infer->todo.norm.scale
      || stride != infer->now.stride || type != infer->now.type)
    return FALSE;
  config = &stage->layer->config.conv2d;
  shape = stage->shape;
  shape.bias = TRUE;
  shape.relu = infer->todo.f1 == NN_FN_RELU;
  if (!make_convs (infer, stage, &shape))
    return FALSE;
  bias = weights_new (
      infer, index_of (infer, stage->layer), "bias", stride * 4, &is_new, NULL);
  if (!bias) {
    for (guint i = 0; i < infer->n_sizes; i++)
      g_clear_pointer (&stage->conv[i], nn_cuda_conv_free);
    return FALSE;
  }
  if (is_new)
    add_cast (infer, config->filters, config->filters, infer->todo.bias, bias, config->filters);
  stage->bias = bias;
  stage->shape = shape;
  stage->how = shape.relu ? "+ bias + relu" : "+ bias";
  return TRUE;
}

/* Brings the present tensor to @type and @stride, doing what is pending. */
static gboolean
settle (NnCudaInfer *infer, NnType type, gsize stride, const NnLayer *layer, GError **error)
{
  Stage *stage;
  Tensor dst;

  if (!infer->pending && infer->now.type == type && infer->now.stride == stride)
    return TRUE;
  if (infer->pending && nn_window_is_none (&infer->todo.window)
      && try_fused (infer, stride, type)) {
    infer->pending = FALSE;
    return TRUE;
  }
  begin_todo (infer, layer);
  if (!tensor_new (infer, infer->todo_dst.extent, stride, type, infer->todo_layer, &dst, error))
    return FALSE;
  stage = stage_new (infer, STAGE_FINISH, infer->todo_layer,
      g_intern_string (infer->todo_words->len ? infer->todo_words->str : "cast"));
  stage->finish = infer->todo;
  stage->finish.count = (uint32_t) extent_count (dst.extent);
  stage->finish.dst = dst.data;
  stage->finish.dst_type = type;
  stage->finish.dst_stride = (uint32_t) stride;
  infer->now = dst;
  infer->pending = FALSE;
  return TRUE;
}

/* Makes room in the pending pass for something of @level. */
static gboolean
make_room (NnCudaInfer *infer, guint level, const NnLayer *layer, GError **error)
{
  const gboolean full = infer->pending && infer->level >= level;

  if (full && !settle (infer, infer->type, infer->todo_dst.extent.channels, layer, error))
    return FALSE;
  begin_todo (infer, layer);
  return TRUE;
}

static void
done (NnCudaInfer *infer, guint level, const char *words)
{
  infer->level = level;
  g_string_append_printf (
      infer->todo_words, "%s%s", infer->todo_words->len ? " + " : "", words);
}

static gboolean
add_softmax (NnCudaInfer *infer, const NnLayer *layer, GError **error)
{
  const gsize channels = infer->pending ? infer->todo_dst.extent.channels
                                        : infer->now.extent.channels;
  Stage *stage;

  if (!settle (infer, NN_TYPE_F32, channels, layer, error))
    return FALSE;
  stage = stage_new (infer, STAGE_SOFTMAX, layer, "softmax");
  stage->softmax = (NnSoftmaxArgs) {
    .blocks = (uint32_t) (extent_count (infer->now.extent) / channels),
    .n = (uint32_t) channels,
    .src = infer->now.data,
    .src_type = NN_TYPE_F32,
    .dst = infer->now.data,
  };
  return TRUE;
}

static gboolean
add_activation (NnCudaInfer *infer, NnActivation activation, const NnLayer *layer, GError **error)
{
  static const char *const names[] = { "linear", "relu", "sigmoid", "tanh" };

  infer->end = activation == NN_ACTIVATION_SOFTMAX ? NN_VIEW_SOFTMAX
      : activation == NN_ACTIVATION_SIGMOID      ? NN_VIEW_SIGMOID
                                                 : NN_VIEW_PLAIN;
  if (activation == NN_ACTIVATION_LINEAR)
    return TRUE;
  if (activation == NN_ACTIVATION_SOFTMAX)
    return add_softmax (infer, layer, error);
  if (!make_room (infer, 3, layer, error))
    return FALSE;
  if (infer->level < 1)
    infer->todo.f1 = nn_cuda_function (activation);
  else
    infer->todo.f2 = nn_cuda_function (activation);
  done (infer, infer->level < 1 ? 1 : 3, names[nn_cuda_function (activation)]);
  return TRUE;
}

/* --- layers ------------------ */

static gboolean
add_conv (NnCudaInfer *infer, guint index, GError **error)
{
  const NnLayer *layer = &infer->params->model->layers[index];
  const NnConv2dConfig *config = &layer->config.conv2d;
  const NnExtent in = nn_cuda_extent (&layer->in_shape), out = nn_cuda_extent (&layer->out_shape);
  const gboolean narrow = infer->type != NN_TYPE_F32;
  const gsize in_stride = narrow ? (in.channels + 7) / 8 * 8 : in.channels;
  const gsize out_stride = narrow ? (out.channels + 7) / 8 * 8 : out.channels;
  const gsize positions = config->kernel[0] * config->kernel[1];
  const gboolean skewed = config->pad_begin[0] != config->pad_end[0]
      || config->pad_begin[1] != config->pad_end[1];
  NnExtent padded = in;
  Stage *stage;
  Tensor dst;
  float *kernel = nn_cuda_params_get (infer->params, index, "kernel");
  const float *bias = nn_cuda_params_get (infer->params, index, "bias");

  if (!settle (infer, infer->type, in_stride, layer, error))
    return FALSE;
  if (skewed) { /* engines want the same padding on both sides */
    padded.rows += config->pad_begin[0] + config->pad_end[0];
    padded.cols += config->pad_begin[1] + config->pad_end[1];
    if (!tensor_new (infer, padded, in_stride, infer->type, layer, &dst, error))
      return FALSE;
    stage = stage_new (infer, STAGE_SHIFT, layer, "padding");
    stage->shift = (NnShiftArgs) {
      .count = (uint32_t) (padded.rows * padded.cols * in_stride),
      .channels = (uint32_t) in_stride,
      .src_rows = (uint32_t) in.rows,
      .src_cols = (uint32_t) in.cols,
      .dst_rows = (uint32_t) padded.rows,
      .dst_cols = (uint32_t) padded.cols,
      .offset = { (int32_t) config->pad_begin[0], (int32_t) config->pad_begin[1] },
      .src = infer->now.data,
      .dst = dst.data,
      .type = infer->type,
    };
    infer->now = dst;
  }
  if (!tensor_new (infer, out, out_stride, infer->type, layer, &dst, error))
    return FALSE;
  stage = stage_new (infer, STAGE_CONV, layer, "");
  stage->weights = kernel;
  if (narrow) {
    const gsize values = out_stride * positions * in_stride;
    gboolean is_new;

    if (!(stage->weights = weights_new (infer, index, "kernel", values * 2, &is_new, error)))
      return FALSE;
    kernel = nn_cuda_params_get (infer->params, index, "kernel");
    if (is_new)
      add_cast (infer, out.channels * positions * in.channels, in.channels, kernel, stage->weights,
        in_stride);
  }
  stage->dst = dst.data;
  stage->shape = (NnConvShape) {
    .kind = NN_CONV_FORWARD,
    .tf32 = infer->options.precision != NN_PRECISION_FP32,
    .measure = infer->options.measure,
    .sizes = {
      .in_rows = (uint32_t) padded.rows,
      .in_cols = (uint32_t) padded.cols,
      .channels = (uint32_t) in_stride,
      .out_rows = (uint32_t) out.rows,
      .out_cols = (uint32_t) out.cols,
      .filters = (uint32_t) out_stride,
      .kernel = { (uint32_t) config->kernel[0], (uint32_t) config->kernel[1] },
      .strides = { (uint32_t) config->strides[0], (uint32_t) config->strides[1] },
      .dilation = { (uint32_t) config->dilation[0], (uint32_t) config->dilation[1] },
      .pad = { skewed ? 0 : (uint32_t) config->pad_begin[0],
          skewed ? 0 : (uint32_t) config->pad_begin[1] },
      .type = infer->type,
    },
  };
  infer->now = dst;
  if (bias) {
    begin_todo (infer, layer);
    infer->todo.bias = bias;
    done (infer, 0, "bias");
  }
  return add_activation (infer, config->activation, layer, error);
}

static gboolean
add_dense (NnCudaInfer *infer, guint index, GError **error)
{
  const NnLayer *layer = &infer->params->model->layers[index];
  const NnDenseConfig *config = &layer->config.dense;
  const NnExtent in = nn_cuda_extent (&layer->in_shape), out = nn_cuda_extent (&layer->out_shape);
  float *kernel = nn_cuda_params_get (infer->params, index, "kernel");
  Stage *stage;
  Tensor dst;

  if (!settle (infer, infer->type, in.channels, layer, error)
      || !tensor_new (infer, out, out.channels, NN_TYPE_F32, layer, &dst, error))
    return FALSE;
  stage = stage_new (infer, STAGE_DENSE, layer, config->activation == NN_ACTIVATION_RELU
          ? "+ bias + relu"
          : "+ bias");
  stage->weights = kernel;
  if (infer->type != NN_TYPE_F32) {
    const gsize values = in.channels * out.channels;
    gboolean is_new;

    if (!(stage->weights = weights_new (infer, index, "kernel", values * 2, &is_new, error)))
      return FALSE;
    kernel = nn_cuda_params_get (infer->params, index, "kernel");
    if (is_new)
      add_cast (infer, values, in.channels, kernel, stage->weights, in.channels);
  }
  stage->dst = dst.data;
  for (guint i = 0; i < infer->n_sizes; i++) {
    const NnDenseShape shape = {
      .kind = NN_DENSE_FORWARD,
      .rows = infer->sizes[i] * in.rows * in.cols,
      .in = in.channels,
      .units = out.channels,
      .type = infer->type,
      .dst_type = NN_TYPE_F32,
      .tf32 = infer->options.precision != NN_PRECISION_FP32,
      .measure = infer->options.measure,
      .bias = nn_cuda_params_get (infer->params, index, "bias"),
      .relu = config->activation == NN_ACTIVATION_RELU,
    };

    if (!(stage->dense[i] = nn_cuda_dense_new (infer->c, &shape, error)))
      return FALSE;
  }
  infer->now = dst;
  return config->activation == NN_ACTIVATION_RELU
      || add_activation (infer, config->activation, layer, error);
}

static gboolean
add_batch_norm (NnCudaInfer *infer, guint index, GError **error)
{
  const NnLayer *layer = &infer->params->model->layers[index];
  const NnBatchNormConfig *config = &layer->config.batch_norm;
  float *tables;
  Refresh refresh = { .is_affine = TRUE };
  gboolean is_new;

  if (!make_room (infer, 2, layer, error)
      || !(tables = weights_new (
               infer, index, "norm", 2 * config->n * sizeof (float), &is_new, error)))
    return FALSE;
  refresh.affine = (NnAffineArgs) {
    .count = (uint32_t) config->n,
    .gamma = nn_cuda_params_get (infer->params, index, "gamma"),
    .beta = nn_cuda_params_get (infer->params, index, "beta"),
    .mean = nn_cuda_params_get (infer->params, index, "moving_mean"),
    .variance = nn_cuda_params_get (infer->params, index, "moving_variance"),
    .epsilon = config->epsilon,
    .scale = tables,
    .shift = tables + config->n,
  };
  if (is_new)
    g_array_append_val (infer->refreshes, refresh);
  infer->todo.norm
      = (NnNorm) { tables, tables + config->n, (uint32_t) config->n, (uint32_t) config->inner };
  done (infer, 2, layer->name);
  return TRUE;
}

static gboolean
add_mean (NnCudaInfer *infer, const NnLayer *layer, GError **error)
{
  const NnExtent in = nn_cuda_extent (&layer->in_shape);
  const NnExtent out = { 1, 1, in.channels };
  Stage *stage;
  Tensor dst;

  if ((infer->pending && !settle (infer, infer->type, in.channels, layer, error))
      || !tensor_new (infer, out, in.channels, NN_TYPE_F32, layer, &dst, error))
    return FALSE;
  stage = stage_new (infer, STAGE_MEAN, layer, "mean");
  stage->mean = (NnPixelMeanArgs) {
    .blocks = (uint32_t) (in.channels + 31) / 32,
    .groups = (uint32_t) (in.channels + 31) / 32,
    .pixels = (uint32_t) (in.rows * in.cols),
    .channels = (uint32_t) in.channels,
    .stride = (uint32_t) infer->now.stride,
    .src = infer->now.data,
    .src_type = infer->now.type,
    .dst = dst.data,
  };
  infer->now = dst;
  return TRUE;
}

static gboolean
add_layer (NnCudaInfer *infer, guint index, GError **error)
{
  const NnLayer *layer = &infer->params->model->layers[index];

  switch (layer->kind) {
    case NN_LAYER_INPUT:
    case NN_LAYER_DROPOUT:
      return TRUE;
    case NN_LAYER_CONV2D:
      return add_conv (infer, index, error);
    case NN_LAYER_DENSE:
      return add_dense (infer, index, error);
    case NN_LAYER_BATCH_NORMALIZATION:
      return add_batch_norm (infer, index, error);
    case NN_LAYER_ACTIVATION:
      return add_activation (infer, layer->config.activation.activation, layer, error);
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      return add_mean (infer, layer, error);
    case NN_LAYER_MAX_POOLING2D:
      if (!make_room (infer, 4, layer, error))
        return FALSE;
      infer->todo.window = nn_cuda_pool_window (layer);
      infer->todo_dst.extent = nn_cuda_extent (&layer->out_shape);
      done (infer, 4, "max pooling");
      return TRUE;
    case NN_LAYER_FLATTEN: /* only a view, once the values lie side by side */
      if ((infer->pending || infer->now.stride != infer->now.extent.channels)
          && !settle (infer, infer->type, nn_cuda_extent (&layer->in_shape).channels, layer, error))
        return FALSE;
      infer->now.extent = nn_cuda_extent (&layer->out_shape);
      infer->now.stride = infer->now.extent.channels;
      return TRUE;
    default:
      g_set_error (error, infer->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
          "the CUDA back end cannot run layer \"%s\"", layer->name);
      return FALSE;
  }
}

/* --- running ------------------ */

/* @dst: NULL, or where the result goes instead: a kernel's. Not by tiles */
static gboolean
run_untiled (NnCudaInfer *infer, const Stage *stage, guint size, float *dst, GError **error)
{
  const guint n = infer->sizes[size];
  NnFinishArgs finish;
  NnShiftArgs shift;
  NnSoftmaxArgs softmax;
  NnPixelMeanArgs mean;

  switch (stage->kind) {
    case STAGE_CONV:
      return nn_cuda_conv_run (stage->conv[size], infer->c, stage->src, stage->weights,
          stage->bias, stage->dst, error);
    case STAGE_DENSE:
      return nn_cuda_dense_run (
          stage->dense[size], infer->c, stage->src, stage->weights, stage->dst, error);
    case STAGE_FINISH:
      finish = stage->finish;
      finish.count *= n;
      finish.dst = dst ? dst : finish.dst;
      return nn_k_finish_launch (infer->c, &finish, error);
    case STAGE_SHIFT:
      shift = stage->shift;
      shift.count *= n;
      return nn_k_shift_launch (infer->c, &shift, error);
    case STAGE_SOFTMAX:
      softmax = stage->softmax;
      softmax.blocks *= n;
      softmax.dst = dst ? dst : softmax.dst;
      return nn_k_softmax_launch (infer->c, &softmax, error);
    default:
      mean = stage->mean;
      mean.blocks *= n;
      mean.dst = dst ? dst : mean.dst;
      return nn_k_pixel_mean_launch (infer->c, &mean, error);
  }
}

static gboolean
run_stage (NnCudaInfer *infer, const Stage *stage, guint size, float *dst, GError **error)
{
  if (!stage->is_tiled[size])
    return run_untiled (infer, stage, size, dst, error);
  return stage->kind != STAGE_CONV
      || nn_cuda_tiles_run (infer->c, &stage->tiles, infer->sizes[size], error);
}

/* Whether the input is made in front of the graph. */
static gboolean
is_sampled (NnCudaWay way)
{
  return way == NN_CUDA_FROM_PACKS || way == NN_CUDA_MEANS_FROM_PACKS;
}

/* What the first stage does to the input, where the kernel that makes samples can do it. */
static const NnFinishArgs *
first_finish (const NnCudaInfer *infer)
{
  const Stage *stage = infer->stages->len ? infer->stages->pdata[0] : NULL;
  const NnFinishArgs *f = stage ? &stage->finish : NULL;

  return stage && stage->kind == STAGE_FINISH && f->src == infer->options.input && !f->bias
          && f->f1 == NN_FN_LINEAR && f->f2 == NN_FN_LINEAR
          && nn_window_is_none (&f->window)
      ? f
      : NULL;
}

static gboolean
record_means (NnCudaInfer *infer, GError **error)
{
  const NnViewsArgs args = { .blocks = infer->sizes[infer->size],
    .n = (uint32_t) infer->output_size,
    .end = infer->end,
    .groups = infer->options.packs->device_groups,
    .src = infer->now.data,
    .dst = infer->options.host_output };

  return nn_k_views_launch (infer->c, &args, error);
}

/* --- the last layers in one ------------------ */

static NnTailPass
pass_of (const NnFinishArgs *f)
{
  return (NnTailPass) { .bias = f->bias, .f1 = f->f1, .f2 = f->f2, .norm = f->norm };
}

/* Whether a stage works on values of a sample that have no place, few enough of them. */
static gboolean
is_flat (const Stage *stage)
{
  const NnExtent in = nn_cuda_extent (&stage->layer->in_shape);

  switch (stage->kind) {
    case STAGE_FINISH:
      return stage->finish.count == stage->finish.channels
          && stage->finish.channels <= NN_TAIL_VALUES
          && stage->finish.window.in_rows * stage->finish.window.in_cols == 1;
    case STAGE_DENSE:
      return in.rows * in.cols == 1 && in.channels <= NN_TAIL_VALUES
          && stage->layer->config.dense.units <= NN_TAIL_VALUES;
    case STAGE_SOFTMAX:
      return stage->softmax.blocks == 1;
    default:
      return FALSE;
  }
}

/* Fills the arguments from stage @first on. FALSE: not a pass and dense layers with a pass at most
 * behind each, and softmax perhaps. */
static gboolean
make_tail (NnCudaInfer *infer, guint first)
{
  NnTailArgs *a = &infer->tail_args;
  gboolean has_pass = FALSE;

  *a = (NnTailArgs) { .type = infer->type, .first = { .norm = { NULL, NULL, 1, 1 } } };
  for (guint i = first; i < infer->stages->len; i++) {
    const Stage *stage = infer->stages->pdata[i];
    NnTailLayer *layer = &a->layers[a->n_layers];
    const NnLayer *dense = stage->layer;

    if (!is_flat (stage) || a->is_softmax)
      return FALSE;
    if (i == first)
      a->src = stage->src;
    switch (stage->kind) {
      case STAGE_FINISH:
        if (has_pass || (i == first && stage->finish.src_type != NN_TYPE_F32))
          return FALSE;
        *(a->n_layers ? &layer[-1].after : &a->first) = pass_of (&stage->finish);
        has_pass = TRUE;
        break;
      case STAGE_DENSE:
        if (a->n_layers == NN_TAIL_LAYERS || (i == first && infer->type != NN_TYPE_F32))
          return FALSE;
        *layer = (NnTailLayer) {
          .w = stage->weights,
          .bias = nn_cuda_params_get (
              infer->params, (guint) (dense - infer->params->model->layers), "bias"),
          .in = (uint32_t) nn_cuda_extent (&dense->in_shape).channels,
          .units = (uint32_t) dense->config.dense.units,
          .relu = dense->config.dense.activation == NN_ACTIVATION_RELU,
          .after = { .norm = { NULL, NULL, 1, 1 } },
        };
        a->n_layers++;
        has_pass = FALSE;
        break;
      default:
        a->is_softmax = TRUE;
        break;
    }
  }
  return a->n_layers > 0;
}

/* The longest row of stages at the end that one kernel can do, if that spares a launch. */
static void
find_tail (NnCudaInfer *infer)
{
  infer->tail = 0;
  for (guint first = 1; first + 1 < infer->stages->len && infer->tail == 0; first++)
    if (make_tail (infer, first))
      infer->tail = first;
}

static gboolean
run_tail (NnCudaInfer *infer, guint n, float *dst, GError **error)
{
  NnTailArgs args = infer->tail_args;

  args.blocks = n;
  args.dst = dst;
  return nn_k_tail_launch (infer->c, &args, error);
}

/* A kernel's results, which are few, are written into the host's memory by the kernel itself:
 * a copy behind it would take longer. */
static gboolean
record (gpointer data, GError **error)
{
  NnCudaInfer *infer = data;
  const NnCudaInferOptions *options = &infer->options;
  const guint n = infer->sizes[infer->size], n_stages = infer->stages->len;
  const gsize in = nn_cuda_count (&infer->params->model->layers[0].out_shape);
  const gboolean has_means = infer->way >= NN_CUDA_MEANS_FROM_PACKS;
  const NnFinishArgs *first = is_sampled (infer->way) ? first_finish (infer) : NULL;
  gboolean is_there = FALSE;

  if (infer->way == NN_CUDA_FROM_HOST
      && !nn_cuda_upload (
          infer->c, options->input, options->host_input, n * in * sizeof (float), error))
    return FALSE;
  if (infer->way == NN_CUDA_DRAWS_FROM_PACKS && !nn_cuda_packs_record (options->packs, n, error))
    return FALSE;
  for (guint i = first ? 1 : 0; i < n_stages; i++) {
    const Stage *stage = infer->stages->pdata[i];
    const gboolean is_last = i + 1 == n_stages && !has_means && stage->kind != STAGE_CONV
        && stage->kind != STAGE_DENSE && stage->kind != STAGE_SHIFT;

    if (infer->tail && i == infer->tail && n <= NN_TAIL_SAMPLES) {
      is_there = !has_means;
      if (!run_tail (infer, n, has_means ? infer->now.data : options->host_output, error))
        return FALSE;
      break;
    }
    if (!run_stage (infer, stage, infer->size, is_last ? options->host_output : NULL, error))
      return FALSE;
    is_there |= is_last;
  }
  if (has_means)
    return record_means (infer, error);
  return is_there
      || nn_cuda_download (infer->c, options->host_output, infer->now.data,
          n * infer->output_size * sizeof (float), error);
}

/* Each size runs once, so that the libraries have loaded what they need; where they have, the
 * smallest for our kernels' sake. */
gboolean
nn_cuda_infer_capture (NnCudaInfer *infer, NnCudaWay way, GError **error)
{
  CUgraphExec *graphs = infer->graphs[way];
  gboolean is_first = TRUE;

  for (guint w = 0; w < NN_CUDA_N_WAYS; w++)
    is_first &= !infer->is_captured[w];
  infer->way = way;
  for (infer->size = 0; infer->size < infer->n_sizes; infer->size++) {
    g_autoptr (GError) reason = NULL;

    if (is_first || infer->size == infer->n_sizes - 1)
      if (!record (infer, error) || !nn_cuda_sync (infer->c, error))
        return FALSE;
    graphs[infer->size] = nn_cuda_capture (infer->c, record, infer, &reason);
    if (!graphs[infer->size]) {
      g_autofree char *words
          = g_strdup_printf ("CUDA: not run as a graph, which is slower: %s", reason->message);

      infer->c->device->host->log (NN_LOG_WARNING, words);
    }
  }
  infer->is_captured[way] = TRUE;
  return TRUE;
}

gboolean
nn_cuda_infer_refresh (NnCudaInfer *infer, GError **error)
{
  for (guint i = 0; i < infer->refreshes->len; i++) {
    const Refresh *r = &g_array_index (infer->refreshes, Refresh, i);

    if (!(r->tiled        ? nn_cuda_tiles_put_weights (infer->c, &r->tiled->tiles, error)
            : r->is_affine ? nn_k_affine_launch (infer->c, &r->affine, error)
                           : nn_k_finish_launch (infer->c, &r->cast, error)))
      return FALSE;
  }
  return TRUE;
}

gboolean
nn_cuda_infer_run (NnCudaInfer *infer, NnCudaWay way, guint n, GError **error)
{
  guint size = 0;

  if (!infer->is_captured[way] && !nn_cuda_infer_capture (infer, way, error))
    return FALSE;
  while (size + 1 < infer->n_sizes && infer->sizes[size + 1] >= n)
    size++;
  infer->size = size;
  infer->way = way;
  if (is_sampled (way)
      && !nn_cuda_packs_launch (infer->options.packs, way, n, first_finish (infer), error))
    return FALSE;
  return infer->graphs[way][size]
      ? NN_CU (cuGraphLaunch, NN_ERROR_RUN, error, infer->graphs[way][size], infer->c->stream)
      : record (infer, error);
}

/* --- convolutions by tiles ------------------ */

/* The pass behind convolution number @s, or NULL, also where cuDNN has done a part. */
static Stage *
finish_behind (const NnCudaInfer *infer, guint s)
{
  const Stage *conv = infer->stages->pdata[s];
  Stage *next = s + 1 < infer->stages->len ? infer->stages->pdata[s + 1] : NULL;

  return next && next->kind == STAGE_FINISH && next->src == conv->dst && !conv->bias ? next : NULL;
}

/* Makes room for the weights where our kernel can do stage number @s and what follows. */
static gboolean
offer_tiles (NnCudaInfer *infer, guint s, GError **error)
{
  Stage *stage = infer->stages->pdata[s];
  const Stage *finish = finish_behind (infer, s);
  const NnConv2dConfig *config = &stage->layer->config.conv2d;
  const NnConvArgs *sizes = &stage->shape.sizes;
  const NnExtent out = nn_cuda_extent (&stage->layer->out_shape);
  const guint layer = index_of (infer, stage->layer);
  gboolean is_new;
  const Refresh refresh = { .tiled = stage };
  NnTilesArgs tiles = {
    .type = infer->type,
    .in_rows = sizes->in_rows,
    .in_cols = sizes->in_cols,
    .channels = (uint32_t) nn_cuda_extent (&stage->layer->in_shape).channels,
    .in_stride = sizes->channels,
    .filters = (uint32_t) out.channels,
    .kernel = { sizes->kernel[0], sizes->kernel[1] },
    .pad = { sizes->pad[0], sizes->pad[1] },
    .src = stage->src,
    .w = nn_cuda_params_get (infer->params, layer, "kernel"),
  };

  if (finish)
    tiles.finish = finish->finish;
  else /* cuDNN's own, or nothing */
    tiles.finish = (NnFinishArgs) {
      .count = (uint32_t) extent_count (out),
      .dst = stage->dst,
      .src_type = infer->type,
      .dst_type = infer->type,
      .channels = (uint32_t) out.channels,
      .src_stride = sizes->filters,
      .dst_stride = sizes->filters,
      .window = nn_cuda_no_window (out),
      .bias = stage->bias ? nn_cuda_params_get (infer->params, layer, "bias") : NULL,
      .f1 = stage->shape.relu ? NN_FN_RELU : NN_FN_LINEAR,
      .norm = { NULL, NULL, 1, 1 },
    };
  if (config->strides[0] * config->strides[1] * config->dilation[0] * config->dilation[1] != 1
      || !nn_cuda_tiles_fit (infer->c->device, &tiles))
    return TRUE;
  tiles.weights = weights_new (
      infer, layer, "tiles", nn_cuda_tiles_count_words (&tiles) * 4, &is_new, error);
  tiles.w = nn_cuda_params_get (infer->params, layer, "kernel");
  stage->tiles = tiles;
  if (is_new)
    g_array_append_val (infer->refreshes, refresh);
  return tiles.weights != NULL;
}

typedef struct
{
  NnCudaInfer *infer;
  const Stage *conv, *finish;
} Untiled;

static gboolean
run_both (gpointer data, guint size, GError **error)
{
  const Untiled *u = data;

  return run_untiled (u->infer, u->conv, size, NULL, error)
      && (!u->finish || run_untiled (u->infer, u->finish, size, NULL, error));
}

/* Once there are workspace and weights. */
static void
choose_tiles (NnCudaInfer *infer, guint s)
{
  Stage *stage = infer->stages->pdata[s], *finish = finish_behind (infer, s);
  Untiled untiled = { infer, stage, finish };

  for (guint i = 0; i < infer->n_sizes && stage->tiles.weights && infer->options.measure; i++) {
    g_autofree char *how = NULL;

    stage->is_tiled[i] = nn_cuda_tiles_choose (
        infer->c, &stage->tiles, infer->sizes[i], run_both, &untiled, i, &how);
    if (finish)
      finish->is_tiled[i] = stage->is_tiled[i];
    if (i == 0)
      stage->tiled_how = g_steal_pointer (&how);
  }
}

/* --- building ------------------ */

static gboolean
build (NnCudaInfer *infer, GError **error)
{
  const NnModel *model = infer->params->model;
  const NnExtent input = nn_cuda_extent (&model->layers[0].out_shape);
  guint n;
  g_autofree guint *chain = nn_cuda_layer_chain (model, &n);
  gsize workspace = infer->c->workspace_size;

  infer->now
      = (Tensor) { infer->options.input, NN_TYPE_F32, input, input.channels };
  for (guint i = 0; i < n; i++) {
    infer->end = NN_VIEW_PLAIN;
    if (!add_layer (infer, chain[i], error))
      return FALSE;
  }
  if (!settle (infer, NN_TYPE_F32,
          infer->pending ? infer->todo_dst.extent.channels : infer->now.extent.channels,
          &model->layers[model->output], error))
    return FALSE;
  infer->output_size = extent_count (infer->now.extent);
  find_tail (infer);
  for (guint s = 0; s < infer->stages->len; s++) {
    Stage *stage = infer->stages->pdata[s];

    if (stage->kind == STAGE_CONV && !stage->conv[0]) /* nothing was done in one with it */
      make_convs (infer, stage, &stage->shape);
  }
  for (guint s = 0; s < infer->stages->len; s++) {
    const Stage *stage = infer->stages->pdata[s];

    if (stage->kind == STAGE_CONV && !offer_tiles (infer, s, error))
      return FALSE;
    for (guint i = 0; i < infer->n_sizes; i++) {
      if (stage->conv[i])
        workspace = MAX (workspace, nn_cuda_conv_get_workspace (stage->conv[i]));
      if (stage->dense[i])
        workspace = MAX (workspace, nn_cuda_dense_get_workspace (stage->dense[i]));
    }
  }
  if (workspace > infer->c->workspace_size) {
    if (!(infer->c->workspace = nn_cuda_new (infer->c, workspace, "workspace", error)))
      return FALSE;
    infer->c->workspace_size = workspace;
  }
  if (!nn_cuda_infer_refresh (infer, error))
    return FALSE;
  for (guint s = 0; s < infer->stages->len; s++)
    choose_tiles (infer, s);
  return TRUE;
}

NnCudaInfer *
nn_cuda_infer_new (NnCudaContext *c, const NnCudaParams *params, const NnCudaInferOptions *options,
    GError **error)
{
  NnCudaInfer *infer = g_new0 (NnCudaInfer, 1);

  infer->c = c;
  infer->params = params;
  infer->options = *options;
  infer->type = options->precision == NN_PRECISION_FP16 ? NN_TYPE_F16
      : options->precision == NN_PRECISION_BF16         ? NN_TYPE_BF16
                                                        : NN_TYPE_F32;
  infer->stages = g_ptr_array_new_with_free_func (stage_free);
  infer->refreshes = g_array_new (FALSE, FALSE, sizeof (Refresh));
  infer->todo_words = g_string_new (NULL);
  for (guint n = options->batch; infer->n_sizes < MAX_SIZES; n = (n + 1) / 2) {
    infer->sizes[infer->n_sizes++] = n;
    if (n == 1 || !options->halves)
      break;
  }
  if (build (infer, error))
    return infer;
  nn_cuda_infer_free (infer);
  return NULL;
}

void
nn_cuda_infer_free (NnCudaInfer *infer)
{
  if (!infer)
    return;
  nn_cuda_sync (infer->c, NULL);
  for (guint i = 0; i < NN_CUDA_N_WAYS * MAX_SIZES; i++)
    if (infer->graphs[i / MAX_SIZES][i % MAX_SIZES])
      nn_api.cuGraphExecDestroy (infer->graphs[i / MAX_SIZES][i % MAX_SIZES]);
  g_ptr_array_unref (infer->stages);
  g_array_unref (infer->refreshes);
  g_string_free (infer->todo_words, TRUE);
  g_free (infer);
}

void
nn_cuda_infer_describe (const NnCudaInfer *infer, GString *text)
{
  for (guint i = 0; i < infer->stages->len; i++) {
    const Stage *stage = infer->stages->pdata[i];
    const Stage *finish = stage->kind == STAGE_CONV ? finish_behind (infer, i) : NULL;
    const gboolean dense = stage->kind == STAGE_DENSE;
    const char *library = stage->kind == STAGE_CONV ? nn_cuda_conv_describe (stage->conv[0])
        : dense                                     ? nn_cuda_dense_describe (stage->dense[0])
                                                    : "kernel";
    const char *how = finish ? finish->how : stage->how;

    if (!stage->is_tiled[0])
      g_string_append_printf (text, "%s: %s%s%s\n", stage->layer->name, library,
          *stage->how ? ": " : "", stage->how);
    else if (stage->kind == STAGE_CONV)
      g_string_append_printf (text, "%s: kernel for few channels, %s%s%s\n", stage->layer->name,
          stage->tiled_how, *how ? ": " : "", how);
  }
  if (infer->tail)
    g_string_append_printf (text, "from %s on, of at most %d samples: one kernel\n",
        ((const Stage *) infer->stages->pdata[infer->tail])->layer->name, NN_TAIL_SAMPLES);
}
