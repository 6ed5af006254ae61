/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/model-cache.h"

#include <glib/gstdio.h>

#include "nn/keras-file.h"

typedef struct
{
  char *key;
  gboolean is_loading;
  NnModel *model; /* NULL while it is loading, or with the error */
  GError *error;
  guint users; /* with those that wait */
} Entry;

/* Never held while a file is read: a slow one holds up only who wants it. */
static GMutex lock;
static GCond loaded;
static GList *entries; /* that are loading or have a model */

static void
append_file (GString *key, const char *path)
{
  GStatBuf info = { 0 };

  if (path)
    g_string_append (key, path);
  if (path && g_stat (path, &info) == 0)
    g_string_append_printf (key, "|%" G_GUINT64_FORMAT "|%" G_GUINT64_FORMAT "|%ld.%09ld",
        (guint64) info.st_ino, (guint64) info.st_size, (long) info.st_mtim.tv_sec,
        (long) info.st_mtim.tv_nsec);
  g_string_append_c (key, '\n');
}

static NnModel *
load (const char *path, const char *weights, const char *labels_file, GError **error)
{
  return labels_file ? nn_model_open_labelled (path, weights, labels_file, error)
                     : nn_model_open (path, weights, error);
}

char *
model_cache_make_key (const char *path, const char *weights, const char *labels_file)
{
  GString *key = g_string_new (NULL);

  append_file (key, path);
  append_file (key, weights);
  append_file (key, labels_file);
  return g_string_free (key, FALSE);
}

/* With the lock held. */
static Entry *
find (const char *key)
{
  for (GList *l = entries; l; l = l->next)
    if (g_str_equal (((Entry *) l->data)->key, key))
      return l->data;
  return NULL;
}

/* With the lock held. */
static void
entry_unref (Entry *entry)
{
  if (--entry->users > 0)
    return;
  entries = g_list_remove (entries, entry);
  if (entry->model)
    nn_model_unref (entry->model);
  g_clear_error (&entry->error);
  g_free (entry->key);
  g_free (entry);
}

NnModel *
model_cache_get (const char *path, const char *weights, const char *labels_file, GError **error)
{
  g_autofree char *key = model_cache_make_key (path, weights, labels_file);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);
  Entry *entry = find (key);

  if (entry) {
    entry->users++;
    while (entry->is_loading)
      g_cond_wait (&loaded, &lock);
  } else {
    GError *failure = NULL;
    NnModel *model;

    entry = g_new (Entry, 1);
    *entry = (Entry) { .key = g_steal_pointer (&key), .is_loading = TRUE, .users = 1 };
    entries = g_list_prepend (entries, entry);
    g_mutex_unlock (&lock);
    model = load (path, weights, labels_file, &failure);
    g_mutex_lock (&lock);
    entry->model = model;
    entry->error = failure;
    entry->is_loading = FALSE;
    if (!model) /* who comes later tries again */
      entries = g_list_remove (entries, entry);
    g_cond_broadcast (&loaded);
  }
  if (entry->model)
    return nn_model_ref (entry->model);
  g_propagate_error (error, g_error_copy (entry->error));
  entry_unref (entry);
  return NULL;
}

void
model_cache_release (NnModel *model)
{
  g_mutex_lock (&lock);
  for (GList *l = entries; l; l = l->next)
    if (((Entry *) l->data)->model == model) {
      entry_unref (l->data);
      break;
    }
  g_mutex_unlock (&lock);
  nn_model_unref (model);
}
