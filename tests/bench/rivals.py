#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Times a Keras-layout Sequential network in other engines beside ours.

    rivals.py BUILD_DIR MODEL.h5 [--threads 1,2] [--seconds 8] [--train]

Every engine gets the same weights (read by h5py), the same input and as many
threads; outputs are compared before anything is timed, blocks of runs are
interleaved, and medians and ratios are printed as a Markdown table. Engines
that are not installed are left out: torch, onnxruntime (with onnx), openvino,
tensorflow. One process for each number of threads, as engines fix it early.
--train times a training step of batch 64 against PyTorch (channels_last).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def read_model(path):
    """[(class name, config, [arrays])], input shape"""
    with h5py.File(path, "r") as f:
        config = json.loads(text(f.attrs["model_config"]))["config"]
        layers = config if isinstance(config, list) else config["layers"]
        out, shape = [], None
        for layer in layers:
            c = layer["config"]
            shape = shape or c.get("batch_input_shape") or c.get("batch_shape")
            group = f["model_weights"].get(c["name"])
            names = group.attrs["weight_names"] if group is not None else []
            out.append((layer["class_name"], c, [np.array(group[text(n)]) for n in names]))
        return out, shape[1:]


def torch_module(layers, batch_norm_training=False):
    import torch

    class RowNorm(torch.nn.Module):
        """BatchNormalization(axis=1) of an NHWC network, in NCHW: over rows."""

        def __init__(self, c, w):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(
                len(w[0]), eps=c["epsilon"], momentum=1 - c["momentum"])
            load_norm(self.norm, w)

        def forward(self, x):
            return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Flatten(torch.nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)

    def load_norm(norm, w):
        for name, value in zip(("weight", "bias", "running_mean", "running_var"), w):
            getattr(norm, name).data = torch.tensor(value)

    modules = []
    for kind, c, w in layers:
        if kind == "BatchNormalization":
            axis = c["axis"][0] if isinstance(c["axis"], list) else c["axis"]
            if len(w[0]) and axis == 1:
                modules.append(RowNorm(c, w))
            else:
                norm = torch.nn.BatchNorm1d(len(w[0]), eps=c["epsilon"], momentum=1 - c["momentum"])
                load_norm(norm, w)
                modules.append(norm)
        elif kind == "Conv2D":
            conv = torch.nn.Conv2d(w[0].shape[2], w[0].shape[3], tuple(c["kernel_size"]))
            conv.weight.data = torch.tensor(w[0].transpose(3, 2, 0, 1).copy())
            conv.bias.data = torch.tensor(w[1])
            modules += [conv, torch.nn.ReLU()]
        elif kind == "MaxPooling2D":
            modules.append(torch.nn.MaxPool2d(2))
        elif kind == "Flatten":
            modules.append(Flatten())
        elif kind == "Dropout":
            modules.append(torch.nn.Dropout(c["rate"]))
        elif kind == "Dense":
            dense = torch.nn.Linear(*w[0].shape)
            dense.weight.data = torch.tensor(w[0].T.copy())
            dense.bias.data = torch.tensor(w[1])
            modules.append(dense)
            modules.append(torch.nn.ReLU() if c["activation"] == "relu" else torch.nn.Sigmoid())
    return torch.nn.Sequential(*modules)


def engines(layers, shape, x, threads):
    """name -> function that runs one picture and returns the output"""
    found = {}
    try:
        import torch

        torch.set_num_threads(threads)
        module = torch_module(layers).eval()
        picture = torch.tensor(x.transpose(0, 3, 1, 2).copy())
        last = picture.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            frozen = torch.jit.optimize_for_inference(torch.jit.trace(module, picture))
            lasting = module.to(memory_format=torch.channels_last)
            for _ in range(3):
                frozen(picture)

        def no_grad(model, value):
            def run():
                with torch.no_grad():
                    return model(value).numpy()
            return run

        found[f"torch {torch.__version__} jit"] = no_grad(frozen, picture)
        found[f"torch {torch.__version__} channels_last"] = no_grad(lasting, last)
        try:
            compiled = torch.compile(lasting, mode="max-autotune")
            run = no_grad(compiled, last)
            run()
            found[f"torch {torch.__version__} compile"] = run
        except Exception as error:  # no C++ compiler, say
            print("torch.compile:", str(error).splitlines()[0], file=sys.stderr)
        path = os.path.join(tempfile.mkdtemp(), "net.onnx")
        torch.onnx.export(torch_module(layers).eval(), (picture,), path, input_names=["x"],
                          dynamo=False)
    except ImportError:
        return found
    except Exception as error:
        print("onnx export:", error, file=sys.stderr)
        path = None
    nchw = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    if path:
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
            found[f"onnxruntime {onnxruntime.__version__}"] = (
                lambda: session.run(None, {"x": nchw})[0])
        except ImportError:
            pass
        try:
            import openvino

            core = openvino.Core()
            compiled_ov = core.compile_model(path, "CPU", {
                "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"})
            request = compiled_ov.create_infer_request()
            found[f"openvino {openvino.__version__.split('-')[0]}"] = (
                lambda: request.infer([nchw])[compiled_ov.output(0)])
        except ImportError:
            pass
    return found


class Ours:
    def __init__(self, build, model, threads, x):
        self.folder = tempfile.mkdtemp()
        x.tofile(os.path.join(self.folder, "input.f32"))
        self.process = subprocess.Popen(
            [os.path.abspath(os.path.join(build, "tests/bench-plan")), os.path.abspath(model),
             "--threads", str(threads), "--serve"], cwd=self.folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask("load")

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()

    def output(self):
        return np.fromfile(os.path.join(self.folder, "output.f32"), np.float32)

    def times(self, n):
        return [float(t) for t in self.ask(f"run {n}").split()]


def compare(args, threads):
    layers, shape = read_model(args.model)
    x = np.random.default_rng(1).random([1] + shape, np.float32)
    ours = Ours(args.build, args.model, threads, x)
    expected = ours.output()
    sides = {}
    for name, run in engines(layers, shape, x, threads).items():
        error = float(np.abs(np.asarray(run()).reshape(-1) - expected).max())
        print(f"{name}: differs from ours by {error:.1e}", file=sys.stderr)
        if error <= 1e-5:
            sides[name] = run
    times = {name: [] for name in ["ours", *sides]}
    end = time.monotonic() + args.seconds
    while time.monotonic() < end:
        times["ours"] += ours.times(30)
        for name, run in sides.items():
            for _ in range(30):
                start = time.perf_counter()
                run()
                times[name].append(1e6 * (time.perf_counter() - start))
    mine = np.median(times["ours"])
    for name, values in sorted(times.items(), key=lambda item: np.median(item[1])):
        print(f"| {threads} | {name} | {np.median(values) / 1e3:.2f} | {min(values) / 1e3:.2f} | "
              f"{np.median(values) / mine:.2f} | {len(values)} |", flush=True)


def compare_training(args, threads):
    import torch

    torch.set_num_threads(threads)
    layers, shape = read_model(args.model)
    module = torch_module(layers).train().to(memory_format=torch.channels_last)
    x = torch.rand([64, shape[2], shape[0], shape[1]]).contiguous(
        memory_format=torch.channels_last)
    y = (torch.arange(64) % 2).float().reshape(64, 1)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
    loss = torch.nn.BCELoss()

    def step():
        optimizer.zero_grad()
        loss(module(x), y).backward()
        optimizer.step()

    ours = subprocess.Popen(
        [os.path.abspath(os.path.join(args.build, "tests/bench-train")), "--threads", str(threads),
         "--serve"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    times = {"ours": [], f"torch {torch.__version__} channels_last": []}
    for _ in range(2):
        step()
    for _ in range(args.rounds):
        print("run 2", file=ours.stdin, flush=True)
        times["ours"] += [float(t) for t in ours.stdout.readline().split()]
        for _ in range(2):
            start = time.perf_counter()
            step()
            times[f"torch {torch.__version__} channels_last"].append(
                1e6 * (time.perf_counter() - start))
    mine = np.median(times["ours"])
    for name, values in times.items():
        print(f"| {threads} | {name} | {np.median(values) / 1e3:.0f} | {min(values) / 1e3:.0f} | "
              f"{np.median(values) / mine:.2f} | {len(values)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("model")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        (compare_training if args.train else compare)(args, args.one)
        return
    print("| threads | engine | median ms | min ms | median to ours | runs |\n|--|--|--|--|--|--|",
          flush=True)
    for threads in args.threads.split(","):
        subprocess.run([sys.executable, *sys.argv, "--one", threads], check=True,
                       env={**os.environ, "OMP_NUM_THREADS": threads})


if __name__ == "__main__":
    main()
