/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/memory.h"

#include <string.h>

#include "nn/error.h"

#define SMALL ((guint64) 64 << 20)

guint64
nn_memory_get_available (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/meminfo", &text, NULL, NULL)
      || !(line = strstr (text, "MemAvailable:")))
    return G_MAXUINT64;
  return g_ascii_strtoull (line + strlen ("MemAvailable:"), NULL, 10) * 1024;
}

gboolean
nn_memory_check (guint64 bytes, const char *what, GError **error)
{
  guint64 available;

  if (bytes < SMALL || bytes <= (available = nn_memory_get_available ()))
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
      "no memory for %s: %.1f MB are needed, %.1f MB are available", what, (double) bytes / 1e6,
      (double) available / 1e6);
  return FALSE;
}
