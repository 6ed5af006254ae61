/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bytes of a picture file: its kind, and what they tell without being decoded. */

#include "tests/fuzz/fuzz.h"

#include "train/picture-scan.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  PictureScan scan = { 0 };
  PictureKind kind = picture_kind_guess (data, size);

  fuzz_start ();
  picture_scan (data, size, &scan);
  g_assert (kind < PICTURE_N_KINDS && scan.kind < PICTURE_N_KINDS);
  g_assert (picture_kind_get_info (kind)->name != NULL);
  g_assert (!scan.cut || scan.cut[0] != '\0');
  if (scan.exif) {
    g_assert (scan.exif >= data && scan.exif <= data + size);
    g_assert (scan.exif_size <= (gsize) (data + size - scan.exif));
  }
  return 0;
}
