/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/error.h"
#include "nn/graph/graph.h"

G_BEGIN_DECLS

/* An operation: a file in nn/graph/ops/ and a row in its table. */

typedef struct {
  const NnValue *in[NN_OP_MAX_INPUTS]; /* NULL: not there; concat: use all */
  const NnValue **all;
  guint n_in;
  const NnAttrs *attrs;
} NnOpInputs;

typedef struct {
  const char *name;
  guint min_inputs, max_inputs; /* max 0: any number */
  /* The shape of the result. FALSE: they do not fit; @error has what was expected. */
  gboolean (*infer) (const NnOpInputs *inputs, NnShape *out, GError **error);
  /* One sample, plain loops. @in: numbers of each input, NULL where it is not there. */
  void (*reference) (const NnOpInputs *inputs, const double *const *in, const NnShape *shape,
      double *out);
  /* Appends the attributes as text; may be NULL. */
  void (*describe) (const NnAttrs *attrs, GString *text);
} NnOp;

extern const NnOp *const nn_ops[NN_OP_N_KINDS];

extern const NnOp nn_op_input, nn_op_conv, nn_op_conv_transpose, nn_op_dense, nn_op_matmul,
    nn_op_pool, nn_op_reduce, nn_op_batch_norm, nn_op_normalize, nn_op_unary, nn_op_binary,
    nn_op_softmax, nn_op_concat, nn_op_slice, nn_op_pad, nn_op_reshape, nn_op_transpose,
    nn_op_resize;

/* Sets NN_ERROR_SHAPE and returns FALSE. */
gboolean nn_op_fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* FALSE where the counts of @shape's axes are not below NN_MAX_VALUES. */
gboolean nn_op_check_size (const NnShape *shape, GError **error);

/* @shape about one axis: outer * n * inner values. */
typedef struct {
  gsize outer, n, inner;
} NnAxis;
NnAxis nn_op_axis (const NnShape *shape, guint axis);

/* The shape that @a and @b broadcast to; FALSE: they do not. */
gboolean nn_op_broadcast (const NnShape *a, const NnShape *b, NnShape *out);
/* For each axis of @out the step in @shape's values, 0 where it is repeated. */
void nn_op_broadcast_steps (const NnShape *shape, const NnShape *out, gsize steps[NN_MAX_DIMS]);

/* Where output cell @i of an axis resized from @n to @n_out reads: the first cell and how much of
 * the next (0 to 1). */
typedef struct {
  gsize first, next;
  double share; /* of next */
} NnResizeCell;
NnResizeCell nn_op_resize_cell (NnInterpolate interpolate, gsize n, gsize n_out, gsize i);

double nn_binary_apply (NnBinary kind, double a, double b);

G_END_DECLS
