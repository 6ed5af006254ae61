/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

typedef enum
{
  NN_OPTIMIZER_ADAM,
  NN_OPTIMIZER_SGD,
  NN_OPTIMIZER_ADAMW,
} NnOptimizerKind;

/* State of the optimizer on the host: one slot per trainable parameter, in
 * layer order. Plain data; a plan on another device copies it in and out.
 *
 * Adam as Keras has it in all versions (Kingma & Ba 2015, end of section 2):
 *   lr_t = lr * sqrt (1 - beta_2^t) / (1 - beta_1^t),  t = iterations + 1
 *   m = beta_1 * m + (1 - beta_1) * g;  v = beta_2 * v + (1 - beta_2) * g^2
 *   w -= lr_t * m / (sqrt (v) + epsilon)
 * SGD: m = momentum * m - lr * g; w += m, or with Nesterov's look ahead
 *   w += momentum * m - lr * g.
 * AdamW (Loshchilov & Hutter 2019), and any with weight_decay: before that,
 *   w -= lr * weight_decay * w  for kernels only: biases, gammas and betas keep
 * their size (Keras: exclude_from_weight_decay). */
typedef struct
{
  NnOptimizerKind kind;
  double learning_rate;
  double beta_1, beta_2;
  double epsilon;  /* 1e-8 up to Keras 2.1.2, 1e-7 later */
  double decay;    /* lr / (1 + decay * iterations) */
  double momentum; /* SGD */
  gboolean nesterov; /* SGD */
  double weight_decay;
  gint64 iterations;
  guint n_slots;
  gsize *sizes; /* values of each slot */
  float **m;    /* 64-byte aligned */
  float **v;    /* NULL for SGD */
  /* Of training in fp16, kept with the state: what gradients are multiplied by (0: not begun),
   * steps since that changed, and after how many of them it is doubled. */
  double loss_scale;
  guint loss_scale_good, loss_scale_interval;
  NnEma *ema;   /* of the parameters, kept with the state; NULL: none. Owned */
} NnOptimizer;

#define NN_LOSS_SCALE_START 65536.
#define NN_LOSS_SCALE_INTERVAL 2000

/* Defaults: Adam 1e-3, 0.9, 0.999, 1e-7; AdamW's weight decay 4e-3, as Keras has it.
 * NN_ERROR_NO_MEMORY. (transfer full), free with nn_optimizer_free(). */
NnOptimizer *nn_optimizer_new (NnOptimizerKind kind, const NnModel *model, GError **error);
void nn_optimizer_free (NnOptimizer *optimizer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnOptimizer, nn_optimizer_free)

/* lr_t (Adam) or the decayed rate (SGD) of the coming step. */
double nn_optimizer_step_rate (const NnOptimizer *optimizer);

/* The same without Adam's corrections: what weight decay is scaled by. */
double nn_optimizer_plain_rate (const NnOptimizer *optimizer);

/* Whether weight decay moves @param: a kernel. */
gboolean nn_param_decays (const NnParam *param);

G_END_DECLS
