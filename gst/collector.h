/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

#include "nn/image.h"

G_BEGIN_DECLS

/* Collector: writes parts of frames as pictures for training, in a thread of its
 * own, so that no frame waits. */
typedef struct _Collector Collector;

typedef struct {
  const char *directory;
  gboolean flat;      /* DIR/LABEL.RUN.N.jpg, else DIR/LABEL/RUN.N.jpg: nn_label_to_name() */
  const char *format; /* media type: "image/jpeg", "image/png" */
} CollectorOptions;

/* In the collector's thread, not after collector_free(): what is wrong and what comes of it,
 * once for the folder of a class, once for all. */
typedef void (*CollectorFailed) (const char *message, gpointer user_data);

/* Makes the directory. NULL with the errors of the file system. */
Collector *collector_new (
    const CollectorOptions *options, CollectorFailed failed, gpointer user_data, GError **error);
/* Writes what is waiting first, if that takes less than three seconds. */
void collector_free (Collector *collector);

/* @buffer: a frame of @info that nobody writes to; @rect: of it; the picture is turned by
 * @orientation; @limit: bytes of pictures that the directory may hold, 0 = no limit. Dropped where
 * several wait. */
void collector_push (Collector *collector, GstBuffer *buffer, const GstVideoInfo *info,
    const NnRect *rect, NnOrientation orientation, const char *label, guint64 limit);

/* Any thread. */
void collector_get_counts (Collector *collector, guint64 *written, guint64 *dropped);

G_END_DECLS
