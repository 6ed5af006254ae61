/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "nn/orientation.h"

G_BEGIN_DECLS

/* The tag `image-orientation` of a stream, by videoflip's rules: the stream's own before the
 * global one; a list of tags of a scope without it takes back what that scope told; a new stream
 * begins without any. Zeroed: nothing is told. One thread at a time. */
typedef struct {
  gboolean has_stream;
  NnOrientation stream, global;
  char *stream_id;
} OrientationTags;

/* TAG and STREAM_START; other events say nothing. */
void orientation_tags_take (OrientationTags *tags, GstEvent *event);
NnOrientation orientation_tags_get (const OrientationTags *tags);
void orientation_tags_clear (OrientationTags *tags);

/* Whether an element in front of @pad, a sink pad, turns the frames (video-direction, as videoflip
 * has it): it need not have changed the tag, and that of GStreamer 1.22 does not. */
gboolean orientation_is_done_before (GstPad *pad);

G_END_DECLS
