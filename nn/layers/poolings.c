/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* Poolings other than MaxPooling2D and GlobalAveragePooling2D. */

typedef struct
{
  gsize size[2], strides[2];
  NnPadding padding;
} Config;

static gboolean
parse_windows (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  c->size[0] = c->size[1] = 2;
  if (!nn_config_check_data_format (layer, config, error)
      || !nn_config_get_pair (layer, config, "pool_size", 4096, c->size, error))
    return FALSE;
  c->strides[0] = c->size[0];
  c->strides[1] = c->size[1];
  return nn_config_get_pair (layer, config, "strides", 4096, c->strides, error)
      && nn_config_get_padding (layer, config, &c->padding, error);
}

static guint
emit_windows (NnEmit *e, guint x, gboolean is_mean)
{
  static const gsize dilation[2] = { 1, 1 };
  const Config *c = e->layer->data;
  NnAttrs attrs = { .pool = { .size = { c->size[0], c->size[1] },
                        .strides = { c->strides[0], c->strides[1] }, .is_mean = is_mean } };

  if (!nn_emit_windows (e, x, c->size, c->strides, dilation, c->padding, attrs.pool.pad_begin,
          attrs.pool.pad_end))
    return NN_NO_VALUE;
  return nn_emit (e, NN_OP_POOL, &attrs, 1, &x);
}

static guint
emit_average (NnEmit *e, const guint *in)
{
  return nn_emit_channels_back (e, emit_windows (e, nn_emit_channels_last (e, in[0]), TRUE));
}

static const char *const average_aliases[] = { "AvgPool2D", NULL };

const NnLayerClass nn_average_pooling2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "AveragePooling2D",
  .aliases = average_aliases,
  .data_size = sizeof (Config),
  .parse = parse_windows,
  .emit = emit_average,
};

/* --- of rows: (n, channels) ---------------------------------------------------------- */

static gboolean
parse_1d (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;

  c->size[0] = 2;
  c->size[1] = c->strides[1] = 1;
  if (!nn_config_check_data_format (layer, config, error)
      || !nn_config_get_single (layer, config, "pool_size", 4096, &c->size[0], error))
    return FALSE;
  c->strides[0] = c->size[0];
  return nn_config_get_single (layer, config, "strides", 4096, &c->strides[0], error)
      && nn_config_get_padding (layer, config, &c->padding, error);
}

static guint
emit_1d (NnEmit *e, guint input, gboolean is_mean)
{
  static const guint8 swap[] = { 1, 0 };
  const guint x = e->layer->channels_first && nn_emit_shape (e, input).n_dims == 2
      ? nn_emit_transpose (e, input, swap) : input;
  const NnShape shape = nn_emit_shape (e, x);
  const gsize picture[3] = { shape.dims[0], 1, shape.dims[1] };
  gsize out[2];
  guint y;

  if (shape.n_dims != 2)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input should be (steps, channels), found %u axes",
        shape.n_dims);
  y = emit_windows (e, nn_emit_reshape (e, x, 3, picture), is_mean);
  out[0] = nn_emit_shape (e, y).dims[0];
  out[1] = picture[2];
  y = nn_emit_reshape (e, y, 2, out);
  return x != input ? nn_emit_transpose (e, y, swap) : y;
}

static guint
emit_max_1d (NnEmit *e, const guint *in)
{
  return emit_1d (e, in[0], FALSE);
}

static guint
emit_average_1d (NnEmit *e, const guint *in)
{
  return emit_1d (e, in[0], TRUE);
}

static const char *const max_1d_aliases[] = { "MaxPool1D", NULL };
static const char *const average_1d_aliases[] = { "AvgPool1D", NULL };

const NnLayerClass nn_max_pooling1d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "MaxPooling1D",
  .aliases = max_1d_aliases,
  .data_size = sizeof (Config),
  .parse = parse_1d,
  .emit = emit_max_1d,
};

const NnLayerClass nn_average_pooling1d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "AveragePooling1D",
  .aliases = average_1d_aliases,
  .data_size = sizeof (Config),
  .parse = parse_1d,
  .emit = emit_average_1d,
};

/* --- over everything ----------------------------------------------------------------- */

static gboolean
parse_global (NnLayer *layer, JsonObject *config, GError **error)
{
  return nn_config_check_data_format (layer, config, error)
      && nn_config_get_boolean (layer, config, "keepdims", layer->data, error);
}

static guint
emit_global (NnEmit *e, guint x, guint n_axes, NnReduce kind)
{
  const gboolean keepdims = *(const gboolean *) e->layer->data;
  const guint axes = e->layer->channels_first ? (n_axes == 2 ? 6 : 2) : (n_axes == 2 ? 3 : 1);

  if (nn_emit_shape (e, x).n_dims != n_axes + 1)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input should have %u axes, found %u", n_axes + 1,
        nn_emit_shape (e, x).n_dims);
  return nn_emit_reduce (e, x, kind, axes, keepdims);
}

static guint
emit_global_max (NnEmit *e, const guint *in)
{
  return emit_global (e, in[0], 2, NN_REDUCE_MAX);
}

static guint
emit_global_max_1d (NnEmit *e, const guint *in)
{
  return emit_global (e, in[0], 1, NN_REDUCE_MAX);
}

static guint
emit_global_average_1d (NnEmit *e, const guint *in)
{
  return emit_global (e, in[0], 1, NN_REDUCE_MEAN);
}

static const char *const global_max_aliases[] = { "GlobalMaxPool2D", NULL };
static const char *const global_max_1d_aliases[] = { "GlobalMaxPool1D", NULL };
static const char *const global_average_1d_aliases[] = { "GlobalAvgPool1D", NULL };

const NnLayerClass nn_global_max_pooling2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "GlobalMaxPooling2D",
  .aliases = global_max_aliases,
  .data_size = sizeof (gboolean),
  .parse = parse_global,
  .emit = emit_global_max,
};

const NnLayerClass nn_global_max_pooling1d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "GlobalMaxPooling1D",
  .aliases = global_max_1d_aliases,
  .data_size = sizeof (gboolean),
  .parse = parse_global,
  .emit = emit_global_max_1d,
};

const NnLayerClass nn_global_average_pooling1d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "GlobalAveragePooling1D",
  .aliases = global_average_1d_aliases,
  .data_size = sizeof (gboolean),
  .parse = parse_global,
  .emit = emit_global_average_1d,
};
