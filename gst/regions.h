/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

#include "nn/image.h"

G_BEGIN_DECLS

/* Part of a frame that is classified on its own. */
typedef struct {
  gboolean is_whole; /* nobody named a rectangle: results carry none */
  int id;            /* GstVideoRegionOfInterestMeta.id, or of the analytics OD; -1 = none */
  guint mtd;         /* id of the GstAnalyticsODMtd, 0xffffffff = none */
  GQuark label;      /* what the detector called it, 0 = nothing */
  NnRect rect;       /* pixels of the picture in the buffer, as of its GstVideoMeta */
} Region;

#define REGION_NO_MTD 0xffffffffu

/* A rectangle in pixels or in fractions of the picture. */
typedef struct {
  gboolean is_set, is_fraction;
  double x, y, width, height;
} Crop;

/* "x,y,width,height": whole numbers are pixels; with a point or a percent sign in
 * one of them all are fractions of the picture. NULL and "" = not set.
 * FALSE, naming what is wrong, for anything else. */
gboolean crop_parse (const char *string, Crop *crop, GError **error);

/* What @a and @b share; FALSE when that is less than a pixel wide or high. */
gboolean rect_intersect (const NnRect *a, const NnRect *b, NnRect *result);

/* @crop of @area, cut where it leaves it; FALSE when nothing is left. */
gboolean crop_apply (const Crop *crop, const NnRect *area, NnRect *rect);

/* The regions that detectors attached to @buffer: GstVideoRegionOfInterestMeta,
 * and GstAnalyticsODMtd where GStreamer has it and no ROI meta tells the same
 * rectangle; only those within @area at least in part, with one of @labels (NULL = any),
 * the @max largest of them, largest first. Returns how many. */
guint regions_collect (
    GstBuffer *buffer, const NnRect *area, const char *const *labels, guint max, Region *regions);

/* Whether both are about the same thing: equal ids, else rectangles that share
 * more than half of their union. */
gboolean region_matches (const Region *a, const Region *b);

G_END_DECLS
