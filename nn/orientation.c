/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/orientation.h"

#include <string.h>

/* Pixel (x, y) of the turned image is (x, y), or transposed (y, x), of the one in memory, counted
 * from the far side of each axis of the latter that is reversed. */
static const struct
{
  gboolean is_transposed, reverse_x, reverse_y;
} turns[NN_N_ORIENTATIONS] = {
  [NN_ORIENTATION_90R] = { TRUE, FALSE, TRUE },
  [NN_ORIENTATION_180] = { FALSE, TRUE, TRUE },
  [NN_ORIENTATION_90L] = { TRUE, TRUE, FALSE },
  [NN_ORIENTATION_HORIZ] = { FALSE, TRUE, FALSE },
  [NN_ORIENTATION_VERT] = { FALSE, FALSE, TRUE },
  [NN_ORIENTATION_UL_LR] = { TRUE, FALSE, FALSE },
  [NN_ORIENTATION_UR_LL] = { TRUE, TRUE, TRUE },
};

gboolean
nn_orientation_is_transposed (NnOrientation orientation)
{
  return turns[orientation].is_transposed;
}

NnOrientation
nn_orientation_invert (NnOrientation orientation)
{
  switch (orientation) {
    case NN_ORIENTATION_90R:
      return NN_ORIENTATION_90L;
    case NN_ORIENTATION_90L:
      return NN_ORIENTATION_90R;
    default:
      return orientation;
  }
}

NnRect
nn_orientation_turn_rect (NnOrientation orientation, double width, double height,
    const NnRect *rect)
{
  NnRect r = *rect;

  if (turns[orientation].reverse_x)
    r.x = width - (rect->x + rect->width);
  if (turns[orientation].reverse_y)
    r.y = height - (rect->y + rect->height);
  if (turns[orientation].is_transposed)
    r = (NnRect) { r.y, r.x, r.height, r.width };
  return r;
}

NnTurnedPlane
nn_turn_plane (NnOrientation orientation, const guint8 *pixels, gssize stride, gssize step,
    guint width, guint height)
{
  NnTurnedPlane plane = { pixels, step, stride };

  if (turns[orientation].reverse_x) {
    plane.first += (gssize) (width - 1) * step;
    plane.pitch_x = -step;
  }
  if (turns[orientation].reverse_y) {
    plane.first += (gssize) (height - 1) * stride;
    plane.pitch_y = -stride;
  }
  if (turns[orientation].is_transposed) {
    const gssize pitch = plane.pitch_x;

    plane.pitch_x = plane.pitch_y;
    plane.pitch_y = pitch;
  }
  return plane;
}

void
nn_orientation_turn_pixels (NnOrientation orientation, const guint8 *src, gssize src_stride,
    guint width, guint height, guint size, guint8 *dst, gssize dst_stride)
{
  const NnTurnedPlane plane
      = nn_turn_plane (orientation, src, src_stride, (gssize) size, width, height);
  const guint columns = turns[orientation].is_transposed ? height : width;
  const guint rows = turns[orientation].is_transposed ? width : height;

  for (guint y = 0; y < rows; y++) {
    const guint8 *from = plane.first + (gssize) y * plane.pitch_y;
    guint8 *to = dst + (gssize) y * dst_stride;

    for (guint x = 0; x < columns; x++, from += plane.pitch_x, to += size)
      memcpy (to, from, size);
  }
}
