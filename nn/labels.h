/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Class names from a text file: UTF-8, one a line in the order of the
 * network's outputs; white space around a name, empty lines and lines that
 * begin with '#' are skipped; lines may end in CR LF. Where every line begins with its
 * own index, from 0 on, and a space ("0 Cat", Teachable Machine's), these are left out.
 * (transfer full): NULL-terminated, or NULL with NN_ERROR_FORMAT that names
 * the line, or what reading gives. They are cleaned (see below).
 * Whether their number fits a network is told by nn_model_set_labels(). */
char **nn_labels_load (const char *path, GError **error);

/* Labels as they may be shown, stored and written into subtitles; of a model's file and of a file
 * of labels alike. A label is UTF-8 of at most 4,096 bytes, not empty, without control characters,
 * line separators and marks of the writing direction: these become one space, what is longer is
 * cut behind a character, and what is empty then has its number for a name, as classes without
 * labels have. Such a network can be used all the same: one warning tells of the first label that
 * was changed, and one of the first that two classes have.
 * @origin: for the warnings, or NULL: none. (transfer full) */
char **nn_labels_clean (const char *const *labels, const char *origin);

/* One of them, class @index: for comparing a name from elsewhere with labels. (transfer full) */
char *nn_label_clean (const char *label, guint index);

/* The same of @size bytes of text; @origin names it in errors. */
char **nn_labels_parse (const char *text, gsize size, const char *origin, GError **error);

G_END_DECLS
