/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stand-in for one of NVIDIA's libraries in the variety that MOCK names, for the
 * tests of the loader: libcuda.so.1 with faults, cuDNN of a version, or nothing. */

#include <stddef.h>
#include <string.h>

#define MOCK_EMPTY 1      /* a library without a symbol: cuBLASLt, or no driver */
#define MOCK_NO_DEVICE 2  /* a driver without a device */
#define MOCK_ZERO 3       /* the same, told by the count */
#define MOCK_MISMATCH 4   /* the library does not belong to the kernel's module */
#define MOCK_BROKEN 5     /* error 999 */
#define MOCK_OLD 6        /* CUDA 11.8 */
#define MOCK_GOOD 7       /* a driver of a device sm_90 */
#define MOCK_OLD_DEVICE 8 /* a driver of a device sm_61 */
#define MOCK_FULL 9       /* a device whose memory is taken */
#define MOCK_START_FULL 10 /* no memory for the driver itself */
#define MOCK_CUDNN 11     /* cuDNN 9 */
#define MOCK_CUDNN_8 12   /* what says it is cuDNN 8 */
#define MOCK_CUDNN_CUDA_12 13 /* cuDNN 9 of CUDA 12 */

#define EXPORT __attribute__ ((visibility ("default")))

#if MOCK == MOCK_CUDNN || MOCK == MOCK_CUDNN_8 || MOCK == MOCK_CUDNN_CUDA_12
EXPORT size_t cudnnGetVersion (void);
EXPORT size_t cudnnGetCudartVersion (void);

size_t
cudnnGetVersion (void)
{
  return MOCK == MOCK_CUDNN_8 ? 8907 : 91900;
}

size_t
cudnnGetCudartVersion (void)
{
  return MOCK == MOCK_CUDNN_CUDA_12 ? 12080 : 13000;
}
#elif MOCK == MOCK_EMPTY
EXPORT int mock_empty (void);

int
mock_empty (void)
{
  return 0;
}
#else

EXPORT int cuInit (unsigned flags);
EXPORT int cuDriverGetVersion (int *version);
EXPORT int cuDeviceGetCount (int *count);
EXPORT int cuDeviceGet (int *device, int ordinal);
EXPORT int cuDeviceGetName (char *name, int length, int device);
EXPORT int cuDeviceGetAttribute (int *value, int attribute, int device);
EXPORT int cuDeviceTotalMem_v2 (size_t *bytes, int device);
EXPORT int cuDevicePrimaryCtxRetain (void **context, int device);

int
cuInit (unsigned flags)
{
  return MOCK == MOCK_NO_DEVICE ? 100
      : MOCK == MOCK_MISMATCH   ? 803
      : MOCK == MOCK_BROKEN     ? 999
      : MOCK == MOCK_START_FULL ? 2
                                : 0;
}

int
cuDriverGetVersion (int *version)
{
  *version = MOCK == MOCK_OLD ? 11080 : 13000;
  return 0;
}

int
cuDeviceGetCount (int *count)
{
  *count = MOCK == MOCK_ZERO ? 0 : 1;
  return 0;
}

int
cuDeviceGet (int *device, int ordinal)
{
  *device = ordinal;
  return 0;
}

int
cuDeviceGetName (char *name, int length, int device)
{
  strncpy (name, "Mock H1", (size_t) length);
  return 0;
}

int
cuDeviceGetAttribute (int *value, int attribute, int device)
{
  *value = attribute == 75 ? (MOCK == MOCK_OLD_DEVICE ? 6 : 9)
      : attribute == 76    ? (MOCK == MOCK_OLD_DEVICE ? 1 : 0)
                           : 0;
  return 0;
}

int
cuDeviceTotalMem_v2 (size_t *bytes, int device)
{
  *bytes = (size_t) 8 << 30;
  return 0;
}

int
cuDevicePrimaryCtxRetain (void **context, int device)
{
  return MOCK == MOCK_FULL ? 2 : 999;
}
#endif
