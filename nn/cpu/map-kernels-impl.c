/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compiled once per instruction set; NN_KERNELS names the table. GNU C vectors of the width that
 * the instruction set has. */

#include "nn/cpu/map-kernels.h"

#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
#define VB 64
#elif defined(__AVX2__)
#define VB 32
#else
#define VB 16
#endif
#define VL (VB / 4)

typedef float V __attribute__ ((vector_size (VB), aligned (4), may_alias));
typedef gint32 VI __attribute__ ((vector_size (VB), aligned (4), may_alias));

#define INLINE static inline __attribute__ ((always_inline))

INLINE V
load (const float *p)
{
  return *(const V *) p;
}

INLINE void
store (float *p, V v)
{
  *(V *) p = v;
}

INLINE V
splat (float x)
{
  return (V) {} + x;
}

INLINE V
vselect (VI mask, V a, V b)
{
  return (V) ((mask & (VI) a) | (~mask & (VI) b));
}

/* NaN stays in both */
INLINE V
vmin (V a, V b)
{
  return vselect (b < a, b, a);
}

INLINE V
vmax (V a, V b)
{
  return vselect (b > a, b, a);
}

/* e^x as 2^n e^r, |r| <= ln 2 / 2, by the polynomial of Cephes' expf (relative error 1e-7). */
INLINE V
vexp (V x)
{
  const V magic = splat (12582912.f); /* 1.5 * 2^23: adding it rounds to a whole number */
  V n, r, p;
  VI k;

  x = vmin (vmax (x, splat (-87.3f)), splat (88.3f));
  n = x * 1.44269504088896341f + magic;
  k = (VI) n << 23; /* the magic's own bits are shifted out */
  n -= magic;
  r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  p = splat (1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  return (V) ((VI) p + k);
}

INLINE V
vsigmoid (V x)
{
  return 1.f / (1.f + vexp (-x));
}

/* --- functions of each value ------------------------------------------------------------ */

#define VECTOR_LOOP(expression) \
  do { \
    for (; i + VL <= n; i += VL) { \
      const V x = load (src + i); \
      store (dst + i, expression); \
    } \
    if (i < n) { \
      float rest[VL] = { 0 }; \
      V x; \
      memcpy (rest, src + i, (n - i) * sizeof (float)); \
      x = load (rest); \
      store (rest, expression); \
      memcpy (dst + i, rest, (n - i) * sizeof (float)); \
    } \
  } while (0)

static void
function (const NnFunction *f, gsize n, const float *src, float *dst)
{
  const float a = (float) f->a, b = (float) f->b, c = (float) f->c;
  gsize i = 0;

  switch (f->kind) {
    case NN_FUNCTION_LINEAR:
      VECTOR_LOOP (x * a + b);
      break;
    case NN_FUNCTION_RELU:
      if (b == 0 && c == 0)
        VECTOR_LOOP (vmin (vmax (x, (V) {}), splat (a)));
      else
        VECTOR_LOOP (vselect (x >= c, vmin (x, splat (a)), b * (x - c)));
      break;
    case NN_FUNCTION_CLIP:
      VECTOR_LOOP (vmin (vmax (x, splat (a)), splat (b)));
      break;
    case NN_FUNCTION_SIGMOID:
      VECTOR_LOOP (vsigmoid (x));
      break;
    case NN_FUNCTION_SWISH:
      VECTOR_LOOP (x * vsigmoid (x));
      break;
    case NN_FUNCTION_HARD_SIGMOID:
      VECTOR_LOOP (vmin (vmax (x * a + b, (V) {}), splat (1)));
      break;
    case NN_FUNCTION_HARD_SWISH:
      VECTOR_LOOP (x * vmin (vmax (x + 3.f, (V) {}), splat (6)) * (1.f / 6));
      break;
    case NN_FUNCTION_EXP:
      for (; i < n; i++)
        dst[i] = expf (src[i]);
      break;
    case NN_FUNCTION_TANH:
      for (; i < n; i++)
        dst[i] = tanhf (src[i]);
      break;
    case NN_FUNCTION_GELU:
      for (; i < n; i++)
        dst[i] = 0.5f * src[i] * erfcf (src[i] * -0.70710678118654752f);
      break;
    case NN_FUNCTION_ELU:
      for (; i < n; i++)
        dst[i] = b * (src[i] > 0 ? src[i] : a * expm1f (src[i]));
      break;
    case NN_FUNCTION_SQUARE:
      VECTOR_LOOP (x * x);
      break;
    default:
      for (; i < n; i++)
        dst[i] = (float) nn_function_apply (f, src[i]);
      break;
  }
}

static void
add (gsize n, const float *a, const float *b, float *dst)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = a[i] + b[i];
}

static void
multiply (gsize n, const float *a, const float *b, float *dst)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = a[i] * b[i];
}

static void
sum_rows (gsize n_rows, gsize n, const float *x, float *sum)
{
  gsize j = 0;

  for (; j + 2 * VL <= n; j += 2 * VL) {
    V s = load (sum + j), t = load (sum + j + VL);

    for (gsize r = 0; r < n_rows; r++) {
      s += load (x + r * n + j);
      t += load (x + r * n + j + VL);
    }
    store (sum + j, s);
    store (sum + j + VL, t);
  }
  for (; j < n; j++)
    for (gsize r = 0; r < n_rows; r++)
      sum[j] += x[r * n + j];
}

/* --- depthwise convolution ---------------------------------------------------------------- */

/* Columns whose windows lie inside of the picture are [*first, *end). */
static void
inner_columns (const NnDepthwiseRow *d, gsize *first, gsize *end)
{
  const gsize span = (d->kernel[1] - 1) * d->dilation + 1;
  gsize last;

  *first = MIN ((d->pad + d->stride - 1) / d->stride, d->out_width);
  last = d->width + d->pad >= span ? (d->width + d->pad - span) / d->stride + 1 : 0;
  *end = CLAMP (last, *first, d->out_width);
}

/* One output pixel, of any place. */
static void
any_column (const NnDepthwiseRow *d, gsize x)
{
  float *dst = d->dst + x * d->channels;

  memcpy (dst, d->bias, d->channels * sizeof (float));
  for (gsize i = 0; i < d->kernel[0]; i++) {
    if (!d->rows[i])
      continue;
    for (gsize j = 0; j < d->kernel[1]; j++) {
      const gsize column = x * d->stride + j * d->dilation - d->pad; /* below 0 wraps */
      const float *src = d->rows[i] + column * d->channels;
      const float *w = d->weights + (i * d->kernel[1] + j) * d->channels;

      if (column >= d->width)
        continue;
      for (gsize c = 0; c < d->channels; c++)
        dst[c] += src[c] * w[c];
    }
  }
}

/* A vector of channels over all inner columns, the weights in registers: @n_k taps. */
INLINE void
inner_block (const NnDepthwiseRow *d, gsize first, gsize end, gsize c, int n_k,
    const float *const *taps, const float *const *weights)
{
  const V bias = load (d->bias + c);
  const gsize step = d->stride * d->channels;
  V w[9];

  for (int k = 0; k < n_k; k++)
    w[k] = load (weights[k] + c);
  for (gsize x = first; x < end; x++) {
    V sum = bias;

    for (int k = 0; k < n_k; k++)
      sum += load (taps[k] + x * step + c) * w[k];
    store (d->dst + x * d->channels + c, sum);
  }
}

static void
inner_block_9 (const NnDepthwiseRow *d, gsize first, gsize end, gsize c,
    const float *const *taps, const float *const *weights)
{
  inner_block (d, first, end, c, 9, taps, weights);
}

/* Any number of taps, four pixels at a time. */
static void
inner_block_n (const NnDepthwiseRow *d, gsize first, gsize end, gsize c, int n_k,
    const float *const *taps, const float *const *weights)
{
  const V bias = load (d->bias + c);
  const gsize step = d->stride * d->channels;
  gsize x = first;

  for (; x + 4 <= end; x += 4) {
    V s0 = bias, s1 = bias, s2 = bias, s3 = bias;

    for (int k = 0; k < n_k; k++) {
      const float *p = taps[k] + x * step + c;
      const V w = load (weights[k] + c);

      s0 += load (p) * w;
      s1 += load (p + step) * w;
      s2 += load (p + 2 * step) * w;
      s3 += load (p + 3 * step) * w;
    }
    store (d->dst + x * d->channels + c, s0);
    store (d->dst + (x + 1) * d->channels + c, s1);
    store (d->dst + (x + 2) * d->channels + c, s2);
    store (d->dst + (x + 3) * d->channels + c, s3);
  }
  for (; x < end; x++) {
    V s = bias;

    for (int k = 0; k < n_k; k++)
      s += load (taps[k] + x * step + c) * load (weights[k] + c);
    store (d->dst + x * d->channels + c, s);
  }
}

#define MAX_TAPS 81

static void
depthwise_row (const NnDepthwiseRow *d)
{
  const float *taps[MAX_TAPS], *weights[MAX_TAPS];
  gsize first, end;
  int n = 0;

  inner_columns (d, &first, &end);
  if (d->kernel[0] * d->kernel[1] > MAX_TAPS || d->channels < VL)
    first = end = d->out_width;
  for (gsize x = 0; x < first; x++)
    any_column (d, x);
  for (gsize x = end; x < d->out_width; x++)
    any_column (d, x);
  if (first == end)
    return;
  for (gsize i = 0; i < d->kernel[0]; i++)
    for (gsize j = 0; j < d->kernel[1] && d->rows[i]; j++) {
      /* for x = 0; x from `first` on is inside */
      taps[n] = d->rows[i] + (gssize) (j * d->dilation - d->pad) * (gssize) d->channels;
      weights[n++] = d->weights + (i * d->kernel[1] + j) * d->channels;
    }
  for (gsize c = 0; c < d->channels; c += VL) {
    const gsize at = MIN (c, d->channels - VL); /* the last vector again where it is not whole */

    if (n == 9)
      inner_block_9 (d, first, end, at, taps, weights);
    else
      inner_block_n (d, first, end, at, n, taps, weights);
  }
}

extern const NnMapKernels NN_KERNELS;

const NnMapKernels NN_KERNELS = {
  .name = NN_KERNELS_NAME,
  .depthwise_row = depthwise_row,
  .function = function,
  .add = add,
  .multiply = multiply,
  .sum_rows = sum_rows,
};
