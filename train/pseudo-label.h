/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/predict.h"

G_BEGIN_DECLS

/* What moves of pictures leave in the folder that they went to. */
#define PSEUDO_LABEL_LOG "pseudo-label-moves.csv"

typedef struct
{
  const char *unlabelled; /* folder of pictures */
  const char *data;       /* labelled ones, that are not to be labelled again; or NULL */
  const char *list;       /* CSV file to write (picture-list.h), or NULL */
  const char *folder;     /* gets links to the pictures, or these, in @layout; or NULL */
  gboolean is_move;
  Layout layout;
  double threshold; /* least probability of the label */
  gboolean balance; /* as many of each class, the surest */
  gboolean soft;    /* the list has the probabilities */
  gboolean check;   /* compare with what folders and names tell */
  gboolean dry_run; /* only the report */
  guint threads;
} PseudoLabelOptions;

/* Labels pictures with what the model takes them for and writes those that it
 * is sure of for training, then prints a report to stdout. No file is ever
 * overwritten but the list. */
gboolean pseudo_label_run (Classifier *classifier, const PseudoLabelOptions *options,
    GError **error);

/* Moves back what @log (PSEUDO_LABEL_LOG of a folder) says, and removes it
 * where all are back. */
gboolean pseudo_label_undo (const char *log, GError **error);

G_END_DECLS
