#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/data/keras/ with genuine Keras; not needed to build or test.

Run it once with an interpreter that has TensorFlow 2.15 (tf.keras 2.15) and
once with one that has Keras 3:

    python3 tests/make-keras-fixtures.py

"hostile" as argument makes only the files that must be refused.

Each NAME.h5 comes with NAME.json: an input, Keras's predictions for it, and
all weights in model order, as base64 of little-endian float32, so that tests
compare with numbers that took no way through HDF5. Files that no Keras at
hand writes any more (h5py 2's attributes, lists of layers, Theano kernels,
other number types) are made from a genuine one with h5py.
"""

import base64
import json
import os
import struct
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import h5py
import numpy as np

import keras

VERSION = keras.__version__
GENERATION = int(VERSION.split(".")[0])
if GENERATION == 2:
    import tensorflow as tf
    keras = tf.keras

L = keras.layers
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "keras")


def encode(array):
    array = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def randomize(model, seed):
    """Weights that no initializer gives, so that nothing agrees by accident."""
    rng = np.random.RandomState(seed)
    for layer in model.layers:
        weights = []
        for i, w in enumerate(layer.get_weights()):
            positive = "BatchNorm" in type(layer).__name__ \
                and i in (0, len(layer.get_weights()) - 1)
            value = rng.uniform(0.5, 1.5, w.shape) if positive else rng.uniform(-0.6, 0.6, w.shape)
            weights.append(value.astype("float32"))
        layer.set_weights(weights)


def write_expected(name, model, seed):
    shape = model.input_shape
    x = np.random.RandomState(seed + 100).uniform(0, 1, (3,) + tuple(shape[1:])).astype("float32")
    weights = [w for layer in model.layers for w in layer.get_weights()]
    with open(os.path.join(OUT, name + ".json"), "w") as f:
        json.dump({
            "keras": VERSION,
            "input": encode(x),
            "predictions": encode(model.predict(x, verbose=0)),
            "weights": [encode(w) for w in weights],
        }, f)
        f.write("\n")
    return x


def sequential(name):
    return keras.Sequential([
        L.InputLayer(shape=(9, 8, 3)) if GENERATION == 3 else L.InputLayer(input_shape=(9, 8, 3)),
        L.Conv2D(4, 3, activation="relu"),
        L.BatchNormalization(axis=1),
        L.MaxPooling2D(),
        L.Conv2D(5, (3, 2), padding="same", strides=2, activation="tanh"),
        L.BatchNormalization(epsilon=0.002, momentum=0.9),
        L.Flatten(),
        L.Dense(6, activation="relu"),
        L.BatchNormalization(scale=False),
        L.Dropout(0.25),
        L.Dense(1, activation="sigmoid"),
    ], name=name)


def functional(name):
    inputs = L.Input((10, 11, 3), name="image")
    x = L.Conv2D(4, 3, dilation_rate=2, use_bias=False, name="dilated")(inputs)
    x = L.BatchNormalization(name="norm", center=False)(x)
    x = L.Activation("relu", name="relu")(x)
    x = L.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = L.Conv2D(6, 3, strides=(2, 1), name="strided")(x)
    x = L.Flatten(name="flat")(x)
    x = L.Dense(3, name="logits")(x)
    x = L.Activation("softmax", name="predictions")(x)
    return keras.Model(inputs, x, name=name)


def train(model, optimizer, loss):
    shape = tuple(model.input_shape[1:])
    rng = np.random.RandomState(5)
    x = rng.uniform(0, 1, (8,) + shape).astype("float32")
    n = model.output_shape[-1]
    y = (rng.uniform(0, 1, (8, 1)) > 0.5).astype("float32") if n == 1 \
        else np.eye(n, dtype="float32")[rng.randint(0, n, 8)]
    model.compile(optimizer, loss=loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False)


def path(name):
    return os.path.join(OUT, name)


# --- variants made with h5py ------------------------------------------------

def to_fixed(attrs, name):
    """The attribute as h5py 2 wrote it: fixed length, padded with NUL."""
    values = [v.encode() if isinstance(v, str) else bytes(v) for v in attrs[name]]
    if values:
        attrs[name] = np.array(values)


def weight_groups(f):
    g = f["model_weights"] if "model_weights" in f else f
    names = [n.decode() if isinstance(n, bytes) else n for n in g.attrs["layer_names"]]
    return g, [(n, g[n]) for n in names]


def weights_of(group):
    return [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]


def variant(source, name, change, expected=True):
    shutil.copy(path(source + ".h5"), path(name + ".h5"))
    with h5py.File(path(name + ".h5"), "r+") as f:
        change(f)
    if expected:
        shutil.copy(path(source + ".json"), path(name + ".json"))


def as_keras_2_1_2(f):
    config = json.loads(f.attrs["model_config"])
    layers = config["config"]["layers"]
    shape = layers[0]["config"]["batch_input_shape"]
    layers = layers[1:]  # no InputLayer in those days
    layers[0]["config"]["batch_input_shape"] = shape
    f.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers}).encode()
    f.attrs["keras_version"] = b"2.1.2"
    g, groups = weight_groups(f)
    to_fixed(g.attrs, "layer_names")
    for _, group in groups:
        to_fixed(group.attrs, "weight_names")
    del g["top_level_model_weights"]


def as_chunked(f):
    g, groups = weight_groups(f)
    names = [n.encode() for n, _ in groups]
    del g.attrs["layer_names"]
    for i, part in enumerate(np.array_split(np.array(names), 3)):
        g.attrs["layer_names%d" % i] = part
    for _, group in groups:
        weights = [n.encode() for n in weights_of(group)]
        if len(weights) == 4:
            del group.attrs["weight_names"]
            group.attrs["weight_names0"] = np.array(weights[:2])
            group.attrs["weight_names1"] = np.array(weights[2:])


def as_padded(f):
    """Other programs' forms: space padding, UTF-8, NUL-terminated."""
    g, groups = weight_groups(f)
    names = [n.encode() for n, _ in groups]
    size = max(map(len, names)) + 3
    t = h5py.h5t.C_S1.copy()
    t.set_size(size)
    t.set_strpad(h5py.h5t.STR_SPACEPAD)
    t.set_cset(h5py.h5t.CSET_UTF8)
    del g.attrs["layer_names"]
    space = h5py.h5s.create_simple((len(names),))
    attr = h5py.h5a.create(g.id, b"layer_names", t, space)
    attr.write(np.array([n.ljust(size) for n in names], dtype="S%d" % size), mtype=t)
    for _, group in groups:
        weights = weights_of(group)
        if weights:
            group.attrs.create("weight_names", weights, dtype=h5py.string_dtype("utf-8"))
        else:
            group.attrs.create("weight_names", [], dtype="S1")


def as_theano(f):
    g, groups = weight_groups(f)
    g.attrs["backend"] = b"theano"
    for _, group in groups:
        for n in weights_of(group):
            if group[n].ndim == 4:
                group[n][...] = group[n][...][::-1, ::-1]


def as_keras_1(f):
    g, groups = weight_groups(f)
    del g.attrs["keras_version"]
    for _, group in groups:
        for n in weights_of(group):
            if group[n].ndim == 4:
                kernel = group[n][...].transpose(3, 2, 0, 1)
                del group[n]
                group[n] = kernel


def as_type(dtype, **options):
    def change(f):
        for _, group in weight_groups(f)[1]:
            for n in weights_of(group):
                data = group[n][...]
                del group[n]
                group.create_dataset(n, data=data.astype(dtype), **options)
    return change


# --- files that must be refused (the network: Flatten of 2x2x3, Dense 2) ----

TINY = {"class_name": "Sequential", "config": {"name": "tiny", "layers": [
    {"class_name": "Flatten", "config": {"name": "f", "batch_input_shape": [None, 2, 2, 3]}},
    {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": "softmax"}}]}}


def tiny(name, change, whole=False, **options):
    with h5py.File(path(os.path.join("hostile", name + ".h5")), "w", **options) as f:
        g = f
        if whole:
            f.attrs["model_config"] = json.dumps(TINY)
            g = f.create_group("model_weights")
        g.attrs["layer_names"] = [b"f", b"d"]
        g.attrs["backend"] = b"tensorflow"
        g.attrs["keras_version"] = b"2.15.0"
        g.create_group("f").attrs["weight_names"] = []
        d = g.create_group("d")
        d.attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
        d["d/kernel:0"] = np.arange(24, dtype="f4").reshape(12, 2)
        d["d/bias:0"] = np.array([0.5, -0.5], "f4")
        change(f, d)


def replace(d, name, **options):
    del d["d/" + name]
    return d.create_dataset("d/" + name, **options)


def link(d, name, target):
    del d["d/" + name]
    d["d/" + name] = target


def texts_over_and_over():
    """1,000 labels that all are the first one's 4,000 bytes: 4 MB in a file of a hundredth."""
    tiny("texts", lambda f, d: f.attrs.__setitem__(
        "classify_labels", ["x" * 4000] + ["y"] * 999), True)
    name = path("hostile/texts.h5")
    with open(name, "rb") as f:
        data = bytearray(f.read())
    at = data.find(struct.pack("<I", 4000))
    while data[at + 16:at + 20] != struct.pack("<I", 1):
        at = data.find(struct.pack("<I", 4000), at + 1)
        assert at >= 0
    data[at:at + 16000] = bytes(data[at:at + 16]) * 1000
    with open(name, "wb") as f:
        f.write(data)


def hostile():
    os.makedirs(path("hostile"), exist_ok=True)
    with open(path("hostile/tiny.network.json"), "w") as f:
        json.dump(TINY, f)
    tiny("good", lambda f, d: None)
    tiny("good-whole", lambda f, d: None, True)
    tiny("newer", lambda f, d: None, libver="latest")

    def tracked(f, d):
        f.create_group("x", track_order=True)
        f.attrs["layer_names"] = [b"f", b"d", b"x"]
    tiny("tracked-group", tracked)
    tiny("external-link", lambda f, d: link(
        d, "bias:0", h5py.ExternalLink("good.h5", "/d/d/bias:0")))
    tiny("soft-link", lambda f, d: link(d, "bias:0", h5py.SoftLink("/d/d/kernel:0")))
    tiny("soft-cycle", lambda f, d: link(d, "bias:0", h5py.SoftLink("/d/d/bias:0")))

    def hard_cycle(f, d):
        d["d/again"] = d
        d.attrs["weight_names"] = [b"d/again/d/again/d/kernel:0", b"d/again/d/bias:0"]
    tiny("hard-cycle", hard_cycle)
    tiny("external-storage", lambda f, d: replace(
        d, "bias:0", shape=(2,), dtype="f4", external=[("good.h5", 0, 8)]))

    def virtual(f, d):
        layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
        layout[:] = h5py.VirtualSource("good.h5", "/d/d/bias:0", shape=(2,))
        del d["d/bias:0"]
        d.create_virtual_dataset("d/bias:0", layout)
    tiny("virtual", virtual)
    tiny("text-dataset", lambda f, d: replace(d, "bias:0", data=np.array([b"a", b"b"])))
    tiny("compound", lambda f, d: replace(
        d, "bias:0", data=np.zeros(2, [("a", "f4"), ("b", "f4")])))
    tiny("long-double", lambda f, d: replace(d, "bias:0", data=np.zeros(2, "f16")))
    tiny("rank", lambda f, d: replace(d, "bias:0", data=np.zeros((1, 1, 1, 2, 1), "f4")))
    tiny("shape", lambda f, d: replace(d, "kernel:0", data=np.zeros((13, 2), "f4")))
    tiny("transposed", lambda f, d: replace(d, "kernel:0", data=np.zeros((2, 12), "f4")))
    tiny("no-values", lambda f, d: replace(d, "bias:0", shape=(2,), dtype="f4"))
    tiny("huge", lambda f, d: replace(d, "bias:0", shape=(2 ** 20, 2 ** 13), dtype="f4",
                                      chunks=(16, 16)))
    tiny("absurd", lambda f, d: replace(d, "bias:0", shape=(2 ** 40, 2 ** 20), dtype="f4",
                                        chunks=(16, 16)))
    tiny("huge-chunk", lambda f, d: replace(d, "bias:0", shape=(2,), maxshape=(None,), dtype="f4",
                                            chunks=(2 ** 29,)))
    tiny("null-space", lambda f, d: replace(d, "bias:0", data=h5py.Empty("f4")))
    tiny("unknown-filter", lambda f, d: replace(d, "bias:0", data=np.zeros(2, "f4"), chunks=(2,),
                                                compression="lzf"))

    def group_for_dataset(f, d):
        del d["d/bias:0"]
        d.create_group("d/bias:0")
    tiny("group", group_for_dataset)
    tiny("missing", lambda f, d: d.__delitem__("d/bias:0"))
    tiny("names-numbers", lambda f, d: d.attrs.__setitem__("weight_names", np.arange(2)))
    tiny("names-not-utf8", lambda f, d: d.attrs.__setitem__(
        "weight_names", np.array([b"d/kernel:0", b"d/\xff\xfe"])))
    tiny("names-matrix", lambda f, d: d.attrs.__setitem__(
        "weight_names", np.array([[b"d/kernel:0", b"d/bias:0"]])))
    tiny("names-many", lambda f, d: f.attrs.__setitem__("layer_names", np.array([b"d"] * 60000)))
    tiny("count", lambda f, d: d.attrs.__setitem__("weight_names", [b"d/kernel:0"]))
    tiny("through-dataset", lambda f, d: d.attrs.__setitem__(
        "weight_names", [b"d/kernel:0", b"d/kernel:0/x"]))

    def top_level(f, d):
        f.create_group("top_level_model_weights").attrs["weight_names"] = [b"alpha"]
    tiny("top-level", top_level)
    tiny("no-layers", lambda f, d: f.attrs.__delitem__("layer_names"))
    tiny("config-broken", lambda f, d: f.attrs.__setitem__("model_config", "{\"class_name\": "),
         True)
    tiny("config-number", lambda f, d: f.attrs.__setitem__("model_config", 7), True)
    tiny("config-deep", lambda f, d: f.attrs.__setitem__("model_config", "[" * 60000), True)
    tiny("labels-count", lambda f, d: f.attrs.__setitem__("classify_labels", ["a", "b", "c"]),
         True)
    texts_over_and_over()
    tiny("labels-number", lambda f, d: f.attrs.__setitem__("classify_labels", [1, 2]), True)
    tiny("preprocess-text", lambda f, d: f.attrs.__setitem__("classify_preprocess", "hello"), True)
    for name, width, mean in (("size", 3, "[0, 0, 0]"), ("mean", 2, "[0, 0]"),
                              ("inf", 2, "[1e60, 0, 0]")):
        text = ('{"width": %d, "height": 2, "channels": "rgb", "resize": "area", "mean": %s,'
                ' "scale": [1, 1, 1]}' % (width, mean))
        tiny("preprocess-" + name,
             lambda f, d: f.attrs.__setitem__("classify_preprocess", text), True)


def main_2():
    model = sequential("sequential")
    randomize(model, 1)
    train(model, keras.optimizers.legacy.Adam(1e-3, epsilon=1e-8), "binary_crossentropy")
    model.save(path("tf-sequential.h5"))
    write_expected("tf-sequential", model, 1)
    model.save_weights(path("tf-weights.h5"))
    write_expected("tf-weights", model, 1)
    with open(path("tf-weights.network.json"), "w") as f:
        f.write(model.to_json())
    state = [np.asarray(w) for w in model.optimizer.get_weights()]
    with open(path("tf-sequential.optimizer.json"), "w") as f:
        json.dump({"iterations": int(state[0]), "slots": [encode(w) for w in state[1:]]}, f)

    model = functional("functional")
    randomize(model, 2)
    train(model, keras.optimizers.Adam(2e-3), "categorical_crossentropy")
    model.save(path("tf-functional.h5"))
    write_expected("tf-functional", model, 2)
    state = [v.numpy() for v in model.optimizer.variables]
    with open(path("tf-functional.optimizer.json"), "w") as f:
        json.dump({"iterations": int(model.optimizer.iterations.numpy()),
                   "names": [v.name for v in model.optimizer.variables],
                   "slots": [encode(w) for w in state[1:]]}, f)

    variant("tf-sequential", "keras212-list", as_keras_2_1_2)
    variant("tf-sequential", "chunked", as_chunked)
    variant("tf-weights", "padded", as_padded)
    variant("tf-weights", "theano", as_theano)
    variant("tf-weights", "keras1", as_keras_1)
    variant("tf-weights", "float64", as_type("<f8"))
    variant("tf-weights", "big-endian", as_type(">f4"))
    variant("tf-weights", "compressed", as_type("<f4", chunks=True, compression="gzip",
                                                shuffle=True, fletcher32=True))
    # float16 loses bits: the expected weights are the rounded ones
    variant("tf-weights", "float16", as_type("<f2"), expected=False)
    model = sequential("sequential")
    with h5py.File(path("float16.h5")) as f:
        values = [group[n][...].astype("float32") for _, group in weight_groups(f)[1]
                  for n in weights_of(group)]
    start = 0
    for layer in model.layers:
        n = len(layer.get_weights())
        layer.set_weights(values[start:start + n])
        start += n
    write_expected("float16", model, 1)
    hostile()


def main_3():
    model = sequential("sequential")
    randomize(model, 3)
    train(model, keras.optimizers.Adam(1e-3), "binary_crossentropy")
    model.save(path("k3-sequential.h5"))
    write_expected("k3-sequential", model, 3)
    model.save(path("k3-archive.keras"))
    model.save_weights(path("k3.weights.h5"))
    with open(path("k3-sequential.network.json"), "w") as f:
        f.write(model.to_json())
    variables = [np.asarray(v) for v in model.optimizer.variables]
    with open(path("k3-sequential.optimizer.json"), "w") as f:
        json.dump({"iterations": int(variables[0]), "slots": [encode(w) for w in variables[2:]]}, f)

    model = functional("functional")
    randomize(model, 4)
    model.save(path("k3-functional.h5"))
    write_expected("k3-functional", model, 4)
    with open(path("k3-functional.network.json"), "w") as f:
        f.write(model.to_json())


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    if sys.argv[1:] == ["hostile"]:
        hostile()
        sys.exit(0)
    main_2() if GENERATION == 2 else main_3()
    sys.exit(0)
