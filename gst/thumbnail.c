/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/thumbnail.h"

#include <math.h>

#include "nn/pack-math.h"

void
thumbnail_take (Thumbnail *self, const float *means, const NnPreprocess *pre)
{
  const guint channels = nn_preprocess_get_n_channels (pre);

  self->n_channels = channels;
  for (guint i = 0; i < THUMBNAIL_SIZE * THUMBNAIL_SIZE * channels; i++) {
    const guint c = i % channels;

    /* back to pixel values */
    self->cells[i] = ((pre->scale[c] != 0 ? means[i] / pre->scale[c] : 0) + pre->mean[c]) / 255;
  }
}

void
thumbnail_make (Thumbnail *self, const float *input, const NnPreprocess *pre)
{
  const guint channels = nn_preprocess_get_n_channels (pre);
  float means[G_N_ELEMENTS (self->cells)], *cell = means;

  for (guint gy = 0; gy < THUMBNAIL_SIZE; gy++) {
    guint y0;
    const guint rows = nn_thumbnail_cell (gy, THUMBNAIL_SIZE, pre->height, &y0);

    for (guint gx = 0; gx < THUMBNAIL_SIZE; gx++, cell += channels) {
      guint x0;
      const guint columns = nn_thumbnail_cell (gx, THUMBNAIL_SIZE, pre->width, &x0);
      float sums[3] = { 0 };

      for (guint y = y0; y < y0 + rows; y++) {
        const float *p = input + ((gsize)y * pre->width + x0) * channels;

        for (guint x = 0; x < columns; x++)
          for (guint c = 0; c < channels; c++)
            sums[c] += *p++;
      }
      for (guint c = 0; c < channels; c++)
        cell[c] = sums[c] / (float)(rows * columns);
    }
  }
  thumbnail_take (self, means, pre);
}

double
thumbnail_compare (const Thumbnail *a, const Thumbnail *b)
{
  const guint n = a->n_channels * THUMBNAIL_SIZE * THUMBNAIL_SIZE;
  double sum = 0;

  if (a->n_channels != b->n_channels)
    return 1;
  for (guint i = 0; i < n; i++)
    sum += fabs ((double)a->cells[i] - b->cells[i]);
  return sum / n;
}
