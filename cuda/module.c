/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The module nn-backend-cuda.so. It loads where no NVIDIA library is installed and then
 * says what is missing. Built without the CUDA toolkit it holds no back end: it can do
 * nothing but that. */

#include <gmodule.h>
#include <string.h>

#include "cuda/loader.h"
#ifdef NN_CUDA_TOOLKIT
#include "cuda/plan.h"
#endif
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

#ifdef NN_CUDA_TOOLKIT

static gpointer
open_device (guint index, gpointer context, GError **error)
{
  static GMutex lock;
  static gboolean loaded;
  const NnCudaLibraries *libraries = nn_cuda_libraries_get (the_host, error);
  g_autofree char *name = NULL;
  NnCudaDevice *device;

  if (!libraries || !nn_cuda_check_device (the_host, libraries, index, error))
    return NULL;
  g_mutex_lock (&lock);
  loaded = loaded || nn_api_load (the_host, libraries, error);
  g_mutex_unlock (&lock);
  device = loaded ? nn_cuda_device_new (the_host, index, context, error) : NULL;
  if (!device)
    return NULL;
  name = nn_cuda_describe_device (libraries, index);
  device->choices = nn_cuda_choices_new (the_host, name, libraries->driver_version,
      libraries->cudnn_version, nn_api.cublasLtGetVersion ());
  return device;
}

static void
close_device (gpointer device)
{
  nn_cuda_device_free (device);
}

static gpointer
get_context (gpointer device)
{
  return ((NnCudaDevice *) device)->context;
}

#else

static gpointer
open_device (guint index, gpointer context, GError **error)
{
  const NnCudaLibraries *libraries = nn_cuda_libraries_get (the_host, error);

  if (libraries && nn_cuda_check_device (the_host, libraries, index, error))
    g_set_error_literal (error, the_host->error_domain, NN_ERROR_BACKEND,
        "a device, CUDA and cuDNN are there, but this build of classify has no CUDA back end: "
        "build it where nvcc, CUDA 12 or 13 and cuDNN 9 are installed, or use the CPU");
  return NULL;
}

static void
close_device (gpointer device)
{
}

#endif

static const NnBackendClass klass = {
  .abi = NN_BACKEND_ABI,
  .size = sizeof (NnBackendClass),
  .name = "cuda",
  .count_devices = count_devices,
  .describe_device = describe_device,
  .open = open_device,
  .close = close_device,
#ifdef NN_CUDA_TOOLKIT /* else open() gives no device, and none of these can be reached */
  .get_context = get_context,
  .plan_new = nn_cuda_plan_new,
  .plan_free = nn_cuda_plan_free,
  .plan_get_threads = nn_cuda_plan_get_threads,
  .plan_get_input = nn_cuda_plan_get_input,
  .plan_run = nn_cuda_plan_run,
  .plan_describe = nn_cuda_plan_describe,
  .plan_train_step = nn_cuda_plan_train_step,
  .plan_params_changed = nn_cuda_plan_params_changed,
  .plan_sync = nn_cuda_plan_sync,
  .plan_run_averaged = nn_cuda_plan_run_averaged,
  .staging_new = nn_cuda_staging_new,
  .staging_free = nn_cuda_staging_free,
  .staging_reserve = nn_cuda_staging_reserve,
  .staging_send = nn_cuda_staging_send,
  .staging_wait = nn_cuda_staging_wait,
  .staging_thumbnail = nn_cuda_staging_thumbnail,
  .plan_run_packs = nn_cuda_plan_run_packs,
  .plan_set_pictures = nn_cuda_plan_set_pictures,
#endif
};

G_MODULE_EXPORT const NnBackendClass *nn_backend_module_query (const NnHost *host);

const NnBackendClass *
nn_backend_module_query (const NnHost *host)
{
  const NnLayout layout = nn_layout_get ();

  if (host->abi != NN_BACKEND_ABI || host->size != sizeof (NnHost)
      || memcmp (&host->layout, &layout, sizeof layout) != 0)
    return NULL;
  the_host = host;
  return &klass;
}
