/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Frames of two colours and the model that names them: all that it should say of
 * a frame is known. */

#define CAPS "video/x-raw,format=RGB,width=32,height=16,framerate=25/1"
#define FRAME (40 * GST_MSECOND)
#define RED 0xff0000
#define GREEN 0x00ff00
#define BLUE 0x0000ff
#define CYAN 0x00ffff

/* softmax (4 * mean of red, green, blue) of 8x4 pixels; three labels, or NULL */
void write_color_model (const char *path, const char *const *labels);

/* the same with weights that are too large: of CYAN it says NaN */
void write_broken_model (const char *path, const char *const *labels);

/* of CAPS, left and right half in a colour each */
GstBuffer *frame_of (guint32 left, guint32 right, GstClockTime pts);

G_END_DECLS
