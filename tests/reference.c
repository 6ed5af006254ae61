/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/reference.h"

#include <math.h>
#include <string.h>

#include "nn/rng.h"

static gsize
in_size (const NnLayer *layer)
{
  return nn_shape_count (&layer->in_shape);
}

static gsize
out_size (const NnLayer *layer)
{
  return nn_shape_count (&layer->out_shape);
}

static int
find_param (const NnLayer *layer, const char *name)
{
  for (guint i = 0; i < layer->n_params; i++)
    if (strcmp (layer->params[i].name, name) == 0)
      return (int) i;
  return -1;
}

/* value i of a named parameter, or @preset where the layer has none */
static double
param (const Reference *r, guint l, const char *name, gsize i, double preset)
{
  int p = find_param (&r->model->layers[l], name);

  return p < 0 ? preset : r->params[l][p][i];
}

static void
add_gradient (Reference *r, guint l, const char *name, gsize i, double value)
{
  int p = find_param (&r->model->layers[l], name);

  if (p >= 0)
    r->gradients[l][p][i] += value;
}

Reference *
reference_new (NnModel *model)
{
  Reference *r = g_new0 (Reference, 1);

  r->model = nn_model_ref (model);
  r->params = g_malloc0_n (model->n_layers, sizeof *r->params);
  r->gradients = g_malloc0_n (model->n_layers, sizeof *r->gradients);
  r->m = g_malloc0_n (model->n_layers, sizeof *r->m);
  r->v = g_malloc0_n (model->n_layers, sizeof *r->v);
  for (guint l = 0; l < model->n_layers; l++) {
    for (guint p = 0; p < model->layers[l].n_params; p++) {
      const NnParam *from = &model->layers[l].params[p];

      r->params[l][p] = g_new0 (double, from->n_values);
      r->gradients[l][p] = g_new0 (double, from->n_values);
      r->m[l][p] = g_new0 (double, from->n_values);
      r->v[l][p] = g_new0 (double, from->n_values);
      for (gsize i = 0; i < from->n_values; i++)
        r->params[l][p][i] = from->data[i];
    }
  }
  for (guint l = model->output;; l = model->layers[l].inputs[0]) {
    r->n_chain++;
    if (model->layers[l].n_inputs == 0)
      break;
  }
  r->chain = g_new (guint, r->n_chain);
  for (guint l = model->output, k = r->n_chain; k > 0;) {
    r->chain[--k] = l;
    if (k > 0)
      l = model->layers[l].inputs[0];
  }
  r->y = g_new0 (double *, r->n_chain);
  r->mean = g_new0 (double *, r->n_chain);
  r->variance = g_new0 (double *, r->n_chain);
  return r;
}

void
reference_free (Reference *r)
{
  for (guint l = 0; l < r->model->n_layers; l++) {
    for (guint p = 0; p < r->model->layers[l].n_params; p++) {
      g_free (r->params[l][p]);
      g_free (r->gradients[l][p]);
      g_free (r->m[l][p]);
      g_free (r->v[l][p]);
    }
  }
  for (guint k = 0; k < r->n_chain; k++) {
    g_free (r->y[k]);
    g_free (r->mean[k]);
    g_free (r->variance[k]);
  }
  g_free (r->params);
  g_free (r->gradients);
  g_free (r->m);
  g_free (r->v);
  g_free (r->y);
  g_free (r->mean);
  g_free (r->variance);
  g_free (r->chain);
  nn_model_unref (r->model);
  g_free (r);
}

/* --- activations --------------------------------------------------------------- */

static void
activate (NnActivation activation, gsize rows, gsize n, double *y)
{
  for (gsize r = 0; r < rows; r++, y += n) {
    double max = -INFINITY, sum = 0;

    for (gsize i = 0; i < n; i++) {
      max = fmax (max, y[i]);
      if (activation == NN_ACTIVATION_RELU)
        y[i] = fmax (y[i], 0);
      else if (activation == NN_ACTIVATION_SIGMOID)
        y[i] = 1 / (1 + exp (-y[i]));
      else if (activation == NN_ACTIVATION_TANH)
        y[i] = tanh (y[i]);
    }
    if (activation != NN_ACTIVATION_SOFTMAX)
      continue;
    for (gsize i = 0; i < n; i++)
      sum += y[i] = exp (y[i] - max);
    for (gsize i = 0; i < n; i++)
      y[i] /= sum;
  }
}

/* dy of the output to dy of what was activated, in place */
static void
activate_backward (NnActivation activation, gsize rows, gsize n, const double *y, double *dy)
{
  for (gsize r = 0; r < rows; r++, y += n, dy += n) {
    double dot = 0;

    for (gsize i = 0; i < n; i++)
      dot += y[i] * dy[i];
    for (gsize i = 0; i < n; i++) {
      if (activation == NN_ACTIVATION_RELU)
        dy[i] = y[i] > 0 ? dy[i] : 0;
      else if (activation == NN_ACTIVATION_SIGMOID)
        dy[i] *= y[i] * (1 - y[i]);
      else if (activation == NN_ACTIVATION_TANH)
        dy[i] *= 1 - y[i] * y[i];
      else if (activation == NN_ACTIVATION_SOFTMAX)
        dy[i] = y[i] * (dy[i] - dot);
    }
  }
}

/* --- convolution: y[o] = sum x[o * stride + k * dilation - pad] w[k] --------------------- */

/* calls for every pair of input and output pixel that a kernel cell joins */
typedef void (*CellFunc) (Reference *r, guint l, gsize cell, const double *x, const double *y,
    double *dx, double *dy);

static void
for_each_cell (Reference *r, guint l, const double *x, const double *y, double *dx, double *dy,
    CellFunc func)
{
  const NnLayer *layer = &r->model->layers[l];
  const NnConv2dConfig *c = &layer->config.conv2d;
  const gsize *in = layer->in_shape.dims, *out = layer->out_shape.dims;

  for (gsize s = 0; s < r->n; s++) {
    for (gsize oy = 0; oy < out[0]; oy++) {
      for (gsize ox = 0; ox < out[1]; ox++) {
        for (gsize k = 0; k < c->kernel[0] * c->kernel[1]; k++) {
          gssize iy = (gssize) (oy * c->strides[0] + k / c->kernel[1] * c->dilation[0]);
          gssize ix = (gssize) (ox * c->strides[1] + k % c->kernel[1] * c->dilation[1]);
          gsize i, o = ((s * out[0] + oy) * out[1] + ox) * out[2];

          iy -= (gssize) c->pad_begin[0];
          ix -= (gssize) c->pad_begin[1];
          if (iy < 0 || ix < 0 || iy >= (gssize) in[0] || ix >= (gssize) in[1])
            continue;
          i = ((s * in[0] + (gsize) iy) * in[1] + (gsize) ix) * in[2];
          func (r, l, k, x + i, y + o, dx ? dx + i : NULL, dy ? dy + o : NULL);
        }
      }
    }
  }
}

static void
conv_cell_forward (Reference *r, guint l, gsize cell, const double *x, const double *y, double *dx,
    double *dy)
{
  const gsize in = r->model->layers[l].in_shape.dims[2];
  const gsize out = r->model->layers[l].out_shape.dims[2];
  const double *w = r->params[l][0] + cell * in * out;

  for (gsize i = 0; i < in; i++)
    for (gsize o = 0; o < out; o++)
      dy[o] += x[i] * w[i * out + o];
}

static void
conv_cell_backward (Reference *r, guint l, gsize cell, const double *x, const double *y,
    double *dx, double *dy)
{
  const gsize in = r->model->layers[l].in_shape.dims[2];
  const gsize out = r->model->layers[l].out_shape.dims[2];
  const double *w = r->params[l][0] + cell * in * out;
  double *dw = r->gradients[l][0] + cell * in * out;

  for (gsize i = 0; i < in; i++) {
    for (gsize o = 0; o < out; o++) {
      dw[i * out + o] += x[i] * dy[o];
      dx[i] += w[i * out + o] * dy[o];
    }
  }
}

/* --- the other layers ----------------------------------------------------------------------- */

static gsize
bn_count (const Reference *r, const NnBatchNormConfig *c)
{
  return r->n * c->outer * c->inner;
}

static gsize
bn_at (const NnBatchNormConfig *c, gsize run, gsize i, gsize k)
{
  return (run * c->n + i) * c->inner + k;
}

static void
bn_forward (Reference *r, guint k, guint l, const double *x, double *y)
{
  const NnLayer *layer = &r->model->layers[l];
  const NnBatchNormConfig *c = &layer->config.batch_norm;
  const gsize runs = r->n * c->outer;
  const gboolean batch = r->training && layer->trainable;

  g_free (r->mean[k]);
  g_free (r->variance[k]);
  r->mean[k] = g_new0 (double, c->n);
  r->variance[k] = g_new0 (double, c->n);
  for (gsize i = 0; i < c->n; i++) {
    double mean = 0, variance = 0;

    for (gsize run = 0; run < runs; run++)
      for (gsize j = 0; j < c->inner; j++)
        mean += x[bn_at (c, run, i, j)];
    mean /= (double) bn_count (r, c);
    for (gsize run = 0; run < runs; run++)
      for (gsize j = 0; j < c->inner; j++)
        variance += pow (x[bn_at (c, run, i, j)] - mean, 2);
    variance /= (double) bn_count (r, c);
    r->mean[k][i] = batch ? mean : param (r, l, "moving_mean", i, 0);
    r->variance[k][i] = batch ? variance : param (r, l, "moving_variance", i, 1);
    for (gsize run = 0; run < runs; run++)
      for (gsize j = 0; j < c->inner; j++)
        y[bn_at (c, run, i, j)]
            = param (r, l, "gamma", i, 1) * (x[bn_at (c, run, i, j)] - r->mean[k][i])
                / sqrt (r->variance[k][i] + c->epsilon)
            + param (r, l, "beta", i, 0);
  }
}

static void
bn_backward (Reference *r, guint k, guint l, const double *x, const double *dy, double *dx)
{
  const NnLayer *layer = &r->model->layers[l];
  const NnBatchNormConfig *c = &layer->config.batch_norm;
  const gsize runs = r->n * c->outer;
  const double count = (double) bn_count (r, c);

  for (gsize i = 0; i < c->n; i++) {
    const double std = sqrt (r->variance[k][i] + c->epsilon);
    double sum = 0, sum_xhat = 0;

    for (gsize run = 0; run < runs; run++) {
      for (gsize j = 0; j < c->inner; j++) {
        gsize at = bn_at (c, run, i, j);

        sum += dy[at];
        sum_xhat += dy[at] * (x[at] - r->mean[k][i]) / std;
      }
    }
    add_gradient (r, l, "gamma", i, sum_xhat);
    add_gradient (r, l, "beta", i, sum);
    for (gsize run = 0; run < runs; run++) {
      for (gsize j = 0; j < c->inner; j++) {
        gsize at = bn_at (c, run, i, j);
        double xhat = (x[at] - r->mean[k][i]) / std, d = dy[at];

        if (layer->trainable)
          d -= sum / count + xhat * sum_xhat / count;
        dx[at] += param (r, l, "gamma", i, 1) / std * d;
      }
    }
  }
}

/* index of the first maximum in the window of output value o of sample s */
static gsize
pool_argmax (const NnLayer *layer, const double *x, gsize s, gsize o)
{
  const NnPoolConfig *c = &layer->config.pool;
  const gsize *in = layer->in_shape.dims, *out = layer->out_shape.dims;
  const gsize channel = o % out[2], ox = o / out[2] % out[1], oy = o / out[2] / out[1];
  gsize best = G_MAXSIZE;

  for (gsize k = 0; k < c->size[0] * c->size[1]; k++) {
    gssize iy = (gssize) (oy * c->strides[0] + k / c->size[1]) - (gssize) c->pad_begin[0];
    gssize ix = (gssize) (ox * c->strides[1] + k % c->size[1]) - (gssize) c->pad_begin[1];
    gsize at;

    if (iy < 0 || ix < 0 || iy >= (gssize) in[0] || ix >= (gssize) in[1])
      continue;
    at = ((s * in[0] + (gsize) iy) * in[1] + (gsize) ix) * in[2] + channel;
    if (best == G_MAXSIZE || x[at] > x[best])
      best = at;
  }
  return best;
}

/* what a dropout layer multiplies value @i of the batch with */
static double
dropout_factor (const Reference *r, guint l, guint64 i)
{
  const double rate = r->model->layers[l].config.dropout.rate;
  NnRng rng;
  guint32 word = 0;

  if (!r->training)
    return 1;
  nn_rng_init (&rng, r->seed, NN_STREAM_DROPOUT, (guint64) r->iterations << 16 | l);
  rng.counter[0] = (guint32) (i / 4);
  for (guint64 k = 0; k <= i % 4; k++)
    word = nn_rng_u32 (&rng);
  return word / 4294967296.0 >= rate ? 1 / (1 - rate) : 0;
}

/* --- passes ------------------------------------------------------------------------------- */

const double *
reference_forward (Reference *r, const double *input, guint n, gboolean training, guint64 seed)
{
  r->n = n;
  r->training = training;
  r->seed = seed;
  for (guint k = 0; k < r->n_chain; k++) {
    const guint l = r->chain[k];
    const NnLayer *layer = &r->model->layers[l];
    const gsize total = n * out_size (layer);
    const gsize last = layer->out_shape.dims[MAX (layer->out_shape.n_dims, 1) - 1];
    const double *x = k > 0 ? r->y[k - 1] : input;
    double *y = g_new0 (double, total);

    switch (layer->kind) {
      case NN_LAYER_CONV2D:
        for (gsize i = 0; i < total; i++)
          y[i] = param (r, l, "bias", i % last, 0);
        for_each_cell (r, l, x, y, NULL, y, conv_cell_forward);
        activate (layer->config.conv2d.activation, total / last, last, y);
        break;
      case NN_LAYER_DENSE: {
        gsize in = layer->params[0].shape.dims[0];

        for (gsize row = 0; row < total / last; row++) {
          for (gsize o = 0; o < last; o++)
            y[row * last + o] = param (r, l, "bias", o, 0);
          for (gsize i = 0; i < in; i++)
            for (gsize o = 0; o < last; o++)
              y[row * last + o] += x[row * in + i] * r->params[l][0][i * last + o];
        }
        activate (layer->config.dense.activation, total / last, last, y);
        break;
      }
      case NN_LAYER_BATCH_NORMALIZATION:
        bn_forward (r, k, l, x, y);
        break;
      case NN_LAYER_MAX_POOLING2D:
        for (gsize i = 0; i < total; i++)
          y[i] = x[pool_argmax (layer, x, i / out_size (layer), i % out_size (layer))];
        break;
      case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
        for (gsize i = 0; i < r->n * in_size (layer); i++) {
          gsize channels = out_size (layer);

          y[i / in_size (layer) * channels + i % channels]
              += x[i] * (double) channels / (double) in_size (layer);
        }
        break;
      case NN_LAYER_DROPOUT:
        for (gsize i = 0; i < total; i++)
          y[i] = x[i] * dropout_factor (r, l, i);
        break;
      case NN_LAYER_ACTIVATION:
        memcpy (y, x, total * sizeof (double));
        activate (layer->config.activation.activation, total / last, last, y);
        break;
      default:
        memcpy (y, x, total * sizeof (double));
        break;
    }
    g_free (r->y[k]);
    r->y[k] = y;
  }
  return r->y[r->n_chain - 1];
}

double
reference_loss (const Reference *r, NnLoss loss, const float *targets)
{
  const gsize outputs = nn_model_get_n_outputs (r->model);
  const double *p = r->y[r->n_chain - 1];
  double sum = 0;

  for (gsize i = 0; i < r->n * outputs; i++) {
    double q = fmin (fmax (p[i], 1e-7), 1 - 1e-7), t = targets[i];
    double weight = r->weights ? r->weights[i / outputs] : 1;

    if (loss == NN_LOSS_BINARY_CROSSENTROPY)
      sum -= weight * (t * log (q) + (1 - t) * log (1 - q)) / (double) outputs;
    else
      sum -= weight * t * log (q);
  }
  sum /= r->n;
  for (guint l = 0; l < r->model->n_layers; l++)
    for (guint p_ = 0; p_ < r->model->layers[l].n_params; p_++) {
      const NnParam *info = &r->model->layers[l].params[p_];

      for (gsize i = 0; i < info->n_values; i++)
        sum += info->l1 * fabs (r->params[l][p_][i])
            + info->l2 * r->params[l][p_][i] * r->params[l][p_][i];
    }
  return sum;
}

void
reference_backward (Reference *r, NnLoss loss, const float *targets)
{
  const gsize outputs = nn_model_get_n_outputs (r->model);
  g_autofree double *dy = g_new0 (double, r->n * outputs);
  const double *p = r->y[r->n_chain - 1];

  for (guint l = 0; l < r->model->n_layers; l++)
    for (guint q = 0; q < r->model->layers[l].n_params; q++)
      memset (r->gradients[l][q], 0, r->model->layers[l].params[q].n_values * sizeof (double));
  /* d loss / d probability; the activation's own derivative follows in its layer */
  for (gsize i = 0; i < r->n * outputs; i++) {
    double t = targets[i], weight = r->weights ? r->weights[i / outputs] : 1;

    if (loss == NN_LOSS_BINARY_CROSSENTROPY)
      dy[i] = weight * (p[i] - t) / (p[i] * (1 - p[i])) / (double) (r->n * outputs);
    else
      dy[i] = -weight * t / p[i] / r->n;
  }
  for (guint k = r->n_chain - 1; k > 0; k--) {
    const guint l = r->chain[k];
    const NnLayer *layer = &r->model->layers[l];
    const gsize total = r->n * out_size (layer);
    const gsize last = layer->out_shape.dims[layer->out_shape.n_dims - 1];
    const double *x = r->y[k - 1], *y = r->y[k];
    double *dx = g_new0 (double, r->n * in_size (layer));

    switch (layer->kind) {
      case NN_LAYER_CONV2D:
        activate_backward (layer->config.conv2d.activation, total / last, last, y, dy);
        for (gsize i = 0; i < total; i++)
          add_gradient (r, l, "bias", i % last, dy[i]);
        for_each_cell (r, l, x, y, dx, dy, conv_cell_backward);
        break;
      case NN_LAYER_DENSE: {
        gsize in = layer->params[0].shape.dims[0];

        activate_backward (layer->config.dense.activation, total / last, last, y, dy);
        for (gsize row = 0; row < total / last; row++) {
          for (gsize o = 0; o < last; o++)
            add_gradient (r, l, "bias", o, dy[row * last + o]);
          for (gsize i = 0; i < in; i++) {
            for (gsize o = 0; o < last; o++) {
              r->gradients[l][0][i * last + o] += x[row * in + i] * dy[row * last + o];
              dx[row * in + i] += r->params[l][0][i * last + o] * dy[row * last + o];
            }
          }
        }
        break;
      }
      case NN_LAYER_BATCH_NORMALIZATION:
        bn_backward (r, k, l, x, dy, dx);
        break;
      case NN_LAYER_MAX_POOLING2D:
        for (gsize i = 0; i < total; i++)
          dx[pool_argmax (layer, x, i / out_size (layer), i % out_size (layer))] += dy[i];
        break;
      case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
        for (gsize i = 0; i < r->n * in_size (layer); i++)
          dx[i] = dy[i / in_size (layer) * out_size (layer) + i % out_size (layer)]
              * (double) out_size (layer) / (double) in_size (layer);
        break;
      case NN_LAYER_DROPOUT:
        for (gsize i = 0; i < total; i++)
          dx[i] = dy[i] * dropout_factor (r, l, i);
        break;
      case NN_LAYER_ACTIVATION:
        activate_backward (layer->config.activation.activation, total / last, last, y, dy);
        memcpy (dx, dy, total * sizeof (double));
        break;
      default:
        memcpy (dx, dy, total * sizeof (double));
        break;
    }
    g_free (dy);
    dy = dx;
  }
  for (guint l = 0; l < r->model->n_layers; l++)
    for (guint q = 0; q < r->model->layers[l].n_params; q++) {
      const NnParam *info = &r->model->layers[l].params[q];

      for (gsize i = 0; i < info->n_values; i++) {
        double w = r->params[l][q][i];

        r->gradients[l][q][i] += 2 * info->l2 * w + info->l1 * ((w > 0) - (w < 0));
      }
    }
}

void
reference_update (Reference *r, const NnOptimizer *s, gboolean bessel)
{
  const double t = (double) ++r->iterations;
  const double rate = s->learning_rate / (1 + s->decay * (t - 1));

  for (guint l = 0; l < r->model->n_layers; l++) {
    for (guint q = 0; q < r->model->layers[l].n_params; q++) {
      const NnParam *info = &r->model->layers[l].params[q];

      for (gsize i = 0; i < info->n_values && info->trainable; i++) {
        double g = r->gradients[l][q][i], *m = &r->m[l][q][i], *v = &r->v[l][q][i];

        if (strcmp (info->name, "kernel") == 0)
          r->params[l][q][i] *= 1 - rate * s->weight_decay;
        if (s->kind != NN_OPTIMIZER_SGD) {
          *m = s->beta_1 * *m + (1 - s->beta_1) * g;
          *v = s->beta_2 * *v + (1 - s->beta_2) * g * g;
          r->params[l][q][i] -= rate * sqrt (1 - pow (s->beta_2, t)) / (1 - pow (s->beta_1, t)) * *m
              / (sqrt (*v) + s->epsilon);
        } else {
          *m = s->momentum * *m - rate * g;
          r->params[l][q][i] += s->nesterov ? s->momentum * *m - rate * g : *m;
        }
      }
    }
  }
  for (guint k = 0; k < r->n_chain; k++) {
    const guint l = r->chain[k];
    const NnLayer *layer = &r->model->layers[l];
    const NnBatchNormConfig *c = &layer->config.batch_norm;
    double count;

    if (layer->kind != NN_LAYER_BATCH_NORMALIZATION || !layer->trainable)
      continue;
    count = (double) bn_count (r, c);
    for (gsize i = 0; i < c->n; i++) {
      double *mean = &r->params[l][find_param (layer, "moving_mean")][i];
      double *variance = &r->params[l][find_param (layer, "moving_variance")][i];
      double unbiased = bessel ? count / (count - (1 + c->epsilon)) : 1;

      *mean = *mean * c->momentum + r->mean[k][i] * (1 - c->momentum);
      *variance = *variance * c->momentum + r->variance[k][i] * unbiased * (1 - c->momentum);
    }
  }
}
