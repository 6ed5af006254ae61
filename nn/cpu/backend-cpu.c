/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/backend-cpu.h"

#include "nn/cpu/graph.h"
#include "nn/cpu/plan.h"
#include "nn/error.h"

/* a training plan's inference (validation) runs in pieces of so many samples */
#define VALIDATION_BATCH 16

typedef struct
{
  NnModel *model;
  guint batch;
  gsize in_size, n_outputs;
  NnCrew *crew;
  float *input, *output;
  NnCpuInfer *infer; /* of a chain of layers, or */
  NnCpuGraph *graph; /* of any graph: inference only */
  guint infer_batch;
  NnCpuTrain *train; /* NULL: inference only */
  gboolean stale;    /* the parameters changed since infer packed them */
} CpuPlan;

static guint
cpu_count_devices (GError **error)
{
  return 1;
}

static char *
cpu_describe_device (guint index)
{
  g_autofree char *version = nn_dnnl_get_version ();

  return g_strdup_printf ("%s kernels, oneDNN %s, %u processors", nn_cpu_kernels_get ()->name,
      version, g_get_num_processors ());
}

static gpointer
cpu_open (guint index, gpointer context, GError **error)
{
  return (gpointer) &nn_backend_cpu_class; /* nothing to hold */
}

static void
cpu_close (gpointer device)
{
}

static void
cpu_plan_free (gpointer data)
{
  CpuPlan *plan = data;

  if (!plan)
    return;
  nn_cpu_train_free (plan->train);
  nn_cpu_infer_free (plan->infer);
  nn_cpu_graph_free (plan->graph);
  nn_crew_free (plan->crew);
  nn_aligned_free (plan->input);
  nn_aligned_free (plan->output);
  g_free (plan);
}

static gpointer
cpu_plan_new (gpointer device, NnModel *model, const NnPlanOptions *options, GError **error)
{
  const NnCpuKernels *kernels = nn_cpu_kernels_get ();
  guint threads = options->threads ? options->threads : g_get_num_processors ();
  NnPrecision precision = options->precision;
  CpuPlan *plan;

  if (precision == NN_PRECISION_AUTO)
    precision = NN_PRECISION_FP32;
  if (options->training && precision != NN_PRECISION_FP32) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "the CPU back end trains in fp32 only, not in %s: that needs a CUDA device",
        nn_precision_to_string (precision));
    return NULL;
  }
  if (precision != NN_PRECISION_FP32 && precision != NN_PRECISION_BF16) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "the CPU back end has no precision %s: use fp32 or bf16",
        nn_precision_to_string (precision));
    return NULL;
  }
  if (!model->has_weights) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: the model has no weights: name a weights file",
        model->origin ? model->origin : "model");
    return NULL;
  }

  plan = g_new0 (CpuPlan, 1);
  plan->model = model;
  plan->batch = options->batch;
  plan->in_size = nn_shape_count (nn_model_get_input_shape (model));
  plan->n_outputs = nn_model_get_n_outputs (model);
  plan->infer_batch = options->training ? MIN (VALIDATION_BATCH, options->batch) : options->batch;
  plan->crew = nn_crew_new (threads);
  plan->input = nn_aligned_new (plan->batch * plan->in_size, "the input", error);
  if (!plan->input)
    goto fail;
  plan->output = nn_aligned_new (plan->batch * plan->n_outputs, "the output", error);
  if (!plan->output)
    goto fail;
  if (nn_model_is_chain (model)) {
    plan->infer
        = nn_cpu_infer_new (kernels, plan->crew, model, precision, plan->infer_batch, error);
  } else {
    g_autoptr (NnGraph) graph = nn_graph_new (model, error);

    plan->graph = graph ? nn_cpu_graph_new (kernels, plan->crew, graph, error) : NULL;
  }
  if (!plan->infer && !plan->graph)
    goto fail;
  if (options->training
      && !(plan->train = nn_cpu_train_new (kernels, plan->crew, model, options, error)))
    goto fail;
  return plan;

fail:
  cpu_plan_free (plan);
  return NULL;
}

static guint
cpu_plan_get_threads (gpointer plan)
{
  return nn_crew_get_n_threads (((CpuPlan *) plan)->crew);
}

static float *
cpu_plan_get_input (gpointer plan)
{
  return ((CpuPlan *) plan)->input;
}

static const float *
cpu_plan_run (gpointer data, guint n, GError **error)
{
  CpuPlan *plan = data;

  if (plan->graph) {
    nn_cpu_graph_run (plan->graph, plan->input, n, plan->output);
    return plan->output;
  }
  if (plan->stale)
    nn_cpu_infer_refresh (plan->infer);
  plan->stale = FALSE;
  for (guint i = 0; i < n; i += plan->infer_batch)
    if (!nn_cpu_infer_run (plan->infer, plan->input + i * plan->in_size,
            MIN (plan->infer_batch, n - i), plan->output + i * plan->n_outputs, error))
      return NULL;
  return plan->output;
}

static char *
cpu_plan_describe (gpointer data)
{
  CpuPlan *plan = data;
  GString *text = g_string_new (NULL);

  if (plan->graph)
    nn_cpu_graph_describe (plan->graph, text);
  else
    nn_cpu_infer_describe (plan->infer, text);
  if (plan->train) {
    g_string_append (text, "training:\n");
    nn_cpu_train_describe (plan->train, text);
  }
  return g_string_free (text, FALSE);
}

static gboolean
cpu_plan_train_step (gpointer data, const NnStep *step, NnOptimizer *optimizer,
    NnStepResult *result, GError **error)
{
  CpuPlan *plan = data;

  plan->stale = TRUE;
  return nn_cpu_train_step (plan->train, plan->input, step, optimizer, result, error);
}

static void
cpu_plan_params_changed (gpointer data)
{
  ((CpuPlan *) data)->stale = TRUE;
}

const NnBackendClass nn_backend_cpu_class = {
  .abi = NN_BACKEND_ABI,
  .size = sizeof (NnBackendClass),
  .name = "cpu",
  .count_devices = cpu_count_devices,
  .describe_device = cpu_describe_device,
  .open = cpu_open,
  .close = cpu_close,
  .plan_new = cpu_plan_new,
  .plan_free = cpu_plan_free,
  .plan_get_threads = cpu_plan_get_threads,
  .plan_get_input = cpu_plan_get_input,
  .plan_run = cpu_plan_run,
  .plan_describe = cpu_plan_describe,
  .plan_train_step = cpu_plan_train_step,
  .plan_params_changed = cpu_plan_params_changed,
};
