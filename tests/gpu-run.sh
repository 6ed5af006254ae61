#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks and times the CUDA back end on this machine, out of a bundle that
# tests/gpu-bundle.sh made. Needs an x86-64 Linux with a C library not older than the one
# it was made with, an NVIDIA driver, and cuBLAS and cuDNN 9 of CUDA 12 or 13, where the
# system has its libraries, in /usr/local/cuda*, or in Python's site-packages (nvidia/*/lib).
#
#   ./run.sh [--only PART[,PART...]] [FOLDER]
#   ./run.sh --rivals [OPTION...]     only the times beside PyTorch's (bench/gpu-rivals.py),
#                                     which takes minutes to compile and needs h5py
#
# PART: check (models, layers, training), gst (frames and pipelines), times, load (64 streams),
# sanitize (under NVIDIA's compute-sanitizer, where there is one); all of them without --only.
# FOLDER: for the logs and table.txt, the times (default: results beside this file).
# CLASSIFY_TEST_DEVICE: cuda (default) or cuda:N. LIMIT: seconds that a program may take
# (default 300). The last line is "N passed, N failed, N skipped"; status 0 if something passed
# and nothing failed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
rivals=
parts=check,gst,times,load,sanitize
case ${1-} in
  --rivals)
    rivals=yes
    shift
    options=$*
    set --
    ;;
  --only)
    parts=${2?}
    shift 2
    ;;
esac
results=${1:-$here/results}
mkdir -p "$results" && results=$(cd "$results" && pwd) || exit 1
: "${CLASSIFY_TEST_DEVICE:=cuda}" "${LIMIT:=300}"
PATH=$PATH:/usr/local/cuda/bin # compute-sanitizer
export CLASSIFY_TEST_DEVICE PATH

# NVIDIA's libraries: those of LD_LIBRARY_PATH, then a toolkit's, then those of Python's wheels,
# then the system's
nvidia=
for folder in /usr/local/cuda/lib64 /usr/local/cuda-*/lib64 \
  "${VIRTUAL_ENV:-/nonexistent}"/lib/python3*/site-packages/nvidia/*/lib \
  $(for python in python3 python; do
      "$python" -c 'import site, sys
for p in sys.path + site.getsitepackages() + [site.getusersitepackages()]: print(p)' 2>/dev/null
    done | sort -u | while read -r site; do ls -d "$site"/nvidia/*/lib 2>/dev/null; done); do
  [ -d "$folder" ] && nvidia=$nvidia${nvidia:+:}$folder
done
libraries=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}${nvidia:+:$nvidia}
CLASSIFY_BACKEND_PATH=$here/module
CLASSIFY_TEST_ROOT=$here/data
CLASSIFY_CUDA_CACHE=$results/cache
export CLASSIFY_TEST_ROOT CLASSIFY_CUDA_CACHE CLASSIFY_BACKEND_PATH

if [ -n "$rivals" ]; then
  # Python's own libraries may be newer than ours: for our programs alone
  CLASSIFY_BENCH_LIBRARIES=$libraries
  export CLASSIFY_BENCH_LIBRARIES
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
has () { # PART
  case ,$parts, in
    *,"$1",*) true ;;
    *) false ;;
  esac
}
# PROGRAM ARGUMENT...: of the bundle
ours () {
  timeout -k 10 "$LIMIT" env LD_LIBRARY_PATH="$libraries" "$@"
}
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
  [ $status -ne 124 ] || echo "$name: more than $LIMIT seconds"
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
# What a tool of compute-sanitizer says of the whole back end. Of racecheck our own kernels
# only; calls that libraries try and see fail are no errors.
sanitize () { # TOOL
  filter=
  [ "$1" = memcheck ] || filter='--kernel-name kns=nn_k_'
  # shellcheck disable=SC2086
  CLASSIFY_TEST_QUICK=1 CLASSIFY_CUDA_CACHE='' timeout -k 10 "$LIMIT" compute-sanitizer \
    --tool "$1" $filter --target-processes all --report-api-errors no --error-exitcode 9 \
    env LD_LIBRARY_PATH="$libraries" "$here/bin/gpu-check" || return 1
  grep -q '^ok 1 ' "$results/$1.log" # it did not merely skip
}

{
  date -u
  uname -srm
  nvidia-smi -L 2>/dev/null || echo "no nvidia-smi"
  ours "$here/bin/classify" devices 2>&1 || echo "no classify"
} | tee "$results/machine.txt"

if ! ours "$here/bin/gpu-check" -l >"$results/gpu-check.log" 2>&1 \
  || grep -q '^1\.\.0 # SKIP' "$results/gpu-check.log"; then
  for name in check gst times load sanitize; do
    ! has $name || skip $name "no device: $(sed -n 's/^1\.\.0 # SKIP //p' "$results/gpu-check.log")"
  done
  parts=
fi
if has check; then
  tap gpu-check ours "$here/bin/gpu-check" -s /gpu/times
  tap layers ours "$here/bin/test-layers"
fi
if has times; then
  tap times ours "$here/bin/gpu-check" -p /gpu/times
fi
if { has gst || has load; } && [ ! -x "$here/bin/gst-launch-1.0" ]; then
  skip gst "the bundle has no GStreamer"
elif has gst || has load; then
  GST_PLUGIN_SYSTEM_PATH= GST_PLUGIN_PATH=$here/gst GST_REGISTRY=$results/registry.bin \
    GST_REGISTRY_FORK=no GST_DEBUG_NO_COLOR=1
  export GST_PLUGIN_SYSTEM_PATH GST_PLUGIN_PATH GST_REGISTRY GST_REGISTRY_FORK GST_DEBUG_NO_COLOR
  # cudaupload comes with the video decoder's library or not at all: one that decodes nothing
  # where the driver was installed without
  PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q 'libnvcuvid\.so\.1' \
    || libraries=$libraries:$here/no-decoder
  if has gst; then
    tap frames ours "$here/bin/test-frames"
    GST_DEBUG=videoclassify:4
    export GST_DEBUG
    plain pipeline ours "$here/bin/gst-launch-1.0" -m videotestsrc num-buffers="${FRAMES:-300}" \
      ! video/x-raw,format=NV12,width=1280,height=720 \
      ! videoclassify model="$here/data/pipelines/models/cats-dogs.h5" \
      device="$CLASSIFY_TEST_DEVICE" ! fakesink
    unset GST_DEBUG
  fi
  if has load; then
    plain load ours "$here/bin/bench-load" "$here/data/pipelines/models/cats-dogs.h5" \
      "${SECONDS_OF_LOAD:-20}" "${STREAMS:-64}" "$CLASSIFY_TEST_DEVICE"
  fi
fi
if has sanitize; then
  if ! command -v compute-sanitizer >/dev/null; then
    skip memcheck "no compute-sanitizer here"
    skip racecheck "no compute-sanitizer here"
  elif compute-sanitizer --target-processes all env LD_LIBRARY_PATH="$libraries" \
    "$here/bin/classify" devices 2>&1 | grep -q 'not supported'; then
    skip memcheck "compute-sanitizer does not support this device"
    skip racecheck "compute-sanitizer does not support this device"
  else
    plain memcheck sanitize memcheck
    plain racecheck sanitize racecheck
  fi
fi

{
  grep -h '^# time ' "$results"/*.log 2>/dev/null | sed 's/^# time //'
  grep -h '^{' "$results/load.log" 2>/dev/null
} >"$results/table.txt"
cat "$results/table.txt"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
