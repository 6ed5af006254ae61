/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "nn"

#include "nn/log.h"

#include "nn/text.h"

static void
default_sink (NnLogLevel level, const char *message, gpointer user_data)
{
  static const GLogLevelFlags levels[]
      = { G_LOG_LEVEL_WARNING, G_LOG_LEVEL_INFO, G_LOG_LEVEL_DEBUG };

  g_log (G_LOG_DOMAIN, levels[level], "%s", message);
}

static NnLogFunc sink = default_sink;
static gpointer sink_data;

void
nn_log_set_sink (NnLogFunc func, gpointer user_data)
{
  sink = func ? func : default_sink;
  sink_data = user_data;
}

void
nn_log (NnLogLevel level, const char *format, ...)
{
  va_list args;
  g_autofree char *message = NULL, *printable = NULL;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  printable = nn_text_printable (message, -1); /* many quote a file's names */
  sink (level, printable, sink_data);
}
