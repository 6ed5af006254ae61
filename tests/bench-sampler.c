/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* 1080p NV12 to 200x200 RGB floats: the sampler against GstVideoConverter and
 * against merely reading the frame. The sides take turns over a ring of frames
 * that no cache of a small machine holds; one JSON line for each ratio of medians. */

#include <gst/video/video.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nn/image.h"
#include "nn/rng.h"

#define WIDTH 1920
#define HEIGHT 1080
#define OUT 200
#define FRAMES 16
#define BLOCK 8 /* runs of one side before the next has its turn */

typedef enum
{
  SIDE_READ,
  SIDE_AREA,
  SIDE_BILINEAR,
  SIDE_NEAREST,
  SIDE_GST_FULL, /* all taps: anti-aliased; videoconvertscale method=bilinear2 */
  SIDE_GST_2TAP, /* its default */
  N_SIDES,
} Side;

typedef struct
{
  GstBuffer *buffers[FRAMES];
  GstVideoFrame frames[FRAMES];
  GstVideoFrame out;
  GstVideoConverter *converters[2];
  NnSampler *samplers[3];
  NnPreprocess pre;
  float *tensor;
  volatile guint64 sink;
} Bench;

static void
bench_init (Bench *b)
{
  GstVideoInfo in, out;
  NnRng rng;

  gst_video_info_set_format (&in, GST_VIDEO_FORMAT_NV12, WIDTH, HEIGHT);
  gst_video_info_set_format (&out, GST_VIDEO_FORMAT_RGB, OUT, OUT);
  nn_rng_init (&rng, 1, NN_STREAM_USER, 0);
  for (guint i = 0; i < FRAMES; i++) {
    GstMapInfo map;

    b->buffers[i] = gst_buffer_new_allocate (NULL, in.size, NULL);
    gst_buffer_map (b->buffers[i], &map, GST_MAP_WRITE);
    for (gsize k = 0; k + 4 <= map.size; k += 4) {
      guint32 noise = nn_rng_u32 (&rng);

      memcpy (map.data + k, &noise, 4);
    }
    gst_buffer_unmap (b->buffers[i], &map);
    if (!gst_video_frame_map (&b->frames[i], &in, b->buffers[i], GST_MAP_READ))
      g_error ("cannot map a frame");
  }
  {
    GstBuffer *buffer = gst_buffer_new_allocate (NULL, out.size, NULL);

    if (!gst_video_frame_map (&b->out, &out, buffer, GST_MAP_READWRITE))
      g_error ("cannot map a frame");
    gst_buffer_unref (buffer);
  }
  for (guint i = 0; i < 2; i++) {
    GstStructure *options = gst_structure_new ("options", GST_VIDEO_CONVERTER_OPT_RESAMPLER_METHOD,
        GST_TYPE_VIDEO_RESAMPLER_METHOD, GST_VIDEO_RESAMPLER_METHOD_LINEAR, NULL);

    if (i == 1)
      gst_structure_set (options, GST_VIDEO_RESAMPLER_OPT_MAX_TAPS, G_TYPE_INT, 2, NULL);
    b->converters[i] = gst_video_converter_new (&in, &out, options);
  }
  nn_preprocess_init (&b->pre, OUT, OUT);
  for (guint i = 0; i < 3; i++) {
    const NnImageInfo info = { NN_PIXEL_NV12, WIDTH, HEIGHT, NN_MATRIX_BT709 };

    b->pre.resize = (NnResize) i;
    b->samplers[i] = nn_sampler_new (&info, NULL, &b->pre, NULL);
  }
  b->tensor = g_new (float, OUT * OUT * 3);
}

static guint64
read_plane (const GstVideoFrame *frame, guint plane, guint height)
{
  guint64 sum = 0;

  for (guint y = 0; y < height; y++) {
    const guint64 *row = (const guint64 *) ((const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (frame,
                plane)
        + (gsize) y * GST_VIDEO_FRAME_PLANE_STRIDE (frame, plane));

    for (guint x = 0; x < WIDTH / 8; x++)
      sum += row[x];
  }
  return sum;
}

static void
run (Bench *b, Side side, guint i)
{
  const GstVideoFrame *frame = &b->frames[i];
  const NnImagePlanes planes = {
    { GST_VIDEO_FRAME_PLANE_DATA (frame, 0), GST_VIDEO_FRAME_PLANE_DATA (frame, 1) },
    { GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0), GST_VIDEO_FRAME_PLANE_STRIDE (frame, 1) },
  };

  switch (side) {
    case SIDE_READ:
      b->sink += read_plane (frame, 0, HEIGHT) + read_plane (frame, 1, HEIGHT / 2);
      break;
    case SIDE_AREA:
      nn_sampler_run (b->samplers[NN_RESIZE_AREA], &planes, FALSE, b->tensor);
      break;
    case SIDE_BILINEAR:
      nn_sampler_run (b->samplers[NN_RESIZE_BILINEAR], &planes, FALSE, b->tensor);
      break;
    case SIDE_NEAREST:
      nn_sampler_run (b->samplers[NN_RESIZE_NEAREST], &planes, FALSE, b->tensor);
      break;
    default:
      gst_video_converter_frame (b->converters[side - SIDE_GST_FULL], frame, &b->out);
      nn_preprocess_bytes (&b->pre, GST_VIDEO_FRAME_PLANE_DATA (&b->out, 0), FALSE, b->tensor);
      break;
  }
}

/* every side runs in this thread alone: what neighbours take does not count */
static double
cpu_us (void)
{
  struct timespec t;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec * 1e6 + (double) t.tv_nsec * 1e-3;
}

static int
compare (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
median (double *values, guint n)
{
  qsort (values, n, sizeof *values, compare);
  return values[n / 2];
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    Side above, below;
    double goal;
    gboolean at_least;
  } ratios[] = {
    { "gst_antialiased/area", SIDE_GST_FULL, SIDE_AREA, 10, TRUE },
    { "gst_2tap/area", SIDE_GST_2TAP, SIDE_AREA, 3, TRUE },
    { "area/read", SIDE_AREA, SIDE_READ, 2.5, FALSE },
    { "gst_2tap/bilinear", SIDE_GST_2TAP, SIDE_BILINEAR, 1, TRUE },
    { "nearest/read", SIDE_NEAREST, SIDE_READ, 2.5, FALSE },
  };
  const guint rounds = argc > 1 ? (guint) MAX (3, atoi (argv[1])) : 40;
  g_autofree double *times = g_new (double, N_SIDES * rounds);
  double medians[N_SIDES];
  Bench bench = { 0 };
  guint frame = 0;

  gst_init (NULL, NULL);
  bench_init (&bench);
  for (guint side = 0; side < N_SIDES; side++)
    run (&bench, (Side) side, 0);
  for (guint r = 0; r < rounds; r++)
    for (guint k = 0; k < N_SIDES; k++) {
      guint side = (k + r) % N_SIDES;
      double block[BLOCK];

      for (guint i = 0; i < BLOCK; i++) {
        double start = cpu_us ();

        run (&bench, (Side) side, frame++ % FRAMES);
        block[i] = cpu_us () - start;
      }
      times[side * rounds + r] = median (block, BLOCK);
    }
  for (guint side = 0; side < N_SIDES; side++)
    medians[side] = median (times + side * rounds, rounds);
  for (guint i = 0; i < G_N_ELEMENTS (ratios); i++)
    g_print ("{\"bench\": \"sampler\", \"ratio\": \"%s\", \"value\": %.2f, \"goal\": \"%s %g\", "
        "\"us\": [%.0f, %.0f]}\n", ratios[i].name,
        medians[ratios[i].above] / medians[ratios[i].below], ratios[i].at_least ? ">=" : "<=",
        ratios[i].goal, medians[ratios[i].above], medians[ratios[i].below]);

  for (guint i = 0; i < FRAMES; i++) {
    gst_video_frame_unmap (&bench.frames[i]);
    gst_buffer_unref (bench.buffers[i]);
  }
  gst_video_frame_unmap (&bench.out);
  for (guint i = 0; i < 2; i++)
    gst_video_converter_free (bench.converters[i]);
  for (guint i = 0; i < 3; i++)
    nn_sampler_free (bench.samplers[i]);
  g_free (bench.tensor);
  return 0;
}
