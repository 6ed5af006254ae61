/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Reads a regular file of at most @max_size bytes into memory, with a NUL
 * behind it. @what: what the file should be, for messages ("a network JSON").
 * (transfer full): or NULL with NN_ERROR_NOT_FOUND, _READ (also: a directory,
 * a pipe), _FORMAT (empty or too large) or _NO_MEMORY. */
char *nn_file_read (const char *path, gsize max_size, const char *what, gsize *size,
    GError **error);

/* The first @max_size bytes of a regular file, for telling kinds apart by
 * content; *@size: how many there are. Errors as above, but an empty file is
 * none. */
gboolean nn_file_peek (const char *path, guint8 *head, gsize max_size, gsize *size, GError **error);

/* Replaces the content of @path so that it always is the old or the new one,
 * also when the process is killed or the disk full: written to ".NAME.part"
 * beside it, synced, renamed, the directory synced. A symbolic link stays one.
 * What a killed process left behind is overwritten by the next call, and two
 * writers of one path do not mix: the second fails. NN_ERROR_WRITE. */
gboolean nn_file_replace (const char *path, gconstpointer data, gsize size, GError **error);

G_END_DECLS
