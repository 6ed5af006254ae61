/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Temperatures: fitted, applied, kept in the file. */

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "train/calibrate.h"

static double
loss_at (const guint *labels, const float *p, guint n, guint k, double temperature)
{
  double loss = 0;

  for (guint i = 0; i < n; i++) {
    double sum = 0;

    for (guint c = 0; c < k; c++)
      sum += pow (p[i * k + c], 1 / temperature);
    loss -= log (pow (p[i * k + labels[i]], 1 / temperature) / sum);
  }
  return loss / n;
}

/* logits of a classifier that is @factor times as sure as it may be */
static void
make_pictures (guint n, guint k, double factor, guint *labels, float *p)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (k);

  for (guint i = 0; i < n; i++) {
    double z[8], sum = 0, sharp = 0, u;
    guint label = 0;

    for (guint c = 0; c < k; c++) {
      z[c] = g_rand_double_range (rand, -2, 2);
      sum += exp (z[c]);
      sharp += exp (factor * z[c]);
    }
    u = g_rand_double (rand) * sum;
    while (label + 1 < k && (u -= exp (z[label])) > 0)
      label++;
    labels[i] = label;
    for (guint c = 0; c < k; c++)
      p[i * k + c] = (float) (exp (factor * z[c]) / sharp);
  }
}

/* No temperature of a fine grid has a lower loss, and the true one is found. */
static void
test_fit (void)
{
  enum { N = 4000 };
  static const double factors[] = { 0.4, 1, 3 };
  g_autofree guint *labels = g_new (guint, N);
  g_autofree float *p = g_new (float, N * 8);

  for (guint k = 2; k <= 8; k += 3)
    for (guint f = 0; f < G_N_ELEMENTS (factors); f++) {
      double fitted, best;

      make_pictures (N, k, factors[f], labels, p);
      fitted = calibrate_fit (labels, p, N, k);
      best = loss_at (labels, p, N, k, fitted);
      g_assert_cmpfloat (fabs (log (fitted / factors[f])), <, 0.1);
      for (double t = 0.1; t < 10; t *= 1.01)
        g_assert_cmpfloat (loss_at (labels, p, N, k, t), >=, best - 1e-7);
    }
}

/* All right or all wrong: as far as it goes, and no infinity. */
static void
test_fit_without_optimum (void)
{
  const guint labels[] = { 0, 1, 0 }, wrong[] = { 1, 0, 1 };
  const float p[] = { 0.9f, 0.1f, 0, 1, 0.8f, 0.2f };

  g_assert_cmpfloat_with_epsilon (calibrate_fit (labels, p, 3, 2), CALIBRATE_MIN, 1e-6);
  g_assert_cmpfloat_with_epsilon (calibrate_fit (wrong, p, 3, 2), CALIBRATE_MAX, 1e-4);
}

static NnModel *
make_model (guint units, const char *activation)
{
  g_autofree char *json = g_strdup_printf (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"t\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
      " \"batch_input_shape\": [null, 1, 1, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": %u,"
      " \"activation\": \"%s\"}}]}}",
      units, activation);
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  g_assert_no_error (error);
  return model;
}

static void
test_probabilities (void)
{
  static const double temperatures[] = { 0.05, 0.5, 1, 1.7, 20 };
  const double z[3] = { 1.3, -0.4, 0.2 };

  for (guint i = 0; i < G_N_ELEMENTS (temperatures); i++) {
    const double t = temperatures[i];
    g_autoptr (NnModel) softmax = make_model (3, "softmax");
    g_autoptr (NnModel) sigmoid = make_model (1, "sigmoid");
    g_autoptr (NnModel) linear = make_model (3, "linear");
    double sum = 0, cool = 0;
    float in[3], out[3];

    softmax->temperature = sigmoid->temperature = linear->temperature = t;
    for (guint k = 0; k < 3; k++) {
      sum += exp (z[k]);
      cool += exp (z[k] / t);
    }
    for (guint k = 0; k < 3; k++)
      in[k] = (float) (exp (z[k]) / sum);
    nn_model_get_probabilities (softmax, in, out);
    for (guint k = 0; k < 3; k++)
      g_assert_cmpfloat_with_epsilon (out[k], exp (z[k] / t) / cool, 2e-6);
    for (guint k = 0; k < 3; k++) {
      in[0] = (float) (1 / (1 + exp (-z[k])));
      nn_model_get_probabilities (sigmoid, in, out);
      g_assert_cmpfloat_with_epsilon (out[1], 1 / (1 + exp (-z[k] / t)), 2e-6);
      g_assert_cmpfloat_with_epsilon (out[0] + out[1], 1, 1e-6);
      in[k] = (float) z[k];
    }
    for (guint k = 0; k < 3; k++)
      in[k] = (float) z[k];
    nn_model_get_probabilities (linear, in, out);
    for (guint k = 0; k < 3; k++)
      g_assert_cmpfloat_with_epsilon (out[k], z[k] / t, 1e-5);
    /* what is certain stays so */
    for (guint p = 0; p <= 1; p++) {
      in[0] = (float) p;
      nn_model_get_probabilities (sigmoid, in, out);
      g_assert_cmpfloat (out[1], ==, p);
    }
    memcpy (in, (const float[]){ 0, 1, 0 }, sizeof in);
    nn_model_get_probabilities (softmax, in, out);
    g_assert_cmpmem (in, sizeof in, out, sizeof out);
  }
}

static char *
find (char *bytes, gsize length, const char *text)
{
  const gsize n = strlen (text);

  for (gsize i = 0; i + n <= length; i++)
    if (memcmp (bytes + i, text, n) == 0)
      return bytes + i;
  g_error ("%s is not in the file", text);
}

static void
test_file (void)
{
  g_autofree char *dir = g_dir_make_tmp ("classify-calibrate-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "m.h5", NULL);
  static const char *const bad[] = { "nan       ", "0.00000000", "-1.2345679", "1.23456xyz" };
  g_autoptr (NnModel) model = make_model (1, "sigmoid");
  g_autofree char *bytes = NULL;
  GError *error = NULL;
  NnModel *read;
  char *place;
  gsize length;

  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  read = nn_model_load (path, &error);
  g_assert_cmpfloat (read->temperature, ==, 1);
  nn_model_unref (read);

  model->temperature = 1.23456789f;
  for (guint weights = 0; weights < 2; weights++) {
    if (weights)
      nn_model_save_weights (model, path, &error);
    else
      nn_model_save (model, path, NULL, NULL, &error);
    g_assert_no_error (error);
    read = weights ? make_model (1, "sigmoid") : nn_model_load (path, &error);
    g_assert_no_error (error);
    if (weights)
      nn_model_load_weights (read, path, NN_WEIGHTS_BY_ORDER, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpfloat (read->temperature, ==, strtod ("1.23456788", NULL));
    nn_model_unref (read);
  }

  nn_model_save (model, path, NULL, NULL, &error);
  g_file_get_contents (path, &bytes, &length, &error);
  place = find (bytes, length, "1.23456788");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    memcpy (place, bad[i], 10);
    g_file_set_contents (path, bytes, (gssize) length, NULL);
    g_assert_null (nn_model_load (path, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, "classify_temperature"));
    g_clear_error (&error);
  }
  g_unlink (path);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/calibrate/fit", test_fit);
  g_test_add_func ("/calibrate/fit-without-optimum", test_fit_without_optimum);
  g_test_add_func ("/calibrate/probabilities", test_probabilities);
  g_test_add_func ("/calibrate/file", test_file);
  return g_test_run ();
}
