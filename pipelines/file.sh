#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Classifies a video file as fast as it goes and prints a message at each
# change of the label:  [MODEL=FILE.h5] pipelines/file.sh VIDEO

. "$(dirname "$0")/common.sh"
[ $# -eq 1 ] || { echo "usage: $0 VIDEO" >&2; exit 1; }
find_model
gst-launch-1.0 -m filesrc location="$1" ! decodebin ! \
  videoclassify model="$model" ! fakesink sync=false |
  grep --line-buffered ": videoclassify,"
