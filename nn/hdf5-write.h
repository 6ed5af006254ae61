/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

/* Writes what Keras's files need of HDF5, with libhdf5; hdf5-write.c is the
 * only file that knows it. From nn_h5_writer_new() to nn_h5_writer_free() a
 * process-wide lock is held, as Debian's libhdf5 is not thread-safe: one at a
 * time in a thread. Meanwhile the library prints nothing.
 *
 * The file is made in memory: when the disk is full, libhdf5 would be left
 * with a file that it can neither write nor close. Errors: NN_ERROR_WRITE,
 * NN_ERROR_NO_MEMORY. */

typedef struct _NnH5Writer NnH5Writer;

/* Of about @size bytes in the end. */
NnH5Writer *nn_h5_writer_new (gsize size, GError **error);
/* Brings what was made to @path with nn_file_replace(). */
gboolean nn_h5_writer_save (NnH5Writer *writer, const char *path, GError **error);
/* To a new file, with nn_file_create(). */
gboolean nn_h5_writer_create (NnH5Writer *writer, const char *path, GError **error);
void nn_h5_writer_free (NnH5Writer *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnH5Writer, nn_h5_writer_free)

/* Groups above @path are made when needed. */
gboolean nn_h5_writer_add_group (NnH5Writer *writer, const char *path, GError **error);
/* As NumPy byte strings: fixed length, NUL-padded, ASCII; no items: an empty
 * float64 list, as Keras writes it. Cut into "name0", ... when long. */
gboolean nn_h5_writer_set_strings (NnH5Writer *writer, const char *path, const char *name,
    const char *const *strings, GError **error);
/* A scalar; @fixed as above, else of variable length (which has no limit). */
gboolean nn_h5_writer_set_string (NnH5Writer *writer, const char *path, const char *name,
    const char *string, gboolean fixed, GError **error);
gboolean nn_h5_writer_add_floats (NnH5Writer *writer, const char *path, const NnShape *shape,
    const float *values, GError **error);
gboolean nn_h5_writer_add_int (NnH5Writer *writer, const char *path, gint64 value, GError **error);

G_END_DECLS
