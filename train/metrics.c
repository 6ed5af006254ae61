/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "nn/model.h"

#define EPSILON 1e-7           /* Keras's backend.epsilon() */
#define Z_95 1.959963984540054 /* the 97.5th percentile of the normal distribution */

void
metrics_wilson (guint n_right, guint n, double *low, double *high)
{
  const double z2 = Z_95 * Z_95, p = (double)n_right / n;
  const double middle = (p + z2 / (2. * n)) / (1 + z2 / n);
  const double half = Z_95 / (1 + z2 / n) * sqrt (p * (1 - p) / n + z2 / (4. * n * n));

  /* exact at the ends, where rounding would leave it beside */
  *low = n_right == 0 ? 0 : middle - half;
  *high = n_right == n ? 1 : middle + half;
}

/* --- ROC ---------------------------------------------------------------------------------- */

typedef struct {
  float score;
  gboolean is_positive;
} Scored;

static int
compare_descending (gconstpointer a, gconstpointer b)
{
  const float x = ((const Scored *)a)->score, y = ((const Scored *)b)->score;

  return (x < y) - (x > y);
}

/* Sorted by score, best first; NULL where there is none of a kind or a score
 * is no number. */
static Scored *
sort_scores (const guint *labels, const float *scores, gsize stride, guint n, guint positive,
    guint *n_positive)
{
  g_autofree Scored *sorted = g_new (Scored, n);

  *n_positive = 0;
  for (guint i = 0; i < n; i++) {
    sorted[i] = (Scored){ scores[i * stride], labels[i] == positive };
    *n_positive += sorted[i].is_positive;
    if (isnan (sorted[i].score))
      return NULL;
  }
  if (*n_positive == 0 || *n_positive == n)
    return NULL;
  qsort (sorted, n, sizeof *sorted, compare_descending);
  return g_steal_pointer (&sorted);
}

double
metrics_auc (const guint *labels, const float *scores, gsize stride, guint n, guint positive)
{
  guint n_positive, next;
  g_autofree Scored *sorted = sort_scores (labels, scores, stride, n, positive, &n_positive);
  const double n_pairs = (double)n_positive * (n - n_positive);
  double sum = 0; /* of the ranks of the positive ones, counted from the worst */

  if (!sorted)
    return NAN;
  for (guint first = 0; first < n; first = next) {
    guint tied = 0;

    for (next = first; next < n && sorted[next].score == sorted[first].score; next++)
      tied += sorted[next].is_positive;
    /* each of a tie has its mean rank: ranks n - first down to n - next + 1 */
    sum += tied * ((n - first) + (n - next + 1.)) / 2;
  }
  return (sum - n_positive * (n_positive + 1.) / 2) / n_pairs;
}

GArray *
metrics_roc (const guint *labels, const float *scores, gsize stride, guint n, guint positive)
{
  guint n_positive, n_true = 0;
  g_autofree Scored *sorted = sort_scores (labels, scores, stride, n, positive, &n_positive);
  GArray *points = g_array_new (FALSE, FALSE, sizeof (MetricsRocPoint));
  MetricsRocPoint point = { 0, 0, INFINITY };

  if (!sorted)
    return points;
  g_array_append_val (points, point);
  for (guint i = 0; i < n; i++) {
    n_true += sorted[i].is_positive;
    if (i + 1 < n && sorted[i + 1].score == sorted[i].score)
      continue;
    point.true_positives = (double)n_true / n_positive;
    point.false_positives = (double)(i + 1 - n_true) / (n - n_positive);
    point.threshold = sorted[i].score;
    g_array_append_val (points, point);
  }
  return points;
}

/* --- all of it ------------------------------------------------------------------------------ */

static double
ratio (double a, double b)
{
  return b > 0 ? a / b : NAN;
}

static void
measure_classes (Metrics *m, const guint *labels, const float *probabilities)
{
  double sum_f1 = 0, sum_auc = 0;
  guint n_f1 = 0, n_auc = 0;

  for (guint t = 0; t < m->n_classes; t++) {
    for (guint k = 0; k < m->n_classes; k++) {
      m->classes[t].n += m->confusion[(gsize)t * m->n_classes + k];
      m->classes[k].n_predicted += m->confusion[(gsize)t * m->n_classes + k];
    }
    m->classes[t].n_right = m->confusion[(gsize)t * m->n_classes + t];
  }
  for (guint k = 0; k < m->n_classes; k++) {
    MetricsClass *c = &m->classes[k];

    c->precision = ratio (c->n_right, c->n_predicted);
    c->recall = ratio (c->n_right, c->n);
    c->f1 = ratio (2. * c->n_right, (double)c->n + c->n_predicted);
    c->auc = metrics_auc (labels, probabilities + k, m->n_classes, m->n, k);
    if (!isnan (c->f1)) {
      sum_f1 += c->f1;
      n_f1++;
    }
    if (!isnan (c->auc)) {
      sum_auc += c->auc;
      n_auc++;
    }
  }
  m->macro_f1 = ratio (sum_f1, n_f1);
  m->auc = m->n_classes == 2 ? m->classes[1].auc : ratio (sum_auc, n_auc);
}

static double
get_brier (const float *p, guint n_classes, guint label)
{
  double sum = 0;

  for (guint k = n_classes == 2 ? 1 : 0; k < n_classes; k++) {
    double difference = p[k] - (k == label);

    sum += difference * difference;
  }
  return sum;
}

Metrics *
metrics_new (const guint *labels, const float *probabilities, guint n, guint n_classes)
{
  Metrics *m = g_new0 (Metrics, 1);

  m->n = n;
  m->n_classes = n_classes;
  m->classes = g_new0 (MetricsClass, n_classes);
  m->confusion = g_new0 (guint, (gsize)n_classes * n_classes);
  for (guint i = 0; i < n; i++) {
    const float *p = probabilities + (gsize)i * n_classes;
    double place;
    MetricsBin *bin;
    guint best;

    nn_top_k (p, n_classes, 1, &best);
    m->n_right += best == labels[i];
    m->confusion[(gsize)labels[i] * n_classes + best]++;
    m->nll -= log (CLAMP ((double)p[labels[i]], EPSILON, 1 - EPSILON)) / n;
    m->brier += get_brier (p, n_classes, labels[i]) / n;
    place = ceil (p[best] * (double)METRICS_N_BINS) - 1;
    bin = &m->bins[place > 0 ? (guint)MIN (place, METRICS_N_BINS - 1) : 0];
    bin->n++;
    bin->confidence += p[best];
    bin->accuracy += best == labels[i];
  }
  m->accuracy = (double)m->n_right / n;
  metrics_wilson (m->n_right, n, &m->accuracy_low, &m->accuracy_high);
  for (guint b = 0; b < METRICS_N_BINS; b++) {
    MetricsBin *bin = &m->bins[b];

    m->ece += fabs (bin->accuracy - bin->confidence) / n;
    bin->confidence = ratio (bin->confidence, bin->n);
    bin->accuracy = ratio (bin->accuracy, bin->n);
  }
  measure_classes (m, labels, probabilities);
  return m;
}

double
metrics_get_chance (const Metrics *m, guint *class)
{
  guint most = 0;

  for (guint k = 1; k < m->n_classes; k++)
    if (m->classes[k].n > m->classes[most].n)
      most = k;
  *class = most;
  return m->classes[most].n < m->n ? (double)m->classes[most].n / m->n : NAN;
}

static int
compare_confusions (gconstpointer a, gconstpointer b)
{
  const MetricsConfusion *x = a, *y = b;

  if (x->n != y->n)
    return x->n < y->n ? 1 : -1;
  if (x->is != y->is)
    return x->is < y->is ? -1 : 1;
  return x->said < y->said ? -1 : x->said > y->said;
}

GArray *
metrics_list_confusions (const Metrics *m)
{
  GArray *found = g_array_new (FALSE, FALSE, sizeof (MetricsConfusion));

  for (guint t = 0; t < m->n_classes; t++) {
    for (guint k = 0; k < m->n_classes; k++) {
      const MetricsConfusion c = { t, k, m->confusion[(gsize)t * m->n_classes + k] };

      if (t != k && c.n > 0)
        g_array_append_val (found, c);
    }
  }
  g_array_sort (found, compare_confusions);
  return found;
}

void
metrics_free (Metrics *metrics)
{
  if (!metrics)
    return;
  g_free (metrics->classes);
  g_free (metrics->confusion);
  g_free (metrics);
}
