/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What can be computed once is; what nothing reads goes. */

#include "nn/graph/ops.h"

static gboolean
is_constant (const NnGraph *graph, guint value)
{
  return value == NN_NO_VALUE || nn_graph_value (graph, value)->producer == NN_NO_VALUE;
}

/* @node of constants of @graph, whose value @to becomes one. */
static gboolean
evaluate (NnGraph *graph, guint node_index, GError **error)
{
  const NnNode *node = nn_graph_node (graph, node_index);
  NnValue *out = &g_array_index (graph->values, NnValue, node->out);
  const gsize n = nn_shape_count (&out->shape);
  g_autoptr (GPtrArray) numbers = g_ptr_array_new_with_free_func (g_free);
  g_autofree const double **in = g_new0 (const double *, MAX (node->n_in, NN_OP_MAX_INPUTS));
  g_autofree const NnValue **all = g_new0 (const NnValue *, MAX (node->n_in, 1));
  g_autofree double *result = g_try_new0 (double, n);
  NnOpInputs inputs = { .all = all, .n_in = node->n_in, .attrs = &node->attrs };

  for (guint i = 0; i < node->n_in; i++) {
    const NnValue *value = node->in[i] == NN_NO_VALUE ? NULL : nn_graph_value (graph, node->in[i]);
    const gsize count = value ? nn_shape_count (&value->shape) : 0;
    double *x = value ? g_try_new (double, count) : NULL;

    all[i] = value;
    if (i < NN_OP_MAX_INPUTS)
      inputs.in[i] = value;
    if (!value)
      continue;
    if (!x) {
      g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for the model's constants");
      return FALSE;
    }
    g_ptr_array_add (numbers, x);
    for (gsize k = 0; k < count; k++)
      x[k] = nn_graph_get_data (value)[k];
    in[i] = x;
  }
  out->data = result ? g_try_new (float, n) : NULL;
  if (!out->data) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for the model's constants");
    return FALSE;
  }
  nn_ops[node->kind]->reference (&inputs, in, &out->shape, result);
  for (gsize k = 0; k < n; k++)
    out->data[k] = (float) result[k];
  out->producer = NN_NO_VALUE;
  return TRUE;
}

static gboolean *
find_needed (const NnGraph *graph)
{
  gboolean *is_needed = g_new0 (gboolean, graph->values->len);

  is_needed[graph->output] = TRUE;
  for (guint i = graph->nodes->len; i-- > 1;) {
    const NnNode *node = nn_graph_node (graph, i);

    for (guint k = 0; k < node->n_in && is_needed[node->out]; k++)
      if (node->in[k] != NN_NO_VALUE)
        is_needed[node->in[k]] = TRUE;
  }
  return is_needed;
}

/* The last node of the new graph, which was just evaluated, goes. */
static void
drop_last (NnGraph *graph)
{
  g_array_set_size (graph->nodes, graph->nodes->len - 1);
}

NnGraph *
nn_graph_fold (const NnGraph *graph, GError **error)
{
  g_autoptr (NnGraph) result
      = nn_graph_new_empty (&nn_graph_value (graph, graph->input)->shape);
  g_autofree gboolean *is_needed = find_needed (graph);
  g_autofree guint *map = g_new0 (guint, graph->values->len);

  result->model = graph->model ? nn_model_ref (graph->model) : NULL;
  map[graph->input] = result->input;
  for (guint i = 0; i < graph->values->len; i++)
    if (nn_graph_value (graph, i)->producer == NN_NO_VALUE && is_needed[i])
      nn_graph_copy_constant (result, graph, i, map);
  for (guint i = 1; i < graph->nodes->len; i++) {
    const NnNode *node = nn_graph_node (graph, i);
    gboolean all_constant = TRUE;

    if (!is_needed[node->out])
      continue;
    map[node->out] = nn_graph_add_copy (result, node, map, error);
    if (map[node->out] == NN_NO_VALUE)
      return NULL;
    for (guint k = 0; k < node->n_in; k++)
      all_constant = all_constant
                     && (node->in[k] == NN_NO_VALUE || is_constant (result, map[node->in[k]]));
    if (!all_constant)
      continue;
    if (!evaluate (result, result->nodes->len - 1, error))
      return NULL;
    drop_last (result);
  }
  result->output = map[graph->output];
  nn_graph_count_uses (result);
  return g_steal_pointer (&result);
}
