/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define RECIPE_DEFAULT "my-classes" /* of folders of any classes */

/* Where the recipes that come with the program are: beside it in a build tree, else
 * installed. (transfer full), or NULL. */
char *recipe_get_dir (void);

/* The file of a recipe: @name where there is such a file; else of those that come with the
 * program that with this name, with or without .ini. Where there is none: @name.
 * (transfer full) */
char *recipe_find (const char *name);

/* The network @name of the recipe @recipe: relative to it; else by its last part beside it,
 * or among those that come with the program. Where there is none: relative to the recipe.
 * (transfer full) */
char *recipe_find_network (const char *recipe, const char *name);

/* Names and first lines of what recipe_get_dir() has, to be printed. (transfer full) */
char *recipe_list (void);

G_END_DECLS
