/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Datasets of numbers: where their values are, chunks and filters undone,
 * conversion to float. */

#include <gio/gio.h>
#include <string.h>

#include "nn/hdf5-private.h"

#define MAX_CHUNK ((guint64) 256 << 20)
/* More than deflate can do with anything but a trap. */
#define MAX_COMPRESSION 1100

typedef enum
{
  FILTER_DEFLATE = 1,
  FILTER_SHUFFLE = 2,
  FILTER_FLETCHER32 = 3,
} Filter;

#define MAX_FILTERS 8

typedef struct
{
  Type type;
  Space space;
  guint64 n_bytes;
  enum
  {
    STORED_COMPACT,
    STORED_CONTIGUOUS,
    STORED_CHUNKED,
  } storage;
  guint64 address;             /* contiguous: the values, chunked: the B-tree */
  const guint8 *compact;       /* in the object header */
  guint64 chunk[MAX_RANK];     /* sizes of a chunk */
  guint64 chunk_bytes;
  guint n_filters;
  Filter filters[MAX_FILTERS]; /* in the order of writing */
  Object *object;
} Dataset;

static void
dataset_clear (Dataset *dataset)
{
  g_clear_pointer (&dataset->object, nn_h5_object_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Dataset, dataset_clear)

/* Version (1), number (1), [1: reserved (6)]; each: id (2), length of the name
 * (2; 2: only from id 256 on), flags (2), values (2), name (1: padded to 8),
 * values (4 each; 1: padded to an even number). */
static gboolean
parse_filters (const NnH5 *h5, const Message *message, const char *path, Dataset *dataset,
    GError **error)
{
  Cursor cursor = cursor_new (message->data, message->size);
  guint version = (guint) take (&cursor, 1);

  dataset->n_filters = (guint) take (&cursor, 1);
  if (version == 1)
    skip (&cursor, 6);
  if ((version != 1 && version != 2) || dataset->n_filters > MAX_FILTERS)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: the filters of '%s' are broken",
        path);
  for (guint i = 0; i < dataset->n_filters; i++) {
    guint id = (guint) take (&cursor, 2);
    guint64 name_size = version == 1 || id >= 256 ? take (&cursor, 2) : 0, n;

    skip (&cursor, 2);
    n = take (&cursor, 2);
    skip (&cursor, version == 1 ? (name_size + 7) & ~(guint64) 7 : name_size);
    skip (&cursor, 4 * (version == 1 ? (n + 1) & ~(guint64) 1 : n));
    if (cursor.failed)
      return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
          "damaged HDF5 file: the filters of '%s' are broken", path);
    if (id < FILTER_DEFLATE || id > FILTER_FLETCHER32)
      return nn_h5_fail (h5, error, NN_ERROR_UNSUPPORTED,
          "'%s' is compressed with filter %u, which is not supported: rewrite the file with"
          " \"h5repack -f NONE old.h5 new.h5\" or save it anew with Keras",
          path, id);
    dataset->filters[i] = (Filter) id;
  }
  return TRUE;
}

/* Version 3 or 4 (1), class (1); compact: size (2), values; contiguous:
 * address (O), size (L); chunked (3): sizes (1), B-tree (O), sizes (4 each,
 * the last one of an element). */
static gboolean
parse_layout (const NnH5 *h5, const Message *message, const char *path, Dataset *dataset,
    GError **error)
{
  Cursor cursor = cursor_new (message->data, message->size);
  guint version = (guint) take (&cursor, 1), class = (guint) take (&cursor, 1);
  guint64 stored = 0;

  if (class == 3)
    return nn_h5_fail (h5, error, NN_ERROR_UNSUPPORTED,
        "'%s' keeps its values in another file, which is not followed: save the model anew with"
        " Keras",
        path);
  if (version > 3 && class == 2)
    return nn_h5_fail_newer (h5, error, "layout 4");
  if (version < 3 || class > 2)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: the layout of '%s' is broken",
        path);
  switch (class) {
    case 0:
      dataset->storage = STORED_COMPACT;
      stored = take (&cursor, 2);
      dataset->compact = skip (&cursor, stored);
      break;
    case 1:
      dataset->storage = STORED_CONTIGUOUS;
      dataset->address = take_address (h5, &cursor);
      stored = take (&cursor, h5->l);
      if (dataset->address == UNDEFINED)
        stored = 0; /* never written */
      break;
    default: {
      guint rank = (guint) take (&cursor, 1);

      dataset->storage = STORED_CHUNKED;
      dataset->address = take_address (h5, &cursor);
      if (rank != dataset->space.rank + 1 || rank > MAX_RANK)
        return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
            "damaged HDF5 file: the layout of '%s' is broken", path);
      dataset->chunk_bytes = dataset->type.size;
      for (guint i = 0; i < rank; i++) {
        dataset->chunk[i] = take (&cursor, 4);
        if (i + 1 == rank)
          break;
        if (dataset->chunk[i] == 0 || dataset->chunk[i] > MAX_CHUNK / dataset->chunk_bytes)
          return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
              "'%s' is stored in impossibly large pieces", path);
        dataset->chunk_bytes *= dataset->chunk[i];
      }
      /* Each chunk is checked when it is read. */
      stored = dataset->address == UNDEFINED ? 0 : dataset->n_bytes;
      break;
    }
  }
  if (cursor.failed)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: the layout of '%s' is broken",
        path);
  if (stored != dataset->n_bytes)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "'%s' should store %" G_GUINT64_FORMAT " bytes, found %" G_GUINT64_FORMAT, path,
        dataset->n_bytes, stored);
  if (dataset->storage == STORED_CONTIGUOUS && stored > h5->size - MIN (dataset->address, h5->size))
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: the values of '%s' would be behind its end", path);
  return TRUE;
}

/* Opens a dataset of numbers and says which sizes it has. */
static gboolean
open_dataset (NnH5 *h5, const char *path, Dataset *dataset, NnShape *shape, GError **error)
{
  const Message *type, *space, *layout, *filters;

  dataset->object = nn_h5_open_object (h5, path, error);
  if (dataset->object == NULL) {
    if (error != NULL && *error != NULL && (*error)->code == NN_ERROR_NOT_FOUND)
      (*error)->code = NN_ERROR_FORMAT; /* the file is there, a part of it is not */
    return FALSE;
  }
  type = nn_h5_find_message (dataset->object, MESSAGE_DATATYPE);
  space = nn_h5_find_message (dataset->object, MESSAGE_DATASPACE);
  layout = nn_h5_find_message (dataset->object, MESSAGE_LAYOUT);
  if (type == NULL || space == NULL || layout == NULL)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "'%s' should be a dataset of numbers, it is a group", path);
  if (nn_h5_find_message (dataset->object, MESSAGE_EXTERNAL_FILES) != NULL)
    return nn_h5_fail (h5, error, NN_ERROR_UNSUPPORTED,
        "'%s' keeps its values in another file, which is not followed: save the model anew with"
        " Keras",
        path);
  if (type->is_shared || !nn_h5_parse_type (type->data, type->size, &dataset->type)
      || space->is_shared || !nn_h5_parse_space (h5, space->data, space->size, &dataset->space)
      || dataset->space.is_null || dataset->type.kind == TYPE_OTHER
      || dataset->type.kind > TYPE_FLOAT)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "'%s' should hold numbers (float16, float32 or float64), it holds something else", path);
  if (dataset->space.rank > NN_MAX_DIMS)
    return nn_h5_fail (h5, error, NN_ERROR_SHAPE, "'%s' has %u axes, at most %d can be", path,
        dataset->space.rank, NN_MAX_DIMS);
  if (dataset->space.count > NN_MAX_VALUES)
    return nn_h5_fail (h5, error, NN_ERROR_SHAPE, "'%s' declares more values than can be", path);
  dataset->n_bytes = dataset->space.count * dataset->type.size;
  if (dataset->n_bytes / MAX_COMPRESSION > h5->size)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "'%s' declares %" G_GUINT64_FORMAT " bytes, in a file of %" G_GUINT64_FORMAT, path,
        dataset->n_bytes, h5->size);
  shape->n_dims = dataset->space.rank;
  for (guint i = 0; i < shape->n_dims; i++)
    shape->dims[i] = dataset->space.dims[i];
  filters = nn_h5_find_message (dataset->object, MESSAGE_FILTERS);
  if ((filters != NULL && !parse_filters (h5, filters, path, dataset, error))
      || !parse_layout (h5, layout, path, dataset, error))
    return FALSE;
  /* said before memory is taken for it */
  if (dataset->storage == STORED_CONTIGUOUS && dataset->n_bytes > h5->size)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "'%s' declares %" G_GUINT64_FORMAT " bytes, in a file of %" G_GUINT64_FORMAT, path,
        dataset->n_bytes, h5->size);
  return TRUE;
}

/* --- chunks ------------------------------------------------------------- */

/* HDF5's Fletcher's checksum of 16-bit words, big endian. */
static guint32
fletcher32 (const guint8 *data, gsize size)
{
  guint32 a = 0, b = 0;

  for (gsize i = 0; i < size; i += 2) {
    a += (guint32) data[i] << 8 | (i + 1 < size ? data[i + 1] : 0);
    a = (a & 0xffff) + (a >> 16);
    b += a;
    b = (b & 0xffff) + (b >> 16);
  }
  a = (a & 0xffff) + (a >> 16);
  b = (b & 0xffff) + (b >> 16);
  return b << 16 | a;
}

static gboolean
inflate_chunk (const guint8 *data, gsize size, guint8 *out, gsize out_size)
{
  g_autoptr (GZlibDecompressor) zlib = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_ZLIB);
  gsize n_read, n_written, done = 0;

  while (done < out_size) {
    GConverterResult result = g_converter_convert (G_CONVERTER (zlib), data, size, out + done,
        out_size - done, G_CONVERTER_INPUT_AT_END, &n_read, &n_written, NULL);

    if (result == G_CONVERTER_ERROR || n_read > size)
      return FALSE;
    data += n_read;
    size -= n_read;
    done += n_written;
    if (result == G_CONVERTER_FINISHED)
      break;
  }
  return done == out_size;
}

/* Byte 0 of all elements, then byte 1 of all, ... and what fills no element. */
static void
unshuffle (const guint8 *data, guint8 *out, gsize size, gsize element)
{
  gsize n = size / element;

  for (gsize b = 0; b < element; b++) {
    for (gsize i = 0; i < n; i++)
      out[i * element + b] = data[b * n + i];
  }
  memcpy (out + n * element, data + n * element, size - n * element);
}

/* Undoes the filters, last one first. Returns chunk_bytes bytes or NULL. */
static guint8 *
unfilter (const Dataset *dataset, const Block *stored, guint32 mask)
{
  gsize size = stored->size;
  g_autofree guint8 *data = g_try_malloc (MAX (size, 1));

  if (data == NULL)
    return NULL;
  memcpy (data, stored->data, size);
  for (guint i = dataset->n_filters; i-- > 0;) {
    g_autofree guint8 *out = NULL;
    gsize out_size;
    guint32 sum;

    if (mask & 1u << i)
      continue;
    switch (dataset->filters[i]) {
      case FILTER_FLETCHER32:
        if (size < 4)
          return NULL;
        size -= 4;
        sum = (guint32) data[size] | (guint32) data[size + 1] << 8 | (guint32) data[size + 2] << 16
            | (guint32) data[size + 3] << 24;
        if (sum != fletcher32 (data, size))
          return NULL;
        break;
      case FILTER_DEFLATE:
        /* only checksums make a chunk longer */
        out_size = dataset->chunk_bytes;
        for (guint k = 0; k < i; k++)
          out_size += dataset->filters[k] == FILTER_FLETCHER32 && !(mask & 1u << k) ? 4 : 0;
        if (out_size / MAX_COMPRESSION > size)
          return NULL;
        out = g_try_malloc (out_size);
        if (out == NULL || !inflate_chunk (data, size, out, out_size))
          return NULL;
        g_free (data);
        data = g_steal_pointer (&out);
        size = out_size;
        break;
      case FILTER_SHUFFLE:
        out = g_try_malloc (MAX (size, 1));
        if (out == NULL)
          return NULL;
        unshuffle (data, out, size, dataset->type.size);
        g_free (data);
        data = g_steal_pointer (&out);
        break;
    }
  }
  return size == dataset->chunk_bytes ? g_steal_pointer (&data) : NULL;
}

/* Copies the part of a chunk that lies inside the dataset; @start: its first
 * element. */
static void
place_chunk (const Dataset *dataset, const guint64 *start, const guint8 *chunk, guint8 *values)
{
  const guint rank = dataset->space.rank;
  const guint64 *dims = dataset->space.dims;
  const gsize element = dataset->type.size;
  guint64 at[NN_MAX_DIMS] = { 0 };
  gsize row;

  if (rank == 0) {
    memcpy (values, chunk, element);
    return;
  }
  row = MIN (dataset->chunk[rank - 1], dims[rank - 1] - start[rank - 1]) * element;
  for (;;) {
    guint64 from = 0, to = 0;
    gint axis;

    for (guint i = 0; i < rank; i++) {
      from = from * dataset->chunk[i] + at[i];
      to = to * dims[i] + start[i] + at[i];
    }
    memcpy (values + to * element, chunk + from * element, row);
    for (axis = (gint) rank - 2; axis >= 0; axis--) {
      if (++at[axis] < dataset->chunk[axis] && start[axis] + at[axis] < dims[axis])
        break;
      at[axis] = 0;
    }
    if (axis < 0)
      return;
  }
}

typedef struct
{
  NnH5 *h5;
  const Dataset *dataset;
  const char *path;
  guint8 *values;
  guint8 *seen; /* one flag a chunk */
  guint64 n_seen;
} ChunkReader;

static gboolean
read_chunk (ChunkReader *reader, guint64 address, guint64 size, guint32 mask,
    const guint64 *start, GError **error)
{
  const Dataset *dataset = reader->dataset;
  g_autofree Block *stored = NULL;
  g_autofree guint8 *chunk = NULL;
  guint64 index = 0;

  for (guint i = 0; i < dataset->space.rank; i++) {
    if (start[i] >= dataset->space.dims[i] || start[i] % dataset->chunk[i] != 0)
      return nn_h5_fail_damaged (reader->h5, error, "a chunk's place", address);
    index = index * ((dataset->space.dims[i] - 1) / dataset->chunk[i] + 1)
        + start[i] / dataset->chunk[i];
  }
  if (reader->seen[index])
    return nn_h5_fail_damaged (reader->h5, error, "a chunk's place", address);
  reader->seen[index] = 1;
  reader->n_seen++;
  stored = nn_h5_read_block (reader->h5, address, size, error);
  if (stored == NULL)
    return FALSE;
  chunk = unfilter (dataset, stored, mask);
  if (chunk == NULL)
    return nn_h5_fail (reader->h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: a compressed part of '%s' is broken", reader->path);
  place_chunk (dataset, start, chunk, reader->values);
  return TRUE;
}

/* As read_group_tree(); key: size (4), mask of filters left out (4), first
 * element (8 for each axis, and one more). */
static gboolean
read_chunk_tree (ChunkReader *reader, guint64 address, gint expected_level, GError **error)
{
  NnH5 *h5 = reader->h5;
  const guint rank = reader->dataset->space.rank;
  g_autofree Block *head = nn_h5_read_block (h5, address, 8 + 2 * h5->o, error);
  g_autofree Block *entries = NULL;
  Cursor cursor;
  guint type, n;
  gint level;

  if (head == NULL)
    return FALSE;
  cursor = cursor_new (head->data, head->size);
  if (!has_signature (&cursor, "TREE"))
    return nn_h5_fail_damaged (h5, error, "a B-tree node", address);
  type = (guint) take (&cursor, 1);
  level = (gint) take (&cursor, 1);
  n = (guint) take (&cursor, 2);
  if (type != 1 || level > 8 || (expected_level >= 0 && level != expected_level))
    return nn_h5_fail_damaged (h5, error, "a B-tree node", address);
  entries = nn_h5_read_block (h5, address + head->size,
      (guint64) n * (8 + 8 * (rank + 1) + h5->o), error);
  if (entries == NULL)
    return FALSE;
  cursor = cursor_new (entries->data, entries->size);
  for (guint i = 0; i < n; i++) {
    guint64 size = take (&cursor, 4), start[MAX_RANK + 1], child;
    guint32 mask = (guint32) take (&cursor, 4);

    for (guint k = 0; k <= rank; k++)
      start[k] = take (&cursor, 8);
    child = take_address (h5, &cursor);
    if (level > 0 ? !read_chunk_tree (reader, child, level - 1, error)
                  : !read_chunk (reader, child, size, mask, start, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_chunks (NnH5 *h5, const char *path, const Dataset *dataset, guint8 *values, GError **error)
{
  ChunkReader reader = { h5, dataset, path, values, NULL, 0 };
  g_autofree guint8 *seen = NULL;
  guint64 n_chunks = 1;

  for (guint i = 0; i < dataset->space.rank; i++)
    n_chunks *= (dataset->space.dims[i] - 1) / dataset->chunk[i] + 1;
  seen = g_try_malloc0 (n_chunks);
  if (seen == NULL)
    return nn_h5_fail (h5, error, NN_ERROR_NO_MEMORY, "no memory for '%s'", path);
  reader.seen = seen;
  if (!read_chunk_tree (&reader, dataset->address, -1, error))
    return FALSE;
  if (reader.n_seen < n_chunks)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "'%s' stores only %" G_GUINT64_FORMAT " of its %" G_GUINT64_FORMAT " parts", path,
        reader.n_seen, n_chunks);
  return TRUE;
}

/* --- conversion --------------------------------------------------------- */

static float
half_to_float (guint16 half)
{
  guint32 sign = (guint32) (half & 0x8000) << 16, exponent = half >> 10 & 31, bits = half & 0x3ff;
  union
  {
    guint32 u;
    float f;
  } result;

  if (exponent == 0) { /* subnormal: a multiple of 2^-24 */
    result.f = (float) bits / 16777216.0f;
    result.u |= sign;
  } else if (exponent == 31) {
    result.u = sign | 0x7f800000 | bits << 13;
  } else {
    result.u = sign | (exponent + 112) << 23 | bits << 13;
  }
  return result.f;
}

static guint64
get_bits (const guint8 *data, const Type *type)
{
  guint64 bits = 0;

  for (gsize i = 0; i < type->size; i++)
    bits |= (guint64) data[i] << 8 * (type->is_big_endian ? type->size - 1 - i : i);
  return bits;
}

static double
get_number (const guint8 *data, const Type *type)
{
  guint64 bits = get_bits (data, type);
  guint shift = (guint) (64 - 8 * type->size);
  guint32 low = (guint32) bits;
  float single;
  double number;

  switch (type->kind) {
    case TYPE_SIGNED:
      return (double) ((gint64) (bits << shift) >> shift);
    case TYPE_UNSIGNED:
      return (double) bits;
    default:
      if (type->size == 2)
        return half_to_float ((guint16) bits);
      if (type->size == 4) {
        memcpy (&single, &low, sizeof single);
        return single;
      }
      memcpy (&number, &bits, sizeof number);
      return number;
  }
}

/* All bytes as they are stored. */
static gboolean
read_raw (NnH5 *h5, const char *path, const Dataset *dataset, guint8 *values, GError **error)
{
  switch (dataset->storage) {
    case STORED_COMPACT:
      memcpy (values, dataset->compact, dataset->n_bytes);
      return TRUE;
    case STORED_CONTIGUOUS:
      return nn_h5_read_at (h5, dataset->address, values, dataset->n_bytes, error);
    default:
      return read_chunks (h5, path, dataset, values, error);
  }
}

gboolean
nn_h5_get_shape (NnH5 *h5, const char *path, NnShape *shape, GError **error)
{
  g_auto (Dataset) dataset = { .object = NULL };

  return open_dataset (h5, path, &dataset, shape, error);
}

gboolean
nn_h5_read_floats (NnH5 *h5, const char *path, const NnShape *shape, float *values, GError **error)
{
  g_auto (Dataset) dataset = { .object = NULL };
  g_autofree guint8 *raw = NULL;
  NnShape found;

  if (!open_dataset (h5, path, &dataset, &found, error))
    return FALSE;
  if (!nn_shape_equal (shape, &found)) {
    g_autofree char *expected_text = nn_shape_to_string (shape);
    g_autofree char *found_text = nn_shape_to_string (&found);

    return nn_h5_fail (h5, error, NN_ERROR_SHAPE, "'%s' should have the shape %s, found %s", path,
        expected_text, found_text);
  }
  if (dataset.n_bytes == 0)
    return TRUE;
  if (dataset.type.kind == TYPE_FLOAT && dataset.type.size == sizeof (float)
      && dataset.type.is_big_endian == (G_BYTE_ORDER == G_BIG_ENDIAN))
    return read_raw (h5, path, &dataset, (guint8 *) values, error);
  raw = g_try_malloc (dataset.n_bytes);
  if (raw == NULL)
    return nn_h5_fail (h5, error, NN_ERROR_NO_MEMORY, "no memory for '%s'", path);
  if (!read_raw (h5, path, &dataset, raw, error))
    return FALSE;
  for (guint64 i = 0; i < dataset.space.count; i++)
    values[i] = (float) get_number (raw + i * dataset.type.size, &dataset.type);
  return TRUE;
}

gboolean
nn_h5_read_int (NnH5 *h5, const char *path, gint64 *value, GError **error)
{
  g_auto (Dataset) dataset = { .object = NULL };
  guint8 raw[8];
  NnShape found;

  if (!open_dataset (h5, path, &dataset, &found, error))
    return FALSE;
  if (dataset.space.count != 1)
    return nn_h5_fail (h5, error, NN_ERROR_SHAPE, "'%s' should be one number", path);
  if (!read_raw (h5, path, &dataset, raw, error))
    return FALSE;
  if (dataset.type.kind == TYPE_FLOAT) {
    double number = get_number (raw, &dataset.type);

    if (!(number >= -9e15 && number <= 9e15)) /* NaN too */
      return nn_h5_fail (h5, error, NN_ERROR_FORMAT, "'%s' should be a whole number", path);
    *value = (gint64) number;
  } else {
    guint shift = (guint) (64 - 8 * dataset.type.size);
    guint64 bits = get_bits (raw, &dataset.type);

    *value = dataset.type.kind == TYPE_SIGNED ? (gint64) (bits << shift) >> shift : (gint64) bits;
  }
  return TRUE;
}
