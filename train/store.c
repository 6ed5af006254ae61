/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#define TMPFS_MAGIC 0x01021994
#endif

#include "nn/error.h"
#include "nn/log.h"

#define TOLD_FROM ((gsize) 1 << 30)

/* the number behind @key ("MemAvailable:", or "": the first) in a file of the kernel's */
static gboolean
read_number (const char *path, const char *key, guint64 *value)
{
  g_autofree char *text = NULL;
  const char *at;
  char *end;

  if (!g_file_get_contents (path, &text, NULL, NULL) || !(at = strstr (text, key)))
    return FALSE;
  at += strlen (key);
  *value = g_ascii_strtoull (at, &end, 10);
  return end != at; /* "max": no limit */
}

/* of the control group that the process is in, version 2 */
static guint64
get_group_available (void)
{
  g_autofree char *text = NULL, *dir = NULL, *max = NULL, *current = NULL, *stat = NULL;
  guint64 limit, used, cached = 0;
  char *group;

  if (!g_file_get_contents ("/proc/self/cgroup", &text, NULL, NULL)
      || !(group = strstr (text, "0::/")))
    return G_MAXUINT64;
  group += strlen ("0::");
  group[strcspn (group, "\n")] = '\0';
  dir = g_build_filename ("/sys/fs/cgroup", group, NULL);
  max = g_build_filename (dir, "memory.max", NULL);
  current = g_build_filename (dir, "memory.current", NULL);
  stat = g_build_filename (dir, "memory.stat", NULL);
  if (!read_number (max, "", &limit) || !read_number (current, "", &used))
    return G_MAXUINT64;
  read_number (stat, "inactive_file ", &cached);
  used -= MIN (used, cached);
  return limit > used ? limit - used : 0;
}

guint64
store_get_available (void)
{
  const char *said = g_getenv ("CLASSIFY_MEMORY");
  guint64 kilobytes, available = G_MAXUINT64;

  if (said && g_ascii_string_to_unsigned (said, 10, 0, G_MAXUINT32, &kilobytes, NULL))
    return kilobytes * 1000000;
  if (read_number ("/proc/meminfo", "MemAvailable:", &kilobytes))
    available = kilobytes * 1024;
#ifdef _SC_PHYS_PAGES
  else
    available = (guint64) sysconf (_SC_PHYS_PAGES) * (guint64) sysconf (_SC_PAGESIZE);
#endif
  return MIN (available, get_group_available ());
}

/* A file without a name, with room for all of it; -1 with errno */
static int
make_file (const char *dir, gsize size)
{
  g_autofree char *path = g_build_filename (dir, "classify-XXXXXX", NULL);
  int fd, code;

#ifdef __linux__
  struct statfs fs;

  if (statfs (dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC) { /* is memory itself */
    errno = ENOSPC;
    return -1;
  }
#endif
  fd = g_mkstemp_full (path, O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0)
    return -1;
  g_unlink (path);
  code = posix_fallocate (fd, 0, (off_t) size);
  if (code) {
    close (fd);
    errno = code;
    return -1;
  }
  return fd;
}

static gboolean
map_file (Store *store, const char *what, guint64 available, GError **error)
{
  const char *dir = g_getenv ("TMPDIR") ? g_getenv ("TMPDIR") : "/var/tmp";
  g_autofree char *needed = g_format_size (store->size), *has = g_format_size (available);
  const int fd = make_file (dir, store->size);
  void *bytes = MAP_FAILED;
  int code = errno;

  if (fd >= 0) {
    bytes = mmap (NULL, store->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    code = errno;
    close (fd);
  }
  if (bytes == MAP_FAILED) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "%s take %s, %s of memory are free, and %s has no room for them (%s): take fewer or "
        "smaller pictures, or set TMPDIR to a folder on a larger disk",
        what, needed, has, dir, g_strerror (code));
    return FALSE;
  }
  nn_warning ("%s take %s, %s of memory are free: they are kept in a file in %s meanwhile", what,
      needed, has, dir);
  store->bytes = bytes;
  store->is_mapped = TRUE;
  return TRUE;
}

gboolean
store_take (Store *store, gsize size, const char *what, GError **error)
{
  const guint64 available = store_get_available ();
  g_autofree char *needed = g_format_size (size), *has = g_format_size (available);

  *store = (Store) { .size = size };
  /* a tenth is left to the network and the rest of the machine */
  if (size > available - available / 10)
    return map_file (store, what, available, error);
  if (size >= TOLD_FROM)
    nn_warning ("%s take %s of memory (%s are free)", what, needed, has);
  else
    nn_info ("%s take %s of memory (%s are free)", what, needed, has);
  store->bytes = g_try_malloc0 (MAX (size, 1));
  return store->bytes || map_file (store, what, available, error);
}

void
store_clear (Store *store)
{
  if (store->is_mapped)
    munmap (store->bytes, store->size);
  else
    g_free (store->bytes);
  *store = (Store) { 0 };
}
