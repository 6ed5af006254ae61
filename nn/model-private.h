/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "nn/model.h"

G_BEGIN_DECLS

/* Shared by the files that build models: model.c, keras-json.c, keras-file.c,
 * init.c and the layers. */

/* Largest size of one axis, and of one tensor or parameter in values: a file
 * that asks for more is broken, and products of sizes below these cannot
 * overflow. */
#define NN_MAX_SIZE ((gsize) 1 << 24)
#define NN_MAX_VALUES (MIN ((guint64) 1 << 38, (guint64) G_MAXSIZE / 64))
#define NN_MAX_LAYERS 10000

/* A model with no layers. */
NnModel *nn_model_new_empty (const char *origin);

/* In what the summary and files list: everything but the implied input. */
gboolean nn_model_is_listed (const NnModel *model, guint index);

/* One zeroed, aligned block for all parameters, not attached to the model; a
 * parameter's place in it is nn_model_get_offset(). Freed by free().
 * NULL with NN_ERROR_NO_MEMORY. */
float *nn_model_new_values (const NnModel *model, GError **error);
/* Undoes nn_model_alloc_params(): nobody has seen a parameter yet. */
void nn_model_free_params (NnModel *model);
/* In values. Parameters follow each other in layer order, each rounded up to
 * 64 bytes. */
gsize nn_param_get_stride (const NnParam *param);
/* Number of values in the block. */
gsize nn_model_get_n_values (const NnModel *model);

/* What nn_model_init_params() draws, into a block of nn_model_new_values(). */
gboolean nn_model_fill_initial (const NnModel *model, guint64 seed, float *values, GError **error);

/* The layer whose activation makes the outputs: Flatten and Dropout at the
 * end are looked through. */
const NnLayer *nn_model_get_last_layer (const NnModel *model);
NnActivation nn_layer_get_activation (const NnLayer *layer);

/* --- keras-json.c ------------------------------------------------------- */

/* The root of a JSON text whose nesting is bounded; NN_ERROR_FORMAT. */
JsonParser *nn_json_parse (const char *json, gssize length, GError **error);

/* The model's JSON as most Kerases read it. A Sequential without an InputLayer
 * (Keras up to 2.3) gets one, and becomes a dictionary if it was a list: Keras
 * 3 misreads the first layer's batch_input_shape and refuses lists. Anything
 * else is copied. (transfer full) */
char *nn_model_json_for_file (const NnModel *model, GError **error);

/* Sets "units" of layer @name in a model's JSON. (transfer full) */
char *nn_model_json_set_units (const char *json, const char *name, guint units, GError **error);

/* nn_model_new_from_json() of JSON that Keras @keras (1, 2, 3; 0: not known) wrote: some names
 * mean another thing in another version. */
NnModel *nn_model_new_from_keras (
    const char *json, gssize length, guint keras, const char *origin, GError **error);

/* out_shape and parameters of the layers from @first on. */
gboolean nn_model_infer_shapes (NnModel *model, guint first, GError **error);
/* Of one layer, whose inputs have @shapes; @owner: the layer that has its parameters. */
gboolean nn_layer_infer (NnLayer *layer, NnLayer *owner, const NnShape *shapes, GError **error);

G_END_DECLS
