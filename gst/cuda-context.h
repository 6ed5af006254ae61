/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

#include "nn/backend.h"

G_BEGIN_DECLS

/* The context that the CUDA elements of a pipeline share, as they tell each other of it. */

#define CUDA_CONTEXT "gst.cuda.context" /* GST_CUDA_CONTEXT_TYPE */

/* The driver's context in @context, one of the type CUDA_CONTEXT, where it is of a device that
 * @device allows ("auto", "cuda" or "cuda:N"). @native->owner is a reference then. */
gboolean cuda_context_read (const GstContext *context, const char *device, NnContext *native);

/* One for a pipeline that has none: the context in which nn_backend_open() has @device, which
 * all pipelines of the process share, so that their frames and models lie in one. It lives as
 * long as somebody has the GstCudaContext. (transfer full) (nullable): NULL where @device cannot
 * be used or is no GPU, or libgstcuda is not there. */
GstContext *cuda_context_new (const char *device);

G_END_DECLS
