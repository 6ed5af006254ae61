#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole way in one command: installs what is missing, builds, makes a
# labelled set of pictures out of GStreamer's test patterns, trains a network
# on it, plays an H.264 video of patterns and prints the label as it changes.
#
#   pipelines/demo.sh           that; leaves build/demo/labelled.mp4 to look at
#   pipelines/demo.sh FILE      tells cats from dogs in a video file of yours with
#                               models/cats-dogs.h5, or with MODEL=FILE.h5 from
#                               the environment
set -eu

. "$(dirname "$0")/common.sh"
demo=$build/demo
classes="ball bars black checkers circular gradient snow"

"$root/pipelines/install-deps.sh"
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" >"$root/.setup.log" 2>&1 ||
  { cat "$root/.setup.log"; exit 1; }
rm -f "$root/.setup.log"
ninja -C "$build" >"$build/ninja.log" || { cat "$build/ninja.log"; exit 1; }

# 36 frames of a pattern under changing size, crop, brightness, contrast and noise
variant() { # class pattern number split
  width=$((160 + $3 * 53 % 320))
  height=$((120 + $3 * 37 % 240))
  crop=$(($3 * 7 % 24))
  case $3 in
    0) balance="brightness=0 contrast=1" noise=0 ;;
    1) balance="brightness=0.08 contrast=0.8" noise=0.06 ;;
    2) balance="brightness=-0.06 contrast=1.1" noise=0.12 ;;
    3) balance="brightness=0.03 contrast=0.9 saturation=0.6" noise=0.03 ;;
    *) balance="brightness=-0.03 contrast=0.75 saturation=1.3" noise=0.09 ;;
  esac
  [ "$1" = snow ] && noise=0
  out=$demo/data/$4/$1
  mkdir -p "$out"
  gst-launch-1.0 -q \
    videotestsrc pattern="$2" horizontal-speed=$(($3 * 3)) num-buffers="$5" ! \
    video/x-raw,width=$width,height=$height,framerate=12/1 ! \
    videocrop left=$crop right=$((crop / 2)) top=$((crop / 3)) bottom=$crop ! \
    videoscale ! video/x-raw,width=$width,height=$height ! \
    videobalance $balance ! mix.sink_0 \
    videotestsrc pattern=snow num-buffers="$5" ! \
    video/x-raw,width=$width,height=$height,framerate=12/1 ! mix.sink_1 \
    compositor name=mix sink_1::alpha=$noise ! videoconvert ! jpegenc quality=80 ! \
    multifilesink location="$out/$2-$3-%03d.jpg"
}

make_data() {
  rm -rf "$demo/data"
  for class in $classes; do
    case $class in
      bars) patterns="smpte smpte75 smpte100 bar" ;;
      checkers) patterns="checkers-4 checkers-8" ;;
      circular) patterns="circular zone-plate" ;;
      *) patterns=$class ;;
    esac
    count=$(echo "$patterns" | wc -w)
    for pattern in $patterns; do
      for number in 0 1 2 3; do
        variant "$class" "$pattern" $number train $((36 / count))
      done
      variant "$class" "$pattern" 4 validate $((36 / count))
    done
  done
}

if [ $# -ge 1 ]; then
  find_model
  echo "Classifying $1 with $model"
  exec "$build/pipelines/embed" "$model" "$1"
fi

if [ -z "${MODEL:-}" ] && [ ! -f "$demo/patterns.h5" ]; then
  echo "Making pictures of test patterns ..."
  make_data
  echo "Training on them ..."
  "$build/train/classify" train "$root/train/recipes/demo.ini" --data "$demo/data" \
    --output "$demo/patterns.h5" --log "$demo/patterns.csv" --overwrite --device cpu
fi
find_model "$demo/patterns.h5"

# two seconds each of patterns that come and go, as H.264
if [ ! -f "$demo/feed.mp4" ]; then
  set --
  start=0
  for pattern in smpte ball black snow checkers-8 gradient circular bar black; do
    set -- "$@" videotestsrc pattern=$pattern num-buffers=60 timestamp-offset=${start}000000000 ! \
      video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! queue ! feed.
    start=$((start + 2))
  done
  gst-launch-1.0 -q concat name=feed adjust-base=false ! x264enc speed-preset=veryfast ! mp4mux ! \
    filesink location="$demo/feed.part.mp4" "$@"
  mv "$demo/feed.part.mp4" "$demo/feed.mp4"
fi
echo "Playing $demo/feed.mp4 (bars, ball, black, snow, checkers, gradient, circular, bars, black):"
"$build/pipelines/embed" "$model" "$demo/feed.mp4" "$demo/labelled.part.mp4"
mv "$demo/labelled.part.mp4" "$demo/labelled.mp4"
echo "The same with its labels: $demo/labelled.mp4"
