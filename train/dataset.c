/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/dataset.h"

#include <string.h>

#include "nn/label-name.h"
#include "nn/error.h"
#include "nn/log.h"
#include "nn/model.h"
#include "train/picture-list.h"

#define MAX_DEPTH 16 /* of folders in folders */
/* --- listing ---------------------------------------------------------------------- */

static gboolean
is_picture_name (const char *name)
{
  /* what gdk-pixbuf's usual loaders read; hidden files are nobody's pictures */
  static const char *const endings[] = { ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm",
    ".tif", ".tiff", ".webp" };
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; name[0] != '.' && i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (lower, endings[i]))
      return TRUE;
  return FALSE;
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* names in @dir, sorted by code points */
static GPtrArray *
list_names (const char *dir, GError **error)
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

/* As Keras walks: a folder's own pictures, then those of its sub-folders, links
 * to folders not followed. Sub-folders that cannot be listed are warned of. */
static void
list_recursively (const char *dir, const GPtrArray *names, guint depth, GPtrArray *paths)
{
  g_autoptr (GPtrArray) folders = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autofree char *path = g_build_filename (dir, name, NULL);

    if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
      if (!g_file_test (path, G_FILE_TEST_IS_SYMLINK))
        g_ptr_array_add (folders, g_steal_pointer (&path));
    } else if (is_picture_name (name)) {
      g_ptr_array_add (paths, g_steal_pointer (&path));
    }
  }
  for (guint i = 0; i < folders->len && depth < MAX_DEPTH; i++) {
    const char *path = g_ptr_array_index (folders, i);
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) inner = list_names (path, &error);

    if (inner)
      list_recursively (path, inner, depth + 1, paths);
    else
      nn_warning ("%s", error->message);
  }
}

GPtrArray *
pictures_list (const char *dir, GError **error)
{
  g_autoptr (GPtrArray) names = list_names (dir, error);
  GPtrArray *paths;

  if (!names)
    return NULL;
  paths = g_ptr_array_new_with_free_func (g_free);
  list_recursively (dir, names, 0, paths);
  return paths;
}

/* "cat.17.jpg", "cat-17.jpg", "cat_17.jpg" -> "cat"; NULL: no such name */
static char *
prefix_class (const char *name)
{
  g_autofree char *prefix = NULL;
  gsize n = strcspn (name, ".");

  for (gsize i = 1; i + 1 < n; i++) {
    if ((name[i] == '-' || name[i] == '_') && strspn (name + i + 1, "0123456789") == n - i - 1) {
      n = i;
      break;
    }
  }
  if (n == 0)
    return NULL;
  prefix = g_strndup (name, n);
  return nn_label_from_name (prefix);
}

static gboolean
find_string (const char *const *strings, const char *wanted, guint *index)
{
  for (guint i = 0; wanted && strings[i]; i++) {
    if (strcmp (strings[i], wanted) == 0) {
      *index = i;
      return TRUE;
    }
  }
  return FALSE;
}

gboolean
picture_find_class (const char *path, const char *const *classes, guint *index)
{
  g_autofree char *full = g_canonicalize_filename (path, NULL);
  g_autofree char *dir = g_path_get_dirname (full), *parent = g_path_get_basename (dir);
  g_autofree char *folder = nn_label_from_name (parent);
  g_autofree char *name = g_path_get_basename (full), *prefix = prefix_class (name);
  guint by_folder = 0, by_name = 0;
  gboolean has_folder = find_string (classes, folder, &by_folder);
  gboolean has_name = find_string (classes, prefix, &by_name);

  if ((!has_folder && !has_name) || (has_folder && has_name && by_folder != by_name))
    return FALSE;
  *index = has_folder ? by_folder : by_name;
  return TRUE;
}

typedef struct
{
  char *path;
  char *class_name;
} Entry;

static void
entry_clear (gpointer data)
{
  Entry *entry = data;

  g_free (entry->path);
  g_free (entry->class_name);
}

static gboolean
list_entries (const char *dir, Layout layout, GArray *entries, GPtrArray *classes, GError **error)
{
  g_autoptr (GPtrArray) names = list_names (dir, error);

  if (!names)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autofree char *path = g_build_filename (dir, name, NULL);

    if (layout == LAYOUT_FOLDERS && name[0] != '.' && g_file_test (path, G_FILE_TEST_IS_DIR)) {
      g_autoptr (GPtrArray) pictures = pictures_list (path, error);

      if (!pictures)
        return FALSE;
      if (pictures->len == 0) {
        g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
            "%s: the folder of this class holds no picture: fill or remove it", path);
        return FALSE;
      }
      g_ptr_array_add (classes, nn_label_from_name (name));
      for (guint p = 0; p < pictures->len; p++) {
        Entry entry = { g_strdup (g_ptr_array_index (pictures, p)), nn_label_from_name (name) };

        g_array_append_val (entries, entry);
      }
    } else if (layout == LAYOUT_PREFIX && is_picture_name (name)) {
      Entry entry = { g_strdup (path), prefix_class (name) };

      if (!g_ptr_array_find_with_equal_func (classes, entry.class_name, g_str_equal, NULL))
        g_ptr_array_add (classes, g_strdup (entry.class_name));
      g_array_append_val (entries, entry);
    }
  }
  g_ptr_array_sort (classes, compare_strings);
  return TRUE;
}

/* --- decoding ----------------------------------------------------------------------- */

typedef struct
{
  Dataset *dataset;
  const NnPreprocess *pre;
  char **failures; /* of each picture, NULL = read */
} Decoding;

static void
decode_task (gpointer item, gpointer user_data)
{
  Decoding *d = user_data;
  guint i = GPOINTER_TO_UINT (item) - 1;
  g_autoptr (GError) error = NULL;

  if (!picture_load_with_digest (d->dataset->paths[i], d->pre,
          d->dataset->bytes + i * d->dataset->sample_size, &d->dataset->digests[i], &error))
    d->failures[i] = g_strdup (error->message);
}

static void
drop_failures (Dataset *dataset, char **failures)
{
  g_autofree gboolean *keep = g_new (gboolean, dataset->n);

  for (guint i = 0; i < dataset->n; i++) {
    keep[i] = !failures[i];
    if (failures[i]) {
      nn_warning ("left out: %s", failures[i]);
      dataset->n_unreadable++;
    }
  }
  dataset_keep (dataset, keep);
}

/* Takes the memory for dataset->paths and fills it; what cannot be read is left out. */
static gboolean
decode (const char *dir, Dataset *dataset, guint threads, const NnPreprocess *pre, GError **error)
{
  const guint n = dataset->n;
  Decoding decoding;
  GThreadPool *pool;
  gsize size;

  dataset->height = pre->height;
  dataset->width = pre->width;
  dataset->sample_size
      = (gsize) pre->width * pre->height * nn_preprocess_get_n_channels (pre);
  if (!g_size_checked_mul (&size, n, dataset->sample_size)
      || !(dataset->bytes = g_try_malloc (size))) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "%s: not enough memory for %u pictures of %ux%u pixels", dir, n, pre->width, pre->height);
    return FALSE;
  }
  dataset->digests = g_new (PictureDigest, n + 1);
  decoding = (Decoding) { dataset, pre, g_new0 (char *, n + 1) };
  pool = g_thread_pool_new (decode_task, &decoding, (int) MAX (threads, 1), FALSE, NULL);
  for (guint i = 0; i < n; i++)
    g_thread_pool_push (pool, GUINT_TO_POINTER (i + 1), NULL);
  g_thread_pool_free (pool, FALSE, TRUE);
  drop_failures (dataset, decoding.failures);
  for (guint i = 0; i < n; i++)
    g_free (decoding.failures[i]);
  g_free (decoding.failures);
  return TRUE;
}

static gboolean
check_classes (const char *dir, Dataset *dataset, guint n_found, GError **error)
{
  g_autofree guint *counts = g_new0 (guint, dataset->n_classes);

  if (dataset->n == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: none of the %u pictures can be read", dir,
        n_found);
    return FALSE;
  }
  for (guint i = 0; i < dataset->n; i++)
    counts[dataset->labels[i]]++;
  for (guint c = 0; c < dataset->n_classes; c++) {
    if (counts[c] == 0)
      nn_warning ("%s: there is no readable picture of class \"%s\"", dir, dataset->classes[c]);
  }
  return TRUE;
}

static guint
digest_hash (gconstpointer digest)
{
  guint hash;

  memcpy (&hash, digest, sizeof hash);
  return hash;
}

static gboolean
digest_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (PictureDigest)) == 0;
}

/* digest -> index + 1 of the first picture that has it; borrows from @dataset */
static GHashTable *
index_digests (const Dataset *dataset)
{
  GHashTable *table = g_hash_table_new (digest_hash, digest_equal);

  for (guint i = dataset->n; i-- > 0;)
    g_hash_table_insert (table, &dataset->digests[i], GUINT_TO_POINTER (i + 1));
  return table;
}

/* one picture cannot be two things: one of the labels is wrong */
static void
warn_of_contradictions (const char *dir, const Dataset *dataset)
{
  g_autoptr (GHashTable) table = index_digests (dataset);
  guint n = 0;

  for (guint i = 0; i < dataset->n; i++) {
    guint first = GPOINTER_TO_UINT (g_hash_table_lookup (table, &dataset->digests[i])) - 1;

    if (dataset->labels[first] != dataset->labels[i]) {
      nn_warning ("%s and %s: the same picture in two classes, \"%s\" and \"%s\"",
          dataset->paths[first], dataset->paths[i], dataset->classes[dataset->labels[first]],
          dataset->classes[dataset->labels[i]]);
      n++;
    }
  }
  if (n > 0)
    nn_warning ("%s: %u picture%s in a second class: keep each in the right one", dir, n,
        n == 1 ? " is also" : "s are also");
}

guint
dataset_warn_of_shared (const Dataset *training, const Dataset *validation, const char *dir)
{
  g_autoptr (GHashTable) table = index_digests (training);
  guint n = 0, first = 0, twin = 0;

  for (guint i = validation->n; i-- > 0;) {
    guint found = GPOINTER_TO_UINT (g_hash_table_lookup (table, &validation->digests[i]));

    if (found) {
      first = i;
      twin = found - 1;
      n++;
    }
  }
  if (n > 0)
    nn_warning ("%s: %u of these %u pictures %s also trained with (%s is %s): the validation looks "
                "better than it is",
        dir, n, validation->n, n == 1 ? "is" : "are", validation->paths[first],
        training->paths[twin]);
  return n;
}

/* --- lists ------------------------------------------------------------------------------ */

static gboolean
find_class (const Dataset *dataset, const char *list, const char *label, guint *index,
    GError **error)
{
  g_autofree char *known = NULL;

  if (find_string ((const char *const *) dataset->classes, label, index))
    return TRUE;
  known = g_strjoinv (", ", dataset->classes);
  g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: class \"%s\" is not one of those known: %s",
      list, label, known);
  return FALSE;
}

/* one row for each picture, until now all sure of their labels */
static void
make_targets (Dataset *dataset, guint n)
{
  if (dataset->targets)
    return;
  dataset->targets = g_new0 (float, (gsize) n * dataset->n_classes);
  for (guint i = 0; i < n; i++)
    dataset->targets[(gsize) i * dataset->n_classes + dataset->labels[i]] = 1;
}

/* @list's pictures behind those that @dataset has; not decoded yet */
static gboolean
append_list (Dataset *dataset, const char *path, const PictureList *list, GError **error)
{
  const guint n = dataset->n, n_soft = g_strv_length (list->classes);
  const guint n_classes = dataset->n_classes, n_all = n + list->n;
  g_autofree guint *columns = g_new0 (guint, n_soft + 1);

  if (n_soft && n_soft != n_classes) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: has probabilities of %u classes, there are %u", path, n_soft, n_classes);
    return FALSE;
  }
  for (guint c = 0; c < n_soft; c++)
    if (!find_class (dataset, path, list->classes[c], &columns[c], error))
      return FALSE;
  dataset->paths = g_renew (char *, dataset->paths, n_all + 1);
  memset (dataset->paths + n, 0, (list->n + 1) * sizeof (char *));
  dataset->labels = g_renew (guint, dataset->labels, n_all);
  if (n_soft)
    make_targets (dataset, n);
  if (dataset->targets)
    dataset->targets = g_renew (float, dataset->targets, (gsize) n_all * n_classes);
  for (guint i = 0; i < list->n; i++) {
    float *target = dataset->targets ? dataset->targets + (gsize) (n + i) * n_classes : NULL;
    guint *label = &dataset->labels[n + i];

    if (list->labels && !find_class (dataset, path, list->labels[i], label, error))
      return FALSE;
    if (target)
      memset (target, 0, n_classes * sizeof (float));
    if (target && list->labels)
      target[*label] = 1;
    for (guint c = 0; c < n_soft; c++)
      target[columns[c]] = list->probabilities[(gsize) i * n_soft + c];
    if (n_soft)
      nn_top_k (target, n_classes, 1, label);
    dataset->paths[n + i] = g_strdup (list->paths[i]);
  }
  dataset->n = n_all;
  dataset->n_listed += list->n;
  return TRUE;
}

static gboolean
add_list (Dataset *dataset, const char *path, GError **error)
{
  g_autoptr (PictureList) list = picture_list_load (path, error);
  guint n_there = 0;

  if (!list)
    return FALSE;
  if (list->n == 0)
    nn_warning ("%s: names no picture", path);
  for (guint i = 0; i < list->n; i++)
    n_there += g_file_test (list->paths[i], G_FILE_TEST_EXISTS);
  if (list->n > 0 && n_there == 0) { /* a list that was moved */
    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
        "%s: none of the %u pictures that it names is there, as %s: names are relative to the "
        "folder of the list",
        path, list->n, list->paths[0]);
    return FALSE;
  }
  return append_list (dataset, path, list, error);
}

Dataset *
dataset_list (const char *dir, const DatasetOptions *options, GError **error)
{
  g_autoptr (Dataset) dataset = g_new0 (Dataset, 1);
  g_autoptr (GArray) entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  g_autoptr (GPtrArray) classes = g_ptr_array_new_with_free_func (g_free);
  g_autofree guint *taken = NULL;

  g_array_set_clear_func (entries, entry_clear);
  if (!list_entries (dir, options->layout, entries, classes, error))
    return NULL;
  if (entries->len == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        options->layout == LAYOUT_FOLDERS
            ? "%s: no picture found: expected one sub-folder for each class with pictures in it"
            : "%s: no picture found: expected names that begin with the class, as cat.1.jpg",
        dir);
    return NULL;
  }
  if (!options->classes && classes->len < 2) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: only one class found, \"%s\": at least two are needed", dir,
        (char *) g_ptr_array_index (classes, 0));
    return NULL;
  }
  if (options->classes) {
    dataset->classes = g_strdupv ((char **) options->classes);
    dataset->n_classes = g_strv_length (dataset->classes);
    for (guint c = 0; c < classes->len; c++) {
      if (!g_strv_contains (options->classes, g_ptr_array_index (classes, c))) {
        g_autofree char *known = g_strjoinv (", ", dataset->classes);

        g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
            "%s: class \"%s\" is not one of those known: %s", dir,
            (char *) g_ptr_array_index (classes, c), known);
        return NULL;
      }
    }
  } else {
    dataset->n_classes = classes->len;
    g_ptr_array_add (classes, NULL);
    dataset->classes = (char **) g_ptr_array_steal (classes, NULL);
  }

  dataset->paths = g_new0 (char *, entries->len + 1);
  dataset->labels = g_new0 (guint, entries->len);
  taken = g_new0 (guint, dataset->n_classes);
  for (guint i = 0; i < entries->len; i++) {
    Entry *entry = &g_array_index (entries, Entry, i);
    guint label = 0;

    while (strcmp (dataset->classes[label], entry->class_name) != 0)
      label++;
    if ((options->limit && dataset->n >= options->limit)
        || (options->limit_per_class && taken[label] >= options->limit_per_class))
      continue;
    taken[label]++;
    dataset->paths[dataset->n] = g_strdup (entry->path);
    dataset->labels[dataset->n++] = label;
  }
  for (guint i = 0; options->lists && options->lists[i]; i++)
    if (!add_list (dataset, options->lists[i], error))
      return NULL;
  return g_steal_pointer (&dataset);
}

Dataset *
dataset_load (const char *dir, const DatasetOptions *options, const NnPreprocess *pre,
    GError **error)
{
  g_autoptr (Dataset) dataset = dataset_list (dir, options, error);
  guint n;

  if (!dataset)
    return NULL;
  n = dataset->n;
  if (!decode (dir, dataset, options->threads, pre, error)
      || !check_classes (dir, dataset, n, error))
    return NULL;
  warn_of_contradictions (dir, dataset);
  return g_steal_pointer (&dataset);
}

Dataset *
dataset_load_unlabelled (const char *dir, guint threads, const NnPreprocess *pre, GError **error)
{
  g_autoptr (Dataset) dataset = g_new0 (Dataset, 1);
  g_autoptr (GPtrArray) paths = pictures_list (dir, error);

  if (!paths)
    return NULL;
  dataset->n = paths->len;
  dataset->labels = g_new0 (guint, paths->len + 1);
  g_ptr_array_add (paths, NULL);
  g_ptr_array_set_free_func (paths, NULL);
  dataset->paths = (char **) g_ptr_array_steal (paths, NULL);
  if (!decode (dir, dataset, threads, pre, error))
    return NULL;
  if (dataset->n == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: no picture that can be read", dir);
    return NULL;
  }
  return g_steal_pointer (&dataset);
}

Dataset *
dataset_load_files (char **paths, guint n, guint threads, const NnPreprocess *pre, GError **error)
{
  g_autoptr (Dataset) dataset = g_new0 (Dataset, 1);

  dataset->n = n;
  dataset->labels = g_new0 (guint, n + 1);
  dataset->paths = g_new0 (char *, n + 1);
  for (guint i = 0; i < n; i++)
    dataset->paths[i] = g_strdup (paths[i]);
  return decode (n ? paths[0] : "", dataset, threads, pre, error) ? g_steal_pointer (&dataset)
                                                                  : NULL;
}

void
dataset_keep (Dataset *dataset, const gboolean *keep)
{
  const guint first_listed = dataset->n - dataset->n_listed;
  guint n = 0, n_listed = 0;

  for (guint i = 0; i < dataset->n; i++) {
    if (!keep[i]) {
      g_free (dataset->paths[i]);
      continue;
    }
    dataset->paths[n] = dataset->paths[i];
    dataset->labels[n] = dataset->labels[i];
    if (dataset->targets)
      memmove (dataset->targets + (gsize) n * dataset->n_classes,
          dataset->targets + (gsize) i * dataset->n_classes,
          dataset->n_classes * sizeof (float));
    if (dataset->bytes)
      memmove (dataset->bytes + n * dataset->sample_size,
          dataset->bytes + i * dataset->sample_size, dataset->sample_size);
    if (dataset->digests)
      dataset->digests[n] = dataset->digests[i];
    n_listed += i >= first_listed;
    n++;
  }
  dataset->paths[n] = NULL;
  dataset->n = n;
  dataset->n_listed = n_listed;
}

void
dataset_free (Dataset *dataset)
{
  if (!dataset)
    return;
  g_strfreev (dataset->paths);
  g_strfreev (dataset->classes);
  g_free (dataset->labels);
  g_free (dataset->targets);
  g_free (dataset->bytes);
  g_free (dataset->digests);
  g_free (dataset);
}
