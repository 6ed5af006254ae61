/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/recipe.h"

G_BEGIN_DECLS

#define PREVIEW_MAX_PICTURES 50
#define PREVIEW_MAX_VARIANTS 16

typedef struct
{
  const char *output;      /* the PNG file */
  guint pictures;          /* 1..PREVIEW_MAX_PICTURES */
  guint variants;          /* 1..PREVIEW_MAX_VARIANTS */
  guint64 seed;            /* of a run to preview; the recipe's own for what it would do */
  const char *class_name;  /* only pictures of this class, or NULL */
} PreviewOptions;

/* Draws what a run of the recipe would feed the network: a row for each picture,
 * some of every class; at the left the picture without augmentation, then as
 * pass 1, 2, ... of the training's first stage show it. (Training leaves
 * unreadable files out before it numbers the others: where a folder has such,
 * its draws are others.) */
gboolean preview_run (const Recipe *recipe, const PreviewOptions *options, GError **error);

G_END_DECLS
