/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/recipe.h"

G_BEGIN_DECLS

typedef struct
{
  const char *output;     /* the model file; checkpoints go to OUTPUT minus .h5 + .checkpoint.h5 */
  const char *log;        /* CSV of the epochs, or NULL */
  const char *init;       /* weights to begin with instead of the recipe's, or NULL */
  gboolean init_by_name;  /* of init */
  const char *device;
  guint threads;          /* 0: all cores */
  gboolean resume;
  gboolean quiet;
} TrainOptions;

typedef enum
{
  TRAIN_DONE,
  TRAIN_INTERRUPTED, /* by a signal: saved, can be resumed */
  TRAIN_FAILED,
} TrainStatus;

/* Runs a recipe to its end. Installs handlers for SIGINT and SIGTERM meanwhile. */
TrainStatus train_run (const Recipe *recipe, const TrainOptions *options, GError **error);

/* The validation accuracy of the weights in @output, if it is the finished result of just
 * this recipe. */
gboolean train_get_accuracy (const Recipe *recipe, const char *output, double *accuracy);

char *train_checkpoint_path (const char *output);

G_END_DECLS
