/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Frames to network input against a double-precision reference, Pillow and
 * guard pages. Run it with CLASSIFY_CPU_ISA=c and ORC_CODE=backup too: the same must hold. */

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/image.h"
#include "nn/rng.h"
#include "tests/data/image-fixtures.h"
#include "tests/picture.h"

/* Samples are rounded once, halves either way. The means of an area are kept in 1/128 between
 * rows and columns, which the colour matrix may double. */
#define ROUNDING 0.501
#define AREA_TOLERANCE 0.55

typedef struct
{
  guint width, height;
  NnRect crop; /* width 0: whole */
  guint out_width, out_height;
} Geometry;

static const Geometry geometries[] = {
  { 16, 12, { 0 }, 16, 12 },
  { 1, 1, { 0 }, 1, 1 },
  { 1, 1, { 0 }, 3, 4 },
  { 3, 2, { 0 }, 7, 5 },
  { 33, 21, { 0 }, 10, 7 },
  { 64, 48, { 0 }, 20, 20 },
  { 101, 77, { 0 }, 9, 31 },
  { 40, 30, { 3.25, 2.5, 20.5, 17.75 }, 8, 5 },
  { 37, 29, { 26, 20, 11, 9 }, 4, 4 },         /* right and lower border */
  { 37, 29, { 36, 28, 1, 1 }, 2, 2 },          /* the corner pixel */
  { 36, 28, { 34.5, 27, 1.5, 1 }, 1, 1 },
  { 40, 10, { 0 }, 8, 20 },                    /* shrinks one way, grows the other */
  { 10, 41, { 1, 1, 9, 39 }, 20, 6 },
  { 8, 1201, { 0 }, 3, 2 },                    /* sums of 600 rows */
  { 9, 540, { 0 }, 2, 2 },
};

static NnSampler *
sampler (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre)
{
  GError *error = NULL;
  NnSampler *s = nn_sampler_new (info, crop, pre, &error);

  g_assert_no_error (error);
  return s;
}

static void
check (Picture *picture, const NnRect *crop, const NnPreprocess *pre, double tolerance)
{
  const gsize n = (gsize) pre->width * pre->height * nn_preprocess_get_n_channels (pre);
  g_autofree double *expected = g_new (double, n);
  g_autofree guint8 *out = g_new (guint8, n);
  g_autoptr (NnSampler) s = sampler (&picture->info, crop, pre);

  picture_reference (picture, crop, pre, expected);
  nn_sampler_run_bytes (s, &picture->planes, out);
  for (gsize i = 0; i < n; i++)
    if (!(fabs (out[i] - expected[i]) <= tolerance)) {
      g_autofree char *text = nn_preprocess_to_string (pre);

      g_error ("%s %ux%u, matrix %d, full range %d, crop %g,%g %gx%g, %s: value %zu is %d, "
          "expected %.4f", picture_format_names[picture->info.format], picture->info.width,
          picture->info.height, picture->info.matrix, picture->info.full_range,
          crop ? crop->x : 0, crop ? crop->y : 0, crop ? crop->width : 0,
          crop ? crop->height : 0, text, i, out[i], expected[i]);
    }
}

static double
tolerance_of (const NnPreprocess *pre)
{
  /* grey is made of bytes: rounded twice */
  return (pre->resize == NN_RESIZE_AREA ? AREA_TOLERANCE : ROUNDING)
      + (pre->channels == NN_CHANNELS_GRAY ? .5 : 0);
}

/* every format x matrix x range x resize x shape x memory layout, noise */
static void
test_formats (gconstpointer data)
{
  NnImageInfo info = { .format = (NnPixelFormat) GPOINTER_TO_UINT (data) };
  guint run = 0;

  for (guint g = 0; g < G_N_ELEMENTS (geometries); g++) {
    const Geometry *geometry = &geometries[g];
    const NnRect *crop = geometry->crop.width > 0 ? &geometry->crop : NULL;

    info.width = geometry->width;
    info.height = geometry->height;
    for (guint m = 0; m < 2 * NN_N_MATRICES; m++) {
      g_autoptr (Picture) picture = NULL;

      info.matrix = (NnColorMatrix) (m / 2);
      info.full_range = m & 1;
      picture = picture_new (&info);
      picture_fill_random (picture, 10 + g, FALSE);
      for (guint resize = NN_RESIZE_NEAREST; resize <= NN_RESIZE_AREA; resize++, run++) {
        NnPreprocess pre;

        picture_lay_out (picture, (PictureLayout) (run * 5 % 8));
        nn_preprocess_init (&pre, geometry->out_width, geometry->out_height);
        pre.resize = (NnResize) resize;
        pre.channels = (NnChannels) (run % 3);
        check (picture, crop, &pre, tolerance_of (&pre));
      }
    }
  }
}

/* A plain colour stays one, to the nearest byte, whatever the size. */
static void
test_solid (gconstpointer data)
{
  static const guint8 colours[][3] = { { 16, 128, 128 }, { 235, 128, 128 }, { 81, 90, 240 },
    { 145, 54, 34 }, { 41, 240, 110 }, { 0, 0, 0 }, { 255, 255, 255 }, { 0, 255, 0 },
    { 180, 20, 200 }, { 126, 129, 127 } };
  NnImageInfo info = { .format = (NnPixelFormat) GPOINTER_TO_UINT (data), .width = 23,
    .height = 17 };

  for (guint m = 0; m < 6; m++)
    for (guint k = 0; k < G_N_ELEMENTS (colours); k++) {
      g_autoptr (Picture) picture = NULL;

      info.matrix = (NnColorMatrix) (m / 2);
      info.full_range = m & 1;
      picture = picture_new (&info);
      picture_fill_solid (picture, colours[k][0] << (picture->depth - 8),
          colours[k][1] << (picture->depth - 8), colours[k][2] << (picture->depth - 8));
      picture_lay_out (picture, PICTURE_TIGHT);
      for (guint resize = NN_RESIZE_NEAREST; resize <= NN_RESIZE_AREA; resize++)
        for (guint size = 0; size < 3; size++) {
          NnPreprocess pre;

          nn_preprocess_init (&pre, size == 0 ? 7 : size == 1 ? 40 : 23,
              size == 0 ? 5 : size == 1 ? 31 : 17);
          pre.resize = (NnResize) resize;
          check (picture, NULL, &pre, tolerance_of (&pre));
        }
    }
}

/* white in the tallest areas: no sum overflows */
static void
test_white (gconstpointer data)
{
  NnImageInfo info = { (NnPixelFormat) GPOINTER_TO_UINT (data), 7, 32768, NN_MATRIX_BT601, TRUE };
  g_autoptr (Picture) picture = picture_new (&info);

  for (guint k = 0; k < picture->n_components; k++)
    for (gsize i = 0; i < (gsize) picture->widths[k] * picture->heights[k]; i++)
      picture->components[k][i] = (guint16) ((1 << picture->depth) - 1);
  picture_lay_out (picture, PICTURE_TIGHT);
  for (guint height = 1; height < 200; height = height * 3 + 1) {
    NnPreprocess pre;

    nn_preprocess_init (&pre, 2, height);
    pre.resize = NN_RESIZE_AREA;
    check (picture, NULL, &pre, AREA_TOLERANCE);
  }
}

/* as many rows as sums of 16 bits hold, and a few more and less */
static void
test_white_limits (gconstpointer data)
{
  for (guint height = 62; height < 266; height++) {
    NnImageInfo info = { (NnPixelFormat) GPOINTER_TO_UINT (data), 70, 2 * height, NN_MATRIX_BT601,
      TRUE };
    g_autoptr (Picture) picture = picture_new (&info);
    const guint white = (1u << picture->depth) - 1;
    NnPreprocess pre;

    picture_fill_solid (picture, white, white, white);
    picture_lay_out (picture, PICTURE_TIGHT);
    nn_preprocess_init (&pre, 1, 2);
    pre.resize = NN_RESIZE_AREA;
    check (picture, NULL, &pre, AREA_TOLERANCE);
  }
}

/* Pillow's convert ("L") of many colours, to the bit */
static void
test_gray (void)
{
  const NnImageInfo info = { NN_PIXEL_RGB, 512, 512 };
  g_autofree guint8 *src = g_new (guint8, 3 * 512 * 512), *out = g_new (guint8, 512 * 512);
  const NnImagePlanes planes = { { src }, { 3 * 512 } };
  g_autoptr (NnSampler) s = NULL;
  NnPreprocess pre;

  for (guint i = 0; i < 512 * 512; i++) {
    src[3 * i] = (guint8) ((i & 63) * 255 / 63);
    src[3 * i + 1] = (guint8) ((i >> 6 & 63) * 255 / 63);
    src[3 * i + 2] = (guint8) ((i >> 12) * 255 / 63);
  }
  nn_preprocess_init (&pre, 512, 512);
  pre.channels = NN_CHANNELS_GRAY;
  s = sampler (&info, NULL, &pre);
  nn_sampler_run_bytes (s, &planes, out);
  for (guint i = 0; i < 512 * 512; i++)
    g_assert_cmpuint (out[i], ==,
        (19595u * src[3 * i] + 38470u * src[3 * i + 1] + 7471u * src[3 * i + 2] + 32768) >> 16);
}

/* the well-known ones, by hand: BT.601 and BT.709 red in limited range */
static void
test_known_colours (void)
{
  static const struct
  {
    NnColorMatrix matrix;
    gboolean full_range;
    guint8 yuv[3], rgb[3];
  } rows[] = {
    { NN_MATRIX_BT601, FALSE, { 81, 90, 240 }, { 254, 0, 0 } },
    { NN_MATRIX_BT709, FALSE, { 63, 102, 240 }, { 255, 1, 0 } },
    { NN_MATRIX_BT601, TRUE, { 76, 85, 255 }, { 254, 0, 0 } },
    { NN_MATRIX_BT709, FALSE, { 16, 128, 128 }, { 0, 0, 0 } },
    { NN_MATRIX_BT709, FALSE, { 235, 128, 128 }, { 255, 255, 255 } },
    { NN_MATRIX_BT2020, FALSE, { 126, 128, 128 }, { 128, 128, 128 } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    NnImageInfo info = { NN_PIXEL_I420, 6, 4, rows[i].matrix, rows[i].full_range };
    g_autoptr (Picture) picture = picture_new (&info);
    g_autoptr (NnSampler) s = NULL;
    NnPreprocess pre;
    guint8 out[3];

    picture_fill_solid (picture, rows[i].yuv[0], rows[i].yuv[1], rows[i].yuv[2]);
    picture_lay_out (picture, PICTURE_TIGHT);
    nn_preprocess_init (&pre, 1, 1);
    s = sampler (&info, NULL, &pre);
    nn_sampler_run_bytes (s, &picture->planes, out);
    for (guint c = 0; c < 3; c++)
      g_assert_cmpint (ABS (out[c] - rows[i].rgb[c]), <=, 1);
  }
}

static void
test_large (gconstpointer data)
{
  NnImageInfo info = { (NnPixelFormat) GPOINTER_TO_UINT (data), 4096, 2160, NN_MATRIX_BT709 };
  g_autoptr (Picture) picture = picture_new (&info);

  picture_fill_random (picture, 5, FALSE);
  picture_lay_out (picture, PICTURE_TIGHT);
  for (guint resize = NN_RESIZE_NEAREST; resize <= NN_RESIZE_AREA; resize++) {
    NnPreprocess pre;

    nn_preprocess_init (&pre, 50, 40);
    pre.resize = (NnResize) resize;
    check (picture, NULL, &pre, tolerance_of (&pre));
  }
}

/* random crops of random sizes: nothing is read outside (guard pages), all as the reference */
static void
test_random_crops (void)
{
  NnRng rng;

  nn_rng_init (&rng, 77, NN_STREAM_USER, 1);
  for (guint i = 0; i < 1500; i++) {
    NnImageInfo info = {
      .format = (NnPixelFormat) (1 + nn_rng_below (&rng, NN_PIXEL_N_FORMATS - 1)),
      .width = 1 + nn_rng_below (&rng, 50),
      .height = 1 + nn_rng_below (&rng, 50),
      .matrix = (NnColorMatrix) nn_rng_below (&rng, 3),
    };
    g_autoptr (Picture) picture = picture_new (&info);
    NnPreprocess pre;
    NnRect crop;

    crop.width = nn_rng_uniform (&rng, 1, info.width);
    crop.height = nn_rng_uniform (&rng, 1, info.height);
    crop.x = nn_rng_uniform (&rng, 0, info.width - crop.width);
    crop.y = nn_rng_uniform (&rng, 0, info.height - crop.height);
    if (i % 3 == 0) { /* whole pixels */
      crop.width = floor (crop.width);
      crop.height = floor (crop.height);
      crop.x = floor (crop.x);
      crop.y = floor (crop.y);
    }
    picture_fill_random (picture, i, FALSE);
    picture_lay_out (picture, (PictureLayout) nn_rng_below (&rng, 8));
    nn_preprocess_init (&pre, 1 + nn_rng_below (&rng, 40), 1 + nn_rng_below (&rng, 40));
    pre.resize = (NnResize) nn_rng_below (&rng, 3);
    check (picture, &crop, &pre, tolerance_of (&pre));
  }
}

/* Every orientation: as the reference makes it of the picture turned, and where the format can hold
 * that, the same bits as of it. Nothing is read outside (guard pages). */
static void
test_turned (gconstpointer data)
{
  NnRng rng;

  nn_rng_init (&rng, 78, NN_STREAM_USER, 1);
  for (guint i = 0; i < 480; i++) {
    const NnImageInfo info = { .format = (NnPixelFormat) GPOINTER_TO_UINT (data),
      .width = 1 + nn_rng_below (&rng, i % 20 ? 60 : 1500),
      .height = 1 + nn_rng_below (&rng, i % 20 == 1 ? 1500 : 60),
      .matrix = (NnColorMatrix) nn_rng_below (&rng, NN_N_MATRICES),
      .full_range = i / 8 % 2,
      .orientation = (NnOrientation) (i % NN_N_ORIENTATIONS) };
    g_autoptr (Picture) picture = picture_new (&info), turned = NULL;
    g_autoptr (NnSampler) s = NULL;
    g_autofree double *expected = NULL;
    g_autofree guint8 *out = NULL, *other = NULL;
    NnPreprocess pre;
    NnRect crop;
    gsize n;

    crop.width = nn_rng_uniform (&rng, 1, info.width);
    crop.height = nn_rng_uniform (&rng, 1, info.height);
    crop.x = nn_rng_uniform (&rng, 0, info.width - crop.width);
    crop.y = nn_rng_uniform (&rng, 0, info.height - crop.height);
    picture_fill_random (picture, i, FALSE);
    picture_lay_out (picture, (PictureLayout) nn_rng_below (&rng, 8));
    turned = picture_turn (picture);
    nn_preprocess_init (&pre, 1 + nn_rng_below (&rng, 30), 1 + nn_rng_below (&rng, 30));
    pre.resize = (NnResize) (i / 8 % 3);
    pre.channels = (NnChannels) nn_rng_below (&rng, 3);
    n = (gsize) pre.width * pre.height * nn_preprocess_get_n_channels (&pre);
    expected = g_new (double, n);
    out = g_new (guint8, n);
    other = g_new (guint8, n);
    s = sampler (&info, i % 3 ? &crop : NULL, &pre);
    nn_sampler_run_bytes (s, &picture->planes, out);
    picture_reference (turned, i % 3 ? &crop : NULL, &pre, expected);
    for (gsize k = 0; k < n; k++)
      g_assert_cmpfloat_with_epsilon (out[k], expected[k], tolerance_of (&pre));
    if (picture->shift_x[1] != picture->shift_y[1]
        && nn_orientation_is_transposed (info.orientation))
      continue;
    picture_lay_out (turned, (PictureLayout) nn_rng_below (&rng, 8));
    g_clear_pointer (&s, nn_sampler_free);
    s = sampler (&turned->info, i % 3 ? &crop : NULL, &pre);
    nn_sampler_run_bytes (s, &turned->planes, other);
    g_assert_cmpmem (out, n, other, n);
  }
}

/* Places and pixels turn alike, and back. */
static void
test_turned_places (void)
{
  enum { WIDTH = 5, HEIGHT = 3 };
  const NnRect pixel = { 3, 1, 1, 1 };
  guint8 src[HEIGHT][8][2] = { 0 };

  src[1][3][0] = 7;
  src[1][3][1] = 9;
  for (guint o = 0; o < NN_N_ORIENTATIONS; o++) {
    const NnOrientation orientation = (NnOrientation) o, back = nn_orientation_invert (orientation);
    const gboolean is_transposed = nn_orientation_is_transposed (orientation);
    const guint width = is_transposed ? HEIGHT : WIDTH, height = is_transposed ? WIDTH : HEIGHT;
    const NnRect to = nn_orientation_turn_rect (orientation, WIDTH, HEIGHT, &pixel);
    const NnRect again = nn_orientation_turn_rect (back, width, height, &to);
    guint8 turned[WIDTH * HEIGHT][2], restored[HEIGHT][WIDTH][2];

    nn_orientation_turn_pixels (
        orientation, &src[0][0][0], sizeof src[0], WIDTH, HEIGHT, 2, &turned[0][0],
        2 * (gssize) width);
    for (guint y = 0; y < height; y++)
      for (guint x = 0; x < width; x++) {
        const gboolean is_there = x == to.x && y == to.y;

        g_assert_cmpuint (turned[y * width + x][0], ==, is_there ? 7 : 0);
        g_assert_cmpuint (turned[y * width + x][1], ==, is_there ? 9 : 0);
      }
    g_assert_cmpmem (&again, sizeof again, &pixel, sizeof pixel);
    nn_orientation_turn_pixels (
        back, &turned[0][0], 2 * (gssize) width, width, height, 2, &restored[0][0][0],
        2 * WIDTH);
    g_assert_cmpuint (restored[1][3][0], ==, 7);
  }
}

/* Only the rows that nearest takes are touched: all others are forbidden. */
static void
test_nearest_reads_little (void)
{
  const gsize page = (gsize) sysconf (_SC_PAGESIZE);
  const guint height = 108, out_height = 10;
  NnImageInfo info = { NN_PIXEL_GRAY8, (guint) page, height, NN_MATRIX_BT601, TRUE };
  guint8 *map = mmap (NULL, page * height, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
      -1, 0);
  NnImagePlanes planes = { { map }, { (gssize) page } };
  g_autoptr (NnSampler) s = NULL;
  NnPreprocess pre;
  guint8 out[10 * 10 * 3];
  double y = (double) height / out_height * .5;

  g_assert_true (map != MAP_FAILED);
  for (guint row = 0; row < height; row++)
    memset (map + row * page, (int) row, page);
  mprotect (map, page * height, PROT_NONE);
  for (guint i = 0; i < out_height; i++, y += (double) height / out_height)
    mprotect (map + (guint) y * page, page, PROT_READ);
  nn_preprocess_init (&pre, 10, out_height);
  s = sampler (&info, NULL, &pre);
  nn_sampler_run_bytes (s, &planes, out);
  y = (double) height / out_height * .5;
  for (guint i = 0; i < out_height; i++, y += (double) height / out_height)
    g_assert_cmpint (out[i * 30], ==, (guint) y);
  munmap (map, page * height);
}

/* --- Pillow --------------------------------------------------------------------------- */

static guint32
hash_indices (const guint8 *rgb, guint n)
{
  guint32 h = 0x811c9dc5;

  for (guint i = 0; i < n; i++)
    for (guint k = 0; k < 2; k++)
      h = (h ^ rgb[3 * i + k]) * 0x01000193;
  return h;
}

static void
test_pillow_nearest (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (pillow_nearest); i++) {
    const guint n_in = pillow_nearest[i].n_in, n_out = pillow_nearest[i].n_out;
    g_autofree guint8 *src = g_new0 (guint8, 3 * n_in), *out = g_new (guint8, 3 * n_out);

    for (guint k = 0; k < n_in; k++) {
      src[3 * k] = (guint8) k;
      src[3 * k + 1] = (guint8) (k >> 8);
    }
    for (guint vertical = 0; vertical < 2; vertical++) {
      NnImageInfo info = { NN_PIXEL_RGB, vertical ? 1 : n_in, vertical ? n_in : 1 };
      NnImagePlanes planes = { { src }, { vertical ? 3 : 3 * (gssize) n_in } };
      g_autoptr (NnSampler) s = NULL;
      NnPreprocess pre;

      nn_preprocess_init (&pre, vertical ? 1 : n_out, vertical ? n_out : 1);
      s = sampler (&info, NULL, &pre);
      nn_sampler_run_bytes (s, &planes, out);
      if (hash_indices (out, n_out) != pillow_nearest[i].hash)
        g_error ("%u -> %u: other pixels than Pillow's", n_in, n_out);
    }
  }
}

static void
test_pillow_box (void)
{
  const NnImageInfo info = { NN_PIXEL_RGB, BOX_WIDTH, BOX_HEIGHT };
  const NnImagePlanes planes = { { box_source }, { 3 * BOX_WIDTH } };

  for (guint i = 0; i < G_N_ELEMENTS (pillow_boxes); i++) {
    const gsize n = 3 * (gsize) pillow_boxes[i].width * pillow_boxes[i].height;
    const guint8 *expected = pillow_box_values + pillow_boxes[i].at;
    g_autofree guint8 *out = g_new (guint8, n);
    g_autoptr (NnSampler) s = NULL;
    NnPreprocess pre;

    nn_preprocess_init (&pre, pillow_boxes[i].width, pillow_boxes[i].height);
    pre.resize = NN_RESIZE_AREA;
    s = sampler (&info, NULL, &pre);
    nn_sampler_run_bytes (s, &planes, out);
    for (gsize k = 0; k < n; k++) /* Pillow rounds to bytes between its two passes */
      if (ABS (out[k] - expected[k]) > 1)
        g_error ("%ux%u, value %zu: %d, Pillow has %d", pre.width, pre.height, k, out[k],
            expected[k]);
  }
}

/* --- floats ----------------------------------------------------------------------------- */

static void
test_floats (void)
{
  const NnImageInfo info = { NN_PIXEL_BGRX, 31, 23 };
  g_autoptr (Picture) picture = picture_new (&info);

  picture_fill_random (picture, 3, FALSE);
  picture_lay_out (picture, PICTURE_PADDED);
  for (guint channels = NN_CHANNELS_RGB; channels <= NN_CHANNELS_GRAY; channels++)
    for (guint hflip = 0; hflip < 2; hflip++) {
      enum { W = 13, H = 9 };
      NnPreprocess pre;
      g_autoptr (NnSampler) s = NULL;
      guint8 bytes[W * H * 3];
      float out[W * H * 3], again[W * H * 3];
      guint n;

      nn_preprocess_init (&pre, W, H);
      pre.channels = (NnChannels) channels;
      pre.resize = NN_RESIZE_AREA;
      n = nn_preprocess_get_n_channels (&pre);
      g_assert_cmpuint (n, ==, channels == NN_CHANNELS_GRAY ? 1 : 3);
      for (guint c = 0; c < 3; c++) {
        pre.mean[c] = 103.939f + 10 * c;
        pre.scale[c] = 1 / (58.f + c);
      }
      s = sampler (&info, NULL, &pre);
      nn_sampler_run_bytes (s, &picture->planes, bytes);
      nn_sampler_run (s, &picture->planes, hflip, out);
      nn_preprocess_bytes (&pre, bytes, hflip, again);
      for (guint y = 0; y < H; y++)
        for (guint x = 0; x < W; x++)
          for (guint c = 0; c < n; c++) {
            guint at = (y * W + x) * n + c, from = (y * W + (hflip ? W - 1 - x : x)) * n + c;

            g_assert_cmpfloat (out[at], ==, (bytes[from] - pre.mean[c]) * pre.scale[c]);
            g_assert_cmpfloat (again[at], ==, out[at]);
          }
    }
}

/* the post's: pixel / 255 as Keras's rescale makes it */
static void
test_rescale (void)
{
  NnPreprocess pre;
  guint8 bytes[256 * 3];
  float out[256 * 3];

  for (guint i = 0; i < 256; i++)
    bytes[3 * i] = bytes[3 * i + 1] = bytes[3 * i + 2] = (guint8) i;
  nn_preprocess_init (&pre, 256, 1);
  nn_preprocess_bytes (&pre, bytes, FALSE, out);
  for (guint i = 0; i < 256; i++)
    g_assert_cmpfloat (out[3 * i], ==, (float) i * (1 / 255.f));
}

/* --- the same bits ---------------------------------------------------------------------- */

/* FNV-1a over the bytes of many conversions */
static guint64
digest (void)
{
  guint64 h = G_GUINT64_CONSTANT (0xcbf29ce484222325);

  for (guint format = 1; format < NN_PIXEL_N_FORMATS; format++)
    for (guint i = 0; i < 12; i++) {
      NnImageInfo info = { (NnPixelFormat) format, 100 + 97 * (i % 4), i == 11 ? 900 : 61 + 40 * i,
        (NnColorMatrix) (i % 3), i & 1 };
      g_autoptr (Picture) picture = picture_new (&info);
      NnPreprocess pre;
      g_autoptr (NnSampler) s = NULL;
      guint8 out[23 * 31 * 3];

      picture_fill_random (picture, i, FALSE);
      picture_lay_out (picture, PICTURE_TIGHT);
      nn_preprocess_init (&pre, i == 11 ? 2 : 23, i == 11 ? 2 : 31);
      pre.resize = i % 4 == 3 ? NN_RESIZE_BILINEAR : NN_RESIZE_AREA;
      s = sampler (&info, NULL, &pre);
      nn_sampler_run_bytes (s, &picture->planes, out);
      for (gsize k = 0; k < (gsize) pre.width * pre.height * 3; k++)
        h = (h ^ out[k]) * G_GUINT64_CONSTANT (0x100000001b3);
    }
  return h;
}

static const char *program;

/* Every level of SIMD, each in a process of its own, gives the bytes that the one chosen here
 * gives: ORC's plain C, ORC's SIMD, and those compiled (what this CPU lacks falls to a lesser). */
static void
test_levels (void)
{
  static const char *const levels[][2] = { { "c", "backup" }, { "c", "" }, { "avx2", "" },
    { "avx512", "" } };
  const guint64 here = digest ();

  for (guint i = 0; i < G_N_ELEMENTS (levels); i++) {
    g_auto (GStrv) env = g_environ_setenv (g_get_environ (), "ORC_CODE", levels[i][1], TRUE);
    char *argv[] = { (char *) program, (char *) "--digest", NULL };
    g_autofree char *out = NULL;
    GError *error = NULL;
    int status;

    env = g_environ_setenv (env, "CLASSIFY_CPU_ISA", levels[i][0], TRUE);
    g_spawn_sync (NULL, argv, env, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error);
    g_assert_no_error (error);
    g_assert_cmpint (status, ==, 0);
    if (g_ascii_strtoull (out, NULL, 16) != here)
      g_error ("CLASSIFY_CPU_ISA=%s ORC_CODE=%s: other bytes", levels[i][0], levels[i][1]);
  }
}

/* a sampler may be used again and again, and for pictures elsewhere */
static void
test_again (void)
{
  const NnImageInfo info = { NN_PIXEL_NV12, 50, 40, NN_MATRIX_BT709 };
  g_autoptr (Picture) a = picture_new (&info), b = picture_new (&info);
  NnPreprocess pre;
  g_autoptr (NnSampler) s = NULL, fresh = NULL;
  guint8 first[300], other[300], out[300];

  picture_fill_random (a, 1, FALSE);
  picture_fill_random (b, 2, FALSE);
  picture_lay_out (a, PICTURE_TIGHT);
  picture_lay_out (b, PICTURE_NEGATIVE);
  nn_preprocess_init (&pre, 10, 10);
  pre.resize = NN_RESIZE_AREA;
  s = sampler (&info, NULL, &pre);
  fresh = sampler (&info, NULL, &pre);
  nn_sampler_run_bytes (s, &a->planes, first);
  nn_sampler_run_bytes (s, &b->planes, out);
  nn_sampler_run_bytes (fresh, &b->planes, other);
  g_assert_cmpmem (out, 300, other, 300);
  nn_sampler_run_bytes (s, &a->planes, out);
  g_assert_cmpmem (out, 300, first, 300);
}

/* --- refusals ------------------------------------------------------------------------------- */

static void
test_refused (void)
{
  static const struct
  {
    NnImageInfo info;
    NnRect crop;
    guint width, height;
    int code;
    const char *part;
  } rows[] = {
    { { NN_PIXEL_UNKNOWN, 10, 10 }, { 0, 0, 10, 10 }, 5, 5, NN_ERROR_UNSUPPORTED, "format 0" },
    { { NN_PIXEL_N_FORMATS, 10, 10 }, { 0, 0, 10, 10 }, 5, 5, NN_ERROR_UNSUPPORTED, "format" },
    { { NN_PIXEL_RGB, 0, 10 }, { 0, 0, 10, 10 }, 5, 5, NN_ERROR_SHAPE, "0x10" },
    { { NN_PIXEL_RGB, 10, 32769 }, { 0, 0, 10, 10 }, 5, 5, NN_ERROR_SHAPE, "10x32769" },
    { { NN_PIXEL_RGB, 10, 10 }, { 0, 0, 10, 10 }, 0, 5, NN_ERROR_SHAPE, "0x5" },
    { { NN_PIXEL_RGB, 10, 10 }, { 0, 0, 10, 10 }, 5, G_MAXUINT, NN_ERROR_SHAPE, "5x4294967295" },
    { { NN_PIXEL_RGB, 10, 10 }, { -.1, 0, 5, 5 }, 5, 5, NN_ERROR_SHAPE, "-0.1,0 5x5" },
    { { NN_PIXEL_RGB, 10, 10 }, { 0, 0, 5, .5 }, 5, 5, NN_ERROR_SHAPE, "at least 1x1" },
    { { NN_PIXEL_RGB, 10, 10 }, { 6, 0, 5, 5 }, 5, 5, NN_ERROR_SHAPE, "not inside" },
    { { NN_PIXEL_RGB, 10, 10 }, { 0, 6, 5, 5 }, 5, 5, NN_ERROR_SHAPE, "10x10" },
    { { NN_PIXEL_RGB, 10, 10 }, { NAN, 0, 5, 5 }, 5, 5, NN_ERROR_SHAPE, "not inside" },
    { { NN_PIXEL_RGB, 10, 10 }, { 0, 0, 5, NAN }, 5, 5, NN_ERROR_SHAPE, "not inside" },
    { { NN_PIXEL_RGB, 10, 10 }, { 0, 0, INFINITY, 5 }, 5, 5, NN_ERROR_SHAPE, "not inside" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    NnPreprocess pre;

    nn_preprocess_init (&pre, rows[i].width, rows[i].height);
    g_assert_null (nn_sampler_new (&rows[i].info, &rows[i].crop, &pre, &error));
    g_assert_error (error, NN_ERROR, rows[i].code);
    if (!strstr (error->message, rows[i].part))
      g_error ("\"%s\" does not say \"%s\"", error->message, rows[i].part);
  }
}

static void
test_preprocess (void)
{
  NnPreprocess a, b;
  g_autofree char *text = NULL;

  nn_preprocess_init (&a, 200, 100);
  text = nn_preprocess_to_string (&a);
  g_assert_nonnull (strstr (text, "200x100 RGB, resize nearest"));
  for (guint i = 0; i < 7; i++) {
    b = a;
    g_assert_true (nn_preprocess_equal (&a, &b));
    switch (i) {
      case 0: b.width++; break;
      case 1: b.height++; break;
      case 2: b.channels = NN_CHANNELS_BGR; break;
      case 3: b.resize = NN_RESIZE_AREA; break;
      case 4: b.mean[2] = 1; break;
      case 5: b.scale[0] = 1; break;
      default: b.scale[2] = 1; break;
    }
    g_assert_false (nn_preprocess_equal (&a, &b));
  }
}

int
main (int argc, char **argv)
{
  program = argv[0];
  if (argc == 2 && !strcmp (argv[1], "--digest")) {
    g_print ("%016" G_GINT64_MODIFIER "x\n", digest ());
    return 0;
  }
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image/known-colours", test_known_colours);
  for (guint f = 1; f < NN_PIXEL_N_FORMATS; f++) {
    g_autofree char *noise = g_strconcat ("/image/noise/", picture_format_names[f], NULL);
    g_autofree char *solid = g_strconcat ("/image/solid/", picture_format_names[f], NULL);
    g_autofree char *turned = g_strconcat ("/image/turned/", picture_format_names[f], NULL);

    g_test_add_data_func (noise, GUINT_TO_POINTER (f), test_formats);
    g_test_add_data_func (solid, GUINT_TO_POINTER (f), test_solid);
    g_test_add_data_func (turned, GUINT_TO_POINTER (f), test_turned);
  }
  g_test_add_func ("/image/turned-places", test_turned_places);
  g_test_add_data_func ("/image/4k/NV12", GUINT_TO_POINTER (NN_PIXEL_NV12), test_large);
  g_test_add_data_func ("/image/4k/BGRx", GUINT_TO_POINTER (NN_PIXEL_BGRX), test_large);
  g_test_add_data_func ("/image/white/GRAY8", GUINT_TO_POINTER (NN_PIXEL_GRAY8), test_white);
  g_test_add_data_func ("/image/white/NV12", GUINT_TO_POINTER (NN_PIXEL_NV12), test_white);
  g_test_add_data_func ("/image/white/I422_10LE", GUINT_TO_POINTER (NN_PIXEL_I422_10LE),
      test_white);
  g_test_add_data_func ("/image/white-limits/GRAY8", GUINT_TO_POINTER (NN_PIXEL_GRAY8),
      test_white_limits);
  g_test_add_data_func ("/image/white-limits/Y444_10LE", GUINT_TO_POINTER (NN_PIXEL_Y444_10LE),
      test_white_limits);
  g_test_add_func ("/image/gray", test_gray);
  g_test_add_func ("/image/random-crops", test_random_crops);
  g_test_add_func ("/image/nearest-reads-little", test_nearest_reads_little);
  g_test_add_func ("/image/pillow-nearest", test_pillow_nearest);
  g_test_add_func ("/image/pillow-box", test_pillow_box);
  g_test_add_func ("/image/floats", test_floats);
  g_test_add_func ("/image/rescale", test_rescale);
  g_test_add_func ("/image/levels", test_levels);
  g_test_add_func ("/image/again", test_again);
  g_test_add_func ("/image/refused", test_refused);
  g_test_add_func ("/image/preprocess", test_preprocess);
  return g_test_run ();
}
