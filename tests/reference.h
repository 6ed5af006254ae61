/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend.h"

G_BEGIN_DECLS

/* Keras's layers, losses and optimizers in double precision and plain loops,
 * written from Keras's definitions and sharing nothing with nn/cpu. The judge
 * of every back end. Sequential graphs only (every layer one input). */
typedef struct
{
  NnModel *model;
  guint n_chain, *chain;               /* layers from the input to the output */
  double *(*params)[NN_MAX_PARAMS];    /* [layer][param], copied from the model */
  double *(*gradients)[NN_MAX_PARAMS]; /* of the last reference_backward() */
  double *(*m)[NN_MAX_PARAMS], *(*v)[NN_MAX_PARAMS]; /* optimizer slots */
  gint64 iterations;
  guint n;                             /* samples of the last forward pass */
  gboolean training;
  double **y;                          /* output of each layer of the chain, (n, size) */
  double **mean, **variance;           /* BatchNormalization: statistics used */
  guint64 seed;
  const float *weights;                /* of each sample, may be NULL; of loss and gradients */
} Reference;

Reference *reference_new (NnModel *model);
void reference_free (Reference *reference);

/* @input: (n, H, W, C). Returns the outputs (n, n_outputs), owned by the reference.
 * @training: batch statistics, dropout by (seed, iterations); moving statistics are not
 * updated here. */
const double *reference_forward (Reference *reference, const double *input, guint n,
    gboolean training, guint64 seed);

/* Mean loss of the last forward pass, regularization included. */
double reference_loss (const Reference *reference, NnLoss loss, const float *targets);

/* Gradients of that loss. */
void reference_backward (Reference *reference, NnLoss loss, const float *targets);

/* One optimizer step and the moving statistics of the last training pass. */
void reference_update (Reference *reference, const NnOptimizer *settings, gboolean bessel);

G_END_DECLS
