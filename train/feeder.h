/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/augment.h"
#include "train/dataset.h"

G_BEGIN_DECLS

/* The order of samples and their augmentation are pure functions of (seed,
 * stage, number of the batch in the stage): Keras 2.0.9 to 2.2's
 * fit_generator() on a directory iterator. Each stage (one fit call) starts a
 * new pass; a pass draws a permutation of the samples, cuts it into batches,
 * the last one short, and visits the batches in a shuffled order. */
typedef struct
{
  guint n_samples, batch_size;
  guint64 seed;
} Order;

guint order_get_n_batches (const Order *order); /* of a pass */

/* Batch number @batch of @stage: its samples, at most batch_size. @samples:
 * (out) indices into the data; @first_draw: (out) the augmentation draw of the
 * first of them, the following ones count up. Returns their number. */
guint order_get_batch (const Order *order, guint stage, guint64 batch, guint *samples,
    guint64 *first_draw);

/* The draw with which sample number @sample is augmented in pass @pass of
 * @stage: what order_get_batch() tells of it, wherever in the pass it is. */
guint64 order_get_draw (const Order *order, guint stage, guint64 pass, guint sample);

/* One sample as training sees it: @src, bytes of the size that @augment
 * takes, augmented by
 * @draw of @seed and pre-processed. @params (out, nullable): what was drawn. */
void feeder_sample (const NnPreprocess *pre, const NnAugment *augment, guint64 seed, guint64 draw,
    const guint8 *src, float *dst, NnAugmentParams *params);

/* Pairs of samples made one: mixup (Zhang et al. 2018) and CutMix (Yun et al.
 * 2019), alphas of their Beta distributions, 0 = not used; where both are, a
 * coin decides. Sample i of a batch is paired with sample n - 1 - i, each pair
 * draws from (seed, NN_STREAM_MIX, draw of sample i). */
typedef struct
{
  double mixup, cutmix; /* alpha, 0..1 */
  double probability;   /* of a pair to be mixed */
} Mixing;

/* Prepares batches ahead of their use on threads of its own. */
typedef struct _Feeder Feeder;

typedef struct
{
  guint n;
  float *input;   /* (n, H, W, C); NULL: the device makes it of the following two */
  NnAugmentEntry *entries; /* (n) */
  NnMixEntry *mixes;       /* (n / 2); NULL: nothing is mixed */
  float *targets; /* (n, n_outputs) */
  float *weights; /* (n): of the samples' classes; NULL: all 1 */
  float *weak;    /* (n, H, W, C): the same pictures under the weak augmentation; NULL: none, or */
  NnAugmentEntry *weak_entries; /* (n): on a device */
} Batch;

typedef struct
{
  const Dataset *data;      /* what is pointed to must outlive the feeder */
  const NnPreprocess *pre;  /* of the network's input */
  const NnAugment *augment; /* source_height and _width are the data's */
  const NnAugment *weak;    /* NULL: none */
  Mixing mixing;
  double label_smoothing;   /* target = t (1 - s) + s / n_classes */
  const double *class_weights; /* of each class; NULL: all 1 */
  Order order;
  guint n_outputs;          /* 1 = the class as 0 or 1, else one-hot */
  gboolean on_device;       /* no pixels are made, only what a device needs for them, which has
                             * the data from picture number */
  gsize first_picture;      /* on */
  guint threads;
} FeederOptions;

/* Starts at batch @batch of @stage, goes to batch @end (not included). */
Feeder *feeder_new (const FeederOptions *options, guint stage, guint64 batch, guint64 end,
    GError **error);
void feeder_free (Feeder *feeder);

/* (transfer none): valid until the next call; waits if it is not ready. */
const Batch *feeder_next (Feeder *feeder);

G_END_DECLS
