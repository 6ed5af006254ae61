/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/textpad.h"

#define MAX_DEPTH 32 /* of elements that are looked at downstream */

struct _GstClassifyTextPad {
  GstPad parent;

  GstClassifyTextPadStalled stalled;

  /* under the lock; nothing is called with it held */
  GMutex lock;
  GCond cond;
  GQueue items; /* GstEvent, GstBuffer */
  gboolean is_flushing;
  gboolean is_started, is_json, is_joined, has_segment;
  GstCaps *caps;         /* the last that were queued */
  GstClockTime position; /* of the last item */
  gint64 stalled_at;     /* monotonic time, 0: nothing is waited for */
  guint32 seek;          /* sequence number of the last one */
  gboolean is_own_seek;
  guint64 n_dropped;

  /* the task's */
  GstFlowReturn flow;
  gboolean was_told; /* of an error of this stream */
};

G_DEFINE_TYPE (GstClassifyTextPad, gst_classify_text_pad, GST_TYPE_PAD)

/* --- queue ---------------------------------------------------------------------------- */

static gboolean
is_event (gconstpointer object, GstEventType type)
{
  return object && GST_IS_EVENT (object) && GST_EVENT_TYPE (object) == type;
}

/* Under the lock. A gap that follows another one becomes one with it. */
static GstEvent *
merge_gaps (GstClassifyTextPad *self, GstEvent *event)
{
  GstClockTime last, last_duration, position, duration;
  GstEvent *tail = g_queue_peek_tail (&self->items);

  if (!is_event (tail, GST_EVENT_GAP))
    return event;
  gst_event_parse_gap (tail, &last, &last_duration);
  gst_event_parse_gap (event, &position, &duration);
  if (!GST_CLOCK_TIME_IS_VALID (last_duration) || !GST_CLOCK_TIME_IS_VALID (duration)
      || position < last)
    return event;
  gst_event_unref (g_queue_pop_tail (&self->items));
  gst_event_unref (event);
  return gst_event_new_gap (last, MAX (position + duration, last + last_duration) - last);
}

/* Under the lock, with a queue that is full: drops what the data after @event does not need. */
static void
make_room (GstClassifyTextPad *self, GstEvent *event)
{
  const GstEventType type = GST_EVENT_TYPE (event);
  gpointer tail;

  while ((tail = g_queue_peek_tail (&self->items)) && GST_IS_EVENT (tail)
         && (type == GST_EVENT_STREAM_START || type == GST_EVENT_TYPE (tail)
             || (type == GST_EVENT_SEGMENT && GST_EVENT_TYPE (tail) == GST_EVENT_GAP)))
    gst_event_unref (g_queue_pop_tail (&self->items));
}

/* Under the lock. @object: (transfer full); FALSE: it was dropped */
static gboolean
enqueue (GstClassifyTextPad *self, gpointer object)
{
  const gboolean is_full = self->items.length >= TEXT_PAD_MAX_ITEMS;

  if (is_event (object, GST_EVENT_GAP) && !self->is_flushing)
    object = merge_gaps (self, object);
  else if (is_full && GST_IS_EVENT (object) && !self->is_flushing)
    make_room (self, object);
  if (self->is_flushing
      || (self->items.length >= TEXT_PAD_MAX_ITEMS
          && (GST_IS_BUFFER (object) || is_event (object, GST_EVENT_GAP)))) {
    gst_mini_object_unref (object);
    return FALSE;
  }
  g_queue_push_tail (&self->items, object);
  g_cond_signal (&self->cond);
  return TRUE;
}

/* Under the lock. */
static void
clear (GstClassifyTextPad *self)
{
  gpointer object;

  while ((object = g_queue_pop_head (&self->items)))
    gst_mini_object_unref (object);
}

static void
set_flushing (GstClassifyTextPad *self, gboolean flushing)
{
  g_mutex_lock (&self->lock);
  self->is_flushing = flushing;
  self->stalled_at = 0;
  if (flushing)
    clear (self);
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

/* The next item (transfer full); NULL: flushing, or with *@is_stalled. */
static gpointer
dequeue (GstClassifyTextPad *self, gboolean *is_stalled)
{
  gpointer object = NULL;

  *is_stalled = FALSE;
  g_mutex_lock (&self->lock);
  while (!self->is_flushing && !(object = g_queue_pop_head (&self->items)) && !*is_stalled) {
    const gint64 until = self->stalled_at;

    if (until == 0)
      g_cond_wait (&self->cond, &self->lock);
    else if (!g_cond_wait_until (&self->cond, &self->lock, until) && self->stalled_at == until) {
      self->stalled_at = 0;
      *is_stalled = TRUE;
    }
  }
  g_mutex_unlock (&self->lock);
  return object;
}

/* --- task ----------------------------------------------------------------------------- */

static void
tell_error (GstClassifyTextPad *self)
{
  GstElement *element = gst_pad_get_parent_element (GST_PAD (self));
  GstCaps *caps = gst_pad_get_current_caps (GST_PAD (self));
  g_autofree char *what = caps ? gst_caps_to_string (caps) : g_strdup ("text");

  if (element && self->flow == GST_FLOW_NOT_NEGOTIATED)
    GST_ELEMENT_WARNING (element, STREAM, FORMAT,
        ("pad \"%s\": what is linked behind it does not take %s; no text is sent, the video goes "
         "on",
            GST_PAD_NAME (self), what),
        (NULL));
  else if (element)
    GST_ELEMENT_WARNING (element, STREAM, FAILED,
        ("pad \"%s\": what is linked behind it has failed (%s); no text is sent, the video goes on",
            GST_PAD_NAME (self), gst_flow_get_name (self->flow)),
        (NULL));
  gst_clear_caps (&caps);
  gst_clear_object (&element);
}

/* Whether a push after one with this result may go well. */
static gboolean
is_passing (GstFlowReturn flow)
{
  return flow == GST_FLOW_OK || flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_FLUSHING;
}

static void
push_event (GstClassifyTextPad *self, GstEvent *event)
{
  const GstEventType type = GST_EVENT_TYPE (event);

  if (type == GST_EVENT_STREAM_START || type == GST_EVENT_CAPS)
    self->flow = GST_FLOW_OK;
  if (type == GST_EVENT_STREAM_START)
    self->was_told = FALSE;
  gst_pad_push_event (GST_PAD (self), event);
}

static void
push_buffer (GstClassifyTextPad *self, GstBuffer *buffer)
{
  if (!is_passing (self->flow)) { /* the video goes on without */
    gst_buffer_unref (buffer);
    return;
  }
  self->flow = gst_pad_push (GST_PAD (self), buffer);
  if (self->flow == GST_FLOW_OK)
    return;
  GST_DEBUG_OBJECT (self, "downstream returned %s", gst_flow_get_name (self->flow));
  if (!is_passing (self->flow) && self->flow != GST_FLOW_EOS && !self->was_told) {
    self->was_told = TRUE;
    tell_error (self);
  }
}

static void
push_items (gpointer user_data)
{
  GstClassifyTextPad *self = user_data;
  gboolean is_stalled;
  gpointer object = dequeue (self, &is_stalled);

  if (!object && is_stalled) {
    GstElement *element = gst_pad_get_parent_element (GST_PAD (self));

    if (element && self->stalled)
      self->stalled (self, element);
    gst_clear_object (&element);
  } else if (!object) {
    gst_pad_pause_task (GST_PAD (self));
  } else if (GST_IS_EVENT (object)) {
    push_event (self, object);
  } else {
    push_buffer (self, object);
  }
}

/* --- the pad -------------------------------------------------------------------------- */

/* Under the lock. */
static void
forget_stream (GstClassifyTextPad *self)
{
  self->is_started = self->has_segment = FALSE;
  self->position = GST_CLOCK_TIME_NONE;
  self->stalled_at = 0;
}

static gboolean
activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstClassifyTextPad *self = GST_CLASSIFY_TEXT_PAD (pad);

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  if (active) {
    self->flow = GST_FLOW_OK;
    self->was_told = FALSE;
    g_mutex_lock (&self->lock);
    forget_stream (self);
    g_mutex_unlock (&self->lock);
    set_flushing (self, FALSE);
    return gst_pad_start_task (pad, push_items, self, NULL);
  }
  set_flushing (self, TRUE);
  return gst_pad_stop_task (pad);
}

/* What a sink behind this pad says of its own data is not about the video. */
static gboolean
handle_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_QOS:
    case GST_EVENT_RECONFIGURE: /* the pad's flag is set already */
      gst_event_unref (event);
      return TRUE;
    case GST_EVENT_SEEK:
      if (gst_classify_text_pad_is_second_seek (GST_CLASSIFY_TEXT_PAD (pad), event, TRUE)) {
        gst_event_unref (event);
        return TRUE;
      }
      break;
    default:
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

/* The latency is that of the video. */
static gboolean
handle_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstPad *src;
  gboolean ok;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY || !GST_IS_ELEMENT (parent)
      || !(src = gst_element_get_static_pad (GST_ELEMENT (parent), "src")))
    return gst_pad_query_default (pad, parent, query);
  ok = gst_pad_query (src, query);
  gst_object_unref (src);
  return ok;
}

static void
gst_classify_text_pad_finalize (GObject *object)
{
  GstClassifyTextPad *self = GST_CLASSIFY_TEXT_PAD (object);

  clear (self);
  gst_clear_caps (&self->caps);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  G_OBJECT_CLASS (gst_classify_text_pad_parent_class)->finalize (object);
}

static void
gst_classify_text_pad_class_init (GstClassifyTextPadClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_classify_text_pad_finalize;
}

static void
gst_classify_text_pad_init (GstClassifyTextPad *self)
{
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  g_queue_init (&self->items);
  self->is_flushing = TRUE; /* until it is active */
  self->position = GST_CLOCK_TIME_NONE;
  self->seek = GST_SEQNUM_INVALID;
}

GstPad *
gst_classify_text_pad_new (
    GstPadTemplate *templ, const char *name, GstClassifyTextPadStalled stalled)
{
  GstPad *pad = g_object_new (
      GST_TYPE_CLASSIFY_TEXT_PAD, "name", name, "direction", GST_PAD_SRC, "template", templ, NULL);

  GST_CLASSIFY_TEXT_PAD (pad)->stalled = stalled;
  gst_pad_set_activatemode_function (pad, activate_mode);
  gst_pad_set_event_function (pad, handle_event);
  gst_pad_set_query_function (pad, handle_query);
  gst_pad_use_fixed_caps (pad);
  return pad;
}

/* --- what every stream begins with -------------------------------------------------------- */

/* what downstream likes of the template, its first where it takes anything */
static GstCaps *
choose_caps (GstClassifyTextPad *self)
{
  GstCaps *templ = gst_pad_get_pad_template_caps (GST_PAD (self));
  GstCaps *peer = gst_pad_peer_query_caps (GST_PAD (self), templ);
  GstCaps *caps = gst_caps_intersect_full (peer, templ, GST_CAPS_INTERSECT_FIRST);

  gst_caps_unref (peer);
  if (gst_caps_is_empty (caps)) { /* linking said otherwise: downstream will refuse it itself */
    gst_caps_unref (caps);
    caps = gst_caps_ref (templ);
  }
  gst_caps_unref (templ);
  return gst_caps_fixate (caps);
}

static gboolean
takes_several (GstElement *element)
{
  gboolean several;

  for (const GList *l = gst_element_class_get_pad_template_list (GST_ELEMENT_GET_CLASS (element));
       l; l = l->next) {
    const GstPadTemplate *templ = l->data;

    if (templ->direction == GST_PAD_SINK && templ->presence == GST_PAD_REQUEST)
      return TRUE;
  }
  GST_OBJECT_LOCK (element);
  several = element->numsinkpads > 1;
  GST_OBJECT_UNLOCK (element);
  return several;
}

static gboolean leads_to_others (GstPad *src, guint depth);

static gboolean
fold_leads_to_others (const GValue *item, GValue *found, gpointer depth)
{
  if (leads_to_others (g_value_get_object (item), GPOINTER_TO_UINT (depth)))
    g_value_set_boolean (found, TRUE);
  return !g_value_get_boolean (found);
}

/* Whether an element downstream of @src has further inputs. */
static gboolean
leads_to_others (GstPad *src, guint depth)
{
  GstPad *sink = depth < MAX_DEPTH ? gst_pad_get_peer (src) : NULL;
  GstObject *element = sink ? gst_object_get_parent (GST_OBJECT (sink)) : NULL;
  GValue found = G_VALUE_INIT;
  GstIterator *iterator;

  g_value_init (&found, G_TYPE_BOOLEAN);
  if (GST_IS_ELEMENT (element) && takes_several (GST_ELEMENT (element))) {
    g_value_set_boolean (&found, TRUE);
  } else if (sink && (iterator = gst_pad_iterate_internal_links (sink))) {
    while (gst_iterator_fold (
               iterator, fold_leads_to_others, &found, GUINT_TO_POINTER (depth + 1))
           == GST_ITERATOR_RESYNC)
      gst_iterator_resync (iterator);
    gst_iterator_free (iterator);
  }
  gst_clear_object (&element);
  gst_clear_object (&sink);
  return g_value_get_boolean (&found);
}

/* The event on the element's sink pad; or NULL. (transfer full) */
static GstEvent *
get_upstream_event (GstClassifyTextPad *self, GstEventType type)
{
  GstElement *element = gst_pad_get_parent_element (GST_PAD (self));
  GstPad *sink = element ? gst_element_get_static_pad (element, "sink") : NULL;
  GstEvent *event = sink ? gst_pad_get_sticky_event (sink, type, 0) : NULL;

  gst_clear_object (&sink);
  gst_clear_object (&element);
  return event;
}

static GstEvent *
make_stream_start (GstClassifyTextPad *self)
{
  GstElement *element = gst_pad_get_parent_element (GST_PAD (self));
  g_autofree char *id = gst_pad_create_stream_id (GST_PAD (self), element, GST_PAD_NAME (self));
  GstEvent *upstream = get_upstream_event (self, GST_EVENT_STREAM_START);
  GstEvent *event = gst_event_new_stream_start (id);
  GstStreamFlags flags = GST_STREAM_FLAG_NONE;
  guint group;

  if (upstream)
    gst_event_parse_stream_flags (upstream, &flags);
  if (!upstream || !gst_event_parse_group_id (upstream, &group))
    group = gst_util_group_id_next ();
  gst_event_set_stream_flags (event, flags | GST_STREAM_FLAG_SPARSE);
  gst_event_set_group_id (event, group);
  gst_clear_event (&upstream);
  gst_clear_object (&element);
  return event;
}

/* Two threads may do this at a time; what one has queued the other does not queue again.
 * @is_linked_anew: downstream is asked again. */
static void
start (GstClassifyTextPad *self, gboolean is_linked_anew)
{
  GstEvent *stream_start = NULL;
  gboolean is_started, is_json, is_joined;
  GstCaps *caps;

  g_mutex_lock (&self->lock);
  is_started = self->is_started;
  g_mutex_unlock (&self->lock);
  if (is_started && !is_linked_anew)
    return;
  if (!is_started)
    stream_start = make_stream_start (self);
  caps = choose_caps (self);
  is_json = gst_structure_has_name (gst_caps_get_structure (caps, 0), "application/x-json");
  is_joined = leads_to_others (GST_PAD (self), 0);

  g_mutex_lock (&self->lock);
  if (stream_start && !self->is_started) {
    enqueue (self, g_steal_pointer (&stream_start));
    enqueue (self, gst_event_new_caps (caps));
    self->is_started = TRUE;
    gst_caps_replace (&self->caps, caps);
  } else if (is_linked_anew && !(self->caps && gst_caps_is_equal (self->caps, caps))) {
    enqueue (self, gst_event_new_caps (caps));
    gst_caps_replace (&self->caps, caps);
  }
  self->is_json = is_json;
  self->is_joined = is_joined;
  g_mutex_unlock (&self->lock);
  gst_caps_unref (caps);
  gst_clear_event (&stream_start);
}

/* --- door ----------------------------------------------------------------------------- */

void
gst_classify_text_pad_new_stream (GstClassifyTextPad *self)
{
  g_mutex_lock (&self->lock);
  forget_stream (self);
  g_mutex_unlock (&self->lock);
}

void
gst_classify_text_pad_set_segment (GstClassifyTextPad *self, const GstSegment *segment)
{
  start (self, FALSE);
  g_mutex_lock (&self->lock);
  self->has_segment = TRUE;
  self->position = GST_CLOCK_TIME_NONE;
  self->stalled_at = 0;
  enqueue (self, gst_event_new_segment (segment));
  g_mutex_unlock (&self->lock);
}

/* The segment, where the pad was asked for in the middle of a stream. */
static void
ensure_segment (GstClassifyTextPad *self)
{
  const GstSegment *segment;
  gboolean has_segment;
  GstEvent *event;

  start (self, FALSE);
  g_mutex_lock (&self->lock);
  has_segment = self->has_segment;
  g_mutex_unlock (&self->lock);
  if (has_segment || !(event = get_upstream_event (self, GST_EVENT_SEGMENT)))
    return;
  gst_event_parse_segment (event, &segment);
  if (segment->format == GST_FORMAT_TIME) {
    g_mutex_lock (&self->lock);
    if (!self->has_segment)
      enqueue (self, gst_event_new_segment (segment));
    self->has_segment = TRUE;
    g_mutex_unlock (&self->lock);
  }
  gst_event_unref (event);
}

gboolean
gst_classify_text_pad_is_json (GstClassifyTextPad *self)
{
  gboolean is_json;

  start (self, gst_pad_check_reconfigure (GST_PAD (self)));
  g_mutex_lock (&self->lock);
  is_json = self->is_json;
  g_mutex_unlock (&self->lock);
  return is_json;
}

gboolean
gst_classify_text_pad_is_joined (GstClassifyTextPad *self)
{
  gboolean is_joined;

  start (self, gst_pad_check_reconfigure (GST_PAD (self)));
  g_mutex_lock (&self->lock);
  is_joined = self->is_joined;
  g_mutex_unlock (&self->lock);
  return is_joined;
}

void
gst_classify_text_pad_push (GstClassifyTextPad *self, GstBuffer *buffer)
{
  const GstClockTime pts = GST_BUFFER_PTS (buffer), duration = GST_BUFFER_DURATION (buffer);

  ensure_segment (self);
  g_mutex_lock (&self->lock);
  if (self->is_flushing)
    gst_buffer_unref (buffer);
  else if (!enqueue (self, buffer))
    self->n_dropped++;
  else if (GST_CLOCK_TIME_IS_VALID (pts))
    self->position = pts + (GST_CLOCK_TIME_IS_VALID (duration) ? duration : 0);
  g_mutex_unlock (&self->lock);
}

void
gst_classify_text_pad_begin (GstClassifyTextPad *self, GstClockTime position)
{
  if (!GST_CLOCK_TIME_IS_VALID (position))
    return;
  ensure_segment (self);
  g_mutex_lock (&self->lock);
  if (self->has_segment && !GST_CLOCK_TIME_IS_VALID (self->position)) {
    self->position = position;
    enqueue (self, gst_event_new_gap (position, 0));
  }
  g_mutex_unlock (&self->lock);
}

void
gst_classify_text_pad_advance (
    GstClassifyTextPad *self, GstClockTime position, GstClockTime interval)
{
  if (!GST_CLOCK_TIME_IS_VALID (position))
    return;
  ensure_segment (self);
  g_mutex_lock (&self->lock);
  if (self->has_segment && GST_CLOCK_TIME_IS_VALID (self->position)
      && position > self->position && position - self->position >= interval) {
    enqueue (self, gst_event_new_gap (self->position, position - self->position));
    self->position = position;
  }
  g_mutex_unlock (&self->lock);
}

void
gst_classify_text_pad_touch (GstClassifyTextPad *self, gboolean is_open, GstClockTime duration)
{
  const GstClockTime stall
      = GST_CLOCK_TIME_IS_VALID (duration) ? MAX (TEXT_PAD_STALL, 4 * duration) : TEXT_PAD_STALL;

  g_mutex_lock (&self->lock);
  if (is_open && !self->is_flushing) {
    const gboolean was_waiting = self->stalled_at != 0;

    self->stalled_at = g_get_monotonic_time () + (gint64)(stall / GST_USECOND);
    if (!was_waiting) /* else it wakes in time and finds the new one */
      g_cond_signal (&self->cond);
  } else {
    self->stalled_at = 0;
  }
  g_mutex_unlock (&self->lock);
}

void
gst_classify_text_pad_eos (GstClassifyTextPad *self)
{
  start (self, FALSE);
  g_mutex_lock (&self->lock);
  self->stalled_at = 0;
  enqueue (self, gst_event_new_eos ());
  g_mutex_unlock (&self->lock);
}

void
gst_classify_text_pad_flush_start (GstClassifyTextPad *self)
{
  set_flushing (self, TRUE);
  gst_pad_push_event (GST_PAD (self), gst_event_new_flush_start ());
  gst_pad_pause_task (GST_PAD (self)); /* it has left push_items() when this returns */
}

void
gst_classify_text_pad_flush_stop (GstClassifyTextPad *self, gboolean reset_time)
{
  gst_pad_push_event (GST_PAD (self), gst_event_new_flush_stop (reset_time));
  self->flow = GST_FLOW_OK;
  self->was_told = FALSE;
  g_mutex_lock (&self->lock);
  self->position = GST_CLOCK_TIME_NONE;
  self->has_segment = FALSE;
  g_mutex_unlock (&self->lock);
  set_flushing (self, FALSE);
  gst_pad_start_task (GST_PAD (self), push_items, self, NULL);
}

gboolean
gst_classify_text_pad_is_second_seek (GstClassifyTextPad *self, GstEvent *seek, gboolean is_own)
{
  const guint32 number = gst_event_get_seqnum (seek);
  gboolean is_second;

  g_mutex_lock (&self->lock);
  is_second = self->seek == number && self->is_own_seek != is_own;
  if (!is_second) {
    self->seek = number;
    self->is_own_seek = is_own;
  }
  g_mutex_unlock (&self->lock);
  return is_second;
}

guint64
gst_classify_text_pad_get_n_dropped (GstClassifyTextPad *self)
{
  guint64 n;

  g_mutex_lock (&self->lock);
  n = self->n_dropped;
  g_mutex_unlock (&self->lock);
  return n;
}

guint
gst_classify_text_pad_get_level (GstClassifyTextPad *self)
{
  guint n;

  g_mutex_lock (&self->lock);
  n = self->items.length;
  g_mutex_unlock (&self->lock);
  return n;
}
