/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "nn/image.h"

G_BEGIN_DECLS

/* Raw formats. Those of a table are read where they lie; any other that GStreamer can unpack is
 * unpacked first (gst/frame-copy.h); what is left is refused with a line that says what to do. */

/* What the pads take: what can be read in system and CUDA memory, then in memory that may be
 * mapped, then all of video/x-raw, so that what is refused can be named. (transfer full) */
GstCaps *gst_video_classify_make_caps (void);

/* Of @caps, an answer to an upstream that has named what it offers, the best that there is: an
 * element that can download a frame does so rather than leave that to this one.
 * (transfer full) */
GstCaps *gst_video_classify_choose_caps (const GstCaps *caps);

/* One line that says why frames of @caps, fixed, cannot be read and what to put in front;
 * NULL: they can. (transfer full) */
char *gst_video_classify_refuse_caps (const GstCaps *caps);

/* The element that copies frames out of the memory of this name ("VAMemory", a GstAllocator's
 * mem_type or what follows "memory:" in caps), or a description of one. */
const char *gst_video_classify_get_downloader (const char *memory);

/* What the sampler must know of the frames, upright ones of the size in @video; of those to be
 * unpacked it is what they are unpacked to. FALSE for what cannot be unpacked. */
gboolean gst_video_classify_image_info (const GstVideoInfo *video, NnImageInfo *image);
/* TRUE: read where they lie. */
gboolean gst_video_classify_is_direct (GstVideoFormat format);

G_END_DECLS
