/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Class names as names of folders and files, and back. Of two labels that differ the names
 * differ, too. Not safe in a name, and written as %XX for each byte: / \ : * ? " < > | and
 * control, format and separator characters anywhere; '.', '-', '~' and spaces where the name
 * begins; '.' and spaces where it ends; what is not UTF-8; '%' before two hexadecimal digits.
 * Of a name of more than NN_LABEL_NAME_MAX bytes the first are kept, then '~' and a hash. */

#define NN_LABEL_NAME_MAX 200

/* @is_prefix: for a file "NAME.number.jpg", from which "NAME" is to be read: without '.', and
 * without a number at its end. (transfer full) */
char *nn_label_to_name (const char *label, gboolean is_prefix);

/* The label of a name that nn_label_to_name() made; any other name is a label as it is, one
 * that was cut, too. (transfer full) */
char *nn_label_from_name (const char *name);

G_END_DECLS
