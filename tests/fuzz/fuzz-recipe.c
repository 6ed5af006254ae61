/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A recipe; what follows a NUL are settings ("group.key=value"), one a line. */

#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "nn/keras-file.h"
#include "train/recipe.h"
#include "train/schedule.h"

static const char tiny[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"tiny\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\":"
      "[null, 2, 2, 3]}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\","
      "\"units\": 2, \"activation\": \"softmax\"}}]}}";

static void
check (const Recipe *recipe)
{
  g_autoptr (NnModel) model = nn_model_new_from_json (tiny, -1, NULL, NULL);
  g_autoptr (GArray) results = schedule_parse_history ("");
  g_autofree char *json = nn_augment_to_json (&recipe->augment);
  NnAugment augment;
  NnPreprocess pre, stored;

  g_assert (recipe->network && recipe->fingerprint && recipe->n_stages > 0);
  g_assert (recipe->batch_size > 0);
  for (guint i = 0; i < recipe->n_stages; i++) {
    double rate = schedule_get_rate (recipe, i, 0, 3, results);

    g_assert (recipe->stages[i].epochs > 0 && rate >= 0 && rate <= recipe->stages[i].learning_rate);
  }
  /* what goes into the model file is read again */
  g_assert (nn_augment_from_json (json, &augment, NULL));
  if (recipe_get_preprocess (recipe, model, &pre, NULL))
    recipe_get_stored (recipe, &pre, &stored, &augment);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const uint8_t *nul = memchr (data, '\0', size);
  size_t length = nul ? (size_t) (nul - data) : size;
  g_auto (GStrv) settings = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Recipe) recipe = NULL, again = NULL;
  FuzzFile file;

  fuzz_start ();
  if (nul) {
    g_autofree char *lines = g_strndup ((const char *) nul + 1, size - length - 1);

    settings = g_strsplit (lines, "\n", -1);
  }
  if (!fuzz_file_open (&file, data, length))
    return 0;
  recipe = recipe_load_with (file.path, "data", settings, &error);
  g_assert ((recipe == NULL) == (error != NULL));
  if (recipe) {
    check (recipe);
    again = recipe_load_with (file.path, "data", settings, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (again->fingerprint, ==, recipe->fingerprint);
  }
  fuzz_file_close (&file);
  return 0;
}
