/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Frames that another stream, of another context, has not finished writing when they are
 * described to the back end: on the stand-in driver, which writes nothing before it must. */

#include <cuda.h>

#include "nn/backend.h"
#include "nn/frame-pack.h"
#include "tests/fake-cuda/fake.h"
#include "nn/rng.h"

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\","
      " \"batch_input_shape\": [null, 12, 10, 3]}}]}}";

FAKE_CUDA_NAMED (cuCtxCreate_v2, CUcontext *context, unsigned flags, CUdevice device);
FAKE_CUDA_NAMED (cuCtxDestroy_v2, CUcontext context);

enum
{
  WIDTH = 36,
  HEIGHT = 24,
  ROW = 3 * WIDTH
};

static const NnImageInfo info = { .format = NN_PIXEL_RGB, .width = WIDTH, .height = HEIGHT };
static const NnRect whole = { 0, 0, WIDTH, HEIGHT };

typedef struct
{
  CUcontext context; /* a decoder's */
  CUstream stream;
  NnBackend *backend;
  NnModel *model;
  NnViews *views;
  NnPlan *plan;
  NnPacker *packer;
  NnStaging *staging;
  NnPackPlane planes[3];
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  const NnPlanOptions options = { .precision = NN_PRECISION_FP32, .batch = 2 };
  GError *error = NULL;
  NnTta tta;

  g_assert_cmpint (fake_cuCtxCreate_v2 (&f->context, 0, 0), ==, CUDA_SUCCESS);
  g_assert_cmpint (cuStreamCreate (&f->stream, CU_STREAM_DEFAULT), ==, CUDA_SUCCESS);
  cuCtxPopCurrent (NULL);
  f->backend = nn_backend_open ("cuda", &error);
  g_assert_no_error (error);
  f->model = nn_model_new_from_json (network, -1, NULL, &error);
  g_assert_no_error (error);
  nn_preprocess_init (&f->model->preprocess, 10, 12);
  f->model->preprocess.resize = NN_RESIZE_BILINEAR;
  f->model->has_weights = TRUE;
  nn_tta_parse ("flip", &tta, NULL);
  f->views = nn_views_new (f->model, &tta, &error);
  f->plan = nn_plan_new (f->backend, f->model, &options, &error);
  g_assert_no_error (error);
  f->packer = nn_packer_new (f->views, &info, &whole, 1, 2, NN_PACK_SPANS, &error);
  g_assert_no_error (error);
  f->staging = nn_staging_new (f->backend);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  nn_staging_free (f->staging);
  nn_packer_free (f->packer);
  nn_plan_free (f->plan);
  nn_views_free (f->views);
  nn_model_unref (f->model);
  nn_backend_unref (f->backend);
  cuCtxPushCurrent (f->context);
  cuStreamDestroy (f->stream);
  cuCtxPopCurrent (NULL);
  fake_cuCtxDestroy_v2 (f->context);
}

/* Memory of the decoder's, to which it is only going to write @bytes. */
static CUdeviceptr
begin_frame (Fixture *f, const guint8 *bytes)
{
  CUdeviceptr frame = 0;

  cuCtxPushCurrent (f->context);
  g_assert_cmpint (cuMemAlloc (&frame, HEIGHT * ROW), ==, CUDA_SUCCESS);
  g_assert_cmpint (
      cuMemcpyHtoDAsync (frame, bytes, HEIGHT * ROW, f->stream), ==, CUDA_SUCCESS);
  cuCtxPopCurrent (NULL);
  return frame;
}

static NnPack
describe (Fixture *f, CUdeviceptr frame)
{
  const NnImagePlanes planes = { { (const guint8 *) (guintptr) frame }, { ROW } };
  NnPack pack = { .staging = f->staging, .n = 2, .stream = f->stream };
  GError *error = NULL;
  guint8 *memory = nn_staging_reserve (f->staging, nn_packer_get_tables_size (f->packer),
      nn_packer_get_size (f->packer), &error);

  g_assert_no_error (error);
  nn_packer_describe (f->packer, &planes, memory, f->planes, &pack);
  return pack;
}

static void
fill_random (guint8 *bytes, guint seed)
{
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_USER, 0);
  for (guint i = 0; i < HEIGHT * ROW; i++)
    bytes[i] = (guint8) (nn_rng_double (&rng) * 256);
}

/* The network's outputs are the means of its input's channels: of the sampler's here. */
static void
check_outputs (Fixture *f, const guint8 *bytes, const float *got)
{
  const NnImagePlanes planes = { { bytes }, { ROW } };
  NnViewSampler *sampler = nn_view_sampler_new (f->views, &info, &whole, NULL);
  float input[2 * 12 * 10 * 3];

  nn_view_sampler_run (sampler, &planes, 2, input);
  for (guint v = 0; v < 2; v++) {
    for (guint c = 0; c < 3; c++) {
      double sum = 0;

      for (guint i = 0; i < 120; i++)
        sum += input[v * 360 + 3 * i + c];
      g_assert_cmpfloat_with_epsilon (got[v * 3 + c], sum / 120, 1e-5);
    }
  }
  nn_view_sampler_free (sampler);
}

/* How a frame comes to the device. */
typedef enum
{
  IS_SENT = 1,    /* before the run; else by it */
  IS_OURS = 2,    /* lies in the back end's own context */
  IS_DEFAULT = 4, /* nobody tells the stream: what the default one waits for is waited for */
} How;

static void
test_stream (Fixture *f, gconstpointer data)
{
  const How how = GPOINTER_TO_UINT (data);
  const CUcontext decoders = f->context;
  guint index;

  if (how & IS_OURS) {
    cuCtxPushCurrent (f->context);
    cuStreamDestroy (f->stream);
    cuCtxPopCurrent (NULL);
    f->context = nn_backend_get_context (f->backend, &index);
    cuCtxPushCurrent (f->context);
    g_assert_cmpint (cuStreamCreate (&f->stream, CU_STREAM_DEFAULT), ==, CUDA_SUCCESS);
    cuCtxPopCurrent (NULL);
  }
  for (guint round = 0; round < 3; round++) {
    guint8 bytes[HEIGHT * ROW];
    GError *error = NULL;
    const float *got;
    CUdeviceptr frame;
    NnPack pack;

    fill_random (bytes, round);
    frame = begin_frame (f, bytes);
    pack = describe (f, frame);
    if (how & IS_DEFAULT)
      pack.stream = CU_STREAM_LEGACY;
    if (how & IS_SENT)
      nn_staging_send (f->staging, &pack, &error);
    g_assert_no_error (error);
    got = nn_plan_run_packs (f->plan, &pack, 1, &error);
    g_assert_no_error (error);
    check_outputs (f, bytes, got);
    cuCtxPushCurrent (f->context);
    cuMemFree (frame);
    cuCtxPopCurrent (NULL);
  }
  if (how & IS_OURS) {
    cuCtxPushCurrent (f->context);
    cuStreamDestroy (f->stream);
    cuCtxPopCurrent (NULL);
    f->context = decoders;
    cuCtxPushCurrent (f->context);
    g_assert_cmpint (cuStreamCreate (&f->stream, CU_STREAM_DEFAULT), ==, CUDA_SUCCESS);
    cuCtxPopCurrent (NULL);
  }
}

/* A frame that was sent and is not wanted any more may go once that was waited for, and the
 * next one take its place; whoever reads it later is told by a sanitizer. */
static void
test_withdrawn (Fixture *f, gconstpointer data)
{
  guint8 bytes[2][HEIGHT * ROW];
  GError *error = NULL;
  const float *got;

  for (guint round = 0; round < 4; round++) {
    CUdeviceptr frame;
    NnPack pack;

    fill_random (bytes[round % 2], round);
    frame = begin_frame (f, bytes[round % 2]);
    pack = describe (f, frame);
    g_assert_true (nn_staging_send (f->staging, &pack, &error));
    if (round % 2 == 0) {
      nn_staging_wait (f->staging);
    } else {
      got = nn_plan_run_packs (f->plan, &pack, 1, &error);
      g_assert_no_error (error);
      check_outputs (f, bytes[1], got);
    }
    cuCtxPushCurrent (f->context);
    cuMemFree (frame);
    cuCtxPopCurrent (NULL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint how = 0; how < 8; how++) {
    g_autofree char *path = g_strdup_printf ("/staging/stream/%s%s%s",
        how & IS_SENT ? "sent" : "run", how & IS_OURS ? "-ours" : "",
        how & IS_DEFAULT ? "-default" : "");

    g_test_add (
        path, Fixture, GUINT_TO_POINTER (how), set_up, test_stream, tear_down);
  }
  g_test_add ("/staging/withdrawn", Fixture, NULL, set_up, test_withdrawn, tear_down);
  return g_test_run ();
}
