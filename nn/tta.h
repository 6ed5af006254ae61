/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/backend.h"

G_BEGIN_DECLS

/* Test-time augmentation, one piece for the trainer's pictures and the element's
 * frames: several views of a picture go through the network in one batch, and
 * what it says of them is averaged. */

typedef enum
{
  NN_TTA_WHOLE,    /* the picture as it is */
  NN_TTA_CROPS,    /* centre and four corners (Krizhevsky et al. 2012) */
  NN_TTA_SCALES,   /* enlarged and reduced about the centre */
  NN_TTA_RANDOM,   /* draws of the augmentation that the model was trained with */
  NN_TTA_FEATURES, /* windows of the maps of the picture enlarged (He et al. 2014, 3.2) */
} NnTtaMethod;

#define NN_TTA_MAX_SCALES 16
#define NN_TTA_MAX_VIEWS 128

typedef struct
{
  NnTtaMethod method;
  gboolean flip; /* each view and its mirror image */
  NnMean mean;
  double crop;    /* CROPS: its side as a part of the picture's, (0, 1] */
  guint n_scales; /* SCALES: > 1 shows the middle larger, < 1 the picture smaller, its
                   * outermost pixels repeated around it */
  double scales[NN_TTA_MAX_SCALES];
  guint n_random; /* RANDOM */
  guint64 seed;
  guint size; /* FEATURES: pixels of the input's height; its width in proportion */
} NnTta;

/* In words, joined with '+': at most one of
 *   none, crops5[:PART], crops10[:PART] (crops5 and flip), scales:S[,S...],
 *   random:N[,SEED], features:SIZE
 * with flip and logits. "" and NULL are none; PART is 0.875 unless told.
 * FALSE with NN_ERROR_FORMAT, which tells what is allowed. */
gboolean nn_tta_parse (const char *string, NnTta *tta, GError **error);
char *nn_tta_to_string (const NnTta *tta); /* as nn_tta_parse() reads it; (transfer full) */

/* NnViews: a TTA made for a model. Read-only but for nn_views_mean(). */
typedef struct _NnViews NnViews;

/* NN_ERROR_UNSUPPORTED where the model does not allow the method: random without
 * the augmentation in its file, features without global average pooling or with
 * layers that know the input's size. @model is kept by reference. */
NnViews *nn_views_new (NnModel *model, const NnTta *tta, GError **error);
void nn_views_free (NnViews *views);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnViews, nn_views_free)

guint nn_views_get_n (const NnViews *views); /* samples of a picture */
/* What is to be compiled and run on the samples: the model itself, or of FEATURES
 * the layers before the pooling for a larger input. (transfer none) */
NnModel *nn_views_get_network (const NnViews *views);
/* Of one sample: the network's input. (transfer none) */
const NnPreprocess *nn_views_get_preprocess (const NnViews *views);
/* "centre 0.88 flipped": view @i for people and logs. (transfer full) */
char *nn_views_describe (const NnViews *views, guint i);
/* Of the whole view, not of a draw (which is described in words only): the part of
 * the picture that it shows, as fractions; beyond 0..1 where it is reduced. */
void nn_views_get_geometry (const NnViews *views, guint i, NnRect *part, gboolean *flip);

/* TRUE: a device may take *@mean over the outputs of a picture's views itself (NnPack.n_views);
 * what nn_views_mean() is then given is one output. */
gboolean nn_views_are_outputs (const NnViews *views, NnMean *mean);

/* Makes what comes after the network of FEATURES; nothing for other methods. To
 * be called once before nn_views_mean(). */
gboolean nn_views_prepare (NnViews *views, NnBackend *backend, GError **error);

/* @outputs: the network's, of the first @n views, or 1: the mean that a device took over them.
 * @probabilities: n_classes. Allocates nothing; one thread at a time. */
gboolean nn_views_mean (NnViews *views, const float *outputs, guint n, float *probabilities,
    GError **error);

/* NnViewSampler: NnSampler for all views of one kind of image. */
typedef struct _NnViewSampler NnViewSampler;

/* @views must outlive it. Otherwise as nn_sampler_new(). */
NnViewSampler *nn_view_sampler_new (const NnViews *views, const NnImageInfo *info,
    const NnRect *crop, GError **error);
void nn_view_sampler_free (NnViewSampler *sampler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NnViewSampler, nn_view_sampler_free)

/* The first @n views; @dst: (n, H, W, C) of nn_views_get_preprocess(). */
void nn_view_sampler_run (NnViewSampler *sampler, const NnImagePlanes *src, guint n, float *dst);

G_END_DECLS
