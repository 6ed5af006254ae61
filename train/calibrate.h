/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "train/evaluate.h"

G_BEGIN_DECLS

#define CALIBRATE_MIN 0.05
#define CALIBRATE_MAX 20.0

/* Temperature scaling (Guo et al. 2017, section 4.2): the T in [CALIBRATE_MIN,
 * CALIBRATE_MAX] with the least log loss of softmax (log p / T). The loss is convex
 * in 1 / T: found where its derivative is 0. @labels: (n); @probabilities:
 * (n, n_classes) at T = 1. */
double calibrate_fit (const guint *labels, const float *probabilities, guint n, guint n_classes);

/* Whether a temperature is one of the ends of what is looked for: then the pictures do not
 * tell it, as where all of them are right. */
gboolean calibrate_is_at_end (double temperature);

/* Fits on the pictures in @dir and writes the model with its temperature to
 * @output, atomically; with fewer than @enough pictures it writes nothing.
 * @before, @after (out): what the temperature that it had and the new one make of
 * them; after: NULL where nothing was written. */
gboolean calibrate_run (Classifier *classifier, const char *dir, const DatasetOptions *options,
    guint enough, const char *output, Evaluation **before, Evaluation **after, GError **error);

G_END_DECLS
