/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Networks cut in two: the halves one after the other are the whole, at every
 * layer; and what a cut across a branch is told. */

#include <math.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/keras-file.h"

#define N 2

static float *
run (NnModel *model, const float *input, guint n_threads)
{
  const NnPlanOptions options
      = { .precision = NN_PRECISION_FP32, .batch = N, .threads = n_threads };
  const gsize n_in = N * nn_shape_count (nn_model_get_input_shape (model));
  const gsize n_out = N * nn_model_get_n_outputs (model);
  g_autoptr (GError) error = NULL;
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", &error);
  g_autoptr (NnPlan) plan = NULL;
  const float *output;

  g_assert_no_error (error);
  plan = nn_plan_new (backend, model, &options, &error);
  g_assert_no_error (error);
  memcpy (nn_plan_get_input (plan), input, n_in * sizeof (float));
  output = nn_plan_run (plan, N, &error);
  g_assert_no_error (error);
  return g_memdup2 (output, n_out * sizeof (float));
}

/* the halves at each cut from the @step-th on */
static void
check_cuts (NnModel *model, guint step)
{
  const gsize n_in = N * nn_shape_count (nn_model_get_input_shape (model));
  const gsize n_out = N * nn_model_get_n_outputs (model);
  g_autofree float *input = g_new (float, n_in), *whole = NULL;

  for (gsize i = 0; i < n_in; i++)
    input[i] = (float) (i * 37 % 101) / 101;
  whole = run (model, input, 1);
  for (guint cut = 1; cut < model->n_layers; cut += step) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NnModel) trunk = nn_model_new_part (model, 0, cut, &error);
    g_autoptr (NnModel) head = NULL;
    g_autofree float *between = NULL, *end = NULL;

    g_assert_no_error (error);
    head = nn_model_new_part (model, cut, model->n_layers, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (trunk->n_layers + head->n_layers, ==, model->n_layers + 1);
    g_assert_true (nn_shape_equal (nn_model_get_input_shape (head),
        &trunk->layers[trunk->output].out_shape));
    g_assert_cmpuint (nn_model_get_n_classes (head), ==, nn_model_get_n_classes (model));
    between = run (trunk, input, 1);
    end = run (head, between, 2);
    for (gsize i = 0; i < n_out; i++)
      if (fabsf (end[i] - whole[i]) > 2e-6f * MAX (1, fabsf (whole[i])))
        g_error ("cut at %s, output %" G_GSIZE_FORMAT ": %.9g, the whole gives %.9g",
            model->layers[cut].name, i, end[i], whole[i]);
  }
}

static NnModel *
open_model (const char *name)
{
  g_autofree char *path = g_build_filename (SOURCE_ROOT, name, NULL);
  g_autoptr (GError) error = NULL;
  NnModel *model = nn_model_open (path, NULL, &error);

  g_assert_no_error (error);
  return model;
}

static void
test_files (void)
{
  static const char *const names[] = { "tests/data/keras/k3-sequential.h5",
    "tests/data/keras/k3-functional.h5", "tests/data/keras/tf-sequential.h5" };
  g_autoptr (NnModel) cats_dogs = open_model ("pipelines/models/cats-dogs.h5");

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (NnModel) model = open_model (names[i]);

    check_cuts (model, 1);
  }
  check_cuts (cats_dogs, 9);
}

/* of a resized view, and the parameters are the model's own */
static void
test_shared (void)
{
  g_autoptr (NnModel) model = open_model ("pipelines/models/cats-dogs.h5");
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) view = nn_model_new_resized (model, 80, 112, &error);
  g_autoptr (NnModel) inner = NULL;

  g_assert_no_error (error);
  check_cuts (view, 11);
  inner = nn_model_new_part (view, 1, 4, &error);
  g_assert_no_error (error);
  g_assert_true (inner->layers[1].params[0].data == model->layers[1].params[0].data);
  g_assert_cmpstr (inner->layers[1].name, ==, model->layers[1].name);
  g_clear_pointer (&view, nn_model_unref);
  g_clear_pointer (&model, nn_model_unref);
  g_assert_true (isfinite (inner->layers[1].params[0].data[0])); /* kept alive */
}

/* Dense layers a, b, c in a row, then c made to read a's output as well as b does: no file
 * gives such a graph yet. */
static void
test_branch (void)
{
#define DENSE(name, input) \
  "{\"class_name\":\"Dense\",\"name\":\"" name "\",\"config\":{\"name\":\"" name "\"," \
  "\"units\":2},\"inbound_nodes\":[[[\"" input "\",0,0,{}]]]}"
  static const char json[] = "{\"class_name\":\"Model\",\"config\":{\"name\":\"m\",\"layers\":["
                             "{\"class_name\":\"InputLayer\",\"name\":\"i\",\"config\":{"
                             "\"batch_input_shape\":[null,4,4,1],\"name\":\"i\"},"
                             "\"inbound_nodes\":[]},"
                             "{\"class_name\":\"Flatten\",\"name\":\"f\",\"config\":{"
                             "\"name\":\"f\"},\"inbound_nodes\":[[[\"i\",0,0,{}]]]}," DENSE (
                                 "a", "f") "," DENSE ("b", "a") "," DENSE ("c", "b") "],"
                             "\"input_layers\":[[\"i\",0,0]],\"output_layers\":[[\"c\",0,0]]}}";
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (json, -1, "net.json", &error);
  g_autoptr (NnModel) part = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (model->n_layers, ==, 5);
  g_assert_true (nn_model_init_params (model, 1, &error));
  model->layers[4].inputs[0] = 2;
  part = nn_model_new_part (model, 0, 3, &error); /* a is its end */
  g_assert_no_error (error);
  g_clear_pointer (&part, nn_model_unref);
  g_assert_null (nn_model_new_part (model, 0, 4, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_assert_nonnull (strstr (error->message, "net.json: layers 'i' to 'b'"));
  g_assert_nonnull (strstr (error->message, "branch at 'a', whose output goes to 'c'"));
  g_clear_error (&error);
  g_assert_null (nn_model_new_part (model, 3, 5, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model-part/files", test_files);
  g_test_add_func ("/model-part/shared", test_shared);
  g_test_add_func ("/model-part/branch", test_branch);
  return g_test_run ();
}
