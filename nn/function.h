/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Functions of one number: Keras's activations and what networks compute of each element.
 * a, b, c are the function's own constants; the formula of each stands beside it. */
typedef enum {
  NN_FUNCTION_LINEAR,  /* a x + b */
  NN_FUNCTION_RELU,    /* x >= c: min (x, a), else b (x - c); Keras: max_value, slope, threshold */
  NN_FUNCTION_CLIP,    /* min (max (x, a), b) */
  NN_FUNCTION_SIGMOID, /* 1 / (1 + e^-x) */
  NN_FUNCTION_TANH,
  NN_FUNCTION_SWISH,        /* x sigmoid (x) */
  NN_FUNCTION_HARD_SIGMOID, /* min (max (a x + b, 0), 1) */
  NN_FUNCTION_HARD_SWISH,   /* x min (max (x + 3, 0), 6) / 6 */
  NN_FUNCTION_GELU,         /* x (1 + erf (x / sqrt 2)) / 2 */
  NN_FUNCTION_GELU_TANH,    /* x (1 + tanh (sqrt (2 / pi) (x + 0.044715 x^3))) / 2 */
  NN_FUNCTION_ELU,          /* x > 0: b x, else b a (e^x - 1); SELU is one with its b */
  NN_FUNCTION_CELU,         /* x > 0: x, else a (e^(x / a) - 1) */
  NN_FUNCTION_EXP,
  NN_FUNCTION_LOG,
  NN_FUNCTION_SOFTPLUS,    /* log (1 + e^x) */
  NN_FUNCTION_SOFTSIGN,    /* x / (1 + |x|) */
  NN_FUNCTION_MISH,        /* x tanh (softplus (x)) */
  NN_FUNCTION_LOG_SIGMOID, /* -softplus (-x) */
  NN_FUNCTION_SQUAREPLUS,  /* (x + sqrt (x^2 + a)) / 2 */
  NN_FUNCTION_SOFT_SHRINK, /* |x| > a: x - sign (x) a, else 0 */
  NN_FUNCTION_HARD_SHRINK, /* |x| > a: x, else 0 */
  NN_FUNCTION_TANH_SHRINK, /* x - tanh (x) */
  NN_FUNCTION_THRESHOLD,   /* x > a: x, else b */
  NN_FUNCTION_SPARSE_PLUS, /* x <= -1: 0; x < 1: (x + 1)^2 / 4; else x */
  NN_FUNCTION_ABS,
  NN_FUNCTION_SQUARE,
  NN_FUNCTION_SQRT,
  NN_FUNCTION_RSQRT,      /* 1 / sqrt (x) */
  NN_FUNCTION_RECIPROCAL, /* 1 / x */
  NN_FUNCTION_POWER,      /* x^a */
  NN_FUNCTION_N_KINDS,
} NnFunctionKind;

typedef struct {
  NnFunctionKind kind;
  double a, b, c;
} NnFunction;

/* a x + b with a = 1, b = 0 */
gboolean nn_function_is_identity (const NnFunction *function);
/* In double precision. */
double nn_function_apply (const NnFunction *function, double x);
/* The name alone: "hard-swish". */
const char *nn_function_get_name (NnFunctionKind kind);

/* Keras's activation @name, as its version of @keras (1, 2, 3; 0: not known) means it.
 * FALSE: not one of them; softmax and log_softmax are no functions of one number. */
gboolean nn_function_from_keras (const char *name, guint keras, NnFunction *function);

G_END_DECLS
