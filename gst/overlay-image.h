/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* An image of the painter and where it lies on the picture, in pixels. */
typedef struct
{
  GstBuffer *pixels;
  int x, y, width, height;
} OverlayImage;

/* (transfer full): the rectangles of @below (nullable), then the images. */
GstVideoOverlayComposition *overlay_images_compose (
    const OverlayImage *images, guint n, GstVideoOverlayComposition *below);

/* Blends the images, moved by (@dx, @dy), into @frame, mapped for reading and writing.
 * Only what lies below them is read and written, where the format allows to
 * begin in the middle of a line. FALSE where GStreamer cannot blend the format. */
gboolean overlay_images_blend (
    const OverlayImage *images, guint n, GstVideoFrame *frame, int dx, int dy);

G_END_DECLS
