/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Picture files as people have them: turned, transparent, cut off, of a huge size by their
 * header, with names that lie. The files are Pillow's (make-picture-fixtures.py); kinds
 * without a loader here are skipped. */

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <string.h>
#include <sys/resource.h>

#include "nn/error.h"
#include "tests/pictures.h"
#include "train/picture-kind.h"
#include "train/picture-scan.h"
#include "train/picture.h"

static char *
data_path (const char *name)
{
  return g_build_filename (SOURCE_ROOT, "tests", "data", "pictures", name, NULL);
}

static GByteArray *
read_fixture (const char *name)
{
  g_autofree char *path = data_path (name);
  char *data;
  gsize size;

  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  return g_byte_array_new_take ((guint8 *) data, size);
}

/* FALSE, and the test is marked, where no loader is installed for the kind of @name */
static gboolean
has_loader (const char *name)
{
  g_autoptr (GByteArray) bytes = read_fixture (name);
  const PictureKindInfo *info
      = picture_kind_get_info (picture_kind_guess (bytes->data, bytes->len));

  for (guint i = 0; info->loaders[i]; i++) {
    g_autoptr (GdkPixbufLoader) loader
        = gdk_pixbuf_loader_new_with_type (info->loaders[i], NULL);

    if (loader) {
      gdk_pixbuf_loader_close (loader, NULL);
      return TRUE;
    }
  }
  g_test_skip (info->package);
  return FALSE;
}

static guint8 *
read_rgb (const char *path, const NnPreprocess *background, guint *width, guint *height)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = picture_open (path, &error);
  NnPreprocess pre;
  guint8 *rgb;

  g_assert_no_error (error);
  if (background)
    picture_flatten (picture, background);
  picture_get_size (picture, width, height);
  nn_preprocess_init (&pre, *width, *height);
  rgb = g_malloc ((gsize) *width * *height * 3);
  picture_sample (picture, &pre, rgb, &error);
  g_assert_no_error (error);
  return rgb;
}

/* --- orientation ------------------------------------------------------------------ */

static void
check_turned (const char *name, int tolerance)
{
  g_autofree char *path = data_path (name);
  g_autoptr (GByteArray) expected = read_fixture ("turned.rgb");
  g_autofree guint8 *got = NULL;
  guint width, height;

  got = read_rgb (path, NULL, &width, &height);
  g_assert_cmpuint (width, ==, 12);
  g_assert_cmpuint (height, ==, 8);
  for (guint i = 0; i < expected->len; i++)
    if (ABS (got[i] - expected->data[i]) > tolerance)
      g_error ("%s: pixel %u, %u: %d instead of %d", name, i / 3 % 12, i / 36, got[i],
          expected->data[i]);
}

/* All eight orientations, whatever kind of file says them. */
static void
test_turned (gconstpointer suffix)
{
  const int tolerance = strcmp (suffix, "jpg") == 0 ? 4 : 0;
  g_autofree char *first = g_strdup_printf ("turned-1.%s", (const char *) suffix);

  if (!has_loader (first))
    return;
  for (guint n = 1; n <= 8; n++) {
    g_autofree char *name = g_strdup_printf ("turned-%u.%s", n, (const char *) suffix);

    check_turned (name, tolerance);
  }
}

/* once, not twice: what their decoders turn */
static void
test_turned_once (gconstpointer name)
{
  if (has_loader (name))
    check_turned (name, g_str_has_suffix (name, ".tif") ? 0 : 12);
}

/* EXIF data that says nonsense is no orientation, and is not read beyond */
static void
test_turned_mutated (void)
{
  static const char *const names[] = { "turned-6.png", "turned-6.jpg", "turned-6.webp",
    "turned-6.avif", "turned-6.tif", "runs.tga", "clear.ico", "clear.gif", "plain.pgm" };
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "x", NULL);

  for (guint k = 0; k < G_N_ELEMENTS (names); k++) {
    g_autoptr (GByteArray) whole = read_fixture (names[k]);

    for (guint i = 0; i < 2000; i++) {
      const guint size = (guint) g_test_rand_int_range (0, (gint) whole->len + 1);
      guint8 *bytes = g_memdup2 (whole->data, size); /* for the sanitizer */
      PictureScan scan;

      for (guint m = 0; size > 16 && m < i % 8; m++)
        bytes[g_test_rand_int_range (12, (gint) size)] = (guint8) g_test_rand_int ();
      picture_scan (bytes, size, &scan);
      if (scan.exif)
        g_assert_true (scan.exif >= bytes && scan.exif + scan.exif_size <= bytes + size);
      if (i % 20 == 0 && size > 16 && (guint64) scan.width * scan.height < 1000000) {
        g_assert_true (g_file_set_contents (path, (const char *) bytes, size, NULL));
        picture_free (picture_open (path, NULL));
      }
      g_free (bytes);
    }
  }
  remove_dir (dir);
}

/* --- transparency ----------------------------------------------------------------- */

/* One rule whatever the kind: colours as stored, or laid on a background. */
static void
test_clear (gconstpointer data)
{
  static const guint8 clear[] = { 90, 150, 210 }, half[] = { 200, 100, 50 },
                      full[] = { 10, 60, 110 };
  const char *name = data;
  const gboolean has_half = !g_str_has_prefix (name, "clear.gif") && !strstr (name, "palette");
  g_autofree char *path = data_path (name);
  NnPreprocess pre;

  if (!has_loader (name))
    return;
  nn_preprocess_init (&pre, 1, 1);
  for (guint level = 0; level < 3; level++) {
    g_autofree guint8 *got = NULL;
    guint width, height;

    pre.has_background = level > 0;
    memset (pre.background, level == 2 ? 255 : 0, 3);
    got = read_rgb (path, &pre, &width, &height);
    g_assert_cmpuint (width, ==, 12);
    for (guint i = 0; i < width * height; i++) {
      const guint part = i % 12 / 4;

      for (guint c = 0; c < 3; c++) {
        const int ground = pre.background[c];
        int expected = full[c];

        if (part == 0) /* TIFF multiplied by its opacity has no colour left */
          expected = level ? ground : g_str_has_suffix (name, ".tif") ? 0 : clear[c];
        else if (part == 1 && has_half)
          expected = level ? (half[c] * 128 + ground * 127) / 255 : half[c];
        if (ABS (got[i * 3 + c] - expected) > 1)
          g_error ("%s on %u: pixel %u: %d instead of %d", name, level, i, got[i * 3 + c],
              expected);
      }
    }
  }
}

/* --- cut off ---------------------------------------------------------------------- */

static void
test_cut (gconstpointer name)
{
  /* bytes at the end that no pixel depends on: TGA's footer, TIFF's tags, a mask's padding */
  const guint spare = g_str_has_suffix (name, ".tga") ? 26 : 0;
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "part", NULL);
  g_autoptr (GByteArray) whole = read_fixture (name);

  if (!has_loader (name))
    goto out;
  for (guint n = 0; n < whole->len - spare; n++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Picture) picture = NULL;

    g_remove (path);
    g_assert_true (g_file_set_contents (path, (const char *) whole->data, n, NULL));
    picture = picture_open (path, &error);
    if (picture)
      g_error ("%s: the first %u of %u bytes were taken for a picture", (const char *) name, n,
          whole->len);
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    g_assert_null (strstr (error->message, path));
  }
out:
  remove_dir (dir);
}

/* All blocks are there, the marker is not: cameras and scrapers make such. */
static void
test_lost_end (void)
{
  static const char *const names[] = { "turned-1.jpg", "gray.jpg", "cmyk.jpg", "progressive.jpg" };
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "x.jpg", NULL);

  for (guint k = 0; k < G_N_ELEMENTS (names); k++) {
    g_autofree char *whole_path = data_path (names[k]);
    g_autoptr (GByteArray) bytes = read_fixture (names[k]);
    g_autofree guint8 *expected = NULL;
    guint8 zeros[512] = { 0 };
    guint width, height;

    expected = read_rgb (whole_path, NULL, &width, &height);
    for (guint with_zeros = 0; with_zeros < 2; with_zeros++) {
      g_autofree guint8 *got = NULL;

      g_byte_array_set_size (bytes, with_zeros ? bytes->len : bytes->len - 2);
      if (with_zeros)
        g_byte_array_append (bytes, zeros, sizeof zeros);
      g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
      got = read_rgb (path, NULL, &width, &height);
      g_assert_cmpmem (got, width * height * 3, expected, width * height * 3);
    }
    /* and a byte of the blocks */
    g_byte_array_set_size (bytes, bytes->len - sizeof zeros - 1);
    g_byte_array_append (bytes, zeros, sizeof zeros);
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
      g_assert_null (picture_open (path, &error));
      g_assert_cmpstr (error->message, ==, "the file is cut off: its end marker is missing");
    }
  }
  remove_dir (dir);
}

/* --- huge by their headers -------------------------------------------------------- */

static glong
peak_kib (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/* A header that says 60000x60000: told before a pixel is decoded, in every kind. */
static void
test_huge (void)
{
#define S(bytes) bytes, sizeof bytes - 1
  static const struct
  {
    const char *kind, *bytes;
    gsize size;
  } cases[] = {
    { "TGA", S ("\0\0\x0a\0\0\0\0\0\0\0\0\0\x60\xea\x60\xea\x18\0") },
    { "PNM", S ("P3\n# of some size\n60000 60000\n255\n0 0 0\n") },
    { "WebP", S ("RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x5f\xea\0\x5f\xea\0") },
    { "AVIF", S ("\0\0\0\x10""ftypavif\0\0\0\0\0\0\0\x30meta\0\0\0\0\0\0\0\x24iprp\0\0\0\x1cipco"
                 "\0\0\0\x14ispe\0\0\0\0\0\0\xea\x60\0\0\xea\x60") },
    { "HEIC", S ("\0\0\0\x10""ftypheic\0\0\0\0\0\0\0\x30meta\0\0\0\0\0\0\0\x24iprp\0\0\0\x1cipco"
                 "\0\0\0\x14ispe\0\0\0\0\0\0\xea\x60\0\0\xea\x60") },
    { "TIFF", S ("II*\0\x08\0\0\0\2\0\0\1\3\0\1\0\0\0\x60\xea\0\0\1\1\4\0\1\0\0\0\x60\xea\0\0"
                 "\0\0\0\0") },
    { "GIF", S ("GIF89a\x60\xea\x60\xea\0\0\0\x3b") },
    { "ICO", S ("\0\0\1\0\1\0\0\0\0\0\1\0\x18\0\x28\0\0\0\x16\0\0\0\x28\0\0\0\x60\xea\0\0\xc0\xd4"
                "\1\0\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
  };
#undef S
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "x", NULL);
  const glong before = peak_kib ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_true (
        g_file_set_contents (path, cases[i].bytes, (gssize) cases[i].size, NULL));
    g_assert_null (picture_open (path, &error));
    g_test_message ("%s: %s", cases[i].kind, error->message);
    g_assert_cmpstr (error->message, ==,
        "60000x60000 pixels: at most 268 million are decoded: make it smaller");
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  g_assert_cmpint (peak_kib () - before, <, 64 * 1024);
#else
  (void) before;
#endif
  remove_dir (dir);
}

/* --- kinds ------------------------------------------------------------------------ */

static void
test_no_pictures (void)
{
  static const struct
  {
    const char *name, *bytes, *reason;
    gboolean is_wanted;
  } cases[] = {
    { "page.jpg", "<!DOCTYPE html>\n<html>", "no picture (HTML text)", TRUE },
    { "error", "  <?xml version=\"1.0\"?><Error>AccessDenied</Error>", "no picture (XML text)",
        FALSE },
    { "notes.txt", "na\xc3\xafve notes\n", "no picture (text)", FALSE },
    { "data.csv", "file,label\n", "no picture (text)", FALSE },
    { "a.png", "PK\3\4 something", "no picture (an archive)", TRUE },
    { "b.pdf", "%PDF-1.7", "no picture (a PDF document)", FALSE },
    { "web.png",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"30000\" height=\"30000\"><rect "
        "width=\"30000\" height=\"30000\" fill=\"red\"/></svg>",
        "an SVG drawing: not read: save it as PNG", TRUE },
    { "drawing", "<?xml version=\"1.0\"?>\n<!-- by hand --><svg width=\"3\" height=\"3\"/>",
        "an SVG drawing: not read: save it as PNG", TRUE },
    { "x.psd", "8BPS\0\1", "a Photoshop picture: not read: save it as PNG", TRUE },
    { "x.xpm", "/* XPM */\nstatic char *x[] = {\n\"60000 60000 1 1\",\n\"a c #000000\",\n\"a\"};",
        "an XPM or XBM picture: not read: save it as PNG", TRUE },
    { "core.bin", "\1\2\3\4", "no picture of a known kind", FALSE },
    { ".hidden.png", "x", "no picture (text)", FALSE },
  };
  g_autofree char *dir = make_dir ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_build_filename (dir, cases[i].name, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_true (g_file_set_contents (path, cases[i].bytes, -1, NULL));
    g_assert_null (picture_open (path, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    g_assert_cmpstr (error->message, ==, cases[i].reason);
    g_assert_cmpint (picture_is_wanted (path, cases[i].name), ==, cases[i].is_wanted);
  }
  remove_dir (dir);
}

/* by their bytes, whatever they are called */
static void
test_lying_names (void)
{
  static const char *const kinds[] = { "plain.pbm", "plain.pgm", "plain.tga", "runs.tga",
    "clear.gif", "clear.tif", "clear.ico", "clear.webp", "turned-6.avif", "turned-6.heic",
    "turned-6.jpg", "turned-6.png", "plain.bmp", "plain.ppm" };
  static const char *const names[] = { "noext", "x.jpg?w=640", "wrong.jpg", "wrong.png", "x.dat" };
  g_autofree char *dir = make_dir ();

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    g_autoptr (GByteArray) bytes = read_fixture (kinds[k]);

    for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
      g_autofree char *path = g_build_filename (dir, names[i], NULL);
      g_autofree guint8 *rgb = NULL;
      guint width, height;

      g_remove (path);
      g_assert_true (
          g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
      g_assert_true (picture_is_wanted (path, names[i]));
      if (has_loader (kinds[k]))
        rgb = read_rgb (path, NULL, &width, &height);
    }
  }
  remove_dir (dir);
}

/* A machine without the loaders: the message names the package. */
static void
test_missing_loaders (void)
{
  static const struct
  {
    const char *name, *message;
  } cases[] = {
    { "clear.webp", "a WebP picture: install webp-pixbuf-loader" },
    { "turned-6.avif", "an AVIF picture: install libavif-gdk-pixbuf" },
    { "turned-6.heic", "a HEIC picture: install heif-gdk-pixbuf" },
  };

  if (g_test_subprocess ()) {
    for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
      g_autofree char *path = data_path (cases[i].name);
      g_autoptr (GError) error = NULL;

      g_assert_null (picture_open (path, &error));
      g_assert_cmpstr (error->message, ==, cases[i].message);
    }
    return;
  }
  {
    g_autofree char *dir = make_dir (), *cache = g_build_filename (dir, "loaders.cache", NULL);

    g_assert_true (g_file_set_contents (cache, "", 0, NULL));
    g_setenv ("GDK_PIXBUF_MODULE_FILE", cache, TRUE);
    g_test_trap_subprocess (NULL, 0, 0);
    g_unsetenv ("GDK_PIXBUF_MODULE_FILE");
    g_test_trap_assert_passed ();
    remove_dir (dir);
  }
}

int
main (int argc, char **argv)
{
  static const char *const turned[] = { "jpg", "png", "webp" };
  static const char *const turned_once[]
      = { "turned-3.tif", "turned-6.tif", "turned-3.avif", "turned-6.avif", "turned-6.heic" };
  static const char *const clear[] = { "clear.png", "clear.webp", "clear.tif", "clear.tga",
    "clear.ico", "clear.gif", "clear-palette.png" };
  static const char *const cut[] = { "turned-6.webp", "clear.webp", "turned-6.avif",
    "turned-6.heic", "turned-6.tif", "plain.tga", "runs.tga", "plain.pgm", "plain.pbm",
    "plain.ppm", "clear.ico" };

  g_test_init (&argc, &argv, NULL);
  /* libheif's loader warns of what it refuses */
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  for (guint i = 0; i < G_N_ELEMENTS (turned); i++) {
    g_autofree char *path = g_strdup_printf ("/pictures/turned/%s", turned[i]);

    g_test_add_data_func (path, turned[i], test_turned);
  }
  for (guint i = 0; i < G_N_ELEMENTS (turned_once); i++) {
    g_autofree char *path = g_strdup_printf ("/pictures/turned-once/%s", turned_once[i]);

    g_test_add_data_func (path, turned_once[i], test_turned_once);
  }
  for (guint i = 0; i < G_N_ELEMENTS (clear); i++) {
    g_autofree char *path = g_strdup_printf ("/pictures/transparent/%s", clear[i]);

    g_test_add_data_func (path, clear[i], test_clear);
  }
  for (guint i = 0; i < G_N_ELEMENTS (cut); i++) {
    g_autofree char *path = g_strdup_printf ("/pictures/cut/%s", cut[i]);

    g_test_add_data_func (path, cut[i], test_cut);
  }
  g_test_add_func ("/pictures/mutated", test_turned_mutated);
  g_test_add_func ("/pictures/lost-end", test_lost_end);
  g_test_add_func ("/pictures/huge", test_huge);
  g_test_add_func ("/pictures/no-pictures", test_no_pictures);
  g_test_add_func ("/pictures/lying-names", test_lying_names);
  g_test_add_func ("/pictures/missing-loaders", test_missing_loaders);
  return g_test_run ();
}
