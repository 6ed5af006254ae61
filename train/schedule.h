/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/recipe.h"

G_BEGIN_DECLS

/* What happened in an epoch, as the log has it: decisions are taken from the
 * printed numbers, so that a resumed run takes the same ones. */
typedef struct
{
  double val_loss, val_accuracy; /* NaN: no validation */
} EpochResult;

/* The lines of a log without its header. (element-type EpochResult) (transfer full) */
GArray *schedule_parse_history (const char *history);

/* The training loss of the last line; FALSE: there is none. */
gboolean schedule_get_last_loss (const char *history, double *loss);

/* Learning rate of step @step (counted over the stage) of @stage, with @steps
 * steps an epoch; @results: of the epochs before, for the plateau. */
double schedule_get_rate (const Recipe *recipe, guint stage, guint64 step, guint steps,
    const GArray *results);

/* Index of the best epoch: highest accuracy, then lowest loss, then first; -1: none. */
int schedule_find_best (const GArray *results);

/* Whether the last recipe->patience epochs brought no new best one. */
gboolean schedule_is_over (const Recipe *recipe, const GArray *results);

G_END_DECLS
