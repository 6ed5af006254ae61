/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/map-kernels.h"

#include <string.h>

#include "nn/cpu/kernels.h"

extern const NnMapKernels nn_map_kernels_c;
#ifdef NN_HAVE_X86_LEVELS
extern const NnMapKernels nn_map_kernels_avx2;
extern const NnMapKernels nn_map_kernels_avx512;
#endif

const NnMapKernels *
nn_map_kernels_get (void)
{
#ifdef NN_HAVE_X86_LEVELS
  const char *level = nn_cpu_kernels_get ()->name;

  if (strcmp (level, nn_map_kernels_avx512.name) == 0)
    return &nn_map_kernels_avx512;
  if (strcmp (level, nn_map_kernels_avx2.name) == 0)
    return &nn_map_kernels_avx2;
#endif
  return &nn_map_kernels_c;
}
