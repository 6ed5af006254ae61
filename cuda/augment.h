/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* The pictures of a training, on the device as bytes, and the input of a step made of them.
 * Zeroed: none. */
typedef struct
{
  NnCudaContext *c;
  NnAugmentForm form;
  guint8 *bytes;              /* on the device */
  NnAugmentEntry *entries;    /* pinned */
  NnMixEntry *mixes;          /* pinned */
  void *device_entries, *device_mixes;
} NnCudaPictures;

/* Uploads the pictures of @sets, for runs of at most @batch samples. */
gboolean nn_cuda_pictures_init (NnCudaPictures *pictures, NnCudaContext *c, guint batch,
    const NnAugmentForm *form, const NnPictures *sets, guint n_sets, GError **error);

/* Put uploads and launches that make an input of @n samples at @input into the stream, and that
 * mix the first @n of it; the stream must be synchronised before either is called again. */
gboolean nn_cuda_pictures_put (NnCudaPictures *pictures, const NnAugmentEntry *entries, guint n,
    float *input, GError **error);
gboolean nn_cuda_pictures_mix (NnCudaPictures *pictures, const NnMixEntry *mixes, guint n,
    float *input, GError **error);

G_END_DECLS
