#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what is missing, builds and runs every test: in build/ with warnings
# as errors, then again in build-asan/ under AddressSanitizer and UBSan, then the
# suite "threads" in build-tsan/ under ThreadSanitizer. Ends with the line
#
#   N passed, N failed, N skipped
#
# (single tests, those of each build counted) and status 0 only if something ran
# and nothing failed.
#
#   tests/run.sh [--fast] [--clang] [NAME...]
#
# --fast: no sanitizer. --clang: clang builds too (build-clang/). NAME: tests or
# suites (SUITE as classify:SUITE) of `meson test --list`; all without one.
#
# CLASSIFY_SHARED  material that some tests look at, skipped without it
#                  (default: shared beside the tree)
# JOBS             compile jobs and tests at a time (default: a core each)
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
jobs=${JOBS:-$(nproc)}
CLASSIFY_SHARED=${CLASSIFY_SHARED:-$top/../shared}
export CLASSIFY_SHARED
fast=
clang=
while [ $# -gt 0 ]; do
  case $1 in
    --fast) fast=1 ;;
    --clang) clang=1 ;;
    -*)
      echo "run.sh: there is no option $1; known: --fast, --clang" >&2
      exit 1
      ;;
    *) break ;;
  esac
  shift
done

# A stage that could not be built is a failed test, not a silent gap.
logs=
broken=0
stage () { # [--only SUITE|tests] FOLDER MESON-OPTION... ; builds (what it runs)
  suite=
  if [ "$1" = --only ]; then
    suite=$2
    shift 2
  fi
  dir=$1
  shift
  echo "== $dir: $*"
  [ -f "$dir/build.ninja" ] || rm -rf "$dir"
  if [ -d "$dir" ]; then
    meson configure "$dir" "$@" >"$dir.log" 2>&1
  else
    meson setup "$dir" "$@" >"$dir.log" 2>&1
  fi && what=$(python3 tests/targets-of-suite.py "$dir" $suite) &&
    # shellcheck disable=SC2086 # a list of words
    ninja -C "$dir" -j "$jobs" $what >>"$dir.log" 2>&1 || {
    tail -n 60 "$dir.log"
    echo "run.sh: $dir could not be built, the whole log is in $dir.log"
    broken=$((broken + 1))
    return 1
  }
}
check () { # FOLDER MESON-TEST-ARGUMENT...
  dir=$1
  shift
  # GStreamer's own plugins are looked over here, by a scanner apart: in a test's
  # process their leaks (OpenNI2's, for one) would count as the test's
  for registry in registry registry-parts; do
    GST_REGISTRY="$dir/tests/$registry.bin" GST_REGISTRY_FORK=yes \
      gst-inspect-1.0 identity >/dev/null 2>&1
  done
  rm -f "$dir/meson-logs/testlog.json"
  meson test -C "$dir" --no-rebuild --num-processes "$jobs" --print-errorlogs "$@"
  logs="$logs $dir/meson-logs/testlog.json"
}

pipelines/install-deps.sh ${clang:+--clang} || exit 1

stage build -Dwerror=true && check build "$@"

if [ -n "$clang" ]; then
  export CC=clang
  stage build-clang -Dwerror=true && check build-clang "$@"
  unset CC
fi

if [ -z "$fast" ]; then
  supp=$top/tests/suppressions
  # gst-plugin-scanner has no sanitizer in it and could not open the plugin
  export GST_REGISTRY_FORK=no
  # b_lundef: the module finds the sanitizer in the program that loads it; kernels are
  # not run here, so that one architecture is enough
  if stage --only tests build-asan -Dwerror=true -Dbuildtype=debugoptimized -Db_lundef=false \
      -Dcuda-architectures=75 -Db_sanitize=address,undefined; then
    LSAN_OPTIONS=suppressions=$supp/lsan.txt:print_suppressions=0 \
      UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
      check build-asan --timeout-multiplier 4 "$@"
  fi
  if stage --only threads build-tsan -Dwerror=true -Dbuildtype=debugoptimized -Db_lundef=false \
      -Dcuda-architectures=75 -Db_sanitize=thread; then
    # GLib's locks are made visible by tests/tsan-glib.c, its slices hand memory from
    # thread to thread; what happens inside libraries built without the sanitizer
    # cannot be judged
    TSAN_OPTIONS=suppressions=$supp/tsan.txt:ignore_noninstrumented_modules=1:exitcode=66 \
      G_SLICE=always-malloc OMP_NUM_THREADS=1 \
      check build-tsan --timeout-multiplier 8 --suite threads
  fi
fi

# shellcheck disable=SC2086 # a list of words
exec python3 tests/count-results.py --broken $broken $logs
