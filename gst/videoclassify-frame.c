/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "gst/cuda-memory.h"
#include "gst/formats.h"
#include "gst/videoclassify-private.h"
#include "nn/input-dump.h"
#include "nn/label-name.h"

/* Frames of a live stream that are passed on unclassified before that is told: a second's, more
 * than the first classification, which is slow, makes late. */
#define BEHIND_IS_TOLD 30

/* --- what is looked at ---------------------------------------------------------------- */

/* Whether frames are compared, by thumbnails of what the network sees. */
static gboolean
has_comparisons (const Settings *settings)
{
  const SmootherOptions *smoothing = &settings->smoothing;

  return settings->region != REGION_ROI_LIST
         && (settings->change_threshold > 0
             || (settings->scene_cut > 0
                 && (smoothing->method != SMOOTHING_NONE || smoothing->hysteresis > 0
                     || smoothing->hold > 0)));
}

/* Of draws the device has no thumbnail. */
static gboolean
can_compare (const NnPacker *packer, const Settings *settings)
{
  return !has_comparisons (settings) || !nn_packer_is_drawn (packer);
}

/* The device reads formats of the table in its memory, and does not turn what it reads. */
static gboolean
stays_on_device (const GstVideoClassify *self)
{
  return self->is_cuda_memory && self->image.orientation == NN_ORIENTATION_IDENTITY
         && gst_video_classify_is_direct (GST_VIDEO_INFO_FORMAT (&self->info));
}

/* For the regions and views of @task. NULL: the host must make the input. */
static const NnPacker *
get_packer (GstVideoClassify *self, const Task *task, const Settings *settings)
{
  const FrameFormat format = { self->format, &self->image };
  g_autoptr (GError) error = NULL;
  const NnPacker *packer;

  if (self->dump_dir || !engine_client_takes_packs (task->runtime->client))
    return NULL;
  packer = task_get_packer (
      task, &format, stays_on_device (self) ? NN_PACK_SPANS : NN_PACK_ROWS, &error);
  if (error) /* if it is the frame's fault the sampler will say so */
    GST_INFO_OBJECT (self, "pre-processing on the CPU: %s", error->message);
  return packer && can_compare (packer, settings) ? packer : NULL;
}

static void
get_planes (const GstVideoFrame *frame, NnImagePlanes *planes)
{
  for (guint i = 0; i < MIN (GST_VIDEO_FRAME_N_PLANES (frame), 3); i++) {
    planes->planes[i] = GST_VIDEO_FRAME_PLANE_DATA (frame, i);
    planes->strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE (frame, i);
  }
}

/* The job's pack is complete but for what is wanted of its outputs. */
static void
finish_pack (GstVideoClassify *self, Task *task, const NnPacker *packer)
{
  EngineJob *job = task->job;

  job->pack.is_drawn = nn_packer_is_drawn (packer);
  if (task->n_views > 1 && nn_views_are_outputs (task->runtime->views, &job->pack.mean)
      && engine_job_takes_views (job, task->n_views))
    job->pack.n_views = task->n_views;
  GST_OBJECT_LOCK (self);
  self->counts.on_device++;
  GST_OBJECT_UNLOCK (self);
}

/* Leaves a frame in the device's memory there. FALSE: it must be downloaded, or @error. */
static gboolean
fetch_regions (
    GstVideoClassify *self, Task *task, GstBuffer *buffer, const Settings *settings, GError **error)
{
  EngineJob *job = task->job;
  NnImagePlanes planes = { 0 };
  const NnPacker *packer;
  gpointer stream;
  guint8 *memory;

  if (!stays_on_device (self) || !(packer = get_packer (self, task, settings))
      || !cuda_memory_map (&task->frame_on_device, &self->info, buffer, &stream))
    return FALSE;
  task->has_frame_on_device = TRUE;
  memory = engine_job_reserve_pack (
      job, nn_packer_get_tables_size (packer), nn_packer_get_size (packer), error);
  if (!memory)
    return FALSE;
  get_planes (&task->frame_on_device, &planes);
  nn_packer_describe (packer, &planes, memory, job->planes, &job->pack);
  job->pack.stream = stream;
  finish_pack (self, task, packer);
  return TRUE;
}

/* The samples of all regions, or what the device or the engine's thread makes them of. */
static gboolean
sample_regions (GstVideoClassify *self, Task *task, const GstVideoFrame *frame,
    const NnImagePlanes *planes, const Settings *settings, GError **error)
{
  const FrameFormat format = { self->format, &self->image };
  const NnPacker *packer = get_packer (self, task, settings);
  EngineJob *job = task->job;

  if (packer) {
    const gsize size = nn_packer_get_size (packer);
    guint8 *memory = engine_job_reserve_pack (job, size, size, error);

    if (!memory)
      return FALSE;
    nn_packer_run (packer, planes, memory);
    job->pack.size = size;
    finish_pack (self, task, packer);
    return TRUE;
  }
  if (self->is_async && task->n_views > 1 && !self->dump_dir && !has_comparisons (settings))
    return task_sample_later (task, &format, frame, error);
  return task_sample (task, &format, planes, error);
}

static gboolean
is_explanation_due (const GstVideoClassify *self, const Task *task, const Settings *settings)
{
  Explainer *explainer = task->runtime->explainer;

  return explainer && explainer_is_idle (explainer)
         && !(GST_CLOCK_TIME_IS_VALID (self->last_explained) && GST_CLOCK_TIME_IS_VALID (task->pts)
              && task->pts >= self->last_explained
              && task->pts - self->last_explained < settings->explain_interval);
}

/* Has a map made of the first region. */
static void
explain (GstVideoClassify *self, Task *task, const NnImagePlanes *planes)
{
  const ExplainerJob job = { .region = task->regions[0],
    .generation = task->generation,
    .frame = task->frame,
    .pts = task->pts,
    .image = self->image };
  g_autoptr (GError) error = NULL;

  self->last_explained = task->pts;
  if (!explainer_run (task->runtime->explainer, &job, planes, &error))
    video_classify_take_heat_map (NULL, error, self);
}

/* FALSE: an error was posted. */
static gboolean
map_frame (GstVideoClassify *self, GstBuffer *buffer, GstVideoFrame *frame)
{
  const GstMemory *memory
      = gst_buffer_n_memory (buffer) > 0 ? gst_buffer_peek_memory (buffer, 0) : NULL;
  const char *type = memory ? memory->allocator->mem_type : GST_ALLOCATOR_SYSMEM;

  if (gst_video_frame_map (
          frame, &self->info, buffer, GST_MAP_READ | GST_VIDEO_FRAME_MAP_FLAG_NO_REF))
    return TRUE;
  if (g_str_equal (type, GST_ALLOCATOR_SYSMEM))
    GST_ELEMENT_ERROR (self, RESOURCE, READ,
        ("cannot read the frame: its memory does not hold a %s picture of %dx%d pixels",
            GST_VIDEO_INFO_NAME (&self->info), GST_VIDEO_INFO_WIDTH (&self->info),
            GST_VIDEO_INFO_HEIGHT (&self->info)),
        ("%" GST_PTR_FORMAT, buffer));
  else
    GST_ELEMENT_ERROR (self, RESOURCE, READ,
        ("cannot read the frame: its memory, of type \"%s\", does not map as a %s picture of %dx%d "
         "pixels: put %s in front",
            type, GST_VIDEO_INFO_NAME (&self->info), GST_VIDEO_INFO_WIDTH (&self->info),
            GST_VIDEO_INFO_HEIGHT (&self->info), gst_video_classify_get_downloader (type)),
        ("%" GST_PTR_FORMAT, buffer));
  return FALSE;
}

static gboolean
sample_frame (GstVideoClassify *self, Task *task, GstBuffer *buffer, const Settings *settings)
{
  const gboolean is_explained = is_explanation_due (self, task, settings);
  g_autoptr (GError) error = NULL;
  NnImagePlanes planes = { 0 };
  GstVideoFrame frame;
  gboolean is_on_device, ok;

  task->job->n = task->n_regions * task->n_views;
  task->job->pack = (NnPack){ 0 };
  task->job->prepare = NULL;
  is_on_device = fetch_regions (self, task, buffer, settings, &error);
  if (error) {
    video_classify_post_error (self, error);
    return FALSE;
  }
  if (is_on_device && !is_explained)
    return TRUE;
  if (!map_frame (self, buffer, &frame))
    return FALSE;
  if (gst_video_classify_is_direct (GST_VIDEO_FRAME_FORMAT (&frame))) {
    get_planes (&frame, &planes);
  } else {
    frame_copy_take (&task->copy, &frame, task->regions, task->n_regions);
    planes = task->copy.planes;
  }
  ok = is_on_device || sample_regions (self, task, &frame, &planes, settings, &error);
  if (ok && is_explained)
    explain (self, task, &planes);
  gst_video_frame_unmap (&frame);
  if (!ok)
    video_classify_post_error (self, error);
  return ok;
}

/* A buffer may hold a larger picture than its caps tell: the GstVideoMeta has that one's
 * size, the GstVideoCropMeta the place of what is seen. */
static void
find_picture (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  const GstVideoMeta *meta = gst_buffer_get_video_meta (buffer);
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  const guint width = meta ? meta->width : (guint)GST_VIDEO_INFO_WIDTH (&self->info);
  const guint height = meta ? meta->height : (guint)GST_VIDEO_INFO_HEIGHT (&self->info);
  const NnOrientation orientation = settings->direction == GST_VIDEO_ORIENTATION_AUTO
                                        ? self->told_orientation
                                        : (NnOrientation)settings->direction;

  if (width != (guint)self->picture.width || height != (guint)self->picture.height
      || orientation != self->image.orientation) {
    GST_DEBUG_OBJECT (self, "pictures of %ux%u pixels, orientation %d", width, height, orientation);
    self->picture = (NnRect){ 0, 0, width, height };
    gst_video_classify_image_info (&self->info, &self->image);
    self->image.width = width;
    self->image.height = height;
    nn_image_turn (&self->image, orientation);
    self->format++;
  }
  if (crop && crop->width > 0 && crop->height > 0)
    self->visible = (NnRect){ crop->x, crop->y, crop->width, crop->height };
  else
    self->visible = (NnRect){ 0, 0, GST_VIDEO_INFO_WIDTH (&self->info),
      GST_VIDEO_INFO_HEIGHT (&self->info) };
}

/* Nothing of the frame is in "crop": said once for each crop and size, and what was known is
 * about another part. */
static void
tell_outside (GstVideoClassify *self, const Crop *crop)
{
  const NnRect *visible = &self->visible;
  const double x_scale = crop->is_fraction ? visible->width : 1;
  const double y_scale = crop->is_fraction ? visible->height : 1;

  if (memcmp (&self->outside, crop, sizeof *crop) == 0 && self->outside_width == visible->width
      && self->outside_height == visible->height)
    return;
  self->outside = *crop;
  self->outside_width = visible->width;
  self->outside_height = visible->height;
  self->has_thumbnails = FALSE;
  GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
      ("crop %g,%g %gx%g lies outside of the %gx%g frame: nothing is classified",
          crop->x * x_scale, crop->y * y_scale, crop->width * x_scale, crop->height * y_scale,
          visible->width, visible->height),
      (NULL));
  video_classify_lose_results (self);
}

/* The regions of the frame, at most self->options.max_regions. */
static guint
find_regions (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings, Region *regions)
{
  NnRect area, rect;

  if (!rect_intersect (&self->visible, &self->picture, &area))
    return 0;
  if (!crop_apply (&settings->crop, &area, &rect)) {
    tell_outside (self, &settings->crop);
    return 0;
  }
  self->outside.is_set = FALSE;
  if (settings->region == REGION_ROI_LIST)
    return regions_collect (buffer, &rect, (const char *const *)self->roi_label_list,
        self->options.max_regions, regions);
  regions[0] = (Region){
    .is_whole = !settings->crop.is_set, .id = -1, .mtd = REGION_NO_MTD, .rect = rect
  };
  return 1;
}

/* --- whether, when -------------------------------------------------------------------- */

static void
post_qos (GstVideoClassify *self, GstBuffer *buffer, gboolean is_live, GstClockTime running_time,
    guint64 processed, guint64 dropped)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  GstMessage *message = gst_message_new_qos (GST_OBJECT (self), is_live, running_time,
      gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer)),
      GST_BUFFER_PTS (buffer), GST_BUFFER_DURATION (buffer));

  /* "dropped" are classifications: no frame is */
  gst_message_set_qos_stats (message, GST_FORMAT_BUFFERS, processed, dropped);
  gst_element_post_message (GST_ELEMENT (self), message);
}

/* Downstream has said that frames up to a later one come too late (QoS). */
static gboolean
is_late_downstream (GstVideoClassify *self, GstClockTime running_time)
{
  GstClockTime earliest;

  GST_OBJECT_LOCK (self);
  earliest = self->earliest_time;
  GST_OBJECT_UNLOCK (self);
  return GST_CLOCK_TIME_IS_VALID (earliest) && running_time <= earliest;
}

void
video_classify_take_latency (GstVideoClassify *self, GstQuery *query)
{
  gboolean is_live;
  GstClockTime min;

  gst_query_parse_latency (query, &is_live, &min, NULL);
  GST_OBJECT_LOCK (self);
  self->knows_latency = TRUE;
  self->is_live = is_live;
  self->upstream_latency = GST_CLOCK_TIME_IS_VALID (min) ? min : 0;
  GST_OBJECT_UNLOCK (self);
}

/* By how much the frame is later than the source need have sent it; FALSE where that is not
 * known or the stream is not live. */
static gboolean
get_lateness (GstVideoClassify *self, GstClockTime running_time, GstClockTimeDiff *late_by)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  gboolean knows_latency, is_live;
  GstClockTime base, latency;

  if (!clock)
    return FALSE;
  GST_OBJECT_LOCK (self);
  knows_latency = self->knows_latency;
  GST_OBJECT_UNLOCK (self);
  if (!knows_latency) { /* no pipeline has asked for it until now */
    GstQuery *query = gst_query_new_latency ();

    if (gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
      video_classify_take_latency (self, query);
    gst_query_unref (query);
  }
  GST_OBJECT_LOCK (self);
  self->knows_latency = TRUE; /* or unknown: it is not asked for with each frame */
  is_live = self->is_live && GST_STATE (self) == GST_STATE_PLAYING;
  base = GST_ELEMENT_CAST (self)->base_time;
  latency = self->upstream_latency;
  GST_OBJECT_UNLOCK (self);
  *late_by = GST_CLOCK_DIFF (base + running_time + latency, gst_clock_get_time (clock));
  return is_live;
}

/* Once in each run. */
static void
warn_of_lateness (GstVideoClassify *self)
{
  GstClockTime inference_time;

  GST_OBJECT_LOCK (self);
  inference_time = self->inference_time;
  GST_OBJECT_UNLOCK (self);
  GST_ELEMENT_WARNING (self, RESOURCE, BUSY,
      ("live frames come late: one takes %.0f ms to classify. Some are passed on with the result "
       "of an earlier one, so that the stream does not fall behind; mode=async, "
       "inference-interval, max-rate, fewer views (tta) or another device make that regular, "
       "skip-late=false classifies all",
          (double)inference_time / GST_MSECOND),
      (NULL));
}

/* The element's own clock says that a live stream has fallen behind. What leaves at once
 * (mode=async) does not. */
static gboolean
is_behind (GstVideoClassify *self, GstClockTime running_time)
{
  GstClockTimeDiff late_by;

  if (!self->is_async && get_lateness (self, running_time, &late_by)
      && lateness_is_behind (&self->lateness, running_time, late_by))
    self->behind_by = late_by;
  return self->behind_by > 0;
}

/* Whether the frame comes too late to be classified; for each frame. */
static gboolean
is_late (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  GstClockTime running_time;

  self->behind_by = 0;
  if (!settings->skip_late || !GST_BUFFER_PTS_IS_VALID (buffer)
      || segment->format != GST_FORMAT_TIME)
    return FALSE;
  running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (running_time))
    return FALSE;
  return is_behind (self, running_time) || is_late_downstream (self, running_time);
}

/* Counts a frame that is not classified because it is late. */
static void
skip_late (GstVideoClassify *self, GstBuffer *buffer)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  guint64 processed, dropped;
  gboolean is_live;

  GST_OBJECT_LOCK (self);
  processed = self->counts.classified;
  dropped = ++self->counts.late;
  is_live = self->is_live;
  GST_OBJECT_UNLOCK (self);
  if (self->behind_by > 0 && ++self->n_behind == BEHIND_IS_TOLD)
    warn_of_lateness (self);
  post_qos (self, buffer, is_live,
      gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer)), processed,
      dropped);
}

/* Whether the frame is to be classified; counts why not. */
static gboolean
is_due (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings)
{
  const gboolean late = is_late (self, buffer, settings);
  guint64 *reason = NULL;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP)) /* nothing to see: keep the last */
    reason = &self->counts.gaps;
  else if (self->until_next > 0 && --self->until_next > 0)
    reason = &self->counts.interval;
  else if (!pacer_is_due (&self->pacer, GST_BUFFER_PTS (buffer), settings->max_rate))
    reason = &self->counts.rate;
  if (reason) {
    GST_OBJECT_LOCK (self);
    ++*reason;
    GST_OBJECT_UNLOCK (self);
    return FALSE;
  }
  if (late && publisher_has_results (self->publisher)) {
    skip_late (self, buffer);
    self->until_next = 1; /* the next frame that is in time */
    return FALSE;
  }
  return TRUE;
}

/* As many views as there is time for until the next frame comes. */
static guint
choose_n_views (
    GstVideoClassify *self, const Settings *settings, GstBuffer *buffer, guint n_regions)
{
  const guint max = self->runtime->max_views;
  double period, view_time;

  GST_OBJECT_LOCK (self);
  view_time = self->view_time;
  GST_OBJECT_UNLOCK (self);
  if (!self->is_async || settings->min_views == 0 || settings->min_views >= max || view_time <= 0)
    return max;
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    period = (double)GST_BUFFER_DURATION (buffer);
  else if (GST_VIDEO_INFO_FPS_N (&self->info) > 0)
    period = (double)GST_SECOND * GST_VIDEO_INFO_FPS_D (&self->info)
             / GST_VIDEO_INFO_FPS_N (&self->info);
  else
    return max;
  period *= settings->interval;
  if (settings->max_rate > 0)
    period = MAX (period, GST_SECOND / settings->max_rate);
  return (guint)CLAMP (period / (view_time * n_regions), settings->min_views, max);
}

/* Of what the network is about to see, whoever has made it. */
static gboolean
make_thumbnail (const Task *task, Thumbnail *thumbnail, GError **error)
{
  const NnPreprocess *pre = nn_views_get_preprocess (task->runtime->views);
  const NnPack *pack = &task->job->pack;
  float means[G_N_ELEMENTS (thumbnail->cells)];

  if (pack->size == 0) {
    thumbnail_make (thumbnail, task->job->input, pre);
    return TRUE;
  }
  if (!nn_staging_thumbnail (pack->staging, pack, THUMBNAIL_SIZE, means, error))
    return FALSE;
  thumbnail_take (thumbnail, means, pre);
  return TRUE;
}

/* Whether the network would see what it saw last; marks the first frame of a scene. */
static gboolean
is_unchanged (GstVideoClassify *self, Task *task, const Settings *settings, GError **error)
{
  Thumbnail now;
  gboolean had, unchanged;

  task->is_cut = FALSE;
  if (!has_comparisons (settings)) {
    self->has_thumbnails = FALSE;
    return FALSE;
  }
  if (!make_thumbnail (task, &now, error))
    return FALSE;
  had = self->has_thumbnails;
  task->is_cut = had && settings->scene_cut > 0
                 && thumbnail_compare (&now, &self->before) > settings->scene_cut;
  unchanged = had && settings->change_threshold > 0
              && thumbnail_compare (&now, &self->classified) < settings->change_threshold;
  self->before = now;
  if (!unchanged)
    self->classified = now;
  self->has_thumbnails = TRUE;
  return unchanged;
}

/* --- one frame ------------------------------------------------------------------------ */

/* What the network is about to see of the frame. */
static void
dump (GstVideoClassify *self, const Task *task)
{
  const Runtime *runtime = task->runtime;
  g_autofree NnRect *rects = g_new (NnRect, task->n_regions);
  g_autofree char *element = nn_label_to_name (GST_OBJECT_NAME (self), FALSE);
  g_autofree char *name = g_strdup_printf (
      "%s.%s.frame-%06" G_GUINT64_FORMAT ".h5", element, self->dump_run, task->frame);
  g_autofree char *path = g_build_filename (self->dump_dir, name, NULL);
  const NnInputDump values = { .n_regions = task->n_regions,
    .n_views = task->n_views,
    .shape = *nn_model_get_input_shape (nn_views_get_network (runtime->views)),
    .values = task->job->input,
    .regions = rects,
    .model = (char *)runtime->model_name,
    .tta = self->options.tta,
    .pts = task->pts };
  g_autoptr (GError) error = NULL;

  for (guint r = 0; r < task->n_regions; r++)
    rects[r] = task->regions[r].rect;
  if (!nn_input_dump_write (&values, runtime->views, path, &error)) {
    GST_ELEMENT_WARNING (self, RESOURCE, WRITE,
        ("property \"dump-input\": %s; no more is dumped", error->message), (NULL));
    g_clear_pointer (&self->dump_dir, g_free);
  } else if (++self->n_dumped == self->max_dumped) {
    GST_INFO_OBJECT (self, "dump-input: %u files written, the limit", self->n_dumped);
    g_clear_pointer (&self->dump_dir, g_free);
  }
}

/* FALSE: the flow ends. */
static gboolean
classify (GstVideoClassify *self, GstBuffer *buffer, const Settings *settings,
    const Region *regions, guint n_regions)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  g_autoptr (GError) error = NULL;
  gboolean was_waiting, is_same;
  Task *task = runtime_take_task (self->runtime, &was_waiting);

  if (was_waiting || !task) {
    GST_OBJECT_LOCK (self);
    self->counts.dropped++;
    GST_OBJECT_UNLOCK (self);
  }
  if (!task)
    return TRUE; /* all are being run: this frame goes without */

  task->started = gst_util_get_timestamp ();
  task->frame = self->frame;
  task->visible = self->visible;
  task->orientation = self->image.orientation;
  task->generation = publisher_get_generation (self->publisher);
  task->pts = GST_BUFFER_PTS (buffer);
  task->duration = GST_BUFFER_DURATION (buffer);
  task->stream_time = task->running_time = GST_CLOCK_TIME_NONE;
  if (segment->format == GST_FORMAT_TIME) {
    task->stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, task->pts);
    task->running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, task->pts);
  }
  if (self->collector) {
    if (publisher_is_collection_due (self->publisher, task->pts, settings))
      task->picture = frame_share (buffer);
    task->info = self->info;
  }
  task->n_regions = n_regions;
  task->n_views = choose_n_views (self, settings, buffer, n_regions);
  memcpy (task->regions, regions, n_regions * sizeof *regions);
  if (!sample_frame (self, task, buffer, settings)) {
    gst_clear_buffer (&task->picture);
    task_release_frame (task);
    return FALSE;
  }
  task->sample_time = gst_util_get_timestamp () - task->started;
  is_same = is_unchanged (self, task, settings, &error);
  if (error) {
    video_classify_post_error (self, error);
    gst_clear_buffer (&task->picture);
    task_release_frame (task);
    return FALSE;
  }
  if (is_same && !was_waiting) {
    gst_clear_buffer (&task->picture);
    task_release_frame (task);
    GST_OBJECT_LOCK (self);
    self->counts.unchanged++;
    GST_OBJECT_UNLOCK (self);
    return TRUE;
  }
  pacer_take (&self->pacer, task->pts, settings->max_rate);
  if (self->dump_dir)
    dump (self, task);
  if (self->is_async) {
    engine_job_submit (task->job);
    return TRUE;
  }
  engine_job_run (task->job);
  video_classify_finish_task (self, task);
  return task->job->error == NULL;
}

static gboolean
has_failed (GstVideoClassify *self)
{
  gboolean failed;

  GST_OBJECT_LOCK (self);
  failed = self->has_failed;
  GST_OBJECT_UNLOCK (self);
  return failed;
}

GstFlowReturn
video_classify_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  Settings settings;
  Region *regions;
  guint n_regions;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  self->counts.frames++;
  GST_OBJECT_UNLOCK (self);
  self->frame++;
  if (has_failed (self)) /* in the engine's thread, which has told why */
    return GST_FLOW_ERROR;
  video_classify_exchange_runtime (self);
  video_classify_begin_frame_text (self, buffer);

  find_picture (self, buffer, &settings);
  regions = g_newa (Region, self->options.max_regions);
  n_regions = find_regions (self, buffer, &settings, regions);
  if (is_due (self, buffer, &settings)) {
    if (n_regions == 0) {
      GST_OBJECT_LOCK (self);
      self->counts.outside++;
      GST_OBJECT_UNLOCK (self);
    } else if (!classify (self, buffer, &settings, regions, n_regions)) {
      return GST_FLOW_ERROR;
    }
    self->until_next = settings.interval > 1 ? settings.interval : 0;
  }
  publisher_attach (self->publisher, buffer, self->frame, regions, n_regions);
  video_classify_end_frame_text (self, buffer, &settings);
  return GST_FLOW_OK;
}
