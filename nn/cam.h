/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend.h"

G_BEGIN_DECLS

/* Which parts of a picture speak for a class: Grad-CAM (Selvaraju et al. 2017)
 * on the last feature maps A,
 *
 *   map = max (0, sum_c a_c A_c), a_c = mean over the maps' cells of dy / dA_c
 *
 * with y what the last softmax or sigmoid is of; of a single sigmoid y for the
 * second class, -y for the first. Where the head is one Dense layer on global
 * average pooling this is the class activation map of Zhou et al. 2016. The
 * gradient goes back through Dense, BatchNormalization with its moving
 * statistics, Activation, Dropout, Flatten and the pooling. One thread at a time. */
typedef struct _NnCam NnCam;

/* NN_ERROR_UNSUPPORTED where the network has no feature maps, branches after
 * them, or has other layers there. @model is kept by reference. */
NnCam *nn_cam_new (NnModel *model, NnBackend *backend, guint threads, GError **error);
void nn_cam_free (NnCam *cam);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnCam, nn_cam_free)

const char *nn_cam_get_method (const NnCam *cam); /* "cam" or "grad-cam" */
void nn_cam_get_size (const NnCam *cam, guint *rows, guint *columns);
/* Host memory for one sample, (H, W, C) floats, filled before a run. (transfer none) */
float *nn_cam_get_input (NnCam *cam);

typedef struct
{
  guint index;       /* the class that is explained */
  float probability; /* of it */
  float peak;        /* the largest value before scaling; 0: nothing speaks for the class */
} NnCamResult;

/* @index: a class, or -1 for the best. @map: (rows, columns), 0..1 with 1 at the
 * peak; it covers the network's input. FALSE with NN_ERROR_RUN. */
gboolean nn_cam_run (NnCam *cam, int index, float *map, NnCamResult *result, GError **error);

/* The colour of @value, 0..1, in a map that is drawn: 0xAARRGGBB, premultiplied,
 * from clear through yellow to red; @opacity 0..1 of the largest. */
guint32 nn_cam_color (float value, double opacity);

/* A map of bytes, 255 at the peak, that covers (x, y, width, height) of an image,
 * beyond its edges too. */
typedef struct
{
  const guint8 *values; /* (rows, columns) */
  guint rows, columns;
  int x, y, width, height; /* pixels; sides > 0 */
} NnHeat;

/* @argb: (height, width) of nn_cam_color() of the values interpolated. */
void nn_cam_draw (const NnHeat *heat, double opacity, guint32 *argb, guint width, guint height);

G_END_DECLS
