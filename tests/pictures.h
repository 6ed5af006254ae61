/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gdk-pixbuf/gdk-pixbuf.h>

#include "tests/folders.h"

/* Pictures made on the spot, for the trainer's tests. */

/* DIR/NAME (folders in NAME are made): width x height of one colour with a
 * little pattern that depends on @seed. The ending tells the format. */
static inline char *
make_picture (const char *dir, const char *name, int width, int height, guint32 color, guint seed)
{
  char *path = g_build_filename (dir, name, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);
  guchar *pixels = gdk_pixbuf_get_pixels (pixbuf);
  const int stride = gdk_pixbuf_get_rowstride (pixbuf);
  GError *error = NULL;

  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      for (int c = 0; c < 3; c++) {
        guint value = color >> (16 - 8 * c) & 255;
        guint noise = (guint) (x * 7 + y * 13 + c * 5) * (seed * 2 + 1) * 2654435761u >> 27;

        pixels[y * stride + x * 3 + c] = (guchar) MIN (value + noise, 255);
      }
    }
  }
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  gdk_pixbuf_save (pixbuf, path, g_str_has_suffix (name, ".jpg") ? "jpeg" : "png", &error, NULL);
  g_assert_no_error (error);
  return path;
}
