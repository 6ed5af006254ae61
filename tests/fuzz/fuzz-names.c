/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any label as the name of a folder or file: safe, and read as the label that it was. */

#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "nn/label-name.h"

static void
check (const char *label, gboolean is_prefix)
{
  g_autofree char *name = nn_label_to_name (label, is_prefix);
  g_autofree char *again = nn_label_from_name (name);

  g_assert (name[0] != '\0' && strlen (name) <= NN_LABEL_NAME_MAX);
  g_assert (strcmp (name, ".") != 0 && strcmp (name, "..") != 0 && !strchr (name, '/'));
  g_assert (name[0] != '-' && name[0] != '.');
  g_assert (g_utf8_validate (name, -1, NULL));
  for (const char *p = name; *p; p++)
    g_assert ((guchar) *p >= 0x20 && *p != 0x7f);
  if (strlen (label) * 3 <= NN_LABEL_NAME_MAX && g_utf8_validate (label, -1, NULL))
    g_assert_cmpstr (again, ==, label);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *label = g_strndup ((const char *) data, size);
  g_autofree char *valid = g_utf8_make_valid (label, -1);

  fuzz_start ();
  check (label, FALSE);
  check (label, TRUE);
  check (valid, TRUE);
  g_free (nn_label_from_name (label)); /* of a folder that somebody else has made */
  return 0;
}
