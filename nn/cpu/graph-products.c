/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Operations of a graph that are matrix products. */

#include <string.h>

#include "nn/cpu/graph-private.h"

#define PAD(n) (((n) + NN_LANES - 1) / NN_LANES * NN_LANES)

/* --- convolutions ------------------------------------------------------------------- */

static gboolean
is_pointwise (const NnCpuStep *step)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *kernel = &step->in_value[1]->shape;

  return a->conv.groups == 1 && kernel->dims[0] == 1 && kernel->dims[1] == 1
      && a->conv.strides[0] == 1 && a->conv.strides[1] == 1 && !a->conv.pad_begin[0]
      && !a->conv.pad_begin[1] && !a->conv.pad_end[0] && !a->conv.pad_end[1];
}

static gboolean
alloc_weights (NnCpuStep *step, gsize n_weights, gsize n_bias, GError **error)
{
  step->weights = nn_cpu_graph_alloc (step->graph, n_weights + NN_LANES, "weights", error);
  step->bias = step->weights
      ? nn_cpu_graph_alloc (step->graph, PAD (n_bias) + NN_LANES, "weights", error) : NULL;
  return step->bias != NULL;
}

/* Each pixel by one matrix. */
static gboolean
prepare_pointwise (NnCpuStep *step, GError **error)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[2], n = kernel->dims[3];

  if (!alloc_weights (step, n_k * PAD (n), n, error))
    return FALSE;
  nn_cpu_step_fold (step, n_k, n, PAD (n), step->weights, step->bias);
  step->n_tasks = nn_cpu_step_share (step, step->n_out / n, 24, &step->rows_per_task);
  step->rows_per_task = (step->rows_per_task + 11) / 12 * 12; /* whole blocks of the product */
  step->n_tasks
      = (guint) ((step->n_out / n + step->rows_per_task - 1) / step->rows_per_task);
  step->how = "1x1";
  return TRUE;
}

static void
run_pointwise (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[2], n = kernel->dims[3], n_rows = step->n_out / n;
  const gsize end = MIN (n_rows, (task + 1) * step->rows_per_task);

  /* blocks whose results stay in the cache until their epilogue */
  for (gsize row = task * step->rows_per_task, m; row < end; row += m) {
    m = MIN (end - row, MAX (12, 4096 / n / 12 * 12));
    step->graph->k->gemm (&(NnGemm) {
        .m = m,
        .n = n,
        .n_segments = 1,
        .seg_k = n_k,
        .a = step->in[0] + row * n_k,
        .rs = n_k,
        .cs = 1,
        .b = step->weights,
        .ldb = PAD (n),
        .b_padded = TRUE,
        .bias = step->bias,
        .c = step->out + row * n,
        .ldc = n,
    });
    nn_cpu_step_finish (step, row * n, m * n);
  }
}

/* One filter a channel. */
static gboolean
prepare_depthwise (NnCpuStep *step, GError **error)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[0] * kernel->dims[1], n = kernel->dims[3];

  if (!alloc_weights (step, n_k * n, n, error))
    return FALSE;
  nn_cpu_step_fold (step, n_k, n, n, step->weights, step->bias);
  step->scratch_size = 2 * kernel->dims[0] + NN_LANES; /* the rows' addresses */
  step->n_tasks
      = nn_cpu_step_share (step, step->out_value->shape.dims[0], 1, &step->rows_per_task);
  step->how = "depthwise";
  return TRUE;
}

static void
run_depthwise (NnCpuStep *step, guint task, guint thread)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *x = &step->in_value[0]->shape, *kernel = &step->in_value[1]->shape;
  const NnShape *out = &step->out_value->shape;
  const gsize line = out->dims[1] * out->dims[2];
  const gsize end = MIN (out->dims[0], (task + 1) * step->rows_per_task);
  const float **rows = (const float **) (gpointer) step->graph->scratch[thread];

  for (gsize y = task * step->rows_per_task; y < end; y++) {
    for (gsize i = 0; i < kernel->dims[0]; i++) {
      const gsize row = y * a->conv.strides[0] + i * a->conv.dilation[0] - a->conv.pad_begin[0];

      rows[i] = row < x->dims[0] ? step->in[0] + row * x->dims[1] * x->dims[2] : NULL;
    }
    step->graph->m->depthwise_row (&(NnDepthwiseRow) {
        .channels = x->dims[2],
        .width = x->dims[1],
        .out_width = out->dims[1],
        .kernel = { kernel->dims[0], kernel->dims[1] },
        .stride = a->conv.strides[1],
        .dilation = a->conv.dilation[1],
        .pad = a->conv.pad_begin[1],
        .rows = rows,
        .weights = step->weights,
        .bias = step->bias,
        .dst = step->out + y * line,
    });
    nn_cpu_step_finish (step, y * line, line);
  }
}

/* Any groups: a product for each row and group on rows with their borders. */
static gsize
padded_width (const NnCpuStep *step)
{
  const NnAttrs *a = &step->node->attrs;

  return step->in_value[0]->shape.dims[1] + a->conv.pad_begin[1] + a->conv.pad_end[1];
}

static gboolean
prepare_grouped (NnCpuStep *step, GError **error)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[0] * kernel->dims[1] * kernel->dims[2], n = kernel->dims[3];
  const gsize groups = step->node->attrs.conv.groups, part = n / groups;
  g_autofree float *packed = g_try_new (float, n_k * n);

  if (!packed || !alloc_weights (step, groups * n_k * PAD (part), n, error)) {
    if (!packed)
      g_set_error_literal (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for weights");
    return FALSE;
  }
  nn_cpu_step_fold (step, n_k, n, n, packed, step->bias);
  for (gsize g = 0; g < groups; g++)
    for (gsize k = 0; k < n_k; k++)
      memcpy (step->weights + (g * n_k + k) * PAD (part), packed + k * n + g * part,
          part * sizeof (float));
  step->scratch_size = kernel->dims[0] * padded_width (step) * step->in_value[0]->shape.dims[2];
  step->n_tasks
      = nn_cpu_step_share (step, step->out_value->shape.dims[0], 1, &step->rows_per_task);
  step->how = "grouped";
  return TRUE;
}

/* The input rows under output row @y, one behind the other. */
static void
gather_rows (const NnCpuStep *step, gsize y, float *dst)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *x = &step->in_value[0]->shape;
  const gsize line = padded_width (step) * x->dims[2];

  for (gsize i = 0; i < step->in_value[1]->shape.dims[0]; i++, dst += line) {
    const gsize row = y * a->conv.strides[0] + i * a->conv.dilation[0] - a->conv.pad_begin[0];

    memset (dst, 0, line * sizeof (float));
    if (row < x->dims[0])
      memcpy (dst + a->conv.pad_begin[1] * x->dims[2], step->in[0] + row * x->dims[1] * x->dims[2],
          x->dims[1] * x->dims[2] * sizeof (float));
  }
}

static void
run_grouped (NnCpuStep *step, guint task, guint thread)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *x = &step->in_value[0]->shape, *kernel = &step->in_value[1]->shape;
  const NnShape *out = &step->out_value->shape;
  const gsize groups = a->conv.groups, in = kernel->dims[2], part = kernel->dims[3] / groups;
  const gsize line = out->dims[1] * out->dims[2];
  const gsize end = MIN (out->dims[0], (task + 1) * step->rows_per_task);
  const gsize n_taps = kernel->dims[0] * kernel->dims[1];
  float *rows = step->graph->scratch[thread];

  for (gsize y = task * step->rows_per_task; y < end; y++) {
    gather_rows (step, y, rows);
    for (gsize g = 0; g < groups; g++)
      for (gsize k = 0; k < n_taps; k++)
        step->graph->k->gemm (&(NnGemm) {
            .m = out->dims[1],
            .n = part,
            .n_segments = 1,
            .seg_k = in,
            .a = rows
                + (k / kernel->dims[1] * padded_width (step)
                      + k % kernel->dims[1] * a->conv.dilation[1])
                    * x->dims[2]
                + g * in,
            .rs = a->conv.strides[1] * x->dims[2],
            .cs = 1,
            .b = step->weights + (g * n_taps + k) * in * PAD (part),
            .ldb = PAD (part),
            .b_padded = TRUE,
            .bias = step->bias + g * part,
            .c = step->out + y * line + g * part,
            .ldc = out->dims[2],
            .accumulate = k > 0,
        });
    nn_cpu_step_finish (step, y * line, line);
  }
}

/* All channels to all filters: as the layers' own convolutions run. */
static gboolean
prepare_full (NnCpuStep *step, GError **error)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[0] * kernel->dims[1] * kernel->dims[2], n = kernel->dims[3];
  g_autofree float *packed = g_try_new (float, n_k * n), *bias = g_try_new (float, n);
  NnConv2dConfig *c;
  gsize units;

  step->layer = g_new0 (NnLayer, 1);
  step->layer->name = step->node->origin ? step->node->origin->name : (char *) "convolution";
  step->layer->in_shape = step->in_value[0]->shape;
  step->layer->out_shape = step->out_value->shape;
  c = &step->layer->config.conv2d;
  for (guint i = 0; i < 2; i++) {
    c->kernel[i] = kernel->dims[i];
    c->strides[i] = a->conv.strides[i];
    c->dilation[i] = a->conv.dilation[i];
    c->pad_begin[i] = a->conv.pad_begin[i];
    c->pad_end[i] = a->conv.pad_end[i];
  }
  step->conv = packed && bias ? nn_cpu_conv_new (step->graph->k, step->layer, FALSE, error) : NULL;
  if (!step->conv) {
    if (error && !*error)
      g_set_error_literal (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for weights");
    return FALSE;
  }
  nn_cpu_step_fold (step, n_k, n, n, packed, bias);
  nn_cpu_conv_pack (step->conv, packed, bias, NULL, NULL);
  units = nn_cpu_conv_count_units (step->conv);
  step->n_tasks = nn_cpu_step_share (step, units, 1, &step->rows_per_task);
  step->rows_per_task = MIN (step->rows_per_task, nn_cpu_conv_units_per_task (step->conv));
  step->n_tasks = (guint) ((units + step->rows_per_task - 1) / step->rows_per_task);
  step->scratch_size = nn_cpu_conv_scratch_size (step->conv, step->rows_per_task);
  step->how = step->conv->winograd ? "Winograd 4x4" : "direct";
  return TRUE;
}

static void
run_full (NnCpuStep *step, guint task, guint thread)
{
  const NnConvEpilogue none = { { NN_AFFINE_NONE, NULL, NULL }, FALSE };
  const gsize unit = task * step->rows_per_task, rows = step->conv->winograd ? 4 : 2;
  const gsize n = MIN (step->rows_per_task, nn_cpu_conv_count_units (step->conv) - unit);
  const gsize line = step->conv->out_width * step->conv->out;
  const gsize first = unit * rows, end = MIN ((unit + n) * rows, step->conv->out_height);

  nn_cpu_conv_forward (
      step->conv, step->in[0], unit, n, &none, step->graph->scratch[thread], step->out);
  nn_cpu_step_finish (step, first * line, (end - first) * line);
}

static gboolean
prepare_conv (NnCpuStep *step, GError **error)
{
  static const NnCpuRow pointwise = { prepare_pointwise, run_pointwise };
  static const NnCpuRow depthwise = { prepare_depthwise, run_depthwise };
  static const NnCpuRow grouped = { prepare_grouped, run_grouped };
  static const NnCpuRow full = { prepare_full, run_full };
  const NnShape *x = &step->in_value[0]->shape, *kernel = &step->in_value[1]->shape;
  const gsize groups = step->node->attrs.conv.groups;

  step->row = is_pointwise (step) ? &pointwise
      : groups == 1               ? &full
      : groups == x->dims[2] && kernel->dims[3] == x->dims[2] ? &depthwise
                                                              : &grouped;
  return step->row->prepare (step, error);
}

const NnCpuRow nn_cpu_row_conv = { prepare_conv, NULL };

/* --- transposed convolution ----------------------------------------------------------- */

/* Products of all input pixels with the whole kernel, which are then added where they belong. */
static gboolean
prepare_transpose (NnCpuStep *step, GError **error)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n = kernel->dims[0] * kernel->dims[1] * kernel->dims[2], channels = kernel->dims[3];
  const float *from = nn_graph_get_data (step->in_value[1]);
  const float *bias = step->in_value[2] ? nn_graph_get_data (step->in_value[2]) : NULL;

  if (!alloc_weights (step, channels * PAD (n), kernel->dims[2], error))
    return FALSE;
  for (gsize c = 0; c < channels; c++)
    for (gsize j = 0; j < n; j++)
      step->weights[c * PAD (n) + j] = from[j * channels + c];
  for (gsize f = 0; f < kernel->dims[2]; f++)
    step->bias[f] = bias ? bias[f] : 0;
  step->scratch_size = step->in_value[0]->shape.dims[1] * n + NN_LANES;
  return TRUE;
}

static void
scatter_row (const NnCpuStep *step, gsize y, const float *products)
{
  const NnAttrs *a = &step->node->attrs;
  const NnShape *x = &step->in_value[0]->shape, *kernel = &step->in_value[1]->shape;
  const NnShape *out = &step->out_value->shape;
  const gsize f = kernel->dims[2];

  for (gsize u = 0; u < x->dims[1]; u++)
    for (gsize i = 0; i < kernel->dims[0]; i++)
      for (gsize j = 0; j < kernel->dims[1]; j++, products += f) {
        const gsize row = y * a->conv.strides[0] + i * a->conv.dilation[0] - a->conv.pad_begin[0];
        const gsize column
            = u * a->conv.strides[1] + j * a->conv.dilation[1] - a->conv.pad_begin[1];
        float *to = step->out + (row * out->dims[1] + column) * f;

        if (row < out->dims[0] && column < out->dims[1])
          step->graph->m->add (f, to, products, to);
      }
}

static void
run_transpose (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *x = &step->in_value[0]->shape, *kernel = &step->in_value[1]->shape;
  const gsize n = kernel->dims[0] * kernel->dims[1] * kernel->dims[2];
  float *products = step->graph->scratch[thread];

  for (gsize i = 0; i < step->n_out; i += kernel->dims[2])
    memcpy (step->out + i, step->bias, kernel->dims[2] * sizeof (float));
  for (gsize y = 0; y < x->dims[0]; y++) {
    step->graph->k->gemm (&(NnGemm) {
        .m = x->dims[1],
        .n = n,
        .n_segments = 1,
        .seg_k = x->dims[2],
        .a = step->in[0] + y * x->dims[1] * x->dims[2],
        .rs = x->dims[2],
        .cs = 1,
        .b = step->weights,
        .ldb = PAD (n),
        .b_padded = TRUE,
        .c = products,
        .ldc = n,
    });
    scatter_row (step, y, products);
  }
}

const NnCpuRow nn_cpu_row_conv_transpose = { prepare_transpose, run_transpose };

/* --- dense ---------------------------------------------------------------------------- */

#define CHUNK 2048 /* rows of weights in one task; sums of the tasks are added in a fixed order */

static gboolean
prepare_dense (NnCpuStep *step, GError **error)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[0], n = kernel->dims[1];

  if (!alloc_weights (step, n_k * PAD (n), n, error))
    return FALSE;
  nn_cpu_step_fold (step, n_k, n, PAD (n), step->weights, step->bias);
  step->n_tasks = nn_cpu_step_share (step, step->n_out / n, 12, &step->rows_per_task);
  return TRUE;
}

static void
run_dense (NnCpuStep *step, guint task, guint thread)
{
  const NnShape *kernel = &step->in_value[1]->shape;
  const gsize n_k = kernel->dims[0], n = kernel->dims[1];
  const gsize row = task * step->rows_per_task;
  const gsize m = MIN (step->rows_per_task, step->n_out / n - row);

  for (gsize k = 0; k < n_k; k += CHUNK)
    step->graph->k->gemm (&(NnGemm) {
        .m = m,
        .n = n,
        .n_segments = 1,
        .seg_k = MIN (CHUNK, n_k - k),
        .a = step->in[0] + row * n_k + k,
        .rs = n_k,
        .cs = 1,
        .b = step->weights + k * PAD (n),
        .ldb = PAD (n),
        .b_padded = TRUE,
        .bias = step->bias,
        .c = step->out + row * n,
        .ldc = n,
        .accumulate = k > 0,
    });
  nn_cpu_step_finish (step, row * n, m * n);
}

const NnCpuRow nn_cpu_row_dense = { prepare_dense, run_dense };

/* --- products of two values -------------------------------------------------------------- */

static void
matmul_sizes (const NnCpuStep *step, gsize *m, gsize *n, gsize *n_k)
{
  const NnShape *out = &step->out_value->shape, *a = &step->in_value[0]->shape;
  const guint last = out->n_dims - 1;

  *m = out->dims[last - 1];
  *n = out->dims[last];
  *n_k = a->dims[step->node->attrs.matmul.transpose_a ? last - 1 : last];
}

static gboolean
prepare_matmul (NnCpuStep *step, GError **error)
{
  gsize m, n, n_k;

  matmul_sizes (step, &m, &n, &n_k);
  step->n_tasks = (guint) (step->n_out / (m * n));
  step->scratch_size = step->node->attrs.matmul.transpose_b ? n * n_k + NN_LANES : 0;
  return TRUE;
}

static void
run_matmul (NnCpuStep *step, guint task, guint thread)
{
  const gboolean ta = step->node->attrs.matmul.transpose_a;
  const float *b;
  gsize m, n, n_k;

  matmul_sizes (step, &m, &n, &n_k);
  b = step->in[1] + task * n * n_k;
  if (step->node->attrs.matmul.transpose_b) {
    float *turned = step->graph->scratch[thread];

    for (gsize j = 0; j < n; j++)
      for (gsize k = 0; k < n_k; k++)
        turned[k * n + j] = b[j * n_k + k];
    b = turned;
  }
  step->graph->k->gemm (&(NnGemm) {
      .m = m,
      .n = n,
      .n_segments = 1,
      .seg_k = n_k,
      .a = step->in[0] + task * m * n_k,
      .rs = ta ? 1 : n_k,
      .cs = ta ? m : 1,
      .b = b,
      .ldb = n,
      .c = step->out + task * m * n,
      .ldc = n,
  });
}

const NnCpuRow nn_cpu_row_matmul = { prepare_matmul, run_matmul };
