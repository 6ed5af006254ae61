#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks and times the CUDA back end on this machine, out of a bundle that
# tests/gpu-bundle.sh made. Needs an x86-64 Linux with a C library not older than the one
# it was made with, an NVIDIA driver, and cuBLAS and cuDNN 9 of CUDA 12 or 13, where the
# system has its libraries, in /usr/local/cuda*, or in Python's site-packages (nvidia/*/lib).
#
#   ./run.sh [FOLDER]
#   ./run.sh --rivals [OPTION...]     only the times beside PyTorch's (bench/gpu-rivals.py),
#                                     which takes minutes to compile and needs h5py
#
# FOLDER: for the logs and table.txt, the times (default: results beside this file).
# CLASSIFY_TEST_DEVICE: cuda (default) or cuda:N. The last line is
# "N passed, N failed, N skipped"; status 0 if something passed and nothing failed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
rivals=
if [ "${1-}" = --rivals ]; then
  rivals=yes
  shift
  options=$*
  set --
fi
results=${1:-$here/results}
mkdir -p "$results" && results=$(cd "$results" && pwd) || exit 1
: "${CLASSIFY_TEST_DEVICE:=cuda}"
PATH=$PATH:/usr/local/cuda/bin # compute-sanitizer
export CLASSIFY_TEST_DEVICE PATH

# NVIDIA's libraries: the system's first, then a toolkit's, then those of Python's wheels
nvidia=
for folder in /usr/local/cuda/lib64 /usr/local/cuda-*/lib64 \
  "${VIRTUAL_ENV:-/nonexistent}"/lib/python3*/site-packages/nvidia/*/lib \
  $(for python in python3 python; do
      "$python" -c 'import site, sys
for p in sys.path + site.getsitepackages() + [site.getusersitepackages()]: print(p)' 2>/dev/null
    done | sort -u | while read -r site; do ls -d "$site"/nvidia/*/lib 2>/dev/null; done); do
  [ -d "$folder" ] && nvidia=$nvidia${nvidia:+:}$folder
done
LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}${nvidia:+:$nvidia}
CLASSIFY_BACKEND_PATH=$here/module
CLASSIFY_TEST_ROOT=$here/data
CLASSIFY_CUDA_CACHE=$results/cache
export CLASSIFY_TEST_ROOT CLASSIFY_CUDA_CACHE LD_LIBRARY_PATH CLASSIFY_BACKEND_PATH

if [ -n "$rivals" ]; then
  # shellcheck disable=SC2086
  python3 "$here/bench/gpu-rivals.py" "$here/bin" "$here/data/train/networks/dogs-vs-cats.json" \
    --device "$CLASSIFY_TEST_DEVICE" $options >"$results/rivals.md"
  status=$?
  cat "$results/rivals.md"
  exit $status
fi

passed=0
failed=0
skipped=0
# NAME COMMAND...: what prints TAP
tap () {
  name=$1
  shift
  echo "== $name"
  "$@" >"$results/$name.log" 2>&1
  status=$?
  ok=$(grep -c '^ok ' "$results/$name.log")
  not=$(grep -c '^not ok ' "$results/$name.log")
  skip=$(grep -c '^ok .*# SKIP' "$results/$name.log")
  if grep -q '^1\.\.0 # SKIP' "$results/$name.log"; then
    skip=1
    ok=1
    sed -n 's/^1\.\.0 # SKIP/skipped:/p' "$results/$name.log"
  elif [ $status -ne 0 ] && [ "$not" -eq 0 ]; then
    not=1 # it ended in the midst of a test
  fi
  passed=$((passed + ok - skip))
  skipped=$((skipped + skip))
  failed=$((failed + not))
  [ "$not" -eq 0 ] || tail -n 20 "$results/$name.log"
}
# NAME COMMAND...: what succeeds or not
plain () {
  name=$1
  shift
  echo "== $name"
  if "$@" >"$results/$name.log" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -n 20 "$results/$name.log"
  fi
}
skip () { # NAME WHY
  echo "== $1: skipped: $2"
  skipped=$((skipped + 1))
}

{
  date -u
  uname -srm
  nvidia-smi -L 2>/dev/null || echo "no nvidia-smi"
  "$here/bin/classify" devices 2>&1 || echo "no classify"
} | tee "$results/machine.txt"

tap gpu-check "$here/bin/gpu-check"
if grep -q '^1\.\.0 # SKIP' "$results/gpu-check.log"; then
  for name in layers memcheck racecheck frames pipeline; do
    skip $name "no device"
  done
else
  tap layers "$here/bin/test-layers"
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
      plain $tool env CLASSIFY_TEST_QUICK=1 compute-sanitizer --tool $tool --error-exitcode 9 \
        "$here/bin/gpu-check"
    done
  else
    skip memcheck "no compute-sanitizer here"
    skip racecheck "no compute-sanitizer here"
  fi
  if [ -x "$here/bin/gst-launch-1.0" ]; then
    GST_PLUGIN_SYSTEM_PATH= GST_PLUGIN_PATH=$here/gst GST_REGISTRY=$results/registry.bin \
      GST_REGISTRY_FORK=no GST_DEBUG_NO_COLOR=1
    export GST_PLUGIN_SYSTEM_PATH GST_PLUGIN_PATH GST_REGISTRY GST_REGISTRY_FORK GST_DEBUG_NO_COLOR
    tap frames "$here/bin/test-frames"
    GST_DEBUG=videoclassify:4
    export GST_DEBUG
    plain pipeline "$here/bin/gst-launch-1.0" -m videotestsrc num-buffers="${FRAMES:-300}" \
      ! video/x-raw,format=NV12,width=1280,height=720 \
      ! videoclassify model="$here/data/pipelines/models/cats-dogs.h5" \
      device="$CLASSIFY_TEST_DEVICE" ! fakesink
  else
    skip frames "the bundle has no GStreamer"
    skip pipeline "the bundle has no GStreamer"
  fi
fi

grep -h '^# time ' "$results"/*.log 2>/dev/null | sed 's/^# time //' >"$results/table.txt"
cat "$results/table.txt"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
