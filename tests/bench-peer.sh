#!/bin/sh
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# videoclassify against GStreamer's onnxinference (1.26: Debian 13's gstreamer1.0-plugins-bad)
# with the same network, whole pipelines, in turn. Prints milliseconds a frame and of CPU time
# a frame: of each round, then the medians and their ratios.
#
#   bench-peer.sh MODEL.h5 MODEL.onnx [ROUNDS [FRAMES]]     (tests/make-onnx.py makes the latter)
#
# GST_PLUGIN_PATH tells where videoclassify is. A pipeline of FRAMES frames less one of a tenth
# of them: what starting costs is not counted. The source is in the figures of both.
set -eu

model=$1
onnx=$2
rounds=${3:-5}
frames=${4:-600}
network=${SIZE:-144}

ours="videoclassify model=$model device=cpu post-messages=none"
theirs="videoconvertscale ! video/x-raw,format=RGB,width=$network,height=$network ! \
  onnxinference model-file=$onnx optimization-level=enable-all"

# wall and CPU seconds of a pipeline
run() { # FRAMES ELEMENTS
  # shellcheck disable=SC2086
  python3 - "$1" $2 <<'EOF'
import resource
import subprocess
import sys
import time
source = 'videotestsrc pattern=black num-buffers=%s ! video/x-raw,format=NV12,width=1920,' \
    'height=1080,framerate=30/1 !' % sys.argv[1]
start = time.monotonic()
subprocess.run(['gst-launch-1.0', '-q'] + source.split() + sys.argv[2:] + ['!', 'fakesink'],
               check=True, stderr=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.monotonic() - start, usage.ru_utime + usage.ru_stime)
EOF
}

i=0
while [ "$i" -lt "$rounds" ]; do
  for side in identity "$ours" "$theirs"; do
    short=$(run $((frames / 10)) "$side")
    long=$(run "$frames" "$side")
    echo "${side%% *} $short $long"
  done
  i=$((i + 1))
done | awk -v n=$((frames - frames / 10)) '
  {
    name = $1 == "videoconvertscale" ? "onnxinference" : $1
    k = ++count[name]
    wall[name, k] = ($4 - $2) * 1000 / n
    cpu[name, k] = ($5 - $3) * 1000 / n
    printf "%-14s %7.2f ms a frame, %7.2f ms of CPU\n", name, wall[name, k], cpu[name, k]
  }
  function median(a, name,  i, j, t, k, b) {
    k = count[name]
    for (i = 1; i <= k; i++) b[i] = a[name, i]
    for (i = 1; i <= k; i++)
      for (j = i + 1; j <= k; j++)
        if (b[j] < b[i]) { t = b[i]; b[i] = b[j]; b[j] = t }
    return b[int((k + 1) / 2)]
  }
  END {
    printf "medians: onnxinference / videoclassify: %.2f of the time, %.2f of the CPU\n",
      median(wall, "onnxinference") / median(wall, "videoclassify"),
      median(cpu, "onnxinference") / median(cpu, "videoclassify")
  }'
