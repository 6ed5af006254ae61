/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/picture.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>
#include <libexif/exif-data.h>
#include <string.h>

#include "nn/error.h"
#include "train/jpeg.h"
#include "train/picture-scan.h"

#define MAX_FILE_SIZE ((gint64) 1 << 30)
#define MAX_PIXELS ((guint64) 1 << 28)
#define LARGE_PIXELS ((guint64) 1 << 25) /* more: decoded smaller where that can be, by turns */
#define MAX_EXIF ((gsize) 1 << 20)

static GMutex large_lock; /* held while a large picture is decoded */

struct _Picture
{
  GdkPixbuf *pixbuf;
};

/* g_file_get_contents()'s words without the path, which every message of ours begins with */
static char *
without_path (const char *path, const char *message)
{
  g_autofree char *name = g_filename_display_name (path);
  g_autofree char *quoted = g_strdup_printf ("“%s”", name);
  const char *at = strstr (message, quoted), *after;

  if (!at)
    return g_strdup (message);
  after = at + strlen (quoted);
  if (g_str_has_prefix (after, ": ")) /* Failed to open file “x”: the reason */
    return g_strdup (after + 2);
  return g_strdup_printf ("%.*s%s", (int) (at - message), message,
      after[0] == ' ' ? after + 1 : after);
}

static char *
read_file (const char *path, gsize *size, GError **error)
{
  g_autoptr (GError) local = NULL;
  char *data = NULL;
  GStatBuf st;
  gboolean exists = g_stat (path, &st) == 0; /* else it is told below */

  if (exists && !S_ISREG (st.st_mode)) { /* a pipe would be waited for */
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "expected a file, found %s",
        S_ISDIR (st.st_mode) ? "a directory" : "a pipe or device");
  } else if (exists && st.st_size > MAX_FILE_SIZE) {
    g_set_error_literal (error, NN_ERROR, NN_ERROR_FORMAT, "more than 1 GiB: no picture");
  } else if (!g_file_get_contents (path, &data, size, &local)) {
    g_autofree char *reason = without_path (path, local->message);

    g_set_error_literal (error, NN_ERROR, NN_ERROR_READ, reason);
  }
  return data;
}

static void
compute_digest (const char *data, gsize size, PictureDigest *digest)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize n = sizeof digest->sha256;

  g_checksum_update (checksum, (const guchar *) data, (gssize) size);
  g_checksum_get_digest (checksum, digest->sha256, &n);
}

gboolean
picture_digest (const char *path, PictureDigest *digest, GError **error)
{
  gsize size;
  g_autofree char *data = read_file (path, &size, error);

  if (!data) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  compute_digest (data, size, digest);
  return TRUE;
}

/* --- size ------------------------------------------------------------------------- */

static gboolean
check_size (guint width, guint height, GError **error)
{
  if ((guint64) width * height <= MAX_PIXELS)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
      "%ux%u pixels: at most %" G_GUINT64_FORMAT " million are decoded: make it smaller", width,
      height, MAX_PIXELS / 1000000);
  return FALSE;
}

/* Asked by a loader before it takes memory; nothing at all stops it. */
static void
on_size (GdkPixbufLoader *loader, int width, int height, gpointer user_data)
{
  GError **error = user_data;

  if (!*error && !check_size ((guint) width, (guint) height, error))
    gdk_pixbuf_loader_set_size (loader, 0, 0);
}

/* --- decoding --------------------------------------------------------------------- */

static void
free_pixels (guchar *pixels, gpointer user_data)
{
  g_free (pixels);
}

static GdkPixbuf *
decode_jpeg (const char *data, gsize size, const PictureScan *scan, GError **error)
{
  const guint64 pixels = (guint64) scan->width * scan->height;
  guint shift = 0, width, height;
  guint8 *rgb;

  while (shift < 3 && pixels >> (2 * shift) > LARGE_PIXELS)
    shift++;
  rgb = jpeg_decode ((const guint8 *) data, size, shift, !scan->cut, &width, &height, error);
  if (!rgb)
    return NULL;
  return gdk_pixbuf_new_from_data (rgb, GDK_COLORSPACE_RGB, FALSE, 8, (int) width, (int) height,
      (int) jpeg_get_stride (width), free_pixels, NULL);
}

/* A loader for just this kind, so that nothing else is made of the bytes: not a drawing, nor
 * a kind whose size is not known before it is decoded. */
static GdkPixbufLoader *
make_loader (PictureKind kind, GError **error)
{
  const PictureKindInfo *info = picture_kind_get_info (kind);

  for (guint i = 0; info->loaders[i]; i++) {
    GdkPixbufLoader *loader = gdk_pixbuf_loader_new_with_type (info->loaders[i], NULL);

    if (loader)
      return loader;
  }
  if (kind == PICTURE_OTHER)
    g_set_error_literal (error, NN_ERROR, NN_ERROR_FORMAT, info->name);
  else if (kind >= PICTURE_NONE_HTML)
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "no picture (%s)", info->name);
  else if (info->package)
    g_set_error (
        error, NN_ERROR, NN_ERROR_FORMAT, "%s: install %s", info->name, info->package);
  else if (info->loaders[0])
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: gdk-pixbuf has no loader for it here",
        info->name);
  else
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: not read: save it as PNG", info->name);
  return NULL;
}

/* How many rows have come: of a PNG that has too few its loader is silent. */
static void
on_area (GdkPixbufLoader *loader, int x, int y, int width, int height, gpointer user_data)
{
  int *n_rows = user_data;

  *n_rows = MAX (*n_rows, y + height);
}

static GdkPixbuf *
decode (const char *data, gsize size, const PictureScan *scan, GError **error)
{
  const PictureKindInfo *info = picture_kind_get_info (scan->kind);
  g_autoptr (GdkPixbufLoader) loader = NULL;
  g_autoptr (GError) local = NULL, too_large = NULL;
  GdkPixbuf *pixbuf = NULL;
  int n_rows = 0;
  gboolean ok;

  if (scan->kind == PICTURE_JPEG)
    return decode_jpeg (data, size, scan, error);
  loader = make_loader (scan->kind, error);
  if (!loader)
    return NULL;
  g_signal_connect (loader, "size-prepared", G_CALLBACK (on_size), &too_large);
  g_signal_connect (loader, "area-updated", G_CALLBACK (on_area), &n_rows);
  ok = gdk_pixbuf_loader_write (loader, (const guchar *) data, size, &local);
  ok = gdk_pixbuf_loader_close (loader, ok ? &local : NULL) && ok;
  if (ok)
    pixbuf = gdk_pixbuf_loader_get_pixbuf (loader);
  if (too_large)
    g_propagate_error (error, g_steal_pointer (&too_large));
  else if (!pixbuf)
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: %s", info->name,
        local ? local->message : "nothing was decoded");
  else if (scan->kind == PICTURE_PNG && n_rows < gdk_pixbuf_get_height (pixbuf))
    g_set_error_literal (
        error, NN_ERROR, NN_ERROR_FORMAT, "the file is cut off: some of its rows are missing");
  else
    return g_object_ref (pixbuf);
  return NULL;
}

/* --- orientation ------------------------------------------------------------------ */

/* The orientation that EXIF data says, 1 to 8; 0: none. */
static guint
read_orientation (const guint8 *exif, gsize size)
{
  static const guint8 mark[] = { 'E', 'x', 'i', 'f', 0, 0 };
  g_autofree guint8 *bytes = NULL;
  gboolean has_mark;
  ExifEntry *entry;
  ExifData *data;
  guint value = 0;

  if (!exif || size > MAX_EXIF)
    return 0;
  has_mark = size >= sizeof mark && memcmp (exif, mark, sizeof mark) == 0;
  bytes = g_malloc (sizeof mark + size);
  memcpy (bytes, mark, sizeof mark);
  memcpy (bytes + (has_mark ? 0 : sizeof mark), exif, size);
  data = exif_data_new ();
  exif_data_unset_option (data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
  exif_data_load_data (data, bytes, (guint) (size + (has_mark ? 0 : sizeof mark)));
  entry = exif_content_get_entry (data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry && entry->format == EXIF_FORMAT_SHORT && entry->components >= 1 && entry->size >= 2)
    value = exif_get_short (entry->data, exif_data_get_byte_order (data));
  exif_data_unref (data);
  return value <= 8 ? value : 0;
}

/* Upright. AVIF and HEIC say it in their boxes, which their decoders follow; EXIF data in them
 * does not count (ISO 23008-12). */
static GdkPixbuf *
turn (GdkPixbuf *pixbuf, const PictureScan *scan)
{
  const guint orientation = read_orientation (scan->exif, scan->exif_size);
  /* a loader that has turned it itself */
  const gboolean is_turned = orientation >= 5 && scan->width != scan->height
      && scan->kind != PICTURE_JPEG
      && gdk_pixbuf_get_width (pixbuf) == (int) scan->height;

  if (scan->kind == PICTURE_AVIF || scan->kind == PICTURE_HEIC || is_turned)
    return g_object_ref (pixbuf);
  if (orientation && !gdk_pixbuf_get_option (pixbuf, "orientation")) {
    const char text[] = { (char) ('0' + orientation), '\0' };

    gdk_pixbuf_set_option (pixbuf, "orientation", text);
  }
  return gdk_pixbuf_apply_embedded_orientation (pixbuf);
}

/* --- transparency ----------------------------------------------------------------- */

/* The colours as the file has them, where the loader has changed them: GIF's transparent
 * pixels become black, TIFF's are multiplied with their opacity. */
static GdkPixbuf *
restore_colors (GdkPixbuf *pixbuf, const PictureScan *scan)
{
  const int width = gdk_pixbuf_get_width (pixbuf), stride = gdk_pixbuf_get_rowstride (pixbuf);
  guint8 *pixels;
  GdkPixbuf *own;

  if (!gdk_pixbuf_get_has_alpha (pixbuf)
      || !(scan->kind == PICTURE_TIFF || (scan->kind == PICTURE_GIF && scan->has_clear)))
    return g_object_ref (pixbuf);
  own = gdk_pixbuf_copy (pixbuf);
  if (own) /* the orientation */
    gdk_pixbuf_copy_options (pixbuf, own);
  pixels = own ? gdk_pixbuf_get_pixels (own) : NULL;
  for (int y = 0; own && y < gdk_pixbuf_get_height (own); y++) {
    guint8 *p = pixels + (gsize) y * stride;

    for (int x = 0; x < width; x++, p += 4) {
      for (guint c = 0; c < 3; c++) {
        if (scan->kind == PICTURE_GIF && p[3] == 0)
          p[c] = scan->clear[c];
        else if (scan->kind == PICTURE_TIFF && p[3] > 0)
          p[c] = (guint8) MIN ((p[c] * 255u + p[3] / 2u) / p[3], 255u);
      }
    }
  }
  return own;
}

void
picture_flatten (Picture *picture, const NnPreprocess *pre)
{
  GdkPixbuf *pixbuf = picture->pixbuf;
  guint8 *pixels;

  if (!pre->has_background || !gdk_pixbuf_get_has_alpha (pixbuf))
    return;
  pixels = gdk_pixbuf_get_pixels (pixbuf);
  for (int y = 0; y < gdk_pixbuf_get_height (pixbuf); y++) {
    guint8 *p = pixels + (gsize) y * gdk_pixbuf_get_rowstride (pixbuf);

    for (int x = 0; x < gdk_pixbuf_get_width (pixbuf); x++, p += 4) {
      for (guint c = 0; c < 3; c++)
        p[c] = (guint8) ((p[c] * p[3] + pre->background[c] * (255u - p[3]) + 127) / 255);
      p[3] = 255;
    }
  }
}

/* --- pictures --------------------------------------------------------------------- */

Picture *
picture_open_with_digest (const char *path, PictureDigest *digest, GError **error)
{
  g_autoptr (GdkPixbuf) decoded = NULL, restored = NULL, upright = NULL;
  g_autofree char *data = NULL;
  gboolean is_large;
  Picture *picture;
  PictureScan scan;
  gsize size;

  data = read_file (path, &size, error);
  if (!data)
    return NULL;
  if (size == 0) {
    g_set_error_literal (error, NN_ERROR, NN_ERROR_FORMAT, "Image file contains no data");
    return NULL;
  }
  picture_scan ((const guint8 *) data, size, &scan);
  if (!check_size (scan.width, scan.height, error))
    return NULL;
  if (scan.cut && scan.kind != PICTURE_JPEG) { /* whose decoder knows */
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "the file is cut off: %s", scan.cut);
    return NULL;
  }
  is_large = (guint64) scan.width * scan.height > LARGE_PIXELS;
  if (is_large)
    g_mutex_lock (&large_lock);
  decoded = decode (data, size, &scan, error);
  if (is_large)
    g_mutex_unlock (&large_lock);
  if (!decoded)
    return NULL;
  if (digest)
    compute_digest (data, size, digest);
  restored = restore_colors (decoded, &scan);
  if (restored)
    upright = turn (restored, &scan);
  if (!upright) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "not enough memory for %ux%u pixels",
        scan.width, scan.height);
    return NULL;
  }
  picture = g_new (Picture, 1);
  picture->pixbuf = g_steal_pointer (&upright);
  return picture;
}

Picture *
picture_open (const char *path, GError **error)
{
  return picture_open_with_digest (path, NULL, error);
}

void
picture_free (Picture *picture)
{
  if (!picture)
    return;
  g_object_unref (picture->pixbuf);
  g_free (picture);
}

void
picture_get_size (const Picture *picture, guint *width, guint *height)
{
  *width = (guint) gdk_pixbuf_get_width (picture->pixbuf);
  *height = (guint) gdk_pixbuf_get_height (picture->pixbuf);
}

void
picture_get_image (const Picture *picture, NnImageInfo *info, NnImagePlanes *planes)
{
  *info = (NnImageInfo) { 0 };
  info->format
      = gdk_pixbuf_get_n_channels (picture->pixbuf) == 4 ? NN_PIXEL_RGBX : NN_PIXEL_RGB;
  picture_get_size (picture, &info->width, &info->height);
  *planes = (NnImagePlanes) { 0 };
  planes->planes[0] = gdk_pixbuf_read_pixels (picture->pixbuf);
  planes->strides[0] = gdk_pixbuf_get_rowstride (picture->pixbuf);
}

gboolean
picture_sample (const Picture *picture, const NnPreprocess *pre, guint8 *dst, GError **error)
{
  g_autoptr (NnSampler) sampler = NULL;
  NnImageInfo info;
  NnImagePlanes planes;

  picture_get_image (picture, &info, &planes);
  sampler = nn_sampler_new (&info, NULL, pre, error);
  if (!sampler)
    return FALSE;
  nn_sampler_run_bytes (sampler, &planes, dst);
  return TRUE;
}

gboolean
picture_load_with_digest (const char *path, const NnPreprocess *pre, guint8 *dst,
    PictureDigest *digest, GError **error)
{
  g_autoptr (Picture) picture = picture_open_with_digest (path, digest, error);

  if (picture)
    picture_flatten (picture, pre);
  if (!picture || !picture_sample (picture, pre, dst, error)) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  return TRUE;
}

gboolean
picture_load (const char *path, const NnPreprocess *pre, guint8 *dst, GError **error)
{
  return picture_load_with_digest (path, pre, dst, NULL, error);
}
