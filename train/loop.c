/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/loop.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "train/feeder.h"
#include "train/progress.h"

/* NnModel.extra of a checkpoint: where the run stands. Sums are written as
 * hexadecimal floats, so that a resumed run goes on with the same bits. */
#define EXTRA_RECIPE "classify_recipe"
#define EXTRA_POSITION "classify_position" /* stage epoch step sum_loss n_correct n_seen */
#define EXTRA_HISTORY "classify_history"   /* CSV lines without the header */

#define CSV_HEADER "epoch,stage,learning_rate,loss,accuracy,val_loss,val_accuracy,seconds\n"

typedef struct
{
  guint stage, epoch; /* in the stage */
  guint step;         /* in the epoch */
  double sum_loss;    /* of this epoch so far */
  guint64 n_correct, n_seen;
} Position;

typedef struct
{
  const Recipe *recipe;
  const TrainOptions *options;
  char *checkpoint;
  NnModel *model;
  NnOptimizer *optimizer;
  NnBackend *backend;
  NnPlan *plan;
  NnPreprocess pre;
  NnLoss loss;
  const char *loss_name;
  gsize n_outputs;
  Dataset *data, *validation;
  Order order;
  Position at;
  GString *history;
  guint n_epochs;        /* of all stages */
} Run;

/* --- signals --------------------------------------------------------------------- */

static volatile sig_atomic_t stop_signal;

static void
on_signal (int number)
{
  if (stop_signal) /* asked twice: at once. The checkpoint on disk is whole in any case. */
    _exit (128 + number);
  stop_signal = number;
}

static void
catch_signals (gboolean catch)
{
  struct sigaction action = { 0 };

  action.sa_handler = catch ? on_signal : SIG_DFL;
  action.sa_flags = SA_RESTART;
  sigemptyset (&action.sa_mask);
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  stop_signal = 0;
}

/* --- checkpoints -------------------------------------------------------------------- */

char *
train_checkpoint_path (const char *output)
{
  g_autofree char *stem = g_strdup (output);

  if (g_str_has_suffix (stem, ".h5"))
    stem[strlen (stem) - 3] = '\0';
  return g_strconcat (stem, ".checkpoint.h5", NULL);
}

static void
set_extra (NnModel *model, const char *key, char *value)
{
  g_hash_table_replace (model->extra, g_strdup (key), value);
}

static gboolean
save_checkpoint (Run *run, GError **error)
{
  char loss[64];

  if (!nn_plan_sync (run->plan, run->optimizer, error))
    return FALSE;
  g_snprintf (loss, sizeof loss, "%a", run->at.sum_loss);
  set_extra (run->model, EXTRA_RECIPE, g_strdup (run->recipe->fingerprint));
  set_extra (run->model, EXTRA_POSITION,
      g_strdup_printf ("%u %u %u %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, run->at.stage,
          run->at.epoch, run->at.step, loss, run->at.n_correct, run->at.n_seen));
  set_extra (run->model, EXTRA_HISTORY, g_strdup (run->history->str));
  return nn_model_save (run->model, run->checkpoint, run->optimizer, run->loss_name, error);
}

static gboolean
load_checkpoint (Run *run, GError **error)
{
  g_autoptr (NnModel) saved = nn_model_load (run->checkpoint, error);
  const char *fingerprint, *position, *history;

  if (!saved)
    return FALSE;
  fingerprint = g_hash_table_lookup (saved->extra, EXTRA_RECIPE);
  position = g_hash_table_lookup (saved->extra, EXTRA_POSITION);
  history = g_hash_table_lookup (saved->extra, EXTRA_HISTORY);
  if (!fingerprint || !position || !history) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: a model, but no checkpoint of a run: it has no attribute %s", run->checkpoint,
        EXTRA_POSITION);
    return FALSE;
  }
  if (strcmp (fingerprint, run->recipe->fingerprint) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: belongs to a run with other settings than %s has now: restore them, or start anew "
        "without --resume",
        run->checkpoint, run->recipe->path);
    return FALSE;
  }
  if (sscanf (position, "%u %u %u %la %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &run->at.stage,
          &run->at.epoch, &run->at.step, &run->at.sum_loss, &run->at.n_correct, &run->at.n_seen)
      != 6) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: its attribute %s is damaged: \"%s\"",
        run->checkpoint, EXTRA_POSITION, position);
    return FALSE;
  }
  if (!nn_model_load_weights (run->model, run->checkpoint, NN_WEIGHTS_BY_ORDER, NULL, error)
      || !nn_optimizer_load (run->optimizer, run->model, run->checkpoint, error))
    return FALSE;
  g_string_assign (run->history, history);
  return TRUE;
}

/* The history without its last column: what took how long is no part of a
 * model, two runs of a recipe give identical files. */
static char *
history_without_seconds (const Run *run)
{
  GString *text = g_string_new (NULL);
  g_auto (GStrv) lines = g_strsplit (run->history->str, "\n", -1);

  for (guint i = 0; lines[i] && *lines[i]; i++) {
    char *comma = strrchr (lines[i], ',');

    g_string_append_len (text, lines[i], comma ? comma - lines[i] : (gssize) strlen (lines[i]));
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

static gboolean
write_log (const Run *run, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;

  if (!run->options->log)
    return TRUE;
  text = g_strconcat (CSV_HEADER, run->history->str, NULL);
  if (!g_file_set_contents (run->options->log, text, -1, &local)) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot write the log: %s",
        run->options->log, local->message);
    return FALSE;
  }
  return TRUE;
}

/* --- one epoch --------------------------------------------------------------------------- */

static guint
steps_per_epoch (const Run *run)
{
  if (run->recipe->whole_passes)
    return order_get_n_batches (&run->order);
  return MAX (run->data->n / run->recipe->batch_size, 1);
}

static guint
epoch_number (const Run *run)
{
  guint n = run->at.epoch;

  for (guint i = 0; i < run->at.stage; i++)
    n += run->recipe->stages[i].epochs;
  return n + 1;
}

static void
show_progress (const Run *run, gint64 epoch_start, guint first_step)
{
  const guint steps = steps_per_epoch (run), done = run->at.step - first_step;
  const double seconds = (double) (g_get_monotonic_time () - epoch_start) / G_USEC_PER_SEC;
  const double per_step = seconds / MAX (done, 1);
  const guint bar = 20 * run->at.step / steps;
  guint64 steps_left = steps - run->at.step;
  g_autofree char *left = NULL;

  for (guint e = epoch_number (run); e < run->n_epochs; e++)
    steps_left += steps;
  left = progress_format_time (per_step * (double) steps_left);
  progress_show ("epoch %u/%u [%.*s%.*s] %u/%u  loss %.4f  accuracy %.4f  %.0f pictures/s  %s left",
      epoch_number (run), run->n_epochs, (int) bar, "####################", (int) (20 - bar),
      "                    ", run->at.step, steps, run->at.sum_loss / (double) run->at.n_seen,
      (double) run->at.n_correct / (double) run->at.n_seen,
      done * (double) run->recipe->batch_size / MAX (seconds, 1e-6), left);
}

static void
fill_target (const Run *run, guint label, float *target)
{
  if (run->n_outputs == 1) {
    target[0] = (float) label;
  } else {
    memset (target, 0, run->n_outputs * sizeof (float));
    target[label] = 1;
  }
}

static gboolean
validate (Run *run, double *loss, double *accuracy, GError **error)
{
  const Dataset *data = run->validation;
  g_autofree float *targets = g_new (float, run->n_outputs * run->recipe->batch_size);
  double sum_loss = 0;
  guint n_correct = 0;

  for (guint first = 0; first < data->n; first += run->recipe->batch_size) {
    guint n = MIN (run->recipe->batch_size, data->n - first), correct;
    const float *outputs;
    double sum;

    for (guint i = 0; i < n; i++) {
      nn_preprocess_bytes (&run->pre, data->bytes + (first + i) * data->sample_size, FALSE,
          nn_plan_get_input (run->plan) + i * data->sample_size);
      fill_target (run, data->labels[first + i], targets + i * run->n_outputs);
    }
    outputs = nn_plan_run (run->plan, n, error);
    if (!outputs)
      return FALSE;
    nn_loss_compute (run->loss, outputs, targets, n, run->n_outputs, NULL, &sum, &correct);
    sum_loss += sum;
    n_correct += correct;
  }
  *loss = sum_loss / data->n;
  *accuracy = (double) n_correct / data->n;
  return TRUE;
}

/* Steps until the end of the epoch or a signal. */
static gboolean
run_steps (Run *run, Feeder *feeder, GError **error)
{
  const guint steps = steps_per_epoch (run), first_step = run->at.step;
  const gint64 start = g_get_monotonic_time ();

  while (run->at.step < steps && !stop_signal) {
    const Batch *batch = feeder_next (feeder);
    NnStepResult result;

    memcpy (nn_plan_get_input (run->plan), batch->input,
        batch->n * run->data->sample_size * sizeof (float));
    if (!nn_plan_train_step (run->plan, batch->n, batch->targets, run->optimizer,
            run->recipe->seed, &result, error))
      return FALSE;
    run->at.sum_loss += result.sum_loss;
    run->at.n_correct += result.n_correct;
    run->at.n_seen += batch->n;
    run->at.step++;
    show_progress (run, start, first_step);
  }
  return TRUE;
}

static gboolean
end_epoch (Run *run, double seconds, GError **error)
{
  const double loss = run->at.sum_loss / (double) run->at.n_seen;
  const double accuracy = (double) run->at.n_correct / (double) run->at.n_seen;
  const double rate = run->recipe->stages[run->at.stage].learning_rate;
  g_autofree char *time = NULL;
  char numbers[7][G_ASCII_DTOSTR_BUF_SIZE] = { "" };
  double val_loss = 0, val_accuracy = 0;
  gint64 start = g_get_monotonic_time ();

  if (run->validation && !validate (run, &val_loss, &val_accuracy, error))
    return FALSE;
  seconds += (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_ascii_formatd (numbers[0], sizeof numbers[0], "%g", rate);
  g_ascii_formatd (numbers[1], sizeof numbers[1], "%.5f", loss);
  g_ascii_formatd (numbers[2], sizeof numbers[2], "%.5f", accuracy);
  if (run->validation) {
    g_ascii_formatd (numbers[3], sizeof numbers[3], "%.5f", val_loss);
    g_ascii_formatd (numbers[4], sizeof numbers[4], "%.5f", val_accuracy);
  }
  g_ascii_formatd (numbers[5], sizeof numbers[5], "%.1f", seconds);
  g_string_append_printf (run->history, "%u,%u,%s,%s,%s,%s,%s,%s\n", epoch_number (run),
      run->at.stage + 1, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]);
  if (!run->options->quiet) {
    progress_clear ();
    time = progress_format_time (seconds);
    printf ("epoch %u/%u  loss %.4f  accuracy %.4f", epoch_number (run), run->n_epochs, loss,
        accuracy);
    if (run->validation)
      printf ("  val_loss %.4f  val_accuracy %.4f", val_loss, val_accuracy);
    printf ("  lr %g  %s  %.0f pictures/s\n", rate, time,
        (double) run->at.n_seen / MAX (seconds, 1e-6));
    fflush (stdout);
  }

  run->at.sum_loss = 0;
  run->at.n_correct = run->at.n_seen = 0;
  run->at.step = 0;
  run->at.epoch++;
  if (run->at.epoch == run->recipe->stages[run->at.stage].epochs) {
    run->at.epoch = 0;
    run->at.stage++;
  }
  return save_checkpoint (run, error) && write_log (run, error);
}

/* --- the run --------------------------------------------------------------------------------- */

static gboolean
run_stages (Run *run, GError **error)
{
  const guint threads = nn_plan_get_threads (run->plan);

  while (run->at.stage < run->recipe->n_stages && !stop_signal) {
    const guint stage = run->at.stage;
    const guint64 steps = steps_per_epoch (run);
    Feeder *feeder = feeder_new (run->data, &run->pre, &run->recipe->augment, &run->order,
        (guint) run->n_outputs, threads, stage, run->at.epoch * steps + run->at.step,
        run->recipe->stages[stage].epochs * steps, error);

    if (!feeder)
      return FALSE;
    run->optimizer->learning_rate = run->recipe->stages[stage].learning_rate;
    while (run->at.stage == stage && !stop_signal) {
      gint64 start = g_get_monotonic_time ();
      gboolean ok = run_steps (run, feeder, error);

      if (ok && run->at.step == steps)
        ok = end_epoch (run, (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC, error);
      if (!ok) {
        feeder_free (feeder);
        return FALSE;
      }
    }
    feeder_free (feeder);
  }
  return TRUE;
}

static gboolean
load_data (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  guint threads = run->options->threads ? run->options->threads : g_get_num_processors ();
  DatasetOptions options
      = { recipe->layout, recipe->limit, recipe->limit_per_class, NULL, threads };
  gint64 start = g_get_monotonic_time ();

  run->data = dataset_load (recipe->train_dir, &options, &run->pre, error);
  if (!run->data)
    return FALSE;
  if (recipe->validate_dir) {
    options = (DatasetOptions) { recipe->layout, recipe->validate_limit, 0,
      (const char *const *) run->data->classes, threads };
    run->validation = dataset_load (recipe->validate_dir, &options, &run->pre, error);
    if (!run->validation)
      return FALSE;
  }
  if (!run->options->quiet) {
    guint bad
        = run->data->n_unreadable + (run->validation ? run->validation->n_unreadable : 0);
    g_autofree char *classes = g_strjoinv (", ", run->data->classes);

    printf ("Found %u images belonging to %u classes (%s)", run->data->n, run->data->n_classes,
        classes);
    if (run->validation)
      printf (", %u to validate with", run->validation->n);
    if (bad)
      printf ("; %u unreadable ones left out", bad);
    printf (", decoded in %.1f s\n",
        (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC);
    fflush (stdout);
  }
  return TRUE;
}

static gboolean
prepare (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  g_autofree char *dir = g_path_get_dirname (run->options->output);
  g_autofree char *description = NULL;
  NnPlanOptions options = {
    .precision = NN_PRECISION_AUTO,
    .batch = recipe->batch_size,
    .training = TRUE,
    .threads = run->options->threads,
    .bessel_moving_variance = recipe->bessel_moving_variance,
  };

  if (g_access (dir, W_OK) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot write into folder %s",
        run->options->output, dir);
    return FALSE;
  }
  run->backend = nn_backend_open (run->options->device, error);
  if (!run->backend)
    return FALSE;
  run->model = nn_model_new_from_json_file (recipe->network, error);
  if (!run->model)
    return FALSE;
  if (!recipe_get_preprocess (recipe, run->model, &run->pre, error) || !load_data (run, error))
    return FALSE;
  if (run->data->n_classes != nn_model_get_n_classes (run->model)
      && !nn_model_set_n_classes (run->model, run->data->n_classes, error))
    return FALSE;
  if (!nn_model_init_params (run->model, recipe->seed, error)
      || !nn_model_set_labels (run->model, (const char *const *) run->data->classes, error))
    return FALSE;
  run->model->preprocess = run->pre;
  run->model->has_preprocess = TRUE;
  run->n_outputs = nn_model_get_n_outputs (run->model);
  run->loss = run->n_outputs == 1 ? NN_LOSS_BINARY_CROSSENTROPY : NN_LOSS_CATEGORICAL_CROSSENTROPY;
  run->loss_name = run->n_outputs == 1 ? "binary_crossentropy" : "categorical_crossentropy";
  run->order = (Order) { run->data->n, recipe->batch_size, recipe->seed };
  for (guint i = 0; i < recipe->n_stages; i++)
    run->n_epochs += recipe->stages[i].epochs;

  run->optimizer = nn_optimizer_new (recipe->optimizer, run->model, error);
  if (!run->optimizer)
    return FALSE;
  run->optimizer->beta_1 = recipe->beta_1;
  run->optimizer->beta_2 = recipe->beta_2;
  run->optimizer->epsilon = recipe->epsilon;
  run->optimizer->momentum = recipe->momentum;
  run->optimizer->decay = recipe->decay;
  run->optimizer->learning_rate = recipe->stages[0].learning_rate;
  if (run->options->resume && !load_checkpoint (run, error))
    return FALSE;
  options.loss = run->loss;
  run->plan = nn_plan_new (run->backend, run->model, &options, error);
  if (!run->plan)
    return FALSE;
  description = nn_plan_describe (run->plan);
  nn_info ("device %s: %s", nn_backend_get_device (run->backend),
      nn_backend_get_description (run->backend));
  nn_info ("%s", description);
  return TRUE;
}

static void
run_clear (Run *run)
{
  nn_plan_free (run->plan);
  nn_optimizer_free (run->optimizer);
  nn_model_unref (run->model);
  nn_backend_unref (run->backend);
  dataset_free (run->data);
  dataset_free (run->validation);
  g_free (run->checkpoint);
  g_string_free (run->history, TRUE);
}

TrainStatus
train_run (const Recipe *recipe, const TrainOptions *options, GError **error)
{
  Run run = { .recipe = recipe, .options = options };
  TrainStatus status = TRAIN_FAILED;
  int signal_number;

  run.history = g_string_new (NULL);
  run.checkpoint = train_checkpoint_path (options->output);
  if (!prepare (&run, error)) {
    run_clear (&run);
    return TRAIN_FAILED;
  }

  catch_signals (TRUE);
  if (run_stages (&run, error)) {
    signal_number = stop_signal;
    progress_clear ();
    if (run.at.stage < recipe->n_stages) {
      if (save_checkpoint (&run, error)) {
        printf ("stopped by signal %d in epoch %u of %u, saved in %s; go on with the same command "
                "and --resume\n",
            signal_number, epoch_number (&run), run.n_epochs, run.checkpoint);
        status = TRAIN_INTERRUPTED;
      }
    } else if (nn_plan_sync (run.plan, run.optimizer, error)) {
      g_hash_table_remove (run.model->extra, EXTRA_POSITION);
      set_extra (run.model, EXTRA_RECIPE, g_strdup (recipe->fingerprint));
      set_extra (run.model, EXTRA_HISTORY, history_without_seconds (&run));
      if (nn_model_save (run.model, options->output, NULL, NULL, error)) {
        g_unlink (run.checkpoint);
        if (!options->quiet)
          printf ("saved %s\n", options->output);
        status = TRAIN_DONE;
      }
    }
  }
  progress_clear ();
  catch_signals (FALSE);
  run_clear (&run);
  return status;
}
