/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/conv.h"
#include "cuda/dense.h"
#include "cuda/plan.h"

G_BEGIN_DECLS

/* One layer of a training step. Libraries always work on the whole batch; of samples that do
 * not take part the gradients are 0, so that sums over the batch are right.
 *
 * With 16-bit operands (mixed precision) convolutions and what follows them have 16-bit in- and
 * outputs; those of dense layers and softmax, the network's own, parameters and their
 * gradients, statistics and sums are float32. What a library is given is made of that: a copy
 * of the weights, with a convolution's channels padded to eights by zeros, as in inference. It is
 * made in each step where it is padded; else the optimizer writes it along with the weights. */
typedef struct
{
  NnCudaContext *c;
  const NnCudaParams *params;
  const NnStepParams *step; /* on the device */
  guint batch;
  gboolean tf32, bessel;
  gboolean measure; /* take the fastest ways, not the libraries' first choices */
  NnType type;           /* of what libraries are given */
  NnType x_type, y_type; /* of x and dx; of y and dy */
  const NnLossScale *scale; /* on the device; NULL: no step can overflow */

  const NnLayer *layer;
  guint index; /* of the layer in the model */
  NnExtent in, out;
  gsize in_size, out_size; /* values a sample */
  const void *x;
  void *y, *dy; /* (batch, out_size) */
  void *dx;     /* the op before's dy; NULL: nobody wants it */
  NnActivation activation;
  gboolean activation_done; /* dy is the gradient before the activation */
  float *gradients[NN_MAX_PARAMS];
  double *sums; /* of the reduction that runs: (2, n, parts) */

  /* convolution and dense layer: what the library reads and writes, where that is not x, y and
   * so on themselves. Of another type, with padded channels, or with the rows and columns that
   * pad it where these differ at the two ends. */
  gsize in_stride, out_stride; /* channels and filters, padded */
  void *lib_x, *lib_dx, *lib_y; /* lib_y: y, then dy */
  void *lib_weights, *lib_dweights, *lib_bias;
  gboolean kernel_copied; /* lib_weights is the kernel as it lies, kept up by the optimizer */

  NnCudaConv *conv[3]; /* by NnConvKind */
  gboolean fused;      /* bias and activation in the library's call */

  NnCudaDense *dense[3]; /* by NnDenseKind */

  /* BatchNormalization */
  const NnLayer *pool; /* the max pooling done with it */
  NnKernelFunction before;   /* the activation in front, whose gradient is done here */
  float *mean, *inv_std, *norm_scale, *norm_shift, *k1, *k2, *k3;
  float *variance; /* with @scale: for the moving one, later */
} NnTrainOp;

/* Whether op @kind has a place in a training step (an input, Flatten and a linear Activation
 * have none). */
gboolean nn_train_op_needs (const NnLayer *layer);

/* The type of the output of a layer that is given @x_type, where libraries get @type. */
NnType nn_train_op_get_type (
    const NnLayer *layer, NnActivation activation, gboolean is_last, NnType type, NnType x_type);

/* Takes what the op needs, its in- and outputs being set. */
gboolean nn_train_op_build (NnTrainOp *op, GError **error);
void nn_train_op_clear (NnTrainOp *op);
gsize nn_train_op_get_workspace (const NnTrainOp *op);
gboolean nn_train_op_forward (NnTrainOp *op, GError **error);
gboolean nn_train_op_backward (NnTrainOp *op, GError **error);
/* Makes the copy of the kernel that the optimizer keeps up, after the host changed the kernel. */
gboolean nn_train_op_copy_kernel (NnTrainOp *op, GError **error);
/* When it is known whether the step overflowed, before op->scale takes note of that. */
gboolean nn_train_op_finish (NnTrainOp *op, GError **error);
void nn_train_op_describe (const NnTrainOp *op, GString *text);

G_END_DECLS
