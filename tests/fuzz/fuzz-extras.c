/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* JSON in a model file's attributes: augmentation and pre-processing. What is read is written,
 * and read as the same. */

#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "nn/augment.h"
#include "nn/keras-private.h"

static const char tiny[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"tiny\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\":"
      "[null, 2, 2, 3]}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\","
      "\"units\": 2, \"activation\": \"softmax\"}}]}}";

static void
check_augment (const char *text)
{
  g_autoptr (GError) error = NULL;
  NnAugment augment, again;

  if (!nn_augment_from_json (text, &augment, &error)) {
    g_assert (error != NULL);
    return;
  }
  g_autofree char *json = nn_augment_to_json (&augment);
  g_assert (nn_augment_from_json (json, &again, &error));
  g_autofree char *json_again = nn_augment_to_json (&again);
  g_assert_cmpstr (json, ==, json_again);

  NnAugmentParams params;
  nn_augment_draw (&augment, 1, 1, 2, 2, 3, &params);
  g_autofree char *words = nn_augment_describe (&augment, &params);
  g_assert (words != NULL);
}

static void
check_preprocess (const char *text)
{
  static NnModel *model;
  g_autoptr (GError) error = NULL;
  NnPreprocess pre, again;

  if (!model)
    model = nn_model_new_from_json (tiny, -1, NULL, NULL);
  if (!nn_keras_parse_preprocess (text, "fuzz", model, &pre, &error)) {
    g_assert (error != NULL);
    return;
  }
  g_autofree char *json = nn_keras_format_preprocess (&pre);
  g_assert (nn_keras_parse_preprocess (json, "again", model, &again, &error));
  g_autofree char *json_again = nn_keras_format_preprocess (&again);
  g_assert_cmpstr (json, ==, json_again);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);

  fuzz_start ();
  check_augment (text);
  check_preprocess (text);
  return 0;
}
