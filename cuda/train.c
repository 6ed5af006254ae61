/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/train.h"

#include <string.h>

#include "cuda/measure.h"
#include "cuda/train-ops.h"
#include "nn/error.h"

/* The optimizer's state of one trainable parameter, numbered as nn_optimizer_new() does. */
typedef struct
{
  const NnParam *param;
  float *w, *g, *m, *v; /* g NULL: leads to no output */
} Slot;

/* A parameter's moving average, trained or not. */
typedef struct
{
  const NnParam *param;
  float *average;
} Average;

struct _NnCudaTrain
{
  NnCudaContext *c;
  const NnCudaParams *params;
  guint batch;
  NnLoss loss;
  float *input;
  gsize in_size, n_outputs;

  guint n_ops;
  NnTrainOp *ops;
  guint n_slots;
  Slot *slots;
  guint n_chunks;
  NnChunk *chunks; /* on the device */
  gboolean penalized;
  GArray *averages; /* of Average; empty until an optimizer has them */
  guint n_average_chunks;
  NnAverageChunk *average_chunks; /* on the device */

  /* on the device and, pinned, on the host */
  NnStepParams *step, *host_step;
  NnLossScale *scale, *host_scale; /* NULL: gradients are not scaled */
  float *targets, *host_targets, *weights, *host_weights;
  double *losses, *host_losses, *penalties, *host_penalties;
  uint32_t *right, *host_right;

  CUgraphExec graph;
  gboolean graph_failed;
  gboolean averaged; /* by the step, and the graph of it */
  const NnOptimizer *optimizer; /* whose state the device has, at so many iterations */
  gint64 iterations;
  gboolean dirty;       /* the device's parameters are newer than the host's */
  gboolean slots_dirty; /* the same of the optimizer's state */
  gboolean copies_stale; /* of kernels that the optimizer keeps up: the host changed those */
};

/* --- building ------------------ */

static gboolean
check_loss (NnCudaTrain *train, GError **error)
{
  NnTrainOp *last = &train->ops[train->n_ops - 1];
  const gboolean binary = train->loss == NN_LOSS_BINARY_CROSSENTROPY;
  const NnActivation wanted = binary ? NN_ACTIVATION_SIGMOID : NN_ACTIVATION_SOFTMAX;

  if ((last->layer->kind == NN_LAYER_DENSE || last->layer->kind == NN_LAYER_CONV2D
          || last->layer->kind == NN_LAYER_ACTIVATION)
      && last->activation == wanted && last->layer->out_shape.n_dims == 1) {
    last->activation_done = TRUE; /* nn_k_loss gives the gradient before it */
    return TRUE;
  }
  g_set_error (error, train->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
      "layer \"%s\": a network trained with %s must end in a %s activation over one axis",
      last->layer->name, binary ? "binary_crossentropy" : "categorical_crossentropy",
      binary ? "sigmoid" : "softmax");
  return FALSE;
}

static gboolean
check_size (NnCudaTrain *train, const NnTrainOp *op, GError **error)
{
  const gsize values = train->batch * MAX (op->in_size, op->out_size);

  if (values < (gsize) 1 << 31)
    return TRUE;
  g_set_error (error, train->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
      "layer \"%s\": %" G_GSIZE_FORMAT " values of a batch are too many for the CUDA back end: "
      "use a smaller batch",
      op->layer->name, values);
  return FALSE;
}

/* Outputs and gradients of every op, and what goes into which. */
static gboolean
connect_ops (NnCudaTrain *train, NnType type, GError **error)
{
  gboolean trainable = FALSE; /* something before that wants a gradient */

  for (guint i = 0; i < train->n_ops; i++) {
    NnTrainOp *op = &train->ops[i], *before = i > 0 ? op - 1 : NULL;
    gsize bytes;

    op->type = type;
    op->x_type = before ? before->y_type : NN_TYPE_F32;
    op->y_type = nn_train_op_get_type (
        op->layer, op->activation, i + 1 == train->n_ops, type, op->x_type);
    bytes = train->batch * op->out_size * (op->y_type == NN_TYPE_F32 ? 4 : 2);
    op->x = before ? before->y : train->input;
    op->dx = before && trainable ? before->dy : NULL;
    if (!check_size (train, op, error)
        || !(op->y = nn_cuda_new (train->c, bytes, op->layer->name, error))
        || !(op->dy = nn_cuda_new (train->c, bytes, op->layer->name, error)))
      return FALSE;
    /* a BatchNormalization takes the activation's gradient in front of it along */
    if (before && op->layer->kind == NN_LAYER_BATCH_NORMALIZATION
        && (before->layer->kind == NN_LAYER_CONV2D || before->layer->kind == NN_LAYER_DENSE)
        && before->activation != NN_ACTIVATION_SOFTMAX) {
      op->before = nn_cuda_function (before->activation);
      before->activation_done = TRUE;
    }
    for (guint p = 0; p < op->layer->n_params; p++) {
      trainable |= op->layer->params[p].trainable;
      if (op->layer->kind == NN_LAYER_BATCH_NORMALIZATION && p + 2 >= op->layer->n_params)
        continue; /* moving statistics */
      op->gradients[p] = nn_cuda_new (train->c,
          op->layer->params[p].n_values * sizeof (float), op->layer->name, error);
      if (!op->gradients[p])
        return FALSE;
    }
    if (!nn_train_op_build (op, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
build_ops (NnCudaTrain *train, const NnPlanOptions *options, NnPrecision precision, GError **error)
{
  const NnModel *model = train->params->model;
  const NnType type = precision == NN_PRECISION_FP16 ? NN_TYPE_F16
      : precision == NN_PRECISION_BF16               ? NN_TYPE_BF16
                                                     : NN_TYPE_F32;
  guint n;
  g_autofree guint *chain = nn_cuda_layer_chain (model, &n);
  gsize workspace = train->c->workspace_size;

  train->ops = g_new0 (NnTrainOp, n);
  for (guint at = 0; at < n; at++) {
    const NnLayer *layer = &model->layers[chain[at]];
    NnTrainOp *op = &train->ops[train->n_ops];

    if (!nn_train_op_needs (layer))
      continue;
    *op = (NnTrainOp) {
      .c = train->c,
      .params = train->params,
      .step = train->step,
      .batch = train->batch,
      .tf32 = precision != NN_PRECISION_FP32,
      .measure = precision != NN_PRECISION_FP32 && nn_cuda_measures_training (),
      .scale = train->scale,
      .bessel = options->bessel_moving_variance,
      .layer = layer,
      .index = chain[at],
      .in = nn_cuda_extent (&layer->in_shape),
      .out = nn_cuda_extent (&layer->out_shape),
      .in_size = nn_cuda_count (&layer->in_shape),
    };
    if (layer->kind == NN_LAYER_BATCH_NORMALIZATION && at + 1 < n
        && model->layers[chain[at + 1]].kind == NN_LAYER_MAX_POOLING2D) {
      op->pool = &model->layers[chain[++at]];
      op->out = nn_cuda_extent (&op->pool->out_shape);
    }
    op->out_size = op->out.rows * op->out.cols * op->out.channels;
    op->activation = layer->kind == NN_LAYER_CONV2D ? layer->config.conv2d.activation
        : layer->kind == NN_LAYER_DENSE             ? layer->config.dense.activation
        : layer->kind == NN_LAYER_ACTIVATION        ? layer->config.activation.activation
                                                    : NN_ACTIVATION_LINEAR;
    train->n_ops++;
  }
  if (train->n_ops == 0) {
    g_set_error_literal (error, train->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
        "the network has no layer to train");
    return FALSE;
  }
  if (!check_loss (train, error) || !connect_ops (train, type, error))
    return FALSE;
  for (guint i = 0; i < train->n_ops; i++)
    workspace = MAX (workspace, nn_train_op_get_workspace (&train->ops[i]));
  if (workspace > train->c->workspace_size) {
    if (!(train->c->workspace = nn_cuda_new (train->c, workspace, "workspace", error)))
      return FALSE;
    train->c->workspace_size = workspace;
  }
  return TRUE;
}

/* Slots of every trainable parameter, and the chunks that the optimizer goes through. */
static gboolean
build_slots (NnCudaTrain *train, GError **error)
{
  const NnModel *model = train->params->model;
  g_autoptr (GArray) slots = g_array_new (FALSE, TRUE, sizeof (Slot));
  g_autoptr (GArray) chunks = g_array_new (FALSE, TRUE, sizeof (NnChunk));
  gboolean ok = TRUE;

  for (guint l = 0; l < model->n_layers; l++) {
    const NnLayer *layer = &model->layers[l];
    NnTrainOp *op = NULL;

    for (guint i = 0; i < train->n_ops; i++)
      if (train->ops[i].index == l)
        op = &train->ops[i];
    for (guint p = 0; p < layer->n_params && ok; p++) {
      const NnParam *param = &layer->params[p];
      const gsize bytes = param->n_values * sizeof (float);
      Slot slot = { .param = param };

      if (!param->trainable)
        continue;
      slot.w = train->params->values[l][p];
      slot.g = op ? op->gradients[p] : NULL;
      slot.m = nn_cuda_new (train->c, bytes, "the optimizer", error);
      slot.v = slot.m ? nn_cuda_new (train->c, bytes, "the optimizer", error) : NULL;
      ok = slot.v != NULL;
      g_array_append_val (slots, slot);
      for (gsize first = 0; first < param->n_values && slot.g && ok; first += NN_CHUNK) {
        const gboolean copied = op->kernel_copied && strcmp (param->name, "kernel") == 0;
        const NnChunk chunk = {
          .w = slot.w + first,
          .m = slot.m + first,
          .v = slot.v + first,
          .g = slot.g + first,
          .copy = copied ? (guint16 *) op->lib_weights + first : NULL,
          .copy_type = op->type,
          .n = (uint32_t) MIN (NN_CHUNK, param->n_values - first),
          .decays = train->c->device->host->param_decays (param),
          .l1 = param->l1,
          .l2 = param->l2,
        };

        g_array_append_val (chunks, chunk);
      }
      train->penalized |= param->l1 != 0 || param->l2 != 0;
    }
  }
  train->n_slots = slots->len;
  train->n_chunks = chunks->len;
  train->slots = (Slot *) g_array_steal (slots, NULL);
  return ok
      && (train->chunks = nn_cuda_new (
              train->c, train->n_chunks * sizeof (NnChunk), "the optimizer", error))
      && nn_cuda_upload (
          train->c, train->chunks, chunks->data, train->n_chunks * sizeof (NnChunk), error)
      && nn_cuda_sync (train->c, error);
}

static gboolean
new_pair (NnCudaTrain *train, gsize bytes, void *device, void *host, GError **error)
{
  return (*(void **) device = nn_cuda_new (train->c, bytes, "a training step", error))
      && (*(void **) host = nn_cuda_new_pinned (train->c, bytes, "a training step", error));
}

static gboolean
build (NnCudaTrain *train, const NnPlanOptions *options, NnPrecision precision, GError **error)
{
  const gsize n = train->batch;

  return new_pair (train, sizeof (NnStepParams), &train->step, &train->host_step, error)
      && (precision != NN_PRECISION_FP16
          || new_pair (train, sizeof (NnLossScale), &train->scale, &train->host_scale, error))
      && new_pair (train, n * train->n_outputs * sizeof (float), &train->targets,
          &train->host_targets, error)
      && new_pair (train, n * sizeof (float), &train->weights, &train->host_weights, error)
      && new_pair (train, n * sizeof (double), &train->losses, &train->host_losses, error)
      && new_pair (train, n * sizeof (uint32_t), &train->right, &train->host_right, error)
      && build_ops (train, options, precision, error) && build_slots (train, error)
      && (!train->penalized
          || new_pair (train, train->n_chunks * sizeof (double), &train->penalties,
              &train->host_penalties, error));
}

NnCudaTrain *
nn_cuda_train_new (NnCudaContext *c, const NnCudaParams *params, const NnPlanOptions *options,
    NnPrecision precision, float *input, GError **error)
{
  NnCudaTrain *train = g_new0 (NnCudaTrain, 1);

  train->c = c;
  train->params = params;
  train->averages = g_array_new (FALSE, FALSE, sizeof (Average));
  train->copies_stale = TRUE;
  train->batch = options->batch;
  train->loss = options->loss;
  train->input = input;
  train->in_size = nn_cuda_count (&params->model->layers[0].out_shape);
  train->n_outputs = nn_cuda_count (&params->model->layers[params->model->output].out_shape);
  if (build (train, options, precision, error))
    return train;
  nn_cuda_train_free (train);
  return NULL;
}

void
nn_cuda_train_free (NnCudaTrain *train)
{
  if (!train)
    return;
  nn_cuda_sync (train->c, NULL);
  if (train->graph)
    nn_api.cuGraphExecDestroy (train->graph);
  for (guint i = 0; i < train->n_ops; i++)
    nn_train_op_clear (&train->ops[i]);
  g_array_unref (train->averages);
  g_free (train->ops);
  g_free (train->slots);
  g_free (train);
}

/* --- the moving average ------------------ */

/* where @param's is in @ema on the host */
static float *
average_of (const NnCudaTrain *train, const NnEma *ema, const NnParam *param)
{
  return ema->values + (param->data - nn_model_get_owner (train->params->model)->values);
}

/* Room for it, and the chunks to go through; once. */
static gboolean
build_averages (NnCudaTrain *train, GError **error)
{
  const NnModel *model = train->params->model;
  g_autoptr (GArray) chunks = g_array_new (FALSE, TRUE, sizeof (NnAverageChunk));

  if (train->average_chunks)
    return TRUE;
  g_array_set_size (train->averages, 0);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *param = &model->layers[l].params[p];
      const Average average = { param,
        nn_cuda_new (train->c, param->n_values * sizeof (float), "the averaged weights", error) };

      if (!average.average)
        return FALSE;
      g_array_append_val (train->averages, average);
      for (gsize first = 0; first < param->n_values; first += NN_CHUNK) {
        const NnAverageChunk chunk = {
          .w = train->params->values[l][p] + first,
          .average = average.average + first,
          .n = (uint32_t) MIN (NN_CHUNK, param->n_values - first),
        };

        g_array_append_val (chunks, chunk);
      }
    }
  }
  train->n_average_chunks = chunks->len;
  train->average_chunks = nn_cuda_new (
      train->c, chunks->len * sizeof (NnAverageChunk), "the averaged weights", error);
  return train->average_chunks
      && nn_cuda_upload (train->c, train->average_chunks, chunks->data,
          chunks->len * sizeof (NnAverageChunk), error)
      && nn_cuda_sync (train->c, error);
}

static gboolean
launch_average (NnCudaTrain *train, gboolean swap, GError **error)
{
  const NnAverageArgs args = {
    .count = train->n_average_chunks * NN_CHUNK_LANES,
    .swap = swap,
    .chunks = train->average_chunks,
    .step = train->step,
    .scale = train->scale,
  };

  return nn_k_average_launch (train->c, &args, error);
}

/* --- a step ------------------ */

/* Everything but the uploads. */
static gboolean
record (gpointer data, GError **error)
{
  NnCudaTrain *train = data;
  NnTrainOp *last = &train->ops[train->n_ops - 1];
  const gsize n = train->batch;
  const NnLossArgs loss = {
    .count = train->batch,
    .outputs = (uint32_t) train->n_outputs,
    .binary = train->loss == NN_LOSS_BINARY_CROSSENTROPY,
    .step = train->step,
    .scale = train->scale,
    .y = last->y,
    .targets = train->targets,
    .weights = train->weights,
    .gradient = last->dy,
    .loss = train->losses,
    .right = train->right,
  };
  const NnOptimizerArgs optimizer = {
    .count = train->n_chunks * NN_CHUNK_LANES,
    .chunks = train->chunks,
    .step = train->step,
    .scale = train->scale,
  };
  const NnCheckArgs check
      = { .count = optimizer.count, .chunks = train->chunks, .scale = train->scale };
  const NnScaleArgs scale = { .count = 1, .scale = train->scale };
  const NnPenaltyArgs penalty
      = { .blocks = train->n_chunks, .chunks = train->chunks, .sums = train->penalties };

  for (guint i = 0; i < train->n_ops; i++)
    if (!nn_train_op_forward (&train->ops[i], error))
      return FALSE;
  if (!nn_k_loss_launch (train->c, &loss, error)
      || (train->penalized && !nn_k_penalty_launch (train->c, &penalty, error)))
    return FALSE;
  for (guint i = train->n_ops; i-- > 0;)
    if (!nn_train_op_backward (&train->ops[i], error))
      return FALSE;
  if (train->scale && train->n_chunks > 0 && !nn_k_check_launch (train->c, &check, error))
    return FALSE;
  for (guint i = 0; i < train->n_ops; i++)
    if (!nn_train_op_finish (&train->ops[i], error))
      return FALSE;
  return (train->n_chunks == 0 || nn_k_optimizer_launch (train->c, &optimizer, error))
      && (!train->averaged || launch_average (train, FALSE, error))
      && (!train->scale
          || (nn_k_scale_launch (train->c, &scale, error)
              && nn_cuda_download (
                  train->c, train->host_scale, train->scale, sizeof (NnLossScale), error)))
      && nn_cuda_download (
          train->c, train->host_losses, train->losses, n * sizeof (double), error)
      && nn_cuda_download (
          train->c, train->host_right, train->right, n * sizeof (uint32_t), error)
      && (!train->penalized
          || nn_cuda_download (train->c, train->host_penalties, train->penalties,
              train->n_chunks * sizeof (double), error));
}

/* The optimizer's state, where the device does not have it as it is. */
static gboolean
take_optimizer (NnCudaTrain *train, const NnOptimizer *optimizer, GError **error)
{
  if (train->optimizer == optimizer && train->iterations == optimizer->iterations)
    return TRUE;
  if (optimizer->ema) {
    if (!build_averages (train, error))
      return FALSE;
    for (guint i = 0; i < train->averages->len; i++) {
      const Average *a = &g_array_index (train->averages, Average, i);

      if (!nn_cuda_put_param (
              train->c, a->param, average_of (train, optimizer->ema, a->param), a->average, error))
        return FALSE;
    }
  }
  if (train->scale) {
    *train->host_scale = (NnLossScale) {
      .scale = (float) (optimizer->loss_scale > 0 ? optimizer->loss_scale : NN_LOSS_SCALE_START),
      .good = optimizer->loss_scale > 0 ? optimizer->loss_scale_good : 0,
      .interval = optimizer->loss_scale_interval,
    };
    if (!nn_cuda_upload (train->c, train->scale, train->host_scale, sizeof (NnLossScale), error)
        || !nn_cuda_sync (train->c, error))
      return FALSE;
  }
  if (train->averaged != (optimizer->ema != NULL)) { /* another step than was captured */
    g_clear_pointer (&train->graph, nn_api.cuGraphExecDestroy);
    train->graph_failed = FALSE;
    train->averaged = !train->averaged;
  }
  for (guint i = 0; i < train->n_slots; i++) {
    const Slot *slot = &train->slots[i];

    if (!nn_cuda_put_param (train->c, slot->param, optimizer->m[i], slot->m, error)
        || (optimizer->v
            && !nn_cuda_put_param (train->c, slot->param, optimizer->v[i], slot->v, error)))
      return FALSE;
  }
  return TRUE;
}

static gboolean
upload_step (NnCudaTrain *train, const float *host_input, NnCudaPictures *pictures,
    const NnStep *step, const NnOptimizer *o, GError **error)
{
  const NnHost *host = train->c->device->host;
  const gsize n = step->n, rest = train->batch - n, in = train->in_size * sizeof (float);

  *train->host_step = (NnStepParams) {
    .seed = step->seed,
    .iterations = o->iterations,
    .samples = step->n,
    .is_sgd = o->kind == NN_OPTIMIZER_SGD,
    .nesterov = o->nesterov,
    .rate = (float) host->optimizer_step_rate (o),
    .beta_1 = (float) o->beta_1,
    .beta_2 = (float) o->beta_2,
    .epsilon = (float) o->epsilon,
    .momentum = (float) o->momentum,
    .keep = (float) (1 - host->optimizer_plain_rate (o) * o->weight_decay),
    .average_rate = o->ema ? nn_ema_get_rate (o->ema, o->iterations + 1) : 0,
  };
  memcpy (train->host_targets, step->targets, n * train->n_outputs * sizeof (float));
  for (gsize i = 0; i < n; i++)
    train->host_weights[i] = step->weights ? step->weights[i] : 1;
  return nn_cuda_upload (train->c, train->step, train->host_step, sizeof (NnStepParams), error)
      && nn_cuda_upload (train->c, train->targets, train->host_targets,
          n * train->n_outputs * sizeof (float), error)
      && nn_cuda_upload (train->c, train->weights, train->host_weights, n * sizeof (float), error)
      && (step->entries
              ? nn_cuda_pictures_put (pictures, step->entries, step->n, train->input, error)
              : nn_cuda_upload (train->c, train->input, host_input, n * in, error))
      && (!step->mixes
          || nn_cuda_pictures_mix (pictures, step->mixes, step->n_mixed, train->input, error))
      /* what does not take part is finite, so that it times 0 is 0 */
      && nn_cuda_clear (train->c, train->input + n * train->in_size, rest * in, error);
}

static gboolean
copy_kernels (NnCudaTrain *train, GError **error)
{
  for (guint i = 0; i < train->n_ops && train->copies_stale; i++)
    if (!nn_train_op_copy_kernel (&train->ops[i], error))
      return FALSE;
  train->copies_stale = FALSE;
  return TRUE;
}

static void
add_up (const NnCudaTrain *train, const NnStep *step, NnStepResult *result)
{
  const guint n = step->n_measured ? step->n_measured : step->n;
  double penalty = 0;

  *result = (NnStepResult) { 0 };
  for (guint i = 0; i < n; i++) {
    result->sum_loss += train->host_weights[i] * train->host_losses[i];
    result->sum_weights += train->host_weights[i];
    result->n_correct += train->host_right[i];
  }
  for (guint i = 0; train->penalized && i < train->n_chunks; i++)
    penalty += train->host_penalties[i];
  result->sum_loss += result->sum_weights * penalty;
}

gboolean
nn_cuda_train_step (NnCudaTrain *train, const float *host_input, NnCudaPictures *pictures,
    const NnStep *step, NnOptimizer *optimizer, NnStepResult *result, GError **error)
{
  g_autoptr (GError) reason = NULL;
  gboolean first;

  if (!take_optimizer (train, optimizer, error))
    return FALSE;
  first = !train->graph && !train->graph_failed;
  train->optimizer = NULL; /* whatever fails from here on */
  train->dirty = train->slots_dirty = TRUE;
  if (!copy_kernels (train, error)
      || !upload_step (train, host_input, pictures, step, optimizer, error)
      || !(train->graph
              ? NN_CU (cuGraphLaunch, NN_ERROR_RUN, error, train->graph, train->c->stream)
              : record (train, error))
      || !nn_cuda_sync (train->c, error))
    return FALSE;
  add_up (train, step, result);
  if (train->scale) {
    optimizer->loss_scale = train->host_scale->scale;
    optimizer->loss_scale_good = train->host_scale->good;
    result->skipped = train->host_scale->skipped != 0;
  }
  optimizer->iterations += !result->skipped;
  train->optimizer = optimizer;
  train->iterations = optimizer->iterations;
  if (first) { /* the libraries have loaded what they need */
    train->graph = nn_cuda_capture (train->c, record, train, &reason);
    train->graph_failed = !train->graph;
    if (train->graph_failed) {
      g_autofree char *words
          = g_strdup_printf ("CUDA: not trained as a graph, which is slower: %s", reason->message);

      train->c->device->host->log (NN_LOG_WARNING, words);
    }
  }
  return TRUE;
}

gboolean
nn_cuda_train_swap_average (NnCudaTrain *train, NnOptimizer *optimizer, GError **error)
{
  if (!take_optimizer (train, optimizer, error))
    return FALSE;
  train->optimizer = optimizer;
  train->iterations = optimizer->iterations;
  return launch_average (train, TRUE, error);
}

/* --- between host and device ------------------ */

gboolean
nn_cuda_train_sync (NnCudaTrain *train, NnOptimizer *optimizer, GError **error)
{
  NnModel *model = train->params->model;

  for (guint l = 0; l < model->n_layers && train->dirty; l++)
    for (guint p = 0; p < model->layers[l].n_params; p++)
      if (!nn_cuda_get_param (train->c, &model->layers[l].params[p], train->params->values[l][p],
              model->layers[l].params[p].data, error))
        return FALSE;
  train->dirty = FALSE;
  if (!optimizer || optimizer != train->optimizer || !train->slots_dirty)
    return TRUE;
  for (guint i = 0; i < train->n_slots; i++) {
    const Slot *slot = &train->slots[i];

    if (!nn_cuda_get_param (train->c, slot->param, slot->m, optimizer->m[i], error)
        || (optimizer->v
            && !nn_cuda_get_param (train->c, slot->param, slot->v, optimizer->v[i], error)))
      return FALSE;
  }
  for (guint i = 0; optimizer->ema && i < train->averages->len; i++) {
    const Average *a = &g_array_index (train->averages, Average, i);

    if (!nn_cuda_get_param (
            train->c, a->param, a->average, average_of (train, optimizer->ema, a->param), error))
      return FALSE;
  }
  train->slots_dirty = FALSE;
  return TRUE;
}

void
nn_cuda_train_params_changed (NnCudaTrain *train)
{
  train->dirty = FALSE;
  train->copies_stale = TRUE;
}

void
nn_cuda_train_describe (const NnCudaTrain *train, GString *text)
{
  for (guint i = 0; i < train->n_ops; i++)
    nn_train_op_describe (&train->ops[i], text);
}
