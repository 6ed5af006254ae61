/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend-module.h"

G_BEGIN_DECLS

/* The back end that is always there; same interface as a module. One device. */
extern const NnBackendClass nn_backend_cpu_class;

G_END_DECLS
