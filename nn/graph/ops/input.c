/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/graph/ops.h"

static gboolean
infer (const NnOpInputs *inputs, NnShape *out, GError **error)
{
  return nn_op_fail (error, "an input is not computed");
}

const NnOp nn_op_input = { .name = "input", .infer = infer };
