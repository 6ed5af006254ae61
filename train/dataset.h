/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/folders.h"
#include "train/picture.h"
#include "train/store.h"

G_BEGIN_DECLS

typedef enum
{
  LAYOUT_FOLDERS, /* one folder a class */
  LAYOUT_PREFIX,  /* one flat folder, the class is the beginning of the name: cat.17.jpg */
} Layout;

/* Labelled pictures, decoded and resized once, kept as bytes. */
typedef struct
{
  guint n;
  char **paths;      /* n */
  guint *labels;     /* n: index of the class; the likeliest where labels are soft */
  float *targets;    /* (n, n_classes): probabilities, where any label is soft, or NULL */
  char **classes;    /* NULL-terminated, sorted by code points */
  guint n_classes;
  guint n_listed;     /* of the n, the last: those that lists named */
  guint n_unreadable; /* left out, each named in a warning */
  guint height, width;
  gsize sample_size; /* bytes: H * W * C */
  NnPreprocess pre;   /* that they were decoded by */
  guint8 *bytes;     /* (n, H, W, C), in the store; NULL after dataset_list() */
  Store store;
  PictureDigest *digests; /* n: of the files; NULL after dataset_list() */
  char *left_out; /* files that are no pictures ("2 .txt"), or NULL */
} Dataset;

typedef struct
{
  Layout layout;
  guint limit, limit_per_class; /* the first so many by name, as many of each class as can
                                 * be; 0: all */
  const char *const *classes;   /* expected ones (a model's labels), or NULL: what the folder has */
  guint threads;
  char **lists; /* of more pictures of the folder's classes (picture-list.h), or NULL */
  double held_fraction; /* > 0: only those that dataset_split() holds back */
  guint64 seed;
} DatasetOptions;

/* Lists and decodes; warns of files with the same bytes in two classes. Of known classes
 * one may be without pictures (a warning); of those found none may.
 * NN_ERROR_NOT_FOUND, _READ, _FORMAT (no picture, an empty class, one class
 * only, a folder that is a part of a data set), _NO_MEMORY. */
Dataset *dataset_load (const char *dir, const DatasetOptions *options, const NnPreprocess *pre,
    GError **error);
/* The same without decoding: paths, labels and classes of what the folder
 * holds, unreadable pictures too. */
Dataset *dataset_list (const char *dir, const DatasetOptions *options, GError **error);
/* Those of @data, decoded or not, whose @keep is TRUE, by @pre: copied where @data was
 * decoded by the same, else decoded. @dir is for messages. */
Dataset *dataset_load_part (const Dataset *data, const gboolean *keep, const char *dir,
    guint threads, const NnPreprocess *pre, GError **error);
/* Leaves out the pictures whose @keep is FALSE. */
void dataset_keep (Dataset *dataset, const gboolean *keep);
void dataset_free (Dataset *dataset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dataset, dataset_free)

/* Pictures without labels: all of @dir, sorted by path, those in sub-folders too.
 * labels are 0, classes NULL. */
Dataset *dataset_load_unlabelled (const char *dir, guint threads, const NnPreprocess *pre,
    GError **error);
/* @paths without labels; n may be 0. NN_ERROR_NO_MEMORY. */
Dataset *dataset_load_files (char **paths, guint n, guint threads, const NnPreprocess *pre,
    GError **error);

/* Warns, once, if files of @validation (in @dir) have the bytes of some that
 * are trained with. Returns how many. */
guint dataset_warn_of_shared (const Dataset *training, const Dataset *validation, const char *dir);

/* What dataset_load() checks and warns of: classes without pictures, of @n_found that there
 * were; files with the same bytes in two classes. @dir is for messages. */
gboolean dataset_check_classes (const char *dir, const Dataset *dataset, guint n_found,
    gboolean are_known, GError **error);
void dataset_warn_of_contradictions (const char *dir, const Dataset *dataset);

/* For tables whose keys are digests. */
guint picture_digest_hash (gconstpointer digest);
gboolean picture_digest_equal (gconstpointer a, gconstpointer b);

/* The class that a file's folder or the beginning of its name (cat.17.jpg)
 * tells, as an index of @classes; FALSE where neither does, or each another. */
gboolean picture_find_class (const char *path, const char *const *classes, guint *index);

G_END_DECLS
