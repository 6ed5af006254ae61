/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keras's model.summary(), with the shapes of the parameters beside their
 * number, and columns as wide as what is in them. */

#include <string.h>

#include "nn/layer.h"
#include "nn/model-private.h"
#include "nn/text.h"

#define N_COLUMNS 5

/* (None, 198, 198, 32) */
static void
append_shape (GString *text, const NnShape *shape, gboolean batch)
{
  g_string_append (text, batch ? "(None" : "(");
  for (guint i = 0; i < shape->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GSIZE_FORMAT, i || batch ? ", " : "", shape->dims[i]);
  if (shape->n_dims + (batch ? 1 : 0) == 1)
    g_string_append_c (text, ',');
  g_string_append_c (text, ')');
}

/* 13680013 -> 13,680,013, whatever the locale */
static char *
group_digits (gsize number)
{
  g_autofree char *digits = g_strdup_printf ("%" G_GSIZE_FORMAT, number);
  gsize n = strlen (digits);
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0)
      g_string_append_c (text, ',');
    g_string_append_c (text, digits[i]);
  }
  return g_string_free (text, FALSE);
}

/* "(3, 3, 3, 32) (32,)"; four vectors of a BatchNormalization: "4 x (198,)" */
static char *
describe_params (const NnLayer *layer)
{
  GString *text = g_string_new (NULL);
  guint run;

  for (guint i = 0; i < layer->n_params; i += run) {
    const NnShape *shape = &layer->params[i].shape;

    for (run = 1; i + run < layer->n_params
         && nn_shape_equal (shape, &layer->params[i + run].shape);)
      run++;
    if (i > 0)
      g_string_append_c (text, ' ');
    if (run > 1)
      g_string_append_printf (text, "%u x ", run);
    append_shape (text, shape, FALSE);
  }
  return g_string_free (text, FALSE);
}

static char **
make_row (const NnModel *model, const NnLayer *layer)
{
  char **row = g_new0 (char *, N_COLUMNS + 1);
  GString *shape = g_string_new (NULL), *inputs = g_string_new (NULL);
  gsize n = 0;

  for (guint i = 0; i < layer->n_params; i++)
    n += layer->params[i].n_values;
  for (guint i = 0; i < layer->n_inputs; i++)
    g_string_append_printf (inputs, "%s%s", i ? ", " : "", model->layers[layer->inputs[i]].name);
  append_shape (shape, &layer->out_shape, TRUE);
  row[0] = g_strdup_printf ("%s (%s)", layer->name, layer->klass->name);
  row[1] = g_string_free (shape, FALSE);
  row[2] = group_digits (n);
  row[3] = describe_params (layer);
  row[4] = g_string_free (inputs, FALSE);
  for (guint c = 0; c < N_COLUMNS; c++) { /* before they are measured */
    char *printable = nn_text_printable (row[c], -1);

    g_free (row[c]);
    row[c] = printable;
  }
  return row;
}

static void
append_row (GString *text, char **row, const gsize *widths, guint n_columns)
{
  for (guint c = 0; c < n_columns; c++) {
    g_string_append (text, row[c]);
    if (c + 1 < n_columns) {
      for (gsize n = g_utf8_strlen (row[c], -1); n < widths[c] + 2; n++)
        g_string_append_c (text, ' ');
    }
  }
  while (text->len > 0 && text->str[text->len - 1] == ' ')
    g_string_truncate (text, text->len - 1);
  g_string_append_c (text, '\n');
}

static void
append_line (GString *text, char c, gsize width)
{
  for (gsize i = 0; i < width; i++)
    g_string_append_c (text, c);
  g_string_append_c (text, '\n');
}

char *
nn_model_summary (const NnModel *model)
{
  static const char *const titles[]
      = { "Layer (type)", "Output Shape", "Param #", "Weights", "Connected to", NULL };
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  gsize widths[N_COLUMNS] = { 0 }, width = 0;
  gsize n_all = nn_model_count_params (model, FALSE), n_trainable;
  g_autofree char *all = group_digits (n_all), *trainable = NULL, *rest = NULL, *name = NULL;
  guint n_columns = model->is_sequential ? N_COLUMNS - 1 : N_COLUMNS;
  GString *text = g_string_new (NULL);

  n_trainable = nn_model_count_params (model, TRUE);
  trainable = group_digits (n_trainable);
  rest = group_digits (n_all - n_trainable);
  g_ptr_array_add (rows, g_strdupv ((char **) titles));
  for (guint i = 0; i < model->n_layers; i++) {
    if (nn_model_is_listed (model, i))
      g_ptr_array_add (rows, make_row (model, &model->layers[i]));
  }
  for (guint c = 0; c < n_columns; c++) {
    for (guint r = 0; r < rows->len; r++)
      widths[c] = MAX (widths[c], (gsize) g_utf8_strlen (((char **) rows->pdata[r])[c], -1));
    width += widths[c] + (c ? 2 : 0);
  }

  name = nn_text_printable (model->name, -1);
  g_string_append_printf (text, "Model: \"%s\"\n", name);
  append_line (text, '_', width);
  for (guint r = 0; r < rows->len; r++) {
    append_row (text, rows->pdata[r], widths, n_columns);
    if (r == 0)
      append_line (text, '=', width);
  }
  append_line (text, '=', width);
  g_string_append_printf (text,
      "Total params: %s\nTrainable params: %s\nNon-trainable params: %s\n", all, trainable, rest);
  append_line (text, '_', width);
  return g_string_free (text, FALSE);
}
