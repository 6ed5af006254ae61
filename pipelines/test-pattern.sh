#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The smallest pipeline: four seconds of a test pattern, every result printed.
#   [MODEL=FILE.h5] pipelines/test-pattern.sh [PATTERN]   (smpte, snow, ball, ...)

. "$(dirname "$0")/common.sh"
find_model "$build/demo/patterns.h5"
gst-launch-1.0 -m videotestsrc pattern="${1:-smpte}" num-buffers=120 ! \
  videoclassify model="$model" post-messages=all ! fakesink |
  grep --line-buffered ": videoclassify,"
