/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The convolutions' graphs against cuDNN itself, where it is installed, without a device:
 * from a device's properties it says which engines it has, and makes plans of them (cuDNN
 * 9.11 and newer). Nothing is run. */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "cuda/conv.h"

/* the kernels are not needed for this */
extern const unsigned char nn_cuda_fatbin[];
const unsigned char nn_cuda_fatbin[16] = { 0 };

/* CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR and its JSON, which headers before 9.8 do not have */
#define DESCRIPTOR_PROFILE ((cudnnBackendDescriptorType_t) 38)
#define ATTR_JSON ((cudnnBackendAttributeName_t) 2702)

#define PROFILE(name, arch, processors, shared, registers, ctas, threads) \
  "{\"deviceName\": \"" name "\", \"cudaDeviceId\": 0, \"deviceVer\": " arch \
  ", \"smVersion\": " arch ", \"driverVer\": 13000, \"cudaVersion\": 13000, " \
  "\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], " \
  "\"regsPerBlock\": 65536, \"multiProcessorCount\": " processors ", \"warpSize\": 32, " \
  "\"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": " shared ", " \
  "\"reservedSharedMemoryPerBlock\": 1024, \"maxRegistersPerSM\": " registers ", " \
  "\"maxCtasPerSM\": " ctas ", \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": " threads ", " \
  "\"pciDeviceId\": 0, \"isTccDriver\": 0, \"supportCoopLaunch\": 1, " \
  "\"smClockRateKHz\": 1500000, \"memClockRateKHz\": 5000000, \"l2CacheSize\": 6291456, " \
  "\"totalGlobalMem\": 16000000000}"

static const struct
{
  const char *name, *profile;
  gboolean bf16;
} devices[] = {
  { "turing", PROFILE ("Turing", "750", "40", "65536", "65536", "16", "1024"), FALSE },
  { "ampere", PROFILE ("Ampere", "800", "108", "166912", "65536", "32", "2048"), TRUE },
  { "ada", PROFILE ("Ada", "890", "76", "101376", "65536", "24", "1536"), TRUE },
  { "hopper", PROFILE ("Hopper", "900", "132", "232448", "65536", "32", "2048"), TRUE },
};

/* the post's convolutions, one of each other kind, at the sizes that training has; in 16 bits
 * channels come in eights */
static const struct
{
  const char *name;
  NnConvArgs sizes;
} shapes[] = {
#define SHAPE(n, h, w, c, oh, ow, k, r, s, sh, sw, dh, dw, ph, pw) \
  { .samples = n, .in_rows = h, .in_cols = w, .channels = c, .out_rows = oh, .out_cols = ow, \
    .filters = k, .kernel = { r, s }, .strides = { sh, sw }, .dilation = { dh, dw }, \
    .pad = { ph, pw } }
  { "post-1", SHAPE (64, 200, 200, 3, 198, 198, 32, 3, 3, 1, 1, 1, 1, 0, 0) },
  { "post-2", SHAPE (64, 99, 99, 32, 97, 97, 64, 3, 3, 1, 1, 1, 1, 0, 0) },
  { "post-3-one", SHAPE (1, 48, 48, 64, 46, 46, 128, 3, 3, 1, 1, 1, 1, 0, 0) },
  { "5x5-strided", SHAPE (8, 31, 30, 3, 16, 15, 24, 5, 5, 2, 2, 1, 1, 2, 2) },
  { "dilated-same", SHAPE (8, 20, 22, 16, 20, 22, 16, 3, 3, 1, 1, 2, 2, 2, 2) },
  { "1x1-odd", SHAPE (3, 7, 9, 5, 7, 9, 7, 1, 1, 1, 1, 1, 1, 0, 0) },
};

static NnCudaDevice device;
static NnHost host;

typedef struct
{
  guint device, shape;
} Case;

static void
test_graph (gconstpointer data)
{
  static const char *const kinds[] = { "forward", "data", "filter" };
  static const char *const types[] = { "fp32", "fp16", "bf16", "tf32" };
  const Case *at = data;
  const char *profile = devices[at->device].profile;
  NnCudaContext c = { .device = &device };

  g_assert_cmpint (nn_api.cudnnBackendCreateDescriptor (
                       DESCRIPTOR_PROFILE, &c.profile),
      ==, CUDNN_STATUS_SUCCESS);
  if (nn_api.cudnnBackendSetAttribute (c.profile, ATTR_JSON, CUDNN_TYPE_CHAR,
          (int64_t) strlen (profile), (void *) profile)
          != CUDNN_STATUS_SUCCESS
      || nn_api.cudnnBackendFinalize (c.profile) != CUDNN_STATUS_SUCCESS) {
    nn_api.cudnnBackendDestroyDescriptor (c.profile);
    g_test_skip ("this cuDNN does not take the properties");
    return;
  }
  for (guint kind = 0; kind < 3; kind++) {
    for (guint type = 0; type < 4; type++) {
      for (guint bias = 0; bias < (kind == NN_CONV_FORWARD ? 3 : 1); bias++) {
        NnConvShape shape = {
          .kind = kind,
          .sizes = shapes[at->shape].sizes,
          .tf32 = type == 3,
          .bias = bias > 0,
          .relu = bias > 1,
        };
        const gboolean narrow = type == NN_TYPE_F16 || type == NN_TYPE_BF16;
        GError *error = NULL;
        NnCudaConv *conv;

        if (type == NN_TYPE_BF16 && !devices[at->device].bf16)
          continue; /* which the back end does not ask for */
        if (narrow) {
          shape.sizes.channels = (shape.sizes.channels + 7) / 8 * 8;
          shape.sizes.filters = (shape.sizes.filters + 7) / 8 * 8;
        }
        shape.sizes.type = type == 3 ? NN_TYPE_F32 : (NnType) type;
        conv = nn_cuda_conv_new (&c, &shape, &error);
        g_assert_no_error (error);
        if (bias == 0) /* without it the bias is ours to add */
          g_assert_nonnull (conv);
        g_test_message ("%s %s%s: %s", kinds[kind], types[type],
            bias == 0 ? "" : bias == 1 ? " + bias" : " + bias + relu",
            conv ? nn_cuda_conv_describe (conv) : "not in one");
        if (conv && !g_str_has_prefix (nn_cuda_conv_describe (conv), "cuDNN"))
          g_test_fail_printf ("%s %s: %s", kinds[kind], types[type], nn_cuda_conv_describe (conv));
        nn_cuda_conv_free (conv);
      }
    }
  }
  nn_api.cudnnBackendDestroyDescriptor (c.profile);
}

int
main (int argc, char **argv)
{
  static Case cases[G_N_ELEMENTS (devices) * G_N_ELEMENTS (shapes)];
  void *library = dlopen ("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  gsize (*get_version) (void) = library ? dlsym (library, "cudnnGetVersion") : NULL;

  g_test_init (&argc, &argv, NULL);
  if (!get_version || get_version () < 91100) {
    printf ("1..0 # SKIP no cuDNN 9.11 or newer here\n");
    return 0;
  }
#define LOAD(f) nn_api.f = (__typeof__ (f) *) dlsym (library, #f);
  NN_CUDNN_FUNCTIONS (LOAD)
  device.host = &host;
  nn_api_domain = g_quark_from_static_string ("test-cudnn");
  for (guint d = 0; d < G_N_ELEMENTS (devices); d++) {
    for (guint s = 0; s < G_N_ELEMENTS (shapes); s++) {
      Case *at = &cases[d * G_N_ELEMENTS (shapes) + s];
      g_autofree char *path
          = g_strdup_printf ("/cudnn/%s/%s", devices[d].name, shapes[s].name);

      *at = (Case) { d, s };
      g_test_add_data_func (path, at, test_graph);
    }
  }
  return g_test_run ();
}
