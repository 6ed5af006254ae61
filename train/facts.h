/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/recipe.h"

G_BEGIN_DECLS

/* What a run depends on. */
typedef struct
{
  const Recipe *recipe;
  const char *init; /* the weights that it begins with, or NULL */
  NnWeightsMatch init_match;
  const char *device, *description; /* of the back end */
  const Dataset *data, *validation, *unlabelled; /* the last two may be NULL */
} FactsSource;

/* The same as text, "name=value" in each line, so that a checkpoint can hold it. */
typedef struct
{
  char *deciding; /* settings, network, initial weights, classes, the pictures' order, labels
                   * and content: the same ones give the same bits */
  char *others;   /* folders, names of pictures, kind of processor */
} Facts;

/* (out): @facts; free with facts_clear(). Errors of reading the network. */
gboolean facts_make (Facts *facts, const FactsSource *source, GError **error);
void facts_clear (Facts *facts);

/* FALSE where @now would not go on to the bits of the run of @then (both: deciding): the
 * error names what has changed. @path: of the file that holds @then; @said: gets what has
 * changed without harm, a line each; NULL: nothing may have changed. NN_ERROR_FORMAT. */
gboolean facts_compare (const char *then, const char *now, const FactsSource *source,
    const char *path, GString *said, GError **error);
/* Appends to @said which of the other facts have changed. */
void facts_compare_others (const char *then, const char *now, GString *said);

G_END_DECLS
