/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/tta.h"

G_BEGIN_DECLS

/* The very values that a network was given, in an HDF5 file: for finding out why
 * two programs disagree about a picture. The dataset "input" has the samples
 * (regions x views, H, W, C), "regions" a row x, y, width, height of each region in
 * pixels of the frame. Attributes of the root, all text: "model", "tta",
 * "preprocess" (in words), "pts" (nanoseconds, or "none"), "views" (what each view
 * is, a list). */
typedef struct
{
  guint n_regions, n_views;
  NnShape shape; /* (H, W, C) */
  float *values; /* (n_regions, n_views, H, W, C) */
  NnRect *regions;
  char *model;   /* name of its file, or NULL */
  NnTta tta;
  guint64 pts;   /* G_MAXUINT64: none */
} NnInputDump;

/* To a new file: G_FILE_ERROR_EXIST where something has the name. What is not in @dump is
 * told from @views. NN_ERROR_WRITE, _NO_MEMORY. */
gboolean nn_input_dump_write (const NnInputDump *dump, const NnViews *views, const char *path,
    GError **error);

/* (transfer full): or NULL with NN_ERROR_NOT_FOUND, _READ, _FORMAT, _SHAPE, _NO_MEMORY. */
NnInputDump *nn_input_dump_read (const char *path, GError **error);
void nn_input_dump_free (NnInputDump *dump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnInputDump, nn_input_dump_free)

G_END_DECLS
