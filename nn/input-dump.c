/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/input-dump.h"

#include <string.h>

#include "nn/error.h"
#include "nn/hdf5-read.h"
#include "nn/hdf5-write.h"

#define MAX_BYTES ((gsize) 1 << 32)

static gsize
count_values (const NnInputDump *dump)
{
  return (gsize) dump->n_regions * dump->n_views * nn_shape_count (&dump->shape);
}

static gboolean
write_texts (NnH5Writer *writer, const NnInputDump *dump, const NnViews *views, GError **error)
{
  g_autofree char *tta = nn_tta_to_string (&dump->tta);
  g_autofree char *pre = nn_preprocess_to_string (nn_views_get_preprocess (views));
  g_autofree char *pts = dump->pts == G_MAXUINT64
      ? g_strdup ("none") : g_strdup_printf ("%" G_GUINT64_FORMAT, dump->pts);
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < dump->n_views; i++)
    g_ptr_array_add (words, nn_views_describe (views, i));
  g_ptr_array_add (words, NULL);
  return nn_h5_writer_set_string (
             writer, "/", "model", dump->model ? dump->model : "", FALSE, error)
      && nn_h5_writer_set_string (writer, "/", "tta", tta, FALSE, error)
      && nn_h5_writer_set_string (writer, "/", "preprocess", pre, FALSE, error)
      && nn_h5_writer_set_string (writer, "/", "pts", pts, FALSE, error)
      && nn_h5_writer_set_strings (
          writer, "/", "views", (const char *const *) words->pdata, error);
}

gboolean
nn_input_dump_write (const NnInputDump *dump, const NnViews *views, const char *path,
    GError **error)
{
  const NnShape shape = { 4,
    { (gsize) dump->n_regions * dump->n_views, dump->shape.dims[0], dump->shape.dims[1],
        dump->shape.dims[2] } };
  const NnShape table = { 2, { dump->n_regions, 4 } };
  g_autofree float *regions = g_new (float, (gsize) dump->n_regions * 4);
  g_autoptr (NnH5Writer) writer
      = nn_h5_writer_new (count_values (dump) * sizeof (float) + 65536, error);

  for (guint r = 0; r < dump->n_regions; r++) {
    const NnRect *rect = &dump->regions[r];

    regions[4 * r] = (float) rect->x;
    regions[4 * r + 1] = (float) rect->y;
    regions[4 * r + 2] = (float) rect->width;
    regions[4 * r + 3] = (float) rect->height;
  }
  if (writer && write_texts (writer, dump, views, error)
      && nn_h5_writer_add_floats (writer, "/input", &shape, dump->values, error)
      && nn_h5_writer_add_floats (writer, "/regions", &table, regions, error))
    return nn_h5_writer_create (writer, path, error);
  g_prefix_error (error, "%s: ", path);
  return FALSE;
}

/* --- reading -------------------------------------------------------------------- */

static gboolean
fail (GError **error, const char *path, const char *what)
{
  g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
      "%s: %s: not a file that videoclassify's dump-input wrote", path, what);
  return FALSE;
}

/* the attribute's text, NULL where there is none */
static char *
read_text (NnH5 *h5, const char *name)
{
  g_auto (GStrv) texts
      = nn_h5_has_attribute (h5, "/", name) ? nn_h5_get_strings (h5, "/", name, NULL) : NULL;

  return texts && texts[0] ? g_strdup (texts[0]) : NULL;
}

static gboolean
read_regions (NnH5 *h5, NnInputDump *dump, GError **error)
{
  const NnShape table = { 2, { dump->n_regions, 4 } };
  g_autofree float *values = g_new (float, (gsize) dump->n_regions * 4);

  if (!nn_h5_read_floats (h5, "/regions", &table, values, error))
    return FALSE;
  dump->regions = g_new (NnRect, dump->n_regions);
  for (guint r = 0; r < dump->n_regions; r++)
    dump->regions[r] = (NnRect) { values[4 * r], values[4 * r + 1], values[4 * r + 2],
      values[4 * r + 3] };
  return TRUE;
}

NnInputDump *
nn_input_dump_read (const char *path, GError **error)
{
  g_autoptr (NnInputDump) dump = g_new0 (NnInputDump, 1);
  g_autoptr (NnH5) h5 = nn_h5_open (path, error);
  g_autofree char *tta = NULL, *pts = NULL;
  NnShape shape, table;

  if (!h5)
    return NULL;
  if (!nn_h5_has (h5, "/input") || !nn_h5_has (h5, "/regions")
      || !nn_h5_get_shape (h5, "/input", &shape, NULL)
      || !nn_h5_get_shape (h5, "/regions", &table, NULL) || shape.n_dims != 4
      || table.n_dims != 2 || table.dims[1] != 4 || table.dims[0] == 0 || shape.dims[0] == 0
      || shape.dims[0] % table.dims[0] != 0 || table.dims[0] > G_MAXUINT16
      || nn_shape_count (&shape) == 0 || nn_shape_count (&shape) > MAX_BYTES / sizeof (float)) {
    fail (error, path, "no datasets \"input\" and \"regions\" that fit");
    return NULL;
  }
  tta = read_text (h5, "tta");
  if (!nn_tta_parse (tta, &dump->tta, NULL)) {
    fail (error, path, "its attribute \"tta\" means nothing");
    return NULL;
  }
  pts = read_text (h5, "pts");
  if (!pts || !g_ascii_string_to_unsigned (pts, 10, 0, G_MAXUINT64 - 1, &dump->pts, NULL))
    dump->pts = G_MAXUINT64;
  dump->model = read_text (h5, "model");
  dump->n_regions = (guint) table.dims[0];
  dump->n_views = (guint) (shape.dims[0] / table.dims[0]);
  dump->shape = (NnShape) { 3, { shape.dims[1], shape.dims[2], shape.dims[3] } };
  dump->values = g_try_new (float, nn_shape_count (&shape));
  if (!dump->values) {
    g_set_error (error, NN_ERROR, NN_ERROR_NO_MEMORY, "%s: no memory for its %" G_GSIZE_FORMAT
        " values", path, nn_shape_count (&shape));
    return NULL;
  }
  if (!nn_h5_read_floats (h5, "/input", &shape, dump->values, error)
      || !read_regions (h5, dump, error))
    return NULL;
  return g_steal_pointer (&dump);
}

void
nn_input_dump_free (NnInputDump *dump)
{
  if (!dump)
    return;
  g_free (dump->values);
  g_free (dump->regions);
  g_free (dump->model);
  g_free (dump);
}
