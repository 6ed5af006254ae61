/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/smoother.h"

#include <math.h>
#include <string.h>

#define USUAL_STEP (40 * GST_MSECOND) /* until two times are known */

struct _Smoother {
  guint n_classes;
  float *state; /* exponential */
  gboolean has_state;

  /* majority: a ring of the last results */
  float *ring;
  guint labels[SMOOTHER_WINDOW];
  GstClockTime times[SMOOTHER_WINDOW];
  guint first, n;
  guint *votes, *last_vote; /* by class: how many, the newest one's place in the window + 1 */

  GstClockTime now, step, changed_at;
  guint label;
  gboolean has_label;
};

Smoother *
smoother_new (guint n_classes)
{
  Smoother *self = g_new0 (Smoother, 1);

  self->n_classes = n_classes;
  self->state = g_new0 (float, n_classes);
  self->ring = g_new0 (float, (gsize)n_classes *SMOOTHER_WINDOW);
  self->votes = g_new0 (guint, n_classes);
  self->last_vote = g_new0 (guint, n_classes);
  smoother_reset (self);
  return self;
}

void
smoother_free (Smoother *self)
{
  if (!self)
    return;
  g_free (self->state);
  g_free (self->ring);
  g_free (self->votes);
  g_free (self->last_vote);
  g_free (self);
}

void
smoother_reset (Smoother *self)
{
  self->has_state = self->has_label = FALSE;
  self->first = self->n = 0;
  self->now = GST_CLOCK_TIME_NONE;
  self->step = USUAL_STEP;
}

static guint
argmax (const float *p, guint n)
{
  guint best = 0;

  for (guint i = 1; i < n; i++)
    if (p[i] > p[best])
      best = i;
  return best;
}

/* Moves the clock; returns the time since the last result, 0 for the first. */
static GstClockTime
advance (Smoother *self, GstClockTime time)
{
  const GstClockTime before = self->now;

  if (!GST_CLOCK_TIME_IS_VALID (before)) {
    self->now = GST_CLOCK_TIME_IS_VALID (time) ? time : 0;
    return 0;
  }
  if (GST_CLOCK_TIME_IS_VALID (time) && time > before)
    self->step = time - before;
  self->now = before + self->step;
  return self->step;
}

static void
push_exponential (Smoother *self, const SmootherOptions *options, GstClockTime dt, const float *p,
    float *smoothed)
{
  const double gain
      = !self->has_state || options->time == 0 ? 1 : -expm1 (-(double)dt / (double)options->time);

  for (guint i = 0; i < self->n_classes; i++)
    smoothed[i] = self->state[i] += (float)(gain * (p[i] - self->state[i]));
  self->has_state = TRUE;
}

static guint
push_majority (Smoother *self, const SmootherOptions *options, const float *p, float *smoothed)
{
  const guint c = self->n_classes;
  guint slot, winner;

  while (self->n > 0
         && (self->n == SMOOTHER_WINDOW
             || self->now - self->times[self->first] >= MAX (options->time, 1))) {
    self->first = (self->first + 1) % SMOOTHER_WINDOW;
    self->n--;
  }
  slot = (self->first + self->n++) % SMOOTHER_WINDOW;
  memcpy (self->ring + (gsize)slot * c, p, c * sizeof *p);
  self->labels[slot] = winner = argmax (p, c);
  self->times[slot] = self->now;

  memset (smoothed, 0, c * sizeof *smoothed);
  memset (self->votes, 0, c * sizeof *self->votes);
  for (guint k = 0; k < self->n; k++) {
    const guint s = (self->first + k) % SMOOTHER_WINDOW;

    for (guint i = 0; i < c; i++)
      smoothed[i] += self->ring[(gsize)s * c + i] / (float)self->n;
    self->votes[self->labels[s]]++;
    self->last_vote[self->labels[s]] = k + 1;
  }
  for (guint i = 0; i < c; i++)
    if (self->votes[i] > self->votes[winner]
        || (self->votes[i] == self->votes[winner] && self->votes[i] > 0
            && self->last_vote[i] > self->last_vote[winner]))
      winner = i;
  return winner;
}

guint
smoother_push (Smoother *self, const SmootherOptions *options, GstClockTime time, const float *p,
    float *smoothed)
{
  const GstClockTime dt = advance (self, time);
  double lead;
  guint best;

  if (options->method == SMOOTHING_EXPONENTIAL)
    push_exponential (self, options, dt, p, smoothed);
  else if (options->method == SMOOTHING_NONE)
    memcpy (smoothed, p, self->n_classes * sizeof *p);
  best = options->method == SMOOTHING_MAJORITY ? push_majority (self, options, p, smoothed)
                                               : argmax (smoothed, self->n_classes);
  if (self->has_label && best != self->label) {
    lead = options->method == SMOOTHING_MAJORITY
               ? ((double)self->votes[best] - self->votes[self->label]) / self->n
               : (double)smoothed[best] - smoothed[self->label];
    if (lead < options->hysteresis || self->now - self->changed_at < options->hold)
      return self->label;
  }
  if (!self->has_label || best != self->label)
    self->changed_at = self->now;
  self->label = best;
  self->has_label = TRUE;
  return best;
}
