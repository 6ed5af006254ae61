/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* @structure, a result as in the element's messages, as one line of JSON with a
 * newline: an object with a member for each field, arrays as arrays, times that
 * are not known and numbers that are none as null, strings made valid UTF-8.
 * (transfer full) */
char *json_line_from_structure (const GstStructure *structure);

G_END_DECLS
