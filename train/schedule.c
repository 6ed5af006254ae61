/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/schedule.h"

#include <math.h>

#define LOSS 3 /* column of the log */
#define VAL_LOSS 5
#define VAL_ACCURACY 6

#define ONE_CYCLE_RISE 0.3
#define ONE_CYCLE_FIRST (1 / 25.)

static double
parse_field (const char *text)
{
  return *text ? g_ascii_strtod (text, NULL) : NAN;
}

GArray *
schedule_parse_history (const char *history)
{
  GArray *results = g_array_new (FALSE, FALSE, sizeof (EpochResult));
  g_auto (GStrv) lines = g_strsplit (history, "\n", -1);

  for (guint i = 0; lines[i] && *lines[i]; i++) {
    g_auto (GStrv) fields = g_strsplit (lines[i], ",", -1);
    EpochResult result = { NAN, NAN };

    if (g_strv_length (fields) > VAL_ACCURACY) {
      result.val_loss = parse_field (fields[VAL_LOSS]);
      result.val_accuracy = parse_field (fields[VAL_ACCURACY]);
    }
    g_array_append_val (results, result);
  }
  return results;
}

gboolean
schedule_get_last_loss (const char *history, double *loss)
{
  g_auto (GStrv) lines = g_strsplit (history, "\n", -1);
  guint n = g_strv_length (lines);
  g_auto (GStrv) fields = NULL;

  while (n > 0 && lines[n - 1][0] == '\0')
    n--;
  if (n == 0)
    return FALSE;
  fields = g_strsplit (lines[n - 1], ",", -1);
  *loss = g_strv_length (fields) > LOSS ? parse_field (fields[LOSS]) : NAN;
  return isfinite (*loss);
}

/* from @high at 0 to @low at 1 */
static double
cosine (double high, double low, double t)
{
  return low + (high - low) * (1 + cos (G_PI * t)) / 2;
}

static double
plateau_factor (const Recipe *recipe, const GArray *results)
{
  double best = INFINITY, factor = 1;
  guint waited = 0;

  for (guint i = 0; i < results->len; i++) {
    double loss = g_array_index (results, EpochResult, i).val_loss;

    if (loss < best) {
      best = loss;
      waited = 0;
    } else if (++waited == recipe->plateau_patience) {
      factor *= recipe->plateau_factor;
      waited = 0;
    }
  }
  return factor;
}

double
schedule_get_rate (const Recipe *recipe, guint stage, guint64 step, guint steps,
    const GArray *results)
{
  const double top = recipe->stages[stage].learning_rate;
  const double n = (double) recipe->stages[stage].epochs * steps, t = (double) step;
  const double warmup = stage == 0 && recipe->shape != SHAPE_ONE_CYCLE
      ? MIN ((double) recipe->warmup * steps, n)
      : 0;

  if (t < warmup)
    return top * (t + 1) / warmup;
  switch (recipe->shape) {
    case SHAPE_COSINE:
      return cosine (top, top * recipe->final_rate, (t - warmup) / MAX (n - warmup, 1));
    case SHAPE_ONE_CYCLE: {
      const double rise = ONE_CYCLE_RISE * n;

      return t < rise ? cosine (top * ONE_CYCLE_FIRST, top, t / rise)
                      : cosine (top, top * recipe->final_rate, (t - rise) / (n - rise));
    }
    case SHAPE_PLATEAU:
      return top * plateau_factor (recipe, results);
    default:
      return top;
  }
}

int
schedule_find_best (const GArray *results)
{
  int best = -1;

  for (guint i = 0; i < results->len; i++) {
    const EpochResult *r = &g_array_index (results, EpochResult, i);
    const EpochResult *b = best < 0 ? NULL : &g_array_index (results, EpochResult, best);

    if (isnan (r->val_accuracy))
      continue;
    if (!b || r->val_accuracy > b->val_accuracy
        || (r->val_accuracy == b->val_accuracy && r->val_loss < b->val_loss))
      best = (int) i;
  }
  return best;
}

gboolean
schedule_is_over (const Recipe *recipe, const GArray *results)
{
  int best = schedule_find_best (results);

  return recipe->patience > 0 && best >= 0 && results->len - 1 - (guint) best >= recipe->patience;
}
