/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

/* NnGraph: what a model computes, as values and primitive operations, whatever kinds of layers its
 * file had. Layers emit it (nn/layers/), passes change it (nn/graph/), back ends run it.
 *
 * A value is one sample's array; the batch is implied and no operation mixes samples. Constants
 * have no batch. Shapes broadcast as NumPy's do, aligned at the last axis.
 *
 * Thread-safety: a graph belongs to one thread until it is complete, then it is read only. */

#define NN_NO_VALUE G_MAXUINT
#define NN_FUSED_VALUE (G_MAXUINT - 1) /* as producer: it is inside of an epilogue */
#define NN_OP_MAX_INPUTS 5 /* of all operations but concat */

typedef enum {
  NN_OP_INPUT,
  NN_OP_CONV,           /* x (H, W, C), kernel (kh, kw, C / groups, F), [bias (F)] */
  NN_OP_CONV_TRANSPOSE, /* x (H, W, C), kernel (kh, kw, F, C), [bias (F)] */
  NN_OP_DENSE,          /* x (..., k), kernel (k, n) constant, [bias (n)] */
  NN_OP_MATMUL,         /* a (..., m, k), b (..., k, n) */
  NN_OP_POOL,           /* x (H, W, C): max or mean over windows */
  NN_OP_REDUCE,         /* over whole axes */
  NN_OP_BATCH_NORM,     /* x, mean, variance, [gamma], [beta]: by stored statistics of one axis */
  NN_OP_NORMALIZE,      /* (x - mean) / sqrt (variance + epsilon) over some of the sample's axes */
  NN_OP_UNARY,          /* a function of each element */
  NN_OP_BINARY,         /* of two, broadcasting */
  NN_OP_SOFTMAX,
  NN_OP_CONCAT,
  NN_OP_SLICE,     /* a part along each axis, with steps, also backwards */
  NN_OP_PAD,       /* with one value */
  NN_OP_RESHAPE,   /* a view: the same values in the same order */
  NN_OP_TRANSPOSE, /* another order of axes */
  NN_OP_RESIZE,    /* rows and columns of x (H, W, C) */
  NN_OP_N_KINDS,
} NnOpKind;

typedef enum {
  NN_BINARY_ADD,
  NN_BINARY_SUBTRACT,
  NN_BINARY_MULTIPLY,
  NN_BINARY_DIVIDE,
  NN_BINARY_MAXIMUM,
  NN_BINARY_MINIMUM,
  NN_BINARY_POWER,
  NN_BINARY_PRELU, /* a where a >= 0, else a * b */
  NN_BINARY_N_KINDS,
} NnBinary;

typedef enum {
  NN_REDUCE_SUM,
  NN_REDUCE_MEAN,
  NN_REDUCE_MAX,
  NN_REDUCE_MIN,
} NnReduce;

typedef enum {
  NN_INTERPOLATE_NEAREST,  /* the source cell that holds the centre */
  NN_INTERPOLATE_BILINEAR, /* pixel centres at halves, as tf.image.resize */
} NnInterpolate;

typedef struct {
  union {
    struct {
      gsize strides[2], dilation[2], pad_begin[2], pad_end[2]; /* (rows, columns) */
      gsize groups;
      gsize out[2]; /* conv_transpose: rows and columns of the result */
    } conv;
    struct {
      gsize size[2], strides[2], pad_begin[2], pad_end[2];
      gboolean is_mean; /* of the cells inside of the picture */
    } pool;
    struct {
      NnReduce kind;
      guint axes; /* bit mask */
      gboolean keepdims;
    } reduce;
    struct {
      guint axis;
      double epsilon;
    } batch_norm;
    struct {
      guint axes; /* bit mask */
      double epsilon;
    } normalize;
    NnFunction unary;
    NnBinary binary;
    struct {
      guint axis;
      gboolean is_log;
    } softmax;
    struct {
      guint axis;
    } concat;
    struct {
      gsize begin[NN_MAX_DIMS], size[NN_MAX_DIMS]; /* of the result, counted in steps */
      gssize step[NN_MAX_DIMS];                    /* negative: backwards from begin */
    } slice;
    struct {
      gsize begin[NN_MAX_DIMS], end[NN_MAX_DIMS];
      double value;
    } pad;
    struct {
      gboolean transpose_a, transpose_b;
    } matmul;
    NnShape reshape;
    guint8 transpose[NN_MAX_DIMS]; /* axis i of the result is axis transpose[i] of x */
    struct {
      gsize out[2];
      NnInterpolate interpolate;
    } resize;
  };
} NnAttrs;

typedef struct _NnGraph NnGraph;
typedef struct _NnValue NnValue;
typedef struct _NnNode NnNode;

struct _NnValue {
  NnShape shape;
  guint producer;       /* index of its node; NN_NO_VALUE: a constant */
  const NnParam *param; /* constant: a parameter of the model, or NULL */
  float *data;          /* constant without param; owned */
  guint n_uses;         /* by nodes and as the output; nn_graph_count_uses() */
};

/* What follows an operation in the same pass over its result: an epilogue, by nn_graph_fuse(). */
typedef enum {
  NN_STEP_BATCH_NORM, /* along the last axis; first, so that weights can take it in */
  NN_STEP_FUNCTION,
  NN_STEP_ADD, /* a value of the same shape */
} NnStepKind;

typedef struct {
  NnStepKind kind;
  guint operands[4]; /* batch norm: mean, variance, gamma, beta; add: the value */
  double epsilon;
  NnFunction function;
} NnEpilogueStep;

#define NN_MAX_STEPS 4

struct _NnNode {
  NnOpKind kind;
  guint n_in;
  guint *in; /* NN_NO_VALUE: an optional one that is not there */
  guint out;
  NnAttrs attrs;
  const NnLayer *origin; /* for messages; NULL: a pass made it */
  guint n_steps;
  NnEpilogueStep steps[NN_MAX_STEPS];
};

struct _NnGraph {
  NnModel *model; /* whose parameters the constants are; a reference */
  GArray *values; /* NnValue */
  GArray *nodes;  /* NnNode, each behind those that make its inputs; the first is NN_OP_INPUT */
  guint input, output;
};

/* The graph of what leads to @model's output. NN_ERROR_SHAPE or _UNSUPPORTED name the layer. */
NnGraph *nn_graph_new (NnModel *model, GError **error);
/* One with nothing but an input of @shape, to be built by nn_graph_add(). */
NnGraph *nn_graph_new_empty (const NnShape *shape);
void nn_graph_free (NnGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnGraph, nn_graph_free)

static inline const NnValue *
nn_graph_value (const NnGraph *graph, guint index)
{
  return &g_array_index (graph->values, NnValue, index);
}

static inline NnNode *
nn_graph_node (const NnGraph *graph, guint index)
{
  return &g_array_index (graph->nodes, NnNode, index);
}

/* Appends a node. Returns its value, or NN_NO_VALUE with NN_ERROR_SHAPE.
 * @in: (array length=n_in), copied. */
guint nn_graph_add (NnGraph *graph, NnOpKind kind, const NnAttrs *attrs, guint n_in,
    const guint *in, const NnLayer *origin, GError **error);
/* A constant that is a parameter of the model. */
guint nn_graph_add_param (NnGraph *graph, const NnParam *param);
/* @data: copied; NULL: zeros. */
guint nn_graph_add_constant (NnGraph *graph, const NnShape *shape, const float *data);
/* The numbers of a constant. (transfer none) */
const float *nn_graph_get_data (const NnValue *value);

void nn_graph_count_uses (NnGraph *graph);

/* --- passes: each returns another graph of the same results, (transfer full) -------- */

/* Nodes that read constants only become constants; nodes that nothing reads go. NN_ERROR_NO_MEMORY.
 * Parameters are read now: not for graphs whose parameters will change. */
NnGraph *nn_graph_fold (const NnGraph *graph, GError **error);
/* Transposes move behind what can be computed in another order of axes, until they meet and cancel:
 * a channels_first network becomes one of channels_last. */
NnGraph *nn_graph_move_transposes (const NnGraph *graph, GError **error);
/* Convolutions and dense layers take what follows them as their epilogue. Changes @graph. */
void nn_graph_fuse (NnGraph *graph);
/* A copy of @node, reading the values that @map has for those it read. NN_NO_VALUE: @error. */
guint nn_graph_add_copy (
    NnGraph *graph, const NnNode *node, const guint *map, GError **error);
/* The constants of @from, at the same indices of @map. */
void nn_graph_copy_constant (NnGraph *graph, const NnGraph *from, guint value, guint *map);

/* Whether the graph keeps every rule that passes and back ends rely on: order, indices, shapes as
 * the operations infer them, constants with numbers of the right count. NN_ERROR_FORMAT tells the
 * first breach. */
gboolean nn_graph_check (const NnGraph *graph, GError **error);

/* The judge: one sample in double precision by plain loops.
 * @input: of the input's shape; @output: filled. NN_ERROR_NO_MEMORY. */
gboolean nn_graph_run_reference (
    const NnGraph *graph, const double *input, double *output, GError **error);

/* A line a node. (transfer full) */
char *nn_graph_to_string (const NnGraph *graph);

G_END_DECLS
