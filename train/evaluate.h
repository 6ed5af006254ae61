/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/metrics.h"
#include "train/predict.h"

G_BEGIN_DECLS

/* A classifier on a folder of labelled pictures. */
typedef struct
{
  char *dir;
  Dataset *data;
  float *probabilities; /* (data->n, n_classes) */
  Metrics *metrics;
} Evaluation;

/* @options: its classes are the model's labels, whatever it says. NN_ERROR_SHAPE
 * where the folder has another number of classes, and the errors of
 * dataset_load() and classifier_run_dataset(). */
Evaluation *evaluation_new (Classifier *classifier, const char *dir,
    const DatasetOptions *options, GError **error);
void evaluation_free (Evaluation *evaluation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Evaluation, evaluation_free)

/* Tables to read, "-" for what is not defined. (transfer full) */
char *evaluation_to_text (const Evaluation *evaluation, const NnModel *model);

/* In words, where the accuracy is no better than, or cannot be told from, that of always
 * saying the commonest class; else NULL. (transfer full) */
char *evaluation_describe_chance (const Evaluation *evaluation, const NnModel *model);

/* One JSON object in one line, null for what is not defined. (transfer full) */
char *evaluation_to_json (const Evaluation *evaluation, const NnModel *model);

G_END_DECLS
