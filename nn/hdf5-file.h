/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

/* What Keras's files need of HDF5, with GErrors and bounds; hdf5-file.c is the
 * only file that knows libhdf5.
 *
 * From nn_h5_open() or nn_h5_new() to nn_h5_free() a process-wide lock is
 * held, as Debian's library is not thread-safe: one NnH5 at a time in a
 * thread, and briefly. Meanwhile the library prints nothing.
 *
 * Paths are absolute ("/", "/model_weights/conv2d_1") and followed through
 * hard links only: a soft or external link is refused, so that a file cannot
 * lead to another file. */

typedef struct _NnH5 NnH5;

/* For reading. NN_ERROR_FORMAT: not HDF5, or damaged. */
NnH5 *nn_h5_open (const char *path, GError **error);
/* A new file in memory, of about @size bytes in the end; for writing. */
NnH5 *nn_h5_new (gsize size, GError **error);
/* Writes what was made to @path with nn_file_replace(). */
gboolean nn_h5_save (NnH5 *h5, const char *path, GError **error);
void nn_h5_free (NnH5 *h5);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnH5, nn_h5_free)

/* --- reading ------------------------------------------------------------ */

gboolean nn_h5_has (NnH5 *h5, const char *path);
gboolean nn_h5_has_attribute (NnH5 *h5, const char *path, const char *name);

/* Text attribute in any of HDF5's forms: of fixed or variable length, ASCII or
 * UTF-8, padded with NUL or spaces, scalar or 1-D; a list of no items may have
 * any type. (transfer full): NULL-terminated. */
char **nn_h5_get_strings (NnH5 *h5, const char *path, const char *name, GError **error);

/* The same, also where Keras has cut a long list into "name0", "name1", ...;
 * an empty list where there is none. */
char **nn_h5_get_long_strings (NnH5 *h5, const char *path, const char *name, GError **error);

/* Names of the root's attributes that start with @prefix. (transfer full) */
char **nn_h5_list_attributes (NnH5 *h5, const char *prefix, GError **error);

/* Sizes of a dataset of numbers that really are in the file. */
gboolean nn_h5_get_shape (NnH5 *h5, const char *path, NnShape *shape, GError **error);
/* Reads a dataset of exactly @shape (NN_ERROR_SHAPE) and any number type. */
gboolean nn_h5_read_floats (NnH5 *h5, const char *path, const NnShape *shape, float *values,
    GError **error);
/* A scalar or the one value of a list. */
gboolean nn_h5_read_int (NnH5 *h5, const char *path, gint64 *value, GError **error);

/* --- writing ------------------------------------------------------------ */

/* Groups above @path are made when needed. */
gboolean nn_h5_make_group (NnH5 *h5, const char *path, GError **error);
/* As NumPy byte strings: fixed length, NUL-padded, ASCII; no items: an empty
 * float64 list, as Keras writes it. Cut into "name0", ... when long. */
gboolean nn_h5_set_strings (NnH5 *h5, const char *path, const char *name,
    const char *const *strings, GError **error);
/* A scalar; @fixed as above, else of variable length (which has no limit). */
gboolean nn_h5_set_string (NnH5 *h5, const char *path, const char *name, const char *string,
    gboolean fixed, GError **error);
gboolean nn_h5_write_floats (NnH5 *h5, const char *path, const NnShape *shape, const float *values,
    GError **error);
gboolean nn_h5_write_int (NnH5 *h5, const char *path, gint64 value, GError **error);

G_END_DECLS
