/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* replay FOLDER...: the target on every file there, whole and cut short. */

#include <glib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

int
main (int argc, char **argv)
{
  guint n = 0;

  for (int i = 1; i < argc; i++) {
    g_autoptr (GDir) dir = g_dir_open (argv[i], 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
      g_autofree char *path = g_build_filename (argv[i], name, NULL), *content = NULL;
      gsize size;

      if (!g_file_get_contents (path, &content, &size, NULL))
        continue;
      for (gsize length = size;; length /= 2) {
        /* its own memory, so that a sanitizer sees what goes behind the end */
        g_autofree guint8 *data = g_memdup2 (content, MAX (length, 1));

        LLVMFuzzerTestOneInput (data, length);
        if (length == 0)
          break;
      }
      n++;
    }
  }
  g_print ("%u files\n", n);
  return n > 0 ? 0 : 1;
}
