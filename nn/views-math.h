/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The mean over what a network says of several views, for host and device. For C and CUDA C++:
 * no GLib. */

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "nn/rng.h" /* NN_HOST_DEVICE */

/* What the network ends in. */
typedef enum
{
  NN_VIEW_PLAIN,
  NN_VIEW_SIGMOID,
  NN_VIEW_SOFTMAX,
} NnViewEnd;

/* What @output is sigmoid or softmax of, the latter up to a constant. Finite: an output of 0 or 1
 * is taken for the nearest number that is not. */
static inline NN_HOST_DEVICE double
nn_view_logit (NnViewEnd end, float output)
{
  const double most = 1 - FLT_EPSILON / 2;
  double p = output < FLT_MIN ? FLT_MIN : output;

  if (end == NN_VIEW_PLAIN)
    return output;
  if (end == NN_VIEW_SOFTMAX)
    return log (p);
  p = p > most ? most : p;
  return log (p / (1 - p));
}

/* The output of the mean logit @x, of outputs whose largest is @max and whose exp (x - max) add
 * up to @total. */
static inline NN_HOST_DEVICE float
nn_view_output (NnViewEnd end, double x, double max, double total)
{
  if (end == NN_VIEW_SIGMOID)
    return (float) (1 / (1 + exp (-x)));
  return (float) (end == NN_VIEW_SOFTMAX ? exp (x - max) / total : x);
}
