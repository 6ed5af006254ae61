#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file as an array in C.

    embed.py NAME INPUT OUTPUT
"""
import sys

name, source, target = sys.argv[1:4]
with open(source, 'rb') as file:
    data = file.read()
with open(target, 'w', encoding='ascii') as out:
    out.write('extern const unsigned char %s[];\n' % name)
    out.write('const unsigned char __attribute__ ((aligned (16))) %s[] = {\n' % name)
    for at in range(0, len(data), 24):
        out.write(','.join(map(str, data[at:at + 24])) + ',\n')
    out.write('};\n')
