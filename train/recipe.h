/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nn/augment.h"
#include "nn/backend.h"
#include "nn/keras-file.h"
#include "train/feeder.h"

G_BEGIN_DECLS

/* How the learning rate goes within a stage. */
typedef enum
{
  SHAPE_CONSTANT,
  SHAPE_COSINE,    /* from the rate down to final_rate times it (Loshchilov & Hutter 2017) */
  SHAPE_ONE_CYCLE, /* 30 % up from a 25th, then down to final_rate times it, both by cosines
                    * (Smith & Topin 2018, as PyTorch's OneCycleLR) */
  SHAPE_PLATEAU,   /* times plateau_factor after plateau_patience epochs without a lower
                    * validation loss: Keras's ReduceLROnPlateau */
} Shape;

typedef struct
{
  guint epochs;
  double learning_rate;
  guint size; /* pixels of a side; 0: the network's own */
} Stage;

typedef enum
{
  KEEP_LAST,
  KEEP_BEST, /* the epoch with the highest validation accuracy, of these the lowest loss */
} Keep;

typedef enum
{
  CALIBRATE_NO,
  CALIBRATE_YES,
  CALIBRATE_AUTO, /* where there are enough pictures to validate with */
} Calibrate;

#define CALIBRATE_ENOUGH 100 /* pictures */

/* Everything that a training run depends on, read from a key file; the keys
 * are described in train/recipes/README.md. Paths are absolute. */
typedef struct
{
  char *path;

  char *train_dir, *validate_dir; /* validate_dir may be NULL */
  Layout layout;
  guint limit, limit_per_class, validate_limit, validate_limit_per_class; /* 0: none */
  double validation_split; /* part of the training pictures that is validated with where there
                            * is no validate_dir */
  char **lists; /* of more training pictures (picture-list.h), or NULL */

  guint n_folds, fold; /* > 0: pictures of number @fold, from 1 on, of so many parts of the
                        * training folder are validated with, the others trained with */

  char *network;
  char *init; /* weights to begin with, or NULL */
  NnWeightsMatch init_match;
  char **freeze; /* patterns of layer names that are not trained, or NULL */
  NnPreprocess preprocess; /* width and height come from the network */

  guint picture_height, picture_width; /* kept in memory; 0: as the network takes them */
  NnAugment augment;
  Mixing mixing;

  NnOptimizerKind optimizer;
  double beta_1, beta_2, epsilon, momentum, decay, weight_decay;
  gboolean nesterov;

  guint n_stages;
  Stage *stages;
  Shape shape;
  double final_rate, plateau_factor;
  guint warmup, plateau_patience; /* epochs */
  gboolean whole_passes; /* steps an epoch: all batches of a pass, or n / batch_size as the post
                          * has it */

  guint batch_size;
  NnPrecision precision;
  guint64 seed;
  gboolean bessel_moving_variance;
  double label_smoothing, ema; /* ema: decay a step, 0: none */
  Keep keep;
  guint patience; /* of early stopping, epochs; 0: none */
  Calibrate calibrate; /* fit a temperature on the validation pictures at the end */
  gboolean balance; /* class weights n / (n_classes * n_class), scikit-learn's "balanced" */
  double *class_weights; /* of each class in order, or NULL */
  guint n_class_weights;

  /* Consistency training on pictures without labels (FixMatch, Sohn et al. 2020): of each
   * step's weakly changed ones those that the averaged weights are sure of are learnt from,
   * strongly changed. */
  char *unlabelled_dir;     /* NULL: none */
  guint unlabelled_batch;   /* pictures a step */
  double threshold, unlabelled_weight;
  guint unlabelled_start, unlabelled_ramp; /* epochs before, and until the full weight */
  NnAugment strong;         /* of the unlabelled; its own group of keys */

  char *values;      /* of the keys that change the numbers, "group.key=value" in each line */
  char *fingerprint; /* these, the content of lists, the fold: all that changes the numbers
                      * beside network, initial weights and pictures */
} Recipe;

/* Errors (NN_ERROR_FORMAT) name file, group and key; unknown groups and keys
 * are errors. @data_dir (nullable) replaces the folders: DIR/train and
 * DIR/validate where they exist (by any of the names that folders.h has), else DIR itself
 * for training; a folder that is alone in DIR stands for it. */
Recipe *recipe_load (const char *path, const char *data_dir, GError **error);
/* The same with @settings ("group.key=value", NULL-terminated, or NULL) in place of
 * what the file says; an empty value removes the key. */
Recipe *recipe_load_with (const char *path, const char *data_dir, char **settings, GError **error);

/* One more list of training pictures. NN_ERROR_NOT_FOUND, _READ, _FORMAT. */
gboolean recipe_add_list (Recipe *recipe, const char *path, GError **error);

/* Cross-validation: @fold, 1 to @n_folds, of the training pictures is validated with, instead
 * of validate_dir. */
gboolean recipe_set_fold (Recipe *recipe, guint n_folds, guint fold, GError **error);

/* The recipe's pre-processing for its network, a model of recipe->network: with
 * the size of its input. NN_ERROR_SHAPE where the channels do not fit. */
gboolean recipe_get_preprocess (const Recipe *recipe, const NnModel *model, NnPreprocess *pre,
    GError **error);
/* The pictures as they are kept in memory: @pre at the recipe's picture_size.
 * @augment (nullable): its source is set to that, for inputs of @pre's size. */
void recipe_get_stored (const Recipe *recipe, const NnPreprocess *pre, NnPreprocess *stored,
    NnAugment *augment);

/* The part of the training pictures that is drawn to validate with, 0: none. */
double recipe_get_held_fraction (const Recipe *recipe);

void recipe_free (Recipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Recipe, recipe_free)

G_END_DECLS
