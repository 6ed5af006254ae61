/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/tta.h"
#include "train/dataset.h"
#include "train/sheet.h"

G_BEGIN_DECLS

typedef struct
{
  const char *model, *weights, *labels_file; /* the last two may be NULL */
  const char *device;
  NnPrecision precision;
  guint threads;
  NnTta tta;
} ClassifierOptions;

/* A model made ready for pictures: what the element does to a frame. */
typedef struct
{
  NnModel *model;
  NnBackend *backend;
  NnViews *views;
  NnPlan *plan;
  guint n_pictures;  /* of a run */
  gboolean is_whole; /* the views show all of a picture as the network takes it */
  guint n_classes;
  gsize sample_size; /* bytes of such a picture */
  float *probabilities; /* (n_pictures, n_classes) */
} Classifier;

Classifier *classifier_new (const ClassifierOptions *options, GError **error);
void classifier_free (Classifier *classifier);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Classifier, classifier_free)

/* Makes the views of picture number @index of the next run, below n_pictures. */
gboolean classifier_put (Classifier *classifier, guint index, const Picture *picture,
    GError **error);
/* Of the first @n pictures put. Returns: (transfer none): (n, n_classes). */
const float *classifier_run (Classifier *classifier, guint n, GError **error);

/* All pictures of a folder: @data as the model's preprocess loads it. Views of
 * parts of pictures are made of the files, read once more.
 * @probabilities: (data->n, n_classes). */
gboolean classifier_run_dataset (Classifier *classifier, const Dataset *data,
    float *probabilities, GError **error);

typedef enum
{
  FORMAT_TEXT,
  FORMAT_CSV,
  FORMAT_JSON, /* one object a line */
} Format;

#define PREDICT_TILE 200      /* of a sheet; pixels */
#define PREDICT_MAX_TILES 500
#define PREDICT_GAP 8         /* between a picture and its map */

typedef struct
{
  Format format;
  guint top_k;
  Sheet *sheet;      /* NULL, or gets header and tiles; not written */
  guint sheet_limit; /* more pictures: so many of them, evenly spaced */
  gboolean explain;  /* on the sheet: what in a picture speaks for its label (nn/cam.h) */
  const char *explained_label; /* or for this one; NULL: the best */
} PredictOptions;

/* For pictures of @size pixels, each with its map at its side where they are to be explained. */
Sheet *predict_sheet_new (guint size, gboolean explain);

/* Prints a line for each picture of @paths (files and folders) to stdout.
 * @n_bad: (out): files that could not be read, each named on stderr. */
gboolean predict_run (Classifier *classifier, char **paths, const PredictOptions *options,
    guint *n_bad, GError **error);

/* Prints a line for each region of each file of @paths (nn/input-dump.h): what the
 * model says of the very values that the element gave it, with the views they
 * were made of. @options: their tta is not looked at. */
gboolean predict_dumps (const ClassifierOptions *options, char **paths,
    const PredictOptions *predict_options, GError **error);

G_END_DECLS
