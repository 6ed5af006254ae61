/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/output.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/hdf5-read.h"
#include "train/dataset.h"
#include "train/picture-list.h"

#define HEAD 4096 /* bytes that tell the kind */

static const char png_signature[] = "\x89PNG\r\n\x1a\n";
#define PNG_HEADER 33 /* signature and IHDR: other chunks come behind them */
/* a tEXt chunk (PNG, 11.3.4.3): length, type, "Software\0classify", CRC */
static const char png_mark[] = "\0\0\0\x11tEXtSoftware\0classify\x63\xe2\xe1\x1a";
#define PNG_MARK_SIZE (sizeof png_mark - 1)
static const char svg_mark[] = "<!-- classify -->\n";

typedef struct
{
  char *option, *path;
  OutputKind kind;
} Written;

typedef struct
{
  guint64 device, inode;
} FileId;

struct _Outputs
{
  GPtrArray *read, *lists; /* of paths */
  GArray *written;         /* of Written */
};

static void
written_clear (gpointer data)
{
  Written *written = data;

  g_free (written->option);
  g_free (written->path);
}

Outputs *
outputs_new (void)
{
  Outputs *outputs = g_new0 (Outputs, 1);

  outputs->read = g_ptr_array_new_with_free_func (g_free);
  outputs->lists = g_ptr_array_new_with_free_func (g_free);
  outputs->written = g_array_new (FALSE, FALSE, sizeof (Written));
  g_array_set_clear_func (outputs->written, written_clear);
  return outputs;
}

void
outputs_free (Outputs *outputs)
{
  g_ptr_array_unref (outputs->read);
  g_ptr_array_unref (outputs->lists);
  g_array_unref (outputs->written);
  g_free (outputs);
}

void
outputs_add_read (Outputs *outputs, const char *path)
{
  if (path)
    g_ptr_array_add (outputs->read, g_strdup (path));
}

void
outputs_add_list (Outputs *outputs, const char *path)
{
  outputs_add_read (outputs, path);
  if (path)
    g_ptr_array_add (outputs->lists, g_strdup (path));
}

void
outputs_add_write (Outputs *outputs, const char *option, const char *path, OutputKind kind)
{
  Written written = { g_strdup (option), g_strdup (path), kind };

  if (path)
    g_array_append_val (outputs->written, written);
  else
    written_clear (&written);
}

/* --- kinds -------------------------------------------------------------------------- */

static gboolean
begins (const guint8 *head, gsize size, const char *text)
{
  return size >= strlen (text) && memcmp (head, text, strlen (text)) == 0;
}

static gboolean
is_keras (const char *path)
{
  g_autoptr (NnH5) h5 = nn_h5_open (path, NULL);

  return h5 && nn_h5_has_attribute (h5, "/", "keras_version");
}

/* What is there, where it is not of @kind; NULL: it is. */
static const char *
find_other (const char *path, OutputKind kind, const guint8 *head, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) head, size);
  const gboolean is_png = begins (head, size, png_signature);

  switch (kind) {
    case OUTPUT_MODEL:
      return is_keras (path) ? NULL : "no Keras model file";
    case OUTPUT_SHEET:
      if (is_png && size >= PNG_HEADER + PNG_MARK_SIZE
          && memcmp (head + PNG_HEADER, png_mark, PNG_MARK_SIZE) == 0)
        return NULL;
      return is_png ? "a picture that classify did not draw" : "no PNG file";
    case OUTPUT_CURVE:
      return strstr (text, svg_mark) ? NULL : "no SVG file that classify drew";
    case OUTPUT_PAGE:
      return strstr (text, "name=\"generator\" content=\"classify\"")
          ? NULL
          : "no page that classify wrote";
    case OUTPUT_EPOCHS:
      return begins (head, size, "epoch,") ? NULL : "no log of a training";
    case OUTPUT_LIST:
      return begins (head, size, "file,") ? NULL : "no list of pictures";
    default:
      return begins (head, size, "from,to") ? NULL : "no log of moves";
  }
}

static gboolean
check_kind (const Written *written, GError **error)
{
  guint8 head[HEAD];
  const char *other;
  gsize size;

  if (!nn_file_peek (written->path, head, sizeof head, &size, error))
    return FALSE;
  other = size > 0 ? find_other (written->path, written->kind, head, size) : NULL;
  if (other)
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s: is there and is %s: %s would overwrite it: choose another name, or remove it",
        written->path, other, written->option);
  return !other;
}

/* --- the same file -------------------------------------------------------------------- */

static guint
id_hash (gconstpointer data)
{
  const FileId *id = data;

  return (guint) (id->inode ^ id->inode >> 32 ^ id->device * 2654435761u);
}

static gboolean
id_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (FileId)) == 0;
}

static gboolean
get_id (const char *path, FileId *id)
{
  GStatBuf st;

  if (g_stat (path, &st) != 0)
    return FALSE;
  *id = (FileId) { (guint64) st.st_dev, (guint64) st.st_ino };
  return TRUE;
}

static void
add_id (GHashTable *ids, const char *path)
{
  FileId id;

  if (get_id (path, &id))
    g_hash_table_insert (ids, g_memdup2 (&id, sizeof id), g_strdup (path));
}

/* FileId -> path of all that is read */
static GHashTable *
list_read (const Outputs *outputs)
{
  GHashTable *ids = g_hash_table_new_full (id_hash, id_equal, g_free, g_free);

  for (guint i = 0; i < outputs->read->len; i++) {
    const char *path = g_ptr_array_index (outputs->read, i);
    g_autoptr (GPtrArray) pictures = NULL;

    if (g_file_test (path, G_FILE_TEST_IS_DIR))
      pictures = pictures_list (path, NULL);
    else
      add_id (ids, path);
    for (guint p = 0; pictures && p < pictures->len; p++)
      add_id (ids, g_ptr_array_index (pictures, p));
  }
  for (guint i = 0; i < outputs->lists->len; i++) {
    g_autoptr (PictureList) list
        = picture_list_load (g_ptr_array_index (outputs->lists, i), NULL);

    for (guint p = 0; list && p < list->n; p++)
      add_id (ids, list->paths[p]);
  }
  return ids;
}

/* of a file that need not be there */
static char *
full_name (const char *path)
{
  g_autofree char *dir = g_path_get_dirname (path), *name = g_path_get_basename (path);
  char *real = realpath (path, NULL), *real_dir = real ? NULL : realpath (dir, NULL);
  char *full = real ? g_strdup (real)
                    : g_build_filename (real_dir ? real_dir : dir, name, NULL);

  free (real);
  free (real_dir);
  return full;
}

static gboolean
check_names (const Outputs *outputs, GError **error)
{
  for (guint i = 0; i < outputs->written->len; i++) {
    const Written *a = &g_array_index (outputs->written, Written, i);
    g_autofree char *name = full_name (a->path);
    FileId id, other_id;
    const gboolean has_id = get_id (a->path, &id);

    for (guint k = 0; k < i; k++) {
      const Written *b = &g_array_index (outputs->written, Written, k);
      g_autofree char *other = full_name (b->path);

      if (strcmp (name, other) == 0
          || (has_id && get_id (b->path, &other_id) && id_equal (&id, &other_id))) {
        g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
            "%s: %s and %s would be one file: choose another name", a->path, b->option,
            a->option);
        return FALSE;
      }
    }
  }
  return TRUE;
}

/* --- all of it -------------------------------------------------------------------------- */

/* Now, not after hours of work. */
static gboolean
check_writable (const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path), *name = g_path_get_basename (path);

  if (strlen (name) > NAME_MAX) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: a name of more than %d bytes", path,
        NAME_MAX);
    return FALSE;
  }
  if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: is a folder: name a file to write", path);
    return FALSE;
  }
  if (g_file_test (dir, G_FILE_TEST_EXISTS) && !g_file_test (dir, G_FILE_TEST_IS_DIR)) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot write: %s is no folder", path, dir);
    return FALSE;
  }
  if (g_access (dir, W_OK) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot write into folder %s: %s", path, dir,
        g_strerror (errno));
    return FALSE;
  }
  return TRUE;
}

gboolean
outputs_check (Outputs *outputs, GError **error)
{
  g_autoptr (GHashTable) ids = NULL;

  for (guint i = 0; i < outputs->written->len; i++)
    if (!check_writable (g_array_index (outputs->written, Written, i).path, error))
      return FALSE;
  if (!check_names (outputs, error))
    return FALSE;
  for (guint i = 0; i < outputs->written->len; i++) {
    const Written *written = &g_array_index (outputs->written, Written, i);
    const char *other;
    FileId id;

    if (!get_id (written->path, &id))
      continue;
    if (!ids)
      ids = list_read (outputs);
    other = g_hash_table_lookup (ids, &id);
    if (other) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
          "%s: is read (as %s), %s would overwrite it: choose another name", written->path, other,
          written->option);
      return FALSE;
    }
    if (!check_kind (written, error))
      return FALSE;
  }
  return TRUE;
}

void
output_mark_png (GByteArray *png)
{
  const guint old = png->len;

  if (old < PNG_HEADER || !begins (png->data, old, png_signature))
    return;
  g_byte_array_set_size (png, old + (guint) PNG_MARK_SIZE);
  memmove (png->data + PNG_HEADER + PNG_MARK_SIZE, png->data + PNG_HEADER, old - PNG_HEADER);
  memcpy (png->data + PNG_HEADER, png_mark, PNG_MARK_SIZE);
}

void
output_mark_svg (GByteArray *svg)
{
  const guint8 *line = memchr (svg->data, '\n', svg->len);
  const gsize n = strlen (svg_mark), at = line ? (gsize) (line - svg->data) + 1 : 0;
  const guint old = svg->len;

  if (at == 0)
    return;
  g_byte_array_set_size (svg, old + (guint) n);
  memmove (svg->data + at + n, svg->data + at, old - at);
  memcpy (svg->data + at, svg_mark, n);
}
