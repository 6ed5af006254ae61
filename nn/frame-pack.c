/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/frame-pack.h"

#include <string.h>

#include "nn/error.h"
#include "nn/pack-math.h"
#include "nn/sampler-private.h"

#define NO_ROW G_MAXUINT32

/* What of a plane goes into a pack. */
typedef struct
{
  guint32 *slots; /* of each source row: its row in the pack, or NO_ROW */
  guint n_slots, n_rows;
  guint32 *rows;      /* n_rows: the source rows */
  gsize first, end;   /* samples of a row */
  gsize at, n_bytes, stride;
} Plane;

struct _NnPacker
{
  NnPackLayout layout;
  guint64 id; /* no other of the process has it; not 0 */
  gboolean is_drawn;
  guint sample_size;
  NnImageInfo info;
  const NnSamplerFormat *turned; /* how a frame to be turned lies in memory; NULL: it is not */
  guint8 *tables;
  gsize n_tables, size;
  Plane planes[3];
};

/* --- what is read ----------------------------------------------------------------- */

static void
use_row (Plane *plane, guint row)
{
  if (row >= plane->n_slots) {
    const guint n = row + 1;

    plane->slots = g_renew (guint32, plane->slots, n);
    for (guint i = plane->n_slots; i < n; i++)
      plane->slots[i] = NO_ROW;
    plane->n_slots = n;
  }
  plane->slots[row] = 0;
}

static void
use_samples (Plane *plane, gsize first, gsize end)
{
  plane->first = plane->end > 0 ? MIN (plane->first, first) : first;
  plane->end = MAX (plane->end, end);
}

static void
use_axes (Plane *plane, const NnSampler *s, guint c)
{
  const NnSamplerComponent *component = &s->format->components[c];

  for (guint x = 0; x < s->place.width; x++) {
    const guint *taps[] = { s->columns[c].index, s->columns[c].index2 };

    for (guint t = 0; t < 2 && taps[t]; t++) {
      const gsize at = (gsize) taps[t][x] * component->step + component->offset;

      use_samples (plane, at, at + 1);
    }
  }
  for (guint y = 0; y < s->place.height; y++) {
    use_row (plane, s->rows[c].index[y]);
    if (s->rows[c].index2)
      use_row (plane, s->rows[c].index2[y]);
  }
}

static void
use_area (Plane *plane, const NnSamplerAreaPlane *area, guint n_rows)
{
  use_samples (plane, area->first, area->first + area->n);
  for (guint y = 0; y < n_rows; y++)
    for (guint row = area->rows[y].first; row <= area->rows[y].last; row++)
      use_row (plane, row);
}

static void
use (NnPacker *packer, const NnSampler *s)
{
  for (guint c = 0; c < s->format->n_components; c++) {
    const guint p = s->format->components[c].plane;

    if (s->methods[c] == NN_RESIZE_AREA)
      use_area (&packer->planes[p], &s->area[p], s->place.height);
    else
      use_axes (&packer->planes[p], s, c);
  }
}

/* Rows of the source to rows of the pack, in their order. */
static void
number_rows (Plane *plane, NnPackLayout layout)
{
  gboolean any = FALSE;

  for (guint row = 0; row < plane->n_slots; row++) { /* the last one is used */
    any |= plane->slots[row] != NO_ROW;
    if (any && layout == NN_PACK_SPANS)
      plane->slots[row] = 0;
  }
  for (guint row = 0; row < plane->n_slots; row++)
    if (plane->slots[row] != NO_ROW)
      plane->slots[row] = plane->n_rows++;
  plane->rows = g_new (guint32, plane->n_rows);
  for (guint row = 0; row < plane->n_slots; row++)
    if (plane->slots[row] != NO_ROW)
      plane->rows[plane->slots[row]] = row;
}

/* --- tables ----------------------------------------------------------------------- */

/* Room at the end of @block, aligned; its offset. */
static guint32
reserve (GByteArray *block, gsize size)
{
  const guint at = (block->len + 7) / 8 * 8, before = block->len;

  g_byte_array_set_size (block, at + (guint) size);
  memset (block->data + before, 0, block->len - before);
  return at;
}

static guint32
append (GByteArray *block, gconstpointer data, gsize size)
{
  const guint32 at = reserve (block, size);

  memcpy (block->data + at, data, size);
  return at;
}

static guint32
append_rows (GByteArray *block, const Plane *plane, const guint *rows, guint n)
{
  const guint32 at = reserve (block, n * sizeof (guint32));
  guint32 *slots = (guint32 *) (gpointer) (block->data + at);

  for (guint i = 0; i < n; i++)
    slots[i] = plane->slots[rows[i]];
  return at;
}

static guint32
append_area_rows (GByteArray *block, const Plane *plane, const NnSamplerAreaRow *rows, guint n,
    guint depth)
{
  const guint32 at = reserve (block, n * sizeof (NnPackAreaRow));
  NnPackAreaRow *dst = (NnPackAreaRow *) (gpointer) (block->data + at);

  for (guint i = 0; i < n; i++) {
    const NnSamplerAreaRow *r = &rows[i];
    const gboolean is_tall = r->n_whole > NN_AREA_MAX_WHOLE (depth);

    dst[i] = (NnPackAreaRow) {
      .first = plane->slots[r->first],
      .last = plane->slots[r->last],
      .n_whole = is_tall ? -(gint32) r->n_whole : (gint32) r->n_whole,
      .up = r->up,
      .whole_weight = r->whole_weight,
      .first_weight = r->first_weight,
      .last_weight = r->last_weight,
      .bias = r->bias,
      .first_share = r->first_share,
      .last_share = r->last_share,
      .inverse = r->inverse,
    };
  }
  return at;
}

static NnPackComponent
append_component (GByteArray *block, const NnPacker *packer, const NnSampler *s, guint c)
{
  const NnSamplerComponent *component = &s->format->components[c];
  const Plane *plane = &packer->planes[component->plane];
  const guint width = s->place.width, height = s->place.height;
  NnPackComponent dst = { .step = component->step, .plane = component->plane };

  if (s->methods[c] == NN_RESIZE_AREA) {
    const NnSamplerAreaPlane *area = &s->area[component->plane];
    const NnAreaColumns *columns = &s->area_columns[c];
    guint32 *first;

    dst.method = NN_PACK_AREA;
    dst.n_lanes = columns->n_lanes;
    dst.area_rows = append_area_rows (block, plane, area->rows, height, s->format->depth);
    dst.weights = append (
        block, columns->weights, (gsize) width * columns->n_lanes * sizeof (gint16));
    dst.factors = append (block, columns->scale, width * sizeof (float));
    dst.first = append (block, columns->first, width * sizeof (guint32));
    first = (guint32 *) (gpointer) (block->data + dst.first);
    for (guint x = 0; x < width; x++)
      first[x] += (guint32) (area->first - plane->first);
    return dst;
  }
  dst.method = s->columns[c].index2 ? NN_PACK_BILINEAR : NN_PACK_NEAREST;
  dst.offset = component->offset - (guint32) plane->first; /* wraps back with the first pixel */
  dst.columns = append (block, s->columns[c].index, width * sizeof (guint32));
  dst.rows = append_rows (block, plane, s->rows[c].index, height);
  if (dst.method == NN_PACK_BILINEAR) {
    dst.columns_2 = append (block, s->columns[c].index2, width * sizeof (guint32));
    dst.column_shares = append (block, s->columns[c].fraction, width * sizeof (float));
    dst.rows_2 = append_rows (block, plane, s->rows[c].index2, height);
    dst.row_shares = append (block, s->rows[c].fraction, height * sizeof (float));
  }
  return dst;
}

/* What is drawn of each of @n_rects pictures, picture by picture. */
static guint32
append_draws (GByteArray *block, const NnPackDraws *draws, const NnAugmentEntry *entries,
    guint n_rects, guint n_views)
{
  const guint32 at = append (block, draws, sizeof *draws);
  const guint32 first = reserve (block, n_rects * n_views * sizeof *entries);
  NnPackDraws *header = (NnPackDraws *) (gpointer) (block->data + at);
  NnAugmentEntry *dst = (NnAugmentEntry *) (gpointer) (block->data + first);

  header->n = n_rects * n_views;
  header->entries = first;
  for (guint i = 0; i < header->n; i++) {
    dst[i] = entries[i % n_views];
    dst[i].picture = i / n_views;
  }
  return at;
}

static guint32
append_geometry (GByteArray *block, const NnPacker *packer, const NnSampler *s)
{
  const guint32 at = reserve (block, sizeof (NnPackGeometry));
  NnPackGeometry g = {
    .width = s->pre.width,
    .height = s->pre.height,
    .channels = nn_preprocess_get_n_channels (&s->pre),
    .is_gray = s->pre.channels == NN_CHANNELS_GRAY,
    .is_bgr = s->pre.channels == NN_CHANNELS_BGR,
    .x = s->place.x,
    .y = s->place.y,
    .columns = s->place.width,
    .rows = s->place.height,
    .extend = s->extend,
    .pad = s->pre.pad,
    .n_components = s->format->n_components,
    .is_rgb = s->format->is_rgb,
    .sample_size = s->format->sample_size,
    .shift = s->format->shift,
    .depth = s->format->depth,
    .matrix = s->matrix,
  };

  memcpy (g.mean, s->pre.mean, sizeof g.mean);
  memcpy (g.scale, s->pre.scale, sizeof g.scale);
  for (guint c = 0; c < g.n_components; c++)
    g.components[c] = append_component (block, packer, s, c);
  memcpy (block->data + at, &g, sizeof g);
  return at;
}

/* Where the planes' rows are, once the tables' size is known. */
static void
place_planes (NnPacker *packer, NnPackHeader *header)
{
  packer->size = (packer->n_tables + 15) / 16 * 16;
  for (guint p = 0; p < 3; p++) {
    Plane *plane = &packer->planes[p];

    plane->at = packer->size;
    packer->size += plane->n_rows * plane->stride;
    header->planes[p] = (NnPackRows) { plane->at, (guint32) plane->stride };
  }
}

static guint64
new_id (void)
{
  static GMutex lock;
  static guint64 last;
  guint64 id;

  g_mutex_lock (&lock);
  id = ++last;
  g_mutex_unlock (&lock);
  return id;
}

static void
build (NnPacker *packer, const NnViews *views, NnViewSampler *const *samplers, guint n_rects,
    guint n_views)
{
  g_autofree NnAugmentEntry *entries = g_new0 (NnAugmentEntry, n_views);
  NnPackDraws draws = { .n = 0 };
  const gboolean is_drawn = nn_views_get_draws (views, &draws.form, entries, n_views);
  const guint per_rect = is_drawn ? 1 : n_views, n = n_rects * per_rect;
  NnPackHeader header = { .n_samples = n };
  g_autoptr (GByteArray) block = g_byte_array_new ();
  g_autofree const NnSampler **unique = g_new (const NnSampler *, n);
  g_autofree guint32 *geometries = g_new (guint32, n);
  guint n_unique = 0;

  packer->is_drawn = is_drawn;
  reserve (block, sizeof (NnPackHeader));
  header.samples = reserve (block, n * sizeof (NnPackSample));
  for (guint i = 0; i < n; i++) {
    gboolean flip;
    const NnSampler *s = nn_view_sampler_get (samplers[i / per_rect], i % per_rect, &flip);

    use (packer, s);
    packer->sample_size = s->format->sample_size;
    packer->turned = nn_sampler_is_turned (s) ? s->source_format : NULL;
  }
  for (guint p = 0; p < 3; p++) {
    Plane *plane = &packer->planes[p];

    number_rows (plane, packer->layout);
    plane->n_bytes = (plane->end - plane->first) * packer->sample_size;
    plane->stride = (plane->n_bytes + 15) / 16 * 16;
  }
  for (guint i = 0; i < n; i++) {
    gboolean flip;
    const NnSampler *s = nn_view_sampler_get (samplers[i / per_rect], i % per_rect, &flip);
    NnPackSample sample = { .flip = (guint32) flip };
    guint k = 0;

    while (k < n_unique && unique[k] != s)
      k++;
    if (k == n_unique) {
      unique[n_unique] = s;
      geometries[n_unique++] = append_geometry (block, packer, s);
    }
    sample.geometry = geometries[k];
    memcpy (block->data + header.samples + i * sizeof sample, &sample, sizeof sample);
  }
  if (is_drawn)
    header.draws = append_draws (block, &draws, entries, n_rects, n_views);
  packer->n_tables = block->len;
  place_planes (packer, &header);
  memcpy (block->data, &header, sizeof header);
  packer->tables = g_byte_array_free (g_steal_pointer (&block), FALSE);
}

NnPacker *
nn_packer_new (const NnViews *views, const NnImageInfo *info, const NnRect *rects, guint n_rects,
    guint n_views, NnPackLayout layout, GError **error)
{
  NnViewSampler **samplers = g_new0 (NnViewSampler *, n_rects);
  NnPacker *packer = NULL;
  gboolean ok = TRUE;

  if (info->orientation != NN_ORIENTATION_IDENTITY && layout == NN_PACK_SPANS) {
    g_set_error_literal (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
        "a frame in a device's memory is not turned there");
    g_free (samplers);
    return NULL;
  }
  for (guint r = 0; r < n_rects && ok; r++) {
    samplers[r] = nn_view_sampler_new (views, info, &rects[r], error);
    ok = samplers[r] != NULL;
  }
  if (ok) {
    packer = g_new0 (NnPacker, 1);
    packer->layout = layout;
    packer->info = *info;
    packer->id = new_id ();
    build (packer, views, samplers, n_rects, n_views);
    if (packer->size > G_MAXINT32) {
      g_set_error (error, NN_ERROR, NN_ERROR_UNSUPPORTED,
          "a frame of %ux%u pixels is more than a pack holds", info->width, info->height);
      g_clear_pointer (&packer, nn_packer_free);
    }
  }
  for (guint r = 0; r < n_rects; r++)
    nn_view_sampler_free (samplers[r]);
  g_free (samplers);
  return packer;
}

void
nn_packer_free (NnPacker *packer)
{
  if (!packer)
    return;
  for (guint p = 0; p < 3; p++) {
    g_free (packer->planes[p].slots);
    g_free (packer->planes[p].rows);
  }
  g_free (packer->tables);
  g_free (packer);
}

/* --- running ---------------------------------------------------------------------- */

gsize
nn_packer_get_size (const NnPacker *packer)
{
  return packer->size;
}

gboolean
nn_packer_is_drawn (const NnPacker *packer)
{
  return packer->is_drawn;
}

gsize
nn_packer_get_tables_size (const NnPacker *packer)
{
  return packer->n_tables;
}

/* Runs of rows at once: turned by 90 degrees they lie together. */
static void
copy_turned (const NnPacker *packer, guint p, const NnImagePlanes *src, guint8 *dst)
{
  const NnTurnedPlane turned = nn_turned_component (packer->turned, &packer->info, p, src);
  const Plane *plane = &packer->planes[p];

  for (guint i = 0, n; i < plane->n_rows; i += n) {
    for (n = 1; i + n < plane->n_rows && plane->rows[i + n] == plane->rows[i] + n;)
      n++;
    nn_turned_copy (&turned, packer->sample_size, plane->first, plane->end - plane->first,
        plane->rows[i], n, dst + i * plane->stride, plane->stride);
  }
}

void
nn_packer_run (const NnPacker *packer, const NnImagePlanes *src, guint8 *dst)
{
  memcpy (dst, packer->tables, packer->n_tables);
  for (guint p = 0; p < 3; p++) {
    const Plane *plane = &packer->planes[p];
    const gsize first = plane->first * packer->sample_size;
    guint8 *row = dst + plane->at;

    if (packer->turned && plane->n_rows > 0) {
      copy_turned (packer, p, src, row);
      continue;
    }
    for (guint i = 0; i < plane->n_rows; i++, row += plane->stride)
      memcpy (row, src->planes[p] + (gssize) plane->rows[i] * src->strides[p] + first,
          plane->n_bytes);
  }
}

void
nn_packer_describe (const NnPacker *packer, const NnImagePlanes *src, guint8 *dst,
    NnPackPlane planes[3], NnPack *pack)
{
  g_return_if_fail (packer->layout == NN_PACK_SPANS);
  memcpy (dst, packer->tables, packer->n_tables);
  pack->tables_id = packer->id;
  pack->size = packer->size;
  pack->tables_size = packer->n_tables;
  pack->planes = planes;
  pack->n_planes = 0;
  for (guint p = 0; p < 3; p++) {
    const Plane *plane = &packer->planes[p];

    if (plane->n_rows == 0)
      continue;
    planes[pack->n_planes++] = (NnPackPlane) {
      .number = p,
      .rows = src->planes[p] + (gssize) plane->rows[0] * src->strides[p]
          + plane->first * packer->sample_size,
      .pitch = (gsize) src->strides[p],
      .n_bytes = plane->n_bytes,
      .n_rows = plane->n_rows,
      .at = plane->at,
      .stride = plane->stride,
    };
  }
}
