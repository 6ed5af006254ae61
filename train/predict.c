/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/predict.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/labels.h"
#include "nn/log.h"
#include "nn/loss.h"

#define RUN_PICTURES 16

Classifier *
classifier_new (const ClassifierOptions *options, GError **error)
{
  g_autoptr (Classifier) classifier = g_new0 (Classifier, 1);
  g_autofree char *pre = NULL;
  NnPlanOptions plan_options = {
    .precision = options->precision,
    .threads = options->threads,
  };

  classifier->model = nn_model_open (options->model, options->weights, error);
  if (!classifier->model)
    return NULL;
  if (options->labels_file) {
    g_auto (GStrv) labels = nn_labels_load (options->labels_file, error);

    if (!labels)
      return NULL;
    if (!nn_model_set_labels (classifier->model, (const char *const *) labels, error)) {
      g_prefix_error (error, "%s: ", options->labels_file);
      return NULL;
    }
  }
  classifier->backend = nn_backend_open (options->device, error);
  if (!classifier->backend)
    return NULL;
  classifier->n_views = options->tta == TTA_FLIP ? 2 : 1;
  classifier->n_pictures = RUN_PICTURES;
  plan_options.batch = classifier->n_views * classifier->n_pictures;
  classifier->plan = nn_plan_new (classifier->backend, classifier->model, &plan_options, error);
  if (!classifier->plan)
    return NULL;
  classifier->n_classes = nn_model_get_n_classes (classifier->model);
  classifier->sample_size = nn_shape_count (nn_model_get_input_shape (classifier->model));
  classifier->probabilities
      = g_new0 (float, (gsize) classifier->n_pictures * classifier->n_classes);
  pre = nn_preprocess_to_string (&classifier->model->preprocess);
  nn_info ("pre-processing: %s", pre);
  return g_steal_pointer (&classifier);
}

void
classifier_free (Classifier *classifier)
{
  if (!classifier)
    return;
  nn_plan_free (classifier->plan);
  nn_backend_unref (classifier->backend);
  if (classifier->model)
    nn_model_unref (classifier->model);
  g_free (classifier->probabilities);
  g_free (classifier);
}

const float *
classifier_run (Classifier *c, const guint8 *bytes, guint n, GError **error)
{
  const gsize n_outputs = nn_model_get_n_outputs (c->model);
  g_autofree float *view = g_new (float, c->n_classes);
  float *input = nn_plan_get_input (c->plan);
  const float *outputs;

  for (guint i = 0; i < n; i++)
    for (guint v = 0; v < c->n_views; v++)
      nn_preprocess_bytes (&c->model->preprocess, bytes + i * c->sample_size, v == 1,
          input + (i * c->n_views + v) * c->sample_size);
  outputs = nn_plan_run (c->plan, n * c->n_views, error);
  if (!outputs)
    return NULL;
  memset (c->probabilities, 0, (gsize) n * c->n_classes * sizeof (float));
  for (guint i = 0; i < n * c->n_views; i++) {
    float *mean = c->probabilities + i / c->n_views * c->n_classes;

    nn_model_get_probabilities (c->model, outputs + i * n_outputs, view);
    for (guint k = 0; k < c->n_classes; k++)
      mean[k] += view[k] / (float) c->n_views;
  }
  return c->probabilities;
}

/* --- predict ------------------------------------------------------------------------ */

static void
print_csv_field (const char *text)
{
  if (!strpbrk (text, ",\"\n\r")) {
    fputs (text, stdout);
    return;
  }
  putchar ('"');
  for (; *text; text++) {
    if (*text == '"')
      putchar ('"');
    putchar (*text);
  }
  putchar ('"');
}

static void
print_json (const Classifier *c, const char *path, const float *p, const guint *order, guint top_k)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL, *utf8 = g_filename_display_name (path);

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "file");
  json_builder_add_string_value (builder, utf8);
  json_builder_set_member_name (builder, "label");
  json_builder_add_string_value (builder, nn_model_get_label (c->model, order[0]));
  json_builder_set_member_name (builder, "index");
  json_builder_add_int_value (builder, order[0]);
  json_builder_set_member_name (builder, "probability");
  json_builder_add_double_value (builder, p[order[0]]);
  json_builder_set_member_name (builder, "top");
  json_builder_begin_array (builder);
  for (guint k = 0; k < top_k; k++) {
    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "label");
    json_builder_add_string_value (builder, nn_model_get_label (c->model, order[k]));
    json_builder_set_member_name (builder, "probability");
    json_builder_add_double_value (builder, p[order[k]]);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  text = json_to_string (root, FALSE);
  puts (text);
}

static void
print_result (const Classifier *c, const char *path, const float *p, Format format, guint top_k)
{
  g_autofree guint *order = g_new (guint, c->n_classes);
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  top_k = CLAMP (top_k, 1, c->n_classes);
  nn_top_k (p, c->n_classes, c->n_classes, order);
  switch (format) {
    case FORMAT_JSON:
      print_json (c, path, p, order, top_k);
      break;
    case FORMAT_CSV:
      print_csv_field (path);
      for (guint k = 0; k < top_k; k++) {
        putchar (',');
        print_csv_field (nn_model_get_label (c->model, order[k]));
        printf (",%s", g_ascii_formatd (number, sizeof number, "%.6f", p[order[k]]));
      }
      putchar ('\n');
      break;
    default:
      printf ("%s:", path);
      for (guint k = 0; k < top_k; k++)
        printf ("%s %s %.4f", k ? "," : "", nn_model_get_label (c->model, order[k]), p[order[k]]);
      putchar ('\n');
      break;
  }
}

static gboolean
flush_batch (Classifier *c, const guint8 *bytes, GPtrArray *names, Format format, guint top_k,
    GError **error)
{
  const float *p;

  if (names->len == 0)
    return TRUE;
  p = classifier_run (c, bytes, names->len, error);
  if (!p)
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    print_result (c, g_ptr_array_index (names, i), p + i * c->n_classes, format, top_k);
  g_ptr_array_set_size (names, 0);
  return TRUE;
}

gboolean
predict_run (Classifier *c, char **paths, Format format, guint top_k, guint *n_bad, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autofree guint8 *bytes = g_malloc (c->sample_size * c->n_pictures);

  *n_bad = 0;
  for (guint i = 0; paths[i]; i++) {
    g_autoptr (GPtrArray) files = NULL;

    if (g_file_test (paths[i], G_FILE_TEST_IS_DIR)) {
      files = pictures_list (paths[i], error);
      if (!files)
        return FALSE;
      if (files->len == 0)
        nn_warning ("%s: no picture in this folder", paths[i]);
    } else {
      files = g_ptr_array_new_with_free_func (g_free);
      g_ptr_array_add (files, g_strdup (paths[i]));
    }
    for (guint f = 0; f < files->len; f++) {
      const char *path = g_ptr_array_index (files, f);
      g_autoptr (GError) local = NULL;

      if (!picture_load (
              path, &c->model->preprocess, bytes + names->len * c->sample_size, &local)) {
        nn_warning ("%s", local->message);
        ++*n_bad;
        continue;
      }
      g_ptr_array_add (names, g_strdup (path));
      if (names->len == c->n_pictures && !flush_batch (c, bytes, names, format, top_k, error))
        return FALSE;
    }
  }
  return flush_batch (c, bytes, names, format, top_k, error);
}

/* --- evaluate ----------------------------------------------------------------------------- */

static void
print_confusion (const Classifier *c, const guint *confusion)
{
  int width = 8;

  for (guint k = 0; k < c->n_classes; k++)
    width = MAX (width, (int) g_utf8_strlen (nn_model_get_label (c->model, k), -1) + 1);
  printf ("%-*s", width, "is \\ said");
  for (guint k = 0; k < c->n_classes; k++)
    printf ("%*s", width, nn_model_get_label (c->model, k));
  putchar ('\n');
  for (guint t = 0; t < c->n_classes; t++) {
    printf ("%-*s", width, nn_model_get_label (c->model, t));
    for (guint k = 0; k < c->n_classes; k++)
      printf ("%*u", width, confusion[t * c->n_classes + k]);
    putchar ('\n');
  }
}

gboolean
evaluate_run (Classifier *c, const char *dir, Layout layout, guint threads, GError **error)
{
  DatasetOptions options
      = { layout, 0, 0, (const char *const *) c->model->labels, threads };
  g_autoptr (Dataset) data = NULL;
  g_autofree guint *confusion = g_new0 (guint, (gsize) c->n_classes * c->n_classes);
  g_autofree float *targets = g_new0 (float, c->n_classes);
  double sum_loss = 0;
  guint n_correct = 0;

  data = dataset_load (dir, &options, &c->model->preprocess, error);
  if (!data)
    return FALSE;
  if (data->n_classes != c->n_classes) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE, "%s: has %u classes, the model %u", dir,
        data->n_classes, c->n_classes);
    return FALSE;
  }
  for (guint first = 0; first < data->n; first += c->n_pictures) {
    guint n = MIN (c->n_pictures, data->n - first);
    const float *p
        = classifier_run (c, data->bytes + (gsize) first * data->sample_size, n, error);

    if (!p)
      return FALSE;
    for (guint i = 0; i < n; i++) {
      guint label = data->labels[first + i], best, correct;
      double loss;

      memset (targets, 0, c->n_classes * sizeof (float));
      targets[label] = 1;
      nn_loss_compute (NN_LOSS_CATEGORICAL_CROSSENTROPY, p + i * c->n_classes, targets, 1,
          c->n_classes, NULL, &loss, &correct);
      nn_top_k (p + i * c->n_classes, c->n_classes, 1, &best);
      sum_loss += loss;
      n_correct += best == label;
      confusion[label * c->n_classes + best]++;
    }
  }
  printf ("%u pictures, loss %.4f, accuracy %.4f (%u right)\n", data->n, sum_loss / data->n,
      (double) n_correct / data->n, n_correct);
  print_confusion (c, confusion);
  return TRUE;
}
