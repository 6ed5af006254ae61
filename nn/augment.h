/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "nn/augment-math.h"
#include "nn/image.h"

G_BEGIN_DECLS

/* Keras's ImageDataGenerator: random affine transforms, flips and shifts, to
 * the bit of its sampling rule; and what came after it: random resized crop
 * (Szegedy et al. 2015, as torchvision's RandomResizedCrop), colour jitter (as
 * torchvision's ColorJitter, always in the order brightness, contrast,
 * saturation), random erasing (Zhong et al. 2020). Formulae of the former:
 * keras.preprocessing.image as of 2.1.2 (order 0, shear in radians, centre +
 * 0.5) and later versions, one switch per difference. */

typedef enum
{
  NN_FILL_NEAREST, /* aaa|abcd|ddd */
  NN_FILL_CONSTANT,
  NN_FILL_REFLECT, /* dcba|abcd|dcba */
  NN_FILL_WRAP,
} NnFillMode;

typedef struct
{
  double rotation_range;     /* degrees: U(-r, r) */
  double height_shift_range; /* fraction of the height if < 1, else pixels */
  double width_shift_range;
  double shear_range;        /* radians or degrees, see shear_in_degrees */
  double zoom_range[2];      /* U(lo, hi) for each axis; {1, 1} = none */
  double channel_shift_range; /* 0..255 */
  gboolean horizontal_flip, vertical_flip;
  NnFillMode fill_mode;
  double cval;               /* 0..255, for NN_FILL_CONSTANT */
  guint interpolation_order; /* 0 nearest (Keras <= 2.1.3) or 1 bilinear */
  gboolean shear_in_degrees; /* Keras >= 2.1.3 */
  double center_offset;      /* +0.5 up to keras_preprocessing 1.1.2, -0.5 later */
  gboolean swap_axes;        /* tf.keras >= 2.9: P M P */

  /* Drawn after the above, in this order. */
  double crop_scale[2]; /* part of the area, U(lo, hi); {1, 1} = none */
  double crop_ratio[2]; /* width / height, log-uniform */
  double brightness, contrast, saturation; /* factors U(1 - x, 1 + x); 0 = none */
  double grayscale;     /* probability */
  double erasing;       /* probability of one rectangle in one random colour */
  double erasing_area[2]; /* part of the area, U(lo, hi); its ratio is log-uniform in 0.3..3.3 */
  guint source_height, source_width; /* pixels of the pictures; 0: as large as what is made */
} NnAugment;

/* One sample's draw. The matrix maps an output (row, column, 1) to the input. */
typedef struct
{
  double theta, tx, ty, shear, zx, zy; /* theta and shear in radians, tx in rows, ty in columns */
  double channel_shift[3];
  gboolean hflip, vflip;
  double crop[4];       /* y, x, height, width of the window as parts of the source; height 0:
                         * the whole */
  double brightness, contrast, saturation; /* factors minus 1: 0 = unchanged */
  gboolean grayscale;
  double erase[4];      /* y, x, height, width as parts of the output; height 0: none */
  double erase_color[3]; /* 0..255 */
  gboolean is_identity; /* no warp */
  double matrix[6];     /* row-major 2x3, centre applied */
} NnAugmentParams;

/* The identity: nothing random, Keras 2.1.2's conventions. */
void nn_augment_init (NnAugment *augment);
gboolean nn_augment_is_identity (const NnAugment *augment);

/* Draws in Keras's order (theta, tx, ty, shear, zx, zy, channel shift, h-flip,
 * v-flip; what has no range draws nothing), then crop, colours and rectangle,
 * from the stream (@seed, NN_STREAM_AUGMENT, @draw). @height, @width: of what
 * is made. */
void nn_augment_draw (const NnAugment *augment, guint64 seed, guint64 draw, guint height,
    guint width, guint n_channels, NnAugmentParams *params);

/* matrix[] of given theta, tx, ty, shear, zx, zy. */
void nn_augment_matrix (const NnAugment *augment, guint height, guint width,
    NnAugmentParams *params);

/* Warp, channel shift, flips, colours, rectangle, then (p - mean) * scale of
 * @pre. @src: (H, W, C) bytes of the source's size; @dst: floats of @pre's. */
void nn_augment_apply (const NnAugment *augment, const NnAugmentParams *params,
    const NnPreprocess *pre, const guint8 *src, float *dst);

/* The same in the terms of nn/augment-math.h, for a device; entry->picture is 0. */
void nn_augment_form (const NnAugment *augment, const NnPreprocess *pre, NnAugmentForm *form);
void nn_augment_entry (const NnAugment *augment, const NnAugmentForm *form,
    const NnAugmentParams *params, NnAugmentEntry *entry);

/* What was drawn, in short words with two blanks between: "flip  v-flip
 * rot -12°  shift +8,-3 px  shear +0.05 rad  zoom 0.90,1.12  color +9,-4,+0",
 * or "unchanged". As it looks, one after the other: rotation clockwise, shift
 * to the right and down. Zoom (x, y) is the recipe's number, below 1 enlarges.
 * (transfer full) */
char *nn_augment_describe (const NnAugment *augment, const NnAugmentParams *params);

/* Root attribute of a model file (NnModel.extra): the augmentation it was
 * trained with, its source the pictures as they were kept. */
#define NN_AUGMENT_ATTRIBUTE "classify_augmentation"

/* A JSON object of what is not as nn_augment_init() makes it. (transfer full) */
char *nn_augment_to_json (const NnAugment *augment);
/* NN_ERROR_FORMAT. */
gboolean nn_augment_from_json (const char *text, NnAugment *augment, GError **error);

G_END_DECLS
