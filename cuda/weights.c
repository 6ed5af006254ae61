/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/weights.h"

#include <string.h>

struct _NnCudaWeights
{
  const NnCudaDevice *device;
  NnModel *model; /* each plan keeps it */
  NnType type;
  guint n_users; /* under all_lock */
  GMutex lock;
  /* under it */
  NnCudaContext c; /* of the memory; without cuDNN */
  NnCudaParams params;
  gboolean are_freed; /* the float32 kernels */
  GHashTable *blocks; /* "layer what bytes" -> Block */
};

typedef struct
{
  void *data;
  gboolean is_filled;
} Block;

static GMutex all_lock;
static GList *all; /* of NnCudaWeights */

NnCudaWeights *
nn_cuda_weights_new (const NnCudaDevice *device, NnModel *model, NnType type)
{
  NnCudaWeights *weights = NULL;

  g_mutex_lock (&all_lock);
  for (GList *l = all; l && !weights; l = l->next) {
    NnCudaWeights *w = l->data;

    if (w->device == device && w->model == model && w->type == type)
      weights = w;
  }
  if (!weights) {
    weights = g_new0 (NnCudaWeights, 1);
    weights->device = device;
    weights->model = model;
    weights->type = type;
    weights->blocks = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
    g_mutex_init (&weights->lock);
    all = g_list_prepend (all, weights);
  }
  weights->n_users++;
  g_mutex_unlock (&all_lock);
  return weights;
}

void
nn_cuda_weights_unref (NnCudaWeights *weights)
{
  gboolean is_last;

  if (!weights)
    return;
  g_mutex_lock (&all_lock);
  is_last = --weights->n_users == 0;
  if (is_last)
    all = g_list_remove (all, weights);
  g_mutex_unlock (&all_lock);
  if (!is_last)
    return;
  nn_cuda_params_clear (&weights->params);
  nn_cuda_context_clear (&weights->c);
  g_hash_table_unref (weights->blocks);
  g_mutex_clear (&weights->lock);
  g_free (weights);
}

void
nn_cuda_weights_lock (NnCudaWeights *weights)
{
  if (weights)
    g_mutex_lock (&weights->lock);
}

void
nn_cuda_weights_unlock (NnCudaWeights *weights)
{
  if (weights)
    g_mutex_unlock (&weights->lock);
}

const NnCudaParams *
nn_cuda_weights_get_params (NnCudaWeights *weights, GError **error)
{
  if (weights->params.values)
    return &weights->params;
  if (!nn_cuda_memory_init (&weights->c, weights->device, error)
      || !nn_cuda_params_init (&weights->params, &weights->c, weights->model, error)) {
    nn_cuda_params_clear (&weights->params);
    nn_cuda_context_clear (&weights->c);
    return NULL;
  }
  return &weights->params;
}

static gboolean
is_kernel (const NnParam *param)
{
  return strcmp (param->name, "kernel") == 0;
}

static gboolean
restore_kernels (NnCudaWeights *weights, GError **error)
{
  for (guint l = 0; l < weights->model->n_layers; l++) {
    const NnLayer *layer = &weights->model->layers[l];

    for (guint p = 0; p < layer->n_params; p++) {
      float **values = &weights->params.values[l][p];

      if (!*values
          && (!(*values = nn_cuda_new (&weights->c, layer->params[p].n_values * sizeof (float),
                    layer->name, error))
              || !nn_cuda_put_param (
                  &weights->c, &layer->params[p], layer->params[p].data, *values, error)))
        return FALSE;
    }
  }
  weights->are_freed = FALSE;
  return TRUE;
}

void *
nn_cuda_weights_get (NnCudaWeights *weights, guint layer, const char *what, gsize bytes,
    gboolean *is_new, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%u %s %" G_GSIZE_FORMAT, layer, what, bytes);
  Block *block = g_hash_table_lookup (weights->blocks, key);
  void *data;

  *is_new = !block || !block->is_filled;
  if (*is_new && weights->are_freed && !restore_kernels (weights, error))
    return NULL;
  if (block)
    return block->data;
  data = nn_cuda_new (&weights->c, bytes, weights->model->layers[layer].name, error);
  /* it is filled in a plan's stream */
  if (!data || !nn_cuda_sync (&weights->c, error))
    return NULL;
  block = g_new0 (Block, 1);
  block->data = data;
  g_hash_table_insert (weights->blocks, g_steal_pointer (&key), block);
  return data;
}

void
nn_cuda_weights_finish (NnCudaWeights *weights)
{
  GHashTableIter iter;
  gpointer block;

  g_hash_table_iter_init (&iter, weights->blocks);
  while (g_hash_table_iter_next (&iter, NULL, &block))
    ((Block *) block)->is_filled = TRUE;
  if (weights->type == NN_TYPE_F32 || weights->are_freed)
    return;
  for (guint l = 0; l < weights->model->n_layers; l++) {
    const NnLayer *layer = &weights->model->layers[l];

    for (guint p = 0; p < layer->n_params; p++)
      if (is_kernel (&layer->params[p])) {
        nn_cuda_release (&weights->c, weights->params.values[l][p],
            layer->params[p].n_values * sizeof (float));
        weights->params.values[l][p] = NULL;
      }
  }
  weights->are_freed = TRUE;
}
