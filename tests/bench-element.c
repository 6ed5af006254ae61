/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the element costs, as ratios within one run, sides interleaved, one JSON object a line:
 *   the plan on a ready tensor / a 1080p NV12 frame through videoclassify;
 *   microseconds that a frame which is not classified costs more than in identity.
 *
 *   bench-element MODEL.h5|NETWORK.json [THREADS] [ROUNDS] */

#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nn/backend.h"
#include "nn/keras-file.h"

#define CAPS "video/x-raw,format=NV12,width=1920,height=1080,framerate=30/1"

static int
compare (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static double
median (GArray *values)
{
  g_array_sort (values, compare);
  return g_array_index (values, double, values->len / 2);
}

static GstBuffer *
make_frame (guint seed)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 1920 * 1080 * 3 / 2, NULL);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8) ((i + seed) * 2654435761u >> 24);
  gst_buffer_unmap (buffer, &map);
  return buffer;
}

/* microseconds a frame */
static double
push (GstHarness *h, GstBuffer **frames, guint n)
{
  gint64 start = g_get_monotonic_time ();

  for (guint i = 0; i < n; i++)
    gst_buffer_unref (gst_harness_push_and_pull (h, gst_buffer_ref (frames[i % 16])));
  return (double) (g_get_monotonic_time () - start) / n;
}

int
main (int argc, char **argv)
{
  guint threads, rounds;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL, *classify = NULL, *skip = NULL;
  NnModel *model;
  NnBackend *backend;
  NnPlan *plan;
  NnPlanOptions options = { .batch = 1 };
  GstBuffer *frames[16];
  GstHarness *h, *skipping, *identity;
  GArray *bare = g_array_new (FALSE, FALSE, sizeof (double));
  GArray *element = g_array_new (FALSE, FALSE, sizeof (double));
  GArray *cost = g_array_new (FALSE, FALSE, sizeof (double));

  gst_init (&argc, &argv);
  threads = argc > 2 ? (guint) atoi (argv[2]) : 1;
  rounds = argc > 3 ? (guint) atoi (argv[3]) : 15;
  model = nn_model_open (argc > 1 ? argv[1] : NETWORK, NULL, &error);
  if (model && !model->has_weights) {
    nn_model_init_params (model, 1, &error);
    path = g_strdup_printf ("%s/bench-element-%d.h5", g_get_tmp_dir (), (int) getpid ());
    nn_model_save (model, path, NULL, NULL, &error);
  }
  options.threads = threads;
  backend = nn_backend_open ("cpu", &error);
  plan = model ? nn_plan_new (backend, model, &options, &error) : NULL;
  if (!plan) {
    fprintf (stderr, "bench-element: %s\n", error->message);
    return 1;
  }
  for (guint i = 0; i < 16; i++)
    frames[i] = make_frame (i);
  classify = g_strdup_printf ("videoclassify device=cpu post-messages=none threads=%u model=%s",
      threads, path ? path : argv[1]);
  skip = g_strconcat (classify, " inference-interval=2000000000", NULL);
  h = gst_harness_new_parse (classify);
  skipping = gst_harness_new_parse (skip);
  identity = gst_harness_new_parse ("identity");
  gst_harness_set_src_caps_str (h, CAPS);
  gst_harness_set_src_caps_str (skipping, CAPS);
  gst_harness_set_src_caps_str (identity, CAPS);
  push (h, frames, 5);
  for (guint r = 0; r < rounds; r++) {
    double time;
    gint64 start = g_get_monotonic_time ();

    for (guint i = 0; i < 20; i++)
      nn_plan_run (plan, 1, &error);
    time = (double) (g_get_monotonic_time () - start) / 20;
    g_array_append_val (bare, time);
    time = push (h, frames, 20);
    g_array_append_val (element, time);
    time = push (skipping, frames, 5000) - push (identity, frames, 5000);
    g_array_append_val (cost, time);
  }
  printf ("{\"what\": \"element\", \"threads\": %u, \"plan_us\": %.0f, \"element_us\": %.0f, "
          "\"plan_to_element\": %.3f, \"skip_us\": %.2f}\n",
      threads, median (bare), median (element), median (bare) / median (element), median (cost));
  gst_harness_teardown (h);
  gst_harness_teardown (skipping);
  gst_harness_teardown (identity);
  if (path)
    unlink (path);
  return 0;
}
