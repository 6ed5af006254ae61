/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Operations of a graph that are no matrix products. */

#include <math.h>
#include <string.h>

#include "nn/cpu/graph-private.h"

#define CHUNK 16384 /* values in one task of an elementwise operation, at least */

static gboolean
prepare_values (NnCpuStep *step, GError **error)
{
  step->n_tasks = nn_cpu_step_share (step, step->n_out, CHUNK, &step->rows_per_task);
  return TRUE;
}

/* The task's part of the result's rows of axis 0. */
static gboolean
prepare_rows (NnCpuStep *step, GError **error)
{
  const NnShape *out = &step->out_value->shape;
  const gsize n = out->n_dims > 0 ? out->dims[0] : 1;
  const gsize line = step->n_out / n;

  step->n_tasks
      = nn_cpu_step_share (step, n, (CHUNK / 4 + line - 1) / line, &step->rows_per_task);
  return TRUE;
}

static void
get_part (const NnCpuStep *step, guint task, gsize n, gsize *first, gsize *end)
{
  *first = task * step->rows_per_task;
  *end = MIN (n, *first + step->rows_per_task);
}

/* --- elementwise ----------------------------------------------------------------------- */

static void
run_unary (NnCpuStep *step, guint task, guint thread)
{
  gsize first, end;

  get_part (step, task, step->n_out, &first, &end);
  step->graph->m->function (
      &step->node->attrs.unary, end - first, step->in[0] + first, step->out + first);
}

const NnCpuRow nn_cpu_row_unary = { prepare_values, run_unary };

static inline float
apply_binary (NnBinary kind, float a, float b)
{
  switch (kind) {
    case NN_BINARY_ADD:
      return a + b;
    case NN_BINARY_SUBTRACT:
      return a - b;
    case NN_BINARY_MULTIPLY:
      return a * b;
    case NN_BINARY_DIVIDE:
      return a / b;
    default:
      return (float) nn_binary_apply (kind, a, b);
  }
}

/* One run along the last axis; steps of 0 repeat a value. */
static void
binary_run (const NnCpuStep *step, gsize n, const float *a, gsize step_a, const float *b,
    gsize step_b, float *out)
{
  const NnBinary kind = step->node->attrs.binary;

  if (step_a == 1 && step_b == 1 && kind == NN_BINARY_ADD)
    step->graph->m->add (n, a, b, out);
  else if (step_a == 1 && step_b == 1 && kind == NN_BINARY_MULTIPLY)
    step->graph->m->multiply (n, a, b, out);
  else
    for (gsize i = 0; i < n; i++)
      out[i] = apply_binary (kind, a[i * step_a], b[i * step_b]);
}

static void
run_binary (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *out = &step->out_value->shape;
  const gsize inner = out->n_dims > 0 ? out->dims[out->n_dims - 1] : 1;
  gsize a[NN_MAX_DIMS], b[NN_MAX_DIMS], first, end;

  nn_op_broadcast_steps (&step->in_value[0]->shape, out, a);
  nn_op_broadcast_steps (&step->in_value[1]->shape, out, b);
  get_part (step, task, step->n_out, &first, &end);
  while (first < end) {
    const gsize n = MIN (end, (first / inner + 1) * inner) - first;
    gsize rest = first, at_a = 0, at_b = 0;

    for (guint k = out->n_dims; k-- > 0; rest /= out->dims[k]) {
      at_a += rest % out->dims[k] * a[k];
      at_b += rest % out->dims[k] * b[k];
    }
    binary_run (step, n, step->in[0] + at_a, out->n_dims > 0 ? a[out->n_dims - 1] : 0,
        step->in[1] + at_b, out->n_dims > 0 ? b[out->n_dims - 1] : 0, step->out + first);
    first += n;
  }
}

const NnCpuRow nn_cpu_row_binary = { prepare_values, run_binary };

/* --- statistics -------------------------------------------------------------------------- */

static gboolean
prepare_batch_norm (NnCpuStep *step, GError **error)
{
  const NnAttrs *attrs = &step->node->attrs;
  const NnAxis a = nn_op_axis (&step->out_value->shape, attrs->batch_norm.axis);
  const float *operands[5];

  for (guint i = 1; i < 5; i++)
    operands[i] = step->in_value[i] ? nn_graph_get_data (step->in_value[i]) : NULL;
  step->weights = nn_cpu_graph_alloc (step->graph, a.n, "weights", error);
  step->bias = step->weights ? nn_cpu_graph_alloc (step->graph, a.n, "weights", error) : NULL;
  if (!step->bias)
    return FALSE;
  for (gsize i = 0; i < a.n; i++) {
    const double scale
        = (operands[3] ? operands[3][i] : 1) / sqrt (operands[2][i] + attrs->batch_norm.epsilon);

    step->weights[i] = (float) scale;
    step->bias[i] = (float) ((operands[4] ? operands[4][i] : 0) - operands[1][i] * scale);
  }
  step->n_tasks = nn_cpu_step_share (
      step, a.outer * a.n, (CHUNK / 4 + a.inner - 1) / a.inner, &step->rows_per_task);
  return TRUE;
}

static void
run_batch_norm (NnCpuStep *step, guint task, guint thread)
{
  const NnAxis a = nn_op_axis (&step->out_value->shape, step->node->attrs.batch_norm.axis);
  gsize first, end;

  get_part (step, task, a.outer * a.n, &first, &end);
  for (gsize i = first; i < end; i++)
    if (a.inner > 1)
      step->graph->k->affine (a.inner, step->in[0] + i * a.inner, step->weights[i % a.n],
          step->bias[i % a.n], step->out + i * a.inner);
    else
      step->out[i] = step->in[0][i] * step->weights[i % a.n] + step->bias[i % a.n];
}

const NnCpuRow nn_cpu_row_batch_norm = { prepare_batch_norm, run_batch_norm };

/* The values of one group of axes: how many there are and how far apart. */
typedef struct
{
  guint n;
  gsize dims[NN_MAX_DIMS], steps[NN_MAX_DIMS], count;
} Walk;

static Walk
make_walk (const NnShape *shape, guint axes)
{
  Walk walk = { .count = 1 };
  gsize step = 1;

  for (guint i = shape->n_dims; i-- > 0; step *= shape->dims[i]) {
    if (!(axes >> i & 1))
      continue;
    memmove (walk.dims + 1, walk.dims, walk.n * sizeof (gsize));
    memmove (walk.steps + 1, walk.steps, walk.n * sizeof (gsize));
    walk.dims[0] = shape->dims[i];
    walk.steps[0] = step;
    walk.count *= shape->dims[i];
    walk.n++;
  }
  return walk;
}

static gsize
walk_at (const Walk *walk, gsize index)
{
  gsize at = 0;

  for (guint i = walk->n; i-- > 0; index /= walk->dims[i])
    at += index % walk->dims[i] * walk->steps[i];
  return at;
}

static gboolean
prepare_reduce (NnCpuStep *step, GError **error)
{
  const NnShape *x = &step->in_value[0]->shape;
  const guint axes = step->node->attrs.reduce.axes;

  step->n_tasks = nn_cpu_step_share (step, step->n_out, 64, &step->rows_per_task);
  step->how = "over axes";
  if (x->n_dims == 3 && axes == 3
      && step->node->attrs.reduce.kind <= NN_REDUCE_MEAN) { /* sums along memory */
    step->n_tasks = 1;
    step->rows_per_task = 0;
    step->how = "over rows and columns";
  }
  return TRUE;
}

static void
run_reduce (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *x = &step->in_value[0]->shape;
  const NnReduce kind = step->node->attrs.reduce.kind;
  const guint axes = step->node->attrs.reduce.axes, all = (1u << x->n_dims) - 1;
  const Walk inner = make_walk (x, axes), outer = make_walk (x, all & ~axes);
  gsize first, end;

  if (step->rows_per_task == 0) {
    memset (step->out, 0, step->n_out * sizeof (float));
    step->graph->m->sum_rows (inner.count, step->n_out, step->in[0], step->out);
    if (kind == NN_REDUCE_MEAN)
      step->graph->k->affine (step->n_out, step->out, 1 / (float) inner.count, 0, step->out);
    return;
  }
  get_part (step, task, step->n_out, &first, &end);
  for (gsize i = first; i < end; i++) {
    const float *from = step->in[0] + walk_at (&outer, i);
    double result = kind == NN_REDUCE_MAX ? -INFINITY : kind == NN_REDUCE_MIN ? INFINITY : 0;

    for (gsize k = 0; k < inner.count; k++) {
      const double value = from[walk_at (&inner, k)];

      result = kind == NN_REDUCE_MAX ? nn_binary_apply (NN_BINARY_MAXIMUM, value, result)
          : kind == NN_REDUCE_MIN    ? nn_binary_apply (NN_BINARY_MINIMUM, value, result)
                                     : result + value;
    }
    step->out[i] = (float) (kind == NN_REDUCE_MEAN ? result / (double) inner.count : result);
  }
}

const NnCpuRow nn_cpu_row_reduce = { prepare_reduce, run_reduce };

static gboolean
prepare_normalize (NnCpuStep *step, GError **error)
{
  const NnShape *x = &step->in_value[0]->shape;
  const Walk inner = make_walk (x, step->node->attrs.normalize.axes);

  step->n_tasks = nn_cpu_step_share (step, step->n_out / inner.count,
      (CHUNK / 4 + inner.count - 1) / inner.count, &step->rows_per_task);
  return TRUE;
}

static void
run_normalize (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *x = &step->in_value[0]->shape;
  const guint axes = step->node->attrs.normalize.axes, all = (1u << x->n_dims) - 1;
  const Walk inner = make_walk (x, axes), outer = make_walk (x, all & ~axes);
  gsize first, end;

  get_part (step, task, step->n_out / inner.count, &first, &end);
  for (gsize i = first; i < end; i++) {
    const gsize at = walk_at (&outer, i);
    const float *from = step->in[0] + at;
    double mean = 0, m2 = 0;
    float scale, shift;

    for (gsize k = 0; k < inner.count; k++)
      mean += from[walk_at (&inner, k)];
    mean /= (double) inner.count;
    for (gsize k = 0; k < inner.count; k++) {
      const double d = from[walk_at (&inner, k)] - mean;

      m2 += d * d;
    }
    scale = (float) (1
        / sqrt (m2 / (double) inner.count + step->node->attrs.normalize.epsilon));
    shift = (float) (-mean * scale);
    for (gsize k = 0; k < inner.count; k++) {
      const gsize offset = walk_at (&inner, k);

      step->out[at + offset] = from[offset] * scale + shift;
    }
  }
}

const NnCpuRow nn_cpu_row_normalize = { prepare_normalize, run_normalize };

static gboolean
prepare_softmax (NnCpuStep *step, GError **error)
{
  const NnAxis a = nn_op_axis (&step->out_value->shape, step->node->attrs.softmax.axis);

  step->n_tasks
      = nn_cpu_step_share (step, a.outer, (CHUNK / 8 + a.n * a.inner - 1) / (a.n * a.inner),
          &step->rows_per_task);
  return TRUE;
}

static void
softmax_column (const NnCpuStep *step, const NnAxis *a, const float *x, float *y)
{
  float max = x[0];
  double sum = 0;

  for (gsize k = 1; k < a->n; k++)
    max = isnan (x[k * a->inner]) || x[k * a->inner] > max ? x[k * a->inner] : max;
  for (gsize k = 0; k < a->n; k++)
    sum += y[k * a->inner] = expf (x[k * a->inner] - max);
  for (gsize k = 0; k < a->n; k++)
    y[k * a->inner] = step->node->attrs.softmax.is_log
        ? x[k * a->inner] - max - (float) log (sum)
        : (float) (y[k * a->inner] / sum);
}

static void
run_softmax (NnCpuStep *step, guint task, guint thread)
{
  const NnAxis a = nn_op_axis (&step->out_value->shape, step->node->attrs.softmax.axis);
  gsize first, end;

  get_part (step, task, a.outer, &first, &end);
  if (a.inner == 1 && !step->node->attrs.softmax.is_log) {
    step->graph->k->softmax (
        end - first, a.n, step->in[0] + first * a.n, step->out + first * a.n);
    return;
  }
  for (gsize o = first; o < end; o++)
    for (gsize i = 0; i < a.inner; i++)
      softmax_column (step, &a, step->in[0] + o * a.n * a.inner + i,
          step->out + o * a.n * a.inner + i);
}

const NnCpuRow nn_cpu_row_softmax = { prepare_softmax, run_softmax };

/* --- windows ------------------------------------------------------------------------------- */

static gboolean
prepare_pool (NnCpuStep *step, GError **error)
{
  const NnAttrs *a = &step->node->attrs;

  step->scratch_size = 2 * a->pool.size[0] * a->pool.size[1]; /* offsets of a window's cells */
  step->how = a->pool.is_mean ? "mean" : "max";
  return prepare_rows (step, error);
}

static void
pool_pixel (const NnCpuStep *step, gsize y, gsize x, gsize *window, float *to)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *in = &step->in_value[0]->shape;
  const gsize channels = in->dims[2];
  gsize n = 0;

  for (gsize i = 0; i < a->pool.size[0]; i++)
    for (gsize j = 0; j < a->pool.size[1]; j++) {
      const gsize row = y * a->pool.strides[0] + i - a->pool.pad_begin[0];
      const gsize column = x * a->pool.strides[1] + j - a->pool.pad_begin[1];

      if (row < in->dims[0] && column < in->dims[1])
        window[n++] = (row * in->dims[1] + column) * channels;
    }
  if (!a->pool.is_mean) {
    step->graph->k->max_window (channels, step->in[0], window, n, to);
    return;
  }
  memcpy (to, step->in[0] + window[0], channels * sizeof (float));
  for (gsize i = 1; i < n; i++)
    step->graph->m->add (channels, to, step->in[0] + window[i], to);
  step->graph->k->affine (channels, to, 1 / (float) n, 0, to);
}

static void
run_pool (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *out = &step->out_value->shape;
  gsize *window = (gsize *) (gpointer) step->graph->scratch[thread];
  gsize first, end;

  get_part (step, task, out->dims[0], &first, &end);
  for (gsize y = first; y < end; y++)
    for (gsize x = 0; x < out->dims[1]; x++)
      pool_pixel (step, y, x, window, step->out + (y * out->dims[1] + x) * out->dims[2]);
}

const NnCpuRow nn_cpu_row_pool = { prepare_pool, run_pool };

static void
run_resize (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *in = &step->in_value[0]->shape, *out = &step->out_value->shape;
  const NnInterpolate how = step->node->attrs.resize.interpolate;
  const gsize n = out->dims[2];
  gsize first, end;

  get_part (step, task, out->dims[0], &first, &end);
  for (gsize y = first; y < end; y++) {
    const NnResizeCell r = nn_op_resize_cell (how, in->dims[0], out->dims[0], y);
    const float *top = step->in[0] + r.first * in->dims[1] * n;
    const float *bottom = step->in[0] + r.next * in->dims[1] * n;

    for (gsize x = 0; x < out->dims[1]; x++) {
      const NnResizeCell c = nn_op_resize_cell (how, in->dims[1], out->dims[1], x);
      float *to = step->out + (y * out->dims[1] + x) * n;

      for (gsize k = 0; k < n; k++) {
        const float above
            = top[c.first * n + k] + (top[c.next * n + k] - top[c.first * n + k]) * (float) c.share;
        const float below = bottom[c.first * n + k]
            + (bottom[c.next * n + k] - bottom[c.first * n + k]) * (float) c.share;

        to[k] = above + (below - above) * (float) r.share;
      }
    }
  }
}

const NnCpuRow nn_cpu_row_resize = { prepare_rows, run_resize };

/* --- values that move ------------------------------------------------------------------------ */

static void
run_concat (NnCpuStep *step, guint task, guint thread)
{
  const NnGraph *graph = step->graph->graph;
  const NnAxis a = nn_op_axis (&step->out_value->shape, step->node->attrs.concat.axis);
  gsize at = 0;

  for (guint i = 0; i < step->node->n_in; i++) {
    const NnValue *value = nn_graph_value (graph, step->node->in[i]);
    const gsize n = value->shape.dims[step->node->attrs.concat.axis] * a.inner;
    const float *from = step->graph->places[step->node->in[i]];

    for (gsize o = 0; o < a.outer; o++)
      memcpy (step->out + o * a.n * a.inner + at, from + o * n, n * sizeof (float));
    at += n;
  }
}

const NnCpuRow nn_cpu_row_concat = { NULL, run_concat };

/* The last axis as runs, the others by their indices. */
static void
run_slice (NnCpuStep *step, guint task, guint thread)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *in = &step->in_value[0]->shape, *out = &step->out_value->shape;
  const gsize inner = out->n_dims > 0 ? out->dims[out->n_dims - 1] : 1;
  const gssize last = out->n_dims > 0 ? a->slice.step[out->n_dims - 1] : 1;

  for (gsize i = 0; i < step->n_out; i += inner) {
    gsize rest = i, at = 0, size = 1;

    for (guint k = out->n_dims; k-- > 0; rest /= out->dims[k]) {
      at += (a->slice.begin[k] + rest % out->dims[k] * (gsize) a->slice.step[k]) * size;
      size *= in->dims[k];
    }
    if (last == 1)
      memcpy (step->out + i, step->in[0] + at, inner * sizeof (float));
    else
      for (gsize k = 0; k < inner; k++)
        step->out[i + k] = step->in[0][(gssize) at + (gssize) k * last];
  }
}

const NnCpuRow nn_cpu_row_slice = { NULL, run_slice };

static void
run_pad (NnCpuStep *step, guint task, guint thread)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *in = &step->in_value[0]->shape, *out = &step->out_value->shape;
  const guint n = in->n_dims;
  const gsize inner = n > 0 ? in->dims[n - 1] : 1, n_in = nn_shape_count (in);

  for (gsize i = 0; i < step->n_out; i++)
    step->out[i] = (float) a->pad.value;
  for (gsize i = 0; i < n_in; i += inner) {
    gsize rest = i, at = 0, size = 1;

    for (guint k = n; k-- > 0; rest /= in->dims[k]) {
      at += (rest % in->dims[k] + a->pad.begin[k]) * size;
      size *= out->dims[k];
    }
    memcpy (step->out + at, step->in[0] + i, inner * sizeof (float));
  }
}

const NnCpuRow nn_cpu_row_pad = { NULL, run_pad };

static void
run_transpose (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *in = &step->in_value[0]->shape, *out = &step->out_value->shape;
  const guint8 *order = step->node->attrs.transpose;
  gsize steps[NN_MAX_DIMS], size = 1, moved[NN_MAX_DIMS] = { 0 };
  gsize inner, last;

  for (guint k = in->n_dims; k-- > 0; size *= in->dims[k])
    steps[k] = size;
  for (guint k = 0; k < out->n_dims; k++)
    moved[k] = steps[order[k]];
  if (out->n_dims == 0) {
    step->out[0] = step->in[0][0];
    return;
  }
  inner = out->dims[out->n_dims - 1];
  last = moved[out->n_dims - 1];
  for (gsize i = 0; i < step->n_out; i += inner) {
    gsize rest = i / inner, at = 0;

    for (guint k = out->n_dims - 1; k-- > 0; rest /= out->dims[k])
      at += rest % out->dims[k] * moved[k];
    for (gsize k = 0; k < inner; k++)
      step->out[i + k] = step->in[0][at + k * last];
  }
}

const NnCpuRow nn_cpu_row_transpose = { NULL, run_transpose };
