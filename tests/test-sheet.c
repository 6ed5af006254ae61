/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Contact sheets: what a draw is called, how the trainer feeds it, what of it
 * lies on the sheet. */

#include <math.h>
#include <string.h>

#include "tests/pictures.h"
#include "train/feeder.h"

/* --- words for a draw ------------------------------------------------------------------ */

#define SIDE 61
#define MIDDLE 30

/* a 3x3 blob @x right of and @y below the middle is drawn as @params say: where is it now? */
static void
follow_blob (const NnAugment *augment, const NnAugmentParams *params, int x, int y, double *new_x,
    double *new_y)
{
  g_autofree guint8 *src = g_new0 (guint8, SIDE * SIDE);
  g_autofree float *dst = g_new0 (float, SIDE * SIDE);
  double sum = 0;
  NnPreprocess pre;

  nn_preprocess_init (&pre, SIDE, SIDE);
  pre.channels = NN_CHANNELS_GRAY;
  for (int i = -1; i <= 1; i++)
    memset (src + (MIDDLE + y + i) * SIDE + MIDDLE + x - 1, 255, 3);
  nn_augment_apply (augment, params, &pre, src, dst);
  *new_x = *new_y = 0;
  for (int i = 0; i < SIDE * SIDE; i++) {
    sum += dst[i];
    *new_x += dst[i] * (i % SIDE - MIDDLE);
    *new_y += dst[i] * (i / SIDE - MIDDLE);
  }
  g_assert_cmpfloat (sum, >, 1);
  *new_x /= sum;
  *new_y /= sum;
}

/* The words tell what is seen: each is read from the text and held against
 * where the picture went, in both orders of axes. */
static void
test_describe_seen (void)
{
  for (guint swap = 0; swap < 2; swap++) {
    NnAugment augment;
    double x, y, words_x, words_y;

    nn_augment_init (&augment);
    augment.interpolation_order = 1;
    augment.center_offset = -0.5;
    augment.swap_axes = swap == 1;
    {
      NnAugmentParams params = { .tx = 5, .ty = -3, .zx = 1, .zy = 1 };
      g_autofree char *text = NULL;

      nn_augment_matrix (&augment, SIDE, SIDE, &params);
      text = nn_augment_describe (&augment, &params);
      g_assert_cmpint (sscanf (text, "shift %lf,%lf px", &words_x, &words_y), ==, 2);
      follow_blob (&augment, &params, 4, 9, &x, &y);
      g_assert_cmpfloat_with_epsilon (x, 4 + words_x, 0.01);
      g_assert_cmpfloat_with_epsilon (y, 9 + words_y, 0.01);
    }
    {
      NnAugmentParams params = { .theta = 0.5, .zx = 1, .zy = 1 };
      g_autofree char *text = NULL;

      nn_augment_matrix (&augment, SIDE, SIDE, &params);
      text = nn_augment_describe (&augment, &params);
      g_assert_cmpint (sscanf (text, "rot %lf°", &words_x), ==, 1);
      follow_blob (&augment, &params, 20, 0, &x, &y);
      /* clockwise: from the right downwards */
      g_assert_cmpfloat_with_epsilon (atan2 (y, x) * 180 / G_PI, words_x, 1.5);
    }
    {
      NnAugmentParams params = { .zx = 0.8, .zy = 1.25 };
      g_autofree char *text = NULL;

      nn_augment_matrix (&augment, SIDE, SIDE, &params);
      text = nn_augment_describe (&augment, &params);
      g_assert_cmpint (sscanf (text, "zoom %lf,%lf", &words_x, &words_y), ==, 2);
      follow_blob (&augment, &params, 12, 14, &x, &y);
      g_assert_cmpfloat_with_epsilon (x, 12 / words_x, 0.2);
      g_assert_cmpfloat_with_epsilon (y, 14 / words_y, 0.2);
    }
  }
}

static void
test_describe_words (void)
{
  static const struct
  {
    NnAugmentParams params;
    gboolean in_degrees;
    const char *text;
  } rows[] = {
    { { .zx = 1, .zy = 1 }, FALSE, "unchanged" },
    { { .theta = -0.21, .tx = 3.4, .ty = -8.2, .zx = 1, .zy = 1, .hflip = TRUE }, FALSE,
        "rot -12°  shift +8,-3 px  flip" },
    { { .tx = 0.3, .zx = 1, .zy = 1 }, FALSE, "shift +0,+0 px" }, /* never -0 */
    { { .shear = -0.05, .zx = 1, .zy = 1 }, FALSE, "shear -0.05 rad" },
    { { .shear = 0.0873, .zx = 1, .zy = 1 }, TRUE, "shear +5.0°" },
    { { .zx = 0.9, .zy = 1.118, .vflip = TRUE }, FALSE, "zoom 1.12,0.90  v-flip" },
    { { .zx = 1, .zy = 1, .channel_shift = { 9.4, -4, 0 }, .hflip = TRUE, .vflip = TRUE }, FALSE,
        "color +9,-4,+0  flip  v-flip" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text = NULL;
    NnAugment augment;

    nn_augment_init (&augment);
    augment.shear_in_degrees = rows[i].in_degrees;
    text = nn_augment_describe (&augment, &rows[i].params);
    g_assert_cmpstr (text, ==, rows[i].text);
  }
}

/* --- the draw of a sample --------------------------------------------------------------- */

/* wherever a pass puts a sample, it is the draw that its batch tells */
static void
test_order_draw (void)
{
  const Order order = { 23, 5, 42 };

  for (guint stage = 0; stage < 2; stage++) {
    for (guint64 batch = 0; batch < 20; batch++) { /* four passes */
      guint samples[5];
      guint64 first;
      guint n = order_get_batch (&order, stage, batch, samples, &first);

      for (guint i = 0; i < n; i++)
        g_assert_cmpuint (
            order_get_draw (&order, stage, batch / 5, samples[i]), ==, first + i);
    }
  }
}

/* --- pictures ---------------------------------------------------------------------------- */

/* what a file's place or name tells of its class, and what it does not */
static void
test_find_class (void)
{
  static const char *const classes[] = { "cat", "dog", NULL };
  static const struct
  {
    const char *path;
    int expected; /* -1: nothing */
  } rows[] = {
    { "/a/cat.17.jpg", 0 },
    { "/a/dog-3.png", 1 },
    { "/a/dog_3.png", 1 },
    { "/cat/1.jpg", 0 },
    { "/dog/cats/1.jpg", -1 }, /* the folder that it lies in, no other */
    { "/dog/x/../1.jpg", 1 },
    { "/dog/dog.1.jpg", 1 },
    { "/dog/cat.1.jpg", -1 }, /* each tells another */
    { "/a/1.jpg", -1 },
    { "/a/cats.1.jpg", -1 },
    { "/a/Cat.1.jpg", -1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    guint index = 99;
    gboolean found = picture_find_class (rows[i].path, classes, &index);

    g_assert_cmpint (found ? (int) index : -1, ==, rows[i].expected);
  }
}

/* a listing is the set's own, without pixels and with what cannot be read */
static void
test_dataset_list (void)
{
  g_autofree char *dir = make_dir (), *bad = g_build_filename (dir, "a", "0.png", NULL);
  const DatasetOptions options = { LAYOUT_FOLDERS, 0, 2, NULL, 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Dataset) data = NULL;

  for (guint i = 1; i < 4; i++) {
    g_autofree char *a = g_strdup_printf ("a/%u.png", i), *b = g_strdup_printf ("b/%u.png", i);

    g_free (make_picture (dir, a, 4, 4, 0, i));
    g_free (make_picture (dir, b, 4, 4, 0, i));
  }
  g_assert_true (g_file_set_contents (bad, "no picture", -1, NULL));
  data = dataset_list (dir, &options, &error);
  g_assert_no_error (error);
  g_assert_null (data->bytes);
  g_assert_cmpuint (data->n, ==, 4);
  g_assert_cmpuint (data->n_classes, ==, 2);
  g_assert_true (g_str_has_suffix (data->paths[0], "a/0.png"));
  g_assert_true (g_str_has_suffix (data->paths[3], "b/2.png"));
  g_assert_cmpuint (data->labels[1], ==, 0);
  g_assert_cmpuint (data->labels[2], ==, 1);
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/describe/seen", test_describe_seen);
  g_test_add_func ("/describe/words", test_describe_words);
  g_test_add_func ("/order/draw", test_order_draw);
  g_test_add_func ("/pictures/class", test_find_class);
  g_test_add_func ("/pictures/list", test_dataset_list);
  return g_test_run ();
}
