/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* Layers that change rows and columns only. */

/* --- ZeroPadding2D, Cropping2D: (rows, columns) at both ends -------------------------- */

typedef struct
{
  gsize begin[2], end[2];
} Margins;

/* One number, two, or two pairs. */
static gboolean
get_margins (NnLayer *layer, JsonObject *config, const char *key, GError **error)
{
  Margins *m = layer->data;
  JsonNode *node = nn_json_get (config, key);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  g_autofree char *found = nn_json_describe (node);

  if (array && json_array_get_length (array) == 2
      && JSON_NODE_HOLDS_ARRAY (json_array_get_element (array, 0))) {
    for (guint i = 0; i < 2; i++) {
      JsonNode *pair = json_array_get_element (array, i);
      JsonArray *ends = JSON_NODE_HOLDS_ARRAY (pair) ? json_node_get_array (pair) : NULL;
      gint64 a, b;

      if (!ends || json_array_get_length (ends) != 2
          || !nn_json_node_get_int (json_array_get_element (ends, 0), &a)
          || !nn_json_node_get_int (json_array_get_element (ends, 1), &b) || a < 0 || b < 0
          || a > (gint64) NN_MAX_SIZE || b > (gint64) NN_MAX_SIZE)
        return nn_layer_error (layer, error, NN_ERROR_FORMAT,
            "'%s' should be numbers of rows and columns, found %s", key, found);
      m->begin[i] = (gsize) a;
      m->end[i] = (gsize) b;
    }
    return TRUE;
  }
  if (!nn_config_get_pair_from_zero (layer, config, key, NN_MAX_SIZE, m->begin, error))
    return FALSE;
  m->end[0] = m->begin[0];
  m->end[1] = m->begin[1];
  return TRUE;
}

static gboolean
parse_padding (NnLayer *layer, JsonObject *config, GError **error)
{
  Margins *m = layer->data;

  m->begin[0] = m->begin[1] = m->end[0] = m->end[1] = 1;
  return nn_config_check_data_format (layer, config, error)
      && get_margins (layer, config, "padding", error);
}

static guint
emit_padding (NnEmit *e, const guint *in)
{
  const Margins *m = e->layer->data;
  const guint x = nn_emit_channels_last (e, in[0]);
  NnAttrs attrs = { .pad = { .begin = { m->begin[0], m->begin[1] },
                        .end = { m->end[0], m->end[1] } } };

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  return nn_emit_channels_back (e, nn_emit (e, NN_OP_PAD, &attrs, 1, &x));
}

const NnLayerClass nn_zero_padding2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "ZeroPadding2D",
  .data_size = sizeof (Margins),
  .parse = parse_padding,
  .emit = emit_padding,
};

static gboolean
parse_cropping (NnLayer *layer, JsonObject *config, GError **error)
{
  return nn_config_check_data_format (layer, config, error)
      && get_margins (layer, config, "cropping", error);
}

/* The part of x from @begin on. */
static guint
emit_part (NnEmit *e, guint x, const gsize begin[2], const gsize size[2])
{
  const gsize from[3] = { begin[0], begin[1], 0 };
  const gsize n[3] = { size[0], size[1], nn_emit_shape (e, x).dims[2] };

  return nn_emit_slice (e, x, from, n);
}

static guint
emit_cropping (NnEmit *e, const guint *in)
{
  const Margins *m = e->layer->data;
  const guint x = nn_emit_channels_last (e, in[0]);
  gsize size[2];

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  for (guint i = 0; i < 2; i++) {
    const gsize n = nn_emit_shape (e, x).dims[i];

    if (m->begin[i] + m->end[i] >= n)
      return nn_emit_fail (e, NN_ERROR_SHAPE, "it leaves nothing of %" G_GSIZE_FORMAT " cells", n);
    size[i] = n - m->begin[i] - m->end[i];
  }
  return nn_emit_channels_back (e, emit_part (e, x, m->begin, size));
}

const NnLayerClass nn_cropping2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "Cropping2D",
  .data_size = sizeof (Margins),
  .parse = parse_cropping,
  .emit = emit_cropping,
};

/* --- UpSampling2D, Resizing, CenterCrop ----------------------------------------------- */

typedef struct
{
  gsize size[2]; /* factors, or rows and columns of the result */
  NnInterpolate interpolate;
  gboolean crop, pad; /* to keep the aspect */
} Resize;

static gboolean
get_interpolation (NnLayer *layer, JsonObject *config, NnInterpolate *interpolate, GError **error)
{
  const char *name = nn_json_get_string (config, "interpolation");

  if (name && g_ascii_strcasecmp (name, "nearest") == 0)
    *interpolate = NN_INTERPOLATE_NEAREST;
  else if (name && g_ascii_strcasecmp (name, "bilinear") == 0)
    *interpolate = NN_INTERPOLATE_BILINEAR;
  else if (name)
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED,
        "the interpolation '%s' is not supported, only nearest and bilinear are", name);
  return TRUE;
}

static gboolean
parse_up_sampling (NnLayer *layer, JsonObject *config, GError **error)
{
  Resize *r = layer->data;

  r->size[0] = r->size[1] = 2;
  r->interpolate = NN_INTERPOLATE_NEAREST;
  return nn_config_check_data_format (layer, config, error)
      && nn_config_get_pair (layer, config, "size", 4096, r->size, error)
      && get_interpolation (layer, config, &r->interpolate, error);
}

static guint
emit_resize (NnEmit *e, guint x, gsize rows, gsize columns, NnInterpolate interpolate)
{
  const NnAttrs attrs = { .resize = { { rows, columns }, interpolate } };

  if (nn_emit_shape (e, x).dims[0] == rows && nn_emit_shape (e, x).dims[1] == columns)
    return x;
  return nn_emit (e, NN_OP_RESIZE, &attrs, 1, &x);
}

static guint
emit_up_sampling (NnEmit *e, const guint *in)
{
  const Resize *r = e->layer->data;
  const guint x = nn_emit_channels_last (e, in[0]);

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  return nn_emit_channels_back (e,
      emit_resize (e, x, nn_emit_shape (e, x).dims[0] * r->size[0],
          nn_emit_shape (e, x).dims[1] * r->size[1], r->interpolate));
}

const NnLayerClass nn_up_sampling2d_class = {
  .kind = NN_LAYER_OTHER,
  .name = "UpSampling2D",
  .data_size = sizeof (Resize),
  .parse = parse_up_sampling,
  .emit = emit_up_sampling,
};

static gboolean
parse_size (NnLayer *layer, JsonObject *config, GError **error)
{
  Resize *r = layer->data;

  return nn_config_check_data_format (layer, config, error)
      && nn_config_get_size (layer, config, "height", NN_MAX_SIZE, &r->size[0], error)
      && nn_config_get_size (layer, config, "width", NN_MAX_SIZE, &r->size[1], error);
}

static gboolean
parse_resizing (NnLayer *layer, JsonObject *config, GError **error)
{
  Resize *r = layer->data;
  gboolean antialias = FALSE;

  r->interpolate = NN_INTERPOLATE_BILINEAR;
  if (!parse_size (layer, config, error)
      || !get_interpolation (layer, config, &r->interpolate, error)
      || !nn_config_get_boolean (layer, config, "crop_to_aspect_ratio", &r->crop, error)
      || !nn_config_get_boolean (layer, config, "pad_to_aspect_ratio", &r->pad, error)
      || !nn_config_get_boolean (layer, config, "antialias", &antialias, error))
    return FALSE;
  if (antialias)
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED, "'antialias' is not supported");
  if (r->pad && (nn_json_get (config, "fill_mode") != NULL
                    && g_strcmp0 (nn_json_get_string (config, "fill_mode"), "constant") != 0))
    return nn_layer_error (layer, error, NN_ERROR_UNSUPPORTED, "this 'fill_mode' is not supported");
  return TRUE;
}

/* The largest part of the aspect wanted about the middle, as Keras's smart_resize() takes it. */
static guint
emit_middle (NnEmit *e, guint x, gsize rows, gsize columns)
{
  const double h = (double) nn_emit_shape (e, x).dims[0], w = (double) nn_emit_shape (e, x).dims[1];
  gsize size[2] = { (gsize) (w * (double) rows / (double) columns),
    (gsize) (h * (double) columns / (double) rows) };
  gsize begin[2];

  for (guint i = 0; i < 2; i++) {
    const gsize n = nn_emit_shape (e, x).dims[i];

    size[i] = CLAMP (size[i], 1, n);
    begin[i] = (gsize) ((double) (n - size[i]) / 2);
  }
  return emit_part (e, x, begin, size);
}

static guint
emit_padded (NnEmit *e, guint x, gsize rows, gsize columns)
{
  const double h = (double) nn_emit_shape (e, x).dims[0], w = (double) nn_emit_shape (e, x).dims[1];
  gsize size[2] = { (gsize) (w * (double) rows / (double) columns),
    (gsize) (h * (double) columns / (double) rows) };
  NnAttrs attrs = { .pad = { .value = 0 } };

  for (guint i = 0; i < 2; i++) {
    const gsize n = nn_emit_shape (e, x).dims[i];

    size[i] = MAX (size[i], n);
    attrs.pad.begin[i] = (size[i] - n) / 2;
    attrs.pad.end[i] = size[i] - n - attrs.pad.begin[i];
  }
  return nn_emit (e, NN_OP_PAD, &attrs, 1, &x);
}

static guint
emit_resizing (NnEmit *e, const guint *in)
{
  const Resize *r = e->layer->data;
  guint x = nn_emit_channels_last (e, in[0]);

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  if (r->crop)
    x = emit_middle (e, x, r->size[0], r->size[1]);
  else if (r->pad)
    x = emit_padded (e, x, r->size[0], r->size[1]);
  if (x == NN_NO_VALUE)
    return x;
  return nn_emit_channels_back (e, emit_resize (e, x, r->size[0], r->size[1], r->interpolate));
}

const NnLayerClass nn_resizing_class = {
  .kind = NN_LAYER_OTHER,
  .name = "Resizing",
  .data_size = sizeof (Resize),
  .parse = parse_resizing,
  .emit = emit_resizing,
};

static guint
emit_center_crop (NnEmit *e, const guint *in)
{
  const Resize *r = e->layer->data;
  guint x = nn_emit_channels_last (e, in[0]);
  gsize begin[2];

  if (!nn_emit_check_picture (e, x))
    return NN_NO_VALUE;
  if (nn_emit_shape (e, x).dims[0] >= r->size[0] && nn_emit_shape (e, x).dims[1] >= r->size[1]) {
    for (guint i = 0; i < 2; i++)
      begin[i] = (nn_emit_shape (e, x).dims[i] - r->size[i]) / 2;
    return nn_emit_channels_back (e, emit_part (e, x, begin, r->size));
  }
  /* smaller than the crop: its largest part is enlarged */
  x = emit_middle (e, x, r->size[0], r->size[1]);
  if (x == NN_NO_VALUE)
    return x;
  return nn_emit_channels_back (
      e, emit_resize (e, x, r->size[0], r->size[1], NN_INTERPOLATE_BILINEAR));
}

const NnLayerClass nn_center_crop_class = {
  .kind = NN_LAYER_OTHER,
  .name = "CenterCrop",
  .data_size = sizeof (Resize),
  .parse = parse_size,
  .emit = emit_center_crop,
};
