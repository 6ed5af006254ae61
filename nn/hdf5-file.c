/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/hdf5-file.h"

#include <hdf5.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/model-private.h"

/* Keras's limit for one attribute: HDF5's is 64 KiB with its header. */
#define MAX_ATTRIBUTE 64512
/* Bounds for what is read into memory at once; Keras's files are far below. */
#define MAX_STRINGS 1000000
#define MAX_TEXT ((gsize) 256 << 20)
#define MAX_CHUNK ((guint64) 256 << 20)
#define MAX_PARTS 100000
/* Compression beyond this is no weights file but an attempt on our memory. */
#define MAX_COMPRESSION 1000

struct _NnH5
{
  char *path; /* for messages */
  hid_t file;
  H5E_auto2_t auto_func; /* the process's own error printing, restored at the end */
  void *auto_data;
};

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

/* "FILE: what: HDF5's own words" */
static gboolean G_GNUC_PRINTF (4, 5)
fail (NnH5 *h5, GError **error, NnErrorCode code, const char *format, ...)
{
  g_autofree char *message = NULL, *reason = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  H5Ewalk2 (H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &reason);
  g_set_error (error, NN_ERROR, code, "%s: %s%s%s", h5->path, message, reason ? ": HDF5: " : "",
      reason ? g_strdelimit (reason, "\n", ' ') : "");
  H5Eclear2 (H5E_DEFAULT);
  return FALSE;
}

/* The same where HDF5 has nothing to add. */
static gboolean G_GNUC_PRINTF (4, 5)
refuse (NnH5 *h5, GError **error, NnErrorCode code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NN_ERROR, code, "%s: %s", h5->path, message);
  return FALSE;
}

/* --- life --------------------------------------------------------------- */

static NnH5 *
start (const char *path)
{
  NnH5 *h5 = g_new0 (NnH5, 1);

  g_mutex_lock (&lock);
  H5open ();
  H5Eget_auto2 (H5E_DEFAULT, &h5->auto_func, &h5->auto_data);
  H5Eset_auto2 (H5E_DEFAULT, NULL, NULL);
  h5->path = g_strdup (path);
  h5->file = H5I_INVALID_HID;
  return h5;
}

void
nn_h5_free (NnH5 *h5)
{
  if (h5->file >= 0)
    H5Fclose (h5->file);
  H5Eclear2 (H5E_DEFAULT);
  H5Eset_auto2 (H5E_DEFAULT, h5->auto_func, h5->auto_data);
  g_mutex_unlock (&lock);
  g_free (h5->path);
  g_free (h5);
}

NnH5 *
nn_h5_open (const char *path, GError **error)
{
  g_autoptr (NnH5) h5 = start (path);
  g_auto (Id) fapl = H5Pcreate (H5P_FILE_ACCESS);

  /* Whatever is still open in it goes with the file. */
  H5Pset_fclose_degree (fapl, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
  /* Locks fail on some network and read-only file systems, and a file that is
   * replaced by renaming needs none. */
  H5Pset_file_locking (fapl, FALSE, TRUE);
#endif
  h5->file = H5Fopen (path, H5F_ACC_RDONLY, fapl);
  if (h5->file < 0) {
    fail (h5, error, NN_ERROR_FORMAT, "expected a Keras HDF5 file, it cannot be opened as one");
    return NULL;
  }
  return g_steal_pointer (&h5);
}

NnH5 *
nn_h5_new (gsize size, GError **error)
{
  g_autoptr (NnH5) h5 = start ("HDF5 file in memory");
  g_auto (Id) fapl = H5Pcreate (H5P_FILE_ACCESS);

  H5Pset_fclose_degree (fapl, H5F_CLOSE_STRONG);
  /* Made in memory and written by nn_file_replace(): when the disk is full the
   * library would be left with a file that it can neither write nor close. */
  H5Pset_fapl_core (fapl, MAX (size, 65536), FALSE);
  h5->file = H5Fcreate ("classify", H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
  if (h5->file < 0) {
    fail (h5, error, NN_ERROR_NO_MEMORY, "cannot be made");
    return NULL;
  }
  return g_steal_pointer (&h5);
}

gboolean
nn_h5_save (NnH5 *h5, const char *path, GError **error)
{
  void *handle = NULL;
  ssize_t size;

  /* Flushing also brings the memory up to the file's size. */
  if (H5Fflush (h5->file, H5F_SCOPE_GLOBAL) < 0
      || (size = H5Fget_file_image (h5->file, NULL, 0)) <= 0
      || H5Fget_vfd_handle (h5->file, H5P_DEFAULT, &handle) < 0)
    return fail (h5, error, NN_ERROR_NO_MEMORY, "cannot be completed");
  return nn_file_replace (path, *(void **) handle, size, error);
}

/* --- paths -------------------------------------------------------------- */

/* Opens group or dataset @path, link by link. */
static Id
open_object (NnH5 *h5, const char *path, GError **error)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);
  Id object = H5Oopen (h5->file, "/", H5P_DEFAULT);

  for (guint i = 0; names[i] != NULL && object >= 0; i++) {
    H5L_info_t info;
    Id next = H5I_INVALID_HID;

    if (names[i][0] == '\0' || strcmp (names[i], ".") == 0)
      continue;
    if (H5Iget_type (object) != H5I_GROUP)
      refuse (h5, error, NN_ERROR_FORMAT, "'%s' is missing: a part of it is no group", path);
    else if (H5Lexists (object, names[i], H5P_DEFAULT) <= 0)
      refuse (h5, error, NN_ERROR_FORMAT, "'%s' is missing", path);
    else if (H5Lget_info (object, names[i], &info, H5P_DEFAULT) < 0)
      fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
    else if (info.type != H5L_TYPE_HARD)
      refuse (h5, error, NN_ERROR_UNSUPPORTED,
          "'%s' is %s link, which is not followed: save the model anew with Keras", path,
          info.type == H5L_TYPE_EXTERNAL ? "an external" : "a soft");
    else if ((next = H5Oopen (object, names[i], H5P_DEFAULT)) < 0)
      fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
    H5Idec_ref (object);
    object = next;
    if (object < 0)
      return object;
  }
  if (object < 0)
    fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
  return object;
}

gboolean
nn_h5_has (NnH5 *h5, const char *path)
{
  g_auto (Id) object = open_object (h5, path, NULL);

  return object >= 0;
}

gboolean
nn_h5_has_attribute (NnH5 *h5, const char *path, const char *name)
{
  g_auto (Id) object = open_object (h5, path, NULL);

  return object >= 0 && H5Aexists (object, name) > 0;
}

/* --- text --------------------------------------------------------------- */

/* One item of a fixed-length string: up to its padding. */
static char *
unpad (const char *text, gsize size, H5T_str_t padding)
{
  gsize n = 0;

  while (n < size && text[n] != '\0')
    n++;
  if (padding == H5T_STR_SPACEPAD) {
    while (n > 0 && text[n - 1] == ' ')
      n--;
  }
  return g_strndup (text, n);
}

static gboolean
read_fixed (NnH5 *h5, Id attribute, Id type, gsize n, char **strings, const char *what,
    GError **error)
{
  gsize size = H5Tget_size (type);
  H5T_str_t padding = H5Tget_strpad (type);
  g_autofree char *text = NULL;

  if (size == 0 || size > MAX_TEXT / n)
    return refuse (h5, error, NN_ERROR_FORMAT, "%s has an impossible size", what);
  text = g_try_malloc (n * size);
  if (text == NULL)
    return refuse (h5, error, NN_ERROR_NO_MEMORY, "no memory for %s", what);
  if (H5Aread (attribute, type, text) < 0)
    return fail (h5, error, NN_ERROR_FORMAT, "%s cannot be read", what);
  for (gsize i = 0; i < n; i++)
    strings[i] = unpad (text + i * size, size, padding);
  return TRUE;
}

static gboolean
read_variable (NnH5 *h5, Id attribute, Id type, Id space, gsize n, char **strings,
    const char *what, GError **error)
{
  g_auto (Id) memory_type = H5Tcopy (H5T_C_S1);
  g_autofree char **items = g_new0 (char *, n);

  H5Tset_size (memory_type, H5T_VARIABLE);
  H5Tset_cset (memory_type, H5Tget_cset (type));
  if (H5Aread (attribute, memory_type, items) < 0)
    return fail (h5, error, NN_ERROR_FORMAT, "%s cannot be read", what);
  for (gsize i = 0; i < n; i++)
    strings[i] = g_strdup (items[i] ? items[i] : "");
  H5Dvlen_reclaim (memory_type, space, H5P_DEFAULT, items);
  return TRUE;
}

char **
nn_h5_get_strings (NnH5 *h5, const char *path, const char *name, GError **error)
{
  g_autofree char *what = g_strdup_printf ("attribute '%s' of '%s'", name, path);
  g_auto (Id) object = open_object (h5, path, error);
  g_auto (Id) attribute = H5I_INVALID_HID;
  g_auto (Id) type = H5I_INVALID_HID;
  g_auto (Id) space = H5I_INVALID_HID;
  g_auto (GStrv) strings = NULL;
  hssize_t n;
  htri_t is_variable;

  if (object < 0)
    return NULL;
  attribute = H5Aopen (object, name, H5P_DEFAULT);
  if (attribute < 0 || (type = H5Aget_type (attribute)) < 0
      || (space = H5Aget_space (attribute)) < 0
      || (n = H5Sget_simple_extent_npoints (space)) < 0) {
    fail (h5, error, NN_ERROR_FORMAT, "%s cannot be read", what);
    return NULL;
  }
  if (n == 0)
    return g_new0 (char *, 1);
  if (H5Tget_class (type) != H5T_STRING || H5Sget_simple_extent_ndims (space) > 1) {
    refuse (h5, error, NN_ERROR_FORMAT, "%s should be text or a list of texts", what);
    return NULL;
  }
  if (n > MAX_STRINGS) {
    refuse (h5, error, NN_ERROR_FORMAT, "%s has %" G_GINT64_FORMAT " items, at most %d can be",
        what, (gint64) n, MAX_STRINGS);
    return NULL;
  }
  strings = g_new0 (char *, n + 1);
  is_variable = H5Tis_variable_str (type);
  if (is_variable > 0 ? !read_variable (h5, attribute, type, space, n, strings, what, error)
                      : !read_fixed (h5, attribute, type, n, strings, what, error))
    return NULL;
  for (gsize i = 0; i < (gsize) n; i++) {
    if (!g_utf8_validate (strings[i], -1, NULL)) {
      refuse (h5, error, NN_ERROR_FORMAT, "%s holds bytes that are not UTF-8 text", what);
      return NULL;
    }
  }
  return g_steal_pointer (&strings);
}

char **
nn_h5_get_long_strings (NnH5 *h5, const char *path, const char *name, GError **error)
{
  g_autoptr (GPtrArray) all = NULL;

  if (nn_h5_has_attribute (h5, path, name))
    return nn_h5_get_strings (h5, path, name, error);
  all = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < MAX_PARTS; i++) {
    g_autofree char *part_name = g_strdup_printf ("%s%u", name, i);
    g_autofree char **part = NULL;

    if (!nn_h5_has_attribute (h5, path, part_name))
      break;
    part = nn_h5_get_strings (h5, path, part_name, error);
    if (part == NULL)
      return NULL;
    for (guint k = 0; part[k] != NULL; k++)
      g_ptr_array_add (all, part[k]);
    if (all->len > MAX_STRINGS) {
      refuse (h5, error, NN_ERROR_FORMAT, "the list '%s' of '%s' has more than %d items", name,
          path, MAX_STRINGS);
      return NULL;
    }
  }
  g_ptr_array_add (all, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&all), FALSE);
}

char **
nn_h5_list_attributes (NnH5 *h5, const char *prefix, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_auto (Id) root = open_object (h5, "/", error);
  H5O_info_t info;

  if (root < 0)
    return NULL;
#if H5_VERSION_GE(1, 12, 0)
  if (H5Oget_info3 (root, &info, H5O_INFO_NUM_ATTRS) < 0) {
#else
  if (H5Oget_info2 (root, &info, H5O_INFO_NUM_ATTRS) < 0) {
#endif
    fail (h5, error, NN_ERROR_FORMAT, "the root's attributes cannot be listed");
    return NULL;
  }
  for (hsize_t i = 0; i < info.num_attrs && i < MAX_STRINGS; i++) {
    char name[256];
    ssize_t size = H5Aget_name_by_idx (root, ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
        sizeof name, H5P_DEFAULT);

    if (size < 0) {
      fail (h5, error, NN_ERROR_FORMAT, "the root's attributes cannot be listed");
      return NULL;
    }
    if ((gsize) size < sizeof name && g_str_has_prefix (name, prefix)
        && g_utf8_validate (name, -1, NULL))
      g_ptr_array_add (names, g_strdup (name));
  }
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

/* --- numbers ------------------------------------------------------------ */

/* Where the values are kept must be this file, in an amount that fits. */
static gboolean
check_storage (NnH5 *h5, Id dataset, const char *path, guint64 n_bytes, GError **error)
{
  g_auto (Id) plist = H5Dget_create_plist (dataset);
  guint64 stored = H5Dget_storage_size (dataset);
  H5D_layout_t layout = plist >= 0 ? H5Pget_layout (plist) : H5D_LAYOUT_ERROR;

  if (layout == H5D_LAYOUT_ERROR)
    return fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
  if (layout == H5D_VIRTUAL || H5Pget_external_count (plist) > 0)
    return refuse (h5, error, NN_ERROR_UNSUPPORTED,
        "'%s' keeps its values in another file, which is not followed: save the model anew with"
        " Keras",
        path);
  if (layout == H5D_CHUNKED) {
    hsize_t chunk[H5S_MAX_RANK];
    int rank = H5Pget_chunk (plist, H5S_MAX_RANK, chunk);
    guint64 size = 8;

    for (int i = 0; i < rank; i++) {
      if (chunk[i] == 0 || chunk[i] > MAX_CHUNK / size)
        return refuse (h5, error, NN_ERROR_FORMAT, "'%s' is stored in impossibly large pieces",
            path);
      size *= chunk[i];
    }
    for (int i = 0; i < H5Pget_nfilters (plist); i++) {
      unsigned flags, settings;
      size_t n_settings = 0;
      H5Z_filter_t filter = H5Pget_filter2 (plist, i, &flags, &n_settings, NULL, 0, NULL,
          &settings);

      /* those that the library brings itself: no plug-in is searched for */
      if (filter < 0 || filter > H5Z_FILTER_SCALEOFFSET)
        return refuse (h5, error, NN_ERROR_UNSUPPORTED,
            "'%s' is compressed with filter %d, which is not supported", path, (int) filter);
    }
  }
  if (n_bytes > 0 && n_bytes / MAX_COMPRESSION > stored + 4096)
    return refuse (h5, error, NN_ERROR_FORMAT,
        "'%s' declares %" G_GUINT64_FORMAT " bytes and stores only %" G_GUINT64_FORMAT, path,
        n_bytes, stored);
  if (n_bytes > 0 && (stored == 0 || (layout == H5D_CONTIGUOUS && stored < n_bytes)))
    return refuse (h5, error, NN_ERROR_FORMAT,
        "'%s' should store %" G_GUINT64_FORMAT " bytes, found %" G_GUINT64_FORMAT, path, n_bytes,
        stored);
  return TRUE;
}

/* Opens a dataset of numbers. */
static Id
open_dataset (NnH5 *h5, const char *path, NnShape *shape, GError **error)
{
  Id dataset = open_object (h5, path, error);
  g_auto (Id) type = H5I_INVALID_HID;
  g_auto (Id) space = H5I_INVALID_HID;
  hsize_t dims[H5S_MAX_RANK];
  H5T_class_t type_class;
  guint64 count = 1;
  int rank;

  if (dataset < 0)
    return dataset;
  if (H5Iget_type (dataset) != H5I_DATASET) {
    refuse (h5, error, NN_ERROR_FORMAT, "'%s' should be a dataset of numbers, it is a group",
        path);
    goto failed;
  }
  if ((type = H5Dget_type (dataset)) < 0 || (space = H5Dget_space (dataset)) < 0
      || (rank = H5Sget_simple_extent_dims (space, dims, NULL)) < 0) {
    fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
    goto failed;
  }
  type_class = H5Tget_class (type);
  if ((type_class != H5T_FLOAT && type_class != H5T_INTEGER) || H5Tget_size (type) > 8
      || H5Sget_simple_extent_type (space) == H5S_NULL) {
    refuse (h5, error, NN_ERROR_FORMAT,
        "'%s' should hold numbers (float16, float32 or float64), it holds something else", path);
    goto failed;
  }
  if (rank > NN_MAX_DIMS) {
    refuse (h5, error, NN_ERROR_SHAPE, "'%s' has %d axes, at most %d can be", path, rank,
        NN_MAX_DIMS);
    goto failed;
  }
  shape->n_dims = rank;
  for (int i = 0; i < rank; i++) {
    if (dims[i] != 0 && count > NN_MAX_VALUES / dims[i]) {
      refuse (h5, error, NN_ERROR_SHAPE, "'%s' declares more values than can be", path);
      goto failed;
    }
    count *= dims[i];
    shape->dims[i] = dims[i];
  }
  if (!check_storage (h5, dataset, path, count * H5Tget_size (type), error))
    goto failed;
  return dataset;

failed:
  H5Idec_ref (dataset);
  return H5I_INVALID_HID;
}

gboolean
nn_h5_get_shape (NnH5 *h5, const char *path, NnShape *shape, GError **error)
{
  g_auto (Id) dataset = open_dataset (h5, path, shape, error);

  return dataset >= 0;
}

gboolean
nn_h5_read_floats (NnH5 *h5, const char *path, const NnShape *shape, float *values, GError **error)
{
  NnShape found;
  g_auto (Id) dataset = open_dataset (h5, path, &found, error);

  if (dataset < 0)
    return FALSE;
  if (!nn_shape_equal (shape, &found)) {
    g_autofree char *expected_text = nn_shape_to_string (shape);
    g_autofree char *found_text = nn_shape_to_string (&found);

    return refuse (h5, error, NN_ERROR_SHAPE, "'%s' should have the shape %s, found %s", path,
        expected_text, found_text);
  }
  if (H5Dread (dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
    return fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
  return TRUE;
}

gboolean
nn_h5_read_int (NnH5 *h5, const char *path, gint64 *value, GError **error)
{
  NnShape found;
  g_auto (Id) dataset = open_dataset (h5, path, &found, error);

  if (dataset < 0)
    return FALSE;
  if (nn_shape_count (&found) != 1)
    return refuse (h5, error, NN_ERROR_SHAPE, "'%s' should be one number", path);
  if (H5Dread (dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0)
    return fail (h5, error, NN_ERROR_FORMAT, "'%s' cannot be read", path);
  return TRUE;
}

/* --- writing ------------------------------------------------------------ */

static Id
link_plist (void)
{
  Id plist = H5Pcreate (H5P_LINK_CREATE);

  H5Pset_create_intermediate_group (plist, 1);
  return plist;
}

gboolean
nn_h5_make_group (NnH5 *h5, const char *path, GError **error)
{
  g_auto (Id) links = link_plist ();
  g_auto (Id) group = H5Gcreate2 (h5->file, path, links, H5P_DEFAULT, H5P_DEFAULT);

  return group >= 0 || fail (h5, error, NN_ERROR_WRITE, "cannot make the group '%s'", path);
}

static gboolean
set_attribute (NnH5 *h5, const char *path, const char *name, Id type, Id space, const void *data,
    GError **error)
{
  g_auto (Id) object = H5Oopen (h5->file, path, H5P_DEFAULT);
  g_auto (Id) attribute = object >= 0
      ? H5Acreate2 (object, name, type, space, H5P_DEFAULT, H5P_DEFAULT)
      : H5I_INVALID_HID;

  if (attribute < 0 || (data != NULL && H5Awrite (attribute, type, data) < 0))
    return fail (h5, error, NN_ERROR_WRITE, "cannot set the attribute '%s' of '%s'", name, path);
  return TRUE;
}

/* @n items from @strings on, each @size bytes. */
static gboolean
set_fixed (NnH5 *h5, const char *path, const char *name, const char *const *strings, gsize n,
    gsize size, gboolean scalar, GError **error)
{
  hsize_t dims = n;
  g_auto (Id) type = H5Tcopy (H5T_C_S1);
  g_auto (Id) space = scalar ? H5Screate (H5S_SCALAR) : H5Screate_simple (1, &dims, NULL);
  g_autofree char *text = g_try_malloc0 (n * size);

  if (text == NULL)
    return refuse (h5, error, NN_ERROR_NO_MEMORY, "no memory for the attribute '%s'", name);
  for (gsize i = 0; i < n; i++)
    memcpy (text + i * size, strings[i], strlen (strings[i]));
  H5Tset_size (type, size);
  H5Tset_strpad (type, H5T_STR_NULLPAD);
  return set_attribute (h5, path, name, type, space, text, error);
}

gboolean
nn_h5_set_strings (NnH5 *h5, const char *path, const char *name, const char *const *strings,
    GError **error)
{
  gsize n = g_strv_length ((char **) strings), size = 1, n_parts = 1, start_index = 0;

  if (n == 0) {
    hsize_t none = 0;
    g_auto (Id) space = H5Screate_simple (1, &none, NULL);

    return set_attribute (h5, path, name, H5T_IEEE_F64LE, space, NULL, error);
  }
  for (gsize i = 0; i < n; i++)
    size = MAX (size, strlen (strings[i]));
  if (size > MAX_ATTRIBUTE)
    return refuse (h5, error, NN_ERROR_WRITE, "a name in '%s' is longer than %d bytes", name,
        MAX_ATTRIBUTE);
  /* NumPy's array_split: the first n % k parts have one item more */
  while ((n + n_parts - 1) / n_parts * size > MAX_ATTRIBUTE)
    n_parts++;
  if (n_parts == 1)
    return set_fixed (h5, path, name, strings, n, size, FALSE, error);
  for (gsize part = 0; part < n_parts; part++) {
    gsize length = n / n_parts + (part < n % n_parts);
    g_autofree char *part_name = g_strdup_printf ("%s%" G_GSIZE_FORMAT, name, part);

    if (!set_fixed (h5, path, part_name, strings + start_index, length, size, FALSE, error))
      return FALSE;
    start_index += length;
  }
  return TRUE;
}

gboolean
nn_h5_set_string (NnH5 *h5, const char *path, const char *name, const char *string,
    gboolean fixed, GError **error)
{
  if (fixed) {
    return set_fixed (h5, path, name, &string, 1, MAX (strlen (string), 1), TRUE, error);
  } else {
    g_auto (Id) type = H5Tcopy (H5T_C_S1);
    g_auto (Id) space = H5Screate (H5S_SCALAR);

    H5Tset_size (type, H5T_VARIABLE);
    return set_attribute (h5, path, name, type, space, &string, error);
  }
}

static gboolean
write_dataset (NnH5 *h5, const char *path, Id type, Id memory_type, Id space, const void *data,
    GError **error)
{
  g_auto (Id) links = link_plist ();
  g_auto (Id) plist = H5Pcreate (H5P_DATASET_CREATE);
  g_auto (Id) dataset = H5I_INVALID_HID;

  /* the same model gives the same bytes */
  H5Pset_obj_track_times (plist, FALSE);
  H5Pset_fill_time (plist, H5D_FILL_TIME_NEVER);
  dataset = H5Dcreate2 (h5->file, path, type, space, links, plist, H5P_DEFAULT);
  if (dataset < 0 || H5Dwrite (dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
    return fail (h5, error, NN_ERROR_WRITE, "cannot write '%s'", path);
  return TRUE;
}

gboolean
nn_h5_write_floats (NnH5 *h5, const char *path, const NnShape *shape, const float *values,
    GError **error)
{
  hsize_t dims[NN_MAX_DIMS];
  g_auto (Id) space = H5I_INVALID_HID;

  for (guint i = 0; i < shape->n_dims; i++)
    dims[i] = shape->dims[i];
  space = H5Screate_simple (shape->n_dims, dims, NULL);
  return write_dataset (h5, path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, space, values, error);
}

gboolean
nn_h5_write_int (NnH5 *h5, const char *path, gint64 value, GError **error)
{
  g_auto (Id) space = H5Screate (H5S_SCALAR);

  return write_dataset (h5, path, H5T_STD_I64LE, H5T_NATIVE_INT64, space, &value, error);
}
