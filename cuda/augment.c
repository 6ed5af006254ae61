/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/augment.h"

#include <string.h>

gboolean
nn_cuda_pictures_init (NnCudaPictures *pictures, NnCudaContext *c, guint batch,
    const NnAugmentForm *form, const NnPictures *sets, guint n_sets, GError **error)
{
  const gsize picture = (gsize) form->source_rows * form->source_columns * form->channels;
  const gsize entries = batch * sizeof (NnAugmentEntry), mixes = batch * sizeof (NnMixEntry);
  NnCudaPictures p = { .c = c, .form = *form };
  gsize n = 0;
  guint8 *to;

  for (guint i = 0; i < n_sets; i++)
    n += sets[i].n;
  /* the pictures last: where they do not fit little has been taken */
  if (!(p.entries = nn_cuda_new_pinned (c, entries, "the augmentation", error))
      || !(p.mixes = nn_cuda_new_pinned (c, mixes, "the augmentation", error))
      || !(p.device_entries = nn_cuda_new (c, entries, "the augmentation", error))
      || !(p.device_mixes = nn_cuda_new (c, mixes, "the augmentation", error))
      || !(p.bytes = nn_cuda_new (c, n * picture, "the pictures", error)))
    return FALSE;
  to = p.bytes;
  for (guint i = 0; i < n_sets; to += sets[i++].n * picture)
    if (!nn_cuda_upload (c, to, sets[i].bytes, sets[i].n * picture, error))
      return FALSE;
  if (!nn_cuda_sync (c, error))
    return FALSE;
  *pictures = p;
  return TRUE;
}

gboolean
nn_cuda_pictures_put (NnCudaPictures *p, const NnAugmentEntry *entries, guint n, float *input,
    GError **error)
{
  NnAugmentArgs args = { .count = n * p->form.rows * p->form.columns,
    .blocks = n,
    .form = p->form,
    .pictures = p->bytes,
    .entries = p->device_entries,
    .dst = input };

  memcpy (p->entries, entries, n * sizeof (NnAugmentEntry));
  for (guint i = 0; i < n; i++)
    args.needs_wholes |= entries[i].changes & NN_CHANGES_OF_WHOLES;
  return nn_cuda_upload (
             p->c, p->device_entries, p->entries, n * sizeof (NnAugmentEntry), error)
      && nn_k_augment_launch (p->c, &args, error)
      && (!args.needs_wholes || nn_k_augment_wholes_launch (p->c, &args, error));
}

gboolean
nn_cuda_pictures_mix (
    NnCudaPictures *p, const NnMixEntry *mixes, guint n, float *input, GError **error)
{
  const NnMixArgs args = { .count = n / 2 * p->form.rows * p->form.columns,
    .samples = n,
    .form = p->form,
    .mixes = p->device_mixes,
    .dst = input };

  if (n < 2)
    return TRUE;
  memcpy (p->mixes, mixes, n / 2 * sizeof (NnMixEntry));
  return nn_cuda_upload (p->c, p->device_mixes, p->mixes, n / 2 * sizeof (NnMixEntry), error)
      && nn_k_mix_launch (p->c, &args, error);
}
