/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  NN_LOG_WARNING, /* something was done differently from what was asked */
  NN_LOG_INFO,    /* once per model or plan: what was loaded and chosen */
  NN_LOG_DEBUG,   /* details of a choice */
} NnLogLevel;

typedef void (*NnLogFunc) (NnLogLevel level, const char *message, gpointer user_data);

/* Where messages of nn/ and its back ends go; NULL restores g_log() with the
 * domain "nn". To be called before other threads use nn/. */
void nn_log_set_sink (NnLogFunc func, gpointer user_data);

void nn_log (NnLogLevel level, const char *format, ...) G_GNUC_PRINTF (2, 3);

#define nn_warning(...) nn_log (NN_LOG_WARNING, __VA_ARGS__)
#define nn_info(...) nn_log (NN_LOG_INFO, __VA_ARGS__)
#define nn_debug(...) nn_log (NN_LOG_DEBUG, __VA_ARGS__)

G_END_DECLS
