/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tests/colors.h"
#include "train/evaluate.h"

/* A classifier of the classes "class 0000" ... in DIR. */
static inline Classifier *
make_many_classifier (const char *dir, guint n)
{
  g_autofree char *json = g_strdup_printf (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": "
      "[null, 2, 2, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": %u,"
      "\"activation\": \"softmax\"}}]}}",
      n);
  g_autofree char *path = g_build_filename (dir, "many.h5", NULL);
  g_autoptr (NnModel) model = NULL;
  g_auto (GStrv) labels = g_new0 (char *, n + 1);
  GError *error = NULL;

  for (guint k = 0; k < n; k++)
    labels[k] = g_strdup_printf ("class %04u", k);
  model = nn_model_new_from_json (json, -1, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  g_assert_true (nn_model_set_labels (model, (const char *const *) labels, &error));
  g_assert_true (nn_model_save (model, path, NULL, NULL, &error));
  g_assert_no_error (error);
  return open_model (path);
}

/* Its evaluation without pictures: of class k there are k + 1, all said to be of class k + 1
 * where k is below @n_wrong, else right. */
static inline Evaluation *
make_many_classes (guint n, guint n_wrong)
{
  Evaluation *e = g_new0 (Evaluation, 1);
  Metrics *m = g_new0 (Metrics, 1);

  e->dir = g_strdup ("many");
  e->data = g_new0 (Dataset, 1);
  e->metrics = m;
  m->n_classes = n;
  m->classes = g_new0 (MetricsClass, n);
  m->confusion = g_new0 (guint, (gsize) n * n);
  for (guint k = 0; k < n; k++) {
    const guint said = k < n_wrong ? (k + 1) % n : k;

    m->confusion[(gsize) k * n + said] = m->classes[k].n = k + 1;
    m->n += k + 1;
    m->n_right += said == k ? k + 1 : 0;
  }
  m->accuracy = (double) m->n_right / m->n;
  metrics_wilson (m->n_right, m->n, &m->accuracy_low, &m->accuracy_high);
  return e;
}
