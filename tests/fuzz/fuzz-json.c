/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* An architecture: whatever the text, a model that holds together or an error. */

#include "tests/fuzz/fuzz.h"

#include "nn/graph/graph.h"
#include "nn/model-private.h"
#include "nn/model.h"

static void
check (const NnModel *model)
{
  g_assert (model->n_layers > 0 && model->output < model->n_layers);
  g_assert (model->layers[0].kind == NN_LAYER_INPUT && model->layers[0].n_inputs == 0);
  for (guint i = 1; i < model->n_layers; i++) {
    const NnLayer *layer = &model->layers[i];

    g_assert (layer->n_inputs >= 1 && nn_layer_get_owner (model, i) <= i);
    for (guint k = 0; k < layer->n_inputs; k++)
      g_assert (layer->inputs[k] < i);
    g_assert (nn_shape_count (&layer->out_shape) > 0);
    for (guint k = 0; k < layer->n_params; k++)
      g_assert (layer->params[k].n_values == nn_shape_count (&layer->params[k].shape)
          && layer->params[k].n_values > 0);
  }
}

/* The graph of what it computes keeps its rules through every pass. */
static void
check_graph (NnModel *model)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NnGraph) graph = nn_graph_new (model, &error), moved = NULL;

  g_assert_no_error (error);
  nn_graph_check (graph, &error);
  g_assert_no_error (error);
  moved = nn_graph_move_transposes (graph, &error);
  g_assert_no_error (error);
  nn_graph_fuse (moved);
  nn_graph_check (moved, &error);
  g_assert_no_error (error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnModel) again = NULL;
  g_autofree char *summary = NULL, *json = NULL;

  fuzz_start ();
  model = nn_model_new_from_json ((const char *) data, size, "fuzz", &error);
  if (model == NULL) {
    g_assert (error != NULL);
    return 0;
  }
  check (model);
  check_graph (model);
  summary = nn_model_summary (model);
  /* what is written is read as the same network */
  json = nn_model_json_for_file (model, &error);
  g_assert_no_error (error);
  again = nn_model_new_from_json (json, -1, "again", &error);
  g_assert_no_error (error);
  g_assert (again->n_layers == model->n_layers);
  g_assert (nn_model_count_params (again, FALSE) == nn_model_count_params (model, FALSE));
  if (nn_model_set_n_classes (model, 7, NULL)) {
    check (model);
    g_assert (nn_model_get_n_classes (model) == 7);
  }
  if (nn_model_count_params (model, FALSE) < 1000000)
    nn_model_init_params (model, 1, NULL);
  return 0;
}
