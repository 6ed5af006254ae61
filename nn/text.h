/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Text that strangers wrote (layer names, labels, file names), for people's eyes.
 * Thread-safety: safe. */

/* Whether @c may do something to where it is shown: a control character (also line feed and tab),
 * a line or paragraph separator, a mark or override of the writing direction, no character. */
gboolean nn_text_is_control (gunichar c);

/* @text with those characters, and bytes that are not UTF-8, as "\x1b" and "\u202e".
 * @length: in bytes, or -1. (transfer full): valid UTF-8 of one line */
char *nn_text_printable (const char *text, gssize length);

/* The same done to @error's message; @error may be NULL, or point to NULL. */
void nn_text_make_printable (GError **error);

G_END_DECLS
