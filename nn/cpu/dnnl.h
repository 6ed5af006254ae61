/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The oneDNN primitives that the CPU back end uses, over both C APIs (2.x and
 * 3.x). A primitive whose implementation is oneDNN's reference code is refused
 * with NN_ERROR_UNSUPPORTED: it is some 400 times slower. Primitives may be
 * run by several threads at once, each with its own thread number. */

typedef struct _NnDnnl NnDnnl;         /* engine, and a stream for each thread */
typedef struct _NnDnnlOp NnDnnlOp;     /* one primitive */

NnDnnl *nn_dnnl_new (guint n_threads, GError **error);
void nn_dnnl_free (NnDnnl *dnnl);
char *nn_dnnl_get_version (void); /* "2.6.3"; (transfer full) */

/* C (m, n) = A (m, k) B (k, n), float32, any strides; C rows of @ldc. */
NnDnnlOp *nn_dnnl_matmul_new (NnDnnl *dnnl, gsize m, gsize n, gsize k, gsize a_row, gsize a_col,
    gsize b_row, gsize b_col, gsize ldc, GError **error);

/* Convolution of one (h, w, in) strip with bfloat16 operands, float32 sums, bias and result,
 * no padding: dst (oh, ow, out). @kernel: (kh, kw, in, out) float32, converted here.
 * @dtype_bf16: FALSE = float32 operands. */
typedef struct
{
  gsize height, width, in, out;
  gsize kernel[2], strides[2], dilation[2];
  gboolean bf16;
  gboolean relu;
} NnDnnlConv;
NnDnnlOp *nn_dnnl_conv_new (NnDnnl *dnnl, const NnDnnlConv *conv, const float *kernel,
    const float *bias, GError **error);

void nn_dnnl_op_free (NnDnnlOp *op);
const char *nn_dnnl_op_get_implementation (const NnDnnlOp *op);

/* matmul: src = A, weights = B; convolution: @weights is not read. */
gboolean nn_dnnl_op_run (NnDnnlOp *op, guint thread, const void *src, const void *weights,
    void *dst);

G_END_DECLS
