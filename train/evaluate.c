/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/evaluate.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/text.h"

#define MAX_COLUMNS 200 /* of a line; a matrix with longer ones is told as a list */
#define MAX_CONFUSIONS 20

Evaluation *
evaluation_new (
    Classifier *classifier, const char *dir, const DatasetOptions *options, GError **error)
{
  g_autoptr (Evaluation) e = g_new0 (Evaluation, 1);
  DatasetOptions own = *options;

  e->dir = g_strdup (dir);
  own.classes = (const char *const *)classifier->model->labels;
  e->data = dataset_load (dir, &own, &classifier->model->preprocess, error);
  if (!e->data)
    return NULL;
  if (e->data->n_classes != classifier->n_classes) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE, "%s: has %u classes, the model %u", dir,
        e->data->n_classes, classifier->n_classes);
    return NULL;
  }
  e->probabilities = g_new (float, (gsize)e->data->n * classifier->n_classes);
  if (!classifier_run_dataset (classifier, e->data, e->probabilities, error))
    return NULL;
  e->metrics = metrics_new (e->data->labels, e->probabilities, e->data->n, classifier->n_classes);
  return g_steal_pointer (&e);
}

void
evaluation_free (Evaluation *evaluation)
{
  if (!evaluation)
    return;
  metrics_free (evaluation->metrics);
  dataset_free (evaluation->data);
  g_free (evaluation->probabilities);
  g_free (evaluation->dir);
  g_free (evaluation);
}

/* --- text --------------------------------------------------------------------------------- */

/* printf counts bytes */
static void
append_padded (GString *text, const char *string, int width)
{
  g_string_append (text, string);
  for (int n = (int)g_utf8_strlen (string, -1); n < width; n++)
    g_string_append_c (text, ' ');
}

static void
append_right (GString *text, const char *string, int width)
{
  for (int n = (int)g_utf8_strlen (string, -1); n < width; n++)
    g_string_append_c (text, ' ');
  g_string_append (text, string);
}

static void
append_number (GString *text, double value, int width)
{
  if (isnan (value))
    g_string_append_printf (text, "%*s", width, "-");
  else
    g_string_append_printf (text, "%*.4f", width, value);
}

/* (transfer full) */
static char *
show_label (const NnModel *model, guint index)
{
  return nn_text_printable (nn_model_get_label (model, index), -1);
}

/* columns that the widest label takes, at least @least */
static int
get_label_width (const NnModel *model, guint n, int least)
{
  for (guint k = 0; k < n; k++) {
    g_autofree char *label = show_label (model, k);

    least = MAX (least, (int)g_utf8_strlen (label, -1));
  }
  return least;
}

/* the commonest of them, where a matrix would be too large */
static void
append_confusion_list (GString *text, const Metrics *m, const NnModel *model)
{
  g_autoptr (GArray) found = metrics_list_confusions (m);
  const guint n = MIN (found->len, MAX_CONFUSIONS);
  int width = 8;

  if (n == 0)
    return;
  for (guint i = 0; i < n; i++) {
    g_autofree char *label = show_label (model, g_array_index (found, MetricsConfusion, i).is);

    width = MAX (width, (int)g_utf8_strlen (label, -1));
  }
  if (n < found->len)
    g_string_append_printf (
        text, "\nThe %u commonest confusions of %u (--format json has all)\n", n, found->len);
  else
    g_string_append (text, "\nConfusions\n");
  g_string_append (text, "pictures  ");
  append_padded (text, "is", width);
  g_string_append (text, "  said\n");
  for (guint i = 0; i < n; i++) {
    const MetricsConfusion *c = &g_array_index (found, MetricsConfusion, i);
    g_autofree char *is = show_label (model, c->is), *said = show_label (model, c->said);

    g_string_append_printf (text, "%8u  ", c->n);
    append_padded (text, is, width);
    g_string_append_printf (text, "  %s\n", said);
  }
}

static void
append_confusion (GString *text, const Metrics *m, const NnModel *model)
{
  const int width = get_label_width (model, m->n_classes, 9) + 1; /* 9: "is \ said" */

  if (m->n_classes > METRICS_MAX_MATRIX || width * (int)(m->n_classes + 1) > MAX_COLUMNS) {
    append_confusion_list (text, m, model);
    return;
  }
  append_padded (text, "is \\ said", width);
  for (guint k = 0; k < m->n_classes; k++) {
    g_autofree char *label = show_label (model, k);

    append_right (text, label, width);
  }
  g_string_append_c (text, '\n');
  for (guint t = 0; t < m->n_classes; t++) {
    g_autofree char *label = show_label (model, t);

    append_padded (text, label, width);
    for (guint k = 0; k < m->n_classes; k++)
      g_string_append_printf (text, "%*u", width, m->confusion[(gsize)t * m->n_classes + k]);
    g_string_append_c (text, '\n');
  }
}

static void
append_classes (GString *text, const Metrics *m, const NnModel *model)
{
  const gboolean has_auc = m->n_classes > 2; /* of two it is one number, told above */
  const int width = get_label_width (model, m->n_classes, 8);

  append_padded (text, "class", width);
  g_string_append_printf (
      text, "  pictures  precision  recall      F1%s\n", has_auc ? "     AUC" : "");
  for (guint k = 0; k < m->n_classes; k++) {
    const MetricsClass *c = &m->classes[k];
    g_autofree char *label = show_label (model, k);

    append_padded (text, label, width);
    g_string_append_printf (text, "%10u", c->n);
    append_number (text, c->precision, 11);
    append_number (text, c->recall, 8);
    append_number (text, c->f1, 8);
    if (has_auc)
      append_number (text, c->auc, 8);
    g_string_append_c (text, '\n');
  }
}

static void
append_bins (GString *text, const Metrics *m)
{
  g_string_append (text, "probability     pictures    mean   right\n");
  for (guint b = 0; b < METRICS_N_BINS; b++) {
    const MetricsBin *bin = &m->bins[b];

    if (bin->n == 0)
      continue;
    g_string_append_printf (
        text, "%.3f to %.3f%11u", (double)b / METRICS_N_BINS, (b + 1.) / METRICS_N_BINS, bin->n);
    append_number (text, bin->confidence, 8);
    append_number (text, bin->accuracy, 8);
    g_string_append_c (text, '\n');
  }
}

char *
evaluation_to_text (const Evaluation *e, const NnModel *model)
{
  GString *text = g_string_new (NULL);
  const Metrics *m = e->metrics;
  g_autofree char *chance = evaluation_describe_chance (e, model);

  g_string_append_printf (text, "%u picture%s, loss %.4f, accuracy %.4f (%u right)\n", m->n,
      m->n == 1 ? "" : "s", m->nll, m->accuracy, m->n_right);
  append_confusion (text, m, model);
  g_string_append_printf (
      text, "\naccuracy %.4f to %.4f (95%% interval), ROC AUC", m->accuracy_low, m->accuracy_high);
  append_number (text, m->auc, 7);
  g_string_append_printf (
      text, ", Brier score %.4f, expected calibration error %.4f\n", m->brier, m->ece);
  if (chance)
    g_string_append_printf (text, "%s\n", chance);
  g_string_append_c (text, '\n');
  append_classes (text, m, model);
  g_string_append_c (text, '\n');
  append_bins (text, m);
  return g_string_free (text, FALSE);
}

char *
evaluation_describe_chance (const Evaluation *e, const NnModel *model)
{
  const Metrics *m = e->metrics;
  guint class;
  const double chance = metrics_get_chance (m, &class);
  g_autofree char *label = show_label (model, class);

  if (isnan (chance) || m->accuracy_low > chance)
    return NULL;
  if (m->accuracy_high < chance)
    return g_strdup_printf ("worse than chance: always saying \"%s\" would be right for %.1f %%",
        label, 100 * chance);
  return g_strdup_printf ("this may be chance: always saying \"%s\" would be right for %.1f %%, "
                          "which is within the interval",
      label, 100 * chance);
}

/* --- JSON --------------------------------------------------------------------------------- */

static void
add_number (JsonBuilder *builder, const char *name, double value)
{
  if (name)
    json_builder_set_member_name (builder, name);
  if (isfinite (value))
    json_builder_add_double_value (builder, value);
  else
    json_builder_add_null_value (builder);
}

static void
add_count (JsonBuilder *builder, const char *name, guint value)
{
  if (name)
    json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, value);
}

static void
add_string (JsonBuilder *builder, const char *name, const char *value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, value);
}

static void
add_file (JsonBuilder *builder, const char *name, const char *path)
{
  g_autofree char *utf8 = g_filename_display_name (path);

  add_string (builder, name, utf8);
}

static void
begin_array (JsonBuilder *builder, const char *name)
{
  if (name)
    json_builder_set_member_name (builder, name);
  json_builder_begin_array (builder);
}

static void
add_classes (JsonBuilder *builder, const Metrics *m, const NnModel *model)
{
  begin_array (builder, "classes");
  for (guint k = 0; k < m->n_classes; k++) {
    const MetricsClass *c = &m->classes[k];

    json_builder_begin_object (builder);
    add_string (builder, "label", nn_model_get_label (model, k));
    add_count (builder, "pictures", c->n);
    add_count (builder, "predicted", c->n_predicted);
    add_count (builder, "right", c->n_right);
    add_number (builder, "precision", c->precision);
    add_number (builder, "recall", c->recall);
    add_number (builder, "f1", c->f1);
    add_number (builder, "roc_auc", c->auc);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

static void
add_confusion (JsonBuilder *builder, const Metrics *m)
{
  begin_array (builder, "confusion");
  for (guint t = 0; t < m->n_classes; t++) {
    begin_array (builder, NULL);
    for (guint k = 0; k < m->n_classes; k++)
      add_count (builder, NULL, m->confusion[(gsize)t * m->n_classes + k]);
    json_builder_end_array (builder);
  }
  json_builder_end_array (builder);
}

static void
add_bins (JsonBuilder *builder, const Metrics *m)
{
  begin_array (builder, "reliability");
  for (guint b = 0; b < METRICS_N_BINS; b++) {
    json_builder_begin_object (builder);
    add_number (builder, "above", (double)b / METRICS_N_BINS);
    add_number (builder, "to", (b + 1.) / METRICS_N_BINS);
    add_count (builder, "pictures", m->bins[b].n);
    add_number (builder, "confidence", m->bins[b].confidence);
    add_number (builder, "accuracy", m->bins[b].accuracy);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

char *
evaluation_to_json (const Evaluation *e, const NnModel *model)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  const Metrics *m = e->metrics;

  json_builder_begin_object (builder);
  if (model->origin)
    add_file (builder, "model", model->origin);
  add_file (builder, "folder", e->dir);
  add_count (builder, "pictures", m->n);
  add_count (builder, "unreadable", e->data->n_unreadable);
  add_count (builder, "right", m->n_right);
  add_number (builder, "accuracy", m->accuracy);
  begin_array (builder, "accuracy_interval");
  add_number (builder, NULL, m->accuracy_low);
  add_number (builder, NULL, m->accuracy_high);
  json_builder_end_array (builder);
  add_number (builder, "loss", m->nll);
  add_number (builder, "roc_auc", m->auc);
  add_number (builder, "brier", m->brier);
  add_number (builder, "ece", m->ece);
  add_number (builder, "macro_f1", m->macro_f1);
  add_classes (builder, m, model);
  add_confusion (builder, m);
  add_bins (builder, m);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}
