/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/folders.h"

#include <stdlib.h>
#include <string.h>

#include "nn/error.h"
#include "nn/log.h"
#include "train/picture-kind.h"

#define MAX_DEPTH 16 /* of folders in folders */
#define MAX_KINDS 6  /* of files left out that are named */

gboolean
folder_skips (const char *name)
{
  static const char *const names[] = { "@eadir", "__macosx", "#recycle", "$recycle.bin",
    "lost+found", "system volume information", "thumbs.db", "desktop.ini", NULL };
  g_autofree char *lower = g_ascii_strdown (name, -1);

  return name[0] == '.' || g_strv_contains (names, lower);
}

static const char *const train_names[] = { "train", "training", NULL };
/* in order of preference */
static const char *const validate_names[]
    = { "validate", "validation", "valid", "val", "test", "testing", NULL };

gboolean
folder_is_part_name (const char *name)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);

  return g_strv_contains (train_names, lower) || g_strv_contains (validate_names, lower);
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *
folder_list_names (const char *dir, GError **error)
{
  g_autoptr (GError) local = NULL;
  GDir *handle = g_dir_open (dir, 0, &local);
  GPtrArray *names;
  const char *name;

  if (!handle) {
    g_set_error (error, NN_ERROR,
        g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? NN_ERROR_NOT_FOUND
                                                                  : NN_ERROR_READ,
        "%s: cannot list this folder: %s", dir, local->message);
    return NULL;
  }
  names = g_ptr_array_new_with_free_func (g_free);
  while ((name = g_dir_read_name (handle)))
    g_ptr_array_add (names, g_strdup (name));
  g_dir_close (handle);
  g_ptr_array_sort (names, compare_strings);
  return names;
}

/* The sub-folders of @path that are not skipped; @has_pictures: (out): it has some itself. */
static GPtrArray *
list_folders (const char *path, gboolean *has_pictures)
{
  g_autoptr (GPtrArray) names = folder_list_names (path, NULL);
  GPtrArray *folders = g_ptr_array_new_with_free_func (g_free);

  *has_pictures = FALSE;
  for (guint i = 0; names && i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autofree char *full = g_build_filename (path, name, NULL);

    if (folder_skips (name))
      continue;
    if (g_file_test (full, G_FILE_TEST_IS_DIR))
      g_ptr_array_add (folders, g_strdup (name));
    else
      *has_pictures = *has_pictures || picture_is_wanted (full, name);
  }
  return folders;
}

guint
folder_count_folders (const char *path)
{
  gboolean has_pictures;
  g_autoptr (GPtrArray) folders = list_folders (path, &has_pictures);

  return folders->len;
}

/* DIR/NAME of the first of @wanted that @folders has, in any case */
static char *
find_part (const char *dir, const GPtrArray *folders, const char *const *wanted)
{
  for (; *wanted; wanted++)
    for (guint i = 0; i < folders->len; i++)
      if (g_ascii_strcasecmp (g_ptr_array_index (folders, i), *wanted) == 0)
        return g_build_filename (dir, g_ptr_array_index (folders, i), NULL);
  return NULL;
}

void
folder_parts_find (const char *dir, gboolean is_flat, FolderParts *parts)
{
  *parts = (FolderParts) { .root = g_strdup (dir) };
  for (guint depth = 0; depth < MAX_DEPTH; depth++) {
    gboolean has_pictures, inner_has;
    g_autoptr (GPtrArray) folders = list_folders (parts->root, &has_pictures), inner = NULL;
    g_autofree char *only = NULL;

    parts->train = find_part (parts->root, folders, train_names);
    if (parts->train) {
      parts->validate = find_part (parts->root, folders, validate_names);
      return;
    }
    if (has_pictures || folders->len != 1)
      return;
    only = g_build_filename (parts->root, g_ptr_array_index (folders, 0), NULL);
    inner = list_folders (only, &inner_has);
    if (inner->len == 0 && !(is_flat && inner_has)) /* one class, which is told of */
      return;
    g_free (parts->root);
    parts->root = g_steal_pointer (&only);
  }
}

void
folder_parts_clear (FolderParts *parts)
{
  g_free (parts->root);
  g_free (parts->train);
  g_free (parts->validate);
}

/* --- what was left out ----------------------------------------------------------------- */

GHashTable *
left_out_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

void
left_out_add (GHashTable *left_out, const char *name)
{
  const char *dot = strrchr (name, '.');
  g_autofree char *valid = dot && strlen (dot) <= 16 ? g_utf8_make_valid (dot, -1) : g_strdup ("");
  char *suffix = g_utf8_strdown (valid, -1);

  g_hash_table_insert (left_out, suffix,
      GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (left_out, suffix)) + 1));
}

typedef struct
{
  const char *suffix;
  guint n;
} Count;

static int
compare_counts (gconstpointer a, gconstpointer b)
{
  const Count *x = a, *y = b;

  if (x->n != y->n)
    return x->n > y->n ? -1 : 1;
  return strcmp (x->suffix, y->suffix);
}

char *
left_out_to_string (GHashTable *left_out)
{
  g_autoptr (GArray) counts = g_array_new (FALSE, FALSE, sizeof (Count));
  GString *text;
  GHashTableIter iter;
  gpointer key, value;
  guint n_others = 0;

  g_hash_table_iter_init (&iter, left_out);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    Count count = { key, GPOINTER_TO_UINT (value) };

    g_array_append_val (counts, count);
  }
  if (counts->len == 0)
    return NULL;
  g_array_sort (counts, compare_counts);
  text = g_string_new (NULL);
  for (guint i = 0; i < counts->len; i++) {
    const Count *count = &g_array_index (counts, Count, i);

    if (i >= MAX_KINDS)
      n_others += count->n;
    else
      g_string_append_printf (text, "%s%u %s", i ? ", " : "", count->n,
          count->suffix[0] ? count->suffix : "without a suffix");
  }
  if (n_others)
    g_string_append_printf (text, ", %u others", n_others);
  return g_string_free (text, FALSE);
}

/* --- pictures ------------------------------------------------------------------------------ */

typedef struct
{
  GPtrArray *paths;
  GHashTable *seen; /* folders as they are without links */
  GHashTable *left_out;
} Walk;

/* Whether the folder is to be walked: not one that was, nor, through a link, one that holds
 * the link's own folder. */
static gboolean
enter (Walk *walk, const char *path, const char *parent)
{
  g_autofree char *real = realpath (path, NULL), *from = realpath (parent, NULL);
  const gsize n = real ? strlen (real) : 0;

  if (!real || !from
      || (strncmp (from, real, n) == 0 && (from[n] == '/' || from[n] == '\0' || n == 1)))
    return FALSE;
  return g_hash_table_add (walk->seen, g_strdup (real));
}

/* A folder's own pictures, then those of its sub-folders, as Keras walks. Sub-folders that
 * cannot be listed are warned of. */
static void
walk_folder (Walk *walk, const char *dir, const GPtrArray *names, guint depth)
{
  g_autoptr (GPtrArray) folders = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autofree char *path = g_build_filename (dir, name, NULL);

    if (folder_skips (name))
      continue;
    if (g_file_test (path, G_FILE_TEST_IS_DIR))
      g_ptr_array_add (folders, g_steal_pointer (&path));
    else if (picture_is_wanted (path, name))
      g_ptr_array_add (walk->paths, g_steal_pointer (&path));
    else if (walk->left_out)
      left_out_add (walk->left_out, name);
  }
  for (guint i = 0; i < folders->len && depth < MAX_DEPTH; i++) {
    const char *path = g_ptr_array_index (folders, i);
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) inner = NULL;

    if (!enter (walk, path, dir))
      continue;
    inner = folder_list_names (path, &error);
    if (inner)
      walk_folder (walk, path, inner, depth + 1);
    else
      nn_warning ("%s", error->message);
  }
}

GPtrArray *
pictures_list_with (const char *dir, GHashTable *left_out, GError **error)
{
  g_autoptr (GPtrArray) names = folder_list_names (dir, error);
  Walk walk = { .left_out = left_out };

  if (!names)
    return NULL;
  walk.paths = g_ptr_array_new_with_free_func (g_free);
  walk.seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  {
    char *real = realpath (dir, NULL);

    if (real)
      g_hash_table_add (walk.seen, g_strdup (real));
    free (real);
  }
  walk_folder (&walk, dir, names, 0);
  g_hash_table_unref (walk.seen);
  return walk.paths;
}

GPtrArray *
pictures_list (const char *dir, GError **error)
{
  return pictures_list_with (dir, NULL, error);
}
