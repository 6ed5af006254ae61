/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/hdf5-write.h"

#include <hdf5.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/model-private.h"
#include "nn/text.h"

/* Keras's limit for one attribute: HDF5's is 64 KiB with its header. */
#define MAX_ATTRIBUTE 64512

struct _NnH5Writer
{
  hid_t file;
  H5E_auto2_t auto_func; /* the process's own error printing, restored at the end */
  void *auto_data;
};

/* libhdf5 of most systems is not made for threads, and its error handler is the process's. The lock
 * holds our own writers; nothing can hold another user of the library in the process (h5py beside
 * embed.py, say), who must not write while we do. Reading is our own code and free of both. */
static GMutex lock;

/* Any HDF5 object, given back at the end of its scope. */
typedef hid_t Id;

static void
id_close (Id id)
{
  if (id >= 0)
    H5Idec_ref (id);
}
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (Id, id_close, H5I_INVALID_HID)

/* --- errors ------------------------------------------------------------- */

static herr_t
take_innermost (unsigned n, const H5E_error2_t *entry, void *user_data)
{
  char **text = user_data;

  if (n == 0 && entry->desc != NULL)
    *text = g_utf8_make_valid (entry->desc, -1);
  return 0;
}

/* "what: HDF5: its own words" */
static gboolean G_GNUC_PRINTF (3, 4)
fail (GError **error, NnErrorCode code, const char *format, ...)
{
  g_autofree char *message = NULL, *reason = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  H5Ewalk2 (H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &reason);
  g_set_error (error, NN_ERROR, code, "%s%s%s", message, reason ? ": HDF5: " : "",
      reason ? g_strdelimit (reason, "\n", ' ') : "");
  H5Eclear2 (H5E_DEFAULT);
  return FALSE;
}

/* --- life --------------------------------------------------------------- */

NnH5Writer *
nn_h5_writer_new (gsize size, GError **error)
{
  g_autoptr (NnH5Writer) writer = g_new0 (NnH5Writer, 1);
  g_auto (Id) fapl = H5I_INVALID_HID;
  void *trial = g_try_malloc (size);

  g_mutex_lock (&lock);
  H5open ();
  H5Eget_auto2 (H5E_DEFAULT, &writer->auto_func, &writer->auto_data);
  H5Eset_auto2 (H5E_DEFAULT, NULL, NULL);
  /* libhdf5 that got no memory can no longer be shut down: it is asked for
   * only when there is some, and at once for all that is to come. */
  if (trial == NULL && size > 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "no memory for a file of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  g_free (trial);
  fapl = H5Pcreate (H5P_FILE_ACCESS);
  H5Pset_fclose_degree (fapl, H5F_CLOSE_STRONG);
  H5Pset_fapl_core (fapl, MAX (size, 65536), FALSE);
  /* The layout that everything reads; libhdf5 2 has another default. */
  H5Pset_libver_bounds (fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST);
  writer->file = H5Fcreate ("classify", H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
  if (writer->file < 0) {
    fail (error, NN_ERROR_NO_MEMORY, "no memory for a file of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  return g_steal_pointer (&writer);
}

void
nn_h5_writer_free (NnH5Writer *writer)
{
  if (writer->file > 0)
    H5Fclose (writer->file);
  H5Eclear2 (H5E_DEFAULT);
  H5Eset_auto2 (H5E_DEFAULT, writer->auto_func, writer->auto_data);
  g_mutex_unlock (&lock);
  g_free (writer);
}

/* The bytes of the file. */
static gboolean
complete (NnH5Writer *writer, const char *path, void **data, ssize_t *n, GError **error)
{
  void *handle = NULL;
  ssize_t size;

  /* Flushing also brings the memory up to the file's size. */
  if (H5Fflush (writer->file, H5F_SCOPE_GLOBAL) < 0
      || (size = H5Fget_file_image (writer->file, NULL, 0)) <= 0
      || H5Fget_vfd_handle (writer->file, H5P_DEFAULT, &handle) < 0) {
    fail (error, NN_ERROR_NO_MEMORY, "the file cannot be completed");
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  *data = *(void **) handle;
  *n = size;
  return TRUE;
}

gboolean
nn_h5_writer_save (NnH5Writer *writer, const char *path, GError **error)
{
  void *data;
  ssize_t size;

  return complete (writer, path, &data, &size, error) && nn_file_replace (path, data, size, error);
}

gboolean
nn_h5_writer_create (NnH5Writer *writer, const char *path, GError **error)
{
  void *data;
  ssize_t size;

  return complete (writer, path, &data, &size, error)
         && nn_file_create (path, FALSE, data, size, error);
}

/* --- content ------------------------------------------------------------ */

/* What could not be read again. */
static gboolean
check_text (const char *text, GError **error)
{
  g_autofree char *shown = NULL;

  if (g_utf8_validate (text, -1, NULL))
    return TRUE;
  shown = nn_text_printable (text, -1);
  g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
      "\"%s\" cannot be stored: it is not UTF-8 text", shown);
  return FALSE;
}

static Id
link_plist (void)
{
  Id plist = H5Pcreate (H5P_LINK_CREATE);

  H5Pset_create_intermediate_group (plist, 1);
  return plist;
}

gboolean
nn_h5_writer_add_group (NnH5Writer *writer, const char *path, GError **error)
{
  g_auto (Id) links = link_plist ();
  g_auto (Id) group = H5I_INVALID_HID;

  if (!check_text (path, error))
    return FALSE;
  group = H5Gcreate2 (writer->file, path, links, H5P_DEFAULT, H5P_DEFAULT);
  return group >= 0 || fail (error, NN_ERROR_WRITE, "cannot make the group '%s'", path);
}

static gboolean
set_attribute (NnH5Writer *writer, const char *path, const char *name, Id type, Id space,
    const void *data, GError **error)
{
  g_auto (Id) object = H5Oopen (writer->file, path, H5P_DEFAULT);
  g_auto (Id) attribute = object >= 0
      ? H5Acreate2 (object, name, type, space, H5P_DEFAULT, H5P_DEFAULT)
      : H5I_INVALID_HID;

  if (attribute < 0 || (data != NULL && H5Awrite (attribute, type, data) < 0))
    return fail (error, NN_ERROR_WRITE, "cannot set the attribute '%s' of '%s'", name, path);
  return TRUE;
}

/* @n items from @strings on, each @size bytes. */
static gboolean
set_fixed (NnH5Writer *writer, const char *path, const char *name, const char *const *strings,
    gsize n, gsize size, gboolean scalar, GError **error)
{
  hsize_t dims = n;
  g_auto (Id) type = H5Tcopy (H5T_C_S1);
  g_auto (Id) space = scalar ? H5Screate (H5S_SCALAR) : H5Screate_simple (1, &dims, NULL);
  g_autofree char *text = g_try_malloc0 (n * size);

  if (text == NULL)
    return fail (error, NN_ERROR_NO_MEMORY, "no memory for the attribute '%s'", name);
  for (gsize i = 0; i < n; i++)
    if (!check_text (strings[i], error))
      return FALSE;
  for (gsize i = 0; i < n; i++)
    memcpy (text + i * size, strings[i], strlen (strings[i]));
  H5Tset_size (type, size);
  H5Tset_strpad (type, H5T_STR_NULLPAD);
  return set_attribute (writer, path, name, type, space, text, error);
}

gboolean
nn_h5_writer_set_strings (NnH5Writer *writer, const char *path, const char *name,
    const char *const *strings, GError **error)
{
  gsize n = g_strv_length ((char **) strings), size = 1, n_parts = 1, start_index = 0;

  if (n == 0) {
    hsize_t none = 0;
    g_auto (Id) space = H5Screate_simple (1, &none, NULL);

    return set_attribute (writer, path, name, H5T_IEEE_F64LE, space, NULL, error);
  }
  for (gsize i = 0; i < n; i++)
    size = MAX (size, strlen (strings[i]));
  if (size > MAX_ATTRIBUTE)
    return fail (error, NN_ERROR_WRITE, "a name in '%s' is longer than %d bytes", name,
        MAX_ATTRIBUTE);
  /* NumPy's array_split: the first n % k parts have one item more */
  while ((n + n_parts - 1) / n_parts * size > MAX_ATTRIBUTE)
    n_parts++;
  if (n_parts == 1)
    return set_fixed (writer, path, name, strings, n, size, FALSE, error);
  for (gsize part = 0; part < n_parts; part++) {
    gsize length = n / n_parts + (part < n % n_parts);
    g_autofree char *part_name = g_strdup_printf ("%s%" G_GSIZE_FORMAT, name, part);

    if (!set_fixed (writer, path, part_name, strings + start_index, length, size, FALSE, error))
      return FALSE;
    start_index += length;
  }
  return TRUE;
}

gboolean
nn_h5_writer_set_string (NnH5Writer *writer, const char *path, const char *name, const char *string,
    gboolean fixed, GError **error)
{
  if (fixed) {
    return set_fixed (writer, path, name, &string, 1, MAX (strlen (string), 1), TRUE, error);
  } else {
    g_auto (Id) type = H5Tcopy (H5T_C_S1);
    g_auto (Id) space = H5Screate (H5S_SCALAR);

    if (!check_text (string, error))
      return FALSE;
    H5Tset_size (type, H5T_VARIABLE);
    return set_attribute (writer, path, name, type, space, &string, error);
  }
}

static gboolean
write_dataset (NnH5Writer *writer, const char *path, Id type, Id memory_type, Id space,
    const void *data, GError **error)
{
  g_auto (Id) links = link_plist ();
  g_auto (Id) plist = H5Pcreate (H5P_DATASET_CREATE);
  g_auto (Id) dataset = H5I_INVALID_HID;

  if (!check_text (path, error))
    return FALSE;
  /* the same model gives the same bytes */
  H5Pset_obj_track_times (plist, FALSE);
  H5Pset_fill_time (plist, H5D_FILL_TIME_NEVER);
  dataset = H5Dcreate2 (writer->file, path, type, space, links, plist, H5P_DEFAULT);
  if (dataset < 0 || H5Dwrite (dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
    return fail (error, NN_ERROR_WRITE, "cannot write '%s'", path);
  return TRUE;
}

gboolean
nn_h5_writer_add_floats (NnH5Writer *writer, const char *path, const NnShape *shape,
    const float *values, GError **error)
{
  hsize_t dims[NN_MAX_DIMS];
  g_auto (Id) space = H5I_INVALID_HID;

  for (guint i = 0; i < shape->n_dims; i++)
    dims[i] = shape->dims[i];
  space = H5Screate_simple (shape->n_dims, dims, NULL);
  return write_dataset (writer, path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, space, values, error);
}

gboolean
nn_h5_writer_add_int (NnH5Writer *writer, const char *path, gint64 value, GError **error)
{
  g_auto (Id) space = H5Screate (H5S_SCALAR);

  return write_dataset (writer, path, H5T_STD_I64LE, H5T_NATIVE_INT64, space, &value, error);
}
