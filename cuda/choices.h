/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend-module.h"

G_BEGIN_DECLS

/* Which of cuDNN's engines measuring found fastest for each convolution, which of cuBLASLt's
 * algorithms and our kernels for each dense layer, and whether a kernel of ours is faster for a
 * convolution of few channels, for one device. Kept in a file between runs, in
 * $XDG_CACHE_HOME/classify or the folder that $CLASSIFY_CUDA_CACHE names (empty: not kept), one
 * for each kind of device. What the file holds counts only with the driver and libraries that it
 * was measured with; a file that is broken, stale or cannot be written is passed over with a line
 * at debug level. Used by any thread. */
typedef struct _NnCudaChoices NnCudaChoices;

/* The place of an engine or algorithm in what a heuristic lists, and its number, to know it by.
 * What @mode says is up to the user of the key. */
typedef struct
{
  guint mode, place;
  gint64 engine;
} NnCudaChoice;

/* @device: its name and compute capability; @driver: CUDA's version that it knows; versions of
 * the libraries. */
NnCudaChoices *nn_cuda_choices_new (
    const NnHost *host, const char *device, int driver, gsize cudnn, gsize cublaslt);
void nn_cuda_choices_free (NnCudaChoices *choices);

/* @choices may be NULL in all of these: nothing is known then. */
gboolean nn_cuda_choices_find (NnCudaChoices *choices, const char *key, NnCudaChoice *choice);
void nn_cuda_choices_add (NnCudaChoices *choices, const char *key, const NnCudaChoice *choice);
/* Writes the file if something was added. */
void nn_cuda_choices_save (NnCudaChoices *choices);

G_END_DECLS
