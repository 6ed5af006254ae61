/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-videoclassify
 * @title: videoclassify
 * @short_description: classifies video frames with a trained network
 *
 * Gives every frame the labels and probabilities of an image classifier: a
 * Keras model file (HDF5), or one that the command `classify train` wrote. The
 * frames pass through untouched, in whatever raw format they have; the
 * pre-processing is the one stored in the model file. With `device=cuda` frames in
 * `memory:CUDAMemory`, from nvh264dec or cudaupload, stay on the device.
 *
 * Results are on every buffer as the custom meta `GstVideoClassifyMeta`, on the
 * bus as element messages named `videoclassify`, in the signal
 * #GstVideoClassify::classified and in the properties `label` and
 * `probability`. The structure of message and signal has the fields label
 * (string), index (int), probability (double), labels and probabilities
 * (arrays, best first), timestamp, stream-time, running-time, duration,
 * inference-time (uint64, ns), views (uint), device and model (string).
 *
 * With `mode=sync`, the default, a frame leaves with its own result. When the
 * frames of a live pipeline come faster than they can be classified the element
 * finds that by the clock, elsewhere downstream says so (QoS; of GstBaseSink's
 * elements those that show video do), and it skips the classification of late
 * frames, never the frames: these carry the last result with its age. With
 * `mode=async` frames leave at once and the newest one is classified beside; each
 * carries the newest result with its age (fields age, in frames, and age-time).
 *
 * The whole frame is classified, or the part of it in #GstVideoClassify:crop, or
 * each region that a detector attached (#GstVideoClassify:inference-region): then
 * a buffer has a meta for each region, with the fields x, y, width, height, region
 * (id of the GstVideoRegionOfInterestMeta) and region-label, and the region's meta
 * gets a structure `classification` with label and confidence.
 *
 * Frames of any raw format are read: those of README's list where they lie, others unpacked.
 * Phones film upright with the sensor on its side and say so in the tag `image-orientation`:
 * the network sees the frames turned by it, or by #GstVideoClassify:video-direction, the frames
 * stay as they are. #GstVideoClassify:crop, regions and the places in results and heat maps are in
 * pixels of the frames as they are; collected pictures are turned. An element in front that turns
 * the frames, as videoflip does, has obeyed the tag. jpegdec does not tell the orientation of a
 * JPEG, jpegparse before it does.
 *
 * The request pad `text` gives the results as timed text (`text/x-raw`: for
 * subtitles in a file, or with `text-cues=frames` for textoverlay) or as lines of
 * JSON (`application/x-json`), whichever is linked behind it. Sinks behind it want
 * `async=false` where the video's sink has it too.
 *
 * Elements of one process that name the same model and have the same `batch-size`
 * above 1 share one engine, which gathers the frames of all streams into batches.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -m filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 ! fakesink
 * ]| Prints a message each time the label changes.
 * |[
 * gst-launch-1.0 v4l2src ! videoclassify model=cats-dogs.h5 mode=async tta=flip \
 *   smoothing=exponential hysteresis=0.1 ! videoconvert ! autovideosink
 * ]| A camera that never waits: labels are steady, the mean of each frame and its mirror image.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify name=c model=cats-dogs.h5 text-cues=frames ! queue ! t.video_sink \
 *   c.text ! queue ! t.text_sink textoverlay name=t ! videoconvert ! autovideosink
 * ]| Writes the labels on the video.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 explain=cam explain-interval=200000000 ! \
 *   classifyoverlay ! videoconvert ! autovideosink
 * ]| Shows what in the picture speaks for its label, five times a second.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify name=c model=cats-dogs.h5 ! fakesink \
 *   c.text ! application/x-json ! filesink location=labels.jsonl
 * ]| Writes a line of JSON for each frame.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify model=cats-dogs.h5 collect=unsure collect-max=0.7 ! fakesink
 * ]| Writes a frame a second, of those that the model is unsure of, to unsure/cat and unsure/dog.
 * |[
 * gst-launch-1.0 filesrc location=cats.mp4 ! decodebin ! \
 *   videoclassify name=c model=cats-dogs.h5 smoothing=exponential hysteresis=0.05 ! \
 *   videoconvert ! x264enc ! queue ! mux. \
 *   c.text ! queue ! mux. matroskamux name=mux ! filesink location=labelled.mkv
 * ]| Subtitles: the queues hold the video of a cue until it is known
 * (#GstVideoClassify:text-max-duration).
 *
 * Since: 0.1
 */

#include "gst/videoclassify-private.h"

#include <errno.h>

#include "gst/cuda-memory.h"
#include "gst/formats.h"

GST_DEBUG_CATEGORY (video_classify_debug);

G_DEFINE_TYPE (GstVideoClassify, gst_video_classify, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (videoclassify, "videoclassify", GST_RANK_NONE, GST_TYPE_VIDEO_CLASSIFY)

/* --- start and stop -------------------------------------------------------------- */

static void
forget_stream (GstVideoClassify *self)
{
  gboolean was_waiting;

  if (self->runtime && self->is_async)
    runtime_take_task (self->runtime, &was_waiting);
  publisher_forget (self->publisher);
  captioner_reset (self->captioner, publisher_get_generation (self->publisher));
  self->until_next = 0;
  pacer_reset (&self->pacer);
  lateness_reset (&self->lateness);
  self->last_explained = GST_CLOCK_TIME_NONE;
  self->has_thumbnails = FALSE;
  GST_OBJECT_LOCK (self);
  self->earliest_time = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_video_classify_stop (GstBaseTransform *trans)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  Collector *collector;
  Runtime *runtime;

  loader_stop (self->loader);
  GST_OBJECT_LOCK (self);
  runtime = g_steal_pointer (&self->runtime);
  self->is_running = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (runtime)
    runtime_free (runtime); /* its thread reports to this element until here */
  GST_OBJECT_LOCK (self);
  collector = g_steal_pointer (&self->collector);
  GST_OBJECT_UNLOCK (self);
  if (collector)
    collector_free (collector);
  forget_stream (self);
  orientation_tags_clear (&self->orientation_tags);
  self->told_orientation = NN_ORIENTATION_IDENTITY;
  g_clear_pointer (&self->dump_dir, g_free);
  g_clear_pointer (&self->dump_run, g_free);
  g_clear_pointer (&self->roi_label_list, g_strfreev);
  g_free ((char *)g_steal_pointer (&self->options.device));
  g_clear_object (&self->options.context.owner);
  self->options.context.handle = NULL;
  g_clear_object (&self->pool);
  return TRUE;
}

static void
collector_failed (const char *message, gpointer element)
{
  GST_ELEMENT_WARNING (element, RESOURCE, WRITE, ("property \"collect\": %s", message), (NULL));
}

static void
start_collector (GstVideoClassify *self)
{
  static const char *const formats[] = { "image/jpeg", "image/png" };
  g_autofree char *directory = NULL;
  g_autoptr (GError) error = NULL;
  CollectorOptions options;
  Collector *collector;

  GST_OBJECT_LOCK (self);
  directory = g_strdup (self->collect);
  options = (CollectorOptions){ .directory = directory,
    .flat = self->collect_layout == COLLECT_FLAT,
    .format = formats[self->collect_format] };
  GST_OBJECT_UNLOCK (self);
  if (!directory || !*directory)
    return;
  collector = collector_new (&options, collector_failed, self, &error);
  if (!collector)
    collector_failed (error->message, self);
  GST_OBJECT_LOCK (self);
  self->collector = collector;
  GST_OBJECT_UNLOCK (self);
}

static void
start_dump (GstVideoClassify *self)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *dir = NULL, *stamp = g_date_time_format (now, "%Y%m%d-%H%M%S");

  GST_OBJECT_LOCK (self);
  dir = g_strdup (self->dump_input);
  self->max_dumped = self->dump_limit;
  GST_OBJECT_UNLOCK (self);
  self->n_dumped = 0;
  if (!dir || !*dir)
    return;
  g_free (self->dump_run);
  self->dump_run = g_strdup_printf ("%s-%04x", stamp, g_random_int_range (0, 0x10000));
  if (g_mkdir_with_parents (dir, 0777) == 0)
    self->dump_dir = g_steal_pointer (&dir);
  else
    GST_ELEMENT_WARNING (self, RESOURCE, OPEN_WRITE,
        ("property \"dump-input\": %s: cannot be made: %s", dir, g_strerror (errno)), (NULL));
}

static gboolean
gst_video_classify_start (GstBaseTransform *trans)
{
  static const NnPrecision precisions[] = { NN_PRECISION_AUTO, NN_PRECISION_FP32, NN_PRECISION_TF32,
    NN_PRECISION_FP16, NN_PRECISION_BF16 };
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  g_autoptr (GError) error = NULL;
  Runtime *runtime;

  if (!video_classify_check_properties (self))
    return FALSE;
  GST_OBJECT_LOCK (self);
  self->is_running = TRUE;
  self->told_late = 0;
  self->settings.region = self->region;
  self->is_async = self->mode == MODE_ASYNC;
  self->options = (RuntimeOptions){
    .device = g_strdup (self->device),
    .precision = precisions[self->precision],
    .threads = self->threads,
    .tta = self->tta,
    .max_regions = self->settings.region == REGION_ROI_LIST ? self->max_regions : 1,
    .batch = self->batch_size,
    .batch_timeout = self->batch_timeout,
    .is_async = self->is_async,
    .explain = self->explain == EXPLAIN_CAM,
  };
  self->roi_label_list = self->roi_labels ? g_strsplit (self->roi_labels, ",", -1) : NULL;
  for (char **label = self->roi_label_list; label && *label; label++)
    g_strstrip (*label);
  self->counts = (Counts){ 0 };
  self->stats.n = 0;
  self->view_time = 0;
  self->inference_time = self->reported_latency = 0;
  self->label = NULL;
  self->probability = 0;
  self->has_failed = self->has_told_numbers = self->knows_latency = self->is_live = FALSE;
  self->upstream_latency = 0;
  self->n_behind = 0;
  GST_OBJECT_UNLOCK (self);
  self->frame = 0;
  self->outside.is_set = FALSE;

  self->pool
      = self->options.batch > 1 ? video_classify_find_pool (self) : engine_pool_get_default ();
  video_classify_find_cuda_context (self, &self->options.context);
  if (self->options.context.handle)
    GST_INFO_OBJECT (
        self, "in the pipeline's CUDA context, on device %u", self->options.context.index);
  runtime = loader_start (self->loader, &error);
  if (!runtime) {
    video_classify_post_error (self, error);
    gst_video_classify_stop (trans);
    return FALSE;
  }
  GST_OBJECT_LOCK (self);
  self->runtime = runtime;
  GST_OBJECT_UNLOCK (self);
  start_collector (self);
  start_dump (self);
  publisher_prepare (self->publisher, runtime->n_classes);
  forget_stream (self);
  captioner_start (self->captioner);
  return TRUE;
}

static void
gst_video_classify_set_context (GstElement *element, GstContext *context)
{
  if (context)
    video_classify_take_context (GST_VIDEO_CLASSIFY (element), context);
  GST_ELEMENT_CLASS (gst_video_classify_parent_class)->set_context (element, context);
}

static GstStateChangeReturn
gst_video_classify_change_state (GstElement *element, GstStateChange transition)
{
  /* before the elements upstream look for one: states change from the sinks on */
  if (transition == GST_STATE_CHANGE_NULL_TO_READY)
    video_classify_share_cuda_context (GST_VIDEO_CLASSIFY (element));
  return GST_ELEMENT_CLASS (gst_video_classify_parent_class)->change_state (element, transition);
}

/* --- negotiation ----------------------------------------------------------------- */

static gboolean
gst_video_classify_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);

  g_autofree char *refusal = gst_video_classify_refuse_caps (incaps);

  if (refusal) {
    GST_ELEMENT_ERROR (
        self, STREAM, FORMAT, ("%s", refusal), ("caps %" GST_PTR_FORMAT, incaps));
    return FALSE;
  }
  GST_DEBUG_OBJECT (self, "caps %" GST_PTR_FORMAT, incaps);
  gst_video_info_from_caps (&self->info, incaps);
  self->picture = (NnRect){ 0 }; /* of the first frame */
  self->is_cuda_memory = cuda_memory_is_in_caps (incaps);
  self->format++;
  return TRUE;
}

static gboolean
gst_video_classify_propose_allocation (GstBaseTransform *trans, GstQuery *decide, GstQuery *query)
{
  if (!GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)
           ->propose_allocation (trans, decide, query))
    return FALSE;
  /* the buffers go on downstream: layouts and crops are for it to accept or not */
  if (!gst_query_find_allocation_meta (query, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE, NULL))
    gst_query_add_allocation_meta (query, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE, NULL);
  return TRUE;
}

/* Without caps the base class returns an error that nobody tells about. */
static GstFlowReturn
gst_video_classify_submit_input_buffer (
    GstBaseTransform *trans, gboolean is_discont, GstBuffer *buffer)
{
  if (!gst_pad_has_current_caps (GST_BASE_TRANSFORM_SINK_PAD (trans))) {
    GST_ELEMENT_ERROR (trans, STREAM, FORMAT,
        ("data without caps, as of a file that was not decoded: put decodebin in front"), (NULL));
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  return GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)
      ->submit_input_buffer (trans, is_discont, buffer);
}

/* --- events and queries ------------------------------------------------------------- */

/* Waits for what is on its way: its results come before what follows. */
static void
drain (GstVideoClassify *self)
{
  if (self->runtime && self->is_async)
    engine_client_wait (self->runtime->client);
}

static void
take_orientation (GstVideoClassify *self, GstEvent *event)
{
  const GstEventType type = GST_EVENT_TYPE (event);

  if (type != GST_EVENT_TAG && type != GST_EVENT_STREAM_START && type != GST_EVENT_CAPS)
    return;
  orientation_tags_take (&self->orientation_tags, event);
  self->told_orientation = orientation_tags_get (&self->orientation_tags);
  if (self->told_orientation != NN_ORIENTATION_IDENTITY
      && orientation_is_done_before (GST_BASE_TRANSFORM_SINK_PAD (self))) {
    GST_DEBUG_OBJECT (self, "an element in front turns the frames: the tag has been obeyed");
    self->told_orientation = NN_ORIENTATION_IDENTITY;
  }
}

static gboolean
gst_video_classify_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  GstClassifyTextPad *pad = video_classify_get_text_pad (self);
  const GstSegment *segment;
  GstClockTime position;
  gboolean reset_time;

  if (GST_EVENT_IS_SERIALIZED (event))
    take_orientation (self, event);
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      if (pad)
        gst_classify_text_pad_flush_start (pad);
      break;
    case GST_EVENT_FLUSH_STOP:
      forget_stream (self);
      gst_event_parse_flush_stop (event, &reset_time);
      if (pad)
        gst_classify_text_pad_flush_stop (pad, reset_time);
      break;
    case GST_EVENT_STREAM_START:
      drain (self);
      captioner_finish (self->captioner, pad);
      forget_stream (self);
      if (pad)
        gst_classify_text_pad_new_stream (pad);
      break;
    case GST_EVENT_SEGMENT:
      drain (self);
      captioner_finish (self->captioner, pad);
      forget_stream (self);
      gst_event_parse_segment (event, &segment);
      if (pad && segment->format == GST_FORMAT_TIME)
        gst_classify_text_pad_set_segment (pad, segment);
      break;
    case GST_EVENT_GAP:
      gst_event_parse_gap (event, &position, NULL);
      if (pad) {
        drain (self);
        captioner_finish (self->captioner, pad);
        gst_classify_text_pad_advance (pad, position, 0);
      }
      break;
    case GST_EVENT_EOS:
      drain (self);
      captioner_finish (self->captioner, pad);
      if (pad)
        gst_classify_text_pad_eos (pad);
      break;
    default:
      break;
  }
  gst_clear_object (&pad);
  return GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->sink_event (trans, event);
}

static gboolean
gst_video_classify_src_event (GstBaseTransform *trans, GstEvent *event)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);

  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS) {
    GstQOSType type;
    GstClockTimeDiff diff;
    GstClockTime timestamp;

    gst_event_parse_qos (event, &type, NULL, &diff, &timestamp);
    if (GST_CLOCK_TIME_IS_VALID (timestamp)) {
      GST_OBJECT_LOCK (self);
      /* twice the lateness, to catch up and not only to keep the distance */
      if (diff > 0)
        self->earliest_time = timestamp + 2 * (GstClockTime)diff;
      else
        self->earliest_time = GST_CLOCK_TIME_NONE;
      GST_OBJECT_UNLOCK (self);
    }
    /* not to the base class: it would drop whole frames if its QoS was enabled */
    return gst_pad_push_event (GST_BASE_TRANSFORM_SINK_PAD (trans), event);
  }
  if (GST_EVENT_TYPE (event) == GST_EVENT_SEEK) {
    GstClassifyTextPad *pad = video_classify_get_text_pad (self);
    const gboolean is_second = pad && gst_classify_text_pad_is_second_seek (pad, event, FALSE);

    gst_clear_object (&pad);
    if (is_second) {
      gst_event_unref (event);
      return TRUE;
    }
  }
  return GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->src_event (trans, event);
}

/* An upstream that says what it can make is asked for what is read best. */
static void
choose_caps (GstQuery *query)
{
  GstCaps *filter, *caps;

  gst_query_parse_caps (query, &filter);
  gst_query_parse_caps_result (query, &caps);
  if (!filter || !caps || gst_caps_is_any (caps))
    return;
  caps = gst_video_classify_choose_caps (caps);
  gst_query_set_caps_result (query, caps);
  gst_caps_unref (caps);
}

static gboolean
gst_video_classify_query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (trans);
  gboolean is_live, ok;
  GstClockTime min, max, own;

  if (GST_QUERY_TYPE (query) == GST_QUERY_CONTEXT && video_classify_answer_context (self, query))
    return TRUE;
  ok = GST_BASE_TRANSFORM_CLASS (gst_video_classify_parent_class)->query (trans, direction, query);
  if (ok && direction == GST_PAD_SINK && GST_QUERY_TYPE (query) == GST_QUERY_CAPS)
    choose_caps (query);
  if (!ok || direction != GST_PAD_SRC || GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return ok;
  video_classify_take_latency (self, query);
  GST_OBJECT_LOCK (self);
  own = self->report_latency ? self->reported_latency : 0;
  GST_OBJECT_UNLOCK (self);
  if (own > 0) {
    gst_query_parse_latency (query, &is_live, &min, &max);
    min += own;
    if (GST_CLOCK_TIME_IS_VALID (max))
      max += own;
    gst_query_set_latency (query, is_live, min, max);
  }
  return TRUE;
}

/* --- pads ------------------------------------------------------------------------ */

/* In the text pad's task. */
static void
text_stalled (GstClassifyTextPad *pad, GstElement *element)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (element);
  gboolean is_playing;

  GST_OBJECT_LOCK (self);
  is_playing = GST_STATE (self) == GST_STATE_PLAYING
               && GST_STATE_PENDING (self) == GST_STATE_VOID_PENDING;
  GST_OBJECT_UNLOCK (self);
  GST_DEBUG_OBJECT (self, "no frame comes: downstream may wait for text");
  captioner_unblock (self->captioner, pad, is_playing);
}

static GstPad *
gst_video_classify_request_new_pad (
    GstElement *element, GstPadTemplate *templ, const gchar *name, const GstCaps *caps)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (element);
  GstPad *pad = gst_classify_text_pad_new (templ, "text", text_stalled);
  gboolean is_second;

  GST_OBJECT_LOCK (self);
  is_second = self->text_pad != NULL;
  if (!is_second)
    self->text_pad = GST_CLASSIFY_TEXT_PAD (gst_object_ref (pad));
  GST_OBJECT_UNLOCK (self);
  if (is_second) {
    GST_WARNING_OBJECT (self, "there is one text pad already: put a tee behind it");
    gst_object_unref (gst_object_ref_sink (pad));
    return NULL;
  }
  gst_element_add_pad (element, pad);
  return pad;
}

static void
gst_video_classify_release_pad (GstElement *element, GstPad *pad)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (element);
  GstClassifyTextPad *text_pad = NULL;

  GST_OBJECT_LOCK (self);
  if (GST_PAD (self->text_pad) == pad)
    text_pad = g_steal_pointer (&self->text_pad);
  GST_OBJECT_UNLOCK (self);
  gst_clear_object (&text_pad);
  gst_pad_set_active (pad, FALSE);
  gst_element_remove_pad (element, pad);
}

/* --- class ----------------------------------------------------------------------- */

static void
gst_video_classify_finalize (GObject *object)
{
  GstVideoClassify *self = GST_VIDEO_CLASSIFY (object);

  loader_free (self->loader);
  video_classify_clear_properties (self);
  g_clear_object (&self->context_pool);
  gst_clear_object (&self->text_pad);
  publisher_free (self->publisher);
  captioner_free (self->captioner);
  G_OBJECT_CLASS (gst_video_classify_parent_class)->finalize (object);
}

static void
gst_video_classify_init (GstVideoClassify *self)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);

  video_classify_init_properties (self);
  self->publisher = publisher_new ();
  self->captioner = captioner_new ();
  self->earliest_time = self->last_explained = GST_CLOCK_TIME_NONE;
  self->loader = video_classify_new_loader (self);
  gst_base_transform_set_in_place (trans, TRUE);
}

static void
gst_video_classify_class_init (GstVideoClassifyClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  GstCaps *caps = gst_video_classify_make_caps ();

  GST_DEBUG_CATEGORY_INIT (video_classify_debug, "videoclassify", 0, "video classifier");
  g_type_ensure (ENGINE_TYPE_POOL); /* for who makes one by its name */
  object_class->finalize = gst_video_classify_finalize;
  video_classify_install_properties (object_class);
  video_classify_install_signals (object_class);

  gst_element_class_set_static_metadata (element_class, "Video classifier", "Filter/Analyzer/Video",
      "Labels video frames with a network trained in Keras or by the command classify",
      "the classify authors");
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_caps_unref (caps);
  caps = gst_caps_from_string ("text/x-raw, format=(string)utf8; application/x-json");
  gst_element_class_add_pad_template (
      element_class, gst_pad_template_new ("text", GST_PAD_SRC, GST_PAD_REQUEST, caps));
  gst_caps_unref (caps);

  element_class->change_state = GST_DEBUG_FUNCPTR (gst_video_classify_change_state);
  element_class->set_context = GST_DEBUG_FUNCPTR (gst_video_classify_set_context);
  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_video_classify_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_video_classify_release_pad);
  trans_class->start = GST_DEBUG_FUNCPTR (gst_video_classify_start);
  trans_class->stop = GST_DEBUG_FUNCPTR (gst_video_classify_stop);
  trans_class->submit_input_buffer = GST_DEBUG_FUNCPTR (gst_video_classify_submit_input_buffer);
  trans_class->set_caps = GST_DEBUG_FUNCPTR (gst_video_classify_set_caps);
  trans_class->propose_allocation = GST_DEBUG_FUNCPTR (gst_video_classify_propose_allocation);
  trans_class->sink_event = GST_DEBUG_FUNCPTR (gst_video_classify_sink_event);
  trans_class->src_event = GST_DEBUG_FUNCPTR (gst_video_classify_src_event);
  trans_class->query = GST_DEBUG_FUNCPTR (gst_video_classify_query);
  trans_class->transform_ip = GST_DEBUG_FUNCPTR (video_classify_transform_ip);
  trans_class->transform_ip_on_passthrough = FALSE;
}
