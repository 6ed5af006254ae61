/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* Opens and locks the file that takes the new content. It may be renamed
 * between opening and locking by another writer who just finished: then it is
 * no longer the one of that name, and we start again. */
static int
open_part (const char *part, const char *path, GError **error)
{
  for (;;) {
    struct stat mine, named;
    int fd = open (part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);

    if (fd < 0) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot be written: %s (%s)", path,
          g_strerror (errno), part);
      return -1;
    }
    if (flock (fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
      g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: another process is writing it", path);
      close (fd);
      return -1;
    }
    if (fstat (fd, &mine) == 0 && stat (part, &named) == 0 && mine.st_ino == named.st_ino
        && mine.st_dev == named.st_dev)
      return fd;
    close (fd);
  }
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

gboolean
nn_file_replace (const char *path, gconstpointer data, gsize size, GError **error)
{
  /* realpath: where @path is a link, the file that it leads to is replaced */
  g_autofree char *target = NULL;
  g_autofree char *directory = NULL, *name = NULL, *part_name = NULL, *part = NULL;
  char *resolved = realpath (path, NULL);
  struct stat st;
  int fd, dir_fd;

  target = g_strdup (resolved ? resolved : path);
  free (resolved);
  directory = g_path_get_dirname (target);
  name = g_path_get_basename (target);
  part_name = g_strdup_printf (".%s.part", name);
  part = g_build_filename (directory, part_name, NULL);

  if (stat (target, &st) == 0 && !S_ISREG (st.st_mode)) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot be written: %s", path,
        S_ISDIR (st.st_mode) ? "it is a directory" : "it is not a regular file");
    return FALSE;
  }
  fd = open_part (part, path, error);
  if (fd < 0)
    return FALSE;
  if (stat (target, &st) == 0 && fchmod (fd, st.st_mode & 0777) < 0) {
    /* the old file's mode is a courtesy: another owner's file may refuse it */
  }

  if (ftruncate (fd, 0) < 0 || !write_all (fd, data, size) || fsync (fd) < 0
      || rename (part, target) < 0) {
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
