/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/dataset.h"

G_BEGIN_DECLS

/* K-fold cross-validation (Stone 1974), stratified (Kohavi 1995). */

/* The fold, below @n_folds, of each of the first @n pictures: of every class as many
 * in each as can be, drawn from (@seed, NN_STREAM_FOLDS, class). NN_ERROR_FORMAT where a
 * class has fewer than @n_folds. @folds: (out): n */
gboolean folds_assign (const Dataset *data, guint n, guint n_folds, guint64 seed, guint *folds,
    GError **error);

/* "model.h5", 2 -> "model-fold2.h5". (transfer full) */
char *folds_name (const char *path, guint fold);

/* Mean and standard deviation (of the sample: n - 1). */
void folds_get_spread (const double *values, guint n, double *mean, double *deviation);

G_END_DECLS
