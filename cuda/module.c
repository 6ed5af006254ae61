/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The module nn-backend-cuda.so. In this version it holds no CUDA back end: it
 * looks for what one needs and says what is missing, one by one, or that only the
 * back end itself is. Needs no CUDA toolkit to build and no NVIDIA library to load. */

#include <gmodule.h>

#include "cuda/loader.h"
#include "nn/error.h"

static const NnHost *the_host;

static guint
count_devices (GError **error)
{
  const NnCudaLibraries *libraries = nn_cuda_libraries_get (the_host, error);

  return libraries ? libraries->n_devices : 0;
}

static char *
describe_device (guint index)
{
  const NnCudaLibraries *libraries = nn_cuda_libraries_get (the_host, NULL);

  return libraries ? nn_cuda_describe_device (libraries, index)
                   : g_strdup_printf ("CUDA device %u", index);
}

static gpointer
open_device (guint index, GError **error)
{
  const NnCudaLibraries *libraries = nn_cuda_libraries_get (the_host, error);

  if (libraries && nn_cuda_check_device (the_host, libraries, index, error))
    g_set_error_literal (error, the_host->error_domain, NN_ERROR_BACKEND,
        "a device, CUDA and cuDNN are there, but this version of classify has no CUDA back end "
        "yet: use the CPU");
  return NULL;
}

static void
close_device (gpointer device)
{
}

/* open_device() gives no device, so that none of the plan entries can be reached */
static const NnBackendClass klass = {
  .abi = NN_BACKEND_ABI,
  .size = sizeof (NnBackendClass),
  .name = "cuda",
  .count_devices = count_devices,
  .describe_device = describe_device,
  .open = open_device,
  .close = close_device,
};

G_MODULE_EXPORT const NnBackendClass *nn_backend_module_query (const NnHost *host);

const NnBackendClass *
nn_backend_module_query (const NnHost *host)
{
  if (host->abi != NN_BACKEND_ABI || host->size != sizeof (NnHost))
    return NULL;
  the_host = host;
  return &klass;
}
