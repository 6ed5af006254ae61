#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Several videos side by side in one process: the elements share one model.
#   [MODEL=FILE.h5] pipelines/several-files.sh VIDEO VIDEO...

. "$(dirname "$0")/common.sh"
[ $# -ge 1 ] || { echo "usage: $0 VIDEO..." >&2; exit 1; }
find_model
n=$#
i=0
while [ $i -lt "$n" ]; do
  set -- "$@" filesrc location="$1" ! decodebin ! \
    videoclassify name="file$i" model="$model" threads=1 ! fakesink sync=false
  shift
  i=$((i + 1))
done
gst-launch-1.0 -m "$@" |
  grep --line-buffered ": videoclassify,"
