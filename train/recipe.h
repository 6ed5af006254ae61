/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/augment.h"
#include "nn/backend.h"

G_BEGIN_DECLS

typedef enum
{
  LAYOUT_FOLDERS, /* one folder a class */
  LAYOUT_PREFIX,  /* one flat folder, the class is the beginning of the name: cat.17.jpg */
} Layout;

typedef struct
{
  guint epochs;
  double learning_rate;
} Stage;

/* Everything that a training run depends on, read from a key file; the keys
 * are described in train/recipes/README.md. Paths are absolute. */
typedef struct
{
  char *path;

  char *train_dir, *validate_dir; /* validate_dir may be NULL */
  Layout layout;
  guint limit, limit_per_class, validate_limit; /* 0: none */

  char *network;
  NnPreprocess preprocess; /* width and height come from the network */

  NnAugment augment;

  NnOptimizerKind optimizer;
  double beta_1, beta_2, epsilon, momentum, decay;

  guint n_stages;
  Stage *stages;
  gboolean whole_passes; /* steps an epoch: all batches of a pass, or n / batch_size as the post
                          * has it */

  guint batch_size;
  guint64 seed;
  gboolean bessel_moving_variance;

  char *fingerprint; /* of all that changes the numbers */
} Recipe;

/* Errors (NN_ERROR_FORMAT) name file, group and key; unknown groups and keys
 * are errors. @data_dir (nullable) replaces the folders: DIR/train and
 * DIR/validate where they exist, else DIR itself for training. */
Recipe *recipe_load (const char *path, const char *data_dir, GError **error);

/* The recipe's pre-processing for its network, a model of recipe->network: with
 * the size of its input. NN_ERROR_SHAPE where the channels do not fit. */
gboolean recipe_get_preprocess (const Recipe *recipe, const NnModel *model, NnPreprocess *pre,
    GError **error);
void recipe_free (Recipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Recipe, recipe_free)

G_END_DECLS
