#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No tabs, no blanks at the end of a line, no line over 100 columns, a new line at the end
of each file, the two SPDX lines at the top of sources and scripts.

    check-style.py [ROOT]                                        prints TAP
"""
import os
import sys

COLUMNS = 100
SOURCES = ('.c', '.h', '.cu', '.cuh', '.orc', '.py', '.sh')
TEXTS = SOURCES + ('.ini', '.build', '.txt', '.md', '.1', '.supp')
# tables and links of a text may be as wide as they are
WIDE = ('.md', '.txt')


def complaints(path, text):
    lines = text.split('\n')
    if lines[-1]:
        yield '%s: no new line at the end' % path
    for number, line in enumerate(lines, 1):
        where = '%s:%d: ' % (path, number)
        if '\t' in line or '\r' in line:
            yield where + 'a tab or a carriage return'
        if line != line.rstrip():
            yield where + 'blanks at the end'
        if len(line) > COLUMNS and not path.endswith(WIDE):
            yield where + '%d columns, at most %d' % (len(line), COLUMNS)
    if path.endswith(SOURCES):
        head = lines[:3]
        if not any('SPDX-FileCopyrightText: the classify authors' in line for line in head) \
                or not any('SPDX-License-Identifier: LGPL-2.1-or-later' in line for line in head):
            yield '%s: the two SPDX lines are missing' % path


def files_of(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(('build', '.git', '__')))
        for name in sorted(names):
            if name.endswith(TEXTS):
                yield os.path.relpath(os.path.join(folder, name), root)


SPDX = '/* SPDX-FileCopyrightText: the classify authors\n' \
       ' * SPDX-License-Identifier: LGPL-2.1-or-later */\n'
# planted faults: file, text, number of complaints
PLANTED = [
    ('a.c', SPDX + 'int a;\n', 0),
    ('a.c', 'int a;\n', 1),
    ('a.c', SPDX + 'int a;', 1),
    ('a.c', SPDX + '\tint a;\n', 1),
    ('a.c', SPDX + 'int a; \nint b;\r\n', 3),
    ('a.c', SPDX + 'x' * COLUMNS + '\n', 0),
    ('a.c', SPDX + 'x' * (COLUMNS + 1) + '\n', 1),
    ('a.md', 'x' * 300 + '\n', 0),
]


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                           os.path.join(os.path.dirname(__file__), '..'))
    wrong, n = [], 0
    for path in files_of(root):
        n += 1
        with open(os.path.join(root, path), encoding='utf-8', newline='') as text:
            wrong += complaints(path, text.read())
    if n < 50:
        wrong.append('only %d files found in %s' % (n, root))
    missed = [repr(p) for p in PLANTED if len(list(complaints(p[0], p[1]))) != p[2]]
    print('1..2')
    for number, name, lines in ((1, 'style of %d files' % n, wrong),
                                (2, 'planted faults are caught', missed)):
        for line in lines:
            print(line, file=sys.stderr)
        print('%sok %d - %s' % ('not ' if lines else '', number, name))
    return bool(wrong or missed)


sys.exit(main())
