/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend.h"
#include "nn/log.h"

G_BEGIN_DECLS

/* The binary interface between nn/ and a back end. The CPU back end is linked
 * in; others are modules that nn/ opens at run time (nn-backend-NAME.so in
 * $libdir/classify, or in $CLASSIFY_BACKEND_PATH) and asks for the one symbol
 * below. A module calls nn/ through NnHost only. */

#define NN_BACKEND_ABI 9

/* Sizes of what both sides read of each other: a struct that was changed with NN_BACKEND_ABI left
 * as it was is refused, too. */
typedef struct
{
  guint32 shape, param, layer, model, optimizer, ema, step, step_result, options, pack, plane,
      pictures, form, entry, mix, context;
} NnLayout;

static inline NnLayout
nn_layout_get (void)
{
  return (NnLayout) { sizeof (NnShape), sizeof (NnParam), sizeof (NnLayer), sizeof (NnModel),
    sizeof (NnOptimizer), sizeof (NnEma), sizeof (NnStep), sizeof (NnStepResult),
    sizeof (NnPlanOptions), sizeof (NnPack), sizeof (NnPackPlane), sizeof (NnPictures),
    sizeof (NnAugmentForm), sizeof (NnAugmentEntry), sizeof (NnMixEntry), sizeof (NnContext) };
}

/* What the host offers to a module. */
typedef struct
{
  guint abi;  /* NN_BACKEND_ABI of the host */
  gsize size; /* sizeof (NnHost) of the host */
  void (*log) (NnLogLevel level, const char *message);
  NnLayout layout; /* nn_layout_get() of the host */
  GQuark error_domain; /* NN_ERROR */
  /* of nn/optimizer.h */
  double (*optimizer_step_rate) (const NnOptimizer *optimizer);
  double (*optimizer_plain_rate) (const NnOptimizer *optimizer);
  gboolean (*param_decays) (const NnParam *param);
} NnHost;

typedef struct _NnBackendClass NnBackendClass;

struct _NnStaging
{
  NnBackend *backend;
  gpointer handle; /* the module's */
};

struct _NnBackendClass
{
  guint abi;        /* NN_BACKEND_ABI the module was built with */
  gsize size;       /* sizeof (NnBackendClass) of the module */
  const char *name; /* "cpu", "cuda" */

  /* Number of devices; 0 with @error set says why there is none. Must be safe
   * where no driver or library is installed. */
  guint (*count_devices) (GError **error);
  /* (transfer full): words for people about device @index */
  char *(*describe_device) (guint index);

  /* Returns: (transfer full): the opened device, or NULL. @context: the driver's, which stays
   * until close(), or NULL for the one that the process shares. */
  gpointer (*open) (guint index, gpointer context, GError **error);
  gpointer (*get_context) (gpointer device); /* the driver's; NULL in a back end without */
  void (*close) (gpointer device);

  /* Returns: (transfer full): a plan, or NULL. @options are complete: batch
   * >= 1, a precision other than AUTO or AUTO for the back end to choose. The
   * host keeps @model alive. */
  gpointer (*plan_new) (gpointer device, NnModel *model, const NnPlanOptions *options,
      GError **error);
  void (*plan_free) (gpointer plan);
  guint (*plan_get_threads) (gpointer plan);
  float *(*plan_get_input) (gpointer plan);
  const float *(*plan_run) (gpointer plan, guint n, GError **error);
  char *(*plan_describe) (gpointer plan);

  /* Training; NULL in a back end that only infers. */
  gboolean (*plan_train_step) (gpointer plan, const NnStep *step, NnOptimizer *optimizer,
      NnStepResult *result, GError **error);
  void (*plan_params_changed) (gpointer plan); /* on the host */
  /* NULL where the host's memory always is up to date. */
  gboolean (*plan_sync) (gpointer plan, NnOptimizer *optimizer, GError **error);
  /* NULL where plan_train_step() leaves optimizer->ema to the caller. */
  const float *(*plan_run_averaged) (gpointer plan, NnOptimizer *optimizer,
      const NnAugmentEntry *entries, guint n, GError **error);

  /* Pre-processing; NULL in a back end that wants the input from the host. */
  gpointer (*staging_new) (gpointer device);
  void (*staging_free) (gpointer staging);
  guint8 *(*staging_reserve) (gpointer staging, gsize host_size, gsize size, GError **error);
  gboolean (*staging_send) (gpointer staging, const NnPack *pack, GError **error);
  void (*staging_wait) (gpointer staging);
  gboolean (*staging_thumbnail) (
      gpointer staging, const NnPack *pack, guint size, float *means, GError **error);
  const float *(*plan_run_packs) (
      gpointer plan, const NnPack *packs, guint n_packs, GError **error);

  /* Augmentation; NULL likewise. */
  gboolean (*plan_set_pictures) (gpointer plan, const NnAugmentForm *form,
      const NnPictures *sets, guint n_sets, GError **error);
};

/* A module exports this function under this name. Returns NULL when it cannot
 * work with @host; the caller checks abi and size of what comes back. */
#define NN_BACKEND_MODULE_SYMBOL "nn_backend_module_query"
typedef const NnBackendClass *(*NnBackendModuleQuery) (const NnHost *host);

G_END_DECLS
