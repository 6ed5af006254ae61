/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* .keras: a zip archive of metadata.json, config.json and model.weights.h5, stored or deflated.
 * Nothing is written by a name that the archive has. */

#define _GNU_SOURCE
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/keras-config.h"
#include "nn/keras-private.h"
#include "nn/model-private.h"

#define MAX_TEXT ((gsize) 64 << 20)
#define MAX_MEMBERS 1000 /* assets of other layers may lie beside */

typedef struct archive Archive;

static void
archive_free_gently (Archive *archive)
{
  archive_read_free (archive);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Archive, archive_free_gently)

static gboolean
fail (GError **error, NnErrorCode code, const char *path, const char *what)
{
  g_set_error (error, NN_ERROR, code, "%s: a .keras archive, but %s", path, what);
  return FALSE;
}

static gboolean
fail_archive (GError **error, const char *path, Archive *archive)
{
  const char *reason = archive_error_string (archive);
  g_autofree char *what = g_strdup_printf ("it is broken: %s", reason ? reason : "no reason given");

  return fail (error, NN_ERROR_FORMAT, path, what);
}

void
nn_keras_archive_clear (NnKerasArchive *self)
{
  g_clear_pointer (&self->config, g_free);
  g_clear_pointer (&self->weights, g_free);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
}

/* A member as text, NUL-terminated. */
static char *
read_text (Archive *archive, const char *path, gsize *size, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 block[16384];
  la_ssize_t n;

  while ((n = archive_read_data (archive, block, sizeof block)) > 0) {
    if (bytes->len + (gsize) n > MAX_TEXT) {
      fail (error, NN_ERROR_FORMAT, path, "its text has more than 64 MB");
      return NULL;
    }
    g_byte_array_append (bytes, block, (guint) n);
  }
  if (n < 0) {
    fail_archive (error, path, archive);
    return NULL;
  }
  *size = bytes->len;
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  return (char *) g_byte_array_free (g_steal_pointer (&bytes), FALSE);
}

static gboolean
write_all (int fd, const guint8 *data, gsize size)
{
  while (size > 0) {
    const ssize_t n = write (fd, data, size);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    data += n;
    size -= (gsize) n;
  }
  return TRUE;
}

static gboolean
read_weights (Archive *archive, const char *path, guint64 max, NnKerasArchive *self,
    GError **error)
{
  g_autofree guint8 *block = g_malloc (1 << 18);
  guint64 size = 0;
  la_ssize_t n;

  self->fd = memfd_create ("weights", MFD_CLOEXEC);
  if (self->fd < 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: no memory for its weights: %s", path,
        g_strerror (errno));
    return FALSE;
  }
  while ((n = archive_read_data (archive, block, 1 << 18)) > 0) {
    size += (guint64) n;
    if (size > max)
      return fail (error, NN_ERROR_FORMAT, path,
          "its weights have far more bytes than its network has parameters");
    if (!write_all (self->fd, block, (gsize) n)) {
      g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "%s: no memory for its weights", path);
      return FALSE;
    }
  }
  if (n < 0)
    return fail_archive (error, path, archive);
  self->weights = g_strdup_printf ("/proc/self/fd/%d", self->fd);
  return TRUE;
}

static guint
read_version (const char *json, gsize size)
{
  g_autoptr (JsonParser) parser = nn_json_parse (json, (gssize) size, NULL);
  JsonNode *root = parser ? json_parser_get_root (parser) : NULL;

  return root && JSON_NODE_HOLDS_OBJECT (root)
             ? nn_keras_parse_version (
                   nn_json_get_string (json_node_get_object (root), "keras_version"))
             : 0;
}

static gboolean
read_member (Archive *archive, const char *path, const char *name, NnKerasLimit limit,
    gpointer user_data, NnKerasArchive *self, GError **error)
{
  if (strcmp (name, "metadata.json") == 0) {
    gsize size = 0;
    g_autofree char *text = read_text (archive, path, &size, error);

    if (text)
      self->keras = read_version (text, size);
    return text != NULL;
  }
  if (strcmp (name, "config.json") == 0) {
    if (self->config)
      return fail (error, NN_ERROR_FORMAT, path, "it has config.json twice");
    self->config = read_text (archive, path, &self->config_size, error);
    return self->config != NULL;
  }
  if (strcmp (name, "model.weights.h5") == 0) {
    if (self->fd >= 0)
      return fail (error, NN_ERROR_FORMAT, path, "it has model.weights.h5 twice");
    if (!self->config)
      return fail (error, NN_ERROR_FORMAT, path, "its weights come before its config.json");
    return read_weights (archive, path, limit (self, user_data), self, error);
  }
  return TRUE; /* assets, which no layer that is known has */
}

gboolean
nn_keras_archive_read (const char *path, NnKerasLimit limit, gpointer user_data,
    NnKerasArchive *self, GError **error)
{
  g_autoptr (Archive) archive = archive_read_new ();
  struct archive_entry *entry;
  guint n = 0;
  int status;

  *self = (NnKerasArchive) { .fd = -1 };
  archive_read_support_format_zip (archive);
  if (archive_read_open_filename (archive, path, 65536) != ARCHIVE_OK)
    return fail_archive (error, path, archive);
  while ((status = archive_read_next_header (archive, &entry)) == ARCHIVE_OK
         || status == ARCHIVE_WARN) {
    const char *name = archive_entry_pathname (entry);

    if (++n > MAX_MEMBERS)
      return fail (error, NN_ERROR_FORMAT, path, "it has more than 1000 members");
    if (archive_entry_filetype (entry) == AE_IFREG && name
        && !read_member (archive, path, name, limit, user_data, self, error))
      return FALSE;
  }
  if (status != ARCHIVE_EOF)
    return fail_archive (error, path, archive);
  if (!self->config)
    return fail (error, NN_ERROR_FORMAT, path,
        "it holds no config.json: is it another kind of zip archive?");
  if (self->fd < 0)
    return fail (error, NN_ERROR_FORMAT, path, "it holds no model.weights.h5");
  return TRUE;
}
