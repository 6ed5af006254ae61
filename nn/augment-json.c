/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/* The augmentation in a model file, for test-time augmentation with it. */

#include <json-glib/json-glib.h>
#include <stddef.h>
#include <string.h>

#include "nn/augment.h"
#include "nn/keras-config.h"
#include "nn/model-private.h"

typedef enum
{
  NUMBER,
  FLAG,
  WHOLE, /* guint */
  FILL,
} Kind;

typedef struct
{
  const char *name;
  gsize offset;
  Kind kind;
  double min, max;
} Field;

#define AT(member) offsetof (NnAugment, member)

static const Field fields[] = {
  { "rotation_range", AT (rotation_range), NUMBER, 0, 180 },
  { "height_shift_range", AT (height_shift_range), NUMBER, 0, 1e4 },
  { "width_shift_range", AT (width_shift_range), NUMBER, 0, 1e4 },
  { "shear_range", AT (shear_range), NUMBER, 0, 90 },
  { "zoom_min", AT (zoom_range[0]), NUMBER, 1e-6, 10 },
  { "zoom_max", AT (zoom_range[1]), NUMBER, 1e-6, 10 },
  { "channel_shift_range", AT (channel_shift_range), NUMBER, 0, 255 },
  { "horizontal_flip", AT (horizontal_flip), FLAG, 0, 1 },
  { "vertical_flip", AT (vertical_flip), FLAG, 0, 1 },
  { "fill_mode", AT (fill_mode), FILL, 0, NN_FILL_WRAP },
  { "cval", AT (cval), NUMBER, 0, 255 },
  { "interpolation_order", AT (interpolation_order), WHOLE, 0, 1 },
  { "shear_in_degrees", AT (shear_in_degrees), FLAG, 0, 1 },
  { "center_offset", AT (center_offset), NUMBER, -0.5, 0.5 },
  { "swap_axes", AT (swap_axes), FLAG, 0, 1 },
  { "crop_scale_min", AT (crop_scale[0]), NUMBER, 1e-3, 1 },
  { "crop_scale_max", AT (crop_scale[1]), NUMBER, 1e-3, 1 },
  { "crop_ratio_min", AT (crop_ratio[0]), NUMBER, 0.01, 100 },
  { "crop_ratio_max", AT (crop_ratio[1]), NUMBER, 0.01, 100 },
  { "brightness", AT (brightness), NUMBER, 0, 1 },
  { "contrast", AT (contrast), NUMBER, 0, 1 },
  { "saturation", AT (saturation), NUMBER, 0, 1 },
  { "grayscale", AT (grayscale), NUMBER, 0, 1 },
  { "erasing", AT (erasing), NUMBER, 0, 1 },
  { "erasing_area_min", AT (erasing_area[0]), NUMBER, 1e-3, 1 },
  { "erasing_area_max", AT (erasing_area[1]), NUMBER, 1e-3, 1 },
  { "source_height", AT (source_height), WHOLE, 0, 16384 },
  { "source_width", AT (source_width), WHOLE, 0, 16384 },
};

/* (min, max): each a range of which the first must not be the larger */
static const gsize ranges[] = { AT (zoom_range), AT (crop_scale), AT (crop_ratio),
  AT (erasing_area) };

static double
get (const NnAugment *augment, const Field *field)
{
  const char *at = (const char *) augment + field->offset;

  switch (field->kind) {
    case NUMBER:
      return *(const double *) at;
    case FLAG:
      return *(const gboolean *) at != 0;
    case WHOLE:
      return *(const guint *) at;
    default:
      return *(const NnFillMode *) at;
  }
}

static void
set (NnAugment *augment, const Field *field, double value)
{
  char *at = (char *) augment + field->offset;

  switch (field->kind) {
    case NUMBER:
      *(double *) at = value;
      break;
    case FLAG:
      *(gboolean *) at = value != 0;
      break;
    case WHOLE:
      *(guint *) at = (guint) value;
      break;
    default:
      *(NnFillMode *) at = (NnFillMode) value;
  }
}

char *
nn_augment_to_json (const NnAugment *augment)
{
  GString *text = g_string_new ("{");
  NnAugment plain;

  nn_augment_init (&plain);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++) {
    const double value = get (augment, &fields[i]);
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    if (value != get (&plain, &fields[i]))
      g_string_append_printf (text, "%s\"%s\": %s", text->len > 1 ? ", " : "", fields[i].name,
          g_ascii_dtostr (number, sizeof number, value));
  }
  g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

gboolean
nn_augment_from_json (const char *text, NnAugment *augment, GError **error)
{
  g_autoptr (JsonParser) parser = nn_json_parse (text, -1, error);
  JsonNode *root;
  NnAugment result;

  if (!parser)
    return FALSE;
  root = json_parser_get_root (parser);
  nn_augment_init (&result);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++) {
    const Field *field = &fields[i];
    JsonNode *node = root && JSON_NODE_HOLDS_OBJECT (root)
        ? nn_json_get (json_node_get_object (root), field->name) : NULL;
    double value;

    if (!node)
      continue;
    if (!nn_json_node_get_double (node, &value) || value < field->min || value > field->max
        || (field->kind != NUMBER && value != (double) (guint) value)) {
      g_autofree char *found = nn_json_describe (node);

      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "\"%s\" should be a number from %g to %g, found %s", field->name, field->min, field->max,
          found);
      return FALSE;
    }
    set (&result, field, value);
  }
  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++) {
    const double *range = (const double *) ((const char *) &result + ranges[i]);

    if (range[0] > range[1]) {
      g_set_error (error, NN_ERROR, NN_ERROR_FORMAT,
          "a range of the augmentation begins at %g and ends at %g", range[0], range[1]);
      return FALSE;
    }
  }
  if ((result.source_height == 0) != (result.source_width == 0)) {
    g_set_error (error, NN_ERROR, NN_ERROR_FORMAT, "\"source_height\" and \"source_width\" go "
        "together");
    return FALSE;
  }
  *augment = result;
  return TRUE;
}
