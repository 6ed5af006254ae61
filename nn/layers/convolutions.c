/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* Convolutions other than Conv2D. */

typedef struct
{
  gsize filters, multiplier;
  gsize kernel[2], strides[2], dilation[2];
  gsize out_pad[2]; /* output_padding, where it is given */
  gboolean has_out_pad;
  NnPadding padding;
  gboolean is_causal;
  gsize groups;
  NnActivation activation;
  gboolean use_bias;
} Config;

static gboolean
parse_common (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  c->strides[0] = c->strides[1] = c->dilation[0] = c->dilation[1] = 1;
  c->multiplier = c->groups = 1;
  c->use_bias = TRUE;
  return nn_config_check_data_format (layer, config, error)
      && nn_config_get_pair (layer, config, "kernel_size", 4096, c->kernel, error)
      && nn_config_get_pair (layer, config, "strides", 4096, c->strides, error)
      && nn_config_get_pair (layer, config, "dilation_rate", 4096, c->dilation, error)
      && nn_config_get_padding (layer, config, &c->padding, error)
      && nn_config_get_activation (layer, config, "activation", &c->activation, error)
      && nn_config_get_boolean (layer, config, "use_bias", &c->use_bias, error);
}

static gboolean
add_bias (NnLayer *layer, JsonObject *config, GError **error)
{
  return !((Config *) layer->data)->use_bias
      || nn_layer_add_param (layer, config, "bias", "bias", TRUE, NN_INIT_ZEROS, error);
}

/* x by kernel @index of the shape @kernel, used as one of (kh, kw, channels / groups, filters) */
static guint
emit_conv (NnEmit *e, guint x, guint index, const gsize kernel[4], gsize groups, guint bias)
{
  const Config *c = e->layer->data;
  const NnShape as = { 4, { kernel[0], kernel[1], groups > 1 ? 1 : kernel[2],
                              groups > 1 ? kernel[2] * kernel[3] : kernel[3] } };
  NnAttrs attrs = { .conv = { .groups = groups } };
  guint operands[3] = { x, NN_NO_VALUE, bias };

  for (guint i = 0; i < 2; i++) {
    const gboolean is_point = kernel[0] == 1 && kernel[1] == 1 && groups == 1;

    attrs.conv.strides[i] = is_point ? 1 : c->strides[i];
    attrs.conv.dilation[i] = is_point ? 1 : c->dilation[i];
  }
  if (!nn_emit_windows (e, x, kernel, attrs.conv.strides, attrs.conv.dilation, c->padding,
          attrs.conv.pad_begin, attrs.conv.pad_end))
    return NN_NO_VALUE;
  operands[1] = nn_emit_param (e, index, 4, kernel, &as);
  return nn_emit (e, NN_OP_CONV, &attrs, 3, operands);
}

static guint
emit_bias (NnEmit *e, guint index, gsize n)
{
  return ((const Config *) e->layer->data)->use_bias ? nn_emit_param (e, index, 1, &n, NULL)
                                                     : NN_NO_VALUE;
}

/* --- DepthwiseConv2D: each channel by filters of its own --------------------------- */

static gboolean
parse_depthwise (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  return parse_common (layer, config, error)
      && nn_config_get_size (layer, config, "depth_multiplier", NN_MAX_SIZE, &c->multiplier, error)
      && nn_layer_add_param (layer, config, "depthwise_kernel", "depthwise", TRUE,
          NN_INIT_SCALING_UNIFORM, error)
      && add_bias (layer, config, error);
}

static guint
emit_depthwise (NnEmit *e, const guint *in)
{
  const Config *c = e->layer->data;
  const guint x = nn_emit_channels_last (e, in[0]);
  gsize kernel[4] = { c->kernel[0], c->kernel[1], 0, c->multiplier };
  guint y;

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  kernel[2] = nn_emit_shape (e, x).dims[2];
  y = emit_conv (e, x, 0, kernel, kernel[2], emit_bias (e, 1, kernel[2] * c->multiplier));
  return nn_emit_channels_back (e, nn_emit_activation (e, y, c->activation));
}

const NnLayerClass nn_depthwise_conv2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "DepthwiseConv2D",
  .data_size = sizeof (Config),
  .parse = parse_depthwise,
  .emit = emit_depthwise,
};

/* --- SeparableConv2D: depthwise, then across channels ------------------------------- */

static gboolean
parse_separable (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  return parse_common (layer, config, error)
      && nn_config_get_size (layer, config, "filters", NN_MAX_SIZE, &c->filters, error)
      && nn_config_get_size (layer, config, "depth_multiplier", NN_MAX_SIZE, &c->multiplier, error)
      && nn_layer_add_param (layer, config, "depthwise_kernel", "depthwise", TRUE,
          NN_INIT_SCALING_UNIFORM, error)
      && nn_layer_add_param (layer, config, "pointwise_kernel", "pointwise", TRUE,
          NN_INIT_SCALING_UNIFORM, error)
      && add_bias (layer, config, error);
}

static guint
emit_separable (NnEmit *e, const guint *in)
{
  const Config *c = e->layer->data;
  const guint x = nn_emit_channels_last (e, in[0]);
  gsize depth[4] = { c->kernel[0], c->kernel[1], 0, c->multiplier };
  gsize point[4] = { 1, 1, 0, c->filters };
  guint y;

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  depth[2] = nn_emit_shape (e, x).dims[2];
  point[2] = depth[2] * c->multiplier;
  y = emit_conv (e, x, 0, depth, depth[2], NN_NO_VALUE);
  if (y == NN_NO_VALUE)
    return y;
  y = emit_conv (e, y, 1, point, 1, emit_bias (e, 2, c->filters));
  return nn_emit_channels_back (e, nn_emit_activation (e, y, c->activation));
}

static const char *const separable_aliases[] = { "SeparableConvolution2D", NULL };

const NnLayerClass nn_separable_conv2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "SeparableConv2D",
  .aliases = separable_aliases,
  .data_size = sizeof (Config),
  .parse = parse_separable,
  .emit = emit_separable,
};

/* --- Conv2DTranspose ---------------------------------------------------------------- */

static gboolean
parse_transpose (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  if (!parse_common (layer, config, error)
      || !nn_config_get_size (layer, config, "filters", NN_MAX_SIZE, &c->filters, error))
    return FALSE;
  if (nn_json_get (config, "output_padding") != NULL) {
    c->has_out_pad = TRUE;
    if (!nn_config_get_pair_from_zero (layer, config, "output_padding", 4096, c->out_pad, error))
      return FALSE;
  }
  return nn_layer_add_param (layer, config, "kernel", "kernel", TRUE, NN_INIT_SCALING_UNIFORM,
             error)
      && add_bias (layer, config, error);
}

/* Keras's deconv_output_length(); the padding is that of the convolution whose gradient it is. */
static gsize
transposed_size (const Config *c, guint axis, gsize n, gsize *pad_begin)
{
  const gsize span = (c->kernel[axis] - 1) * c->dilation[axis] + 1, stride = c->strides[axis];
  const gsize reach = (n - 1) * stride + span;
  gsize out;

  if (c->has_out_pad) {
    const gsize cut = c->padding == NN_PADDING_SAME ? c->kernel[axis] / 2 * 2 : 0;

    out = reach + c->out_pad[axis] > cut ? reach + c->out_pad[axis] - cut : 1;
  } else {
    out = n * stride;
    if (c->padding == NN_PADDING_VALID && span > stride)
      out += span - stride;
  }
  *pad_begin = c->padding == NN_PADDING_SAME && reach > out ? (reach - out) / 2 : 0;
  return out;
}

static guint
emit_transpose (NnEmit *e, const guint *in)
{
  const Config *c = e->layer->data;
  const guint x = nn_emit_channels_last (e, in[0]);
  gsize kernel[4] = { c->kernel[0], c->kernel[1], c->filters, 0 };
  NnAttrs attrs = { .conv = { .groups = 1 } };
  guint operands[3] = { x, NN_NO_VALUE, NN_NO_VALUE }, y;

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  kernel[3] = nn_emit_shape (e, x).dims[2];
  for (guint i = 0; i < 2; i++) {
    attrs.conv.strides[i] = c->strides[i];
    attrs.conv.dilation[i] = c->dilation[i];
    attrs.conv.out[i]
        = transposed_size (c, i, nn_emit_shape (e, x).dims[i], &attrs.conv.pad_begin[i]);
  }
  operands[1] = nn_emit_param (e, 0, 4, kernel, NULL);
  operands[2] = emit_bias (e, 1, c->filters);
  y = nn_emit (e, NN_OP_CONV_TRANSPOSE, &attrs, 3, operands);
  return nn_emit_channels_back (e, nn_emit_activation (e, y, c->activation));
}

static const char *const transpose_aliases[]
    = { "Deconvolution2D", "Convolution2DTranspose", NULL };

const NnLayerClass nn_conv2d_transpose_class = {
  .kind = NN_LAYER_OTHER,
  .name = "Conv2DTranspose",
  .aliases = transpose_aliases,
  .data_size = sizeof (Config),
  .parse = parse_transpose,
  .emit = emit_transpose,
};

/* --- Conv1D on (n, channels): a convolution of one column ---------------------------- */

static gboolean
parse_1d (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  c->kernel[1] = c->strides[0] = c->dilation[0] = c->strides[1] = c->dilation[1] = 1;
  c->groups = 1;
  c->use_bias = TRUE;
  c->is_causal = g_strcmp0 (nn_json_get_string (config, "padding"), "causal") == 0;
  return nn_config_check_data_format (layer, config, error)
      && nn_config_get_single (layer, config, "kernel_size", 4096, &c->kernel[0], error)
      && nn_config_get_single (layer, config, "strides", 4096, &c->strides[0], error)
      && nn_config_get_single (layer, config, "dilation_rate", 4096, &c->dilation[0], error)
      && (c->is_causal || nn_config_get_padding (layer, config, &c->padding, error))
      && nn_config_get_size (layer, config, "filters", NN_MAX_SIZE, &c->filters, error)
      && nn_config_get_size (layer, config, "groups", NN_MAX_SIZE, &c->groups, error)
      && nn_config_get_activation (layer, config, "activation", &c->activation, error)
      && nn_config_get_boolean (layer, config, "use_bias", &c->use_bias, error)
      && nn_layer_add_param (layer, config, "kernel", "kernel", TRUE, NN_INIT_SCALING_UNIFORM,
          error)
      && add_bias (layer, config, error);
}

static guint
emit_1d (NnEmit *e, const guint *in)
{
  static const guint8 swap[] = { 1, 0 };
  const Config *c = e->layer->data;
  const guint x = e->layer->channels_first && nn_emit_shape (e, in[0]).n_dims == 2
      ? nn_emit_transpose (e, in[0], swap) : in[0];
  const NnShape shape = nn_emit_shape (e, x);
  const gsize picture[3] = { shape.dims[0], 1, shape.dims[1] };
  const gsize kernel[3] = { c->kernel[0], shape.dims[1] / c->groups, c->filters };
  const NnShape as = { 4, { kernel[0], 1, kernel[1], kernel[2] } };
  NnAttrs attrs = { .conv = { .strides = { c->strides[0], 1 }, .dilation = { c->dilation[0], 1 },
                        .groups = c->groups } };
  guint operands[3], y;
  gsize out[2];

  if (shape.n_dims != 2)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input should be (steps, channels), found %u axes",
        shape.n_dims);
  operands[0] = nn_emit_reshape (e, x, 3, picture);
  if (c->is_causal)
    attrs.conv.pad_begin[0] = (c->kernel[0] - 1) * c->dilation[0];
  else if (!nn_emit_windows (e, operands[0], c->kernel, attrs.conv.strides, attrs.conv.dilation,
               c->padding, attrs.conv.pad_begin, attrs.conv.pad_end))
    return NN_NO_VALUE;
  operands[1] = nn_emit_param (e, 0, 3, kernel, &as);
  operands[2] = emit_bias (e, 1, c->filters);
  y = nn_emit (e, NN_OP_CONV, &attrs, 3, operands);
  out[0] = nn_emit_shape (e, y).dims[0];
  out[1] = c->filters;
  y = nn_emit_activation (e, nn_emit_reshape (e, y, 2, out), c->activation);
  return x != in[0] ? nn_emit_transpose (e, y, swap) : y;
}

static const char *const aliases_1d[] = { "Convolution1D", NULL };

const NnLayerClass nn_conv1d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "Conv1D",
  .aliases = aliases_1d,
  .data_size = sizeof (Config),
  .parse = parse_1d,
  .emit = emit_1d,
};
