/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/picture.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nn/rng.h"

const char *const picture_format_names[NN_PIXEL_N_FORMATS] = {
  "UNKNOWN", "I420", "YV12", "NV12", "NV21", "YUY2", "UYVY", "YVYU", "Y42B", "Y444",
  "I420_10LE", "I422_10LE", "P010_10LE", "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "GRAY8",
  "Y444_10LE", "NV16", "GBR", "AYUV", "AYUV64"
};
G_STATIC_ASSERT (NN_PIXEL_N_FORMATS == NN_PIXEL_AYUV64 + 1); /* a new format needs rows below */

static gboolean
is_rgb (NnPixelFormat format)
{
  return (format >= NN_PIXEL_RGB && format <= NN_PIXEL_XBGR) || format == NN_PIXEL_GBR;
}

Picture *
picture_new (const NnImageInfo *info)
{
  Picture *p = g_new0 (Picture, 1);
  guint sx = 0, sy = 0;

  p->info = *info;
  if (nn_orientation_is_transposed (info->orientation)) {
    p->info.width = info->height;
    p->info.height = info->width;
  }
  info = &p->info;
  p->n_components = info->format == NN_PIXEL_GRAY8 ? 1 : 3;
  p->depth = 8;
  switch (info->format) {
    case NN_PIXEL_I420_10LE:
    case NN_PIXEL_P010_10LE:
      p->depth = 10;
      sx = sy = 1;
      break;
    case NN_PIXEL_I420:
    case NN_PIXEL_YV12:
    case NN_PIXEL_NV12:
    case NN_PIXEL_NV21:
      sx = sy = 1;
      break;
    case NN_PIXEL_I422_10LE:
      p->depth = 10;
      sx = 1;
      break;
    case NN_PIXEL_YUY2:
    case NN_PIXEL_UYVY:
    case NN_PIXEL_YVYU:
    case NN_PIXEL_Y42B:
    case NN_PIXEL_NV16:
      sx = 1;
      break;
    case NN_PIXEL_Y444_10LE:
    case NN_PIXEL_AYUV64:
      p->depth = 10;
      break;
    default:
      break;
  }
  for (guint c = 0; c < p->n_components; c++) {
    p->shift_x[c] = c ? sx : 0;
    p->shift_y[c] = c ? sy : 0;
    p->widths[c] = (info->width + (1 << p->shift_x[c]) - 1) >> p->shift_x[c];
    p->heights[c] = (info->height + (1 << p->shift_y[c]) - 1) >> p->shift_y[c];
    p->components[c] = g_new0 (guint16, (gsize) p->widths[c] * p->heights[c]);
  }
  return p;
}

Picture *
picture_turn (const Picture *p)
{
  const NnOrientation o = p->info.orientation;
  Picture *turned = g_new0 (Picture, 1);

  turned->info = p->info;
  turned->info.orientation = NN_ORIENTATION_IDENTITY;
  turned->n_components = p->n_components;
  turned->depth = p->depth;
  if (nn_orientation_is_transposed (o)) {
    turned->info.width = p->info.height;
    turned->info.height = p->info.width;
  }
  for (guint c = 0; c < p->n_components; c++) {
    const guint width = p->widths[c], height = p->heights[c];

    turned->components[c] = g_new (guint16, (gsize) width * height);
    turned->widths[c] = width;
    turned->shift_x[c] = p->shift_x[c];
    turned->shift_y[c] = p->shift_y[c];
    turned->heights[c] = height;
    if (nn_orientation_is_transposed (o)) {
      turned->widths[c] = height;
      turned->heights[c] = width;
      turned->shift_x[c] = p->shift_y[c];
      turned->shift_y[c] = p->shift_x[c];
    }
    for (guint y = 0; y < height; y++)
      for (guint x = 0; x < width; x++) {
        const guint right = width - 1 - x, below = height - 1 - y;
        const struct
        {
          guint x, y;
        } to[NN_N_ORIENTATIONS] = { { x, y }, { below, x }, { right, below }, { y, right },
          { right, y }, { x, below }, { y, x }, { below, right } };

        turned->components[c][to[o].y * turned->widths[c] + to[o].x]
            = p->components[c][y * width + x];
      }
  }
  return turned;
}

static void
unmap (Picture *p)
{
  for (guint i = 0; i < 3; i++) {
    if (p->maps[i])
      munmap (p->maps[i], p->map_sizes[i]);
    p->maps[i] = NULL;
  }
}

void
picture_free (Picture *p)
{
  unmap (p);
  for (guint c = 0; c < 3; c++)
    g_free (p->components[c]);
  g_free (p);
}

void
picture_fill_random (Picture *p, guint64 seed, gboolean smooth)
{
  const double top = (1 << p->depth) - 1;
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_USER, p->info.format);
  for (guint c = 0; c < p->n_components; c++) {
    double fx = nn_rng_uniform (&rng, 2, 9), fy = nn_rng_uniform (&rng, 2, 9);
    double phase = nn_rng_uniform (&rng, 0, 6);

    for (guint y = 0; y < p->heights[c]; y++)
      for (guint x = 0; x < p->widths[c]; x++) {
        double wave = sin (fx * x / p->widths[c] + phase) * cos (fy * y / p->heights[c]);

        p->components[c][(gsize) y * p->widths[c] + x]
            = (guint16) (smooth ? (wave * .5 + .5) * top : nn_rng_below (&rng, (guint) top + 1));
      }
  }
}

void
picture_fill_solid (Picture *p, guint a, guint b, guint c)
{
  const guint values[] = { a, b, c };

  for (guint i = 0; i < p->n_components; i++)
    for (gsize k = 0; k < (gsize) p->widths[i] * p->heights[i]; k++)
      p->components[i][k] = (guint16) values[i];
}

/* --- memory ------------------------------------------------------------------------ */

/* where sample @x of component @c is: plane, and bytes from the row's begin */
static guint
locate (NnPixelFormat format, guint c, guint x, guint *plane)
{
  *plane = 0;
  switch (format) {
    case NN_PIXEL_I420:
    case NN_PIXEL_Y42B:
    case NN_PIXEL_Y444:
      *plane = c;
      return x;
    case NN_PIXEL_YV12:
      *plane = (3 - c) % 3;
      return x;
    case NN_PIXEL_NV12:
    case NN_PIXEL_NV16:
      *plane = c > 0;
      return c == 0 ? x : 2 * x + c - 1;
    case NN_PIXEL_NV21:
      *plane = c > 0;
      return c == 0 ? x : 2 * x + 2 - c;
    case NN_PIXEL_YUY2: /* Y0 U Y1 V */
      return c == 0 ? 2 * x : 4 * x + (c == 1 ? 1 : 3);
    case NN_PIXEL_UYVY: /* U Y0 V Y1 */
      return c == 0 ? 2 * x + 1 : 4 * x + (c == 1 ? 0 : 2);
    case NN_PIXEL_YVYU: /* Y0 V Y1 U */
      return c == 0 ? 2 * x : 4 * x + (c == 1 ? 3 : 1);
    case NN_PIXEL_I420_10LE:
    case NN_PIXEL_I422_10LE:
    case NN_PIXEL_Y444_10LE:
      *plane = c;
      return 2 * x;
    case NN_PIXEL_GBR:
      *plane = (c + 2) % 3;
      return x;
    case NN_PIXEL_AYUV:
      return 4 * x + 1 + c;
    case NN_PIXEL_AYUV64:
      return 8 * x + 2 * (1 + c);
    case NN_PIXEL_P010_10LE:
      *plane = c > 0;
      return c == 0 ? 2 * x : 4 * x + 2 * (c - 1);
    case NN_PIXEL_RGB:
      return 3 * x + c;
    case NN_PIXEL_BGR:
      return 3 * x + 2 - c;
    case NN_PIXEL_RGBX:
      return 4 * x + c;
    case NN_PIXEL_BGRX:
      return 4 * x + 2 - c;
    case NN_PIXEL_XRGB:
      return 4 * x + 1 + c;
    case NN_PIXEL_XBGR:
      return 4 * x + 3 - c;
    default:
      return x;
  }
}

void
picture_lay_out (Picture *p, PictureLayout layout)
{
  const gsize page = (gsize) sysconf (_SC_PAGESIZE);
  const guint bytes = p->depth > 8 ? 2 : 1;
  gsize row_bytes[3] = { 0 };
  guint rows[3] = { 0 }, plane;

  unmap (p);
  for (guint c = 0; c < p->n_components; c++) {
    gsize end = locate (p->info.format, c, p->widths[c] - 1, &plane) + bytes;

    row_bytes[plane] = MAX (row_bytes[plane], end);
    rows[plane] = p->heights[c];
  }
  for (guint i = 0; i < 3; i++) {
    gsize stride, size, mapped;
    guint8 *first;

    p->planes.planes[i] = NULL;
    p->planes.strides[i] = 0;
    if (!rows[i])
      continue;
    /* pixels keep their alignment: a row is whole pixels, the last may lack its padding */
    stride = row_bytes[i];
    while (stride % (bytes * (is_rgb (p->info.format) ? 1 : 2)))
      stride++;
    if (layout & PICTURE_PADDED)
      stride += 2 * bytes * 7;
    size = stride * (rows[i] - 1) + row_bytes[i];
    mapped = (size + page - 1) / page * page;
    p->map_sizes[i] = mapped + 2 * page;
    p->maps[i] = mmap (NULL, p->map_sizes[i], PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true (p->maps[i] != MAP_FAILED);
    memset (p->maps[i], 0xa5, p->map_sizes[i]);
    first = p->maps[i] + page + (layout & PICTURE_AT_START ? 0 : mapped - size);
    p->planes.strides[i] = (gssize) stride;
    if (layout & PICTURE_NEGATIVE) {
      first += stride * (rows[i] - 1);
      p->planes.strides[i] = -(gssize) stride;
    }
    p->planes.planes[i] = first;
  }
  for (guint c = 0; c < p->n_components; c++)
    for (guint y = 0; y < p->heights[c]; y++)
      for (guint x = 0; x < p->widths[c]; x++) {
        guint at = locate (p->info.format, c, x, &plane);
        guint value = p->components[c][(gsize) y * p->widths[c] + x];
        guint8 *to = (guint8 *) p->planes.planes[plane] + (gssize) y * p->planes.strides[plane]
            + at;

        if (p->info.format == NN_PIXEL_P010_10LE || p->info.format == NN_PIXEL_AYUV64)
          value = value << 6 | 0x2a; /* the low bits mean nothing */
        to[0] = (guint8) value;
        if (bytes == 2)
          to[1] = (guint8) (value >> 8);
      }
  for (guint i = 0; i < 3; i++)
    if (p->maps[i]) {
      mprotect (p->maps[i], page, PROT_NONE);
      mprotect (p->maps[i] + p->map_sizes[i] - page, page, PROT_NONE);
    }
}

/* --- the judge ---------------------------------------------------------------------------- */

/* weights[n_in] of output @i, their sum 1 */
static void
weigh (NnResize method, double start, double size, guint n_in, guint n_out, guint i,
    double *weights)
{
  const double scale = size / n_out;
  const int lowest = (int) floor (start), highest = (int) MIN (ceil (start + size), n_in) - 1;

  memset (weights, 0, n_in * sizeof (double));
  if (method == NN_RESIZE_AREA && scale >= 1) {
    double from = start + i * scale, to = start + (i + 1) * scale;

    for (guint k = 0; k < n_in; k++)
      weights[k] = MAX (0, MIN (to, k + 1) - MAX (from, k)) / scale;
  } else {
    double centre = CLAMP (start + (i + .5) * scale - .5, lowest, highest);
    int left = (int) floor (centre);

    weights[left] = 1 - (centre - left);
    if (left < highest)
      weights[left + 1] = centre - left;
  }
}

/* Pillow's NEAREST, starting at the crop */
static guint
nearest (double start, double size, guint n_in, guint n_out, guint i)
{
  double x = start + size / n_out * .5;

  for (guint k = 0; k < i; k++)
    x += size / n_out;
  return MIN ((guint) x, (guint) MIN (ceil (start + size), n_in) - 1);
}

static double *
resize_component (const Picture *p, guint c, const NnRect *crop, const NnPreprocess *pre)
{
  const guint width = p->widths[c], height = p->heights[c];
  const double sx = 1 << p->shift_x[c], sy = 1 << p->shift_y[c];
  const double scale = 1. / (1 << (p->depth - 8));
  double *out = g_new0 (double, (gsize) pre->width * pre->height);
  g_autofree double *wx = g_new (double, (gsize) width * pre->width);
  g_autofree double *wy = g_new (double, height);
  g_autofree double *row = g_new (double, width);

  if (pre->resize == NN_RESIZE_NEAREST) { /* of the luma's grid; its chroma comes along */
    for (guint y = 0; y < pre->height; y++) {
      guint iy = nearest (crop->y, crop->height, p->info.height, pre->height, y)
          >> p->shift_y[c];

      for (guint x = 0; x < pre->width; x++) {
        guint ix = nearest (crop->x, crop->width, p->info.width, pre->width, x) >> p->shift_x[c];

        out[(gsize) y * pre->width + x] = p->components[c][(gsize) iy * width + ix] * scale;
      }
    }
    return out;
  }
  for (guint x = 0; x < pre->width; x++)
    weigh (pre->resize, crop->x / sx, crop->width / sx, width, pre->width, x,
        wx + (gsize) x * width);
  for (guint y = 0; y < pre->height; y++) {
    weigh (pre->resize, crop->y / sy, crop->height / sy, height, pre->height, y, wy);
    memset (row, 0, width * sizeof (double));
    for (guint k = 0; k < height; k++)
      if (wy[k] != 0)
        for (guint x = 0; x < width; x++)
          row[x] += wy[k] * p->components[c][(gsize) k * width + x] * scale;
    for (guint x = 0; x < pre->width; x++)
      for (guint k = 0; k < width; k++)
        out[(gsize) y * pre->width + x] += wx[(gsize) x * width + k] * row[k];
  }
  return out;
}

void
picture_reference (const Picture *p, const NnRect *crop, const NnPreprocess *pre, double *dst)
{
  static const double kr[] = { .299, .2126, .2627, .212, .3 };
  static const double kb[] = { .114, .0722, .0593, .087, .11 };
  const double top = ((1 << p->depth) - 1.) / (1 << (p->depth - 8));
  const NnRect whole = { 0, 0, p->info.width, p->info.height };
  const double r = kr[p->info.matrix], b = kb[p->info.matrix], g = 1 - r - b;
  double *components[3] = { NULL };

  for (guint c = 0; c < p->n_components; c++)
    components[c] = resize_component (p, c, crop ? crop : &whole, pre);
  for (gsize i = 0; i < (gsize) pre->width * pre->height; i++) {
    double v[3];

    for (guint c = 0; c < 3; c++)
      v[c] = components[c < p->n_components ? c : 0][i];
    if (!is_rgb (p->info.format)) {
      double y = p->info.full_range ? v[0] / top : (v[0] - 16) / 219;
      double cb = (v[1] - 128) / (p->info.full_range ? top : 224);
      double cr = (v[2] - 128) / (p->info.full_range ? top : 224);

      if (p->n_components == 1)
        cb = cr = 0;
      v[0] = 255 * (y + 2 * (1 - r) * cr);
      v[2] = 255 * (y + 2 * (1 - b) * cb);
      v[1] = (255 * y - r * v[0] - b * v[2]) / g; /* Y = Kr R + Kg G + Kb B */
    }
    for (guint c = 0; c < 3; c++)
      v[c] = CLAMP (v[c], 0, 255);
    if (pre->channels == NN_CHANNELS_GRAY) {
      dst[i] = (19595 * v[0] + 38470 * v[1] + 7471 * v[2]) / 65536;
    } else {
      gboolean swap = pre->channels == NN_CHANNELS_BGR;

      dst[3 * i] = v[swap ? 2 : 0];
      dst[3 * i + 1] = v[1];
      dst[3 * i + 2] = v[swap ? 0 : 2];
    }
  }
  for (guint c = 0; c < 3; c++)
    g_free (components[c]);
}
