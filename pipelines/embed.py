#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints the label of every frame of a video, read from the buffers' meta.

    embed.py MODEL INPUT

Needs python3-gi and gir1.2-gstreamer-1.0. Shows the third way to the results
(beside bus messages and the signal): the meta on each buffer, which other
elements hand on.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def on_buffer(pad, info):
    buffer = info.get_buffer()
    meta = buffer.get_custom_meta("GstVideoClassifyMeta")
    if meta:
        result = meta.get_structure()
        found, probability = result.get_double("probability")
        label = result.get_string("label")
        print(f"{buffer.pts / Gst.SECOND:9.3f} s  {label:12} {probability:.3f}",
              flush=True)
    return Gst.PadProbeReturn.OK


def main():
    Gst.init(None)
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, path = sys.argv[1:]
    uri = path if Gst.uri_is_valid(path) else Gst.filename_to_uri(path)
    pipeline = Gst.parse_launch(
        "uridecodebin name=source ! videoclassify name=classifier post-messages=none"
        " ! videoconvert ! fakesink name=sink sync=false")
    pipeline.get_by_name("source").set_property("uri", uri)
    pipeline.get_by_name("classifier").set_property("model", model)
    pipeline.get_by_name("sink").get_static_pad("sink").add_probe(
        Gst.PadProbeType.BUFFER, on_buffer)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        Gst.CLOCK_TIME_NONE, Gst.MessageType.ERROR | Gst.MessageType.EOS)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(str(message.parse_error()[0].message))


main()
