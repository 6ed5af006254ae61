#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes small models of every kind of layer with genuine Keras, for `test-graph FILE...`.

    python3 tests/make-graph-fixtures.py OUTDIR

with an interpreter that has Keras 3, or TensorFlow 2.15 (tf.keras). Each NAME.keras and NAME.h5
comes with NAME.EXT.in and NAME.EXT.out: three random samples as pictures (height, width, channels)
and Keras's predictions, float32.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

import keras

MAJOR = int(keras.__version__.split(".")[0])
if MAJOR == 2:
    import tensorflow as tf
    keras = tf.keras
L = keras.layers
OUT = sys.argv[1]
made = 0
failed = []


def randomize(model, seed):
    rng = np.random.RandomState(seed)

    def value(w, name):
        if name == "count":
            return np.asarray(w)
        positive = "var" in name
        # of few bits, so that files of them pack small
        return rng.randint(16, 48, w.shape) / 32 if positive else rng.randint(-16, 17, w.shape) / 32

    def visit(layer):
        inner = getattr(layer, "layers", None)
        if inner:
            for one in inner:
                visit(one)
            return
        for w in layer.weights:
            if "seed" in w.name or "int" in str(w.dtype):
                continue
            w.assign(value(w, w.name.split("/")[-1].split(":")[0]).astype("float32"))

    for layer in model.layers:
        visit(layer)


def emit(name, model, formats=("keras", "h5"), low=-1.0, high=1.0, first=False):
    global made
    try:
        randomize(model, made)
        shape = tuple(model.input_shape[1:])
        x = np.random.RandomState(made).randint(0, 65, (3,) + shape) / 64 * (high - low) + low
        x = x.astype("float32")
        ours = np.transpose(x, (0, 2, 3, 1)) if first else x
        for ext in formats:
            path = os.path.join(OUT, "%s.%s" % (name, ext))
            model.save(path)
            if name == "normalization-2":  # takes its weights only when it is loaded
                model = keras.models.load_model(path)
            y = np.asarray(model.predict(x, verbose=0), dtype="<f4")
            np.ascontiguousarray(ours, dtype="<f4").tofile(path + ".in")
            np.ascontiguousarray(y).tofile(path + ".out")
        made += 1
    except Exception as error:
        failed.append("%s: %s" % (name, str(error).splitlines()[0] if str(error) else repr(error)))


def seq(name, layers, shape=(5, 6, 6), **kwargs):
    def build():
        first = L.InputLayer(shape=shape) if MAJOR == 3 else L.InputLayer(input_shape=shape)
        return keras.Sequential([first] + [one() for one in layers], name="m")
    try:
        model = build()
    except Exception as error:
        failed.append("%s: %s" % (name, str(error).splitlines()[0] if str(error) else repr(error)))
        return
    emit(name, model, **kwargs)


def fun(name, make, shape=(5, 6, 6), **kwargs):
    try:
        x = L.Input(shape)
        model = keras.Model(x, make(x), name="m")
    except Exception as error:
        failed.append("%s: %s" % (name, str(error).splitlines()[0] if str(error) else repr(error)))
        return
    emit(name, model, **kwargs)


os.makedirs(OUT, exist_ok=True)

# --- activations ---
ACTIVATIONS = ["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "hard_sigmoid", "hard_silu",
               "hard_swish", "swish", "silu", "gelu", "elu", "selu", "celu", "exponential",
               "softplus", "softsign", "soft_shrink", "hard_shrink", "tanh_shrink", "hard_tanh",
               "mish", "log_sigmoid", "squareplus", "sparse_plus", "sparse_sigmoid",
               "softmax", "log_softmax", "linear"]
for a in ACTIVATIONS:
    seq("act-%s" % a, [lambda: L.Conv2D(5, 3, activation=a)])
    seq("activation-%s" % a, [lambda: L.Dense(4), lambda: L.Activation(a)])

# --- convolutions ---
n = 0
for padding in ("valid", "same"):
    for kernel, strides, dilation in ((3, 1, 1), (3, 2, 1), ((2, 3), (1, 2), 1), (3, 1, 2),
                                      (5, 2, 1), (1, 1, 1), (1, 2, 1)):
        n += 1
        seq("conv-%d" % n, [lambda: L.Conv2D(7, kernel, strides=strides, padding=padding,
                                             dilation_rate=dilation)])
        seq("depthwise-%d" % n, [lambda: L.DepthwiseConv2D(
            kernel, strides=strides if isinstance(strides, int) else 1, padding=padding,
            dilation_rate=dilation, depth_multiplier=1 + n % 3, activation="relu")])
        seq("separable-%d" % n, [lambda: L.SeparableConv2D(
            8, kernel, strides=strides if isinstance(strides, int) else 1, padding=padding,
            dilation_rate=dilation, depth_multiplier=1 + n % 2, use_bias=n % 2 == 0)])
        if dilation == 1:
            seq("transpose-%d" % n, [lambda: L.Conv2DTranspose(5, kernel, strides=strides,
                                                               padding=padding)])
seq("conv-groups-2", [lambda: L.Conv2D(8, 3, groups=2)])
seq("conv-groups-3", [lambda: L.Conv2D(6, 3, groups=3, padding="same", use_bias=False)])
seq("conv-16", [lambda: L.Conv2D(16, 3, padding="same"), lambda: L.ReLU()], shape=(5, 6, 16))
seq("transpose-pad", [lambda: L.Conv2DTranspose(4, 3, strides=2, output_padding=1)])
seq("transpose-pad-same", [lambda: L.Conv2DTranspose(4, 3, strides=2, padding="same",
                                                     output_padding=1)])
seq("depthwise-wide", [lambda: L.DepthwiseConv2D(5, padding="same")], shape=(7, 8, 35))
seq("depthwise-16", [lambda: L.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)],
    shape=(5, 6, 32))
for padding in ("valid", "same", "causal"):
    seq("conv1d-%s" % padding, [lambda: L.Reshape((30, 6)),
                                lambda: L.Conv1D(5, 3, padding=padding, activation="relu")])
seq("conv1d-dilated", [lambda: L.Reshape((30, 6)), lambda: L.Conv1D(5, 3, dilation_rate=2)])
seq("conv1d-strided", [lambda: L.Reshape((30, 6)), lambda: L.Conv1D(5, 3, strides=2)])

# --- poolings ---
for i, (size, strides) in enumerate(((2, None), (3, 2), ((2, 3), 1), (3, 3))):
    for padding in ("valid", "same"):
        seq("max-%d-%s" % (i, padding), [lambda: L.MaxPooling2D(size, strides, padding)])
        seq("average-%d-%s" % (i, padding), [lambda: L.AveragePooling2D(size, strides, padding)])
for keep in (False, True):
    seq("gap-%d" % keep, [lambda: L.GlobalAveragePooling2D(keepdims=keep)])
    seq("gmp-%d" % keep, [lambda: L.GlobalMaxPooling2D(keepdims=keep)])
    seq("gap1-%d" % keep, [lambda: L.Reshape((30, 6)),
                           lambda: L.GlobalAveragePooling1D(keepdims=keep)])
    seq("gmp1-%d" % keep, [lambda: L.Reshape((30, 6)),
                           lambda: L.GlobalMaxPooling1D(keepdims=keep)])
seq("max1", [lambda: L.Reshape((30, 6)), lambda: L.MaxPooling1D(3, 2, "same")])
seq("average1", [lambda: L.Reshape((30, 6)), lambda: L.AveragePooling1D(3, 2, "same")])

# --- rows and columns ---
seq("zero-1", [lambda: L.ZeroPadding2D(2)])
seq("zero-2", [lambda: L.ZeroPadding2D((1, 3))])
seq("zero-3", [lambda: L.ZeroPadding2D(((0, 1), (2, 0)))])
seq("zero-conv", [lambda: L.ZeroPadding2D(((0, 1), (0, 1))), lambda: L.Conv2D(4, 3, strides=2)])
seq("crop-1", [lambda: L.Cropping2D(2)])
seq("crop-2", [lambda: L.Cropping2D((1, 2))])
seq("crop-3", [lambda: L.Cropping2D(((0, 1), (2, 0)))])
seq("up-1", [lambda: L.UpSampling2D(2)])
seq("up-2", [lambda: L.UpSampling2D((2, 3), interpolation="bilinear")])
for i, (h, w) in enumerate(((10, 12), (3, 7), (5, 6), (4, 4))):
    seq("resizing-%d" % i, [lambda: L.Resizing(h, w)])
    seq("resizing-near-%d" % i, [lambda: L.Resizing(h, w, interpolation="nearest")])
    seq("resizing-crop-%d" % i, [lambda: L.Resizing(h, w, crop_to_aspect_ratio=True)])
    seq("center-%d" % i, [lambda: L.CenterCrop(h, w)])

# --- scaling ---
seq("rescaling-1", [lambda: L.Rescaling(1 / 255.)], low=0, high=255)
seq("rescaling-2", [lambda: L.Rescaling(1 / 127.5, offset=-1)], low=0, high=255)
seq("rescaling-3", [lambda: L.Rescaling([.1, .2, .3, .4, .5, .6], offset=[1, 2, 3, 4, 5, 6])])
seq("normalization-1", [lambda: L.Normalization(mean=[1, 2, 3, 4, 5, 6.],
                                                variance=[1, 2, 3, 4, 5, 6.])])
seq("normalization-2", [lambda: L.Normalization(axis=-1), lambda: L.Dense(3)])
seq("normalization-3", [lambda: L.Normalization(mean=1., variance=4., axis=None)])
seq("bn", [lambda: L.BatchNormalization()])
seq("bn-1", [lambda: L.BatchNormalization(axis=1, center=False)])
seq("bn-2", [lambda: L.Conv2D(8, 3, use_bias=False), lambda: L.BatchNormalization(scale=False),
             lambda: L.ReLU(6.)])
seq("ln", [lambda: L.LayerNormalization()])
seq("ln-axes", [lambda: L.LayerNormalization(axis=(1, 2, 3), center=False)])
seq("ln-eps", [lambda: L.LayerNormalization(epsilon=1e-6, scale=False)])
seq("gn", [lambda: L.GroupNormalization(groups=3)])
seq("gn-all", [lambda: L.GroupNormalization(groups=-1)])
seq("un", [lambda: L.UnitNormalization()])
if MAJOR == 3:
    seq("rms", [lambda: L.RMSNormalization()])

# --- functions as layers ---
seq("relu-1", [lambda: L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.2)])
seq("relu-2", [lambda: L.ReLU(6.)])
seq("leaky", [lambda: L.LeakyReLU(0.15)])
seq("elu", [lambda: L.ELU(0.7)])
seq("prelu", [lambda: L.PReLU()])
seq("prelu-shared", [lambda: L.PReLU(shared_axes=[1, 2])])
seq("softmax-layer", [lambda: L.Flatten(), lambda: L.Dense(5), lambda: L.Softmax()])
seq("softmax-axis", [lambda: L.Softmax(axis=1)])
if hasattr(L, "ThresholdedReLU"):
    seq("thresholded", [lambda: L.ThresholdedReLU(0.3)])
seq("activation-layer", [lambda: L.Dense(4, activation=L.LeakyReLU(0.2))], formats=("keras",))

# --- arranging ---
seq("reshape", [lambda: L.Reshape((6, -1))])
seq("permute", [lambda: L.Permute((3, 1, 2))])
seq("repeat", [lambda: L.Flatten(), lambda: L.Dense(4), lambda: L.RepeatVector(3)])
seq("dense-nd", [lambda: L.Dense(7, activation="relu"), lambda: L.Dense(3)])
seq("flat-28", [lambda: L.Flatten(), lambda: L.Dense(9, activation="relu"),
                lambda: L.Dense(4, activation="softmax")], shape=(28, 28))
seq("flat-784", [lambda: L.Dense(9, activation="relu"), lambda: L.Dense(4, activation="softmax")],
    shape=(784,))
seq("reshape-28", [lambda: L.Reshape((28, 28, 1)), lambda: L.Conv2D(3, 3),
                   lambda: L.GlobalAveragePooling2D()], shape=(28, 28))

# --- nothing at inference ---
for name in ("GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout2D", "Dropout"):
    seq("none-%s" % name, [lambda: getattr(L, name)(0.3), lambda: L.Dense(2)])
seq("none-random", [lambda: L.RandomFlip("horizontal"), lambda: L.RandomRotation(0.1),
                    lambda: L.RandomZoom(0.1), lambda: L.RandomTranslation(.1, .1),
                    lambda: L.RandomContrast(.1), lambda: L.Conv2D(3, 3)])
seq("none-activity", [lambda: L.ActivityRegularization(0.1), lambda: L.Conv2D(3, 3)])

# --- several inputs ---
for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
    fun("merge-%s" % name, lambda x: getattr(L, name)()([L.Conv2D(5, 3)(x),
                                                         L.Conv2D(5, 3, activation="relu")(x)]))
fun("merge-3", lambda x: L.Add()([L.Conv2D(5, 3)(x), L.Conv2D(5, 3)(x), L.Conv2D(5, 3)(x)]))
fun("merge-broadcast", lambda x: L.Multiply()(
    [x, L.Dense(6, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))]))
for axis in (-1, 1, 2, 3):
    fun("concat-%d" % axis, lambda x: L.Concatenate(axis=axis)([x, L.ReLU()(x)]))
fun("dot-1", lambda x: L.Dot(axes=1)([L.Dense(5)(L.Flatten()(x)), L.Dense(5)(L.Flatten()(x))]))
fun("dot-2", lambda x: L.Dot(axes=(2, 2), normalize=True)([L.Reshape((30, 6))(x),
                                                           L.Dense(6)(L.Reshape((30, 6))(x))]))
fun("attention", lambda x: L.MultiHeadAttention(2, 5)(L.Reshape((30, 6))(x), L.Reshape((30, 6))(x)))
fun("attention-value", lambda x: L.MultiHeadAttention(3, 4, value_dim=5, use_bias=False)(
    L.Reshape((30, 6))(x), L.Reshape((30, 6))(x)))


def se(x):
    y = L.Conv2D(16, 1, use_bias=False)(x)
    y = L.BatchNormalization()(y)
    y = L.Activation("swish")(y)
    y = L.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
    y = L.BatchNormalization()(y)
    y = L.Activation("swish")(y)
    s = L.GlobalAveragePooling2D()(y)
    s = L.Reshape((1, 1, 16))(s)
    s = L.Conv2D(4, 1, activation="swish")(s)
    s = L.Conv2D(16, 1, activation="sigmoid")(s)
    y = L.Multiply()([y, s])
    y = L.Conv2D(6, 1, use_bias=False)(y)
    y = L.BatchNormalization()(y)
    return L.Add()([y, x])


fun("block-se", se)


def residual(x):
    y = L.Conv2D(16, 3, padding="same")(x)
    z = L.BatchNormalization()(y)
    z = L.ReLU()(z)
    z = L.Conv2D(16, 3, padding="same")(z)
    z = L.BatchNormalization()(z)
    z = L.Add()([y, z])
    z = L.ReLU()(z)
    return L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(z))


fun("block-residual", residual)


# --- models inside models, shared layers ---
def trunk(shape=(5, 6, 6), name="trunk"):
    x = L.Input(shape)
    y = L.Conv2D(8, 3, name="c1")(x)
    y = L.BatchNormalization(name="b1")(y)
    y = L.ReLU()(y)
    y = L.DepthwiseConv2D(3, name="d1")(y)
    y = L.BatchNormalization(name="b2")(y)
    return keras.Model(x, y, name=name)


def nested(freeze):
    def make(x):
        t = trunk()
        t.trainable = not freeze
        y = t(x)
        return L.Dense(3)(L.GlobalAveragePooling2D()(y))
    return make


fun("nested", nested(False))
fun("nested-frozen", nested(True))


def partly(x):
    t = trunk()
    t.get_layer("c1").trainable = False
    t.get_layer("b2").trainable = False
    return L.Dense(3)(L.GlobalAveragePooling2D()(t(x)))


fun("nested-partly", partly)
seq("nested-sequential", [lambda: trunk(), lambda: L.GlobalAveragePooling2D(), lambda: L.Dense(2)])


def teachable():
    inner = keras.Sequential([trunk(), L.GlobalAveragePooling2D()], name="s1")
    first = L.InputLayer(shape=(8,)) if MAJOR == 3 else L.InputLayer(input_shape=(8,))
    head = keras.Sequential([first,
                             L.Dense(10, activation="relu"),
                             L.Dense(3, use_bias=False, activation="softmax")], name="s2")
    return keras.Sequential([inner, head], name="s3")


try:
    model = teachable()
    model.build((None, 5, 6, 6))
    emit("teachable", model)
except Exception as error:
    failed.append("teachable: %s" % error)


def shared(x):
    d = L.Dense(6, activation="relu")
    c = L.Conv2D(6, 3, padding="same")
    y = c(c(x))
    return L.Concatenate()([d(x), d(y)])


fun("shared", shared)


def shared_model(x):
    t = trunk()
    return L.Concatenate()([t(x), t(L.ReLU()(x))])


fun("shared-model", shared_model)


# --- operations ---
def ops(x):
    if MAJOR == 3:
        y = (x / 127.5) - 1.0
        y = keras.ops.relu(y + 0.5) * 2.0
        return L.Dense(2)(L.GlobalAveragePooling2D()(y))
    y = tf.math.truediv(x, 127.5) - 1.0
    y = tf.nn.relu(y + 0.5) * 2.0
    return L.Dense(2)(L.GlobalAveragePooling2D()(y))


fun("ops", ops, low=0, high=255)


def caffe(x):
    y = x[..., ::-1]
    y = y - np.array([103.939, 116.779, 123.68], dtype="float32")
    return L.Conv2D(4, 3)(y)


fun("ops-caffe", caffe, shape=(5, 6, 3), low=0, high=255)


def hard(x):
    y = L.ReLU(6.)(x + 3.) * (1. / 6.)
    return L.Multiply()([y, x])


fun("ops-hard", hard)
fun("ops-one-minus", lambda x: 1.0 - x)
if MAJOR == 3:
    fun("ops-mean", lambda x: keras.ops.mean(x, axis=(1, 2)))
    fun("ops-softmax", lambda x: keras.ops.softmax(L.Dense(3)(x)))
else:
    fun("ops-mean", lambda x: tf.reduce_mean(x, axis=[1, 2]))
    fun("ops-softmax", lambda x: tf.nn.softmax(L.Dense(3)(x)))

# --- channels first: where this machine's Keras can compute it ---
keras.backend.set_image_data_format("channels_first")
seq("first-bn", [lambda: L.BatchNormalization(axis=1), lambda: L.Flatten(), lambda: L.Dense(3)],
    shape=(6, 5, 6), first=True)
seq("first-pad", [lambda: L.ZeroPadding2D(1), lambda: L.Flatten(), lambda: L.Dense(3)],
    shape=(6, 5, 6), first=True)
seq("first-gap", [lambda: L.GlobalAveragePooling2D(), lambda: L.Dense(3)],
    shape=(6, 5, 6), first=True)
keras.backend.set_image_data_format("channels_last")

print("%d models" % made)
for line in failed:
    print("not made:", line)
