#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has to be built for the tests of a suite, as arguments for ninja.

    targets-of-suite.py BUILD [SUITE|tests]    "tests": all of them; without: nothing, for all
"""
import json
import os
import subprocess
import sys


def introspect(build, what):
    return json.loads(subprocess.run(['meson', 'introspect', build, '--' + what],
                                     capture_output=True, text=True, check=True).stdout)


def main():
    build, suite = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    if not suite:
        return
    top = os.path.realpath(build)
    files = {}  # of each target, by its id and by its own path
    for target in introspect(build, 'targets'):
        names = [os.path.relpath(name, top) for name in target['filename']]
        files[target['id']] = names
        for name in target['filename']:
            files[os.path.realpath(name)] = names
    wanted = set()
    for test in introspect(build, 'tests'):
        if suite == 'tests' or suite in [name.split(':')[-1] for name in test['suite']]:
            for word in test['cmd'] + test['depends']:
                wanted.update(files.get(word, files.get(os.path.realpath(word), [])))
    print(' '.join(sorted(wanted)))


main()
