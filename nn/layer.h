/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "nn/model.h"

G_BEGIN_DECLS

/* What nn/ must know about a kind of layer to build a model from Keras's JSON.
 * One file in nn/layers/, one row in nn/layers/table.c; how it is computed is
 * the business of the back ends. */
struct _NnLayerClass
{
  NnLayerKind kind;
  const char *name;           /* Keras's class name: "Conv2D" */
  const char *const *aliases; /* other names it goes by, NULL-terminated, may be NULL */

  /* Reads the Keras layer's "config" into layer->config and adds the
   * parameters (nn_layer_add_param); in_shape is known. May be NULL. */
  gboolean (*parse) (NnLayer *layer, JsonObject *config, GError **error);

  /* From in_shape and config: out_shape, derived config fields and the shapes
   * of the parameters. Called again when sizes before it have changed. */
  gboolean (*infer) (NnLayer *layer, GError **error);
};

/* The class for Keras's @name, or NULL. */
const NnLayerClass *nn_layer_class_find (const char *name);

G_END_DECLS
