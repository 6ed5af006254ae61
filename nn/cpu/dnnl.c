/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/cpu/dnnl.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

#include "nn/error.h"

/* --- the difference between the two APIs ----------------------------------- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t Desc;
typedef const_dnnl_memory_desc_t ConstDesc;
#define PTR(desc) (desc)

static dnnl_status_t
desc_strided (Desc *desc, int n, const dnnl_dims_t dims, dnnl_data_type_t type,
    const dnnl_dims_t strides)
{
  return dnnl_memory_desc_create_with_strides (desc, n, dims, type, strides);
}

static dnnl_status_t
desc_tag (Desc *desc, int n, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
  return dnnl_memory_desc_create_with_tag (desc, n, dims, type, tag);
}

static void
desc_clear (Desc *desc)
{
  if (*desc)
    dnnl_memory_desc_destroy (*desc);
}

static dnnl_status_t
append_relu (dnnl_post_ops_t ops)
{
  return dnnl_post_ops_append_eltwise (ops, dnnl_eltwise_relu, 0, 0);
}

static dnnl_status_t
matmul_pd (dnnl_primitive_desc_t *pd, dnnl_engine_t engine, Desc a, Desc b, Desc c,
    dnnl_primitive_attr_t attr)
{
  return dnnl_matmul_primitive_desc_create (pd, engine, a, b, NULL, c, attr);
}

static dnnl_status_t
conv_pd (dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const Desc d[4],
    const dnnl_dims_t strides, const dnnl_dims_t dilates, const dnnl_dims_t pad,
    dnnl_primitive_attr_t attr)
{
  return dnnl_convolution_forward_primitive_desc_create (pd, engine, dnnl_forward_inference,
      dnnl_convolution_direct, d[0], d[1], d[2], d[3], strides, dilates, pad, pad, attr);
}
#else
typedef dnnl_memory_desc_t Desc;
typedef const dnnl_memory_desc_t *ConstDesc;
#define PTR(desc) (&(desc))

static dnnl_status_t
desc_strided (Desc *desc, int n, const dnnl_dims_t dims, dnnl_data_type_t type,
    const dnnl_dims_t strides)
{
  return dnnl_memory_desc_init_by_strides (desc, n, dims, type, strides);
}

static dnnl_status_t
desc_tag (Desc *desc, int n, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
  return dnnl_memory_desc_init_by_tag (desc, n, dims, type, tag);
}

static void
desc_clear (Desc *desc)
{
}

static dnnl_status_t
append_relu (dnnl_post_ops_t ops)
{
  return dnnl_post_ops_append_eltwise (ops, 1.0f, dnnl_eltwise_relu, 0, 0);
}

static dnnl_status_t
matmul_pd (dnnl_primitive_desc_t *pd, dnnl_engine_t engine, Desc a, Desc b, Desc c,
    dnnl_primitive_attr_t attr)
{
  dnnl_matmul_desc_t desc;
  dnnl_status_t status = dnnl_matmul_desc_init (&desc, &a, &b, NULL, &c);

  return status == dnnl_success ? dnnl_primitive_desc_create (pd, &desc, attr, engine, NULL)
                                : status;
}

static dnnl_status_t
conv_pd (dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const Desc d[4],
    const dnnl_dims_t strides, const dnnl_dims_t dilates, const dnnl_dims_t pad,
    dnnl_primitive_attr_t attr)
{
  dnnl_convolution_desc_t desc;
  dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init (&desc, dnnl_forward_inference,
      dnnl_convolution_direct, &d[0], &d[1], &d[2], &d[3], strides, dilates, pad, pad);

  return status == dnnl_success ? dnnl_primitive_desc_create (pd, &desc, attr, engine, NULL)
                                : status;
}
#endif

/* ---------------------------------------------------------------------------- */

struct _NnDnnl
{
  dnnl_engine_t engine;
  guint n_threads;
  dnnl_stream_t *streams;
};

struct _NnDnnlOp
{
  NnDnnl *dnnl;
  dnnl_primitive_t primitive;
  char *implementation;
  /* of each thread; a convolution shares its weights. Scratch is ours too: what the
   * library would manage must not be used by two threads at a time. */
  dnnl_memory_t *src, *weights, *dst, *scratch;
  dnnl_memory_t bias;
  float *bias_data;
  gboolean own_weights;
};

static gboolean
check (dnnl_status_t status, const char *what, GError **error)
{
  if (status == dnnl_success)
    return TRUE;
  if (status == dnnl_out_of_memory)
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "oneDNN: no memory for %s", what);
  else
    g_set_error (error, NN_ERROR,
        status == dnnl_unimplemented ? NN_ERROR_UNSUPPORTED : NN_ERROR_BACKEND,
        "oneDNN: %s failed with status %d%s", what, (int) status,
        status == dnnl_unimplemented ? " (not implemented for this CPU)" : "");
  return FALSE;
}

char *
nn_dnnl_get_version (void)
{
  const dnnl_version_t *v = dnnl_version ();

  return g_strdup_printf ("%d.%d.%d", v->major, v->minor, v->patch);
}

NnDnnl *
nn_dnnl_new (guint n_threads, GError **error)
{
  NnDnnl *dnnl = g_new0 (NnDnnl, 1);

  dnnl->n_threads = n_threads;
  dnnl->streams = g_new0 (dnnl_stream_t, n_threads);
  if (!check (dnnl_engine_create (&dnnl->engine, dnnl_cpu, 0), "the CPU engine", error))
    goto fail;
  for (guint i = 0; i < n_threads; i++) {
    if (!check (dnnl_stream_create (&dnnl->streams[i], dnnl->engine, dnnl_stream_in_order),
            "a stream", error))
      goto fail;
  }
  return dnnl;

fail:
  nn_dnnl_free (dnnl);
  return NULL;
}

void
nn_dnnl_free (NnDnnl *dnnl)
{
  if (!dnnl)
    return;
  for (guint i = 0; i < dnnl->n_threads; i++)
    if (dnnl->streams[i])
      dnnl_stream_destroy (dnnl->streams[i]);
  if (dnnl->engine)
    dnnl_engine_destroy (dnnl->engine);
  g_free (dnnl->streams);
  g_free (dnnl);
}

static gboolean
attr_new (dnnl_primitive_attr_t *attr, GError **error)
{
  return check (dnnl_primitive_attr_create (attr), "attributes", error)
      && check (dnnl_primitive_attr_set_scratchpad_mode (*attr, dnnl_scratchpad_mode_user),
          "attributes", error);
}

static NnDnnlOp *
op_new (NnDnnl *dnnl, dnnl_primitive_desc_t pd, GError **error)
{
  NnDnnlOp *op;
  const char *name = NULL;

  dnnl_primitive_desc_query (pd, dnnl_query_impl_info_str, 0, &name);
  /* "ref:any", "ref_..."; "gemm:ref" is what processors without a jit have */
  if (!name || g_str_has_prefix (name, "ref") || strstr (name, ":ref")) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "oneDNN has only its reference implementation (%s) for this primitive", name ? name : "?");
    return NULL;
  }
  op = g_new0 (NnDnnlOp, 1);
  op->dnnl = dnnl;
  op->implementation = g_strdup (name);
  op->src = g_new0 (dnnl_memory_t, dnnl->n_threads);
  op->weights = g_new0 (dnnl_memory_t, dnnl->n_threads);
  op->dst = g_new0 (dnnl_memory_t, dnnl->n_threads);
  op->scratch = g_new0 (dnnl_memory_t, dnnl->n_threads);
  if (!check (dnnl_primitive_create (&op->primitive, pd), "a primitive", error))
    goto fail;
  for (guint i = 0; i < dnnl->n_threads; i++)
    if (!check (dnnl_memory_create (&op->scratch[i],
                    dnnl_primitive_desc_query_md (pd, dnnl_query_scratchpad_md, 0), dnnl->engine,
                    DNNL_MEMORY_ALLOCATE),
            "scratch", error))
      goto fail;
  return op;

fail:
  nn_dnnl_op_free (op);
  return NULL;
}

NnDnnlOp *
nn_dnnl_matmul_new (NnDnnl *dnnl, gsize m, gsize n, gsize k, gsize a_row, gsize a_col, gsize b_row,
    gsize b_col, gsize ldc, GError **error)
{
  dnnl_dims_t da = { (dnnl_dim_t) m, (dnnl_dim_t) k }, db = { (dnnl_dim_t) k, (dnnl_dim_t) n };
  dnnl_dims_t dc = { (dnnl_dim_t) m, (dnnl_dim_t) n };
  dnnl_dims_t sa = { (dnnl_dim_t) a_row, (dnnl_dim_t) a_col };
  dnnl_dims_t sb = { (dnnl_dim_t) b_row, (dnnl_dim_t) b_col }, sc = { (dnnl_dim_t) ldc, 1 };
  Desc a = { 0 }, b = { 0 }, c = { 0 };
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_attr_t attr = NULL;
  NnDnnlOp *op = NULL;

  if (!attr_new (&attr, error) || !check (desc_strided (&a, 2, da, dnnl_f32, sa), "a matrix", error)
      || !check (desc_strided (&b, 2, db, dnnl_f32, sb), "a matrix", error)
      || !check (desc_strided (&c, 2, dc, dnnl_f32, sc), "a matrix", error)
      || !check (matmul_pd (&pd, dnnl->engine, a, b, c, attr), "a matrix product", error)
      || !(op = op_new (dnnl, pd, error)))
    goto out;
  for (guint i = 0; i < dnnl->n_threads; i++) {
    if (!check (dnnl_memory_create (&op->src[i], PTR (a), dnnl->engine, DNNL_MEMORY_NONE),
            "a matrix", error)
        || !check (dnnl_memory_create (&op->weights[i], PTR (b), dnnl->engine, DNNL_MEMORY_NONE),
            "a matrix", error)
        || !check (dnnl_memory_create (&op->dst[i], PTR (c), dnnl->engine, DNNL_MEMORY_NONE),
            "a matrix", error)) {
      g_clear_pointer (&op, nn_dnnl_op_free);
      goto out;
    }
  }

out:
  if (pd)
    dnnl_primitive_desc_destroy (pd);
  if (attr)
    dnnl_primitive_attr_destroy (attr);
  desc_clear (&a);
  desc_clear (&b);
  desc_clear (&c);
  return op;
}

/* the float32 kernel into the layout and type that the primitive chose */
static gboolean
reorder_weights (NnDnnlOp *op, const NnDnnlConv *conv, ConstDesc wanted, const float *kernel,
    GError **error)
{
  dnnl_engine_t engine = op->dnnl->engine;
  dnnl_dims_t dims = { (dnnl_dim_t) conv->out, (dnnl_dim_t) conv->in,
    (dnnl_dim_t) conv->kernel[0], (dnnl_dim_t) conv->kernel[1] };
  Desc plain = { 0 };
  dnnl_memory_t src = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t reorder = NULL;
  gboolean ok;

  op->own_weights = TRUE;
  ok = check (desc_tag (&plain, 4, dims, dnnl_f32, dnnl_hwio), "weights", error)
      && check (dnnl_memory_create (&src, PTR (plain), engine, (void *) kernel), "weights", error)
      && check (dnnl_memory_create (&op->weights[0], wanted, engine, DNNL_MEMORY_ALLOCATE),
          "weights", error)
      && check (dnnl_reorder_primitive_desc_create (&pd, PTR (plain), engine, wanted, engine, NULL),
          "a reorder of weights", error)
      && check (dnnl_primitive_create (&reorder, pd), "a reorder of weights", error);
  if (ok) {
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, src }, { DNNL_ARG_TO, op->weights[0] } };

    ok = check (dnnl_primitive_execute (reorder, op->dnnl->streams[0], 2, args),
             "a reorder of weights", error)
        && check (dnnl_stream_wait (op->dnnl->streams[0]), "a reorder of weights", error);
  }
  if (reorder)
    dnnl_primitive_destroy (reorder);
  if (pd)
    dnnl_primitive_desc_destroy (pd);
  if (src)
    dnnl_memory_destroy (src);
  desc_clear (&plain);
  return ok;
}

NnDnnlOp *
nn_dnnl_conv_new (NnDnnl *dnnl, const NnDnnlConv *conv, const float *kernel, const float *bias,
    GError **error)
{
  dnnl_data_type_t type = conv->bf16 ? dnnl_bf16 : dnnl_f32;
  dnnl_dim_t in = (dnnl_dim_t) conv->in, out = (dnnl_dim_t) conv->out;
  dnnl_dims_t src = { 1, in, (dnnl_dim_t) conv->height, (dnnl_dim_t) conv->width };
  dnnl_dims_t weights = { out, in, (dnnl_dim_t) conv->kernel[0], (dnnl_dim_t) conv->kernel[1] };
  dnnl_dims_t dst = { 1, out }, bias_dims = { out };
  dnnl_dims_t strides, dilates, pad = { 0, 0 };
  Desc d[4] = { 0 };
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t ops = NULL;
  NnDnnlOp *op = NULL;
  gboolean ok;

  for (int i = 0; i < 2; i++) {
    gsize extent = (conv->kernel[i] - 1) * conv->dilation[i] + 1;

    strides[i] = (dnnl_dim_t) conv->strides[i];
    dilates[i] = (dnnl_dim_t) conv->dilation[i] - 1;
    dst[2 + i] = (src[2 + i] - (dnnl_dim_t) extent) / strides[i] + 1;
  }
  ok = check (desc_tag (&d[0], 4, src, type, dnnl_nhwc), "a convolution", error)
      && check (desc_tag (&d[1], 4, weights, type, dnnl_format_tag_any), "a convolution", error)
      && check (desc_tag (&d[2], 1, bias_dims, dnnl_f32, dnnl_x), "a convolution", error)
      && check (desc_tag (&d[3], 4, dst, dnnl_f32, dnnl_nhwc), "a convolution", error)
      && attr_new (&attr, error)
      && check (dnnl_post_ops_create (&ops), "a convolution", error)
      && (!conv->relu || check (append_relu (ops), "a convolution", error))
      && check (dnnl_primitive_attr_set_post_ops (attr, ops), "a convolution", error)
      && check (conv_pd (&pd, dnnl->engine, d, strides, dilates, pad, attr), "a convolution", error)
      && (op = op_new (dnnl, pd, error)) != NULL
      && reorder_weights (
          op, conv, dnnl_primitive_desc_query_md (pd, dnnl_query_weights_md, 0), kernel, error);
  if (ok) {
    op->bias_data = g_new0 (float, conv->out);
    if (bias)
      memcpy (op->bias_data, bias, conv->out * sizeof (float));
    ok = check (dnnl_memory_create (&op->bias, PTR (d[2]), dnnl->engine, op->bias_data),
        "a convolution", error);
    for (guint i = 0; ok && i < dnnl->n_threads; i++) {
      ok = check (dnnl_memory_create (&op->src[i], PTR (d[0]), dnnl->engine, DNNL_MEMORY_NONE),
               "a convolution", error)
          && check (dnnl_memory_create (&op->dst[i], PTR (d[3]), dnnl->engine, DNNL_MEMORY_NONE),
              "a convolution", error);
    }
  }
  if (!ok)
    g_clear_pointer (&op, nn_dnnl_op_free);
  if (pd)
    dnnl_primitive_desc_destroy (pd);
  if (ops)
    dnnl_post_ops_destroy (ops);
  if (attr)
    dnnl_primitive_attr_destroy (attr);
  for (int i = 0; i < 4; i++)
    desc_clear (&d[i]);
  return op;
}

void
nn_dnnl_op_free (NnDnnlOp *op)
{
  if (!op)
    return;
  for (guint i = 0; i < op->dnnl->n_threads; i++) {
    if (op->src[i])
      dnnl_memory_destroy (op->src[i]);
    if (op->weights[i])
      dnnl_memory_destroy (op->weights[i]);
    if (op->dst[i])
      dnnl_memory_destroy (op->dst[i]);
    if (op->scratch[i])
      dnnl_memory_destroy (op->scratch[i]);
  }
  if (op->bias)
    dnnl_memory_destroy (op->bias);
  if (op->primitive)
    dnnl_primitive_destroy (op->primitive);
  g_free (op->bias_data);
  g_free (op->src);
  g_free (op->weights);
  g_free (op->dst);
  g_free (op->scratch);
  g_free (op->implementation);
  g_free (op);
}

const char *
nn_dnnl_op_get_implementation (const NnDnnlOp *op)
{
  return op->implementation;
}

gboolean
nn_dnnl_op_run (NnDnnlOp *op, guint thread, const void *src, const void *weights, void *dst)
{
  dnnl_stream_t stream = op->dnnl->streams[thread];
  dnnl_memory_t w = op->weights[op->own_weights ? 0 : thread];
  dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, op->src[thread] }, { DNNL_ARG_WEIGHTS, w },
    { DNNL_ARG_DST, op->dst[thread] }, { DNNL_ARG_SCRATCHPAD, op->scratch[thread] },
    { DNNL_ARG_BIAS, op->bias } };

  return dnnl_memory_set_data_handle (op->src[thread], (void *) src) == dnnl_success
      && (op->own_weights || dnnl_memory_set_data_handle (w, (void *) weights) == dnnl_success)
      && dnnl_memory_set_data_handle (op->dst[thread], dst) == dnnl_success
      && dnnl_primitive_execute (op->primitive, stream, op->bias ? 5 : 4, args) == dnnl_success
      && dnnl_stream_wait (stream) == dnnl_success;
}
