/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/sampler-kernels.h"

#include <string.h>

#include "sampler-orc.h"

extern const NnSamplerKernels nn_sampler_kernels_c;
#ifdef NN_HAVE_X86_LEVELS
extern const NnSamplerKernels nn_sampler_kernels_avx2;
extern const NnSamplerKernels nn_sampler_kernels_avx512;
#endif

/* --- rows by ORC ------------------------------------------------------------------ */

static void
area_rows_8 (const NnAreaRows *r, gsize n_samples, guint16 *sums, gint16 *dst)
{
  const int n = (int) n_samples;
  const guint8 *row = r->first + r->stride;
  const gssize stride = r->stride;
  guint k = r->n_whole;

  if (k >= 4) {
    nn_orc_sum4_u8 (sums, row, row + stride, row + 2 * stride, row + 3 * stride, n);
    k -= 4;
    row += 4 * stride;
  } else if (k > 0) {
    nn_orc_set_u8 (sums, row, n);
    k--;
    row += stride;
  } else {
    memset (sums, 0, n_samples * sizeof (guint16));
  }
  for (; k >= 4; k -= 4, row += 4 * stride)
    nn_orc_add4_u8 (sums, row, row + stride, row + 2 * stride, row + 3 * stride, n);
  for (; k > 0; k--, row += stride)
    nn_orc_add_u8 (sums, row, n);
  nn_orc_weigh_u8 (dst, sums, r->first, r->last, (int) r->up, r->whole_weight, r->first_weight,
      r->last_weight, r->bias, n);
}

static void
area_rows_10 (const NnAreaRows *r, gsize n_samples, guint16 *sums, gint16 *dst)
{
  const int n = (int) n_samples, down = (int) r->down;
  const guint8 *row = r->first + r->stride;

  if (r->n_whole == 0)
    memset (sums, 0, n_samples * sizeof (guint16));
  for (guint k = 0; k < r->n_whole; k++, row += r->stride) {
    if (k == 0)
      nn_orc_set_u10 (sums, (const guint16 *) (gconstpointer) row, down, n);
    else
      nn_orc_add_u10 (sums, (const guint16 *) (gconstpointer) row, down, n);
  }
  nn_orc_weigh_u10 (dst, sums, (const guint16 *) (gconstpointer) r->first,
      (const guint16 *) (gconstpointer) r->last, (int) r->up, r->whole_weight, r->first_weight,
      r->last_weight, r->bias, down, n);
}

/* --- the choice ---------------------------------------------------------------------- */

static gpointer
choose (gpointer unused)
{
  static NnSamplerKernels orc;
#ifdef NN_HAVE_X86_LEVELS
  const char *most = g_getenv ("CLASSIFY_CPU_ISA");

  if (g_strcmp0 (most, "c") != 0) {
    if (g_strcmp0 (most, "avx2") != 0 && __builtin_cpu_supports ("avx512f")
        && __builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl")
        && __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("fma"))
      return (gpointer) &nn_sampler_kernels_avx512;
    if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
      return (gpointer) &nn_sampler_kernels_avx2;
  }
#endif
  orc = nn_sampler_kernels_c;
  orc.area_rows_8 = area_rows_8;
  orc.area_rows_10 = area_rows_10;
  return &orc;
}

const NnSamplerKernels *
nn_sampler_kernels_get (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, choose, NULL);
}
