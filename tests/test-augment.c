/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keras's augmentation against golden vectors, NumPy, SciPy and plain loops. */

#include <math.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/rng.h"
#include "tests/data/image-fixtures.h"

static void
plain_pre (NnPreprocess *pre, guint width, guint height, guint channels)
{
  nn_preprocess_init (pre, width, height);
  pre->channels = channels == 1 ? NN_CHANNELS_GRAY : NN_CHANNELS_RGB;
  for (guint c = 0; c < 3; c++)
    pre->scale[c] = 1;
}

static guint8 *
random_picture (guint64 seed, gsize n)
{
  guint8 *picture = g_new (guint8, n);
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_USER, 0);
  for (gsize i = 0; i < n; i++)
    picture[i] = (guint8) nn_rng_u32 (&rng);
  return picture;
}

/* --- random numbers --------------------------------------------------------------- */

/* Random123's known answers for philox4x32-10 (kat_vectors) */
static void
test_philox (void)
{
  static const struct
  {
    uint32_t counter[4], key[2], out[4];
  } rows[] = {
    { { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
        { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
        { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    uint32_t out[4];

    nn_philox (rows[i].counter, rows[i].key, out);
    for (guint k = 0; k < 4; k++)
      g_assert_cmphex (out[k], ==, rows[i].out[k]);
  }
}

/* --- matrices and warps ------------------------------------------------------------ */

/* one 4x5 picture of 5 * row + column, in both of Keras's conventions */
static void
test_golden (void)
{
  static const struct
  {
    double center_offset;
    gboolean swap_axes;
    guint order;
    double matrix[6];
    double out[20];
  } rows[] = {
    { 0.5, FALSE, 0, { 0.9526, -0.5256, 2.8879, 0.5500, 0.7306, -1.0328 },
        { 15, 10, 10, 6, 7, 15, 15, 16, 12, 12, 15, 16, 17, 17, 18, 16, 16, 17, 18, 19 } },
    { 0.5, FALSE, 1, { 0.9526, -0.5256, 2.8879, 0.5500, 0.7306, -1.0328 },
        { 14.4397, 11.8119, 9.6124, 7.7152, 5.8180, 15, 15.2478, 14.9256, 13.0284, 11.1311,
            15.0672, 15.7978, 16.5284, 17.2590, 16.4443, 15.6172, 16.3478, 17.0784, 17.8090,
            18.5396 } },
    { -0.5, TRUE, 0, { 0.7306, 0.5500, -0.7522, -0.5256, 0.9526, 2.3150 },
        { 2, 3, 4, 9, 9, 2, 8, 9, 14, 14, 6, 7, 13, 14, 19, 6, 12, 18, 19, 19 } },
  };
  guint8 picture[20];

  for (guint i = 0; i < 20; i++)
    picture[i] = (guint8) i;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    NnAugment augment;
    NnAugmentParams params = {
      .theta = 30 * G_PI / 180, .tx = 0.8, .ty = -1.0, .shear = 0.1, .zx = 1.1, .zy = 0.9
    };
    NnPreprocess pre;
    float out[20];

    nn_augment_init (&augment);
    augment.center_offset = rows[i].center_offset;
    augment.swap_axes = rows[i].swap_axes;
    augment.interpolation_order = rows[i].order;
    plain_pre (&pre, 5, 4, 1);
    nn_augment_matrix (&augment, 4, 5, &params);
    g_assert_false (params.is_identity);
    for (guint k = 0; k < 6; k++)
      g_assert_cmpfloat_with_epsilon (params.matrix[k], rows[i].matrix[k], 5.1e-5);
    nn_augment_apply (&augment, &params, &pre, picture, out);
    for (guint k = 0; k < 20; k++) {
      if (rows[i].order == 0)
        g_assert_cmpfloat (out[k], ==, rows[i].out[k]);
      else
        g_assert_cmpfloat_with_epsilon (out[k], rows[i].out[k], 5.1e-5);
    }
  }
}

static void
scipy_augment (const ScipyWarp *row, NnAugment *augment)
{
  nn_augment_init (augment);
  augment->interpolation_order = row->order;
  augment->fill_mode = row->fill;
  augment->cval = row->cval;
  augment->center_offset = row->center_offset;
  augment->swap_axes = row->swap_axes;
}

static void
test_numpy_matrices (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (scipy_warps); i++) {
    const ScipyWarp *row = &scipy_warps[i];
    NnAugment augment;
    NnAugmentParams params = {
      .theta = row->params[0], .tx = row->params[1], .ty = row->params[2],
      .shear = row->params[3], .zx = row->params[4], .zy = row->params[5]
    };

    scipy_augment (row, &augment);
    nn_augment_matrix (&augment, row->height, row->width, &params);
    for (guint k = 0; k < 6; k++)
      g_assert_cmpfloat_with_epsilon (params.matrix[k], row->matrix[k],
          1e-13 * (1 + fabs (row->matrix[k])));
  }
}

/* every fill mode and order, to the bit */
static void
test_scipy_warps (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (scipy_warps); i++) {
    const ScipyWarp *row = &scipy_warps[i];
    const guint n = row->height * row->width * row->channels;
    NnAugment augment;
    NnAugmentParams params = { .zx = 1, .zy = 1 };
    NnPreprocess pre;
    g_autofree float *out = g_new (float, n);

    scipy_augment (row, &augment);
    memcpy (params.matrix, row->matrix, sizeof params.matrix);
    plain_pre (&pre, row->width, row->height, row->channels);
    nn_augment_apply (&augment, &params, &pre, scipy_sources + row->at, out);
    for (guint k = 0; k < n; k++)
      if (out[k] != scipy_values[row->at + k])
        g_error ("row %u (%ux%u, order %u, fill %u), value %u: %.9g, SciPy has %.9g", i,
            row->height, row->width, row->order, row->fill, k, out[k],
            scipy_values[row->at + k]);
  }
}

/* --- draws --------------------------------------------------------------------------- */

/* Keras's order, drawn by hand from the same stream */
static void
check_draw (const NnAugment *a, guint64 seed, guint64 draw, guint height, guint width,
    guint channels)
{
  NnAugmentParams params, expected = { .zx = 1, .zy = 1 };
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_AUGMENT, draw);
#define DRAW(low, high) ((low) + ((high) - (low)) * nn_rng_double (&rng))
  if (a->rotation_range > 0)
    expected.theta = DRAW (-a->rotation_range, a->rotation_range) / 180 * G_PI;
  if (a->height_shift_range > 0)
    expected.tx = DRAW (-a->height_shift_range, a->height_shift_range)
        * (a->height_shift_range < 1 ? height : 1);
  if (a->width_shift_range > 0)
    expected.ty = DRAW (-a->width_shift_range, a->width_shift_range)
        * (a->width_shift_range < 1 ? width : 1);
  if (a->shear_range > 0)
    expected.shear = DRAW (-a->shear_range, a->shear_range)
        * (a->shear_in_degrees ? G_PI / 180 : 1);
  if (!(a->zoom_range[0] == 1 && a->zoom_range[1] == 1)) {
    expected.zx = DRAW (a->zoom_range[0], a->zoom_range[1]);
    expected.zy = DRAW (a->zoom_range[0], a->zoom_range[1]);
  }
  if (a->channel_shift_range > 0)
    for (guint c = 0; c < channels; c++)
      expected.channel_shift[c] = DRAW (-a->channel_shift_range, a->channel_shift_range);
  if (a->horizontal_flip)
    expected.hflip = DRAW (0., 1.) < 0.5;
  if (a->vertical_flip)
    expected.vflip = DRAW (0., 1.) < 0.5;
#undef DRAW

  nn_augment_draw (a, seed, draw, height, width, channels, &params);
  g_assert_cmpfloat_with_epsilon (params.theta, expected.theta, 1e-14);
  g_assert_cmpfloat (params.tx, ==, expected.tx);
  g_assert_cmpfloat (params.ty, ==, expected.ty);
  g_assert_cmpfloat_with_epsilon (params.shear, expected.shear, 1e-14);
  g_assert_cmpfloat (params.zx, ==, expected.zx);
  g_assert_cmpfloat (params.zy, ==, expected.zy);
  for (guint c = 0; c < 3; c++)
    g_assert_cmpfloat (params.channel_shift[c], ==, expected.channel_shift[c]);
  g_assert_cmpint (params.hflip, ==, expected.hflip);
  g_assert_cmpint (params.vflip, ==, expected.vflip);
}

static const NnAugment everything = {
  .rotation_range = 40,
  .height_shift_range = 0.2,
  .width_shift_range = 0.1,
  .shear_range = 0.3,
  .zoom_range = { 0.8, 1.3 },
  .channel_shift_range = 30,
  .horizontal_flip = TRUE,
  .vertical_flip = TRUE,
  .center_offset = 0.5,
};

static void
test_draw_order (void)
{
  /* each range on and off: whatever is off draws nothing */
  for (guint mask = 0; mask < 128; mask++) {
    NnAugment a = everything;

    if (mask & 1)
      a.rotation_range = 0;
    if (mask & 2)
      a.height_shift_range = 0;
    if (mask & 4)
      a.width_shift_range = 7; /* pixels */
    if (mask & 8)
      a.shear_range = 0;
    if (mask & 16)
      a.zoom_range[0] = a.zoom_range[1] = 1;
    if (mask & 32)
      a.channel_shift_range = 0;
    if (mask & 64)
      a.horizontal_flip = FALSE;
    a.shear_in_degrees = mask & 4;
    for (guint draw = 0; draw < 4; draw++)
      check_draw (&a, 20 + mask, draw, 30, 50, 1 + 2 * (draw & 1));
  }
}

static void
test_draw_is_a_function (void)
{
  const guint64 far = G_GUINT64_CONSTANT (1) << 40;
  NnAugmentParams a, b, other;

  nn_augment_draw (&everything, 7, far, 20, 20, 3, &a);
  nn_augment_draw (&everything, 7, 3, 20, 20, 3, &other);
  nn_augment_draw (&everything, 7, far, 20, 20, 3, &b);
  g_assert_cmpmem (&a, sizeof a, &b, sizeof b);
  g_assert_cmpfloat (a.theta, !=, other.theta);
  nn_augment_draw (&everything, 8, far, 20, 20, 3, &other);
  g_assert_cmpfloat (a.theta, !=, other.theta);
  /* the upper half of the draw's number counts */
  nn_augment_draw (&everything, 7, 0, 20, 20, 3, &other);
  g_assert_cmpfloat (a.theta, !=, other.theta);
}

/* ranges are reached and never left, both flips happen half of the time */
static void
test_draw_ranges (void)
{
  const guint n = 4000;
  double lowest[9], highest[9];
  guint hflips = 0, vflips = 0, both = 0;

  for (guint k = 0; k < 9; k++) {
    lowest[k] = G_MAXDOUBLE;
    highest[k] = -G_MAXDOUBLE;
  }
  for (guint i = 0; i < n; i++) {
    NnAugmentParams p;
    double v[9];

    nn_augment_draw (&everything, 99, i, 100, 100, 3, &p);
    memcpy (v, (double[]) { p.theta * 180 / G_PI / 40, p.tx / 20, p.ty / 10, p.shear / .3,
        (p.zx - 1.05) / .25, (p.zy - 1.05) / .25, p.channel_shift[0] / 30,
        p.channel_shift[1] / 30, p.channel_shift[2] / 30 }, sizeof v);
    for (guint k = 0; k < 9; k++) {
      lowest[k] = MIN (lowest[k], v[k]);
      highest[k] = MAX (highest[k], v[k]);
    }
    hflips += p.hflip;
    vflips += p.vflip;
    both += p.hflip && p.vflip;
  }
  for (guint k = 0; k < 9; k++) {
    g_assert_cmpfloat (lowest[k], >=, -1 - 1e-12);
    g_assert_cmpfloat (lowest[k], <, -.99);
    g_assert_cmpfloat (highest[k], <=, 1 + 1e-12);
    g_assert_cmpfloat (highest[k], >, .99);
  }
  g_assert_cmpuint (ABS ((int) hflips - (int) n / 2), <, 130); /* 4 sigma = 126 */
  g_assert_cmpuint (ABS ((int) vflips - (int) n / 2), <, 130);
  g_assert_cmpuint (ABS ((int) both - (int) n / 4), <, 115);
}

/* --- flips, channels, scaling --------------------------------------------------------------- */

static void
test_identity (void)
{
  NnAugment augment;
  NnAugmentParams params;
  NnPreprocess pre;
  g_autofree guint8 *picture = random_picture (1, 11 * 7 * 3);
  float out[11 * 7 * 3], expected[11 * 7 * 3];

  nn_augment_init (&augment);
  g_assert_true (nn_augment_is_identity (&augment));
  nn_augment_draw (&augment, 3, 4, 7, 11, 3, &params);
  g_assert_true (params.is_identity);
  g_assert_false (params.hflip);
  g_assert_false (params.vflip);
  nn_preprocess_init (&pre, 11, 7);
  for (guint c = 0; c < 3; c++) {
    pre.mean[c] = 100 + c;
    pre.scale[c] = 1.f / (50 + c);
  }
  nn_augment_apply (&augment, &params, &pre, picture, out);
  nn_preprocess_bytes (&pre, picture, FALSE, expected);
  g_assert_cmpmem (out, sizeof out, expected, sizeof expected);
  for (guint i = 0; i < G_N_ELEMENTS (out); i++)
    g_assert_cmpfloat_with_epsilon (out[i], (picture[i] - (100. + i % 3)) / (50 + i % 3), 1e-6);

  /* each setting alone is not the identity */
  for (guint i = 0; i < 8; i++) {
    NnAugment one = augment;

    switch (i) {
      case 0: one.rotation_range = 1; break;
      case 1: one.height_shift_range = .1; break;
      case 2: one.width_shift_range = .1; break;
      case 3: one.shear_range = .1; break;
      case 4: one.zoom_range[0] = .9; break;
      case 5: one.channel_shift_range = 1; break;
      case 6: one.horizontal_flip = TRUE; break;
      default: one.vertical_flip = TRUE; break;
    }
    g_assert_false (nn_augment_is_identity (&one));
  }
}

/* warp -> channel shift, clipped to the warped picture's own range -> flips -> scale */
static void
test_order_of_steps (void)
{
  enum { W = 9, H = 6, C = 3, N = W * H * C };
  NnAugment augment;
  NnPreprocess pre, plain;
  g_autofree guint8 *picture = random_picture (2, N);

  for (guint i = 0; i < N; i++) /* room for the clip on both sides */
    picture[i] = (guint8) (40 + picture[i] % 160);
  nn_augment_init (&augment);
  augment.interpolation_order = 1;
  plain_pre (&plain, W, H, C);
  pre = plain;
  for (guint c = 0; c < C; c++) {
    pre.mean[c] = 10 * c;
    pre.scale[c] = 1.f / (c + 1);
  }
  for (guint mask = 0; mask < 16; mask++) {
    NnAugmentParams params = { .zx = 1, .zy = 1 }, warp_only;
    float warped[N], out[N], lowest = 300, highest = -300;

    if (mask & 1) {
      params.theta = .3;
      params.zx = 1.2;
    }
    nn_augment_matrix (&augment, H, W, &params);
    warp_only = params;
    nn_augment_apply (&augment, &warp_only, &plain, picture, warped);
    if (mask & 2) {
      params.channel_shift[0] = 35;
      params.channel_shift[1] = -35;
      params.channel_shift[2] = 2.5;
    }
    params.hflip = mask & 4;
    params.vflip = mask & 8;
    nn_augment_apply (&augment, &params, &pre, picture, out);
    for (guint i = 0; i < N; i++) {
      lowest = MIN (lowest, warped[i]);
      highest = MAX (highest, warped[i]);
    }
    for (guint y = 0; y < H; y++)
      for (guint x = 0; x < W; x++)
        for (guint c = 0; c < C; c++) {
          guint sy = params.vflip ? H - 1 - y : y, sx = params.hflip ? W - 1 - x : x;
          double v = warped[(sy * W + sx) * C + c];

          if (mask & 2)
            v = CLAMP (v + params.channel_shift[c], lowest, highest);
          g_assert_cmpfloat_with_epsilon (out[(y * W + x) * C + c],
              (v - 10. * c) / (c + 1), 2e-5);
        }
  }
}

/* shifts by whole pixels say where rows and columns go */
static void
test_directions (void)
{
  enum { W = 5, H = 4 };
  guint8 picture[W * H];

  for (guint i = 0; i < W * H; i++)
    picture[i] = (guint8) (10 + i);
  for (guint swap = 0; swap < 2; swap++) {
    NnAugment augment;
    NnAugmentParams params = { .tx = 1, .ty = -2, .zx = 1, .zy = 1 };
    NnPreprocess pre;
    float out[W * H];

    nn_augment_init (&augment);
    augment.fill_mode = NN_FILL_CONSTANT;
    augment.cval = 3;
    augment.swap_axes = swap;
    plain_pre (&pre, W, H, 1);
    nn_augment_matrix (&augment, H, W, &params);
    nn_augment_apply (&augment, &params, &pre, picture, out);
    for (int y = 0; y < H; y++)
      for (int x = 0; x < W; x++) {
        int sy = y + (swap ? -2 : 1), sx = x + (swap ? 1 : -2);
        gboolean inside = sy >= 0 && sy < H && sx >= 0 && sx < W;

        g_assert_cmpfloat (out[y * W + x], ==, inside ? 10 + sy * W + sx : 3);
      }
  }
}

/* a transform that throws the picture to the moon neither crashes nor leaves the picture's
 * values (run it under the sanitizers) */
static void
test_absurd (void)
{
  static const double sizes[] = { 1e3, 1e9, 1e12, 1e18, 1e30, 1e300, G_MAXDOUBLE };
  g_autofree guint8 *picture = random_picture (3, 4 * 4 * 3);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint fill = NN_FILL_NEAREST; fill <= NN_FILL_WRAP; fill++)
      for (guint order = 0; order < 2; order++)
        for (guint sign = 0; sign < 2; sign++) {
          double s = sign ? -sizes[i] : sizes[i];
          NnAugment augment;
          NnAugmentParams params = { .tx = s, .ty = -s, .shear = .5, .zx = s, .zy = -s };
          NnPreprocess pre;
          float out[4 * 4 * 3];

          nn_augment_init (&augment);
          augment.fill_mode = (NnFillMode) fill;
          augment.interpolation_order = order;
          plain_pre (&pre, 4, 4, 3);
          nn_augment_matrix (&augment, 4, 4, &params);
          nn_augment_apply (&augment, &params, &pre, picture, out);
          for (guint k = 0; k < G_N_ELEMENTS (out); k++) {
            g_assert_cmpfloat (out[k], >=, 0);
            g_assert_cmpfloat (out[k], <=, 255);
          }
        }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/augment/philox", test_philox);
  g_test_add_func ("/augment/golden", test_golden);
  g_test_add_func ("/augment/numpy-matrices", test_numpy_matrices);
  g_test_add_func ("/augment/scipy-warps", test_scipy_warps);
  g_test_add_func ("/augment/draw-order", test_draw_order);
  g_test_add_func ("/augment/draw-is-a-function", test_draw_is_a_function);
  g_test_add_func ("/augment/draw-ranges", test_draw_ranges);
  g_test_add_func ("/augment/identity", test_identity);
  g_test_add_func ("/augment/order-of-steps", test_order_of_steps);
  g_test_add_func ("/augment/directions", test_directions);
  g_test_add_func ("/augment/absurd", test_absurd);
  return g_test_run ();
}
