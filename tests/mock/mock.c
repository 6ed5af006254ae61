/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A back-end module for the loader's tests, in the variety that MOCK names. Each
 * is built as nn-backend-cuda.so in a folder of its own. */

#include <gmodule.h>

#include "nn/backend-module.h"
#include "nn/error.h"

#define MOCK_GOOD 1      /* one device, whose plans give 0.25 and 0.75 */
#define MOCK_OLD_ABI 2   /* of another version */
#define MOCK_SMALL 3     /* a vtable of another size */
#define MOCK_NAME 4      /* of another name */
#define MOCK_REFUSES 5   /* does not like the host */
#define MOCK_NO_DEVICE 6 /* loads, and finds no device */
#define MOCK_FAILS 7     /* has a device, which cannot be opened */

#ifndef MOCK_NO_ENTRY

static const NnHost *the_host;

static guint
count_devices (GError **error)
{
#if MOCK == MOCK_NO_DEVICE
  g_set_error (error, the_host->error_domain, NN_ERROR_BACKEND, "the mock finds no device");
  return 0;
#else
  return 1;
#endif
}

static char *
describe_device (guint index)
{
  return g_strdup_printf ("mock device %u", index);
}

typedef struct
{
  gpointer context;
} Device;

static gpointer
get_context (gpointer device)
{
  return ((Device *) device)->context;
}

static gpointer
open_device (guint index, gpointer context, GError **error)
{
#if MOCK == MOCK_FAILS
  g_set_error (error, the_host->error_domain, NN_ERROR_BACKEND, "the mock cannot open device %u",
      index);
  return NULL;
#else
  Device *device = g_new0 (Device, 1);

  the_host->log (NN_LOG_INFO, "the mock was opened");
  device->context = context ? context : device;
  return device;
#endif
}

static void
close_device (gpointer device)
{
  g_free (device);
}

typedef struct
{
  float *input, *output;
} Plan;

static gpointer
plan_new (gpointer device, NnModel *model, const NnPlanOptions *options, GError **error)
{
  Plan *plan = g_new0 (Plan, 1);
  gsize size = 1;

  for (guint i = 0; i < model->layers[0].out_shape.n_dims; i++)
    size *= model->layers[0].out_shape.dims[i];
  plan->input = g_new0 (float, size * options->batch);
  plan->output = g_new0 (float, (gsize) 2 * options->batch);
  return plan;
}

static void
plan_free (gpointer data)
{
  Plan *plan = data;

  g_free (plan->input);
  g_free (plan->output);
  g_free (plan);
}

static guint
plan_get_threads (gpointer plan)
{
  return 1;
}

static float *
plan_get_input (gpointer plan)
{
  return ((Plan *) plan)->input;
}

static const float *
plan_run (gpointer data, guint n, GError **error)
{
  Plan *plan = data;

  for (guint i = 0; i < n; i++) {
    plan->output[2 * i] = 0.25f;
    plan->output[2 * i + 1] = 0.75f;
  }
  return plan->output;
}

static char *
plan_describe (gpointer plan)
{
  return g_strdup ("mock\n");
}

static const NnBackendClass klass = {
  .abi = NN_BACKEND_ABI + (MOCK == MOCK_OLD_ABI),
  .size = sizeof (NnBackendClass) - (MOCK == MOCK_SMALL),
  .name = MOCK == MOCK_NAME ? "toaster" : "cuda",
  .count_devices = count_devices,
  .describe_device = describe_device,
  .open = open_device,
  .close = close_device,
  .get_context = get_context,
  .plan_new = plan_new,
  .plan_free = plan_free,
  .plan_get_threads = plan_get_threads,
  .plan_get_input = plan_get_input,
  .plan_run = plan_run,
  .plan_describe = plan_describe,
};

G_MODULE_EXPORT const NnBackendClass *nn_backend_module_query (const NnHost *host);

const NnBackendClass *
nn_backend_module_query (const NnHost *host)
{
  the_host = host;
  return MOCK == MOCK_REFUSES ? NULL : &klass;
}

#endif
