/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/augment.h"

#include <math.h>
#include <string.h>

#include "nn/rng.h"
#include "nn/warp-math.h"

G_STATIC_ASSERT ((int) NN_FILL_NEAREST == (int) NN_WARP_NEAREST);
G_STATIC_ASSERT ((int) NN_FILL_CONSTANT == (int) NN_WARP_CONSTANT);
G_STATIC_ASSERT ((int) NN_FILL_REFLECT == (int) NN_WARP_REFLECT);
G_STATIC_ASSERT ((int) NN_FILL_WRAP == (int) NN_WARP_WRAP);

void
nn_augment_init (NnAugment *augment)
{
  *augment = (NnAugment) {
    .zoom_range = { 1, 1 },
    .fill_mode = NN_FILL_NEAREST,
    .center_offset = 0.5,
  };
}

gboolean
nn_augment_is_identity (const NnAugment *a)
{
  return a->rotation_range == 0 && a->height_shift_range == 0 && a->width_shift_range == 0
      && a->shear_range == 0 && a->zoom_range[0] == 1 && a->zoom_range[1] == 1
      && a->channel_shift_range == 0 && !a->horizontal_flip && !a->vertical_flip;
}

/* --- the matrix ------------------------------------------------------------------ */

typedef struct
{
  double m[3][3];
} Matrix;

static Matrix
multiply (const Matrix *a, const Matrix *b)
{
  Matrix r;

  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      r.m[i][j] = a->m[i][0] * b->m[0][j] + a->m[i][1] * b->m[1][j] + a->m[i][2] * b->m[2][j];
  return r;
}

static void
apply (Matrix *m, gboolean *is_identity, const Matrix *next)
{
  *m = *is_identity ? *next : multiply (m, next);
  *is_identity = FALSE;
}

/* M = rotation * shift * shear * zoom about the centre (H/2 + offset, W/2 + offset) */
void
nn_augment_matrix (const NnAugment *augment, guint height, guint width, NnAugmentParams *p)
{
  Matrix m = { { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } } };
  gboolean none = TRUE;

  if (p->theta != 0) {
    Matrix r = { { { cos (p->theta), -sin (p->theta), 0 },
        { sin (p->theta), cos (p->theta), 0 }, { 0, 0, 1 } } };

    apply (&m, &none, &r);
  }
  if (p->tx != 0 || p->ty != 0) {
    Matrix t = { { { 1, 0, p->tx }, { 0, 1, p->ty }, { 0, 0, 1 } } };

    apply (&m, &none, &t);
  }
  if (p->shear != 0) {
    Matrix s = { { { 1, -sin (p->shear), 0 }, { 0, cos (p->shear), 0 }, { 0, 0, 1 } } };

    apply (&m, &none, &s);
  }
  if (p->zx != 1 || p->zy != 1) {
    Matrix z = { { { p->zx, 0, 0 }, { 0, p->zy, 0 }, { 0, 0, 1 } } };

    apply (&m, &none, &z);
  }
  p->is_identity = none;
  if (!none) {
    double x = height / 2.0 + augment->center_offset, y = width / 2.0 + augment->center_offset;
    Matrix to = { { { 1, 0, x }, { 0, 1, y }, { 0, 0, 1 } } };
    Matrix back = { { { 1, 0, -x }, { 0, 1, -y }, { 0, 0, 1 } } };

    m = multiply (&to, &m);
    m = multiply (&m, &back);
  }
  if (augment->swap_axes) {
    Matrix s = { { { m.m[1][1], m.m[1][0], m.m[1][2] }, { m.m[0][1], m.m[0][0], m.m[0][2] },
        { 0, 0, 1 } } };

    m = s;
  }
  memcpy (p->matrix, m.m, sizeof p->matrix);
}

void
nn_augment_draw (const NnAugment *a, guint64 seed, guint64 draw, guint height, guint width,
    guint n_channels, NnAugmentParams *p)
{
  const double degree = G_PI / 180;
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_AUGMENT, draw);
  memset (p, 0, sizeof *p);
  p->zx = p->zy = 1;
  if (a->rotation_range != 0)
    p->theta = nn_rng_uniform (&rng, -a->rotation_range, a->rotation_range) * degree;
  if (a->height_shift_range != 0) {
    p->tx = nn_rng_uniform (&rng, -a->height_shift_range, a->height_shift_range);
    if (a->height_shift_range < 1)
      p->tx *= height;
  }
  if (a->width_shift_range != 0) {
    p->ty = nn_rng_uniform (&rng, -a->width_shift_range, a->width_shift_range);
    if (a->width_shift_range < 1)
      p->ty *= width;
  }
  if (a->shear_range != 0)
    p->shear = nn_rng_uniform (&rng, -a->shear_range, a->shear_range)
        * (a->shear_in_degrees ? degree : 1);
  if (a->zoom_range[0] != 1 || a->zoom_range[1] != 1) {
    p->zx = nn_rng_uniform (&rng, a->zoom_range[0], a->zoom_range[1]);
    p->zy = nn_rng_uniform (&rng, a->zoom_range[0], a->zoom_range[1]);
  }
  if (a->channel_shift_range != 0)
    for (guint c = 0; c < MIN (n_channels, 3); c++)
      p->channel_shift[c] = nn_rng_uniform (&rng, -a->channel_shift_range, a->channel_shift_range);
  if (a->horizontal_flip)
    p->hflip = nn_rng_double (&rng) < 0.5;
  if (a->vertical_flip)
    p->vflip = nn_rng_double (&rng) < 0.5;
  nn_augment_matrix (a, height, width, p);
}

/* --- the pixels ---------------------------------------------------------------------- */

typedef struct
{
  const NnAugment *augment;
  const guint8 *src;
  int height, width, channels;
  double *col_y, *col_x; /* matrix[1] * column, matrix[4] * column: SciPy's own products */
} Warp;

/* one output row of @warp, float values 0..255, as SciPy adds: offset, then
 * row * coefficient, then column * coefficient */
static void
warp_row (const Warp *w, const double *matrix, int row, float *dst)
{
  const NnWarpFill fill = (NnWarpFill) w->augment->fill_mode;
  const double y0 = matrix[2] + row * matrix[0], x0 = matrix[5] + row * matrix[3];
  const int channels = w->channels;
  const gsize line = (gsize) w->width * channels;

  for (int c = 0; c < w->width; c++, dst += channels) {
    double y = nn_warp_coordinate (y0 + w->col_y[c], w->height, fill);
    double x = nn_warp_coordinate (x0 + w->col_x[c], w->width, fill);

    if (fill == NN_WARP_CONSTANT && (y < 0 || x < 0)) {
      for (int ch = 0; ch < channels; ch++)
        dst[ch] = (float) w->augment->cval;
      continue;
    }
    if (w->augment->interpolation_order == 0) {
      int iy = nn_warp_index ((int) floor (y + 0.5), w->height, fill);
      int ix = nn_warp_index ((int) floor (x + 0.5), w->width, fill);
      const guint8 *p = w->src + ((gsize) iy * w->width + ix) * channels;

      for (int ch = 0; ch < channels; ch++)
        dst[ch] = p[ch];
    } else {
      int fy = (int) floor (y), fx = (int) floor (x);
      double wy = y - fy, wx = x - fx;
      const guint8 *top = w->src + nn_warp_index (fy, w->height, fill) * line;
      const guint8 *bottom = w->src + nn_warp_index (fy + 1, w->height, fill) * line;
      int left = nn_warp_index (fx, w->width, fill) * channels;
      int right = nn_warp_index (fx + 1, w->width, fill) * channels;

      for (int ch = 0; ch < channels; ch++) {
        double sum = top[left + ch] * (1 - wy) * (1 - wx);

        sum += top[right + ch] * (1 - wy) * wx;
        sum += bottom[left + ch] * wy * (1 - wx);
        sum += bottom[right + ch] * wy * wx;
        dst[ch] = (float) sum;
      }
    }
  }
}

static void
shift_channels (const NnAugmentParams *params, gsize n_pixels, guint channels, float *x)
{
  float lowest = x[0], highest = x[0];

  for (gsize i = 1; i < n_pixels * channels; i++) {
    lowest = MIN (lowest, x[i]);
    highest = MAX (highest, x[i]);
  }
  for (gsize i = 0; i < n_pixels; i++)
    for (guint c = 0; c < channels; c++)
      x[i * channels + c]
          = CLAMP (x[i * channels + c] + (float) params->channel_shift[c], lowest, highest);
}

void
nn_augment_apply (const NnAugment *augment, const NnAugmentParams *params,
    const NnPreprocess *pre, const guint8 *src, float *dst)
{
  const guint channels = nn_preprocess_get_n_channels (pre);
  const gsize line = (gsize) pre->width * channels;
  const double *m = params->matrix;
  g_autofree double *columns = g_new (double, 2 * (gsize) pre->width);
  g_autofree float *row = g_new (float, line);
  gboolean shift = params->channel_shift[0] != 0 || params->channel_shift[1] != 0
      || params->channel_shift[2] != 0;
  Warp warp = { augment, src, (int) pre->height, (int) pre->width, (int) channels, columns,
    columns + pre->width };

  for (guint c = 0; c < pre->width; c++) {
    warp.col_y[c] = c * m[1];
    warp.col_x[c] = c * m[4];
  }
  for (guint y = 0; y < pre->height; y++) {
    float *to = dst + (params->vflip ? pre->height - 1 - y : y) * line;
    float *warped = params->hflip ? row : to;

    if (params->is_identity)
      for (gsize i = 0; i < line; i++)
        warped[i] = src[y * line + i];
    else
      warp_row (&warp, m, (int) y, warped);
    if (params->hflip)
      for (guint x = 0; x < pre->width; x++)
        memcpy (to + x * channels, row + (pre->width - 1 - x) * channels,
            channels * sizeof (float));
  }
  if (shift)
    shift_channels (params, (gsize) pre->height * pre->width, channels, dst);
  for (gsize i = 0; i < (gsize) pre->height * line; i += channels)
    for (guint c = 0; c < channels; c++)
      dst[i + c] = (dst[i + c] - pre->mean[c]) * pre->scale[c];
}

/* --- words ----------------------------------------------------------------------------- */

/* no "-0" */
static double
round_to (double x, double unit)
{
  return round (x / unit) * unit + 0.0;
}

static void G_GNUC_PRINTF (2, 3)
append_item (GString *text, const char *format, ...)
{
  va_list args;

  if (text->len > 0)
    g_string_append (text, "  ");
  va_start (args, format);
  g_string_append_vprintf (text, format, args);
  va_end (args);
}

char *
nn_augment_describe (const NnAugment *augment, const NnAugmentParams *p)
{
  GString *text = g_string_new (NULL);
  /* the matrix leads from the output to the input, so the picture moves the
   * other way; a rotation in (row, column) is one clockwise on the screen. A
   * flip comes last but is told first: the others are mirrored by it. */
  const gboolean swap = augment->swap_axes;
  const double x = p->hflip ? -1 : 1, y = p->vflip ? -1 : 1;
  const double angle = (swap ? -p->theta : p->theta) * x * y * 180 / G_PI;
  const double right = -(swap ? p->tx : p->ty) * x, down = -(swap ? p->ty : p->tx) * y;
  const double shear = p->shear * x * y, *shift = p->channel_shift;

  if (p->hflip)
    append_item (text, "flip");
  if (p->vflip)
    append_item (text, "v-flip");
  if (p->theta != 0)
    append_item (text, "rot %+.0f°", round_to (angle, 1));
  if (p->tx != 0 || p->ty != 0)
    append_item (text, "shift %+.0f,%+.0f px", round_to (right, 1), round_to (down, 1));
  if (p->shear != 0 && augment->shear_in_degrees)
    append_item (text, "shear %+.1f°", round_to (shear * 180 / G_PI, 0.1));
  else if (p->shear != 0)
    append_item (text, "shear %+.2f rad", round_to (shear, 0.01));
  if (p->zx != 1 || p->zy != 1)
    append_item (text, "zoom %.2f,%.2f", swap ? p->zx : p->zy, swap ? p->zy : p->zx);
  if (shift[0] != 0 || shift[1] != 0 || shift[2] != 0)
    append_item (text, "color %+.0f,%+.0f,%+.0f", round_to (shift[0], 1), round_to (shift[1], 1),
        round_to (shift[2], 1));
  if (text->len == 0)
    append_item (text, "unchanged");
  return g_string_free (text, FALSE);
}
