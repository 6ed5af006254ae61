/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The CUDA kernels' bodies one by one on the host, against plain double precision or what
 * the CPU back end uses. Needs no toolkit. The back end as a whole: layers-cuda, gpu-fake. */

#include <glib.h>
#include <math.h>
#include <string.h>

#include "cuda/kernel-shapes.h"
#include "nn/augment.h"
#include "nn/loss.h"
#include "tests/host-kernels.h"

#define RUN(name, args) run_##name (((args).count + NN_BLOCK - 1) / NN_BLOCK, &(args))
#define RUN_BLOCKS(name, args) run_##name ((args).blocks, &(args))

static float *
random_floats (gsize n, guint64 seed)
{
  float *x = g_new (float, n);
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_USER, 7);
  for (gsize i = 0; i < n; i++)
    x[i] = (float) nn_rng_uniform (&rng, -1, 1);
  return x;
}

static void
check (const char *what, gsize at, double value, double expected, double tolerance)
{
  if (!(fabs (value - expected) <= tolerance))
    g_error ("%s[%" G_GSIZE_FORMAT "]: %.9g, expected %.9g", what, at, value, expected);
}

/* --- 16-bit numbers ------------------ */

/* the value of a half by its definition */
static double
half_value (guint16 h)
{
  const int exponent = h >> 10 & 31;
  const double fraction = h & 0x3ff, sign = h & 0x8000 ? -1 : 1;

  if (exponent == 31)
    return fraction != 0 ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexp (1024 + fraction, exponent - 25) : ldexp (fraction, -24));
}

static void
test_half (void)
{
  for (guint h = 0; h < 65536; h++) {
    const double value = half_value ((guint16) h);
    const float x = nn_half_to_float ((guint16) h);

    if (isnan (value)) {
      g_assert_true (isnan (x));
      g_assert_true (isnan (half_value (nn_float_to_half (x))));
      continue;
    }
    g_assert_true (x == value);
    g_assert_cmpuint (nn_float_to_half (x), ==, h);
    /* between this one and the next: the nearer, in the middle the even one */
    if ((h & 0x7fff) < 0x7bff) {
      const double next = half_value ((guint16) (h + 1)), middle = (value + next) / 2;

      g_assert_cmpuint (nn_float_to_half ((float) middle), ==, h + (h & 1));
      g_assert_cmpuint (nn_float_to_half ((float) (middle + (next - value) / 64)), ==, h + 1);
      g_assert_cmpuint (nn_float_to_half ((float) (middle - (next - value) / 64)), ==, h);
    }
  }
  g_assert_cmpuint (nn_float_to_half (65519.996f), ==, 0x7bff);
  g_assert_cmpuint (nn_float_to_half (65520.f), ==, 0x7c00);
  g_assert_cmpuint (nn_float_to_half (-1e30f), ==, 0xfc00);
}

static void
test_bf16 (void)
{
  for (guint h = 0; h < 65536; h++) {
    const float x = nn_bf16_to_float ((guint16) h);

    if (isnan (x)) {
      g_assert_true (isnan (nn_bf16_to_float (nn_float_to_bf16 (x))));
      continue;
    }
    g_assert_cmpuint (nn_float_to_bf16 (x), ==, h);
    g_assert_cmpuint (nn_float_bits (x), ==, h << 16);
    if ((h & 0x7fff) < 0x7f7f) {
      const float middle = nn_bits_float (h << 16 | 0x8000);

      g_assert_cmpuint (nn_float_to_bf16 (middle), ==, h + (h & 1));
      g_assert_cmpuint (nn_float_to_bf16 (nn_bits_float (h << 16 | 0x8001)), ==, h + 1);
      g_assert_cmpuint (nn_float_to_bf16 (nn_bits_float (h << 16 | 0x7fff)), ==, h);
    }
  }
}

/* --- several values side by side ------------------ */

static void
test_divide (void)
{
  NnRng rng;

  nn_rng_init (&rng, 3, NN_STREAM_USER, 1);
  for (guint i = 0; i < 100000; i++) {
    const guint bits = i % 32; /* small and large numbers, powers of two and what is beside */
    const guint by = i < 3000 ? i + 1
        : i % 3 == 0          ? MAX (nn_rng_u32 (&rng) >> bits, 1) / 2 + 1
                              : MAX ((1u << bits % 31) + i % 3 - 1, 1);
    const NnDivisor d = nn_divisor (by);
    const guint x = nn_rng_u32 (&rng) >> 1, last = (1u << 31) - 1;
    const guint values[] = { x, x - x % by, x - x % by + by - 1, last, last - last % by,
      last - last % by - 1, 0 };

    for (guint k = 0; k < G_N_ELEMENTS (values); k++) {
      guint rest = values[k];

      if (values[k] > last)
        continue;
      g_assert_cmpuint (nn_divide (&d, values[k]), ==, values[k] / by);
      g_assert_cmpuint (nn_divide_off (&d, &rest), ==, values[k] / by);
      g_assert_cmpuint (rest, ==, values[k] % by);
    }
  }
}

static void
test_lanes (void)
{
  static const NnType types[] = { NN_TYPE_F32, NN_TYPE_F16, NN_TYPE_BF16 };
  g_autofree float *x = random_floats (24, 1);

  for (guint t = 0; t < G_N_ELEMENTS (types); t++) {
    float stored[24], lanes[24];

    nn_store_lanes (stored, types[t], 8, 8, x);
    nn_store_lanes (stored, types[t], 16, 4, x + 8);
    nn_store_lanes (stored, types[t], 20, 1, x + 12);
    nn_load_lanes (stored, types[t], 8, 8, lanes);
    nn_load_lanes (stored, types[t], 16, 4, lanes + 8);
    nn_load_lanes (stored, types[t], 20, 1, lanes + 12);
    for (guint i = 0; i < 13; i++) {
      check ("lanes", i, lanes[i], x[i], types[t] == NN_TYPE_F32 ? 0 : 4e-3);
      g_assert_true (lanes[i] == nn_load (stored, types[t], 8 + i));
    }
  }
}

/* --- inference ------------------ */

/* padded strides, all parts at once, an overlapping window that pads */
static void
test_finish (void)
{
  enum { N = 2, H = 7, W = 6, C = 5, OH = 4, OW = 3, SRC = 8, DST = 6 };
  g_autofree float *src = random_floats (N * H * W * SRC, 1), *bias = random_floats (C, 2);
  g_autofree float *scale = random_floats (H, 3), *shift = random_floats (H, 4);
  guint16 dst[N * OH * OW * DST];
  NnFinishArgs a = {
    .count = N * OH * OW * C,
    .src = src,
    .dst = dst,
    .src_type = NN_TYPE_F32,
    .dst_type = NN_TYPE_F16,
    .channels = C,
    .src_stride = SRC,
    .dst_stride = DST,
    .window = { H, W, OH, OW, { 3, 3 }, { 2, 2 }, { 1, 0 } },
    .bias = bias,
    .f1 = NN_FN_RELU,
    .f2 = NN_FN_TANH,
    .norm = { scale, shift, H, W * C },
  };

  memset (dst, 0x11, sizeof dst);
  nn_finish_prepare (&a);
  g_assert_cmpuint (a.lanes, ==, 1);
  RUN (nn_k_finish_lanes, a);
  for (int n = 0; n < N; n++)
    for (int oy = 0; oy < OH; oy++)
      for (int ox = 0; ox < OW; ox++) {
        for (int c = 0; c < C; c++) {
          double best = -INFINITY;

          for (int y = 2 * oy - 1; y < 2 * oy + 2; y++)
            for (int x = 2 * ox; x < 2 * ox + 3; x++)
              if (y >= 0 && y < H && x < W)
                best = fmax (best,
                    tanh (fmax (src[((n * H + y) * W + x) * SRC + c] + bias[c], 0) * scale[y]
                        + shift[y]));
          check ("finish", (gsize) c, half_value (dst[((n * OH + oy) * OW + ox) * DST + c]), best,
              1e-3);
        }
        /* what pads the channels stays as it was */
        g_assert_cmpuint (dst[((n * OH + oy) * OW + ox) * DST + C], ==, 0x1111);
      }
}

/* Several channels at a time against one at a time, to the bit: each pair of types, each axis of a
 * normalisation, with and without the rest. */
static void
test_finish_lanes (void)
{
  enum { N = 2, H = 7, W = 6, C = 24, OH = 3, OW = 3, SRC = 24, DST = 32 };
  static const NnType types[] = { NN_TYPE_F32, NN_TYPE_F16, NN_TYPE_BF16 };
  /* rows, columns, channels, all of them, none; and an axis that lanes do not divide */
  static const guint axes[][2] = { { H, W * C }, { W, C }, { C, 1 }, { H * W * C, 1 }, { 0, 1 },
    { W * C / 6, 6 } };
  g_autofree float *values = random_floats (N * H * W * SRC, 1), *bias = random_floats (C, 2);
  g_autofree float *scale = random_floats (H * W * C, 3), *shift = random_floats (H * W * C, 4);
  g_autofree guint8 *src = g_malloc (N * H * W * SRC * 4);
  g_autofree guint8 *one = g_malloc (N * H * W * DST * 4), *many = g_malloc (N * H * W * DST * 4);

  for (guint i = 0; i < 9 * 4 * G_N_ELEMENTS (axes); i++) {
    const guint axis = i / 36, pools = i / 18 % 2, has_all = i / 9 % 2;
    const gsize size = (gsize) N * H * W * DST * 4;
    NnFinishArgs a = {
      .count = pools ? N * OH * OW * C : N * H * W * C,
      .src = src,
      .dst = many,
      .src_type = types[i % 3],
      .dst_type = types[i / 3 % 3],
      .channels = C,
      .src_stride = SRC,
      .dst_stride = DST,
      .window = { H, W, H, W, { 1, 1 }, { 1, 1 }, { 0, 0 } },
      .bias = has_all ? bias : NULL,
      .f1 = has_all ? NN_FN_RELU : NN_FN_LINEAR,
      .f2 = has_all && axis > 2 ? NN_FN_SIGMOID : NN_FN_LINEAR,
      .norm = { axes[axis][0] ? scale : NULL, shift, axes[axis][0], axes[axis][1] },
    };
    NnFinishArgs b;

    if (pools)
      a.window = (NnWindow) { H, W, OH, OW, { 2, 2 }, { 2, 2 }, { 0, 0 } };
    for (guint k = 0; k < N * H * W * SRC; k++)
      nn_store (src, a.src_type, k, values[k]);
    memset (one, 0x11, size);
    memset (many, 0x11, size);
    b = a;
    b.dst = one;
    nn_finish_prepare (&a);
    if (axes[axis][1] == 6)
      g_assert_cmpuint (a.lanes, ==, 1);
    else
      g_assert_cmpuint (a.lanes, ==, i % 9 == 0 ? 4 : 8);
    RUN (nn_k_finish_lanes, a);
    b.channels--; /* 23 */
    nn_finish_prepare (&b);
    g_assert_cmpuint (b.lanes, ==, 1);
    g_assert_cmpuint (a.pairs, ==, pools && a.f2 != NN_FN_SIGMOID);
    b.channels++;
    b.groups = nn_divisor (C);
    RUN (nn_k_finish_lanes, b);
    g_assert_cmpmem (one, size, many, size);
  }
}

/* A picture that gets room for eight channels, against one value at a time. */
static void
test_finish_pixel (void)
{
  enum { N = 2, H = 5, W = 7 };
  g_autofree float *src = random_floats (N * H * W * 3, 1), *bias = random_floats (3, 2);
  g_autofree float *scale = random_floats (H * W * 3, 3), *shift = random_floats (H * W * 3, 4);
  /* inner in pixels; 0: a value a channel */
  static const guint axes[][2] = { { H, W }, { W, 1 }, { 1, 0 }, { 0, 1 } };

  for (guint i = 0; i < 24; i++) {
    const guint channels = i % 2 ? 3 : 1, axis = i / 2 % 4;
    guint16 one[N * H * W * 8] = { 0 }, many[N * H * W * 8];
    NnFinishArgs a = {
      .count = N * H * W * channels,
      .src = src,
      .dst = many,
      .src_type = NN_TYPE_F32,
      .dst_type = i < 8 ? NN_TYPE_F16 : NN_TYPE_BF16,
      .channels = channels,
      .src_stride = channels,
      .dst_stride = 8,
      .window = { H, W, H, W, { 1, 1 }, { 1, 1 }, { 0, 0 } },
      .bias = i >= 16 ? bias : NULL,
      .f1 = i >= 16 ? NN_FN_RELU : NN_FN_LINEAR,
      .norm = { axes[axis][0] ? scale : NULL, shift, axes[axis][1] ? axes[axis][0] : channels,
          axes[axis][1] ? axes[axis][1] * channels : 1 },
    };
    NnFinishArgs b = a;

    memset (many, 0x11, sizeof many);
    nn_finish_prepare (&a);
    g_assert_cmpuint (a.lanes, ==, 0);
    g_assert_cmpuint (a.count, ==, N * H * W);
    RUN (nn_k_finish_lanes, a);
    b.dst = one;
    b.dst_stride = 9;
    nn_finish_prepare (&b);
    b.dst_stride = 8;
    g_assert_cmpuint (b.lanes, ==, 1);
    RUN (nn_k_finish_lanes, b);
    g_assert_cmpmem (one, sizeof one, many, sizeof many);
  }
}

static void
test_pixel_mean (void)
{
  enum { N = 3, PIXELS = 29, C = 37, STRIDE = 40 };
  g_autofree float *src = random_floats (N * PIXELS * STRIDE, 1);
  float dst[N * C];
  const NnPixelMeanArgs a = { .blocks = N * 2, .groups = 2, .pixels = PIXELS, .channels = C,
    .stride = STRIDE, .src = src, .src_type = NN_TYPE_F32, .dst = dst };

  RUN_BLOCKS (nn_k_pixel_mean, a);
  for (guint i = 0; i < N * C; i++) {
    double sum = 0;

    for (guint p = 0; p < PIXELS; p++)
      sum += src[(i / C * PIXELS + p) * STRIDE + i % C];
    check ("mean", i, dst[i], sum / PIXELS, 1e-6);
  }
}

/* Three layers of odd sizes, one that vectors fit and one that they do not, against doubles. */
static void
test_tail (gconstpointer data)
{
  enum { N = 3, IN = 300, MIDDLE = 72, LAST = 21, OUT = 5 };
  static const guint sizes[] = { IN, MIDDLE, LAST, OUT };
  static const NnType types[] = { NN_TYPE_F32, NN_TYPE_F16, NN_TYPE_BF16 };
  const gboolean is_softmax = data != NULL;
  g_autofree float *src = random_floats (N * IN, 1), *bias = random_floats (IN, 2);
  g_autofree float *scale = random_floats (IN, 3), *shift = random_floats (IN, 4);
  g_autofree float *weights = random_floats (IN * MIDDLE, 5);
  guint8 _Alignas (16) narrow[3][IN * MIDDLE * 4];

  for (guint t = 0; t < G_N_ELEMENTS (types); t++) {
    float dst[N * OUT + 1];
    NnTailArgs a = { .blocks = N, .n_layers = 3, .is_softmax = is_softmax, .type = types[t],
      .src = src, .dst = dst,
      .first = { .bias = bias, .f1 = NN_FN_RELU, .norm = { scale, shift, IN, 1 } } };

    for (guint l = 0; l < 3; l++) {
      a.layers[l] = (NnTailLayer) { .w = narrow[l], .bias = l == 1 ? NULL : bias, .in = sizes[l],
        .units = sizes[l + 1], .relu = l == 1,
        .after = { .f1 = l == 0 ? NN_FN_TANH : NN_FN_LINEAR,
            .f2 = l == 2 && !is_softmax ? NN_FN_SIGMOID : NN_FN_LINEAR,
            .norm = { l == 0 ? scale : NULL, shift, sizes[l + 1], 1 } } };
      for (guint k = 0; k < sizes[l] * sizes[l + 1]; k++)
        nn_store (narrow[l], types[t], k, weights[(k + l) % (IN * MIDDLE)] / 8);
    }
    dst[N * OUT] = 77;
    RUN_BLOCKS (nn_k_tail, a);
    g_assert_cmpfloat (dst[N * OUT], ==, 77);
    for (guint n = 0; n < N; n++) {
      double x[IN], y[IN], sum = 0;

      for (guint i = 0; i < IN; i++)
        x[i] = MAX (src[n * IN + i] + bias[i], 0) * scale[i] + shift[i];
      for (guint l = 0; l < 3; l++) {
        for (guint u = 0; u < sizes[l + 1]; u++) {
          y[u] = l == 1 ? 0 : bias[u];
          for (guint k = 0; k < sizes[l]; k++)
            y[u] += x[k] * nn_load (narrow[l], types[t], u * sizes[l] + k);
          y[u] = l == 0 ? tanh (y[u]) * scale[u] + shift[u] : l == 1 ? MAX (y[u], 0) : y[u];
        }
        memcpy (x, y, sizes[l + 1] * sizeof *x);
      }
      for (guint u = 0; u < OUT; u++)
        sum += exp (x[u]);
      for (guint u = 0; u < OUT; u++)
        check ("tail", n * OUT + u, dst[n * OUT + u],
            is_softmax ? exp (x[u]) / sum : 1 / (1 + exp (-x[u])), 2e-6);
    }
  }
}

static void
test_softmax (void)
{
  enum { ROWS = 3, N = 700 }; /* more than a block has threads */
  g_autofree float *x = random_floats (ROWS * N, 5), *dy = random_floats (ROWS * N, 6);
  float y[ROWS * N], dx[ROWS * N];
  NnSoftmaxArgs a = { .blocks = ROWS, .n = N, .src = x, .src_type = NN_TYPE_F32, .dst = y };
  NnSoftmaxBackwardArgs b = { .blocks = ROWS, .n = N, .y = y, .dy = dy, .dst = dx };

  x[5] = 90; /* overflows without the maximum */
  RUN_BLOCKS (nn_k_softmax, a);
  RUN_BLOCKS (nn_k_softmax_backward, b);
  for (int r = 0; r < ROWS; r++) {
    double max = -INFINITY, sum = 0, dot = 0;

    for (int i = 0; i < N; i++)
      max = fmax (max, x[r * N + i]);
    for (int i = 0; i < N; i++)
      sum += exp (x[r * N + i] - max);
    for (int i = 0; i < N; i++)
      dot += exp (x[r * N + i] - max) / sum * dy[r * N + i];
    for (int i = 0; i < N; i++) {
      const double p = exp (x[r * N + i] - max) / sum;

      check ("softmax", (gsize) i, y[r * N + i], p, 1e-6);
      check ("its gradient", (gsize) i, dx[r * N + i], p * (dy[r * N + i] - dot), 1e-6);
    }
  }
}

/* values in memory of their own size, so that a sanitizer sees the first byte beyond */
static gpointer
of_type (const float *x, gsize n, NnType type)
{
  gpointer p = g_malloc (n * (type == NN_TYPE_F32 ? 4 : 2));

  for (gsize i = 0; i < n; i++)
    nn_store (p, type, i, x[i]);
  return p;
}

/* @rows of a dense layer in @parts, against sums of doubles */
static void
check_rows (NnType type, NnType dst_type, guint rows, guint in, guint units, guint parts)
{
  const gboolean relu = (rows + units) % 2, has_bias = in % 3 != 0;
  const gsize n = rows * units;
  g_autofree float *x = random_floats (rows * in, 31), *w = random_floats (units * in, 32);
  g_autofree float *bias = random_floats (units, 33), *none = g_new0 (float, MAX (n, parts * n));
  g_autofree gpointer some_x = of_type (x, rows * in, type), some_w = of_type (w, units * in, type);
  g_autofree gpointer dst = of_type (none, n, dst_type);
  g_autofree float *sums = parts > 1 ? g_memdup2 (none, parts * n * sizeof *sums) : NULL;
  NnRowsArgs a = { .count = rows * units,
    .blocks = parts * ((units + NN_ROWS_UNITS - 1) / NN_ROWS_UNITS), .rows = rows, .in = in,
    .units = units, .parts = parts, .x = some_x, .w = some_w, .type = type,
    .bias = has_bias ? bias : NULL, .relu = relu, .sums = sums, .dst = dst, .dst_type = dst_type };

  for (gsize i = 0; i < n; i++)
    nn_store (dst, dst_type, i, NAN);
  for (gsize i = 0; sums && i < parts * n; i++)
    sums[i] = NAN;
  if (rows == 1)
    RUN_BLOCKS (nn_k_row, a);
  else
    RUN_BLOCKS (nn_k_rows, a);
  if (parts > 1)
    RUN (nn_k_rows_total, a);
  for (guint r = 0; r < rows; r++)
    for (guint u = 0; u < units; u++) {
      double sum = has_bias ? bias[u] : 0, size = fabs (sum), unit = 0;

      for (guint i = 0; i < in; i++) {
        const double term = (double) nn_load (some_x, type, r * in + i)
            * nn_load (some_w, type, u * in + i);

        sum += term;
        size += fabs (term);
      }
      if (dst_type != NN_TYPE_F32)
        unit = dst_type == NN_TYPE_F16 ? 0x1p-11 : 0x1p-8;
      sum = relu && sum < 0 ? 0 : sum;
      check ("rows", r * units + u, nn_load (dst, dst_type, r * units + u), sum,
          1e-6 * size + unit * fabs (sum));
    }
}

/* every number of rows, inputs that are no multiple of what is read at once or of a part, units
 * that leave a part of a block */
static void
test_rows (void)
{
  static const NnType types[] = { NN_TYPE_F32, NN_TYPE_F16, NN_TYPE_BF16 };
  static const guint ins[] = { 1, 3, 7, 8, 12, 200, 2048, 2049, 4104, 10000 };
  static const guint units[] = { 1, 3, 4, 5, 9 };

  for (guint t = 0; t < G_N_ELEMENTS (types); t++) {
    for (guint rows = 1; rows <= NN_MAX_ROWS; rows++)
      for (guint i = 0; i < G_N_ELEMENTS (ins); i++)
        for (guint parts = 1; parts <= 7; parts += 3)
          check_rows (types[t], types[rows % 2 ? 0 : t], rows, ins[i],
              units[(i + rows + parts) % G_N_ELEMENTS (units)], parts);
    check_rows (types[t], NN_TYPE_F32, 1, 67712, 8, 32);
  }
}

typedef struct
{
  guint rows, cols, channels, filters, kernel[2], pad;
  gboolean pools;
} TilesShape;

/* one axis each: rows, columns, filters, all of the first two, none */
enum { TILES_ROWS, TILES_COLS, TILES_FILTERS, TILES_PIXELS, TILES_NONE, TILES_N_NORMS };

static double
tiles_value (const NnTilesArgs *a, const guint16 *x, const guint16 *w, guint sample, guint row,
    guint col, guint filter, double *size)
{
  const NnFinishArgs *f = &a->finish;
  const guint element = (row * f->window.in_cols + col) * a->filters + filter;
  double sum = f->bias ? f->bias[filter] : 0;

  *size = fabs (sum);
  for (guint r = 0; r < a->kernel[0]; r++)
    for (guint s = 0; s < a->kernel[1]; s++)
      for (guint c = 0; c < a->channels; c++) {
        const guint y = row + r - a->pad[0], v = col + s - a->pad[1];
        double term;

        if (y >= a->in_rows || v >= a->in_cols)
          continue;
        term = (double) nn_load (x, a->type,
                   ((sample * a->in_rows + y) * a->in_cols + v) * a->in_stride + c)
            * nn_load (
                w, a->type, ((filter * a->kernel[0] + r) * a->kernel[1] + s) * a->channels + c);
        sum += term;
        *size += fabs (term);
      }
  sum = f->f1 == NN_FN_RELU ? fmax (sum, 0) : sum;
  if (f->norm.scale) {
    const guint i = element / f->norm.inner % f->norm.n;

    sum = sum * f->norm.scale[i] + f->norm.shift[i];
  }
  return f->f2 == NN_FN_RELU ? fmax (sum, 0) : sum;
}

/* @of_many: strips as for a large batch. What pads channels is not a number on the way in and
 * stays as it was on the way out. */
static void
check_tiles (const TilesShape *s, NnType type, guint norm, guint functions, gboolean of_many)
{
  enum { SAMPLES = 2, MANY = 999, AROUND = 16 };
  const guint rows = s->rows + 2 * s->pad - s->kernel[0] + 1;
  const guint cols = s->cols + 2 * s->pad - s->kernel[1] + 1;
  const guint out_rows = s->pools ? rows / 2 : rows, out_cols = s->pools ? cols / 2 : cols;
  const guint stride = s->filters + (norm % 2 ? 8 : 0), size = s->pools ? 2 : 1;
  const guint axes[TILES_N_NORMS][2] = { { rows, cols * s->filters }, { cols, s->filters },
    { s->filters, 1 }, { rows * cols, s->filters }, { 0, 1 } };
  const gsize n_x = SAMPLES * s->rows * s->cols * 8;
  const gsize n_w = s->filters * s->kernel[0] * s->kernel[1] * s->channels;
  const gsize n_y = SAMPLES * out_rows * out_cols * stride;
  g_autofree float *x = random_floats (n_x, 41), *w = random_floats (n_w, 42);
  g_autofree float *bias = random_floats (s->filters, 43);
  g_autofree float *scale = random_floats (MAX (axes[norm][0], 1), 44);
  g_autofree float *shift = random_floats (MAX (axes[norm][0], 1), 45);
  g_autofree gpointer narrow_x = NULL, narrow_w = of_type (w, n_w, type);
  g_autofree guint16 *dst = g_new (guint16, n_y + AROUND);
  g_autofree guint32 *weights = NULL;
  NnTilesArgs a = {
    .type = type,
    .in_rows = s->rows,
    .in_cols = s->cols,
    .channels = s->channels,
    .in_stride = 8,
    .filters = s->filters,
    .kernel = { s->kernel[0], s->kernel[1] },
    .pad = { s->pad, s->pad },
    .w = w,
    .finish = {
      .count = SAMPLES * out_rows * out_cols * s->filters,
      .dst = dst,
      .src_type = type,
      .dst_type = type,
      .channels = s->filters,
      .src_stride = s->filters,
      .dst_stride = stride,
      .window = { rows, cols, out_rows, out_cols, { size, size }, { size, size }, { 0, 0 } },
      .bias = functions % 3 ? bias : NULL,
      .f1 = functions % 2 ? NN_FN_RELU : NN_FN_LINEAR,
      .f2 = functions / 2 ? NN_FN_RELU : NN_FN_LINEAR,
      .norm = { axes[norm][0] ? scale : NULL, shift, axes[norm][0], axes[norm][1] },
    },
  };

  for (gsize i = 0; i < n_x; i++)
    x[i] = i % 8 < s->channels ? x[i] : NAN;
  a.src = narrow_x = of_type (x, n_x, type);
  g_assert_true (nn_tiles_prepare (&a, of_many ? MANY : SAMPLES));
  a.blocks = of_many ? a.blocks / MANY * SAMPLES : a.blocks;
  a.weights = weights = g_new (guint32, a.count);
  memset (dst, 0x11, (n_y + AROUND) * sizeof *dst);
  RUN (nn_k_tile_weights, a);
  if (a.steps == NN_TILE_STEPS)
    RUN_BLOCKS (nn_k_deep_tiles, a);
  else
    RUN_BLOCKS (nn_k_tiles, a);
  for (gsize i = 0; i < n_y + AROUND; i++) {
    const guint filter = i % stride, pixel = (guint) (i / stride);
    const guint row = pixel / out_cols % out_rows, col = pixel % out_cols;
    double best = -INFINITY, most = 0;

    if (i >= n_y || filter >= s->filters) {
      g_assert_cmpuint (dst[i], ==, 0x1111);
      continue;
    }
    for (guint k = 0; k < size * size; k++) {
      double magnitude;
      const double value = tiles_value (&a, narrow_x, narrow_w, pixel / out_cols / out_rows,
          size * row + k / size, size * col + k % size, filter, &magnitude);

      best = fmax (best, value);
      most = fmax (most, magnitude);
    }
    check ("tiles", i, nn_load (dst, type, i), best,
        3e-6 * (most + 1) + (type == NN_TYPE_F16 ? 0x1.01p-11 : 0x1.01p-8) * fabs (best));
  }
}

/* Both types, with and without pooling, each axis of a normalisation, odd sizes, strips that are
 * a part of a row, of a few rows and more than there is; paddings; one and two parts of filters. */
static void
test_tiles (void)
{
  static const TilesShape shapes[] = {
    { 15, 13, 3, 32, { 3, 3 }, 0, TRUE },
    { 15, 13, 3, 32, { 3, 3 }, 0, FALSE },
    { 12, 15, 1, 8, { 5, 5 }, 0, TRUE },
    { 9, 11, 3, 64, { 3, 3 }, 1, TRUE },
    { 11, 9, 3, 40, { 3, 3 }, 1, FALSE },
    { 13, 20, 4, 24, { 3, 3 }, 2, TRUE },
    { 10, 9, 2, 16, { 1, 1 }, 0, FALSE },
    { 9, 19, 1, 64, { 7, 7 }, 3, TRUE },
    { 4, 3, 3, 32, { 3, 2 }, 0, FALSE },
    { 3, 3, 1, 8, { 3, 3 }, 0, FALSE },
    { 12, 70, 2, 8, { 2, 5 }, 1, TRUE },
  };
  static const TilesShape large = { 200, 200, 3, 32, { 3, 3 }, 0, TRUE };
  static const TilesShape wide = { 6, 1003, 3, 8, { 3, 3 }, 0, FALSE };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    for (guint norm = 0; norm < TILES_N_NORMS; norm++)
      for (guint k = 0; k < 4; k++) {
        const guint functions = (k + i + norm) % 4;

        check_tiles (&shapes[i], k % 2 ? NN_TYPE_F16 : NN_TYPE_BF16, norm, functions, k / 2);
      }
  check_tiles (&large, NN_TYPE_F16, TILES_ROWS, 1, TRUE);
  check_tiles (&large, NN_TYPE_BF16, TILES_ROWS, 1, FALSE);
  check_tiles (&wide, NN_TYPE_F16, TILES_COLS, 1, TRUE);
}

/* Strips that fill a device, also with one sample; and what is left to others. */
static void
test_tiles_prepare (void)
{
  const NnTilesArgs good = { .type = NN_TYPE_F16, .in_rows = 200, .in_cols = 200, .channels = 3,
    .in_stride = 8, .filters = 32, .kernel = { 3, 3 },
    .finish = { .count = 32, .src_type = NN_TYPE_F16, .dst_type = NN_TYPE_F16, .channels = 32,
        .src_stride = 32, .dst_stride = 32,
        .window = { 198, 198, 99, 99, { 2, 2 }, { 2, 2 }, { 0, 0 } } } };
  NnTilesArgs a = good;
  float table[1];

  g_assert_true (nn_tiles_prepare (&a, 64));
  g_assert_cmpuint (a.blocks, ==, 64 * 25);
  g_assert_cmpuint (a.strip[0] * 100 + a.strip[1], ==, 425);
  g_assert_cmpuint (a.steps, ==, 2);
  a = good;
  g_assert_true (nn_tiles_prepare (&a, 1));
  g_assert_cmpuint (a.blocks, ==, 99 * 4);
  g_assert_cmpuint (a.strip[0] * 100 + a.strip[1], ==, 107);
#define REFUSED(field, value) \
  a = good; \
  a.field = value; \
  g_assert_false (nn_tiles_prepare (&a, 64))
  REFUSED (channels, 5);
  REFUSED (kernel[0], 7);
  REFUSED (filters, 28);
  REFUSED (filters, 72);
  REFUSED (in_stride, 3);
  REFUSED (type, NN_TYPE_F32);
  REFUSED (finish.dst_type, NN_TYPE_F32);
  REFUSED (finish.f1, NN_FN_TANH);
  REFUSED (finish.f2, NN_FN_SIGMOID);
  REFUSED (finish.window.size[0], 3);
  REFUSED (finish.window.pad[1], 1);
  REFUSED (finish.norm, ((NnNorm) { table, table, 198 * 198 * 32, 1 }));
  REFUSED (finish.norm, ((NnNorm) { table, table, 8, 4 }));
#undef REFUSED
}

/* Means of probabilities, and of what they are sigmoid or softmax of. */
static void
test_views (void)
{
  enum { SAMPLES = 7, N = 600, GROUPS = 5 };
  static const NnViewGroup groups[GROUPS]
      = { { 2, 3, 1 }, { 0, 2, 0 }, { 5, 1, 1 }, { 6, 1, 0 }, { 0, 0, 0 } };
  g_autofree float *x = random_floats (SAMPLES * N, 8);

  for (int end = NN_VIEW_PLAIN; end <= NN_VIEW_SOFTMAX; end++) {
    float y[SAMPLES * N], dst[GROUPS * N];
    NnViewsArgs args = { .blocks = GROUPS, .n = N, .end = (NnViewEnd) end, .groups = groups,
      .src = y, .dst = dst };

    for (int s = 0; s < SAMPLES; s++) {
      double sum = 0;

      for (int i = 0; i < N; i++)
        sum += exp (x[s * N + i]);
      for (int i = 0; i < N; i++)
        y[s * N + i] = (float) (end == NN_VIEW_SOFTMAX ? exp (x[s * N + i]) / sum
                : end == NN_VIEW_SIGMOID               ? 1 / (1 + exp (-x[s * N + i]))
                                                       : x[s * N + i]);
    }
    for (int i = 0; i < GROUPS * N; i++)
      dst[i] = 77;
    RUN_BLOCKS (nn_k_views, args);
    for (int g = 0; g < GROUPS; g++) {
      const uint32_t first = groups[g].first, n = groups[g].n;
      double total = 0, expected[N];

      for (int i = 0; i < N; i++) {
        expected[i] = 0;
        for (uint32_t v = first; v < first + n; v++)
          expected[i] += (double) (groups[g].of_logits ? x : y)[v * N + i] / n;
        total += exp (expected[i]);
      }
      for (int i = 0; i < N; i++) {
        if (groups[g].of_logits && end == NN_VIEW_SOFTMAX)
          expected[i] = exp (expected[i]) / total;
        else if (groups[g].of_logits && end == NN_VIEW_SIGMOID)
          expected[i] = 1 / (1 + exp (-expected[i]));
        check ("views", (gsize) i, dst[g * N + i], n ? expected[i] : 77, 1e-6);
      }
    }
  }
  /* where there is no logit */
  for (int end = NN_VIEW_SIGMOID; end <= NN_VIEW_SOFTMAX; end++) {
    static const NnViewGroup both = { 0, 2, 1 };
    const float y[4] = { 1, 0, 0.25f, 0.75f };
    float dst[2];
    NnViewsArgs args = { .blocks = 1, .n = 2, .end = (NnViewEnd) end, .groups = &both, .src = y,
      .dst = dst };

    RUN_BLOCKS (nn_k_views, args);
    g_assert_true (dst[0] > 0.99f && dst[0] <= 1 && dst[1] >= 0 && dst[1] < 0.01f);
  }
}

static void
test_shift (void)
{
  enum { N = 2, H = 3, W = 4, C = 2, PH = 5, PW = 7 };
  g_autofree float *x = random_floats (N * H * W * C, 8);
  float padded[N * PH * PW * C], back[N * H * W * C];
  NnShiftArgs a = { .count = N * PH * PW * C, .channels = C, .src_rows = H, .src_cols = W,
    .dst_rows = PH, .dst_cols = PW, .offset = { 1, 2 }, .src = x, .dst = padded };
  NnShiftArgs b = { .count = N * H * W * C, .channels = C, .src_rows = PH, .src_cols = PW,
    .dst_rows = H, .dst_cols = W, .offset = { -1, -2 }, .src = padded, .dst = back };
  double sum = 0, expected = 0;

  RUN (nn_k_shift, a);
  RUN (nn_k_shift, b);
  g_assert_cmpmem (back, sizeof back, x, sizeof back);
  for (int i = 0; i < N * PH * PW * C; i++)
    sum += padded[i]; /* nothing but zeros around */
  for (int i = 0; i < N * H * W * C; i++)
    expected += x[i];
  check ("sum", 0, sum, expected, 1e-5);
}

/* --- training ------------------ */

/* the three of them are one bilinear form: <dy, conv (x, w)> = <dx, x> = <dw, w> */
static void
test_conv (void)
{
  enum { N = 2, H = 9, W = 8, C = 3, K = 4, R = 3, S = 2, OH = 4, OW = 7 };
  g_autofree float *x = random_floats (N * H * W * C, 1), *w = random_floats (K * R * S * C, 2);
  g_autofree float *dy = random_floats (N * OH * OW * K, 3);
  float y[N * OH * OW * K], dx[N * H * W * C], dw[K * R * S * C];
  NnConvArgs a = { .samples = N, .in_rows = H, .in_cols = W, .channels = C, .in_stride = C,
    .out_rows = OH, .out_cols = OW, .filters = K, .out_stride = K, .kernel = { R, S },
    .strides = { 2, 1 }, .dilation = { 2, 3 }, .pad = { 1, 1 }, .x = x, .w = w, .dy = dy };
  double forms[3] = { 0 };

  a.count = G_N_ELEMENTS (y);
  a.dst = y;
  RUN (nn_k_conv, a);
  a.count = G_N_ELEMENTS (dx);
  a.dst = dx;
  RUN (nn_k_conv_data, a);
  a.count = G_N_ELEMENTS (dw);
  a.dst = dw;
  RUN (nn_k_conv_filter, a);
  for (int n = 0; n < N; n++)
    for (int oy = 0; oy < OH; oy++)
      for (int ox = 0; ox < OW; ox++)
        for (int k = 0; k < K; k++) {
          double sum = 0;

          for (int r = 0; r < R; r++)
            for (int s = 0; s < S; s++)
              for (int c = 0; c < C; c++) {
                const int h = 2 * oy + 2 * r - 1, v = ox + 3 * s - 1;

                if (h >= 0 && h < H && v >= 0 && v < W)
                  sum += (double) x[((n * H + h) * W + v) * C + c]
                      * w[((k * R + r) * S + s) * C + c];
              }
          check ("conv", (gsize) k, y[((n * OH + oy) * OW + ox) * K + k], sum, 1e-5);
        }
  for (gsize i = 0; i < G_N_ELEMENTS (y); i++)
    forms[0] += (double) y[i] * dy[i];
  for (gsize i = 0; i < G_N_ELEMENTS (dx); i++)
    forms[1] += (double) dx[i] * x[i];
  for (gsize i = 0; i < G_N_ELEMENTS (dw); i++)
    forms[2] += (double) dw[i] * w[i];
  check ("data", 0, forms[1], forms[0], 1e-4);
  check ("filter", 0, forms[2], forms[0], 1e-4);
}

/* of equal maxima the first has the gradient, also where windows overlap */
static void
test_unpool (void)
{
  static const float x[] = { 1, 1, 0, /**/ 1, 1, 2, /**/ 0, 2, 2 };
  static const float dy[] = { 1, 10, /**/ 100, 1000 };
  static const float expected[] = { 1, 0, 0, /**/ 0, 0, 1010, /**/ 0, 100, 0 };
  float dx[9];
  NnUnpoolArgs a = { .count = 9, .x = x, .dx = dx,
    .incoming = { .pooled = dy, .window = { 3, 3, 2, 2, { 2, 2 }, { 1, 1 }, { 0, 0 } },
        .channels = 1 } };

  RUN (nn_k_unpool, a);
  g_assert_cmpmem (dx, sizeof dx, expected, sizeof expected);
}

/* sums over rows and over channels, in any number of parts, of the samples that take part */
static void
test_sums (gconstpointer data)
{
  const uint32_t inner = GPOINTER_TO_UINT (data), n = 37, outer = 3, samples = 4;
  g_autofree float *x = random_floats ((samples + 1) * outer * n * inner, 9);
  const NnStepParams step = { .samples = samples };

  for (uint32_t parts = 1; parts <= 5; parts += 2) {
    g_autofree double *sums = g_new (double, 2 * n * parts);
    g_autofree float *total = g_new (float, n);
    NnSumsArgs a = { .blocks = (inner == 1 ? (n + 31) / 32 : n) * parts,
      .kind = NN_SUMS_MOMENTS, .outer = outer, .n = n, .inner = inner, .parts = parts,
      .step = &step, .x = x, .sums = sums };
    NnTotalArgs b = { .count = n, .parts = parts, .sums = sums, .dst = total };

    for (gsize i = 0; i < 2 * n * parts; i++)
      sums[i] = NAN;
    RUN_BLOCKS (nn_k_sums, a);
    RUN (nn_k_total, b);
    for (uint32_t i = 0; i < n; i++) {
      double sum = 0, squares = 0;

      for (uint32_t o = 0; o < samples * outer; o++)
        for (uint32_t k = 0; k < inner; k++) {
          const double v = x[(o * n + i) * inner + k];

          sum += v;
          squares += v * v;
        }
      check ("sum", i, total[i], sum, 1e-5);
      check ("squares", i, nn_total (sums + (n + i) * parts, parts), squares, 1e-9);
    }
  }
}

static const NnType all_types[] = { NN_TYPE_F32, NN_TYPE_F16, NN_TYPE_BF16 };

/* @n values in @type, some of them equal: multiples of @step */
static void *
random_values (gsize n, NnType type, float step, guint64 seed)
{
  g_autofree float *x = random_floats (n, seed);
  void *values = g_malloc (n * (type == NN_TYPE_F32 ? 4 : 2));

  for (gsize i = 0; i < n; i++)
    nn_store (values, type, i, step > 0 ? roundf (x[i] / step) * step : x[i]);
  return values;
}

/* by the kernel that is not named after anything, which the others must agree with */
static void
sum_by_elements (NnSumsArgs a, double *first, double *second)
{
  g_autofree double *sums = g_new (double, 2 * a.n * 3);

  a.parts = 3;
  a.blocks = (a.inner == 1 ? (a.n + 31) / 32 : a.n) * a.parts;
  a.sums = sums;
  RUN_BLOCKS (nn_k_sums, a);
  for (uint32_t i = 0; i < a.n; i++) {
    first[i] = nn_total (sums + i * 3, 3);
    second[i] = nn_total (sums + (a.n + i) * 3, 3);
  }
}

/* in the parts that nn_sums_shape() wants, and in more */
static void
check_sums (const char *what, NnSumsArgs a, uint32_t batch, NnWay way, double tolerance)
{
  g_autofree double *first = g_new (double, a.n), *second = g_new (double, a.n);

  sum_by_elements (a, first, second);
  g_assert_cmpint (nn_sums_shape (&a, batch), ==, way);
  for (uint32_t times = 1; times <= 3; times += 2) {
    const uint32_t parts = a.parts * times;
    g_autofree double *sums = g_new (double, 2 * a.n * parts);

    a.blocks = a.blocks / a.parts * parts;
    a.parts = parts;
    a.sums = sums;
    for (gsize i = 0; i < 2 * a.n * parts; i++)
      sums[i] = NAN;
    if (way == NN_WAY_CELLS)
      RUN_BLOCKS (nn_k_sums_cells, a);
    else
      RUN_BLOCKS (nn_k_sums_lanes, a);
    for (uint32_t i = 0; i < a.n; i++) {
      check (what, i, nn_total (sums + i * parts, parts), first[i], tolerance);
      if (a.kind != NN_SUMS_PLAIN)
        check (what, i, nn_total (sums + (a.n + i) * parts, parts), second[i], tolerance);
    }
  }
}

typedef struct
{
  float *scale, *shift, *mean, *inv_std, *k1, *k2, *k3;
} Tables;

static Tables
tables_new (gsize n)
{
  const Tables t = { random_floats (n, 31), random_floats (n, 32), random_floats (n, 33),
    random_floats (n, 34), random_floats (n, 35), random_floats (n, 36), random_floats (n, 37) };

  return t;
}

static void
tables_clear (Tables *t)
{
  g_free (t->scale);
  g_free (t->shift);
  g_free (t->mean);
  g_free (t->inv_std);
  g_free (t->k1);
  g_free (t->k2);
  g_free (t->k3);
}

/* dx by either kernel, to the bit */
static void
check_bn_dx (NnBnDxArgs a, NnWay way)
{
  const gsize bytes = a.count * (a.type == NN_TYPE_F32 ? 4 : 2);
  g_autofree char *expected = g_malloc0 (bytes), *dx = g_malloc0 (bytes + 64);

  a.dx = expected;
  RUN (nn_k_bn_dx, a);
  memset (dx, 0x11, bytes + 64);
  a.dx = dx;
  g_assert_cmpint (nn_bn_dx_shape (&a), ==, way);
  if (way == NN_WAY_CELLS)
    RUN (nn_k_bn_dx_cells, a);
  else
    RUN (nn_k_bn_dx_lanes, a);
  g_assert_cmpmem (dx, bytes, expected, bytes);
  for (guint i = 0; i < 64; i++)
    g_assert_cmpint (dx[bytes + i], ==, 0x11);
}

/* Gradients through 2x2 windows, one a thread: what the kernels by elements give. Sizes that
 * leave a row or column over, or part of a window; equal maxima; a sample that takes no part. */
static void
test_cells (gconstpointer data)
{
  enum { BATCH = 3, SAMPLES = 2 };
  static const NnWindow windows[] = {
    { 7, 6, 3, 3, { 2, 2 }, { 2, 2 }, { 0, 0 } },
    { 6, 5, 3, 2, { 2, 2 }, { 2, 2 }, { 0, 0 } },
    { 5, 7, 3, 4, { 2, 2 }, { 2, 2 }, { 0, 0 } },
    { 2, 2, 1, 1, { 2, 2 }, { 2, 2 }, { 0, 0 } },
    { 1, 3, 1, 2, { 2, 2 }, { 2, 2 }, { 0, 0 } },
  };
  static const uint32_t channels[] = { 8, 24, 264 };
  const NnAxis axis = GPOINTER_TO_UINT (data);
  const NnStepParams step = { .samples = SAMPLES };

  for (guint i = 0; i < G_N_ELEMENTS (windows) * G_N_ELEMENTS (channels) * 3; i++) {
    const NnType type = all_types[i % 3];
    const uint32_t c = channels[i / 3 % G_N_ELEMENTS (channels)];
    const NnWindow *w = &windows[i / 3 / G_N_ELEMENTS (channels)];
    const uint32_t size = w->in_rows * w->in_cols * c, out = w->out_rows * w->out_cols * c;
    const uint32_t inner = axis == NN_AXIS_CHANNELS ? 1
        : axis == NN_AXIS_COLUMNS                   ? c
                                                    : c * w->in_cols;
    const uint32_t n = axis == NN_AXIS_CHANNELS ? c
        : axis == NN_AXIS_COLUMNS               ? w->in_cols
                                                : w->in_rows;
    g_autofree void *x = random_values (BATCH * size, type, 0.25f, i);
    g_autofree void *dy = random_values (BATCH * out, type, 0, i + 99);
    g_autofree char *dx = g_malloc (BATCH * size * 4), *expected = g_malloc (BATCH * size * 4);
    Tables t = tables_new (n);
    const NnIncoming incoming = { .pooled = dy, .type = type, .window = *w, .channels = c };
    const NnNorm norm = { t.scale, t.shift, n, inner };
    NnUnpoolArgs unpool = { .count = BATCH * size, .x = x, .incoming = incoming, .dx = expected,
      .type = type };
    NnBnDxArgs bn = { .count = BATCH * size, .sample_size = size, .step = &step, .x = x,
      .norm = norm, .incoming = incoming, .mean = t.mean, .k1 = t.k1, .k2 = t.k2, .k3 = t.k3,
      .type = type };
    NnSumsArgs sums = { .kind = NN_SUMS_GRADIENT, .outer = size / n / inner, .n = n,
      .inner = inner, .step = &step, .x = x, .type = type, .mean = t.mean, .inv_std = t.inv_std,
      .norm = norm, .incoming = incoming };

    t.scale[0] = -t.scale[0]; /* the least value is the maximum */
    memset (dx, 0x11, BATCH * size * 4);
    memset (expected, 0x11, BATCH * size * 4);
    RUN (nn_k_unpool, unpool);
    unpool.dx = dx;
    g_assert_cmpint (nn_unpool_shape (&unpool), ==, NN_WAY_CELLS);
    RUN (nn_k_unpool_cells, unpool);
    g_assert_cmpmem (dx, BATCH * size * 4, expected, BATCH * size * 4);
    for (bn.before = NN_FN_LINEAR; bn.before <= NN_FN_TANH; bn.before++)
      check_bn_dx (bn, NN_WAY_CELLS);
    check_sums ("cells", sums, BATCH, NN_WAY_CELLS, 1e-5);
    tables_clear (&t);
  }
}

/* Windows and tables that are not for cells, of which each kernel must keep off. */
static void
test_no_cells (void)
{
  const NnIncoming good
      = { .pooled = "", .window = { 6, 6, 3, 3, { 2, 2 }, { 2, 2 }, { 0, 0 } }, .channels = 8 };
  const NnNorm norm = { NULL, NULL, 6, 48 };
  NnNorm other = norm;
  NnIncoming in = good;
  NnCells cells;

  g_assert_true (nn_cells_fit (&in, NN_TYPE_F32, &norm, &cells));
  g_assert_false (nn_cells_fit (&in, NN_TYPE_F16, &norm, &cells));
  other.inner = 8 * 6 * 2;
  g_assert_false (nn_cells_fit (&in, NN_TYPE_F32, &other, &cells));
  in.channels = 6;
  g_assert_false (nn_cells_fit (&in, NN_TYPE_F32, NULL, &cells));
  for (guint i = 0; i < 6; i++) {
    in = good;
    (i < 2 ? in.window.size : i < 4 ? in.window.strides : in.window.pad)[i % 2]++;
    g_assert_false (nn_cells_fit (&in, NN_TYPE_F32, NULL, &cells));
  }
}

/* without a pooling */
static void
test_bn_lanes (gconstpointer data)
{
  enum { BATCH = 3, SAMPLES = 2 };
  static const uint32_t shapes[][3] = { /* outer, n, inner */
    { 1, 7, 40 }, { 5, 6, 8 }, { 35, 24, 1 }, { 1, 264, 1 }, { 300, 8, 1 }, { 1, 3, 4800 } };
  const NnType type = GPOINTER_TO_UINT (data);
  const NnStepParams step = { .samples = SAMPLES };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    const uint32_t outer = shapes[i][0], n = shapes[i][1], inner = shapes[i][2];
    const uint32_t size = outer * n * inner;
    g_autofree void *x = random_values (BATCH * size, type, 0, i);
    g_autofree void *dy = random_values (BATCH * size, type, 0, i + 99);
    Tables t = tables_new (n);
    const NnIncoming incoming = { .dy = dy, .type = type };
    const NnNorm norm = { t.scale, t.shift, n, inner };
    NnBnDxArgs bn = { .count = BATCH * size, .sample_size = size, .step = &step, .x = x,
      .norm = norm, .incoming = incoming, .mean = t.mean, .k1 = t.k1, .k2 = t.k2, .k3 = t.k3,
      .type = type };
    NnSumsArgs sums = { .outer = outer, .n = n, .inner = inner, .step = &step, .x = x,
      .type = type, .mean = t.mean, .inv_std = t.inv_std, .norm = norm, .incoming = incoming };

    for (bn.before = NN_FN_LINEAR; bn.before <= NN_FN_TANH; bn.before++)
      check_bn_dx (bn, NN_WAY_LANES);
    for (sums.kind = NN_SUMS_MOMENTS; sums.kind <= NN_SUMS_PLAIN; sums.kind++)
      check_sums ("lanes", sums, BATCH, NN_WAY_LANES, 1e-7 * outer * inner + 1e-5);
    tables_clear (&t);
  }
}

/* Types that differ and sizes that vectors do not divide stay with the kernels by elements. */
static void
test_no_lanes (void)
{
  const NnBnDxArgs good = { .count = 64, .sample_size = 32, .norm = { .n = 4, .inner = 8 } };
  NnSumsArgs sums = { .kind = NN_SUMS_GRADIENT, .outer = 1, .n = 4, .inner = 8 };
  NnBnDxArgs bn = good;

  g_assert_cmpint (nn_bn_dx_shape (&bn), ==, NN_WAY_LANES);
  g_assert_cmpint (nn_sums_shape (&sums, 2), ==, NN_WAY_LANES);
  bn = good;
  bn.incoming.type = sums.incoming.type = NN_TYPE_F16;
  g_assert_cmpint (nn_bn_dx_shape (&bn), ==, NN_WAY_ELEMENTS);
  g_assert_cmpint (nn_sums_shape (&sums, 2), ==, NN_WAY_ELEMENTS);
  sums.kind = NN_SUMS_MOMENTS;
  g_assert_cmpint (nn_sums_shape (&sums, 2), ==, NN_WAY_LANES);
  bn = good;
  bn.norm.inner = sums.inner = 6;
  g_assert_cmpint (nn_bn_dx_shape (&bn), ==, NN_WAY_ELEMENTS);
  g_assert_cmpint (nn_sums_shape (&sums, 2), ==, NN_WAY_ELEMENTS);
  bn.norm = (NnNorm) { .n = 6, .inner = 1 };
  sums.n = 6;
  sums.inner = 1;
  g_assert_cmpint (nn_bn_dx_shape (&bn), ==, NN_WAY_ELEMENTS);
  g_assert_cmpint (nn_sums_shape (&sums, 2), ==, NN_WAY_ELEMENTS);
}

/* Values far from 0: the variance is what is left of a difference of large sums. */
static void
test_variance (gconstpointer data)
{
  enum { SAMPLES = 5, N = 8, INNER = 2048 };
  const uint32_t inner = GPOINTER_TO_UINT (data), outer = inner == 1 ? INNER : 1;
  const NnStepParams step = { .samples = SAMPLES };
  g_autofree float *x = random_floats (SAMPLES * N * INNER, 41);
  g_autofree double *sums = NULL;
  float mean[N], inv_std[N], scale[N], shift[N], variance[N], moving[N] = { 0 };
  NnSumsArgs a = { .kind = NN_SUMS_MOMENTS, .outer = outer, .n = N, .inner = inner, .step = &step,
    .x = x };
  NnBnForwardArgs b = { .count = N, .per_sample = INNER, .step = &step, .epsilon = 0,
    .moving_mean = moving, .moving_variance = moving, .variance = variance, .mean = mean,
    .inv_std = inv_std, .scale = scale, .shift = shift };

  for (gsize k = 0; k < SAMPLES * N * INNER; k++) {
    const gsize i = k / inner % N;

    /* all equal, or spread by 1e-4 of the mean */
    x[k] = i == 0 ? 100.3f : (float) (100.3 * (double) i * (1 + 1e-4 * x[k]));
  }
  g_assert_cmpint (nn_sums_shape (&a, SAMPLES), ==, NN_WAY_LANES);
  sums = g_new (double, 2 * N * a.parts);
  a.sums = sums;
  b.sums = sums;
  b.parts = a.parts;
  RUN_BLOCKS (nn_k_sums_lanes, a);
  RUN (nn_k_bn_forward, b);
  for (gsize i = 0; i < N; i++) {
    double total = 0, squares = 0;

    for (gsize k = 0; k < SAMPLES * N * INNER; k++)
      total += k / inner % N == i ? x[k] : 0;
    total /= SAMPLES * INNER;
    for (gsize k = 0; k < SAMPLES * N * INNER; k++)
      squares += k / inner % N == i ? (x[k] - total) * (x[k] - total) : 0;
    squares /= SAMPLES * INNER;
    check ("mean", i, mean[i], total, 1e-7 * total);
    check ("variance", i, variance[i], squares, i == 0 ? 1e-9 : 1e-5 * squares);
  }
}

/* the words that nn/cpu/train.c draws: the stream's, in order */
static void
test_dropout (gconstpointer data)
{
  enum { N = 1003 };
  const NnType type = GPOINTER_TO_UINT (data);
  g_autofree void *x = random_values (N, type, 0, 11);
  float y[N + 1], stored[1];
  const NnStepParams step = { .seed = 77, .iterations = 5 };
  NnDropoutArgs a = { .step = &step, .layer = 3, .src = x, .dst = y, .type = type };
  NnRng rng;

  memset (y, 0xff, sizeof y);
  nn_dropout_shape (&a, N, 0.4);
  RUN (nn_k_dropout, a);
  nn_rng_init (&rng, 77, NN_STREAM_DROPOUT, 5 << 16 | 3);
  for (guint i = 0; i < N; i++) {
    const gboolean is_kept = nn_rng_u32 (&rng) / 4294967296.0 >= 0.4;

    nn_store (stored, type, 0, is_kept ? nn_load (x, type, i) * (float) (1 / 0.6) : 0);
    check ("dropout", i, nn_load (y, type, i), nn_load (stored, type, 0), 0);
  }
  g_assert_true (isnan (nn_load (y, type, N)));
  /* the words that are kept, to the last */
  nn_dropout_shape (&a, N, 0.5);
  g_assert_cmpuint (a.least, ==, 1u << 31);
  nn_dropout_shape (&a, N, 0x1.00000001p-1);
  g_assert_cmpuint (a.least, ==, (1u << 31) + 1);
  nn_dropout_shape (&a, N, 0);
  g_assert_cmpuint (a.least, ==, 0);
  nn_dropout_shape (&a, N, 1 - 0x1p-40);
  g_assert_cmpuint (a.least, ==, G_GUINT64_CONSTANT (1) << 32);
}

static void
test_loss (gconstpointer data)
{
  enum { BATCH = 6, N = 5, OUT = 3 };
  const gboolean binary = GPOINTER_TO_INT (data);
  g_autofree float *y = random_floats (BATCH * OUT, 12), *targets = random_floats (BATCH * OUT, 13);
  const float weights[BATCH] = { 1, 0.5f, 2, 0, 1, 1 };
  float gradient[BATCH * OUT], expected[N * OUT];
  double loss[BATCH], sum = 0;
  uint32_t right[BATCH], n_right = 0;
  const NnStepParams step = { .samples = N };
  NnStepResult result;
  NnLossArgs a = { .count = BATCH, .outputs = OUT, .binary = binary, .step = &step, .y = y,
    .targets = targets, .weights = weights, .gradient = gradient, .loss = loss, .right = right };

  for (int i = 0; i < BATCH * OUT; i++) {
    y[i] = i == 4 ? 0 : i == 5 ? 1 : fabsf (y[i]); /* clipped */
    targets[i] = i % 4 ? fabsf (targets[i]) : 0;
  }
  RUN (nn_k_loss, a);
  nn_loss_compute (binary ? NN_LOSS_BINARY_CROSSENTROPY : NN_LOSS_CATEGORICAL_CROSSENTROPY, y,
      &(NnStep) { .n = N, .targets = targets, .weights = weights }, OUT, expected, &result);
  for (int i = 0; i < N; i++) {
    sum += weights[i] * loss[i];
    n_right += right[i];
  }
  check ("loss", 0, sum, result.sum_loss, 1e-12);
  g_assert_cmpuint (n_right, ==, result.n_correct);
  for (int i = 0; i < BATCH * OUT; i++)
    check ("gradient", (gsize) i, gradient[i], i < N * OUT ? expected[i] : 0, 1e-9);
}

/* chunks shorter than a chunk, with penalties and decay */
static void
test_optimizer (gconstpointer data)
{
  enum { N = NN_CHUNK_LANES + 303 };
  const gboolean sgd = GPOINTER_TO_INT (data);
  const NnType copy_type = sgd ? NN_TYPE_F16 : NN_TYPE_BF16;
  guint16 copy[N + 1];
  g_autofree float *w = random_floats (N, 14), *g = random_floats (N, 15);
  g_autofree float *m = random_floats (N, 16), *v = random_floats (N, 17);
  const NnStepParams step = { .is_sgd = sgd, .nesterov = TRUE, .rate = 0.1f, .beta_1 = 0.9f,
    .beta_2 = 0.99f, .epsilon = 1e-3f, .momentum = 0.8f, .keep = 0.95f };
  double penalty = 0, expected_penalty = 0;
  g_autofree double *expected = g_new (double, N);
  NnChunk chunk = { .w = w, .m = m, .v = v, .g = g, .copy = copy, .copy_type = copy_type, .n = N,
    .decays = TRUE, .l1 = 0.01f, .l2 = 0.02f };
  NnOptimizerArgs a = { .count = NN_CHUNK_LANES, .chunks = &chunk, .step = &step };
  NnPenaltyArgs p = { .blocks = 1, .chunks = &chunk, .sums = &penalty };

  for (int i = 0; i < N; i++) {
    const double gi = g[i] + 0.04 * w[i] + (w[i] > 0 ? 0.01 : -0.01);

    v[i] = fabsf (v[i]);
    expected_penalty += 0.01 * fabs (w[i]) + 0.02 * w[i] * w[i];
    if (sgd) {
      const double mi = 0.8 * m[i] - 0.1 * gi;

      expected[i] = w[i] * 0.95 + 0.8 * mi - 0.1 * gi;
    } else {
      const double mi = 0.9 * m[i] + 0.1 * gi, vi = 0.99 * v[i] + 0.01 * gi * gi;

      expected[i] = w[i] * 0.95 - 0.1 * mi / (sqrt (vi) + 1e-3);
    }
  }
  memset (copy, 0x11, sizeof copy);
  RUN_BLOCKS (nn_k_penalty, p);
  RUN (nn_k_optimizer, a);
  check ("penalty", 0, penalty, expected_penalty, 1e-6);
  for (int i = 0; i < N; i++)
    check ("weight", (gsize) i, w[i], expected[i], 2e-6);
  for (guint i = 0; i < N; i++) {
    float rounded[1];

    nn_store (rounded, copy_type, 0, w[i]);
    check ("copy", i, nn_load (copy, copy_type, i), nn_load (rounded, copy_type, 0), 0);
  }
  g_assert_cmpuint (copy[N], ==, 0x1111);
}

/* channels padded and the type changed, with rows and columns around; and back */
static void
test_lay (gconstpointer data)
{
  enum { N = 2, H = 3, W = 4, C = 3, PC = 8, PH = 5, PW = 7 };
  const NnType type = GPOINTER_TO_UINT (data);
  g_autofree float *x = random_floats (N * H * W * C, 21);
  guint16 padded[N * PH * PW * PC];
  float back[N * H * W * C];
  NnLayArgs a = { .channels = C, .src_stride = C, .dst_stride = PC,
    .src_rows = H, .src_cols = W, .dst_rows = PH, .dst_cols = PW, .offset = { 1, 2 }, .src = x,
    .dst = padded, .src_type = NN_TYPE_F32, .dst_type = type };
  NnLayArgs b = { .channels = C, .src_stride = PC, .dst_stride = C,
    .src_rows = PH, .src_cols = PW, .dst_rows = H, .dst_cols = W, .offset = { -1, -2 },
    .src = padded, .dst = back, .src_type = type, .dst_type = NN_TYPE_F32 };
  guint n_zero = 0;

  memset (padded, 0x11, sizeof padded);
  nn_lay_shape (&a, N * PH * PW);
  nn_lay_shape (&b, N * H * W);
  RUN (nn_k_lay, a);
  RUN (nn_k_lay, b);
  for (gsize i = 0; i < G_N_ELEMENTS (back); i++)
    check ("there and back", i, back[i], x[i], type == NN_TYPE_F16 ? 0x1p-11 : 0x1p-8);
  for (gsize i = 0; i < G_N_ELEMENTS (padded); i++)
    n_zero += padded[i] == 0;
  g_assert_cmpuint (n_zero, ==, G_N_ELEMENTS (padded) - G_N_ELEMENTS (back));
}

/* any strides, between any types: vectors, parts of vectors, single values */
static void
test_lay_lanes (void)
{
  enum { N = 2, H = 3, W = 5, MOST = 32 };
  static const struct
  {
    uint32_t channels, src_stride, dst_stride, lanes[2]; /* of float32; where one is narrow */
  } shapes[] = { { 3, 3, 8, { 4, 8 } }, { 20, 20, 24, { 4, 8 } }, { 20, 24, 24, { 4, 8 } },
    { 16, 16, 16, { 4, 8 } }, { 12, 20, 12, { 4, 4 } }, { 7, 8, 7, { 1, 1 } },
    { 7, 7, 7, { 1, 1 } }, { 12, 12, 12, { 4, 4 } }, { 3, 32, 4, { 4, 4 } } };

  for (guint i = 0; i < G_N_ELEMENTS (shapes) * 27; i++) {
    const NnType from = all_types[i % 3], to = all_types[i / 3 % 3];
    const uint32_t more = i / 9 % 3, rows = H + 2 * (more == 2), cols = W + (more == 2);
    const int32_t moved = more > 0;
    const uint32_t channels = shapes[i / 27].channels, src_stride = shapes[i / 27].src_stride;
    const uint32_t dst_stride = shapes[i / 27].dst_stride;
    g_autofree void *src = random_values (N * H * W * src_stride, from, 0, i);
    float dst[N * (H + 2) * (W + 1) * MOST + 1];
    NnLayArgs a = { .channels = channels, .src_stride = src_stride, .dst_stride = dst_stride,
      .src_rows = H, .src_cols = W, .dst_rows = rows, .dst_cols = cols,
      .offset = { moved, moved }, .src = src, .dst = dst, .src_type = from, .dst_type = to };

    memset (dst, 0xff, sizeof dst);
    nn_lay_shape (&a, N * rows * cols);
    /* 360 values in a row, as they lie */
    if (channels != src_stride || channels != dst_stride || moved)
      g_assert_cmpuint (
          a.lanes, ==, shapes[i / 27].lanes[from != NN_TYPE_F32 || to != NN_TYPE_F32]);
    RUN (nn_k_lay, a);
    for (uint32_t e = 0; e < N * rows * cols * dst_stride; e++) {
      const uint32_t c = e % dst_stride, x = e / dst_stride % cols - (uint32_t) moved;
      const uint32_t y = e / dst_stride / cols % rows - (uint32_t) moved;
      const uint32_t sample = e / dst_stride / cols / rows;
      float value = 0, stored[1];

      if (c < channels && x < W && y < H)
        value = nn_load (src, from, ((sample * H + y) * W + x) * src_stride + c);
      nn_store (stored, to, 0, value);
      check ("lay", e, nn_load (dst, to, e), nn_load (stored, to, 0), 0);
    }
    g_assert_true (isnan (nn_load (dst, to, N * rows * cols * dst_stride)));
  }
}

/* with a rest that fills no vector, between any types, and in place */
static void
test_slope (void)
{
  enum { N = 1003 };

  for (guint i = 0; i < 9 * 4; i++) {
    const NnType type = all_types[i % 3], dst_type = all_types[i / 3 % 3];
    const NnKernelFunction function = (NnKernelFunction) (i / 9);
    g_autofree void *y = random_values (N, type, 0.25f, i), *dy = random_values (N, type, 0, i + 1);
    float dst[N + 1], stored[1];
    NnSlopeArgs a = { .function = function, .y = y, .dy = dy, .dst = dst, .type = type,
      .dst_type = dst_type };

    memset (dst, 0xff, sizeof dst);
    if (type == dst_type) {
      memcpy (dst, dy, N * (type == NN_TYPE_F32 ? 4 : 2));
      a.dy = dst;
    }
    nn_slope_shape (&a, N);
    RUN (nn_k_slope, a);
    for (uint32_t k = 0; k < N; k++) {
      const float slope = nn_slope (function, nn_load (y, type, k));

      nn_store (stored, dst_type, 0, nn_load (dy, type, k) * slope);
      check ("slope", k, nn_load (dst, dst_type, k), nn_load (stored, dst_type, 0), 0);
    }
    g_assert_true (isnan (nn_load (dst, dst_type, N)));
  }
}

static void
test_mean_backward (void)
{
  enum { N = 2, PIXELS = 7 };
  static const uint32_t channels[] = { 16, 12, 5 };

  for (guint i = 0; i < 9 * G_N_ELEMENTS (channels); i++) {
    const NnType type = all_types[i % 3], dst_type = all_types[i / 3 % 3];
    const uint32_t c = channels[i / 9];
    g_autofree void *src = random_values (N * c, type, 0, i);
    float dst[N * PIXELS * 16 + 1], stored[1];
    NnMeanBackwardArgs a = { .src = src, .src_type = type, .dst = dst, .dst_type = dst_type };

    memset (dst, 0xff, sizeof dst);
    nn_mean_backward_shape (&a, N, PIXELS, c);
    RUN (nn_k_mean_backward, a);
    for (uint32_t e = 0; e < N * PIXELS * c; e++) {
      nn_store (stored, dst_type, 0, nn_load (src, type, e / c / PIXELS * c + e % c) / PIXELS);
      check ("mean's gradient", e, nn_load (dst, dst_type, e), nn_load (stored, dst_type, 0), 0);
    }
    g_assert_true (isnan (nn_load (dst, dst_type, N * PIXELS * c)));
  }
}

/* one gradient that is not finite: nothing moves and the scale is halved; good ones have the
 * scale taken out of them */
static void
test_loss_scale (void)
{
  enum { N = 4 * 301 + 1 };
  static const float bad[] = { INFINITY, -INFINITY, NAN };
  g_autofree float *w = random_floats (N, 14), *g = random_floats (N, 15);
  g_autofree float *m = random_floats (N, 16), *average = random_floats (N, 17);
  g_autofree float *old_w = g_memdup2 (w, N * sizeof *w), *old_m = g_memdup2 (m, N * sizeof *w);
  g_autofree float *old_average = g_memdup2 (average, N * sizeof *w);
  float moving[2] = { 1, 2 }, batch[2] = { 3, 4 };
  NnLossScale scale = { .scale = 1024, .good = 1, .interval = 3 };
  const NnStepParams step
      = { .is_sgd = TRUE, .rate = 0.5f, .momentum = 0.5f, .keep = 1, .average_rate = 0.5f };
  NnChunk chunk = { .w = w, .m = m, .g = g, .n = N };
  NnAverageChunk average_chunk = { w, average, N };
  NnCheckArgs a = { .count = NN_CHUNK_LANES, .chunks = &chunk, .scale = &scale };
  NnOptimizerArgs b
      = { .count = NN_CHUNK_LANES, .chunks = &chunk, .step = &step, .scale = &scale };
  NnAverageArgs c
      = { .count = NN_CHUNK_LANES, .chunks = &average_chunk, .step = &step, .scale = &scale };
  NnBnMoveArgs d = { .count = 1, .momentum = 0.75f, .scale = &scale, .mean = &batch[0],
    .variance = &batch[1], .moving_mean = &moving[0], .moving_variance = &moving[1] };
  NnScaleArgs e = { .count = 1, .scale = &scale };

  for (guint i = 0; i < G_N_ELEMENTS (bad) + 4; i++) {
    const gboolean overflows = i < G_N_ELEMENTS (bad);
    const int at = i == 0 ? N - 1 : (int) i + 4; /* alone at the end, and in a vector */
    const float kept = g[at];

    if (overflows)
      g[at] = bad[i];
    RUN (nn_k_check, a);
    RUN (nn_k_bn_move, d);
    RUN (nn_k_optimizer, b);
    RUN (nn_k_average, c);
    g_assert_cmpuint (scale.overflow, ==, overflows);
    RUN (nn_k_scale, e);
    g_assert_cmpuint (scale.overflow, ==, 0);
    g_assert_cmpuint (scale.skipped, ==, overflows);
    g[at] = kept;
    if (overflows) {
      g_assert_cmpfloat (scale.scale, ==, 512 >> i);
      g_assert_cmpuint (scale.good, ==, 0);
      g_assert_cmpmem (w, N * sizeof *w, old_w, N * sizeof *w);
      g_assert_cmpmem (m, N * sizeof *w, old_m, N * sizeof *w);
      g_assert_cmpmem (average, N * sizeof *w, old_average, N * sizeof *w);
      g_assert_true (moving[0] == 1 && moving[1] == 2);
    } else {
      /* 128 for three steps, then 256 */
      g_assert_cmpfloat (scale.scale, ==, i < 5 ? 128 : 256);
      g_assert_cmpuint (scale.good, ==, (i - 2) % 3);
    }
    if (i == G_N_ELEMENTS (bad)) {
      check ("moving mean", 0, moving[0], 0.75 * 1 + 0.25 * 3, 1e-6);
      check ("moving variance", 0, moving[1], 0.75 * 2 + 0.25 * 4, 1e-6);
      for (int k = 0; k < N; k++)
        check ("weight", (gsize) k, w[k], old_w[k] + 0.5 * old_m[k] - 0.5 * g[k] / 128, 1e-6);
    }
  }
  scale = (NnLossScale) { .scale = NN_LOSS_SCALE_MAX, .interval = 1 };
  RUN (nn_k_scale, e);
  g_assert_cmpfloat (scale.scale, ==, NN_LOSS_SCALE_MAX);
  scale = (NnLossScale) { .scale = NN_LOSS_SCALE_MIN, .interval = 1, .overflow = 1 };
  RUN (nn_k_scale, e);
  g_assert_cmpfloat (scale.scale, ==, NN_LOSS_SCALE_MIN);
}

/* a chunk and a part of one, updated and swapped */
static void
test_average (void)
{
  enum { N = NN_CHUNK + 102 };
  g_autofree float *w = random_floats (N, 18), *average = random_floats (N, 19);
  g_autofree float *old_w = g_memdup2 (w, N * sizeof *w);
  g_autofree float *old = g_memdup2 (average, N * sizeof *w);
  const NnStepParams step = { .average_rate = 0.125f };
  const NnAverageChunk chunks[]
      = { { w, average, NN_CHUNK }, { w + NN_CHUNK, average + NN_CHUNK, N - NN_CHUNK } };
  NnAverageArgs a = { .count = 2 * NN_CHUNK_LANES, .chunks = chunks, .step = &step };

  RUN (nn_k_average, a);
  g_assert_cmpmem (w, N * sizeof *w, old_w, N * sizeof *w);
  for (int i = 0; i < N; i++)
    check ("average", (gsize) i, average[i], 0.875 * old[i] + 0.125 * w[i], 1e-7);
  memcpy (old, average, N * sizeof *w);
  a.swap = TRUE;
  RUN (nn_k_average, a);
  g_assert_cmpmem (w, N * sizeof *w, old, N * sizeof *w);
  g_assert_cmpmem (average, N * sizeof *w, old_w, N * sizeof *w);
}

/* --- augmentation ------------------ */

/* What the kernels make of some pictures equals nn_augment_apply()'s: to the bit, but for a mean
 * that is added up in another order. */
static void
check_augmentation (const NnAugment *augment, NnPreprocess *pre, double tolerance)
{
  enum
  {
    SAMPLES = 9,
    PICTURES = 4
  };
  NnAugmentForm form;
  NnAugmentEntry entries[SAMPLES];
  gsize in_size, size;
  g_autofree guint8 *pictures = NULL;
  g_autofree float *got = NULL, *expected = NULL;
  NnAugmentArgs a = { 0 };
  NnRng rng;

  nn_augment_form (augment, pre, &form);
  in_size = form.source_rows * form.source_columns * form.channels;
  size = form.rows * form.columns * form.channels;
  pictures = g_malloc (PICTURES * in_size);
  got = g_new (float, SAMPLES * size);
  expected = g_new (float, SAMPLES * size);
  nn_rng_init (&rng, 6, NN_STREAM_USER, 1);
  for (gsize i = 0; i < PICTURES * in_size; i++)
    pictures[i] = (guint8) nn_rng_below (&rng, 256);
  for (guint i = 0; i < SAMPLES; i++) {
    NnAugmentParams params;

    nn_augment_draw (augment, 3, i, pre->height, pre->width, form.channels, &params);
    nn_augment_entry (augment, &form, &params, &entries[i]);
    entries[i].picture = i * 3 % PICTURES;
    a.needs_wholes |= entries[i].changes & NN_CHANGES_OF_WHOLES;
    nn_augment_apply (augment, &params, pre, pictures + entries[i].picture * in_size,
        expected + i * size);
  }
  memset (got, 0xff, SAMPLES * size * sizeof (float));
  a.count = SAMPLES * form.rows * form.columns;
  a.blocks = SAMPLES;
  a.form = form;
  a.pictures = pictures;
  a.entries = entries;
  a.dst = got;
  RUN (nn_k_augment, a);
  if (a.needs_wholes)
    RUN_BLOCKS (nn_k_augment_wholes, a);
  if (tolerance == 0)
    g_assert_cmpmem (
        got, SAMPLES * size * sizeof (float), expected, SAMPLES * size * sizeof (float));
  for (gsize i = 0; i < SAMPLES * size; i++)
    check ("augmentation", i, got[i], expected[i], tolerance);
}

static void
test_augmentation (void)
{
  for (guint fill = NN_FILL_NEAREST; fill <= NN_FILL_WRAP; fill++) {
    for (guint i = 0; i < 12; i++) {
      NnAugment augment;
      NnPreprocess pre;

      nn_preprocess_init (&pre, 21, 17);
      pre.channels = i % 3 == 2 ? NN_CHANNELS_GRAY : i % 3 ? NN_CHANNELS_BGR : NN_CHANNELS_RGB;
      pre.mean[0] = 100;
      pre.mean[1] = 110;
      pre.scale[0] = pre.scale[2] = 1 / 255.f;
      nn_augment_init (&augment);
      augment.fill_mode = (NnFillMode) fill;
      augment.cval = 77;
      augment.interpolation_order = i % 2;
      check_augmentation (&augment, &pre, 0);
      augment.horizontal_flip = augment.vertical_flip = TRUE;
      check_augmentation (&augment, &pre, 0);
      augment.rotation_range = 170;
      augment.width_shift_range = 0.8;
      augment.height_shift_range = 5;
      augment.shear_range = 0.6;
      augment.zoom_range[0] = 0.4;
      augment.zoom_range[1] = 2;
      augment.center_offset = i % 4 > 1 ? 0.5 : -0.5;
      augment.swap_axes = i > 5;
      check_augmentation (&augment, &pre, 0);
      augment.channel_shift_range = 60;
      check_augmentation (&augment, &pre, 0);
      augment.brightness = augment.saturation = 0.7;
      augment.grayscale = 0.3;
      augment.erasing = 0.6;
      check_augmentation (&augment, &pre, 0);
      augment.crop_scale[0] = 0.2;
      augment.source_height = 40;
      augment.source_width = 19;
      augment.channel_shift_range = i % 2 ? 30 : 0;
      check_augmentation (&augment, &pre, 0);
      augment.contrast = 0.8;
      check_augmentation (&augment, &pre, 1e-4);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cuda/kernels/half", test_half);
  g_test_add_func ("/cuda/kernels/bf16", test_bf16);
  g_test_add_func ("/cuda/kernels/divide", test_divide);
  g_test_add_func ("/cuda/kernels/lanes", test_lanes);
  g_test_add_func ("/cuda/kernels/finish", test_finish);
  g_test_add_func ("/cuda/kernels/finish-lanes", test_finish_lanes);
  g_test_add_func ("/cuda/kernels/finish-pixel", test_finish_pixel);
  g_test_add_func ("/cuda/kernels/pixel-mean", test_pixel_mean);
  g_test_add_data_func ("/cuda/kernels/tail/sigmoid", NULL, test_tail);
  g_test_add_data_func ("/cuda/kernels/tail/softmax", "softmax", test_tail);
  g_test_add_func ("/cuda/kernels/softmax", test_softmax);
  g_test_add_func ("/cuda/kernels/rows", test_rows);
  g_test_add_func ("/cuda/kernels/tiles", test_tiles);
  g_test_add_func ("/cuda/kernels/tiles-prepare", test_tiles_prepare);
  g_test_add_func ("/cuda/kernels/views", test_views);
  g_test_add_func ("/cuda/kernels/shift", test_shift);
  g_test_add_func ("/cuda/kernels/conv", test_conv);
  g_test_add_func ("/cuda/kernels/unpool", test_unpool);
  g_test_add_data_func ("/cuda/kernels/sums/channels", GUINT_TO_POINTER (1), test_sums);
  g_test_add_data_func ("/cuda/kernels/sums/rows", GUINT_TO_POINTER (29), test_sums);
  g_test_add_data_func (
      "/cuda/kernels/cells/channels", GUINT_TO_POINTER (NN_AXIS_CHANNELS), test_cells);
  g_test_add_data_func (
      "/cuda/kernels/cells/columns", GUINT_TO_POINTER (NN_AXIS_COLUMNS), test_cells);
  g_test_add_data_func ("/cuda/kernels/cells/rows", GUINT_TO_POINTER (NN_AXIS_ROWS), test_cells);
  g_test_add_func ("/cuda/kernels/cells/none", test_no_cells);
  g_test_add_data_func (
      "/cuda/kernels/bn-lanes/fp32", GUINT_TO_POINTER (NN_TYPE_F32), test_bn_lanes);
  g_test_add_data_func (
      "/cuda/kernels/bn-lanes/fp16", GUINT_TO_POINTER (NN_TYPE_F16), test_bn_lanes);
  g_test_add_data_func (
      "/cuda/kernels/bn-lanes/bf16", GUINT_TO_POINTER (NN_TYPE_BF16), test_bn_lanes);
  g_test_add_func ("/cuda/kernels/bn-lanes/none", test_no_lanes);
  g_test_add_data_func ("/cuda/kernels/variance/channels", GUINT_TO_POINTER (1), test_variance);
  g_test_add_data_func ("/cuda/kernels/variance/rows", GUINT_TO_POINTER (2048), test_variance);
  g_test_add_data_func ("/cuda/kernels/dropout/fp32", GUINT_TO_POINTER (NN_TYPE_F32), test_dropout);
  g_test_add_data_func ("/cuda/kernels/dropout/fp16", GUINT_TO_POINTER (NN_TYPE_F16), test_dropout);
  g_test_add_data_func ("/cuda/kernels/loss/binary", GINT_TO_POINTER (1), test_loss);
  g_test_add_data_func ("/cuda/kernels/loss/categorical", NULL, test_loss);
  g_test_add_data_func ("/cuda/kernels/optimizer/sgd", GINT_TO_POINTER (1), test_optimizer);
  g_test_add_data_func ("/cuda/kernels/optimizer/adam", NULL, test_optimizer);
  g_test_add_func ("/cuda/kernels/average", test_average);
  g_test_add_data_func ("/cuda/kernels/lay/fp16", GUINT_TO_POINTER (NN_TYPE_F16), test_lay);
  g_test_add_data_func ("/cuda/kernels/lay/bf16", GUINT_TO_POINTER (NN_TYPE_BF16), test_lay);
  g_test_add_func ("/cuda/kernels/lay/lanes", test_lay_lanes);
  g_test_add_func ("/cuda/kernels/slope", test_slope);
  g_test_add_func ("/cuda/kernels/mean-backward", test_mean_backward);
  g_test_add_func ("/cuda/kernels/loss-scale", test_loss_scale);
  g_test_add_func ("/cuda/kernels/augmentation", test_augmentation);
  return g_test_run ();
}
