/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/recipe.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"

/* A reader that remembers which keys were asked for, so that what is left over
 * can be reported, and stops at the first error. */
typedef struct
{
  GKeyFile *file;
  const char *path;
  GHashTable *known; /* "group", "group/key" */
  GError *error;
} Reader;

static gboolean
has (Reader *r, const char *group, const char *key)
{
  g_hash_table_add (r->known, g_strdup (group));
  g_hash_table_add (r->known, g_strdup_printf ("%s/%s", group, key));
  return !r->error && g_key_file_has_key (r->file, group, key, NULL);
}

static void
fail (Reader *r, const char *group, const char *key, const char *expected)
{
  g_autofree char *value = g_key_file_get_value (r->file, group, key, NULL);

  if (!r->error)
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT, "%s: [%s] %s=%s: expected %s", r->path,
        group, key, value ? value : "", expected);
}

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
  double value;

  if (!has (r, group, key))
    return preset;
  text = get_string (r, group, key, "");
  if (!parse_double (text, &value) || value < min || value > max) {
    g_autofree char *expected = g_strdup_printf ("a number from %g to %g", min, max);

    fail (r, group, key, expected);
    return preset;
  }
  return value;
}

static guint64
get_uint (Reader *r, const char *group, const char *key, guint64 preset, guint64 min, guint64 max)
{
  g_autofree char *text = NULL;
  guint64 value;

  if (!has (r, group, key))
    return preset;
  text = get_string (r, group, key, "");
  if (!g_ascii_string_to_unsigned (text, 10, min, max, &value, NULL)) {
    g_autofree char *expected = g_strdup_printf (
        "a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, min, max);

    fail (r, group, key, expected);
    return preset;
  }
  return value;
}

static gboolean
get_bool (Reader *r, const char *group, const char *key, gboolean preset)
{
  GError *error = NULL;
  gboolean value;

  if (!has (r, group, key))
    return preset;
  value = g_key_file_get_boolean (r->file, group, key, &error);
  if (error) {
    g_error_free (error);
    fail (r, group, key, "true or false");
  }
  return value;
}

/* the index of the value in @names */
static guint
get_choice (Reader *r, const char *group, const char *key, guint preset, const char *const *names)
{
  g_autofree char *text = NULL, *all = NULL, *expected = NULL;

  if (!has (r, group, key))
    return preset;
  text = get_string (r, group, key, "");
  for (guint i = 0; names[i]; i++)
    if (strcmp (names[i], text) == 0)
      return i;
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
  g_auto (GStrv) items = NULL;
  double *values;

  *n = 0;
  if (!has (r, group, key))
    return NULL;
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
    ++*n;
  }
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
read_data (Reader *r, Recipe *recipe, const char *data_dir)
{
  static const char *const layouts[] = { "folders", "prefix", NULL };
  g_autofree char *train = get_string (r, "data", "train", NULL);
  g_autofree char *validate = get_string (r, "data", "validate", NULL);

  recipe->layout = get_choice (r, "data", "layout", LAYOUT_FOLDERS, layouts);
  recipe->limit = (guint) get_uint (r, "data", "limit", 0, 1, G_MAXINT);
  recipe->limit_per_class = (guint) get_uint (r, "data", "limit_per_class", 0, 1, G_MAXINT);
  recipe->validate_limit = (guint) get_uint (r, "data", "validate_limit", 0, 1, G_MAXINT);
  if (data_dir) {
    g_autofree char *sub_train = g_build_filename (data_dir, "train", NULL);
    g_autofree char *sub_validate = g_build_filename (data_dir, "validate", NULL);
    gboolean has_sub = g_file_test (sub_train, G_FILE_TEST_IS_DIR);

    recipe->train_dir = g_strdup (has_sub ? sub_train : data_dir);
    if (has_sub && g_file_test (sub_validate, G_FILE_TEST_IS_DIR))
      recipe->validate_dir = g_strdup (sub_validate);
    return;
  }
  recipe->train_dir = resolve (recipe, train);
  recipe->validate_dir = resolve (recipe, validate);
  if (!recipe->train_dir && !r->error)
    g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [data] train is missing: name the folder of pictures there, or with --data DIR",
        r->path);
}

static void
read_preprocess (Reader *r, Recipe *recipe)
{
  static const char *const channels[] = { "rgb", "bgr", "gray", NULL };
  static const char *const resizes[] = { "nearest", "bilinear", "area", NULL };
  g_autofree double *mean = NULL, *scale = NULL;
  guint n_mean, n_scale, n;

  nn_preprocess_init (&recipe->preprocess, 1, 1);
  recipe->preprocess.channels
      = get_choice (r, "preprocess", "channels", NN_CHANNELS_RGB, channels);
  recipe->preprocess.resize = get_choice (r, "preprocess", "resize", NN_RESIZE_NEAREST, resizes);
  n = nn_preprocess_get_n_channels (&recipe->preprocess);
  mean = get_list (r, "preprocess", "mean", -1e4, 1e4, &n_mean);
  scale = get_list (r, "preprocess", "scale", -1e4, 1e4, &n_scale);
  if (mean && n_mean != 1 && n_mean != n)
    fail (r, "preprocess", "mean", "one number, or one a channel");
  if (scale && n_scale != 1 && n_scale != n)
    fail (r, "preprocess", "scale", "one number, or one a channel");
  if (r->error)
    return;
  for (guint c = 0; c < n; c++) {
    if (mean)
      recipe->preprocess.mean[c] = (float) mean[n_mean == 1 ? 0 : c];
    if (scale)
      recipe->preprocess.scale[c] = (float) scale[n_scale == 1 ? 0 : c];
  }
}

static void
read_augmentation (Reader *r, Recipe *recipe)
{
  static const char *const fills[] = { "nearest", "constant", "reflect", "wrap", NULL };
  static const char *const versions[] = { "2.1.2", "2.1.3", "2.1.4", "2.2", "tf.keras", NULL };
  static const char *const units[] = { "radians", "degrees", NULL };
  static const char *const group = "augmentation";
  NnAugment *a = &recipe->augment;
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
}

static void
read_optimizer (Reader *r, Recipe *recipe)
{
  static const char *const names[] = { "adam", "sgd", NULL };

  recipe->optimizer = get_choice (r, "optimizer", "name", NN_OPTIMIZER_ADAM, names);
  recipe->beta_1 = get_double (r, "optimizer", "beta_1", 0.9, 0, 0.999999);
  recipe->beta_2 = get_double (r, "optimizer", "beta_2", 0.999, 0, 0.999999999);
  recipe->epsilon = get_double (r, "optimizer", "epsilon", 1e-7, 1e-12, 1);
  recipe->momentum = get_double (r, "optimizer", "momentum", 0, 0, 1);
  recipe->decay = get_double (r, "optimizer", "decay", 0, 0, 1);
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
  recipe->n_stages = n_epochs;
  recipe->stages = g_new0 (Stage, n_epochs);
  for (guint i = 0; i < n_epochs; i++) {
    if (epochs[i] != floor (epochs[i]))
      fail (r, "schedule", "epochs", "whole numbers");
    recipe->stages[i].epochs = (guint) epochs[i];
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
          "%s: there is no group [%s] (train/recipes/README.md lists them)", r->path, groups[g]);
    for (guint k = 0; keys && keys[k] && !r->error; k++) {
      g_autofree char *name = g_strdup_printf ("%s/%s", groups[g], keys[k]);

      if (!g_hash_table_contains (r->known, name))
        g_set_error (&r->error, NN_ERROR, NN_ERROR_FORMAT,
            "%s: [%s] %s: there is no such key (train/recipes/README.md lists them)", r->path,
            groups[g], keys[k]);
    }
  }
}

/* What decides the numbers of a run, for --resume to compare. Neither the
 * data's path nor the thread count does. */
static char *
fingerprint (const Recipe *recipe)
{
  GString *text = g_string_new (NULL);
  const NnAugment *a = &recipe->augment;
  g_autofree char *pre = nn_preprocess_to_string (&recipe->preprocess);

  g_string_append_printf (text, "%d %u %u %u|%s|", recipe->layout, recipe->limit,
      recipe->limit_per_class, recipe->validate_limit, pre);
  g_string_append_printf (text, "%a %a %a %a %a %a %a %d %d %d %a %u %d %a %d|", a->rotation_range,
      a->height_shift_range, a->width_shift_range, a->shear_range, a->zoom_range[0],
      a->zoom_range[1], a->channel_shift_range, a->horizontal_flip, a->vertical_flip, a->fill_mode,
      a->cval, a->interpolation_order, a->shear_in_degrees, a->center_offset, a->swap_axes);
  g_string_append_printf (text, "%d %a %a %a %a %a|", recipe->optimizer, recipe->beta_1,
      recipe->beta_2, recipe->epsilon, recipe->momentum, recipe->decay);
  for (guint i = 0; i < recipe->n_stages; i++)
    g_string_append_printf (
        text, "%u %a|", recipe->stages[i].epochs, recipe->stages[i].learning_rate);
  g_string_append_printf (text, "%d %u %" G_GUINT64_FORMAT " %d", recipe->whole_passes,
      recipe->batch_size, recipe->seed, recipe->bessel_moving_variance);
  return g_string_free (text, FALSE);
}

Recipe *
recipe_load (const char *path, const char *data_dir, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local = NULL;
  g_autoptr (Recipe) recipe = g_new0 (Recipe, 1);
  g_autofree char *network = NULL;
  static const char *const variances[] = { "biased", "bessel", NULL };
  Reader r = { file, path, NULL, NULL };

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local)) {
    gboolean is_missing = g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT);

    g_set_error (error, NN_ERROR, is_missing ? NN_ERROR_NOT_FOUND : NN_ERROR_FORMAT,
        "%s: not a recipe: %s", path, local->message);
    return NULL;
  }
  r.known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  recipe->path = g_canonicalize_filename (path, NULL);
  read_data (&r, recipe, data_dir);
  network = get_string (&r, "network", "file", NULL);
  recipe->network = resolve (recipe, network);
  if (!recipe->network && !r.error)
    g_set_error (&r.error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: [network] file is missing: name a Keras JSON file", path);
  read_preprocess (&r, recipe);
  read_augmentation (&r, recipe);
  read_optimizer (&r, recipe);
  read_schedule (&r, recipe);
  recipe->batch_size = (guint) get_uint (&r, "training", "batch_size", 32, 1, 65536);
  recipe->seed = get_uint (&r, "training", "seed", 1, 0, G_MAXINT64);
  recipe->bessel_moving_variance = get_choice (&r, "training", "moving_variance", 0, variances);
  check_unknown (&r);
  g_hash_table_unref (r.known);
  if (r.error) {
    g_propagate_error (error, r.error);
    return NULL;
  }
  recipe->fingerprint = fingerprint (recipe);
  return g_steal_pointer (&recipe);
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
recipe_free (Recipe *recipe)
{
  if (!recipe)
    return;
  g_free (recipe->path);
  g_free (recipe->train_dir);
  g_free (recipe->validate_dir);
  g_free (recipe->network);
  g_free (recipe->stages);
  g_free (recipe->fingerprint);
  g_free (recipe);
}
