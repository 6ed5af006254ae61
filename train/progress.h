/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One line that is redrawn on a terminal; nothing in a log file. */
void progress_show (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* Removes that line; to be called before anything else is printed. */
void progress_clear (void);

gboolean progress_is_terminal (void);

/* "1:02:03", "4:05" */
char *progress_format_time (double seconds);

G_END_DECLS
