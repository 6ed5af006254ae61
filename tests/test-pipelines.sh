#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The programs together, as TAP: a model is trained here on test patterns, then an
# H.264 video goes through gst-launch-1.0, and what the element says of each frame is
# what `classify predict` says of the same decoded pixels. Then the scripts and
# programs of pipelines/ are run with that model.
#
#   test-pipelines.sh SOURCE_ROOT BUILD_ROOT
set -u

source=$1
build=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0
status=0

result() { # status, name
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $n $2"
  else
    echo "not ok $n $2"
    status=1
  fi
}

skip_all() {
  echo "1..0 # SKIP $1"
  exit 0
}

for element in x264enc avdec_h264 pngenc jpegenc textoverlay mp4mux; do
  gst-inspect-1.0 "$element" >/dev/null 2>&1 || skip_all "there is no GStreamer element $element"
done

for pattern in smpte ball; do
  for split in train validate; do
    mkdir -p "$dir/data/$split/$pattern"
    gst-launch-1.0 -q videotestsrc pattern=$pattern num-buffers=24 ! \
      video/x-raw,width=96,height=80 ! videoconvert ! jpegenc ! \
      multifilesink location="$dir/data/$split/$pattern/%02d.jpg"
  done
done
sed -e 's/^epochs=.*/epochs=2/' -e 's/^learning_rate=.*/learning_rate=1e-3/' \
  -e "s#^file=.*#file=$source/train/networks/small.json#" \
  "$source/train/recipes/demo.ini" >"$dir/recipe.ini"
"$build/train/classify" train "$dir/recipe.ini" --data "$dir/data" --output "$dir/model.h5" \
  --device cpu --quiet
result $? "train"

gst-launch-1.0 -q videotestsrc pattern=smpte num-buffers=15 ! \
  video/x-raw,format=I420,width=320,height=240 ! x264enc ! mp4mux ! \
  filesink location="$dir/video.mp4"
result $? "encode"

# label and probability of each frame, from the bus and from the pictures
mkdir "$dir/frames"
gst-launch-1.0 -m filesrc location="$dir/video.mp4" ! decodebin ! videoconvert ! \
  video/x-raw,format=RGB ! tee name=t ! queue ! \
  videoclassify model="$dir/model.h5" device=cpu post-messages=all ! fakesink \
  t. ! queue ! pngenc ! multifilesink location="$dir/frames/%03d.png" >"$dir/messages.txt" 2>&1
sed -n 's/.*: videoclassify, label=(string)\([^,]*\), .*probability=(double)\([^,]*\),.*/\1 \2/p' \
  "$dir/messages.txt" | awk '{ printf "%s %.6f\n", $1, $2 }' >"$dir/streamed.txt"
"$build/train/classify" predict "$dir/model.h5" "$dir/frames" --device cpu --format csv |
  awk -F, 'NR > 1 { printf "%s %.6f\n", $2, $3 }' >"$dir/predicted.txt"
[ "$(wc -l <"$dir/streamed.txt")" -eq 15 ]
result $? "a message for each frame"
cmp "$dir/streamed.txt" "$dir/predicted.txt" >&2
result $? "the element and classify predict agree on the same pixels"

# an application with the library, and one that is built with what is installed
"$build/pipelines/watch" "$dir/model.h5" "$dir/video.mp4" >"$dir/watch.txt"
[ $? -eq 0 ] && grep -q '^0:00:00.0.*  smpte ' "$dir/watch.txt"
result $? "pipelines/watch tells what it sees"
DESTDIR=$dir/installed meson install -C "$build" --no-rebuild >"$dir/install.txt" 2>&1
pc=$(find "$dir/installed" -name gstreamer-classify-1.0.pc)
[ -n "$pc" ] && sed "s#^prefix=#prefix=$dir/installed#" "$pc" >"$dir/gstreamer-classify-1.0.pc"
# shellcheck disable=SC2046
cc "$source/pipelines/watch.c" $(PKG_CONFIG_PATH=$dir pkg-config --cflags --libs \
  gstreamer-classify-1.0) -o "$dir/watch" >&2 &&
  LD_LIBRARY_PATH=$(dirname "$(find "$dir/installed" -name 'libgstclassify-1.0.so')") \
    "$dir/watch" "$dir/model.h5" "$dir/video.mp4" | cmp - "$dir/watch.txt" >&2
result $? "an application built with the installed library"
if [ -f "$build/GstClassify-1.0.typelib" ] && python3 -c 'import gi' 2>/dev/null; then
  gst-launch-1.0 -q videotestsrc pattern=smpte num-buffers=1 ! \
    video/x-raw,format=RGB,width=320,height=240 ! filesink location="$dir/frame.rgb"
  { for _ in 1 2; do echo 320 240; cat "$dir/frame.rgb"; done; } |
    GI_TYPELIB_PATH=$build LD_LIBRARY_PATH=$build "$source/pipelines/service.py" \
      "$dir/model.h5" device=cpu >"$dir/service.txt"
  [ "$(grep -c '^\[{"label": "smpte", "probability": ' "$dir/service.txt")" -eq 2 ]
  result $? "pipelines/service.py answers through the typelib"
fi

# the frames as they were decoded (I420), where the conversion is ours: the same labels
gst-launch-1.0 -m filesrc location="$dir/video.mp4" ! decodebin ! \
  videoclassify model="$dir/model.h5" device=cpu post-messages=all ! fakesink \
  >"$dir/messages.txt" 2>&1
[ "$(grep -c 'videoclassify, label=(string)smpte' "$dir/messages.txt")" -eq 15 ]
result $? "labels of the frames as decoded"

MODEL=$dir/model.h5
export MODEL
for script in "file.sh $dir/video.mp4" "test-pattern.sh ball" \
  "several-files.sh $dir/video.mp4 $dir/video.mp4"; do
  # shellcheck disable=SC2086
  CLASSIFY_BUILD=$build "$source"/pipelines/$script >"$dir/out.txt" 2>&1 &&
    grep -q 'videoclassify, label=(string)' "$dir/out.txt"
  result $? "${script%% *}"
done
"$build/pipelines/embed" "$dir/model.h5" "$dir/video.mp4" "$dir/labelled.mp4" \
  >"$dir/out.txt" 2>&1 &&
  grep -q '^00:00:00.000  smpte' "$dir/out.txt" && grep -q '^15 frames, ' "$dir/out.txt" &&
  [ -s "$dir/labelled.mp4" ]
result $? "embed.c"
if /usr/bin/python3 -c 'import gi' 2>/dev/null; then
  [ "$(/usr/bin/python3 "$source/pipelines/embed.py" "$dir/model.h5" "$dir/video.mp4" 2>&1 |
    grep -c smpte)" -eq 15 ]
  result $? "embed.py"
else
  n=$((n + 1))
  echo "ok $n embed.py # SKIP there is no python3-gi"
fi

gst-inspect-1.0 videoclassify >"$dir/inspect.txt" 2>&1
for property in model weights labels-file device precision threads top-k threshold \
  inference-interval tta post-messages skip-late report-latency label probability; do
  grep -q "^  $property  *: " "$dir/inspect.txt"
  result $? "gst-inspect-1.0 documents $property"
done

GST_DEBUG=GST_TRACER:7 GST_TRACERS=leaks gst-launch-1.0 -q filesrc location="$dir/video.mp4" ! \
  decodebin ! videoclassify model="$dir/model.h5" device=cpu ! fakesink >"$dir/leaks.txt" 2>&1
! grep -q "object-alive, type-name=(string)[A-Z]" "$dir/leaks.txt"
result $? "nothing leaks"

echo "1..$n"
exit $status
