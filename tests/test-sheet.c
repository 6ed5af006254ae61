/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Contact sheets: what a draw is called, how the trainer feeds it, what of it
 * lies on the sheet. */

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "tests/pictures.h"
#include "train/feeder.h"
#include "train/predict.h"
#include "train/preview.h"
#include "train/sheet.h"

static GPtrArray *warnings;

static void
collect_warning (NnLogLevel level, const char *message, gpointer user_data)
{
  if (level == NN_LOG_WARNING)
    g_ptr_array_add (warnings, g_strdup (message));
}

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
 * where the picture went, in both orders of axes, flipped or not. */
static void
test_describe_seen (void)
{
  for (guint bits = 0; bits < 8; bits++) {
    const gboolean hflip = bits & 1, vflip = bits >> 1 & 1;
    const double h = hflip ? -1 : 1, v = vflip ? -1 : 1;
    g_autofree char *shift = NULL, *rotation = NULL, *zoom = NULL, *shear = NULL;
    double x, y, words_x, words_y;
    NnAugmentParams params;
    NnAugment augment;

    nn_augment_init (&augment);
    augment.interpolation_order = 1;
    augment.center_offset = -0.5;
    augment.swap_axes = bits >> 2;

    params = (NnAugmentParams) { .tx = 5, .ty = -3, .zx = 1, .zy = 1, .hflip = hflip,
      .vflip = vflip };
    nn_augment_matrix (&augment, SIDE, SIDE, &params);
    shift = nn_augment_describe (&augment, &params);
    g_assert_true (g_str_has_prefix (shift, hflip ? "flip  " : vflip ? "v-flip  " : "shift"));
    g_assert_cmpint (
        sscanf (strstr (shift, "shift"), "shift %lf,%lf px", &words_x, &words_y), ==, 2);
    follow_blob (&augment, &params, 4, 9, &x, &y);
    g_assert_cmpfloat_with_epsilon (x, 4 * h + words_x, 0.01);
    g_assert_cmpfloat_with_epsilon (y, 9 * v + words_y, 0.01);

    params = (NnAugmentParams) { .theta = 0.5, .zx = 1, .zy = 1, .hflip = hflip, .vflip = vflip };
    nn_augment_matrix (&augment, SIDE, SIDE, &params);
    rotation = nn_augment_describe (&augment, &params);
    g_assert_cmpint (sscanf (strstr (rotation, "rot"), "rot %lf°", &words_x), ==, 1);
    follow_blob (&augment, &params, hflip ? -20 : 20, 0, &x, &y);
    /* clockwise: from the right downwards */
    g_assert_cmpfloat_with_epsilon (atan2 (y, x) * 180 / G_PI, words_x, 1.5);

    params = (NnAugmentParams) { .zx = 0.8, .zy = 1.25, .hflip = hflip, .vflip = vflip };
    nn_augment_matrix (&augment, SIDE, SIDE, &params);
    zoom = nn_augment_describe (&augment, &params);
    g_assert_cmpint (
        sscanf (strstr (zoom, "zoom"), "zoom %lf,%lf", &words_x, &words_y), ==, 2);
    follow_blob (&augment, &params, 12, 14, &x, &y);
    g_assert_cmpfloat_with_epsilon (x, 12 * h / words_x, 0.2);
    g_assert_cmpfloat_with_epsilon (y, 14 * v / words_y, 0.2);

    if (augment.swap_axes)
      continue;
    params = (NnAugmentParams) { .shear = 0.3, .zx = 1, .zy = 1, .hflip = hflip, .vflip = vflip };
    nn_augment_matrix (&augment, SIDE, SIDE, &params);
    shear = nn_augment_describe (&augment, &params);
    g_assert_cmpint (sscanf (strstr (shear, "shear"), "shear %lf rad", &words_x), ==, 1);
    follow_blob (&augment, &params, hflip ? -20 : 20, 0, &x, &y);
    g_assert_cmpfloat_with_epsilon (y, 20 * tan (words_x), 0.2);
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
    { { .theta = -0.21, .tx = 3.4, .ty = -8.2, .zx = 1, .zy = 1 }, FALSE,
        "rot -12°  shift +8,-3 px" },
    { { .theta = -0.21, .shear = 0.05, .tx = 3.4, .ty = -8.2, .zx = 1, .zy = 1, .hflip = TRUE },
        FALSE, "flip  rot +12°  shift -8,-3 px  shear -0.05 rad" },
    { { .tx = 0.3, .zx = 1, .zy = 1 }, FALSE, "shift +0,+0 px" }, /* never -0 */
    { { .shear = -0.05, .zx = 1, .zy = 1 }, FALSE, "shear -0.05 rad" },
    { { .shear = 0.0873, .zx = 1, .zy = 1 }, TRUE, "shear +5.0°" },
    { { .zx = 0.9, .zy = 1.118, .vflip = TRUE }, FALSE, "v-flip  zoom 1.12,0.90" },
    { { .zx = 1, .zy = 1, .channel_shift = { 9.4, -4, 0 }, .hflip = TRUE, .vflip = TRUE }, FALSE,
        "flip  v-flip  color +9,-4,+0" },
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

/* --- reading a sheet ------------------------------------------------------------------------ */

static GdkPixbuf *
read_sheet (const char *path)
{
  GError *error = NULL;
  GdkPixbuf *sheet = gdk_pixbuf_new_from_file (path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (gdk_pixbuf_get_n_channels (sheet), ==, 3);
  return sheet;
}

static const guint8 *
pixel (const GdkPixbuf *sheet, int x, int y)
{
  return gdk_pixbuf_read_pixels (sheet) + (gsize) y * (gsize) gdk_pixbuf_get_rowstride (sheet)
      + x * 3;
}

/* Where the picture @rgb lies in the sheet, to the pixel, from row @from_y on:
 * nothing is assumed of the sheet's measures. */
static gboolean
find_block (
    const GdkPixbuf *sheet, const guint8 *rgb, int width, int height, int from_y, int *x, int *y)
{
  const gsize line = (gsize) width * 3;

  for (*y = from_y; *y + height <= gdk_pixbuf_get_height (sheet); ++*y) {
    for (*x = 0; *x + width <= gdk_pixbuf_get_width (sheet); ++*x) {
      int r = 0;

      while (r < height && memcmp (pixel (sheet, *x, *y + r), rgb + r * line, line) == 0)
        r++;
      if (r == height)
        return TRUE;
    }
  }
  return FALSE;
}

static gboolean
is_white (const GdkPixbuf *sheet, int x, int y, int width, int height)
{
  for (int r = y; r < y + height; r++)
    for (int c = x * 3; c < (x + width) * 3; c++)
      if (pixel (sheet, 0, r)[c] != 255)
        return FALSE;
  return TRUE;
}

/* every pixel doubled (n = 2), tripled, ... */
static guint8 *
enlarge (const guint8 *rgb, guint width, guint height, guint n)
{
  guint8 *large = g_malloc ((gsize) width * height * n * n * 3);

  for (guint y = 0; y < height * n; y++)
    for (guint x = 0; x < width * n; x++)
      memcpy (
          large + ((gsize) y * width * n + x) * 3, rgb + ((gsize) y / n * width + x / n) * 3, 3);
  return large;
}

/* --- sheets ---------------------------------------------------------------------------------- */

static guint8 *
make_noise (guint width, guint height, guint seed)
{
  guint8 *rgb = g_malloc ((gsize) width * height * 3);

  for (gsize i = 0; i < (gsize) width * height * 3; i++)
    rgb[i] = (guint8) ((i + 1) * (seed * 2 + 1) * 2654435761u >> 13);
  return rgb;
}

/* of the words above a tile of @width at (x, y) */
static SheetTone
find_tone (const GdkPixbuf *sheet, int x, int y, int width)
{
  int counts[3] = { 0 };

  for (int r = y - 20; r < y; r++) {
    for (int c = x; c < x + width; c++) {
      const guint8 *p = pixel (sheet, c, r);

      counts[SHEET_RIGHT] += p[1] > p[0] + 60 && p[1] > p[2] + 40;
      counts[SHEET_WRONG] += p[0] > p[1] + 100 && p[0] > p[2] + 100;
      counts[SHEET_NEUTRAL] += p[0] < 60 && p[0] == p[1] && p[1] == p[2];
    }
  }
  for (guint tone = 0; tone < 3; tone++)
    if (counts[tone] > 20 && counts[(tone + 1) % 3] + counts[(tone + 2) % 3] == 0)
      return tone;
  g_assert_not_reached ();
}

/* titles in the colour of their tone, and inside their column however long */
static void
test_sheet_titles (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "sheet.png", NULL);
  g_autofree char *endless = g_strnfill (400, 'W');
  g_autoptr (Sheet) sheet = sheet_new (140, 90);
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkPixbuf) png = NULL;
  guint8 *blocks[4];
  int xs[4] = { 0 }, top = 0;

  sheet->columns = 4;
  sheet->title = g_strdup (endless);
  sheet_add_line (sheet, "%s", endless);
  for (guint i = 0; i < 4; i++) {
    SheetTile *tile = sheet_add_tile (sheet);

    blocks[i] = make_noise (140, 90, i);
    sheet_tile_take_rgb (sheet, tile, g_memdup2 (blocks[i], 140 * 90 * 3), 140, 90);
    tile->title = g_strdup (i < 3 ? "cat 0.731" : endless);
    tile->tone = i < 3 ? (SheetTone) i : SHEET_NEUTRAL;
    tile->caption = g_strdup (i == 2 ? "gg" : endless);
  }
  g_assert_true (sheet_write (sheet, path, &error));
  g_assert_no_error (error);
  png = read_sheet (path);
  for (guint i = 0; i < 4; i++) {
    int y = 0;

    g_assert_true (find_block (png, blocks[i], 140, 90, 0, &xs[i], &y));
    g_assert_true (i == 0 || (y == top && xs[i] > xs[i - 1] + 140));
    top = y;
    g_assert_cmpint (
        find_tone (png, xs[i], y, 140), ==, i < 3 ? (SheetTone) i : SHEET_NEUTRAL);
    g_free (blocks[i]);
  }
  /* nothing leaves its column, nothing touches a border */
  for (guint i = 0; i < 3; i++)
    g_assert_true (is_white (png, xs[i] + 140, top - 80, xs[i + 1] - xs[i] - 140,
        gdk_pixbuf_get_height (png) - top + 80));
  for (int side = 0; side < 2; side++) {
    g_assert_true (is_white (png, side ? gdk_pixbuf_get_width (png) - 8 : 0, 0, 8,
        gdk_pixbuf_get_height (png)));
    g_assert_true (is_white (png, 0, side ? gdk_pixbuf_get_height (png) - 8 : 0,
        gdk_pixbuf_get_width (png), 8));
  }
  remove_dir (dir);
}

/* small pictures are enlarged by whole numbers, large ones averaged, both in the middle */
static void
test_sheet_sizes (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "sheet.png", NULL);
  g_autoptr (Sheet) sheet = sheet_new (150, 100);
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkPixbuf) png = NULL;
  g_autofree guint8 *small = make_noise (40, 60, 1), *half = make_noise (60, 40, 2);
  g_autofree guint8 *doubled = enlarge (half, 60, 40, 2), *large = g_malloc (600 * 200 * 3);
  g_autofree guint8 *mean = g_malloc (150 * 50 * 3);
  int x = 0, y = 0, x2 = 0, y2 = 0, x3 = 0, y3 = 0;

  for (guint i = 0; i < 600 * 200; i++) { /* squares of 4x4 about a mean each */
    guint column = i % 600, row = i / 600, place = column % 4 + row % 4 * 4;
    guint value = 20 + (column / 4 * 7 + row / 4 * 3) % 200;

    for (guint c = 0; c < 3; c++)
      large[i * 3 + c] = (guint8) (value + c + (place % 2 ? 10 : -10));
    for (guint c = 0; c < 3; c++)
      mean[(row / 4 * 150 + column / 4) * 3 + c] = (guint8) (value + c);
  }
  sheet_tile_take_rgb (sheet, sheet_add_tile (sheet), g_memdup2 (small, 40 * 60 * 3), 40, 60);
  sheet_tile_take_rgb (sheet, sheet_add_tile (sheet), g_memdup2 (half, 60 * 40 * 3), 60, 40);
  sheet_tile_take_rgb (sheet, sheet_add_tile (sheet), g_memdup2 (large, 600 * 200 * 3), 600, 200);
  sheet->columns = 3;
  g_assert_true (sheet_write (sheet, path, &error));
  g_assert_no_error (error);
  png = read_sheet (path);
  g_assert_true (find_block (png, small, 40, 60, 0, &x, &y));
  g_assert_true (find_block (png, doubled, 120, 80, 0, &x2, &y2));
  g_assert_true (find_block (png, mean, 150, 50, 0, &x3, &y3));
  g_assert_cmpint (x2 + 60 - (x + 20), >=, 150);
  g_assert_cmpint (x2 + 60 - (x + 20), ==, x3 + 75 - (x2 + 60));
  g_assert_cmpint (y + 30, ==, y2 + 40);
  g_assert_cmpint (y + 30, ==, y3 + 25);
  remove_dir (dir);
}

static void
test_sheet_errors (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "sheet.png", NULL);
  g_autofree char *nowhere = g_build_filename (dir, "no", "sheet.png", NULL), *kept = NULL;
  g_autoptr (Sheet) sheet = sheet_new (100, 100), empty = sheet_new (100, 100);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, "what was there", -1, NULL));
  for (guint i = 0; i < 9000; i++)
    sheet_add_tile (sheet);
  g_assert_false (sheet_write (sheet, path, &error)); /* 9000 tiles of 10,000 pixels */
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_assert_nonnull (strstr (error->message, "9000 tiles"));
  g_clear_error (&error);
  g_assert_true (g_file_get_contents (path, &kept, NULL, NULL));
  g_assert_cmpstr (kept, ==, "what was there");
  g_assert_false (sheet_write (empty, nowhere, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_clear_error (&error);
  g_assert_false (sheet_write (empty, dir, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_assert_nonnull (strstr (error->message, "it is a directory"));
  g_clear_error (&error);
  g_assert_false (sheet_check_path (nowhere, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_clear_error (&error);
  g_assert_true (sheet_check_path (path, &error));
  remove_dir (dir);
}

/* --- preview ---------------------------------------------------------------------------------- */

#define RECIPE_END "[schedule]\nepochs=1\nlearning_rate=1e-3\n[training]\nbatch_size=3\nseed=5\n"

/* DIR/r.ini and DIR/net.json of @width x @height x @channels, pictures in DIR/train */
static Recipe *
make_recipe (const char *dir, guint width, guint height, guint channels, const char *groups)
{
  g_autofree char *path = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *network = g_build_filename (dir, "net.json", NULL);
  g_autofree char *text = g_strconcat (
      "[data]\ntrain=train\n[network]\nfile=net.json\n", groups, RECIPE_END, NULL);
  g_autofree char *json = g_strdup_printf (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": "
      "[null, %u, %u, %u]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 1,"
      "\"activation\": \"sigmoid\"}}]}}",
      height, width, channels);
  GError *error = NULL;
  Recipe *recipe;

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_true (g_file_set_contents (network, json, -1, NULL));
  recipe = recipe_load (path, NULL, &error);
  g_assert_no_error (error);
  return recipe;
}

static GdkPixbuf *
run_preview (const Recipe *recipe, const char *dir, guint pictures, guint variants, guint64 seed,
    const char *class_name)
{
  g_autofree char *path = g_build_filename (dir, "preview.png", NULL);
  const PreviewOptions options = { path, pictures, variants, seed, class_name };
  GError *error = NULL;

  g_assert_true (preview_run (recipe, &options, &error));
  g_assert_no_error (error);
  return read_sheet (path);
}

/* what a feeder gives for sample @wanted in pass @pass of the first stage, as bytes */
static guint8 *
feed (const Recipe *recipe, const Dataset *data, const NnPreprocess *pre, guint64 seed,
    guint64 pass, guint wanted)
{
  const Order order = { data->n, recipe->batch_size, seed };
  const guint n_batches = order_get_n_batches (&order);
  Feeder *feeder;
  guint8 *bytes = g_malloc (data->sample_size);
  g_autofree guint *samples = g_new (guint, recipe->batch_size);
  g_autoptr (GError) error = NULL;
  guint n_found = 0;

  feeder = feeder_new (&(FeederOptions) { .data = data, .pre = pre, .augment = &recipe->augment,
                           .order = order, .n_outputs = 1, .threads = 2 },
      0, pass * n_batches, (pass + 1) * n_batches, &error);
  g_assert_no_error (error);
  for (guint64 b = pass * n_batches; b < (pass + 1) * n_batches; b++) {
    const Batch *batch = feeder_next (feeder);
    guint64 draw;
    guint n = order_get_batch (&order, 0, b, samples, &draw);

    g_assert_cmpuint (n, ==, batch->n);
    for (guint i = 0; i < n; i++) {
      const float *values = batch->input + i * data->sample_size;

      if (samples[i] != wanted)
        continue;
      n_found++;
      for (gsize k = 0; k < data->sample_size; k++)
        bytes[k] = (guint8) lrint (values[k] * 255.0);
    }
  }
  g_assert_cmpuint (n_found, ==, 1);
  feeder_free (feeder);
  return bytes;
}

/* The post's recipe: tiles are, byte for byte, what a training feeds, pass
 * after pass, and stand in the order of the passes. */
static void
test_preview_post (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Recipe) recipe = NULL;
  g_autoptr (Dataset) data = NULL;
  g_autoptr (GdkPixbuf) sheet = NULL;
  const DatasetOptions options = { LAYOUT_PREFIX, 0, 0, NULL, 2 };
  NnPreprocess pre;
  int last_y = 0;

  for (guint i = 0; i < 3; i++) {
    g_autofree char *cat = g_strdup_printf ("train/cat.%u.png", i);
    g_autofree char *dog = g_strdup_printf ("train/dog.%u.png", i);

    g_free (make_picture (dir, cat, 150 + (int) i, 220, 0x80a0c0 + i * 0x102030, i));
    g_free (make_picture (dir, dog, 230, 190, 0x303040 + i * 0x202010, i + 3));
  }
  recipe = recipe_load (SOURCE_ROOT "/train/recipes/dogs-vs-cats-post.ini", dir, &error);
  g_assert_no_error (error);
  nn_preprocess_init (&pre, 200, 200);
  data = dataset_load (recipe->train_dir, &options, &pre, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (data->n, ==, 6);

  sheet = run_preview (recipe, dir, 6, 2, recipe->seed, NULL);
  for (guint i = 0; i < 6; i++) {
    int x = 0, y = 0, last_x, row_y;

    g_assert_true (find_block (sheet, data->bytes + i * data->sample_size, 200, 200, 0, &x, &y));
    g_assert_cmpint (y, >, last_y); /* sorted, one row each */
    last_y = row_y = y;
    last_x = x;
    for (guint v = 0; v < 2; v++) {
      g_autofree guint8 *fed = feed (recipe, data, &pre, recipe->seed, v, i);

      g_assert_true (memcmp (fed, data->bytes + i * data->sample_size, data->sample_size) != 0);
      g_assert_true (find_block (sheet, fed, 200, 200, 0, &x, &y));
      g_assert_cmpint (y, ==, row_y);
      g_assert_cmpint (x, >=, last_x + 200);
      last_x = x;
      /* the words that belong to it are somewhere beneath */
      g_assert_false (is_white (sheet, x, y + 200, 200, 20));
    }
  }
  remove_dir (dir);
}

/* every pre-processing is undone: order of channels, grey, mean and scale, a small
 * input enlarged */
static void
test_preview_preprocess (void)
{
  static const struct
  {
    const char *groups;
    guint channels;
  } rows[] = {
    { "[preprocess]\nchannels=rgb\nresize=area\nmean=123.68;116.779;103.939\nscale=1\n", 3 },
    { "[preprocess]\nchannels=bgr\nresize=area\nmean=10\nscale=0.017;0.0175;-0.018\n", 3 },
    { "[preprocess]\nchannels=gray\nresize=area\nmean=127.5\nscale=0.00784\n", 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *dir = make_dir (), *train = g_build_filename (dir, "train", NULL);
    g_autoptr (Recipe) recipe = make_recipe (dir, 40, 30, rows[i].channels, rows[i].groups);
    g_autoptr (Dataset) data = NULL;
    g_autoptr (GdkPixbuf) sheet = NULL;
    g_autoptr (GError) error = NULL;
    g_autofree guint8 *rgb = g_malloc (40 * 30 * 3), *tripled = NULL;
    const DatasetOptions options = { LAYOUT_FOLDERS, 0, 0, NULL, 1 };
    NnPreprocess pre;
    int x, y;

    g_free (make_picture (dir, "train/a/1.png", 80, 75, 0x4080c0, 1));
    g_free (make_picture (dir, "train/b/1.png", 50, 75, 0xc08040, 2));
    nn_preprocess_init (&pre, 40, 30);
    pre.resize = NN_RESIZE_AREA;
    if (rows[i].channels == 1)
      pre.channels = NN_CHANNELS_GRAY;
    data = dataset_load (train, &options, &pre, &error); /* in RGB whatever the recipe */
    g_assert_no_error (error);
    for (guint k = 0; k < 40 * 30 * 3; k++)
      rgb[k] = data->bytes[rows[i].channels == 1 ? k / 3 : k];
    tripled = enlarge (rgb, 40, 30, 3);
    sheet = run_preview (recipe, dir, 2, 1, 1, NULL);
    g_assert_true (find_block (sheet, tripled, 120, 90, 0, &x, &y));
    remove_dir (dir);
  }
}

/* which of @n pictures of one colour each are on the sheet, in tiles of 128x128 */
static guint
find_colors (const GdkPixbuf *sheet, const guint32 *colors, guint n, gboolean *found)
{
  guint count = 0;

  for (guint i = 0; i < n; i++) {
    g_autofree guint8 *rgb = g_malloc (128 * 128 * 3);
    int x, y;

    for (guint k = 0; k < 128 * 128 * 3; k++)
      rgb[k] = (guint8) (colors[i] >> (16 - 8 * (k % 3)));
    found[i] = find_block (sheet, rgb, 128, 128, 0, &x, &y);
    count += found[i];
  }
  return count;
}

static void
make_plain (const char *dir, const char *name, guint32 color)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 8, 8);
  GError *error = NULL;

  gdk_pixbuf_fill (pixbuf, color << 8 | 255);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  gdk_pixbuf_save (pixbuf, path, "png", &error, NULL);
  g_assert_no_error (error);
}

/* Evenly over the classes as far as they reach, the same for a seed, others for
 * another; a class alone; more than there are. */
static void
test_preview_choice (void)
{
  g_autofree char *dir = make_dir (), *first = NULL, *again = NULL;
  g_autofree char *path = g_build_filename (dir, "preview.png", NULL);
  g_autoptr (Recipe) recipe
      = make_recipe (dir, 128, 128, 3, "[augmentation]\nhorizontal_flip=true\n");
  guint32 colors[11];
  gboolean found[11], before[11];
  gsize size, size_again;
  guint n_other = 0;

  for (guint i = 0; i < 11; i++) { /* a and b: five each, c: one */
    g_autofree char *name = g_strdup_printf ("train/%c/%u.png", "abc"[i / 5], i);

    colors[i] = 0x102030 + i * 0x110d07;
    make_plain (dir, name, colors[i]);
  }
  for (guint64 seed = 0; seed < 6; seed++) {
    g_autoptr (GdkPixbuf) sheet = run_preview (recipe, dir, 7, 1, seed, NULL);
    guint of_class[3] = { 0 };

    g_assert_cmpuint (find_colors (sheet, colors, 11, found), ==, 7);
    for (guint i = 0; i < 11; i++)
      of_class[i / 5] += found[i];
    g_assert_true (of_class[0] == 3 && of_class[1] == 3 && of_class[2] == 1);
    n_other += seed > 0 && memcmp (found, before, sizeof found) != 0;
    memcpy (before, found, sizeof found);
  }
  g_assert_cmpuint (n_other, >, 2);

  /* the same file again; fewer pictures are some of the same */
  g_assert_true (g_file_get_contents (path, &first, &size, NULL));
  g_object_unref (run_preview (recipe, dir, 7, 1, 5, NULL));
  g_assert_true (g_file_get_contents (path, &again, &size_again, NULL));
  g_assert_cmpmem (first, size, again, size_again);
  {
    g_autoptr (GdkPixbuf) sheet = run_preview (recipe, dir, 4, 1, 5, NULL);

    g_assert_cmpuint (find_colors (sheet, colors, 11, found), ==, 4);
    for (guint i = 0; i < 11; i++)
      g_assert_true (!found[i] || before[i]);
  }
  {
    g_autoptr (GdkPixbuf) sheet = run_preview (recipe, dir, 4, 1, 5, "b");

    g_assert_cmpuint (find_colors (sheet, colors, 11, found), ==, 4);
    g_assert_cmpuint (find_colors (sheet, colors + 5, 5, found), ==, 4);
  }
  {
    g_autoptr (GdkPixbuf) sheet = run_preview (recipe, dir, 50, 16, 5, NULL);

    g_assert_cmpuint (find_colors (sheet, colors, 11, found), ==, 11);
  }
  remove_dir (dir);
}

/* a network larger than a tile: averaged to 256 pixels, the proportion kept */
static void
test_preview_large (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (Recipe) recipe = make_recipe (dir, 512, 300, 3, "");
  g_autoptr (GdkPixbuf) sheet = NULL;
  g_autofree guint8 *rgb = g_malloc (256 * 151 * 3);
  int x, y;

  make_plain (dir, "train/a/1.png", 0x204060);
  make_plain (dir, "train/b/1.png", 0x604020);
  for (guint k = 0; k < 256 * 151 * 3; k++)
    rgb[k] = (guint8) (0x204060 >> (16 - 8 * (k % 3)));
  sheet = run_preview (recipe, dir, 2, 3, 1, NULL);
  g_assert_true (find_block (sheet, rgb, 256, 150, 0, &x, &y));
  g_assert_false (find_block (sheet, rgb, 256, 151, 0, &x, &y));
  g_assert_cmpint (gdk_pixbuf_get_width (sheet), <, 4 * 280 + 200);
  remove_dir (dir);
}

/* unreadable pictures have their row, others are drawn all the same */
static void
test_preview_unreadable (void)
{
  g_autofree char *dir = make_dir (), *bad = g_build_filename (dir, "train", "b", "0.png", NULL);
  g_autofree char *expected = g_strdup_printf ("%s: Image file contains no data", bad);
  g_autoptr (Recipe) recipe
      = make_recipe (dir, 128, 128, 3, "[augmentation]\nrotation_range=9\n");
  g_autoptr (GdkPixbuf) sheet = NULL;
  const guint32 color = 0x204060;
  gboolean found;
  int n_grey = 0;

  make_plain (dir, "train/a/1.png", color);
  make_plain (dir, "train/b/1.png", 0x604020);
  g_assert_true (g_file_set_contents (bad, "", 0, NULL));
  g_ptr_array_set_size (warnings, 0);
  sheet = run_preview (recipe, dir, 3, 2, 1, NULL);
  g_assert_cmpuint (find_colors (sheet, &color, 1, &found), ==, 1);
  g_assert_cmpuint (warnings->len, ==, 1);
  g_assert_cmpstr (g_ptr_array_index (warnings, 0), ==, expected);
  for (int y = 0; y < gdk_pixbuf_get_height (sheet); y++)
    for (int x = 0; x < gdk_pixbuf_get_width (sheet); x++)
      n_grey += pixel (sheet, x, y)[0] == 230 && pixel (sheet, x, y)[2] == 230;
  /* one empty tile, with dark words in it */
  g_assert_cmpint (n_grey, >, 128 * 128 / 2);
  g_assert_cmpint (n_grey, <, 128 * 128 - 100);
  remove_dir (dir);
}

static void
test_preview_errors (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "preview.png", NULL);
  g_autofree char *nowhere = g_build_filename (dir, "no", "preview.png", NULL);
  g_autoptr (Recipe) recipe = make_recipe (dir, 128, 128, 3, "");
  Recipe *gray;
  g_autoptr (GError) error = NULL;
  PreviewOptions options = { nowhere, 2, 2, 1, NULL };

  make_plain (dir, "train/a/1.png", 1);
  make_plain (dir, "train/b/1.png", 2);
  g_assert_false (preview_run (recipe, &options, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_WRITE);
  g_clear_error (&error);
  options.output = path;
  options.class_name = "bird";
  g_assert_false (preview_run (recipe, &options, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "there is no class \"bird\", found a, b"));
  g_clear_error (&error);
  options.class_name = NULL;
  gray = make_recipe (dir, 128, 128, 3, "[preprocess]\nchannels=gray\n");
  g_assert_false (preview_run (gray, &options, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  recipe_free (gray);
  remove_dir (dir);
}

/* --- predict ---------------------------------------------------------------------------------- */

/* red is a dog, blue a cat: one sigmoid over the sums of the channels of 4x4 pixels */
static Classifier *
make_classifier (const char *dir)
{
  static const char *const labels[] = { "cat", "dog", NULL };
  g_autofree char *path = g_build_filename (dir, "model.h5", NULL);
  g_autoptr (NnModel) model = NULL;
  const ClassifierOptions options = { .model = path, .device = "cpu", .threads = 1 };
  GError *error = NULL;
  Classifier *classifier;

  model = nn_model_new_from_json (
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\", \"batch_input_shape\": "
      "[null, 4, 4, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 1,"
      "\"activation\": \"sigmoid\"}}]}}",
      -1, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  for (guint i = 0; i < 48; i++)
    model->layers[2].params[0].data[i] = i % 3 == 0 ? 0.5f : i % 3 == 2 ? -0.5f : 0;
  g_assert_true (nn_model_set_labels (model, labels, &error));
  g_assert_true (nn_model_save (model, path, NULL, NULL, &error));
  g_assert_no_error (error);
  classifier = classifier_new (&options, &error);
  g_assert_no_error (error);
  return classifier;
}

/* what is printed is none of this test's business */
static Sheet *
run_predict_with (Classifier *classifier, const char *what, PredictOptions options, guint *n_bad)
{
  char *paths[] = { (char *) what, NULL };
  Sheet *sheet = options.sheet = predict_sheet_new (PREDICT_TILE, options.explain);
  GError *error = NULL;
  int kept;

  fflush (stdout);
  kept = dup (STDOUT_FILENO);
  g_assert_nonnull (freopen ("/dev/null", "w", stdout));
  g_assert_true (predict_run (classifier, paths, &options, n_bad, &error));
  fflush (stdout);
  g_assert_cmpint (dup2 (kept, STDOUT_FILENO), ==, STDOUT_FILENO);
  close (kept);
  g_assert_no_error (error);
  return sheet;
}

static Sheet *
run_predict (Classifier *classifier, const char *what, guint limit, guint *n_bad)
{
  return run_predict_with (
      classifier, what, (PredictOptions) { .top_k = 1, .sheet_limit = limit }, n_bad);
}

/* pictures as they are, titles in the colour that folder or name decide */
static void
test_predict_titles (void)
{
  static const struct
  {
    const char *name; /* as the sheet has it, too, where others have the same base name */
    gboolean is_red;
    const char *label, *suffix;
    SheetTone tone;
  } rows[] = {
    { "a/cat.1.png", FALSE, "cat", "", SHEET_RIGHT },
    { "a/cat.2.png", TRUE, "dog", ", is cat", SHEET_WRONG },
    { "a/more.png", FALSE, "cat", "", SHEET_NEUTRAL },
    { "a/none.png", TRUE, "dog", "", SHEET_NEUTRAL },
    { "cat/1.png", TRUE, "dog", ", is cat", SHEET_WRONG },
    { "dog/1.png", TRUE, "dog", "", SHEET_RIGHT },
    { "dog/cat.1.png", TRUE, "dog", "", SHEET_NEUTRAL },
  };
  g_autofree char *dir = make_dir (), *pictures = g_build_filename (dir, "p", NULL);
  g_autofree char *path = g_build_filename (dir, "sheet.png", NULL);
  g_autofree char *bad = g_build_filename (pictures, "dog", "z.png", NULL);
  g_autoptr (Classifier) classifier = make_classifier (dir);
  g_autoptr (Sheet) sheet = NULL;
  g_autoptr (GdkPixbuf) png = NULL;
  g_autoptr (GError) error = NULL;
  const SheetTile *empty;
  guint n_bad;

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_free (make_picture (
        pictures, rows[i].name, 200, 200, rows[i].is_red ? 0xb04060 : 0x6040b0, i));
  g_assert_true (g_file_set_contents (bad, "no picture", -1, NULL));
  sheet = run_predict (classifier, pictures, 100, &n_bad);
  g_assert_cmpuint (n_bad, ==, 1);
  g_assert_cmpuint (sheet->tiles->len, ==, 8);
  g_assert_cmpstr (sheet->title, ==, "model.h5");
  g_assert_cmpstr (g_ptr_array_index (sheet->lines, 0), ==, "8 pictures · 1 unreadable");
  g_assert_true (g_str_has_prefix (g_ptr_array_index (sheet->lines, 1), "2 right of 4 "));
  g_assert_true (sheet_write (sheet, path, &error));
  g_assert_no_error (error);
  png = read_sheet (path);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const SheetTile *tile = g_ptr_array_index (sheet->tiles, i);
    g_autofree char *file = g_build_filename (pictures, rows[i].name, NULL);
    const char *name = strchr (rows[i].name, '1') ? rows[i].name : rows[i].name + strlen ("a/");
    g_autofree guint8 *rgb = g_malloc (200 * 200 * 3);
    g_autoptr (GdkPixbuf) picture = read_sheet (file);
    char label[4];
    double probability;
    int x = 0, y = 0, end = 0;

    for (int r = 0; r < 200; r++)
      memcpy (rgb + r * 600, pixel (picture, 0, r), 600);
    g_assert_true (find_block (png, rgb, 200, 200, 0, &x, &y));
    g_assert_cmpint (find_tone (png, x, y, 200), ==, rows[i].tone);
    g_assert_false (is_white (png, x, y + 200, 200, 20)); /* the name */
    g_assert_cmpstr (tile->caption, ==, name);
    g_assert_cmpint (sscanf (tile->title, "%3s %lf%n", label, &probability, &end), ==, 2);
    g_assert_cmpstr (label, ==, rows[i].label);
    /* 16 pixels, half the difference of red and blue */
    g_assert_cmpfloat_with_epsilon (
        probability, 1 / (1 + exp (-8 * (0xb0 - 0x60) / 255.)), 0.2);
    g_assert_cmpstr (tile->title + end, ==, rows[i].suffix);
  }
  empty = g_ptr_array_index (sheet->tiles, 7);
  g_assert_null (empty->rgb);
  g_assert_null (empty->title);
  g_assert_nonnull (empty->note);
  g_assert_null (strstr (empty->note, bad)); /* the name is beneath */
  g_assert_cmpstr (empty->caption, ==, "z.png");
  remove_dir (dir);
}

/* more than the sheet may hold: so many from all over, and it says so */
static void
test_predict_limit (void)
{
  g_autofree char *dir = make_dir (), *pictures = g_build_filename (dir, "p", NULL);
  g_autoptr (Classifier) classifier = make_classifier (dir);
  guint n_bad;

  for (guint i = 10; i < 50; i++) { /* more than two runs of the classifier */
    g_autofree char *name = g_strdup_printf ("%u.png", i);

    g_free (make_picture (pictures, name, 20, 20, 0xb04060, i));
  }
  for (guint limit = 1; limit < 50; limit += 3) {
    g_autoptr (Sheet) sheet = run_predict (classifier, pictures, limit, &n_bad);
    g_autofree char *line = limit < 40
        ? g_strdup_printf ("40 pictures, %u of them shown, evenly spaced", limit)
        : g_strdup ("40 pictures");
    int last = -1;

    g_assert_cmpuint (sheet->tiles->len, ==, MIN (limit, 40));
    g_assert_cmpuint (sheet->lines->len, ==, 1); /* nothing is known of their classes */
    g_assert_cmpstr (g_ptr_array_index (sheet->lines, 0), ==, line);
    for (guint i = 0; i < sheet->tiles->len; i++) {
      const SheetTile *tile = g_ptr_array_index (sheet->tiles, i);
      int at = atoi (tile->caption) - 10, step = at - last;

      g_assert_nonnull (tile->title);
      g_assert_true (fabs (step - 40.0 / MIN (limit, 40)) < 1 || limit == 1);
      last = at;
    }
  }
  remove_dir (dir);
}

/* upright as the camera meant it, the proportion kept, however long the label */
static void
test_predict_tiles (void)
{
  g_autofree char *dir = make_dir (), *wide = NULL, *expected = NULL, *label = NULL;
  g_autoptr (Classifier) classifier = make_classifier (dir);
  g_autoptr (Sheet) upright = NULL, small = NULL;
  const char *labels[] = { NULL, "dog", NULL };
  const SheetTile *tile;
  gsize size;
  guint n_bad;

  upright = run_predict (classifier, SOURCE_ROOT "/tests/data/pictures/sideways.jpg", 9, &n_bad);
  g_assert_cmpuint (n_bad, ==, 0);
  tile = g_ptr_array_index (upright->tiles, 0);
  g_assert_true (g_file_get_contents (
      SOURCE_ROOT "/tests/data/pictures/sideways.jpg.rgb", &expected, &size, NULL));
  g_assert_cmpuint (tile->width * tile->height * 3, ==, size);
  for (gsize i = 0; i < size; i++)
    g_assert_cmpint (ABS ((int) tile->rgb[i] - (guint8) expected[i]), <=, 2);

  label = g_strnfill (3000, 'W');
  labels[0] = label;
  g_assert_true (nn_model_set_labels (classifier->model, labels, NULL));
  wide = make_picture (dir, "wide.png", 640, 90, 0x6040b0, 1);
  small = run_predict (classifier, wide, 9, &n_bad);
  tile = g_ptr_array_index (small->tiles, 0);
  g_assert_cmpuint (tile->width, ==, 200);
  g_assert_cmpuint (tile->height, ==, 28);
  g_assert_cmpint (strlen (tile->title), <, 60);
  g_assert_nonnull (strstr (tile->title, "W…W"));
  g_assert_nonnull (strstr (tile->title, " 0."));
  remove_dir (dir);
}

/* base names, and folders where names are the same */
static void
test_names (void)
{
  static const char *const paths[] = { "/d/train/a/0.png", "/d/train/b/0.png", "/d/train/b/1.png",
    "0.png", "x/2.png", "/y/x/2.png", "/z/x/2.png", "x/3.png", "x/3.png", "caf\351.png", NULL };
  static const char *const names[] = { "a/0.png", "b/0.png", "1.png", "0.png", "x/2.png",
    "y/x/2.png", "z/x/2.png", "3.png", "3.png", "caf\357\277\275.png", NULL };
  g_auto (GStrv) found = sheet_make_names (paths);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpstr (found[i], ==, names[i]);
}

/* A picture red on the left, which speaks for a dog, and blue on the right, for a cat:
 * the side that is explained gets the map's red (0.55 of it), the other stays, and so does
 * the picture at the map's left. */
static void
test_explain (void)
{
  static const char *const explained[] = { "dog", "cat" };
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "two.png", NULL);
  g_autoptr (GdkPixbuf) picture = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 200, 120);
  g_autoptr (Classifier) classifier = make_classifier (dir);
  char *paths[] = { path, NULL };
  PredictOptions options = { .top_k = 1, .sheet_limit = 9, .explain = TRUE };
  g_autoptr (GError) error = NULL;
  guint n_bad;

  for (int y = 0; y < 120; y++)
    for (int x = 0; x < 200; x++) {
      guint8 *at = gdk_pixbuf_get_pixels (picture) + y * gdk_pixbuf_get_rowstride (picture) + 3 * x;

      at[0] = x < 100 ? 200 : 0;
      at[1] = 0;
      at[2] = x < 100 ? 0 : 200;
    }
  g_assert_true (gdk_pixbuf_save (picture, path, "png", NULL, NULL));
  for (guint i = 0; i < 2; i++) {
    g_autoptr (Sheet) sheet = NULL;
    const SheetTile *tile;
    const guint8 *red, *blue, *left;

    options.explained_label = explained[i];
    sheet = run_predict_with (classifier, path, options, &n_bad);
    g_assert_nonnull (strstr (g_ptr_array_index (sheet->lines, 1), explained[i]));
    tile = g_ptr_array_index (sheet->tiles, 0);
    g_assert_cmpuint (tile->width, ==, 200 + PREDICT_GAP + 200);
    left = tile->rgb + 60 * tile->width * 3;
    for (int x = 0; x < 200; x++)
      g_assert_cmpmem (left + 3 * x, 3, x < 100 ? "\310\0\0" : "\0\0\310", 3);
    g_assert_cmpmem (left + 3 * 200, 3, "\377\377\377", 3);
    red = left + (200 + PREDICT_GAP + 10) * 3;
    blue = left + (200 + PREDICT_GAP + 190) * 3;
    g_assert_cmpint (abs (red[0] - (i == 0 ? (int) (.55 * 255 + .45 * 200) : 200)), <=, 2);
    g_assert_cmpint (red[2], ==, 0);
    g_assert_cmpint (abs (blue[0] - (i == 0 ? 0 : (int) (.55 * 255))), <=, 2);
    g_assert_cmpint (abs (blue[2] - (i == 0 ? 200 : (int) (.45 * 200))), <=, 2);
  }
  options.explained_label = "fox";
  options.sheet = NULL;
  g_assert_false (predict_run (classifier, paths, &options, &n_bad, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_NOT_FOUND);
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  warnings = g_ptr_array_new_with_free_func (g_free);
  nn_log_set_sink (collect_warning, NULL);
  g_test_add_func ("/describe/seen", test_describe_seen);
  g_test_add_func ("/describe/words", test_describe_words);
  g_test_add_func ("/order/draw", test_order_draw);
  g_test_add_func ("/pictures/class", test_find_class);
  g_test_add_func ("/pictures/list", test_dataset_list);
  g_test_add_func ("/sheet/titles", test_sheet_titles);
  g_test_add_func ("/sheet/sizes", test_sheet_sizes);
  g_test_add_func ("/sheet/errors", test_sheet_errors);
  g_test_add_func ("/preview/post", test_preview_post);
  g_test_add_func ("/preview/preprocess", test_preview_preprocess);
  g_test_add_func ("/preview/choice", test_preview_choice);
  g_test_add_func ("/preview/large", test_preview_large);
  g_test_add_func ("/preview/unreadable", test_preview_unreadable);
  g_test_add_func ("/preview/errors", test_preview_errors);
  g_test_add_func ("/predict/titles", test_predict_titles);
  g_test_add_func ("/predict/limit", test_predict_limit);
  g_test_add_func ("/predict/tiles", test_predict_tiles);
  g_test_add_func ("/predict/names", test_names);
  g_test_add_func ("/predict/explain", test_explain);
  status = g_test_run ();
  g_ptr_array_unref (warnings);
  return status;
}
