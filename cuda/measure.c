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

/* Milliseconds of one run, the least of a few rounds; negative: it fails. */
static float
measure (NnCudaContext *c, Trial *t, CUevent start, CUevent end)
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

/* FALSE: some of it is not to be had; all of it is to be given back. */
static gboolean
take_memory (NnCudaContext *c, const gsize sizes[NN_N_TRIED], void *memory[NN_N_TRIED])
{
  gboolean ok = TRUE;

  for (guint i = 0; i < NN_N_TRIED; i++) {
    const gsize bytes = MAX (sizes[i], 16);
    CUdeviceptr block = 0;

    ok = ok && nn_api.cuMemAlloc (&block, bytes) == CUDA_SUCCESS;
    memory[i] = (void *) (guintptr) block;
    ok = ok && nn_api.cuMemsetD8Async (block, 0, bytes, c->stream) == CUDA_SUCCESS;
  }
  return ok;
}

static void
give_back (NnCudaContext *c, void *const memory[NN_N_TRIED])
{
  nn_api.cuStreamSynchronize (c->stream);
  for (guint i = 0; i < NN_N_TRIED; i++)
    if (memory[i])
      nn_api.cuMemFree ((CUdeviceptr) (guintptr) memory[i]);
}

guint
nn_cuda_fastest (NnCudaContext *c, guint n_ways, const gsize sizes[NN_N_TRIED],
    NnCudaTry try_way, gpointer data, float *time)
{
  CUevent start = NULL, end = NULL;
  Trial t = { .try_way = try_way, .data = data };
  gboolean ok = nn_api.cuEventCreate (&start, CU_EVENT_DEFAULT) == CUDA_SUCCESS
      && nn_api.cuEventCreate (&end, CU_EVENT_DEFAULT) == CUDA_SUCCESS;
  guint chosen = 0;

  *time = -1;
  ok = ok && take_memory (c, sizes, t.memory);
  for (t.way = 0; t.way < n_ways && ok; t.way++) {
    const float taken = measure (c, &t, start, end);

    if (taken >= 0 && (*time < 0 || taken < *time)) {
      *time = taken;
      chosen = t.way;
    }
  }
  give_back (c, t.memory);
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
  const gboolean ok = !take_memory (c, sizes, memory)
      || (try_way (data, way, memory, NULL) && nn_cuda_sync (c, NULL));

  give_back (c, memory);
  return ok;
}
