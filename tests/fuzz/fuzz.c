/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nn/log.h"

static void
drop (NnLogLevel level, const char *message, gpointer user_data)
{
}

/* abort(), which libFuzzer notices, and not a trap, which it does not */
static void
on_log (const char *domain, GLogLevelFlags level, const char *message, gpointer user_data)
{
  if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) {
    g_printerr ("%s: %s\n", domain ? domain : "", message);
    abort ();
  }
}

void
fuzz_start (void)
{
  nn_log_set_sink (drop, NULL);
  g_log_set_default_handler (on_log, NULL);
}

gboolean
fuzz_file_open (FuzzFile *file, const uint8_t *data, size_t size)
{
  file->fd = memfd_create ("fuzz", MFD_CLOEXEC);
  if (file->fd < 0)
    return FALSE;
  if (write (file->fd, data, size) != (ssize_t) size) {
    close (file->fd);
    return FALSE;
  }
  g_snprintf (file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
  return TRUE;
}

void
fuzz_file_close (FuzzFile *file)
{
  close (file->fd);
}
