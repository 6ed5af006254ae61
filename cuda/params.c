/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "cuda/plan.h"
#include "nn/error.h"

guint *
nn_cuda_layer_chain (const NnModel *model, guint *n)
{
  guint count = 1, *chain;

  for (guint i = model->output; model->layers[i].n_inputs > 0; i = model->layers[i].inputs[0])
    count++;
  chain = g_new (guint, count);
  for (guint i = model->output, k = count; k > 0;) {
    chain[--k] = i;
    if (k > 0)
      i = model->layers[i].inputs[0];
  }
  *n = count;
  return chain;
}

gsize
nn_cuda_count (const NnShape *shape)
{
  gsize n = 1;

  for (guint i = 0; i < shape->n_dims; i++)
    n *= shape->dims[i];
  return n;
}

NnExtent
nn_cuda_extent (const NnShape *shape)
{
  const gsize channels = shape->n_dims ? shape->dims[shape->n_dims - 1] : 1;

  if (shape->n_dims == 3)
    return (NnExtent) { shape->dims[0], shape->dims[1], channels };
  return (NnExtent) { 1, nn_cuda_count (shape) / channels, channels };
}

NnWindow
nn_cuda_no_window (NnExtent e)
{
  return (NnWindow) {
    (uint32_t) e.rows, (uint32_t) e.cols, (uint32_t) e.rows, (uint32_t) e.cols,
    { 1, 1 }, { 1, 1 }, { 0, 0 },
  };
}

NnWindow
nn_cuda_pool_window (const NnLayer *layer)
{
  const NnPoolConfig *c = &layer->config.pool;
  const NnShape *in = &layer->in_shape, *out = &layer->out_shape;

  return (NnWindow) {
    (uint32_t) in->dims[0], (uint32_t) in->dims[1], (uint32_t) out->dims[0],
    (uint32_t) out->dims[1], { (uint32_t) c->size[0], (uint32_t) c->size[1] },
    { (uint32_t) c->strides[0], (uint32_t) c->strides[1] },
    { (uint32_t) c->pad_begin[0], (uint32_t) c->pad_begin[1] },
  };
}

NnKernelFunction
nn_cuda_function (NnActivation activation)
{
  switch (activation) {
    case NN_ACTIVATION_RELU:
      return NN_FN_RELU;
    case NN_ACTIVATION_SIGMOID:
      return NN_FN_SIGMOID;
    case NN_ACTIVATION_TANH:
      return NN_FN_TANH;
    default:
      return NN_FN_LINEAR;
  }
}

gboolean
nn_cuda_params_init (NnCudaParams *params, NnCudaContext *c, NnModel *model, GError **error)
{
  params->model = model;
  params->values = g_malloc0_n (model->n_layers, sizeof *params->values);
  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      if (!(params->values[l][p] = nn_cuda_new (c,
                model->layers[l].params[p].n_values * sizeof (float), model->layers[l].name,
                error)))
        return FALSE;
  return nn_cuda_params_upload (params, c, error);
}

void
nn_cuda_params_clear (NnCudaParams *params)
{
  g_clear_pointer (&params->values, g_free);
}

gboolean
nn_cuda_params_upload (NnCudaParams *params, NnCudaContext *c, GError **error)
{
  for (guint l = 0; l < params->model->n_layers; l++) {
    const NnLayer *layer = &params->model->layers[l];

    for (guint p = 0; p < layer->n_params; p++)
      if (!nn_cuda_put_param (
              c, &layer->params[p], layer->params[p].data, params->values[l][p], error))
        return FALSE;
  }
  return TRUE;
}

float *
nn_cuda_params_get (const NnCudaParams *params, guint layer, const char *name)
{
  const NnLayer *l = &params->model->layers[layer];

  for (guint p = 0; p < l->n_params; p++)
    if (strcmp (l->params[p].name, name) == 0)
      return params->values[layer][p];
  return NULL;
}
