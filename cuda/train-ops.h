/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/conv.h"
#include "cuda/dense.h"
#include "cuda/plan.h"

G_BEGIN_DECLS

/* One layer of a training step, float32. Libraries always work on the whole batch; of
 * samples that do not take part the gradients are 0, so that sums over the batch are right. */
typedef struct
{
  NnCudaContext *c;
  const NnCudaParams *params;
  const NnStepParams *step; /* on the device */
  guint batch;
  gboolean tf32, bessel;

  const NnLayer *layer;
  guint index; /* of the layer in the model */
  NnExtent in, out;
  gsize in_size, out_size; /* values a sample */
  const float *x;
  float *y, *dy; /* (batch, out_size) */
  float *dx;     /* the op before's dy; NULL: nobody wants it */
  NnActivation activation;
  gboolean activation_done; /* dy is the gradient before the activation */
  float *gradients[NN_MAX_PARAMS];
  double *sums; /* of the reduction that runs: (2, n, parts) */
  guint parts;

  /* convolution */
  NnCudaConv *conv[3]; /* by NnConvKind */
  gboolean fused;      /* bias and activation in the library's call */
  float *padded, *dpadded; /* where the padding differs at the two ends */

  NnCudaDense *dense[3]; /* by NnDenseKind */

  /* BatchNormalization */
  const NnLayer *pool; /* the max pooling done with it */
  NnFunction before;   /* the activation in front, whose gradient is done here */
  float *mean, *inv_std, *scale, *shift, *k1, *k2, *k3;
} NnTrainOp;

/* Whether op @kind has a place in a training step (an input, Flatten and a linear Activation
 * have none). */
gboolean nn_train_op_needs (const NnLayer *layer);

/* Takes what the op needs, its in- and outputs being set. */
gboolean nn_train_op_build (NnTrainOp *op, GError **error);
void nn_train_op_clear (NnTrainOp *op);
gsize nn_train_op_get_workspace (const NnTrainOp *op);
gboolean nn_train_op_forward (NnTrainOp *op, GError **error);
gboolean nn_train_op_backward (NnTrainOp *op, GError **error);
void nn_train_op_describe (const NnTrainOp *op, GString *text);

G_END_DECLS
