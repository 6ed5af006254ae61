/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/feeder.h"

#include <string.h>

#include "nn/error.h"
#include "nn/rng.h"

#define SLOTS 3     /* one in use, two ahead */
#define CHUNK 8     /* samples of one task */

/* --- order -------------------------------------------------------------------- */

guint
order_get_n_batches (const Order *order)
{
  return (order->n_samples + order->batch_size - 1) / order->batch_size;
}

static void
shuffle (NnRng *rng, guint *values, guint n)
{
  for (guint i = 0; i < n; i++)
    values[i] = i;
  for (guint i = n; i > 1; i--) {
    guint j = nn_rng_below (rng, i), t = values[i - 1];

    values[i - 1] = values[j];
    values[j] = t;
  }
}

/* every (stage, pass, place) has its own draw; 2^12 stages, 2^20 passes, 2^32 places */
static guint64
draw_of (guint stage, guint64 pass, guint place)
{
  return (guint64) stage << 52 | pass << 32 | place;
}

guint
order_get_batch (const Order *order, guint stage, guint64 batch, guint *samples,
    guint64 *first_draw)
{
  const guint n_batches = order_get_n_batches (order);
  const guint64 pass = (guint64) stage << 32 | batch / n_batches;
  g_autofree guint *permutation = g_new (guint, order->n_samples);
  g_autofree guint *batches = g_new (guint, n_batches);
  guint first, n;
  NnRng rng;

  nn_rng_init (&rng, order->seed, NN_STREAM_SHUFFLE, pass);
  shuffle (&rng, permutation, order->n_samples);
  shuffle (&rng, batches, n_batches);
  first = batches[batch % n_batches] * order->batch_size;
  n = MIN (order->batch_size, order->n_samples - first);
  memcpy (samples, permutation + first, n * sizeof (guint));
  *first_draw = draw_of (stage, batch / n_batches, first);
  return n;
}

guint64
order_get_draw (const Order *order, guint stage, guint64 pass, guint sample)
{
  g_autofree guint *permutation = g_new (guint, order->n_samples);
  guint place = 0;
  NnRng rng;

  g_return_val_if_fail (sample < order->n_samples, 0);
  nn_rng_init (&rng, order->seed, NN_STREAM_SHUFFLE, (guint64) stage << 32 | pass);
  shuffle (&rng, permutation, order->n_samples);
  while (permutation[place] != sample)
    place++;
  return draw_of (stage, pass, place);
}

/* --- feeder --------------------------------------------------------------------- */

typedef struct
{
  Batch batch;
  guint *samples;
  guint64 first_draw;
  guint n_pending; /* tasks not yet done */
} Slot;

struct _Feeder
{
  const Dataset *data;
  const NnPreprocess *pre;
  const NnAugment *augment;
  Order order;
  guint n_outputs, stage;
  guint64 next_used, next_queued, end; /* batch numbers */
  Slot slots[SLOTS];
  GThreadPool *pool;
  GMutex lock;
  GCond done;
};

void
feeder_sample (const NnPreprocess *pre, const NnAugment *augment, guint64 seed, guint64 draw,
    const guint8 *src, float *dst, NnAugmentParams *params)
{
  NnAugmentParams own;

  if (!params)
    params = &own;
  nn_augment_draw (augment, seed, draw, pre->height, pre->width,
      nn_preprocess_get_n_channels (pre), params);
  if (nn_augment_is_identity (augment))
    nn_preprocess_bytes (pre, src, FALSE, dst);
  else
    nn_augment_apply (augment, params, pre, src, dst);
}

static void
feeder_task (gpointer item, gpointer user_data)
{
  Feeder *feeder = user_data;
  guint task = GPOINTER_TO_UINT (item) - 1;
  Slot *slot = &feeder->slots[task % SLOTS];
  guint first = task / SLOTS * CHUNK, end = MIN (first + CHUNK, slot->batch.n);

  for (guint i = first; i < end; i++) {
    guint sample = slot->samples[i], label = feeder->data->labels[sample];
    const guint8 *src = feeder->data->bytes + sample * feeder->data->sample_size;
    float *dst = slot->batch.input + i * feeder->data->sample_size;
    float *target = slot->batch.targets + i * feeder->n_outputs;

    feeder_sample (feeder->pre, feeder->augment, feeder->order.seed, slot->first_draw + i, src,
        dst, NULL);
    if (feeder->n_outputs == 1) {
      target[0] = (float) label;
    } else {
      memset (target, 0, feeder->n_outputs * sizeof (float));
      target[label] = 1;
    }
  }
  g_mutex_lock (&feeder->lock);
  if (--slot->n_pending == 0)
    g_cond_signal (&feeder->done);
  g_mutex_unlock (&feeder->lock);
}

static void
queue_batch (Feeder *feeder)
{
  guint at = feeder->next_queued % SLOTS, n_tasks;
  Slot *slot = &feeder->slots[at];

  slot->batch.n = order_get_batch (
      &feeder->order, feeder->stage, feeder->next_queued, slot->samples, &slot->first_draw);
  n_tasks = (slot->batch.n + CHUNK - 1) / CHUNK;
  slot->n_pending = n_tasks;
  for (guint i = 0; i < n_tasks; i++)
    g_thread_pool_push (feeder->pool, GUINT_TO_POINTER (i * SLOTS + at + 1), NULL);
  feeder->next_queued++;
}

Feeder *
feeder_new (const Dataset *data, const NnPreprocess *pre, const NnAugment *augment,
    const Order *order, guint n_outputs, guint threads, guint stage, guint64 batch, guint64 end,
    GError **error)
{
  Feeder *feeder = g_new0 (Feeder, 1);

  feeder->data = data;
  feeder->pre = pre;
  feeder->augment = augment;
  feeder->order = *order;
  feeder->n_outputs = n_outputs;
  feeder->stage = stage;
  feeder->next_used = feeder->next_queued = batch;
  feeder->end = end;
  g_mutex_init (&feeder->lock);
  g_cond_init (&feeder->done);
  feeder->pool = g_thread_pool_new (feeder_task, feeder, (int) MAX (threads, 1), FALSE, NULL);
  for (guint i = 0; i < SLOTS; i++) {
    Slot *slot = &feeder->slots[i];

    slot->samples = g_new (guint, order->batch_size);
    slot->batch.input = g_try_new (float, data->sample_size * order->batch_size);
    slot->batch.targets = g_try_new (float, (gsize) n_outputs * order->batch_size);
    if (!slot->batch.input || !slot->batch.targets) {
      g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
          "not enough memory for batches of %u pictures", order->batch_size);
      feeder_free (feeder);
      return NULL;
    }
  }
  while (feeder->next_queued < MIN (batch + SLOTS - 1, end))
    queue_batch (feeder);
  return feeder;
}

void
feeder_free (Feeder *feeder)
{
  if (!feeder)
    return;
  g_thread_pool_free (feeder->pool, TRUE, TRUE);
  for (guint i = 0; i < SLOTS; i++) {
    g_free (feeder->slots[i].samples);
    g_free (feeder->slots[i].batch.input);
    g_free (feeder->slots[i].batch.targets);
  }
  g_mutex_clear (&feeder->lock);
  g_cond_clear (&feeder->done);
  g_free (feeder);
}

const Batch *
feeder_next (Feeder *feeder)
{
  Slot *slot = &feeder->slots[feeder->next_used % SLOTS];

  g_return_val_if_fail (feeder->next_used < feeder->end, NULL);
  g_mutex_lock (&feeder->lock);
  while (slot->n_pending > 0)
    g_cond_wait (&feeder->done, &feeder->lock);
  g_mutex_unlock (&feeder->lock);
  /* the slot that was in use until now is free for the one after next */
  if (feeder->next_queued < feeder->end && feeder->next_queued < feeder->next_used + SLOTS)
    queue_batch (feeder);
  feeder->next_used++;
  return &slot->batch;
}
