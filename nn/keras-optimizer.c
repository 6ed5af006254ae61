/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The optimizer's state in Keras's HDF5 files: training_config and
 * optimizer_weights. Slot i belongs to the i-th trainable parameter. */

#include <string.h>

#include "nn/error.h"
#include "nn/hdf5-read.h"
#include "nn/keras-private.h"
#include "nn/model-private.h"

static gboolean G_GNUC_PRINTF (4, 5)
fail (GError **error, NnErrorCode code, const char *path, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NN_ERROR, code, "%s: %s", path, message);
  return FALSE;
}

/* --- writing ------------------------------------------------------------ */

/* Keras's class */
static const char *
get_name (const NnOptimizer *optimizer)
{
  static const char *const names[] = { "Adam", "SGD", "AdamW" };

  return names[optimizer->kind];
}

/* {"optimizer_config": {...}, "loss": ..}, with the keys that tf.keras 2.x and
 * Keras 3 both take; without "is_legacy_optimizer" tf.keras 2.11 and later
 * take the optimizer that matches the order of optimizer_weights below. */
static char *
format_training_config (const NnOptimizer *optimizer, const char *loss)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  gboolean is_adam = optimizer->kind != NN_OPTIMIZER_SGD;
  const char *name = get_name (optimizer);

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "optimizer_config");
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "class_name");
  json_builder_add_string_value (builder, name);
  json_builder_set_member_name (builder, "config");
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "name");
  json_builder_add_string_value (builder, name);
  json_builder_set_member_name (builder, "learning_rate");
  json_builder_add_double_value (builder, optimizer->learning_rate);
  if (optimizer->decay != 0) { /* Keras 3 warns of it */
    json_builder_set_member_name (builder, "decay");
    json_builder_add_double_value (builder, optimizer->decay);
  }
  if (optimizer->weight_decay != 0) {
    json_builder_set_member_name (builder, "weight_decay");
    json_builder_add_double_value (builder, optimizer->weight_decay);
  }
  if (is_adam) {
    json_builder_set_member_name (builder, "beta_1");
    json_builder_add_double_value (builder, optimizer->beta_1);
    json_builder_set_member_name (builder, "beta_2");
    json_builder_add_double_value (builder, optimizer->beta_2);
    json_builder_set_member_name (builder, "epsilon");
    json_builder_add_double_value (builder, optimizer->epsilon);
    json_builder_set_member_name (builder, "amsgrad");
    json_builder_add_boolean_value (builder, FALSE);
  } else {
    json_builder_set_member_name (builder, "momentum");
    json_builder_add_double_value (builder, optimizer->momentum);
    json_builder_set_member_name (builder, "nesterov");
    json_builder_add_boolean_value (builder, optimizer->nesterov);
  }
  json_builder_end_object (builder);
  json_builder_end_object (builder);
  json_builder_set_member_name (builder, "loss");
  if (loss != NULL)
    json_builder_add_string_value (builder, loss);
  else
    json_builder_add_null_value (builder);
  json_builder_set_member_name (builder, "metrics");
  json_builder_begin_array (builder);
  json_builder_add_string_value (builder, "accuracy");
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "weighted_metrics");
  json_builder_add_null_value (builder);
  json_builder_set_member_name (builder, "sample_weight_mode");
  json_builder_add_null_value (builder);
  json_builder_set_member_name (builder, "loss_weights");
  json_builder_add_null_value (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

/* tf.keras's OptimizerV2 (2.0 to 2.10, from 2.11 as the legacy optimizers):
 * the step count, all m, then all v; SGD: momentum where there is one. */
static gboolean
write_state (NnH5Writer *writer, const NnModel *model, const NnOptimizer *optimizer,
    GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  gboolean is_adam = optimizer->kind != NN_OPTIMIZER_SGD;
  const char *name = get_name (optimizer);
  guint n_kinds = is_adam ? 2 : optimizer->momentum != 0 ? 1 : 0;
  static const char group[] = "/optimizer_weights";
  g_autofree char *first = NULL;

  g_ptr_array_add (names, g_strdup_printf ("%s/iter:0", name));
  first = g_strconcat (group, "/", names->pdata[0], NULL);
  if (!nn_h5_writer_add_group (writer, group, error)
      || !nn_h5_writer_add_int (writer, first, optimizer->iterations, error))
    return FALSE;
  for (guint kind = 0; kind < n_kinds; kind++) {
    guint slot = 0;

    for (guint i = 0; i < model->n_layers; i++) {
      const NnLayer *layer = &model->layers[i];

      for (guint k = 0; k < layer->n_params; k++) {
        const NnParam *param = &layer->params[k];
        g_autofree char *path = NULL;

        if (!param->trainable)
          continue;
        g_return_val_if_fail (
            slot < optimizer->n_slots && optimizer->sizes[slot] == param->n_values, FALSE);
        g_ptr_array_add (names, g_strdup_printf ("%s/%s/%s/%s:0", name, layer->name, param->name,
            !is_adam ? "momentum" : kind == 0 ? "m" : "v"));
        path = g_strconcat (group, "/", names->pdata[names->len - 1], NULL);
        if (!nn_h5_writer_add_floats (writer, path, &param->shape,
                (kind == 0 ? optimizer->m : optimizer->v)[slot++], error))
          return FALSE;
      }
    }
  }
  g_ptr_array_add (names, NULL);
  return nn_h5_writer_set_strings (writer, group, "weight_names",
      (const char *const *) names->pdata, error);
}

/* The moving average, which has no place in Keras's files: in the order and
 * layout of the model's own block. */
#define EMA "/classify_ema"

/* of training in fp16: the scale, and steps since it changed */
#define LOSS_SCALE "/classify_loss_scale"

static const NnShape loss_scale_shape = { 1, { 2 } };

static gboolean
write_loss_scale (NnH5Writer *writer, const NnOptimizer *optimizer, GError **error)
{
  const float values[] = { (float) optimizer->loss_scale, (float) optimizer->loss_scale_good };

  return optimizer->loss_scale <= 0
      || nn_h5_writer_add_floats (writer, LOSS_SCALE, &loss_scale_shape, values, error);
}

gboolean
nn_keras_write_optimizer (NnH5Writer *writer, const NnModel *model, const NnOptimizer *optimizer,
    const char *loss, GError **error)
{
  g_autofree char *config = format_training_config (optimizer, loss);

  return nn_h5_writer_set_string (writer, "/", "training_config", config, FALSE, error)
      && write_state (writer, model, optimizer, error)
      && write_loss_scale (writer, optimizer, error)
      && (!optimizer->ema
          || nn_h5_writer_add_floats (writer, EMA, &(NnShape) { 1, { optimizer->ema->n_values } },
              optimizer->ema->values, error));
}

/* --- reading ------------------------------------------------------------ */

/* The trainable parameters: (element-type NnParam), in the order of slots. */
static GPtrArray *
list_trainable (const NnModel *model)
{
  GPtrArray *params = g_ptr_array_new ();

  for (guint i = 0; i < model->n_layers; i++) {
    for (guint k = 0; k < model->layers[i].n_params; k++) {
      if (model->layers[i].params[k].trainable)
        g_ptr_array_add (params, (gpointer) &model->layers[i].params[k]);
    }
  }
  return params;
}

/* tf.keras 2.11 to 2.15 and Keras 3 write m and v of each parameter together;
 * everyone else all m, then all v. */
static gboolean
is_interleaved (char **names, guint n)
{
  return n > 1
      && (strstr (names[1], "/v/") != NULL || g_str_has_suffix (names[1], "_velocity")
          || g_str_has_suffix (names[1], "/velocity"));
}

static gboolean
load_slots (NnH5 *h5, char **names, gboolean interleaved, GPtrArray *params, guint n_kinds,
    float **slots, GError **error)
{
  for (guint kind = 0; kind < n_kinds; kind++) {
    for (guint i = 0; i < params->len; i++) {
      const NnParam *param = params->pdata[i];
      guint index = interleaved ? i * n_kinds + kind : kind * params->len + i;
      g_autofree char *path = g_strconcat ("/optimizer_weights/", names[index], NULL);
      NnShape shape;

      /* looked at before memory is taken for it */
      if (!nn_h5_get_shape (h5, path, &shape, error))
        return FALSE;
      slots[kind * params->len + i] = g_try_new (float, param->n_values);
      if (slots[kind * params->len + i] == NULL) {
        g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for '%s'", path);
        return FALSE;
      }
      if (!nn_h5_read_floats (h5, path, &param->shape, slots[kind * params->len + i], error))
        return FALSE;
    }
  }
  return TRUE;
}

static gboolean
load_ema (NnH5 *h5, const NnEma *ema, float **values, GError **error)
{
  NnShape shape = { 0 };

  if (!ema)
    return TRUE;
  shape = (NnShape) { 1, { ema->n_values } };
  if (!(*values = g_try_new (float, ema->n_values))) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for '" EMA "'");
    return FALSE;
  }
  return nn_h5_read_floats (h5, EMA, &shape, *values, error);
}

/* {0, 0} where there is none */
static gboolean
load_loss_scale (NnH5 *h5, const char *path, float values[2], GError **error)
{
  values[0] = values[1] = 0;
  if (!nn_h5_has (h5, LOSS_SCALE))
    return TRUE;
  if (!nn_h5_read_floats (h5, LOSS_SCALE, &loss_scale_shape, values, error))
    return FALSE;
  if (values[0] > 0 && values[0] <= 1e9f && values[1] >= 0 && values[1] <= 1e6f)
    return TRUE;
  return fail (error, NN_ERROR_FORMAT, path,
      "'" LOSS_SCALE "' should be a scale and a number of steps, found %g and %g",
      (double) values[0], (double) values[1]);
}

gboolean
nn_optimizer_load (NnOptimizer *optimizer, const NnModel *model, const char *path, GError **error)
{
  g_autoptr (NnH5) h5 = NULL;
  g_autoptr (GPtrArray) params = list_trainable (model);
  g_auto (GStrv) names = NULL;
  g_autofree char *first = NULL;
  float **slots;
  char **rest;
  guint n = params->len, n_rest, n_kinds = optimizer->kind == NN_OPTIMIZER_SGD ? 1 : 2;
  float loss_scale[2];
  gint64 iterations;
  gboolean ok;

  g_return_val_if_fail (optimizer->n_slots == n, FALSE);
  if (!nn_keras_check_is_hdf5 (path, error) || (h5 = nn_h5_open (path, error)) == NULL)
    return FALSE;
  if (!nn_h5_has (h5, "/optimizer_weights"))
    return fail (error, NN_ERROR_NOT_FOUND, path,
        "the file holds no optimizer state (\"optimizer_weights\"): it was saved without, or"
        " before the first step");
  names = nn_h5_get_long_strings (h5, "/optimizer_weights", "weight_names", error);
  if (names == NULL)
    return FALSE;
  if (names[0] == NULL)
    return fail (error, NN_ERROR_FORMAT, path, "the optimizer state is empty");
  first = g_strconcat ("/optimizer_weights/", names[0], NULL);
  if (!nn_h5_read_int (h5, first, &iterations, error))
    return FALSE;
  if (iterations < 0)
    return fail (error, NN_ERROR_FORMAT, path,
        "'%s' should be a number of steps, found %" G_GINT64_FORMAT, first, iterations);

  rest = names + 1;
  if (rest[0] != NULL && strstr (rest[0], "learning_rate") != NULL) /* Keras 3 */
    rest++;
  n_rest = g_strv_length (rest);
  if (n_kinds == 1 && n_rest == 0)
    n_kinds = 0; /* SGD without momentum */
  /* Keras 2.1.3 to 2.3 append vhat, of which Adam without amsgrad has no use. */
  if (n_rest != n_kinds * n && !(n_kinds == 2 && n_rest == 3 * n))
    return fail (error, NN_ERROR_SHAPE, path,
        "the optimizer state should have %u arrays beside the step count, found %u: it belongs to"
        " another network or optimizer",
        n_kinds * n, n_rest);

  slots = g_new0 (float *, 2 * (gsize) n + 2);
  ok = load_loss_scale (h5, path, loss_scale, error)
      && load_ema (h5, optimizer->ema, &slots[2 * n], error)
      && load_slots (h5, rest, n_rest == 2 * n && is_interleaved (rest, n_rest), params, n_kinds,
      slots, error);
  for (guint i = 0; i < n_kinds * n; i++) {
    if (ok)
      memcpy ((i < n ? optimizer->m : optimizer->v)[i % n], slots[i],
          optimizer->sizes[i % n] * sizeof (float));
    g_free (slots[i]);
  }
  if (ok && optimizer->ema)
    memcpy (optimizer->ema->values, slots[2 * n], optimizer->ema->n_values * sizeof (float));
  g_free (slots[2 * n]);
  g_free (slots);
  if (ok) {
    optimizer->iterations = iterations;
    optimizer->loss_scale = loss_scale[0];
    optimizer->loss_scale_good = (guint) loss_scale[1];
  }
  return ok;
}
