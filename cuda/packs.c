/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "cuda/plan.h"
#include "nn/error.h"
#include "nn/pack-math.h"

gboolean
nn_cuda_packs_init (NnCudaPacks *packs, NnCudaContext *c, guint batch, const NnShape *shape,
    float *input, GError **error)
{
  const gsize draws = batch * sizeof (NnAugmentEntry), entries = batch * sizeof (NnSampleEntry);

  packs->c = c;
  packs->batch = batch;
  packs->table_size = draws + entries + batch * sizeof (NnViewGroup);
  packs->table = nn_cuda_new_pinned (c, packs->table_size, "the list of samples", error);
  packs->device = packs->table
      ? nn_cuda_new (c, packs->table_size, "the list of samples", error)
      : NULL;
  if (!packs->device)
    return FALSE;
  packs->draws = (NnAugmentEntry *) (gpointer) packs->table;
  packs->entries = (NnSampleEntry *) (gpointer) (packs->table + draws);
  packs->groups = (NnViewGroup *) (gpointer) (packs->table + draws + entries);
  packs->device_entries = (const NnSampleEntry *) (gpointer) (packs->device + draws);
  packs->device_groups = (const NnViewGroup *) (gpointer) (packs->device + draws + entries);
  packs->sample = (NnSampleArgs) { .channels = (guint32) shape->dims[2],
    .stride = (guint32) shape->dims[2],
    .columns = nn_divisor ((guint32) shape->dims[1]),
    .pixels = nn_divisor ((guint32) (shape->dims[0] * shape->dims[1])),
    .norm = { NULL, NULL, 1, 1 },
    .dst = input };
  return TRUE;
}

static gsize
picture_size (const NnAugmentForm *form)
{
  return (gsize) form->source_rows * form->source_columns * form->channels;
}

/* A plan is of one model, which has one augmentation. */
static gboolean
prepare_draws (NnCudaPacks *packs, const NnAugmentForm *form, GError **error)
{
  const gsize sample = (gsize) form->rows * form->columns * form->channels;

  if (packs->pictures && memcmp (&packs->augment.form, form, sizeof *form) == 0)
    return TRUE;
  if (packs->pictures) {
    g_set_error (error, packs->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
        "draws of two augmentations in one plan");
    return FALSE;
  }
  if (packs->batch * picture_size (form) >= (gsize) 1 << 31) { /* kernels count in 32 bits */
    g_set_error (error, packs->c->device->host->error_domain, NN_ERROR_UNSUPPORTED,
        "%u pictures of %ux%u to draw from are too large for the CUDA back end: use a smaller "
        "batch", packs->batch, form->source_columns, form->source_rows);
    return FALSE;
  }
  /* entries that are not used show the beginning of it */
  packs->pictures = nn_cuda_new (
      packs->c, MAX (packs->batch * picture_size (form), sample), "pictures to draw from", error);
  packs->augment = (NnAugmentArgs) { .needs_wholes = 1,
    .form = *form,
    .pictures = packs->pictures,
    .entries = (const NnAugmentEntry *) (gpointer) packs->device,
    .dst = packs->sample.dst };
  return packs->pictures != NULL;
}

/* @n_pictures: that the packs before have */
static gboolean
put_draws (NnCudaPacks *packs, const NnPack *pack, guint n, guint *n_pictures, GError **error)
{
  const NnCudaStaging *staging = pack->staging->handle;
  const NnPackHeader *header = (const NnPackHeader *) (gconstpointer) staging->host;
  const NnPackDraws *draws
      = (const NnPackDraws *) (gconstpointer) (staging->host + header->draws);
  const NnAugmentEntry *entries
      = (const NnAugmentEntry *) (gconstpointer) (staging->host + draws->entries) + pack->first;
  const guint64 first = entries[0].picture, end = entries[pack->n - 1].picture + 1;

  if (!prepare_draws (packs, &draws->form, error))
    return FALSE;
  for (guint s = 0; s < pack->n; s++) {
    packs->draws[n + s] = entries[s];
    packs->draws[n + s].picture += *n_pictures - first;
  }
  for (guint64 p = first; p < end; p++)
    packs->entries[(*n_pictures)++] = nn_cuda_staging_get_sample (pack, (guint) p);
  return TRUE;
}

gboolean
nn_cuda_packs_put (NnCudaPacks *packs, const NnPack *list, guint n_packs, guint *n,
    NnCudaWay *way, GError **error)
{
  guint n_groups = 0, n_pictures = 0;

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
    if (pack->is_drawn) {
      if (!put_draws (packs, pack, *n, &n_pictures, error))
        return FALSE;
      *way = NN_CUDA_DRAWS_FROM_PACKS;
    } else {
      for (guint s = 0; s < pack->n; s++)
        packs->entries[*n + s] = nn_cuda_staging_get_sample (pack, pack->first + s);
      if (views > 1)
        *way = NN_CUDA_MEANS_FROM_PACKS;
    }
    *n += pack->n;
  }
  return TRUE;
}

/* With a picture for each sample: those without a pack stay as they are. */
static gboolean
record_draws (const NnCudaPacks *packs, guint n, GError **error)
{
  const NnAugmentForm *form = &packs->augment.form;
  const NnPictureArgs pictures = { .count = n * form->source_rows * form->source_columns,
    .columns = form->source_columns,
    .pixels = form->source_rows * form->source_columns,
    .channels = form->channels,
    .entries = packs->device_entries,
    .dst = packs->pictures };
  NnAugmentArgs augment = packs->augment;

  augment.count = n * form->rows * form->columns;
  augment.blocks = n;
  return nn_k_picture_launch (packs->c, &pictures, error)
      && nn_k_augment_launch (packs->c, &augment, error)
      && nn_k_augment_wholes_launch (packs->c, &augment, error);
}

static gboolean
upload_table (const NnCudaPacks *packs, GError **error)
{
  return nn_cuda_upload (packs->c, packs->device, packs->table, packs->table_size, error);
}

gboolean
nn_cuda_packs_record (const NnCudaPacks *packs, guint n, GError **error)
{
  return upload_table (packs, error) && record_draws (packs, n, error);
}

gboolean
nn_cuda_packs_launch (const NnCudaPacks *packs, NnCudaWay way, guint n,
    const NnFinishArgs *finish, GError **error)
{
  const gboolean is_uploaded = way == NN_CUDA_MEANS_FROM_PACKS || n > NN_FEW_SAMPLES;
  NnSampleArgs sample = packs->sample;

  sample.count = n * sample.pixels.by;
  if (is_uploaded)
    sample.entries = packs->device_entries;
  else
    memcpy (sample.few, packs->entries, n * sizeof *packs->entries);
  if (finish) {
    sample.norm = finish->norm;
    sample.stride = finish->dst_stride;
    sample.dst = finish->dst;
    sample.dst_type = finish->dst_type;
  }
  return (!is_uploaded || upload_table (packs, error))
      && nn_k_sample_launch (packs->c, &sample, error);
}
