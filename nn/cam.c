/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cam.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/model-private.h"

struct _NnCam
{
  NnModel *model;
  NnPlan *trunk; /* the layers before `head`, which is the first on flat values */
  guint head;
  gsize rows, columns, channels;
  float **values;    /* what goes into each layer from `head` on, and what comes out of the last */
  float *a, *b;      /* gradients on their way back */
  float *weights;    /* channels: a_c */
  float *outputs, *probabilities;
};

static gboolean
unsupported (GError **error, const char *format, const char *name)
{
  g_autofree char *what = g_strdup_printf (format, name);

  g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "no class activation map: %s", what);
  return FALSE;
}

/* the layers that backward() goes through */
static gboolean
check_head (const NnModel *model, guint head, GError **error)
{
  for (guint i = head; i < model->n_layers; i++) {
    const NnLayer *layer = &model->layers[i];
    const gboolean is_last = layer == nn_model_get_last_layer (model);

    switch (layer->kind) {
      case NN_LAYER_FLATTEN:
      case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      case NN_LAYER_DROPOUT:
      case NN_LAYER_BATCH_NORMALIZATION:
        break;
      case NN_LAYER_DENSE:
        if (nn_shape_count (&layer->in_shape) != layer->params[0].shape.dims[0])
          return unsupported (error, "the dense layer '%s' works on many rows", layer->name);
        G_GNUC_FALLTHROUGH;
      case NN_LAYER_ACTIVATION:
        if (nn_layer_get_activation (layer) == NN_ACTIVATION_SOFTMAX && !is_last)
          return unsupported (error, "the softmax of layer '%s' is not the last", layer->name);
        break;
      default:
        return unsupported (error, "layer '%s' stands behind the feature maps", layer->name);
    }
  }
  return TRUE;
}

NnCam *
nn_cam_new (NnModel *model, NnBackend *backend, guint threads, GError **error)
{
  const NnPlanOptions options = { .batch = 1, .threads = threads };
  g_autoptr (NnCam) cam = g_new0 (NnCam, 1);
  g_autoptr (NnModel) trunk = NULL, tail = NULL;
  const NnShape *maps;
  gboolean has_memory = TRUE;
  gsize largest = 0;

  cam->model = nn_model_ref (model);
  for (cam->head = 1; cam->head < model->n_layers; cam->head++)
    if (model->layers[cam->head].kind == NN_LAYER_FLATTEN
        || model->layers[cam->head].kind == NN_LAYER_GLOBAL_AVERAGE_POOLING2D)
      break;
  if (cam->head == model->n_layers || model->layers[cam->head].in_shape.n_dims != 3) {
    unsupported (error, "%s has no feature maps in front of a Flatten or GlobalAveragePooling2D",
        "the network");
    return NULL;
  }
  maps = &model->layers[cam->head].in_shape;
  cam->rows = maps->dims[0];
  cam->columns = maps->dims[1];
  cam->channels = maps->dims[2];
  trunk = nn_model_new_part (model, 0, cam->head, error);
  /* a chain? */
  tail = trunk ? nn_model_new_part (model, cam->head, model->n_layers, error) : NULL;
  if (!tail || !check_head (model, cam->head, error))
    return NULL;
  cam->trunk = nn_plan_new (backend, trunk, &options, error);
  if (!cam->trunk)
    return NULL;
  cam->values = g_new0 (float *, model->n_layers + 1);
  for (guint i = cam->head; i <= model->n_layers; i++) {
    const gsize n = nn_shape_count (i < model->n_layers ? &model->layers[i].in_shape
                                                        : &model->layers[i - 1].out_shape);

    cam->values[i] = g_try_new0 (float, n);
    has_memory = has_memory && cam->values[i];
    largest = MAX (largest, n);
  }
  cam->a = g_try_new (float, largest);
  cam->b = g_try_new (float, largest);
  cam->weights = g_try_new (float, cam->channels);
  cam->outputs = g_try_new (float, nn_model_get_n_outputs (model));
  cam->probabilities = g_try_new (float, nn_model_get_n_classes (model));
  if (!has_memory || !cam->a || !cam->b || !cam->weights || !cam->outputs
      || !cam->probabilities) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "no memory for a heat map of %" G_GSIZE_FORMAT
        " values", largest);
    return NULL;
  }
  return g_steal_pointer (&cam);
}

void
nn_cam_free (NnCam *cam)
{
  if (!cam)
    return;
  nn_plan_free (cam->trunk);
  for (guint i = 0; cam->values && i <= cam->model->n_layers; i++)
    g_free (cam->values[i]);
  nn_model_unref (cam->model);
  g_free (cam->values);
  g_free (cam->a);
  g_free (cam->b);
  g_free (cam->weights);
  g_free (cam->outputs);
  g_free (cam->probabilities);
  g_free (cam);
}

const char *
nn_cam_get_method (const NnCam *cam)
{
  guint n_dense = 0;

  for (guint i = cam->head + 1; i < cam->model->n_layers; i++)
    switch (cam->model->layers[i].kind) {
      case NN_LAYER_DENSE:
        n_dense++;
        break;
      case NN_LAYER_DROPOUT:
      case NN_LAYER_FLATTEN:
        break;
      case NN_LAYER_ACTIVATION:
        if (&cam->model->layers[i] == nn_model_get_last_layer (cam->model))
          break;
        G_GNUC_FALLTHROUGH;
      default:
        return "grad-cam";
    }
  return n_dense <= 1
          && cam->model->layers[cam->head].kind == NN_LAYER_GLOBAL_AVERAGE_POOLING2D
      ? "cam" : "grad-cam";
}

void
nn_cam_get_size (const NnCam *cam, guint *rows, guint *columns)
{
  *rows = (guint) cam->rows;
  *columns = (guint) cam->columns;
}

float *
nn_cam_get_input (NnCam *cam)
{
  return nn_plan_get_input (cam->trunk);
}

/* --- the head --------------------------------------------------------------------- */

static void
activate (NnActivation activation, float *values, gsize n)
{
  float max = values[0], sum = 0;

  switch (activation) {
    case NN_ACTIVATION_RELU:
      for (gsize i = 0; i < n; i++)
        values[i] = MAX (values[i], 0);
      break;
    case NN_ACTIVATION_SIGMOID:
      for (gsize i = 0; i < n; i++)
        values[i] = 1 / (1 + expf (-values[i]));
      break;
    case NN_ACTIVATION_TANH:
      for (gsize i = 0; i < n; i++)
        values[i] = tanhf (values[i]);
      break;
    case NN_ACTIVATION_SOFTMAX:
      for (gsize i = 1; i < n; i++)
        max = MAX (max, values[i]);
      for (gsize i = 0; i < n; i++)
        sum += values[i] = expf (values[i] - max);
      for (gsize i = 0; i < n; i++)
        values[i] /= sum;
      break;
    default:
      break;
  }
}

/* times the slope, told from what came out */
static void
activate_backward (NnActivation activation, const float *y, float *gradient, gsize n)
{
  for (gsize i = 0; i < n; i++)
    switch (activation) {
      case NN_ACTIVATION_RELU:
        gradient[i] = y[i] > 0 ? gradient[i] : 0;
        break;
      case NN_ACTIVATION_SIGMOID:
        gradient[i] *= y[i] * (1 - y[i]);
        break;
      case NN_ACTIVATION_TANH:
        gradient[i] *= 1 - y[i] * y[i];
        break;
      default:
        break;
    }
}

static const float *
find_param (const NnLayer *layer, const char *name)
{
  for (guint i = 0; i < layer->n_params; i++)
    if (strcmp (layer->params[i].name, name) == 0)
      return layer->params[i].data;
  return NULL;
}

/* y = x * scale + shift, or x = x * scale on the way back */
static void
normalize (const NnLayer *layer, gboolean is_backward, const float *x, float *y)
{
  const NnBatchNormConfig *bn = &layer->config.batch_norm;
  const float *gamma = find_param (layer, "gamma"), *beta = find_param (layer, "beta");
  const float *mean = find_param (layer, "moving_mean");
  const float *variance = find_param (layer, "moving_variance");

  for (gsize o = 0, at = 0; o < bn->outer; o++)
    for (gsize i = 0; i < bn->n; i++) {
      const float scale = (gamma ? gamma[i] : 1) / sqrtf (variance[i] + bn->epsilon);
      const float shift = is_backward ? 0 : (beta ? beta[i] : 0) - mean[i] * scale;

      for (gsize k = 0; k < bn->inner; k++, at++)
        y[at] = x[at] * scale + shift;
    }
}

static void
forward (const NnCam *cam, guint index)
{
  const NnLayer *layer = &cam->model->layers[index];
  const float *x = cam->values[index], *kernel, *bias;
  float *y = cam->values[index + 1];
  const gsize n_in = nn_shape_count (&layer->in_shape);
  const gsize n_out = nn_shape_count (&layer->out_shape), cells = cam->rows * cam->columns;

  switch (layer->kind) {
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      memset (y, 0, n_out * sizeof (float));
      for (gsize i = 0; i < n_in; i++)
        y[i % n_out] += x[i];
      for (gsize i = 0; i < n_out; i++)
        y[i] /= (float) cells;
      break;
    case NN_LAYER_BATCH_NORMALIZATION:
      normalize (layer, FALSE, x, y);
      break;
    case NN_LAYER_DENSE:
      kernel = find_param (layer, "kernel");
      bias = find_param (layer, "bias");
      for (gsize u = 0; u < n_out; u++)
        y[u] = bias ? bias[u] : 0;
      for (gsize i = 0; i < n_in; i++)
        for (gsize u = 0; x[i] != 0 && u < n_out; u++)
          y[u] += x[i] * kernel[i * n_out + u];
      break;
    default:
      memcpy (y, x, n_in * sizeof (float));
  }
  activate (nn_layer_get_activation (layer), y, n_out);
}

/* The gradient by what comes out of the layer in cam->a to the one by what goes in. */
static void
backward (NnCam *cam, guint index)
{
  const NnLayer *layer = &cam->model->layers[index];
  const gsize n_in = nn_shape_count (&layer->in_shape);
  const gsize n_out = nn_shape_count (&layer->out_shape), cells = cam->rows * cam->columns;
  const float *kernel;
  float *swap;

  /* y is before the last activation */
  if (layer != nn_model_get_last_layer (cam->model))
    activate_backward (
        nn_layer_get_activation (layer), cam->values[index + 1], cam->a, n_out);
  switch (layer->kind) {
    case NN_LAYER_GLOBAL_AVERAGE_POOLING2D:
      for (gsize i = 0; i < n_in; i++)
        cam->b[i] = cam->a[i % n_out] / (float) cells;
      break;
    case NN_LAYER_BATCH_NORMALIZATION:
      normalize (layer, TRUE, cam->a, cam->b);
      break;
    case NN_LAYER_DENSE:
      kernel = find_param (layer, "kernel");
      for (gsize i = 0; i < n_in; i++, kernel += n_out) {
        float sum = 0;

        for (gsize u = 0; u < n_out; u++)
          sum += kernel[u] * cam->a[u];
        cam->b[i] = sum;
      }
      break;
    default:
      return; /* as it is */
  }
  swap = cam->a;
  cam->a = cam->b;
  cam->b = swap;
}

gboolean
nn_cam_run (NnCam *cam, int index, float *map, NnCamResult *result, GError **error)
{
  const gsize n_classes = nn_model_get_n_classes (cam->model);
  const gsize n_outputs = nn_model_get_n_outputs (cam->model);
  const gsize cells = cam->rows * cam->columns;
  const float *maps = nn_plan_run (cam->trunk, 1, error);

  if (!maps)
    return FALSE;
  memcpy (cam->values[cam->head], maps, cells * cam->channels * sizeof (float));
  for (guint i = cam->head; i < cam->model->n_layers; i++)
    forward (cam, i);
  nn_model_get_probabilities (cam->model, cam->values[cam->model->n_layers], cam->probabilities);
  if (index < 0)
    nn_top_k (cam->probabilities, (guint) n_classes, 1, &result->index);
  else
    result->index = MIN ((guint) index, (guint) n_classes - 1);
  result->probability = cam->probabilities[result->index];

  memset (cam->a, 0, n_outputs * sizeof (float));
  if (n_outputs == n_classes)
    cam->a[result->index] = 1;
  else
    cam->a[0] = result->index == 1 ? 1 : -1;
  for (guint i = cam->model->n_layers; i-- > cam->head;)
    backward (cam, i);

  memset (cam->weights, 0, cam->channels * sizeof (float));
  for (gsize i = 0; i < cells; i++)
    for (gsize c = 0; c < cam->channels; c++)
      cam->weights[c] += cam->a[i * cam->channels + c] / (float) cells;
  result->peak = 0;
  for (gsize i = 0; i < cells; i++) {
    float sum = 0;

    for (gsize c = 0; c < cam->channels; c++)
      sum += cam->weights[c] * maps[i * cam->channels + c];
    map[i] = MAX (sum, 0);
    result->peak = MAX (result->peak, map[i]);
  }
  for (gsize i = 0; result->peak > 0 && i < cells; i++)
    map[i] /= result->peak;
  return TRUE;
}

guint32
nn_cam_color (float value, double opacity)
{
  /* clear, yellow, orange, red: lighter colours where there is less */
  const double v = CLAMP ((double) value, 0, 1);
  const double alpha = opacity * MIN (v * 1.5, 1);
  const double green = v < 0.5 ? 0.9 : 0.9 * (1 - v) / 0.5;
  const guint a = (guint) (alpha * 255 + .5), r = a, g = (guint) (alpha * green * 255 + .5);

  return a << 24 | r << 16 | g << 8;
}

/* where pixel @i lies between the middles of @n cells over @size pixels from @begin on */
static void
find_cells (guint i, int begin, int size, guint n, guint cells[2], float *fraction)
{
  const double at = CLAMP ((i + .5 - begin) / size * n - .5, 0, n - 1);

  cells[0] = (guint) at;
  cells[1] = MIN (cells[0] + 1, n - 1);
  *fraction = (float) (at - cells[0]);
}

/* Values are interpolated, not colours: between clear and red lies yellow. */
void
nn_cam_draw (const NnHeat *heat, double opacity, guint32 *argb, guint width, guint height)
{
  guint32 colors[256];

  for (guint i = 0; i < 256; i++)
    colors[i] = nn_cam_color ((float) i / 255, opacity);
  for (guint y = 0; y < height; y++) {
    guint rows[2];
    float fy;

    find_cells (y, heat->y, heat->height, heat->rows, rows, &fy);
    for (guint x = 0; x < width; x++) {
      const guint8 *above = heat->values + (gsize) rows[0] * heat->columns;
      const guint8 *below = heat->values + (gsize) rows[1] * heat->columns;
      guint columns[2];
      float fx, top, bottom;

      find_cells (x, heat->x, heat->width, heat->columns, columns, &fx);
      top = (1 - fx) * above[columns[0]] + fx * above[columns[1]];
      bottom = (1 - fx) * below[columns[0]] + fx * below[columns[1]];
      *argb++ = colors[(guint) ((1 - fy) * top + fy * bottom + .5f)];
    }
  }
}
