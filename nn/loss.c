/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/loss.h"

#include <math.h>

#define EPSILON 1e-7 /* Keras's backend.epsilon() */

static gsize
argmax (const float *x, gsize n)
{
  gsize best = 0;

  for (gsize i = 1; i < n; i++)
    if (x[i] > x[best])
      best = i;
  return best;
}

void
nn_loss_compute (NnLoss loss, const float *outputs, const NnStep *step, gsize n_outputs,
    float *gradient, NnStepResult *result)
{
  const float *targets = step->targets;
  const gsize n_measured = step->n_measured ? step->n_measured : step->n;
  const double scale
      = 1. / (double) (loss == NN_LOSS_BINARY_CROSSENTROPY ? step->n * n_outputs : step->n);

  *result = (NnStepResult) { 0 };
  for (gsize s = 0; s < step->n; s++, outputs += n_outputs, targets += n_outputs) {
    const double weight = step->weights ? step->weights[s] : 1;
    double sum = 0;
    gboolean is_right = TRUE;

    for (gsize i = 0; i < n_outputs; i++) {
      double p = CLAMP ((double) outputs[i], EPSILON, 1 - EPSILON);

      if (loss == NN_LOSS_BINARY_CROSSENTROPY) {
        sum -= (targets[i] * log (p) + (1 - targets[i]) * log1p (-p)) / (double) n_outputs;
        is_right &= (outputs[i] > 0.5f) == (targets[i] > 0.5f);
      } else if (targets[i] != 0) {
        sum -= targets[i] * log (p);
      }
    }
    if (loss == NN_LOSS_CATEGORICAL_CROSSENTROPY)
      is_right = argmax (outputs, n_outputs) == argmax (targets, n_outputs);
    if (s < n_measured) {
      result->sum_loss += weight * sum;
      result->sum_weights += weight;
      result->n_correct += is_right;
    }
    if (gradient) {
      for (gsize i = 0; i < n_outputs; i++)
        gradient[s * n_outputs + i]
            = (float) (weight * ((double) outputs[i] - targets[i]) * scale);
    }
  }
}
