/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/function.h"

#include <math.h>
#include <string.h>

#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946

static const char *const names[NN_FUNCTION_N_KINDS] = {
  [NN_FUNCTION_LINEAR] = "linear",
  [NN_FUNCTION_RELU] = "relu",
  [NN_FUNCTION_CLIP] = "clip",
  [NN_FUNCTION_SIGMOID] = "sigmoid",
  [NN_FUNCTION_TANH] = "tanh",
  [NN_FUNCTION_SWISH] = "swish",
  [NN_FUNCTION_HARD_SIGMOID] = "hard-sigmoid",
  [NN_FUNCTION_HARD_SWISH] = "hard-swish",
  [NN_FUNCTION_GELU] = "gelu",
  [NN_FUNCTION_GELU_TANH] = "gelu-tanh",
  [NN_FUNCTION_ELU] = "elu",
  [NN_FUNCTION_CELU] = "celu",
  [NN_FUNCTION_EXP] = "exp",
  [NN_FUNCTION_LOG] = "log",
  [NN_FUNCTION_SOFTPLUS] = "softplus",
  [NN_FUNCTION_SOFTSIGN] = "softsign",
  [NN_FUNCTION_MISH] = "mish",
  [NN_FUNCTION_LOG_SIGMOID] = "log-sigmoid",
  [NN_FUNCTION_SQUAREPLUS] = "squareplus",
  [NN_FUNCTION_SOFT_SHRINK] = "soft-shrink",
  [NN_FUNCTION_HARD_SHRINK] = "hard-shrink",
  [NN_FUNCTION_TANH_SHRINK] = "tanh-shrink",
  [NN_FUNCTION_THRESHOLD] = "threshold",
  [NN_FUNCTION_SPARSE_PLUS] = "sparse-plus",
  [NN_FUNCTION_ABS] = "abs",
  [NN_FUNCTION_SQUARE] = "square",
  [NN_FUNCTION_SQRT] = "sqrt",
  [NN_FUNCTION_RSQRT] = "rsqrt",
  [NN_FUNCTION_RECIPROCAL] = "reciprocal",
  [NN_FUNCTION_POWER] = "power",
};

/* keras: 0 in every version; else from (3) or up to (2) that one */
static const struct {
  const char *name;
  guint keras;
  NnFunction function;
} keras_names[] = {
  { "linear", 0, { NN_FUNCTION_LINEAR, 1, 0, 0 } },
  { "relu", 0, { NN_FUNCTION_RELU, INFINITY, 0, 0 } },
  { "relu6", 0, { NN_FUNCTION_RELU, 6, 0, 0 } },
  { "leaky_relu", 0, { NN_FUNCTION_RELU, INFINITY, 0.2, 0 } },
  { "sigmoid", 0, { NN_FUNCTION_SIGMOID, 0, 0, 0 } },
  { "tanh", 0, { NN_FUNCTION_TANH, 0, 0, 0 } },
  { "hard_sigmoid", 2, { NN_FUNCTION_HARD_SIGMOID, 0.2, 0.5, 0 } },
  { "hard_sigmoid", 3, { NN_FUNCTION_HARD_SIGMOID, 1. / 6, 0.5, 0 } },
  { "hard_silu", 0, { NN_FUNCTION_HARD_SWISH, 0, 0, 0 } },
  { "hard_swish", 0, { NN_FUNCTION_HARD_SWISH, 0, 0, 0 } },
  { "swish", 0, { NN_FUNCTION_SWISH, 0, 0, 0 } },
  { "silu", 0, { NN_FUNCTION_SWISH, 0, 0, 0 } },
  { "gelu", 0, { NN_FUNCTION_GELU, 0, 0, 0 } },
  { "elu", 0, { NN_FUNCTION_ELU, 1, 1, 0 } },
  { "selu", 0, { NN_FUNCTION_ELU, SELU_ALPHA, SELU_SCALE, 0 } },
  { "celu", 0, { NN_FUNCTION_CELU, 1, 0, 0 } },
  { "exponential", 0, { NN_FUNCTION_EXP, 0, 0, 0 } },
  { "softplus", 0, { NN_FUNCTION_SOFTPLUS, 0, 0, 0 } },
  { "softsign", 0, { NN_FUNCTION_SOFTSIGN, 0, 0, 0 } },
  { "soft_shrink", 0, { NN_FUNCTION_SOFT_SHRINK, 0.5, 0, 0 } },
  { "hard_shrink", 0, { NN_FUNCTION_HARD_SHRINK, 0.5, 0, 0 } },
  { "tanh_shrink", 0, { NN_FUNCTION_TANH_SHRINK, 0, 0, 0 } },
  { "hard_tanh", 0, { NN_FUNCTION_CLIP, -1, 1, 0 } },
  { "threshold", 0, { NN_FUNCTION_THRESHOLD, 0, 0, 0 } },
  { "mish", 0, { NN_FUNCTION_MISH, 0, 0, 0 } },
  { "log_sigmoid", 0, { NN_FUNCTION_LOG_SIGMOID, 0, 0, 0 } },
  { "squareplus", 0, { NN_FUNCTION_SQUAREPLUS, 4, 0, 0 } },
  { "sparse_plus", 0, { NN_FUNCTION_SPARSE_PLUS, 0, 0, 0 } },
  { "sparse_sigmoid", 0, { NN_FUNCTION_HARD_SIGMOID, 0.5, 0.5, 0 } },
};

gboolean
nn_function_is_identity (const NnFunction *function)
{
  return function->kind == NN_FUNCTION_LINEAR && function->a == 1 && function->b == 0;
}

const char *
nn_function_get_name (NnFunctionKind kind)
{
  return names[kind];
}

gboolean
nn_function_from_keras (const char *name, guint keras, NnFunction *function)
{
  for (guint i = 0; i < G_N_ELEMENTS (keras_names); i++) {
    const guint which = keras_names[i].keras;

    if (strcmp (keras_names[i].name, name) != 0)
      continue;
    if (which == 0 || (which == 3) == (keras >= 3)) {
      *function = keras_names[i].function;
      return TRUE;
    }
  }
  return FALSE;
}

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

static double
softplus (double x)
{
  return MAX (x, 0) + log1p (exp (-fabs (x)));
}

static double
clip (double x, double low, double high)
{
  return x < low ? low : x > high ? high : x; /* NaN stays */
}

double
nn_function_apply (const NnFunction *f, double x)
{
  switch (f->kind) {
    case NN_FUNCTION_LINEAR:
      return f->a * x + f->b;
    case NN_FUNCTION_RELU:
      return x >= f->c ? (x > f->a ? f->a : x) : isnan (x) ? x : f->b * (x - f->c);
    case NN_FUNCTION_CLIP:
      return clip (x, f->a, f->b);
    case NN_FUNCTION_SIGMOID:
      return sigmoid (x);
    case NN_FUNCTION_TANH:
      return tanh (x);
    case NN_FUNCTION_SWISH:
      return x * sigmoid (x);
    case NN_FUNCTION_HARD_SIGMOID:
      return clip (f->a * x + f->b, 0, 1);
    case NN_FUNCTION_HARD_SWISH:
      return x * clip (x + 3, 0, 6) / 6;
    case NN_FUNCTION_GELU:
      return x * 0.5 * erfc (-x * G_SQRT2 / 2);
    case NN_FUNCTION_GELU_TANH:
      return 0.5 * x * (1 + tanh (sqrt (2 / G_PI) * (x + 0.044715 * x * x * x)));
    case NN_FUNCTION_ELU:
      return f->b * (x > 0 ? x : f->a * expm1 (x));
    case NN_FUNCTION_CELU:
      return x > 0 ? x : f->a * expm1 (x / f->a);
    case NN_FUNCTION_EXP:
      return exp (x);
    case NN_FUNCTION_LOG:
      return log (x);
    case NN_FUNCTION_SOFTPLUS:
      return softplus (x);
    case NN_FUNCTION_SOFTSIGN:
      return x / (1 + fabs (x));
    case NN_FUNCTION_MISH:
      return x * tanh (softplus (x));
    case NN_FUNCTION_LOG_SIGMOID:
      return -softplus (-x);
    case NN_FUNCTION_SQUAREPLUS:
      return (x + sqrt (x * x + f->a)) / 2;
    case NN_FUNCTION_SOFT_SHRINK:
      return x > f->a ? x - f->a : x < -f->a ? x + f->a : 0 * x;
    case NN_FUNCTION_HARD_SHRINK:
      return fabs (x) > f->a ? x : 0 * x;
    case NN_FUNCTION_TANH_SHRINK:
      return x - tanh (x);
    case NN_FUNCTION_THRESHOLD:
      return x > f->a ? x : isnan (x) ? x : f->b;
    case NN_FUNCTION_SPARSE_PLUS:
      return x <= -1 ? 0 : x < 1 ? (x + 1) * (x + 1) / 4 : x;
    case NN_FUNCTION_ABS:
      return fabs (x);
    case NN_FUNCTION_SQUARE:
      return x * x;
    case NN_FUNCTION_SQRT:
      return sqrt (x);
    case NN_FUNCTION_RSQRT:
      return 1 / sqrt (x);
    case NN_FUNCTION_RECIPROCAL:
      return 1 / x;
    case NN_FUNCTION_POWER:
      return pow (x, f->a);
    default:
      return x;
  }
}
