/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* 'valid': the rows and columns that fill no window are dropped. */

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  NnPoolConfig *pool = &layer->config.pool;

  pool->size[0] = pool->size[1] = 2;
  if (!nn_config_check_data_format (layer, config, error)
      || !nn_config_get_pair (layer, config, "pool_size", 4096, pool->size, error))
    return FALSE;
  pool->strides[0] = pool->size[0];
  pool->strides[1] = pool->size[1];
  return nn_config_get_pair (layer, config, "strides", 4096, pool->strides, error)
      && nn_config_get_padding (layer, config, &pool->padding, error);
}

static gboolean
infer (NnLayer *layer, GError **error)
{
  NnPoolConfig *pool = &layer->config.pool;
  gsize out[3];

  if (layer->in_shape.n_dims != 3)
    return nn_layer_error (layer, error, NN_ERROR_SHAPE,
        "its input should be (height, width, channels), found %u axes", layer->in_shape.n_dims);
  for (guint i = 0; i < 2; i++) {
    if (!nn_window (layer->in_shape.dims[i], pool->size[i], pool->strides[i], 1, pool->padding,
            &out[i], &pool->pad_begin[i], &pool->pad_end[i]))
      return nn_layer_error (layer, error, NN_ERROR_SHAPE,
          "its window has %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT
          " cells, its input only %" G_GSIZE_FORMAT "x%" G_GSIZE_FORMAT,
          pool->size[0], pool->size[1], layer->in_shape.dims[0], layer->in_shape.dims[1]);
  }
  out[2] = layer->in_shape.dims[2];
  return nn_layer_set_shape (layer, "the output", &layer->out_shape, 3, out, error);
}

static guint
emit (NnEmit *e, const guint *in)
{
  static const gsize dilation[2] = { 1, 1 };
  const NnPoolConfig *pool = &e->layer->config.pool;
  const guint x = nn_emit_channels_last (e, in[0]);
  NnAttrs attrs = { .pool = { .size = { pool->size[0], pool->size[1] },
                        .strides = { pool->strides[0], pool->strides[1] } } };

  if (!nn_emit_windows (e, x, pool->size, pool->strides, dilation, pool->padding,
          attrs.pool.pad_begin, attrs.pool.pad_end))
    return NN_NO_VALUE;
  return nn_emit_channels_back (e, nn_emit (e, NN_OP_POOL, &attrs, 1, &x));
}

static const char *const aliases[] = { "MaxPool2D", NULL };

const NnLayerClass nn_max_pooling2d_class = {
  .kind = NN_LAYER_MAX_POOLING2D,
  .name = "MaxPooling2D",
  .aliases = aliases,
  .parse = parse,
  .infer = infer,
  .emit = emit,
};
