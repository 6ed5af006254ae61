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
  gboolean resume, overwrite; /* at most one: go on; start anew over what is there */
  gboolean quiet;
} TrainOptions;

typedef enum
{
  TRAIN_DONE,
  TRAIN_INTERRUPTED, /* by a signal: saved, can be resumed */
  TRAIN_FAILED,
} TrainStatus;

/* Runs a recipe to its end. Catches SIGINT, SIGTERM and SIGHUP meanwhile, where they are not
 * ignored. Errors: NN_ERROR_WRITE and _NOT_FOUND of train_check_outputs(), _FORMAT where a
 * resumed run would not go on to the same bits. Thread-safety: Unsafe, one run at a time. */
TrainStatus train_run (const Recipe *recipe, const TrainOptions *options, GError **error);

/* Before a run, quick: whether its files can be written and nothing is lost by that that was
 * not asked for. */
gboolean train_check_outputs (const Recipe *recipe, const TrainOptions *options, GError **error);

/* Whether options->output is the finished result of just this recipe, weights, pictures and
 * device; reads the pictures. */
gboolean train_check_finished (const Recipe *recipe, const TrainOptions *options, GError **error);

/* The validation accuracy of the weights in @output, a finished result. */
gboolean train_get_accuracy (const char *output, Keep keep, double *accuracy);

G_END_DECLS
