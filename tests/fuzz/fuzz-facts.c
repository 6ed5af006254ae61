/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a checkpoint says that its run depended on, against another: equal, or told. Up to a
 * NUL the one, behind it the other. */

#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "train/facts.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const uint8_t *nul = memchr (data, '\0', size);
  const size_t length = nul ? (size_t) (nul - data) : size;
  g_autofree char *then = g_strndup ((const char *) data, length);
  g_autofree char *now = nul ? g_strndup ((const char *) nul + 1, size - length - 1)
                             : g_strdup ("format=1\nclasses=a\\nb\n");
  g_autoptr (GString) said = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  Recipe recipe = { .path = "r.ini", .train_dir = "train", .network = "net.json" };
  const FactsSource source = { .recipe = &recipe };

  fuzz_start ();
  g_assert (facts_compare (then, then, &source, "x.h5", NULL, &error) && !error);
  if (facts_compare (then, now, &source, "x.h5", said, &error))
    g_assert_no_error (error);
  else
    g_assert (error != NULL);
  facts_compare_others (then, now, said);
  return 0;
}
