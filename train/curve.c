/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/curve.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/file.h"
#include "train/output.h"

#define WIDTH 900
#define HEIGHT 640
#define LEFT 70
#define RIGHT 20
#define N_COLUMNS 8

enum
{
  EPOCH,
  STAGE,
  RATE,
  LOSS,
  ACCURACY,
  VAL_LOSS,
  VAL_ACCURACY,
};

typedef struct
{
  guint n;
  double (*rows)[N_COLUMNS]; /* NaN where a field is empty */
} Log;

/* NaN where nothing is to be drawn: an empty field, or a loss that went beyond all bounds. */
static gboolean
read_field (char *field, double *value)
{
  char *end;

  g_strstrip (field);
  *value = *field ? g_ascii_strtod (field, &end) : NAN;
  if (*field && *end != '\0')
    return FALSE;
  if (!(fabs (*value) < 1e30))
    *value = NAN;
  return TRUE;
}

static gboolean
read_log (const char *text, const char *path, Log *log, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  if (!lines[0] || !g_str_has_prefix (lines[0], "epoch,stage,")) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
        "%s: not a log of `classify train --log`: its first line should be \"epoch,stage,...\"",
        path);
    return FALSE;
  }
  log->rows = g_malloc0_n (g_strv_length (lines), sizeof *log->rows);
  for (guint i = 1; lines[i] && *lines[i]; i++) {
    g_auto (GStrv) fields = g_strsplit (lines[i], ",", -1);
    guint n_fields = g_strv_length (fields);

    for (guint c = 0; c < N_COLUMNS; c++) {
      log->rows[log->n][c] = NAN;
      if (c < n_fields && !read_field (fields[c], &log->rows[log->n][c])) {
        g_autofree char *shown = g_utf8_make_valid (fields[c], -1);

        g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s:%u: \"%s\" is no number", path, i + 1,
            shown);
        return FALSE;
      }
    }
    log->n++;
  }
  if (log->n == 0) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "%s: holds no epoch yet", path);
    return FALSE;
  }
  return TRUE;
}

/* as the training does (schedule.h); -1: nothing was validated */
static int
find_best (const Log *log)
{
  int best = -1;

  for (guint i = 0; i < log->n; i++) {
    const double *row = log->rows[i], *b = best < 0 ? NULL : log->rows[best];

    if (isnan (row[VAL_ACCURACY]))
      continue;
    if (!b || row[VAL_ACCURACY] > b[VAL_ACCURACY]
        || (row[VAL_ACCURACY] == b[VAL_ACCURACY] && row[VAL_LOSS] < b[VAL_LOSS]))
      best = (int) i;
  }
  return best;
}

static char *
describe_best (const Log *log)
{
  const int best = find_best (log);
  const double *row = best < 0 ? NULL : log->rows[best];

  if (!row)
    return NULL;
  if (isnan (row[VAL_LOSS]))
    return g_strdup_printf ("best epoch: %g of %g, validation accuracy %.4f", row[EPOCH],
        log->rows[log->n - 1][EPOCH], row[VAL_ACCURACY]);
  return g_strdup_printf ("best epoch: %g of %g, validation accuracy %.4f, loss %.4f", row[EPOCH],
      log->rows[log->n - 1][EPOCH], row[VAL_ACCURACY], row[VAL_LOSS]);
}

static void
draw_text (cairo_t *cr, double x, double y, double align, const char *text)
{
  cairo_text_extents_t extents;

  cairo_text_extents (cr, text, &extents);
  cairo_move_to (cr, x - extents.x_advance * align, y);
  cairo_show_text (cr, text);
}

static double
tick_step (double range)
{
  double step = pow (10, floor (log10 (range / 4)));

  if (range / step > 20)
    return step * 5;
  return range / step > 8 ? step * 2 : step;
}

static void
draw_series (cairo_t *cr, const Log *log, guint column, double top, double height, double low,
    double high, double red, double green, double blue)
{
  gboolean is_drawing = FALSE;

  cairo_set_source_rgb (cr, red, green, blue);
  cairo_set_line_width (cr, log->n > 1 ? 2 : 7); /* one epoch is a dot */
  cairo_set_line_cap (cr, CAIRO_LINE_CAP_ROUND);
  for (guint i = 0; i < log->n; i++) {
    double x = LEFT + (WIDTH - LEFT - RIGHT) * (log->n > 1 ? i / (log->n - 1.0) : 0.5);
    double y = top + height * (1 - (log->rows[i][column] - low) / (high - low));

    if (isnan (log->rows[i][column])) {
      is_drawing = FALSE;
      continue;
    }
    if (!is_drawing)
      cairo_move_to (cr, x, y);
    cairo_line_to (cr, x, y);
    is_drawing = TRUE;
  }
  cairo_stroke (cr);
}

static void
draw_panel (cairo_t *cr, const Log *log, const char *title, guint train, guint val, double top,
    double height)
{
  double low = INFINITY, high = -INFINITY, step;
  const int best = find_best (log);

  for (guint i = 0; i < log->n; i++) {
    for (guint k = 0; k < 2; k++) {
      double v = log->rows[i][k ? val : train];

      if (!isnan (v)) {
        low = fmin (low, v);
        high = fmax (high, v);
      }
    }
  }
  if (!(high >= low)) { /* no number at all */
    low = 0;
    high = 1;
  }
  if (!(high - low > 1e-9 * fmax (1, fabs (high) + fabs (low)))) {
    double around = 0.5 * fmax (1, fabs (high));

    low -= around;
    high += around;
  }
  step = tick_step (high - low);
  low = floor (low / step) * step;
  high = ceil (high / step) * step;

  cairo_set_line_width (cr, 1);
  for (double v = low; v < high + step / 2; v += step) {
    double y = top + height * (1 - (v - low) / (high - low));
    g_autofree char *label = g_strdup_printf ("%g", round (v / step) * step);

    cairo_set_source_rgb (cr, 0.88, 0.88, 0.88);
    cairo_move_to (cr, LEFT, y);
    cairo_line_to (cr, WIDTH - RIGHT, y);
    cairo_stroke (cr);
    cairo_set_source_rgb (cr, 0.25, 0.25, 0.25);
    draw_text (cr, LEFT - 8, y + 4, 1, label);
  }
  /* where a stage begins */
  for (guint i = 1; i < log->n; i++) {
    double x = LEFT + (WIDTH - LEFT - RIGHT) * ((i - 0.5) / (log->n - 1.0));

    if (log->rows[i][STAGE] == log->rows[i - 1][STAGE])
      continue;
    cairo_set_source_rgb (cr, 0.7, 0.7, 0.7);
    cairo_move_to (cr, x, top);
    cairo_line_to (cr, x, top + height);
    cairo_stroke (cr);
  }
  draw_series (cr, log, train, top, height, low, high, 0.12, 0.47, 0.71);
  draw_series (cr, log, val, top, height, low, high, 0.89, 0.35, 0.13);
  if (best >= 0 && !isnan (log->rows[best][val])) {
    cairo_arc (cr, LEFT + (WIDTH - LEFT - RIGHT) * (log->n > 1 ? best / (log->n - 1.0) : 0.5),
        top + height * (1 - (log->rows[best][val] - low) / (high - low)), 6, 0, 2 * G_PI);
    cairo_fill (cr);
  }
  cairo_set_source_rgb (cr, 0.1, 0.1, 0.1);
  cairo_select_font_face (cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
  draw_text (cr, LEFT, top - 8, 0, title);
  cairo_select_font_face (cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
}

static void
draw (cairo_t *cr, const Log *log)
{
  const double panel = (HEIGHT - 120) / 2.0;
  const guint step = (guint) fmax (1, tick_step (fmax (log->n - 1, 1)));
  g_autofree char *best = describe_best (log);

  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_select_font_face (cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cr, 13);
  draw_panel (cr, log, "loss", LOSS, VAL_LOSS, 34, panel);
  draw_panel (cr, log, "accuracy", ACCURACY, VAL_ACCURACY, 34 + panel + 40, panel);
  cairo_set_source_rgb (cr, 0.25, 0.25, 0.25);
  if (best)
    draw_text (cr, LEFT + 60, 26, 0, best);
  for (guint i = 0; i < log->n; i++) {
    double x = LEFT + (WIDTH - LEFT - RIGHT) * (log->n > 1 ? i / (log->n - 1.0) : 0.5);
    double epoch = log->rows[i][EPOCH];
    g_autofree char *label = g_strdup_printf ("%g", epoch);

    if (epoch == 1 || fmod (epoch, step) == 0)
      draw_text (cr, x, HEIGHT - 26, 0.5, label);
  }
  draw_text (cr, (WIDTH + LEFT - RIGHT) / 2.0, HEIGHT - 8, 0.5, "epoch");
  cairo_set_source_rgb (cr, 0.12, 0.47, 0.71);
  draw_text (cr, WIDTH - RIGHT - 100, 26, 1, "training");
  cairo_set_source_rgb (cr, 0.89, 0.35, 0.13);
  draw_text (cr, WIDTH - RIGHT, 26, 1, "validation");
}

static cairo_status_t
append (void *bytes, const unsigned char *data, unsigned int size)
{
  g_byte_array_append (bytes, data, size);
  return CAIRO_STATUS_SUCCESS;
}

GByteArray *
curve_render (const char *text, const char *name, gboolean is_svg, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Log log = { 0 };
  cairo_surface_t *surface;
  cairo_t *cr;
  cairo_status_t status;

  if (!read_log (text, name, &log, error)) {
    g_free (log.rows);
    return NULL;
  }
  surface = is_svg ? cairo_svg_surface_create_for_stream (append, bytes, WIDTH, HEIGHT)
                   : cairo_image_surface_create (CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
  cr = cairo_create (surface);
  draw (cr, &log);
  cairo_destroy (cr);
  if (is_svg) {
    cairo_surface_finish (surface);
    status = cairo_surface_status (surface);
  } else {
    status = cairo_surface_write_to_png_stream (surface, append, bytes);
  }
  cairo_surface_destroy (surface);
  g_free (log.rows);
  if (status != CAIRO_STATUS_SUCCESS) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "%s: its curve cannot be drawn: %s", name,
        cairo_status_to_string (status));
    return NULL;
  }
  return g_steal_pointer (&bytes);
}

char *
curve_describe_best (const char *text)
{
  Log log = { 0 };
  char *best = read_log (text, "", &log, NULL) ? describe_best (&log) : NULL;

  g_free (log.rows);
  return best;
}

gboolean
curve_draw (const char *log_path, const char *output, GError **error)
{
  g_autofree char *text = NULL, *lower = NULL;
  g_autoptr (GByteArray) bytes = NULL;
  g_autoptr (GError) local = NULL;
  gboolean is_svg;

  if (!g_file_get_contents (log_path, &text, NULL, &local)) {
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: %s", log_path, local->message);
    return FALSE;
  }
  lower = g_ascii_strdown (output, -1);
  is_svg = g_str_has_suffix (lower, ".svg");
  bytes = curve_render (text, log_path, is_svg, error);
  if (!bytes)
    return FALSE;
  if (is_svg)
    output_mark_svg (bytes);
  else
    output_mark_png (bytes);
  return nn_file_replace (output, bytes->data, bytes->len, error);
}
