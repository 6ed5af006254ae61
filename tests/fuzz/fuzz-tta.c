/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Views of a picture in words; what is written is read as the same. */

#include "tests/fuzz/fuzz.h"

#include <math.h>

#include "nn/tta.h"

static gboolean
is_near (double a, double b)
{
  return fabs (a - b) <= 1e-5 * fabs (a); /* six digits are written */
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  NnTta tta, again;

  fuzz_start ();
  if (!nn_tta_parse (text, &tta, &error)) {
    g_assert (error != NULL);
    return 0;
  }
  g_autofree char *words = nn_tta_to_string (&tta);
  nn_tta_parse (words, &again, &error);
  g_assert_no_error (error);
  g_assert (again.method == tta.method && again.flip == tta.flip && again.mean == tta.mean);
  g_assert (again.n_scales == tta.n_scales && tta.n_scales <= NN_TTA_MAX_SCALES);
  g_assert (again.n_random == tta.n_random && again.seed == tta.seed && again.size == tta.size);
  g_assert (is_near (tta.crop, again.crop));
  for (guint i = 0; i < tta.n_scales; i++)
    g_assert (tta.scales[i] > 0 && is_near (tta.scales[i], again.scales[i]));
  return 0;
}
