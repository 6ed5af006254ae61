/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Architectures from Keras's JSON: the reference network's numbers, every
 * form of the JSON, initial values against the formulae, and what bad input
 * is told. */

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/layer.h"
#include "nn/model.h"

static NnModel *
load_network (const char *name)
{
  g_autofree char *path = g_build_filename (SOURCE_ROOT, "train", "networks", name, NULL);
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json_file (path, &error);

  g_assert_no_error (error);
  return model;
}

static NnModel *
parse (const char *json)
{
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);

  g_assert_no_error (error);
  return model;
}

/* --- the reference network ---------------------------------------------- */

static void
test_reference (void)
{
  /* Written down by hand from the layer arithmetic of Keras. */
  static const struct
  {
    const char *name;
    guint n_dims;
    gsize dims[3], n_params;
  } expected[] = {
    { "batch_normalization_1", 3, { 200, 200, 3 }, 800 },
    { "conv2d_1", 3, { 198, 198, 32 }, 896 },
    { "batch_normalization_2", 3, { 198, 198, 32 }, 792 },
    { "max_pooling2d_1", 3, { 99, 99, 32 }, 0 },
    { "conv2d_2", 3, { 97, 97, 64 }, 18496 },
    { "batch_normalization_3", 3, { 97, 97, 64 }, 388 },
    { "max_pooling2d_2", 3, { 48, 48, 64 }, 0 },
    { "conv2d_3", 3, { 46, 46, 128 }, 73856 },
    { "batch_normalization_4", 3, { 46, 46, 128 }, 184 },
    { "max_pooling2d_3", 3, { 23, 23, 128 }, 0 },
    { "flatten_1", 1, { 67712 }, 0 },
    { "dense_1", 1, { 200 }, 13542600 },
    { "batch_normalization_5", 1, { 200 }, 800 },
    { "dropout_1", 1, { 200 }, 0 },
    { "dense_2", 1, { 200 }, 40200 },
    { "batch_normalization_6", 1, { 200 }, 800 },
    { "dropout_2", 1, { 200 }, 0 },
    { "dense_3", 1, { 1 }, 201 },
  };
  g_autoptr (NnModel) model = load_network ("dogs-vs-cats.json");
  g_autofree char *summary = nn_model_summary (model);

  g_assert_cmpuint (model->n_layers, ==, 1 + G_N_ELEMENTS (expected));
  g_assert_true (model->has_implicit_input);
  g_assert_true (model->is_sequential);
  g_assert_cmpuint (model->output, ==, 18);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    const NnLayer *layer = &model->layers[i + 1];
    NnShape shape = { .n_dims = expected[i].n_dims };
    gsize n = 0;

    memcpy (shape.dims, expected[i].dims, sizeof expected[i].dims);
    g_assert_cmpstr (layer->name, ==, expected[i].name);
    g_assert_true (nn_shape_equal (&layer->out_shape, &shape));
    for (guint k = 0; k < layer->n_params; k++)
      n += layer->params[k].n_values;
    g_assert_cmpuint (n, ==, expected[i].n_params);
    g_assert_cmpuint (layer->n_inputs, ==, 1);
    g_assert_cmpuint (layer->inputs[0], ==, i);
  }
  g_assert_cmpuint (nn_model_count_params (model, FALSE), ==, 13680013);
  g_assert_cmpuint (nn_model_count_params (model, TRUE), ==, 13678131);
  g_assert_cmpuint (nn_model_get_n_outputs (model), ==, 1);
  g_assert_cmpuint (nn_model_get_n_classes (model), ==, 2);

  /* rows of an image, not channels */
  {
    const NnBatchNormConfig *bn = &model->layers[3].config.batch_norm;

    g_assert_cmpuint (bn->axis, ==, 0);
    g_assert_cmpuint (bn->outer, ==, 1);
    g_assert_cmpuint (bn->n, ==, 198);
    g_assert_cmpuint (bn->inner, ==, 198 * 32);
    g_assert_cmpstr (model->layers[3].params[0].name, ==, "gamma");
    g_assert_cmpstr (model->layers[3].params[3].name, ==, "moving_variance");
    g_assert_true (model->layers[3].params[1].trainable);
    g_assert_false (model->layers[3].params[2].trainable);
  }
  g_assert_nonnull (strstr (summary, "Total params: 13,680,013\n"));
  g_assert_nonnull (strstr (summary, "Trainable params: 13,678,131\n"));
  g_assert_nonnull (strstr (summary, "Non-trainable params: 1,882\n"));
  g_assert_nonnull (strstr (summary, "(None, 97, 97, 64)  "));
  g_assert_nonnull (strstr (summary, "4 x (46,)\n"));
  g_assert_nonnull (strstr (summary, "(67712, 200) (200,)\n"));
  g_test_message ("%s", summary);

  g_assert_cmpuint (model->preprocess.width, ==, 200);
  g_assert_cmpuint (model->preprocess.height, ==, 200);
  g_assert_cmpint (model->preprocess.channels, ==, NN_CHANNELS_RGB);
  g_assert_cmpfloat (model->preprocess.scale[2], ==, 1 / 255.0f);
  g_assert_false (model->has_preprocess);
}

/* --- initial values ----------------------------------------------------- */

static double
get_variance (const NnParam *param, double *largest)
{
  double sum = 0, squares = 0, n = (double) param->n_values;

  *largest = 0;
  for (gsize i = 0; i < param->n_values; i++) {
    sum += param->data[i];
    squares += (double) param->data[i] * param->data[i];
    *largest = fmax (*largest, fabs (param->data[i]));
  }
  return squares / n - sum / n * (sum / n);
}

static void
test_glorot (void)
{
  static const struct
  {
    guint layer;
    double limit;
  } expected[]
      = { { 2, 0.138013 }, { 5, 0.083333 }, { 8, 0.058926 }, { 12, 0.00939945 }, { 15, 0.122474 },
          { 18, 0.172774 } };
  g_autoptr (NnModel) model = load_network ("dogs-vs-cats.json");
  g_autoptr (NnModel) again = load_network ("dogs-vs-cats.json");
  g_autoptr (NnModel) other = load_network ("dogs-vs-cats.json");
  GError *error = NULL;

  g_assert_true (nn_model_init_params (model, 7, &error));
  g_assert_true (nn_model_init_params (again, 7, &error));
  g_assert_true (nn_model_init_params (other, 8, &error));
  g_assert_true (model->has_weights);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    const NnParam *kernel = &model->layers[expected[i].layer].params[0];
    double largest, variance = get_variance (kernel, &largest), limit = expected[i].limit;
    double spread = 6 / sqrt ((double) kernel->n_values); /* several standard errors */

    g_assert_cmpfloat (largest, <=, limit + 5e-7); /* rounded to six places */
    g_assert_cmpfloat (largest, >=, limit * (1 - spread));
    g_assert_cmpfloat_with_epsilon (variance, limit * limit / 3, limit * limit / 3 * spread);
    g_assert_cmpmem (kernel->data, kernel->n_values * 4,
        again->layers[expected[i].layer].params[0].data, kernel->n_values * 4);
    g_assert_cmpint (memcmp (kernel->data, other->layers[expected[i].layer].params[0].data, 400),
        !=, 0);
    g_assert_cmpuint ((gsize) kernel->data % 64, ==, 0);
  }
  /* a stream of its own for each parameter */
  g_assert_cmpfloat (fabs (model->layers[2].params[0].data[0] / 0.138013
                         - model->layers[5].params[0].data[0] / 0.083333),
      >, 1e-3);
  for (gsize i = 0; i < 200; i++) {
    g_assert_cmpfloat (model->layers[1].params[0].data[i], ==, 1);
    g_assert_cmpfloat (model->layers[1].params[1].data[i], ==, 0);
    g_assert_cmpfloat (model->layers[1].params[2].data[i], ==, 0);
    g_assert_cmpfloat (model->layers[1].params[3].data[i], ==, 1);
  }
}

#define DENSE_NET(initializer)                                                           \
  "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["         \
  "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": [" \
  "null, 5, 8, 10]}},"                                                                   \
  "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 100,"            \
  "\"kernel_initializer\": " initializer "}}]}}"

static void
test_initializers (void)
{
  /* kernel (400, 100): fan_in 400, fan_out 100. Variances by hand. */
  static const struct
  {
    const char *json;
    double variance, largest;
  } rows[] = {
    { DENSE_NET ("{\"class_name\": \"GlorotNormal\", \"config\": {\"seed\": null}}"), 1 / 250.,
        2 * 0.0632455532 / .87962566 },
    { DENSE_NET ("\"he_normal\""), 2 / 400., 2 * 0.0707106781 / .87962566 },
    { DENSE_NET ("\"he_uniform\""), 2 / 400., 0.1224744871 },
    { DENSE_NET ("{\"class_name\": \"LecunUniform\", \"config\": {}}"), 1 / 400.,
        0.0866025404 },
    { DENSE_NET ("{\"class_name\": \"VarianceScaling\", \"config\": {\"scale\": 3.0,"
                 "\"mode\": \"fan_out\", \"distribution\": \"uniform\"}}"),
        3 / 100., 0.3 },
    { DENSE_NET ("{\"class_name\": \"VarianceScaling\", \"config\": {\"scale\": 3.0,"
                 "\"mode\": \"fan_in\", \"distribution\": \"untruncated_normal\"}}"),
        3 / 400., 1 },
    { DENSE_NET ("{\"class_name\": \"RandomUniform\", \"config\": {\"minval\": -0.5,"
                 "\"maxval\": 1.5}}"),
        4 / 12., 1.5 },
    { DENSE_NET ("{\"class_name\": \"RandomNormal\", \"config\": {\"mean\": 0.25,"
                 "\"stddev\": 0.1}}"),
        0.01, 1 },
    /* a normal cut at two deviations has 0.7737 of its variance */
    { DENSE_NET ("{\"class_name\": \"TruncatedNormal\", \"config\": {\"stddev\": 0.1}}"),
        0.01 * .87962566 * .87962566, 0.2 },
    { DENSE_NET ("{\"class_name\": \"Constant\", \"config\": {\"value\": 2.5}}"), 0, 2.5 },
    { DENSE_NET ("\"zeros\""), 0, 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (NnModel) model = parse (rows[i].json);
    double largest, variance;
    GError *error = NULL;

    g_assert_true (nn_model_init_params (model, 3, &error));
    variance = get_variance (&model->layers[2].params[0], &largest);
    g_test_message ("row %u: variance %g, largest %g", i, variance, largest);
    g_assert_cmpfloat_with_epsilon (variance, rows[i].variance, rows[i].variance * 0.03 + 1e-9);
    g_assert_cmpfloat (largest, <=, rows[i].largest + 1e-6);
    g_assert_cmpfloat (largest, >=, rows[i].largest * 0.3);
  }
  {
    g_autoptr (NnModel) model = parse (DENSE_NET (
        "{\"class_name\": \"Orthogonal\", \"config\": {\"gain\": 1.0}}"));
    GError *error = NULL;

    g_assert_false (nn_model_init_params (model, 3, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);
    g_assert_nonnull (strstr (error->message, "layer 'd' (Dense)"));
    g_clear_error (&error);
    g_assert_false (model->has_weights);
  }
}

/* --- forms of the JSON -------------------------------------------------- */

#define INPUT_7                                                                         \
  "{\"class_name\": \"InputLayer\", \"name\": \"in\", \"config\": {\"name\": \"in\","   \
  "\"batch_input_shape\": [null, 9, 7, 3]}, \"inbound_nodes\": []}"
#define CONV(name, more, nodes)                                                      \
  "{\"class_name\": \"Conv2D\", \"name\": \"" name "\", \"config\": {\"name\": \"" name \
  "\", \"filters\": 4, \"kernel_size\": [3, 2]" more "}, \"inbound_nodes\": " nodes "}"
#define FUNCTIONAL(layers, output)                                                        \
  "{\"class_name\": \"Functional\", \"config\": {\"name\": \"m\", \"layers\": [" layers  \
  "], \"input_layers\": [[\"in\", 0, 0]], \"output_layers\": " output "}}"
#define KERAS3(name)                                                          \
  "[{\"args\": [{\"class_name\": \"__keras_tensor__\", \"config\": {\"shape\": [null, 9]," \
  "\"dtype\": \"float32\", \"keras_history\": [\"" name "\", 0, 0]}}], \"kwargs\": {}}]"

static void
test_functional (void)
{
  static const char *const texts[] = {
    FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"in\", 0, 0, {}]]]") ","
        CONV ("b", "", "[[[\"a\", 0, 0, {}]]]"), "[[\"b\", 0, 0]]"),
    FUNCTIONAL (INPUT_7 "," CONV ("a", "", KERAS3 ("in")) "," CONV ("b", "", KERAS3 ("a")),
        "[\"b\", 0, 0]"),
    /* listed in another order than computed, 3-element node */
    FUNCTIONAL (CONV ("b", "", "[[[\"a\", 0, 0]]]") ","
        CONV ("a", "", "[[[\"in\", 0, 0, {\"training\": false}]]]") "," INPUT_7,
        "{\"y\": [\"b\", 0, 0]}"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (NnModel) model = parse (texts[i]);
    g_autofree char *summary = nn_model_summary (model);
    NnShape out = { 3, { 5, 5, 4 } };

    g_assert_cmpuint (model->n_layers, ==, 3);
    g_assert_cmpstr (model->layers[0].name, ==, "in");
    g_assert_cmpstr (model->layers[1].name, ==, "a");
    g_assert_cmpstr (model->layers[2].name, ==, "b");
    g_assert_cmpuint (model->layers[2].inputs[0], ==, 1);
    g_assert_cmpuint (model->output, ==, 2);
    g_assert_false (model->is_sequential);
    g_assert_true (nn_shape_equal (&model->layers[2].out_shape, &out));
    g_assert_nonnull (strstr (summary, "Connected to"));
  }
}

static void
test_windows (void)
{
  /* n, kernel, stride, dilation, same; out, before, after: TensorFlow's formulae by hand */
  static const struct
  {
    guint n, k, s, d, same, out, begin, end;
  } rows[] = {
    { 9, 3, 1, 1, 0, 7, 0, 0 }, { 9, 3, 2, 1, 0, 4, 0, 0 }, { 8, 3, 2, 1, 1, 4, 0, 1 },
    { 9, 3, 2, 1, 1, 5, 1, 1 }, { 9, 2, 1, 1, 1, 9, 0, 1 }, { 9, 3, 1, 2, 0, 5, 0, 0 },
    { 9, 3, 1, 2, 1, 9, 2, 2 }, { 9, 4, 3, 1, 1, 3, 0, 1 }, { 9, 1, 4, 1, 1, 3, 0, 0 },
    { 9, 5, 1, 1, 1, 9, 2, 2 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *json = g_strdup_printf (
        "{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Conv2D\", \"config\":"
        "{\"name\": \"c\", \"batch_input_shape\": [null, %u, 20, 3], \"filters\": 2,"
        "\"kernel_size\": [%u, 1], \"strides\": [%u, 1], \"dilation_rate\": [%u, 1],"
        "\"padding\": \"%s\"}}]}",
        rows[i].n, rows[i].k, rows[i].s, rows[i].d, rows[i].same ? "same" : "valid");
    g_autoptr (NnModel) model = parse (json);
    const NnLayer *layer = &model->layers[1];

    g_assert_cmpuint (layer->out_shape.dims[0], ==, rows[i].out);
    g_assert_cmpuint (layer->out_shape.dims[1], ==, 20);
    g_assert_cmpuint (layer->config.conv2d.pad_begin[0], ==, rows[i].begin);
    g_assert_cmpuint (layer->config.conv2d.pad_end[0], ==, rows[i].end);
  }
}

/* --- bad input ---------------------------------------------------------- */

#define SEQUENTIAL(layers) "{\"class_name\": \"Sequential\", \"config\": [" layers "]}"
#define FIRST(class_name, config)                                            \
  "{\"class_name\": \"" class_name "\", \"config\": {\"name\": \"x\","        \
  "\"batch_input_shape\": [null, 6, 6, 3], " config "}}"

static void
test_errors (void)
{
  static const struct
  {
    const char *json;
    NnErrorCode code;
    const char *part;
  } rows[] = {
    { "", NN_ERROR_FORMAT, "empty" },
    { "   ", NN_ERROR_FORMAT, "" },
    { "{", NN_ERROR_FORMAT, "not well-formed" },
    { "[1, 2]", NN_ERROR_FORMAT, "Keras network" },
    { "{\"class_name\": 3, \"config\": {}}", NN_ERROR_FORMAT, "Keras network" },
    { "{\"class_name\": \"Thing\", \"config\": {}}", NN_ERROR_UNSUPPORTED, "Thing" },
    { "// hi\n{}", NN_ERROR_FORMAT, "found '/'" },
    { "\xff\xfe{}", NN_ERROR_FORMAT, "UTF-8" },
    { "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"c\\ud83dx\", \"layers\": []}}",
        NN_ERROR_FORMAT, "half a character" },
    { "{\"class_name\": \"Sequential\", \"x\\udc00yyyyyyyyyy\": 1, \"config\": []}",
        NN_ERROR_FORMAT, "half a character" },
    { "{\"class_name\": \"\\u001b[31m\\u202ex\", \"config\": []}", NN_ERROR_UNSUPPORTED,
        "\\x1b[31m\\u202ex" },
    { SEQUENTIAL (""), NN_ERROR_FORMAT, "no layers" },
    { SEQUENTIAL ("7"), NN_ERROR_FORMAT, "layer 1 of the list" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\"}"), NN_ERROR_FORMAT, "config" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}}"), NN_ERROR_FORMAT,
        "no input shape" },
    { SEQUENTIAL (FIRST ("LSTM", "\"units\": 3")), NN_ERROR_UNSUPPORTED,
        "LSTM (1, the first 'x')" },
    { SEQUENTIAL (FIRST ("LSTM", "\"units\": 3") ","
                  "{\"class_name\": \"Lambda\", \"config\": {\"name\": \"l\"}},"
                  "{\"class_name\": \"LSTM\", \"config\": {\"name\": \"m\"}}"),
        NN_ERROR_UNSUPPORTED, "LSTM (2, the first 'x'), Lambda (1, the first 'l'): Python code" },
    { SEQUENTIAL (FIRST ("Sequential", "\"layers\": []")), NN_ERROR_FORMAT,
        "lists no layers" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
                  "\"batch_input_shape\": [null, null, 6, 3]}}"),
        NN_ERROR_UNSUPPORTED, "leaves the height open" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
                  "\"batch_input_shape\": [null]}}"),
        NN_ERROR_UNSUPPORTED, "[null, height, width, channels]" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
                  "\"batch_input_shape\": [null, 10]}}"),
        NN_ERROR_UNSUPPORTED, "neither a square grey picture" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
                  "\"batch_input_shape\": [null, 6, -6, 3]}}"),
        NN_ERROR_FORMAT, "sizes from 1" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
                  "\"batch_input_shape\": [null, 16777216, 16777216, 16777216]}}"),
        NN_ERROR_SHAPE, "more than" },
    { SEQUENTIAL ("{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\","
                  "\"batch_input_shape\": [null, 1e999, 6, 3]}}"),
        NN_ERROR_FORMAT, "" },
    { SEQUENTIAL (FIRST ("Flatten", "\"q\": 1") "," FIRST ("Flatten", "\"q\": 1")),
        NN_ERROR_FORMAT, "two layers have the name 'x'" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"kernel_size\": [3, 3]")), NN_ERROR_FORMAT,
        "layer 'x' (Conv2D): 'filters'" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 0, \"kernel_size\": [3, 3]")), NN_ERROR_FORMAT,
        "found 0" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": NaN, \"kernel_size\": [3, 3]")), NN_ERROR_FORMAT,
        "" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 2.5, \"kernel_size\": [3, 3]")), NN_ERROR_FORMAT,
        "found 2.5" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 18446744073709551624, \"kernel_size\": 3")),
        NN_ERROR_FORMAT, "too many digits" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": \"8\", \"kernel_size\": [3, 3]")),
        NN_ERROR_FORMAT, "found \"8\"" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": [3]")), NN_ERROR_FORMAT,
        "kernel_size" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": [7, 3]")), NN_ERROR_SHAPE,
        "covers 7x3 cells, its input has only 6x6" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": 3, \"groups\": 3")),
        NN_ERROR_SHAPE, "in 3 groups" },
    { SEQUENTIAL (FIRST ("Conv2D",
          "\"filters\": 8, \"kernel_size\": 3, \"data_format\": \"channels_middle\"")),
        NN_ERROR_FORMAT, "\"channels_first\"" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": 3, \"padding\": \"full\"")),
        NN_ERROR_FORMAT, "\"valid\" or \"same\"" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": 3, \"strides\": -1")),
        NN_ERROR_FORMAT, "strides" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": 3, \"use_bias\": 1")),
        NN_ERROR_FORMAT, "true or false" },
    { SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 8, \"kernel_size\": 3, \"activation\": "
                                   "\"gulu\"")),
        NN_ERROR_UNSUPPORTED, "\"gulu\"" },
    { SEQUENTIAL (FIRST ("MaxPooling2D", "\"pool_size\": [7, 7]")), NN_ERROR_SHAPE, "only 6x6" },
    { SEQUENTIAL (FIRST ("BatchNormalization", "\"axis\": 4")), NN_ERROR_SHAPE, "found 4" },
    { SEQUENTIAL (FIRST ("BatchNormalization", "\"axis\": 0")), NN_ERROR_SHAPE, "found 0" },
    { SEQUENTIAL (FIRST ("BatchNormalization", "\"axis\": [1, 2]")), NN_ERROR_SHAPE, "[1,2]" },
    { SEQUENTIAL (FIRST ("BatchNormalization", "\"axis\": -999999999999999999")), NN_ERROR_SHAPE,
        "axis" },
    { SEQUENTIAL (FIRST ("BatchNormalization", "\"epsilon\": -0.00012345678901234567890123")),
        NN_ERROR_FORMAT, "epsilon" },
    { SEQUENTIAL (FIRST ("BatchNormalization", "\"renorm\": true")), NN_ERROR_UNSUPPORTED,
        "renorm" },
    { SEQUENTIAL (FIRST ("Dropout", "\"rate\": 1")), NN_ERROR_FORMAT, "rate" },
    { SEQUENTIAL (FIRST ("Activation", "\"q\": 1")), NN_ERROR_FORMAT, "no 'activation'" },
    { SEQUENTIAL (FIRST ("Dense", "\"units\": 16777216") ","
          "{\"class_name\": \"Dense\", \"config\": {\"name\": \"y\", \"units\": 16777216}}"),
        NN_ERROR_SHAPE, "layer 'y' (Dense)" },
    { FUNCTIONAL (INPUT_7, "[[\"nobody\", 0, 0]]"), NN_ERROR_FORMAT, "'nobody'" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"b\", 0, 0]]]") ","
          CONV ("b", "", "[[[\"a\", 0, 0]]]"), "[[\"b\", 0, 0]]"),
        NN_ERROR_FORMAT, "cycle" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"in\", 0, 0], [\"in\", 0, 0]]]"),
          "[[\"a\", 0, 0]]"),
        NN_ERROR_FORMAT, "one input, found 2" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[]"), "[[\"a\", 0, 0]]"), NN_ERROR_FORMAT,
        "one input, found 0" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"in\", 0, 1]]]"), "[[\"a\", 0, 0]]"),
        NN_ERROR_FORMAT, "output 2 of 'in'" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"in\", 0, 0, {\"training\": true}]]]"),
          "[[\"a\", 0, 0]]"),
        NN_ERROR_UNSUPPORTED, "training=True" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"in\", 0, 0]]]") ","
          CONV ("b", "", "[[[\"in\", 0, 0]]]"), "[[\"b\", 0, 0]]"),
        NN_ERROR_FORMAT, "'a' does not lead to the output" },
    { FUNCTIONAL (INPUT_7 "," CONV ("a", "", "[[[\"in\", 0, 0]]]"),
          "[[\"a\", 0, 0], [\"in\", 0, 0]]"),
        NN_ERROR_UNSUPPORTED, "2 outputs" },
    { FUNCTIONAL (INPUT_7 ", {\"class_name\": \"InputLayer\", \"name\": \"j\", \"config\":"
          "{\"batch_input_shape\": [null, 9, 7, 3]}, \"inbound_nodes\": []}", "[[\"in\", 0, 0]]"),
        NN_ERROR_UNSUPPORTED, "2 inputs" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    NnModel *model = nn_model_new_from_json (rows[i].json, -1, "net.json", &error);

    g_assert_null (model);
    g_test_message ("%s", error->message);
    if (error->code != (int) rows[i].code || strstr (error->message, rows[i].part) == NULL)
      g_error ("row %u: expected code %d and '%s', found code %d: %s", i, rows[i].code,
          rows[i].part, error->code, error->message);
    g_assert_true (g_str_has_prefix (error->message, "net.json: "));
    g_assert_null (strchr (error->message, '\n'));
  }
}

static void
test_deep (void)
{
  GString *text = g_string_new (NULL);
  GError *error = NULL;

  for (guint i = 0; i < 1000000; i++)
    g_string_append_c (text, '[');
  g_assert_null (nn_model_new_from_json (text->str, text->len, NULL, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
  g_clear_error (&error);
  g_string_free (text, TRUE);

  /* brackets in strings do not count, also behind an escaped quote */
  text = g_string_new ("{\"class_name\": \"Sequential\", \"config\": {\"name\": \"\\\"");
  for (guint i = 0; i < 1000; i++)
    g_string_append_c (text, '{');
  g_string_append (text, "\", \"layers\": [" FIRST ("Flatten", "\"q\": 1") "]}}");
  nn_model_unref (parse (text->str));
  g_string_free (text, TRUE);
}

static void
test_missing (void)
{
  GError *error = NULL;

  g_assert_null (nn_model_new_from_json_file ("/nonexistent/net.json", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (nn_model_new_from_json_file ("/", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_READ);
  g_assert_nonnull (strstr (error->message, "a directory"));
  g_clear_error (&error);
  g_assert_null (nn_model_new_from_json_file ("/dev/null", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_READ);
  g_clear_error (&error);
}

static void
test_no_memory (void)
{
  /* 1 TB of parameters */
  g_autoptr (NnModel) model = parse (
      SEQUENTIAL (FIRST ("Dense", "\"units\": 500000") ","
          "{\"class_name\": \"Dense\", \"config\": {\"name\": \"y\", \"units\": 500000}}"));
  GError *error = NULL;

  g_assert_false (nn_model_init_params (model, 0, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NO_MEMORY);
  g_assert_nonnull (strstr (error->message, "MB"));
  g_assert_false (model->has_weights);
  g_clear_error (&error);
}

/* --- classes ------------------------------------------------------------ */

static void
test_n_classes (void)
{
  static const char *const labels[] = { "a", "b", "c", "d", "e", NULL };
  g_autoptr (NnModel) model = load_network ("small.json");
  g_autoptr (NnModel) again = NULL;
  g_autoptr (NnModel) post = load_network ("dogs-vs-cats.json");
  g_autoptr (NnModel) conv = parse (SEQUENTIAL (FIRST ("Conv2D", "\"filters\": 2, "
                                                                 "\"kernel_size\": 3")));
  GError *error = NULL;
  NnShape kernel = { 2, { 64, 5 } };

  g_assert_true (nn_model_set_n_classes (model, 5, &error));
  g_assert_cmpuint (nn_model_get_n_classes (model), ==, 5);
  g_assert_cmpuint (nn_model_get_n_outputs (model), ==, 5);
  g_assert_true (nn_shape_equal (&model->layers[model->output].params[0].shape, &kernel));
  g_assert_cmpuint (model->layers[model->output].params[0].n_values, ==, 320);
  again = parse (model->json);
  g_assert_cmpuint (nn_model_get_n_classes (again), ==, 5);
  g_assert_cmpuint (again->n_layers, ==, model->n_layers);
  g_assert_cmpfloat (again->layers[2].config.batch_norm.epsilon, ==, 1e-3f);
  g_assert_cmpstr (nn_model_get_label (model, 4), ==, "4");
  g_assert_true (nn_model_set_labels (model, labels, &error));
  g_assert_cmpstr (nn_model_get_label (model, 4), ==, "e");
  g_assert_true (nn_model_init_params (model, 1, &error));
  g_assert_false (nn_model_set_n_classes (model, 6, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_clear_error (&error);

  g_assert_true (nn_model_set_n_classes (post, 2, &error));
  g_assert_false (nn_model_set_labels (post, labels, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_clear_error (&error);
  g_assert_false (nn_model_set_n_classes (post, 3, &error));
  g_assert_nonnull (strstr (error->message, "sigmoid"));
  g_clear_error (&error);
  g_assert_false (nn_model_set_n_classes (conv, 3, &error));
  g_assert_nonnull (strstr (error->message, "'x' (Conv2D)"));
  g_clear_error (&error);
}

static void
test_scores (void)
{
  g_autoptr (NnModel) post = load_network ("dogs-vs-cats.json");
  const float scores[] = { 0.1f, NAN, 0.4f, 0.4f, 0.05f, NAN };
  guint best[6];
  float output = 0.25f, probabilities[2];

  nn_model_get_probabilities (post, &output, probabilities);
  g_assert_cmpfloat (probabilities[0], ==, 0.75f);
  g_assert_cmpfloat (probabilities[1], ==, 0.25f);
  nn_top_k (scores, 6, 3, best);
  g_assert_cmpuint (best[0], ==, 2);
  g_assert_cmpuint (best[1], ==, 3);
  g_assert_cmpuint (best[2], ==, 0);
  nn_top_k (scores, 6, 6, best);
  g_assert_cmpuint (best[3], ==, 4);
  g_assert_cmpuint (best[4], ==, 1);
  g_assert_cmpuint (best[5], ==, 5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/reference", test_reference);
  g_test_add_func ("/model/glorot", test_glorot);
  g_test_add_func ("/model/initializers", test_initializers);
  g_test_add_func ("/model/functional", test_functional);
  g_test_add_func ("/model/windows", test_windows);
  g_test_add_func ("/model/errors", test_errors);
  g_test_add_func ("/model/deep", test_deep);
  g_test_add_func ("/model/missing", test_missing);
  g_test_add_func ("/model/no-memory", test_no_memory);
  g_test_add_func ("/model/n-classes", test_n_classes);
  g_test_add_func ("/model/scores", test_scores);
  return g_test_run ();
}
