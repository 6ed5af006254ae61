/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/augment.h"

#include <string.h>

gboolean
nn_cuda_pictures_init (NnCudaPictures *pictures, NnCudaContext *c, guint batch,
    const NnAugmentForm *form, const guint8 *bytes, gsize n, GError **error)
{
  const gsize size = n * form->source_rows * form->source_columns * form->channels;
  const gsize entries = batch * sizeof (NnAugmentEntry), mixes = batch * sizeof (NnMixEntry);
  NnCudaPictures p = { .c = c, .form = *form };

  /* the pictures last: where they do not fit little has been taken */
  if (!(p.entries = nn_cuda_new_pinned (c, entries, "the augmentation", error))
      || !(p.mixes = nn_cuda_new_pinned (c, mixes, "the augmentation", error))
      || !(p.device_entries = nn_cuda_new (c, entries, "the augmentation", error))
      || !(p.device_mixes = nn_cuda_new (c, mixes, "the augmentation", error))
      || !(p.bytes = nn_cuda_new (c, size, "the pictures", error))
      || !nn_cuda_upload (c, p.bytes, bytes, size, error) || !nn_cuda_sync (c, error))
    return FALSE;
  *pictures = p;
  return TRUE;
}

gboolean
nn_cuda_pictures_put (
    NnCudaPictures *p, const NnStep *step, float *input, GError **error)
{
  const guint32 pixels = p->form.rows * p->form.columns;
  NnAugmentArgs args = { .count = step->n * pixels,
    .blocks = step->n,
    .form = p->form,
    .pictures = p->bytes,
    .entries = p->device_entries,
    .dst = input };
  const NnMixArgs mix = { .count = step->n / 2 * pixels,
    .samples = step->n,
    .form = p->form,
    .mixes = p->device_mixes,
    .dst = input };

  memcpy (p->entries, step->entries, step->n * sizeof (NnAugmentEntry));
  for (guint i = 0; i < step->n; i++)
    args.needs_wholes |= step->entries[i].changes & NN_CHANGES_OF_WHOLES;
  if (!nn_cuda_upload (
          p->c, p->device_entries, p->entries, step->n * sizeof (NnAugmentEntry), error)
      || !nn_k_augment_launch (p->c, &args, error)
      || (args.needs_wholes && !nn_k_augment_wholes_launch (p->c, &args, error)))
    return FALSE;
  if (!step->mixes || mix.count == 0)
    return TRUE;
  memcpy (p->mixes, step->mixes, step->n / 2 * sizeof (NnMixEntry));
  return nn_cuda_upload (
             p->c, p->device_mixes, p->mixes, step->n / 2 * sizeof (NnMixEntry), error)
      && nn_k_mix_launch (p->c, &mix, error);
}
