#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The bundle for machines with a GPU is made, unpacked elsewhere and run on tests/fake-cuda.
#
#   test-gpu-bundle.sh SOURCE BUILD                              prints TAP
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo 1..2
"$source/tests/gpu-bundle.sh" -o "$work/bundle.tar.gz" "$build" >&2 || printf 'not '
echo "ok 1 - it is made and small enough"
tar -C "$work" -xf "$work/bundle.tar.gz"
CLASSIFY_TEST_QUICK=1 FRAMES=2 FAKE_CUDA_NO_ALGORITHM=1 \
  CLASSIFY_CUDA_PATH="$build/tests/fake-cuda:-" LD_LIBRARY_PATH="$build/tests/fake-cuda" \
  "$work/gpu-bundle/run.sh" --only check,gst >"$work/log" 2>&1
status=$?
cat "$work/log" >&2
[ $status -eq 0 ] \
  && tail -n 1 "$work/log" | grep -q '^[1-9][0-9]* passed, 0 failed, [0-9]* skipped$' \
  || printf 'not '
echo "ok 2 - it runs"
