/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Test-time augmentation: each view pixel by pixel against the rule it follows,
 * the means against double precision, windows of feature maps against the
 * network on crops of the picture. */

#include <math.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/error.h"
#include "nn/tta.h"

#define SIDE 32 /* of the picture */
#define IN 16   /* of the network */

static const char flat[] = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"f\", "
    "\"layers\": [{\"class_name\": \"Flatten\", \"config\": {\"name\": \"g\", "
    "\"batch_input_shape\": [null, 16, 16, 3]}}, {\"class_name\": \"Dense\", \"config\": "
    "{\"name\": \"d\", \"units\": %u, \"activation\": \"%s\"}}]}}";

static const char pooled[] = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"p\", "
    "\"layers\": [{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"c\", "
    "\"batch_input_shape\": [null, 18, 18, 3], \"filters\": 6, \"kernel_size\": [3, 3], "
    "\"activation\": \"relu\"}}, {\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"m\", "
    "\"pool_size\": [2, 2]}}, {\"class_name\": \"GlobalAveragePooling2D\", \"config\": "
    "{\"name\": \"g\"}}, {\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 3, "
    "\"activation\": \"softmax\"}}]}}";

static NnModel *
make_model (const char *json)
{
  g_autoptr (GError) error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);
  const NnShape *shape;

  g_assert_no_error (error);
  nn_model_init_params (model, 5, &error);
  g_assert_no_error (error);
  shape = nn_model_get_input_shape (model);
  nn_preprocess_init (&model->preprocess, (guint) shape->dims[1], (guint) shape->dims[0]);
  return model;
}

static NnModel *
make_flat (guint units, const char *activation)
{
  g_autofree char *units_text = g_strdup_printf ("\"units\": %u", units);
  g_autofree char *activation_text = g_strdup_printf ("\"activation\": \"%s\"", activation);
  g_autofree char *json = NULL;
  GString *text = g_string_new (flat);

  g_string_replace (text, "\"units\": %u", units_text, 0);
  g_string_replace (text, "\"activation\": \"%s\"", activation_text, 0);
  json = g_string_free (text, FALSE);
  return make_model (json);
}

typedef struct
{
  guint side;
  guint8 *rgb;
  NnImageInfo info;
  NnImagePlanes planes;
} Image;

static void
image_init (Image *image, guint side)
{
  image->side = side;
  image->rgb = g_malloc ((gsize) side * side * 3);
  for (guint i = 0; i < side * side * 3; i++)
    image->rgb[i] = (guint8) (i * 2654435761u >> 24);
  image->info = (NnImageInfo) { .format = NN_PIXEL_RGB, .width = side, .height = side };
  image->planes = (NnImagePlanes) { { image->rgb }, { side * 3 } };
}

static NnViews *
make_views (NnModel *model, const char *tta)
{
  g_autoptr (GError) error = NULL;
  NnViews *views;
  NnTta parsed;

  g_assert_true (nn_tta_parse (tta, &parsed, &error));
  g_assert_no_error (error);
  views = nn_views_new (model, &parsed, &error);
  g_assert_no_error (error);
  return views;
}

/* all views; (n, H, W, C) */
static float *
sample (const NnViews *views, const Image *image)
{
  const NnPreprocess *pre = nn_views_get_preprocess (views);
  g_autoptr (GError) error = NULL;
  g_autoptr (NnViewSampler) sampler
      = nn_view_sampler_new (views, &image->info, NULL, &error);
  float *dst = g_new (float, (gsize) nn_views_get_n (views) * pre->height * pre->width * 3);

  g_assert_no_error (error);
  nn_view_sampler_run (sampler, &image->planes, nn_views_get_n (views), dst);
  return dst;
}

/* --- words ----------------------------------------------------------------------- */

static void
test_words (void)
{
  static const struct
  {
    const char *in, *out;
  } good[] = {
    { NULL, "none" },
    { "", "none" },
    { "none", "none" },
    { "flip", "flip" },
    { "none+flip", "flip" },
    { "crops5", "crops5:0.875" },
    { "crops10", "crops5:0.875+flip" },
    { "crops10:0.5", "crops5:0.5+flip" },
    { " scales:1,1.25,0.8 + flip + logits ", "scales:1,1.25,0.8+flip+logits" },
    { "logits+random:8", "random:8+logits" },
    { "random:8,77", "random:8,77" },
    { "features:256+flip", "features:256+flip" },
  };
  static const char *const bad[] = { "flop", "crops5:0", "crops5:2", "crops7", "scales",
    "scales:", "scales:1,,2", "scales:0", "scales:nan", "scales:1e9", "random", "random:0",
    "random:1000000", "random:3,x", "random:3+flip", "features", "features:0", "features:x",
    "features:99999999", "crops5+scales:1", "+", "flip+", "crops5:-1",
    "scales:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autofree char *text = NULL, *again = NULL;
    NnTta tta, same;

    g_assert_true (nn_tta_parse (good[i].in, &tta, NULL));
    text = nn_tta_to_string (&tta);
    g_assert_cmpstr (text, ==, good[i].out);
    g_assert_true (nn_tta_parse (text, &same, NULL));
    again = nn_tta_to_string (&same);
    g_assert_cmpstr (again, ==, text);
  }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    NnTta tta = { .n_random = 7 };

    g_assert_false (nn_tta_parse (bad[i], &tta, &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, "expected"));
    g_assert_cmpuint (tta.n_random, ==, 7); /* as it was */
  }
}

/* --- views ----------------------------------------------------------------------- */

static float
pixel (const Image *image, guint x, guint y, guint c)
{
  return (float) image->rgb[(y * image->side + x) * 3 + c] * (1.0f / 255);
}

static void
expect_pixel (float got, float expected, guint view, guint x, guint y)
{
  if (fabsf (got - expected) > 1e-6f)
    g_error ("view %u, pixel %u,%u: %g, expected %g", view, x, y, got, expected);
}

/* A crop of half the side at the network's own size: pixels as they are. */
static void
test_crops (void)
{
  static const guint corners[5][2] = { { 8, 8 }, { 0, 0 }, { 16, 0 }, { 0, 16 }, { 16, 16 } };
  g_autoptr (NnModel) model = make_flat (2, "softmax");
  g_autoptr (NnViews) views = make_views (model, "crops10:0.5");
  g_autoptr (NnViews) unflipped = make_views (model, "crops5:0.5");
  g_autofree float *got = NULL, *five = NULL;
  Image image;

  image_init (&image, SIDE);
  g_assert_cmpuint (nn_views_get_n (views), ==, 10);
  g_assert_cmpuint (nn_views_get_n (unflipped), ==, 5);
  got = sample (views, &image);
  five = sample (unflipped, &image);
  for (guint v = 0; v < 10; v++)
    for (guint y = 0; y < IN; y++)
      for (guint x = 0; x < IN; x++)
        for (guint c = 0; c < 3; c++) {
          const guint from = v % 2 ? IN - 1 - x : x;
          const float expected
              = pixel (&image, corners[v / 2][0] + from, corners[v / 2][1] + y, c);

          expect_pixel (got[((v * IN + y) * IN + x) * 3 + c], expected, v, x, y);
          if (v % 2 == 0)
            expect_pixel (five[((v / 2 * IN + y) * IN + x) * 3 + c], expected, v, x, y);
        }
  g_free (image.rgb);
}

/* 2: the middle half; 1: every other pixel, as Keras's nearest takes it; 0.5: a
 * quarter of the pixels in the middle, their border outside. */
static void
test_scales (void)
{
  g_autoptr (NnModel) model = make_flat (2, "softmax");
  g_autoptr (NnViews) views = make_views (model, "scales:2,1,0.5");
  g_autofree float *got = NULL;
  Image image;

  image_init (&image, SIDE);
  got = sample (views, &image);
  for (guint y = 0; y < IN; y++)
    for (guint x = 0; x < IN; x++)
      for (guint c = 0; c < 3; c++) {
        const gsize at = (y * IN + x) * 3 + c, size = IN * IN * 3;
        const guint inner_x = CLAMP (x, 4, 11) - 4, inner_y = CLAMP (y, 4, 11) - 4;

        expect_pixel (got[at], pixel (&image, 8 + x, 8 + y, c), 0, x, y);
        expect_pixel (got[size + at], pixel (&image, 2 * x + 1, 2 * y + 1, c), 1, x, y);
        expect_pixel (got[2 * size + at], pixel (&image, 4 * inner_x + 2, 4 * inner_y + 2, c), 2,
            x, y);
      }
  g_free (image.rgb);
}

/* What the aspect policy takes of a frame is what crops are parts of. */
static void
test_aspect (void)
{
  g_autoptr (NnModel) model = make_flat (2, "softmax");
  g_autoptr (NnViews) views = NULL;
  g_autoptr (NnViewSampler) sampler = NULL;
  g_autofree float *got = g_new (float, 5 * IN * IN * 3);
  Image image;

  /* 48x32: the middle 32x32 from column 8 on */
  image_init (&image, 48);
  image.info.height = 32;
  model->preprocess.aspect = NN_ASPECT_CENTER_CROP;
  views = make_views (model, "crops5:0.5");
  sampler = nn_view_sampler_new (views, &image.info, NULL, NULL);
  nn_view_sampler_run (sampler, &image.planes, 5, got);
  for (guint y = 0; y < IN; y++)
    for (guint x = 0; x < IN; x++) {
      expect_pixel (got[(y * IN + x) * 3], pixel (&image, 16 + x, 8 + y, 0), 0, x, y);
      expect_pixel (got[((IN + y) * IN + x) * 3], pixel (&image, 8 + x, y, 0), 1, x, y);
    }
  g_free (image.rgb);
}

static void
set_augmentation (NnModel *model, const NnAugment *augment)
{
  g_hash_table_replace (
      model->extra, g_strdup (NN_AUGMENT_ATTRIBUTE), nn_augment_to_json (augment));
}

static void
test_random (void)
{
  g_autoptr (NnModel) model = make_flat (2, "softmax");
  g_autoptr (NnViews) plain = make_views (model, "flip");
  g_autoptr (NnViews) views = NULL, again = NULL, other = NULL;
  g_autofree float *two = NULL, *got = NULL, *same = NULL, *different = NULL;
  g_autoptr (GError) error = NULL;
  const gsize size = IN * IN * 3;
  guint n_flipped = 0;
  NnAugment augment;
  NnTta tta;
  Image image;

  image_init (&image, SIDE);
  two = sample (plain, &image);

  /* a file that does not tell */
  nn_tta_parse ("random:20", &tta, NULL);
  g_assert_null (nn_views_new (model, &tta, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);

  /* flips alone: each view is the picture or its mirror image */
  nn_augment_init (&augment);
  augment.horizontal_flip = TRUE;
  set_augmentation (model, &augment);
  views = make_views (model, "random:20");
  got = sample (views, &image);
  for (guint v = 0; v < 20; v++) {
    const gboolean is_flipped = memcmp (got + v * size, two + size, size * sizeof (float)) == 0;

    n_flipped += is_flipped;
    g_assert_true (is_flipped || memcmp (got + v * size, two, size * sizeof (float)) == 0);
  }
  g_assert_cmpuint (n_flipped, >, 3);
  g_assert_cmpuint (n_flipped, <, 17);

  /* from pictures kept larger; the same views each time, others of another seed */
  augment.crop_scale[0] = 0.25;
  augment.source_height = augment.source_width = 24;
  set_augmentation (model, &augment);
  again = make_views (model, "random:20");
  other = make_views (model, "random:20,9");
  g_free (got);
  got = sample (again, &image);
  same = sample (again, &image);
  different = sample (other, &image);
  g_assert_cmpmem (got, 20 * size * sizeof (float), same, 20 * size * sizeof (float));
  g_assert_cmpint (memcmp (got, different, 20 * size * sizeof (float)), !=, 0);
  g_free (image.rgb);
}

static void
test_augmentation_json (void)
{
  static const char *const bad[] = { "", "[", "{\"rotation_range\": 1e9}",
    "{\"fill_mode\": 1.5}", "{\"fill_mode\": -1}", "{\"cval\": \"x\"}",
    "{\"source_height\": 10}", "{\"crop_scale_min\": 0.9, \"crop_scale_max\": 0.5}",
    "{\"horizontal_flip\": 7}" };
  g_autofree char *text = NULL, *again = NULL;
  g_autoptr (GError) error = NULL;
  NnAugment augment, back;

  nn_augment_init (&augment);
  text = nn_augment_to_json (&augment);
  g_assert_cmpstr (text, ==, "{}");
  g_free (text);
  augment.rotation_range = 10.1;
  augment.zoom_range[0] = 1.0 / 3;
  augment.fill_mode = NN_FILL_REFLECT;
  augment.vertical_flip = TRUE;
  augment.source_height = 40;
  augment.source_width = 50;
  augment.center_offset = -0.5;
  augment.erasing = 0.5;
  text = nn_augment_to_json (&augment);
  g_assert_true (nn_augment_from_json (text, &back, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (&augment, sizeof augment, &back, sizeof back);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_false (nn_augment_from_json (bad[i], &back, &error));
    g_assert_nonnull (error);
    g_clear_error (&error);
  }
}

/* --- means ----------------------------------------------------------------------- */

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

static void
test_means (void)
{
  static const double logits[3][3] = { { 2, -1, 0.5 }, { 0, 3, -2 }, { 1, 1, 4 } };
  float outputs[9], got[3];
  g_autoptr (NnModel) softmax = make_flat (3, "softmax"), one = make_flat (1, "sigmoid");

  for (guint temper = 0; temper < 2; temper++) {
    const double t = temper ? 0.5 : 1;
    g_autoptr (NnViews) of_logits = NULL, of_probabilities = NULL, of_one = NULL;
    double mean[3] = { 0 }, direct[3] = { 0 }, total = 0;

    softmax->temperature = one->temperature = t;
    of_logits = make_views (softmax, "scales:1,1.5,2+logits");
    of_probabilities = make_views (softmax, "scales:1,1.5,2");
    of_one = make_views (one, "scales:1,1.5,2+logits");
    for (guint v = 0; v < 3; v++) {
      double sum = 0, sum_t = 0;

      for (guint k = 0; k < 3; k++) {
        sum += exp (logits[v][k]);
        sum_t += exp (logits[v][k] / t);
      }
      for (guint k = 0; k < 3; k++) {
        outputs[3 * v + k] = (float) (exp (logits[v][k]) / sum);
        direct[k] += exp (logits[v][k] / t) / sum_t / 3;
        mean[k] += logits[v][k] / 3;
      }
    }
    for (guint k = 0; k < 3; k++)
      total += exp (mean[k] / t);
    g_assert_true (nn_views_mean (of_logits, outputs, 3, got, NULL));
    for (guint k = 0; k < 3; k++)
      g_assert_cmpfloat_with_epsilon (got[k], exp (mean[k] / t) / total, 1e-6);
    g_assert_true (nn_views_mean (of_probabilities, outputs, 3, got, NULL));
    for (guint k = 0; k < 3; k++)
      g_assert_cmpfloat_with_epsilon (got[k], direct[k], 1e-6);
    g_assert_true (nn_views_mean (of_probabilities, outputs, 1, got, NULL)); /* of fewer */
    if (!temper)
      g_assert_cmpfloat_with_epsilon (got[0], outputs[0], 1e-7);

    for (guint v = 0; v < 3; v++)
      outputs[v] = (float) sigmoid (logits[v][0]);
    g_assert_true (nn_views_mean (of_one, outputs, 3, got, NULL));
    g_assert_cmpfloat_with_epsilon (got[1], sigmoid (mean[0] / t), 1e-6);
    g_assert_cmpfloat_with_epsilon (got[0] + got[1], 1, 1e-6);
  }

  /* sure of both: neither 0 * inf nor a crash */
  {
    g_autoptr (NnViews) sure = make_views (one, "flip+logits");
    const float certain[2] = { 1, 0 };

    g_assert_true (nn_views_mean (sure, certain, 2, got, NULL));
    g_assert_true (isfinite (got[0]) && isfinite (got[1]));
  }
}

/* --- feature maps ------------------------------------------------------------------ */

static float *
run (NnBackend *backend, NnModel *model, const float *input, guint n)
{
  const NnPlanOptions options = { .precision = NN_PRECISION_FP32, .batch = n, .threads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NnPlan) plan = nn_plan_new (backend, model, &options, &error);
  const float *output;

  g_assert_no_error (error);
  memcpy (nn_plan_get_input (plan), input,
      n * nn_shape_count (nn_model_get_input_shape (model)) * sizeof (float));
  output = nn_plan_run (plan, n, &error);
  g_assert_no_error (error);
  return g_memdup2 (output, n * nn_model_get_n_outputs (model) * sizeof (float));
}

/* Without padding a window of the maps is what the network makes of the crop of
 * the picture that it stands for: here rows and columns from 0, 8 and 16 on. */
static void
test_features (void)
{
  g_autoptr (NnModel) model = make_model (pooled);
  g_autoptr (NnViews) views = make_views (model, "features:34+flip");
  g_autoptr (GError) error = NULL;
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", &error);
  g_autofree float *input = NULL, *maps = NULL, *crops = g_new (float, 18 * 18 * 18 * 3);
  g_autofree float *outputs = NULL;
  double expected[3] = { 0 };
  float got[3], *crop = crops;
  Image image;

  image_init (&image, 34);
  g_assert_cmpuint (nn_views_get_n (views), ==, 2);
  g_assert_cmpuint (nn_views_get_preprocess (views)->height, ==, 34);
  g_assert_true (nn_views_prepare (views, backend, &error));
  input = sample (views, &image);
  maps = run (backend, nn_views_get_network (views), input, 2);
  g_assert_true (nn_views_mean (views, maps, 2, got, &error));
  for (guint flip = 0; flip < 2; flip++)
    for (guint w = 0; w < 9; w++)
      for (guint y = 0; y < 18; y++)
        for (guint x = 0; x < 18; x++)
          for (guint c = 0; c < 3; c++) {
            const guint column = w % 3 * 8 + x;

            *crop++ = pixel (&image, flip ? 33 - column : column, w / 3 * 8 + y, c);
          }
  outputs = run (backend, model, crops, 18);
  for (guint i = 0; i < 18; i++)
    for (guint k = 0; k < 3; k++)
      expected[k] += outputs[3 * i + k] / 18.0;
  for (guint k = 0; k < 3; k++)
    g_assert_cmpfloat_with_epsilon (got[k], expected[k], 1e-6);
  g_free (image.rgb);
}

/* at its own size there is one window: the network itself */
static void
test_features_same_size (void)
{
  g_autoptr (NnModel) model = make_model (pooled);
  g_autoptr (NnViews) views = make_views (model, "features:18"), plain = make_views (model, "");
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);
  g_autofree float *input = NULL, *maps = NULL, *whole = NULL, *outputs = NULL;
  float got[3];
  Image image;

  image_init (&image, SIDE);
  g_assert_true (nn_views_prepare (views, backend, NULL));
  input = sample (views, &image);
  whole = sample (plain, &image);
  maps = run (backend, nn_views_get_network (views), input, 1);
  outputs = run (backend, model, whole, 1);
  g_assert_true (nn_views_mean (views, maps, 1, got, NULL));
  for (guint k = 0; k < 3; k++)
    g_assert_cmpfloat_with_epsilon (got[k], outputs[k], 1e-6);
  g_free (image.rgb);
}

static void
test_features_refused (void)
{
  g_autoptr (NnModel) flattened = make_flat (2, "softmax"), model = make_model (pooled);
  g_autoptr (GError) error = NULL;
  NnTta tta;

  nn_tta_parse ("features:64", &tta, NULL);
  g_assert_null (nn_views_new (flattened, &tta, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "GlobalAveragePooling2D"));
  g_clear_error (&error);
  tta.size = 17;
  g_assert_null (nn_views_new (model, &tta, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tta/words", test_words);
  g_test_add_func ("/tta/crops", test_crops);
  g_test_add_func ("/tta/scales", test_scales);
  g_test_add_func ("/tta/aspect", test_aspect);
  g_test_add_func ("/tta/random", test_random);
  g_test_add_func ("/tta/augmentation-json", test_augmentation_json);
  g_test_add_func ("/tta/means", test_means);
  g_test_add_func ("/tta/features", test_features);
  g_test_add_func ("/tta/features-same-size", test_features_same_size);
  g_test_add_func ("/tta/features-refused", test_features_refused);
  return g_test_run ();
}
