/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Class names: clean text without empty names, or an error. */

#include "tests/fuzz/fuzz.h"

#include "nn/labels.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) labels = nn_labels_parse ((const char *) data, size, "fuzz", &error);

  g_assert ((labels == NULL) == (error != NULL));
  for (guint i = 0; labels != NULL && labels[i] != NULL; i++)
    g_assert (labels[i][0] != '\0' && g_utf8_validate (labels[i], -1, NULL));
  g_assert (labels == NULL || labels[0] != NULL);
  return 0;
}
