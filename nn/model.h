/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "nn/function.h"
#include "nn/image.h"

G_BEGIN_DECLS

/* NnModel: an architecture (a graph of layers read from Keras's JSON), its
 * parameters, the class labels and the pre-processing.
 *
 * The structs are plain data: back ends, the trainer and `classify summary`
 * read them directly. Only the functions below change a model. After loading
 * it is read-only and may be shared by any number of plans and threads; the
 * one exception is a training plan, which writes the parameters it owns the
 * training of. */

#define NN_MAX_DIMS 4
#define NN_MAX_PARAMS 8

/* Sizes of one sample or one parameter, outermost first, no batch: an
 * activation of an image network is (H, W, C). */
typedef struct
{
  guint n_dims; /* 0 (scalar) to NN_MAX_DIMS */
  gsize dims[NN_MAX_DIMS];
} NnShape;

typedef enum
{
  NN_LAYER_INPUT,
  NN_LAYER_CONV2D,
  NN_LAYER_DENSE,
  NN_LAYER_BATCH_NORMALIZATION,
  NN_LAYER_MAX_POOLING2D,
  NN_LAYER_GLOBAL_AVERAGE_POOLING2D,
  NN_LAYER_FLATTEN,
  NN_LAYER_DROPOUT,
  NN_LAYER_ACTIVATION,
  NN_LAYER_OTHER, /* all kinds that only the graph of operations knows */
} NnLayerKind;

typedef enum
{
  NN_ACTIVATION_LINEAR,
  NN_ACTIVATION_RELU,
  NN_ACTIVATION_SIGMOID,
  NN_ACTIVATION_TANH,
  NN_ACTIVATION_SOFTMAX, /* over the last axis */
  NN_ACTIVATION_LOG_SOFTMAX,
  NN_ACTIVATION_OTHER, /* the layer's `function` */
} NnActivation;

typedef enum
{
  NN_PADDING_VALID,
  NN_PADDING_SAME, /* TensorFlow's: the odd cell goes to the bottom and right */
} NnPadding;

/* How a parameter starts: Keras's initializer classes. */
typedef enum
{
  NN_INIT_ZEROS,
  NN_INIT_ONES,
  NN_INIT_CONSTANT,        /* init_scale = the value */
  NN_INIT_SCALING_UNIFORM, /* U(-l, l), l = sqrt (3 * init_scale / n) */
  NN_INIT_SCALING_NORMAL,  /* truncated normal, stddev sqrt (init_scale / n) / .87962566103423978 */
  NN_INIT_UNIFORM,         /* init_offset + U(-init_scale, init_scale) */
  NN_INIT_NORMAL,          /* init_offset + N(0, init_scale) */
  NN_INIT_TRUNCATED_NORMAL, /* the same, redrawn beyond two standard deviations */
  NN_INIT_SCALING_UNTRUNCATED, /* normal, stddev sqrt (init_scale / n) */
  NN_INIT_UNKNOWN, /* a class that nn_model_init_params() refuses; weights from a file are fine */
} NnInit;

typedef enum
{
  NN_FAN_IN,
  NN_FAN_OUT,
  NN_FAN_AVG,
} NnFan;

typedef struct
{
  const char *name; /* Keras's: "kernel", "bias", "gamma", "beta", "moving_mean",
                     * "moving_variance" */
  NnShape shape;
  gsize n_values;
  gboolean trainable; /* FALSE for moving statistics and in frozen layers */
  NnInit init;
  NnFan init_fan;
  float init_scale, init_offset;
  float l1, l2; /* regularizer, 0 = none: adds l1 * sum |w| + l2 * sum w^2 to the loss */
  const char *store; /* Keras 3's files: the layer inside of the layer that has it; or NULL */
  float *data;  /* n_values floats, 64-byte aligned, owned by the model */
} NnParam;

/* Conv2D: kernel (kh, kw, in, filters) "HWIO", bias (filters); cross-correlation.
 * Explicit padding in pixels, computed by shape inference from `padding`. */
typedef struct
{
  gsize filters;
  gsize kernel[2], strides[2], dilation[2]; /* (rows, columns) */
  gsize groups; /* kernel (kh, kw, in / groups, filters) */
  NnPadding padding;
  gsize pad_begin[2], pad_end[2]; /* rows, columns; derived */
  NnActivation activation;
  gboolean use_bias;
} NnConv2dConfig;

/* Dense: kernel (in, units), bias (units); acts on the last axis. */
typedef struct
{
  gsize units;
  NnActivation activation;
  gboolean use_bias;
} NnDenseConfig;

/* BatchNormalization: normalises every index of `axis` over all other axes
 * and the batch. The sample is seen as (outer, n, inner) with n = the size of
 * the axis; all three derived. axis=1 on (H, W, C): outer 1, n = H,
 * inner = W * C. axis=-1: outer = H * W, n = C, inner 1.
 * Parameters in this order, where present: gamma, beta, moving_mean,
 * moving_variance, each (n). */
typedef struct
{
  guint axis; /* counted without the batch: 0 = rows of an image */
  float momentum, epsilon;
  gboolean center, scale;
  gsize outer, n, inner;
} NnBatchNormConfig;

/* What a BatchNormalization has one mean and one variance for. The sizes alone do not tell it:
 * outer is 1 for every axis of an image of one row, inner is 1 for all axes of one pixel.
 * nn_layer_get_norm() is the one place that knows. */
typedef enum
{
  NN_NORM_CHANNELS, /* the last axis */
  NN_NORM_ROWS,     /* the first of (H, W, C) */
  NN_NORM_OTHER,    /* a column, or an axis of what is no image: only (outer, n, inner) says it */
} NnNormAxis;

typedef struct
{
  gsize size[2], strides[2];
  NnPadding padding; /* 'same' pads with -inf */
  gsize pad_begin[2], pad_end[2];
} NnPoolConfig;

typedef struct
{
  gboolean keepdims; /* the output is (1, 1, C), not (C) */
} NnGlobalPoolConfig;

typedef struct
{
  float rate; /* [0, 1) */
} NnDropoutConfig;

typedef struct
{
  NnActivation activation;
} NnActivationConfig;

typedef struct _NnLayerClass NnLayerClass; /* nn/layer.h */

typedef struct
{
  NnLayerKind kind;
  const NnLayerClass *klass;
  char *name;
  gboolean trainable;
  guint n_inputs; /* 0 for NN_LAYER_INPUT */
  guint *inputs;  /* indices into NnModel.layers, each smaller than this layer's own */
  NnShape in_shape; /* of the first input */
  NnShape out_shape;
  gboolean channels_first; /* (C, H, W) */
  NnFunction function;     /* of NN_ACTIVATION_OTHER, and of layers that are a function */
  guint keras;             /* the model's */
  const char *operation;   /* while it is parsed: the function of Keras 3 that it is */
  gpointer data;           /* what its class keeps of the config; a g_atomic_rc_box */

  /* Where Keras's files have it. Layers of a model inside the model are in one list with all. */
  guint shares; /* 0, or the layer of whose parameters this is another call, + 1 */
  guint order;  /* its place in the file's list of layers, models inside opened in their place */
  char *group;  /* legacy HDF5: the layer of the outermost model that it is, or is in */
  char *store;  /* Keras 3's: "layers/functional/layers/conv2d_1" */
  union
  {
    NnConv2dConfig conv2d;
    NnDenseConfig dense;
    NnBatchNormConfig batch_norm;
    NnPoolConfig pool;
    NnGlobalPoolConfig global_pool;
    NnDropoutConfig dropout;
    NnActivationConfig activation;
  } config;
  guint n_params;
  NnParam params[NN_MAX_PARAMS];
} NnLayer;

/* @layer: a BatchNormalization whose shapes are known. */
static inline NnNormAxis
nn_layer_get_norm (const NnLayer *layer)
{
  const guint axis = layer->config.batch_norm.axis;

  if (axis + 1 == layer->in_shape.n_dims)
    return NN_NORM_CHANNELS;
  return axis == 0 && layer->in_shape.n_dims == 3 ? NN_NORM_ROWS : NN_NORM_OTHER;
}

typedef struct
{
  gint ref_count; /* private */
  char *origin;   /* file it came from, for messages; may be NULL */
  char *name;     /* the Keras model's name */
  gboolean is_sequential;
  guint keras;             /* the version that wrote it: 1, 2, 3; 0: not known */
  gboolean channels_first; /* pictures go in as (C, H, W) */
  NnShape input_shape;     /* (H, W, C) of the pictures, whatever layers[0] makes of them */
  char *json;     /* the architecture as it was read; written back unchanged but for a
                   * Sequential without an InputLayer, which gets one */

  guint n_layers;
  NnLayer *layers; /* topological order; layers[0] is always an NN_LAYER_INPUT,
                    * also where Keras lists none (then `has_implicit_input`) */
  gboolean has_implicit_input;
  guint output; /* index of the layer whose output is the model's */

  gboolean has_weights; /* parameters were loaded or initialised */
  char **labels;        /* NULL-terminated, or NULL when the file names none */
  NnPreprocess preprocess; /* width and height are the input's */
  gboolean has_preprocess; /* FALSE: `preprocess` holds the defaults: RGB (one channel: grey),
                            * nearest, 1/255 */
  double temperature;      /* > 0; divides the logits: 1 = probabilities as they are */
  GHashTable *extra;       /* char* -> char*: root attributes "classify_..." to keep */

  gpointer owner; /* private: the model whose parameters a resized view or a part shares */
  float *values;  /* private: the one block that every NnParam.data points into */
  char **numbers; /* private: names of classes without labels, made when first asked for */
} NnModel;

/* --- architecture ------------------------------------------------------- */

/* Builds a model from Keras JSON: model.to_json(), or the `model_config` of an
 * HDF5 file. Sequential as list and as dict, Functional/Model with legacy and
 * Keras 3 nodes. The parameters are described, not allocated.
 * @length: bytes of @json or -1. @origin: named in errors, may be NULL.
 * Returns: (transfer full): or NULL with NN_ERROR_FORMAT, _SHAPE or
 * _UNSUPPORTED (an unknown layer class is named with its layer's name). */
NnModel *nn_model_new_from_json (const char *json, gssize length, const char *origin,
    GError **error);

/* The same from a file (train/networks/x.json). */
NnModel *nn_model_new_from_json_file (const char *path, GError **error);

NnModel *nn_model_ref (NnModel *model);
void nn_model_unref (NnModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnModel, nn_model_unref)

/* Allocates and initialises every parameter as its layer's initializers say;
 * parameter k (counted over the whole model) draws from stream
 * (seed, NN_STREAM_INIT, k). */
gboolean nn_model_init_params (NnModel *model, guint64 seed, GError **error);

/* Allocates all parameters (zeroed) if they are not yet.
 * NN_ERROR_NO_MEMORY tells how much was asked for. */
gboolean nn_model_alloc_params (NnModel *model, GError **error);

/* The same network for inputs of @height x @width, sharing @model's parameters,
 * which must be allocated. What it holds of JSON, labels and pre-processing is
 * the original's: it is for plans, not for saving. NN_ERROR_SHAPE where a
 * layer's parameters depend on the size (a Flatten before a Dense layer, a
 * BatchNormalization over rows) or a window no longer fits. (transfer full) */
NnModel *nn_model_new_resized (NnModel *model, gsize height, gsize width, GError **error);

/* Layers [@first, @end) of @model as a network of their own, sharing @model's
 * parameters, which must be allocated: for plans of the convolutions and of what
 * follows them. Its layers[0] is an input of the in_shape of layer @first; the
 * layers come after it. @model may be one of nn_model_new_resized(). The part
 * has no JSON: it cannot be saved or resized. NN_ERROR_SHAPE where the layers
 * are not a chain, or one within is also the input of a layer beyond @end.
 * (transfer full) */
NnModel *nn_model_new_part (NnModel *model, guint first, guint end, GError **error);

/* Exponential moving average of all parameters, moving statistics included
 * (Polyak & Juditsky 1992; decay warmed up as in TensorFlow's):
 * average += (1 - d) * (value - average), d = min (decay, (1 + t) / (10 + t)). */
typedef struct
{
  double decay;
  gsize n_values;
  float *values; /* laid out as the model's own block, 64-byte aligned */
} NnEma;

NnEma *nn_ema_new (const NnModel *model, double decay, GError **error); /* starts as the model */
void nn_ema_free (NnEma *ema);
/* @iterations: steps done, the last included */
void nn_ema_update (NnEma *ema, const NnModel *model, gint64 iterations);
void nn_ema_swap (NnEma *ema, NnModel *model); /* average and values change places */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnEma, nn_ema_free)

/* 1 - d. Inline for back ends that keep the average where they keep the parameters. */
static inline float
nn_ema_get_rate (const NnEma *ema, gint64 iterations)
{
  const double t = (double) iterations;

  return (float) (1 - MIN (ema->decay, (1 + t) / (10 + t)));
}

/* The model in whose block @model's parameters lie: itself, or what it is a view or part of. */
static inline const NnModel *
nn_model_get_owner (const NnModel *model)
{
  while (model->owner)
    model = (const NnModel *) model->owner;
  return model;
}

/* --- questions ---------------------------------------------------------- */

const NnShape *nn_model_get_input_shape (const NnModel *model); /* (H, W, C) */
/* Whether every layer is of the kinds that make a chain of layers: one input each, none shared,
 * none that only the graph of operations knows. Such a model can be trained. */
gboolean nn_model_is_chain (const NnModel *model);
/* The first layer because of which it is not; NULL: it is. (transfer none) */
const NnLayer *nn_model_find_unchained (const NnModel *model);
/* The layer that has the parameters of layer @index: itself, or the one that it is a call of. */
guint nn_layer_get_owner (const NnModel *model, guint index);
gsize nn_model_get_n_outputs (const NnModel *model);            /* values a sample */
gsize nn_model_count_params (const NnModel *model, gboolean only_trainable);

/* Number of classes that the outputs stand for: a single sigmoid output is two. */
guint nn_model_get_n_classes (const NnModel *model);

/* The label of class @index: from `labels`, else its decimal number kept by
 * the model. (transfer none) */
const char *nn_model_get_label (const NnModel *model, guint index);

/* One sample's outputs to class probabilities: copied, or {1 - p, p} where one
 * output stands for two classes; where the model has a temperature T (Guo et al.
 * 2017) those of the logits / T: softmax (log p / T), sigmoid (logit p / T) and
 * linear outputs y / T. @outputs has n_outputs, @probabilities n_classes values. */
void nn_model_get_probabilities (const NnModel *model, const float *outputs, float *probabilities);

/* Replaces the labels. NN_ERROR_SHAPE when their number is not n_classes. */
gboolean nn_model_set_labels (NnModel *model, const char *const *labels, GError **error);

/* Makes the network end in @n_classes classes: changes the units of the last
 * Dense layer, in the stored JSON too, and drops labels of another number. For
 * networks that have no parameters yet. NN_ERROR_SHAPE where the network does
 * not end in a Dense layer (an Activation may follow it), where it ends in one
 * sigmoid unit and @n_classes is not 2, or where it has parameters. */
gboolean nn_model_set_n_classes (NnModel *model, guint n_classes, GError **error);

/* The table that Keras's model.summary() prints, plus the totals. (transfer full) */
char *nn_model_summary (const NnModel *model);

/* Index of the @k-th arrays of class scores, best first. */
void nn_top_k (const float *probabilities, guint n_classes, guint k, guint *indices);

gsize nn_shape_count (const NnShape *shape);
gboolean nn_shape_equal (const NnShape *a, const NnShape *b);
char *nn_shape_to_string (const NnShape *shape); /* "200x200x3"; (transfer full) */

G_END_DECLS
