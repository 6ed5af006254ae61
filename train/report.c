/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/report.h"

#include <cairo-svg.h>
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "train/curve.h"

#define THUMBNAIL 160
#define DIAGRAM 320
#define MARGIN 48
#define MAX_CONFUSIONS 40

static const char head[]
    = "<!DOCTYPE html>\n"
      "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n"
      "<head>\n<meta charset=\"utf-8\" />\n"
      "<meta name=\"viewport\" content=\"width=device-width\" />\n"
      "<meta name=\"generator\" content=\"classify\" />\n<title>%s</title>\n<style>\n"
      "body { font: 15px/1.45 sans-serif; color: #1a1a1a; background: #fff; max-width: 60em;\n"
      "  margin: 2em auto; padding: 0 1em; }\n"
      "h1 { font-size: 1.6em; margin-bottom: 0; }\n"
      "h2 { font-size: 1.15em; margin: 2em 0 .5em; border-bottom: 1px solid #ddd; }\n"
      "table { border-collapse: collapse; }\n"
      "th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #e5e5e5; }\n"
      "th:first-child, td:first-child { text-align: left; }\n"
      ".scroll { overflow-x: auto; }\n"
      "pre { background: #f5f5f5; padding: .8em; overflow-x: auto; font-size: 13px; }\n"
      "img { max-width: 100%%; }\n"
      ".big { font-size: 2em; font-weight: bold; }\n"
      ".pictures { display: flex; flex-wrap: wrap; gap: 1em; }\n"
      "figure { margin: 0; width: 160px; overflow-wrap: anywhere; }\n"
      "figure img { width: 160px; height: 160px; object-fit: scale-down;\n"
      "  object-position: left bottom; }\n" /* captions begin in one line */
      "figcaption { font-size: 13px; }\n"
      ".note { color: #666; }\n"
      "@media (prefers-color-scheme: dark) {\n"
      "  body { color: #ddd; background: #181818; } pre { background: #262626; }\n"
      "  h2, th, td { border-color: #444; } .note { color: #999; } }\n"
      "</style>\n</head>\n<body>\n";

/* Text of others may hold what XML does not: control characters, broken UTF-8. */
static char *
escape (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  for (char *c = valid; *c; c++)
    if ((guchar) *c < 0x20 && *c != '\n' && *c != '\t')
      *c = '?';
  return g_markup_escape_text (valid, -1);
}

static void G_GNUC_PRINTF (2, 3)
append_escaped (GString *page, const char *format, ...)
{
  g_autofree char *text = NULL, *escaped = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  escaped = escape (text);
  g_string_append (page, escaped);
}

static void
append_cell (GString *page, double value)
{
  if (isnan (value))
    g_string_append (page, "<td>-</td>");
  else
    g_string_append_printf (page, "<td>%.4f</td>", value);
}

static void
append_image (GString *page, const char *type, const guint8 *data, gsize size, const char *what)
{
  g_autofree char *base64 = g_base64_encode (data, size);
  g_autofree char *escaped = escape (what);

  g_string_append_printf (
      page, "<img alt=\"%s\" src=\"data:%s;base64,%s\" />", escaped, type, base64);
}

/* --- numbers ---------------------------------------------------------------------- */

static void
append_summary (GString *page, const Evaluation *e, const NnModel *model)
{
  const Metrics *m = e->metrics;
  g_autofree char *chance = evaluation_describe_chance (e, model);

  g_string_append_printf (page,
      "<p><span class=\"big\">%.1f %%</span> of %u pictures are right (%u; 95 %% interval %.1f to "
      "%.1f %%)</p>\n",
      100 * m->accuracy, m->n, m->n_right, 100 * m->accuracy_low, 100 * m->accuracy_high);
  if (chance) {
    g_string_append (page, "<p><b>Note:</b> ");
    append_escaped (page, "%s", chance);
    g_string_append (page, ".</p>\n");
  }
  g_string_append_printf (page, "<table>\n<tr><td>loss</td><td>%.4f</td></tr>\n", m->nll);
  g_string_append (page, "<tr><td>area under the ROC curve</td>");
  append_cell (page, m->auc);
  g_string_append (page, "</tr>\n<tr><td>Brier score</td>");
  append_cell (page, m->brier);
  g_string_append (page, "</tr>\n<tr><td>expected calibration error</td>");
  append_cell (page, m->ece);
  g_string_append (page, "</tr>\n</table>\n");
}

/* the commonest of them, where a matrix would be too large */
static void
append_confusion_list (GString *page, const Metrics *m, const NnModel *model)
{
  g_autoptr (GArray) found = metrics_list_confusions (m);
  const guint n = MIN (found->len, MAX_CONFUSIONS);

  if (n == 0) {
    g_string_append (page, "<p>Nothing was taken for another.</p>\n");
    return;
  }
  if (n < found->len)
    g_string_append_printf (page,
        "<p class=\"note\">The %u commonest of %u confusions.</p>\n", n, found->len);
  g_string_append (page, "<div class=\"scroll\"><table>\n<tr><th>is</th><th>said</th>"
                         "<th>pictures</th><th>of the class</th></tr>\n");
  for (guint i = 0; i < n; i++) {
    const MetricsConfusion *c = &g_array_index (found, MetricsConfusion, i);

    g_string_append (page, "<tr><td>");
    append_escaped (page, "%s", nn_model_get_label (model, c->is));
    g_string_append (page, "</td><td>");
    append_escaped (page, "%s", nn_model_get_label (model, c->said));
    g_string_append_printf (page, "</td><td>%u</td><td>%.0f %%</td></tr>\n", c->n,
        100. * c->n / m->classes[c->is].n);
  }
  g_string_append (page, "</table></div>\n");
}

/* shaded by its part of the class's pictures; none leaves the cell empty */
static void
append_count (GString *page, guint n, guint n_class, gboolean is_right)
{
  if (n == 0)
    g_string_append (page, "<td></td>");
  else
    g_string_append_printf (page, "<td class=\"%s\" style=\"background: #%s%02x\">%u</td>",
        is_right ? "right" : "wrong", is_right ? "2a9d4a" : "d8402f",
        (guint) (24 + 136. * n / n_class), n);
}

static void
append_confusion (GString *page, const Metrics *m, const NnModel *model)
{
  g_string_append (page, "<h2>What was taken for what</h2>\n");
  if (m->n_classes > METRICS_MAX_MATRIX) {
    append_confusion_list (page, m, model);
    return;
  }
  g_string_append (page, "<div class=\"scroll\"><table class=\"confusion\">\n<tr>"
                         "<th>is \\ said</th>");
  for (guint k = 0; k < m->n_classes; k++) {
    g_string_append (page, "<th>");
    append_escaped (page, "%s", nn_model_get_label (model, k));
    g_string_append (page, "</th>");
  }
  g_string_append (page, "</tr>\n");
  for (guint t = 0; t < m->n_classes; t++) {
    g_string_append (page, "<tr><th>");
    append_escaped (page, "%s", nn_model_get_label (model, t));
    g_string_append (page, "</th>");
    for (guint k = 0; k < m->n_classes; k++)
      append_count (page, m->confusion[(gsize) t * m->n_classes + k], m->classes[t].n, t == k);
    g_string_append (page, "</tr>\n");
  }
  g_string_append (page, "</table></div>\n");
}

static void
append_classes (GString *page, const Metrics *m, const NnModel *model)
{
  g_string_append (page, "<h2>Classes</h2>\n<table>\n<tr><th>class</th><th>pictures</th>"
                         "<th>precision</th><th>recall</th><th>F1</th></tr>\n");
  for (guint k = 0; k < m->n_classes; k++) {
    g_string_append (page, "<tr><td>");
    append_escaped (page, "%s", nn_model_get_label (model, k));
    g_string_append_printf (page, "</td><td>%u</td>", m->classes[k].n);
    append_cell (page, m->classes[k].precision);
    append_cell (page, m->classes[k].recall);
    append_cell (page, m->classes[k].f1);
    g_string_append (page, "</tr>\n");
  }
  g_string_append (page, "</table>\n");
}

/* --- reliability -------------------------------------------------------------------- */

static cairo_status_t
append_bytes (void *bytes, const unsigned char *data, unsigned int size)
{
  g_byte_array_append (bytes, data, size);
  return CAIRO_STATUS_SUCCESS;
}

static void
show_text (cairo_t *cr, double x, double y, double align, const char *text)
{
  cairo_text_extents_t extents;

  cairo_text_extents (cr, text, &extents);
  cairo_move_to (cr, x - extents.x_advance * align, y);
  cairo_show_text (cr, text);
}

static void
draw_reliability (cairo_t *cr, const Metrics *m)
{
  guint most = 1;

  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_select_font_face (cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cr, 12);
  cairo_translate (cr, MARGIN, 12);
  for (guint i = 0; i <= 5; i++) {
    g_autofree char *text = g_strdup_printf ("%g", i / 5.0);

    cairo_set_source_rgb (cr, 0.88, 0.88, 0.88);
    cairo_set_line_width (cr, 1);
    cairo_move_to (cr, 0, DIAGRAM * (1 - i / 5.0));
    cairo_rel_line_to (cr, DIAGRAM, 0);
    cairo_stroke (cr);
    cairo_set_source_rgb (cr, 0.25, 0.25, 0.25);
    show_text (cr, -6, DIAGRAM * (1 - i / 5.0) + 4, 1, text);
    show_text (cr, DIAGRAM * i / 5.0, DIAGRAM + 16, 0.5, text);
  }
  for (guint b = 0; b < METRICS_N_BINS; b++)
    most = MAX (most, m->bins[b].n);
  for (guint b = 0; b < METRICS_N_BINS; b++) {
    const MetricsBin *bin = &m->bins[b];
    const double width = (double) DIAGRAM / METRICS_N_BINS;

    if (bin->n == 0)
      continue;
    /* the fewer pictures, the paler */
    cairo_set_source_rgba (cr, 0.12, 0.47, 0.71, 0.25 + 0.75 * sqrt ((double) bin->n / most));
    cairo_rectangle (
        cr, b * width + 1, DIAGRAM * (1 - bin->accuracy), width - 2, DIAGRAM * bin->accuracy);
    cairo_fill (cr);
  }
  cairo_set_source_rgb (cr, 0.35, 0.35, 0.35);
  cairo_set_dash (cr, (const double[]) { 4, 4 }, 2, 0);
  cairo_move_to (cr, 0, DIAGRAM);
  cairo_line_to (cr, DIAGRAM, 0);
  cairo_stroke (cr);
  show_text (cr, DIAGRAM / 2., DIAGRAM + 34, 0.5, "probability of the label");
  cairo_save (cr);
  cairo_translate (cr, -34, DIAGRAM / 2.);
  cairo_rotate (cr, -G_PI / 2);
  show_text (cr, 0, 0, 0.5, "how often it was right");
  cairo_restore (cr);
}

static gboolean
append_reliability (GString *page, const Metrics *m, GError **error)
{
  g_autoptr (GByteArray) svg = g_byte_array_new ();
  cairo_surface_t *surface = cairo_svg_surface_create_for_stream (
      append_bytes, svg, DIAGRAM + MARGIN + 24, DIAGRAM + 60);
  cairo_t *cr = cairo_create (surface);
  cairo_status_t status;

  draw_reliability (cr, m);
  cairo_destroy (cr);
  cairo_surface_finish (surface);
  status = cairo_surface_status (surface);
  cairo_surface_destroy (surface);
  if (status != CAIRO_STATUS_SUCCESS) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "the reliability diagram: %s",
        cairo_status_to_string (status));
    return FALSE;
  }
  g_string_append (page, "<h2>Do the probabilities hold?</h2>\n<p class=\"note\">On the dashed "
                         "line they do; bars below it promise too much. Pale bars stand for few "
                         "pictures.</p>\n<p>");
  append_image (page, "image/svg+xml", svg->data, svg->len, "reliability diagram");
  g_string_append (page, "</p>\n");
  return TRUE;
}

/* --- pictures that were wrong -------------------------------------------------------- */

typedef struct
{
  guint index, said;
  float probability;
} Wrong;

static int
compare_wrong (gconstpointer a, gconstpointer b)
{
  const Wrong *x = a, *y = b;

  if (x->probability != y->probability)
    return x->probability < y->probability ? 1 : -1;
  return x->index < y->index ? -1 : 1;
}

static GArray *
find_wrong (const Evaluation *e)
{
  const guint n_classes = e->metrics->n_classes;
  GArray *found = g_array_new (FALSE, FALSE, sizeof (Wrong));

  for (guint i = 0; i < e->data->n; i++) {
    const float *p = e->probabilities + (gsize) i * n_classes;
    Wrong wrong = { .index = i };

    nn_top_k (p, n_classes, 1, &wrong.said);
    wrong.probability = p[wrong.said];
    if (wrong.said != e->data->labels[i])
      g_array_append_val (found, wrong);
  }
  g_array_sort (found, compare_wrong);
  return found;
}

/* A picture that has gone since is told of in its place. */
static void
append_thumbnail (GString *page, const char *path, const NnModel *model)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = picture_open (path, &error);
  g_autoptr (GdkPixbuf) pixbuf = NULL;
  g_autofree guint8 *rgb = NULL;
  g_autofree char *jpeg = NULL, *name = g_path_get_basename (path);
  guint width, height;
  NnPreprocess pre;
  gsize size;

  if (picture) {
    picture_flatten (picture, &model->preprocess);
    picture_get_size (picture, &width, &height);
    sheet_fit (THUMBNAIL, THUMBNAIL, &width, &height);
    nn_preprocess_init (&pre, width, height);
    pre.resize = NN_RESIZE_AREA;
    rgb = g_malloc ((gsize) width * height * 3);
    if (picture_sample (picture, &pre, rgb, &error)) {
      pixbuf = gdk_pixbuf_new_from_data (rgb, GDK_COLORSPACE_RGB, FALSE, 8, (int) width,
          (int) height, (int) width * 3, NULL, NULL);
      if (gdk_pixbuf_save_to_buffer (
              pixbuf, &jpeg, &size, "jpeg", &error, "quality", "85", NULL)) {
        append_image (page, "image/jpeg", (const guint8 *) jpeg, size, name);
        return;
      }
    }
  }
  append_escaped (page, "%s", error->message);
}

static void
append_wrong (GString *page, const Evaluation *e, const NnModel *model, guint limit)
{
  g_autoptr (GArray) wrong = find_wrong (e);
  const guint n = MIN (wrong->len, limit);
  g_autofree const char **paths = g_new0 (const char *, n + 1);
  g_auto (GStrv) names = NULL;

  g_string_append (page, "<h2>Wrong, and most sure of it</h2>\n");
  if (wrong->len == 0) {
    g_string_append (page, "<p>None is wrong.</p>\n");
    return;
  }
  if (wrong->len > limit)
    g_string_append_printf (
        page, "<p class=\"note\">The %u surest of %u.</p>\n", limit, wrong->len);
  for (guint i = 0; i < n; i++)
    paths[i] = e->data->paths[g_array_index (wrong, Wrong, i).index];
  names = sheet_make_names (paths);
  g_string_append (page, "<div class=\"pictures\">\n");
  for (guint i = 0; i < n; i++) {
    const Wrong *w = &g_array_index (wrong, Wrong, i);

    g_string_append (page, "<figure>");
    append_thumbnail (page, e->data->paths[w->index], model);
    g_string_append (page, "<figcaption><b>");
    append_escaped (page, "%s %.3f", nn_model_get_label (model, w->said), w->probability);
    g_string_append (page, "</b>, is ");
    append_escaped (page, "%s", nn_model_get_label (model, e->data->labels[w->index]));
    g_string_append (page, "<br />");
    append_escaped (page, "%s", names[i]);
    g_string_append (page, "</figcaption></figure>\n");
  }
  g_string_append (page, "</div>\n");
}

/* --- the training --------------------------------------------------------------------- */

static gboolean
append_curve (GString *page, const NnModel *model, const char *log, GError **error)
{
  const char *history = g_hash_table_lookup (model->extra, "classify_history");
  g_autoptr (GByteArray) svg = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL, *best = NULL;

  if (log && !g_file_get_contents (log, &text, NULL, &local)) {
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: %s", log, local->message);
    return FALSE;
  }
  if (!log && !history)
    return TRUE; /* a file of Keras: nothing is known */
  if (!log)
    text = g_strconcat ("epoch,stage,learning_rate,loss,accuracy,val_loss,val_accuracy\n",
        history, NULL);
  svg = curve_render (text, log ? log : model->origin, TRUE, error);
  if (!svg)
    return FALSE;
  g_string_append (page, "<h2>Training</h2>\n<p>");
  best = curve_describe_best (text);
  append_image (page, "image/svg+xml", svg->data, svg->len, best ? best : "learning curves");
  g_string_append (page, "</p>\n");
  return TRUE;
}

static gboolean
append_recipe (GString *page, const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL, *name = NULL;

  if (!path)
    return TRUE;
  if (!g_file_get_contents (path, &text, NULL, &local)) {
    g_set_error (error, NN_ERROR, NN_ERROR_READ, "%s: %s", path, local->message);
    return FALSE;
  }
  name = g_path_get_basename (path);
  g_string_append (page, "<h2>Recipe ");
  append_escaped (page, "%s", name);
  g_string_append (page, "</h2>\n<pre>");
  append_escaped (page, "%s", text);
  g_string_append (page, "</pre>\n");
  return TRUE;
}

static void
append_model (GString *page, const Classifier *c, const char *tta)
{
  g_autofree char *pre = nn_preprocess_to_string (&c->model->preprocess);
  g_autofree char *summary = nn_model_summary (c->model);

  g_string_append (page, "<h2>Model</h2>\n<table>\n<tr><td>pre-processing</td><td>");
  append_escaped (page, "%s", pre);
  g_string_append (page, "</td></tr>\n<tr><td>views</td><td>");
  append_escaped (page, "%s", tta ? tta : "none");
  g_string_append_printf (page,
      "</td></tr>\n<tr><td>temperature</td><td>%.4g</td></tr>\n<tr><td>ran on</td><td>",
      c->model->temperature);
  append_escaped (page, "%s, %s", nn_backend_get_device (c->backend),
      nn_backend_get_description (c->backend));
  g_string_append (page, "</td></tr>\n</table>\n<pre>");
  append_escaped (page, "%s", summary);
  g_string_append (page, "</pre>\n");
}

char *
report_make (const Evaluation *e, const Classifier *c, const ReportOptions *options, GError **error)
{
  g_autofree char *name = g_path_get_basename (c->model->origin ? c->model->origin : "model");
  g_autofree char *title = escape (name);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *date = g_date_time_format (now, "%Y-%m-%d %H:%M");
  g_autoptr (GString) page = g_string_new (NULL);

  g_string_append_printf (page, head, title);
  g_string_append_printf (page, "<h1>%s</h1>\n<p class=\"note\">", title);
  append_escaped (page, "on %s, %s, classify %s", e->dir, date, CLASSIFY_VERSION);
  g_string_append (page, "</p>\n");
  append_summary (page, e, c->model);
  append_confusion (page, e->metrics, c->model);
  append_classes (page, e->metrics, c->model);
  if (!append_reliability (page, e->metrics, error))
    return NULL;
  append_wrong (page, e, c->model, options->n_wrong);
  if (!append_curve (page, c->model, options->log, error)
      || !append_recipe (page, options->recipe, error))
    return NULL;
  append_model (page, c, options->tta);
  g_string_append (page, "</body>\n</html>\n");
  return g_strdup (page->str);
}
