/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "cuda/plan.h"

gboolean
nn_cuda_packs_init (NnCudaPacks *packs, NnCudaContext *c, guint batch, const NnShape *shape,
    float *input, GError **error)
{
  const gsize entries = batch * sizeof (NnSampleEntry), groups = batch * sizeof (NnViewGroup);

  packs->c = c;
  packs->batch = batch;
  packs->table_size = entries + groups;
  packs->table = nn_cuda_new_pinned (c, packs->table_size, "the list of samples", error);
  packs->device = packs->table
      ? nn_cuda_new (c, packs->table_size, "the list of samples", error)
      : NULL;
  if (!packs->device)
    return FALSE;
  packs->entries = (NnSampleEntry *) (gpointer) packs->table;
  packs->groups = (NnViewGroup *) (gpointer) (packs->table + entries);
  packs->device_groups = (const NnViewGroup *) (gpointer) (packs->device + entries);
  packs->sample = (NnSampleArgs) { .columns = (guint32) shape->dims[1],
    .pixels = (guint32) (shape->dims[0] * shape->dims[1]),
    .channels = (guint32) shape->dims[2],
    .entries = (const NnSampleEntry *) (gpointer) packs->device,
    .dst = input };
  return TRUE;
}

gboolean
nn_cuda_packs_put (NnCudaPacks *packs, const NnPack *list, guint n_packs, guint *n,
    NnCudaWay *way, GError **error)
{
  guint n_groups = 0;

  memset (packs->table, 0, packs->table_size);
  *n = 0;
  *way = NN_CUDA_FROM_PACKS;
  for (guint i = 0; i < n_packs; i++) {
    const NnPack *pack = &list[i];
    NnCudaStaging *staging = pack->staging->handle;
    const guint views = MAX (pack->n_views, 1);

    if (!nn_cuda_staging_put (staging, pack, packs->c->stream, error))
      return FALSE;
    for (guint s = 0; s < pack->n; s += views)
      packs->groups[n_groups++] = (NnViewGroup) { *n + s, views,
        views > 1 && pack->mean == NN_MEAN_LOGITS };
    for (guint s = 0; s < pack->n; s++)
      packs->entries[(*n)++] = (NnSampleEntry) { staging->memory, pack->first + s };
    if (views > 1)
      *way = NN_CUDA_MEANS_FROM_PACKS;
  }
  return TRUE;
}

gboolean
nn_cuda_packs_record (const NnCudaPacks *packs, guint n, GError **error)
{
  NnSampleArgs sample = packs->sample;

  sample.count = n * sample.pixels;
  return nn_cuda_upload (packs->c, packs->device, packs->table, packs->table_size, error)
      && nn_k_sample_launch (packs->c, &sample, error);
}
