/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pictures for tests: components as numbers, laid out in memory as any
 * NnPixelFormat, each plane in pages of its own with a page that must not be
 * touched before and behind; and what a resize should make of them, in double
 * precision, straight from the definitions. */

#include "nn/image.h"

typedef enum
{
  PICTURE_TIGHT = 0,         /* rows follow each other */
  PICTURE_PADDED = 1 << 0,   /* stride larger than a row */
  PICTURE_NEGATIVE = 1 << 1, /* the last row first */
  PICTURE_AT_START = 1 << 2, /* the first byte borders on the guard, not the last */
} PictureLayout;

typedef struct
{
  NnImageInfo info; /* its size: in memory */
  guint n_components;          /* Y, U, V or R, G, B; 1 for grey */
  guint depth;                 /* bits */
  guint shift_x[3], shift_y[3]; /* log2 of the subsampling */
  guint widths[3], heights[3];
  guint16 *components[3];      /* (height, width) */
  NnImagePlanes planes;        /* after picture_lay_out() */
  guint8 *maps[3];
  gsize map_sizes[3];
} Picture;

extern const char *const picture_format_names[NN_PIXEL_N_FORMATS]; /* as GStreamer's */

/* The components are those in memory: @info's size turned back. */
Picture *picture_new (const NnImageInfo *info);
/* As it is shown, of orientation identity. To be laid out only where its format can hold it: not
 * 4:2:2 turned by 90 degrees. (transfer full) */
Picture *picture_turn (const Picture *picture);
void picture_free (Picture *picture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Picture, picture_free)

/* @smooth: a few waves instead of noise. Legal and illegal levels alike. */
void picture_fill_random (Picture *picture, guint64 seed, gboolean smooth);
void picture_fill_solid (Picture *picture, guint a, guint b, guint c);

/* Writes components[] into planes. Exactly what the components need is
 * there: not even a last pixel's padding byte. */
void picture_lay_out (Picture *picture, PictureLayout layout);

/* dst[(y, x, channel)] before it is rounded, 0..255; channels as @pre says */
void picture_reference (const Picture *picture, const NnRect *crop, const NnPreprocess *pre,
    double *dst);
