/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/calibrate.h"

#include <math.h>

#include "nn/keras-file.h"

#define MIN_PROBABILITY 1e-12 /* what a float's 0 stands for */

/* d loss / d (1 / T): mean of sum_k q_k log p_k - log p_label, q = softmax (log p / T) */
static double
slope (const guint *labels, const double *logs, guint n, guint n_classes, double beta)
{
  double total = 0;

  for (guint i = 0; i < n; i++) {
    const double *z = logs + (gsize) i * n_classes;
    double max = z[0], sum = 0, mean = 0;

    for (guint k = 1; k < n_classes; k++)
      max = MAX (max, z[k]);
    for (guint k = 0; k < n_classes; k++) {
      const double e = exp (beta * (z[k] - max));

      sum += e;
      mean += e * z[k];
    }
    total += mean / sum - z[labels[i]];
  }
  return total;
}

double
calibrate_fit (const guint *labels, const float *probabilities, guint n, guint n_classes)
{
  g_autofree double *logs = g_new (double, (gsize) n * n_classes);
  double low = log (1 / CALIBRATE_MAX), high = log (1 / CALIBRATE_MIN);

  for (gsize i = 0; i < (gsize) n * n_classes; i++)
    logs[i] = log (MAX ((double) probabilities[i], MIN_PROBABILITY));
  for (guint step = 0; step < 60; step++) {
    const double middle = (low + high) / 2;

    if (slope (labels, logs, n, n_classes, exp (middle)) < 0)
      low = middle;
    else
      high = middle;
  }
  return exp (-(low + high) / 2);
}

gboolean
calibrate_is_at_end (double temperature)
{
  return temperature < CALIBRATE_MIN * 1.001 || temperature > CALIBRATE_MAX * 0.999;
}

gboolean
calibrate_run (Classifier *classifier, const char *dir, const DatasetOptions *options,
    guint enough, const char *output, Evaluation **before, Evaluation **after, GError **error)
{
  NnModel *model = classifier->model;
  g_autofree float *plain = NULL; /* at temperature 1 */
  const Dataset *data;

  *before = evaluation_new (classifier, dir, options, error);
  if (!*before)
    return FALSE;
  data = (*before)->data;
  if (data->n < enough)
    return TRUE;
  model->temperature = 1;
  plain = g_new (float, (gsize) data->n * classifier->n_classes);
  if (!classifier_run_dataset (classifier, data, plain, error))
    return FALSE;
  /* as it will be read */
  model->temperature
      = (float) calibrate_fit (data->labels, plain, data->n, classifier->n_classes);
  *after = evaluation_new (classifier, dir, options, error);
  return *after && nn_model_save (model, output, NULL, NULL, error);
}
