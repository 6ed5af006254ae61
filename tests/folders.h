/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

/* Temporary folders for tests. */

/* (transfer full): a new folder under the system's temporary one */
static inline char *
make_dir (void)
{
  GError *error = NULL;
  char *dir = g_dir_make_tmp ("classify-test-XXXXXX", &error);

  g_assert_no_error (error);
  return dir;
}

/* @path with all that is in it; a file too */
static inline void
remove_dir (const char *path)
{
  GDir *dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *inner = g_build_filename (path, name, NULL);

    remove_dir (inner);
  }
  if (dir)
    g_dir_close (dir);
  g_remove (path);
}

/* (transfer full)(nullable): the file of @dir whose name ends in @suffix */
static inline char *
find_file (const char *dir, const char *suffix)
{
  g_autoptr (GDir) files = g_dir_open (dir, 0, NULL);
  const char *name;

  while (files && (name = g_dir_read_name (files)))
    if (g_str_has_suffix (name, suffix))
      return g_build_filename (dir, name, NULL);
  return NULL;
}
