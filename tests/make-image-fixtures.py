#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/data/image-fixtures.h with genuine NumPy, SciPy and Pillow.

Not needed to build or to test: the header is in the repository. Run it again
to check against other versions; the differences should be none.
"""
import math
import pathlib
import random

import numpy as np
import PIL
import scipy
from PIL import Image
from scipy import ndimage

random.seed(20)
rng = np.random.default_rng(20)


def keras_matrix(height, width, theta, tx, ty, shear, zx, zy, center, swap):
    """keras.preprocessing.image's matrix, with its own NumPy calls."""
    m = None
    if theta != 0:
        m = np.array([[np.cos(theta), -np.sin(theta), 0],
                      [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    if tx != 0 or ty != 0:
        t = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
        m = t if m is None else np.dot(m, t)
    if shear != 0:
        s = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
        m = s if m is None else np.dot(m, s)
    if zx != 1 or zy != 1:
        z = np.array([[zx, 0, 0], [0, zy, 0], [0, 0, 1]])
        m = z if m is None else np.dot(m, z)
    o_x, o_y = float(height) / 2 + center, float(width) / 2 + center
    m = np.dot(np.dot(np.array([[1, 0, o_x], [0, 1, o_y], [0, 0, 1]]), m),
               np.array([[1, 0, -o_x], [0, 1, -o_y], [0, 0, 1]]))
    if swap:  # tf.keras >= 2.9
        m[:, [0, 1]] = m[:, [1, 0]]
        m[[0, 1]] = m[[1, 0]]
    return m


def numbers(values, form):
    lines, line = [], " "
    for v in values:
        text = f" {form(v)},"
        if len(line) + len(text) > 98:
            lines.append(line)
            line = " "
        line += text
    return "\n".join(lines + [line])


def exact(v):
    return repr(float(v))


def single(v):
    text = f"{float(np.float32(v)):.9g}"
    return text if "." in text or "e" in text else text + ".0"


def warps(out):
    rows, values, sources = [], [], []
    fills = ["nearest", "constant", "reflect", "wrap"]
    n = 0
    for order in (0, 1):
        for fill in fills:
            for case in range(7):
                height, width, channels = random.choice(
                    [(4, 5, 1), (5, 4, 3), (7, 6, 1), (3, 8, 3), (6, 6, 1), (2, 2, 3)])
                p = dict(theta=math.radians(random.uniform(-40, 40)),
                         tx=random.uniform(-.2, .2) * height, ty=random.uniform(-.2, .2) * width,
                         shear=random.uniform(-.2, .2), zx=random.uniform(.8, 1.2),
                         zy=random.uniform(.8, 1.2))
                if case == 1:  # far outside, many periods
                    p.update(tx=random.uniform(-9, 9) * height, ty=random.uniform(-9, 9) * width)
                if case == 2:  # whole pixels: every coordinate is a tie or an edge
                    p = dict(theta=0, tx=-2, ty=1, shear=0, zx=1, zy=1)
                if case == 3:  # half pixels
                    p = dict(theta=0, tx=.5, ty=-1.5, shear=0, zx=1, zy=1)
                if case == 4:
                    p = dict(theta=math.pi / 2, tx=0, ty=0, shear=0, zx=1, zy=1)
                if case == 5:
                    p.update(zx=3.5, zy=4.25, shear=1.1)
                if case == 6:
                    height, width, channels = (1, 5, 1) if order else (5, 1, 3)
                center = -.5 if n % 3 == 2 else .5
                swap = n % 3 == 2
                cval = random.choice([0., 17., 128.5])
                src = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
                m = keras_matrix(height, width, p["theta"], p["tx"], p["ty"], p["shear"],
                                 p["zx"], p["zy"], center, swap)
                got = np.stack([ndimage.affine_transform(
                    src[:, :, c].astype(np.float32), m[:2, :2], m[:2, 2], order=order,
                    mode=fill, cval=cval) for c in range(channels)], axis=-1)
                assert got.dtype == np.float32
                rows.append(
                    f"  {{ {height}, {width}, {channels}, {order}, NN_FILL_{fill.upper()}, "
                    f"{exact(cval)}, {center}, {int(swap)},\n    {{ "
                    + ", ".join(exact(p[k]) for k in ("theta", "tx", "ty"))
                    + ",\n      " + ", ".join(exact(p[k]) for k in ("shear", "zx", "zy"))
                    + " },\n    { " + ", ".join(exact(v) for v in m[0])
                    + ",\n      " + ", ".join(exact(v) for v in m[1])
                    + f" }},\n    {len(sources)} }}")
                sources += list(src.ravel())
                values += list(got.ravel())
                n += 1
    out.append(f"""
/* keras.preprocessing.image's matrices by NumPy {np.__version__}, warps of single channels by
 * scipy.ndimage.affine_transform of SciPy {scipy.__version__}. */
typedef struct
{{
  guint height, width, channels, order;
  NnFillMode fill;
  double cval, center_offset;
  gboolean swap_axes;
  double params[6]; /* theta, tx, ty, shear, zx, zy */
  double matrix[6];
  guint at; /* of the first value in both arrays */
}} ScipyWarp;

static const ScipyWarp scipy_warps[] = {{
""" + ",\n".join(rows) + ",\n};")
    out.append("\nstatic const guint8 scipy_sources[] = {\n" + numbers(sources, str) + "\n};")
    out.append("\nstatic const float scipy_values[] = {\n"
               + numbers(values, lambda v: single(v) + "f") + "\n};")


def fnv(indices):
    h = 0x811c9dc5
    for i in indices:
        for byte in (i & 255, i >> 8):
            h = ((h ^ byte) * 0x01000193) & 0xffffffff
    return h


def nearest(out):
    pairs = [(1, 1), (1, 9), (2, 1), (3, 7), (200, 200), (256, 200), (500, 200), (374, 200),
             (1920, 200), (1080, 200), (4096, 224), (499, 200), (7, 5)]
    # pairs where adding up and the closed form differ
    ties = []
    for n_in in range(1, 1200):
        for n_out in random.sample(range(1, 700), 6):
            a, x, differs = n_in / n_out, n_in / n_out * .5, False
            for i in range(n_out):
                differs |= int(x) != int((i + .5) * a)
                x += a
            if differs:
                ties.append((n_in, n_out))
    pairs += random.sample(ties, min(40, len(ties)))
    while len(pairs) < 160:
        pairs.append((random.randint(1, 5000), random.randint(1, 600)))
    rows = []
    for n_in, n_out in pairs:
        line = Image.fromarray(np.arange(n_in, dtype=np.int32)[None, :])
        got = np.asarray(line.resize((n_out, 1), Image.NEAREST))[0]
        column = Image.fromarray(np.arange(n_in, dtype=np.int32)[:, None])
        assert (np.asarray(column.resize((1, n_out), Image.NEAREST))[:, 0] == got).all()
        rows.append(f"{{ {n_in}, {n_out}, 0x{fnv(int(v) for v in got):08x} }}")
    out.append(f"""
/* Image.resize (NEAREST) of Pillow {PIL.__version__}: which source index each output has, as the
 * FNV-1a hash of the indices (16 bits, little endian). Some pairs are those where adding up and
 * the closed form (i + .5) * n_in / n_out differ. */
static const struct
{{
  guint n_in, n_out;
  guint32 hash;
}} pillow_nearest[] = {{
""" + numbers(rows, str) + "\n};")


def box(out):
    height, width = 24, 30
    base = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(base)
    rows, values = [], []
    for w, h, times in [(30, 24, 1), (15, 12, 1), (10, 8, 1), (5, 3, 1), (1, 1, 1), (30, 8, 1),
                        (6, 24, 1), (20, 16, 2), (12, 16, 2), (25, 15, 5), (7, 5, 35)]:
        # an area of fractions of pixels: the picture enlarged by repetition, then an exact box
        big = image.resize((width * times, height * times), Image.NEAREST)
        assert width * times % w == 0 and height * times % h == 0
        got = np.asarray(big.resize((w, h), Image.BOX))
        rows.append(f"  {{ {w}, {h}, {len(values)} }}")
        values += list(got.ravel())
    out.append(f"""
/* Image.resize (BOX) of Pillow {PIL.__version__}, {width}x{height} RGB to several sizes. Where the
 * ratio is a fraction Pillow got a picture enlarged by repeating pixels, so that each of its
 * boxes is whole: the mean over an area. */
#define BOX_WIDTH {width}
#define BOX_HEIGHT {height}
static const guint8 box_source[] = {{
""" + numbers(base.ravel(), str) + """
};

static const struct
{
  guint width, height, at;
} pillow_boxes[] = {
""" + ",\n".join(rows) + """,
};

static const guint8 pillow_box_values[] = {
""" + numbers(values, str) + "\n};")


out = ["""/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
/* Made by tests/make-image-fixtures.py. Do not edit. */
#pragma once

#include "nn/augment.h\""""]
warps(out)
nearest(out)
box(out)
path = pathlib.Path(__file__).parent / "data" / "image-fixtures.h"
path.write_text("\n".join(out) + "\n")
print(path, path.stat().st_size, "bytes")
