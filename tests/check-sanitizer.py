#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sanitizers, with the suppressions of suppressions/, report faults that are planted.

    check-sanitizer.py PLANTED thread|address SUPPRESSIONS         prints TAP
"""
import os
import subprocess
import sys

# what planted.c does, and what the report has to have in it
FAULTS = {
    'thread': {
        'race': ('data race', 'set_property'),
        'signal': ('data race', 'on_changed'),
    },
    'address': {
        'leak': ('detected memory leaks', '1000 byte'),
        'start': ('detected memory leaks', '1001 byte'),
        'openmp': ('detected memory leaks', '1002 byte'),
    },
}


def run(program, kind, suppressions):
    options = 'suppressions=%s:exitcode=66' % suppressions
    environment = dict(os.environ, CLASSIFY_PLANTED=kind, G_SLICE='always-malloc',
                       TSAN_OPTIONS=options + ':ignore_noninstrumented_modules=1',
                       LSAN_OPTIONS=options + ':print_suppressions=0',
                       ASAN_OPTIONS='fast_unwind_on_malloc=0')
    return subprocess.run([program, kind], env=environment, capture_output=True, text=True,
                          check=False)


def main():
    program, sanitizer, folder = sys.argv[1:4]
    suppressions = os.path.join(folder, {'thread': 'tsan.txt', 'address': 'lsan.txt'}[sanitizer])
    faults = FAULTS[sanitizer]
    wrong = 0
    print('1..%d' % (len(faults) + 1))
    for number, kind in enumerate(['none'] + list(faults), 1):
        done = run(program, kind, suppressions)
        good = done.returncode == 0 if kind == 'none' \
            else done.returncode == 66 and all(words in done.stderr for words in faults[kind])
        if not good:
            print(done.stderr, file=sys.stderr)
        wrong += not good
        print('%sok %d - planted: %s' % ('' if good else 'not ', number, kind))
    return wrong > 0


sys.exit(main())
