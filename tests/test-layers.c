/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every layer, forwards and backwards, and whole training steps of a back end (the CPU's,
 * or that of $CLASSIFY_TEST_DEVICE) against reference.c; reference.c's gradients against
 * finite differences. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cpu/kernels.h"
#include "nn/rng.h"
#include "tests/reference.h"

typedef struct
{
  const char *name;
  guint batch;
  NnLoss loss;
  const char *input; /* "[H, W, C]" */
  const char *layers; /* Keras JSON, the input shape goes to the first */
  double step_tolerance; /* of a gradient as a whole, relative to its length; 0: of each value */
} Case;

#define CONV(more) "{\"class_name\": \"Conv2D\", \"config\": {" more "}}"
#define BN(axis) \
  "{\"class_name\": \"BatchNormalization\", \"config\": {\"axis\": " axis \
  ", \"momentum\": 0.9, \"epsilon\": 0.001}}"
#define BN_PLAIN(axis) \
  "{\"class_name\": \"BatchNormalization\", \"config\": {\"axis\": " axis \
  ", \"momentum\": 0.9, \"epsilon\": 0.001, \"center\": false, \"scale\": false}}"
#define BN_FROZEN(axis) \
  "{\"class_name\": \"BatchNormalization\", \"config\": {\"axis\": " axis \
  ", \"momentum\": 0.9, \"epsilon\": 0.001, \"trainable\": false}}"
#define POOL(more) "{\"class_name\": \"MaxPooling2D\", \"config\": {" more "}}"
#define GLOBAL_POOL(more) "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {" more "}}"
#define FLATTEN "{\"class_name\": \"Flatten\", \"config\": {}}"
#define DENSE(units, activation) \
  "{\"class_name\": \"Dense\", \"config\": {\"units\": " units ", \"activation\": \"" activation \
  "\"}}"
#define ACT(activation) \
  "{\"class_name\": \"Activation\", \"config\": {\"activation\": \"" activation "\"}}"
#define DROP(rate) "{\"class_name\": \"Dropout\", \"config\": {\"rate\": " rate "}}"
#define HEAD FLATTEN ", " DENSE ("3", "softmax")
#define K3 "\"kernel_size\": [3, 3], "

static const Case cases[] = {
  { "conv-3x3-valid", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 7, 3]",
      CONV (K3 "\"filters\": 5, \"activation\": \"relu\"") ", " HEAD },
  { "conv-1x1-tanh", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[5, 6, 4]",
      CONV ("\"kernel_size\": [1, 1], \"filters\": 7, \"activation\": \"tanh\"") ", " HEAD },
  { "conv-5x5-same-stride-2", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[11, 14, 3]",
      CONV ("\"kernel_size\": [5, 5], \"strides\": [2, 2], \"padding\": \"same\", \"filters\": 20, "
            "\"activation\": \"sigmoid\"") ", " HEAD },
  { "conv-2x3-stride-1x2-no-bias", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[8, 9, 2]",
      CONV ("\"kernel_size\": [2, 3], \"strides\": [1, 2], \"padding\": \"same\", \"filters\": 6, "
            "\"use_bias\": false") ", " HEAD },
  { "conv-same-even-twice", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 6, 3]",
      CONV ("\"kernel_size\": [2, 4], \"padding\": \"same\", \"filters\": 4, "
            "\"activation\": \"tanh\"") ", "
          CONV ("\"kernel_size\": [4, 2], \"strides\": [2, 1], \"padding\": \"same\", "
                "\"filters\": 5") ", " HEAD },
  { "conv-dilated", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[12, 13, 4]",
      CONV (K3 "\"dilation_rate\": [2, 3], \"filters\": 9, \"activation\": \"relu\"") ", " HEAD },
  { "conv-dilated-same", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[10, 11, 16]",
      CONV (K3 "\"dilation_rate\": [2, 2], \"padding\": \"same\", \"filters\": 16") ", " HEAD },
  { "conv-softmax", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[6, 5, 3]",
      CONV (K3 "\"filters\": 4, \"activation\": \"softmax\"") ", " HEAD },
  { "winograd-valid", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[13, 11, 16]",
      CONV (K3 "\"filters\": 32, \"activation\": \"relu\"") ", " HEAD },
  { "winograd-same", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 14, 32]",
      CONV (K3 "\"filters\": 16, \"padding\": \"same\", \"activation\": \"relu\"") ", " HEAD },
  { "winograd-two", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[12, 12, 16]",
      CONV (K3 "\"filters\": 16, \"activation\": \"linear\"") ", " CONV (
          K3 "\"filters\": 48, \"padding\": \"same\", \"activation\": \"tanh\"") ", " HEAD },
  { "bn-rows-first", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 8, 3]",
      BN ("1") ", " CONV (K3 "\"filters\": 8, \"activation\": \"relu\"") ", " HEAD },
  { "bn-rows-first-strided", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[11, 8, 3]",
      BN ("1") ", "
          CONV (K3 "\"filters\": 8, \"strides\": [2, 1], \"activation\": \"relu\"") ", " HEAD },
  { "bn-rows-first-same", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 8, 3]",
      BN ("1") ", " CONV (K3 "\"filters\": 8, \"padding\": \"same\"") ", " HEAD },
  { "bn-channels-first", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 8, 3]",
      BN ("-1") ", " CONV (K3 "\"filters\": 8") ", " HEAD },
  { "bn-columns", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 10, 3]",
      CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", " BN ("2") ", " HEAD },
  { "bn-list-axis-plain", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 10, 3]",
      CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", " BN_PLAIN ("[3]") ", " HEAD },
  { "bn-frozen", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 10, 3]",
      CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", " BN_FROZEN ("3") ", "
          BN_FROZEN ("1") ", " HEAD },
  { "bn-behind-flatten", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 6, 3]",
      CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", " FLATTEN ", " BN ("1") ", "
          DENSE ("3", "softmax") },
  { "bn-behind-flatten-winograd", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 6, 16]",
      CONV (K3 "\"filters\": 16, \"activation\": \"relu\"") ", " CONV (
          K3 "\"filters\": 16, \"activation\": \"relu\"") ", " FLATTEN ", " BN ("-1") ", "
          DENSE ("3", "softmax") },
  { "bn-columns-of-one-row", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[3, 9, 3]",
      CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", " BN ("2") ", " HEAD },
  { "bn-columns-of-one-filter", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 9, 3]",
      CONV (K3 "\"filters\": 1, \"use_bias\": false") ", " BN ("2") ", " POOL ("") ", " HEAD },
  { "bn-rows-of-one-value", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[8, 3, 3]",
      CONV (K3 "\"filters\": 1, \"use_bias\": false") ", " BN ("1") ", " HEAD },
  { "bn-columns-of-one-unit", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[6, 7, 3]",
      DENSE ("1", "tanh") ", " BN ("2") ", " HEAD },
  { "bn-rows-pool-first", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[12, 10, 3]",
      BN ("1") ", " POOL ("") ", " CONV (K3 "\"filters\": 8, \"activation\": \"relu\"") ", "
          HEAD },
  { "conv-bn-rows-pool", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[12, 11, 3]",
      CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", " BN ("1") ", " POOL ("") ", " HEAD },
  { "conv-bn-channels-pool-odd", 4, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[11, 13, 3]",
      CONV (K3 "\"filters\": 18, \"activation\": \"relu\"") ", " BN ("-1") ", "
          POOL ("") ", " HEAD },
  { "few-channels-rows-pool", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[15, 13, 3]",
      CONV (K3 "\"filters\": 16, \"activation\": \"relu\"") ", " BN ("1") ", " POOL ("") ", "
          HEAD },
  { "few-channels-columns-same", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 10, 1]",
      CONV ("\"kernel_size\": [5, 5], \"padding\": \"same\", \"filters\": 8") ", "
          BN ("2") ", " ACT ("relu") ", " HEAD },
  { "few-channels-filters-pool", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[11, 14, 4]",
      CONV (K3 "\"filters\": 40, \"padding\": \"same\", \"activation\": \"relu\"") ", "
          BN ("-1") ", " POOL ("") ", " HEAD },
  { "winograd-bn-rows-pool", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[15, 13, 16]",
      CONV (K3 "\"filters\": 16, \"activation\": \"relu\"") ", " BN ("1") ", " POOL ("") ", "
          HEAD },
  { "winograd-bn-channels-pool", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[10, 13, 16]",
      CONV (K3 "\"filters\": 16, \"padding\": \"same\", \"activation\": \"relu\"") ", "
          BN ("-1") ", " POOL ("") ", " HEAD },
  { "conv-bn-relu-folds", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 9, 16]",
      CONV (K3 "\"filters\": 16") ", " BN ("-1") ", " ACT ("relu") ", " POOL ("") ", "
          CONV (K3 "\"filters\": 5") ", " BN ("-1") ", " ACT ("tanh") ", " HEAD },
  { "bn-pool-bn", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[8, 8, 3]",
      BN ("1") ", " POOL ("") ", " BN ("-1") ", " POOL ("") ", " HEAD },
  { "pool-overlap-same", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 10, 5]",
      CONV (K3 "\"filters\": 5, \"activation\": \"relu\"") ", " POOL (
          "\"pool_size\": [3, 3], \"strides\": [2, 2], \"padding\": \"same\"") ", " HEAD },
  { "global-average", 3, NN_LOSS_BINARY_CROSSENTROPY, "[9, 10, 3]",
      CONV (K3 "\"filters\": 21, \"activation\": \"relu\"") ", " BN ("-1") ", "
          GLOBAL_POOL ("") ", " DENSE ("1", "sigmoid") },
  { "global-average-keepdims", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 6, 5]",
      GLOBAL_POOL ("\"keepdims\": true") ", " CONV ("\"kernel_size\": [1, 1], \"filters\": 4") ", "
          HEAD },
  { "pool-of-one-strided", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[7, 9, 3]",
      POOL ("\"pool_size\": [1, 1], \"strides\": [2, 2]") ", "
          CONV ("\"kernel_size\": [2, 2], \"filters\": 8") ", " POOL (
              "\"pool_size\": [1, 1], \"strides\": [2, 2]") ", " HEAD },
  { "pool-3x2", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[9, 10, 5]",
      POOL ("\"pool_size\": [3, 2], \"strides\": [1, 3]") ", " HEAD },
  { "dense-3d", 2, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[4, 5, 6]",
      DENSE ("7", "relu") ", " HEAD },
  { "dense-chunks", 3, NN_LOSS_BINARY_CROSSENTROPY, "[60, 50, 3]",
      FLATTEN ", " DENSE ("9", "relu") ", " BN ("-1") ", " DROP ("0.4") ", "
          DENSE ("1", "sigmoid") },
  { "dense-many-samples", 37, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[3, 3, 2]",
      FLATTEN ", " DENSE ("21", "tanh") ", " BN ("-1") ", " ACT ("relu") ", "
          DENSE ("3", "softmax") },
  { "dropout", 5, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[5, 5, 3]",
      DROP ("0.25") ", " CONV (K3 "\"filters\": 6, \"activation\": \"relu\"") ", "
          DROP ("0.5") ", " HEAD },
  { "sigmoid-outputs", 4, NN_LOSS_BINARY_CROSSENTROPY, "[4, 4, 3]",
      FLATTEN ", " DENSE ("11", "sigmoid") ", " DENSE ("5", "linear") ", " ACT ("sigmoid") },
  { "regularized", 3, NN_LOSS_CATEGORICAL_CROSSENTROPY, "[6, 6, 3]",
      CONV (K3 "\"filters\": 4, \"activation\": \"relu\", \"kernel_regularizer\": {\"class_name\": "
               "\"L1L2\", \"config\": {\"l1\": 0.01, \"l2\": 0.02}}") ", " HEAD },
};

/* --- helpers ---------------------------------------------------------------------------- */

static NnModel *
make_model (const Case *c)
{
  g_autofree char *json = NULL;
  GString *layers = g_string_new (NULL);
  const char *at = c->layers, *config;
  GError *error = NULL;
  NnModel *model;
  guint n = 0;

  /* names, and the input shape into the first layer */
  while ((config = strstr (at, "\"config\": {")) != NULL) {
    config += strlen ("\"config\": {");
    /* regularizers have a config of their own, which needs no name */
    g_string_append_len (layers, at, config - at);
    if (!(config - layers->str >= 0 && strncmp (config, "\"l1\"", 4) == 0)) {
      g_string_append_printf (layers, "\"name\": \"layer_%u\"", n);
      if (n == 0)
        g_string_append_printf (layers, ", \"batch_input_shape\": [null, %s", c->input + 1);
      if (*config != '}')
        g_string_append (layers, ", ");
      n++;
    }
    at = config;
  }
  g_string_append (layers, at);
  json = g_strdup_printf ("{\"class_name\": \"Sequential\", \"config\": [%s]}", layers->str);
  g_string_free (layers, TRUE);
  model = nn_model_new_from_json (json, -1, c->name, &error);
  g_assert_no_error (error);
  nn_model_init_params (model, 11, &error);
  g_assert_no_error (error);
  return model;
}

/* biases, gammas and statistics away from 0 and 1, where mistakes would hide */
static void
disturb (NnModel *model)
{
  NnRng rng;

  nn_rng_init (&rng, 5, NN_STREAM_USER, 0);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      NnParam *param = &model->layers[l].params[p];

      for (gsize i = 0; i < param->n_values && strcmp (param->name, "kernel") != 0; i++)
        param->data[i] += (float) nn_rng_uniform (&rng, -0.3, 0.3);
    }
  }
}

static void
fill (const NnModel *model, guint batch, float *input, double *exact, float *targets)
{
  const gsize n = batch * nn_shape_count (nn_model_get_input_shape (model));
  const gsize outputs = nn_model_get_n_outputs (model);
  NnRng rng;

  nn_rng_init (&rng, 6, NN_STREAM_USER, 0);
  for (gsize i = 0; i < n; i++)
    exact[i] = input[i] = (float) nn_rng_uniform (&rng, -1, 1);
  for (guint s = 0; s < batch; s++) {
    guint hot = nn_rng_below (&rng, (guint) outputs);

    for (gsize i = 0; i < outputs; i++)
      targets[s * outputs + i] = outputs == 1 ? (float) (s % 2) : i == hot;
  }
}

static const char *
test_device (void)
{
  const char *device = g_getenv ("CLASSIFY_TEST_DEVICE");

  return device ? device : "cpu";
}

static gboolean
is_cpu (void)
{
  return strcmp (test_device (), "cpu") == 0;
}

/* What a back end is asked for, and how far its outputs, which are probabilities or about as
 * large, may be from the exact ones. */
static const struct
{
  NnPrecision precision;
  double tolerance;
  gboolean cpu, other;
} precisions[] = {
  { NN_PRECISION_FP32, 1e-5, TRUE, TRUE },
  { NN_PRECISION_TF32, 5e-3, FALSE, TRUE },
  { NN_PRECISION_FP16, 5e-3, FALSE, TRUE },
  { NN_PRECISION_BF16, 2e-2, TRUE, TRUE },
};

static NnPlan *
make_plan (NnModel *model, const Case *c, NnPrecision precision, guint threads, gboolean training)
{
  GError *error = NULL;
  NnBackend *backend = nn_backend_open (test_device (), &error);
  NnPlanOptions options = {
    .precision = precision,
    .batch = c->batch,
    .training = training,
    .threads = threads,
    .loss = c->loss,
  };
  NnPlan *plan = NULL;
  g_autofree char *description = NULL;

  g_assert_no_error (error);
  plan = nn_plan_new (backend, model, &options, &error);
  nn_backend_unref (backend);
  if (!plan && precision == NN_PRECISION_BF16 && !is_cpu () && strstr (error->message, "no bf16")) {
    g_clear_error (&error);
    return NULL;
  }
  g_assert_no_error (error);
  description = nn_plan_describe (plan);
  g_assert_null (strstr (description, "ref:"));
  g_assert_null (strstr (description, "ref_"));
  if (g_getenv ("CLASSIFY_TEST_NO_LOOPS") && strstr (description, "plain loops"))
    g_error ("no engine was found:\n%s", description);
  return plan;
}

/* |a - b| <= tolerance * scale, naming the worst */
static void
check_close (const char *what, const char *name, gsize n, const float *a, const double *b,
    double scale, double tolerance)
{
  gsize worst = 0;

  for (gsize i = 0; i < n; i++) {
    if (!(fabs (a[i] - b[i]) <= fabs (a[worst] - b[worst])))
      worst = i;
  }
  if (!(fabs (a[worst] - b[worst]) <= tolerance * scale))
    g_error ("%s, %s[%" G_GSIZE_FORMAT "]: %.9g, reference %.9g, difference %.3g of %.3g allowed",
        what, name, worst, a[worst], b[worst], fabs (a[worst] - b[worst]), tolerance * scale);
}

static double
largest (const double *x, gsize n)
{
  double max = 0;

  for (gsize i = 0; i < n; i++)
    max = fmax (max, fabs (x[i]));
  return max;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void
test_forward (gconstpointer data)
{
  const Case *c = data;
  NnModel *model = make_model (c);
  const gsize n_in = nn_shape_count (nn_model_get_input_shape (model));
  const gsize outputs = nn_model_get_n_outputs (model);
  g_autofree float *input = g_new (float, c->batch * n_in);
  g_autofree double *exact = g_new (double, c->batch * n_in);
  g_autofree float *targets = g_new (float, c->batch * outputs);
  Reference *reference;
  const double *expected;

  disturb (model);
  for (guint l = 0; l < model->n_layers; l++) /* variances stay above 0 */
    for (guint p = 0; p < model->layers[l].n_params; p++)
      for (gsize i = 0; i < model->layers[l].params[p].n_values; i++)
        if (strcmp (model->layers[l].params[p].name, "moving_variance") == 0)
          model->layers[l].params[p].data[i] = fabsf (model->layers[l].params[p].data[i]) + 0.2f;
  fill (model, c->batch, input, exact, targets);
  reference = reference_new (model);
  expected = reference_forward (reference, exact, c->batch, FALSE, 0);

  for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
    if (!(is_cpu () ? precisions[p].cpu : precisions[p].other))
      continue;
    for (guint threads = 1; threads <= (is_cpu () ? 3 : 1); threads++) {
      NnPlan *plan = make_plan (model, c, precisions[p].precision, threads, FALSE);
      g_autofree float *whole = g_new (float, c->batch * outputs);
      GError *error = NULL;

      for (guint n = plan ? c->batch : 0; n > 0;
           n = n == c->batch && n > 1 ? n - 1 : n > 1 ? 1 : 0) {
        const float *result;

        memcpy (nn_plan_get_input (plan), input, c->batch * n_in * sizeof (float));
        result = nn_plan_run (plan, n, &error);
        g_assert_no_error (error);
        check_close (nn_precision_to_string (precisions[p].precision), "output", n * outputs,
            result, expected, 1, precisions[p].tolerance);
        /* a sample's result does not depend on the batch that it is in, on the CPU */
        if (n == c->batch || !is_cpu ())
          memcpy (whole, result, n * outputs * sizeof (float));
        else
          g_assert_cmpmem (result, n * outputs * sizeof (float), whole,
              n * outputs * sizeof (float));
      }
      nn_plan_free (plan);
    }
  }
  reference_free (reference);
  nn_model_unref (model);
}

/* the reference's own gradients, for a few values of each parameter */
static void
test_finite_differences (gconstpointer data)
{
  const Case *c = data;
  NnModel *model = make_model (c);
  const gsize n_in = nn_shape_count (nn_model_get_input_shape (model));
  const gsize outputs = nn_model_get_n_outputs (model);
  g_autofree float *input = g_new (float, c->batch * n_in);
  g_autofree double *exact = g_new (double, c->batch * n_in);
  g_autofree float *targets = g_new (float, c->batch * outputs);
  Reference *r;
  guint n_checked = 0;

  disturb (model);
  fill (model, c->batch, input, exact, targets);
  r = reference_new (model);
  reference_forward (r, exact, c->batch, TRUE, 9);
  reference_backward (r, c->loss, targets);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *param = &model->layers[l].params[p];
      const double scale = largest (r->gradients[l][p], param->n_values);
      guint n_kinks = 0;

      for (guint k = 0; k < 6 && param->trainable; k++) {
        gsize i = (gsize) k * 7919 % param->n_values;
        double w = r->params[l][p][i], h = 1e-5, up, down, middle, slope;

        middle = reference_loss (r, c->loss, targets);
        r->params[l][p][i] = w + h;
        reference_forward (r, exact, c->batch, TRUE, 9);
        up = reference_loss (r, c->loss, targets);
        r->params[l][p][i] = w - h;
        reference_forward (r, exact, c->batch, TRUE, 9);
        down = reference_loss (r, c->loss, targets);
        r->params[l][p][i] = w;
        reference_forward (r, exact, c->batch, TRUE, 9);
        slope = (up - down) / (2 * h);
        /* where a ReLU or a maximum switches within h there is no derivative to compare */
        if (fabs (up - 2 * middle + down) > 1e-8) {
          n_kinks++;
          continue;
        }
        n_checked++;
        if (fabs (slope - r->gradients[l][p][i]) > 1e-5 * scale + 1e-8)
          g_error ("%s, %s of %s, value %" G_GSIZE_FORMAT ": slope %.9g, gradient %.9g", c->name,
              param->name, model->layers[l].name, i, slope, r->gradients[l][p][i]);
      }
      g_assert_cmpuint (n_kinks, <=, 3);
    }
  }
  g_assert_cmpuint (n_checked, >, 5);
  reference_free (r);
  nn_model_unref (model);
}

static const struct
{
  NnOptimizerKind kind;
  double learning_rate, momentum, weight_decay;
  gboolean weighted; /* the samples */
  guint n_steps;
} optimizers[] = {
  { NN_OPTIMIZER_SGD, 1, 0, 0, FALSE, 1 },
  { NN_OPTIMIZER_SGD, 1, 0.9, 0.01, TRUE, 1 },
  { NN_OPTIMIZER_ADAM, 1e-3, 0, 0, FALSE, 3 },
  { NN_OPTIMIZER_ADAMW, 1e-3, 0, 10, TRUE, 3 }, /* shrinks by 1 % a step */
};

/* What a step has changed, @gradient times @rate, against what it should have. */
static void
check_gradient (const Case *c, const NnParam *param, double rate, const double *expected,
    const double *gradient)
{
  double difference = 0, length = 0;

  for (gsize i = 0; i < param->n_values; i++) {
    difference += (param->data[i] - expected[i]) * (param->data[i] - expected[i]);
    length += rate * gradient[i] * rate * gradient[i];
  }
  difference = sqrt (difference / length);
  if (!(difference <= c->step_tolerance))
    g_error ("%s, %s: the gradient differs by %.3g of its length, %.3g allowed", c->name,
        param->name, difference, c->step_tolerance);
}

/* One step of SGD with rate 1: the change of the weights is the gradient; again
 * with Nesterov's momentum. Three steps of Adam, one on a short batch, weights
 * and moving statistics compared; again with weight decay. */
static void
check_step (const Case *c, NnModel *model, guint threads, const float *input, const double *exact,
    const float *targets, guint variant)
{
  static const float weights[] = { 0.5f, 2, 0, 1, 1.5f };
  const gboolean adam = optimizers[variant].kind != NN_OPTIMIZER_SGD;
  g_autofree float *sample_weights = g_new (float, c->batch);
  const gsize n_in = nn_shape_count (nn_model_get_input_shape (model));
  /* another order of sums elsewhere */
  const double tolerance = is_cpu () ? 2e-5 : 1e-4;
  GError *error = NULL;
  NnPlan *plan = make_plan (model, c, NN_PRECISION_FP32, threads, TRUE);
  NnOptimizer *optimizer
      = nn_optimizer_new (optimizers[variant].kind, model, &error);
  Reference *r = reference_new (model);
  const guint n_steps = optimizers[variant].n_steps;

  for (guint i = 0; i < c->batch; i++)
    sample_weights[i] = weights[i % G_N_ELEMENTS (weights)];
  optimizer->learning_rate = optimizers[variant].learning_rate;
  optimizer->momentum = optimizers[variant].momentum;
  optimizer->nesterov = optimizer->momentum != 0;
  optimizer->weight_decay = optimizers[variant].weight_decay;
  if (optimizers[variant].weighted)
    r->weights = sample_weights;
  for (guint step = 0; step < n_steps; step++) {
    const guint n = step == 1 && c->batch > 2 ? c->batch - 1 : c->batch;
    const NnStep settings = { n, targets, r->weights, 0, 9 };
    NnStepResult result;
    double loss;

    memcpy (nn_plan_get_input (plan), input, c->batch * n_in * sizeof (float));
    nn_plan_train_step (plan, &settings, optimizer, &result, &error);
    g_assert_no_error (error);
    nn_plan_sync (plan, optimizer, &error);
    g_assert_no_error (error);
    reference_forward (r, exact, n, TRUE, 9);
    loss = reference_loss (r, c->loss, targets);
    if (!r->weights)
      if (!r->weights) {
      g_assert_cmpfloat (result.sum_weights, ==, n);
      g_assert_cmpfloat_with_epsilon (result.sum_loss / n, loss, 1e-4 * (1 + fabs (loss)));
    }
    reference_backward (r, c->loss, targets);
    reference_update (r, optimizer, FALSE);
  }
  g_assert_cmpint (optimizer->iterations, ==, n_steps);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *param = &model->layers[l].params[p];
      const double top = largest (r->gradients[l][p], param->n_values);

      if (!adam && param->trainable && c->step_tolerance > 0) {
        check_gradient (c, param, optimizer->learning_rate, r->params[l][p], r->gradients[l][p]);
        continue;
      }
      if (!adam || !param->trainable) {
        check_close (c->name, param->name, param->n_values, param->data, r->params[l][p], 1 + top,
            adam ? 2e-4 : tolerance);
        continue;
      }
      /* Adam divides by the gradient's size: where that is small, rounding decides the step's
       * sign. The values with a gradient worth the name have moved by 1e-3 a step. */
      for (gsize i = 0; i < param->n_values && top > 1e-6; i++) {
        if (sqrt (r->v[l][p][i]) * 30 > 0.2 * top)
          g_assert_cmpfloat_with_epsilon (param->data[i], r->params[l][p][i], 1e-4);
      }
    }
  }
  reference_free (r);
  nn_optimizer_free (optimizer);
  nn_plan_free (plan);
}

/* How far the gradients of a parameter may be from the exact ones with 16-bit operands, root
 * mean square of the differences to that of the gradients. @smooth: of rounding alone, 2^-11
 * and 2^-8 a value. @kinks: where it takes another of two maxima, or the other side of a ReLU,
 * here and there, of few values. @floor: some gradients are 0, as that of a bias in front of a
 * normalisation. */
static const struct
{
  NnPrecision precision;
  double smooth, kinks, floor;
} narrow[] = { { NN_PRECISION_FP16, 4e-3, 0.15, 5e-5 }, { NN_PRECISION_BF16, 2.5e-2, 0.3, 6e-4 } };

/* Mixed precision: a step of SGD with rate 1, as in check_step(). In fp16 one whose scaled
 * gradients overflow changes nothing, and the next one has them smaller. */
static void
check_narrow_step (const Case *c, NnModel *model, const float *input, const double *exact,
    const float *targets, guint which)
{
  const gsize n_in = nn_shape_count (nn_model_get_input_shape (model));
  GError *error = NULL;
  NnPlan *plan = make_plan (model, c, narrow[which].precision, 0, TRUE);
  NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_SGD, model, &error);
  Reference *before = reference_new (model), *r = reference_new (model);
  guint n_skipped = 0;
  NnStepResult result;
  const gboolean has_kinks
      = strstr (c->layers, "relu") != NULL || strstr (c->layers, "MaxPooling") != NULL;
  const double tolerance = has_kinks ? narrow[which].kinks : narrow[which].smooth;
  double loss;

  if (!plan) /* a device without bfloat16 */
    goto out;
  optimizer->learning_rate = 1;
  memcpy (nn_plan_get_input (plan), input, c->batch * n_in * sizeof (float));
  do {
    nn_plan_train_step (plan, &(NnStep) { c->batch, targets, NULL, 0, 9 }, optimizer, &result,
        &error);
    g_assert_no_error (error);
  } while (result.skipped && ++n_skipped < 16);
  g_assert_false (result.skipped);
  nn_plan_sync (plan, optimizer, &error);
  g_assert_no_error (error);
  reference_forward (r, exact, c->batch, TRUE, 9);
  loss = reference_loss (r, c->loss, targets);
  g_assert_cmpfloat_with_epsilon (
      result.sum_loss / c->batch, loss, narrow[which].smooth * (1 + fabs (loss)));
  reference_backward (r, c->loss, targets);
  reference_update (r, optimizer, FALSE);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *param = &model->layers[l].params[p];
      double difference = 0, size = 0;

      for (gsize i = 0; i < param->n_values; i++) {
        const double moved = r->params[l][p][i] - before->params[l][p][i];
        const double is = (double) param->data[i] - before->params[l][p][i];

        difference += (is - moved) * (is - moved);
        size += moved * moved;
      }
      difference = sqrt (difference / (double) param->n_values);
      size = sqrt (size / (double) param->n_values);
      if (!(difference <= tolerance * size + narrow[which].floor))
        g_error ("%s, %s, %s of %s: differs by %.3g, its change is %.3g", c->name,
            nn_precision_to_string (narrow[which].precision), param->name, model->layers[l].name,
            difference, size);
    }
  }

out:
  reference_free (before);
  reference_free (r);
  nn_optimizer_free (optimizer);
  nn_plan_free (plan);
}

static void
test_narrow_step (gconstpointer data)
{
  const Case *c = data;

  for (guint which = 0; which < G_N_ELEMENTS (narrow); which++) {
    NnModel *model = make_model (c);
    const gsize n_in = nn_shape_count (nn_model_get_input_shape (model));
    g_autofree float *input = g_new (float, c->batch * n_in);
    g_autofree double *exact = g_new (double, c->batch * n_in);
    g_autofree float *targets = g_new (float, c->batch * nn_model_get_n_outputs (model));

    disturb (model);
    fill (model, c->batch, input, exact, targets);
    check_narrow_step (c, model, input, exact, targets, which);
    nn_model_unref (model);
  }
}

static void
test_step (gconstpointer data)
{
  const Case *c = data;
  NnModel *first = NULL;

  for (guint variant = 0; variant < G_N_ELEMENTS (optimizers); variant++) {
    for (guint threads = 1; threads <= (is_cpu () ? 3 : 1); threads++) {
      NnModel *model = make_model (c);
      const gsize n_in = nn_shape_count (nn_model_get_input_shape (model));
      const gsize outputs = nn_model_get_n_outputs (model);
      g_autofree float *input = g_new (float, c->batch * n_in);
      g_autofree double *exact = g_new (double, c->batch * n_in);
      g_autofree float *targets = g_new (float, c->batch * outputs);

      disturb (model);
      fill (model, c->batch, input, exact, targets);
      check_step (c, model, threads, input, exact, targets, variant);
      /* any number of threads gives the same bits */
      if (threads > 1)
        for (guint l = 0; l < model->n_layers; l++)
          for (guint p = 0; p < model->layers[l].n_params; p++)
            g_assert_cmpmem (model->layers[l].params[p].data,
                model->layers[l].params[p].n_values * sizeof (float),
                first->layers[l].params[p].data,
                first->layers[l].params[p].n_values * sizeof (float));
      g_clear_pointer (&first, nn_model_unref);
      first = model;
    }
    g_clear_pointer (&first, nn_model_unref);
  }
}

/* the post's network itself: inference and one step */
static void
test_post (void)
{
  /* other roundings, the plain kernels' too, take another of two maxima here and there, whose
   * gradient goes elsewhere */
  const Case c = { "dogs-vs-cats", 3, NN_LOSS_BINARY_CROSSENTROPY, NULL, NULL, 1e-2 };
  const char *root = g_getenv ("CLASSIFY_TEST_ROOT");
  g_autofree char *path = g_build_filename (
      root ? root : SOURCE_ROOT, "train", "networks", "dogs-vs-cats.json", NULL);
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json_file (path, &error);
  const gsize n_in = 200 * 200 * 3;
  g_autofree float *input = g_new (float, c.batch * n_in);
  g_autofree double *exact = g_new (double, c.batch * n_in);
  g_autofree float *targets = g_new (float, c.batch);
  NnPlan *plan;
  Reference *r;
  const double *expected;
  const float *result;

  g_assert_no_error (error);
  nn_model_init_params (model, 3, &error);
  g_assert_no_error (error);
  fill (model, c.batch, input, exact, targets);
  plan = make_plan (model, &c, NN_PRECISION_FP32, 2, FALSE);
  memcpy (nn_plan_get_input (plan), input, c.batch * n_in * sizeof (float));
  result = nn_plan_run (plan, c.batch, &error);
  g_assert_no_error (error);
  r = reference_new (model);
  expected = reference_forward (r, exact, c.batch, FALSE, 0);
  check_close ("forward", "output", c.batch, result, expected, 1, 1e-5);
  reference_free (r);
  nn_plan_free (plan);
  check_step (&c, model, 2, input, exact, targets, 0);
  nn_model_unref (model);
}

/* a loss that does not belong to the end of the network is an error, not a wrong gradient */
static void
test_wrong_loss (void)
{
  Case c = cases[0];
  NnModel *model = make_model (&c);
  GError *error = NULL;
  NnBackend *backend = nn_backend_open (test_device (), &error);
  NnPlanOptions options
      = { .batch = 2, .training = TRUE, .threads = 1, .loss = NN_LOSS_BINARY_CROSSENTROPY };

  g_assert_null (nn_plan_new (backend, model, &options, &error));
  g_assert_nonnull (strstr (error->message, "sigmoid"));
  g_clear_error (&error);
  nn_backend_unref (backend);
  nn_model_unref (model);
}

int
main (int argc, char **argv)
{
  const char *isa = g_getenv ("CLASSIFY_CPU_ISA");

  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* plain loops warn */
  if (isa && strcmp (isa, nn_cpu_kernels_get ()->name) != 0) {
    printf ("1..0 # SKIP this processor has no %s\n", isa);
    return 0;
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *forward = g_strdup_printf ("/layers/forward/%s", cases[i].name);
    g_autofree char *slope = g_strdup_printf ("/layers/finite-differences/%s", cases[i].name);
    g_autofree char *step = g_strdup_printf ("/layers/step/%s", cases[i].name);

    g_test_add_data_func (forward, &cases[i], test_forward);
    if (!isa && is_cpu ()) /* the reference's own */
      g_test_add_data_func (slope, &cases[i], test_finite_differences);
    g_test_add_data_func (step, &cases[i], test_step);
    if (!is_cpu ()) { /* which trains in fp32 only */
      g_autofree char *mixed = g_strdup_printf ("/layers/mixed-step/%s", cases[i].name);

      g_test_add_data_func (mixed, &cases[i], test_narrow_step);
    }
  }
  g_test_add_func ("/layers/wrong-loss", test_wrong_loss);
  if (g_test_slow () || !g_getenv ("CLASSIFY_TEST_QUICK"))
    g_test_add_func ("/layers/post", test_post);
  return g_test_run ();
}
