#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Packs what checks and times the CUDA back end on another machine: programs, module,
# plugin, models and the shared libraries that they need, but for the C library's and
# NVIDIA's. There: unpack, ./run.sh (tests/gpu-run.sh; it tells what it looks for).
#
#   tests/gpu-bundle.sh [-o FILE.tar.gz] [BUILD]
#
# BUILD: a finished build folder with the CUDA back end (default: build). At most 60 MB.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
out=gpu-bundle.tar.gz
if [ "${1:-}" = -o ]; then
  out=$2
  shift 2
fi
build=$(cd "${1:-$top/build}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dir=$work/gpu-bundle
mkdir -p "$dir/bin" "$dir/lib" "$dir/module" "$dir/gst"

for program in tests/test-layers tests/gpu-check tests/test-frames tests/bench-plan \
  tests/bench-train tests/bench-load train/classify; do
  [ -x "$build/$program" ] || continue
  cp "$build/$program" "$dir/bin/"
done
[ -x "$dir/bin/gpu-check" ] || {
  echo "gpu-bundle.sh: $build holds no tests: build it first" >&2
  exit 1
}
cp "$build/cuda/nn-backend-cuda.so" "$dir/module/"
grep -q nn_k_finish "$dir/module/nn-backend-cuda.so" || {
  echo "gpu-bundle.sh: $build has no CUDA back end (meson configure -Dcuda=enabled)" >&2
  exit 1
}

# a pipeline: our plugin and the few of GStreamer's that it needs around it
plugins=$(pkg-config --variable=pluginsdir gstreamer-1.0 2>/dev/null || true)
launch=$(command -v gst-launch-1.0 || true)
if [ -e "$build/gst/libgstclassify.so" ] && [ -n "$plugins" ] && [ -n "$launch" ]; then
  cp "$build/gst/libgstclassify.so" "$dir/gst/"
  for name in coreelements videotestsrc videoconvertscale; do
    cp "$plugins/libgst$name.so" "$dir/gst/"
  done
  # frames in the device's memory, where GStreamer was built with it
  [ ! -e "$plugins/libgstnvcodec.so" ] || cp "$plugins/libgstnvcodec.so" "$dir/gst/"
  mkdir "$dir/no-decoder"
  cp "$build/tests/fake-cuda/libnvcuvid.so.1" "$dir/no-decoder/"
  cp "$launch" "$dir/bin/"
fi

# every library that any of them asks for, but the C library's own
ldd "$dir"/bin/* "$dir"/module/*.so "$dir"/gst/*.so 2>/dev/null \
  | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
  case $(basename "$library") in
    ld-linux* | libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libresolv.so*) ;;
    libcuda.so* | libcudnn* | libcublas* | libnv*) ;;
    *) cp -L "$library" "$dir/lib/" ;;
  esac
done
strip --strip-unneeded "$dir"/bin/* "$dir"/lib/* "$dir"/gst/*.so 2>/dev/null || true

mkdir -p "$dir/data/train" "$dir/data/pipelines"
cp -r "$top/train/networks" "$dir/data/train/"
cp -r "$top/pipelines/models" "$dir/data/pipelines/"
mkdir -p "$dir/bench"
cp "$top/tests/bench/rivals.py" "$top/tests/bench/gpu-rivals.py" "$dir/bench/"
cp "$top/tests/gpu-run.sh" "$dir/run.sh"
cp "$top/LICENSE" "$dir/"
chmod +x "$dir/run.sh"

tar -C "$work" -czf "$out" gpu-bundle
size=$(wc -c <"$out")
if [ "$size" -gt 60000000 ]; then
  echo "gpu-bundle.sh: $out has $size bytes, more than 60 MB" >&2
  exit 1
fi
echo "$out: $((size / 1000000)) MB; there: tar xf $(basename "$out") && gpu-bundle/run.sh"
