/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/tta.h"

G_BEGIN_DECLS

/* A pack: all that a device needs to make the samples of a frame itself. One block of bytes
 * without pointers (nn/pack-math.h): which samples, the tables of their resizes, and of the
 * frame's planes only the rows and columns that these read. A nearest-neighbour resize of
 * 1080 rows to 200 packs 200. What is made of it equals NnViewSampler's to the bit. */

/* NnPacker: everything of a pack that stays the same from frame to frame. Read-only. */
typedef struct _NnPacker NnPacker;

/* The first @n_views views of each of @n_rects rectangles, in this order: as many samples as
 * nn_view_sampler_run() makes for each of them. NN_ERROR_UNSUPPORTED for views that only the
 * host makes (draws of an augmentation), else the errors of nn_view_sampler_new(). */
NnPacker *nn_packer_new (const NnViews *views, const NnImageInfo *info, const NnRect *rects,
    guint n_rects, guint n_views, GError **error);
void nn_packer_free (NnPacker *packer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnPacker, nn_packer_free)

gsize nn_packer_get_size (const NnPacker *packer); /* bytes of a pack */
/* @dst: nn_packer_get_size() bytes, aligned to 8. Allocates nothing. */
void nn_packer_run (const NnPacker *packer, const NnImagePlanes *src, guint8 *dst);

/* On the host: samples @first to @first + @n - 1 of @pack, (n, H, W, C). */
void nn_pack_sample_all (const guint8 *pack, guint first, guint n, float *dst);

G_END_DECLS
