/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A model file: as a whole model, as weights for a small network in both ways
 * of matching, and as the state of an optimizer. */

#include "tests/fuzz/fuzz.h"

#include "nn/keras-file.h"

static const char tiny[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"tiny\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\":"
      "[null, 2, 2, 3]}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\","
      "\"units\": 2, \"activation\": \"softmax\"}}]}}";

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnModel) network = nn_model_new_from_json (tiny, -1, NULL, NULL);
  g_autoptr (NnOptimizer) optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, network, NULL);
  g_autoptr (GError) error = NULL;
  FuzzFile file;

  fuzz_start ();
  if (!fuzz_file_open (&file, data, size))
    return 0;
  model = nn_model_load (file.path, &error);
  g_assert ((model == NULL) == (error != NULL));
  g_assert (model == NULL || model->has_weights);
  nn_model_load_weights (network, file.path, NN_WEIGHTS_BY_ORDER, NULL, NULL);
  nn_model_load_weights (network, file.path, NN_WEIGHTS_BY_NAME, NULL, NULL);
  nn_optimizer_load (optimizer, network, file.path, NULL);
  fuzz_file_close (&file);
  return 0;
}
