/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cudnn_graph.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/kernel-math.h"
#include "tests/fake-cuda/fake.h"

#ifdef __clang__
#pragma clang diagnostic ignored "-Wmissing-prototypes"
#else
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#endif

/* Descriptors keep their attributes as they were set; a plan looks through them. Engines:
 * 0 is tf32, 1 changes from run to run, 2 needs too much memory, 3 is plain and the fastest. */

#define MAX_ATTRIBUTES 24
#define N_ENGINES 4

typedef struct
{
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t count;
  void *values;
} Attribute;

typedef struct
{
  cudnnBackendDescriptorType_t type;
  int finalized;
  int n;
  Attribute attributes[MAX_ATTRIBUTES];
  int engine; /* configurations and engines */
  void *graph;
} Desc;

struct cudnnContext
{
  CUstream stream;
};

typedef struct
{
  int64_t uid, dims[4], strides[4];
  NnType type;
  int is_virtual;
  char *data;
} Tensor;

/* A plan, by value: what a captured graph keeps of it. */
typedef struct
{
  cudnnBackendDescriptorType_t kind;
  Tensor x, w, y, bias, out;
  int64_t pad[2], strides[2], dilation[2];
  int with_bias, with_relu;
} Work;

static size_t
size_of (cudnnBackendAttributeType_t type)
{
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
      return 8;
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
      return sizeof (void *);
    case CUDNN_TYPE_BOOLEAN:
      return 1;
    default:
      return 4;
  }
}

static const Attribute *
find (const Desc *d, int name)
{
  for (int i = 0; i < d->n; i++)
    if ((int) d->attributes[i].name == name)
      return &d->attributes[i];
  return NULL;
}

/* what must have been set */
static const void *
need (const Desc *d, int name)
{
  const Attribute *a = find (d, name);

  if (!a)
    abort ();
  return a->values;
}

static Desc *
need_desc (const Desc *d, int name)
{
  Desc *other = *(Desc *const *) need (d, name);

  if (!other->finalized)
    abort ();
  return other;
}

/* --- a graph made into work ------------------ */

static Tensor
tensor_of (const Desc *d)
{
  const Attribute *is_virtual = find (d, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
  const cudnnDataType_t type = *(const cudnnDataType_t *) need (d, CUDNN_ATTR_TENSOR_DATA_TYPE);
  Tensor t = { 0 };

  t.uid = *(const int64_t *) need (d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
  memcpy (t.dims, need (d, CUDNN_ATTR_TENSOR_DIMENSIONS), sizeof t.dims);
  memcpy (t.strides, need (d, CUDNN_ATTR_TENSOR_STRIDES), sizeof t.strides);
  t.type = type == CUDNN_DATA_FLOAT ? NN_TYPE_F32
      : type == CUDNN_DATA_HALF     ? NN_TYPE_F16
                                    : NN_TYPE_BF16;
  t.is_virtual = is_virtual && *(const bool *) is_virtual->values;
  need (d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  return t;
}

static void
same_dims (const Tensor *a, const Tensor *b)
{
  if (memcmp (a->dims, b->dims, sizeof a->dims) != 0)
    abort ();
}

static cudnnStatus_t
work_of (const Desc *graph, Work *work)
{
  const Attribute *ops = find (graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
  const Desc *op = *(Desc *const *) ops->values, *conv;
  int base;

  need (graph, 800); /* the handle */
  memset (work, 0, sizeof *work);
  work->kind = op->type;
  base = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR
      ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA
      : op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
      ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA
      : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA;
  if (*(const float *) need (op, base) != 1 || *(const float *) need (op, base + 1) != 0)
    abort ();
  conv = need_desc (op, base + 2);
  switch (base) { /* the order of names differs */
    case CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA:
      work->w = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W));
      work->x = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X));
      work->y = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y));
      break;
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA:
      work->w = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W));
      work->x = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX));
      work->y = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY));
      break;
    default:
      work->w = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW));
      work->x = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X));
      work->y = tensor_of (need_desc (op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY));
      break;
  }
  memcpy (work->pad, need (conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS), sizeof work->pad);
  if (memcmp (work->pad, need (conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS), sizeof work->pad) != 0)
    return CUDNN_STATUS_NOT_SUPPORTED;
  memcpy (work->strides, need (conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES), sizeof work->strides);
  memcpy (work->dilation, need (conv, CUDNN_ATTR_CONVOLUTION_DILATIONS), sizeof work->dilation);
  if (*(const cudnnConvolutionMode_t *) need (conv, CUDNN_ATTR_CONVOLUTION_CONV_MODE)
      != CUDNN_CROSS_CORRELATION)
    abort ();
  /* sizes must agree */
  for (int i = 0; i < 2; i++)
    if (work->y.dims[2 + i]
        != (work->x.dims[2 + i] + 2 * work->pad[i] - (work->w.dims[2 + i] - 1) * work->dilation[i]
               - 1) / work->strides[i]
            + 1)
      abort ();
  if (work->x.dims[0] != work->y.dims[0] || work->x.dims[1] != work->w.dims[1]
      || work->y.dims[1] != work->w.dims[0])
    abort ();
  work->out = work->y;
  for (int64_t i = 1; i < ops->count; i++) {
    const Desc *point = ((Desc *const *) ops->values)[i];
    const Desc *what = need_desc (point, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const Tensor in = tensor_of (need_desc (point, CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
    const cudnnPointwiseMode_t mode
        = *(const cudnnPointwiseMode_t *) need (what, CUDNN_ATTR_POINTWISE_MODE);

    if (in.uid != work->out.uid || !in.is_virtual)
      abort ();
    if (mode == CUDNN_POINTWISE_ADD && !work->with_relu) {
      work->bias = tensor_of (need_desc (point, CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
      work->with_bias = 1;
    } else if (mode == CUDNN_POINTWISE_RELU_FWD) {
      work->with_relu = 1;
    } else {
      return CUDNN_STATUS_NOT_SUPPORTED;
    }
    work->out = tensor_of (need_desc (point, CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    same_dims (&work->out, &work->y);
  }
  return work->out.is_virtual ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
}

static double
get (const Tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
  return nn_load (t->data, t->type,
      (uint64_t) (n * t->strides[0] + c * t->strides[1] + h * t->strides[2] + w * t->strides[3]));
}

static void
put (const Tensor *t, int64_t n, int64_t c, int64_t h, int64_t w, double value)
{
  nn_store (t->data, t->type,
      (uint64_t) (n * t->strides[0] + c * t->strides[1] + h * t->strides[2] + w * t->strides[3]),
      (float) value);
}

/* What engines are measured on. */
static int
is_zero (const Tensor *t)
{
  const size_t n = (size_t) (t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]);
  const char *bytes = t->data;

  for (size_t i = 0; i < n * (t->type == NN_TYPE_F32 ? 4 : 2); i++)
    if (bytes[i])
      return 0;
  return 1;
}

/* Sums the products that belong to each element of the result, whichever of the three it is. */
static void
run_work (void *data)
{
  const Work *k = data;
  const Tensor *result = k->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? &k->y
      : k->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR            ? &k->x
                                                                                           : &k->w;
  const int64_t *d = result->dims;
  double *sums = calloc ((size_t) (d[0] * d[1] * d[2] * d[3]), sizeof *sums);
  const int has_products = !is_zero (result == &k->x ? &k->y : &k->x)
      && !is_zero (result == &k->w ? &k->y : &k->w);

  for (int64_t n = 0; n < k->y.dims[0] && has_products; n++)
    for (int64_t f = 0; f < k->y.dims[1]; f++)
      for (int64_t oh = 0; oh < k->y.dims[2]; oh++)
        for (int64_t ow = 0; ow < k->y.dims[3]; ow++)
          for (int64_t r = 0; r < k->w.dims[2]; r++)
            for (int64_t s = 0; s < k->w.dims[3]; s++) {
              const int64_t h = oh * k->strides[0] + r * k->dilation[0] - k->pad[0];
              const int64_t w = ow * k->strides[1] + s * k->dilation[1] - k->pad[1];

              if (h < 0 || h >= k->x.dims[2] || w < 0 || w >= k->x.dims[3])
                continue;
              for (int64_t c = 0; c < k->x.dims[1]; c++) {
                if (result == &k->y)
                  sums[((n * d[1] + f) * d[2] + oh) * d[3] + ow]
                      += get (&k->x, n, c, h, w) * get (&k->w, f, c, r, s);
                else if (result == &k->x)
                  sums[((n * d[1] + c) * d[2] + h) * d[3] + w]
                      += get (&k->y, n, f, oh, ow) * get (&k->w, f, c, r, s);
                else
                  sums[((f * d[1] + c) * d[2] + r) * d[3] + s]
                      += get (&k->y, n, f, oh, ow) * get (&k->x, n, c, h, w);
              }
            }
  for (int64_t i = 0; i < d[0] * d[1] * d[2] * d[3]; i++) {
    const int64_t n = i / d[3] / d[2] / d[1], c = i / d[3] / d[2] % d[1];
    double value = sums[i];

    if (k->with_bias)
      value += get (&k->bias, 0, c, 0, 0);
    if (k->with_relu && value < 0)
      value = 0;
    put (result == &k->y ? &k->out : result, n, c, i / d[3] % d[2], i % d[3], value);
  }
  free (sums);
}

/* --- the interface ------------------ */

size_t
cudnnGetVersion (void)
{
  return CUDNN_VERSION;
}

const char *
cudnnGetErrorString (cudnnStatus_t status)
{
  return "refused by the fake cuDNN";
}

cudnnStatus_t
cudnnCreate (cudnnHandle_t *handle)
{
  *handle = calloc (1, sizeof **handle);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnDestroy (cudnnHandle_t handle)
{
  free (handle);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnSetStream (cudnnHandle_t handle, cudaStream_t stream)
{
  handle->stream = (CUstream) stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendCreateDescriptor (cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
  Desc *desc = calloc (1, sizeof *desc);

  desc->type = type;
  *d = desc;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendDestroyDescriptor (cudnnBackendDescriptor_t d)
{
  Desc *desc = d;

  for (int i = 0; i < desc->n; i++)
    free (desc->attributes[i].values);
  free (desc);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendSetAttribute (cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
  Desc *desc = d;
  Attribute *a = &desc->attributes[desc->n];

  if (desc->finalized || desc->n == MAX_ATTRIBUTES || find (desc, (int) name))
    return CUDNN_STATUS_BAD_PARAM;
  *a = (Attribute) { name, type, count, malloc ((size_t) count * size_of (type)) };
  memcpy (a->values, values, (size_t) count * size_of (type));
  desc->n++;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendFinalize (cudnnBackendDescriptor_t d)
{
  Desc *desc = d;
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  Work work;

  if (desc->finalized)
    return CUDNN_STATUS_BAD_PARAM;
  if (desc->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
    status = work_of (desc, &work);
  if (desc->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
    need_desc (desc, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  if (desc->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    need (desc, 400); /* the handle */
    if (!(*(Desc *const *) need (desc, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG))->graph)
      abort ();
  }
  desc->finalized = status == CUDNN_STATUS_SUCCESS;
  return status;
}

cudnnStatus_t
cudnnBackendGetAttribute (const cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count, void *values)
{
  static const cudnnBackendNumericalNote_t notes[N_ENGINES]
      = { CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
          CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP };
  Desc *desc = d;

  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && desc->finalized) {
    Desc *graph = need_desc (desc, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    const Attribute *ops = find (graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);

    *count = 0;
    if (getenv ("FAKE_CUDA_NO_ALGORITHM") || (ops->count > 1 && getenv ("FAKE_CUDA_NO_FUSION")))
      return CUDNN_STATUS_SUCCESS;
    for (; *count < N_ENGINES && *count < wanted; ++*count) {
      Desc *config = ((Desc **) values)[*count];

      config->engine = (int) *count;
      config->graph = graph;
      config->finalized = 1;
    }
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_ENGINECFG_ENGINE && desc->finalized) {
    Desc *engine = *(Desc **) values;

    engine->engine = desc->engine;
    engine->finalized = 1;
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX && desc->finalized) {
    *(int64_t *) values = desc->engine;
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && desc->finalized) {
    *(cudnnBackendNumericalNote_t *) values = notes[desc->engine];
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && desc->finalized) {
    const Desc *config = *(Desc *const *) need (desc, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);

    *(int64_t *) values = config->engine == 2 ? (int64_t) 1 << 40 : 512;
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
  }
  return CUDNN_STATUS_NOT_SUPPORTED;
}

static void
attach (Tensor *t, const Attribute *uids, const Attribute *pointers)
{
  for (int64_t i = 0; i < uids->count; i++)
    if (((const int64_t *) uids->values)[i] == t->uid)
      t->data = ((char *const *) pointers->values)[i];
  if (!t->data || (uintptr_t) t->data % 16 != 0)
    abort ();
}

cudnnStatus_t
cudnnBackendExecute (
    cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
  const Desc *p = plan, *v = pack;
  const Desc *config = *(Desc *const *) need (p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  const Attribute *uids = find (v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const Attribute *pointers = find (v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  const void *workspace = *(void *const *) need (v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  const char *failing = getenv ("FAKE_CUDA_FAILING_ENGINE");
  const char *uncaptured = getenv ("FAKE_CUDA_UNCAPTURED_ENGINE");
  Work work;

  if (!p->finalized || !v->finalized || !workspace || uids->count != pointers->count)
    return CUDNN_STATUS_BAD_PARAM;
  if (failing && atoi (failing) == config->engine)
    return CUDNN_STATUS_EXECUTION_FAILED;
  if (uncaptured && atoi (uncaptured) == config->engine
      && fake_cuda_is_capturing (handle->stream))
    return CUDNN_STATUS_EXECUTION_FAILED;
  work_of (config->graph, &work);
  attach (&work.x, uids, pointers);
  attach (&work.w, uids, pointers);
  attach (&work.out, uids, pointers);
  if (work.with_bias)
    attach (&work.bias, uids, pointers);
  if (!work.y.is_virtual)
    work.y.data = work.out.data;
  fake_cuda_spend (config->engine == 3 ? 1 : 2);
  fake_cuda_submit (handle->stream, run_work, &work, sizeof work);
  return CUDNN_STATUS_SUCCESS;
}
