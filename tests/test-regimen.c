/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a network is trained beyond the post: schedules, mixing, crops and
 * colours, averages, other sizes, pictures without labels, kill and resume. */

#include <math.h>
#include <signal.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "tests/child.h"
#include "tests/pictures.h"
#include "train/feeder.h"
#include "train/schedule.h"

/* --- schedules ------------------------------------------------------------------------------ */

static void
test_rates (void)
{
  Stage stages[] = { { 10, 2, 0 }, { 4, 1, 0 } };
  Recipe r = { .n_stages = 2, .stages = stages, .final_rate = 0.1 };
  g_autoptr (GArray) none = g_array_new (FALSE, FALSE, sizeof (EpochResult));

  g_assert_cmpfloat (schedule_get_rate (&r, 0, 3, 5, none), ==, 2);
  r.warmup = 2;
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 0, 5, none), 0.2, 1e-12);
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 9, 5, none), 2, 1e-12);
  g_assert_cmpfloat (schedule_get_rate (&r, 1, 0, 5, none), ==, 1); /* the first stage's only */
  r.shape = SHAPE_COSINE;
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 10, 5, none), 2, 1e-12);
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 30, 5, none), 1.1, 1e-12);
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 50, 5, none), 0.2, 1e-12);
  r.shape = SHAPE_ONE_CYCLE;
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 0, 10, none), 2 / 25., 1e-12);
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 15, 10, none), 1.04, 1e-12);
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 30, 10, none), 2, 1e-12);
  g_assert_cmpfloat_with_epsilon (schedule_get_rate (&r, 0, 65, 10, none), 1.1, 1e-12);
}

static void
test_plateau (void)
{
  Stage stages[] = { { 100, 1, 0 } };
  Recipe r = { .n_stages = 1, .stages = stages, .shape = SHAPE_PLATEAU, .plateau_factor = 0.5,
    .plateau_patience = 2, .patience = 4 };
  /* down, down, two without: halved; two more without: again; down: stays */
  const char *log = "1,1,1,0,0,0.9,0.5,,1\n2,1,1,0,0,0.8,0.7,,1\n3,1,1,0,0,0.85,0.7,,1\n"
                    "4,1,1,0,0,0.8,0.6,,1\n5,1,1,0,0,0.9,0.6,,1\n6,1,1,0,0,0.9,0.6,,1\n"
                    "7,1,1,0,0,0.7,0.6,,1\n";
  const double expected[] = { 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25 };
  g_autoptr (GArray) all = schedule_parse_history (log);

  g_assert_cmpuint (all->len, ==, 7);
  for (guint n = 0; n <= all->len; n++) {
    g_autoptr (GArray) some = g_array_copy (all);

    g_array_set_size (some, n);
    g_assert_cmpfloat (schedule_get_rate (&r, 0, n, 1, some), ==, expected[n]);
    g_assert_cmpint (schedule_find_best (some), ==, n == 0 ? -1 : n == 1 ? 0 : 1);
    g_assert_cmpint (schedule_is_over (&r, some), ==, n >= 6);
  }
  g_assert_cmpfloat (g_array_index (all, EpochResult, 3).val_loss, ==, 0.8);
}

/* --- augmentation --------------------------------------------------------------------------- */

/* A picture that is a plane in rows and columns stays one under a crop: what is
 * made can be told without warping. */
static void
test_crop (void)
{
  const guint side = 40, out = 16;
  g_autofree guint8 *src = g_new (guint8, side * side * 3);
  g_autofree float *dst = g_new (float, out * out * 3);
  NnAugment a;
  NnPreprocess pre;

  for (guint y = 0; y < side; y++)
    for (guint x = 0; x < side; x++) {
      guint8 *p = src + (y * side + x) * 3;

      p[0] = (guint8) (3 * y);
      p[1] = (guint8) (3 * x);
      p[2] = 100;
    }
  nn_preprocess_init (&pre, out, out);
  for (guint c = 0; c < 3; c++)
    pre.scale[c] = 1;
  nn_augment_init (&a);
  a.crop_scale[0] = 0.3;
  a.crop_scale[1] = 0.8;
  a.interpolation_order = 1;
  a.source_height = a.source_width = side;
  for (guint draw = 0; draw < 50; draw++) {
    NnAugmentParams p;
    double area;

    nn_augment_draw (&a, 1, draw, out, out, 3, &p);
    area = p.crop[2] * p.crop[3];
    g_assert_true (area > 0.299 && area < 0.801);
    g_assert_true (p.crop[0] >= 0 && p.crop[0] + p.crop[2] <= 1 + 1e-12);
    g_assert_true (p.crop[1] >= 0 && p.crop[1] + p.crop[3] <= 1 + 1e-12);
    g_assert_true (p.crop[3] / p.crop[2] > 0.74 && p.crop[3] / p.crop[2] < 1.34);
    nn_augment_apply (&a, &p, &pre, src, dst);
    for (guint y = 0; y < out; y++)
      for (guint x = 0; x < out; x++) {
        const float *q = dst + (y * out + x) * 3;
        double from_y = (p.crop[0] + (y + 0.5) / out * p.crop[2]) * side - 0.5;
        double from_x = (p.crop[1] + (x + 0.5) / out * p.crop[3]) * side - 0.5;

        g_assert_cmpfloat_with_epsilon (q[0], 3 * CLAMP (from_y, 0, side - 1), 1e-3);
        g_assert_cmpfloat_with_epsilon (q[1], 3 * CLAMP (from_x, 0, side - 1), 1e-3);
        g_assert_cmpfloat_with_epsilon (q[2], 100, 1e-3);
      }
  }
}

static void
test_colors (void)
{
  const guint8 src[] = { 10, 100, 200, 250, 40, 90 };
  const double gray[] = { 0.299 * 10 + 0.587 * 100 + 0.114 * 200,
    0.299 * 250 + 0.587 * 40 + 0.114 * 90 };
  const double mean = (gray[0] + gray[1]) / 2;
  float dst[6];
  NnAugment a;
  NnPreprocess pre;

  nn_preprocess_init (&pre, 2, 1);
  for (guint c = 0; c < 3; c++)
    pre.scale[c] = 1;
  nn_augment_init (&a);
  for (guint i = 0; i < 6; i++) {
    NnAugmentParams b = { .is_identity = TRUE, .brightness = 0.2 };
    NnAugmentParams c = { .is_identity = TRUE, .contrast = -0.5 };
    NnAugmentParams s = { .is_identity = TRUE, .saturation = 0.5 };
    NnAugmentParams g = { .is_identity = TRUE, .grayscale = TRUE };

    nn_augment_apply (&a, &b, &pre, src, dst);
    g_assert_cmpfloat_with_epsilon (dst[i], fmin (src[i] * 1.2, 255), 1e-3);
    nn_augment_apply (&a, &c, &pre, src, dst);
    g_assert_cmpfloat_with_epsilon (dst[i], mean + (src[i] - mean) * 0.5, 1e-3);
    nn_augment_apply (&a, &s, &pre, src, dst);
    g_assert_cmpfloat_with_epsilon (
        dst[i], fmin (fmax (gray[i / 3] + (src[i] - gray[i / 3]) * 1.5, 0), 255), 1e-3);
    nn_augment_apply (&a, &g, &pre, src, dst);
    g_assert_cmpfloat_with_epsilon (dst[i], gray[i / 3], 1e-3);
  }
}

static void
test_erasing (void)
{
  g_autofree guint8 *src = g_malloc0 (20 * 20);
  g_autofree float *dst = g_new (float, 20 * 20);
  NnAugment a;
  NnPreprocess pre;
  guint n_erased = 0;

  nn_preprocess_init (&pre, 20, 20);
  pre.channels = NN_CHANNELS_GRAY;
  pre.scale[0] = 1;
  nn_augment_init (&a);
  a.erasing = 0.5;
  a.erasing_area[0] = a.erasing_area[1] = 0.2;
  for (guint draw = 0; draw < 200; draw++) {
    NnAugmentParams p;
    guint n = 0;

    nn_augment_draw (&a, 1, draw, 20, 20, 1, &p);
    nn_augment_apply (&a, &p, &pre, src, dst);
    for (guint i = 0; i < 400; i++) {
      g_assert_true (dst[i] == 0 || dst[i] == (float) p.erase_color[0]);
      n += dst[i] != 0;
    }
    g_assert_true (p.erase[2] == 0 ? n == 0 : n > 20 && n < 140);
    n_erased += n > 0;
  }
  g_assert_true (n_erased > 70 && n_erased < 130);
}

/* --- batches -------------------------------------------------------------------------------- */

#define SIDE 8
#define N 24

static Dataset *
make_data (void)
{
  Dataset *data = g_new0 (Dataset, 1);

  data->n = N;
  data->n_classes = 2;
  data->height = data->width = SIDE;
  data->sample_size = SIDE * SIDE;
  data->labels = g_new (guint, N);
  g_assert_true (store_take (&data->store, N * SIDE * SIDE, "test", NULL));
  data->bytes = data->store.bytes;
  for (guint i = 0; i < N; i++) {
    data->labels[i] = i % 2;
    memset (data->bytes + i * SIDE * SIDE, (int) (10 * i + 1), SIDE * SIDE);
  }
  return data;
}

static void
check_mixing (const Mixing *mixing, double smoothing)
{
  const double class_weights[] = { 0.5, 2 };
  g_autoptr (Dataset) data = make_data ();
  g_autoptr (GError) error = NULL;
  NnAugment augment;
  NnPreprocess pre;
  FeederOptions options = { .data = data, .pre = &pre, .augment = &augment,
    .order = { N, N, 3 }, .n_outputs = 1, .threads = 3, .label_smoothing = smoothing,
    .class_weights = class_weights };
  Feeder *plain, *mixed;
  guint n_mixed = 0;

  nn_augment_init (&augment);
  nn_preprocess_init (&pre, SIDE, SIDE);
  pre.channels = NN_CHANNELS_GRAY;
  pre.scale[0] = 1;
  plain = feeder_new (&options, 0, 0, 10, &error);
  options.mixing = *mixing;
  mixed = feeder_new (&options, 0, 0, 10, &error);
  g_assert_no_error (error);
  for (guint b = 0; b < 10; b++) {
    const Batch *p = feeder_next (plain), *m = feeder_next (mixed);

    for (guint i = 0; i < p->n; i++) {
      const guint j = p->n - 1 - i, size = SIDE * SIDE;
      const float own = p->input[i * size], other = p->input[j * size];
      const float label = p->targets[i] > 0.5f;
      double sum = 0, kept;

      g_assert_cmpfloat_with_epsilon (
          p->targets[i], label * (1 - smoothing) + smoothing / 2, 1e-6);
      g_assert_cmpfloat (p->weights[i], ==, (float) class_weights[(guint) label]);
      for (guint k = 0; k < size; k++) {
        float x = m->input[i * size + k];

        sum += x;
        if (mixing->mixup == 0)
          g_assert_true (x == own || x == other);
        else
          g_assert_cmpfloat (x, ==, m->input[i * size]);
      }
      /* how much of the picture is its own, that much of the target is */
      kept = own == other ? 1 : (sum / size - other) / (own - other);
      g_assert_true (kept > -1e-4 && kept < 1 + 1e-4);
      g_assert_cmpfloat_with_epsilon (
          m->targets[i], kept * p->targets[i] + (1 - kept) * p->targets[j], 1e-4);
      g_assert_cmpfloat_with_epsilon (
          m->weights[i], kept * p->weights[i] + (1 - kept) * p->weights[j], 1e-4);
      n_mixed += kept < 0.999;
    }
  }
  /* an area of less than half a pixel mixes nothing */
  g_assert_true (n_mixed > 10 * N * mixing->probability * 0.6
      && n_mixed <= 10 * N * MIN (mixing->probability * 1.35, 1));
  feeder_free (plain);
  feeder_free (mixed);
}

static void
test_mixing (void)
{
  check_mixing (&(Mixing) { .mixup = 0.5, .probability = 1 }, 0);
  check_mixing (&(Mixing) { .mixup = 1, .probability = 0.5 }, 0.1);
  check_mixing (&(Mixing) { .cutmix = 1, .probability = 1 }, 0);
  check_mixing (&(Mixing) { .cutmix = 1, .probability = 0.5 }, 0.2);
}

/* --- averages and sizes --------------------------------------------------------------------- */

#define NETWORK(side, head) \
  "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": [" \
  "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", \"batch_input_shape\": [null, " side \
  ", " side ", 3], \"filters\": 16, \"kernel_size\": [3, 3], \"padding\": \"same\", " \
  "\"activation\": \"relu\"}}, {\"class_name\": \"BatchNormalization\", \"config\": " \
  "{\"name\": \"b\", \"axis\": -1, \"momentum\": 0.8}}, {\"class_name\": \"" head \
  "\", \"config\": {\"name\": \"p\"}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", " \
  "\"units\": 1, \"activation\": \"sigmoid\"}}]}}"

static NnModel *
make_model (const char *json)
{
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, 4, &error);
  g_assert_no_error (error);
  return model;
}

static void
test_average (void)
{
  g_autoptr (NnModel) model = make_model (NETWORK ("8", "Flatten"));
  g_autoptr (GError) error = NULL;
  g_autoptr (NnEma) ema = nn_ema_new (model, 0.9, &error);
  float *w = model->layers[1].params[0].data;
  double average = w[5];

  g_assert_no_error (error);
  for (gint64 t = 1; t < 200; t++) {
    const double d = MIN (0.9, (1. + (double) t) / (10. + (double) t));

    w[5] = (float) t;
    nn_ema_update (ema, model, t);
    average = d * average + (1 - d) * (double) t;
  }
  nn_ema_swap (ema, model);
  g_assert_cmpfloat_with_epsilon (w[5], average, 1e-3);
  nn_ema_swap (ema, model);
  g_assert_cmpfloat (w[5], ==, 199);
}

static void
run_once (NnModel *model, const float *input, float *output)
{
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);
  NnPlanOptions options = { .batch = 1, .threads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NnPlan) plan = nn_plan_new (backend, model, &options, &error);

  g_assert_no_error (error);
  memcpy (nn_plan_get_input (plan), input,
      nn_shape_count (nn_model_get_input_shape (model)) * sizeof (float));
  *output = *nn_plan_run (plan, 1, &error);
  g_assert_no_error (error);
}

static void
test_resized (void)
{
  g_autoptr (NnModel) small = make_model (NETWORK ("8", "GlobalAveragePooling2D"));
  g_autoptr (NnModel) large = make_model (NETWORK ("20", "GlobalAveragePooling2D"));
  g_autoptr (NnModel) flat = make_model (NETWORK ("8", "Flatten"));
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) view = nn_model_new_resized (small, 20, 20, &error);
  float input[20 * 20 * 3], a, b;

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (input); i++)
    input[i] = (float) (i * 37 % 101) / 101;
  for (guint step = 0; step < 2; step++) {
    run_once (view, input, &a);
    run_once (large, input, &b);
    g_assert_cmpfloat (a, ==, b);
    small->layers[1].params[0].data[7] += 1; /* the view's too */
    large->layers[1].params[0].data[7] += 1;
  }
  g_assert_null (nn_model_new_resized (flat, 20, 20, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_assert_nonnull (strstr (error->message, "layer 'd'"));
}

/* --- runs ----------------------------------------------------------------------------------- */

static void
make_folder (const char *dir)
{
  for (guint i = 0; i < 24; i++) {
    static const guint32 colors[] = { 0x30a040, 0x9040b0 };
    g_autofree char *train = g_strdup_printf ("train/%c/%u.png", 'a' + i % 2, i);
    g_autofree char *validate = g_strdup_printf ("validate/%c/%u.png", 'a' + i % 2, i);
    g_autofree char *unlabelled = g_strdup_printf ("unlabelled/%u.png", i);

    g_free (make_picture (dir, train, 24, 20, colors[i % 2], i));
    g_free (make_picture (dir, validate, 20, 24, colors[i % 2], i + 100));
    g_free (make_picture (dir, unlabelled, 22, 22, colors[i % 2], i + 200));
  }
}

static const char recipe_text[]
    = "[network]\nfile=net.json\n[data]\npicture_size=20\n[preprocess]\nresize=area\n"
      "[augmentation]\nrandom_resized_crop=0.5;1\nhorizontal_flip=true\ninterpolation_order=1\n"
      "brightness=0.2\nsaturation=0.3\nrandom_erasing=0.3\n[mixing]\nmixup=0.2\ncutmix=1\n"
      "probability=0.3\n[optimizer]\nname=adamw\nweight_decay=0.01\n[schedule]\nepochs=3;9\n"
      "learning_rate=2e-2;1e-2\nshape=cosine\nwarmup_epochs=1\nsize=12;16\n[training]\n"
      "batch_size=7\nlabel_smoothing=0.05\nema=0.9\nkeep=best\nclass_weights=balanced\n"
      "[unlabelled]\nbatch_size=5\nthreshold=0.6\nstart_epoch=2\nramp_epochs=2\n"
      "[strong_augmentation]\ncontrast=0.4\nhorizontal_flip=true\n";

static void
start_training (Child *child, const char *dir, const char *output, const char *more)
{
  g_autofree char *recipe = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *out = g_build_filename (dir, output, NULL);
  g_autofree char *log = g_strconcat (out, ".csv", NULL);
  const char *argv[] = { g_getenv ("CLASSIFY_EXE"), "train", recipe, "--data", dir, "-o", out, "-l",
    log, "--device", "cpu", more, NULL };

  child_start (child, NULL, argv, NULL);
}

static char *
read_file (const char *dir, const char *name, gsize *length)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  GError *error = NULL;
  char *text;

  g_file_get_contents (path, &text, length, &error);
  g_assert_no_error (error);
  return text;
}

/* Everything at once, learnt; and killed where it stands, again and again. */
static void
test_kill_and_resume (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *network = g_build_filename (dir, "net.json", NULL);
  g_autofree char *recipe = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *checkpoint = g_build_filename (dir, "b.checkpoint.h5", NULL);
  g_autofree char *first = NULL, *second = NULL, *log = NULL;
  gsize n_first, n_second;
  g_auto (GStrv) lines = NULL, fields = NULL;
  guint n_kills = 0, n_resumed = 0;
  Child child;
  int status;

  if (!g_getenv ("CLASSIFY_EXE")) {
    g_test_skip ("CLASSIFY_EXE does not name the command");
    return;
  }
  make_folder (dir);
  g_file_set_contents (network, NETWORK ("16", "GlobalAveragePooling2D"), -1, NULL);
  g_file_set_contents (recipe, recipe_text, -1, NULL);
  start_training (&child, dir, "a.h5", NULL);
  child_end (&child, 0, FALSE, &status, NULL);
  g_assert_cmpint (status, ==, 0);
  first = read_file (dir, "a.h5", &n_first);
  log = read_file (dir, "a.h5.csv", NULL);
  lines = g_strsplit (g_strchomp (log), "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 13);
  fields = g_strsplit (lines[12], ",", -1);
  g_assert_cmpfloat (g_ascii_strtod (fields[6], NULL), >, 0.9); /* learnt the two colours */
  g_assert_cmpfloat (g_ascii_strtod (fields[7], NULL), >, 0.5); /* sure of most unlabelled */

  /* Asked to end or killed in the midst of the training, or killed at any time. */
  status = -1;
  for (guint attempt = 0; attempt < 60 && status != 0; attempt++) {
    gboolean resume = g_file_test (checkpoint, G_FILE_TEST_EXISTS);
    int signal = 0;

    start_training (&child, dir, "b.h5", resume ? "--resume" : NULL);
    if (n_kills < 10 && attempt % 4 < 2) {
      g_autofree char *line = child_wait_line (&child, "epoch ");

      signal = attempt % 4 ? SIGKILL : SIGINT;
      n_resumed += resume && line && !g_str_has_prefix (line, "epoch 1/");
    } else if (n_kills < 10) {
      signal = SIGKILL;
      g_usleep (15000 + attempt * 23000 % 170000);
    }
    n_kills += child_end (&child, signal, FALSE, &status, NULL);
  }
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpuint (n_kills, >, 0);
  g_assert_cmpuint (n_resumed, >, 0);
  second = read_file (dir, "b.h5", &n_second);
  g_assert_cmpmem (first, n_first, second, n_second);
  g_assert_false (g_file_test (checkpoint, G_FILE_TEST_EXISTS));
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schedule/rates", test_rates);
  g_test_add_func ("/schedule/plateau", test_plateau);
  g_test_add_func ("/augment/crop", test_crop);
  g_test_add_func ("/augment/colors", test_colors);
  g_test_add_func ("/augment/erasing", test_erasing);
  g_test_add_func ("/feeder/mixing", test_mixing);
  g_test_add_func ("/model/average", test_average);
  g_test_add_func ("/model/resized", test_resized);
  g_test_add_func ("/train/kill-and-resume", test_kill_and_resume);
  return g_test_run ();
}
