# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Sourced by the scripts beside it: where things are, and which model to take.

root=$(cd "$(dirname "$0")/.." && pwd)
build=${CLASSIFY_BUILD:-$root/build}
export CLASSIFY_BACKEND_PATH="$build/cuda"
export GST_PLUGIN_PATH="$build/gst${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
# jpegdec does not tell how a JPEG is turned, jpegparse does: with a rank decodebin puts it in front
ranks=${GST_PLUGIN_FEATURE_RANK-}
export GST_PLUGIN_FEATURE_RANK="jpegparse:primary${ranks:+,$ranks}"

# MODEL from the environment, else the one named, else the cats and dogs that the
# repository holds.
find_model() { # [FILE]
  model=${MODEL:-${1:-$root/pipelines/models/cats-dogs.h5}}
  if [ ! -f "$model" ]; then
    echo "$model: no such model: run pipelines/demo.sh first, or set MODEL=FILE.h5" >&2
    exit 1
  fi
}
