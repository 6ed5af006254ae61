/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

#include "nn/cam.h"

G_BEGIN_DECLS

/* Draws what classifyoverlay shows: small images, ARGB premultiplied in the
 * machine's order with a GstVideoMeta, as GstVideoOverlayRectangle takes them.
 * The images lie in slots: one that is asked for again with the same content
 * is the same buffer. One thread at a time. */
typedef struct _OverlayPainter OverlayPainter;

typedef struct
{
  const char *font; /* Pango font description, its size ignored */
  double em;        /* height of the font of the best label, pixels */
  double aspect;    /* width of a pixel by its height */
  double opacity;   /* 0..1, of everything */
  guint top_k;
  gboolean show_bar;
  int max_width, max_height; /* pixels */
} OverlayStyle;

typedef struct
{
  char *label;
  double probability; /* 0..1 */
  int index;          /* -1: unknown */
  guint n;            /* of the list, best first */
  char **labels;
  double *probabilities;
  guint32 color;      /* 0xRRGGBB */
} OverlayResult;

/* NULL with @error where there is no font. */
OverlayPainter *overlay_painter_new (GError **error);
void overlay_painter_free (OverlayPainter *painter);

/* (transfer none)(nullable): label, bar and list of @result; NULL where not even the
 * label fits into the style's size. Sides are multiples of four pixels or the
 * whole of max_width, max_height. */
GstBuffer *overlay_painter_panel (OverlayPainter *painter, guint slot, const OverlayStyle *style,
    const OverlayResult *result);

/* (transfer none): @width x @height pixels of one colour. */
GstBuffer *overlay_painter_fill (
    OverlayPainter *painter, guint slot, int width, int height, guint32 color, double opacity);

/* (transfer none): @heat interpolated, clear through yellow to red. */
GstBuffer *overlay_painter_heat (OverlayPainter *painter, guint slot, int width, int height,
    const NnHeat *heat, double opacity);

/* Forgets the images in @slot and after it. */
void overlay_painter_trim (OverlayPainter *painter, guint slot);

G_END_DECLS
