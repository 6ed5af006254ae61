/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/cpu/conv2d.h"
#include "nn/cpu/graph.h"
#include "nn/cpu/map-kernels.h"
#include "nn/error.h"
#include "nn/graph/ops.h"

G_BEGIN_DECLS

/* Shared by the files that run operations. */

typedef struct _NnCpuStep NnCpuStep;

/* How one kind of operation runs. */
typedef struct
{
  /* Packs weights, chooses a way, sets n_tasks and scratch_size. May be NULL. */
  gboolean (*prepare) (NnCpuStep *step, GError **error);
  void (*run) (NnCpuStep *step, guint task, guint thread);
} NnCpuRow;

struct _NnCpuStep
{
  NnCpuGraph *graph;
  const NnNode *node;
  const NnCpuRow *row;
  const char *how;
  guint n_tasks;
  gsize scratch_size; /* floats a thread */

  const NnValue *in_value[NN_OP_MAX_INPUTS], *out_value;
  const float *in[NN_OP_MAX_INPUTS]; /* of the present sample */
  float *out;
  gsize n_out;

  /* convolutions and dense layers */
  NnCpuConv *conv;
  NnLayer *layer; /* what nn_cpu_conv_new() is told */
  float *weights, *bias;
  gsize rows_per_task;
};

struct _NnCpuGraph
{
  const NnCpuKernels *k;
  const NnMapKernels *m;
  NnCrew *crew;
  NnGraph *graph;
  GPtrArray *steps;   /* NnCpuStep */
  GPtrArray *buffers; /* aligned */
  float **places;     /* of each value: its constant, in the arena, or the input */
  gsize arena_size;   /* floats */
  float **scratch;    /* of each thread */
  gsize scratch_size;
  guint *roots; /* of each value: the one whose memory it looks at */
};

/* Zeroed memory that lives as long as the graph does. */
float *nn_cpu_graph_alloc (NnCpuGraph *graph, gsize n_floats, const char *what, GError **error);

/* What follows in the same pass, on values [first, first + n) of the result; n: whole rows of the
 * last axis. Batch norms are in the weights already. */
void nn_cpu_step_finish (const NnCpuStep *step, gsize first, gsize n);

/* So many tasks that each thread gets some of @n_units, none with less than @least. */
guint nn_cpu_step_share (const NnCpuStep *step, gsize n_units, gsize least, gsize *per_task);

/* The weights of an anchor with its batch norm in them: @kernel (n_k, n) to @packed with rows of
 * @ld, and the bias. */
void nn_cpu_step_fold (const NnCpuStep *step, gsize n_k, gsize n, gsize ld, float *packed,
    float *bias);

extern const NnCpuRow nn_cpu_row_conv, nn_cpu_row_conv_transpose, nn_cpu_row_dense,
    nn_cpu_row_matmul; /* graph-products.c */
extern const NnCpuRow nn_cpu_row_pool, nn_cpu_row_reduce, nn_cpu_row_batch_norm,
    nn_cpu_row_normalize, nn_cpu_row_unary, nn_cpu_row_binary, nn_cpu_row_softmax,
    nn_cpu_row_concat, nn_cpu_row_slice, nn_cpu_row_pad, nn_cpu_row_transpose,
    nn_cpu_row_resize; /* graph-maps.c */

G_END_DECLS
