/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/folds.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/rng.h"

gboolean
folds_assign (const Dataset *data, guint n, guint n_folds, guint64 seed, guint *folds,
    GError **error)
{
  g_autofree guint *members = g_new (guint, n);
  guint first = 0; /* the fold that is the next one's turn: sizes differ by at most one */

  for (guint c = 0; c < data->n_classes; c++) {
    guint n_members = 0;
    NnRng rng;

    for (guint i = 0; i < n; i++)
      if (data->labels[i] == c)
        members[n_members++] = i;
    if (n_members < n_folds) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "class \"%s\" has %u pictures, too few for %u folds", data->classes[c], n_members,
          n_folds);
      return FALSE;
    }
    nn_rng_init (&rng, seed, NN_STREAM_FOLDS, c);
    for (guint i = n_members; i-- > 0;) { /* Fisher and Yates */
      const guint k = nn_rng_below (&rng, i + 1), drawn = members[k];

      members[k] = members[i];
      folds[drawn] = (first + i) % n_folds;
    }
    first = (first + n_members) % n_folds;
  }
  return TRUE;
}

char *
folds_name (const char *path, guint fold)
{
  const char *slash = strrchr (path, '/'), *dot = strrchr (path, '.');
  const gsize end = dot && (!slash || dot > slash + 1) ? (gsize) (dot - path) : strlen (path);

  return g_strdup_printf ("%.*s-fold%u%s", (int) end, path, fold, path + end);
}

void
folds_get_spread (const double *values, guint n, double *mean, double *deviation)
{
  double sum = 0, squares = 0;

  for (guint i = 0; i < n; i++)
    sum += values[i] / n;
  for (guint i = 0; i < n; i++)
    squares += (values[i] - sum) * (values[i] - sum);
  *mean = sum;
  *deviation = n > 1 ? sqrt (squares / (n - 1)) : 0;
}
