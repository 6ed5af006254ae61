/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The module nn-backend-cuda.so. In this version it holds no CUDA back end: it
 * looks for what one needs and says what is missing, one by one, or that only the
 * back end itself is. Needs no CUDA toolkit to build and no NVIDIA library to load. */

#include <gmodule.h>

#include "nn/backend-module.h"
#include "nn/error.h"

static const NnHost *the_host;

/* The driver's own entry points, as cuda.h declares them. */
typedef int (*CuInit) (unsigned flags);
typedef int (*CuDeviceGetCount) (int *count);

static void
fail (GError **error, const char *message)
{
  g_set_error_literal (error, the_host->error_domain, NN_ERROR_BACKEND, message);
}

static GModule *
open_any (const char *const *names)
{
  for (; *names; names++) {
    GModule *module = g_module_open (*names, G_MODULE_BIND_LOCAL | G_MODULE_BIND_LAZY);

    if (module)
      return module;
  }
  return NULL;
}

static guint
count_devices (GError **error)
{
  static const char *const driver_names[] = { "libcuda.so.1", NULL };
  static const char *const runtime_names[] = { "libcudart.so.13", "libcudart.so.12", NULL };
  static const char *const cudnn_names[] = { "libcudnn.so.9", NULL };
  GModule *driver = open_any (driver_names), *runtime = NULL, *cudnn = NULL;
  gpointer init = NULL, count = NULL;
  int n = 0;

  if (!driver)
    fail (error, "no NVIDIA driver: libcuda.so.1 is not installed");
  else if (!g_module_symbol (driver, "cuInit", &init)
      || !g_module_symbol (driver, "cuDeviceGetCount", &count))
    fail (error, "libcuda.so.1 is not an NVIDIA driver");
  else if (((CuInit) init) (0) != 0 || ((CuDeviceGetCount) count) (&n) != 0 || n == 0)
    fail (error, "the NVIDIA driver finds no device");
  else if (!(runtime = open_any (runtime_names)))
    fail (error, "libcudart.so.12 or .13 is missing: install the CUDA runtime");
  else if (!(cudnn = open_any (cudnn_names)))
    fail (error, "libcudnn.so.9 is missing: install cuDNN 9");
  else
    fail (error, "a device, CUDA and cuDNN are there, but this version of classify has no CUDA "
                 "back end yet: use the CPU");
  if (cudnn)
    g_module_close (cudnn);
  if (runtime)
    g_module_close (runtime);
  if (driver)
    g_module_close (driver);
  return 0;
}

static char *
describe_device (guint index)
{
  return g_strdup_printf ("CUDA device %u", index);
}

static gpointer
open_device (guint index, GError **error)
{
  count_devices (error);
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
