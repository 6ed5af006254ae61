/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/cuda-context.h"

#include "gst/cuda-library.h"

gboolean
cuda_context_read (const GstContext *context, const char *device, NnContext *native)
{
  const CudaLibrary *library = cuda_library_get ();
  const GstStructure *fields = gst_context_get_structure (context);
  g_autoptr (GObject) object = NULL;
  gpointer handle;
  guint index;

  if (!library->context_get_type || !library->context_get_handle
      || !gst_structure_get (fields, CUDA_CONTEXT, library->context_get_type (), &object, NULL)
      || !object)
    return FALSE;
  g_object_get (object, "cuda-device-id", &index, NULL);
  handle = library->context_get_handle (object);
  if (!handle || !nn_backend_allows (device, index))
    return FALSE;
  *native = (NnContext){ .handle = handle,
    .index = index,
    .owner = g_steal_pointer (&object),
    .owner_ref = g_object_ref,
    .owner_unref = g_object_unref };
  return TRUE;
}

/* One for each of the driver's contexts: elements of several pipelines that meet find by the
 * pointer that they share. */
static gpointer
wrap (gpointer handle, guint index, NnBackend *backend)
{
  static GMutex lock;
  static GHashTable *wrapped; /* handle -> GWeakRef */
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);
  GWeakRef *ref;
  GObject *object;

  if (!wrapped)
    wrapped = g_hash_table_new (NULL, NULL);
  ref = g_hash_table_lookup (wrapped, handle);
  if (!ref) {
    ref = g_new0 (GWeakRef, 1);
    g_weak_ref_init (ref, NULL);
    g_hash_table_insert (wrapped, handle, ref);
  }
  object = g_weak_ref_get (ref);
  if (object)
    return object;
  object = cuda_library_get ()->context_new_wrapped (handle, (int)index);
  if (object) {
    g_weak_ref_set (ref, object);
    /* whose context it is */
    g_object_set_data_full (
        object, "classify-backend", nn_backend_ref (backend), (GDestroyNotify)nn_backend_unref);
  }
  return object;
}

GstContext *
cuda_context_new (const char *device)
{
  const CudaLibrary *library = cuda_library_get ();
  g_autoptr (NnBackend) backend = NULL;
  g_autoptr (GObject) object = NULL;
  GstContext *context;
  gpointer handle;
  guint index;

  if (!library->context_new_wrapped || !library->context_get_type || !library->load_library
      || !library->load_library ())
    return NULL;
  backend = nn_backend_open (device, NULL); /* who cannot do without it says why */
  handle = backend ? nn_backend_get_context (backend, &index) : NULL;
  object = handle ? wrap (handle, index, backend) : NULL;
  if (!object)
    return NULL;
  context = gst_context_new (CUDA_CONTEXT, FALSE);
  gst_structure_set (gst_context_writable_structure (context), CUDA_CONTEXT,
      library->context_get_type (), object, "cuda-device-id", G_TYPE_UINT, index, NULL);
  return context;
}
