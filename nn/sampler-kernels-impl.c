/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compiled once per instruction set: NN_KERNELS names the table, NN_KERNELS_NAME is its name.
 * The level "c" is for every CPU; its rows are ORC's (sampler-kernels.c). */

#include "nn/sampler-kernels.h"

#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__ ((always_inline))

/* --- rows ------------------------------------------------------------------------- */

#ifdef __AVX2__

/* BLOCK samples at a time, as two vectors of 16 bits a sample */
#ifdef __AVX512BW__
#define BLOCK 64
typedef __m512i V;
#define V_ADD _mm512_add_epi16
#define V_AND _mm512_and_si512
#define V_HIGH _mm512_mulhi_epu16
#define V_SHL _mm512_sll_epi16
#define V_SHR _mm512_srl_epi16
#define V_SPLAT(x) _mm512_set1_epi16 ((gint16) (x))
#define V_LOAD_8(p) _mm512_cvtepu8_epi16 (_mm256_loadu_si256 ((const void *) (p)))
#define V_LOAD_16(p) _mm512_loadu_si512 ((const void *) (p))
#define V_STORE(p, v) _mm512_storeu_si512 (p, v)
#else
#define BLOCK 32
typedef __m256i V;
#define V_ADD _mm256_add_epi16
#define V_AND _mm256_and_si256
#define V_HIGH _mm256_mulhi_epu16
#define V_SHL _mm256_sll_epi16
#define V_SHR _mm256_srl_epi16
#define V_SPLAT(x) _mm256_set1_epi16 ((gint16) (x))
#define V_LOAD_8(p) _mm256_cvtepu8_epi16 (_mm_loadu_si128 ((const void *) (p)))
#define V_LOAD_16(p) _mm256_loadu_si256 ((const void *) (p))
#define V_STORE(p, v) _mm256_storeu_si256 ((void *) (p), v)
#endif
#define HALF (BLOCK / 2)

INLINE V
load (const guint8 *row, gsize i, gboolean is_10, __m128i down)
{
  return is_10 ? V_AND (V_SHR (V_LOAD_16 (row + 2 * i), down), V_SPLAT (1023))
               : V_LOAD_8 (row + i);
}

INLINE void
area_block (const NnAreaRows *r, gsize at, gboolean is_10, gint16 *dst)
{
  const __m128i up = _mm_cvtsi32_si128 ((int) r->up), down = _mm_cvtsi32_si128 ((int) r->down);
  const __m128i up_16 = _mm_cvtsi32_si128 (is_10 ? 6 : 8);
  const V whole_weight = V_SPLAT (r->whole_weight), bias = V_SPLAT (r->bias);
  const V first_weight = V_SPLAT (r->first_weight), last_weight = V_SPLAT (r->last_weight);
  const guint8 *row = r->first + r->stride;
  const guint8 *ahead = r->last + at * (is_10 ? 2 : 1);
  V a = V_SPLAT (0), b = V_SPLAT (0);

  /* the next output row's: with five rows in two pages no CPU foresees them by itself */
  for (guint k = r->n_ahead; k > 0; k--)
    __builtin_prefetch (ahead += r->stride);
  for (guint k = r->n_whole; k > 0; k--, row += r->stride) {
    a = V_ADD (a, load (row, at, is_10, down));
    b = V_ADD (b, load (row, at + HALF, is_10, down));
  }
  a = V_ADD (V_HIGH (V_SHL (a, up), whole_weight), bias);
  b = V_ADD (V_HIGH (V_SHL (b, up), whole_weight), bias);
  a = V_ADD (a, V_HIGH (V_SHL (load (r->first, at, is_10, down), up_16), first_weight));
  b = V_ADD (b, V_HIGH (V_SHL (load (r->first, at + HALF, is_10, down), up_16), first_weight));
  a = V_ADD (a, V_HIGH (V_SHL (load (r->last, at, is_10, down), up_16), last_weight));
  b = V_ADD (b, V_HIGH (V_SHL (load (r->last, at + HALF, is_10, down), up_16), last_weight));
  V_STORE (dst + at, a);
  V_STORE (dst + at + HALF, b);
}

INLINE guint
sample (const guint8 *row, gsize i, gboolean is_10, guint down)
{
  return is_10 ? (guint) (row[2 * i] | row[2 * i + 1] << 8) >> down & 1023 : row[i];
}

INLINE void
area_rows (const NnAreaRows *r, gsize n, gboolean is_10, gint16 *dst)
{
  const guint up = is_10 ? 6 : 8;
  gsize at = 0;

  for (; at + BLOCK <= n; at += BLOCK)
    area_block (r, at, is_10, dst);
  if (at < n && n >= BLOCK) {
    /* overlaps the one before: what it writes twice is the same */
    area_block (r, n - BLOCK, is_10, dst);
    return;
  }
  for (; at < n; at++) {
    const guint8 *row = r->first + r->stride;
    guint sum = 0, whole, first, last;

    for (guint k = r->n_whole; k > 0; k--, row += r->stride)
      sum += sample (row, at, is_10, r->down);
    whole = (sum << r->up) * r->whole_weight >> 16;
    first = (sample (r->first, at, is_10, r->down) << up) * r->first_weight >> 16;
    last = (sample (r->last, at, is_10, r->down) << up) * r->last_weight >> 16;
    dst[at] = (gint16) (whole + first + last + r->bias);
  }
}

static void
area_rows_8 (const NnAreaRows *r, gsize n, guint16 *unused, gint16 *dst)
{
  area_rows (r, n, FALSE, dst);
}

static void
area_rows_10 (const NnAreaRows *r, gsize n, guint16 *unused, gint16 *dst)
{
  area_rows (r, n, TRUE, dst);
}

#endif

/* --- columns ------------------------------------------------------------------------- */

#ifdef __SSE2__

/* four dot products' partial sums to four sums, in each 128 bits */
INLINE __m128i
sum_4 (__m128i a, __m128i b, __m128i c, __m128i d)
{
  __m128i ab = _mm_add_epi32 (_mm_unpacklo_epi32 (a, b), _mm_unpackhi_epi32 (a, b));
  __m128i cd = _mm_add_epi32 (_mm_unpacklo_epi32 (c, d), _mm_unpackhi_epi32 (c, d));

  return _mm_add_epi32 (_mm_unpacklo_epi64 (ab, cd), _mm_unpackhi_epi64 (ab, cd));
}

INLINE __m128i
dot_8 (const gint16 *row, const gint16 *weights, guint n_lanes)
{
  __m128i sum = _mm_setzero_si128 ();

  for (guint k = 0; k < n_lanes; k += 8)
    sum = _mm_add_epi32 (sum,
        _mm_madd_epi16 (_mm_loadu_si128 ((const void *) (row + k)),
            _mm_loadu_si128 ((const void *) (weights + k))));
  return sum;
}

#ifdef __AVX2__
INLINE __m256i
sum_4_wide (__m256i a, __m256i b, __m256i c, __m256i d)
{
  __m256i ab = _mm256_add_epi32 (_mm256_unpacklo_epi32 (a, b), _mm256_unpackhi_epi32 (a, b));
  __m256i cd = _mm256_add_epi32 (_mm256_unpacklo_epi32 (c, d), _mm256_unpackhi_epi32 (c, d));

  return _mm256_add_epi32 (_mm256_unpacklo_epi64 (ab, cd), _mm256_unpackhi_epi64 (ab, cd));
}

INLINE __m256i
dot_16 (const gint16 *row, const gint16 *weights, guint n_lanes)
{
  __m256i sum = _mm256_setzero_si256 ();
  guint k = 0;

  for (; k + 16 <= n_lanes; k += 16)
    sum = _mm256_add_epi32 (sum,
        _mm256_madd_epi16 (_mm256_loadu_si256 ((const void *) (row + k)),
            _mm256_loadu_si256 ((const void *) (weights + k))));
  if (k < n_lanes)
    sum = _mm256_add_epi32 (sum, _mm256_zextsi128_si256 (dot_8 (row + k, weights + k, 8)));
  return sum;
}
#endif

INLINE void
columns_of (const NnAreaColumns *c, const gint16 *row, guint n_lanes, float *restrict dst)
{
  const gsize n = n_lanes;
  const gint16 *w = c->weights;

  for (guint x = 0; x < c->n; x += 4, w += 4 * n) {
    const gint16 *row_0 = row + c->first[x], *row_1 = row + c->first[x + 1];
    const gint16 *row_2 = row + c->first[x + 2], *row_3 = row + c->first[x + 3];
    __m128i sums;

#ifdef __AVX2__
    if (n_lanes >= 16) {
      __m256i wide = sum_4_wide (dot_16 (row_0, w, n_lanes), dot_16 (row_1, w + n, n_lanes),
          dot_16 (row_2, w + 2 * n, n_lanes), dot_16 (row_3, w + 3 * n, n_lanes));

      sums = _mm_add_epi32 (_mm256_castsi256_si128 (wide), _mm256_extracti128_si256 (wide, 1));
    } else
#endif
      sums = sum_4 (dot_8 (row_0, w, n_lanes), dot_8 (row_1, w + n, n_lanes),
          dot_8 (row_2, w + 2 * n, n_lanes), dot_8 (row_3, w + 3 * n, n_lanes));
    _mm_storeu_ps (dst + x, _mm_mul_ps (_mm_cvtepi32_ps (sums), _mm_loadu_ps (c->scale + x)));
  }
}

#else

INLINE void
columns_of (const NnAreaColumns *c, const gint16 *row, guint n_lanes, float *restrict dst)
{
  for (guint x = 0; x < c->n; x++) {
    const gint16 *from = row + c->first[x], *weights = c->weights + (gsize) x * n_lanes;
    gint32 sum = 0;

    for (guint k = 0; k < n_lanes; k++)
      sum += (gint32) from[k] * weights[k];
    dst[x] = (float) sum * c->scale[x];
  }
}

#endif

static void
area_columns (const NnAreaColumns *c, const gint16 *row, float *dst)
{
  switch (c->n_lanes) { /* constants for the compiler */
    case 8:
      columns_of (c, row, 8, dst);
      break;
    case 16:
      columns_of (c, row, 16, dst);
      break;
    case 32:
      columns_of (c, row, 32, dst);
      break;
    default:
      columns_of (c, row, c->n_lanes, dst);
      break;
  }
}

/* --- pixels ---------------------------------------------------------------------------- */

static void
yuv_to_rgb (const NnYuvMatrix *matrix, guint n, float *restrict a, float *restrict b,
    float *restrict c)
{
  const NnYuvMatrix m = *matrix;

  for (guint x = 0; x < n; x++) {
    float y = (a[x] - m.y_offset) * m.y_scale, u = b[x] - 128, v = c[x] - 128;

    a[x] = y + m.rv * v;
    b[x] = y + m.gu * u + m.gv * v;
    c[x] = y + m.bu * u;
  }
}

/* nn_round_byte() without comparing floats, which keeps GCC from using SIMD */
INLINE guint32
round_byte (float x)
{
  gint32 i = (gint32) (x + 0.5f);

  i = i < 0 ? 0 : i;
  return (guint32) (i > 255 ? 255 : i);
}

#define PACK_BLOCK 16

static void
pack (guint n, const float *restrict a, const float *restrict b, const float *restrict c,
    guint8 *restrict dst)
{
  /* each store of a block is 4 bytes longer than its pixels: two more must follow */
  for (; n >= PACK_BLOCK + 2; n -= PACK_BLOCK, a += PACK_BLOCK, b += PACK_BLOCK, c += PACK_BLOCK) {
    guint32 pixels[PACK_BLOCK];

    for (guint i = 0; i < PACK_BLOCK; i++)
      pixels[i] = GUINT32_TO_LE (
          round_byte (a[i]) | round_byte (b[i]) << 8 | round_byte (c[i]) << 16);
#ifdef __AVX2__
    for (guint i = 0; i < PACK_BLOCK; i += 4, dst += 12)
      _mm_storeu_si128 ((void *) dst,
          _mm_shuffle_epi8 (_mm_loadu_si128 ((const void *) (pixels + i)),
              _mm_setr_epi8 (0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)));
#else
    for (guint i = 0; i < PACK_BLOCK; i++, dst += 3)
      memcpy (dst, &pixels[i], 4);
#endif
  }
  for (guint x = 0; x < n; x++, dst += 3) {
    dst[0] = (guint8) round_byte (a[x]);
    dst[1] = (guint8) round_byte (b[x]);
    dst[2] = (guint8) round_byte (c[x]);
  }
}

static void
scale (gsize n, const guint8 *restrict src, const float *restrict mean,
    const float *restrict factor, float *restrict dst)
{
  gsize at = 0;

  for (; at + NN_SCALE_PERIOD <= n; at += NN_SCALE_PERIOD)
    for (guint i = 0; i < NN_SCALE_PERIOD; i++)
      dst[at + i] = (src[at + i] - mean[i]) * factor[i];
  for (guint i = 0; at + i < n; i++)
    dst[at + i] = (src[at + i] - mean[i]) * factor[i];
}

extern const NnSamplerKernels NN_KERNELS;
const NnSamplerKernels NN_KERNELS = {
  .name = NN_KERNELS_NAME,
#ifdef __AVX2__
  .area_rows_8 = area_rows_8,
  .area_rows_10 = area_rows_10,
#endif
  .area_columns = area_columns,
  .yuv_to_rgb = yuv_to_rgb,
  .pack = pack,
  .scale = scale,
};
