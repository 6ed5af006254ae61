/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/image.h"
#include "nn/pixel-math.h"
#include "nn/sampler-kernels.h"
#include "nn/tta.h"

G_BEGIN_DECLS

/* The sampler's tables, which nn/frame-pack.c packs for devices. */

typedef struct
{
  guint8 plane;
  guint8 offset, step;      /* in samples */
  guint8 shift_x, shift_y;  /* log2 of the subsampling */
} NnSamplerComponent;

typedef struct
{
  guint8 n_components;
  guint8 sample_size; /* bytes */
  guint8 shift;       /* bits below the sample's least */
  guint8 depth;
  gboolean is_rgb;
  NnSamplerComponent components[3];
} NnSamplerFormat;

/* One axis of one grid to the output's: the taps of each output index. */
typedef struct
{
  guint *index;    /* nearest; bilinear: the first tap */
  guint *index2;   /* bilinear: the second */
  float *fraction; /* bilinear: weight of the second */
} NnSamplerAxis;

/* One output row of an area resize: what of NnAreaRows does not depend on the frame. */
typedef struct
{
  guint first, last, n_whole, up;
  guint16 whole_weight, first_weight, last_weight, bias;
  float first_share, last_share, inverse; /* where there are too many rows for the kernel */
} NnSamplerAreaRow;

/* The part of a plane that the area resize reads: its components are averaged together. */
typedef struct
{
  gboolean used;
  gsize first, n; /* samples of a row: from, how many */
  NnSamplerAreaRow *rows;
  guint16 *sums;
  guint32 *tall_sums;
  gint16 *means;
} NnSamplerAreaPlane;

struct _NnSampler
{
  NnImageInfo info;
  NnPreprocess pre;
  NnPlace place;   /* of the picture in the output; the rows below are as wide as it */
  gboolean extend; /* around it its outermost pixels, else pre.pad */
  const NnSamplerFormat *format; /* of the image as shown: &turned where that is another */
  const NnSamplerFormat *source_format; /* of what lies in memory */
  NnSamplerFormat turned;
  guint8 *band; /* turned, area: the rows of a component that an output row covers */
  const NnSamplerKernels *kernels;
  NnYuvMatrix matrix;
  NnResize methods[3];      /* of each component; AREA is BILINEAR where both axes grow */
  NnSamplerAxis columns[3], rows[3]; /* of each component, unless AREA */
  NnSamplerAreaPlane area[3];        /* of each plane */
  NnAreaColumns area_columns[3]; /* of each component */
  float *values[3];         /* one output row of each component */
  guint8 *rgb;              /* one output row, of which grey is made */
  guint8 *bytes;            /* one output row, packed */
  float mean[NN_SCALE_PERIOD], scale[NN_SCALE_PERIOD];
};

/* --- sampler-turn.c: where info.orientation is not the identity --- */

static inline gboolean
nn_sampler_is_turned (const NnSampler *sampler)
{
  return sampler->format != sampler->source_format;
}

/* Of the image as shown: component c is plane c, of single samples. */
void nn_turned_format (const NnSamplerFormat *format, NnOrientation orientation,
    NnSamplerFormat *turned);
/* Component @c of an image of @format, which is how it lies in memory. */
NnTurnedPlane nn_turned_component (const NnSamplerFormat *format, const NnImageInfo *info, guint c,
    const NnImagePlanes *src);
/* Samples of @size bytes, @n from @x on of @n_rows rows from @y on, to rows of @stride bytes. */
void nn_turned_copy (const NnTurnedPlane *plane, guint size, gsize x, gsize n, guint y,
    guint n_rows, guint8 *dst, gsize stride);

/* (transfer none): what makes view @i, and whether its mirror image is wanted; of draws: what
 * makes the picture, in bytes, that they are of. */
const NnSampler *nn_view_sampler_get (const NnViewSampler *sampler, guint i, gboolean *flip);
/* FALSE: the views are not draws of an augmentation. @entries: of the first @n, of picture 0. */
gboolean nn_views_get_draws (
    const NnViews *views, NnAugmentForm *form, NnAugmentEntry *entries, guint n);

G_END_DECLS
