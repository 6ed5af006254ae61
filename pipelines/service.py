#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A classifier as a service: frames in, a line of JSON for each out.

    service.py MODEL.h5 [PROPERTY=VALUE...]

Reads frames from standard input, each a line "WIDTH HEIGHT" and then WIDTH * HEIGHT * 3 bytes
of RGB, and answers each with one line on standard output. The application keeps the frames
(appsrc) and takes the results (appsink) itself; libgstclassify-1.0 reads them.
"""
import json
import sys

import gi
gi.require_version('Gst', '1.0')
gi.require_version('GstApp', '1.0')
gi.require_version('GstClassify', '1.0')
from gi.repository import Gst, GstApp, GstClassify  # noqa: E402, F401


class Service:
    def __init__(self, model, settings):
        self.pipeline = Gst.parse_launch(
            'appsrc name=in format=time is-live=false block=true ! videoclassify name=c '
            'post-messages=none ! appsink name=out sync=false')
        classifier = self.pipeline.get_by_name('c')
        classifier.set_property('model', model)
        for setting in settings:
            name, _, value = setting.partition('=')
            Gst.util_set_object_arg(classifier, name, value)
        self.source = self.pipeline.get_by_name('in')
        self.sink = self.pipeline.get_by_name('out')
        self.size, self.n = None, 0
        self.pipeline.set_state(Gst.State.PLAYING)

    def fail(self):
        message = self.pipeline.get_bus().timed_pop_filtered(
            Gst.SECOND, Gst.MessageType.ERROR)
        sys.exit('service.py: ' + (message.parse_error()[0].message if message else 'no answer'))

    def classify(self, width, height, pixels):
        """The results of one frame: a dict for each."""
        if (width, height) != self.size:
            self.size = width, height
            # lines of raw video are padded to four bytes
            self.source.set_caps(Gst.Caps.from_string(
                f'video/x-raw,format=RGB,width={width},height={height},framerate=25/1'))
        stride = (3 * width + 3) // 4 * 4
        if stride != 3 * width:
            pixels = b''.join(pixels[y * 3 * width:(y + 1) * 3 * width].ljust(stride, b'\0')
                              for y in range(height))
        buffer = Gst.Buffer.new_wrapped(pixels)
        buffer.pts, buffer.duration = self.n * 40 * Gst.MSECOND, 40 * Gst.MSECOND
        self.n += 1
        if self.source.push_buffer(buffer) != Gst.FlowReturn.OK:
            self.fail()
        sample = self.sink.try_pull_sample(60 * Gst.SECOND)
        if sample is None:
            self.fail()
        return [{'label': result.get_label(), 'probability': result.get_probability(),
                 'classes': dict(zip(result.get_labels(), result.get_probabilities())),
                 'model': result.get_model()}
                for result in GstClassify.buffer_get_results(sample.get_buffer())]

    def stop(self):
        self.pipeline.set_state(Gst.State.NULL)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    Gst.init(None)
    service = Service(sys.argv[1], sys.argv[2:])
    stdin = sys.stdin.buffer
    while True:
        header = stdin.readline().split()
        if not header:
            break
        try:
            width, height = (int(word) for word in header)
        except ValueError:
            sys.exit(f'service.py: expected "WIDTH HEIGHT", found {header}')
        pixels = stdin.read(3 * width * height)
        if len(pixels) != 3 * width * height:
            sys.exit(f'service.py: {len(pixels)} bytes of {3 * width * height} and the end')
        print(json.dumps(service.classify(width, height, pixels)), flush=True)
    service.stop()


if __name__ == '__main__':
    main()
