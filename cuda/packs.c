/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/plan.h"
#include "nn/error.h"

/* Packs lie one after the other, each where a transfer likes to begin. */
#define ALIGNMENT 256

gboolean
nn_cuda_packs_init (
    NnCudaPacks *packs, NnCudaContext *c, guint batch, const NnShape *input, GError **error)
{
  const gsize bytes = batch * sizeof (NnSampleEntry);

  packs->c = c;
  packs->columns = (guint32) input->dims[1];
  packs->pixels = (guint32) (input->dims[0] * input->dims[1]);
  packs->channels = (guint32) input->dims[2];
  packs->entries = nn_cuda_new_pinned (c, bytes, "the list of samples", error);
  packs->device_entries
      = packs->entries ? nn_cuda_new (c, bytes, "the list of samples", error) : NULL;
  return packs->device_entries != NULL;
}

/* A frame's decoder has a context of its own, perhaps on another device. */
static gboolean
fetch_plane (const NnCudaPacks *packs, const NnPackPlane *plane, guint8 *to, GError **error)
{
  const CUdeviceptr from = (CUdeviceptr) (guintptr) plane->rows;
  CUDA_MEMCPY3D_PEER copy = {
    .srcMemoryType = CU_MEMORYTYPE_DEVICE,
    .srcDevice = from,
    .srcPitch = plane->pitch,
    .srcHeight = plane->n_rows,
    .dstMemoryType = CU_MEMORYTYPE_DEVICE,
    .dstDevice = (CUdeviceptr) (guintptr) to,
    .dstContext = packs->c->device->context,
    .dstPitch = plane->stride,
    .dstHeight = plane->n_rows,
    .WidthInBytes = plane->n_bytes,
    .Height = plane->n_rows,
    .Depth = 1,
  };

  /* memory of a pool belongs to a device but to no context */
  if (nn_api.cuPointerGetAttribute (&copy.srcContext, CU_POINTER_ATTRIBUTE_CONTEXT, from)
          != CUDA_SUCCESS
      || !copy.srcContext)
    copy.srcContext = copy.dstContext;
  return NN_CU (cuMemcpy3DPeerAsync, NN_ERROR_RUN, error, &copy, packs->c->stream);
}

gboolean
nn_cuda_packs_put (NnCudaPacks *packs, const NnPack *list, guint n_packs, float *input, guint *n,
    GError **error)
{
  NnSampleArgs args = { .columns = packs->columns,
    .pixels = packs->pixels,
    .channels = packs->channels,
    .entries = packs->device_entries,
    .dst = input };
  gsize size = 0, at = 0;

  for (guint i = 0; i < n_packs; i++)
    size += (list[i].size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (size > packs->size) {
    packs->size = 0;
    packs->memory = nn_cuda_renew (packs->c, packs->memory, size, "frames", error);
    if (!packs->memory)
      return FALSE;
    packs->size = size;
  }
  *n = 0;
  for (guint i = 0; i < n_packs; i++) {
    const gsize n_bytes = list[i].planes ? list[i].tables_size : list[i].size;

    if (!nn_cuda_upload (packs->c, packs->memory + at, list[i].pack, n_bytes, error))
      return FALSE;
    for (guint p = 0; p < list[i].n_planes; p++) {
      const NnPackPlane *plane = &list[i].planes[p];

      if (!fetch_plane (packs, plane, packs->memory + at + plane->at, error))
        return FALSE;
    }
    for (guint s = 0; s < list[i].n; s++)
      packs->entries[(*n)++] = (NnSampleEntry) { packs->memory + at, list[i].first + s };
    at += (list[i].size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  args.count = *n * packs->pixels;
  return nn_cuda_upload (packs->c, packs->device_entries, packs->entries,
             *n * sizeof (NnSampleEntry), error)
      && nn_k_sample_launch (packs->c, &args, error);
}
