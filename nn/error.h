/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Domain of every GError that nn/ and its back ends give. The message is one
 * line that names the file (or the layer, or the device), what was expected,
 * what was found and, where there is one, the remedy. */
#define NN_ERROR (nn_error_quark ())
GQuark nn_error_quark (void);

typedef enum
{
  NN_ERROR_NOT_FOUND,   /* a file, a layer or a device does not exist */
  NN_ERROR_READ,        /* the file exists and cannot be read */
  NN_ERROR_WRITE,       /* cannot be written: permission, full disk */
  NN_ERROR_FORMAT,      /* read, but not what it should be */
  NN_ERROR_SHAPE,       /* well formed, but the sizes do not fit */
  NN_ERROR_UNSUPPORTED, /* valid, but not something this build can do */
  NN_ERROR_BACKEND,     /* a back end or device cannot be used */
  NN_ERROR_NO_MEMORY,
  NN_ERROR_RUN,         /* failed while running */
} NnErrorCode;

G_END_DECLS
