/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/train-ops.h"

#include <string.h>

#include "nn/error.h"

#define BLOCKS 1024      /* that a reduction is cut into, about */
#define PER_THREAD 16    /* values that a thread of it should have at least */
#define MAX_PARTS 64

gboolean
nn_train_op_needs (const NnLayer *layer)
{
  return layer->kind != NN_LAYER_INPUT && layer->kind != NN_LAYER_FLATTEN
      && !(layer->kind == NN_LAYER_ACTIVATION
          && layer->config.activation.activation == NN_ACTIVATION_LINEAR);
}

static float *
param (const NnTrainOp *op, const char *name)
{
  return nn_cuda_params_get (op->params, op->index, name);
}

static float *
gradient (const NnTrainOp *op, const char *name)
{
  for (guint p = 0; p < op->layer->n_params; p++)
    if (strcmp (op->layer->params[p].name, name) == 0)
      return op->gradients[p];
  return NULL;
}

/* --- pieces that several layers have ------------------ */

/* y = f (x + bias), value by value, softmax too; x may be y */
static gboolean
activate (NnTrainOp *op, const float *x, const float *bias, NnActivation activation, GError **error)
{
  const NnSoftmaxArgs softmax = {
    .blocks = (uint32_t) (op->batch * op->out.rows * op->out.cols),
    .n = (uint32_t) op->out.channels,
    .src = op->y,
    .src_type = NN_TYPE_F32,
    .dst = op->y,
  };
  const NnFinishArgs finish = {
    .count = (uint32_t) (op->batch * op->out_size),
    .src = x,
    .dst = op->y,
    .src_type = NN_TYPE_F32,
    .dst_type = NN_TYPE_F32,
    .channels = (uint32_t) op->out.channels,
    .src_stride = (uint32_t) op->out.channels,
    .dst_stride = (uint32_t) op->out.channels,
    .window = nn_cuda_no_window (op->out),
    .bias = bias,
    .f1 = nn_cuda_function (activation),
    .norm = { NULL, NULL, 1, 1 },
  };

  if ((bias || x != op->y || finish.f1 != NN_FN_LINEAR)
      && !nn_k_finish_launch (op->c, &finish, error))
    return FALSE;
  return activation != NN_ACTIVATION_SOFTMAX || nn_k_softmax_launch (op->c, &softmax, error);
}

/* dst = dy before the activation; dst may be dy */
static gboolean
activation_backward (NnTrainOp *op, NnActivation activation, float *dst, GError **error)
{
  const NnSoftmaxBackwardArgs softmax = {
    .blocks = (uint32_t) (op->batch * op->out.rows * op->out.cols),
    .n = (uint32_t) op->out.channels,
    .y = op->y,
    .dy = op->dy,
    .dst = dst,
  };
  const NnSlopeArgs slope = {
    .count = (uint32_t) (op->batch * op->out_size),
    .function = op->activation_done ? NN_FN_LINEAR : nn_cuda_function (activation),
    .y = op->y,
    .dy = op->dy,
    .dst = dst,
  };

  if (activation == NN_ACTIVATION_SOFTMAX && !op->activation_done)
    return nn_k_softmax_backward_launch (op->c, &softmax, error);
  if (dst == op->dy && (op->activation_done || activation == NN_ACTIVATION_LINEAR))
    return TRUE;
  return nn_k_slope_launch (op->c, &slope, error);
}

/* How many parts a reduction of n indices with so many values each is cut into. */
static guint
count_parts (gsize n, gsize values, gboolean by_channel)
{
  const gsize blocks = by_channel ? (n + 31) / 32 : n;
  const gsize threads = by_channel ? NN_BLOCK / 32 : NN_BLOCK;
  const gsize most = values / (threads * PER_THREAD);

  return (guint) CLAMP (MIN ((BLOCKS + blocks - 1) / blocks, most), 1, MAX_PARTS);
}

static NnSumsArgs
sums_of (const NnTrainOp *op, gsize outer, gsize n, gsize inner)
{
  return (NnSumsArgs) {
    .blocks = (uint32_t) ((inner == 1 ? (n + 31) / 32 : n) * op->parts),
    .outer = (uint32_t) outer,
    .n = (uint32_t) n,
    .inner = (uint32_t) inner,
    .parts = op->parts,
    .step = op->step,
    .sums = op->sums,
  };
}

static gboolean
new_sums (NnTrainOp *op, gsize outer, gsize n, gsize inner, GError **error)
{
  op->parts = count_parts (n, op->batch * outer * inner, inner == 1);
  op->sums = nn_cuda_new (op->c, 2 * n * op->parts * sizeof (double), op->layer->name, error);
  return op->sums != NULL;
}

/* the gradient of a bias: sums of dy over all but the channels */
static gboolean
bias_backward (NnTrainOp *op, GError **error)
{
  NnSumsArgs sums = sums_of (op, op->out.rows * op->out.cols, op->out.channels, 1);
  const NnTotalArgs total = {
    .count = (uint32_t) op->out.channels,
    .parts = op->parts,
    .sums = op->sums,
    .dst = gradient (op, "bias"),
  };

  sums.kind = NN_SUMS_PLAIN;
  sums.x = op->dy;
  return !total.dst
      || (nn_k_sums_launch (op->c, &sums, error) && nn_k_total_launch (op->c, &total, error));
}

/* --- convolution ------------------ */

static NnExtent
padded_extent (const NnTrainOp *op)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  NnExtent e = op->in;

  e.rows += c->pad_begin[0] + c->pad_end[0];
  e.cols += c->pad_begin[1] + c->pad_end[1];
  return e;
}

static gboolean
build_conv (NnTrainOp *op, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const gboolean skewed
      = c->pad_begin[0] != c->pad_end[0] || c->pad_begin[1] != c->pad_end[1];
  const NnExtent in = skewed ? padded_extent (op) : op->in;
  const gsize bytes = op->batch * in.rows * in.cols * in.channels * sizeof (float);
  NnConvShape shape = {
    .tf32 = op->tf32,
    .measure = op->tf32,
    .sizes = {
      .samples = op->batch,
      .in_rows = (uint32_t) in.rows,
      .in_cols = (uint32_t) in.cols,
      .channels = (uint32_t) in.channels,
      .out_rows = (uint32_t) op->out.rows,
      .out_cols = (uint32_t) op->out.cols,
      .filters = (uint32_t) op->out.channels,
      .kernel = { (uint32_t) c->kernel[0], (uint32_t) c->kernel[1] },
      .strides = { (uint32_t) c->strides[0], (uint32_t) c->strides[1] },
      .dilation = { (uint32_t) c->dilation[0], (uint32_t) c->dilation[1] },
      .pad = { skewed ? 0 : (uint32_t) c->pad_begin[0], skewed ? 0 : (uint32_t) c->pad_begin[1] },
    },
  };

  op->activation = c->activation;
  if (!new_sums (op, op->out.rows * op->out.cols, op->out.channels, 1, error))
    return FALSE;
  if (skewed
      && (!(op->padded = nn_cuda_new (op->c, bytes, op->layer->name, error))
          || (op->dx && !(op->dpadded = nn_cuda_new (op->c, bytes, op->layer->name, error)))))
    return FALSE;
  for (guint kind = 0; kind < 3; kind++) {
    shape.kind = kind;
    shape.bias = kind == NN_CONV_FORWARD && param (op, "bias")
        && (c->activation == NN_ACTIVATION_RELU || c->activation == NN_ACTIVATION_LINEAR);
    shape.relu = shape.bias && c->activation == NN_ACTIVATION_RELU;
    if (kind == NN_CONV_DATA && !op->dx)
      continue;
    op->conv[kind] = nn_cuda_conv_new (op->c, &shape, error);
    op->fused |= shape.bias && op->conv[kind];
    shape.bias = shape.relu = FALSE;
    if (!op->conv[kind] && !(op->conv[kind] = nn_cuda_conv_new (op->c, &shape, error)))
      return FALSE;
  }
  return TRUE;
}

/* between the tensor and its padded copy */
static gboolean
shift (NnTrainOp *op, const float *src, float *dst, gboolean pad, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const NnExtent from = pad ? op->in : padded_extent (op), to = pad ? padded_extent (op) : op->in;
  const int sign = pad ? 1 : -1;
  const NnShiftArgs args = {
    .count = (uint32_t) (op->batch * to.rows * to.cols * to.channels),
    .channels = (uint32_t) to.channels,
    .src_rows = (uint32_t) from.rows,
    .src_cols = (uint32_t) from.cols,
    .dst_rows = (uint32_t) to.rows,
    .dst_cols = (uint32_t) to.cols,
    .offset = { sign * (int32_t) c->pad_begin[0], sign * (int32_t) c->pad_begin[1] },
    .src = src,
    .dst = dst,
    .type = NN_TYPE_F32,
  };

  return nn_k_shift_launch (op->c, &args, error);
}

static gboolean
conv_forward (NnTrainOp *op, GError **error)
{
  const float *bias = param (op, "bias");

  if (op->padded && !shift (op, op->x, op->padded, TRUE, error))
    return FALSE;
  return nn_cuda_conv_run (op->conv[NN_CONV_FORWARD], op->c, op->padded ? op->padded : op->x,
             param (op, "kernel"), bias, op->y, error)
      && (op->fused || activate (op, op->y, bias, op->activation, error));
}

static gboolean
conv_backward (NnTrainOp *op, GError **error)
{
  return activation_backward (op, op->activation, op->dy, error) && bias_backward (op, error)
      && nn_cuda_conv_run (op->conv[NN_CONV_FILTER], op->c, op->padded ? op->padded : op->x, op->dy,
          NULL, gradient (op, "kernel"), error)
      && (!op->dx
          || (nn_cuda_conv_run (op->conv[NN_CONV_DATA], op->c, op->dy, param (op, "kernel"), NULL,
                  op->dpadded ? op->dpadded : op->dx, error)
              && (!op->dpadded || shift (op, op->dpadded, op->dx, FALSE, error))));
}

/* --- dense ------------------ */

static gboolean
build_dense (NnTrainOp *op, GError **error)
{
  const NnDenseConfig *config = &op->layer->config.dense;

  op->activation = config->activation;
  for (guint kind = 0; kind < 3; kind++) {
    const NnDenseShape shape = {
      .kind = kind,
      .rows = op->batch * op->in.rows * op->in.cols,
      .in = op->in.channels,
      .units = op->out.channels,
      .type = NN_TYPE_F32,
      .dst_type = NN_TYPE_F32,
      .tf32 = op->tf32,
      .bias = kind == NN_DENSE_FORWARD ? param (op, "bias") : NULL,
      .relu = kind == NN_DENSE_FORWARD && config->activation == NN_ACTIVATION_RELU,
    };

    if ((kind != NN_DENSE_DATA || op->dx)
        && !(op->dense[kind] = nn_cuda_dense_new (op->c, &shape, error)))
      return FALSE;
  }
  return new_sums (op, op->out.rows * op->out.cols, op->out.channels, 1, error);
}

static gboolean
dense_forward (NnTrainOp *op, GError **error)
{
  return nn_cuda_dense_run (
             op->dense[NN_DENSE_FORWARD], op->c, op->x, param (op, "kernel"), op->y, error)
      && (op->activation == NN_ACTIVATION_RELU
          || activate (op, op->y, NULL, op->activation, error));
}

static gboolean
dense_backward (NnTrainOp *op, GError **error)
{
  return activation_backward (op, op->activation, op->dy, error) && bias_backward (op, error)
      && nn_cuda_dense_run (
          op->dense[NN_DENSE_FILTER], op->c, op->x, op->dy, gradient (op, "kernel"), error)
      && (!op->dx
          || nn_cuda_dense_run (
              op->dense[NN_DENSE_DATA], op->c, op->dy, param (op, "kernel"), op->dx, error));
}

/* --- BatchNormalization, with the pooling behind it ------------------ */

static gboolean
build_bn (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  float **tables[] = { &op->mean, &op->inv_std, &op->scale, &op->shift, &op->k1, &op->k2, &op->k3 };

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (!(*tables[i] = nn_cuda_new (op->c, c->n * sizeof (float), op->layer->name, error)))
      return FALSE;
  return new_sums (op, c->outer, c->n, c->inner, error);
}

static NnNorm
norm_of (const NnTrainOp *op)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;

  return (NnNorm) { op->scale, op->shift, (uint32_t) c->n, (uint32_t) c->inner };
}

static gboolean
bn_forward (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  NnSumsArgs sums = sums_of (op, c->outer, c->n, c->inner);
  const NnBnForwardArgs tables = {
    .count = (uint32_t) c->n,
    .parts = op->parts,
    .per_sample = (uint32_t) (c->outer * c->inner),
    .step = op->step,
    .frozen = !op->layer->trainable,
    .bessel = op->bessel,
    .momentum = c->momentum,
    .epsilon = c->epsilon,
    .sums = op->sums,
    .gamma = param (op, "gamma"),
    .beta = param (op, "beta"),
    .moving_mean = param (op, "moving_mean"),
    .moving_variance = param (op, "moving_variance"),
    .mean = op->mean,
    .inv_std = op->inv_std,
    .scale = op->scale,
    .shift = op->shift,
  };
  const NnFinishArgs finish = {
    .count = (uint32_t) (op->batch * op->out_size),
    .src = op->x,
    .dst = op->y,
    .src_type = NN_TYPE_F32,
    .dst_type = NN_TYPE_F32,
    .channels = (uint32_t) op->in.channels,
    .src_stride = (uint32_t) op->in.channels,
    .dst_stride = (uint32_t) op->in.channels,
    .window = op->pool ? nn_cuda_pool_window (op->pool) : nn_cuda_no_window (op->in),
    .norm = norm_of (op),
  };

  sums.kind = NN_SUMS_MOMENTS;
  sums.x = op->x;
  return (tables.frozen || nn_k_sums_launch (op->c, &sums, error))
      && nn_k_bn_forward_launch (op->c, &tables, error)
      && nn_k_finish_launch (op->c, &finish, error);
}

static gboolean
bn_backward (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  const NnIncoming incoming = {
    .pooled = op->pool ? op->dy : NULL,
    .dy = op->dy,
    .window = op->pool ? nn_cuda_pool_window (op->pool) : nn_cuda_no_window (op->in),
    .channels = (uint32_t) op->in.channels,
  };
  NnSumsArgs sums = sums_of (op, c->outer, c->n, c->inner);
  const NnBnBackwardArgs tables = {
    .count = (uint32_t) c->n,
    .parts = op->parts,
    .per_sample = (uint32_t) (c->outer * c->inner),
    .step = op->step,
    .frozen = !op->layer->trainable,
    .sums = op->sums,
    .gamma = param (op, "gamma"),
    .inv_std = op->inv_std,
    .dgamma = gradient (op, "gamma"),
    .dbeta = gradient (op, "beta"),
    .k1 = op->k1,
    .k2 = op->k2,
    .k3 = op->k3,
  };
  const NnBnDxArgs dx = {
    .count = (uint32_t) (op->batch * op->in_size),
    .sample_size = (uint32_t) op->in_size,
    .step = op->step,
    .x = op->x,
    .norm = norm_of (op),
    .incoming = incoming,
    .mean = op->mean,
    .k1 = op->k1,
    .k2 = op->k2,
    .k3 = op->k3,
    .before = op->before,
    .dx = op->dx,
  };

  sums.kind = NN_SUMS_GRADIENT;
  sums.x = op->x;
  sums.mean = op->mean;
  sums.inv_std = op->inv_std;
  sums.norm = norm_of (op);
  sums.incoming = incoming;
  return nn_k_sums_launch (op->c, &sums, error) && nn_k_bn_backward_launch (op->c, &tables, error)
      && (!op->dx || nn_k_bn_dx_launch (op->c, &dx, error));
}

/* --- poolings and dropout ------------------ */

static gboolean
pool_forward (NnTrainOp *op, GError **error)
{
  const NnFinishArgs args = {
    .count = (uint32_t) (op->batch * op->out_size),
    .src = op->x,
    .dst = op->y,
    .src_type = NN_TYPE_F32,
    .dst_type = NN_TYPE_F32,
    .channels = (uint32_t) op->in.channels,
    .src_stride = (uint32_t) op->in.channels,
    .dst_stride = (uint32_t) op->in.channels,
    .window = nn_cuda_pool_window (op->layer),
    .norm = { NULL, NULL, 1, 1 },
  };

  return nn_k_finish_launch (op->c, &args, error);
}

static gboolean
pool_backward (NnTrainOp *op, GError **error)
{
  const NnUnpoolArgs args = {
    .count = (uint32_t) (op->batch * op->in_size),
    .x = op->x,
    .incoming = { .pooled = op->dy, .window = nn_cuda_pool_window (op->layer),
        .channels = (uint32_t) op->in.channels },
    .dx = op->dx,
  };

  return nn_k_unpool_launch (op->c, &args, error);
}

static gboolean
mean_run (NnTrainOp *op, gboolean backward, GError **error)
{
  const NnMeanArgs args = {
    .count = (uint32_t) (op->batch * (backward ? op->in_size : op->out_size)),
    .pixels = (uint32_t) (op->in.rows * op->in.cols),
    .channels = (uint32_t) op->in.channels,
    .stride = (uint32_t) op->in.channels,
    .src = backward ? op->dy : op->x,
    .src_type = NN_TYPE_F32,
    .dst = backward ? op->dx : op->y,
    .dst_type = NN_TYPE_F32,
  };

  return backward ? nn_k_mean_backward_launch (op->c, &args, error)
                  : nn_k_mean_launch (op->c, &args, error);
}

static gboolean
dropout_run (NnTrainOp *op, const float *src, float *dst, GError **error)
{
  const NnDropoutArgs args = {
    .count = (uint32_t) ((op->batch * op->in_size + 3) / 4),
    .values = (uint32_t) (op->batch * op->in_size),
    .step = op->step,
    .layer = op->index,
    .rate = op->layer->config.dropout.rate,
    .src = src,
    .dst = dst,
  };

  return nn_k_dropout_launch (op->c, &args, error);
}

/* --- any op ------------------ */

gboolean
nn_train_op_build (NnTrainOp *op, GError **error)
{
  switch (op->layer->kind) {
    case NN_LAYER_CONV2D:
      return build_conv (op, error);
    case NN_LAYER_DENSE:
      return build_dense (op, error);
    case NN_LAYER_BATCH_NORMALIZATION:
      return build_bn (op, error);
    case NN_LAYER_ACTIVATION:
      op->activation = op->layer->config.activation.activation;
      return TRUE;
    case NN_LAYER_MAX_POOLING2D:
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
    case NN_LAYER_DROPOUT:
      return TRUE;
    default:
      g_set_error (error, op->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
          "the CUDA back end cannot train layer \"%s\"", op->layer->name);
      return FALSE;
  }
}

void
nn_train_op_clear (NnTrainOp *op)
{
  for (guint i = 0; i < 3; i++) {
    nn_cuda_conv_free (op->conv[i]);
    nn_cuda_dense_free (op->dense[i]);
  }
}

gsize
nn_train_op_get_workspace (const NnTrainOp *op)
{
  gsize most = 0;

  for (guint i = 0; i < 3; i++) {
    if (op->conv[i])
      most = MAX (most, nn_cuda_conv_get_workspace (op->conv[i]));
    if (op->dense[i])
      most = MAX (most, nn_cuda_dense_get_workspace (op->dense[i]));
  }
  return most;
}

gboolean
nn_train_op_forward (NnTrainOp *op, GError **error)
{
  switch (op->layer->kind) {
    case NN_LAYER_CONV2D:
      return conv_forward (op, error);
    case NN_LAYER_DENSE:
      return dense_forward (op, error);
    case NN_LAYER_BATCH_NORMALIZATION:
      return bn_forward (op, error);
    case NN_LAYER_MAX_POOLING2D:
      return pool_forward (op, error);
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      return mean_run (op, FALSE, error);
    case NN_LAYER_ACTIVATION:
      return activate (op, op->x, NULL, op->activation, error);
    default:
      return dropout_run (op, op->x, op->y, error);
  }
}

gboolean
nn_train_op_backward (NnTrainOp *op, GError **error)
{
  switch (op->layer->kind) {
    case NN_LAYER_CONV2D:
      return conv_backward (op, error);
    case NN_LAYER_DENSE:
      return dense_backward (op, error);
    case NN_LAYER_BATCH_NORMALIZATION:
      return bn_backward (op, error);
    case NN_LAYER_MAX_POOLING2D:
      return !op->dx || pool_backward (op, error);
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      return !op->dx || mean_run (op, TRUE, error);
    case NN_LAYER_ACTIVATION:
      return !op->dx || activation_backward (op, op->activation, op->dx, error);
    default:
      return !op->dx || dropout_run (op, op->dy, op->dx, error);
  }
}

void
nn_train_op_describe (const NnTrainOp *op, GString *text)
{
  static const char *const kinds[] = { "forward", "data", "weights" };

  for (guint i = 0; i < 3; i++) {
    if (op->conv[i])
      g_string_append_printf (text, "%s %s: %s%s\n", op->layer->name, kinds[i],
          nn_cuda_conv_describe (op->conv[i]), i == 0 && op->fused ? " + bias + activation" : "");
    if (op->dense[i])
      g_string_append_printf (
          text, "%s %s: %s\n", op->layer->name, kinds[i], nn_cuda_dense_describe (op->dense[i]));
  }
  if (!op->conv[0] && !op->dense[0])
    g_string_append_printf (
        text, "%s: kernel%s\n", op->layer->name, op->pool ? " + max pooling" : "");
}
