/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "nn/error.h"
#include "nn/model.h"

G_BEGIN_DECLS

/* Reading a Keras layer's "config", with messages that name layer and key. In
 * all of them a key that is absent or null leaves the value as it was. */

/* Sets "layer 'conv2d_1' (Conv2D): ..." and returns FALSE. */
gboolean nn_layer_error (const NnLayer *layer, GError **error, NnErrorCode code,
    const char *format, ...) G_GNUC_PRINTF (4, 5);

/* The member's node, NULL where absent or null. */
JsonNode *nn_json_get (JsonObject *object, const char *key);
/* The member's string, NULL where absent or something else. */
const char *nn_json_get_string (JsonObject *object, const char *key);
/* The member's object or array, NULL where absent or something else. */
JsonObject *nn_json_get_object (JsonObject *object, const char *key);
JsonArray *nn_json_get_array (JsonObject *object, const char *key);
/* A whole number, also when written as 3.0. */
gboolean nn_json_node_get_int (JsonNode *node, gint64 *value);
/* A finite number. */
gboolean nn_json_node_get_double (JsonNode *node, double *value);
/* The beginning of the node as JSON, for "found ..." (transfer full) */
char *nn_json_describe (JsonNode *node);

/* 1 to @max. Where *@value is 0 beforehand the key must be there. */
gboolean nn_config_get_size (const NnLayer *layer, JsonObject *config, const char *key, gsize max,
    gsize *value, GError **error);
/* One number for both or a list of two; (rows, columns). */
gboolean nn_config_get_pair (const NnLayer *layer, JsonObject *config, const char *key, gsize max,
    gsize value[2], GError **error);
/* The same from 0 on. */
gboolean nn_config_get_pair_from_zero (const NnLayer *layer, JsonObject *config, const char *key,
    gsize max, gsize value[2], GError **error);
/* One number, also as a list of one. Where *@value is 0 beforehand the key must be there. */
gboolean nn_config_get_single (const NnLayer *layer, JsonObject *config, const char *key,
    gsize max, gsize *value, GError **error);
gboolean nn_config_get_int (const NnLayer *layer, JsonObject *config, const char *key, gint64 min,
    gint64 max, gint64 *value, GError **error);
/* One number for both or a list of two. */
gboolean nn_config_get_int_pair (const NnLayer *layer, JsonObject *config, const char *key,
    gint64 min, gint64 max, gint64 value[2], GError **error);
gboolean nn_config_get_double (const NnLayer *layer, JsonObject *config, const char *key,
    double min, double max, double *value, GError **error);
gboolean nn_config_get_boolean (const NnLayer *layer, JsonObject *config, const char *key,
    gboolean *value, GError **error);
/* Of NN_ACTIVATION_OTHER: layer->function. */
gboolean nn_config_get_activation (NnLayer *layer, JsonObject *config, const char *key,
    NnActivation *value, GError **error);
gboolean nn_config_get_padding (const NnLayer *layer, JsonObject *config, NnPadding *value,
    GError **error);
/* Sets layer->channels_first. */
gboolean nn_config_check_data_format (NnLayer *layer, JsonObject *config, GError **error);

/* Appends a parameter that starts as @init unless "<@prefix>_initializer" says
 * otherwise, with the penalty of "<@prefix>_regularizer". The shape is set by
 * nn_param_set_shape() when the input's is known. @name must be static. */
gboolean nn_layer_add_param (NnLayer *layer, JsonObject *config, const char *name,
    const char *prefix, gboolean trainable, NnInit init, GError **error);

/* NN_ERROR_SHAPE when there are more values than can be. */
gboolean nn_layer_set_shape (const NnLayer *layer, const char *what, NnShape *shape, guint n_dims,
    const gsize *dims, GError **error);
gboolean nn_param_set_shape (NnLayer *layer, guint index, guint n_dims, const gsize *dims,
    GError **error);

/* Output size and padding along one axis of a window of @size cells, @dilation
 * apart, moved by @stride over @n cells. FALSE when the window does not fit. */
gboolean nn_window (gsize n, gsize size, gsize stride, gsize dilation, NnPadding padding,
    gsize *out, gsize *pad_begin, gsize *pad_end);

const char *nn_activation_to_string (NnActivation activation);

G_END_DECLS
