/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/orientation.h"

G_BEGIN_DECLS

/* Frames and pictures to network input. One code for the trainer's pictures
 * and the element's frames:
 *
 *   source planes --crop, resize, convert--> bytes (H, W, C)
 *                 --(p - mean) * scale--> float (H, W, C)
 *
 * The bytes in the middle are rounded to 8 bits as Pillow does it, so that a
 * picture kept as bytes in memory and a frame converted on the fly give the
 * same floats. */

typedef enum
{
  NN_PIXEL_UNKNOWN,
  NN_PIXEL_I420, /* planar Y, U, V, 4:2:0 */
  NN_PIXEL_YV12, /* planar Y, V, U, 4:2:0 */
  NN_PIXEL_NV12, /* Y, then UV pairs, 4:2:0 */
  NN_PIXEL_NV21, /* Y, then VU pairs, 4:2:0 */
  NN_PIXEL_YUY2, /* Y0 U Y1 V, 4:2:2 */
  NN_PIXEL_UYVY, /* U Y0 V Y1, 4:2:2 */
  NN_PIXEL_YVYU, /* Y0 V Y1 U, 4:2:2 */
  NN_PIXEL_Y42B, /* planar 4:2:2 */
  NN_PIXEL_Y444, /* planar 4:4:4 */
  NN_PIXEL_I420_10LE, /* planar 4:2:0, 10 bits in the low bits of 16, little endian */
  NN_PIXEL_I422_10LE, /* planar 4:2:2, likewise */
  NN_PIXEL_P010_10LE, /* as NV12, 10 bits in the high bits of 16 */
  NN_PIXEL_RGB,
  NN_PIXEL_BGR,
  NN_PIXEL_RGBX, /* the fourth byte, padding or alpha, is ignored */
  NN_PIXEL_BGRX,
  NN_PIXEL_XRGB,
  NN_PIXEL_XBGR,
  NN_PIXEL_GRAY8,
  NN_PIXEL_Y444_10LE,
  NN_PIXEL_NV16, /* Y, then UV pairs, 4:2:2 */
  NN_PIXEL_GBR,  /* planar G, B, R */
  NN_PIXEL_AYUV, /* A Y U V, 4:4:4; alpha is ignored */
  NN_PIXEL_AYUV64, /* likewise, of 16 bits, little endian, of which the upper 10 are read */
  NN_PIXEL_N_FORMATS,
} NnPixelFormat;

typedef enum
{
  NN_MATRIX_BT601,
  NN_MATRIX_BT709,
  NN_MATRIX_BT2020,
  NN_MATRIX_SMPTE240M,
  NN_MATRIX_FCC,
  NN_N_MATRICES,
} NnColorMatrix;

/* What an image looks like: everything that stays the same from frame to frame.
 * Size, pixels' aspect and every NnRect are those of the image as shown, which is
 * what lies in memory turned by @orientation. */
typedef struct
{
  NnPixelFormat format;
  guint width, height; /* pixels */
  NnColorMatrix matrix; /* YUV formats only */
  gboolean full_range;  /* YUV and grey: 0..255 instead of 16..235 / 240 */
  double pixel_aspect;  /* width / height of a pixel; 0: square */
  NnOrientation orientation;
} NnImageInfo;

/* Where the pixels of one image are. Not owned. Planes as the format says
 * (I420: 3, NV12: 2, packed: 1). stride in bytes, may be negative. */
typedef struct
{
  const guint8 *planes[3];
  gssize strides[3];
} NnImagePlanes;

typedef enum
{
  NN_RESIZE_NEAREST,  /* Pillow's and Keras's: index = (int) (n_in / n_out * (i + .5)),
                       * accumulated */
  NN_RESIZE_BILINEAR, /* 2 taps, half-pixel centres, no anti-aliasing */
  NN_RESIZE_AREA,     /* mean over the area that an output pixel covers; on an axis that
                       * is enlarged bilinear */
} NnResize;

typedef enum
{
  NN_CHANNELS_RGB,
  NN_CHANNELS_BGR,
  NN_CHANNELS_GRAY, /* ITU-R 601 luma as Pillow: (19595 R + 38470 G + 7471 B + 32768) >> 16;
                     * of YUV and GRAY8 sources through RGB all the same */
} NnChannels;

/* What becomes of a picture whose sides are not in the ratio of the network's. */
typedef enum
{
  NN_ASPECT_STRETCH,     /* all of it, each side to its own scale */
  NN_ASPECT_LETTERBOX,   /* all of it, as large as it fits, in the middle of bars of `pad`;
                          * its sides are rounded to whole pixels */
  NN_ASPECT_CENTER_CROP, /* the largest part of the network's ratio about the centre */
  NN_N_ASPECTS,
} NnAspect;

/* Stored with the model. value = (pixel - mean[c]) * scale[c], c in output order. */
typedef struct
{
  guint width, height;
  NnChannels channels;
  NnResize resize;
  float mean[3], scale[3];
  NnAspect aspect;
  guint8 pad; /* of every channel of the bars, as a pixel; black (0) unless a model says
               * otherwise: what films and telephones' videos have there, and Keras's
               * Resizing (pad_to_aspect_ratio) */
  gboolean has_background; /* transparent parts of picture files are laid on */
  guint8 background[3];    /* this colour, RGB; else their alpha is dropped, as Keras does */
} NnPreprocess;

const char *nn_aspect_to_string (NnAspect aspect); /* "stretch", "letterbox", "center-crop" */
gboolean nn_aspect_from_string (const char *string, NnAspect *aspect);

/* Pixels of the network's input. */
typedef struct
{
  guint x, y, width, height;
} NnPlace;

/* RGB, nearest, mean 0, scale 1/255: the post's. */
void nn_preprocess_init (NnPreprocess *pre, guint width, guint height);
guint nn_preprocess_get_n_channels (const NnPreprocess *pre);
gboolean nn_preprocess_equal (const NnPreprocess *a, const NnPreprocess *b);

/* Which part of @crop (NULL: the whole image) the aspect policy takes and where
 * of the input it goes. @crop is a rectangle that nn_sampler_new() accepts. */
void nn_preprocess_fit (const NnPreprocess *pre, const NnImageInfo *info, const NnRect *crop,
    NnRect *source, NnPlace *place);

/* @info is of an upright image: from now on of the same in memory, to be turned by @orientation. */
void nn_image_turn (NnImageInfo *info, NnOrientation orientation);
/* @rect in pixels of what lies in memory, in those of the image as shown; and back. */
NnRect nn_image_turn_rect (const NnImageInfo *info, const NnRect *rect);
NnRect nn_image_turn_rect_back (const NnImageInfo *info, const NnRect *rect);

/* One line in words and units for logs; (transfer full). */
char *nn_preprocess_to_string (const NnPreprocess *pre);

/* NnSampler: crop, resize and conversion from one kind of image to one
 * pre-processing, with all tables made in advance. Running it allocates
 * nothing, reads only the rows and columns it needs, and is exact to the bit
 * whatever the SIMD level. One thread at a time (it owns row buffers). */
typedef struct _NnSampler NnSampler;

/* @crop: NULL = the whole image; must lie inside it, at least 1x1 pixel. The
 * aspect policy of @pre applies to it. NN_ERROR_SHAPE or _UNSUPPORTED. */
NnSampler *nn_sampler_new (const NnImageInfo *info, const NnRect *crop, const NnPreprocess *pre,
    GError **error);
/* All of @crop to @place, whatever the aspect policy; around it its outermost
 * pixels are repeated. */
NnSampler *nn_sampler_new_placed (const NnImageInfo *info, const NnRect *crop,
    const NnPreprocess *pre, const NnPlace *place, GError **error);
void nn_sampler_free (NnSampler *sampler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnSampler, nn_sampler_free)

/* @dst: (height, width, channels) bytes of the pre-processing, contiguous. */
void nn_sampler_run_bytes (NnSampler *sampler, const NnImagePlanes *src, guint8 *dst);

/* @dst: (height, width, channels) floats; @hflip mirrors the result. */
void nn_sampler_run (NnSampler *sampler, const NnImagePlanes *src, gboolean hflip, float *dst);

/* The last step alone: bytes (H, W, C) to floats (H, W, C). */
void nn_preprocess_bytes (const NnPreprocess *pre, const guint8 *src, gboolean hflip, float *dst);

G_END_DECLS
