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

/* Uploads @n pictures, for steps of at most @batch samples. */
gboolean nn_cuda_pictures_init (NnCudaPictures *pictures, NnCudaContext *c, guint batch,
    const NnAugmentForm *form, const guint8 *bytes, gsize n, GError **error);

/* Puts uploads and launches that make @step's input at @input into the stream, which must be
 * synchronised before the next call. */
gboolean nn_cuda_pictures_put (
    NnCudaPictures *pictures, const NnStep *step, float *input, GError **error);

G_END_DECLS
