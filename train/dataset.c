/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/dataset.h"

#include <string.h>

#include "nn/label-name.h"
#include "nn/error.h"
#include "nn/log.h"
#include "nn/model.h"
#include "train/dataset-split.h"
#include "train/picture-kind.h"
#include "train/picture-list.h"

#define MAX_DEPTH 16 /* of folders in folders */
/* --- names --------------------------------------------------------------------------- */

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The beginning of a name that may tell a class: up to the first dot. */
static char *
get_stem (const char *name)
{
  const gsize n = strcspn (name, ".");

  return n > 0 ? g_strndup (name, n) : NULL;
}

/* Takes numbers off the end of @stem, as cameras, scripts and Windows add them: "cat-17",
 * "cat_17", "cat17", "cat 17", "cat (17)". A stem of nothing else stays. */
static void
strip_number (char *stem)
{
  gsize n = strlen (stem), end = n;

  if (n > 2 && stem[n - 1] == ')') {
    for (end = n - 1; end > 0 && g_ascii_isdigit (stem[end - 1]); end--)
      ;
    if (end == n - 1 || end == 0 || stem[end - 1] != '(')
      return;
    end--;
  } else {
    while (end > 0 && g_ascii_isdigit (stem[end - 1]))
      end--;
    if (end == n)
      return;
  }
  while (end > 0 && strchr (" -_", stem[end - 1]))
    end--;
  if (end == 0)
    return;
  stem[end] = '\0';
  strip_number (stem);
}

/* The class of a name in a flat folder. "cat.17.jpg" tells it by its first dot: there
 * "type2.17.jpg" is of class "type2". NULL: no such name. */
static char *
prefix_class (const char *name)
{
  g_autofree char *stem = get_stem (name);
  const char *dot = strchr (name, '.');

  if (stem && (!dot || !strchr (dot + 1, '.')))
    strip_number (stem);
  return stem ? nn_label_from_name (stem) : NULL;
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
  g_autofree char *name = g_path_get_basename (full), *stem = get_stem (name);
  g_autofree char *prefix = stem ? nn_label_from_name (stem) : NULL, *stripped = NULL;
  guint by_folder = 0, by_name = 0;
  gboolean has_folder = find_string (classes, folder, &by_folder);
  gboolean has_name = find_string (classes, prefix, &by_name);

  if (!has_name && stem) {
    strip_number (stem);
    stripped = nn_label_from_name (stem);
    has_name = find_string (classes, stripped, &by_name);
  }

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

typedef struct
{
  GArray *entries;
  GPtrArray *classes;
  GHashTable *left_out;
  gboolean may_be_empty; /* classes are known: one may have no picture here */
  guint n_loose;         /* pictures beside the folders of classes */
} Listing;

/* A folder that is called as parts of data sets are and has folders is no class (as
 * DIR/Train/cat). */
static gboolean
check_is_class (const char *dir, const char *name, const char *path, GError **error)
{
  if (!folder_is_part_name (name) || folder_count_folders (path) == 0)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
      "%s: its folder \"%s\" is no class, but has folders of classes in it: name %s", dir, name,
      path);
  return FALSE;
}

static gboolean
list_class (Listing *l, const char *dir, const char *name, const char *path, GError **error)
{
  g_autoptr (GPtrArray) pictures = NULL;

  if (!check_is_class (dir, name, path, error)
      || !(pictures = pictures_list_with (path, l->left_out, error)))
    return FALSE;
  if (pictures->len == 0 && !l->may_be_empty) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: the folder of this class holds no picture: fill or remove it", path);
    return FALSE;
  }
  g_ptr_array_add (l->classes, nn_label_from_name (name));
  for (guint p = 0; p < pictures->len; p++) {
    Entry entry = { g_strdup (g_ptr_array_index (pictures, p)), nn_label_from_name (name) };

    g_array_append_val (l->entries, entry);
  }
  return TRUE;
}

static gboolean
list_entries (const char *dir, Layout layout, Listing *l, GError **error)
{
  g_autoptr (GPtrArray) names = folder_list_names (dir, error);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  if (!names)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autofree char *path = g_build_filename (dir, name, NULL);

    if (folder_skips (name))
      continue;
    if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
      if (layout == LAYOUT_FOLDERS && !list_class (l, dir, name, path, error))
        return FALSE;
    } else if (layout == LAYOUT_PREFIX && picture_is_wanted (path, name)) {
      Entry entry = { g_strdup (path), prefix_class (name) };

      if (!g_hash_table_contains (seen, entry.class_name)) {
        g_ptr_array_add (l->classes, g_strdup (entry.class_name));
        g_hash_table_add (seen, entry.class_name);
      }
      g_array_append_val (l->entries, entry);
    } else if (picture_is_wanted (path, name)) {
      l->n_loose++;
    } else {
      left_out_add (l->left_out, name);
    }
  }
  g_ptr_array_sort (l->classes, compare_strings);
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

/* Takes the room for dataset->paths and fills it; what cannot be read is left out. */
static gboolean
decode (const char *dir, Dataset *dataset, guint threads, const NnPreprocess *pre, GError **error)
{
  const guint n = dataset->n;
  g_autofree char *what = g_strdup_printf (
      "%s: %u pictures of %ux%u pixels", dir, n, pre->width, pre->height);
  Decoding decoding;
  GThreadPool *pool;
  gsize size;

  dataset->pre = *pre;
  dataset->height = pre->height;
  dataset->width = pre->width;
  dataset->sample_size
      = (gsize) pre->width * pre->height * nn_preprocess_get_n_channels (pre);
  if (!g_size_checked_mul (&size, n, dataset->sample_size) || size > G_MAXSSIZE) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "%s: more than there are addresses", what);
    return FALSE;
  }
  if (!store_take (&dataset->store, size, what, error))
    return FALSE;
  dataset->bytes = dataset->store.bytes;
  g_free (dataset->digests);
  dataset->digests = g_new0 (PictureDigest, n + 1);
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

/* A network cannot learn a class of which it sees nothing; to measure one, known classes may
 * be missing. */
gboolean
dataset_check_classes (const char *dir, const Dataset *dataset, guint n_found, gboolean are_known,
    GError **error)
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
    if (counts[c] > 0)
      continue;
    if (!are_known) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: none of the pictures of class \"%s\" can be read: mend or remove them", dir,
          dataset->classes[c]);
      return FALSE;
    }
    nn_warning ("%s: there is no readable picture of class \"%s\"", dir, dataset->classes[c]);
  }
  return TRUE;
}

guint
picture_digest_hash (gconstpointer digest)
{
  guint hash;

  memcpy (&hash, digest, sizeof hash);
  return hash;
}

gboolean
picture_digest_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (PictureDigest)) == 0;
}

/* digest -> index + 1 of the first picture that has it; borrows from @dataset */
static GHashTable *
index_digests (const Dataset *dataset)
{
  GHashTable *table = g_hash_table_new (picture_digest_hash, picture_digest_equal);

  for (guint i = dataset->n; i-- > 0;)
    g_hash_table_insert (table, &dataset->digests[i], GUINT_TO_POINTER (i + 1));
  return table;
}

/* one picture cannot be two things: one of the labels is wrong */
void
dataset_warn_of_contradictions (const char *dir, const Dataset *dataset)
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
  known = dataset_describe_classes ((const char *const *) dataset->classes);
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

static gboolean
check_listing (const char *dir, const DatasetOptions *options, const Listing *l, GError **error)
{
  const char *first = l->classes->len ? g_ptr_array_index (l->classes, 0) : "";
  g_autofree char *inner = g_build_filename (dir, first, NULL);

  if (l->classes->len == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        options->layout == LAYOUT_FOLDERS
            ? "%s: no picture found: expected one sub-folder for each class with pictures in it "
              "(or, with layout=prefix, names that begin with the class, as cat.1.jpg)"
            : "%s: no picture found: expected names that begin with the class, as cat.1.jpg",
        dir);
    return FALSE;
  }
  if (!options->classes && l->classes->len < 2) {
    const gboolean is_nested
        = options->layout == LAYOUT_FOLDERS && folder_count_folders (inner) > 0;

    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: only one class found, \"%s\": at least two are needed%s%s", dir, first,
        is_nested ? "; its folders may be the classes: then name " : "", is_nested ? inner : "");
    return FALSE;
  }
  if (!options->classes && options->layout == LAYOUT_PREFIX
      && l->classes->len == l->entries->len) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: every picture is of a class of its own, as \"%s\": expected names that begin with "
        "the class, as cat.1.jpg, or layout=folders",
        dir, first);
    return FALSE;
  }
  if (options->limit && options->limit < l->classes->len && !options->classes) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: a limit of %u pictures leaves none of some of the %u classes", dir, options->limit,
        l->classes->len);
    return FALSE;
  }
  return TRUE;
}

/* The classes of @dataset: those found, or those known, which have all that were found. */
static gboolean
set_classes (Dataset *dataset, const char *dir, const DatasetOptions *options, Listing *l,
    GError **error)
{
  if (!options->classes) {
    dataset->n_classes = l->classes->len;
    g_ptr_array_add (l->classes, NULL);
    dataset->classes = (char **) g_ptr_array_steal (l->classes, NULL);
    return TRUE;
  }
  dataset->classes = g_strdupv ((char **) options->classes);
  dataset->n_classes = g_strv_length (dataset->classes);
  for (guint c = 0; c < l->classes->len; c++) {
    const char *name = g_ptr_array_index (l->classes, c);
    g_autofree char *known = NULL, *path = NULL;
    gboolean is_nested;

    if (g_strv_contains (options->classes, name))
      continue;
    known = dataset_describe_classes ((const char *const *) dataset->classes);
    path = g_build_filename (dir, name, NULL);
    is_nested = options->layout == LAYOUT_FOLDERS && folder_count_folders (path) > 0;
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: class \"%s\" is not one of those known: %s%s%s", dir, name, known,
        is_nested ? "; its folders may be: then name " : "", is_nested ? path : "");
    return FALSE;
  }
  return TRUE;
}

/* How many pictures of each class are taken: at most @per_class, and of @limit as many of
 * each as can be; 0: no limit. (transfer full) */
static guint *
make_quotas (const guint *counts, guint n_classes, guint limit, guint per_class)
{
  guint *quotas = g_memdup2 (counts, n_classes * sizeof (guint));
  guint64 sum = 0;
  guint level = 0, rest = limit;

  for (guint c = 0; c < n_classes; c++) {
    quotas[c] = per_class ? MIN (quotas[c], per_class) : quotas[c];
    sum += quotas[c];
  }
  if (!limit || sum <= limit)
    return quotas;
  for (;;) { /* one of each that has so many, until the limit is used up */
    guint n = 0;

    for (guint c = 0; c < n_classes; c++)
      n += quotas[c] > level;
    if (n > rest)
      break;
    rest -= n;
    level++;
  }
  for (guint c = 0; c < n_classes; c++) {
    if (quotas[c] > level && rest > 0) {
      quotas[c] = level + 1;
      rest--;
    } else {
      quotas[c] = MIN (quotas[c], level);
    }
  }
  return quotas;
}

static void
take_entries (Dataset *dataset, const DatasetOptions *options, const GArray *entries)
{
  g_autoptr (GHashTable) indices = g_hash_table_new (g_str_hash, g_str_equal);
  g_autofree guint *labels = g_new (guint, entries->len + 1), *quotas = NULL;
  g_autofree guint *counts = g_new0 (guint, dataset->n_classes);

  for (guint c = 0; c < dataset->n_classes; c++)
    g_hash_table_insert (indices, dataset->classes[c], GUINT_TO_POINTER (c));
  for (guint i = 0; i < entries->len; i++) {
    const Entry *entry = &g_array_index (entries, Entry, i);

    labels[i] = GPOINTER_TO_UINT (g_hash_table_lookup (indices, entry->class_name));
    counts[labels[i]]++;
  }
  quotas = make_quotas (counts, dataset->n_classes, options->limit, options->limit_per_class);
  dataset->paths = g_new0 (char *, entries->len + 1);
  dataset->labels = g_new0 (guint, entries->len + 1);
  for (guint i = 0; i < entries->len; i++) {
    if (quotas[labels[i]] == 0)
      continue;
    quotas[labels[i]]--;
    dataset->paths[dataset->n] = g_strdup (g_array_index (entries, Entry, i).path);
    dataset->labels[dataset->n++] = labels[i];
  }
}

Dataset *
dataset_list (const char *dir, const DatasetOptions *options, GError **error)
{
  g_autoptr (Dataset) dataset = g_new0 (Dataset, 1);
  g_autoptr (GArray) entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  g_autoptr (GPtrArray) classes = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) left_out = left_out_new ();
  Listing listing = { entries, classes, left_out, options->classes != NULL, 0 };

  g_array_set_clear_func (entries, entry_clear);
  if (!list_entries (dir, options->layout, &listing, error)
      || !check_listing (dir, options, &listing, error)
      || !set_classes (dataset, dir, options, &listing, error))
    return NULL;
  if (listing.n_loose)
    nn_warning ("%s: left out: %u picture%s in no folder of a class", dir, listing.n_loose,
        listing.n_loose == 1 ? "" : "s");
  take_entries (dataset, options, entries);
  dataset->left_out = left_out_to_string (left_out);
  for (guint i = 0; options->lists && options->lists[i]; i++)
    if (!add_list (dataset, options->lists[i], error))
      return NULL;
  return g_steal_pointer (&dataset);
}

Dataset *
dataset_load (const char *dir, const DatasetOptions *options, const NnPreprocess *pre,
    GError **error)
{
  g_autoptr (Dataset) dataset = NULL;
  guint n;

  if (options->held_fraction > 0)
    return dataset_load_split (dir, options, NULL, pre, NULL, &dataset, error)
        ? g_steal_pointer (&dataset)
        : NULL;
  dataset = dataset_list (dir, options, error);

  if (!dataset)
    return NULL;
  n = dataset->n;
  if (!decode (dir, dataset, options->threads, pre, error)
      || !dataset_check_classes (dir, dataset, n, options->classes != NULL, error))
    return NULL;
  dataset_warn_of_contradictions (dir, dataset);
  return g_steal_pointer (&dataset);
}

Dataset *
dataset_load_unlabelled (const char *dir, guint threads, const NnPreprocess *pre, GError **error)
{
  g_autoptr (Dataset) dataset = g_new0 (Dataset, 1);
  g_autoptr (GHashTable) left_out = left_out_new ();
  g_autoptr (GPtrArray) paths = pictures_list_with (dir, left_out, error);

  if (!paths)
    return NULL;
  dataset->left_out = left_out_to_string (left_out);
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

Dataset *
dataset_load_part (const Dataset *data, const gboolean *keep, const char *dir, guint threads,
    const NnPreprocess *pre, GError **error)
{
  g_autoptr (Dataset) part = g_new0 (Dataset, 1);
  const guint first_listed = data->n - data->n_listed;
  g_autofree guint *from = g_new (guint, data->n + 1);

  part->n_classes = data->n_classes;
  part->classes = g_strdupv (data->classes);
  part->paths = g_new0 (char *, data->n + 1);
  part->labels = g_new0 (guint, data->n + 1);
  if (data->targets)
    part->targets = g_new (float, (gsize) data->n * data->n_classes);
  for (guint i = 0; i < data->n; i++) {
    if (!keep[i])
      continue;
    from[part->n] = i;
    part->paths[part->n] = g_strdup (data->paths[i]);
    part->labels[part->n] = data->labels[i];
    if (data->targets)
      memcpy (part->targets + (gsize) part->n * data->n_classes,
          data->targets + (gsize) i * data->n_classes, data->n_classes * sizeof (float));
    part->n_listed += i >= first_listed;
    part->n++;
  }
  if (data->bytes && nn_preprocess_equal (&data->pre, pre)) { /* no need to read them again */
    g_autofree char *what = g_strdup_printf (
        "%s: %u pictures of %ux%u pixels", dir, part->n, pre->width, pre->height);

    if (!store_take (&part->store, part->n * data->sample_size, what, error))
      return NULL;
    part->pre = *pre;
    part->height = data->height;
    part->width = data->width;
    part->sample_size = data->sample_size;
    part->bytes = part->store.bytes;
    part->digests = g_new (PictureDigest, part->n + 1);
    for (guint i = 0; i < part->n; i++) {
      part->digests[i] = data->digests[from[i]];
      memcpy (part->bytes + i * data->sample_size, data->bytes + from[i] * data->sample_size,
          data->sample_size);
    }
  } else if (!decode (dir, part, threads, pre, error)) {
    return NULL;
  }
  return g_steal_pointer (&part);
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
  store_clear (&dataset->store);
  g_free (dataset->digests);
  g_free (dataset->left_out);
  g_free (dataset);
}
