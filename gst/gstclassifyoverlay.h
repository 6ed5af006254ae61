/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_CLASSIFY_OVERLAY (gst_classify_overlay_get_type ())
G_DECLARE_FINAL_TYPE (
    GstClassifyOverlay, gst_classify_overlay, GST, CLASSIFY_OVERLAY, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (classifyoverlay);

G_END_DECLS
