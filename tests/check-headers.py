#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every header compiles alone, whatever was or was not included before it.

    check-headers.py ROOT BUILD          prints TAP, a test for each header

The compiler and its flags are those of a source file of the same room in BUILD's
compile_commands.json; a room that is not built there is skipped.
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

# -Wpedantic (warning_level=3) complains of GLib's own macros
NOT_FOR_HEADERS = ('-MD', '-Wpedantic', '-pedantic', '-Weverything')
ROOMS = ('nn', 'gst', 'train', 'cuda', 'tests')


def room_of(path):
    """What stands in for NVIDIA's libraries is built as what uses them."""
    return 'cuda' if path.startswith('tests/fake-cuda/') else path.split(os.sep)[0]


def is_built(header, flags):
    """Without NVIDIA's headers, of the CUDA back end only the loader is."""
    return room_of(header) in flags and (
        room_of(header) != 'cuda' or header == 'cuda/loader.h'
        or '-DNN_CUDA_TOOLKIT' in flags['cuda'][0])


def flags_of_rooms(root, build):
    """{room: [compiler, flag, ...]} without what names the source and the object; and the
    same of each source, for the header of its name"""
    flags = {}
    with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as commands:
        for entry in json.load(commands):
            source = os.path.relpath(
                os.path.join(entry['directory'], entry['file']), root)
            room = room_of(source)
            words = shlex.split(entry['command'])
            if room not in ROOMS or not source.endswith('.c') \
                    or source.startswith((
                        'nn/cpu/kernels', 'nn/cpu/map-kernels-impl', 'nn/sampler-kernels')):
                continue
            kept, skip = [], False
            for word in words:
                if skip:
                    skip = False
                elif word in ('-o', '-MF', '-MQ', '-c'):
                    skip = True
                elif word not in NOT_FOR_HEADERS and word != entry['file']:
                    kept.append(word)
            for key in (room, source[:-2]):
                if key not in flags or len(kept) > len(flags[key][0]):
                    flags[key] = (kept, entry['directory'])
    return flags


def compile_header(root, header, flags):
    """The compiler's complaint about the header included alone and twice, or None."""
    command, directory = flags
    text = '#include "%s"\n#include "%s"\n' % (header, header)
    done = subprocess.run(command + ['-Werror', '-fsyntax-only', '-I' + root, '-x', 'c', '-'],
                          input=text, cwd=directory, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else None


def main():
    root, build = (os.path.abspath(path) for path in sys.argv[1:3])
    flags = flags_of_rooms(root, build)
    headers = []
    for room in ROOMS:
        for folder, _, names in os.walk(os.path.join(root, room)):
            headers += [os.path.relpath(os.path.join(folder, name), root)
                        for name in names if name.endswith('.h')]
    headers.sort()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {h: pool.submit(compile_header, root, h, flags.get(h[:-2], flags[room_of(h)]))
                   for h in headers if is_built(h, flags)}
        planted = pool.submit(compile_header, root, 'nn/no-such-header.h', flags['nn'])
    wrong = 0
    print('1..%d' % (len(headers) + 1))
    for number, header in enumerate(headers, 1):
        if header not in futures:
            print('ok %d - %s # SKIP its room is not built' % (number, header))
            continue
        complaint = futures[header].result()
        wrong += complaint is not None
        for line in (complaint or '').splitlines()[:20]:
            print(line, file=sys.stderr)
        print('%sok %d - %s' % ('not ' if complaint else '', number, header))
    wrong += planted.result() is None
    print('%sok %d - a fault is caught' % ('not ' if planted.result() is None else '',
                                          len(headers) + 1))
    return wrong > 0


sys.exit(main())
