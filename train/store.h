/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Room for a data set's pictures: memory, or where that is too small a file that is mapped. */
typedef struct
{
  guint8 *bytes;
  gsize size;
  gboolean is_mapped;
} Store;

/* Bytes of memory that this process may still take, by the system's and the control group's
 * counts; CLASSIFY_MEMORY (megabytes) says less or more. */
guint64 store_get_available (void);

/* Says, before it takes it, what @what ("DIR: 20000 pictures of 64x64 pixels") needs: as
 * information, from a gigabyte on as a warning. The file is in TMPDIR, else /var/tmp, has no
 * name and is gone with the process. The bytes are zeros. NN_ERROR_NO_MEMORY: there is
 * neither memory nor room on the disk. */
gboolean store_take (Store *store, gsize size, const char *what, GError **error);
void store_clear (Store *store);

G_END_DECLS
