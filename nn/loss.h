/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  NN_LOSS_BINARY_CROSSENTROPY,      /* sigmoid outputs, targets 0..1, (n, outputs) */
  NN_LOSS_CATEGORICAL_CROSSENTROPY, /* softmax outputs, targets one-hot or soft, (n, classes) */
} NnLoss;

/* Mean loss over @n samples of @n_outputs probabilities each, and how many
 * samples are right: binary: every (p > 0.5) == (target > 0.5), a half counts
 * as 0; categorical: argmax equal. Probabilities are clipped to
 * [1e-7, 1 - 1e-7] as Keras does.
 * @gradient: (out)(optional): d(loss)/d(logits) = (p - target) / n
 * (/ n_outputs for the binary one): the activation's own gradient is already
 * in it, as sigmoid and softmax end in these losses.
 * @sum_loss: (out): the loss times @n. @n_correct: (out). */
void nn_loss_compute (NnLoss loss, const float *outputs, const float *targets, gsize n,
    gsize n_outputs, float *gradient, double *sum_loss, guint *n_correct);

G_END_DECLS
