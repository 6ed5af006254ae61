/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_VIDEO_CLASSIFY (gst_video_classify_get_type ())
G_DECLARE_FINAL_TYPE (GstVideoClassify, gst_video_classify, GST, VIDEO_CLASSIFY, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (videoclassify);

G_END_DECLS
