/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The command `classify` ($CLASSIFY_EXE), run from outside. */

/* Words of @arguments, split at spaces, behind the command's name. (transfer full) */
static inline GPtrArray *
command_words (const char *arguments)
{
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) parts = g_strsplit (arguments, " ", -1);

  g_ptr_array_add (words, g_strdup (g_getenv ("CLASSIFY_EXE")));
  for (guint i = 0; parts[i]; i++)
    if (*parts[i])
      g_ptr_array_add (words, g_strdup (parts[i]));
  g_ptr_array_add (words, NULL);
  return words;
}

/* Runs it in @dir to its end, which must be exit status @expected. (transfer full): what it
 * printed, standard error behind standard output. */
static inline char *
run_command (const char *dir, int expected, const char *arguments)
{
  g_autoptr (GPtrArray) words = command_words (arguments);
  g_autofree char *out = NULL, *err = NULL;
  GError *error = NULL;
  int status;

  g_spawn_sync (dir, (char **) words->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status,
      &error);
  g_assert_no_error (error);
  if (!WIFEXITED (status) || WEXITSTATUS (status) != expected)
    g_error ("classify %s: exit status %d, expected %d: %s%s", arguments,
        WIFEXITED (status) ? WEXITSTATUS (status) : -1, expected, out, err);
  return g_strconcat (out, err, NULL);
}

/* Starts a training with long to go, sends @signals (up to a 0) after one epoch each, and waits
 * for its end. *status: as of waitpid(). (transfer full): its standard output. */
static inline char *
stop_command (const char *dir, const char *arguments, GSpawnChildSetupFunc setup,
    const int *signals, int *status)
{
  g_autoptr (GPtrArray) words = command_words (arguments);
  g_autoptr (GIOChannel) channel = NULL;
  GString *all = g_string_new (NULL);
  GError *error = NULL;
  char *line;
  GPid pid;
  int fd;

  g_spawn_async_with_pipes (dir, (char **) words->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, setup,
      NULL, &pid, NULL, &fd, NULL, &error);
  g_assert_no_error (error);
  channel = g_io_channel_unix_new (fd);
  g_io_channel_set_close_on_unref (channel, TRUE);
  g_io_channel_set_encoding (channel, NULL, NULL); /* names need not be UTF-8 */
  while (g_io_channel_read_line (channel, &line, NULL, NULL, NULL) == G_IO_STATUS_NORMAL) {
    if (g_str_has_prefix (line, "epoch ") && *signals)
      kill (pid, *signals++);
    g_string_append (all, line);
    g_free (line);
  }
  while (waitpid (pid, status, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  return g_string_free (all, FALSE);
}

static inline void
merge_errors (gpointer data)
{
  dup2 (STDOUT_FILENO, STDERR_FILENO);
}

/* It ends with exit status @expected, and @message is in what it printed; a training that was
 * to be refused is not waited for. */
static inline void
expect_message (const char *dir, int expected, const char *arguments, const char *message)
{
  static const int kill_it[] = { SIGKILL, 0 }, leave_it[] = { 0 };
  int status;
  g_autofree char *text = stop_command (
      dir, arguments, merge_errors, expected == 0 ? leave_it : kill_it, &status);

  if (!WIFEXITED (status) || WEXITSTATUS (status) != expected || !strstr (text, message))
    g_error ("classify %s: status %x, expected exit status %d and \"%s\", found: %s", arguments,
        (guint) status, expected, message, text);
}
