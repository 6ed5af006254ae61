/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The "HDF5 File Format Specification", version 3.0, as far as hdf5-read.h
 * says. Numbers in metadata are little endian; O and L are the widths of
 * addresses and lengths that the superblock tells.
 *
 *   superblock -> root's object header
 *   object header: messages: dataspace, datatype, layout, filters, attributes,
 *                  and for a group the symbol table (B-tree, local heap)
 *   B-tree "TREE" of type 0 -> symbol nodes "SNOD": name (in the heap), header
 *   global heap "GCOL": text of variable length
 *
 * Every read of metadata is paid from a budget that grows with the file: what
 * points in circles or over and over at the same place runs out of it. */

#include "nn/hdf5-read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/hdf5-private.h"
#include "nn/text.h"

#define MAX_STRINGS 1000000
#define MAX_HEADER ((guint64) 64 << 20)
#define MAX_PARTS 100000

/* --- errors and bytes --------------------------------------------------- */

gboolean
nn_h5_fail (const NnH5 *h5, GError **error, NnErrorCode code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NN_ERROR, code, "%s: %s", h5->path, message);
  nn_text_make_printable (error);
  return FALSE;
}

gboolean
nn_h5_fail_damaged (const NnH5 *h5, GError **error, const char *what, guint64 address)
{
  return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
      "damaged HDF5 file: %s at byte %" G_GUINT64_FORMAT " is not what it should be", what,
      address == UNDEFINED ? 0 : address + h5->base);
}

gboolean
nn_h5_fail_newer (const NnH5 *h5, GError **error, const char *what)
{
  return nn_h5_fail (h5, error, NN_ERROR_UNSUPPORTED,
      "written in HDF5's newer layout (%s, as h5py's libver=\"latest\" makes it), which is not"
      " supported: load it in Keras and save it anew with model.save (\"x.h5\")",
      what);
}

gboolean
nn_h5_read_at (NnH5 *h5, guint64 address, void *data, guint64 size, GError **error)
{
  guint8 *bytes = data;

  if (address == UNDEFINED || address > h5->size || h5->base > h5->size - address
      || size > h5->size - h5->base - address)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: it refers to bytes behind its end");
  address += h5->base;
  while (size > 0) {
    ssize_t n = pread (h5->fd, bytes, MIN (size, (guint64) 1 << 30), (off_t) address);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return nn_h5_fail (h5, error, NN_ERROR_READ, "%s",
          n < 0 ? g_strerror (errno) : "the file was cut while it was read");
    bytes += n;
    address += n;
    size -= n;
  }
  return TRUE;
}

static gboolean
pay (NnH5 *h5, guint64 n_bytes, GError **error)
{
  if (n_bytes > h5->budget)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: its parts refer to each other in circles or over and over");
  h5->budget -= n_bytes;
  return TRUE;
}

Block *
nn_h5_read_block (NnH5 *h5, guint64 address, guint64 size, GError **error)
{
  g_autofree Block *block = NULL;

  if (!pay (h5, size, error))
    return NULL;
  /* looked at before memory is taken for it */
  if (size > h5->size) {
    nn_h5_fail (h5, error, NN_ERROR_FORMAT, "damaged HDF5 file: it refers to bytes behind its end");
    return NULL;
  }
  block = g_try_malloc (sizeof (Block) + size);
  if (block == NULL) {
    nn_h5_fail (h5, error, NN_ERROR_NO_MEMORY,
        "no memory for %" G_GUINT64_FORMAT " bytes of it", size);
    return NULL;
  }
  block->size = size;
  return nn_h5_read_at (h5, address, block->data, size, error) ? g_steal_pointer (&block) : NULL;
}

/* --- life --------------------------------------------------------------- */

static gboolean
is_width (guint64 width)
{
  return width == 2 || width == 4 || width == 8;
}

static gboolean
read_superblock (NnH5 *h5, GError **error)
{
  static const guint8 signature[] = { 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n' };
  guint8 data[128] = { 0 };
  guint64 start = 0, end_address, base;
  Cursor cursor;
  guint version;

  /* A user block of 512, 1024, ... bytes may stand before it. */
  for (;; start = start == 0 ? 512 : start * 2) {
    if (start + sizeof signature > h5->size)
      return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
          "expected an HDF5 file, found no HDF5 signature");
    if (!nn_h5_read_at (h5, start, data, sizeof signature, error))
      return FALSE;
    if (memcmp (data, signature, sizeof signature) == 0)
      break;
  }
  if (!nn_h5_read_at (h5, start, data, MIN (sizeof data, h5->size - start), error))
    return FALSE;
  cursor = cursor_new (data, MIN (sizeof data, h5->size - start));
  skip (&cursor, sizeof signature);
  version = (guint) take (&cursor, 1);
  if (version == 2 || version == 3)
    return nn_h5_fail_newer (h5, error, "superblock 2");
  if (version > 3)
    return nn_h5_fail_damaged (h5, error, "the superblock", start);
  skip (&cursor, 4);
  h5->o = (guint) take (&cursor, 1);
  h5->l = (guint) take (&cursor, 1);
  if (!cursor.failed && (!is_width (h5->o) || !is_width (h5->l)))
    return nn_h5_fail_damaged (h5, error, "the superblock", start);
  skip (&cursor, 1 + 2 + 2 + 4 + (version == 1 ? 4 : 0));
  base = take_address (h5, &cursor);
  take_address (h5, &cursor); /* free space */
  end_address = take_address (h5, &cursor);
  take_address (h5, &cursor); /* driver information */
  take (&cursor, h5->o);      /* name of the root */
  h5->root = take_address (h5, &cursor);
  if (cursor.failed)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "truncated HDF5 file: found %" G_GUINT64_FORMAT " bytes, too few for its superblock",
        h5->size);
  /* libhdf5 also takes where the superblock was found for the base */
  h5->base = base == 0 ? start : base;
  if (h5->base != start)
    return nn_h5_fail_damaged (h5, error, "the superblock", start);
  if (end_address == UNDEFINED || end_address > h5->size - start)
    return nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "truncated HDF5 file: it should have %" G_GUINT64_FORMAT " bytes, found %" G_GUINT64_FORMAT,
        end_address, h5->size);
  return TRUE;
}

NnH5 *
nn_h5_open (const char *path, GError **error)
{
  g_autoptr (NnH5) h5 = g_new0 (NnH5, 1);
  struct stat st;

  h5->path = g_strdup (path);
  h5->links = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
      (GDestroyNotify) g_hash_table_unref);
  h5->heaps = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  h5->fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (h5->fd < 0 || fstat (h5->fd, &st) < 0) {
    nn_h5_fail (h5, error, errno == ENOENT || errno == ENOTDIR ? NN_ERROR_NOT_FOUND : NN_ERROR_READ,
        "%s", g_strerror (errno));
    return NULL;
  }
  if (!S_ISREG (st.st_mode)) {
    nn_h5_fail (h5, error, NN_ERROR_READ, "expected a file, found %s",
        S_ISDIR (st.st_mode) ? "a directory" : "a pipe or device");
    return NULL;
  }
  h5->size = st.st_size;
  /* Files as Keras writes them need about three times their metadata. */
  h5->budget = h5->size * 64 + (16 << 20);
  h5->text_budget = h5->size + (1 << 20);
  return read_superblock (h5, error) ? g_steal_pointer (&h5) : NULL;
}

void
nn_h5_close (NnH5 *h5)
{
  if (h5->fd >= 0)
    close (h5->fd);
  g_hash_table_unref (h5->links);
  g_hash_table_unref (h5->heaps);
  g_clear_error (&h5->damage);
  g_free (h5->path);
  g_free (h5);
}

/* --- object headers ----------------------------------------------------- */

void
nn_h5_object_free (Object *object)
{
  g_ptr_array_unref (object->blocks);
  g_array_unref (object->messages);
  g_free (object);
}
/* Header: version 1 (1), reserved (1), messages (2), references (4), size of
 * the first block (4), padding (4). Message: type (2), size (2), flags (1),
 * reserved (3), data. */
static Object *
load_object (NnH5 *h5, guint64 address, GError **error)
{
  g_autoptr (Object) object = g_new0 (Object, 1);
  g_autofree Block *prefix = NULL;
  guint64 next = address, next_size = 16, n_bytes = 0;
  guint n_messages, n_queued = 0;
  Cursor cursor;

  object->address = address;
  object->blocks = g_ptr_array_new_with_free_func (g_free);
  object->messages = g_array_new (FALSE, FALSE, sizeof (Message));
  prefix = nn_h5_read_block (h5, address, next_size, error);
  if (prefix == NULL)
    return NULL;
  if (memcmp (prefix->data, "OHDR", 4) == 0) {
    nn_h5_fail_newer (h5, error, "object header 2");
    return NULL;
  }
  cursor = cursor_new (prefix->data, prefix->size);
  if (take (&cursor, 1) != 1) {
    nn_h5_fail_damaged (h5, error, "an object header", address);
    return NULL;
  }
  skip (&cursor, 1);
  n_messages = (guint) take (&cursor, 2);
  skip (&cursor, 4);
  next = address + 16;
  next_size = take (&cursor, 4);

  /* Messages may say where more of them are; each is counted, so that a chain
   * of blocks ends. */
  for (guint queue = 0;;) {
    Block *block;

    n_bytes += next_size;
    if (n_bytes > MAX_HEADER) {
      nn_h5_fail_damaged (h5, error, "an object header", address);
      return NULL;
    }
    block = nn_h5_read_block (h5, next, next_size, error);
    if (block == NULL)
      return NULL;
    g_ptr_array_add (object->blocks, block);
    cursor = cursor_new (block->data, block->size);
    while (object->messages->len < n_messages && cursor.end - cursor.at >= 8) {
      Message message = { 0 };
      guint flags;

      message.type = (MessageType) take (&cursor, 2);
      message.size = take (&cursor, 2);
      flags = (guint) take (&cursor, 1);
      skip (&cursor, 3);
      message.data = skip (&cursor, message.size);
      message.is_shared = (flags & 2) != 0;
      if (cursor.failed) {
        nn_h5_fail_damaged (h5, error, "an object header", address);
        return NULL;
      }
      n_queued += message.type == MESSAGE_CONTINUATION;
      g_array_append_val (object->messages, message);
    }
    /* the next continuation in the order of appearance */
    if (n_queued == 0)
      break;
    n_queued--;
    for (;; queue++) {
      const Message *message = &g_array_index (object->messages, Message, queue);

      if (message->type == MESSAGE_CONTINUATION) {
        cursor = cursor_new (message->data, message->size);
        next = take_address (h5, &cursor);
        next_size = take (&cursor, h5->l);
        queue++;
        break;
      }
    }
    if (cursor.failed) {
      nn_h5_fail_damaged (h5, error, "an object header", address);
      return NULL;
    }
  }
  return g_steal_pointer (&object);
}

const Message *
nn_h5_find_message (const Object *object, MessageType type)
{
  for (guint i = 0; i < object->messages->len; i++) {
    const Message *message = &g_array_index (object->messages, Message, i);

    if (message->type == type)
      return message;
  }
  return NULL;
}

/* --- groups ------------------------------------------------------------- */

typedef enum
{
  LINK_HARD,
  LINK_SOFT,
  LINK_EXTERNAL,
} LinkKind;

typedef struct
{
  guint64 address;
  LinkKind kind;
} Link;

static void
add_link (GHashTable *links, char *name, guint64 address, LinkKind kind)
{
  Link *link = g_new (Link, 1);

  link->address = address;
  link->kind = kind;
  g_hash_table_insert (links, name, link);
}

/* "SNOD", version (1), reserved (1), entries (2); entry: name's place in the
 * heap (O), header (O), kind (4), reserved (4), scratch (16). */
static gboolean
read_symbols (NnH5 *h5, guint64 address, const Block *names, GHashTable *links, GError **error)
{
  const guint entry_size = 2 * h5->o + 24;
  g_autofree Block *head = nn_h5_read_block (h5, address, 8, error);
  g_autofree Block *entries = NULL;
  Cursor cursor;
  guint n;

  if (head == NULL)
    return FALSE;
  cursor = cursor_new (head->data, head->size);
  if (!has_signature (&cursor, "SNOD") || take (&cursor, 1) != 1)
    return nn_h5_fail_damaged (h5, error, "a symbol node", address);
  skip (&cursor, 1);
  n = (guint) take (&cursor, 2);
  entries = nn_h5_read_block (h5, address + 8, (guint64) n * entry_size, error);
  if (entries == NULL)
    return FALSE;
  cursor = cursor_new (entries->data, entries->size);
  for (guint i = 0; i < n; i++) {
    guint64 place = take (&cursor, h5->o);
    guint64 header = take_address (h5, &cursor);
    guint kind = (guint) take (&cursor, 4);
    gsize length;

    skip (&cursor, 20);
    if (place >= names->size)
      return nn_h5_fail_damaged (h5, error, "a symbol node", address);
    length = strnlen ((const char *) names->data + place, names->size - place);
    if (length == names->size - place)
      return nn_h5_fail_damaged (h5, error, "a local heap", address);
    /* paid too: many entries may share one long name */
    if (!pay (h5, length, error))
      return FALSE;
    add_link (links, g_strndup ((const char *) names->data + place, length), header,
        kind == 2 ? LINK_SOFT : LINK_HARD);
  }
  return TRUE;
}

/* "TREE", type (1), level (1), entries (2), left (O), right (O); then key (L),
 * child (O), key, ... Keys only serve searching; all children are visited. */
static gboolean
read_group_tree (NnH5 *h5, guint64 address, gint expected_level, const Block *names,
    GHashTable *links, GError **error)
{
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
  /* Levels fall, so that no path is a circle; 8 levels hold any group. */
  if (type != 0 || level > 8 || (expected_level >= 0 && level != expected_level))
    return nn_h5_fail_damaged (h5, error, "a B-tree node", address);
  entries = nn_h5_read_block (h5, address + head->size, (guint64) n * (h5->l + h5->o), error);
  if (entries == NULL)
    return FALSE;
  cursor = cursor_new (entries->data, entries->size);
  for (guint i = 0; i < n; i++) {
    guint64 child;

    skip (&cursor, h5->l);
    child = take_address (h5, &cursor);
    if (level > 0 ? !read_group_tree (h5, child, level - 1, names, links, error)
                  : !read_symbols (h5, child, names, links, error))
      return FALSE;
  }
  return TRUE;
}

/* B-tree (O), local heap (O). Heap: "HEAP", version (1), reserved (3), size
 * (L), free list (L), data (O). */
static gboolean
read_symbol_table (NnH5 *h5, const Message *message, GHashTable *links, GError **error)
{
  Cursor cursor = cursor_new (message->data, message->size);
  guint64 tree = take_address (h5, &cursor), heap = take_address (h5, &cursor), size, data;
  g_autofree Block *head = NULL, *names = NULL;

  if (cursor.failed)
    return nn_h5_fail_damaged (h5, error, "a symbol table", UNDEFINED);
  head = nn_h5_read_block (h5, heap, 8 + 2 * h5->l + h5->o, error);
  if (head == NULL)
    return FALSE;
  cursor = cursor_new (head->data, head->size);
  if (!has_signature (&cursor, "HEAP") || take (&cursor, 1) != 0)
    return nn_h5_fail_damaged (h5, error, "a local heap", heap);
  skip (&cursor, 3);
  size = take (&cursor, h5->l);
  skip (&cursor, h5->l);
  data = take_address (h5, &cursor);
  names = nn_h5_read_block (h5, data, size, error);
  return names != NULL && read_group_tree (h5, tree, -1, names, links, error);
}

/* Version 1 (1), flags (1), [kind (1)], [creation order (8)], [character set
 * (1)], length of the name (1, 2, 4 or 8), name, for a hard link: header (O). */
static gboolean
read_link (NnH5 *h5, const Message *message, GHashTable *links, GError **error)
{
  Cursor cursor = cursor_new (message->data, message->size);
  guint version = (guint) take (&cursor, 1), flags = (guint) take (&cursor, 1), kind = 0;
  guint64 length, address = UNDEFINED;
  const guint8 *name;

  if (flags & 0x08)
    kind = (guint) take (&cursor, 1);
  if (flags & 0x04)
    skip (&cursor, 8);
  if (flags & 0x10)
    skip (&cursor, 1);
  length = take (&cursor, 1u << (flags & 3));
  name = skip (&cursor, length);
  if (kind == 0)
    address = take_address (h5, &cursor);
  if (cursor.failed || version != 1)
    return nn_h5_fail_damaged (h5, error, "a link", UNDEFINED);
  add_link (links, g_strndup ((const char *) name, length), address,
      kind == 0      ? LINK_HARD
          : kind == 1 ? LINK_SOFT
                      : LINK_EXTERNAL);
  return TRUE;
}

/* Version 0 (1), flags (1), [creation order (8)], fractal heap (O), ... */
static gboolean
is_dense (NnH5 *h5, const Object *object, MessageType type)
{
  const Message *message = nn_h5_find_message (object, type);
  Cursor cursor;
  guint flags;

  if (message == NULL)
    return FALSE;
  cursor = cursor_new (message->data, message->size);
  skip (&cursor, 1);
  flags = (guint) take (&cursor, 1);
  if (flags & 1)
    skip (&cursor, type == MESSAGE_LINK_INFO ? 8 : 2);
  return take_address (h5, &cursor) != UNDEFINED || cursor.failed;
}

/* name -> Link of the group at @address, NULL with @error when broken, an
 * empty table when it is no group. */
static GHashTable *
get_links (NnH5 *h5, guint64 address, GError **error)
{
  GHashTable *links = g_hash_table_lookup (h5->links, &address);
  g_autoptr (GHashTable) made = NULL;
  g_autoptr (Object) object = NULL;

  if (links != NULL)
    return links;
  object = load_object (h5, address, error);
  if (object == NULL)
    return NULL;
  if (is_dense (h5, object, MESSAGE_LINK_INFO)) {
    nn_h5_fail_newer (h5, error, "links in a fractal heap");
    return NULL;
  }
  made = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; i < object->messages->len; i++) {
    const Message *message = &g_array_index (object->messages, Message, i);

    if ((message->type == MESSAGE_SYMBOL_TABLE && !read_symbol_table (h5, message, made, error))
        || (message->type == MESSAGE_LINK && !read_link (h5, message, made, error)))
      return NULL;
  }
  links = g_steal_pointer (&made);
  g_hash_table_insert (h5->links, g_memdup2 (&address, sizeof address), links);
  return links;
}

/* The object at @path, link by link. */
Object *
nn_h5_open_object (NnH5 *h5, const char *path, GError **error)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);
  guint64 address = h5->root;

  for (guint i = 0; names[i] != NULL; i++) {
    GHashTable *links;
    const Link *link;

    if (names[i][0] == '\0' || strcmp (names[i], ".") == 0)
      continue;
    links = get_links (h5, address, error);
    if (links == NULL)
      return NULL;
    link = g_hash_table_lookup (links, names[i]);
    if (link == NULL) {
      nn_h5_fail (h5, error, NN_ERROR_NOT_FOUND, "'%s' is missing", path);
      return NULL;
    }
    if (link->kind != LINK_HARD) {
      nn_h5_fail (h5, error, NN_ERROR_UNSUPPORTED,
          "'%s' is %s link, which is not followed: save the model anew with Keras", path,
          link->kind == LINK_SOFT ? "a soft" : "an external");
      return NULL;
    }
    address = link->address;
  }
  return load_object (h5, address, error);
}

/* While only asking: what is broken is kept for later. */
static Object *
ask_object (NnH5 *h5, const char *path)
{
  GError *error = NULL;
  Object *object = nn_h5_open_object (h5, path, &error);

  if (error != NULL && error->code != NN_ERROR_NOT_FOUND && h5->damage == NULL)
    h5->damage = g_steal_pointer (&error);
  g_clear_error (&error);
  return object;
}

gboolean
nn_h5_has (NnH5 *h5, const char *path)
{
  g_autoptr (Object) object = ask_object (h5, path);

  return object != NULL;
}

gboolean
nn_h5_get_damage (NnH5 *h5, GError **error)
{
  if (h5->damage == NULL)
    return FALSE;
  g_propagate_error (error, g_error_copy (h5->damage));
  return TRUE;
}

/* --- types and sizes ---------------------------------------------------- */

/* Class and version (1), flags (3), size (4), properties. */
gboolean
nn_h5_parse_type (const guint8 *data, gsize size, Type *type)
{
  /* first bit (2), bits (2), exponent: first, bits; mantissa: first, bits; bias (4) */
  static const guint8 ieee[3][12] = {
    { 0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0 },
    { 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0 },
    { 0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0 },
  };
  Cursor cursor = cursor_new (data, size);
  guint class_and_version = (guint) take (&cursor, 1), flags = (guint) take (&cursor, 3);
  const guint8 *properties;

  *type = (Type) { TYPE_OTHER };
  type->size = take (&cursor, 4);
  type->is_big_endian = flags & 1;
  switch (class_and_version & 15) {
    case 0:
      properties = skip (&cursor, 4);
      if (properties != NULL && type->size <= 8 && properties[0] == 0 && properties[1] == 0
          && properties[2] == type->size * 8 && properties[3] == 0
          && (type->size == 1 || type->size == 2 || type->size == 4 || type->size == 8))
        type->kind = flags & 8 ? TYPE_SIGNED : TYPE_UNSIGNED;
      break;
    case 1:
      properties = skip (&cursor, 12);
      for (guint i = 0; properties != NULL && i < 3; i++) {
        if (type->size == 2u << i && memcmp (properties, ieee[i], sizeof ieee[i]) == 0
            && !(flags & 0x40))
          type->kind = TYPE_FLOAT;
      }
      break;
    case 3:
      type->kind = TYPE_TEXT;
      type->is_space_padded = (flags & 15) == 2;
      break;
    case 9:
      if ((flags & 15) == 1)
        type->kind = TYPE_VARIABLE_TEXT;
      break;
    default:
      break;
  }
  return !cursor.failed;
}

/* Version 1: version, rank, flags (1 each), reserved (5); version 2: version,
 * rank, flags, kind; then the sizes (L each), [largest sizes]. */
gboolean
nn_h5_parse_space (const NnH5 *h5, const guint8 *data, gsize size, Space *space)
{
  Cursor cursor = cursor_new (data, size);
  guint version = (guint) take (&cursor, 1), kind;

  space->rank = (guint) take (&cursor, 1);
  skip (&cursor, 1);
  kind = (guint) take (&cursor, 1);
  if (version == 1)
    skip (&cursor, 4);
  else if (version != 2)
    return FALSE;
  space->is_null = version == 2 && kind == 2;
  if (space->rank > MAX_RANK)
    return FALSE;
  space->count = space->is_null ? 0 : 1;
  for (guint i = 0; i < space->rank; i++) {
    space->dims[i] = take (&cursor, h5->l);
    /* as many as can be told, where it is more */
    if (space->dims[i] != 0 && space->count > G_MAXUINT64 / space->dims[i])
      space->count = G_MAXUINT64;
    else
      space->count *= space->dims[i];
  }
  return !cursor.failed;
}

/* --- text --------------------------------------------------------------- */

typedef struct
{
  char *name;
  Type type;
  Space space;
  const guint8 *data;
  gsize size;
} Attribute;

/* Version (1), flags (1), sizes of name, type and space (2 each), [3: character
 * set (1)], name, type, space (version 1: each padded to 8), data. */
static gboolean
parse_attribute (const NnH5 *h5, const Message *message, Attribute *attribute)
{
  Cursor cursor = cursor_new (message->data, message->size);
  guint version = (guint) take (&cursor, 1), flags = (guint) take (&cursor, 1);
  guint64 name_size = take (&cursor, 2), type_size = take (&cursor, 2),
          space_size = take (&cursor, 2), pad = version == 1 ? 7 : 0;
  const guint8 *name, *type, *space;

  if (version == 3)
    skip (&cursor, 1);
  name = skip (&cursor, (name_size + pad) & ~pad);
  type = skip (&cursor, (type_size + pad) & ~pad);
  space = skip (&cursor, (space_size + pad) & ~pad);
  if (cursor.failed || version < 1 || version > 3 || message->is_shared)
    return FALSE;
  attribute->name = g_strndup ((const char *) name, name_size);
  /* a type or space kept elsewhere: only for attributes that are not Keras's */
  if (flags & 3)
    attribute->type.kind = TYPE_OTHER;
  else if (!nn_h5_parse_type (type, type_size, &attribute->type)
      || !nn_h5_parse_space (h5, space, space_size, &attribute->space)) {
    g_clear_pointer (&attribute->name, g_free);
    return FALSE;
  }
  attribute->data = cursor.at;
  attribute->size = cursor.end - cursor.at;
  return TRUE;
}

/* 1 found, 0 not there, -1 with @error. */
static gint
find_attribute (NnH5 *h5, const Object *object, const char *path, const char *name,
    Attribute *attribute, GError **error)
{
  for (guint i = 0; i < object->messages->len; i++) {
    const Message *message = &g_array_index (object->messages, Message, i);

    if (message->type != MESSAGE_ATTRIBUTE)
      continue;
    memset (attribute, 0, sizeof *attribute);
    if (!parse_attribute (h5, message, attribute)) {
      nn_h5_fail (h5, error, NN_ERROR_FORMAT,
          "damaged HDF5 file: an attribute of '%s' is broken", path);
      return -1;
    }
    if (strcmp (attribute->name, name) == 0)
      return 1;
    g_free (attribute->name);
  }
  if (is_dense (h5, object, MESSAGE_ATTRIBUTE_INFO)) {
    nn_h5_fail_newer (h5, error, "attributes in a fractal heap");
    return -1;
  }
  return 0;
}

gboolean
nn_h5_has_attribute (NnH5 *h5, const char *path, const char *name)
{
  g_autoptr (Object) object = ask_object (h5, path);
  Attribute attribute;
  GError *error = NULL;
  gint found = object ? find_attribute (h5, object, path, name, &attribute, &error) : 0;

  if (found > 0)
    g_free (attribute.name);
  if (error != NULL && h5->damage == NULL)
    h5->damage = g_steal_pointer (&error);
  g_clear_error (&error);
  return found > 0;
}

/* "GCOL", version (1), reserved (3), size (L), objects: index (2), references
 * (2), reserved (4), size (L), data padded to 8. */
/* Several items may be one text of the file: all copies together are bounded by its size. */
static char *
copy_text (NnH5 *h5, const guint8 *data, guint64 length, GError **error)
{
  char *text;

  if (length > h5->text_budget) {
    nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "damaged HDF5 file: its texts name the same bytes over and over");
    return NULL;
  }
  h5->text_budget -= length;
  text = g_try_malloc (length + 1);
  if (text == NULL) {
    nn_h5_fail (h5, error, NN_ERROR_NO_MEMORY,
        "no memory for a text of %" G_GUINT64_FORMAT " bytes", length);
    return NULL;
  }
  memcpy (text, data, length);
  text[length] = '\0';
  return text;
}

static char *
read_heap_text (NnH5 *h5, guint64 address, guint index, guint64 length, GError **error)
{
  Block *block = g_hash_table_lookup (h5->heaps, &address);
  Cursor cursor;

  if (block == NULL) {
    g_autofree Block *head = nn_h5_read_block (h5, address, 8 + h5->l, error);
    guint64 size;

    if (head == NULL)
      return NULL;
    cursor = cursor_new (head->data, head->size);
    if (!has_signature (&cursor, "GCOL") || take (&cursor, 1) != 1) {
      nn_h5_fail_damaged (h5, error, "a global heap", address);
      return NULL;
    }
    skip (&cursor, 3);
    size = take (&cursor, h5->l);
    block = nn_h5_read_block (h5, address, size, error);
    if (block == NULL)
      return NULL;
    g_hash_table_insert (h5->heaps, g_memdup2 (&address, sizeof address), block);
  }
  cursor = cursor_new (block->data, block->size);
  skip (&cursor, 8 + h5->l);
  for (;;) {
    guint found = (guint) take (&cursor, 2);
    guint64 size;
    const guint8 *data;

    skip (&cursor, 6);
    size = take (&cursor, h5->l);
    if (cursor.failed || found == 0)
      break;
    data = skip (&cursor, size);
    if (data != NULL && found == index) {
      if (length > size)
        break;
      return copy_text (h5, data, length, error);
    }
    /* the walk is paid: each text of a list walks from the start */
    if (!pay (h5, 16, error))
      return NULL;
    skip (&cursor, -size & 7);
  }
  nn_h5_fail_damaged (h5, error, "a global heap", address);
  return NULL;
}

/* One item of fixed length, up to its padding. */
static char *
unpad (NnH5 *h5, const guint8 *text, gsize size, gboolean is_space_padded, GError **error)
{
  gsize n = strnlen ((const char *) text, size);

  while (is_space_padded && n > 0 && text[n - 1] == ' ')
    n--;
  return copy_text (h5, text, n, error);
}

static char **
get_texts (NnH5 *h5, const Attribute *attribute, const char *what, GError **error)
{
  const Type *type = &attribute->type;
  const Space *space = &attribute->space;
  gboolean is_variable = type->kind == TYPE_VARIABLE_TEXT;
  gsize item_size = is_variable ? 4 + h5->o + 4 : type->size, n = space->count;
  Cursor cursor = cursor_new (attribute->data, attribute->size);
  g_auto (GStrv) texts = NULL;

  if (space->is_null || n == 0)
    return g_new0 (char *, 1);
  if ((type->kind != TYPE_TEXT && !is_variable) || space->rank > 1) {
    nn_h5_fail (h5, error, NN_ERROR_FORMAT, "%s should be text or a list of texts", what);
    return NULL;
  }
  if (n > MAX_STRINGS) {
    nn_h5_fail (h5, error, NN_ERROR_FORMAT,
        "%s has %" G_GSIZE_FORMAT " items, at most %d can be", what,
        n, MAX_STRINGS);
    return NULL;
  }
  if (item_size == 0 || item_size > attribute->size / n) {
    nn_h5_fail (h5, error, NN_ERROR_FORMAT, "damaged HDF5 file: %s is too short", what);
    return NULL;
  }
  texts = g_try_new0 (char *, n + 1);
  if (texts == NULL) {
    nn_h5_fail (h5, error, NN_ERROR_NO_MEMORY, "no memory for %s", what);
    return NULL;
  }
  for (gsize i = 0; i < n; i++) {
    if (is_variable) {
      guint64 length = take (&cursor, 4), address = take_address (h5, &cursor);
      guint index = (guint) take (&cursor, 4);

      texts[i] = length == 0 ? g_strdup ("") : read_heap_text (h5, address, index, length, error);
    } else {
      texts[i]
          = unpad (h5, skip (&cursor, item_size), item_size, type->is_space_padded, error);
    }
    if (texts[i] == NULL)
      return NULL;
    if (!g_utf8_validate (texts[i], -1, NULL)) {
      nn_h5_fail (h5, error, NN_ERROR_FORMAT, "%s holds bytes that are not UTF-8 text", what);
      return NULL;
    }
  }
  return g_steal_pointer (&texts);
}

char **
nn_h5_get_strings (NnH5 *h5, const char *path, const char *name, GError **error)
{
  g_autofree char *what = g_strdup_printf ("attribute '%s' of '%s'", name, path);
  g_autoptr (Object) object = nn_h5_open_object (h5, path, error);
  Attribute attribute;
  char **texts;
  gint found;

  if (object == NULL)
    return NULL;
  found = find_attribute (h5, object, path, name, &attribute, error);
  if (found == 0)
    nn_h5_fail (h5, error, NN_ERROR_FORMAT, "%s is missing", what);
  if (found <= 0)
    return NULL;
  texts = get_texts (h5, &attribute, what, error);
  g_free (attribute.name);
  return texts;
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
      nn_h5_fail (h5, error, NN_ERROR_FORMAT, "the list '%s' of '%s' has more than %d items", name,
          path, MAX_STRINGS);
      return NULL;
    }
  }
  if (nn_h5_get_damage (h5, error))
    return NULL;
  g_ptr_array_add (all, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&all), FALSE);
}

char **
nn_h5_list_attributes (NnH5 *h5, const char *prefix, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (Object) object = load_object (h5, h5->root, error);

  if (object == NULL)
    return NULL;
  for (guint i = 0; i < object->messages->len; i++) {
    const Message *message = &g_array_index (object->messages, Message, i);
    Attribute attribute = { NULL };

    if (message->type != MESSAGE_ATTRIBUTE)
      continue;
    if (!parse_attribute (h5, message, &attribute)) {
      nn_h5_fail (h5, error, NN_ERROR_FORMAT, "damaged HDF5 file: an attribute of '/' is broken");
      return NULL;
    }
    if (g_str_has_prefix (attribute.name, prefix) && g_utf8_validate (attribute.name, -1, NULL))
      g_ptr_array_add (names, attribute.name);
    else
      g_free (attribute.name);
  }
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}
