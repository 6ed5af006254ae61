/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/two-colors.h"

#include <string.h>

#include "nn/keras-file.h"

static const char network[]
    = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"color\", \"layers\": ["
      "{\"class_name\": \"GlobalAveragePooling2D\", \"config\": {\"name\": \"g\","
      " \"batch_input_shape\": [null, 4, 8, 3]}},"
      "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 3,"
      " \"activation\": \"softmax\"}}]}}";

static void
write_model (const char *path, const char *const *labels, float too_much)
{
  GError *error = NULL;
  NnModel *model = nn_model_new_from_json (network, -1, NULL, &error);
  NnLayer *layer;

  g_assert_no_error (error);
  nn_model_init_params (model, 1, &error);
  layer = &model->layers[model->output];
  memset (layer->params[0].data, 0, 9 * sizeof (float));
  memset (layer->params[1].data, 0, 3 * sizeof (float));
  for (guint i = 0; i < 3; i++)
    layer->params[0].data[4 * i] = 4;
  if (too_much > 0)
    layer->params[0].data[4] = layer->params[0].data[7] = too_much;
  nn_model_set_labels (model, labels, &error);
  nn_preprocess_init (&model->preprocess, 8, 4);
  model->preprocess.resize = NN_RESIZE_AREA;
  model->has_preprocess = TRUE;
  nn_model_save (model, path, NULL, NULL, &error);
  g_assert_no_error (error);
  nn_model_unref (model);
}

void
write_color_model (const char *path, const char *const *labels)
{
  write_model (path, labels, 0);
}

void
write_broken_model (const char *path, const char *const *labels)
{
  write_model (path, labels, 3e38f);
}

GstBuffer *
frame_of (guint32 left, guint32 right, GstClockTime pts)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 32 * 16 * 3, NULL);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (guint i = 0; i < 32 * 16; i++) {
    const guint32 color = i % 32 < 16 ? left : right;

    map.data[3 * i] = (guint8)(color >> 16);
    map.data[3 * i + 1] = (guint8)(color >> 8);
    map.data[3 * i + 2] = (guint8)color;
  }
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = FRAME;
  return buffer;
}
