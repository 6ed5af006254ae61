/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* At the start of main(): no file that is opened later takes the place of a standard stream
 * that is closed; and at the end of the process, however it comes, what was printed must have
 * been written: else a message and the exit status @failed. A reader that has gone (EPIPE)
 * gets no message. */
void standard_streams_guard (int failed);

/* A line on standard output. Names in it may be anybody's: the line stays one line and changes
 * nothing of a terminal (nn/text.h). For people; what programs read is printed as it is. */
void standard_print_line (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* @text line by line, each as above. */
void standard_print_lines (const char *text);

/* The same on standard error, "classify: " before it. */
void standard_print_message (const char *format, ...) G_GNUC_PRINTF (1, 2);

G_END_DECLS
