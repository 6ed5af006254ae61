/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/sheet.h"

#include <cairo.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <string.h>
#include <unistd.h>

#include "nn/error.h"
#include "nn/file.h"
#include "nn/image.h"
#include "train/output.h"

#define MARGIN 16
#define GAP_X 12
#define GAP_Y 14
#define GAP_TEXT 3     /* between a picture and its words */
#define MIN_COLUMN 128 /* narrower ones would break words */
#define MIN_WIDTH 560  /* of what the header has */
#define ROW_NAME 132

#define MAX_SIDE 30000 /* cairo ends at 32767 */
#define MAX_PIXELS 100e6

Sheet *
sheet_new (guint tile_width, guint tile_height)
{
  Sheet *sheet = g_new0 (Sheet, 1);

  sheet->tile_width = tile_width;
  sheet->tile_height = tile_height;
  sheet->lines = g_ptr_array_new_with_free_func (g_free);
  sheet->tiles = g_ptr_array_new ();
  return sheet;
}

void
sheet_free (Sheet *sheet)
{
  if (!sheet)
    return;
  for (guint i = 0; i < sheet->tiles->len; i++) {
    SheetTile *tile = g_ptr_array_index (sheet->tiles, i);

    g_free (tile->rgb);
    g_free (tile->note);
    g_free (tile->title);
    g_free (tile->caption);
    g_free (tile->row_title);
    g_free (tile->row_text);
    g_free (tile);
  }
  g_ptr_array_unref (sheet->tiles);
  g_ptr_array_unref (sheet->lines);
  g_free (sheet->title);
  g_free (sheet);
}

SheetTile *
sheet_add_tile (Sheet *sheet)
{
  SheetTile *tile = g_new0 (SheetTile, 1);

  g_ptr_array_add (sheet->tiles, tile);
  return tile;
}

void
sheet_add_line (Sheet *sheet, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (sheet->lines, g_strdup_vprintf (format, args));
  va_end (args);
}

void
sheet_fit (guint box_width, guint box_height, guint *width, guint *height)
{
  double scale = MIN ((double) box_width / *width, (double) box_height / *height);

  if (scale >= 1)
    return;
  *width = (guint) CLAMP (round (*width * scale), 1, box_width);
  *height = (guint) CLAMP (round (*height * scale), 1, box_height);
}

void
sheet_tile_take_rgb (Sheet *sheet, SheetTile *tile, guint8 *rgb, guint width, guint height)
{
  guint fit_width = width, fit_height = height;

  sheet_fit (sheet->tile_width, sheet->tile_height, &fit_width, &fit_height);
  if (fit_width != width || fit_height != height) {
    const NnImageInfo info = { .format = NN_PIXEL_RGB, .width = width, .height = height };
    const NnImagePlanes planes = { { rgb }, { (gssize) width * 3 } };
    g_autoptr (NnSampler) sampler = NULL;
    guint8 *fitted = g_malloc ((gsize) fit_width * fit_height * 3);
    NnPreprocess pre;

    nn_preprocess_init (&pre, fit_width, fit_height);
    pre.resize = NN_RESIZE_AREA;
    sampler = nn_sampler_new (&info, NULL, &pre, NULL);
    g_assert (sampler); /* the picture came out of one */
    nn_sampler_run_bytes (sampler, &planes, fitted);
    g_free (rgb);
    rgb = fitted;
  }
  tile->rgb = rgb;
  tile->width = fit_width;
  tile->height = fit_height;
}

/* the end of @path that has @depth folders; all of it where there are no more */
static const char *
get_end (const char *path, guint depth)
{
  const char *end = path + strlen (path);

  while (end > path && (end[-1] != G_DIR_SEPARATOR || depth-- > 0))
    end--;
  return end;
}

static gboolean
is_ambiguous (const char *const *paths, const char *path, guint depth)
{
  const char *end = get_end (path, depth);

  for (; *paths; paths++)
    if (strcmp (get_end (*paths, depth), end) == 0 && strcmp (*paths, path) != 0)
      return TRUE;
  return FALSE;
}

char **
sheet_make_names (const char *const *paths)
{
  const guint n = g_strv_length ((char **) paths);
  char **names = g_new0 (char *, n + 1);

  for (guint i = 0; i < n; i++) {
    guint depth = 0;

    while (get_end (paths[i], depth) > paths[i] && is_ambiguous (paths, paths[i], depth))
      depth++;
    names[i] = g_filename_display_name (get_end (paths[i], depth));
  }
  return names;
}

/* --- words --------------------------------------------------------------------------- */

typedef enum
{
  TEXT_HEADING, /* of the sheet */
  TEXT_LINE,
  TEXT_TITLE,   /* of a tile or row */
  TEXT_CAPTION,
  TEXT_NAME,    /* of a file, in one line */
  TEXT_NOTE,
} TextKind;

static const struct
{
  int size; /* pixels */
  PangoWeight weight;
  int lines; /* at most */
  PangoEllipsizeMode ellipsize;
  double grey;
} kinds[] = {
  [TEXT_HEADING] = { 17, PANGO_WEIGHT_BOLD, 3, PANGO_ELLIPSIZE_MIDDLE, 0.1 },
  [TEXT_LINE] = { 13, PANGO_WEIGHT_NORMAL, 8, PANGO_ELLIPSIZE_END, 0.25 },
  [TEXT_TITLE] = { 14, PANGO_WEIGHT_BOLD, 4, PANGO_ELLIPSIZE_END, 0.1 },
  [TEXT_CAPTION] = { 12, PANGO_WEIGHT_NORMAL, 8, PANGO_ELLIPSIZE_END, 0.3 },
  [TEXT_NAME] = { 12, PANGO_WEIGHT_NORMAL, 1, PANGO_ELLIPSIZE_MIDDLE, 0.3 },
  [TEXT_NOTE] = { 12, PANGO_WEIGHT_NORMAL, 0, PANGO_ELLIPSIZE_END, 0.3 },
};

static const double tones[][3] = {
  [SHEET_RIGHT] = { 0.05, 0.45, 0.16 },
  [SHEET_WRONG] = { 0.78, 0.1, 0.1 },
};

/* Where things are put; without cr and pixels they are only measured, so that
 * both goes agree. */
typedef struct
{
  PangoContext *context;
  cairo_t *cr;
  guint8 *pixels; /* of the surface: 32 bits a pixel, xRGB in the machine's order */
  gsize stride;
} Canvas;

/* Returns the height. @height: what there is at most, 0 = as the kind says. */
static int
put_text (Canvas *canvas, const char *text, TextKind kind, SheetTone tone, int x, int y, int width,
    int height)
{
  g_autoptr (PangoLayout) layout = NULL;
  g_autofree char *valid = NULL;
  PangoFontDescription *font;
  PangoRectangle extents;

  if (!text || !*text)
    return 0;
  valid = g_utf8_make_valid (text, -1);
  layout = pango_layout_new (canvas->context);
  font = pango_font_description_new ();
  pango_font_description_set_family (font, "Sans");
  pango_font_description_set_weight (font, kinds[kind].weight);
  pango_font_description_set_absolute_size (font, kinds[kind].size * PANGO_SCALE);
  pango_layout_set_font_description (layout, font);
  pango_font_description_free (font);
  pango_layout_set_single_paragraph_mode (layout, TRUE);
  pango_layout_set_width (layout, width * PANGO_SCALE);
  pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_ellipsize (layout, kinds[kind].ellipsize);
  pango_layout_set_height (layout, height > 0 ? height * PANGO_SCALE : -kinds[kind].lines);
  pango_layout_set_text (layout, valid, -1);
  pango_layout_get_pixel_extents (layout, NULL, &extents);
  if (canvas->cr) {
    if (tone == SHEET_NEUTRAL)
      cairo_set_source_rgb (
          canvas->cr, kinds[kind].grey, kinds[kind].grey, kinds[kind].grey);
    else
      cairo_set_source_rgb (canvas->cr, tones[tone][0], tones[tone][1], tones[tone][2]);
    cairo_move_to (canvas->cr, x, y);
    pango_cairo_show_layout (canvas->cr, layout);
  }
  return extents.y + extents.height;
}

static PangoContext *
context_new (GError **error)
{
  g_autoptr (PangoFontMap) map = pango_cairo_font_map_new ();
  PangoContext *context = pango_font_map_create_context (map);
  cairo_font_options_t *options = cairo_font_options_create ();
  PangoFontDescription *font = pango_font_description_from_string ("Sans");
  g_autoptr (PangoFont) found = NULL;

  cairo_font_options_set_antialias (options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style (options, CAIRO_HINT_STYLE_SLIGHT);
  cairo_font_options_set_hint_metrics (options, CAIRO_HINT_METRICS_ON);
  pango_cairo_context_set_font_options (context, options);
  cairo_font_options_destroy (options);
  found = pango_font_map_load_font (map, context, font);
  pango_font_description_free (font);
  if (!found) {
    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
        "no font to write a sheet with: install one, as the package fonts-dejavu-core");
    g_clear_object (&context);
  }
  return context;
}

/* --- the sheet ------------------------------------------------------------------------- */

static void
put_rectangle (Canvas *canvas, int x, int y, int width, int height, double grey)
{
  if (!canvas->cr)
    return;
  cairo_set_source_rgb (canvas->cr, grey, grey, grey);
  cairo_rectangle (canvas->cr, x, y, width, height);
  cairo_fill (canvas->cr);
}

/* pixel by pixel, so that a tile shows the bytes that it was given */
static void
put_picture (const Sheet *sheet, Canvas *canvas, const SheetTile *tile, int x, int y)
{
  const guint n = MAX (1, MIN (sheet->tile_width / tile->width, sheet->tile_height / tile->height));
  const guint width = tile->width * n, height = tile->height * n;

  if (!canvas->cr)
    return;
  x += (int) (sheet->tile_width - width) / 2;
  y += (int) (sheet->tile_height - height) / 2;
  cairo_surface_flush (cairo_get_target (canvas->cr));
  for (guint r = 0; r < height; r++) {
    guint32 *to = (guint32 *) (canvas->pixels + ((gsize) y + r) * canvas->stride) + x;
    const guint8 *from = tile->rgb + (gsize) (r / n) * tile->width * 3;

    for (guint c = 0; c < width; c++) {
      const guint8 *p = from + c / n * 3;

      to[c] = (guint32) p[0] << 16 | (guint32) p[1] << 8 | p[2];
    }
  }
  cairo_surface_mark_dirty (cairo_get_target (canvas->cr));
}

static guint
get_columns (const Sheet *sheet)
{
  const guint n = MAX (sheet->tiles->len, 1);

  if (sheet->columns)
    return sheet->columns;
  return MIN (n, (guint) ceil (sqrt (n * 1.6)));
}

static int
get_column_width (const Sheet *sheet)
{
  return MAX ((int) sheet->tile_width, MIN_COLUMN);
}

static const SheetTile *
get_tile (const Sheet *sheet, guint index)
{
  return index < sheet->tiles->len ? g_ptr_array_index (sheet->tiles, index) : NULL;
}

/* one row from @y on; returns its height */
static int
put_row (const Sheet *sheet, Canvas *canvas, guint first, int y)
{
  const int width = get_column_width (sheet);
  const TextKind caption = sheet->captions_are_names ? TEXT_NAME : TEXT_CAPTION;
  const guint end = MIN (first + get_columns (sheet), sheet->tiles->len);
  const int tile_height = (int) sheet->tile_height;
  Canvas measure = { .context = canvas->context };
  int top = 0, bottom = 0, x = MARGIN, left = 0;

  for (guint i = first; i < end; i++) {
    const SheetTile *tile = get_tile (sheet, i);
    int above = put_text (&measure, tile->title, TEXT_TITLE, tile->tone, 0, 0, width, 0);
    int below = put_text (&measure, tile->caption, caption, SHEET_NEUTRAL, 0, 0, width, 0);

    top = MAX (top, above > 0 ? above + GAP_TEXT : 0);
    bottom = MAX (bottom, below > 0 ? below + GAP_TEXT : 0);
  }
  if (sheet->has_row_names) {
    const SheetTile *tile = get_tile (sheet, first);

    left = put_text (canvas, tile->row_title, TEXT_TITLE, SHEET_NEUTRAL, x, y + top, ROW_NAME, 0);
    left += put_text (
        canvas, tile->row_text, TEXT_CAPTION, SHEET_NEUTRAL, x, y + top + left, ROW_NAME, 0);
    x += ROW_NAME + GAP_X;
  }
  for (guint i = first; i < end; i++, x += width + GAP_X) {
    const SheetTile *tile = get_tile (sheet, i);
    int above = put_text (&measure, tile->title, TEXT_TITLE, tile->tone, 0, 0, width, 0);

    /* a title of fewer lines than its neighbour's stays at its picture */
    put_text (canvas, tile->title, TEXT_TITLE, tile->tone, x, y + top - GAP_TEXT - above, width, 0);
    if (tile->rgb) {
      put_rectangle (canvas, x, y + top, (int) sheet->tile_width, tile_height, 0.95);
      put_picture (sheet, canvas, tile, x, y + top);
    } else if (tile->note) {
      put_rectangle (canvas, x, y + top, (int) sheet->tile_width, tile_height, 0.9);
      put_text (canvas, tile->note, TEXT_NOTE, SHEET_NEUTRAL, x + 6, y + top + 6,
          (int) sheet->tile_width - 12, tile_height - 12);
    }
    put_text (canvas, tile->caption, caption, SHEET_NEUTRAL, x, y + top + tile_height + GAP_TEXT,
        width, 0);
  }
  return top + MAX (left, tile_height + bottom);
}

/* everything; returns the height */
static int
put_all (const Sheet *sheet, Canvas *canvas, int width)
{
  const guint columns = get_columns (sheet);
  int y = MARGIN, inner = width - 2 * MARGIN;

  y += put_text (canvas, sheet->title, TEXT_HEADING, SHEET_NEUTRAL, MARGIN, y, inner, 0);
  for (guint i = 0; i < sheet->lines->len; i++)
    y += put_text (canvas, g_ptr_array_index (sheet->lines, i), TEXT_LINE, SHEET_NEUTRAL, MARGIN,
             y + GAP_TEXT, inner, 0)
        + GAP_TEXT;
  for (guint first = 0; first < sheet->tiles->len; first += columns)
    y += GAP_Y + put_row (sheet, canvas, first, y + GAP_Y);
  return y + MARGIN;
}

static int
get_width (const Sheet *sheet)
{
  const int columns = (int) get_columns (sheet);
  int width = columns * get_column_width (sheet) + (columns - 1) * GAP_X;

  if (sheet->has_row_names)
    width += ROW_NAME + GAP_X;
  return MAX (width, MIN_WIDTH) + 2 * MARGIN;
}

static cairo_status_t
append_png (void *closure, const unsigned char *data, unsigned int length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

gboolean
sheet_check_path (const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);

  if (g_access (dir, W_OK) != 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_WRITE, "%s: cannot write into folder %s: %s", path, dir,
        g_strerror (errno));
    return FALSE;
  }
  return TRUE;
}

gboolean
sheet_write (const Sheet *sheet, const char *path, GError **error)
{
  g_autoptr (GByteArray) png = g_byte_array_new ();
  const int width = get_width (sheet);
  Canvas canvas = { 0 };
  cairo_surface_t *surface;
  cairo_status_t status;
  int height;

  canvas.context = context_new (error);
  if (!canvas.context)
    return FALSE;
  height = put_all (sheet, &canvas, width);
  if (width > MAX_SIDE || height > MAX_SIDE || (double) width * height > MAX_PIXELS) {
    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: %u tiles would make a sheet of %dx%d pixels, more than viewers take: ask for fewer",
        path, sheet->tiles->len, width, height);
    g_object_unref (canvas.context);
    return FALSE;
  }
  surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  canvas.cr = cairo_create (surface);
  canvas.pixels = cairo_image_surface_get_data (surface);
  canvas.stride = (gsize) cairo_image_surface_get_stride (surface);
  status = cairo_surface_status (surface);
  if (status == CAIRO_STATUS_SUCCESS) {
    put_rectangle (&canvas, 0, 0, width, height, 1);
    put_all (sheet, &canvas, width);
    status = cairo_status (canvas.cr);
  }
  cairo_destroy (canvas.cr);
  g_object_unref (canvas.context);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_write_to_png_stream (surface, append_png, png);
  cairo_surface_destroy (surface);
  if (status != CAIRO_STATUS_SUCCESS) {
    g_set_error (error, NN_ERROR,
        status == CAIRO_STATUS_NO_MEMORY ? NN_ERROR_NO_MEMORY : NN_ERROR_WRITE,
        "%s: a sheet of %dx%d pixels cannot be drawn: %s", path, width, height,
        cairo_status_to_string (status));
    return FALSE;
  }
  output_mark_png (png);
  return nn_file_replace (path, png->data, png->len, error);
}
