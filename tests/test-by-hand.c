/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A training small enough to be computed here, in double precision, step by step: pictures of
 * one colour, one Dense layer, SGD, all pictures in each step. Averaged weights, pictures
 * without labels and their ramp, validation and the epoch that is kept are judged by it. */

#include <math.h>
#include <stdlib.h>

#include "nn/keras-file.h"
#include "tests/command.h"
#include "tests/pictures.h"

#define CLASSES 3
#define EPOCHS 9
#define RATE 0.5
#define EMA 0.8
#define THRESHOLD 0.6
#define WEIGHT 0.7
#define START 2
#define RAMP 3

static const char recipe_text[]
    = "[network]\nfile=net.json\ninit=init.h5\n[optimizer]\nname=sgd\n[schedule]\nepochs=9\n"
      "learning_rate=0.5\n[training]\nbatch_size=6\nema=0.8\n[unlabelled]\nbatch_size=8\n"
      "threshold=0.6\nweight=0.7\nstart_epoch=2\nramp_epochs=3\n";

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\", "
      "\"batch_input_shape\": [null, 4, 4, 3]}}, {\"class_name\": \"Dense\", \"config\": "
      "{\"name\": \"d\", \"units\": 3, \"activation\": \"softmax\"}}]}}";

static const guint8 labelled[6][3] = { { 230, 40, 30 }, { 200, 60, 50 }, { 40, 220, 60 },
  { 60, 190, 40 }, { 30, 50, 220 }, { 50, 70, 200 } };
/* what the network believes in the beginning, so that it validates worse and worse */
static const guint8 validation[6][3] = { { 31, 51, 221 }, { 52, 72, 202 }, { 231, 41, 31 },
  { 201, 61, 51 }, { 41, 221, 61 }, { 61, 191, 41 } };
static const guint8 unlabelled[8][3] = { { 240, 20, 20 }, { 20, 240, 20 }, { 20, 20, 240 },
  { 130, 120, 125 }, { 180, 60, 60 }, { 70, 160, 80 }, { 90, 100, 150 }, { 250, 10, 120 } };

/* kernel (in, units) and bias */
typedef struct
{
  double kernel[3][CLASSES], bias[CLASSES];
} Weights;

static const Weights initial
    = { { { -1, 3, -2 }, { -2, -1, 3 }, { 3, -2, -1 } }, { 0.2, 0, -0.1 } };

typedef struct
{
  double loss, val_loss, val_accuracy, used;
  guint n_first; /* unlabelled pictures that are surely of the first class */
  Weights average;
} Epoch;

static void
predict (const Weights *w, const guint8 *color, double *p)
{
  double sum = 0;

  for (guint k = 0; k < CLASSES; k++) {
    double z = w->bias[k];

    for (guint c = 0; c < 3; c++)
      z += color[c] / 255. * w->kernel[c][k];
    p[k] = exp (z);
    sum += p[k];
  }
  for (guint k = 0; k < CLASSES; k++)
    p[k] /= sum;
}

static guint
find_best (const double *p)
{
  guint best = 0;

  for (guint k = 1; k < CLASSES; k++)
    if (p[k] > p[best])
      best = k;
  return best;
}

/* adds d (factor x cross-entropy) / d weights of one picture; returns its cross-entropy */
static double
add_gradient (const Weights *w, const guint8 *color, guint label, double factor, Weights *g)
{
  double p[CLASSES];

  predict (w, color, p);
  for (guint k = 0; k < CLASSES; k++) {
    const double d = factor * (p[k] - (k == label));

    for (guint c = 0; c < 3; c++)
      g->kernel[c][k] += d * color[c] / 255.;
    g->bias[k] += d;
  }
  return -log (p[label]);
}

/* @w += @factor * @other, after @w *= @scale */
static void
mix (Weights *w, double scale, const Weights *other, double factor)
{
  for (guint k = 0; k < CLASSES; k++) {
    for (guint c = 0; c < 3; c++)
      w->kernel[c][k] = scale * w->kernel[c][k] + factor * other->kernel[c][k];
    w->bias[k] = scale * w->bias[k] + factor * other->bias[k];
  }
}

/* what the averaged weights are sure of is learnt from */
static void
add_unlabelled (const Weights *w, const Weights *average, guint epoch, Weights *g, Epoch *result)
{
  const double ramp = fmin ((epoch - START) / (RAMP + 1.), 1);

  for (guint i = 0; i < 8; i++) {
    double p[CLASSES];
    guint best;

    predict (average, unlabelled[i], p);
    best = find_best (p);
    result->n_first += p[0] >= THRESHOLD;
    if (p[best] < THRESHOLD)
      continue;
    result->used += 1 / 8.;
    add_gradient (w, unlabelled[i], best, WEIGHT * ramp / 8, g);
  }
}

static void
compute (Epoch *epochs)
{
  Weights w = initial, average = initial;

  for (guint e = 1; e <= EPOCHS; e++) {
    const double d = fmin (EMA, (1. + e) / (10. + e));
    Epoch *result = &epochs[e - 1];
    Weights g = { 0 };

    *result = (Epoch) { 0 };
    for (guint i = 0; i < 6; i++)
      result->loss += add_gradient (&w, labelled[i], i / 2, 1 / 6., &g) / 6;
    if (e > START)
      add_unlabelled (&w, &average, e, &g, result);
    mix (&w, 1, &g, -RATE);
    mix (&average, d, &w, 1 - d);
    for (guint i = 0; i < 6; i++) {
      double p[CLASSES];

      predict (&average, validation[i], p);
      result->val_loss -= log (p[i / 2]) / 6;
      result->val_accuracy += (find_best (p) == i / 2) / 6.;
    }
    result->average = average;
  }
}

static void
make_pictures (const char *dir)
{
  for (guint i = 0; i < 8; i++) {
    for (guint set = i < 6 ? 0 : 2; set < 3; set++) {
      const guint8 *color = set == 0 ? labelled[i] : set == 1 ? validation[i] : unlabelled[i];
      g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 4, 4);
      g_autofree char *name = set == 2
          ? g_strdup_printf ("unlabelled/%u.png", i)
          : g_strdup_printf ("%s/%c/%u.png", set ? "validate" : "train", 'a' + i / 2, i);
      g_autofree char *path = g_build_filename (dir, name, NULL);
      g_autofree char *folder = g_path_get_dirname (path);

      g_mkdir_with_parents (folder, 0700);
      gdk_pixbuf_fill (pixbuf,
          (guint32) color[0] << 24 | (guint32) color[1] << 16 | (guint32) color[2] << 8 | 255);
      g_assert_true (gdk_pixbuf_save (pixbuf, path, "png", NULL, NULL));
    }
  }
}

static void
make_run (const char *dir)
{
  g_autofree char *recipe = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *net = g_build_filename (dir, "net.json", NULL);
  g_autofree char *init = g_build_filename (dir, "init.h5", NULL);
  GError *error = NULL;
  g_autoptr (NnModel) model = NULL;
  NnLayer *dense;

  g_assert_true (g_file_set_contents (recipe, recipe_text, -1, NULL));
  g_assert_true (g_file_set_contents (net, network, -1, NULL));
  model = nn_model_new_from_json_file (net, &error);
  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  dense = &model->layers[model->n_layers - 1];
  for (guint k = 0; k < CLASSES; k++) {
    for (guint c = 0; c < 3; c++)
      dense->params[0].data[c * CLASSES + k] = (float) initial.kernel[c][k];
    dense->params[1].data[k] = (float) initial.bias[k];
  }
  nn_model_save_weights (model, init, &error);
  g_assert_no_error (error);
  make_pictures (dir);
}

static void
check_weights (const char *dir, const char *name, const Weights *expected)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_load (path, &error);
  const NnLayer *dense;

  g_assert_no_error (error);
  dense = &model->layers[model->n_layers - 1];
  for (guint k = 0; k < CLASSES; k++) {
    for (guint c = 0; c < 3; c++)
      g_assert_cmpfloat_with_epsilon (
          dense->params[0].data[c * CLASSES + k], expected->kernel[c][k], 1e-4);
    g_assert_cmpfloat_with_epsilon (dense->params[1].data[k], expected->bias[k], 1e-4);
  }
}

static double
distance (const Weights *a, const Weights *b)
{
  double most = 0;

  for (guint k = 0; k < CLASSES; k++)
    for (guint c = 0; c < 3; c++)
      most = fmax (most, fabs (a->kernel[c][k] - b->kernel[c][k]));
  return most;
}

/* Each line of the log, and the weights that are kept. */
static void
test_by_hand (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "log.csv", NULL);
  g_autofree char *log = NULL;
  g_auto (GStrv) lines = NULL;
  Epoch epochs[EPOCHS];
  guint best = 0;
  gboolean has_other_first = FALSE;

  compute (epochs);
  make_run (dir);
  g_free (run_command (dir, 0,
      "train r.ini --data . --device cpu -q -o last.h5 --log log.csv"));
  g_assert_true (g_file_get_contents (path, &log, NULL, NULL));
  lines = g_strsplit (log, "\n", -1);
  for (guint e = 0; e < EPOCHS; e++) {
    g_auto (GStrv) fields = g_strsplit (lines[e + 1], ",", -1);

    g_assert_cmpfloat_with_epsilon (atof (fields[3]), epochs[e].loss, 2e-5);
    g_assert_cmpfloat_with_epsilon (atof (fields[5]), epochs[e].val_loss, 2e-5);
    g_assert_cmpfloat_with_epsilon (atof (fields[6]), epochs[e].val_accuracy, 2e-5);
    if (e < START)
      g_assert_cmpstr (fields[7], ==, "");
    else
      g_assert_cmpfloat_with_epsilon (atof (fields[7]), epochs[e].used, 2e-5);
    has_other_first = has_other_first || epochs[e].n_first / 8. != epochs[e].used;
    if (epochs[e].val_accuracy > epochs[best].val_accuracy + 1e-9
        || (epochs[e].val_accuracy > epochs[best].val_accuracy - 1e-9
            && epochs[e].val_loss < epochs[best].val_loss))
      best = e;
  }
  check_weights (dir, "last.h5", &epochs[EPOCHS - 1].average);
  /* the cases differ from each other, or nothing was tested */
  g_assert_true (has_other_first);
  g_assert_cmpuint (best, <, EPOCHS - 1);
  g_assert_cmpfloat (distance (&epochs[best].average, &epochs[EPOCHS - 1].average), >, 0.1);

  g_free (run_command (dir, 0,
      "train r.ini --data . --device cpu -q -o best.h5 --set training.keep=best"));
  check_weights (dir, "best.h5", &epochs[best].average);
  remove_dir (dir);
}

/* What learnt nothing is told of, at the end and where it is used; a loss that is no number ends
 * the run. */
static void
test_no_learning (void)
{
  g_autofree char *dir = make_dir (), *text = NULL;
  g_autofree char *broken = g_build_filename (dir, "nan.h5", NULL);
  g_autofree char *init = g_build_filename (dir, "init.h5", NULL);
  g_autofree char *net = g_build_filename (dir, "net.json", NULL);
  g_autofree char *made = g_build_filename (dir, "broken.h5", NULL);
  g_autoptr (NnModel) model = NULL;
  GError *error = NULL;

  make_run (dir);
  for (guint i = 8; i < 12; i++) {
    g_autofree char *name = g_strdup_printf ("unlabelled/%u.png", i);

    g_free (make_picture (dir, name, 4, 4, 0x0a0ac0, i));
  }
  expect_message (dir, 0,
      "train r.ini --data . --device cpu -q -o stuck.h5 --set schedule.epochs=1 --set "
      "schedule.learning_rate=100 --set training.ema=0",
      "stuck.h5: has learnt nothing: its loss, ");
  expect_message (dir, 0,
      "pseudo-label stuck.h5 -u unlabelled --device cpu --threshold 0 -o stuck.csv",
      "was that of one who guesses: what it is sure of tells nothing");
  text = run_command (dir, 0, "train r.ini --data . --device cpu -q -o fine.h5 --set "
                              "schedule.epochs=60 --set training.ema=0");
  g_assert_null (strstr (text, "has learnt nothing"));

  /* sure of one class, whatever it sees */
  model = nn_model_new_from_json_file (net, &error);
  g_assert_no_error (error);
  g_assert_true (nn_model_load_weights (model, init, NN_WEIGHTS_BY_ORDER, NULL, &error));
  nn_model_set_labels (model, (const char *const[]) { "a", "b", "c", NULL }, &error);
  g_assert_no_error (error);
  model->layers[model->n_layers - 1].params[1].data[1] = 50;
  nn_model_save (model, made, NULL, NULL, &error);
  g_assert_no_error (error);
  expect_message (dir, 0, "pseudo-label broken.h5 -u unlabelled --device cpu -o b.csv",
      "broken.h5: takes all of 12 pictures for \"b\", each with a probability of at least 1.0000: "
      "it may have learnt nothing");

  model->layers[model->n_layers - 1].params[1].data[1] = NAN;
  nn_model_save_weights (model, broken, &error);
  g_assert_no_error (error);
  expect_message (dir, 2, "train r.ini --data . --device cpu -q -o n.h5 --init nan.h5",
      "epoch 1: the loss is no number any more");
  remove_dir (dir);
}

/* A network whose end does not tell one class of several. */
static void
test_ending (void)
{
  g_autofree char *dir = make_dir (), *net = g_build_filename (dir, "net.json", NULL);
  g_auto (GStrv) parts = g_strsplit (network, "softmax", 2);
  g_autofree char *sigmoid = g_strjoinv ("sigmoid", parts);

  make_run (dir);
  g_assert_true (g_file_set_contents (net, sigmoid, -1, NULL));
  expect_message (dir, 2, "train r.ini --data . --device cpu -q -o n.h5",
      "net.json: layer \"d\" with its 3 units must end in a softmax, so that it tells one class of "
      "3: in a softmax, or for two classes in one sigmoid unit; several labels for one picture are "
      "not offered");
  remove_dir (dir);
}

/* a folder of which the model is right about two of three */
static void
make_mixed (const char *dir)
{
  for (guint i = 0; i < 9; i++) {
    const char class = (char) ('a' + i / 3);
    g_autofree char *from = i % 3 < 2
        ? g_strdup_printf ("%s/validate/%c/%u.png", dir, class, i / 3 * 2 + i % 3)
        : g_strdup_printf ("%s/train/%c/%u.png", dir, class, i / 3 * 2);
    g_autofree char *to = g_strdup_printf ("%s/mixed/%c/%u.png", dir, class, i);
    g_autofree char *folder = g_path_get_dirname (to), *bytes = NULL;
    gsize size;

    g_mkdir_with_parents (folder, 0700);
    g_assert_true (g_file_get_contents (from, &bytes, &size, NULL));
    g_assert_true (g_file_set_contents (to, bytes, (gssize) size, NULL));
  }
}

typedef struct
{
  double was, now, before, after;
} Fit;

static Fit
calibrate (const char *dir)
{
  g_autofree char *text = run_command (dir, 0, "calibrate m.h5 mixed --device cpu");
  Fit fit;

  g_assert_cmpint (sscanf (text, "temperature %lf to %lf: loss %lf to %lf,", &fit.was, &fit.now,
                       &fit.before, &fit.after),
      ==, 4);
  return fit;
}

/* "before" is with the temperature that the file has, the fit starts from none. */
static void
test_calibration (void)
{
  g_autofree char *dir = make_dir (), *evaluated = NULL, *perfect = NULL;
  double loss;
  Fit first, second;

  make_run (dir);
  make_mixed (dir);
  g_free (run_command (dir, 0, "train r.ini --data . --device cpu -q -o m.h5 --set "
                               "schedule.epochs=1"));
  first = calibrate (dir);
  g_assert_cmpfloat (first.was, ==, 1);
  g_assert_cmpfloat (first.now, >, 1.1);
  g_assert_cmpfloat (first.now, <, 19);
  g_assert_cmpfloat (first.after, <, first.before);
  evaluated = run_command (dir, 0, "evaluate m.h5 mixed --device cpu");
  g_assert_cmpint (sscanf (evaluated, "9 pictures, loss %lf", &loss), ==, 1);
  second = calibrate (dir);
  g_assert_cmpfloat_with_epsilon (second.was, first.now, 1e-3);
  g_assert_cmpfloat_with_epsilon (second.before, loss, 1e-4);
  g_assert_cmpfloat_with_epsilon (second.now, first.now, 1e-3);
  perfect = run_command (dir, 0, "calibrate m.h5 validate --device cpu");
  g_assert_nonnull (strstr (perfect, "these 6 pictures do not tell the temperature, all of them "
                                     "are labelled right"));
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!g_getenv ("CLASSIFY_EXE"))
    return 77;
  g_test_add_func ("/train/by-hand", test_by_hand);
  g_test_add_func ("/train/no-learning", test_no_learning);
  g_test_add_func ("/train/ending", test_ending);
  g_test_add_func ("/calibrate/before-and-end", test_calibration);
  return g_test_run ();
}
