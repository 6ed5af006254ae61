/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/graph.h"

#include <math.h>
#include <string.h>

#include "nn/graph/ops.h"
#include "nn/model-private.h"

static void
clear_value (gpointer data)
{
  g_free (((NnValue *) data)->data);
}

static void
clear_node (gpointer data)
{
  g_free (((NnNode *) data)->in);
}

static guint
add_value (NnGraph *graph, const NnShape *shape, guint producer)
{
  const NnValue value = { .shape = *shape, .producer = producer };

  g_array_append_val (graph->values, value);
  return graph->values->len - 1;
}

NnGraph *
nn_graph_new_empty (const NnShape *shape)
{
  NnGraph *graph = g_new0 (NnGraph, 1);
  NnNode node = { .kind = NN_OP_INPUT };

  graph->values = g_array_new (FALSE, TRUE, sizeof (NnValue));
  graph->nodes = g_array_new (FALSE, TRUE, sizeof (NnNode));
  g_array_set_clear_func (graph->values, clear_value);
  g_array_set_clear_func (graph->nodes, clear_node);
  node.out = graph->input = graph->output = add_value (graph, shape, 0);
  g_array_append_val (graph->nodes, node);
  return graph;
}

void
nn_graph_free (NnGraph *graph)
{
  if (!graph)
    return;
  g_array_unref (graph->values);
  g_array_unref (graph->nodes);
  g_clear_pointer (&graph->model, nn_model_unref);
  g_free (graph);
}

guint
nn_graph_add_param (NnGraph *graph, const NnParam *param)
{
  const guint index = add_value (graph, &param->shape, NN_NO_VALUE);

  g_array_index (graph->values, NnValue, index).param = param;
  return index;
}

guint
nn_graph_add_constant (NnGraph *graph, const NnShape *shape, const float *data)
{
  const guint index = add_value (graph, shape, NN_NO_VALUE);
  const gsize n = nn_shape_count (shape);
  float *copy = g_new0 (float, MAX (n, 1));

  if (data)
    memcpy (copy, data, n * sizeof (float));
  g_array_index (graph->values, NnValue, index).data = copy;
  return index;
}

const float *
nn_graph_get_data (const NnValue *value)
{
  return value->param ? value->param->data : value->data;
}

/* @inputs of a node: points into the graph's values; @all has room for n_in. */
static void
get_inputs (const NnGraph *graph, guint n_in, const guint *in, const NnAttrs *attrs,
    const NnValue **all, NnOpInputs *inputs)
{
  *inputs = (NnOpInputs){ .all = all, .n_in = n_in, .attrs = attrs };
  for (guint i = 0; i < n_in; i++) {
    all[i] = in[i] == NN_NO_VALUE ? NULL : nn_graph_value (graph, in[i]);
    if (i < NN_OP_MAX_INPUTS)
      inputs->in[i] = all[i];
  }
}

static gboolean
infer (const NnGraph *graph, NnOpKind kind, const NnAttrs *attrs, guint n_in, const guint *in,
    NnShape *out, GError **error)
{
  const NnOp *op = nn_ops[kind];
  g_autofree const NnValue **all = g_new0 (const NnValue *, MAX (n_in, 1));
  NnOpInputs inputs;

  if (n_in < op->min_inputs || (op->max_inputs > 0 && n_in > op->max_inputs))
    return nn_op_fail (error, "%s wants %u inputs, found %u", op->name, op->min_inputs, n_in);
  get_inputs (graph, n_in, in, attrs, all, &inputs);
  for (guint i = 0; i < op->min_inputs; i++)
    if (!all[i])
      return nn_op_fail (error, "%s: input %u is not there", op->name, i + 1);
  return op->infer (&inputs, out, error) && nn_op_check_size (out, error);
}

guint
nn_graph_add (NnGraph *graph, NnOpKind kind, const NnAttrs *attrs, guint n_in, const guint *in,
    const NnLayer *origin, GError **error)
{
  static const NnAttrs none;
  NnNode node = { .kind = kind, .n_in = n_in, .attrs = attrs ? *attrs : none, .origin = origin };
  NnShape shape;

  if (!infer (graph, kind, &node.attrs, n_in, in, &shape, error))
    return NN_NO_VALUE;
  node.in = g_memdup2 (in, n_in * sizeof (guint));
  node.out = add_value (graph, &shape, graph->nodes->len);
  g_array_append_val (graph->nodes, node);
  return node.out;
}

void
nn_graph_count_uses (NnGraph *graph)
{
  for (guint i = 0; i < graph->values->len; i++)
    g_array_index (graph->values, NnValue, i).n_uses = i == graph->output;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const NnNode *node = nn_graph_node (graph, i);

    for (guint k = 0; k < node->n_in; k++)
      if (node->in[k] != NN_NO_VALUE)
        g_array_index (graph->values, NnValue, node->in[k]).n_uses++;
    for (guint s = 0; s < node->n_steps; s++)
      if (node->steps[s].kind == NN_STEP_ADD)
        g_array_index (graph->values, NnValue, node->steps[s].operands[0]).n_uses++;
  }
}

guint
nn_graph_add_copy (NnGraph *graph, const NnNode *node, const guint *map, GError **error)
{
  g_autofree guint *in = g_new (guint, MAX (node->n_in, 1));

  for (guint i = 0; i < node->n_in; i++)
    in[i] = node->in[i] == NN_NO_VALUE ? NN_NO_VALUE : map[node->in[i]];
  return nn_graph_add (graph, node->kind, &node->attrs, node->n_in, in, node->origin, error);
}

void
nn_graph_copy_constant (NnGraph *graph, const NnGraph *from, guint value, guint *map)
{
  const NnValue *constant = nn_graph_value (from, value);

  if (constant->param) {
    map[value] = nn_graph_add_param (graph, constant->param);
    g_array_index (graph->values, NnValue, map[value]).shape = constant->shape;
  } else {
    map[value] = nn_graph_add_constant (graph, &constant->shape, constant->data);
  }
}

/* --- the rules -------------------------------------------------------------------- */

static gboolean
check_node (const NnGraph *graph, guint index, GError **error)
{
  const NnNode *node = nn_graph_node (graph, index);
  const NnValue *out;
  NnShape shape;

  if (node->kind >= NN_OP_N_KINDS || (node->kind == NN_OP_INPUT) != (index == 0))
    return nn_op_fail (error, "node %u has no kind that it may have", index);
  if (node->out >= graph->values->len || nn_graph_value (graph, node->out)->producer != index)
    return nn_op_fail (error, "node %u does not make its value", index);
  for (guint i = 0; i < node->n_in; i++) {
    if (node->in[i] == NN_NO_VALUE)
      continue;
    if (node->in[i] >= graph->values->len)
      return nn_op_fail (error, "node %u reads a value that does not exist", index);
    out = nn_graph_value (graph, node->in[i]);
    if (out->producer != NN_NO_VALUE && out->producer >= index)
      return nn_op_fail (error, "node %u reads what is made behind it", index);
  }
  if (index == 0)
    return TRUE;
  if (!infer (graph, node->kind, &node->attrs, node->n_in, node->in, &shape, error))
    return FALSE;
  if (!nn_shape_equal (&shape, &nn_graph_value (graph, node->out)->shape))
    return nn_op_fail (error, "node %u (%s) has another shape than it makes", index,
        nn_ops[node->kind]->name);
  return TRUE;
}

gboolean
nn_graph_check (const NnGraph *graph, GError **error)
{
  for (guint i = 0; i < graph->values->len; i++) {
    const NnValue *value = nn_graph_value (graph, i);

    if (value->producer == NN_FUSED_VALUE)
      continue;
    if (value->producer != NN_NO_VALUE) {
      if (value->producer >= graph->nodes->len
          || nn_graph_node (graph, value->producer)->out != i)
        return nn_op_fail (error, "value %u is not made by its producer", i);
    } else if (value->param ? value->param->n_values != nn_shape_count (&value->shape)
                            : value->data == NULL) {
      return nn_op_fail (error, "value %u is a constant without numbers of its shape", i);
    }
  }
  for (guint i = 0; i < graph->nodes->len; i++)
    if (!check_node (graph, i, error))
      return FALSE;
  if (graph->output >= graph->values->len
      || nn_graph_value (graph, graph->output)->producer == NN_NO_VALUE)
    return nn_op_fail (error, "the output is not made by a node");
  return TRUE;
}

static void
run_steps (const NnGraph *graph, const NnNode *node, GPtrArray *numbers)
{
  const NnShape *shape = &nn_graph_value (graph, node->out)->shape;
  const gsize n = nn_shape_count (shape), inner = shape->dims[MAX (shape->n_dims, 1) - 1];
  double *x = numbers->pdata[node->out];

  for (guint s = 0; s < node->n_steps; s++) {
    const NnEpilogueStep *step = &node->steps[s];
    const double *operands[4];

    for (guint k = 0; k < 4; k++)
      operands[k] = step->kind == NN_STEP_FUNCTION || step->operands[k] == NN_NO_VALUE
                        ? NULL
                        : numbers->pdata[step->operands[k]];
    for (gsize i = 0; i < n; i++) {
      const gsize c = i % inner;

      if (step->kind == NN_STEP_FUNCTION)
        x[i] = nn_function_apply (&step->function, x[i]);
      else if (step->kind == NN_STEP_ADD)
        x[i] += operands[0][i];
      else
        x[i] = (x[i] - operands[0][c]) / sqrt (operands[1][c] + step->epsilon)
                   * (operands[2] ? operands[2][c] : 1)
               + (operands[3] ? operands[3][c] : 0);
    }
  }
}

/* --- the judge -------------------------------------------------------------------- */

gboolean
nn_graph_run_reference (
    const NnGraph *graph, const double *input, double *output, GError **error)
{
  g_autoptr (GPtrArray) numbers = g_ptr_array_new_with_free_func (g_free);
  const NnValue *out = nn_graph_value (graph, graph->output);

  for (guint i = 0; i < graph->values->len; i++) {
    const NnValue *value = nn_graph_value (graph, i);
    const gsize n = nn_shape_count (&value->shape);
    double *x = g_try_new0 (double, MAX (n, 1));

    if (!x) {
      g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for %" G_GSIZE_FORMAT " numbers",
          n);
      return FALSE;
    }
    g_ptr_array_add (numbers, x);
    if (i == graph->input)
      memcpy (x, input, n * sizeof (double));
    for (gsize k = 0; k < n && value->producer == NN_NO_VALUE; k++) /* a constant */
      x[k] = nn_graph_get_data (value)[k];
  }
  for (guint i = 1; i < graph->nodes->len; i++) {
    const NnNode *node = nn_graph_node (graph, i);
    g_autofree const NnValue **all = g_new0 (const NnValue *, MAX (node->n_in, 1));
    g_autofree const double **in = g_new0 (const double *, MAX (node->n_in, NN_OP_MAX_INPUTS));
    NnOpInputs inputs;

    get_inputs (graph, node->n_in, node->in, &node->attrs, all, &inputs);
    for (guint k = 0; k < node->n_in; k++)
      in[k] = all[k] ? numbers->pdata[node->in[k]] : NULL;
    nn_ops[node->kind]->reference (
        &inputs, in, &nn_graph_value (graph, node->out)->shape, numbers->pdata[node->out]);
    run_steps (graph, node, numbers);
  }
  memcpy (output, numbers->pdata[graph->output], nn_shape_count (&out->shape) * sizeof (double));
  return TRUE;
}

/* --- text ------------------------------------------------------------------------- */

char *
nn_graph_to_string (const NnGraph *graph)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < graph->nodes->len; i++) {
    const NnNode *node = nn_graph_node (graph, i);
    g_autofree char *shape = nn_shape_to_string (&nn_graph_value (graph, node->out)->shape);

    g_string_append_printf (text, "%%%u = %s", node->out, nn_ops[node->kind]->name);
    for (guint k = 0; k < node->n_in; k++) {
      const NnValue *in = node->in[k] == NN_NO_VALUE ? NULL : nn_graph_value (graph, node->in[k]);

      if (!in)
        g_string_append (text, " -");
      else if (in->param)
        g_string_append_printf (text, " %s", in->param->name);
      else
        g_string_append_printf (text, " %%%u", node->in[k]);
    }
    if (nn_ops[node->kind]->describe)
      nn_ops[node->kind]->describe (&node->attrs, text);
    g_string_append_printf (text, " : %s", shape);
    for (guint k = 0; k < node->n_steps; k++)
      g_string_append_printf (text, " + %s",
          node->steps[k].kind == NN_STEP_BATCH_NORM ? "batch-norm"
          : node->steps[k].kind == NN_STEP_ADD
              ? "add"
              : nn_function_get_name (node->steps[k].function.kind));
    if (node->origin)
      g_string_append_printf (text, "  # %s", node->origin->name);
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}
