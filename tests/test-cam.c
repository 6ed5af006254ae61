/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Class activation maps: Zhou's formula where the head is linear on pooled maps,
 * finite differences of the head elsewhere. */

#include <math.h>
#include <string.h>

#include "nn/cam.h"
#include "nn/error.h"
#include "nn/keras-file.h"

#define CONV                                                                                      \
  "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", \"batch_input_shape\": "            \
  "[null, 12, 10, 3], \"filters\": 5, \"kernel_size\": [3, 3], \"activation\": \"relu\"}}, "      \
  "{\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"m\", \"pool_size\": [2, 2]}}, "
#define GAP "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\"}}, "
#define FLATTEN "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}}, "
#define BN "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"b\"}}, "
#define HIDDEN(activation)                                                                        \
  "{\"class_name\": \"Dense\", \"config\": {\"name\": \"h\", \"units\": 7, \"activation\": "      \
  "\"" activation "\"}}, {\"class_name\": \"Dropout\", \"config\": {\"name\": \"o\", "            \
  "\"rate\": 0.5}}, "
#define DENSE(units, activation)                                                                  \
  "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": " units                   \
  ", \"activation\": \"" activation "\"}}"
#define ACTIVATION(activation)                                                                    \
  ", {\"class_name\": \"Activation\", \"config\": {\"name\": \"a\", \"activation\": \"" activation \
  "\"}}"
#define SEQUENTIAL(layers)                                                                        \
  "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": [" layers "]}}"

static NnModel *
make_model (const char *json)
{
  g_autoptr (GError) error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  nn_model_init_params (model, 11, &error);
  g_assert_no_error (error);
  /* biases and statistics that matter */
  for (guint i = 0; i < model->n_layers; i++)
    for (guint k = 0; k < model->layers[i].n_params; k++) {
      NnParam *param = &model->layers[i].params[k];

      for (gsize v = 0; param->shape.n_dims == 1 && v < param->n_values; v++)
        param->data[v] += 0.3f * (float) ((v * 7 + k * 3) % 5) / 5 + 0.05f;
    }
  return model;
}

static void
fill_input (float *input, gsize n)
{
  for (gsize i = 0; i < n; i++)
    input[i] = (float) (i * 2654435761u >> 20 & 1023) / 512 - 1;
}

static float *
run (NnBackend *backend, NnModel *model, const float *input)
{
  const NnPlanOptions options = { .precision = NN_PRECISION_FP32, .batch = 1, .threads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NnPlan) plan = nn_plan_new (backend, model, &options, &error);
  const float *output;

  g_assert_no_error (error);
  memcpy (nn_plan_get_input (plan), input,
      nn_shape_count (nn_model_get_input_shape (model)) * sizeof (float));
  output = nn_plan_run (plan, 1, &error);
  g_assert_no_error (error);
  return g_memdup2 (output, nn_model_get_n_outputs (model) * sizeof (float));
}

typedef struct
{
  float map[64], peak;
  guint rows, columns;
} Map;

static Map
explain (NnBackend *backend, NnModel *model, int index, guint *explained)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NnCam) cam = nn_cam_new (model, backend, 1, &error);
  NnCamResult result;
  Map map = { { 0 } };

  g_assert_no_error (error);
  nn_cam_get_size (cam, &map.rows, &map.columns);
  g_assert_cmpuint (map.rows * map.columns, <=, G_N_ELEMENTS (map.map));
  fill_input (nn_cam_get_input (cam), nn_shape_count (nn_model_get_input_shape (model)));
  g_assert_true (nn_cam_run (cam, index, map.map, &result, &error));
  g_assert_no_error (error);
  map.peak = result.peak;
  if (explained)
    *explained = result.index;
  return map;
}

/* Zhou et al.: the class's weights times the maps; Grad-CAM has the mean of the
 * gradient, weights / cells, which the scale to the peak hides. */
static void
test_linear_head (void)
{
  static const char *const networks[] = { SEQUENTIAL (CONV GAP DENSE ("3", "softmax")),
    SEQUENTIAL (CONV GAP DENSE ("3", "linear") ACTIVATION ("softmax")) };
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);

  for (guint n = 0; n < G_N_ELEMENTS (networks); n++) {
    g_autoptr (NnModel) model = make_model (networks[n]);
    g_autoptr (NnModel) trunk = nn_model_new_part (model, 0, 3, NULL);
    g_autoptr (NnCam) cam = nn_cam_new (model, backend, 1, NULL);
    g_autofree float *input = g_new (float, 12 * 10 * 3), *maps = NULL, *outputs = NULL;
    const float *weights = model->layers[4].params[0].data;
    guint best = 0, explained;

    g_assert_cmpstr (nn_cam_get_method (cam), ==, "cam");
    fill_input (input, 12 * 10 * 3);
    maps = run (backend, trunk, input);
    outputs = run (backend, model, input);
    for (guint k = 0; k < 3; k++) {
      const Map map = explain (backend, model, (int) k, NULL);
      double expected[20], peak = 0;

      g_assert_cmpuint (map.rows, ==, 5);
      g_assert_cmpuint (map.columns, ==, 4);
      for (guint i = 0; i < 20; i++) {
        expected[i] = 0;
        for (guint c = 0; c < 5; c++)
          expected[i] += (double) weights[c * 3 + k] * maps[i * 5 + c];
        expected[i] = MAX (expected[i], 0);
        peak = MAX (peak, expected[i]);
      }
      g_assert_cmpfloat_with_epsilon (map.peak, peak / 20, 1e-5);
      for (guint i = 0; peak > 0 && i < 20; i++)
        g_assert_cmpfloat_with_epsilon (map.map[i], expected[i] / peak, 1e-5);
      best = outputs[k] > outputs[best] ? k : best;
    }
    explain (backend, model, -1, &explained);
    g_assert_cmpuint (explained, ==, best);
  }
}

/* The sum of a channel's gradient is how y changes when all its cells rise alike. */
static void
check_gradient (NnBackend *backend, const char *linear, const char *squashed, guint n_outputs)
{
  g_autoptr (NnModel) model = make_model (linear), same = make_model (squashed);
  g_autoptr (NnModel) trunk = nn_model_new_part (model, 0, 3, NULL);
  g_autoptr (NnModel) head = nn_model_new_part (model, 3, model->n_layers, NULL);
  g_autofree float *input = g_new (float, 12 * 10 * 3), *maps = NULL;
  const float step = 1e-2f;

  fill_input (input, 12 * 10 * 3);
  maps = run (backend, trunk, input);
  for (guint k = 0; k < MAX (n_outputs, 2); k++) {
    const double sign = n_outputs == 1 && k == 0 ? -1 : 1;
    const guint output = n_outputs == 1 ? 0 : k;
    const Map map = explain (backend, same, (int) k, NULL);
    double expected[20] = { 0 }, peak = 0;

    for (guint c = 0; c < 5; c++) {
      double slope = 0;

      for (int side = -1; side <= 1; side += 2) {
        g_autofree float *moved = g_memdup2 (maps, 100 * sizeof (float)), *y = NULL;

        for (guint i = 0; i < 20; i++)
          moved[i * 5 + c] += (float) side * step;
        y = run (backend, head, moved);
        slope += sign * side * y[output] / (2 * step);
      }
      for (guint i = 0; i < 20; i++)
        expected[i] += slope / 20 * maps[i * 5 + c];
    }
    for (guint i = 0; i < 20; i++)
      peak = MAX (peak, expected[i]);
    g_assert_cmpfloat_with_epsilon (map.peak, MAX (peak, 0), 1e-3 * MAX (peak, 0.1));
    for (guint i = 0; peak > 0 && i < 20; i++)
      g_assert_cmpfloat_with_epsilon (map.map[i], MAX (expected[i], 0) / peak, 2e-3);
  }
}

static void
test_gradient (void)
{
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);

  check_gradient (backend, SEQUENTIAL (CONV FLATTEN HIDDEN ("tanh") BN DENSE ("3", "linear")),
      SEQUENTIAL (CONV FLATTEN HIDDEN ("tanh") BN DENSE ("3", "softmax")), 3);
  check_gradient (backend, SEQUENTIAL (CONV FLATTEN BN HIDDEN ("sigmoid") DENSE ("1", "linear")),
      SEQUENTIAL (CONV FLATTEN BN HIDDEN ("sigmoid") DENSE ("1", "sigmoid")), 1);
  check_gradient (backend, SEQUENTIAL (CONV GAP HIDDEN ("tanh") DENSE ("2", "linear")),
      SEQUENTIAL (CONV GAP HIDDEN ("tanh") DENSE ("2", "softmax")), 2);
}

/* ReLU: the cells below its corner give nothing */
static void
test_relu (void)
{
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);

  check_gradient (backend, SEQUENTIAL (CONV FLATTEN HIDDEN ("relu") DENSE ("2", "linear")),
      SEQUENTIAL (CONV FLATTEN HIDDEN ("relu") DENSE ("2", "softmax")), 2);
}

static void
test_refused (void)
{
  static const char *const networks[] = {
    /* nothing makes one row of the maps */
    SEQUENTIAL (CONV DENSE ("2", "softmax")),
    /* a softmax in between */
    SEQUENTIAL (CONV FLATTEN HIDDEN ("softmax") DENSE ("2", "softmax")),
  };
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (networks); i++) {
    g_autoptr (NnModel) model = make_model (networks[i]);
    g_autoptr (GError) error = NULL;

    g_assert_null (nn_cam_new (model, backend, 1, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);
  }
}

/* Real files of real Keras: probabilities are the plan's. */
static void
test_files (void)
{
  static const char *const names[] = { "pipelines/models/cats-dogs.h5",
    "tests/data/keras/k3-sequential.h5", "tests/data/keras/tf-sequential.h5" };
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (SOURCE_ROOT, names[i], NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (NnModel) model = nn_model_open (path, NULL, &error);
    g_autoptr (NnCam) cam = NULL;
    g_autofree float *outputs = NULL, *map = NULL, *p = NULL;
    NnCamResult result;
    guint rows, columns;

    g_assert_no_error (error);
    cam = nn_cam_new (model, backend, 2, &error);
    g_assert_no_error (error);
    nn_cam_get_size (cam, &rows, &columns);
    map = g_new (float, (gsize) rows * columns);
    p = g_new (float, nn_model_get_n_classes (model));
    fill_input (nn_cam_get_input (cam), nn_shape_count (nn_model_get_input_shape (model)));
    outputs = run (backend, model, nn_cam_get_input (cam));
    g_assert_true (nn_cam_run (cam, -1, map, &result, &error));
    nn_model_get_probabilities (model, outputs, p);
    g_assert_cmpfloat_with_epsilon (result.probability, p[result.index], 1e-5);
    for (guint k = 0; k < rows * columns; k++)
      g_assert_true (map[k] >= 0 && map[k] <= 1);
  }
}

static void
test_color (void)
{
  guint before = 0;

  g_assert_cmphex (nn_cam_color (0, 1), ==, 0);
  g_assert_cmphex (nn_cam_color (1, 1), ==, 0xffff0000);
  g_assert_cmphex (nn_cam_color (NAN, 1) >> 24, <=, 0xff);
  for (guint i = 0; i <= 100; i++) {
    const guint32 color = nn_cam_color ((float) i / 100, 0.6);
    const guint alpha = color >> 24;

    g_assert_cmpuint (alpha, >=, before);
    g_assert_cmpuint (alpha, <=, 153);
    g_assert_cmpuint (color >> 16 & 255, <=, alpha); /* premultiplied */
    g_assert_cmpuint (color >> 8 & 255, <=, alpha);
    before = alpha;
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cam/linear-head", test_linear_head);
  g_test_add_func ("/cam/gradient", test_gradient);
  g_test_add_func ("/cam/relu", test_relu);
  g_test_add_func ("/cam/refused", test_refused);
  g_test_add_func ("/cam/files", test_files);
  g_test_add_func ("/cam/color", test_color);
  return g_test_run ();
}
