/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/graph/graph.h"

G_BEGIN_DECLS

/* How a layer says what it computes: its class's emit() appends operations to a graph.
 *
 * Each function returns a value, or NN_NO_VALUE when it failed; NN_NO_VALUE as an input gives
 * NN_NO_VALUE again, so that a layer need not look in between. */
typedef struct {
  NnGraph *graph;
  NnLayer *layer; /* whose operations they are; its name is in the errors */
  NnLayer *owner; /* whose parameters are used: itself, or the layer that it is another call of */
  gboolean infer; /* only shapes are wanted: parameters get theirs */
  GError **error;
} NnEmit;

/* By value: the graph's own moves as it grows. Without axes for NN_NO_VALUE. */
NnShape nn_emit_shape (const NnEmit *e, guint value);
gsize nn_emit_count (const NnEmit *e, guint value);
/* "layer 'x' (Kind): ..." */
guint nn_emit_fail (NnEmit *e, gint code, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* @in of @n_in values; those that are optional may be left out at the end. */
guint nn_emit (NnEmit *e, NnOpKind kind, const NnAttrs *attrs, guint n_in, const guint *in);
/* Parameter @index, which must have the shape @dims; the value has the shape @as (NULL: the
 * same), of as many numbers. */
guint nn_emit_param (
    NnEmit *e, guint index, guint n_dims, const gsize *dims, const NnShape *as);
guint nn_emit_constant (NnEmit *e, guint n_dims, const gsize *dims, const float *data);

guint nn_emit_function (NnEmit *e, guint x, const NnFunction *function);
guint nn_emit_linear (NnEmit *e, guint x, double scale, double offset);
/* The layer's own activation, softmax included. */
guint nn_emit_activation (NnEmit *e, guint x, NnActivation activation);
guint nn_emit_softmax (NnEmit *e, guint x, guint axis, gboolean is_log);
guint nn_emit_binary (NnEmit *e, NnBinary kind, guint a, guint b);
guint nn_emit_reshape (NnEmit *e, guint x, guint n_dims, const gsize *dims);
/* The same axes in the order of @order. */
guint nn_emit_transpose (NnEmit *e, guint x, const guint8 *order);
guint nn_emit_reduce (NnEmit *e, guint x, NnReduce kind, guint axes, gboolean keepdims);
/* @begin and @size of each axis, with step 1. */
guint nn_emit_slice (NnEmit *e, guint x, const gsize *begin, const gsize *size);

/* Where the layer is channels_first: (C, H, W) to (H, W, C), and back; else @x itself. */
guint nn_emit_channels_last (NnEmit *e, guint x);
guint nn_emit_channels_back (NnEmit *e, guint x);

/* @x as (height, width, channels), or an error. */
gboolean nn_emit_check_picture (NnEmit *e, guint x);

/* The layer's windows over x (H, W, C): sizes of the result and padding. FALSE: none fits. */
gboolean nn_emit_windows (NnEmit *e, guint x, const gsize size[2], const gsize strides[2],
    const gsize dilation[2], NnPadding padding, gsize pad_begin[2], gsize pad_end[2]);

/* out_shape and the shapes of parameters of @layer with inputs of @shapes, by its emit(). */
gboolean nn_emit_infer (NnLayer *layer, NnLayer *owner, const NnShape *shapes, GError **error);

G_END_DECLS
