/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

#include "nn/backend.h"

G_BEGIN_DECLS

/* Engine: one plan and who runs it. Direct engines run in the caller's thread;
 * threaded ones have a thread of their own, which takes jobs from the queues of
 * its clients in turn and runs up to `batch` samples at once.
 *
 * A shared engine serves every client that opens one with equal options out of
 * the same pool: a client that stops, fails or is slow never stops another. Where
 * a run of several jobs fails they are run again one by one: the error is that of
 * the jobs that fail alone too. A device that fails for good fails them all.
 *
 * Thread-safe, but for what is said at a job. */

typedef struct _Engine Engine;
typedef struct _EngineClient EngineClient;
typedef struct _EngineJob EngineJob;

typedef enum {
  ENGINE_DIRECT,   /* private, in the caller's thread */
  ENGINE_THREADED, /* private */
  ENGINE_SHARED,   /* threaded */
} EngineKind;

typedef struct {
  EngineKind kind;
  const char *device;       /* this and the next as nn_backend_open_in() */
  const NnContext *context; /* or NULL */
  NnPrecision precision;
  guint threads;
  guint batch;          /* samples that a run may have */
  GstClockTime timeout; /* how long a job waits for others to fill the batch; of a shared
                         * engine that of the client that opened it */
} EngineOptions;

/* Engines that are shared. A GObject without properties, so that an application
 * can make one by its type's name (GstVideoClassifyEnginePool) and hand it to a bin
 * in a GstContext of the type ENGINE_POOL_CONTEXT, field "pool": its elements then
 * share among themselves alone. */
#define ENGINE_POOL_CONTEXT "gst.classify.engines"
#define ENGINE_TYPE_POOL (engine_pool_get_type ())
G_DECLARE_FINAL_TYPE (GstVideoClassifyEnginePool, engine_pool, ENGINE, POOL, GObject)
typedef GstVideoClassifyEnginePool EnginePool;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EnginePool, g_object_unref)

/* The pool of the process. (transfer full) */
EnginePool *engine_pool_get_default (void);

/* @model is not copied: two models are equal when they are the same pointer
 * (model_cache_get()), or the same part of the same pointer. */
EngineClient *engine_client_new (
    EnginePool *pool, NnModel *model, const EngineOptions *options, GError **error);
/* Waits for the job that runs; drops those that wait. Its jobs must be freed after it. */
void engine_client_free (EngineClient *client);

NnBackend *engine_client_get_backend (EngineClient *client); /* (transfer none) */
NnPlan *engine_client_get_plan (EngineClient *client);       /* (transfer none) */
guint engine_client_get_n_clients (EngineClient *client);    /* that share the engine */

/* @user_data is the job's. In the engine's thread, no lock held; the job is idle
 * when it has returned. */
typedef void (*EngineDone) (EngineJob *job, gpointer user_data);

/* Filled in by one thread while it is idle, not touched while it is not. */
struct _EngineJob {
  guint capacity;        /* samples */
  float *input;          /* (capacity, H, W, C) */
  float *output;         /* (capacity, n_outputs); with pack.n_views one for so many samples */
  NnPack pack;           /* in place of the input, its samples but for first and n; of size 0: the
                          * input is used */
  NnPackPlane planes[3]; /* room for the pack's */
  guint n;               /* samples in use, >= 1 */
  GError *error;         /* of the last run, or NULL; owned */
  GstClockTime run_time; /* of the last run, that of the others in its batch included */
  EngineDone prepare; /* or NULL: makes the input, by whoever runs the job, in front of the run */
  EngineDone done;
  gpointer user_data;

  /* private */
  EngineClient *client;
  int state;
  gint64 queued_at;
  float *memory;
  NnStaging *staging; /* the pack's, from the first one on; outlives the client */
};

EngineJob *engine_job_new (EngineClient *client, guint capacity);
void engine_job_free (EngineJob *job);

/* TRUE: the device makes the input itself of packs (nn/frame-pack.h), with rows that it fetches
 * from a device's memory too. */
gboolean engine_client_takes_packs (EngineClient *client);
/* For each pack of an idle job: as nn_staging_reserve(), and makes it that of job->pack. */
guint8 *engine_job_reserve_pack (EngineJob *job, gsize host_size, gsize size, GError **error);
/* Whether an engine of so many samples a run can give means of @n_views of them. */
gboolean engine_job_takes_views (EngineJob *job, guint n_views);

/* Runs the job and waits for it. FALSE: job->error tells. */
gboolean engine_job_run (EngineJob *job);
/* Threaded engines: queues the job, whose pack is on its way to the device from now on; done() is
 * called when it was run. */
void engine_job_submit (EngineJob *job);
/* TRUE: it was waiting and is idle now, nothing reads its frame, done() will not be called. FALSE:
 * it runs, or is idle. */
gboolean engine_job_withdraw (EngineJob *job);
gboolean engine_job_is_idle (EngineJob *job);
/* Until no job of the client waits or runs and every done() has returned. */
void engine_client_wait (EngineClient *client);

/* Of all clients: jobs waiting, runs so far and samples in them. */
void engine_client_get_load (
    EngineClient *client, guint *depth, guint64 *n_runs, guint64 *n_samples);

G_END_DECLS
