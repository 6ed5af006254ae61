/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/model.h"

#include <stdlib.h>
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/layer.h"
#include "nn/labels.h"
#include "nn/memory.h"
#include "nn/model-private.h"

/* --- life --------------------------------------------------------------- */

NnModel *
nn_model_new_empty (const char *origin)
{
  NnModel *model = g_new0 (NnModel, 1);

  model->ref_count = 1;
  model->origin = g_strdup (origin);
  model->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  nn_preprocess_init (&model->preprocess, 0, 0);
  model->temperature = 1;
  return model;
}

NnModel *
nn_model_ref (NnModel *model)
{
  g_atomic_int_inc (&model->ref_count);
  return model;
}

void
nn_model_unref (NnModel *model)
{
  if (!g_atomic_int_dec_and_test (&model->ref_count))
    return;
  for (guint i = 0; i < model->n_layers; i++) {
    g_free (model->layers[i].name);
    g_free (model->layers[i].inputs);
    g_free (model->layers[i].group);
    g_free (model->layers[i].store);
    g_clear_pointer (&model->layers[i].data, g_atomic_rc_box_release);
  }
  g_free (model->layers);
  g_free (model->origin);
  g_free (model->name);
  g_free (model->json);
  g_strfreev (model->labels);
  g_strfreev (model->numbers);
  g_hash_table_unref (model->extra);
  if (model->owner)
    nn_model_unref (model->owner);
  free (model->values);
  g_free (model);
}

/* --- shapes ------------------------------------------------------------- */

gsize
nn_shape_count (const NnShape *shape)
{
  gsize count = 1;

  for (guint i = 0; i < shape->n_dims; i++)
    count *= shape->dims[i];
  return count;
}

gboolean
nn_shape_equal (const NnShape *a, const NnShape *b)
{
  return a->n_dims == b->n_dims && memcmp (a->dims, b->dims, a->n_dims * sizeof (gsize)) == 0;
}

char *
nn_shape_to_string (const NnShape *shape)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < shape->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GSIZE_FORMAT, i ? "x" : "", shape->dims[i]);
  if (shape->n_dims == 0)
    g_string_append (text, "scalar");
  return g_string_free (text, FALSE);
}

/* --- parameters --------------------------------------------------------- */

gsize
nn_param_get_stride (const NnParam *param)
{
  return (param->n_values + 15) & ~(gsize) 15;
}

gsize
nn_model_get_n_values (const NnModel *model)
{
  gsize n = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    for (guint k = 0; k < model->layers[i].n_params; k++)
      n += nn_param_get_stride (&model->layers[i].params[k]);
  }
  return n;
}

float *
nn_model_new_values (const NnModel *model, GError **error)
{
  /* One block: where memory is short the system can say so here, instead of
   * granting one parameter after the other and killing the process later. */
  gsize size = MAX (nn_model_get_n_values (model), 16) * sizeof (float);
  void *values;

  if (!nn_memory_check (size, "the model's parameters", error)) {
    g_prefix_error (error, "%s: ", model->origin ? model->origin : "model");
    return NULL;
  }
  if (posix_memalign (&values, 64, size) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "%s: no memory for the %.1f MB of the model's parameters",
        model->origin ? model->origin : "model", (double) size / 1e6);
    return NULL;
  }
  memset (values, 0, size);
  return values;
}

gboolean
nn_model_alloc_params (NnModel *model, GError **error)
{
  float *values;

  if (model->values != NULL || model->owner != NULL)
    return TRUE;
  values = nn_model_new_values (model, error);
  if (values == NULL)
    return FALSE;
  model->values = values;
  for (guint i = 0; i < model->n_layers; i++) {
    for (guint k = 0; k < model->layers[i].n_params; k++) {
      NnParam *param = &model->layers[i].params[k];

      param->data = values;
      values += nn_param_get_stride (param);
    }
  }
  return TRUE;
}

void
nn_model_free_params (NnModel *model)
{
  for (guint i = 0; i < model->n_layers; i++)
    for (guint k = 0; k < model->layers[i].n_params; k++)
      model->layers[i].params[k].data = NULL;
  free (model->values);
  model->values = NULL;
}

/* layers [first, end) are a chain, of which only the last is read from outside */
static gboolean
check_chain (const NnModel *model, guint first, guint end, GError **error)
{
  for (guint i = MAX (first, 1); i < model->n_layers; i++) {
    const NnLayer *layer = &model->layers[i];
    const gboolean is_inner = i > first && i < end;

    for (guint k = 0; k < layer->n_inputs; k++) {
      const guint input = layer->inputs[k];
      const gboolean is_next = layer->n_inputs == 1 && input == i - 1;

      if (is_inner ? is_next : !(i >= end && input >= first && input + 1 < end))
        continue;
      g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
          "%s: layers '%s' to '%s' cannot be taken as a part: they branch at '%s', whose output"
          " goes to '%s'; take a part where each layer feeds the next only",
          model->origin ? model->origin : "model", model->layers[first].name,
          model->layers[end - 1].name, model->layers[input].name, layer->name);
      return FALSE;
    }
  }
  return TRUE;
}

NnModel *
nn_model_new_part (NnModel *model, guint first, guint end, GError **error)
{
  const guint n_inputs = first > 0; /* to be added */
  NnModel *part;

  g_return_val_if_fail (model->values != NULL || model->owner != NULL, NULL);
  g_return_val_if_fail (first < end && end <= model->n_layers, NULL);
  if (!check_chain (model, first, end, error))
    return NULL;
  part = nn_model_new_empty (model->origin);
  part->owner = nn_model_ref (model);
  part->name = g_strdup (model->name);
  part->is_sequential = TRUE;
  part->has_implicit_input = TRUE;
  part->has_weights = model->has_weights;
  part->n_layers = end - first + n_inputs;
  part->output = part->n_layers - 1;
  part->layers = g_new0 (NnLayer, part->n_layers);
  if (n_inputs > 0) {
    NnLayer *input = &part->layers[0];

    input->klass = nn_layer_class_find ("InputLayer");
    input->kind = input->klass->kind;
    input->name = g_strconcat (model->layers[first].name, "_input", NULL);
    input->in_shape = input->out_shape = model->layers[first].in_shape;
  }
  for (guint i = first; i < end; i++) {
    const guint at = i - first + n_inputs;
    NnLayer *layer = &part->layers[at];

    *layer = model->layers[i];
    layer->name = g_strdup (layer->name);
    layer->group = g_strdup (layer->group);
    layer->store = g_strdup (layer->store);
    if (layer->data)
      g_atomic_rc_box_acquire (layer->data);
    layer->n_inputs = at > 0;
    layer->inputs = at > 0 ? g_new (guint, 1) : NULL;
    if (at > 0)
      layer->inputs[0] = at - 1;
  }
  return part;
}

/* --- moving average ----------------------------------------------------- */

NnEma *
nn_ema_new (const NnModel *model, double decay, GError **error)
{
  float *values = nn_model_new_values (model, error);
  NnEma *ema;

  if (!values)
    return NULL;
  ema = g_new0 (NnEma, 1);
  ema->decay = decay;
  ema->n_values = nn_model_get_n_values (model);
  ema->values = values;
  memcpy (values, model->values, ema->n_values * sizeof (float));
  return ema;
}

void
nn_ema_free (NnEma *ema)
{
  if (!ema)
    return;
  free (ema->values);
  g_free (ema);
}

void
nn_ema_update (NnEma *ema, const NnModel *model, gint64 iterations)
{
  const float rate = nn_ema_get_rate (ema, iterations);

  for (gsize i = 0; i < ema->n_values; i++)
    ema->values[i] += rate * (model->values[i] - ema->values[i]);
}

void
nn_ema_swap (NnEma *ema, NnModel *model)
{
  for (gsize i = 0; i < ema->n_values; i++) {
    float value = model->values[i];

    model->values[i] = ema->values[i];
    ema->values[i] = value;
  }
}

/* --- questions ---------------------------------------------------------- */

gboolean
nn_model_is_listed (const NnModel *model, guint index)
{
  /* Keras's Sequential never lists its input, even where the JSON does. */
  return !(index == 0 && model->is_sequential);
}

const NnShape *
nn_model_get_input_shape (const NnModel *model)
{
  return model->input_shape.n_dims > 0 ? &model->input_shape : &model->layers[0].out_shape;
}

guint
nn_layer_get_owner (const NnModel *model, guint index)
{
  return model->layers[index].shares ? model->layers[index].shares - 1 : index;
}

const NnLayer *
nn_model_find_unchained (const NnModel *model)
{
  for (guint i = 0; i < model->n_layers; i++) {
    const NnLayer *layer = &model->layers[i];
    const NnActivation activation = nn_layer_get_activation (layer);

    if (layer->kind == NN_LAYER_OTHER || layer->shares || layer->channels_first
        || (i > 0 && layer->n_inputs != 1)
        || (i == 0 && model->input_shape.n_dims > 0 && layer->out_shape.n_dims != 3)
        || activation == NN_ACTIVATION_OTHER || activation == NN_ACTIVATION_LOG_SOFTMAX
        || (layer->kind == NN_LAYER_CONV2D && layer->config.conv2d.groups != 1))
      return layer;
  }
  return NULL;
}

gboolean
nn_model_is_chain (const NnModel *model)
{
  return nn_model_find_unchained (model) == NULL;
}

gsize
nn_model_get_n_outputs (const NnModel *model)
{
  return nn_shape_count (&model->layers[model->output].out_shape);
}

gsize
nn_model_count_params (const NnModel *model, gboolean only_trainable)
{
  gsize n = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    for (guint k = 0; k < model->layers[i].n_params; k++) {
      if (model->layers[i].params[k].trainable || !only_trainable)
        n += model->layers[i].params[k].n_values;
    }
  }
  return n;
}

const NnLayer *
nn_model_get_last_layer (const NnModel *model)
{
  const NnLayer *layer = &model->layers[model->output];

  while ((layer->kind == NN_LAYER_FLATTEN || layer->kind == NN_LAYER_DROPOUT)
      && layer->n_inputs > 0)
    layer = &model->layers[layer->inputs[0]];
  return layer;
}

NnActivation
nn_layer_get_activation (const NnLayer *layer)
{
  switch (layer->kind) {
    case NN_LAYER_CONV2D:
      return layer->config.conv2d.activation;
    case NN_LAYER_DENSE:
      return layer->config.dense.activation;
    case NN_LAYER_ACTIVATION:
      return layer->config.activation.activation;
    case NN_LAYER_OTHER:
      return strcmp (layer->klass->name, "Softmax") == 0 ? NN_ACTIVATION_SOFTMAX
                                                          : NN_ACTIVATION_LINEAR;
    default:
      return NN_ACTIVATION_LINEAR;
  }
}

static gboolean
has_one_sigmoid (const NnModel *model)
{
  return nn_model_get_n_outputs (model) == 1
      && nn_layer_get_activation (nn_model_get_last_layer (model)) == NN_ACTIVATION_SIGMOID;
}

guint
nn_model_get_n_classes (const NnModel *model)
{
  return has_one_sigmoid (model) ? 2 : (guint) MIN (nn_model_get_n_outputs (model), G_MAXUINT);
}

const char *
nn_model_get_label (const NnModel *model, guint index)
{
  NnModel *self = (NnModel *) model;

  g_return_val_if_fail (index < nn_model_get_n_classes (model), NULL);
  if (model->labels != NULL)
    return model->labels[index];
  /* The one thing made late: safe in any thread, and the same for all. */
  if (g_once_init_enter (&self->numbers)) {
    guint n = nn_model_get_n_classes (model);
    char **numbers = g_new0 (char *, (gsize) n + 1);

    for (guint i = 0; i < n; i++)
      numbers[i] = g_strdup_printf ("%u", i);
    g_once_init_leave (&self->numbers, numbers);
  }
  return model->numbers[index];
}

/* @p to @q, which may not be the same memory */
static void
apply_temperature (
    NnActivation activation, double temperature, const float *p, gsize n, float *q)
{
  double max = 0, sum = 0;

  switch (activation) {
    case NN_ACTIVATION_SOFTMAX: /* (p / max p)^(1 / T), normalised */
      for (gsize i = 0; i < n; i++)
        max = MAX (max, (double) p[i]);
      for (gsize i = 0; i < n; i++)
        sum += pow (p[i] / max, 1 / temperature);
      for (gsize i = 0; i < n; i++)
        q[i] = (float) (pow (p[i] / max, 1 / temperature) / sum);
      break;
    case NN_ACTIVATION_SIGMOID: /* at 0 and 1 the logit is infinite: they stay */
      for (gsize i = 0; i < n; i++)
        q[i] = (float) (1 / (1 + pow ((1 - (double) p[i]) / p[i], 1 / temperature)));
      break;
    default:
      for (gsize i = 0; i < n; i++)
        q[i] = (float) (p[i] / temperature);
      break;
  }
}

void
nn_model_get_probabilities (const NnModel *model, const float *outputs, float *probabilities)
{
  const NnActivation activation = nn_layer_get_activation (nn_model_get_last_layer (model));
  float one;

  if (has_one_sigmoid (model)) {
    one = outputs[0];
    if (model->temperature != 1)
      apply_temperature (activation, model->temperature, outputs, 1, &one);
    probabilities[0] = 1.0f - one;
    probabilities[1] = one;
  } else if (model->temperature != 1) {
    apply_temperature (
        activation, model->temperature, outputs, nn_model_get_n_outputs (model), probabilities);
  } else {
    memcpy (probabilities, outputs, nn_model_get_n_outputs (model) * sizeof (float));
  }
}

gboolean
nn_model_set_labels (NnModel *model, const char *const *labels, GError **error)
{
  guint n = g_strv_length ((char **) labels), n_classes = nn_model_get_n_classes (model);

  if (n != n_classes) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: the network tells %u classes, found %u labels",
        model->origin ? model->origin : "model", n_classes, n);
    return FALSE;
  }
  g_strfreev (model->labels);
  model->labels = nn_labels_clean (labels, model->origin ? model->origin : "model");
  return TRUE;
}

void
nn_top_k (const float *probabilities, guint n_classes, guint k, guint *indices)
{
  guint n = 0;

  /* k is small: insertion into a sorted list. Equal scores keep class order,
   * and a NaN never gets ahead of a number. */
  for (guint i = 0; i < n_classes; i++) {
    guint place = n;

    while (place > 0
        && (probabilities[i] > probabilities[indices[place - 1]]
            || (probabilities[indices[place - 1]] != probabilities[indices[place - 1]]
                && probabilities[i] == probabilities[i])))
      place--;
    if (place >= k)
      continue;
    if (n < k)
      n++;
    memmove (&indices[place + 1], &indices[place], (n - 1 - place) * sizeof (guint));
    indices[place] = i;
  }
}
