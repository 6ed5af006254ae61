/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A picture file, decoded: whatever the bytes, pixels of the size that is told, or an error.
 * Most of what runs is the decoders of libjpeg, libexif and gdk-pixbuf. */

#include "tests/fuzz/fuzz.h"

#include "train/picture-scan.h"
#include "train/picture.h"

/* gdk-pixbuf 2.42's reader of GIF complains of a frame without pixels, and goes on */
static void
ignore (const char *domain, GLogLevelFlags level, const char *message, gpointer user_data)
{
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = NULL;
  g_autofree guint8 *pixels = g_malloc (16 * 16 * 3);
  PictureScan scan = { 0 };
  NnPreprocess pre;
  FuzzFile file;

  fuzz_start ();
  g_log_set_handler ("GdkPixbuf", G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING, ignore, NULL);
  picture_scan (data, size, &scan);
  if ((guint64) scan.width * scan.height > 1 << 22) /* a second and more for each */
    return 0;
  if (!fuzz_file_open (&file, data, size))
    return 0;
  picture = picture_open (file.path, &error);
  fuzz_file_close (&file);
  g_assert ((picture == NULL) == (error != NULL));
  if (picture) {
    guint width, height;

    picture_get_size (picture, &width, &height);
    g_assert (width > 0 && height > 0);
    nn_preprocess_init (&pre, 16, 16);
    picture_flatten (picture, &pre);
    g_assert (picture_sample (picture, &pre, pixels, &error) == (error == NULL));
  }
  return 0;
}
