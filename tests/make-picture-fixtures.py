#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the pictures of tests/data/pictures that are turned or transparent, with genuine
Pillow (and pillow-heif for the HEIC): python3 tests/make-picture-fixtures.py

Not needed to build or to test: the files are in the repository. test-pictures.c says what
they have to be read as.
"""
import pathlib

import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
out = pathlib.Path(__file__).parent / "data" / "pictures"

# 12x8 pixels in six blocks of 4x4, each of its own colour
upright = Image.new("RGB", (12, 8))
for i, colour in enumerate([(250, 20, 30), (30, 220, 40), (40, 50, 210),
                            (240, 230, 20), (130, 40, 160), (200, 200, 200)]):
    upright.paste(colour, (i % 3 * 4, i // 3 * 4, i % 3 * 4 + 4, i // 3 * 4 + 4))
(out / "turned.rgb").write_bytes(upright.tobytes())

# what has to be done to an upright picture so that the orientation makes it upright again
T = Image.Transpose
stored = {1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE,
          6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270}


def turn(orientation):
    method = stored[orientation]
    return upright if method is None else upright.transpose(method)


def exif(orientation):
    data = Image.Exif()
    data[0x112] = orientation
    return data


for n in range(1, 9):
    for suffix, options in [("png", {}), ("webp", {"lossless": True}),
                            ("jpg", {"quality": 100, "subsampling": 0})]:
        path = out / f"turned-{n}.{suffix}"
        turn(n).save(path, exif=exif(n).tobytes(), **options)
        if suffix == "png":
            assert ImageOps.exif_transpose(Image.open(path)).tobytes() == upright.tobytes()
for n in (3, 6):
    turn(n).save(out / f"turned-{n}.tif", tiffinfo={0x112: n})
    # into the boxes irot and imir
    turn(n).save(out / f"turned-{n}.avif", exif=exif(n).tobytes(), quality=100,
                 subsampling="4:4:4", speed=0)
pillow_heif.from_pillow(turn(6)).save(out / "turned-6.heic", quality=100, chroma=444,
                                      exif=exif(6).tobytes())

# 12x4: clear, half, opaque; what is clear has a colour all the same
clear = Image.new("RGBA", (12, 4), (10, 60, 110, 255))
clear.paste((90, 150, 210, 0), (0, 0, 4, 4))
half = clear.copy()
half.paste((200, 100, 50, 128), (4, 0, 8, 4))
for suffix, options in [("png", {}), ("webp", {"lossless": True, "exact": True}), ("tif", {}),
                        ("tga", {}), ("ico", {"bitmap_format": "bmp", "sizes": [(12, 4)]})]:
    half.save(out / f"clear.{suffix}", **options)
gif = Image.new("P", (12, 4), 1)
gif.putpalette([90, 150, 210, 10, 60, 110] + [0] * 762)
gif.paste(0, (0, 0, 4, 4))
gif.save(out / "clear.gif", transparency=0)
gif.save(out / "clear-palette.png", transparency=0)

upright.save(out / "plain.tga")
upright.save(out / "runs.tga", compression="tga_rle")
upright.convert("L").save(out / "plain.pgm")
upright.convert("1").save(out / "plain.pbm")
