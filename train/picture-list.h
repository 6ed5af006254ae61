/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Labelled pictures named by a CSV file (RFC 4180) with a header:
 *
 *   file,label,confidence
 *   pictures/17.jpg,cat,0.998
 *
 * A file is relative to the folder of the list. What is given is told by the
 * header, in any order: "file", and "label" or, for soft labels, columns
 * "probability:CLASS" of each class, which count then. Other columns are for
 * people. */
typedef struct
{
  guint n;
  char **paths;         /* n, NULL-terminated */
  char **labels;        /* n, NULL-terminated; NULL: the list has soft labels */
  char **classes;       /* of the soft labels, NULL-terminated, or NULL */
  float *probabilities; /* (n, classes), each row sums to 1; or NULL */
} PictureList;

/* Errors name the line. NN_ERROR_NOT_FOUND, _READ, _FORMAT, _NO_MEMORY. */
PictureList *picture_list_load (const char *path, GError **error);
void picture_list_free (PictureList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PictureList, picture_list_free)

typedef struct
{
  guint line;    /* of the file where it begins, from 1 */
  char **fields; /* NULL-terminated */
} CsvRow;

/* (transfer full) (element-type CsvRow): the rows of @text, empty lines skipped.
 * @path is for messages. NN_ERROR_FORMAT. */
GPtrArray *csv_parse (const char *path, const char *text, GError **error);

/* Appends a field, in quotes where it needs them. */
void csv_append (GString *csv, const char *field);

/* @path as a list in @list_dir names it: relative where it is below that folder,
 * else absolute. (transfer full) */
char *picture_list_name (const char *list_dir, const char *path);

G_END_DECLS
