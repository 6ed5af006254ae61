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
 * also when the process is killed or the disk full: written to a new file
 * ".NAME.DIGITS.part" beside it, synced, renamed, the directory synced. A
 * symbolic link stays one, the mode of the replaced file too; a new one has
 * what the umask leaves. Of two writers of one path the later one's content
 * stays; nn_file_lock() keeps a second one out. NN_ERROR_WRITE. */
gboolean nn_file_replace (const char *path, gconstpointer data, gsize size, GError **error);

/* Makes a file that is new, for names that the program chooses itself: G_FILE_ERROR_EXIST where
 * something has the name, be it a link that leads nowhere. Complete or not there, as above.
 * @is_own_folder: its folder's name is such a one, too, and must not be a link.
 * NN_ERROR_WRITE. */
gboolean nn_file_create (const char *path, gboolean is_own_folder, gconstpointer data, gsize size,
    GError **error);

/* Keeps other processes of this user that lock @path, too, from writing it,
 * until nn_file_unlock() or the end of the process, and removes the part files
 * that killed ones left. @path need not exist. The lock is a file
 * ".NAME.lock" beside it; where that cannot be made, or another user put one
 * there, nothing is locked.
 * (transfer full): or NULL with NN_ERROR_WRITE where another process has it. */
typedef struct _NnFileLock NnFileLock;
NnFileLock *nn_file_lock (const char *path, GError **error);
void nn_file_unlock (NnFileLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnFileLock, nn_file_unlock)

/* Removes what killed processes of this user left of nn_file_replace(). To be called where
 * no living one can be writing @path: by the holder of a lock. */
void nn_file_remove_parts (const char *path);

G_END_DECLS
