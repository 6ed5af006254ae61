/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/evaluate.h"

G_BEGIN_DECLS

typedef struct
{
  const char *log;    /* CSV of the training; NULL: what the model file tells of it */
  const char *recipe; /* to be quoted, or NULL */
  const char *tta;    /* in words, or NULL */
  guint n_wrong;      /* pictures to show of those that were labelled wrong */
} ReportOptions;

/* One XHTML page that needs nothing beside it: accuracy, confusion matrix, classes,
 * reliability diagram, the pictures that were wrong and sure of it, learning curves,
 * recipe, pre-processing, network. (transfer full) */
char *report_make (const Evaluation *evaluation, const Classifier *classifier,
    const ReportOptions *options, GError **error);

G_END_DECLS
