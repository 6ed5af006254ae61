/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/staging.h"

#include <string.h>

#include "nn/error.h"
#include "nn/pack-math.h"

static CUdeviceptr
address (const void *p)
{
  return (CUdeviceptr) (guintptr) p;
}

gpointer
nn_cuda_staging_new (gpointer device)
{
  NnCudaStaging *staging = g_new0 (NnCudaStaging, 1);

  staging->device = device;
  return staging;
}

static void
free_memory (NnCudaStaging *staging)
{
  if (staging->host)
    nn_api.cuMemFreeHost (staging->host);
  if (staging->memory)
    nn_api.cuMemFree (address (staging->memory));
  staging->host = staging->memory = NULL;
  staging->host_size = staging->size = 0;
  staging->tables_id = 0;
}

void
nn_cuda_staging_free (gpointer data)
{
  NnCudaStaging *staging = data;

  nn_cuda_staging_wait (staging);
  if (nn_cuda_enter (staging->device, NN_ERROR_RUN, NULL)) {
    free_memory (staging);
    if (staging->arrived)
      nn_api.cuEventDestroy (staging->arrived);
    if (staging->written)
      nn_api.cuEventDestroy (staging->written);
    if (staging->thumbnail)
      nn_api.cuMemFreeHost (staging->thumbnail);
    if (staging->stream)
      nn_api.cuStreamDestroy (staging->stream);
    nn_cuda_leave ();
  }
  g_free (staging);
}

static gboolean
allocate (NnCudaStaging *staging, gsize host_size, gsize size, GError **error)
{
  const int code = NN_ERROR_NO_MEMORY;
  void *host = NULL;
  CUdeviceptr memory = 0;

  free_memory (staging);
  if (!NN_CU (cuMemAllocHost, code, error, &host, host_size)) {
    g_prefix_error (error, "%.1f MiB for frames: ", (double) host_size / (1 << 20));
    return FALSE;
  }
  staging->host = host;
  if (!NN_CU (cuMemAlloc, code, error, &memory, size)) {
    g_prefix_error (error, "%.1f MiB for frames: ", (double) size / (1 << 20));
    return FALSE;
  }
  staging->memory = (guint8 *) (guintptr) memory;
  staging->host_size = host_size;
  staging->size = size;
  return TRUE;
}

guint8 *
nn_cuda_staging_reserve (gpointer data, gsize host_size, gsize size, GError **error)
{
  NnCudaStaging *staging = data;
  gboolean ok;

  nn_cuda_staging_wait (staging);
  staging->put = NULL;
  if (host_size <= staging->host_size && size <= staging->size)
    return staging->host;
  if (!nn_cuda_enter (staging->device, NN_ERROR_NO_MEMORY, error))
    return NULL;
  ok = allocate (
      staging, MAX (host_size, staging->host_size), MAX (size, staging->size), error);
  nn_cuda_leave ();
  return ok ? staging->host : NULL;
}

/* Has @stream wait for what is in @other of @context now. In our own context the event is kept for
 * the next frame. */
static gboolean
follow_in (
    NnCudaStaging *staging, CUstream stream, CUstream other, CUcontext context, GError **error)
{
  const int code = NN_ERROR_RUN;
  gboolean ok;

  if (!NN_CU (cuCtxPushCurrent, code, error, context))
    return FALSE;
  if (staging->written && staging->writer != context) {
    nn_api.cuEventDestroy (staging->written);
    staging->written = NULL;
  }
  staging->writer = context;
  ok = (staging->written
           || NN_CU (cuEventCreate, code, error, &staging->written, CU_EVENT_DISABLE_TIMING))
      && NN_CU (cuEventRecord, code, error, staging->written, other);
  nn_cuda_leave ();
  ok = ok && NN_CU (cuStreamWaitEvent, code, error, stream, staging->written, 0);
  /* somebody else's context may be gone before the next frame, and another one be where it was */
  if (context != staging->device->context && staging->written) {
    nn_api.cuEventDestroy (staging->written);
    staging->written = NULL;
  }
  return ok;
}

/* Has @stream wait for who writes to the planes, in a stream of another context perhaps. */
static gboolean
follow (NnCudaStaging *staging, const NnPack *pack, CUcontext there, CUstream stream,
    GError **error)
{
  const CUstream other = pack->stream;
  CUcontext context = there ? there : staging->device->context;

  /* the default one is that of the context in which it is said */
  if (other != CU_STREAM_LEGACY && !NN_CU (cuStreamGetCtx, NN_ERROR_RUN, error, other, &context))
    return FALSE;
  return follow_in (staging, stream, other, context, error);
}

/* In which context a plane lies. NULL: in none; memory of a pool belongs to a device only. */
static CUcontext
context_of (const NnPackPlane *plane)
{
  CUcontext context = NULL;

  return nn_api.cuPointerGetAttribute (
             &context, CU_POINTER_ATTRIBUTE_CONTEXT, address (plane->rows))
          == CUDA_SUCCESS
      ? context
      : NULL;
}

static gboolean
fetch_plane (const NnCudaStaging *staging, const NnPackPlane *plane, CUcontext there,
    CUstream stream, GError **error)
{
  const CUdeviceptr to = address (staging->memory + plane->at);
  const CUDA_MEMCPY2D copy = {
    .srcMemoryType = CU_MEMORYTYPE_DEVICE,
    .srcDevice = address (plane->rows),
    .srcPitch = plane->pitch,
    .dstMemoryType = CU_MEMORYTYPE_DEVICE,
    .dstDevice = to,
    .dstPitch = plane->stride,
    .WidthInBytes = plane->n_bytes,
    .Height = plane->n_rows,
  };
  const CUDA_MEMCPY3D_PEER across = {
    .srcMemoryType = CU_MEMORYTYPE_DEVICE,
    .srcDevice = address (plane->rows),
    .srcContext = there,
    .srcPitch = plane->pitch,
    .srcHeight = plane->n_rows,
    .dstMemoryType = CU_MEMORYTYPE_DEVICE,
    .dstDevice = to,
    .dstContext = staging->device->context,
    .dstPitch = plane->stride,
    .dstHeight = plane->n_rows,
    .WidthInBytes = plane->n_bytes,
    .Height = plane->n_rows,
    .Depth = 1,
  };

  return there ? NN_CU (cuMemcpy3DPeerAsync, NN_ERROR_RUN, error, &across, stream)
               : NN_CU (cuMemcpy2DAsync, NN_ERROR_RUN, error, &copy, stream);
}

/* Planes that lie in our context are read where they are; tables that are there stay. */
static gboolean
transfer (NnCudaStaging *staging, const NnPack *pack, CUstream stream, GError **error)
{
  NnPackHeader *header = (NnPackHeader *) (gpointer) staging->host;
  const gboolean is_known = pack->planes && pack->tables_id == staging->tables_id;
  CUcontext contexts[G_N_ELEMENTS (header->planes)];

  staging->tables_id = 0;
  for (guint p = 0; p < pack->n_planes; p++) {
    const NnPackPlane *plane = &pack->planes[p];

    contexts[p] = context_of (plane);
    if (contexts[p] == staging->device->context)
      header->planes[plane->number] = (NnPackRows) {
        (guintptr) plane->rows - (guintptr) staging->memory, (guint32) plane->pitch };
  }
  if (!is_known
      && !NN_CU (cuMemcpyHtoDAsync, NN_ERROR_RUN, error, address (staging->memory), staging->host,
          pack->planes ? pack->tables_size : pack->size, stream))
    return FALSE;
  if (pack->stream && pack->n_planes > 0 && !follow (staging, pack, contexts[0], stream, error))
    return FALSE;
  for (guint p = 0; p < pack->n_planes; p++)
    if (contexts[p] != staging->device->context
        && !fetch_plane (staging, &pack->planes[p], contexts[p], stream, error))
      return FALSE;
  staging->tables_id = pack->planes ? pack->tables_id : 0;
  return TRUE;
}

gboolean
nn_cuda_staging_send (gpointer data, const NnPack *pack, GError **error)
{
  NnCudaStaging *staging = data;
  const int code = NN_ERROR_RUN;

  if (staging->is_sent)
    return TRUE;
  if (!nn_cuda_enter (staging->device, code, error))
    return FALSE;
  if ((staging->stream
          || NN_CU (cuStreamCreate, code, error, &staging->stream, CU_STREAM_NON_BLOCKING))
      && (staging->arrived
          || NN_CU (cuEventCreate, code, error, &staging->arrived, CU_EVENT_DISABLE_TIMING))) {
    staging->is_sent = transfer (staging, pack, staging->stream, error)
        && NN_CU (cuEventRecord, code, error, staging->arrived, staging->stream);
    if (!staging->is_sent) /* what was begun must not meet what comes instead */
      nn_api.cuStreamSynchronize (staging->stream);
  }
  nn_cuda_leave ();
  return staging->is_sent;
}

NnSampleEntry
nn_cuda_staging_get_sample (const NnPack *pack, guint sample)
{
  const NnCudaStaging *staging = pack->staging->handle;
  const NnPackHeader *header = (const NnPackHeader *) (gconstpointer) staging->host;
  NnSampleEntry entry = { .pack = staging->memory, .sample = sample };

  memcpy (entry.planes, header->planes, sizeof entry.planes);
  return entry;
}

static gboolean
launch_thumbnail (NnCudaStaging *staging, const NnPack *pack, guint size, GError **error)
{
  const NnPackHeader *header = (const NnPackHeader *) (gconstpointer) staging->host;
  const NnPackSample *sample = nn_pack_get_sample (staging->host, pack->first);
  const NnPackGeometry *g
      = (const NnPackGeometry *) (gconstpointer) (staging->host + sample->geometry);
  NnCudaContext c = { .device = staging->device, .stream = staging->stream };
  const NnThumbnailArgs args = { .blocks = size * size,
    .size = size,
    .rows = g->height,
    .columns = g->width,
    .channels = g->channels,
    .entry = nn_cuda_staging_get_sample (pack, pack->first),
    .dst = staging->thumbnail };

  g_assert (header->draws == 0);
  return nn_k_thumbnail_launch (&c, &args, error)
      && NN_CU (cuStreamSynchronize, NN_ERROR_RUN, error, staging->stream);
}

gboolean
nn_cuda_staging_thumbnail (
    gpointer data, const NnPack *pack, guint size, float *means, GError **error)
{
  NnCudaStaging *staging = data;
  const gsize bytes = size * size * 3 * sizeof (float);
  void *memory = NULL;
  gboolean ok;

  if (!nn_cuda_staging_send (staging, pack, error)
      || !nn_cuda_enter (staging->device, NN_ERROR_RUN, error))
    return FALSE;
  if (bytes > staging->thumbnail_size) {
    if (staging->thumbnail)
      nn_api.cuMemFreeHost (staging->thumbnail);
    staging->thumbnail = NULL;
    staging->thumbnail_size = 0;
    if (NN_CU (cuMemAllocHost, NN_ERROR_NO_MEMORY, error, &memory, bytes))
      staging->thumbnail_size = bytes;
    staging->thumbnail = memory;
  }
  ok = staging->thumbnail && launch_thumbnail (staging, pack, size, error);
  nn_cuda_leave ();
  if (ok)
    memcpy (means, staging->thumbnail, bytes);
  return ok;
}

gboolean
nn_cuda_staging_put (
    NnCudaStaging *staging, const NnPack *pack, CUstream stream, GError **error)
{
  if (staging->is_sent)
    return NN_CU (cuStreamWaitEvent, NN_ERROR_RUN, error, stream, staging->arrived, 0);
  if (staging->put == stream) /* for samples in front of these */
    return TRUE;
  staging->put = transfer (staging, pack, stream, error) ? stream : NULL;
  return staging->put != NULL;
}

void
nn_cuda_staging_wait (gpointer data)
{
  NnCudaStaging *staging = data;

  if (!staging->is_sent || !nn_cuda_enter (staging->device, NN_ERROR_RUN, NULL))
    return;
  nn_api.cuEventSynchronize (staging->arrived);
  staging->is_sent = FALSE;
  nn_cuda_leave ();
}
