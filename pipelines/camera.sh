#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shows a camera and prints a message at each change of the label:
#   [MODEL=FILE.h5] pipelines/camera.sh [/dev/videoN]

. "$(dirname "$0")/common.sh"
find_model
gst-launch-1.0 -m v4l2src device="${1:-/dev/video0}" ! decodebin ! \
  videoclassify model="$model" tta=flip ! videoconvert ! autovideosink |
  grep --line-buffered ": videoclassify,"
