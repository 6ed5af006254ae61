/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv() */
#endif
#include "cuda/loader.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "nn/error.h"

/* The driver's entry points and numbers as cuda.h has them, so that a build
 * without the toolkit can ask too. */
typedef int (*CuInit) (unsigned flags);
typedef int (*CuDriverGetVersion) (int *version);
typedef int (*CuDeviceGetCount) (int *count);
typedef int (*CuDeviceGet) (int *device, int ordinal);
typedef int (*CuDeviceGetName) (char *name, int length, int device);
typedef int (*CuDeviceGetAttribute) (int *value, int attribute, int device);
typedef int (*CuDeviceTotalMem) (gsize *bytes, int device);
typedef gsize (*CudnnGetVersion) (void);

#define ERROR_OUT_OF_MEMORY 2
#define ERROR_NO_DEVICE 100
#define ERROR_SYSTEM_DRIVER_MISMATCH 803
#define ERROR_COMPAT_NOT_SUPPORTED 804
#define ATTRIBUTE_MAJOR 75
#define ATTRIBUTE_MINOR 76

/* what the build compiled for: meson.build sets both where there is a toolkit */
#ifndef NN_CUDA_MIN_DRIVER
#define NN_CUDA_MIN_DRIVER 12000
#endif
#ifndef NN_CUDA_MIN_ARCH
#define NN_CUDA_MIN_ARCH 75
#endif

static void
fail (const NnHost *host, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static void
fail (const NnHost *host, GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, host->error_domain, NN_ERROR_BACKEND, message);
}

static void *
open_library (const char *name)
{
  const char *path = secure_getenv ("CLASSIFY_CUDA_PATH");
  g_auto (GStrv) folders = g_strsplit (path ? path : "", ":", -1);

  for (guint i = 0; folders[i]; i++) {
    g_autofree char *file = g_build_filename (folders[i], name, NULL);
    void *library = *folders[i] ? dlopen (file, RTLD_NOW | RTLD_LOCAL) : NULL;

    if (library || strcmp (folders[i], "-") == 0)
      return library;
  }
  return dlopen (name, RTLD_NOW | RTLD_LOCAL);
}

static void *
open_any (const char *const *names)
{
  void *library = NULL;

  for (; *names && !library; names++)
    library = open_library (*names);
  return library;
}

/* Nothing is loaded from where the process happens to be. */
static gboolean
check_path (const NnHost *host, GError **error)
{
  const char *path = secure_getenv ("CLASSIFY_CUDA_PATH");
  g_auto (GStrv) folders = g_strsplit (path ? path : "", ":", -1);

  for (guint i = 0; folders[i]; i++) {
    if (!*folders[i] || strcmp (folders[i], "-") == 0 || g_path_is_absolute (folders[i]))
      continue;
    fail (host, error, "CLASSIFY_CUDA_PATH should have absolute paths, one is \"%s\"", folders[i]);
    return FALSE;
  }
  return TRUE;
}

static gboolean
open_driver (NnCudaLibraries *libraries, const NnHost *host, GError **error)
{
  CuInit init;
  CuDriverGetVersion get_version;
  CuDeviceGetCount get_count;
  int status, n = 0;

  if (!check_path (host, error))
    return FALSE;
  libraries->driver = open_library ("libcuda.so.1");
  if (!libraries->driver) {
    fail (host, error, "no NVIDIA driver: libcuda.so.1 is not installed");
    return FALSE;
  }
  init = (CuInit) dlsym (libraries->driver, "cuInit");
  get_version = (CuDriverGetVersion) dlsym (libraries->driver, "cuDriverGetVersion");
  get_count = (CuDeviceGetCount) dlsym (libraries->driver, "cuDeviceGetCount");
  if (!init || !get_version || !get_count) {
    fail (host, error, "libcuda.so.1 is not an NVIDIA driver");
    return FALSE;
  }
  status = init (0);
  if (status == ERROR_SYSTEM_DRIVER_MISMATCH || status == ERROR_COMPAT_NOT_SUPPORTED)
    fail (host, error,
        "libcuda.so.1 does not belong to the NVIDIA driver that runs (error %d): restart the "
        "machine or install the same version of both",
        status);
  else if (status == ERROR_OUT_OF_MEMORY)
    fail (host, error, "the NVIDIA driver cannot start: out of memory");
  else if (status != 0 && status != ERROR_NO_DEVICE)
    fail (host, error, "the NVIDIA driver cannot start: error %d", status);
  else if (status == 0 && get_version (&libraries->driver_version) != 0)
    fail (host, error, "the NVIDIA driver does not tell its version");
  else if (status == 0 && libraries->driver_version < NN_CUDA_MIN_DRIVER)
    fail (host, error,
        "the NVIDIA driver is too old: it knows CUDA %d.%d, this build needs %d.%d: install a "
        "newer driver",
        libraries->driver_version / 1000, libraries->driver_version % 1000 / 10,
        NN_CUDA_MIN_DRIVER / 1000, NN_CUDA_MIN_DRIVER % 1000 / 10);
  else if (status != 0 || get_count (&n) != 0 || n <= 0)
    fail (host, error, "the NVIDIA driver finds no device%s",
        g_getenv ("CUDA_VISIBLE_DEVICES") ? " (CUDA_VISIBLE_DEVICES is set)" : "");
  else
    libraries->n_devices = (guint) n;
  return libraries->n_devices > 0;
}

/* cuDNN looks for cuBLASLt by the name of the CUDA that it was built with, and finds the one that
 * is open; one of another CUDA would be loaded beside it, or engines would be missing. */
static gboolean
open_cublaslt (NnCudaLibraries *libraries, const NnHost *host, GError **error)
{
  static const char *const old[] = { "libcublasLt.so.11", "libcublasLt.so.10", NULL };
  CudnnGetVersion get_cudart
      = (CudnnGetVersion) dlsym (libraries->cudnn, "cudnnGetCudartVersion");
  /* a driver of CUDA 12 runs no library of 13 */
  const int newest = libraries->driver_version >= 13000 ? 13 : 12;
  const gsize cudart = get_cudart ? get_cudart () / 1000 : 0;
  const int first = cudart >= 12 && cudart <= (gsize) newest ? (int) cudart : newest;
  g_autofree char *name = g_strdup_printf ("libcublasLt.so.%d", first);
  void *other;

  libraries->cublaslt = open_library (name);
  for (int major = newest; major >= 12 && !libraries->cublaslt; major--) {
    g_autofree char *another = g_strdup_printf ("libcublasLt.so.%d", major);

    libraries->cublaslt = open_library (another);
  }
  if (libraries->cublaslt)
    return TRUE;
  other = open_any (old);
  if (other)
    fail (host, error, "cuBLAS is too old: install %s of CUDA 12 or 13", name);
  else
    fail (host, error, "%s is missing: install cuBLAS of CUDA %d", name, first);
  if (other)
    dlclose (other);
  return FALSE;
}

static gboolean
open_cudnn (NnCudaLibraries *libraries, const NnHost *host, GError **error)
{
  static const char *const old[] = { "libcudnn.so.8", "libcudnn.so.7", NULL };
  CudnnGetVersion get_version;
  void *other;

  libraries->cudnn = open_library ("libcudnn.so.9");
  if (!libraries->cudnn) {
    other = open_any (old);
    fail (host, error, other ? "cuDNN is too old: install cuDNN 9 (libcudnn.so.9)"
                             : "libcudnn.so.9 is missing: install cuDNN 9");
    if (other)
      dlclose (other);
    return FALSE;
  }
  get_version = (CudnnGetVersion) dlsym (libraries->cudnn, "cudnnGetVersion");
  libraries->cudnn_version = get_version ? get_version () : 0;
  if (libraries->cudnn_version >= 90000)
    return TRUE;
  fail (host, error, "libcudnn.so.9 is not cuDNN 9: it says version %" G_GSIZE_FORMAT,
      libraries->cudnn_version);
  return FALSE;
}

static void
close_all (NnCudaLibraries *libraries)
{
  void *all[] = { libraries->cudnn, libraries->cublaslt, libraries->driver };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i])
      dlclose (all[i]);
  memset (libraries, 0, sizeof *libraries);
}

const NnCudaLibraries *
nn_cuda_libraries_get (const NnHost *host, GError **error)
{
  static GMutex lock;
  static NnCudaLibraries libraries;
  gboolean ok;

  g_mutex_lock (&lock);
  ok = libraries.n_devices > 0
      || (open_driver (&libraries, host, error) && open_cudnn (&libraries, host, error)
          && open_cublaslt (&libraries, host, error));
  if (!ok)
    close_all (&libraries);
  g_mutex_unlock (&lock);
  return ok ? &libraries : NULL;
}

static int
get_attribute (const NnCudaLibraries *libraries, guint index, int attribute)
{
  CuDeviceGet get = (CuDeviceGet) dlsym (libraries->driver, "cuDeviceGet");
  CuDeviceGetAttribute get_value
      = (CuDeviceGetAttribute) dlsym (libraries->driver, "cuDeviceGetAttribute");
  int device = 0, value = 0;

  return get && get_value && get (&device, (int) index) == 0
          && get_value (&value, attribute, device) == 0
      ? value
      : 0;
}

char *
nn_cuda_describe_device (const NnCudaLibraries *libraries, guint index)
{
  CuDeviceGet get = (CuDeviceGet) dlsym (libraries->driver, "cuDeviceGet");
  CuDeviceGetName get_name = (CuDeviceGetName) dlsym (libraries->driver, "cuDeviceGetName");
  CuDeviceTotalMem get_memory
      = (CuDeviceTotalMem) dlsym (libraries->driver, "cuDeviceTotalMem_v2");
  char name[256] = "";
  gsize bytes = 0;
  int device = 0;

  if (!get || get (&device, (int) index) != 0 || !get_name
      || get_name (name, sizeof name, device) != 0)
    return g_strdup_printf ("CUDA device %u", index);
  if (get_memory)
    get_memory (&bytes, device);
  return g_strdup_printf ("%s, sm_%d%d, %.0f GiB, cuDNN %" G_GSIZE_FORMAT ".%" G_GSIZE_FORMAT, name,
      get_attribute (libraries, index, ATTRIBUTE_MAJOR),
      get_attribute (libraries, index, ATTRIBUTE_MINOR), (double) bytes / (1 << 30),
      libraries->cudnn_version / 10000, libraries->cudnn_version / 100 % 100);
}

gboolean
nn_cuda_check_device (const NnHost *host, const NnCudaLibraries *libraries, guint index,
    GError **error)
{
  const int arch = 10 * get_attribute (libraries, index, ATTRIBUTE_MAJOR)
      + get_attribute (libraries, index, ATTRIBUTE_MINOR);

  if (arch >= NN_CUDA_MIN_ARCH)
    return TRUE;
  fail (host, error,
      "device %u is too old: it has compute capability %d.%d, this build needs %d.%d or newer",
      index, arch / 10, arch % 10, NN_CUDA_MIN_ARCH / 10, NN_CUDA_MIN_ARCH % 10);
  return FALSE;
}
