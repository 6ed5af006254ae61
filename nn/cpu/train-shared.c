/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/train-private.h"

#include <string.h>

guint
nn_cpu_n_groups (const NnCpuTrain *train)
{
  return MIN (NN_CPU_GROUPS, train->n);
}

const float *
nn_cpu_op_x (const Op *op)
{
  return op->x ? op->x : op->train->input;
}

float *
nn_cpu_op_gradient (Op *op, const char *name)
{
  for (guint i = 0; i < op->layer->n_params; i++)
    if (strcmp (op->layer->params[i].name, name) == 0)
      return op->dparams[i];
  return NULL;
}

void
nn_cpu_op_activation_gradient (const Op *op, gsize channels, const float *y, float *dy)
{
  const NnCpuKernels *k = op->train->k;

  if (op->activation_done)
    return;
  if (op->activation == NN_ACTIVATION_SOFTMAX)
    k->softmax_backward (op->out_size / channels, channels, y, dy, dy);
  else if (op->activation != NN_ACTIVATION_LINEAR)
    k->activation_backward (op->activation, op->out_size, y, dy, dy);
}

float *
nn_cpu_train_buffer (NnCpuTrain *train, gsize n_floats, const char *what, GError **error)
{
  float *buffer = nn_aligned_new (MAX (n_floats, 1), what, error);

  if (buffer)
    g_ptr_array_add (train->buffers, buffer);
  return buffer;
}

double *
nn_cpu_train_doubles (NnCpuTrain *train, gsize n, const char *what, GError **error)
{
  return (double *) nn_cpu_train_buffer (train, 2 * n, what, error);
}
