/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files written by genuine Keras (tests/make-keras-fixtures.py), our own files
 * read back, files that must be refused, damaged files, full disks. */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/file.h"
#include "nn/hdf5-read.h"
#include "nn/keras-file.h"
#include "nn/layer.h"
#include "nn/log.h"

static char *tmp; /* directory of this run */

/* Damaged weights are warned of, which GLib's tests would die of. */
static void
drop_message (NnLogLevel level, const char *message, gpointer user_data)
{
}

static char *
data_path (const char *name, const char *suffix)
{
  g_autofree char *file = g_strconcat (name, suffix, NULL);

  return g_build_filename (SOURCE_ROOT, "tests", "data", "keras", file, NULL);
}

static char *
tmp_path (const char *name)
{
  return g_build_filename (tmp, name, NULL);
}

static NnModel *
load_network (const char *name)
{
  g_autofree char *path = data_path (name, ".network.json");
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json_file (path, &error);

  g_assert_no_error (error);
  return model;
}

/* --- what Keras says ---------------------------------------------------- */

static JsonParser *
load_expected (const char *name, const char *suffix)
{
  g_autofree char *path = data_path (name, suffix);
  JsonParser *parser = json_parser_new ();
  GError *error = NULL;

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  return parser;
}

/* {"shape": [...], "data": base64 of little-endian float32} */
static float *
decode (JsonObject *array, gsize *n)
{
  gsize size;
  float *values = (float *) g_base64_decode (json_object_get_string_member (array, "data"), &size);

  *n = size / sizeof (float);
  return values;
}

static void
assert_param (const NnParam *param, JsonObject *expected)
{
  JsonArray *shape = json_object_get_array_member (expected, "shape");
  gsize n;
  g_autofree float *values = decode (expected, &n);

  g_assert_cmpuint (param->shape.n_dims, ==, json_array_get_length (shape));
  for (guint i = 0; i < param->shape.n_dims; i++)
    g_assert_cmpint (param->shape.dims[i], ==, json_array_get_int_element (shape, i));
  g_assert_cmpmem (param->data, param->n_values * 4, values, n * 4);
}

/* All weights, to the bit. */
static void
assert_weights (const NnModel *model, JsonObject *expected)
{
  JsonArray *weights = json_object_get_array_member (expected, "weights");
  guint n = 0;

  g_assert_true (model->has_weights);
  for (guint i = 0; i < model->n_layers; i++) {
    for (guint k = 0; k < model->layers[i].n_params; k++)
      assert_param (&model->layers[i].params[k], json_array_get_object_element (weights, n++));
  }
  g_assert_cmpuint (n, ==, json_array_get_length (weights));
}

/* Keras's predictions, within what the order of additions may change. */
static void
assert_predictions (NnModel *model, JsonObject *expected)
{
  gsize n_input, n_wanted, n = nn_model_get_n_outputs (model);
  g_autofree float *input = decode (json_object_get_object_member (expected, "input"), &n_input);
  g_autofree float *wanted
      = decode (json_object_get_object_member (expected, "predictions"), &n_wanted);
  guint batch = (guint) (n_wanted / n);
  NnPlanOptions options = { .precision = NN_PRECISION_FP32, .batch = batch, .threads = 1 };
  GError *error = NULL;
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", &error);
  g_autoptr (NnPlan) plan = NULL;
  const float *found;

  g_assert_no_error (error);
  plan = nn_plan_new (backend, model, &options, &error);
  g_assert_no_error (error);
  memcpy (nn_plan_get_input (plan), input, n_input * sizeof (float));
  found = nn_plan_run (plan, batch, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < n_wanted; i++)
    g_assert_cmpfloat_with_epsilon (found[i], wanted[i], 2e-6);
  /* numbers that a broken network could not give by accident */
  g_assert_cmpfloat (fabsf (wanted[0] - wanted[n]), >, 1e-4);
}

/* --- genuine files ------------------------------------------------------ */

typedef struct
{
  const char *name;
  const char *network; /* NULL: a whole-model file */
} Genuine;

static const Genuine genuine[] = {
  { "tf-sequential", NULL },
  { "tf-functional", NULL },
  { "k3-sequential", NULL },
  { "k3-functional", NULL },
  { "keras212-list", NULL },
  { "chunked", NULL },
  { "tf-weights", "tf-weights" },
  { "padded", "tf-weights" },
  { "theano", "tf-weights" },
  { "keras1", "tf-weights" },
  { "float64", "tf-weights" },
  { "float16", "tf-weights" },
  { "big-endian", "tf-weights" },
  { "compressed", "tf-weights" },
  /* a whole model into a network given apart, in Keras 3's own JSON */
  { "k3-sequential", "k3-sequential" },
  { "k3-functional", "k3-functional" },
  { "tf-sequential", "tf-weights" },
};

static void
test_genuine (gconstpointer data)
{
  const Genuine *row = data;
  g_autofree char *path = data_path (row->name, ".h5");
  g_autofree char *copy_path = tmp_path ("copy.h5");
  g_autoptr (JsonParser) parser = load_expected (row->name, ".json");
  JsonObject *expected = json_node_get_object (json_parser_get_root (parser));
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnModel) copy = NULL;
  GError *error = NULL;

  if (row->network != NULL) {
    guint n_matched = 0;

    model = load_network (row->network);
    nn_model_load_weights (model, path, NN_WEIGHTS_BY_ORDER, &n_matched, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (n_matched, >=, 3);
  } else {
    model = nn_model_load (path, &error);
    g_assert_no_error (error);
  }
  assert_weights (model, expected);
  assert_predictions (model, expected);

  /* and through a file of ours */
  nn_model_save (model, copy_path, NULL, NULL, &error);
  g_assert_no_error (error);
  copy = nn_model_load (copy_path, &error);
  g_assert_no_error (error);
  assert_weights (copy, expected);
  assert_predictions (copy, expected);
  g_assert_cmpuint (copy->n_layers, ==, model->n_layers);
  g_assert_cmpint (copy->is_sequential, ==, model->is_sequential);
}

static void
test_open (void)
{
  g_autofree char *network = data_path ("tf-weights", ".network.json");
  g_autofree char *weights = data_path ("tf-weights", ".h5");
  g_autofree char *whole = data_path ("keras212-list", ".h5");
  g_autofree char *other = data_path ("float16", ".h5");
  g_autoptr (JsonParser) parser = load_expected ("tf-weights", ".json");
  g_autoptr (JsonParser) other_parser = load_expected ("float16", ".json");
  JsonObject *expected = json_node_get_object (json_parser_get_root (parser));
  JsonObject *rounded = json_node_get_object (json_parser_get_root (other_parser));
  g_autoptr (NnModel) a = NULL;
  g_autoptr (NnModel) b = NULL;
  g_autoptr (NnModel) c = NULL;
  g_autoptr (NnModel) d = NULL;
  GError *error = NULL;

  a = nn_model_open (network, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (a->has_weights);
  b = nn_model_open (network, weights, &error);
  g_assert_no_error (error);
  assert_weights (b, expected);
  c = nn_model_open (whole, NULL, &error);
  g_assert_no_error (error);
  assert_weights (c, expected);
  d = nn_model_open (whole, other, &error);
  g_assert_no_error (error);
  assert_weights (d, rounded);

  g_assert_null (nn_model_open (weights, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "weights only"));
  g_clear_error (&error);
  g_assert_null (nn_model_open (network, network, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "found JSON"));
  g_clear_error (&error);
  g_assert_null (nn_model_open ("/nonexistent.h5", NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_clear_error (&error);
}

/* A network of which two layers have names of the file. */
static void
test_by_name (void)
{
  static const char json[]
      = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
        "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"conv2d\", \"filters\": 4,"
        "\"kernel_size\": [3, 3], \"batch_input_shape\": [null, 20, 30, 3]}},"
        "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"%s\"}},"
        "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"conv2d_1\", \"filters\": 5,"
        "\"kernel_size\": [3, 2]}},"
        "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"flatten\"}},"
        "{\"class_name\": \"Dense\", \"config\": {\"name\": \"mine\", \"units\": 2}}]}}";
  g_autofree char *path = data_path ("tf-weights", ".h5");
  g_autoptr (JsonParser) parser = load_expected ("tf-weights", ".json");
  JsonArray *weights = json_object_get_array_member (
      json_node_get_object (json_parser_get_root (parser)), "weights");
  g_autofree char *good = NULL, *bad = NULL;
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnModel) fresh = NULL;
  g_autoptr (NnModel) clash = NULL;
  GError *error = NULL;
  guint n_matched = 99;

  good = g_strdup_printf (json, "mine_too");
  bad = g_strdup_printf (json, "batch_normalization");
  model = nn_model_new_from_json (good, -1, NULL, &error);
  fresh = nn_model_new_from_json (good, -1, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 4, &error));
  g_assert_true (nn_model_init_params (fresh, 4, &error));
  nn_model_load_weights (model, path, NN_WEIGHTS_BY_NAME, &n_matched, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_matched, ==, 2);
  assert_param (&model->layers[1].params[0], json_array_get_object_element (weights, 0));
  assert_param (&model->layers[3].params[0], json_array_get_object_element (weights, 6));
  g_assert_cmpmem (model->layers[5].params[0].data, 400, fresh->layers[5].params[0].data, 400);

  /* the same name for another size is an error and changes nothing */
  clash = nn_model_new_from_json (bad, -1, NULL, &error);
  g_assert_true (nn_model_init_params (clash, 4, &error));
  g_assert_false (nn_model_load_weights (clash, path, NN_WEIGHTS_BY_NAME, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_assert_nonnull (strstr (error->message, "'batch_normalization'"));
  g_clear_error (&error);
  g_assert_cmpmem (clash->layers[1].params[0].data, 400, fresh->layers[1].params[0].data, 400);
}

/* --- our own files ------------------------------------------------------ */

static NnOptimizer *
make_optimizer (const NnModel *model, NnOptimizerKind kind, gboolean fill)
{
  GError *error = NULL;
  NnOptimizer *optimizer = nn_optimizer_new (kind, model, &error);

  g_assert_no_error (error);
  optimizer->learning_rate = 1e-4;
  optimizer->momentum = 0.5;
  if (!fill)
    return optimizer;
  optimizer->iterations = 12345678901;
  for (guint n = 0; n < optimizer->n_slots; n++) {
    for (gsize i = 0; i < optimizer->sizes[n]; i++) {
      optimizer->m[n][i] = (float) sin ((double) (n * 1000 + i));
      if (optimizer->v != NULL)
        optimizer->v[n][i] = (float) fabs (cos ((double) (n * 1000 + i)));
    }
  }
  return optimizer;
}

static NnModel *
make_model (void)
{
  static const char *const labels[] = { "a cat", "d\xc3\xb6g", NULL };
  g_autofree char *path
      = g_build_filename (SOURCE_ROOT, "train", "networks", "small.json", NULL);
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json_file (path, &error);

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 11, &error));
  g_assert_true (nn_model_set_labels (model, labels, &error));
  model->preprocess.channels = NN_CHANNELS_BGR;
  model->preprocess.resize = NN_RESIZE_AREA;
  model->preprocess.mean[0] = 103.939f;
  model->preprocess.scale[2] = 0.0174291938f;
  g_hash_table_insert (model->extra, g_strdup ("classify_recipe"), g_strdup ("[data]\nx=\xc3\xa9"));
  return model;
}

static void
assert_same_params (const NnModel *a, const NnModel *b)
{
  for (guint i = 0; i < a->n_layers; i++) {
    g_assert_cmpstr (a->layers[i].name, ==, b->layers[i].name);
    g_assert_cmpuint (a->layers[i].n_params, ==, b->layers[i].n_params);
    for (guint k = 0; k < a->layers[i].n_params; k++)
      g_assert_cmpmem (a->layers[i].params[k].data, a->layers[i].params[k].n_values * 4,
          b->layers[i].params[k].data, b->layers[i].params[k].n_values * 4);
  }
}

/* A label that does more than to be read becomes one that does not; a text that could not be read
 * again is not written. */
static void
test_hostile_labels (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autoptr (NnModel) copy = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = tmp_path ("hostile-labels.h5");

  g_free (model->labels[0]);
  model->labels[0] = g_strdup ("a\n\n2\n\xe2\x80\xae<b>");
  g_assert_true (nn_model_save (model, path, NULL, NULL, &error));
  copy = nn_model_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (copy->labels[0], ==, "a 2 <b>");
  g_assert_cmpstr (copy->labels[1], ==, "d\xc3\xb6g");
  model->labels[0][1] = '\xff';
  g_assert_false (nn_model_save (model, path, NULL, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_assert_nonnull (strstr (error->message, "\"a\\xff"));
  g_clear_error (&error);
  g_free (model->labels[0]);
  model->labels[0] = g_strdup ("x");
  g_free (model->layers[1].name);
  model->layers[1].name = g_strdup ("c\xed\xa0\xbd");
  g_assert_false (nn_model_save (model, path, NULL, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_remove (path);
}

static void
test_round_trip (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autoptr (NnModel) whole = NULL;
  g_autoptr (NnModel) apart = NULL;
  g_autofree char *path = tmp_path ("model.h5"), *again = tmp_path ("again.h5");
  g_autofree char *weights = tmp_path ("weights.h5");
  g_autofree char *first = NULL, *second = NULL;
  gsize n_first, n_second;
  NnOptimizer *optimizer = make_optimizer (model, NN_OPTIMIZER_ADAM, TRUE);
  NnOptimizer *restored = make_optimizer (model, NN_OPTIMIZER_ADAM, FALSE);
  GError *error = NULL;

  nn_model_save (model, path, optimizer, "categorical_crossentropy", &error);
  g_assert_no_error (error);
  whole = nn_model_load (path, &error);
  g_assert_no_error (error);
  assert_same_params (model, whole);
  g_assert_nonnull (strstr (whole->json, "InputLayer")); /* for Keras 3 */
  g_assert_cmpstr (whole->labels[1], ==, "d\xc3\xb6g");
  g_assert_null (whole->labels[2]);
  g_assert_true (whole->has_preprocess);
  g_assert_cmpmem (&whole->preprocess, sizeof (NnPreprocess), &model->preprocess,
      sizeof (NnPreprocess));
  g_assert_cmpstr (g_hash_table_lookup (whole->extra, "classify_recipe"), ==, "[data]\nx=\xc3\xa9");
  g_assert_cmpuint (g_hash_table_size (whole->extra), ==, 1);

  nn_optimizer_load (restored, whole, path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (restored->iterations, ==, 12345678901);
  for (guint i = 0; i < optimizer->n_slots; i++) {
    g_assert_cmpmem (restored->m[i], restored->sizes[i] * 4, optimizer->m[i],
        optimizer->sizes[i] * 4);
    g_assert_cmpmem (restored->v[i], restored->sizes[i] * 4, optimizer->v[i],
        optimizer->sizes[i] * 4);
  }

  /* the same model gives the same bytes, at another time too */
  g_usleep (1100000);
  nn_model_save (whole, again, optimizer, "categorical_crossentropy", &error);
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (path, &first, &n_first, NULL));
  g_assert_true (g_file_get_contents (again, &second, &n_second, NULL));
  g_assert_cmpmem (first, n_first, second, n_second);

  /* weights alone bring labels and pre-processing too */
  nn_model_save_weights (model, weights, &error);
  g_assert_no_error (error);
  apart = nn_model_new_from_json (model->json, -1, NULL, &error);
  g_assert_false (apart->has_preprocess);
  nn_model_load_weights (apart, weights, NN_WEIGHTS_BY_ORDER, NULL, &error);
  g_assert_no_error (error);
  assert_same_params (model, apart);
  g_assert_cmpstr (nn_model_get_label (apart, 0), ==, "a cat");
  g_assert_cmpint (apart->preprocess.resize, ==, NN_RESIZE_AREA);
  g_assert_false (nn_optimizer_load (restored, apart, weights, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_clear_error (&error);
  nn_optimizer_free (optimizer);
  nn_optimizer_free (restored);
}

static void
assert_list (NnH5 *h5, const char *path, const char *name, const char *joined)
{
  GError *error = NULL;
  g_auto (GStrv) list = nn_h5_get_strings (h5, path, name, &error);
  g_autofree char *found = NULL;

  g_assert_no_error (error);
  found = g_strjoinv (" ", list);
  g_assert_cmpstr (found, ==, joined);
}

/* The names that Keras gives the reference network's layers and weights. */
static void
test_layout (void)
{
  g_autofree char *network
      = g_build_filename (SOURCE_ROOT, "train", "networks", "dogs-vs-cats.json", NULL);
  g_autofree char *path = tmp_path ("layout.h5");
  g_auto (GStrv) layers = NULL;
  g_auto (GStrv) slots = NULL;
  g_auto (GStrv) config = NULL;
  g_auto (GStrv) training = NULL;
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json_file (network, &error);
  g_autoptr (NnH5) h5 = NULL;
  NnOptimizer *optimizer;
  guint n_weights = 0;

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  optimizer = make_optimizer (model, NN_OPTIMIZER_ADAM, FALSE);
  nn_model_save (model, path, optimizer, "binary_crossentropy", &error);
  g_assert_no_error (error);
  nn_optimizer_free (optimizer);
  h5 = nn_h5_open (path, &error);
  g_assert_no_error (error);

  layers = nn_h5_get_strings (h5, "/model_weights", "layer_names", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (layers), ==, 18);
  for (guint i = 0; layers[i] != NULL; i++) {
    g_autofree char *group = g_strconcat ("/model_weights/", layers[i], NULL);
    g_auto (GStrv) weights = nn_h5_get_strings (h5, group, "weight_names", &error);

    g_assert_no_error (error);
    for (guint k = 0; weights[k] != NULL; k++, n_weights++) {
      g_autofree char *dataset = g_strconcat (group, "/", weights[k], NULL);

      g_assert_true (nn_h5_has (h5, dataset));
    }
  }
  g_assert_cmpuint (n_weights, ==, 36);
  assert_list (h5, "/model_weights/conv2d_1", "weight_names", "conv2d_1/kernel:0 conv2d_1/bias:0");
  assert_list (h5, "/model_weights/batch_normalization_6", "weight_names",
      "batch_normalization_6/gamma:0 batch_normalization_6/beta:0"
      " batch_normalization_6/moving_mean:0 batch_normalization_6/moving_variance:0");
  assert_list (h5, "/model_weights/flatten_1", "weight_names", "");
  assert_list (h5, "/model_weights", "backend", "tensorflow");
  assert_list (h5, "/", "backend", "tensorflow");

  slots = nn_h5_get_long_strings (h5, "/optimizer_weights", "weight_names", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (slots), ==, 1 + 2 * 24);
  g_assert_cmpstr (slots[0], ==, "Adam/iter:0");
  g_assert_cmpstr (slots[3], ==, "Adam/conv2d_1/kernel/m:0");
  g_assert_cmpstr (slots[3 + 24], ==, "Adam/conv2d_1/kernel/v:0");
  training = nn_h5_get_strings (h5, "/", "training_config", &error);
  g_assert_nonnull (strstr (training[0], "\"binary_crossentropy\""));
  g_assert_nonnull (strstr (training[0], "\"learning_rate\""));

  /* one input shape, in the InputLayer: Keras 3 misreads the other place */
  config = nn_h5_get_strings (h5, "/", "model_config", &error);
  g_assert_nonnull (strstr (config[0], "\"InputLayer\""));
  g_assert_true (strstr (config[0], "batch_input_shape")
      == g_strrstr (config[0], "batch_input_shape"));
}

static void
test_sgd (void)
{
  for (guint i = 0; i < 2; i++) {
    g_autoptr (NnModel) model = make_model ();
    g_autofree char *path = tmp_path ("sgd.h5");
    NnOptimizer *optimizer = make_optimizer (model, NN_OPTIMIZER_SGD, TRUE);
    NnOptimizer *restored = make_optimizer (model, NN_OPTIMIZER_SGD, FALSE);
    NnOptimizer *adam = make_optimizer (model, NN_OPTIMIZER_ADAM, FALSE);
    GError *error = NULL;

    optimizer->momentum = i ? 0.9 : 0;
    nn_model_save (model, path, optimizer, NULL, &error);
    g_assert_no_error (error);
    nn_optimizer_load (restored, model, path, &error);
    g_assert_no_error (error);
    g_assert_cmpint (restored->iterations, ==, 12345678901);
    g_assert_cmpfloat (restored->m[0][1], ==, i ? optimizer->m[0][1] : 0);
    g_assert_false (nn_optimizer_load (adam, model, path, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
    g_clear_error (&error);
    nn_optimizer_free (optimizer);
    nn_optimizer_free (restored);
    nn_optimizer_free (adam);
  }
}

/* The state that Keras itself wrote, in its three orders. */
static void
test_optimizer (gconstpointer data)
{
  const char *name = data;
  g_autofree char *path = data_path (name, ".h5");
  g_autoptr (JsonParser) parser = load_expected (name, ".optimizer.json");
  JsonObject *expected = json_node_get_object (json_parser_get_root (parser));
  JsonArray *slots = json_object_get_array_member (expected, "slots");
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_load (path, &error);
  NnOptimizer *optimizer = make_optimizer (model, NN_OPTIMIZER_ADAM, FALSE);
  gboolean interleaved = strcmp (name, "tf-sequential") != 0;
  guint n = optimizer->n_slots, start = json_array_get_length (slots) - 2 * n;

  nn_optimizer_load (optimizer, model, path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (optimizer->iterations, ==,
      json_object_get_int_member (expected, "iterations"));
  g_assert_cmpint (optimizer->iterations, >, 0);
  for (guint i = 0; i < 2 * n; i++) {
    guint slot = interleaved ? i / 2 : i % n;
    gboolean is_v = interleaved ? i % 2 : i / n;
    gsize n_values;
    g_autofree float *values
        = decode (json_array_get_object_element (slots, start + i), &n_values);

    g_assert_cmpmem ((is_v ? optimizer->v : optimizer->m)[slot], optimizer->sizes[slot] * 4,
        values, n_values * 4);
  }
  nn_optimizer_free (optimizer);
}

/* More names than one attribute can hold. */
static void
test_many_layers (void)
{
  const guint n = 3000;
  GString *json = g_string_new ("{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\","
                                "\"layers\": [");
  g_autofree char *path = tmp_path ("many.h5");
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnModel) copy = NULL;
  g_autoptr (GPtrArray) labels = g_ptr_array_new_with_free_func (g_free);
  GError *error = NULL;

  for (guint i = 0; i < n; i++)
    g_string_append_printf (json,
        "%s{\"class_name\": \"Activation\", \"config\": {\"name\": \"a_layer_with_a_name_%u\", %s"
        "\"activation\": \"relu\"}}",
        i ? "," : "", i, i ? "" : "\"batch_input_shape\": [null, 1, 5000, 1],");
  g_string_append (json, ",{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"bn\"}}"
                         "]}}");
  model = nn_model_new_from_json (json->str, json->len, NULL, &error);
  g_assert_no_error (error);
  g_string_free (json, TRUE);
  for (guint i = 0; i < 5000; i++)
    g_ptr_array_add (labels, g_strdup_printf ("a label that takes its room %u", i));
  g_ptr_array_add (labels, NULL);
  g_assert_true (nn_model_set_labels (model, (const char *const *) labels->pdata, &error));
  g_assert_true (nn_model_init_params (model, 1, &error));
  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  copy = nn_model_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (copy->n_layers, ==, n + 2);
  g_assert_cmpstr (copy->labels[4999], ==, "a label that takes its room 4999");
  g_assert_cmpuint (g_hash_table_size (copy->extra), ==, 0);
}

/* --- writing that fails ------------------------------------------------- */

static guint
count_files (void)
{
  GDir *dir = g_dir_open (tmp, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  g_dir_close (dir);
  return n;
}

static void
test_full_disk (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autofree char *path = tmp_path ("full.h5");
  g_autofree char *before = NULL, *after = NULL;
  gsize n_before, n_after;
  struct rlimit old, small = { 100000, 100000 };
  GError *error = NULL;
  guint n_files;

  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (path, &before, &n_before, NULL));
  n_files = count_files ();
  model->layers[1].params[0].data[0] += 1;

  /* A limit on the file's size fails where a full disk does: in the middle. */
  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &old);
  small.rlim_max = old.rlim_max;
  setrlimit (RLIMIT_FSIZE, &small);
  g_assert_false (nn_model_save (model, path, NULL, NULL, &error));
  setrlimit (RLIMIT_FSIZE, &old);
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, g_strerror (EFBIG)));
  g_clear_error (&error);

  g_assert_true (g_file_get_contents (path, &after, &n_after, NULL));
  g_assert_cmpmem (before, n_before, after, n_after);
  g_assert_cmpuint (count_files (), ==, n_files);
}

static void
test_unwritable (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autoptr (NnModel) empty = load_network ("tf-weights");
  g_autofree char *missing = g_build_filename (tmp, "no", "such", "x.h5", NULL);
  GError *error = NULL;

  g_assert_false (nn_model_save (model, missing, NULL, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_assert_nonnull (strstr (error->message, "No such file"));
  g_clear_error (&error);
  g_assert_false (nn_model_save (model, tmp, NULL, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_assert_nonnull (strstr (error->message, "directory"));
  g_clear_error (&error);
  g_assert_false (nn_model_save (empty, missing, NULL, NULL, &error));
  g_assert_nonnull (strstr (error->message, "no weights"));
  g_clear_error (&error);
}

/* A link stays a link, the mode stays, a new file has what the umask leaves, nothing is left. */
static void
test_replace (void)
{
  g_autoptr (NnModel) model = make_model ();
  g_autofree char *dir = tmp_path ("replace"), *path = g_build_filename (dir, "real.h5", NULL);
  g_autofree char *link_path = g_build_filename (dir, "link.h5", NULL);
  g_autoptr (GDir) folder = NULL;
  GError *error = NULL;
  struct stat st;
  mode_t mask = umask (027);
  guint n = 0;

  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  nn_model_save (model, path, NULL, NULL, &error);
  umask (mask);
  g_assert_no_error (error);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0640);
  g_assert_cmpint (g_chmod (path, 0622), ==, 0); /* more than the umask leaves */
  g_assert_cmpint (symlink ("real.h5", link_path), ==, 0);
  nn_model_save_weights (model, link_path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (lstat (link_path, &st), ==, 0);
  g_assert_true (S_ISLNK (st.st_mode));
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0622);
  g_assert_null (nn_model_load (path, &error)); /* it is the weights file now */
  g_clear_error (&error);
  folder = g_dir_open (dir, 0, NULL);
  while (g_dir_read_name (folder))
    n++;
  g_assert_cmpuint (n, ==, 2);
}

/* What others put where part files might go is neither written into nor waited for. */
static void
test_planted (void)
{
  static const char *const names[]
      = { ".z.txt.part", ".z.txt.0000000000000000.part", ".z.txt.lock" };
  g_autofree char *dir = tmp_path ("planted"), *path = g_build_filename (dir, "z.txt", NULL);
  g_autofree char *victim = g_build_filename (dir, "victim", NULL);
  g_autofree char *content = NULL;
  g_autoptr (GError) error = NULL;
  NnFileLock *lock;
  struct stat st;
  int fds[G_N_ELEMENTS (names)];

  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (victim, "mine", -1, NULL));
  g_assert_cmpint (g_chmod (victim, 0600), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) { /* hard links, open and locked by another */
    g_autofree char *planted = g_build_filename (dir, names[i], NULL);

    g_assert_cmpint (link (victim, planted), ==, 0);
    fds[i] = open (planted, O_RDWR);
    flock (fds[i], LOCK_EX | LOCK_NB); /* one file by all its names: once */
  }
  lock = nn_file_lock (path, &error); /* nothing to lock with, which stops nobody */
  g_assert_no_error (error);
  g_assert_true (nn_file_replace (path, "new", 3, &error));
  g_assert_no_error (error);
  nn_file_unlock (lock);
  g_assert_cmpint (lstat (path, &st), ==, 0);
  g_assert_true (S_ISREG (st.st_mode) && st.st_nlink == 1 && st.st_size == 3);
  g_assert_true (g_file_get_contents (victim, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, "mine");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    close (fds[i]);
}

/* A name as long as names can be. */
static void
test_long_name (void)
{
  char name[256] = "";
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;

  memset (name, 'n', 255);
  path = tmp_path (name);
  g_assert_true (nn_file_replace (path, "x", 1, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_unlink (path), ==, 0);
}

/* One process at a time; the end of one, however it ends, frees the name, and what it left
 * half written goes. */
static void
test_lock (void)
{
  g_autofree char *dir = tmp_path ("lock"), *path = g_build_filename (dir, "m.h5", NULL);
  g_autofree char *part = g_build_filename (dir, ".m.h5.0123456789abcdef.part", NULL);
  g_autofree char *other = g_build_filename (dir, ".m.h5.x.0123456789abcdef.part", NULL);
  g_autoptr (GError) error = NULL;
  NnFileLock *lock;
  int ready[2];
  pid_t child;
  char c;

  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  g_assert_cmpint (pipe (ready), ==, 0);
  child = fork ();
  if (child == 0) {
    if (nn_file_lock (path, NULL) && write (ready[1], "x", 1) == 1)
      pause ();
    _exit (1);
  }
  g_assert_cmpint (read (ready[0], &c, 1), ==, 1);
  g_assert_true (g_file_set_contents (part, "half", -1, NULL));
  g_assert_true (g_file_set_contents (other, "of another file", -1, NULL));
  g_assert_null (nn_file_lock (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_assert_nonnull (strstr (error->message, "m.h5: another process is writing it"));
  g_assert_true (g_file_test (part, G_FILE_TEST_EXISTS));
  g_clear_error (&error);
  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
  lock = nn_file_lock (path, &error);
  g_assert_no_error (error);
  g_assert_false (g_file_test (part, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (other, G_FILE_TEST_EXISTS));
  nn_file_unlock (lock);
  g_unlink (other);
  g_assert_cmpint (g_rmdir (dir), ==, 0); /* the lock's file is gone as well */
  close (ready[0]);
  close (ready[1]);
}

/* Killed at any moment while writing: the file always is one of the two. */
static void
test_killed (void)
{
  g_autoptr (NnModel) a = make_model ();
  g_autoptr (NnModel) b = make_model ();
  g_autofree char *path = tmp_path ("killed.h5");
  GError *error = NULL;
  guint n_new = 0;

  b->layers[1].params[0].data[0] = 77;
  for (guint i = 0; i < 30; i++) {
    g_autoptr (NnModel) found = NULL;
    struct stat before, now;
    pid_t child;
    float first;

    nn_model_save (a, path, NULL, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpint (stat (path, &before), ==, 0);
    child = fork ();
    if (child == 0) {
      for (;;)
        nn_model_save (b, path, NULL, NULL, NULL);
    }
    if (i % 2) /* not before it has written one */
      while (stat (path, &now) != 0 || now.st_ino == before.st_ino)
        g_usleep (100);
    g_usleep (i * 700);
    kill (child, SIGKILL);
    waitpid (child, NULL, 0);
    found = nn_model_load (path, &error);
    g_assert_no_error (error);
    first = found->layers[1].params[0].data[0];
    g_assert_true (first == 77 || first == a->layers[1].params[0].data[0]);
    n_new += first == 77;
  }
  g_test_message ("%u of 30 had the new file", n_new);
  g_assert_cmpuint (n_new, >=, 15);
}

/* The label "caf#" of a file is no UTF-8 then, which we would not write. */
static void
break_label (const char *path)
{
  g_autofree char *bytes = NULL;
  gsize size, at = 0;

  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  while (at + 4 < size && memcmp (bytes + at, "caf#", 4) != 0)
    at++;
  g_assert_cmpmem (bytes + at, 4, "caf#", 4);
  bytes[at + 3] = '\xe9';
  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
}

/* Labels that cannot be read do no harm where others are given. */
static void
test_other_labels (void)
{
  static const char *const broken[] = { "caf#", "b", NULL };
  g_autoptr (NnModel) model = make_model ();
  g_autofree char *path = tmp_path ("broken-labels.h5"), *weights = tmp_path ("broken-w.h5");
  g_autofree char *names = tmp_path ("names.txt"), *network = tmp_path ("names.json");
  g_autoptr (NnModel) whole = NULL;
  g_autoptr (NnModel) parts = NULL;
  GError *error = NULL;
  const guint n = nn_model_get_n_classes (model);
  g_autoptr (GPtrArray) labels = g_ptr_array_new ();
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    g_ptr_array_add (labels, (gpointer) broken[MIN (i, 1)]);
    g_string_append_printf (text, "class %u\n", i);
  }
  g_ptr_array_add (labels, NULL);
  g_assert_true (nn_model_set_labels (model, (const char *const *) labels->pdata, &error));
  nn_model_save (model, path, NULL, NULL, &error);
  nn_model_save_weights (model, weights, &error);
  g_assert_no_error (error);
  break_label (path);
  break_label (weights);
  g_assert_true (g_file_set_contents (names, text->str, -1, NULL));
  g_assert_true (g_file_set_contents (network, model->json, -1, NULL));
  g_assert_null (nn_model_open (path, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "a labels-file can name the classes instead"));
  g_clear_error (&error);
  whole = nn_model_open_labelled (path, NULL, names, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (whole->labels[0], ==, "class 0");
  parts = nn_model_open_labelled (network, weights, names, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (parts->labels[0], ==, "class 0");
  g_assert_true (g_file_set_contents (names, "one\ntwo\nthree\nfour\nfive", -1, NULL));
  g_assert_null (nn_model_open_labelled (path, NULL, names, &error));
  g_assert_nonnull (strstr (error->message, "names.txt"));
  g_clear_error (&error);
}

/* --- files to be refused ------------------------------------------------ */

static void
test_refused (void)
{
  static const struct
  {
    const char *name;
    NnErrorCode code;
    const char *part;
  } rows[] = {
    { "hostile/external-link", NN_ERROR_UNSUPPORTED, "an external link" },
    { "hostile/soft-link", NN_ERROR_UNSUPPORTED, "a soft link" },
    { "hostile/soft-cycle", NN_ERROR_UNSUPPORTED, "a soft link" },
    { "hostile/external-storage", NN_ERROR_UNSUPPORTED, "another file" },
    { "hostile/virtual", NN_ERROR_UNSUPPORTED, "another file" },
    { "hostile/text-dataset", NN_ERROR_FORMAT, "should hold numbers" },
    { "hostile/compound", NN_ERROR_FORMAT, "should hold numbers" },
    { "hostile/long-double", NN_ERROR_FORMAT, "should hold numbers" },
    { "hostile/null-space", NN_ERROR_FORMAT, "should hold numbers" },
    { "hostile/rank", NN_ERROR_SHAPE, "5 axes" },
    { "hostile/shape", NN_ERROR_SHAPE, "should have the shape 12x2, found 13x2" },
    { "hostile/transposed", NN_ERROR_SHAPE, "should have the shape 12x2, found 2x12" },
    { "hostile/no-values", NN_ERROR_FORMAT, "should store 8 bytes, found 0" },
    { "hostile/huge", NN_ERROR_FORMAT, "declares 34359738368 bytes" },
    { "hostile/absurd", NN_ERROR_SHAPE, "more values than can be" },
    { "hostile/huge-chunk", NN_ERROR_FORMAT, "impossibly large pieces" },
    { "hostile/unknown-filter", NN_ERROR_UNSUPPORTED, "filter 32000" },
    { "hostile/group", NN_ERROR_FORMAT, "it is a group" },
    { "hostile/missing", NN_ERROR_FORMAT, "'/d/d/bias:0' is missing" },
    { "hostile/names-numbers", NN_ERROR_FORMAT, "should be text" },
    { "hostile/names-not-utf8", NN_ERROR_FORMAT, "not UTF-8" },
    { "hostile/names-matrix", NN_ERROR_FORMAT, "list of texts" },
    { "hostile/names-many", NN_ERROR_FORMAT, "lists 60000 layers" },
    { "hostile/count", NN_ERROR_SHAPE, "has 2 arrays, found 1" },
    { "hostile/through-dataset", NN_ERROR_FORMAT, "'/d/d/kernel:0/x' is missing" },
    { "hostile/newer", NN_ERROR_UNSUPPORTED, "save it anew" },
    { "hostile/tracked-group", NN_ERROR_UNSUPPORTED, "save it anew" },
    { "hostile/top-level", NN_ERROR_UNSUPPORTED, "outside of its layers" },
    { "hostile/no-layers", NN_ERROR_FORMAT, "not Keras's" },
    { "hostile/config-broken", NN_ERROR_FORMAT, "not well-formed" },
    { "hostile/config-number", NN_ERROR_FORMAT, "should be text" },
    { "hostile/config-deep", NN_ERROR_FORMAT, "nested deeper" },
    { "hostile/labels-count", NN_ERROR_SHAPE, "2 classes, found 3 labels" },
    { "hostile/labels-number", NN_ERROR_FORMAT, "should be text" },
    { "hostile/texts", NN_ERROR_FORMAT, "its texts name the same bytes over and over" },
    { "hostile/preprocess-text", NN_ERROR_FORMAT, "classify_preprocess" },
    { "hostile/preprocess-size", NN_ERROR_SHAPE, "makes 3x2 pixels of 3 channels" },
    { "hostile/preprocess-mean", NN_ERROR_FORMAT, "classify_preprocess" },
    { "hostile/preprocess-inf", NN_ERROR_FORMAT, "classify_preprocess" },
    { "k3.weights", NN_ERROR_SHAPE, "another network" },
    { "tf-weights", NN_ERROR_SHAPE, "another network" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *path = data_path (rows[i].name, ".h5");
    g_autofree char *network = data_path ("hostile/tiny", ".network.json");
    gboolean whole = strstr (rows[i].name, "config") != NULL
        || strstr (rows[i].name, "preprocess") != NULL || strstr (rows[i].name, "labels") != NULL;
    g_autoptr (GError) error = NULL;
    NnModel *model = whole ? nn_model_load (path, &error) : nn_model_open (network, path, &error);

    if (model != NULL || error->code != (int) rows[i].code
        || strstr (error->message, rows[i].part) == NULL)
      g_error ("%s: expected code %d and '%s', found code %d: %s", rows[i].name, rows[i].code,
          rows[i].part, error ? error->code : -1, error ? error->message : "success");
    g_test_message ("%s", error->message + strlen (SOURCE_ROOT) + 1);
    g_assert_true (g_str_has_prefix (error->message, path));
    g_assert_null (strchr (error->message, '\n'));
    /* named once */
    g_assert_null (strstr (error->message + 1, path));
  }
}

static void
test_good (void)
{
  static const char *const names[] = { "hostile/good", "hostile/hard-cycle" };
  g_autofree char *network = data_path ("hostile/tiny", ".network.json");

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = data_path (names[i], ".h5");
    GError *error = NULL;
    g_autoptr (NnModel) model = nn_model_open (network, path, &error);

    g_assert_no_error (error);
    g_assert_cmpfloat (model->layers[2].params[0].data[23], ==, 23);
    g_assert_cmpfloat (model->layers[2].params[1].data[1], ==, -0.5);
  }
}

static void
test_other_files (void)
{
  static const struct
  {
    const char *content;
    gsize size;
    NnErrorCode code;
    const char *part;
  } rows[] = {
    { "", 0, NN_ERROR_FORMAT, "empty file" },
    { "hello", 5, NN_ERROR_FORMAT, "no HDF5 signature" },
    { "\x89HDF\r\n\x1a\n", 8, NN_ERROR_FORMAT, "truncated" },
    { "version https://git-lfs.github.com/spec/v1\n", 43, NN_ERROR_FORMAT, "git lfs pull" },
    { "\x1c\0\0\0TFL3\0\0\0\0", 12, NN_ERROR_UNSUPPORTED, "TensorFlow Lite" },
    { "{\"a\": 1}", 8, NN_ERROR_FORMAT, "Keras network" },
    { "  [", 3, NN_ERROR_FORMAT, "not well-formed" },
  };
  g_autofree char *path = tmp_path ("other");
  GError *error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_assert_true (g_file_set_contents (path, rows[i].content, rows[i].size, NULL));
    g_assert_null (nn_model_open (path, NULL, &error));
    g_test_message ("%s", error->message);
    g_assert_cmpint (error->code, ==, rows[i].code);
    g_assert_nonnull (strstr (error->message, rows[i].part));
    g_clear_error (&error);
  }
  g_assert_null (nn_model_open (tmp, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_READ);
  g_clear_error (&error);
}

/* --- damage ------------------------------------------------------------- */

/* Without the syncing that g_file_set_contents() does. */
static void
write_file (const char *path, const char *content, gsize size)
{
  FILE *file = g_fopen (path, "wb");

  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (content, 1, size, file), ==, size);
  g_assert_cmpint (fclose (file), ==, 0);
}

/* Whatever happens to the bytes, loading ends with a model or an error. */
static void
try_damaged (const char *path, const char *content, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = NULL;

  write_file (path, content, size);
  model = nn_model_load (path, &error);
  if (model == NULL) {
    g_assert_nonnull (error);
    g_assert_true (g_str_has_prefix (error->message, path));
  } else {
    g_assert_no_error (error);
    g_assert_true (model->has_weights);
  }
}

static void
test_truncated (void)
{
  g_autofree char *source = data_path ("hostile/good-whole", ".h5"), *content = NULL;
  g_autofree char *path = tmp_path ("truncated.h5");
  gsize size;

  g_assert_true (g_file_get_contents (source, &content, &size, NULL));
  for (gsize length = 0; length < size; length += length < 2048 ? 1 : 7) {
    g_autoptr (GError) error = NULL;

    write_file (path, content, length);
    g_assert_null (nn_model_load (path, &error));
    g_assert_nonnull (error);
    g_assert_nonnull (strstr (error->message, length == 0 ? "empty"
            : length < 8                                  ? "no HDF5 signature"
                                                          : "truncated HDF5"));
  }
}

/* A B-tree node that is its own child. */
static void
test_circle (void)
{
  g_autofree char *source = data_path ("hostile/good-whole", ".h5"), *content = NULL;
  g_autofree char *path = tmp_path ("circle.h5");
  GError *error = NULL;
  gsize size;
  guint n = 0;

  g_assert_true (g_file_get_contents (source, &content, &size, NULL));
  for (gsize i = 0; i + 40 < size; i++) {
    if (memcmp (content + i, "TREE", 4) == 0) {
      guint64 address = GUINT64_TO_LE (i);

      content[i + 5] = 1; /* level */
      memcpy (content + i + 32, &address, 8);
      n++;
    }
  }
  g_assert_cmpuint (n, >, 2);
  write_file (path, content, size);
  g_assert_null (nn_model_load (path, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "a B-tree node"));
  g_clear_error (&error);
}

static void
test_flipped (void)
{
  static const char *const names[]
      = { "hostile/good-whole", "keras212-list", "chunked", "k3-functional" };
  g_autofree char *path = tmp_path ("flipped.h5");
  guint n_runs = g_test_slow () ? 5000 : 400;

  for (guint f = 0; f < G_N_ELEMENTS (names); f++) {
    g_autofree char *source = data_path (names[f], ".h5"), *content = NULL, *copy = NULL;
    gsize size;

    g_assert_true (g_file_get_contents (source, &content, &size, NULL));
    copy = g_malloc (size);
    for (guint run = 0; run < n_runs; run++) {
      guint n = 1 + (guint) g_test_rand_int_range (0, 4);

      memcpy (copy, content, size);
      for (guint i = 0; i < n; i++) {
        gsize place = (gsize) g_test_rand_int_range (0, (gint) size);

        copy[place] = i & 1 ? (char) g_test_rand_int_range (0, 256)
                            : (char) (copy[place] ^ (1 << g_test_rand_int_range (0, 8)));
      }
      try_damaged (path, copy, size);
    }
  }
}

/* --- threads ------------------------------------------------------------ */

static gpointer
load_often (gpointer data)
{
  g_autofree char *path = data_path ("tf-sequential", ".h5");

  for (guint i = 0; i < 20; i++) {
    GError *error = NULL;
    NnModel *model = nn_model_load (path, &error);

    g_assert_no_error (error);
    nn_model_unref (model);
  }
  return NULL;
}

static void
test_threads (void)
{
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new (NULL, load_often, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static void
remove_folder (const char *folder)
{
  GDir *dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
      remove_folder (path);
    g_unlink (path);
  }
  g_dir_close (dir);
  g_rmdir (folder);
}

/* test-keras-file --resave IN OUT: for check-with-keras.py. IN: a whole model,
 * or a network that gets initial weights. */
static int
resave (const char *in, const char *out)
{
  GError *error = NULL;
  g_autoptr (NnModel) model = nn_model_open (in, NULL, &error);
  NnOptimizer *optimizer;
  int status = 0;

  if (model == NULL || (!model->has_weights && !nn_model_init_params (model, 5, &error))) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  optimizer = make_optimizer (model, NN_OPTIMIZER_ADAM, TRUE);
  if (!nn_model_save (model, out, optimizer, "binary_crossentropy", &error)) {
    g_printerr ("%s\n", error->message);
    status = 1;
  }
  nn_optimizer_free (optimizer);
  return status;
}

int
main (int argc, char **argv)
{
  int status;

  if (argc == 4 && strcmp (argv[1], "--resave") == 0)
    return resave (argv[2], argv[3]);
  g_test_init (&argc, &argv, NULL);
  nn_log_set_sink (drop_message, NULL);
  tmp = g_dir_make_tmp ("classify-keras-XXXXXX", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (genuine); i++) {
    g_autofree char *name = g_strdup_printf ("/keras-file/genuine/%s%s%s", genuine[i].name,
        genuine[i].network ? "-into-" : "", genuine[i].network ? genuine[i].network : "");

    g_test_add_data_func (name, &genuine[i], test_genuine);
  }
  g_test_add_data_func ("/keras-file/optimizer/tf-legacy", "tf-sequential", test_optimizer);
  g_test_add_data_func ("/keras-file/optimizer/tf-new", "tf-functional", test_optimizer);
  g_test_add_data_func ("/keras-file/optimizer/keras-3", "k3-sequential", test_optimizer);
  g_test_add_func ("/keras-file/open", test_open);
  g_test_add_func ("/keras-file/by-name", test_by_name);
  g_test_add_func ("/keras-file/round-trip", test_round_trip);
  g_test_add_func ("/keras-file/hostile-labels", test_hostile_labels);
  g_test_add_func ("/keras-file/layout", test_layout);
  g_test_add_func ("/keras-file/sgd", test_sgd);
  g_test_add_func ("/keras-file/many-layers", test_many_layers);
  g_test_add_func ("/keras-file/full-disk", test_full_disk);
  g_test_add_func ("/keras-file/unwritable", test_unwritable);
  g_test_add_func ("/keras-file/replace", test_replace);
  g_test_add_func ("/keras-file/planted", test_planted);
  g_test_add_func ("/keras-file/long-name", test_long_name);
  g_test_add_func ("/keras-file/lock", test_lock);
  g_test_add_func ("/keras-file/other-labels", test_other_labels);
  g_test_add_func ("/keras-file/killed", test_killed);
  g_test_add_func ("/keras-file/refused", test_refused);
  g_test_add_func ("/keras-file/good", test_good);
  g_test_add_func ("/keras-file/other-files", test_other_files);
  g_test_add_func ("/keras-file/truncated", test_truncated);
  g_test_add_func ("/keras-file/circle", test_circle);
  g_test_add_func ("/keras-file/flipped", test_flipped);
  g_test_add_func ("/keras-file/threads", test_threads);
  status = g_test_run ();
  remove_folder (tmp);
  g_free (tmp);
  return status;
}
