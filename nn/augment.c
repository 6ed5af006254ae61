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
    .crop_scale = { 1, 1 },
    .crop_ratio = { 3. / 4, 4. / 3 },
    .erasing_area = { 0.02, 1. / 3 },
  };
}

static gboolean
has_crop (const NnAugment *a)
{
  return a->crop_scale[0] != 1 || a->crop_scale[1] != 1;
}

gboolean
nn_augment_is_identity (const NnAugment *a)
{
  return a->rotation_range == 0 && a->height_shift_range == 0 && a->width_shift_range == 0
      && a->shear_range == 0 && a->zoom_range[0] == 1 && a->zoom_range[1] == 1
      && a->channel_shift_range == 0 && !a->horizontal_flip && !a->vertical_flip && !has_crop (a)
      && a->brightness == 0 && a->contrast == 0 && a->saturation == 0 && a->grayscale == 0
      && a->erasing == 0 && a->source_height == 0;
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
  if (has_crop (augment) || augment->source_height != 0) {
    /* pixel centres of the output to those of the window in the source */
    const double source_height = augment->source_height ? augment->source_height : height;
    const double source_width = augment->source_width ? augment->source_width : width;
    const double sy = (p->crop[2] != 0 ? p->crop[2] : 1) * source_height / height;
    const double sx = (p->crop[3] != 0 ? p->crop[3] : 1) * source_width / width;
    Matrix c = { { { sy, 0, p->crop[0] * source_height + 0.5 * sy - 0.5 },
        { 0, sx, p->crop[1] * source_width + 0.5 * sx - 0.5 }, { 0, 0, 1 } } };

    m = multiply (&c, &m);
    p->is_identity = FALSE;
  }
  memcpy (p->matrix, m.m, sizeof p->matrix);
}

/* A window of @area parts of a whole of @aspect (width / height), of @ratio,
 * cut down to what there is; somewhere: y, x, height, width. */
static void
draw_window (NnRng *rng, double area, double ratio, double aspect, double window[4])
{
  window[2] = MIN (sqrt (area / ratio * aspect), 1);
  window[3] = MIN (sqrt (area * ratio / aspect), 1);
  window[0] = nn_rng_uniform (rng, 0, 1 - window[2]);
  window[1] = nn_rng_uniform (rng, 0, 1 - window[3]);
}

static void
draw_more (const NnAugment *a, double aspect, NnRng *rng, NnAugmentParams *p)
{
  if (has_crop (a)) {
    double area = nn_rng_uniform (rng, a->crop_scale[0], a->crop_scale[1]);
    double ratio = exp (nn_rng_uniform (rng, log (a->crop_ratio[0]), log (a->crop_ratio[1])));

    draw_window (rng, area, ratio, aspect, p->crop);
  }
  if (a->brightness != 0)
    p->brightness = nn_rng_uniform (rng, -a->brightness, a->brightness);
  if (a->contrast != 0)
    p->contrast = nn_rng_uniform (rng, -a->contrast, a->contrast);
  if (a->saturation != 0)
    p->saturation = nn_rng_uniform (rng, -a->saturation, a->saturation);
  if (a->grayscale != 0)
    p->grayscale = nn_rng_double (rng) < a->grayscale;
  if (a->erasing != 0 && nn_rng_double (rng) < a->erasing) {
    double area = nn_rng_uniform (rng, a->erasing_area[0], a->erasing_area[1]);
    double ratio = exp (nn_rng_uniform (rng, log (0.3), log (3.3)));

    draw_window (rng, area, ratio, aspect, p->erase);
    for (guint c = 0; c < 3; c++)
      p->erase_color[c] = nn_rng_uniform (rng, 0, 255);
  }
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
  draw_more (a, (double) width / height, &rng, p);
  nn_augment_matrix (a, height, width, p);
}

/* --- the pixels ---------------------------------------------------------------------- */

typedef struct
{
  const NnAugment *augment;
  const guint8 *src;
  int height, width, channels; /* of the source */
  int out_width;
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

  for (int c = 0; c < w->out_width; c++, dst += channels) {
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

/* the weights of ITU-R BT.601, as torchvision's rgb_to_grayscale has them; the
 * middle channel is green in RGB and BGR alike */
static float
luma (const float *pixel, guint channels, gboolean bgr)
{
  if (channels == 1)
    return pixel[0];
  return 0.299f * pixel[bgr ? 2 : 0] + 0.587f * pixel[1] + 0.114f * pixel[bgr ? 0 : 2];
}

static void
jitter_colors (const NnAugmentParams *p, gsize n_pixels, guint channels, gboolean bgr, float *x)
{
  const gsize n = n_pixels * channels;

  if (p->brightness != 0)
    for (gsize i = 0; i < n; i++)
      x[i] = CLAMP (x[i] * (float) (1 + p->brightness), 0, 255);
  if (p->contrast != 0) {
    const float factor = (float) (1 + p->contrast);
    double sum = 0;
    float mean;

    for (gsize i = 0; i < n_pixels; i++)
      sum += luma (x + i * channels, channels, bgr);
    mean = (float) (sum / (double) n_pixels);
    for (gsize i = 0; i < n; i++)
      x[i] = CLAMP (mean + (x[i] - mean) * factor, 0, 255);
  }
  if (channels == 3 && (p->saturation != 0 || p->grayscale)) {
    const float factor = p->grayscale ? 0 : (float) (1 + p->saturation);

    for (gsize i = 0; i < n; i += 3) {
      const float gray = luma (x + i, 3, bgr);

      for (guint c = 0; c < 3; c++)
        x[i + c] = CLAMP (gray + (x[i + c] - gray) * factor, 0, 255);
    }
  }
}

static void
erase (const NnAugmentParams *p, guint height, guint width, guint channels, float *x)
{
  const guint top = (guint) (p->erase[0] * height), left = (guint) (p->erase[1] * width);
  const guint bottom = MIN ((guint) ((p->erase[0] + p->erase[2]) * height + 0.5), height);
  const guint right = MIN ((guint) ((p->erase[1] + p->erase[3]) * width + 0.5), width);

  for (guint r = top; r < bottom; r++)
    for (guint c = left; c < right; c++)
      for (guint ch = 0; ch < channels; ch++)
        x[((gsize) r * width + c) * channels + ch] = (float) p->erase_color[ch];
}

void
nn_augment_apply (const NnAugment *augment, const NnAugmentParams *params,
    const NnPreprocess *pre, const guint8 *src, float *dst)
{
  const guint channels = nn_preprocess_get_n_channels (pre);
  const gsize line = (gsize) pre->width * channels, n_pixels = (gsize) pre->height * pre->width;
  const double *m = params->matrix;
  g_autofree double *columns = g_new (double, 2 * (gsize) pre->width);
  g_autofree float *row = g_new (float, line);
  gboolean shift = params->channel_shift[0] != 0 || params->channel_shift[1] != 0
      || params->channel_shift[2] != 0;
  Warp warp = { augment, src, (int) (augment->source_height ? augment->source_height : pre->height),
    (int) (augment->source_width ? augment->source_width : pre->width), (int) channels,
    (int) pre->width, columns, columns + pre->width };

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
    shift_channels (params, n_pixels, channels, dst);
  jitter_colors (params, n_pixels, channels, pre->channels == NN_CHANNELS_BGR, dst);
  if (params->erase[2] > 0)
    erase (params, pre->height, pre->width, channels, dst);
  for (gsize i = 0; i < n_pixels * channels; i += channels)
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
  if (p->crop[2] != 0)
    append_item (text, "crop %.0f x %.0f %%", p->crop[3] * 100, p->crop[2] * 100);
  if (p->brightness != 0)
    append_item (text, "bright %+.0f %%", round_to (p->brightness * 100, 1));
  if (p->contrast != 0)
    append_item (text, "contrast %+.0f %%", round_to (p->contrast * 100, 1));
  if (p->grayscale)
    append_item (text, "gray");
  else if (p->saturation != 0)
    append_item (text, "sat %+.0f %%", round_to (p->saturation * 100, 1));
  if (p->erase[2] > 0)
    append_item (text, "erased %.0f %%", p->erase[2] * p->erase[3] * 100);
  if (text->len == 0)
    append_item (text, "unchanged");
  return g_string_free (text, FALSE);
}
