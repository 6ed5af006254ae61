/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/recipe-find.h"

#include <string.h>

#include "train/folders.h"

/* The folder of the running program, or NULL. */
static char *
get_program_dir (void)
{
  g_autofree char *path = g_file_read_link ("/proc/self/exe", NULL);

  return path ? g_path_get_dirname (path) : NULL;
}

char *
recipe_get_dir (void)
{
  g_autofree char *program = get_program_dir ();
  char *dir = program ? g_build_filename (program, "recipes", NULL) : NULL;

  if (!dir || !g_file_test (dir, G_FILE_TEST_IS_DIR)) {
    g_free (dir);
    dir = g_strdup (CLASSIFY_RECIPES);
  }
  if (g_file_test (dir, G_FILE_TEST_IS_DIR))
    return dir;
  g_free (dir);
  return NULL;
}

static gboolean
is_there (const char *path)
{
  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

char *
recipe_find (const char *name)
{
  g_autofree char *dir = recipe_get_dir ();
  static const char *const endings[] = { "", ".ini" };

  if (g_file_test (name, G_FILE_TEST_EXISTS) || strchr (name, '/') || !dir)
    return g_strdup (name);
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++) {
    g_autofree char *file = g_strconcat (name, endings[i], NULL);
    char *path = g_build_filename (dir, file, NULL);

    if (g_str_has_suffix (file, ".ini") && is_there (path))
      return path;
    g_free (path);
  }
  return g_strdup (name);
}

char *
recipe_find_network (const char *recipe, const char *name)
{
  g_autofree char *dir = g_path_get_dirname (recipe), *base = g_path_get_basename (name);
  g_autofree char *shipped = recipe_get_dir ();
  char *path = g_path_is_absolute (name) ? g_strdup (name) : g_build_filename (dir, name, NULL);
  char *others[2] = { NULL, NULL };

  if (is_there (path) || g_path_is_absolute (name))
    return path;
  others[0] = g_build_filename (dir, base, NULL);
  others[1] = shipped ? g_build_filename (shipped, "..", "networks", base, NULL) : NULL;
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    if (others[i] && is_there (others[i])) {
      g_free (path);
      path = g_strdup (others[i]);
      break;
    }
  }
  g_free (others[0]);
  g_free (others[1]);
  return path;
}

/* the first line of a recipe, which says what it is for; "" where there is none */
static char *
read_first_line (const char *path)
{
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL) || text[0] != '#')
    return g_strdup ("");
  text[strcspn (text, "\n")] = '\0';
  return g_strdup (g_strstrip (text + 1));
}

char *
recipe_list (void)
{
  g_autofree char *dir = recipe_get_dir ();
  g_autoptr (GPtrArray) names = dir ? folder_list_names (dir, NULL) : NULL;
  g_autofree char *real = dir ? g_canonicalize_filename (dir, NULL) : NULL;
  GString *text = g_string_new (NULL);

  if (!names) {
    g_string_append (text, "No recipes are installed.\n");
    return g_string_free (text, FALSE);
  }
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *name = g_strdup (g_ptr_array_index (names, i));
    g_autofree char *path = g_build_filename (dir, name, NULL), *line = NULL;

    if (!g_str_has_suffix (name, ".ini"))
      continue;
    name[strlen (name) - strlen (".ini")] = '\0';
    line = read_first_line (path);
    g_string_append_printf (text, "%-30s %s\n", name, line);
  }
  g_string_append_printf (text, "\nThey are in %s; README.md there describes every key.\n", real);
  return g_string_free (text, FALSE);
}
