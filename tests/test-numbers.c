/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random numbers, losses and the optimizer's rate against published and
 * hand-computed values. */

#include <math.h>

#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/rng.h"

/* Random123's known answers for philox4x32, 10 rounds */
static void
test_philox (void)
{
  static const struct
  {
    guint32 counter[4], key[2], out[4];
  } answers[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
        { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
        { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    guint32 out[4];

    nn_philox (answers[i].counter, answers[i].key, out);
    for (guint k = 0; k < 4; k++)
      g_assert_cmphex (out[k], ==, answers[i].out[k]);
  }
}

static void
test_streams (void)
{
  NnRng a, b;
  guint counts[7] = { 0 };
  double sum = 0, squares = 0;

  nn_rng_init (&a, 1, NN_STREAM_USER, 2);
  nn_rng_init (&b, 1, NN_STREAM_USER, 2);
  for (guint i = 0; i < 100; i++)
    g_assert_cmpuint (nn_rng_u32 (&a), ==, nn_rng_u32 (&b));
  nn_rng_init (&a, 1, NN_STREAM_USER, 2);
  nn_rng_init (&b, 1, NN_STREAM_USER, 3);
  g_assert_cmpuint (nn_rng_u32 (&a), !=, nn_rng_u32 (&b));
  for (guint i = 0; i < 70000; i++) {
    double x = nn_rng_double (&a);

    g_assert_true (x >= 0 && x < 1);
    sum += x;
    squares += x * x;
    counts[nn_rng_below (&a, 7)]++;
  }
  /* six standard errors */
  g_assert_cmpfloat_with_epsilon (sum / 70000, 0.5, 6 * sqrt (1 / 12. / 70000));
  g_assert_cmpfloat_with_epsilon (squares / 70000, 1 / 3., 6 * sqrt (4 / 45. / 70000));
  for (guint i = 0; i < 7; i++)
    g_assert_cmpfloat_with_epsilon (counts[i], 10000, 6 * sqrt (10000 * 6 / 7.));
}

static void
test_binary (void)
{
  const float p[] = { 0.9f, 0.2f, 0.5f, 1.0f }, t[] = { 1, 0, 1, 0 };
  float gradient[4];
  const float weights[] = { 2, 0, 0.5f, 1 };
  NnStepResult r;

  nn_loss_compute (
      NN_LOSS_BINARY_CROSSENTROPY, p, &(NnStep) { .n = 4, .targets = t }, 1, gradient, &r);
  /* a half counts as 0; certainty of the wrong class is clipped at 1e-7 */
  g_assert_cmpuint (r.n_correct, ==, 2);
  g_assert_cmpfloat (r.sum_weights, ==, 4);
  g_assert_cmpfloat_with_epsilon (
      r.sum_loss, -log (0.9) - log (0.8) - log (0.5) - log (1e-7), 1e-5);
  g_assert_cmpfloat_with_epsilon (gradient[0], (0.9 - 1) / 4, 1e-7);
  g_assert_cmpfloat_with_epsilon (gradient[2], (0.5 - 1) / 4, 1e-7);

  nn_loss_compute (NN_LOSS_BINARY_CROSSENTROPY, p,
      &(NnStep) { .n = 4, .targets = t, .weights = weights, .n_measured = 3 }, 1, gradient, &r);
  g_assert_cmpuint (r.n_correct, ==, 2);
  g_assert_cmpfloat (r.sum_weights, ==, 2.5);
  g_assert_cmpfloat_with_epsilon (r.sum_loss, -2 * log (0.9) - 0.5 * log (0.5), 1e-6);
  g_assert_cmpfloat_with_epsilon (gradient[0], 2 * (0.9 - 1) / 4, 1e-7);
  g_assert_cmpfloat_with_epsilon (gradient[3], (1.0 - 0) / 4, 1e-7); /* learnt from all the same */

  nn_loss_compute (
      NN_LOSS_BINARY_CROSSENTROPY, p, &(NnStep) { .n = 2, .targets = t }, 2, gradient, &r);
  g_assert_cmpuint (r.n_correct, ==, 1); /* every output of a sample */
  g_assert_cmpfloat_with_epsilon (
      r.sum_loss, (-log (0.9) - log (0.8) - log (0.5) - log (1e-7)) / 2, 1e-5);
  g_assert_cmpfloat_with_epsilon (gradient[0], (0.9 - 1) / 4, 1e-7);
}

static void
test_categorical (void)
{
  const float p[] = { 0.7f, 0.2f, 0.1f, 0.3f, 0.3f, 0.4f };
  const float t[] = { 1, 0, 0, 0.1f, 0.8f, 0.1f };
  float gradient[6];
  NnStepResult r;

  nn_loss_compute (
      NN_LOSS_CATEGORICAL_CROSSENTROPY, p, &(NnStep) { .n = 2, .targets = t }, 3, gradient, &r);
  g_assert_cmpuint (r.n_correct, ==, 1);
  g_assert_cmpfloat_with_epsilon (
      r.sum_loss, -log (0.7) - 0.9 * log (0.3) - 0.1 * log (0.4), 1e-6);
  g_assert_cmpfloat_with_epsilon (gradient[4], (0.3 - 0.8) / 2, 1e-7);
}

/* w = 0, g = 1, lr = 1e-4: dw = -1e-4 / (1 + eps / sqrt (1 - beta_2)) */
static void
test_adam_rate (void)
{
  NnOptimizer o = { .kind = NN_OPTIMIZER_ADAM, .learning_rate = 1e-4, .beta_1 = 0.9,
    .beta_2 = 0.999 };
  const double m = 0.1, v = 0.001;

  g_assert_cmpfloat_with_epsilon (
      nn_optimizer_step_rate (&o) * m / (sqrt (v) + 1e-8), 9.9999968e-05, 1e-12);
  g_assert_cmpfloat_with_epsilon (
      nn_optimizer_step_rate (&o) * m / (sqrt (v) + 1e-7), 9.9999684e-05, 1e-12);
  o.iterations = 9;
  g_assert_cmpfloat_with_epsilon (nn_optimizer_step_rate (&o),
      1e-4 * sqrt (1 - pow (0.999, 10)) / (1 - pow (0.9, 10)), 1e-15);
  o.decay = 0.5;
  g_assert_cmpfloat_with_epsilon (nn_optimizer_step_rate (&o),
      1e-4 / 5.5 * sqrt (1 - pow (0.999, 10)) / (1 - pow (0.9, 10)), 1e-15);
  o.kind = NN_OPTIMIZER_SGD;
  g_assert_cmpfloat_with_epsilon (nn_optimizer_step_rate (&o), 1e-4 / 5.5, 1e-15);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/numbers/philox", test_philox);
  g_test_add_func ("/numbers/streams", test_streams);
  g_test_add_func ("/numbers/binary-crossentropy", test_binary);
  g_test_add_func ("/numbers/categorical-crossentropy", test_categorical);
  g_test_add_func ("/numbers/adam-rate", test_adam_rate);
  return g_test_run ();
}
