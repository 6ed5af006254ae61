/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nn/tta.h"

#include <math.h>
#include <string.h>

#include "nn/error.h"

#define DEFAULT_CROP 0.875 /* 224 of 256 pixels, as in Krizhevsky et al. */
#define MAX_SIZE 4096

static gboolean G_GNUC_PRINTF (2, 3)
fail (GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
      "%s; expected none, flip, crops5[:PART], crops10[:PART], scales:S,..., random:N[,SEED] or "
      "features:SIZE, and with any of them +flip and +logits",
      what);
  return FALSE;
}

static gboolean
read_number (const char *text, double min, double max, double *value)
{
  char *end;

  if (!g_ascii_isdigit (*text) && *text != '.')
    return FALSE;
  *value = g_ascii_strtod (text, &end);
  return *end == '\0' && *value >= min && *value <= max;
}

static gboolean
read_count (const char *text, guint64 max, guint64 *value)
{
  return text && g_ascii_string_to_unsigned (text, 10, 1, max, value, NULL);
}

static gboolean
read_scales (const char *text, NnTta *tta)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  tta->n_scales = g_strv_length (parts);
  if (tta->n_scales < 1 || tta->n_scales > NN_TTA_MAX_SCALES)
    return FALSE;
  for (guint i = 0; i < tta->n_scales; i++)
    if (!read_number (parts[i], 0.1, 10, &tta->scales[i]))
      return FALSE;
  return TRUE;
}

/* one of the words between '+' that choose the views */
static gboolean
read_method (const char *word, NnTta *tta, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (word, ":", 2);
  const char *name = parts[0], *value = parts[1];
  guint64 number;

  if (!name)
    return fail (error, "a word is missing");
  if (tta->method != NN_TTA_WHOLE)
    return fail (error, "\"%s\" is a second way to choose the views", word);
  if (strcmp (name, "crops5") == 0 || strcmp (name, "crops10") == 0) {
    tta->method = NN_TTA_CROPS;
    tta->crop = DEFAULT_CROP;
    tta->flip |= strcmp (name, "crops10") == 0;
    if (value && !read_number (value, 0.05, 1, &tta->crop))
      return fail (error, "%s of \"%s\" is not a part of the picture's sides (0.05 to 1)", value,
          word);
  } else if (strcmp (name, "scales") == 0) {
    tta->method = NN_TTA_SCALES;
    if (!value || !read_scales (value, tta))
      return fail (error, "\"%s\" does not name 1 to %u scales from 0.1 to 10", word,
          NN_TTA_MAX_SCALES);
  } else if (strcmp (name, "random") == 0) {
    g_auto (GStrv) numbers = g_strsplit (value ? value : "", ",", 2);

    tta->method = NN_TTA_RANDOM;
    if (!value || !read_count (numbers[0], NN_TTA_MAX_VIEWS, &number)
        || (numbers[1]
            && !g_ascii_string_to_unsigned (numbers[1], 10, 0, G_MAXUINT64, &tta->seed, NULL)))
      return fail (error, "\"%s\" does not name 1 to %u views", word, NN_TTA_MAX_VIEWS);
    tta->n_random = (guint) number;
  } else if (strcmp (name, "features") == 0) {
    tta->method = NN_TTA_FEATURES;
    if (!value || !read_count (value, MAX_SIZE, &number))
      return fail (error, "\"%s\" does not name a size of 1 to %u pixels", word, MAX_SIZE);
    tta->size = (guint) number;
  } else {
    return fail (error, "\"%s\" is no test-time augmentation", word);
  }
  return TRUE;
}

gboolean
nn_tta_parse (const char *string, NnTta *tta, GError **error)
{
  g_auto (GStrv) words = g_strsplit (string && *string ? string : "none", "+", -1);
  NnTta result = { .method = NN_TTA_WHOLE };

  for (guint i = 0; words[i]; i++) {
    const char *word = g_strstrip (words[i]);

    if (strcmp (word, "flip") == 0)
      result.flip = TRUE;
    else if (strcmp (word, "logits") == 0)
      result.mean = NN_MEAN_LOGITS;
    else if (strcmp (word, "none") != 0 && !read_method (word, &result, error))
      return FALSE;
  }
  if (result.method == NN_TTA_RANDOM && result.flip)
    return fail (error, "random views are flipped as the augmentation says, not by flip");
  *tta = result;
  return TRUE;
}

char *
nn_tta_to_string (const NnTta *tta)
{
  GString *text = g_string_new (NULL);
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  switch (tta->method) {
    case NN_TTA_CROPS:
      g_string_append_printf (text, "crops5:%s",
          g_ascii_formatd (number, sizeof number, "%g", tta->crop));
      break;
    case NN_TTA_SCALES:
      for (guint i = 0; i < tta->n_scales; i++)
        g_string_append_printf (text, "%s%s", i ? "," : "scales:",
            g_ascii_formatd (number, sizeof number, "%g", tta->scales[i]));
      break;
    case NN_TTA_RANDOM:
      g_string_append_printf (text, "random:%u", tta->n_random);
      if (tta->seed)
        g_string_append_printf (text, ",%" G_GUINT64_FORMAT, tta->seed);
      break;
    case NN_TTA_FEATURES:
      g_string_append_printf (text, "features:%u", tta->size);
      break;
    default:
      break;
  }
  if (tta->flip)
    g_string_append (text, text->len ? "+flip" : "flip");
  if (text->len == 0)
    g_string_append (text, "none");
  if (tta->mean == NN_MEAN_LOGITS)
    g_string_append (text, "+logits");
  return g_string_free (text, FALSE);
}
