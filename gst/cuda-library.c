/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cuda-library.h"

#include <gmodule.h>

static gpointer
look_up (GModule *module, const char *name)
{
  gpointer symbol;

  return g_module_symbol (module, name, &symbol) ? symbol : NULL;
}

const CudaLibrary *
cuda_library_get (void)
{
  static CudaLibrary library;
  static gsize is_done;

  if (g_once_init_enter (&is_done)) {
    GModule *module = g_module_open ("libgstcuda-1.0.so.0", G_MODULE_BIND_LAZY);

    if (module) {
      g_module_make_resident (module); /* its types are registered */
      library = (CudaLibrary){
        .load_library = look_up (module, "gst_cuda_load_library"),
        .context_get_type = look_up (module, "gst_cuda_context_get_type"),
        .context_get_handle = look_up (module, "gst_cuda_context_get_handle"),
        .context_new_wrapped = look_up (module, "gst_cuda_context_new_wrapped"),
        .memory_get_stream = look_up (module, "gst_cuda_memory_get_stream"),
        .stream_get_handle = look_up (module, "gst_cuda_stream_get_handle"),
      };
    }
    g_once_init_leave (&is_done, 1);
  }
  return &library;
}
