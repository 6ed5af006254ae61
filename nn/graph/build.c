/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A model's graph: what its layers emit, one after the other. */

#include "nn/error.h"
#include "nn/graph/emit.h"
#include "nn/layer.h"

/* What feeds layers[0], from the (height, width, channels) that pictures come as. */
static guint
emit_input (NnEmit *e, const NnModel *model)
{
  static const guint8 order[] = { 2, 0, 1 };
  const NnShape *shape = &model->layers[0].out_shape;
  guint x = e->graph->input;

  if (model->channels_first && shape->n_dims == 3)
    return nn_emit_transpose (e, x, order);
  return nn_emit_reshape (e, x, shape->n_dims, shape->dims);
}

/* Which layers lead to the output. */
static gboolean *
find_used (const NnModel *model)
{
  gboolean *is_used = g_new0 (gboolean, model->n_layers);

  is_used[model->output] = TRUE;
  for (guint i = model->output + 1; i-- > 0;)
    for (guint k = 0; is_used[i] && k < model->layers[i].n_inputs; k++)
      is_used[model->layers[i].inputs[k]] = TRUE;
  return is_used;
}

NnGraph *
nn_graph_new (NnModel *model, GError **error)
{
  g_autoptr (NnGraph) graph = nn_graph_new_empty (nn_model_get_input_shape (model));
  g_autofree gboolean *is_used = find_used (model);
  g_autofree guint *values = g_new (guint, model->n_layers);
  GError *failure = NULL;

  graph->model = nn_model_ref (model);
  for (guint i = 0; i <= model->output && !failure; i++) {
    NnLayer *layer = &model->layers[i];
    NnEmit e = { graph, layer, &model->layers[nn_layer_get_owner (model, i)], FALSE, &failure };
    g_autofree guint *in = g_new (guint, MAX (layer->n_inputs, 1));

    if (!is_used[i])
      continue;
    if (i > 0 && layer->n_inputs > MAX (layer->klass->max_inputs, 1)) {
      g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "layer '%s' (%s) has %u inputs",
          layer->name, layer->klass->name, layer->n_inputs);
      return NULL;
    }
    for (guint k = 0; k < layer->n_inputs; k++)
      in[k] = values[layer->inputs[k]];
    values[i] = i == 0 ? emit_input (&e, model) : layer->klass->emit (&e, in);
  }
  if (failure) {
    g_propagate_error (error, failure);
    return NULL;
  }
  graph->output = values[model->output];
  nn_graph_count_uses (graph);
  return g_steal_pointer (&graph);
}
