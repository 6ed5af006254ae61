/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

/* Reads HDF5 files of the layout that Keras writes, without libhdf5.
 *
 * A model file is somebody else's bytes, and libhdf5 follows them further than
 * they go: a few flipped bits crash 1.10.8 (in H5HG_read(), first of all).
 * This reader checks every address and size before it is used, bounds its work
 * by the size of the file, and takes no lock.
 *
 * It knows superblocks 0 and 1, object headers 1, groups as symbol tables (or
 * with a few links in the header), attributes in the header, text of fixed and
 * variable length, float16/32/64 and whole numbers in either byte order,
 * compact, contiguous and chunked storage with deflate, shuffle and
 * fletcher32: all of what h5py and libhdf5 write unless told to write for new
 * versions only (libver="latest"), which NN_ERROR_UNSUPPORTED explains.
 *
 * Paths are absolute ("/", "/model_weights/conv2d_1") and followed through
 * hard links only: soft and external links are refused, so that a file cannot
 * lead to another one. */

typedef struct _NnH5 NnH5;

/* NN_ERROR_NOT_FOUND, _READ, _FORMAT (not HDF5, truncated), _UNSUPPORTED. */
NnH5 *nn_h5_open (const char *path, GError **error);
void nn_h5_close (NnH5 *h5);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnH5, nn_h5_close)

/* FALSE also where the way there is damaged: nn_h5_get_damage() then has the
 * reason. */
gboolean nn_h5_has (NnH5 *h5, const char *path);
gboolean nn_h5_has_attribute (NnH5 *h5, const char *path, const char *name);
/* TRUE and @error set when one of the two met something broken so far. */
gboolean nn_h5_get_damage (NnH5 *h5, GError **error);

/* Text attribute in any of HDF5's forms: of fixed or variable length, ASCII or
 * UTF-8, padded with NUL or spaces, scalar or 1-D; a list of no items may have
 * any type. (transfer full): NULL-terminated. */
char **nn_h5_get_strings (NnH5 *h5, const char *path, const char *name, GError **error);

/* The same, also where Keras has cut a long list into "name0", "name1", ...;
 * an empty list where there is none. */
char **nn_h5_get_long_strings (NnH5 *h5, const char *path, const char *name, GError **error);

/* Names of the root's attributes that start with @prefix. (transfer full) */
char **nn_h5_list_attributes (NnH5 *h5, const char *prefix, GError **error);

/* Sizes of a dataset of numbers whose values are in the file. */
gboolean nn_h5_get_shape (NnH5 *h5, const char *path, NnShape *shape, GError **error);
/* Reads a dataset of exactly @shape (NN_ERROR_SHAPE) and any number type. */
gboolean nn_h5_read_floats (NnH5 *h5, const char *path, const NnShape *shape, float *values,
    GError **error);
/* A scalar or the one value of a list. */
gboolean nn_h5_read_int (NnH5 *h5, const char *path, gint64 *value, GError **error);

G_END_DECLS
