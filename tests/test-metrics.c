/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The measures of a classifier against scikit-learn 1.9.1, statsmodels 0.15 and
 * counting by hand. */

#include <math.h>
#include <string.h>

#include "nn/rng.h"
#include "train/metrics.h"

#define TOLERANCE 1e-12

#define assert_close(a, b) g_assert_cmpfloat_with_epsilon (a, b, TOLERANCE)

/* --- what scikit-learn says --------------------------------------------------------------- */

#define N_TWO 24
#define N_THREE 20

static const guint labels_two[N_TWO]
    = { 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0 };
/* 64 times the probability of the second class; some are equal */
static const guint scores_two[N_TWO]
    = { 42, 22, 40, 54, 14, 32, 4, 2, 2, 20, 2, 46, 44, 20, 2, 30, 24, 42, 2, 14, 22, 8, 44, 8 };

static const guint labels_three[N_THREE]
    = { 1, 0, 1, 2, 1, 0, 1, 0, 2, 2, 0, 1, 2, 2, 2, 1, 0, 2, 1, 0 };
static const guint scores_three[N_THREE * 3] = { 25, 33, 6, 57, 6, 1, 10, 46, 8, 15, 7, 42, 40, 13,
  11, 35, 23, 6, 7, 27, 30, 59, 2, 3, 33, 2, 29, 6, 23, 35, 37, 13, 14, 41, 16, 7, 20, 12, 32, 7,
  21, 36, 26, 16, 22, 18, 18, 28, 36, 24, 4, 46, 6, 12, 16, 23, 25, 62, 1, 1 };

static void
fill_two (float *p)
{
  for (guint i = 0; i < N_TWO; i++) {
    p[2 * i + 1] = (float)scores_two[i] / 64;
    p[2 * i] = 1 - p[2 * i + 1];
  }
}

static void
test_two (void)
{
  static const guint confusion[] = { 11, 1, 6, 6 };
  g_autoptr (Metrics) m = NULL;
  float p[N_TWO * 2];
  guint n = 0;

  fill_two (p);
  m = metrics_new (labels_two, p, N_TWO, 2);
  g_assert_cmpmem (m->confusion, sizeof confusion, confusion, sizeof confusion);
  g_assert_cmpuint (m->n, ==, 24);
  g_assert_cmpuint (m->n_right, ==, 17);
  g_assert_cmpuint (m->classes[0].n, ==, 12);
  g_assert_cmpuint (m->classes[0].n_predicted, ==, 17);
  g_assert_cmpuint (m->classes[1].n_right, ==, 6);
  assert_close (m->accuracy, 0.7083333333333334);
  assert_close (m->accuracy_low, 0.5083230633550336);
  assert_close (m->accuracy_high, 0.8508535180303914);
  assert_close (m->classes[0].precision, 0.6470588235294118);
  assert_close (m->classes[1].precision, 0.8571428571428571);
  assert_close (m->classes[0].recall, 0.9166666666666666);
  assert_close (m->classes[1].recall, 0.5);
  assert_close (m->classes[0].f1, 0.7586206896551724);
  assert_close (m->classes[1].f1, 0.631578947368421);
  assert_close (m->macro_f1, 0.6950998185117967);
  assert_close (m->auc, 0.8541666666666667);
  assert_close (m->classes[0].auc, m->auc);
  assert_close (m->brier, 0.181396484375);
  assert_close (m->nll, 0.5467250434765752);
  assert_close (m->ece, 0.14322916666666666);
  for (guint b = 0; b < METRICS_N_BINS; b++)
    n += m->bins[b].n;
  g_assert_cmpuint (n, ==, 24);
}

static void
test_three (void)
{
  static const guint confusion[] = { 6, 0, 0, 2, 2, 3, 3, 0, 4 };
  static const double precision[] = { 0.5454545454545454, 1, 0.5714285714285714 };
  static const double recall[] = { 1, 0.2857142857142857, 0.5714285714285714 };
  static const double f1[] = { 0.7058823529411765, 0.4444444444444444, 0.5714285714285714 };
  static const double auc[] = { 0.8928571428571428, 0.8241758241758241, 0.9120879120879121 };
  g_autoptr (Metrics) m = NULL;
  float p[N_THREE * 3];

  for (guint i = 0; i < G_N_ELEMENTS (p); i++)
    p[i] = (float)scores_three[i] / 64;
  m = metrics_new (labels_three, p, N_THREE, 3);
  g_assert_cmpmem (m->confusion, sizeof confusion, confusion, sizeof confusion);
  for (guint k = 0; k < 3; k++) {
    assert_close (m->classes[k].precision, precision[k]);
    assert_close (m->classes[k].recall, recall[k]);
    assert_close (m->classes[k].f1, f1[k]);
    assert_close (m->classes[k].auc, auc[k]);
  }
  assert_close (m->accuracy, 0.6);
  assert_close (m->macro_f1, 0.5739184562713974);
  assert_close (m->auc, 0.8763736263736264);
  assert_close (m->brier, 0.457177734375);
  assert_close (m->nll, 0.7455123163085192);
  assert_close (m->ece, 0.25078125);
}

static void
test_roc_points (void)
{
  static const double expected[][3] = { { 0, 0, INFINITY }, { 0, 1 / 12., 0.84375 },
    { 0, 2 / 12., 0.71875 }, { 1 / 12., 3 / 12., 0.6875 }, { 1 / 12., 5 / 12., 0.65625 },
    { 1 / 12., 6 / 12., 0.625 }, { 1 / 12., 7 / 12., 0.5 }, { 1 / 12., 8 / 12., 0.46875 },
    { 2 / 12., 8 / 12., 0.375 }, { 2 / 12., 10 / 12., 0.34375 }, { 4 / 12., 10 / 12., 0.3125 },
    { 5 / 12., 11 / 12., 0.21875 }, { 7 / 12., 11 / 12., 0.125 }, { 7 / 12., 1, 0.0625 },
    { 1, 1, 0.03125 } };
  g_autoptr (GArray) points = NULL;
  float p[N_TWO * 2];

  fill_two (p);
  points = metrics_roc (labels_two, p + 1, 2, N_TWO, 1);
  g_assert_cmpuint (points->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < points->len; i++) {
    const MetricsRocPoint *point = &g_array_index (points, MetricsRocPoint, i);

    assert_close (point->false_positives, expected[i][0]);
    assert_close (point->true_positives, expected[i][1]);
    g_assert_cmpfloat (point->threshold, ==, expected[i][2]);
  }
}

/* statsmodels' proportion_confint (..., method="wilson") */
static void
test_wilson (void)
{
  static const struct {
    guint n_right, n;
    double low, high;
  } rows[] = {
    { 0, 10, 0, 0.27753279986288926 },
    { 1, 10, 0.017876213095072924, 0.40415002679523854 },
    { 621, 800, 0.7460894743474059, 0.8037701965489582 },
    { 800, 800, 0.995221123794324, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    double low, high;

    metrics_wilson (rows[i].n_right, rows[i].n, &low, &high);
    assert_close (low, rows[i].low);
    assert_close (high, rows[i].high);
    g_assert_cmpfloat (high, <=, 1);
  }
}

/* --- counted pair by pair ------------------------------------------------------------------ */

/* few distinct scores have many ties; the curve's area is the same number */
static void
test_auc_pairs (void)
{
  for (guint round = 0; round < 40; round++) {
    const guint n = 5 + round * 7, n_scores = round % 2 ? 1000000 : 2 + round;
    g_autofree guint *labels = g_new (guint, n);
    g_autofree float *scores = g_new (float, (gsize)n * 3);
    g_autoptr (GArray) points = NULL;
    double better = 0, pairs = 0, area = 0;
    NnRng rng;

    nn_rng_init (&rng, 11, NN_STREAM_USER, round);
    for (guint i = 0; i < n; i++) {
      labels[i] = nn_rng_below (&rng, 3);
      scores[i * 3 + 1] = (float)(nn_rng_below (&rng, n_scores) + labels[i]) / 1000;
    }
    labels[0] = 1;
    labels[1] = 2;
    for (guint i = 0; i < n; i++) {
      for (guint j = 0; labels[i] == 1 && j < n; j++) {
        const float a = scores[i * 3 + 1], b = scores[j * 3 + 1];

        if (labels[j] == 1)
          continue;
        pairs++;
        better += a > b ? 1 : a == b ? 0.5 : 0;
      }
    }
    assert_close (metrics_auc (labels, scores + 1, 3, n, 1), better / pairs);
    points = metrics_roc (labels, scores + 1, 3, n, 1);
    for (guint i = 1; i < points->len; i++) {
      const MetricsRocPoint *b = &g_array_index (points, MetricsRocPoint, i), *a = b - 1;

      g_assert_cmpfloat (b->threshold, <, a->threshold);
      area += (b->false_positives - a->false_positives) * (a->true_positives + b->true_positives)
              / 2;
    }
    assert_close (area, better / pairs);
  }
}

/* --- by hand ------------------------------------------------------------------------------- */

static void
test_bins (void)
{
  /* best: 1 right, 0.7 right, 0.7 wrong, 0.5 (a tie is the first class) right */
  static const float p[] = { 0, 1, 0.3f, 0.7f, 0.7f, 0.3f, 0.5f, 0.5f };
  static const guint labels[] = { 1, 1, 1, 0 };
  g_autoptr (Metrics) m = metrics_new (labels, p, 4, 2);

  for (guint b = 0; b < METRICS_N_BINS; b++) {
    const MetricsBin *bin = &m->bins[b];
    const guint expected = b == 7 || b == 14 ? 1 : b == 10 ? 2 : 0;

    g_assert_cmpuint (bin->n, ==, expected);
    g_assert_cmpint (isnan (bin->confidence), ==, expected == 0);
    g_assert_cmpint (isnan (bin->accuracy), ==, expected == 0);
  }
  assert_close (m->bins[10].confidence, (double)0.7f);
  assert_close (m->bins[10].accuracy, 0.5);
  assert_close (m->bins[7].accuracy, 1);
  /* (0 + 2 * 0.2 + 0.5) / 4 */
  g_assert_cmpfloat_with_epsilon (m->ece, 0.225, 1e-7);
  /* (0 + 0.09 + 0.49 + 0.25) / 4 */
  g_assert_cmpfloat_with_epsilon (m->brier, 0.2075, 1e-7);
}

/* nothing of a class, nothing said of it, certain and wrong, no number at all */
static void
test_ends (void)
{
  static const guint ones[] = { 1, 1 };
  static const guint both[] = { 0, 1 };
  static const float zero[] = { 1, 0, 0.75f, 0.25f };
  static const float nothing[] = { NAN, NAN, NAN, NAN };
  g_autoptr (Metrics) m = metrics_new (ones, zero, 2, 2), bad = NULL;
  g_autoptr (GArray) points = metrics_roc (ones, zero + 1, 2, 2, 1);

  g_assert_cmpuint (m->n_right, ==, 0);
  g_assert_true (isnan (m->classes[1].precision));
  g_assert_true (isnan (m->classes[0].recall));
  g_assert_cmpfloat (m->classes[0].precision, ==, 0);
  g_assert_cmpfloat (m->classes[1].f1, ==, 0);
  g_assert_true (isnan (m->auc));
  g_assert_cmpuint (points->len, ==, 0);
  assert_close (m->nll, (-log (1e-7) - log (0.25)) / 2);
  g_assert_cmpfloat (m->accuracy_low, ==, 0);

  bad = metrics_new (both, nothing, 2, 2);
  g_assert_cmpuint (bad->n_right, ==, 1); /* the first class is said */
  g_assert_true (isnan (bad->nll));
  g_assert_true (isnan (bad->auc));
  g_assert_true (isnan (bad->ece));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/metrics/two-classes", test_two);
  g_test_add_func ("/metrics/three-classes", test_three);
  g_test_add_func ("/metrics/roc-points", test_roc_points);
  g_test_add_func ("/metrics/wilson", test_wilson);
  g_test_add_func ("/metrics/auc-pairs", test_auc_pairs);
  g_test_add_func ("/metrics/bins", test_bins);
  g_test_add_func ("/metrics/ends", test_ends);
  return g_test_run ();
}
