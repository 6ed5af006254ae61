/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/choices.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define FORMAT 2 /* of the file, and of how engines are measured */
#define MAX_SIZE (1 << 20)
#define GROUP_DEVICE "device"
#define GROUP_ENGINES "engines"

static const char comment[]
    = " What of cuDNN and cuBLAS classify measured to be the fastest on this machine.\n"
      " May be removed at any time: they are measured again then.";

struct _NnCudaChoices
{
  const NnHost *host;
  GMutex lock;
  char *path; /* NULL: not kept */
  char *identity;
  GHashTable *known; /* key -> NnCudaChoice */
  gboolean changed;
};

static void
debug (const NnCudaChoices *choices, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
debug (const NnCudaChoices *choices, const char *format, ...)
{
  g_autofree char *words = NULL;
  va_list args;

  va_start (args, format);
  words = g_strdup_vprintf (format, args);
  va_end (args);
  choices->host->log (NN_LOG_DEBUG, words);
}

/* --- the file ------------------ */

/* What was read of it, or NULL. */
static GKeyFile *
read_file (const NnCudaChoices *choices)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *identity = NULL;
  GStatBuf info;

  if (g_stat (choices->path, &info) != 0)
    return NULL;
  if (!S_ISREG (info.st_mode) || info.st_size > MAX_SIZE) {
    debug (choices, "CUDA: %s: passed over: not a small file", choices->path);
    return NULL;
  }
  if (!g_key_file_load_from_file (file, choices->path, G_KEY_FILE_NONE, &error)) {
    debug (choices, "CUDA: %s: passed over: %s", choices->path, error->message);
    return NULL;
  }
  identity = g_key_file_get_string (file, GROUP_DEVICE, "measured", NULL);
  if (g_strcmp0 (identity, choices->identity) == 0)
    return g_steal_pointer (&file);
  debug (choices, "CUDA: %s: passed over: measured with %s, this is %s", choices->path,
      identity ? identity : "nothing that it names", choices->identity);
  return NULL;
}

/* What the file knows and we do not. */
static void
merge (NnCudaChoices *choices)
{
  g_autoptr (GKeyFile) file = read_file (choices);
  g_auto (GStrv) keys = file ? g_key_file_get_keys (file, GROUP_ENGINES, NULL, NULL) : NULL;

  for (guint i = 0; keys && keys[i]; i++) {
    gsize n = 0;
    g_autofree int *numbers
        = g_key_file_get_integer_list (file, GROUP_ENGINES, keys[i], &n, NULL);
    NnCudaChoice choice;

    if (n != 3 || numbers[0] < 0 || numbers[1] < 0) {
      debug (choices, "CUDA: %s: %s: passed over: not three numbers", choices->path, keys[i]);
      continue;
    }
    choice = (NnCudaChoice) { (guint) numbers[0], (guint) numbers[1], numbers[2] };
    if (!g_hash_table_contains (choices->known, keys[i]))
      g_hash_table_insert (
          choices->known, g_strdup (keys[i]), g_memdup2 (&choice, sizeof choice));
  }
}

static gboolean
write_file (const NnCudaChoices *choices, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = NULL, *folder = g_path_get_dirname (choices->path);
  GHashTableIter iter;
  gpointer key, value;
  gsize size;

  g_key_file_set_comment (file, NULL, NULL, comment, NULL);
  g_key_file_set_string (file, GROUP_DEVICE, "measured", choices->identity);
  g_hash_table_iter_init (&iter, choices->known);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    const NnCudaChoice *choice = value;
    int numbers[] = { (int) choice->mode, (int) choice->place, (int) choice->engine };

    g_key_file_set_integer_list (file, GROUP_ENGINES, key, numbers, G_N_ELEMENTS (numbers));
  }
  text = g_key_file_to_data (file, &size, NULL);
  if (g_mkdir_with_parents (folder, 0700) != 0) {
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "folder %s: %s", folder,
        g_strerror (errno));
    return FALSE;
  }
  /* by a file beside it that is renamed */
  return g_file_set_contents (choices->path, text, (gssize) size, error);
}

/* --- the table ------------------ */

NnCudaChoices *
nn_cuda_choices_new (
    const NnHost *host, const char *device, int driver, gsize cudnn, gsize cublaslt)
{
  NnCudaChoices *choices = g_new0 (NnCudaChoices, 1);
  const char *folder = g_getenv ("CLASSIFY_CUDA_CACHE");
  g_autofree char *module = NULL;

  g_mutex_init (&choices->lock);
  choices->host = host;
  choices->known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  /* the driver's own version, finer than CUDA's, where the system tells it */
  g_file_get_contents ("/sys/module/nvidia/version", &module, NULL, NULL);
  choices->identity = g_strdup_printf ("%s, driver %d %s, cuDNN %" G_GSIZE_FORMAT
      ", cuBLAS %" G_GSIZE_FORMAT ", format %d",
      device, driver, module ? g_strstrip (module) : "-", cudnn, cublaslt, FORMAT);
  if (!folder || *folder) {
    g_autofree char *name = g_strdup_printf ("cuda-engines-%s.ini", device);

    g_strcanon (name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.", '-');
    choices->path = folder ? g_build_filename (folder, name, NULL)
                           : g_build_filename (g_get_user_cache_dir (), "classify", name, NULL);
    merge (choices);
  }
  return choices;
}

void
nn_cuda_choices_free (NnCudaChoices *choices)
{
  if (!choices)
    return;
  g_mutex_clear (&choices->lock);
  g_hash_table_unref (choices->known);
  g_free (choices->path);
  g_free (choices->identity);
  g_free (choices);
}

gboolean
nn_cuda_choices_find (NnCudaChoices *choices, const char *key, NnCudaChoice *choice)
{
  const NnCudaChoice *found;

  if (!choices)
    return FALSE;
  g_mutex_lock (&choices->lock);
  found = g_hash_table_lookup (choices->known, key);
  if (found)
    *choice = *found;
  g_mutex_unlock (&choices->lock);
  return found != NULL;
}

void
nn_cuda_choices_add (NnCudaChoices *choices, const char *key, const NnCudaChoice *choice)
{
  if (!choices)
    return;
  g_mutex_lock (&choices->lock);
  g_hash_table_replace (choices->known, g_strdup (key), g_memdup2 (choice, sizeof *choice));
  choices->changed = TRUE;
  g_mutex_unlock (&choices->lock);
}

void
nn_cuda_choices_save (NnCudaChoices *choices)
{
  g_autoptr (GError) error = NULL;

  if (!choices)
    return;
  g_mutex_lock (&choices->lock);
  if (choices->changed && choices->path) {
    merge (choices); /* another process may have written meanwhile */
    if (!write_file (choices, &error))
      debug (choices, "CUDA: %s: not kept: %s", choices->path, error->message);
  }
  choices->changed = FALSE;
  g_mutex_unlock (&choices->lock);
}
