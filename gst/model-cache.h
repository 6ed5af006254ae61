/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/model.h"

G_BEGIN_DECLS

/* Elements that name the same files share one model in memory, as long as one
 * of them uses it and the files have not changed since. @weights and
 * @labels_file may be NULL. (transfer full), given back by model_cache_release(). */
NnModel *model_cache_get (const char *model, const char *weights, const char *labels_file,
    GError **error);
void model_cache_release (NnModel *model);

/* Tells whether files have changed: names, sizes, times and inodes. (transfer full) */
char *model_cache_make_key (const char *model, const char *weights, const char *labels_file);

G_END_DECLS
