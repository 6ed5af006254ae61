/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A contact sheet: small pictures in rows and columns with words around them,
 * written as PNG. */

typedef enum
{
  SHEET_NEUTRAL, /* black */
  SHEET_RIGHT,   /* green */
  SHEET_WRONG,   /* red */
} SheetTone;

/* All strings are nullable and owned by the tile. What is too long is wrapped,
 * and where that would take too many lines ends in an ellipsis. */
typedef struct
{
  guint8 *rgb;                 /* (height, width, 3), owned; NULL: an empty tile */
  guint width, height;
  char *note;                 /* in an empty tile: why it is empty; without it nothing is drawn */
  char *title, *caption;       /* above and below */
  SheetTone tone;              /* the title's colour */
  char *row_title, *row_text;  /* of a row's first tile: at the left of the row */
} SheetTile;

typedef struct
{
  guint tile_width, tile_height;
  guint columns;              /* 0: as many as make the sheet a little wider than high */
  gboolean has_row_names;     /* room for them at the left */
  gboolean captions_are_names; /* one line, the middle left out where it is too long */
  char *title;                /* above everything, and lines of text beneath it */
  GPtrArray *lines;           /* of strings */
  GPtrArray *tiles;
} Sheet;

Sheet *sheet_new (guint tile_width, guint tile_height);
void sheet_free (Sheet *sheet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Sheet, sheet_free)

/* (transfer none): filled in by the caller */
SheetTile *sheet_add_tile (Sheet *sheet);
void sheet_add_line (Sheet *sheet, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* The picture of a tile: one pixel of @rgb (transfer full) is one of the sheet,
 * or a square of them where the picture is much smaller than a tile; a picture
 * larger than a tile is averaged to fit. */
void sheet_tile_take_rgb (Sheet *sheet, SheetTile *tile, guint8 *rgb, guint width, guint height);

/* @width x @height made to fit into a box, the proportion kept, never enlarged. */
void sheet_fit (guint box_width, guint box_height, guint *width, guint *height);

/* What to call the files of @paths (NULL-terminated): their base names, and before those that
 * several have as many of the folders as tell them apart, in UTF-8 for display.
 * (transfer full): NULL-terminated, in the same order */
char **sheet_make_names (const char *const *paths);

/* Before the work begins: FALSE where @path's folder is missing or cannot be
 * written. NN_ERROR_WRITE. */
gboolean sheet_check_path (const char *path, GError **error);

/* Replaces @path at once or not at all. NN_ERROR_WRITE, _NO_MEMORY, _NOT_FOUND
 * (no font), _SHAPE (larger than a PNG should be). */
gboolean sheet_write (const Sheet *sheet, const char *path, GError **error);

G_END_DECLS
