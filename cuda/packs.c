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
    if (!nn_cuda_upload (packs->c, packs->memory + at, list[i].pack, list[i].size, error))
      return FALSE;
    for (guint s = 0; s < list[i].n; s++)
      packs->entries[(*n)++] = (NnSampleEntry) { packs->memory + at, list[i].first + s };
    at += (list[i].size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  args.count = *n * packs->pixels;
  return nn_cuda_upload (packs->c, packs->device_entries, packs->entries,
             *n * sizeof (NnSampleEntry), error)
      && nn_k_sample_launch (packs->c, &args, error);
}
