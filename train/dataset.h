/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/image.h"
#include "train/recipe.h"

G_BEGIN_DECLS

/* Labelled pictures, decoded and resized once, kept as bytes. */
typedef struct
{
  guint n;
  char **paths;      /* n */
  guint *labels;     /* n: index of the class */
  char **classes;    /* NULL-terminated, sorted by code points */
  guint n_classes;
  guint n_unreadable; /* left out, each named in a warning */
  gsize sample_size; /* bytes: H * W * C */
  guint8 *bytes;     /* (n, H, W, C) */
} Dataset;

typedef struct
{
  Layout layout;
  guint limit, limit_per_class; /* the first so many by name; 0: all */
  const char *const *classes;   /* expected ones (a model's labels), or NULL: what the folder has */
  guint threads;
} DatasetOptions;

/* Lists and decodes. NN_ERROR_NOT_FOUND, _READ, _FORMAT (no picture, an empty
 * class, one class only), _NO_MEMORY. */
Dataset *dataset_load (const char *dir, const DatasetOptions *options, const NnPreprocess *pre,
    GError **error);
void dataset_free (Dataset *dataset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dataset, dataset_free)

/* One picture file to (H, W, C) bytes. EXIF orientation is honoured, alpha
 * dropped. NN_ERROR_READ, _FORMAT, _SHAPE. */
gboolean picture_load (const char *path, const NnPreprocess *pre, guint8 *dst, GError **error);

/* Picture files of a folder, sorted, then those of its sub-folders (links to
 * folders are not followed); or NULL. (transfer full) */
GPtrArray *pictures_list (const char *dir, GError **error);

G_END_DECLS
