/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keras's initializers. Fans as in Keras: of a kernel (..., in, out) the
 * product of the leading sizes times in, and times out; of a vector its
 * length for both. */

#include <math.h>

#include "nn/error.h"
#include "nn/layer.h"
#include "nn/model-private.h"
#include "nn/rng.h"

/* Standard deviation of a standard normal cut at +-2: Keras divides by it so
 * that the cut distribution has the variance asked for. */
#define TRUNCATED_STDDEV 0.87962566103423978

static double
draw_normal (NnRng *rng)
{
  double u = 1.0 - nn_rng_double (rng); /* (0, 1] */
  double angle = 2 * G_PI * nn_rng_double (rng);

  return sqrt (-2 * log (u)) * cos (angle);
}

static double
draw_truncated (NnRng *rng)
{
  double x;

  do
    x = draw_normal (rng);
  while (fabs (x) > 2);
  return x;
}

static double
get_fan (const NnParam *param)
{
  const NnShape *shape = &param->shape;
  double in, out, field = 1;

  if (shape->n_dims < 2) {
    in = out = (double) param->n_values;
  } else {
    for (guint i = 0; i + 2 < shape->n_dims; i++)
      field *= (double) shape->dims[i];
    in = field * (double) shape->dims[shape->n_dims - 2];
    out = field * (double) shape->dims[shape->n_dims - 1];
  }
  switch (param->init_fan) {
    case NN_FAN_IN:
      return MAX (in, 1);
    case NN_FAN_OUT:
      return MAX (out, 1);
    default:
      return MAX ((in + out) / 2, 1);
  }
}

static gboolean
fill (const NnParam *param, NnRng *rng, float *values)
{
  double scale = param->init_scale, offset = param->init_offset;
  double deviation = sqrt (scale / get_fan (param));

  switch (param->init) {
    case NN_INIT_ZEROS:
      scale = offset = 0;
      break;
    case NN_INIT_ONES:
      scale = 0;
      offset = 1;
      break;
    case NN_INIT_CONSTANT:
      offset = scale;
      scale = 0;
      break;
    case NN_INIT_SCALING_UNIFORM:
      scale = sqrt (3) * deviation;
      break;
    case NN_INIT_SCALING_NORMAL:
      scale = deviation / TRUNCATED_STDDEV;
      break;
    case NN_INIT_SCALING_UNTRUNCATED:
      scale = deviation;
      break;
    case NN_INIT_UNIFORM:
    case NN_INIT_NORMAL:
    case NN_INIT_TRUNCATED_NORMAL:
      break;
    case NN_INIT_UNKNOWN:
      return FALSE;
  }
  for (gsize i = 0; i < param->n_values; i++) {
    double x = 0;

    switch (param->init) {
      case NN_INIT_SCALING_UNIFORM:
      case NN_INIT_UNIFORM:
        x = nn_rng_uniform (rng, -scale, scale);
        break;
      case NN_INIT_SCALING_NORMAL:
      case NN_INIT_TRUNCATED_NORMAL:
        x = scale * draw_truncated (rng);
        break;
      case NN_INIT_SCALING_UNTRUNCATED:
      case NN_INIT_NORMAL:
        x = scale * draw_normal (rng);
        break;
      default:
        break;
    }
    values[i] = (float) (offset + x);
  }
  return TRUE;
}

gboolean
nn_model_fill_initial (const NnModel *model, guint64 seed, float *values, GError **error)
{
  guint64 index = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    const NnLayer *layer = &model->layers[i];

    for (guint k = 0; k < layer->n_params; k++) {
      const NnParam *param = &layer->params[k];
      NnRng rng;

      nn_rng_init (&rng, seed, NN_STREAM_INIT, index++);
      if (!fill (param, &rng, values)) {
        g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
            "%s: layer '%s' (%s): the initializer of its %s is not supported; load weights or"
            " use one of Keras's Zeros, Ones, Constant, Random*, TruncatedNormal, Glorot*, He*,"
            " Lecun* and VarianceScaling",
            model->origin ? model->origin : "model", layer->name, layer->klass->name, param->name);
        return FALSE;
      }
      values += nn_param_get_stride (param);
    }
  }
  return TRUE;
}
