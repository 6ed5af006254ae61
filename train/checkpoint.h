/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/keras-file.h"
#include "train/facts.h"

G_BEGIN_DECLS

/* Where a run stands. */
typedef struct
{
  guint stage, epoch; /* in the stage */
  guint step;         /* in the epoch */
  double sum_loss;    /* of this epoch so far */
  guint64 n_correct, n_seen;
  guint64 n_used, n_offered; /* unlabelled pictures learnt from, looked at */
} Position;

/* A model and its optimizer between two steps, and what else a run needs to go on to the
 * same bits. */
typedef struct
{
  Facts facts;
  Position at;
  char *history; /* CSV lines without the header */
} Checkpoint;

/* @output minus .h5 + @ending. (transfer full) */
char *checkpoint_beside (const char *output, const char *ending);
/* OUTPUT.checkpoint.h5, OUTPUT.best.h5 */
char *checkpoint_path (const char *output);
char *checkpoint_best_path (const char *output);

/* Writes @model with @checkpoint; what it holds of it is borrowed. */
gboolean checkpoint_save (NnModel *model, const char *path, const NnOptimizer *optimizer,
    const char *loss_name, const Checkpoint *checkpoint, GError **error);

/* What a checkpoint holds beside weights and optimizer. NN_ERROR_FORMAT where @path is another
 * model, or of a version that did not note what it was trained with. */
gboolean checkpoint_load (Checkpoint *checkpoint, const char *path, GError **error);
void checkpoint_clear (Checkpoint *checkpoint);

/* The finished model of a run: facts and history, without seconds, that of its epochs. */
void checkpoint_finish (NnModel *model, const char *facts, const char *history);
/* What checkpoint_finish() put there; FALSE: @path is no such model. (out) (transfer full) */
gboolean checkpoint_load_finished (const char *path, char **facts, char **history);

/* Before a run: with @resume there must be a checkpoint, without it nothing that would be
 * lost, unless @overwrite. @log: nullable. NN_ERROR_WRITE, _NOT_FOUND. */
gboolean checkpoint_check_start (const char *output, const char *log, gboolean keeps_best,
    gboolean resume, gboolean overwrite, GError **error);

G_END_DECLS
