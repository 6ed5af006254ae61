/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random networks on a back end (the CPU's, or that of $CLASSIFY_TEST_DEVICE) against
 * reference.c: outputs at each precision, weights and moving statistics after two training
 * steps, and outputs with these.
 *
 *     test-random-nets [--seed N] [--nets N | --seconds N] [--print]
 *
 * Network number S is the same everywhere and always: what fails is replayed with --seed S. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cpu/kernels.h"
#include "nn/rng.h"
#include "tests/reference.h"

#define MAX_WORK 400000 /* products a sample, for the reference's sake */
#define MAX_BATCH 6
#define RATE 0.05

static guint64 first_seed = 1;
static int n_nets = 400, seconds;
static gboolean print_nets;

static const GOptionEntry entries[] = {
  { "seed", 0, 0, G_OPTION_ARG_INT64, &first_seed, "number of the first network", "N" },
  { "nets", 0, 0, G_OPTION_ARG_INT, &n_nets, "how many", "N" },
  { "seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "in place of a number: for so long", "N" },
  { "print", 0, 0, G_OPTION_ARG_NONE, &print_nets, "print each network", NULL },
  { NULL }
};

/* --- networks ------------------------------------------------------------------------------ */

typedef struct
{
  NnRng rng;
  GString *json;
  guint n_layers;
  guint rank; /* of the present shape: 3 or 1 */
  guint dims[3];
  guint first[3];
  double work;
} Maker;

static guint
pick (Maker *m, guint n)
{
  return nn_rng_below (&m->rng, n);
}

static gboolean
chance (Maker *m, double p)
{
  return nn_rng_double (&m->rng) < p;
}

#define PICK(m, ...) \
  pick_of (m, (const guint[]) { __VA_ARGS__ }, \
      sizeof ((const guint[]) { __VA_ARGS__ }) / sizeof (guint))

static guint
pick_of (Maker *m, const guint *of, gsize n)
{
  return of[pick (m, (guint) n)];
}

static const char *
activation (Maker *m)
{
  static const char *const names[] = { "linear", "relu", "relu", "sigmoid", "tanh", "softmax" };

  return names[pick (m, G_N_ELEMENTS (names))];
}

static const char *
boolean (Maker *m, double p)
{
  return chance (m, p) ? "true" : "false";
}

static guint
last_dim (const Maker *m)
{
  return m->dims[m->rank - 1];
}

static void layer (Maker *m, const char *klass, const char *format, ...) G_GNUC_PRINTF (3, 4);

static void
layer (Maker *m, const char *klass, const char *format, ...)
{
  va_list args;

  g_string_append_printf (m->json, "%s{\"class_name\": \"%s\", \"config\": {\"name\": \"l%u\"",
      m->n_layers ? ",\n  " : "", klass, m->n_layers);
  if (m->n_layers == 0)
    g_string_append_printf (m->json, ", \"batch_input_shape\": [null, %u, %u, %u]", m->first[0],
        m->first[1], m->first[2]);
  va_start (args, format);
  g_string_append_vprintf (m->json, format, args);
  va_end (args);
  g_string_append (m->json, "}}");
  m->n_layers++;
}

static guint
extent (guint n, guint size, guint stride, gboolean same)
{
  return same ? (n - 1) / stride + 1 : n < size ? 0 : (n - size) / stride + 1;
}

static void
add_conv (Maker *m)
{
  guint kernel[2] = { PICK (m, 1, 2, 3, 3, 3, 5), PICK (m, 1, 2, 3, 3, 3, 5) };
  guint strides[2] = { PICK (m, 1, 1, 1, 2, 3), PICK (m, 1, 1, 1, 2, 3) }, dilation[2] = { 1, 1 };
  const gboolean same = chance (m, 0.5), bias = chance (m, 0.8);
  const guint filters = PICK (m, 1, 2, 3, 5, 8, 16, 16, 24, 32, 40);
  guint out[2];
  double work;

  if (chance (m, 0.6))
    kernel[1] = kernel[0];
  if (chance (m, 0.15)) {
    strides[0] = strides[1] = 1;
    dilation[0] = PICK (m, 1, 2, 3);
    dilation[1] = 2;
  }
  if (!same && chance (m, 0.15)) { /* to a height of 1 */
    kernel[0] = m->dims[0];
    dilation[0] = 1;
  }
  for (guint i = 0; i < 2; i++)
    out[i] = extent (m->dims[i], (kernel[i] - 1) * dilation[i] + 1, strides[i], same);
  work = (double) out[0] * out[1] * filters * kernel[0] * kernel[1] * m->dims[2];
  if (out[0] == 0 || out[1] == 0 || m->work + work > MAX_WORK)
    return;
  m->work += work;
  layer (m, "Conv2D",
      ", \"filters\": %u, \"kernel_size\": [%u, %u], \"strides\": [%u, %u], "
      "\"dilation_rate\": [%u, %u], \"padding\": \"%s\", \"activation\": \"%s\", "
      "\"use_bias\": %s, \"trainable\": %s",
      filters, kernel[0], kernel[1], strides[0], strides[1], dilation[0], dilation[1],
      same ? "same" : "valid", activation (m), bias ? "true" : "false", boolean (m, 0.93));
  m->dims[0] = out[0];
  m->dims[1] = out[1];
  m->dims[2] = filters;
}

static void
add_dense (Maker *m, guint units)
{
  const double rows = m->rank == 3 ? (double) m->dims[0] * m->dims[1] : 1;
  const double work = rows * last_dim (m) * units;

  if (m->work + work > MAX_WORK)
    return;
  m->work += work;
  layer (m, "Dense", ", \"units\": %u, \"activation\": \"%s\", \"use_bias\": %s%s", units,
      activation (m), boolean (m, 0.8),
      chance (m, 0.1) ? ", \"kernel_regularizer\": {\"class_name\": \"L1L2\", \"config\": "
                        "{\"l1\": 0.01, \"l2\": 0.02}}"
                      : "");
  m->dims[m->rank - 1] = units;
}

static void
add_pool (Maker *m)
{
  static const guint sizes[][4] = { { 2, 2, 2, 2 }, { 3, 3, 2, 2 }, { 3, 2, 1, 3 },
    { 2, 1, 2, 1 }, { 2, 2, 1, 1 }, { 1, 1, 2, 2 }, { 3, 3, 3, 3 } };
  const guint *p = sizes[chance (m, 0.5) ? 0 : pick (m, G_N_ELEMENTS (sizes))];
  const gboolean same = chance (m, 0.4);
  guint out[2];

  for (guint i = 0; i < 2; i++)
    out[i] = extent (m->dims[i], p[i], p[2 + i], same);
  if (out[0] == 0 || out[1] == 0)
    return;
  layer (m, "MaxPooling2D", ", \"pool_size\": [%u, %u], \"strides\": [%u, %u], \"padding\": \"%s\"",
      p[0], p[1], p[2], p[3], same ? "same" : "valid");
  m->dims[0] = out[0];
  m->dims[1] = out[1];
}

static void
add_norm (Maker *m)
{
  static const int axes[] = { 1, 1, 2, 3, 3, -1, -2, -3 };
  const int axis
      = m->rank == 1 ? (chance (m, 0.5) ? 1 : -1) : axes[pick (m, G_N_ELEMENTS (axes))];

  layer (m, "BatchNormalization",
      ", \"axis\": %d, \"momentum\": 0.9, \"epsilon\": 0.01, \"center\": %s, \"scale\": %s, "
      "\"trainable\": %s",
      axis, boolean (m, 0.8), boolean (m, 0.8), boolean (m, 0.9));
  if (m->rank == 3 && chance (m, 0.4)) /* what back ends do together with it */
    add_pool (m);
}

static void
flatten (Maker *m)
{
  layer (m, "Flatten", "%s", "");
  if (m->rank == 3)
    m->dims[0] *= m->dims[1] * m->dims[2];
  m->rank = 1;
}

static void
global_pool (Maker *m)
{
  const gboolean keepdims = chance (m, 0.3);

  layer (m, "GlobalAveragePooling2D", ", \"keepdims\": %s", keepdims ? "true" : "false");
  if (keepdims) {
    m->dims[0] = m->dims[1] = 1;
  } else {
    m->dims[0] = m->dims[2];
    m->rank = 1;
  }
}

/* One layer that the present shape allows, or none. */
static void
add_layer (Maker *m)
{
  const guint units = PICK (m, 1, 2, 3, 7, 8, 16, 33, 64);
  const guint kind = pick (m, 20);

  if (kind < 7 && m->rank == 3)
    add_conv (m);
  else if (kind < 7)
    add_dense (m, units);
  else if (kind < 12)
    add_norm (m);
  else if (kind < 15 && m->rank == 3)
    add_pool (m);
  else if (kind < 16)
    layer (m, "Activation", ", \"activation\": \"%s\"", activation (m));
  else if (kind < 17)
    layer (m, "Dropout", ", \"rate\": %s", chance (m, 0.3) ? "0" : "0.3");
  else if (kind < 18)
    flatten (m);
  else if (kind < 19)
    add_dense (m, units);
  else if (m->rank == 3)
    global_pool (m);
}

/* @loss: what it can be trained with; @is_trained: whether it can be. */
static char *
make_net (guint64 seed, NnLoss *loss, gboolean *is_trained)
{
  Maker m = { .rank = 3 };
  const char *end;
  guint n, outputs;

  m.json = g_string_new ("{\"class_name\": \"Sequential\", \"config\": [\n  ");
  nn_rng_init (&m.rng, seed, NN_STREAM_USER, 0);
  m.first[0] = chance (&m, 0.15) ? 1 : 1 + pick (&m, 16);
  m.first[1] = chance (&m, 0.1) ? 1 : 1 + pick (&m, 16);
  m.first[2] = PICK (&m, 1, 2, 3, 3, 4, 5, 8, 16, 16, 32);
  memcpy (m.dims, m.first, sizeof m.dims);
  n = 1 + pick (&m, 9);
  if (chance (&m, 0.25)) { /* how many networks for pictures begin */
    add_norm (&m);
    add_conv (&m);
  }
  for (guint i = 0; i < n; i++)
    add_layer (&m);
  outputs = PICK (&m, 1, 2, 3, 5);
  *is_trained = !chance (&m, 0.06);
  *loss = outputs == 1 || chance (&m, 0.2) ? NN_LOSS_BINARY_CROSSENTROPY
                                           : NN_LOSS_CATEGORICAL_CROSSENTROPY;
  end = *loss == NN_LOSS_BINARY_CROSSENTROPY ? "sigmoid" : "softmax";
  if (*is_trained) {
    if (m.rank == 3)
      flatten (&m);
    layer (&m, "Dense", ", \"units\": %u, \"activation\": \"%s\"", outputs, end);
  } else {
    layer (&m, "Activation", ", \"activation\": \"linear\"");
  }
  g_string_append (m.json, "]}");
  return g_string_free (m.json, FALSE);
}

static NnModel *
new_model (const char *json, guint64 seed)
{
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, "random", &error);
  NnRng rng;

  if (!model || !nn_model_init_params (model, seed, &error))
    g_error ("network %" G_GUINT64_FORMAT ": %s\n%s", seed, error->message, json);
  nn_rng_init (&rng, seed, NN_STREAM_USER, 1);
  /* away from 0 and 1, where mistakes would hide */
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      NnParam *param = &model->layers[l].params[p];

      for (gsize i = 0; i < param->n_values && strcmp (param->name, "kernel") != 0; i++) {
        param->data[i] += (float) nn_rng_uniform (&rng, -0.4, 0.4);
        if (strcmp (param->name, "moving_variance") == 0)
          param->data[i] = fabsf (param->data[i]) + 0.1f;
      }
    }
  }
  return model;
}

/* --- one network --------------------------------------------------------------------------- */

typedef struct
{
  guint64 seed;
  const char *json;
  NnLoss loss;
  gboolean is_trained;
  guint batch, n, threads; /* of a run of fewer samples; 1 <= n <= batch */
  gsize in, out;           /* values a sample */
  double *exact;           /* (batch, in); floats, too */
  float *targets;          /* (batch, out) */
  gboolean failed, is_delicate;
} Net;

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

static void complain (Net *net, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
complain (Net *net, const char *format, ...)
{
  g_autofree char *words = NULL;
  va_list args;

  va_start (args, format);
  words = g_strdup_vprintf (format, args);
  va_end (args);
  fprintf (stderr, "network %" G_GUINT64_FORMAT ", batch %u, %u samples, %u threads: %s\n",
      net->seed, net->batch, net->n, net->threads, words);
  net->failed = TRUE;
}

static void
fill_net (Net *net, const NnModel *model)
{
  NnRng rng;

  nn_rng_init (&rng, net->seed, NN_STREAM_USER, 2);
  net->batch = 1 + nn_rng_below (&rng, MAX_BATCH);
  net->n = 1 + nn_rng_below (&rng, net->batch);
  net->threads = is_cpu () ? 1 + nn_rng_below (&rng, 3) : 1;
  net->in = nn_shape_count (nn_model_get_input_shape (model));
  net->out = nn_model_get_n_outputs (model);
  net->exact = g_new (double, net->batch * net->in);
  net->targets = g_new0 (float, net->batch * net->out);
  for (gsize i = 0; i < net->batch * net->in; i++)
    net->exact[i] = (float) nn_rng_uniform (&rng, -1, 1);
  for (guint s = 0; s < net->batch; s++) {
    float *t = net->targets + s * net->out;

    if (net->loss == NN_LOSS_CATEGORICAL_CROSSENTROPY)
      t[nn_rng_below (&rng, (guint) net->out)] = 1;
    else
      for (gsize i = 0; i < net->out; i++)
        t[i] = (float) nn_rng_below (&rng, 2);
  }
}

static void
put_input (const Net *net, float *to)
{
  for (gsize i = 0; i < net->batch * net->in; i++)
    to[i] = (float) net->exact[i];
}

/* How far the exact result moves when all that goes in is off by @noise: of some networks
 * (a variance near 0, a maximum of two nearly equal values) rounding alone is seen. */
typedef double *(*Exact) (const Net *net, const NnModel *model, double noise, gsize *n);

#define N_NOISES 12

static double *
sensitivity (const Net *net, const NnModel *model, Exact exact, const double *right, double noise)
{
  gsize n;
  double *most = NULL;

  for (guint k = 0; k < N_NOISES; k++) {
    g_autofree double *moved = exact (net, model, noise * (k % 2 ? 1 : -0.6) * (1 + k / 4), &n);

    if (!most)
      most = g_new0 (double, n);
    for (gsize i = 0; i < n; i++)
      most[i] = fmax (most[i], fabs (moved[i] - right[i]));
  }
  return most;
}

static double
largest (const double *x, gsize n)
{
  double most = 0;

  for (gsize i = 0; i < n; i++)
    most = fmax (most, fabs (x[i]));
  return most;
}

/* |found - right| <= tolerance (1 + |right|), or what noise explains. */
static void
compare (Net *net, const char *what, const NnModel *model, Exact exact, const double *right,
    const float *found, gsize n, double tolerance, double noise)
{
  g_autofree double *moved = NULL;
  double most;
  gsize worst = n;

  for (gsize i = 0; i < n; i++)
    if (!(fabs (found[i] - right[i]) <= tolerance * (1 + fabs (right[i])))
        && (worst == n || !(fabs (found[i] - right[i]) <= fabs (found[worst] - right[worst]))))
      worst = i;
  if (worst == n)
    return;
  moved = sensitivity (net, model, exact, right, noise);
  most = largest (moved, n);
  if (fabs (found[worst] - right[worst]) <= 4 * moved[worst] + 0.5 * most)
    net->is_delicate = TRUE;
  else
    complain (net, "%s: value %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
        " is %.9g, right is %.9g (noise: %.3g)",
        what, worst, n, found[worst], right[worst], moved[worst]);
}

/* Inputs and parameters, each off by up to @noise of it. */
static Reference *
new_reference (const Net *net, const NnModel *model, double noise, double **input)
{
  Reference *r = reference_new ((NnModel *) model);
  NnRng rng;

  nn_rng_init (&rng, net->seed, NN_STREAM_USER, 3 + (guint64) fabs (noise * 1e9));
  *input = g_memdup2 (net->exact, net->batch * net->in * sizeof (double));
  for (gsize i = 0; i < net->batch * net->in && noise != 0; i++)
    (*input)[i] *= 1 + noise * nn_rng_uniform (&rng, -1, 1);
  for (guint l = 0; l < model->n_layers && noise != 0; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      for (gsize i = 0; i < model->layers[l].params[p].n_values; i++)
        r->params[l][p][i] *= 1 + noise * nn_rng_uniform (&rng, -1, 1);
  return r;
}

static double *
exact_outputs (const Net *net, const NnModel *model, double noise, gsize *n)
{
  g_autofree double *input = NULL;
  Reference *r = new_reference (net, model, noise, &input);
  double *outputs;

  *n = net->batch * net->out;
  outputs = g_memdup2 (
      reference_forward (r, input, net->batch, FALSE, 0), *n * sizeof (double));
  reference_free (r);
  return outputs;
}

static NnOptimizer *
new_optimizer (const NnModel *model)
{
  NnOptimizer *optimizer = nn_optimizer_new (NN_OPTIMIZER_SGD, model, NULL);

  optimizer->learning_rate = RATE;
  optimizer->momentum = 0.9;
  return optimizer;
}

/* What two steps, the second one of fewer samples, make of all parameters; and behind them the
 * outputs that come of these. */
static double *
exact_training (const Net *net, const NnModel *model, double noise, gsize *n)
{
  g_autofree double *input = NULL;
  Reference *r = new_reference (net, model, noise, &input);
  NnOptimizer *optimizer = new_optimizer (model);
  GArray *values = g_array_new (FALSE, FALSE, sizeof (double));
  const double *outputs;

  for (guint step = 0; step < 2; step++) {
    reference_forward (r, input, step ? net->n : net->batch, TRUE, 5);
    reference_backward (r, net->loss, net->targets);
    reference_update (r, optimizer, FALSE);
  }
  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      g_array_append_vals (
          values, r->params[l][p], (guint) model->layers[l].params[p].n_values);
  outputs = reference_forward (r, input, net->batch, FALSE, 0);
  g_array_append_vals (values, outputs, (guint) (net->batch * net->out));
  nn_optimizer_free (optimizer);
  reference_free (r);
  *n = values->len;
  return (double *) (gpointer) g_array_free (values, FALSE);
}

static NnPlan *
new_plan (Net *net, NnModel *model, NnPrecision precision, guint threads, gboolean training)
{
  g_autoptr (GError) error = NULL;
  NnBackend *backend = nn_backend_open (test_device (), &error);
  const NnPlanOptions options = { .precision = precision, .batch = net->batch,
    .training = training, .threads = threads, .loss = net->loss };
  NnPlan *plan;

  if (!backend)
    g_error ("%s", error->message);
  plan = nn_plan_new (backend, model, &options, &error);
  if (!plan)
    complain (net, "no plan: %s", error->message);
  nn_backend_unref (backend);
  return plan;
}

/* What a precision may differ by, and what its rounding is. */
static const struct
{
  NnPrecision precision;
  double tolerance, noise;
  gboolean cpu, other;
} precisions[] = {
  { NN_PRECISION_FP32, 2e-5, 1e-6, TRUE, TRUE },
  { NN_PRECISION_TF32, 1e-2, 2e-3, FALSE, TRUE },
  { NN_PRECISION_FP16, 1e-2, 2e-3, FALSE, TRUE },
  { NN_PRECISION_BF16, 6e-2, 1e-2, TRUE, TRUE },
};

static void
check_outputs (Net *net, const NnModel *model, const double *right, NnPlan *plan, guint which)
{
  const char *name = nn_precision_to_string (precisions[which].precision);
  g_autoptr (GError) error = NULL;
  const guint sizes[] = { net->batch, net->n };

  put_input (net, nn_plan_get_input (plan));
  for (guint k = 0; k < 2; k++) {
    const float *found = nn_plan_run (plan, sizes[k], &error);

    if (!found) {
      complain (net, "%s: %s", name, error->message);
      return;
    }
    compare (net, name, model, exact_outputs, right, found, sizes[k] * net->out,
        precisions[which].tolerance, precisions[which].noise);
  }
}

static void
check_inference (Net *net, NnModel *model)
{
  gsize n;
  g_autofree double *right = exact_outputs (net, model, 0, &n);

  for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
    NnPlan *plan;

    if (!(is_cpu () ? precisions[p].cpu : precisions[p].other))
      continue;
    plan = new_plan (net, model, precisions[p].precision, net->threads, FALSE);
    if (plan)
      check_outputs (net, model, right, plan, p);
    nn_plan_free (plan);
  }
}

/* Two steps and a run; all parameters and the outputs as exact_training() has them. */
static float *
train (Net *net, guint threads)
{
  g_autoptr (GError) error = NULL;
  NnModel *model = new_model (net->json, net->seed);
  NnPlan *plan = new_plan (net, model, NN_PRECISION_FP32, threads, TRUE);
  NnOptimizer *optimizer = new_optimizer (model);
  GArray *values = g_array_new (FALSE, FALSE, sizeof (float));
  const float *outputs = NULL;
  gboolean ok = plan != NULL;
  NnStepResult result;

  for (guint step = 0; step < 2 && ok; step++) {
    const NnStep settings
        = { .n = step ? net->n : net->batch, .targets = net->targets, .seed = 5 };

    put_input (net, nn_plan_get_input (plan));
    ok = nn_plan_train_step (plan, &settings, optimizer, &result, &error);
  }
  if (ok)
    put_input (net, nn_plan_get_input (plan));
  ok = ok && nn_plan_sync (plan, optimizer, &error)
      && (outputs = nn_plan_run (plan, net->batch, &error)) != NULL;
  if (!ok && error)
    complain (net, "training: %s", error->message);
  for (guint l = 0; l < model->n_layers && ok; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      g_array_append_vals (values, model->layers[l].params[p].data,
          (guint) model->layers[l].params[p].n_values);
  if (ok)
    g_array_append_vals (values, outputs, (guint) (net->batch * net->out));
  nn_optimizer_free (optimizer);
  nn_plan_free (plan);
  nn_model_unref (model);
  if (ok)
    return (float *) (gpointer) g_array_free (values, FALSE);
  g_array_unref (values);
  return NULL;
}

static void
check_training (Net *net, const NnModel *model)
{
  gsize n;
  g_autofree double *right = exact_training (net, model, 0, &n);
  g_autofree float *found = train (net, 1), *again = NULL;

  for (gsize i = 0; i < n; i++)
    if (!isfinite (right[i]))
      return; /* a saturated output, whose loss has no gradient */
  if (!found)
    return;
  compare (net, "training", model, exact_training, right, found, n, 5e-5, 1e-6);
  if (net->threads > 1 && (again = train (net, net->threads)) != NULL
      && memcmp (found, again, n * sizeof (float)) != 0)
    complain (net, "training: other bits on %u threads than on one", net->threads);
}

static void
check_net (Net *net, guint64 seed)
{
  g_autofree char *json = make_net (seed, &net->loss, &net->is_trained);
  NnModel *model = new_model (json, seed);

  net->seed = seed;
  net->json = json;
  fill_net (net, model);
  if (print_nets)
    printf ("# network %" G_GUINT64_FORMAT ":\n%s\n", seed, json);
  check_inference (net, model);
  if (net->is_trained)
    check_training (net, model);
  if (net->failed)
    fprintf (stderr, "%s\n", json);
  nn_model_unref (model);
  g_free (net->exact);
  g_free (net->targets);
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("- random networks");
  const char *isa = g_getenv ("CLASSIFY_CPU_ISA");
  g_autoptr (GError) error = NULL;
  guint n_failed = 0, n_delicate = 0, n = 0;
  gint64 end;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    fprintf (stderr, "%s\n", error->message);
    return 2;
  }
  if (isa && strcmp (isa, nn_cpu_kernels_get ()->name) != 0) {
    printf ("1..0 # SKIP this processor has no %s\n", isa);
    return 0;
  }
  end = g_get_monotonic_time () + seconds * G_USEC_PER_SEC;
  for (; seconds ? g_get_monotonic_time () < end : n < (guint) n_nets; n++) {
    Net net = { 0 };

    check_net (&net, first_seed + n);
    n_failed += net.failed;
    n_delicate += net.is_delicate;
  }
  printf ("# networks %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " on %s, %u of them delicate\n",
      first_seed, first_seed + n - 1, test_device (), n_delicate);
  printf ("1..2\n%sok 1 - %u networks are right\n", n_failed ? "not " : "", n);
  /* or this would judge nothing */
  printf ("%sok 2 - most are judged by rounding alone\n", n_delicate > n / 5 + 1 ? "not " : "");
  return n_failed > 0 || n_delicate > n / 5 + 1;
}
