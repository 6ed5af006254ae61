/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "nn/augment-math.h"

G_BEGIN_DECLS

typedef enum
{
  NN_LOSS_BINARY_CROSSENTROPY,      /* sigmoid outputs, targets 0..1, (n, outputs) */
  NN_LOSS_CATEGORICAL_CROSSENTROPY, /* softmax outputs, targets one-hot or soft, (n, classes) */
} NnLoss;

/* What a training step learns from: the first @n samples of a plan's input. */
typedef struct
{
  guint n;
  const float *targets; /* (n, n_outputs) */
  const float *weights; /* (n): Keras's sample_weight; NULL: all 1 */
  guint n_measured;     /* the first so many are in the result; 0: all. The others are learnt
                         * from all the same */
  guint64 seed;         /* of dropout */
  /* Of a plan with pictures (nn_plan_set_pictures()): the input is made of them; NULL: it is
   * there. */
  const NnAugmentEntry *entries; /* (n) */
  const NnMixEntry *mixes; /* (n_mixed / 2): of sample i and n_mixed - 1 - i; NULL: none */
  guint n_mixed;           /* <= n */
} NnStep;

typedef struct
{
  double sum_loss, sum_weights; /* their ratio is the mean loss, regularization included */
  guint n_correct;
  gboolean skipped; /* in fp16 a gradient overflowed: nothing was learnt, the next step takes a
                     * smaller loss scale */
} NnStepResult;

/* Weighted loss over the samples of @step with @n_outputs probabilities each, and how many
 * samples are right: binary: every (p > 0.5) == (target > 0.5), a half counts
 * as 0; categorical: argmax equal. Probabilities are clipped to
 * [1e-7, 1 - 1e-7] as Keras does.
 * @gradient: (out)(optional): d(loss)/d(logits) = weight (p - target) / n
 * (/ n_outputs for the binary one): the activation's own gradient is already
 * in it, as sigmoid and softmax end in these losses. */
void nn_loss_compute (NnLoss loss, const float *outputs, const NnStep *step, gsize n_outputs,
    float *gradient, NnStepResult *result);

G_END_DECLS
