/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint epoch, n_epochs; /* from 1 on */
  gboolean is_validating;
  guint done, total;     /* steps of the epoch; while it validates, pictures */
  double loss, accuracy; /* of the epoch until now */
  double speed;          /* pictures a second, or 0: not told */
  double left;           /* seconds to the end of the last epoch */
} ProgressEpoch;

/* A line of at most @width columns: of what has no room the least important goes, as a whole.
 * (transfer full) */
char *progress_format_epoch (const ProgressEpoch *epoch, guint width);

/* Columns that a line has, of the terminal or 79. */
guint progress_get_width (void);

/* One line that is redrawn on a terminal; nothing in a log file. */
void progress_show (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* Removes that line; to be called before anything else is printed. */
void progress_clear (void);

gboolean progress_is_terminal (void);

/* "1:02:03", "4:05" */
char *progress_format_time (double seconds);

G_END_DECLS
