/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/image.h"
#include "nn/pixel-math.h"
#include "sampler-orc.h"

/* Every component (Y, U, V or R, G, B) is resized on its own grid, whatever the
 * chroma subsampling, to one row of floats 0..255 of the network's width; then the
 * row is converted and rounded. Averaging and the colour matrix are linear: the order
 * does not matter, and the frame is never converted as a whole. Integer sums,
 * and floats without contraction: the same bits on every CPU.
 *
 * Area: boundaries between output pixels in 1/256 of a source pixel; whole rows are
 * added up as integers, rows on a boundary weighted, then columns likewise. */

#define MAX_SIZE 32768
#define SUM16_ROWS 256 /* rows of bytes that a 16-bit sum holds: 256 * 255 < 2^16 */

typedef struct
{
  guint8 plane;
  guint8 offset, step;      /* in samples */
  guint8 shift_x, shift_y;  /* log2 of the subsampling */
} Component;

typedef struct
{
  guint8 n_components;
  guint8 sample_size; /* bytes */
  guint8 shift;       /* bits below the sample's least */
  guint8 depth;
  gboolean is_rgb;
  Component components[3];
} FormatInfo;

#define PLANAR(sx, sy, u, v) { { 0, 0, 1, 0, 0 }, { u, 0, 1, sx, sy }, { v, 0, 1, sx, sy } }
#define SEMI(u, v) { { 0, 0, 1, 0, 0 }, { 1, u, 2, 1, 1 }, { 1, v, 2, 1, 1 } }
#define PACKED422(y, u, v) { { 0, y, 2, 0, 0 }, { 0, u, 4, 1, 0 }, { 0, v, 4, 1, 0 } }
#define RGB(r, g, b, step) { { 0, r, step, 0, 0 }, { 0, g, step, 0, 0 }, { 0, b, step, 0, 0 } }

static const FormatInfo formats[NN_PIXEL_N_FORMATS] = {
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
  [NN_PIXEL_RGB] = { 3, 1, 0, 8, TRUE, RGB (0, 1, 2, 3) },
  [NN_PIXEL_BGR] = { 3, 1, 0, 8, TRUE, RGB (2, 1, 0, 3) },
  [NN_PIXEL_RGBX] = { 3, 1, 0, 8, TRUE, RGB (0, 1, 2, 4) },
  [NN_PIXEL_BGRX] = { 3, 1, 0, 8, TRUE, RGB (2, 1, 0, 4) },
  [NN_PIXEL_XRGB] = { 3, 1, 0, 8, TRUE, RGB (1, 2, 3, 4) },
  [NN_PIXEL_XBGR] = { 3, 1, 0, 8, TRUE, RGB (3, 2, 1, 4) },
  [NN_PIXEL_Y444_10LE] = { 3, 2, 0, 10, FALSE, PLANAR (0, 0, 1, 2) },
  [NN_PIXEL_NV16] = { 3, 1, 0, 8, FALSE,
      { { 0, 0, 1, 0, 0 }, { 1, 0, 2, 1, 0 }, { 1, 1, 2, 1, 0 } } },
  [NN_PIXEL_GBR] = { 3, 1, 0, 8, TRUE,
      { { 2, 0, 1, 0, 0 }, { 0, 0, 1, 0, 0 }, { 1, 0, 1, 0, 0 } } },
  [NN_PIXEL_GRAY8] = { 1, 1, 0, 8, FALSE, { { 0, 0, 1, 0, 0 } } },
};

/* One axis of one grid to the output's: for each output index, taps. */
typedef struct
{
  NnResize method; /* of an area resize too BILINEAR where both axes grow */
  guint n;         /* outputs */
  guint *index;    /* nearest; bilinear: the first tap; area: the first pixel */
  guint *index2;   /* bilinear: the second tap; area: the last pixel */
  float *fraction; /* bilinear: weight of the second */
  guint *first_weight, *last_weight; /* area: 0..256 */
  guint n_whole;                     /* area: whole pixels that every output has */
  guint *extra_weight;               /* area: 256 where there is one more */
  double *inverse;                   /* area: 1 / weights */
} Axis;

/* The part of a plane that the area resize reads, row by row: components that
 * share it are summed together. */
typedef struct
{
  gboolean used;
  guint shift_y;
  gsize first, n; /* samples of a row: from, how many */
  const Axis *rows; /* of any of its components: the same */
  guint16 *sum16;
  guint32 *sum32, *weighed;
} AreaPlane;

struct _NnSampler
{
  NnImageInfo info;
  NnPreprocess pre;
  const FormatInfo *format;
  NnYuvMatrix matrix;
  Axis columns[3], rows[3]; /* of each component */
  AreaPlane area[3];        /* of each plane */
  float *values[3];         /* one output row of each component */
  guint32 *pixels;          /* one output row, 0x00bbggrr */
  guint8 *bytes;            /* one output row, packed */
};

/* --- tables --------------------------------------------------------------------- */

static void
axis_clear (Axis *axis)
{
  g_free (axis->index);
  g_free (axis->index2);
  g_free (axis->fraction);
  g_free (axis->first_weight);
  g_free (axis->last_weight);
  g_free (axis->extra_weight);
  g_free (axis->inverse);
}

/* @start, @size: the crop on this grid; @n_in: the grid's pixels. AREA of an axis that grows
 * is linear interpolation, its weights in 1/256. */
static void
axis_init (Axis *axis, NnResize method, double start, double size, guint n_in, guint n_out)
{
  const double scale = size / n_out;
  const guint lowest = (guint) floor (start);
  const guint highest = MAX (lowest, (guint) MIN (ceil (start + size), (double) n_in) - 1);
  double x = start + scale * 0.5;

  axis->n = n_out;
  axis->method = method;
  axis->index = g_new0 (guint, n_out);
  if (axis->method == NN_RESIZE_NEAREST) {
    for (guint i = 0; i < n_out; i++, x += scale) /* added up as Pillow does */
      axis->index[i] = MIN ((guint) x, highest);
    return;
  }
  axis->index2 = g_new0 (guint, n_out);
  if (axis->method == NN_RESIZE_BILINEAR) {
    axis->fraction = g_new0 (float, n_out);
    for (guint i = 0; i < n_out; i++) {
      double c = CLAMP (start + (i + 0.5) * scale - 0.5, lowest, highest);

      axis->index[i] = (guint) c;
      axis->index2[i] = MIN (axis->index[i] + 1, highest);
      axis->fraction[i] = (float) (c - axis->index[i]);
    }
    return;
  }
  axis->first_weight = g_new0 (guint, n_out);
  axis->last_weight = g_new0 (guint, n_out);
  axis->extra_weight = g_new0 (guint, n_out);
  axis->inverse = g_new0 (double, n_out);
  if (scale < 1) {
    for (guint i = 0; i < n_out; i++) {
      double c = CLAMP (start + (i + 0.5) * scale - 0.5, lowest, highest);

      axis->index[i] = (guint) c;
      axis->index2[i] = MIN (axis->index[i] + 1, highest);
      axis->last_weight[i] = (guint) lround ((c - axis->index[i]) * 256);
      axis->first_weight[i] = 256 - axis->last_weight[i];
      axis->inverse[i] = 1. / 256;
    }
    return;
  }
  axis->n_whole = G_MAXUINT;
  for (guint i = 0; i < n_out; i++) {
    gint64 from = llround ((start + i * scale) * 256);
    gint64 to = llround ((start + (i + 1) * scale) * 256);
    guint first, last;

    to = MIN (to, (gint64) (highest + 1) * 256);
    from = MIN (from, to - 1);
    first = (guint) (from >> 8);
    last = (guint) ((to - 1) >> 8);
    axis->index[i] = first;
    axis->index2[i] = last;
    axis->inverse[i] = 1. / (double) (to - from);
    if (first == last) {
      axis->first_weight[i] = (guint) (to - from);
    } else {
      axis->first_weight[i] = 256 - (guint) (from & 255);
      axis->last_weight[i] = (guint) (to - ((gint64) last << 8));
    }
    axis->n_whole = MIN (axis->n_whole, last > first ? last - first - 1 : 0);
  }
  for (guint i = 0; i < n_out; i++)
    axis->extra_weight[i]
        = axis->index2[i] > axis->index[i] + 1 + axis->n_whole ? 256 : 0;
}

static void
area_init (NnSampler *sampler)
{
  for (guint c = 0; c < sampler->format->n_components; c++) {
    const Component *component = &sampler->format->components[c];
    const Axis *columns = &sampler->columns[c];
    AreaPlane *plane = &sampler->area[component->plane];
    gsize first, end;

    if (columns->method != NN_RESIZE_AREA)
      continue;
    first = (gsize) columns->index[0] * component->step + component->offset;
    end = (gsize) columns->index2[columns->n - 1] * component->step + component->offset + 1;
    if (plane->used) {
      end = MAX (end, plane->first + plane->n);
      first = MIN (plane->first, first);
    }
    plane->used = TRUE;
    plane->first = first;
    plane->n = end - first;
    plane->rows = &sampler->rows[c];
  }
  for (guint p = 0; p < 3; p++) {
    AreaPlane *plane = &sampler->area[p];

    if (!plane->used)
      continue;
    /* a column beyond the last is read where its weight is 0 */
    plane->sum16 = g_new0 (guint16, plane->n + 16);
    plane->sum32 = g_new0 (guint32, plane->n + 16);
    plane->weighed = g_new0 (guint32, plane->n + 16);
  }
}

NnSampler *
nn_sampler_new (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre,
    GError **error)
{
  static const double k[][2] = { { .299, .114 }, { .2126, .0722 }, { .2627, .0593 } };
  const NnRect whole = { 0, 0, info->width, info->height };
  const FormatInfo *format;
  NnSampler *sampler;

  if (info->format <= NN_PIXEL_UNKNOWN || info->format >= NN_PIXEL_N_FORMATS) {
    g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED, "pixel format %d is not supported",
        (int) info->format);
    return NULL;
  }
  if (info->width < 1 || info->height < 1 || info->width > MAX_SIZE || info->height > MAX_SIZE) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "an image of %ux%u pixels cannot be resized: 1x1 to %dx%d are possible", info->width,
        info->height, MAX_SIZE, MAX_SIZE);
    return NULL;
  }
  if (pre->width < 1 || pre->height < 1 || pre->width > MAX_SIZE || pre->height > MAX_SIZE) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "an image cannot be resized to %ux%u pixels: 1x1 to %dx%d are possible", pre->width,
        pre->height, MAX_SIZE, MAX_SIZE);
    return NULL;
  }
  if (!crop)
    crop = &whole;
  if (!(crop->x >= 0 && crop->y >= 0 && crop->width >= 1 && crop->height >= 1
          && crop->x + crop->width <= info->width && crop->y + crop->height <= info->height)) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "crop %g,%g %gx%g is not inside the image of %ux%u pixels (at least 1x1 pixel is needed)",
        crop->x, crop->y, crop->width, crop->height, info->width, info->height);
    return NULL;
  }

  format = &formats[info->format];
  sampler = g_new0 (NnSampler, 1);
  sampler->info = *info;
  sampler->pre = *pre;
  sampler->format = format;
  sampler->matrix = nn_yuv_matrix (k[info->matrix][0], k[info->matrix][1], info->full_range);
  for (guint c = 0; c < format->n_components; c++) {
    const Component *component = &format->components[c];
    const guint sx = 1 << component->shift_x, sy = 1 << component->shift_y;
    const guint width = (info->width + sx - 1) / sx, height = (info->height + sy - 1) / sy;

    /* an odd size has a chroma sample more than half of it: the crop ends with the luma */
    const double crop_width = MIN (crop->width / sx, width - crop->x / sx);
    const double crop_height = MIN (crop->height / sy, height - crop->y / sy);
    NnResize method = pre->resize;

    if (method == NN_RESIZE_AREA && crop_width < pre->width && crop_height < pre->height)
      method = NN_RESIZE_BILINEAR;
    axis_init (&sampler->columns[c], method, crop->x / sx, crop_width, width, pre->width);
    axis_init (&sampler->rows[c], method, crop->y / sy, crop_height, height, pre->height);
    if (pre->resize == NN_RESIZE_NEAREST && (sx > 1 || sy > 1)) {
      /* the chroma sample that covers the luma pixel */
      for (guint i = 0; i < pre->width; i++)
        sampler->columns[c].index[i] = sampler->columns[0].index[i] / sx;
      for (guint i = 0; i < pre->height; i++)
        sampler->rows[c].index[i] = sampler->rows[0].index[i] / sy;
    }
    sampler->values[c] = g_new0 (float, pre->width);
  }
  if (pre->resize == NN_RESIZE_AREA)
    area_init (sampler);
  sampler->pixels = g_new0 (guint32, pre->width);
  sampler->bytes = g_new0 (guint8, (gsize) pre->width * 3);
  return sampler;
}

void
nn_sampler_free (NnSampler *sampler)
{
  if (!sampler)
    return;
  for (guint i = 0; i < 3; i++) {
    axis_clear (&sampler->columns[i]);
    axis_clear (&sampler->rows[i]);
    g_free (sampler->area[i].sum16);
    g_free (sampler->area[i].sum32);
    g_free (sampler->area[i].weighed);
    g_free (sampler->values[i]);
  }
  g_free (sampler->pixels);
  g_free (sampler->bytes);
  g_free (sampler);
}

/* --- one row of a component ---------------------------------------------------------- */

static inline float
sample (const FormatInfo *format, const guint8 *row, gsize i)
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
  const Component *component = &s->format->components[c];
  const guint8 *row = source_row (src, component->plane, s->rows[c].index[y]);
  const guint *index = s->columns[c].index;

  if (s->format->sample_size == 1) {
    row += component->offset;
    for (guint x = 0; x < s->pre.width; x++)
      dst[x] = row[index[x] * component->step];
  } else {
    for (guint x = 0; x < s->pre.width; x++)
      dst[x] = sample (s->format, row, (gsize) index[x] * component->step + component->offset);
  }
}

static void
bilinear_row (const NnSampler *s, const NnImagePlanes *src, guint c, guint y, float *dst)
{
  const Component *component = &s->format->components[c];
  const Axis *columns = &s->columns[c], *rows = &s->rows[c];
  const guint8 *top = source_row (src, component->plane, rows->index[y]);
  const guint8 *bottom = source_row (src, component->plane, rows->index2[y]);
  const float fy = rows->fraction[y];

  for (guint x = 0; x < s->pre.width; x++) {
    gsize i = (gsize) columns->index[x] * component->step + component->offset;
    gsize j = (gsize) columns->index2[x] * component->step + component->offset;
    float fx = columns->fraction[x];
    float a = sample (s->format, top, i), b = sample (s->format, top, j);
    float d = sample (s->format, bottom, i), e = sample (s->format, bottom, j);
    float above = a + (b - a) * fx, below = d + (e - d) * fx;

    dst[x] = above + (below - above) * fy;
  }
}

/* weighed[] = 256 * the sum of the rows of output row y, boundary rows by their share */
static void
area_weigh_rows (const NnSampler *s, const NnImagePlanes *src, guint p, guint y)
{
  const AreaPlane *plane = &s->area[p];
  const guint first = plane->rows->index[y], last = plane->rows->index2[y];
  const guint wf = plane->rows->first_weight[y], wl = plane->rows->last_weight[y];
  const gsize at = plane->first * s->format->sample_size;
  const int n = (int) plane->n;
  guint row = first + 1, whole_end = last > first ? last : row;

  if (s->format->sample_size == 2) {
    memset (plane->sum32, 0, plane->n * sizeof (guint32));
    for (; row < whole_end; row++)
      nn_orc_add_u16 (plane->sum32, (const guint16 *) (source_row (src, p, row) + at),
          s->format->shift, n);
    nn_orc_weigh32_u16 (plane->weighed, plane->sum32,
        (const guint16 *) (source_row (src, p, first) + at),
        (const guint16 *) (source_row (src, p, last) + at), s->format->shift, (int) wf, (int) wl,
        n);
    return;
  }
  if (whole_end - row > SUM16_ROWS) {
    memset (plane->sum32, 0, plane->n * sizeof (guint32));
    while (row < whole_end) {
      guint end = MIN (whole_end, row + SUM16_ROWS);

      nn_orc_set_u8 (plane->sum16, source_row (src, p, row) + at, n);
      for (row++; row < end; row++)
        nn_orc_add_u8 (plane->sum16, source_row (src, p, row) + at, n);
      nn_orc_flush_u8 (plane->sum32, plane->sum16, n);
    }
    nn_orc_weigh32_u8 (plane->weighed, plane->sum32, source_row (src, p, first) + at,
        source_row (src, p, last) + at, (int) wf, (int) wl, n);
    return;
  }
  if (whole_end - row >= 4) {
    nn_orc_sum4_u8 (plane->sum16, source_row (src, p, row) + at, source_row (src, p, row + 1) + at,
        source_row (src, p, row + 2) + at, source_row (src, p, row + 3) + at, n);
    row += 4;
  } else if (row < whole_end) {
    nn_orc_set_u8 (plane->sum16, source_row (src, p, row) + at, n);
    row++;
  } else {
    memset (plane->sum16, 0, plane->n * sizeof (guint16));
  }
  for (; row < whole_end; row++)
    nn_orc_add_u8 (plane->sum16, source_row (src, p, row) + at, n);
  nn_orc_weigh_u8 (plane->weighed, plane->sum16, source_row (src, p, first) + at,
      source_row (src, p, last) + at, (int) wf, (int) wl, n);
}

static inline __attribute__ ((always_inline)) void
area_columns (const Axis *columns, const guint32 *t, guint step, double scale, float *dst)
{
  const guint n_whole = columns->n_whole;

  for (guint x = 0; x < columns->n; x++) {
    const guint32 *first = t + (gsize) columns->index[x] * step;
    guint64 whole = 0, sum;

    for (guint i = 1; i <= n_whole; i++)
      whole += first[i * step];
    sum = (whole << 8) + (guint64) columns->first_weight[x] * first[0]
        + (guint64) columns->extra_weight[x] * first[(n_whole + 1) * step]
        + (guint64) columns->last_weight[x] * t[(gsize) columns->index2[x] * step];
    dst[x] = (float) ((double) sum * (columns->inverse[x] * scale));
  }
}

static void
area_row (const NnSampler *s, guint c, guint y, float *dst)
{
  const Component *component = &s->format->components[c];
  const AreaPlane *plane = &s->area[component->plane];
  const Axis *columns = &s->columns[c];
  const guint32 *t = plane->weighed + component->offset - plane->first;
  const double scale = plane->rows->inverse[y] / (1 << (s->format->depth - 8));

  switch (component->step) { /* constants for the compiler */
    case 1:
      area_columns (columns, t, 1, scale, dst);
      break;
    case 2:
      area_columns (columns, t, 2, scale, dst);
      break;
    case 3:
      area_columns (columns, t, 3, scale, dst);
      break;
    default:
      area_columns (columns, t, 4, scale, dst);
      break;
  }
}

/* --- a row of pixels ---------------------------------------------------------------------- */

/* nn_round_byte() without comparing floats, which keeps GCC from using SIMD */
static inline guint32
round_byte (float x)
{
  gint32 i = (gint32) (x + 0.5f);

  i = i < 0 ? 0 : i;
  return (guint32) (i > 255 ? 255 : i);
}

static void
yuv_to_rgb (const NnYuvMatrix *matrix, guint n, float *restrict a, float *restrict b,
    float *restrict c)
{
  const NnYuvMatrix m = *matrix;

  for (guint x = 0; x < n; x++) {
    float y = (a[x] - m.y_offset) * m.y_scale, u = b[x] - 128, v = c[x] - 128;

    a[x] = y + m.rv * v;
    b[x] = y + m.gu * u + m.gv * v;
    c[x] = y + m.bu * u;
  }
}

static void
pack_pixels (guint n, const float *restrict a, const float *restrict b, const float *restrict c,
    guint32 *restrict dst)
{
  for (guint x = 0; x < n; x++)
    dst[x] = round_byte (a[x]) | round_byte (b[x]) << 8 | round_byte (c[x]) << 16;
}

static void
convert_row (const NnSampler *s, guint8 *dst)
{
  const guint width = s->pre.width;
  float *a = s->values[0], *b = s->values[1], *c = s->values[2];
  guint32 *pixels = s->pixels;

  if (s->format->n_components == 1) {
    for (guint x = 0; x < width; x++)
      a[x] = (a[x] - s->matrix.y_offset) * s->matrix.y_scale;
    b = c = a;
  } else if (!s->format->is_rgb) {
    yuv_to_rgb (&s->matrix, width, a, b, c);
  }
  if (s->pre.channels == NN_CHANNELS_BGR)
    pack_pixels (width, c, b, a, pixels);
  else
    pack_pixels (width, a, b, c, pixels);
  if (s->pre.channels == NN_CHANNELS_GRAY) {
    for (guint x = 0; x < width; x++)
      dst[x] = nn_gray (pixels[x] & 255, pixels[x] >> 8 & 255, pixels[x] >> 16);
    return;
  }
  for (guint x = 0; x + 1 < width; x++, dst += 3) { /* the next pixel overwrites the fourth */
    guint32 pixel = GUINT32_TO_LE (pixels[x]);

    memcpy (dst, &pixel, 4);
  }
  dst[0] = (guint8) pixels[width - 1];
  dst[1] = (guint8) (pixels[width - 1] >> 8);
  dst[2] = (guint8) (pixels[width - 1] >> 16);
}

static void
sample_row (const NnSampler *s, const NnImagePlanes *src, guint y, guint8 *dst)
{
  for (guint p = 0; p < 3; p++)
    if (s->area[p].used)
      area_weigh_rows (s, src, p, y);
  for (guint c = 0; c < s->format->n_components; c++) {
    switch (s->columns[c].method) {
      case NN_RESIZE_NEAREST:
        nearest_row (s, src, c, y, s->values[c]);
        break;
      case NN_RESIZE_BILINEAR:
        bilinear_row (s, src, c, y, s->values[c]);
        break;
      case NN_RESIZE_AREA:
        area_row (s, c, y, s->values[c]);
        break;
    }
  }
  convert_row (s, dst);
}

void
nn_sampler_run_bytes (NnSampler *sampler, const NnImagePlanes *src, guint8 *dst)
{
  const gsize line
      = (gsize) sampler->pre.width * nn_preprocess_get_n_channels (&sampler->pre);

  for (guint y = 0; y < sampler->pre.height; y++)
    sample_row (sampler, src, y, dst + y * line);
}

void
nn_sampler_run (NnSampler *sampler, const NnImagePlanes *src, gboolean hflip, float *dst)
{
  const gsize line
      = (gsize) sampler->pre.width * nn_preprocess_get_n_channels (&sampler->pre);
  NnPreprocess row = sampler->pre;

  row.height = 1;
  for (guint y = 0; y < sampler->pre.height; y++) {
    sample_row (sampler, src, y, sampler->bytes);
    nn_preprocess_bytes (&row, sampler->bytes, hflip, dst + y * line);
  }
}
