/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* A panel, from the left: a stripe in the colour of the class, then
 *
 *   label               97 %
 *   =================------      the bar: as much of its length as the probability
 *   second label         2 %
 *   third label          1 %
 *
 * Text is laid out in square pixels of the frame's height and squeezed by the
 * pixel's aspect when it is drawn; the bar is drawn in the frame's own pixels. */
#include "gst/overlay-painter.h"

#include <cairo.h>
#include <gst/video/video.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <string.h>

#define MIN_TEXT 12.0      /* pixels */
#define MAX_SIDE 16384     /* cairo ends at 32767 */
#define MAX_CHARACTERS 256 /* more never fit: not worth laying out */

/* in ems; the width goes in steps, so that it rests while labels come and go */
#define STEP 4.0
#define MIN_STEPS 3
#define MAX_STEPS 6
#define LIST_TEXT 0.8

#define BACKGROUND 0.65 /* its opacity */
#define TRACK 0.25      /* the white of the part of the bar that is not filled */

typedef struct
{
  char *key; /* tells the whole content */
  GstBuffer *pixels;
} Slot;

struct _OverlayPainter
{
  PangoContext *context;
  GArray *slots;
};

static void
clear_slot (gpointer data)
{
  Slot *slot = data;

  g_free (slot->key);
  gst_clear_buffer (&slot->pixels);
}

OverlayPainter *
overlay_painter_new (GError **error)
{
  g_autoptr (PangoFontMap) map = pango_cairo_font_map_new ();
  PangoContext *context = pango_font_map_create_context (map);
  PangoFontDescription *font = pango_font_description_from_string ("Sans");
  g_autoptr (PangoFont) found = pango_font_map_load_font (map, context, font);
  cairo_font_options_t *options = cairo_font_options_create ();
  OverlayPainter *painter;

  pango_font_description_free (font);
  cairo_font_options_set_antialias (options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style (options, CAIRO_HINT_STYLE_SLIGHT);
  cairo_font_options_set_hint_metrics (options, CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options (context, options);
  cairo_font_options_destroy (options);
  pango_context_set_round_glyph_positions (context, FALSE);
  if (!found) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "no font to write labels with: install one, as the package fonts-dejavu-core");
    g_object_unref (context);
    return NULL;
  }
  painter = g_new0 (OverlayPainter, 1);
  painter->context = context;
  painter->slots = g_array_new (FALSE, TRUE, sizeof (Slot));
  g_array_set_clear_func (painter->slots, clear_slot);
  return painter;
}

void
overlay_painter_free (OverlayPainter *painter)
{
  if (!painter)
    return;
  g_array_unref (painter->slots);
  g_object_unref (painter->context);
  g_free (painter);
}

void
overlay_painter_trim (OverlayPainter *painter, guint slot)
{
  if (painter->slots->len > slot)
    g_array_set_size (painter->slots, slot);
}

/* Whether @slot holds what @key (taken) tells; if not, it is emptied for that. */
static gboolean
find_slot (OverlayPainter *painter, guint number, char *key, Slot **slot)
{
  if (painter->slots->len <= number)
    g_array_set_size (painter->slots, number + 1);
  *slot = &g_array_index (painter->slots, Slot, number);
  if (g_strcmp0 ((*slot)->key, key) == 0) {
    g_free (key);
    return TRUE;
  }
  clear_slot (*slot);
  (*slot)->key = key;
  return FALSE;
}

static GstBuffer *
new_pixels (int width, int height)
{
  const gsize size = (gsize) width * (gsize) height * 4;
  GstBuffer *pixels = gst_buffer_new_allocate (NULL, size, NULL);

  gst_buffer_memset (pixels, 0, 0, size);
  gst_buffer_add_video_meta (pixels, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, (guint) width, (guint) height);
  return pixels;
}

GstBuffer *
overlay_painter_fill (OverlayPainter *painter, guint number, int width, int height, guint32 color,
    double opacity)
{
  const guint alpha = (guint) lround (255 * opacity);
  guint32 pixel = alpha << 24;
  GstMapInfo map;
  Slot *slot;

  if (find_slot (painter, number,
          g_strdup_printf ("fill %dx%d %06x %u", width, height, color, alpha), &slot))
    return slot->pixels;
  slot->pixels = new_pixels (width, height);
  for (guint shift = 0; shift < 24; shift += 8)
    pixel |= (((color >> shift) & 255) * alpha + 127) / 255 << shift;
  gst_buffer_map (slot->pixels, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i += 4)
    memcpy (map.data + i, &pixel, 4);
  gst_buffer_unmap (slot->pixels, &map);
  return slot->pixels;
}

/* --- a heat map ------------------------------------------------------------------------ */

GstBuffer *
overlay_painter_heat (OverlayPainter *painter, guint number, int width, int height,
    const NnHeat *heat, double opacity)
{
  const gsize n = (gsize) heat->rows * heat->columns;
  g_autofree char *checksum = g_compute_checksum_for_data (G_CHECKSUM_SHA1, heat->values, n);
  GstMapInfo map;
  Slot *slot;

  if (find_slot (painter, number,
          g_strdup_printf ("heat %dx%d %ux%u %d,%d %dx%d %a %s", width, height, heat->rows,
              heat->columns, heat->x, heat->y, heat->width, heat->height, opacity, checksum),
          &slot))
    return slot->pixels;
  slot->pixels = new_pixels (width, height);
  gst_buffer_map (slot->pixels, &map, GST_MAP_WRITE);
  nn_cam_draw (heat, opacity, (guint32 *) map.data, (guint) width, (guint) height);
  gst_buffer_unmap (slot->pixels, &map);
  return slot->pixels;
}

/* --- a panel --------------------------------------------------------------------------- */

typedef struct
{
  PangoLayout *label, *percent;
  double ascent, height;
} Row;

typedef struct
{
  double em, list_em, pad, stripe, gap, bar; /* square pixels */
  double percent_width[2];                   /* of the best's and the list's column; 0: left out */
  int bar_height;                            /* 0: none */
  double filled;                             /* of the bar, 0..1 */
  int width, height;                         /* of the image */
  guint n_rows;
  Row *rows; /* the best first */
} Layout;

static PangoLayout *
new_text (OverlayPainter *painter, const OverlayStyle *style, const char *text, double size,
    gboolean bold)
{
  PangoFontDescription *font = pango_font_description_from_string (style->font);
  PangoLayout *layout = pango_layout_new (painter->context);
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  if (g_utf8_strlen (valid, -1) > MAX_CHARACTERS)
    *g_utf8_offset_to_pointer (valid, MAX_CHARACTERS) = '\0';
  if (bold && pango_font_description_get_weight (font) == PANGO_WEIGHT_NORMAL)
    pango_font_description_set_weight (font, PANGO_WEIGHT_BOLD);
  pango_font_description_set_absolute_size (font, size * PANGO_SCALE);
  pango_layout_set_font_description (layout, font);
  pango_font_description_free (font);
  pango_layout_set_single_paragraph_mode (layout, TRUE);
  pango_layout_set_text (layout, valid, -1);
  return layout;
}

static double
text_width (PangoLayout *layout)
{
  int width;

  pango_layout_get_size (layout, &width, NULL);
  return ceil ((double) width / PANGO_SCALE);
}

/* above the baseline and below it */
static void
text_height (PangoLayout *layout, double *ascent, double *descent)
{
  const int baseline = pango_layout_get_baseline (layout);
  int height;

  pango_layout_get_size (layout, NULL, &height);
  *ascent = ceil ((double) baseline / PANGO_SCALE);
  *descent = ceil ((double) (height - baseline) / PANGO_SCALE);
}

static char *
percent (double probability)
{
  return g_strdup_printf ("%.0f %%", 100 * probability);
}

static void
clear_layout (Layout *layout)
{
  for (guint i = 0; i < layout->n_rows; i++) {
    g_object_unref (layout->rows[i].label);
    g_object_unref (layout->rows[i].percent);
  }
  g_free (layout->rows);
}

/* Below the best label the list goes on where it stops, or, where the best is
 * not said ("unknown"), begins with it. */
static guint
list_start (const OverlayResult *result)
{
  return result->n > 0 && g_strcmp0 (result->labels[0], result->label) == 0 ? 1 : 0;
}

static guint
list_length (const OverlayStyle *style, const OverlayResult *result)
{
  const guint start = list_start (result);

  return style->top_k > 1 && result->n > start ? MIN (style->top_k - 1, result->n - start) : 0;
}

static void
make_rows (OverlayPainter *painter, const OverlayStyle *style, const OverlayResult *result,
    Layout *layout)
{
  const guint start = list_start (result);

  layout->n_rows = 1 + list_length (style, result);
  layout->rows = g_new0 (Row, layout->n_rows);
  for (guint i = 0; i < layout->n_rows; i++) {
    const char *label = i == 0 ? result->label : result->labels[start + i - 1];
    const double probability = i == 0 ? result->probability : result->probabilities[start + i - 1];
    const double size = i == 0 ? layout->em : layout->list_em;
    double ascent[2], descent[2];
    g_autofree char *text = percent (probability);
    Row *row = &layout->rows[i];

    row->label = new_text (painter, style, label, size, i == 0);
    row->percent = new_text (painter, style, text, size, i == 0);
    text_height (row->label, &ascent[0], &descent[0]);
    text_height (row->percent, &ascent[1], &descent[1]);
    row->ascent = MAX (ascent[0], ascent[1]);
    row->height = row->ascent + MAX (descent[0], descent[1]);
  }
}

/* The width that the texts would like, in whole steps, then what there is. */
static gboolean
fit_width (OverlayPainter *painter, const OverlayStyle *style, Layout *layout)
{
  const double around = layout->stripe + 2 * layout->pad;
  const double step = STEP * layout->em;
  double wanted = 0, inner, steps;

  for (guint i = 0; i < MIN (layout->n_rows, 2); i++) {
    g_autoptr (PangoLayout) widest
        = new_text (painter, style, "100 %", i == 0 ? layout->em : layout->list_em, i == 0);

    layout->percent_width[i] = text_width (widest);
  }
  for (guint i = 0; i < layout->n_rows; i++)
    wanted = MAX (wanted, text_width (layout->rows[i].label) + layout->gap
            + layout->percent_width[MIN (i, 1)]);
  steps = CLAMP (ceil ((wanted + around) / step), MIN_STEPS, MAX_STEPS);
  layout->width = (int) MIN (ceil (steps * step / style->aspect), MAX_SIDE);
  layout->width = MIN (GST_ROUND_UP_4 (layout->width), style->max_width);

  inner = layout->width * style->aspect - around;
  if (inner < 1.25 * layout->em) /* the width of an ellipsis and a little more */
    return FALSE;
  for (guint i = 0; i < layout->n_rows; i++) {
    Row *row = &layout->rows[i];
    double *column = &layout->percent_width[MIN (i, 1)];
    double width = inner;

    if (*column > 0 && inner - *column - layout->gap < 2 * layout->em)
      *column = 0;
    if (*column > 0)
      width -= *column + layout->gap;
    pango_layout_set_width (row->label, (int) floor (width * PANGO_SCALE));
    pango_layout_set_ellipsize (row->label, PANGO_ELLIPSIZE_END);
  }
  return TRUE;
}

/* The rows that there is room for; the bar goes after the list. */
static gboolean
fit_height (const OverlayStyle *style, Layout *layout)
{
  const double room = MIN (style->max_height, MAX_SIDE);
  double height = 2 * layout->pad + layout->rows[0].height;
  guint n = 1;

  if (height > room)
    return FALSE;
  if (style->show_bar && height + layout->gap / 2 + layout->bar <= room) {
    layout->bar_height = (int) layout->bar;
    height += layout->gap / 2 + layout->bar;
  }
  for (; n < layout->n_rows; n++) {
    const double more = layout->rows[n].height + (n == 1 ? layout->gap / 2 : 0);

    if (height + more > room)
      break;
    height += more;
  }
  for (guint i = n; i < layout->n_rows; i++) {
    g_object_unref (layout->rows[i].label);
    g_object_unref (layout->rows[i].percent);
  }
  layout->n_rows = n;
  layout->height = (int) MIN (GST_ROUND_UP_4 ((int) ceil (height)), room);
  return TRUE;
}

static gboolean
make_layout (OverlayPainter *painter, const OverlayStyle *style, const OverlayResult *result,
    Layout *layout)
{
  layout->em = style->em;
  layout->list_em = MAX (MIN_TEXT, round (LIST_TEXT * style->em));
  layout->pad = round (0.4 * style->em);
  layout->stripe = round (0.25 * style->em);
  layout->gap = round (0.5 * style->em);
  layout->bar = MAX (3, round (0.3 * style->em));
  make_rows (painter, style, result, layout);
  return fit_width (painter, style, layout) && fit_height (style, layout);
}

static void
set_color (cairo_t *cr, guint32 color)
{
  cairo_set_source_rgb (
      cr, (color >> 16 & 255) / 255., (color >> 8 & 255) / 255., (color & 255) / 255.);
}

/* @x, @y: left end of the baseline, in square pixels. The layout is not told of the
 * scale: Pango 1.50 would space the letters wrongly. */
static void
put_text (cairo_t *cr, const OverlayStyle *style, PangoLayout *text, double x, double y)
{
  cairo_save (cr);
  cairo_scale (cr, 1 / style->aspect, 1);
  cairo_move_to (cr, x, y - (double) pango_layout_get_baseline (text) / PANGO_SCALE);
  pango_cairo_show_layout (cr, text);
  cairo_restore (cr);
}

/* background and stripe, with round corners */
static void
draw_background (cairo_t *cr, const Layout *layout, const OverlayStyle *style, guint32 color)
{
  const double radius = MIN (layout->pad, layout->height / 4.);
  const double width = layout->width * style->aspect;

  cairo_save (cr);
  cairo_scale (cr, 1 / style->aspect, 1);
  cairo_new_path (cr);
  cairo_arc (cr, radius, radius, radius, G_PI, 1.5 * G_PI);
  cairo_arc (cr, width - radius, radius, radius, 1.5 * G_PI, 2 * G_PI);
  cairo_arc (cr, width - radius, layout->height - radius, radius, 0, 0.5 * G_PI);
  cairo_arc (cr, radius, layout->height - radius, radius, 0.5 * G_PI, G_PI);
  cairo_close_path (cr);
  cairo_clip (cr);
  cairo_set_source_rgba (cr, 0, 0, 0, BACKGROUND);
  cairo_paint (cr);
  set_color (cr, color);
  cairo_rectangle (cr, 0, 0, layout->stripe, layout->height);
  cairo_fill (cr);
  cairo_restore (cr);
}

/* whole pixels of the frame, so that its length is what it says */
static void
draw_bar (
    cairo_t *cr, const Layout *layout, const OverlayStyle *style, guint32 color, double y)
{
  const int left = (int) round ((layout->stripe + layout->pad) / style->aspect);
  const int right = layout->width - (int) round (layout->pad / style->aspect);
  const int filled = (int) round ((right - left) * layout->filled);

  cairo_set_antialias (cr, CAIRO_ANTIALIAS_NONE);
  cairo_set_source_rgba (cr, 1, 1, 1, TRACK);
  cairo_rectangle (cr, left + filled, y, right - left - filled, layout->bar_height);
  cairo_fill (cr);
  set_color (cr, color);
  cairo_rectangle (cr, left, y, filled, layout->bar_height);
  cairo_fill (cr);
  cairo_set_antialias (cr, CAIRO_ANTIALIAS_DEFAULT);
}

static GstBuffer *
draw_panel (const Layout *layout, const OverlayStyle *style, const OverlayResult *result)
{
  GstBuffer *pixels = new_pixels (layout->width, layout->height);
  const double right = layout->width * style->aspect - layout->pad;
  double y = layout->pad;
  cairo_surface_t *surface;
  cairo_t *cr;
  GstMapInfo map;

  gst_buffer_map (pixels, &map, GST_MAP_READWRITE);
  surface = cairo_image_surface_create_for_data (
      map.data, CAIRO_FORMAT_ARGB32, layout->width, layout->height, layout->width * 4);
  cr = cairo_create (surface);
  cairo_push_group (cr);
  draw_background (cr, layout, style, result->color);
  for (guint i = 0; i < layout->n_rows; i++) {
    const Row *row = &layout->rows[i];

    if (i == 0)
      cairo_set_source_rgb (cr, 1, 1, 1);
    else
      cairo_set_source_rgb (cr, 0.85, 0.85, 0.85);
    put_text (cr, style, row->label, layout->stripe + layout->pad, y + row->ascent);
    if (layout->percent_width[MIN (i, 1)] > 0)
      put_text (cr, style, row->percent, right - text_width (row->percent), y + row->ascent);
    y += row->height;
    if (i == 0 && layout->bar_height > 0) {
      y = ceil (y + layout->gap / 2);
      draw_bar (cr, layout, style, result->color, y);
      y += layout->bar_height;
    }
    if (i == 0)
      y += layout->gap / 2;
  }
  cairo_pop_group_to_source (cr);
  cairo_paint_with_alpha (cr, style->opacity);
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
  gst_buffer_unmap (pixels, &map);
  return pixels;
}

/* Everything that shows. */
static char *
panel_key (const OverlayStyle *style, const OverlayResult *result, double filled)
{
  GString *key = g_string_new (NULL);
  const guint start = list_start (result), n = list_length (style, result);
  g_autofree char *best = percent (result->probability);

  g_string_printf (key, "panel %s|%g %g %g %d %d %d|%06x %g|%s|%s", style->font, style->em,
      style->aspect, style->opacity, style->show_bar, style->max_width, style->max_height,
      result->color, filled, result->label, best);
  for (guint i = 0; i < n; i++) {
    g_autofree char *text = percent (result->probabilities[start + i]);

    g_string_append_printf (key, "|%s|%s", result->labels[start + i], text);
  }
  return g_string_free (key, FALSE);
}

GstBuffer *
overlay_painter_panel (OverlayPainter *painter, guint number, const OverlayStyle *style,
    const OverlayResult *result)
{
  /* what is less than a pixel of the longest bar is no reason to draw anew */
  const int pixels = CLAMP (style->max_width, 1, MAX_SIDE);
  Layout layout = { .filled = round (result->probability * pixels) / pixels };
  Slot *slot;

  if (find_slot (painter, number, panel_key (style, result, layout.filled), &slot))
    return slot->pixels;
  if (make_layout (painter, style, result, &layout))
    slot->pixels = draw_panel (&layout, style, result);
  clear_layout (&layout);
  return slot->pixels;
}
