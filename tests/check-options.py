#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The options of the build: -Dtests=disabled builds no test; with every optional part left
out the same tests are known as in BUILD, those that cannot be built as skipped ones, so that
the number of tests does not depend on the machine.

    check-options.py ROOT BUILD          prints TAP
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

LEAST = ['-Dcuda=disabled', '-Dplugin=disabled', '-Dtrainer=disabled', '-Doverlay=disabled',
         '-Danalytics=disabled', '-Dintrospection=disabled']


def configure(root, folder, *options):
    """What meson says if it fails, else None."""
    done = subprocess.run(['meson', 'setup', folder, root] + list(options), capture_output=True,
                          text=True, check=False)
    return done.stdout + done.stderr if done.returncode else None


def introspect(folder, what):
    return json.loads(subprocess.run(['meson', 'introspect', folder, '--' + what],
                                     capture_output=True, text=True, check=True).stdout)


def names_of_tests(folder):
    return {test['name'] for test in introspect(folder, 'tests')}


def without_tests(root, build, folder):
    complaint = configure(root, folder, *LEAST, '-Dtests=disabled')
    if complaint:
        return complaint
    if not names_of_tests(build):
        return 'there are no tests in ' + build
    tests = os.path.join(root, 'tests')
    left = [target['name'] for target in introspect(folder, 'targets')
            if target['defined_in'].startswith(tests)]
    left += sorted(names_of_tests(folder))
    return 'still there: ' + ', '.join(left) if left else None


def same_names(root, build, folder):
    complaint = configure(root, folder, *LEAST)
    if complaint:
        return complaint
    here, least = names_of_tests(build), names_of_tests(folder)
    wrong = ['%s: not registered as skipped' % name for name in sorted(here - least)]
    wrong += ['%s: no such test' % name for name in sorted(least - here)]
    return '\n'.join(wrong) or None


def main():
    root, build = (os.path.abspath(path) for path in sys.argv[1:3])
    checks = [('-Dtests=disabled builds no test', without_tests),
              ('tests that cannot be built count as skipped', same_names)]
    wrong = 0
    print('1..%d' % len(checks))
    for number, (title, check) in enumerate(checks, 1):
        folder = tempfile.mkdtemp(prefix='classify-test-')
        complaint = check(root, build, folder)
        shutil.rmtree(folder)
        wrong += complaint is not None
        print('%sok %d - %s' % ('not ' if complaint else '', number, title))
        for line in (complaint or '').splitlines()[-40:]:
            print('# ' + line)
    return wrong > 0


sys.exit(main())
