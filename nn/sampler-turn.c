/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "nn/sampler-private.h"

/* Images that lie in memory otherwise than they are shown. The sampler's tables are those of the
 * image turned, each component in a plane of its own; here the samples are found. */

void
nn_turned_format (const NnSamplerFormat *format, NnOrientation orientation,
    NnSamplerFormat *turned)
{
  *turned = *format;
  for (guint c = 0; c < format->n_components; c++) {
    const NnSamplerComponent *component = &format->components[c];

    turned->components[c] = (NnSamplerComponent) { .plane = (guint8) c, .step = 1,
      .shift_x = component->shift_x, .shift_y = component->shift_y };
    if (nn_orientation_is_transposed (orientation)) {
      turned->components[c].shift_x = component->shift_y;
      turned->components[c].shift_y = component->shift_x;
    }
  }
}

NnTurnedPlane
nn_turned_component (const NnSamplerFormat *format, const NnImageInfo *info, guint c,
    const NnImagePlanes *src)
{
  const NnSamplerComponent *component = &format->components[c];
  const gboolean is_transposed = nn_orientation_is_transposed (info->orientation);
  const guint width = is_transposed ? info->height : info->width;
  const guint height = is_transposed ? info->width : info->height;
  const guint size = format->sample_size;

  return nn_turn_plane (info->orientation,
      src->planes[component->plane] + (gsize) component->offset * size,
      src->strides[component->plane], (gssize) component->step * (gssize) size,
      (width + (1u << component->shift_x) - 1) >> component->shift_x,
      (height + (1u << component->shift_y) - 1) >> component->shift_y);
}

/* @n samples at @pitch bytes from each other to @to. */
static void
copy_row (const guint8 *from, gssize pitch, guint size, gsize n, guint8 *to)
{
  if (pitch == (gssize) size) {
    memcpy (to, from, n * size);
  } else if (size == 1) {
    for (gsize i = 0; i < n; i++, from += pitch)
      to[i] = *from;
  } else {
    for (gsize i = 0; i < n; i++, from += pitch, to += 2)
      memcpy (to, from, 2);
  }
}

void
nn_turned_copy (const NnTurnedPlane *plane, guint size, gsize x, gsize n, guint y, guint n_rows,
    guint8 *dst, gsize stride)
{
  const guint8 *corner
      = plane->first + (gssize) x * plane->pitch_x + (gssize) y * plane->pitch_y;

  if (ABS (plane->pitch_x) < ABS (plane->pitch_y)) {
    for (guint k = 0; k < n_rows; k++, corner += plane->pitch_y, dst += stride)
      copy_row (corner, plane->pitch_x, size, n, dst);
    return;
  }
  /* transposed: what lies together in memory is a column */
  for (gsize i = 0; i < n; i++, corner += plane->pitch_x, dst += size) {
    const guint8 *from = corner;
    guint8 *to = dst;

    for (guint k = 0; k < n_rows; k++, from += plane->pitch_y, to += stride) {
      to[0] = from[0];
      if (size == 2)
        to[1] = from[1];
    }
  }
}
