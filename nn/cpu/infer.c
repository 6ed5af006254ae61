/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/plan.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"

/* A dense layer's rows of weights in one task: partial sums of the tasks are
 * added in a fixed order, so that the result does not depend on the threads. */
#define DENSE_CHUNK 4096
#define DENSE_GEMV_SAMPLES 8
#define DENSE_BLOCK 256 /* rows of weights that stay in the cache for many samples */

typedef struct _Stage Stage;

struct _Stage
{
  NnCpuInfer *infer;
  const NnLayer *layer;
  const char *how; /* for describe */
  void (*task) (gpointer stage, guint task, guint thread);
  guint (*count_tasks) (const Stage *stage, guint n);
  void (*refresh) (Stage *stage);

  const float *src; /* of sample 0 */
  float *dst;
  gsize src_size, dst_size; /* floats a sample */
  gboolean src_is_input;
  guint n; /* samples of the present run */

  /* what follows the layer's own arithmetic */
  NnActivation activation;  /* dense and elementwise stages */
  const NnLayer *bn;        /* its affine, or NULL */
  gboolean bn_folded;       /* into the weights */
  NnActivation activation2; /* after the affine */
  NnAffine affine;
  float *affine_data; /* scale and shift of affine */
  gboolean pool;

  NnCpuConv *conv;
  gsize units_per_task;
  NnDnnlOp *bf16_op[2]; /* strips of bf16_rows rows, and the last one */
  gsize bf16_rows;

  gsize dense_rows, dense_in, units; /* samples of a dense layer per sample, its sizes */
  gsize n_chunks, chunk;
  const float *kernel;
  guint16 *kernel_bf16;
  const float *bias;
  float *partial; /* (chunks, batch * dense_rows, units) */

  gsize *windows; /* generic pooling: offsets of each output pixel's window */
  gsize window_max;
  guint32 *window_sizes;
};

struct _NnCpuInfer
{
  const NnCpuKernels *k;
  NnCrew *crew;
  NnDnnl *dnnl; /* bf16 convolutions only */
  NnModel *model;
  NnPrecision precision;
  guint batch;
  GPtrArray *stages;
  GPtrArray *buffers;
  float **scratch; /* of each thread */
  gsize scratch_size;
  const float *input;
  gint failed; /* atomic: a library call of this run did not succeed */
};

const NnParam *
nn_cpu_param (const NnLayer *layer, const char *name)
{
  for (guint i = 0; i < layer->n_params; i++)
    if (strcmp (layer->params[i].name, name) == 0)
      return &layer->params[i];
  return NULL;
}

guint *
nn_cpu_layer_chain (const NnModel *model, guint *n)
{
  guint count = 1, *chain;

  for (guint i = model->output; model->layers[i].n_inputs > 0; i = model->layers[i].inputs[0])
    count++;
  chain = g_new (guint, count);
  for (guint i = model->output, k = count; k > 0;) {
    chain[--k] = i;
    if (k > 0)
      i = model->layers[i].inputs[0];
  }
  *n = count;
  return chain;
}

gboolean
nn_cpu_is_2x2_pool (const NnLayer *layer)
{
  const NnPoolConfig *c = &layer->config.pool;

  return layer->kind == NN_LAYER_MAX_POOLING2D && c->size[0] == 2 && c->size[1] == 2
      && c->strides[0] == 2 && c->strides[1] == 2 && !c->pad_begin[0] && !c->pad_begin[1]
      && !c->pad_end[0] && !c->pad_end[1];
}

void
nn_cpu_pool_windows (const NnPoolConfig *c, const NnShape *in, const NnShape *out, gsize *windows,
    guint32 *sizes)
{
  const gsize max = c->size[0] * c->size[1];

  for (gsize p = 0; p < out->dims[0] * out->dims[1]; p++) {
    sizes[p] = 0;
    for (gsize i = 0; i < max; i++) {
      gssize y = (gssize) (p / out->dims[1] * c->strides[0] + i / c->size[1])
          - (gssize) c->pad_begin[0];
      gssize x = (gssize) (p % out->dims[1] * c->strides[1] + i % c->size[1])
          - (gssize) c->pad_begin[1];

      if (y >= 0 && y < (gssize) in->dims[0] && x >= 0 && x < (gssize) in->dims[1])
        windows[p * max + sizes[p]++] = ((gsize) y * in->dims[1] + (gsize) x) * in->dims[2];
    }
  }
}

static const float *
param_data (const NnLayer *layer, const char *name)
{
  const NnParam *param = nn_cpu_param (layer, name);

  return param ? param->data : NULL;
}

/* gamma (x - mean) / sqrt (var + eps) + beta as x * scale + shift */
static void
batch_norm_affine (const NnLayer *bn, float *scale, float *shift)
{
  const float *gamma = param_data (bn, "gamma"), *beta = param_data (bn, "beta");
  const float *mean = param_data (bn, "moving_mean"), *var = param_data (bn, "moving_variance");

  for (gsize i = 0; i < bn->config.batch_norm.n; i++) {
    double s = (gamma ? gamma[i] : 1) / sqrt ((double) var[i] + bn->config.batch_norm.epsilon);

    scale[i] = (float) s;
    shift[i] = (float) ((beta ? beta[i] : 0) - mean[i] * s);
  }
}

static const float *
stage_src (const Stage *stage)
{
  return stage->src_is_input ? stage->infer->input : stage->src;
}

/* --- convolution ------------------------------------------------------------- */

static guint
conv_tasks_per_sample (const Stage *stage)
{
  gsize units = nn_cpu_conv_count_units (stage->conv);

  return (guint) ((units + stage->units_per_task - 1) / stage->units_per_task);
}

static guint
conv_count_tasks (const Stage *stage, guint n)
{
  return n * conv_tasks_per_sample (stage);
}

static void
conv_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  guint per_sample = conv_tasks_per_sample (stage);
  gsize sample = task / per_sample, unit = task % per_sample * stage->units_per_task;
  gsize n = MIN (stage->units_per_task, nn_cpu_conv_count_units (stage->conv) - unit);
  const NnConvEpilogue epilogue = { stage->affine, stage->pool };

  nn_cpu_conv_forward (stage->conv, stage_src (stage) + sample * stage->src_size, unit, n,
      &epilogue, stage->infer->scratch[thread], stage->dst + sample * stage->dst_size);
}

static void
conv_refresh (Stage *stage)
{
  const float *kernel = param_data (stage->layer, "kernel");
  const float *bias = param_data (stage->layer, "bias");

  if (stage->bn)
    batch_norm_affine (stage->bn, stage->affine_data,
        stage->affine_data + stage->bn->config.batch_norm.n);
  if (stage->bn && stage->bn_folded)
    nn_cpu_conv_pack (stage->conv, kernel, bias, stage->affine_data,
        stage->affine_data + stage->bn->config.batch_norm.n);
  else
    nn_cpu_conv_pack (stage->conv, kernel, bias, NULL, NULL);
}

/* --- the same on bfloat16 operands by oneDNN ----------------------------------- */

static gsize
bf16_in_rows (const NnCpuConv *conv, gsize rows)
{
  const NnConv2dConfig *c = conv->config;

  return (rows - 1) * c->strides[0] + (c->kernel[0] - 1) * c->dilation[0] + 1;
}

static gsize
bf16_scratch_size (const Stage *stage, gsize rows)
{
  const NnCpuConv *conv = stage->conv;

  return bf16_in_rows (conv, rows) * conv->padded_width * conv->in / 2 + 2 * NN_LANES
      + rows * conv->out_width * conv->out;
}

static guint
bf16_count_tasks (const Stage *stage, guint n)
{
  return n * (guint) ((stage->conv->out_height + stage->bf16_rows - 1) / stage->bf16_rows);
}

static void
bf16_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  const NnCpuConv *conv = stage->conv;
  const NnConv2dConfig *c = conv->config;
  const NnCpuKernels *k = stage->infer->k;
  gsize per_sample = bf16_count_tasks (stage, 1), sample = task / per_sample;
  gsize row = task % per_sample * stage->bf16_rows;
  gsize n = MIN (stage->bf16_rows, conv->out_height - row);
  gsize line = conv->padded_width * conv->in, out_line = conv->out_width * conv->out;
  const float *src = stage_src (stage) + sample * stage->src_size;
  float *dst = stage->dst + sample * stage->dst_size;
  float *rows = stage->infer->scratch[thread];
  guint16 *strip = (guint16 *) (rows + stage->bf16_rows * out_line);

  for (gsize i = 0; i < bf16_in_rows (conv, n); i++) {
    gssize y = (gssize) (row * c->strides[0] + i) - (gssize) c->pad_begin[0];
    guint16 *to = strip + i * line;

    if (y < 0 || y >= (gssize) conv->height) {
      memset (to, 0, line * sizeof (guint16));
      continue;
    }
    memset (to, 0, c->pad_begin[1] * conv->in * sizeof (guint16));
    k->to_bf16 (conv->width * conv->in, src + (gsize) y * conv->width * conv->in,
        to + c->pad_begin[1] * conv->in);
    memset (to + (c->pad_begin[1] + conv->width) * conv->in, 0,
        c->pad_end[1] * conv->in * sizeof (guint16));
  }
  if (!nn_dnnl_op_run (stage->bf16_op[n < stage->bf16_rows], thread, strip, NULL, rows)) {
    g_atomic_int_set (&stage->infer->failed, 1);
    return;
  }
  if (stage->pool) {
    for (gsize i = 0; i + 2 <= n; i += 2)
      k->affine_pool_rows (conv->out_width / 2, conv->out, rows + i * out_line,
          rows + (i + 1) * out_line, &stage->affine, row + i,
          dst + (row + i) / 2 * (conv->out_width / 2) * conv->out);
    return;
  }
  for (gsize i = 0; i < n; i++) {
    const float *y = rows + i * out_line;
    float *to = dst + (row + i) * out_line;

    if (stage->affine.kind == NN_AFFINE_ROW)
      k->affine (
          out_line, y, stage->affine.scale[row + i], stage->affine.shift[row + i], to);
    else if (stage->affine.kind == NN_AFFINE_CHANNEL)
      k->affine_channels (
          conv->out_width, conv->out, y, stage->affine.scale, stage->affine.shift, to);
    else
      memcpy (to, y, out_line * sizeof (float));
  }
}

static gint64
time_stage (Stage *stage, void (*task) (gpointer, guint, guint), guint n_tasks)
{
  gint64 best = G_MAXINT64;

  for (int i = 0; i < 4; i++) {
    gint64 start = g_get_monotonic_time ();

    for (guint t = 0; t < n_tasks; t++)
      task (stage, t, 0);
    best = MIN (best, g_get_monotonic_time () - start);
  }
  return best;
}

/* bf16 was asked for: the convolution takes it if it is the faster way on this
 * CPU (with AMX or a full-rate AVX512_BF16 it is, elsewhere float32 Winograd). */
static void
try_bf16_conv (Stage *stage)
{
  NnCpuInfer *infer = stage->infer;
  const NnCpuConv *conv = stage->conv;
  NnDnnlConv desc = {
    .width = conv->padded_width,
    .in = conv->in,
    .out = conv->out,
    .bf16 = TRUE,
    .relu = conv->relu,
  };
  const NnParam *param = nn_cpu_param (stage->layer, "kernel");
  g_autofree float *kernel = g_try_new (float, param->n_values);
  g_autoptr (GError) error = NULL;
  gint64 f32_time, bf16_time;
  gsize rest;

  if (!infer->dnnl && !(infer->dnnl = nn_dnnl_new (nn_crew_get_n_threads (infer->crew), &error))) {
    nn_warning ("%s: bf16 not tried: %s", stage->layer->name, error->message);
    return;
  }
  if (!kernel) {
    nn_warning ("%s: bf16 not tried: there is no memory for it", stage->layer->name);
    return;
  }
  memcpy (kernel, param->data, param->n_values * sizeof (float));
  memcpy (desc.kernel, conv->config->kernel, sizeof desc.kernel);
  memcpy (desc.strides, conv->config->strides, sizeof desc.strides);
  memcpy (desc.dilation, conv->config->dilation, sizeof desc.dilation);
  stage->bf16_rows = MIN (conv->out_height, MAX (2, 24 / 2 * 2));
  if (stage->bn && stage->bn_folded)
    for (gsize i = 0; i < conv->n_segments * conv->seg_k * conv->out; i++)
      kernel[i] *= stage->affine_data[i % conv->out];
  rest = conv->out_height % stage->bf16_rows;
  for (int i = 0; i < 2; i++) {
    gsize rows = i == 0 ? stage->bf16_rows : rest;

    if (rows == 0)
      continue;
    desc.height = bf16_in_rows (conv, rows);
    stage->bf16_op[i] = nn_dnnl_conv_new (infer->dnnl, &desc, kernel, conv->bias, &error);
    if (!stage->bf16_op[i]) {
      nn_info ("%s: stays float32: %s", stage->layer->name, error->message);
      goto no;
    }
  }
  f32_time = time_stage (stage, conv_task, conv_count_tasks (stage, 1));
  bf16_time = time_stage (stage, bf16_task, bf16_count_tasks (stage, 1));
  nn_info ("%s: bf16 %" G_GINT64_FORMAT " us, float32 %" G_GINT64_FORMAT " us", stage->layer->name,
      bf16_time, f32_time);
  if (bf16_time < f32_time && !g_atomic_int_get (&infer->failed)) {
    stage->task = bf16_task;
    stage->count_tasks = bf16_count_tasks;
    return;
  }

no:
  g_atomic_int_set (&infer->failed, 0);
  for (int i = 0; i < 2; i++)
    g_clear_pointer (&stage->bf16_op[i], nn_dnnl_op_free);
}

/* --- dense ---------------------------------------------------------------------- */

static guint
dense_count_tasks (const Stage *stage, guint n)
{
  return (guint) stage->n_chunks;
}

static void
dense_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  const NnCpuKernels *k = stage->infer->k;
  gsize rows = stage->n * stage->dense_rows;
  gsize first = task * stage->chunk, n_k = MIN (stage->chunk, stage->dense_in - first);
  const float *x = stage_src (stage) + first;
  float *y = stage->partial + task * stage->infer->batch * stage->dense_rows * stage->units;

  if (stage->kernel_bf16 || rows <= DENSE_GEMV_SAMPLES) {
    memset (y, 0, rows * stage->units * sizeof (float));
    for (gsize r = 0; r < rows; r += DENSE_GEMV_SAMPLES) {
      const void *w = stage->kernel_bf16
          ? (const void *) (stage->kernel_bf16 + first * stage->units)
          : stage->kernel + first * stage->units;

      k->gemv (MIN (DENSE_GEMV_SAMPLES, rows - r), n_k, stage->units, x + r * stage->dense_in,
          stage->dense_in, w, stage->kernel_bf16 != NULL, y + r * stage->units, stage->units);
    }
    return;
  }
  for (gsize b = 0; b < n_k; b += DENSE_BLOCK) {
    NnGemm g = {
      .m = rows,
      .n = stage->units,
      .n_segments = 1,
      .seg_k = MIN (DENSE_BLOCK, n_k - b),
      .a = x + b,
      .rs = stage->dense_in,
      .cs = 1,
      .b = stage->kernel + (first + b) * stage->units,
      .ldb = stage->units,
      .c = y,
      .ldc = stage->units,
      .accumulate = b > 0,
    };

    k->gemm (&g);
  }
}

static guint
dense_sum_count_tasks (const Stage *stage, guint n)
{
  return 1;
}

static void
apply_activation (const Stage *stage, NnActivation activation, gsize rows, float *y)
{
  if (activation == NN_ACTIVATION_SOFTMAX)
    stage->infer->k->softmax (rows, stage->units, y, y);
  else if (activation != NN_ACTIVATION_LINEAR)
    stage->infer->k->activation (activation, rows * stage->units, y, y);
}

/* partial sums, bias, activation, affine, activation */
static void
dense_sum_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  gsize rows = stage->n * stage->dense_rows, n = rows * stage->units;
  gsize stride = stage->infer->batch * stage->dense_rows * stage->units;
  float *y = stage->dst;

  for (gsize r = 0; r < rows; r++)
    for (gsize j = 0; j < stage->units; j++)
      y[r * stage->units + j] = stage->bias ? stage->bias[j] : 0;
  for (gsize c = 0; c < stage->n_chunks; c++)
    stage->infer->k->add (n, stage->partial + c * stride, y);
  apply_activation (stage, stage->activation, rows, y);
  if (stage->affine.kind == NN_AFFINE_CHANNEL) {
    stage->infer->k->affine_channels (
        rows, stage->units, y, stage->affine.scale, stage->affine.shift, y);
    apply_activation (stage, stage->activation2, rows, y);
  }
}

static void
affine_refresh (Stage *stage)
{
  if (stage->bn)
    batch_norm_affine (stage->bn, stage->affine_data,
        stage->affine_data + stage->bn->config.batch_norm.n);
}

static void
dense_refresh (Stage *stage)
{
  const NnParam *kernel = nn_cpu_param (stage->layer, "kernel");

  stage->kernel = kernel->data;
  stage->bias = param_data (stage->layer, "bias");
  if (stage->kernel_bf16)
    stage->infer->k->to_bf16 (kernel->n_values, kernel->data, stage->kernel_bf16);
}

/* --- the rest, one task a sample -------------------------------------------------- */

static guint
sample_count_tasks (const Stage *stage, guint n)
{
  return n;
}

static void
affine_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  const NnBatchNormConfig *c = &stage->bn->config.batch_norm;
  const float *src = stage_src (stage) + task * stage->src_size;
  float *dst = stage->dst + task * stage->dst_size;

  if (stage->affine.kind == NN_AFFINE_CHANNEL) {
    stage->infer->k->affine_channels (
        c->outer, c->n, src, stage->affine.scale, stage->affine.shift, dst);
    return;
  }
  for (gsize o = 0; o < c->outer; o++) {
    for (gsize i = 0; i < c->n; i++) {
      gsize at = (o * c->n + i) * c->inner;

      stage->infer->k->affine (
          c->inner, src + at, stage->affine.scale[i], stage->affine.shift[i], dst + at);
    }
  }
}

static void
activation_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  const float *src = stage_src (stage) + task * stage->src_size;
  float *dst = stage->dst + task * stage->dst_size;

  if (stage->activation == NN_ACTIVATION_SOFTMAX)
    stage->infer->k->softmax (stage->src_size / stage->units, stage->units, src, dst);
  else
    stage->infer->k->activation (stage->activation, stage->src_size, src, dst);
}

static void
pool_task (gpointer data, guint task, guint thread)
{
  Stage *stage = data;
  gsize channels = stage->layer->out_shape.dims[2];
  gsize n_pixels = stage->dst_size / channels;
  const float *src = stage_src (stage) + task * stage->src_size;
  float *dst = stage->dst + task * stage->dst_size;

  for (gsize p = 0; p < n_pixels; p++)
    stage->infer->k->max_window (channels, src, stage->windows + p * stage->window_max,
        stage->window_sizes[p], dst + p * channels);
}

/* --- building ------------------------------------------------------------------------ */

static void
stage_free (gpointer data)
{
  Stage *stage = data;

  g_free (stage->affine_data);
  nn_cpu_conv_free (stage->conv);
  for (int i = 0; i < 2; i++)
    nn_dnnl_op_free (stage->bf16_op[i]);
  g_free (stage->kernel_bf16);
  g_free (stage->windows);
  g_free (stage->window_sizes);
  g_free (stage);
}

static Stage *
stage_new (NnCpuInfer *infer, const NnLayer *layer, const Stage *before)
{
  Stage *stage = g_new0 (Stage, 1);

  stage->infer = infer;
  stage->layer = layer;
  stage->src_is_input = before == NULL;
  stage->src = before ? before->dst : NULL;
  stage->src_size = nn_shape_count (&layer->in_shape);
  stage->dst_size = nn_shape_count (&layer->out_shape);
  stage->task = activation_task;
  stage->count_tasks = sample_count_tasks;
  stage->units = layer->out_shape.dims[layer->out_shape.n_dims - 1];
  g_ptr_array_add (infer->stages, stage);
  return stage;
}

static float *
new_buffer (NnCpuInfer *infer, gsize n_floats, const char *what, GError **error)
{
  float *buffer = nn_aligned_new (n_floats, what, error);

  if (buffer)
    g_ptr_array_add (infer->buffers, buffer);
  return buffer;
}

static gboolean
stage_finish (Stage *stage, GError **error)
{
  stage->dst = new_buffer (
      stage->infer, stage->infer->batch * stage->dst_size, stage->layer->name, error);
  return stage->dst != NULL;
}

static void
set_affine (Stage *stage, const NnLayer *bn)
{
  gsize n = bn->config.batch_norm.n;

  stage->bn = bn;
  stage->affine_data = g_new0 (float, 2 * n);
  stage->affine.kind
      = nn_layer_get_norm (bn) == NN_NORM_CHANNELS ? NN_AFFINE_CHANNEL : NN_AFFINE_ROW;
  stage->affine.scale = stage->affine_data;
  stage->affine.shift = stage->affine_data + n;
}

static gboolean
build_conv (NnCpuInfer *infer, const guint *chain, guint n, guint *at, const Stage *before,
    GError **error)
{
  const NnLayer *layers = infer->model->layers, *layer = &layers[chain[*at]];
  Stage *stage = stage_new (infer, layer, before);
  NnActivation activation = layer->config.conv2d.activation;
  gsize scratch;

  stage->task = conv_task;
  stage->count_tasks = conv_count_tasks;
  stage->refresh = conv_refresh;
  stage->conv = nn_cpu_conv_new (infer->k, layer, FALSE, error);
  if (!stage->conv)
    return FALSE;
  while (*at + 1 < n) {
    const NnLayer *next = &layers[chain[*at + 1]];

    if (next->kind == NN_LAYER_DROPOUT) {
      /* nothing at inference */
    } else if (next->kind == NN_LAYER_ACTIVATION && activation == NN_ACTIVATION_LINEAR
        && (!stage->bn || stage->bn_folded)
        && next->config.activation.activation == NN_ACTIVATION_RELU) {
      activation = NN_ACTIVATION_RELU;
    } else if (next->kind == NN_LAYER_BATCH_NORMALIZATION && !stage->bn
        && (activation == NN_ACTIVATION_LINEAR || activation == NN_ACTIVATION_RELU)
        && nn_layer_get_norm (next) != NN_NORM_OTHER) {
      set_affine (stage, next);
      if (activation == NN_ACTIVATION_LINEAR && stage->affine.kind == NN_AFFINE_CHANNEL) {
        stage->bn_folded = TRUE;
        stage->affine.kind = NN_AFFINE_NONE;
      }
    } else if (nn_cpu_is_2x2_pool (next)
        && (activation == NN_ACTIVATION_LINEAR || activation == NN_ACTIVATION_RELU)) {
      stage->pool = TRUE;
      stage->dst_size = nn_shape_count (&next->out_shape);
      ++*at;
      break;
    } else {
      break;
    }
    ++*at;
  }
  stage->conv->relu = activation == NN_ACTIVATION_RELU;
  stage->units_per_task = nn_cpu_conv_units_per_task (stage->conv);
  if (infer->batch == 1 && nn_crew_get_n_threads (infer->crew) > 1) {
    /* one frame: enough tasks for every thread to end at about the same time */
    gsize most = nn_cpu_conv_count_units (stage->conv) / (2 * nn_crew_get_n_threads (infer->crew));

    stage->units_per_task = CLAMP (stage->units_per_task, 1, MAX (most, 1));
  }
  scratch = nn_cpu_conv_scratch_size (stage->conv, stage->units_per_task);
  if (infer->precision == NN_PRECISION_BF16)
    scratch = MAX (scratch, bf16_scratch_size (stage, MIN (24, stage->conv->out_height)));
  infer->scratch_size = MAX (infer->scratch_size, scratch);
  stage->how = stage->conv->winograd ? "Winograd 4x4" : "direct";
  if (!stage_finish (stage, error))
    return FALSE;
  if (activation != NN_ACTIVATION_LINEAR && activation != NN_ACTIVATION_RELU) {
    Stage *after = stage_new (infer, layer, stage);

    after->src_size = after->dst_size;
    after->activation = activation;
    after->dst = stage->dst; /* in place */
    after->how = "activation";
  }
  return TRUE;
}

static gboolean
build_dense (NnCpuInfer *infer, const guint *chain, guint n, guint *at, const Stage *before,
    GError **error)
{
  const NnLayer *layers = infer->model->layers, *layer = &layers[chain[*at]];
  Stage *stage = stage_new (infer, layer, before), *sum;
  gsize units = stage->units;

  stage->task = dense_task;
  stage->count_tasks = dense_count_tasks;
  stage->refresh = dense_refresh;
  stage->dense_in = layer->in_shape.dims[layer->in_shape.n_dims - 1];
  stage->dense_rows = stage->src_size / stage->dense_in;
  stage->n_chunks = (stage->dense_in + DENSE_CHUNK - 1) / DENSE_CHUNK;
  stage->chunk = stage->n_chunks == 1
      ? stage->dense_in
      : ((stage->dense_in + stage->n_chunks - 1) / stage->n_chunks + 7) / 8 * 8;
  stage->n_chunks = (stage->dense_in + stage->chunk - 1) / stage->chunk;
  stage->partial = new_buffer (infer,
      stage->n_chunks * infer->batch * stage->dense_rows * units + NN_LANES, layer->name, error);
  if (!stage->partial)
    return FALSE;
  stage->how = "float32 weights";
  if (infer->precision == NN_PRECISION_BF16) {
    stage->kernel_bf16 = g_try_new (guint16, stage->dense_in * units + NN_LANES);
    if (!stage->kernel_bf16) {
      g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "not enough memory for layer \"%s\"",
          layer->name);
      return FALSE;
    }
    stage->how = "bf16 weights";
  }
  dense_refresh (stage);

  sum = stage_new (infer, layer, stage);
  sum->task = dense_sum_task;
  sum->count_tasks = dense_sum_count_tasks;
  sum->refresh = dense_refresh;
  sum->dense_rows = stage->dense_rows;
  sum->n_chunks = stage->n_chunks;
  sum->partial = stage->partial;
  sum->activation = layer->config.dense.activation;
  sum->how = NULL; /* told with the products */
  while (*at + 1 < n) {
    const NnLayer *next = &layers[chain[*at + 1]];

    if (next->kind == NN_LAYER_DROPOUT) {
      /* nothing */
    } else if (next->kind == NN_LAYER_ACTIVATION && !sum->bn
        && sum->activation == NN_ACTIVATION_LINEAR) {
      sum->activation = next->config.activation.activation;
    } else if (next->kind == NN_LAYER_ACTIVATION && sum->bn
        && sum->activation2 == NN_ACTIVATION_LINEAR) {
      sum->activation2 = next->config.activation.activation;
    } else if (next->kind == NN_LAYER_BATCH_NORMALIZATION && !sum->bn
        && nn_layer_get_norm (next) == NN_NORM_CHANNELS) {
      set_affine (sum, next);
    } else {
      break;
    }
    ++*at;
  }
  if (sum->bn)
    sum->refresh = affine_refresh;
  sum->kernel = NULL;
  sum->bias = param_data (layer, "bias");
  return stage_finish (sum, error);
}

static gboolean
build_pool (NnCpuInfer *infer, const NnLayer *layer, const Stage *before, GError **error)
{
  const NnPoolConfig *c = &layer->config.pool;
  Stage *stage = stage_new (infer, layer, before);
  gsize n_pixels = layer->out_shape.dims[0] * layer->out_shape.dims[1];

  stage->task = pool_task;
  stage->how = "max";
  stage->window_max = c->size[0] * c->size[1];
  stage->windows = g_try_new (gsize, n_pixels * stage->window_max);
  stage->window_sizes = g_try_new0 (guint32, n_pixels);
  if (!stage->windows || !stage->window_sizes) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "not enough memory for layer \"%s\"",
        layer->name);
    return FALSE;
  }
  nn_cpu_pool_windows (c, &layer->in_shape, &layer->out_shape, stage->windows, stage->window_sizes);
  return stage_finish (stage, error);
}

static void
global_pool_task (gpointer data, guint sample, guint thread)
{
  Stage *stage = data;
  const NnCpuKernels *k = stage->infer->k;
  const gsize channels = stage->dst_size, n_pixels = stage->src_size / channels;
  float *dst = stage->dst + sample * channels;

  memset (dst, 0, channels * sizeof (float));
  k->column_sums (n_pixels, channels, stage_src (stage) + sample * stage->src_size, dst);
  k->affine (channels, dst, 1 / (float) n_pixels, 0, dst);
}

static gboolean
build (NnCpuInfer *infer, GError **error)
{
  guint n;
  g_autofree guint *chain = nn_cpu_layer_chain (infer->model, &n);

  for (guint at = 1; at < n; at++) {
    const NnLayer *layer = &infer->model->layers[chain[at]];
    const Stage *before
        = infer->stages->len ? g_ptr_array_index (infer->stages, infer->stages->len - 1) : NULL;
    Stage *stage;

    switch (layer->kind) {
      case NN_LAYER_INPUT:
      case NN_LAYER_FLATTEN:
      case NN_LAYER_DROPOUT:
        break;
      case NN_LAYER_CONV2D:
        if (!build_conv (infer, chain, n, &at, before, error))
          return FALSE;
        break;
      case NN_LAYER_DENSE:
        if (!build_dense (infer, chain, n, &at, before, error))
          return FALSE;
        break;
      case NN_LAYER_MAX_POOLING2D:
        if (!build_pool (infer, layer, before, error))
          return FALSE;
        break;
      case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
        stage = stage_new (infer, layer, before);
        stage->task = global_pool_task;
        stage->how = "mean";
        if (!stage_finish (stage, error))
          return FALSE;
        break;
      case NN_LAYER_BATCH_NORMALIZATION:
        stage = stage_new (infer, layer, before);
        stage->task = affine_task;
        stage->refresh = affine_refresh;
        stage->how = "affine";
        set_affine (stage, layer);
        if (!stage_finish (stage, error))
          return FALSE;
        break;
      case NN_LAYER_ACTIVATION:
        if (layer->config.activation.activation == NN_ACTIVATION_LINEAR)
          break;
        stage = stage_new (infer, layer, before);
        stage->activation = layer->config.activation.activation;
        stage->how = "activation";
        if (!stage_finish (stage, error))
          return FALSE;
        break;
      default:
        g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
            "the CPU back end cannot run layer \"%s\"", layer->name);
        return FALSE;
    }
  }
  return TRUE;
}

NnCpuInfer *
nn_cpu_infer_new (const NnCpuKernels *k, NnCrew *crew, NnModel *model, NnPrecision precision,
    guint batch, GError **error)
{
  NnCpuInfer *infer = g_new0 (NnCpuInfer, 1);
  guint n_threads = nn_crew_get_n_threads (crew);

  infer->k = k;
  infer->crew = crew;
  infer->model = model;
  infer->precision = precision;
  infer->batch = batch;
  infer->stages = g_ptr_array_new_with_free_func (stage_free);
  infer->buffers = g_ptr_array_new_with_free_func (nn_aligned_free);
  infer->scratch = g_new0 (float *, n_threads);
  if (!build (infer, error))
    goto fail;
  for (guint i = 0; i < n_threads; i++) {
    infer->scratch[i] = new_buffer (infer, MAX (infer->scratch_size, 1), "scratch", error);
    if (!infer->scratch[i])
      goto fail;
  }
  nn_cpu_infer_refresh (infer);
  if (precision == NN_PRECISION_BF16) {
    g_autofree float *zeros = NULL;

    zeros = g_try_new0 (float, nn_shape_count (nn_model_get_input_shape (model)));
    infer->input = zeros;
    nn_crew_enter (crew);
    for (guint i = 0; i < infer->stages->len && zeros; i++) {
      Stage *stage = g_ptr_array_index (infer->stages, i);

      if (stage->conv)
        try_bf16_conv (stage);
    }
    nn_crew_leave (crew);
    infer->input = NULL;
  }
  return infer;

fail:
  nn_cpu_infer_free (infer);
  return NULL;
}

void
nn_cpu_infer_free (NnCpuInfer *infer)
{
  if (!infer)
    return;
  g_ptr_array_unref (infer->stages);
  g_ptr_array_unref (infer->buffers);
  nn_dnnl_free (infer->dnnl);
  g_free (infer->scratch);
  g_free (infer);
}

void
nn_cpu_infer_refresh (NnCpuInfer *infer)
{
  for (guint i = 0; i < infer->stages->len; i++) {
    Stage *stage = g_ptr_array_index (infer->stages, i);

    if (stage->refresh)
      stage->refresh (stage);
  }
}

gboolean
nn_cpu_infer_run (
    NnCpuInfer *infer, const float *input, guint n, float *output, GError **error)
{
  gsize n_outputs = nn_model_get_n_outputs (infer->model);
  const float *result = input;

  infer->input = input;
  nn_crew_enter (infer->crew);
  for (guint i = 0; i < infer->stages->len; i++) {
    Stage *stage = g_ptr_array_index (infer->stages, i);

    stage->n = n;
    nn_crew_run (infer->crew, stage->count_tasks (stage, n), stage->task, stage);
    result = stage->dst;
  }
  nn_crew_leave (infer->crew);
  if (g_atomic_int_compare_and_exchange (&infer->failed, 1, 0)) {
    g_set_error_literal (error, NN_ERROR, NN_ERROR_RUN, "oneDNN failed during a run");
    return FALSE;
  }
  memcpy (output, result, n * n_outputs * sizeof (float));
  return TRUE;
}

void
nn_cpu_infer_describe (const NnCpuInfer *infer, GString *text)
{
  for (guint i = 0; i < infer->stages->len; i++) {
    const Stage *stage = g_ptr_array_index (infer->stages, i);

    if (!stage->how)
      continue;
    g_string_append_printf (text, "%s: %s", stage->layer->name,
        stage->task == bf16_task ? nn_dnnl_op_get_implementation (stage->bf16_op[0]) : stage->how);
    if (stage->conv && stage->task != bf16_task)
      g_string_append_printf (text, " %s", infer->k->name);
    if (stage->bn && stage->bn != stage->layer)
      g_string_append_printf (
          text, " + %s (%s)", stage->bn->name, stage->bn_folded ? "in the weights" : "fused");
    if (stage->pool)
      g_string_append (text, " + 2x2 max pooling (fused)");
    g_string_append_c (text, '\n');
  }
}
