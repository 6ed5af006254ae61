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

guint
progress_get_width (void)
{
  struct winsize size = { 0 };

  if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
    return size.ws_col - 1;
  return 79;
}

enum
{
  EPOCH,
  BAR,
  COUNT,
  LOSS,
  ACCURACY,
  SPEED,
  LEFT,
  N_PARTS
};

char *
progress_format_epoch (const ProgressEpoch *e, guint width)
{
  static const guint least_first[] = { BAR, SPEED, ACCURACY, LOSS, COUNT, LEFT };
  const guint bar = (guint) (G_GUINT64_CONSTANT (20) * e->done / MAX (e->total, 1));
  g_autofree char *left = progress_format_time (e->left);
  GString *text = g_string_new (NULL);
  char *parts[N_PARTS] = { NULL };

  parts[EPOCH] = g_strdup_printf ("epoch %u/%u", e->epoch, e->n_epochs);
  parts[BAR] = g_strdup_printf ("[%.*s%.*s]", (int) bar, "####################", (int) (20 - bar),
      "                    ");
  parts[COUNT] = g_strdup_printf ("%s%u/%u", e->is_validating ? "validating " : "", e->done,
      e->total);
  parts[LOSS] = g_strdup_printf ("loss %.4f", e->loss);
  parts[ACCURACY] = g_strdup_printf ("accuracy %.4f", e->accuracy);
  if (e->speed > 0)
    parts[SPEED] = g_strdup_printf ("%.0f pictures/s", e->speed);
  parts[LEFT] = g_strdup_printf ("%s left", left);
  for (guint n = 0;; n++) {
    g_string_truncate (text, 0);
    for (guint i = 0; i < N_PARTS; i++)
      if (parts[i])
        g_string_append_printf (text, "%s%s", i ? "  " : "", parts[i]);
    if (text->len <= width || n == G_N_ELEMENTS (least_first))
      break;
    g_clear_pointer (&parts[least_first[n]], g_free);
  }
  for (guint i = 0; i < N_PARTS; i++)
    g_free (parts[i]);
  return g_string_free (text, FALSE);
}

void
progress_show (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  if (!progress_is_terminal ())
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  printf ("\r%.*s\033[K", (int) progress_get_width (), text);
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
