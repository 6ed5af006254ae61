/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* gst_video_overlay_composition_blend() unpacks whole lines, blends, and packs them
 * again: of a 4K frame four times what a panel covers, and formats that lose
 * something by that lose it beside the panel too. So it is given a view, a frame
 * that begins and ends where the image does. */
#include "gst/overlay-image.h"

#include <gst/video/gstvideometa.h>

static GstVideoOverlayRectangle *
new_rectangle (const OverlayImage *image, int x, int y)
{
  return gst_video_overlay_rectangle_new_raw (image->pixels, x, y, (guint) image->width,
      (guint) image->height, GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
}

GstVideoOverlayComposition *
overlay_images_compose (const OverlayImage *images, guint n, GstVideoOverlayComposition *below)
{
  GstVideoOverlayComposition *composition = gst_video_overlay_composition_new (NULL);

  for (guint i = 0; below && i < gst_video_overlay_composition_n_rectangles (below); i++)
    gst_video_overlay_composition_add_rectangle (
        composition, gst_video_overlay_composition_get_rectangle (below, i));
  for (guint i = 0; i < n; i++) {
    GstVideoOverlayRectangle *rectangle = new_rectangle (&images[i], images[i].x, images[i].y);

    gst_video_overlay_composition_add_rectangle (composition, rectangle);
    gst_video_overlay_rectangle_unref (rectangle);
  }
  return composition;
}

/* Whether a view may begin at a pixel, and of how many pixels, at least, it consists
 * on either way: those that share a sample of chroma. */
static gboolean
get_steps (const GstVideoFormatInfo *format, guint *step_x, guint *step_y)
{
  *step_x = *step_y = 1;
  if (format->flags
      & (GST_VIDEO_FORMAT_FLAG_COMPLEX | GST_VIDEO_FORMAT_FLAG_TILED
          | GST_VIDEO_FORMAT_FLAG_PALETTE))
    return FALSE;
  for (guint i = 0; i < format->n_components; i++) {
    if (format->pixel_stride[i] <= 0)
      return FALSE;
    *step_x = MAX (*step_x, 1u << format->w_sub[i]);
    *step_y = MAX (*step_y, 1u << format->h_sub[i]);
  }
  return TRUE;
}

/* The first multiple of @step (a power of two) at or before, at or after @value. */
#define BEFORE(value, step) ((int) ((guint) MAX (value, 0) & ~((step) - 1)))
#define AFTER(value, step) BEFORE ((value) + (int) (step) - 1, step)

/* The part of @frame that holds the given pixels; *@x, *@y: where it begins. */
static void
make_view (const GstVideoFrame *frame, int *x, int *y, int width, int height, GstVideoFrame *view)
{
  const GstVideoFormatInfo *format = frame->info.finfo;
  guint step_x, step_y;
  const gboolean possible = get_steps (format, &step_x, &step_y);
  const int right = MIN (AFTER (*x + width, step_x), frame->info.width);
  const int bottom = MIN (AFTER (*y + height, step_y), frame->info.height);
  const int left = BEFORE (*x, step_x), top = BEFORE (*y, step_y);

  *view = *frame;
  *x = *y = 0;
  if (!possible || right <= left || bottom <= top)
    return;
  for (guint plane = 0; plane < format->n_planes; plane++) {
    guint component = 0;

    while (format->plane[component] != plane)
      component++;
    view->data[plane] = (guint8 *) frame->data[plane]
        + (gssize) (top >> format->h_sub[component]) * frame->info.stride[plane]
        + (gssize) (left >> format->w_sub[component]) * format->pixel_stride[component];
  }
  view->info.width = right - left;
  view->info.height = bottom - top;
  *x = left;
  *y = top;
}

gboolean
overlay_images_blend (const OverlayImage *images, guint n, GstVideoFrame *frame, int dx, int dy)
{
  gboolean ok = TRUE;

  for (guint i = 0; i < n; i++) {
    const OverlayImage *image = &images[i];
    int x = image->x + dx, y = image->y + dy;
    GstVideoOverlayRectangle *rectangle;
    GstVideoOverlayComposition *composition;
    GstVideoFrame view;

    make_view (frame, &x, &y, image->width, image->height, &view);
    rectangle = new_rectangle (image, image->x + dx - x, image->y + dy - y);
    composition = gst_video_overlay_composition_new (rectangle);
    gst_video_overlay_rectangle_unref (rectangle);
    ok = gst_video_overlay_composition_blend (composition, &view) && ok;
    gst_video_overlay_composition_unref (composition);
  }
  return ok;
}
