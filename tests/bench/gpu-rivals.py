#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Times a network on a device beside PyTorch: inference and training steps.

    gpu-rivals.py PROGRAMS NETWORK.json [--device cuda] [--precisions tf32,bf16]
                  [--batches 1,8,64] [--seconds 4] [--rounds 20] [--no-compile]

PROGRAMS is the folder of bench-plan and bench-train (BUILD/tests, or bin of a
bundle of tests/gpu-bundle.sh). PyTorch has the same weights, channels_last, once
eager and once under torch.compile (max-autotune, which takes CUDA graphs).
Outputs are compared before anything is timed, blocks of runs are interleaved;
medians and ratios are printed as Markdown tables.

Inference is timed from float32 in the host's pinned memory to the result on the
host; of PyTorch also "ready", from a tensor that is on the device already.
A training step takes 64 byte pictures that are on the device, augments them there
(rotation, shift, shear, flip; nearest), and ends with Adam.
"""
import argparse
import contextlib
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rivals  # noqa: E402

TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 2e-2, "bf16": 5e-2}


def our_env():
    """Libraries of a bundle are for our programs alone: Python's may be newer."""
    libraries = os.environ.get("CLASSIFY_BENCH_LIBRARIES")
    return {**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else None


class Served:
    """One of our programs, answering "run N" with N times in microseconds."""

    def __init__(self, program, *options, folder=None):
        self.process = subprocess.Popen(
            [os.path.abspath(program), *options, "--serve"], cwd=folder, text=True, env=our_env(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("gpu-rivals.py: " + " ".join(self.process.args) + " has ended")
        return answer

    def times(self, n):
        return [float(t) for t in self.ask(f"run {n}").split()]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def synchronize(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def set_precision(precision):
    torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = True
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def interleave(ours, sides, block, enough):
    times = {"ours": [], **{name: [] for name in sides}}
    while not enough(times):
        times["ours"] += ours.times(block)
        for name, run in sides.items():
            for _ in range(block):
                start = time.perf_counter()
                run()
                times[name].append(1e6 * (time.perf_counter() - start))
    return times


def print_times(first, times, batch):
    mine = np.median(times["ours"])
    for name, values in sorted(times.items(), key=lambda item: np.median(item[1])):
        median = np.median(values)
        print(f"| {first} | {name} | {median:.0f} | {min(values):.0f} | {median / mine:.2f} | "
              f"{batch / median * 1e6:.0f} | {len(values)} |", flush=True)


# --- what the device could do

def rates(device, dtype):
    """Bytes a second of a copy (read and written), operations a second of a matrix product."""
    def seconds(run, n):
        for _ in range(3):
            run()
        synchronize(device)
        start = time.perf_counter()
        for _ in range(n):
            run()
        synchronize(device)
        return (time.perf_counter() - start) / n

    side = 8192 if device.startswith("cuda") else 512
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    block = torch.empty(side * side * 16, device=device, dtype=torch.uint8)
    copy = torch.empty_like(block)
    return (2 * block.numel() / seconds(lambda: copy.copy_(block), 20),
            2 * side ** 3 / seconds(lambda: torch.matmul(a, b), 10))


def floors(layers, shape, batch, size):
    """Bytes and operations of a run that keeps what lies between a convolution and its pooling:
    input, what goes from block to block written and read, weights once; size: bytes a value."""
    rows, columns, channels = shape
    total, operations = batch * rows * columns * channels * size, 0
    for at, (kind, c, weights) in enumerate(layers):
        if kind == "Conv2D":
            k, steps = c["kernel_size"], c.get("strides", [1, 1])
            if c.get("padding", "valid") == "valid":
                rows, columns = rows - k[0] + 1, columns - k[1] + 1
            rows, columns = -(-rows // steps[0]), -(-columns // steps[1])
            operations += 2 * batch * rows * columns * weights[0].size
            channels = weights[0].shape[3]
            total += weights[0].size * size
        elif kind == "MaxPooling2D":
            rows, columns = rows // c["pool_size"][0], columns // c["pool_size"][1]
            total += 2 * batch * rows * columns * channels * size
        elif kind == "Dense":
            operations += 2 * batch * weights[0].size
            total += weights[0].size * size
    return total, operations


def print_floor(args, layers, shape, batch, dtype, median):
    copy, product = rates(args.device, dtype)
    size, operations = floors(layers, shape, batch, torch.finfo(dtype).bits // 8)
    least = [1e6 * size / copy, 1e6 * operations / product]
    print(f"| | floor: {least[0]:.1f} us of bytes at {copy / 1e12:.2f} TB/s, {least[1]:.1f} us of "
          f"operations at {product / 1e12:.0f} TFLOP/s | {max(least):.1f} | | "
          f"{max(least) / median:.2f} | | |", flush=True)


# --- inference

def inference(args, model, precision, batch):
    torch._dynamo.reset()  # else what it has learnt of other batches makes this one dynamic
    dtype = set_precision(precision)
    layers, shape = rivals.read_model(model)
    x = np.random.default_rng(1).random([batch] + shape, np.float32)
    folder = tempfile.mkdtemp()
    x.tofile(os.path.join(folder, "input.f32"))
    ours = Served(os.path.join(args.programs, "bench-plan"), model, "--device", args.device,
                  "--precision", precision, "--batch", str(batch), folder=folder)
    ours.ask("load")
    expected = np.fromfile(os.path.join(folder, "output.f32"), np.float32)

    host = torch.tensor(x.transpose(0, 3, 1, 2).copy()).contiguous(
        memory_format=torch.channels_last)
    if args.device.startswith("cuda"):
        host = host.pin_memory()
    module = rivals.torch_module(layers).eval().to(
        args.device, dtype, memory_format=torch.channels_last)
    ready = host.to(args.device, dtype)
    models = {"torch": module}
    if not args.no_compile:
        models["torch compile"] = torch.compile(module, mode="max-autotune", dynamic=False)

    def side(run, is_ready):
        def call():
            with torch.no_grad():
                value = ready if is_ready else host.to(args.device, non_blocking=True).to(dtype)
                return run(value).float().cpu().numpy()
        return call

    sides = {}
    for name, run in models.items():
        for is_ready in (False, True):
            call = side(run, is_ready)
            for _ in range(5):
                result = call()
            error = float(np.abs(result.reshape(-1) - expected).max())
            words = name + (", ready" if is_ready else "")
            print(f"{precision}, batch {batch}: {words}: differs from ours by {error:.1e}",
                  file=sys.stderr)
            if error <= TOLERANCE[precision]:
                sides[words] = call
    ours.times(20)
    end = time.monotonic() + args.seconds
    times = interleave(ours, sides, 20, lambda _: time.monotonic() > end)
    ours.end()
    print_times(f"{precision}, {batch}", times, batch)
    print_floor(args, layers, shape, batch, dtype, np.median(times["ours"]))


# --- training

def draw_affine(n, device):
    """Inverse maps in grid_sample's coordinates of what bench-train draws."""
    angle = (torch.rand(n, device=device) * 2 - 1) * np.radians(40)
    shear = (torch.rand(n, device=device) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * 0.4
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([
        torch.stack([flip * cos, -torch.sin(angle + shear), shift[:, 0]], 1),
        torch.stack([flip * sin, torch.cos(angle + shear), shift[:, 1]], 1)], 1)


def training(args, model, precision):
    torch._dynamo.reset()
    dtype = set_precision(precision)
    layers, shape = rivals.read_model(model)
    pictures = torch.randint(0, 256, [64, shape[2], shape[0], shape[1]], dtype=torch.uint8).to(
        args.device, memory_format=torch.channels_last)
    y = (torch.arange(64) % 2).float().reshape(64, 1).to(args.device)

    def make(compiled):
        # what comes before the sigmoid, which the loss has in it
        module = torch.nn.Sequential(*list(rivals.torch_module(layers))[:-1]).train().to(
            args.device, memory_format=torch.channels_last)
        fused = {"fused": True} if args.device.startswith("cuda") else {}
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-4, **fused)

        def forward(theta):
            grid = torch.nn.functional.affine_grid(theta, list(pictures.shape),
                                                   align_corners=False)
            x = torch.nn.functional.grid_sample(
                pictures.float() / 255, grid, "nearest", "border", align_corners=False)
            with (torch.autocast(args.device.split(":")[0], dtype)
                  if dtype != torch.float32 else contextlib.nullcontext()):
                logits = module(x)
            return torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), y)

        run = (torch.compile(forward, mode="max-autotune", dynamic=False) if compiled
               else forward)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = run(draw_affine(64, args.device))
            loss.backward()
            optimizer.step()
            synchronize(args.device)
            return float(loss.detach())
        return step

    sides = {"torch": make(False)}
    if not args.no_compile:
        sides["torch compile"] = make(True)
    for step in sides.values():
        for _ in range(3):
            assert np.isfinite(step())
    ours = Served(os.path.join(args.programs, "bench-train"), args.network, "--device",
                  args.device, "--precision", precision)
    ours.times(3)
    times = interleave(ours, sides, 5, lambda t: len(t["ours"]) >= 5 * args.rounds)
    ours.end()
    print_times(f"{precision}, step of 64", times, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs")
    parser.add_argument("network")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precisions", default="tf32,bf16")
    parser.add_argument("--batches", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    args.network = os.path.abspath(args.network)
    name = (torch.cuda.get_device_name(args.device) if args.device.startswith("cuda")
            else platform.processor() or args.device)
    print(f"{datetime.date.today()}, {name}, torch {torch.__version__}\n")
    print("| precision, batch | side | median us | min us | median to ours | pictures/s | runs |")
    print("|--|--|--|--|--|--|--|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.h5")
        subprocess.run([os.path.join(args.programs, "bench-plan"), args.network, "--save", model],
                       check=True, env=our_env())
        for precision in args.precisions.split(","):
            for batch in args.batches.split(","):
                inference(args, model, precision, int(batch))
        for precision in args.precisions.split(","):
            training(args, model, precision)


if __name__ == "__main__":
    main()
