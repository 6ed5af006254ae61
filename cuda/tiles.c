/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/tiles.h"

#include "cuda/measure.h"

/* What is spared is the convolution's result, written and read again: of 3 channels made into 32
 * that is four fifths of all bytes. Tensor cores with m16n8k16 come with compute capability 8.0. */

#define MIN_ARCH 80

/* what the mode of a choice says */
enum
{
  BY_LIBRARY,
  BY_TILES,
  N_WAYS
};

gboolean
nn_cuda_tiles_fit (const NnCudaDevice *device, const NnTilesArgs *args)
{
  NnTilesArgs prepared = *args;

  return device->arch >= MIN_ARCH && nn_tiles_prepare (&prepared, 1);
}

gsize
nn_cuda_tiles_count_words (const NnTilesArgs *args)
{
  NnTilesArgs prepared = *args;

  nn_tiles_prepare (&prepared, 1);
  return prepared.count;
}

gboolean
nn_cuda_tiles_put_weights (NnCudaContext *c, const NnTilesArgs *args, GError **error)
{
  NnTilesArgs prepared = *args;

  nn_tiles_prepare (&prepared, 1);
  return nn_k_tile_weights_launch (c, &prepared, error);
}

gboolean
nn_cuda_tiles_run (NnCudaContext *c, const NnTilesArgs *args, guint samples, GError **error)
{
  NnTilesArgs prepared = *args;

  nn_tiles_prepare (&prepared, samples);
  return prepared.steps == NN_TILE_STEPS ? nn_k_deep_tiles_launch (c, &prepared, error)
                                         : nn_k_tiles_launch (c, &prepared, error);
}

typedef struct
{
  NnCudaContext *c;
  const NnTilesArgs *args;
  guint samples, size;
  NnCudaTilesOther other;
  gpointer data;
} Trial;

static gboolean
try_way (gpointer data, guint way, void *const memory[NN_N_TRIED], GError **error)
{
  const Trial *t = data;

  return way == BY_TILES ? nn_cuda_tiles_run (t->c, t->args, t->samples, error)
                         : t->other (t->data, t->size, error);
}

/* All that the time of either depends on, but the device. */
static char *
key_of (const NnTilesArgs *a, guint samples)
{
  const NnFinishArgs *f = &a->finish;

  return g_strdup_printf ("tiles-%s-n%u-%ux%ux%u-%ux%ux%u-k%ux%u-p%ux%u-%ux%u%s%s%s",
      a->type == NN_TYPE_F16 ? "fp16" : "bf16", samples, a->in_rows, a->in_cols, a->channels,
      f->window.in_rows, f->window.in_cols, a->filters, a->kernel[0], a->kernel[1], a->pad[0],
      a->pad[1], f->window.out_rows, f->window.out_cols, f->bias ? "-bias" : "",
      f->f1 == NN_FN_RELU || f->f2 == NN_FN_RELU ? "-relu" : "", f->norm.scale ? "-norm" : "");
}

gboolean
nn_cuda_tiles_choose (NnCudaContext *c, const NnTilesArgs *args, guint samples,
    NnCudaTilesOther other, gpointer data, guint size, char **how)
{
  const gsize sizes[NN_N_TRIED] = { 0 }; /* either has its own memory */
  g_autofree char *key = key_of (args, samples);
  Trial trial = { c, args, samples, size, other, data };
  NnCudaChoice choice;
  float time;

  if (nn_cuda_choices_find (c->device->choices, key, &choice) && choice.mode < N_WAYS
      && choice.place == 0 && choice.engine == 0) {
    *how = g_strdup ("the faster when it was measured");
    return choice.mode == BY_TILES;
  }
  choice = (NnCudaChoice) { .mode = nn_cuda_fastest (c, N_WAYS, sizes, try_way, &trial, &time) };
  if (time >= 0)
    nn_cuda_choices_add (c->device->choices, key, &choice);
  *how = g_strdup_printf ("the faster of two measured, %.1f us", time * 1000);
  return choice.mode == BY_TILES;
}
