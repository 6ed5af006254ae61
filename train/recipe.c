/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/recipe.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "train/recipe-find.h"

/* A reader that remembers which keys were asked for, so that what is left over
 * can be reported, and what each came to, and stops at the first error. */
typedef struct
{
  GKeyFile *file;
  const char *path;
  GHashTable *known; /* "group", "group/key" */
  GString *values;   /* "group.key=value" in each line: of all that changes the numbers */
  GError *error;
} Reader;

static gboolean
has (Reader *r, const char *group, const char *key)
{
  g_hash_table_add (r->known, g_strdup (group));
  g_hash_table_add (r->known, g_strdup_printf ("%s/%s", group, key));
  return !r->error && g_key_file_has_key (r->file, group, key, NULL);
}

static gboolean
has_group (Reader *r, const char *group)
{
  g_hash_table_add (r->known, g_strdup (group));
  return g_key_file_has_group (r->file, group);
}

static void
fail (Reader *r, const char *group, const char *key, const char *expected)
{
  g_autofree char *value = g_key_file_get_value (r->file, group, key, NULL);

  if (!r->error)
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT, "%s: [%s] %s=%s: expected %s", r->path,
        group, key, value ? value : "", expected);
}

static void G_GNUC_PRINTF (4, 5)
note (Reader *r, const char *group, const char *key, const char *format, ...)
{
  g_autofree char *value = NULL;
  va_list args;

  va_start (args, format);
  value = g_strdup_vprintf (format, args);
  va_end (args);
  g_strdelimit (value, "\n", ' ');
  g_string_append_printf (r->values, "%s.%s=%s\n", group, key, value);
}

/* the shortest that reads as the same number */
static const char *
format_double (char *text, double value)
{
  g_ascii_formatd (text, G_ASCII_DTOSTR_BUF_SIZE, "%.15g", value);
  if (g_ascii_strtod (text, NULL) != value)
    g_ascii_formatd (text, G_ASCII_DTOSTR_BUF_SIZE, "%.17g", value);
  return text;
}

static void
note_double (Reader *r, const char *group, const char *key, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  note (r, group, key, "%s", format_double (text, value));
}

/* A text that changes no number, as a path, or whose meaning is noted where it is read. */
static char *
get_string (Reader *r, const char *group, const char *key, const char *preset)
{
  g_autofree char *value = NULL;

  if (!has (r, group, key))
    return g_strdup (preset);
  value = g_key_file_get_string (r->file, group, key, NULL);
  return g_strdup (value ? g_strstrip (value) : "");
}

static gboolean
parse_double (const char *text, double *value)
{
  char *end;

  *value = g_ascii_strtod (text, &end);
  return end != text && *end == '\0' && isfinite (*value);
}

static double
get_double (Reader *r, const char *group, const char *key, double preset, double min, double max)
{
  g_autofree char *text = NULL;
  double value = preset;

  if (has (r, group, key)) {
    text = get_string (r, group, key, "");
    if (!parse_double (text, &value) || value < min || value > max) {
      g_autofree char *expected = g_strdup_printf ("a number from %g to %g", min, max);

      fail (r, group, key, expected);
      return preset;
    }
  }
  note_double (r, group, key, value);
  return value;
}

static guint64
get_uint (Reader *r, const char *group, const char *key, guint64 preset, guint64 min, guint64 max)
{
  g_autofree char *text = NULL;
  guint64 value = preset;

  if (has (r, group, key)) {
    text = get_string (r, group, key, "");
    if (!g_ascii_string_to_unsigned (text, 10, min, max, &value, NULL)) {
      g_autofree char *expected = g_strdup_printf (
          "a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, min, max);

      fail (r, group, key, expected);
      return preset;
    }
  }
  note (r, group, key, "%" G_GUINT64_FORMAT, value);
  return value;
}

static gboolean
get_bool (Reader *r, const char *group, const char *key, gboolean preset)
{
  GError *error = NULL;
  gboolean value = preset;

  if (has (r, group, key))
    value = g_key_file_get_boolean (r->file, group, key, &error);
  if (error) {
    g_error_free (error);
    fail (r, group, key, "true or false");
  }
  note (r, group, key, "%s", value ? "true" : "false");
  return value;
}

/* the index of the value in @names */
static guint
get_choice (Reader *r, const char *group, const char *key, guint preset, const char *const *names)
{
  g_autofree char *text = NULL, *all = NULL, *expected = NULL;

  if (!has (r, group, key)) {
    note (r, group, key, "%s", names[preset]);
    return preset;
  }
  text = get_string (r, group, key, "");
  for (guint i = 0; names[i]; i++) {
    if (strcmp (names[i], text) == 0) {
      note (r, group, key, "%s", text);
      return i;
    }
  }
  all = g_strjoinv (", ", (char **) names);
  expected = g_strdup_printf ("one of %s", all);
  fail (r, group, key, expected);
  return preset;
}

/* "a;b;c" as numbers; NULL where the key is absent */
static double *
get_list (Reader *r, const char *group, const char *key, double min, double max, guint *n)
{
  g_autofree char *text = NULL;
  g_autoptr (GString) noted = g_string_new (NULL);
  g_auto (GStrv) items = NULL;
  double *values;

  *n = 0;
  if (!has (r, group, key)) {
    note (r, group, key, "%s", "");
    return NULL;
  }
  text = get_string (r, group, key, "");
  g_strdelimit (text, ",", ';');
  items = g_strsplit (text, ";", -1);
  values = g_new0 (double, g_strv_length (items) + 1);
  for (guint i = 0; items[i]; i++) {
    char *item = g_strstrip (items[i]);

    if (*item == '\0')
      continue;
    if (!parse_double (item, &values[*n]) || values[*n] < min || values[*n] > max) {
      g_autofree char *expected
          = g_strdup_printf ("numbers from %g to %g with semicolons between", min, max);

      fail (r, group, key, expected);
      break;
    }
    g_string_append_printf (noted, "%s%s", *n ? ";" : "",
        format_double ((char[G_ASCII_DTOSTR_BUF_SIZE]) { 0 }, values[*n]));
    ++*n;
  }
  note (r, group, key, "%s", noted->str);
  return values;
}

static char *
resolve (const Recipe *recipe, const char *path)
{
  g_autofree char *dir = NULL;

  if (!path || *path == '\0')
    return NULL;
  if (g_path_is_absolute (path))
    return g_strdup (path);
  dir = g_path_get_dirname (recipe->path);
  return g_build_filename (dir, path, NULL);
}

static void
read_lists (Recipe *recipe, const char *text)
{
  g_auto (GStrv) items = g_strsplit (text, ";", -1);
  GPtrArray *lists = g_ptr_array_new ();

  for (guint i = 0; items[i]; i++)
    if (*g_strstrip (items[i]))
      g_ptr_array_add (lists, resolve (recipe, items[i]));
  g_ptr_array_add (lists, NULL);
  recipe->lists = (char **) g_ptr_array_free (lists, FALSE);
}

static void
read_data (Reader *r, Recipe *recipe, const char *data_dir)
{
  static const char *const layouts[] = { "folders", "prefix", NULL };
  g_autofree char *train = get_string (r, "data", "train", NULL);
  g_autofree char *validate = get_string (r, "data", "validate", NULL);
  g_autofree char *lists = get_string (r, "data", "list", NULL);
  g_autofree double *sizes = NULL;
  guint n_sizes;

  recipe->layout = get_choice (r, "data", "layout", LAYOUT_FOLDERS, layouts);
  recipe->limit = (guint) get_uint (r, "data", "limit", 0, 1, G_MAXINT);
  recipe->limit_per_class = (guint) get_uint (r, "data", "limit_per_class", 0, 1, G_MAXINT);
  recipe->validate_limit = (guint) get_uint (r, "data", "validate_limit", 0, 1, G_MAXINT);
  recipe->validate_limit_per_class
      = (guint) get_uint (r, "data", "validate_limit_per_class", 0, 1, G_MAXINT);
  recipe->validation_split = get_double (r, "data", "validation_split", 0, 0, 0.9);
  sizes = get_list (r, "data", "picture_size", 1, 65536, &n_sizes);
  if (sizes && n_sizes > 2)
    fail (r, "data", "picture_size", "pixels of a side, or \"height;width\"");
  else if (sizes && n_sizes) {
    recipe->picture_height = (guint) sizes[0];
    recipe->picture_width = (guint) sizes[n_sizes - 1];
  }
  if (lists)
    read_lists (recipe, lists);
  if (data_dir) {
    g_auto (FolderParts) parts = { NULL };

    folder_parts_find (data_dir, recipe->layout == LAYOUT_PREFIX, &parts);
    recipe->train_dir = g_strdup (parts.train ? parts.train : parts.root);
    recipe->validate_dir = g_strdup (parts.validate);
    return;
  }
  recipe->train_dir = resolve (recipe, train);
  recipe->validate_dir = resolve (recipe, validate);
  if (!recipe->train_dir && !r->error)
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [data] train is missing: name the folder of pictures there, or with --data DIR",
        r->path);
}

/* "none", one grey level or red, green and blue */
static void
read_background (Reader *r, NnPreprocess *pre)
{
  static const struct
  {
    const char *name, *value;
  } names[] = { { "white", "255" }, { "black", "0" } };
  static const char *const expected
      = "none, white, black, a level from 0 to 255, or three of them: red, green and blue";
  g_autofree char *text = get_string (r, "preprocess", "background", "none");
  g_auto (GStrv) items = NULL;
  guint n;

  if (strcmp (text, "none") == 0 || r->error) {
    note (r, "preprocess", "background", "none");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (strcmp (text, names[i].name) == 0) {
      g_free (text);
      text = g_strdup (names[i].value);
    }
  }
  g_strdelimit (text, ",", ';');
  items = g_strsplit (text, ";", -1);
  n = g_strv_length (items);
  if (n > 1 && items[n - 1][0] == '\0') /* a list may end in its separator */
    n--;
  if (n != 1 && n != 3)
    fail (r, "preprocess", "background", expected);
  for (guint c = 0; c < 3 && !r->error; c++) {
    guint64 value;

    if (g_ascii_string_to_unsigned (g_strstrip (items[n == 1 ? 0 : c]), 10, 0, 255, &value, NULL))
      pre->background[c] = (guint8) value;
    else
      fail (r, "preprocess", "background", expected);
  }
  pre->has_background = TRUE;
  note (r, "preprocess", "background", "%u;%u;%u", pre->background[0], pre->background[1],
      pre->background[2]);
}

static void
read_preprocess (Reader *r, Recipe *recipe)
{
  static const char *const channels[] = { "rgb", "bgr", "gray", NULL };
  static const char *const resizes[] = { "nearest", "bilinear", "area", NULL };
  static const char *const aspects[] = { "stretch", "letterbox", "center-crop", NULL };
  g_autofree double *mean = NULL, *scale = NULL;
  guint n_mean, n_scale, n;

  nn_preprocess_init (&recipe->preprocess, 1, 1);
  recipe->preprocess.channels
      = get_choice (r, "preprocess", "channels", NN_CHANNELS_RGB, channels);
  recipe->preprocess.resize = get_choice (r, "preprocess", "resize", NN_RESIZE_NEAREST, resizes);
  recipe->preprocess.aspect
      = get_choice (r, "preprocess", "aspect", NN_ASPECT_STRETCH, aspects);
  recipe->preprocess.pad = (guint8) get_uint (r, "preprocess", "pad", 0, 0, 255);
  n = nn_preprocess_get_n_channels (&recipe->preprocess);
  mean = get_list (r, "preprocess", "mean", -1e4, 1e4, &n_mean);
  scale = get_list (r, "preprocess", "scale", -1e4, 1e4, &n_scale);
  if (mean && n_mean != 1 && n_mean != n)
    fail (r, "preprocess", "mean", "one number, or one a channel");
  if (scale && n_scale != 1 && n_scale != n)
    fail (r, "preprocess", "scale", "one number, or one a channel");
  read_background (r, &recipe->preprocess);
  if (r->error)
    return;
  for (guint c = 0; c < n; c++) {
    if (mean)
      recipe->preprocess.mean[c] = (float) mean[n_mean == 1 ? 0 : c];
    if (scale)
      recipe->preprocess.scale[c] = (float) scale[n_scale == 1 ? 0 : c];
  }
}

/* "low;high" into @range, which keeps what it has where the key is absent */
static void
get_range (Reader *r, const char *group, const char *key, double min, double max, double range[2])
{
  guint n;
  g_autofree double *values = get_list (r, group, key, min, max, &n);

  if (!values)
    return;
  if (n != 2 || values[0] > values[1])
    fail (r, group, key, "two numbers \"low;high\"");
  else
    memcpy (range, values, 2 * sizeof (double));
}

static void
read_augmentation (Reader *r, const char *group, NnAugment *a)
{
  static const char *const fills[] = { "nearest", "constant", "reflect", "wrap", NULL };
  static const char *const versions[] = { "2.1.2", "2.1.3", "2.1.4", "2.2", "tf.keras", NULL };
  static const char *const units[] = { "radians", "degrees", NULL };
  g_autofree double *zoom = NULL;
  guint n, version;

  nn_augment_init (a);
  version = get_choice (r, group, "keras_version", 0, versions);
  a->shear_in_degrees = version >= 1;
  a->interpolation_order = version >= 2;
  a->swap_axes = version == 4;
  a->center_offset = version == 4 ? -0.5 : 0.5;
  a->rotation_range = get_double (r, group, "rotation_range", 0, 0, 180);
  a->width_shift_range = get_double (r, group, "width_shift_range", 0, 0, 1e4);
  a->height_shift_range = get_double (r, group, "height_shift_range", 0, 0, 1e4);
  a->shear_range = get_double (r, group, "shear_range", 0, 0, 90);
  zoom = get_list (r, group, "zoom_range", 0, 10, &n);
  if (zoom && n == 1) {
    if (zoom[0] >= 1)
      fail (r, group, "zoom_range", "a number below 1, or the two ends \"0.8;1.2\"");
    a->zoom_range[0] = 1 - zoom[0];
    a->zoom_range[1] = 1 + zoom[0];
  } else if (zoom && n == 2 && zoom[0] > 0 && zoom[0] <= zoom[1]) {
    a->zoom_range[0] = zoom[0];
    a->zoom_range[1] = zoom[1];
  } else if (zoom) {
    fail (r, group, "zoom_range", "a number below 1, or the two ends \"0.8;1.2\"");
  }
  a->channel_shift_range = get_double (r, group, "channel_shift_range", 0, 0, 255);
  a->horizontal_flip = get_bool (r, group, "horizontal_flip", FALSE);
  a->vertical_flip = get_bool (r, group, "vertical_flip", FALSE);
  a->fill_mode = get_choice (r, group, "fill_mode", NN_FILL_NEAREST, fills);
  a->cval = get_double (r, group, "cval", 0, 0, 255);
  a->interpolation_order
      = (guint) get_uint (r, group, "interpolation_order", a->interpolation_order, 0, 1);
  a->shear_in_degrees = get_choice (r, group, "shear_unit", a->shear_in_degrees, units);
  get_range (r, group, "random_resized_crop", 1e-3, 1, a->crop_scale);
  get_range (r, group, "crop_ratio", 0.01, 100, a->crop_ratio);
  a->brightness = get_double (r, group, "brightness", 0, 0, 1);
  a->contrast = get_double (r, group, "contrast", 0, 0, 1);
  a->saturation = get_double (r, group, "saturation", 0, 0, 1);
  a->grayscale = get_double (r, group, "grayscale", 0, 0, 1);
  a->erasing = get_double (r, group, "random_erasing", 0, 0, 1);
  get_range (r, group, "erasing_area", 1e-3, 1, a->erasing_area);
}

static void
read_mixing (Reader *r, Recipe *recipe)
{
  recipe->mixing.mixup = get_double (r, "mixing", "mixup", 0, 0, 1);
  recipe->mixing.cutmix = get_double (r, "mixing", "cutmix", 0, 0, 1);
  recipe->mixing.probability = get_double (r, "mixing", "probability", 1, 0, 1);
}

static void
read_unlabelled (Reader *r, Recipe *recipe, const char *data_dir)
{
  g_autofree char *dir = get_string (r, "unlabelled", "folder", NULL);
  gboolean wanted = has_group (r, "unlabelled");
  const gsize n_noted = r->values->len;

  note (r, "unlabelled", "folder", "%s", wanted ? "given" : "");
  recipe->unlabelled_batch
      = (guint) get_uint (r, "unlabelled", "batch_size", recipe->batch_size, 1, 65536);
  recipe->threshold = get_double (r, "unlabelled", "threshold", 0.95, 0, 1);
  recipe->unlabelled_weight = get_double (r, "unlabelled", "weight", 1, 0, 1000);
  recipe->unlabelled_start = (guint) get_uint (r, "unlabelled", "start_epoch", 0, 0, G_MAXINT);
  recipe->unlabelled_ramp = (guint) get_uint (r, "unlabelled", "ramp_epochs", 0, 0, G_MAXINT);
  recipe->strong = recipe->augment;
  if (has_group (r, "strong_augmentation"))
    read_augmentation (r, "strong_augmentation", &recipe->strong);
  if (!wanted) { /* then none of these counts */
    g_string_truncate (r->values, n_noted);
    return;
  }
  if (data_dir) {
    g_auto (FolderParts) parts = { NULL };

    folder_parts_find (data_dir, recipe->layout == LAYOUT_PREFIX, &parts);
    recipe->unlabelled_dir = g_build_filename (parts.root, "unlabelled", NULL);
  } else if (!(recipe->unlabelled_dir = resolve (recipe, dir)) && !r->error) {
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [unlabelled] folder is missing: name the folder of pictures without labels there, or "
        "with --data DIR (DIR/unlabelled)",
        r->path);
  }
}

static void
read_training (Reader *r, Recipe *recipe)
{
  static const char *const variances[] = { "biased", "bessel", NULL };
  static const char *const keeps[] = { "last", "best", NULL };
  static const char *const calibrates[] = { "false", "true", "auto", NULL };
  /* in NnPrecision's order */
  static const char *const precisions[] = { "auto", "fp32", "tf32", "fp16", "bf16", NULL };
  static const char *const group = "training";
  g_autofree char *weights = NULL;
  gsize n_noted;

  recipe->batch_size = (guint) get_uint (r, group, "batch_size", 32, 1, 65536);
  recipe->precision
      = (NnPrecision) get_choice (r, group, "precision", NN_PRECISION_AUTO, precisions);
  recipe->seed = get_uint (r, group, "seed", 1, 0, G_MAXINT64);
  recipe->bessel_moving_variance = get_choice (r, group, "moving_variance", 0, variances);
  recipe->label_smoothing = get_double (r, group, "label_smoothing", 0, 0, 0.999);
  recipe->ema = get_double (r, group, "ema", 0, 0, 0.9999999);
  recipe->keep = (Keep) get_choice (r, group, "keep", KEEP_LAST, keeps);
  recipe->patience = (guint) get_uint (r, group, "early_stopping", 0, 1, G_MAXINT);
  n_noted = r->values->len;
  recipe->calibrate = (Calibrate) get_choice (r, group, "calibrate", CALIBRATE_NO, calibrates);
  g_string_truncate (r->values, n_noted); /* comes after the run and changes nothing in it */
  weights = get_string (r, group, "class_weights", NULL);
  if (g_strcmp0 (weights, "balanced") == 0) {
    recipe->balance = TRUE;
    note (r, group, "class_weights", "balanced");
  } else if (weights) {
    recipe->class_weights
        = get_list (r, group, "class_weights", 0, 1e6, &recipe->n_class_weights);
  }
}

static void
read_network (Reader *r, Recipe *recipe)
{
  static const char *const matches[] = { "order", "name", NULL };
  g_autofree char *network = get_string (r, "network", "file", NULL);
  g_autofree char *init = get_string (r, "network", "init", NULL);
  g_autofree char *freeze = get_string (r, "network", "freeze", NULL);
  g_autofree char *noted = NULL;

  if (network && *network)
    recipe->network = recipe_find_network (recipe->path, network);
  recipe->init = resolve (recipe, init);
  recipe->init_match
      = (NnWeightsMatch) get_choice (r, "network", "init_by", NN_WEIGHTS_BY_ORDER, matches);
  if (freeze) {
    recipe->freeze = g_strsplit (g_strdelimit (freeze, ",", ';'), ";", -1);
    for (guint i = 0; recipe->freeze[i]; i++)
      g_strstrip (recipe->freeze[i]);
    noted = g_strjoinv (";", recipe->freeze);
  }
  note (r, "network", "freeze", "%s", noted ? noted : "");
  if (!recipe->network && !r->error)
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [network] file is missing: name a Keras JSON file", r->path);
}

static void
read_optimizer (Reader *r, Recipe *recipe)
{
  static const char *const names[] = { "adam", "sgd", "adamw", NULL };

  recipe->optimizer = get_choice (r, "optimizer", "name", NN_OPTIMIZER_ADAM, names);
  recipe->beta_1 = get_double (r, "optimizer", "beta_1", 0.9, 0, 0.999999);
  recipe->beta_2 = get_double (r, "optimizer", "beta_2", 0.999, 0, 0.999999999);
  recipe->epsilon = get_double (r, "optimizer", "epsilon", 1e-7, 1e-12, 1);
  recipe->momentum = get_double (r, "optimizer", "momentum", 0, 0, 1);
  recipe->decay = get_double (r, "optimizer", "decay", 0, 0, 1);
  recipe->nesterov = get_bool (r, "optimizer", "nesterov", FALSE);
  recipe->weight_decay = get_double (r, "optimizer", "weight_decay",
      recipe->optimizer == NN_OPTIMIZER_ADAMW ? 4e-3 : 0, 0, 100);
}

static void
read_schedule (Reader *r, Recipe *recipe)
{
  static const char *const changes[] = { "applied", "ignored", NULL };
  static const char *const steps[] = { "all", "whole-batches", NULL };
  guint n_epochs, n_rates;
  g_autofree double *epochs = get_list (r, "schedule", "epochs", 1, 1e6, &n_epochs);
  g_autofree double *rates = get_list (r, "schedule", "learning_rate", 1e-12, 100, &n_rates);
  gboolean ignored = get_choice (r, "schedule", "learning_rate_changes", 0, changes) == 1;
  static const char *const shapes[] = { "constant", "cosine", "one-cycle", "plateau", NULL };
  guint n_sizes;
  g_autofree double *sizes = get_list (r, "schedule", "size", 1, 65536, &n_sizes);

  recipe->shape = (Shape) get_choice (r, "schedule", "shape", SHAPE_CONSTANT, shapes);
  recipe->final_rate = get_double (r, "schedule", "final_rate", 0, 0, 1);
  recipe->warmup = (guint) get_uint (r, "schedule", "warmup_epochs", 0, 0, G_MAXINT);
  recipe->plateau_factor = get_double (r, "schedule", "plateau_factor", 0.1, 1e-6, 1);
  recipe->plateau_patience = (guint) get_uint (r, "schedule", "plateau_patience", 10, 1, G_MAXINT);

  recipe->whole_passes = get_choice (r, "schedule", "steps_per_epoch", 0, steps) == 0;
  if (r->error)
    return;
  if (n_epochs == 0 || n_rates == 0) {
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [schedule] needs epochs and learning_rate, one number for each stage", r->path);
    return;
  }
  if (n_rates != 1 && n_rates != n_epochs) {
    fail (r, "schedule", "learning_rate", "one number, or as many as there are in epochs");
    return;
  }
  if (sizes && n_sizes != 1 && n_sizes != n_epochs) {
    fail (r, "schedule", "size", "one number, or as many as there are in epochs");
    return;
  }
  recipe->n_stages = n_epochs;
  recipe->stages = g_new0 (Stage, n_epochs);
  for (guint i = 0; i < n_epochs; i++) {
    if (epochs[i] != floor (epochs[i]))
      fail (r, "schedule", "epochs", "whole numbers");
    recipe->stages[i].epochs = (guint) epochs[i];
    if (sizes)
      recipe->stages[i].size = (guint) sizes[n_sizes == 1 ? 0 : i];
    recipe->stages[i].learning_rate = rates[ignored || n_rates == 1 ? 0 : i];
  }
}

static void
check_unknown (Reader *r)
{
  g_auto (GStrv) groups = g_key_file_get_groups (r->file, NULL);

  for (guint g = 0; groups[g] && !r->error; g++) {
    g_auto (GStrv) keys = g_key_file_get_keys (r->file, groups[g], NULL, NULL);

    if (!g_hash_table_contains (r->known, groups[g]))
      g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: there is no group [%s]: the README.md that classify train --recipes names lists "
          "them",
          r->path, groups[g]);
    for (guint k = 0; keys && keys[k] && !r->error; k++) {
      g_autofree char *name = g_strdup_printf ("%s/%s", groups[g], keys[k]);

      if (!g_hash_table_contains (r->known, name))
        g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
            "%s: [%s] %s: there is no such key: the README.md that classify train --recipes names "
            "lists them",
            r->path, groups[g], keys[k]);
    }
  }
}

/* What decides the numbers of a run, for --resume to compare. Neither the
 * data's path nor the thread count does; of lists the content, not the path. */
static char *
fingerprint (const Recipe *recipe, GError **error)
{
  g_autoptr (GString) text = g_string_new (recipe->values);

  for (guint i = 0; recipe->lists && recipe->lists[i]; i++) {
    gsize size;
    g_autofree char *list
        = nn_file_read (recipe->lists[i], (gsize) 1 << 30, "a list of pictures", &size, error);
    g_autofree char *checksum = NULL;

    if (!list)
      return NULL;
    checksum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) list, size);
    g_string_append_printf (text, "data.list %u=%s\n", i + 1, checksum);
  }
  if (recipe->n_folds)
    g_string_append_printf (text, "fold=%u of %u\n", recipe->fold, recipe->n_folds);
  return g_strdup (text->str);
}

gboolean
recipe_add_list (Recipe *recipe, const char *path, GError **error)
{
  const guint n = recipe->lists ? g_strv_length (recipe->lists) : 0;

  recipe->lists = g_renew (char *, recipe->lists, n + 2);
  recipe->lists[n] = g_canonicalize_filename (path, NULL);
  recipe->lists[n + 1] = NULL;
  g_free (recipe->fingerprint);
  recipe->fingerprint = fingerprint (recipe, error);
  return recipe->fingerprint != NULL;
}

gboolean
recipe_set_fold (Recipe *recipe, guint n_folds, guint fold, GError **error)
{
  recipe->n_folds = n_folds;
  recipe->fold = fold;
  g_clear_pointer (&recipe->validate_dir, g_free);
  g_free (recipe->fingerprint);
  recipe->fingerprint = fingerprint (recipe, error);
  return recipe->fingerprint != NULL;
}

static gboolean
is_name (const char *text)
{
  return *text && strspn (text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-") == strlen (text);
}

/* "group.key=value" into the file; without a value the key goes */
static gboolean
apply_setting (GKeyFile *file, const char *setting, GError **error)
{
  const char *dot = strchr (setting, '.'), *equals = strchr (setting, '=');
  g_autofree char *group = NULL, *key = NULL;

  if (dot && equals && dot < equals) {
    group = g_strndup (setting, (gsize) (dot - setting));
    key = g_strndup (dot + 1, (gsize) (equals - dot - 1));
  }
  if (!group || !is_name (group) || !is_name (key)) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "setting \"%s\": expected GROUP.KEY=VALUE, as schedule.epochs=20", setting);
    return FALSE;
  }
  if (equals[1] == '\0')
    g_key_file_remove_key (file, group, key, NULL);
  else
    g_key_file_set_value (file, group, key, equals + 1);
  return TRUE;
}

Recipe *
recipe_load (const char *path, const char *data_dir, GError **error)
{
  return recipe_load_with (path, data_dir, NULL, error);
}

Recipe *
recipe_load_with (const char *path, const char *data_dir, char **settings, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local = NULL;
  g_autoptr (Recipe) recipe = g_new0 (Recipe, 1);
  Reader r = { .file = file, .path = path };

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local)) {
    gboolean is_missing = g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT);

    g_set_error (error, NN_ERROR, is_missing ? NN_ERROR_NOT_FOUND : NN_ERROR_FORMAT,
        "%s: not a recipe: %s%s", path, local->message,
        is_missing ? "; classify train --recipes lists those that are there" : "");
    return NULL;
  }
  for (guint i = 0; settings && settings[i]; i++)
    if (!apply_setting (file, settings[i], error))
      return NULL;
  r.known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  r.values = g_string_new (NULL);
  recipe->path = g_canonicalize_filename (path, NULL);
  read_data (&r, recipe, data_dir);
  read_network (&r, recipe);
  read_preprocess (&r, recipe);
  read_augmentation (&r, "augmentation", &recipe->augment);
  read_mixing (&r, recipe);
  read_optimizer (&r, recipe);
  read_schedule (&r, recipe);
  read_training (&r, recipe);
  read_unlabelled (&r, recipe, data_dir);
  check_unknown (&r);
  g_hash_table_unref (r.known);
  recipe->values = g_string_free (r.values, FALSE);
  if (r.error) {
    g_propagate_error (error, r.error);
    return NULL;
  }
  recipe->fingerprint = fingerprint (recipe, error);
  return recipe->fingerprint ? g_steal_pointer (&recipe) : NULL;
}

double
recipe_get_held_fraction (const Recipe *recipe)
{
  return recipe->validate_dir || recipe->n_folds ? 0 : recipe->validation_split;
}

gboolean
recipe_get_preprocess (const Recipe *recipe, const NnModel *model, NnPreprocess *pre,
    GError **error)
{
  const NnShape *shape = nn_model_get_input_shape (model);

  *pre = recipe->preprocess;
  pre->height = (guint) shape->dims[0];
  pre->width = (guint) shape->dims[1];
  if (shape->dims[2] != nn_preprocess_get_n_channels (pre)) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: the network takes %" G_GSIZE_FORMAT " channels, [preprocess] channels of %s gives %u",
        recipe->network, shape->dims[2], recipe->path, nn_preprocess_get_n_channels (pre));
    return FALSE;
  }
  return TRUE;
}

void
recipe_get_stored (const Recipe *recipe, const NnPreprocess *pre, NnPreprocess *stored,
    NnAugment *augment)
{
  *stored = *pre;
  if (recipe->picture_height) {
    stored->height = recipe->picture_height;
    stored->width = recipe->picture_width;
  }
  if (augment) {
    gboolean same = stored->height == pre->height && stored->width == pre->width;

    augment->source_height = same ? 0 : stored->height;
    augment->source_width = same ? 0 : stored->width;
  }
}

void
recipe_free (Recipe *recipe)
{
  if (!recipe)
    return;
  g_free (recipe->path);
  g_free (recipe->train_dir);
  g_free (recipe->validate_dir);
  g_strfreev (recipe->lists);
  g_free (recipe->network);
  g_free (recipe->init);
  g_strfreev (recipe->freeze);
  g_free (recipe->stages);
  g_free (recipe->class_weights);
  g_free (recipe->unlabelled_dir);
  g_free (recipe->values);
  g_free (recipe->fingerprint);
  g_free (recipe);
}
