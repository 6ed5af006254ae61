/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend.h"
#include "train/dataset.h"
#include "train/sheet.h"

G_BEGIN_DECLS

typedef enum
{
  TTA_NONE,
  TTA_FLIP, /* the mean of the probabilities of the picture and its mirror image */
} Tta;

typedef struct
{
  const char *model, *weights, *labels_file; /* the last two may be NULL */
  const char *device;
  NnPrecision precision;
  guint threads;
  Tta tta;
} ClassifierOptions;

/* A model made ready for pictures: what the element does to a frame. */
typedef struct
{
  NnModel *model;
  NnBackend *backend;
  NnPlan *plan;
  guint n_views, n_pictures; /* views of each; pictures of a run */
  guint n_classes;
  gsize sample_size;
  float *probabilities; /* (n_pictures, n_classes) */
} Classifier;

Classifier *classifier_new (const ClassifierOptions *options, GError **error);
void classifier_free (Classifier *classifier);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Classifier, classifier_free)

/* @bytes: (n, H, W, C), n <= n_pictures. Returns: (transfer none): (n, n_classes). */
const float *classifier_run (Classifier *classifier, const guint8 *bytes, guint n, GError **error);

typedef enum
{
  FORMAT_TEXT,
  FORMAT_CSV,
  FORMAT_JSON, /* one object a line */
} Format;

#define PREDICT_TILE 200      /* of a sheet; pixels */
#define PREDICT_MAX_TILES 500

typedef struct
{
  Format format;
  guint top_k;
  Sheet *sheet;      /* NULL, or gets header and tiles; not written */
  guint sheet_limit; /* more pictures: so many of them, evenly spaced */
} PredictOptions;

/* Prints a line for each picture of @paths (files and folders) to stdout.
 * @n_bad: (out): files that could not be read, each named on stderr. */
gboolean predict_run (Classifier *classifier, char **paths, const PredictOptions *options,
    guint *n_bad, GError **error);

G_END_DECLS
