/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/kernels.h"

#include <string.h>

extern const NnCpuKernels nn_cpu_kernels_c;
#ifdef NN_HAVE_X86_LEVELS
extern const NnCpuKernels nn_cpu_kernels_avx2;
extern const NnCpuKernels nn_cpu_kernels_avx512;
#endif

static gboolean
always (void)
{
  return TRUE;
}

#ifdef NN_HAVE_X86_LEVELS
static gboolean
has_avx512 (void)
{
  return __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw")
      && __builtin_cpu_supports ("avx512vl") && __builtin_cpu_supports ("avx512dq")
      && __builtin_cpu_supports ("fma");
}

static gboolean
has_avx2 (void)
{
  return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma");
}
#endif

/* in order of preference */
static const struct
{
  const NnCpuKernels *kernels;
  gboolean (*runs_here) (void);
} levels[] = {
#ifdef NN_HAVE_X86_LEVELS
  { &nn_cpu_kernels_avx512, has_avx512 },
  { &nn_cpu_kernels_avx2, has_avx2 },
#endif
  { &nn_cpu_kernels_c, always },
};

const NnCpuKernels *
nn_cpu_kernels_get (void)
{
  const char *most = g_getenv ("CLASSIFY_CPU_ISA");
  gboolean known = FALSE;

  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    known |= g_strcmp0 (most, levels[i].kernels->name) == 0;
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++) {
    if (known && strcmp (most, levels[i].kernels->name) != 0)
      continue;
    known = FALSE; /* from the named level downwards */
    if (levels[i].runs_here ())
      return levels[i].kernels;
  }
  return &nn_cpu_kernels_c;
}

static const double G[6][3] = {
  { 1. / 4, 0, 0 },
  { -1. / 6, -1. / 6, -1. / 6 },
  { -1. / 6, 1. / 6, -1. / 6 },
  { 1. / 24, 1. / 12, 1. / 6 },
  { 1. / 24, -1. / 12, 1. / 6 },
  { 0, 0, 1 },
};

void
nn_wino_weights (gsize in, gsize out, const float *kernel, gboolean flip, float *u)
{
  const gsize plane = in * out;

  for (gsize i = 0; i < in; i++) {
    for (gsize o = 0; o < out; o++) {
      double g[3][3], t[6][3];
      float *dst = u + (flip ? o * in + i : i * out + o);

      for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
          g[r][c] = kernel[(flip ? (2 - r) * 3 + 2 - c : r * 3 + c) * plane + i * out + o];
      for (int r = 0; r < 6; r++)
        for (int c = 0; c < 3; c++)
          t[r][c] = G[r][0] * g[0][c] + G[r][1] * g[1][c] + G[r][2] * g[2][c];
      for (int r = 0; r < 6; r++)
        for (int c = 0; c < 6; c++)
          dst[(r * 6 + c) * plane]
              = (float) (t[r][0] * G[c][0] + t[r][1] * G[c][1] + t[r][2] * G[c][2]);
    }
  }
}

void
nn_wino_dweights (gsize in, gsize out, const float *du, float *dkernel)
{
  const gsize plane = in * out;

  for (gsize p = 0; p < plane; p++) {
    double t[3][6];

    for (int r = 0; r < 3; r++) {
      for (int c = 0; c < 6; c++) {
        t[r][c] = 0;
        for (int k = 0; k < 6; k++)
          t[r][c] += G[k][r] * du[(k * 6 + c) * plane + p];
      }
    }
    for (int r = 0; r < 3; r++) {
      for (int c = 0; c < 3; c++) {
        double sum = 0;

        for (int k = 0; k < 6; k++)
          sum += t[r][k] * G[k][c];
        dkernel[(r * 3 + c) * plane + p] = (float) sum;
      }
    }
  }
}
