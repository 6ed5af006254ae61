/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Folders of pictures as people have them. */

/* What is nobody's class or picture: hidden names, @eaDir, __MACOSX, Thumbs.db and such. */
gboolean folder_skips (const char *name);

/* Whether @name, in any case, is that of a part of a data set: train, training; val, valid,
 * validate, validation; test, testing. */
gboolean folder_is_part_name (const char *name);
/* Sub-folders that are not skipped; 0 where @path cannot be listed. */
guint folder_count_folders (const char *path);

/* Where in a folder that is named to a command its parts lie. */
typedef struct
{
  char *root;     /* the folder, or the one that is alone in it (a zip in a zip) */
  char *train;    /* NULL: it has no such part */
  char *validate; /* with train only; where there is none, but a part to test, that; or NULL */
} FolderParts;

/* @is_flat: pictures lie in the folder itself, not in folders of classes. */
void folder_parts_find (const char *dir, gboolean is_flat, FolderParts *parts);
void folder_parts_clear (FolderParts *parts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FolderParts, folder_parts_clear)

/* (transfer full): names in @dir, sorted by code points. NN_ERROR_NOT_FOUND, _READ. */
GPtrArray *folder_list_names (const char *dir, GError **error);

/* Picture files of a folder, sorted, then those of its sub-folders, links to folders too,
 * but none twice and none that leads back up; hidden ones and the like are skipped.
 * @left_out: (nullable): of the files that are no pictures, suffix -> count.
 * (transfer full), or NULL. */
GPtrArray *pictures_list_with (const char *dir, GHashTable *left_out, GError **error);
GPtrArray *pictures_list (const char *dir, GError **error);

/* For pictures_list_with() and the following. (transfer full) */
GHashTable *left_out_new (void);
void left_out_add (GHashTable *left_out, const char *name);
/* (transfer full): "6 .heic, 2 .txt", or NULL where nothing was left out. */
char *left_out_to_string (GHashTable *left_out);

G_END_DECLS
