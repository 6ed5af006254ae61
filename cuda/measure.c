/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda/measure.h"

/* Some runs in a row, as a graph where that can be had, which is how frames and steps run: the
 * time in which the host puts a call into the stream is longer than that of a small kernel. */

#define SHORT 0.2f /* milliseconds: what takes longer needs no row */
#define IN_A_ROW 4
#define ROUNDS 3

typedef struct
{
  NnCudaTry try_way;
  gpointer data;
  guint way, times;
  void *memory[NN_N_TRIED];
} Trial;

static gboolean
record (gpointer data, GError **error)
{
  const Trial *t = data;

  for (guint i = 0; i < t->times; i++)
    if (!t->try_way (t->data, t->way, t->memory, error))
      return FALSE;
  return TRUE;
}

/* Milliseconds of @t, as @graph where there is one; negative: it fails. */
static float
time_once (NnCudaContext *c, Trial *t, CUgraphExec graph, CUevent start, CUevent end)
{
  float time;

  return nn_api.cuEventRecord (start, c->stream) == CUDA_SUCCESS
          && (graph ? nn_api.cuGraphLaunch (graph, c->stream) == CUDA_SUCCESS : record (t, NULL))
          && nn_api.cuEventRecord (end, c->stream) == CUDA_SUCCESS
          && nn_api.cuEventSynchronize (end) == CUDA_SUCCESS
          && nn_api.cuEventElapsedTime (&time, start, end) == CUDA_SUCCESS
      ? time
      : -1;
}

/* Milliseconds of one run, the least of a few rounds; negative: it fails. *@is_captured: whether
 * a graph can have it. */
static float
measure (NnCudaContext *c, Trial *t, CUevent start, CUevent end, gboolean *is_captured)
{
  CUgraphExec graph;
  float best = -1, time;

  /* libraries load what they need when they run first */
  t->times = 1;
  if (!record (t, NULL) || !nn_cuda_sync (c, NULL))
    return -1;
  time = time_once (c, t, NULL, start, end);
  if (time < 0)
    return -1;
  t->times = time < SHORT ? IN_A_ROW : 1;
  graph = nn_cuda_capture (c, record, t, NULL);
  *is_captured = graph != NULL;
  for (guint i = 0; i < ROUNDS; i++) {
    time = time_once (c, t, graph, start, end) / (float) t->times;
    if (time < 0) {
      best = -1;
      break;
    }
    best = best < 0 ? time : MIN (best, time);
  }
  nn_api.cuStreamSynchronize (c->stream);
  if (graph)
    nn_api.cuGraphExecDestroy (graph);
  return best;
}

/* All trials of a plan share these blocks, which grow: to give memory back stops the whole device,
 * and with it other plans. FALSE: some is not to be had. */
static gboolean
take_memory (NnCudaContext *c, const gsize sizes[NN_N_TRIED], void *memory[NN_N_TRIED])
{
  for (guint i = 0; i < NN_N_TRIED; i++) {
    const gsize bytes = MAX (sizes[i], 16);
    CUdeviceptr block = 0;

    if (bytes > c->tried_sizes[i]) {
      if (c->tried[i]) { /* a trial that failed has not waited */
        nn_api.cuStreamSynchronize (c->stream);
        nn_api.cuMemFree ((CUdeviceptr) (guintptr) c->tried[i]);
      }
      c->tried[i] = NULL;
      c->tried_sizes[i] = 0;
      if (nn_api.cuMemAlloc (&block, bytes) != CUDA_SUCCESS)
        return FALSE;
      c->tried[i] = (void *) (guintptr) block;
      c->tried_sizes[i] = bytes;
    }
    memory[i] = c->tried[i];
    if (nn_api.cuMemsetD8Async ((CUdeviceptr) (guintptr) memory[i], 0, bytes, c->stream)
        != CUDA_SUCCESS)
      return FALSE;
  }
  return TRUE;
}

void
nn_cuda_end_trials (NnCudaContext *c)
{
  nn_api.cuStreamSynchronize (c->stream);
  for (guint i = 0; i < NN_N_TRIED; i++) {
    if (c->tried[i])
      nn_api.cuMemFree ((CUdeviceptr) (guintptr) c->tried[i]);
    c->tried[i] = NULL;
    c->tried_sizes[i] = 0;
  }
}

gboolean
nn_cuda_measures_training (void)
{
  return g_strcmp0 (g_getenv ("CLASSIFY_CUDA_MEASURE"), "training") == 0;
}

guint
nn_cuda_fastest (NnCudaContext *c, guint n_ways, const gsize sizes[NN_N_TRIED],
    NnCudaTry try_way, gpointer data, float *time)
{
  CUevent start = NULL, end = NULL;
  Trial t = { .try_way = try_way, .data = data };
  gboolean ok = nn_api.cuEventCreate (&start, CU_EVENT_DEFAULT) == CUDA_SUCCESS
      && nn_api.cuEventCreate (&end, CU_EVENT_DEFAULT) == CUDA_SUCCESS;
  gboolean best_is_captured = FALSE;
  guint chosen = 0;

  *time = -1;
  ok = ok && take_memory (c, sizes, t.memory);
  for (t.way = 0; t.way < n_ways && ok; t.way++) {
    gboolean is_captured = FALSE;
    const float taken = measure (c, &t, start, end, &is_captured);

    /* one that no graph can have costs the whole network its graph: slower than any other */
    if (taken >= 0
        && (*time < 0 || is_captured > best_is_captured
            || (is_captured == best_is_captured && taken < *time))) {
      *time = taken;
      chosen = t.way;
      best_is_captured = is_captured;
    }
  }
  nn_api.cuStreamSynchronize (c->stream);
  if (end)
    nn_api.cuEventDestroy (end);
  if (start)
    nn_api.cuEventDestroy (start);
  return chosen;
}

gboolean
nn_cuda_try (NnCudaContext *c, guint way, const gsize sizes[NN_N_TRIED], NnCudaTry try_way,
    gpointer data)
{
  void *memory[NN_N_TRIED];

  return !take_memory (c, sizes, memory)
      || (try_way (data, way, memory, NULL) && nn_cuda_sync (c, NULL));
}
