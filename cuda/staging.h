/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* A pack's way to the device: pinned memory, the memory there, and a stream of its own for what
 * is sent ahead of the run. */
typedef struct
{
  const NnCudaDevice *device;
  guint8 *host, *memory; /* memory: on the device */
  gsize host_size, size; /* that there is room for */
  guint64 tables_id;     /* of those that are there; 0: none */
  CUstream stream;       /* both from the first nn_cuda_staging_send() on */
  CUevent arrived;
  gboolean is_sent;
  CUevent written; /* by who makes frames, in `writer`'s context */
  CUcontext writer;
  float *thumbnail; /* pinned */
  gsize thumbnail_size;
  CUstream put; /* that the transfer was put into instead */
} NnCudaStaging;

/* The entries of NnBackendClass. */
gpointer nn_cuda_staging_new (gpointer device);
void nn_cuda_staging_free (gpointer staging);
guint8 *nn_cuda_staging_reserve (gpointer staging, gsize host_size, gsize size, GError **error);
gboolean nn_cuda_staging_send (gpointer staging, const NnPack *pack, GError **error);
void nn_cuda_staging_wait (gpointer staging);
gboolean nn_cuda_staging_thumbnail (
    gpointer staging, const NnPack *pack, guint size, float *means, GError **error);

/* What a kernel is told of sample @sample of @pack, which was sent or put. */
NnSampleEntry nn_cuda_staging_get_sample (const NnPack *pack, guint sample);

/* Has @stream wait for what was sent, or puts the transfer into it. Inside nn_cuda_enter(). */
gboolean nn_cuda_staging_put (
    NnCudaStaging *staging, const NnPack *pack, CUstream stream, GError **error);

G_END_DECLS
