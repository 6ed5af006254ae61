/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "train/preview.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"
#include "nn/keras-file.h"
#include "nn/log.h"
#include "nn/rng.h"
#include "train/dataset-split.h"
#include "train/feeder.h"
#include "train/sheet.h"

#define MIN_TILE 128 /* smaller network inputs are enlarged, */
#define MAX_TILE 256 /* larger ones reduced */

/* --- which pictures -------------------------------------------------------------------- */

static void
shuffle (guint64 seed, guint64 index, guint *values, guint n)
{
  NnRng rng;

  nn_rng_init (&rng, seed, NN_STREAM_USER, index);
  for (guint i = n; i > 1; i--) {
    guint j = nn_rng_below (&rng, i), t = values[i - 1];

    values[i - 1] = values[j];
    values[j] = t;
  }
}

static int
compare_guints (gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *) a, y = *(const guint *) b;

  return x < y ? -1 : x > y;
}

/* One of each class in turn, the classes and the pictures of each in an order
 * that the seed decides: more pictures are the same and some others. Sorted, so
 * that a class's are together; @only: the one class, or -1. */
static GArray *
choose (const Dataset *data, guint64 seed, guint n, int only)
{
  GArray *chosen = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autofree GArray **of_class = g_new (GArray *, data->n_classes);
  g_autofree guint *classes = g_new (guint, data->n_classes);
  gboolean has_more = TRUE;

  for (guint c = 0; c < data->n_classes; c++) {
    classes[c] = c;
    of_class[c] = g_array_new (FALSE, FALSE, sizeof (guint));
  }
  for (guint i = 0; i < data->n; i++)
    if (only < 0 || data->labels[i] == (guint) only)
      g_array_append_val (of_class[data->labels[i]], i);
  shuffle (seed, 0, classes, data->n_classes);
  for (guint c = 0; c < data->n_classes; c++)
    shuffle (seed, 1 + c, (guint *) (void *) of_class[c]->data, of_class[c]->len);
  for (guint turn = 0; has_more; turn++) {
    has_more = FALSE;
    for (guint k = 0; k < data->n_classes && chosen->len < n; k++) {
      const GArray *pictures = of_class[classes[k]];

      if (turn < pictures->len) {
        g_array_append_val (chosen, g_array_index (pictures, guint, turn));
        has_more = TRUE;
      }
    }
  }
  g_array_sort (chosen, compare_guints);
  for (guint c = 0; c < data->n_classes; c++)
    g_array_unref (of_class[c]);
  return chosen;
}

/* --- tiles ------------------------------------------------------------------------------- */

/* what the network gets, back to what can be looked at: (H, W, 3) */
static guint8 *
to_rgb (const NnPreprocess *pre, const float *values)
{
  const guint channels = nn_preprocess_get_n_channels (pre);
  const gsize n = (gsize) pre->width * pre->height;
  guint8 *rgb = g_malloc (n * 3);

  for (gsize i = 0; i < n; i++) {
    for (guint k = 0; k < 3; k++) {
      guint c = channels == 1 ? 0 : pre->channels == NN_CHANNELS_BGR ? 2 - k : k;
      /* a scale of 0 leaves nothing to see */
      double p = pre->scale[c] != 0 ? values[i * channels + c] / pre->scale[c] : 0;

      rgb[i * 3 + k] = (guint8) CLAMP (round (p + pre->mean[c]), 0, 255);
    }
  }
  return rgb;
}

/* two blanks are where a line may break, one is not */
static char *
keep_together (const char *text)
{
  g_auto (GStrv) items = g_strsplit (text, "  ", -1);

  for (guint i = 0; items[i]; i++) {
    g_auto (GStrv) words = g_strsplit (items[i], " ", -1);

    g_free (items[i]);
    items[i] = g_strjoinv ("\302\240", words);
  }
  return g_strjoinv ("  ", items);
}

typedef struct
{
  const Recipe *recipe;
  const PreviewOptions *options;
  const Dataset *data;
  const NnPreprocess *pre, *stored; /* what the network takes, what is kept in memory */
  const NnAugment *augment;
  Sheet *sheet;
  guint8 *bytes; /* of either */
  float *values;
} Preview;

static void
add_row (Preview *p, guint index)
{
  const Order order = { p->data->n, p->recipe->batch_size, p->options->seed };
  const char *path = p->data->paths[index];
  const gboolean is_first = p->sheet->tiles->len == 0;
  g_autoptr (GError) error = NULL;
  g_autoptr (Picture) picture = picture_open (path, &error);
  SheetTile *tile = sheet_add_tile (p->sheet);
  guint width, height;

  tile->row_title = g_strdup (p->data->classes[p->data->labels[index]]);
  {
    g_autofree char *name = g_path_get_basename (path);

    tile->row_text = g_filename_display_name (name);
  }
  if (is_first)
    tile->title = g_strdup ("original");
  if (picture)
    picture_flatten (picture, p->pre);
  if (!picture || !picture_sample (picture, p->pre, p->bytes, &error)) {
    nn_warning ("%s: %s", path, error->message);
    tile->note = g_strdup (error->message);
  } else {
    picture_get_size (picture, &width, &height);
    tile->caption = g_strdup_printf ("%ux%u\302\240px", width, height);
    nn_preprocess_bytes (p->pre, p->bytes, FALSE, p->values);
    sheet_tile_take_rgb (
        p->sheet, tile, to_rgb (p->pre, p->values), p->pre->width, p->pre->height);
  }
  if (tile->rgb && !picture_sample (picture, p->stored, p->bytes, &error))
    nn_warning ("%s: %s", path, error->message);
  for (guint v = 0; v < p->options->variants; v++) {
    SheetTile *variant = sheet_add_tile (p->sheet);
    g_autofree char *words = NULL;
    NnAugmentParams params;

    if (is_first)
      variant->title = g_strdup_printf ("pass %u", v + 1);
    if (!tile->rgb || error)
      continue;
    feeder_sample (p->pre, p->augment, p->options->seed,
        order_get_draw (&order, 0, v, index), p->bytes, p->values, &params);
    words = nn_augment_describe (p->augment, &params);
    variant->caption = keep_together (words);
    sheet_tile_take_rgb (
        p->sheet, variant, to_rgb (p->pre, p->values), p->pre->width, p->pre->height);
  }
}

/* --- the header ------------------------------------------------------------------------- */

static void
add_header (Preview *p, guint n_chosen, guint n_there)
{
  static const char *const channels[] = { "RGB", "BGR", "gray" };
  static const char *const resizes[] = { "nearest", "bilinear", "area" };
  g_autofree char *name = g_filename_display_basename (p->recipe->path);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_auto (GStrv) keys = NULL;
  GString *text = g_string_new ("augmentation:");

  p->sheet->title = g_strdup (name);
  sheet_add_line (p->sheet,
      "network input %ux%u %s, resized by %s · seed %" G_GUINT64_FORMAT " · %u of %u pictures%s%s",
      p->pre->width, p->pre->height, channels[p->pre->channels], resizes[p->pre->resize],
      p->options->seed, n_chosen, n_there, p->options->class_name ? " of class " : "",
      p->options->class_name ? p->options->class_name : "");
  /* the keys as written: several sheets are told apart by what was tried */
  if (g_key_file_load_from_file (file, p->recipe->path, G_KEY_FILE_NONE, NULL))
    keys = g_key_file_get_keys (file, "augmentation", NULL, NULL);
  for (guint i = 0; keys && keys[i]; i++) {
    g_autofree char *value = g_key_file_get_value (file, "augmentation", keys[i], NULL);

    g_string_append_printf (text, "  %s=%s", keys[i], value);
  }
  if (!keys || !keys[0])
    g_string_append (text, " none");
  sheet_add_line (p->sheet, "%s", text->str);
  g_string_free (text, TRUE);
}

gboolean
preview_run (const Recipe *recipe, const PreviewOptions *options, GError **error)
{
  const DatasetOptions data_options
      = { recipe->layout, recipe->limit, recipe->limit_per_class, NULL, 1, recipe->lists };
  g_autoptr (NnModel) model = NULL;
  g_autoptr (Dataset) data = NULL;
  g_autoptr (Sheet) sheet = NULL;
  g_autoptr (GArray) chosen = NULL;
  g_autofree guint8 *bytes = NULL;
  g_autofree float *values = NULL;
  NnPreprocess pre, stored;
  NnAugment augment = recipe->augment;
  Preview preview;
  int only = -1;
  guint width, height, n_there = 0, enlarge;
  gsize size;

  if (!sheet_check_path (options->output, error))
    return FALSE;
  model = nn_model_new_from_json_file (recipe->network, error);
  if (!model || !recipe_get_preprocess (recipe, model, &pre, error))
    return FALSE;
  data = dataset_list (recipe->train_dir, &data_options, error);
  if (!data)
    return FALSE;
  for (guint c = 0; options->class_name && c < data->n_classes; c++)
    if (strcmp (data->classes[c], options->class_name) == 0)
      only = (int) c;
  if (options->class_name && only < 0) {
    g_autofree char *known = dataset_describe_classes ((const char *const *) data->classes);

    g_set_error (error, NN_ERROR, NN_ERROR_NOT_FOUND, "%s: there is no class \"%s\", found %s",
        recipe->train_dir, options->class_name, known);
    return FALSE;
  }
  for (guint i = 0; i < data->n; i++)
    n_there += only < 0 || data->labels[i] == (guint) only;

  width = pre.width;
  height = pre.height;
  sheet_fit (MAX_TILE, MAX_TILE, &width, &height);
  enlarge = MAX (1, MIN_TILE / MAX (width, height));
  sheet = sheet_new (width * enlarge, height * enlarge);
  sheet->columns = options->variants + 1;
  sheet->has_row_names = TRUE;
  recipe_get_stored (recipe, &pre, &stored, &augment);
  size = MAX ((gsize) pre.width * pre.height, (gsize) stored.width * stored.height)
      * nn_preprocess_get_n_channels (&pre);
  bytes = g_try_malloc (size);
  values = g_try_new (float, size);
  if (!bytes || !values) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY,
        "%s: not enough memory for a picture of %ux%u pixels", recipe->network, pre.width,
        pre.height);
    return FALSE;
  }
  chosen = choose (data, options->seed, options->pictures, only);
  preview = (Preview) { recipe, options, data, &pre, &stored, &augment, sheet, bytes, values };
  for (guint i = 0; i < chosen->len; i++)
    add_row (&preview, g_array_index (chosen, guint, i));
  add_header (&preview, chosen->len, n_there);
  return sheet_write (sheet, options->output, error);
}
