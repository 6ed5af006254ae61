/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/classify/result.h>

G_BEGIN_DECLS

/* The result on a buffer: a custom meta, so that a program in any language reads it
 * with nothing of ours; gst/classify/result.h, which applications have, lists its fields.
 * A buffer has one such meta for each region. */

/* What spoke for the label, with videoclassify's explain=cam: a meta of its own,
 * not of every result, with the fields
 *
 *   label          string         the class that is explained
 *   index          int
 *   probability    double         of it, of the frame as it is, without views and smoothing
 *   method         string         "cam" (Zhou et al. 2016), "grad-cam" (Selvaraju et al. 2017)
 *   rows, columns  uint           size of the map
 *   map            GBytes         rows x columns bytes, row by row; 255 at the largest value,
 *                                 all 0 where nothing speaks for the class
 *   age, age-time  as above
 *   x, y, width, height  int      pixels that the map covers, which may lie outside of the
 *                                 frame; without them: the whole frame
 *   region         int            as above */
#define GST_VIDEO_CLASSIFY_HEAT_MAP_META_NAME "GstVideoClassifyHeatMap"

/* Registers the metas; any number of times. */
void gst_video_classify_meta_register (void);

/* (transfer none)(nullable): the structure on @buffer, valid as long as it is there. */
const GstStructure *gst_buffer_get_video_classify (GstBuffer *buffer);

/* (transfer none)(nullable): one result after the other, of several on @buffer;
 * *@state is NULL at first. */
const GstStructure *gst_buffer_iterate_video_classify (GstBuffer *buffer, gpointer *state);

/* Adds a copy of the fields of @result; @buffer must be writable. (transfer none): the copy */
GstStructure *gst_buffer_add_video_classify (GstBuffer *buffer, const GstStructure *result);

/* (transfer none)(nullable): the map on @buffer. */
const GstStructure *gst_buffer_get_video_classify_heat_map (GstBuffer *buffer);

/* As gst_buffer_add_video_classify(). */
GstStructure *gst_buffer_add_video_classify_heat_map (GstBuffer *buffer, const GstStructure *map);

G_END_DECLS
