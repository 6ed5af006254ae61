#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Makes the pictures of the README again, of test patterns and the demo's model; run
# pipelines/demo.sh first. The report's needs chromium, which nothing else here does.
#
#   docs/make-pictures.sh
set -eu

# shellcheck source=pipelines/common.sh
. "$(dirname "$0")/../pipelines/common.sh"
demo=$build/demo
docs=$root/docs
find_model "$demo/patterns.h5"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# a frame with its labels and what speaks for them
gst-launch-1.0 -q videotestsrc pattern=ball num-buffers=6 ! \
  video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! \
  videoclassify model="$model" device=cpu explain=cam explain-interval=0 ! \
  classifyoverlay ! videoconvert ! pngenc ! multifilesink location="$work/%d.png"
cp "$work/5.png" "$docs/overlay.png"

# a model that was trained for two epochs only, so that there is something to tell of it
"$build/train/classify" train "$root/train/recipes/demo.ini" --data "$demo/data" --device cpu \
  --set schedule.epochs=2 --set schedule.learning_rate=1e-3 \
  --output "$work/patterns.h5" --log "$work/patterns.csv" --quiet

# some pictures with their labels, as predict draws them
for picture in bars/smpte bars/smpte100 bars/bar ball/ball circular/circular \
  checkers/checkers-4 checkers/checkers-8 gradient/gradient black/black; do
  mkdir -p "$work/sheet/${picture%/*}"
  gst-launch-1.0 -q videotestsrc pattern="${picture#*/}" num-buffers=1 ! \
    video/x-raw,width=160,height=120 ! videoconvert ! pngenc ! \
    filesink location="$work/sheet/$picture.png"
done
(cd "$work" && "$build/train/classify" predict patterns.h5 sheet --device cpu \
  --sheet "$docs/sheet.png" >/dev/null)

# the report as a browser shows it
ln -s "$demo/data/validate" "$work/validate"
(cd "$work" && "$build/train/classify" report patterns.h5 validate --device cpu \
  --log patterns.csv -o report.html >/dev/null)
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "make-pictures.sh: no chromium: docs/report.png stays as it is" >&2
  exit 0
}
"$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=960,1180 \
  --user-data-dir="$work/profile" --screenshot="$work/report.png" "file://$work/report.html" \
  2>/dev/null
cp "$work/report.png" "$docs/report.png"
