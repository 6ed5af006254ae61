/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "nn/image.h"

G_BEGIN_DECLS

/* The raw formats that the element takes, out of one table. (transfer full) */
GstCaps *gst_video_classify_make_caps (void);

/* What the sampler must know of the frames; FALSE for a format not in the table. */
gboolean gst_video_classify_image_info (const GstVideoInfo *video, NnImageInfo *image);

G_END_DECLS
