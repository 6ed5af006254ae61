/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bytes of a picture file: looked at without being decoded. */

#include "tests/fuzz/fuzz.h"

#include "train/picture-scan.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  PictureScan scan = { 0 };

  picture_scan (data, size, &scan);
  g_assert (!scan.exif || (scan.exif >= data && scan.exif + scan.exif_size <= data + size));
  g_assert (!scan.cut || scan.cut[0] != '\0');
  return 0;
}
