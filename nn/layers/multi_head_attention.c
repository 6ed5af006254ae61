/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/layers/layers.h"

#include <math.h>

/* MultiHeadAttention (Vaswani et al. 2017) on (steps, channels): softmax (q k^T / sqrt (d)) v for
 * each head. Kernels (channels, heads, d), that of the output (heads, d, channels). */

typedef struct
{
  gsize heads, key, value;
  gsize out; /* 0: the query's channels */
  gboolean use_bias;
} Config;

static const char *const names[] = { "query", "key", "value", "attention_output" };
static const char *const stores[] = { "query_dense", "key_dense", "value_dense", "output_dense" };

static gboolean
parse (NnLayer *layer, JsonObject *config, GError **error)
{
  Config *c = layer->data;
  JsonNode *out = nn_json_get (config, "output_shape");

  c->use_bias = TRUE;
  if (!nn_config_get_size (layer, config, "num_heads", NN_MAX_SIZE, &c->heads, error)
      || !nn_config_get_size (layer, config, "key_dim", NN_MAX_SIZE, &c->key, error))
    return FALSE;
  c->value = c->key;
  if (!nn_config_get_size (layer, config, "value_dim", NN_MAX_SIZE, &c->value, error)
      || !nn_config_get_boolean (layer, config, "use_bias", &c->use_bias, error))
    return FALSE;
  if (out != NULL) {
    c->out = 0;
    if (!nn_config_get_single (layer, config, "output_shape", NN_MAX_SIZE, &c->out, error))
      return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (!nn_layer_add_param (layer, config, "kernel", "kernel", TRUE, NN_INIT_SCALING_UNIFORM,
            error))
      return FALSE;
    layer->params[layer->n_params - 1].store = stores[i];
    if (!c->use_bias)
      continue;
    if (!nn_layer_add_param (layer, config, "bias", "bias", TRUE, NN_INIT_ZEROS, error))
      return FALSE;
    layer->params[layer->n_params - 1].store = stores[i];
  }
  return TRUE;
}

/* x (n, channels) to (heads, n, d) */
static guint
emit_heads (NnEmit *e, guint x, guint which, gsize d)
{
  static const guint8 order[] = { 1, 0, 2 };
  const Config *c = e->layer->data;
  const guint step = c->use_bias ? 2 : 1;
  const NnShape shape = nn_emit_shape (e, x);
  const gsize kernel[3] = { shape.dims[1], c->heads, d }, split[3] = { shape.dims[0], c->heads, d };
  const NnShape kernel_as = { 2, { shape.dims[1], c->heads * d } };
  const NnShape bias_as = { 1, { c->heads * d } };
  guint operands[3] = { x, NN_NO_VALUE, NN_NO_VALUE }, y;

  if (shape.n_dims != 2)
    return nn_emit_fail (e, NN_ERROR_UNSUPPORTED,
        "its inputs should be (steps, channels), found %u axes", shape.n_dims);
  operands[1] = nn_emit_param (e, which * step, 3, kernel, &kernel_as);
  if (c->use_bias)
    operands[2] = nn_emit_param (e, which * step + 1, 2, kernel + 1, &bias_as);
  y = nn_emit (e, NN_OP_DENSE, NULL, 3, operands);
  return nn_emit_transpose (e, nn_emit_reshape (e, y, 3, split), order);
}

static guint
emit (NnEmit *e, const guint *in)
{
  static const guint8 order[] = { 1, 0, 2 };
  const Config *c = e->layer->data;
  const guint query = in[0], value = in[1];
  const guint key = e->layer->n_inputs > 2 ? in[2] : value;
  const guint step = c->use_bias ? 2 : 1;
  NnAttrs attrs = { .matmul = { FALSE, TRUE } };
  guint operands[3], y;
  gsize n, kernel[3], flat[2];

  operands[0] = nn_emit_linear (
      e, emit_heads (e, query, 0, c->key), 1 / sqrt ((double) c->key), 0);
  operands[1] = emit_heads (e, key, 1, c->key);
  y = nn_emit_softmax (e, nn_emit (e, NN_OP_MATMUL, &attrs, 2, operands), 2, FALSE);
  operands[0] = y;
  operands[1] = emit_heads (e, value, 2, c->value);
  attrs.matmul.transpose_b = FALSE;
  y = nn_emit_transpose (e, nn_emit (e, NN_OP_MATMUL, &attrs, 2, operands), order);
  if (y == NN_NO_VALUE)
    return y;
  n = c->out ? c->out : nn_emit_shape (e, query).dims[1];
  flat[0] = nn_emit_shape (e, y).dims[0];
  flat[1] = c->heads * c->value;
  kernel[0] = c->heads;
  kernel[1] = c->value;
  kernel[2] = n;
  operands[0] = nn_emit_reshape (e, y, 2, flat);
  operands[1] = nn_emit_param (e, 3 * step, 3, kernel, &(NnShape) { 2, { flat[1], n } });
  operands[2] = c->use_bias ? nn_emit_param (e, 3 * step + 1, 1, &n, NULL) : NN_NO_VALUE;
  return nn_emit (e, NN_OP_DENSE, NULL, 3, operands);
}

const NnLayerClass nn_multi_head_attention_class = { .kind = NN_LAYER_OTHER,
  .name = "MultiHeadAttention", .min_inputs = 2, .max_inputs = 3, .data_size = sizeof (Config),
  .parse = parse, .emit = emit };
