/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "nn/graph/emit.h"
#include "nn/model.h"

G_BEGIN_DECLS

/* An argument of a layer's call: another layer's output or a constant of the file. */
typedef struct
{
  const char *name;  /* of a keyword argument; NULL: the next in order */
  gboolean is_input; /* the layer's next input */
  JsonNode *constant;
} NnArgument;

/* What nn/ must know about a kind of layer to build a model from Keras's JSON and to say what it
 * computes. One file in nn/layers/, one row in nn/layers/table.c. */
struct _NnLayerClass
{
  NnLayerKind kind;
  const char *name;           /* Keras's class name: "Conv2D" */
  const char *const *aliases; /* other names it goes by, NULL-terminated, may be NULL */

  gboolean (*has_operation) (const char *name); /* of the class of Keras 3's functions */
  guint min_inputs, max_inputs; /* 0: one; G_MAXUINT: any number */
  gsize data_size;              /* of layer->data, zeroed before parse() */
  NnFunction function;          /* what layer->function is before parse() */

  /* Reads the Keras layer's "config" into layer->config or layer->data and adds the
   * parameters (nn_layer_add_param); in_shape is known. May be NULL. */
  gboolean (*parse) (NnLayer *layer, JsonObject *config, GError **error);

  /* What the call has beside its inputs, for kinds to which it matters; after parse(). */
  gboolean (*parse_call) (
      NnLayer *layer, const NnArgument *arguments, guint n_arguments, GError **error);

  /* From in_shape and config: out_shape, derived config fields and the shapes
   * of the parameters. Called again when sizes before it have changed. NULL: emit() tells. */
  gboolean (*infer) (NnLayer *layer, GError **error);

  /* Appends its operations; @in: its inputs. Returns its output. */
  guint (*emit) (NnEmit *e, const guint *in);
};

/* The class for Keras's @name, or NULL. */
const NnLayerClass *nn_layer_class_find (const char *name);
/* The same for a function of Keras 3 ("Add" of keras.ops) or TensorFlow ("math.add"). */
const NnLayerClass *nn_layer_class_find_operation (const char *name);

G_END_DECLS
