/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <math.h>
#include <string.h>

#include "nn/keras-file.h"
#include "tests/pictures.h"
#include "train/predict.h"

/* A model whose probabilities can be told beforehand, and pictures for it: of
 * pictures in one colour, red against blue, z = (red - blue) / 255. */

/* DIR/NAME: 8x8 pixels of one colour */
static inline void
make_color (const char *dir, const char *name, guint red, guint green, guint blue)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 8, 8);
  GError *error = NULL;

  gdk_pixbuf_fill (pixbuf, red << 24 | green << 16 | blue << 8);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  gdk_pixbuf_save (pixbuf, path, "png", &error, NULL);
  g_assert_no_error (error);
}

/* DIR/NAME with @n_outputs: 1: sigmoid (k z); 3: softmax (k z, 0, -k z), so that
 * blue is the last class. @labels: two or three. (transfer full): the path */
static inline char *
make_color_model (
    const char *dir, const char *name, guint n_outputs, float k, const char *const *labels)
{
  g_autofree char *json = g_strdup_printf (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": "
      "[null, 4, 4, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": %u,"
      "\"activation\": \"%s\"}}]}}",
      n_outputs, n_outputs == 1 ? "sigmoid" : "softmax");
  char *path = g_build_filename (dir, name, NULL);
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (json, -1, NULL, &error);
  float *kernel;

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  kernel = model->layers[2].params[0].data; /* (48, n_outputs) */
  for (guint i = 0; i < 48; i++) {
    float value = (i % 3 == 0 ? k : i % 3 == 2 ? -k : 0) / 16;

    memset (kernel + i * n_outputs, 0, n_outputs * sizeof (float));
    kernel[i * n_outputs] = value;
    if (n_outputs == 3)
      kernel[i * 3 + 2] = -value;
  }
  g_assert_true (nn_model_set_labels (model, labels, &error));
  g_assert_true (nn_model_save (model, path, NULL, NULL, &error));
  g_assert_no_error (error);
  return path;
}

static inline Classifier *
open_model (const char *path)
{
  const ClassifierOptions options = { .model = path, .device = "cpu", .threads = 1 };
  GError *error = NULL;
  Classifier *classifier = classifier_new (&options, &error);

  g_assert_no_error (error);
  return classifier;
}
