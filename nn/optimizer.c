/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/error.h"

static float *
slot_new (gsize n, GError **error)
{
  void *mem = NULL;

  if (posix_memalign (&mem, 64, n * sizeof (float) + 64) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "not enough memory for the optimizer's state: %" G_GSIZE_FORMAT " values", n);
    return NULL;
  }
  memset (mem, 0, n * sizeof (float) + 64);
  return mem;
}

NnOptimizer *
nn_optimizer_new (NnOptimizerKind kind, const NnModel *model, GError **error)
{
  NnOptimizer *optimizer = g_new0 (NnOptimizer, 1);
  guint slot = 0;

  optimizer->kind = kind;
  optimizer->learning_rate = kind == NN_OPTIMIZER_SGD ? 1e-2 : 1e-3;
  optimizer->weight_decay = kind == NN_OPTIMIZER_ADAMW ? 4e-3 : 0;
  optimizer->beta_1 = 0.9;
  optimizer->beta_2 = 0.999;
  optimizer->epsilon = 1e-7;
  optimizer->loss_scale_interval = NN_LOSS_SCALE_INTERVAL;
  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      optimizer->n_slots += model->layers[l].params[p].trainable;
  optimizer->sizes = g_new0 (gsize, optimizer->n_slots);
  optimizer->m = g_new0 (float *, optimizer->n_slots);
  if (kind != NN_OPTIMIZER_SGD)
    optimizer->v = g_new0 (float *, optimizer->n_slots);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *param = &model->layers[l].params[p];

      if (!param->trainable)
        continue;
      optimizer->sizes[slot] = param->n_values;
      if (!(optimizer->m[slot] = slot_new (param->n_values, error))
          || (optimizer->v && !(optimizer->v[slot] = slot_new (param->n_values, error)))) {
        nn_optimizer_free (optimizer);
        return NULL;
      }
      slot++;
    }
  }
  return optimizer;
}

void
nn_optimizer_free (NnOptimizer *optimizer)
{
  if (!optimizer)
    return;
  for (guint i = 0; i < optimizer->n_slots; i++) {
    free (optimizer->m[i]);
    if (optimizer->v)
      free (optimizer->v[i]);
  }
  g_free (optimizer->sizes);
  g_free (optimizer->m);
  g_free (optimizer->v);
  nn_ema_free (optimizer->ema);
  g_free (optimizer);
}

double
nn_optimizer_plain_rate (const NnOptimizer *optimizer)
{
  return optimizer->learning_rate / (1 + optimizer->decay * (double) optimizer->iterations);
}

gboolean
nn_param_decays (const NnParam *param)
{
  return strcmp (param->name, "kernel") == 0;
}

double
nn_optimizer_step_rate (const NnOptimizer *optimizer)
{
  const double t = (double) optimizer->iterations + 1;
  const double rate = nn_optimizer_plain_rate (optimizer);

  if (optimizer->kind == NN_OPTIMIZER_SGD)
    return rate;
  return rate * sqrt (1 - pow (optimizer->beta_2, t)) / (1 - pow (optimizer->beta_1, t));
}
