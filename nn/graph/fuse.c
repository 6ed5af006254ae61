/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The one fuser. A convolution or dense layer is an anchor; what follows it across single uses
 * becomes its epilogue, a step a node. */

#include "nn/graph/ops.h"

static gboolean
is_anchor (const NnNode *node)
{
  return node->kind == NN_OP_CONV || node->kind == NN_OP_DENSE;
}

/* The node that alone reads @value, which is not the output; NULL: there is none. */
static NnNode *
find_reader (NnGraph *graph, guint value, guint from)
{
  if (nn_graph_value (graph, value)->n_uses != 1 || value == graph->output)
    return NULL;
  for (guint i = from; i < graph->nodes->len; i++) {
    NnNode *node = nn_graph_node (graph, i);

    for (guint k = 0; k < node->n_in; k++)
      if (node->in[k] == value)
        return node;
  }
  return NULL;
}

/* @next as a step behind @node; FALSE: it cannot be one. */
static gboolean
make_step (const NnGraph *graph, const NnNode *node, guint index, const NnNode *next,
    NnEpilogueStep *step)
{
  const NnShape *shape = &nn_graph_value (graph, node->out)->shape;

  switch (next->kind) {
    case NN_OP_BATCH_NORM:
      if (node->n_steps > 0 || next->attrs.batch_norm.axis + 1 != shape->n_dims)
        return FALSE;
      step->kind = NN_STEP_BATCH_NORM;
      step->epsilon = next->attrs.batch_norm.epsilon;
      for (guint i = 0; i < 4; i++)
        step->operands[i] = i + 1 < next->n_in ? next->in[i + 1] : NN_NO_VALUE;
      return TRUE;
    case NN_OP_UNARY:
      step->kind = NN_STEP_FUNCTION;
      step->function = next->attrs.unary;
      return TRUE;
    case NN_OP_BINARY: {
      const guint other = next->in[next->in[0] == node->out];
      const NnValue *value = nn_graph_value (graph, other);

      /* what is added must be there before the anchor runs */
      if (next->attrs.binary != NN_BINARY_ADD || other == node->out
          || value->producer == NN_NO_VALUE || value->producer >= index
          || !nn_shape_equal (&value->shape, shape))
        return FALSE;
      step->kind = NN_STEP_ADD;
      step->operands[0] = other;
      return TRUE;
    }
    default:
      return FALSE;
  }
}

static void
drop_fused (NnGraph *graph)
{
  GArray *nodes = graph->nodes;
  guint at = 0;

  for (guint i = 0; i < nodes->len; i++) {
    NnNode *node = nn_graph_node (graph, i);

    if (node->out == NN_NO_VALUE) {
      g_free (node->in);
      node->in = NULL;
      continue;
    }
    g_array_index (graph->values, NnValue, node->out).producer = at;
    if (at != i) {
      *nn_graph_node (graph, at) = *node;
      node->in = NULL;
    }
    at++;
  }
  g_array_set_size (nodes, at);
}

void
nn_graph_fuse (NnGraph *graph)
{
  nn_graph_count_uses (graph);
  for (guint i = 1; i < graph->nodes->len; i++) {
    NnNode *node = nn_graph_node (graph, i);

    while (node->out != NN_NO_VALUE && is_anchor (node) && node->n_steps < NN_MAX_STEPS) {
      NnNode *next = find_reader (graph, node->out, i + 1);
      NnEpilogueStep step = { 0 };

      if (!next || next->out == NN_NO_VALUE || !make_step (graph, node, i, next, &step))
        break;
      g_array_index (graph->values, NnValue, node->out).producer = NN_FUSED_VALUE;
      node->steps[node->n_steps++] = step;
      node->out = next->out;
      g_array_index (graph->values, NnValue, node->out).producer = i;
      next->out = NN_NO_VALUE;
      next->n_in = 0;
    }
  }
  drop_fused (graph);
  nn_graph_count_uses (graph);
}
