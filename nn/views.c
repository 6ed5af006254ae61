/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* NnViews and NnViewSampler: the views that a test-time augmentation is made of
 * and the mean over what the network says of them. */

#include <math.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/error.h"
#include "nn/model-private.h"
#include "nn/sampler-private.h"
#include "nn/tta.h"
#include "nn/views-math.h"

/* Of the feature maps: three windows of the trained size along each axis. */
#define WINDOWS 3

typedef struct
{
  guint geometry; /* views of one geometry share a sampler */
  gboolean flip;
} View;

struct _NnViews
{
  NnModel *model;
  NnTta tta;
  guint n, n_geometries;
  View views[NN_TTA_MAX_VIEWS];
  NnRect parts[NN_TTA_MAX_VIEWS]; /* of each geometry */
  NnModel *network;
  NnPreprocess pre; /* of its input */

  NnAugment augment;       /* RANDOM */
  NnAugmentParams *params; /* n */
  NnPreprocess source;     /* the picture that is drawn from */

  /* FEATURES: (maps[0], maps[1], maps[2]) of a sample, windows of (window[0], window[1]) */
  gsize maps[3], window[2];
  guint n_starts[2];
  gsize starts[2][WINDOWS];
  guint pool;   /* the layer that is replaced */
  NnPlan *head; /* NULL: the pooling is the network's end */
  float *pooled;

  double *sum;  /* n_outputs */
  float *values, *view; /* n_outputs, n_classes */
};

/* --- views ---------------------------------------------------------------------- */

static void
add_geometry (NnViews *v, double x, double y, double width, double height)
{
  v->parts[v->n_geometries] = (NnRect) { x, y, width, height };
  v->views[v->n++] = (View) { v->n_geometries, FALSE };
  if (v->tta.flip)
    v->views[v->n++] = (View) { v->n_geometries, TRUE };
  v->n_geometries++;
}

/* the centre first: the fewer views there is time for, the more they show of it */
static void
add_crops (NnViews *v)
{
  const double size = v->tta.crop, far = 1 - size;

  add_geometry (v, far / 2, far / 2, size, size);
  if (far <= 0)
    return; /* the corners would be the same */
  for (guint i = 0; i < 4; i++)
    add_geometry (v, i % 2 ? far : 0, i / 2 ? far : 0, size, size);
}

static gboolean
init_random (NnViews *v, GError **error)
{
  const char *text = g_hash_table_lookup (v->model->extra, NN_AUGMENT_ATTRIBUTE);

  if (!text) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "random views need the augmentation that the model was trained with, which its file does "
        "not tell (attribute " NN_AUGMENT_ATTRIBUTE ", written by classify train): choose crops10 "
        "or scales");
    return FALSE;
  }
  if (!nn_augment_from_json (text, &v->augment, error)) {
    g_prefix_error (error, "attribute " NN_AUGMENT_ATTRIBUTE ": ");
    return FALSE;
  }
  v->source = v->pre;
  if (v->augment.source_height) {
    v->source.height = v->augment.source_height;
    v->source.width = v->augment.source_width;
    if (v->source.height == v->pre.height && v->source.width == v->pre.width)
      v->augment.source_height = v->augment.source_width = 0;
  }
  v->params = g_new0 (NnAugmentParams, v->tta.n_random);
  for (guint i = 0; i < v->tta.n_random; i++) {
    nn_augment_draw (&v->augment, v->tta.seed, i, v->pre.height, v->pre.width,
        nn_preprocess_get_n_channels (&v->pre), &v->params[i]);
    add_geometry (v, 0, 0, 1, 1);
  }
  return TRUE;
}

static gboolean
unsupported_features (GError **error, const char *why)
{
  g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
      "views from the feature maps need a network that ends its convolutions with "
      "GlobalAveragePooling2D%s: choose crops10 or scales",
      why);
  return FALSE;
}

static gboolean
init_features (NnViews *v, GError **error)
{
  const NnModel *model = v->model;
  const guint height = v->tta.size;
  const guint width = (guint) (((guint64) height * v->pre.width + v->pre.height / 2)
      / v->pre.height);
  g_autoptr (NnModel) larger = NULL;
  g_autoptr (GError) reason = NULL;

  for (v->pool = model->n_layers; v->pool > 0; v->pool--)
    if (model->layers[v->pool - 1].kind == NN_LAYER_GLOBAL_AVERAGE_POOLING2D)
      break;
  if (v->pool-- == 0)
    return unsupported_features (error, "");
  if (height < v->pre.height) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "features:%u is smaller than the network's input of %ux%u pixels", height, v->pre.width,
        v->pre.height);
    return FALSE;
  }
  larger = nn_model_new_resized (v->model, height, width, &reason);
  if (larger)
    v->network = nn_model_new_part (larger, 0, v->pool, &reason);
  if (!v->network) {
    g_autofree char *why = g_strdup_printf (" and takes any size (%s)", reason->message);

    return unsupported_features (error, why);
  }
  v->pre.height = height;
  v->pre.width = width;
  for (guint i = 0; i < 3; i++)
    v->maps[i] = larger->layers[v->pool].in_shape.dims[i];
  for (guint axis = 0; axis < 2; axis++) {
    const gsize window = model->layers[v->pool].in_shape.dims[axis];
    const gsize room = v->maps[axis] - window;
    const guint n = (guint) MIN (room + 1, WINDOWS);

    v->window[axis] = window;
    v->n_starts[axis] = n;
    for (guint i = 0; i < n; i++)
      v->starts[axis][i] = n > 1 ? (2 * i * room + (n - 1)) / (2 * (n - 1)) : 0;
  }
  v->pooled = g_new (float, v->maps[2] * WINDOWS * WINDOWS);
  add_geometry (v, 0, 0, 1, 1);
  return TRUE;
}

NnViews *
nn_views_new (NnModel *model, const NnTta *tta, GError **error)
{
  g_autoptr (NnViews) v = g_new0 (NnViews, 1);

  v->model = nn_model_ref (model);
  v->tta = *tta;
  v->pre = model->preprocess;
  v->sum = g_new (double, nn_model_get_n_outputs (model));
  v->values = g_new (float, nn_model_get_n_outputs (model));
  v->view = g_new (float, nn_model_get_n_classes (model));
  switch (tta->method) {
    case NN_TTA_CROPS:
      add_crops (v);
      break;
    case NN_TTA_SCALES:
      for (guint i = 0; i < tta->n_scales; i++) {
        const double part = 1 / tta->scales[i];

        add_geometry (v, (1 - part) / 2, (1 - part) / 2, part, part);
      }
      break;
    case NN_TTA_RANDOM:
      if (!init_random (v, error))
        return NULL;
      break;
    case NN_TTA_FEATURES:
      if (!init_features (v, error))
        return NULL;
      break;
    default:
      add_geometry (v, 0, 0, 1, 1);
  }
  if (!v->network)
    v->network = nn_model_ref (model);
  return g_steal_pointer (&v);
}

void
nn_views_free (NnViews *v)
{
  if (!v)
    return;
  nn_plan_free (v->head);
  if (v->network)
    nn_model_unref (v->network);
  nn_model_unref (v->model);
  g_free (v->params);
  g_free (v->pooled);
  g_free (v->sum);
  g_free (v->values);
  g_free (v->view);
  g_free (v);
}

guint
nn_views_get_n (const NnViews *v)
{
  return v->n;
}

NnModel *
nn_views_get_network (const NnViews *v)
{
  return v->network;
}

const NnPreprocess *
nn_views_get_preprocess (const NnViews *v)
{
  return &v->pre;
}

void
nn_views_get_geometry (const NnViews *v, guint i, NnRect *part, gboolean *flip)
{
  *part = v->parts[v->views[i].geometry];
  *flip = v->views[i].flip;
}

char *
nn_views_describe (const NnViews *v, guint i)
{
  static const char *const corners[] = { "centre", "top left", "top right", "bottom left",
    "bottom right" };
  const guint geometry = v->views[i].geometry;
  const char *flip = v->views[i].flip ? ", flipped" : "";

  switch (v->tta.method) {
    case NN_TTA_CROPS:
      return g_strdup_printf ("%s %g%s", corners[geometry], v->tta.crop, flip);
    case NN_TTA_SCALES:
      return g_strdup_printf ("scale %g%s", v->tta.scales[geometry], flip);
    case NN_TTA_RANDOM:
      return nn_augment_describe (&v->augment, &v->params[i]);
    case NN_TTA_FEATURES:
      return g_strdup_printf ("%u windows of %ux%u pixels%s", v->n_starts[0] * v->n_starts[1],
          v->pre.width, v->pre.height, flip);
    default:
      return g_strdup_printf ("whole%s", flip);
  }
}

/* --- the mean ------------------------------------------------------------------- */

gboolean
nn_views_prepare (NnViews *v, NnBackend *backend, GError **error)
{
  const NnPlanOptions options = { .batch = WINDOWS * WINDOWS, .threads = 1 };
  g_autoptr (NnModel) part = NULL;

  if (v->tta.method != NN_TTA_FEATURES || v->pool + 1 == v->model->n_layers)
    return TRUE;
  part = nn_model_new_part (v->model, v->pool + 1, v->model->n_layers, error);
  if (part)
    v->head = nn_plan_new (backend, part, &options, error);
  return v->head != NULL;
}

static NnViewEnd
get_end (const NnViews *v)
{
  switch (nn_layer_get_activation (nn_model_get_last_layer (v->model))) {
    case NN_ACTIVATION_SIGMOID:
      return NN_VIEW_SIGMOID;
    case NN_ACTIVATION_SOFTMAX:
      return NN_VIEW_SOFTMAX;
    default:
      return NN_VIEW_PLAIN;
  }
}

gboolean
nn_views_are_outputs (const NnViews *v, NnMean *mean)
{
  *mean = v->tta.mean;
  /* the temperature is each view's, unless it is the mean logit's */
  return v->tta.method != NN_TTA_FEATURES
      && (v->model->temperature == 1 || v->tta.mean == NN_MEAN_LOGITS);
}

/* the mean logits in v->sum to outputs */
static void
from_logits (NnViews *v)
{
  const gsize n = nn_model_get_n_outputs (v->model);
  double max = v->sum[0], total = 0;

  for (gsize k = 0; k < n; k++)
    max = MAX (max, v->sum[k]);
  for (gsize k = 0; k < n; k++)
    total += exp (v->sum[k] - max);
  for (gsize k = 0; k < n; k++)
    v->values[k] = nn_view_output (get_end (v), v->sum[k], max, total);
}

/* Adds one output of the whole network to what @probabilities or v->sum gather. */
static void
add_output (NnViews *v, const float *output, guint n_classes, float *probabilities)
{
  if (v->tta.mean == NN_MEAN_LOGITS) {
    for (gsize k = 0; k < nn_model_get_n_outputs (v->model); k++)
      v->sum[k] += nn_view_logit (get_end (v), output[k]);
  } else {
    nn_model_get_probabilities (v->model, output, v->view);
    for (guint k = 0; k < n_classes; k++)
      probabilities[k] += v->view[k];
  }
}

/* Means of the windows of one sample's maps; returns how many. */
static guint
pool_windows (NnViews *v, const float *maps, float *pooled)
{
  const gsize channels = v->maps[2], row = v->maps[1] * channels;
  guint n = 0;

  for (guint i = 0; i < v->n_starts[0]; i++) {
    for (guint j = 0; j < v->n_starts[1]; j++, n++) {
      const float *corner = maps + v->starts[0][i] * row + v->starts[1][j] * channels;
      float *mean = pooled + n * channels;

      memset (mean, 0, channels * sizeof (float));
      for (gsize y = 0; y < v->window[0]; y++)
        for (gsize x = 0; x < v->window[1]; x++)
          for (gsize c = 0; c < channels; c++)
            mean[c] += corner[y * row + x * channels + c];
      for (gsize c = 0; c < channels; c++)
        mean[c] /= (float) (v->window[0] * v->window[1]);
    }
  }
  return n;
}

gboolean
nn_views_mean (NnViews *v, const float *outputs, guint n, float *probabilities, GError **error)
{
  const guint n_classes = nn_model_get_n_classes (v->model);
  const gsize n_outputs = nn_model_get_n_outputs (v->model);
  const gsize size = nn_model_get_n_outputs (v->network);
  guint n_added = 0;

  memset (probabilities, 0, n_classes * sizeof (float));
  memset (v->sum, 0, n_outputs * sizeof (double));
  for (guint i = 0; i < n; i++) {
    const float *output = outputs + i * size;
    guint n_rows = 1;

    if (v->tta.method == NN_TTA_FEATURES) {
      float *pooled = v->head ? nn_plan_get_input (v->head) : v->pooled;

      n_rows = pool_windows (v, output, pooled);
      output = v->head ? nn_plan_run (v->head, n_rows, error) : pooled;
      if (!output)
        return FALSE;
    }
    for (guint k = 0; k < n_rows; k++, n_added++)
      add_output (v, output + k * n_outputs, n_classes, probabilities);
  }
  if (v->tta.mean == NN_MEAN_LOGITS) {
    for (gsize k = 0; k < n_outputs; k++)
      v->sum[k] /= n_added;
    from_logits (v);
    nn_model_get_probabilities (v->model, v->values, probabilities);
  } else {
    for (guint k = 0; k < n_classes; k++)
      probabilities[k] /= (float) n_added;
  }
  return TRUE;
}

/* --- sampling -------------------------------------------------------------------- */

struct _NnViewSampler
{
  const NnViews *views;
  gsize in_size;
  guint n_samplers;
  NnSampler **samplers; /* one a geometry; of RANDOM one for all */
  guint8 *bytes;        /* RANDOM: the picture that is drawn from */
};

/* [@begin, @begin + @size) within [0, @limit), at least a pixel of it */
static void
keep_inside (double *begin, double *size, double limit)
{
  *size = CLAMP (*size, 1, limit);
  *begin = CLAMP (*begin, 0, limit - *size);
}

static NnSampler *
new_sampler (const NnViews *v, guint geometry, const NnImageInfo *info, const NnRect *crop,
    GError **error)
{
  const NnRect *part = &v->parts[geometry];
  NnRect source;
  NnPlace place;

  if (part->width == 1)
    return nn_sampler_new (info, crop, v->params ? &v->source : &v->pre, error);
  nn_preprocess_fit (&v->pre, info, crop, &source, &place);
  if (part->width > 1) {
    const guint width = place.width, height = place.height;

    place.width = (guint) MAX (round (width / part->width), 1);
    place.height = (guint) MAX (round (height / part->height), 1);
    place.x += (width - place.width) / 2;
    place.y += (height - place.height) / 2;
    return nn_sampler_new_placed (info, &source, &v->pre, &place, error);
  }
  source.x += part->x * source.width;
  source.y += part->y * source.height;
  source.width *= part->width;
  source.height *= part->height;
  keep_inside (&source.x, &source.width, info->width);
  keep_inside (&source.y, &source.height, info->height);
  return nn_sampler_new (info, &source, &v->pre, error);
}

NnViewSampler *
nn_view_sampler_new (const NnViews *views, const NnImageInfo *info, const NnRect *crop,
    GError **error)
{
  g_autoptr (NnViewSampler) s = g_new0 (NnViewSampler, 1);

  s->views = views;
  s->in_size = (gsize) views->pre.height * views->pre.width
      * nn_preprocess_get_n_channels (&views->pre);
  s->samplers = g_new0 (NnSampler *, views->n_geometries);
  for (guint i = 0; i < (views->params ? 1 : views->n_geometries); i++) {
    s->samplers[i] = new_sampler (views, i, info, crop, error);
    if (!s->samplers[i])
      return NULL;
    s->n_samplers++;
  }
  if (views->params)
    s->bytes = g_malloc ((gsize) views->source.height * views->source.width
        * nn_preprocess_get_n_channels (&views->source));
  return g_steal_pointer (&s);
}

void
nn_view_sampler_free (NnViewSampler *s)
{
  if (!s)
    return;
  for (guint i = 0; i < s->n_samplers; i++)
    nn_sampler_free (s->samplers[i]);
  g_free (s->samplers);
  g_free (s->bytes);
  g_free (s);
}

void
nn_view_sampler_run (NnViewSampler *s, const NnImagePlanes *src, guint n, float *dst)
{
  const NnViews *v = s->views;

  if (s->bytes)
    nn_sampler_run_bytes (s->samplers[0], src, s->bytes);
  for (guint i = 0; i < n; i++, dst += s->in_size) {
    const View *view = &v->views[i];

    if (s->bytes)
      nn_augment_apply (&v->augment, &v->params[i], &v->pre, s->bytes, dst);
    else
      nn_sampler_run (s->samplers[view->geometry], src, view->flip, dst);
  }
}

const NnSampler *
nn_view_sampler_get (const NnViewSampler *s, guint i, gboolean *flip)
{
  const View *view = &s->views->views[i];

  *flip = view->flip && !s->bytes;
  return s->samplers[s->bytes ? 0 : view->geometry];
}

gboolean
nn_views_get_draws (const NnViews *v, NnAugmentForm *form, NnAugmentEntry *entries, guint n)
{
  if (!v->params)
    return FALSE;
  nn_augment_form (&v->augment, &v->pre, form);
  for (guint i = 0; i < n; i++)
    nn_augment_entry (&v->augment, form, &v->params[i], &entries[i]);
  return TRUE;
}
