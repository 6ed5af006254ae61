/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The element's property "crop": a rectangle within the picture, or none. */

#include "tests/fuzz/fuzz.h"

#include "gst/regions.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const NnRect areas[]
      = { { 0, 0, 1, 1 }, { 0, 0, 320, 240 }, { 7, 5, 1919, 1079 }, { 0, 0, 32768, 32768 } };
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  Crop crop;

  fuzz_start ();
  if (!crop_parse (text, &crop, &error)) {
    g_assert (error != NULL);
    return 0;
  }
  for (guint i = 0; crop.is_set && i < G_N_ELEMENTS (areas); i++) {
    const NnRect *area = &areas[i];
    NnRect rect;

    if (crop_apply (&crop, area, &rect))
      g_assert (rect.width > 0 && rect.height > 0 && rect.x >= area->x && rect.y >= area->y
          && rect.x + rect.width <= area->x + area->width
          && rect.y + rect.height <= area->y + area->height);
  }
  return 0;
}
