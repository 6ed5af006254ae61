/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compiled once per instruction set; NN_KERNELS names the table, NN_KERNELS_NAME
 * is its name. GNU C vectors of the width that the instruction set has.
 *
 * Winograd: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks",
 * 2015, F(4x4, 3x3): Y = A^T [ sum over channels (G g G^T) * (B^T d B) ] A.
 *
 * A value of a matrix product is summed in the order of k whatever the way (gemm in pieces, gemv):
 * a picture's probabilities do not depend on the batch it is in. */

#include "nn/cpu/kernels.h"

#include <math.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VB 64
#define MR 12 /* accumulators that stay in registers: MR rows x 2 vectors */
#elif defined(__AVX2__)
#define VB 32
#define MR 6
#elif defined(__aarch64__)
#define VB 16
#define MR 8
#else
#define VB 16
#define MR 6
#endif
#define VL (VB / 4)

typedef float V __attribute__ ((vector_size (VB), aligned (4), may_alias));
typedef gint32 VI __attribute__ ((vector_size (VB), aligned (4), may_alias));

#ifdef __clang__
#define UNROLL _Pragma ("clang loop unroll(full)")
#else
#define UNROLL _Pragma ("GCC unroll 16")
#endif

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

/* a where either is not a number, so that a NaN stays visible through ReLU */
INLINE V
vmax (V a, V b)
{
  VI m = b > a;

  return (V) ((m & (VI) b) | (~m & (VI) a));
}

INLINE V
vselect (VI mask, V a, V b)
{
  return (V) ((mask & (VI) a) | (~mask & (VI) b));
}

/* c + a * b as the vectors do it: fused where the CPU can */
INLINE float
madd (float a, float b, float c)
{
#ifdef __FMA__
  return __builtin_fmaf (a, b, c);
#else
  return c + a * b;
#endif
}

/* --- matrix product ------------------------------------------------------ */

/* the lanes that block_...() will store again */
INLINE V
load_lanes (const float *p, gsize skip, gsize lanes)
{
  V v = {};

  if (lanes == VL)
    return load (p);
  for (gsize q = skip; q < skip + lanes; q++)
    v[q] = p[q];
  return v;
}

/* R rows from m, J vectors from column j; stores `lanes` floats of the last vector, beginning
 * with lane `skip`. */
#define DEFINE_BLOCK(name, R, J) \
  INLINE void name (const NnGemm *g, gsize m, gsize j, gsize skip, gsize lanes) \
  { \
    V acc[R][J]; \
    float *c = g->c + m * g->ldc + j; \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int l = 0; l < J; l++) acc[i][l] \
        = g->accumulate ? load_lanes (c + i * g->ldc + l * VL, l == J - 1 ? skip : 0, \
                              l == J - 1 ? lanes : VL) \
        : g->bias ? load (g->bias + j + l * VL) \
                  : (V) {}; \
    for (gsize s = 0; s < g->n_segments; s++) { \
      const float *a = g->a + (g->offsets ? g->offsets[s] : 0) + m * g->rs; \
      const float *b = g->b + s * g->seg_k * g->ldb + j; \
      for (gsize k = 0; k < g->seg_k; k++, b += g->ldb) { \
        const float *ak = a + k * g->cs; \
        V bv[J]; \
        UNROLL for (int l = 0; l < J; l++) bv[l] = load (b + l * VL); \
        UNROLL for (int i = 0; i < R; i++) \
        { \
          float x = ak[i * g->rs]; \
          UNROLL for (int l = 0; l < J; l++) acc[i][l] += x * bv[l]; \
        } \
      } \
    } \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int l = 0; l < J; l++) \
    { \
      float *p = c + i * g->ldc + l * VL; \
      V r = acc[i][l]; \
      if (l == J - 1 && lanes < VL) { \
        for (gsize q = skip; q < skip + lanes; q++) \
          p[q] = g->relu && r[q] < 0 ? 0 : r[q]; \
      } else { \
        store (p, g->relu ? vmax (r, (V) {}) : r); \
      } \
    } \
  }

#define DEFINE_BLOCKS(R, suffix) \
  DEFINE_BLOCK (block_##suffix##_2, R, 2) \
  DEFINE_BLOCK (block_##suffix##_1, R, 1)

DEFINE_BLOCKS (MR, m)
DEFINE_BLOCKS (6, 6)
DEFINE_BLOCKS (4, 4)
DEFINE_BLOCKS (3, 3)
DEFINE_BLOCKS (2, 2)
DEFINE_BLOCKS (1, 1)

/* what to take first of a rest of so many rows, for even pieces */
static const guint8 first_rows[12] = { 0, 1, 2, 3, 4, 3, 6, 4, 4, 6, 6, 4 };

#define COLUMN(pair, j, skip, lanes) \
  do { \
    gsize m = 0; \
    for (; m + MR <= g->m; m += MR) \
      block_m_##pair (g, m, j, skip, lanes); \
    while (m < g->m) { \
      gsize r = first_rows[g->m - m]; \
      switch (r) { \
        case 6: \
          block_6_##pair (g, m, j, skip, lanes); \
          break; \
        case 4: \
          block_4_##pair (g, m, j, skip, lanes); \
          break; \
        case 3: \
          block_3_##pair (g, m, j, skip, lanes); \
          break; \
        case 2: \
          block_2_##pair (g, m, j, skip, lanes); \
          break; \
        default: \
          block_1_##pair (g, m, j, skip, lanes); \
          break; \
      } \
      m += r; \
    } \
  } while (0)

static void
gemm_narrow (const NnGemm *g)
{
  for (gsize m = 0; m < g->m; m++) {
    for (gsize j = 0; j < g->n; j++) {
      float sum = g->accumulate ? g->c[m * g->ldc + j] : 0;

      if (g->bias)
        sum += g->bias[j];
      for (gsize s = 0; s < g->n_segments; s++) {
        const float *a = g->a + (g->offsets ? g->offsets[s] : 0) + m * g->rs;
        const float *b = g->b + s * g->seg_k * g->ldb + j;

        for (gsize k = 0; k < g->seg_k; k++)
          sum = madd (a[k * g->cs], b[k * g->ldb], sum);
      }
      g->c[m * g->ldc + j] = g->relu && sum < 0 ? 0 : sum;
    }
  }
}

static inline void
gemm_body (const NnGemm *g)
{
  gsize j = 0, rest;

  if (g->n < VL && !g->b_padded) {
    gemm_narrow (g);
    return;
  }
  for (; j + 2 * VL <= g->n; j += 2 * VL)
    COLUMN (2, j, 0, VL);
  if (j + VL <= g->n) {
    COLUMN (1, j, 0, VL);
    j += VL;
  }
  rest = g->n - j;
  if (rest > 0 && g->b_padded)
    COLUMN (1, j, 0, rest);
  else if (rest > 0) /* the last full vector again, of which only the new lanes are kept */
    COLUMN (1, g->n - VL, VL - rest, rest);
}

static void
gemm (const NnGemm *gemm)
{
  NnGemm g = *gemm;

  if (g.cs == 1) {
    g.cs = 1; /* a constant for the compiler */
    gemm_body (&g);
  } else {
    gemm_body (&g);
  }
}

INLINE V
load_bf16 (const guint16 *p)
{
#if defined(__AVX512F__) /* the compiler makes two halves of the general form */
  return (V) _mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm256_loadu_si256 ((const void *) p)), 16);
#elif defined(__AVX2__)
  return (V) _mm256_slli_epi32 (_mm256_cvtepu16_epi32 (_mm_loadu_si128 ((const void *) p)), 16);
#else
  typedef guint16 H __attribute__ ((vector_size (VB / 2), aligned (2), may_alias));
  typedef guint32 U __attribute__ ((vector_size (VB)));

  return (V) (__builtin_convertvector (*(const H *) p, U) << 16);
#endif
}

INLINE float
bf16_to_float (guint16 x)
{
  union
  {
    guint32 i;
    float f;
  } u = { .i = (guint32) x << 16 };

  return u.f;
}

#define GEMV_ROWS 8
#define GEMV_SAMPLES 8

/* 8 rows of w at a time, so that y is loaded and stored once for eight. Columns beyond the last
 * whole vector: the last VL of each row, of which the new lanes are kept in the end. */
#define DEFINE_GEMV(name, type, load_w, scalar_w) \
  INLINE void name##_rows (int rows, gsize n, gsize units, const float *x, gsize ldx, \
      const type *w, float *y, gsize ldy, V *tail) \
  { \
    const gsize whole = units / VL * VL; \
    for (gsize i = 0; i < n; i++) { \
      const float *xi = x + i * ldx; \
      float *yi = y + i * ldy; \
      V xv[GEMV_ROWS]; \
      UNROLL for (int r = 0; r < rows; r++) xv[r] = splat (xi[r]); \
      for (gsize j = 0; j < whole; j += VL) { \
        V acc = load (yi + j); \
        UNROLL for (int r = 0; r < rows; r++) acc += xv[r] * load_w (w + r * units + j); \
        store (yi + j, acc); \
      } \
      if (whole < units && units >= VL) { \
        UNROLL for (int r = 0; r < rows; r++) tail[i] \
            += xv[r] * load_w (w + (r + 1) * units - VL); \
      } else { \
        for (gsize j = whole; j < units; j++) \
          for (int r = 0; r < rows; r++) \
            yi[j] = madd (xi[r], scalar_w (w[r * units + j]), yi[j]); \
      } \
    } \
  } \
  static void name (gsize n, gsize n_k, gsize units, const float *x, gsize ldx, const type *w, \
      float *y, gsize ldy) \
  { \
    V tail[GEMV_SAMPLES] = { { 0 } }; \
    gsize k = 0; \
    for (; k + GEMV_ROWS <= n_k; k += GEMV_ROWS) \
      name##_rows (GEMV_ROWS, n, units, x + k, ldx, w + k * units, y, ldy, tail); \
    for (; k < n_k; k++) \
      name##_rows (1, n, units, x + k, ldx, w + k * units, y, ldy, tail); \
    for (gsize i = 0; i < n && units >= VL; i++) \
      for (gsize j = units / VL * VL; j < units; j++) \
        y[i * ldy + j] += tail[i][j + VL - units]; \
  }

DEFINE_GEMV (gemv_f32, float, load, )
DEFINE_GEMV (gemv_bf16, guint16, load_bf16, bf16_to_float)

static void
gemv (gsize n, gsize k, gsize units, const float *x, gsize ldx, const void *w, gboolean w_bf16,
    float *y, gsize ldy)
{
  if (w_bf16)
    gemv_bf16 (n, k, units, x, ldx, w, y, ldy);
  else
    gemv_f32 (n, k, units, x, ldx, w, y, ldy);
}

/* --- Winograd ------------------------------------------------------------- */

/* t = B^T d for one column of six */
INLINE void
wino_bt (const V d[6], V t[6])
{
  V a = d[4] - 4 * d[2], b = d[3] - 4 * d[1];
  V c = d[4] - d[2], e = 2 * (d[3] - d[1]);

  t[0] = 4 * d[0] - 5 * d[2] + d[4];
  t[1] = a + b;
  t[2] = a - b;
  t[3] = c + e;
  t[4] = c - e;
  t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

/* y = A^T m for one column of six */
INLINE void
wino_at (const V m[6], V y[4])
{
  V p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];

  y[0] = m[0] + p + r;
  y[1] = q + 2 * s;
  y[2] = p + 4 * r;
  y[3] = q + 8 * s + m[5];
}

/* t = A y for one column of four */
INLINE void
wino_a (const V y[4], V t[6])
{
  V p = y[0] + y[2], q = y[1] + y[3];
  V r = y[0] + 4 * y[2], s = 2 * y[1] + 8 * y[3];

  t[0] = y[0];
  t[1] = p + q;
  t[2] = p - q;
  t[3] = r + s;
  t[4] = r - s;
  t[5] = y[3];
}

static void
wino_input (const NnWinoBlock *block, const float *src, float *v)
{
  static const float zeros[NN_LANES];
  const gsize channels = block->channels;
  const gsize n_tiles = block->n_tile_rows * block->n_tile_cols;
  const gsize plane = n_tiles * channels;
  gsize tile = 0;

  for (gsize tr = 0; tr < block->n_tile_rows; tr++) {
    gssize y0 = 4 * (gssize) (block->tile_row + tr) - (gssize) block->pad;

    for (gsize tc = 0; tc < block->n_tile_cols; tc++, tile++) {
      gssize x0 = 4 * (gssize) tc - (gssize) block->pad;
      gboolean inside = y0 >= 0 && x0 >= 0 && y0 + 6 <= (gssize) block->height
          && x0 + 6 <= (gssize) block->width;
      const float *origin = src + (y0 * (gssize) block->width + x0) * (gssize) channels;
      gsize row = block->width * channels;

      for (gsize c = 0; c < channels; c += VL) {
        V t[6][6];
        float *out = v + tile * channels + c;

        UNROLL for (int j = 0; j < 6; j++)
        {
          V d[6], u[6];

          if (inside) {
            UNROLL for (int i = 0; i < 6; i++) d[i] = load (origin + i * row + j * channels + c);
          } else {
            for (int i = 0; i < 6; i++) {
              gboolean in = y0 + i >= 0 && y0 + i < (gssize) block->height && x0 + j >= 0
                  && x0 + j < (gssize) block->width;

              d[i] = load (in ? origin + i * row + j * channels + c : zeros);
            }
          }
          wino_bt (d, u);
          UNROLL for (int i = 0; i < 6; i++) t[i][j] = u[i];
        }
        UNROLL for (int i = 0; i < 6; i++)
        {
          V u[6];

          wino_bt (t[i], u);
          UNROLL for (int j = 0; j < 6; j++) store (out + (i * 6 + j) * plane, u[j]);
        }
      }
    }
  }
}

/* the 4x4 outputs of one tile, one vector of channels */
INLINE void
wino_tile_output (const float *m, gsize plane, V y[4][4])
{
  V t[4][6];

  UNROLL for (int j = 0; j < 6; j++)
  {
    V d[6], u[4];

    UNROLL for (int i = 0; i < 6; i++) d[i] = load (m + (i * 6 + j) * plane);
    wino_at (d, u);
    UNROLL for (int i = 0; i < 4; i++) t[i][j] = u[i];
  }
  UNROLL for (int i = 0; i < 4; i++) wino_at (t[i], y[i]);
}

static void
wino_output (const NnWinoBlock *block, const float *m, const NnWinoEpilogue *e, float *dst)
{
  const gsize channels = block->channels;
  const gsize plane = block->n_tile_rows * block->n_tile_cols * channels;
  const gsize pool_width = block->width / 2;
  gsize tile = 0;

  for (gsize tr = block->tile_row; tr < block->tile_row + block->n_tile_rows; tr++) {
    gsize n_rows = MIN (4, block->height - 4 * tr);

    for (gsize tc = 0; tc < block->n_tile_cols; tc++, tile++) {
      gsize n_cols = MIN (4, block->width - 4 * tc);

      for (gsize c = 0; c < channels; c += VL) {
        V y[4][4];
        V bias = e->bias ? load (e->bias + c) : (V) {};
        V cscale = {}, cshift = {};

        wino_tile_output (m + tile * channels + c, plane, y);
        if (e->affine.kind == NN_AFFINE_CHANNEL) {
          cscale = load (e->affine.scale + c);
          cshift = load (e->affine.shift + c);
        }
        UNROLL for (int i = 0; i < 4; i++)
        {
          V scale = cscale, shift = cshift;

          if (e->affine.kind == NN_AFFINE_ROW && (gsize) i < n_rows) {
            scale = splat (e->affine.scale[4 * tr + i]);
            shift = splat (e->affine.shift[4 * tr + i]);
          }
          UNROLL for (int j = 0; j < 4; j++)
          {
            V x = y[i][j] + bias;

            if (e->relu)
              x = vmax (x, (V) {});
            if (e->affine.kind != NN_AFFINE_NONE)
              x = x * scale + shift;
            y[i][j] = x;
          }
        }
        if (e->pool) {
          for (gsize i = 0; i < n_rows / 2; i++) {
            for (gsize j = 0; j < n_cols / 2; j++) {
              V x = vmax (vmax (y[2 * i][2 * j], y[2 * i][2 * j + 1]),
                  vmax (y[2 * i + 1][2 * j], y[2 * i + 1][2 * j + 1]));

              store (dst + ((2 * tr + i) * pool_width + 2 * tc + j) * channels + c, x);
            }
          }
        } else if (n_rows == 4 && n_cols == 4) {
          UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) store (
              dst + ((4 * tr + i) * block->width + 4 * tc + j) * channels + c, y[i][j]);
        } else {
          for (gsize i = 0; i < n_rows; i++)
            for (gsize j = 0; j < n_cols; j++)
              store (dst + ((4 * tr + i) * block->width + 4 * tc + j) * channels + c, y[i][j]);
        }
      }
    }
  }
}

static void
wino_doutput (const NnWinoBlock *block, const float *dy, float *dm)
{
  const gsize channels = block->channels;
  const gsize plane = block->n_tile_rows * block->n_tile_cols * channels;
  gsize tile = 0;

  for (gsize tr = block->tile_row; tr < block->tile_row + block->n_tile_rows; tr++) {
    gsize n_rows = MIN (4, block->height - 4 * tr);

    for (gsize tc = 0; tc < block->n_tile_cols; tc++, tile++) {
      gsize n_cols = MIN (4, block->width - 4 * tc);
      const float *origin = dy + (4 * tr * block->width + 4 * tc) * channels;

      for (gsize c = 0; c < channels; c += VL) {
        V t[6][4];
        float *out = dm + tile * channels + c;

        UNROLL for (int j = 0; j < 4; j++)
        {
          V d[4], u[6];

          UNROLL for (int i = 0; i < 4; i++) d[i] = (gsize) i < n_rows && (gsize) j < n_cols
              ? load (origin + (i * block->width + j) * channels + c)
              : (V) {};
          wino_a (d, u);
          UNROLL for (int i = 0; i < 6; i++) t[i][j] = u[i];
        }
        UNROLL for (int i = 0; i < 6; i++)
        {
          V u[6];

          wino_a (t[i], u);
          UNROLL for (int j = 0; j < 6; j++) store (out + (i * 6 + j) * plane, u[j]);
        }
      }
    }
  }
}

/* --- passes over memory ---------------------------------------------------- */

static void
affine (gsize n, const float *src, float scale, float shift, float *dst)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = src[i] * scale + shift;
}

static void
affine_channels (gsize n_pixels, gsize channels, const float *src, const float *scale,
    const float *shift, float *dst)
{
  for (gsize p = 0; p < n_pixels; p++, src += channels, dst += channels)
    for (gsize c = 0; c < channels; c++)
      dst[c] = src[c] * scale[c] + shift[c];
}

INLINE float
fmaxf_nan (float a, float b)
{
  return b > a ? b : a;
}

static void
affine_pool_rows (gsize n_out, gsize channels, const float *row0, const float *row1,
    const NnAffine *a, gsize row, float *dst)
{
  float s0 = 1, b0 = 0, s1 = 1, b1 = 0;

  if (a->kind == NN_AFFINE_ROW) {
    s0 = a->scale[row];
    b0 = a->shift[row];
    s1 = a->scale[row + 1];
    b1 = a->shift[row + 1];
  }
  for (gsize i = 0; i < n_out; i++, row0 += 2 * channels, row1 += 2 * channels, dst += channels) {
    gsize c = 0;

    for (; c + VL <= channels; c += VL) {
      V x00 = load (row0 + c), x01 = load (row0 + channels + c);
      V x10 = load (row1 + c), x11 = load (row1 + channels + c);

      if (a->kind == NN_AFFINE_CHANNEL) {
        V s = load (a->scale + c), b = load (a->shift + c);

        x00 = x00 * s + b;
        x01 = x01 * s + b;
        x10 = x10 * s + b;
        x11 = x11 * s + b;
      } else if (a->kind == NN_AFFINE_ROW) {
        x00 = x00 * s0 + b0;
        x01 = x01 * s0 + b0;
        x10 = x10 * s1 + b1;
        x11 = x11 * s1 + b1;
      }
      store (dst + c, vmax (vmax (x00, x01), vmax (x10, x11)));
    }
    for (; c < channels; c++) {
      gboolean by_channel = a->kind == NN_AFFINE_CHANNEL;
      float sa = by_channel ? a->scale[c] : s0, ba = by_channel ? a->shift[c] : b0;
      float sb = by_channel ? a->scale[c] : s1, bb = by_channel ? a->shift[c] : b1;
      float top = fmaxf_nan (row0[c] * sa + ba, row0[channels + c] * sa + ba);
      float bottom = fmaxf_nan (row1[c] * sb + bb, row1[channels + c] * sb + bb);

      dst[c] = fmaxf_nan (top, bottom);
    }
  }
}

static void
unpool_rows (gsize n_out, gsize width, gsize channels, const float *row0, const float *row1,
    const NnAffine *a, gsize row, const float *dpool, float *d0, float *d1)
{
  float s[2] = { 1, 1 }, b[2] = { 0, 0 };

  if (a->kind == NN_AFFINE_ROW) {
    for (int i = 0; i < 2; i++) {
      s[i] = a->scale[row + i];
      b[i] = a->shift[row + i];
    }
  }
  for (gsize i = 0; i < n_out; i++) {
    gsize o = 2 * i * channels, c = 0;

    for (; c + VL <= channels; c += VL) {
      V x[4] = { load (row0 + o + c), load (row0 + o + channels + c), load (row1 + o + c),
        load (row1 + o + channels + c) };
      V g = load (dpool + i * channels + c), zero = {}, best;
      VI taken = {};

      if (a->kind == NN_AFFINE_CHANNEL) {
        V sc = load (a->scale + c), sh = load (a->shift + c);

        UNROLL for (int k = 0; k < 4; k++) x[k] = x[k] * sc + sh;
      } else if (a->kind == NN_AFFINE_ROW) {
        UNROLL for (int k = 0; k < 4; k++) x[k] = x[k] * s[k / 2] + b[k / 2];
      }
      best = vmax (vmax (x[0], x[1]), vmax (x[2], x[3]));
      UNROLL for (int k = 0; k < 4; k++)
      {
        VI hit = (x[k] == best) & ~taken;

        taken |= hit;
        store ((k < 2 ? d0 : d1) + o + (k & 1) * channels + c, vselect (hit, g, zero));
      }
    }
    for (; c < channels; c++) {
      float x[4] = { row0[o + c], row0[o + channels + c], row1[o + c], row1[o + channels + c] };
      float *d[4] = { d0 + o + c, d0 + o + channels + c, d1 + o + c, d1 + o + channels + c };
      int best = 0;

      for (int k = 0; k < 4; k++) {
        if (a->kind == NN_AFFINE_CHANNEL)
          x[k] = x[k] * a->scale[c] + a->shift[c];
        else
          x[k] = x[k] * s[k / 2] + b[k / 2];
        *d[k] = 0;
        if (x[k] > x[best])
          best = k;
      }
      *d[best] = dpool[i * channels + c];
    }
  }
  for (gsize j = 2 * n_out * channels; j < width * channels; j++)
    d0[j] = d1[j] = 0;
}

static void
max_window (gsize channels, const float *src, const gsize *window, gsize n_window, float *dst)
{
  memcpy (dst, src + window[0], channels * sizeof (float));
  for (gsize i = 1; i < n_window; i++) {
    const float *p = src + window[i];

    for (gsize c = 0; c < channels; c++)
      dst[c] = fmaxf_nan (dst[c], p[c]);
  }
}

static void
activation (NnActivation kind, gsize n, const float *src, float *dst)
{
  switch (kind) {
    case NN_ACTIVATION_RELU:
      for (gsize i = 0; i < n; i++)
        dst[i] = src[i] < 0 ? 0 : src[i];
      break;
    case NN_ACTIVATION_SIGMOID:
      for (gsize i = 0; i < n; i++)
        dst[i] = 1 / (1 + expf (-src[i]));
      break;
    case NN_ACTIVATION_TANH:
      for (gsize i = 0; i < n; i++)
        dst[i] = tanhf (src[i]);
      break;
    default:
      if (dst != src)
        memmove (dst, src, n * sizeof (float));
      break;
  }
}

static void
activation_backward (NnActivation kind, gsize n, const float *y, const float *dy, float *dst)
{
  switch (kind) {
    case NN_ACTIVATION_RELU:
      for (gsize i = 0; i < n; i++)
        dst[i] = y[i] > 0 ? dy[i] : 0;
      break;
    case NN_ACTIVATION_SIGMOID:
      for (gsize i = 0; i < n; i++)
        dst[i] = dy[i] * y[i] * (1 - y[i]);
      break;
    case NN_ACTIVATION_TANH:
      for (gsize i = 0; i < n; i++)
        dst[i] = dy[i] * (1 - y[i] * y[i]);
      break;
    default:
      if (dst != dy)
        memmove (dst, dy, n * sizeof (float));
      break;
  }
}

static void
softmax (gsize n_rows, gsize n, const float *src, float *dst)
{
  for (gsize r = 0; r < n_rows; r++, src += n, dst += n) {
    float max = src[0], sum = 0;

    for (gsize i = 1; i < n; i++)
      max = fmaxf_nan (max, src[i]);
    for (gsize i = 0; i < n; i++)
      sum += dst[i] = expf (src[i] - max);
    for (gsize i = 0; i < n; i++)
      dst[i] /= sum;
  }
}

static void
softmax_backward (gsize n_rows, gsize n, const float *y, const float *dy, float *dst)
{
  for (gsize r = 0; r < n_rows; r++, y += n, dy += n, dst += n) {
    float dot = 0;

    for (gsize i = 0; i < n; i++)
      dot += y[i] * dy[i];
    for (gsize i = 0; i < n; i++)
      dst[i] = y[i] * (dy[i] - dot);
  }
}

static void
moments (gsize n, const float *x, double *mean, double *m2)
{
  V s[4] = { { 0 } };
  double sum = 0, sq = 0;
  float mu;
  gsize i = 0;

  for (; i + 4 * VL <= n; i += 4 * VL)
    UNROLL for (int k = 0; k < 4; k++) s[k] += load (x + i + k * VL);
  for (int k = 0; k < 4; k++)
    for (int l = 0; l < VL; l++)
      sum += s[k][l];
  for (; i < n; i++)
    sum += x[i];
  *mean = sum / n;
  mu = (float) *mean;
  for (int k = 0; k < 4; k++)
    s[k] = (V) {};
  for (i = 0; i + 4 * VL <= n; i += 4 * VL) {
    UNROLL for (int k = 0; k < 4; k++)
    {
      V d = load (x + i + k * VL) - mu;

      s[k] += d * d;
    }
  }
  for (int k = 0; k < 4; k++)
    for (int l = 0; l < VL; l++)
      sq += s[k][l];
  for (; i < n; i++)
    sq += (x[i] - mu) * (x[i] - mu);
  /* mu is rounded: the deviations' own mean is not quite nought */
  sq -= n * (*mean - mu) * (*mean - mu);
  *m2 = MAX (sq, 0);
}

static void
bn_sums (gsize n, const float *x, const float *dy, float mean, float inv_std, double *sum_dy,
    double *sum_dy_xhat)
{
  V a[2] = { { 0 } }, b[2] = { { 0 } };
  double sa = 0, sb = 0;
  gsize i = 0;

  for (; i + 2 * VL <= n; i += 2 * VL) {
    UNROLL for (int k = 0; k < 2; k++)
    {
      V g = load (dy + i + k * VL);

      a[k] += g;
      b[k] += g * (load (x + i + k * VL) - mean);
    }
  }
  for (int l = 0; l < VL; l++) {
    sa += (double) a[0][l] + a[1][l];
    sb += (double) b[0][l] + b[1][l];
  }
  for (; i < n; i++) {
    sa += dy[i];
    sb += dy[i] * (x[i] - mean);
  }
  *sum_dy += sa;
  *sum_dy_xhat += sb * inv_std;
}

static void
bn_dx (gsize n, const float *x, const float *dy, float mean, float k1, float k2, float k3,
    gboolean relu, float *dx)
{
  if (relu) {
    for (gsize i = 0; i < n; i++) {
      float d = k1 * (dy[i] - k2 - (x[i] - mean) * k3);

      dx[i] = x[i] > 0 ? d : 0;
    }
  } else {
    for (gsize i = 0; i < n; i++)
      dx[i] = k1 * (dy[i] - k2 - (x[i] - mean) * k3);
  }
}

static void
moments_channels (gsize n_pixels, gsize channels, const float *x, double *mean, double *m2)
{
  for (gsize c = 0; c < channels; c++)
    mean[c] = m2[c] = 0;
  for (gsize p = 0; p < n_pixels; p++)
    for (gsize c = 0; c < channels; c++)
      mean[c] += x[p * channels + c];
  for (gsize c = 0; c < channels; c++)
    mean[c] /= n_pixels;
  for (gsize p = 0; p < n_pixels; p++) {
    for (gsize c = 0; c < channels; c++) {
      double d = x[p * channels + c] - mean[c];

      m2[c] += d * d;
    }
  }
}

static void
bn_sums_channels (gsize n_pixels, gsize channels, const float *x, const float *dy,
    const float *mean, const float *inv_std, double *sum_dy, double *sum_dy_xhat)
{
  for (gsize p = 0; p < n_pixels; p++, x += channels, dy += channels) {
    for (gsize c = 0; c < channels; c++) {
      sum_dy[c] += dy[c];
      sum_dy_xhat[c] += dy[c] * (x[c] - mean[c]) * inv_std[c];
    }
  }
}

static void
bn_dx_channels (gsize n_pixels, gsize channels, const float *x, const float *dy,
    const float *mean, const float *k1, const float *k2, const float *k3, gboolean relu, float *dx)
{
  for (gsize p = 0; p < n_pixels; p++, x += channels, dy += channels, dx += channels) {
    for (gsize c = 0; c < channels; c++) {
      float d = k1[c] * (dy[c] - k2[c] - (x[c] - mean[c]) * k3[c]);

      dx[c] = relu && x[c] <= 0 ? 0 : d;
    }
  }
}

static void
column_sums (gsize n_rows, gsize n, const float *x, float *sum)
{
  for (gsize r = 0; r < n_rows; r++, x += n)
    for (gsize i = 0; i < n; i++)
      sum[i] += x[i];
}

static void
add (gsize n, const float *x, float *y)
{
  for (gsize i = 0; i < n; i++)
    y[i] += x[i];
}

static float
dot (gsize n, const float *x, const float *y)
{
  V acc[2] = { { 0 } };
  float sum = 0;
  gsize i = 0;

  for (; i + 2 * VL <= n; i += 2 * VL) {
    acc[0] += load (x + i) * load (y + i);
    acc[1] += load (x + i + VL) * load (y + i + VL);
  }
  acc[0] += acc[1];
  for (int l = 0; l < VL; l++)
    sum += acc[0][l];
  for (; i < n; i++)
    sum += x[i] * y[i];
  return sum;
}

static void
to_bf16 (gsize n, const float *src, guint16 *dst)
{
  const guint32 *bits = (const void *) src;

  for (gsize i = 0; i < n; i++) {
    guint32 b = bits[i], rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;

    dst[i] = (guint16) ((b & 0x7fffffff) > 0x7f800000 ? (b >> 16) | 0x40 : rounded);
  }
}

INLINE float
regularized (float g, float w, float l1, float l2)
{
  return g + 2 * l2 * w + (w > 0 ? l1 : w < 0 ? -l1 : 0);
}

static void
adam (gsize n, float *restrict w, float *restrict m, float *restrict v, const float *restrict g,
    float rate, float beta_1, float beta_2, float epsilon, float l1, float l2)
{
  const float c1 = 1 - beta_1, c2 = 1 - beta_2;

  for (gsize i = 0; i < n; i++) {
    float gi = regularized (g[i], w[i], l1, l2);
    float mi = beta_1 * m[i] + c1 * gi;
    float vi = beta_2 * v[i] + c2 * gi * gi;

    m[i] = mi;
    v[i] = vi;
    w[i] -= rate * mi / (sqrtf (vi) + epsilon);
  }
}

static void
sgd (gsize n, float *restrict w, float *restrict m, const float *restrict g, float rate,
    float momentum, gboolean nesterov, float l1, float l2)
{
  for (gsize i = 0; i < n; i++) {
    float step = rate * regularized (g[i], w[i], l1, l2), mi = momentum * m[i] - step;

    m[i] = mi;
    w[i] += nesterov ? momentum * mi - step : mi;
  }
}

extern const NnCpuKernels NN_KERNELS;

const NnCpuKernels NN_KERNELS = {
  .name = NN_KERNELS_NAME,
  .gemm = gemm,
  .gemv = gemv,
  .wino_input = wino_input,
  .wino_output = wino_output,
  .wino_doutput = wino_doutput,
  .affine = affine,
  .affine_channels = affine_channels,
  .affine_pool_rows = affine_pool_rows,
  .max_window = max_window,
  .activation = activation,
  .activation_backward = activation_backward,
  .softmax = softmax,
  .softmax_backward = softmax_backward,
  .moments = moments,
  .bn_sums = bn_sums,
  .bn_dx = bn_dx,
  .moments_channels = moments_channels,
  .bn_sums_channels = bn_sums_channels,
  .bn_dx_channels = bn_dx_channels,
  .unpool_rows = unpool_rows,
  .column_sums = column_sums,
  .add = add,
  .dot = dot,
  .to_bf16 = to_bf16,
  .adam = adam,
  .sgd = sgd,
};
