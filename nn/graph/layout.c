/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each value of the old graph is one of the new graph and an order of axes that was not applied
 * yet. Operations that can work in that order do; the others get it applied before them. */

#include <string.h>

#include "nn/graph/ops.h"

typedef struct {
  guint value; /* of the new graph */
  guint8 order[NN_MAX_DIMS]; /* the old one's axis i is axis order[i] of it */
} Moved;

typedef struct {
  const NnGraph *old;
  NnGraph *graph;
  Moved *moved; /* of each old value */
} Layout;

static gboolean
is_plain (const Layout *l, const Moved *m)
{
  const guint n = nn_graph_value (l->graph, m->value)->shape.n_dims;

  for (guint i = 0; i < n; i++)
    if (m->order[i] != i)
      return FALSE;
  return TRUE;
}

static Moved
plain (guint value)
{
  Moved m = { .value = value };

  for (guint i = 0; i < NN_MAX_DIMS; i++)
    m.order[i] = (guint8) i;
  return m;
}

/* The value in the old order of axes. */
static guint
apply (Layout *l, guint old, GError **error)
{
  Moved *m = &l->moved[old];
  NnAttrs attrs = { 0 };
  guint value;

  if (is_plain (l, m))
    return m->value;
  memcpy (attrs.transpose, m->order, sizeof m->order);
  value = nn_graph_add (l->graph, NN_OP_TRANSPOSE, &attrs, 1, &m->value, NULL, error);
  if (value != NN_NO_VALUE)
    *m = plain (value);
  return value;
}

/* The axes of a mask in the new order. */
static guint
move_axes (const Moved *m, guint axes)
{
  guint result = 0;

  for (guint i = 0; i < NN_MAX_DIMS; i++)
    if (axes >> i & 1)
      result |= 1u << m->order[i];
  return result;
}

/* Attributes of @node for the new order of its first input; FALSE: it cannot work in it. */
static gboolean
move_attrs (const NnNode *node, const Moved *m, guint n_dims, NnAttrs *attrs)
{
  *attrs = node->attrs;
  switch (node->kind) {
    case NN_OP_UNARY:
      return TRUE;
    case NN_OP_BATCH_NORM:
      attrs->batch_norm.axis = m->order[node->attrs.batch_norm.axis];
      return TRUE;
    case NN_OP_SOFTMAX:
      attrs->softmax.axis = m->order[node->attrs.softmax.axis];
      return TRUE;
    case NN_OP_NORMALIZE:
      attrs->normalize.axes = move_axes (m, node->attrs.normalize.axes);
      return TRUE;
    case NN_OP_CONCAT:
      attrs->concat.axis = m->order[node->attrs.concat.axis];
      return TRUE;
    case NN_OP_PAD:
      for (guint i = 0; i < n_dims; i++) {
        attrs->pad.begin[m->order[i]] = node->attrs.pad.begin[i];
        attrs->pad.end[m->order[i]] = node->attrs.pad.end[i];
      }
      return TRUE;
    case NN_OP_SLICE:
      for (guint i = 0; i < n_dims; i++) {
        attrs->slice.begin[m->order[i]] = node->attrs.slice.begin[i];
        attrs->slice.size[m->order[i]] = node->attrs.slice.size[i];
        attrs->slice.step[m->order[i]] = node->attrs.slice.step[i];
      }
      return TRUE;
    case NN_OP_REDUCE: /* where what stays has no other order */
      attrs->reduce.axes = move_axes (m, node->attrs.reduce.axes);
      if (node->attrs.reduce.keepdims)
        return TRUE;
      {
        gint last = -1;

        for (guint i = 0; i < n_dims; i++)
          if (!(node->attrs.reduce.axes >> i & 1)) {
            if ((gint) m->order[i] < last)
              return FALSE;
            last = m->order[i];
          }
      }
      return TRUE;
    default:
      return FALSE;
  }
}

/* All inputs that have a batch are in the order of the first of them, constants are single
 * numbers or vectors that the operation takes by itself. */
static gboolean
are_moved_alike (const Layout *l, const NnNode *node, const Moved **first)
{
  *first = NULL;
  for (guint i = 0; i < node->n_in; i++) {
    const NnValue *value;
    const Moved *m;

    if (node->in[i] == NN_NO_VALUE)
      continue;
    value = nn_graph_value (l->old, node->in[i]);
    m = &l->moved[node->in[i]];
    if (value->producer == NN_NO_VALUE) {
      if (node->kind == NN_OP_BINARY && nn_shape_count (&value->shape) != 1)
        return FALSE;
      continue;
    }
    if (!*first)
      *first = m;
    else if (value->shape.n_dims != nn_graph_value (l->graph, (*first)->value)->shape.n_dims
             || memcmp (m->order, (*first)->order, value->shape.n_dims) != 0)
      return FALSE;
  }
  return *first != NULL;
}

static gboolean
move_node (Layout *l, const NnNode *node, GError **error)
{
  g_autofree guint *in = g_new (guint, MAX (node->n_in, 1));
  const Moved *first;
  Moved result;
  NnAttrs attrs;
  guint n_dims;

  if (node->kind == NN_OP_TRANSPOSE) {
    const Moved *from = &l->moved[node->in[0]];

    n_dims = nn_graph_value (l->old, node->in[0])->shape.n_dims;
    result = plain (from->value);
    for (guint i = 0; i < n_dims; i++)
      result.order[i] = from->order[node->attrs.transpose[i]];
    l->moved[node->out] = result;
    return TRUE;
  }
  if (are_moved_alike (l, node, &first) && !is_plain (l, first)) {
    n_dims = nn_graph_value (l->graph, first->value)->shape.n_dims;
    attrs = node->attrs;
    if (node->kind == NN_OP_BINARY || move_attrs (node, first, n_dims, &attrs)) {
      result = *first;
      for (guint i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == NN_NO_VALUE ? NN_NO_VALUE : l->moved[node->in[i]].value;
      result.value = nn_graph_add (
          l->graph, node->kind, &attrs, node->n_in, in, node->origin, error);
      if (result.value == NN_NO_VALUE)
        return FALSE;
      if (node->kind == NN_OP_REDUCE && !node->attrs.reduce.keepdims)
        result = plain (result.value);
      l->moved[node->out] = result;
      return TRUE;
    }
  }
  for (guint i = 0; i < node->n_in; i++) {
    in[i] = node->in[i] == NN_NO_VALUE ? NN_NO_VALUE : apply (l, node->in[i], error);
    if (in[i] == NN_NO_VALUE && node->in[i] != NN_NO_VALUE)
      return FALSE;
  }
  result.value = nn_graph_add (
      l->graph, node->kind, &node->attrs, node->n_in, in, node->origin, error);
  if (result.value == NN_NO_VALUE)
    return FALSE;
  l->moved[node->out] = plain (result.value);
  return TRUE;
}

NnGraph *
nn_graph_move_transposes (const NnGraph *graph, GError **error)
{
  g_autoptr (NnGraph) result
      = nn_graph_new_empty (&nn_graph_value (graph, graph->input)->shape);
  g_autofree Moved *moved = g_new0 (Moved, graph->values->len);
  g_autofree guint *map = g_new0 (guint, graph->values->len);
  Layout l = { graph, result, moved };

  result->model = graph->model ? nn_model_ref (graph->model) : NULL;
  moved[graph->input] = plain (result->input);
  for (guint i = 0; i < graph->values->len; i++) {
    if (nn_graph_value (graph, i)->producer != NN_NO_VALUE)
      continue;
    nn_graph_copy_constant (result, graph, i, map);
    moved[i] = plain (map[i]);
  }
  for (guint i = 1; i < graph->nodes->len; i++)
    if (!move_node (&l, nn_graph_node (graph, i), error))
      return NULL;
  result->output = apply (&l, graph->output, error);
  if (result->output == NN_NO_VALUE)
    return NULL;
  nn_graph_count_uses (result);
  return g_steal_pointer (&result);
}
