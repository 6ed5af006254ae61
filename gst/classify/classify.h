/* SPDX-FileCopyrightText: the classify authors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The results of videoclassify for applications; the only header to include. */

#include <gst/classify/heat-map.h>
#include <gst/classify/result.h>
#include <gst/classify/version.h>
