/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The trainer's parts: recipes, folders of pictures, the order of batches, the
 * feeder. The command as a whole is tested by test-cli.c. */

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/log.h"
#include "nn/rng.h"
#include "tests/pictures.h"
#include "train/feeder.h"
#include "train/recipe.h"

/* What dataset_load() warns of is part of what is tested. */
static GPtrArray *warnings;

static void
collect_warning (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level == NN_LOG_WARNING)
    g_ptr_array_add (warnings, g_strdup (message));
}

static gboolean
was_warned (const char *word)
{
  for (guint i = 0; i < warnings->len; i++)
    if (strstr (g_ptr_array_index (warnings, i), word))
      return TRUE;
  return FALSE;
}

/* --- recipes -------------------------------------------------------------------------------- */

#define GOOD \
  "[data]\ntrain=pictures\n[network]\nfile=net.json\n[schedule]\nepochs=3\nlearning_rate=1e-3\n"

static Recipe *
load_text (const char *text, const char *data_dir, GError **error)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *path = g_build_filename (dir, "r.ini", NULL);
  Recipe *recipe;

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  recipe = recipe_load (path, data_dir, error);
  remove_dir (dir);
  return recipe;
}

static void
test_recipe_defaults (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Recipe) r = load_text (GOOD, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (r->train_dir, "/pictures"));
  g_assert_true (g_path_is_absolute (r->train_dir));
  g_assert_true (g_path_is_absolute (r->network));
  g_assert_null (r->validate_dir);
  g_assert_cmpuint (r->layout, ==, LAYOUT_FOLDERS);
  g_assert_cmpuint (r->limit + r->limit_per_class + r->validate_limit, ==, 0);
  g_assert_cmpuint (r->preprocess.channels, ==, NN_CHANNELS_RGB);
  g_assert_cmpuint (r->preprocess.resize, ==, NN_RESIZE_NEAREST);
  g_assert_cmpfloat (r->preprocess.scale[2], ==, 1.0f / 255);
  g_assert_cmpfloat (r->preprocess.mean[2], ==, 0);
  g_assert_true (nn_augment_is_identity (&r->augment));
  g_assert_cmpuint (r->optimizer, ==, NN_OPTIMIZER_ADAM);
  g_assert_cmpfloat (r->beta_1, ==, 0.9);
  g_assert_cmpfloat (r->beta_2, ==, 0.999);
  g_assert_cmpfloat (r->epsilon, ==, 1e-7);
  g_assert_cmpuint (r->n_stages, ==, 1);
  g_assert_cmpuint (r->stages[0].epochs, ==, 3);
  g_assert_cmpfloat (r->stages[0].learning_rate, ==, 1e-3);
  g_assert_true (r->whole_passes);
  g_assert_cmpuint (r->batch_size, ==, 32);
  g_assert_cmpuint (r->seed, ==, 1);
  g_assert_false (r->bessel_moving_variance);
}

/* the recipes that are shipped, against the post and the spec */
static void
test_recipe_shipped (void)
{
  static const guint epochs[] = { 15, 20, 20, 20, 15 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Recipe) post = NULL, cycle = NULL, demo = NULL;

  post = recipe_load (SOURCE_ROOT "/train/recipes/dogs-vs-cats-post.ini", "/nowhere", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (post->train_dir, ==, "/nowhere");
  g_assert_cmpuint (post->layout, ==, LAYOUT_PREFIX);
  g_assert_cmpuint (post->limit_per_class, ==, 1000);
  g_assert_cmpuint (post->batch_size, ==, 64);
  g_assert_cmpuint (post->n_stages, ==, 5);
  for (guint i = 0; i < 5; i++) {
    g_assert_cmpuint (post->stages[i].epochs, ==, epochs[i]);
    g_assert_cmpfloat (post->stages[i].learning_rate, ==, 1e-4); /* spec 4: never changed */
  }
  g_assert_false (post->whole_passes);
  g_assert_cmpfloat (post->epsilon, ==, 1e-8);
  g_assert_false (post->augment.shear_in_degrees);
  g_assert_cmpuint (post->augment.interpolation_order, ==, 0);
  g_assert_cmpfloat (post->augment.rotation_range, ==, 40);
  g_assert_cmpfloat (post->augment.shear_range, ==, 0.1);
  g_assert_true (post->augment.horizontal_flip);
  g_assert_false (post->augment.vertical_flip);
  g_assert_cmpfloat_with_epsilon (post->preprocess.scale[0], 1.0 / 255, 1e-9);

  cycle = recipe_load (
      SOURCE_ROOT "/train/recipes/dogs-vs-cats-post-one-cycle.ini", "/nowhere", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cycle->n_stages, ==, 1);
  g_assert_cmpuint (cycle->stages[0].epochs, ==, 90);
  g_assert_cmpfloat (cycle->stages[0].learning_rate, ==, 1e-3);
  g_assert_cmpmem (&cycle->augment, sizeof cycle->augment, &post->augment, sizeof post->augment);
  g_assert_true (nn_preprocess_equal (&cycle->preprocess, &post->preprocess));

  demo = recipe_load (SOURCE_ROOT "/train/recipes/demo.ini", "/nowhere", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (demo->n_stages, ==, 2);
  g_assert_cmpfloat (demo->stages[1].learning_rate, ==, 2e-4);
}

static void
test_recipe_values (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Recipe) r = load_text ("[data]\ntrain=/a\nvalidate=b\nlayout=prefix\nlimit=7\n"
                                    "[network]\nfile=/n.json\n"
                                    "[preprocess]\nchannels=bgr\nresize=area\nmean=1;2;3\nscale=2\n"
                                    "[augmentation]\nkeras_version=tf.keras\nzoom_range=0.5;2\n"
                                    "interpolation_order=0\nshear_unit=radians\nfill_mode=wrap\n"
                                    "[optimizer]\nname=sgd\nmomentum=0.9\n"
                                    "[schedule]\nepochs=1;2\nlearning_rate=1e-2;1e-3\n"
                                    "steps_per_epoch=whole-batches\n"
                                    "[training]\nbatch_size=8\nseed=18446744073709551615\n",
      NULL, &error);

  /* seeds end at 2^63 - 1 */
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "9223372036854775807"));
  g_clear_error (&error);
  r = load_text ("[data]\ntrain=/a\nvalidate=b\nlayout=prefix\nlimit=7\n"
                 "[network]\nfile=/n.json\n"
                 "[preprocess]\nchannels=bgr\nresize=area\nmean=1;2;3\nscale=2\n"
                 "[augmentation]\nkeras_version=tf.keras\nzoom_range=0.5;2\n"
                 "interpolation_order=0\nshear_unit=radians\nfill_mode=wrap\n"
                 "[optimizer]\nname=sgd\nmomentum=0.9\n"
                 "[schedule]\nepochs=1;2\nlearning_rate=1e-2;1e-3\n"
                 "steps_per_epoch=whole-batches\n"
                 "[training]\nbatch_size=8\nseed=9223372036854775807\nmoving_variance=bessel\n",
      NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (r->train_dir, ==, "/a");
  g_assert_true (g_str_has_suffix (r->validate_dir, "/b"));
  g_assert_cmpuint (r->layout, ==, LAYOUT_PREFIX);
  g_assert_cmpuint (r->limit, ==, 7);
  g_assert_cmpuint (r->preprocess.channels, ==, NN_CHANNELS_BGR);
  g_assert_cmpuint (r->preprocess.resize, ==, NN_RESIZE_AREA);
  g_assert_cmpfloat (r->preprocess.mean[1], ==, 2);
  g_assert_cmpfloat (r->preprocess.scale[2], ==, 2);
  g_assert_true (r->augment.swap_axes);
  g_assert_cmpfloat (r->augment.center_offset, ==, -0.5);
  g_assert_cmpuint (r->augment.interpolation_order, ==, 0);
  g_assert_false (r->augment.shear_in_degrees);
  g_assert_cmpfloat (r->augment.zoom_range[1], ==, 2);
  g_assert_cmpuint (r->augment.fill_mode, ==, NN_FILL_WRAP);
  g_assert_cmpuint (r->optimizer, ==, NN_OPTIMIZER_SGD);
  g_assert_cmpfloat (r->stages[1].learning_rate, ==, 1e-3);
  g_assert_false (r->whole_passes);
  g_assert_cmpuint (r->seed, ==, G_MAXINT64);
  g_assert_true (r->bessel_moving_variance);
}

static void
test_recipe_background (void)
{
  static const struct
  {
    const char *text;
    int color[3]; /* -1: none */
  } cases[] = { { "none", { -1 } }, { "white", { 255, 255, 255 } }, { "black", { 0, 0, 0 } },
    { "17", { 17, 17, 17 } }, { "1; 2;3", { 1, 2, 3 } }, { "1,2,3;", { 1, 2, 3 } } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text
        = g_strdup_printf (GOOD "[preprocess]\nbackground=%s\n", cases[i].text);
    g_autoptr (GError) error = NULL;
    g_autoptr (Recipe) recipe = load_text (text, NULL, &error);

    g_assert_no_error (error);
    g_assert_cmpint (recipe->preprocess.has_background, ==, cases[i].color[0] >= 0);
    for (guint c = 0; c < 3 && cases[i].color[0] >= 0; c++)
      g_assert_cmpint (recipe->preprocess.background[c], ==, cases[i].color[c]);
  }
}

/* each wrong line: the message names group, key, value and what is expected */
static void
test_recipe_errors (void)
{
  static const struct
  {
    const char *text, *word;
  } cases[] = {
    { "[training]\nbatchsize=3\n", "[training] batchsize: there is no such key" },
    { "[trainig]\nseed=3\n", "there is no group [trainig]" },
    { "[trainig]\n", "there is no group [trainig]" },
    { "[training]\nbatch_size=many\n", "[training] batch_size=many: expected a whole number" },
    { "[training]\nbatch_size=0\n", "from 1 to 65536" },
    { "[training]\nbatch_size=-4\n", "from 1 to 65536" },
    { "[training]\nbatch_size=3.5\n", "from 1 to 65536" },
    { "[training]\nbatch_size=\n", "from 1 to 65536" },
    { "[training]\nseed=-1\n", "seed=-1" },
    { "[training]\nmoving_variance=unbiased\n", "one of biased, bessel" },
    { "[optimizer]\nname=adagrad\n", "one of adam, sgd" },
    { "[optimizer]\nbeta_1=1\n", "a number from 0 to" },
    { "[optimizer]\nepsilon=nan\n", "epsilon=nan" },
    { "[optimizer]\nepsilon=1e-7x\n", "epsilon=1e-7x" },
    { "[optimizer]\ndecay=inf\n", "decay=inf" },
    { "[preprocess]\nchannels=yuv\n", "one of rgb, bgr, gray" },
    { "[preprocess]\nmean=1;2\n", "one number, or one a channel" },
    { "[preprocess]\nscale=1;2;3;4\n", "one number, or one a channel" },
    { "[preprocess]\nscale=1;two;3\n", "numbers from" },
    { "[preprocess]\nresize=lanczos\n", "one of nearest, bilinear, area" },
    { "[preprocess]\nbackground=blue\n", "none, white, black, a level from 0 to 255" },
    { "[preprocess]\nbackground=256\n", "background=256" },
    { "[preprocess]\nbackground=1;2\n", "background=1;2" },
    { "[augmentation]\nrotation_range=400\n", "a number from 0 to 180" },
    { "[augmentation]\nrotation_range=-1\n", "a number from 0 to 180" },
    { "[augmentation]\nzoom_range=1.5\n", "below 1" },
    { "[augmentation]\nzoom_range=2;1\n", "zoom_range" },
    { "[augmentation]\nzoom_range=1;2;3\n", "zoom_range" },
    { "[augmentation]\nhorizontal_flip=perhaps\n", "true or false" },
    { "[augmentation]\nfill_mode=mirror\n", "one of nearest, constant, reflect, wrap" },
    { "[augmentation]\nkeras_version=3\n", "one of 2.1.2" },
    { "[augmentation]\ninterpolation_order=3\n", "from 0 to 1" },
    { "[data]\nlayout=flat\n", "one of folders, prefix" },
    { "[data]\nlimit=0\n", "limit=0" },
    { "[schedule]\nsteps_per_epoch=31\n", "one of all, whole-batches" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = g_strconcat (GOOD, cases[i].text, NULL);
    g_autoptr (Recipe) recipe = load_text (text, NULL, &error);

    g_assert_null (recipe);
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    if (!strstr (error->message, cases[i].word) || !strstr (error->message, "r.ini"))
      g_error ("%s\nwanted: %s", error->message, cases[i].word);
  }
}

static void
test_recipe_missing (void)
{
  static const struct
  {
    const char *text, *word;
  } cases[] = {
    { "", "[data] train is missing" },
    { "not a key file\n", "r.ini" },
    { "[network]\nfile=n\n[schedule]\nepochs=1\nlearning_rate=1\n", "[data] train is missing" },
    { "[data]\ntrain=t\n[schedule]\nepochs=1\nlearning_rate=1\n", "[network] file is missing" },
    { "[data]\ntrain=t\n[network]\nfile=n\n", "[schedule] needs epochs" },
    { "[data]\ntrain=t\n[network]\nfile=n\n[schedule]\nepochs=\nlearning_rate=1\n",
        "[schedule] needs epochs" },
    { "[data]\ntrain=t\n[network]\nfile=n\n[schedule]\nepochs=1;2\nlearning_rate=1;1;1\n",
        "as many as there are in epochs" },
    { "[data]\ntrain=t\n[network]\nfile=n\n[schedule]\nepochs=1.5\nlearning_rate=1\n",
        "whole numbers" },
    { "[data]\ntrain=t\n[network]\nfile=n\n[schedule]\nepochs=0\nlearning_rate=1\n",
        "numbers from 1" },
    { "[data]\ntrain=t\n[network]\nfile=n\n[schedule]\nepochs=1\nlearning_rate=0\n",
        "learning_rate=0" },
  };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) local = NULL;
    g_autoptr (Recipe) recipe = load_text (cases[i].text, NULL, &local);

    g_assert_null (recipe);
    g_assert_error (local, NN_ERROR, NN_ERROR_FORMAT);
    if (!strstr (local->message, cases[i].word))
      g_error ("%s\nwanted: %s", local->message, cases[i].word);
  }
  g_assert_null (recipe_load ("/nowhere/r.ini", NULL, &error));
  g_assert_true (error->domain == NN_ERROR);
  g_assert_cmpint (error->code, ==, NN_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nowhere/r.ini"));
}

/* --resume compares fingerprints: all that changes the numbers does change them */
static void
test_recipe_fingerprint (void)
{
  static const char *const changes[] = { "[training]\nseed=2\n", "[training]\nbatch_size=31\n",
    "[training]\nmoving_variance=bessel\n", "[training]\nprecision=bf16\n",
    "[optimizer]\nname=sgd\n", "[optimizer]\nbeta_1=0.8\n",
    "[optimizer]\nbeta_2=0.99\n", "[optimizer]\nepsilon=1e-8\n", "[optimizer]\ndecay=0.1\n",
    "[optimizer]\nmomentum=0.5\n", "[augmentation]\nrotation_range=1\n",
    "[augmentation]\nwidth_shift_range=0.1\n", "[augmentation]\nheight_shift_range=0.1\n",
    "[augmentation]\nshear_range=0.1\n", "[augmentation]\nzoom_range=0.1\n",
    "[augmentation]\nchannel_shift_range=1\n", "[augmentation]\nhorizontal_flip=true\n",
    "[augmentation]\nvertical_flip=true\n", "[augmentation]\nfill_mode=wrap\n",
    "[augmentation]\ncval=3\n", "[augmentation]\ninterpolation_order=1\n",
    "[augmentation]\nshear_unit=degrees\n", "[augmentation]\nkeras_version=tf.keras\n",
    "[preprocess]\nchannels=bgr\n", "[preprocess]\nresize=area\n", "[preprocess]\nscale=0.1\n",
    "[preprocess]\nmean=4\n", "[preprocess]\nbackground=white\n",
    "[preprocess]\nbackground=1;2;3\n", "[data]\nlimit=9\n", "[data]\nlimit_per_class=9\n",
    "[data]\nlayout=prefix\n", "[schedule]\nsteps_per_epoch=whole-batches\n",
    "[schedule]\nlearning_rate=2e-3\n", "[schedule]\nepochs=4\n" };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (Recipe) same = load_text (GOOD, "/elsewhere", NULL);
  g_autoptr (Recipe) plain = load_text (GOOD, NULL, NULL);

  /* where the data is does not count */
  g_assert_cmpstr (plain->fingerprint, ==, same->fingerprint);
  g_hash_table_add (seen, g_strdup (plain->fingerprint));
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = g_strconcat (GOOD, changes[i], NULL);
    g_autoptr (Recipe) recipe = load_text (text, NULL, &error);

    g_assert_no_error (error);
    if (!g_hash_table_add (seen, g_strdup (recipe->fingerprint)))
      g_error ("same fingerprint with %s", changes[i]);
  }
}

/* --- pictures --------------------------------------------------------------------------------- */

/* less usual forms of a picture, against the bytes that Pillow trains on */
static void
test_picture_forms (void)
{
  static const struct
  {
    const char *name;
    int tolerance; /* JPEG: decoders round differently */
  } cases[] = { { "alpha.png", 0 }, { "rgb16.png", 0 }, { "gray16.png", 0 }, { "gray.png", 0 },
    { "palette.png", 0 }, { "bilevel.png", 0 }, { "plain.gif", 0 }, { "plain.bmp", 0 },
    { "plain.ppm", 0 }, { "gray.jpg", 1 }, { "cmyk.jpg", 3 }, { "ycck.jpg", 2 },
    { "progressive.jpg", 2 }, { "sideways.jpg", 2 } };
  NnPreprocess pre;

  nn_preprocess_init (&pre, 8, 8);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path
        = g_build_filename (SOURCE_ROOT, "tests", "data", "pictures", cases[i].name, NULL);
    g_autofree char *rgb_path = g_strconcat (path, ".rgb", NULL);
    g_autofree char *expected = NULL;
    g_autoptr (GError) error = NULL;
    guint8 got[8 * 8 * 3 + 4];
    gsize size;

    memset (got, 0xa5, sizeof got);
    g_assert_true (g_file_get_contents (rgb_path, &expected, &size, NULL));
    g_assert_cmpuint (size, ==, 192);
    picture_load (path, &pre, got, &error);
    g_assert_no_error (error);
    for (guint k = 0; k < size; k++)
      if (ABS (got[k] - (guint8) expected[k]) > cases[i].tolerance)
        g_error ("%s: pixel %u channel %u: %d, Pillow has %d", cases[i].name, k / 3, k % 3, got[k],
            (guint8) expected[k]);
    for (guint k = size; k < sizeof got; k++)
      g_assert_cmpuint (got[k], ==, 0xa5);
  }
}

static void
test_picture_resize (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *path = make_picture (dir, "one.png", 1, 1, 0x123456, 0);
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;
  guint8 got[27];

  nn_preprocess_init (&pre, 3, 3);
  for (guint method = 0; method < 3; method++) {
    pre.resize = method;
    g_assert_true (picture_load (path, &pre, got, &error));
    for (guint i = 0; i < 27; i++)
      g_assert_cmpuint (got[i], ==, got[i % 3]);
    g_assert_cmpuint (got[0], ==, 0x12);
  }
  remove_dir (dir);
}

/* unreadable pictures: the error names the file, nothing crashes */
static void
test_picture_broken (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *good = make_picture (dir, "good.jpg", 64, 48, 0x808080, 1);
  g_autofree char *bytes = NULL;
  NnPreprocess pre;
  guint8 *got = g_malloc (64 * 64 * 3);
  gsize size;
  struct
  {
    const char *name, *text;
    gssize n;
    int code;
  } cases[] = {
    { "empty.jpg", "", 0, NN_ERROR_FORMAT },
    { "text.jpg", "this is no picture\n", -1, NN_ERROR_FORMAT },
    { "cut.jpg", NULL, 300, NN_ERROR_FORMAT },
    { "zeros.png", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, NN_ERROR_FORMAT },
  };

  nn_preprocess_init (&pre, 64, 64);
  g_assert_true (g_file_get_contents (good, &bytes, &size, NULL));
  g_assert_cmpuint (size, >, 700);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_build_filename (dir, cases[i].name, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_true (g_file_set_contents (
        path, cases[i].text ? cases[i].text : bytes, cases[i].n, NULL));
    g_assert_false (picture_load (path, &pre, got, &error));
    g_assert_error (error, NN_ERROR, cases[i].code);
    g_assert_true (g_str_has_prefix (error->message, path));
  }
  /* missing, a folder */
  for (guint i = 0; i < 2; i++) {
    g_autofree char *path = i ? g_strdup (dir) : g_build_filename (dir, "missing.jpg", NULL);
    g_autoptr (GError) error = NULL;

    g_assert_false (picture_load (path, &pre, got, &error));
    g_assert_true (error->domain == NN_ERROR);
    g_assert_true (g_str_has_prefix (error->message, path));
  }
  /* cut at each place: an error or a picture, never a crash */
  for (gsize n = 0; n < size; n += 7) {
    g_autofree char *path = g_build_filename (dir, "part.jpg", NULL);
    g_autoptr (GError) error = NULL;

    g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
    if (!picture_load (path, &pre, got, &error))
      g_assert_nonnull (error);
    else
      g_assert_no_error (error);
  }
  g_free (got);
  remove_dir (dir);
}

/* --- folders of pictures ---------------------------------------------------------------------- */

static Dataset *
load (const char *dir, Layout layout, guint limit, guint per_class, const char *const *classes,
    GError **error)
{
  DatasetOptions options = { layout, limit, per_class, classes, 2 };
  NnPreprocess pre;

  nn_preprocess_init (&pre, 4, 4);
  return dataset_load (dir, &options, &pre, error);
}

/* "0 a.png, 1 b.png" : labels and names in their order */
static char *
describe (const Dataset *data)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < data->n; i++) {
    g_autofree char *name = g_path_get_basename (data->paths[i]);

    g_string_append_printf (text, "%s%u %s", i ? ", " : "", data->labels[i], name);
  }
  return g_string_free (text, FALSE);
}

static void
test_dataset_folders (void)
{
  g_autofree char *dir = make_dir (), *text = NULL, *loop = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;
  const char *names[] = { "b/2.png", "b/10.png", "B/x.jpg", "a/sub/deep/z.png", "a/y.PNG",
    "a/notes.txt", "a/.hidden.png", ".git/p.png" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    char *path = make_picture (dir, names[i], 4, 4, 0x102030, i);

    g_free (path);
  }
  /* a circle of links, as backups leave them */
  loop = g_build_filename (dir, "a", "loop", NULL);
  g_assert_cmpint (symlink (dir, loop), ==, 0);
  data = load (dir, LAYOUT_FOLDERS, 0, 0, NULL, &error);
  g_assert_no_error (error);
  /* code points: B before a; "10" before "2"; a picture is one by its bytes */
  g_assert_cmpuint (data->n_classes, ==, 3);
  g_assert_cmpstr (data->classes[0], ==, "B");
  g_assert_cmpstr (data->classes[1], ==, "a");
  g_assert_cmpstr (data->classes[2], ==, "b");
  text = describe (data);
  g_assert_cmpstr (text, ==, "0 x.jpg, 1 notes.txt, 1 y.PNG, 1 z.png, 2 10.png, 2 2.png");
  g_assert_cmpuint (data->sample_size, ==, 48);
  remove_dir (dir);
}

static void
test_dataset_prefix (void)
{
  g_autofree char *dir = make_dir (), *all = NULL, *first = NULL, *limited = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL, four = NULL, one = NULL;
  const char *names[] = { "dog.0.png", "cat.0.png", "cat.10.png", "cat.2.png", "dog-7.png",
    "dog_8.png" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    char *path = make_picture (dir, names[i], 4, 4, 0x102030, i);

    g_free (path);
  }
  data = load (dir, LAYOUT_PREFIX, 0, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n_classes, ==, 2);
  g_assert_cmpstr (data->classes[0], ==, "cat");
  all = describe (data);
  g_assert_cmpstr (all, ==,
      "0 cat.0.png, 0 cat.10.png, 0 cat.2.png, 1 dog-7.png, 1 dog.0.png, 1 dog_8.png");
  four = load (dir, LAYOUT_PREFIX, 4, 0, NULL, &error);
  g_assert_no_error (error);
  first = describe (four);
  g_assert_cmpstr (first, ==, "0 cat.0.png, 0 cat.10.png, 1 dog-7.png, 1 dog.0.png");
  one = load (dir, LAYOUT_PREFIX, 0, 1, NULL, &error);
  g_assert_no_error (error);
  limited = describe (one);
  g_assert_cmpstr (limited, ==, "0 cat.0.png, 1 dog-7.png");
  remove_dir (dir);
}

/* the pixels stay with their names and labels when broken files are left out */
static void
test_dataset_unreadable (void)
{
  g_autofree char *dir = make_dir (), *text = NULL, *bad1 = NULL, *bad2 = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;

  for (guint i = 0; i < 5; i++) {
    g_autofree char *a = g_strdup_printf ("a/%u.png", i), *b = g_strdup_printf ("b/%u.png", i);

    g_free (make_picture (dir, a, 4, 4, i << 20, 0));
    g_free (make_picture (dir, b, 4, 4, (i + 8) << 20, 0));
  }
  bad1 = g_build_filename (dir, "a", "1.png", NULL);
  bad2 = g_build_filename (dir, "b", "0.png", NULL);
  g_assert_true (g_file_set_contents (bad1, "", 0, NULL));
  g_assert_true (g_file_set_contents (bad2, "no picture", -1, NULL));
  g_ptr_array_set_size (warnings, 0);
  data = load (dir, LAYOUT_FOLDERS, 0, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n_unreadable, ==, 2);
  g_assert_cmpuint (warnings->len, ==, 2);
  g_assert_true (was_warned (bad1) && was_warned (bad2));
  text = describe (data);
  g_assert_cmpstr (text, ==,
      "0 0.png, 0 2.png, 0 3.png, 0 4.png, 1 1.png, 1 2.png, 1 3.png, 1 4.png");
  for (guint i = 0; i < data->n; i++) {
    g_autofree char *name = g_path_get_basename (data->paths[i]);
    guint red = ((guint) (name[0] - '0') + (data->labels[i] ? 8 : 0)) << 4;

    g_assert_cmpuint (data->bytes[i * data->sample_size] & 0xf0, ==, red);
  }
  remove_dir (dir);
}

static void
test_dataset_errors (void)
{
  static const char *const known[] = { "a", "b", NULL };
  g_autofree char *dir = make_dir (), *inner = NULL, *bad = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (load ("/nowhere/at-all", LAYOUT_FOLDERS, 0, 0, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nowhere/at-all"));
  g_clear_error (&error);

  for (guint layout = 0; layout < 2; layout++) { /* nothing in it */
    g_assert_null (load (dir, layout, 0, 0, NULL, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, "no picture found"));
    g_clear_error (&error);
  }
  g_free (make_picture (dir, "a/1.png", 4, 4, 0, 0));
  g_assert_null (load (dir, LAYOUT_FOLDERS, 0, 0, NULL, &error));
  g_assert_nonnull (strstr (error->message, "only one class found, \"a\""));
  g_clear_error (&error);

  inner = g_build_filename (dir, "b", NULL);
  g_assert_cmpint (g_mkdir (inner, 0755), ==, 0);
  g_assert_null (load (dir, LAYOUT_FOLDERS, 0, 0, NULL, &error));
  g_assert_nonnull (strstr (error->message, "holds no picture"));
  g_clear_error (&error);

  /* only broken ones */
  bad = g_build_filename (dir, "a", "1.png", NULL);
  g_assert_true (g_file_set_contents (bad, "x", 1, NULL));
  g_free (make_picture (dir, "b/1.png", 4, 4, 0, 0));
  g_assert_null (load (dir, LAYOUT_FOLDERS, 0, 0, NULL, &error));
  g_assert_nonnull (strstr (error->message, "none of the pictures of class \"a\" can be read"));
  g_clear_error (&error);
  g_ptr_array_set_size (warnings, 0);
  { /* of known classes one may be missing */
    g_autoptr (Dataset) data = load (dir, LAYOUT_FOLDERS, 0, 0, known, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (data->n_classes, ==, 2);
    g_assert_true (was_warned ("class \"a\""));
  }
  g_free (bad);
  bad = g_build_filename (dir, "b", "1.png", NULL);
  g_assert_true (g_file_set_contents (bad, "x", 1, NULL));
  g_assert_null (load (dir, LAYOUT_FOLDERS, 0, 0, NULL, &error));
  g_assert_nonnull (strstr (error->message, "none of the 2 pictures can be read"));
  g_clear_error (&error);

  /* classes that a model does not know */
  g_free (make_picture (dir, "c/1.png", 4, 4, 0, 0));
  g_assert_null (load (dir, LAYOUT_FOLDERS, 0, 0, known, &error));
  g_assert_nonnull (strstr (error->message, "class \"c\" is not one of those known: a, b"));
  g_clear_error (&error);
  remove_dir (dir);
}

/* --- the order of batches: Keras 2.0.9 to 2.2, fit_generator() on a directory ------------- */

#define N 2000
#define BATCH 64
#define BATCHES 32 /* of a pass: 31 whole ones and one of 16 */
#define STEPS 31   /* of an epoch: N / BATCH */

static int
compare_guints (gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *) a, y = *(const guint *) b;

  return x < y ? -1 : x > y;
}

/* Each pass shows every sample once, in 32 batches of which one, somewhere, is
 * short; the next pass is another permutation. */
static void
test_order_passes (void)
{
  const Order order = { N, BATCH, 7 };
  guint samples[BATCH], seen[N], last[N] = { 0 };
  gboolean is_short_at[BATCHES] = { FALSE };
  guint n_places = 0;

  g_assert_cmpuint (order_get_n_batches (&order), ==, BATCHES);
  for (guint pass = 0; pass < 40; pass++) {
    guint n_seen = 0, n_short = 0, n_same = 0, sorted[N];

    for (guint b = 0; b < BATCHES; b++) {
      guint64 draw;
      guint n = order_get_batch (&order, 2, (guint64) pass * BATCHES + b, samples, &draw);

      if (n != BATCH) {
        g_assert_cmpuint (n, ==, N % BATCH);
        n_short++;
        n_places += !is_short_at[b];
        is_short_at[b] = TRUE;
      }
      memcpy (seen + n_seen, samples, n * sizeof (guint));
      n_seen += n;
    }
    g_assert_cmpuint (n_short, ==, 1);
    g_assert_cmpuint (n_seen, ==, N);
    for (guint i = 0; i < N; i++)
      n_same += seen[i] == last[i];
    g_assert_cmpuint (n_same, <, 20); /* one is expected by chance */
    memcpy (last, seen, sizeof seen);
    memcpy (sorted, seen, sizeof seen);
    qsort (sorted, N, sizeof (guint), compare_guints);
    for (guint i = 0; i < N; i++)
      g_assert_cmpuint (sorted[i], ==, i);
  }
  g_assert_cmpuint (n_places, >, 15); /* of 32, in 40 passes: the order of batches is shuffled */
}

/* A number is a pure function of (seed, stage, batch): no history. Other seeds
 * and stages begin other passes. */
static void
test_order_pure (void)
{
  const Order order = { N, BATCH, 7 }, other = { N, BATCH, 8 };
  guint a[BATCH], b[BATCH];
  guint64 draw_a, draw_b;

  for (guint64 batch = 0; batch < 100; batch += 9) {
    guint n = order_get_batch (&order, 0, batch, a, &draw_a);
    guint n_b = order_get_batch (&other, 0, batch, b, &draw_b);

    g_assert_false (n == n_b && memcmp (a, b, n * sizeof (guint)) == 0);
    n_b = order_get_batch (&order, 1, batch, b, &draw_b);
    g_assert_false (n == n_b && memcmp (a, b, n * sizeof (guint)) == 0);
    g_assert_cmpuint (draw_a, !=, draw_b);
    n_b = order_get_batch (&order, 0, batch, b, &draw_b);
    g_assert_cmpuint (n, ==, n_b);
    g_assert_cmpuint (draw_a, ==, draw_b);
    g_assert_cmpmem (a, n * sizeof (guint), b, n * sizeof (guint));
  }
}

/* No sample is augmented twice with the same draw, in a run of the post's
 * length: five stages of 15 to 20 epochs. */
static void
test_order_draws (void)
{
  static const guint epochs[] = { 15, 20, 20, 20, 15 };
  const Order order = { N, BATCH, 1 };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  guint samples[BATCH], n_draws = 0;

  for (guint stage = 0; stage < 5; stage++) {
    for (guint64 batch = 0; batch < epochs[stage] * STEPS; batch++) {
      guint64 draw;
      guint n = order_get_batch (&order, stage, batch, samples, &draw);

      for (guint i = 0; i < n; i++, n_draws++) {
        gint64 *key = g_new (gint64, 1);

        *key = (gint64) (draw + i);
        g_assert_true (g_hash_table_add (seen, key));
      }
    }
  }
  g_assert_cmpuint (n_draws, >, 90 * STEPS * (BATCH - 2));
}

/* small sets: fewer samples than a batch, exactly one batch, one more */
static void
test_order_edges (void)
{
  static const struct
  {
    guint n, batch, n_batches;
  } cases[] = { { 5, 8, 1 }, { 8, 8, 1 }, { 9, 8, 2 }, { 1, 1, 1 }, { 3, 1, 3 } };

  for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
    const Order order = { cases[c].n, cases[c].batch, 3 };
    guint samples[8], count[9] = { 0 };
    guint64 draw;

    g_assert_cmpuint (order_get_n_batches (&order), ==, cases[c].n_batches);
    for (guint b = 0; b < cases[c].n_batches; b++) {
      guint n = order_get_batch (&order, 0, b, samples, &draw);

      g_assert_cmpuint (n, >=, 1);
      for (guint i = 0; i < n; i++)
        count[samples[i]]++;
    }
    for (guint i = 0; i < cases[c].n; i++)
      g_assert_cmpuint (count[i], ==, 1);
  }
}

/* The same by hand: a pass is a Fisher-Yates permutation of the samples, cut
 * into batches, then one of the batches, all from the pass's own stream. */
static void
test_order_by_hand (void)
{
  const Order order = { N, BATCH, 99 };

  for (guint stage = 0; stage < 2; stage++) {
    for (guint epoch = 0; epoch < 5; epoch++) {
      for (guint step = 0; step < STEPS; step++) {
        const guint64 global = epoch * STEPS + step, pass = global / BATCHES;
        g_autoptr (GArray) left = g_array_new (FALSE, FALSE, sizeof (guint));
        guint samples[BATCH], permutation[N], place = 0, n;
        guint64 draw;
        NnRng rng;

        nn_rng_init (&rng, 99, NN_STREAM_SHUFFLE, (guint64) stage * 4294967296u + pass);
        for (guint i = 0; i < N; i++)
          g_array_append_val (left, i);
        for (guint i = N; i-- > 0;) { /* the last place first; the gap is filled by the last */
          guint j = i > 0 ? nn_rng_below (&rng, i + 1) : 0;

          permutation[i] = g_array_index (left, guint, j);
          g_array_remove_index_fast (left, j);
        }
        for (guint i = 0; i < BATCHES; i++)
          g_array_append_val (left, i);
        for (guint i = BATCHES; i-- > 0;) {
          guint j = i > 0 ? nn_rng_below (&rng, i + 1) : 0;

          if (i == global % BATCHES)
            place = g_array_index (left, guint, j);
          g_array_remove_index_fast (left, j);
        }
        n = order_get_batch (&order, stage, global, samples, &draw);
        g_assert_cmpuint (n, ==, place == BATCHES - 1 ? N % BATCH : BATCH);
        g_assert_cmpmem (samples, n * sizeof (guint), permutation + place * BATCH,
            n * sizeof (guint));
        g_assert_cmpuint (draw, ==,
            stage * ((guint64) 1 << 52) + pass * ((guint64) 1 << 32) + place * BATCH);
      }
    }
  }
}

/* --- feeder -------------------------------------------------------------------------------- */

/* 4x4 grey pictures; the first pixel tells the number of the sample modulo 256,
 * the second the rest */
static Dataset *
make_data (guint n, guint n_classes)
{
  Dataset *data = g_new0 (Dataset, 1);

  data->n = n;
  data->n_classes = n_classes;
  data->sample_size = 16;
  data->labels = g_new (guint, n);
  g_assert_true (store_take (&data->store, n * 16, "test", NULL));
  data->bytes = data->store.bytes;
  for (guint i = 0; i < n; i++) {
    data->labels[i] = i % n_classes;
    memset (data->bytes + i * 16, (int) (i * 37 % 256), 16);
    data->bytes[i * 16] = (guint8) i;
    data->bytes[i * 16 + 1] = (guint8) (i >> 8);
  }
  return data;
}

static void
plain_pre (NnPreprocess *pre)
{
  nn_preprocess_init (pre, 4, 4);
  pre->channels = NN_CHANNELS_GRAY;
  pre->scale[0] = 1;
}

/* What the network sees, in the post's rhythm: 31 steps an epoch where a pass
 * has 32 batches, a new pass at each stage. */
static void
test_feeder_epochs (void)
{
  const Order order = { N, BATCH, 5 };
  g_autoptr (Dataset) data = make_data (N, 2);
  g_autoptr (GError) error = NULL;
  NnAugment augment;
  NnPreprocess pre;

  nn_augment_init (&augment);
  plain_pre (&pre);
  for (guint stage = 0; stage < 2; stage++) {
    guint count[N] = { 0 }, fed = 0;
    Feeder *feeder
        = feeder_new (&(FeederOptions) { .data = data, .pre = &pre, .augment = &augment,
              .order = order, .n_outputs = 1, .threads = 3 }, stage, 0, 3 * STEPS, &error);

    g_assert_no_error (error);
    for (guint epoch = 0; epoch < 3; epoch++) {
      for (guint step = 0; step < STEPS; step++, fed++) {
        const Batch *batch = feeder_next (feeder);

        for (guint i = 0; i < batch->n; i++) {
          guint index = (guint) batch->input[i * 16] + 256 * (guint) batch->input[i * 16 + 1];

          g_assert_cmpuint (index, <, N);
          g_assert_cmpfloat (batch->input[i * 16 + 15], ==, (float) (index * 37 % 256));
          g_assert_cmpfloat (batch->targets[i], ==, (float) (index % 2));
          count[index]++;
        }
        /* a pass ends one batch into the second epoch, two into the third */
        if (fed == BATCHES - 1 || fed == 2 * BATCHES - 1)
          for (guint i = 0; i < N; i++)
            g_assert_cmpuint (count[i], ==, (fed + 1) / BATCHES);
      }
    }
    for (guint i = 0; i < N; i++)
      g_assert_true (count[i] == 2 || count[i] == 3);
    feeder_free (feeder);
  }
}

/* every number of threads, and a start in the middle, feed the same floats */
static void
test_feeder_threads (void)
{
  const Order order = { 50, 11, 5 }; /* 5 batches, the last of 6 */
  g_autoptr (Dataset) data = make_data (50, 3);
  g_autoptr (GError) error = NULL;
  g_autofree float *expected = g_new0 (float, 20 * 11 * 16), *one_hot = g_new0 (float, 20 * 11 * 3);
  NnAugment augment;
  NnPreprocess pre;

  nn_augment_init (&augment);
  augment.rotation_range = 30;
  augment.width_shift_range = 0.2;
  augment.horizontal_flip = TRUE;
  augment.interpolation_order = 1;
  plain_pre (&pre);
  for (guint threads = 1; threads <= 5; threads += 2) {
    for (guint start = 0; start < 20; start += threads == 1 ? 20 : 7) {
      Feeder *feeder
          = feeder_new (&(FeederOptions) { .data = data, .pre = &pre, .augment = &augment,
                .order = order, .n_outputs = 3, .threads = threads }, 1, start, 20, &error);

      g_assert_no_error (error);
      for (guint b = start; b < 20; b++) {
        const Batch *batch = feeder_next (feeder);
        float *inputs = expected + b * 11 * 16, *targets = one_hot + b * 11 * 3;

        if (threads == 1) {
          memcpy (inputs, batch->input, batch->n * 16 * sizeof (float));
          memcpy (targets, batch->targets, batch->n * 3 * sizeof (float));
        } else {
          g_assert_cmpmem (
              inputs, batch->n * 16 * sizeof (float), batch->input, batch->n * 16 * sizeof (float));
          g_assert_cmpmem (
              targets, batch->n * 3 * sizeof (float), batch->targets,
              batch->n * 3 * sizeof (float));
        }
        for (guint i = 0; i < batch->n; i++)
          g_assert_cmpfloat (
              batch->targets[i * 3] + batch->targets[i * 3 + 1] + batch->targets[i * 3 + 2], ==, 1);
      }
      feeder_free (feeder);
    }
  }
}

/* freed while its threads are at work */
static void
test_feeder_early_end (void)
{
  const Order order = { 500, 100, 5 };
  g_autoptr (Dataset) data = make_data (500, 2);
  g_autoptr (GError) error = NULL;
  NnAugment augment;
  NnPreprocess pre;

  nn_augment_init (&augment);
  augment.rotation_range = 30;
  plain_pre (&pre);
  for (guint i = 0; i < 50; i++) {
    Feeder *feeder = feeder_new (&(FeederOptions) { .data = data, .pre = &pre, .augment = &augment,
        .order = order, .n_outputs = 1, .threads = 4 }, 0, 0, 1000, &error);

    g_assert_no_error (error);
    for (guint b = 0; b < i % 4; b++)
      g_assert_nonnull (feeder_next (feeder));
    feeder_free (feeder);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  warnings = g_ptr_array_new_with_free_func (g_free);
  nn_log_set_sink (collect_warning, NULL);
  g_test_add_func ("/recipe/defaults", test_recipe_defaults);
  g_test_add_func ("/recipe/shipped", test_recipe_shipped);
  g_test_add_func ("/recipe/values", test_recipe_values);
  g_test_add_func ("/recipe/background", test_recipe_background);
  g_test_add_func ("/recipe/errors", test_recipe_errors);
  g_test_add_func ("/recipe/missing", test_recipe_missing);
  g_test_add_func ("/recipe/fingerprint", test_recipe_fingerprint);
  g_test_add_func ("/picture/forms", test_picture_forms);
  g_test_add_func ("/picture/resize", test_picture_resize);
  g_test_add_func ("/picture/broken", test_picture_broken);
  g_test_add_func ("/dataset/folders", test_dataset_folders);
  g_test_add_func ("/dataset/prefix", test_dataset_prefix);
  g_test_add_func ("/dataset/unreadable", test_dataset_unreadable);
  g_test_add_func ("/dataset/errors", test_dataset_errors);
  g_test_add_func ("/order/passes", test_order_passes);
  g_test_add_func ("/order/pure", test_order_pure);
  g_test_add_func ("/order/draws", test_order_draws);
  g_test_add_func ("/order/edges", test_order_edges);
  g_test_add_func ("/order/by-hand", test_order_by_hand);
  g_test_add_func ("/feeder/epochs", test_feeder_epochs);
  g_test_add_func ("/feeder/threads", test_feeder_threads);
  g_test_add_func ("/feeder/early-end", test_feeder_early_end);
  status = g_test_run ();
  g_ptr_array_unref (warnings);
  return status;
}
