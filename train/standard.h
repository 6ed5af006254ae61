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

G_END_DECLS
