/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/classify/heat-map.h>
#include <gst/classify/result.h>
#include <gst/video/video.h>

G_BEGIN_DECLS

/* Results and heat maps on a buffer: custom metas, so that a program in any language
 * reads them with nothing of ours; the headers in gst/classify, which applications have,
 * list their fields. A buffer has a result for each region. Rectangles follow the picture
 * through elements that tell what they do to it, as videoscale does, and go away in others,
 * a heat map with its rectangle. */

/* Registers the metas; any number of times. */
void gst_video_classify_meta_register (void);

/* (transfer none)(nullable): the structure on @buffer, valid as long as it is there. */
const GstStructure *gst_buffer_get_video_classify (GstBuffer *buffer);

/* (transfer none)(nullable): one result after the other, of several on @buffer;
 * *@state is NULL at first. */
const GstStructure *gst_buffer_iterate_video_classify (GstBuffer *buffer, gpointer *state);

/* Adds a copy of the fields of @result, which is about @rectangle (nullable: all) of the
 * picture; @buffer must be writable. (transfer none): the copy */
GstStructure *gst_buffer_add_video_classify (
    GstBuffer *buffer, const GstStructure *result, const GstVideoRectangle *rectangle);

/* (transfer none)(nullable): the map on @buffer. */
const GstStructure *gst_buffer_get_video_classify_heat_map (GstBuffer *buffer);

/* As gst_buffer_add_video_classify(); @map has the fields of its rectangle. */
GstStructure *gst_buffer_add_video_classify_heat_map (GstBuffer *buffer, const GstStructure *map);

G_END_DECLS
