/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend-module.h"

G_BEGIN_DECLS

/* NVIDIA's libraries, opened at run time: nothing here links to them, and the
 * module loads where none is installed. Each is looked for in the folders of
 * $CLASSIFY_CUDA_PATH (separated by colons), then where the system has its
 * libraries; a "-" in that path ends the search. Needs no NVIDIA header. */

typedef struct
{
  void *driver;   /* libcuda.so.1 */
  void *cublaslt; /* libcublasLt.so.13 or .12 */
  void *cudnn;    /* libcudnn.so.9 */
  int driver_version; /* the newest CUDA it knows: 13000 = 13.0 */
  gsize cudnn_version; /* 91900 = 9.19.0 */
  guint n_devices;
} NnCudaLibraries;

/* Opened by the first call that succeeds and kept for the life of the process.
 * Returns: (transfer none): or NULL with NN_ERROR_BACKEND and the one reason:
 * no driver, not a driver, driver fails, too old, no device, a library missing
 * or too old. May be called from any thread. */
const NnCudaLibraries *nn_cuda_libraries_get (const NnHost *host, GError **error);

/* The name of device @index, "NVIDIA H200, sm_90, 140 GiB"; (transfer full) */
char *nn_cuda_describe_device (const NnCudaLibraries *libraries, guint index);

/* FALSE with NN_ERROR_BACKEND where device @index is older than this build's code. */
gboolean nn_cuda_check_device (const NnHost *host, const NnCudaLibraries *libraries, guint index,
    GError **error);

G_END_DECLS
