/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nn/text.h"

static int exit_failed;

static void
close_standard_output (void)
{
  struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };
  int was_wrong = ferror (stdout), has_reader, e;

  has_reader = poll (&output, 1, 0) < 0 || (output.revents & POLLERR) == 0;
  errno = 0;
  if (fclose (stdout) == 0 && !was_wrong)
    return;
  e = errno;
  if (e != EPIPE && has_reader)
    fprintf (stderr, "classify: standard output cannot be written%s%s\n", e ? ": " : "",
        e ? g_strerror (e) : "");
  fflush (stderr);
  _exit (exit_failed);
}

void
standard_streams_guard (int failed)
{
  static const int modes[] = { O_WRONLY, O_RDONLY, O_WRONLY }; /* so that using them fails */

  for (int fd = 0; fd < 3; fd++)
    if (fcntl (fd, F_GETFD) < 0 && errno == EBADF && open ("/dev/null", modes[fd]) != fd)
      _exit (failed);
  exit_failed = failed;
  atexit (close_standard_output);
}

static void
print_printable (FILE *to, const char *before, const char *text)
{
  g_autofree char *printable = nn_text_printable (text, -1);

  fprintf (to, "%s%s\n", before, printable);
}

void
standard_print_line (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  print_printable (stdout, "", text);
}

void
standard_print_lines (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint i = 0; lines[i] && (lines[i + 1] || *lines[i]); i++)
    print_printable (stdout, "", lines[i]);
}

void
standard_print_message (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  print_printable (stderr, "classify: ", text);
}
