/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/collector.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#include "nn/file.h"

#define MAX_WAITING 4
#define ENCODE_TIMEOUT (10 * GST_SECOND)

struct _Collector {
  char *directory, *run; /* the latter: begins the names of this run */
  gboolean flat;
  GstCaps *format;
  const char *extension;
  CollectorFailed failed;
  gpointer user_data;
  GThreadPool *pool; /* of one thread */

  /* of it alone */
  guint n;
  guint64 used; /* bytes of pictures in the directory */
  gboolean has_failed;

  GMutex lock;
  guint64 written, dropped;
};

typedef struct {
  GstBuffer *buffer;
  GstVideoInfo info;
  NnRect rect;
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

/* A label as the name of a folder: no way out of the directory, not hidden. */
static char *
make_folder_name (const char *label)
{
  char *name = g_strdup (*label ? label : "_");

  g_strdelimit (name, "/\\", '_');
  if (name[0] == '.')
    name[0] = '_';
  return name;
}

static char *
make_path (Collector *self, const char *label)
{
  g_autofree char *class = make_folder_name (label), *path = NULL;

  do {
    g_autofree char *name = g_strdup_printf ("%s%s%s.%06u.%s", self->flat ? class : "",
        self->flat ? "." : "", self->run, self->n++, self->extension);

    g_free (path);
    path = self->flat ? g_build_filename (self->directory, name, NULL)
                      : g_build_filename (self->directory, class, name, NULL);
  } while (g_file_test (path, G_FILE_TEST_EXISTS));
  return g_steal_pointer (&path);
}

static gboolean
is_picture (const char *name)
{
  return g_str_has_suffix (name, ".jpg") || g_str_has_suffix (name, ".png");
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

static gboolean
write_picture (Collector *self, const Item *item, GError **error)
{
  g_autoptr (GstSample) part = cut_out (item, error);
  g_autoptr (GstSample) encoded
      = part ? gst_video_convert_sample (part, self->format, ENCODE_TIMEOUT, error) : NULL;
  g_autofree char *path = NULL, *folder = NULL;
  GstBuffer *buffer;
  GstMapInfo map;
  gboolean ok;

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
  path = make_path (self, item->label);
  folder = g_path_get_dirname (path);
  if (g_mkdir_with_parents (folder, 0777) != 0) {
    const int code = errno;

    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: cannot be made: %s", folder,
        g_strerror (code));
    return FALSE;
  }
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  ok = nn_file_replace (path, map.data, map.size, error);
  if (ok)
    self->used += map.size;
  gst_buffer_unmap (buffer, &map);
  return ok;
}

static void
work (gpointer data, gpointer user_data)
{
  Collector *self = user_data;
  Item *item = data;
  g_autoptr (GError) error = NULL;

  if (!self->has_failed) {
    if (write_picture (self, item, &error)) {
      g_mutex_lock (&self->lock);
      self->written++;
      g_mutex_unlock (&self->lock);
    } else {
      self->has_failed = TRUE;
      self->failed (error->message, self->user_data);
    }
  }
  item_free (item);
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

    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: cannot be made: %s",
        options->directory, g_strerror (code));
    return NULL;
  }
  self = g_new0 (Collector, 1);
  g_mutex_init (&self->lock);
  self->directory = g_strdup (options->directory);
  self->run = g_date_time_format (now, "%Y%m%d-%H%M%S");
  self->flat = options->flat;
  self->format = gst_caps_new_empty_simple (options->format);
  self->extension = g_str_has_suffix (options->format, "png") ? "png" : "jpg";
  self->failed = failed;
  self->user_data = user_data;
  self->used = count_bytes (self->directory, 1);
  self->pool = g_thread_pool_new (work, self, 1, FALSE, error);
  if (!self->pool)
    g_clear_pointer (&self, collector_free);
  return self;
}

void
collector_free (Collector *self)
{
  if (self->pool)
    g_thread_pool_free (self->pool, FALSE, TRUE);
  gst_caps_unref (self->format);
  g_mutex_clear (&self->lock);
  g_free (self->directory);
  g_free (self->run);
  g_free (self);
}

void
collector_push (Collector *self, GstBuffer *buffer, const GstVideoInfo *info, const NnRect *rect,
    const char *label, guint64 limit)
{
  Item *item;

  if (g_thread_pool_unprocessed (self->pool) >= MAX_WAITING) {
    g_mutex_lock (&self->lock);
    self->dropped++;
    g_mutex_unlock (&self->lock);
    return;
  }
  item = g_new0 (Item, 1);
  item->buffer = gst_buffer_ref (buffer);
  item->info = *info;
  item->rect = *rect;
  item->label = g_strdup (label);
  item->limit = limit;
  g_thread_pool_push (self->pool, item, NULL);
}

void
collector_get_counts (Collector *self, guint64 *written, guint64 *dropped)
{
  g_mutex_lock (&self->lock);
  *written = self->written;
  *dropped = self->dropped;
  g_mutex_unlock (&self->lock);
}
