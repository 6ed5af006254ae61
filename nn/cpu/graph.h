/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/cpu/crew.h"
#include "nn/cpu/kernels.h"
#include "nn/graph/graph.h"

G_BEGIN_DECLS

/* A graph of operations on the CPU, for inference: operations one after the other on one sample,
 * each as tasks for a crew. All memory is taken when it is made; parameters are read then. */
typedef struct _NnCpuGraph NnCpuGraph;

/* NN_ERROR_NO_MEMORY, _SHAPE. */
NnCpuGraph *nn_cpu_graph_new (
    const NnCpuKernels *kernels, NnCrew *crew, const NnGraph *graph, GError **error);
void nn_cpu_graph_free (NnCpuGraph *graph);
/* @input: (n, the input's shape); @output: (n, the output's). */
void nn_cpu_graph_run (NnCpuGraph *graph, const float *input, guint n, float *output);
/* A line an operation, and the memory. */
void nn_cpu_graph_describe (const NnCpuGraph *graph, GString *text);

G_END_DECLS
