/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* The three products of a dense layer by cuBLASLt, or by a kernel of our own where forward has
 * few rows; kernels lie transposed: w (units, in). Pointers are as cuMemAlloc() gives them, not
 * into the middle. */
typedef enum
{
  NN_DENSE_FORWARD, /* y (rows, units) = x (rows, in) w^T [+ bias [, relu]] */
  NN_DENSE_DATA,    /* dx (rows, in) = dy (rows, units) w */
  NN_DENSE_FILTER,  /* dw (units, in) = dy^T x */
} NnDenseKind;

typedef struct
{
  NnDenseKind kind;
  gsize rows, in, units;
  NnType type;     /* of the operands */
  NnType dst_type; /* of the result: float32 where the operands are, either where they are not */
  gboolean tf32;   /* float32 operands may be rounded to 10 bits */
  gboolean measure; /* take the fastest of what there is, not cuBLASLt's first choice */
  const float *bias; /* forward, float32 result only: on the device; or NULL */
  gboolean relu;
} NnDenseShape;

typedef struct _NnCudaDense NnCudaDense;

NnCudaDense *nn_cuda_dense_new (NnCudaContext *c, const NnDenseShape *shape, GError **error);
void nn_cuda_dense_free (NnCudaDense *dense);
/* Forward: a = x, b = w; data: a = dy, b = w; filter: a = x, b = dy. */
gboolean nn_cuda_dense_run (
    NnCudaDense *dense, NnCudaContext *c, const void *a, const void *b, void *dst, GError **error);
/* bytes of workspace that the context must have before it runs */
gsize nn_cuda_dense_get_workspace (const NnCudaDense *dense);
const char *nn_cuda_dense_describe (const NnCudaDense *dense);

G_END_DECLS
