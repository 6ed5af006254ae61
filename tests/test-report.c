/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The page of classify report: well formed, its numbers those of the pictures, its
 * images in it, and names that are markup only text. */

#include "nn/error.h"
#include "nn/log.h"
#include "tests/colors.h"
#include "tests/many-classes.h"
#include "train/report.h"

#define SCRIPT "<script src=\"x\">&'"

static void
ignore_log (NnLogLevel level, const char *message, gpointer user_data)
{
}

/* what a reader sees of the page */
typedef struct
{
  GPtrArray *cells;    /* text of each td */
  GPtrArray *captions; /* of each figcaption */
  GString *text;       /* of the element at hand */
  guint n_images, n_external, n_scripts, n_jpeg;
  char best[80];       /* text instead of the curve */
} Page;

static void
start_element (GMarkupParseContext *context, const char *name, const char **keys,
    const char **values, gpointer user_data, GError **error)
{
  Page *page = user_data;

  if (strcmp (name, "td") == 0 || strcmp (name, "figcaption") == 0)
    g_string_truncate (page->text, 0);
  page->n_images += strcmp (name, "img") == 0;
  page->n_scripts += strcmp (name, "script") == 0;
  for (; *keys; keys++, values++) {
    const gboolean is_link = strcmp (*keys, "src") == 0 || strcmp (*keys, "href") == 0;

    page->n_external += is_link && !g_str_has_prefix (*values, "data:image/");
    if (strcmp (*keys, "alt") == 0 && g_str_has_prefix (*values, "best"))
      g_strlcpy (page->best, *values, sizeof page->best);
    page->n_jpeg += is_link && g_str_has_prefix (*values, "data:image/jpeg;base64,/9j/");
  }
}

static void
end_element (
    GMarkupParseContext *context, const char *name, gpointer user_data, GError **error)
{
  Page *page = user_data;

  if (strcmp (name, "td") == 0)
    g_ptr_array_add (page->cells, g_strdup (page->text->str));
  if (strcmp (name, "figcaption") == 0)
    g_ptr_array_add (page->captions, g_strdup (page->text->str));
}

static void
add_text (GMarkupParseContext *context, const char *text, gsize length, gpointer user_data,
    GError **error)
{
  g_string_append_len (((Page *) user_data)->text, text, (gssize) length);
}

static void
page_clear (Page *page)
{
  g_ptr_array_unref (page->cells);
  g_ptr_array_unref (page->captions);
  g_string_free (page->text, TRUE);
}

static Page
read_page (const char *text)
{
  const GMarkupParser parser = { start_element, end_element, add_text, NULL, NULL };
  Page page = { g_ptr_array_new_with_free_func (g_free), g_ptr_array_new_with_free_func (g_free),
    g_string_new (NULL), 0, 0, 0, 0, "" };
  g_autoptr (GMarkupParseContext) context
      = g_markup_parse_context_new (&parser, G_MARKUP_DEFAULT_FLAGS, &page, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_markup_parse_context_parse (context, text, -1, &error));
  g_assert_true (g_markup_parse_context_end_parse (context, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (page.n_external, ==, 0);
  g_assert_cmpuint (page.n_scripts, ==, 0);
  return page;
}

static Page
report (Classifier *classifier, const char *dir, const ReportOptions *options)
{
  const DatasetOptions data = { .threads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Evaluation) evaluation = evaluation_new (classifier, dir, &data, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  text = report_make (evaluation, classifier, options, &error);
  g_assert_no_error (error);
  return read_page (text);
}

/* Four of six right; names that would be markup. */
static void
test_page (void)
{
  static const char *const labels[] = { "blue", "red " SCRIPT, NULL };
  static const char log[]
      = "epoch,stage,learning_rate,loss,accuracy,val_loss,val_accuracy,seconds\n"
        "1,1,0.1,0.7,0.5,0.6,0.6,1\n2,1,0.1,0.5,0.7,0.4,0.8,1\n"
        "3,1,0.1,0.5,0.7,0.5,0.8,1\n";
  g_autofree char *models = make_dir (), *dir = make_dir ();
  g_autofree char *path = make_color_model (models, "m.h5", 1, 3, labels);
  g_autofree char *csv = g_build_filename (models, "log.csv", NULL);
  g_autofree char *recipe = g_build_filename (models, "r.ini", NULL);
  g_autoptr (Classifier) classifier = open_model (path);
  ReportOptions options = { .n_wrong = 9, .tta = "flip" };
  Page page;

  make_color (dir, "blue/1.png", 0, 0, 255);
  make_color (dir, "blue/2.png", 0, 0, 200);
  make_color (dir, "blue/" SCRIPT ".png", 255, 0, 0); /* 0.95 sure */
  make_color (dir, "red " SCRIPT "/1.png", 255, 0, 0);
  make_color (dir, "red " SCRIPT "/2.png", 200, 0, 0);
  make_color (dir, "red " SCRIPT "/3.png", 0, 0, 50); /* 0.64 */

  page = report (classifier, dir, &options);
  g_assert_cmpuint (page.n_images, ==, 3); /* the diagram, two pictures */
  g_assert_cmpuint (page.n_jpeg, ==, 2);
  g_assert_cmpstr (page.cells->pdata[8], ==, "2"); /* blue taken for blue */
  g_assert_cmpstr (page.cells->pdata[9], ==, "1");
  g_assert_cmpstr (page.cells->pdata[10], ==, "1");
  g_assert_cmpstr (page.cells->pdata[11], ==, "2");
  g_assert_cmpstr (page.cells->pdata[12], ==, "blue");
  g_assert_cmpstr (page.cells->pdata[14], ==, "0.6667");
  g_assert_cmpstr (page.cells->pdata[17], ==, "red " SCRIPT);
  g_assert_cmpuint (page.captions->len, ==, 2);
  g_assert_cmpstr (
      page.captions->pdata[0], ==, "red " SCRIPT " 0.953, is blue" SCRIPT ".png");
  g_assert_cmpstr (page.captions->pdata[1], ==, "blue 0.643, is red " SCRIPT "3.png");
  page_clear (&page);

  /* fewer pictures, a curve, a recipe */
  g_assert_true (g_file_set_contents (csv, log, -1, NULL));
  g_assert_true (g_file_set_contents (recipe, "[data]\n# <i>\001\xff\n", -1, NULL));
  options = (ReportOptions) { .log = csv, .recipe = recipe, .n_wrong = 1 };
  page = report (classifier, dir, &options);
  g_assert_cmpuint (page.n_images, ==, 3);
  g_assert_cmpstr (
      page.best, ==, "best epoch: 2 of 3, validation accuracy 0.8000, loss 0.4000");
  g_assert_cmpuint (page.captions->len, ==, 1);
  page_clear (&page);
  remove_dir (dir);
  remove_dir (models);
}

/* A matrix up to 20 classes; of more the commonest confusions, in a page that is no larger
 * than its table of classes needs. */
static void
test_many_classes (void)
{
  static const struct
  {
    guint n, n_wrong, n_told;
    const char *note, *first; /* of the table */
  } rows[] = {
    { 20, 20, 0, "worse than chance: always saying &quot;class 0019&quot;", NULL },
    { 21, 0, 0, "Nothing was taken for another.", NULL },
    { 21, 3, 3, NULL, "class 0002" },
    { 40, 40, 40, NULL, "class 0039" },
    { 1500, 1490, 40, "The 40 commonest of 1490 confusions.", "class 1489" },
  };
  g_autofree char *models = make_dir ();
  const guint n_summary = 8; /* cells before */

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const guint n = rows[i].n, n_matrix = n > 20 ? 4 * rows[i].n_told : n * n;
    g_autoptr (Classifier) classifier = make_many_classifier (models, n);
    g_autoptr (Evaluation) e = make_many_classes (n, rows[i].n_wrong);
    g_autoptr (GError) error = NULL;
    const ReportOptions options = { .n_wrong = 9 };
    g_autofree char *text = report_make (e, classifier, &options, &error);
    Page page;

    g_assert_no_error (error);
    g_assert_cmpuint (strlen (text), <, 500000);
    g_assert_true (!rows[i].note || strstr (text, rows[i].note));
    page = read_page (text);
    g_assert_cmpuint (page.cells->len, ==, n_summary + n_matrix + 5 * n + 8);
    if (n <= 20) {
      g_assert_cmpstr (page.cells->pdata[n_summary], ==, ""); /* a zero */
      g_assert_cmpstr (page.cells->pdata[n_summary + 1], ==, "1");
    } else if (rows[i].first) {
      g_assert_cmpstr (page.cells->pdata[n_summary], ==, rows[i].first);
      g_assert_cmpstr (page.cells->pdata[n_summary + 3], ==, "100 %");
    }
    page_clear (&page);
  }
  remove_dir (models);
}

static void
test_refused (void)
{
  static const char *const labels[] = { "blue", "red", NULL };
  g_autofree char *models = make_dir (), *dir = make_dir ();
  g_autofree char *path = make_color_model (models, "m.h5", 1, 3, labels);
  g_autofree char *gone = g_build_filename (models, "gone", NULL);
  g_autoptr (Classifier) classifier = open_model (path);
  g_autoptr (Evaluation) evaluation = NULL;
  const DatasetOptions data = { .threads = 1 };
  const ReportOptions rows[]
      = { { .log = gone }, { .recipe = gone }, { .log = path /* no CSV */ } };

  make_color (dir, "blue/1.png", 0, 0, 255);
  make_color (dir, "red/1.png", 255, 0, 0);
  evaluation = evaluation_new (classifier, dir, &data, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (report_make (evaluation, classifier, &rows[i], &error));
    g_assert_nonnull (error);
    g_assert_nonnull (strstr (error->message, i < 2 ? gone : path));
  }
  remove_dir (dir);
  remove_dir (models);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  nn_log_set_sink (ignore_log, NULL);
  g_test_add_func ("/report/page", test_page);
  g_test_add_func ("/report/many-classes", test_many_classes);
  g_test_add_func ("/report/refused", test_refused);
  return g_test_run ();
}
