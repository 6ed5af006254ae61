/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/error.h"
#include "nn/hdf5-read.h"
#include "nn/hdf5-write.h"
#include "nn/keras-file.h"

G_BEGIN_DECLS

/* Shared by the files that know Keras's HDF5 layout. */

/* Root attributes of ours. */
#define NN_KERAS_PREFIX "classify_"
#define NN_KERAS_LABELS "classify_labels"
#define NN_KERAS_PREPROCESS "classify_preprocess"
#define NN_KERAS_TEMPERATURE "classify_temperature" /* a number as text */

/* Sets "@path: ..." as people may see it, and returns FALSE. */
gboolean nn_keras_fail (GError **error, NnErrorCode code, const char *path, const char *format,
    ...) G_GNUC_PRINTF (4, 5);

/* Is it the labels' attribute, or a part of it ("classify_labels0")? */
gboolean nn_keras_is_labels (const char *attribute);

/* Pre-processing as JSON text; it must make what @model takes. */
gboolean nn_keras_parse_preprocess (const char *text, const char *file, const NnModel *model,
    NnPreprocess *pre, GError **error);
char *nn_keras_format_preprocess (const NnPreprocess *pre);
guint nn_keras_count_channels (NnChannels channels);

/* keras-archive.c: what a .keras archive holds. */
typedef struct
{
  char *config;   /* config.json */
  gsize config_size;
  guint keras;    /* of metadata.json; 0: not known */
  int fd;         /* model.weights.h5, in memory; -1: there is none */
  char *weights;  /* a path by which nn_h5_open() finds it while fd is open */
} NnKerasArchive;

/* @max_weights: bytes that the weights may have, told by @limit from the config when that was read
 * (it comes first). NN_ERROR_FORMAT: broken, members twice, more than they may have. */
typedef guint64 (*NnKerasLimit) (const NnKerasArchive *archive, gpointer user_data);
gboolean nn_keras_archive_read (const char *path, NnKerasLimit limit, gpointer user_data,
    NnKerasArchive *archive, GError **error);
void nn_keras_archive_clear (NnKerasArchive *archive);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NnKerasArchive, nn_keras_archive_clear)

/* NN_ERROR_FORMAT or _UNSUPPORTED with what @path is instead, and the remedy. */
gboolean nn_keras_check_is_hdf5 (const char *path, GError **error);

/* Is there an attribute @name of @path, also where Keras has cut it into "name0", "name1", ...? */
gboolean nn_keras_has_list (NnH5 *h5, const char *path, const char *name);
/* A text attribute. (transfer full) */
char *nn_keras_get_string (NnH5 *h5, const char *path, const char *name, GError **error);
/* "2.15.0", "2.2.4-tf": 2; 0: not known. @version may be NULL. */
guint nn_keras_parse_version (const char *version);

/* What is to be read, into @copies of nn_keras_copies_new(): shapes and places are looked at, no
 * memory is taken. *@n_matched: layers of the outermost model that get weights. */
GPtrArray *nn_keras_copies_new (void);
gboolean nn_keras_plan_weights (NnH5 *h5, const char *file, const NnModel *model,
    NnWeightsMatch match, GPtrArray *copies, guint *n_matched, GError **error);
/* ... and read, into a block of nn_model_new_values(). */
gboolean nn_keras_read_weights (
    NnH5 *h5, const char *file, GPtrArray *copies, float *values, GError **error);

/* The root attribute training_config and the group optimizer_weights. */
gboolean nn_keras_write_optimizer (NnH5Writer *writer, const NnModel *model,
    const NnOptimizer *optimizer, const char *loss, GError **error);

G_END_DECLS
