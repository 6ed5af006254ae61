/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What labels and probabilities tell of a classifier. NaN stands for what is
 * not defined: the precision of a class that was never said, the recall of one
 * that has no picture, the AUC where a class is all or nothing. */

#define METRICS_N_BINS 15

typedef struct
{
  guint n;           /* pictures of the class */
  guint n_predicted; /* pictures said to be of it */
  guint n_right;     /* both */
  double precision;  /* n_right / n_predicted */
  double recall;     /* n_right / n */
  double f1;         /* 2 n_right / (n + n_predicted): van Rijsbergen 1979 */
  double auc;        /* this class against the others */
} MetricsClass;

/* Pictures whose best probability is in (k / 15, (k + 1) / 15]. */
typedef struct
{
  guint n;
  double confidence; /* mean of the best probability; NaN where n is 0 */
  double accuracy;   /* how often it was right */
} MetricsBin;

typedef struct
{
  guint n, n_classes, n_right;
  double accuracy;
  double accuracy_low, accuracy_high; /* the score interval of Wilson (1927), 95% */
  MetricsClass *classes;              /* (n_classes) */
  guint *confusion;                   /* (is, said): (n_classes, n_classes) */
  double macro_f1;                    /* mean over the classes that have one */

  /* Area under the ROC curve: how often a picture of the class has a higher
   * probability of it than one of another class, ties counting a half; by
   * ranks (Mann and Whitney 1947; Hanley and McNeil 1982). Two classes: that of
   * the second; more: the mean of one class against the rest. */
  double auc;

  /* Mean of -log of the label's probability, which is clipped to
   * [1e-7, 1 - 1e-7] as Keras's loss does. */
  double nll;

  /* Mean squared difference of probabilities and truth (Brier 1950): two
   * classes: of the second one's, 0 to 1; more: summed over the classes, 0 to 2. */
  double brier;

  /* Expected calibration error (Naeini et al. 2015; Guo et al. 2017, section 2):
   * mean over the pictures of |accuracy - confidence| of their bin. */
  double ece;
  MetricsBin bins[METRICS_N_BINS];
} Metrics;

/* @labels: (n), each below @n_classes; @probabilities: (n, n_classes); n > 0. */
Metrics *metrics_new (const guint *labels, const float *probabilities, guint n, guint n_classes);
void metrics_free (Metrics *metrics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Metrics, metrics_free)

/* A matrix of more classes is not shown: nobody reads it, and it grows by the square. */
#define METRICS_MAX_MATRIX 20

typedef struct
{
  guint is, said; /* classes, not the same */
  guint n;        /* pictures, at least one */
} MetricsConfusion;

/* What was taken for what, the commonest first, then by class.
 * (transfer full): an array of MetricsConfusion; empty where all is right. */
GArray *metrics_list_confusions (const Metrics *metrics);

/* How much is right where the commonest class is always said: @class of @m. An accuracy whose
 * interval reaches down to that may be chance. NaN where all pictures are of one class. */
double metrics_get_chance (const Metrics *metrics, guint *class);

/* The interval of Wilson: @n_right of @n, 95%. */
void metrics_wilson (guint n_right, guint n, double *low, double *high);

/* Area under the ROC curve of the scores of @n pictures, a picture each
 * @stride values; those with labels[i] == @positive against the others. */
double metrics_auc (const guint *labels, const float *scores, gsize stride, guint n,
    guint positive);

/* The curve itself, from (0, 0) to (1, 1): a point for each threshold, scores
 * that are equal in one step (Fawcett 2006, algorithm 1). */
typedef struct
{
  double false_positives, true_positives; /* rates */
  double threshold;                       /* what is at least so likely; the first: infinity */
} MetricsRocPoint;

/* (transfer full): an array of MetricsRocPoint; empty where the AUC is NaN. */
GArray *metrics_roc (const guint *labels, const float *scores, gsize stride, guint n,
    guint positive);

G_END_DECLS
