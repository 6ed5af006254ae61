/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/model-cache.h"

#include <glib/gstdio.h>

#include "nn/keras-file.h"
#include "nn/labels.h"

typedef struct
{
  char *key;
  NnModel *model;
  guint users;
} Entry;

static GMutex lock;
static GList *entries;

static void
append_file (GString *key, const char *path)
{
  GStatBuf info = { 0 };

  if (path && g_stat (path, &info) == 0)
    g_string_append_printf (key, "%s|%" G_GUINT64_FORMAT "|%" G_GUINT64_FORMAT "|%ld.%09ld\n", path,
        (guint64) info.st_ino, (guint64) info.st_size, (long) info.st_mtim.tv_sec,
        (long) info.st_mtim.tv_nsec);
  else
    g_string_append_c (key, '\n');
}

static NnModel *
load (const char *path, const char *weights, const char *labels_file, GError **error)
{
  g_autoptr (NnModel) model = nn_model_open (path, weights, error);

  if (!model)
    return NULL;
  if (labels_file) {
    g_auto (GStrv) labels = nn_labels_load (labels_file, error);

    if (!labels)
      return NULL;
    if (!nn_model_set_labels (model, (const char *const *) labels, error)) {
      g_prefix_error (error, "%s: ", labels_file);
      return NULL;
    }
  }
  return g_steal_pointer (&model);
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

NnModel *
model_cache_get (const char *path, const char *weights, const char *labels_file, GError **error)
{
  g_autofree char *key = model_cache_make_key (path, weights, labels_file);
  g_autoptr (GMutexLocker) locker = NULL;
  Entry *entry;
  NnModel *model;

  locker = g_mutex_locker_new (&lock);
  for (GList *l = entries; l; l = l->next) {
    entry = l->data;
    if (g_str_equal (entry->key, key)) {
      entry->users++;
      return nn_model_ref (entry->model);
    }
  }
  model = load (path, weights, labels_file, error);
  if (!model)
    return NULL;
  entry = g_new (Entry, 1);
  *entry = (Entry) { g_steal_pointer (&key), model, 1 };
  entries = g_list_prepend (entries, entry);
  return nn_model_ref (model);
}

void
model_cache_release (NnModel *model)
{
  g_mutex_lock (&lock);
  for (GList *l = entries; l; l = l->next) {
    Entry *entry = l->data;

    if (entry->model != model || --entry->users > 0)
      continue;
    entries = g_list_delete_link (entries, l);
    nn_model_unref (entry->model);
    g_free (entry->key);
    g_free (entry);
    break;
  }
  g_mutex_unlock (&lock);
  nn_model_unref (model);
}
