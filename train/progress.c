/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static gboolean is_shown;

gboolean
progress_is_terminal (void)
{
  return isatty (STDOUT_FILENO);
}

void
progress_show (const char *format, ...)
{
  g_autofree char *text = NULL;
  struct winsize size = { 0 };
  va_list args;
  int width = 80;

  if (!progress_is_terminal ())
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    width = size.ws_col;
  printf ("\r%.*s\033[K", width - 1, text);
  fflush (stdout);
  is_shown = TRUE;
}

void
progress_clear (void)
{
  if (is_shown)
    printf ("\r\033[K");
  is_shown = FALSE;
  fflush (stdout);
}

char *
progress_format_time (double seconds)
{
  guint s = seconds > 0 ? (guint) (seconds + 0.5) : 0;

  if (s >= 3600)
    return g_strdup_printf ("%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
  return g_strdup_printf ("%u:%02u", s / 60, s % 60);
}
