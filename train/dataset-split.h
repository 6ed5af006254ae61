/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/dataset.h"

G_BEGIN_DECLS

/* Which pictures of a listed or decoded folder are held back to validate with: of each class
 * @fraction, but at least one and never all; drawn from (@seed, digest), so that neither names
 * nor folders nor the order in the file system matter, and a picture that is added moves few
 * others. Files with the same bytes are never on both sides; what lists name is never held
 * back. @data must have digests. @is_held: (out): data->n. Returns how many. */
guint dataset_split (const Dataset *data, double fraction, guint64 seed, gboolean *is_held);

/* Lists @dir, splits it, decodes the one part by @stored, the other by @pre. @train and @held
 * are nullable. Errors of dataset_load(), and NN_ERROR_FORMAT where nothing can be held
 * back. */
gboolean dataset_load_split (const char *dir, const DatasetOptions *options,
    const NnPreprocess *stored, const NnPreprocess *pre, Dataset **train, Dataset **held,
    GError **error);

/* "60 of cat, 2 of dog"; of more than 20 classes their number and range. (transfer full) */
char *dataset_describe_counts (const Dataset *data);

/* "a, b, c"; of more than 20 the first few, and how many more. @classes: NULL-terminated.
 * (transfer full) */
char *dataset_describe_classes (const char *const *classes);

/* Warns of classes with few pictures and, unless @is_balanced, of much rarer ones than
 * others. */
void dataset_warn_of_few (const Dataset *data, const char *dir, gboolean is_balanced);

G_END_DECLS
