/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cuda/device.h"

G_BEGIN_DECLS

/* The model's parameters on the device, float32, kernels transposed. */
typedef struct
{
  NnModel *model;
  float *(*values)[NN_MAX_PARAMS]; /* [layer][param]; NULL where no layer needs it */
} NnCudaParams;

gboolean nn_cuda_params_init (
    NnCudaParams *params, NnCudaContext *c, NnModel *model, GError **error);
void nn_cuda_params_clear (NnCudaParams *params);
gboolean nn_cuda_params_upload (NnCudaParams *params, NnCudaContext *c, GError **error);
/* of layer @layer, or NULL */
float *nn_cuda_params_get (const NnCudaParams *params, guint layer, const char *name);

G_END_DECLS
