/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/error.h"

/* Opened for reading; not blocking, so that a pipe cannot hang us before it
 * is recognised as one. */
static int
open_regular (const char *path, struct stat *st, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd < 0) {
    int e = errno;
    gboolean missing = e == ENOENT || e == ENOTDIR;

    g_set_error (error, NN_ERROR, missing ? NN_ERROR_NOT_FOUND : NN_ERROR_READ, "%s: %s", path,
        missing ? "no such file" : g_strerror (e));
    return -1;
  }
  if (fstat (fd, st) < 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: %s", path, g_strerror (errno));
    close (fd);
    return -1;
  }
  if (!S_ISREG (st->st_mode)) {
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: expected a file, found %s", path,
        S_ISDIR (st->st_mode) ? "a directory" : "a pipe or device");
    close (fd);
    return -1;
  }
  return fd;
}

static gboolean
read_all (int fd, const char *path, char *data, gsize size, gsize *n_read, GError **error)
{
  *n_read = 0;
  while (*n_read < size) {
    ssize_t n = read (fd, data + *n_read, size - *n_read);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: %s", path, g_strerror (errno));
      return FALSE;
    }
    if (n == 0)
      break;
    *n_read += n;
  }
  return TRUE;
}

char *
nn_file_read (const char *path, gsize max_size, const char *what, gsize *size, GError **error)
{
  struct stat st;
  g_autofree char *data = NULL;
  gsize n_read = 0;
  gboolean ok;
  int fd = open_regular (path, &st, error);

  if (fd < 0)
    return NULL;
  if (st.st_size == 0 || (guint64) st.st_size > max_size) {
    if (st.st_size == 0)
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: expected %s, found an empty file", path,
          what);
    else
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "%s: expected %s of at most %" G_GSIZE_FORMAT " bytes, found %" G_GUINT64_FORMAT, path,
          what, max_size, (guint64) st.st_size);
    close (fd);
    return NULL;
  }
  data = g_try_malloc (st.st_size + 1);
  if (data == NULL) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "%s: no memory for its %" G_GUINT64_FORMAT " bytes", path, (guint64) st.st_size);
    close (fd);
    return NULL;
  }
  ok = read_all (fd, path, data, st.st_size, &n_read, error);
  close (fd);
  if (!ok)
    return NULL;
  data[n_read] = '\0';
  *size = n_read;
  return g_steal_pointer (&data);
}

gboolean
nn_file_peek (const char *path, guint8 *head, gsize max_size, gsize *size, GError **error)
{
  struct stat st;
  gboolean ok;
  int fd = open_regular (path, &st, error);

  if (fd < 0)
    return FALSE;
  ok = read_all (fd, path, (char *) head, max_size, size, error);
  close (fd);
  return ok;
}

/* --- writing ---------------------------------------------------------------- */

#define MAX_STEM 200   /* bytes of the name in that of a part file: names have at most 255 */
#define PART_DIGITS 16 /* hexadecimal, random */
#define PART_END ".part"

/* ".NAME." */
static char *
part_stem (const char *target)
{
  g_autofree char *name = g_path_get_basename (target);

  return g_strdup_printf (".%.*s.", MAX_STEM, name);
}

/* Makes the file that takes the new content, as nobody can have foreseen it:
 * what others put into the folder is neither written into nor waited for.
 * @mode: of the file that is replaced, or 0666. */
static int
open_part (const char *target, const char *path, mode_t mode, char **part, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (target), *stem = part_stem (target);

  for (guint trial = 0; trial < 100; trial++) {
    guint64 number;
    g_autofree char *name = NULL;
    int fd;

    if (getrandom (&number, sizeof number, 0) != sizeof number)
      number = (guint64) g_random_int () << 32 | g_random_int ();
    name = g_strdup_printf ("%s%016" G_GINT64_MODIFIER "x" PART_END, stem, number);
    *part = g_build_filename (directory, name, NULL);
    fd = open (*part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd >= 0)
      return fd;
    if (errno != EEXIST)
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot be written: %s (%s)", path,
          g_strerror (errno), *part);
    g_clear_pointer (part, g_free);
    if (errno != EEXIST)
      return -1;
  }
  g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot be written: no free name for %s%s",
      path, stem, PART_END);
  return -1;
}

static gboolean
write_all (int fd, const char *data, gsize size)
{
  while (size > 0) {
    /* Linux moves at most 2 GiB in one call */
    ssize_t n = write (fd, data, MIN (size, (gsize) 1 << 30));

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return FALSE;
    data += n;
    size -= n;
  }
  return TRUE;
}

/* The file that @path leads to where it is a link, else @path. */
static char *
resolve (const char *path)
{
  char *resolved = realpath (path, NULL), *target = g_strdup (resolved ? resolved : path);

  free (resolved);
  return target;
}

gboolean
nn_file_replace (const char *path, gconstpointer data, gsize size, GError **error)
{
  g_autofree char *target = resolve (path), *directory = g_path_get_dirname (target);
  g_autofree char *part = NULL;
  struct stat st;
  gboolean exists = stat (target, &st) == 0;
  int fd, dir_fd;

  if (exists && !S_ISREG (st.st_mode)) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot be written: %s", path,
        S_ISDIR (st.st_mode) ? "it is a directory" : "it is not a regular file");
    return FALSE;
  }
  fd = open_part (target, path, exists ? st.st_mode & 0777 : 0666, &part, error);
  if (fd < 0)
    return FALSE;
  if (exists && fchmod (fd, st.st_mode & 0777) < 0) {
    /* a courtesy: some file systems have no modes */
  }

  if (!write_all (fd, data, size) || fsync (fd) < 0 || rename (part, target) < 0) {
    int e = errno;

    unlink (part);
    close (fd);
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s: cannot write %" G_GSIZE_FORMAT " bytes: %s; what was there before is unchanged", path,
        size, g_strerror (e));
    return FALSE;
  }
  close (fd);

  /* The new name must reach the disk too. Some file systems cannot sync a
   * directory; the content is safe there all the same. */
  dir_fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir_fd >= 0) {
    if (fsync (dir_fd) < 0 && errno != EINVAL && errno != ENOTSUP) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot sync: %s", directory,
          g_strerror (errno));
      close (dir_fd);
      return FALSE;
    }
    close (dir_fd);
  }
  return TRUE;
}

/* @part becomes @name in the folder, if that is free. errno. */
static gboolean
rename_to_new (int folder, const char *part, const char *name)
{
  int fd;

  if (linkat (folder, part, folder, name, 0) == 0) {
    unlinkat (folder, part, 0);
    return TRUE;
  }
  if (errno == EEXIST)
    return FALSE;
  /* a file system without hard links, or what else cannot: the name is taken first */
  fd = openat (folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0)
    return FALSE;
  close (fd);
  return renameat (folder, part, folder, name) == 0;
}

gboolean
nn_file_create (const char *path, gboolean is_own_folder, gconstpointer data, gsize size,
    GError **error)
{
  g_autofree char *directory = g_path_get_dirname (path), *name = g_path_get_basename (path);
  g_autofree char *part_name = NULL;
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_own_folder ? O_NOFOLLOW : 0);
  int folder = open (directory, flags), fd = -1, e;
  gboolean ok;

  for (guint trial = 0; folder >= 0 && fd < 0 && trial < 100; trial++) {
    g_free (part_name);
    part_name = g_strdup_printf (".%.*s.%08x%08x" PART_END, MAX_STEM, name, g_random_int (),
        g_random_int ());
    fd = openat (folder, part_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno != EEXIST)
      break;
  }
  ok = fd >= 0 && write_all (fd, data, size) && fsync (fd) == 0
       && rename_to_new (folder, part_name, name);
  e = errno;
  if (fd >= 0 && !ok)
    unlinkat (folder, part_name, 0);
  if (fd >= 0)
    close (fd);
  if (ok)
    fsync (folder); /* some file systems cannot; the content is safe there all the same */
  if (folder >= 0)
    close (folder);
  if (!ok && fd >= 0 && e == EEXIST)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "%s: exists", path);
  else if (!ok && folder < 0 && is_own_folder && (e == ELOOP || e == ENOTDIR))
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: is a link, or no folder", directory);
  else if (!ok)
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s: cannot write %" G_GSIZE_FORMAT " bytes: %s", path, size, g_strerror (e));
  return ok;
}

void
nn_file_remove_parts (const char *path)
{
  g_autofree char *target = resolve (path), *directory = g_path_get_dirname (target);
  g_autofree char *stem = part_stem (target);
  const gsize n = strlen (stem), length = n + PART_DIGITS + strlen (PART_END);
  GDir *dir = g_dir_open (directory, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *part = NULL;
    struct stat st;

    if (strlen (name) != length || !g_str_has_prefix (name, stem)
        || strspn (name + n, "0123456789abcdef") != PART_DIGITS
        || !g_str_has_suffix (name, PART_END))
      continue;
    part = g_build_filename (directory, name, NULL);
    if (lstat (part, &st) == 0 && S_ISREG (st.st_mode) && st.st_uid == geteuid ())
      unlink (part);
  }
  if (dir)
    g_dir_close (dir);
}

/* --- one writer for long ------------------------------------------------------- */

struct _NnFileLock
{
  int fd; /* -1: not locked, nobody can say so here */
  char *path;
};

/* The lock's file, our own and readable to nobody else, so that nobody else can lock it.
 * Returns -1 where there is none, *is_taken: another process of ours has it. */
static int
open_lock (const char *path, gboolean *is_taken)
{
  *is_taken = FALSE;
  for (;;) {
    struct stat mine, named;
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (fd < 0)
      return -1;
    if (fstat (fd, &mine) < 0 || !S_ISREG (mine.st_mode) || mine.st_uid != geteuid ()
        || mine.st_nlink > 1 || (mine.st_mode & 077) != 0) {
      close (fd);
      return -1;
    }
    if (flock (fd, LOCK_EX | LOCK_NB) < 0) {
      *is_taken = errno == EWOULDBLOCK;
      close (fd);
      return -1;
    }
    /* unlinked by the one who had it before, between opening and locking */
    if (lstat (path, &named) == 0 && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev)
      return fd;
    close (fd);
  }
}

NnFileLock *
nn_file_lock (const char *path, GError **error)
{
  g_autofree char *target = resolve (path), *directory = g_path_get_dirname (target);
  g_autofree char *stem = part_stem (target), *name = g_strconcat (stem, "lock", NULL);
  NnFileLock *lock = g_new0 (NnFileLock, 1);
  gboolean is_taken;

  lock->path = g_build_filename (directory, name, NULL);
  lock->fd = open_lock (lock->path, &is_taken);
  if (is_taken) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE,
        "%s: another process is writing it: wait for it, or choose another name", path);
    nn_file_unlock (lock);
    return NULL;
  }
  if (lock->fd >= 0)
    nn_file_remove_parts (target);
  return lock;
}

void
nn_file_unlock (NnFileLock *lock)
{
  if (!lock)
    return;
  if (lock->fd >= 0) {
    unlink (lock->path);
    close (lock->fd);
  }
  g_free (lock->path);
  g_free (lock);
}
