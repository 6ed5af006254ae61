/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/picture-kind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const PictureKindInfo infos[PICTURE_N_KINDS] = {
  [PICTURE_OTHER] = { "no picture of a known kind", { NULL }, NULL },
  [PICTURE_JPEG] = { "a JPEG picture", { "jpeg" }, NULL },
  [PICTURE_PNG] = { "a PNG picture", { "png" }, NULL },
  [PICTURE_GIF] = { "a GIF picture", { "gif" }, NULL },
  [PICTURE_BMP] = { "a BMP picture", { "bmp" }, NULL },
  [PICTURE_TIFF] = { "a TIFF picture", { "tiff" }, NULL },
  [PICTURE_WEBP] = { "a WebP picture", { "webp" }, "webp-pixbuf-loader" },
  [PICTURE_AVIF] = { "an AVIF picture", { "avif", "heif/avif" }, "libavif-gdk-pixbuf" },
  [PICTURE_HEIC] = { "a HEIC picture", { "heif/avif", "heif" }, "heif-gdk-pixbuf" },
  [PICTURE_PNM] = { "a PNM picture", { "pnm" }, NULL },
  [PICTURE_TGA] = { "a TGA picture", { "tga" }, NULL },
  [PICTURE_ICO] = { "an ICO picture", { "ico" }, NULL },
  [PICTURE_ICNS] = { "an ICNS picture", { "icns" }, NULL },
  [PICTURE_JXL] = { "a JPEG XL picture", { "jxl" }, "libjxl-gdk-pixbuf" },
  [PICTURE_JPEG2000] = { "a JPEG 2000 picture", { "jp2", "jpeg2000" }, NULL },
  [PICTURE_PHOTOSHOP] = { "a Photoshop picture", { NULL }, NULL },
  [PICTURE_DDS] = { "a DDS picture", { NULL }, NULL },
  [PICTURE_XPM] = { "an XPM or XBM picture", { NULL }, NULL },
  [PICTURE_SVG] = { "an SVG drawing", { NULL }, NULL },
  [PICTURE_NONE_HTML] = { "HTML text", { NULL }, NULL },
  [PICTURE_NONE_XML] = { "XML text", { NULL }, NULL },
  [PICTURE_NONE_TEXT] = { "text", { NULL }, NULL },
  [PICTURE_NONE_PDF] = { "a PDF document", { NULL }, NULL },
  [PICTURE_NONE_ARCHIVE] = { "an archive", { NULL }, NULL },
  [PICTURE_NONE_VIDEO] = { "a video", { NULL }, NULL },
};

const PictureKindInfo *
picture_kind_get_info (PictureKind kind)
{
  return &infos[kind];
}

/* What stands at an offset of the file, in the order of looking. */
static const struct
{
  PictureKind kind;
  guint8 at, n;
  const char *bytes;
} magics[] = {
  { PICTURE_JPEG, 0, 3, "\xff\xd8\xff" },
  { PICTURE_PNG, 0, 8, "\x89PNG\r\n\x1a\n" },
  { PICTURE_GIF, 0, 4, "GIF8" },
  { PICTURE_WEBP, 8, 4, "WEBP" },
  { PICTURE_TIFF, 0, 4, "II*\0" },
  { PICTURE_TIFF, 0, 4, "MM\0*" },
  { PICTURE_ICNS, 0, 4, "icns" },
  { PICTURE_JXL, 0, 2, "\xff\x0a" },
  { PICTURE_JXL, 0, 12, "\0\0\0\x0cJXL \r\n\x87\n" },
  { PICTURE_JPEG2000, 0, 12, "\0\0\0\x0cjP  \r\n\x87\n" },
  { PICTURE_JPEG2000, 0, 4, "\xff\x4f\xff\x51" },
  { PICTURE_PHOTOSHOP, 0, 4, "8BPS" },
  { PICTURE_DDS, 0, 4, "DDS " },
  { PICTURE_NONE_PDF, 0, 5, "%PDF-" },
  { PICTURE_NONE_ARCHIVE, 0, 4, "PK\3\4" },
  { PICTURE_NONE_ARCHIVE, 0, 3, "\x1f\x8b\x08" },
  { PICTURE_NONE_ARCHIVE, 0, 6, "\xfd""7zXZ\0" },
  { PICTURE_NONE_ARCHIVE, 0, 6, "7z\xbc\xaf\x27\x1c" },
  { PICTURE_NONE_ARCHIVE, 0, 4, "Rar!" },
  { PICTURE_NONE_VIDEO, 0, 4, "\x1a\x45\xdf\xa3" }, /* Matroska, WebM */
  { PICTURE_NONE_VIDEO, 8, 4, "AVI " },
};

static guint
be32 (const guint8 *p)
{
  return (guint) p[0] << 24 | (guint) p[1] << 16 | (guint) p[2] << 8 | p[3];
}

/* an ISO media file's brands: the first of all that says a picture's codec */
static PictureKind
guess_ftyp (const guint8 *data, gsize size)
{
  static const char *const heic[]
      = { "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1" };
  const gsize end = MIN (size, be32 (data));
  PictureKind kind = PICTURE_NONE_VIDEO;

  for (gsize at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {
    if (memcmp (data + at, "avif", 4) == 0 || memcmp (data + at, "avis", 4) == 0)
      return PICTURE_AVIF;
    for (guint i = 0; i < G_N_ELEMENTS (heic); i++)
      if (memcmp (data + at, heic[i], 4) == 0)
        kind = PICTURE_HEIC;
  }
  return kind;
}

/* Targa has no signature: every byte of its header has to make sense. */
static gboolean
is_tga (const guint8 *data, gsize size)
{
  const guint bits = size >= 18 ? data[16] : 0, type = size >= 18 ? data[2] : 0;
  const gboolean has_map = size >= 18 && data[1] == 1;

  if (size < 18 || data[1] > 1 || (data[12] | data[13]) == 0 || (data[14] | data[15]) == 0
      || (data[17] & 0xc0) != 0 || (data[17] & 15) > 8)
    return FALSE;
  if (has_map && data[7] != 15 && data[7] != 16 && data[7] != 24 && data[7] != 32)
    return FALSE;
  if (type == 1 || type == 9)
    return has_map && (bits == 8 || bits == 16);
  if (type == 3 || type == 11)
    return bits == 8 || bits == 16;
  return (type == 2 || type == 10) && (bits == 15 || bits == 16 || bits == 24 || bits == 32);
}

/* markup and other text, after white space and a byte order mark */
static PictureKind
guess_text (const guint8 *data, gsize size)
{
  g_autofree char *text = NULL;
  gsize at = size >= 3 && memcmp (data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  const char *end;

  size = MIN (size, PICTURE_KIND_BYTES);
  while (at < size && g_ascii_isspace (data[at]))
    at++;
  text = g_ascii_strdown ((const char *) data + at, (gssize) (size - at));
  if (text[0] == '<') {
    if (strstr (text, "<svg") || g_str_has_prefix (text, "<!doctype svg"))
      return PICTURE_SVG;
    if (strstr (text, "<html") || g_str_has_prefix (text, "<!doctype html")
        || strstr (text, "<head") || strstr (text, "<body"))
      return PICTURE_NONE_HTML;
    return PICTURE_NONE_XML;
  }
  if (g_str_has_prefix (text, "/* xpm */")
      || (g_str_has_prefix (text, "#define") && strstr (text, "_width ")))
    return PICTURE_XPM;
  g_utf8_validate ((const char *) data, (gssize) size, &end);
  for (const char *p = (const char *) data; p < end; p++)
    if ((guint8) *p < 32 && !g_ascii_isspace (*p))
      return PICTURE_OTHER;
  /* the last character may lie across the bytes' end */
  return size > 0 && (const char *) data + size - end < 4 ? PICTURE_NONE_TEXT : PICTURE_OTHER;
}

PictureKind
picture_kind_guess (const guint8 *data, gsize size)
{
  for (guint i = 0; i < G_N_ELEMENTS (magics); i++)
    if (size >= (gsize) magics[i].at + magics[i].n
        && memcmp (data + magics[i].at, magics[i].bytes, magics[i].n) == 0
        && (magics[i].at == 0 || memcmp (data, "RIFF", 4) == 0))
      return magics[i].kind;
  if (size >= 8 && memcmp (data + 4, "ftyp", 4) == 0)
    return guess_ftyp (data, size);
  if (size >= 18 && memcmp (data, "BM", 2) == 0
      && (data[14] == 12 || data[14] == 16 || data[14] >= 40)
      && data[15] == 0 && data[16] == 0 && data[17] == 0)
    return PICTURE_BMP;
  if (size >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6'
      && (g_ascii_isspace (data[2]) || data[2] == '#'))
    return PICTURE_PNM;
  if (size >= 6 && data[0] == 0 && data[1] == 0 && (data[2] == 1 || data[2] == 2) && data[3] == 0
      && (data[4] | data[5]) != 0)
    return PICTURE_ICO;
  if (size == 0)
    return PICTURE_OTHER;
  if (is_tga (data, size))
    return PICTURE_TGA;
  return guess_text (data, size);
}

static gboolean
has_picture_suffix (const char *name)
{
  static const char *const endings[] = { ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib",
    ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif",
    ".tga", ".ico" };
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (lower, endings[i]))
      return TRUE;
  return FALSE;
}

gboolean
picture_is_wanted (const char *path, const char *name)
{
  guint8 bytes[PICTURE_KIND_BYTES];
  struct stat st;
  PictureKind kind;
  gssize n;
  int fd;

  if (name[0] == '.')
    return FALSE;
  if (has_picture_suffix (name))
    return TRUE;
  if (stat (path, &st) != 0 || !S_ISREG (st.st_mode)) /* a pipe would be waited for */
    return FALSE;
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return TRUE;
  n = read (fd, bytes, sizeof bytes);
  close (fd);
  if (n < 0)
    return TRUE;
  kind = picture_kind_guess (bytes, (gsize) n);
  return kind != PICTURE_OTHER && kind < PICTURE_NONE_HTML;
}
