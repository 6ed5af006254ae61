/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/feeder.h"

#include <math.h>
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
  FeederOptions options;
  gsize input_size; /* floats of a sample */
  NnAugmentForm form;
  guint stage;
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
make_target (const FeederOptions *options, guint sample, float *target)
{
  const Dataset *data = options->data;
  const float smoothing = (float) options->label_smoothing;
  const float *soft
      = data->targets ? data->targets + (gsize) sample * data->n_classes : NULL;
  const guint label = data->labels[sample];

  if (options->n_outputs == 1) {
    target[0] = (soft ? soft[1] : (float) label) * (1 - smoothing) + smoothing / 2;
    return;
  }
  for (guint i = 0; i < options->n_outputs; i++)
    target[i] = (soft ? soft[i] : (float) (i == label)) * (1 - smoothing)
        + smoothing / (float) options->n_outputs;
}

/* of its class, or of those that it may be */
static float
get_class_weight (const FeederOptions *options, guint sample)
{
  const Dataset *data = options->data;
  double weight = 0;

  if (!data->targets)
    return (float) options->class_weights[data->labels[sample]];
  for (guint c = 0; c < data->n_classes; c++)
    weight += options->class_weights[c] * data->targets[(gsize) sample * data->n_classes + c];
  return (float) weight;
}

/* Sample @sample under @draw of @augment becomes number @i of @entries or @input. */
static void
augment_sample (const Feeder *feeder, const NnAugment *augment, guint64 draw, guint sample, guint i,
    NnAugmentEntry *entries, float *input)
{
  const FeederOptions *options = &feeder->options;
  const NnAugmentForm *form = &feeder->form;
  NnAugmentParams params;

  if (!options->on_device) {
    feeder_sample (options->pre, augment, options->order.seed, draw,
        options->data->bytes + sample * options->data->sample_size,
        input + i * feeder->input_size, NULL);
    return;
  }
  nn_augment_draw (augment, options->order.seed, draw, form->rows, form->columns, form->channels,
      &params);
  nn_augment_entry (augment, form, &params, &entries[i]);
  entries[i].picture = options->first_picture + sample;
}

static void
make_sample (const Feeder *feeder, Slot *slot, guint i)
{
  const FeederOptions *options = &feeder->options;
  const Batch *batch = &slot->batch;
  const guint sample = slot->samples[i];

  augment_sample (feeder, options->augment, slot->first_draw + i, sample, i, batch->entries,
      batch->input);
  if (options->weak) /* draws of its own */
    augment_sample (feeder, options->weak, G_GUINT64_CONSTANT (1) << 63 | (slot->first_draw + i),
        sample, i, batch->weak_entries, batch->weak);
  make_target (options, sample, slot->batch.targets + (gsize) i * options->n_outputs);
  if (options->class_weights)
    slot->batch.weights[i] = get_class_weight (options, sample);
}

static gboolean
mixes (const FeederOptions *options)
{
  return options->mixing.mixup != 0 || options->mixing.cutmix != 0;
}

/* Beta (alpha, alpha), 0 < alpha <= 1: Joehnk 1964 */
static double
draw_beta (NnRng *rng, double alpha)
{
  double u, v;

  do {
    u = pow (nn_rng_double (rng), 1 / alpha);
    v = pow (nn_rng_double (rng), 1 / alpha);
  } while (u + v > 1 || u + v == 0);
  return u / (u + v);
}

static void
blend (float lambda, gsize n, float *a, float *b)
{
  for (gsize i = 0; i < n; i++)
    nn_augment_blend (lambda, &a[i], &b[i]);
}

/* A rectangle of 1 - lambda of the area; returns the part that stays. */
static float
draw_rectangle (NnRng *rng, double lambda, const NnPreprocess *pre, NnMixEntry *entry)
{
  const double side = sqrt (1 - lambda), y = nn_rng_double (rng), x = nn_rng_double (rng);

  entry->is_cut = TRUE;
  entry->top = (guint) (CLAMP (y - side / 2, 0, 1) * pre->height);
  entry->bottom = (guint) (CLAMP (y + side / 2, 0, 1) * pre->height);
  entry->left = (guint) (CLAMP (x - side / 2, 0, 1) * pre->width);
  entry->right = (guint) (CLAMP (x + side / 2, 0, 1) * pre->width);
  return 1
      - (float) ((entry->bottom - entry->top) * (entry->right - entry->left))
      / (float) (pre->height * pre->width);
}

static void
mix_pixels (const NnPreprocess *pre, const NnMixEntry *entry, gsize size, float *a, float *b)
{
  const guint channels = nn_preprocess_get_n_channels (pre);

  if (!entry->is_cut) {
    blend (entry->lambda, size, a, b);
    return;
  }
  for (guint r = entry->top; r < entry->bottom; r++) {
    gsize at = ((gsize) r * pre->width + entry->left) * channels;

    blend (0, (gsize) (entry->right - entry->left) * channels, a + at, b + at);
  }
}

/* When a batch's samples are there. */
static void
mix (const Feeder *feeder, Slot *slot)
{
  const FeederOptions *options = &feeder->options;
  const Mixing *m = &options->mixing;

  for (guint i = 0; i < slot->batch.n / 2; i++) {
    const guint j = slot->batch.n - 1 - i;
    NnMixEntry entry = { 0 };
    float lambda;
    NnRng rng;

    nn_rng_init (&rng, options->order.seed, NN_STREAM_MIX, slot->first_draw + i);
    if (slot->batch.mixes)
      slot->batch.mixes[i] = entry;
    if (nn_rng_double (&rng) >= m->probability)
      continue;
    entry.is_mixed = TRUE;
    entry.is_cut = m->mixup == 0 || (m->cutmix != 0 && nn_rng_double (&rng) < 0.5);
    lambda = (float) draw_beta (&rng, entry.is_cut ? m->cutmix : m->mixup);
    if (entry.is_cut)
      lambda = draw_rectangle (&rng, lambda, options->pre, &entry);
    entry.lambda = lambda;
    if (slot->batch.mixes)
      slot->batch.mixes[i] = entry;
    else
      mix_pixels (options->pre, &entry, feeder->input_size,
          slot->batch.input + i * feeder->input_size, slot->batch.input + j * feeder->input_size);
    blend (lambda, options->n_outputs, slot->batch.targets + (gsize) i * options->n_outputs,
        slot->batch.targets + (gsize) j * options->n_outputs);
    if (options->class_weights)
      blend (lambda, 1, &slot->batch.weights[i], &slot->batch.weights[j]);
  }
}

static void
feeder_task (gpointer item, gpointer user_data)
{
  Feeder *feeder = user_data;
  guint task = GPOINTER_TO_UINT (item) - 1;
  Slot *slot = &feeder->slots[task % SLOTS];
  guint first = task / SLOTS * CHUNK, end = MIN (first + CHUNK, slot->batch.n);
  gboolean is_last;

  for (guint i = first; i < end; i++)
    make_sample (feeder, slot, i);
  g_mutex_lock (&feeder->lock);
  is_last = slot->n_pending == 1;
  if (!is_last)
    slot->n_pending--;
  g_mutex_unlock (&feeder->lock);
  if (!is_last)
    return;
  if (mixes (&feeder->options))
    mix (feeder, slot);
  g_mutex_lock (&feeder->lock);
  slot->n_pending = 0;
  g_cond_signal (&feeder->done);
  g_mutex_unlock (&feeder->lock);
}

static void
queue_batch (Feeder *feeder)
{
  guint at = feeder->next_queued % SLOTS, n_tasks;
  Slot *slot = &feeder->slots[at];

  slot->batch.n = order_get_batch (&feeder->options.order, feeder->stage, feeder->next_queued,
      slot->samples, &slot->first_draw);
  n_tasks = (slot->batch.n + CHUNK - 1) / CHUNK;
  slot->n_pending = n_tasks;
  for (guint i = 0; i < n_tasks; i++)
    g_thread_pool_push (feeder->pool, GUINT_TO_POINTER (i * SLOTS + at + 1), NULL);
  feeder->next_queued++;
}

static gboolean
slot_init (const Feeder *feeder, Slot *slot)
{
  const FeederOptions *o = &feeder->options;
  const gsize n = o->order.batch_size;

  slot->samples = g_new (guint, n);
  if (o->on_device)
    slot->batch.entries = g_new0 (NnAugmentEntry, n);
  else
    slot->batch.input = g_try_new (float, feeder->input_size * n);
  if (o->on_device && mixes (o))
    slot->batch.mixes = g_new0 (NnMixEntry, n / 2 + 1);
  slot->batch.targets = g_try_new (float, o->n_outputs * n);
  if (o->class_weights)
    slot->batch.weights = g_new (float, n);
  if (o->weak && o->on_device)
    slot->batch.weak_entries = g_new0 (NnAugmentEntry, n);
  else if (o->weak)
    slot->batch.weak = g_try_new (float, feeder->input_size * n);
  return (slot->batch.input || o->on_device) && slot->batch.targets
      && (slot->batch.weak || o->on_device || !o->weak);
}

Feeder *
feeder_new (const FeederOptions *options, guint stage, guint64 batch, guint64 end, GError **error)
{
  Feeder *feeder = g_new0 (Feeder, 1);

  feeder->options = *options;
  feeder->input_size = (gsize) options->pre->height * options->pre->width
      * nn_preprocess_get_n_channels (options->pre);
  nn_augment_form (options->augment, options->pre, &feeder->form);
  feeder->stage = stage;
  feeder->next_used = feeder->next_queued = batch;
  feeder->end = end;
  g_mutex_init (&feeder->lock);
  g_cond_init (&feeder->done);
  feeder->pool
      = g_thread_pool_new (feeder_task, feeder, (int) MAX (options->threads, 1), FALSE, NULL);
  for (guint i = 0; i < SLOTS; i++) {
    if (!slot_init (feeder, &feeder->slots[i])) {
      g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
          "not enough memory for batches of %u pictures", options->order.batch_size);
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
    g_free (feeder->slots[i].batch.entries);
    g_free (feeder->slots[i].batch.mixes);
    g_free (feeder->slots[i].batch.targets);
    g_free (feeder->slots[i].batch.weights);
    g_free (feeder->slots[i].batch.weak);
    g_free (feeder->slots[i].batch.weak_entries);
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
