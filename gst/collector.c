/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/collector.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/file.h"
#include "nn/label-name.h"

#define MAX_WAITING 4
#define ENCODE_TIMEOUT (10 * GST_SECOND)
/* What is waiting is written when the element stops, but not for longer than this. */
#define CLOSE_TIMEOUT (3 * G_USEC_PER_SEC)

struct _Collector {
  gint ref_count;        /* of the owner and the thread */
  char *directory, *run; /* the latter: begins the names of this run */
  gboolean flat;
  GstCaps *format;
  const char *extension;
  CollectorFailed failed;
  gpointer user_data;
  GThread *thread;

  /* of it alone */
  guint n;
  guint64 used;        /* bytes of pictures in the directory */
  GHashTable *refused; /* labels whose folder cannot be used */
  gboolean has_failed;

  GMutex lock;
  GCond cond;
  GQueue items;
  gboolean is_closing, is_done;
  gboolean is_telling; /* failed() is being called */
  guint64 written, dropped;
};

typedef struct {
  GstBuffer *buffer;
  GstVideoInfo info;
  NnRect rect;
  NnOrientation orientation;
  char *label;
  guint64 limit;
} Item;

static void
item_free (Item *item)
{
  gst_buffer_unref (item->buffer);
  g_free (item->label);
  g_free (item);
}

/* --- names ------------------------------------------------------------------------ */

/* (transfer full) */
static char *
make_path (Collector *self, const char *label)
{
  g_autofree char *class = nn_label_to_name (label, self->flat);
  g_autofree char *number
      = g_strdup_printf ("%s.%06u.%s", self->run, self->n++, self->extension);
  g_autofree char *flat = g_strdup_printf ("%s.%s", class, number);

  return self->flat ? g_build_filename (self->directory, flat, NULL)
                    : g_build_filename (self->directory, class, number, NULL);
}

static gboolean
is_picture (const char *name)
{
  const char *end = strrchr (name, '.');

  return end
         && (g_ascii_strcasecmp (end, ".jpg") == 0 || g_ascii_strcasecmp (end, ".jpeg") == 0
             || g_ascii_strcasecmp (end, ".png") == 0);
}

/* bytes of the pictures in @path and, @depth levels down, its folders */
static guint64
count_bytes (const char *path, guint depth)
{
  g_autoptr (GFile) folder = g_file_new_for_path (path);
  g_autoptr (GFileEnumerator) files
      = g_file_enumerate_children (folder, "standard::name,standard::type,standard::size",
          G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, NULL, NULL);
  GFileInfo *info;
  guint64 n = 0;

  while (files && g_file_enumerator_iterate (files, &info, NULL, NULL, NULL) && info) {
    const char *name = g_file_info_get_name (info);
    g_autofree char *child = g_build_filename (path, name, NULL);

    if (g_file_info_get_file_type (info) == G_FILE_TYPE_DIRECTORY && depth > 0)
      n += count_bytes (child, depth - 1);
    else if (g_file_info_get_file_type (info) == G_FILE_TYPE_REGULAR && is_picture (name))
      n += (guint64)g_file_info_get_size (info);
  }
  return n;
}

/* --- the thread ------------------------------------------------------------------- */

/* The rectangle as RGB; or NULL. */
static GstSample *
cut_out (const Item *item, GError **error)
{
  const int x = (int)floor (item->rect.x), y = (int)floor (item->rect.y);
  const int width = (int)ceil (item->rect.x + item->rect.width) - x;
  const int height = (int)ceil (item->rect.y + item->rect.height) - y;
  g_autoptr (GstBuffer) pixels = NULL;
  g_autoptr (GstCaps) caps = NULL;
  GstVideoConverter *converter;
  GstVideoFrame src, dst;
  GstVideoInfo info;

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_RGB, (guint)width, (guint)height);
  info.fps_n = item->info.fps_n; /* the converter wants them equal */
  info.fps_d = item->info.fps_d;
  pixels = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
  if (!gst_video_frame_map (&src, &item->info, item->buffer, GST_MAP_READ)) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "a frame cannot be read");
    return NULL;
  }
  gst_video_frame_map (&dst, &info, pixels, GST_MAP_WRITE);
  converter = gst_video_converter_new (&src.info, &info,
      gst_structure_new ("options", GST_VIDEO_CONVERTER_OPT_SRC_X, G_TYPE_INT, x,
          GST_VIDEO_CONVERTER_OPT_SRC_Y, G_TYPE_INT, y, GST_VIDEO_CONVERTER_OPT_SRC_WIDTH,
          G_TYPE_INT, width, GST_VIDEO_CONVERTER_OPT_SRC_HEIGHT, G_TYPE_INT, height, NULL));
  if (converter) {
    gst_video_converter_frame (converter, &src, &dst);
    gst_video_converter_free (converter);
  }
  gst_video_frame_unmap (&dst);
  gst_video_frame_unmap (&src);
  if (!converter) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "frames of the format %s cannot be made RGB", GST_VIDEO_INFO_NAME (&item->info));
    return NULL;
  }
  caps = gst_video_info_to_caps (&info);
  return gst_sample_new (pixels, caps, NULL, NULL);
}

/* As the network saw it. */
static GstSample *
turn (GstSample *sample, NnOrientation orientation)
{
  const gboolean is_transposed = nn_orientation_is_transposed (orientation);
  g_autoptr (GstBuffer) pixels = NULL;
  g_autoptr (GstCaps) caps = NULL;
  GstVideoInfo info, turned;
  GstVideoFrame src, dst;

  gst_video_info_from_caps (&info, gst_sample_get_caps (sample));
  turned = info;
  gst_video_info_set_format (&turned, GST_VIDEO_FORMAT_RGB,
      (guint)(is_transposed ? info.height : info.width),
      (guint)(is_transposed ? info.width : info.height));
  turned.fps_n = info.fps_n;
  turned.fps_d = info.fps_d;
  pixels = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&turned), NULL);
  gst_video_frame_map (&src, &info, gst_sample_get_buffer (sample), GST_MAP_READ);
  gst_video_frame_map (&dst, &turned, pixels, GST_MAP_WRITE);
  nn_orientation_turn_pixels (orientation, GST_VIDEO_FRAME_PLANE_DATA (&src, 0),
      GST_VIDEO_FRAME_PLANE_STRIDE (&src, 0), (guint)info.width, (guint)info.height, 3,
      GST_VIDEO_FRAME_PLANE_DATA (&dst, 0), GST_VIDEO_FRAME_PLANE_STRIDE (&dst, 0));
  gst_video_frame_unmap (&dst);
  gst_video_frame_unmap (&src);
  caps = gst_video_info_to_caps (&turned);
  return gst_sample_new (pixels, caps, NULL, NULL);
}

/* To a name that nothing has; FALSE with *@is_of_class: other classes may do better. */
static gboolean
write_new (Collector *self, const char *label, const GstMapInfo *map, gboolean *is_of_class,
    GError **error)
{
  g_autoptr (GError) local = NULL;

  do {
    g_autofree char *path = make_path (self, label), *folder = g_path_get_dirname (path);

    g_clear_error (&local);
    *is_of_class = !self->flat;
    if (!self->flat && g_mkdir (folder, 0777) != 0 && errno != EEXIST) {
      const int code = errno;

      *is_of_class = g_file_test (self->directory, G_FILE_TEST_IS_DIR);
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: cannot be made: %s",
          folder, g_strerror (code));
      return FALSE;
    }
    if (nn_file_create (path, !self->flat, map->data, map->size, &local))
      return TRUE;
    if (!self->flat) { /* a link or a file, or the disk is full */
      struct stat st;

      *is_of_class = lstat (folder, &st) == 0 && !S_ISDIR (st.st_mode);
    }
  } while (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_EXIST));
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
write_picture (Collector *self, const Item *item, gboolean *is_of_class, GError **error)
{
  g_autoptr (GstSample) part = cut_out (item, error);
  g_autoptr (GstSample) upright = part ? turn (part, item->orientation) : NULL;
  g_autoptr (GstSample) encoded
      = upright ? gst_video_convert_sample (upright, self->format, ENCODE_TIMEOUT, error) : NULL;
  GstBuffer *buffer;
  GstMapInfo map;
  gboolean ok;

  *is_of_class = FALSE;
  if (!encoded)
    return FALSE;
  buffer = gst_sample_get_buffer (encoded);
  if (item->limit > 0 && self->used + gst_buffer_get_size (buffer) > item->limit) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
        "%s: the pictures in it have reached collect-limit (%" G_GUINT64_FORMAT
        " bytes): move some away or allow more",
        self->directory, item->limit);
    return FALSE;
  }
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  ok = write_new (self, item->label, &map, is_of_class, error);
  if (ok)
    self->used += map.size;
  gst_buffer_unmap (buffer, &map);
  return ok;
}

static void
tell (Collector *self, const char *message, const char *consequence)
{
  g_autofree char *text = g_strdup_printf ("%s; %s", message, consequence);
  CollectorFailed failed;

  g_mutex_lock (&self->lock);
  failed = self->failed; /* NULL: the owner has gone */
  self->is_telling = failed != NULL;
  g_mutex_unlock (&self->lock);
  if (failed)
    failed (text, self->user_data);
  g_mutex_lock (&self->lock);
  self->is_telling = FALSE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

static void
work (Collector *self, const Item *item)
{
  g_autoptr (GError) error = NULL;
  gboolean is_of_class;

  if (self->has_failed || g_hash_table_contains (self->refused, item->label))
    return;
  if (write_picture (self, item, &is_of_class, &error)) {
    g_mutex_lock (&self->lock);
    self->written++;
    g_mutex_unlock (&self->lock);
  } else if (is_of_class) {
    g_hash_table_add (self->refused, g_strdup (item->label));
    tell (self, error->message, "pictures of this class are not collected");
  } else {
    self->has_failed = TRUE;
    tell (self, error->message, "no more pictures are collected");
  }
}

static void
collector_unref (Collector *self)
{
  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;
  g_queue_clear_full (&self->items, (GDestroyNotify)item_free);
  g_hash_table_unref (self->refused);
  gst_caps_unref (self->format);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self->directory);
  g_free (self->run);
  g_free (self);
}

static gpointer
run (gpointer data)
{
  Collector *self = data;
  Item *item;

  g_mutex_lock (&self->lock);
  for (;;) {
    while (!self->is_closing && self->items.length == 0)
      g_cond_wait (&self->cond, &self->lock);
    item = g_queue_pop_head (&self->items);
    if (!item)
      break;
    g_mutex_unlock (&self->lock);
    work (self, item);
    item_free (item);
    g_mutex_lock (&self->lock);
  }
  self->is_done = TRUE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  collector_unref (self);
  return NULL;
}

/* --- door ------------------------------------------------------------------------- */

Collector *
collector_new (
    const CollectorOptions *options, CollectorFailed failed, gpointer user_data, GError **error)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  Collector *self;

  if (g_mkdir_with_parents (options->directory, 0777) != 0) {
    const int code = errno;

    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code),
        "%s: cannot be made: %s; no pictures are collected", options->directory, g_strerror (code));
    return NULL;
  }
  self = g_new0 (Collector, 1);
  self->ref_count = 2;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  g_queue_init (&self->items);
  self->refused = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->directory = g_strdup (options->directory);
  self->run = g_date_time_format (now, "%Y%m%d-%H%M%S");
  self->flat = options->flat;
  self->format = gst_caps_new_empty_simple (options->format);
  self->extension = g_str_has_suffix (options->format, "png") ? "png" : "jpg";
  self->failed = failed;
  self->user_data = user_data;
  self->used = count_bytes (self->directory, 1);
  self->thread = g_thread_try_new ("collector", run, self, error);
  if (!self->thread) {
    self->ref_count = 1;
    g_clear_pointer (&self, collector_unref);
  }
  return self;
}

void
collector_free (Collector *self)
{
  const gint64 until = g_get_monotonic_time () + CLOSE_TIMEOUT;
  gboolean is_done;

  g_mutex_lock (&self->lock);
  self->is_closing = TRUE;
  g_cond_broadcast (&self->cond);
  while (!self->is_done && g_cond_wait_until (&self->cond, &self->lock, until)) {
  }
  is_done = self->is_done;
  if (!is_done) { /* what is being written is the thread's own now, the rest is dropped */
    self->failed = NULL;
    self->dropped += self->items.length;
    g_queue_clear_full (&self->items, (GDestroyNotify)item_free);
    while (self->is_telling)
      g_cond_wait (&self->cond, &self->lock);
  }
  g_mutex_unlock (&self->lock);
  if (is_done)
    g_thread_join (self->thread);
  else
    g_thread_unref (self->thread);
  collector_unref (self);
}

void
collector_push (Collector *self, GstBuffer *buffer, const GstVideoInfo *info, const NnRect *rect,
    NnOrientation orientation, const char *label, guint64 limit)
{
  Item *item = g_new0 (Item, 1);

  item->buffer = gst_buffer_ref (buffer);
  item->info = *info;
  item->rect = *rect;
  item->orientation = orientation;
  item->label = g_strdup (label);
  item->limit = limit;
  g_mutex_lock (&self->lock);
  if (self->items.length < MAX_WAITING) {
    g_queue_push_tail (&self->items, g_steal_pointer (&item));
    g_cond_broadcast (&self->cond);
  } else {
    self->dropped++;
  }
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&item, item_free);
}

void
collector_get_counts (Collector *self, guint64 *written, guint64 *dropped)
{
  g_mutex_lock (&self->lock);
  *written = self->written;
  *dropped = self->dropped;
  g_mutex_unlock (&self->lock);
}
