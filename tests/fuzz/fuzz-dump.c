/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A file that videoclassify's dump-input wrote. */

#include "tests/fuzz/fuzz.h"

#include "nn/input-dump.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NnInputDump) dump = NULL;
  FuzzFile file;

  fuzz_start ();
  if (!fuzz_file_open (&file, data, size))
    return 0;
  dump = nn_input_dump_read (file.path, &error);
  fuzz_file_close (&file);
  g_assert ((dump == NULL) == (error != NULL));
  if (dump) {
    g_autofree float *copy = NULL;
    gsize n = nn_shape_count (&dump->shape) * dump->n_regions * dump->n_views;

    g_assert (n > 0 && dump->regions);
    copy = g_memdup2 (dump->values, n * sizeof *copy);
    g_assert (copy);
    g_assert (!dump->model || g_utf8_validate (dump->model, -1, NULL));
  }
  return 0;
}
