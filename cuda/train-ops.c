/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/train-ops.h"

#include <string.h>

#include "cuda/kernel-shapes.h"
#include "nn/error.h"

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

NnType
nn_train_op_get_type (
    const NnLayer *layer, NnActivation activation, gboolean is_last, NnType type, NnType x_type)
{
  if (is_last || activation == NN_ACTIVATION_SOFTMAX || layer->kind == NN_LAYER_DENSE
      || layer->kind == NN_LAYER_GLOBAL_AVERAGE_POOLING2D)
    return NN_TYPE_F32;
  return layer->kind == NN_LAYER_CONV2D ? type : x_type;
}

/* --- pieces that several layers have ------------------ */

/* y = f (x + bias), value by value, softmax too; x may be y */
static gboolean
activate (NnTrainOp *op, const void *x, NnType x_type, gsize x_stride, const float *bias,
    NnActivation activation, GError **error)
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
    .src_type = x_type,
    .dst_type = op->y_type,
    .channels = (uint32_t) op->out.channels,
    .src_stride = (uint32_t) x_stride,
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
activation_backward (
    NnTrainOp *op, NnActivation activation, void *dst, NnType dst_type, GError **error)
{
  const NnSoftmaxBackwardArgs softmax = {
    .blocks = (uint32_t) (op->batch * op->out.rows * op->out.cols),
    .n = (uint32_t) op->out.channels,
    .y = op->y,
    .dy = op->dy,
    .dst = dst,
    .dst_type = dst_type,
  };
  NnSlopeArgs slope = {
    .function = op->activation_done ? NN_FN_LINEAR : nn_cuda_function (activation),
    .y = op->y,
    .dy = op->dy,
    .dst = dst,
    .type = op->y_type,
    .dst_type = dst_type,
  };

  if (activation == NN_ACTIVATION_SOFTMAX && !op->activation_done)
    return nn_k_softmax_backward_launch (op->c, &softmax, error);
  if (dst == op->dy && (op->activation_done || activation == NN_ACTIVATION_LINEAR))
    return TRUE;
  nn_slope_shape (&slope, (uint32_t) (op->batch * op->out_size));
  return nn_k_slope_launch (op->c, &slope, error);
}

/* Between tensors of (rows, cols), of which all but the channels may be of the batch. */
static gboolean
lay (NnTrainOp *op, gsize rows, gsize channels, const void *src, NnType src_type, gsize src_stride,
    void *dst, NnType dst_type, gsize dst_stride, GError **error)
{
  NnLayArgs args = {
    .channels = (uint32_t) channels,
    .src_stride = (uint32_t) src_stride,
    .dst_stride = (uint32_t) dst_stride,
    .src_rows = 1,
    .src_cols = (uint32_t) rows,
    .dst_rows = 1,
    .dst_cols = (uint32_t) rows,
    .src = src,
    .dst = dst,
    .src_type = src_type,
    .dst_type = dst_type,
  };

  nn_lay_shape (&args, (uint32_t) rows);
  return nn_k_lay_launch (op->c, &args, error);
}

/* Room for @n values of what a library gets. */
static gboolean
new_lib (NnTrainOp *op, gsize n, void **to, GError **error)
{
  *to = nn_cuda_new (op->c, n * (op->type == NN_TYPE_F32 ? 4 : 2), op->layer->name, error);
  return *to != NULL;
}

/* A reduction, and which kernel does it. */
typedef struct
{
  NnSumsArgs args;
  NnWay way;
} Sums;

static gboolean
run_sums (NnTrainOp *op, const Sums *sums, GError **error)
{
  switch (sums->way) {
    case NN_WAY_LANES:
      return nn_k_sums_lanes_launch (op->c, &sums->args, error);
    case NN_WAY_CELLS:
      return nn_k_sums_cells_launch (op->c, &sums->args, error);
    default:
      return nn_k_sums_launch (op->c, &sums->args, error);
  }
}

/* room for sums of n indices */
static gboolean
new_sums (NnTrainOp *op, gsize n, guint parts, GError **error)
{
  op->sums = nn_cuda_new (op->c, 2 * n * parts * sizeof (double), op->layer->name, error);
  return op->sums != NULL;
}

static Sums
bias_sums (const NnTrainOp *op)
{
  Sums sums = {
    .args = {
      .kind = NN_SUMS_PLAIN,
      .outer = (uint32_t) (op->out.rows * op->out.cols),
      .n = (uint32_t) op->out.channels,
      .inner = 1,
      .step = op->step,
      .x = op->dy,
      .type = op->y_type,
      .sums = op->sums,
    },
  };

  sums.way = nn_sums_shape (&sums.args, op->batch);
  return sums;
}

/* the gradient of a bias: sums of dy over all but the channels */
static gboolean
bias_backward (NnTrainOp *op, GError **error)
{
  const Sums sums = bias_sums (op);
  const NnTotalArgs total = {
    .count = (uint32_t) op->out.channels,
    .parts = sums.args.parts,
    .sums = op->sums,
    .dst = gradient (op, "bias"),
  };

  return !total.dst || (run_sums (op, &sums, error) && nn_k_total_launch (op->c, &total, error));
}

/* --- convolution ------------------ */

/* engines want the same padding on both sides: where it is not, we pad */
static gboolean
is_skewed (const NnTrainOp *op)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;

  return c->pad_begin[0] != c->pad_end[0] || c->pad_begin[1] != c->pad_end[1];
}

static NnExtent
padded_extent (const NnTrainOp *op)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  NnExtent e = op->in;

  if (is_skewed (op)) {
    e.rows += c->pad_begin[0] + c->pad_end[0];
    e.cols += c->pad_begin[1] + c->pad_end[1];
  }
  return e;
}

/* What the library gets in place of x, y and the rest, where that is needed. */
static gboolean
build_conv_copies (NnTrainOp *op, NnExtent in, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const gsize positions = c->kernel[0] * c->kernel[1];
  const gboolean is_copied = in.rows != op->in.rows || in.cols != op->in.cols
      || op->in_stride != op->in.channels || op->x_type != op->type;
  const gsize in_values = op->batch * in.rows * in.cols * op->in_stride;
  const gsize out_values = op->batch * op->out.rows * op->out.cols * op->out_stride;
  const gsize weights = op->out_stride * positions * op->in_stride;

  if (MAX (in_values, out_values) >= (gsize) 1 << 31) {
    g_set_error (error, op->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
        "layer \"%s\": too many values of a batch for the CUDA back end: use a smaller batch",
        op->layer->name);
    return FALSE;
  }
  return (!is_copied
             || (new_lib (op, in_values, &op->lib_x, error)
                 && (!op->dx || new_lib (op, in_values, &op->lib_dx, error))))
      && ((op->out_stride == op->out.channels && op->y_type == op->type)
          || new_lib (op, out_values, &op->lib_y, error))
      && (op->type == NN_TYPE_F32
          || (new_lib (op, weights, &op->lib_weights, error)
              && new_lib (op, weights, &op->lib_dweights, error)
              && new_lib (op, op->out_stride, &op->lib_bias, error)));
}

static gboolean
build_conv (NnTrainOp *op, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const gboolean narrow = op->type != NN_TYPE_F32;
  const gboolean skewed = is_skewed (op);
  const NnExtent in = padded_extent (op);
  NnConvShape shape = {
    .tf32 = op->tf32,
    .measure = op->measure,
    .sizes = {
      .samples = op->batch,
      .in_rows = (uint32_t) in.rows,
      .in_cols = (uint32_t) in.cols,
      .out_rows = (uint32_t) op->out.rows,
      .out_cols = (uint32_t) op->out.cols,
      .kernel = { (uint32_t) c->kernel[0], (uint32_t) c->kernel[1] },
      .strides = { (uint32_t) c->strides[0], (uint32_t) c->strides[1] },
      .dilation = { (uint32_t) c->dilation[0], (uint32_t) c->dilation[1] },
      .pad = { skewed ? 0 : (uint32_t) c->pad_begin[0], skewed ? 0 : (uint32_t) c->pad_begin[1] },
      .type = op->type,
    },
  };

  op->activation = c->activation;
  op->in_stride = narrow ? (in.channels + 7) / 8 * 8 : in.channels;
  op->out_stride = narrow ? (op->out.channels + 7) / 8 * 8 : op->out.channels;
  shape.sizes.channels = (uint32_t) op->in_stride;
  shape.sizes.filters = (uint32_t) op->out_stride;
  if (!new_sums (op, op->out.channels, bias_sums (op).args.parts, error)
      || !build_conv_copies (op, in, error))
    return FALSE;
  op->kernel_copied = op->lib_weights && op->in_stride == op->in.channels;
  for (guint kind = 0; kind < 3; kind++) {
    shape.kind = kind;
    shape.bias = kind == NN_CONV_FORWARD && param (op, "bias") && !op->lib_y
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

/* x to lib_x, or lib_dx to dx */
static gboolean
shift (NnTrainOp *op, gboolean forward, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const gboolean skewed = is_skewed (op);
  const NnExtent padded = padded_extent (op);
  const NnExtent from = forward ? op->in : padded, to = forward ? padded : op->in;
  const int sign = forward ? 1 : -1;
  const gsize in_stride = op->in.channels, lib_stride = op->in_stride;
  NnLayArgs args = {
    .channels = (uint32_t) op->in.channels,
    .src_stride = (uint32_t) (forward ? in_stride : lib_stride),
    .dst_stride = (uint32_t) (forward ? lib_stride : in_stride),
    .src_rows = (uint32_t) from.rows,
    .src_cols = (uint32_t) from.cols,
    .dst_rows = (uint32_t) to.rows,
    .dst_cols = (uint32_t) to.cols,
    .offset = { skewed ? sign * (int32_t) c->pad_begin[0] : 0,
        skewed ? sign * (int32_t) c->pad_begin[1] : 0 },
    .src = forward ? op->x : op->lib_dx,
    .dst = forward ? op->lib_x : op->dx,
    .src_type = forward ? op->x_type : op->type,
    .dst_type = forward ? op->type : op->x_type,
  };

  nn_lay_shape (&args, (uint32_t) (op->batch * to.rows * to.cols));
  return nn_k_lay_launch (op->c, &args, error);
}

static gboolean
conv_forward (NnTrainOp *op, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const gsize rows = op->out.channels * c->kernel[0] * c->kernel[1];
  const float *bias = param (op, "bias"), *kernel = param (op, "kernel");

  if ((op->lib_x && !shift (op, TRUE, error))
      || (op->lib_weights && !op->kernel_copied
          && !lay (op, rows, op->in.channels, kernel, NN_TYPE_F32, op->in.channels,
              op->lib_weights, op->type, op->in_stride, error))
      || (op->fused && op->lib_bias
          && !lay (op, 1, op->out.channels, bias, NN_TYPE_F32, op->out.channels, op->lib_bias,
              op->type, op->out.channels, error)))
    return FALSE;
  return nn_cuda_conv_run (op->conv[NN_CONV_FORWARD], op->c, op->lib_x ? op->lib_x : op->x,
             op->lib_weights ? op->lib_weights : kernel,
             op->lib_bias ? op->lib_bias : (const void *) bias, op->lib_y ? op->lib_y : op->y,
             error)
      && (op->fused
          || activate (op, op->lib_y ? op->lib_y : op->y, op->lib_y ? op->type : op->y_type,
              op->out_stride, bias, op->activation, error));
}

/* @dy before the activation, as the library wants it */
static gboolean
filter_backward (NnTrainOp *op, const void *dy, GError **error)
{
  const NnConv2dConfig *c = &op->layer->config.conv2d;
  const gsize rows = op->out.channels * c->kernel[0] * c->kernel[1];
  float *to = gradient (op, "kernel");

  return nn_cuda_conv_run (op->conv[NN_CONV_FILTER], op->c, op->lib_x ? op->lib_x : op->x, dy, NULL,
             op->lib_dweights ? op->lib_dweights : to, error)
      && (!op->lib_dweights
          || lay (op, rows, op->in.channels, op->lib_dweights, op->type, op->in_stride, to,
              NN_TYPE_F32, op->in.channels, error));
}

static gboolean
conv_backward (NnTrainOp *op, GError **error)
{
  const void *dy = op->lib_y ? op->lib_y : op->dy;

  return activation_backward (op, op->activation, op->dy, op->y_type, error)
      && bias_backward (op, error)
      && (!op->lib_y
          || lay (op, op->batch * op->out.rows * op->out.cols, op->out.channels, op->dy,
              op->y_type, op->out.channels, op->lib_y, op->type, op->out_stride, error))
      && filter_backward (op, dy, error)
      && (!op->dx
          || (nn_cuda_conv_run (op->conv[NN_CONV_DATA], op->c, dy,
                  op->lib_weights ? op->lib_weights : param (op, "kernel"), NULL,
                  op->lib_dx ? op->lib_dx : op->dx, error)
              && (!op->lib_dx || shift (op, FALSE, error))));
}

/* --- dense ------------------ */

static gboolean
build_dense (NnTrainOp *op, GError **error)
{
  const NnDenseConfig *config = &op->layer->config.dense;
  const gsize rows = op->batch * op->in.rows * op->in.cols;

  op->activation = config->activation;
  if (op->type != NN_TYPE_F32
      && ((op->x_type != op->type && !new_lib (op, rows * op->in.channels, &op->lib_x, error))
          || !new_lib (op, rows * op->out.channels, &op->lib_y, error)
          || !new_lib (op, op->in.channels * op->out.channels, &op->lib_weights, error)))
    return FALSE;
  op->kernel_copied = op->lib_weights != NULL;
  for (guint kind = 0; kind < 3; kind++) {
    const NnDenseShape shape = {
      .kind = kind,
      .rows = rows,
      .in = op->in.channels,
      .units = op->out.channels,
      .type = op->type,
      .dst_type = kind == NN_DENSE_DATA ? op->x_type : NN_TYPE_F32,
      .tf32 = op->tf32,
      .measure = op->measure,
      .bias = kind == NN_DENSE_FORWARD ? param (op, "bias") : NULL,
      .relu = kind == NN_DENSE_FORWARD && config->activation == NN_ACTIVATION_RELU,
    };

    if ((kind != NN_DENSE_DATA || op->dx)
        && !(op->dense[kind] = nn_cuda_dense_new (op->c, &shape, error)))
      return FALSE;
  }
  return new_sums (op, op->out.channels, bias_sums (op).args.parts, error);
}

static gboolean
dense_forward (NnTrainOp *op, GError **error)
{
  const gsize rows = op->batch * op->in.rows * op->in.cols, in = op->in.channels;
  const float *kernel = param (op, "kernel");

  return (!op->lib_x
             || lay (op, rows, in, op->x, op->x_type, in, op->lib_x, op->type, in, error))
      && nn_cuda_dense_run (op->dense[NN_DENSE_FORWARD], op->c, op->lib_x ? op->lib_x : op->x,
          op->lib_weights ? op->lib_weights : kernel, op->y, error)
      && (op->activation == NN_ACTIVATION_RELU
          || activate (op, op->y, op->y_type, op->out.channels, NULL, op->activation, error));
}

static gboolean
dense_backward (NnTrainOp *op, GError **error)
{
  const gsize rows = op->batch * op->out.rows * op->out.cols, units = op->out.channels;
  const void *dy = op->lib_y ? op->lib_y : op->dy;

  return activation_backward (op, op->activation, op->dy, op->y_type, error)
      && bias_backward (op, error)
      && (!op->lib_y
          || lay (op, rows, units, op->dy, op->y_type, units, op->lib_y, op->type, units, error))
      && nn_cuda_dense_run (op->dense[NN_DENSE_FILTER], op->c, op->lib_x ? op->lib_x : op->x, dy,
          gradient (op, "kernel"), error)
      && (!op->dx
          || nn_cuda_dense_run (op->dense[NN_DENSE_DATA], op->c, dy,
              op->lib_weights ? op->lib_weights : param (op, "kernel"), op->dx, error));
}

/* --- BatchNormalization, with the pooling behind it ------------------ */

static NnNorm
norm_of (const NnTrainOp *op)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;

  return (NnNorm) { op->norm_scale, op->norm_shift, (uint32_t) c->n, (uint32_t) c->inner };
}

static NnIncoming
incoming_of (const NnTrainOp *op)
{
  return (NnIncoming) {
    .pooled = op->pool ? op->dy : NULL,
    .dy = op->dy,
    .type = op->y_type,
    .window = op->pool ? nn_cuda_pool_window (op->pool) : nn_cuda_no_window (op->in),
    .channels = (uint32_t) op->in.channels,
  };
}

static Sums
bn_sums (const NnTrainOp *op, NnSumsKind kind)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  Sums sums = {
    .args = {
      .kind = kind,
      .outer = (uint32_t) c->outer,
      .n = (uint32_t) c->n,
      .inner = (uint32_t) c->inner,
      .step = op->step,
      .x = op->x,
      .type = op->x_type,
      .mean = op->mean,
      .inv_std = op->inv_std,
      .norm = norm_of (op),
      .incoming = incoming_of (op),
      .sums = op->sums,
    },
  };

  sums.way = nn_sums_shape (&sums.args, op->batch);
  return sums;
}

static gboolean
build_bn (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  float **tables[] = { &op->mean, &op->inv_std, &op->norm_scale, &op->norm_shift, &op->k1, &op->k2,
    &op->k3, &op->variance };

  for (guint i = 0; i < G_N_ELEMENTS (tables) - !op->scale; i++)
    if (!(*tables[i] = nn_cuda_new (op->c, c->n * sizeof (float), op->layer->name, error)))
      return FALSE;
  return new_sums (op, c->n,
      MAX (bn_sums (op, NN_SUMS_MOMENTS).args.parts, bn_sums (op, NN_SUMS_GRADIENT).args.parts),
      error);
}

static gboolean
bn_forward (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  const Sums sums = bn_sums (op, NN_SUMS_MOMENTS);
  const NnBnForwardArgs tables = {
    .count = (uint32_t) c->n,
    .parts = sums.args.parts,
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
    .scale = op->norm_scale,
    .shift = op->norm_shift,
    .variance = op->variance,
  };
  const NnFinishArgs finish = {
    .count = (uint32_t) (op->batch * op->out_size),
    .src = op->x,
    .dst = op->y,
    .src_type = op->x_type,
    .dst_type = op->y_type,
    .channels = (uint32_t) op->in.channels,
    .src_stride = (uint32_t) op->in.channels,
    .dst_stride = (uint32_t) op->in.channels,
    .window = op->pool ? nn_cuda_pool_window (op->pool) : nn_cuda_no_window (op->in),
    .norm = norm_of (op),
  };

  return (tables.frozen || run_sums (op, &sums, error))
      && nn_k_bn_forward_launch (op->c, &tables, error)
      && nn_k_finish_launch (op->c, &finish, error);
}

static gboolean
bn_backward (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  const Sums sums = bn_sums (op, NN_SUMS_GRADIENT);
  const NnBnBackwardArgs tables = {
    .count = (uint32_t) c->n,
    .parts = sums.args.parts,
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
  NnBnDxArgs dx = {
    .count = (uint32_t) (op->batch * op->in_size),
    .sample_size = (uint32_t) op->in_size,
    .step = op->step,
    .x = op->x,
    .norm = norm_of (op),
    .incoming = incoming_of (op),
    .mean = op->mean,
    .k1 = op->k1,
    .k2 = op->k2,
    .k3 = op->k3,
    .before = op->before,
    .dx = op->dx,
    .type = op->x_type,
  };

  if (!run_sums (op, &sums, error) || !nn_k_bn_backward_launch (op->c, &tables, error))
    return FALSE;
  if (!op->dx)
    return TRUE;
  switch (nn_bn_dx_shape (&dx)) {
    case NN_WAY_LANES:
      return nn_k_bn_dx_lanes_launch (op->c, &dx, error);
    case NN_WAY_CELLS:
      return nn_k_bn_dx_cells_launch (op->c, &dx, error);
    default:
      return nn_k_bn_dx_launch (op->c, &dx, error);
  }
}

/* --- poolings and dropout ------------------ */

static gboolean
pool_forward (NnTrainOp *op, GError **error)
{
  const NnFinishArgs args = {
    .count = (uint32_t) (op->batch * op->out_size),
    .src = op->x,
    .dst = op->y,
    .src_type = op->x_type,
    .dst_type = op->y_type,
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
  NnUnpoolArgs args = {
    .count = (uint32_t) (op->batch * op->in_size),
    .x = op->x,
    .incoming = { .pooled = op->dy, .type = op->y_type,
        .window = nn_cuda_pool_window (op->layer), .channels = (uint32_t) op->in.channels },
    .dx = op->dx,
    .type = op->x_type,
  };

  return nn_unpool_shape (&args) == NN_WAY_CELLS ? nn_k_unpool_cells_launch (op->c, &args, error)
                                                 : nn_k_unpool_launch (op->c, &args, error);
}

static gboolean
mean_forward (NnTrainOp *op, GError **error)
{
  const guint groups = (guint) (op->in.channels + 31) / 32;
  const NnPixelMeanArgs args = {
    .blocks = op->batch * groups,
    .groups = groups,
    .pixels = (uint32_t) (op->in.rows * op->in.cols),
    .channels = (uint32_t) op->in.channels,
    .stride = (uint32_t) op->in.channels,
    .src = op->x,
    .src_type = op->x_type,
    .dst = op->y,
  };

  return nn_k_pixel_mean_launch (op->c, &args, error);
}

static gboolean
mean_backward (NnTrainOp *op, GError **error)
{
  NnMeanBackwardArgs args
      = { .src = op->dy, .src_type = op->y_type, .dst = op->dx, .dst_type = op->x_type };

  nn_mean_backward_shape (
      &args, op->batch, (uint32_t) (op->in.rows * op->in.cols), (uint32_t) op->in.channels);
  return nn_k_mean_backward_launch (op->c, &args, error);
}

static gboolean
dropout_run (NnTrainOp *op, const void *src, void *dst, GError **error)
{
  NnDropoutArgs args = {
    .step = op->step,
    .layer = op->index,
    .src = src,
    .dst = dst,
    .type = op->x_type,
  };

  nn_dropout_shape (
      &args, (uint32_t) (op->batch * op->in_size), op->layer->config.dropout.rate);
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
      return mean_forward (op, error);
    case NN_LAYER_ACTIVATION:
      return activate (
          op, op->x, op->x_type, op->out.channels, NULL, op->activation, error);
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
      return !op->dx || mean_backward (op, error);
    case NN_LAYER_ACTIVATION:
      return !op->dx || activation_backward (op, op->activation, op->dx, op->x_type, error);
    default:
      return !op->dx || dropout_run (op, op->dy, op->dx, error);
  }
}

gboolean
nn_train_op_copy_kernel (NnTrainOp *op, GError **error)
{
  const gsize channels = op->in.channels;

  for (guint p = 0; p < op->layer->n_params && op->kernel_copied; p++) {
    const NnParam *kernel = &op->layer->params[p];

    if (strcmp (kernel->name, "kernel") == 0)
      return lay (op, kernel->n_values / channels, channels, param (op, "kernel"), NN_TYPE_F32,
          channels, op->lib_weights, op->type, channels, error);
  }
  return TRUE;
}

gboolean
nn_train_op_finish (NnTrainOp *op, GError **error)
{
  const NnBatchNormConfig *c = &op->layer->config.batch_norm;
  NnBnMoveArgs move;

  if (op->layer->kind != NN_LAYER_BATCH_NORMALIZATION || !op->layer->trainable || !op->variance)
    return TRUE;
  move = (NnBnMoveArgs) {
    .count = (uint32_t) c->n,
    .momentum = c->momentum,
    .scale = op->scale,
    .mean = op->mean,
    .variance = op->variance,
    .moving_mean = param (op, "moving_mean"),
    .moving_variance = param (op, "moving_variance"),
  };
  return nn_k_bn_move_launch (op->c, &move, error);
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
