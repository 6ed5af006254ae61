/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* A program that a test runs, watches and ends.
 *
 * What it says goes through a socket that holds a few lines only: while the test does not read
 * on, a program that says something in each step waits. Where it is when a signal comes thus
 * depends on what was read, not on how fast either of them is. */
typedef struct
{
  GPid pid;
  int output;     /* its stdout and stderr */
  GString *said;  /* all of it that was read so far */
  gsize n_lines;  /* bytes of it that child_wait_line() has gone through */
} Child;

/* In a group of processes of its own. @dir, @environment: NULL for the test's. */
void child_start (Child *child, const char *dir, const char *const *argv, char **environment);

/* The next line that begins with @prefix (transfer full), or NULL where there was none. */
char *child_wait_line (Child *child, const char *prefix);

/* Sends @signal if it is not 0, to the whole group where @group; reads the rest, waits for the
 * end. TRUE: the signal has ended it; then *status (out)(optional) is -1, else the exit status.
 * @said: (out)(optional)(transfer full): all that it said. */
gboolean child_end (Child *child, int signal, gboolean group, int *status, char **said);
