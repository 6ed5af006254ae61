#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Made tests/data/pictures with Pillow 13 (not needed to run the tests).

NAME.EXT is a picture of 8x8 pixels in a less usual form, NAME.EXT.rgb its 192 bytes as
Pillow's convert('RGB') has them, which is what Keras trains on. Differences that are
meant are written down here.
"""
import io
import os
import struct
import sys
import zlib

from PIL import Image

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'pictures')
N = 8


def base():
    image = Image.new('RGB', (N, N))
    image.putdata([(30 * x + y, 250 - 28 * y, (x * y * 5) % 256)
                   for y in range(N) for x in range(N)])
    return image


def smooth():
    """what JPEG keeps nearly as it is, whoever decodes it"""
    image = Image.new('RGB', (N, N))
    image.putdata([(60 + 12 * x, 80 + 10 * y, 150) for y in range(N) for x in range(N)])
    return image


def inks():
    """Y, Cb, Cr and black of a printer's picture, as if they were four inks"""
    image = Image.new('RGB', (N, N))
    image.putdata([(200 - 12 * x, 70 + 10 * y, 120) for y in range(N) for x in range(N)])
    black = Image.new('L', (N, N))
    black.putdata([60 + 15 * ((x + y) // 2) for y in range(N) for x in range(N)])
    return Image.merge('CMYK', [c.point(lambda v: 255 - v)
                                for c in image.convert('YCbCr').split()] + [black])


def save(name, data, reference):
    with open(os.path.join(HERE, name), 'wb') as file:
        file.write(data)
    with open(os.path.join(HERE, name + '.rgb'), 'wb') as file:
        file.write(reference.tobytes())


def encode(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def reopen(data):
    return Image.open(io.BytesIO(data)).convert('RGB')


def png(color_type, depth, rows):
    """a PNG by hand: Pillow writes no 16-bit RGB"""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data))
    return b'\x89PNG\r\n\x1a\n' + chunk(
        b'IHDR', struct.pack('>IIBBBBB', N, N, depth, color_type, 0, 0, 0)) + chunk(
            b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows))) + chunk(b'IEND', b'')


def main():
    os.makedirs(HERE, exist_ok=True)
    rgb = base()

    # alpha is dropped, not blended: transparent pixels keep their colour
    alpha = rgb.copy()
    alpha.putalpha(Image.new('L', (N, N), 90))
    save('alpha.png', encode(alpha, 'PNG'), alpha.convert('RGB'))

    # the high byte counts, for colour and for grey (where Pillow clips at 255: meant)
    words = [[v * 257 - (v > 99) * 100 for v in p] for p in rgb.get_flattened_data()]
    rows = [b''.join(struct.pack('>3H', *words[y * N + x]) for x in range(N)) for y in range(N)]
    high = Image.new('RGB', (N, N))
    high.putdata([tuple(v >> 8 for v in p) for p in words])
    save('rgb16.png', png(2, 16, rows), high)
    rows = [b''.join(struct.pack('>H', words[y * N + x][0]) for x in range(N)) for y in range(N)]
    gray = Image.new('RGB', (N, N))
    gray.putdata([(p[0] >> 8,) * 3 for p in words])
    save('gray16.png', png(0, 16, rows), gray)

    data = encode(rgb.convert('L'), 'PNG')
    save('gray.png', data, reopen(data))
    data = encode(rgb.convert('P', palette=Image.ADAPTIVE, colors=16), 'PNG')
    save('palette.png', data, reopen(data))
    data = encode(rgb.convert('1'), 'PNG')
    save('bilevel.png', data, reopen(data))
    data = encode(rgb.quantize(32), 'GIF')
    save('plain.gif', data, reopen(data))
    data = encode(rgb, 'BMP')
    save('plain.bmp', data, reopen(data))
    data = encode(rgb, 'PPM')
    save('plain.ppm', data, reopen(data))
    data = encode(smooth().convert('L'), 'JPEG', quality=95)
    save('gray.jpg', data, reopen(data))
    data = encode(smooth().convert('CMYK'), 'JPEG', quality=95)
    save('cmyk.jpg', data, reopen(data))
    data = bytearray(encode(inks(), 'JPEG', quality=95))
    data[data.index(b'Adobe') + 11] = 2  # as Photoshop writes: YCCK
    save('ycck.jpg', data, reopen(data))
    data = encode(smooth(), 'JPEG', quality=95, subsampling=0, progressive=True)
    save('progressive.jpg', data, reopen(data))

    # a camera held sideways: shown upright (Keras leaves it lying: meant)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(smooth(), 'JPEG', quality=95, subsampling=0, exif=exif)
    save('sideways.jpg', data, reopen(data).transpose(Image.ROTATE_270))
    return 0


sys.exit(main())
