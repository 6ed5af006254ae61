/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/graph.h"

#include <math.h>
#include <string.h>

#include "nn/cpu/graph-private.h"

static const NnCpuRow *const rows[NN_OP_N_KINDS] = {
  [NN_OP_CONV] = &nn_cpu_row_conv,
  [NN_OP_CONV_TRANSPOSE] = &nn_cpu_row_conv_transpose,
  [NN_OP_DENSE] = &nn_cpu_row_dense,
  [NN_OP_MATMUL] = &nn_cpu_row_matmul,
  [NN_OP_POOL] = &nn_cpu_row_pool,
  [NN_OP_REDUCE] = &nn_cpu_row_reduce,
  [NN_OP_BATCH_NORM] = &nn_cpu_row_batch_norm,
  [NN_OP_NORMALIZE] = &nn_cpu_row_normalize,
  [NN_OP_UNARY] = &nn_cpu_row_unary,
  [NN_OP_BINARY] = &nn_cpu_row_binary,
  [NN_OP_SOFTMAX] = &nn_cpu_row_softmax,
  [NN_OP_CONCAT] = &nn_cpu_row_concat,
  [NN_OP_SLICE] = &nn_cpu_row_slice,
  [NN_OP_PAD] = &nn_cpu_row_pad,
  [NN_OP_TRANSPOSE] = &nn_cpu_row_transpose,
  [NN_OP_RESIZE] = &nn_cpu_row_resize,
};

float *
nn_cpu_graph_alloc (NnCpuGraph *self, gsize n_floats, const char *what, GError **error)
{
  float *buffer = nn_aligned_new (MAX (n_floats, 1), what, error);

  if (buffer)
    g_ptr_array_add (self->buffers, buffer);
  return buffer;
}

static void
step_free (gpointer data)
{
  NnCpuStep *step = data;

  nn_cpu_conv_free (step->conv);
  g_free (step->layer);
  g_free (step);
}

/* --- what the rows share ----------------------------------------------------------- */

guint
nn_cpu_step_share (const NnCpuStep *step, gsize n_units, gsize least, gsize *per_task)
{
  const guint n_threads = nn_crew_get_n_threads (step->graph->crew);
  /* a few tasks a thread, so that all end at about the same time */
  const gsize n = n_threads == 1 ? 1 : 4 * (gsize) n_threads;

  *per_task = MAX ((n_units + n - 1) / n, MAX (least, 1));
  return (guint) ((n_units + *per_task - 1) / *per_task);
}

static const float *
find_constant (const NnCpuStep *step, guint value)
{
  return value == NN_NO_VALUE ? NULL
                              : nn_graph_get_data (nn_graph_value (step->graph->graph, value));
}

void
nn_cpu_step_fold (
    const NnCpuStep *step, gsize n_k, gsize n, gsize ld, float *packed, float *bias)
{
  const NnNode *node = step->node;
  const float *kernel = find_constant (step, node->in[1]);
  const float *old_bias = node->n_in > 2 ? find_constant (step, node->in[2]) : NULL;
  const NnEpilogueStep *norm
      = node->n_steps > 0 && node->steps[0].kind == NN_STEP_BATCH_NORM ? &node->steps[0] : NULL;
  const float *operands[4] = { NULL };

  for (guint i = 0; norm && i < 4; i++)
    operands[i] = find_constant (step, norm->operands[i]);
  for (gsize j = 0; j < n; j++) {
    double scale = 1, shift = old_bias ? old_bias[j] : 0;

    if (norm) {
      scale = (operands[2] ? operands[2][j] : 1) / sqrt (operands[1][j] + norm->epsilon);
      shift = (shift - operands[0][j]) * scale + (operands[3] ? operands[3][j] : 0);
    }
    bias[j] = (float) shift;
    for (gsize k = 0; k < n_k; k++)
      packed[k * ld + j] = (float) (kernel[k * n + j] * scale);
  }
}

void
nn_cpu_step_finish (const NnCpuStep *step, gsize first, gsize n)
{
  const NnNode *node = step->node;
  float *x = step->out + first;

  for (guint i = 0; i < node->n_steps; i++) {
    const NnEpilogueStep *s = &node->steps[i];

    if (s->kind == NN_STEP_FUNCTION)
      step->graph->m->function (&s->function, n, x, x);
    else if (s->kind == NN_STEP_ADD)
      step->graph->m->add (n, x, step->graph->places[s->operands[0]] + first, x);
  }
}

/* --- memory ------------------------------------------------------------------------ */

/* From which node to which a block of memory is needed, and where it lies. */
typedef struct
{
  guint root;
  guint first, last;
  gsize size, at;
} Block;

static void
use_block (Block *blocks, const guint *index, const guint *roots, guint value, guint node)
{
  Block *block = &blocks[index[roots[value]]];

  block->last = MAX (block->last, node);
}

/* The lowest place that is free while @block lives. */
static void
place_block (Block *blocks, guint n_placed, Block *block)
{
  gboolean moved = TRUE;

  block->at = 0;
  while (moved) {
    moved = FALSE;
    for (guint i = 0; i < n_placed; i++) {
      const Block *other = &blocks[i];

      if (other->last < block->first || other->first > block->last
          || other->at >= block->at + block->size || block->at >= other->at + other->size)
        continue;
      block->at = other->at + other->size;
      moved = TRUE;
    }
  }
}

/* Lifetimes, then each value's place in one arena. */
static gboolean
plan_memory (NnCpuGraph *self, GError **error)
{
  const NnGraph *graph = self->graph;
  g_autofree Block *blocks = g_new0 (Block, graph->values->len);
  g_autofree guint *index = g_new0 (guint, graph->values->len);
  guint n = 0;
  float *arena;

  for (guint i = 0; i < graph->nodes->len; i++) {
    const NnNode *node = nn_graph_node (graph, i);

    self->roots[node->out] = node->kind == NN_OP_RESHAPE ? self->roots[node->in[0]] : node->out;
    if (node->kind != NN_OP_RESHAPE) {
      const gsize size = nn_shape_count (&nn_graph_value (graph, node->out)->shape);

      index[node->out] = n;
      blocks[n++] = (Block) { node->out, i, i, i == 0 ? 0 : (size + 31) / 16 * 16, 0 };
    }
    for (guint k = 0; k < node->n_in; k++)
      if (node->in[k] != NN_NO_VALUE
          && nn_graph_value (graph, node->in[k])->producer != NN_NO_VALUE)
        use_block (blocks, index, self->roots, node->in[k], i);
    for (guint s = 0; s < node->n_steps; s++)
      if (node->steps[s].kind == NN_STEP_ADD)
        use_block (blocks, index, self->roots, node->steps[s].operands[0], i);
  }
  use_block (blocks, index, self->roots, graph->output, graph->nodes->len);
  for (guint i = 0; i < n; i++) {
    place_block (blocks, i, &blocks[i]);
    self->arena_size = MAX (self->arena_size, blocks[i].at + blocks[i].size);
  }
  arena = nn_cpu_graph_alloc (self, self->arena_size, "the values of the network", error);
  for (guint i = 0; arena && i < graph->values->len; i++) {
    const NnValue *value = nn_graph_value (graph, i);

    if (value->producer == NN_NO_VALUE)
      self->places[i] = (float *) nn_graph_get_data (value);
    else if (value->producer != NN_FUSED_VALUE && self->roots[i] != graph->input)
      self->places[i] = arena + blocks[index[self->roots[i]]].at;
  }
  return arena != NULL;
}

/* --- making it ---------------------------------------------------------------------- */

static NnCpuStep *
step_new (NnCpuGraph *self, const NnNode *node)
{
  NnCpuStep *step = g_new0 (NnCpuStep, 1);

  step->graph = self;
  step->node = node;
  step->row = rows[node->kind];
  step->n_tasks = 1;
  step->out_value = nn_graph_value (self->graph, node->out);
  step->n_out = nn_shape_count (&step->out_value->shape);
  for (guint i = 0; i < MIN (node->n_in, NN_OP_MAX_INPUTS); i++)
    if (node->in[i] != NN_NO_VALUE)
      step->in_value[i] = nn_graph_value (self->graph, node->in[i]);
  g_ptr_array_add (self->steps, step);
  return step;
}

static gboolean
build (NnCpuGraph *self, GError **error)
{
  for (guint i = 1; i < self->graph->nodes->len; i++) {
    const NnNode *node = nn_graph_node (self->graph, i);
    NnCpuStep *step;

    if (node->kind == NN_OP_RESHAPE)
      continue;
    step = step_new (self, node);
    if (step->row->prepare && !step->row->prepare (step, error)) {
      if (node->origin)
        g_prefix_error (error, "layer '%s': ", node->origin->name);
      return FALSE;
    }
    self->scratch_size = MAX (self->scratch_size, step->scratch_size);
  }
  for (guint i = 0; i < nn_crew_get_n_threads (self->crew); i++) {
    self->scratch[i] = nn_cpu_graph_alloc (self, self->scratch_size, "scratch", error);
    if (!self->scratch[i])
      return FALSE;
  }
  return TRUE;
}

NnCpuGraph *
nn_cpu_graph_new (
    const NnCpuKernels *kernels, NnCrew *crew, const NnGraph *graph, GError **error)
{
  NnCpuGraph *self = g_new0 (NnCpuGraph, 1);
  g_autoptr (NnGraph) folded = nn_graph_fold (graph, error), moved = NULL;

  self->k = kernels;
  self->m = nn_map_kernels_get ();
  self->crew = crew;
  self->steps = g_ptr_array_new_with_free_func (step_free);
  self->buffers = g_ptr_array_new_with_free_func (nn_aligned_free);
  moved = folded ? nn_graph_move_transposes (folded, error) : NULL;
  self->graph = moved ? nn_graph_fold (moved, error) : NULL;
  if (!self->graph)
    goto fail;
  nn_graph_fuse (self->graph);
  self->places = g_new0 (float *, self->graph->values->len);
  self->roots = g_new0 (guint, self->graph->values->len);
  self->scratch = g_new0 (float *, nn_crew_get_n_threads (crew));
  if (!plan_memory (self, error) || !build (self, error))
    goto fail;
  return self;

fail:
  nn_cpu_graph_free (self);
  return NULL;
}

void
nn_cpu_graph_free (NnCpuGraph *self)
{
  if (!self)
    return;
  g_ptr_array_unref (self->steps);
  g_ptr_array_unref (self->buffers);
  nn_graph_free (self->graph);
  g_free (self->places);
  g_free (self->roots);
  g_free (self->scratch);
  g_free (self);
}

/* --- running ------------------------------------------------------------------------- */

static void
run_task (gpointer data, guint task, guint thread)
{
  NnCpuStep *step = data;

  step->row->run (step, task, thread);
}

/* The values that look at the input, which lies elsewhere for each sample. */
static void
place_input (NnCpuGraph *self, const float *input)
{
  for (guint i = 0; i < self->graph->nodes->len; i++) {
    const guint value = nn_graph_node (self->graph, i)->out;

    if (self->roots[value] == self->graph->input)
      self->places[value] = (float *) input;
  }
}

void
nn_cpu_graph_run (NnCpuGraph *self, const float *input, guint n, float *output)
{
  const gsize n_in = nn_shape_count (&nn_graph_value (self->graph, self->graph->input)->shape);
  const gsize n_out = nn_shape_count (&nn_graph_value (self->graph, self->graph->output)->shape);

  nn_crew_enter (self->crew);
  for (guint sample = 0; sample < n; sample++) {
    place_input (self, input + sample * n_in);
    for (guint i = 0; i < self->steps->len; i++) {
      NnCpuStep *step = self->steps->pdata[i];

      for (guint k = 0; k < MIN (step->node->n_in, NN_OP_MAX_INPUTS); k++)
        step->in[k]
            = step->node->in[k] == NN_NO_VALUE ? NULL : self->places[step->node->in[k]];
      step->out = self->places[step->node->out];
      nn_crew_run (self->crew, step->n_tasks, run_task, step);
    }
    memcpy (output + sample * n_out, self->places[self->graph->output],
        n_out * sizeof (float));
  }
  nn_crew_leave (self->crew);
}

void
nn_cpu_graph_describe (const NnCpuGraph *self, GString *text)
{
  for (guint i = 0; i < self->steps->len; i++) {
    const NnCpuStep *step = self->steps->pdata[i];
    g_autofree char *shape = nn_shape_to_string (&step->out_value->shape);

    g_string_append_printf (text, "%s: %s%s%s",
        step->node->origin ? step->node->origin->name : "(order of axes)",
        nn_ops[step->node->kind]->name, step->how ? " " : "", step->how ? step->how : "");
    for (guint s = 0; s < step->node->n_steps; s++)
      g_string_append_printf (text, " + %s",
          step->node->steps[s].kind == NN_STEP_BATCH_NORM ? "batch-norm (in the weights)"
          : step->node->steps[s].kind == NN_STEP_ADD      ? "add"
                                  : nn_function_get_name (step->node->steps[s].function.kind));
    g_string_append_printf (text, ", %s\n", shape);
  }
  g_string_append_printf (text, "%.1f MB for values, %.1f MB scratch a thread, kernels %s\n",
      (double) self->arena_size * 4e-6, (double) self->scratch_size * 4e-6, self->k->name);
}
