/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/predict.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/cam.h"
#include "nn/error.h"
#include "nn/input-dump.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "train/standard.h"

#define RUN_SAMPLES 32
#define HEAT_OPACITY 0.55

Classifier *
classifier_new (const ClassifierOptions *options, GError **error)
{
  g_autoptr (Classifier) classifier = g_new0 (Classifier, 1);
  g_autofree char *pre = NULL;
  NnPlanOptions plan_options = {
    .precision = options->precision,
    .threads = options->threads,
  };

  classifier->model = options->labels_file
      ? nn_model_open_labelled (options->model, options->weights, options->labels_file, error)
      : nn_model_open (options->model, options->weights, error);
  if (!classifier->model)
    return NULL;
  classifier->backend = nn_backend_open (options->device, error);
  if (!classifier->backend)
    return NULL;
  classifier->views = nn_views_new (classifier->model, &options->tta, error);
  if (!classifier->views || !nn_views_prepare (classifier->views, classifier->backend, error)) {
    g_prefix_error (error, "%s: ", options->model);
    return NULL;
  }
  classifier->is_whole = options->tta.method == NN_TTA_WHOLE;
  classifier->n_pictures = MAX (RUN_SAMPLES / nn_views_get_n (classifier->views), 1);
  plan_options.batch = nn_views_get_n (classifier->views) * classifier->n_pictures;
  classifier->plan = nn_plan_new (
      classifier->backend, nn_views_get_network (classifier->views), &plan_options, error);
  if (!classifier->plan)
    return NULL;
  classifier->n_classes = nn_model_get_n_classes (classifier->model);
  classifier->sample_size = nn_shape_count (nn_model_get_input_shape (classifier->model));
  classifier->probabilities
      = g_new0 (float, (gsize) classifier->n_pictures * classifier->n_classes);
  pre = nn_preprocess_to_string (&classifier->model->preprocess);
  nn_info ("pre-processing: %s", pre);
  return g_steal_pointer (&classifier);
}

void
classifier_free (Classifier *classifier)
{
  if (!classifier)
    return;
  nn_plan_free (classifier->plan);
  nn_views_free (classifier->views);
  nn_backend_unref (classifier->backend);
  if (classifier->model)
    nn_model_unref (classifier->model);
  g_free (classifier->probabilities);
  g_free (classifier);
}

/* where the views of picture number @index go */
static float *
get_input (Classifier *c, guint index)
{
  const NnPreprocess *pre = nn_views_get_preprocess (c->views);
  const gsize size = (gsize) pre->height * pre->width * nn_preprocess_get_n_channels (pre);

  return nn_plan_get_input (c->plan) + index * nn_views_get_n (c->views) * size;
}

gboolean
classifier_put (Classifier *c, guint index, const Picture *picture, GError **error)
{
  g_autoptr (NnViewSampler) sampler = NULL;
  NnImageInfo info;
  NnImagePlanes planes;

  picture_get_image (picture, &info, &planes);
  sampler = nn_view_sampler_new (c->views, &info, NULL, error);
  if (!sampler)
    return FALSE;
  nn_view_sampler_run (sampler, &planes, nn_views_get_n (c->views), get_input (c, index));
  return TRUE;
}

const float *
classifier_run (Classifier *c, guint n, GError **error)
{
  const guint n_views = nn_views_get_n (c->views);
  const gsize n_outputs = nn_model_get_n_outputs (nn_views_get_network (c->views));
  const float *outputs = nn_plan_run (c->plan, n * n_views, error);

  for (guint i = 0; outputs && i < n; i++)
    if (!nn_views_mean (c->views, outputs + i * n_views * n_outputs, n_views,
            c->probabilities + (gsize) i * c->n_classes, error))
      return NULL;
  return outputs ? c->probabilities : NULL;
}

/* picture number @index of the run, which is number @i of @data */
static gboolean
put_of_dataset (Classifier *c, guint index, const Dataset *data, guint i, GError **error)
{
  const guint8 *bytes = data->bytes + i * data->sample_size;
  g_autoptr (Picture) picture = NULL;

  if (c->is_whole) { /* one view, or it and its mirror image */
    for (guint v = 0; v < nn_views_get_n (c->views); v++)
      nn_preprocess_bytes (&c->model->preprocess, bytes, v == 1,
          get_input (c, index) + v * c->sample_size);
    return TRUE;
  }
  picture = picture_open (data->paths[i], error);
  if (picture)
    picture_flatten (picture, &c->model->preprocess);
  if (picture && classifier_put (c, index, picture, error))
    return TRUE;
  g_prefix_error (error, "%s: ", data->paths[i]);
  return FALSE;
}

gboolean
classifier_run_dataset (Classifier *c, const Dataset *data, float *probabilities, GError **error)
{
  for (guint first = 0; first < data->n; first += c->n_pictures) {
    const guint n = MIN (c->n_pictures, data->n - first);
    const float *p;

    for (guint i = 0; i < n; i++)
      if (!put_of_dataset (c, i, data, first + i, error))
        return FALSE;
    p = classifier_run (c, n, error);
    if (!p)
      return FALSE;
    memcpy (probabilities + (gsize) first * c->n_classes, p,
        (gsize) n * c->n_classes * sizeof (float));
  }
  return TRUE;
}

/* --- predict ------------------------------------------------------------------------ */

static void
print_csv_field (const char *text)
{
  if (!strpbrk (text, ",\"\n\r")) {
    fputs (text, stdout);
    return;
  }
  putchar ('"');
  for (; *text; text++) {
    if (*text == '"')
      putchar ('"');
    putchar (*text);
  }
  putchar ('"');
}

static void
print_csv_header (const Classifier *c, guint top_k)
{
  fputs ("file,label,probability", stdout);
  for (guint k = 2; k <= MIN (top_k, c->n_classes); k++)
    printf (",label_%u,probability_%u", k, k);
  putchar ('\n');
}

static void
print_json (const Classifier *c, const char *path, const float *p, const guint *order, guint top_k)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL, *utf8 = g_filename_display_name (path);

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "file");
  json_builder_add_string_value (builder, utf8);
  json_builder_set_member_name (builder, "label");
  json_builder_add_string_value (builder, nn_model_get_label (c->model, order[0]));
  json_builder_set_member_name (builder, "index");
  json_builder_add_int_value (builder, order[0]);
  json_builder_set_member_name (builder, "probability");
  json_builder_add_double_value (builder, p[order[0]]);
  json_builder_set_member_name (builder, "top");
  json_builder_begin_array (builder);
  for (guint k = 0; k < top_k; k++) {
    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "label");
    json_builder_add_string_value (builder, nn_model_get_label (c->model, order[k]));
    json_builder_set_member_name (builder, "probability");
    json_builder_add_double_value (builder, p[order[k]]);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  text = json_to_string (root, FALSE);
  puts (text);
}

static void
print_text (const Classifier *c, const char *path, const float *p, const guint *order, guint top_k)
{
  g_autoptr (GString) text = g_string_new (path);

  for (guint k = 0; k < top_k; k++)
    g_string_append_printf (text, "%s %s %.4f", k ? "," : ":",
        nn_model_get_label (c->model, order[k]), p[order[k]]);
  standard_print_line ("%s", text->str);
}

static void
print_result (const Classifier *c, const char *path, const float *p, Format format, guint top_k)
{
  g_autofree guint *order = g_new (guint, c->n_classes);
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  top_k = CLAMP (top_k, 1, c->n_classes);
  nn_top_k (p, c->n_classes, c->n_classes, order);
  switch (format) {
    case FORMAT_JSON:
      print_json (c, path, p, order, top_k);
      break;
    case FORMAT_CSV:
      print_csv_field (path);
      for (guint k = 0; k < top_k; k++) {
        putchar (',');
        print_csv_field (nn_model_get_label (c->model, order[k]));
        printf (",%s", g_ascii_formatd (number, sizeof number, "%.6f", p[order[k]]));
      }
      putchar ('\n');
      break;
    default:
      print_text (c, path, p, order, top_k);
      break;
  }
}

typedef struct
{
  const char *path;
  SheetTile *tile; /* or NULL */
} Item;

typedef struct
{
  Classifier *c;
  const PredictOptions *options;
  guint n_items; /* of the batch at hand */
  Item *items;
  GPtrArray *shown;       /* path of each tile */
  NnCam *cam;             /* NULL: not to be explained */
  int explained;          /* class, or -1: the best */
  guint n_known, n_right; /* of those whose class their folder or name tells */
} Prediction;

Sheet *
predict_sheet_new (guint size, gboolean explain)
{
  Sheet *sheet = sheet_new (explain ? 2 * size + PREDICT_GAP : size, size);

  sheet->captions_are_names = TRUE;
  return sheet;
}

/* a name that leaves room for what follows it */
static char *
shorten (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1), *begin = NULL, *end = NULL;
  glong n = g_utf8_strlen (valid, -1);

  if (n <= 40)
    return g_steal_pointer (&valid);
  begin = g_utf8_substring (valid, 0, 25);
  end = g_utf8_substring (valid, n - 14, n);
  return g_strconcat (begin, "…", end, NULL);
}

static void
add_title (Prediction *p, const Item *item, const float *probabilities)
{
  const NnModel *model = p->c->model;
  guint best, truth = 0;
  gboolean is_known = model->labels
      && picture_find_class (item->path, (const char *const *) model->labels, &truth);

  nn_top_k (probabilities, p->c->n_classes, 1, &best);
  p->n_known += is_known;
  p->n_right += is_known && truth == best;
  if (item->tile) {
    g_autofree char *label = shorten (nn_model_get_label (model, best));
    g_autofree char *right = shorten (nn_model_get_label (model, truth));
    const gboolean is_wrong = is_known && truth != best;

    item->tile->title = g_strdup_printf ("%s %.3f%s%s", label, probabilities[best],
        is_wrong ? ", is " : "", is_wrong ? right : "");
    if (is_known)
      item->tile->tone = is_wrong ? SHEET_WRONG : SHEET_RIGHT;
  }
}

static gboolean
flush_batch (Prediction *p, GError **error)
{
  const float *probabilities;

  if (p->n_items == 0)
    return TRUE;
  probabilities = classifier_run (p->c, p->n_items, error);
  if (!probabilities)
    return FALSE;
  for (guint i = 0; i < p->n_items; i++, probabilities += p->c->n_classes) {
    print_result (p->c, p->items[i].path, probabilities, p->options->format, p->options->top_k);
    if (p->options->sheet)
      add_title (p, &p->items[i], probabilities);
  }
  p->n_items = 0;
  return TRUE;
}

/* Draws what speaks for the class on a thumbnail of the picture. */
static gboolean
explain (Prediction *p, const Picture *picture, guint8 *rgb, guint width, guint height,
    GError **error)
{
  const NnPreprocess *pre = &p->c->model->preprocess;
  g_autofree guint32 *argb = g_new (guint32, (gsize) width * height);
  g_autofree float *map = NULL;
  g_autofree guint8 *values = NULL;
  g_autoptr (NnSampler) sampler = NULL;
  NnCamResult result;
  NnImageInfo info;
  NnImagePlanes planes;
  NnHeat heat;
  NnRect source;
  NnPlace place;
  double x_scale, y_scale;

  picture_get_image (picture, &info, &planes);
  nn_cam_get_size (p->cam, &heat.rows, &heat.columns);
  map = g_new (float, (gsize) heat.rows * heat.columns);
  values = g_new (guint8, (gsize) heat.rows * heat.columns);
  heat.values = values;
  sampler = nn_sampler_new (&info, NULL, pre, error);
  if (!sampler)
    return FALSE;
  nn_sampler_run (sampler, &planes, FALSE, nn_cam_get_input (p->cam));
  if (!nn_cam_run (p->cam, p->explained, map, &result, error))
    return FALSE;
  for (gsize i = 0; i < (gsize) heat.rows * heat.columns; i++)
    values[i] = (guint8) (map[i] * 255 + .5f);
  /* the network's input in pixels of the thumbnail */
  nn_preprocess_fit (pre, &info, NULL, &source, &place);
  x_scale = source.width / place.width * width / info.width;
  y_scale = source.height / place.height * height / info.height;
  heat.x = (int) lround (source.x * width / info.width - place.x * x_scale);
  heat.y = (int) lround (source.y * height / info.height - place.y * y_scale);
  heat.width = MAX ((int) lround (pre->width * x_scale), 1);
  heat.height = MAX ((int) lround (pre->height * y_scale), 1);
  nn_cam_draw (&heat, HEAT_OPACITY, argb, width, height);
  for (gsize i = 0; i < (gsize) width * height; i++)
    for (guint c = 0; c < 3; c++)
      rgb[3 * i + c] = (guint8) ((argb[i] >> (16 - 8 * c) & 255)
          + (rgb[3 * i + c] * (255 - (argb[i] >> 24)) + 127) / 255);
  return TRUE;
}

/* the picture, and the picture with the map at its right */
static gboolean
add_explained (Prediction *p, SheetTile *tile, const Picture *picture, const guint8 *rgb,
    guint width, guint height, GError **error)
{
  const gsize row = 3 * (gsize) width, both = 2 * row + 3 * PREDICT_GAP;
  g_autofree guint8 *map = g_memdup2 (rgb, row * height);
  guint8 *pair;

  if (!explain (p, picture, map, width, height, error))
    return FALSE;
  pair = g_malloc (both * height);
  memset (pair, 255, both * height);
  for (guint y = 0; y < height; y++) {
    memcpy (pair + y * both, rgb + y * row, row);
    memcpy (pair + (y + 1) * both - row, map + y * row, row);
  }
  sheet_tile_take_rgb (p->options->sheet, tile, pair, 2 * width + PREDICT_GAP, height);
  return TRUE;
}

static gboolean
add_thumbnail (Prediction *p, SheetTile *tile, const Picture *picture, GError **error)
{
  Sheet *sheet = p->options->sheet;
  g_autofree guint8 *rgb = NULL;
  guint width, height;
  NnPreprocess pre;

  picture_get_size (picture, &width, &height);
  sheet_fit (p->cam ? (sheet->tile_width - PREDICT_GAP) / 2 : sheet->tile_width,
      sheet->tile_height, &width, &height);
  nn_preprocess_init (&pre, width, height);
  pre.resize = NN_RESIZE_AREA;
  rgb = g_malloc ((gsize) width * height * 3);
  if (!picture_sample (picture, &pre, rgb, error))
    return FALSE;
  if (p->cam)
    return add_explained (p, tile, picture, rgb, width, height, error);
  sheet_tile_take_rgb (sheet, tile, g_steal_pointer (&rgb), width, height);
  return TRUE;
}

/* one more picture of the batch; FALSE where it cannot be read */
static gboolean
add_picture (Prediction *p, const char *path, SheetTile *tile)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = picture_open (path, &error);

  if (tile)
    g_ptr_array_add (p->shown, (gpointer) path);
  if (picture)
    picture_flatten (picture, &p->c->model->preprocess);
  if (!picture
      || !classifier_put (p->c, p->n_items, picture, &error)
      || (tile && !add_thumbnail (p, tile, picture, &error))) {
    nn_warning ("%s: %s", path, error->message);
    if (tile)
      tile->note = g_strdup (error->message);
    return FALSE;
  }
  p->items[p->n_items++] = (Item) { path, tile };
  return TRUE;
}

/* the files of @paths and of the folders among them; or NULL */
static GPtrArray *
list_files (char **paths, GError **error)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; paths[i]; i++) {
    if (g_file_test (paths[i], G_FILE_TEST_IS_DIR)) {
      GPtrArray *inner = pictures_list (paths[i], error);

      if (!inner)
        return NULL;
      if (inner->len == 0)
        nn_warning ("%s: no picture in this folder", paths[i]);
      g_ptr_array_extend_and_steal (files, inner);
    } else {
      g_ptr_array_add (files, g_strdup (paths[i]));
    }
  }
  return g_steal_pointer (&files);
}

static void
add_names (Prediction *p)
{
  g_auto (GStrv) names = NULL;

  g_ptr_array_add (p->shown, NULL);
  names = sheet_make_names ((const char *const *) p->shown->pdata);
  for (guint i = 0; names[i]; i++) {
    SheetTile *tile = g_ptr_array_index (p->options->sheet->tiles, i);

    tile->caption = g_strdup (names[i]);
  }
}

static void
add_header (const Prediction *p, guint n_files, guint n_bad)
{
  Sheet *sheet = p->options->sheet;
  const guint n_shown = sheet->tiles->len;
  GString *text = g_string_new (NULL);

  if (p->c->model->origin)
    sheet->title = g_filename_display_basename (p->c->model->origin);
  g_string_append_printf (text, "%u picture%s", n_files, n_files == 1 ? "" : "s");
  if (n_shown < n_files)
    g_string_append_printf (text, ", %u of them shown, evenly spaced", n_shown);
  if (n_bad > 0)
    g_string_append_printf (text, " · %u unreadable", n_bad);
  sheet_add_line (sheet, "%s", text->str);
  g_string_free (text, TRUE);
  if (p->cam)
    sheet_add_line (sheet,
        "at the right: red speaks most for %s%s%s, yellow less, what is clear does not",
        p->explained < 0 ? "the label" : "\"",
        p->explained < 0 ? "" : nn_model_get_label (p->c->model, (guint) p->explained),
        p->explained < 0 ? "" : "\"");
  if (p->cam) /* a tile is twice as wide as high */
    sheet->columns = (guint) ceil (sqrt (MAX (n_shown, 1) * .8));
  if (p->n_known > 0)
    sheet_add_line (sheet,
        "%u right of %u whose folder or name tells the class (%.3f) · green: right, red: wrong",
        p->n_right, p->n_known, (double) p->n_right / p->n_known);
}

/* The class to be explained; FALSE where the model has no such label. */
static gboolean
find_explained (Prediction *p, GError **error)
{
  const char *label = p->options->explained_label;

  p->explained = -1;
  for (guint i = 0; label && i < p->c->n_classes; i++)
    if (strcmp (nn_model_get_label (p->c->model, i), label) == 0)
      p->explained = (int) i;
  if (!label || p->explained >= 0)
    return TRUE;
  g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND,
      "%s: has no class \"%s\"; classify summary lists them", p->c->model->origin, label);
  return FALSE;
}

gboolean
predict_run (Classifier *c, char **paths, const PredictOptions *options, guint *n_bad,
    GError **error)
{
  g_autoptr (GPtrArray) files = list_files (paths, error);
  g_autofree Item *items = g_new (Item, c->n_pictures);
  g_autoptr (GPtrArray) shown = g_ptr_array_new ();
  Prediction p = { .c = c, .options = options, .items = items, .shown = shown };

  g_autoptr (NnCam) cam = NULL;

  *n_bad = 0;
  if (!files || !find_explained (&p, error))
    return FALSE;
  if (options->explain) {
    p.cam = cam = nn_cam_new (c->model, c->backend, nn_plan_get_threads (c->plan), error);
    if (!cam) {
      g_prefix_error (error, "%s: ", c->model->origin);
      return FALSE;
    }
  }
  if (options->format == FORMAT_CSV)
    print_csv_header (c, options->top_k);
  for (guint i = 0; i < files->len; i++) {
    const guint64 limit = MIN (options->sheet_limit, files->len);
    gboolean is_shown
        = options->sheet && (i + 1) * limit / files->len > i * limit / files->len;

    if (!add_picture (&p, g_ptr_array_index (files, i),
            is_shown ? sheet_add_tile (options->sheet) : NULL))
      ++*n_bad;
    if (p.n_items == c->n_pictures && !flush_batch (&p, error))
      return FALSE;
  }
  if (!flush_batch (&p, error))
    return FALSE;
  if (options->sheet) {
    add_names (&p);
    add_header (&p, files->len, *n_bad);
  }
  return TRUE;
}

/* --- dumps -------------------------------------------------------------------------- */

static gboolean
predict_dump (Classifier *c, const NnInputDump *dump, const char *path,
    const PredictOptions *options, GError **error)
{
  const NnModel *network = nn_views_get_network (c->views);
  const gsize size = nn_shape_count (&dump->shape);

  if (!nn_shape_equal (&dump->shape, nn_model_get_input_shape (network))
      || dump->n_views > nn_views_get_n (c->views)) {
    g_autofree char *found = nn_shape_to_string (&dump->shape);
    g_autofree char *expected = nn_shape_to_string (nn_model_get_input_shape (network));

    g_set_error (error, NN_ERROR, NN_ERROR_SHAPE,
        "%s: has %u views of %s, the model takes %u of %s: was it another one (%s)?", path,
        dump->n_views, found, nn_views_get_n (c->views), expected,
        dump->model ? dump->model : "not named");
    return FALSE;
  }
  for (guint r = 0; r < dump->n_regions; r++) {
    g_autofree char *name = dump->n_regions > 1 ? g_strdup_printf ("%s[%u]", path, r) : NULL;
    const float *outputs;

    memcpy (nn_plan_get_input (c->plan), dump->values + r * dump->n_views * size,
        dump->n_views * size * sizeof (float));
    outputs = nn_plan_run (c->plan, dump->n_views, error);
    if (!outputs
        || !nn_views_mean (c->views, outputs, dump->n_views, c->probabilities, error))
      return FALSE;
    print_result (c, name ? name : path, c->probabilities, options->format, options->top_k);
  }
  return TRUE;
}

gboolean
predict_dumps (const ClassifierOptions *options, char **paths,
    const PredictOptions *predict_options, GError **error)
{
  for (guint i = 0; paths[i]; i++) {
    g_autoptr (NnInputDump) dump = nn_input_dump_read (paths[i], error);
    g_autoptr (Classifier) classifier = NULL;
    ClassifierOptions own = *options;

    if (!dump)
      return FALSE;
    own.tta = dump->tta;
    classifier = classifier_new (&own, error);
    if (!classifier)
      return FALSE;
    if (i == 0 && predict_options->format == FORMAT_CSV)
      print_csv_header (classifier, predict_options->top_k);
    if (!predict_dump (classifier, dump, paths[i], predict_options, error))
      return FALSE;
  }
  return TRUE;
}
