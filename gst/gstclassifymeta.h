/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* The result on a buffer: a custom meta, so that a program in any language
 * reads it with nothing of ours:
 *
 *   structure = gst_custom_meta_get_structure (
 *       gst_buffer_get_custom_meta (buffer, "GstVideoClassifyMeta"));
 *
 * It has no tags and so is kept by videoconvert, videoscale, videocrop, tee.
 * Fields of the structure:
 *
 *   label          string         best label, "unknown" below the threshold
 *   index          int            its class index, -1 for "unknown"
 *   probability    double         0..1, of the best class
 *   labels         array of strings, best first, top-k of them
 *   probabilities  array of doubles, 0..1, the same order
 *   age            uint           frames since the classified one: 0 = this frame itself
 *   age-time       uint64         ns, the same as a time
 *   inference-time uint64         ns, pre-processing and network
 *   views          uint           test-time augmentation: views averaged
 *   device         string         "cpu", "cuda:0"
 *   model          string         name of the model file
 *
 * and only where there is something to tell:
 *
 *   x, y, width, height  int      pixels: the part of the frame that it is about;
 *                                 without them: the whole frame
 *   region         int            id of its GstVideoRegionOfInterestMeta
 *   region-label   string         what the detector called it
 *   raw-label      string         best label of this classification before smoothing
 *   raw-probability double        its probability
 *
 * A buffer has one such meta for each region. */
#define GST_VIDEO_CLASSIFY_META_NAME "GstVideoClassifyMeta"

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
