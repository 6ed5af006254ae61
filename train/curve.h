/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Draws the learning curve of a CSV log of `classify train` (loss above,
 * accuracy below) into a PNG or, where @output ends in .svg, an SVG file. */
gboolean curve_draw (const char *log, const char *output, GError **error);

/* The same of a log's @text; @name for messages. (transfer full): the file's bytes. */
GByteArray *curve_render (const char *text, const char *name, gboolean is_svg, GError **error);

/* Of such a log, in words: its best epoch (the highest validation accuracy, then the lowest
 * loss: what [training] keep=best keeps). NULL where nothing was validated, or @text is no log.
 * (transfer full) */
char *curve_describe_best (const char *text);

G_END_DECLS
