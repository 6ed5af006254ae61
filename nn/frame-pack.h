/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend.h"
#include "nn/tta.h"

G_BEGIN_DECLS

/* A pack: all that a device needs to make the samples of a frame itself. One block of bytes
 * without pointers (nn/pack-math.h): which samples, the tables of their resizes, and of the
 * frame's planes only the rows and columns that these read. A nearest-neighbour resize of
 * 1080 rows to 200 packs 200. What is made of it equals NnViewSampler's to the bit.
 * Of a frame in a device's memory the pack has the tables; the device reads the planes where they
 * are, or fetches them. */

/* NnPacker: everything of a pack that stays the same from frame to frame. Read-only. */
typedef struct _NnPacker NnPacker;

typedef enum
{
  NN_PACK_ROWS,  /* of each plane the rows that are read: nn_packer_run() copies them */
  NN_PACK_SPANS, /* all from the first of them to the last: one copy on a device */
} NnPackLayout;

/* The first @n_views views of each of @n_rects rectangles, in this order: as many samples as
 * nn_view_sampler_run() makes for each of them. NN_ERROR_UNSUPPORTED for more than 2 GiB and for
 * NN_PACK_SPANS of a frame that is to be turned, and the errors of nn_view_sampler_new(). */
NnPacker *nn_packer_new (const NnViews *views, const NnImageInfo *info, const NnRect *rects,
    guint n_rects, guint n_views, NnPackLayout layout, GError **error);
void nn_packer_free (NnPacker *packer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnPacker, nn_packer_free)

gsize nn_packer_get_size (const NnPacker *packer); /* bytes of a pack */
gsize nn_packer_get_tables_size (const NnPacker *packer); /* in front: the tables alone */
gboolean nn_packer_is_drawn (const NnPacker *packer);     /* NnPack.is_drawn */
/* @dst: nn_packer_get_size() bytes, aligned to 8. Allocates nothing. */
void nn_packer_run (const NnPacker *packer, const NnImagePlanes *src, guint8 *dst);

/* NN_PACK_SPANS: the tables alone to @dst, nn_packer_get_tables_size() bytes, aligned to 8; where
 * the planes of @src, addresses of a device, go to @planes. Fills in sizes and planes of @pack. */
void nn_packer_describe (const NnPacker *packer, const NnImagePlanes *src, guint8 *dst,
    NnPackPlane planes[3], NnPack *pack);

G_END_DECLS
