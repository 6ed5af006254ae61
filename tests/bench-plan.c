/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inference of a network on the CPU: latency of our plan, as ratios taken in
 * one run with the sides interleaved. One JSON object a line:
 *
 *   bench-plan [NETWORK.json [WEIGHTS.h5]] [--threads N] [--batch N] [--seconds S]
 *              [--busy] [--serve] [--device D] [--precision P] [--save FILE.h5]
 *
 * --busy   one process that never sleeps runs beside it meanwhile
 * --serve  for rivals.py: reads "run N" lines, answers with N times in
 *          microseconds; the input is the file input.f32 in this folder, the outputs
 *          go to output.f32. On any device (default: cpu), in any of its precisions
 * --save   only writes the network, with weights drawn where it has none */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/backend.h"
#include "nn/cpu/dnnl.h"
#include "nn/keras-file.h"

extern void omp_set_num_threads (int n);

static int threads = 1, batch = 1;
static double seconds = 6;
static gboolean busy, serve;

static double
now_us (void)
{
  return (double) g_get_monotonic_time ();
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static double
percentile (GArray *times, double p)
{
  g_array_sort (times, compare_doubles);
  return g_array_index (times, double, (guint) (p * (times->len - 1)));
}

static void
fail_on (GError *error)
{
  if (error) {
    fprintf (stderr, "bench-plan: %s\n", error->message);
    exit (1);
  }
}

/* --- the bare oneDNN primitives of the same network -------------------------------- */

typedef struct
{
  NnDnnlOp *op;
  float *src, *weights, *dst;
} Primitive;

static float *
random_floats (gsize n)
{
  float *x = NULL;

  if (posix_memalign ((void **) &x, 64, (n + 64) * sizeof (float)) != 0)
    exit (1);
  for (gsize i = 0; i < n; i++)
    x[i] = (float) (i % 17) / 16 - 0.4f;
  return x;
}

/* direct convolutions (with bias and ReLU) and matrix products, one sample each, by as
 * many OpenMP threads */
static GArray *
make_primitives (NnDnnl *dnnl, const NnModel *model)
{
  GArray *primitives = g_array_new (FALSE, FALSE, sizeof (Primitive));
  GError *error = NULL;

  for (guint l = 0; l < model->n_layers; l++) {
    const NnLayer *layer = &model->layers[l];
    Primitive p = { 0 };

    if (layer->kind == NN_LAYER_CONV2D) {
      const NnConv2dConfig *c = &layer->config.conv2d;
      NnDnnlConv desc = { .in = layer->in_shape.dims[2], .out = c->filters, .relu = TRUE };

      desc.height = layer->in_shape.dims[0] + c->pad_begin[0] + c->pad_end[0];
      desc.width = layer->in_shape.dims[1] + c->pad_begin[1] + c->pad_end[1];
      memcpy (desc.kernel, c->kernel, sizeof desc.kernel);
      memcpy (desc.strides, c->strides, sizeof desc.strides);
      memcpy (desc.dilation, c->dilation, sizeof desc.dilation);
      p.src = random_floats (desc.height * desc.width * desc.in);
      p.dst = random_floats (nn_shape_count (&layer->out_shape));
      p.op = nn_dnnl_conv_new (dnnl, &desc, layer->params[0].data, NULL, &error);
    } else if (layer->kind == NN_LAYER_DENSE) {
      gsize in = layer->params[0].shape.dims[0], units = layer->params[0].shape.dims[1];

      p.src = random_floats (in);
      p.weights = layer->params[0].data;
      p.dst = random_floats (units);
      p.op = nn_dnnl_matmul_new (dnnl, 1, units, in, in, 1, units, 1, units, &error);
    } else {
      continue;
    }
    fail_on (error);
    g_array_append_val (primitives, p);
  }
  return primitives;
}

static double
run_primitives (GArray *primitives)
{
  double start;

  omp_set_num_threads (threads);
  start = now_us ();
  for (guint i = 0; i < primitives->len; i++) {
    Primitive *p = &g_array_index (primitives, Primitive, i);

    nn_dnnl_op_run (p->op, 0, p->src, p->weights, p->dst);
  }
  return now_us () - start;
}

/* --- plans ------------------------------------------------------------------------------ */

static NnPlan *
make_plan (NnBackend *backend, NnModel *model, NnPrecision precision)
{
  NnPlanOptions options
      = { .precision = precision, .batch = (guint) batch, .threads = (guint) threads };
  GError *error = NULL;
  NnPlan *plan = nn_plan_new (backend, model, &options, &error);
  gsize n = nn_shape_count (nn_model_get_input_shape (model)) * (gsize) batch;
  float *input;

  fail_on (error);
  input = nn_plan_get_input (plan);
  for (gsize i = 0; i < n; i++)
    input[i] = (float) (i * 2654435761u >> 24 & 255) / 255;
  return plan;
}

static double
run_plan (NnPlan *plan)
{
  double start = now_us ();
  GError *error = NULL;

  nn_plan_run (plan, (guint) batch, &error);
  fail_on (error);
  return now_us () - start;
}

static void
print_times (const char *what, GArray *times)
{
  printf ("{\"what\": \"%s\", \"threads\": %d, \"batch\": %d, \"busy\": %d, \"runs\": %u, "
          "\"min_us\": %.0f, \"p50_us\": %.0f, \"p90_us\": %.0f, \"p99_us\": %.0f, "
          "\"max_us\": %.0f}\n",
      what, threads, batch, busy, times->len, percentile (times, 0), percentile (times, 0.5),
      percentile (times, 0.9), percentile (times, 0.99), percentile (times, 1));
}

static int
run_server (NnPlan *plan, gsize n_input, gsize n_output)
{
  char line[64];

  while (fgets (line, sizeof line, stdin)) {
    int n = atoi (line + 4);
    FILE *file;

    if (g_str_has_prefix (line, "load")) {
      file = fopen ("input.f32", "rb");
      if (!file || fread (nn_plan_get_input (plan), 4, n_input, file) != n_input)
        return 1;
      fclose (file);
      file = fopen ("output.f32", "wb");
      fwrite (nn_plan_run (plan, (guint) batch, NULL), 4, n_output, file);
      fclose (file);
      puts ("ok");
    } else {
      for (int i = 0; i < n; i++)
        printf ("%.1f ", run_plan (plan));
      putchar ('\n');
    }
    fflush (stdout);
  }
  return 0;
}

int
main (int argc, char **argv)
{
  char *precision = NULL, *device = NULL, *save = NULL;
  const GOptionEntry entries[] = {
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "", "" },
    { "batch", 0, 0, G_OPTION_ARG_INT, &batch, "", "" },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "", "" },
    { "precision", 0, 0, G_OPTION_ARG_STRING, &precision, "", "" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &device, "", "" },
    { "save", 0, 0, G_OPTION_ARG_FILENAME, &save, "", "" },
    { "busy", 0, 0, G_OPTION_ARG_NONE, &busy, "", "" },
    { "serve", 0, 0, G_OPTION_ARG_NONE, &serve, "", "" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("");
  GError *error = NULL;
  NnModel *model;
  NnBackend *backend;
  NnPlan *fp32, *bf16;
  NnDnnl *dnnl;
  GArray *primitives, *sides[3];
  static const char *const names[] = { "plan fp32", "plan bf16", "bare oneDNN primitives" };
  double end, first;
  pid_t child = 0;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    fail_on (error);
  model = nn_model_open (argc > 1 ? argv[1] : NETWORK, argc > 2 ? argv[2] : NULL, &error);
  fail_on (error);
  if (!model->has_weights && !nn_model_init_params (model, 1, &error))
    fail_on (error);
  if (save) {
    nn_model_save (model, save, NULL, NULL, &error);
    fail_on (error);
    return 0;
  }
  backend = nn_backend_open (device ? device : "cpu", &error);
  fail_on (error);
  if (serve) {
    NnPrecision wanted = NN_PRECISION_FP32;

    if (precision && !nn_precision_from_string (precision, &wanted)) {
      fprintf (stderr, "bench-plan: no precision \"%s\"\n", precision);
      return 1;
    }
    return run_server (make_plan (backend, model, wanted),
        nn_shape_count (nn_model_get_input_shape (model)) * (gsize) batch,
        nn_model_get_n_outputs (model) * (gsize) batch);
  }
  fp32 = make_plan (backend, model, NN_PRECISION_FP32);
  bf16 = make_plan (backend, model, NN_PRECISION_BF16);
  dnnl = nn_dnnl_new (1, &error);
  fail_on (error);
  omp_set_num_threads (threads);
  primitives = make_primitives (dnnl, model);

  if (busy && (child = fork ()) == 0) {
    for (volatile guint64 i = 0;; i++) {
    }
  }
  for (guint s = 0; s < 3; s++)
    sides[s] = g_array_new (FALSE, FALSE, sizeof (double));
  first = run_plan (fp32);
  for (guint i = 0; i < 20; i++) { /* warm */
    run_plan (fp32);
    run_plan (bf16);
    run_primitives (primitives);
  }
  end = now_us () + seconds * 1e6;
  while (now_us () < end) {
    for (guint s = 0; s < 3; s++) {
      for (guint i = 0; i < 25; i++) {
        double t = s == 0 ? run_plan (fp32)
            : s == 1      ? run_plan (bf16)
                          : run_primitives (primitives);

        g_array_append_val (sides[s], t);
      }
    }
  }
  if (child > 0) {
    kill (child, SIGKILL);
    waitpid (child, NULL, 0);
  }
  for (guint s = 0; s < 3; s++)
    print_times (names[s], sides[s]);
  printf ("{\"what\": \"ratios of medians\", \"threads\": %d, \"batch\": %d, \"busy\": %d, "
          "\"plan_to_primitives\": %.3f, \"fp32_to_bf16\": %.3f, \"p99_to_p50\": %.2f, "
          "\"first_to_p50\": %.2f}\n",
      threads, batch, busy, percentile (sides[0], 0.5) / (batch * percentile (sides[2], 0.5)),
      percentile (sides[0], 0.5) / percentile (sides[1], 0.5),
      percentile (sides[0], 0.99) / percentile (sides[0], 0.5),
      first / percentile (sides[0], 0.5));
  return 0;
}
