/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A model file: as a whole model, as weights for a small network in both ways
 * of matching, and as the state of an optimizer. */

#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "nn/keras-file.h"
#include "nn/log.h"

static const char tiny[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"tiny\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\":"
      "[null, 2, 2, 3]}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\","
      "\"units\": 2, \"activation\": \"softmax\"}}]}}";

static void
drop (NnLogLevel level, const char *message, gpointer user_data)
{
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *path = NULL;
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnModel) network = nn_model_new_from_json (tiny, -1, NULL, NULL);
  g_autoptr (NnOptimizer) optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, network, NULL);
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);

  nn_log_set_sink (drop, NULL);
  if (fd < 0 || write (fd, data, size) != (ssize_t) size) {
    if (fd >= 0)
      close (fd);
    return 0;
  }
  path = g_strdup_printf ("/proc/self/fd/%d", fd);
  model = nn_model_load (path, &error);
  g_assert ((model == NULL) == (error != NULL));
  g_assert (model == NULL || model->has_weights);
  nn_model_load_weights (network, path, NN_WEIGHTS_BY_ORDER, NULL, NULL);
  nn_model_load_weights (network, path, NN_WEIGHTS_BY_NAME, NULL, NULL);
  nn_optimizer_load (optimizer, network, path, NULL);
  close (fd);
  return 0;
}
