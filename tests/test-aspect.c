/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pictures that are not as wide as the network's input: where letterbox and
 * center-crop put them, written down by hand; the pixels against the reference
 * in double precision; the model file, a recipe and the command. */

#include <math.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/error.h"
#include "nn/keras-file.h"
#include "tests/picture.h"
#include "tests/pictures.h"

typedef struct
{
  guint width, height;
  double pixel_aspect;
  NnRect crop; /* width 0: whole */
  guint out_width, out_height;
  NnPlace letterbox; /* where all of it goes */
  NnRect center;     /* what center-crop takes */
} Case;

static const Case cases[] = {
  { 200, 100, 0, { 0 }, 50, 50, { 0, 12, 50, 25 }, { 50, 0, 100, 100 } },
  { 33, 77, 0, { 0 }, 21, 21, { 6, 0, 9, 21 }, { 0, 22, 33, 33 } },
  { 101, 77, 0, { 0 }, 31, 40, { 0, 8, 31, 24 }, { 20.6625, 0, 59.675, 77 } },
  { 50, 100, 2, { 0 }, 40, 40, { 0, 0, 40, 40 }, { 0, 0, 50, 100 } }, /* shown as 100x100 */
  { 64, 48, 0.75, { 0 }, 20, 10, { 5, 0, 10, 10 }, { 0, 12, 64, 24 } },
  { 64, 48, 2, { 0 }, 16, 16, { 0, 5, 16, 6 }, { 20, 0, 24, 48 } },
  { 1, 1, 0, { 0 }, 5, 9, { 0, 2, 5, 5 }, { 0, 0, 1, 1 } },
  { 1000, 1, 0, { 0 }, 8, 8, { 0, 3, 8, 1 }, { 499.5, 0, 1, 1 } },
  { 1, 600, 0, { 0 }, 8, 8, { 3, 0, 1, 8 }, { 0, 299.5, 1, 1 } },
  { 40, 30, 0, { 3.25, 2.5, 20.5, 10.25 }, 16, 16, { 0, 4, 16, 8 }, { 8.375, 2.5, 10.25, 10.25 } },
  { 16, 12, 1, { 0 }, 20, 15, { 0, 0, 20, 15 }, { 0, 0, 16, 12 } }, /* nothing to do */
};

static void
set_up (const Case *c, NnPixelFormat format, NnAspect aspect, NnImageInfo *info, NnPreprocess *pre)
{
  *info = (NnImageInfo) { .format = format, .width = c->width, .height = c->height,
    .matrix = NN_MATRIX_BT709, .pixel_aspect = c->pixel_aspect };
  nn_preprocess_init (pre, c->out_width, c->out_height);
  pre->aspect = aspect;
}

static void
test_fit (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Case *c = &cases[i];
    const NnRect *crop = c->crop.width > 0 ? &c->crop : NULL;
    const NnRect whole = { 0, 0, c->width, c->height };

    for (guint aspect = 0; aspect < NN_N_ASPECTS; aspect++) {
      const NnRect *part = aspect == NN_ASPECT_CENTER_CROP ? &c->center : crop ? crop : &whole;
      NnPlace all = { 0, 0, c->out_width, c->out_height };
      NnImageInfo info;
      NnPreprocess pre;
      NnPlace place;
      NnRect source;

      set_up (c, NN_PIXEL_RGB, (NnAspect) aspect, &info, &pre);
      nn_preprocess_fit (&pre, &info, crop, &source, &place);
      g_assert_cmpfloat_with_epsilon (source.x, part->x, 1e-9);
      g_assert_cmpfloat_with_epsilon (source.y, part->y, 1e-9);
      g_assert_cmpfloat_with_epsilon (source.width, part->width, 1e-9);
      g_assert_cmpfloat_with_epsilon (source.height, part->height, 1e-9);
      if (aspect == NN_ASPECT_LETTERBOX)
        all = c->letterbox;
      g_assert_cmpmem (&place, sizeof place, &all, sizeof all);
    }
  }
}

/* what @source of @picture becomes at @place; outside: @pad, or where it is -1 the
 * nearest pixel of the place */
static void
check (Picture *picture, const NnRect *source, const NnPlace *place, const NnPreprocess *pre,
    int pad, const guint8 *out, const char *what)
{
  const gsize channels = nn_preprocess_get_n_channels (pre);
  NnPreprocess inner = *pre;
  g_autofree double *expected = g_new (double, (gsize) place->width * place->height * channels);

  inner.width = place->width;
  inner.height = place->height;
  inner.aspect = NN_ASPECT_STRETCH;
  picture_reference (picture, source, &inner, expected);
  for (guint y = 0; y < pre->height; y++)
    for (guint x = 0; x < pre->width; x++)
      for (gsize k = 0; k < channels; k++) {
        const int px = (int) x - (int) place->x, py = (int) y - (int) place->y;
        const int width = (int) place->width, height = (int) place->height;
        const int ix = CLAMP (px, 0, width - 1), iy = CLAMP (py, 0, height - 1);
        double value = expected[((gsize) iy * place->width + (gsize) ix) * channels + k];
        double tolerance = pre->resize == NN_RESIZE_AREA ? 0.55 : 0.501;

        if ((ix != px || iy != py) && pad >= 0) {
          value = pad;
          tolerance = 0;
        }
        if (pre->channels == NN_CHANNELS_GRAY)
          tolerance = tolerance == 0 ? 0 : 1.2; /* of three rounded ones */
        if (!(fabs (out[((gsize) y * pre->width + x) * channels + k] - value) <= tolerance))
          g_error ("%s: %u,%u channel %zu is %d, expected %.4f", what, x, y, k,
              out[((gsize) y * pre->width + x) * channels + k], value);
      }
}

/* floats of it, and mirrored */
static void
check_floats (NnSampler *sampler, const Picture *picture, const NnPreprocess *pre,
    const guint8 *bytes)
{
  const gsize channels = nn_preprocess_get_n_channels (pre);
  g_autofree float *out = g_new (float, pre->width * pre->height * channels);

  for (guint flip = 0; flip < 2; flip++) {
    nn_sampler_run (sampler, &picture->planes, flip, out);
    for (gsize y = 0; y < pre->height; y++)
      for (gsize x = 0; x < pre->width; x++)
        for (gsize k = 0; k < channels; k++) {
          const gsize from = flip ? pre->width - 1 - x : x;

          g_assert_cmpfloat_with_epsilon (out[(y * pre->width + x) * channels + k],
              bytes[(y * pre->width + from) * channels + k] / 255., 1e-6);
        }
  }
}

static void
test_pixels (gconstpointer data)
{
  const NnPixelFormat format = (NnPixelFormat) GPOINTER_TO_UINT (data);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (guint method = 0; method < 3; method++)
      for (guint aspect = 1; aspect < NN_N_ASPECTS + 1; aspect++) {
        const Case *c = &cases[i];
        const gboolean is_placed = aspect == NN_N_ASPECTS;
        const NnRect whole = { 0, 0, c->width, c->height };
        const NnRect *source = c->crop.width > 0 ? &c->crop : &whole;
        NnPlace place = { 0, 0, c->out_width, c->out_height };
        g_autoptr (GError) error = NULL;
        g_autoptr (NnSampler) sampler = NULL;
        g_autoptr (Picture) picture = NULL;
        g_autofree guint8 *out = g_malloc ((gsize) place.width * place.height * 3);
        g_autofree char *what = NULL;
        NnImageInfo info;
        NnPreprocess pre;

        set_up (c, format, is_placed ? NN_ASPECT_CENTER_CROP : (NnAspect) aspect, &info, &pre);
        pre.resize = (NnResize) method;
        pre.pad = 114;
        if (i % 3 == 2)
          pre.channels = i % 2 ? NN_CHANNELS_GRAY : NN_CHANNELS_BGR;
        picture = picture_new (&info);
        picture_fill_random (picture, i, FALSE);
        picture_lay_out (picture, i % 2 ? PICTURE_PADDED : PICTURE_TIGHT);
        what = g_strdup_printf ("%s case %u resize %u aspect %u", picture_format_names[format], i,
            method, aspect);
        if (is_placed) {
          place = (NnPlace) { 2, 1, c->out_width - 4, c->out_height - 2 };
          sampler = nn_sampler_new_placed (&info, source, &pre, &place, &error);
        } else {
          sampler = nn_sampler_new (&info, c->crop.width > 0 ? &c->crop : NULL, &pre, &error);
          if (aspect == NN_ASPECT_LETTERBOX)
            place = c->letterbox;
          else
            source = &c->center;
        }
        g_assert_no_error (error);
        memset (out, 7, (gsize) pre.width * pre.height * 3);
        nn_sampler_run_bytes (sampler, &picture->planes, out);
        check (picture, source, &place, &pre, is_placed ? -1 : 114, out, what);
        check_floats (sampler, picture, &pre, out);
      }
}

static void
test_refused (void)
{
  const NnImageInfo info = { .format = NN_PIXEL_RGB, .width = 9, .height = 9 };
  static const NnPlace places[] = { { 0, 0, 0, 3 }, { 0, 0, 3, 9 }, { 6, 0, 3, 3 },
    { 0, 6, 3, 3 }, { G_MAXUINT, 0, 3, 3 } };
  NnPreprocess pre;

  nn_preprocess_init (&pre, 8, 8);
  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (nn_sampler_new_placed (&info, NULL, &pre, &places[i], &error));
    g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
  }
}

/* --- files ------------------------------------------------------------------------------------ */

static const char network[]
    = "{\"class_name\":\"Sequential\",\"config\":["
      "{\"class_name\":\"Conv2D\",\"config\":{\"name\":\"c\",\"batch_input_shape\":[null,12,12,3],"
      "\"filters\":4,\"kernel_size\":[3,3],\"activation\":\"relu\"}},"
      "{\"class_name\":\"GlobalAveragePooling2D\",\"config\":{\"name\":\"g\"}},"
      "{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"units\":2,"
      "\"activation\":\"softmax\"}}]}";

static void
test_file (void)
{
  g_autofree char *dir = make_dir (), *path = g_build_filename (dir, "m.h5", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (network, -1, NULL, &error);
  NnPreprocess old = model->preprocess;

  g_assert_no_error (error);
  g_assert_true (nn_model_init_params (model, 1, &error));
  for (guint aspect = 0; aspect < NN_N_ASPECTS; aspect++) {
    g_autoptr (NnModel) loaded = NULL;
    g_autofree char *text = NULL;

    model->preprocess.aspect = (NnAspect) aspect;
    model->preprocess.pad = aspect == NN_ASPECT_LETTERBOX ? 114 : 0;
    model->preprocess.has_background = aspect > 0;
    model->preprocess.background[1] = aspect > 0 ? 7 : 0;
    g_assert_true (nn_model_save (model, path, NULL, NULL, &error));
    loaded = nn_model_load (path, &error);
    g_assert_no_error (error);
    g_assert_true (nn_preprocess_equal (&loaded->preprocess, &model->preprocess));
    g_assert_cmpuint (loaded->preprocess.aspect, ==, aspect);
    g_assert_cmpuint (loaded->preprocess.pad, ==, model->preprocess.pad);
    g_assert_true (nn_preprocess_equal (&loaded->preprocess, &model->preprocess));
    g_assert_cmpmem (loaded->preprocess.background, 3, model->preprocess.background, 3);
    g_assert_cmpint (nn_preprocess_equal (&loaded->preprocess, &old), ==, aspect == 0);
    {
      NnPreprocess other = loaded->preprocess;

      other.has_background = !other.has_background;
      g_assert_false (nn_preprocess_equal (&loaded->preprocess, &other));
      other = loaded->preprocess;
      other.background[2]++;
      g_assert_cmpint (
          nn_preprocess_equal (&loaded->preprocess, &other), ==, !other.has_background);
    }
    text = nn_preprocess_to_string (&loaded->preprocess);
    g_assert_true ((strstr (text, "letterbox (pad 114)") != NULL) == (aspect == 1));
    g_assert_true ((strstr (text, "center-crop") != NULL) == (aspect == 2));
  }
  remove_dir (dir);
}

static void
run_command (const char *const *argv, char **out)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *complaint = NULL;
  int status;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, out, &complaint, &status,
      &error);
  g_assert_no_error (error);
  g_test_message ("%s", complaint);
  g_assert_true (g_spawn_check_wait_status (status, &error));
}

/* A network trained on letterboxed, augmented pictures says so in its file, and
 * what it predicts is what it makes of a picture letterboxed here. */
static void
test_command (void)
{
  g_autofree char *dir = make_dir (), *net = g_build_filename (dir, "net.json", NULL);
  g_autofree char *recipe = g_build_filename (dir, "r.ini", NULL);
  g_autofree char *path = g_build_filename (dir, "m.h5", NULL), *picture = NULL, *out = NULL;
  const char *exe = g_getenv ("CLASSIFY_EXE");
  const char *train[] = { exe, "train", recipe, "--data", dir, "-o", path, "--device", "cpu", "-q",
    NULL };
  const char *predict[] = { exe, "predict", path, NULL, "--format", "csv", "--device", "cpu",
    NULL };
  const NnImageInfo info = { .format = NN_PIXEL_RGB, .width = 30, .height = 10 };
  const NnPlanOptions options = { .batch = 1, .threads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnBackend) backend = NULL;
  g_autoptr (NnPlan) plan = NULL;
  g_autoptr (GdkPixbuf) pixbuf = NULL;
  g_autoptr (NnSampler) sampler = NULL;
  g_auto (GStrv) fields = NULL;
  NnImagePlanes planes = { 0 };
  const float *output;
  float *input;

  if (!exe) {
    g_test_skip ("CLASSIFY_EXE does not name the command");
    return;
  }
  for (guint i = 0; i < 16; i++) {
    g_autofree char *a = g_strdup_printf ("train/%c/%u.png", 'a' + i % 2, i);
    g_autofree char *b = g_strdup_printf ("validate/%c/%u.png", 'a' + i % 2, i);

    g_free (make_picture (dir, a, 30, 10, i % 2 ? 0x9040b0 : 0x30a040, i));
    g_free (make_picture (dir, b, 10, 26, i % 2 ? 0x9040b0 : 0x30a040, i + 50));
  }
  picture = make_picture (dir, "p.png", 30, 10, 0x702080, 99);
  g_file_set_contents (net, network, -1, NULL);
  g_file_set_contents (recipe,
      "[network]\nfile=net.json\n[preprocess]\nresize=area\naspect=letterbox\npad=40\n"
      "[augmentation]\nrotation_range=20\nrandom_resized_crop=0.5;1\nhorizontal_flip=true\n"
      "[schedule]\nepochs=2\nlearning_rate=1e-2\n[training]\nbatch_size=4\n",
      -1, NULL);
  run_command (train, NULL);
  model = nn_model_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model->preprocess.aspect, ==, NN_ASPECT_LETTERBOX);
  g_assert_cmpuint (model->preprocess.pad, ==, 40);
  predict[3] = picture;
  run_command (predict, &out);
  g_assert_true (g_str_has_prefix (out, "file,label,probability\n"));
  fields = g_strsplit (strchr (g_strstrip (out), '\n') + 1, ",", -1); /* path, label, probability */

  backend = nn_backend_open ("cpu", &error);
  plan = nn_plan_new (backend, model, &options, &error);
  pixbuf = gdk_pixbuf_new_from_file (picture, &error);
  g_assert_no_error (error);
  planes.planes[0] = gdk_pixbuf_read_pixels (pixbuf);
  planes.strides[0] = gdk_pixbuf_get_rowstride (pixbuf);
  sampler = nn_sampler_new (&info, NULL, &model->preprocess, &error);
  input = nn_plan_get_input (plan);
  nn_sampler_run (sampler, &planes, FALSE, input);
  g_assert_cmpfloat_with_epsilon (input[0], 40 / 255., 1e-6); /* the bar above */
  g_assert_cmpfloat_with_epsilon (input[12 * 12 * 3 - 1], 40 / 255., 1e-6);
  output = nn_plan_run (plan, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (fields[1], ==, output[0] > output[1] ? "a" : "b");
  g_assert_cmpfloat_with_epsilon (g_ascii_strtod (fields[2], NULL), MAX (output[0], output[1]),
      2e-6);
  remove_dir (dir);
}

int
main (int argc, char **argv)
{
  static const NnPixelFormat formats[] = { NN_PIXEL_I420, NN_PIXEL_NV12, NN_PIXEL_YUY2,
    NN_PIXEL_P010_10LE, NN_PIXEL_RGB, NN_PIXEL_BGRX, NN_PIXEL_GRAY8, NN_PIXEL_GBR };

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/aspect/fit", test_fit);
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *name
        = g_strconcat ("/aspect/pixels/", picture_format_names[formats[i]], NULL);

    g_test_add_data_func (name, GUINT_TO_POINTER (formats[i]), test_pixels);
  }
  g_test_add_func ("/aspect/refused", test_refused);
  g_test_add_func ("/aspect/file", test_file);
  g_test_add_func ("/aspect/command", test_command);
  return g_test_run ();
}
