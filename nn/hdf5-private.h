/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "nn/error.h"
#include "nn/hdf5-read.h"
#include "nn/model-private.h"

G_BEGIN_DECLS

/* What hdf5-read.c (file, headers, groups, text) and hdf5-dataset.c (numbers)
 * share. */

#define MAX_RANK 32
#define UNDEFINED G_MAXUINT64 /* an address that leads nowhere */

typedef enum
{
  MESSAGE_DATASPACE = 0x01,
  MESSAGE_LINK_INFO = 0x02,
  MESSAGE_DATATYPE = 0x03,
  MESSAGE_LINK = 0x06,
  MESSAGE_EXTERNAL_FILES = 0x07,
  MESSAGE_LAYOUT = 0x08,
  MESSAGE_FILTERS = 0x0b,
  MESSAGE_ATTRIBUTE = 0x0c,
  MESSAGE_CONTINUATION = 0x10,
  MESSAGE_SYMBOL_TABLE = 0x11,
  MESSAGE_ATTRIBUTE_INFO = 0x15,
} MessageType;

struct _NnH5
{
  char *path;
  int fd;
  guint64 size;      /* of the file */
  guint64 base;      /* added to every address */
  guint o, l;        /* bytes of an address, of a length */
  guint64 root;      /* address of the root's header */
  guint64 budget;    /* bytes of metadata that may still be read */
  guint64 text_budget; /* ... and of texts that may still be copied */
  GHashTable *links; /* address of a group's header -> (name -> Link) */
  GHashTable *heaps; /* address of a global heap -> Block */
  GError *damage;    /* the first found while only asking */
};

/* --- errors and bytes --------------------------------------------------- */

gboolean nn_h5_fail (const NnH5 *h5, GError **error, NnErrorCode code, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
gboolean nn_h5_fail_damaged (const NnH5 *h5, GError **error, const char *what, guint64 address);
gboolean nn_h5_fail_newer (const NnH5 *h5, GError **error, const char *what);

/* @size bytes from @address on: neither beyond the file nor for nothing. */
gboolean nn_h5_read_at (NnH5 *h5, guint64 address, void *data, guint64 size, GError **error);

typedef struct
{
  gsize size;
  guint8 data[];
} Block;

/* Metadata, paid from the budget. (transfer full), freed by g_free(). */
Block *nn_h5_read_block (NnH5 *h5, guint64 address, guint64 size, GError **error);

/* Reading from memory: what goes behind the end gives zeros and is remembered. */
typedef struct
{
  const guint8 *at, *end;
  gboolean failed;
} Cursor;

static inline Cursor
cursor_new (const guint8 *data, gsize size)
{
  return (Cursor) { data, data + size, FALSE };
}

static inline const guint8 *
skip (Cursor *cursor, guint64 size)
{
  const guint8 *at = cursor->at;

  if (cursor->failed || size > (guint64) (cursor->end - at)) {
    cursor->failed = TRUE;
    return NULL;
  }
  cursor->at += size;
  return at;
}

static inline guint64
take (Cursor *cursor, guint width)
{
  const guint8 *at = skip (cursor, width);
  guint64 value = 0;

  for (guint i = width; at != NULL && i-- > 0;)
    value = value << 8 | at[i];
  return value;
}

static inline guint64
take_address (const NnH5 *h5, Cursor *cursor)
{
  guint64 value = take (cursor, h5->o);

  return h5->o < 8 && value == ((guint64) 1 << (8 * h5->o)) - 1 ? UNDEFINED : value;
}

static inline gboolean
has_signature (Cursor *cursor, const char *signature)
{
  const guint8 *at = skip (cursor, 4);

  return at != NULL && memcmp (at, signature, 4) == 0;
}

/* --- objects ------------------------------------------------------------ */

typedef struct
{
  MessageType type;
  gboolean is_shared;
  const guint8 *data;
  gsize size;
} Message;

typedef struct
{
  guint64 address;
  GPtrArray *blocks; /* Block: what the messages point into */
  GArray *messages;  /* Message */
} Object;

void nn_h5_object_free (Object *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Object, nn_h5_object_free)

/* The object at @path, link by link. NN_ERROR_NOT_FOUND where there is none. */
Object *nn_h5_open_object (NnH5 *h5, const char *path, GError **error);
const Message *nn_h5_find_message (const Object *object, MessageType type);

/* --- types and sizes ---------------------------------------------------- */

typedef enum
{
  TYPE_OTHER,
  TYPE_SIGNED,
  TYPE_UNSIGNED,
  TYPE_FLOAT,
  TYPE_TEXT,
  TYPE_VARIABLE_TEXT,
} TypeKind;

typedef struct
{
  TypeKind kind;
  gsize size;
  gboolean is_big_endian;
  gboolean is_space_padded;
} Type;

typedef struct
{
  gboolean is_null; /* holds nothing, not even a scalar */
  guint rank;
  guint64 dims[MAX_RANK];
  guint64 count;
} Space;

/* FALSE when broken; what is well formed and of no use here is TYPE_OTHER. */
gboolean nn_h5_parse_type (const guint8 *data, gsize size, Type *type);
gboolean nn_h5_parse_space (const NnH5 *h5, const guint8 *data, gsize size, Space *space);

G_END_DECLS
