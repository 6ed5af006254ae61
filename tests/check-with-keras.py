#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opens a file of ours in genuine Keras and says what comes out.

    check-with-keras.py FILE.h5 [EXPECTED.json]
    check-with-keras.py --resave TEST-KERAS-FILE DATA-FOLDER

Works in tf.keras 2.x and Keras 3, whichever the interpreter has; exits with 77
where it has neither. Prints layers, predictions for a fixed input, and every
warning that loading gave. With EXPECTED.json (made by make-keras-fixtures.py)
all weights must be equal to the bit and the predictions to 1e-6; the exit
status tells. The second form lets the test program write a file of ours from
each whole-model fixture and checks them all.
"""

import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

try:
    import h5py
    import keras
    import numpy as np
except ImportError as e:
    other = os.environ.pop("CLASSIFY_KERAS_PYTHON", None)
    if other:
        os.execv(other, [other] + sys.argv)
    print("no Keras here (%s); CLASSIFY_KERAS_PYTHON may name a Python that has it" % e)
    sys.exit(77)

GENERATION = int(keras.__version__.split(".")[0])
if GENERATION == 2:
    import tensorflow as tf
    keras = tf.keras


class Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def decode(array):
    return np.frombuffer(base64.b64decode(array["data"]), "<f4").reshape(array["shape"])


def load(path):
    """The model and what was said while loading it."""
    collector = Collector()
    names = ("absl", "tensorflow", "keras")
    for name in names:
        logging.getLogger(name).addHandler(collector)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = keras.models.load_model(path)
    for name in names:
        logging.getLogger(name).removeHandler(collector)
    return model, collector.messages + [str(w.message) for w in caught]


def check(path, expected_path=None):
    model, said = load(path)
    print("%s: Keras %s: %d layers, %d parameters" %
          (path, ".".join(map(str, [GENERATION])), len(model.layers), model.count_params()))
    for message in said:
        print("  warning: %s" % message.split("\n")[0])
    weights = [w for layer in model.layers for w in layer.get_weights()]
    shape = (1,) + tuple(model.input_shape[1:])
    x = np.random.RandomState(0).uniform(0, 1, shape).astype("float32")
    ok = True
    if expected_path:
        with open(expected_path) as f:
            expected = json.load(f)
        wanted = [decode(w) for w in expected["weights"]]
        same = len(wanted) == len(weights) and all(
            a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(weights, wanted))
        x = decode(expected["input"])
        difference = np.abs(model.predict(x, verbose=0) - decode(expected["predictions"])).max()
        ok = same and difference < 1e-6
        print("  weights %s, predictions differ by %g" %
              ("equal to the bit" if same else "DIFFER", difference))
    else:
        print("  predictions: %s" % model.predict(x, verbose=0).ravel()[:8])
    with h5py.File(path, "r") as f:
        if "optimizer_weights" in f:
            optimizer = model.optimizer
            steps = int(np.asarray(optimizer.iterations))
            stored = f["optimizer_weights"]
            names = [n.decode() if isinstance(n, bytes) else n
                     for n in stored.attrs["weight_names"]]
            restored = steps == int(stored[names[0]][()]) \
                and not any("optimizer state" in message for message in said)
            if restored and hasattr(optimizer, "get_weights"):
                values = optimizer.get_weights()
                restored = len(values) == len(names) and all(
                    np.array_equal(v, stored[n][()]) for v, n in zip(values, names))
            print("  optimizer %s: state %s" %
                  (type(optimizer).__name__, "restored" if restored else "not restored"))
            # the layout that is written is tf.keras's; Keras 3 says that it starts anew
            if GENERATION == 2 and (not restored or said):
                ok = False
    return ok


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--resave":
        program, data = sys.argv[2:]
        ok = True
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tf-sequential", "tf-functional", "k3-sequential", "k3-functional",
                         "keras212-list"):
                if GENERATION == 2 and name.startswith("k3"):
                    continue  # Keras 2 does not know Keras 3's nodes and configs
                out = os.path.join(folder, name + ".h5")
                subprocess.run([program, "--resave", os.path.join(data, name + ".h5"), out],
                               check=True)
                ok = check(out, os.path.join(data, name + ".json")) and ok
            networks = os.path.join(data, "..", "..", "..", "train", "networks")
            for name in sorted(os.listdir(networks)):
                out = os.path.join(folder, name + ".h5")
                subprocess.run([program, "--resave", os.path.join(networks, name), out],
                               check=True)
                ok = check(out) and ok
        return 0 if ok else 1
    if len(sys.argv) not in (2, 3):
        print(__doc__)
        return 2
    return 0 if check(*sys.argv[1:]) else 1


if __name__ == "__main__":
    sys.exit(main())
