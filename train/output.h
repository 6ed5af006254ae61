/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a command writes, by what its files begin with. */
typedef enum
{
  OUTPUT_MODEL,       /* a Keras model or weights file, HDF5 */
  OUTPUT_SHEET,       /* a PNG that this command drew: it has a mark */
  OUTPUT_CURVE,       /* the same as SVG */
  OUTPUT_PAGE,        /* HTML that this command wrote */
  OUTPUT_EPOCHS,      /* CSV: the log of a training */
  OUTPUT_LIST,        /* CSV: pictures and their labels */
  OUTPUT_MOVES,       /* CSV: the log of --move */
} OutputKind;

/* The files that a command reads and those that it is to write. Thread-safety: Unsafe. */
typedef struct _Outputs Outputs;

Outputs *outputs_new (void);
void outputs_free (Outputs *outputs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Outputs, outputs_free)

/* @path is read: a file, or a folder of pictures with those of its sub-folders. NULL, or
 * what is not there, is passed over: who reads it tells. */
void outputs_add_read (Outputs *outputs, const char *path);
/* The same of a list of pictures (picture-list.h) and the pictures that it names. */
void outputs_add_list (Outputs *outputs, const char *path);
/* @path (nullable) is written. @option: how it was named, for messages ("--log"). */
void outputs_add_write (Outputs *outputs, const char *option, const char *path, OutputKind kind);

/* Before the work begins: FALSE where a file to be written is one of those that are read,
 * whatever its name; or is there and of another kind; or is no file; or where two have one
 * name; or its folder is missing or cannot be written. NN_ERROR_WRITE. */
gboolean outputs_check (Outputs *outputs, GError **error);

/* Puts the mark of OUTPUT_SHEET into a PNG file, that of OUTPUT_CURVE into an SVG file. */
void output_mark_png (GByteArray *png);
void output_mark_svg (GByteArray *svg);

G_END_DECLS
