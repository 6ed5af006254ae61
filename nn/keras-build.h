/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "nn/model.h"

G_BEGIN_DECLS

/* Fills an empty @model from a network's JSON that was parsed. @keras: the version that wrote it,
 * 0: not known. Models inside the model are opened in their place; a layer or a model that is
 * called several times becomes so many layers that share parameters. */
gboolean nn_keras_build (NnModel *model, JsonNode *root, guint keras, GError **error);

G_END_DECLS
