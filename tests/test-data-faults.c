/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pictures as they come: cut off, turned, huge, in two classes at once. What
 * less usual kinds of pictures are decoded to is test-train.c's. */

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "nn/error.h"
#include "nn/log.h"
#include "tests/pictures.h"
#include "train/dataset.h"
#include "train/picture-scan.h"

static GPtrArray *warnings;

static void
collect_warning (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level == NN_LOG_WARNING)
    g_ptr_array_add (warnings, g_strdup (message));
}

/* how many warnings have all of @words, each once and in this order */
static guint
count_warnings (const char *first, ...)
{
  guint n = 0;

  for (guint i = 0; i < warnings->len; i++) {
    const char *at = g_ptr_array_index (warnings, i);
    va_list args;

    va_start (args, first);
    for (const char *word = first; word && at; word = va_arg (args, const char *)) {
      at = strstr (at, word);
      if (at)
        at += strlen (word);
    }
    va_end (args);
    n += at != NULL;
  }
  return n;
}

static Dataset *
load (const char *dir, const char *const *classes)
{
  DatasetOptions options = { .layout = LAYOUT_FOLDERS, .classes = classes, .threads = 2 };
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;
  Dataset *data;

  nn_preprocess_init (&pre, 4, 4);
  g_ptr_array_set_size (warnings, 0);
  data = dataset_load (dir, &options, &pre, &error);
  g_assert_no_error (error);
  return data;
}

static void
append (GByteArray *bytes, const char *data, gsize n)
{
  g_byte_array_append (bytes, (const guint8 *) data, (guint) n);
}

static void
write_bytes (const char *path, const GByteArray *bytes)
{
  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
}

static GByteArray *
read_bytes (const char *path)
{
  char *data;
  gsize size;

  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  return g_byte_array_new_take ((guint8 *) data, size);
}

/* --- files that are cut off ----------------------------------------------------------- */

/* a picture of each kind, 23x17 so that a BMP's rows have padding */
static GByteArray *
make_kind (const char *dir, const char *kind)
{
  g_autofree char *path = g_strdup_printf ("%s/whole.%s", dir, kind);
  g_autofree char *plain = make_picture (dir, "plain.png", 23, 17, 0x808080, 1);
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new_from_file (plain, NULL);
  g_autoptr (GError) error = NULL;
  GByteArray *bytes;

  g_remove (plain);
  if (g_str_has_prefix (kind, "data/")) {
    g_autofree char *file = g_build_filename (SOURCE_ROOT, "tests", "data", "pictures",
        kind + strlen ("data/"), NULL);

    return read_bytes (file);
  }
  gdk_pixbuf_save (pixbuf, path, kind, &error, NULL);
  g_assert_no_error (error);
  bytes = read_bytes (path);
  g_remove (path);
  return bytes;
}

static gboolean
opens (const char *path, GError **error)
{
  g_autoptr (Picture) picture = picture_open (path, error);

  return picture != NULL;
}

/* Cut at any place a file is refused, also where the decoder makes do with it:
 * the picture is whole or it is none. */
static void
test_cut (void)
{
  static const struct
  {
    const char *kind;
    gsize spare; /* bytes at the end that no pixel depends on */
  } cases[] = { { "jpeg", 2 }, { "data/progressive.jpg", 2 }, { "data/cmyk.jpg", 2 },
    { "data/gray.jpg", 2 }, { "bmp", 3 }, { "data/plain.gif", 1 }, { "png", 12 } };
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "part", NULL);

  for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
    g_autoptr (GByteArray) whole = make_kind (dir, cases[c].kind);
    g_autoptr (GError) error = NULL;
    guint n_silent = 0;

    for (gsize n = 0; n < whole->len - cases[c].spare; n++) {
      g_autoptr (GError) local = NULL;

      g_remove (path); /* else each of thousands would be synced to the disk */
      g_assert_true (g_file_set_contents (path, (const char *) whole->data, (gssize) n, NULL));
      if (opens (path, &local))
        g_error ("%s: the first %" G_GSIZE_FORMAT " of %u bytes were taken for a picture",
            cases[c].kind, n, whole->len);
      g_assert_error (local, NN_ERROR, NN_ERROR_FORMAT);
      g_assert_null (strstr (local->message, path));
      n_silent += g_str_has_prefix (local->message, "the file is cut off: ");
    }
    g_test_message ("%s: %u of %u cuts told by the scan", cases[c].kind, n_silent, whole->len);
    g_assert_cmpuint (n_silent, >, 10);

    /* whole, and with something behind it */
    for (guint i = 0; i < 3; i++) {
      write_bytes (path, whole);
      opens (path, &error);
      g_assert_no_error (error);
      append (whole, "\0\xff\xd8\xff\xda\0\x08 trailing", 16);
    }
  }
  remove_dir (dir);
}

/* the end marker of a thumbnail is not the picture's */
static void
test_cut_thumbnail (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "x.jpg", NULL);
  g_autoptr (GByteArray) whole = make_kind (dir, "jpeg"), file = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  const guint length = whole->len + 2;
  const guint8 segment[] = { 0xff, 0xe2, (guint8) (length >> 8), (guint8) length };
  const guint8 fill[] = { 0xff, 0xff, 0xff };

  append (file, "\xff\xd8", 2);
  append (file, (const char *) segment, 4);
  append (file, (const char *) whole->data, whole->len);
  append (file, (const char *) fill, sizeof fill); /* before a marker any number of them */
  append (file, (const char *) whole->data + 2, whole->len - 2);
  write_bytes (path, file);
  opens (path, &error);
  g_assert_no_error (error);
  g_byte_array_set_size (file, file->len - 60);
  write_bytes (path, file);
  g_assert_false (opens (path, &error));
  g_assert_cmpstr (error->message, ==, "the file is cut off: its end marker is missing");
  remove_dir (dir);
}

/* nothing is read outside of the bytes, whatever they say (for the sanitizers) */
static void
test_scan_mutated (void)
{
  static const char *const kinds[] = { "jpeg", "data/progressive.jpg", "bmp", "data/plain.gif",
    "png" };
  g_autofree char *dir = make_dir ();

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    g_autoptr (GByteArray) whole = make_kind (dir, kinds[k]);

    for (guint i = 0; i < 3000; i++) {
      const guint size = (guint) g_test_rand_int_range (0, (gint) whole->len + 1);
      guint8 *bytes = g_memdup2 (whole->data, size);
      PictureScan scan;

      for (guint m = 0; size > 6 && m < i % 8; m++)
        bytes[g_test_rand_int_range (2, (gint) MIN (size, m % 2 ? 60 : size))]
            = (guint8) g_test_rand_int ();
      picture_scan (bytes, size, &scan);
      g_free (bytes);
    }
  }
  remove_dir (dir);
}

/* --- a folder with one of each fault ----------------------------------------------------- */

static void
test_folder (void)
{
  static const struct
  {
    const char *name, *bytes;
    gsize size;
    const char *reason; /* what the decoder says is not ours to hold */
  } faults[] = {
    { "b-empty.jpg", "", 0, "Image file contains no data" },
    { "c-text.jpg", "no picture, but a note\n", 23, "" },
    { "d-cut.jpg", NULL, 0, "the file is cut off: its end marker is missing" },
    { "e-cut.bmp", NULL, 0, "the file is cut off: some of its rows are missing" },
    { "f-cut.gif", NULL, 0, "the file is cut off: the end of its first picture is missing" },
    { "g-pipe.png", NULL, 0, "expected a file, found a pipe or device" },
    { "h-huge.png",
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\x86\xa0\0\1\x86\xa0\x08\2\0\0\0\0\0\0\0", 33,
        "100000x100000 pixels: at most 268 million are decoded: make it smaller" },
  };
  g_autofree char *dir = make_dir (), *good = make_picture (dir, "a/a.jpg", 9, 9, 0x405060, 0);
  g_autoptr (GByteArray) jpeg = make_kind (dir, "jpeg"), bmp = make_kind (dir, "bmp");
  g_autoptr (GByteArray) gif = make_kind (dir, "data/plain.gif");
  g_autoptr (Dataset) data = NULL;

  g_free (make_picture (dir, "a/z.jpg", 9, 9, 0xc0d0e0, 0));
  g_free (make_picture (dir, "b/a.jpg", 9, 9, 0, 1));
  jpeg->len -= 40;
  bmp->len -= 40;
  gif->len -= 20;
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *path = g_build_filename (dir, "a", faults[i].name, NULL);

    if (strstr (path, "pipe"))
      g_assert_cmpint (mkfifo (path, 0600), ==, 0);
    else if (strstr (path, "cut"))
      write_bytes (path, strstr (path, "jpg") ? jpeg : strstr (path, "bmp") ? bmp : gif);
    else
      g_assert_true (g_file_set_contents (path, faults[i].bytes, (gssize) faults[i].size, NULL));
  }
  data = load (dir, NULL);
  g_assert_cmpuint (data->n, ==, 3);
  g_assert_cmpuint (data->n_unreadable, ==, G_N_ELEMENTS (faults));
  g_assert_cmpuint (warnings->len, ==, G_N_ELEMENTS (faults));
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *path = g_build_filename (dir, "a", faults[i].name, NULL);

    if (count_warnings ("left out: ", path, ": ", faults[i].reason, NULL) != 1)
      g_error ("%s: wanted: %s", (char *) g_ptr_array_index (warnings, i), faults[i].reason);
  }
  /* the good ones keep their pixels and digests */
  g_assert_true (g_str_has_suffix (data->paths[1], "a/z.jpg"));
  g_assert_cmpuint (data->bytes[data->sample_size] & 0xc0, ==, 0xc0);
  {
    g_autoptr (GByteArray) bytes = read_bytes (data->paths[1]);
    g_autofree char *expected = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes->data,
        bytes->len);

    for (guint i = 0; i < 32; i++) {
      g_autofree char *hex = g_strdup_printf ("%02x", data->digests[1].sha256[i]);

      g_assert_true (strncmp (hex, expected + 2 * i, 2) == 0);
    }
  }
  remove_dir (dir);
}

/* --- cameras held every way ----------------------------------------------------------------- */

/* @jpeg with an EXIF segment that tells the orientation */
static void
write_turned (const char *path, const GByteArray *jpeg, guint8 orientation)
{
  g_autoptr (GByteArray) file = g_byte_array_new ();

  append (file, "\xff\xd8", 2);
  append (file, "\xff\xe1\0\x22"    /* APP1, 34 bytes */
                "Exif\0\0"
                "MM\0\x2a\0\0\0\x08" /* big-endian TIFF */
                "\0\1"               /* one entry: orientation, SHORT, 1 */
                "\1\x12\0\3\0\0\0\1\0", 29);
  g_byte_array_append (file, &orientation, 1);
  append (file, "\0\0\0\0\0\0", 6);
  append (file, (const char *) jpeg->data + 2, jpeg->len - 2);
  write_bytes (path, file);
}

/* EXIF 2.3, tag 0x0112: where the stored row 0 and column 0 are in the scene */
static void
stored_at (guint orientation, guint width, guint height, guint x, guint y, guint *sx, guint *sy)
{
  switch (orientation) {
    case 1: *sx = x; *sy = y; break;
    case 2: *sx = width - 1 - x; *sy = y; break;
    case 3: *sx = width - 1 - x; *sy = height - 1 - y; break;
    case 4: *sx = x; *sy = height - 1 - y; break;
    case 5: *sx = y; *sy = x; break;                           /* row 0 left, column 0 top */
    case 6: *sx = y; *sy = height - 1 - x; break;              /* row 0 right, column 0 top */
    case 7: *sx = width - 1 - y; *sy = height - 1 - x; break;  /* row 0 right, column 0 bottom */
    default: *sx = width - 1 - y; *sy = x; break;              /* row 0 left, column 0 bottom */
  }
}

static guint8 *
sample_whole (const char *path, guint *width, guint *height)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = picture_open (path, &error);
  NnPreprocess pre;
  guint8 *rgb;

  g_assert_no_error (error);
  picture_get_size (picture, width, height);
  nn_preprocess_init (&pre, *width, *height);
  rgb = g_malloc ((gsize) *width * *height * 3);
  picture_sample (picture, &pre, rgb, &error);
  g_assert_no_error (error);
  return rgb;
}

static void
test_orientation (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "x.jpg", NULL);
  g_autofree char *plain = make_picture (dir, "plain.jpg", 21, 13, 0x306090, 3);
  g_autofree guint8 *stored = NULL;
  g_autoptr (GByteArray) jpeg = read_bytes (plain);
  guint width, height;

  stored = sample_whole (plain, &width, &height);
  g_assert_cmpuint (width, ==, 21);
  for (guint8 orientation = 1; orientation <= 8; orientation++) {
    g_autofree guint8 *seen = NULL;
    guint w, h;

    write_turned (path, jpeg, orientation);
    seen = sample_whole (path, &w, &h);
    g_assert_cmpuint (w, ==, orientation < 5 ? width : height);
    g_assert_cmpuint (h, ==, orientation < 5 ? height : width);
    for (guint y = 0; y < h; y++) {
      for (guint x = 0; x < w; x++) {
        guint sx, sy;

        stored_at (orientation, width, height, x, y, &sx, &sy);
        g_assert_cmpmem (seen + (y * w + x) * 3, 3, stored + (sy * width + sx) * 3, 3);
      }
    }
  }
  remove_dir (dir);
}

/* --- size ---------------------------------------------------------------------------------- */

/* A grey JPEG of any size by hand, without its pixels in memory: four plain
 * quarters. Every block is a DC difference and the end of the block; the code
 * has three words: "0" no difference, "10" one of 7 bits, "110" one of 8. */
static void
write_quarters (const char *path, guint width, guint height, const guint8 values[4])
{
  g_autoptr (GByteArray) file = g_byte_array_new ();
  const guint columns = (width + 7) / 8, rows = (height + 7) / 8;
  guint32 bits = 0;
  guint n_bits = 0;
  int last = 128;

  append (file, "\xff\xd8\xff\xdb\0\x43\0\x08", 8); /* DQT: 8, so that a DC step is a grey level */
  for (guint i = 1; i < 64; i++)
    append (file, "\1", 1);
  append (file, "\xff\xc0\0\x0b\x08", 5);
  {
    const guint8 size[] = { (guint8) (height >> 8), (guint8) height, (guint8) (width >> 8),
      (guint8) width };

    append (file, (const char *) size, 4);
  }
  append (file, "\1\1\x11\0", 4);
  append (file, "\xff\xc4\0\x16\0\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\x08", 24); /* DC */
  append (file, "\xff\xc4\0\x14\x10\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);     /* AC: end */
  append (file, "\xff\xda\0\x08\1\1\0\0\x3f\0", 10);
  for (guint y = 0; y < rows; y++) {
    for (guint x = 0; x < columns; x++) {
      int value = values[(y >= rows / 2) * 2 + (x >= columns / 2)], difference = value - last;
      guint n = difference == 0 ? 0 : ABS (difference) < 128 ? 7 : 8;
      guint base = n == 7 ? 64 : 128; /* the least that needs n bits */

      if (n && (guint) ABS (difference) < base)
        g_error ("a difference of %d cannot be written", difference);
      last = value;
      if (n)
        bits = bits << (n == 7 ? 2 : 3) | (n == 7 ? 2 : 6), n_bits += n == 7 ? 2 : 3;
      else
        bits <<= 1, n_bits++;
      bits = bits << n
          | (guint32) (difference < 0 ? difference + (1 << n) - 1 : difference);
      n_bits += n;
      bits <<= 1; /* the end of the block */
      n_bits++;
      for (; n_bits >= 8; n_bits -= 8) {
        const guint8 byte = (guint8) (bits >> (n_bits - 8));

        g_byte_array_append (file, &byte, 1);
        if (byte == 0xff)
          append (file, "", 1);
      }
    }
  }
  {
    const guint8 byte = (guint8) (bits << (8 - n_bits) | 0xffu >> n_bits);

    g_byte_array_append (file, &byte, 1);
    if (byte == 0xff)
      append (file, "", 1);
  }
  append (file, "\xff\xd9", 2);
  write_bytes (path, file);
}

static void
check_quarters (const char *path, guint width, guint height, const guint8 values[4])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = picture_open (path, &error);
  guint w, h;
  NnPreprocess pre;
  guint8 got[4 * 4 * 3];

  g_assert_no_error (error);
  picture_get_size (picture, &w, &h);
  g_assert_cmpuint (w, ==, width);
  g_assert_cmpuint (h, ==, height);
  nn_preprocess_init (&pre, 4, 4);
  picture_sample (picture, &pre, got, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < sizeof got; i++)
    g_assert_cmpint (ABS (got[i] - values[i / 24 * 2 + i / 6 % 2]), <=, 1);
}

static G_GNUC_UNUSED glong
peak_kib (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/* 108 million pixels as phones make them: 324 MB decoded whole, 81 at a half */
static void
test_large (void)
{
  static const guint8 values[4] = { 20, 100, 220, 150 }, turned[4] = { 220, 20, 150, 100 };
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "x.jpg", NULL);
  g_autoptr (GByteArray) jpeg = NULL;
  G_GNUC_UNUSED const glong before = peak_kib ();

  write_quarters (path, 12000, 9000, values);
  check_quarters (path, 6000, 4500, values);
  jpeg = read_bytes (path);
  write_turned (path, jpeg, 6);
  check_quarters (path, 4500, 6000, turned);
  write_quarters (path, 16003, 16001, values); /* no whole halves */
  check_quarters (path, 4001, 4001, values);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  /* a picture, its turned copy, and what the decoder needs */
  g_assert_cmpint (peak_kib () - before, <, 240 * 1024);
#endif

  write_quarters (path, 8192, 4096, values); /* the largest that is decoded as it is */
  check_quarters (path, 8192, 4096, values);
  write_quarters (path, 8193, 4096, values);
  check_quarters (path, 4097, 2048, values);
  remove_dir (dir);
}

/* pictures of ordinary sizes are gdk-pixbuf's to the bit */
static void
test_ordinary (void)
{
  static const int sizes[][2] = { { 1, 1 }, { 1, 300 }, { 640, 480 }, { 2999, 2001 } };
  g_autofree char *dir = make_dir ();

  for (guint i = 0; i < 2 * G_N_ELEMENTS (sizes); i++) {
    const int width = sizes[i / 2][0], height = sizes[i / 2][1];
    g_autofree char *path
        = make_picture (dir, i % 2 ? "x.png" : "x.jpg", width, height, 0x5a3c96, i);
    g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new_from_file (path, NULL);
    const guchar *expected = gdk_pixbuf_read_pixels (pixbuf);
    g_autofree guint8 *got = NULL;
    guint w, h;

    got = sample_whole (path, &w, &h);
    g_assert_cmpuint (w, ==, width);
    g_assert_cmpuint (h, ==, height);
    for (int y = 0; y < height; y++)
      g_assert_cmpmem (got + (gsize) y * w * 3, w * 3,
          expected + (gsize) y * gdk_pixbuf_get_rowstride (pixbuf), w * 3);
  }
  remove_dir (dir);
}

/* --- the same picture twice ------------------------------------------------------------------- */

static void
copy_file (const char *from, const char *dir, const char *name)
{
  g_autofree char *to = g_build_filename (dir, name, NULL), *folder = g_path_get_dirname (to);
  g_autoptr (GByteArray) bytes = read_bytes (from);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  write_bytes (to, bytes);
}

static void
test_contradictions (void)
{
  g_autofree char *dir = make_dir (), *one = NULL, *two = NULL;
  g_autoptr (Dataset) before = NULL, after = NULL;

  one = make_picture (dir, "cat/1.png", 8, 8, 0x112233, 0);
  two = make_picture (dir, "cat/2.png", 8, 8, 0x112233, 1);
  g_free (make_picture (dir, "dog/1.png", 8, 8, 0x332211, 2));
  g_free (make_picture (dir, "owl/1.png", 8, 8, 0x332233, 2));
  copy_file (one, dir, "cat/3.png"); /* twice in one class is no contradiction */
  before = load (dir, NULL);
  g_assert_cmpuint (warnings->len, ==, 0);

  copy_file (one, dir, "dog/again.png");
  copy_file (two, dir, "dog/two.png");
  copy_file (one, dir, "owl/again.png");
  after = load (dir, NULL);
  g_assert_cmpuint (after->n, ==, before->n + 3); /* all are kept */
  g_assert_cmpuint (warnings->len, ==, 4);
  g_assert_cmpuint (count_warnings (one, " and ", "/dog/again.png",
                        ": the same picture in two classes, \"cat\" and \"dog\"", NULL), ==, 1);
  g_assert_cmpuint (count_warnings (two, " and ", "/dog/two.png", "\"cat\" and \"dog\"", NULL),
      ==, 1);
  g_assert_cmpuint (count_warnings (one, " and ", "/owl/again.png", "\"cat\" and \"owl\"", NULL),
      ==, 1);
  g_assert_cmpuint (
      count_warnings (dir, ": 3 pictures are also in a second class", NULL), ==, 1);
  remove_dir (dir);
}

static void
test_shared (void)
{
  g_autofree char *train = make_dir (), *validate = make_dir (), *one = NULL, *two = NULL;
  g_autoptr (Dataset) training = NULL, clean = NULL, shared = NULL;

  one = make_picture (train, "a/1.png", 8, 8, 0x112233, 0);
  two = make_picture (train, "b/2.png", 8, 8, 0x112233, 1);
  g_free (make_picture (validate, "a/x.png", 8, 8, 0x112233, 2));
  g_free (make_picture (validate, "b/x.png", 8, 8, 0x112233, 3));
  training = load (train, NULL);
  clean = load (validate, NULL);
  g_assert_cmpuint (dataset_warn_of_shared (training, clean, validate), ==, 0);
  g_assert_cmpuint (warnings->len, ==, 0);
  copy_file (two, validate, "b/other-name.png");
  copy_file (two, validate, "b/and-again.png");
  copy_file (one, validate, "a/1.png");
  shared = load (validate, NULL);
  g_assert_cmpuint (dataset_warn_of_shared (training, shared, validate), ==, 3);
  g_assert_cmpuint (warnings->len, ==, 1);
  g_assert_cmpuint (count_warnings (validate, ": 3 of these 5 pictures are also trained with (",
                        validate, "/a/1.png is ", one, ")", NULL), ==, 1);
  remove_dir (train);
  remove_dir (validate);
}

/* --- nowhere to write ------------------------------------------------------------------------- */

static const char network_text[]
    = "{\"class_name\":\"Sequential\",\"config\":[{\"class_name\":\"Flatten\",\"config\":"
      "{\"name\":\"f\",\"batch_input_shape\":[null,8,8,3]}},{\"class_name\":\"Dense\","
      "\"config\":{\"name\":\"d\",\"units\":1,\"activation\":\"sigmoid\"}}]}";
static const char recipe_text[]
    = "[network]\nfile=net.json\n[schedule]\nepochs=120\nlearning_rate=1e-4\n[training]\n"
      "batch_size=4\n";

static void
make_run (const char *dir)
{
  g_autofree char *network = g_build_filename (dir, "net.json", NULL);
  g_autofree char *recipe = g_build_filename (dir, "r.ini", NULL);

  for (guint i = 0; i < 8; i++) {
    g_autofree char *name = g_strdup_printf ("train/%c/%u.png", 'a' + i % 2, i);

    g_free (make_picture (dir, name, 9, 9, i % 2 ? 0x30a040 : 0x9040b0, i));
  }
  g_file_set_contents (network, network_text, -1, NULL);
  g_file_set_contents (recipe, recipe_text, -1, NULL);
}

/* in the child: files of at most 1000 bytes, as on a disk that is full */
static void
limit_files (gpointer user_data)
{
  const struct rlimit small = { 1000, 1000 };

  setrlimit (RLIMIT_FSIZE, &small);
  signal (SIGXFSZ, SIG_IGN);
}

/* Trains in @dir; @out, with @is_stopped stopped after its first epoch. */
static int
train (const char *dir, const char *out, const char *more, GSpawnChildSetupFunc setup,
    gboolean is_stopped, char **message)
{
  const char *argv[] = { g_getenv ("CLASSIFY_EXE"), "train", "r.ini", "--data", ".", "-o", out,
    "--device", "cpu", more, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOChannel) lines = NULL, errors = NULL;
  char *line;
  int out_fd, error_fd, status;
  GPid pid;

  g_spawn_async_with_pipes (dir, (char **) argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, setup, NULL,
      &pid, NULL, &out_fd, &error_fd, &error);
  g_assert_no_error (error);
  lines = g_io_channel_unix_new (out_fd);
  errors = g_io_channel_unix_new (error_fd);
  g_io_channel_set_close_on_unref (lines, TRUE);
  g_io_channel_set_close_on_unref (errors, TRUE);
  while (g_io_channel_read_line (lines, &line, NULL, NULL, NULL) == G_IO_STATUS_NORMAL) {
    if (is_stopped && g_str_has_prefix (line, "epoch "))
      kill (pid, SIGTERM);
    is_stopped = is_stopped && !g_str_has_prefix (line, "epoch ");
    g_free (line);
  }
  g_assert_cmpint (g_io_channel_read_to_end (errors, message, NULL, NULL), ==,
      G_IO_STATUS_NORMAL);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

/* The disk is full at a checkpoint: told, the one before stays as it was, and
 * with room again the run goes on to the same model. */
static void
test_full_disk (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "b.checkpoint.h5", NULL);
  g_autofree char *text = NULL, *again = NULL, *full = NULL, *rest = NULL;
  g_autofree char *a = g_build_filename (dir, "a.h5", NULL);
  g_autofree char *b = g_build_filename (dir, "b.h5", NULL);
  g_autoptr (GByteArray) before = NULL, after = NULL, whole = NULL, resumed = NULL;

  if (!g_getenv ("CLASSIFY_EXE")) {
    g_test_skip ("CLASSIFY_EXE does not name the command");
    remove_dir (dir);
    return;
  }
  make_run (dir);
  g_assert_cmpint (train (dir, "a.h5", NULL, NULL, FALSE, &text), ==, 0);
  g_assert_cmpint (train (dir, "b.h5", NULL, NULL, TRUE, &again), ==, 130);
  before = read_bytes (path);
  g_assert_cmpint (train (dir, "b.h5", "--resume", limit_files, FALSE, &full), ==, 2);
  g_assert_nonnull (strstr (full, "b.checkpoint.h5: cannot write"));
  after = read_bytes (path);
  g_assert_cmpmem (before->data, before->len, after->data, after->len);
  g_assert_cmpint (train (dir, "b.h5", "--resume", NULL, FALSE, &rest), ==, 0);
  whole = read_bytes (a);
  resumed = read_bytes (b);
  g_assert_cmpmem (whole->data, whole->len, resumed->data, resumed->len);
  remove_dir (dir);
}

/* told before anything is trained */
static void
test_output (void)
{
  static const struct
  {
    const char *out, *more, *message;
  } cases[] = {
    { "no/where/x.h5", NULL, "no/where/x.h5: cannot write into folder no/where: No such file" },
    { "net.json/x.h5", NULL, "net.json/x.h5: cannot write: net.json is no folder" },
    { "train", NULL, "train: is a folder: name a file to write" },
    { "x.h5", "--log=no/x.csv", "no/x.csv: cannot write into folder no: No such file" },
    { "x.h5", "--log=train", "train: is a folder: name a file to write" },
  };
  g_autofree char *dir = make_dir ();

  if (!g_getenv ("CLASSIFY_EXE")) {
    g_test_skip ("CLASSIFY_EXE does not name the command");
    remove_dir (dir);
    return;
  }
  make_run (dir);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = NULL, *file = g_build_filename (dir, "x.h5", NULL);
    int status = train (dir, cases[i].out, cases[i].more, NULL, TRUE, &text);

    if (status != 2 || !strstr (text, cases[i].message))
      g_error ("%s: status %d: %s", cases[i].out, status, text);
    g_assert_false (g_file_test (file, G_FILE_TEST_EXISTS));
  }
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  warnings = g_ptr_array_new_with_free_func (g_free);
  nn_log_set_sink (collect_warning, NULL);
  g_test_add_func ("/data-faults/cut", test_cut);
  g_test_add_func ("/data-faults/cut-thumbnail", test_cut_thumbnail);
  g_test_add_func ("/data-faults/scan-mutated", test_scan_mutated);
  g_test_add_func ("/data-faults/folder", test_folder);
  g_test_add_func ("/data-faults/orientation", test_orientation);
  g_test_add_func ("/data-faults/large", test_large);
  g_test_add_func ("/data-faults/ordinary", test_ordinary);
  g_test_add_func ("/data-faults/contradictions", test_contradictions);
  g_test_add_func ("/data-faults/shared", test_shared);
  g_test_add_func ("/data-faults/full-disk", test_full_disk);
  g_test_add_func ("/data-faults/output", test_output);
  status = g_test_run ();
  g_ptr_array_unref (warnings);
  return status;
}
