/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packs: what the device's arithmetic makes of them on the host, against the sampler, which
 * is other code, to the bit. */

#include <string.h>

#include "nn/augment.h"
#include "nn/error.h"
#include "nn/frame-pack.h"
#include "nn/pack-math.h"
#include "tests/picture.h"

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"p\", \"layers\": ["
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\","
      " \"batch_input_shape\": [null, %u, %u, %u]}}]}}";

typedef struct
{
  guint width, height;
  NnRect rects[2]; /* width 0: whole */
  guint out_width, out_height;
} Geometry;

static const Geometry geometries[] = {
  { 16, 12, { { 0 } }, 16, 12 },
  { 1, 1, { { 0 } }, 3, 4 },
  { 33, 21, { { 0 } }, 10, 7 },
  { 64, 48, { { 0, 0, 64, 48 }, { 20.5, 11, 30, 21.25 } }, 20, 20 },
  { 101, 77, { { 26, 20, 11, 9 }, { 0, 0, 50, 77 } }, 9, 31 },
  { 37, 29, { { 36, 28, 1, 1 }, { 3, 4, 20, 20 } }, 2, 2 },
  { 40, 10, { { 0 } }, 8, 20 },
  { 8, 1201, { { 0 } }, 3, 2 }, /* sums of 600 rows */
  { 9, 540, { { 0 } }, 2, 2 },
};

static const char *const views[]
    = { "none", "flip", "crops10:0.8", "scales:1,1.25,0.85+flip", "random:3" };

static NnModel *
make_model (const NnPreprocess *pre)
{
  g_autofree char *json = g_strdup_printf (
      network, pre->height, pre->width, nn_preprocess_get_n_channels (pre));
  g_autoptr (GError) error = NULL;
  NnModel *model = nn_model_new_from_json (json, -1, NULL, &error);
  NnAugment augment;

  g_assert_no_error (error);
  model->preprocess = *pre;
  nn_augment_init (&augment);
  augment.rotation_range = 30;
  augment.horizontal_flip = TRUE;
  augment.zoom_range[0] = 0.6;
  augment.brightness = 0.3;
  augment.erasing = 0.5;
  augment.source_height = pre->height + 5;
  augment.source_width = pre->width + 3;
  g_hash_table_replace (
      model->extra, g_strdup (NN_AUGMENT_ATTRIBUTE), nn_augment_to_json (&augment));
  return model;
}

/* What a device does: the tables, and each plane's rows in one copy. */
static guint8 *
fetch_spans (const NnPacker *packer, const NnImagePlanes *planes)
{
  guint8 *dst = g_malloc (nn_packer_get_size (packer));
  NnPackPlane fetched[3];
  NnPack pack;

  nn_packer_describe (packer, planes, dst, fetched, &pack);
  g_assert_cmpuint (pack.size, ==, nn_packer_get_size (packer));
  memset (dst + pack.tables_size, 0xa5, pack.size - pack.tables_size);
  for (guint p = 0; p < pack.n_planes; p++)
    for (guint y = 0; y < fetched[p].n_rows; y++)
      memcpy (dst + fetched[p].at + y * fetched[p].stride, fetched[p].rows + y * fetched[p].pitch,
          fetched[p].n_bytes);
  return dst;
}

/* And its arithmetic, of draws that need nothing of the whole picture. */
static void
draw_all (const guint8 *pack, const NnPackDraws *draws, guint n, float *dst)
{
  const NnAugmentEntry *entries
      = (const NnAugmentEntry *) (gconstpointer) (pack + draws->entries);
  const NnAugmentForm *f = &draws->form;
  g_autofree guint8 *bytes = g_malloc ((gsize) f->source_rows * f->source_columns * f->channels);

  g_assert_cmpuint (draws->n, ==, n);
  for (guint i = 0; i < n; i++) {
    const NnPackSample *s = nn_pack_get_sample (pack, (guint) entries[i].picture);

    for (guint y = 0; y < f->source_rows; y++) {
      for (guint x = 0; x < f->source_columns; x++) {
        guint8 pixel[3];

        nn_pack_bytes (
            pack, ((const NnPackHeader *) (gconstpointer) pack)->planes, s, x, y, pixel);
        memcpy (bytes + (y * f->source_columns + x) * f->channels, pixel, f->channels);
      }
    }
    for (guint y = 0; y < f->rows; y++) {
      for (guint x = 0; x < f->columns; x++, dst += f->channels) {
        nn_augment_source_pixel (f, &entries[i], bytes, y, x, dst);
        nn_augment_light (f, &entries[i], 0, 0, dst);
        nn_augment_finish (f, &entries[i], 0, y, x, dst);
      }
    }
  }
}

/* The first @n samples. */
static void
sample_all (const guint8 *pack, guint n, float *dst)
{
  const NnPackHeader *header = (const NnPackHeader *) (gconstpointer) pack;

  if (header->draws) {
    draw_all (
        pack, (const NnPackDraws *) (gconstpointer) (pack + header->draws), n, dst);
    return;
  }
  for (guint s = 0; s < n; s++) {
    const NnPackGeometry *g = (const NnPackGeometry *) (gconstpointer) (
        pack + nn_pack_get_sample (pack, s)->geometry);

    for (guint y = 0; y < g->height; y++)
      for (guint x = 0; x < g->width; x++, dst += g->channels)
        nn_pack_pixel (
            pack, ((const NnPackHeader *) (gconstpointer) pack)->planes, s, x, y, dst);
  }
}

static void
check (const Picture *picture, const NnImageInfo *info, const NnRect *rects, guint n_rects,
    const NnPreprocess *pre, const char *tta_words)
{
  g_autoptr (NnModel) model = make_model (pre);
  const gsize in_size
      = (gsize) pre->width * pre->height * nn_preprocess_get_n_channels (pre);
  g_autoptr (NnViews) v = NULL;
  g_autoptr (NnPacker) packer = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (NnPacker) spans = NULL;
  g_autofree float *expected = NULL, *got = NULL, *of_spans = NULL;
  g_autofree guint8 *pack = NULL, *span_pack = NULL;
  NnTta tta;
  guint n_views;

  nn_tta_parse (tta_words, &tta, &error);
  g_assert_no_error (error);
  v = nn_views_new (model, &tta, &error);
  g_assert_no_error (error);
  n_views = nn_views_get_n (v);
  expected = g_new (float, n_rects * n_views * in_size);
  got = g_new0 (float, n_rects * n_views * in_size);
  of_spans = g_new0 (float, n_rects * n_views * in_size);
  packer = nn_packer_new (v, info, rects, n_rects, n_views, NN_PACK_ROWS, &error);
  g_assert_no_error (error);
  pack = g_malloc (nn_packer_get_size (packer)); /* to the byte, for the sanitizer */
  nn_packer_run (packer, &picture->planes, pack);
  sample_all (pack, n_rects * n_views, got);
  spans = nn_packer_new (v, info, rects, n_rects, n_views, NN_PACK_SPANS, &error);
  if (info->orientation == NN_ORIENTATION_IDENTITY) {
    g_assert_no_error (error);
    span_pack = fetch_spans (spans, &picture->planes);
    sample_all (span_pack, n_rects * n_views, of_spans);
  } else {
    g_assert_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED);
    g_clear_error (&error);
    memcpy (of_spans, got, n_rects * n_views * in_size * sizeof (float));
  }
  for (guint r = 0; r < n_rects; r++) {
    g_autoptr (NnViewSampler) sampler
        = nn_view_sampler_new (v, info, &rects[r], &error);

    g_assert_no_error (error);
    nn_view_sampler_run (
        sampler, &picture->planes, n_views, expected + r * n_views * in_size);
  }
  g_assert_cmpmem (got, n_rects * n_views * in_size * sizeof (float), expected,
      n_rects * n_views * in_size * sizeof (float));
  g_assert_cmpmem (of_spans, n_rects * n_views * in_size * sizeof (float), expected,
      n_rects * n_views * in_size * sizeof (float));
}

/* every format x size x resize x views, all aspects, channels, matrices and layouts in turn */
static void
test_formats (gconstpointer data)
{
  NnImageInfo info = { .format = (NnPixelFormat) GPOINTER_TO_UINT (data) };
  guint run = 0;

  for (guint g = 0; g < G_N_ELEMENTS (geometries); g++) {
    const Geometry *geometry = &geometries[g];
    const NnRect whole = { 0, 0, geometry->width, geometry->height };
    const gboolean is_whole = geometry->rects[0].width == 0;

    info.width = geometry->width;
    info.height = geometry->height;
    for (guint resize = NN_RESIZE_NEAREST; resize <= NN_RESIZE_AREA; resize++) {
      for (guint t = 0; t < G_N_ELEMENTS (views); t++, run++) {
        g_autoptr (Picture) picture = NULL;
        NnPreprocess pre;

        info.matrix = (NnColorMatrix) (run % 3);
        info.full_range = run / 3 % 2;
        info.orientation = (NnOrientation) (run % 11 % NN_N_ORIENTATIONS);
        picture = picture_new (&info);
        picture_fill_random (picture, run, run % 5 == 0);
        picture_lay_out (picture, (PictureLayout) (run * 5 % 8));
        nn_preprocess_init (&pre, geometry->out_width, geometry->out_height);
        pre.resize = (NnResize) resize;
        pre.channels = (NnChannels) (run % 3);
        pre.aspect = (NnAspect) (run / 2 % NN_N_ASPECTS);
        pre.pad = 77;
        for (guint c = 0; c < 3; c++) {
          pre.mean[c] = 10 + 20.5f * (float) c;
          pre.scale[c] = 1.f / (100 + 30 * (float) c);
        }
        check (picture, &info, is_whole ? &whole : geometry->rects, is_whole ? 1 : 2, &pre,
            views[t]);
      }
    }
  }
}

/* Of the rows and columns that nothing reads none is packed. */
static void
test_size (void)
{
  const NnImageInfo info = { .format = NN_PIXEL_NV12, .width = 1920, .height = 1080 };
  const NnRect whole = { 0, 0, 1920, 1080 }, left = { 0, 0, 480, 1080 };
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnViews) v = NULL;
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;
  NnTta tta;
  gsize sizes[3];

  nn_preprocess_init (&pre, 200, 200);
  model = make_model (&pre);
  nn_tta_parse ("none", &tta, NULL);
  v = nn_views_new (model, &tta, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (NnPacker) packer = NULL;

    model->preprocess.resize = i == 1 ? NN_RESIZE_AREA : NN_RESIZE_NEAREST;
    nn_views_free (g_steal_pointer (&v));
    v = nn_views_new (model, &tta, &error);
    packer = nn_packer_new (v, &info, i == 2 ? &left : &whole, 1, 1, NN_PACK_ROWS, &error);
    g_assert_no_error (error);
    sizes[i] = nn_packer_get_size (packer);
  }
  /* 200 rows of luma, at most as many of chroma, and tables */
  g_assert_cmpuint (sizes[0], <, 2 * 200 * 1920 + 10000);
  g_assert_cmpuint (sizes[1], >, 1920 * 1080 * 3 / 2);
  g_assert_cmpuint (sizes[1], <, 1920 * 1080 * 3 / 2 + 100000);
  g_assert_cmpuint (sizes[2], <, sizes[0] / 3);
}

static void
test_refused (void)
{
  const NnImageInfo info = { .format = NN_PIXEL_RGB, .width = 30, .height = 20 };
  const NnRect outside = { 0, 0, 31, 20 };
  g_autoptr (NnModel) model = NULL;
  g_autoptr (NnViews) v = NULL;
  g_autoptr (GError) error = NULL;
  NnPreprocess pre;
  NnTta tta;

  nn_preprocess_init (&pre, 8, 8);
  model = make_model (&pre);
  nn_tta_parse ("none", &tta, NULL);
  v = nn_views_new (model, &tta, &error);
  g_assert_null (nn_packer_new (v, &info, &outside, 1, 1, NN_PACK_ROWS, &error));
  g_assert_error (error, NN_ERROR, NN_ERROR_SHAPE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint f = NN_PIXEL_UNKNOWN + 1; f < NN_PIXEL_N_FORMATS; f++) {
    g_autofree char *name = g_strdup_printf ("/frame-pack/%s", picture_format_names[f]);

    g_test_add_data_func (name, GUINT_TO_POINTER (f), test_formats);
  }
  g_test_add_func ("/frame-pack/size", test_size);
  g_test_add_func ("/frame-pack/refused", test_refused);
  return g_test_run ();
}
