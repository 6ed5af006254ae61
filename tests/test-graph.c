/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random graphs of operations: what the CPU makes of them, and what each pass makes of them,
 * against the references in double precision.
 *
 *   test-graph [--seed N] [--count N]     the first graph's number, and how many
 *   test-graph FILE...                    models that Keras made, each beside FILE.in and FILE.out:
 *                                         float32, any number of samples */

#include <archive.h>
#include <archive_entry.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/cpu/graph.h"
#include "nn/error.h"
#include "nn/graph/ops.h"
#include "nn/keras-file.h"
#include "nn/rng.h"

#define MAX_VALUES 20000 /* of one value of a random graph */

static guint64 first_seed = 1;
static guint n_graphs = 150;

/* --- a random graph --------------------------------------------------------------------- */

typedef struct
{
  NnRng rng;
  NnGraph *graph;
  GArray *values; /* guint: those that nodes may read */
} Maker;

static guint
draw (Maker *m, guint n)
{
  return nn_rng_u32 (&m->rng) % n;
}

static guint
pick (Maker *m)
{
  return g_array_index (m->values, guint, draw (m, m->values->len));
}

static guint
constant (Maker *m, guint n_dims, const gsize *dims, double low, double high)
{
  NnShape shape = { .n_dims = n_dims };
  g_autofree float *data = NULL;

  for (guint i = 0; i < n_dims; i++)
    shape.dims[i] = dims[i];
  data = g_new (float, MAX (nn_shape_count (&shape), 1));
  for (gsize i = 0; i < nn_shape_count (&shape); i++)
    data[i] = (float) nn_rng_uniform (&m->rng, low, high);
  return nn_graph_add_constant (m->graph, &shape, data);
}

static guint
add (Maker *m, NnOpKind kind, const NnAttrs *attrs, guint n_in, const guint *in)
{
  const guint value = nn_graph_add (m->graph, kind, attrs, n_in, in, NULL, NULL);

  if (value != NN_NO_VALUE && nn_shape_count (&nn_graph_value (m->graph, value)->shape)
          <= MAX_VALUES)
    g_array_append_val (m->values, value);
  return value;
}

static void
add_conv (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  static const guint filters[] = { 1, 3, 4, 8, 16, 17, 32 };
  NnAttrs attrs = { .conv = { .groups = 1 } };
  gsize kernel[4] = { 1 + draw (m, 3), 1 + draw (m, 3), 0, 0 };
  guint in[3] = { x, NN_NO_VALUE, NN_NO_VALUE };

  if (shape.n_dims != 3)
    return;
  if (draw (m, 3) == 0)
    kernel[0] = kernel[1] = 1;
  if (draw (m, 4) == 0)
    kernel[0] = kernel[1] = 3;
  kernel[3] = filters[draw (m, G_N_ELEMENTS (filters))];
  if (draw (m, 3) == 0) {
    attrs.conv.groups = shape.dims[2];
    kernel[3] = shape.dims[2] * (1 + draw (m, 2));
  } else if (shape.dims[2] % 2 == 0 && draw (m, 4) == 0) {
    attrs.conv.groups = 2;
    kernel[3] = 2 * (1 + draw (m, 9));
  }
  kernel[2] = shape.dims[2] / attrs.conv.groups;
  for (guint i = 0; i < 2; i++) {
    attrs.conv.strides[i] = 1 + (draw (m, 3) == 0);
    attrs.conv.dilation[i] = 1 + (draw (m, 5) == 0);
    attrs.conv.pad_begin[i] = draw (m, 2) * (kernel[i] / 2);
    attrs.conv.pad_end[i] = draw (m, 3) ? attrs.conv.pad_begin[i] : draw (m, 2);
  }
  in[1] = constant (m, 4, kernel, -0.5, 0.5);
  if (draw (m, 2))
    in[2] = constant (m, 1, &kernel[3], -1, 1);
  add (m, NN_OP_CONV, &attrs, 3, in);
}

static void
add_conv_transpose (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  NnAttrs attrs = { .conv = { .groups = 1 } };
  const gsize kernel[4] = { 1 + draw (m, 3), 1 + draw (m, 3), 1 + draw (m, 5), shape.dims[2] };
  guint in[3] = { x, NN_NO_VALUE, NN_NO_VALUE };

  if (shape.n_dims != 3)
    return;
  for (guint i = 0; i < 2; i++) {
    attrs.conv.strides[i] = 1 + draw (m, 2);
    attrs.conv.dilation[i] = 1;
    attrs.conv.pad_begin[i] = draw (m, 2);
    attrs.conv.out[i] = shape.dims[i] * attrs.conv.strides[i] + draw (m, 2);
  }
  in[1] = constant (m, 4, kernel, -0.5, 0.5);
  if (draw (m, 2))
    in[2] = constant (m, 1, &kernel[2], -1, 1);
  add (m, NN_OP_CONV_TRANSPOSE, &attrs, 3, in);
}

static void
add_dense (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  gsize kernel[2];
  guint in[3] = { x, NN_NO_VALUE, NN_NO_VALUE };

  if (shape.n_dims == 0)
    return;
  kernel[0] = shape.dims[shape.n_dims - 1];
  kernel[1] = 1 + draw (m, 33);
  in[1] = constant (m, 2, kernel, -0.3, 0.3);
  if (draw (m, 2))
    in[2] = constant (m, 1, &kernel[1], -1, 1);
  add (m, NN_OP_DENSE, NULL, 3, in);
}

static void
add_norm (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  NnAttrs attrs = { .batch_norm = { .epsilon = 1e-3 } };
  guint in[5] = { x, NN_NO_VALUE, NN_NO_VALUE, NN_NO_VALUE, NN_NO_VALUE };

  if (shape.n_dims == 0)
    return;
  if (draw (m, 3) == 0) {
    attrs.normalize.axes = 1 + draw (m, (1u << shape.n_dims) - 1);
    attrs.normalize.epsilon = 0.1;
    add (m, NN_OP_NORMALIZE, &attrs, 1, in);
    return;
  }
  attrs.batch_norm.axis = draw (m, 2) ? shape.n_dims - 1 : draw (m, shape.n_dims);
  in[1] = constant (m, 1, &shape.dims[attrs.batch_norm.axis], -1, 1);
  in[2] = constant (m, 1, &shape.dims[attrs.batch_norm.axis], 0.3, 2);
  for (guint i = 3; i < 5; i++)
    if (draw (m, 2))
      in[i] = constant (m, 1, &shape.dims[attrs.batch_norm.axis], -1.5, 1.5);
  add (m, NN_OP_BATCH_NORM, &attrs, 5, in);
}

static void
add_pool (Maker *m, guint x)
{
  NnAttrs attrs = { .pool = { .is_mean = draw (m, 2) } };

  for (guint i = 0; i < 2; i++) {
    attrs.pool.size[i] = 1 + draw (m, 3);
    attrs.pool.strides[i] = 1 + draw (m, 2);
    attrs.pool.pad_begin[i] = draw (m, 2) && attrs.pool.size[i] > 1;
    attrs.pool.pad_end[i] = draw (m, 2) && attrs.pool.size[i] > 1;
  }
  add (m, NN_OP_POOL, &attrs, 1, &x);
}

static void
add_function (Maker *m, guint x)
{
  static const NnFunction functions[] = { { NN_FUNCTION_RELU, INFINITY, 0, 0 },
    { NN_FUNCTION_RELU, 6, 0, 0 }, { NN_FUNCTION_RELU, 2, 0.2, 0.5 },
    { NN_FUNCTION_SIGMOID, 0, 0, 0 }, { NN_FUNCTION_TANH, 0, 0, 0 }, { NN_FUNCTION_SWISH, 0, 0, 0 },
    { NN_FUNCTION_HARD_SIGMOID, 1. / 6, 0.5, 0 }, { NN_FUNCTION_HARD_SWISH, 0, 0, 0 },
    { NN_FUNCTION_GELU, 0, 0, 0 }, { NN_FUNCTION_ELU, 1.5, 1, 0 },
    { NN_FUNCTION_LINEAR, 0.7, -1, 0 }, { NN_FUNCTION_CLIP, -0.5, 0.75, 0 },
    { NN_FUNCTION_SOFTPLUS, 0, 0, 0 },
    { NN_FUNCTION_SOFTSIGN, 0, 0, 0 }, { NN_FUNCTION_MISH, 0, 0, 0 } };
  const NnAttrs attrs = { .unary = functions[draw (m, G_N_ELEMENTS (functions))] };

  add (m, NN_OP_UNARY, &attrs, 1, &x);
}

static void
add_binary (Maker *m, guint x)
{
  static const NnBinary kinds[] = { NN_BINARY_ADD, NN_BINARY_ADD, NN_BINARY_SUBTRACT,
    NN_BINARY_MULTIPLY, NN_BINARY_MAXIMUM, NN_BINARY_MINIMUM, NN_BINARY_PRELU };
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  const NnAttrs attrs = { .binary = kinds[draw (m, G_N_ELEMENTS (kinds))] };
  guint in[2] = { x, NN_NO_VALUE };

  if (draw (m, 2) && shape.n_dims > 0)
    in[1] = constant (m, 1, &shape.dims[shape.n_dims - 1], -1, 1);
  for (guint i = 0; i < 20 && in[1] == NN_NO_VALUE; i++) { /* another value that fits */
    const guint other = pick (m);
    NnShape out;

    if (nn_op_broadcast (&shape, &nn_graph_value (m->graph, other)->shape, &out))
      in[1] = other;
  }
  if (in[1] == NN_NO_VALUE)
    return;
  if (draw (m, 2)) {
    in[0] = in[1];
    in[1] = x;
  }
  add (m, NN_OP_BINARY, &attrs, 2, in);
}

static void
add_transpose (Maker *m, guint x)
{
  static const guint8 orders[][3] = { { 2, 0, 1 }, { 1, 2, 0 }, { 1, 0, 2 }, { 0, 2, 1 } };
  NnAttrs attrs = { 0 };

  if (nn_graph_value (m->graph, x)->shape.n_dims != 3)
    return;
  memcpy (attrs.transpose, orders[draw (m, G_N_ELEMENTS (orders))], 3);
  add (m, NN_OP_TRANSPOSE, &attrs, 1, &x);
}

static void
add_part (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  NnAttrs attrs = { 0 };

  if (draw (m, 2)) {
    for (guint i = 0; i < shape.n_dims; i++) {
      attrs.pad.begin[i] = draw (m, 3) == 0;
      attrs.pad.end[i] = draw (m, 3) == 0;
    }
    attrs.pad.value = draw (m, 2) ? 0 : 0.5;
    add (m, NN_OP_PAD, &attrs, 1, &x);
    return;
  }
  for (guint i = 0; i < shape.n_dims; i++) {
    const gboolean is_back = draw (m, 4) == 0;

    attrs.slice.step[i] = is_back ? -1 : 1 + (draw (m, 4) == 0);
    attrs.slice.begin[i] = is_back ? shape.dims[i] - 1 : draw (m, 2) && shape.dims[i] > 1;
    attrs.slice.size[i] = is_back ? 1 + draw (m, (guint) shape.dims[i])
        : 1 + (shape.dims[i] - 1 - attrs.slice.begin[i]) / (gsize) attrs.slice.step[i];
  }
  add (m, NN_OP_SLICE, &attrs, 1, &x);
}

static void
add_reduce (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  NnAttrs attrs = { 0 };

  if (shape.n_dims == 0)
    return;
  if (draw (m, 4) == 0) {
    attrs.softmax.axis = draw (m, shape.n_dims);
    attrs.softmax.is_log = draw (m, 4) == 0;
    add (m, NN_OP_SOFTMAX, &attrs, 1, &x);
    return;
  }
  attrs.reduce.kind = (NnReduce) draw (m, 4);
  attrs.reduce.axes = shape.n_dims == 3 && draw (m, 2) ? 3 : 1 + draw (m, (1u << shape.n_dims) - 1);
  attrs.reduce.keepdims = draw (m, 2);
  add (m, NN_OP_REDUCE, &attrs, 1, &x);
}

static void
add_concat (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  NnAttrs attrs = { 0 };
  guint in[8] = { x }, n = 1;

  if (shape.n_dims == 0)
    return;
  attrs.concat.axis = draw (m, shape.n_dims);
  for (guint i = 0; i < 12 && n < G_N_ELEMENTS (in); i++) {
    const guint other = pick (m);
    const NnShape *with = &nn_graph_value (m->graph, other)->shape;
    gboolean fits = with->n_dims == shape.n_dims;

    for (guint k = 0; k < shape.n_dims && fits; k++)
      fits = k == attrs.concat.axis || with->dims[k] == shape.dims[k];
    if (fits)
      in[n++] = other;
  }
  add (m, NN_OP_CONCAT, &attrs, n, in);
}

static void
add_reshape (Maker *m, guint x)
{
  const NnShape shape = nn_graph_value (m->graph, x)->shape;
  NnAttrs attrs = { .reshape = { 1, { nn_shape_count (&shape) } } };

  if (shape.n_dims == 3 && draw (m, 2))
    attrs.reshape = (NnShape) { 2, { shape.dims[0] * shape.dims[1], shape.dims[2] } };
  add (m, NN_OP_RESHAPE, &attrs, 1, &x);
}

static void
add_resize (Maker *m, guint x)
{
  const NnAttrs attrs = { .resize = { { 1 + draw (m, 12), 1 + draw (m, 12) },
                            draw (m, 2) ? NN_INTERPOLATE_NEAREST : NN_INTERPOLATE_BILINEAR } };

  add (m, NN_OP_RESIZE, &attrs, 1, &x);
}

static void
add_matmul (Maker *m, guint x)
{
  const NnAttrs attrs = { .matmul = { draw (m, 2), draw (m, 2) } };
  const guint in[2] = { x, pick (m) };

  add (m, NN_OP_MATMUL, &attrs, 2, in);
  if (draw (m, 2)) {
    const NnAttrs square = { .matmul = { TRUE, FALSE } };

    add (m, NN_OP_MATMUL, &square, 2, (guint[]) { x, x });
  }
}

static void
add_constants (Maker *m)
{
  const gsize n = 3;
  const NnAttrs sqrt_attrs = { .unary = { NN_FUNCTION_SQRT, 0, 0, 0 } };
  const guint c = constant (m, 1, &n, 0.5, 2);

  /* a node of constants only, which folding evaluates */
  add (m, NN_OP_UNARY, &sqrt_attrs, 1, &c);
}

/* The output is a sum of means over several values, so that much of the graph is needed. */
static void
finish (Maker *m)
{
  const NnAttrs add_attrs = { .binary = NN_BINARY_ADD };
  guint sum = NN_NO_VALUE;

  for (guint i = 0; i < 4; i++) {
    const guint x = i == 0 ? g_array_index (m->values, guint, m->values->len - 1)
        : i == 1           ? m->graph->input
                           : pick (m);
    const NnShape shape = nn_graph_value (m->graph, x)->shape;
    NnAttrs attrs = { .reshape = { 1, { nn_shape_count (&shape) } } };
    guint in[2], flat = nn_graph_add (m->graph, NN_OP_RESHAPE, &attrs, 1, &x, NULL, NULL);

    if (i == 0) {
      m->graph->output = x; /* as it is, where nothing can be added */
      sum = flat;
      continue;
    }
    attrs = (NnAttrs) { .reduce = { NN_REDUCE_MEAN, 1, TRUE } };
    in[0] = sum;
    in[1] = nn_graph_add (m->graph, NN_OP_REDUCE, &attrs, 1, &flat, NULL, NULL);
    sum = nn_graph_add (m->graph, NN_OP_BINARY, &add_attrs, 2, in, NULL, NULL);
  }
  m->graph->output = sum;
  nn_graph_count_uses (m->graph);
}

static NnGraph *
make_graph (guint64 seed)
{
  static void (*const adders[]) (Maker *, guint) = { add_conv, add_conv, add_conv, add_norm,
    add_function, add_function, add_binary, add_binary, add_pool, add_transpose, add_part,
    add_reduce, add_concat, add_reshape, add_resize, add_matmul, add_dense, add_conv_transpose };
  Maker m = { .values = g_array_new (FALSE, FALSE, sizeof (guint)) };
  NnShape shape = { .n_dims = 3 };
  guint n;

  nn_rng_init (&m.rng, seed, NN_STREAM_INIT, 77);
  shape.dims[0] = 1 + draw (&m, 11);
  shape.dims[1] = 1 + draw (&m, 11);
  shape.dims[2] = draw (&m, 2) ? 3 : draw (&m, 2) ? 16 : 1 + draw (&m, 8);
  m.graph = nn_graph_new_empty (&shape);
  g_array_append_val (m.values, m.graph->input);
  if (draw (&m, 3) == 0)
    add_constants (&m);
  n = 3 + draw (&m, 14);
  for (guint i = 0; i < n; i++) {
    /* mostly on with what came last, as networks do */
    const guint x = draw (&m, 3) ? g_array_index (m.values, guint, m.values->len - 1) : pick (&m);

    adders[draw (&m, G_N_ELEMENTS (adders))] (&m, x);
  }
  finish (&m);
  g_array_unref (m.values);
  return m.graph;
}

/* --- comparing ---------------------------------------------------------------------------- */

static gsize
count (const NnGraph *graph, guint value)
{
  return nn_shape_count (&nn_graph_value (graph, value)->shape);
}

static void
compare (const NnGraph *graph, const char *what, guint64 seed, const double *expected,
    const double *found, gsize n, double tolerance)
{
  for (gsize i = 0; i < n; i++) {
    const double limit = tolerance * (1 + fabs (expected[i]));

    if (fabs (found[i] - expected[i]) <= limit || (isnan (found[i]) && isnan (expected[i]))
        || found[i] == expected[i])
      continue;
    g_autofree char *text = nn_graph_to_string (graph);

    g_error ("seed %" G_GUINT64_FORMAT ", %s: value %" G_GSIZE_FORMAT " is %.9g, not %.9g\n%s",
        seed, what, i, found[i], expected[i], text);
  }
}

static void
run_on_cpu (const NnGraph *graph, guint64 seed, guint threads, const double *input,
    const double *expected)
{
  const gsize n_in = count (graph, graph->input), n_out = count (graph, graph->output);
  g_autofree float *x = g_new (float, 2 * n_in), *y = g_new (float, 2 * n_out);
  g_autofree double *found = g_new (double, n_out);
  g_autoptr (GError) error = NULL;
  NnCrew *crew = nn_crew_new (threads);
  NnCpuGraph *cpu = nn_cpu_graph_new (nn_cpu_kernels_get (), crew, graph, &error);

  g_assert_no_error (error);
  for (gsize i = 0; i < 2 * n_in; i++)
    x[i] = i < n_in ? 1 : (float) input[i - n_in];
  nn_cpu_graph_run (cpu, x, 2, y); /* the first sample leaves other values behind */
  for (gsize i = 0; i < n_out; i++)
    found[i] = y[n_out + i];
  compare (graph, threads == 1 ? "CPU" : "CPU, two threads", seed, expected, found, n_out, 1e-3);
  nn_cpu_graph_free (cpu);
  nn_crew_free (crew);
}

static void
check_pass (const NnGraph *before, NnGraph *after, const char *what, guint64 seed,
    const double *input, const double *expected)
{
  const gsize n = count (before, before->output);
  g_autofree double *found = g_new (double, n);
  g_autoptr (GError) error = NULL;

  if (!nn_graph_check (after, &error)) {
    g_autofree char *text = nn_graph_to_string (after);

    g_error ("seed %" G_GUINT64_FORMAT ", after %s: %s\n%s", seed, what, error->message, text);
  }
  g_assert_cmpuint (count (after, after->output), ==, n);
  nn_graph_run_reference (after, input, found, &error);
  g_assert_no_error (error);
  compare (after, what, seed, expected, found, n, 1e-5);
}

static void
check_graph (guint64 seed)
{
  g_autoptr (NnGraph) graph = make_graph (seed), folded = NULL, moved = NULL;
  const gsize n_in = count (graph, graph->input);
  g_autofree double *input = g_new (double, n_in);
  g_autofree double *expected = g_new (double, count (graph, graph->output));
  g_autoptr (GError) error = NULL;
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_INIT, 78);
  for (gsize i = 0; i < n_in; i++)
    input[i] = (float) nn_rng_uniform (&rng, -1, 1);
  nn_graph_check (graph, &error);
  g_assert_no_error (error);
  nn_graph_run_reference (graph, input, expected, &error);
  g_assert_no_error (error);
  folded = nn_graph_fold (graph, &error);
  g_assert_no_error (error);
  check_pass (graph, folded, "folding", seed, input, expected);
  moved = nn_graph_move_transposes (folded, &error);
  g_assert_no_error (error);
  check_pass (graph, moved, "moving transposes", seed, input, expected);
  nn_graph_fuse (moved);
  check_pass (graph, moved, "fusing", seed, input, expected);
  run_on_cpu (graph, seed, 1, input, expected);
  run_on_cpu (graph, seed, 2, input, expected);
}

static void
test_random (void)
{
  g_test_message ("graphs %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, first_seed,
      first_seed + n_graphs - 1);
  for (guint i = 0; i < n_graphs; i++)
    check_graph (first_seed + i);
}

/* What the passes promise of a network that Keras wrote channels first. */
static void
test_channels_first (void)
{
  static const char json[]
      = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"first\", \"layers\": ["
        "{\"class_name\": \"Conv2D\", \"config\": {\"name\": \"a\", \"batch_input_shape\":"
        "[null, 3, 8, 9], \"filters\": 4, \"kernel_size\": [3, 3], \"activation\": \"relu\","
        "\"data_format\": \"channels_first\"}},"
        "{\"class_name\": \"BatchNormalization\", \"config\": {\"name\": \"b\", \"axis\": 1}},"
        "{\"class_name\": \"MaxPooling2D\", \"config\": {\"name\": \"c\","
        "\"data_format\": \"channels_first\"}},"
        "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"d\"}},"
        "{\"class_name\": \"Dense\", \"config\": {\"name\": \"e\", \"units\": 2}}]}}";
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_new_from_json (json, -1, NULL, &error);
  g_autoptr (NnGraph) graph = NULL, moved = NULL;
  guint n_transposes = 0;

  g_assert_no_error (error);
  g_assert_cmpuint (nn_model_get_input_shape (model)->dims[2], ==, 3);
  g_assert_true (nn_model_init_params (model, 1, NULL));
  graph = nn_graph_new (model, &error);
  g_assert_no_error (error);
  moved = nn_graph_move_transposes (graph, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < moved->nodes->len; i++)
    n_transposes += nn_graph_node (moved, i)->kind == NN_OP_TRANSPOSE;
  g_assert_cmpuint (n_transposes, ==, 1); /* in front of the Flatten, whose order counts */
  nn_graph_fuse (moved);
  g_assert_cmpuint (nn_graph_node (moved, 1)->kind, ==, NN_OP_CONV);
  g_assert_cmpuint (nn_graph_node (moved, 1)->n_steps, ==, 1); /* relu; then norm is its own */
}

/* --- models that Keras made ------------------------------------------------------------------ */

static gboolean
check_file (const char *path)
{
  g_autofree char *in_path = g_strconcat (path, ".in", NULL);
  g_autofree char *out_path = g_strconcat (path, ".out", NULL), *in = NULL, *out = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (NnModel) model = nn_model_load (path, &error);
  g_autoptr (NnBackend) backend = nn_backend_open ("cpu", NULL);
  g_autoptr (NnPlan) plan = NULL;
  gsize in_size, out_size, n_in, n_out;
  double worst = 0;
  const float *found;
  guint n;

  if (model)
    plan = nn_plan_new (backend, model, &(NnPlanOptions) { .batch = 8, .threads = 2 }, &error);
  if (!plan) {
    g_print ("# %s: %s\n", path, error->message);
    return FALSE;
  }
  if (!g_file_get_contents (in_path, &in, &in_size, &error)
      || !g_file_get_contents (out_path, &out, &out_size, &error)) {
    g_print ("# %s\n", error->message);
    return FALSE;
  }
  n_in = nn_shape_count (nn_model_get_input_shape (model)) * sizeof (float);
  n_out = nn_model_get_n_outputs (model) * sizeof (float);
  n = (guint) (in_size / n_in);
  if (n == 0 || n > 8 || in_size != n * n_in || out_size != n * n_out) {
    g_print ("# %s: another input or output than Keras's\n", path);
    return FALSE;
  }
  memcpy (nn_plan_get_input (plan), in, in_size);
  found = nn_plan_run (plan, n, &error);
  for (gsize i = 0; i < out_size / sizeof (float); i++) {
    const float wanted = ((const float *) (gpointer) out)[i];
    const double off = fabs ((double) found[i] - wanted) / (1e-5 + 1e-4 * fabs ((double) wanted));

    worst = isnan (off) ? INFINITY : MAX (worst, off);
  }
  if (worst > 1)
    g_print ("# %s: off by %.3g of what is allowed\n", path, worst);
  return worst <= 1;
}

/* The models of tests/data/keras/models.tar.xz, which make-graph-fixtures.py made. */
static void
test_models (void)
{
  g_autofree char *folder = g_dir_make_tmp ("test-graph-XXXXXX", NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  struct archive *archive = archive_read_new ();
  struct archive_entry *entry;
  guint n = 0, n_failed = 0;

  archive_read_support_format_tar (archive);
  archive_read_support_filter_xz (archive);
  g_assert_cmpint (archive_read_open_filename (archive, MODELS, 65536), ==, ARCHIVE_OK);
  while (archive_read_next_header (archive, &entry) == ARCHIVE_OK) {
    const gsize size = (gsize) archive_entry_size (entry);
    g_autofree char *name = g_path_get_basename (archive_entry_pathname (entry));
    g_autofree char *data = g_malloc (size + 1);
    char *path = g_build_filename (folder, name, NULL);

    g_assert_cmpint (archive_read_data (archive, data, size), ==, (la_ssize_t) size);
    g_assert_true (g_file_set_contents (path, data, (gssize) size, NULL));
    g_ptr_array_add (names, path);
  }
  archive_read_free (archive);
  for (guint i = 0; i < names->len; i++)
    if (!g_str_has_suffix (names->pdata[i], ".in") && !g_str_has_suffix (names->pdata[i], ".out")) {
      n++;
      n_failed += !check_file (names->pdata[i]);
    }
  for (guint i = 0; i < names->len; i++)
    g_unlink (names->pdata[i]);
  g_rmdir (folder);
  g_test_message ("%u models", n);
  g_assert_cmpuint (n, >=, 300);
  g_assert_cmpuint (n_failed, ==, 0);
}

int
main (int argc, char **argv)
{
  guint n_failed = 0, n_files = 0;

  for (int i = 1; i < argc; i++) {
    if (strcmp (argv[i], "--seed") == 0 && i + 1 < argc)
      first_seed = g_ascii_strtoull (argv[++i], NULL, 10);
    else if (strcmp (argv[i], "--count") == 0 && i + 1 < argc)
      n_graphs = (guint) g_ascii_strtoull (argv[++i], NULL, 10);
    else if (argv[i][0] != '-') {
      n_files++;
      n_failed += !check_file (argv[i]);
    }
  }
  if (n_files > 0) {
    g_print ("%u of %u models as Keras has them\n", n_files - n_failed, n_files);
    return n_failed > 0;
  }
  for (int i = 1; i < argc; i++) /* g_test_init() does not know them */
    if (strcmp (argv[i], "--seed") == 0 || strcmp (argv[i], "--count") == 0)
      argc = i;
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/graph/random", test_random);
  g_test_add_func ("/graph/channels-first", test_channels_first);
  g_test_add_func ("/graph/models", test_models);
  return g_test_run ();
}
