/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* classify: trains a network on a folder of pictures, measures and uses it. */

#include <glib/gstdio.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/file.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "train/calibrate.h"
#include "train/checkpoint.h"
#include "train/curve.h"
#include "train/evaluate.h"
#include "train/folds.h"
#include "train/loop.h"
#include "train/output.h"
#include "train/predict.h"
#include "train/preview.h"
#include "train/progress.h"
#include "train/pseudo-label.h"
#include "train/recipe-find.h"
#include "train/report.h"
#include "train/standard.h"

enum
{
  EXIT_OK,
  EXIT_USAGE,
  EXIT_DATA,
  EXIT_DEVICE,
  EXIT_INTERRUPTED = 130,
};

static gboolean verbose;

static void
print_log (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level == NN_LOG_DEBUG || (level == NN_LOG_INFO && !verbose))
    return;
  progress_clear ();
  standard_print_message ("%s%s", level == NN_LOG_WARNING ? "warning: " : "", message);
}

static int
fail (const GError *error)
{
  progress_clear ();
  standard_print_message ("%s", error->message);
  if (g_error_matches (error, NN_ERROR, NN_ERROR_BACKEND)
      || g_error_matches (error, NN_ERROR, NN_ERROR_RUN))
    return EXIT_DEVICE;
  return EXIT_DATA;
}

static int G_GNUC_PRINTF (1, 2)
usage_error (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  standard_print_message ("%s", text);
  return EXIT_USAGE;
}

/* --- options that several commands share --------------------------------------------- */

static char *device, *precision, *weights, *labels_file, *tta, *layout, **settings;
static int threads;

static const GOptionEntry device_entries[] = {
  { "device", 0, 0, G_OPTION_ARG_STRING, &device,
      "auto (default), cpu, cuda or cuda:N; `classify devices` lists them", "DEVICE" },
  { "threads", 't', 0, G_OPTION_ARG_INT, &threads,
      "CPU threads, 1 to 1024 (default: one for each core)", "N" },
  { "verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, "Tell what was loaded and chosen", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const GOptionEntry recipe_entries[] = {
  { "set", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &settings,
      "In place of what the recipe says, as schedule.epochs=20; repeatable", "GROUP.KEY=VALUE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const GOptionEntry model_entries[] = {
  { "weights", 'w', 0, G_OPTION_ARG_FILENAME, &weights,
      "Keras weights file, where MODEL is a network's JSON or other weights are wanted", "FILE" },
  { "labels-file", 0, 0, G_OPTION_ARG_FILENAME, &labels_file,
      "Class names, one a line (default: those in the model file)", "FILE" },
  { "precision", 'p', 0, G_OPTION_ARG_STRING, &precision,
      "auto (default), fp32 or bf16; on CUDA also tf32 and fp16", "P" },
  { "tta", 0, 0, G_OPTION_ARG_STRING, &tta,
      "Test-time augmentation, the mean over several views: none (default), flip, crops5[:PART], "
      "crops10[:PART], scales:S,..., random:N[,SEED], features:SIZE; joined by + with flip, logits",
      "VIEWS" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Parses; returns FALSE after printing what is wrong. What remains is in argv.
 * @arguments: what follows the options. */
static gboolean
parse (const char *arguments, const char *summary, const char *description,
    const GOptionEntry *const *entries, int *argc, char ***argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (arguments);
  g_autoptr (GError) error = NULL;

  g_option_context_set_summary (context, summary);
  g_option_context_set_description (context, description);
  for (; *entries; entries++)
    g_option_context_add_main_entries (context, *entries, NULL);
  if (!g_option_context_parse (context, argc, argv, &error)) {
    usage_error ("%s; see --help", error->message);
    return FALSE;
  }
  if (threads < 0 || threads > 1024) {
    usage_error ("--threads %d: expected 1 to 1024", threads);
    return FALSE;
  }
  return TRUE;
}

static gboolean
get_layout (Layout *value)
{
  *value = LAYOUT_FOLDERS;
  if (g_strcmp0 (layout, "prefix") == 0)
    *value = LAYOUT_PREFIX;
  else if (layout && strcmp (layout, "folders") != 0) {
    usage_error ("--layout %s: expected folders or prefix", layout);
    return FALSE;
  }
  return TRUE;
}

/* so that no picture is overwritten because an argument was forgotten */
static gboolean
check_png_name (const char *option, const char *path)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  if (g_str_has_suffix (lower, ".png"))
    return TRUE;
  usage_error ("%s %s: a sheet is a PNG file: choose a name that ends in .png", option, path);
  return FALSE;
}

static gboolean
ends_in (const char *path, const char *ending)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  return g_str_has_suffix (lower, ending);
}

/* names that Keras takes for another format than the one that is written */
static gboolean
check_model_name (const char *path)
{
  if (ends_in (path, ".keras"))
    usage_error ("--output %s: Keras takes *.keras for a zip archive, HDF5 is written: choose a "
                 "name that ends in .h5",
        path);
  else if (ends_in (path, ".weights.h5"))
    usage_error ("--output %s: Keras takes *.weights.h5 for another format, choose another name",
        path);
  else
    return TRUE;
  return FALSE;
}

static gboolean
is_same_file (const char *a, const char *b)
{
  GStatBuf x, y;

  return g_stat (a, &x) == 0 && g_stat (b, &y) == 0 && x.st_dev == y.st_dev
      && x.st_ino == y.st_ino;
}

/* what open_classifier() and the command read */
static Outputs *
new_outputs (const char *model, const char *const *others)
{
  Outputs *outputs = outputs_new ();

  outputs_add_read (outputs, model);
  outputs_add_read (outputs, weights);
  outputs_add_read (outputs, labels_file);
  for (; others && *others; others++)
    outputs_add_read (outputs, *others);
  return outputs;
}

static gboolean
get_classifier_options (const char *model, ClassifierOptions *options)
{
  g_autoptr (GError) error = NULL;

  *options = (ClassifierOptions) {
    .model = model,
    .weights = weights,
    .labels_file = labels_file,
    .device = device ? device : "auto",
    .threads = (guint) threads,
  };
  if (precision && !nn_precision_from_string (precision, &options->precision)) {
    usage_error ("--precision %s: expected auto, fp32, bf16, tf32 or fp16", precision);
    return FALSE;
  }
  if (!nn_tta_parse (tta, &options->tta, &error)) {
    usage_error ("--tta %s: %s", tta, error->message);
    return FALSE;
  }
  return TRUE;
}

/* NULL after an error message; @status tells the exit code */
static Classifier *
open_classifier (const char *model, int *status)
{
  ClassifierOptions options;
  g_autoptr (GError) error = NULL;
  Classifier *classifier;

  *status = EXIT_USAGE;
  if (!get_classifier_options (model, &options))
    return NULL;
  classifier = classifier_new (&options, &error);
  if (!classifier)
    *status = fail (error);
  return classifier;
}

/* --- commands ----------------------------------------------------------------------------- */

static void
print_temperature (const Classifier *classifier, double was, const Evaluation *before,
    const Evaluation *after)
{
  const double temperature = classifier->model->temperature;

  printf ("temperature %.4f to %.4f: loss %.4f to %.4f, expected calibration error %.4f to %.4f on "
          "%u pictures\n",
      was, temperature, before->metrics->nll, after->metrics->nll, before->metrics->ece,
      after->metrics->ece, after->metrics->n);
  if (after->metrics->n_right == after->metrics->n || calibrate_is_at_end (temperature))
    nn_warning ("%s: these %u pictures do not tell the temperature, %s: take more, which the model "
                "was not trained with",
        before->dir, after->metrics->n,
        after->metrics->n_right == after->metrics->n
            ? "all of them are labelled right"
            : "it is the end of what is looked for (0.05 to 20)");
}

/* The recipe's last step; the same classifier that evaluate makes of the file. */
static gboolean
calibrate_output (const Recipe *recipe, const TrainOptions *options, GError **error)
{
  const ClassifierOptions classifier_options
      = { .model = options->output, .device = options->device, .threads = options->threads };
  g_autoptr (Classifier) classifier = classifier_new (&classifier_options, error);
  g_autoptr (Evaluation) before = NULL;
  g_autoptr (Evaluation) after = NULL;
  DatasetOptions data = { .layout = recipe->layout, .limit = recipe->validate_limit,
    .limit_per_class = recipe->validate_limit_per_class };
  const char *dir = recipe->validate_dir;
  double was;

  if (!classifier)
    return FALSE;
  if (!dir) { /* the pictures that were drawn from those to train with */
    dir = recipe->train_dir;
    data = (DatasetOptions) { .layout = recipe->layout, .limit = recipe->limit,
      .limit_per_class = recipe->limit_per_class, .lists = recipe->lists,
      .held_fraction = recipe_get_held_fraction (recipe), .seed = recipe->seed };
  }
  data.threads = nn_plan_get_threads (classifier->plan);
  was = classifier->model->temperature;
  if (!calibrate_run (classifier, dir, &data,
          recipe->calibrate == CALIBRATE_AUTO ? CALIBRATE_ENOUGH : 0, options->output, &before,
          &after, error))
    return FALSE;
  if (!after)
    return TRUE;
  if (!options->quiet)
    print_temperature (classifier, was, before, after);
  return TRUE;
}

/* One training; its exit status. */
static int
train_once (const Recipe *recipe, const TrainOptions *options)
{
  g_autoptr (GError) error = NULL;

  switch (train_run (recipe, options, &error)) {
    case TRAIN_DONE:
      if (recipe->calibrate && (recipe->validate_dir || recipe_get_held_fraction (recipe) > 0)
          && !calibrate_output (recipe, options, &error))
        return fail (error);
      return EXIT_OK;
    case TRAIN_INTERRUPTED:
      return EXIT_INTERRUPTED;
    default:
      return fail (error);
  }
}

typedef struct
{
  TrainOptions options;
  char *output, *log;
  gboolean is_finished;
} Fold;

static void
fold_clear (Fold *fold)
{
  g_free (fold->output);
  g_free (fold->log);
}

/* @recipe and @fold made those of number @number. With --resume a fold goes on, stays where it
 * is finished by this very command, or is begun. @check: whether it can. */
static gboolean
prepare_fold (Recipe *recipe, const TrainOptions *options, guint n_folds, guint number,
    gboolean check, Fold *fold, GError **error)
{
  g_autofree char *checkpoint = NULL;

  fold->output = folds_name (options->output, number);
  fold->log = options->log ? folds_name (options->log, number) : NULL;
  fold->options = *options;
  fold->options.output = fold->output;
  fold->options.log = fold->log;
  checkpoint = checkpoint_path (fold->output);
  if (!recipe_set_fold (recipe, n_folds, number, error))
    return FALSE;
  fold->options.resume = options->resume && g_file_test (checkpoint, G_FILE_TEST_EXISTS);
  fold->is_finished = options->resume && !fold->options.resume
      && g_file_test (fold->output, G_FILE_TEST_EXISTS);
  /* of a fold without model and checkpoint the log is no loss */
  fold->options.overwrite
      = options->overwrite || (options->resume && !fold->options.resume && !fold->is_finished);
  if (!check)
    return TRUE;
  if (fold->is_finished)
    return train_check_finished (recipe, &fold->options, error);
  return train_check_outputs (recipe, &fold->options, error);
}

/* Each fold, or @only one, in files of its own; with --resume those that are finished stay. */
static int
train_folds (Recipe *recipe, const TrainOptions *options, guint n_folds, guint only)
{
  g_autofree double *accuracies = g_new (double, n_folds);
  g_autoptr (GError) error = NULL;
  double mean, deviation;
  guint n = 0;

  for (guint pass = 0; pass < 2; pass++) { /* all of them are looked at before the first starts */
    for (guint number = 1; number <= n_folds; number++) {
      Fold fold = { 0 };
      int status = EXIT_OK;

      if (only && number != only)
        continue;
      if (!prepare_fold (recipe, options, n_folds, number, pass == 0, &fold, &error)) {
        fold_clear (&fold);
        return fail (error);
      }
      if (pass == 1 && !fold.is_finished) {
        if (!options->quiet)
          printf ("fold %u of %u\n", number, n_folds);
        status = train_once (recipe, &fold.options);
      }
      if (pass == 1 && status == EXIT_OK) {
        if (train_get_accuracy (fold.output, recipe->keep, &accuracies[n]))
          standard_print_line ("fold %u of %u: validation accuracy %.4f, %s", number, n_folds,
              accuracies[n++], fold.output);
        else
          status = EXIT_DATA;
      }
      fold_clear (&fold);
      if (status != EXIT_OK)
        return status;
    }
  }
  folds_get_spread (accuracies, n, &mean, &deviation);
  if (!only)
    printf ("%u folds: mean %.4f, standard deviation %.4f\n", n, mean, deviation);
  return EXIT_OK;
}

/* --set's values and, as one of them, --precision's. */
static GPtrArray *
gather_settings (void)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; settings && settings[i]; i++)
    g_ptr_array_add (all, g_strdup (settings[i]));
  if (precision)
    g_ptr_array_add (all, g_strdup_printf ("training.precision=%s", precision));
  g_ptr_array_add (all, NULL);
  return all;
}

/* The recipe that @name says; where that is a folder of pictures, the one for such, and
 * @data becomes it. */
static gboolean
find_recipe (const char *name, char **data, char **path)
{
  if (!g_file_test (name, G_FILE_TEST_IS_DIR)) {
    *path = recipe_find (name);
    return TRUE;
  }
  if (*data) {
    usage_error ("%s and --data %s: two folders of pictures and no recipe", name, *data);
    return FALSE;
  }
  *data = g_strdup (name);
  *path = recipe_find (RECIPE_DEFAULT);
  return TRUE;
}

static int
command_train (int argc, char **argv)
{
  g_autofree char *data = NULL, *output = NULL, *log = NULL, *init = NULL;
  g_auto (GStrv) lists = NULL;
  gboolean resume = FALSE, overwrite = FALSE, quiet = FALSE, by_name = FALSE, list_recipes = FALSE;
  g_autofree char *path = NULL;
  int folds = 0, fold = 0;
  const GOptionEntry entries[] = {
    { "data", 'd', 0, G_OPTION_ARG_FILENAME, &data,
        "Pictures, instead of the recipe's: DIR/train and DIR/validate, or DIR", "DIR" },
    { "list", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &lists,
        "Train on the pictures of this list too (classify pseudo-label writes such); repeatable",
        "FILE.csv" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
        "Model file to write (default: the recipe's or folder's name with .h5, in this folder)",
        "FILE" },
    { "log", 'l', 0, G_OPTION_ARG_FILENAME, &log, "CSV of the epochs", "FILE" },
    { "folds", 0, 0, G_OPTION_ARG_INT, &folds,
        "Cross-validation: K trainings, each validated with another part of the training pictures; "
        "files get -fold1 and so on into their names",
        "K" },
    { "fold", 0, 0, G_OPTION_ARG_INT, &fold, "Of the folds only this one, from 1 on", "N" },
    { "init", 'i', 0, G_OPTION_ARG_FILENAME, &init,
        "Keras weights or model file to begin with, instead of the recipe's", "FILE" },
    { "init-by-name", 0, 0, G_OPTION_ARG_NONE, &by_name,
        "Take from it the layers of equal name, as load_weights(by_name=True), not in order",
        NULL },
    { "precision", 'p', 0, G_OPTION_ARG_STRING, &precision,
        "Instead of the recipe's: auto, fp32; on CUDA also tf32, bf16 and fp16", "P" },
    { "resume", 'r', 0, G_OPTION_ARG_NONE, &resume,
        "Go on from the checkpoint beside the model file: the result is the same as that of a run "
        "never interrupted",
        NULL },
    { "overwrite", 0, 0, G_OPTION_ARG_NONE, &overwrite,
        "Start anew where a checkpoint, a model or a log of that name is there", NULL },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "Print nothing but errors and warnings", NULL },
    { "recipes", 0, 0, G_OPTION_ARG_NONE, &list_recipes,
        "List the recipes that come with the program, do nothing else", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, recipe_entries, device_entries, NULL };
  g_autoptr (GPtrArray) all_settings = NULL;
  g_autoptr (Recipe) recipe = NULL;
  g_autoptr (GError) error = NULL;
  NnPrecision parsed;
  TrainOptions options;

  if (!parse ("RECIPE|DIR",
          "Trains a network as a recipe says and writes a Keras model file (HDF5) with the class\n"
          "names and the pre-processing in it. A folder of pictures in the recipe's place is\n"
          "trained on by the recipe my-classes.",
          "A checkpoint is written after each epoch, and on SIGINT, SIGTERM or SIGHUP after the\n"
          "batch at hand; a second signal ends at once.\n"
          "Exit status: 0 done, 1 wrong use, 2 data, 3 device, 130 interrupted and saved.",
          all, &argc, &argv))
    return EXIT_USAGE;
  if (list_recipes) {
    g_autofree char *text = recipe_list ();

    standard_print_lines (text);
    return EXIT_OK;
  }
  if (argc != 2)
    return usage_error ("train wants one recipe, or a folder of pictures; classify train --recipes "
                        "lists recipes, --help the options");
  if (folds < 0 || folds == 1 || folds > 1000)
    return usage_error ("--folds %d: expected 2 to 1000", folds);
  if (fold < 0 || fold > folds)
    return usage_error ("--fold %d: expected 1 to %d, the number of --folds", fold, folds);
  if (resume && overwrite)
    return usage_error ("--resume and --overwrite: choose one");
  if (precision && !nn_precision_from_string (precision, &parsed))
    return usage_error ("--precision %s: expected auto, fp32, tf32, bf16 or fp16", precision);
  all_settings = gather_settings ();
  if (!find_recipe (argv[1], &data, &path))
    return EXIT_USAGE;
  recipe = recipe_load_with (path, data, (char **) all_settings->pdata, &error);
  if (!recipe)
    return fail (error);
  for (guint i = 0; lists && lists[i]; i++)
    if (!recipe_add_list (recipe, lists[i], &error))
      return fail (error);
  if (!output) {
    g_autofree char *full = g_canonicalize_filename (argv[1], NULL);
    g_autofree char *name = g_path_get_basename (full);

    if (g_str_has_suffix (name, ".ini"))
      name[strlen (name) - 4] = '\0';
    output = g_strconcat (name, ".h5", NULL);
  }
  if (!check_model_name (output))
    return EXIT_USAGE;
  options = (TrainOptions) {
    .output = output,
    .log = log,
    .device = device ? device : "auto",
    .threads = (guint) threads,
    .init = init,
    .init_by_name = by_name,
    .resume = resume,
    .overwrite = overwrite,
    .quiet = quiet,
  };
  return folds ? train_folds (recipe, &options, (guint) folds, (guint) fold)
               : train_once (recipe, &options);
}

static int
command_preview (int argc, char **argv)
{
  g_autofree char *data = NULL, *output = NULL, *class_name = NULL, *path = NULL;
  int pictures = 6, variants = 5;
  gint64 seed = -1;
  const GOptionEntry entries[] = {
    { "data", 'd', 0, G_OPTION_ARG_FILENAME, &data,
        "Pictures, instead of the recipe's: DIR/train, or DIR", "DIR" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
        "PNG file to write (default: preview.png, in this folder)", "FILE" },
    { "pictures", 'n', 0, G_OPTION_ARG_INT, &pictures,
        "Rows: pictures, evenly of all classes, 1 to 50 (default 6)", "N" },
    { "variants", 'm', 0, G_OPTION_ARG_INT, &variants,
        "Columns: random variants of each, 1 to 16 (default 5)", "M" },
    { "seed", 's', 0, G_OPTION_ARG_INT64, &seed,
        "Decides pictures and variants (default: the recipe's)", "S" },
    { "class", 'c', 0, G_OPTION_ARG_STRING, &class_name, "Only pictures of this class", "LABEL" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, recipe_entries, NULL };
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (Recipe) recipe = NULL;
  g_autoptr (GError) error = NULL;
  PreviewOptions options;

  if (!parse ("RECIPE|DIR",
          "Draws pictures of a recipe's training folder as its [augmentation] makes them: a sheet\n"
          "(PNG) to look at while tinkering with the values.",
          "Columns: the picture as the network gets it without augmentation, then as the first\n"
          "passes of a training with this recipe and seed show it. Under each tile: what was\n"
          "drawn; rotation clockwise, shift to the right and down in pixels of the network's\n"
          "input, zoom along x and y (below 1 enlarges).",
          all, &argc, &argv))
    return EXIT_USAGE;
  if (argc != 2)
    return usage_error ("preview wants one recipe; see classify preview --help");
  if (pictures < 1 || pictures > PREVIEW_MAX_PICTURES)
    return usage_error ("--pictures %d: expected 1 to %d", pictures, PREVIEW_MAX_PICTURES);
  if (variants < 1 || variants > PREVIEW_MAX_VARIANTS)
    return usage_error ("--variants %d: expected 1 to %d", variants, PREVIEW_MAX_VARIANTS);
  if (output && !check_png_name ("--output", output))
    return EXIT_USAGE;
  if (seed < -1)
    return usage_error ("--seed %" G_GINT64_FORMAT ": expected 0 or more", seed);
  if (!find_recipe (argv[1], &data, &path))
    return EXIT_USAGE;
  recipe = recipe_load_with (path, data, settings, &error);
  if (!recipe)
    return fail (error);
  options = (PreviewOptions) {
    .output = output ? output : "preview.png",
    .pictures = (guint) pictures,
    .variants = (guint) variants,
    .seed = seed >= 0 ? (guint64) seed : recipe->seed,
    .class_name = class_name,
  };
  outputs = outputs_new ();
  outputs_add_read (outputs, recipe->path);
  outputs_add_read (outputs, recipe->network);
  outputs_add_read (outputs, recipe->train_dir);
  for (guint i = 0; recipe->lists && recipe->lists[i]; i++)
    outputs_add_list (outputs, recipe->lists[i]);
  outputs_add_write (outputs, "--output", options.output, OUTPUT_SHEET);
  if (!outputs_check (outputs, &error) || !preview_run (recipe, &options, &error))
    return fail (error);
  standard_print_line ("saved %s", options.output);
  return EXIT_OK;
}

static int
command_evaluate (int argc, char **argv)
{
  g_autofree char *format = NULL, *text = NULL;
  const GOptionEntry entries[] = {
    { "layout", 0, 0, G_OPTION_ARG_STRING, &layout,
        "folders (default): one for each class; prefix: the class is the beginning of the name, as "
        "in cat.17.jpg",
        "LAYOUT" },
    { "format", 'f', 0, G_OPTION_ARG_STRING, &format,
        "text (default), or json: one object in one line", "FORMAT" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, model_entries, device_entries, NULL };
  g_autoptr (Classifier) classifier = NULL;
  g_autoptr (Evaluation) evaluation = NULL;
  g_autoptr (GError) error = NULL;
  DatasetOptions options = { 0 };
  int status;

  if (!parse ("MODEL DIR",
          "Measures a model on labelled pictures: loss, accuracy and its 95% interval, confusion\n"
          "matrix, area under the ROC curve, Brier score, calibration error; for each class\n"
          "precision, recall and F1.",
          "The last table tells how often a label was right that was said with such a\n"
          "probability; train/metrics.h says how each number is computed.",
          all, &argc, &argv)
      || !get_layout (&options.layout))
    return EXIT_USAGE;
  if (argc != 3)
    return usage_error ("evaluate wants a model and a folder; see classify evaluate --help");
  if (format && strcmp (format, "text") != 0 && strcmp (format, "json") != 0)
    return usage_error ("--format %s: expected text or json", format);
  classifier = open_classifier (argv[1], &status);
  if (!classifier)
    return status;
  options.threads = nn_plan_get_threads (classifier->plan);
  evaluation = evaluation_new (classifier, argv[2], &options, &error);
  if (!evaluation)
    return fail (error);
  if (g_strcmp0 (format, "json") == 0) {
    text = evaluation_to_json (evaluation, classifier->model);
    puts (text);
  } else {
    text = evaluation_to_text (evaluation, classifier->model);
    standard_print_lines (text);
  }
  return EXIT_OK;
}

static int
command_report (int argc, char **argv)
{
  g_autofree char *output = NULL, *log = NULL, *recipe = NULL, *page = NULL;
  int n_wrong = 24, status;
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Page to write", "FILE.html" },
    { "layout", 0, 0, G_OPTION_ARG_STRING, &layout, "As classify evaluate has it", "LAYOUT" },
    { "log", 'l', 0, G_OPTION_ARG_FILENAME, &log,
        "CSV of the training (default: what the model file tells of it)", "FILE.csv" },
    { "recipe", 'r', 0, G_OPTION_ARG_FILENAME, &recipe, "Recipe to quote", "FILE.ini" },
    { "wrong", 0, 0, G_OPTION_ARG_INT, &n_wrong,
        "Pictures to show that are labelled wrong, the surest first, 0 to 500 (default 24)", "N" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, model_entries, device_entries, NULL };
  g_autoptr (Classifier) classifier = NULL;
  g_autoptr (Evaluation) evaluation = NULL;
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (GError) error = NULL;
  DatasetOptions options = { 0 };
  ReportOptions report;

  if (!parse ("MODEL DIR",
          "Writes one HTML page that tells what a model is worth on labelled pictures: accuracy,\n"
          "confusion matrix, reliability diagram, the pictures that it is wrong and most sure of,\n"
          "learning curves, recipe, network. It needs no other file and no network.",
          NULL, all, &argc, &argv)
      || !get_layout (&options.layout))
    return EXIT_USAGE;
  if (argc != 3 || !output)
    return usage_error ("report wants a model, a folder and -o FILE.html; see classify report "
                        "--help");
  if (n_wrong < 0 || n_wrong > 500)
    return usage_error ("--wrong %d: expected 0 to 500", n_wrong);
  if (!ends_in (output, ".html") && !ends_in (output, ".htm"))
    return usage_error ("--output %s: a page is HTML: choose a name that ends in .html", output);
  outputs = new_outputs (
      argv[1], (const char *const[]) { argv[2], log ? log : recipe, recipe, NULL });
  outputs_add_write (outputs, "--output", output, OUTPUT_PAGE);
  if (!outputs_check (outputs, &error))
    return fail (error);
  classifier = open_classifier (argv[1], &status);
  if (!classifier)
    return status;
  options.threads = nn_plan_get_threads (classifier->plan);
  evaluation = evaluation_new (classifier, argv[2], &options, &error);
  report = (ReportOptions) { log, recipe, tta, (guint) n_wrong };
  if (evaluation)
    page = report_make (evaluation, classifier, &report, &error);
  if (!page || !nn_file_replace (output, page, strlen (page), &error))
    return fail (error);
  return EXIT_OK;
}

static int
command_calibrate (int argc, char **argv)
{
  g_autofree char *output = NULL;
  const GOptionEntry entries[] = {
    { "layout", 0, 0, G_OPTION_ARG_STRING, &layout, "As classify evaluate has it", "LAYOUT" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
        "Model file to write (default: MODEL itself)", "FILE" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, model_entries, device_entries, NULL };
  g_autoptr (Classifier) classifier = NULL;
  g_autoptr (Evaluation) before = NULL;
  g_autoptr (Evaluation) after = NULL;
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (GError) error = NULL;
  DatasetOptions options = { 0 };
  const char *target;
  double was;
  int status;

  if (!parse ("MODEL DIR",
          "Fits a temperature on labelled pictures that the model was not trained on, so that its\n"
          "probabilities are as often right as they say, and writes it into the model file.\n"
          "Labels stay the same; the element, evaluate and predict use it from then on.",
          "State of an optimizer in the file is not kept. Guo et al. 2017.", all, &argc, &argv)
      || !get_layout (&options.layout))
    return EXIT_USAGE;
  if (argc != 3)
    return usage_error ("calibrate wants a model and a folder; see classify calibrate --help");
  target = output ? output : argv[1];
  if (output && !check_model_name (output))
    return EXIT_USAGE;
  /* into the model itself on purpose */
  outputs = new_outputs (output && !is_same_file (output, argv[1]) ? argv[1] : NULL,
      (const char *const[]) { argv[2], NULL });
  outputs_add_write (outputs, output ? "--output" : "calibrate", target, OUTPUT_MODEL);
  if (!outputs_check (outputs, &error))
    return fail (error);
  classifier = open_classifier (argv[1], &status);
  if (!classifier)
    return status;
  options.threads = nn_plan_get_threads (classifier->plan);
  was = classifier->model->temperature;
  if (!calibrate_run (classifier, argv[2], &options, 0, target, &before, &after, &error))
    return fail (error);
  print_temperature (classifier, was, before, after);
  return EXIT_OK;
}

static int
command_predict (int argc, char **argv)
{
  static const char *const names[] = { "text", "csv", "json" };
  g_autofree char *format = NULL, *sheet_path = NULL;
  int top_k = 1, limit = 100, status;
  gboolean is_tensor = FALSE;
  const GOptionEntry entries[] = {
    { "tensor", 0, 0, G_OPTION_ARG_NONE, &is_tensor,
        "The files are what videoclassify dump-input=DIR wrote: what it gave the network", NULL },
    { "top-k", 'k', 0, G_OPTION_ARG_INT, &top_k, "Labels to print, best first (default 1)", "K" },
    { "format", 'f', 0, G_OPTION_ARG_STRING, &format,
        "text (default), csv, or json: one object a line", "FORMAT" },
    { "sheet", 0, 0, G_OPTION_ARG_FILENAME, &sheet_path,
        "Draw the pictures with their labels into a PNG file", "FILE.png" },
    { "sheet-limit", 0, 0, G_OPTION_ARG_INT, &limit,
        "Pictures on the sheet, 1 to 500 (default 100); of more, so many evenly spaced", "N" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, model_entries, device_entries, NULL };
  g_autoptr (Classifier) classifier = NULL;
  g_autoptr (Sheet) sheet = NULL;
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (GError) error = NULL;
  PredictOptions options;
  guint choice = 0, n_bad;

  if (!parse ("MODEL PICTURE...",
          "Prints label and probability of each picture; a folder stands for all pictures in it.",
          "On a sheet a label is green where the picture's folder, or the beginning of its name,\n"
          "is that class (dog/17.jpg, dog.17.jpg), and red where it is another class of the\n"
          "model.\n"
          "Exit status: 2 if a picture could not be read (it is named on standard error, the\n"
          "others are classified all the same).",
          all, &argc, &argv))
    return EXIT_USAGE;
  if (argc < 3)
    return usage_error ("predict wants a model and pictures; see classify predict --help");
  while (format && choice < G_N_ELEMENTS (names) && strcmp (format, names[choice]) != 0)
    choice++;
  if (choice == G_N_ELEMENTS (names))
    return usage_error ("--format %s: expected text, csv or json", format);
  if (top_k < 1)
    return usage_error ("--top-k %d: expected 1 or more", top_k);
  if (limit < 1 || limit > PREDICT_MAX_TILES)
    return usage_error ("--sheet-limit %d: expected 1 to %d", limit, PREDICT_MAX_TILES);
  if (is_tensor) {
    ClassifierOptions classifier_options;

    options = (PredictOptions) { .format = (Format) choice, .top_k = (guint) top_k };
    if (sheet_path || tta)
      return usage_error ("--tensor: the files tell their views and are no pictures: without "
                          "--tta and --sheet");
    if (!get_classifier_options (argv[1], &classifier_options))
      return EXIT_USAGE;
    return predict_dumps (&classifier_options, argv + 2, &options, &error) ? EXIT_OK
                                                                           : fail (error);
  }
  if (sheet_path) {
    if (!check_png_name ("--sheet", sheet_path))
      return EXIT_USAGE;
    outputs = new_outputs (argv[1], (const char *const *) argv + 2);
    outputs_add_write (outputs, "--sheet", sheet_path, OUTPUT_SHEET);
    if (!outputs_check (outputs, &error))
      return fail (error);
    sheet = predict_sheet_new (PREDICT_TILE, FALSE);
  }
  classifier = open_classifier (argv[1], &status);
  if (!classifier)
    return status;
  options = (PredictOptions) {
    .format = (Format) choice,
    .top_k = (guint) top_k,
    .sheet = sheet,
    .sheet_limit = (guint) limit,
  };
  if (!predict_run (classifier, argv + 2, &options, &n_bad, &error)
      || (sheet && !sheet_write (sheet, sheet_path, &error)))
    return fail (error);
  return n_bad ? EXIT_DATA : EXIT_OK;
}

static int
command_explain (int argc, char **argv)
{
  g_autofree char *output = NULL, *label = NULL;
  int limit = 100, size = 240, status;
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Sheet to write", "FILE.png" },
    { "class", 'c', 0, G_OPTION_ARG_STRING, &label,
        "What speaks for this class (default: for the best label of each picture)", "LABEL" },
    { "size", 0, 0, G_OPTION_ARG_INT, &size, "Pixels of a picture, 64 to 1024 (default 240)", "N" },
    { "limit", 0, 0, G_OPTION_ARG_INT, &limit,
        "Pictures on the sheet, 1 to 500 (default 100); of more, so many evenly spaced", "N" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, model_entries, device_entries, NULL };
  g_autoptr (Classifier) classifier = NULL;
  g_autoptr (Sheet) sheet = NULL;
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (GError) error = NULL;
  PredictOptions options = { .format = FORMAT_TEXT, .top_k = 1, .explain = TRUE };
  guint n_bad;

  if (!parse ("MODEL PICTURE...",
          "Draws beside each picture what of it speaks for its label: a class activation map\n"
          "(Grad-CAM) of the network's last feature maps, clear through yellow to red.",
          "Exit status: 2 if a picture could not be read, or the network has no feature maps.",
          all, &argc, &argv))
    return EXIT_USAGE;
  if (argc < 3 || !output)
    return usage_error ("explain wants a model, pictures and -o FILE.png; see classify explain "
                        "--help");
  if (limit < 1 || limit > PREDICT_MAX_TILES)
    return usage_error ("--limit %d: expected 1 to %d", limit, PREDICT_MAX_TILES);
  if (size < 64 || size > 1024)
    return usage_error ("--size %d: expected 64 to 1024", size);
  if (!check_png_name ("--output", output))
    return EXIT_USAGE;
  outputs = new_outputs (argv[1], (const char *const *) argv + 2);
  outputs_add_write (outputs, "--output", output, OUTPUT_SHEET);
  if (!outputs_check (outputs, &error))
    return fail (error);
  sheet = predict_sheet_new ((guint) size, TRUE);
  classifier = open_classifier (argv[1], &status);
  if (!classifier)
    return status;
  options.sheet = sheet;
  options.sheet_limit = (guint) limit;
  options.explained_label = label;
  if (!predict_run (classifier, argv + 2, &options, &n_bad, &error)
      || !sheet_write (sheet, output, &error))
    return fail (error);
  return n_bad ? EXIT_DATA : EXIT_OK;
}

static int
command_pseudo_label (int argc, char **argv)
{
  g_autofree char *unlabelled = NULL, *data = NULL, *output = NULL, *list = NULL, *undo = NULL;
  g_autofree char *log = NULL;
  gboolean balance = FALSE, hard = FALSE, soft = FALSE, links = FALSE, move = FALSE;
  gboolean check = FALSE, dry_run = FALSE;
  double threshold = 0.9;
  const GOptionEntry entries[] = {
    { "unlabelled", 'u', 0, G_OPTION_ARG_FILENAME, &unlabelled,
        "Pictures to label, those in sub-folders too (default: DIR/unlabelled of --data)", "DIR" },
    { "data", 'd', 0, G_OPTION_ARG_FILENAME, &data,
        "Labelled pictures: DIR/train and DIR/validate, or DIR; what these have is left out",
        "DIR" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
        "List to write (.csv), or the folder for --links or --move", "OUT" },
    { "threshold", 0, 0, G_OPTION_ARG_DOUBLE, &threshold,
        "Least probability of a label, 0 (all) to 1 (default 0.9)", "P" },
    { "balance", 0, 0, G_OPTION_ARG_NONE, &balance, "As many of each class, the surest", NULL },
    { "hard", 0, 0, G_OPTION_ARG_NONE, &hard, "Label with the likeliest class (default)", NULL },
    { "soft", 0, 0, G_OPTION_ARG_NONE, &soft, "Label with the probabilities (a list)", NULL },
    { "list", 0, 0, G_OPTION_ARG_FILENAME, &list,
        "With --links or --move: write a list too; without: as --output", "FILE.csv" },
    { "links", 0, 0, G_OPTION_ARG_NONE, &links,
        "Make OUT a folder of symbolic links that can be trained on", NULL },
    { "move", 0, 0, G_OPTION_ARG_NONE, &move,
        "Move the pictures into OUT, a training folder, and log it there", NULL },
    { "undo", 0, 0, G_OPTION_ARG_FILENAME, &undo,
        "Move back what a --move logged (OUT/" PSEUDO_LABEL_LOG "), do nothing else", "LOG" },
    { "layout", 0, 0, G_OPTION_ARG_STRING, &layout,
        "Of links and moved pictures: folders (default), one for each class; prefix: the class in "
        "front of the name",
        "LAYOUT" },
    { "check", 0, 0, G_OPTION_ARG_NONE, &check,
        "Tell how many labels are right, where folder or name tells the class (cat.17.jpg)",
        NULL },
    { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry_run, "Only report what would be done", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry *const all[] = { entries, model_entries, device_entries, NULL };
  g_autoptr (Classifier) classifier = NULL;
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (GError) error = NULL;
  PseudoLabelOptions options;
  Layout value;
  int status;

  if (!parse ("MODEL",
          "Labels pictures with what a model takes them for, and writes those that it is sure of\n"
          "for training.",
          "A list is a CSV file: classify train --list, or [data] list= of a recipe, trains on it\n"
          "too. Pictures stay where they are but for --move. Nothing is overwritten but a list.",
          all, &argc, &argv)
      || !get_layout (&value))
    return EXIT_USAGE;
  if (undo) {
    if (argc != 1)
      return usage_error ("--undo wants nothing but the log");
    return pseudo_label_undo (undo, &error) ? EXIT_OK : fail (error);
  }
  if (argc != 2)
    return usage_error ("pseudo-label wants one model; see classify pseudo-label --help");
  if (!unlabelled && data)
    unlabelled = g_build_filename (data, "unlabelled", NULL);
  if (!unlabelled)
    return usage_error ("--unlabelled is missing: name the folder of pictures to label");
  if (!(threshold >= 0 && threshold <= 1))
    return usage_error ("--threshold %g: expected 0 to 1", threshold);
  if (links && move)
    return usage_error ("--links and --move: choose one");
  if (hard && soft)
    return usage_error ("--hard and --soft: choose one");
  if ((links || move) && !output)
    return usage_error ("--output is missing: name the folder for %s",
        links ? "links" : "pictures");
  if (!links && !move) {
    if (output && list)
      return usage_error ("--output and --list: a list has one name, choose one");
    if (output)
      list = g_steal_pointer (&output);
    if (!list && !dry_run)
      return usage_error ("--output is missing: name the list to write");
  }
  if (soft && !list && !dry_run)
    return usage_error ("--soft: only a list holds probabilities, add --list FILE.csv");
  if (list && !g_str_has_suffix (list, ".csv"))
    return usage_error ("%s: a list is a CSV file: choose a name that ends in .csv", list);
  outputs = new_outputs (argv[1], (const char *const[]) { unlabelled, data, NULL });
  outputs_add_write (outputs, "the list", list, OUTPUT_LIST);
  if (move) {
    log = g_build_filename (output, PSEUDO_LABEL_LOG, NULL);
    if (g_file_test (log, G_FILE_TEST_EXISTS))
      outputs_add_write (outputs, "--move", log, OUTPUT_MOVES);
  }
  if (!dry_run && !outputs_check (outputs, &error))
    return fail (error);
  classifier = open_classifier (argv[1], &status);
  if (!classifier)
    return status;
  options = (PseudoLabelOptions) {
    .unlabelled = unlabelled,
    .data = data,
    .list = list,
    .folder = output,
    .is_move = move,
    .layout = value,
    .threshold = threshold,
    .balance = balance,
    .soft = soft,
    .check = check,
    .dry_run = dry_run,
    .threads = nn_plan_get_threads (classifier->plan),
  };
  return pseudo_label_run (classifier, &options, &error) ? EXIT_OK : fail (error);
}

static int
command_summary (int argc, char **argv)
{
  const GOptionEntry *const all[] = { device_entries, NULL };
  g_autoptr (NnModel) model = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  if (!parse ("MODEL", "Prints the layers of a model file or a Keras JSON file.", NULL, all,
          &argc, &argv))
    return EXIT_USAGE;
  if (argc != 2)
    return usage_error ("summary wants a model; see classify summary --help");
  model = nn_model_open (argv[1], NULL, &error);
  if (!model)
    return fail (error);
  text = nn_model_summary (model);
  standard_print_lines (text);
  if (model->has_preprocess) {
    g_autofree char *pre = nn_preprocess_to_string (&model->preprocess);

    standard_print_line ("Pre-processing: %s", pre);
  }
  if (model->labels) {
    g_autofree char *labels = g_strjoinv (", ", model->labels);

    standard_print_line ("Labels: %s", labels);
  }
  return EXIT_OK;
}

static int
command_devices (int argc, char **argv)
{
  const GOptionEntry none[] = { { NULL, 0, 0, 0, NULL, NULL, NULL } };
  const GOptionEntry *const all[] = { none, NULL };
  g_autoptr (GPtrArray) devices = NULL;

  if (!parse (NULL, "Lists what models can run on, and why something cannot be used.", NULL,
          all, &argc, &argv))
    return EXIT_USAGE;
  devices = nn_backend_list_devices ();
  for (guint i = 0; i < devices->len; i++) {
    const NnDeviceInfo *info = g_ptr_array_index (devices, i);

    standard_print_line ("%-8s %s%s%s", info->device, info->description,
        info->reason ? ": " : "", info->reason ? info->reason : "");
  }
  return EXIT_OK;
}

static int
command_curve (int argc, char **argv)
{
  const GOptionEntry none[] = { { NULL, 0, 0, 0, NULL, NULL, NULL } };
  const GOptionEntry *const all[] = { none, NULL };
  g_autoptr (Outputs) outputs = NULL;
  g_autoptr (GError) error = NULL;

  if (!parse ("LOG.csv OUTPUT.png|.svg",
          "Draws the learning curve out of a log of `classify train --log`.", NULL, all, &argc,
          &argv))
    return EXIT_USAGE;
  if (argc != 3)
    return usage_error ("curve wants a log and an output file; see classify curve --help");
  if (!ends_in (argv[2], ".png") && !ends_in (argv[2], ".svg"))
    return usage_error ("%s: a curve is a picture: choose a name that ends in .png or .svg",
        argv[2]);
  outputs = outputs_new ();
  outputs_add_read (outputs, argv[1]);
  outputs_add_write (outputs, "the curve", argv[2],
      ends_in (argv[2], ".svg") ? OUTPUT_CURVE : OUTPUT_SHEET);
  if (!outputs_check (outputs, &error) || !curve_draw (argv[1], argv[2], &error))
    return fail (error);
  return EXIT_OK;
}

static const struct
{
  const char *name;
  int (*run) (int argc, char **argv);
  const char *what;
} commands[] = {
  { "train", command_train, "train a network as a recipe says" },
  { "preview", command_preview, "draw what a recipe's augmentation makes of its pictures" },
  { "evaluate", command_evaluate, "measure a model on labelled pictures" },
  { "report", command_report, "the same as a page to look at" },
  { "calibrate", command_calibrate, "fit a temperature to a model's probabilities" },
  { "predict", command_predict, "label pictures" },
  { "explain", command_explain, "draw what in pictures speaks for their labels" },
  { "pseudo-label", command_pseudo_label, "label pictures to train on them" },
  { "summary", command_summary, "print the layers of a model" },
  { "devices", command_devices, "list what models can run on" },
  { "curve", command_curve, "draw the learning curve of a training log" },
};

static void
print_help (FILE *to)
{
  fputs ("Usage: classify COMMAND [OPTION...] ...\n\n"
         "Trains image classifiers on folders of pictures, for the GStreamer element\n"
         "videoclassify and for Keras.\n\nCommands:\n",
      to);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (to, "  %-12s %s\n", commands[i].name, commands[i].what);
  fputs ("\nclassify COMMAND --help tells the options of a command.\n"
         "Exit status: 0 done, 1 wrong use, 2 data, 3 device, 130 interrupted and saved.\n",
      to);
}

int
main (int argc, char **argv)
{
  standard_streams_guard (EXIT_DATA);
  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C"); /* numbers are read by programs */
  nn_log_set_sink (print_log, NULL);
  if (argc < 2) {
    print_help (stderr);
    return EXIT_USAGE;
  }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0
      || strcmp (argv[1], "help") == 0) {
    print_help (stdout);
    return EXIT_OK;
  }
  if (strcmp (argv[1], "--version") == 0) {
    puts ("classify " CLASSIFY_VERSION);
    return EXIT_OK;
  }
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    if (strcmp (argv[1], commands[i].name) == 0) {
      g_autofree char *name = g_strconcat ("classify ", commands[i].name, NULL);

      g_set_prgname (name); /* in usage lines */
      return commands[i].run (argc - 1, argv + 1);
    }
  }
  if (argv[1][0] == '-')
    return usage_error (
        "%s: options stand behind the command: classify COMMAND %s ...; see classify --help",
        argv[1], argv[1]);
  return usage_error ("there is no command \"%s\"; see classify --help", argv[1]);
}
