/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* Cross-correlation on (H, W, C), kernel (kh, kw, in / groups, filters). */

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  NnConv2dConfig *conv = &layer->config.conv2d;

  conv->groups = 1;
  conv->strides[0] = conv->strides[1] = 1;
  conv->dilation[0] = conv->dilation[1] = 1;
  conv->use_bias = TRUE;
  if (!nn_config_check_data_format (layer, config, error)
      || !nn_config_get_size (layer, config, "groups", NN_MAX_SIZE, &conv->groups, error))
    return FALSE;
  return nn_config_get_size (layer, config, "filters", NN_MAX_SIZE, &conv->filters, error)
      && nn_config_get_pair (layer, config, "kernel_size", 4096, conv->kernel, error)
      && nn_config_get_pair (layer, config, "strides", 4096, conv->strides, error)
      && nn_config_get_pair (layer, config, "dilation_rate", 4096, conv->dilation, error)
      && nn_config_get_padding (layer, config, &conv->padding, error)
      && nn_config_get_activation (layer, config, "activation", &conv->activation, error)
      && nn_config_get_boolean (layer, config, "use_bias", &conv->use_bias, error)
      && nn_layer_add_param (layer, config, "kernel", "kernel", TRUE, NN_INIT_SCALING_UNIFORM,
          error)
      && (!conv->use_bias
          || nn_layer_add_param (layer, config, "bias", "bias", TRUE, NN_INIT_ZEROS, error));
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  NnConv2dConfig *conv = &layer->config.conv2d;
  gsize out[3], kernel[4];

  if (layer->in_shape.n_dims != 3)
    return nn_layer_error (layer, error, NN_ERROR_SHAPE,
        "its input should be (height, width, channels), found %u axes", layer->in_shape.n_dims);
  for (guint i = 0; i < 2; i++) {
    if (!nn_window (layer->in_shape.dims[i], conv->kernel[i], conv->strides[i], conv->dilation[i],
            conv->padding, &out[i], &conv->pad_begin[i], &conv->pad_end[i]))
      return nn_layer_error (layer, error, NN_ERROR_SHAPE,
          "its kernel covers %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT
          " cells, its input has only %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT,
          (conv->kernel[0] - 1) * conv->dilation[0] + 1,
          (conv->kernel[1] - 1) * conv->dilation[1] + 1, layer->in_shape.dims[0],
          layer->in_shape.dims[1]);
  }
  if (layer->in_shape.dims[2] % conv->groups != 0 || conv->filters % conv->groups != 0)
    return nn_layer_error (layer, error, NN_ERROR_SHAPE,
        "its %" G_GSIZE_FORMAT " channels and %" G_GSIZE_FORMAT
        " filters cannot be taken in %" G_GSIZE_FORMAT " groups",
        layer->in_shape.dims[2], conv->filters, conv->groups);
  out[2] = conv->filters;
  kernel[0] = conv->kernel[0];
  kernel[1] = conv->kernel[1];
  kernel[2] = layer->in_shape.dims[2] / conv->groups;
  kernel[3] = conv->filters;
  return nn_layer_set_shape (layer, "the output", &layer->out_shape, 3, out, error)
      && nn_param_set_shape (layer, 0, 4, kernel, error)
      && (!conv->use_bias || nn_param_set_shape (layer, 1, 1, &kernel[3], error));
}

static guint
emit (NnEmit *e, const guint *in)
{
  const NnConv2dConfig *conv = &e->layer->config.conv2d;
  const guint x = nn_emit_channels_last (e, in[0]);
  NnAttrs attrs = { .conv = { .groups = conv->groups } };
  guint operands[3] = { x, NN_NO_VALUE, NN_NO_VALUE }, y;
  gsize kernel[4];

  for (guint i = 0; i < 2; i++) {
    attrs.conv.strides[i] = conv->strides[i];
    attrs.conv.dilation[i] = conv->dilation[i];
    kernel[i] = conv->kernel[i];
  }
  if (!nn_emit_windows (e, x, conv->kernel, conv->strides, conv->dilation, conv->padding,
          attrs.conv.pad_begin, attrs.conv.pad_end))
    return NN_NO_VALUE;
  if (nn_emit_shape (e, x).dims[2] % conv->groups != 0 || conv->filters % conv->groups != 0)
    return nn_emit_fail (e, NN_ERROR_SHAPE,
        "its channels and filters cannot be taken in %" G_GSIZE_FORMAT " groups", conv->groups);
  kernel[2] = nn_emit_shape (e, x).dims[2] / conv->groups;
  kernel[3] = conv->filters;
  operands[1] = nn_emit_param (e, 0, 4, kernel, NULL);
  if (conv->use_bias)
    operands[2] = nn_emit_param (e, 1, 1, &kernel[3], NULL);
  y = nn_emit (e, NN_OP_CONV, &attrs, 3, operands);
  return nn_emit_channels_back (e, nn_emit_activation (e, y, conv->activation));
}

static const char *const aliases[] = { "Convolution2D", NULL };

const NnLayerClass nn_conv2d_class = {
  .kind = NN_LAYER_CONV2D,
  .name = "Conv2D",
  .aliases = aliases,
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
