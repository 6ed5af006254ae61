/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The CUDA back end against the CPU's: whole models in every precision, many runs, training
 * of several steps, and how long it takes. Layers and gradients one by one are test-layers'.
 *
 * Prints TAP; skips where there is no device. $CLASSIFY_TEST_ROOT: where train/networks and
 * pipelines/models are (default: the source tree). $CLASSIFY_TEST_DEVICE: cuda (default) or
 * cuda:N. With $CLASSIFY_TEST_QUICK only a small network of its own, few runs, no times: for
 * tests/fake-cuda. With $CLASSIFY_TEST_FAKE also what only that can do: calls that fail. */

#include <dlfcn.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/backend.h"
#include "nn/error.h"
#include "nn/frame-pack.h"
#include "nn/keras-file.h"
#include "nn/rng.h"

#define BATCH 6

static const char *device, *folder = SOURCE_ROOT;
static gboolean quick;

/* How far probabilities may be from the CPU's float32 ones. */
static const struct
{
  NnPrecision precision;
  double tolerance;
} precisions[] = {
  { NN_PRECISION_FP32, 5e-5 },
  { NN_PRECISION_TF32, 1e-2 },
  { NN_PRECISION_FP16, 1e-2 },
  { NN_PRECISION_BF16, 5e-2 },
};

static const char small_network[]
    = "{\"class_name\": \"Sequential\", \"config\": ["
      "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"b0\", \"axis\": 1, "
      "\"batch_input_shape\": [null, 14, 13, 3]}}, "
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c1\", \"filters\": 8, "
      "\"kernel_size\": [3, 3], \"activation\": \"relu\"}}, "
      "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"b1\", \"axis\": 1}}, "
      "{\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"p1\"}}, "
      "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c2\", \"filters\": 12, "
      "\"kernel_size\": [3, 3], \"padding\": \"same\"}}, "
      "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"b2\", \"axis\": -1}}, "
      "{\"class_name\": \"Activation\", \"config\": {\"name\": \"a2\", \"activation\": \"relu\"}}, "
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d1\", \"units\": 16, "
      "\"activation\": \"relu\"}}, "
      "{\"class_name\": \"Dropout\", \"config\": {\"name\": \"o\", \"rate\": 0.3}}, "
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d2\", \"units\": 1, "
      "\"activation\": \"sigmoid\"}}]}";

/* --- helpers ------------------ */

static NnModel *
open_model (const char *name)
{
  g_autofree char *path = name ? g_build_filename (folder, name, NULL) : NULL;
  GError *error = NULL;
  NnModel *model = path ? nn_model_open (path, NULL, &error)
                        : nn_model_new_from_json (small_network, -1, NULL, &error);

  g_assert_no_error (error);
  if (!model->has_weights)
    nn_model_init_params (model, 3, &error);
  g_assert_no_error (error);
  return model;
}

/* the models that fit the time there is */
static GPtrArray *
model_names (void)
{
  GPtrArray *names = g_ptr_array_new ();

  g_ptr_array_add (names, NULL);
  if (!quick) {
    g_ptr_array_add (names, (char *) "train/networks/dogs-vs-cats.json");
    g_ptr_array_add (names, (char *) "train/networks/cats-dogs.json");
    g_ptr_array_add (names, (char *) "pipelines/models/cats-dogs.h5");
  }
  return names;
}

static NnPlan *
make_plan (const char *where, NnModel *model, NnPrecision precision, guint batch, gboolean training)
{
  GError *error = NULL;
  NnBackend *backend = nn_backend_open (where, &error);
  const NnPlanOptions options = {
    .precision = precision,
    .batch = batch,
    .training = training,
    .loss = nn_model_get_n_outputs (model) == 1 ? NN_LOSS_BINARY_CROSSENTROPY
                                                : NN_LOSS_CATEGORICAL_CROSSENTROPY,
  };
  NnPlan *plan;

  g_assert_no_error (error);
  plan = nn_plan_new (backend, model, &options, &error);
  g_assert_no_error (error);
  nn_backend_unref (backend);
  return plan;
}

/* Turing has none, and says so */
static gboolean
has_bf16 (void)
{
  const NnPlanOptions options = { .precision = NN_PRECISION_BF16, .batch = 1 };
  g_autoptr (GError) error = NULL;
  NnBackend *backend = nn_backend_open (device, &error);
  NnModel *model = open_model (NULL);
  NnPlan *plan = nn_plan_new (backend, model, &options, &error);

  if (!plan)
    g_assert_nonnull (strstr (error->message, "no bf16"));
  nn_model_unref (model);
  nn_backend_unref (backend);
  nn_plan_free (plan);
  return plan != NULL;
}

static gsize
input_size (const NnModel *model)
{
  return nn_shape_count (nn_model_get_input_shape (model));
}

static void
fill (const NnModel *model, guint n, guint64 seed, float *input)
{
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_USER, 1);
  for (gsize i = 0; i < n * input_size (model); i++)
    input[i] = (float) nn_rng_double (&rng);
}

static void
fill_targets (const NnModel *model, guint n, guint64 seed, float *targets)
{
  const gsize outputs = nn_model_get_n_outputs (model);

  memset (targets, 0, n * outputs * sizeof (float));
  for (guint i = 0; i < n; i++) {
    const guint label = (guint) ((i * 7 + seed) % MAX (outputs, 2));

    if (outputs == 1)
      targets[i] = (float) label;
    else
      targets[i * outputs + label] = 1;
  }
}

static double
largest_difference (const float *a, const float *b, gsize n)
{
  double most = 0;

  for (gsize i = 0; i < n; i++)
    most = fabs (a[i] - b[i]) <= most ? most : fabs (a[i] - b[i]);
  return most;
}

static const float *
run (NnPlan *plan, guint n)
{
  GError *error = NULL;
  const float *outputs = nn_plan_run (plan, n, &error);

  g_assert_no_error (error);
  return outputs;
}

/* --- inference ------------------ */

static void
test_models (void)
{
  g_autoptr (GPtrArray) names = model_names ();

  for (guint m = 0; m < names->len; m++) {
    NnModel *model = open_model (names->pdata[m]);
    const gsize outputs = nn_model_get_n_outputs (model), in = input_size (model);
    g_autofree float *expected = g_new (float, BATCH * outputs);
    NnPlan *cpu = make_plan ("cpu", model, NN_PRECISION_FP32, BATCH, FALSE);

    fill (model, BATCH, 1, nn_plan_get_input (cpu));
    memcpy (expected, run (cpu, BATCH), BATCH * outputs * sizeof (float));
    for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
      g_autofree char *description = NULL;
      NnPlan *plan;

      if (precisions[p].precision == NN_PRECISION_BF16 && !has_bf16 ())
        continue;
      plan = make_plan (device, model, precisions[p].precision, BATCH, FALSE);
      description = nn_plan_describe (plan);
      g_test_message ("%s", description);
      g_assert_nonnull (strstr (description, "samples: one kernel")); /* they all end in some */
      for (guint n = BATCH; n > 0; n--) {
        double difference;

        memcpy (nn_plan_get_input (plan), nn_plan_get_input (cpu), BATCH * in * sizeof (float));
        difference = largest_difference (run (plan, n), expected, n * outputs);
        if (n == BATCH)
          g_test_message ("%s, %s: largest difference %.2e, allowed %.0e",
              m ? (char *) names->pdata[m] : "small",
              nn_precision_to_string (precisions[p].precision), difference,
              precisions[p].tolerance);
        g_assert_cmpfloat (difference, <=, precisions[p].tolerance);
      }
      nn_plan_free (plan);
    }
    nn_plan_free (cpu);
    nn_model_unref (model);
  }
}

/* graphs launched again and again read the input of the moment */
static void
test_replays (void)
{
  NnModel *model = open_model (NULL);
  NnPlan *cpu = make_plan ("cpu", model, NN_PRECISION_FP32, BATCH, FALSE);
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP32, BATCH, FALSE);

  for (guint i = 0; i < (quick ? 100 : 1000); i++) {
    const guint n = 1 + i % BATCH;

    fill (model, n, i, nn_plan_get_input (cpu));
    memcpy (nn_plan_get_input (plan), nn_plan_get_input (cpu),
        n * input_size (model) * sizeof (float));
    g_assert_cmpfloat (largest_difference (run (plan, n), run (cpu, n), n), <=, 5e-5);
  }
  nn_plan_free (plan);
  nn_plan_free (cpu);
  nn_model_unref (model);
}

typedef struct
{
  NnModel *model;
  const char *where;
  guint64 seed;
  float outputs[BATCH];
} Worker;

static gpointer
work (gpointer data)
{
  Worker *worker = data;
  NnPlan *plan = make_plan (worker->where, worker->model, NN_PRECISION_FP32, BATCH, FALSE);

  for (guint i = 0; i < 20; i++) {
    fill (worker->model, BATCH, worker->seed, nn_plan_get_input (plan));
    memcpy (worker->outputs, run (plan, BATCH), sizeof worker->outputs);
  }
  nn_plan_free (plan);
  return NULL;
}

/* several plans of one model, each in a thread of its own, on all devices there are */
static void
test_threads (void)
{
  NnModel *model = open_model (NULL);
  NnPlan *cpu = make_plan ("cpu", model, NN_PRECISION_FP32, BATCH, FALSE);
  g_autoptr (GPtrArray) devices = nn_backend_list_devices ();
  g_autoptr (GPtrArray) usable = g_ptr_array_new ();
  Worker workers[4];
  GThread *threads[4];

  for (guint i = 1; i < devices->len; i++)
    if (!((NnDeviceInfo *) devices->pdata[i])->reason)
      g_ptr_array_add (usable, ((NnDeviceInfo *) devices->pdata[i])->device);
  for (guint i = 0; i < 4; i++) {
    workers[i] = (Worker) { .model = model, .where = usable->pdata[i % usable->len], .seed = i };
    threads[i] = g_thread_new (NULL, work, &workers[i]);
  }
  for (guint i = 0; i < 4; i++) {
    g_thread_join (threads[i]);
    fill (model, BATCH, i, nn_plan_get_input (cpu));
    g_assert_cmpfloat (
        largest_difference (workers[i].outputs, run (cpu, BATCH), BATCH), <=, 5e-5);
  }
  nn_plan_free (cpu);
  nn_model_unref (model);
}

/* what a first start measured a second one knows, in a folder of its own */
static void
test_second_start (void)
{
  g_autofree char *cache = g_strdup (g_getenv ("CLASSIFY_CUDA_CACHE"));
  g_autofree char *own = g_dir_make_tmp ("classify-gpu-XXXXXX", NULL);
  NnModel *model = open_model (quick ? NULL : "train/networks/dogs-vs-cats.json");
  float outputs[2][BATCH];
  GDir *dir;
  const char *name;

  g_setenv ("CLASSIFY_CUDA_CACHE", own, TRUE);
  for (guint i = 0; i < 2; i++) {
    const gint64 start = g_get_monotonic_time ();
    NnPlan *plan = make_plan (device, model, NN_PRECISION_TF32, BATCH, FALSE);
    g_autofree char *description = nn_plan_describe (plan);

    printf ("# time start number %u, tf32: %.1f ms\n", i + 1,
        (double) (g_get_monotonic_time () - start) / 1000);
    g_test_message ("%s", description);
    if (strstr (description, "cuDNN engine")) /* else it has none for any of the convolutions */
      g_assert_cmpint (
          strstr (description, "the fastest when it was measured") != NULL, ==, i == 1);
    fill (model, BATCH, 1, nn_plan_get_input (plan));
    memcpy (outputs[i], run (plan, BATCH), sizeof outputs[i]);
    nn_plan_free (plan);
  }
  g_assert_cmpmem (outputs[0], sizeof outputs[0], outputs[1], sizeof outputs[1]);
  nn_model_unref (model);
  if (cache)
    g_setenv ("CLASSIFY_CUDA_CACHE", cache, TRUE);
  else
    g_unsetenv ("CLASSIFY_CUDA_CACHE");
  dir = g_dir_open (own, 0, NULL);
  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (own, name, NULL);

    g_unlink (path);
  }
  g_dir_close (dir);
  g_rmdir (own);
}

/* --- training ------------------ */

/* Trains @n steps from @first on; the last batch of three has fewer samples, what lies behind
 * them in the input is not even finite. @losses: (n) */
static void
train (NnPlan *plan, NnOptimizer *optimizer, guint first, guint n, double *losses)
{
  NnModel *model = nn_plan_get_model (plan);
  g_autofree float *targets = g_new (float, BATCH * nn_model_get_n_outputs (model));
  GError *error = NULL;

  for (guint i = first; i < first + n; i++) {
    const guint samples = i % 3 == 2 ? BATCH - 2 : BATCH;
    NnStepResult result;

    fill (model, BATCH, i % 4, nn_plan_get_input (plan));
    fill_targets (model, BATCH, i % 4, targets);
    for (gsize k = samples * input_size (model); k < BATCH * input_size (model); k++)
      nn_plan_get_input (plan)[k] = NAN;
    nn_plan_train_step (plan, &(NnStep) { .n = samples, .targets = targets, .seed = 5 }, optimizer,
        &result, &error);
    g_assert_no_error (error);
    losses[i - first] = result.sum_loss / result.sum_weights;
    g_assert_true (isfinite (losses[i - first]));
  }
  nn_plan_sync (plan, optimizer, &error);
  g_assert_no_error (error);
}

/* --- augmentation ------------------ */

#define N_PICTURES 11

/* of a recipe that turns and bends, and one that has all there is */
static void
make_augmentation (gboolean is_full, NnAugment *augment)
{
  nn_augment_init (augment);
  augment->rotation_range = 40;
  augment->width_shift_range = augment->height_shift_range = 0.2;
  augment->shear_range = 0.1;
  augment->horizontal_flip = TRUE;
  if (!is_full)
    return;
  augment->vertical_flip = TRUE;
  augment->zoom_range[0] = 0.7;
  augment->fill_mode = NN_FILL_REFLECT;
  augment->interpolation_order = 1;
  augment->channel_shift_range = 30;
  augment->crop_scale[0] = 0.3;
  augment->brightness = augment->contrast = augment->saturation = 0.4;
  augment->grayscale = 0.2;
  augment->erasing = 0.5;
  augment->source_height = 20;
  augment->source_width = 17;
}

/* Mixed on the host as on the device. */
static void
mix_on_host (const NnMixEntry *mix, const NnAugmentForm *form, float *a, float *b)
{
  for (guint i = 0; i < form->rows * form->columns * form->channels; i++) {
    const guint row = i / form->channels / form->columns;
    const guint column = i / form->channels % form->columns;

    if (mix->is_mixed
        && (!mix->is_cut
            || (row >= mix->top && row < mix->bottom && column >= mix->left
                && column < mix->right))) {
      const float lambda = mix->is_cut ? 0 : mix->lambda, x = a[i], y = b[i];

      a[i] = lambda * x + (1 - lambda) * y;
      b[i] = lambda * y + (1 - lambda) * x;
    }
  }
}

/* One plan is given its input, the other one makes it: the same losses. */
static void
test_augmentation (gconstpointer is_full)
{
  NnModel *models[2] = { open_model (NULL), open_model (NULL) };
  const gsize size = input_size (models[0]);
  NnPlan *plans[2];
  NnOptimizer *optimizers[2];
  NnAugment augment, other;
  NnAugmentForm form;
  NnPreprocess pre;
  g_autofree guint8 *pictures = NULL;
  NnPictures sets[2];
  float targets[BATCH];
  GError *error = NULL;
  gsize picture_size;
  NnRng rng;

  nn_preprocess_init (&pre, 13, 14);
  pre.mean[1] = 90;
  pre.scale[0] = pre.scale[1] = pre.scale[2] = 1 / 255.f;
  make_augmentation (is_full != NULL, &augment);
  other = augment;
  other.fill_mode = NN_FILL_CONSTANT;
  other.cval = 200;
  other.interpolation_order = !augment.interpolation_order;
  nn_augment_form (&augment, &pre, &form);
  picture_size = form.source_rows * form.source_columns * form.channels;
  pictures = g_malloc (N_PICTURES * picture_size);
  nn_rng_init (&rng, 4, NN_STREAM_USER, 0);
  for (gsize i = 0; i < N_PICTURES * picture_size; i++)
    pictures[i] = (guint8) nn_rng_below (&rng, 256);
  for (guint side = 0; side < 2; side++) {
    plans[side] = make_plan (device, models[side], NN_PRECISION_FP32, BATCH, TRUE);
    optimizers[side] = nn_optimizer_new (NN_OPTIMIZER_ADAM, models[side], &error);
    g_assert_no_error (error);
    if (is_full) {
      optimizers[side]->ema = nn_ema_new (models[side], 0.7, &error);
      g_assert_no_error (error);
    }
  }
  sets[0] = (NnPictures) { pictures, 2 };
  sets[1] = (NnPictures) { pictures + 2 * picture_size, N_PICTURES - 2 };
  nn_plan_set_pictures (plans[1], &form, sets, 2, &error);
  g_assert_no_error (error);
  for (guint step = 0; step < 12; step++) {
    const guint n = step % 3 == 2 ? BATCH - 1 : BATCH, n_mixed = step % 4 < 2 ? n : n - 1;
    NnAugmentEntry entries[BATCH];
    NnMixEntry mixes[BATCH / 2] = { 0 };
    float *input = nn_plan_get_input (plans[0]);
    const float *outputs[2];
    NnStepResult results[2];

    for (guint i = 0; i < n; i++) {
      const guint picture = (step * 5 + i) % N_PICTURES;
      const NnAugment *a = i == n - 1 ? &other : &augment; /* as pictures without labels have */
      NnAugmentParams params;

      nn_augment_draw (a, 9, step * BATCH + i, pre.height, pre.width, 3, &params);
      nn_augment_entry (a, &form, &params, &entries[i]);
      entries[i].picture = picture;
      nn_augment_apply (a, &params, &pre, pictures + picture * picture_size, input + i * size);
      targets[i] = (float) (picture % 2);
    }
    for (guint i = 0; i < n_mixed / 2; i++) {
      mixes[i] = (NnMixEntry) { step % 2, i == 1, 0.3f, 2, 3, 9, 11 };
      mix_on_host (&mixes[i], &form, input + i * size, input + (n_mixed - 1 - i) * size);
    }
    for (guint side = 0; side < 2; side++) {
      const NnStep s = { .n = n,
        .targets = targets,
        .seed = 5,
        .entries = side ? entries : NULL,
        .mixes = side && step % 2 ? mixes : NULL,
        .n_mixed = n_mixed };

      nn_plan_train_step (plans[side], &s, optimizers[side], &results[side], &error);
      g_assert_no_error (error);
    }
    g_assert_cmpfloat_with_epsilon (
        results[1].sum_loss, results[0].sum_loss, is_full ? 1e-3 : 1e-5);
    /* what is said of pictures without labels; mixing has changed the host's input */
    for (guint i = 0; i < n; i++) {
      const guint picture = (guint) entries[i].picture;
      NnAugmentParams params;

      nn_augment_draw (&other, 8, step * BATCH + i, pre.height, pre.width, 3, &params);
      nn_augment_entry (&other, &form, &params, &entries[i]);
      entries[i].picture = picture;
      nn_augment_apply (
          &other, &params, &pre, pictures + picture * picture_size, input + i * size);
    }
    for (guint side = 0; side < 2; side++) {
      outputs[side] = nn_plan_run_averaged (
          plans[side], optimizers[side], side ? entries : NULL, n, &error);
      g_assert_no_error (error);
    }
    g_assert_cmpfloat (largest_difference (outputs[0], outputs[1], n), <=, is_full ? 1e-3 : 1e-4);
  }
  for (guint side = 0; side < 2; side++) {
    nn_optimizer_free (optimizers[side]);
    nn_plan_free (plans[side]);
    nn_model_unref (models[side]);
  }
}

/* How far the loss may be from the CPU's in any of 100 steps, in which it falls from 0.6 to 0.02:
 * where rounding takes another of two maxima the way there is another. */
static const struct
{
  const char *path;
  NnPrecision precision;
  double tolerance;
} trainings[] = {
  { "/gpu/training/fp32", NN_PRECISION_FP32, 5e-3 },
  { "/gpu/training/tf32", NN_PRECISION_TF32, 5e-2 },
  { "/gpu/training/fp16", NN_PRECISION_FP16, 0.15 },
  { "/gpu/training/bf16", NN_PRECISION_BF16, 0.3 },
};

/* the loss curve is the CPU's */
static void
test_training (gconstpointer data)
{
  const guint which = GPOINTER_TO_UINT (data);
  const NnPrecision precision = trainings[which].precision;
  const guint steps = quick ? 12 : 100;
  g_autofree double *expected = g_new (double, steps), *losses = g_new (double, steps);

  if (precision == NN_PRECISION_BF16 && !has_bf16 ()) {
    g_test_skip ("this device has no bf16");
    return;
  }
  for (guint kind = 0; kind < 2; kind++) {
    NnModel *models[2] = { open_model (NULL), open_model (NULL) };
    GError *error = NULL;
    double most = 0;

    for (guint side = 0; side < 2; side++) {
      NnPlan *plan = make_plan (side ? device : "cpu", models[side],
          side ? precision : NN_PRECISION_FP32, BATCH, TRUE);
      NnOptimizer *optimizer = nn_optimizer_new (
          kind ? NN_OPTIMIZER_ADAMW : NN_OPTIMIZER_SGD, models[side], &error);

      g_assert_no_error (error);
      optimizer->learning_rate = kind ? 1e-3 : 1e-2;
      optimizer->momentum = 0.9;
      optimizer->loss_scale = 1024; /* for fp16: no step should be left out */
      train (plan, optimizer, 0, steps, side ? losses : expected);
      nn_optimizer_free (optimizer);
      nn_plan_free (plan);
    }
    for (guint i = 0; i < steps; i++)
      most = MAX (most, fabs (losses[i] - expected[i]));
    g_test_message ("%s, %s: largest difference of the loss in %u steps: %.2e, from %.4f to %.4f",
        nn_precision_to_string (precision), kind ? "AdamW" : "SGD", steps, most, expected[0],
        expected[steps - 1]);
    g_assert_cmpfloat (most, <=, trainings[which].tolerance);
    g_assert_cmpfloat (expected[steps - 1], <, expected[0]);
    g_assert_cmpfloat (losses[steps - 1], <, losses[0]);
    nn_model_unref (models[0]);
    nn_model_unref (models[1]);
  }
}

static double
largest_of_params (const NnModel *a, const NnModel *b)
{
  double most = 0;

  for (guint l = 0; l < a->n_layers; l++)
    for (guint p = 0; p < a->layers[l].n_params; p++)
      most = MAX (most, largest_difference (a->layers[l].params[p].data,
                            b->layers[l].params[p].data, a->layers[l].params[p].n_values));
  return most;
}

/* begun on the device, gone on with on the CPU and back: parameters, statistics and the
 * optimizer's state travel */
static void
test_devices_change (void)
{
  NnModel *moved = open_model (NULL), *stayed = open_model (NULL);
  GError *error = NULL;
  NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, moved, &error);
  NnOptimizer *other = nn_optimizer_new (NN_OPTIMIZER_ADAM, stayed, &error);
  NnPlan *plan = make_plan ("cpu", stayed, NN_PRECISION_FP32, BATCH, TRUE);
  double losses[6], expected[6];

  /* large, so that a step is not by the sign of a gradient that is next to nothing */
  optimizer->epsilon = other->epsilon = 1e-3;
  train (plan, other, 0, 6, expected);
  nn_plan_free (plan);
  for (guint i = 0; i < 3; i++) {
    plan = make_plan (i % 2 ? "cpu" : device, moved, NN_PRECISION_FP32, BATCH, TRUE);
    train (plan, optimizer, 2 * i, 2, losses + 2 * i);
    nn_plan_free (plan);
  }
  for (guint i = 0; i < 6; i++)
    g_assert_cmpfloat_with_epsilon (losses[i], expected[i], 1e-4);
  g_assert_cmpfloat (largest_of_params (moved, stayed), <=, 1e-3);
  nn_optimizer_free (optimizer);
  nn_optimizer_free (other);
  nn_model_unref (moved);
  nn_model_unref (stayed);
}

/* validation on a training plan: with the parameters of the moment, whoever changed them */
static void
test_validation (void)
{
  NnModel *model = open_model (NULL);
  GError *error = NULL;
  NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP32, BATCH, TRUE);
  double losses[3];

  optimizer->learning_rate = 0.01;
  for (guint i = 0; i < 3; i++) {
    NnPlan *cpu;

    if (i == 1)
      train (plan, optimizer, 0, 3, losses);
    if (i == 2) {
      const NnLayer *last = &model->layers[model->output];

      last->params[0].data[3] += 1; /* as averaged weights would */
      nn_plan_params_changed (plan);
    }
    cpu = make_plan ("cpu", model, NN_PRECISION_FP32, BATCH, FALSE);
    fill (model, BATCH, 9, nn_plan_get_input (cpu));
    fill (model, BATCH, 9, nn_plan_get_input (plan));
    g_assert_cmpfloat (
        largest_difference (run (plan, BATCH - 1), run (cpu, BATCH - 1), BATCH - 1), <=, 5e-5);
    nn_plan_free (cpu);
  }
  nn_optimizer_free (optimizer);
  nn_plan_free (plan);
  nn_model_unref (model);
}

/* --- mixed precision ------------------ */

/* All that a step may change, one after the other. */
static GByteArray *
state_of (const NnModel *model, const NnOptimizer *optimizer)
{
  GByteArray *bytes = g_byte_array_new ();

  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      g_byte_array_append (bytes, (const guint8 *) model->layers[l].params[p].data,
          (guint) (model->layers[l].params[p].n_values * sizeof (float)));
  for (guint i = 0; i < optimizer->n_slots; i++) {
    g_byte_array_append (
        bytes, (const guint8 *) optimizer->m[i], (guint) (optimizer->sizes[i] * sizeof (float)));
    g_byte_array_append (
        bytes, (const guint8 *) optimizer->v[i], (guint) (optimizer->sizes[i] * sizeof (float)));
  }
  if (optimizer->ema)
    g_byte_array_append (bytes, (const guint8 *) optimizer->ema->values,
        (guint) (optimizer->ema->n_values * sizeof (float)));
  return bytes;
}

/* A step whose gradients overflow changes nothing but the scale, which is halved; after so
 * many good ones it is doubled. */
static void
test_overflow (void)
{
  NnModel *model = open_model (NULL);
  GError *error = NULL;
  NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP16, BATCH, TRUE);
  float targets[BATCH];
  double scale = 16777216;
  guint n_skipped = 0, n_good = 0, n_doubled = 0;

  optimizer->ema = nn_ema_new (model, 0.9, &error);
  optimizer->loss_scale = scale;
  optimizer->loss_scale_interval = 3;
  fill (model, BATCH, 1, nn_plan_get_input (plan));
  fill_targets (model, BATCH, 1, targets);
  for (guint i = 0; i < 40; i++) {
    g_autoptr (GByteArray) before = state_of (model, optimizer), after = NULL;
    const gint64 iterations = optimizer->iterations;
    NnStepResult result;
    gboolean same;

    nn_plan_train_step (
        plan, &(NnStep) { .n = BATCH, .targets = targets }, optimizer, &result, &error);
    g_assert_no_error (error);
    nn_plan_sync (plan, optimizer, &error);
    g_assert_no_error (error);
    after = state_of (model, optimizer);
    same = memcmp (before->data, after->data, before->len) == 0;
    g_assert_true (isfinite (result.sum_loss));
    g_assert_cmpint (result.skipped, ==, same);
    g_assert_cmpint (optimizer->iterations, ==, iterations + !result.skipped);
    if (result.skipped) {
      scale /= 2;
      n_skipped++;
      n_good = 0;
    } else if (++n_good == 3) {
      scale *= 2;
      n_doubled++;
      n_good = 0;
    }
    g_assert_cmpfloat (optimizer->loss_scale, ==, scale);
    g_assert_cmpuint (optimizer->loss_scale_good, ==, n_good);
  }
  g_test_message ("%u of 40 steps skipped, the scale doubled %u times, in the end %g", n_skipped,
      n_doubled, scale);
  g_assert_cmpuint (n_skipped, >=, 2);
  g_assert_cmpuint (n_skipped, <, 30);
  g_assert_cmpuint (n_doubled, >=, 2);
  nn_plan_free (plan);
  nn_optimizer_free (optimizer);
  nn_model_unref (model);
}

/* Saved and gone on with in the midst of it: the same bits as if never interrupted. One scale
 * that overflows, one that does not. */
static void
test_loss_scale_resumed (gconstpointer data)
{
  const double first = GPOINTER_TO_UINT (data);
  g_autofree char *folder_of_it = g_dir_make_tmp ("classify-gpu-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder_of_it, "checkpoint.h5", NULL);
  GByteArray *states[2];
  double losses[12], scales[2];

  for (guint i = 0; i < 2; i++) {
    NnModel *model = open_model (NULL);
    GError *error = NULL;
    NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
    NnPlan *plan = make_plan (device, model, NN_PRECISION_FP16, BATCH, TRUE);

    optimizer->loss_scale = first;
    optimizer->loss_scale_interval = 5;
    train (plan, optimizer, 0, i ? 6 : 12, losses);
    if (i) {
      g_assert_true (nn_model_save (model, path, optimizer, NULL, &error));
      g_assert_no_error (error);
      nn_plan_free (plan);
      nn_optimizer_free (optimizer);
      nn_model_unref (model);
      model = nn_model_load (path, &error);
      g_assert_no_error (error);
      optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
      g_assert_true (nn_optimizer_load (optimizer, model, path, &error));
      optimizer->loss_scale_interval = 5;
      plan = make_plan (device, model, NN_PRECISION_FP16, BATCH, TRUE);
      train (plan, optimizer, 6, 6, losses);
    }
    states[i] = state_of (model, optimizer);
    scales[i] = optimizer->loss_scale + optimizer->loss_scale_good / 1024.;
    nn_plan_free (plan);
    nn_optimizer_free (optimizer);
    nn_model_unref (model);
  }
  g_assert_cmpfloat (scales[0], ==, scales[1]);
  g_assert_cmpfloat (scales[0], !=, first);
  g_assert_cmpmem (states[0]->data, states[0]->len, states[1]->data, states[1]->len);
  g_byte_array_unref (states[0]);
  g_byte_array_unref (states[1]);
  g_unlink (path);
  g_rmdir (folder_of_it);
}

/* Kernels that the host changes between two steps are what the next one uses, also where a copy
 * in 16 bits is kept: what a new plan does. */
static void
test_kernels_changed (void)
{
  GByteArray *states[2];
  double losses[6];

  for (guint i = 0; i < 2; i++) {
    NnModel *model = open_model (NULL);
    GError *error = NULL;
    NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
    NnPlan *plan = make_plan (device, model, NN_PRECISION_FP16, BATCH, TRUE);

    g_assert_no_error (error);
    optimizer->loss_scale = 1024;
    train (plan, optimizer, 0, 3, losses);
    for (guint l = 0; l < model->n_layers; l++)
      for (guint p = 0; p < model->layers[l].n_params; p++)
        if (strcmp (model->layers[l].params[p].name, "kernel") == 0)
          for (gsize k = 0; k < model->layers[l].params[p].n_values; k++)
            model->layers[l].params[p].data[k] *= 1.5f;
    if (i) {
      nn_plan_free (plan);
      plan = make_plan (device, model, NN_PRECISION_FP16, BATCH, TRUE);
    } else {
      nn_plan_params_changed (plan);
    }
    train (plan, optimizer, 3, 3, losses + 3);
    states[i] = state_of (model, optimizer);
    nn_plan_free (plan);
    nn_optimizer_free (optimizer);
    nn_model_unref (model);
  }
  g_assert_cmpmem (states[0]->data, states[0]->len, states[1]->data, states[1]->len);
  g_byte_array_unref (states[0]);
  g_byte_array_unref (states[1]);
}

/* Averaged weights: those of the formula from the weights of each step, on the CPU and on the
 * device, of a model that is a view of another; what is run with them, and that training goes
 * on from the others. */
static void
test_average (void)
{
  NnModel *models[2];
  NnOptimizer *optimizers[2];
  GError *error = NULL;
  double losses[2][9];

  for (guint side = 0; side < 2; side++) {
    NnModel *model = models[side] = open_model (NULL), *other = open_model (NULL);
    const NnShape *shape = nn_model_get_input_shape (model);
    NnModel *view = nn_model_new_resized (model, shape->dims[0], shape->dims[1], &error);
    NnPlan *plan = make_plan (side ? device : "cpu", view, NN_PRECISION_FP32, BATCH, TRUE);
    NnOptimizer *optimizer = optimizers[side]
        = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
    NnEma *ema = optimizer->ema = nn_ema_new (model, 0.7, &error);
    g_autofree double *expected = g_new (double, ema->n_values);
    float averaged[BATCH];
    NnPlan *cpu;

    g_assert_no_error (error);
    optimizer->epsilon = 1e-3; /* as in test_devices_change() */
    optimizer->learning_rate = 0.01;
    for (gsize i = 0; i < ema->n_values; i++)
      expected[i] = ema->values[i];
    for (guint t = 1; t <= 6; t++) {
      const double decay = MIN (0.7, (1. + t) / (10. + t));

      train (plan, optimizer, t - 1, 1, &losses[side][t - 1]);
      for (gsize i = 0; i < ema->n_values; i++) {
        expected[i] = decay * expected[i] + (1 - decay) * model->values[i];
        g_assert_cmpfloat (fabs (ema->values[i] - expected[i]), <=, 1e-6);
      }
    }
    fill (model, BATCH, 3, nn_plan_get_input (plan));
    memcpy (averaged, nn_plan_run_averaged (plan, optimizer, NULL, BATCH, &error), sizeof averaged);
    g_assert_no_error (error);
    memcpy (other->values, ema->values, ema->n_values * sizeof (float));
    cpu = make_plan ("cpu", other, NN_PRECISION_FP32, BATCH, FALSE);
    fill (model, BATCH, 3, nn_plan_get_input (cpu));
    g_assert_cmpfloat (largest_difference (averaged, run (cpu, BATCH), BATCH), <=, 5e-5);
    nn_plan_free (cpu);
    cpu = make_plan ("cpu", model, NN_PRECISION_FP32, BATCH, FALSE);
    fill (model, BATCH, 3, nn_plan_get_input (cpu));
    g_assert_cmpfloat (largest_difference (averaged, run (cpu, BATCH), BATCH), >, 1e-3);
    g_assert_cmpfloat (
        largest_difference (run (plan, BATCH), run (cpu, BATCH), BATCH), <=, 5e-5);
    nn_plan_free (cpu);
    train (plan, optimizer, 6, 3, &losses[side][6]); /* three steps without coming to the host */
    nn_plan_free (plan);
    nn_model_unref (view);
    nn_model_unref (other);
  }
  for (guint i = 0; i < 9; i++)
    g_assert_cmpfloat_with_epsilon (losses[0][i], losses[1][i], 1e-3);
  g_assert_cmpfloat (largest_of_params (models[0], models[1]), <=, 5e-3);
  g_assert_cmpfloat (largest_difference (optimizers[0]->ema->values, optimizers[1]->ema->values,
                         optimizers[0]->ema->n_values),
      <=, 5e-3);
  for (guint side = 0; side < 2; side++) {
    nn_optimizer_free (optimizers[side]);
    nn_model_unref (models[side]);
  }
}

/* an optimizer without an average after one that has it, and the other way round */
static void
test_average_comes (void)
{
  NnModel *model = open_model (NULL), *stayed = open_model (NULL);
  GError *error = NULL;
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP32, BATCH, TRUE);
  NnPlan *other = make_plan (device, stayed, NN_PRECISION_FP32, BATCH, TRUE);
  double losses[2];

  for (guint i = 0; i < 4; i++) {
    NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_SGD, model, &error);
    NnOptimizer *plain = nn_optimizer_new (NN_OPTIMIZER_SGD, stayed, &error);

    g_autoptr (NnEma) begun = nn_ema_new (model, 0.5, &error);

    if (i % 2)
      optimizer->ema = nn_ema_new (model, 0.5, &error);
    train (plan, optimizer, 0, 2, losses);
    train (other, plain, 0, 2, losses);
    if (i % 2) {
      const float *values = optimizer->ema->values;

      g_assert_cmpfloat (largest_difference (values, model->values, begun->n_values), >, 0);
      g_assert_cmpfloat (largest_difference (values, begun->values, begun->n_values), >, 0);
    }
    nn_optimizer_free (optimizer);
    nn_optimizer_free (plain);
  }
  g_assert_cmpfloat (largest_of_params (model, stayed), ==, 0);
  nn_plan_free (plan);
  nn_plan_free (other);
  nn_model_unref (model);
  nn_model_unref (stayed);
}

/* fp32 gives the same bits twice */
static void
test_repeatable (void)
{
  NnModel *models[2];
  double losses[8];

  for (guint i = 0; i < 2; i++) {
    GError *error = NULL;
    NnOptimizer *optimizer;
    NnPlan *plan;

    models[i] = open_model (NULL);
    optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, models[i], &error);
    plan = make_plan (device, models[i], NN_PRECISION_FP32, BATCH, TRUE);
    train (plan, optimizer, 0, 8, losses);
    nn_plan_free (plan);
    nn_optimizer_free (optimizer);
  }
  g_assert_cmpfloat (largest_of_params (models[0], models[1]), ==, 0);
  nn_model_unref (models[0]);
  nn_model_unref (models[1]);
}

/* --- what does not fit ------------------ */

static void
test_too_large (void)
{
  static const char wide[]
      = "{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Dense\", \"config\": "
        "{\"name\": \"wide\", \"units\": 3, \"batch_input_shape\": [null, 4096, 4096, 16]}}]}";
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (wide, -1, NULL, &error);
  NnBackend *backend = nn_backend_open (device, &error);
  const NnPlanOptions options = { .precision = NN_PRECISION_FP32, .batch = 64 };

  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  g_assert_no_error (error);
  g_assert_null (nn_plan_new (backend, model, &options, &error));
  g_test_message ("%s", error->message);
  g_assert_true (g_error_matches (error, NN_ERROR, NN_ERROR_NO_MEMORY)
      || g_error_matches (error, NN_ERROR, NN_ERROR_UNSUPPORTED));
  g_assert_nonnull (strstr (error->message, "smaller batch"));
  g_clear_error (&error);
  nn_backend_unref (backend);
  nn_model_unref (model);
}

/* a device without bf16 says so; the stand-in alone can be made such a one */
static void
test_old_device (void)
{
  g_setenv ("FAKE_CUDA_ARCH", "75", TRUE);
  if (has_bf16 ())
    g_test_skip ("this device has it");
  g_unsetenv ("FAKE_CUDA_ARCH");
}

static gpointer
driver_function (const char *name)
{
  void *library = dlopen ("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  gpointer function = library ? dlsym (library, name) : NULL;

  g_assert_nonnull (function);
  dlclose (library);
  return function;
}

/* All that a plan does, with one call of the driver failing: an error that names the call, or
 * success by another way, and nothing worse; the stand-in alone fails when it is asked to.
 * Returns whether the whole went well. */
static gboolean
try_all (NnModel *model, NnPrecision precision, gboolean training)
{
  GError *error = NULL;
  NnBackend *backend = nn_backend_open (device, &error);
  const NnPlanOptions options
      = { .precision = precision, .batch = BATCH, .training = training };
  NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, NULL);
  const float targets[BATCH] = { 1, 0, 1 };
  const NnStep step = { .n = BATCH, .targets = targets };
  NnPlan *plan = backend ? nn_plan_new (backend, model, &options, &error) : NULL;
  gboolean ok = plan != NULL;

  optimizer->ema = training ? nn_ema_new (model, 0.9, NULL) : NULL;
  for (guint i = 0; i < 2 && ok; i++) {
    NnStepResult result;

    ok = nn_plan_run (plan, BATCH - i, &error)
        && (!training
            || (nn_plan_run_averaged (plan, optimizer, NULL, BATCH, &error)
                && nn_plan_train_step (plan, &step, optimizer, &result, &error)
                && nn_plan_sync (plan, optimizer, &error)));
    if (training)
      nn_plan_params_changed (plan);
  }
  if (!ok) {
    g_assert_nonnull (error);
    g_assert_cmpint (error->domain, ==, NN_ERROR);
    g_assert_nonnull (strstr (error->message, "CUDA: "));
    g_clear_error (&error);
  }
  g_assert_no_error (error);
  nn_plan_free (plan);
  nn_backend_unref (backend);
  nn_optimizer_free (optimizer);
  return ok;
}

static void
test_failures (gconstpointer data)
{
  const gboolean training = data != NULL;
  NnModel *model = open_model (NULL);
  guint n_failed = 0, at = 1;
  int (*count_failed) (void) = NULL;
  int before = -1;

  /* some failures are got over: no graph then, say, or one way less to measure */
  while (!count_failed || count_failed () > before) {
    g_autofree char *number = g_strdup_printf ("%u", at);

    before = count_failed ? count_failed () : 0;
    g_setenv ("FAKE_CUDA_FAIL_AT", number, TRUE);
    n_failed += !try_all (model, training ? NN_PRECISION_FP16 : NN_PRECISION_BF16, training);
    count_failed = (int (*) (void)) driver_function ("fake_cuda_count_failed");
    at += at < 30 ? 1 : at < 200 ? 11 : 97;
  }
  g_unsetenv ("FAKE_CUDA_FAIL_AT");
  g_test_message ("%u failures, up to call %u", n_failed, at);
  g_assert_true (try_all (model, NN_PRECISION_FP32, training));
  nn_model_unref (model);
}

/* told with sizes, and nothing leaks; the stand-in alone can be made so small */
static void
test_memory (void)
{
  static const char *const sizes[] = { "1000", "20000", "60000", "100000", "200000" };
  NnModel *model = open_model (NULL);
  GError *error = NULL;
  NnBackend *backend = nn_backend_open (device, &error);
  const NnPlanOptions options = { .batch = BATCH, .training = TRUE };

  g_assert_no_error (error);
  if (!strstr (nn_backend_get_description (backend), "loops on the host"))
    g_test_skip ("a device's memory cannot be made smaller");
  for (guint i = 0; i < G_N_ELEMENTS (sizes) && !g_test_failed ()
       && strstr (nn_backend_get_description (backend), "loops on the host");
       i++) {
    g_setenv ("FAKE_CUDA_MEMORY", sizes[i], TRUE);
    g_assert_null (nn_plan_new (backend, model, &options, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_NO_MEMORY);
    g_assert_nonnull (strstr (error->message, "MiB wanted"));
    g_assert_nonnull (strstr (error->message, "smaller batch"));
    g_clear_error (&error);
  }
  g_unsetenv ("FAKE_CUDA_MEMORY");
  nn_backend_unref (backend);
  nn_model_unref (model);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

/* --- frames ------------------ */

/* a 1080p frame of noise, and what is looked at of it */
typedef struct
{
  NnImageInfo info;
  guint8 *bytes;
  gsize size;
  NnImagePlanes planes;
} Frame;

static void
frame_init (Frame *frame, NnPixelFormat format, guint width, guint height)
{
  const gsize size = (gsize) width * height * (format == NN_PIXEL_P010_10LE ? 2 : 1);
  NnRng rng;

  frame->info = (NnImageInfo) { .format = format, .width = width, .height = height,
    .matrix = NN_MATRIX_BT709 };
  frame->size = 3 * size;
  frame->bytes = g_malloc (frame->size);
  nn_rng_init (&rng, 9, NN_STREAM_USER, format);
  for (gsize i = 0; i < size * 3; i++)
    frame->bytes[i] = (guint8) (nn_rng_double (&rng) * 256);
  if (format == NN_PIXEL_RGB)
    frame->planes = (NnImagePlanes) { { frame->bytes }, { 3 * (gssize) width } };
  else
    frame->planes = (NnImagePlanes) { { frame->bytes, frame->bytes + size },
      { (gssize) (size / height), (gssize) (size / height) } };
}

static NnViews *
make_views (NnModel *model, const char *tta)
{
  const NnShape *shape = nn_model_get_input_shape (model);
  GError *error = NULL;
  NnViews *views;
  NnTta parsed;

  nn_preprocess_init (&model->preprocess, (guint) shape->dims[1], (guint) shape->dims[0]);
  model->preprocess.resize = NN_RESIZE_AREA;
  nn_tta_parse (tta, &parsed, &error);
  views = nn_views_new (model, &parsed, &error);
  g_assert_no_error (error);
  return views;
}

/* Keeps the device's context to the end: plans come and go here, and a new one loads all of the
 * libraries again. */
static void *
hold_context (void)
{
  static void *context;
  int (*get) (int *, int) = (int (*) (int *, int)) driver_function ("cuDeviceGet");
  int (*retain) (void **, int)
      = (int (*) (void **, int)) driver_function ("cuDevicePrimaryCtxRetain");
  const char *number = strchr (device, ':');
  int handle;

  if (!context) {
    g_assert_cmpint (get (&handle, number ? atoi (number + 1) : 0), ==, 0);
    g_assert_cmpint (retain (&context, handle), ==, 0);
  }
  return context;
}

/* @planes: of the copy of @frame, to be freed with free_on_device() */
static guint64
copy_to_device (const Frame *frame, gsize size, NnImagePlanes *planes)
{
  int (*push) (void *) = (int (*) (void *)) driver_function ("cuCtxPushCurrent_v2");
  int (*allocate) (guint64 *, gsize)
      = (int (*) (guint64 *, gsize)) driver_function ("cuMemAlloc_v2");
  int (*copy) (guint64, const void *, gsize)
      = (int (*) (guint64, const void *, gsize)) driver_function ("cuMemcpyHtoD_v2");
  int (*wait) (void) = (int (*) (void)) driver_function ("cuCtxSynchronize");
  guint64 memory;

  g_assert_cmpint (push (hold_context ()), ==, 0);
  g_assert_cmpint (allocate (&memory, size), ==, 0);
  g_assert_cmpint (copy (memory, frame->bytes, size), ==, 0);
  g_assert_cmpint (wait (), ==, 0); /* the back end's streams do not wait for the default one */
  *planes = frame->planes;
  for (guint p = 0; p < 3 && planes->planes[p]; p++)
    planes->planes[p] = (const guint8 *) (guintptr) (
        memory + (guint64) (frame->planes.planes[p] - frame->bytes));
  return memory;
}

static void
free_on_device (guint64 memory)
{
  int (*release) (guint64) = (int (*) (guint64)) driver_function ("cuMemFree_v2");
  int (*pop) (void **) = (int (*) (void **)) driver_function ("cuCtxPopCurrent_v2");
  void *context;

  g_assert_cmpint (release (memory), ==, 0);
  g_assert_cmpint (pop (&context), ==, 0);
}

/* The device's pre-processing against the host's: what a plan makes of both is the same. */
static void
test_frames (void)
{
  static const NnPixelFormat formats[]
      = { NN_PIXEL_NV12, NN_PIXEL_P010_10LE, NN_PIXEL_NV16, NN_PIXEL_RGB };
  static const char *const tta[] = { "none", "flip", "crops10" };
  NnModel *model = open_model (quick ? NULL : "train/networks/dogs-vs-cats.json");
  const gsize outputs = nn_model_get_n_outputs (model);
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP32, 10, FALSE);
  NnBackend *backend = nn_backend_open (device, NULL);

  g_assert_true (nn_plan_takes_packs (plan));
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    Frame frame;
    NnImagePlanes on_device = { 0 };
    guint64 memory;

    frame_init (&frame, formats[f], quick ? 322 : 1920, quick ? 180 : 1080);
    memory = copy_to_device (&frame, frame.size, &on_device);
    for (guint t = 0; t < G_N_ELEMENTS (tta); t++) {
      const NnRect rect = { 0, 0, frame.info.width, frame.info.height };
      GError *error = NULL;
      NnViews *views = make_views (model, tta[t]);
      const guint n = nn_views_get_n (views);
      NnViewSampler *sampler = nn_view_sampler_new (views, &frame.info, &rect, &error);
      NnPacker *packer = nn_packer_new (views, &frame.info, &rect, 1, n, NN_PACK_ROWS, &error);
      g_autofree float *expected = g_new (float, n * outputs);
      const float *got;
      NnPackPlane planes[3];
      NnStaging *staging = nn_staging_new (backend);
      NnPack pack = { .staging = staging, .n = n };

      g_assert_no_error (error);
      nn_view_sampler_run (sampler, &frame.planes, n, nn_plan_get_input (plan));
      memcpy (expected, nn_plan_run (plan, n, &error), n * outputs * sizeof (float));
      pack.size = nn_packer_get_size (packer);
      nn_packer_run (
          packer, &frame.planes, nn_staging_reserve (staging, pack.size, pack.size, &error));
      g_assert_no_error (error);
      got = nn_plan_run_packs (plan, &pack, 1, &error);
      g_assert_no_error (error);
      /* the inputs have the same bits; a library may add up in another order */
      g_assert_cmpfloat (largest_difference (got, expected, n * outputs), <=, 1e-6);
      nn_packer_free (packer);
      packer = nn_packer_new (views, &frame.info, &rect, 1, n, NN_PACK_SPANS, &error);
      g_assert_no_error (error);
      nn_packer_describe (packer, &on_device,
          nn_staging_reserve (
              staging, nn_packer_get_tables_size (packer), nn_packer_get_size (packer), &error),
          planes, &pack);
      g_assert_no_error (error);
      got = nn_plan_run_packs (plan, &pack, 1, &error);
      g_assert_no_error (error);
      g_assert_cmpfloat (largest_difference (got, expected, n * outputs), <=, 1e-6);
      nn_staging_free (staging);
      nn_packer_free (packer);
      nn_view_sampler_free (sampler);
      nn_views_free (views);
    }
    free_on_device (memory);
    g_free (frame.bytes);
  }
  nn_plan_free (plan);
  nn_backend_unref (backend);
  nn_model_unref (model);
}

/* The probabilities of the model that @output, one output, stands for. */
static void
check_mean (NnModel *model, const char *tta, const float *views_outputs, const float *output)
{
  const guint n_classes = nn_model_get_n_classes (model);
  g_autofree float *expected = g_new (float, n_classes), *got = g_new (float, n_classes);
  NnViews *views = make_views (model, tta);
  GError *error = NULL;

  nn_views_mean (views, views_outputs, nn_views_get_n (views), expected, &error);
  g_assert_no_error (error);
  nn_model_get_probabilities (model, output, got);
  g_assert_cmpfloat (largest_difference (got, expected, n_classes), <=, 1e-6);
  nn_views_free (views);
}

/* Means that the device takes, of packs that share a run, some of them sent ahead. */
static void
test_views (void)
{
  static const char *const words[] = { "crops5", "none", "crops5+logits", "crops10" };
  NnModel *model = open_model (quick ? NULL : "train/networks/dogs-vs-cats.json");
  const gsize outputs = nn_model_get_n_outputs (model);
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP32, 24, FALSE);
  NnBackend *backend = nn_backend_open (device, NULL);
  g_autofree float *apart = g_new (float, 24 * outputs);
  NnPack packs[G_N_ELEMENTS (words)] = { 0 };
  NnPacker *packers[G_N_ELEMENTS (words)];
  const NnRect rect = { 0, 0, 322, 180 };
  GError *error = NULL;
  Frame frame;

  frame_init (&frame, NN_PIXEL_NV12, 322, 180);
  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    NnViews *views = make_views (model, words[i]);

    packs[i].n = nn_views_get_n (views);
    packers[i]
        = nn_packer_new (views, &frame.info, &rect, 1, packs[i].n, NN_PACK_ROWS, &error);
    g_assert_no_error (error);
    packs[i].staging = nn_staging_new (backend);
    packs[i].size = nn_packer_get_size (packers[i]);
    nn_views_free (views);
  }
  for (guint round = 0; round < 6; round++) {
    const gboolean is_mean = round % 2 == 1;
    const float *got;

    for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
      NnMean mean;
      NnViews *views = make_views (model, words[i]);

      g_assert_true (nn_views_are_outputs (views, &mean));
      packs[i].mean = mean;
      packs[i].n_views = is_mean && packs[i].n > 1 ? packs[i].n : 0;
      nn_packer_run (packers[i], &frame.planes,
          nn_staging_reserve (packs[i].staging, packs[i].size, packs[i].size, &error));
      g_assert_no_error (error);
      if (i % 3 == round / 2)
        nn_staging_send (packs[i].staging, &packs[i], &error);
      g_assert_no_error (error);
      nn_views_free (views);
    }
    got = nn_plan_run_packs (plan, packs, G_N_ELEMENTS (words), &error);
    g_assert_no_error (error);
    if (!is_mean) {
      memcpy (apart, got, 21 * outputs * sizeof (float));
    } else {
      const float *from = apart;

      for (guint i = 0; i < G_N_ELEMENTS (words); from += packs[i++].n * outputs)
        check_mean (model, words[i], from, got + i * outputs);
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    nn_staging_free (packs[i].staging);
    nn_packer_free (packers[i]);
  }
  g_free (frame.bytes);
  nn_plan_free (plan);
  nn_backend_unref (backend);
  nn_model_unref (model);
}

/* Draws of the training's augmentation, of several frames and regions in a run, whole packs and
 * parts of them. */
static void
test_draws (void)
{
  enum { VIEWS = 3, REGIONS = 3, N = REGIONS * VIEWS }; /* two regions of one frame */
  static const NnRect rects[REGIONS]
      = { { 0, 0, 322, 180 }, { 30, 20, 101, 77 }, { 8, 3, 40, 90 } };
  NnModel *model = open_model (quick ? NULL : "train/networks/dogs-vs-cats.json");
  const NnShape *shape = nn_model_get_input_shape (model);
  const gsize outputs = nn_model_get_n_outputs (model), in_size = nn_shape_count (shape);
  NnPlan *plan = make_plan (device, model, NN_PRECISION_FP32, N, FALSE);
  NnBackend *backend = nn_backend_open (device, NULL);
  g_autofree float *apart = g_new (float, N * outputs);
  NnPack packs[2] = { { .is_drawn = TRUE, .n = 2 * VIEWS, .n_views = VIEWS },
    { .is_drawn = TRUE, .n = VIEWS, .n_views = VIEWS } };
  NnPacker *packers[2];
  NnAugment augment;
  NnViews *views;
  const float *got;
  GError *error = NULL;
  Frame frame;

  make_augmentation (TRUE, &augment);
  augment.source_height = (guint) shape->dims[0] + 4;
  augment.source_width = (guint) shape->dims[1] + 2;
  g_hash_table_replace (
      model->extra, g_strdup (NN_AUGMENT_ATTRIBUTE), nn_augment_to_json (&augment));
  views = make_views (model, "random:3");
  frame_init (&frame, NN_PIXEL_NV12, 322, 180);
  for (guint r = 0; r < REGIONS; r++) {
    NnViewSampler *sampler = nn_view_sampler_new (views, &frame.info, &rects[r], &error);

    g_assert_no_error (error);
    nn_view_sampler_run (
        sampler, &frame.planes, VIEWS, nn_plan_get_input (plan) + r * VIEWS * in_size);
    nn_view_sampler_free (sampler);
  }
  memcpy (apart, nn_plan_run (plan, N, &error), N * outputs * sizeof (float));
  for (guint i = 0; i < 2; i++) {
    packers[i] = nn_packer_new (
        views, &frame.info, rects + 2 * i, 2 - i, VIEWS, NN_PACK_ROWS, &error);
    g_assert_no_error (error);
    g_assert_true (nn_packer_is_drawn (packers[i]));
    packs[i].staging = nn_staging_new (backend);
    packs[i].size = nn_packer_get_size (packers[i]);
    nn_packer_run (packers[i], &frame.planes,
        nn_staging_reserve (packs[i].staging, packs[i].size, packs[i].size, &error));
    g_assert_no_error (error);
  }
  got = nn_plan_run_packs (plan, packs, 2, &error);
  g_assert_no_error (error);
  for (guint r = 0; r < REGIONS; r++) {
    for (gsize k = 0; k < outputs; k++) {
      double mean = 0;

      for (guint v = 0; v < VIEWS; v++)
        mean += apart[(r * VIEWS + v) * outputs + k] / VIEWS;
      g_assert_cmpfloat_with_epsilon (got[r * outputs + k], mean, 1e-5);
    }
  }
  packs[0].first = 4;
  packs[0].n = 2;
  packs[1].first = 1;
  packs[1].n = 2;
  packs[0].n_views = packs[1].n_views = 0;
  got = nn_plan_run_packs (plan, packs, 2, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (largest_difference (got, apart + 4 * outputs, 2 * outputs), <=, 1e-5);
  g_assert_cmpfloat (
      largest_difference (got + 2 * outputs, apart + 7 * outputs, 2 * outputs), <=, 1e-5);
  for (guint i = 0; i < 2; i++) {
    nn_staging_free (packs[i].staging);
    nn_packer_free (packers[i]);
  }
  nn_views_free (views);
  g_free (frame.bytes);
  nn_plan_free (plan);
  nn_backend_unref (backend);
  nn_model_unref (model);
}

/* How a 1080p NV12 frame becomes a probability. */
typedef enum
{
  FRAME_SAMPLED, /* in the host's memory, by one thread of the host */
  FRAME_PACKED,  /* in the host's memory, by the device */
  FRAME_SENT,    /* no further than to the device */
  FRAME_FETCHED, /* in the device's memory */
  N_WAYS
} FrameWay;

static const char *const way_words[N_WAYS] = { "in host memory, pre-processed on the host",
  "in host memory, pre-processed on the device", "packed and uploaded, no more",
  "in device memory" };

/* median microseconds */
static double
time_of_frame (NnModel *model, NnPrecision precision, FrameWay way)
{
  const NnRect rect = { 0, 0, 1920, 1080 };
  NnPlan *plan = make_plan (device, model, precision, 1, FALSE);
  NnBackend *backend = nn_backend_open (device, NULL);
  NnViews *views = make_views (model, "none");
  GError *error = NULL;
  NnViewSampler *sampler;
  NnPacker *packer;
  double times[100];
  Frame frame;
  NnImagePlanes on_device = { 0 };
  NnPackPlane planes[3];
  NnStaging *staging = nn_staging_new (backend);
  NnPack pack = { .staging = staging, .n = 1 };
  guint64 memory;
  gsize host_size;

  frame_init (&frame, NN_PIXEL_NV12, 1920, 1080);
  sampler = nn_view_sampler_new (views, &frame.info, &rect, &error);
  memory = copy_to_device (&frame, frame.size, &on_device);
  packer = nn_packer_new (views, &frame.info, &rect, 1, 1,
      way == FRAME_FETCHED ? NN_PACK_SPANS : NN_PACK_ROWS, &error);
  pack.size = nn_packer_get_size (packer);
  host_size = way == FRAME_FETCHED ? nn_packer_get_tables_size (packer) : pack.size;
  for (guint i = 0; i < G_N_ELEMENTS (times) + 10; i++) {
    const gint64 start = g_get_monotonic_time ();

    if (way == FRAME_SAMPLED) {
      nn_view_sampler_run (sampler, &frame.planes, 1, nn_plan_get_input (plan));
      nn_plan_run (plan, 1, &error);
    } else {
      guint8 *bytes = nn_staging_reserve (staging, host_size, pack.size, &error);

      if (way == FRAME_FETCHED)
        nn_packer_describe (packer, &on_device, bytes, planes, &pack);
      else
        nn_packer_run (packer, &frame.planes, bytes);
      if (way == FRAME_SENT) {
        nn_staging_send (staging, &pack, &error);
        nn_staging_wait (staging);
      } else {
        nn_plan_run_packs (plan, &pack, 1, &error);
      }
    }
    g_assert_no_error (error);
    if (i >= 10)
      times[i - 10] = (double) (g_get_monotonic_time () - start);
  }
  nn_staging_free (staging);
  nn_packer_free (packer);
  nn_view_sampler_free (sampler);
  nn_views_free (views);
  nn_plan_free (plan);
  nn_backend_unref (backend);
  free_on_device (memory);
  g_free (frame.bytes);
  qsort (times, G_N_ELEMENTS (times), sizeof *times, compare_doubles);
  return times[G_N_ELEMENTS (times) / 2];
}

/* --- times ------------------ */

/* median microseconds of a call from host memory to host memory */
static double
time_of (NnPlan *plan, guint n, NnOptimizer *optimizer, const float *targets,
    const NnAugmentEntry *entries)
{
  double times[100];
  GError *error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (times) + 10; i++) {
    const gint64 start = g_get_monotonic_time ();
    NnStepResult result;

    if (optimizer)
      nn_plan_train_step (
          plan, &(NnStep) { .n = n, .targets = targets, .entries = entries }, optimizer,
          &result, &error);
    else
      nn_plan_run (plan, n, &error);
    g_assert_no_error (error);
    if (i >= 10)
      times[i - 10] = (double) (g_get_monotonic_time () - start);
  }
  qsort (times, G_N_ELEMENTS (times), sizeof *times, compare_doubles);
  return times[G_N_ELEMENTS (times) / 2];
}

/* of 64 pictures that the device has */
static double
time_augmented (NnPlan *plan, NnOptimizer *optimizer, const float *targets)
{
  const NnShape *shape = nn_model_get_input_shape (nn_plan_get_model (plan));
  g_autofree guint8 *pictures = g_malloc0 (64 * nn_shape_count (shape));
  NnAugmentEntry entries[64];
  GError *error = NULL;
  NnAugment augment;
  NnAugmentForm form;
  NnPreprocess pre;

  nn_preprocess_init (&pre, (guint) shape->dims[1], (guint) shape->dims[0]);
  make_augmentation (FALSE, &augment);
  nn_augment_form (&augment, &pre, &form);
  nn_plan_set_pictures (plan, &form, &(NnPictures) { pictures, 64 }, 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 64; i++) {
    NnAugmentParams params;

    nn_augment_draw (&augment, 1, i, pre.height, pre.width, 3, &params);
    nn_augment_entry (&augment, &form, &params, &entries[i]);
    entries[i].picture = i;
  }
  return time_of (plan, 64, optimizer, targets, entries);
}

static void
test_times (void)
{
  static const guint batches[] = { 1, 8, 64 };
  NnModel *model = open_model ("train/networks/dogs-vs-cats.json");
  float targets[64] = { 0 };

  for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
    if (precisions[p].precision == NN_PRECISION_BF16 && !has_bf16 ())
      continue;
    for (guint b = 0; b < G_N_ELEMENTS (batches); b++) {
      NnPlan *plan = make_plan (device, model, precisions[p].precision, batches[b], FALSE);
      const double us = time_of (plan, batches[b], NULL, NULL, NULL);

      printf ("# time dogs-vs-cats %s batch %u: %.0f us, %.0f pictures/s\n",
          nn_precision_to_string (precisions[p].precision), batches[b], us, batches[b] / us * 1e6);
      nn_plan_free (plan);
    }
  }
  for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
    if (precisions[p].precision == NN_PRECISION_BF16 && !has_bf16 ())
      continue;
    for (guint way = 0; way < N_WAYS; way++)
      printf ("# time dogs-vs-cats %s, a 1080p NV12 frame %s: %.0f us\n",
          nn_precision_to_string (precisions[p].precision), way_words[way],
          time_of_frame (model, precisions[p].precision, way));
  }
  for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
    GError *error = NULL;
    NnPlan *plan;
    NnOptimizer *optimizer;

    if (precisions[p].precision == NN_PRECISION_BF16 && !has_bf16 ())
      continue;
    plan = make_plan (device, model, precisions[p].precision, 64, TRUE);
    optimizer = nn_optimizer_new (NN_OPTIMIZER_ADAM, model, &error);
    printf ("# time training step of 64, %s: %.0f us\n",
        nn_precision_to_string (precisions[p].precision),
        time_of (plan, 64, optimizer, targets, NULL));
    printf ("# time training step of 64, %s, augmented on the device: %.0f us\n",
        nn_precision_to_string (precisions[p].precision),
        time_augmented (plan, optimizer, targets));
    nn_optimizer_free (optimizer);
    nn_plan_free (plan);
  }
  nn_model_unref (model);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  NnBackend *backend;

  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* plain loops warn */
  device = g_getenv ("CLASSIFY_TEST_DEVICE") ? g_getenv ("CLASSIFY_TEST_DEVICE") : "cuda";
  quick = g_getenv ("CLASSIFY_TEST_QUICK") != NULL;
  if (g_getenv ("CLASSIFY_TEST_ROOT"))
    folder = g_getenv ("CLASSIFY_TEST_ROOT");
  backend = nn_backend_open (device, &error);
  if (!backend) {
    printf ("1..0 # SKIP %s\n", error->message);
    return 0;
  }
  printf ("# %s\n", nn_backend_get_description (backend));
  hold_context ();
  nn_backend_unref (backend);
  g_test_add_func ("/gpu/models", test_models);
  g_test_add_func ("/gpu/replays", test_replays);
  g_test_add_func ("/gpu/frames", test_frames);
  g_test_add_func ("/gpu/views", test_views);
  g_test_add_func ("/gpu/draws", test_draws);
  g_test_add_func ("/gpu/threads", test_threads);
  g_test_add_func ("/gpu/second-start", test_second_start);
  for (guint i = 0; i < G_N_ELEMENTS (trainings); i++)
    g_test_add_data_func (trainings[i].path, GUINT_TO_POINTER (i), test_training);
  g_test_add_data_func ("/gpu/augmentation/affine", NULL, test_augmentation);
  g_test_add_data_func ("/gpu/augmentation/all", "all", test_augmentation);
  g_test_add_func ("/gpu/overflow", test_overflow);
  g_test_add_data_func (
      "/gpu/loss-scale-resumed/large", GUINT_TO_POINTER (524288), test_loss_scale_resumed);
  g_test_add_data_func (
      "/gpu/loss-scale-resumed/small", GUINT_TO_POINTER (256), test_loss_scale_resumed);
  g_test_add_func ("/gpu/kernels-changed", test_kernels_changed);
  g_test_add_func ("/gpu/devices-change", test_devices_change);
  g_test_add_func ("/gpu/validation", test_validation);
  g_test_add_func ("/gpu/average", test_average);
  g_test_add_func ("/gpu/average-comes", test_average_comes);
  g_test_add_func ("/gpu/repeatable", test_repeatable);
  g_test_add_func ("/gpu/too-large", test_too_large);
  g_test_add_func ("/gpu/old-device", test_old_device);
  g_test_add_func ("/gpu/memory", test_memory);
  if (g_getenv ("CLASSIFY_TEST_FAKE")) {
    g_test_add_data_func ("/gpu/failures/inference", NULL, test_failures);
    g_test_add_data_func ("/gpu/failures/training", "training", test_failures);
  }
  if (!quick)
    g_test_add_func ("/gpu/times", test_times);
  return g_test_run ();
}
