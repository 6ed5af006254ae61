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
 * the line, or what reading gives. Whether their number fits a network is told
 * by nn_model_set_labels(). */
char **nn_labels_load (const char *path, GError **error);

/* The same of @size bytes of text; @origin names it in errors. */
char **nn_labels_parse (const char *text, gsize size, const char *origin, GError **error);

G_END_DECLS
