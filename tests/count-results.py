#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Adds up what meson's testlog.json files say, single tests of a TAP program one by one.

    count-results.py [--broken N] TESTLOG...

--broken: builds that failed, each counts as a failed test. The last line printed is
"N passed, N failed, N skipped"; status 1 if something failed or nothing passed.
"""
import json
import os
import re
import sys

TAP = re.compile(r'^(not )?ok\b[ \t]*(\d*)[ \t]*(.*)$')
PLAN = re.compile(r'^1\.\.(\d+)(.*)$')
GOOD = ('OK', 'EXPECTEDFAIL')


def count_tap(text):
    """(passed, failed names, skipped names, is a test missing)"""
    passed, failed, skipped, planned, n = 0, [], [], None, 0
    for line in text.splitlines():
        plan = PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            if planned == 0:
                skipped.append('all')
            continue
        found = TAP.match(line)
        if not found:
            continue
        n += 1
        bad, name = found.group(1), found.group(3).lstrip('- ')
        directive = re.search(r'#\s*(SKIP|TODO)', name, re.IGNORECASE)
        if directive and directive.group(1).upper() == 'SKIP':
            skipped.append(name)
        elif bad and not directive:
            failed.append(name)
        else:
            passed += 1
    missing = planned is not None and planned > 0 and n != planned
    return passed, failed, skipped, missing


def count_test(test):
    """(passed, failed names, skipped names) of one entry of the log"""
    name, result = test['name'], test['result']
    passed, failed, skipped = 0, [], []
    is_tap = any(PLAN.match(line) for line in test.get('stdout', '').splitlines())
    if is_tap:
        passed, failed, skipped, missing = count_tap(test['stdout'])
        failed = ['%s: %s' % (name, f) for f in failed]
        skipped = ['%s: %s' % (name, s) for s in skipped]
        # crashed, timed out, a leak at exit, or fewer tests than announced
        if not failed and (missing or result not in GOOD + ('SKIP',)):
            failed.append('%s: %s, exit status %s' % (name, result, test.get('returncode')))
    elif result in GOOD:
        passed = 1
    elif result == 'SKIP':
        skipped.append(name)
    else:
        failed.append('%s: %s, exit status %s' % (name, result, test.get('returncode')))
    return passed, failed, skipped


def main():
    logs = sys.argv[1:]
    passed, failed, skipped = 0, [], []
    if logs[:1] == ['--broken']:
        failed += ['a build'] * int(logs[1])
        logs = logs[2:]
    for path in logs:
        where = path.split(os.sep)[0]
        if not os.path.exists(path):
            failed.append('%s: no test ran' % where)
            continue
        with open(path, encoding='utf-8') as lines:
            for line in lines:
                p, f, s = count_test(json.loads(line))
                passed += p
                failed += ['%s: %s' % (where, x) for x in f]
                skipped += ['%s: %s' % (where, x) for x in s]
    for name in skipped:
        print('skipped  ' + name)
    for name in failed:
        print('FAILED   ' + name)
    print('%d passed, %d failed, %d skipped' % (passed, len(failed), len(skipped)))
    return 1 if failed or not passed else 0


sys.exit(main())
