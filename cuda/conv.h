/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* A convolution or one of its gradients by cuDNN's graph API, NHWC. Kernels lie as
 * (filters, rows, columns, channels). */
typedef enum
{
  NN_CONV_FORWARD, /* y = x * w [+ bias [, relu]] */
  NN_CONV_DATA,    /* dx from dy and w */
  NN_CONV_FILTER,  /* dw from x and dy */
} NnConvKind;

typedef struct
{
  NnConvKind kind;
  NnConvArgs sizes;        /* count and pointers are filled by this file; channels and filters as
                            * in memory, padding included */
  gboolean tf32;           /* float32 operands may be rounded to 10 bits */
  gboolean measure;        /* take the fastest of the heuristics' first choices, not the first */
  gboolean bias, relu;     /* forward: in one call; bias is of the result's type */
  const struct _NnCudaConv *like; /* or NULL: the same for another number of samples, whose engine
                                   * is taken without measuring, where it can be */
} NnConvShape;

typedef struct _NnCudaConv NnCudaConv;

/* Returns: NULL without @error where @shape.bias was asked for and no engine has it in
 * one; where cuDNN has no engine at all the result works by plain loops. */
NnCudaConv *nn_cuda_conv_new (NnCudaContext *c, const NnConvShape *shape, GError **error);
void nn_cuda_conv_free (NnCudaConv *conv);
/* Forward: a = x, b = w; data: a = dy, b = w; filter: a = x, b = dy. */
gboolean nn_cuda_conv_run (NnCudaConv *conv, NnCudaContext *c, const void *a, const void *b,
    const void *bias, void *dst, GError **error);
gsize nn_cuda_conv_get_workspace (const NnCudaConv *conv);
const char *nn_cuda_conv_describe (const NnCudaConv *conv);

G_END_DECLS
