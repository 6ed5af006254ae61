/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/conv2d.h"

#include <stdlib.h>
#include <string.h>

#include "nn/error.h"
#include "nn/memory.h"

#define PAD(n) (((n) + NN_LANES - 1) / NN_LANES * NN_LANES)
#define CACHE_FLOATS (1024 * 1024 / 4) /* of the second-level cache, for a task's scratch */
#define WGRAD_CACHE_FLOATS (4 * 1024 * 1024 / 4)

float *
nn_aligned_new (gsize n_floats, const char *what, GError **error)
{
  void *mem = NULL;
  gsize bytes;

  if (g_size_checked_mul (&bytes, n_floats, sizeof (float))
      && !nn_memory_check (bytes, what, error))
    return NULL;
  if (!g_size_checked_mul (&bytes, n_floats, sizeof (float)) || bytes > G_MAXSSIZE - 128
      || posix_memalign (&mem, 64, bytes + 64) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "not enough memory for %s: %" G_GSIZE_FORMAT " MiB asked for", what,
        n_floats / (1024 * 1024 / sizeof (float)));
    return NULL;
  }
  memset (mem, 0, bytes + 64);
  return mem;
}

void
nn_aligned_free (gpointer mem)
{
  free (mem);
}

static gboolean
winograd_fits (const NnConv2dConfig *c, gsize in, gsize out)
{
  const char *way = g_getenv ("CLASSIFY_CPU_CONV");

  return c->kernel[0] == 3 && c->kernel[1] == 3 && c->strides[0] == 1 && c->strides[1] == 1
      && c->dilation[0] == 1 && c->dilation[1] == 1 && in % NN_LANES == 0 && out % NN_LANES == 0
      && c->pad_begin[0] == c->pad_begin[1] && c->pad_begin[0] <= 1
      && g_strcmp0 (way, "direct") != 0;
}

NnCpuConv *
nn_cpu_conv_new (const NnCpuKernels *k, const NnLayer *layer, gboolean training, GError **error)
{
  const NnConv2dConfig *c = &layer->config.conv2d;
  NnCpuConv *conv = g_new0 (NnCpuConv, 1);
  gsize row;

  conv->k = k;
  conv->config = c;
  conv->height = layer->in_shape.dims[0];
  conv->width = layer->in_shape.dims[1];
  conv->in = layer->in_shape.dims[2];
  conv->out_height = layer->out_shape.dims[0];
  conv->out_width = layer->out_shape.dims[1];
  conv->out = layer->out_shape.dims[2];
  conv->relu = c->activation == NN_ACTIVATION_RELU;
  conv->winograd = winograd_fits (c, conv->in, conv->out);
  conv->is_padded = c->pad_begin[0] || c->pad_begin[1] || c->pad_end[0] || c->pad_end[1];
  conv->padded_width = conv->width + c->pad_begin[1] + c->pad_end[1];

  row = conv->padded_width * conv->in;
  if (c->dilation[1] == 1) {
    conv->n_segments = c->kernel[0];
    conv->seg_k = c->kernel[1] * conv->in;
  } else {
    conv->n_segments = c->kernel[0] * c->kernel[1];
    conv->seg_k = conv->in;
  }
  conv->offsets = g_new (gsize, conv->n_segments);
  for (gsize s = 0; s < conv->n_segments; s++) {
    if (c->dilation[1] == 1)
      conv->offsets[s] = s * c->dilation[0] * row;
    else
      conv->offsets[s] = s / c->kernel[1] * c->dilation[0] * row
          + s % c->kernel[1] * c->dilation[1] * conv->in;
  }
  conv->weights = conv->winograd
      ? nn_aligned_new (36 * conv->in * conv->out, layer->name, error)
      : nn_aligned_new (conv->n_segments * conv->seg_k * PAD (conv->out), layer->name, error);
  if (conv->weights)
    conv->bias = nn_aligned_new (PAD (conv->out), layer->name, error);
  if (conv->bias && training)
    conv->dgrad_weights = conv->winograd
        ? nn_aligned_new (36 * conv->in * conv->out, layer->name, error)
        : nn_aligned_new (conv->out * PAD (conv->n_segments * conv->seg_k), layer->name, error);
  if (!conv->bias || (training && !conv->dgrad_weights))
    g_clear_pointer (&conv, nn_cpu_conv_free);
  return conv;
}

void
nn_cpu_conv_free (NnCpuConv *conv)
{
  if (!conv)
    return;
  nn_aligned_free (conv->weights);
  nn_aligned_free (conv->bias);
  nn_aligned_free (conv->dgrad_weights);
  g_free (conv->offsets);
  g_free (conv);
}

void
nn_cpu_conv_pack (NnCpuConv *conv, const float *kernel, const float *bias, const float *scale,
    const float *shift)
{
  const gsize n_k = conv->n_segments * conv->seg_k;

  if (conv->winograd) {
    nn_wino_weights (conv->in, conv->out, kernel, FALSE, conv->weights);
    if (scale) /* the transform is linear and works on each filter alone */
      for (gsize i = 0; i < 36 * conv->in; i++)
        for (gsize o = 0; o < conv->out; o++)
          conv->weights[i * conv->out + o] *= scale[o];
  } else {
    for (gsize i = 0; i < n_k; i++)
      for (gsize o = 0; o < conv->out; o++)
        conv->weights[i * PAD (conv->out) + o]
            = kernel[i * conv->out + o] * (scale ? scale[o] : 1);
  }
  for (gsize o = 0; o < conv->out; o++)
    conv->bias[o] = (bias ? bias[o] : 0) * (scale ? scale[o] : 1) + (shift ? shift[o] : 0);
}

void
nn_cpu_conv_pack_dgrad (NnCpuConv *conv, const float *kernel)
{
  const gsize n_k = conv->n_segments * conv->seg_k;

  if (conv->winograd) {
    nn_wino_weights (conv->in, conv->out, kernel, TRUE, conv->dgrad_weights);
    return;
  }
  for (gsize o = 0; o < conv->out; o++)
    for (gsize i = 0; i < n_k; i++)
      conv->dgrad_weights[o * PAD (n_k) + i] = kernel[i * conv->out + o];
}

/* --- forward ----------------------------------------------------------------- */

static gsize
tile_cols (const NnCpuConv *conv)
{
  return (conv->out_width + 3) / 4;
}

gsize
nn_cpu_conv_count_units (const NnCpuConv *conv)
{
  gsize rows = conv->winograd ? 4 : 2;

  return (conv->out_height + rows - 1) / rows;
}

gsize
nn_cpu_conv_units_per_task (const NnCpuConv *conv)
{
  gsize units = nn_cpu_conv_count_units (conv), n;

  if (conv->winograd)
    n = CACHE_FLOATS / (36 * tile_cols (conv) * (conv->in + conv->out));
  else
    n = CACHE_FLOATS / (2 * conv->out_width * conv->out);
  return CLAMP (n, 1, units);
}

static gsize
padded_rows_size (const NnCpuConv *conv, gsize n_rows)
{
  const NnConv2dConfig *c = conv->config;
  gsize in_rows = (n_rows - 1) * c->strides[0] + (c->kernel[0] - 1) * c->dilation[0] + 1;

  return conv->is_padded ? in_rows * conv->padded_width * conv->in : 0;
}

gsize
nn_cpu_conv_scratch_size (const NnCpuConv *conv, gsize units)
{
  if (conv->winograd)
    return 36 * units * tile_cols (conv) * (conv->in + conv->out);
  /* two output rows at a time: the padded input and the rows before pooling */
  return padded_rows_size (conv, 2) + 2 * conv->out_width * conv->out + 2 * NN_LANES;
}

/* Input rows that output rows [row, row + n_rows) need, with zero borders. */
static const float *
padded_rows (const NnCpuConv *conv, const float *src, gsize row, gsize n_rows, float *scratch)
{
  const NnConv2dConfig *c = conv->config;
  gsize in_rows = (n_rows - 1) * c->strides[0] + (c->kernel[0] - 1) * c->dilation[0] + 1;
  gssize first = (gssize) (row * c->strides[0]) - (gssize) c->pad_begin[0];
  gsize line = conv->padded_width * conv->in;

  if (!conv->is_padded)
    return src + (gsize) first * line;
  for (gsize i = 0; i < in_rows; i++) {
    gssize y = first + (gssize) i;
    float *dst = scratch + i * line;

    if (y < 0 || y >= (gssize) conv->height) {
      memset (dst, 0, line * sizeof (float));
      continue;
    }
    memset (dst, 0, c->pad_begin[1] * conv->in * sizeof (float));
    memcpy (dst + c->pad_begin[1] * conv->in, src + (gsize) y * conv->width * conv->in,
        conv->width * conv->in * sizeof (float));
    memset (dst + (c->pad_begin[1] + conv->width) * conv->in, 0,
        c->pad_end[1] * conv->in * sizeof (float));
  }
  return scratch;
}

static void
affine_row (const NnCpuConv *conv, const NnAffine *a, gsize row, float *y)
{
  if (a->kind == NN_AFFINE_ROW)
    conv->k->affine (conv->out_width * conv->out, y, a->scale[row], a->shift[row], y);
  else if (a->kind == NN_AFFINE_CHANNEL)
    conv->k->affine_channels (conv->out_width, conv->out, y, a->scale, a->shift, y);
}

static void
forward_direct (const NnCpuConv *conv, const float *src, gsize row, gsize end,
    const NnConvEpilogue *e, float *scratch, float *dst)
{
  const NnConv2dConfig *c = conv->config;
  const gsize line = conv->out_width * conv->out;
  float *rows = scratch + padded_rows_size (conv, 2);
  NnGemm g = {
    .m = conv->out_width,
    .n = conv->out,
    .n_segments = conv->n_segments,
    .seg_k = conv->seg_k,
    .offsets = conv->offsets,
    .rs = c->strides[1] * conv->in,
    .cs = 1,
    .b = conv->weights,
    .ldb = PAD (conv->out),
    .b_padded = TRUE,
    .bias = conv->bias,
    .ldc = conv->out,
    .relu = conv->relu,
  };

  for (; row < end; row += 2) {
    gsize n = MIN (2, end - row);
    const float *a;

    if (e->pool && n < 2)
      break; /* an odd last row is in no window */
    a = padded_rows (conv, src, row, n, scratch);
    for (gsize i = 0; i < n; i++) {
      g.a = a + i * c->strides[0] * conv->padded_width * conv->in;
      g.c = e->pool ? rows + i * line : dst + (row + i) * line;
      conv->k->gemm (&g);
      if (!e->pool)
        affine_row (conv, &e->affine, row + i, g.c);
    }
    if (e->pool)
      conv->k->affine_pool_rows (conv->out_width / 2, conv->out, rows, rows + line, &e->affine, row,
          dst + row / 2 * (conv->out_width / 2) * conv->out);
  }
}

static void
wino_products (const NnCpuConv *conv, gsize n_tiles, gsize in, gsize out, const float *v,
    const float *u, float *m)
{
  for (gsize i = 0; i < 36; i++) {
    NnGemm g = {
      .m = n_tiles,
      .n = out,
      .n_segments = 1,
      .seg_k = in,
      .a = v + i * n_tiles * in,
      .rs = in,
      .cs = 1,
      .b = u + i * in * out,
      .ldb = out,
      .b_padded = TRUE,
      .c = m + i * n_tiles * out,
      .ldc = out,
    };

    conv->k->gemm (&g);
  }
}

void
nn_cpu_conv_forward (const NnCpuConv *conv, const float *src, gsize unit, gsize n_units,
    const NnConvEpilogue *e, float *scratch, float *dst)
{
  if (conv->winograd) {
    gsize n_tiles = n_units * tile_cols (conv);
    float *v = scratch, *m = scratch + 36 * n_tiles * conv->in;
    NnWinoBlock block = {
      .height = conv->height,
      .width = conv->width,
      .channels = conv->in,
      .tile_row = unit,
      .n_tile_rows = n_units,
      .n_tile_cols = tile_cols (conv),
      .pad = conv->config->pad_begin[0],
    };
    NnWinoEpilogue epilogue
        = { .bias = conv->bias, .relu = conv->relu, .affine = e->affine, .pool = e->pool };

    conv->k->wino_input (&block, src, v);
    wino_products (conv, n_tiles, conv->in, conv->out, v, conv->weights, m);
    block.height = conv->out_height;
    block.width = conv->out_width;
    block.channels = conv->out;
    conv->k->wino_output (&block, m, &epilogue, dst);
  } else {
    forward_direct (
        conv, src, 2 * unit, MIN (2 * (unit + n_units), conv->out_height), e, scratch, dst);
  }
}

/* --- backward ---------------------------------------------------------------- */

gsize
nn_cpu_conv_dweights_size (const NnCpuConv *conv)
{
  return conv->winograd ? 36 * conv->in * conv->out : conv->n_segments * conv->seg_k * conv->out;
}

static gsize
wgrad_tile_rows (const NnCpuConv *conv)
{
  gsize n = WGRAD_CACHE_FLOATS / (36 * tile_cols (conv) * (conv->in + conv->out));

  return CLAMP (n, 1, nn_cpu_conv_count_units (conv));
}

static gsize
dgrad_tile_rows (const NnCpuConv *conv)
{
  gsize n = CACHE_FLOATS / (36 * ((conv->width + 3) / 4) * (conv->in + conv->out));

  return CLAMP (n, 1, (conv->height + 3) / 4);
}

gsize
nn_cpu_conv_backward_scratch_size (const NnCpuConv *conv)
{
  gsize n_k = conv->n_segments * conv->seg_k;

  if (conv->winograd)
    return 36 * (conv->in + conv->out)
        * MAX (wgrad_tile_rows (conv) * tile_cols (conv),
            dgrad_tile_rows (conv) * ((conv->width + 3) / 4));
  return padded_rows_size (conv, 1) + n_k * conv->out + conv->out_width * PAD (n_k) + NN_LANES;
}

static void
winograd_dweights (const NnCpuConv *conv, const float *src, const float *dy, float *scratch,
    float *acc)
{
  const gsize n_rows = nn_cpu_conv_count_units (conv), step = wgrad_tile_rows (conv);

  for (gsize row = 0; row < n_rows; row += step) {
    gsize n = MIN (step, n_rows - row), n_tiles = n * tile_cols (conv);
    float *v = scratch, *dm = scratch + 36 * n_tiles * conv->in;
    NnWinoBlock block = {
      .height = conv->height,
      .width = conv->width,
      .channels = conv->in,
      .tile_row = row,
      .n_tile_rows = n,
      .n_tile_cols = tile_cols (conv),
      .pad = conv->config->pad_begin[0],
    };

    conv->k->wino_input (&block, src, v);
    block.height = conv->out_height;
    block.width = conv->out_width;
    block.channels = conv->out;
    conv->k->wino_doutput (&block, dy, dm);
    for (gsize i = 0; i < 36; i++) {
      NnGemm g = {
        .m = conv->in,
        .n = conv->out,
        .n_segments = 1,
        .seg_k = n_tiles,
        .a = v + i * n_tiles * conv->in,
        .rs = 1,
        .cs = conv->in,
        .b = dm + i * n_tiles * conv->out,
        .ldb = conv->out,
        .b_padded = TRUE,
        .c = acc + i * conv->in * conv->out,
        .ldc = conv->out,
        .accumulate = TRUE,
      };

      conv->k->gemm (&g);
    }
  }
}

/* a convolution of dy with the turned kernel */
static void
winograd_dinput (const NnCpuConv *conv, const float *dy, float *scratch, float *dx)
{
  const gsize n_rows = (conv->height + 3) / 4, step = dgrad_tile_rows (conv);
  const gsize n_cols = (conv->width + 3) / 4;
  const NnWinoEpilogue plain = { 0 };

  for (gsize row = 0; row < n_rows; row += step) {
    gsize n = MIN (step, n_rows - row), n_tiles = n * n_cols;
    float *v = scratch, *m = scratch + 36 * n_tiles * conv->out;
    NnWinoBlock block = {
      .height = conv->out_height,
      .width = conv->out_width,
      .channels = conv->out,
      .tile_row = row,
      .n_tile_rows = n,
      .n_tile_cols = n_cols,
      .pad = 2 - conv->config->pad_begin[0],
    };

    conv->k->wino_input (&block, dy, v);
    wino_products (conv, n_tiles, conv->out, conv->in, v, conv->dgrad_weights, m);
    block.height = conv->height;
    block.width = conv->width;
    block.channels = conv->in;
    conv->k->wino_output (&block, m, &plain, dx);
  }
}

void
nn_cpu_conv_backward_winograd (const NnCpuConv *conv, const float *src, const float *dy,
    float *scratch, float *acc, float *dx)
{
  winograd_dweights (conv, src, dy, scratch, acc);
  if (dx)
    winograd_dinput (conv, dy, scratch, dx);
}

/* dx += W^T dy for one row of dy */
static void
row_dinput (const NnCpuConv *conv, gsize row, const float *dy, float *scratch, float *dx)
{
  const NnConv2dConfig *c = conv->config;
  const gsize n_k = conv->n_segments * conv->seg_k;
  NnGemm g = {
    .m = conv->out_width,
    .n = n_k,
    .n_segments = 1,
    .seg_k = conv->out,
    .a = dy,
    .rs = conv->out,
    .cs = 1,
    .b = conv->dgrad_weights,
    .ldb = PAD (n_k),
    .b_padded = TRUE,
    .c = scratch,
    .ldc = PAD (n_k),
  };

  conv->k->gemm (&g);
  for (gsize r = 0; r < c->kernel[0]; r++) {
    gssize y = (gssize) (row * c->strides[0] + r * c->dilation[0]) - (gssize) c->pad_begin[0];

    if (y < 0 || y >= (gssize) conv->height)
      continue;
    for (gsize q = 0; q < c->kernel[1]; q++) {
      const float *col = scratch + (r * c->kernel[1] + q) * conv->in;

      for (gsize i = 0; i < conv->out_width; i++, col += PAD (n_k)) {
        gssize x = (gssize) (i * c->strides[1] + q * c->dilation[1]) - (gssize) c->pad_begin[1];

        if (x >= 0 && x < (gssize) conv->width)
          for (gsize ch = 0; ch < conv->in; ch++)
            dx[((gsize) y * conv->width + (gsize) x) * conv->in + ch] += col[ch];
      }
    }
  }
}

void
nn_cpu_conv_backward_row (const NnCpuConv *conv, const float *src, gsize row, const float *dy,
    const float *kernel, float *scratch, float *acc, float *dx, double *products)
{
  const float *a = padded_rows (conv, src, row, 1, scratch);
  const gsize size = conv->seg_k * conv->out;
  float *part = scratch + padded_rows_size (conv, 1);

  for (gsize s = 0; s < conv->n_segments; s++) {
    NnGemm g = {
      .m = conv->seg_k,
      .n = conv->out,
      .n_segments = 1,
      .seg_k = conv->out_width,
      .a = a + conv->offsets[s],
      .rs = 1,
      .cs = conv->config->strides[1] * conv->in,
      .b = dy,
      .ldb = conv->out,
      .c = products ? part : acc + s * size,
      .ldc = conv->out,
      .accumulate = products == NULL,
    };

    conv->k->gemm (&g);
    if (products) {
      products[s] = conv->k->dot (size, part, kernel + s * size);
      conv->k->add (size, part, acc + s * size);
    }
  }
  if (dx)
    row_dinput (conv, row, dy, part, dx);
}

void
nn_cpu_conv_finish_weights (const NnCpuConv *conv, const float *acc, float *dkernel)
{
  if (conv->winograd)
    nn_wino_dweights (conv->in, conv->out, acc, dkernel);
  else
    memcpy (dkernel, acc, nn_cpu_conv_dweights_size (conv) * sizeof (float));
}
