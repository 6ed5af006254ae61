/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

/* The layers of the outermost model as Keras's legacy files list them: a model inside is one of
 * them, with the parameters of all its layers. */

typedef struct
{
  const NnLayer *layer;
  guint index; /* of its parameters */
} NnKerasSlot;

typedef struct
{
  const char *name;  /* the model's layers own it */
  GArray *slots;     /* NnKerasSlot, layer by layer */
  gboolean is_model; /* a model inside */
} NnKerasGroup;

static inline const NnKerasSlot *
nn_keras_group_get (const NnKerasGroup *group, guint index)
{
  return &g_array_index (group->slots, NnKerasSlot, index);
}

/* (element-type NnKerasGroup)(transfer full): in Keras's order; @all: also those without
 * parameters, but for the input that a Sequential does not list. */
GPtrArray *nn_keras_list_groups (const NnModel *model, gboolean all);

/* The place of each slot in the group's list of arrays: what is trained comes first. */
void nn_keras_group_sort (const NnKerasGroup *group, guint *order);

G_END_DECLS
