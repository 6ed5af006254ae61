/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A training step of a network, batch 64, and what augmentation costs beside it; on a device that
 * has the pictures it is part of the step.
 *
 *   bench-train [NETWORK.json] [--threads N] [--steps N] [--serve] [--device D] [--precision P]
 *
 * --serve: for rivals.py: reads "run N" lines, answers with N times in us. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/backend.h"

#define BATCH 64

int
main (int argc, char **argv)
{
  int threads = 2, steps = 8;
  gboolean serve = FALSE, is_on_device;
  char *device = NULL, *precision = NULL;
  const GOptionEntry entries[] = {
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "", "" },
    { "steps", 0, 0, G_OPTION_ARG_INT, &steps, "", "" },
    { "serve", 0, 0, G_OPTION_ARG_NONE, &serve, "", "" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &device, "", "" },
    { "precision", 0, 0, G_OPTION_ARG_STRING, &precision, "", "" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("");
  g_autoptr (GError) error = NULL;
  NnPlanOptions options = { .batch = BATCH, .training = TRUE };
  NnAugment augment;
  NnPreprocess pre;
  NnModel *model;
  NnBackend *backend;
  NnOptimizer *optimizer;
  NnPlan *plan;
  float targets[BATCH];
  guint8 *pictures;
  NnAugmentEntry draws[BATCH];
  NnAugmentForm form;
  const NnShape *shape;
  gint64 start, augmenting = 0, training = 0;
  NnStep step = { .n = BATCH, .targets = targets, .seed = 1 };
  NnStepResult result;
  char line[64];

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)
      || !(model = nn_model_new_from_json_file (argc > 1 ? argv[1] : NETWORK, &error))
      || !nn_model_init_params (model, 1, &error)
      || !(optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error))
      || !(backend = nn_backend_open (device ? device : "cpu", &error)))
    goto fail;
  if (precision && !nn_precision_from_string (precision, &options.precision)) {
    fprintf (stderr, "bench-train: no precision \"%s\"\n", precision);
    return 1;
  }
  options.threads = (guint) threads;
  plan = nn_plan_new (backend, model, &options, &error);
  if (!plan)
    goto fail;
  shape = nn_model_get_input_shape (model);
  nn_preprocess_init (&pre, (guint) shape->dims[1], (guint) shape->dims[0]);
  pictures = g_malloc (BATCH * nn_shape_count (shape));
  for (gsize i = 0; i < BATCH * nn_shape_count (shape); i++)
    pictures[i] = (guint8) (i * 2654435761u >> 24);
  nn_augment_init (&augment);
  augment.rotation_range = 40;
  augment.height_shift_range = augment.width_shift_range = 0.2;
  augment.shear_range = 0.1;
  augment.horizontal_flip = TRUE;
  for (guint i = 0; i < BATCH; i++)
    targets[i] = (float) (i % 2);
  nn_augment_form (&augment, &pre, &form);
  is_on_device
      = nn_plan_set_pictures (plan, &form, &(NnPictures) { pictures, BATCH }, 1, NULL);
  if (is_on_device)
    step.entries = draws;

  for (int s = -2; serve || s < steps; s++) {
    int n = 1;

    if (serve && s >= 0) {
      if (!fgets (line, sizeof line, stdin))
        break;
      n = atoi (line + 4);
    }
    start = g_get_monotonic_time ();
    for (guint i = 0; i < BATCH && (!serve || s < 0); i++) {
      const guint8 *picture = pictures + i * nn_shape_count (shape);
      NnAugmentParams params;

      nn_augment_draw (
          &augment, 1, (guint64) (s + 2) * BATCH + i, pre.height, pre.width, 3, &params);
      nn_augment_entry (&augment, &form, &params, &draws[i]);
      draws[i].picture = i;
      if (!is_on_device)
        nn_augment_apply (&augment, &params, &pre, picture,
            nn_plan_get_input (plan) + i * nn_shape_count (shape));
    }
    if (s >= 0)
      augmenting += g_get_monotonic_time () - start;
    while (n-- > 0) {
      start = g_get_monotonic_time ();
      if (!nn_plan_train_step (plan, &step, optimizer, &result, &error))
        goto fail;
      start = g_get_monotonic_time () - start;
      if (s >= 0)
        training += start;
      if (serve && s >= 0)
        printf ("%" G_GINT64_FORMAT " ", start);
    }
    if (serve && s >= 0) {
      putchar ('\n');
      fflush (stdout);
    }
  }
  if (!serve)
    printf ("{\"what\": \"training step\", \"threads\": %d, \"batch\": %d, \"steps\": %d, "
            "\"mean_ms\": %.1f, \"augmentation_of_a_batch_on_one_thread_ms\": %.1f, "
            "\"augmentation_share\": %.4f}\n",
        threads, BATCH, steps, training / 1e3 / steps, augmenting / 1e3 / steps,
        (double) augmenting / threads / (double) training);
  return 0;

fail:
  fprintf (stderr, "bench-train: %s\n", error->message);
  return 1;
}
