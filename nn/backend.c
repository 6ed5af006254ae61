/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv() */
#endif
#include "nn/backend.h"

#include <gmodule.h>
#include <stdlib.h>
#include <string.h>

#include "nn/backend-module.h"
#include "nn/cpu/backend-cpu.h"
#include "nn/error.h"
#include "nn/layer.h"
#include "nn/text.h"

/* back ends that come as modules, in the order in which "auto" tries them */
static const char *const module_names[] = { "cuda" };

struct _NnBackend
{
  gint ref_count;
  const NnBackendClass *klass;
  char *device;
  char *description;
  gpointer handle;
  guint index;
  gpointer context;  /* the driver's, or NULL */
  NnContext foreign; /* handle NULL: the context is the back end's own */
};

static GMutex opening; /* one at a time: a driver may take seconds, who closes does not wait */
static GMutex open_lock;
static GList *open_backends; /* not owned; under open_lock */

struct _NnPlan
{
  NnBackend *backend;
  NnModel *model;
  guint batch;
  gboolean training;
  gpointer handle;
};

/* --- precisions ----------------------------------------------------------------- */

static const char *const precision_names[] = { "auto", "fp32", "tf32", "fp16", "bf16" };

const char *
nn_precision_to_string (NnPrecision precision)
{
  return precision_names[precision];
}

gboolean
nn_precision_from_string (const char *string, NnPrecision *precision)
{
  for (guint i = 0; i < G_N_ELEMENTS (precision_names); i++) {
    if (g_strcmp0 (string, precision_names[i]) == 0) {
      *precision = i;
      return TRUE;
    }
  }
  return FALSE;
}

/* --- modules -------------------------------------------------------------------- */

static void
host_log (NnLogLevel level, const char *message)
{
  nn_log (level, "%s", message);
}

static const NnBackendClass *
check_class (const NnBackendClass *klass, const char *name, const char *path, GError **error)
{
  if (!klass)
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND,
        "%s: refuses to work with this version of classify", path);
  else if (klass->abi != NN_BACKEND_ABI || klass->size != sizeof (NnBackendClass))
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND,
        "%s: was built for another version of classify (ABI %u of %" G_GSIZE_FORMAT
        " bytes, wanted %u of %" G_GSIZE_FORMAT "): install the one that belongs to it",
        path, klass->abi, klass->size, NN_BACKEND_ABI, sizeof (NnBackendClass));
  else if (g_strcmp0 (klass->name, name) != 0)
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND, "%s: is a back end \"%s\", not \"%s\"", path,
        klass->name ? klass->name : "", name);
  else
    return klass;
  return NULL;
}

/* Opened once in the life of the process and never closed: a GPU library does
 * not survive that. */
static const NnBackendClass *
open_module (const char *name, GError **error)
{
  static GMutex lock;
  static GHashTable *opened; /* path -> class */
  static NnHost host;
  const char *dir = secure_getenv ("CLASSIFY_BACKEND_PATH");
  g_autofree char *file = g_strdup_printf ("nn-backend-%s.so", name);
  g_autofree char *path = g_build_filename (dir && *dir ? dir : NN_MODULE_DIR, file, NULL);
  const NnBackendClass *klass = NULL;
  GModule *module;
  gpointer symbol = NULL;

  if (dir && *dir && !g_path_is_absolute (dir)) {
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND,
        "CLASSIFY_BACKEND_PATH should be an absolute path, it is \"%s\"", dir);
    nn_text_make_printable (error);
    return NULL;
  }
  g_mutex_lock (&lock);
  if (!opened) {
    opened = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    host = (NnHost) {
      .abi = NN_BACKEND_ABI,
      .size = sizeof host,
      .layout = nn_layout_get (),
      .log = host_log,
      .error_domain = NN_ERROR,
      .optimizer_step_rate = nn_optimizer_step_rate,
      .optimizer_plain_rate = nn_optimizer_plain_rate,
      .param_decays = nn_param_decays,
    };
  }
  klass = g_hash_table_lookup (opened, path);
  if (klass)
    goto out;
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND, "%s: not installed", path);
    goto out;
  }
  module = g_module_open (path, G_MODULE_BIND_LOCAL);
  if (!module) {
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND, "%s: cannot be opened: %s", path,
        g_module_error ());
    goto out;
  }
  if (!g_module_symbol (module, NN_BACKEND_MODULE_SYMBOL, &symbol) || !symbol) {
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND, "%s: is no back end: it has no symbol %s", path,
        NN_BACKEND_MODULE_SYMBOL);
    g_module_close (module);
    goto out;
  }
  klass = check_class (((NnBackendModuleQuery) symbol) (&host), name, path, error);
  if (klass) {
    g_module_make_resident (module);
    g_hash_table_insert (opened, g_steal_pointer (&path), (gpointer) klass);
  } else {
    g_module_close (module);
  }

out:
  g_mutex_unlock (&lock);
  return klass;
}

/* --- devices -------------------------------------------------------------------- */

/* (transfer full)(nullable) */
static NnBackend *
find_open (const NnBackendClass *klass, guint index, const NnContext *context)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&open_lock);

  for (GList *l = open_backends; l; l = l->next) {
    NnBackend *backend = l->data;

    if (backend->klass == klass && backend->index == index
        && (context ? backend->context == context->handle : !backend->foreign.handle))
      return nn_backend_ref (backend);
  }
  return NULL;
}

static NnBackend *
open_device (
    const NnBackendClass *klass, guint index, const NnContext *context, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&opening);
  NnBackend *backend = find_open (klass, index, context);
  gpointer handle;

  if (backend)
    return backend;
  handle = klass->open (index, context ? context->handle : NULL, error);
  if (!handle)
    return NULL;
  backend = g_new0 (NnBackend, 1);
  backend->ref_count = 1;
  backend->klass = klass;
  backend->index = index;
  backend->handle = handle;
  backend->context = klass->get_context ? klass->get_context (handle) : NULL;
  if (context) {
    backend->foreign = *context;
    backend->foreign.owner = context->owner_ref (context->owner);
  }
  backend->device = klass == &nn_backend_cpu_class
      ? g_strdup ("cpu")
      : g_strdup_printf ("%s:%u", klass->name, index);
  backend->description = klass->describe_device (index);
  g_mutex_lock (&open_lock);
  open_backends = g_list_prepend (open_backends, backend);
  g_mutex_unlock (&open_lock);
  return backend;
}

static guint
count_devices (const NnBackendClass *klass, GError **error)
{
  g_autoptr (GError) reason = NULL;
  guint n = klass->count_devices (&reason);

  if (n == 0)
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND, "%s",
        reason ? reason->message : "no such device in this machine");
  return n;
}

/* "cuda:1" into "cuda" and 1; "cuda" into "cuda" and -1: whichever. NULL: no GPU's name. */
static const char *
parse_device (const char *device, gint *index)
{
  for (guint i = 0; i < G_N_ELEMENTS (module_names); i++) {
    const char *name = module_names[i];
    const gsize length = strlen (name);
    guint64 number;

    *index = -1;
    if (strcmp (device, name) == 0)
      return name;
    if (strncmp (device, name, length) == 0 && device[length] == ':'
        && g_ascii_string_to_unsigned (device + length + 1, 10, 0, 1023, &number, NULL)) {
      *index = (gint) number;
      return name;
    }
  }
  return NULL;
}

static NnBackend *
open_by_name (const char *device, const NnContext *context, GError **error)
{
  const NnBackendClass *klass;
  const char *name;
  gint wanted;
  guint index, n;

  if (strcmp (device, "cpu") == 0)
    return open_device (&nn_backend_cpu_class, 0, NULL, error);
  name = parse_device (device, &wanted);
  if (!name) {
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND,
        "there is no device \"%s\": use auto, cpu, cuda or cuda:N", device);
    return NULL;
  }
  klass = open_module (name, error);
  n = klass ? count_devices (klass, error) : 0;
  if (context && !nn_backend_allows (device, context->index))
    context = NULL;
  index = context ? context->index : (guint) MAX (wanted, 0);
  if (n > 0 && index >= n)
    g_set_error (error, NN_ERROR, NN_ERROR_BACKEND,
        "this machine has %u such device%s: %s:0 to %s:%u", n, n == 1 ? "" : "s", name, name,
        n - 1);
  else if (n > 0) {
    NnBackend *backend = open_device (klass, index, context, error);

    if (backend)
      return backend;
  }
  g_prefix_error (error, "device \"%s\" cannot be used: ", device);
  return NULL;
}

/* the kernel's, also under WSL */
static gboolean
has_nvidia_driver (void)
{
  return g_file_test ("/proc/driver/nvidia/version", G_FILE_TEST_EXISTS)
      || g_file_test ("/dev/dxg", G_FILE_TEST_EXISTS);
}

NnBackend *
nn_backend_open (const char *device, GError **error)
{
  return nn_backend_open_in (device, NULL, error);
}

NnBackend *
nn_backend_open_in (const char *device, const NnContext *context, GError **error)
{
  static gint warned;
  g_autoptr (GString) reasons = g_string_new (NULL);

  if (g_strcmp0 (device, "auto") != 0)
    return open_by_name (device ? device : "", context, error);
  for (guint i = 0; i < G_N_ELEMENTS (module_names); i++) {
    g_autoptr (GError) reason = NULL;
    NnBackend *backend = open_by_name (module_names[i], context, &reason);

    if (backend)
      return backend;
    g_string_append_printf (reasons, "%s%s", reasons->len ? "; " : "", reason->message);
  }
  /* where there is a GPU it should have been used; where there is none nothing is amiss */
  if (g_atomic_int_compare_and_exchange (&warned, 0, 1))
    nn_log (has_nvidia_driver () ? NN_LOG_WARNING : NN_LOG_INFO, "using the CPU: %s",
        reasons->str);
  return open_by_name ("cpu", NULL, error);
}

gboolean
nn_backend_allows (const char *device, guint index)
{
  gint wanted;

  return g_strcmp0 (device, "auto") == 0
      || (device && parse_device (device, &wanted) && (wanted < 0 || (guint) wanted == index));
}

gboolean
nn_backend_has_gpu (const char *device)
{
  const gboolean is_auto = g_strcmp0 (device, "auto") == 0;
  gint index = -1;
  const char *name = is_auto ? NULL : parse_device (device ? device : "", &index);

  for (guint i = 0; i < G_N_ELEMENTS (module_names); i++) {
    const NnBackendClass *klass;

    if (!is_auto && name != module_names[i])
      continue;
    klass = open_module (module_names[i], NULL);
    if (klass && count_devices (klass, NULL) > (guint) MAX (index, 0))
      return TRUE;
  }
  return FALSE;
}

NnBackend *
nn_backend_ref (NnBackend *backend)
{
  g_atomic_int_inc (&backend->ref_count);
  return backend;
}

void
nn_backend_unref (NnBackend *backend)
{
  gboolean is_last;

  if (!backend)
    return;
  g_mutex_lock (&open_lock); /* nobody finds it on its way out */
  is_last = g_atomic_int_dec_and_test (&backend->ref_count);
  if (is_last)
    open_backends = g_list_remove (open_backends, backend);
  g_mutex_unlock (&open_lock);
  if (!is_last)
    return;
  backend->klass->close (backend->handle);
  if (backend->foreign.handle)
    backend->foreign.owner_unref (backend->foreign.owner);
  g_free (backend->device);
  g_free (backend->description);
  g_free (backend);
}

const char *
nn_backend_get_device (const NnBackend *backend)
{
  return backend->device;
}

gpointer
nn_backend_get_context (const NnBackend *backend, guint *index)
{
  *index = backend->index;
  return backend->context;
}

const char *
nn_backend_get_description (const NnBackend *backend)
{
  return backend->description;
}

static void
device_info_free (gpointer data)
{
  NnDeviceInfo *info = data;

  g_free (info->device);
  g_free (info->description);
  g_free (info->reason);
  g_free (info);
}

static void
add_device (GPtrArray *devices, char *device, char *description, char *reason)
{
  NnDeviceInfo *info = g_new0 (NnDeviceInfo, 1);

  *info = (NnDeviceInfo) { device, description, reason };
  g_ptr_array_add (devices, info);
}

GPtrArray *
nn_backend_list_devices (void)
{
  GPtrArray *devices = g_ptr_array_new_with_free_func (device_info_free);

  add_device (devices, g_strdup ("cpu"), nn_backend_cpu_class.describe_device (0), NULL);
  for (guint i = 0; i < G_N_ELEMENTS (module_names); i++) {
    g_autoptr (GError) error = NULL;
    const NnBackendClass *klass = open_module (module_names[i], &error);
    guint n = klass ? count_devices (klass, &error) : 0;

    for (guint d = 0; d < n; d++) {
      g_autoptr (GError) reason = NULL;
      gpointer handle = klass->open (d, NULL, &reason);

      if (handle)
        klass->close (handle);
      add_device (devices, g_strdup_printf ("%s:%u", klass->name, d), klass->describe_device (d),
          reason ? g_strdup (reason->message) : NULL);
    }
    if (n == 0)
      add_device (devices, g_strdup (module_names[i]), g_strdup ("not usable"),
          g_strdup (error->message));
  }
  return devices;
}

/* --- plans ---------------------------------------------------------------------- */

/* Networks that are no chain of the basic kinds of layers run on the CPU, and are not trained. */
static gboolean
check_graph (
    const NnBackend *backend, const NnModel *model, const NnPlanOptions *options, GError **error)
{
  const NnLayer *layer = nn_model_find_unchained (model);
  const gboolean is_cpu = strcmp (backend->device, "cpu") == 0;

  if (!layer || (is_cpu && !options->training))
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
      "%s: layer '%s' (%s) %s", model->origin ? model->origin : "model", layer->name,
      layer->klass->name,
      options->training ? "cannot be trained yet: networks that can are chains of the kinds of"
                          " layers that README lists first"
                        : "runs on the CPU only: use device=cpu");
  return FALSE;
}

NnPlan *
nn_plan_new (NnBackend *backend, NnModel *model, const NnPlanOptions *options, GError **error)
{
  NnPlanOptions complete = *options;
  NnPlan *plan;
  gpointer handle;

  g_return_val_if_fail (backend && model, NULL);
  complete.batch = MAX (options->batch, 1);
  if (complete.training && !backend->klass->plan_train_step) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "device \"%s\" cannot train",
        backend->device);
    return NULL;
  }
  handle = check_graph (backend, model, &complete, error)
      ? backend->klass->plan_new (backend->handle, model, &complete, error)
      : NULL;
  if (!handle) {
    nn_text_make_printable (error); /* it names layers */
    return NULL;
  }
  plan = g_new0 (NnPlan, 1);
  plan->backend = nn_backend_ref (backend);
  plan->model = nn_model_ref (model);
  plan->batch = complete.batch;
  plan->training = complete.training;
  plan->handle = handle;
  return plan;
}

void
nn_plan_free (NnPlan *plan)
{
  if (!plan)
    return;
  plan->backend->klass->plan_free (plan->handle);
  nn_model_unref (plan->model);
  nn_backend_unref (plan->backend);
  g_free (plan);
}

NnModel *
nn_plan_get_model (const NnPlan *plan)
{
  return plan->model;
}

guint
nn_plan_get_batch (const NnPlan *plan)
{
  return plan->batch;
}

guint
nn_plan_get_threads (const NnPlan *plan)
{
  return plan->backend->klass->plan_get_threads (plan->handle);
}

float *
nn_plan_get_input (NnPlan *plan)
{
  return plan->backend->klass->plan_get_input (plan->handle);
}

const float *
nn_plan_run (NnPlan *plan, guint n, GError **error)
{
  g_return_val_if_fail (n >= 1 && n <= plan->batch, NULL);
  return plan->backend->klass->plan_run (plan->handle, n, error);
}

gboolean
nn_plan_takes_packs (const NnPlan *plan)
{
  return plan->backend->klass->plan_run_packs != NULL && !plan->training;
}

const float *
nn_plan_run_packs (NnPlan *plan, const NnPack *packs, guint n_packs, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < n_packs; i++) {
    n += packs[i].n;
    g_return_val_if_fail (!packs[i].n_views || packs[i].n % packs[i].n_views == 0, NULL);
  }
  g_return_val_if_fail (nn_plan_takes_packs (plan) && n >= 1 && n <= plan->batch, NULL);
  return plan->backend->klass->plan_run_packs (plan->handle, packs, n_packs, error);
}

NnStaging *
nn_staging_new (NnBackend *backend)
{
  NnStaging *staging;

  g_return_val_if_fail (backend->klass->staging_new, NULL);
  staging = g_new0 (NnStaging, 1);
  staging->backend = nn_backend_ref (backend);
  staging->handle = backend->klass->staging_new (backend->handle);
  return staging;
}

void
nn_staging_free (NnStaging *staging)
{
  if (!staging)
    return;
  staging->backend->klass->staging_free (staging->handle);
  nn_backend_unref (staging->backend);
  g_free (staging);
}

guint8 *
nn_staging_reserve (NnStaging *staging, gsize host_size, gsize size, GError **error)
{
  g_return_val_if_fail (host_size <= size, NULL);
  return staging->backend->klass->staging_reserve (staging->handle, host_size, size, error);
}

gboolean
nn_staging_send (NnStaging *staging, const NnPack *pack, GError **error)
{
  g_return_val_if_fail (pack->staging == staging, FALSE);
  return staging->backend->klass->staging_send (staging->handle, pack, error);
}

gboolean
nn_staging_thumbnail (
    NnStaging *staging, const NnPack *pack, guint size, float *means, GError **error)
{
  g_return_val_if_fail (pack->staging == staging && !pack->is_drawn, FALSE);
  return staging->backend->klass->staging_thumbnail (staging->handle, pack, size, means, error);
}

void
nn_staging_wait (NnStaging *staging)
{
  staging->backend->klass->staging_wait (staging->handle);
}

gboolean
nn_plan_train_step (NnPlan *plan, const NnStep *step, NnOptimizer *optimizer,
    NnStepResult *result, GError **error)
{
  g_return_val_if_fail (plan->training && step->n >= 1 && step->n <= plan->batch, FALSE);
  g_return_val_if_fail (step->n_measured <= step->n, FALSE);
  if (!plan->backend->klass->plan_train_step (plan->handle, step, optimizer, result, error))
    return FALSE;
  if (optimizer->ema && !plan->backend->klass->plan_run_averaged) {
    if (!nn_plan_sync (plan, NULL, error))
      return FALSE;
    nn_ema_update (optimizer->ema, nn_model_get_owner (plan->model), optimizer->iterations);
  }
  return TRUE;
}

/* The average into the parameters' place, or back. */
static void
swap_average (NnPlan *plan, NnOptimizer *optimizer)
{
  nn_ema_swap (optimizer->ema, (NnModel *) nn_model_get_owner (plan->model));
  nn_plan_params_changed (plan);
}

gboolean
nn_plan_set_pictures (NnPlan *plan, const NnAugmentForm *form, const NnPictures *sets,
    guint n_sets, GError **error)
{
  const NnShape *in = nn_model_get_input_shape (plan->model);

  g_return_val_if_fail (plan->training && in->dims[0] == form->rows
          && in->dims[1] == form->columns && in->dims[2] == form->channels,
      FALSE);
  if (plan->backend->klass->plan_set_pictures)
    return plan->backend->klass->plan_set_pictures (plan->handle, form, sets, n_sets, error);
  g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "device %s wants its input from the host",
      nn_backend_get_device (plan->backend));
  return FALSE;
}

const float *
nn_plan_run_averaged (NnPlan *plan, NnOptimizer *optimizer, const NnAugmentEntry *entries,
    guint n, GError **error)
{
  const float *outputs;

  g_return_val_if_fail (plan->training && n >= 1 && n <= plan->batch, NULL);
  if (plan->backend->klass->plan_run_averaged)
    return plan->backend->klass->plan_run_averaged (plan->handle, optimizer, entries, n, error);
  if (!optimizer->ema)
    return nn_plan_run (plan, n, error);
  if (!nn_plan_sync (plan, NULL, error))
    return NULL;
  swap_average (plan, optimizer);
  outputs = nn_plan_run (plan, n, error);
  swap_average (plan, optimizer);
  return outputs;
}

void
nn_plan_params_changed (NnPlan *plan)
{
  g_return_if_fail (plan->training);
  plan->backend->klass->plan_params_changed (plan->handle);
}

gboolean
nn_plan_sync (NnPlan *plan, NnOptimizer *optimizer, GError **error)
{
  return !plan->backend->klass->plan_sync
      || plan->backend->klass->plan_sync (plan->handle, optimizer, error);
}

char *
nn_plan_describe (const NnPlan *plan)
{
  return plan->backend->klass->plan_describe (plan->handle);
}
