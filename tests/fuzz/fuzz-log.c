/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a training's log, or a model file's history, says of its epochs: taken
 * up again and drawn. */

#include "tests/fuzz/fuzz.h"

#include "train/curve.h"
#include "train/schedule.h"

#define HEADER "epoch,stage,learning_rate,loss,accuracy,val_loss,val_accuracy\n"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autofree char *log = g_strconcat (HEADER, text, NULL);
  g_autoptr (GArray) results = schedule_parse_history (text);
  int best = schedule_find_best (results);
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) svg = NULL;

  fuzz_start ();
  g_assert (best >= -1 && best < (int) results->len);
  svg = curve_render (log, "fuzz", TRUE, &error);
  g_assert ((svg == NULL) == (error != NULL));
  g_clear_error (&error);
  g_clear_pointer (&svg, g_byte_array_unref);
  svg = curve_render (text, "fuzz", TRUE, &error);
  g_assert ((svg == NULL) == (error != NULL));
  return 0;
}
