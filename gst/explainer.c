/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/explainer.h"

#include <math.h>
#include <string.h>

#include "gst/gstclassifymeta.h"

struct _Explainer {
  NnModel *model;
  NnCam *cam;
  float *values; /* (rows, columns) */
  ExplainerDone done;
  gpointer user_data;
  GThreadPool *pool; /* of one thread, or NULL */
  gint is_busy;      /* atomic */
  ExplainerJob job;  /* while busy */
};

/* The part of the frame that the network's input covers, in pixels of the frame as it is, not
 * turned: all of the region where it is stretched; with a letterbox the bars reach beyond it. */
static void
set_place (GstStructure *s, const Explainer *self)
{
  const NnPreprocess *pre = &self->model->preprocess;
  const Region *region = &self->job.region;
  const NnRect shown = nn_image_turn_rect (&self->job.image, &region->rect);
  NnRect source, input;
  NnPlace place;

  if (region->id >= 0)
    gst_structure_set (s, "region", G_TYPE_INT, region->id, NULL);
  nn_preprocess_fit (pre, &self->job.image, &shown, &source, &place);
  input.width = pre->width * source.width / place.width;
  input.height = pre->height * source.height / place.height;
  input.x = source.x - place.x * source.width / place.width;
  input.y = source.y - place.y * source.height / place.height;
  input = nn_image_turn_rect_back (&self->job.image, &input);
  gst_structure_set (s, "x", G_TYPE_INT, (int)round (input.x), "y", G_TYPE_INT,
      (int)round (input.y), "width", G_TYPE_INT, (int)round (input.width), "height", G_TYPE_INT,
      (int)round (input.height), NULL);
}

static HeatMap *
make_map (const Explainer *self, const NnCamResult *result)
{
  HeatMap *map = g_new0 (HeatMap, 1);
  const NnOrientation back = nn_orientation_invert (self->job.image.orientation);
  g_autofree guint8 *shown = NULL;
  guint rows, columns;
  guint8 *bytes;
  GBytes *data;

  nn_cam_get_size (self->cam, &rows, &columns);
  shown = g_malloc ((gsize)rows * columns);
  bytes = g_malloc ((gsize)rows * columns);
  for (gsize i = 0; i < (gsize)rows * columns; i++)
    shown[i] = (guint8)lroundf (self->values[i] * 255);
  nn_orientation_turn_pixels (back, shown, (gssize)columns, columns, rows, 1, bytes,
      nn_orientation_is_transposed (back) ? (gssize)rows : (gssize)columns);
  if (nn_orientation_is_transposed (back)) {
    const guint n = rows;

    rows = columns;
    columns = n;
  }
  data = g_bytes_new_take (bytes, (gsize)rows * columns);
  map->ref_count = 1;
  map->region = self->job.region;
  map->generation = self->job.generation;
  map->frame = self->job.frame;
  map->pts = self->job.pts;
  map->structure = gst_structure_new (GST_CLASSIFY_HEAT_MAP_META_NAME, "label", G_TYPE_STRING,
      nn_model_get_label (self->model, result->index), "index", G_TYPE_INT, (int)result->index,
      "probability", G_TYPE_DOUBLE, (double)result->probability, "method", G_TYPE_STRING,
      nn_cam_get_method (self->cam), "rows", G_TYPE_UINT, rows, "columns", G_TYPE_UINT, columns,
      "map", G_TYPE_BYTES, data, "age", G_TYPE_UINT, 0, "age-time", G_TYPE_UINT64, (guint64)0,
      NULL);
  g_bytes_unref (data);
  set_place (map->structure, self);
  return map;
}

static void
run (Explainer *self)
{
  g_autoptr (GError) error = NULL;
  NnCamResult result;
  HeatMap *map = NULL;

  if (nn_cam_run (self->cam, -1, self->values, &result, &error))
    map = make_map (self, &result);
  self->done (map, error, self->user_data);
}

static void
run_in_pool (gpointer self, gpointer user_data)
{
  run (self);
  g_atomic_int_set (&((Explainer *)self)->is_busy, FALSE);
}

Explainer *
explainer_new (NnModel *model, NnBackend *backend, guint threads, gboolean is_threaded,
    ExplainerDone done, gpointer user_data, GError **error)
{
  NnCam *cam = nn_cam_new (model, backend, threads, error);
  guint rows, columns;
  Explainer *self;

  if (!cam)
    return NULL;
  self = g_new0 (Explainer, 1);
  nn_cam_get_size (cam, &rows, &columns);
  self->model = nn_model_ref (model);
  self->cam = cam;
  self->values = g_new (float, (gsize)rows *columns);
  self->done = done;
  self->user_data = user_data;
  if (is_threaded) {
    self->pool = g_thread_pool_new (run_in_pool, NULL, 1, FALSE, error);
    if (!self->pool)
      g_clear_pointer (&self, explainer_free);
  }
  return self;
}

void
explainer_free (Explainer *self)
{
  if (self->pool)
    g_thread_pool_free (self->pool, TRUE, TRUE);
  nn_cam_free (self->cam);
  nn_model_unref (self->model);
  g_free (self->values);
  g_free (self);
}

gboolean
explainer_is_idle (Explainer *self)
{
  return !g_atomic_int_get (&self->is_busy);
}

gboolean
explainer_run (
    Explainer *self, const ExplainerJob *job, const NnImagePlanes *planes, GError **error)
{
  const NnRect shown = nn_image_turn_rect (&job->image, &job->region.rect);
  g_autoptr (NnSampler) sampler
      = nn_sampler_new (&job->image, &shown, &self->model->preprocess, error);

  if (!sampler)
    return FALSE;
  self->job = *job;
  nn_sampler_run (sampler, planes, FALSE, nn_cam_get_input (self->cam));
  if (!self->pool) {
    run (self);
    return TRUE;
  }
  g_atomic_int_set (&self->is_busy, TRUE);
  return g_thread_pool_push (self->pool, self, error);
}

/* --- maps ------------------------------------------------------------------------- */

HeatMap *
heat_map_ref (HeatMap *map)
{
  g_atomic_int_inc (&map->ref_count);
  return map;
}

void
heat_map_unref (HeatMap *map)
{
  if (!g_atomic_int_dec_and_test (&map->ref_count))
    return;
  gst_structure_free (map->structure);
  g_free (map);
}

/* From where the region was to where it is now. */
static void
move_place (GstStructure *s, const NnRect *from, const NnRect *to)
{
  const double x_scale = to->width / from->width, y_scale = to->height / from->height;
  int x, y, width, height;

  gst_structure_get (s, "x", G_TYPE_INT, &x, "y", G_TYPE_INT, &y, "width", G_TYPE_INT, &width,
      "height", G_TYPE_INT, &height, NULL);
  gst_structure_set (s, "x", G_TYPE_INT, (int)round (to->x + (x - from->x) * x_scale), "y",
      G_TYPE_INT, (int)round (to->y + (y - from->y) * y_scale), "width", G_TYPE_INT,
      (int)round (width * x_scale), "height", G_TYPE_INT, (int)round (height * y_scale), NULL);
}

void
heat_map_attach (
    const HeatMap *map, GstBuffer *buffer, const Region *region, guint64 frame, GstClockTime pts)
{
  GstStructure *s = gst_buffer_add_video_classify_heat_map (buffer, map->structure);
  const gboolean has_times
      = GST_CLOCK_TIME_IS_VALID (pts) && GST_CLOCK_TIME_IS_VALID (map->pts) && pts > map->pts;

  if (frame != map->frame)
    gst_structure_set (s, "age", G_TYPE_UINT, (guint)(frame - map->frame), "age-time",
        G_TYPE_UINT64, has_times ? pts - map->pts : (guint64)0, NULL);
  if (memcmp (&region->rect, &map->region.rect, sizeof region->rect) != 0)
    move_place (s, &map->region.rect, &region->rect);
}
