/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What memory there is. Linux grants more than it has and ends a process later, so that large
 * sizes, above all those that a file names, are compared with it first.
 * Thread-safety: safe. */

/* Bytes that the machine can give without swapping (MemAvailable); G_MAXUINT64 where it does not
 * tell. */
guint64 nn_memory_get_available (void);

/* FALSE with NN_ERROR_NO_MEMORY, which tells both numbers, where @bytes are more than that. Sizes
 * below 64 MiB are not looked at. @what: "the model's parameters" */
gboolean nn_memory_check (guint64 bytes, const char *what, GError **error);

G_END_DECLS
