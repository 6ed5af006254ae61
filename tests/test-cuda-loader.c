/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the module for CUDA says where NVIDIA's libraries are missing, old or broken. */

#include <glib/gstdio.h>
#include <gmodule.h>
#include <string.h>
#include <unistd.h>

#include "nn/backend-module.h"
#include "nn/error.h"

typedef struct
{
  const char *name;
  const char *driver, *cublaslt, *cudnn; /* which mock stands for the library; NULL: none */
  const char *words[4];                  /* of the reason */
  const char *old;                       /* name of an old library that is there, an empty one */
} Case;

static const Case cases[] = {
  { "no-driver", NULL, "empty", "cudnn", { "no NVIDIA driver", "libcuda.so.1" } },
  { "not-a-driver", "empty", "empty", "cudnn", { "not an NVIDIA driver" } },
  { "no-device", "no-device", "empty", "cudnn", { "finds no device" } },
  { "count-zero", "zero", "empty", "cudnn", { "finds no device" } },
  { "mismatch", "mismatch", "empty", "cudnn", { "does not belong", "803", "restart" } },
  { "broken", "broken", "empty", "cudnn", { "cannot start", "999" } },
  { "no-memory-to-start", "start-full", "empty", "cudnn", { "cannot start", "out of memory" } },
  { "old-driver", "old", "empty", "cudnn", { "too old", "CUDA 11.8", "newer driver" } },
  { "old-device", "old-device", "empty", "cudnn", { "device 0 is too old", "6.1", "7.5" } },
  { "no-cublas", "good", NULL, "cudnn", { "libcublasLt.so.13 is missing" } },
  { "cublas-as-cudnn", "good", NULL, "cudnn-cuda-12", { "libcublasLt.so.12 is missing" } },
  { "old-cublas", "good", NULL, "cudnn", { "cuBLAS is too old" }, "libcublasLt.so.11" },
  { "no-cudnn", "good", "empty", NULL, { "libcudnn.so.9 is missing", "install cuDNN 9" } },
  { "old-cudnn", "good", "empty", NULL, { "cuDNN is too old" }, "libcudnn.so.8" },
  { "cudnn-lies", "good", "empty", "cudnn-8", { "not cuDNN 9", "8907" } },
};

static char *folder;

static void
place (const char *mock, const char *name)
{
  g_autofree char *file = g_strdup_printf ("%s/mock-cuda-%s.so", MOCK_DIR, mock ? mock : "");
  g_autofree char *link = g_build_filename (folder, name, NULL);

  g_unlink (link);
  if (mock)
    g_assert_cmpint (symlink (file, link), ==, 0);
}

static void
test_reason (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GError) error = NULL;

  /* libraries that were good enough stay open: a process for each case */
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  place (c->driver, "libcuda.so.1");
  place (c->cublaslt, "libcublasLt.so.13");
  place (c->cudnn, "libcudnn.so.9");
  if (c->old)
    place ("empty", c->old);
  g_assert_null (nn_backend_open ("cuda", &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_BACKEND);
  for (guint i = 0; i < 4 && c->words[i]; i++)
    if (!strstr (error->message, c->words[i]))
      g_error ("\"%s\" does not say \"%s\"", error->message, c->words[i]);
  if (c->old)
    place (NULL, c->old);
}

/* `classify devices` lists a device that cannot be opened, with its name and the reason */
static void
test_list (void)
{
  g_autoptr (GPtrArray) devices = NULL;
  const NnDeviceInfo *info;

  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  place ("old-device", "libcuda.so.1");
  place ("empty", "libcublasLt.so.13");
  place ("cudnn", "libcudnn.so.9");
  devices = nn_backend_list_devices ();
  g_assert_cmpuint (devices->len, ==, 2);
  info = g_ptr_array_index (devices, 1);
  g_assert_cmpstr (info->device, ==, "cuda:0");
  g_assert_nonnull (strstr (info->description, "Mock H1, sm_61, 8 GiB"));
  g_assert_nonnull (strstr (info->reason, "too old"));
}

/* Not from where the process happens to be. */
static void
test_relative (void)
{
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_setenv ("CLASSIFY_CUDA_PATH", "/:here:-", TRUE);
  g_assert_null (nn_backend_open ("cuda", &error));
  g_assert_nonnull (strstr (error->message, "absolute paths, one is \"here\""));
}

static double
no_rate (const NnOptimizer *optimizer)
{
  return 0;
}

static gboolean
no_decay (const NnParam *param)
{
  return FALSE;
}

/* A host whose structs have other sizes is refused, whatever number it says. */
static void
test_layout (void)
{
  g_autofree char *path = g_build_filename (
      g_getenv ("CLASSIFY_BACKEND_PATH"), "nn-backend-cuda.so", NULL);
  GModule *module = g_module_open (path, G_MODULE_BIND_LOCAL);
  static NnHost host;
  gpointer symbol;

  host = (NnHost) { .abi = NN_BACKEND_ABI, .size = sizeof host, .layout = nn_layout_get (),
    .error_domain = NN_ERROR, .optimizer_step_rate = no_rate, .optimizer_plain_rate = no_rate,
    .param_decays = no_decay };
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_assert_true (module && g_module_symbol (module, NN_BACKEND_MODULE_SYMBOL, &symbol));
  g_assert_nonnull (((NnBackendModuleQuery) symbol) (&host));
  host.layout.layer += 8;
  g_assert_null (((NnBackendModuleQuery) symbol) (&host));
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "libcuda.so.1", "libcublasLt.so.13", "libcudnn.so.9" };
  g_autofree char *path = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("classify-cuda-XXXXXX", NULL);
  path = g_strconcat (folder, ":-", NULL); /* without those of the system */
  g_setenv ("CLASSIFY_CUDA_PATH", path, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *name = g_strdup_printf ("/cuda/loader/%s", cases[i].name);

    g_test_add_data_func (name, &cases[i], test_reason);
  }
  g_test_add_func ("/cuda/loader/list", test_list);
  g_test_add_func ("/cuda/loader/relative", test_relative);
  g_test_add_func ("/cuda/loader/layout", test_layout);
  status = g_test_run ();
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    place (NULL, names[i]);
  g_rmdir (folder);
  return status;
}
