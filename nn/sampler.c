/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/sampler-private.h"

/* Every component (Y, U, V or R, G, B) is resized on its own grid, whatever the
 * chroma subsampling, to one row of floats 0..255 of the network's width; then the
 * row is converted and rounded. Averaging and the colour matrix are linear: the order
 * does not matter, and the frame is never converted as a whole. Integer sums,
 * and floats without contraction: the same bits on every CPU.
 *
 * Area: the rows of a plane that an output row covers become one row of means, those
 * on its boundaries weighted, then dot products make the output's columns of it
 * (sampler-kernels.h). */

#define MAX_SIZE 32768

#define PLANAR(sx, sy, u, v) { { 0, 0, 1, 0, 0 }, { u, 0, 1, sx, sy }, { v, 0, 1, sx, sy } }
#define SEMI(u, v) { { 0, 0, 1, 0, 0 }, { 1, u, 2, 1, 1 }, { 1, v, 2, 1, 1 } }
#define PACKED422(y, u, v) { { 0, y, 2, 0, 0 }, { 0, u, 4, 1, 0 }, { 0, v, 4, 1, 0 } }
#define PACKED(a, b, c, step) \
  { { 0, a, step, 0, 0 }, { 0, b, step, 0, 0 }, { 0, c, step, 0, 0 } }

static const NnSamplerFormat formats[NN_PIXEL_N_FORMATS] = {
  [NN_PIXEL_I420] = { 3, 1, 0, 8, FALSE, PLANAR (1, 1, 1, 2) },
  [NN_PIXEL_YV12] = { 3, 1, 0, 8, FALSE, PLANAR (1, 1, 2, 1) },
  [NN_PIXEL_NV12] = { 3, 1, 0, 8, FALSE, SEMI (0, 1) },
  [NN_PIXEL_NV21] = { 3, 1, 0, 8, FALSE, SEMI (1, 0) },
  [NN_PIXEL_YUY2] = { 3, 1, 0, 8, FALSE, PACKED422 (0, 1, 3) },
  [NN_PIXEL_UYVY] = { 3, 1, 0, 8, FALSE, PACKED422 (1, 0, 2) },
  [NN_PIXEL_YVYU] = { 3, 1, 0, 8, FALSE, PACKED422 (0, 3, 1) },
  [NN_PIXEL_Y42B] = { 3, 1, 0, 8, FALSE, PLANAR (1, 0, 1, 2) },
  [NN_PIXEL_Y444] = { 3, 1, 0, 8, FALSE, PLANAR (0, 0, 1, 2) },
  [NN_PIXEL_I420_10LE] = { 3, 2, 0, 10, FALSE, PLANAR (1, 1, 1, 2) },
  [NN_PIXEL_I422_10LE] = { 3, 2, 0, 10, FALSE, PLANAR (1, 0, 1, 2) },
  [NN_PIXEL_P010_10LE] = { 3, 2, 6, 10, FALSE, SEMI (0, 1) },
  [NN_PIXEL_RGB] = { 3, 1, 0, 8, TRUE, PACKED (0, 1, 2, 3) },
  [NN_PIXEL_BGR] = { 3, 1, 0, 8, TRUE, PACKED (2, 1, 0, 3) },
  [NN_PIXEL_RGBX] = { 3, 1, 0, 8, TRUE, PACKED (0, 1, 2, 4) },
  [NN_PIXEL_BGRX] = { 3, 1, 0, 8, TRUE, PACKED (2, 1, 0, 4) },
  [NN_PIXEL_XRGB] = { 3, 1, 0, 8, TRUE, PACKED (1, 2, 3, 4) },
  [NN_PIXEL_XBGR] = { 3, 1, 0, 8, TRUE, PACKED (3, 2, 1, 4) },
  [NN_PIXEL_Y444_10LE] = { 3, 2, 0, 10, FALSE, PLANAR (0, 0, 1, 2) },
  [NN_PIXEL_NV16] = { 3, 1, 0, 8, FALSE,
      { { 0, 0, 1, 0, 0 }, { 1, 0, 2, 1, 0 }, { 1, 1, 2, 1, 0 } } },
  [NN_PIXEL_GBR] = { 3, 1, 0, 8, TRUE,
      { { 2, 0, 1, 0, 0 }, { 0, 0, 1, 0, 0 }, { 1, 0, 1, 0, 0 } } },
  [NN_PIXEL_AYUV] = { 3, 1, 0, 8, FALSE, PACKED (1, 2, 3, 4) },
  [NN_PIXEL_AYUV64] = { 3, 2, 6, 10, FALSE, PACKED (1, 2, 3, 4) },
  [NN_PIXEL_GRAY8] = { 1, 1, 0, 8, FALSE, { { 0, 0, 1, 0, 0 } } },
};

/* --- tables --------------------------------------------------------------------- */

/* The crop on one axis of a component's grid. */
typedef struct
{
  double start, size;
  guint lowest, highest; /* pixels that it touches */
  guint n_out;
} Range;

static Range
range_of (double start, double size, guint shift, guint n_in, guint n_out)
{
  const guint n_grid = (n_in + (1u << shift) - 1) >> shift;
  Range r;

  /* an odd size has a chroma sample more than half of it: the crop ends with the luma */
  r.start = start / (1u << shift);
  r.size = MIN (size / (1u << shift), n_grid - r.start);
  r.lowest = MIN ((guint) r.start, n_grid - 1);
  r.highest = MAX (r.lowest, (guint) MIN (ceil (r.start + r.size), (double) n_grid) - 1);
  r.n_out = n_out;
  return r;
}

static void
axis_init_nearest (NnSamplerAxis *axis, const Range *r)
{
  const double scale = r->size / r->n_out;
  double x = r->start + scale * 0.5;

  axis->index = g_new0 (guint, r->n_out);
  for (guint i = 0; i < r->n_out; i++, x += scale) /* added up as Pillow does */
    axis->index[i] = MIN ((guint) x, r->highest);
}

static double
bilinear_centre (const Range *r, guint i)
{
  return CLAMP (r->start + (i + 0.5) * (r->size / r->n_out) - 0.5, r->lowest, r->highest);
}

static void
axis_init_bilinear (NnSamplerAxis *axis, const Range *r)
{
  axis->index = g_new0 (guint, r->n_out);
  axis->index2 = g_new0 (guint, r->n_out);
  axis->fraction = g_new0 (float, r->n_out);
  for (guint i = 0; i < r->n_out; i++) {
    double c = bilinear_centre (r, i);

    axis->index[i] = (guint) c;
    axis->index2[i] = MIN (axis->index[i] + 1, r->highest);
    axis->fraction[i] = (float) (c - axis->index[i]);
  }
}

static void
axis_clear (NnSamplerAxis *axis)
{
  g_free (axis->index);
  g_free (axis->index2);
  g_free (axis->fraction);
}

/* What output @i covers: pixels first..last, of the outer ones the shares 0..1, of those
 * between all. Where the axis grows, linear interpolation in the same form. */
typedef struct
{
  guint first, last;
  double first_share, last_share, total;
} Span;

static Span
span_of (const Range *r, guint i)
{
  const double scale = r->size / r->n_out;
  Span s;

  if (scale < 1) {
    double c = bilinear_centre (r, i);

    s.first = (guint) c;
    s.last_share = c - s.first;
    s.first_share = 1 - s.last_share;
    s.last = s.last_share > 0 ? s.first + 1 : s.first;
    s.total = 1;
  } else {
    /* to 1/65536, or a boundary that is off by a rounding error would cost a row */
    double from = round ((r->start + i * scale) * 65536) / 65536;
    double to = round ((r->start + (i + 1) * scale) * 65536) / 65536;

    to = MIN (to, (double) r->highest + 1);
    from = MIN (from, to - 1. / 65536);
    s.first = (guint) from;
    s.last = (guint) ceil (to) - 1;
    s.first_share = MIN (to, s.first + 1.) - from;
    s.last_share = s.last > s.first ? to - s.last : 0;
    s.total = to - from;
  }
  return s;
}

static void
area_row_init (NnSamplerAreaRow *row, const Span *s, guint depth)
{
  const double unit = NN_AREA_UNIT >> (depth - 8); /* of one step of the sample's depth */
  guint n_terms;

  row->first = s->first;
  row->last = s->last;
  row->n_whole = s->last > s->first ? s->last - s->first - 1 : 0;
  row->first_share = (float) s->first_share;
  row->last_share = (float) s->last_share;
  row->inverse = (float) (unit / s->total);
  while (unit * 65536 / (s->total * (1 << row->up)) > 65535)
    row->up++;
  row->whole_weight = (guint16) lround (unit * 65536 / (s->total * (1 << row->up)));
  row->first_weight = (guint16) lround (NN_AREA_UNIT * 256 * s->first_share / s->total);
  row->last_weight = (guint16) lround (NN_AREA_UNIT * 256 * s->last_share / s->total);
  /* each product loses half a unit on average, a single one of a whole pixel nothing */
  n_terms = (row->n_whole > 0) + (row->first_weight > 0) + (row->last_weight > 0);
  row->bias = n_terms > 1;
}

static void
area_columns_init (NnAreaColumns *columns, const Range *r, guint step, gsize at)
{
  const guint n = (r->n_out + NN_AREA_OUTPUTS - 1) / NN_AREA_OUTPUTS * NN_AREA_OUTPUTS;
  guint32 *first = g_new0 (guint32, n);
  float *scale = g_new0 (float, n);
  gint16 *weights;
  guint n_lanes = 1, bits = 14;

  for (guint i = 0; i < r->n_out; i++) {
    Span s = span_of (r, i);

    n_lanes = MAX (n_lanes, (s.last - s.first) * step + 1);
    while (bits > 0 && ldexp (s.total, (int) bits) > 65534) /* sums of 32 bits: 2^31 / 2^15 */
      bits--;
  }
  n_lanes = (n_lanes + NN_AREA_LANES - 1) / NN_AREA_LANES * NN_AREA_LANES;
  weights = g_new0 (gint16, (gsize) n * n_lanes);
  for (guint i = 0; i < r->n_out; i++) {
    Span s = span_of (r, i);
    gint16 *w = weights + (gsize) i * n_lanes;
    guint sum = 0;

    for (guint k = s.first; k <= s.last; k++) {
      double share = k == s.first ? s.first_share : k == s.last ? s.last_share : 1;

      w[(k - s.first) * step] = (gint16) lround (ldexp (share, (int) bits));
      sum += (guint) w[(k - s.first) * step];
    }
    first[i] = (guint32) (at + (gsize) s.first * step);
    scale[i] = (float) (1. / ((double) sum * NN_AREA_UNIT));
  }
  *columns = (NnAreaColumns) { n, n_lanes, first, weights, scale };
}

static void
area_init (NnSampler *sampler, const Range *columns, const Range *rows)
{
  const NnSamplerFormat *format = sampler->format;

  for (guint c = 0; c < format->n_components; c++) {
    const NnSamplerComponent *component = &format->components[c];
    NnSamplerAreaPlane *plane = &sampler->area[component->plane];
    gsize first = (gsize) columns[c].lowest * component->step + component->offset;
    gsize end = (gsize) columns[c].highest * component->step + component->offset + 1;

    if (sampler->methods[c] != NN_RESIZE_AREA)
      continue;
    if (plane->used) {
      end = MAX (end, plane->first + plane->n);
      first = MIN (plane->first, first);
    } else {
      plane->rows = g_new0 (NnSamplerAreaRow, rows[c].n_out);
      for (guint i = 0; i < rows[c].n_out; i++) { /* the same for all that share the plane */
        Span s = span_of (&rows[c], i);

        area_row_init (&plane->rows[i], &s, format->depth);
      }
    }
    plane->used = TRUE;
    plane->first = first;
    plane->n = end - first;
  }
  for (guint c = 0; c < format->n_components; c++) {
    const NnSamplerComponent *component = &format->components[c];

    if (sampler->methods[c] == NN_RESIZE_AREA)
      area_columns_init (&sampler->area_columns[c], &columns[c], component->step,
          component->offset - sampler->area[component->plane].first);
  }
  for (guint p = 0; p < 3; p++) {
    NnSamplerAreaPlane *plane = &sampler->area[p];
    guint n_lanes = 0;

    if (!plane->used)
      continue;
    for (guint c = 0; c < 3; c++)
      n_lanes = MAX (n_lanes, sampler->area_columns[c].n_lanes);
    plane->sums = g_new0 (guint16, plane->n);
    plane->tall_sums = g_new0 (guint32, plane->n);
    plane->means = g_new0 (gint16, plane->n + n_lanes); /* read where weights are 0 */
  }
}

static gboolean
check (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre, const NnPlace *place,
    GError **error)
{
  if (info->format <= NN_PIXEL_UNKNOWN || info->format >= NN_PIXEL_N_FORMATS) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "pixel format %d is not supported",
        (int) info->format);
    return FALSE;
  }
  if (info->width < 1 || info->height < 1 || info->width > MAX_SIZE || info->height > MAX_SIZE) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "an image of %ux%u pixels cannot be resized: 1x1 to %dx%d are possible", info->width,
        info->height, MAX_SIZE, MAX_SIZE);
    return FALSE;
  }
  if (pre->width < 1 || pre->height < 1 || pre->width > MAX_SIZE || pre->height > MAX_SIZE) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "an image cannot be resized to %ux%u pixels: 1x1 to %dx%d are possible", pre->width,
        pre->height, MAX_SIZE, MAX_SIZE);
    return FALSE;
  }
  if (!(crop->x >= 0 && crop->y >= 0 && crop->width >= 1 && crop->height >= 1
          && crop->x + crop->width <= info->width && crop->y + crop->height <= info->height)) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "crop %g,%g %gx%g is not inside the image of %ux%u pixels (at least 1x1 pixel is needed)",
        crop->x, crop->y, crop->width, crop->height, info->width, info->height);
    return FALSE;
  }
  if (place
      && (place->width < 1 || place->height < 1 || place->width > pre->width
          || place->height > pre->height || place->x > pre->width - place->width
          || place->y > pre->height - place->height)) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%ux%u pixels at %u,%u are not inside an input of %ux%u", place->width, place->height,
        place->x, place->y, pre->width, pre->height);
    return FALSE;
  }
  return TRUE;
}

static NnYuvMatrix
matrix_of (const NnImageInfo *info, const NnSamplerFormat *format)
{
  static const double k[NN_N_MATRICES][2] = {
    [NN_MATRIX_BT601] = { .299, .114 },
    [NN_MATRIX_BT709] = { .2126, .0722 },
    [NN_MATRIX_BT2020] = { .2627, .0593 },
    [NN_MATRIX_SMPTE240M] = { .212, .087 },
    [NN_MATRIX_FCC] = { .30, .11 },
  };
  NnYuvMatrix m = nn_yuv_matrix (k[info->matrix][0], k[info->matrix][1], info->full_range);

  if (info->full_range && format->depth > 8) { /* 1023, divided by 4, is no more than 255 */
    const float factor = (float) (255. * (1 << (format->depth - 8)) / ((1 << format->depth) - 1));

    m.y_scale *= factor;
    m.rv *= factor;
    m.gu *= factor;
    m.gv *= factor;
    m.bu *= factor;
  }
  return m;
}

/* What is read for each output row and column. */
static void
init_axes (NnSampler *sampler, const NnRect *crop)
{
  const NnSamplerFormat *format = sampler->format;
  const NnImageInfo *info = &sampler->info;
  const NnPlace *place = &sampler->place;
  Range columns[3], rows[3];

  for (guint c = 0; c < format->n_components; c++) {
    const NnSamplerComponent *component = &format->components[c];

    columns[c] = range_of (crop->x, crop->width, component->shift_x, info->width, place->width);
    rows[c] = range_of (crop->y, crop->height, component->shift_y, info->height, place->height);
    sampler->methods[c] = sampler->pre.resize;
    switch (sampler->pre.resize) {
      case NN_RESIZE_NEAREST:
        axis_init_nearest (&sampler->columns[c], &columns[0]);
        axis_init_nearest (&sampler->rows[c], &rows[0]);
        /* the chroma sample that covers the luma pixel */
        for (guint i = 0; i < place->width; i++)
          sampler->columns[c].index[i] >>= component->shift_x;
        for (guint i = 0; i < place->height; i++)
          sampler->rows[c].index[i] >>= component->shift_y;
        break;
      case NN_RESIZE_AREA:
        if (columns[c].size >= place->width || rows[c].size >= place->height)
          break;
        sampler->methods[c] = NN_RESIZE_BILINEAR;
        G_GNUC_FALLTHROUGH;
      case NN_RESIZE_BILINEAR:
        axis_init_bilinear (&sampler->columns[c], &columns[c]);
        axis_init_bilinear (&sampler->rows[c], &rows[c]);
        break;
    }
    sampler->values[c] = g_new0 (float, (gsize) place->width + NN_AREA_OUTPUTS);
  }
  if (sampler->pre.resize == NN_RESIZE_AREA)
    area_init (sampler, columns, rows);
}

static gsize
band_stride (const NnSampler *sampler, const NnSamplerAreaPlane *plane)
{
  return (plane->n * sampler->format->sample_size + 63) / 64 * 64;
}

/* For the largest band. */
static gboolean
init_band (NnSampler *sampler, GError **error)
{
  gsize size = 0;

  for (guint p = 0; p < 3; p++) {
    const NnSamplerAreaPlane *plane = &sampler->area[p];

    for (guint y = 0; plane->used && y < sampler->place.height; y++)
      size = MAX (size, band_stride (sampler, plane)
              * (plane->rows[y].last - plane->rows[y].first + 1));
  }
  sampler->band = g_try_malloc (size);
  if (size > 0 && !sampler->band) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "no memory for %" G_GSIZE_FORMAT " bytes to turn an image of %ux%u pixels in", size,
        sampler->info.width, sampler->info.height);
    return FALSE;
  }
  return TRUE;
}

/* @place: NULL = where the aspect policy wants it */
static NnSampler *
new_sampler (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre,
    const NnPlace *place, GError **error)
{
  const NnRect whole = { 0, 0, info->width, info->height };
  g_autoptr (NnSampler) sampler = NULL;
  NnRect source;

  if (!crop)
    crop = &whole;
  if (!check (info, crop, pre, place, error))
    return NULL;
  sampler = g_new0 (NnSampler, 1);
  sampler->info = *info;
  sampler->pre = *pre;
  sampler->extend = place != NULL;
  if (place) {
    sampler->place = *place;
  } else {
    nn_preprocess_fit (pre, info, crop, &source, &sampler->place);
    crop = &source;
  }
  sampler->format = sampler->source_format = &formats[info->format];
  if (info->orientation != NN_ORIENTATION_IDENTITY) {
    nn_turned_format (sampler->source_format, info->orientation, &sampler->turned);
    sampler->format = &sampler->turned;
  }
  sampler->kernels = nn_sampler_kernels_get ();
  sampler->matrix = matrix_of (info, sampler->format);
  for (guint i = 0; i < NN_SCALE_PERIOD; i++) {
    sampler->mean[i] = pre->mean[i % nn_preprocess_get_n_channels (pre)];
    sampler->scale[i] = pre->scale[i % nn_preprocess_get_n_channels (pre)];
  }
  init_axes (sampler, crop);
  if (nn_sampler_is_turned (sampler) && !init_band (sampler, error))
    return NULL;
  sampler->rgb = g_new0 (guint8, (gsize) sampler->place.width * 3);
  sampler->bytes = g_new0 (guint8, (gsize) pre->width * 3);
  return g_steal_pointer (&sampler);
}

NnSampler *
nn_sampler_new (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre,
    GError **error)
{
  return new_sampler (info, crop, pre, NULL, error);
}

NnSampler *
nn_sampler_new_placed (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre,
    const NnPlace *place, GError **error)
{
  return new_sampler (info, crop, pre, place, error);
}

void
nn_sampler_free (NnSampler *sampler)
{
  if (!sampler)
    return;
  for (guint i = 0; i < 3; i++) {
    axis_clear (&sampler->columns[i]);
    axis_clear (&sampler->rows[i]);
    g_free (sampler->area[i].rows);
    g_free (sampler->area[i].sums);
    g_free (sampler->area[i].tall_sums);
    g_free (sampler->area[i].means);
    g_free ((gpointer) sampler->area_columns[i].first);
    g_free ((gpointer) sampler->area_columns[i].weights);
    g_free ((gpointer) sampler->area_columns[i].scale);
    g_free (sampler->values[i]);
  }
  g_free (sampler->band);
  g_free (sampler->rgb);
  g_free (sampler->bytes);
  g_free (sampler);
}

/* --- one row of a component ---------------------------------------------------------- */

static inline float
sample (const NnSamplerFormat *format, const guint8 *row, gsize i)
{
  if (format->sample_size == 1)
    return row[i];
  return (float) ((row[2 * i] | row[2 * i + 1] << 8) >> format->shift)
      * (1.f / (1 << (format->depth - 8)));
}

static const guint8 *
source_row (const NnImagePlanes *src, guint plane, guint row)
{
  return src->planes[plane] + (gssize) row * src->strides[plane];
}

static void
nearest_row (const NnSampler *s, const NnImagePlanes *src, guint c, guint y, float *dst)
{
  const NnSamplerComponent *component = &s->format->components[c];
  const guint8 *row = source_row (src, component->plane, s->rows[c].index[y]);
  const guint *index = s->columns[c].index;

  if (s->format->sample_size == 1) {
    row += component->offset;
    for (guint x = 0; x < s->place.width; x++)
      dst[x] = row[index[x] * component->step];
  } else {
    for (guint x = 0; x < s->place.width; x++)
      dst[x] = sample (s->format, row, (gsize) index[x] * component->step + component->offset);
  }
}

static void
bilinear_row (const NnSampler *s, const NnImagePlanes *src, guint c, guint y, float *dst)
{
  const NnSamplerComponent *component = &s->format->components[c];
  const NnSamplerAxis *columns = &s->columns[c], *rows = &s->rows[c];
  const guint8 *top = source_row (src, component->plane, rows->index[y]);
  const guint8 *bottom = source_row (src, component->plane, rows->index2[y]);
  const float fy = rows->fraction[y];

  for (guint x = 0; x < s->place.width; x++) {
    gsize i = (gsize) columns->index[x] * component->step + component->offset;
    gsize j = (gsize) columns->index2[x] * component->step + component->offset;
    float fx = columns->fraction[x];
    float a = sample (s->format, top, i), b = sample (s->format, top, j);
    float d = sample (s->format, bottom, i), e = sample (s->format, bottom, j);
    float above = a + (b - a) * fx, below = d + (e - d) * fx;

    dst[x] = above + (below - above) * fy;
  }
}

static NnTurnedPlane
turned_plane (const NnSampler *s, const NnImagePlanes *src, guint c)
{
  return nn_turned_component (s->source_format, &s->info, c, src);
}

static void
turned_nearest_row (const NnSampler *s, const NnImagePlanes *src, guint c, guint y, float *dst)
{
  const NnTurnedPlane plane = turned_plane (s, src, c);
  const guint8 *row = plane.first + (gssize) s->rows[c].index[y] * plane.pitch_y;
  const guint *index = s->columns[c].index;

  for (guint x = 0; x < s->place.width; x++)
    dst[x] = sample (s->format, row + (gssize) index[x] * plane.pitch_x, 0);
}

static void
turned_bilinear_row (const NnSampler *s, const NnImagePlanes *src, guint c, guint y, float *dst)
{
  const NnSamplerAxis *columns = &s->columns[c], *rows = &s->rows[c];
  const NnTurnedPlane plane = turned_plane (s, src, c);
  const guint8 *top = plane.first + (gssize) rows->index[y] * plane.pitch_y;
  const guint8 *bottom = plane.first + (gssize) rows->index2[y] * plane.pitch_y;
  const float fy = rows->fraction[y];

  for (guint x = 0; x < s->place.width; x++) {
    gssize i = (gssize) columns->index[x] * plane.pitch_x;
    gssize j = (gssize) columns->index2[x] * plane.pitch_x;
    float fx = columns->fraction[x];
    float a = sample (s->format, top + i, 0), b = sample (s->format, top + j, 0);
    float d = sample (s->format, bottom + i, 0), e = sample (s->format, bottom + j, 0);
    float above = a + (b - a) * fx, below = d + (e - d) * fx;

    dst[x] = above + (below - above) * fy;
  }
}

/* more rows than 16 bits can add up: a picture of thousands of rows to a few */
static void
area_tall_row (const NnSampler *s, const NnSamplerAreaPlane *plane, const NnSamplerAreaRow *row,
    const NnAreaRows *rows)
{
  const guint size = s->format->sample_size, shift = s->format->shift;
  const guint mask = (1u << s->format->depth) - 1;
  const guint8 *line = rows->first + rows->stride;

  memset (plane->tall_sums, 0, plane->n * sizeof (guint32));
  for (guint k = 0; k < row->n_whole; k++, line += rows->stride) {
    if (size == 1)
      for (gsize i = 0; i < plane->n; i++)
        plane->tall_sums[i] += line[i];
    else
      for (gsize i = 0; i < plane->n; i++)
        plane->tall_sums[i] += ((const guint16 *) (gconstpointer) line)[i] >> shift & mask;
  }
  for (gsize i = 0; i < plane->n; i++) {
    float first = rows->first[i * size], last = rows->last[i * size];

    if (size == 2) {
      first = (float) (((const guint16 *) (gconstpointer) rows->first)[i] >> shift & mask);
      last = (float) (((const guint16 *) (gconstpointer) rows->last)[i] >> shift & mask);
    }
    plane->means[i] = (gint16) (((float) plane->tall_sums[i] + first * row->first_share
                                    + last * row->last_share)
            * row->inverse
        + 0.5f);
  }
}

static void
area_rows (const NnSampler *s, const NnImagePlanes *src, guint p, guint y)
{
  const NnSamplerAreaPlane *plane = &s->area[p];
  const NnSamplerAreaRow *row = &plane->rows[y];
  const gsize at = plane->first * s->format->sample_size;
  NnAreaRows rows = {
    .n_whole = row->n_whole,
    .up = row->up,
    .whole_weight = row->whole_weight,
    .first_weight = row->first_weight,
    .last_weight = row->last_weight,
    .bias = row->bias,
    .down = s->format->shift,
  };

  if (nn_sampler_is_turned (s)) {
    const NnTurnedPlane turned = turned_plane (s, src, p);
    const guint n_rows = row->last - row->first + 1;
    const gsize stride = band_stride (s, plane);

    nn_turned_copy (&turned, s->format->sample_size, plane->first, plane->n, row->first, n_rows,
        s->band, stride);
    rows.first = s->band;
    rows.last = s->band + (n_rows - 1) * stride;
    rows.stride = (gssize) stride;
  } else {
    rows.first = source_row (src, p, row->first) + at;
    rows.last = source_row (src, p, row->last) + at;
    rows.stride = src->strides[p];
    rows.n_ahead = y + 1 < s->place.height ? row[1].last - row->last : 0;
  }
  if (row->n_whole > NN_AREA_MAX_WHOLE (s->format->depth))
    area_tall_row (s, plane, row, &rows);
  else if (s->format->sample_size == 1)
    s->kernels->area_rows_8 (&rows, plane->n, plane->sums, plane->means);
  else
    s->kernels->area_rows_10 (&rows, plane->n, plane->sums, plane->means);
}

/* --- a row of pixels ---------------------------------------------------------------------- */

static void
convert_row (const NnSampler *s, guint8 *dst)
{
  const guint width = s->place.width;
  float *a = s->values[0], *b = s->values[1], *c = s->values[2];

  if (s->format->n_components == 1) {
    for (guint x = 0; x < width; x++)
      a[x] = (a[x] - s->matrix.y_offset) * s->matrix.y_scale;
    b = c = a;
  } else if (!s->format->is_rgb) {
    s->kernels->yuv_to_rgb (&s->matrix, width, a, b, c);
  }
  if (s->pre.channels == NN_CHANNELS_GRAY) {
    const guint8 *rgb = s->rgb;

    s->kernels->pack (width, a, b, c, s->rgb);
    for (guint x = 0; x < width; x++)
      dst[x] = nn_gray (rgb[3 * x], rgb[3 * x + 1], rgb[3 * x + 2]);
  } else if (s->pre.channels == NN_CHANNELS_BGR) {
    s->kernels->pack (width, c, b, a, dst);
  } else {
    s->kernels->pack (width, a, b, c, dst);
  }
}

static void
sample_row (const NnSampler *s, const NnImagePlanes *src, guint y, guint8 *dst)
{
  guint planes_done = 0;

  for (guint c = 0; c < s->format->n_components; c++) {
    const guint plane = s->format->components[c].plane;

    switch (s->methods[c]) {
      case NN_RESIZE_NEAREST:
        if (nn_sampler_is_turned (s))
          turned_nearest_row (s, src, c, y, s->values[c]);
        else
          nearest_row (s, src, c, y, s->values[c]);
        break;
      case NN_RESIZE_BILINEAR:
        if (nn_sampler_is_turned (s))
          turned_bilinear_row (s, src, c, y, s->values[c]);
        else
          bilinear_row (s, src, c, y, s->values[c]);
        break;
      case NN_RESIZE_AREA:
        if (!(planes_done & 1u << plane))
          area_rows (s, src, plane, y);
        planes_done |= 1u << plane;
        s->kernels->area_columns (&s->area_columns[c], s->area[plane].means, s->values[c]);
        break;
    }
  }
  convert_row (s, dst);
}

/* one row of the whole output: the picture's and what is beside it */
static void
place_row (const NnSampler *s, const NnImagePlanes *src, guint y, guint8 *dst)
{
  const NnPlace *p = &s->place;
  const gsize channels = nn_preprocess_get_n_channels (&s->pre), line = s->pre.width * channels;
  const gsize first = p->x * channels, end = (p->x + p->width) * channels;

  if (!s->extend && (y < p->y || y >= p->y + p->height)) {
    memset (dst, s->pre.pad, line);
    return;
  }
  sample_row (s, src, CLAMP (y, p->y, p->y + p->height - 1) - p->y, dst + first);
  if (s->extend) {
    for (gsize i = first; i-- > 0;)
      dst[i] = dst[i + channels];
    for (gsize i = end; i < line; i++)
      dst[i] = dst[i - channels];
  } else {
    memset (dst, s->pre.pad, first);
    memset (dst + end, s->pre.pad, line - end);
  }
}

void
nn_sampler_run_bytes (NnSampler *sampler, const NnImagePlanes *src, guint8 *dst)
{
  const gsize line
      = (gsize) sampler->pre.width * nn_preprocess_get_n_channels (&sampler->pre);

  for (guint y = 0; y < sampler->pre.height; y++)
    place_row (sampler, src, y, dst + y * line);
}

void
nn_sampler_run (NnSampler *sampler, const NnImagePlanes *src, gboolean hflip, float *dst)
{
  const gsize line
      = (gsize) sampler->pre.width * nn_preprocess_get_n_channels (&sampler->pre);
  NnPreprocess row = sampler->pre;

  row.height = 1;
  for (guint y = 0; y < sampler->pre.height; y++) {
    place_row (sampler, src, y, sampler->bytes);
    if (hflip)
      nn_preprocess_bytes (&row, sampler->bytes, TRUE, dst + y * line);
    else
      sampler->kernels->scale (line, sampler->bytes, sampler->mean, sampler->scale,
          dst + y * line);
  }
}
