/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/cpu/plan.h"
#include "nn/loss.h"

G_BEGIN_DECLS

/* One step = every op forwards, the loss, every op backwards, the optimizer.
 * Tasks are samples, or fixed pieces of a layer; sums over the batch are kept
 * per sample (or per group of samples) and added in a fixed order, so that the
 * weights after a step do not depend on the number of threads.
 *
 * Memory: a BatchNormalization after a convolution writes the gradient of its
 * input over that input, which is the largest buffer there is; with a 2x2 max
 * pooling behind it, its own output is never stored: the maxima are found again
 * from the input by the same arithmetic. */

#define NN_CPU_GROUPS 16 /* samples whose weight gradients are added up in one buffer */

typedef struct _Op Op;

typedef struct
{
  guint n; /* samples it was made for; 0: none yet */
  gboolean is_own; /* by our kernels: there are no primitives */
  NnDnnlOp *forward[2], *dweights[2], *dinput[2]; /* full chunks, and the last one */
} DenseOps;

struct _Op
{
  NnCpuTrain *train;
  const NnLayer *layer;
  guint index; /* of the layer in the model */
  void (*forward) (Op *op);
  void (*backward) (Op *op);

  gsize in_size, out_size; /* floats a sample */
  const float *x;          /* (batch, in_size) */
  float *y;                /* (batch, out_size) */
  float *dy;               /* may be y itself, see above */
  float *dx;               /* the op before's dy; NULL: not needed */
  NnActivation activation;
  gboolean activation_done; /* its gradient is already in dy */
  float *dparams[NN_MAX_PARAMS];

  /* convolution */
  NnCpuConv *conv;
  gsize units_per_call, dweights_size;
  float *dweights, *dbias; /* (GROUPS, ...) */
  Op *bn_next;    /* the BatchNormalization behind: its passes over y are done with ours */
  Op *bn_first;   /* the one in front, if it is the first op: see bn_first_sums() */
  double *kernel_row_sums; /* (kh, out), for it */

  /* BatchNormalization. Tables of n values, and of (batch * outer, n) for the sums. */
  const NnLayer *pool; /* the 2x2 max pooling done with it */
  gboolean by_channel, frozen, relu_before;
  gsize n, inner, outer;
  double *means, *m2s, *sums_dy, *sums_dy_xhat;
  float *mean, *inv_std, *scale, *shift, *k1, *k2, *k3;
  NnAffine affine;

  /* dense */
  gsize rows, in, units, chunk, n_chunks;
  float *partial;
  DenseOps full, partial_batch;
  DenseOps *ops; /* of this step */

  /* pooling */
  gsize window_max;
  gsize *windows;
  guint32 *window_sizes;
};

struct _NnCpuTrain
{
  const NnCpuKernels *k;
  NnCrew *crew;
  NnDnnl *dnnl; /* NULL: there is none, dense layers are our own kernels' */
  NnModel *model;
  guint batch;
  NnLoss loss;
  gboolean bessel;

  guint n_ops;
  Op *ops;
  GPtrArray *buffers;
  float **scratch;
  gsize scratch_size;

  /* of the present step */
  guint n;
  const float *input;
  NnOptimizer *optimizer;
  guint64 seed;
  gint failed; /* atomic: a library call did not succeed */
  double rate;
  guint n_chunks;
  guint *chunk_slot; /* of each optimizer task */
  gsize *chunk_first;
  NnParam **slot_param;
  float **slot_gradient;
};

/* train-shared.c: what every op may ask. */

/* Groups of this step's samples: group g has the samples g, g + groups, ... */
guint nn_cpu_n_groups (const NnCpuTrain *train);
/* (batch, in_size): what the op works on */
const float *nn_cpu_op_x (const Op *op);
/* NULL: no such parameter, or one that does not learn */
float *nn_cpu_op_gradient (Op *op, const char *name);
/* @dy of one sample: from the gradient behind the activation to that in front of it */
void nn_cpu_op_activation_gradient (const Op *op, gsize channels, const float *y, float *dy);

/* Buffers of the plan's, freed with it; @what: for the error. */
float *nn_cpu_train_buffer (NnCpuTrain *train, gsize n_floats, const char *what, GError **error);
double *nn_cpu_train_doubles (NnCpuTrain *train, gsize n, const char *what, GError **error);

/* train-conv.c, train-bn.c, train-dense.c, train-ops.c: ops ready to run. */
gboolean nn_cpu_build_conv (Op *op, GError **error);
gboolean nn_cpu_build_bn (Op *op, GError **error);
gboolean nn_cpu_build_dense (Op *op, GError **error);
gboolean nn_cpu_build_pool (Op *op, GError **error);
void nn_cpu_build_global_pool (Op *op);
void nn_cpu_build_activation (Op *op);
void nn_cpu_build_dropout (Op *op);

/* Rows [row, end) of the gradient of a BatchNormalization's input, of one sample. */
void nn_cpu_bn_dx_rows (
    const Op *op, guint sample, gsize row, gsize end, float *scratch, float *dx);
/* The products for @n samples; op->ops. */
gboolean nn_cpu_dense_prepare (Op *op, guint n, GError **error);
void nn_cpu_dense_ops_clear (DenseOps *ops);
char *nn_cpu_dense_describe (const Op *op); /* (transfer full) */

G_END_DECLS
