/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/train-private.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/log.h"

#define OPTIMIZER_CHUNK (1 << 18)

/* --- the step ---------------------------------------------------------------------------- */

static void
optimizer_task (gpointer data, guint task, guint thread)
{
  NnCpuTrain *train = data;
  NnOptimizer *o = train->optimizer;
  guint slot = train->chunk_slot[task];
  gsize first = train->chunk_first[task];
  NnParam *param = train->slot_param[slot];
  gsize n = MIN (OPTIMIZER_CHUNK, param->n_values - first);
  float l1 = param->l1, l2 = param->l2;

  if (o->weight_decay != 0 && nn_param_decays (param)) {
    float *w = param->data + first, *g = train->slot_gradient[slot] + first;

    /* the regularizer's gradient is that of the weights before they decay */
    for (gsize i = 0; (l1 != 0 || l2 != 0) && i < n; i++)
      g[i] += 2 * l2 * w[i] + l1 * (float) ((w[i] > 0) - (w[i] < 0));
    l1 = l2 = 0;
    train->k->affine (n, w, (float) (1 - nn_optimizer_plain_rate (o) * o->weight_decay), 0, w);
  }
  if (o->kind != NN_OPTIMIZER_SGD)
    train->k->adam (n, param->data + first, o->m[slot] + first, o->v[slot] + first,
        train->slot_gradient[slot] + first, (float) train->rate, (float) o->beta_1,
        (float) o->beta_2, (float) o->epsilon, l1, l2);
  else
    train->k->sgd (n, param->data + first, o->m[slot] + first,
        train->slot_gradient[slot] + first, (float) train->rate, (float) o->momentum, o->nesterov,
        l1, l2);
}

static double
regularization_loss (const NnCpuTrain *train)
{
  double loss = 0;

  for (guint slot = 0; train->slot_param[slot]; slot++) {
    const NnParam *p = train->slot_param[slot];

    if (p->l1 == 0 && p->l2 == 0)
      continue;
    for (gsize i = 0; i < p->n_values; i++)
      loss += p->l1 * fabs (p->data[i]) + p->l2 * (double) p->data[i] * p->data[i];
  }
  return loss;
}

gboolean
nn_cpu_train_step (NnCpuTrain *train, const float *input, const NnStep *step,
    NnOptimizer *optimizer, NnStepResult *result, GError **error)
{
  const guint n = step->n;
  Op *last = &train->ops[train->n_ops - 1];

  for (guint i = 0; i < train->n_ops; i++)
    if (train->ops[i].layer->kind == NN_LAYER_DENSE
        && !nn_cpu_dense_prepare (&train->ops[i], n, error))
      return FALSE;
  train->n = n;
  train->input = input;
  train->optimizer = optimizer;
  train->seed = step->seed;
  train->rate = nn_optimizer_step_rate (optimizer);
  g_atomic_int_set (&train->failed, 0);

  nn_crew_enter (train->crew);
  for (guint i = 0; i < train->n_ops; i++)
    train->ops[i].forward (&train->ops[i]);
  nn_loss_compute (train->loss, last->y, step, last->out_size, last->dy, result);
  result->sum_loss += result->sum_weights * regularization_loss (train);
  for (guint i = train->n_ops; i-- > 0;)
    train->ops[i].backward (&train->ops[i]);
  if (!g_atomic_int_get (&train->failed))
    nn_crew_run (train->crew, train->n_chunks, optimizer_task, train);
  nn_crew_leave (train->crew);
  if (g_atomic_int_get (&train->failed)) {
    g_set_error_literal (error, NN_ERROR, NN_ERROR_RUN, "oneDNN failed during a training step");
    return FALSE;
  }
  optimizer->iterations++;
  return TRUE;
}

/* --- building -------------------------------------------------------------------------------- */

static gboolean
build_op (Op *op, GError **error)
{
  switch (op->layer->kind) {
    case NN_LAYER_CONV2D:
      return nn_cpu_build_conv (op, error);
    case NN_LAYER_BATCH_NORMALIZATION:
      return nn_cpu_build_bn (op, error);
    case NN_LAYER_DENSE:
      return nn_cpu_build_dense (op, error);
    case NN_LAYER_MAX_POOLING2D:
      return nn_cpu_build_pool (op, error);
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      nn_cpu_build_global_pool (op);
      return TRUE;
    case NN_LAYER_ACTIVATION:
      nn_cpu_build_activation (op);
      return TRUE;
    case NN_LAYER_DROPOUT:
      nn_cpu_build_dropout (op);
      return TRUE;
    default:
      g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
          "the CPU back end cannot train layer \"%s\"", op->layer->name);
      return FALSE;
  }
}

/* Inputs, outputs and gradients. */
static gboolean
connect_ops (NnCpuTrain *train, GError **error)
{
  gboolean trainable = FALSE; /* something before that wants a gradient */

  for (guint i = 0; i < train->n_ops; i++) {
    Op *op = &train->ops[i], *before = i > 0 ? op - 1 : NULL;
    const char *name = op->layer->name;

    op->x = before ? before->y : NULL;
    if (op->layer->kind == NN_LAYER_BATCH_NORMALIZATION && before
        && (before->layer->kind == NN_LAYER_CONV2D || before->layer->kind == NN_LAYER_DENSE)
        && (before->activation == NN_ACTIVATION_RELU
            || before->activation == NN_ACTIVATION_LINEAR)) {
      before->dy = before->y; /* overwritten by the gradient */
      before->activation_done = TRUE;
      op->relu_before = before->activation == NN_ACTIVATION_RELU;
      /* behind a Flatten its rows or channels are not the convolution's */
      if (before->layer->kind == NN_LAYER_CONV2D
          && nn_shape_equal (&op->layer->in_shape, &before->layer->out_shape)
          && nn_layer_get_norm (op->layer) != NN_NORM_OTHER)
        before->bn_next = op;
    } else if (before && !(before->dy = nn_cpu_train_buffer (
                               train, train->batch * before->out_size, name, error))) {
      return FALSE;
    }
    if (before && trainable)
      op->dx = before->dy;
    if (!(op->y = nn_cpu_train_buffer (train, train->batch * op->out_size, name, error)))
      return FALSE;
    for (guint p = 0; p < op->layer->n_params; p++)
      trainable |= op->layer->params[p].trainable;
  }
  train->ops[train->n_ops - 1].dy = nn_cpu_train_buffer (
      train, train->batch * train->ops[train->n_ops - 1].out_size, "the loss", error);
  return train->ops[train->n_ops - 1].dy != NULL;
}

/* Gradients of every parameter, and which of them the optimizer moves. */
static gboolean
build_gradients (NnCpuTrain *train, GError **error)
{
  g_autoptr (GPtrArray) params = g_ptr_array_new (), gradients = g_ptr_array_new ();
  g_autoptr (GArray) slots = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) firsts = g_array_new (FALSE, FALSE, sizeof (gsize));
  GHashTable *by_param = g_hash_table_new (NULL, NULL);
  gboolean ok = TRUE;

  for (guint i = 0; i < train->n_ops && ok; i++) {
    Op *op = &train->ops[i];

    for (guint p = 0; p < op->layer->n_params && ok; p++) {
      NnParam *param = (NnParam *) &op->layer->params[p];

      if (op->layer->kind == NN_LAYER_BATCH_NORMALIZATION && p >= op->layer->n_params - 2)
        continue; /* moving statistics */
      op->dparams[p] = nn_cpu_train_buffer (train, param->n_values, op->layer->name, error);
      ok = op->dparams[p] != NULL;
      if (param->trainable)
        g_hash_table_insert (by_param, param, op->dparams[p]);
    }
  }
  /* slots as nn_optimizer_new() numbers them: every trainable parameter of the model */
  for (guint l = 0; l < train->model->n_layers && ok; l++) {
    NnLayer *layer = &train->model->layers[l];

    for (guint p = 0; p < layer->n_params; p++) {
      NnParam *param = &layer->params[p];
      guint slot = params->len;

      if (!param->trainable)
        continue;
      g_ptr_array_add (params, param);
      g_ptr_array_add (gradients, g_hash_table_lookup (by_param, param));
      if (!g_hash_table_contains (by_param, param))
        continue; /* leads to no output */
      for (gsize first = 0; first < param->n_values; first += OPTIMIZER_CHUNK) {
        g_array_append_val (slots, slot);
        g_array_append_val (firsts, first);
      }
    }
  }
  g_hash_table_unref (by_param);
  train->n_chunks = slots->len;
  g_ptr_array_add (params, NULL);
  g_ptr_array_add (gradients, NULL);
  train->slot_param = (NnParam **) g_ptr_array_steal (params, NULL);
  train->slot_gradient = (float **) g_ptr_array_steal (gradients, NULL);
  train->chunk_slot = (guint *) g_array_steal (slots, NULL);
  train->chunk_first = (gsize *) g_array_steal (firsts, NULL);
  return ok;
}

static gboolean
check_loss (NnCpuTrain *train, GError **error)
{
  Op *last = &train->ops[train->n_ops - 1];
  NnActivation wanted = train->loss == NN_LOSS_BINARY_CROSSENTROPY ? NN_ACTIVATION_SIGMOID
                                                                   : NN_ACTIVATION_SOFTMAX;
  gboolean ends_in_it = (last->layer->kind == NN_LAYER_DENSE || last->layer->kind == NN_LAYER_CONV2D
                            || last->layer->kind == NN_LAYER_ACTIVATION)
      && last->activation == wanted && last->layer->out_shape.n_dims == 1;

  if (!ends_in_it) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "layer \"%s\": a network trained with %s must end in a %s activation over one axis",
        last->layer->name,
        train->loss == NN_LOSS_BINARY_CROSSENTROPY ? "binary_crossentropy"
                                                   : "categorical_crossentropy",
        wanted == NN_ACTIVATION_SIGMOID ? "sigmoid" : "softmax");
    return FALSE;
  }
  last->activation_done = TRUE; /* nn_loss_compute() gives the gradient before it */
  return TRUE;
}

NnCpuTrain *
nn_cpu_train_new (const NnCpuKernels *k, NnCrew *crew, NnModel *model,
    const NnPlanOptions *options, GError **error)
{
  NnCpuTrain *train = g_new0 (NnCpuTrain, 1);
  guint n, n_threads = nn_crew_get_n_threads (crew);
  g_autoptr (GError) reason = NULL;
  g_autofree guint *chain = nn_cpu_layer_chain (model, &n);

  train->k = k;
  train->crew = crew;
  train->model = model;
  train->batch = options->batch;
  train->loss = options->loss;
  train->bessel = options->bessel_moving_variance;
  train->buffers = g_ptr_array_new_with_free_func (nn_aligned_free);
  train->scratch = g_new0 (float *, n_threads);
  train->ops = g_new0 (Op, n);
  if (g_strcmp0 (g_getenv ("CLASSIFY_CPU_DENSE"), "own") != 0
      && !(train->dnnl = nn_dnnl_new (n_threads, &reason)))
    nn_info ("dense layers by our own kernels: %s", reason->message);
  for (guint at = 1; at < n; at++) {
    const NnLayer *layer = &model->layers[chain[at]];
    Op *op = &train->ops[train->n_ops];

    if (layer->kind == NN_LAYER_FLATTEN
        || (layer->kind == NN_LAYER_ACTIVATION
            && layer->config.activation.activation == NN_ACTIVATION_LINEAR))
      continue;
    train->n_ops++;
    op->train = train;
    op->layer = layer;
    op->index = chain[at];
    op->in_size = nn_shape_count (&layer->in_shape);
    op->out_size = nn_shape_count (&layer->out_shape);
    if (layer->kind == NN_LAYER_BATCH_NORMALIZATION && at + 1 < n
        && nn_cpu_is_2x2_pool (&model->layers[chain[at + 1]])
        && nn_layer_get_norm (layer) != NN_NORM_OTHER)
      op->pool = &model->layers[chain[++at]];
    if (!build_op (op, error))
      goto fail;
  }
  if (train->n_ops == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "the network has no layer to train");
    goto fail;
  }
  if (!check_loss (train, error) || !connect_ops (train, error) || !build_gradients (train, error))
    goto fail;
  for (guint i = 0; i < train->n_ops; i++)
    if (train->ops[i].layer->kind == NN_LAYER_DENSE
        && !nn_cpu_dense_prepare (&train->ops[i], train->batch, error))
      goto fail;
  for (guint i = 0; i < n_threads; i++)
    if (!(train->scratch[i] = nn_cpu_train_buffer (train, train->scratch_size, "scratch", error)))
      goto fail;
  return train;

fail:
  nn_cpu_train_free (train);
  return NULL;
}

void
nn_cpu_train_free (NnCpuTrain *train)
{
  if (!train)
    return;
  for (guint i = 0; i < train->n_ops; i++) {
    Op *op = &train->ops[i];

    nn_cpu_conv_free (op->conv);
    nn_cpu_dense_ops_clear (&op->full);
    nn_cpu_dense_ops_clear (&op->partial_batch);
    g_free (op->windows);
    g_free (op->window_sizes);
  }
  g_ptr_array_unref (train->buffers);
  nn_dnnl_free (train->dnnl);
  g_free (train->scratch);
  g_free (train->ops);
  g_free (train->slot_param);
  g_free (train->slot_gradient);
  g_free (train->chunk_slot);
  g_free (train->chunk_first);
  g_free (train);
}

void
nn_cpu_train_describe (const NnCpuTrain *train, GString *text)
{
  for (guint i = 0; i < train->n_ops; i++) {
    const Op *op = &train->ops[i];
    const char *name = op->layer->name;
    g_autofree char *dense = NULL;

    if (op->conv)
      g_string_append_printf (text, "%s forward, backward: %s %s\n", name,
          op->conv->winograd ? "Winograd 4x4" : "direct", train->k->name);
    else if (op->layer->kind == NN_LAYER_DENSE)
      g_string_append_printf (text, "%s\n", dense = nn_cpu_dense_describe (op));
    else
      g_string_append_printf (text, "%s: %s%s\n", name, train->k->name,
          op->pool ? " + 2x2 max pooling (fused)" : "");
  }
}
