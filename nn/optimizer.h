/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

typedef enum
{
  NN_OPTIMIZER_ADAM,
  NN_OPTIMIZER_SGD,
} NnOptimizerKind;

/* State of the optimizer on the host: one slot per trainable parameter, in
 * layer order. Plain data; a plan on another device copies it in and out.
 *
 * Adam as Keras has it in all versions (Kingma & Ba 2015, end of section 2):
 *   lr_t = lr * sqrt (1 - beta_2^t) / (1 - beta_1^t),  t = iterations + 1
 *   m = beta_1 * m + (1 - beta_1) * g;  v = beta_2 * v + (1 - beta_2) * g^2
 *   w -= lr_t * m / (sqrt (v) + epsilon)
 * SGD: m = momentum * m - lr * g; w += m. */
typedef struct
{
  NnOptimizerKind kind;
  double learning_rate;
  double beta_1, beta_2;
  double epsilon;  /* 1e-8 up to Keras 2.1.2, 1e-7 later */
  double decay;    /* lr / (1 + decay * iterations) */
  double momentum; /* SGD */
  gint64 iterations;
  guint n_slots;
  gsize *sizes; /* values of each slot */
  float **m;    /* 64-byte aligned */
  float **v;    /* NULL for SGD */
} NnOptimizer;

/* Defaults: Adam 1e-3, 0.9, 0.999, 1e-7. NN_ERROR_NO_MEMORY.
 * (transfer full), free with nn_optimizer_free(). */
NnOptimizer *nn_optimizer_new (NnOptimizerKind kind, const NnModel *model, GError **error);
void nn_optimizer_free (NnOptimizer *optimizer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnOptimizer, nn_optimizer_free)

/* lr_t (Adam) or the decayed rate (SGD) of the coming step. */
double nn_optimizer_step_rate (const NnOptimizer *optimizer);

G_END_DECLS
