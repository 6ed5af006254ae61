/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/measure.h"
#include "cuda/train.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"

typedef struct
{
  const NnCudaDevice *device;
  NnModel *model;
  guint batch, threads;
  NnPrecision precision;
  NnCudaContext c;
  NnCudaParams params;     /* of a training plan */
  NnCudaWeights *weights;  /* of an inference plan, in place of these */
  float *input, *output; /* pinned */
  float *device_input;
  NnCudaInfer *infer;
  NnCudaPacks packs;
  NnCudaTrain *train;    /* NULL: inference only */
  NnCudaPictures pictures;
  gboolean host_changed; /* the host's parameters are newer than the device's */
  gboolean stale;        /* the device's are newer than what infer made of them */
} CudaPlan;

#define MOST_FP16 65504

/* A weight that fp16 has no number for, or NULL. */
static const NnLayer *
find_too_large (const NnModel *model, float most)
{
  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *param = &model->layers[l].params[p];

      for (gsize i = 0; i < param->n_values && strcmp (param->name, "kernel") == 0; i++)
        if (fabsf (param->data[i]) > most && isfinite (param->data[i]))
          return &model->layers[l];
    }
  return NULL;
}

static gboolean
has_numbers (const NnModel *model)
{
  for (guint l = 0; l < model->n_layers; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      for (gsize i = 0; i < model->layers[l].params[p].n_values; i++)
        if (!isfinite (model->layers[l].params[p].data[i]))
          return FALSE;
  return TRUE;
}

/* In fp16 activations beyond 65504 are infinite, and NaN soon. A network whose own parameters are
 * no numbers gives none in any precision: that is not told here. */
static gboolean
check_outputs (const CudaPlan *plan, guint n, GError **error)
{
  const gsize values
      = n * nn_cuda_count (&plan->model->layers[plan->model->output].out_shape);
  gboolean ok = TRUE;

  if (plan->precision != NN_PRECISION_FP16 || plan->train)
    return TRUE;
  for (gsize i = 0; i < values && ok; i++)
    ok = isfinite (plan->output[i]);
  if (ok || !has_numbers (plan->model))
    return TRUE;
  g_set_error_literal (error, plan->device->host->error_domain, NN_ERROR_RUN,
      "the network's numbers are too large for fp16: use precision bf16 or tf32");
  return FALSE;
}

static gboolean
check_options (
    const NnCudaDevice *device, NnModel *model, const NnPlanOptions *options, GError **error)
{
  const NnHost *host = device->host;
  const NnLayer *large;

  if (options->precision == NN_PRECISION_BF16 && device->arch < 80)
    g_set_error (error, host->error_domain, NN_ERROR_UNSUPPORTED,
        "device %u has no bf16 (compute capability %d.%d, 8.0 is needed): use fp16", device->index,
        device->arch / 10, device->arch % 10);
  else if (nn_cuda_count (&model->layers[0].out_shape) * options->batch >= (gsize) 1 << 31)
    g_set_error (error, host->error_domain, NN_ERROR_UNSUPPORTED,
        "an input of %u samples is too large for the CUDA back end: use a smaller batch",
        options->batch);
  else if (!model->has_weights)
    g_set_error (error, host->error_domain, NN_ERROR_FORMAT,
        "%s: the model has no weights: name a weights file",
        model->origin ? model->origin : "model");
  else if (options->precision == NN_PRECISION_FP16 && !options->training
      && (large = find_too_large (model, MOST_FP16)) != NULL)
    g_set_error (error, host->error_domain, NN_ERROR_UNSUPPORTED,
        "layer \"%s\" has weights beyond %d, which fp16 has no numbers for: use precision bf16 or "
        "tf32", large->name, MOST_FP16);
  else
    return TRUE;
  return FALSE;
}

static gboolean
build (CudaPlan *plan, const NnPlanOptions *options, GError **error)
{
  const gsize in = nn_cuda_count (&plan->model->layers[0].out_shape) * sizeof (float);
  const gsize out
      = nn_cuda_count (&plan->model->layers[plan->model->output].out_shape) * sizeof (float);
  const NnShape *shape = &plan->model->layers[0].out_shape;
  const NnCudaParams *params = &plan->params;
  NnCudaInferOptions infer
      = { .precision = plan->precision, .batch = plan->batch, .halves = !options->training,
          .measure = plan->precision != NN_PRECISION_FP32
              && (!options->training || nn_cuda_measures_training ()) };

  if (!nn_cuda_context_init (&plan->c, plan->device, error)
      || !(plan->input = nn_cuda_new_pinned (&plan->c, plan->batch * in, "the input", error))
      || !(plan->output = nn_cuda_new_pinned (&plan->c, plan->batch * out, "the output", error))
      || !(plan->device_input = nn_cuda_new (&plan->c, plan->batch * in, "the input", error)))
    return FALSE;
  if (options->training) {
    if (!nn_cuda_params_init (&plan->params, &plan->c, plan->model, error))
      return FALSE;
  } else {
    if (!(params = nn_cuda_weights_get_params (plan->weights, error)))
      return FALSE;
    infer.weights = plan->weights;
    if (!nn_cuda_packs_init (
            &plan->packs, &plan->c, plan->batch, shape, plan->device_input, error))
      return FALSE;
    infer.packs = &plan->packs;
  }
  infer.input = plan->device_input;
  infer.host_input = plan->input;
  infer.host_output = plan->output;
  plan->infer = nn_cuda_infer_new (&plan->c, params, &infer, error);
  if (options->training)
    return plan->infer
        && (plan->train = nn_cuda_train_new (
                &plan->c, &plan->params, options, plan->precision, plan->device_input, error));
  if (!plan->infer || !nn_cuda_sync (&plan->c, error))
    return FALSE;
  nn_cuda_weights_finish (plan->weights);
  /* not in the first frame */
  return nn_cuda_infer_capture (plan->infer, NN_CUDA_FROM_HOST, error)
      && nn_cuda_infer_capture (plan->infer, NN_CUDA_FROM_PACKS, error)
      && nn_cuda_infer_capture (plan->infer, NN_CUDA_MEANS_FROM_PACKS, error);
}

gpointer
nn_cuda_plan_new (gpointer device, NnModel *model, const NnPlanOptions *options, GError **error)
{
  const NnCudaDevice *d = device;
  CudaPlan *plan;
  gboolean ok;

  if (!check_options (d, model, options, error)
      || !nn_cuda_enter (d, NN_ERROR_BACKEND, error))
    return NULL;
  plan = g_new0 (CudaPlan, 1);
  plan->device = d;
  plan->model = model;
  plan->batch = options->batch;
  /* none is needed here, but callers give as many to what they do beside */
  plan->threads = options->threads ? options->threads : g_get_num_processors ();
  plan->precision
      = options->precision == NN_PRECISION_AUTO ? NN_PRECISION_TF32 : options->precision;
  if (!options->training)
    plan->weights = nn_cuda_weights_new (d, model,
        plan->precision == NN_PRECISION_FP16     ? NN_TYPE_F16
            : plan->precision == NN_PRECISION_BF16 ? NN_TYPE_BF16
                                                   : NN_TYPE_F32);
  nn_cuda_weights_lock (plan->weights);
  ok = build (plan, options, error);
  nn_cuda_weights_unlock (plan->weights);
  if (ok)
    nn_cuda_end_trials (&plan->c);
  nn_cuda_leave ();
  nn_cuda_choices_save (d->choices);
  if (ok)
    return plan;
  nn_cuda_plan_free (plan);
  return NULL;
}

void
nn_cuda_plan_free (gpointer data)
{
  CudaPlan *plan = data;

  if (!plan)
    return;
  if (nn_cuda_enter (plan->device, NN_ERROR_BACKEND, NULL)) {
    nn_cuda_train_free (plan->train);
    nn_cuda_infer_free (plan->infer);
    nn_cuda_params_clear (&plan->params);
    nn_cuda_context_clear (&plan->c);
    nn_cuda_weights_unref (plan->weights);
    nn_cuda_leave ();
  }
  g_free (plan);
}

guint
nn_cuda_plan_get_threads (gpointer plan)
{
  return ((CudaPlan *) plan)->threads;
}

float *
nn_cuda_plan_get_input (gpointer plan)
{
  return ((CudaPlan *) plan)->input;
}

/* After the host changed parameters. */
static gboolean
take_params (CudaPlan *plan, GError **error)
{
  if (!plan->host_changed)
    return TRUE;
  if (!nn_cuda_params_upload (&plan->params, &plan->c, error))
    return FALSE;
  nn_cuda_train_params_changed (plan->train);
  plan->host_changed = FALSE;
  plan->stale = TRUE;
  return TRUE;
}

/* The result is there when the stream has been synchronised. */
static gboolean
put_run (CudaPlan *plan, const NnAugmentEntry *entries, guint n, GError **error)
{
  return (!entries
             || nn_cuda_pictures_put (&plan->pictures, entries, n, plan->device_input, error))
      && nn_cuda_infer_run (
          plan->infer, entries ? NN_CUDA_FROM_DEVICE : NN_CUDA_FROM_HOST, n, error);
}

/* With the present parameters. */
static gboolean
run (CudaPlan *plan, const NnAugmentEntry *entries, guint n, GError **error)
{
  const gboolean ok = take_params (plan, error)
      && (!plan->stale || nn_cuda_infer_refresh (plan->infer, error))
      && put_run (plan, entries, n, error) && nn_cuda_sync (&plan->c, error);

  plan->stale &= !ok;
  return ok;
}

const float *
nn_cuda_plan_run (gpointer data, guint n, GError **error)
{
  CudaPlan *plan = data;
  gboolean ok;

  if (!nn_cuda_enter (plan->device, NN_ERROR_RUN, error))
    return NULL;
  ok = run (plan, NULL, n, error) && check_outputs (plan, n, error);
  nn_cuda_leave ();
  return ok ? plan->output : NULL;
}

const float *
nn_cuda_plan_run_packs (gpointer data, const NnPack *packs, guint n_packs, GError **error)
{
  CudaPlan *plan = data;
  NnCudaWay way;
  gboolean ok;
  guint n, n_outputs = 0;

  for (guint i = 0; i < n_packs; i++)
    n_outputs += packs[i].n / MAX (packs[i].n_views, 1);
  if (!nn_cuda_enter (plan->device, NN_ERROR_RUN, error))
    return NULL;
  ok = nn_cuda_packs_put (&plan->packs, packs, n_packs, &n, &way, error)
      && nn_cuda_infer_run (plan->infer, way, n, error);
  ok = nn_cuda_sync (&plan->c, ok ? error : NULL) && ok; /* the packs are free again */
  nn_cuda_leave ();
  ok = ok && check_outputs (plan, n_outputs, error);
  return ok ? plan->output : NULL;
}

static gboolean
run_averaged (CudaPlan *plan, NnOptimizer *optimizer, const NnAugmentEntry *entries, guint n,
    GError **error)
{
  gboolean ok;

  if (!take_params (plan, error) || !nn_cuda_train_swap_average (plan->train, optimizer, error))
    return FALSE;
  ok = nn_cuda_infer_refresh (plan->infer, error) && put_run (plan, entries, n, error);
  plan->stale = TRUE;
  /* back in any case; its own error only where there was none before */
  return nn_cuda_train_swap_average (plan->train, optimizer, ok ? error : NULL) && ok
      && nn_cuda_sync (&plan->c, error);
}

const float *
nn_cuda_plan_run_averaged (gpointer data, NnOptimizer *optimizer, const NnAugmentEntry *entries,
    guint n, GError **error)
{
  CudaPlan *plan = data;
  gboolean ok;

  if (!nn_cuda_enter (plan->device, NN_ERROR_RUN, error))
    return NULL;
  ok = optimizer->ema ? run_averaged (plan, optimizer, entries, n, error)
                      : run (plan, entries, n, error);
  nn_cuda_leave ();
  return ok ? plan->output : NULL;
}

gboolean
nn_cuda_plan_train_step (gpointer data, const NnStep *step, NnOptimizer *optimizer,
    NnStepResult *result, GError **error)
{
  CudaPlan *plan = data;
  gboolean ok;

  if (!nn_cuda_enter (plan->device, NN_ERROR_RUN, error))
    return FALSE;
  ok = take_params (plan, error)
      && nn_cuda_train_step (
          plan->train, plan->input, &plan->pictures, step, optimizer, result, error);
  plan->stale = TRUE;
  nn_cuda_leave ();
  return ok;
}

gboolean
nn_cuda_plan_set_pictures (gpointer data, const NnAugmentForm *form, const NnPictures *sets,
    guint n_sets, GError **error)
{
  CudaPlan *plan = data;
  gboolean ok;

  if (!nn_cuda_enter (plan->device, NN_ERROR_RUN, error))
    return FALSE;
  ok = nn_cuda_pictures_init (
      &plan->pictures, &plan->c, plan->batch, form, sets, n_sets, error);
  nn_cuda_leave ();
  return ok;
}

void
nn_cuda_plan_params_changed (gpointer data)
{
  ((CudaPlan *) data)->host_changed = TRUE;
}

gboolean
nn_cuda_plan_sync (gpointer data, NnOptimizer *optimizer, GError **error)
{
  CudaPlan *plan = data;
  gboolean ok;

  if (!plan->train)
    return TRUE;
  if (!nn_cuda_enter (plan->device, NN_ERROR_RUN, error))
    return FALSE;
  ok = nn_cuda_train_sync (plan->train, optimizer, error);
  nn_cuda_leave ();
  return ok;
}

char *
nn_cuda_plan_describe (gpointer data)
{
  static const char *const names[] = { "auto", "fp32", "tf32", "fp16", "bf16" };
  CudaPlan *plan = data;
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "precision: %s\n", names[plan->precision]);
  nn_cuda_infer_describe (plan->infer, text);
  if (plan->train) {
    g_string_append (text, "training:\n");
    nn_cuda_train_describe (plan->train, text);
  }
  return g_string_free (text, FALSE);
}
