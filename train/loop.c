/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/loop.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/file.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "nn/model-private.h"
#include "train/checkpoint.h"
#include "train/dataset-split.h"
#include "train/feeder.h"
#include "train/folds.h"
#include "train/output.h"
#include "train/progress.h"
#include "train/schedule.h"
#include "train/standard.h"

#define CSV_HEADER \
  "epoch,stage,learning_rate,loss,accuracy,val_loss,val_accuracy,unlabelled_used,seconds\n"

#define VALIDATION_BATCH 32
#define MAX_SKIPPED 100 /* steps in a row that may overflow in fp16 */
#define WEAK_SHIFT 0.125 /* FixMatch's weak augmentation: flips and shifts by an eighth */

typedef struct
{
  const Recipe *recipe;
  const TrainOptions *options;
  char *checkpoint, *best;
  NnFileLock *lock, *log_lock;
  Facts facts;
  NnModel *model;
  NnOptimizer *optimizer;
  NnBackend *backend;
  NnModel *view; /* the network at the size of the present stage */
  NnPlan *plan;  /* of it */
  NnPreprocess pre, stage_pre;
  NnLoss loss;
  const char *loss_name;
  gsize n_outputs;
  gboolean is_on_device; /* the plan has the pictures and augments them itself */
  Dataset *data, *validation, *unlabelled;
  NnAugment augment, weak, strong; /* the recipe's, from the size of the pictures */
  double *class_weights;
  /* of a step that has unlabelled pictures too */
  float *targets, *weights;
  NnAugmentEntry *entries;
  Order order;
  Position at;
  GString *history;
  GArray *results; /* of the epochs done */
  guint n_epochs;  /* of all stages */
  guint n_skipped; /* steps in a row until now */
  double step_seconds, validation_seconds; /* as last measured; 0: not yet */
} Run;

/* --- signals --------------------------------------------------------------------- */

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
static volatile sig_atomic_t stop_signal;

static void
on_signal (int number)
{
  if (stop_signal) /* asked twice: at once. The checkpoint on disk is whole in any case. */
    _exit (128 + number);
  stop_signal = number;
}

/* Where a signal was ignored it stays so, as for a job in the background or under nohup. */
static void
catch_signals (struct sigaction *before)
{
  struct sigaction action = { 0 };

  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset (&action.sa_mask);
  stop_signal = 0;
  for (guint i = 0; i < G_N_ELEMENTS (signals); i++) {
    sigaction (signals[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN)
      sigaction (signals[i], &action, NULL);
  }
}

static void
release_signals (const struct sigaction *before)
{
  for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
    sigaction (signals[i], &before[i], NULL);
  stop_signal = 0;
}

/* --- checkpoints -------------------------------------------------------------------- */

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

static gboolean
save_checkpoint (Run *run, GError **error)
{
  const Checkpoint checkpoint
      = { .facts = run->facts, .at = run->at, .history = run->history->str };

  if (run->plan && !nn_plan_sync (run->plan, run->optimizer, error))
    return FALSE;
  return checkpoint_save (
      run->model, run->checkpoint, run->optimizer, run->loss_name, &checkpoint, error);
}

/* The best epoch's weights lie beside the checkpoint; without them the end would fail. */
static gboolean
check_best (const Run *run, GError **error)
{
  g_autoptr (NnModel) model = NULL;
  g_autoptr (GError) local = NULL;

  if (run->recipe->keep != KEEP_BEST || schedule_find_best (run->results) < 0)
    return TRUE;
  model = nn_model_new_from_json_file (run->recipe->network, error);
  if (!model)
    return FALSE;
  if (nn_model_get_n_classes (model) != run->data->n_classes
      && !nn_model_set_n_classes (model, run->data->n_classes, error))
    return FALSE;
  if (nn_model_load_weights (model, run->best, NN_WEIGHTS_BY_ORDER, NULL, &local))
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_READ,
      "%s: should hold the weights of the best epoch, %d: %s; put it back, or start anew with "
      "--overwrite",
      run->best, schedule_find_best (run->results) + 1, local->message);
  return FALSE;
}

/* of the stages there are, at a step that there is */
static gboolean
is_place (const Run *run, const Position *at)
{
  const Recipe *recipe = run->recipe;

  if (at->stage == recipe->n_stages)
    return at->epoch == 0 && at->step == 0;
  return at->stage < recipe->n_stages && at->epoch < recipe->stages[at->stage].epochs
      && at->step <= steps_per_epoch (run) && isfinite (at->sum_loss);
}

static gboolean
load_checkpoint (Run *run, const FactsSource *source, GError **error)
{
  Checkpoint checkpoint = { 0 };
  g_autoptr (GString) said = g_string_new (NULL);
  gboolean ok = checkpoint_load (&checkpoint, run->checkpoint, error)
      && facts_compare (checkpoint.facts.deciding, run->facts.deciding, source, run->checkpoint,
          said, error);

  if (ok && !is_place (run, &checkpoint.at)) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: stands at a place that the run does not have: the file is damaged", run->checkpoint);
    ok = FALSE;
  }
  ok = ok && nn_model_load_weights (run->model, run->checkpoint, NN_WEIGHTS_BY_ORDER, NULL, error)
      && nn_optimizer_load (run->optimizer, run->model, run->checkpoint, error);
  if (ok) {
    run->at = checkpoint.at;
    g_string_assign (run->history, checkpoint.history);
    g_array_unref (run->results);
    run->results = schedule_parse_history (checkpoint.history);
    facts_compare_others (checkpoint.facts.others, run->facts.others, said);
    /* as it was begun: what was harmless once stays so */
    g_free (run->facts.deciding);
    run->facts.deciding = g_strdup (checkpoint.facts.deciding);
    if (!run->options->quiet)
      standard_print_lines (said->str);
    ok = check_best (run, error);
  }
  checkpoint_clear (&checkpoint);
  return ok;
}

/* for test-time augmentation with it */
static char *
get_augmentation (const Run *run)
{
  NnAugment augment = run->recipe->augment;
  NnPreprocess stored;

  recipe_get_stored (run->recipe, &run->pre, &stored, &augment);
  return nn_augment_to_json (&augment);
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

  if (!run->options->log)
    return TRUE;
  text = g_strconcat (CSV_HEADER, run->history->str, NULL);
  return nn_file_replace (run->options->log, text, strlen (text), error);
}

/* --- one epoch --------------------------------------------------------------------------- */

/* @validations: how many are left of this epoch's one */
static void
show_line (const Run *run, ProgressEpoch *line, double validations)
{
  const double steps = steps_per_epoch (run), epochs = run->n_epochs - epoch_number (run);
  g_autofree char *text = NULL;

  if (run->options->quiet || !progress_is_terminal ())
    return;
  line->epoch = epoch_number (run);
  line->n_epochs = run->n_epochs;
  line->loss = run->at.sum_loss / (double) MAX (run->at.n_seen, 1);
  line->accuracy = (double) run->at.n_correct / (double) MAX (run->at.n_seen, 1);
  line->left = run->step_seconds * (steps - run->at.step + steps * epochs)
      + run->validation_seconds * (validations + epochs);
  text = progress_format_epoch (line, progress_get_width ());
  progress_show ("%s", text);
}

static void
show_progress (Run *run, gint64 epoch_start, guint first_step)
{
  const guint done = run->at.step - first_step;
  const double seconds = (double) (g_get_monotonic_time () - epoch_start) / G_USEC_PER_SEC;
  ProgressEpoch line = {
    .done = run->at.step,
    .total = steps_per_epoch (run),
    .speed = done * (double) run->recipe->batch_size / MAX (seconds, 1e-6),
  };

  run->step_seconds = seconds / MAX (done, 1);
  show_line (run, &line, 1);
}

static void
show_validation (Run *run, gint64 start, guint done)
{
  const double seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  const guint total = run->validation->n;
  ProgressEpoch line = { .is_validating = TRUE, .done = done, .total = total };

  if (done)
    run->validation_seconds = seconds * total / done;
  show_line (run, &line, 1 - (double) done / total);
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

/* With the weights that the model file will have, at the network's own size. */
static gboolean
validate (Run *run, double *loss, double *accuracy, GError **error)
{
  const Dataset *data = run->validation;
  const NnPlanOptions options = { .batch = VALIDATION_BATCH, .threads = run->options->threads };
  g_autofree float *targets = g_new (float, run->n_outputs * VALIDATION_BATCH);
  g_autoptr (NnPlan) plan = nn_plan_new (run->backend, run->model, &options, error);
  const gint64 start = g_get_monotonic_time ();
  double sum_loss = 0;
  guint n_correct = 0;

  if (!plan)
    return FALSE;
  show_validation (run, start, 0);
  for (guint first = 0; first < data->n; first += VALIDATION_BATCH) {
    const guint n = MIN (VALIDATION_BATCH, data->n - first);
    const float *outputs;
    NnStepResult result;

    for (guint i = 0; i < n; i++) {
      nn_preprocess_bytes (&run->pre, data->bytes + (first + i) * data->sample_size, FALSE,
          nn_plan_get_input (plan) + i * data->sample_size);
      fill_target (run, data->labels[first + i], targets + i * run->n_outputs);
    }
    outputs = nn_plan_run (plan, n, error);
    if (!outputs)
      return FALSE;
    nn_loss_compute (run->loss, outputs, &(NnStep) { .n = n, .targets = targets }, run->n_outputs,
        NULL, &result);
    sum_loss += result.sum_loss;
    n_correct += result.n_correct;
    show_validation (run, start, first + n);
  }
  *loss = sum_loss / data->n;
  *accuracy = (double) n_correct / data->n;
  return TRUE;
}

/* Puts the averaged weights, if there are any, into the model on the host, or back. */
static void
swap_average (Run *run)
{
  if (run->optimizer->ema)
    nn_ema_swap (run->optimizer->ema, run->model);
}

static gboolean
learns_unlabelled (const Run *run)
{
  return run->unlabelled && epoch_number (run) > run->recipe->unlabelled_start;
}

/* What the averaged weights take the weakly changed pictures for, where they are
 * sure: targets and weights of the strongly changed ones. */
static gboolean
guess_labels (Run *run, const Batch *batch, double weight, float *targets, float *weights,
    GError **error)
{
  const double threshold = run->recipe->threshold;
  const gsize n_outputs = run->n_outputs;
  const float *outputs;

  if (batch->weak)
    memcpy (nn_plan_get_input (run->plan), batch->weak,
        batch->n * nn_shape_count (nn_model_get_input_shape (run->view)) * sizeof (float));
  outputs = nn_plan_run_averaged (
      run->plan, run->optimizer, batch->weak_entries, batch->n, error);
  if (!outputs)
    return FALSE;
  for (guint i = 0; i < batch->n; i++, outputs += n_outputs, targets += n_outputs) {
    double sure;

    if (n_outputs == 1) {
      targets[0] = outputs[0] > 0.5f;
      sure = MAX (outputs[0], 1 - outputs[0]);
    } else {
      guint best;

      nn_top_k (outputs, (guint) n_outputs, 1, &best);
      memset (targets, 0, n_outputs * sizeof (float));
      targets[best] = 1;
      sure = outputs[best];
    }
    weights[i] = sure >= threshold ? (float) weight : 0;
    run->at.n_used += sure >= threshold;
  }
  run->at.n_offered += batch->n;
  return TRUE;
}

/* One step on a labelled batch and, beside it, an unlabelled one (or NULL). The
 * loss is the mean over the former plus weight times the mean over the latter. */
static gboolean
train_step (Run *run, const Batch *batch, const Batch *more, GError **error)
{
  const gsize size = nn_shape_count (nn_model_get_input_shape (run->view));
  float *input = nn_plan_get_input (run->plan);
  NnStep step = { .n = batch->n,
    .targets = batch->targets,
    .weights = batch->weights,
    .seed = run->recipe->seed,
    .entries = batch->entries,
    .mixes = batch->mixes,
    .n_mixed = batch->n };
  NnStepResult result;

  if (more) {
    const guint n = batch->n + more->n;
    const double since = (double) (epoch_number (run) - run->recipe->unlabelled_start);
    const double ramp = MIN (since / (run->recipe->unlabelled_ramp + 1.), 1);

    if (!guess_labels (run, more, run->recipe->unlabelled_weight * ramp * n / more->n,
            run->targets + batch->n * run->n_outputs, run->weights + batch->n, error))
      return FALSE;
    memcpy (run->targets, batch->targets, batch->n * run->n_outputs * sizeof (float));
    for (guint i = 0; i < batch->n; i++)
      run->weights[i] = (batch->weights ? batch->weights[i] : 1) * (float) n / (float) batch->n;
    step.n = n;
    step.targets = run->targets;
    step.weights = run->weights;
    step.n_measured = batch->n;
    if (run->is_on_device) {
      memcpy (run->entries, batch->entries, batch->n * sizeof (NnAugmentEntry));
      memcpy (run->entries + batch->n, more->entries, more->n * sizeof (NnAugmentEntry));
      step.entries = run->entries;
    } else {
      memcpy (input + batch->n * size, more->input, more->n * size * sizeof (float));
    }
  }
  if (batch->input)
    memcpy (input, batch->input, batch->n * size * sizeof (float));
  if (!nn_plan_train_step (run->plan, &step, run->optimizer, &result, error))
    return FALSE;
  run->n_skipped = result.skipped ? run->n_skipped + 1 : 0;
  if (run->n_skipped == MAX_SKIPPED) {
    g_set_error (error, NN_ERROR, NN_ERROR_RUN,
        "%s: gradients overflowed in %u steps in a row, down to a loss scale of %g: train with "
        "precision=bf16 or tf32, or a lower learning rate",
        run->recipe->path, run->n_skipped, run->optimizer->loss_scale);
    return FALSE;
  }
  run->at.sum_loss += step.weights ? result.sum_loss / MAX (result.sum_weights, 1e-30) * batch->n
                                   : result.sum_loss;
  run->at.n_correct += result.n_correct;
  run->at.n_seen += batch->n;
  return TRUE;
}

/* Batches from where the run stands to the end of the stage. */
static Feeder *
make_feeder (const Run *run, gboolean unlabelled, GError **error)
{
  const Recipe *recipe = run->recipe;
  const guint64 steps = steps_per_epoch (run);
  FeederOptions options = {
    .data = run->data,
    .pre = &run->stage_pre,
    .augment = &run->augment,
    .mixing = recipe->mixing,
    .label_smoothing = recipe->label_smoothing,
    .class_weights = run->class_weights,
    .order = run->order,
    .n_outputs = (guint) run->n_outputs,
    .on_device = run->is_on_device,
    .threads = nn_plan_get_threads (run->plan),
  };

  if (unlabelled) {
    options.data = run->unlabelled;
    options.augment = &run->strong;
    options.weak = &run->weak;
    options.mixing = (Mixing) { 0 };
    options.first_picture = run->data->n;
    options.class_weights = NULL;
    /* other draws than the labelled pictures' */
    options.order = (Order) { run->unlabelled->n, recipe->unlabelled_batch, ~recipe->seed };
  }
  return feeder_new (&options, run->at.stage, run->at.epoch * steps + run->at.step,
      recipe->stages[run->at.stage].epochs * steps, error);
}

/* Steps until the end of the epoch or a signal. */
static gboolean
run_steps (Run *run, Feeder *feeder, Feeder **unlabelled, GError **error)
{
  const guint steps = steps_per_epoch (run), first_step = run->at.step;
  const gint64 start = g_get_monotonic_time ();

  if (learns_unlabelled (run) && !*unlabelled && !(*unlabelled = make_feeder (run, TRUE, error)))
    return FALSE;
  while (run->at.step < steps && !stop_signal) {
    run->optimizer->learning_rate = schedule_get_rate (run->recipe, run->at.stage,
        (guint64) run->at.epoch * steps + run->at.step, steps, run->results);
    if (!train_step (run, feeder_next (feeder), *unlabelled ? feeder_next (*unlabelled) : NULL,
            error))
      return FALSE;
    run->at.step++;
    show_progress (run, start, first_step);
  }
  return TRUE;
}

/* The weights of the best epoch so far are kept beside the model file. */
static gboolean
keep_best (Run *run, GError **error)
{
  if (run->recipe->keep != KEEP_BEST
      || schedule_find_best (run->results) != (int) run->results->len - 1)
    return TRUE;
  return nn_model_save_weights (run->model, run->best, error);
}

static gboolean
end_epoch (Run *run, double seconds, GError **error)
{
  const double loss = run->at.sum_loss / (double) run->at.n_seen;
  const double accuracy = (double) run->at.n_correct / (double) run->at.n_seen;
  const double rate = run->optimizer->learning_rate;
  g_autofree char *time = NULL;
  char numbers[7][G_ASCII_DTOSTR_BUF_SIZE] = { "" };
  double val_loss = 0, val_accuracy = 0;
  EpochResult epoch = { NAN, NAN };
  gint64 start = g_get_monotonic_time ();
  gboolean ok;

  if (!nn_plan_sync (run->plan, run->optimizer, error))
    return FALSE;
  swap_average (run);
  if (run->validation && !validate (run, &val_loss, &val_accuracy, error))
    return FALSE;
  /* steps that overflow in 16 bits are left out, and end the run by their number */
  if ((!isfinite (loss) || !isfinite (val_loss)) && run->n_skipped == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "epoch %u: the loss is no number any more: train with a lower learning_rate (it was %g), "
        "or look at the weights of --init",
        epoch_number (run), rate);
    return FALSE;
  }
  seconds += (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_ascii_formatd (numbers[0], sizeof numbers[0], "%g", rate);
  g_ascii_formatd (numbers[1], sizeof numbers[1], "%.5f", loss);
  g_ascii_formatd (numbers[2], sizeof numbers[2], "%.5f", accuracy);
  if (run->validation) {
    g_ascii_formatd (numbers[3], sizeof numbers[3], "%.5f", val_loss);
    g_ascii_formatd (numbers[4], sizeof numbers[4], "%.5f", val_accuracy);
  }
  if (run->at.n_offered)
    g_ascii_formatd (numbers[5], sizeof numbers[5], "%.5f",
        (double) run->at.n_used / (double) run->at.n_offered);
  g_ascii_formatd (numbers[6], sizeof numbers[6], "%.1f", seconds);
  g_string_append_printf (run->history, "%u,%u,%s,%s,%s,%s,%s,%s,%s\n", epoch_number (run),
      run->at.stage + 1, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
      numbers[6]);
  if (run->validation) {
    epoch.val_loss = g_ascii_strtod (numbers[3], NULL);
    epoch.val_accuracy = g_ascii_strtod (numbers[4], NULL);
  }
  g_array_append_val (run->results, epoch);
  ok = keep_best (run, error);
  swap_average (run);
  if (!ok)
    return FALSE;
  if (!run->options->quiet) {
    progress_clear ();
    time = progress_format_time (seconds);
    printf ("epoch %u/%u  loss %.4f  accuracy %.4f", epoch_number (run), run->n_epochs, loss,
        accuracy);
    if (run->validation)
      printf ("  val_loss %.4f  val_accuracy %.4f", val_loss, val_accuracy);
    if (run->at.n_offered)
      printf ("  unlabelled %.0f %%", 100. * (double) run->at.n_used / (double) run->at.n_offered);
    printf ("  lr %g  %s  %.0f pictures/s\n", rate, time,
        (double) run->at.n_seen / MAX (seconds, 1e-6));
    fflush (stdout);
  }

  run->at.sum_loss = 0;
  run->at.n_correct = run->at.n_seen = run->at.n_used = run->at.n_offered = 0;
  run->at.step = 0;
  run->at.epoch++;
  if (run->at.epoch == run->recipe->stages[run->at.stage].epochs) {
    run->at.epoch = 0;
    run->at.stage++;
  }
  if (run->at.stage < run->recipe->n_stages && schedule_is_over (run->recipe, run->results)) {
    if (!run->options->quiet)
      printf ("stopped early: no better epoch than number %d in the last %u\n",
          schedule_find_best (run->results) + 1, run->recipe->patience);
    run->at.stage = run->recipe->n_stages;
  }
  return save_checkpoint (run, error) && write_log (run, error);
}

/* --- the run --------------------------------------------------------------------------------- */

/* To a device that augments them itself. */
static void
give_pictures (Run *run)
{
  g_autoptr (GError) error = NULL;
  NnPictures sets[2] = { { run->data->bytes, run->data->n } };
  NnAugmentForm form;

  if (run->unlabelled)
    sets[1] = (NnPictures) { run->unlabelled->bytes, run->unlabelled->n };
  nn_augment_form (&run->augment, &run->stage_pre, &form);
  run->is_on_device
      = nn_plan_set_pictures (run->plan, &form, sets, run->unlabelled ? 2 : 1, &error);
  if (!run->is_on_device && !g_error_matches (error, NN_ERROR, NN_ERROR_UNSUPPORTED))
    nn_warning ("%s: the CPU augments the pictures: %s", nn_backend_get_device (run->backend),
        error->message);
}

/* The plan of the present stage. */
static gboolean
make_plan (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  const guint size = recipe->stages[run->at.stage].size;
  NnPreprocess stored;
  g_autofree char *description = NULL;
  NnPlanOptions options = {
    .precision = recipe->precision,
    .batch = recipe->batch_size + (run->unlabelled ? recipe->unlabelled_batch : 0),
    .training = TRUE,
    .threads = run->options->threads,
    .loss = run->loss,
    .bessel_moving_variance = recipe->bessel_moving_variance,
  };

  g_clear_pointer (&run->plan, nn_plan_free);
  g_clear_pointer (&run->view, nn_model_unref);
  run->stage_pre = run->pre;
  if (size && (size != run->pre.height || size != run->pre.width)) {
    run->stage_pre.height = run->stage_pre.width = size;
    run->view = nn_model_new_resized (run->model, size, size, error);
    if (!run->view) {
      g_prefix_error (error, "%s: [schedule] size: ", recipe->path);
      return FALSE;
    }
  } else {
    run->view = nn_model_ref (run->model);
  }
  recipe_get_stored (recipe, &run->pre, &stored, NULL);
  run->augment.source_height = stored.height != run->stage_pre.height
          || stored.width != run->stage_pre.width
      ? stored.height
      : 0;
  run->augment.source_width = run->augment.source_height ? stored.width : 0;
  run->strong.source_height = run->weak.source_height = run->augment.source_height;
  run->strong.source_width = run->weak.source_width = run->augment.source_width;
  run->plan = nn_plan_new (run->backend, run->view, &options, error);
  if (!run->plan)
    return FALSE;
  description = nn_plan_describe (run->plan);
  nn_info ("%s", description);
  give_pictures (run);
  return TRUE;
}

static gboolean
run_stages (Run *run, GError **error)
{
  while (run->at.stage < run->recipe->n_stages && !stop_signal) {
    const guint stage = run->at.stage;
    Feeder *feeder, *unlabelled = NULL;
    gboolean ok = TRUE;

    if (!run->plan || run->recipe->stages[stage].size != run->recipe->stages[stage - 1].size)
      if (!make_plan (run, error))
        return FALSE;
    feeder = make_feeder (run, FALSE, error);
    if (!feeder)
      return FALSE;
    while (ok && run->at.stage == stage && !stop_signal) {
      gint64 start = g_get_monotonic_time ();

      ok = run_steps (run, feeder, &unlabelled, error);
      if (ok && run->at.step == steps_per_epoch (run))
        ok = end_epoch (run, (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC, error);
    }
    feeder_free (feeder);
    feeder_free (unlabelled);
    if (!ok)
      return FALSE;
  }
  return TRUE;
}

/* One fold of the training folder to validate with, as validate_dir would be read; the
 * others and what lists name to train with. */
static gboolean
split_folds (Run *run, guint threads, GError **error)
{
  const Recipe *recipe = run->recipe;
  const guint n = run->data->n - run->data->n_listed;
  g_autofree guint *folds = g_new (guint, n);
  g_autofree gboolean *is_held = g_new0 (gboolean, run->data->n);
  g_autofree gboolean *is_trained = g_new (gboolean, run->data->n);

  if (!folds_assign (run->data, n, recipe->n_folds, recipe->seed, folds, error)) {
    g_prefix_error (error, "%s: ", recipe->train_dir);
    return FALSE;
  }
  for (guint i = 0; i < run->data->n; i++) {
    is_held[i] = i < n && folds[i] == recipe->fold - 1;
    is_trained[i] = !is_held[i];
  }
  run->validation
      = dataset_load_part (run->data, is_held, recipe->train_dir, threads, &run->pre, error);
  if (!run->validation)
    return FALSE;
  dataset_keep (run->data, is_trained);
  dataset_warn_of_shared (run->data, run->validation, recipe->train_dir);
  return TRUE;
}

/* What is done with the validation's result wants one. */
static gboolean
check_validation (const Recipe *recipe, GError **error)
{
  const char *key = recipe->keep == KEEP_BEST ? "[training] keep=best"
      : recipe->patience                      ? "[training] early_stopping"
      : recipe->calibrate == CALIBRATE_YES    ? "[training] calibrate"
      : recipe->shape == SHAPE_PLATEAU        ? "[schedule] shape=plateau"
                                              : NULL;

  if (!key || recipe->validate_dir || recipe->n_folds || recipe->validation_split > 0)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
      "%s: %s wants pictures to validate with, and there are none: make a folder \"validate\" "
      "beside %s, or draw some with [data] validation_split=0.2",
      recipe->path, key, recipe->train_dir);
  return FALSE;
}

static void
print_counts (const char *dir, const Dataset *data, const char *what)
{
  g_autofree char *counts = dataset_describe_counts (data);

  standard_print_line ("  %s%s: %s", dir, what, counts);
  if (data->left_out)
    standard_print_line ("  left out: %s files of %s: no pictures", data->left_out, dir);
}

static void
print_data (const Run *run, double seconds)
{
  const Recipe *recipe = run->recipe;
  const Dataset *data = run->data, *validation = run->validation;
  const gboolean is_drawn = validation && !recipe->validate_dir;
  const guint bad = data->n_unreadable + (validation ? validation->n_unreadable : 0)
      + (run->unlabelled ? run->unlabelled->n_unreadable : 0);
  g_autofree char *classes = dataset_describe_classes ((const char *const *) data->classes);
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (
      text, "Found %u images belonging to %u classes (%s)", data->n, data->n_classes, classes);
  if (data->n_listed)
    g_string_append_printf (text, ", %u of them named by lists", data->n_listed);
  if (validation)
    g_string_append_printf (text, ", %u to validate with", validation->n);
  if (run->unlabelled)
    g_string_append_printf (text, ", %u without labels", run->unlabelled->n);
  if (bad)
    g_string_append_printf (text, "; %u unreadable left out", bad);
  standard_print_line ("%s, decoded in %.1f s", text->str, seconds);
  print_counts (recipe->train_dir, data, is_drawn ? ", to train with" : "");
  if (validation)
    print_counts (is_drawn ? recipe->train_dir : recipe->validate_dir, validation,
        is_drawn ? ", to validate with" : "");
  fflush (stdout);
}

/* The training pictures, and those to validate with that are drawn from them. */
static gboolean
load_training (Run *run, guint threads, const NnPreprocess *stored, GError **error)
{
  const Recipe *recipe = run->recipe;
  const DatasetOptions options = {
    .layout = recipe->layout,
    .limit = recipe->limit,
    .limit_per_class = recipe->limit_per_class,
    .threads = threads,
    .lists = recipe->lists,
    .held_fraction = recipe_get_held_fraction (recipe),
    .seed = recipe->seed,
  };

  if (options.held_fraction > 0)
    return dataset_load_split (recipe->train_dir, &options, stored, &run->pre, &run->data,
        &run->validation, error);
  run->data = dataset_load (recipe->train_dir, &options, stored, error);
  return run->data && (!recipe->n_folds || split_folds (run, threads, error));
}

static gboolean
load_data (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  guint threads = run->options->threads ? run->options->threads : g_get_num_processors ();
  gint64 start = g_get_monotonic_time ();
  NnPreprocess stored;

  recipe_get_stored (recipe, &run->pre, &stored, NULL);
  /* what a resumed run began with and lacks now is told of by name */
  if (!run->options->resume && !check_validation (recipe, error))
    return FALSE;
  if (!load_training (run, threads, &stored, error))
    return FALSE;
  if (recipe->unlabelled_dir
      && !(run->unlabelled
             = dataset_load_unlabelled (recipe->unlabelled_dir, threads, &stored, error)))
    return FALSE;
  if (recipe->validate_dir) {
    const DatasetOptions options = { recipe->layout, recipe->validate_limit,
      recipe->validate_limit_per_class, (const char *const *) run->data->classes, threads };

    run->validation = dataset_load (recipe->validate_dir, &options, &run->pre, error);
    if (!run->validation)
      return FALSE;
    dataset_warn_of_shared (run->data, run->validation, recipe->validate_dir);
  }
  if (!run->options->quiet)
    print_data (run, (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC);
  dataset_warn_of_few (
      run->data, recipe->train_dir, recipe->balance || recipe->class_weights);
  return TRUE;
}

/* How many samples of a class weigh as much as one of the mean. */
static gboolean
make_class_weights (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  const guint n_classes = run->data->n_classes;
  g_autofree guint *counts = g_new0 (guint, n_classes);

  if (recipe->class_weights && recipe->n_class_weights != n_classes) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [training] class_weights has %u numbers, there are %u classes", recipe->path,
        recipe->n_class_weights, n_classes);
    return FALSE;
  }
  if (!recipe->balance && !recipe->class_weights)
    return TRUE;
  for (guint i = 0; i < run->data->n; i++)
    counts[run->data->labels[i]]++;
  run->class_weights = g_new0 (double, n_classes);
  for (guint c = 0; c < n_classes; c++)
    run->class_weights[c] = recipe->class_weights
        ? recipe->class_weights[c]
        : run->data->n / ((double) n_classes * MAX (counts[c], 1));
  return TRUE;
}

/* Takes the layers whose names match from training. */
static gboolean
freeze (Run *run, GError **error)
{
  char **patterns = run->recipe->freeze;

  for (guint i = 0; patterns && patterns[i]; i++) {
    guint n = 0;

    for (guint l = 0; l < run->model->n_layers; l++) {
      NnLayer *layer = &run->model->layers[l];

      if (!g_pattern_match_simple (patterns[i], layer->name))
        continue;
      layer->trainable = FALSE;
      for (guint p = 0; p < layer->n_params; p++)
        layer->params[p].trainable = FALSE;
      n++;
    }
    if (n == 0) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: [network] freeze: no layer is called \"%s\" (classify summary lists them)",
          run->recipe->path, patterns[i]);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
init_weights (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  const TrainOptions *options = run->options;
  const char *init = options->init ? options->init : recipe->init;
  NnWeightsMatch match = recipe->init_match;
  guint n_matched;

  if (!nn_model_init_params (run->model, recipe->seed, error))
    return FALSE;
  if (!init || options->resume)
    return TRUE;
  if (options->init)
    match = options->init_by_name ? NN_WEIGHTS_BY_NAME : NN_WEIGHTS_BY_ORDER;
  if (!nn_model_load_weights (run->model, init, match, &n_matched, error))
    return FALSE;
  run->model->temperature = 1; /* that of the weights as they were */
  if (n_matched == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: no layer of it has the name of one of %s", init, recipe->network);
    return FALSE;
  }
  if (!options->quiet)
    standard_print_line ("Weights of %u layers from %s", n_matched, init);
  run->model->temperature = 1; /* that of the weights as they were */
  return TRUE;
}

static gboolean
make_optimizer (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  NnOptimizer *optimizer = nn_optimizer_new (recipe->optimizer, run->model, error);

  run->optimizer = optimizer;
  if (!optimizer)
    return FALSE;
  optimizer->beta_1 = recipe->beta_1;
  optimizer->beta_2 = recipe->beta_2;
  optimizer->epsilon = recipe->epsilon;
  optimizer->momentum = recipe->momentum;
  optimizer->nesterov = recipe->nesterov;
  optimizer->decay = recipe->decay;
  optimizer->weight_decay = recipe->weight_decay;
  optimizer->learning_rate = recipe->stages[0].learning_rate;
  if (recipe->ema != 0)
    optimizer->ema = nn_ema_new (run->model, recipe->ema, error);
  return recipe->ema == 0 || optimizer->ema;
}

/* Class names are written into the model file, as text. */
static gboolean
check_classes (const Run *run, GError **error)
{
  for (guint c = 0; c < run->data->n_classes; c++) {
    const char *name = run->data->classes[c];

    if (!g_utf8_validate (name, -1, NULL)) {
      g_autofree char *shown = g_filename_display_name (name);

      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: the name of class \"%s\" is not UTF-8 text and cannot be stored in a model file: "
          "rename it (mv, or convmv for many)",
          run->recipe->train_dir, shown);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
train_check_outputs (const Recipe *recipe, const TrainOptions *options, GError **error)
{
  g_autoptr (Outputs) outputs = outputs_new ();
  g_autofree char *checkpoint = checkpoint_path (options->output);
  g_autofree char *best = checkpoint_best_path (options->output);

  outputs_add_read (outputs, recipe->path);
  outputs_add_read (outputs, recipe->network);
  outputs_add_read (outputs, options->init ? options->init : recipe->init);
  outputs_add_read (outputs, recipe->train_dir);
  outputs_add_read (outputs, recipe->validate_dir);
  outputs_add_read (outputs, recipe->unlabelled_dir);
  for (guint i = 0; recipe->lists && recipe->lists[i]; i++)
    outputs_add_list (outputs, recipe->lists[i]);
  outputs_add_write (outputs, "--output", options->output, OUTPUT_MODEL);
  outputs_add_write (outputs, "the checkpoint of --output", checkpoint, OUTPUT_MODEL);
  if (recipe->keep == KEEP_BEST)
    outputs_add_write (outputs, "the best epoch of --output", best, OUTPUT_MODEL);
  outputs_add_write (outputs, "--log", options->log, OUTPUT_EPOCHS);
  return outputs_check (outputs, error)
      && checkpoint_check_start (options->output, options->log, recipe->keep == KEEP_BEST,
          options->resume, options->overwrite, error);
}

/* The loss is chosen by the number of outputs; it tells one class of several. */
static gboolean
check_end (const Run *run, GError **error)
{
  const NnLayer *last = nn_model_get_last_layer (run->model);
  const NnActivation wanted
      = run->n_outputs == 1 ? NN_ACTIVATION_SIGMOID : NN_ACTIVATION_SOFTMAX;

  if (nn_layer_get_activation (last) == wanted)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
      "%s: layer \"%s\" with its %" G_GSIZE_FORMAT " units must end in %s, so that it tells one "
      "class of %u: in a softmax, or for two classes in one sigmoid unit; several labels for one "
      "picture are not offered",
      run->recipe->network, last->name, run->n_outputs,
      wanted == NN_ACTIVATION_SIGMOID ? "a sigmoid" : "a softmax", run->data->n_classes);
  return FALSE;
}

/* No other process writes these files until the end. */
static gboolean
lock_outputs (Run *run, GError **error)
{
  run->lock = nn_file_lock (run->checkpoint, error);
  if (!run->lock)
    return FALSE;
  nn_file_remove_parts (run->options->output);
  nn_file_remove_parts (run->best);
  if (run->options->log)
    run->log_lock = nn_file_lock (run->options->log, error);
  return !run->options->log || run->log_lock;
}

/* The network, the pictures and what is known by them. */
static gboolean
prepare_data (Run *run, FactsSource *source, GError **error)
{
  const Recipe *recipe = run->recipe;
  const TrainOptions *options = run->options;

  run->backend = nn_backend_open (run->options->device, error);
  if (!run->backend)
    return FALSE;
  run->model = nn_model_new_from_json_file (recipe->network, error);
  if (!run->model)
    return FALSE;
  if (!recipe_get_preprocess (recipe, run->model, &run->pre, error) || !load_data (run, error)
      || !check_classes (run, error))
    return FALSE;
  *source = (FactsSource) {
    .recipe = recipe,
    .init = options->init ? options->init : recipe->init,
    .init_match = !options->init   ? recipe->init_match
        : options->init_by_name ? NN_WEIGHTS_BY_NAME
                                : NN_WEIGHTS_BY_ORDER,
    .device = nn_backend_get_device (run->backend),
    .description = nn_backend_get_description (run->backend),
    .data = run->data,
    .validation = run->validation,
    .unlabelled = run->unlabelled,
  };
  return facts_make (&run->facts, source, error);
}

static gboolean
prepare (Run *run, GError **error)
{
  const Recipe *recipe = run->recipe;
  FactsSource source;

  if (!train_check_outputs (recipe, run->options, error) || !lock_outputs (run, error)
      || !train_check_outputs (recipe, run->options, error) /* by who had the lock before */
      || !prepare_data (run, &source, error))
    return FALSE;
  if (run->data->n_classes != nn_model_get_n_classes (run->model)
      && !nn_model_set_n_classes (run->model, run->data->n_classes, error))
    return FALSE;
  if (!init_weights (run, error) || !freeze (run, error) || !make_class_weights (run, error)
      || !nn_model_set_labels (run->model, (const char *const *) run->data->classes, error))
    return FALSE;
  run->model->preprocess = run->pre;
  run->model->has_preprocess = TRUE;
  run->n_outputs = nn_model_get_n_outputs (run->model);
  run->loss = run->n_outputs == 1 ? NN_LOSS_BINARY_CROSSENTROPY : NN_LOSS_CATEGORICAL_CROSSENTROPY;
  run->loss_name = run->n_outputs == 1 ? "binary_crossentropy" : "categorical_crossentropy";
  if (!check_end (run, error))
    return FALSE;
  run->order = (Order) { run->data->n, recipe->batch_size, recipe->seed };
  for (guint i = 0; i < recipe->n_stages; i++)
    run->n_epochs += recipe->stages[i].epochs;

  run->augment = recipe->augment;
  run->strong = recipe->strong;
  nn_augment_init (&run->weak);
  run->weak.horizontal_flip = recipe->strong.horizontal_flip;
  run->weak.width_shift_range = run->weak.height_shift_range = WEAK_SHIFT;
  run->weak.fill_mode = NN_FILL_REFLECT;
  run->weak.interpolation_order = 1;
  if (run->unlabelled) {
    gsize n = recipe->batch_size + recipe->unlabelled_batch;

    run->targets = g_new (float, n * run->n_outputs);
    run->weights = g_new (float, n);
    run->entries = g_new (NnAugmentEntry, n);
  }
  if (!make_optimizer (run, error)
      || (run->options->resume
          && (!load_checkpoint (run, &source, error)
              || !write_log (run, error)))) /* killed between checkpoint and log */
    return FALSE;
  nn_info ("device %s: %s", nn_backend_get_device (run->backend),
      nn_backend_get_description (run->backend));
  return TRUE;
}

static void
run_clear (Run *run)
{
  nn_plan_free (run->plan);
  nn_optimizer_free (run->optimizer);
  g_clear_pointer (&run->view, nn_model_unref);
  g_clear_pointer (&run->model, nn_model_unref);
  nn_backend_unref (run->backend);
  dataset_free (run->data);
  dataset_free (run->validation);
  dataset_free (run->unlabelled);
  g_free (run->class_weights);
  g_free (run->targets);
  g_free (run->weights);
  g_free (run->entries);
  g_array_unref (run->results);
  nn_file_unlock (run->lock);
  nn_file_unlock (run->log_lock);
  facts_clear (&run->facts);
  g_free (run->checkpoint);
  g_free (run->best);
  g_string_free (run->history, TRUE);
}

/* The weights that the model file gets. */
static gboolean
take_result (Run *run, GError **error)
{
  if (run->plan && !nn_plan_sync (run->plan, run->optimizer, error))
    return FALSE;
  if (run->recipe->keep == KEEP_BEST && run->validation)
    return nn_model_load_weights (run->model, run->best, NN_WEIGHTS_BY_ORDER, NULL, error);
  swap_average (run);
  return TRUE;
}

gboolean
train_get_accuracy (const char *output, Keep keep, double *accuracy)
{
  g_autofree char *facts = NULL, *history = NULL;
  g_autoptr (GArray) results = NULL;
  int index;

  if (!checkpoint_load_finished (output, &facts, &history))
    return FALSE;
  results = schedule_parse_history (history);
  index = keep == KEEP_BEST ? schedule_find_best (results) : (int) results->len - 1;
  *accuracy = index < 0 ? NAN : g_array_index (results, EpochResult, index).val_accuracy;
  return index >= 0 && !isnan (*accuracy);
}

static void
run_init (Run *run, const Recipe *recipe, const TrainOptions *options)
{
  *run = (Run) { .recipe = recipe, .options = options };
  run->results = g_array_new (FALSE, FALSE, sizeof (EpochResult));
  run->history = g_string_new (NULL);
  run->checkpoint = checkpoint_path (options->output);
  run->best = checkpoint_best_path (options->output);
}

gboolean
train_check_finished (const Recipe *recipe, const TrainOptions *options, GError **error)
{
  TrainOptions quiet = *options;
  g_autofree char *facts = NULL, *history = NULL;
  FactsSource source;
  gboolean ok;
  Run run;

  if (!checkpoint_load_finished (options->output, &facts, &history)) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: is there, but is not what a run left at its end: remove it, or choose another name",
        options->output);
    return FALSE;
  }
  quiet.quiet = TRUE;
  run_init (&run, recipe, &quiet);
  ok = prepare_data (&run, &source, error)
      && facts_compare (facts, run.facts.deciding, &source, options->output, NULL, error);
  if (!ok)
    g_prefix_error (error, "finished, but not by this command: ");
  run_clear (&run);
  return ok;
}

/* Loss and accuracy of one who knows how many pictures each class has, and looks at none. */
static void
guess (const Dataset *data, const double *class_weights, double smoothing, double *loss,
    double *accuracy)
{
  g_autofree double *shares = g_new0 (double, data->n_classes);
  double sum = 0;

  for (guint i = 0; i < data->n; i++) {
    const double weight = class_weights ? class_weights[data->labels[i]] : 1;

    shares[data->labels[i]] += weight;
    sum += weight;
  }
  *loss = *accuracy = 0;
  for (guint c = 0; c < data->n_classes && sum > 0; c++) {
    const double share = shares[c] / sum;
    const double p = share * (1 - smoothing) + smoothing / data->n_classes;

    *loss -= p > 0 ? p * log (p) : 0;
    *accuracy = MAX (*accuracy, share);
  }
}

/* A training that got nowhere is told of: its model is as sure of what it says as any other. */
static void
warn_of_no_learning (const Run *run)
{
  const int kept = run->recipe->keep == KEEP_BEST ? schedule_find_best (run->results)
                                                  : (int) run->results->len - 1;
  double loss, accuracy, val_loss, val_accuracy, last;

  if (run->data->targets || !schedule_get_last_loss (run->history->str, &last))
    return;
  guess (run->data, run->class_weights, run->recipe->label_smoothing, &loss, &accuracy);
  if (last < loss)
    return;
  if (run->validation && kept >= 0) {
    guess (run->validation, NULL, 0, &val_loss, &val_accuracy);
    if (g_array_index (run->results, EpochResult, kept).val_accuracy > val_accuracy + 1e-4)
      return;
  }
  nn_warning ("%s: has learnt nothing: its loss, %.4f, is not below that of guessing, %.4f: train "
              "longer, with another learning_rate, or look at the pictures",
      run->options->output, last, loss);
}

/* The model file, and nothing else stays. */
static gboolean
finish (Run *run, GError **error)
{
  g_autofree char *history = history_without_seconds (run);

  if (!take_result (run, error))
    return FALSE;
  checkpoint_finish (run->model, run->facts.deciding, history);
  g_hash_table_replace (
      run->model->extra, g_strdup (NN_AUGMENT_ATTRIBUTE), get_augmentation (run));
  if (!nn_model_save (run->model, run->options->output, NULL, NULL, error))
    return FALSE;
  g_unlink (run->checkpoint);
  if (run->recipe->keep == KEEP_BEST)
    g_unlink (run->best);
  if (!run->options->quiet)
    standard_print_line ("saved %s", run->options->output);
  warn_of_no_learning (run);
  return TRUE;
}

static const char *
describe_signal (int number)
{
  return number == SIGTERM ? "interrupted by SIGTERM"
      : number == SIGHUP   ? "interrupted by SIGHUP"
                           : "interrupted";
}

TrainStatus
train_run (const Recipe *recipe, const TrainOptions *options, GError **error)
{
  TrainStatus status = TRAIN_FAILED;
  struct sigaction before[G_N_ELEMENTS (signals)];
  Run run;

  run_init (&run, recipe, options);
  if (!prepare (&run, error)) {
    run_clear (&run);
    return TRAIN_FAILED;
  }

  catch_signals (before);
  if (options->overwrite) { /* those of the run that was there */
    g_unlink (run.checkpoint);
    if (recipe->keep == KEEP_BEST)
      g_unlink (run.best);
  }
  if (run_stages (&run, error)) {
    const int signal_number = stop_signal;

    progress_clear ();
    if (run.at.stage < recipe->n_stages) {
      if (save_checkpoint (&run, error)) {
        standard_print_line ("%s in epoch %u of %u, saved in %s; go on with the same command and "
                             "--resume",
            describe_signal (signal_number), epoch_number (&run), run.n_epochs, run.checkpoint);
        status = TRAIN_INTERRUPTED;
      }
    } else if (finish (&run, error)) {
      status = TRAIN_DONE;
    }
  }
  progress_clear ();
  release_signals (before);
  run_clear (&run);
  return status;
}
