/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* What we call of libgstcuda, by its functions' names without "gst_cuda_". It is neither linked
 * nor needed to be installed, and its headers want NVIDIA's and differ from release to release:
 * objects are gpointers here. NULL is what there is not. */
typedef struct {
  gboolean (*load_library) (void); /* NVIDIA's, without which nothing else may be called */
  GType (*context_get_type) (void);
  gpointer (*context_get_handle) (gpointer context);
  gpointer (*context_new_wrapped) (gpointer handle, int device); /* (transfer full) */
  /* of GStreamer 1.24 and later, where memory comes before its stream is done with it; before
   * 1.24 who makes it waits */
  gpointer (*memory_get_stream) (GstMemory *memory); /* (transfer none) */
  gpointer (*stream_get_handle) (gpointer stream);
} CudaLibrary;

const CudaLibrary *cuda_library_get (void);

G_END_DECLS
