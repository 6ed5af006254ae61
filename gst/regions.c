/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/regions.h"

#include <gst/video/gstvideometa.h>
#include <math.h>
#include <string.h>

#include "gst/analytics.h"
#include "nn/error.h"

#define MAX_CANDIDATES 1024 /* that are compared with each other */

gboolean
crop_parse (const char *string, Crop *crop, GError **error)
{
  g_auto (GStrv) parts = NULL;
  double values[4];

  *crop = (Crop){ 0 };
  if (!string || !*string)
    return TRUE;
  parts = g_strsplit (string, ",", -1);
  if (g_strv_length (parts) != 4)
    goto bad;
  crop->is_fraction = strpbrk (string, ".%") != NULL;
  for (guint i = 0; i < 4; i++) {
    char *end;

    values[i] = g_ascii_strtod (g_strstrip (parts[i]), &end);
    if (end == parts[i])
      goto bad;
    if (*end == '%') {
      values[i] /= 100;
      end++;
    }
    if (*end || !isfinite (values[i]) || values[i] < 0
        || (crop->is_fraction && values[i] > 1 + 1e-9) || values[i] > 1e6)
      goto bad;
  }
  if (values[2] <= 0 || values[3] <= 0)
    goto bad;
  crop->x = values[0];
  crop->y = values[1];
  crop->width = values[2];
  crop->height = values[3];
  crop->is_set = TRUE;
  return TRUE;

bad:
  *crop = (Crop){ 0 };
  g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
      "crop \"%s\": expected x,y,width,height, in pixels as \"100,0,720,720\" or in fractions of "
      "the frame as \"0.25,0,0.5,1.0\" or \"25%%,0%%,50%%,100%%\"",
      string);
  return FALSE;
}

gboolean
rect_intersect (const NnRect *a, const NnRect *b, NnRect *result)
{
  const double x = MAX (a->x, b->x), y = MAX (a->y, b->y);
  const double right = MIN (a->x + a->width, b->x + b->width);
  const double bottom = MIN (a->y + a->height, b->y + b->height);

  *result = (NnRect){ x, y, right - x, bottom - y };
  return right - x >= 1 && bottom - y >= 1; /* less than a pixel is nothing to look at */
}

gboolean
crop_apply (const Crop *crop, const NnRect *area, NnRect *rect)
{
  const double sx = crop->is_fraction ? area->width : 1;
  const double sy = crop->is_fraction ? area->height : 1;
  NnRect wanted
      = { area->x + crop->x * sx, area->y + crop->y * sy, crop->width * sx, crop->height * sy };

  if (!crop->is_set) {
    *rect = *area;
    return TRUE;
  }
  return rect_intersect (&wanted, area, rect);
}

static double
area_of (const NnRect *rect)
{
  return rect->width * rect->height;
}

static double
overlap (const NnRect *a, const NnRect *b)
{
  NnRect both;

  if (!rect_intersect (a, b, &both))
    return 0;
  return area_of (&both) / (area_of (a) + area_of (b) - area_of (&both));
}

gboolean
region_matches (const Region *a, const Region *b)
{
  if (a->is_whole || b->is_whole)
    return a->is_whole && b->is_whole;
  if (a->id >= 0 && a->id == b->id)
    return TRUE;
  return overlap (&a->rect, &b->rect) > 0.5;
}

static int
compare_area (gconstpointer a, gconstpointer b)
{
  const double x = area_of (&((const Region *)a)->rect), y = area_of (&((const Region *)b)->rect);

  return (y > x) - (y < x);
}

static gboolean
is_wanted (GQuark label, const char *const *labels)
{
  if (!labels || !labels[0])
    return TRUE;
  return label != 0 && g_strv_contains (labels, g_quark_to_string (label));
}

/* Leaves of @found those that have a part in @area and one of @labels, the largest first, at
 * most MAX_CANDIDATES. */
static void
keep_candidates (GArray *found, const NnRect *area, const char *const *labels)
{
  guint n = 0;

  for (guint i = 0; i < found->len; i++) {
    Region region = g_array_index (found, Region, i);

    if (rect_intersect (&region.rect, area, &region.rect) && is_wanted (region.label, labels))
      g_array_index (found, Region, n++) = region;
  }
  g_array_set_size (found, n);
  g_array_sort (found, compare_area);
  g_array_set_size (found, MIN (n, MAX_CANDIDATES));
}

/* A detector that tells the same in both forms is heard once. */
static void
add_new (GArray *found, const GArray *detections)
{
  const guint n_rois = found->len;

  for (guint i = 0; i < detections->len; i++) {
    const Region *region = &g_array_index (detections, Region, i);
    guint j = 0;

    while (j < n_rois && overlap (&region->rect, &g_array_index (found, Region, j).rect) <= 0.95)
      j++;
    if (j < n_rois)
      g_array_index (found, Region, j).mtd = region->mtd;
    else
      g_array_append_vals (found, region, 1);
  }
}

guint
regions_collect (
    GstBuffer *buffer, const NnRect *area, const char *const *labels, guint max, Region *regions)
{
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (Region));
  g_autoptr (GArray) detections = g_array_new (FALSE, FALSE, sizeof (Region));
  gpointer state = NULL;
  GstMeta *meta;
  guint n;

  while ((meta = gst_buffer_iterate_meta_filtered (
              buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    const GstVideoRegionOfInterestMeta *roi = (GstVideoRegionOfInterestMeta *)meta;
    const Region region = { .id = roi->id,
      .mtd = REGION_NO_MTD,
      .label = roi->roi_type,
      .rect = { roi->x, roi->y, roi->w, roi->h } };

    g_array_append_val (found, region);
  }
  gst_video_classify_get_detections (buffer, detections);
  keep_candidates (found, area, labels);
  keep_candidates (detections, area, labels);
  add_new (found, detections);
  g_array_sort (found, compare_area);
  n = MIN (found->len, max);
  if (n > 0)
    memcpy (regions, found->data, n * sizeof *regions);
  return n;
}
