/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

/* Layers that arrange values anew. */

typedef struct
{
  guint n;
  gint64 dims[NN_MAX_DIMS]; /* Reshape: -1 = what is left; Permute: axes from 1 on */
} Dims;

static gboolean
get_dims (NnLayer *layer, JsonObject *config, const char *key, GError **error)
{
  Dims *d = layer->data;
  JsonNode *node = nn_json_get (config, key);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  g_autofree char *found = nn_json_describe (node);

  if (!array || json_array_get_length (array) > NN_MAX_DIMS)
    return nn_layer_error (layer, error, NN_ERROR_FORMAT,
        "'%s' should be a list of at most %d whole numbers, found %s", key, NN_MAX_DIMS, found);
  d->n = json_array_get_length (array);
  for (guint i = 0; i < d->n; i++)
    if (!nn_json_node_get_int (json_array_get_element (array, i), &d->dims[i])
        || d->dims[i] < -1 || d->dims[i] == 0 || d->dims[i] > (gint64) NN_MAX_VALUES)
      return nn_layer_error (layer, error, NN_ERROR_FORMAT,
          "'%s' should be a list of whole numbers, found %s", key, found);
  return TRUE;
}

static gboolean
parse_reshape (NnLayer *layer, JsonObject *config, GError **error)
{
  return get_dims (layer, config, "target_shape", error);
}

static guint
emit_reshape (NnEmit *e, const guint *in)
{
  const Dims *d = e->layer->data;
  const gsize n = nn_emit_count (e, in[0]);
  gsize dims[NN_MAX_DIMS], known = 1;
  gint open = -1;

  for (guint i = 0; i < d->n; i++) {
    if (d->dims[i] == -1 && open >= 0)
      return nn_emit_fail (e, NN_ERROR_FORMAT, "'target_shape' leaves two sizes open");
    if (d->dims[i] == -1)
      open = (gint) i;
    else
      dims[i] = (gsize) d->dims[i];
    if (d->dims[i] != -1 && known <= n)
      known *= dims[i];
  }
  if (open >= 0)
    dims[open] = known > 0 && n % known == 0 ? n / known : 0;
  return nn_emit_reshape (e, in[0], d->n, dims);
}

const NnLayerClass nn_reshape_class = { .kind = NN_LAYER_OTHER, .name = "Reshape",
  .data_size = sizeof (Dims), .parse = parse_reshape, .emit = emit_reshape };

static gboolean
parse_permute (NnLayer *layer, JsonObject *config, GError **error)
{
  return get_dims (layer, config, "dims", error);
}

static guint
emit_permute (NnEmit *e, const guint *in)
{
  const Dims *d = e->layer->data;
  guint8 order[NN_MAX_DIMS];

  if (d->n != nn_emit_shape (e, in[0]).n_dims)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "'dims' has %u axes, its input has %u", d->n,
        nn_emit_shape (e, in[0]).n_dims);
  for (guint i = 0; i < d->n; i++)
    order[i] = (guint8) (CLAMP (d->dims[i], 1, 200) - 1);
  return nn_emit_transpose (e, in[0], order);
}

const NnLayerClass nn_permute_class = { .kind = NN_LAYER_OTHER, .name = "Permute",
  .data_size = sizeof (Dims), .parse = parse_permute, .emit = emit_permute };

static gboolean
parse_repeat (NnLayer *layer, JsonObject *config, GError **error)
{
  return nn_config_get_size (layer, config, "n", NN_MAX_SIZE, layer->data, error);
}

static guint
emit_repeat (NnEmit *e, const guint *in)
{
  const gsize n = *(const gsize *) e->layer->data;
  const NnShape shape = nn_emit_shape (e, in[0]);
  const gsize row[2] = { 1, shape.dims[0] }, zeros[2] = { n, 1 };

  if (shape.n_dims != 1)
    return nn_emit_fail (e, NN_ERROR_SHAPE, "its input should have one axis, found %u",
        shape.n_dims);
  return nn_emit_binary (e, NN_BINARY_ADD, nn_emit_reshape (e, in[0], 2, row),
      nn_emit_constant (e, 2, zeros, NULL));
}

const NnLayerClass nn_repeat_vector_class = { .kind = NN_LAYER_OTHER, .name = "RepeatVector",
  .data_size = sizeof (gsize), .parse = parse_repeat, .emit = emit_repeat };
