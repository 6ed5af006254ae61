/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void
make_group (gpointer user_data)
{
  setpgid (0, 0);
}

void
child_start (Child *child, const char *dir, const char *const *argv, char **environment)
{
  const int least = 1;
  GError *error = NULL;
  int ends[2];

  *child = (Child) { .said = g_string_new (NULL) };
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  setsockopt (ends[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  g_spawn_async_with_fds (dir, (char **) argv, environment,
      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, make_group, NULL, &child->pid, -1, ends[1],
      ends[1], &error);
  g_assert_no_error (error);
  close (ends[1]);
  child->output = ends[0];
}

/* FALSE: nothing comes any more */
static gboolean
read_more (Child *child)
{
  char buffer[512];
  gssize n;

  while ((n = read (child->output, buffer, sizeof buffer)) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  g_string_append_len (child->said, buffer, n);
  return n > 0;
}

char *
child_wait_line (Child *child, const char *prefix)
{
  for (;;) {
    const char *line = child->said->str + child->n_lines, *end = strchr (line, '\n');

    if (end) {
      child->n_lines += (gsize) (end + 1 - line);
      if (strncmp (line, prefix, strlen (prefix)) == 0)
        return g_strndup (line, (gsize) (end - line));
    } else if (!read_more (child)) {
      return NULL;
    }
  }
}

gboolean
child_end (Child *child, int signal, gboolean group, int *status, char **said)
{
  gboolean is_ended;
  int result;

  if (signal)
    kill (group ? -child->pid : child->pid, signal);
  while (read_more (child))
    ;
  close (child->output);
  while (waitpid (child->pid, &result, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  g_spawn_close_pid (child->pid);
  /* by itself, or after it has put its things away */
  is_ended = signal
      && (WIFSIGNALED (result) ? WTERMSIG (result) == signal
                               : WEXITSTATUS (result) > 128);
  if (WIFSIGNALED (result) && !is_ended)
    g_error ("%s: ended by signal %d", child->said->str, WTERMSIG (result));
  if (child->said->len)
    g_test_message ("%s", child->said->str);
  if (status)
    *status = is_ended ? -1 : WEXITSTATUS (result);
  if (said)
    *said = g_string_free (child->said, FALSE);
  else
    g_string_free (child->said, TRUE);
  return is_ended;
}
