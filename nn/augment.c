/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/augment.h"

#include <math.h>
#include <string.h>

#include "nn/rng.h"

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

void
nn_augment_form (const NnAugment *augment, const NnPreprocess *pre, NnAugmentForm *form)
{
  *form = (NnAugmentForm) {
    .rows = pre->height,
    .columns = pre->width,
    .channels = nn_preprocess_get_n_channels (pre),
    .is_bgr = pre->channels == NN_CHANNELS_BGR,
    .source_rows = augment->source_height ? augment->source_height : pre->height,
    .source_columns = augment->source_width ? augment->source_width : pre->width,
  };
  memcpy (form->mean, pre->mean, sizeof form->mean);
  memcpy (form->scale, pre->scale, sizeof form->scale);
}

void
nn_augment_entry (const NnAugment *augment, const NnAugmentForm *form, const NnAugmentParams *p,
    NnAugmentEntry *entry)
{
  const double *shift = p->channel_shift;
  const gboolean is_shifted = shift[0] != 0 || shift[1] != 0 || shift[2] != 0;
  const gboolean is_saturated = form->channels == 3 && (p->saturation != 0 || p->grayscale);

  *entry = (NnAugmentEntry) {
    .shift = { (float) shift[0], (float) shift[1], (float) shift[2] },
    .brightness = (float) (1 + p->brightness),
    .contrast = (float) (1 + p->contrast),
    .saturation = p->grayscale ? 0 : (float) (1 + p->saturation),
    .changes = (p->is_identity ? 0 : NN_CHANGE_WARP) | (p->hflip ? NN_CHANGE_HFLIP : 0)
        | (p->vflip ? NN_CHANGE_VFLIP : 0) | (is_shifted ? NN_CHANGE_SHIFT : 0)
        | (p->brightness != 0 ? NN_CHANGE_BRIGHTNESS : 0)
        | (p->contrast != 0 ? NN_CHANGE_CONTRAST : 0)
        | (is_saturated ? NN_CHANGE_SATURATION : 0),
    .fill = (NnWarpFill) augment->fill_mode,
    .is_bilinear = augment->interpolation_order != 0,
    .cval = (float) augment->cval,
  };
  memcpy (entry->matrix, p->matrix, sizeof entry->matrix);
  if (p->erase[2] > 0) {
    entry->erase[0] = (guint) (p->erase[0] * form->rows);
    entry->erase[1] = (guint) (p->erase[1] * form->columns);
    entry->erase[2] = MIN ((guint) ((p->erase[0] + p->erase[2]) * form->rows + 0.5), form->rows);
    entry->erase[3]
        = MIN ((guint) ((p->erase[1] + p->erase[3]) * form->columns + 0.5), form->columns);
    for (guint c = 0; c < 3; c++)
      entry->erase_color[c] = (float) p->erase_color[c];
  }
}

typedef struct
{
  const NnAugmentForm *form;
  const NnAugmentEntry *entry;
  const guint8 *src;
  double *col_y, *col_x; /* matrix[1] * column, matrix[4] * column */
} Warp;

/* one output row, float values 0..255: nn_augment_source_pixel() but for the flips */
static void
warp_row (const Warp *w, const double *matrix, guint row, float *dst)
{
  const NnAugmentForm form = *w->form; /* both known not to change */
  const NnAugmentEntry entry = *w->entry;
  const double y = matrix[2] + row * matrix[0], x = matrix[5] + row * matrix[3];

  for (guint c = 0; c < form.columns; c++, dst += form.channels)
    nn_augment_warp (&form, &entry, w->src, y + w->col_y[c], x + w->col_x[c], dst);
}

static void
shift_channels (const NnAugmentEntry *entry, gsize n_pixels, guint channels, float *x)
{
  float lowest = x[0], highest = x[0];

  for (gsize i = 1; i < n_pixels * channels; i++) {
    lowest = MIN (lowest, x[i]);
    highest = MAX (highest, x[i]);
  }
  for (gsize i = 0; i < n_pixels; i++)
    for (guint c = 0; c < channels; c++)
      x[i * channels + c] = nn_augment_shift (entry, c, x[i * channels + c], lowest, highest);
}

static void
jitter_colors (const NnAugmentForm *form, const NnAugmentEntry *entry, gsize n_pixels, float *x)
{
  const guint channels = form->channels;
  const gsize n = n_pixels * channels;

  if (entry->changes & NN_CHANGE_BRIGHTNESS)
    for (gsize i = 0; i < n; i++)
      x[i] = nn_augment_brighten (entry, x[i]);
  if (entry->changes & NN_CHANGE_CONTRAST) {
    double sum = 0;
    float mean;

    for (gsize i = 0; i < n_pixels; i++)
      sum += nn_augment_luma (form, x + i * channels);
    mean = (float) (sum / (double) n_pixels);
    for (gsize i = 0; i < n; i++)
      x[i] = nn_augment_spread (x[i], mean, entry->contrast);
  }
  if (entry->changes & NN_CHANGE_SATURATION)
    for (gsize i = 0; i < n; i += 3)
      nn_augment_saturate (form, entry, x + i);
}

static void
erase (const NnAugmentForm *form, const NnAugmentEntry *entry, float *x)
{
  for (guint r = entry->erase[0]; r < entry->erase[2]; r++)
    for (guint c = entry->erase[1]; c < entry->erase[3]; c++)
      for (guint ch = 0; ch < form->channels; ch++)
        x[((gsize) r * form->columns + c) * form->channels + ch] = entry->erase_color[ch];
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
  NnAugmentForm form;
  NnAugmentEntry entry;
  Warp warp = { &form, &entry, src, columns, columns + pre->width };

  nn_augment_form (augment, pre, &form);
  nn_augment_entry (augment, &form, params, &entry);
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
      warp_row (&warp, m, y, warped);
    if (params->hflip)
      for (guint x = 0; x < pre->width; x++)
        memcpy (to + x * channels, row + (pre->width - 1 - x) * channels,
            channels * sizeof (float));
  }
  if (entry.changes & NN_CHANGE_SHIFT)
    shift_channels (&entry, n_pixels, channels, dst);
  jitter_colors (&form, &entry, n_pixels, dst);
  erase (&form, &entry, dst);
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
